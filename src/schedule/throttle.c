/*
 * schedule/throttle.c - one tick: move the times if the clock went back, learn from whole hours,
 * look at the samples, then one of three: press (confirmed pressure), restore (limits are lowered,
 * or a band is to be left), settle (NORMAL and WATCH).
 */
#include "schedule/throttle.h"

#include "base/assert.h"

/* 1 - 2^(-1/72): what one busy hour weighs in the baseline. */
#define BASELINE_WEIGHT 0.0095807
/* Of queue_age_max, at which an incident of age alone is over. */
#define AGE_OVER_SHARE 0.75
#define HOUR_MINUTES 60
#define DAY_HOURS 24

static const char *const band_names[] = {
#define BAND_TEXT(constant, name) name,
    BAND_TABLE(BAND_TEXT)};

const char *band_name(enum band b)
{
    ASSERT(b < BANDS);
    return band_names[b];
}

enum band band_find(struct slice name)
{
    for (int b = 0; b < BANDS; b++)
        if (slice_eq_case(name, slice_str(band_names[b])))
            return (enum band)b;
    return BANDS;
}

const char *throttle_action_name(enum throttle_action a)
{
    static const char *const names[] = {"none", "cut", "pace", "step-up", "full"};

    ASSERT(a < ARRAY_SIZE(names));
    return names[a];
}

struct sample {
    uint32_t span_minutes;
    uint64_t attempts, capacity, rate;
    uint64_t settled; /* delivered, or failed for good and not by policy */
};

struct look { /* what one tick sees */
    int64_t now_ms;
    const struct throttle_input *in;
    struct sample recent; /* the window; of too small a sample: the hour */
    struct sample wide;   /* the shortest of window, hour and day that is no too small a sample */
    bool has_wide;
    double lower_bound;
    enum band level;        /* by capacity replies: NORMAL (at baseline) to INCIDENT */
    bool has_rate_pressure; /* rate replies, confirmed */
    bool is_at_baseline;    /* both kinds */
    bool is_over_age;       /* the oldest mail */
    bool is_easing;         /* the queue */
};

static uint64_t hold_ms(const struct throttle_settings *s)
{
    return s->cycle_ms * s->hold_cycles;
}

static uint64_t step_hold_ms(const struct throttle_settings *s)
{
    return s->step_hold_ms ? s->step_hold_ms : s->cycle_ms;
}

static uint32_t floor_of(const struct throttle_settings *s)
{
    return MIN_OF(MAX_OF(s->connections_floor, 1U), s->connections_max);
}

bool band_is_calm(enum band b)
{
    return b == BAND_NORMAL || b == BAND_WATCH;
}

static double share_of(uint64_t hits, uint64_t attempts)
{
    return attempts ? (double)hits / (double)attempts : 0;
}

void throttle_init(struct throttle *t, const struct throttle_settings *s, int64_t now_ms)
{
    ASSERT(s->connections_max > 0);
    *t = (struct throttle){.band = BAND_NORMAL,
                           .band_since_ms = now_ms,
                           .seen_ms = now_ms,
                           .calm_since_ms = now_ms,
                           .connections = s->connections_max,
                           .rate = s->rate_max,
                           .baseline_hour = -1};
}

static bool is_rate_lowered(const struct throttle *t, const struct throttle_settings *s)
{
    return t->rate > 0 && (s->rate_max <= 0 || t->rate < s->rate_max);
}

bool throttle_is_lowered(const struct throttle *t, const struct throttle_settings *s)
{
    return t->connections < s->connections_max || is_rate_lowered(t, s);
}

void throttle_set(struct throttle *t, const struct throttle_settings *s, int64_t now_ms)
{
    int64_t hold_end = now_ms + (int64_t)hold_ms(s), step_end = now_ms + (int64_t)step_hold_ms(s);
    uint32_t connections = MIN_OF(t->connections, s->connections_max);

    ASSERT(s->connections_max > 0);
    if (band_is_calm(t->band) || !s->enabled) {
        t->connections = s->connections_max;
        t->rate = s->rate_max;
        t->rate_full = 0;
    } else {
        uint32_t lowest = floor_of(s);

        t->connections = MAX_OF(connections, lowest);
        if (s->rate_max > 0 && (t->rate <= 0 || t->rate > s->rate_max))
            t->rate = s->rate_max;
        if (s->rate_max <= 0 && t->rate_full <= 0) /* there was a maximum, now there is none */
            t->rate_full = t->rate;
    }
    t->hold_until_ms = MIN_OF(t->hold_until_ms, hold_end);
    if (t->look_at_ms > t->hold_until_ms)
        t->look_at_ms = MIN_OF(t->look_at_ms, MAX_OF(step_end, t->hold_until_ms));
}

