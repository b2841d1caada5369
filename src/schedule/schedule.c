/* schedule/schedule.c - the states of an entry. Counts, the timeline, the ready queues and the
 * round of destinations follow from a change of state, so every change goes through leave() and
 * one of the enter functions. */
#include "schedule/schedule.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "schedule/schedule_int.h"

#define NEVER_SEEN INT64_MIN
#define JUMP_BACK_MS 60000   /* less is the clock being set right, no jump */
#define CHUNKS_WHEN_QUIET 16 /* more are given back when the last entry is gone */

static void check_policy(const struct retry_policy *p)
{
    ASSERT(p->delay_count >= 1 && p->delay_count <= SCHEDULE_RETRIES_MAX);
    ASSERT(p->jitter >= 0.0 && p->jitter <= 0.5);
}

static void apply_config(struct schedule *s, const struct schedule_config *config)
{
    ASSERT(config->connections_max > 0 && config->connections_per_destination > 0);
    check_policy(&config->retry);
    s->config = *config;
    s->turns.slots_max = config->connections_max;
    s->turns.slots_per_destination = config->connections_per_destination;
    s->turns.slots_new = config->connections_new;
}

int schedule_new(struct schedule **ret, const struct schedule_config *config, struct rand *rand)
{
    struct schedule *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->rand = rand;
    s->now_ms = NEVER_SEEN;
    store_init(&s->store);
    timeline_init(&s->timeline, &s->store);
    if (turns_init(&s->turns, &s->store, &s->now_ms, rand_u64(rand)) < 0) {
        schedule_free(&s);
        return -ENOMEM;
    }
    apply_config(s, config);
    *ret = s;
    return 0;
}

void schedule_free(struct schedule **s)
{
    if (!*s)
        return;
    turns_done(&(*s)->turns);
    timeline_done(&(*s)->timeline);
    store_done(&(*s)->store);
    free(*s);
    *s = NULL;
}

void schedule_set_config(struct schedule *s, const struct schedule_config *config)
{
    apply_config(s, config);
    turns_update_all(&s->turns);
}

int schedule_set_policy(struct schedule *s, struct slice destination,
                        const struct retry_policy *policy, uint32_t connections)
{
    if (policy)
        check_policy(policy);
    return turns_set_policy(&s->turns, destination, policy, connections);
}

/* ---- time ---- */

static int64_t moved_back(int64_t time_ms, int64_t by_ms)
{
    return time_ms == TIME_NEVER ? TIME_NEVER : time_clamp(time_ms - by_ms);
}

/* The clock was set back: what was to wait ten minutes still does. */
static void move_back(struct schedule *s, int64_t by_ms)
{
    for (uint32_t ref = 0; ref < s->store.used; ref++) {
        struct entry *e = store_at(&s->store, ref);

        if (e->state == ENTRY_WAITING)
            entry_set_due(e, moved_back(entry_due(e), by_ms));
    }
    for (uint32_t i = 0; i < s->turns.table_count; i++) {
        struct destination *d = turns_at(&s->turns, i);

        if (d)
            d->paused_until_ms = moved_back(d->paused_until_ms, by_ms);
    }
    lanes_move_back(&s->turns, by_ms);
}

int64_t schedule_see_time(struct schedule *s, int64_t now_ms)
{
    bool back;

    now_ms = MIN_OF(time_clamp(now_ms), TIME_NEVER - 1);
    back = s->now_ms != NEVER_SEEN && now_ms < s->now_ms - JUMP_BACK_MS;
    if (back)
        move_back(s, s->now_ms - now_ms);
    if (back || timeline_is_far(&s->timeline, now_ms))
        timeline_rebuild(&s->timeline, now_ms);
    s->now_ms = now_ms;
    lanes_wake(&s->turns);
    return now_ms;
}

static const struct retry_policy *policy_of(const struct schedule *s, const struct destination *d)
{
    if (d->policy && d->policy->has_retry)
        return &d->policy->retry;
    return d->lane_policy && d->lane_policy->has_retry ? &d->lane_policy->retry : &s->config.retry;
}

static int64_t delay_ms(const struct retry_policy *p, uint32_t attempt)
{
    uint32_t i = MIN_OF(MAX_OF(attempt, 1u), p->delay_count) - 1;

    return (int64_t)p->delays_s[i] * 1000;
}

