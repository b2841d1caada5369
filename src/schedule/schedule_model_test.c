/*
 * schedule/schedule_model_test.c - random histories against a model too simple to be wrong.
 *
 * The model keeps plain arrays and searches them. It knows the order of every queue, so what
 * schedule_take() and schedule_grant() give must be equal; where the schedule draws a random
 * number the model checks the range and takes the value over. PENSTOCK_SEED picks one history,
 * PENSTOCK_SEEDS how many are run.
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
#include "base/rand.h"
#include "schedule/schedule.h"

enum { ENTRIES = 96, NAMES = 5, SENDERS = 4, STEPS = 4000, SEEDS = 60 };

static const char *const names[NAMES] = {"a.example", "B.example", "c.example", "d.example", "e"};
static const char *const lower[NAMES] = {"a.example", "b.example", "c.example", "d.example", "e"};

struct model_entry {
    bool used;
    entry_ref ref;
    uint64_t id;
    int name, sender;
    uint32_t attempts;
    int64_t arrival, due;
    enum entry_state state;
    int64_t place; /* READY: its order among its sender's; lower goes first */
    uint64_t filed;
};

struct model_destination {
    int senders[SENDERS], sender_count; /* those with ready entries, in the order of their turns */
    uint32_t slots, unused, failures;
    int64_t paused_until;
};

struct model {
    struct schedule *s;
    struct schedule_config config;
    struct rand chance, theirs;
    struct model_entry entries[ENTRIES];
    struct model_destination destinations[NAMES];
    int turns[NAMES], turn_count;
    uint32_t slots, override_slots;
    int64_t now, last_place, first_place;
    uint64_t filed;
    bool seen;
};

static struct model_entry *ready_of(struct model *m, int name, int sender)
{
    struct model_entry *best = NULL;

    for (int i = 0; i < ENTRIES; i++) {
        struct model_entry *e = &m->entries[i];

        if (e->used && e->state == ENTRY_READY && e->name == name && e->sender == sender &&
            (!best || e->place < best->place))
            best = e;
    }
    return best;
}

static uint32_t count_of(const struct model *m, int name, enum entry_state state)
{
    uint32_t n = 0;

    for (int i = 0; i < ENTRIES; i++)
        n += m->entries[i].used && m->entries[i].name == name && m->entries[i].state == state;
    return n;
}

static void remove_at(int *list, int *count, int value)
{
    for (int i = 0; i < *count; i++)
        if (list[i] == value) {
            memmove(&list[i], &list[i + 1], (size_t)(*count - i - 1) * sizeof(int));
            (*count)--;
            return;
        }
}

