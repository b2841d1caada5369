/*
 * schedule/schedule_model_test.c - random histories against a model too simple to be wrong.
 *
 * What schedule_take() and schedule_grant() give must be equal to what the model gives; where the
 * schedule draws a random number the test checks the range and takes the value over. PENSTOCK_SEED
 * picks one history, PENSTOCK_SEEDS how many are run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "schedule/schedule_model.h"

enum { STEPS = 4000, SEEDS = 60 };

static const char *const names[NAMES] = {"a.example", "B.example", "c.example", "d.example", "e"};
static const char *const lower[NAMES] = {"a.example", "b.example", "c.example", "d.example", "e"};

/* ---- the steps ---- */

static void step_add(struct model *m)
{
    struct model_entry *e = NULL;
    bool held = rand_below(&m->chance, 20) == 0;
    uint32_t count = 0;
    int r;

    for (int i = 0; i < ENTRIES; i++)
        if (m->entries[i].used)
            count++;
        else
            e = &m->entries[i];
    if (!e)
        return;
    *e = (struct model_entry){
        .id = 100 + rand_below(&m->chance, 20),
        .name = (int)rand_below(&m->chance, NAMES),
        .sender = (int)rand_below(&m->chance, SENDERS),
        .attempts = (uint32_t)rand_below(&m->chance, 4),
        .arrival = m->now - (int64_t)rand_below(&m->chance, 100000),
        .due = m->now - 30000 + (int64_t)rand_below(&m->chance, 60000),
    };
    e->due = MAX_OF(e->due, 0);
    e->arrival = MAX_OF(e->arrival, 0);
    r = schedule_add(m->s, e->id, slice_str(names[e->name]), (uint64_t)e->sender, e->arrival,
                     e->attempts, e->due, held, &e->ref);
    assert_int_equal(r, count < m->config.entries_max ? 0 : -ENOBUFS);
    if (r < 0)
        return;
    e->used = true;
    model_file(m, e, e->name);
    if (held)
        e->state = ENTRY_HELD;
    else
        model_by_time(m, e);
    model_update(m, e->name);
}

static void step_advance(struct model *m)
{
    static const int64_t jumps[] = {10, 1000, 30000, 86400000, -86400000, -20000};
    size_t often = rand_below(&m->chance, 30) ? 3 : m->has_rates ? 5 : 6;
    int64_t jump = jumps[rand_below(&m->chance, often)];
    int64_t now = MAX_OF(m->now + (int64_t)rand_below(&m->chance, 2000) + jump, 0);
    size_t max = (size_t)rand_below(&m->chance, 20), expect = 0, due = 0;

    model_see_time(m, now);
    for (int i = 0; i < ENTRIES; i++)
        due +=
            m->entries[i].used && m->entries[i].state == ENTRY_WAITING && m->entries[i].due <= now;
    assert_int_equal(schedule_advance(m->s, now, max), MIN_OF(due, max));
    for (; expect < MIN_OF(due, max); expect++) {
        struct model_entry *first = NULL;

        for (int i = 0; i < ENTRIES; i++) {
            struct model_entry *e = &m->entries[i];

            if (e->used && e->state == ENTRY_WAITING && e->due <= now &&
                (!first || e->due < first->due || (e->due == first->due && e->ref < first->ref)))
                first = e;
        }
        assert_non_null(first);
        model_make_ready(m, first, false);
        model_update(m, first->name);
    }
}

static int name_of(struct model *m, uint32_t destination)
{
    struct slice name = schedule_destination_name(m->s, destination);

    for (int i = 0; i < NAMES; i++)
        if (slice_eq(name, slice_str(lower[i])))
            return i;
    fail();
    return -1;
}

