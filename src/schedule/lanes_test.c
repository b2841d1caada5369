/*
 * schedule/lanes_test.c - lanes over a real schedule: limits, incidents, backlogs, the operator,
 * warm-up, restarts, and more providers than there are places.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
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

static void assert_band(enum band wanted)
{
    assert_string_equal(band_name(bench_view(&b, LANE).throttle->band), band_name(wanted));
}

static void a_decision_limits_the_schedule(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++)
        (void)bench_mail(&b, "big", "example.org", 0, b.now);
    for (int i = 0; i < 30; i++)
        (void)bench_mail(&b, "small", "example.net", 0, b.now);
    bench_attempts(&b, "big", 1000, 50, REPLY_CAPACITY);
    bench_attempts(&b, "small", 1000, 0, REPLY_CAPACITY);
    bench_run(&b, 10 * SECOND_MS);
    assert_band(BAND_INCIDENT);
    assert_int_equal(b.decisions, 1);
    assert_int_equal(bench_view(&b, LANE).limits.connections, 16);
    assert_int_equal(bench_view(&b, LANE).last.at_ms, b.decision.at_ms);
    assert_int_equal(bench_view(&b, "small/pool").limits.connections, 20);
    assert_int_equal(bench_grants(&b), 16 + 20);
    assert_int_equal(bench_view(&b, LANE).queue.slots, 16);
}

/* The second cut is of what was in use since the first: 5 of 16. */
static void the_peak_is_that_of_the_window(void **state)
{
    uint32_t destination = 0;

    (void)state;
    for (int i = 0; i < 50; i++)
        (void)bench_mail(&b, "big", "example.org", 0, b.now);
    bench_run(&b, 1000);
    for (int i = 0; i < 10; i++)
        assert_true(schedule_grant(b.schedule, &destination));
    for (int i = 0; i < 10; i++)
        schedule_release(b.schedule, destination);
    bench_minutes(&b, "big", 1, 1000, 50);
    assert_int_equal(bench_view(&b, LANE).connections_peak, 10);
    assert_int_equal(bench_view(&b, LANE).limits.connections, 8);
    for (int i = 0; i < 5; i++)
        assert_true(schedule_grant(b.schedule, &destination));
    bench_minutes(&b, "big", 20, 1000, 50);
    assert_int_equal(bench_view(&b, LANE).connections_peak, 5);
    assert_int_equal(bench_view(&b, LANE).limits.connections, 4);
}

static void an_incident_has_its_whole_story(void **state)
{
    const struct incident *i = NULL;
    uint32_t it = 0;

    (void)state;
    b.rules.throttle.sample_min = 500;
    lanes_set(b.lanes, &b.settings, b.now);
    bench_attempts(&b, "fine", 5000, 0, REPLY_CAPACITY);
    /* What came before anything was confirmed is a part of it. */
    bench_minutes(&b, "big", 1, 300, 2);
    assert_band(BAND_WATCH);
    assert_int_equal(bench_view(&b, LANE).incident, 0);
    assert_false(lanes_next_incident(b.lanes, &it, &i));
    bench_minutes(&b, "big", 1, 700, 40);
    assert_band(BAND_INCIDENT);
    assert_int_equal(b.opened, 1);
    assert_int_equal(b.incident.id, 1);
    assert_int_equal(bench_view(&b, LANE).incident, 1);
    i = lanes_incident(b.lanes, 1);
    assert_non_null(i);
    assert_null(lanes_incident(b.lanes, 2));
    assert_string_equal(i->kind, "incident");
    assert_string_equal(i->lane, LANE);
    assert_string_equal(i->provider, "big");
    assert_int_equal(i->first_ms, BENCH_START);
    assert_int_equal(i->counts.capacity, 42);
    assert_int_equal(i->counts.attempts, 1000);
    assert_true(i->peak_share > 0.04 && i->peak_share < 0.05);
    assert_string_equal(i->texts.items[0].text, "452 4.3.1 Insufficient system resources");
    assert_int_equal(i->texts.items[0].count, 42);
    assert_int_equal(i->change_count, 1);
    assert_non_null(strstr(i->changes[0].text, "connections 20 -> 16, watch -> incident: 4.2"));
    assert_int_equal(i->verdict.side, VERDICT_RECEIVER);
    /* It lasts, is told once a minute, and closes when the lane has its limits back. */
    bench_minutes(&b, "big", 18, 1000, 0);
    assert_in_range(b.told, 15, 20);
    assert_int_equal(b.closed, 0);
    bench_minutes(&b, "big", 40, 1000, 0);
    assert_band(BAND_NORMAL);
    assert_int_equal(b.closed, 1);
    assert_int_equal(b.opened, 1);
    assert_true(b.incident.closed_ms > b.incident.opened_ms);
    assert_non_null(strstr(b.incident.changes[b.incident.change_count - 1].text, "18 -> 20"));
    assert_int_equal(bench_view(&b, LANE).incident, 0);
    assert_null(lanes_incident(b.lanes, 1));
    /* The next one has another id. */
    lanes_set_incident_id(b.lanes, 7);
    bench_minutes(&b, "big", 1, 1000, 50);
    assert_int_equal(b.incident.id, 8);
}

