/*
 * deliver/queue_lanes.c - which lane the mail of a destination is in, and what lanes tell.
 *
 *     filed --provider known?--> yes: the destination joins its provider's lane
 *                                no:  it waits in SCHEDULE_LANE_NEW; its first job is a probe,
 *                                     whose worker asks for the MX hosts and comes back with the
 *                                     provider
 *
 * What was learnt of a domain is remembered (KNOWN_MAX domains; those learnt first are forgotten
 * first) and kept by the ledger, so that a restart finds the lanes as they were. A next hop of a
 * route is a provider of its own, named by its text.
 *
 * With one source, a destination is filed under its name. With several, under its name, a NUL and
 * the source's: a message has one source, chosen by its id, for all its attempts.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "config/policy.h"
#include "deliver/destination.h"
#include "deliver/lane_rules.h"
#include "deliver/queue_int.h"
#include "event/event.h"
#include "evidence/knowledge.h"
#include "ledger/ledger.h"
#include "schedule/lanes.h"

#define KNOWN_MAX 200000 /* domains */
#define MOVE_MAX 256     /* entries of a destination moved at a time */

struct known { /* what DNS said of a domain */
    struct list node;
    struct slice domain, provider, mx_host; /* point into `text` */
    char text[];
};

/* ---- names ---- */

static struct slice source_of(const struct queue *q, struct slice key)
{
    struct slice source = destination_source_of_key(key);

    return source.len ? source : slice_str(q->settings.config->sources[0].name);
}

static bool has_sources(const struct queue *q)
{
    return q->settings.config->source_count > 1;
}

/* ---- what is known ---- */

static void forget(struct queue *q, struct known *k)
{
    ignore_result(map_remove(&q->known, k->domain) != NULL);
    list_del(&k->node);
    free(k);
}

static struct known *find_known(const struct queue *q, struct slice domain)
{
    return map_get(&q->known, domain);
}

static int remember(struct queue *q, struct slice domain, struct slice provider,
                    struct slice mx_host)
{
    struct known *old = find_known(q, domain), *k;

    if (old)
        forget(q, old);
    if (map_count(&q->known) >= KNOWN_MAX)
        forget(q, LIST_ENTRY(q->known_order.next, struct known, node));
    k = calloc(1, sizeof(*k) + domain.len + provider.len + mx_host.len);
    if (!k)
        return -ENOMEM;
    memcpy(k->text, domain.ptr, domain.len);
    memcpy(k->text + domain.len, provider.ptr, provider.len);
    if (mx_host.len)
        memcpy(k->text + domain.len + provider.len, mx_host.ptr, mx_host.len);
    k->domain = slice_make(k->text, domain.len);
    k->provider = slice_make(k->text + domain.len, provider.len);
    k->mx_host = slice_make(k->text + domain.len + provider.len, mx_host.len);
    if (map_put(&q->known, k->domain, k) < 0) {
        free(k);
        return -ENOMEM;
    }
    list_add_tail(&q->known_order, &k->node);
    return 0;
}

/* ---- policies ---- */

/* False: nothing is known of the destination's provider yet. `key` as in the schedule. */
static bool find_policy(const struct queue *q, struct slice name, struct slice *ret_provider,
                        struct config_policy *ret)
{
    const struct config_target *t = destination_target(q->settings.config, name);
    struct config_query query = {.domain = name};
    const struct known *k = NULL;

    if (t->kind == CONFIG_TARGET_MX && !t->host) {
        k = find_known(q, name);
        if (!k)
            return false;
        query.provider = k->provider;
        query.group = lane_group_of(q->settings.knowledge->providers, k->provider);
        query.mx_hosts = &k->mx_host;
        query.mx_count = k->mx_host.len ? 1 : 0;
        *ret_provider = k->provider;
    } else {
        query.route = slice_str(t->text);
        *ret_provider = query.route;
    }
    config_find_policy(q->settings.config, &query, ret);
    if (ret->lane)
        *ret_provider = slice_str(ret->lane);
    return true;
}

/* Remembers which lane_ref the schedule's lane stands for. */
static int note_lane(struct queue *q, uint32_t schedule_lane, lane_ref lane)
{
    uint32_t *more;

    if (schedule_lane >= q->lane_room) {
        uint32_t room = MAX_OF(schedule_lane + 1, 2 * q->lane_room);

        more = realloc(q->lane_refs, room * sizeof(*more));
        if (!more)
            return -ENOMEM;
        for (uint32_t i = q->lane_room; i < room; i++)
            more[i] = LANE_NONE;
        q->lane_refs = more;
        q->lane_room = room;
    }
    q->lane_refs[schedule_lane] = lane;
    return 0;
}