static void step_grant(struct model *m)
{
    bool possible = m->slots < m->config.connections_max && m->turn_count > 0;
    uint32_t destination = 0;
    int name, lane;

    assert_int_equal(schedule_grant(m->s, &destination), possible);
    if (!possible)
        return;
    name = name_of(m, destination);
    lane = m->turns[0];
    assert_int_equal(name, m->lanes[lane].waiting[0]);
    model_remove_at(m->turns, &m->turn_count, lane);
    model_remove_at(m->lanes[lane].waiting, &m->lanes[lane].waiting_count, name);
    m->slots++;
    m->destinations[name].slots++;
    m->destinations[name].unused++;
    assert_true(model_lane_slots(m, lane) <= model_lane_limit(m, lane) &&
                !m->lanes[lane].limits.paused);
    assert_true(m->destinations[name].slots <= model_limit_of(m, name));
    assert_int_equal(schedule_lane_of(m->s, destination), lane);
    model_update(m, name);
}

/* The handle of a destination. */
static bool find_handle(struct model *m, int name, uint32_t *ret)
{
    for (uint32_t handle = 0;; handle++) {
        struct schedule_destination d;
        uint32_t it = handle;

        if (!schedule_next_destination(m->s, &it, &d))
            return false;
        if (slice_eq(d.name, slice_str(lower[name]))) {
            *ret = it - 1;
            assert_int_equal(d.index, *ret);
            return true;
        }
    }
}

/* Of one that has a slot. */
static bool handle_of(struct model *m, int name, uint32_t *ret)
{
    return m->destinations[name].slots > 0 && find_handle(m, name, ret);
}

/* Whether the first of a round is to get a slot of one that has `mine`; else it lets others pass,
 * if it has any. */
static bool gives(int *round, int count, int me, uint32_t theirs, uint32_t mine, uint64_t *taken)
{
    int first = round[0];

    if (first != me && (theirs + 1 < mine || (theirs < mine && *taken >= mine * TURN_ENTRIES))) {
        *taken = 0;
        return true;
    }
    if (theirs > 0) {
        model_remove_at(round, &count, first);
        round[count] = first;
    }
    return false;
}

static bool hands_over(struct model *m, int name)
{
    struct model_destination *d = &m->destinations[name];
    struct model_lane *l = model_lane_of(m, name);
    uint32_t slots = model_lane_slots(m, d->lane);
    bool full = m->slots >= m->config.connections_max;

    if (m->slots > m->config.connections_max || d->slots > model_limit_of(m, name) ||
        slots > model_lane_limit(m, d->lane) || l->limits.paused)
        return true;
    if (full && m->turn_count > 0 &&
        gives(m->turns, m->turn_count, d->lane, model_lane_slots(m, m->turns[0]), slots,
              &l->turn_taken))
        return true;
    if (!(full || slots >= model_lane_limit(m, d->lane)) || l->waiting_count == 0 ||
        !gives(l->waiting, l->waiting_count, name, m->destinations[l->waiting[0]].slots, d->slots,
               &d->turn_taken))
        return false;
    if (model_contains(m->turns, m->turn_count, d->lane)) {
        model_remove_at(m->turns, &m->turn_count, d->lane);
        memmove(&m->turns[1], &m->turns[0], (size_t)m->turn_count++ * sizeof(int));
        m->turns[0] = d->lane;
    }
    return true;
}

