/*
 * deliver/queue_kit.h - what tests of the queue manager share: messages by domain, and a worker that
 * is the test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "deliver/deliver_kit.h"

#define JOBS_MAX 64
#define MINUTE_MS 60000

struct world {
    struct kit k; /* first: dispatch() gets it */
    struct job *jobs[JOBS_MAX];
    size_t job_count;
    unsigned reports;
};

static struct world *world; /* for on_report(), which gets the kit */

static inline void dispatch(void *ctx, struct job *job)
{
    struct world *w = ctx;

    assert_true(w->job_count < JOBS_MAX);
    w->jobs[w->job_count++] = job;
}

static inline void on_report(struct kit *k, uint64_t id)
{
    (void)k;
    (void)id;
    world->reports++;
}

static const char usual[] =
    "server: {hostname: test.example}\n"
    "retry: {initial_retry: 10m, next_retry: \"10m\", jitter: 0%, max_queue_time: 2h,"
    " delay_warning: 1h}\n";

static inline void setup(struct world *w, const char *config)
{
    *w = (struct world){.job_count = 0};
    world = w;
    kit_init(&w->k, 1, kit_config(config), dispatch);
    w->k.on_commit = on_report;
}

/* A message with one recipient in each of the domains. */
static inline uint64_t submit(struct world *w, const char *const *domains, size_t count,
                              struct slice body)
{
    static char texts[1000][40];
    static struct recipient recipients[1000];
    struct envelope e = {
        .sender = SLICE_LIT("s@back.example"), .recipients = recipients, .recipient_count = count};

    for (size_t i = 0; i < count; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "r%zu@%s", i, domains[i]);
        recipients[i] = (struct recipient){.address = slice_str(texts[i])};
    }
    return kit_submit(&w->k, &e, body);
}

static const char *const two[] = {"a.example", "b.example"};
static const struct slice small = {(const uint8_t *)"x\r\n", 3};

/* Ends the next entry of the job at `index` with one state for all its recipients; `first` for the
 * first of them. */
static inline void finish(struct world *w, size_t index, enum recipient_state first,
                          enum recipient_state others, const char *text)
{
    struct job *job = w->jobs[index];
    struct job_entry *entry = &job->entries[job->returned];
    struct queue_message m;
    bool is_mixed = false;
    size_t done = 0;
    char line[300];

    assert_int_equal(queue_read_message(w->k.q, entry->id, &m), 0);
    entry->details = attempt_details_new(m.envelope.recipient_count);
    for (size_t i = 0; i < m.envelope.recipient_count; i++) {
        enum recipient_state state = done ? others : first;

        if (!queue_is_of_entry(w->k.q, &m.envelope.recipients[i], slice_str(job->name)))
            continue;
        done++;
        is_mixed |= state == RECIPIENT_PENDING || state == RECIPIENT_FAILED;
        (void)snprintf(line, sizeof(line), "%zu %s", i, text);
        attempt_add(entry->details, (uint32_t)i, state, 451, slice_str(line));
    }
    assert_true(done > 0);
    queue_message_done(&m);
    entry->outcome = is_mixed ? ATTEMPT_MIXED : ATTEMPT_DELIVERED;
    if (job->returned + 1 == job->count)
        w->jobs[index] = w->jobs[--w->job_count];
    entry->parcel.deliver(&entry->parcel, NULL);
}

static inline struct queue_action_result act(struct world *w, uint64_t id, enum queue_action action)
{
    const struct queue_filter f = {.id = id};
    struct queue_action_result result;
    uint32_t cursor = 0;

    assert_false(queue_act(w->k.q, &f, action, &cursor, &result));
    return result;
}

static inline struct schedule_totals totals(struct world *w)
{
    struct schedule_totals t;

    schedule_get_totals(queue_schedule(w->k.q), &t);
    return t;
}

static inline void run(struct world *w)
{
    (void)queue_run(w->k.q);
}

/* Everything that waits is delivered; then nothing is left. */
static inline void drain(struct world *w)
{
    for (unsigned i = 0; totals(w).entries > 0; i++) {
        assert_true(i < 1000);
        run(w);
        while (w->job_count)
            finish(w, 0, RECIPIENT_RELAYED, RECIPIENT_RELAYED, "250 ok");
        kit_serve(&w->k);
        w->k.now_ms += MINUTE_MS;
    }
    assert_int_equal(kit_messages(&w->k), 0);
}

static inline void teardown(struct world *w)
{
    struct spool_stat st;

    spool_get_stat(w->k.sp, &st);
    assert_int_equal(st.reserved_bytes, 0);
    kit_done(&w->k);
}
