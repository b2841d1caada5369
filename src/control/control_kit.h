/*
 * control/control_kit.h - for tests: a queue, schedule and spool in the place of control's lower
 * layers, and the seams. For one .c only: it defines the functions that control calls.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "control/control.h"
#include "control/json_out.h"
#include "control/pressure_kit.h"
#include "deliver/queue.h"
#include "schedule/lanes.h"

#define NOW 1790000000000
#define ENTRIES 2500
#define DESTINATIONS 300
#define BODY_BYTES 300000

/* ---- a queue of ENTRIES messages with ids from 1; every tenth is held ---- */

struct queue {
    struct queue_filter filter; /* of the last call */
    enum queue_action action;
    uint64_t acted;
    bool body_breaks;
    struct queue_waiter *waiters[32]; /* while the disk is slow */
    size_t waiter_count;
    bool is_slow;
    int durable_result;
};
static struct queue queue;

static bool entry_matches(const struct queue_filter *f, uint64_t id)
{
    return (f->id == 0 || f->id == id) && (!f->held_only || id % 10 == 0);
}

static void fill_envelope(struct envelope *e, struct recipient recipients[static 2])
{
    recipients[0] = (struct recipient){.address = SLICE_LIT("b@example.org"),
                                       .notify = NOTIFY_FAILURE | NOTIFY_DELAY,
                                       .attempts = 2,
                                       .last_code = 452,
                                       .last_attempt_ms = NOW - 60000,
                                       .next_attempt_ms = NOW + 60000,
                                       .last_text = SLICE_LIT("4.3.1 \xff no room\nleft")};
    recipients[1] = (struct recipient){.address = SLICE_LIT("c@example.net"),
                                       .state = RECIPIENT_DELIVERED,
                                       .attempts = 1,
                                       .last_code = 250,
                                       .last_attempt_ms = NOW - 90000};
    *e = (struct envelope){.sender = SLICE_LIT("a@example.com"),
                           .flags = ENVELOPE_8BITMIME | ENVELOPE_TLS,
                           .arrival_ms = NOW - 100000,
                           .body_bytes = BODY_BYTES,
                           .client_ip = SLICE_LIT("192.0.2.1"),
                           .recipients = recipients,
                           .recipient_count = 2};
}

bool queue_list(struct queue *q, const struct queue_filter *filter, bool details, size_t limit,
                uint32_t *cursor, bool (*fn)(void *ctx, const struct queue_item *item), void *ctx)
{
    struct recipient recipients[2];
    struct envelope envelope;

    q->filter = *filter;
    fill_envelope(&envelope, recipients);
    for (size_t matched = 0; *cursor < ENTRIES && matched < limit;) {
        uint64_t id = ++*cursor;
        struct queue_item item = {.id = id,
                                  .destination = SLICE_LIT("example.org"),
                                  .state = id % 10 == 0 ? "held" : "deferred",
                                  .arrival_ms = NOW - 100000,
                                  .due_ms = id % 10 == 0 ? SCHEDULE_NEVER : NOW + 1,
                                  .envelope = details ? &envelope : NULL};

        if (!entry_matches(filter, id))
            continue;
        matched++;
        if (!fn(ctx, &item))
            break;
    }
    return *cursor < ENTRIES;
}

bool queue_act(struct queue *q, const struct queue_filter *filter, enum queue_action action,
               uint32_t *cursor, struct queue_action_result *ret)
{
    q->filter = *filter;
    q->action = action;
    *ret = (struct queue_action_result){0};
    for (int scanned = 0; *cursor < ENTRIES && scanned < 1000; scanned++)
        if (entry_matches(filter, ++*cursor)) {
            ret->matched++;
            ret->done++;
        }
    q->acted += ret->done;
    return *cursor < ENTRIES;
}

void queue_wait_durable(struct queue *q, struct queue_waiter *w)
{
    if (!q->is_slow) {
        w->fn(w, q->durable_result);
        return;
    }
    assert_true(q->waiter_count < ARRAY_SIZE(q->waiters));
    q->waiters[q->waiter_count++] = w;
}

void queue_wait_cancel(struct queue_waiter *w)
{
    for (size_t i = 0; i < queue.waiter_count; i++)
        if (queue.waiters[i] == w)
            queue.waiters[i] = queue.waiters[--queue.waiter_count];
}

