/*
 * schedule/lane.c - the round of lanes: a lane is in it while one of its destinations may be granted
 * a slot and it has room. A lane that has all that but a token of its rate is in a heap by the time
 * when the token comes; nobody looks at it before.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "schedule/schedule_int.h"

/* Sums of tokens are rounded: what lacks less than this is there. */
#define TOKEN_ERROR 1e-9
#define WAIT_MAX_MS 1e15 /* a wait of more is as good as forever, and stays a number */

/* ---- lanes ---- */

static int grow(struct turns *t)
{
    uint32_t room = MAX_OF(t->lane_room * 2, 8u);
    struct lane **lanes = realloc(t->lanes, room * sizeof(struct lane *)), **wakes;

    if (!lanes)
        return -ENOMEM;
    t->lanes = lanes;
    wakes = realloc(t->wakes, room * sizeof(struct lane *)); /* so that no wait can fail */
    if (!wakes)
        return -ENOMEM;
    t->wakes = wakes;
    t->lane_room = room;
    return 0;
}

int lane_add(struct turns *t)
{
    struct lane *l;

    if (t->lane_count >= SCHEDULE_LANES_MAX)
        return -ENOBUFS;
    if (t->lane_count == t->lane_room && grow(t) < 0)
        return -ENOMEM;
    l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    list_init(&l->turn);
    list_init(&l->waiting);
    list_init(&l->members);
    for (int walk = 0; walk < LANE_WALKS; walk++)
        l->walks[walk] = &l->members;
    l->limits.connections = UINT32_MAX;
    l->wake_place = l->spread_ref = NONE;
    l->oldest_ms = l->oldest_next_ms = TIME_NEVER;
    l->index = t->lane_count;
    t->lanes[t->lane_count++] = l;
    return 0;
}

struct lane *lane_at(const struct turns *t, uint32_t lane)
{
    ASSERT(lane < t->lane_count);
    return t->lanes[lane];
}

void lanes_done(struct turns *t)
{
    for (uint32_t i = 0; i < t->lane_count; i++)
        free(t->lanes[i]);
    free(t->lanes);
    free(t->wakes);
}

size_t lanes_bytes(const struct turns *t)
{
    return t->lane_count * sizeof(struct lane) + 2 * (size_t)t->lane_room * sizeof(struct lane *);
}

uint32_t lane_limit(const struct turns *t, const struct lane *l)
{
    if (l->index == SCHEDULE_LANE_NEW && t->slots_new > 0)
        return MIN_OF(l->limits.connections, t->slots_new);
    return l->limits.connections;
}

bool lane_is_over(const struct turns *t, const struct lane *l)
{
    return l->limits.paused || l->slots > lane_limit(t, l);
}

/* ---- the rate: a bucket of tokens, one an entry, that holds a second's worth ---- */

static bool has_rate(const struct lane *l)
{
    return l->limits.per_second > 0.0;
}

static int64_t time_of(const struct turns *t)
{
    return MAX_OF(*t->now_ms, 0);
}

static double burst_of(const struct lane *l)
{
    return MAX_OF(l->limits.per_second, 1.0);
}

/* A small step back of the clock adds none, and none a second time when it has caught up. */
static double tokens_at(const struct lane *l, int64_t now_ms)
{
    double more;

    if (now_ms <= l->tokens_ms)
        return l->tokens;
    more = l->limits.per_second * (double)(now_ms - l->tokens_ms) / 1000.0;
    return MIN_OF(l->tokens + more, burst_of(l));
}

static void refill(const struct turns *t, struct lane *l)
{
    int64_t now_ms = time_of(t);

    l->tokens = tokens_at(l, now_ms);
    l->tokens_ms = MAX_OF(l->tokens_ms, now_ms);
}

uint64_t lane_tokens(const struct turns *t, const struct lane *l)
{
    double tokens;

    if (!has_rate(l))
        return UINT64_MAX;
    tokens = tokens_at(l, time_of(t)) + TOKEN_ERROR;
    return tokens < 1.0 ? 0 : (uint64_t)tokens;
}

void lane_charge(struct turns *t, struct lane *l, int64_t entries)
{
    if (!has_rate(l))
        return;
    refill(t, l);
    l->tokens = MIN_OF(l->tokens - (double)entries, burst_of(l));
}

void lane_set_limits(struct turns *t, struct lane *l, const struct schedule_lane_limits *limits)
{
    ASSERT(limits->per_second >= 0.0);
    if (has_rate(l)) {
        refill(t, l);
    } else {
        l->tokens = 1.0; /* nobody knows how fast it was: no burst at first */
        l->tokens_ms = time_of(t);
    }
    l->limits = *limits;
    l->tokens = MIN_OF(l->tokens, burst_of(l));
    lane_update(t, l);
}

/* ---- those that wait for their rate ---- */

static bool is_before(const struct lane *a, const struct lane *b)
{
    return a->wake_ms != b->wake_ms ? a->wake_ms < b->wake_ms : a->index < b->index;
}

static void wake_put(struct turns *t, uint32_t place, struct lane *l)
{
    t->wakes[place] = l;
    l->wake_place = place;
}

static void wake_up(struct turns *t, uint32_t place, struct lane *l)
{
    for (; place > 0 && is_before(l, t->wakes[(place - 1) / 2]); place = (place - 1) / 2)
        wake_put(t, place, t->wakes[(place - 1) / 2]);
    wake_put(t, place, l);
}

