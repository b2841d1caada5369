/*
 * config/check_policy.c - sources, pools and destinations: what their texts mean, who is meant by
 * which name, and what has no sense together.
 *
 * Whether the table of providers knows the word of a block is not asked here: the table is not the
 * configuration's. Whoever has both asks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "config/config_int.h"
#include "config/nearest.h"
#include "config/policy.h"

#define ALL_SOURCES "all"

/* The arrays of a snapshot that is being made are still ours to write. */
static struct config_source *sources_of(struct loader *ld)
{
    return (struct config_source *)(uintptr_t)ld->config->sources;
}

static struct config_pool *pools_of(struct loader *ld)
{
    return (struct config_pool *)(uintptr_t)ld->config->pools;
}

static struct config_destination *destinations_of(struct loader *ld)
{
    return (struct config_destination *)(uintptr_t)ld->config->destinations;
}

/* A copy in the snapshot, of `a` and `b` together, in lower case; NULL: no memory. */
static const char *joined(struct loader *ld, const char *a, struct slice b)
{
    size_t len = strlen(a);
    char *text = pool_alloc(ld->pool, len + b.len + 1);

    ld->errors.no_memory |= !text;
    for (size_t i = 0; text && i < len; i++)
        text[i] = a[i];
    for (size_t i = 0; text && i < b.len; i++)
        text[len + i] = (char)byte_lower(b.ptr[i]);
    return text;
}

/* ---- sources ---- */

/* A source that names an address of one family would send from an address that nobody chose to hosts
 * of the other: so it sends to none. The addresses of `delivery` leave the other to the system. */
static enum config_families families_of(const struct loader *ld, size_t i)
{
    const struct config_source *s = &ld->config->sources[i];

    if (!check_place(ld, "sources", i, "ipv4").file && !check_place(ld, "sources", i, "ipv6").file)
        return ld->config->delivery.families;
    if (s->ipv4.len && !s->ipv6.len)
        return CONFIG_FAMILIES_IPV4;
    return s->ipv6.len && !s->ipv4.len ? CONFIG_FAMILIES_IPV6 : ld->config->delivery.families;
}

static void check_family(struct loader *ld, size_t i)
{
    struct config_source *s = &sources_of(ld)[i];
    enum config_families all = ld->config->delivery.families;

    s->families = families_of(ld, i);
    if ((s->families == CONFIG_FAMILIES_IPV4 && all == CONFIG_FAMILIES_IPV6) ||
        (s->families == CONFIG_FAMILIES_IPV6 && all == CONFIG_FAMILIES_IPV4))
        error_at(&ld->errors, check_place(ld, "sources", i, "name"),
                 "key 'sources[%zu]': it has no address of the family that delivery.families wants",
                 i);
}

static void check_sources(struct loader *ld)
{
    const struct config *c = ld->config;

    if (c->source_count == 0)
        error_at(&ld->errors, check_place_of(ld, "sources"), "key 'sources': at least one");
    for (size_t i = 0; i < c->source_count; i++) {
        if (!c->sources[i].ehlo_name) /* "none": as not given */
            sources_of(ld)[i].ehlo_name = c->delivery.ehlo_name;
        check_family(ld, i);
        for (size_t j = 0; j < i; j++)
            if (strcasecmp(c->sources[i].name, c->sources[j].name) == 0)
                error_at(&ld->errors, check_place(ld, "sources", i, "name"),
                         "key 'sources[%zu].name': sources[%zu] has the same", i, j);
    }
}

/* ---- pools ---- */

/* Of `count` names, those given by name_of(), the one that is like `name`; NULL: none is. */
static const char *nearest(const struct config *c, size_t count,
                           const char *(*name_of)(const struct config *c, size_t i),
                           const char *name)
{
    size_t best = MAX_OF((size_t)1, strlen(name) / 3) + 1;
    const char *found = NULL;

    for (size_t i = 0; i < count; i++) {
        size_t d = nearest_distance(slice_str(name_of(c, i)), slice_str(name));

        if (d < best) {
            best = d;
            found = name_of(c, i);
        }
    }
    return found;
}