static void the_verdict_looks_at_the_others(void **state)
{
    (void)state;
    /* Three providers at once: it is us. */
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"one", "two", "big"};

        bench_attempts(&b, names[i], 1000, 50, REPLY_CAPACITY);
    }
    bench_attempts(&b, "three", 1000, 0, REPLY_CAPACITY);
    bench_run(&b, 2 * MINUTE_MS);
    bench_attempts(&b, "big", 1, 1, REPLY_CAPACITY);
    bench_run(&b, 2 * MINUTE_MS);
    assert_string_equal(b.incident.provider, "big");
    assert_int_equal(b.incident.verdict.side, VERDICT_OURS);
    /* Or our governor was. */
    b.is_pressed = true;
    bench_run(&b, DAY_MS);
    bench_attempts(&b, "one", 1000, 0, REPLY_CAPACITY);
    bench_attempts(&b, "three", 1000, 0, REPLY_CAPACITY);
    bench_minutes(&b, "big", 1, 1000, 50);
    b.is_pressed = false;
    bench_minutes(&b, "big", 2, 1000, 50);
    assert_int_equal(b.incident.verdict.side, VERDICT_OURS);
    assert_non_null(strstr(b.incident.verdict.reasons[0], "our own server"));
}

/* A verdict is of what is known when it is made, not of what was when the last one was. */
static void the_verdict_follows_the_others(void **state)
{
    (void)state;
    bench_minutes(&b, "big", 1, 1000, 50);
    assert_int_equal(b.incident.verdict.side, VERDICT_UNDECIDED); /* nobody to compare with */
    bench_attempts(&b, "fine", 1000, 0, REPLY_CAPACITY);
    bench_minutes(&b, "big", 2, 1000, 50);
    assert_int_equal(b.incident.verdict.side, VERDICT_RECEIVER);
}

static void notes_that_lead_nowhere_are_dropped(void **state)
{
    struct buf text = BUF_INIT(LANE_TEXT_MAX);

    (void)state;
    bench_minutes(&b, "big", 1, 10000, 1);
    assert_band(BAND_WATCH);
    assert_int_equal(lanes_save(b.lanes, bench_lane(&b, "big"), &text), 0);
    assert_true(slice_find_slice(buf_slice(&text), SLICE_LIT("\"incident\"")) > 0);
    bench_minutes(&b, "big", 50, 100, 0);
    assert_band(BAND_NORMAL);
    buf_clear(&text);
    assert_int_equal(lanes_save(b.lanes, bench_lane(&b, "big"), &text), 0);
    assert_true(slice_find_slice(buf_slice(&text), SLICE_LIT("\"incident\"")) > 0);
    bench_minutes(&b, "big", 15, 100, 0);
    buf_clear(&text);
    assert_int_equal(lanes_save(b.lanes, bench_lane(&b, "big"), &text), 0);
    assert_true(slice_find_slice(buf_slice(&text), SLICE_LIT("\"incident\"")) < 0);
    assert_int_equal(b.told, 0);
    buf_done(&text);
}

/* ---- backlogs ---- */

/* How many of the lane's entries are due within so many ms from now. */
static uint64_t due_within(int64_t ms)
{
    struct schedule_entry e;
    uint64_t count = 0;

    for (uint32_t it = 0; schedule_next_entry(b.schedule, &it, &e);)
        count += e.state == ENTRY_READY || e.due_ms <= b.now + ms;
    return count;
}

static void a_backlog_is_spread_after_a_cut_and_a_pause(void **state)
{
    (void)state;
    for (int story = 0; story < 3; story++) {
        bench_done(&b);
        bench_init(&b);
        if (story == 1) {
            (void)bench_lane(&b, "big");
            assert_int_equal(lanes_pause(b.lanes, SLICE_LIT(LANE), true, b.now), 0);
        }
        for (int i = 0; i < 3600; i++)
            (void)bench_mail(&b, "big", i % 2 ? "example.org" : "example.net", 1, b.now);
        if (story == 0)
            bench_attempts(&b, "big", 400, 200, REPLY_CAPACITY);
        if (story == 1)
            assert_int_equal(lanes_pause(b.lanes, SLICE_LIT(LANE), false, b.now), 0);
        if (story == 2)
            lanes_spread(b.lanes, LANE_NONE, b.now);
        assert_int_equal(due_within(0), 3600);
        bench_run(&b, 100 + 10 * SECOND_MS * (story == 0));
        /* At two a second, half an hour. */
        assert_false(bench_view(&b, LANE).is_spreading);
        assert_in_range(due_within(MINUTE_MS), 60, 200);
        assert_in_range(due_within(15 * MINUTE_MS), 1650, 1950);
        assert_int_equal(due_within(31 * MINUTE_MS), 3600);
    }
    /* A great one, no longer than the settings say. */
    for (int i = 0; i < 15000; i++)
        (void)bench_mail(&b, "big", "example.org", 1, b.now);
    lanes_spread(b.lanes, bench_lane(&b, "big"), b.now);
    bench_run(&b, 1000);
    assert_int_equal(due_within(HOUR_MS), 18600);
    assert_in_range(due_within(30 * MINUTE_MS), 8500, 10200);
}