static void wake_down(struct turns *t, uint32_t place, struct lane *l)
{
    for (;;) {
        uint32_t child = place * 2 + 1;

        if (child + 1 < t->wake_count && is_before(t->wakes[child + 1], t->wakes[child]))
            child++;
        if (child >= t->wake_count || !is_before(t->wakes[child], l))
            break;
        wake_put(t, place, t->wakes[child]);
        place = child;
    }
    wake_put(t, place, l);
}

static void wake_move(struct turns *t, uint32_t place, struct lane *l)
{
    wake_up(t, place, l);
    wake_down(t, l->wake_place, l);
}

/* Wakes the lane at that time; TIME_NEVER: not at all. */
static void wake_at(struct turns *t, struct lane *l, int64_t wake_ms)
{
    uint32_t place = l->wake_place;

    if (wake_ms != TIME_NEVER) {
        if (place != NONE && l->wake_ms == wake_ms)
            return;
        l->wake_ms = wake_ms;
        wake_move(t, place == NONE ? t->wake_count++ : place, l);
    } else if (place != NONE) {
        struct lane *last = t->wakes[--t->wake_count];

        l->wake_place = NONE;
        if (last != l)
            wake_move(t, place, last);
    }
}

void lanes_wake(struct turns *t)
{
    while (t->wake_count > 0 && t->wakes[0]->wake_ms <= *t->now_ms)
        lane_update(t, t->wakes[0]);
}

int64_t lanes_next_wake(const struct turns *t)
{
    return t->wake_count ? t->wakes[0]->wake_ms : TIME_NEVER;
}

void lanes_move_back(struct turns *t, int64_t by_ms)
{
    for (uint32_t i = 0; i < t->lane_count; i++) {
        t->lanes[i]->tokens_ms -= by_ms;
        t->lanes[i]->wake_ms -= by_ms;
    }
}

/* ---- the round ---- */

/* When there is a token for one slot more than those that have not yet taken; 0: now. Rounded up: a
 * wake that came too early would come again and again. */
static int64_t next_token_ms(const struct turns *t, struct lane *l)
{
    double need = 1.0 + (double)l->unused_slots, wait_ms;
    int64_t whole_ms;

    if (!has_rate(l))
        return 0;
    refill(t, l);
    if (need - l->tokens <= TOKEN_ERROR)
        return 0;
    if (need > burst_of(l))
        return TIME_NEVER; /* not before one of the slots has taken, or is released */
    wait_ms = MIN_OF((need - l->tokens) * 1000.0 / l->limits.per_second, WAIT_MAX_MS);
    whole_ms = (int64_t)wait_ms;
    return l->tokens_ms + whole_ms + ((double)whole_ms < wait_ms);
}

/* Each slot that is granted finds a token, unless an older slot takes it first. */
void lane_update(struct turns *t, struct lane *l)
{
    bool able = !list_is_empty(&l->waiting) && !l->limits.paused && l->slots < lane_limit(t, l);
    int64_t at_ms = able ? next_token_ms(t, l) : TIME_NEVER;
    bool wants = at_ms == 0, waits = !list_is_empty(&l->turn);

    wake_at(t, l, wants ? TIME_NEVER : MIN_OF(at_ms, TIME_NEVER));
    if (wants && !waits)
        list_add_tail(&t->turns, &l->turn);
    else if (!wants && waits)
        list_del(&l->turn);
}

/* ---- walks over its destinations, which may come and go meanwhile ---- */

struct destination *lane_walk_at(const struct lane *l, enum lane_walk walk)
{
    return l->walks[walk] == &l->members ? NULL
                                         : LIST_ENTRY(l->walks[walk], struct destination, member);
}

static void walk_to(struct lane *l, enum lane_walk walk, struct list *node)
{
    const struct destination *d;

    l->walks[walk] = node;
    d = lane_walk_at(l, walk);
    if (walk == WALK_SPREAD)
        l->spread_ref = d ? d->filed_head : NONE;
}

void lane_walk_start(struct lane *l, enum lane_walk walk)
{
    walk_to(l, walk, l->members.next);
}

void lane_walk_on(struct lane *l, enum lane_walk walk)
{
    ASSERT(l->walks[walk] != &l->members);
    walk_to(l, walk, l->walks[walk]->next);
}

/* ---- the oldest ---- */

void lane_see_arrival(struct lane *l, int64_t arrival_ms)
{
    l->oldest_ms = MIN_OF(l->oldest_ms, arrival_ms);
    l->oldest_next_ms = MIN_OF(l->oldest_next_ms, arrival_ms);
}

void lane_look_at_age(const struct turns *t, struct lane *l)
{
    const struct destination *d = lane_walk_at(l, WALK_AGE);

    if (!d) {
        lane_walk_start(l, WALK_AGE);
        d = lane_walk_at(l, WALK_AGE);
    }
    if (d && d->filed_head != NONE)
        lane_see_arrival(l, entry_arrival(store_at(t->store, d->filed_head)));
    if (d)
        lane_walk_on(l, WALK_AGE);
    if (!lane_walk_at(l, WALK_AGE)) { /* all were seen: what is older than they are is gone */
        l->oldest_ms = l->oldest_next_ms;
        l->oldest_next_ms = TIME_NEVER;
    }
}
