/*
 * deliver/queue_test.c - the queue manager over a real spool: cases that a random history
 * (queue_model_test.c) meets seldom, or cannot judge. Workers are played here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deliver/queue_kit.h"
#include "event/event.h"
#include "event/record.h"

/* ---- tests ---- */

static void test_hold_is_for_the_whole_message(void **state)
{
    struct queue_action_result r;
    struct world w;
    uint64_t id;

    (void)state;
    setup(&w, usual);
    id = submit(&w, two, 2, small);
    r = act(&w, id, QUEUE_HOLD);
    assert_int_equal(r.done, 2);
    assert_int_equal(w.k.head->op, SPOOL_OP_MARK);
    assert_int_equal(w.k.head->private_next->op, SPOOL_OP_SYNC); /* one mark for both */
    kit_serve(&w.k);
    kit_close(&w.k);
    kit_reopen(&w.k);
    assert_int_equal(totals(&w).held, 2);
    run(&w);
    assert_int_equal(w.job_count, 0);
    (void)act(&w, id, QUEUE_RELEASE);
    assert_int_equal(totals(&w).held, 0);
    run(&w);
    assert_int_equal(w.job_count, 2);
    r = act(&w, id, QUEUE_HOLD); /* both are being sent */
    assert_int_equal(r.busy, 2);
    r = act(&w, id, QUEUE_REMOVE);
    assert_int_equal(r.busy, 2);
    drain(&w);
    teardown(&w);
}

struct durable {
    struct queue_waiter waiter; /* first */
    unsigned calls;
    int result;
};

static void note_durable(struct queue_waiter *w, int result)
{
    struct durable *d = (struct durable *)w;

    d->calls++;
    d->result = result;
}

/* Who waits for an action is told when it is durable, not earlier, and once. */
static void test_an_action_is_waited_for(void **state)
{
    struct durable first = {.waiter.fn = note_durable}, second = first, third = first;
    struct world w;
    uint64_t id;

    (void)state;
    setup(&w, usual);
    id = submit(&w, two, 2, small);
    (void)act(&w, id, QUEUE_HOLD);
    queue_wait_durable(w.k.q, &first.waiter);
    assert_true(kit_serve_one(&w.k)); /* the mark */
    assert_int_equal(first.calls, 0);
    (void)act(&w, id, QUEUE_RELEASE); /* while the first sync is under way */
    queue_wait_durable(w.k.q, &second.waiter);
    queue_wait_durable(w.k.q, &third.waiter);
    queue_wait_cancel(&third.waiter);
    assert_true(kit_serve_one(&w.k));
    assert_int_equal(first.calls, 1);
    assert_int_equal(first.result, 0);
    assert_int_equal(second.calls, 0); /* its mark was posted after that sync */
    kit_serve(&w.k);
    assert_int_equal(second.calls, 1);
    assert_int_equal(second.result, 0);
    assert_int_equal(w.k.served[SPOOL_OP_SYNC], 2);
    (void)act(&w, id, QUEUE_HOLD);
    queue_wait_durable(w.k.q, &first.waiter);
    w.k.is_dead = true;
    kit_serve(&w.k);
    w.k.is_dead = false;
    assert_int_equal(first.calls, 2);
    assert_int_equal(first.result, -EIO);
    assert_int_equal(third.calls, 0);
    (void)act(&w, id, QUEUE_RELEASE);
    drain(&w);
    teardown(&w);
}

/* Two bounces while the report is not yet stored are one. */
static void test_an_action_ends_an_entry_once(void **state)
{
    struct queue_action_result r;
    struct world w;
    uint64_t id, other;

    (void)state;
    setup(&w, usual);
    id = submit(&w, two, 1, small);
    r = act(&w, id, QUEUE_BOUNCE);
    assert_int_equal(r.done, 1);
    other = submit(&w, two, 1, small); /* might get the place of the first in the schedule */
    r = act(&w, id, QUEUE_BOUNCE);
    assert_int_equal(r.busy, 1);
    r = act(&w, id, QUEUE_RELEASE);
    assert_int_equal(totals(&w).held, 0);
    run(&w);
    assert_int_equal(w.job_count, 1); /* the other's */
    kit_serve(&w.k);
    assert_int_equal(w.reports, 1);
    assert_int_equal(schedule_find(queue_schedule(w.k.q), id, NULL, 0), 0);
    assert_int_equal(schedule_find(queue_schedule(w.k.q), other, NULL, 0), 1);
    drain(&w);
    teardown(&w);
}

