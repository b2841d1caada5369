/* schedule/schedule_test.c - retry, fair turns, slots, pauses, clocks and memory, case by case. The
 * random histories are in schedule_model_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "schedule/schedule.h"

#define NOW INT64_C(1700000000000)
#define MINUTE INT64_C(60000)

static struct rand chance;

static const struct schedule_config common = {
    .connections_max = 100,
    .connections_per_destination = 20,
    .retry = {.delays_s = {600, 1200, 2400, 4800},
              .delay_count = 4,
              .jitter = 0.2,
              .max_queue_time_s = 48 * 3600,
              .delay_dsn_s = 4 * 3600},
    .entries_max = 10000000,
};

static struct schedule *make(const struct schedule_config *config)
{
    struct schedule *s;

    rand_init(&chance, 5);
    assert_int_equal(schedule_new(&s, config, &chance), 0);
    return s;
}

static entry_ref add(struct schedule *s, const char *destination, uint64_t sender)
{
    static uint64_t id = 1000;
    entry_ref ref;

    assert_int_equal(
        schedule_add(s, id++, slice_str(destination), sender, NOW, 0, NOW, false, &ref), 0);
    return ref;
}

static uint32_t grant(struct schedule *s, const char *expect)
{
    uint32_t destination = 0;

    assert_true(schedule_grant(s, &destination));
    assert_true(slice_eq(schedule_destination_name(s, destination), slice_str(expect)));
    return destination;
}

static struct schedule_entry get(struct schedule *s, entry_ref ref)
{
    struct schedule_entry e;

    assert_true(schedule_get(s, ref, &e));
    return e;
}

static void a_message_goes_its_way(void **state)
{
    struct schedule *s = make(&common);
    entry_ref ref = add(s, "Example.ORG", 1), got[4];
    struct schedule_totals totals;
    struct schedule_entry e;
    uint32_t destination;

    (void)state;
    assert_int_equal(schedule_next_due_ms(s), NOW);
    assert_int_equal(schedule_advance(s, NOW - 1, 10), 0);
    assert_int_equal(schedule_advance(s, NOW, 10), 1);
    assert_int_equal(schedule_next_due_ms(s), SCHEDULE_NEVER);
    destination = grant(s, "example.org");
    assert_int_equal(schedule_take(s, destination, got, 4), 1);
    assert_int_equal(got[0], ref);
    assert_int_equal(get(s, ref).state, ENTRY_ACTIVE);
    assert_int_equal(schedule_cancel(s, ref), -EBUSY);
    assert_int_equal(schedule_take(s, destination, got, 4), 0);
    schedule_done(s, ref);
    assert_false(schedule_get(s, ref, &e));
    schedule_release(s, destination);
    schedule_get_totals(s, &totals);
    assert_int_equal(totals.entries + totals.destinations + totals.slots, 0);
    schedule_free(&s);
    schedule_free(&s);
}

static void what_is_due_already_is_ready_at_once(void **state)
{
    struct schedule *s = make(&common);
    entry_ref early, late;

    (void)state;
    assert_int_equal(schedule_advance(s, NOW, 10), 0);
    early = add(s, "a", 1);
    assert_int_equal(schedule_add(s, 1, SLICE_LIT("a"), 1, NOW, 3, NOW + 1, false, &late), 0);
    assert_int_equal(get(s, early).state, ENTRY_READY);
    assert_int_equal(get(s, late).state, ENTRY_WAITING);
    assert_int_equal(get(s, late).attempts, 3);
    schedule_free(&s);
}

static void delays_follow_the_list_and_its_last_repeats(void **state)
{
    static const int64_t minutes[] = {10, 20, 40, 80, 80, 80};
    struct schedule_config config = common;
    int64_t now = NOW;
    struct schedule *s;
    entry_ref ref;

    (void)state;
    config.retry.jitter = 0;
    s = make(&config);
    ref = add(s, "a", 1);
    for (size_t i = 0; i < ARRAY_SIZE(minutes); i++) {
        uint32_t destination;

        assert_int_equal(schedule_advance(s, now, 10), 1);
        destination = grant(s, "a");
        assert_int_equal(schedule_take(s, destination, &ref, 1), 1);
        assert_int_equal(schedule_retry(s, ref, now), now + minutes[i] * MINUTE);
        assert_int_equal(get(s, ref).attempts, i + 1);
        schedule_release(s, destination);
        now += minutes[i] * MINUTE;
        assert_int_equal(schedule_next_due_ms(s), now);
    }
    schedule_free(&s);
}

static void a_destination_may_have_its_own_policy(void **state)
{
    struct retry_policy quick = {
        .delays_s = {60}, .delay_count = 1, .max_queue_time_s = 3600, .delay_dsn_s = 0};
    struct schedule *s = make(&common);
    entry_ref ref;
    uint32_t destination, more;

    (void)state;
    assert_int_equal(schedule_set_policy(s, SLICE_LIT("Quick.example"), &quick, 1), 0);
    add(s, "quick.example", 1);
    add(s, "quick.example", 1);
    assert_int_equal(schedule_advance(s, NOW, 10), 2);
    destination = grant(s, "quick.example");
    assert_false(schedule_grant(s, &more));
    assert_int_equal(schedule_take(s, destination, &ref, 1), 1);
    assert_false(schedule_is_expired(s, ref, NOW + 3599999));
    assert_true(schedule_is_expired(s, ref, NOW + 3600000));
    assert_false(schedule_is_delay_due(s, ref, NOW + 100 * 3600000));
    assert_int_equal(schedule_retry(s, ref, NOW), NOW + MINUTE);
    assert_int_equal(schedule_set_policy(s, SLICE_LIT("quick.example"), NULL, 0), 0);
    assert_false(schedule_is_expired(s, ref, NOW + 48 * 3600000 - 1));
    assert_true(schedule_is_expired(s, ref, NOW + 48 * 3600000));
    assert_true(schedule_is_delay_due(s, ref, NOW + 4 * 3600000));
    assert_true(schedule_grant(s, &more));
    schedule_free(&s);
}

static void slots_follow_use_and_limits(void **state)
{
    struct schedule_config config = common;
    struct schedule *s = make(&config);
    entry_ref got[8];
    uint32_t destination = 0, slots = 0;

    (void)state;
    assert_int_equal(schedule_advance(s, NOW, 1), 0);
    for (int i = 0; i < 1000; i++)
        add(s, "many", 1);
    add(s, "one", 1);
    grant(s, "many");
    grant(s, "one");
    for (slots = 1; schedule_grant(s, &destination); slots++)
        assert_true(slice_eq(schedule_destination_name(s, destination), SLICE_LIT("many")));
    assert_int_equal(slots, 20);
    config.connections_per_destination = 200;
    schedule_set_config(s, &config);
    for (slots = 21; schedule_grant(s, &destination); slots++)
        ;
    assert_int_equal(slots, 100); /* in all, with the one of the other */
    config.connections_max = 10;
    schedule_set_config(s, &config);
    for (slots = 100; slots > 10; slots--) { /* no slot is taken away, but none is used again */
        assert_int_equal(schedule_take(s, destination, got, 8), 0);
        schedule_release(s, destination);
        assert_false(schedule_grant(s, &destination));
    }
    assert_int_equal(schedule_take(s, destination, got, 8), 8);
    schedule_free(&s);
}