static void step_take(struct model *m)
{
    int name = (int)rand_below(&m->chance, NAMES);
    struct model_destination *d = &m->destinations[name];
    struct model_lane *l = model_lane_of(m, name);
    size_t max = (size_t)rand_below(&m->chance, 6);
    entry_ref got[8];
    size_t count;
    uint64_t tokens;
    uint32_t handle;

    if (!handle_of(m, name, &handle))
        return;
    tokens = model_tokens_of(m, l);
    assert_true(schedule_share(m->s, handle) <=
                MIN_OF(tokens, model_count_of(m, name, ENTRY_READY)));
    count = schedule_take(m->s, handle, got, max);
    if (hands_over(m, name))
        max = 0;
    d->unused -= d->unused > 0;
    assert_int_equal(count, MIN_OF(MIN_OF(max, tokens), model_count_of(m, name, ENTRY_READY)));
    for (size_t i = 0; i < count; i++) {
        int sender = d->senders[0];
        struct model_entry *e = model_ready_of(m, name, sender);

        assert_non_null(e);
        assert_int_equal(got[i], e->ref);
        e->state = ENTRY_ACTIVE;
        model_remove_at(d->senders, &d->sender_count, sender);
        if (model_ready_of(m, name, sender))
            d->senders[d->sender_count++] = sender;
    }
    d->turn_taken += count;
    l->turn_taken += count;
    l->taken += count;
    model_charge(m, l, (double)count);
    model_update(m, name);
}

static void step_release(struct model *m)
{
    int name = (int)rand_below(&m->chance, NAMES);
    uint32_t handle;

    if (!handle_of(m, name, &handle))
        return;
    m->destinations[name].slots--;
    m->slots--;
    if (m->destinations[name].slots == 0)
        m->destinations[name].turn_taken = 0;
    if (model_lane_slots(m, m->destinations[name].lane) == 0)
        model_lane_of(m, name)->turn_taken = 0;
    m->destinations[name].unused -= m->destinations[name].unused > 0;
    schedule_release(m->s, handle);
    model_settle(m, name);
}

static const struct retry_policy *retry_of(const struct model *m, int name)
{
    const struct retry_policy *of_lane = m->destinations[name].lane_retry;

    return of_lane ? of_lane : &m->config.retry;
}

static void check_retry(struct model *m, struct model_entry *e, int64_t due)
{
    const struct retry_policy *p = retry_of(m, e->name);
    double delay = p->delays_s[MIN_OF(e->attempts, p->delay_count) - 1] * 1000.0;
    int64_t paused = m->destinations[e->name].paused_until;

    assert_true(due >= m->now + (int64_t)(delay * (1 - p->jitter)) - 1);
    if (paused <= m->now)
        assert_true(due <= m->now + (int64_t)(delay * (1 + p->jitter)) + 1);
    assert_true(due >= paused);
    e->state = ENTRY_WAITING;
    e->due = due;
    assert_int_equal(model_real_due(m, e), due);
}

static void step_end(struct model *m)
{
    struct model_entry *e = model_pick(m, ENTRY_ACTIVE);
    int64_t now = m->now + (int64_t)rand_below(&m->chance, 100);

    if (!e)
        return;
    switch (rand_below(&m->chance, 3)) {
    case 0:
        schedule_done(m->s, e->ref);
        m->destinations[e->name].failures = 0;
        model_gone(m, e);
        break;
    case 1:
        model_see_time(m, now);
        e->attempts++;
        check_retry(m, e, schedule_retry(m->s, e->ref, now));
        break;
    default:
        schedule_return(m->s, e->ref);
        model_charge(m, model_lane_of(m, e->name), -1.0);
        model_update_lane(m, m->destinations[e->name].lane);
        model_make_ready(m, e, true);
        model_update(m, e->name);
    }
}

static void step_destination_failed(struct model *m)
{
    int name = (int)rand_below(&m->chance, NAMES);
    struct model_destination *d = &m->destinations[name];
    const struct retry_policy *p = retry_of(m, name);
    int64_t now = m->now + (int64_t)rand_below(&m->chance, 100);
    uint32_t handle;
    double delay;

    if (!handle_of(m, name, &handle))
        return;
    model_see_time(m, now);
    schedule_destination_failed(m->s, handle, now);
    if (d->paused_until > now)
        return;
    d->failures++;
    delay = p->delays_s[0] * 1000.0;
    d->paused_until = now + (int64_t)(delay * (1 - p->jitter));
    for (int i = 0; i < ENTRIES; i++) {
        struct model_entry *e = &m->entries[i];

        if (e->used && e->name == name && e->state == ENTRY_READY) {
            e->attempts++;
            check_retry(m, e, model_real_due(m, e));
        }
    }
    model_update(m, name);
}

