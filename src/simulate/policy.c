#include "simulate/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "config/policy.h"
#include "deliver/lane_rules.h"

#define MINUTE_MS 60000

#define POSTFIX_FIRST 5
#define POSTFIX_DEAD_COHORTS 1.0
#define KUMOMTA_MATCHES 10 /* in a minute */
#define KUMOMTA_MS (90 * (int64_t)MINUTE_MS)
#define KUMOMTA_PER_SECOND (1.0 / 60)
#define KUMOMTA_FAILURES 100 /* connections in a row */
#define ORACLE_SHARE 0.95
#define ORACLE_RETRY_S 60

const char *simulate_policy_name(enum simulate_policy p)
{
#define SIMULATE_POLICY_NAME(constant, name) [constant] = name,
    static const char *const names[] = {SIMULATE_POLICIES(SIMULATE_POLICY_NAME)};

    return p < SIMULATE_POLICY_COUNT ? names[p] : "";
}

enum simulate_policy simulate_policy_find(struct slice name)
{
    enum simulate_policy p = SIMULATE_PLAYBOOK;

    while (p < SIMULATE_POLICY_COUNT && !slice_eq(name, slice_str(simulate_policy_name(p))))
        p++;
    return p;
}

/* ---- how messages wait ---- */

static struct retry_policy retry_of(enum simulate_policy id, const struct config *c)
{
    static const struct {
        uint32_t count, delays_s[8];
    } models[SIMULATE_POLICY_COUNT] = {
        [SIMULATE_FIXED] = {6, {300, 600, 1200, 2400, 4800, 9600}},
        /* As long as it is old: after 5 minutes it is 5 minutes old, then 10, 20 .. */
        [SIMULATE_POSTFIX] = {6, {300, 300, 600, 1200, 2400, 4000}},
        [SIMULATE_KUMOMTA] = {8, {1200, 2400, 4800, 9600, 19200, 38400, 76800, 153600}},
        [SIMULATE_ORACLE] = {1, {ORACLE_RETRY_S}},
    };
    struct retry_policy p = lane_retry_of(&c->retry.policy, 0);

    if (id == SIMULATE_PLAYBOOK)
        return p;
    p.jitter = 0;
    p.delay_count = models[id].count;
    memcpy(p.delays_s, models[id].delays_s, models[id].count * sizeof(p.delays_s[0]));
    return p;
}

static uint32_t schedule_connections(const struct scenario *s, const struct config *c)
{
    return MAX_OF(c->delivery.connections_max, s->connections * (uint32_t)s->source_count);
}

void policy_schedule(enum simulate_policy id, const struct scenario *s, const struct config *c,
                     struct schedule_config *ret)
{
    *ret = (struct schedule_config){
        .connections_max = schedule_connections(s, c),
        .connections_per_destination = s->connections,
        .connections_new = 0,
        .retry = retry_of(id, c),
        .entries_max = UINT32_MAX - 1,
    };
}

/* ---- the playbook's seams ---- */

static void on_rules(void *ctx, struct slice provider, struct slice source, struct lane_rules *ret)
{
    const struct policy *p = ctx;
    const struct scenario *s = p->scenario;

    lane_rules_of(p->setup->config, p->setup->knowledge->providers, provider, source, ret);
    for (size_t i = 0; i < s->source_count; i++) {
        const struct config_counts *days = &s->sources[i].warm_up;

        if (days->count == 0 || !slice_eq_case(source, slice_str(s->sources[i].name)))
            continue;
        ret->warm_up.days = (uint32_t)days->count;
        ret->warm_up.factor = 1;
        ret->warm_up.start_ms = p->start_ms;
        memcpy(ret->warm_up.list, days->list, days->count * sizeof(days->list[0]));
    }
}

static void on_decided(void *ctx, struct slice lane, const struct throttle_decision *d)
{
    struct policy *p = ctx;

    (void)lane;
    (void)d;
    p->result->decisions++;
}

/* The one that is told of, or a new place for it; NULL: all are taken. */
static struct simulate_incident *place_of(struct simulate_result *r, uint32_t node, uint64_t id)
{
    for (size_t i = 0; i < MIN_OF(r->incident_count, (uint64_t)SIMULATE_INCIDENTS_MAX); i++)
        if (r->incidents[i].id == id && r->incidents[i].node == node)
            return &r->incidents[i];
    if (r->incident_count >= SIMULATE_INCIDENTS_MAX)
        return NULL;
    return &r->incidents[r->incident_count];
}