/* What was held before a bounce that could not be reported is held after it. */
static void test_a_bounce_that_cannot_be_reported(void **state)
{
    struct world w;
    uint64_t id;

    (void)state;
    setup(&w, usual);
    id = submit(&w, two, 1, small);
    (void)act(&w, id, QUEUE_HOLD);
    w.k.commit_failures_percent = 100;
    (void)act(&w, id, QUEUE_BOUNCE);
    kit_serve(&w.k);
    assert_int_equal(w.reports, 0);
    assert_int_equal(totals(&w).held, 1);
    w.k.commit_failures_percent = 0;
    (void)act(&w, id, QUEUE_BOUNCE);
    kit_serve(&w.k);
    assert_int_equal(w.reports, 1);
    assert_int_equal(totals(&w).held, 0);
    drain(&w);
    teardown(&w);
}

/* Some recipients are settled: nobody may try the message before that can be read. */
static void test_a_mark_is_waited_for(void **state)
{
    static const char *const same[] = {"a.example", "a.example", "a.example"};
    struct world w;
    uint64_t id;

    (void)state;
    setup(&w, usual);
    id = submit(&w, same, 3, small);
    run(&w);
    finish(&w, 0, RECIPIENT_RELAYED, RECIPIENT_PENDING, "451 later");
    w.k.now_ms += 30 * MINUTE_MS;
    run(&w);
    assert_int_equal(w.job_count, 0);
    assert_int_equal(act(&w, id, QUEUE_RETRY).busy, 1);
    assert_true(kit_serve_one(&w.k)); /* appended, and not yet durable */
    run(&w);
    assert_int_equal(w.job_count, 0);
    assert_int_equal(kit_sync(&w.k), 0);
    run(&w);
    assert_int_equal(w.job_count, 1);
    drain(&w);
    teardown(&w);
}

static unsigned marks_served(const struct world *w)
{
    return (unsigned)w->k.served[SPOOL_OP_MARK];
}

/* No room for the mark: it is tried again each second, no oftener, and nobody tries the message. */
static void test_a_refused_mark_is_kept(void **state)
{
    static const char *const same[] = {"a.example", "a.example", "a.example"};
    struct queue_message m;
    struct world w;
    uint64_t id;

    (void)state;
    setup(&w, usual);
    id = submit(&w, same, 3, small);
    run(&w);
    w.k.no_room_percent = 100;
    finish(&w, 0, RECIPIENT_RELAYED, RECIPIENT_PENDING, "451 later");
    kit_serve(&w.k);
    assert_int_equal(marks_served(&w), 1);
    for (unsigned second = 1; second <= 3600; second++) {
        w.k.now_ms += 1000;
        for (int i = 0; i < 3; i++) {
            assert_true(queue_run(w.k.q) <= w.k.now_ms + 1000);
            kit_serve(&w.k);
        }
        assert_int_equal(marks_served(&w), 1 + second);
    }
    assert_int_equal(w.job_count, 0);
    assert_int_equal(act(&w, id, QUEUE_RETRY).busy, 1);
    assert_int_equal(act(&w, id, QUEUE_REMOVE).busy, 1);
    assert_int_equal(act(&w, id, QUEUE_HOLD).busy, 1);
    assert_false(queue_is_idle(w.k.q));
    w.k.no_room_percent = 0;
    w.k.now_ms += 1000;
    run(&w);
    assert_int_equal(w.job_count, 0); /* posted, and not yet written */
    kit_serve(&w.k);
    assert_true(queue_is_idle(w.k.q));
    assert_int_equal(queue_read_message(w.k.q, id, &m), 0);
    assert_int_equal(m.envelope.recipients[0].state, RECIPIENT_RELAYED);
    assert_int_equal(m.envelope.recipients[1].state, RECIPIENT_PENDING);
    queue_message_done(&m);
    run(&w);
    assert_int_equal(w.job_count, 1);
    drain(&w);
    teardown(&w);
}