static void a_busy_slot_does_not_keep_a_ready_entry_from_another(void **state)
{
    struct schedule *s = make(&common);
    uint32_t destination, other;
    entry_ref ref;

    (void)state;
    assert_int_equal(schedule_advance(s, NOW, 1), 0);
    add(s, "a", 1);
    destination = grant(s, "a");
    assert_false(schedule_grant(s, &other));
    assert_int_equal(schedule_take(s, destination, &ref, 1), 1);
    add(s, "a", 1);
    assert_int_equal(grant(s, "a"), destination);
    /* A slot handed back unused leaves its entry to the next. */
    schedule_release(s, destination);
    assert_int_equal(grant(s, "a"), destination);
    schedule_free(&s);
}

static void a_sender_of_many_does_not_starve_a_sender_of_one(void **state)
{
    enum { MANY = 100000 };
    struct schedule *s = make(&common);
    entry_ref single, got[3];
    uint32_t destination;

    (void)state;
    assert_int_equal(schedule_advance(s, NOW, 1), 0);
    for (int i = 0; i < MANY; i++)
        add(s, "a", 7);
    single = add(s, "a", 8);
    destination = grant(s, "a");
    assert_int_equal(schedule_take(s, destination, got, 2), 2);
    assert_int_equal(got[1], single);
    /* A sender that stays gets every second turn; its queue does not live on empty. */
    for (int i = 0; i < 100; i++) {
        single = add(s, "a", 8);
        assert_int_equal(schedule_take(s, destination, got, 3), 3);
        assert_true(got[0] == single || got[1] == single);
    }
    schedule_free(&s);
}

