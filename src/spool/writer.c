/*
 * spool/writer.c - one thread, one loop: take what was posted, append it, sync when the group is
 * ripe, answer.
 *
 *     idle --request--> gathering --ripe: delay over, batch full, nobody else under way--> sync
 *       ^                                                                                   |
 *       `--------------------- background work while nothing waits <------------------------'
 */
#include "spool/writer.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "event/event.h"
#include "io/thread.h"
#include "spool/spool_int.h"

#define TICK_BYTES KIB(512) /* of background work or relief in one piece */
#define TICK_BUSY_EVERY 8   /* syncs between background steps while requests keep coming */
#define BOXES_MAX 32        /* loops whose wake-ups are saved up; more are woken answer by answer */
#define IDLE_NS (UINT64_C(1000) * NS_PER_MS)

struct spool_writer {
    struct spool *sp;
    struct mailbox *box;
    struct mailbox *call_box; /* tells spool_writer_call() that its call is done */
    struct lock call_lock;    /* one call at a time */
    struct thread thread;
    _Atomic uint32_t delay_us, lazy_ms;
    _Atomic uint64_t batch_bytes;
    _Atomic int64_t under_way;    /* sessions in the middle of a message */
    _Atomic uint64_t uncommitted; /* bytes posted, or appended and not yet synced */
    atomic_bool relief_ended;     /* for good */

    /* The thread's own. */
    struct spool_request *waiting, **waiting_end; /* commits of the group */
    struct spool_request *marks, **marks_end;     /* appended, to be answered after the sync */
    uint64_t group_ns;                            /* when its first commit came */
    uint64_t group_bytes;
    uint64_t unsynced;            /* the part of `uncommitted` that is appended */
    struct spool_request *relief; /* under way, or NULL */
    uint64_t lazy_ns;             /* when the first mark or removal not yet synced came; 0: none */
    uint32_t syncs_since_tick;
    int tick_error; /* of the last background step; 0: none */
    bool more_to_do, stop;
    bool sync_now; /* SPOOL_OP_SYNC is in the group */
};

static void answer(struct spool_request *r)
{
    if (r->answer_to)
        mailbox_post(r->answer_to, &r->parcel);
    else
        r->parcel.deliver(&r->parcel, NULL);
}

/* Boxes that hold answers and were not woken yet: each is woken once for all of a group. */
struct woken {
    struct mailbox *boxes[BOXES_MAX];
    size_t count;
};

static void answer_later(struct spool_request *r, struct woken *w)
{
    struct mailbox *box = r->answer_to;
    size_t i = 0;

    while (i < w->count && w->boxes[i] != box)
        i++;
    if (!box || i == BOXES_MAX) {
        answer(r);
        return;
    }
    if (i == w->count)
        w->boxes[w->count++] = box;
    mailbox_post_later(box, &r->parcel);
}

static void answer_list(struct spool_request *r, int result, struct woken *woken)
{
    while (r) {
        struct spool_request *next = r->private_next;

        r->result = result;
        answer_later(r, woken);
        r = next;
    }
}

/* What came as the commit's data is ours to give back, and what it used of its reservation; the
 * other extents are the sender's. */
static void take_back(struct spool_writer *w, const struct spool_request *r)
{
    for (; r; r = r->private_next) {
        if (r->op != SPOOL_OP_COMMIT)
            continue;
        if (r->data.len > 0)
            spool_abort(w->sp, r->id, &r->extents[r->extent_count], 1);
        spool_reserve_again(w->sp, r->data.len + r->envelope.len);
    }
}

static void answer_group(struct spool_writer *w, int result)
{
    struct spool_request *waiting = w->waiting, *marks = w->marks;
    struct woken woken = {.count = 0};

    w->waiting = w->marks = NULL;
    w->waiting_end = &w->waiting;
    w->marks_end = &w->marks;
    w->group_bytes = 0;
    w->sync_now = false;
    answer_list(marks, result, &woken);
    if (result < 0)
        take_back(w, waiting);
    answer_list(waiting, result, &woken);
    for (size_t i = 0; i < woken.count; i++)
        mailbox_nudge(woken.boxes[i]);
}

