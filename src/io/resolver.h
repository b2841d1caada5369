/*
 * io/resolver.h - asynchronous DNS (libunbound): MX, A, AAAA, and any other type as raw records.
 *
 * One resolver a loop; the work is done in libunbound's thread and the answers arrive in the loop.
 * An answer is never given before resolver_query() returned. Every query ends within the
 * configured time-out, with -ERR_DNS_TEMP if nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

struct loop;
struct resolver; /* opaque */
struct query;    /* opaque: a query under way */

enum { DNS_A = 1, DNS_CNAME = 5, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28 };

#define DNS_NAME_MAX 255
#define DNS_RECORDS_MAX 64 /* more are ignored: an answer is not trusted to be small */

struct resolver_config {
    /* "127.0.0.1@5353" (libunbound's form; several, NULL-ended): ask these servers. NULL or empty:
     * those of /etc/resolv.conf. */
    const char *const *servers;
    const char *trust_anchor_file; /* DNSSEC root key; NULL: no validation, secure stays false */
    uint32_t timeout_ms;
    bool no_cache; /* tests */
};

struct dns_answer {
    /*
     * 0: records follow. -ERR_DNS_NONE: the name or the type does not exist, said with authority.
     * -ERR_DNS_TEMP: no answer, SERVFAIL, or DNSSEC says bogus: ask again later.
     */
    int err;
    bool secure; /* the answer was validated with DNSSEC */
    bool bogus;
    bool nxdomain;         /* with -ERR_DNS_NONE: the name itself does not exist */
    const char *canonical; /* the name after CNAMEs, without a final dot; else the asked one */
    uint32_t ttl_s;
    size_t count;
    /* Raw RDATA. A: 4 bytes. AAAA: 16. MX: preference (big-endian) and a wire-format name. */
    const struct slice *records; /* valid during the callback */
    const char *why;             /* on failure a sentence part, e.g. "SERVFAIL"; else "" */
};

/* 0, -ENOMEM, -EMFILE, or -EINVAL with a sentence in `*why` (may be NULL): a server or the trust
 * anchor is not usable. `config` may go afterwards. The thread starts with the first query. */
MUST_CHECK int resolver_new(struct resolver **ret, struct loop *loop,
                            const struct resolver_config *config, struct buf *why);
/* Cancels all queries without calling them back. Not from a callback of a query. NULL is fine. */
void resolver_free(struct resolver **r);

/* No query is under way, nor is one being answered: it may be freed. */
bool resolver_is_idle(const struct resolver *r);

/* `name` is NUL-ended, in ASCII (A-labels: letters, digits, '-' and '_'), with or without a final
 * dot, and is looked up as it is: no search list. 0 and `*ret_query` (may be given NULL), valid
 * until the callback is called; or -ENOMEM, -EINVAL (not a domain name). */
MUST_CHECK int resolver_query(struct resolver *r, const char *name, uint16_t type,
                              void (*fn)(void *ctx, const struct dns_answer *answer), void *ctx,
                              struct query **ret_query);
void query_cancel(struct query **q); /* the callback will not be called */

/* Reads a wire-format name (no compression) as text without the final dot into `ret`; "" is the
 * root (a null MX, RFC 7505). 0, or -EINVAL: not one whole name, or it has bytes that
 * resolver_query() would not take (`ret` has any content then). `ret` holds at least
 * DNS_NAME_MAX + 1 bytes. */
MUST_CHECK int dns_name_to_text(struct slice wire, char *ret, size_t size);