static void step_operator(struct model *m)
{
    struct model_entry *e = model_pick(m, -1);
    uint64_t what = rand_below(&m->chance, 5);
    int busy;

    if (!e)
        return;
    busy = e->state == ENTRY_ACTIVE ? -EBUSY : 0;
    if (what == 0) {
        int64_t due = m->now - 10000 + (int64_t)rand_below(&m->chance, 60000);

        due = MAX_OF(due, 0);
        assert_int_equal(schedule_set_due(m->s, e->ref, due), busy);
        if (busy)
            return;
        m->destinations[e->name].paused_until = 0;
        e->due = due;
        if (e->state != ENTRY_HELD) {
            e->state = ENTRY_ACTIVE; /* out of its queue: it joins again as the last */
            model_update(m, e->name);
            model_by_time(m, e);
        }
    } else if (what == 1) {
        assert_int_equal(schedule_hold(m->s, e->ref), busy);
        if (!busy)
            e->state = ENTRY_HELD;
    } else if (what == 2) {
        model_see_time(m, m->now);
        assert_int_equal(schedule_release_hold(m->s, e->ref, m->now), busy);
        if (e->state == ENTRY_HELD)
            model_by_time(m, e);
    } else if (what == 3) {
        int name = (int)rand_below(&m->chance, NAMES);

        assert_int_equal(schedule_move(m->s, e->ref, slice_str(names[name])), busy);
        if (!busy)
            model_move(m, e, name);
        return;
    } else {
        assert_int_equal(schedule_cancel(m->s, e->ref), busy);
        if (!busy) {
            model_gone(m, e);
            return;
        }
    }
    model_settle(m, e->name);
}

static void step_limits(struct model *m)
{
    m->override_slots = (uint32_t)rand_below(&m->chance, 4);
    assert_int_equal(schedule_set_policy(m->s, slice_str("A.Example"), NULL, m->override_slots), 0);
    model_update(m, 0);
}

static const struct retry_policy of_lanes = {
    .delays_s = {5, 30}, .delay_count = 2, .jitter = 0.5, .max_queue_time_s = 200};

static void step_set_lane(struct model *m)
{
    int name = (int)rand_below(&m->chance, NAMES), lane = (int)rand_below(&m->chance, LANES);
    struct model_destination *d = &m->destinations[name];
    uint32_t handle;

    if (!find_handle(m, name, &handle))
        return;
    d->lane_retry = rand_below(&m->chance, 2) ? &of_lanes : NULL;
    d->lane_connections = (uint32_t)rand_below(&m->chance, 3);
    assert_int_equal(
        schedule_set_lane(m->s, handle, (uint32_t)lane, d->lane_retry, d->lane_connections), 0);
    assert_int_equal(schedule_lane_of(m->s, handle), lane);
    if (lane != d->lane) {
        int from = d->lane;

        model_leave_lane(m, name);
        d->lane = lane;
        m->lanes[lane].members[m->lanes[lane].member_count++] = name;
        model_charge(m, &m->lanes[lane], model_count_of(m, name, ENTRY_ACTIVE));
        model_update_lane(m, from);
    }
    model_update(m, name);
}

static void step_lane_limits(struct model *m)
{
    static const double rates[] = {0.0, 0.0, 1000.0 / 128, 1000.0 / 512, 1000.0 / 4096};
    static const uint32_t connections[] = {0, 1, 2, 3, 5, UINT32_MAX};
    int lane = (int)rand_below(&m->chance, LANES);
    struct model_lane *l = &m->lanes[lane];
    struct schedule_lane_limits limits = {
        .connections = connections[rand_below(&m->chance, ARRAY_SIZE(connections))],
        .per_second = m->has_rates ? rates[rand_below(&m->chance, ARRAY_SIZE(rates))] : 0.0,
        .paused = rand_below(&m->chance, 8) == 0,
    };

    if (l->limits.per_second > 0.0) {
        model_refill(m, l);
    } else {
        l->tokens = 1.0;
        l->tokens_ms = m->seen ? m->now : 0;
    }
    l->limits = limits;
    l->tokens = MIN_OF(l->tokens, model_burst_of(l));
    schedule_lane_set_limits(m->s, (uint32_t)lane, &limits);
    model_update_lane(m, lane);
}

