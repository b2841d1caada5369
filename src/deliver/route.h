/*
 * deliver/route.h - the next hop of a recipient domain: static routes, a smart host, or MX.
 *
 * Looked up in this order, the first that is there wins: the domain itself; the suffixes of it
 * from the longest to the shortest (".sub.example.org" before ".example.org" before ".org"; a
 * suffix does not match the domain itself); "*"; else MX. Domains are compared without case.
 * A table is built once for a configuration and then only read, by any number of threads.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

enum route_kind {
    ROUTE_MX = 0, /* host is empty: the domain's own MX */
    ROUTE_SMTP,
    ROUTE_LMTP,
    ROUTE_LMTP_UNIX,
};

struct route_hop {
    enum route_kind kind;
    struct slice host; /* SMTP, LMTP: a host name, or an address without brackets */
    uint16_t port;     /* SMTP (25), LMTP (24) */
    struct slice path; /* LMTP_UNIX: absolute */
};

/*
 * Reads a next hop:
 *     mx                          smtp:HOST  smtp:HOST:PORT      lmtp:HOST  lmtp:HOST:PORT
 *     HOST  HOST:PORT  (smtp)     lmtp:unix:/PATH
 * where HOST is a host name, 192.0.2.1, [192.0.2.1] or [2001:db8::1] (IPv6 needs the brackets).
 * Slices are borrowed from `text`. 0, or -EINVAL: `*why` (may be NULL) gets a sentence that says
 * what is wrong and what is allowed.
 */
MUST_CHECK int route_hop_parse(struct slice text, struct route_hop *ret, struct buf *why);
/* Appends the text form, which route_hop_parse() reads back the same. */
MUST_CHECK int route_hop_format(const struct route_hop *hop, struct buf *to);

struct route {            /* one line of the configuration */
    struct slice pattern; /* "example.org", ".example.org", "*" */
    struct slice next;    /* as route_hop_parse() takes */
};

struct route_table; /* opaque */

/*
 * Copies all it is given. `smart_host` is the next hop for what no route matches; empty: MX. A
 * pattern given twice is an error. 0, -ENOMEM, or -EINVAL
 * with a sentence in `*why` (may be NULL) and the index of the route in `*ret_bad` (may be NULL;
 * `count` when it is the smart host).
 */
MUST_CHECK int route_table_new(struct route_table **ret, const struct route *routes, size_t count,
                               struct slice smart_host, struct buf *why, size_t *ret_bad);
void route_table_free(struct route_table **t); /* NULL is fine */
/* The next hop; lives as long as the table. An address literal, "[192.0.2.1]", matches a route of
 * its own or "*". The empty domain (postmaster alone) matches "*" or gives MX. Never NULL. */
const struct route_hop *route_find(const struct route_table *t, struct slice domain);