static const char *source_name(const struct config *c, size_t i)
{
    return c->sources[i].name;
}

static const char *pool_name(const struct config *c, size_t i)
{
    return c->pools[i].name;
}

static void unknown_name(struct loader *ld, struct place at, const char *key, const char *what,
                         const char *name, const char *like)
{
    error_at(&ld->errors, at, "key '%s': there is no %s '%s'%s%s%s", key, what, name,
             like ? "; nearest '" : "", like ? like : "", like ? "'" : "");
}

static void make_shares(struct loader *ld, size_t i)
{
    const struct config *c = ld->config;
    struct config_pool *p = &pools_of(ld)[i];
    struct config_share *shares = pool_alloc(ld->pool, (p->members.count + 1) * sizeof(*shares));
    struct place at = check_place(ld, "pools", i, "sources");
    uint64_t weight = 0;
    char key[64];

    if (!shares) {
        ld->errors.no_memory = true;
        return;
    }
    (void)snprintf(key, sizeof(key), "pools[%zu].sources", i);
    p->shares = shares;
    for (size_t m = 0; m < p->members.count; m++) {
        const char *name = p->members.names[m];
        const struct config_source *source = config_find_source(c, slice_str(name));

        if (!source)
            unknown_name(ld, at, key, "source", name,
                         nearest(c, c->source_count, source_name, name));
        for (size_t k = 0; source && k < p->share_count; k++)
            if (shares[k].source == source)
                error_at(&ld->errors, at, "key '%s': '%s' is named twice; give it a weight", key,
                         name);
        weight += p->members.weights[m];
        shares[p->share_count++] = (struct config_share){source, p->members.weights[m]};
    }
    if (weight == 0)
        error_at(&ld->errors, at, "key '%s': at least one source with a weight above 0", key);
}

static void make_all_sources(struct loader *ld)
{
    const struct config *c = ld->config;
    struct config_pool *all = &ld->config->private->all_sources;
    struct config_share *shares = pool_alloc(ld->pool, c->source_count * sizeof(*shares));

    if (!shares) {
        ld->errors.no_memory = true;
        return;
    }
    for (size_t i = 0; i < c->source_count; i++)
        shares[i] = (struct config_share){&c->sources[i], 1};
    *all =
        (struct config_pool){.name = ALL_SOURCES, .shares = shares, .share_count = c->source_count};
}

static void check_pools(struct loader *ld)
{
    struct config *c = ld->config;

    make_all_sources(ld);
    for (size_t i = 0; i < c->pool_count; i++) {
        make_shares(ld, i);
        if (strcasecmp(c->pools[i].name, ALL_SOURCES) == 0)
            error_at(&ld->errors, check_place(ld, "pools", i, "name"),
                     "key 'pools[%zu].name': '" ALL_SOURCES "' is the pool of all sources", i);
        for (size_t j = 0; j < i; j++)
            if (strcasecmp(c->pools[i].name, c->pools[j].name) == 0)
                error_at(&ld->errors, check_place(ld, "pools", i, "name"),
                         "key 'pools[%zu].name': pools[%zu] has the same", i, j);
    }
    c->pool = &c->private->all_sources;
    if (!c->delivery.pool_name)
        return;
    c->pool = config_find_pool(c, slice_str(c->delivery.pool_name));
    if (!c->pool)
        unknown_name(ld, check_place_of(ld, "delivery.pool"), "delivery.pool", "pool",
                     c->delivery.pool_name,
                     nearest(c, c->pool_count, pool_name, c->delivery.pool_name));
}

/* ---- destinations ---- */

static bool has_dot(struct slice s)
{
    return slice_find(s, '.') >= 0;
}

