/* deliver/queue_lanes_test.c - the queue manager and its lanes, case by case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "deliver/queue_kit.h"
#include "ledger/ledger.h"
#include "ledger/query.h"
#include "schedule/lanes.h"

/* What is due is tried before its age counts; where no attempt can come, age counts in the end. */
static void test_mail_in_a_paused_lane_expires(void **state)
{
    struct world w;

    (void)state;
    setup(&w, usual);
    (void)submit(&w, two, 1, small);
    run(&w); /* the probe: it is in its lane now */
    finish(&w, 0, RECIPIENT_PENDING, RECIPIENT_PENDING, "451 later");
    assert_int_equal(lanes_pause(queue_lanes(w.k.q), SLICE_LIT("kit/default"), true, w.k.now_ms),
                     0);
    kit_serve(&w.k);
    w.k.now_ms += 130 * MINUTE_MS; /* older than max_queue_time, and due */
    for (int i = 0; i < 70; i++) {
        run(&w);
        kit_serve(&w.k);
        w.k.now_ms += MINUTE_MS;
        assert_true(i > 50 || totals(&w).entries == 1); /* an hour for the attempt to come */
    }
    assert_int_equal(w.reports, 1); /* it was returned to its sender */
    assert_int_equal(lanes_pause(queue_lanes(w.k.q), SLICE_LIT("kit/default"), false, w.k.now_ms),
                     0);
    kit_done(&w.k);
}

static int take_row(void *ctx, const struct ledger_row *row)
{
    struct ledger_row *to = ctx;

    if (row->has_queue)
        *to = *row;
    return 0;
}

static void test_the_ledger_knows_how_old_a_lane_is(void **state)
{
    char folder[] = "/tmp/penstock-ages-XXXXXX", command[100];
    const struct ledger_settings ls = {.directory = mkdtemp(folder),
                                       .age_max_s = 20 * 365 * 86400,
                                       .size_max_bytes = MIB(16),
                                       .commit_ms = 1};
    struct buf why = BUF_INIT(KIB(1));
    struct ledger_row row = {.at_ms = 0};
    struct ledger_reader *reader;
    struct world w;

    (void)state;
    setup(&w, usual);
    assert_int_equal(ledger_open(&w.k.q->seams.ledger, &ls, &why), 0);
    (void)submit(&w, two, 1, small);
    run(&w);
    finish(&w, 0, RECIPIENT_PENDING, RECIPIENT_PENDING, "451 later");
    w.k.now_ms += MINUTE_MS;
    (void)submit(&w, two, 1, small);
    assert_int_equal(lanes_pause(queue_lanes(w.k.q), SLICE_LIT("kit/default"), true, w.k.now_ms),
                     0);
    for (int i = 0; i < 3; i++) {
        run(&w);
        kit_serve(&w.k);
        w.k.now_ms += MINUTE_MS;
    }
    ledger_close(&w.k.q->seams.ledger);
    assert_int_equal(ledger_reader_open(&reader, folder, &why), 0);
    assert_int_equal(
        ledger_rows(reader, 60, SLICE_LIT("kit/default"), (struct slice){0}, 0, take_row, &row), 0);
    assert_int_equal(row.queue_length, 2);
    assert_true(row.age_oldest_ms >= row.age_median_ms + MINUTE_MS * 9 / 10);
    assert_true(row.age_oldest_ms >= 2 * MINUTE_MS && row.age_p90_ms > row.age_median_ms);
    ledger_reader_close(&reader);
    buf_done(&why);
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(lanes_pause(queue_lanes(w.k.q), SLICE_LIT("kit/default"), false, w.k.now_ms),
                     0);
    drain(&w);
    teardown(&w);
}

#define BACKLOG 200

static uint64_t ready_or_active(struct world *w)
{
    const struct schedule_totals t = totals(w);

    return t.ready + t.active;
}

static void note_change(void *ctx)
{
    *(bool *)ctx = true;
}

/* A backlog that is due, and that lanes spread over 200 s, stays spread when a reload files it
 * anew: shorter retry times, or others, make no wave. */