/* The last part of the body comes with the commit itself. */
static int commit(struct spool_writer *w, struct spool_request *r)
{
    uint32_t count = r->extent_count;
    int e = 0;

    if (r->data.len > 0) {
        e = spool_append(w->sp, r->id, r->data, &r->extents[count]);
        if (e < 0)
            return e;
        count++;
    }
    e = spool_commit(w->sp, r->id, r->envelope, r->extents, count);
    if (e < 0 && r->data.len > 0) {
        spool_abort(w->sp, r->id, &r->extents[r->extent_count], 1);
        spool_reserve_again(w->sp, r->data.len);
    }
    return e;
}

/* Bytes that wait to be durable. */
static uint64_t payload_bytes(const struct spool_request *r)
{
    return r->op == SPOOL_OP_APPEND || r->op == SPOOL_OP_COMMIT ? r->data.len + r->envelope.len : 0;
}

/* The request was served: its bytes wait for a sync now, or for nothing any more. */
static void taken(struct spool_writer *w, const struct spool_request *r)
{
    if (r->result < 0)
        atomic_fetch_sub(&w->uncommitted, payload_bytes(r));
    else
        w->unsynced += payload_bytes(r);
}

static void join_group(struct spool_writer *w, struct spool_request *r)
{
    if (!w->waiting)
        w->group_ns = clock_mono_ns();
    r->private_next = NULL;
    *w->waiting_end = r;
    w->waiting_end = &r->private_next;
}

static void on_commit(struct spool_writer *w, struct spool_request *r)
{
    r->result = commit(w, r);
    taken(w, r);
    if (r->result < 0) {
        answer(r);
        return;
    }
    w->group_bytes += r->data.len + r->envelope.len;
    join_group(w, r);
}

static void on_sync(struct spool_writer *w, struct spool_request *r)
{
    r->result = 0;
    if (!spool_is_dirty(w->sp) && !w->waiting) {
        answer(r);
        return;
    }
    w->sync_now = true;
    join_group(w, r);
}

static void on_mark(struct spool_writer *w, struct spool_request *r)
{
    if (r->result < 0) {
        answer(r);
        return;
    }
    r->private_next = NULL;
    *w->marks_end = r;
    w->marks_end = &r->private_next;
}

static void on_relieve(struct spool_writer *w, struct spool_request *r)
{
    r->freed_bytes = 0;
    if (w->relief) {
        r->result = -EBUSY;
        answer(r);
        return;
    }
    w->relief = r;
}

static void on_request(struct parcel *p, void *receiver)
{
    struct spool_writer *w = receiver;
    struct spool_request *r = CONTAINER_OF(p, struct spool_request, private_parcel);

    switch (r->op) {
    case SPOOL_OP_APPEND:
        r->result = spool_append(w->sp, r->id, r->data, &r->extent);
        taken(w, r);
        w->group_bytes += r->data.len;
        break;
    case SPOOL_OP_COMMIT:
        on_commit(w, r);
        return;
    case SPOOL_OP_ABORT:
        spool_abort(w->sp, r->id, r->extents, r->extent_count);
        r->result = 0;
        break;
    case SPOOL_OP_MARK:
        r->result = spool_mark(w->sp, r->id, r->data);
        on_mark(w, r);
        return;
    case SPOOL_OP_REWRITE:
        r->result = spool_rewrite(w->sp, r->id, r->data);
        on_mark(w, r);
        return;
    case SPOOL_OP_SYNC:
        on_sync(w, r);
        return;
    case SPOOL_OP_REMOVE:
        r->result = spool_remove(w->sp, r->id);
        break;
    case SPOOL_OP_SET_ASIDE:
        r->result = spool_set_aside(w->sp, r->id);
        break;
    case SPOOL_OP_RELIEVE:
        on_relieve(w, r);
        return;
    }
    answer(r);
}