/* What kind of destination the text is, and what of it is compared. */
static void read_destination(struct loader *ld, struct config_destination *d)
{
    struct slice text = slice_str(d->destination), rest = text;

    if (slice_eq(text, SLICE_LIT("*"))) {
        d->match = CONFIG_MATCH_ALL;
    } else if (slice_has_prefix_case(text, SLICE_LIT("mx:"))) {
        d->match = CONFIG_MATCH_MX;
        rest = slice_from(text, 3);
    } else if (slice_has_prefix_case(text, SLICE_LIT("route:"))) {
        d->match = CONFIG_MATCH_ROUTE;
        rest = slice_from(text, 6);
    } else if (text.ptr[0] == '.') {
        d->match = CONFIG_MATCH_SUFFIX;
    } else if (has_dot(text)) {
        d->match = CONFIG_MATCH_DOMAIN;
        if (text.ptr[text.len - 1] == '.')
            rest.len--;
    } else {
        d->match = CONFIG_MATCH_NAME;
    }
    d->pattern = joined(ld, "", rest);
}

static uint32_t keys_said(const struct loader *ld, size_t i)
{
    uint32_t says = 0;

    for (uint32_t k = 0; k < CONFIG_POLICY_KEYS; k++)
        if (check_place(ld, "destinations", i, config_policy_key_name(k)).file)
            says |= 1U << k;
    return says;
}

/* What holds for a whole lane, not for a domain. */
static uint32_t lane_keys(const struct config_destination *d)
{
    uint32_t keys = ~((1U << CONFIG_POLICY_LANE_KEYS) - 1);

    if (d->match == CONFIG_MATCH_MX || d->match == CONFIG_MATCH_NAME ||
        d->match == CONFIG_MATCH_ROUTE)
        keys |= 1U << CONFIG_KEY_CONNECTIONS_MAX;
    return keys & d->says;
}

static void set_limits(const struct config *c, struct config_destination *d)
{
    bool is_lanes = d->match == CONFIG_MATCH_MX || d->match == CONFIG_MATCH_NAME ||
                    d->match == CONFIG_MATCH_ROUTE;

    d->limits.connections_max = c->lanes.limits.connections_max;
    if (d->connections_max == 0)
        d->connections_max = is_lanes ? c->lanes.limits.connections_max
                                      : c->delivery.connections_per_destination_max;
    else if (is_lanes)
        d->limits.connections_max = d->connections_max;
}

static bool is_next_hop(const struct config *c, const char *text)
{
    if (c->delivery.smart_host.text && strcasecmp(c->delivery.smart_host.text, text) == 0)
        return true;
    for (size_t i = 0; i < c->delivery.route_count; i++)
        if (strcasecmp(c->delivery.routes[i].to.text, text) == 0)
            return true;
    return false;
}

/* Says some block, or some source, when a warm-up begins? */
static bool has_warm_up_start(const struct config *c)
{
    for (size_t i = 0; i < c->source_count; i++)
        if (c->sources[i].warm_up_start_ms)
            return true;
    for (size_t i = 0; i < c->destination_count; i++)
        if (c->destinations[i].limits.warm_up_start_ms)
            return true;
    return false;
}

static void check_block(struct loader *ld, size_t i, const struct config_destination *d)
{
    const struct config *c = ld->config;
    char key[64];

    if (d->pool_name && !config_find_pool(c, slice_str(d->pool_name)) &&
        (d->says & 1U << CONFIG_KEY_POOL)) {
        (void)snprintf(key, sizeof(key), "destinations[%zu].pool", i);
        unknown_name(ld, check_place(ld, "destinations", i, "pool"), key, "pool", d->pool_name,
                     nearest(c, c->pool_count, pool_name, d->pool_name));
    }
    if (d->match == CONFIG_MATCH_ROUTE && !is_next_hop(c, d->pattern))
        error_at(&ld->errors, check_place(ld, "destinations", i, "destination"),
                 "key 'destinations[%zu].destination': neither a route nor the smart host goes to "
                 "'%s'",
                 i, d->pattern);
    if (d->limits.warm_up.count && !has_warm_up_start(c))
        error_at(&ld->errors, check_place(ld, "destinations", i, "warm_up"),
                 "key 'destinations[%zu].warm_up': warm_up_start is needed too, here or for a "
                 "source",
                 i);
    if (d->limits.connections_floor > d->limits.connections_max)
        error_at(&ld->errors, (struct place){d->file, d->line, d->column},
                 "key 'destinations[%zu]': connections_floor is %u, and a lane has %u connections",
                 i, d->limits.connections_floor, d->limits.connections_max);
}

