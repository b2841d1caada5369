/*
 * schedule/throttle_test.c - the controller by tables and short stories: bands, cuts, holds, steps,
 * the baseline, settings, and its text. Histories by chance: throttle_model_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "schedule/throttle_bench.h"

static void assert_band(enum band got, enum band wanted)
{
    assert_string_equal(band_name(got), band_name(wanted));
}

static void samples_make_bands(void **state)
{
    static const struct {
        uint32_t attempts, capacity;
        enum band band;
        enum throttle_action action;
    } cases[] = {
        {0, 0, BAND_NORMAL, THROTTLE_NONE},
        {100000, 0, BAND_NORMAL, THROTTLE_NONE},
        {100000, 9, BAND_NORMAL, THROTTLE_NONE}, /* under watch_share */
        {5, 1, BAND_WATCH, THROTTLE_NONE},
        {3, 3, BAND_WATCH, THROTTLE_NONE},
        {199, 199, BAND_WATCH, THROTTLE_NONE}, /* too small a sample, whatever it says */
        {10000, 1, BAND_WATCH, THROTTLE_NONE},
        {200, 2, BAND_WATCH, THROTTLE_NONE},        /* too few hits */
        {100000, 25, BAND_WATCH, THROTTLE_NONE},    /* 0.025 %, but it may be 0.015 % */
        {100000, 40, BAND_THROTTLE, THROTTLE_CUT},  /* 0.04 %: at least 0.0268 % */
        {100000, 210, BAND_THROTTLE, THROTTLE_CUT}, /* 0.21 %: may be 0.18 % */
        {100000, 260, BAND_INCIDENT, THROTTLE_CUT},
        {200, 3, BAND_INCIDENT, THROTTLE_CUT}, /* at least 0.218 % */
        {200, 200, BAND_INCIDENT, THROTTLE_CUT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bench b;

        bench_init(&b);
        bench_attempts(&b, cases[i].attempts, cases[i].capacity, 0);
        assert_int_equal(bench_tick(&b), cases[i].band != BAND_NORMAL);
        assert_band(b.t.band, cases[i].band);
        assert_int_equal(b.decision.action, cases[i].action);
        assert_int_equal(b.t.connections, cases[i].action == THROTTLE_CUT ? 16 : 20);
        assert_int_equal(b.decision.attempts, cases[i].attempts);
        assert_int_equal(b.decision.capacity, cases[i].capacity);
        /* Nothing new: nothing to tell. */
        b.now += 10 * SECOND_MS;
        assert_false(bench_tick(&b));
    }
}

/* 60 attempts an hour are no sample of 15 minutes: the day has enough of them. */
static void a_small_sample_looks_further_back(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    (void)bench_minutes(&b, 200, 1, 0);
    assert_band(b.t.band, BAND_NORMAL);
    assert_int_equal(bench_minutes(&b, 1, 1, 1), 1);
    assert_band(b.t.band, BAND_WATCH);
    assert_int_equal(bench_minutes(&b, 3, 1, 1), 1); /* of 204 attempts, three */
    assert_band(b.t.band, BAND_INCIDENT);
    assert_int_equal(b.decision.span_minutes, 1440);
    assert_int_equal(b.decision.capacity, 3);
    assert_int_equal(b.t.connections, 16);

    bench_init(&b);
    (void)bench_minutes(&b, 55, 5, 0);
    (void)bench_minutes(&b, 1, 5, 4);
    assert_band(b.t.band, BAND_INCIDENT);
    assert_int_equal(b.decision.span_minutes, 60);
}

/* Three hits, two of them hours ago, and nothing since: an old story is no reason for a cut. */
static void old_replies_do_not_cut(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    (void)bench_minutes(&b, 3, 1, 1);
    assert_band(b.t.band, BAND_WATCH);
    (void)bench_minutes(&b, 300, 1, 0);
    assert_band(b.t.band, BAND_NORMAL);
    assert_int_equal(b.t.cuts, 0);
}

