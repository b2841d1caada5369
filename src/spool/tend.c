/*
 * spool/tend.c - opening and closing, and the work in the background: recycling, growing ahead,
 * checkpoints, compaction.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "spool/spool_int.h"

#define BUF_BYTES (MIB(1) + 2 * (size_t)RECORD_LEN_MAX)
#define SMALL_DISK_SEGMENTS 16u
#define SMALL_SEGMENT_BYTES MIB(1)
#define KEEP_SEGMENTS 2u
#define RESUME_BYTES KIB(64) /* with less the last segment is not gone on with at the start */
#define VISITS_MAX 65536u    /* entries looked at in one step of compaction */
#define RECENT_SEGMENTS 8u
#define LIVE_PERCENT 25u               /* a segment with less is compacted */
#define LIVE_PERCENT_TIGHT 60u         /* when room is short */
#define LIVE_PERCENT_RELIEF 90u        /* as a remedy */
#define RELIEF_BYTES_MAX MIB(64)       /* copied by one relief, and the rest of the last segment */
#define RELIEF_CHECKPOINTS_MAX 3       /* taken by one relief */
#define RELIEF_SPARE 1u                /* what spool_tick() would make anew at once */
#define MOVE_SYNC_BYTES MIB(4)         /* so that no single fdatasync takes long */
#define TRIMMED_PER_TICK 16            /* files; unlinking takes its time */
#define CLOSE_CHECKPOINT_BYTES MIB(64) /* a longer one would keep people waiting */

/* ---- opening ---- */

/* A disk must hold a good number of segments, or the last half-empty one is most of it. */
static void fit_segments(struct spool *sp)
{
    struct spool_config *c = &sp->config;
    uint64_t total = sp->segment_total;

    total += dirs_free_bytes(sp);
    if (c->max_bytes)
        total = MIN_OF(total, c->max_bytes);
    c->segment_bytes = MIN_OF(MAX_OF(c->segment_bytes, SEGMENT_BYTES_MIN), SEGMENT_BYTES_MAX);
    c->segment_bytes -= c->segment_bytes % SEGMENT_HEADER_BYTES;
    while (c->segment_bytes / 2 >= SMALL_SEGMENT_BYTES &&
           c->segment_bytes * SMALL_DISK_SEGMENTS > total)
        c->segment_bytes /= 2;
    sp->keep = MAX_OF(MIN_OF(c->drain_reserve_bytes, total / 8), KEEP_SEGMENTS * c->segment_bytes);
}

static int floor_raise(struct spool *sp)
{
    uint64_t floor = atomic_load(&sp->next_id) + ID_LEASE;
    struct record rec = {.type = RECORD_FLOOR, .id = floor};
    int r;

    if (atomic_load(&sp->next_id) + ID_LEASE / 2 < atomic_load(&sp->id_floor))
        return 0;
    r = segment_ensure(sp, RECORD_HEADER_BYTES);
    if (r < 0)
        return r;
    (void)segment_put(sp, &rec, NULL, 0);
    atomic_store(&sp->id_floor, floor);
    return 0;
}

int spool_prepare(struct spool *sp)
{
    int r;

    fit_segments(sp);
    if (sp->config.read_only)
        return 0;
    sp->buf = malloc(BUF_BYTES);
    if (!sp->buf)
        return -ENOMEM;
    /* The drain reserve and the next head exist from the start, if the disk has them at all. */
    while (atomic_load(&sp->room) < sp->keep + sp->config.segment_bytes)
        if (segment_grow(sp) < 0)
            break;
    /*
     * The first head now: its header makes the end of the segment before it durable, and the ids
     * that are given out from here on. A disk so full that there is none goes on in the last
     * segment, but not at once with the end of it, so that restarts cannot eat up what removals
     * need.
     */
    r = segment_begin(sp, RESUME_BYTES);
    if (r == 0 && floor_raise(sp) == 0)
        r = segment_sync(sp);
    return r == -ENOSPC ? 0 : r;
}

