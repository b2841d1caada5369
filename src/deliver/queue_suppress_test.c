/*
 * deliver/queue_suppress_test.c - what the queue manager does with an entry some of whose recipients
 * are on the suppression list; the worker that gives it back is the test.
 */
#include "deliver/queue_kit.h"

static void list(struct world *w, const char *address)
{
    struct suppression *s;
    const char *why;

    assert_int_equal(suppression_by_operator(&s, slice_str(address), SLICE_LIT(""), KIT_NOW, &why),
                     0);
    assert_int_equal(queue_restore_suppression(w->k.q, s), 0);
    suppression_unref(&s);
}

/* The worker's answer for the only entry of the only job. */
static void give_back(struct world *w)
{
    struct job *job = w->jobs[0];

    assert_int_equal(w->job_count, 1);
    assert_int_equal(job->count, 1);
    assert_true(suppression_filter_has(job->filter, SLICE_LIT("R0@a.example")));
    w->job_count = 0;
    job->entries[0].outcome = ATTEMPT_SUPPRESSED;
    job->entries[0].parcel.deliver(&job->entries[0].parcel, NULL);
}

static const char *const same[] = {"a.example", "a.example"};

static void test_a_listed_recipient_fails_untried(void **state)
{
    struct world w;

    (void)state;
    setup(&w, usual);
    list(&w, "r0@a.example");
    (void)submit(&w, same, 1, small);
    run(&w);
    give_back(&w);
    kit_serve(&w.k);
    assert_int_equal(w.reports, 1);
    assert_int_equal(kit_messages(&w.k), 1); /* the report, on its way */
    drain(&w);
    teardown(&w);
}

static void test_the_others_go_on_when_it_is_written(void **state)
{
    struct queue_message m;
    struct world w;
    uint64_t id;

    (void)state;
    setup(&w, usual);
    list(&w, "r0@a.example");
    id = submit(&w, same, 2, small);
    run(&w);
    give_back(&w);
    run(&w);
    assert_int_equal(w.job_count, 0); /* neither before the report nor before the mark */
    kit_serve(&w.k);
    assert_int_equal(queue_read_message(w.k.q, id, &m), 0);
    assert_int_equal(m.envelope.recipients[0].state, RECIPIENT_FAILED);
    assert_int_equal(m.envelope.recipients[1].state, RECIPIENT_PENDING);
    assert_int_equal(m.envelope.recipients[1].attempts, 0);
    queue_message_done(&m);
    assert_int_equal(w.reports, 1);
    drain(&w);
    assert_int_equal(w.reports, 1);
    teardown(&w);
}

/* No failure goes unreported: without room for the report it rests, and is not given out in a
 * circle. */
static void test_without_a_report_it_rests(void **state)
{
    struct world w;

    (void)state;
    setup(&w, usual);
    list(&w, "r0@a.example");
    (void)submit(&w, same, 1, small);
    w.k.commit_failures_percent = 100;
    run(&w);
    give_back(&w);
    kit_serve(&w.k);
    run(&w);
    assert_int_equal(w.job_count, 0);
    assert_int_equal(totals(&w).waiting, 1);
    w.k.commit_failures_percent = 0;
    w.k.now_ms += 2 * MINUTE_MS;
    run(&w);
    give_back(&w);
    kit_serve(&w.k);
    assert_int_equal(w.reports, 1);
    drain(&w);
    teardown(&w);
}

/* The filter is asked at one moment, the list at another. */
static void test_taken_off_in_between_it_is_sent(void **state)
{
    struct world w;

    (void)state;
    setup(&w, usual);
    list(&w, "r0@a.example");
    (void)submit(&w, same, 1, small);
    run(&w);
    assert_int_equal(queue_unsuppress(w.k.q, SLICE_LIT("r0@a.example")), 0);
    w.jobs[0]->entries[0].outcome = ATTEMPT_SUPPRESSED;
    w.job_count = 0;
    w.jobs[0]->entries[0].parcel.deliver(&w.jobs[0]->entries[0].parcel, NULL);
    run(&w);
    assert_int_equal(w.job_count, 1);
    drain(&w);
    assert_int_equal(w.reports, 0);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_listed_recipient_fails_untried),
        cmocka_unit_test(test_the_others_go_on_when_it_is_written),
        cmocka_unit_test(test_without_a_report_it_rests),
        cmocka_unit_test(test_taken_off_in_between_it_is_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