static void more_senders_than_queues_share_one(void **state)
{
    enum { SENDERS = 3000 };
    struct schedule *s = make(&common);
    entry_ref first, got[SENDERS];
    uint32_t destination;
    size_t bytes;

    (void)state;
    assert_int_equal(schedule_advance(s, NOW, 1), 0);
    first = add(s, "a", 1);
    for (uint64_t i = 2; i <= SENDERS; i++)
        add(s, "a", i);
    bytes = schedule_memory_bytes(s);
    for (uint64_t i = SENDERS; i < SENDERS + 1000; i++)
        assert_int_equal(schedule_cancel(s, add(s, "a", i)), 0);
    assert_int_equal(schedule_memory_bytes(s), bytes);
    destination = grant(s, "a");
    assert_int_equal(schedule_take(s, destination, got, SENDERS), SENDERS);
    assert_int_equal(got[0], first);
    for (size_t i = 0; i < SENDERS; i++)
        schedule_done(s, got[i]);
    schedule_free(&s);
}

static void destinations_take_turns(void **state)
{
    struct schedule *s = make(&common);

    (void)state;
    assert_int_equal(schedule_advance(s, NOW, 1), 0);
    for (int i = 0; i < 10; i++)
        add(s, "big", 1);
    add(s, "small", 1);
    add(s, "small", 1);
    add(s, "tiny", 1);
    grant(s, "big");
    grant(s, "small");
    grant(s, "tiny");
    grant(s, "big");
    grant(s, "small");
    grant(s, "big");
    schedule_free(&s);
}

static void a_failed_destination_is_paused_and_its_backlog_spread(void **state)
{
    enum { BACKLOG = 20000 };
    struct schedule *s = make(&common);
    uint32_t in_minute[13] = {0}, destination, it = 0;
    struct schedule_destination d;
    struct schedule_entry e;
    entry_ref late, got[2];

    (void)state;
    assert_int_equal(schedule_advance(s, NOW, 1), 0);
    for (int i = 0; i < BACKLOG; i++)
        add(s, "a", (uint64_t)i % 10);
    destination = grant(s, "a");
    assert_int_equal(schedule_take(s, destination, got, 2), 2);
    schedule_destination_failed(s, destination, NOW);
    schedule_destination_failed(s, destination, NOW + 5); /* another slot says so too */
    late = add(s, "a", 1);
    assert_int_equal(get(s, late).attempts, 0);
    while (schedule_next_entry(s, &it, &e))
        if (e.state == ENTRY_WAITING) {
            assert_in_range(e.due_ms - NOW, 8 * MINUTE, 12 * MINUTE);
            in_minute[(e.due_ms - NOW) / MINUTE]++;
        }
    for (int i = 8; i < 12; i++) /* uniform: a quarter each, give or take a twentieth */
        assert_in_range(in_minute[i], BACKLOG / 4 - BACKLOG / 80, BACKLOG / 4 + BACKLOG / 80);
    it = 0;
    assert_true(schedule_next_destination(s, &it, &d));
    assert_int_equal(d.failures, 1);
    assert_int_equal(d.paused_until_ms, NOW + 8 * MINUTE);
    assert_int_equal(d.waiting, BACKLOG - 1);
    assert_false(schedule_grant(s, &destination));
    /* The active ones come back behind the pause as well. */
    schedule_return(s, got[0]);
    assert_true(get(s, got[0]).due_ms >= NOW + 8 * MINUTE);
    assert_true(schedule_retry(s, got[1], NOW) >= NOW + 8 * MINUTE);
    /* The operator may not want to wait. */
    assert_int_equal(schedule_set_due(s, late, NOW), 0);
    assert_int_equal(get(s, late).state, ENTRY_READY);
    assert_true(schedule_grant(s, &destination));
    schedule_free(&s);
}