static lane_ref lane_of(const struct queue *q, uint32_t destination)
{
    uint32_t lane = schedule_lane_of(q->schedule, destination);

    return lane < q->lane_room ? q->lane_refs[lane] : LANE_NONE;
}

/* ---- joining ---- */

void queue_key_for(const struct queue *q, struct slice name, uint64_t id, struct queue_key *ret)
{
    const struct config_source *source;
    struct config_policy policy;
    struct slice provider;

    ret->len = name.len;
    memcpy(ret->bytes, name.ptr, name.len);
    if (!has_sources(q) || !find_policy(q, name, &provider, &policy))
        return;
    source = config_choose_source(policy.pool, id);
    ret->bytes[ret->len++] = '\0';
    memcpy(ret->bytes + ret->len, source->name, strlen(source->name));
    ret->len += strlen(source->name);
}

/*
 * Entries filed before the provider was known have no source yet. Each goes under that of its own
 * message; they are few, those that came while DNS was asked.
 */
static void move_entries(struct queue *q, uint32_t destination, struct slice name)
{
    entry_ref refs[MOVE_MAX];
    size_t n = schedule_entries_of(q->schedule, destination, refs, ARRAY_SIZE(refs));

    for (size_t i = 0; i < n; i++) {
        struct schedule_entry e;
        struct queue_key key;

        if (!schedule_get(q->schedule, refs[i], &e) || e.state == ENTRY_ACTIVE)
            continue;
        queue_key_for(q, name, e.id, &key);
        ignore_result(schedule_move(q->schedule, refs[i], slice_make(key.bytes, key.len)));
    }
}

bool queue_join_lane(struct queue *q, uint32_t destination)
{
    struct slice key = schedule_destination_name(q->schedule, destination);
    char copy[JOB_NAME_MAX + JOB_SOURCE_MAX];
    struct slice name, source, provider;
    struct config_policy policy;
    struct retry_policy retry;
    lane_ref lane;

    if (schedule_lane_of(q->schedule, destination) != SCHEDULE_LANE_NEW)
        return true;
    ASSERT(key.len <= sizeof(copy));
    memcpy(copy, key.ptr, key.len);
    name = destination_of_key(slice_make(copy, key.len));
    if (!find_policy(q, name, &provider, &policy))
        return false;
    if (has_sources(q) && name.len == key.len) {
        move_entries(q, destination, name);
        return true;
    }
    source = source_of(q, slice_make(copy, key.len));
    lane = lanes_find(q->lanes, provider, source, queue_now(q));
    retry = lane_retry_of(&policy.retry, q->settings.schedule.retry.delay_dsn_s);
    if (lane == LANE_NONE || note_lane(q, lanes_schedule_lane(q->lanes, lane), lane) < 0)
        return false;
    return schedule_set_lane(q->schedule, destination, lanes_schedule_lane(q->lanes, lane), &retry,
                             policy.connections_max) == 0;
}

/* ---- jobs ---- */

void queue_describe_job(struct queue *q, struct job *job)
{
    struct slice key = schedule_destination_name(q->schedule, job->destination);
    struct slice name = destination_of_key(key), source = source_of(q, key);
    const struct config_target *t = destination_target(q->settings.config, name);
    const struct known *k = find_known(q, name);
    struct slice provider = SLICE_LIT(PROVIDER_UNKNOWN);

    ASSERT(name.len < sizeof(job->name) && source.len < sizeof(job->source));
    memcpy(job->name, name.ptr, name.len);
    memcpy(job->source, source.ptr, source.len);
    job->goes_by_mx = t->kind == CONFIG_TARGET_MX && !t->host;
    if (!job->goes_by_mx)
        provider = slice_str(t->text);
    else if (k)
        provider = k->provider;
    provider = slice_sub(provider, 0, sizeof(job->provider) - 1);
    memcpy(job->provider, provider.ptr, provider.len);
    job->provider[provider.len] = '\0';
    job->lane = lane_of(q, job->destination);
    (void)snprintf(job->lane_name, sizeof(job->lane_name), "%.*s",
                   SLICE_FMT(lanes_name(q->lanes, job->lane)));
    job->is_probe = job->goes_by_mx && !k;
}

