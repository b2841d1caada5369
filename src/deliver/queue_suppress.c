/*
 * deliver/queue_suppress.c - recipients that are not tried any more.
 *
 *     worker --a mailbox refused for good--> queue_mailbox_refused() --> list, ledger
 *     job_fill(): the job has the list's filter --> worker: one of the entry's recipients is in it
 *         --ATTEMPT_SUPPRESSED--> queue_suppress_entry(): report durable, MARK or REMOVE
 *
 * Who is listed is known to the queue thread alone. A worker asks the filter, which is exact but for
 * a change at that moment, and gives the entry back untried: so a look costs no lock, most mail costs
 * the queue thread nothing, and what it finds is settled by the same door as a failure. Other
 * recipients of the entry go on when the mark is written.
 */
#include <errno.h>
#include <stdlib.h>

#include "config/config.h"
#include "deliver/queue_int.h"
#include "event/event.h"
#include "ledger/ledger.h"

#define EXPIRE_EVERY_MS 60000
#define EXPIRE_MAX 10000 /* entries in one step */
#define LATER_MS 60000
#define SUPPRESSED_CODE 550

int queue_suppress_init(struct queue *q)
{
    return suppressions_new(&q->suppress.list, q->rand);
}

void queue_suppress_done(struct queue *q)
{
    ledger_change_free(&q->suppress.change);
    suppressions_free(&q->suppress.list);
}

bool queue_has_suppressions(const struct queue *q)
{
    return q->seams.ledger != NULL;
}

/* ---- changes ---- */

/* What the ledger is told of one change. */
struct noting {
    struct ledger_change *change;
    bool has_failed;
};

static void note(struct noting *n, struct suppression *s, bool is_removal)
{
    n->has_failed |= !n->change || ledger_change_add(n->change, s, is_removal) < 0;
}

static void on_left(void *ctx, struct suppression *s)
{
    note(ctx, s, true);
}

static int add(struct queue *q, struct suppression *s, struct ledger_change *change,
               enum suppressions_added *ret)
{
    struct noting n = {.change = change};
    int r = suppressions_add(q->suppress.list, s, q->settings.config->suppression.entries_max, ret,
                             on_left, &n);

    if (r == 0 && *ret != SUPPRESSIONS_ALREADY)
        note(&n, s, false);
    return r < 0 ? r : n.has_failed ? -ENOMEM : 0;
}

static struct ledger_change *operators_change(struct queue *q)
{
    if (!q->suppress.change)
        q->suppress.change = ledger_change_new();
    return q->suppress.change;
}

int queue_suppress(struct queue *q, struct suppression *s, enum suppressions_added *ret)
{
    return add(q, s, operators_change(q), ret);
}

int queue_unsuppress(struct queue *q, struct slice address)
{
    struct suppression *s = suppressions_find(q->suppress.list, address);
    struct noting n = {.change = operators_change(q)};

    if (!s)
        return -ENOENT;
    note(&n, s, true);
    if (n.has_failed)
        return -ENOMEM;
    (void)suppressions_remove(q->suppress.list, address);
    return 0;
}

static void ignore_left(void *ctx, struct suppression *s)
{
    (void)ctx;
    (void)s;
}

int queue_restore_suppression(struct queue *q, struct suppression *s)
{
    enum suppressions_added added;
    int r = suppressions_add(q->suppress.list, s, q->settings.config->suppression.entries_max,
                             &added, ignore_left, NULL);

    return r == -ENOMEM ? r : 0;
}

/* ---- waiting for the ledger ---- */

struct waiting {
    struct queue *queue;
    struct list waiters;
};

static void change_answered(struct parcel *p, void *receiver)
{
    struct ledger_change *c = CONTAINER_OF(p, struct ledger_change, parcel);
    struct waiting *w = c->ctx;
    int result = c->result;
    struct list *node;

    (void)receiver;
    ledger_change_free(&c);
    w->queue->suppress.changes_out--;
    while ((node = list_pop(&w->waiters))) {
        struct queue_waiter *waiter = LIST_ENTRY(node, struct queue_waiter, node);

        waiter->fn(waiter, result);
    }
    free(w);
}

void queue_wait_suppressions(struct queue *q, struct queue_waiter *w)
{
    struct ledger_change *c = operators_change(q);
    struct waiting *waiting = calloc(1, sizeof(*waiting));

    list_init(&w->node);
    if (!c || !waiting || !q->seams.ledger) {
        free(waiting);
        w->fn(w, -ENOMEM);
        return;
    }
    q->suppress.change = NULL;
    waiting->queue = q;
    list_init(&waiting->waiters);
    list_add_tail(&waiting->waiters, &w->node);
    c->ctx = waiting;
    c->answered = change_answered;
    c->answer_to = q->seams.answers;
    q->suppress.changes_out++;
    ledger_post_change(q->seams.ledger, c);
}

/* ---- a host's words ---- */

static void list_by_itself(struct queue *q, struct suppression *s)
{
    const struct suppression_view *v = suppression_get(s);
    struct ledger_change *c = ledger_change_new();
    enum suppressions_added added;
    int r = c ? add(q, s, c, &added) : -ENOMEM;

    if (r == 0 && added == SUPPRESSIONS_ADDED) {
        event(EVENT_SUPPRESSION_ADDED, v->queue_id, EV_SLICE("address", v->address),
              EV_SLICE("host", v->host), EV_SLICE("reply", v->text));
        ledger_post_change(q->seams.ledger, c);
        return;
    }
    ledger_change_free(&c);
}

