#include "io/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define IPV4_MAPPED_BITS 96

static const uint8_t ipv4_mapped[12] = {[10] = 0xff, [11] = 0xff};

static int refuse(struct slice text, struct buf *why, const char *what)
{
    if (why)
        (void)buf_addf(why, "\"%.*s\" %s", SLICE_FMT(text), what);
    return -EINVAL;
}

/* 4 or 16, and the bytes; 0 where `text` is not an IP address. */
static size_t parse_ip(struct slice text, uint8_t ret_ip[static 16])
{
    char copy[INET6_ADDRSTRLEN];

    if (text.len >= sizeof(copy) || slice_find(text, '\0') >= 0)
        return 0;
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, ret_ip) == 1)
        return 4;
    return inet_pton(AF_INET6, copy, ret_ip) == 1 ? 16 : 0;
}

int addr_from_ip(struct slice raw_ip, uint16_t port, struct addr *ret)
{
    if (raw_ip.len != 4 && raw_ip.len != 16)
        return -EINVAL;
    memset(ret, 0, sizeof(*ret));
    if (raw_ip.len == 4) {
        ret->len = sizeof(ret->u.in);
        ret->u.in.sin_family = AF_INET;
        ret->u.in.sin_port = htons(port);
        memcpy(&ret->u.in.sin_addr, raw_ip.ptr, 4);
    } else {
        ret->len = sizeof(ret->u.in6);
        ret->u.in6.sin6_family = AF_INET6;
        ret->u.in6.sin6_port = htons(port);
        memcpy(&ret->u.in6.sin6_addr, raw_ip.ptr, 16);
    }
    return 0;
}

static int parse_unix(struct slice text, struct addr *ret, struct buf *why)
{
    struct slice path = slice_from(text, sizeof("unix:") - 1);

    if (path.len == 0 || path.len >= sizeof(ret->u.path.sun_path) || slice_find(path, '\0') >= 0)
        return refuse(text, why,
                      "is not a Unix socket: unix: is followed by a path of 1 to 107 "
                      "bytes");
    memset(ret, 0, sizeof(*ret));
    ret->len = (socklen_t)sizeof(ret->u.path);
    ret->u.path.sun_family = AF_UNIX;
    memcpy(ret->u.path.sun_path, path.ptr, path.len);
    return 0;
}

/* Cuts `text` at the colon before the port, where there is one. */
static int split(struct slice text, struct slice *ret_host, struct slice *ret_port,
                 bool *ret_has_port)
{
    ptrdiff_t colon = slice_find(text, ':'), end;

    *ret_host = text;
    *ret_port = (struct slice){0};
    *ret_has_port = false;
    if (text.len && text.ptr[0] == '[') {
        end = slice_find(text, ']');
        if (end < 0)
            return -EINVAL;
        *ret_host = slice_sub(text, 1, (size_t)end - 1);
        colon = end + 1;
        *ret_has_port = text.len > (size_t)colon;
        if (*ret_has_port && text.ptr[colon] != ':')
            return -EINVAL;
    } else if (colon >= 0 && colon == slice_rfind(text, ':')) {
        *ret_host = slice_sub(text, 0, (size_t)colon);
        *ret_has_port = true;
    }
    if (*ret_has_port)
        *ret_port = slice_from(text, (size_t)colon + 1);
    return 0;
}

int addr_parse(struct slice text, uint16_t default_port, struct addr *ret, struct buf *why)
{
    struct slice host, port_text;
    uint64_t port = default_port;
    bool has_port;
    uint8_t ip[16];
    size_t ip_len;

    if (slice_has_prefix(text, SLICE_LIT("unix:")))
        return parse_unix(text, ret, why);
    if (split(text, &host, &port_text, &has_port) < 0)
        return refuse(text, why, "is not an address: expected [IPv6]:port, such as [::1]:25");
    ip_len = parse_ip(host, ip);
    if (ip_len == 0 || (ip_len == 4 && text.ptr[0] == '['))
        return refuse(text, why,
                      "is not an address: expected 127.0.0.1:25, [::1]:25 or "
                      "unix:/path");
    if (has_port && slice_to_u64(port_text, UINT16_MAX, &port) < 0)
        return refuse(text, why, "has no port number from 0 to 65535 behind the colon");
    return addr_from_ip(slice_make(ip, ip_len), (uint16_t)port, ret);
}

/* Every line of the log has an address or two, and inet_ntop() takes a thousand instructions. */
static void format_ipv4(const struct in_addr *in, char *to)
{
    uint8_t ip[4];

    memcpy(ip, in, sizeof(ip));
    for (size_t i = 0; i < sizeof(ip); i++) {
        if (ip[i] >= 100)
            *to++ = (char)('0' + ip[i] / 100);
        if (ip[i] >= 10)
            *to++ = (char)('0' + ip[i] / 10 % 10);
        *to++ = (char)('0' + ip[i] % 10);
        *to++ = i + 1 < sizeof(ip) ? '.' : '\0';
    }
}

void addr_format_ip(const struct addr *a, char ret_text[static ADDR_TEXT_MAX])
{
    const char *ok = ret_text;

    switch (a->u.any.sa_family) {
    case AF_INET:
        format_ipv4(&a->u.in.sin_addr, ret_text);
        break;
    case AF_INET6:
        ok = inet_ntop(AF_INET6, &a->u.in6.sin6_addr, ret_text, ADDR_TEXT_MAX);
        break;
    case AF_UNIX:
        (void)snprintf(ret_text, ADDR_TEXT_MAX, "unix:%.*s", (int)sizeof(a->u.path.sun_path),
                       a->u.path.sun_path);
        break;
    default:
        (void)snprintf(ret_text, ADDR_TEXT_MAX, "unknown");
        break;
    }
    ASSERT(ok);
}

