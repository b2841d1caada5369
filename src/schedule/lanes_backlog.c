/*
 * schedule/lanes_backlog.c - no retry wave, and no waiting for nothing: what waits in a lane is
 * spread over the time it takes, or released before its time once the lane is well.
 */
#include "base/assert.h"
#include "schedule/lanes_int.h"

/* Retries of an early release after which it is known whether it helps. */
#define RELEASE_SAMPLE 20
/* Rounds of it, a retry cycle apart. */
#define RELEASE_ROUNDS 12
/* Less is no wave. */
#define SPREAD_MIN_MS 1000

/* Messages a second that a backlog is spread over: what was delivered in the window, or what the
 * settings say, if that is more. */
static double pace_of(const struct lanes *l, const struct lane_state *lane)
{
    uint32_t minutes = window_minutes_in(&lane->window, lane->settings.window_ms);
    struct window_counts c;
    double delivered, seconds;

    window_sum_minutes(&lane->window, minutes, &c);
    delivered = (double)c.delivered_first + c.delivered_later;
    seconds = (double)minutes * (double)lane->window.minute_ms / 1000;
    return MAX_OF(delivered / seconds, l->settings.release_per_second);
}

/* ---- spread ---- */

void lanes_spread_stop(struct lanes *l, struct lane_state *lane)
{
    if (!lane->is_spreading)
        return;
    lane->is_spreading = false;
    l->spreading--;
}

void lanes_spread_start(struct lanes *l, struct lane_state *lane, int64_t now_ms)
{
    struct schedule_lane_view v;
    double wanted_ms;

    window_advance(&lane->window, now_ms);
    schedule_lane_get(l->schedule, lane->schedule_lane, &v);
    wanted_ms = (double)(v.waiting + v.ready) / pace_of(l, lane) * 1000;
    lanes_spread_stop(l, lane);
    if (wanted_ms < SPREAD_MIN_MS || l->settings.spread_max_ms == 0)
        return;
    lane->spread_ms = l->settings.spread_max_ms;
    if (wanted_ms < (double)lane->spread_ms)
        lane->spread_ms = (uint64_t)wanted_ms;
    lane->is_spreading = true;
    lane->spread_cursor = 0;
    lane->to_release = 0;
    l->spreading++;
}

void lanes_spread(struct lanes *l, lane_ref ref, int64_t now_ms)
{
    struct lane_state *one = lanes_at(l, ref);

    if (one)
        lanes_spread_start(l, one, now_ms);
    for (uint32_t i = 0; ref == LANE_NONE && i < l->count; i++)
        if (l->lanes[i]->is_used)
            lanes_spread_start(l, l->lanes[i], now_ms);
}

bool lanes_spread_step(struct lanes *l, int64_t now_ms)
{
    while (l->spreading > 0) {
        struct lane_state *lane = l->lanes[l->spread_at++ % l->count];

        if (!lane->is_spreading)
            continue;
        if (!schedule_lane_spread(l->schedule, lane->schedule_lane, now_ms, lane->spread_ms,
                                  &lane->spread_cursor, SPREAD_CHUNK))
            lanes_spread_stop(l, lane);
        break;
    }
    return l->spreading > 0;
}

/* ---- release ---- */

/* Messages a second of an early release: what the lane delivered in its best minute, as it did before
 * an outage of some hours; or what the settings say, if that is more. */
static double release_pace_of(const struct lanes *l, const struct lane_state *lane)
{
    double seconds = (double)lane->window.minute_ms / 1000;

    return MAX_OF(window_best_minute(&lane->window) / seconds, l->settings.release_per_second);
}

/* As many as wait now, which is each of them once. */
static void start_round(struct lane_state *lane, const struct schedule_lane_view *v, int64_t now_ms)
{
    lane->to_release = v->waiting;
    lane->release_rounds--;
    lane->release_next_ms = now_ms + (int64_t)lane->settings.cycle_ms;
    lane->release_carry = 0;
    lane->release_retries = lane->window.totals.retries;
    lane->release_delivered = lane->window.totals.retries_delivered;
}

