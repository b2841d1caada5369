/*
 * deliver/report.c - delivery status notifications for settled attempts.
 *
 * A report is a message of its own: composed in memory (its size is bounded by
 * bounce.return_size_max and DSN_RECIPIENTS_MAX), appended to the spool in extents, committed, and
 * only when it is durable is the attempt that called for it settled. A crash in between makes the
 * report twice, never not at all.
 *
 *     report_then_settle(): plan --nothing to tell--> queue_settle()
 *        for each kind with recipients: compose -> APPEND... -> COMMIT -> queue_committed()
 *        all durable: queue_settle()      a failure's is not: queue_settle_later()
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/id.h"
#include "config/config.h"
#include "deliver/queue_int.h"
#include "deliver/tell.h"
#include "deliver/track.h"
#include "event/delivery.h"
#include "event/event.h"
#include "message/dsn.h"
#include "smtp/reply.h"

#define REPORT_HEAD_MAX KIB(1024)

/* The reports one settlement waits for. */
struct plan {
    struct settlement *settlement;
    uint32_t outstanding;
    int result;
};

struct report {
    struct plan *plan;
    uint64_t id;
    enum dsn_kind kind;
    struct buf body, envelope;
    struct header_text original_message_id; /* for the tracking log */
    size_t appended;
    uint64_t reserved;
    struct spool_extent *extents; /* room for all of the body */
    uint32_t extent_count;
};

/* Told when nothing can go wrong with its reports any more: not at each try. */
static void track_settlement(const struct settlement *s)
{
    struct queue_message m;

    if (!s->is_ended || (!record_is_on(RECORD_TRACKING) && !delivery_log_is_on()) ||
        queue_read_message(s->queue, s->id, &m) < 0)
        return;
    track_end(s, &m.envelope);
    tell_end(s, &m.envelope);
    queue_message_done(&m);
}

static void plan_leave(struct plan *p, int result)
{
    struct settlement *s = p->settlement;

    if (result < 0)
        p->result = result;
    if (--p->outstanding > 0)
        return;
    result = p->result;
    free(p);
    if (result < 0) {
        queue_settle_later(s);
        return;
    }
    track_settlement(s);
    queue_settle(s);
}

static void report_free(struct report *rep)
{
    buf_done(&rep->body);
    buf_done(&rep->envelope);
    free(rep->extents);
    free(rep);
}

static void report_aborted(struct queue_request *rq)
{
    report_free(rq->ctx);
}

/* Gives what was appended back to the spool. */
static void report_abort(struct report *rep, struct queue *q)
{
    struct queue_request *rq =
        rep->extent_count ? queue_request_new(q, SPOOL_OP_ABORT, rep->id) : NULL;

    if (!rq) {
        report_free(rep);
        return;
    }
    rq->ctx = rep;
    rq->answered = report_aborted;
    rq->r.extents = rep->extents;
    rq->r.extent_count = rep->extent_count;
    queue_request_post(rq);
}

static void report_ended(struct report *rep, int result)
{
    struct plan *p = rep->plan;
    struct queue *q = p->settlement->queue;

    bool is_failure = rep->kind == DSN_FAILURE;

    if (result < 0) {
        spool_unreserve(q->spool, rep->reserved);
        event(EVENT_DSN_DROPPED, p->settlement->id, EV_ERR("why", result),
              EV_STR("then", is_failure               ? "the attempt is made again later"
                             : rep->kind == DSN_DELAY ? "the sender is told with a later attempt"
                                                      : "the sender is not told of the success"));
        if (rep->kind == DSN_DELAY)
            buf_clear(&p->settlement->delayed);
        report_abort(rep, q);
    } else {
        const struct track_report told = {.id = rep->id,
                                          .original = p->settlement->id,
                                          .kind = is_failure                 ? "failure"
                                                  : rep->kind == DSN_SUCCESS ? "success"
                                                                             : "delay",
                                          .envelope = buf_slice(&rep->envelope),
                                          .body = buf_slice(&rep->body),
                                          .original_message_id =
                                              header_text_slice(&rep->original_message_id)};

        event(EVENT_DSN_QUEUED, rep->id, EV_ID("original", told.original),
              EV_STR("kind", told.kind));
        track_report(q->settings.config, &told);
        queue_committed(q, rep->id, buf_slice(&rep->envelope));
        report_free(rep);
    }
    plan_leave(p, is_failure ? result : 0); /* only a failure must not go untold */
}

