/*
 * deliver/queue_kept.c - what the spool had no room for, kept in memory and written later.
 *
 * A disk that others fill to the last byte takes the drain reserve's marks, then a last segment's
 * worth of removals, and then nothing. What had settled a recipient must not be forgotten then, or
 * that recipient gets the mail again: the request waits here, the entry it had claimed stays
 * claimed, and it is posted again every KEPT_RETRY_MS, more at once as long as the spool takes
 * them.
 *
 *     queue_request_post() -> spool --no room--> kept --KEPT_RETRY_MS, or another was taken--.
 *             ^                                                                             |
 *             `-----------------------------------------------------------------------------'
 *
 * The order of what is kept does not matter: marks that are kept concern recipients that no other
 * mark does until they are written (their entry is claimed, or has ended), and one that holds or
 * releases a message says what is true when it is posted. A mark that only defers is not kept: it
 * would tell a restart when to try next, and no more.
 */
#include <errno.h>
#include <stdlib.h>

#include "deliver/queue_int.h"
#include "event/event.h"

#define KEPT_RETRY_MS 1000
#define KEPT_POSTED_AT_ONCE 64

bool queue_is_for_want_of_room(int result)
{
    return result == -ENOSPC || result == -ENOMEM;
}

bool queue_keep_bytes(struct queue *q, size_t bytes)
{
    if (q->stopping || q->kept.bytes + bytes > QUEUE_KEPT_BYTES_MAX)
        return false;
    q->kept.bytes += bytes;
    q->kept.due_ms = queue_now(q) + KEPT_RETRY_MS;
    return true;
}

static size_t bytes_of(const struct queue_request *rq)
{
    return sizeof(*rq) + buf_len(&rq->bytes);
}

bool queue_keep(struct queue_request *rq)
{
    struct queue *q = rq->queue;
    bool is_first = !queue_has_kept(q);

    if (rq->kept_as == NOT_KEPT || !queue_is_for_want_of_room(rq->r.result) ||
        !queue_keep_bytes(q, bytes_of(rq)))
        return false;
    /* Removals come first: they make room, and have a last segment for themselves. */
    if (rq->r.op == SPOOL_OP_REMOVE)
        list_add_head(&q->kept.requests, &rq->node);
    else
        list_add_tail(&q->kept.requests, &rq->node);
    if (is_first)
        event(EVENT_SPOOL_ERROR, rq->r.id, EV_STR("request", queue_op_name(rq->r.op)),
              EV_ERR("why", rq->r.result),
              EV_STR("then", "kept in memory, as all that follow, until there is room"));
    return true;
}

bool queue_has_kept(const struct queue *q)
{
    return q->kept.folds > 0 || !list_is_empty(&q->kept.requests);
}

/* Whether the message is held may have changed since the mark was made. */
static void renew_hold(struct queue_request *rq)
{
    struct queue *q = rq->queue;
    struct mark m = {.at_ms = queue_now(q)};
    struct schedule_entry e;
    entry_ref ref;

    if (schedule_find(q->schedule, rq->r.id, &ref, 1) == 0 || !schedule_get(q->schedule, ref, &e) ||
        e.state == ENTRY_ACTIVE)
        return;
    m.kind = e.state == ENTRY_HELD ? MARK_HOLD : MARK_RELEASE;
    buf_clear(&rq->bytes);
    ignore_result(mark_encode(&m, &rq->bytes)); /* as long as before: there is room */
    rq->r.data = buf_slice(&rq->bytes);
}

static bool post_one(struct queue *q)
{
    struct list *node = list_pop(&q->kept.requests);
    struct queue_request *rq;

    if (!node)
        return false;
    rq = LIST_ENTRY(node, struct queue_request, node);
    q->kept.bytes -= bytes_of(rq);
    rq->was_kept = true;
    if (rq->kept_as == KEPT_HOLD)
        renew_hold(rq);
    queue_request_post(rq);
    return true;
}

void queue_kept_taken(struct queue *q)
{
    q->kept.due_ms = queue_now(q);
}

int64_t queue_kept_step(struct queue *q)
{
    int64_t now_ms = queue_now(q);

    if (!queue_has_kept(q))
        return SCHEDULE_NEVER;
    if (q->kept.due_ms > now_ms + KEPT_RETRY_MS) /* the clock was set back */
        q->kept.due_ms = now_ms;
    if (now_ms < q->kept.due_ms)
        return q->kept.due_ms;
    q->kept.due_ms = now_ms + KEPT_RETRY_MS;
    for (size_t i = 0; i < KEPT_POSTED_AT_ONCE && post_one(q); i++)
        ;
    queue_fold_resume(q);
    return q->kept.due_ms;
}

void queue_kept_flush(struct queue *q)
{
    while (post_one(q))
        ;
    while (q->kept.folds > 0)
        queue_fold_resume(q);
}
