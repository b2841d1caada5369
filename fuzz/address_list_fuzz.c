/*
 * fuzz/address_list_fuzz.c - the fields that `sendmail -t` takes recipients from.
 *
 * Whatever is found is bounded, has no line end, and is found again when it is all there is.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "cli/address_list.h"

static int same(void *ctx, struct slice address)
{
    const struct slice *wanted = ctx;

    ASSERT(slice_eq(address, *wanted));
    return 1;
}

static int check(void *ctx, struct slice address)
{
    uint8_t text[ADDRESS_LIST_ADDRESS_MAX];
    struct slice copy = slice_make(text, address.len);
    const char *why = NULL;

    (void)ctx;
    ASSERT(address.len > 0 && address.len <= sizeof(text));
    memcpy(text, address.ptr, address.len);
    ASSERT(slice_find(copy, '\n') < 0 && slice_find(copy, '\r') < 0);
    if (slice_find(copy, '"') < 0 && slice_find(copy, '[') < 0)
        ASSERT(address_list_each(copy, same, &copy, &why) == 1);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why = NULL;
    int r = address_list_each(slice_make(data, size), check, NULL, &why);

    ASSERT(r == 0 || (r == -EINVAL && why));
    return 0;
}