static void follow_clock(struct throttle *t, int64_t now_ms)
{
    int64_t back = t->seen_ms - now_ms;

    t->seen_ms = now_ms;
    if (back <= 0)
        return;
    t->band_since_ms -= back;
    t->changed_ms -= back;
    t->hold_until_ms -= back;
    t->look_at_ms -= back;
    t->calm_since_ms -= back;
    t->healthy_since_ms -= back;
}

/* ---- the baseline ---- */

static void learn_hour(struct throttle *t, const struct throttle_settings *s,
                       const struct window_counts *c)
{
    double share = share_of(c->capacity, c->attempts);
    double weight = s->sample_min ? (double)c->attempts / s->sample_min : 1;

    share = MIN_OF(share, s->throttle_share);
    weight = BASELINE_WEIGHT * MIN_OF(weight, 1.0);
    t->baseline += (share - t->baseline) * weight;
}

/* Does an hour that began then, and is over, count? It was calm all the time; or limits are lowered
 * and no pressure was confirmed since the hold before it ended: what the receiver refuses then is
 * what it always does, and would keep the limits low for ever. */
static bool teaches(const struct throttle *t, const struct throttle_settings *s, int64_t began_ms)
{
    if (band_is_calm(t->band))
        return began_ms >= t->calm_since_ms;
    return throttle_is_lowered(t, s) && began_ms >= t->hold_until_ms;
}

static void learn(struct throttle *t, const struct throttle_settings *s, const struct window *w)
{
    int64_t hour_ms = HOUR_MINUTES * w->minute_ms, last = w->hour_at - 1;
    int64_t first = t->baseline_hour < 0 ? last : t->baseline_hour;

    for (int64_t hour = MAX_OF(first, last - WINDOW_HOURS + 1) + 1; hour <= last; hour++) {
        const struct window_counts *c = window_hour(w, (uint32_t)(w->hour_at - hour));

        if (c && c->attempts > 0 && teaches(t, s, hour * hour_ms))
            learn_hour(t, s, c);
    }
    t->baseline_hour = last;
}

/* ---- looking ---- */

static uint64_t settled_of(const struct window *w)
{
    return w->totals.delivered_first + w->totals.delivered_later + w->totals.failed;
}

/*
 * What came in the span, and after the last cut. Of the two counts the lower one is right: a span
 * that begins before the cut holds more than came since, one that begins later holds less.
 */
static struct sample sample_of(const struct throttle *t, const struct window *w, uint32_t minutes)
{
    struct sample r = {.span_minutes = minutes};
    struct window_counts c;
    uint64_t settled;

    if (minutes > WINDOW_MINUTES)
        window_sum_hours(w, minutes / HOUR_MINUTES, &c);
    else
        window_sum_minutes(w, minutes, &c);
    settled = (uint64_t)c.delivered_first + c.delivered_later + c.failed;
    r.attempts = MIN_OF(c.attempts, w->totals.attempts - t->mark.attempts);
    r.capacity = MIN_OF(c.capacity, w->totals.capacity - t->mark.capacity);
    r.rate = MIN_OF(c.rate, w->totals.rate - t->mark.rate);
    r.settled = MIN_OF(settled, settled_of(w) - t->mark.settled);
    r.settled -= MIN_OF(r.settled, c.policy);
    return r;
}

static void take_samples(const struct throttle *t, const struct throttle_settings *s,
                         struct look *l)
{
    const struct window *w = l->in->window;
    uint32_t window = window_minutes_in(w, s->window_ms);
    uint32_t spans[] = {window, MAX_OF(window, HOUR_MINUTES), HOUR_MINUTES * DAY_HOURS};

    for (size_t i = 0; i < ARRAY_SIZE(spans) && !l->has_wide; i++) {
        l->wide = sample_of(t, w, spans[i]);
        l->has_wide = l->wide.attempts >= s->sample_min;
        if (i < 2)
            l->recent = l->wide;
    }
    if (!l->has_wide) /* then the hour is what is told */
        l->wide = l->recent;
}

static bool is_above(const struct throttle *t, const struct throttle_settings *s, double share)
{
    return share > 0 && share >= s->watch_share && share > t->baseline * s->baseline_factor;
}