static bool is_paused(const struct schedule *s, const struct destination *d)
{
    return d->paused_until_ms > s->now_ms;
}

/* Somewhere in the time after the pause in which its backlog comes back. */
static int64_t after_pause(struct schedule *s, const struct destination *d)
{
    return d->paused_until_ms + (int64_t)rand_below(s->rand, (uint64_t)d->spread_ms + 1);
}

/* ---- states ---- */

static struct entry *entry_at(const struct schedule *s, entry_ref ref)
{
    struct entry *e;

    ASSERT(ref < s->store.used);
    e = store_at(&s->store, ref);
    ASSERT(e->state != ENTRY_FREE);
    return e;
}

static void count_in(struct schedule *s, struct entry *e, enum entry_state state)
{
    e->state = (uint8_t)state;
    s->counts[state]++;
    turns_count(turns_at(&s->turns, e->destination), (uint8_t)state, 1);
}

static void count_out(struct schedule *s, const struct entry *e)
{
    s->counts[e->state]--;
    turns_count(turns_at(&s->turns, e->destination), e->state, -1);
}

static void enter_waiting(struct schedule *s, entry_ref ref, int64_t due_ms)
{
    struct entry *e = store_at(&s->store, ref);

    entry_set_due(e, due_ms);
    count_in(s, e, ENTRY_WAITING);
    timeline_push(&s->timeline, ref);
}

/* Ready, or behind the pause of its destination. */
void schedule_enter_ready(struct schedule *s, entry_ref ref, bool first)
{
    struct entry *e = store_at(&s->store, ref);
    struct destination *d = turns_at(&s->turns, e->destination);

    if (is_paused(s, d)) {
        enter_waiting(s, ref, after_pause(s, d));
        return;
    }
    count_in(s, e, ENTRY_READY);
    turns_enqueue(&s->turns, ref, first);
    turns_update(&s->turns, d);
}

static void enter_by_time(struct schedule *s, entry_ref ref)
{
    int64_t due = entry_due(store_at(&s->store, ref));

    if (due <= s->now_ms)
        schedule_enter_ready(s, ref, false);
    else
        enter_waiting(s, ref, due);
}

void schedule_enter_at(struct schedule *s, entry_ref ref, int64_t due_ms)
{
    const struct destination *d = turns_at(&s->turns, store_at(&s->store, ref)->destination);

    entry_set_due(store_at(&s->store, ref),
                  due_ms < d->paused_until_ms ? after_pause(s, d) : due_ms);
    enter_by_time(s, ref);
}

/* One of the above, or forget(), must follow. */
void schedule_leave(struct schedule *s, entry_ref ref)
{
    struct entry *e = store_at(&s->store, ref);
    struct destination *d = turns_at(&s->turns, e->destination);
    uint8_t state = e->state;

    if (state == ENTRY_READY)
        turns_dequeue(&s->turns, ref);
    count_out(s, e);
    if (state == ENTRY_READY)
        turns_update(&s->turns, d);
    e->state = ENTRY_HELD; /* not waiting, whatever comes */
    if (state == ENTRY_WAITING)
        timeline_forget(&s->timeline);
}

/* The last step of an entry that has left its state. */
static void forget(struct schedule *s, entry_ref ref)
{
    struct destination *d = turns_at(&s->turns, store_at(&s->store, ref)->destination);
    struct lane *l = d->lane;

    turns_unfile(&s->turns, d, ref);
    store_remove(&s->store, ref);
    turns_drop_if_idle(&s->turns, d);
    lane_look_at_age(&s->turns, l);
    if (s->store.count == 0 && s->store.chunk_count > CHUNKS_WHEN_QUIET) {
        store_shrink(&s->store);
        timeline_shrink(&s->timeline);
    }
}

