/*
 * deliver/transaction.c - one entry's mail: read from the spool, split into the recipients that
 * are this destination's, and the results told to the queue and the log.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "deliver/destination.h"
#include "deliver/tell.h"
#include "deliver/track.h"
#include "deliver/worker_int.h"
#include "event/delivery.h"
#include "event/event.h"

#define MARKS_MAX MIB(8)
#define SCRATCH_KEPT KIB(64) /* larger buffers are given back after their message */
/* Of one batch's recipients as commands: with a chunk of body they fit a connection's buffer. */
#define BATCH_BYTES_MAX KIB(96)
#define LOOK_STEP 1024   /* header sections are short: what follows need not be scanned */
#define SAID " said: "   /* between a host and its reply, where both are kept as one text */
#define RCPT_OVERHEAD 64 /* RCPT TO:<> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT= and the line's end */

void transaction_init(struct transaction *t, struct worker *w)
{
    *t = (struct transaction){.worker = w,
                              .envelope_bytes = BUF_INIT(SPOOL_ENVELOPE_MAX),
                              .marks = BUF_INIT(MARKS_MAX),
                              .held = BUF_INIT(DELIVERY_HELD_MAX)};
}

void transaction_done(struct transaction *t)
{
    ASSERT(!t->is_open);
    buf_done(&t->envelope_bytes);
    buf_done(&t->marks);
    free(t->recipients);
    free(t->to);
    free(t->indices);
    free(t->chunk);
    free(t->apart.which);
}

static void post_entry(struct worker *w, struct job_entry *entry, enum attempt_outcome outcome)
{
    entry->outcome = outcome;
    entry->parcel.deliver = queue_entry_finished;
    mailbox_post_later(w->seams.queue, &entry->parcel);
}

void entry_not_made(struct worker *w, struct job_entry *entry)
{
    post_entry(w, entry, ATTEMPT_NOT_MADE);
}

/* ---- opening ---- */

static int decode(struct transaction *t)
{
    int r = envelope_decode(buf_slice(&t->envelope_bytes), t->recipients, t->recipients_room,
                            &t->envelope);

    if (r == -ENOBUFS) {
        size_t room = t->envelope.recipient_count;
        struct recipient *more = realloc(t->recipients, room * sizeof(*more));

        if (!more)
            return -ENOMEM;
        t->recipients = more;
        t->recipients_room = room;
        r = envelope_decode(buf_slice(&t->envelope_bytes), t->recipients, room, &t->envelope);
    }
    if (r == 0)
        ignore_result(envelope_apply_marks(&t->envelope, buf_slice(&t->marks)));
    return r;
}

static int make_room(struct transaction *t, size_t count)
{
    struct smtp_recipient *to;
    uint32_t *indices;
    uint8_t *which;

    if (count <= t->to_room)
        return 0;
    to = realloc(t->to, count * sizeof(*to));
    if (to)
        t->to = to;
    indices = realloc(t->indices, count * sizeof(*indices));
    if (indices)
        t->indices = indices;
    which = realloc(t->apart.which, count);
    if (which)
        t->apart.which = which;
    if (!to || !indices || !which)
        return -ENOMEM;
    t->to_room = count;
    return 0;
}

static int pick_recipients(struct transaction *t)
{
    t->to_count = 0;
    t->all_pending_are_ours = true;
    if (make_room(t, t->envelope.recipient_count) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < t->envelope.recipient_count; i++) {
        const struct recipient *rcpt = &t->envelope.recipients[i];
        struct slice destination;

        if (rcpt->state != RECIPIENT_PENDING)
            continue;
        destination = destination_name(t->config, address_domain(rcpt->address));
        if (!slice_eq_case(destination, t->destination)) {
            t->all_pending_are_ours = false;
            continue;
        }
        t->indices[t->to_count] = (uint32_t)i;
        t->to[t->to_count++] = (struct smtp_recipient){
            .address = rcpt->address, .orcpt = rcpt->orcpt, .notify = rcpt->notify};
    }
    return 0;
}

