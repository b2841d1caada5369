/*
 * schedule/lanes_rest.c - slots that rest, counted by the part of time in which their rest ends:
 * no list of them and no timer, so that a refused attempt costs nothing but an addition.
 */
#include <string.h>

#include "schedule/lanes_int.h"

/* A rest is so many parts on average. */
#define MEAN_PARTS 4

/* Those that begin together must not end together, or the receiver meets all of them again at once. */
static const uint8_t lengths[] = {2, 5, 3, 6, 4};
_Static_assert(REST_PARTS == 6, "the longest");

static int64_t part_ms(const struct lanes *l)
{
    return MAX_OF((int64_t)l->settings.rest_ms / MEAN_PARTS, 1);
}

void lanes_rest_step(const struct lanes *l, struct lane_state *lane, int64_t now_ms)
{
    int64_t part = part_ms(l);

    if (now_ms < lane->rest_ms) /* the clock went back */
        lane->rest_ms = now_ms;
    while (lane->resting > 0 && now_ms - lane->rest_ms >= part) {
        lane->resting -= lane->rests[0];
        memmove(lane->rests, lane->rests + 1, sizeof(lane->rests) - sizeof(lane->rests[0]));
        lane->rests[REST_PARTS - 1] = 0;
        lane->rest_ms += part;
    }
}

static bool has_rests(const struct lanes *l, const struct lane_state *lane)
{
    return l->settings.rest_ms > 0 && lane->settings.enabled;
}

static uint32_t connections_left(const struct lane_state *lane)
{
    return lane->throttle.connections - MIN_OF(lane->resting, lane->throttle.connections);
}

static void rest(struct lanes *l, struct lane_state *lane, uint32_t count, int64_t now_ms)
{
    if (lane->resting == 0)
        lane->rest_ms = now_ms;
    lane->resting += count;
    while (count-- > 0)
        lane->rests[lengths[lane->rest_turn++ % ARRAY_SIZE(lengths)] - 1]++;
    lanes_apply(l, lane, now_ms);
}

void lanes_rest_after(struct lanes *l, struct lane_state *lane, const struct attempt *a,
                      int64_t now_ms)
{
    /* What a host said before there was a session is lanes_session_refused()'s, if no other took it. */
    bool in_session = a->phase >= SMTP_PHASE_IDLE;

    lane->has_delivered |= a->result == ATTEMPT_RESULT_DELIVERED;
    if (!has_rests(l, lane) || !in_session ||
        (a->klass != REPLY_CAPACITY && a->klass != REPLY_RATE))
        return;
    lanes_rest_step(l, lane, now_ms);
    rest(l, lane, MIN_OF(connections_left(lane), 1U), now_ms);
}

/*
 * One slot does not rest, while something was delivered since the session before that was refused: a
 * destination whose hosts always say 421, behind a provider that takes the mail of others, would
 * silence these with four sessions a minute.
 */
bool lanes_session_refused(struct lanes *l, lane_ref ref, uint32_t destination, int64_t now_ms)
{
    struct lane_state *lane = lanes_at(l, ref);
    struct schedule_lane_view v;
    uint32_t count, left, room;

    if (!lane || !has_rests(l, lane))
        return false;
    now_ms = MAX_OF(now_ms, l->now_ms);
    lanes_rest_step(l, lane, now_ms);
    schedule_lane_get(l->schedule, lane->schedule_lane, &v);
    left = connections_left(lane);
    count = left > v.slots ? left - v.slots + 1 : 1;
    room = lane->has_delivered && lane->throttle.connections > 1 && left > 0 ? left - 1 : left;
    lane->has_delivered = false;
    rest(l, lane, MIN_OF(count, room), now_ms);
    return schedule_slots_of(l->schedule, destination) > 1;
}
