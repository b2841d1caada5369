/*
 * deliver/queue_request.c - requests to the spool's writer, and what waits for them to be durable.
 */
#include <errno.h>
#include <stdlib.h>

#include "deliver/queue_int.h"
#include "event/event.h"

#define FREE_REQUESTS_MAX 256
#define FREE_REQUEST_BYTES_MAX KIB(4) /* of a mark, kept for the next one */

const char *queue_op_name(enum spool_op op)
{
    static const char *const names[] = {
        [SPOOL_OP_APPEND] = "append",       [SPOOL_OP_COMMIT] = "commit",
        [SPOOL_OP_ABORT] = "abort",         [SPOOL_OP_MARK] = "mark",
        [SPOOL_OP_REWRITE] = "rewrite",     [SPOOL_OP_REMOVE] = "remove",
        [SPOOL_OP_SET_ASIDE] = "set aside", [SPOOL_OP_SYNC] = "sync",
    };

    return names[op];
}

void queue_request_drop(struct queue_request *rq)
{
    struct queue *q = rq->queue;

    if (buf_len(&rq->bytes) > FREE_REQUEST_BYTES_MAX)
        buf_done(&rq->bytes);
    if (q->free_request_count >= FREE_REQUESTS_MAX) {
        buf_done(&rq->bytes);
        free(rq);
        return;
    }
    q->free_request_count++;
    list_add_head(&q->free_requests, &rq->node);
}

/*
 * A spool that has failed records nothing until it is opened again: whatever is sent now would be
 * sent again after the restart. So nothing is.
 */
static void note_failure(struct queue *q, int result)
{
    if (result != -ERR_FAILED || q->spool_has_failed)
        return;
    q->spool_has_failed = true;
    event(EVENT_SPOOL_ERROR, EVENT_NO_ID, EV_ERR("why", result),
          EV_STR("then", "no mail is sent until a restart, as its delivery could not be recorded"));
}

/* That a kept one is refused again was told when it was kept. */
static bool is_to_tell(const struct queue_request *rq)
{
    int r = rq->r.result;

    return r < 0 && r != -ENOENT && r != -E2BIG && !(rq->was_kept && queue_is_for_want_of_room(r));
}

static void request_answered(struct parcel *p, void *receiver)
{
    struct queue_request *rq = CONTAINER_OF(p, struct queue_request, r.parcel);
    struct queue *q = rq->queue;

    (void)receiver;
    q->requests--;
    list_del(&rq->node);
    if (queue_keep(rq)) {
        queue_fold_step(q);
        return;
    }
    if (rq->was_kept && rq->r.result == 0)
        queue_kept_taken(q);
    if (is_to_tell(rq))
        event(EVENT_SPOOL_ERROR, rq->r.id, EV_STR("request", queue_op_name(rq->r.op)),
              EV_ERR("why", rq->r.result));
    note_failure(q, rq->r.result);
    if (rq->answered)
        rq->answered(rq);
    queue_request_drop(rq);
    queue_fold_step(q);
}

struct queue_request *queue_request_new(struct queue *q, enum spool_op op, uint64_t id)
{
    struct list *node = list_pop(&q->free_requests);
    struct queue_request *rq;

    if (node) {
        rq = LIST_ENTRY(node, struct queue_request, node);
        q->free_request_count--;
        buf_clear(&rq->bytes);
    } else {
        rq = calloc(1, sizeof(*rq));
        if (!rq)
            return NULL;
        buf_init(&rq->bytes, SPOOL_ENVELOPE_MAX);
    }
    rq->r = (struct spool_request){
        .parcel.deliver = request_answered, .op = op, .id = id, .answer_to = q->seams.answers};
    rq->queue = q;
    list_init(&rq->node);
    rq->answered = NULL;
    rq->ctx = NULL;
    rq->ref = ENTRY_NONE;
    rq->kept_as = NOT_KEPT;
    rq->was_kept = false;
    return rq;
}

void queue_request_post(struct queue_request *rq)
{
    struct queue *q = rq->queue;

    q->requests++;
    q->is_unsynced = true;
    list_add_tail(&q->requests_out, &rq->node);
    q->seams.post(q->seams.ctx, &rq->r);
}

static void take_all(struct list *from, struct list *to)
{
    struct list *node;

    while ((node = list_pop(from)))
        list_add_tail(to, node);
}

static void tell_waiters(struct queue *q, int result)
{
    struct list told, *node;

    list_init(&told);
    take_all(&q->sync_waiters, &told);
    while ((node = list_pop(&told))) {
        struct queue_waiter *w = LIST_ENTRY(node, struct queue_waiter, node);

        w->fn(w, result);
    }
}

static void sync_answered(struct queue_request *rq)
{
    struct queue *q = rq->queue;
    int r = q->spool_has_failed ? -ERR_FAILED : rq->r.result;

    q->sync_is_out = false;
    if (r == 0 && queue_has_kept(q))
        r = -ENOSPC;
    if (r == 0 && queue_is_folding(q)) /* a mark is still to be written */
        take_all(&q->sync_waiters, &q->next_waiters);
    else
        tell_waiters(q, r);
    if (q->sync_again || !list_is_empty(&q->next_waiters))
        queue_sync(q);
}

void queue_sync(struct queue *q)
{
    struct queue_request *rq;

    q->sync_again = q->sync_is_out; /* that one may be too early for what came since */
    if (q->sync_is_out)
        return;
    take_all(&q->next_waiters, &q->sync_waiters);
    rq = queue_request_new(q, SPOOL_OP_SYNC, EVENT_NO_ID);
    if (!rq) {
        tell_waiters(q, -ENOMEM);
        return;
    }
    q->sync_is_out = true;
    rq->answered = sync_answered;
    queue_request_post(rq);
    q->is_unsynced = false;
}

void queue_wait_durable(struct queue *q, struct queue_waiter *w)
{
    if (q->sync_is_out && !q->is_unsynced) {
        list_add_tail(&q->sync_waiters, &w->node);
        return;
    }
    list_add_tail(&q->next_waiters, &w->node);
    queue_sync(q);
}

void queue_wait_cancel(struct queue_waiter *w)
{
    list_del(&w->node);
}