static void describe_mail(struct transaction *t)
{
    const struct envelope *e = &t->envelope;

    t->smtp = (struct smtp_transaction){
        .sender = e->sender,
        .body_bytes = e->body_bytes,
        .is_8bit = e->flags & ENVELOPE_8BITMIME,
        .smtputf8 = e->flags & ENVELOPE_SMTPUTF8,
        .ret = e->flags & ENVELOPE_RET_FULL   ? SMTP_RET_FULL
               : e->flags & ENVELOPE_RET_HDRS ? SMTP_RET_HDRS
                                              : SMTP_RET_NOT_GIVEN,
        .envid = e->envid,
    };
}

/* What the spool's or the decoder's error means for the entry. */
static enum attempt_outcome outcome_of(int err)
{
    switch (-err) {
    case ENOENT:
        return ATTEMPT_GONE;
    case ERR_DAMAGED:
        return ATTEMPT_DAMAGED;
    default:
        return ATTEMPT_UNKNOWN;
    }
}

/* Reads the message and picks the entry's recipients. 0 and it is open, or the error. */
static int load(struct transaction *t, struct job *job, struct job_entry *entry)
{
    int r;

    ASSERT(!t->is_open);
    t->entry = entry;
    t->config = job->config;
    t->destination = slice_str(job->name);
    buf_clear(&t->envelope_bytes);
    buf_clear(&t->marks);
    r = spool_read(t->worker->seams.spool, entry->id, false, &t->reader, &t->envelope_bytes,
                   &t->marks);
    if (r == 0) {
        t->is_open = true;
        r = decode(t);
        if (r == 0)
            r = pick_recipients(t);
        if (r == 0 && t->to_count == 0)
            r = -ENOENT;
        if (r < 0) {
            spool_read_done(&t->reader);
            t->is_open = false;
        }
    }
    return r;
}

/* Some of its recipients may be on the suppression list: the queue manager knows. */
static bool give_back_suppressed(struct transaction *t)
{
    const struct suppression_filter *f = t->entry->job->filter;
    size_t i = 0;

    while (i < t->to_count && !suppression_filter_has(f, t->to[i].address))
        i++;
    if (i == t->to_count)
        return false;
    spool_read_done(&t->reader);
    t->is_open = false;
    post_entry(t->worker, t->entry, ATTEMPT_SUPPRESSED);
    return true;
}

bool transaction_is_suppressed(struct transaction *t, struct job *job, struct job_entry *entry)
{
    if (!job->filter || suppression_filter_is_empty(job->filter) || load(t, job, entry) < 0)
        return false; /* what is wrong with it is told when it is opened */
    if (give_back_suppressed(t))
        return true;
    spool_read_done(&t->reader);
    t->is_open = false;
    return false;
}

int transaction_open(struct transaction *t, struct job *job, struct job_entry *entry)
{
    int r = load(t, job, entry);

    if (r == 0 && job->filter && !suppression_filter_is_empty(job->filter) &&
        give_back_suppressed(t))
        return -ECANCELED;
    if (r < 0) {
        event(EVENT_SPOOL_ERROR, entry->id, EV_ERR("why", r));
        post_entry(t->worker, entry, outcome_of(r));
        return r;
    }
    describe_mail(t);
    t->batch_from = t->batch_count = 0;
    t->delivered = t->deferred = t->failed = 0;
    t->is_damaged = false;
    t->host_made_dsn = false;
    t->is_settled_here = t->has_looked = t->has_ahead = false;
    t->scan.message_id.len = t->scan.subject.len = 0;
    t->via.session = 0;
    t->via.local_ip[0] = t->via.peer_ip[0] = t->via.host[0] = '\0';
    t->host[0] = t->last_text[0] = '\0';
    t->last_code = 0;
    t->apart.count = t->apart.batch_max = 0;
    attempt_begin(t);
    counter_add(COUNTER_ATTEMPTS, 1);
    return 0;
}

bool transaction_has_more(const struct transaction *t)
{
    return t->batch_from + t->batch_count < t->to_count;
}