static bool contains(const int *list, int count, int value)
{
    for (int i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return false;
}

/* After any change: senders without ready entries and destinations without use for a slot leave
 * their rounds, new ones join at the end. */
static void update(struct model *m, int name)
{
    struct model_destination *d = &m->destinations[name];
    uint32_t limit =
        name == 0 && m->override_slots ? m->override_slots : m->config.connections_per_destination;
    bool wants;

    for (int sender = 0; sender < SENDERS; sender++) {
        bool ready = ready_of(m, name, sender) != NULL;
        bool waits = contains(d->senders, d->sender_count, sender);

        if (ready && !waits)
            d->senders[d->sender_count++] = sender;
        else if (!ready && waits)
            remove_at(d->senders, &d->sender_count, sender);
    }
    wants = count_of(m, name, ENTRY_READY) > d->unused && d->slots < limit;
    if (wants && !contains(m->turns, m->turn_count, name))
        m->turns[m->turn_count++] = name;
    else if (!wants)
        remove_at(m->turns, &m->turn_count, name);
}

/* A destination of which nothing is left is forgotten, its failures too. */
static void settle(struct model *m, int name)
{
    struct model_destination *d = &m->destinations[name];
    uint32_t entries = 0;

    update(m, name);
    for (int state = 0; state < 4; state++)
        entries += count_of(m, name, (enum entry_state)state);
    if (entries == 0 && d->slots == 0)
        *d = (struct model_destination){0};
}

static struct model_entry *pick(struct model *m, int state)
{
    int start = (int)rand_below(&m->chance, ENTRIES);

    for (int i = 0; i < ENTRIES; i++) {
        struct model_entry *e = &m->entries[(start + i) % ENTRIES];

        if (e->used && (state < 0 || (int)e->state == state))
            return e;
    }
    return NULL;
}

static int64_t real_due(struct model *m, const struct model_entry *e)
{
    struct schedule_entry got;

    assert_true(schedule_get(m->s, e->ref, &got));
    return got.due_ms;
}

/* Ready, or behind the pause. */
static void make_ready(struct model *m, struct model_entry *e, bool first)
{
    struct model_destination *d = &m->destinations[e->name];
    int64_t spread = (int64_t)m->config.retry.delays_s[m->config.retry.delay_count - 1] * 1000;

    if (d->paused_until > m->now) {
        e->state = ENTRY_WAITING;
        e->due = real_due(m, e);
        assert_true(e->due >= d->paused_until && e->due <= d->paused_until + spread);
        return;
    }
    e->state = ENTRY_READY;
    e->place = first ? --m->first_place : ++m->last_place;
}

static void by_time(struct model *m, struct model_entry *e)
{
    if (m->seen && e->due <= m->now)
        make_ready(m, e, false);
    else
        e->state = ENTRY_WAITING;
}

static void see_time(struct model *m, int64_t now)
{
    int64_t by = m->now - now;

    if (m->seen && by > 60000) {
        for (int i = 0; i < ENTRIES; i++)
            if (m->entries[i].used && m->entries[i].state == ENTRY_WAITING)
                m->entries[i].due = MAX_OF(m->entries[i].due - by, 0);
        for (int i = 0; i < NAMES; i++)
            m->destinations[i].paused_until = MAX_OF(m->destinations[i].paused_until - by, 0);
    }
    m->now = now;
    m->seen = true;
}

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
        .filed = ++m->filed,
    };
    e->due = MAX_OF(e->due, 0);
    e->arrival = MAX_OF(e->arrival, 0);
    r = schedule_add(m->s, e->id, slice_str(names[e->name]), (uint64_t)e->sender, e->arrival,
                     e->attempts, e->due, held, &e->ref);
    assert_int_equal(r, count < m->config.entries_max ? 0 : -ENOBUFS);
    if (r < 0)
        return;
    e->used = true;
    if (held)
        e->state = ENTRY_HELD;
    else
        by_time(m, e);
    update(m, e->name);
}

static void step_advance(struct model *m)
{
    static const int64_t jumps[] = {10, 1000, 30000, -20000, 86400000, -86400000};
    int64_t jump = jumps[rand_below(&m->chance, rand_below(&m->chance, 30) ? 3 : 6)];
    int64_t now = MAX_OF(m->now + (int64_t)rand_below(&m->chance, 2000) + jump, 0);
    size_t max = (size_t)rand_below(&m->chance, 20), expect = 0, due = 0;

    see_time(m, now);
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
        make_ready(m, first, false);
        update(m, first->name);
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
    int name;

    assert_int_equal(schedule_grant(m->s, &destination), possible);
    if (!possible)
        return;
    name = name_of(m, destination);
    assert_int_equal(name, m->turns[0]);
    remove_at(m->turns, &m->turn_count, name);
    m->slots++;
    m->destinations[name].slots++;
    m->destinations[name].unused++;
    update(m, name);
}

/* The handle of a destination that has a slot. */
static bool handle_of(struct model *m, int name, uint32_t *ret)
{
    if (m->destinations[name].slots == 0)
        return false;
    for (uint32_t handle = 0;; handle++) {
        struct schedule_destination d;
        uint32_t it = handle;

        if (!schedule_next_destination(m->s, &it, &d))
            return false;
        if (slice_eq(d.name, slice_str(lower[name]))) {
            *ret = it - 1;
            return true;
        }
    }
}

static void step_take(struct model *m)
{
    int name = (int)rand_below(&m->chance, NAMES);
    struct model_destination *d = &m->destinations[name];
    size_t max = (size_t)rand_below(&m->chance, 6);
    entry_ref got[8];
    size_t count;
    uint32_t handle;

    if (!handle_of(m, name, &handle))
        return;
    d->unused -= d->unused > 0;
    count = schedule_take(m->s, handle, got, max);
    assert_int_equal(count, MIN_OF(max, count_of(m, name, ENTRY_READY)));
    for (size_t i = 0; i < count; i++) {
        int sender = d->senders[0];
        struct model_entry *e = ready_of(m, name, sender);

        assert_non_null(e);
        assert_int_equal(got[i], e->ref);
        e->state = ENTRY_ACTIVE;
        remove_at(d->senders, &d->sender_count, sender);
        if (ready_of(m, name, sender))
            d->senders[d->sender_count++] = sender;
    }
    update(m, name);
}