int schedule_add(struct schedule *s, uint64_t id, struct slice destination, uint64_t sender_hash,
                 int64_t arrival_ms, uint32_t attempts, int64_t due_ms, bool held, entry_ref *ret)
{
    uint64_t arrival = (uint64_t)time_clamp(arrival_ms);
    struct destination *d;
    struct entry *e;
    entry_ref ref;

    if (s->store.count >= MIN_OF(s->config.entries_max, ENTRIES_LIMIT))
        return -ENOBUFS;
    /* A place for each, so that no later change of state can fail. */
    if (timeline_reserve(&s->timeline, s->store.count + 1) < 0)
        return -ENOMEM;
    if (s->now_ms == NEVER_SEEN && s->store.count == 0)
        timeline_rebuild(&s->timeline, (int64_t)arrival); /* near enough to order the others by */
    d = turns_destination(&s->turns, destination);
    if (!d)
        return -ENOMEM;
    ref = store_add(&s->store, id);
    if (ref == NONE) {
        turns_drop_if_idle(&s->turns, d);
        return -ENOMEM;
    }
    e = store_at(&s->store, ref);
    e->arrival_low = (uint32_t)arrival;
    e->arrival_high = (uint16_t)(arrival >> 32);
    e->sender = (uint32_t)(sender_hash ^ sender_hash >> 32);
    e->attempts = (uint16_t)MIN_OF(attempts, UINT16_MAX);
    entry_set_due(e, due_ms);
    turns_file(&s->turns, d, ref);
    if (held)
        count_in(s, e, ENTRY_HELD);
    else
        enter_by_time(s, ref);
    *ret = ref;
    return 0;
}

size_t schedule_advance(struct schedule *s, int64_t now_ms, size_t max)
{
    size_t count = 0;

    now_ms = schedule_see_time(s, now_ms);
    while (count < max) {
        entry_ref ref = timeline_pop(&s->timeline, now_ms);

        if (ref == NONE)
            break;
        count_out(s, store_at(&s->store, ref));
        schedule_enter_ready(s, ref, false);
        timeline_settle(&s->timeline);
        count++;
    }
    return count;
}

int64_t schedule_next_due_ms(const struct schedule *s)
{
    int64_t due = MIN_OF(timeline_next(&s->timeline), lanes_next_wake(&s->turns));

    return due == TIME_NEVER ? SCHEDULE_NEVER : due;
}

/* ---- slots ---- */

bool schedule_grant(struct schedule *s, uint32_t *ret_destination)
{
    const struct destination *d = turns_grant(&s->turns);

    if (!d)
        return false;
    *ret_destination = d->index;
    return true;
}

static struct destination *destination_at(const struct schedule *s, uint32_t index)
{
    ASSERT(index < s->turns.table_count);
    ASSERT(turns_at(&s->turns, index));
    return turns_at(&s->turns, index);
}

/* The slots of a destination are not told apart: the take of an old one may be counted as the
 * first take of a new one. Then one slot too many is granted, finds nothing and is released. */
size_t schedule_take(struct schedule *s, uint32_t destination, entry_ref *ret, size_t max)
{
    struct destination *d = destination_at(s, destination);
    size_t count = 0;

    max = turns_hand_over(&s->turns, d) ? 0 : MIN_OF(max, lane_tokens(&s->turns, d->lane));
    turns_use_slot(d);
    while (count < max) {
        entry_ref ref = turns_next(&s->turns, d);

        if (ref == NONE)
            break;
        count_out(s, store_at(&s->store, ref));
        count_in(s, store_at(&s->store, ref), ENTRY_ACTIVE);
        ret[count++] = ref;
    }
    turns_count_taken(&s->turns, d, count);
    turns_update(&s->turns, d);
    return count;
}

static uint32_t left_of(uint32_t limit, uint32_t used)
{
    return limit - MIN_OF(limit, used);
}

size_t schedule_share(const struct schedule *s, uint32_t destination)
{
    const struct destination *d = destination_at(s, destination);
    const struct lane *l = d->lane;
    uint32_t of_lane = left_of(lane_limit(&s->turns, l), l->slots);
    uint32_t of_all = left_of(s->turns.slots_max, s->turns.slots);
    uint32_t of_it = left_of(turns_limit(&s->turns, d), d->slots);
    uint64_t takers =
        (uint64_t)MIN_OF(MIN_OF(of_lane, of_all), of_it) + MAX_OF(d->unused_slots, 1u);
    uint64_t ready = lane_is_over(&s->turns, l) ? 0 : d->counts[ENTRY_READY];

    ready = MIN_OF(ready, lane_tokens(&s->turns, l));
    return (size_t)((ready + takers - 1) / takers);
}

void schedule_release(struct schedule *s, uint32_t destination)
{
    struct destination *d = destination_at(s, destination);

    ASSERT(d->slots > 0);
    turns_count_slot(&s->turns, d, -1);
    turns_use_slot(d);
    turns_update(&s->turns, d);
    turns_drop_if_idle(&s->turns, d);
}