static void test_a_reload_makes_no_wave(void **state)
{
    static const char text[] = "server: {hostname: test.example}\n"
                               "lanes: {release_rate: 1/s}\n"
                               "retry: {initial_retry: %s, jitter: 0%%, max_queue_time: 2h}\n";
    char before[200], after[200];
    struct queue_settings settings;
    struct config *next;
    bool has_changed = false;
    struct world w;

    (void)state;
    (void)snprintf(before, sizeof(before), text, "10m");
    (void)snprintf(after, sizeof(after), text, "1m");
    setup(&w, before);
    for (int i = 0; i < BACKLOG; i++)
        (void)submit(&w, two, 1, small);
    do {
        run(&w);
        while (w.job_count)
            finish(&w, 0, RECIPIENT_PENDING, RECIPIENT_PENDING, "451 later");
        kit_serve(&w.k);
    } while (ready_or_active(&w) > 0);
    w.k.now_ms += 30 * MINUTE_MS;
    lanes_spread(queue_lanes(w.k.q), LANE_NONE, w.k.now_ms);
    run(&w);
    assert_true(ready_or_active(&w) < BACKLOG / 10);
    while (w.job_count)
        finish(&w, 0, RECIPIENT_RELAYED, RECIPIENT_RELAYED, "250 ok");
    kit_serve(&w.k);

    next = kit_config(after);
    settings = kit_settings(next);
    assert_int_equal(queue_change_settings(w.k.q, &settings, note_change, &has_changed), 0);
    run(&w);
    assert_true(has_changed);
    assert_true(totals(&w).waiting > BACKLOG / 2);
    assert_true(ready_or_active(&w) < BACKLOG / 10);
    drain(&w);
    teardown(&w);
    config_unref(&(const struct config *){next});
}

/* Every host refused the job's session with a 421. */
static void refuse(struct world *w)
{
    struct job *job = w->jobs[--w->job_count];
    uint32_t count = job->count;

    job->destination_failed = job->was_refused = true;
    for (uint32_t i = job->returned; i < count; i++) {
        job->entries[i].outcome = ATTEMPT_NOT_MADE;
        job->entries[i].parcel.deliver(&job->entries[i].parcel, NULL);
    }
}

static bool is_left_alone(struct world *w)
{
    struct schedule_destination d;
    uint32_t it = 0;

    assert_true(schedule_next_destination(queue_schedule(w->k.q), &it, &d));
    return d.paused_until_ms > 0;
}

/* A destination that refuses a session beside others costs the lane slots for a while; where slots
 * do not rest, and where it was the only one, it is left alone: never is it tried again at once. */
static void test_a_refused_session_is_not_repeated_at_once(void **state)
{
    static const struct {
        const char *lanes;
        bool rests;
    } cases[] = {{"{}", true}, {"{rest: 0}", false}, {"{enabled: no}", false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char config[300];
        struct world w;

        (void)snprintf(config, sizeof(config), "%slanes: %s\n", usual, cases[i].lanes);
        setup(&w, config);
        for (int n = 0; n < 60; n++)
            (void)submit(&w, two, 1, small);
        run(&w); /* the probe: it is in its lane now */
        finish(&w, 0, RECIPIENT_RELAYED, RECIPIENT_RELAYED, "250 ok");
        run(&w);
        assert_true(w.job_count > 2);
        refuse(&w);
        assert_int_equal(is_left_alone(&w), !cases[i].rests);
        while (w.job_count > 0)
            refuse(&w);
        assert_true(is_left_alone(&w));
        run(&w);
        assert_int_equal(w.job_count, 0);
        w.k.now_ms += 11 * MINUTE_MS;
        drain(&w);
        teardown(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail_in_a_paused_lane_expires),
        cmocka_unit_test(test_the_ledger_knows_how_old_a_lane_is),
        cmocka_unit_test(test_a_reload_makes_no_wave),
        cmocka_unit_test(test_a_refused_session_is_not_repeated_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