static void spool_free(struct spool *sp)
{
    checkpoint_abandon(sp);
    for (uint32_t i = 0; sp->slots && i < sp->slot_count; i++) {
        fs_close(&sp->slots[i]->file);
        free(sp->slots[i]);
    }
    for (uint32_t i = 0; i < sp->hold_room; i++)
        free(sp->holds[i]);
    free(sp->holds);
    free(sp->slots);
    free(sp->order);
    free(sp->ops);
    free(sp->buf);
    buf_done(&sp->redo);
    buf_done(&sp->redo_spare);
    buf_done(&sp->scratch);
    buf_done(&sp->scratch2);
    index_done(&sp->index);
    for (int i = 0; i < 2; i++)
        fs_close(&sp->checkpoint_files[i]);
    dirs_close(sp);
    fs_close(&sp->lock_file);
    lock_done(&sp->lock);
    lock_done(&sp->dirs_lock);
    lock_done(&sp->grow_lock);
    free(sp);
}

int spool_open(struct spool **ret, struct fs *fs, const struct spool_config *config,
               const struct spool_report *report, struct buf *why)
{
    struct spool *sp = calloc(1, sizeof(*sp));
    int r;

    if (!sp)
        return -ENOMEM;
    sp->fs = fs;
    sp->config = *config;
    atomic_store(&sp->max_bytes, config->max_bytes);
    if (report)
        sp->report = *report;
    sp->head = sp->victim = SLOT_NONE;
    sp->list_safe = 1;
    sp->no_recycle_from = UINT32_MAX;
    sp->died_bytes = UINT64_MAX / 2;
    atomic_store(&sp->trim_due, true); /* an earlier process may have left many */
    index_init(&sp->index);
    buf_init(&sp->scratch, record_bytes(RECORD_LEN_MAX));
    buf_init(&sp->scratch2, RECORD_HEADER_BYTES + SPOOL_EXTENT_MAX);
    lock_init(&sp->lock);
    lock_init(&sp->grow_lock);
    lock_init(&sp->dirs_lock);
    sp->dirs[0].fs = fs;
    if (config->path)
        (void)snprintf(sp->dirs[0].path, sizeof(sp->dirs[0].path), "%s", config->path);
    sp->slots = calloc(SLOTS_MAX, sizeof(struct slot *));
    r = sp->slots ? fs_lock(fs, "lock", &sp->lock_file) : -ENOMEM;
    if (r == -ERR_LOCKED)
        buf_add_str(why, "Another process has the spool open.");
    else if (r < 0)
        buf_addf(why, "The spool's lock cannot be taken: %s.", err_str(r));
    if (r == 0)
        r = recover(sp, why);
    if (r < 0) {
        spool_free(sp);
        return r;
    }
    *ret = sp;
    return 0;
}

/* An empty batch vouches for the one before it, so that damage there is never taken for a torn
 * tail. */
static void vouch(struct spool *sp)
{
    struct record r = {.type = RECORD_FLOOR, .id = atomic_load(&sp->next_id)};

    if (sp->head == SLOT_NONE || segment_ensure(sp, RECORD_HEADER_BYTES) < 0)
        return;
    (void)segment_put(sp, &r, NULL, 0);
    if (segment_sync(sp) < 0)
        spool_note(sp, "The end of the spool could not be written.");
}

void spool_close(struct spool **spp)
{
    struct spool *sp = *spp;

    if (!sp)
        return;
    *spp = NULL;
    if (!sp->config.read_only && !sp->failed) {
        if (spool_sync(sp) < 0)
            spool_note(sp, "The last records of the spool could not be written.");
        if (atomic_load(&sp->envelope_bytes) < CLOSE_CHECKPOINT_BYTES)
            (void)checkpoint_complete(sp); /* without it the log is replayed */
        vouch(sp);
    }
    spool_free(sp);
}

/* ---- compaction ---- */

uint32_t compact_pick(struct spool *sp, uint32_t percent, bool recent, bool draining)
{
    uint32_t best = SLOT_NONE;
    uint64_t best_live = UINT64_MAX;

    for (uint32_t i = 0; i < sp->order_count; i++) {
        const struct slot *s = sp->slots[sp->order[i]];

        if (s->state != SLOT_SEALED || s->live == 0 || s->live == s->left || s->pending > 0 ||
            (draining && !sp->dirs[s->dir].draining) ||
            (!recent && s->seq + RECENT_SEGMENTS > sp->next_seq) ||
            (!s->bad && s->live >= s->size / 100 * percent))
            continue;
        if (s->live < best_live) {
            best_live = s->live;
            best = sp->order[i];
        }
    }
    return best;
}