static void a_success_ends_the_row_of_failures(void **state)
{
    struct schedule *s = make(&common);
    struct schedule_destination d;
    uint32_t destination, it;
    int64_t now = NOW;
    entry_ref ref;

    (void)state;
    assert_int_equal(schedule_advance(s, NOW, 1), 0);
    ref = add(s, "a", 1);
    destination = grant(s, "a");
    for (size_t i = 0; i < 5; i++) {
        schedule_destination_failed(s, destination, now);
        it = 0;
        assert_true(schedule_next_destination(s, &it, &d));
        assert_int_equal(d.failures, i + 1);
        /* However often: all its mail waits for one connection to find out that it is back. */
        assert_int_equal(d.paused_until_ms, now + 8 * MINUTE);
        now += 200 * MINUTE;
        assert_int_equal(schedule_advance(s, now, 9), 1);
    }
    assert_int_equal(schedule_take(s, destination, &ref, 1), 1);
    schedule_done(s, ref);
    it = 0;
    assert_true(schedule_next_destination(s, &it, &d));
    assert_int_equal(d.failures, 0);
    schedule_free(&s);
}

static void clocks_may_jump(void **state)
{
    static const int64_t years = INT64_C(365) * 86400000;
    static const int64_t jumps[] = {20 * years, -20 * years, -53 * years, 100 * years, -5 * MINUTE,
                                    INT64_MAX,  INT64_MIN,   100 * years, 6 * years};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
        struct schedule *s = make(&common);
        int64_t there = jumps[i] == INT64_MAX || jumps[i] == INT64_MIN ? jumps[i] : NOW + jumps[i];
        struct schedule_totals totals;
        entry_ref ref, held;
        uint32_t destination;

        assert_int_equal(schedule_advance(s, NOW, 1), 0);
        ref = add(s, "a", 1);
        destination = grant(s, "a");
        assert_int_equal(schedule_take(s, destination, &ref, 1), 1);
        assert_true(schedule_retry(s, ref, NOW) <= NOW + 12 * MINUTE);
        assert_int_equal(schedule_add(s, 5, SLICE_LIT("b"), 1, there, 0, there, true, &held), 0);
        (void)schedule_advance(s, there, 9);
        schedule_get_totals(s, &totals);
        assert_int_equal(totals.entries, 2);
        /* Forward: due at once. Back: it waits as long as it was to wait. */
        assert_int_equal(totals.ready, there > NOW);
        if (there < NOW)
            (void)schedule_advance(s, MAX_OF(there, 0) + 12 * MINUTE, 9);
        schedule_get_totals(s, &totals);
        assert_int_equal(totals.ready, 1);
        assert_true(schedule_grant(s, &destination));
        assert_int_equal(schedule_take(s, destination, &ref, 1), 1);
        schedule_done(s, ref);
        schedule_free(&s);
    }
}

static void far_times_stay_in_order(void **state)
{
    static const int64_t dues[] = {0, -5, NOW - 400000000000, NOW, NOW + 400000000000, INT64_MAX};
    struct schedule *s = make(&common);
    struct schedule_totals totals;
    entry_ref ref[ARRAY_SIZE(dues)];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(dues); i++)
        assert_int_equal(schedule_add(s, i, SLICE_LIT("a"), 1, 0, 0, dues[i], false, &ref[i]), 0);
    assert_int_equal(schedule_advance(s, NOW, 100), 4);
    assert_int_equal(schedule_next_due_ms(s), NOW + 400000000000);
    assert_int_equal(schedule_advance(s, NOW + 400000000000, 100), 1);
    assert_int_equal(schedule_next_due_ms(s), SCHEDULE_NEVER);
    assert_int_equal(schedule_advance(s, INT64_MAX, 100), 0);
    assert_int_equal(get(s, ref[5]).due_ms, SCHEDULE_NEVER);
    schedule_get_totals(s, &totals);
    assert_int_equal(totals.ready, 5);
    assert_int_equal(totals.waiting, 1);
    schedule_free(&s);
}

