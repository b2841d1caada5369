/* control/lane_answers.c - see lane_int.h. */
#include "control/lane_int.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "control/json_out.h"
#include "event/event.h"
#include "evidence/incident.h"
#include "evidence/window.h"
#include "schedule/lanes.h"

/* ---- parts of a lane ---- */

static double per_10000(double share)
{
    return share * 10000;
}

/* 0 is "none". */
static void add_time(struct json_out *j, const char *key, int64_t ms)
{
    if (ms > 0 && ms != SCHEDULE_NEVER)
        json_out_int(j, key, ms);
    else
        json_out_null(j, key);
}

static void add_rate(struct json_out *j, const char *key, double per_second)
{
    if (per_second > 0)
        json_out_real(j, key, per_second);
    else
        json_out_null(j, key);
}

static void add_connections(struct json_out *j, const struct lane_view *v)
{
    json_out_object(j, "connections");
    json_out_uint(j, "used", v->queue.slots);
    json_out_uint(j, "peak", v->connections_peak);
    json_out_uint(j, "limit", v->limits.connections);
    json_out_uint(j, "controller", v->throttle->connections);
    json_out_uint(j, "resting", MIN_OF(v->resting, v->throttle->connections));
    json_out_uint(j, "full", v->settings.connections_max);
    json_out_uint(j, "floor", v->settings.connections_floor);
    if (v->limit)
        json_out_uint(j, "operator", v->limit);
    else
        json_out_null(j, "operator");
    json_out_object_end(j);
    json_out_object(j, "rate_per_s");
    add_rate(j, "limit", v->limits.per_second);
    add_rate(j, "full", v->settings.rate_max);
    add_rate(j, "floor", v->settings.rate_floor);
    json_out_object_end(j);
}

static void add_queue(struct json_out *j, const struct lane_view *v, int64_t now_ms)
{
    const struct schedule_lane_view *q = &v->queue;
    bool has_oldest = q->entries > 0 && q->oldest_arrival_ms != SCHEDULE_NEVER;

    json_out_object(j, "queue");
    json_out_uint(j, "entries", q->entries);
    json_out_uint(j, "waiting", q->waiting);
    json_out_uint(j, "ready", q->ready);
    json_out_uint(j, "active", q->active);
    json_out_uint(j, "held", q->held);
    json_out_uint(j, "destinations", q->destinations);
    add_time(j, "oldest_arrival_ms", has_oldest ? q->oldest_arrival_ms : 0);
    json_out_uint(j, "oldest_age_ms",
                  has_oldest && q->oldest_arrival_ms < now_ms
                      ? (uint64_t)(now_ms - q->oldest_arrival_ms)
                      : 0);
    json_out_uint(j, "to_release", v->to_release);
    json_out_bool(j, "spreading", v->is_spreading);
    json_out_object_end(j);
}

static void add_counts(struct json_out *j, const char *key, const struct window_counts *c)
{
    json_out_object(j, key);
#define ADD_COUNT(field, name) json_out_uint(j, name, c->field);
    WINDOW_COUNTS(ADD_COUNT)
#undef ADD_COUNT
    if (c->attempts)
        json_out_real(j, "capacity_per_10000", per_10000((double)c->capacity / c->attempts));
    else
        json_out_null(j, "capacity_per_10000");
    json_out_object_end(j);
}

static void add_window(struct json_out *j, const struct lane_view *v, struct window_counts *ret)
{
    uint32_t minutes = window_minutes_in(v->window, v->settings.window_ms);

    window_sum_minutes(v->window, minutes, ret);
    json_out_uint(j, "window_ms", minutes * (uint64_t)v->window->minute_ms);
    add_counts(j, "window", ret);
}

static void add_spans(struct json_out *j, const struct lane_view *v)
{
    struct window_counts c;

    window_sum_minutes(v->window, 60, &c);
    add_counts(j, "hour", &c);
    window_sum_hours(v->window, 24, &c);
    add_counts(j, "day", &c);
}

static void add_thresholds(struct json_out *j, const struct lane_view *v,
                           const struct window_counts *c)
{
    const struct throttle_settings *s = &v->settings;

    json_out_object(j, "per_10000");
    json_out_real(j, "lower_bound",
                  per_10000(rate_lower_bound(c->capacity, c->attempts, s->alpha)));
    json_out_real(j, "baseline", per_10000(v->throttle->baseline));
    json_out_real(j, "at_baseline_to", per_10000(v->throttle->baseline * s->baseline_factor));
    json_out_real(j, "watch", per_10000(s->watch_share));
    json_out_real(j, "throttle", per_10000(s->throttle_share));
    json_out_real(j, "incident", per_10000(s->incident_share));
    json_out_object_end(j);
    json_out_uint(j, "sample_min", s->sample_min);
    json_out_uint(j, "hits_min", s->hits_min);
    json_out_real(j, "confidence", 1 - s->alpha);
}