static void step_spread(struct model *m)
{
    int lane = (int)rand_below(&m->chance, LANES);
    int64_t window = (int64_t)rand_below(&m->chance, 40000), until = m->now + window;
    struct model_lane *l = &m->lanes[lane];
    uint32_t cursor = 0;

    model_see_time(m, m->now);
    while (schedule_lane_spread(m->s, (uint32_t)lane, m->now, (uint64_t)window, &cursor,
                                (size_t)rand_below(&m->chance, 5)))
        ;
    for (int i = 0; i < l->member_count; i++) {
        int name = l->members[i];
        int64_t paused = m->destinations[name].paused_until;

        for (int k = model_filed_after(m, name, NOBODY); k != NOBODY;
             k = model_filed_after(m, name, k)) {
            struct model_entry *e = &m->entries[k];

            if (e->attempts == 0 ||
                !(e->state == ENTRY_READY || (e->state == ENTRY_WAITING && e->due < until)))
                continue;
            e->due = model_real_due(m, e);
            assert_true(e->due >= m->now && (e->due <= until || e->due >= paused));
            assert_true(paused <= m->now || e->due >= paused);
            if (e->state == ENTRY_READY) {
                e->state = ENTRY_ACTIVE;
                model_update(m, name);
            }
            model_by_time(m, e);
            model_update(m, name);
        }
    }
}

static bool release_next(struct model *m, int name, bool first, size_t *looks)
{
    struct model_destination *d = &m->destinations[name];

    while (*looks > 0 && model_count_of(m, name, ENTRY_WAITING) > 0) {
        int k = d->release_at == NOBODY ? model_filed_after(m, name, NOBODY) : d->release_at;

        (*looks)--;
        d->release_at = model_filed_after(m, name, k);
        if (m->entries[k].state != ENTRY_WAITING)
            continue;
        d->paused_until = 0;
        m->entries[k].due = m->now;
        model_make_ready(m, &m->entries[k], first);
        model_update(m, name);
        return true;
    }
    return false;
}

static uint32_t lane_count(const struct model *m, int lane, enum entry_state state)
{
    uint32_t n = 0;

    for (int name = 0; name < NAMES; name++)
        n += m->destinations[name].lives && m->destinations[name].lane == lane
                 ? model_count_of(m, name, state)
                 : 0;
    return n;
}

static void step_lane_release(struct model *m)
{
    int lane = (int)rand_below(&m->chance, LANES);
    struct model_lane *l = &m->lanes[lane];
    size_t count = (size_t)rand_below(&m->chance, 4), looks = 4096, expect = 0, released;
    bool first = rand_below(&m->chance, 2) == 0;

    model_see_time(m, m->now);
    released = schedule_lane_release(m->s, (uint32_t)lane, m->now, count, first);
    while (expect < count && looks > 0 && lane_count(m, lane, ENTRY_WAITING) > 0) {
        int name = l->release_at == NOBODY ? l->members[0] : l->release_at;

        looks--;
        l->release_at = model_member_after(l, name);
        expect += release_next(m, name, first, &looks);
    }
    assert_int_equal(released, expect);
}

/* ---- what must hold after every step ---- */

