/*
 * logscan/own_hosts.c - a list of networks, the private ones first, and one of patterns of names.
 */
#include "logscan/own_hosts.h"

#include <errno.h>
#include <stdlib.h>

#include "evidence/providers.h"

/* RFC 1918, 6598, 1122 (loopback), 3927, 4193, 4291. */
static const char *const private_networks[] = {"10.0.0.0/8",    "172.16.0.0/12", "192.168.0.0/16",
                                               "100.64.0.0/10", "127.0.0.0/8",   "169.254.0.0/16",
                                               "fc00::/7",      "fe80::/10",     "::1/128"};

struct own_hosts {
    size_t network_count, name_count;
    struct network *networks;
    struct slice *names;
};

void own_hosts_free(struct own_hosts **o)
{
    if (!*o)
        return;
    free((*o)->networks);
    free((*o)->names);
    free(*o);
    *o = NULL;
}

/* What begins as an address does, or has a '/': no name does. */
static bool is_meant_as_network(struct slice text)
{
    return slice_find(text, '/') >= 0 || slice_find(text, ':') >= 0 ||
           (text.len > 0 && byte_is_digit(text.ptr[text.len - 1]));
}

static int add(struct own_hosts *o, const char *text, struct buf *why)
{
    struct slice t = slice_str(text);

    if (is_meant_as_network(t)) {
        if (network_parse(t, &o->networks[o->network_count], why) < 0)
            return -EINVAL;
        o->network_count++;
        return 0;
    }
    if (t.len == 0) {
        (void)buf_add_str(why,
                          "a host of our own is a name, an address or a network, and not empty");
        return -EINVAL;
    }
    o->names[o->name_count++] = t;
    return 0;
}

int own_hosts_new(struct own_hosts **ret, const char *const *own, size_t count, struct buf *why)
{
    struct own_hosts *o = calloc(1, sizeof(*o));
    int r = 0;

    if (!o)
        return -ENOMEM;
    o->networks = calloc(count + ARRAY_SIZE(private_networks), sizeof(*o->networks));
    o->names = calloc(count + 1, sizeof(*o->names));
    if (!o->networks || !o->names)
        r = -ENOMEM;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(private_networks); i++)
        r = add(o, private_networks[i], why);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = add(o, own[i], why);
    if (r == 0)
        *ret = o;
    else
        own_hosts_free(&o);
    return r;
}

bool own_hosts_has(const struct own_hosts *o, struct slice host, struct slice address)
{
    struct addr a;

    if (address.len > 0 && addr_parse(address, 0, &a, NULL) == 0)
        for (size_t i = 0; i < o->network_count; i++)
            if (network_contains(&o->networks[i], &a))
                return true;
    for (size_t i = 0; host.len > 0 && i < o->name_count; i++)
        if (provider_pattern_matches(o->names[i], host))
            return true;
    return false;
}
