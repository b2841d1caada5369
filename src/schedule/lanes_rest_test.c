/*
 * schedule/lanes_rest_test.c - slots that rest after a refusal: how many, for how long, and what
 * still goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/lanes_bench.h"

#define LANE "big/pool"

static struct lanes_bench b;

static int set_up(void **state)
{
    (void)state;
    bench_init(&b);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bench_done(&b);
    return 0;
}

static uint32_t free_slots(void)
{
    return bench_view(&b, LANE).limits.connections;
}

static void a_slot_rests_after_want_of_capacity(void **state)
{
    static const struct {
        enum reply_class klass;
        uint32_t slots;
    } cases[] = {{REPLY_NONE, 20},       {REPLY_MAILBOX_FULL, 20}, {REPLY_CONTENT, 20},
                 {REPLY_CONNECTION, 20}, {REPLY_CAPACITY, 19},     {REPLY_RATE, 18}};

    (void)state;
    (void)bench_mail(&b, "big", "example.org", 0, b.now);
    b.settings.rest_ms = MINUTE_MS;
    lanes_set(b.lanes, &b.settings, b.now);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bench_attempts(&b, "big", 1, 1, cases[i].klass);
        assert_int_equal(free_slots(), cases[i].slots);
    }
    assert_int_equal(bench_view(&b, LANE).resting, 2);
    /* Not all for the same time, none for longer than one and a half of it. */
    bench_run(&b, 20 * SECOND_MS);
    assert_int_equal(free_slots(), 18);
    bench_run(&b, 25 * SECOND_MS);
    assert_int_equal(free_slots(), 19);
    bench_run(&b, 65 * SECOND_MS);
    assert_int_equal(free_slots(), 20);
}

static void slots_come_back_one_after_another(void **state)
{
    uint32_t steps = 0, before = 0;

    (void)state;
    for (int i = 0; i < 50; i++)
        (void)bench_mail(&b, "big", "example.org", 0, b.now);
    b.settings.rest_ms = MINUTE_MS;
    lanes_set(b.lanes, &b.settings, b.now);
    bench_attempts(&b, "big", 100, 100, REPLY_CAPACITY);
    assert_int_equal(free_slots(), 0);
    assert_int_equal(bench_grants(&b), 0);
    for (int i = 0; i < 12; i++) {
        bench_run(&b, 10 * SECOND_MS);
        assert_true(free_slots() >= before && free_slots() <= 20);
        steps += free_slots() > before;
        before = free_slots();
    }
    assert_int_equal(before, 20);
    assert_true(steps >= 4);
    assert_int_equal(bench_grants(&b), 20);
}

/* A session that no host took: there are as many connections as the receiver takes. What one host
 * of several said is none of it. */
static void no_more_connections_than_it_takes(void **state)
{
    struct attempt a;
    uint32_t destination;
    lane_ref lane;

    (void)state;
    for (int i = 0; i < 50; i++)
        (void)bench_mail(&b, "big", "example.org", 0, b.now);
    b.settings.rest_ms = MINUTE_MS;
    lanes_set(b.lanes, &b.settings, b.now);
    bench_run(&b, SECOND_MS);
    lane = bench_view(&b, LANE).ref;
    for (int i = 0; i < 6; i++)
        assert_true(schedule_grant(b.schedule, &destination));
    a = bench_attempt(&b, "big", REPLY_CAPACITY);
    a.phase = SMTP_PHASE_GREETING;
    a.code = 421;
    for (int i = 0; i < 3; i++)
        lanes_attempt(b.lanes, LANE_NONE, &a);
    assert_int_equal(free_slots(), 20);
    assert_true(lanes_session_refused(b.lanes, lane, destination, b.now));
    assert_int_equal(free_slots(), 5);
    schedule_release(b.schedule, destination);
    assert_int_equal(bench_grants(&b), 0);
    bench_run(&b, 2 * MINUTE_MS);
    assert_int_equal(bench_grants(&b), 15);
}

/* Sessions refused again and again, beside `delivered` messages a second; the seconds in which no
 * slot was free. */