static void step_release(struct model *m)
{
    int name = (int)rand_below(&m->chance, NAMES);
    uint32_t handle;

    if (!handle_of(m, name, &handle))
        return;
    m->destinations[name].slots--;
    m->slots--;
    m->destinations[name].unused -= m->destinations[name].unused > 0;
    schedule_release(m->s, handle);
    settle(m, name);
}

static void check_retry(struct model *m, struct model_entry *e, int64_t due)
{
    const struct retry_policy *p = &m->config.retry;
    double delay = p->delays_s[MIN_OF(e->attempts, p->delay_count) - 1] * 1000.0;
    int64_t paused = m->destinations[e->name].paused_until;

    assert_true(due >= m->now + (int64_t)(delay * (1 - p->jitter)) - 1);
    if (paused <= m->now)
        assert_true(due <= m->now + (int64_t)(delay * (1 + p->jitter)) + 1);
    assert_true(due >= paused);
    e->state = ENTRY_WAITING;
    e->due = due;
    assert_int_equal(real_due(m, e), due);
}

static void step_end(struct model *m)
{
    struct model_entry *e = pick(m, ENTRY_ACTIVE);
    int64_t now = m->now + (int64_t)rand_below(&m->chance, 100);

    if (!e)
        return;
    switch (rand_below(&m->chance, 3)) {
    case 0:
        schedule_done(m->s, e->ref);
        m->destinations[e->name].failures = 0;
        e->used = false;
        settle(m, e->name);
        break;
    case 1:
        see_time(m, now);
        e->attempts++;
        check_retry(m, e, schedule_retry(m->s, e->ref, now));
        break;
    default:
        schedule_return(m->s, e->ref);
        make_ready(m, e, true);
        update(m, e->name);
    }
}

static void step_destination_failed(struct model *m)
{
    int name = (int)rand_below(&m->chance, NAMES);
    struct model_destination *d = &m->destinations[name];
    const struct retry_policy *p = &m->config.retry;
    int64_t now = m->now + (int64_t)rand_below(&m->chance, 100);
    uint32_t handle;
    double delay;

    if (!handle_of(m, name, &handle))
        return;
    see_time(m, now);
    schedule_destination_failed(m->s, handle, now);
    if (d->paused_until > now)
        return;
    d->failures++;
    delay = p->delays_s[MIN_OF(d->failures, p->delay_count) - 1] * 1000.0;
    d->paused_until = now + (int64_t)(delay * (1 - p->jitter));
    for (int i = 0; i < ENTRIES; i++) {
        struct model_entry *e = &m->entries[i];

        if (e->used && e->name == name && e->state == ENTRY_READY) {
            e->attempts++;
            check_retry(m, e, real_due(m, e));
        }
    }
    update(m, name);
}

static void step_operator(struct model *m)
{
    struct model_entry *e = pick(m, -1);
    uint64_t what = rand_below(&m->chance, 4);
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
            update(m, e->name);
            by_time(m, e);
        }
    } else if (what == 1) {
        assert_int_equal(schedule_hold(m->s, e->ref), busy);
        if (!busy)
            e->state = ENTRY_HELD;
    } else if (what == 2) {
        see_time(m, m->now);
        assert_int_equal(schedule_release_hold(m->s, e->ref, m->now), busy);
        if (e->state == ENTRY_HELD)
            by_time(m, e);
    } else {
        assert_int_equal(schedule_cancel(m->s, e->ref), busy);
        e->used = busy;
    }
    settle(m, e->name);
}

static void step_limits(struct model *m)
{
    m->override_slots = (uint32_t)rand_below(&m->chance, 4);
    assert_int_equal(schedule_set_policy(m->s, slice_str("A.Example"), NULL, m->override_slots), 0);
    update(m, 0);
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
        assert_int_equal(d.waiting, count_of(m, name, ENTRY_WAITING));
        assert_int_equal(d.ready, count_of(m, name, ENTRY_READY));
        assert_int_equal(d.active, count_of(m, name, ENTRY_ACTIVE));
        assert_int_equal(d.held, count_of(m, name, ENTRY_HELD));
        assert_int_equal(d.slots, m->destinations[name].slots);
        assert_int_equal(d.failures, m->destinations[name].failures);
        assert_int_equal(d.next_due_ms, next);
        assert_int_equal(d.oldest_arrival_ms, oldest ? oldest->arrival : SCHEDULE_NEVER);
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
    assert_int_equal(schedule_new(&m.s, &m.config, &m.theirs), 0);
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