void queue_mailbox_refused(struct parcel *p, void *receiver)
{
    struct ledger_attempt *a = CONTAINER_OF(p, struct ledger_attempt, parcel);
    struct queue *q = a->owner;
    struct permanent_failure *f = NULL;

    (void)receiver;
    a->attempt.at_ms = queue_now(q);
    if (q->seams.ledger && permanent_failure_of(&a->attempt, &f)) {
        struct suppression *s = suppression_of_failure(&f);

        list_by_itself(q, s);
        suppression_unref(&s);
    }
    ledger_attempt_free(&a);
}

/* ---- mail to them ---- */

void queue_suppress_later(struct queue *q, entry_ref ref)
{
    ignore_result(schedule_set_due(q->schedule, ref, queue_now(q) + LATER_MS));
}

/* Those that are listed fail. 0, or the error. */
static int details_of_listed(struct settlement *s, struct slice destination)
{
    struct queue *q = s->queue;
    struct queue_message m;
    int r = queue_read_message(q, s->id, &m);

    if (r < 0)
        return r;
    s->details = attempt_details_new(m.envelope.recipient_count);
    for (size_t i = 0; s->details && i < m.envelope.recipient_count; i++) {
        const struct recipient *rcpt = &m.envelope.recipients[i];
        const struct suppression *listed;
        struct buf why = BUF_INIT(KIB(2));

        if (!queue_is_of_entry(q, rcpt, destination))
            continue;
        listed = suppressions_find(q->suppress.list, rcpt->address);
        if (listed) {
            suppression_reason(suppression_get(listed), &why);
            attempt_add(s->details, (uint32_t)i, RECIPIENT_FAILED, SUPPRESSED_CODE,
                        buf_slice(&why));
        } else {
            s->goes_on = true;
        }
        buf_done(&why);
    }
    queue_message_done(&m);
    return s->details ? 0 : -ENOMEM;
}

void queue_suppress_entry(struct queue *q, struct job_entry *entry)
{
    struct settlement *s = calloc(1, sizeof(*s));
    struct schedule_entry e;
    int r = -ENOMEM;

    schedule_return(q->schedule, entry->ref);
    if (s && schedule_get(q->schedule, entry->ref, &e)) {
        settlement_init(s, q, entry->ref, entry->id);
        s->is_claimed = s->is_suppression = s->is_ended = true;
        s->ended_by = TRACKING_EXPIRE; /* the queue's doing */
        r = details_of_listed(s, e.destination);
    }
    if (r == 0 && s->details->count > 0 && schedule_claim(q->schedule, entry->ref) == 0) {
        report_then_settle(s);
        return;
    }
    if (r < 0 && r != -ENOENT && r != -ERR_DAMAGED) /* which the next attempt finds out */
        queue_suppress_later(q, entry->ref);
    if (s)
        settlement_free(s);
}

/* In the ledger as an attempt that was none, so that `penstock trace` tells of it. */
static void keep(const struct settlement *s, const struct envelope *e, const struct recipient *rcpt,
                 const struct mark_result *result)
{
    struct attempt a = {.queue_id = s->id,
                        .arrival_ms = e->arrival_ms,
                        .at_ms = s->now_ms,
                        .number = rcpt->attempts + 1u,
                        .result = ATTEMPT_RESULT_FAILED,
                        .recipients = 1,
                        .failed = 1,
                        .code = result->code,
                        .text = result->text,
                        .klass = REPLY_OTHER,
                        .domain = address_domain(rcpt->address),
                        .recipient = rcpt->address,
                        .sender = e->sender,
                        .is_suppressed = true};
    const struct suppression *listed = suppressions_find(s->queue->suppress.list, rcpt->address);
    struct ledger_attempt *l;
    size_t used;

    (void)smtp_enhanced_parse(result->text, &a.enhanced, &used);
    if (listed && suppression_get(listed)->kind == SUPPRESSION_AUTOMATIC)
        a.klass = suppression_get(listed)->klass;
    l = s->queue->seams.ledger ? ledger_attempt_new(&a) : NULL;
    if (l)
        ledger_post_attempt(s->queue->seams.ledger, l);
}

void queue_suppress_tell(const struct settlement *s)
{
    struct queue_message m;

    if (queue_read_message(s->queue, s->id, &m) < 0)
        return;
    for (size_t i = 0; i < s->details->count; i++) {
        const struct mark_result *result = &s->details->results[i];
        const struct recipient *rcpt;

        if (result->state != RECIPIENT_FAILED || result->recipient >= m.envelope.recipient_count)
            continue;
        rcpt = &m.envelope.recipients[result->recipient];
        event(EVENT_RECIPIENT_SUPPRESSED, s->id, EV_SLICE("from", m.envelope.sender),
              EV_SLICE("to", rcpt->address), EV_SLICE("why", result->text));
        keep(s, &m.envelope, rcpt, result);
    }
    queue_message_done(&m);
}

/* ---- old entries ---- */

int64_t queue_suppress_step(struct queue *q)
{
    uint64_t age_ms = q->settings.config->suppression.age_max_s * 1000;
    int64_t now_ms = queue_now(q);

    if (age_ms == 0 ||
        suppressions_count(q->suppress.list) == suppressions_count_operator(q->suppress.list))
        return SCHEDULE_NEVER;
    if (now_ms < q->suppress.expire_ms && q->suppress.expire_ms <= now_ms + EXPIRE_EVERY_MS)
        return q->suppress.expire_ms;
    q->suppress.expire_ms = now_ms + EXPIRE_EVERY_MS;
    if (suppressions_expire(q->suppress.list, now_ms - (int64_t)age_ms, EXPIRE_MAX) == EXPIRE_MAX)
        q->suppress.expire_ms = now_ms;
    return q->suppress.expire_ms;
}