static void fresh_mail_is_not_spread(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        (void)bench_mail(&b, "big", "example.org", 0, b.now);
    lanes_spread(b.lanes, LANE_NONE, b.now);
    bench_run(&b, 1000);
    assert_int_equal(due_within(0), 1000);
}

static void what_waits_is_released_once_the_lane_is_well(void **state)
{
    entry_ref ref, again;
    uint32_t destination;
    uint64_t before;

    (void)state;
    for (int i = 0; i < 600; i++)
        (void)bench_mail(&b, "big", "example.org", 1, b.now + 10 * HOUR_MS);
    bench_minutes(&b, "big", 1, 1000, 50);
    for (int i = 0; i < 60 && bench_view(&b, LANE).throttle->band != BAND_NORMAL; i++)
        bench_minutes(&b, "big", 1, 10, 0);
    assert_band(BAND_NORMAL);
    /* At the pace of its best minute, though what is due is not taken. */
    before = bench_view(&b, LANE).to_release;
    assert_in_range(before, 200, 450);
    bench_run(&b, 10 * SECOND_MS);
    assert_in_range(before - bench_view(&b, LANE).to_release, 150, 175);
    bench_run(&b, MINUTE_MS);
    assert_int_equal(bench_view(&b, LANE).to_release, 0);
    assert_int_equal(bench_view(&b, LANE).queue.ready, 600);
    assert_int_equal(bench_view(&b, LANE).queue.waiting, 0);
    /* What is refused again waits for the next round, a cycle later, and no longer. */
    assert_true(schedule_grant(b.schedule, &destination));
    assert_int_equal(schedule_take(b.schedule, destination, &ref, 1), 1);
    assert_true(schedule_retry(b.schedule, ref, b.now) > b.now + 10 * MINUTE_MS);
    bench_run(&b, 10 * MINUTE_MS);
    assert_int_equal(bench_view(&b, LANE).queue.waiting, 0);
    /* The backlog is gone: no more rounds. */
    while (schedule_take(b.schedule, destination, &again, 1) == 1)
        schedule_done(b.schedule, again);
    bench_run(&b, 10 * MINUTE_MS);
    (void)bench_mail(&b, "big", "example.org", 1, b.now + 10 * HOUR_MS);
    bench_run(&b, 30 * MINUTE_MS);
    assert_int_equal(bench_view(&b, LANE).queue.waiting, 1);
}

static void a_release_in_vain_ends(void **state)
{
    lane_ref lane = bench_lane(&b, "big");

    (void)state;
    for (int i = 0; i < 600; i++)
        (void)bench_mail(&b, "big", "example.org", 1, b.now + 10 * HOUR_MS);
    /* Nobody answers, for longer than a cycle; then somebody does. */
    bench_attempts(&b, "big", 9, 9, REPLY_CONNECTION);
    bench_attempts(&b, "big", 1, 0, REPLY_CONNECTION);
    assert_int_equal(bench_view(&b, LANE).to_release, 0);
    bench_attempts(&b, "big", 11, 10, REPLY_CONNECTION);
    assert_int_equal(bench_view(&b, LANE).to_release, 0);
    bench_attempts(&b, "big", 10, 10, REPLY_CONNECTION);
    bench_run(&b, 11 * MINUTE_MS);
    bench_attempts(&b, "big", 1, 0, REPLY_CONNECTION);
    assert_int_equal(bench_view(&b, LANE).to_release, 600);
    bench_run(&b, 10 * SECOND_MS);
    assert_int_equal(bench_view(&b, LANE).to_release, 580);
    for (int i = 0; i < 20; i++) {
        struct attempt a = bench_attempt(&b, "big", i < 11 ? REPLY_MAILBOX_FULL : REPLY_NONE);

        a.number = 2;
        lanes_attempt(b.lanes, lane, &a);
    }
    bench_run(&b, 10 * SECOND_MS);
    assert_int_equal(bench_view(&b, LANE).to_release, 0);
    assert_int_equal(bench_view(&b, LANE).queue.ready, 20);
}