/* The record of the extent, checked, in sp->scratch2. */
static int extent_load(struct spool *sp, uint64_t id, const struct spool_extent *x, uint32_t slot)
{
    uint32_t size = RECORD_HEADER_BYTES + x->bytes;
    struct record r;
    const uint8_t *p;
    int err;

    buf_clear(&sp->scratch2);
    if (buf_reserve(&sp->scratch2, size) < 0)
        return -ENOMEM;
    err = segment_read(sp, slot, x->offset, buf_tail(&sp->scratch2), size);
    if (err < 0)
        return err;
    buf_grew(&sp->scratch2, size);
    p = buf_slice(&sp->scratch2).ptr;
    if (!record_decode(p, sp->seed, &r) || r.type != RECORD_EXTENT || r.id != id ||
        r.seq != x->segment || r.len != x->bytes ||
        crc32c(0, slice_make(p + RECORD_HEADER_BYTES, r.len)) != r.crc)
        return -ERR_DAMAGED;
    return 0;
}

/* Appends those extents again that lie in `victim`, and changes their places in `list`. */
static int extents_move(struct spool *sp, uint64_t id, uint32_t victim, uint8_t *list, size_t len)
{
    uint32_t life = sp->slots[victim]->seq;

    for (size_t i = 0; i + EXTENT_ENTRY_BYTES <= len; i += EXTENT_ENTRY_BYTES) {
        struct spool_extent x = extent_decode(list + i);
        struct record r = {.type = RECORD_EXTENT, .id = id};
        struct slice body;
        int err;

        if (x.segment != life)
            continue;
        err = extent_load(sp, id, &x, victim);
        if (err == 0)
            err = segment_ensure(sp, record_bytes(x.bytes));
        if (err == 0 && sp->batch_err)
            err = sp->batch_err;
        if (err < 0)
            return err;
        body = slice_from(buf_slice(&sp->scratch2), RECORD_HEADER_BYTES);
        x.offset = segment_put(sp, &r, &body, 1);
        x.segment = r.seq;
        extent_encode(&x, list + i);
        sp->compacted_bytes += record_bytes(x.bytes);
    }
    return 0;
}

/* Copies what message `n` has in `victim` to the head, and its envelope and marks in any case. */
static int entry_move(struct spool *sp, uint32_t n, uint32_t victim)
{
    struct buf raw = BUF_INIT(record_bytes(RECORD_LEN_MAX));
    struct buf marks = BUF_INIT(2 * SPOOL_ENVELOPE_MAX);
    struct entry e = *index_at(&sp->index, n);
    struct message_parts parts;
    struct slice list = {0};
    int r = message_load(sp, &e, &raw, &parts, &marks);

    /* Nothing holds the copies of extents until the message's record is there. */
    sp->no_recycle_from = sp->head == SLOT_NONE ? sp->next_seq : sp->slots[sp->head]->seq;
    if (r == 0) {
        /* The list is changed in place, in `raw`, which is ours. */
        list = parts.extents;
        r = extents_move(sp, e.id, victim, raw.ptr + (list.ptr - raw.ptr), list.len);
    }
    if (r == 0)
        r = segment_ensure(sp, message_bytes(list.len, parts.envelope.len, buf_len(&marks)));
    if (r == 0 && sp->batch_err)
        r = sp->batch_err;
    if (r == 0)
        r = batch_room(sp, 0);
    if (r == 0) {
        e.flags = 0;
        lock_take(&sp->lock);
        r = entry_set_extents(sp, &e, list, NULL);
        lock_release(&sp->lock);
    }
    if (r == 0) {
        message_put(sp, &e, list, parts.envelope, buf_slice(&marks));
        batch_add(sp, OP_MOVE, n, &e);
        lock_take(&sp->lock);
        holds_take(sp, &e); /* what was copied to a segment that is sealed by now must stay */
        lock_release(&sp->lock);
        sp->compacted_bytes += e.rec_bytes;
    }
    sp->no_recycle_from = UINT32_MAX;
    buf_done(&raw);
    buf_done(&marks);
    return r;
}