void queue_learn(struct queue *q, struct job *job)
{
    struct slice name = slice_str(job->name), provider = slice_str(job->provider);

    job->has_learnt = false;
    if (remember(q, name, provider, slice_str(job->mx_host)) < 0)
        return;
    event(EVENT_PROVIDER_LEARNT, EVENT_NO_ID, EV_SLICE("destination", name),
          EV_SLICE("provider", provider), EV_STR("mx", job->mx_host));
    if (q->seams.ledger)
        ledger_post_destination(q->seams.ledger, name, provider, slice_str(job->mx_host));
    /* One whose hosts have moved leaves the lane it is in. */
    ignore_result(schedule_set_lane(q->schedule, job->destination, SCHEDULE_LANE_NEW, NULL, 0));
    ignore_result(queue_join_lane(q, job->destination));
}

/*
 * A lane learns from its provider's own hosts. A domain may list a host of a provider that does not
 * exist and behind it one of its own, which answers 452 to everything: that slows nobody else down.
 */
static bool is_of_lane(const struct queue *q, const struct attempt *a)
{
    return a->is_ours || a->host.len == 0 ||
           providers_is_host_of(q->settings.knowledge->providers, a->host, a->provider);
}

void queue_attempt_made(struct parcel *p, void *receiver)
{
    struct ledger_attempt *a = CONTAINER_OF(p, struct ledger_attempt, parcel);
    struct queue *q = a->owner;

    (void)receiver;
    a->attempt.at_ms = queue_now(q);
    if (a->lane != LANE_NONE && is_of_lane(q, &a->attempt))
        lanes_attempt(q->lanes, a->lane, &a->attempt);
    if (q->seams.ledger)
        ledger_post_attempt(q->seams.ledger, a);
    else
        ledger_attempt_free(&a);
}

/* ---- what lanes tell ---- */

static void keep_lane(struct queue *q, lane_ref lane)
{
    struct buf text = BUF_INIT(LANE_TEXT_MAX);

    if (q->seams.ledger && lanes_save(q->lanes, lane, &text) == 0)
        ledger_post_lane(q->seams.ledger, lanes_name(q->lanes, lane), buf_slice(&text));
    buf_done(&text);
}

static void on_rules(void *ctx, struct slice provider, struct slice source, struct lane_rules *ret)
{
    const struct queue *q = ctx;

    lane_rules_of(q->settings.config, q->settings.knowledge->providers, provider, source, ret);
}

static void on_decided(void *ctx, struct slice lane, const struct throttle_decision *d)
{
    char per_10000[32];

    (void)ctx;
    (void)snprintf(per_10000, sizeof(per_10000), "%.1f", d->share * 10000);
#define TELL(type)                                                                                 \
    event(type, EVENT_NO_ID, EV_SLICE("lane", lane), EV_STR("from", band_name(d->from)),           \
          EV_STR("to", band_name(d->to)), EV_STR("action", throttle_action_name(d->action)),       \
          EV_UINT("connections_from", d->connections_from),                                        \
          EV_UINT("connections_to", d->connections_to), EV_UINT("attempts", d->attempts),          \
          EV_UINT("capacity", d->capacity), EV_STR("per_10000", per_10000),                        \
          EV_UINT("queue", d->queue_length), EV_UINT("queue_age_ms", d->queue_age_ms),             \
          EV_STR("why", d->why))
    if (d->to == BAND_THROTTLE || d->to == BAND_INCIDENT || d->action == THROTTLE_CUT ||
        d->action == THROTTLE_PACE)
        TELL(EVENT_LANE_CHANGED);
    else if (d->to == BAND_WATCH && d->from == BAND_NORMAL)
        TELL(EVENT_LANE_WATCHED);
    else
        TELL(EVENT_LANE_RESTORED);
#undef TELL
}

static void on_warm_up(void *ctx, struct slice lane, uint32_t from_a_day, uint32_t to_a_day,
                       bool is_held, const char *why)
{
    (void)ctx;
    event(EVENT_WARM_UP, EVENT_NO_ID, EV_SLICE("lane", lane), EV_UINT("from", from_a_day),
          EV_UINT("to", to_a_day), EV_BOOL("held", is_held), EV_STR("why", why));
}

static void on_incident(void *ctx, const struct incident *i)
{
    struct queue *q = ctx;
    struct buf json = BUF_INIT(INCIDENT_JSON_MAX);

    if (i->closed_ms)
        event(EVENT_INCIDENT_CLOSED, EVENT_NO_ID, EV_UINT("incident", i->id),
              EV_STR("lane", i->lane), EV_STR("verdict", verdict_side_name(i->verdict.side)));
    else if (i->id > q->incident_told)
        event(EVENT_INCIDENT_OPENED, EVENT_NO_ID, EV_UINT("incident", i->id),
              EV_STR("lane", i->lane), EV_STR("kind", i->kind));
    q->incident_told = MAX_OF(q->incident_told, i->id);
    if (q->seams.ledger && incident_encode(i, &json) == 0)
        ledger_post_incident(q->seams.ledger, i->id, slice_str(i->lane), i->opened_ms, i->closed_ms,
                             buf_slice(&json));
    buf_done(&json);
}