/* A few full mailboxes in a lane that is well are tried once more, and then by their own times. */
static void a_round_in_vain_is_the_last(void **state)
{
    lane_ref lane = bench_lane(&b, "big");
    uint32_t destination;
    entry_ref ref;

    (void)state;
    for (int i = 0; i < 5; i++)
        (void)bench_mail(&b, "big", "example.org", 1, b.now + 10 * HOUR_MS);
    bench_attempts(&b, "big", 10, 10, REPLY_CONNECTION);
    bench_run(&b, 11 * MINUTE_MS);
    bench_attempts(&b, "big", 1, 0, REPLY_CONNECTION);
    bench_run(&b, 10 * SECOND_MS);
    assert_int_equal(bench_view(&b, LANE).queue.ready, 5);
    assert_true(schedule_grant(b.schedule, &destination));
    for (int i = 0; i < 5; i++) {
        struct attempt a = bench_attempt(&b, "big", REPLY_MAILBOX_FULL);

        a.number = 2;
        assert_int_equal(schedule_take(b.schedule, destination, &ref, 1), 1);
        lanes_attempt(b.lanes, lane, &a);
        assert_true(schedule_retry(b.schedule, ref, b.now) >= b.now + 19 * MINUTE_MS);
    }
    bench_run(&b, 15 * MINUTE_MS);
    assert_int_equal(bench_view(&b, LANE).queue.waiting, 5);
}

/* ---- by the operator ---- */

static void pause_and_limit(void **state)
{
    (void)state;
    assert_int_equal(lanes_pause(b.lanes, SLICE_LIT(LANE), true, b.now), -ENOENT);
    assert_int_equal(lanes_limit(b.lanes, SLICE_LIT(LANE), 3, b.now), -ENOENT);
    for (int i = 0; i < 50; i++)
        (void)bench_mail(&b, "big", "example.org", 0, b.now);
    assert_int_equal(lanes_pause(b.lanes, SLICE_LIT("Big/Pool"), true, b.now), 0);
    bench_run(&b, MINUTE_MS);
    assert_int_equal(bench_grants(&b), 0);
    assert_true(bench_view(&b, LANE).paused && bench_view(&b, LANE).limits.paused);
    assert_int_equal(lanes_limit(b.lanes, SLICE_LIT(LANE), 3, b.now), 0);
    assert_int_equal(lanes_pause(b.lanes, SLICE_LIT(LANE), false, b.now), 0);
    assert_int_equal(bench_grants(&b), 3);
    assert_int_equal(bench_view(&b, LANE).settings.connections_max, 3);
    assert_int_equal(bench_view(&b, LANE).limit, 3);
    /* A limit above the configured one gives nothing; one below the floor is kept. */
    assert_int_equal(lanes_limit(b.lanes, SLICE_LIT(LANE), 300, b.now), 0);
    assert_int_equal(bench_view(&b, LANE).settings.connections_max, 20);
    assert_int_equal(lanes_limit(b.lanes, SLICE_LIT(LANE), 1, b.now), 0);
    bench_minutes(&b, "big", 1, 1000, 50);
    assert_int_equal(bench_view(&b, LANE).limits.connections, 1);
    assert_int_equal(lanes_limit(b.lanes, SLICE_LIT(LANE), 0, b.now), 0);
    assert_int_equal(bench_view(&b, LANE).settings.connections_max, 20);
    assert_band(BAND_INCIDENT);
    assert_int_equal(bench_view(&b, LANE).limits.connections, 2);
}

/* ---- warm-up and policy ---- */

static void a_warm_up_is_a_rate_and_a_number(void **state)
{
    uint64_t taken = 0;

    (void)state;
    b.rules.warm_up = (struct warm_up_settings){
        .list = {1000, 2000}, .days = 2, .factor = 1, .start_ms = BENCH_START};
    for (int i = 0; i < 10000; i++)
        (void)bench_mail(&b, "big", "example.org", 0, b.now);
    assert_int_equal(bench_view(&b, LANE).warm_up_today, 1000);
    for (int day = 0; day < 2; day++) {
        for (int i = 0; i < 8640; i++) {
            uint32_t destination;
            entry_ref refs[100];
            size_t n = 0;

            if (schedule_grant(b.schedule, &destination)) {
                n = schedule_take(b.schedule, destination, refs, ARRAY_SIZE(refs));
                schedule_release(b.schedule, destination);
            }
            for (size_t j = 0; j < n; j++)
                schedule_done(b.schedule, refs[j]);
            taken += n;
            if (day == 0 && i == 4320) /* twice what is left, all the time: 1 - 1/4 */
                assert_in_range(taken, 700, 760);
            bench_run(&b, 10 * SECOND_MS);
        }
        assert_in_range(taken, day ? 2990 : 990, day ? 3004 : 1002);
    }
    assert_int_equal(b.warm_ups, 1);
    assert_false(b.warm_up_held);
    bench_run(&b, MINUTE_MS);
    assert_int_equal(bench_view(&b, LANE).warm_up_sent, 0);
}

