/*
 * config/policy.h - what holds for the mail to one destination, and which source sends a message.
 *
 * Several blocks of `destinations` may hold for a domain. Each key has its value from the most
 * specific one that says it, in this order:
 *
 *     1. the domain itself             destination: example.org
 *     2. the longest suffix, then the next shorter one ...    .example.org
 *     3. the longest MX pattern that matches the best MX host, then the next    mx:*.example.net
 *     4. its provider                  microsoft-365
 *     5. its provider's group          microsoft-domains
 *     6. every destination             "*"
 *     7. the sections retry, delivery and lanes
 *
 * Mail of a route or the smart host waits for its next hop, whatever its domain: for it 1 to 5 are
 * the block of the next hop, route:10.0.0.7:25.
 *
 * Keys about lanes (from CONFIG_POLICY_LANE_KEYS on) belong to lanes, not to destinations: a
 * destination is in its provider's lane, which has them from 4 to 7. A block of 1 to 3 that says
 * one of them makes lanes of its own, one for each source, for the destinations that it is the most
 * specific such block of; these have them from that block, then from 6 and 7.
 *
 * Pure; any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "config/config.h"

/* X(constant, the key in a block, the setting that it has its value from where no block says). */
#define CONFIG_POLICY_KEYS_TABLE(X)                                                                \
    X(CONFIG_KEY_INITIAL_RETRY, "initial_retry", "retry.initial_retry")                            \
    X(CONFIG_KEY_NEXT_RETRY, "next_retry", "retry.next_retry")                                     \
    X(CONFIG_KEY_JITTER, "jitter", "retry.jitter")                                                 \
    X(CONFIG_KEY_MAX_QUEUE_TIME, "max_queue_time", "retry.max_queue_time")                         \
    X(CONFIG_KEY_POOL, "pool", "delivery.pool")                                                    \
    X(CONFIG_KEY_CONNECTIONS_MAX, "connections_max", "delivery.connections_per_destination_max")   \
    X(CONFIG_KEY_CONNECTION_CHANGE, "connection_change", "lanes.connection_change")                \
    X(CONFIG_KEY_CONNECTIONS_FLOOR, "connections_floor", "lanes.connections_floor")                \
    X(CONFIG_KEY_RATE_MAX, "rate_max", "lanes.rate_max")                                           \
    X(CONFIG_KEY_RATE_CHANGE, "rate_change", "lanes.rate_change")                                  \
    X(CONFIG_KEY_QUEUE_AGE_MAX, "queue_age_max", "lanes.queue_age_max")                            \
    X(CONFIG_KEY_WARM_UP, "warm_up", NULL)                                                         \
    X(CONFIG_KEY_WARM_UP_FACTOR, "warm_up_factor", NULL)                                           \
    X(CONFIG_KEY_WARM_UP_START, "warm_up_start", NULL)
#define CONFIG_POLICY_KEY_LINE(constant, name, from) constant,
enum config_policy_key { CONFIG_POLICY_KEYS_TABLE(CONFIG_POLICY_KEY_LINE) CONFIG_POLICY_KEYS };
/* The keys from this one on are about lanes. connections_max is too in a block by MX host, provider
 * or next hop: there it is the lane's limit, and in others that of each domain. */
#define CONFIG_POLICY_LANE_KEYS CONFIG_KEY_CONNECTION_CHANGE
const char *config_policy_key_name(enum config_policy_key k);
/* "retry.jitter"; NULL: it has no such setting, and is off. */
const char *config_policy_key_default(enum config_policy_key k);

/* What is known of a destination; what is not is empty. */
struct config_query {
    struct slice domain;
    const struct slice *mx_hosts; /* best first; borrowed */
    size_t mx_count;
    struct slice provider, group; /* of providers_of(); group empty: none */
    struct slice route; /* the next hop's text (config_target.text): only it and "*" hold then */
};

struct config_policy {
    struct config_retry retry;
    uint32_t connections_max; /* of the destination */
    const struct config_pool *pool;
    const char *lane; /* the provider's part of its lanes' names; NULL: its provider's */
    struct config_lane_limits limits; /* of that lane */

    /* The most specific block that holds; NULL: none. */
    const struct config_destination *block;
    const struct config_destination *lane_block; /* of the lane; NULL: none */
    /* Where each value comes from; NULL: from the settings. Those of connections_max: the
     * destination's; the lane's is `lane_connections`. */
    const struct config_destination *from[CONFIG_POLICY_KEYS];
    const struct config_destination *lane_connections;
};

/* What holds for a destination. */
void config_find_policy(const struct config *c, const struct config_query *q,
                        struct config_policy *ret);
/*
 * What holds for a lane: `provider` is the provider's part of its name, be it a provider's (of
 * `group`; empty: of none), a next hop's text or a block's own (config_policy.lane). Its .retry is
 * what a retry cycle of it is.
 */
void config_find_lane_policy(const struct config *c, struct slice provider, struct slice group,
                             struct config_policy *ret);
/* "the domain is below it" ...: a sentence part on why a block holds. */
const char *config_match_why(enum config_match m);
/* The value of a key, as a block would have it; "" where it is off. connections_max: the
 * destination's. */
void config_policy_format(const struct config_policy *p, enum config_policy_key k, struct buf *ret);

/*
 * The source that sends a message from a pool: by weight, and always the same one for the same id
 * while the pool is the same. When a source is added or goes, or its weight changes, only those
 * messages move that must (weighted rendezvous hashing: Schindelhauer and Schomaker 2005). Never
 * NULL, never one of weight 0.
 */
const struct config_source *config_choose_source(const struct config_pool *pool, uint64_t id);
/* The part of the messages that the i-th member of the pool sends, 0..1. */
double config_pool_share(const struct config_pool *pool, size_t i);
/* The source or pool called `name`; NULL. */
const struct config_source *config_find_source(const struct config *c, struct slice name);
const struct config_pool *config_find_pool(const struct config *c, struct slice name);