/* The burst is over when the cut is made; it stays in the window for another quarter of an hour, in
 * the day for a day, and is not punished again. */
static void a_burst_is_punished_once(void **state)
{
    static const uint32_t busy[] = {2, 20, 2000};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(busy); i++) {
        struct bench b;

        bench_init(&b);
        (void)bench_minutes(&b, 120, busy[i], 0);
        bench_attempts(&b, 400, 300, 0);
        (void)bench_minutes(&b, 1, 0, 0);
        assert_int_equal(b.t.cuts, 1);
        assert_int_equal(b.t.connections, 16);
        (void)bench_minutes(&b, 19, busy[i], 0);
        assert_band(b.t.band, BAND_INCIDENT);
        assert_int_equal(b.t.connections, 16);
        /* The queue is empty: two steps, and it is over. */
        (void)bench_minutes(&b, 2, busy[i], 0);
        assert_band(b.t.band, BAND_RECOVERING);
        assert_int_equal(b.t.connections, 18);
        (void)bench_minutes(&b, 9, busy[i], 0);
        assert_int_equal(b.t.connections, 20);
        assert_band(b.t.band, BAND_NORMAL);
        assert_int_equal(b.decision.action, THROTTLE_FULL);
        assert_int_equal(b.t.cuts, 1);
    }
}

static void pressure_that_lasts_cuts_each_hold_down_to_the_floor(void **state)
{
    static const uint32_t limits[] = {16, 12, 9, 7, 5, 4, 3, 2, 2, 2};
    struct bench b;

    (void)state;
    bench_init(&b);
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        uint32_t told = bench_minutes(&b, 20, 1000, 50);

        assert_int_equal(b.t.connections, limits[i]);
        assert_band(b.t.band, BAND_INCIDENT);
        assert_int_equal(told, 1);
        assert_int_equal(b.decision.action, i < 8 ? THROTTLE_CUT : THROTTLE_NONE);
        assert_int_equal(b.decision.next_change_ms, b.decision.at_ms + 20 * MINUTE_MS);
    }
    assert_int_equal(b.t.cuts, 8);
}

/* A lane that may have 20 connections and uses 5: a cut to 16 would change nothing. */
static void a_cut_is_of_what_is_in_use(void **state)
{
    static const struct {
        uint32_t peak, floor, connections;
        double change;
    } cases[] = {
        {20, 2, 16, -0.2}, {5, 2, 4, -0.2},    {3, 2, 2, -0.2},    {1, 1, 1, -0.2},
        {1, 2, 2, -0.2},   {0, 2, 16, -0.2},   {40, 2, 16, -0.2},  {10, 1, 7, -0.3},
        {20, 1, 2, -0.9},  {20, 1, 19, -0.01}, {20, 20, 20, -0.5},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bench b;

        bench_init(&b);
        b.settings.connections_floor = cases[i].floor;
        b.settings.connection_change = cases[i].change;
        b.in.connections_peak = cases[i].peak;
        bench_attempts(&b, 1000, 100, 0);
        assert_true(bench_tick(&b));
        assert_int_equal(b.t.connections, cases[i].connections);
        assert_int_equal(b.decision.connections_from, 20);
        assert_int_equal(b.decision.connections_to, cases[i].connections);
        assert_int_equal(b.decision.action,
                         cases[i].connections < 20 ? THROTTLE_CUT : THROTTLE_NONE);
    }
}

static void a_limit_of_the_rate_is_cut_too(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    b.settings.rate_max = 10;
    throttle_init(&b.t, &b.settings, b.now);
    bench_attempts(&b, 1000, 100, 0);
    assert_true(bench_tick(&b));
    assert_true(b.t.rate == 8 && b.t.connections == 16);
    (void)bench_minutes(&b, 21, 100, 0);
    assert_true(b.t.rate == 9 && b.t.connections == 18);
    (void)bench_minutes(&b, 10, 100, 0);
    assert_true(b.t.rate == 10 && b.t.connections == 20);
    assert_band(b.t.band, BAND_NORMAL);
}

