#include "deliver/lane_rules.h"

#include <errno.h>
#include <string.h>

#include "config/nearest.h"
#include "config/policy.h"
#include "evidence/providers.h"

_Static_assert(CONFIG_WARM_UP_MAX <= ARRAY_SIZE(((struct lane_rules *)NULL)->warm_up.list),
               "room for every day of a list");

_Static_assert(CONFIG_WINDOW_MINUTES_MAX <= WINDOW_MINUTES, "windows keep so many minutes");

struct slice lane_group_of(const struct providers *p, struct slice provider)
{
    return p ? providers_group(p, provider) : (struct slice){0};
}

/* The day that the source's own setting says, else the block's; 0: it has none, and is warm. */
static int64_t warm_up_start(const struct config *c, struct slice source,
                             const struct config_lane_limits *l)
{
    const struct config_source *s = config_find_source(c, source);

    if (!s)
        return 0;
    return s->warm_up_start_ms ? s->warm_up_start_ms : l->warm_up_start_ms;
}

static void add_warm_up(const struct config *c, struct slice source,
                        const struct config_lane_limits *l, struct lane_rules *ret)
{
    ret->warm_up.start_ms = warm_up_start(c, source, l);
    ret->warm_up.factor = l->warm_up_factor;
    if (ret->warm_up.start_ms == 0)
        return;
    ret->warm_up.days = (uint32_t)l->warm_up.count;
    memcpy(ret->warm_up.list, l->warm_up.list, l->warm_up.count * sizeof(ret->warm_up.list[0]));
}

void lane_rules_of(const struct config *c, const struct providers *providers, struct slice provider,
                   struct slice source, struct lane_rules *ret)
{
    const struct config_lanes *l = &c->lanes;
    struct config_policy p;
    double rate_max, rate_floor = config_rate_per_second(l->rate_floor);

    config_find_lane_policy(c, provider, lane_group_of(providers, provider), &p);
    rate_max = config_rate_per_second(p.limits.rate_max);
    *ret = (struct lane_rules){
        .throttle = {.enabled = l->enabled,
                     .connections_max = p.limits.connections_max,
                     .connections_floor = p.limits.connections_floor,
                     .rate_max = rate_max,
                     .rate_floor = rate_max > 0 ? MIN_OF(rate_max, rate_floor) : rate_floor,
                     .connection_change = p.limits.connection_change,
                     .rate_change = p.limits.rate_change,
                     .window_ms = l->window_ms,
                     .sample_min = l->sample_min,
                     .hits_min = l->hits_min,
                     .alpha = 1 - l->confidence,
                     .watch_share = l->watch_share,
                     .throttle_share = l->throttle_share,
                     .incident_share = l->incident_share,
                     .baseline_factor = l->baseline_factor,
                     .queue_age_max_ms = p.limits.queue_age_max_ms,
                     .cycle_ms = (uint64_t)p.retry.delays_s[0] * 1000,
                     .hold_cycles = l->hold_cycles,
                     .restore_step = l->restore_step,
                     .step_hold_ms = l->step_hold_ms}};
    add_warm_up(c, source, &p.limits, ret);
}

struct lanes_settings lane_settings_of(const struct config *c)
{
    return (struct lanes_settings){.tick_ms = c->lanes.tick_ms,
                                   .minute_ms = (uint32_t)c->lanes.minute_ms,
                                   .sample_min = c->lanes.sample_min,
                                   .release_per_second =
                                       config_rate_per_second(c->lanes.release_rate),
                                   .other_connections = c->delivery.connections_max,
                                   .rest_ms = c->lanes.rest_ms,
                                   .spread_max_ms = c->lanes.spread_max_ms};
}

struct retry_policy lane_retry_of(const struct config_retry *r, uint32_t delay_dsn_s)
{
    struct retry_policy to = {.delay_count = (uint32_t)r->delay_count,
                              .jitter = r->jitter,
                              .max_queue_time_s = (uint32_t)r->max_queue_time_s,
                              .delay_dsn_s = delay_dsn_s};

    memcpy(to.delays_s, r->delays_s, sizeof(to.delays_s));
    return to;
}

/* ---- words that nobody knows ---- */

#define LIKE_MAX 3

struct like_search {
    struct slice word;
    const char *names[LIKE_MAX]; /* the nearest first */
    size_t distances[LIKE_MAX];
    size_t count;
};

/* A name that has the word in it is meant more likely than one that has all other letters. */
static size_t distance(struct slice word, const char *name)
{
    struct slice n = slice_str(name);

    return word.len >= 3 && slice_find_slice(n, word) >= 0 ? 0 : nearest_distance(word, n);
}

static void offer(struct like_search *s, const char *name)
{
    size_t d, at;

    if (!name)
        return;
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->names[i], name) == 0)
            return;
    d = distance(s->word, name);
    for (at = s->count; at > 0 && s->distances[at - 1] > d; at--)
        if (at < LIKE_MAX) {
            s->names[at] = s->names[at - 1];
            s->distances[at] = s->distances[at - 1];
        }
    if (at == LIKE_MAX)
        return;
    s->names[at] = name;
    s->distances[at] = d;
    s->count = MIN_OF(s->count + 1, (size_t)LIKE_MAX);
}

static void offer_provider(void *ctx, const struct provider_info *info)
{
    offer(ctx, info->name);
    offer(ctx, info->group);
}

static void tell_unknown(const struct config *c, size_t i, const struct providers *providers,
                         struct buf *why)
{
    const struct config_destination *d = &c->destinations[i];
    struct like_search s = {.word = slice_str(d->pattern)};

    providers_each(providers, offer_provider, &s);
    if (d->line)
        (void)buf_addf(why, "%s:%u:%u: ", d->file, d->line, d->column);
    else
        (void)buf_addf(why, "%s: ", d->file);
    (void)buf_addf(why,
                   "key 'destinations[%zu].destination': there is no provider or group '%s' (the "
                   "domain of that name is written '%s.')",
                   i, d->destination, d->destination);
    for (size_t k = 0; k < s.count; k++)
        (void)buf_addf(why, "%s'%s'", k ? ", " : "; nearest ", s.names[k]);
    (void)buf_push(why, '\n');
}

int lane_rules_check(const struct config *c, const struct providers *providers, struct buf *why)
{
    int r = 0;

    for (size_t i = 0; i < c->destination_count; i++) {
        const struct config_destination *d = &c->destinations[i];

        if (d->match == CONFIG_MATCH_NAME && !providers_knows(providers, slice_str(d->pattern))) {
            tell_unknown(c, i, providers, why);
            r = -EINVAL;
        }
    }
    return r;
}