/* Moves what the victim holds, from the cursor on. 1: there is more. 0: that was the last. */
static int victim_move(struct spool *sp, uint64_t budget)
{
    uint64_t until = sp->compacted_bytes + budget;
    uint32_t visits = 0;

    for (; sp->victim_cursor < sp->index.size; sp->victim_cursor++) {
        const struct entry *e = index_at(&sp->index, sp->victim_cursor);
        int r;

        if (sp->compacted_bytes >= until || visits++ >= VISITS_MAX)
            return 1;
        if (e->id == 0 || e->flags & (ENTRY_PENDING | ENTRY_DAMAGED) ||
            !entry_needs_slot(sp, e, sp->victim))
            continue;
        if (*index_bits(&sp->index, sp->victim_cursor) & BIT_IN_BATCH) {
            sp->victim_again = true;
            continue;
        }
        r = entry_move(sp, sp->victim_cursor, sp->victim);
        if (r == -ERR_DAMAGED)
            r = set_aside(sp, sp->victim_cursor);
        if (r < 0)
            return r;
    }
    return 0;
}

int compact_step(struct spool *sp, uint64_t budget)
{
    uint64_t before = sp->compacted_bytes;
    struct slot *s = sp->slots[sp->victim];
    int r;

    if (s->state != SLOT_SEALED || s->seq != sp->victim_seq) { /* it died by itself meanwhile */
        sp->victim = SLOT_NONE;
        return 0;
    }
    r = victim_move(sp, budget);
    sp->moved_bytes += sp->compacted_bytes - before;
    if (r == 1 && sp->moved_bytes < MOVE_SYNC_BYTES)
        return 1;
    sp->moved_bytes = 0;
    if (r >= 0) {
        int synced = segment_sync(sp);

        r = synced < 0 ? synced : r;
    }
    if (r == 1)
        return 1;
    if (r == 0 && !sp->victim_again)
        s->left = s->live;
    sp->victim = SLOT_NONE;
    return r;
}

void compact_begin(struct spool *sp, uint32_t victim)
{
    sp->victim = victim;
    sp->victim_seq = sp->slots[victim]->seq;
    sp->victim_cursor = 0;
    sp->victim_again = false;
}

/* What is moved must fit without what was promised, and a segment's worth stay for removals; of
 * that a little is well spent to free a segment. */
static bool compaction_fits(struct spool *sp, uint32_t victim)
{
    uint64_t room = atomic_load(&sp->room), promised = spool_promised(sp);
    uint64_t need = sp->slots[victim]->live * 5 / 4;

    if (room < promised)
        return false;
    room -= promised;
    return room >= need + sp->config.segment_bytes || room / 8 >= need;
}

/* ---- the clock-work ---- */

/* Whether there is no next segment for intake. */
static bool is_short(struct spool *sp)
{
    return atomic_load(&sp->room) < sp->keep + spool_promised(sp) + sp->config.segment_bytes;
}

/* Background work on the emptiest segment, where one is empty enough. 1: there is more. */
static int compact_in_background(struct spool *sp, bool starved, uint64_t budget)
{
    int r;

    if (sp->victim == SLOT_NONE && sp->died_bytes >= sp->config.segment_bytes / 8) {
        uint32_t victim =
            compact_pick(sp, starved ? LIVE_PERCENT_TIGHT : LIVE_PERCENT, /* recent= */ starved,
                         /* draining= */ false);

        sp->died_bytes = 0;
        if (victim != SLOT_NONE && compaction_fits(sp, victim))
            compact_begin(sp, victim);
    }
    if (sp->victim == SLOT_NONE)
        return atomic_load(&sp->trim_due);
    r = compact_step(sp, budget);
    if (r == 0)
        sp->died_bytes = sp->config.segment_bytes; /* look for the next one */
    return r < 0 ? r : 1;
}

static void recycle_and_grow(struct spool *sp)
{
    if (atomic_load(&sp->recycle_due) && segment_recycle(sp) > 0)
        atomic_store(&sp->trim_due, true);
    if (atomic_exchange(&sp->trim_due, false) &&
        segment_trim(sp, sp->config.spare_segments, TRIMMED_PER_TICK))
        atomic_store(&sp->trim_due, true);
    if (is_short(sp))
        (void)segment_grow(sp); /* a full disk shows in spool_reserve() */
}

