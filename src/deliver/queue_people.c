/*
 * deliver/queue_people.c - what operators ask of the queue: listings and actions.
 *
 * Both walk the schedule from a cursor and look into the spool only where they must; the bounds of
 * queue.h keep one call short, since the queue thread has mail to move.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "deliver/destination.h"
#include "deliver/queue_int.h"
#include "deliver/track.h"
#include "event/event.h"

static int decode_message(struct queue_message *m)
{
    int r = envelope_decode(buf_slice(&m->envelope_bytes), NULL, 0, &m->envelope);

    if (r == -ENOBUFS) {
        m->recipients = calloc(m->envelope.recipient_count, sizeof(*m->recipients));
        if (!m->recipients)
            return -ENOMEM;
        r = envelope_decode(buf_slice(&m->envelope_bytes), m->recipients,
                            m->envelope.recipient_count, &m->envelope);
    }
    if (r == 0) /* damage in the marks loses what follows it, not the message */
        ignore_result(envelope_apply_marks(&m->envelope, buf_slice(&m->marks)));
    return r;
}

int queue_read_message(struct queue *q, uint64_t id, struct queue_message *ret)
{
    struct queue_message m = {.id = id,
                              .envelope_bytes = BUF_INIT(SPOOL_ENVELOPE_MAX),
                              .marks = BUF_INIT(SPOOL_ENVELOPE_MAX * 8)};
    struct spool_reader reader;
    int r = spool_read(q->spool, id, false, &reader, &m.envelope_bytes, &m.marks);

    if (r == 0) {
        spool_read_done(&reader);
        r = decode_message(&m);
    }
    if (r < 0) {
        queue_message_done(&m);
        return r;
    }
    *ret = m;
    return 0;
}

void queue_message_done(struct queue_message *m)
{
    buf_done(&m->envelope_bytes);
    buf_done(&m->marks);
    free(m->recipients);
    m->recipients = NULL;
}

/* ---- filters ---- */

static bool contains_case(struct slice text, struct slice part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (slice_has_prefix_case(slice_from(text, i), part))
            return true;
    return part.len == 0;
}

static bool entry_matches(const struct queue_filter *f, const struct schedule_entry *e,
                          int64_t now_ms)
{
    int64_t age_ms = now_ms - e->arrival_ms;

    if (f->id && e->id != f->id)
        return false;
    if (f->destination.len && !slice_eq_case(f->destination, destination_of_key(e->destination)))
        return false;
    if (f->older_than_ms && age_ms < f->older_than_ms)
        return false;
    if (f->younger_than_ms && age_ms > f->younger_than_ms)
        return false;
    if (f->held_only && e->state != ENTRY_HELD)
        return false;
    return !f->deferred_only || (e->state == ENTRY_WAITING && e->attempts > 0);
}

bool queue_is_of_entry(const struct queue *q, const struct recipient *rcpt, struct slice dest)
{
    return rcpt->state == RECIPIENT_PENDING &&
           slice_eq_case(queue_destination_of(q, rcpt), destination_of_key(dest));
}

static bool envelope_matches(const struct queue *q, const struct queue_filter *f,
                             const struct envelope *e, struct slice destination)
{
    if (!contains_case(e->sender, f->sender))
        return false;
    if (f->recipient.len == 0)
        return true;
    for (size_t i = 0; i < e->recipient_count; i++)
        if (queue_is_of_entry(q, &e->recipients[i], destination) &&
            contains_case(e->recipients[i].address, f->recipient))
            return true;
    return false;
}

/* What one call does with each match; false ends the walk. */
typedef bool match_fn(void *ctx, const struct schedule_entry *entry,
                      const struct queue_message *message);

struct walking {
    struct queue *q;
    const struct queue_filter *f;
    bool read, by_envelope;
    int64_t now_ms;
    size_t reads, matched;
    match_fn *fn;
    void *ctx;
};

/* False: the caller has enough. */
static bool visit(struct walking *w, const struct schedule_entry *e)
{
    struct queue_message m = {0};
    bool have = false, go_on = true;

    if (!entry_matches(w->f, e, w->now_ms))
        return true;
    if (w->read || w->by_envelope) {
        have = queue_read_message(w->q, e->id, &m) == 0;
        w->reads++;
    }
    if (!w->by_envelope || (have && envelope_matches(w->q, w->f, &m.envelope, e->destination))) {
        w->matched++;
        go_on = w->fn(w->ctx, e, have ? &m : NULL);
    }
    if (have)
        queue_message_done(&m);
    return go_on;
}