/* Nanoseconds until the group must be synced; 0: now. UINT64_MAX: nothing to sync. */
static uint64_t ripe_in(const struct spool_writer *w, uint64_t now)
{
    uint64_t due;

    if (!spool_is_dirty(w->sp)) /* what was may have been synced with the end of a segment */
        return w->waiting || w->marks ? 0 : UINT64_MAX;
    if (w->waiting) {
        if (w->sync_now || atomic_load(&w->under_way) <= 0 ||
            w->group_bytes >= atomic_load(&w->batch_bytes))
            return 0;
        due = w->group_ns + (uint64_t)atomic_load(&w->delay_us) * 1000;
    } else {
        due = w->lazy_ns + (uint64_t)atomic_load(&w->lazy_ms) * NS_PER_MS;
    }
    return due > now ? due - now : 0;
}

/* All that was appended is durable, or has failed. */
static void settle(struct spool_writer *w)
{
    if (w->unsynced == 0 || spool_is_dirty(w->sp))
        return;
    atomic_fetch_sub(&w->uncommitted, w->unsynced);
    w->unsynced = 0;
}

static void sync_group(struct spool_writer *w)
{
    int r = spool_sync(w->sp);

    w->lazy_ns = 0;
    w->syncs_since_tick++;
    settle(w);
    answer_group(w, r);
}

/* One piece. Relief comes before other background work, which it does the most of. */
static void relieve(struct spool_writer *w)
{
    struct spool_request *r = w->relief;

    if (atomic_load(&w->relief_ended))
        r->result = -ECANCELED;
    else
        r->result = spool_relieve(w->sp, TICK_BYTES, &r->freed_bytes);
    if (r->result == 1)
        return;
    w->relief = NULL;
    answer(r);
}

/* Background work, when nothing waits, or now and then when something always does. */
static void tend(struct spool_writer *w, size_t received)
{
    int r;

    if (w->relief && !w->waiting) {
        relieve(w);
        return;
    }
    if (w->waiting || (received > 0 && w->syncs_since_tick < TICK_BUSY_EVERY))
        return;
    if (received > 0 || w->more_to_do || w->syncs_since_tick > 0) {
        r = spool_tick(w->sp, TICK_BYTES);
        if (r < 0 && r != w->tick_error) /* it is tried again later; told once */
            event(EVENT_SPOOL_ERROR, EVENT_NO_ID, EV_ERR("why", r),
                  EV_STR("what", "checkpoint or compaction failed; it is tried again"));
        w->tick_error = MIN_OF(r, 0);
        w->more_to_do = r == 1;
        w->syncs_since_tick = 0;
    }
}

/* What ends the present wait: with a group gathering, only what cannot wait; with marks and
 * removals that wait for a sync, a commit too; else anything. */
static enum mailbox_urgency wakes_at(const struct spool_writer *w)
{
    if (w->waiting)
        return MAILBOX_NOW;
    return spool_is_dirty(w->sp) ? MAILBOX_SOON : MAILBOX_LAZY;
}

static void writer_run(void *ctx)
{
    struct spool_writer *w = ctx;

    while (!w->stop) {
        uint64_t now = clock_mono_ns(), ripe = ripe_in(w, now);
        bool has_work = (w->more_to_do || w->relief) && !w->waiting;
        uint64_t wait = has_work ? 0 : MIN_OF(ripe, IDLE_NS);
        size_t received = mailbox_receive_urgent(w->box, wait, wakes_at(w));

        now = clock_mono_ns();
        if (spool_is_dirty(w->sp) && w->lazy_ns == 0)
            w->lazy_ns = now;
        if (ripe_in(w, now) == 0)
            sync_group(w);
        if (received == 0 && !w->waiting)
            w->more_to_do |= wait == IDLE_NS; /* once in a while, look */
        tend(w, received);
        settle(w);
    }
    while (mailbox_receive(w->box, 0) > 0)
        ;
    if (spool_is_dirty(w->sp) || w->waiting || w->marks)
        sync_group(w);
    if (w->relief) {
        w->relief->result = -ECANCELED;
        answer(w->relief);
    }
}

static void writer_free(struct spool_writer *w)
{
    if (w->box)
        mailbox_free(&w->box);
    if (w->call_box)
        mailbox_free(&w->call_box);
    lock_done(&w->call_lock);
    free(w);
}