/* A mark that only defers is no reason to wait: the next attempt comes at its time. */
static void test_a_refused_deferral_is_forgotten(void **state)
{
    struct world w;

    (void)state;
    setup(&w, usual);
    (void)submit(&w, two, 1, small);
    run(&w);
    w.k.no_room_percent = 100;
    finish(&w, 0, RECIPIENT_PENDING, RECIPIENT_PENDING, "451 later");
    kit_serve(&w.k);
    assert_true(queue_is_idle(w.k.q));
    assert_int_equal(totals(&w).waiting, 1);
    w.k.now_ms += 30 * MINUTE_MS;
    run(&w);
    assert_int_equal(w.job_count, 1);
    w.k.no_room_percent = 0;
    drain(&w);
    teardown(&w);
}

/* A removal that was refused is not looked for in the spool as if it were new mail. */
static void test_a_refused_removal_is_kept(void **state)
{
    struct world w;

    (void)state;
    setup(&w, usual);
    for (int i = 0; i < 200; i++)
        (void)submit(&w, two, 1, small);
    w.k.no_room_percent = 100;
    while (totals(&w).entries > 0) {
        run(&w);
        while (w.job_count)
            finish(&w, 0, RECIPIENT_RELAYED, RECIPIENT_RELAYED, "250 ok");
        kit_serve(&w.k);
    }
    queue_committed(w.k.q, 1, SLICE_LIT("no envelope")); /* it is counted as not filed */
    w.k.now_ms += 5 * MINUTE_MS;
    run(&w);
    kit_serve(&w.k);
    assert_int_equal(totals(&w).entries, 0);
    assert_int_equal(kit_messages(&w.k), 200);
    w.k.no_room_percent = 0;
    w.k.now_ms += 1000;
    for (int i = 0; i < 5; i++) { /* all at once, now that one was taken */
        run(&w);
        kit_serve(&w.k);
    }
    assert_int_equal(kit_messages(&w.k), 0);
    teardown(&w);
}

/* Held and released while there was no room: what is written in the end is what is true. */
static void test_a_refused_hold_is_written_as_it_is_then(void **state)
{
    struct durable durable = {.waiter.fn = note_durable};
    struct world w;
    uint64_t id;

    (void)state;
    setup(&w, usual);
    id = submit(&w, two, 2, small);
    w.k.no_room_percent = 100;
    (void)act(&w, id, QUEUE_HOLD);
    queue_wait_durable(w.k.q, &durable.waiter);
    kit_serve(&w.k);
    assert_int_equal(durable.calls, 1);
    assert_int_equal(durable.result, -ENOSPC);
    w.k.no_room_percent = 0;
    (void)act(&w, id, QUEUE_RELEASE); /* written before the hold, which was posted earlier */
    kit_serve(&w.k);
    w.k.now_ms += 1000;
    run(&w);
    kit_serve(&w.k);
    assert_int_equal(marks_served(&w), 3);
    while (w.job_count)
        finish(&w, 0, RECIPIENT_PENDING, RECIPIENT_PENDING, "451 later");
    kit_close(&w.k);
    kit_reopen(&w.k);
    assert_int_equal(totals(&w).held, 0);
    drain(&w);
    teardown(&w);
}

/* A server that stops writes what it kept at the last moment, or forgets it. */
static void stop_with_a_kept_mark(bool has_room)
{
    static const char *const same[] = {"a.example", "a.example"};
    struct queue_message m;
    struct world w;
    uint64_t id;

    setup(&w, usual);
    id = submit(&w, same, 2, small);
    run(&w);
    w.k.no_room_percent = 100;
    finish(&w, 0, RECIPIENT_RELAYED, RECIPIENT_PENDING, "451 later");
    kit_serve(&w.k);
    w.k.no_room_percent = has_room ? 0 : 100;
    kit_close(&w.k);
    w.k.no_room_percent = 0;
    kit_reopen(&w.k);
    assert_int_equal(queue_read_message(w.k.q, id, &m), 0);
    assert_int_equal(m.envelope.recipients[0].state,
                     has_room ? RECIPIENT_RELAYED : RECIPIENT_PENDING);
    queue_message_done(&m);
    drain(&w);
    teardown(&w);
}

static void test_a_stop_with_a_kept_mark(void **state)
{
    (void)state;
    stop_with_a_kept_mark(true);
    stop_with_a_kept_mark(false);
}

