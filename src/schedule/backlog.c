/* schedule/backlog.c - what is done to the waiting entries of a lane as a whole, in bounded steps:
 * they are spread, so that they do not come all at once, or released before their time. */
#include "schedule/schedule_int.h"

/* Entries or destinations without one that a call may look at for each that it releases. */
#define RELEASE_LOOKS 16
#define RELEASE_LOOKS_MIN 4096

/* ---- spread ---- */

/* The next entry of the walk; NONE: its destination has no more. */
static uint32_t next_to_spread(struct schedule *s, struct lane *l)
{
    uint32_t ref = l->spread_ref;

    if (ref == NONE)
        lane_walk_on(l, WALK_SPREAD);
    else
        l->spread_ref = store_at(&s->store, ref)->filed_next;
    return ref;
}

static void spread(struct schedule *s, uint32_t ref, int64_t until_ms)
{
    const struct entry *e = store_at(&s->store, ref);
    bool waits = e->state == ENTRY_WAITING && entry_due(e) < until_ms;
    int64_t due_ms;

    if (e->attempts == 0 || !(waits || e->state == ENTRY_READY))
        return;
    due_ms = s->now_ms + (int64_t)rand_below(s->rand, (uint64_t)(until_ms - s->now_ms) + 1);
    schedule_leave(s, ref);
    schedule_enter_at(s, ref, due_ms);
}

/* Looks are counted, so that mail that keeps coming does not make the walk endless. */
bool schedule_lane_spread(struct schedule *s, uint32_t lane, int64_t now_ms, uint64_t window_ms,
                          uint32_t *cursor, size_t max)
{
    struct lane *l = lane_at(&s->turns, lane);
    int64_t until_ms;

    now_ms = schedule_see_time(s, now_ms);
    until_ms = time_clamp(now_ms + (int64_t)MIN_OF(window_ms, (uint64_t)TIME_NEVER));
    if (*cursor == 0) {
        lane_walk_start(l, WALK_SPREAD);
        l->spread_left = l->destination_count;
        for (int state = 0; state < ENTRY_STATES; state++)
            l->spread_left += l->counts[state];
        *cursor = 1;
    }
    for (size_t looks = 0; looks < max; looks++) {
        uint32_t ref;

        if (l->spread_left == 0 || !lane_walk_at(l, WALK_SPREAD))
            return false;
        l->spread_left--;
        ref = next_to_spread(s, l);
        if (ref != NONE)
            spread(s, ref, until_ms);
    }
    return true;
}

/* ---- release ---- */

static struct destination *next_to_release(struct lane *l)
{
    struct destination *d = lane_walk_at(l, WALK_RELEASE);

    if (!d) {
        lane_walk_start(l, WALK_RELEASE);
        d = lane_walk_at(l, WALK_RELEASE);
    }
    lane_walk_on(l, WALK_RELEASE);
    return d;
}

/* The next waiting entry of the destination in the order filed, round and round; NONE: none within
 * the looks that are left. */
static uint32_t next_waiting(struct schedule *s, struct destination *d, size_t *looks)
{
    while (d->counts[ENTRY_WAITING] > 0 && *looks > 0) {
        uint32_t ref = d->release_at == NONE ? d->filed_head : d->release_at;

        (*looks)--;
        d->release_at = store_at(&s->store, ref)->filed_next;
        if (store_at(&s->store, ref)->state == ENTRY_WAITING)
            return ref;
    }
    return NONE;
}

/* Waiting entries may be far between among thousands that are ready. */
static size_t looks_for(size_t count)
{
    size_t looks = MIN_OF(count, SIZE_MAX / RELEASE_LOOKS) * RELEASE_LOOKS;

    return MAX_OF(looks, (size_t)RELEASE_LOOKS_MIN);
}

size_t schedule_lane_release(struct schedule *s, uint32_t lane, int64_t now_ms, size_t count,
                             bool first)
{
    struct lane *l = lane_at(&s->turns, lane);
    size_t looks = looks_for(count), released = 0;

    now_ms = schedule_see_time(s, now_ms);
    while (released < count && looks > 0 && l->counts[ENTRY_WAITING] > 0) {
        struct destination *d = next_to_release(l);
        uint32_t ref;

        looks--;
        ref = next_waiting(s, d, &looks);
        if (ref == NONE)
            continue;
        d->paused_until_ms = 0; /* that the lane is well again is newer than its failure */
        schedule_leave(s, ref);
        entry_set_due(store_at(&s->store, ref), now_ms);
        schedule_enter_ready(s, ref, first);
        released++;
    }
    return released;
}