/* Rate replies: the rate that was measured, halved; the connections stay. */
static void rate_replies_pace(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    bench_attempts(&b, 1000, 0, 100);
    assert_true(bench_tick(&b));
    assert_band(b.t.band, BAND_THROTTLE);
    assert_int_equal(b.decision.action, THROTTLE_PACE);
    assert_true(b.decision.rate_from == 0 && b.decision.rate_to == 2.5);
    assert_int_equal(b.t.connections, 20);
    assert_int_equal(b.decision.rate_replies, 100);
    b.in.rate = 2.5;
    (void)bench_minutes(&b, 19, 150, 0);
    assert_true(b.t.rate == 2.5);
    (void)bench_minutes(&b, 2, 150, 0);
    assert_band(b.t.band, BAND_RECOVERING);
    assert_true(b.t.rate == 3);
    (void)bench_minutes(&b, 40, 150, 0);
    assert_band(b.t.band, BAND_NORMAL);
    assert_true(b.t.rate == 0); /* as before: no limit */

    /* Again and again, down to the floor; and an unknown rate leaves the connections. */
    bench_init(&b);
    b.settings.rate_floor = 2;
    for (int i = 0; i < 3; i++) {
        bench_attempts(&b, 1000, 0, 100);
        (void)bench_tick(&b);
        b.now += 20 * MINUTE_MS;
    }
    assert_true(b.t.rate == 2);
    assert_string_equal(b.decision.why, "pressure, confirmed; the limits are at their floor");
    bench_init(&b);
    b.in.rate = 0;
    bench_attempts(&b, 1000, 0, 100);
    assert_true(bench_tick(&b));
    assert_int_equal(b.t.connections, 16);
    /* Both at once. */
    bench_init(&b);
    bench_attempts(&b, 1000, 100, 100);
    assert_true(bench_tick(&b));
    assert_true(b.t.connections == 16 && b.t.rate == 2.5);
}

static void refused_minutes(struct bench *b, int minutes)
{
    for (int i = 0; i < minutes; i++) {
        struct window_counts c = {.attempts = 1500, .deferred = 1500};

        window_add(&b->window, b->now, &c);
        (void)bench_minutes(b, 1, 1000, 0);
    }
}

/* Each step waits for one cycle, and for a queue that eases: here most of what is tried is refused,
 * for other reasons, so that it is not our own limit that it grows by. */
static void steps_wait_for_the_queue(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    b.in.queue_length = 1000;
    b.in.queue_ready = 500;
    b.in.queue_age_ms = 3600000;
    (void)bench_minutes(&b, 21, 1000, 50);
    assert_int_equal(b.t.connections, 12);
    refused_minutes(&b, 17);
    /* The hold ends: not older, but not younger either. */
    refused_minutes(&b, 4);
    assert_band(b.t.band, BAND_RECOVERING);
    assert_int_equal(b.t.connections, 12);
    assert_int_equal(b.decision.action, THROTTLE_NONE);
    assert_false(b.decision.age_is_falling);
    b.in.queue_age_ms = 3500000;
    refused_minutes(&b, 8);
    assert_int_equal(b.t.connections, 12);
    (void)bench_minutes(&b, 2, 1000, 0);
    assert_int_equal(b.t.connections, 14);
    assert_true(b.decision.age_is_falling);
    /* Nothing is due: what is left waits for its own time. */
    b.in.queue_age_ms = 3700000;
    b.in.queue_ready = 0;
    (void)bench_minutes(&b, 10, 1000, 0);
    assert_int_equal(b.t.connections, 16);
    /* One reply: not at baseline until it has left the window. */
    (void)bench_minutes(&b, 1, 1000, 2);
    (void)bench_minutes(&b, 12, 1000, 0);
    assert_int_equal(b.t.connections, 16);
    assert_band(b.t.band, BAND_RECOVERING);
    (void)bench_minutes(&b, 10, 1000, 0);
    assert_int_equal(b.t.connections, 18);
    /* New pressure is a new cut. */
    (void)bench_minutes(&b, 1, 1000, 50);
    assert_band(b.t.band, BAND_INCIDENT);
    assert_int_equal(b.t.connections, 14);
}

