/*
 * schedule/lanes_tick.c - the controllers' turns: lanes are looked at in sixteen groups, one after
 * another, so that thousands of lanes make no pause in the thread that sends mail.
 */
#include "base/assert.h"
#include "schedule/lanes_int.h"

#define DAY_MS INT64_C(86400000)
#define DAY_HOURS 24

void lanes_mark_changed(struct lane_state *lane)
{
    lane->is_changed = true;
    lane->saved_attempts = lane->window.totals.attempts;
}

uint32_t lanes_peak_of(const struct lane_state *lane)
{
    uint32_t peak = 0;

    for (int i = 0; i < PEAKS; i++)
        peak = MAX_OF(peak, lane->peaks[i]);
    return peak;
}

static double lower_rate(double a, double b)
{
    if (a <= 0 || b <= 0)
        return MAX_OF(a, b);
    return MIN_OF(a, b);
}

void lanes_apply(struct lanes *l, struct lane_state *lane, int64_t now_ms)
{
    double per_second;
    bool may = warm_up_rate(&lane->warm_up, &lane->rules.warm_up, now_ms, &per_second);
    struct schedule_lane_limits limits = {
        .connections =
            lane->throttle.connections - MIN_OF(lane->resting, lane->throttle.connections),
        .per_second = lower_rate(lane->throttle.rate, per_second),
        .paused = lane->paused || !may,
    };

    if (limits.connections == lane->limits.connections &&
        limits.per_second == lane->limits.per_second && limits.paused == lane->limits.paused)
        return;
    lane->limits = limits;
    schedule_lane_set_limits(l->schedule, lane->schedule_lane, &limits);
}

void lanes_set_rules(struct lanes *l, struct lane_state *lane, int64_t now_ms)
{
    struct throttle_settings *s = &lane->settings;

    l->seams.rules(l->seams.ctx, lane->provider, lane->source, &lane->rules);
    *s = lane->rules.throttle;
    if (slice_eq(lane->provider, LANES_OTHER) && l->settings.other_connections) {
        s->connections_max = l->settings.other_connections;
        s->enabled = false;
    }
    if (lane->limit)
        s->connections_max = MIN_OF(s->connections_max, lane->limit);
    s->connections_floor = MIN_OF(s->connections_floor, s->connections_max);
    throttle_set(&lane->throttle, s, now_ms);
    l->skips[lane->index] = 0;
    lanes_apply(l, lane, now_ms);
}

/* ---- what a tick looks at ---- */

static void note_peak(struct lanes *l, struct lane_state *lane, const struct schedule_lane_view *v,
                      int64_t now_ms)
{
    int64_t age = now_ms - lane->peak_since_ms;

    lane->peaks[0] = MAX_OF(lane->peaks[0], v->slots_peak);
    schedule_lane_reset_peak(l->schedule, lane->schedule_lane);
    if (age >= 0 && age < (int64_t)lane->settings.window_ms / (PEAKS - 1))
        return;
    for (int i = PEAKS - 1; i > 0; i--)
        lane->peaks[i] = lane->peaks[i - 1];
    lane->peaks[0] = v->slots;
    lane->peak_since_ms = now_ms;
}

static struct throttle_input input_of(const struct lane_state *lane,
                                      const struct schedule_lane_view *v, int64_t now_ms)
{
    struct throttle_input in = {.window = &lane->window, .connections_peak = lanes_peak_of(lane)};
    uint32_t minutes = window_minutes_in(&lane->window, lane->settings.window_ms);

    if (window_has_hits(&lane->window, minutes)) /* a rate is asked for with a cut */
        in.rate = (double)window_peak_minute(&lane->window, minutes) * 1000 /
                  (double)lane->window.minute_ms;
    in.queue_length = v->entries;
    in.queue_ready = v->ready;
    if (v->entries > 0 && v->oldest_arrival_ms < now_ms)
        in.queue_age_ms = (uint64_t)(now_ms - v->oldest_arrival_ms);
    return in;
}

/* ---- policy and warm-up ---- */

static void look_at_policy(struct lanes *l, struct lane_state *lane)
{
    struct window_counts c;
    bool is_refused;

    if (!lane->is_refused && !window_has_policy(&lane->window, DAY_HOURS))
        return;
    window_sum_hours(&lane->window, DAY_HOURS, &c);
    is_refused = c.policy > 0 && rate_lower_bound(c.policy, c.attempts, lane->settings.alpha) >
                                     lane->settings.throttle_share;
    if (is_refused == lane->is_refused)
        return;
    lane->is_refused = is_refused;
    lanes_mark_changed(lane);
    if (l->seams.refused)
        l->seams.refused(l->seams.ctx, lanes_name_of(lane), c.attempts, c.policy, is_refused);
}

static const char *why_warm_up(const struct lane_state *lane, bool is_held)
{
    if (!is_held)
        return "at baseline, and not refused by policy";
    return lane->is_refused ? "policy replies, confirmed in the last day"
                            : "the lane is above its baseline";
}