/* Over the bound mail goes on, if twice, rather than being stuck. */
static void test_what_is_kept_is_bounded(void **state)
{
    static const char *domains[1000];
    size_t messages = QUEUE_KEPT_BYTES_MAX / KIB(100) + 20;
    char text[150];
    struct world w;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(domains); i++)
        domains[i] = "a.example";
    memset(text, 'y', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    setup(&w, usual);
    for (size_t i = 0; i < messages; i++)
        (void)submit(&w, domains, ARRAY_SIZE(domains), small);
    w.k.no_room_percent = 100;
    run(&w);
    while (w.job_count) {
        finish(&w, 0, RECIPIENT_RELAYED, RECIPIENT_PENDING, text);
        kit_serve(&w.k);
        run(&w);
    }
    assert_true(w.k.q->kept.bytes <= QUEUE_KEPT_BYTES_MAX);
    assert_true(w.k.q->kept.bytes > QUEUE_KEPT_BYTES_MAX / 10 * 9);
    assert_true(totals(&w).waiting > 0);
    assert_true(totals(&w).active > 0);
    w.k.no_room_percent = 0;
    for (unsigned i = 0; totals(&w).active > 0; i++) {
        assert_true(i < 1000);
        w.k.now_ms += 1000;
        (void)queue_kept_step(w.k.q);
        kit_serve(&w.k);
    }
    assert_int_equal(w.k.q->kept.bytes, 0);
    drain(&w);
    teardown(&w);
}

/* A thousand recipients with a text each, again and again: the spool's room for marks ends, and
 * there is none for the envelope either, for a while. */
static void test_marks_are_folded(void **state)
{
    static const char *domains[1000];
    unsigned refused = 0;
    char text[200];
    struct world w;
    uint64_t id;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(domains); i++)
        domains[i] = "a.example";
    memset(text, 'y', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    setup(&w, "server: {hostname: test.example}\n"
              "retry: {initial_retry: 1m, next_retry: \"1m\", max_queue_time: 10d}\n");
    id = submit(&w, domains, ARRAY_SIZE(domains), small);
    for (int round = 0; round < 25; round++) {
        struct queue_message m;
        size_t pending = 0;

        for (int i = 0; w.job_count == 0; i++) {
            run(&w);
            kit_serve(&w.k);
            w.k.now_ms += MINUTE_MS;
            assert_true(i < 10);
        }
        finish(&w, 0, RECIPIENT_RELAYED, RECIPIENT_PENDING, text);
        assert_true(kit_serve_one(&w.k)); /* the mark */
        w.k.no_room_percent = 100;
        kit_serve(&w.k);
        if (queue_has_kept(w.k.q)) {
            refused++;
            assert_int_equal(totals(&w).active, 1);
            w.k.no_room_percent = 0;
            w.k.now_ms += 1000;
            (void)queue_kept_step(w.k.q);
            kit_serve(&w.k);
        }
        w.k.no_room_percent = 0;
        assert_false(queue_has_kept(w.k.q));
        assert_int_equal(queue_read_message(w.k.q, id, &m), 0);
        for (size_t i = 0; i < m.envelope.recipient_count; i++)
            pending += m.envelope.recipients[i].state == RECIPIENT_PENDING;
        assert_int_equal(pending, ARRAY_SIZE(domains) - (size_t)round - 1);
        queue_message_done(&m);
    }
    assert_true(refused > 0);
    assert_int_equal(w.k.served[SPOOL_OP_REWRITE], 2 * refused);
    drain(&w);
    teardown(&w);
}

static void deliver_until(struct world *w, uint64_t messages)
{
    for (unsigned i = 0; kit_messages(&w->k) > messages; i++) {
        run(w);
        while (w->job_count)
            finish(w, 0, RECIPIENT_RELAYED, RECIPIENT_RELAYED, "250 ok");
        kit_serve(&w->k);
        w->k.now_ms += MINUTE_MS;
        assert_true(i < 100);
    }
}

/* A spool with more than the schedule may hold is no reason not to start, and nothing is
 * forgotten. */