static void policy_holds_the_warm_up(void **state)
{
    (void)state;
    b.rules.warm_up = (struct warm_up_settings){
        .list = {1000, 2000, 3000}, .days = 3, .factor = 1, .start_ms = BENCH_START};
    bench_run(&b, 20 * HOUR_MS);
    bench_attempts(&b, "big", 50, 1, REPLY_POLICY);
    bench_run(&b, 5 * HOUR_MS);
    assert_int_equal(b.refusals_begin, 1);
    assert_true(bench_view(&b, LANE).is_refused);
    assert_int_equal(b.warm_ups, 1);
    assert_true(b.warm_up_held);
    assert_string_equal(b.warm_up_why, "policy replies, confirmed in the last day");
    assert_int_equal(bench_view(&b, LANE).warm_up_today, 1000);
    assert_true(bench_view(&b, LANE).warm_up_held);
    assert_band(BAND_NORMAL); /* nothing is cut for it */
    bench_run(&b, 20 * HOUR_MS);
    assert_int_equal(b.refusals_end, 1);
    assert_int_equal(b.warm_ups, 2);
    assert_false(b.warm_up_held);
    assert_int_equal(bench_view(&b, LANE).warm_up_today, 2000);
    /* Above its baseline: held too. */
    bench_attempts(&b, "big", 50, 1, REPLY_CAPACITY);
    bench_run(&b, 2 * HOUR_MS + 30 * MINUTE_MS);
    bench_attempts(&b, "big", 50, 1, REPLY_CAPACITY);
    bench_run(&b, 45 * MINUTE_MS);
    assert_int_equal(b.warm_ups, 3);
    assert_string_equal(b.warm_up_why, "the lane is above its baseline");
    bench_run(&b, HOUR_MS);
    assert_int_equal(bench_view(&b, LANE).warm_up_today, 3000);
    /* One of ten thousand is nothing. */
    bench_run(&b, 2 * DAY_MS);
    bench_attempts(&b, "big", 10000, 1, REPLY_AUTHENTICATION);
    bench_run(&b, HOUR_MS);
    assert_int_equal(b.refusals_begin, 1);
}

static void a_reached_number_ends_the_day(void **state)
{
    uint32_t destination;
    entry_ref refs[10];

    (void)state;
    b.rules.warm_up =
        (struct warm_up_settings){.list = {2}, .days = 1, .factor = 1, .start_ms = BENCH_START};
    for (int i = 0; i < 5; i++)
        (void)bench_mail(&b, "big", "example.org", 0, b.now);
    for (int i = 0; i < 2; i++) {
        bench_run(&b, 11 * HOUR_MS);
        assert_true(schedule_grant(b.schedule, &destination));
        assert_int_equal(schedule_take(b.schedule, destination, refs, 10), 1);
        schedule_release(b.schedule, destination);
    }
    bench_run(&b, 20 * SECOND_MS);
    assert_true(bench_view(&b, LANE).warm_up_reached);
    assert_true(bench_view(&b, LANE).limits.paused);
    assert_false(bench_view(&b, LANE).paused);
    assert_int_equal(bench_view(&b, LANE).warm_up_sent, 2);
    bench_run(&b, HOUR_MS);
    assert_int_equal(bench_grants(&b), 0);
    bench_run(&b, HOUR_MS);
    assert_false(bench_view(&b, LANE).warm_up_reached);
}

/* ---- restarts ---- */

static void save_all(struct buf *texts, lane_ref *refs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        buf_clear(&texts[i]);
        assert_int_equal(lanes_save(b.lanes, refs[i], &texts[i]), 0);
    }
}