struct slice schedule_destination_name(const struct schedule *s, uint32_t destination)
{
    const struct destination *d = destination_at(s, destination);

    return slice_make(d->name, d->name_len);
}

/* ---- how an active entry ended ---- */

static struct entry *active_at(const struct schedule *s, entry_ref ref)
{
    struct entry *e = entry_at(s, ref);

    ASSERT(e->state == ENTRY_ACTIVE);
    return e;
}

void schedule_done(struct schedule *s, entry_ref ref)
{
    struct destination *d = turns_at(&s->turns, active_at(s, ref)->destination);

    d->failures = 0;
    schedule_leave(s, ref);
    forget(s, ref);
}

static int64_t wait_for_retry(struct schedule *s, entry_ref ref)
{
    struct entry *e = store_at(&s->store, ref);
    struct destination *d = turns_at(&s->turns, e->destination);
    const struct retry_policy *p = policy_of(s, d);
    int64_t delay, due;

    if (e->attempts < UINT16_MAX)
        e->attempts++;
    delay = delay_ms(p, e->attempts);
    due = s->now_ms + delay + (int64_t)((double)delay * p->jitter * rand_symmetric(s->rand));
    if (due < d->paused_until_ms)
        due = after_pause(s, d);
    enter_waiting(s, ref, due);
    return due;
}

int64_t schedule_retry(struct schedule *s, entry_ref ref, int64_t now_ms)
{
    (void)active_at(s, ref);
    (void)schedule_see_time(s, now_ms);
    schedule_leave(s, ref);
    return wait_for_retry(s, ref);
}

void schedule_return(struct schedule *s, entry_ref ref)
{
    struct lane *l = turns_at(&s->turns, active_at(s, ref)->destination)->lane;

    lane_charge(&s->turns, l, -1);
    lane_update(&s->turns, l);
    schedule_leave(s, ref);
    schedule_enter_ready(s, ref, true);
}

void schedule_destination_failed(struct schedule *s, uint32_t destination, int64_t now_ms)
{
    struct destination *d = destination_at(s, destination);
    const struct retry_policy *p = policy_of(s, d);
    double delay;
    entry_ref ref;

    (void)schedule_see_time(s, now_ms);
    if (is_paused(s, d))
        return; /* another slot has told already */
    d->failures++;
    delay = (double)delay_ms(p, 1);
    d->paused_until_ms = s->now_ms + (int64_t)(delay * (1.0 - p->jitter));
    d->spread_ms = (uint32_t)MIN_OF(delay * p->jitter * 2.0, (double)UINT32_MAX - 1);
    while ((ref = turns_next(&s->turns, d)) != NONE) {
        count_out(s, store_at(&s->store, ref));
        (void)wait_for_retry(s, ref);
    }
    turns_update(&s->turns, d);
}

static int64_t age_ms(const struct entry *e, int64_t now_ms)
{
    return time_clamp(now_ms) - entry_arrival(e);
}

bool schedule_is_expired(const struct schedule *s, entry_ref ref, int64_t now_ms)
{
    const struct entry *e = entry_at(s, ref);
    const struct retry_policy *p = policy_of(s, turns_at(&s->turns, e->destination));

    return age_ms(e, now_ms) >= (int64_t)p->max_queue_time_s * 1000;
}

bool schedule_is_delay_due(const struct schedule *s, entry_ref ref, int64_t now_ms)
{
    const struct entry *e = entry_at(s, ref);
    const struct retry_policy *p = policy_of(s, turns_at(&s->turns, e->destination));

    return p->delay_dsn_s > 0 && age_ms(e, now_ms) >= (int64_t)p->delay_dsn_s * 1000;
}

/* ---- by the operator ---- */

int schedule_set_due(struct schedule *s, entry_ref ref, int64_t due_ms)
{
    struct entry *e = entry_at(s, ref);

    if (e->state == ENTRY_ACTIVE)
        return -EBUSY;
    turns_at(&s->turns, e->destination)->paused_until_ms = 0;
    if (e->state == ENTRY_HELD) {
        entry_set_due(e, due_ms);
        return 0;
    }
    schedule_leave(s, ref);
    entry_set_due(e, due_ms);
    enter_by_time(s, ref);
    return 0;
}

