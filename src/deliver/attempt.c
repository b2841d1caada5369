/*
 * deliver/attempt.c - what an attempt was: put together in a worker, told to the queue manager.
 */
#include "deliver/attempt.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "deliver/worker_int.h"
#include "event/delivery.h"
#include "event/event.h"
#include "evidence/knowledge.h"
#include "io/loop.h"
#include "ledger/ledger.h"

static enum reply_class classify(const struct job *job, const struct reply_facts *f)
{
    return job->knowledge ? replies_classify(job->knowledge->replies, f) : REPLY_OTHER;
}

size_t attempt_reply_text(unsigned code, struct slice text, char to[static ATTEMPT_TEXT_MAX])
{
    int n = code ? snprintf(to, ATTEMPT_TEXT_MAX, "%u %.*s", code, SLICE_FMT(text))
                 : snprintf(to, ATTEMPT_TEXT_MAX, "%.*s", SLICE_FMT(text));

    return MIN_OF((size_t)MAX_OF(n, 0), (size_t)ATTEMPT_TEXT_MAX - 1);
}

/*
 * Of many recipients' replies one is the attempt's: pressure first, since it is about the host and
 * not about one mailbox, then the worst.
 */
static unsigned rank_of(enum smtp_outcome outcome, enum reply_class klass)
{
    if (outcome == SMTP_DELIVERED)
        return 1;
    if (outcome == SMTP_DEFERRED && (klass == REPLY_CAPACITY || klass == REPLY_RATE))
        return 4;
    return outcome == SMTP_FAILED ? 3 : 2;
}

void attempt_begin(struct transaction *t)
{
    struct attempt_told *a = &t->told;

    a->began_ms = loop_now_ms(t->worker->seams.loop);
    a->peer.len = a->local.len = 0;
    a->host[0] = '\0';
    a->tls = false;
    a->tls_version[0] = a->tls_cipher[0] = '\0';
    a->rank = 0;
    a->is_told = false;
}

void attempt_over(struct transaction *t, const struct conn *c)
{
    struct attempt_told *a = &t->told;
    const struct addr *local = stream_local(c->stream);

    a->peer = c->peer;
    a->local = *local;
    a->tls = stream_is_tls(c->stream);
    (void)snprintf(a->host, sizeof(a->host), "%s", c->host);
    if (!a->tls || !delivery_log_is_on())
        return;
    (void)snprintf(a->tls_version, sizeof(a->tls_version), "%s", stream_tls_version(c->stream));
    (void)snprintf(a->tls_cipher, sizeof(a->tls_cipher), "%s", stream_tls_cipher(c->stream));
}

void attempt_try(struct run *run)
{
    run->tried.began_ms = loop_now_ms(run->worker->seams.loop);
}

void attempt_take_tried(struct transaction *t, const struct run *run)
{
    if (run->has_tried)
        t->told = run->tried;
}

static void tell(struct transaction *t, size_t recipient, enum reply_class klass,
                 const struct smtp_result *r)
{
    struct attempt_told *a = &t->told;
    unsigned rank = rank_of(r->outcome, klass);

    if (rank <= a->rank)
        return;
    a->rank = rank;
    a->recipient = (uint32_t)recipient;
    a->klass = klass;
    a->phase = r->phase;
    a->code = (uint16_t)r->code;
    a->enhanced = r->enhanced;
    a->text_len = attempt_reply_text(r->code, r->text, a->text);
}

static struct reply_facts facts_of(const struct job *job, const struct smtp_result *r)
{
    return (struct reply_facts){.code = (uint16_t)r->code,
                                .enhanced = r->enhanced,
                                .phase = r->phase,
                                .err = r->err,
                                .text = r->text,
                                .provider = slice_str(job->provider)};
}

enum reply_class attempt_result(struct transaction *t, size_t batch_index,
                                const struct smtp_result *r)
{
    const struct job *job = t->entry->job;
    const struct reply_facts f = facts_of(job, r);
    enum reply_class klass = r->outcome == SMTP_DELIVERED ? REPLY_NONE : classify(job, &f);

    tell(t, t->batch_from + batch_index, klass, r);
    return klass;
}

void attempt_settled(struct transaction *t, enum smtp_outcome outcome, enum reply_class klass,
                     struct slice text)
{
    struct smtp_result r = {.outcome = outcome, .phase = SMTP_PHASE_CONNECT, .text = text};

    tell(t, MIN_OF(t->batch_from + t->batch_count, t->to_count - 1), klass, &r);
}

static void post(struct worker *w, const struct job *job, const struct attempt *a,
                 void (*deliver)(struct parcel *p, void *receiver))
{
    struct ledger_attempt *l = ledger_attempt_new(a);

    if (!l) {
        counter_add(COUNTER_EVIDENCE_LOST, 1);
        return;
    }
    l->owner = job->queue;
    l->lane = job->lane;
    l->parcel.deliver = deliver;
    mailbox_post_later(w->seams.queue, &l->parcel);
}

struct slice attempt_ip_text(const struct addr *a, char text[static ADDR_TEXT_MAX])
{
    if (a->len == 0)
        return (struct slice){0};
    addr_format_ip(a, text);
    return slice_str(text);
}