/* The entries of one message, found without a look at all others. */
static void walk_message(struct walking *w, uint64_t id)
{
    size_t count = schedule_find(w->q->schedule, id, NULL, 0);
    entry_ref *refs = calloc(count + 1, sizeof(*refs));
    struct schedule_entry e;
    bool go_on = refs != NULL;

    if (refs)
        (void)schedule_find(w->q->schedule, id, refs, count);
    for (size_t i = 0; i < count && go_on; i++)
        if (schedule_get(w->q->schedule, refs[i], &e))
            go_on = visit(w, &e);
    free(refs);
}

/* True: there may be more after *cursor. */
static bool walk(struct queue *q, const struct queue_filter *f, bool read, size_t limit,
                 uint32_t *cursor, match_fn *fn, void *ctx)
{
    struct walking w = {.q = q,
                        .f = f,
                        .read = read,
                        .by_envelope = f->sender.len || f->recipient.len,
                        .now_ms = queue_now(q),
                        .fn = fn,
                        .ctx = ctx};
    struct schedule_entry e;
    size_t seen = 0;

    if (f->id) {
        walk_message(&w, f->id);
        return false;
    }
    while (schedule_next_entry(q->schedule, cursor, &e))
        if (!visit(&w, &e) || w.matched == limit || ++seen == QUEUE_SCAN_MAX ||
            w.reads == QUEUE_READ_MAX)
            return true;
    return false;
}

/* ---- listing ---- */

static const char *state_name(const struct schedule_entry *e)
{
    switch (e->state) {
    case ENTRY_READY:
        return "ready";
    case ENTRY_ACTIVE:
        return "active";
    case ENTRY_HELD:
        return "held";
    case ENTRY_WAITING:
    default:
        return "deferred";
    }
}

struct listing {
    bool (*fn)(void *ctx, const struct queue_item *item);
    void *ctx;
};

static bool list_one(void *ctx, const struct schedule_entry *e, const struct queue_message *m)
{
    const struct listing *l = ctx;
    struct queue_item item = {.id = e->id,
                              .destination = destination_of_key(e->destination),
                              .state = state_name(e),
                              .arrival_ms = e->arrival_ms,
                              .due_ms = e->due_ms,
                              .attempts = e->attempts,
                              .envelope = m ? &m->envelope : NULL};

    return l->fn(l->ctx, &item);
}

bool queue_list(struct queue *q, const struct queue_filter *filter, bool details, size_t limit,
                uint32_t *cursor, bool (*fn)(void *ctx, const struct queue_item *item), void *ctx)
{
    struct listing l = {fn, ctx};

    return walk(q, filter, details, limit, cursor, list_one, &l);
}

/* ---- actions ---- */

struct acting {
    struct queue *q;
    enum queue_action action;
    struct queue_action_result *result;
};

/* Held or released for good: a mark, so that a restart remembers. */
static void mark_hold(struct queue *q, uint64_t id, enum mark_kind kind)
{
    struct mark m = {.kind = kind, .at_ms = queue_now(q)};

    queue_post_mark(q, id, &m, ENTRY_NONE);
}

/* Ends the entry's pending recipients with `state`, through the same door as a delivery attempt. */
static int end_by_operator(struct acting *a, const struct schedule_entry *e,
                           enum recipient_state state, const char *text)
{
    struct queue *q = a->q;
    struct settlement *s = calloc(1, sizeof(*s));
    struct queue_message m;
    int r = s ? queue_read_message(q, e->id, &m) : -ENOMEM;