static void report_step(struct report *rep);

static void report_appended(struct queue_request *rq)
{
    struct report *rep = rq->ctx;

    if (rq->r.result < 0) {
        report_ended(rep, rq->r.result);
        return;
    }
    rep->extents[rep->extent_count++] = rq->r.extent;
    rep->reserved -= rq->r.data.len; /* the spool took it out of the reserve */
    report_step(rep);
}

static void report_committed(struct queue_request *rq)
{
    report_ended(rq->ctx, rq->r.result);
}

/* Posts the next piece: extents while more than one is left, then the commit with the last. */
static void report_step(struct report *rep)
{
    struct slice left = slice_from(buf_slice(&rep->body), rep->appended);
    bool last = left.len <= SPOOL_EXTENT_MAX;
    struct queue_request *rq = queue_request_new(rep->plan->settlement->queue,
                                                 last ? SPOOL_OP_COMMIT : SPOOL_OP_APPEND, rep->id);

    if (!rq) {
        report_ended(rep, -ENOMEM);
        return;
    }
    rq->ctx = rep;
    rq->r.data = slice_sub(left, 0, SPOOL_EXTENT_MAX);
    rep->appended += rq->r.data.len;
    rq->answered = last ? report_committed : report_appended;
    if (last) {
        rq->r.envelope = buf_slice(&rep->envelope);
        rq->r.extents = rep->extents;
        rq->r.extent_count = rep->extent_count;
    }
    queue_request_post(rq);
}

/*
 * What transaction_result() wrote: "mx.example.org[192.0.2.1] said: 550 no" has the host and its
 * reply, "5.3.4 mx.example.org[192.0.2.1]: too large" a status of ours and no reply.
 */
static void split_reply(struct slice text, struct dsn_recipient *r)
{
    static const char said[] = " said: ";
    ptrdiff_t at = slice_find_slice(text, slice_str(said));
    struct smtp_enhanced status;
    ptrdiff_t bracket;
    size_t used;

    if (smtp_enhanced_parse(text, &status, &used)) {
        r->status = slice_trim(slice_sub(text, 0, used));
        return;
    }
    if (at <= 0)
        return;
    r->remote_mta = slice_sub(text, 0, (size_t)at);
    r->reply = slice_from(text, (size_t)at + sizeof(said) - 1);
    bracket = slice_find(r->remote_mta, '[');
    if (bracket > 0)
        r->remote_mta.len = (size_t)bracket;
}

static void look_at_original(struct report *rep, struct slice beginning)
{
    struct header_scan scan;

    if (!record_is_on(RECORD_TRACKING))
        return;
    header_scan_init(&scan);
    header_scan_feed(&scan, beginning);
    rep->original_message_id = scan.message_id;
}

/* The body of the report around as much of the original as it may carry. */
static int compose(struct report *rep, const struct dsn *d, struct queue *q, uint64_t original)
{
    static _Thread_local uint8_t chunk[SPOOL_EXTENT_MAX];
    struct dsn_writer w;
    struct spool_reader reader;
    int r = spool_read(q->spool, original, false, &reader, NULL, NULL);
    int more = 0;
    bool has_looked = false;
    ptrdiff_t n;

    if (r < 0)
        return r;
    r = dsn_begin(&w, d, &rep->body);
    while (r == 0 && more == 0 &&
           (n = spool_read_body(&reader, false, chunk, sizeof(chunk))) != 0) {
        if (n < 0) /* the report goes out without the rest of a damaged original */
            break;
        if (!has_looked)
            look_at_original(rep, slice_make(chunk, (size_t)n));
        has_looked = true;
        more = dsn_add_original(&w, slice_make(chunk, (size_t)n), &rep->body);
        r = MIN_OF(more, 0);
    }
    spool_read_done(&reader);
    return r < 0 ? r : dsn_end(&w, &rep->body);
}