void lanes_release_start(struct lanes *l, struct lane_state *lane, int64_t now_ms)
{
    struct schedule_lane_view v;

    schedule_lane_get(l->schedule, lane->schedule_lane, &v);
    lane->release_rounds = RELEASE_ROUNDS;
    lane->recovered_ms = now_ms;
    start_round(lane, &v, now_ms);
}

/* Was all refused again that was tried in this round? Full mailboxes stay full. */
static bool was_round_in_vain(const struct lane_state *lane)
{
    return lane->window.totals.retries > lane->release_retries &&
           lane->window.totals.retries_delivered == lane->release_delivered;
}

/* A message that was refused by chance while the backlog went out, at its fifth attempt, would wait
 * longest of all: as long as older mail is left than the recovery, what waits is released again. */
static void look_for_round(struct lanes *l, struct lane_state *lane, int64_t now_ms)
{
    struct schedule_lane_view v;

    if (now_ms < lane->release_next_ms)
        return;
    schedule_lane_get(l->schedule, lane->schedule_lane, &v);
    if (lane->release_rounds == 0 || v.oldest_arrival_ms > lane->recovered_ms ||
        was_round_in_vain(lane))
        lane->to_release = lane->release_rounds = 0;
    else
        start_round(lane, &v, now_ms);
}

static bool is_release_in_vain(const struct lane_state *lane)
{
    uint64_t retries = lane->window.totals.retries - lane->release_retries;
    uint64_t delivered = lane->window.totals.retries_delivered - lane->release_delivered;

    return retries >= RELEASE_SAMPLE && delivered * 2 < retries;
}

void lanes_release_step(struct lanes *l, struct lane_state *lane, int64_t now_ms)
{
    double wanted;
    uint64_t count;
    bool is_first;

    if (lane->release_rounds == 0 && lane->to_release == 0)
        return;
    if (!band_is_calm(lane->throttle.band) || lane->is_refused || is_release_in_vain(lane)) {
        lane->to_release = lane->release_rounds = 0;
        return;
    }
    look_for_round(l, lane, now_ms);
    wanted = release_pace_of(l, lane) * (double)l->settings.tick_ms / 1000 + lane->release_carry;
    if (lane->limits.paused || lane->to_release == 0)
        return;
    count = MIN_OF((uint64_t)wanted, lane->to_release);
    lane->release_carry = wanted - (double)(uint64_t)wanted;
    if (count == 0)
        return;
    /* Those of a later round are older than what is ready. */
    is_first = lane->release_rounds == RELEASE_ROUNDS - 1;
    lane->to_release -=
        schedule_lane_release(l->schedule, lane->schedule_lane, now_ms, (size_t)count, !is_first);
}

void lanes_note_answer(struct lanes *l, struct lane_state *lane, const struct attempt *a)
{
    bool is_answered =
        a->klass != REPLY_CONNECTION && a->klass != REPLY_DNS && a->klass != REPLY_TLS;
    /* One dead destination among others that are well is no outage. */
    bool was_long = a->at_ms - lane->delivered_ms >= (int64_t)lane->settings.cycle_ms;

    if (!is_answered)
        lane->unanswered += lane->unanswered < OUTAGE_ATTEMPTS;
    else if (lane->unanswered < OUTAGE_ATTEMPTS)
        lane->unanswered = 0;
    if (a->result != ATTEMPT_RESULT_DELIVERED)
        return;
    if (lane->unanswered == OUTAGE_ATTEMPTS && was_long &&
        !throttle_is_lowered(&lane->throttle, &lane->settings))
        lanes_release_start(l, lane, a->at_ms);
    lane->unanswered = 0;
    lane->delivered_ms = a->at_ms;
}