    if (r < 0) {
        free(s);
        return r;
    }
    settlement_init(s, q, e->ref, e->id);
    s->is_claimed = true;
    s->was_held = e->state == ENTRY_HELD;
    s->is_ended = true;
    s->ended_by = TRACKING_REMOVE;
    s->details = attempt_details_new(m.envelope.recipient_count);
    r = s->details ? schedule_claim(q->schedule, e->ref) : -ENOMEM;
    for (size_t i = 0; r == 0 && i < m.envelope.recipient_count; i++)
        if (queue_is_of_entry(q, &m.envelope.recipients[i], e->destination))
            attempt_add(s->details, (uint32_t)i, state, 0, slice_str(text));
    queue_message_done(&m);
    if (r < 0)
        settlement_free(s);
    else
        report_then_settle(s);
    return r;
}

/* Holding and releasing are the whole message's. -EBUSY: an entry of it is being sent. */
static int hold_or_release(struct queue *q, uint64_t id, bool hold)
{
    size_t count = schedule_find(q->schedule, id, NULL, 0), changed = 0;
    entry_ref *refs = calloc(count + 1, sizeof(*refs));
    struct schedule_entry e;
    int r = 0;

    if (!refs)
        return -ENOMEM;
    (void)schedule_find(q->schedule, id, refs, count);
    for (size_t i = 0; i < count; i++) {
        if (!schedule_get(q->schedule, refs[i], &e) || (e.state == ENTRY_HELD) == hold)
            continue;
        if (e.state == ENTRY_ACTIVE) {
            r = hold ? -EBUSY : r;
            continue;
        }
        changed++;
        if (hold)
            ignore_result(schedule_hold(q->schedule, refs[i]));
        else
            ignore_result(schedule_release_hold(q->schedule, refs[i], queue_now(q)));
    }
    free(refs);
    if (changed)
        mark_hold(q, id, hold ? MARK_HOLD : MARK_RELEASE);
    return r;
}

static int act(struct acting *a, const struct schedule_entry *e)
{
    struct schedule *s = a->q->schedule;

    if (e->state == ENTRY_ACTIVE)
        return -EBUSY;
    switch (a->action) {
    case QUEUE_RETRY:
        return e->state == ENTRY_HELD ? 0 : schedule_set_due(s, e->ref, queue_now(a->q));
    case QUEUE_HOLD:
        return hold_or_release(a->q, e->id, true);
    case QUEUE_RELEASE:
        return hold_or_release(a->q, e->id, false);
    case QUEUE_BOUNCE:
        return end_by_operator(a, e, RECIPIENT_FAILED,
                               "the administrator of this server returned the message");
    case QUEUE_REMOVE:
    default:
        return end_by_operator(a, e, RECIPIENT_REMOVED, "removed by the administrator");
    }
}

static const char *action_name(enum queue_action action)
{
    static const char *const names[] = {"retry", "hold", "release", "bounce", "remove"};

    return names[action];
}

static bool act_on_one(void *ctx, const struct schedule_entry *e, const struct queue_message *m)
{
    struct acting *a = ctx;
    uint8_t copy[JOB_NAME_MAX];
    struct slice name = destination_of_key(e->destination);
    struct slice destination = slice_make(copy, MIN_OF(name.len, sizeof(copy)));
    int r;

    (void)m;
    if (destination.len) /* the destination may go with its last entry */
        memcpy(copy, name.ptr, destination.len);
    r = act(a, e);
    a->result->matched++;
    a->result->done += r == 0;
    a->result->busy += r == -EBUSY;
    if (r == 0 && a->action == QUEUE_REMOVE)
        counter_add(COUNTER_MESSAGES_REMOVED, 1);
    event(EVENT_QUEUE_ACTION, e->id, EV_STR("action", action_name(a->action)),
          EV_SLICE("destination", destination), EV_ERR("result", r));
    return true;
}

bool queue_act(struct queue *q, const struct queue_filter *filter, enum queue_action action,
               uint32_t *cursor, struct queue_action_result *ret)
{
    struct acting a = {q, action, ret};
    /* To end a message it is read first. The others are quicker, yet more than a look. */
    bool reads = action == QUEUE_BOUNCE || action == QUEUE_REMOVE, more;

    *ret = (struct queue_action_result){0};
    more =
        walk(q, filter, false, reads ? QUEUE_ACT_MAX / 8 : QUEUE_ACT_MAX, cursor, act_on_one, &a);
    if (ret->done > 0 && action != QUEUE_RETRY) /* what an operator did is durable at once */
        queue_sync(q);
    return more;
}