int schedule_hold(struct schedule *s, entry_ref ref)
{
    struct entry *e = entry_at(s, ref);

    if (e->state == ENTRY_ACTIVE)
        return -EBUSY;
    if (e->state == ENTRY_HELD)
        return 0;
    schedule_leave(s, ref);
    count_in(s, e, ENTRY_HELD);
    return 0;
}

int schedule_release_hold(struct schedule *s, entry_ref ref, int64_t now_ms)
{
    struct entry *e = entry_at(s, ref);

    (void)schedule_see_time(s, now_ms);
    if (e->state == ENTRY_ACTIVE)
        return -EBUSY;
    if (e->state != ENTRY_HELD)
        return 0;
    schedule_leave(s, ref);
    enter_by_time(s, ref);
    return 0;
}

int schedule_cancel(struct schedule *s, entry_ref ref)
{
    if (entry_at(s, ref)->state == ENTRY_ACTIVE)
        return -EBUSY;
    schedule_leave(s, ref);
    forget(s, ref);
    return 0;
}

size_t schedule_entries_of(const struct schedule *s, uint32_t destination, entry_ref *ret,
                           size_t max)
{
    uint32_t ref = turns_at(&s->turns, destination)->filed_head;
    size_t n = 0;

    for (; ref != NONE && n < max; ref = store_at(&s->store, ref)->filed_next)
        if (store_at(&s->store, ref)->state != ENTRY_ACTIVE)
            ret[n++] = ref;
    return n;
}

int schedule_move(struct schedule *s, entry_ref ref, struct slice destination)
{
    struct entry *e = entry_at(s, ref);
    bool held = e->state == ENTRY_HELD;
    struct destination *from, *to;

    if (e->state == ENTRY_ACTIVE)
        return -EBUSY;
    to = turns_destination(&s->turns, destination);
    if (!to)
        return -ENOMEM;
    from = turns_at(&s->turns, e->destination);
    schedule_leave(s, ref);
    turns_unfile(&s->turns, from, ref);
    e->filed_next = NONE;
    turns_file(&s->turns, to, ref);
    if (held)
        count_in(s, e, ENTRY_HELD);
    else
        enter_by_time(s, ref);
    lane_look_at_age(&s->turns, from->lane);
    turns_drop_if_idle(&s->turns, from);
    return 0;
}

int schedule_claim(struct schedule *s, entry_ref ref)
{
    struct entry *e = entry_at(s, ref);

    if (e->state == ENTRY_ACTIVE)
        return -EBUSY;
    schedule_leave(s, ref);
    count_in(s, e, ENTRY_ACTIVE);
    return 0;
}

void schedule_unclaim(struct schedule *s, entry_ref ref, bool held)
{
    struct entry *e = active_at(s, ref);

    schedule_leave(s, ref);
    if (held)
        count_in(s, e, ENTRY_HELD);
    else
        enter_by_time(s, ref);
}

/* ---- lanes ---- */

int schedule_lane_new(struct schedule *s, uint32_t *ret)
{
    int r = lane_add(&s->turns);

    if (r == 0)
        *ret = s->turns.lane_count - 1;
    return r;
}

void schedule_lane_set_limits(struct schedule *s, uint32_t lane,
                              const struct schedule_lane_limits *limits)
{
    lane_set_limits(&s->turns, lane_at(&s->turns, lane), limits);
}

int schedule_set_lane(struct schedule *s, uint32_t destination, uint32_t lane,
                      const struct retry_policy *policy, uint32_t connections)
{
    if (policy)
        check_policy(policy);
    return turns_set_lane(&s->turns, destination_at(s, destination), lane_at(&s->turns, lane),
                          policy, connections);
}

uint32_t schedule_slots_of(const struct schedule *s, uint32_t destination)
{
    return destination_at(s, destination)->slots;
}

uint32_t schedule_lane_of(const struct schedule *s, uint32_t destination)
{
    return destination_at(s, destination)->lane->index;
}

/* ---- listings ---- */

static int64_t time_out(int64_t kept_ms)
{
    return kept_ms == TIME_NEVER ? SCHEDULE_NEVER : kept_ms;
}