/* The level that capacity replies confirm, or what they are without. */
static enum band level_of(const struct throttle *t, const struct throttle_settings *s,
                          struct look *l)
{
    l->lower_bound = rate_lower_bound(l->wide.capacity, l->wide.attempts, s->alpha);
    if (!is_above(t, s, share_of(l->recent.capacity, l->recent.attempts)))
        return BAND_NORMAL;
    if (!l->has_wide || l->wide.capacity < s->hits_min ||
        l->lower_bound <= t->baseline * s->baseline_factor)
        return BAND_WATCH;
    if (l->lower_bound > s->incident_share)
        return BAND_INCIDENT;
    return l->lower_bound > s->throttle_share ? BAND_THROTTLE : BAND_WATCH;
}

static bool is_easing(const struct throttle *t, const struct throttle_input *in)
{
    if (in->queue_length == 0)
        return true;
    return in->window->totals.attempts > t->mark.attempts &&
           (in->queue_ready == 0 || in->queue_age_ms < t->age_before_ms);
}

/* What is true of most lanes at most ticks is found out without adding anything up. */
static bool is_all_quiet(const struct throttle *t, const struct throttle_settings *s,
                         const struct look *l)
{
    uint32_t minutes = window_minutes_in(l->in->window, s->window_ms);

    return t->band == BAND_NORMAL && t->is_healthy && !l->is_over_age &&
           !window_has_hits(l->in->window, MAX_OF(minutes, HOUR_MINUTES));
}

static void look(struct throttle *t, const struct throttle_settings *s, struct look *l)
{
    double rate_share;

    l->is_over_age = s->queue_age_max_ms > 0 && l->in->queue_length > 0 &&
                     l->in->queue_age_ms > s->queue_age_max_ms;
    l->is_at_baseline = is_all_quiet(t, s, l);
    if (l->is_at_baseline)
        return;
    take_samples(t, s, l);
    rate_share = share_of(l->recent.rate, l->recent.attempts);
    l->level = level_of(t, s, l);
    l->is_at_baseline = l->level == BAND_NORMAL && (rate_share <= 0 || rate_share < s->watch_share);
    l->has_rate_pressure =
        rate_share > 0 && l->has_wide && l->wide.rate >= s->hits_min &&
        rate_lower_bound(l->wide.rate, l->wide.attempts, s->alpha) > s->throttle_share;
    l->is_easing = is_easing(t, l->in);
    if (l->is_at_baseline && !t->is_healthy)
        t->healthy_since_ms = l->now_ms;
    t->is_healthy = l->is_at_baseline;
}

/* ---- deciding ---- */

static struct throttle_decision decision_of(const struct throttle *t, const struct look *l)
{
    return (struct throttle_decision){
        .at_ms = l->now_ms,
        .from = t->band,
        .to = t->band,
        .connections_from = t->connections,
        .rate_from = t->rate,
        .span_minutes = l->wide.span_minutes,
        .attempts = l->wide.attempts,
        .capacity = l->wide.capacity,
        .rate_replies = l->wide.rate,
        .share = share_of(l->wide.capacity, l->wide.attempts),
        .lower_bound = l->lower_bound,
        .baseline = t->baseline,
        .queue_length = l->in->queue_length,
        .queue_age_ms = l->in->queue_age_ms,
        .age_is_falling = l->is_easing,
    };
}

static bool tell(struct throttle *t, const struct look *l, enum band to, const char *why,
                 struct throttle_decision *d)
{
    if (to != t->band) {
        if (band_is_calm(to) && !band_is_calm(t->band))
            t->calm_since_ms = l->now_ms;
        t->band = to;
        t->band_since_ms = l->now_ms;
    }
    d->to = to;
    d->why = why;
    d->connections_to = t->connections;
    d->rate_to = t->rate;
    d->next_change_ms = MAX_OF(t->hold_until_ms, t->look_at_ms);
    if (d->next_change_ms <= l->now_ms)
        d->next_change_ms = 0;
    return true;
}

static uint32_t cut_connections(const struct throttle *t, const struct throttle_settings *s,
                                uint32_t peak)
{
    uint32_t used = peak ? MIN_OF(peak, t->connections) : t->connections;
    /* The rest of a product that should be whole is not to make it one less. */
    uint32_t to = (uint32_t)(used * (1 + s->connection_change) + 1e-9), lowest = floor_of(s);

    to = MAX_OF(to, lowest);
    return MIN_OF(to, t->connections);
}