/* More mail than the lowered limit lets through: the queue does not ease, and yet it ends, a cycle
 * after the hold; also where most mailboxes are unknown. But not while nothing gets through. */
static void a_queue_held_up_by_our_own_limit(void **state)
{
    static const struct {
        struct window_counts more; /* each minute, with 100 that are delivered */
        bool is_ours;
    } cases[] = {{{0}, true},
                 {{.attempts = 150, .failed = 150}, true},
                 {{.attempts = 150, .deferred = 150}, false},
                 {{.attempts = 150, .failed = 150, .policy = 150}, false}};
    struct bench b;

    (void)state;
    for (size_t at = 0; at < ARRAY_SIZE(cases); at++) {
        bench_init(&b);
        b.settings.queue_age_max_ms = 0;
        b.in.queue_length = b.in.queue_ready = 1000;
        bench_attempts(&b, 1000, 100, 0);
        (void)bench_tick(&b);
        for (int i = 0; i < 600; i++) {
            b.in.queue_age_ms += 60000;
            window_add(&b.window, b.now, &cases[at].more);
            (void)bench_minutes(&b, 1, 100, 0);
            assert_true(i > 28 || b.t.connections == 16);
        }
        assert_band(b.t.band, cases[at].is_ours ? BAND_NORMAL : BAND_RECOVERING);
        assert_int_equal(b.t.connections, cases[at].is_ours ? 20 : 16);
    }
}

static void an_idle_lane_gets_its_limits_back(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    (void)bench_minutes(&b, 1, 1000, 100);
    (void)bench_minutes(&b, 60, 0, 0);
    assert_band(b.t.band, BAND_NORMAL);

    /* A queue, and nothing tried since: nobody knows. */
    bench_init(&b);
    (void)bench_minutes(&b, 1, 1000, 100);
    b.in.queue_length = 3;
    (void)bench_minutes(&b, 600, 0, 0);
    assert_int_equal(b.t.connections, 16);
    (void)bench_minutes(&b, 1, 1, 0);
    (void)bench_minutes(&b, 30, 0, 0);
    assert_band(b.t.band, BAND_NORMAL);
}

/* The oldest mail over its age: told, and nothing is cut. */
static void age_alone_cuts_nothing(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    b.in.queue_length = 10;
    b.in.queue_age_ms = 4 * HOUR_MS;
    assert_int_equal(bench_minutes(&b, 10, 100, 0), 0);
    b.in.queue_age_ms++;
    assert_int_equal(bench_minutes(&b, 10, 100, 0), 1);
    assert_band(b.t.band, BAND_INCIDENT);
    assert_int_equal(b.decision.action, THROTTLE_NONE);
    assert_int_equal(b.t.connections, 20);
    /* It does not flap about its limit. */
    b.in.queue_age_ms = 4 * HOUR_MS - 1;
    assert_int_equal(bench_minutes(&b, 10, 100, 0), 0);
    b.in.queue_age_ms = 3 * HOUR_MS;
    assert_int_equal(bench_minutes(&b, 10, 100, 0), 1);
    assert_band(b.t.band, BAND_NORMAL);
    /* With capacity replies it is a cut like any. */
    b.in.queue_age_ms = 5 * HOUR_MS;
    assert_int_equal(bench_minutes(&b, 1, 1000, 10), 1);
    assert_band(b.t.band, BAND_INCIDENT);
    assert_int_equal(b.t.connections, 16);
    /* Old mail does not keep the limits down: it needs them. */
    (void)bench_minutes(&b, 120, 1000, 0);
    assert_int_equal(b.t.connections, 20);
    assert_band(b.t.band, BAND_INCIDENT);
    b.in.queue_length = 0;
    (void)bench_minutes(&b, 1, 1000, 0);
    assert_band(b.t.band, BAND_NORMAL);
}