/* Stopped at a moment of an incident and started again, all is as it would have been. */
static void a_restart_in_the_middle_of_an_incident(void **state)
{
    enum { MOMENTS = 9 };
    static const int moments[MOMENTS] = {0, 1, 5, 12, 20, 21, 25, 33, 60};
    struct buf texts[2] = {BUF_INIT(LANE_TEXT_MAX), BUF_INIT(LANE_TEXT_MAX)};
    struct buf wanted[2] = {BUF_INIT(LANE_TEXT_MAX), BUF_INIT(LANE_TEXT_MAX)};

    (void)state;
    for (int m = 0; m <= MOMENTS; m++) {
        lane_ref refs[2];

        bench_done(&b);
        bench_init(&b);
        b.settings.spread_max_ms = 0;
        lanes_set(b.lanes, &b.settings, b.now);
        (void)bench_lane(&b, "small"); /* the same places in both lives */
        bench_run(&b, 1);
        for (int minute = 0; minute < 70; minute++) {
            bench_minutes(&b, "small", 1, 30, 0);
            bench_minutes(&b, "big", 1, 1000, minute < 9 ? 50 : 0);
            refs[0] = bench_lane(&b, "small");
            refs[1] = bench_lane(&b, "big");
            if (minute == 3) {
                assert_int_equal(lanes_limit(b.lanes, SLICE_LIT("small/pool"), 5, b.now), 0);
                assert_int_equal(lanes_pause(b.lanes, SLICE_LIT("small/pool"), true, b.now), 0);
            }
            if (m == MOMENTS || minute != moments[m])
                continue;
            save_all(texts, refs, 2);
            bench_done(&b);
            bench_open(&b);
            for (int i = 0; i < 2; i++)
                assert_int_equal(lanes_restore(b.lanes, buf_slice(&texts[i]), b.now), 0);
        }
        refs[0] = bench_lane(&b, "small");
        refs[1] = bench_lane(&b, "big");
        save_all(m ? texts : wanted, refs, 2);
        for (int i = 0; m && i < 2; i++)
            assert_string_equal(buf_cstr(&texts[i]), buf_cstr(&wanted[i]));
        assert_true(bench_view(&b, "small/pool").paused);
        assert_int_equal(bench_view(&b, "small/pool").limits.connections, 5);
    }
    for (int i = 0; i < 2; i++) {
        buf_done(&texts[i]);
        buf_done(&wanted[i]);
    }
}

/* What was told is not told again, and the first cut after the restart is of what was in use. */
static void a_restart_knows_what_was_told_and_in_use(void **state)
{
    struct buf text = BUF_INIT(LANE_TEXT_MAX);
    uint32_t destination;

    (void)state;
    for (int i = 0; i < 5; i++)
        (void)bench_mail(&b, "big", "example.org", 0, b.now);
    bench_run(&b, 1000);
    for (int i = 0; i < 5; i++)
        assert_true(schedule_grant(b.schedule, &destination));
    bench_attempts(&b, "big", 50, 1, REPLY_POLICY);
    bench_run(&b, MINUTE_MS);
    assert_int_equal(b.refusals_begin, 1);
    assert_int_equal(lanes_save(b.lanes, bench_lane(&b, "big"), &text), 0);
    bench_done(&b);
    bench_open(&b);
    assert_int_equal(lanes_restore(b.lanes, buf_slice(&text), b.now), 0);
    bench_run(&b, 10 * SECOND_MS);
    assert_int_equal(b.refusals_begin, 1);
    assert_true(bench_view(&b, LANE).is_refused);
    bench_minutes(&b, "big", 1, 1000, 50);
    assert_int_equal(bench_view(&b, LANE).limits.connections, 4);
    buf_done(&text);
}

/* Taken after the lane's last tick, and stopped before the next. */
static void a_restart_knows_all_that_a_warm_up_sent(void **state)
{
    struct buf text = BUF_INIT(LANE_TEXT_MAX);
    uint32_t destination;
    entry_ref ref;

    (void)state;
    b.rules.warm_up = (struct warm_up_settings){
        .list = {1000000}, .days = 1, .factor = 1, .start_ms = BENCH_START};
    (void)bench_mail(&b, "big", "example.org", 0, b.now);
    bench_run(&b, 10 * SECOND_MS);
    assert_true(schedule_grant(b.schedule, &destination));
    assert_int_equal(schedule_take(b.schedule, destination, &ref, 1), 1);
    assert_int_equal(bench_view(&b, LANE).warm_up_sent, 0);
    assert_int_equal(lanes_save(b.lanes, bench_lane(&b, "big"), &text), 0);
    bench_done(&b);
    bench_open(&b);
    assert_int_equal(lanes_restore(b.lanes, buf_slice(&text), b.now), 0);
    assert_int_equal(bench_view(&b, LANE).warm_up_sent, 1);
    buf_done(&text);
}

/* An answer that comes minutes late counts now: it moves no window back. */
static void a_late_attempt_counts_now(void **state)
{
    struct attempt a;

    (void)state;
    bench_minutes(&b, "big", 30, 10, 0);
    a = bench_attempt(&b, "big", REPLY_NONE);
    a.at_ms -= 20 * MINUTE_MS;
    lanes_attempt(b.lanes, bench_lane(&b, "big"), &a);
    assert_int_equal(bench_view(&b, LANE).window->minute_at, b.now / MINUTE_MS);
}

static void the_clock_may_step_back(void **state)
{
    (void)state;
    bench_run(&b, HOUR_MS);
    (void)bench_lane(&b, "big");
    b.now -= DAY_MS;
    bench_minutes(&b, "big", 1, 1000, 50);
    assert_band(BAND_INCIDENT);
}

