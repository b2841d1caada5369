/*
 * deliver/tell.c - recipients' results as lines of the delivery log.
 *
 * A line is made where its result is known, in the worker. Of one that is deferred the time of the
 * next attempt is not: only the queue manager knows it, so the line travels with the entry and is
 * written from there (delivery_hold(), delivery_release()).
 */
#include "deliver/tell.h"

#include "base/clock.h"
#include "config/config.h"
#include "deliver/queue_int.h"
#include "deliver/track.h"
#include "deliver/worker_int.h"
#include "event/delivery.h"

#define CODE_LEN 4 /* "452 ", before the status code */

static void set_enhanced(struct delivery *d, struct smtp_enhanced e)
{
    d->enhanced[0] = e.klass;
    d->enhanced[1] = e.subject;
    d->enhanced[2] = e.detail;
}

/* ---- an attempt ---- */

struct said { /* of one recipient */
    enum smtp_outcome outcome;
    enum reply_class klass;
    enum smtp_phase phase;
    unsigned code;
    struct smtp_enhanced enhanced;
    struct slice reply;
};

static enum delivery_event event_of(enum smtp_outcome outcome)
{
    return outcome == SMTP_DELIVERED  ? DELIVERY_DELIVERED
           : outcome == SMTP_DEFERRED ? DELIVERY_DEFERRED
                                      : DELIVERY_FAILED;
}

static void tell(struct transaction *t, size_t i, const struct said *s)
{
    const struct attempt_told *told = &t->told;
    const struct job_entry *entry = t->entry;
    const struct job *job = entry->job;
    char peer[ADDR_TEXT_MAX], local[ADDR_TEXT_MAX];
    struct delivery d;

    transaction_look(t);
    d = (struct delivery){
        .event = event_of(s->outcome),
        .at_ms = clock_wall_ms(),
        .id = entry->id,
        .message_id = header_text_slice(&t->scan.message_id),
        .sender = t->envelope.sender,
        .recipient = t->to[i].address,
        .domain = address_domain(t->to[i].address),
        .size = t->envelope.body_bytes,
        .attempt = entry->attempts + 1,
        .code = s->code,
        .klass = slice_str(reply_class_name(s->klass)),
        .phase = slice_str(smtp_phase_name(s->phase)),
        .reply = s->reply,
        .provider = slice_str(job->provider),
        .lane = slice_str(job->lane_name),
        .source = slice_str(job->source),
        .local = attempt_ip_text(&told->local, local),
        .host = slice_str(told->host),
        .peer = attempt_ip_text(&told->peer, peer),
        .own_relay = !job->goes_by_mx,
        .tls = told->tls,
        .latency_ms = loop_now_ms(t->worker->seams.loop) - told->began_ms,
    };
    if (told->tls) {
        d.tls_version = slice_str(told->tls_version);
        d.tls_cipher = slice_str(told->tls_cipher);
    }
    d.in_queue_ms = (uint64_t)MAX_OF(d.at_ms - entry->arrival_ms, 0);
    set_enhanced(&d, s->enhanced);
    if (s->outcome == SMTP_DEFERRED)
        delivery_hold(&d, &t->held);
    else
        delivery_log(&d);
}

void tell_result(struct transaction *t, size_t i, enum reply_class klass,
                 const struct smtp_result *r)
{
    char text[ATTEMPT_TEXT_MAX];
    struct said s;

    if (!delivery_log_is_on())
        return;
    s = (struct said){.outcome = r->outcome,
                      .klass = klass,
                      .phase = r->phase,
                      .code = r->code,
                      .enhanced = r->enhanced};
    s.reply = slice_make(text, attempt_reply_text(r->code, r->text, text));
    tell(t, i, &s);
}

void tell_apart(struct transaction *t, size_t i)
{
    if (delivery_log_is_on())
        tell(t, i,
             &(struct said){.outcome = SMTP_DEFERRED,
                            .klass = t->apart.klass,
                            .phase = t->apart.phase,
                            .code = t->apart.code,
                            .enhanced = t->apart.enhanced,
                            .reply = slice_str(t->apart.text + t->apart.reply_at)});
}

void tell_settled(struct transaction *t, size_t i, enum smtp_outcome outcome,
                  enum reply_class klass, struct slice text)
{
    const struct attempt_told *told = &t->told;

    if (!delivery_log_is_on())
        return;
    if (told->is_told) /* what the last host said */
        tell(t, i,
             &(struct said){.outcome = outcome,
                            .klass = told->klass,
                            .phase = told->phase,
                            .code = told->code,
                            .enhanced = told->enhanced,
                            .reply = slice_make(told->text, told->text_len)});
    else
        tell(t, i,
             &(struct said){
                 .outcome = outcome, .klass = klass, .phase = SMTP_PHASE_CONNECT, .reply = text});
}

/* ---- the queue manager's ---- */

static enum delivery_event end_of(const struct settlement *s, const struct mark_result *r)
{
    return s->is_suppression                ? DELIVERY_SUPPRESSED
           : s->ended_by == TRACKING_EXPIRE ? DELIVERY_EXPIRED
           : r->state == RECIPIENT_REMOVED  ? DELIVERY_REMOVED
                                            : DELIVERY_BOUNCED;
}

void tell_end(const struct settlement *s, const struct envelope *e)
{
    for (size_t i = s->ended_from; delivery_log_is_on() && i < s->details->count; i++) {
        const struct mark_result *r = &s->details->results[i];
        struct smtp_enhanced enhanced;
        struct slice address;
        struct delivery d;
        size_t used;

        if (r->recipient >= e->recipient_count)
            continue;
        address = e->recipients[r->recipient].address;
        d = (struct delivery){
            .event = end_of(s, r),
            .id = s->id,
            .sender = e->sender,
            .recipient = address,
            .domain = address_domain(address),
            .size = e->body_bytes,
            .code = r->code,
            .reply = r->code && !s->is_suppression ? track_reply_of(r->text) : r->text,
            .in_queue_ms = (uint64_t)MAX_OF(s->now_ms - e->arrival_ms, 0),
        };
        if (r->code && smtp_enhanced_parse(slice_from(d.reply, CODE_LEN), &enhanced, &used))
            set_enhanced(&d, enhanced);
        delivery_log(&d);
    }
}

void tell_report(uint64_t id, uint64_t original, const char *kind, const struct envelope *e,
                 struct slice message_id)
{
    for (size_t i = 0; delivery_log_is_on() && i < e->recipient_count; i++)
        delivery_log(&(struct delivery){.event = DELIVERY_DSN,
                                        .id = id,
                                        .message_id = message_id,
                                        .sender = e->sender,
                                        .recipient = e->recipients[i].address,
                                        .domain = address_domain(e->recipients[i].address),
                                        .size = e->body_bytes,
                                        .kind = slice_str(kind),
                                        .original = original});
}