static void add_delivery_times(struct json_out *j, const struct times *t)
{
    json_out_object(j, "delivery_ms");
    json_out_uint(j, "count", t->count);
    json_out_uint(j, "p50", times_percentile(t, 0.5));
    json_out_uint(j, "p90", times_percentile(t, 0.9));
    json_out_uint(j, "p99", times_percentile(t, 0.99));
    json_out_uint(j, "max", t->max_ms);
    json_out_object_end(j);
}

static void add_warm_up(struct json_out *j, const struct lane_view *v)
{
    if (v->warm_up_today == 0 || v->warm_up_today == UINT32_MAX) { /* none, or over */
        json_out_null(j, "warm_up");
        return;
    }
    json_out_object(j, "warm_up");
    json_out_uint(j, "today_max", v->warm_up_today);
    json_out_uint(j, "today_sent", v->warm_up_sent);
    json_out_bool(j, "held", v->warm_up_held);
    json_out_bool(j, "reached", v->warm_up_reached);
    json_out_object_end(j);
}

static void add_decision(struct json_out *j, const struct throttle_decision *d)
{
    if (d->at_ms == 0) {
        json_out_null(j, "last");
        return;
    }
    json_out_object(j, "last");
    json_out_int(j, "at_ms", d->at_ms);
    json_out_str(j, "from", band_name(d->from));
    json_out_str(j, "to", band_name(d->to));
    json_out_str(j, "action", throttle_action_name(d->action));
    json_out_uint(j, "connections_from", d->connections_from);
    json_out_uint(j, "connections_to", d->connections_to);
    add_rate(j, "rate_from", d->rate_from);
    add_rate(j, "rate_to", d->rate_to);
    json_out_uint(j, "span_minutes", d->span_minutes);
    json_out_uint(j, "attempts", d->attempts);
    json_out_uint(j, "capacity", d->capacity);
    json_out_uint(j, "rate_replies", d->rate_replies);
    json_out_real(j, "per_10000", per_10000(d->share));
    json_out_real(j, "lower_bound_per_10000", per_10000(d->lower_bound));
    json_out_real(j, "baseline_per_10000", per_10000(d->baseline));
    json_out_uint(j, "queue_length", d->queue_length);
    json_out_uint(j, "queue_age_ms", d->queue_age_ms);
    json_out_bool(j, "age_is_falling", d->age_is_falling);
    add_time(j, "next_change_ms", d->next_change_ms);
    json_out_str(j, "why", d->why ? d->why : "");
    json_out_object_end(j);
}

/* What was changed since the lane's open incident began. */
static void add_incident(struct json_out *j, const struct lanes *lanes, const struct lane_view *v)
{
    const struct incident *i = v->incident ? lanes_incident(lanes, v->incident) : NULL;

    if (!i) {
        json_out_null(j, "open_incident");
        return;
    }
    json_out_object(j, "open_incident");
    json_out_uint(j, "id", i->id);
    json_out_str(j, "kind", i->kind);
    json_out_int(j, "opened_ms", i->opened_ms);
    json_out_str(j, "side", verdict_side_name(i->verdict.side));
    json_out_array(j, "changes");
    for (uint32_t k = 0; k < i->change_count; k++) {
        json_out_object(j, NULL);
        json_out_int(j, "at_ms", i->changes[k].at_ms);
        json_out_str(j, "text", i->changes[k].text);
        json_out_object_end(j);
    }
    json_out_array_end(j);
    json_out_array(j, "texts");
    for (uint32_t k = 0; k < i->texts.used; k++) {
        json_out_object(j, NULL);
        json_out_uint(j, "count", i->texts.items[k].count);
        json_out_str(j, "text", i->texts.items[k].text);
        json_out_object_end(j);
    }
    json_out_array_end(j);
    json_out_object_end(j);
}

/* ---- a lane ---- */

static void add_state(struct json_out *j, const struct lane_view *v, int64_t now_ms)
{
    const struct throttle *t = v->throttle;

    json_out_text(j, "name", v->name);
    json_out_text(j, "provider", v->provider);
    json_out_text(j, "source", v->source);
    json_out_str(j, "band", band_name(t->band));
    json_out_int(j, "band_since_ms", t->band_since_ms);
    json_out_bool(j, "enabled", v->settings.enabled);
    json_out_bool(j, "paused", v->paused);
    json_out_bool(j, "refused", v->is_refused);
    if (v->incident)
        json_out_uint(j, "incident", v->incident);
    else
        json_out_null(j, "incident");
    add_connections(j, v);
    add_queue(j, v, now_ms);
    add_time(j, "next_change_ms", v->last.next_change_ms > now_ms ? v->last.next_change_ms : 0);
    add_warm_up(j, v);
}

static void add_lane(struct json_out *j, const struct lane_view *v, int64_t now_ms)
{
    struct window_counts c;

    json_out_object(j, NULL);
    add_state(j, v, now_ms);
    add_window(j, v, &c);
    json_out_real(j, "baseline_per_10000", per_10000(v->throttle->baseline));
    json_out_object_end(j);
}