static void check_destination(struct loader *ld, size_t i)
{
    struct config_destination *d = &destinations_of(ld)[i];
    struct place at = check_place(ld, "destinations", i, "destination");
    struct config_private *p = ld->config->private;
    bool by_name, has_lane;

    read_destination(ld, d);
    if (!d->pattern)
        return;
    by_name = d->match == CONFIG_MATCH_NAME || d->match == CONFIG_MATCH_ROUTE;
    d->says = keys_said(ld, i);
    d->file = at.file;
    d->line = at.line;
    d->column = at.column;
    set_limits(ld->config, d);
    check_block(ld, i, d);
    has_lane = lane_keys(d) && !by_name && d->match != CONFIG_MATCH_ALL;
    if (has_lane)
        d->lane = joined(
            ld, "policy:", slice_str(d->match == CONFIG_MATCH_MX ? d->destination : d->pattern));
    if (d->match == CONFIG_MATCH_MX) {
        for (size_t j = 0; j < p->mx_block_count; j++)
            if (strcmp(p->mx_blocks[j]->pattern, d->pattern) == 0)
                error_at(&ld->errors, at, "key 'destinations[%zu]': there is another for '%s'", i,
                         d->destination);
        p->mx_blocks[p->mx_block_count++] = d;
    } else {
        check_file(ld, by_name ? &p->names : &p->destinations, d->pattern, d, at, "destinations",
                   i);
    }
    if (d->lane && !map_get(&p->lanes, slice_str(d->lane)) &&
        map_put(&p->lanes, slice_str(d->lane), d) < 0)
        ld->errors.no_memory = true;
}

/* The longest first; of the same length, in the order of the file. */
static int compare_patterns(const void *a, const void *b)
{
    const struct config_destination *const *x = a, *const *y = b;
    size_t lx = strlen((*x)->pattern), ly = strlen((*y)->pattern);

    if (lx != ly)
        return lx > ly ? -1 : 1;
    return *x < *y ? -1 : *x > *y;
}

static void check_destinations(struct loader *ld)
{
    struct config_private *p = ld->config->private;

    p->mx_blocks = pool_alloc(ld->pool, (ld->config->destination_count + 1) * sizeof(void *));
    if (!p->mx_blocks) {
        ld->errors.no_memory = true;
        return;
    }
    for (size_t i = 0; i < ld->config->destination_count; i++)
        check_destination(ld, i);
    qsort(p->mx_blocks, p->mx_block_count, sizeof(void *), compare_patterns);
}

static void check_lanes(struct loader *ld)
{
    const struct config_lanes *l = &ld->config->lanes;
    static const char order[] = "order: watch < throttle < incident";

    if (l->watch_share >= l->throttle_share)
        check_not_in_order(ld, offsetof(struct config, lanes.watch_share),
                           offsetof(struct config, lanes.throttle_share), false, order);
    if (l->throttle_share >= l->incident_share)
        check_not_in_order(ld, offsetof(struct config, lanes.throttle_share),
                           offsetof(struct config, lanes.incident_share), false, order);
    if (l->window_ms < l->minute_ms || l->window_ms > CONFIG_WINDOW_MINUTES_MAX * l->minute_ms)
        error_at(&ld->errors, check_place_of(ld, "lanes.window"),
                 "key 'lanes.window': from 1 to %d times lanes.minute", CONFIG_WINDOW_MINUTES_MAX);
    if (l->limits.connections_floor > l->limits.connections_max)
        check_not_in_order(ld, offsetof(struct config, lanes.limits.connections_floor),
                           offsetof(struct config, lanes.limits.connections_max), true,
                           "a cut ends at the floor");
}

void check_policies(struct loader *ld)
{
    check_lanes(ld);
    check_sources(ld);
    check_pools(ld);
    check_destinations(ld);
}