int spool_writer_start(struct spool_writer **ret, struct spool *sp,
                       const struct spool_writer_config *config)
{
    struct spool_writer *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return -ENOMEM;
    w->sp = sp;
    w->waiting_end = &w->waiting;
    w->marks_end = &w->marks;
    spool_writer_set_config(w, config);
    lock_init(&w->call_lock);
    r = mailbox_new_blocking(&w->box, w);
    if (r == 0)
        r = mailbox_new_blocking(&w->call_box, w);
    if (r == 0)
        r = thread_start(&w->thread, "spool", writer_run, w);
    if (r < 0) {
        writer_free(w);
        return r;
    }
    *ret = w;
    return 0;
}

/* ---- from other threads ---- */

struct call {
    struct parcel parcel;
    void (*fn)(void *ctx, struct spool *sp);
    void *ctx;
    bool ended;
};

static void call_ended(struct parcel *p, void *receiver)
{
    (void)receiver;
    CONTAINER_OF(p, struct call, parcel)->ended = true;
}

static void on_call(struct parcel *p, void *receiver)
{
    struct spool_writer *w = receiver;
    struct call *c = CONTAINER_OF(p, struct call, parcel);

    c->fn(c->ctx, w->sp);
    c->parcel.deliver = call_ended;
    mailbox_post(w->call_box, &c->parcel);
}

void spool_writer_call(struct spool_writer *w, void (*fn)(void *ctx, struct spool *sp), void *ctx)
{
    struct call c = {.parcel.deliver = on_call, .fn = fn, .ctx = ctx};

    lock_take(&w->call_lock);
    mailbox_post(w->box, &c.parcel);
    while (!c.ended)
        (void)mailbox_receive(w->call_box, UINT64_MAX);
    lock_release(&w->call_lock);
}

static void on_stop(struct parcel *p, void *receiver)
{
    struct spool_writer *w = receiver;

    (void)p;
    w->stop = true;
}

void spool_writer_stop(struct spool_writer **wp)
{
    struct spool_writer *w = *wp;
    struct parcel stop = {.deliver = on_stop};

    if (!w)
        return;
    *wp = NULL;
    mailbox_post(w->box, &stop);
    thread_join(&w->thread);
    writer_free(w);
}

/* A commit can wait for others while others are under way. */
static enum mailbox_urgency urgency_of(const struct spool_writer *w, enum spool_op op)
{
    switch (op) {
    case SPOOL_OP_APPEND:
    case SPOOL_OP_SYNC:
        return MAILBOX_NOW;
    case SPOOL_OP_COMMIT:
        return atomic_load(&w->under_way) > 0 ? MAILBOX_SOON : MAILBOX_NOW;
    case SPOOL_OP_ABORT:
    case SPOOL_OP_MARK:
    case SPOOL_OP_REWRITE:
    case SPOOL_OP_REMOVE:
    case SPOOL_OP_SET_ASIDE:
    case SPOOL_OP_RELIEVE:
    default:
        return MAILBOX_LAZY;
    }
}

void spool_writer_post(struct spool_writer *w, struct spool_request *r)
{
    r->private_parcel.deliver = on_request;
    atomic_fetch_add(&w->uncommitted, payload_bytes(r));
    if (r->op == SPOOL_OP_COMMIT && r->ends_message)
        spool_writer_message_ends(w);
    mailbox_post_urgent(w->box, &r->private_parcel, urgency_of(w, r->op));
}

void spool_writer_set_config(struct spool_writer *w, const struct spool_writer_config *config)
{
    atomic_store(&w->delay_us, config->commit_delay_us);
    atomic_store(&w->batch_bytes, config->commit_batch_bytes);
    atomic_store(&w->lazy_ms, config->lazy_sync_ms);
}

uint64_t spool_writer_uncommitted_bytes(const struct spool_writer *w)
{
    return atomic_load(&w->uncommitted);
}

void spool_writer_end_relief(struct spool_writer *w)
{
    atomic_store(&w->relief_ended, true);
}

void spool_writer_pause_background(struct spool_writer *w, bool paused)
{
    spool_pause_compaction(w->sp, paused);
}

void spool_writer_message_begins(struct spool_writer *w)
{
    atomic_fetch_add(&w->under_way, 1);
}

void spool_writer_message_ends(struct spool_writer *w)
{
    atomic_fetch_sub(&w->under_way, 1);
}