static void add_whole_lane(struct json_out *j, const struct lanes *lanes, const struct lane_view *v,
                           int64_t now_ms)
{
    const struct throttle *t = v->throttle;
    struct window_counts c;

    add_state(j, v, now_ms);
    json_out_uint(j, "cycle_ms", v->settings.cycle_ms);
    json_out_uint(j, "hold_cycles", v->settings.hold_cycles);
    add_time(j, "hold_until_ms", t->hold_until_ms);
    add_time(j, "changed_ms", t->changed_ms);
    json_out_uint(j, "cuts", t->cuts);
    json_out_uint(j, "steps", t->steps);
    add_window(j, v, &c);
    add_thresholds(j, v, &c);
    add_spans(j, v);
    add_delivery_times(j, v->delivery_times);
    add_decision(j, &v->last);
    add_incident(j, lanes, v);
}

/* ---- the answers ---- */

void answer_lanes(const struct lanes *lanes, int64_t now_ms, struct buf *to)
{
    struct lane_view v;
    struct json_out j;
    uint32_t it = 0;

    json_out_init(&j, to);
    json_out_object(&j, NULL);
    json_out_int(&j, "now_ms", now_ms);
    json_out_array(&j, "lanes");
    while (lanes_next(lanes, &it, &v))
        add_lane(&j, &v, now_ms);
    json_out_array_end(&j);
    json_out_object_end(&j);
}

int answer_lane(const struct lanes *lanes, struct slice name, int64_t now_ms, struct buf *to)
{
    struct lane_view v;
    struct json_out j;

    if (!lanes_get(lanes, name, &v))
        return -ENOENT;
    json_out_init(&j, to);
    json_out_object(&j, NULL);
    json_out_int(&j, "now_ms", now_ms);
    add_whole_lane(&j, lanes, &v, now_ms);
    json_out_object_end(&j);
    return 0;
}

/* ---- actions ---- */

static int fail(struct buf *why, const char *sentence)
{
    (void)buf_add_str(why, sentence);
    return -EINVAL;
}

static int read_connections(const json_t *body, uint32_t *ret, struct buf *why)
{
    const json_t *n = json_object_get(body, "connections");

    if (!json_is_integer(n) || json_integer_value(n) < 0 || json_integer_value(n) > UINT32_MAX - 1)
        return fail(why, "connections: allowed is a whole number; 0 ends the operator's limit.");
    *ret = (uint32_t)json_integer_value(n);
    return 0;
}

static int check_keys(const json_t *body, struct buf *why)
{
    static const char *const known[] = {"lane", "action", "connections"};
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)body, key, value)
    {
        bool is_known = false;

        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
            is_known |= strcmp(key, known[i]) == 0;
        if (!is_known)
            return fail(why, "The body has keys that are not known: allowed are lane, action and "
                             "connections.");
    }
    return 0;
}

static int act(struct lanes *lanes, const json_t *body, struct slice lane, int64_t now_ms,
               struct buf *why)
{
    const char *action = json_string_value(json_object_get(body, "action"));
    uint32_t connections;
    int r = check_keys(body, why);

    if (r < 0)
        return r;
    if (!action)
        return fail(why, "action: allowed are pause, resume and limit.");
    if (strcmp(action, "pause") == 0 || strcmp(action, "resume") == 0)
        return lanes_pause(lanes, lane, action[0] == 'p', now_ms);
    if (strcmp(action, "limit") != 0)
        return fail(why, "action: allowed are pause, resume and limit.");
    r = read_connections(body, &connections, why);
    return r < 0 ? r : lanes_limit(lanes, lane, connections, now_ms);
}

/* The operator's hand belongs among the controller's in the event log. */
static void tell_action(const json_t *body, const char *lane)
{
    const json_t *connections = json_object_get(body, "connections");

    event(EVENT_LANE_ACTION, EVENT_NO_ID, EV_STR("lane", lane),
          EV_STR("action", json_string_value(json_object_get(body, "action"))),
          connections ? EV_INT("connections", json_integer_value(connections)) : EV_NONE);
}

int act_on_lane(struct lanes *lanes, struct slice body, int64_t now_ms, struct buf *to,
                struct buf *why)
{
    json_error_t error;
    json_t *read = json_loadb((const char *)body.ptr, body.len, JSON_REJECT_DUPLICATES, &error);
    const char *name = json_string_value(json_object_get(read, "lane"));
    int r;

    if (!read) {
        (void)buf_addf(why, "The body is not JSON: line %d: %s.", error.line, error.text);
        return -EINVAL;
    }
    r = name ? act(lanes, read, slice_str(name), now_ms, why) : fail(why, "lane: its name.");
    if (r == -ENOENT)
        (void)buf_addf(why, "There is no lane '%s'.", name);
    if (r == 0) {
        tell_action(read, name);
        r = answer_lane(lanes, slice_str(name), now_ms, to);
    }
    json_decref(read);
    return r;
}