static void limits_refuse(void **state)
{
    struct schedule_config config = common;
    struct schedule *s;
    entry_ref ref;

    (void)state;
    config.entries_max = 1;
    s = make(&config);
    assert_int_equal(schedule_add(s, 1, SLICE_LIT("a"), 1, NOW, 0, NOW, false, &ref), 0);
    assert_int_equal(schedule_add(s, 2, SLICE_LIT("b"), 1, NOW, 0, NOW, false, &ref), -ENOBUFS);
    assert_int_equal(schedule_cancel(s, ref), 0);
    assert_int_equal(schedule_add(s, 2, SLICE_LIT("b"), 1, NOW, 0, NOW, false, &ref), 0);
    assert_false(schedule_get(s, ENTRY_NONE, &(struct schedule_entry){0}));
    schedule_free(&s);
}

/* The goal is 160 bytes a deferred message in the whole process; these are ours of it. */
static void a_million_waiting_entries_stay_small(void **state)
{
    enum { COUNT = 1000000 };
    struct schedule *s = make(&common);
    size_t before = schedule_memory_bytes(s);
    struct rand r;
    int64_t last = 0;

    (void)state;
    rand_init(&r, 3);
    for (uint64_t i = 0; i < COUNT; i++) {
        static const char *const names[] = {"a.example", "b.example", "c.example"};
        entry_ref ref;

        assert_int_equal(schedule_add(s, i, slice_str(names[i % 3]), i, NOW, 1,
                                      NOW + (int64_t)rand_below(&r, 4800000), false, &ref),
                         0);
    }
    assert_true(schedule_memory_bytes(s) - before <= (size_t)COUNT * 64);
    for (int left = COUNT; left > 0;) { /* and still in order */
        size_t n;

        assert_true(schedule_next_due_ms(s) >= last);
        last = schedule_next_due_ms(s);
        n = schedule_advance(s, last, 10000);
        assert_true(n > 0);
        left -= (int)n;
    }
    assert_int_equal(schedule_next_due_ms(s), SCHEDULE_NEVER);
    schedule_free(&s);
}

static void memory_comes_back_when_the_queue_is_empty(void **state)
{
    enum { COUNT = 200000 };
    static entry_ref refs[COUNT];
    struct schedule *s = make(&common);
    size_t before;

    (void)state;
    assert_int_equal(schedule_cancel(s, add(s, "a", 1)), 0);
    before = schedule_memory_bytes(s);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++)
            refs[i] = add(s, "a", 1);
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(schedule_cancel(s, refs[i]), 0);
        assert_true(schedule_memory_bytes(s) <= before + 1000);
    }
    schedule_free(&s);
}

/* Rescheduled again and again, entries leave stale places behind; they must not pile up. */
static void rescheduling_does_not_grow(void **state)
{
    enum { COUNT = 5000 };
    static entry_ref refs[COUNT];
    struct schedule *s = make(&common);
    struct schedule_totals totals;
    size_t bytes;

    (void)state;
    assert_int_equal(schedule_advance(s, NOW, 1), 0);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(schedule_add(s, 1, SLICE_LIT("a"), 1, NOW, 0, NOW + 100, false, &refs[i]),
                         0);
    bytes = schedule_memory_bytes(s);
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(schedule_set_due(s, refs[i], NOW + 100 + (round * 7 + i) % 50), 0);
    assert_true(schedule_memory_bytes(s) <= bytes + (size_t)COUNT * 2 * 8 + 65536);
    assert_int_equal(schedule_next_due_ms(s), NOW + 100);
    assert_int_equal(schedule_advance(s, NOW + 149, 2 * COUNT), COUNT);
    schedule_get_totals(s, &totals);
    assert_int_equal(totals.ready, COUNT);
    schedule_free(&s);
}