static void check_entry(struct model *m, const struct model_entry *e)
{
    struct schedule_entry got;

    assert_true(schedule_get(m->s, e->ref, &got));
    assert_int_equal(got.ref, e->ref);
    assert_int_equal(got.id, e->id);
    assert_true(slice_eq(got.destination, slice_str(lower[e->name])));
    assert_int_equal(got.attempts, e->attempts);
    assert_int_equal(got.arrival_ms, e->arrival);
    assert_int_equal(got.due_ms, e->due);
    assert_int_equal(got.state, e->state);
    assert_int_equal(got.lane, m->destinations[e->name].lane);
    assert_int_equal(got.lane, schedule_lane_of(m->s, got.destination_index));
}

static void check_find(struct model *m, uint64_t id)
{
    entry_ref refs[ENTRIES];
    size_t expect = 0, n = schedule_find(m->s, id, refs, ENTRIES);

    for (int i = 0; i < ENTRIES; i++) {
        bool found = false;

        if (!m->entries[i].used || m->entries[i].id != id)
            continue;
        expect++;
        for (size_t k = 0; k < n; k++)
            found |= refs[k] == m->entries[i].ref;
        assert_true(found);
    }
    assert_int_equal(n, expect);
}

static void check_destinations(struct model *m)
{
    struct schedule_destination d;
    uint32_t it = 0;

    while (schedule_next_destination(m->s, &it, &d)) {
        const struct model_entry *oldest = NULL;
        int name = name_of(m, it - 1);
        int64_t next = SCHEDULE_NEVER;

        for (int i = 0; i < ENTRIES; i++) {
            const struct model_entry *e = &m->entries[i];

            if (!e->used || e->name != name)
                continue;
            if (e->state == ENTRY_WAITING)
                next = MIN_OF(next, e->due);
            if (!oldest || e->filed < oldest->filed)
                oldest = e;
        }
        assert_int_equal(d.waiting, model_count_of(m, name, ENTRY_WAITING));
        assert_int_equal(d.ready, model_count_of(m, name, ENTRY_READY));
        assert_int_equal(d.active, model_count_of(m, name, ENTRY_ACTIVE));
        assert_int_equal(d.held, model_count_of(m, name, ENTRY_HELD));
        assert_int_equal(d.slots, m->destinations[name].slots);
        assert_int_equal(d.failures, m->destinations[name].failures);
        assert_int_equal(d.next_due_ms, next);
        assert_int_equal(d.oldest_arrival_ms, oldest ? oldest->arrival : SCHEDULE_NEVER);
    }
}

static void check_lanes(struct model *m)
{
    for (int lane = 0; lane < LANES; lane++) {
        struct model_lane *l = &m->lanes[lane];
        int64_t oldest = SCHEDULE_NEVER;
        struct schedule_lane_view v;

        for (int i = 0; i < l->member_count; i++) {
            int k = model_filed_after(m, l->members[i], NOBODY);

            if (k != NOBODY)
                oldest = MIN_OF(oldest, m->entries[k].arrival);
        }
        schedule_lane_get(m->s, (uint32_t)lane, &v);
        assert_int_equal(v.destinations, l->member_count);
        assert_int_equal(v.waiting, lane_count(m, lane, ENTRY_WAITING));
        assert_int_equal(v.ready, lane_count(m, lane, ENTRY_READY));
        assert_int_equal(v.active, lane_count(m, lane, ENTRY_ACTIVE));
        assert_int_equal(v.held, lane_count(m, lane, ENTRY_HELD));
        assert_int_equal(v.entries, v.waiting + v.ready + v.active + v.held);
        assert_int_equal(v.slots, model_lane_slots(m, lane));
        assert_int_equal(v.slots_peak, l->peak);
        assert_int_equal(v.taken, l->taken);
        assert_true(v.entries > 0 ? v.oldest_arrival_ms <= oldest
                                  : v.oldest_arrival_ms == SCHEDULE_NEVER);
        if (rand_below(&m->chance, 50) == 0) {
            schedule_lane_reset_peak(m->s, (uint32_t)lane);
            l->peak = v.slots;
        }
    }
}