static void test_more_than_the_schedule_holds(void **state)
{
    struct queue_figures figures;
    struct world w;

    (void)state;
    setup(&w, usual);
    for (int i = 0; i < 20; i++)
        (void)submit(&w, two, 1, small);
    queue_free(&w.k.q);
    w.k.settings.schedule.entries_max = 8;
    assert_int_equal(queue_new(&w.k.q, &w.k.settings, w.k.sp, &w.k.rand, &w.k.seams), 0);
    assert_int_equal(queue_load(w.k.q), 0);
    assert_int_equal(totals(&w).entries, 8);
    assert_true(queue_is_full(w.k.q));
    queue_get_figures(w.k.q, &figures);
    assert_int_equal(figures.unfiled, 12);
    deliver_until(&w, 0);
    assert_false(queue_is_full(w.k.q));
    teardown(&w);
}

/*
 * A destination that cannot be reached tries one entry at a time: the others grow old as well.
 * While warnings are paused nobody is told that mail is late; afterwards everybody is, once.
 */
static void grow_old(int pause_from, int pause_until)
{
    struct world w;

    setup(&w, usual);
    for (int i = 0; i < 40; i++)
        (void)submit(&w, two, 1, small);
    for (int minute = 0; minute < 140; minute++) {
        if (minute == pause_from)
            queue_pause_warnings(w.k.q, true);
        if (minute == pause_until)
            queue_pause_warnings(w.k.q, false);
        run(&w);
        while (w.job_count) {
            struct job *job = w.jobs[0];
            uint32_t count = job->count;

            if (strcmp(job->name, "back.example") == 0) {
                finish(&w, 0, RECIPIENT_RELAYED, RECIPIENT_RELAYED, "250 ok");
                continue;
            }
            job->destination_failed = true;
            finish(&w, 0, RECIPIENT_PENDING, RECIPIENT_PENDING, "connection refused");
            for (uint32_t i = 1; i < count; i++) {
                job->entries[i].outcome = ATTEMPT_NOT_MADE;
                if (i + 1 == count)
                    w.jobs[0] = w.jobs[--w.job_count];
                queue_entry_finished(&job->entries[i].parcel, NULL);
            }
        }
        kit_serve(&w.k);
        if (minute + 1 == pause_until)
            assert_int_equal(w.reports, 0);
        if (minute == 110)
            assert_int_equal(w.reports, 40); /* each is late, and told so once */
        w.k.now_ms += MINUTE_MS;
    }
    assert_int_equal(w.reports, 80);
    drain(&w);
    teardown(&w);
}

static void test_age_without_attempts(void **state)
{
    (void)state;
    grow_old(-1, -1);
    grow_old(30, 100);
}

static void note_change(void *ctx)
{
    *(bool *)ctx = true;
}

/* A message that was durable when everything was filed anew is told of only after that: until then
 * it is not touched, or it would be delivered, forgotten, and then filed and delivered once more. */
static void test_filed_once_around_a_reload(void **state)
{
    struct envelope e = {.recipient_count = 1};
    struct recipient recipient = {.address = SLICE_LIT("r@a.example")};
    struct buf encoded = BUF_INIT(SPOOL_ENVELOPE_MAX);
    struct queue_settings settings;
    const struct config *next =
        kit_config("server: {hostname: test.example}\n"
                   "delivery: {routes: [{domain: a.example, to: \"smtp:hub.example:25\"}]}\n");
    bool has_changed = false;
    struct world w;
    uint64_t id;

    (void)state;
    setup(&w, usual);
    (void)submit(&w, two, 2, small);
    run(&w);
    settings = kit_settings(next);
    assert_int_equal(queue_change_settings(w.k.q, &settings, note_change, &has_changed), 0);
    assert_false(has_changed);
    e.recipients = &recipient;
    id = kit_submit_unfiled(&w.k, &e, small, &encoded);
    while (w.job_count)
        finish(&w, 0, RECIPIENT_RELAYED, RECIPIENT_RELAYED, "250 ok");
    kit_serve(&w.k);
    run(&w);
    assert_true(has_changed);
    assert_int_equal(schedule_find(queue_schedule(w.k.q), id, NULL, 0), 0);
    queue_committed(w.k.q, id, buf_slice(&encoded));
    assert_int_equal(schedule_find(queue_schedule(w.k.q), id, NULL, 0), 1);
    drain(&w);
    buf_done(&encoded);
    teardown(&w);
    config_unref(&next);
}

/* What came and found no room is looked for in the spool, across a reload too; what is on its way is
 * not, however often there is a look. */
