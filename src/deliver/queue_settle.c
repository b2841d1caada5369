/*
 * deliver/queue_settle.c - what an attempt, the operator or time did to an entry: recorded, and
 * the entry goes on or ends.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "deliver/queue_int.h"
#include "event/delivery.h"

struct attempt_details *attempt_details_new(size_t count)
{
    struct attempt_details *d;
    size_t each = MIN_OF(ENVELOPE_TEXT_MAX, ATTEMPT_TEXT_TOTAL_MAX / MAX_OF(count, 1));

    ASSERT(count <= ENVELOPE_RECIPIENTS_MAX);
    d = calloc(1, sizeof(*d) + count * (sizeof(d->results[0]) + each));
    if (!d)
        return NULL;
    d->room = count;
    d->text = (char *)(d->results + count);
    d->text_each_max = each;
    return d;
}

void attempt_add(struct attempt_details *d, uint32_t recipient, enum recipient_state state,
                 uint16_t code, struct slice text)
{
    struct mark_result *last = d->count ? &d->results[d->count - 1] : NULL;

    ASSERT(d->count < d->room);
    text = slice_sub(text, 0, d->text_each_max);
    if (last && slice_eq(last->text, text)) {
        text = last->text; /* the same reply for many recipients is kept once */
    } else if (text.len) {
        memcpy(d->text + d->text_len, text.ptr, text.len);
        text.ptr = (const uint8_t *)d->text + d->text_len;
        d->text_len += text.len;
    }
    d->results[d->count++] = (struct mark_result){
        .recipient = recipient, .state = (uint8_t)state, .code = code, .text = text};
}

void attempt_details_free(struct attempt_details **d)
{
    free(*d);
    *d = NULL;
}

bool details_any(const struct attempt_details *d, enum recipient_state state)
{
    for (size_t i = 0; d && i < d->count; i++)
        if (d->results[i].state == state)
            return true;
    return false;
}

static bool details_settle_any(const struct attempt_details *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->results[i].state != RECIPIENT_PENDING)
            return true;
    return false;
}

void settlement_init(struct settlement *s, struct queue *q, entry_ref ref, uint64_t id)
{
    *s = (struct settlement){.queue = q,
                             .ref = ref,
                             .id = id,
                             .now_ms = queue_now(q),
                             .delayed = BUF_INIT(ENVELOPE_RECIPIENTS_MAX * sizeof(uint32_t))};
}

void settlement_free(struct settlement *s)
{
    attempt_details_free(&s->details);
    delivery_release(&s->held, 0);
    buf_done(&s->delayed);
    free(s);
}

#define DELAYED_EACH 64 /* recipients in a mark */

static void post_mark(struct settlement *s, enum mark_kind kind, int64_t next_ms,
                      const struct mark_result *results, size_t count, entry_ref claimed)
{
    struct mark m = {.kind = kind,
                     .at_ms = s->now_ms,
                     .next_attempt_ms = next_ms,
                     .results = results,
                     .result_count = count};

    queue_post_mark(s->queue, s->id, &m, claimed);
}

/* How many post_delay_marks() posts. */
static uint32_t delay_mark_count(const struct settlement *s)
{
    size_t recipients = buf_len(&s->delayed) / sizeof(uint32_t);

    return (uint32_t)((recipients + DELAYED_EACH - 1) / DELAYED_EACH);
}

static void post_delay_marks(struct settlement *s, entry_ref claimed)
{
    struct cursor c = cursor_make(buf_slice(&s->delayed));
    struct mark_result results[DELAYED_EACH];
    size_t n = 0;

    while (!cursor_at_end(&c)) {
        results[n++] = (struct mark_result){.recipient = cursor_u32(&c)};
        if (n == ARRAY_SIZE(results) || cursor_at_end(&c)) {
            post_mark(s, MARK_DELAY_DSN, 0, results, n, claimed);
            n = 0;
        }
    }
}

/* One entry of the message less. True: it was the last. */
static bool leave_message(struct queue *q, uint64_t id)
{
    struct shared_message *m = queue_find_shared(q, id);

    if (m && --m->entries > 0)
        return false;
    if (m)
        free(map_remove(&q->shared, slice_str(m->key)));
    return true;
}

/* The entry's recipients are all settled: the message ends with its last entry. */
static void end_entry(struct settlement *s)
{
    struct queue *q = s->queue;

    if (leave_message(q, s->id))
        queue_post_removal(q, s->id);
    else if (s->details)
        post_mark(s, MARK_ATTEMPT, 0, s->details->results, s->details->count, ENTRY_NONE);
    if (s->is_claimed) { /* which tells nothing of the destination's health */
        schedule_unclaim(q->schedule, s->ref, true);
        ignore_result(schedule_cancel(q->schedule, s->ref));
    } else {
        schedule_done(q->schedule, s->ref);
    }
}

/*
 * The entry waits for its next attempt. Where more is known of its recipients than that they are
 * deferred, nobody may read them as before, so it stays active till the last mark is written.
 */
static void retry_entry(struct settlement *s)
{
    struct queue *q = s->queue;
    int64_t due = schedule_retry(q->schedule, s->ref, s->now_ms);
    bool late = buf_len(&s->delayed) > 0;
    entry_ref claimed = ENTRY_NONE;

    delivery_release(&s->held, due);
    if ((late || details_settle_any(s->details)) && schedule_claim(q->schedule, s->ref) == 0) {
        if (queue_share_claim(q, s->ref, 1 + delay_mark_count(s)))
            claimed = s->ref;
        else
            schedule_unclaim(q->schedule, s->ref, false);
    }
    post_mark(s, MARK_ATTEMPT, due, s->details->results, s->details->count, claimed);
    post_delay_marks(s, claimed);
}

