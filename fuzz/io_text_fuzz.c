/*
 * fuzz/io_text_fuzz.c - addresses, networks and DNS names: what is read, printed and read again is
 * the same.
 *
 * Input: a byte that says which, then the text, or the name as DNS sends it.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "io/addr.h"
#include "io/resolver.h"

static void try_addr(struct slice in)
{
    struct buf why = BUF_INIT(1 << 20);
    char text[ADDR_TEXT_MAX];
    struct addr a, again;

    if (addr_parse(in, 25, &a, &why) < 0) {
        ASSERT(buf_len(&why) > 0);
    } else {
        ASSERT(buf_len(&why) == 0);
        addr_format(&a, text);
        ASSERT(addr_parse(slice_str(text), 0, &again, NULL) == 0);
        ASSERT(addr_eq(&a, &again));
    }
    buf_done(&why);
}

/* A network contains its own first address, and an IPv4 address only where it is an IPv4 one. */
static void try_network(struct slice in)
{
    struct slice first = in;
    struct network n;
    ptrdiff_t slash = slice_find(in, '/');
    struct addr a;

    if (network_parse(in, &n, NULL) < 0)
        return;
    if (slash >= 0)
        first = slice_sub(in, 0, (size_t)slash);
    ASSERT(n.prefix_bits <= 128);
    ASSERT(addr_parse(first, 0, &a, NULL) == 0);
    if (!addr_is_ipv6(&a))
        ASSERT(network_contains(&n, &a));
}

static void try_name(struct slice in)
{
    char text[DNS_NAME_MAX + 1];

    if (dns_name_to_text(in, text, sizeof(text)) < 0)
        return;
    ASSERT(in.len >= 1 && in.len <= DNS_NAME_MAX);
    ASSERT(strlen(text) == (in.len == 1 ? 0 : in.len - 2));
    for (size_t cut = 0; cut < in.len; cut++)
        ASSERT(dns_name_to_text(slice_sub(in, 0, cut), text, sizeof(text)) == -EINVAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct slice) = {try_addr, try_network, try_name};

    if (size > 0)
        tries[data[0] % ARRAY_SIZE(tries)](slice_make(data + 1, size - 1));
    return 0;
}