int spool_tick(struct spool *sp, uint64_t budget_bytes)
{
    bool starved;
    int r;

    if (sp->failed || sp->config.read_only)
        return 0;
    r = floor_raise(sp);
    if (r < 0)
        return r;
    recycle_and_grow(sp);
    starved = is_short(sp) && segment_can_grow(sp) == 0;
    if (checkpoint_is_due(sp) ||
        (((starved && segment_has_uncovered(sp)) || drain_wants_checkpoint(sp)) &&
         sp->log_bytes >= sp->checkpoint_retry_at)) {
        r = checkpoint_step(sp, budget_bytes);
        return r == 0 && dirs_any_draining(sp) ? 1 : r; /* what it freed is dropped next */
    }
    /* What an operator asked for is not put off: it may be the cure. */
    r = drain_step(sp, budget_bytes);
    if (r != 0)
        return r;
    if (atomic_load(&sp->compaction_paused))
        return atomic_load(&sp->trim_due);
    return compact_in_background(sp, starved, budget_bytes);
}

void spool_set_max_bytes(struct spool *sp, uint64_t max_bytes)
{
    atomic_store(&sp->max_bytes, max_bytes);
    atomic_store(&sp->trim_due, true); /* spare segments may be over it now */
}

void spool_pause_compaction(struct spool *sp, bool paused)
{
    atomic_store(&sp->compaction_paused, paused);
}

/* ---- relief ---- */

static enum relief_phase relief_compact(struct spool *sp, uint64_t budget, int *ret_err)
{
    struct relief *f = &sp->relief;

    if (sp->victim == SLOT_NONE) {
        uint32_t victim =
            f->copied < RELIEF_BYTES_MAX
                ? compact_pick(sp, LIVE_PERCENT_RELIEF, /* recent= */ true, /* draining= */ false)
                : SLOT_NONE;

        if (victim == SLOT_NONE || !compaction_fits(sp, victim))
            return RELIEF_CHECKPOINT;
        compact_begin(sp, victim);
    }
    *ret_err = compact_step(sp, budget);
    return RELIEF_COMPACT;
}

static enum relief_phase relief_checkpoint(struct spool *sp, uint64_t budget, int *ret_err)
{
    struct relief *f = &sp->relief;

    if (!sp->job && (f->checkpoints == RELIEF_CHECKPOINTS_MAX || !segment_has_uncovered(sp)))
        return RELIEF_TRIM;
    *ret_err = checkpoint_step(sp, budget);
    if (*ret_err != 0) /* under way, or failed */
        return RELIEF_CHECKPOINT;
    f->checkpoints++;
    /* What it freed may be the room that compaction had not. */
    return RELIEF_COMPACT;
}

/* Negative: the error that ends it. */
static int relief_step(struct spool *sp, uint64_t budget)
{
    struct relief *f = &sp->relief;
    int err = 0;

    switch (f->phase) {
    case RELIEF_NONE:
        *f = (struct relief){.phase = RELIEF_COMPACT};
        break;
    case RELIEF_COMPACT:
        f->phase = relief_compact(sp, budget, &err);
        break;
    case RELIEF_CHECKPOINT:
        f->phase = relief_checkpoint(sp, budget, &err);
        break;
    case RELIEF_TRIM:
        if (!segment_trim(sp, RELIEF_SPARE, TRIMMED_PER_TICK))
            f->phase = RELIEF_NONE;
        break;
    }
    return err;
}

int spool_relieve(struct spool *sp, uint64_t budget_bytes, uint64_t *ret_freed_bytes)
{
    struct relief *f = &sp->relief;
    uint64_t copied = sp->compacted_bytes, recycled;
    int r;

    *ret_freed_bytes = 0;
    if (sp->failed || sp->config.read_only) {
        f->phase = RELIEF_NONE;
        return sp->failed ? -ERR_FAILED : -EROFS;
    }
    (void)segment_recycle(sp); /* what would have been freed without relief */
    r = floor_raise(sp);
    recycled = sp->recycled_bytes;
    if (r == 0)
        r = relief_step(sp, budget_bytes);
    (void)segment_recycle(sp);
    f->copied += sp->compacted_bytes - copied;
    f->freed += sp->recycled_bytes - recycled;
    *ret_freed_bytes = f->freed > f->copied ? f->freed - f->copied : 0;
    if (r < 0)
        f->phase = RELIEF_NONE;
    return r < 0 ? r : f->phase != RELIEF_NONE;
}
