/*
 * config/policy.c - the blocks that hold for a destination, in order, joined key by key; and the
 * choice of a source.
 */
#include "config/policy.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "config/config_int.h"

/* Blocks that hold at once: the domain, its suffixes (at most 127), MX patterns, and few more. */
#define CHAIN_MAX 160
#define CHAIN_REST 4 /* by provider, group and next hop, and "*" */

struct chain {
    const struct config_destination *blocks[CHAIN_MAX]; /* the most specific first */
    size_t count;
};

#define KEY_LINE(constant, name, from) {name, from},
static const struct {
    const char *name, *from;
} keys[] = {CONFIG_POLICY_KEYS_TABLE(KEY_LINE)};

const char *config_policy_key_name(enum config_policy_key k)
{
    return keys[k].name;
}

const char *config_policy_key_default(enum config_policy_key k)
{
    return keys[k].from;
}

const char *config_match_why(enum config_match m)
{
    static const char *const sentences[CONFIG_MATCHES] = {
        [CONFIG_MATCH_DOMAIN] = "it is the domain",
        [CONFIG_MATCH_SUFFIX] = "the domain is below it",
        [CONFIG_MATCH_MX] = "the best MX host matches it",
        [CONFIG_MATCH_NAME] = "it is the provider, or its group",
        [CONFIG_MATCH_ROUTE] = "mail goes to that next hop",
        [CONFIG_MATCH_ALL] = "it is for all destinations",
    };

    return sentences[m];
}

/* ---- which blocks hold ---- */

static void chain_add(struct chain *c, const struct config_destination *d)
{
    if (!d)
        return;
    ASSERT(c->count < CHAIN_MAX);
    c->blocks[c->count++] = d;
}

static void add_domain(const struct config_private *p, struct slice domain, struct chain *to)
{
    if (domain.len > 1 && domain.ptr[domain.len - 1] == '.')
        domain.len--;
    if (slice_eq(domain, SLICE_LIT("*")))
        return;
    chain_add(to, map_get(&p->destinations, domain));
    for (size_t i = 1; i < domain.len && to->count < CHAIN_MAX - CHAIN_REST; i++)
        if (domain.ptr[i] == '.')
            chain_add(to, map_get(&p->destinations, slice_from(domain, i)));
}