static void on_refused(void *ctx, struct slice lane, uint64_t attempts, uint64_t policy,
                       bool begins)
{
    (void)ctx;
    event(EVENT_LANE_REFUSED, EVENT_NO_ID, EV_SLICE("lane", lane), EV_UINT("attempts", attempts),
          EV_UINT("policy", policy), EV_BOOL("begins", begins),
          EV_STR("then", "no mail goes faster for it; look at the replies"));
}

static bool on_is_pressed(void *ctx)
{
    const struct queue *q = ctx;

    return q->seams.is_pressed && q->seams.is_pressed(q->seams.ctx);
}

/* ---- the object ---- */

static int lanes_over(struct queue *q, struct schedule *schedule, struct lanes **ret)
{
    const struct lanes_settings settings = lane_settings_of(q->settings.config);
    const struct lanes_seams seams = {.ctx = q,
                                      .rules = on_rules,
                                      .decided = on_decided,
                                      .warm_up = on_warm_up,
                                      .refused = on_refused,
                                      .incident = on_incident,
                                      .is_pressed = on_is_pressed};

    return lanes_new(ret, &settings, schedule, &seams);
}

void queue_lanes_set(struct queue *q)
{
    const struct lanes_settings settings = lane_settings_of(q->settings.config);

    lanes_set(q->lanes, &settings, queue_now(q));
}

int queue_lanes_new(struct queue *q)
{
    map_init(&q->known, rand_u64(q->rand));
    list_init(&q->known_order);
    return lanes_over(q, q->schedule, &q->lanes);
}

void queue_lanes_free(struct queue *q)
{
    struct list *node;

    queue_keep_lanes(q);
    while ((node = list_pop(&q->known_order)))
        free(LIST_ENTRY(node, struct known, node));
    map_done(&q->known);
    free(q->lane_refs);
    lanes_free(&q->lanes);
}

void queue_keep_lanes(struct queue *q)
{
    lane_ref lane;

    while ((lane = lanes_next_changed(q->lanes)) != LANE_NONE)
        keep_lane(q, lane);
}

void queue_keep_all_lanes(struct queue *q)
{
    struct lane_view v;
    uint32_t it = 0;

    while (lanes_next(q->lanes, &it, &v))
        keep_lane(q, lanes_find(q->lanes, v.provider, v.source, queue_now(q)));
}

int64_t queue_lanes_step(struct queue *q)
{
    int64_t now_ms = queue_now(q);

    if (now_ms < q->lanes_due_ms && now_ms >= q->lanes_seen_ms) /* else the clock was set back */
        return q->lanes_due_ms;
    q->lanes_due_ms = lanes_tick(q->lanes, now_ms);
    q->lanes_seen_ms = now_ms;
    queue_keep_lanes(q);
    return q->lanes_due_ms;
}

int queue_lanes_renew(struct queue *q, struct schedule *fresh)
{
    struct buf text = BUF_INIT(LANE_TEXT_MAX);
    struct lanes *lanes;
    struct lane_view v;
    uint32_t it = 0;
    int r = lanes_over(q, fresh, &lanes);

    if (r < 0)
        return r;
    for (uint32_t i = 0; i < q->lane_room; i++)
        q->lane_refs[i] = LANE_NONE;
    while (r == 0 && lanes_next(q->lanes, &it, &v)) {
        buf_clear(&text);
        r = lanes_save(q->lanes, lanes_find(q->lanes, v.provider, v.source, queue_now(q)), &text);
        if (r == 0)
            r = lanes_restore(lanes, buf_slice(&text), queue_now(q));
    }
    buf_done(&text);
    if (r < 0) {
        lanes_free(&lanes);
        return r;
    }
    lanes_free(&q->lanes);
    q->lanes = lanes;
    q->lanes_due_ms = 0; /* their first tick is now */
    return 0;
}

/* ---- after a restart ---- */

int queue_restore_lane(struct queue *q, struct slice state)
{
    return lanes_restore(q->lanes, state, queue_now(q));
}

void queue_restore_incidents(struct queue *q, uint64_t id_max)
{
    lanes_set_incident_id(q->lanes, id_max);
    q->incident_told = MAX_OF(q->incident_told, id_max);
}

int queue_restore_destination(struct queue *q, struct slice domain, struct slice provider,
                              struct slice mx_host)
{
    return map_count(&q->known) < KNOWN_MAX ? remember(q, domain, provider, mx_host) : 0;
}