static void damaged_texts(void **state)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "[]",
                                      "{}",
                                      "{\"provider\":\"\",\"source\":\"s\"}",
                                      "{\"provider\":\"p\"}",
                                      "{\"provider\":7,\"source\":\"s\"}"};
    struct buf text = BUF_INIT(LANE_TEXT_MAX), small = BUF_INIT(100);
    lane_ref lane = bench_lane(&b, "big");
    uint32_t it = 0;
    struct lane_view v;

    (void)state;
    assert_int_equal(lanes_save(b.lanes, lane, &small), -E2BIG);
    assert_int_equal(lanes_save(b.lanes, LANE_NONE, &small), -ENOENT);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(lanes_restore(b.lanes, slice_str(bad[i]), b.now), -ERR_DAMAGED);
    bench_minutes(&b, "big", 3, 1000, 50);
    assert_int_equal(lanes_save(b.lanes, lane, &text), 0);
    for (size_t cut = 0; cut + 1 < buf_len(&text); cut += 7)
        assert_int_equal(lanes_restore(b.lanes, slice_sub(buf_slice(&text), 0, cut), b.now),
                         -ERR_DAMAGED);
    assert_band(BAND_INCIDENT);
    /* Parts that are wrong are begun anew, the others hold. */
    assert_int_equal(
        lanes_restore(b.lanes,
                      SLICE_LIT("{\"provider\":\"big\",\"source\":\"pool\",\"paused\":true,"
                                "\"limit\":4,\"window\":\"1 7 x\",\"throttle\":\"\",\"later\":1,"
                                "\"warm_up\":3,\"incident\":{\"id\":1}}"),
                      b.now),
        0);
    assert_band(BAND_NORMAL);
    assert_true(bench_view(&b, LANE).paused);
    assert_int_equal(bench_view(&b, LANE).limits.connections, 4);
    assert_int_equal(bench_view(&b, LANE).window->totals.attempts, 0);
    while (lanes_next(b.lanes, &it, &v))
        assert_string_equal((const char *)v.name.ptr, LANE);
    buf_done(&text);
    buf_done(&small);
}

static void changed_lanes_are_given_out_once(void **state)
{
    lane_ref big = bench_lane(&b, "big"), small = bench_lane(&b, "small");

    (void)state;
    bench_run(&b, 2 * MINUTE_MS);
    while (lanes_next_changed(b.lanes) != LANE_NONE) {
    }
    bench_run(&b, 10 * MINUTE_MS);
    assert_int_equal(lanes_next_changed(b.lanes), LANE_NONE); /* nothing happened */
    bench_attempts(&b, "small", 1, 0, REPLY_NONE);
    assert_int_equal(lanes_next_changed(b.lanes), LANE_NONE);
    bench_run(&b, MINUTE_MS + 10 * SECOND_MS);
    assert_int_equal(lanes_next_changed(b.lanes), small);
    assert_int_equal(lanes_next_changed(b.lanes), LANE_NONE);
    assert_int_equal(lanes_limit(b.lanes, SLICE_LIT(LANE), 2, b.now), 0);
    assert_int_equal(lanes_next_changed(b.lanes), big);
    assert_int_equal(lanes_next_changed(b.lanes), LANE_NONE);
}

/* ---- names and places ---- */

static void names_are_kept_in_order(void **state)
{
    static const struct {
        const char *provider, *source, *name;
    } cases[] = {
        {"Google", "Pool-A", "google/pool-a"},
        {"a\"b\\c d\n", "s", "a?b?c?d?/s"},
        {"b\xc3\xbc"
         "cher.example",
         "s",
         "b\xc3\xbc"
         "cher.example/s"},
        {"\xc3", "\xff", "?/?"},
        {"", "", "/"},
    };
    char longest[1000];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        lane_ref ref =
            lanes_find(b.lanes, slice_str(cases[i].provider), slice_str(cases[i].source), b.now);
        struct lane_view v = bench_view(&b, cases[i].name);

        assert_int_equal(v.ref, ref);
        assert_int_equal(v.name.len, v.provider.len + 1 + v.source.len);
    }
    memset(longest, 'x', sizeof(longest));
    assert_int_not_equal(
        lanes_find(b.lanes, slice_make(longest, 1000), slice_make(longest, 1000), 0), LANE_NONE);
}

/* More providers than places: those that have nothing to say make room, and when none has, the
 * others share one. */