static int address_report(struct report *rep, const struct dsn *d, const struct config *c)
{
    struct recipient to[2];
    struct envelope e;

    dsn_envelope(d, &to[0], &e);
    e.body_bytes = buf_len(&rep->body);
    e.recipients = to;
    if (d->kind == DSN_FAILURE && c->bounce.postmaster) {
        to[1] =
            (struct recipient){.address = slice_str(c->bounce.postmaster), .notify = NOTIFY_NEVER};
        e.recipient_count = 2;
    }
    return envelope_encode(&e, &rep->envelope);
}

static void start_report(struct plan *p, enum dsn_kind kind, const struct envelope *e,
                         const struct dsn_recipient *recipients, size_t count)
{
    struct settlement *s = p->settlement;
    struct queue *q = s->queue;
    const struct config *c = q->settings.config;
    struct report *rep = calloc(1, sizeof(*rep));
    char id[ID_TEXT_MAX], original_id[ID_TEXT_MAX];
    int r;

    p->outstanding++;
    if (!rep) {
        plan_leave(p, kind == DSN_FAILURE ? -ENOMEM : 0);
        return;
    }
    rep->plan = p;
    rep->kind = kind;
    rep->id = spool_new_id(q->spool);
    buf_init(&rep->body, REPORT_HEAD_MAX + c->bounce.return_size_max_bytes);
    buf_init(&rep->envelope, SPOOL_ENVELOPE_MAX);
    struct dsn d = {.kind = kind,
                    .envelope = e,
                    .recipients = recipients,
                    .recipient_count = count,
                    .hostname = slice_str(c->server.hostname),
                    .from = slice_str(c->bounce.from),
                    .from_name = slice_str(c->bounce.from_name),
                    .id = slice_make(id, id_format(rep->id, id)),
                    .original_id = slice_make(original_id, id_format(s->id, original_id)),
                    .random = rand_u64(q->rand),
                    .now_ms = s->now_ms,
                    .retry_until_ms =
                        e->arrival_ms + (int64_t)q->settings.schedule.retry.max_queue_time_s * 1000,
                    .full_max = c->bounce.return_size_max_bytes};
    r = compose(rep, &d, q, s->id);
    if (r == 0)
        r = address_report(rep, &d, c);
    if (r == 0) {
        rep->extents = calloc(buf_len(&rep->body) / SPOOL_EXTENT_MAX + 1, sizeof(*rep->extents));
        r = rep->extents ? 0 : -ENOMEM;
    }
    if (r == 0) {
        rep->reserved = buf_len(&rep->body) + buf_len(&rep->envelope);
        r = spool_reserve(q->spool, rep->reserved);
        if (r < 0)
            rep->reserved = 0;
    }
    if (r < 0)
        report_ended(rep, r);
    else
        report_step(rep);
}

/* ---- what there is to tell ---- */

/* Those that the attempt settled come first, then those that fail by their age. */
static void expire(struct settlement *s, struct envelope *e)
{
    struct attempt_details *d = s->details;
    size_t settled = 0;

    delivery_release(&s->held, 0); /* the attempt before its end */
    for (size_t i = 0; i < d->count; i++) {
        struct mark_result r = d->results[i];

        if (r.state == RECIPIENT_PENDING) {
            d->results[i].state = RECIPIENT_FAILED;
        } else {
            d->results[i] = d->results[settled];
            d->results[settled++] = r;
        }
    }
    s->ended_from = settled;
    event(EVENT_MESSAGE_EXPIRED, s->id, EV_INT("age_s", (s->now_ms - e->arrival_ms) / 1000),
          EV_SLICE("sender", e->sender));
    s->is_ended = true;
    s->ended_by = TRACKING_EXPIRE;
}