static void step_warm_up(struct lanes *l, struct lane_state *lane, uint64_t sent, int64_t now_ms)
{
    bool is_troubled = lane->is_refused || lane->throttle.band != BAND_NORMAL;
    struct warm_up_change c;

    if (!warm_up_tick(&lane->warm_up, &lane->rules.warm_up, now_ms, sent, is_troubled, &c))
        return;
    lanes_mark_changed(lane);
    if (l->seams.warm_up)
        l->seams.warm_up(l->seams.ctx, lanes_name_of(lane), c.from_a_day, c.to_a_day, c.is_held,
                         why_warm_up(lane, c.is_held));
}

/* ---- a tick of one lane ---- */

/* Nothing that a tick looks at changes but by an attempt, or slowly. */
static bool may_skip(const struct lane_state *lane, const struct schedule_lane_view *v)
{
    return v->ready == 0 && v->slots == 0 && lane->throttle.band == BAND_NORMAL &&
           lane->throttle.is_healthy && !lane->notes && !lane->is_refused && !lane->is_spreading &&
           lane->to_release == 0 && lane->release_rounds == 0 && lane->resting == 0 &&
           lane->rules.warm_up.days == 0;
}

static void decided(struct lanes *l, struct lane_state *lane, const struct throttle_decision *d)
{
    lane->last = *d;
    lanes_mark_changed(lane);
    lanes_note_decision(l, lane, d);
    if (d->action == THROTTLE_CUT || d->action == THROTTLE_PACE)
        lanes_spread_start(l, lane, d->at_ms);
    if (d->action == THROTTLE_FULL)
        lanes_release_start(l, lane, d->at_ms);
    if (l->seams.decided)
        l->seams.decided(l->seams.ctx, lanes_name_of(lane), d);
}

/* Older days weigh half as much each. */
static void age_times(struct lane_state *lane, int64_t now_ms)
{
    int64_t day = now_ms / DAY_MS;

    if (day == lane->times_day)
        return;
    lane->times_day = day;
    lane->times.count = 0;
    for (int i = 0; i < TIMES_BUCKETS; i++) {
        lane->times.counts[i] /= 2;
        lane->times.count += lane->times.counts[i];
    }
}

static void tick_lane(struct lanes *l, struct lane_state *lane, int64_t now_ms)
{
    int64_t saved_ago;
    struct schedule_lane_view v;
    struct throttle_decision d;
    struct throttle_input in;
    uint64_t sent;

    window_advance(&lane->window, now_ms);
    age_times(lane, now_ms);
    schedule_lane_get(l->schedule, lane->schedule_lane, &v);
    note_peak(l, lane, &v, now_ms);
    sent = v.taken - lane->taken;
    lane->taken = v.taken;
    in = input_of(lane, &v, now_ms);
    if (throttle_tick(&lane->throttle, &lane->settings, &in, now_ms, &d))
        decided(l, lane, &d);
    look_at_policy(l, lane);
    step_warm_up(l, lane, sent, now_ms);
    lanes_note_time(l, lane, now_ms);
    lanes_rest_step(l, lane, now_ms);
    lanes_apply(l, lane, now_ms);
    lanes_release_step(l, lane, now_ms);
    if (may_skip(lane, &v))
        l->skips[lane->index] = LANES_SKIP_TICKS;
    saved_ago = now_ms - lane->saved_ms;
    if (saved_ago >= 0 && saved_ago < lane->window.minute_ms)
        return;
    lane->saved_ms = now_ms;
    if (lane->saved_attempts != lane->window.totals.attempts)
        lanes_mark_changed(lane);
}

int64_t lanes_tick(struct lanes *l, int64_t now_ms)
{
    int64_t next_ms = now_ms + (int64_t)l->settings.tick_ms;

    l->now_ms = now_ms;
    for (uint32_t slot = 0; slot < LANES_SLOTS; slot++) {
        int64_t *due_ms = &l->slot_due_ms[slot];
        int64_t tick_ms = (int64_t)l->settings.tick_ms, offset = tick_ms * slot / LANES_SLOTS;

        if (*due_ms <= now_ms || *due_ms > now_ms + tick_ms) { /* or the clock went back */
            for (uint32_t i = slot; i < l->count; i += LANES_SLOTS)
                if (l->skips[i] > 0)
                    l->skips[i]--;
                else if (l->lanes[i]->is_used)
                    tick_lane(l, l->lanes[i], now_ms);
            /* The same moments of each tick, whenever the first one was. */
            *due_ms = (now_ms - offset) / tick_ms * tick_ms + tick_ms + offset;
        }
        if (slot < l->count)
            next_ms = MIN_OF(next_ms, *due_ms);
    }
    if (lanes_spread_step(l, now_ms))
        next_ms = MIN_OF(next_ms, now_ms + SPREAD_GAP_MS);
    return next_ms;
}