static double cut_rate(const struct throttle *t, const struct throttle_settings *s, double from,
                       double change)
{
    double to = MAX_OF(from * (1 + change), s->rate_floor);

    return t->rate > 0 ? MIN_OF(to, t->rate) : to;
}

/* The rate that rate replies lower: measured, or the limit; 0: neither is known. */
static double rate_in_use(const struct throttle *t, double measured)
{
    if (t->rate <= 0 || measured <= 0)
        return MAX_OF(t->rate, measured);
    return MIN_OF(t->rate, measured);
}

/* Lowers the limits; what it did. */
static enum throttle_action cut(struct throttle *t, const struct throttle_settings *s,
                                const struct look *l)
{
    double rate = rate_in_use(t, l->in->rate), before = t->rate;
    bool paces = l->has_rate_pressure && rate > 0;
    uint32_t connections = t->connections;

    if (!paces || l->level >= BAND_THROTTLE) {
        connections = cut_connections(t, s, l->in->connections_peak);
        if (t->rate > 0)
            t->rate = cut_rate(t, s, t->rate, s->connection_change);
    }
    if (paces) {
        if (t->rate <= 0)
            t->rate_full = rate;
        t->rate = cut_rate(t, s, rate, s->rate_change);
    }
    if (connections < t->connections) {
        t->connections = connections;
        return THROTTLE_CUT;
    }
    /* No limit is higher than any: a first one is always lower. */
    return before <= 0 ? (t->rate > 0 ? THROTTLE_PACE : THROTTLE_NONE)
                       : (t->rate < before ? THROTTLE_PACE : THROTTLE_NONE);
}

static const char *why_pressed(const struct throttle_settings *s, const struct look *l,
                               enum throttle_action a)
{
    if (!s->enabled)
        return "pressure, confirmed; the controller is off, so nothing is cut";
    if (a == THROTTLE_NONE)
        return "pressure, confirmed; the limits are at their floor";
    if (l->level == BAND_INCIDENT)
        return "capacity replies above the incident share, confirmed";
    if (l->level == BAND_THROTTLE)
        return "capacity replies above the throttle share, confirmed";
    return "rate replies above the throttle share, confirmed";
}

/* Confirmed pressure. */
static bool press(struct throttle *t, const struct throttle_settings *s, const struct look *l,
                  struct throttle_decision *d)
{
    enum band to = MAX_OF(l->level, BAND_THROTTLE);
    const struct window *w = l->in->window;

    if (l->is_over_age)
        to = BAND_INCIDENT;
    if (l->now_ms < t->hold_until_ms) {
        if (t->band == BAND_INCIDENT || to == t->band || t->band == BAND_RECOVERING)
            return false;
        return tell(t, l, to, "more pressure; no change before the hold ends", d);
    }
    if (s->enabled)
        d->action = cut(t, s, l);
    if (d->action != THROTTLE_NONE) {
        t->changed_ms = l->now_ms;
        t->cuts++;
    }
    t->hold_until_ms = l->now_ms + (int64_t)hold_ms(s);
    t->look_at_ms = t->hold_until_ms;
    t->age_before_ms = l->in->queue_age_ms;
    t->mark = (struct throttle_mark){w->totals.attempts, w->totals.capacity, w->totals.rate,
                                     settled_of(w)};
    return tell(t, l, to, why_pressed(s, l, d->action), d);
}

/* A queue that grows though the receiver takes what it is offered, or says of it that there is no such
 * mailbox, grows by our own limit. */
static bool is_our_own_limit(const struct throttle *t, const struct throttle_settings *s,
                             const struct look *l)
{
    int64_t since = MAX_OF(t->healthy_since_ms, t->changed_ms);

    since = MAX_OF(since, t->hold_until_ms);
    return l->now_ms - since >= (int64_t)step_hold_ms(s) && l->recent.attempts > 0 &&
           l->recent.settled * 2 > l->recent.attempts;
}

static void step_rate(struct throttle *t, const struct throttle_settings *s)
{
    double full = s->rate_max > 0 ? s->rate_max : t->rate_full;

    if (!is_rate_lowered(t, s))
        return;
    t->rate += s->restore_step * full;
    if (t->rate >= full) {
        t->rate = s->rate_max;
        t->rate_full = 0;
    }
}