bool schedule_get(const struct schedule *s, entry_ref ref, struct schedule_entry *ret)
{
    const struct entry *e;
    const struct destination *d;

    if (ref >= s->store.used || store_at(&s->store, ref)->state == ENTRY_FREE)
        return false;
    e = store_at(&s->store, ref);
    d = turns_at(&s->turns, e->destination);
    *ret = (struct schedule_entry){.ref = ref,
                                   .id = entry_id(e),
                                   .destination = slice_make(d->name, d->name_len),
                                   .destination_index = d->index,
                                   .lane = d->lane->index,
                                   .attempts = e->attempts,
                                   .arrival_ms = time_out(entry_arrival(e)),
                                   .due_ms = time_out(entry_due(e)),
                                   .state = (enum entry_state)e->state};
    return true;
}

size_t schedule_find(const struct schedule *s, uint64_t id, entry_ref *ret, size_t max)
{
    return store_find(&s->store, id, ret, max);
}

static int64_t first_due(const struct schedule *s, const struct destination *d)
{
    int64_t due = TIME_NEVER;

    for (uint32_t ref = d->filed_head; ref != NONE && d->counts[ENTRY_WAITING] > 0;) {
        const struct entry *e = store_at(&s->store, ref);

        if (e->state == ENTRY_WAITING)
            due = MIN_OF(due, entry_due(e));
        ref = e->filed_next;
    }
    return time_out(due);
}

bool schedule_next_destination(const struct schedule *s, uint32_t *it,
                               struct schedule_destination *ret)
{
    const struct destination *d = NULL;

    while (!d && *it < s->turns.table_count)
        d = turns_at(&s->turns, (*it)++);
    if (!d)
        return false;
    *ret = (struct schedule_destination){
        .name = slice_make(d->name, d->name_len),
        .index = d->index,
        .lane = d->lane->index,
        .waiting = d->counts[ENTRY_WAITING],
        .ready = d->counts[ENTRY_READY],
        .active = d->counts[ENTRY_ACTIVE],
        .held = d->counts[ENTRY_HELD],
        .slots = d->slots,
        .oldest_arrival_ms = SCHEDULE_NEVER,
        .next_due_ms = first_due(s, d),
        .paused_until_ms = is_paused(s, d) ? d->paused_until_ms : 0,
        .failures = d->failures,
    };
    ret->entries = ret->waiting + ret->ready + ret->active + ret->held;
    if (d->filed_head != NONE)
        ret->oldest_arrival_ms = time_out(entry_arrival(store_at(&s->store, d->filed_head)));
    return true;
}

bool schedule_next_entry(const struct schedule *s, uint32_t *it, struct schedule_entry *ret)
{
    while (*it < s->store.used)
        if (schedule_get(s, (*it)++, ret))
            return true;
    return false;
}

void schedule_lane_get(const struct schedule *s, uint32_t lane, struct schedule_lane_view *ret)
{
    const struct lane *l = lane_at(&s->turns, lane);

    *ret = (struct schedule_lane_view){.waiting = l->counts[ENTRY_WAITING],
                                       .ready = l->counts[ENTRY_READY],
                                       .active = l->counts[ENTRY_ACTIVE],
                                       .held = l->counts[ENTRY_HELD],
                                       .slots = l->slots,
                                       .slots_peak = l->slots_peak,
                                       .destinations = l->destination_count,
                                       .taken = l->taken,
                                       .oldest_arrival_ms = SCHEDULE_NEVER};
    ret->entries = ret->waiting + ret->ready + ret->active + ret->held;
    if (ret->entries > 0)
        ret->oldest_arrival_ms = time_out(l->oldest_ms);
}

void schedule_lane_reset_peak(struct schedule *s, uint32_t lane)
{
    struct lane *l = lane_at(&s->turns, lane);

    l->slots_peak = l->slots;
}

void schedule_get_totals(const struct schedule *s, struct schedule_totals *ret)
{
    *ret = (struct schedule_totals){.entries = s->store.count,
                                    .waiting = s->counts[ENTRY_WAITING],
                                    .ready = s->counts[ENTRY_READY],
                                    .active = s->counts[ENTRY_ACTIVE],
                                    .held = s->counts[ENTRY_HELD],
                                    .destinations = map_count(&s->turns.by_name),
                                    .slots = s->turns.slots};
}

size_t schedule_memory_bytes(const struct schedule *s)
{
    return sizeof(*s) + store_bytes(&s->store) + timeline_bytes(&s->timeline) +
           turns_bytes(&s->turns);
}