/* No attempt was made: it waits, or is held, as before. */
static void let_go(struct settlement *s)
{
    uint32_t marks = delay_mark_count(s);

    if (marks > 0 && queue_share_claim(s->queue, s->ref, marks)) {
        post_delay_marks(s, s->ref);
        return;
    }
    post_delay_marks(s, ENTRY_NONE);
    schedule_unclaim(s->queue->schedule, s->ref, s->was_held);
}

/* Of a claimed entry some recipients are settled, and others were not touched: it waits as before,
 * once nobody can read those as pending any more. */
static void go_on_with_others(struct settlement *s)
{
    post_mark(s, MARK_ATTEMPT, 0, s->details->results, s->details->count, s->ref);
}

void queue_settle(struct settlement *s)
{
    if (s->is_suppression)
        queue_suppress_tell(s);
    if (s->goes_on)
        go_on_with_others(s);
    else if (!details_any(s->details, RECIPIENT_PENDING))
        end_entry(s);
    else if (s->is_claimed)
        let_go(s);
    else
        retry_entry(s);
    settlement_free(s);
}

/* What was delivered stays so; who failed without a report is pending again. */
static void unlearn_failures(struct attempt_details *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->results[i].state == RECIPIENT_FAILED)
            d->results[i].state = RECIPIENT_PENDING;
}

void queue_settle_later(struct settlement *s)
{
    if (s->details)
        unlearn_failures(s->details);
    if (s->is_claimed) {
        let_go(s);
        if (s->is_suppression)
            queue_suppress_later(s->queue, s->ref);
    } else if (s->details && details_any(s->details, RECIPIENT_PENDING))
        retry_entry(s);
    else if (s->details)
        end_entry(s);
    else
        delivery_release(&s->held, schedule_retry(s->queue->schedule, s->ref, s->now_ms));
    settlement_free(s);
}

/*
 * A shared message whose entry was delivered whole needs the recipients marked while other entries
 * of it are left, and the worker gives no details when it saw nobody else pending. Where the two
 * disagree (its marks were not yet written when the worker read them) the entry is tried again:
 * twice rather than lost track of. The last entry needs none: the message is removed.
 */
static bool needs_details(struct settlement *s)
{
    const struct shared_message *m = s->details ? NULL : queue_find_shared(s->queue, s->id);

    return m && m->entries > 1;
}

static bool needs_report(const struct settlement *s)
{
    const struct schedule *schedule = s->queue->schedule;

    if (s->success_dsn || details_any(s->details, RECIPIENT_FAILED))
        return true;
    return details_any(s->details, RECIPIENT_PENDING) &&
           (schedule_is_expired(schedule, s->ref, s->now_ms) ||
            queue_is_late(s->queue, s->ref, s->now_ms));
}

static void settle_result(struct queue *q, struct job_entry *entry)
{
    struct settlement *s = calloc(1, sizeof(*s));

    if (!s) {
        delivery_release(&entry->held, schedule_retry(q->schedule, entry->ref, queue_now(q)));
        attempt_details_free(&entry->details);
        return;
    }
    settlement_init(s, q, entry->ref, entry->id);
    s->success_dsn = entry->success_dsn;
    s->details = entry->details;
    entry->details = NULL;
    s->held = entry->held;
    entry->held = (struct buf){0};
    if (needs_details(s))
        queue_settle_later(s);
    else if (needs_report(s))
        report_then_settle(s);
    else
        queue_settle(s);
}

/* What can still be read of a damaged message is kept in files beside the spool. */
static void set_aside(struct queue *q, uint64_t id)
{
    struct queue_request *rq = queue_request_new(q, SPOOL_OP_SET_ASIDE, id);

    if (rq)
        queue_request_post(rq);
}

/* The common case, with nothing to remember: one destination, everyone delivered. */
static bool settle_quickly(struct queue *q, struct job_entry *entry)
{
    if (entry->outcome != ATTEMPT_DELIVERED || entry->details || entry->success_dsn ||
        queue_find_shared(q, entry->id))
        return false;
    queue_post_removal(q, entry->id);
    schedule_done(q->schedule, entry->ref);
    return true;
}

void queue_entry_finished(struct parcel *p, void *receiver)
{
    struct job_entry *entry = CONTAINER_OF(p, struct job_entry, parcel);
    struct job *job = entry->job;
    struct queue *q = job->queue;

    (void)receiver;
    switch (entry->outcome) {
    case ATTEMPT_NOT_MADE:
        schedule_return(q->schedule, entry->ref);
        break;
    case ATTEMPT_UNKNOWN:
        delivery_release(&entry->held, schedule_retry(q->schedule, entry->ref, queue_now(q)));
        break;
    case ATTEMPT_SUPPRESSED:
        queue_suppress_entry(q, entry);
        break;
    case ATTEMPT_DAMAGED:
        set_aside(q, entry->id);
        __attribute__((fallthrough));
    case ATTEMPT_GONE:
        (void)leave_message(q, entry->id);
        schedule_done(q->schedule, entry->ref);
        break;
    case ATTEMPT_DELIVERED:
    case ATTEMPT_MIXED:
        if (!settle_quickly(q, entry))
            settle_result(q, entry);
        break;
    }
    delivery_release(&entry->held, 0); /* what has no next attempt */
    if (++job->returned == job->count)
        queue_job_returned(q, job);
}