static void test_only_what_came_is_looked_for(void **state)
{
    struct envelope e = {.recipient_count = 1};
    struct recipient recipient = {.address = SLICE_LIT("r@a.example")};
    struct buf encoded = BUF_INIT(SPOOL_ENVELOPE_MAX);
    struct queue_settings settings;
    const struct config *next =
        kit_config("server: {hostname: test.example}\n"
                   "delivery: {routes: [{domain: a.example, to: \"smtp:hub.example:25\"}]}\n");
    bool has_changed = false;
    struct queue_figures figures;
    struct world w;
    uint64_t id;

    (void)state;
    setup(&w, usual);
    queue_free(&w.k.q);
    w.k.settings.schedule.entries_max = 8;
    assert_int_equal(queue_new(&w.k.q, &w.k.settings, w.k.sp, &w.k.rand, &w.k.seams), 0);
    assert_int_equal(queue_load(w.k.q), 0);
    for (int i = 0; i < 14; i++)
        (void)submit(&w, two, 1, small);
    queue_get_figures(w.k.q, &figures);
    assert_int_equal(figures.unfiled, 6);
    e.recipients = &recipient;
    id = kit_submit_unfiled(&w.k, &e, small, &encoded);
    settings = kit_settings(next);
    settings.schedule.entries_max = 4;
    assert_int_equal(queue_change_settings(w.k.q, &settings, note_change, &has_changed), 0);
    deliver_until(&w, 1);
    assert_true(has_changed);
    run(&w);
    assert_false(queue_is_full(w.k.q));
    assert_int_equal(schedule_find(queue_schedule(w.k.q), id, NULL, 0), 0);
    queue_committed(w.k.q, id, buf_slice(&encoded));
    deliver_until(&w, 0);
    buf_done(&encoded);
    teardown(&w);
    config_unref(&next);
}

/* Reports of several extents, and one that fails after some were written: all is given back. */
static void test_a_large_report_fails_half_way(void **state)
{
    size_t size = 600000;
    uint8_t *body = malloc(size);
    struct spool_stat st;
    struct world w;
    uint64_t live;

    (void)state;
    assert_non_null(body);
    for (size_t i = 0; i < size; i++)
        body[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'z';
    setup(&w, "server: {hostname: test.example}\nbounce: {return_size_max: 50MiB}\n");
    (void)submit(&w, two, 1, slice_make(body, size));
    run(&w);
    spool_get_stat(w.k.sp, &st);
    live = st.live_bytes;
    finish(&w, 0, RECIPIENT_FAILED, RECIPIENT_FAILED, "550 no");
    for (int i = 0; i < 4; i++)
        assert_true(kit_serve_one(&w.k));
    w.k.commit_failures_percent = 100;
    kit_serve(&w.k);
    w.k.commit_failures_percent = 0;
    assert_int_equal(w.k.served[SPOOL_OP_ABORT], 1);
    assert_int_equal(w.reports, 0);
    spool_get_stat(w.k.sp, &st);
    assert_int_equal(st.reserved_bytes, 0);
    assert_true(st.live_bytes < live + 1000);
    w.k.now_ms += 30 * MINUTE_MS;
    run(&w);
    finish(&w, 0, RECIPIENT_FAILED, RECIPIENT_FAILED, "550 no");
    kit_serve(&w.k);
    assert_int_equal(w.reports, 1);
    drain(&w);
    free(body);
    teardown(&w);
}

static void test_unknown_gone_and_damaged(void **state)
{
    static const enum attempt_outcome outcomes[] = {ATTEMPT_UNKNOWN, ATTEMPT_NOT_MADE, ATTEMPT_GONE,
                                                    ATTEMPT_DAMAGED};
    struct world w;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
        struct job *job;

        setup(&w, usual);
        (void)submit(&w, two, 1, small);
        run(&w);
        job = w.jobs[0];
        w.job_count = 0;
        job->entries[0].outcome = outcomes[i];
        queue_entry_finished(&job->entries[0].parcel, NULL);
        kit_serve(&w.k);
        assert_int_equal(totals(&w).waiting, outcomes[i] == ATTEMPT_UNKNOWN);
        /* Not made: at once with the next worker. */
        assert_int_equal(w.job_count, outcomes[i] == ATTEMPT_NOT_MADE);
        assert_int_equal(w.k.served[SPOOL_OP_SET_ASIDE], outcomes[i] == ATTEMPT_DAMAGED);
        if (outcomes[i] == ATTEMPT_GONE) { /* said so though it is there: a restart finds it */
            kit_close(&w.k);
            kit_reopen(&w.k);
        }
        drain(&w);
        teardown(&w);
    }
}