/* ---- a suppression list of one address ---- */

static struct {
    bool is_missing, is_listed;
    int result, waited_result;
    unsigned waits;
} suppressed;

bool queue_has_suppressions(const struct queue *q)
{
    (void)q;
    return !suppressed.is_missing;
}

int queue_suppress(struct queue *q, struct suppression *s, enum suppressions_added *ret)
{
    (void)q;
    *ret = !suppressed.is_listed                              ? SUPPRESSIONS_ADDED
           : suppression_get(s)->kind == SUPPRESSION_OPERATOR ? SUPPRESSIONS_REPLACED
                                                              : SUPPRESSIONS_ALREADY;
    suppressed.is_listed |= suppressed.result == 0;
    return suppressed.result;
}

int queue_unsuppress(struct queue *q, struct slice address)
{
    bool was = suppressed.is_listed;

    (void)q;
    assert_true(address.len > 0);
    suppressed.is_listed = false;
    return was ? 0 : -ENOENT;
}

void queue_wait_suppressions(struct queue *q, struct queue_waiter *w)
{
    (void)q;
    suppressed.waits++;
    list_init(&w->node);
    w->fn(w, suppressed.waited_result);
}

int queue_read_message(struct queue *q, uint64_t id, struct queue_message *ret)
{
    const struct mark_result results[] = {
        {.recipient = 0, .code = 452, .text = SLICE_LIT("4.3.1 no")},
        {.recipient = 1, .code = 452, .text = SLICE_LIT("4.3.1 no")},
        {.recipient = 9, .code = 0, .text = SLICE_LIT("")}, /* of no recipient: damaged */
    };
    const struct mark mark = {.kind = MARK_ATTEMPT,
                              .at_ms = NOW - 5,
                              .next_attempt_ms = NOW + 5,
                              .results = results,
                              .result_count = ARRAY_SIZE(results)};
    struct buf one = BUF_INIT(1000);

    (void)q;
    if (id > ENTRIES)
        return -ENOENT;
    ret->id = id;
    buf_init(&ret->envelope_bytes, 100);
    buf_init(&ret->marks, 1000);
    fill_envelope(&ret->envelope, calloc(2, sizeof(struct recipient)));
    assert_int_equal(mark_encode(&mark, &one), 0);
    assert_int_equal(buf_add_u32(&ret->marks, (uint32_t)buf_len(&one)), 0);
    assert_int_equal(buf_add(&ret->marks, buf_slice(&one)), 0);
    buf_done(&one);
    return 0;
}

void queue_message_done(struct queue_message *m)
{
    free(m->envelope.recipients);
    buf_done(&m->marks);
}

const struct schedule *queue_schedule(const struct queue *q)
{
    (void)q;
    return NULL;
}

struct spool *queue_spool(const struct queue *q)
{
    (void)q;
    return NULL;
}

void queue_get_figures(const struct queue *q, struct queue_figures *ret)
{
    (void)q;
    *ret = (struct queue_figures){.jobs = 3};
}

void schedule_get_totals(const struct schedule *s, struct schedule_totals *ret)
{
    (void)s;
    *ret = (struct schedule_totals){.entries = ENTRIES, .held = ENTRIES / 10};
}

bool schedule_next_destination(const struct schedule *s, uint32_t *it,
                               struct schedule_destination *ret)
{
    (void)s;
    if (*it >= DESTINATIONS)
        return false;
    *ret = (struct schedule_destination){.name = SLICE_LIT("example.org"),
                                         .entries = *it % 2, /* every other one is empty */
                                         .oldest_arrival_ms = NOW - 7,
                                         .next_due_ms = SCHEDULE_NEVER};
    ++*it;
    return true;
}

/* ---- one lane, "big/out 1"; what it says is lane_answers_test.c's ---- */

struct lanes {
    struct throttle throttle;
    struct window window;
    struct times times;
    bool paused;
    uint32_t limit;
};
static struct lanes lanes, *played_lanes; /* NULL: this server has none */

static int lanes_kept;

struct lanes *queue_lanes(const struct queue *q)
{
    (void)q;
    return played_lanes;
}