static void on_incident(void *ctx, const struct incident *i)
{
    struct policy *p = ctx;
    struct simulate_result *r = p->result;
    struct simulate_incident *to = place_of(r, p->node, i->id);

    if (!to || to->id != i->id || to->node != p->node)
        r->incident_count++;
    if (!to)
        return;
    *to = (struct simulate_incident){.opened_ms = i->opened_ms - p->start_ms,
                                     .closed_ms = i->closed_ms ? i->closed_ms - p->start_ms : 0,
                                     .id = i->id,
                                     .node = p->node,
                                     .refusals = i->refusals,
                                     .side = i->verdict.side};
    memcpy(to->lane, i->lane, sizeof(to->lane));
    memcpy(to->kind, i->kind, sizeof(to->kind));
}

static int playbook_init(struct policy *p)
{
    struct lanes_settings settings = lane_settings_of(p->setup->config);
    const struct lanes_seams seams = {
        .ctx = p, .rules = on_rules, .decided = on_decided, .incident = on_incident};

    settings.other_connections = schedule_connections(p->scenario, p->setup->config);
    return lanes_new(&p->lanes, &settings, p->schedule, &seams);
}

/* ---- the object ---- */

static int models_init(struct policy *p)
{
    const struct scenario *s = p->scenario;
    size_t count = s->provider_count * s->source_count;

    p->models = calloc(count, sizeof(*p->models));
    if (!p->models)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct policy_lane *lane = &p->models[i];
        bool is_separate = s->providers[i / s->source_count].is_separate;
        int r = schedule_lane_new(p->schedule, &lane->schedule_lane);

        if (r < 0)
            return r;
        lane->limits.connections = p->id == SIMULATE_POSTFIX
                                       ? MIN_OF((uint32_t)POSTFIX_FIRST, s->connections)
                                       : s->connections;
        if (is_separate) /* what is learnt of one tells nothing of the others */
            lane->limits.connections = UINT32_MAX;
        schedule_lane_set_limits(p->schedule, lane->schedule_lane, &lane->limits);
    }
    return 0;
}

int policy_init(struct policy *p, enum simulate_policy id, const struct scenario *s,
                const struct simulate_setup *setup, struct schedule *schedule, uint32_t node,
                int64_t now_ms, struct simulate_result *result)
{
    int r;

    *p = (struct policy){.id = id,
                         .scenario = s,
                         .setup = setup,
                         .schedule = schedule,
                         .result = result,
                         .node = node,
                         .start_ms = now_ms};
    r = id == SIMULATE_PLAYBOOK ? playbook_init(p) : models_init(p);
    if (r < 0)
        policy_done(p);
    return r;
}

void policy_done(struct policy *p)
{
    lanes_free(&p->lanes);
    free(p->models);
    p->models = NULL;
}

static struct policy_lane *model_of(const struct policy *p, uint32_t provider, uint32_t source)
{
    return &p->models[provider * p->scenario->source_count + source];
}

/* As the server's queue does it; each provider's MX host is called as it is. */
static int join_lane(struct policy *p, uint32_t destination, struct slice domain,
                     struct slice provider, struct slice source, int64_t now_ms, lane_ref *ret)
{
    const struct config_query query = {.domain = domain,
                                       .mx_hosts = &provider,
                                       .mx_count = 1,
                                       .provider = provider,
                                       .group =
                                           lane_group_of(p->setup->knowledge->providers, provider)};
    struct config_policy policy;
    struct retry_policy retry;

    config_find_policy(p->setup->config, &query, &policy);
    retry = lane_retry_of(&policy.retry, 0);
    *ret = lanes_find(p->lanes, policy.lane ? slice_str(policy.lane) : provider, source, now_ms);
    if (*ret == LANE_NONE)
        return -ENOMEM;
    return schedule_set_lane(p->schedule, destination, lanes_schedule_lane(p->lanes, *ret), &retry,
                             policy.connections_max);
}

int policy_join(struct policy *p, uint32_t destination, uint32_t provider, struct slice domain,
                uint32_t source, int64_t now_ms, lane_ref *ret)
{
    const struct scenario_provider *s = &p->scenario->providers[provider];
    struct slice name = s->is_separate ? domain : slice_str(s->name);
    uint32_t lane;

    *ret = LANE_NONE;
    if (p->lanes)
        return join_lane(p, destination, domain, name, slice_str(p->scenario->sources[source].name),
                         now_ms, ret);
    lane = model_of(p, provider, source)->schedule_lane;
    return schedule_set_lane(p->schedule, destination, lane, NULL, 0);
}

/* ---- the models ---- */

static void apply(struct policy *p, struct policy_lane *lane)
{
    schedule_lane_set_limits(p->schedule, lane->schedule_lane, &lane->limits);
}