/* What the attempt said of each recipient, folded into the envelope for the report's text. */
static bool apply_details(const struct attempt_details *d, int64_t now_ms, struct envelope *e)
{
    for (size_t i = 0; i < d->count; i++) {
        struct recipient *rcpt;

        if (d->results[i].recipient >= e->recipient_count)
            return false;
        rcpt = &e->recipients[d->results[i].recipient];
        rcpt->state = d->results[i].state;
        rcpt->last_code = d->results[i].code;
        rcpt->last_text = d->results[i].text;
        rcpt->last_attempt_ms = now_ms;
        rcpt->attempts++;
    }
    return true;
}

static bool is_told(const struct settlement *s, const struct envelope *e,
                    const struct recipient *rcpt, enum dsn_kind kind, bool is_late)
{
    bool fits;

    switch (kind) {
    case DSN_FAILURE:
        fits = rcpt->state == RECIPIENT_FAILED;
        break;
    case DSN_SUCCESS:
        fits = s->success_dsn &&
               (rcpt->state == RECIPIENT_DELIVERED || rcpt->state == RECIPIENT_RELAYED);
        break;
    case DSN_DELAY:
    default:
        fits = is_late && rcpt->state == RECIPIENT_PENDING && !rcpt->delay_dsn_sent;
        break;
    }
    return fits && dsn_wanted(e, rcpt, kind);
}

static void plan_kind(struct plan *p, enum dsn_kind kind, const struct envelope *e, bool is_late)
{
    struct settlement *s = p->settlement;
    struct dsn_recipient told[DSN_RECIPIENTS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < s->details->count; i++) {
        uint32_t index = s->details->results[i].recipient;
        const struct recipient *rcpt = &e->recipients[index];

        if (is_told(s, e, rcpt, kind, is_late)) {
            told[n] = (struct dsn_recipient){.recipient = rcpt,
                                             .relayed = rcpt->state == RECIPIENT_RELAYED};
            split_reply(rcpt->last_text, &told[n++]);
            if (kind == DSN_DELAY)
                (void)buf_add_u32(&s->delayed, index);
        }
        if (n == ARRAY_SIZE(told) || (n > 0 && i + 1 == s->details->count)) {
            start_report(p, kind, e, told, n);
            n = 0;
        }
    }
}

static void make_plan(struct settlement *s, struct envelope *e)
{
    const struct schedule *schedule = s->queue->schedule;
    bool is_late = queue_is_late(s->queue, s->ref, s->now_ms);
    struct plan *p = calloc(1, sizeof(*p));

    if (details_any(s->details, RECIPIENT_PENDING) &&
        schedule_is_expired(schedule, s->ref, s->now_ms))
        expire(s, e);
    if (!p || !apply_details(s->details, s->now_ms, e)) {
        free(p);
        queue_settle_later(s);
        return;
    }
    p->settlement = s;
    p->outstanding = 1; /* this function's share: nothing is settled before all are started */
    /* NOLINTBEGIN(clang-analyzer-unix.Malloc): our share keeps the plan until plan_leave() below */
    plan_kind(p, DSN_FAILURE, e, is_late);
    plan_kind(p, DSN_SUCCESS, e, is_late);
    plan_kind(p, DSN_DELAY, e, is_late);
    plan_leave(p, 0);
    /* NOLINTEND(clang-analyzer-unix.Malloc) */
}

void report_then_settle(struct settlement *s)
{
    struct queue_message m;
    int r;

    ASSERT(s->details);
    r = queue_read_message(s->queue, s->id, &m);
    if (r == 0) {
        make_plan(s, &m.envelope);
    } else if (r == -ENOENT || r == -ERR_DAMAGED) {
        queue_settle(s); /* no original to report on: it was set aside, and the log said so */
        return;
    } else {
        queue_settle_later(s);
        return;
    }
    queue_message_done(&m);
}