static int silent_seconds(uint32_t destination, uint32_t delivered)
{
    lane_ref lane = bench_view(&b, LANE).ref;
    int silent = 0;

    for (int i = 0; i < 300; i++) {
        if (free_slots() > 0)
            bench_attempts(&b, "big", delivered, 0, REPLY_NONE);
        silent += free_slots() == 0;
        if (i % 10 == 0)
            ignore_result(lanes_session_refused(b.lanes, lane, destination, b.now));
        bench_run(&b, SECOND_MS);
    }
    return silent;
}

/* One host in the lane that refuses all sessions does not silence the others; a provider that
 * refuses all of them is left in peace. */
static void one_bad_host_does_not_rest_the_lane(void **state)
{
    struct schedule_entry e;

    (void)state;
    assert_true(schedule_get(b.schedule, bench_mail(&b, "big", "example.org", 0, b.now), &e));
    b.settings.rest_ms = MINUTE_MS / 2;
    lanes_set(b.lanes, &b.settings, b.now);
    assert_int_equal(silent_seconds(e.destination_index, 1), 0);
    assert_true(silent_seconds(e.destination_index, 0) > 200);
}

/* Who has no other connection, or in whose lane nothing rests, is to be left alone: else it would be
 * tried again at once. */
static void who_is_refused_alone_is_left_alone(void **state)
{
    uint32_t destination;
    lane_ref lane;

    (void)state;
    (void)bench_mail(&b, "big", "example.org", 0, b.now);
    (void)bench_mail(&b, "big", "example.org", 0, b.now);
    b.settings.rest_ms = MINUTE_MS;
    lanes_set(b.lanes, &b.settings, b.now);
    bench_run(&b, SECOND_MS);
    lane = bench_view(&b, LANE).ref;
    assert_true(schedule_grant(b.schedule, &destination));
    assert_false(lanes_session_refused(b.lanes, lane, destination, b.now));
    assert_true(free_slots() == 0);
    bench_run(&b, 2 * MINUTE_MS);
    assert_true(schedule_grant(b.schedule, &destination));
    assert_false(lanes_session_refused(b.lanes, LANE_NONE, destination, b.now));
    b.settings.rest_ms = 0;
    lanes_set(b.lanes, &b.settings, b.now);
    assert_false(lanes_session_refused(b.lanes, lane, destination, b.now));
    b.settings.rest_ms = MINUTE_MS;
    b.rules.throttle.enabled = false;
    lanes_set(b.lanes, &b.settings, b.now);
    assert_false(lanes_session_refused(b.lanes, lane, destination, b.now));
    assert_int_equal(free_slots(), 20);
}

/* A clock that steps back makes no rest longer; a controller that is off makes none. */
static void rests_end_whatever_the_clock_does(void **state)
{
    (void)state;
    (void)bench_mail(&b, "big", "example.org", 0, b.now);
    b.settings.rest_ms = MINUTE_MS;
    lanes_set(b.lanes, &b.settings, b.now);
    bench_attempts(&b, "big", 20, 20, REPLY_CAPACITY);
    assert_int_equal(free_slots(), 0);
    b.now -= 5 * HOUR_MS;
    bench_run(&b, 2 * MINUTE_MS);
    assert_int_equal(free_slots(), 20);
    bench_attempts(&b, "big", 20, 20, REPLY_CAPACITY);
    b.now += 5 * HOUR_MS;
    bench_run(&b, 10 * SECOND_MS);
    assert_int_equal(free_slots(), 20);
    b.rules.throttle.enabled = false;
    lanes_set(b.lanes, &b.settings, b.now);
    bench_attempts(&b, "big", 20, 20, REPLY_CAPACITY);
    assert_int_equal(free_slots(), 20);
}

#define STORY(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_slot_rests_after_want_of_capacity), STORY(slots_come_back_one_after_another),
        STORY(no_more_connections_than_it_takes),   STORY(one_bad_host_does_not_rest_the_lane),
        STORY(who_is_refused_alone_is_left_alone),  STORY(rests_end_whatever_the_clock_does),
    };

    return cmocka_run_group_tests_name("lanes_rest", tests, NULL, NULL);
}
