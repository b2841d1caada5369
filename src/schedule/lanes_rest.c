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

static bool is_refused_session(const struct attempt *a)
{
    return a->phase == SMTP_PHASE_GREETING && a->code >= 400 && a->code < 500;
}

/* How many slots are to rest after that attempt. */
static uint32_t wanted(const struct lanes *l, const struct lane_state *lane,
                       const struct attempt *a)
{
    struct schedule_lane_view v;

    if (is_refused_session(a)) {
        schedule_lane_get(l->schedule, lane->schedule_lane, &v);
        return lane->limits.connections > v.slots ? lane->limits.connections - v.slots + 1 : 1;
    }
    return a->klass == REPLY_CAPACITY || a->klass == REPLY_RATE ? 1 : 0;
}

/*
 * Slots that do not rest after that attempt, whatever it was. One refused session rests all that are
 * free: a destination whose host always says 421, behind a provider that takes the mail of others,
 * would silence these with four attempts a minute. So one slot goes on as long as something was
 * delivered since the session before that was refused.
 */
static uint32_t kept(struct lane_state *lane, const struct attempt *a)
{
    bool is_kept = is_refused_session(a) && lane->has_delivered && lane->throttle.connections > 1;

    if (a->result == ATTEMPT_RESULT_DELIVERED)
        lane->has_delivered = true;
    else if (is_refused_session(a))
        lane->has_delivered = false;
    return is_kept ? 1 : 0;
}

void lanes_rest_after(struct lanes *l, struct lane_state *lane, const struct attempt *a,
                      int64_t now_ms)
{
    uint32_t count, room, keep = kept(lane, a);

    if (l->settings.rest_ms == 0 || !lane->settings.enabled)
        return;
    count = wanted(l, lane, a);
    if (count == 0)
        return;
    lanes_rest_step(l, lane, now_ms);
    room = lane->throttle.connections - MIN_OF(lane->resting + keep, lane->throttle.connections);
    count = MIN_OF(count, room);
    if (lane->resting == 0)
        lane->rest_ms = now_ms;
    lane->resting += count;
    while (count-- > 0)
        lane->rests[lengths[lane->rest_turn++ % ARRAY_SIZE(lengths)] - 1]++;
    lanes_apply(l, lane, now_ms);
}