static struct attempt attempt_of(const struct job *job, const struct job_entry *entry)
{
    return (struct attempt){.queue_id = entry->id,
                            .arrival_ms = entry->arrival_ms,
                            .number = entry->attempts + 1,
                            .provider = slice_str(job->provider),
                            .source = slice_str(job->source),
                            .is_ours = !job->goes_by_mx};
}

static enum attempt_result worst_of(const struct transaction *t)
{
    return t->failed     ? ATTEMPT_RESULT_FAILED
           : t->deferred ? ATTEMPT_RESULT_DEFERRED
                         : ATTEMPT_RESULT_DELIVERED;
}

void attempt_end(struct transaction *t)
{
    const struct attempt_told *told = &t->told;
    const struct job *job = t->entry->job;
    struct attempt a = attempt_of(job, t->entry);
    char peer[ADDR_TEXT_MAX], local[ADDR_TEXT_MAX];

    if (told->is_told)
        return;
    a.latency_ms =
        (uint32_t)MIN_OF(loop_now_ms(t->worker->seams.loop) - told->began_ms, UINT32_MAX);
    a.result = worst_of(t);
    a.recipients = (uint32_t)t->to_count;
    a.delivered = (uint32_t)t->delivered;
    a.deferred = (uint32_t)t->deferred;
    a.failed = (uint32_t)t->failed;
    a.phase = told->phase;
    a.code = told->code;
    a.enhanced = told->enhanced;
    a.klass = told->klass;
    a.text = slice_make(told->text, told->text_len);
    a.recipient = t->to[told->recipient].address;
    a.domain = address_domain(a.recipient);
    a.host = slice_str(told->host);
    a.peer = attempt_ip_text(&told->peer, peer);
    a.local = attempt_ip_text(&told->local, local);
    a.sender = t->envelope.sender;
    a.message_id = t->has_looked ? header_text_slice(&t->scan.message_id) : (struct slice){0};
    a.tls = told->tls;
    post(t->worker, job, &a, queue_attempt_made);
}

/* Whether more than its code says what the reply means. */
static bool is_explicit(const struct job *job, const struct reply_facts *f)
{
    struct reply_verdict v;

    if (f->enhanced.klass == 5)
        return true;
    replies_explain(job->knowledge->replies, f, &v);
    return *v.rule != '\0';
}

void attempt_mailbox_refused(struct transaction *t, size_t batch_index, enum reply_class klass,
                             const struct smtp_result *r)
{
    const struct attempt_told *told = &t->told;
    const struct job *job = t->entry->job;
    const struct reply_facts f = facts_of(job, r);
    struct attempt a = attempt_of(job, t->entry);
    char text[ATTEMPT_TEXT_MAX], peer[ADDR_TEXT_MAX];

    if (!job->config->suppression.automatic)
        return;
    a.result = ATTEMPT_RESULT_FAILED;
    a.recipients = (uint32_t)t->batch_count;
    a.failed = 1;
    a.phase = r->phase;
    a.code = (uint16_t)r->code;
    a.enhanced = r->enhanced;
    a.text = slice_make(text, attempt_reply_text(r->code, r->text, text));
    a.klass = klass;
    a.is_explicit = is_explicit(job, &f);
    a.recipient = t->to[t->batch_from + batch_index].address;
    a.host = slice_str(told->host);
    a.peer = attempt_ip_text(&told->peer, peer);
    post(t->worker, job, &a, queue_mailbox_refused);
}

void attempt_no_session(struct run *run, const struct smtp_result *f, int err, const char *why)
{
    const struct job *job = run->job;
    struct attempt a;
    struct reply_facts facts = {.code = (uint16_t)(f ? f->code : 0),
                                .enhanced = f ? f->enhanced : SMTP_NO_ENHANCED,
                                .phase = f ? f->phase : SMTP_PHASE_CONNECT,
                                .err = f ? f->err : err,
                                .text = f && f->code ? f->text : slice_str(why),
                                .provider = slice_str(job->provider)};
    struct attempt_told *tried = &run->tried;
    char peer[ADDR_TEXT_MAX];

    if (run->at >= run->count || facts.err == -ECANCELED)
        return;
    run->has_tried = true;
    tried->is_told = true;
    tried->rank = UINT_MAX; /* nothing that is said of the whole tells more */
    tried->peer = run->step.addr;
    tried->phase = facts.phase;
    tried->code = facts.code;
    tried->enhanced = facts.enhanced;
    tried->klass = classify(job, &facts);
    tried->text_len = attempt_reply_text(facts.code, facts.text, tried->text);
    (void)snprintf(tried->host, sizeof(tried->host), "%s", run->step.name);
    a = attempt_of(job, &job->entries[run->at]);
    a.result = ATTEMPT_RESULT_DEFERRED;
    a.phase = tried->phase;
    a.code = tried->code;
    a.enhanced = tried->enhanced;
    a.klass = tried->klass;
    a.text = slice_make(tried->text, tried->text_len);
    if (!a.is_ours)
        a.domain = slice_str(job->name);
    a.host = slice_str(tried->host);
    a.peer = attempt_ip_text(&tried->peer, peer);
    a.latency_ms =
        (uint32_t)MIN_OF(loop_now_ms(run->worker->seams.loop) - tried->began_ms, UINT32_MAX);
    post(run->worker, job, &a, queue_attempt_made);
}