static void places_are_given_away(void **state)
{
    lane_ref first = LANE_NONE, ref = LANE_NONE;
    uint32_t it = 0, count = 0;
    struct lane_view v;
    struct attempt a;
    char name[40];

    (void)state;
    (void)bench_mail(&b, "busy", "example.org", 0, b.now);
    for (int i = 0; i < LANES_MAX + 500; i++) {
        (void)snprintf(name, sizeof(name), "p%d", i);
        ref = bench_lane(&b, name);
        first = i ? first : ref;
        assert_int_not_equal(ref, LANE_NONE);
    }
    while (lanes_next(b.lanes, &it, &v))
        count++;
    assert_int_equal(count, LANES_MAX);
    (void)snprintf(name, sizeof(name), "p%d/pool", LANES_MAX + 499);
    assert_int_equal(bench_view(&b, name).ref, ref); /* the last has its own */
    assert_int_equal(bench_view(&b, "busy/pool").queue.entries, 1);
    /* A stale one: the attempt goes where it belongs, and nothing bad comes of it. */
    assert_int_equal(lanes_schedule_lane(b.lanes, first), SCHEDULE_LANE_NEW);
    a = bench_attempt(&b, "p0", REPLY_NONE);
    lanes_attempt(b.lanes, first, &a);
    assert_int_equal(bench_view(&b, "p0/pool").window->totals.attempts, 1);
    /* All are busy. */
    it = 0;
    while (lanes_next(b.lanes, &it, &v))
        assert_int_equal(lanes_limit(b.lanes, v.name, 3, b.now), 0);
    ref = bench_lane(&b, "late");
    assert_int_equal(bench_view(&b, "other/pool").ref, ref);
    assert_int_equal(bench_lane(&b, "later"), ref);
    assert_false(lanes_get(b.lanes, SLICE_LIT("late/pool"), &v));
    /* One that is free is found, however often there was none. */
    for (int i = 0; i < 100; i++)
        assert_int_equal(bench_lane(&b, "later"), ref);
    assert_int_equal(lanes_limit(b.lanes, SLICE_LIT("p1000/pool"), 0, b.now), 0);
    for (int i = 0; i < LANES_MAX && bench_lane(&b, "later") == ref; i++)
        ;
    assert_true(lanes_get(b.lanes, SLICE_LIT("later/pool"), &v));
    assert_false(lanes_get(b.lanes, SLICE_LIT("p1000/pool"), &v));
}

/* What is learnt of one of many providers cuts none of the rest, nor has their limit. */
static void the_lane_of_many_is_not_cut(void **state)
{
    struct lanes_settings settings = b.settings;

    (void)state;
    settings.other_connections = 300;
    lanes_set(b.lanes, &settings, b.now);
    (void)bench_lane(&b, "other");
    assert_int_equal(bench_view(&b, "other/pool").limits.connections, 300);
    bench_attempts(&b, "other", 1000, 50, REPLY_CAPACITY);
    bench_run(&b, 10 * SECOND_MS);
    assert_string_equal(band_name(bench_view(&b, "other/pool").throttle->band), "incident");
    assert_int_equal(bench_view(&b, "other/pool").limits.connections, 300);
}

/* A lane at rest is looked at again within a minute, and at once after an attempt. */
static void a_lane_at_rest_wakes(void **state)
{
    (void)state;
    (void)bench_lane(&b, "big");
    bench_run(&b, 15 * SECOND_MS);
    bench_attempts(&b, "big", 1000, 50, REPLY_CAPACITY);
    bench_run(&b, 10 * SECOND_MS);
    assert_band(BAND_INCIDENT);
}

int main(void)
{
#define STORY(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORY(a_decision_limits_the_schedule),
        STORY(the_peak_is_that_of_the_window),
        STORY(an_incident_has_its_whole_story),
        STORY(the_verdict_looks_at_the_others),
        STORY(the_verdict_follows_the_others),
        STORY(notes_that_lead_nowhere_are_dropped),
        STORY(a_backlog_is_spread_after_a_cut_and_a_pause),
        STORY(fresh_mail_is_not_spread),
        STORY(what_waits_is_released_once_the_lane_is_well),
        STORY(a_release_in_vain_ends),
        STORY(a_round_in_vain_is_the_last),
        STORY(pause_and_limit),
        STORY(a_warm_up_is_a_rate_and_a_number),
        STORY(policy_holds_the_warm_up),
        STORY(a_reached_number_ends_the_day),
        STORY(a_restart_in_the_middle_of_an_incident),
        STORY(a_restart_knows_what_was_told_and_in_use),
        STORY(a_restart_knows_all_that_a_warm_up_sent),
        STORY(a_late_attempt_counts_now),
        STORY(the_clock_may_step_back),
        STORY(damaged_texts),
        STORY(changed_lanes_are_given_out_once),
        STORY(names_are_kept_in_order),
        STORY(places_are_given_away),
        STORY(the_lane_of_many_is_not_cut),
        STORY(a_lane_at_rest_wakes),
    };

    return cmocka_run_group_tests_name("lanes", tests, NULL, NULL);
}