void transaction_next_batch(struct transaction *t, size_t max)
{
    size_t bytes = 0, count = 0;

    t->batch_from += t->batch_count;
    max = MIN_OF(max, t->to_count - t->batch_from);
    if (t->apart.batch_max)
        max = MIN_OF(max, t->apart.batch_max);
    while (count < max && (count == 0 || bytes < BATCH_BYTES_MAX)) {
        const struct smtp_recipient *to = &t->to[t->batch_from + count++];

        bytes += to->address.len + to->orcpt.len + RCPT_OVERHEAD;
    }
    t->batch_count = count;
    t->apart.count = 0;
    t->apart.delivered_before = t->delivered;
    memset(t->apart.which + t->batch_from, 0, count);
    t->smtp.recipients = t->to + t->batch_from;
    t->smtp.recipient_count = count;
    t->has_ahead = false;
    spool_read_rewind(&t->reader);
}

void transaction_take_back(struct transaction *t)
{
    t->batch_count = 0;
}

void transaction_set_host(struct transaction *t, const char *host, const struct addr *addr,
                          bool makes_dsn)
{
    char ip[ADDR_TEXT_MAX];

    addr_format_ip(addr, ip);
    (void)snprintf(t->host, sizeof(t->host), "%s[%s]", host[0] == '[' ? "" : host, ip);
    t->host_made_dsn = makes_dsn;
}

/* ---- results ---- */

static bool wants_success_report(const struct transaction *t)
{
    for (size_t i = 0; i < t->to_count; i++)
        if (t->to[i].notify & NOTIFY_SUCCESS)
            return !t->host_made_dsn;
    return false;
}

/* Details cost memory, and most mail is one recipient who gets it: then there are none. */
static struct attempt_details *details_of(struct transaction *t)
{
    if (t->details)
        return t->details;
    t->details = attempt_details_new(t->to_count);
    return t->details;
}

static void keep_text(struct transaction *t, uint16_t code, struct slice text)
{
    size_t n = MIN_OF(text.len, sizeof(t->last_text) - 1);

    if (n)
        memcpy(t->last_text, text.ptr, n);
    t->last_text[n] = '\0';
    t->last_code = code;
}

static void add_result(struct transaction *t, uint32_t index, enum smtp_outcome outcome,
                       uint16_t code, struct slice text)
{
    static const enum recipient_state states[] = {[SMTP_DELIVERED] = RECIPIENT_DELIVERED,
                                                  [SMTP_DEFERRED] = RECIPIENT_PENDING,
                                                  [SMTP_FAILED] = RECIPIENT_FAILED};
    enum recipient_state state = states[outcome];
    bool is_plain = outcome == SMTP_DELIVERED && t->to_count == 1 && t->all_pending_are_ours &&
                    !wants_success_report(t);

    if (!is_plain && details_of(t)) {
        if (state == RECIPIENT_DELIVERED && !t->host_made_dsn)
            state = RECIPIENT_RELAYED;
        attempt_add(t->details, index, state, code, text);
    }
    t->delivered += outcome == SMTP_DELIVERED;
    t->deferred += outcome == SMTP_DEFERRED;
    t->failed += outcome == SMTP_FAILED;
}

/* `text` is as in keep_text(), `reply_at` where the host's words begin in it. */
static void set_apart(struct transaction *t, size_t batch_index, enum reply_class klass,
                      const struct smtp_result *r, size_t reply_at)
{
    t->apart.which[t->batch_from + batch_index] = 1;
    t->apart.count++;
    t->apart.code = (uint16_t)r->code;
    t->apart.enhanced = r->enhanced;
    t->apart.phase = r->phase;
    t->apart.klass = klass;
    t->apart.reply_at = MIN_OF(reply_at, strlen(t->last_text));
    (void)snprintf(t->apart.text, sizeof(t->apart.text), "%s", t->last_text);
}