static bool step_up(struct throttle *t, const struct throttle_settings *s, const struct look *l,
                    struct throttle_decision *d)
{
    uint32_t room = s->connections_max - t->connections;
    uint32_t step = (uint32_t)(s->connections_max * s->restore_step + 0.5);
    const char *why = l->is_easing ? "at baseline, and the queue eases"
                                   : "at baseline, and the queue grows by our own limit";

    step = MAX_OF(step, 1U);
    t->connections += MIN_OF(step, room);
    step_rate(t, s);
    t->changed_ms = l->now_ms;
    t->age_before_ms = l->in->queue_age_ms;
    t->steps++;
    if (throttle_is_lowered(t, s)) {
        t->look_at_ms = l->now_ms + (int64_t)step_hold_ms(s);
        d->action = THROTTLE_STEP_UP;
        return tell(t, l, BAND_RECOVERING, why, d);
    }
    d->action = THROTTLE_FULL;
    t->look_at_ms = 0;
    t->hold_until_ms = 0;
    return tell(t, l, l->is_over_age ? BAND_INCIDENT : BAND_NORMAL, why, d);
}

/* Nothing to change yet. The end of a hold is told, the looks after it only with a new band. */
static bool look_again(struct throttle *t, const struct throttle_settings *s, const struct look *l,
                       struct throttle_decision *d)
{
    enum band to = l->is_over_age ? BAND_INCIDENT : BAND_RECOVERING;
    bool ends_hold = t->look_at_ms <= t->hold_until_ms;

    if (!l->is_at_baseline)
        to = t->band;
    t->look_at_ms = l->now_ms + (int64_t)step_hold_ms(s);
    t->age_before_ms = l->in->queue_age_ms;
    if (to == t->band && !ends_hold)
        return false;
    return tell(t, l, to,
                l->is_at_baseline ? "looked again: at baseline, and the queue does not ease yet"
                                  : "looked again: still above baseline",
                d);
}

/* No confirmed pressure, and a band to leave or limits to give back. */
static bool restore(struct throttle *t, const struct throttle_settings *s, const struct look *l,
                    struct throttle_decision *d)
{
    uint64_t age_end = (uint64_t)((double)s->queue_age_max_ms * AGE_OVER_SHARE);
    bool is_lowered = throttle_is_lowered(t, s);

    if (t->band == BAND_THROTTLE && l->is_over_age)
        return tell(t, l, BAND_INCIDENT, "the oldest mail is over its age", d);
    if (l->now_ms < MAX_OF(t->hold_until_ms, t->look_at_ms))
        return false;
    if (!is_lowered) {
        bool is_old =
            l->in->queue_length > 0 && s->queue_age_max_ms > 0 && l->in->queue_age_ms > age_end;

        if (t->band == BAND_INCIDENT && is_old)
            return false;
        if (!l->is_at_baseline)
            return tell(t, l, BAND_WATCH, "above baseline, not confirmed", d);
        return tell(t, l, BAND_NORMAL, "at baseline", d);
    }
    if (l->is_at_baseline && (l->is_easing || is_our_own_limit(t, s, l)))
        return step_up(t, s, l, d);
    return look_again(t, s, l, d);
}

/* A lane that is at the edge is watched on for a whole window: no word of it each minute. */
static bool settle(struct throttle *t, const struct throttle_settings *s, const struct look *l,
                   struct throttle_decision *d)
{
    bool was_long = l->now_ms - t->healthy_since_ms >= (int64_t)s->window_ms;
    bool is_normal = l->is_at_baseline && (t->band == BAND_NORMAL || was_long);
    enum band to = is_normal ? BAND_NORMAL : BAND_WATCH;

    if (l->is_over_age)
        return tell(t, l, BAND_INCIDENT,
                    "the oldest mail is over its age; capacity replies are not why, so nothing is "
                    "cut",
                    d);
    if (to == t->band)
        return false;
    return tell(t, l, to, to == BAND_NORMAL ? "at baseline" : "above baseline, not confirmed", d);
}

bool throttle_tick(struct throttle *t, const struct throttle_settings *s,
                   const struct throttle_input *in, int64_t now_ms, struct throttle_decision *ret)
{
    struct look l = {.now_ms = now_ms, .in = in};

    follow_clock(t, now_ms);
    learn(t, s, in->window);
    look(t, s, &l);
    *ret = decision_of(t, &l);
    if (l.level >= BAND_THROTTLE || l.has_rate_pressure)
        return press(t, s, &l, ret);
    return band_is_calm(t->band) ? settle(t, s, &l, ret) : restore(t, s, &l, ret);
}