/* During the hold the band may get worse, and nothing else. */
static void worse_during_a_hold_is_told(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    bench_attempts(&b, 100000, 40, 0);
    assert_true(bench_tick(&b));
    assert_band(b.t.band, BAND_THROTTLE);
    assert_int_equal(bench_minutes(&b, 5, 1000, 100), 1);
    assert_band(b.t.band, BAND_INCIDENT);
    assert_int_equal(b.decision.action, THROTTLE_NONE);
    assert_int_equal(b.t.connections, 16);
}

static void the_baseline_is_learnt_slowly_and_from_calm_hours(void **state)
{
    struct bench b;
    double learnt;

    (void)state;
    bench_init(&b);
    b.settings.queue_age_max_ms = 0;
    /* 0.0125 %: at first a thing to watch. */
    (void)bench_minutes(&b, 1, 100000, 0);
    assert_true(b.t.baseline == 0);
    for (int hour = 0; hour < 72; hour++) {
        bench_attempts(&b, 8000, 1, 0);
        (void)bench_minutes(&b, 60, 0, 0);
    }
    assert_true(b.t.baseline > 0.000125 * 0.49 && b.t.baseline < 0.000125 * 0.51);
    for (int hour = 0; hour < 200; hour++) {
        bench_attempts(&b, 8000, 1, 0);
        (void)bench_minutes(&b, 60, 0, 0);
    }
    assert_true(b.t.baseline > 0.000125 * 0.9);
    assert_band(b.t.band, BAND_NORMAL);
    /* What is confirmed above throttle_share, but not above twice the baseline. */
    bench_attempts(&b, 10000000, 2300, 0);
    assert_true(bench_minutes(&b, 1, 0, 0) <= 1);
    assert_int_equal(b.t.cuts, 0);
    /* An incident teaches nothing, however long. */
    (void)bench_minutes(&b, 60, 10000, 0);
    (void)bench_minutes(&b, 1, 10000, 100);
    learnt = b.t.baseline;
    (void)bench_minutes(&b, 3000, 10000, 100);
    assert_true(b.t.baseline == learnt);
    /* And afterwards no hour counts that the incident or its hold had a part in. */
    b.in.queue_length = 0;
    while (b.now < b.t.hold_until_ms)
        (void)bench_minutes(&b, 1, 10000, 0);
    assert_true(b.t.baseline == learnt);
    (void)bench_minutes(&b, 180, 10000, 0);
    assert_true(b.t.baseline < learnt);
}

/* A receiver that is well again and refuses 0.015 % as long as it lives: less than is cut for, and
 * more than the lane knew before. */
static void a_few_refusals_that_always_come_hold_no_limit_for_ever(void **state)
{
    struct bench b;
    int days = 0;

    (void)state;
    bench_init(&b);
    (void)bench_minutes(&b, 60, 10000, 50);
    assert_true(b.t.connections < 16);
    for (; b.t.band != BAND_NORMAL; days++) {
        assert_true(days < 7);
        for (int i = 0; i < DAY_MS / MINUTE_MS; i++)
            (void)bench_minutes(&b, 1, 10000, 1 + (uint32_t)i % 2);
        assert_true(b.t.baseline < b.settings.throttle_share);
    }
    assert_true(days > 1);
    assert_int_equal(b.t.connections, 20);
}

/* An incident that begins and ends within an hour. */
static void an_hour_with_an_incident_teaches_nothing(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    b.settings.cycle_ms = MINUTE_MS;
    (void)bench_minutes(&b, 1, 10000, 1000);
    assert_band(b.t.band, BAND_INCIDENT);
    (void)bench_minutes(&b, 40, 10000, 0);
    assert_band(b.t.band, BAND_NORMAL);
    (void)bench_minutes(&b, 30, 10000, 0);
    assert_true(b.t.baseline_hour == BENCH_START / HOUR_MS);
    assert_true(b.t.baseline == 0);
}

