/*
 * deliver/queue_fold.c - marks of a message, and what is done when the spool has no more room for
 * them: they are folded into the envelope, which is written anew (SPOOL_OP_REWRITE).
 *
 *     queue_post_mark() -> MARK --room--> written
 *                            `--E2BIG--> fold: waits till no other request of that message is out,
 *                                        reads it, applies its marks and the new one -> REWRITE
 *
 * Marks that come for the message meanwhile join the fold, so that none is overtaken. Where the
 * spool has no room for the envelope either, the fold waits (queue_kept.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "deliver/queue_int.h"
#include "event/event.h"

/* Reply texts of many recipients go when the envelope would be over this. */
#define FOLDED_BYTES_MAX (SPOOL_ENVELOPE_MAX / 2)
#define FOLD_MARKS_MAX MIB(8)

/* An entry that several marks have claimed: while one of them is not written, it stays so. */
struct shared_claim {
    struct list node;
    entry_ref ref;
    uint32_t marks;
};

struct fold {
    struct list node;
    struct queue *queue;
    uint64_t id;
    bool is_out, waits;     /* for the spool's answer; for room in the spool */
    bool was_kept;          /* it has waited for room */
    size_t kept_bytes;      /* counted while it waits */
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

bool queue_share_claim(struct queue *q, entry_ref ref, uint32_t marks)
{
    struct shared_claim *c;

    if (marks == 1)
        return true;
    c = calloc(1, sizeof(*c));
    if (!c)
        return false;
    *c = (struct shared_claim){.ref = ref, .marks = marks};
    list_add_tail(&q->shared_claims, &c->node);
    return true;
}

/* A mark of the entry is written, or never will be; with the last of them it goes on. */
static void release_claim(struct queue *q, entry_ref ref)
{
    if (ref == ENTRY_NONE)
        return;
    LIST_FOR(node, &q->shared_claims)
    {
        struct shared_claim *c = LIST_ENTRY(node, struct shared_claim, node);

        if (c->ref != ref)
            continue;
        if (--c->marks > 0)
            return;
        list_del(&c->node);
        free(c);
        break;
    }
    schedule_unclaim(q->schedule, ref, false);
}

/* The marks of these entries are written, or never will be. */
static void release_entries(struct queue *q, struct buf *refs)
{
    struct cursor c = cursor_make(buf_slice(refs));

    while (!cursor_at_end(&c))
        release_claim(q, cursor_u32(&c));
    buf_clear(refs);
}

static void join(struct fold *f, struct slice mark, entry_ref ref)
{
    size_t before = buf_len(&f->marks), bytes = mark.len + 2 * sizeof(uint32_t);
    bool fits = !f->waits || queue_keep_bytes(f->queue, bytes);

    if (f->waits && fits)
        f->kept_bytes += bytes;
    if (!fits || buf_add_u32(&f->marks, (uint32_t)mark.len) < 0 || buf_add(&f->marks, mark) < 0) {
        buf_truncate(&f->marks, before);
        event(EVENT_SPOOL_ERROR, f->id, EV_STR("request", "mark"), EV_ERR("why", -ENOMEM));
    }
    if (ref != ENTRY_NONE && buf_add_u32(&f->refs, ref) < 0)
        release_claim(f->queue, ref);
}

/* What is to be written becomes what is on its way, and the other way round. */
static void swap_out(struct fold *f)
{
    struct buf marks = f->marks_out, refs = f->refs_out;

    f->marks_out = f->marks;
    f->marks = marks;
    f->refs_out = f->refs;
    f->refs = refs;
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

/* All of it waits for room: what was to be written, and what joined since. */
static bool keep(struct fold *f)
{
    struct queue *q = f->queue;
    size_t refs_before = buf_len(&f->refs_out);
    size_t bytes =
        sizeof(*f) + buf_len(&f->marks_out) + buf_len(&f->marks) + refs_before + buf_len(&f->refs);

    if (!queue_keep_bytes(q, bytes))
        return false;
    if (buf_add(&f->marks_out, buf_slice(&f->marks)) < 0 ||
        buf_add(&f->refs_out, buf_slice(&f->refs)) < 0) {
        buf_truncate(&f->refs_out, refs_before);
        q->kept.bytes -= bytes;
        return false;
    }
    swap_out(f);
    buf_clear(&f->marks_out);
    buf_clear(&f->refs_out);
    f->kept_bytes = bytes;
    f->waits = f->was_kept = true;
    q->kept.folds++;
    list_del(&f->node);
    list_add_tail(&q->folds, &f->node);
    return true;
}

static void folded(struct queue_request *rq)
{
    struct fold *f = rq->ctx;

    f->is_out = false;
    if (queue_is_for_want_of_room(rq->r.result) && keep(f))
        return;
    if (f->was_kept && rq->r.result == 0)
        queue_kept_taken(f->queue);
    buf_clear(&f->marks_out);
    release_entries(f->queue, &f->refs_out);
    if (buf_len(&f->marks) == 0)
        fold_free(f);
}

static void fold_start(struct fold *f)
{
    struct queue *q = f->queue;
    struct queue_request *rq = queue_request_new(q, SPOOL_OP_REWRITE, f->id);
    int r;

    swap_out(f);
    r = rq ? encode_folded(f, &rq->bytes) : -ENOMEM;
    if (r == 0) {
        f->is_out = true;
        rq->ctx = f;
        rq->was_kept = f->was_kept;
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

        if (!f->is_out && !f->waits && !is_request_out(q, f->id))
            fold_start(f);
    }
}

void queue_fold_resume(struct queue *q)
{
    LIST_FOR(node, &q->folds)
    {
        struct fold *f = LIST_ENTRY(node, struct fold, node);

        if (!f->waits)
            continue;
        f->waits = false;
        q->kept.folds--;
        q->kept.bytes -= f->kept_bytes;
        queue_fold_step(q);
        return;
    }
}

bool queue_is_folding(const struct queue *q)
{
    LIST_FOR(node, &q->folds)
    if (!LIST_ENTRY(node, struct fold, node)->waits)
        return true;
    return false;
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
    else
        release_claim(q, rq->ref);
}

static enum keeping keeping_of(const struct mark *m)
{
    if (m->kind == MARK_HOLD || m->kind == MARK_RELEASE)
        return KEPT_HOLD;
    for (size_t i = 0; m->kind == MARK_ATTEMPT && i < m->result_count; i++)
        if (m->results[i].state != RECIPIENT_PENDING)
            return KEPT;
    return m->kind == MARK_ATTEMPT ? NOT_KEPT : KEPT;
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
        release_claim(q, ref);
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
    rq->kept_as = keeping_of(m);
    rq->answered = mark_answered;
    queue_request_post(rq);
}
