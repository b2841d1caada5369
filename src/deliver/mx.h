/*
 * deliver/mx.h - which hosts to try for a domain, and in which order (RFC 5321, section 5;
 * RFC 7505; RFC 3596), as a state machine that asks for DNS lookups and does none.
 *
 *     mx_start() -> mx_next() = MX_LOOKUP -> (ask DNS) -> mx_answer() -> mx_next() ...
 *                             = MX_TRY    -> (connect there; if that fails come again)
 *                             = MX_WAIT   -> (until the next mx_answer())
 *                             = MX_END    -> mx_verdict()
 *
 * Hosts of one preference are looked up together and shuffled; the next preference is looked up
 * only when all hosts before it were tried. When our own name or address is among the hosts, that
 * preference and all worse ones are left out; when nothing better is left the mail loops (5.4.6).
 * DNS is not trusted: names that are no host names (addresses among them), unspecified and
 * multicast addresses and duplicates are dropped, and every count is bounded.
 *
 * Engine: no I/O, no clock; randomness is handed in. A value inside the caller's struct (about
 * 10 KiB); no memory of its own. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/rand.h"
#include "base/slice.h"
#include "config/config.h"
#include "io/addr.h"
#include "io/resolver.h"

#define MX_HOSTS_MAX 16
#define MX_ADDRESSES_PER_FAMILY 4 /* of one host */
#define MX_WHY_MAX 400

struct mx_config { /* borrowed from mx_start() on */
    enum config_families families;
    uint16_t port;      /* 25 */
    uint32_t hosts_max; /* the best so many; 0: MX_HOSTS_MAX */
    uint32_t tries_max; /* addresses given in one round; 0: no limit but those above */
    const struct slice *own_names;
    size_t own_name_count;
    /* Whether connecting to that address would reach ourselves; NULL: never. */
    bool (*is_own)(void *ctx, const struct addr *a);
    void *ctx;
};

enum mx_step_kind { MX_LOOKUP = 1, MX_TRY, MX_WAIT, MX_END };

struct mx_step {
    uint32_t lookup;     /* MX_LOOKUP: to be given to mx_answer() */
    uint16_t type;       /* MX_LOOKUP: DNS_MX, DNS_A, DNS_AAAA */
    const char *name;    /* MX_LOOKUP: what to ask for; MX_TRY: the host's name ("[192.0.2.1]" for a
                         literal), for EHLO checks, TLS and logs. Valid as long as the mx */
    struct addr addr;    /* MX_TRY */
    uint16_t preference; /* MX_TRY */
    bool secure;         /* MX_TRY: every answer that led here was validated with DNSSEC */
};

/* What MX_END means for the mail. */
enum mx_result {
    MX_TRIED_ALL = 1, /* at least one address was given: the last attempt says what happened */
    MX_DEFER,
    MX_FAIL,
};
struct mx_verdict {
    enum mx_result result;
    uint16_t code; /* MX_DEFER, MX_FAIL: the reply code a client would be told: 451, 550, 556 */
    const char *status; /* "5.1.10" */
    const char *why;    /* a sentence part that names the domain and what DNS said */
};

struct mx_host { /* private */
    char name[DNS_NAME_MAX + 1];
    uint16_t preference;
    uint8_t waiting; /* answers still to come: bit 0 A, bit 1 AAAA */
    uint8_t asked;
    bool insecure, own;
    uint8_t count, given;
    struct {
        uint8_t ip[16];
        uint8_t len;
    } addresses[2 * MX_ADDRESSES_PER_FAMILY];
};

struct mx { /* fields are private */
    const struct mx_config *config;
    struct rand *rand;
    uint16_t port;
    uint8_t state;
    bool is_route, mx_secure, temporary, looped;
    uint32_t tries;
    uint32_t host_count, level_start, level_end, at;
    struct mx_verdict verdict;
    char domain[DNS_NAME_MAX + 3];
    char why[MX_WHY_MAX];
    struct mx_host hosts[MX_HOSTS_MAX];
};

/*
 * Starts for the domain of an address: a name in ASCII or UTF-8 (converted to A-labels, RFC 5891)
 * or an address literal, "[192.0.2.1]" or "[IPv6:2001:db8::1]". A bad one is not an error here but
 * the verdict (5.1.2, 5.1.3). `config` and `rand` are borrowed as long as `m` is used.
 */
void mx_start(struct mx *m, const struct mx_config *config, struct rand *rand, struct slice domain);
/*
 * Start for the next hop of a static route or a smart host: mx_start_host() for one host, a name
 * or an address, with or without brackets (no MX lookup, A and AAAA only); mx_start_relay() for
 * the MX hosts of a domain other than the recipient's. All their failures are temporary (4.3.5),
 * since they are the operator's to mend, not the sender's.
 */
void mx_start_host(struct mx *m, const struct mx_config *config, struct rand *rand,
                   struct slice host, uint16_t port);
void mx_start_relay(struct mx *m, const struct mx_config *config, struct rand *rand,
                    struct slice domain);

enum mx_step_kind mx_next(struct mx *m, struct mx_step *ret);
/* The answer to a lookup, once each. One that was not asked for is ignored. */
void mx_answer(struct mx *m, uint32_t lookup, const struct dns_answer *answer);
/*
 * The names of the hosts that DNS gave, best first, those of one preference in any order, at most
 * `max`; borrowed from `m`. 0 until the first lookup was answered, and where there are none.
 */
size_t mx_hosts(const struct mx *m, struct slice *ret, size_t max);
/* After MX_END; borrowed from `m`. */
const struct mx_verdict *mx_verdict(const struct mx *m);