/* Ten ready entries and four slots: each slot gets its part, not the first one all of them. */
static void a_slot_takes_its_share(void **state)
{
    struct schedule_config config = common;
    struct schedule *s;
    size_t taken = 0;
    entry_ref got[8];
    uint32_t destination;

    (void)state;
    config.connections_per_destination = 4;
    s = make(&config);
    assert_int_equal(schedule_advance(s, NOW, 1), 0);
    for (int i = 0; i < 10; i++)
        (void)add(s, "a", 1);
    for (int slot = 0; slot < 4; slot++) {
        size_t share, n;

        assert_true(schedule_grant(s, &destination));
        share = schedule_share(s, destination);
        assert_in_range(share, 2, 3);
        n = schedule_take(s, destination, got, share);
        assert_int_equal(n, share);
        taken += n;
    }
    assert_int_equal(taken, 10);
    assert_int_equal(schedule_share(s, destination), 0);
    schedule_free(&s);
}

static void entries_move_to_another_destination(void **state)
{
    struct schedule *s = make(&common);
    entry_ref ready = add(s, "a.example", 1), waiting = add(s, "a.example", 2),
              held = add(s, "a.example", 3), active = add(s, "a.example", 4), found[8];
    uint32_t destination;

    (void)state;
    assert_int_equal(schedule_advance(s, NOW, 10), 4);
    assert_int_equal(schedule_set_due(s, waiting, NOW + MINUTE), 0);
    assert_int_equal(schedule_hold(s, held), 0);
    assert_int_equal(schedule_claim(s, active), 0);
    destination = get(s, active).destination_index;
    assert_int_equal(schedule_entries_of(s, destination, found, ARRAY_SIZE(found)), 3);
    assert_int_equal(schedule_entries_of(s, destination, found, 1), 1);
    assert_int_equal(schedule_move(s, active, SLICE_LIT("b.example")), -EBUSY);
    assert_int_equal(schedule_move(s, ready, SLICE_LIT("b.example")), 0);
    assert_int_equal(schedule_move(s, waiting, SLICE_LIT("b.example")), 0);
    assert_int_equal(schedule_move(s, held, SLICE_LIT("b.example")), 0);
    assert_int_equal(schedule_entries_of(s, destination, found, ARRAY_SIZE(found)), 0);
    assert_int_equal(get(s, ready).state, ENTRY_READY);
    assert_int_equal(get(s, waiting).state, ENTRY_WAITING);
    assert_int_equal(get(s, waiting).due_ms, NOW + MINUTE);
    assert_int_equal(get(s, held).state, ENTRY_HELD);
    assert_true(slice_eq(get(s, held).destination, SLICE_LIT("b.example")));
    destination = get(s, ready).destination_index;
    assert_int_equal(schedule_entries_of(s, destination, found, ARRAY_SIZE(found)), 3);
    schedule_done(s, active); /* the last of its destination, which goes */
    destination = grant(s, "b.example");
    assert_int_equal(schedule_take(s, destination, found, 8), 1);
    assert_int_equal(found[0], ready);
    schedule_done(s, ready);
    schedule_release(s, destination);
    assert_int_equal(schedule_advance(s, NOW + MINUTE, 10), 1);
    schedule_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_goes_its_way),
        cmocka_unit_test(what_is_due_already_is_ready_at_once),
        cmocka_unit_test(delays_follow_the_list_and_its_last_repeats),
        cmocka_unit_test(a_destination_may_have_its_own_policy),
        cmocka_unit_test(slots_follow_use_and_limits),
        cmocka_unit_test(a_busy_slot_does_not_keep_a_ready_entry_from_another),
        cmocka_unit_test(a_sender_of_many_does_not_starve_a_sender_of_one),
        cmocka_unit_test(more_senders_than_queues_share_one),
        cmocka_unit_test(destinations_take_turns),
        cmocka_unit_test(a_failed_destination_is_paused_and_its_backlog_spread),
        cmocka_unit_test(a_success_ends_the_row_of_failures),
        cmocka_unit_test(clocks_may_jump),
        cmocka_unit_test(far_times_stay_in_order),
        cmocka_unit_test(limits_refuse),
        cmocka_unit_test(a_million_waiting_entries_stay_small),
        cmocka_unit_test(memory_comes_back_when_the_queue_is_empty),
        cmocka_unit_test(rescheduling_does_not_grow),
        cmocka_unit_test(a_slot_takes_its_share),
        cmocka_unit_test(entries_move_to_another_destination),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