void transaction_result(struct transaction *t, size_t batch_index, const struct smtp_result *r)
{
    char text[ENVELOPE_TEXT_MAX];
    enum reply_class klass = attempt_result(t, batch_index, r);
    size_t i = t->batch_from + batch_index;
    struct slice whole;
    int n;

    if (r->code)
        n = snprintf(text, sizeof(text), "%s" SAID "%u %.*s", t->host, r->code, SLICE_FMT(r->text));
    else /* no reply: our status, what happened, and where */
        n = snprintf(text, sizeof(text), "%u.%u.%u %s: %.*s (at %s)", r->enhanced.klass,
                     r->enhanced.subject, r->enhanced.detail, t->host, SLICE_FMT(r->text),
                     smtp_phase_name(r->phase));
    whole = slice_make(text, (size_t)MIN_OF(MAX_OF(n, 0), (int)sizeof(text) - 1));
    keep_text(t, (uint16_t)r->code, whole);
    if (r->outcome == SMTP_DEFERRED && reply_class_action(klass) == REPLY_ACTION_SPLIT) {
        set_apart(t, batch_index, klass, r, r->code ? strlen(t->host) + sizeof(SAID) - 1 : 0);
        return;
    }
    add_result(t, t->indices[i], r->outcome, (uint16_t)r->code, whole);
    tell_result(t, i, klass, r);
    if (r->outcome == SMTP_FAILED &&
        (klass == REPLY_MAILBOX_UNKNOWN || klass == REPLY_MAILBOX_DISABLED))
        attempt_mailbox_refused(t, batch_index, klass, r);
}

static void swap_recipients(struct transaction *t, size_t a, size_t b)
{
    struct smtp_recipient to = t->to[a];
    uint32_t index = t->indices[a];

    t->to[a] = t->to[b];
    t->to[b] = to;
    t->indices[a] = t->indices[b];
    t->indices[b] = index;
    if (t->told.recipient == a)
        t->told.recipient = (uint32_t)b;
    else if (t->told.recipient == b)
        t->told.recipient = (uint32_t)a;
}

static void defer_apart(struct transaction *t)
{
    for (size_t i = t->batch_from; i < t->batch_from + t->batch_count; i++) {
        if (!t->apart.which[i])
            continue;
        add_result(t, t->indices[i], SMTP_DEFERRED, t->apart.code, slice_str(t->apart.text));
        tell_apart(t, i);
    }
}

void transaction_batch_done(struct transaction *t)
{
    size_t end = t->batch_from + t->batch_count, kept = t->batch_from;

    if (t->apart.count == 0)
        return;
    if (t->delivered == t->apart.delivered_before) {
        defer_apart(t); /* it took nobody: at once again would be pushing */
        return;
    }
    for (size_t i = t->batch_from; i < end; i++)
        if (!t->apart.which[i])
            swap_recipients(t, kept++, i);
    t->batch_count = kept - t->batch_from;
    t->apart.batch_max = t->batch_count;
}

void transaction_fail_all(struct transaction *t, enum smtp_outcome outcome, uint16_t code,
                          enum reply_class klass, struct slice text)
{
    keep_text(t, code, text);
    attempt_settled(t, outcome, klass, text);
    for (size_t i = t->batch_from + t->batch_count; i < t->to_count; i++) {
        add_result(t, t->indices[i], outcome, code, text);
        tell_settled(t, i, outcome, klass, text);
    }
    t->batch_from = t->to_count;
    t->batch_count = 0;
}

static ptrdiff_t read_chunk(struct transaction *t)
{
    if (!t->chunk)
        t->chunk = malloc(SPOOL_EXTENT_MAX);
    if (!t->chunk)
        return -ENOMEM;
    return spool_read_body(&t->reader, false, t->chunk, SPOOL_EXTENT_MAX);
}

/* What is read here, transaction_body() need not read again. Where the body is under way already it
 * is too late, and the names stay unknown. */
void transaction_look(struct transaction *t)
{
    size_t at = 0;

    if (t->has_looked)
        return;
    t->has_looked = t->has_ahead = true;
    t->ahead = read_chunk(t);
    header_scan_init(&t->scan);
    while (t->ahead > 0 && at < (size_t)t->ahead && !t->scan.ended) {
        header_scan_feed(&t->scan,
                         slice_make(t->chunk + at, MIN_OF(LOOK_STEP, (size_t)t->ahead - at)));
        at += LOOK_STEP;
    }
}

