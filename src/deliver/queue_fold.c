/*
 * deliver/queue_fold.c - marks of a message, and what is done when the spool has no more room for
 * them: they are folded into the envelope, which is written anew (SPOOL_OP_REWRITE).
 *
 *     queue_post_mark() -> MARK --room--> written
 *                            `--E2BIG--> fold: waits till no other request of that message is out,
 *                                        reads it, applies its marks and the new one -> REWRITE
 *
 * Marks that come for the message meanwhile join the fold, so that none is overtaken.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "deliver/queue_int.h"
#include "event/event.h"

/* Reply texts of many recipients go when the envelope would be over this. */
#define FOLDED_BYTES_MAX (SPOOL_ENVELOPE_MAX / 2)
#define FOLD_MARKS_MAX MIB(8)

struct fold {
    struct list node;
    struct queue *queue;
    uint64_t id;
    bool is_out;
    struct buf marks, refs; /* to be written: each with its length before it; u32 entries */
    struct buf marks_out, refs_out;
};

static struct fold *find_fold(struct queue *q, uint64_t id)
{
    LIST_FOR(node, &q->folds)
    {
        struct fold *f = LIST_ENTRY(node, struct fold, node);

        if (f->id == id)
            return f;
    }
    return NULL;
}

static struct fold *fold_new(struct queue *q, uint64_t id)
{
    struct fold *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->queue = q;
    f->id = id;
    buf_init(&f->marks, FOLD_MARKS_MAX);
    buf_init(&f->marks_out, FOLD_MARKS_MAX);
    buf_init(&f->refs, FOLD_MARKS_MAX);
    buf_init(&f->refs_out, FOLD_MARKS_MAX);
    list_add_tail(&q->folds, &f->node);
    return f;
}

static void fold_free(struct fold *f)
{
    list_del(&f->node);
    buf_done(&f->marks);
    buf_done(&f->marks_out);
    buf_done(&f->refs);
    buf_done(&f->refs_out);
    free(f);
}

/* The marks of these entries are written, or never will be: they may go on. */
static void release_entries(struct queue *q, struct buf *refs)
{
    struct cursor c = cursor_make(buf_slice(refs));

    while (!cursor_at_end(&c))
        schedule_unclaim(q->schedule, cursor_u32(&c), false);
    buf_clear(refs);
}

static void join(struct fold *f, struct slice mark, entry_ref ref)
{
    size_t before = buf_len(&f->marks);

    if (buf_add_u32(&f->marks, (uint32_t)mark.len) < 0 || buf_add(&f->marks, mark) < 0) {
        buf_truncate(&f->marks, before);
        event(EVENT_SPOOL_ERROR, f->id, EV_STR("request", "mark"), EV_ERR("why", -ENOMEM));
    }
    if (ref != ENTRY_NONE && buf_add_u32(&f->refs, ref) < 0)
        schedule_unclaim(f->queue->schedule, ref, false);
}

static void drop_texts(struct envelope *e)
{
    for (size_t i = 0; i < e->recipient_count; i++)
        e->recipients[i].last_text = slice_make(NULL, 0);
}

/* The message's envelope with its old marks and the fold's. */
static int encode_folded(struct fold *f, struct buf *to)
{
    struct queue_message m;
    int r = queue_read_message(f->queue, f->id, &m);

    if (r < 0)
        return r;
    ignore_result(envelope_apply_marks(&m.envelope, buf_slice(&f->marks_out)));
    r = envelope_encode(&m.envelope, to);
    if (r == -E2BIG || (r == 0 && buf_len(to) > FOLDED_BYTES_MAX)) {
        buf_clear(to);
        drop_texts(&m.envelope);
        r = envelope_encode(&m.envelope, to);
    }
    queue_message_done(&m);
    return r;
}

static void folded(struct queue_request *rq)
{
    struct fold *f = rq->ctx;

    f->is_out = false;
    buf_clear(&f->marks_out);
    release_entries(f->queue, &f->refs_out);
    if (buf_len(&f->marks) == 0)
        fold_free(f);
}

static void fold_start(struct fold *f)
{
    struct queue *q = f->queue;
    struct queue_request *rq = queue_request_new(q, SPOOL_OP_REWRITE, f->id);
    struct buf marks = f->marks_out, refs = f->refs_out;
    int r;

    f->marks_out = f->marks;
    f->marks = marks;
    f->refs_out = f->refs;
    f->refs = refs;
    r = rq ? encode_folded(f, &rq->bytes) : -ENOMEM;
    if (r == 0) {
        f->is_out = true;
        rq->ctx = f;
        rq->answered = folded;
        rq->r.data = buf_slice(&rq->bytes);
        queue_request_post(rq);
        return;
    }
    if (r != -ENOENT)
        event(EVENT_SPOOL_ERROR, f->id, EV_STR("request", "rewrite"), EV_ERR("why", r));
    if (rq)
        queue_request_drop(rq);
    release_entries(q, &f->refs_out);
    fold_free(f);
}

static bool is_request_out(const struct queue *q, uint64_t id)
{
    LIST_FOR(node, &q->requests_out)
    if (LIST_ENTRY(node, struct queue_request, node)->r.id == id)
        return true;
    return false;
}

void queue_fold_step(struct queue *q)
{
    LIST_FOR_SAFE(node, next, &q->folds)
    {
        struct fold *f = LIST_ENTRY(node, struct fold, node);

        if (!f->is_out && !is_request_out(q, f->id))
            fold_start(f);
    }
}

static void mark_answered(struct queue_request *rq)
{
    struct queue *q = rq->queue;
    struct fold *f = NULL;

    if (rq->r.result == -E2BIG) {
        f = find_fold(q, rq->r.id);
        if (!f)
            f = fold_new(q, rq->r.id);
    }
    if (f)
        join(f, rq->r.data, rq->ref);
    else if (rq->ref != ENTRY_NONE)
        schedule_unclaim(q->schedule, rq->ref, false);
}

void queue_post_mark(struct queue *q, uint64_t id, const struct mark *m, entry_ref ref)
{
    struct queue_request *rq = queue_request_new(q, SPOOL_OP_MARK, id);
    struct fold *f;

    /* Without memory for it the mark is not kept: the attempt is forgotten and the mail is tried
     * again, which is the safe side. */
    if (!rq || mark_encode(m, &rq->bytes) < 0) {
        event(EVENT_SPOOL_ERROR, id, EV_STR("request", "mark"), EV_ERR("why", -ENOMEM));
        if (rq)
            queue_request_drop(rq);
        if (ref != ENTRY_NONE)
            schedule_unclaim(q->schedule, ref, false);
        return;
    }
    rq->r.data = buf_slice(&rq->bytes);
    f = find_fold(q, id);
    if (f) {
        join(f, rq->r.data, ref);
        queue_request_drop(rq);
        return;
    }
    rq->ref = ref;
    rq->answered = mark_answered;
    queue_request_post(rq);
}