static unsigned lines_with(const char *folder, const char *what)
{
    char path[200], line[4096];
    unsigned count = 0;
    glob_t g;

    event_flush();
    (void)snprintf(path, sizeof(path), "%s/tracking/*", folder);
    if (glob(path, 0, NULL, &g) != 0) /* no line yet, no file */
        return 0;
    for (size_t i = 0; i < g.gl_pathc; i++) {
        FILE *f = fopen(g.gl_pathv[i], "r");

        assert_non_null(f);
        while (fgets(line, sizeof(line), f))
            count += strstr(line, what) != NULL;
        (void)fclose(f);
    }
    globfree(&g);
    return count;
}

static void remove_folder(const char *folder)
{
    char path[200];
    glob_t g;

    (void)snprintf(path, sizeof(path), "%s/tracking/*", folder);
    assert_int_equal(glob(path, 0, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++)
        assert_int_equal(unlink(g.gl_pathv[i]), 0);
    globfree(&g);
    (void)snprintf(path, sizeof(path), "%s/tracking", folder);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* Its end is tried again as long as the report of it cannot be stored, and told once. */
static void test_an_end_is_tracked_once(void **state)
{
    char folder[] = "/tmp/penstock-queue-XXXXXX";
    struct event_config ec = {.target = EVENT_TO_FD, .fd = STDERR_FILENO, .level = EVENT_NOTHING};
    struct record_config rc = {.is_on = {[RECORD_TRACKING] = true},
                               .file_max_bytes = MIB(1),
                               .folder_max_bytes = MIB(10),
                               .age_max_s = 86400};
    const char *failed_path;
    struct world w;

    (void)state;
    rc.directory = mkdtemp(folder);
    assert_non_null(rc.directory);
    assert_int_equal(event_start(&ec), 0);
    assert_int_equal(record_set_config(&rc, &failed_path), 0);
    setup(&w, usual);
    (void)submit(&w, two, 1, small);
    w.k.now_ms += INT64_C(30) * 24 * 60 * MINUTE_MS;
    for (int i = 0; i < 4; i++) {
        for (int minute = 0; w.job_count == 0; minute++) {
            run(&w);
            kit_serve(&w.k);
            w.k.now_ms += MINUTE_MS;
            assert_true(minute < 1000);
        }
        w.k.commit_failures_percent = i < 3 ? 100 : 0;
        finish(&w, 0, RECIPIENT_PENDING, RECIPIENT_PENDING, "451 later");
        kit_serve(&w.k);
        assert_int_equal(lines_with(folder, ",QUEUE,FAIL,"), i == 3);
    }
    drain(&w);
    assert_int_equal(lines_with(folder, ",QUEUE,FAIL,"), 1);
    teardown(&w);
    event_stop();
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hold_is_for_the_whole_message),
        cmocka_unit_test(test_an_action_is_waited_for),
        cmocka_unit_test(test_an_action_ends_an_entry_once),
        cmocka_unit_test(test_a_bounce_that_cannot_be_reported),
        cmocka_unit_test(test_a_mark_is_waited_for),
        cmocka_unit_test(test_a_refused_mark_is_kept),
        cmocka_unit_test(test_a_refused_deferral_is_forgotten),
        cmocka_unit_test(test_a_refused_removal_is_kept),
        cmocka_unit_test(test_a_refused_hold_is_written_as_it_is_then),
        cmocka_unit_test(test_a_stop_with_a_kept_mark),
        cmocka_unit_test(test_what_is_kept_is_bounded),
        cmocka_unit_test(test_marks_are_folded),
        cmocka_unit_test(test_more_than_the_schedule_holds),
        cmocka_unit_test(test_age_without_attempts),
        cmocka_unit_test(test_filed_once_around_a_reload),
        cmocka_unit_test(test_only_what_came_is_looked_for),
        cmocka_unit_test(test_an_end_is_tracked_once),
        cmocka_unit_test(test_a_large_report_fails_half_way),
        cmocka_unit_test(test_unknown_gone_and_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