/* The share rises when many that were delivered leave the window: the reply is as it was. */
static void a_share_may_rise_without_a_reply(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    (void)bench_minutes(&b, 1, 100000, 0);
    assert_int_equal(bench_minutes(&b, 1, 500, 1), 0);
    assert_int_equal(bench_minutes(&b, 12, 1, 0), 0);
    assert_int_equal(bench_minutes(&b, 1, 1, 0), 1);
    assert_band(b.t.band, BAND_WATCH);
}

/* A year back: the hours that follow are calm ones, and teach. */
static void it_learns_after_the_clock_stepped_back(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    (void)bench_minutes(&b, 60, 1000, 10);
    while (b.t.band != BAND_NORMAL)
        (void)bench_minutes(&b, 1, 10000, 0);
    assert_true(b.t.baseline == 0);
    b.now -= 365 * DAY_MS;
    for (int i = 0; i < 3; i++) {
        bench_attempts(&b, 8000, 1, 0);
        (void)bench_minutes(&b, 60, 0, 0);
    }
    assert_true(b.t.baseline > 0);
}

static void switched_off_it_tells_and_cuts_nothing(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    b.settings.enabled = false;
    (void)bench_minutes(&b, 100, 1000, 50);
    assert_band(b.t.band, BAND_INCIDENT);
    assert_int_equal(b.t.connections, 20);
    assert_int_equal(b.t.cuts, 0);
    (void)bench_minutes(&b, 30, 1000, 0);
    assert_band(b.t.band, BAND_NORMAL);
    /* Switched off in the middle: the limits are full at once. */
    bench_init(&b);
    (void)bench_minutes(&b, 2, 1000, 50);
    assert_int_equal(b.t.connections, 16);
    b.settings.enabled = false;
    throttle_set(&b.t, &b.settings, b.now);
    assert_int_equal(b.t.connections, 20);
}

static void other_settings_take_hold(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    b.settings.connections_max = 30;
    throttle_set(&b.t, &b.settings, b.now);
    assert_int_equal(b.t.connections, 30);
    (void)bench_minutes(&b, 1, 1000, 50);
    assert_int_equal(b.t.connections, 16); /* the peak was 20 */
    b.settings.connections_max = 40;
    throttle_set(&b.t, &b.settings, b.now);
    assert_int_equal(b.t.connections, 16);
    b.settings.connections_max = 8;
    throttle_set(&b.t, &b.settings, b.now);
    assert_int_equal(b.t.connections, 8);
    b.settings.connections_max = 40;
    b.settings.connections_floor = 10;
    b.settings.rate_max = 3;
    throttle_set(&b.t, &b.settings, b.now);
    assert_int_equal(b.t.connections, 10);
    assert_true(b.t.rate == 3);
    assert_true(throttle_is_lowered(&b.t, &b.settings));
    /* A shorter hold ends sooner. */
    b.settings.cycle_ms = MINUTE_MS;
    throttle_set(&b.t, &b.settings, b.now);
    (void)bench_minutes(&b, 16, 1000, 0);
    assert_true(b.t.connections > 10);
    (void)bench_minutes(&b, 20, 1000, 0);
    assert_band(b.t.band, BAND_NORMAL);
    assert_int_equal(b.t.connections, 40);
}

/* Back by an hour or a year: the hold lasts as long as it would have, not longer, not shorter. */
static void a_clock_that_steps_back_leaves_the_hold(void **state)
{
    static const int64_t steps[] = {0, 30 * SECOND_MS, HOUR_MS, 365 * DAY_MS};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        struct bench b;
        int minutes = 0;

        bench_init(&b);
        (void)bench_minutes(&b, 1, 1000, 100);
        (void)bench_minutes(&b, 9, 1000, 20);
        b.now -= steps[i];
        while (b.t.cuts == 1 && minutes < 100) {
            (void)bench_minutes(&b, 1, 1000, 20);
            minutes++;
        }
        assert_in_range(minutes, 10, 11);
    }
}