static void check(struct model *m)
{
    struct schedule_totals totals;
    uint64_t counts[4] = {0};
    int64_t next = SCHEDULE_NEVER;

    for (int i = 0; i < ENTRIES; i++) {
        const struct model_entry *e = &m->entries[i];

        if (!e->used)
            continue;
        counts[e->state]++;
        check_entry(m, e);
        if (e->state == ENTRY_WAITING)
            next = MIN_OF(next, e->due);
    }
    for (int lane = 0; lane < LANES; lane++)
        next = MIN_OF(next, m->lanes[lane].wake_ms);
    schedule_get_totals(m->s, &totals);
    assert_int_equal(totals.waiting, counts[ENTRY_WAITING]);
    assert_int_equal(totals.ready, counts[ENTRY_READY]);
    assert_int_equal(totals.active, counts[ENTRY_ACTIVE]);
    assert_int_equal(totals.held, counts[ENTRY_HELD]);
    assert_int_equal(totals.entries, counts[0] + counts[1] + counts[2] + counts[3]);
    assert_int_equal(totals.slots, m->slots);
    assert_int_equal(schedule_next_due_ms(m->s), next);
    check_find(m, 100 + rand_below(&m->chance, 20));
    check_destinations(m);
    check_lanes(m);
}

static void run(uint64_t seed)
{
    static struct model m;
    struct rand chance;

    m = (struct model){
        .config = {.connections_max = 7,
                   .connections_per_destination = 3,
                   .retry = {.delays_s = {10, 20, 40},
                             .delay_count = 3,
                             .jitter = 0.2,
                             .max_queue_time_s = 100},
                   .entries_max = ENTRIES - 8},
        .now = 1700000000000,
    };
    rand_init(&chance, seed);
    m.chance = chance;
    rand_init(&m.theirs, seed + 1);
    m.has_rates = seed % 2;
    m.config.connections_new = seed % 3 ? (uint32_t)(seed % 3) * 2 : 0;
    for (int name = 0; name < NAMES; name++)
        m.destinations[name].release_at = NOBODY;
    assert_int_equal(schedule_new(&m.s, &m.config, &m.theirs), 0);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t made = 0;

        m.lanes[lane] = (struct model_lane){
            .limits = {.connections = UINT32_MAX}, .wake_ms = SCHEDULE_NEVER, .release_at = NOBODY};
        if (lane != SCHEDULE_LANE_NEW)
            assert_int_equal(schedule_lane_new(m.s, &made), 0);
        assert_int_equal(made, lane);
    }
    for (int step = 0; step < STEPS; step++) {
        static void (*const steps[])(struct model *) = {
            step_add,  step_add,     step_add, step_add, step_advance,  step_grant, step_grant,
            step_take, step_release, step_end, step_end, step_operator, step_take,
        };
        uint64_t roll = rand_below(&m.chance, 60);

        if (roll == 0)
            step_destination_failed(&m);
        else if (roll == 1)
            step_limits(&m);
        else if (roll == 2 || roll == 3)
            step_set_lane(&m);
        else if (roll == 4)
            step_lane_limits(&m);
        else if (roll == 5)
            step_spread(&m);
        else if (roll == 6)
            step_lane_release(&m);
        else
            steps[rand_below(&m.chance, ARRAY_SIZE(steps))](&m);
        check(&m);
    }
    schedule_free(&m.s);
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void the_schedule_does_what_the_model_does(void **state)
{
    uint64_t first = number_from("PENSTOCK_SEED", 1);
    uint64_t count = number_from("PENSTOCK_SEEDS", getenv("PENSTOCK_SEED") ? 1 : SEEDS);

    (void)state;
    for (uint64_t seed = first; seed < first + count; seed++) {
        print_message("# seed %llu\n", (unsigned long long)seed);
        run(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schedule_does_what_the_model_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