static bool postfix_attempt(struct policy *p, struct policy_lane *lane, const struct outcome *o)
{
    uint32_t window = lane->limits.connections;

    if (!o->no_session) {
        lane->failed_cohorts = 0;
        if (window < p->scenario->connections && ++lane->success >= 1) {
            lane->success = 0;
            lane->limits.connections++;
            apply(p, lane);
        }
        return false;
    }
    lane->success = 0;
    lane->failed_cohorts += 1.0 / window;
    if (lane->failed_cohorts >= POSTFIX_DEAD_COHORTS) {
        lane->failed_cohorts = 0;
        lane->limits.connections = MIN_OF((uint32_t)POSTFIX_FIRST, p->scenario->connections);
        apply(p, lane);
        return true;
    }
    lane->limits.connections = MAX_OF(window - 1, 1U);
    apply(p, lane);
    return false;
}

static bool kumomta_attempt(struct policy *p, struct policy_lane *lane, const struct attempt *a,
                            const struct outcome *o)
{
    int64_t minute = a->at_ms / MINUTE_MS;

    if (minute != lane->minute)
        lane->matches = 0;
    lane->minute = minute;
    if (a->klass == REPLY_CAPACITY || a->klass == REPLY_RATE)
        lane->matches++;
    if (lane->matches >= KUMOMTA_MATCHES && lane->until_ms == 0) {
        lane->until_ms = a->at_ms + KUMOMTA_MS;
        lane->limits.connections = 1;
        lane->limits.per_second = KUMOMTA_PER_SECOND;
        apply(p, lane);
    }
    lane->failures = o->no_session ? lane->failures + 1 : 0;
    return lane->failures >= KUMOMTA_FAILURES;
}

/* As the server's queue does it. */
static bool playbook_attempt(struct policy *p, const struct policy_try *t, const struct attempt *a,
                             const struct outcome *o)
{
    lanes_attempt(p->lanes, t->lane, a);
    if (o->no_session && a->code)
        return !lanes_session_refused(p->lanes, t->lane, t->destination, a->at_ms);
    return o->no_session;
}

bool policy_attempt(struct policy *p, const struct policy_try *t, const struct attempt *a,
                    const struct outcome *o)
{
    uint32_t provider = t->provider;
    struct policy_lane *lane;

    if (p->lanes)
        return playbook_attempt(p, t, a, o);
    lane = model_of(p, provider, t->source);
    if (p->scenario->providers[provider].is_separate || p->id == SIMULATE_FIXED)
        return o->no_session;
    if (p->id == SIMULATE_POSTFIX)
        return postfix_attempt(p, lane, o);
    if (p->id == SIMULATE_KUMOMTA)
        return kumomta_attempt(p, lane, a, o);
    return false; /* the oracle */
}

static void kumomta_second(struct policy *p, int64_t now_ms)
{
    for (size_t i = 0; i < p->scenario->provider_count * p->scenario->source_count; i++) {
        struct policy_lane *lane = &p->models[i];

        if (lane->until_ms == 0 || now_ms < lane->until_ms)
            continue;
        lane->until_ms = 0;
        lane->matches = 0;
        lane->limits.connections = p->scenario->connections;
        lane->limits.per_second = 0;
        apply(p, lane);
    }
}

static void oracle_second(struct policy *p, const struct world *w, int64_t now_ms)
{
    const struct scenario *s = p->scenario;

    for (uint32_t i = 0; i < s->provider_count; i++) {
        double limit = config_rate_per_second(s->providers[i].limit);
        uint32_t senders = s->nodes * (uint32_t)s->source_count;
        double rate = world_rate(w, i) / senders;
        uint32_t connections = world_connections(w, i) / senders;

        if (limit > 0)
            rate = MIN_OF(rate, limit);
        rate *= ORACLE_SHARE;
        for (uint32_t k = 0; k < s->source_count && !s->providers[i].is_separate; k++) {
            struct policy_lane *lane = model_of(p, i, k);

            lane->limits.paused = rate <= 0;
            lane->limits.per_second = rate;
            lane->limits.connections = MAX_OF(MIN_OF(connections, s->connections), 1U);
            apply(p, lane);
            if (rate > 0)
                (void)schedule_lane_release(p->schedule, lane->schedule_lane, now_ms,
                                            (size_t)rate + 1, false);
        }
    }
}

void policy_second(struct policy *p, const struct world *w, int64_t now_ms)
{
    if (p->id == SIMULATE_KUMOMTA)
        kumomta_second(p, now_ms);
    else if (p->id == SIMULATE_ORACLE)
        oracle_second(p, w, now_ms);
}

int64_t policy_tick(struct policy *p, int64_t now_ms)
{
    return p->lanes ? lanes_tick(p->lanes, now_ms) : SCHEDULE_NEVER;
}