static void text_and_back(void **state)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "2 band=normal connections=1",
                                      "1 band=normal connections=0",
                                      "1 band=odd connections=1",
                                      "1 connections=-1",
                                      "1 connections",
                                      "1 connections=1  cuts=1",
                                      "1 connections=1 rate=nan",
                                      "1 connections=1 rate=-1",
                                      "1 connections=1 rate=1x",
                                      "1 connections=1 is_healthy=2",
                                      "1 connections=1 changed=--1",
                                      "1 connections=1 changed=1152921504606846976",
                                      "1 connections=1 rate=inf"};
    struct buf text = BUF_INIT(THROTTLE_TEXT_MAX), small = BUF_INIT(40);
    struct bench b, other;

    (void)state;
    bench_init(&b);
    b.t = (struct throttle){.band = BAND_RECOVERING,
                            .band_since_ms = -3,
                            .changed_ms = INT64_MAX / 8,
                            .hold_until_ms = -(INT64_MAX / 8),
                            .is_healthy = true,
                            .connections = UINT32_MAX,
                            .rate = 1.0 / 3,
                            .baseline = 1e-300,
                            .baseline_hour = -1,
                            .age_before_ms = UINT64_MAX,
                            .mark = {1, 2, 3, UINT64_MAX}};
    assert_int_equal(throttle_save(&b.t, &text), 0);
    bench_init(&other);
    assert_int_equal(buf_add_str(&text, " later=7"), 0);
    assert_int_equal(throttle_load(&other.t, buf_slice(&text)), 0);
    assert_memory_equal(&other.t, &b.t, sizeof(b.t));
    assert_int_equal(throttle_save(&b.t, &small), -E2BIG);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(throttle_load(&other.t, slice_str(bad[i])), -ERR_DAMAGED);
        assert_memory_equal(&other.t, &b.t, sizeof(b.t));
    }
    buf_done(&text);
    buf_done(&small);
}

static void names(void **state)
{
    (void)state;
    for (int b = 0; b < BANDS; b++)
        assert_int_equal(band_find(slice_str(band_name((enum band)b))), b);
    assert_int_equal(band_find(slice_str("odd")), BANDS);
    assert_string_equal(throttle_action_name(THROTTLE_NONE), "none");
    assert_string_equal(throttle_action_name(THROTTLE_FULL), "full");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_make_bands),
        cmocka_unit_test(a_small_sample_looks_further_back),
        cmocka_unit_test(old_replies_do_not_cut),
        cmocka_unit_test(a_burst_is_punished_once),
        cmocka_unit_test(pressure_that_lasts_cuts_each_hold_down_to_the_floor),
        cmocka_unit_test(a_cut_is_of_what_is_in_use),
        cmocka_unit_test(a_limit_of_the_rate_is_cut_too),
        cmocka_unit_test(rate_replies_pace),
        cmocka_unit_test(steps_wait_for_the_queue),
        cmocka_unit_test(a_queue_held_up_by_our_own_limit),
        cmocka_unit_test(an_idle_lane_gets_its_limits_back),
        cmocka_unit_test(age_alone_cuts_nothing),
        cmocka_unit_test(worse_during_a_hold_is_told),
        cmocka_unit_test(the_baseline_is_learnt_slowly_and_from_calm_hours),
        cmocka_unit_test(a_few_refusals_that_always_come_hold_no_limit_for_ever),
        cmocka_unit_test(an_hour_with_an_incident_teaches_nothing),
        cmocka_unit_test(a_share_may_rise_without_a_reply),
        cmocka_unit_test(it_learns_after_the_clock_stepped_back),
        cmocka_unit_test(switched_off_it_tells_and_cuts_nothing),
        cmocka_unit_test(other_settings_take_hold),
        cmocka_unit_test(a_clock_that_steps_back_leaves_the_hold),
        cmocka_unit_test(text_and_back),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests_name("throttle", tests, NULL, NULL);
}