void addr_format(const struct addr *a, char ret_text[static ADDR_TEXT_MAX])
{
    char ip[ADDR_TEXT_MAX];

    addr_format_ip(a, ip);
    if (a->u.any.sa_family == AF_INET)
        (void)snprintf(ret_text, ADDR_TEXT_MAX, "%.*s:%u", INET_ADDRSTRLEN, ip, addr_port(a));
    else if (a->u.any.sa_family == AF_INET6)
        (void)snprintf(ret_text, ADDR_TEXT_MAX, "[%.*s]:%u", INET6_ADDRSTRLEN, ip, addr_port(a));
    else
        memcpy(ret_text, ip, sizeof(ip));
}

uint16_t addr_port(const struct addr *a)
{
    switch (a->u.any.sa_family) {
    case AF_INET:
        return ntohs(a->u.in.sin_port);
    case AF_INET6:
        return ntohs(a->u.in6.sin6_port);
    default:
        return 0;
    }
}

bool addr_is_ipv6(const struct addr *a)
{
    return a->u.any.sa_family == AF_INET6;
}

/* The address as 16 bytes, IPv4 as IPv4-mapped; false where it is not an IP address. */
static bool to_ip16(const struct addr *a, uint8_t ret_ip[static 16])
{
    if (a->u.any.sa_family == AF_INET) {
        memcpy(ret_ip, ipv4_mapped, sizeof(ipv4_mapped));
        memcpy(ret_ip + sizeof(ipv4_mapped), &a->u.in.sin_addr, 4);
        return true;
    }
    if (a->u.any.sa_family != AF_INET6)
        return false;
    memcpy(ret_ip, &a->u.in6.sin6_addr, 16);
    return true;
}

static bool is_mapped(const uint8_t ip[static 16])
{
    return memcmp(ip, ipv4_mapped, sizeof(ipv4_mapped)) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
    static const uint8_t ipv6_loopback[16] = {[15] = 1};
    uint8_t ip[16];

    if (!to_ip16(a, ip))
        return a->u.any.sa_family == AF_UNIX;
    return memcmp(ip, ipv6_loopback, sizeof(ip)) == 0 || (is_mapped(ip) && ip[12] == 127);
}

void addr_mask_ipv6(struct addr *a, unsigned bits)
{
    uint8_t *ip = a->u.in6.sin6_addr.s6_addr;

    ASSERT(bits <= 128);
    if (a->u.any.sa_family != AF_INET6 || is_mapped(ip))
        return;
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = bits > 8 * i ? MIN_OF(bits - 8 * i, 8U) : 0;

        ip[i] = (uint8_t)(ip[i] & (0xff00U >> kept));
    }
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    uint8_t ip_a[16], ip_b[16];

    if (a->u.any.sa_family != b->u.any.sa_family)
        return false;
    if (a->u.any.sa_family == AF_UNIX)
        return strncmp(a->u.path.sun_path, b->u.path.sun_path, sizeof(a->u.path.sun_path)) == 0;
    return to_ip16(a, ip_a) && to_ip16(b, ip_b) && memcmp(ip_a, ip_b, sizeof(ip_a)) == 0 &&
           addr_port(a) == addr_port(b);
}

/* Whether the first `bits` of both are the same. */
static bool same_prefix(const uint8_t a[static 16], const uint8_t b[static 16], unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

int network_parse(struct slice text, struct network *ret, struct buf *why)
{
    ptrdiff_t slash = slice_find(text, '/');
    struct slice host = slash < 0 ? text : slice_sub(text, 0, (size_t)slash);
    uint8_t ip[16], masked[16] = {0};
    size_t ip_len = parse_ip(host, ip);
    uint64_t bits = ip_len * 8;

    if (ip_len == 0)
        return refuse(text, why,
                      "is not a network: expected 10.0.0.0/8, 2001:db8::/32 or an IP "
                      "address");
    if (slash >= 0 && slice_to_u64(slice_from(text, (size_t)slash + 1), bits, &bits) < 0)
        return refuse(text, why,
                      "has no prefix length from 0 to 32 (IPv4) or 128 (IPv6) behind "
                      "the slash");
    memcpy(masked, ip, (size_t)bits / 8);
    if (bits % 8)
        masked[bits / 8] = (uint8_t)(ip[bits / 8] & (0xff00U >> (bits % 8)));
    if (memcmp(masked, ip, ip_len) != 0)
        return refuse(text, why,
                      "has bits set behind its prefix length; write the network's first "
                      "address");
    if (ip_len == 4) {
        memcpy(ret->ip, ipv4_mapped, sizeof(ipv4_mapped));
        memcpy(ret->ip + sizeof(ipv4_mapped), ip, 4);
        bits += IPV4_MAPPED_BITS;
    } else {
        memcpy(ret->ip, ip, sizeof(ret->ip));
    }
    ret->prefix_bits = (uint8_t)bits;
    return 0;
}

bool network_contains(const struct network *n, const struct addr *a)
{
    uint8_t ip[16];

    if (!to_ip16(a, ip))
        return false;
    if (is_mapped(ip) && n->prefix_bits < IPV4_MAPPED_BITS)
        return false;
    return same_prefix(n->ip, ip, n->prefix_bits);
}