void queue_keep_lanes(struct queue *q)
{
    (void)q;
    lanes_kept++;
}

bool lanes_get(const struct lanes *l, struct slice name, struct lane_view *ret)
{
    if (!slice_eq(name, SLICE_LIT("big/out 1")))
        return false;
    *ret = (struct lane_view){.name = SLICE_LIT("big/out 1"),
                              .throttle = &l->throttle,
                              .window = &l->window,
                              .delivery_times = &l->times,
                              .paused = l->paused,
                              .limit = l->limit};
    return true;
}

bool lanes_next(const struct lanes *l, uint32_t *it, struct lane_view *ret)
{
    return (*it)++ == 0 && lanes_get(l, SLICE_LIT("big/out 1"), ret);
}

const struct incident *lanes_incident(const struct lanes *l, uint64_t id)
{
    (void)l;
    (void)id;
    return NULL;
}

int lanes_pause(struct lanes *l, struct slice lane, bool paused, int64_t now_ms)
{
    assert_int_equal(now_ms, NOW);
    if (!slice_eq(lane, SLICE_LIT("big/out 1")))
        return -ENOENT;
    l->paused = paused;
    return 0;
}

int lanes_limit(struct lanes *l, struct slice lane, uint32_t connections, int64_t now_ms)
{
    assert_int_equal(now_ms, NOW);
    if (!slice_eq(lane, SLICE_LIT("big/out 1")))
        return -ENOENT;
    if (connections == 99)
        return -ENOMEM;
    l->limit = connections;
    return 0;
}

static bool spool_failed;

size_t spool_get_directories(struct spool *sp,
                             struct spool_directory_stat ret[static SPOOL_DIRECTORIES_MAX])
{
    (void)sp;
    ret[0] = (struct spool_directory_stat){.path = "./s", .segments = 2, .file_bytes = MIB(2)};
    ret[1] = (struct spool_directory_stat){.path = "/disk2", .draining = true, .segments = 1};
    return 2;
}

void spool_get_stat(struct spool *sp, struct spool_stat *ret)
{
    (void)sp;
    *ret = (struct spool_stat){.messages = ENTRIES, .free_bytes = 12345, .failed = spool_failed};
}

static int readers;

int spool_read(struct spool *sp, uint64_t id, bool nowait, struct spool_reader *ret,
               struct buf *ret_envelope, struct buf *ret_marks)
{
    assert_false(nowait);
    assert_null(ret_envelope);
    assert_null(ret_marks);
    if (id > ENTRIES)
        return -ENOENT;
    *ret = (struct spool_reader){.sp = sp, .id = id, .body_bytes = BODY_BYTES};
    readers++;
    return 0;
}

ptrdiff_t spool_read_body(struct spool_reader *r, bool nowait, void *to, size_t size)
{
    size_t n = MIN_OF(size, (size_t)(r->body_bytes - r->at));

    (void)nowait;
    if (queue.body_breaks && r->at > BODY_BYTES / 2)
        return -EIO;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)to)[i] = (uint8_t)((r->at + i) % 251);
    r->at += (uint32_t)n;
    return (ptrdiff_t)n;
}

void spool_read_done(struct spool_reader *r)
{
    (void)r;
    readers--;
}

/* ---- the seams ---- */

static unsigned changes, reloads;
static bool reload_fails;

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return NOW;
}

static int reload(void *ctx, struct buf *why)
{
    (void)ctx;
    reloads++;
    if (!reload_fails)
        return 0;
    (void)buf_add_str(why, "penstock.yaml:3:1: key 'x' is not known");
    return -EINVAL;
}

static void queue_changed(void *ctx)
{
    (void)ctx;
    changes++;
}

static void add_status(void *ctx, struct json_out *j)
{
    (void)ctx;
    json_out_str(j, "version", "test");
}

static bool stops;

static bool is_stopping(void *ctx)
{
    (void)ctx;
    return stops;
}

static struct pressure governed;

static const struct control_seams seams = {.queue = &queue,
                                           .pressure = &governed,
                                           .wall_ms = wall_ms,
                                           .reload = reload,
                                           .queue_changed = queue_changed,
                                           .add_status = add_status,
                                           .is_stopping = is_stopping};