/* '*' is any text, '?' any byte. Goes back to the last '*' only: linear but for that. */
static bool matches(struct slice pattern, struct slice host)
{
    size_t p = 0, h = 0, star = SIZE_MAX, from = 0;

    while (h < host.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            from = h;
        } else if (p < pattern.len && (pattern.ptr[p] == '?' ||
                                       byte_lower(pattern.ptr[p]) == byte_lower(host.ptr[h]))) {
            p++;
            h++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            h = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

static void add_mx(const struct config_private *p, const struct config_query *q, struct chain *to)
{
    struct slice host;

    if (q->mx_count == 0)
        return;
    host = q->mx_hosts[0];
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    for (size_t i = 0; i < p->mx_block_count && to->count < CHAIN_MAX - CHAIN_REST; i++)
        if (matches(slice_str(p->mx_blocks[i]->pattern), host))
            chain_add(to, p->mx_blocks[i]);
}

static void add_name(const struct config_private *p, struct slice name, enum config_match match,
                     struct chain *to)
{
    const struct config_destination *d = name.len ? map_get(&p->names, name) : NULL;

    if (d && d->match == match && (to->count == 0 || to->blocks[to->count - 1] != d))
        chain_add(to, d);
}

static void add_all(const struct config_private *p, struct chain *to)
{
    chain_add(to, map_get(&p->destinations, SLICE_LIT("*")));
}

/* ---- joining ---- */

static bool says(const struct config_destination *d, enum config_policy_key k)
{
    return d->says & 1U << k;
}

static bool is_of_lanes(const struct config_destination *d)
{
    return d->match == CONFIG_MATCH_MX || d->match == CONFIG_MATCH_NAME ||
           d->match == CONFIG_MATCH_ROUTE;
}

static const struct config_destination *first_that_says(const struct chain *c,
                                                        enum config_policy_key k)
{
    for (size_t i = 0; i < c->count; i++)
        if (says(c->blocks[i], k))
            return c->blocks[i];
    return NULL;
}

static const struct config_destination *first_with_connections(const struct chain *c, bool of_lanes)
{
    for (size_t i = 0; i < c->count; i++)
        if (says(c->blocks[i], CONFIG_KEY_CONNECTIONS_MAX) && is_of_lanes(c->blocks[i]) == of_lanes)
            return c->blocks[i];
    return NULL;
}

/* What is about destinations. */
static void join_destination(const struct config *c, const struct chain *chain,
                             struct config_policy *ret)
{
    const struct config_retry *r = &c->retry.policy;
    const struct config_destination *d;

    for (uint32_t k = 0; k < CONFIG_KEY_CONNECTIONS_MAX; k++)
        ret->from[k] = first_that_says(chain, k);
    d = ret->from[CONFIG_KEY_INITIAL_RETRY];
    ret->retry.delays_s[0] = (d ? &d->retry : r)->delays_s[0];
    d = ret->from[CONFIG_KEY_NEXT_RETRY];
    memcpy(ret->retry.delays_s + 1, (d ? &d->retry : r)->delays_s + 1,
           sizeof(ret->retry.delays_s) - sizeof(ret->retry.delays_s[0]));
    ret->retry.delay_count = (d ? &d->retry : r)->delay_count;
    d = ret->from[CONFIG_KEY_JITTER];
    ret->retry.jitter = (d ? &d->retry : r)->jitter;
    d = ret->from[CONFIG_KEY_MAX_QUEUE_TIME];
    ret->retry.max_queue_time_s = (d ? &d->retry : r)->max_queue_time_s;
    d = ret->from[CONFIG_KEY_POOL];
    ret->pool = d && d->pool_name ? config_find_pool(c, slice_str(d->pool_name)) : c->pool;
    d = ret->from[CONFIG_KEY_CONNECTIONS_MAX] =
        first_with_connections(chain, /* of_lanes= */ false);
    ret->connections_max = d ? d->connections_max : c->delivery.connections_per_destination_max;
}

/* What is about lanes. */
static void join_lane(const struct config *c, const struct chain *chain, struct config_policy *ret)
{
    const struct config_lane_limits *own = &c->lanes.limits;
    const struct config_destination *d;

    for (uint32_t k = CONFIG_POLICY_LANE_KEYS; k < CONFIG_POLICY_KEYS; k++)
        ret->from[k] = first_that_says(chain, k);
    ret->lane_block = chain->count ? chain->blocks[0] : NULL;
    ret->lane_connections = d = first_with_connections(chain, /* of_lanes= */ true);
    ret->limits.connections_max = (d ? &d->limits : own)->connections_max;
    d = ret->from[CONFIG_KEY_CONNECTIONS_FLOOR];
    ret->limits.connections_floor = (d ? &d->limits : own)->connections_floor;
    /* Blocks do not know of each other: one's floor may be above another's maximum. */
    if (ret->limits.connections_floor > ret->limits.connections_max)
        ret->limits.connections_floor = ret->limits.connections_max;
    d = ret->from[CONFIG_KEY_CONNECTION_CHANGE];
    ret->limits.connection_change = (d ? &d->limits : own)->connection_change;
    d = ret->from[CONFIG_KEY_RATE_MAX];
    ret->limits.rate_max = (d ? &d->limits : own)->rate_max;
    d = ret->from[CONFIG_KEY_RATE_CHANGE];
    ret->limits.rate_change = (d ? &d->limits : own)->rate_change;
    d = ret->from[CONFIG_KEY_QUEUE_AGE_MAX];
    ret->limits.queue_age_max_ms = (d ? &d->limits : own)->queue_age_max_ms;
    d = ret->from[CONFIG_KEY_WARM_UP];
    ret->limits.warm_up = d ? d->limits.warm_up : (struct config_counts){.count = 0};
    d = ret->from[CONFIG_KEY_WARM_UP_FACTOR];
    ret->limits.warm_up_factor = d ? d->limits.warm_up_factor : 1;
    d = ret->from[CONFIG_KEY_WARM_UP_START];
    ret->limits.warm_up_start_ms = d ? d->limits.warm_up_start_ms : 0;
}

/* The chain of a lane: that of a block's own lanes, or that of a provider's or a next hop's. */
static void lane_chain(const struct config_private *p, const struct config_destination *own,
                       struct slice provider, struct slice group, struct chain *ret)
{
    *ret = (struct chain){.count = 0};
    if (own) {
        chain_add(ret, own);
    } else {
        add_name(p, provider, CONFIG_MATCH_ROUTE, ret);
        add_name(p, provider, CONFIG_MATCH_NAME, ret);
        add_name(p, group, CONFIG_MATCH_NAME, ret);
    }
    add_all(p, ret);
}

void config_find_policy(const struct config *c, const struct config_query *q,
                        struct config_policy *ret)
{
    const struct config_private *p = c->private;
    struct chain chain = {.count = 0}, lane;
    const struct config_destination *own = NULL;

    *ret = (struct config_policy){.pool = c->pool};
    if (q->route.len) {
        add_name(p, q->route, CONFIG_MATCH_ROUTE, &chain);
    } else {
        add_domain(p, q->domain, &chain);
        add_mx(p, q, &chain);
        for (size_t i = 0; !own && i < chain.count; i++)
            if (chain.blocks[i]->lane)
                own = chain.blocks[i];
        add_name(p, q->provider, CONFIG_MATCH_NAME, &chain);
        add_name(p, q->group, CONFIG_MATCH_NAME, &chain);
    }
    add_all(p, &chain);
    join_destination(c, &chain, ret);
    ret->block = chain.count ? chain.blocks[0] : NULL;
    ret->lane = own ? own->lane : NULL;
    lane_chain(p, own, q->route.len ? q->route : q->provider, q->group, &lane);
    join_lane(c, &lane, ret);
}

void config_find_lane_policy(const struct config *c, struct slice provider, struct slice group,
                             struct config_policy *ret)
{
    const struct config_private *p = c->private;
    const struct config_destination *own = map_get(&p->lanes, provider);
    struct chain chain;

    *ret = (struct config_policy){.lane = own ? own->lane : NULL};
    lane_chain(p, own, provider, group, &chain);
    join_destination(c, &chain, ret);
    join_lane(c, &chain, ret);
    ret->block = ret->lane_block;
}

void config_policy_format(const struct config_policy *p, enum config_policy_key k, struct buf *ret)
{
    const struct setting *list = settings_find(&settings_main, SLICE_LIT("destinations"));
    const struct config_destination d = {.retry = p->retry,
                                         .connections_max = p->connections_max,
                                         .pool_name = p->pool ? p->pool->name : NULL,
                                         .limits = p->limits};

    value_format(settings_find(list->sub, slice_str(keys[k].name)), &d, ret);
}

/* ---- sources ---- */

const struct config_source *config_find_source(const struct config *c, struct slice name)
{
    for (size_t i = 0; i < c->source_count; i++)
        if (slice_eq_case(slice_str(c->sources[i].name), name))
            return &c->sources[i];
    return NULL;
}

const struct config_pool *config_find_pool(const struct config *c, struct slice name)
{
    const struct config_pool *all = &c->private->all_sources;

    if (slice_eq_case(slice_str(all->name), name))
        return all;
    for (size_t i = 0; i < c->pool_count; i++)
        if (slice_eq_case(slice_str(c->pools[i].name), name))
            return &c->pools[i];
    return NULL;
}

/* splitmix64's finish: each bit of the result depends on each of the input. */
static uint64_t mixed(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

/*
 * Each source draws an exponential time with its weight as the rate, from a chance that only the
 * message and the source make; the shortest wins, with a probability of weight / sum of weights.
 */
const struct config_source *config_choose_source(const struct config_pool *pool, uint64_t id)
{
    const struct config_source *best = NULL;
    double shortest = 0;

    for (size_t i = 0; i < pool->share_count; i++) {
        const struct config_share *s = &pool->shares[i];
        uint64_t chance = mixed(id ^ mixed(slice_hash_case(slice_str(s->source->name), 0)));
        double u = ((double)(chance >> 11) + 0.5) * 0x1p-53, time; /* in (0, 1) */

        if (s->weight == 0)
            continue;
        time = -log(u) / s->weight;
        if (!best || time < shortest) {
            shortest = time;
            best = s->source;
        }
    }
    ASSERT(best); /* check_policy.c: some weight is above 0 */
    return best;
}

double config_pool_share(const struct config_pool *pool, size_t i)
{
    double sum = 0;

    for (size_t k = 0; k < pool->share_count; k++)
        sum += pool->shares[k].weight;
    return pool->shares[i].weight / sum;
}

double config_rate_per_second(struct config_rate r)
{
    return r.count ? (double)r.count / r.per_s : 0;
}