ptrdiff_t transaction_body(struct transaction *t, uint64_t left, struct slice *ret)
{
    ptrdiff_t n = t->has_ahead ? t->ahead : read_chunk(t);

    t->has_ahead = false;
    t->has_looked = true;
    if (n >= 0 && ((uint64_t)n > left || (n == 0 && left > 0)))
        n = -ERR_DAMAGED;
    t->is_damaged |= n == -ERR_DAMAGED;
    if (n > 0)
        *ret = slice_make(t->chunk, (size_t)n);
    return n;
}

static void log_results(const struct transaction *t)
{
    const struct envelope *e = &t->envelope;
    enum event_type type = t->failed     ? EVENT_MESSAGE_FAILED
                           : t->deferred ? EVENT_MESSAGE_DEFERRED
                                         : EVENT_MESSAGE_DELIVERED;

    counter_add(COUNTER_RECIPIENTS_DELIVERED, t->delivered);
    counter_add(COUNTER_RECIPIENTS_DEFERRED, t->deferred);
    counter_add(COUNTER_RECIPIENTS_FAILED, t->failed);
#define LOG(type)                                                                                  \
    event(type, t->entry->id, EV_SLICE("from", e->sender), EV_SLICE("to", t->to[0].address),       \
          EV_SLICE("destination", t->destination), EV_UINT("delivered", t->delivered),             \
          EV_UINT("deferred", t->deferred), EV_UINT("failed", t->failed),                          \
          EV_UINT("attempt", t->entry->attempts + 1u), EV_UINT("code", t->last_code),              \
          EV_STR("reply", t->last_text))
    if (type == EVENT_MESSAGE_FAILED)
        LOG(EVENT_MESSAGE_FAILED);
    else if (type == EVENT_MESSAGE_DEFERRED)
        LOG(EVENT_MESSAGE_DEFERRED);
    else
        LOG(EVENT_MESSAGE_DELIVERED);
#undef LOG
}

/* Without memory for all the details nothing is known of the recipients: they are tried again. */
static enum attempt_outcome outcome_now(const struct transaction *t)
{
    if (t->is_damaged && t->delivered == 0)
        return ATTEMPT_DAMAGED;
    if (t->details && t->details->count == t->to_count)
        return t->deferred + t->failed ? ATTEMPT_MIXED : ATTEMPT_DELIVERED;
    if (!t->details && t->delivered == t->to_count && t->all_pending_are_ours)
        return ATTEMPT_DELIVERED;
    return ATTEMPT_UNKNOWN;
}

static void shrink(struct buf *b)
{
    if (buf_len(b) > SCRATCH_KEPT)
        buf_done(b);
}

static void leave(struct transaction *t, enum attempt_outcome outcome)
{
    if (outcome == ATTEMPT_DELIVERED || outcome == ATTEMPT_MIXED) {
        t->entry->success_dsn = t->delivered && t->details && wants_success_report(t);
        t->entry->details = t->details;
        t->details = NULL;
    }
    attempt_details_free(&t->details);
    t->entry->held = t->held;
    t->held = BUF_INIT(DELIVERY_HELD_MAX);
    t->is_open = false;
    spool_read_done(&t->reader);
    shrink(&t->envelope_bytes);
    shrink(&t->marks);
    post_entry(t->worker, t->entry, outcome);
}

void transaction_close(struct transaction *t)
{
    ASSERT(t->is_open && t->delivered + t->deferred + t->failed == t->to_count);
    log_results(t);
    track_attempt(t);
    attempt_end(t);
    leave(t, outcome_now(t));
}

void transaction_abandon(struct transaction *t)
{
    ASSERT(t->is_open);
    if (t->delivered + t->deferred + t->failed == 0) {
        leave(t, ATTEMPT_NOT_MADE);
        return;
    }
    transaction_fail_all(t, SMTP_DEFERRED, 0, REPLY_OTHER,
                         SLICE_LIT("this server stopped before these recipients' turn"));
    transaction_close(t);
}
