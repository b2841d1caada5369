/*
 * spool/segment.c - the segment files: one is the head, records go to it through a write buffer,
 * and a batch of them becomes durable with one write and one fdatasync.
 *
 * A batch begins at a sector boundary with a SYNC record, so that no sector with acknowledged
 * bytes is ever written again, and so that recovery can tell a torn tail (nothing after it claims
 * that it was durable) from damage.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "spool/spool_int.h"

#define BUF_FLUSH_BYTES MIB(1)
#define BUF_BYTES (BUF_FLUSH_BYTES + 2 * (size_t)RECORD_LEN_MAX)
#define BATCH_OPS_MAX 16384
#define BATCH_REDO_MAX MIB(16)
#define OPEN_TRIES 3
#define ZEROS_BYTES KIB(64)
#define SPARE_DISK_BYTES KIB(64) /* never allocated: directory blocks and the like */
#define OWN_FREE_KEPT 2u         /* free segments beside the checkpoints that are used last */

void slot_name(const struct slot *s, char ret[static FILE_NAME_MAX])
{
    (void)snprintf(ret, FILE_NAME_MAX, "seg-%08" PRIx32, s->number);
}

int slot_add(struct spool *sp, uint32_t *ret)
{
    struct slot *s = NULL;
    uint32_t n;

    for (n = 0; n < sp->slot_count && sp->slots[n]->state != SLOT_UNUSED; n++)
        ;
    if (n < sp->slot_count) {
        *sp->slots[n] = (struct slot){0};
        *ret = n;
        return 0;
    }
    if (sp->slot_count == SLOTS_MAX)
        return -ENOMEM;
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    sp->slots[sp->slot_count] = s;
    *ret = sp->slot_count++;
    return 0;
}

/* The first place in `order` whose life is not before `seq`. */
static uint32_t order_place(const struct spool *sp, uint32_t seq)
{
    uint32_t from = 0, to = sp->order_count;

    while (from < to) {
        uint32_t middle = from + (to - from) / 2;

        if (sp->slots[sp->order[middle]]->seq < seq)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

uint32_t slot_of_seq(const struct spool *sp, uint32_t seq)
{
    uint32_t at = order_place(sp, seq);

    if (at == sp->order_count || sp->slots[sp->order[at]]->seq != seq)
        return SLOT_NONE;
    return sp->order[at];
}

int order_insert(struct spool *sp, uint32_t slot)
{
    uint32_t at = order_place(sp, sp->slots[slot]->seq);

    if (sp->order_count == sp->order_room) {
        uint32_t room = sp->order_room ? sp->order_room * 2 : 16;
        uint32_t *order = realloc(sp->order, room * sizeof(*order));

        if (!order)
            return -ENOMEM;
        sp->order = order;
        sp->order_room = room;
    }
    memmove(sp->order + at + 1, sp->order + at, (sp->order_count - at) * sizeof(*sp->order));
    sp->order[at] = slot;
    sp->order_count++;
    return 0;
}

void order_remove(struct spool *sp, uint32_t slot)
{
    uint32_t at = order_place(sp, sp->slots[slot]->seq);

    ASSERT(at < sp->order_count && sp->order[at] == slot);
    sp->order_count--;
    memmove(sp->order + at, sp->order + at + 1, (sp->order_count - at) * sizeof(*sp->order));
}

/* ---- more and fewer files ---- */

struct growth {
    uint64_t count; /* of segments that could be made */
    unsigned dirs;  /* where they may be made at all */
    uint32_t best;  /* where most could be made; SLOT_NONE: nowhere */
};

/* How many segments the file system has room for. */
static uint64_t space_segments(const struct spool *sp, const struct fs_space *space, uint64_t aside)
{
    uint64_t count;

    if (space->free_bytes <= aside)
        return 0;
    count = (space->free_bytes - aside) / sp->config.segment_bytes;
    return space->total_inodes ? MIN_OF(count, space->free_inodes) : count;
}

/* Directories on one file system have the same room, which counts once. */
static bool is_seen(uint64_t *seen, size_t *count, uint64_t device)
{
    for (size_t i = 0; i < *count; i++)
        if (seen[i] == device)
            return true;
    seen[(*count)++] = device;
    return false;
}

/* `without`: a bit for each directory that is passed over. */
static struct growth look_for_room(struct spool *sp, unsigned without)
{
    struct growth g = {.best = SLOT_NONE};
    uint64_t seen[SPOOL_DIRECTORIES_MAX], own = 0, best = 0, left;
    uint64_t max = atomic_load(&sp->max_bytes), total = atomic_load(&sp->segment_total);
    size_t seen_count = 0;

    lock_take(&sp->dirs_lock);
    for (uint32_t i = 0; i < SPOOL_DIRECTORIES_MAX; i++) {
        const struct dir *d = &sp->dirs[i];
        uint64_t aside = SPARE_DISK_BYTES, count;
        struct fs_space space;

        if (!d->fs || fs_space(d->fs, &space) < 0)
            continue;
        if (i == 0)
            own = space.device;
        g.dirs += !d->draining;
        if (d->draining || without & (1u << i))
            continue;
        if (space.device == own) /* the checkpoints grow there */
            aside += atomic_load(&sp->envelope_bytes);
        count = space_segments(sp, &space, aside);
        if (!is_seen(seen, &seen_count, space.device))
            g.count += count;
        if (count > 0 && (g.best == SLOT_NONE || sp->dirs[g.best].suspect > d->suspect ||
                          (sp->dirs[g.best].suspect == d->suspect && count > best))) {
            g.best = i;
            best = count;
        }
    }
    lock_release(&sp->dirs_lock);
    left = max > total ? max - total : 0;
    if (max)
        g.count = MIN_OF(g.count, left / sp->config.segment_bytes);
    return g;
}

uint64_t segment_can_grow(struct spool *sp)
{
    return look_for_room(sp, 0).count * (sp->config.segment_bytes - SEGMENT_HEADER_BYTES);
}

static int make_segment(struct spool *sp, uint32_t dir)
{
    struct slot made = {
        .number = sp->next_number, .size = sp->config.segment_bytes, .dir = (uint8_t)dir};
    struct fs *fs = sp->dirs[dir].fs;
    char name[FILE_NAME_MAX];
    uint32_t n = 0;
    int r;

    slot_name(&made, name);
    r = fs_open(fs, name, FS_WRITE | FS_CREATE | FS_TRUNCATE, &made.file);
    if (r < 0)
        return r;
    sp->next_number++;
    r = fs_allocate(made.file, made.size);
    if (r == 0) {
        lock_take(&sp->lock);
        r = slot_add(sp, &n);
        if (r == 0) {
            made.state = SLOT_FREE;
            made.fresh = true;
            *sp->slots[n] = made;
        }
        lock_release(&sp->lock);
    }
    if (r < 0) {
        fs_close(&made.file);
        (void)fs_unlink(fs, name);
        return r;
    }
    atomic_fetch_add(&sp->segment_total, made.size);
    atomic_fetch_add(&sp->room, made.size - SEGMENT_HEADER_BYTES);
    return 0;
}

/* Where most is free, and where that fails in the others: one broken disk is no reason to fail. */
static int grow_locked(struct spool *sp)
{
    unsigned tried = 0;
    int r = -ENOSPC;

    for (;;) {
        struct growth g = look_for_room(sp, tried);

        if (g.count == 0 || g.best == SLOT_NONE)
            return g.dirs > 1 ? -ENOSPC : r;
        r = make_segment(sp, g.best);
        if (r == 0)
            return 0;
        tried |= 1u << g.best;
    }
}

int segment_grow(struct spool *sp)
{
    int r;

    lock_take(&sp->grow_lock);
    r = grow_locked(sp);
    lock_release(&sp->grow_lock);
    return r;
}

void segment_drop(struct spool *sp, struct slot *s)
{
    char name[FILE_NAME_MAX];
    struct fs *fs = sp->dirs[s->dir].fs;
    struct fs_file *file;
    uint64_t size = s->size;

    slot_name(s, name);
    lock_take(&sp->lock);
    file = s->file;
    *s = (struct slot){.state = SLOT_UNUSED};
    lock_release(&sp->lock);
    fs_close(&file);
    /* A name that stays, or comes back after a crash, is a file of dead records. */
    (void)fs_unlink(fs, name);
    atomic_fetch_sub(&sp->segment_total, size);
}

/* The free slot with the highest number, since files grow from the low numbers; where `own`, in the
 * spool's own directory. How many are free anywhere is counted. */
static struct slot *last_free(struct spool *sp, bool own, uint32_t *ret_count)
{
    struct slot *last = NULL;

    *ret_count = 0;
    lock_take(&sp->lock);
    for (uint32_t i = 0; i < sp->slot_count; i++) {
        struct slot *s = sp->slots[i];

        if (s->state != SLOT_FREE)
            continue;
        (*ret_count)++;
        if ((!own || s->dir == 0) && (!last || s->number > last->number))
            last = s;
    }
    lock_release(&sp->lock);
    return last;
}

/* Others may promise the same bytes at the same moment, so it is one exchange. */
bool segment_room_withdraw(struct spool *sp, uint64_t bytes, uint64_t leave)
{
    uint64_t room = atomic_load(&sp->room);

    do {
        if (room < bytes + leave + spool_promised(sp))
            return false;
    } while (!atomic_compare_exchange_weak(&sp->room, &room, room - bytes));
    if (atomic_load(&sp->room) >= leave + spool_promised(sp))
        return true;
    atomic_fetch_add(&sp->room, bytes);
    return false;
}

bool segment_trim(struct spool *sp, uint32_t spare, uint32_t max)
{
    uint32_t count;

    for (uint32_t i = 0; i < max; i++) {
        struct slot *s = last_free(sp, /* own= */ false, &count);

        if (!s || count <= spare ||
            !segment_room_withdraw(sp, s->size - SEGMENT_HEADER_BYTES,
                                   sp->keep + (uint64_t)spare * sp->config.segment_bytes))
            return false;
        segment_drop(sp, s);
    }
    return true;
}

bool segment_sacrifice(struct spool *sp)
{
    uint32_t count;
    struct slot *s = last_free(sp, /* own= */ true, &count);

    /* The last one stays, so that there is always a next head. */
    if (!s || count < 2)
        return false;
    atomic_fetch_sub(&sp->room, s->size - SEGMENT_HEADER_BYTES);
    segment_drop(sp, s);
    return true;
}

uint32_t segment_recycle(struct spool *sp)
{
    uint32_t freed = 0;

    atomic_store(&sp->recycle_due, false);
    for (uint32_t i = 0; i < sp->order_count;) {
        uint32_t n = sp->order[i];
        struct slot *s = sp->slots[n];
        bool dead;

        if (s->seq >= sp->checkpoint.replay_seq || s->seq >= sp->no_recycle_from)
            break;
        lock_take(&sp->lock);
        dead = (s->state == SLOT_SEALED || s->state == SLOT_GONE) && s->live == 0 && s->pins == 0 &&
               s->pending == 0;
        if (dead) {
            order_remove(sp, n);
            if (s->state == SLOT_GONE)
                s->state = SLOT_UNUSED;
            else if (!s->bad)
                s->state = SLOT_FREE;
        }
        lock_release(&sp->lock);
        if (!dead) {
            i++;
            continue;
        }
        freed++;
        sp->recycled_bytes += s->size;
        if (s->bad)
            segment_drop(sp, s);
        else if (s->state == SLOT_FREE)
            atomic_fetch_add(&sp->room, s->size - SEGMENT_HEADER_BYTES);
    }
    return freed;
}

bool segment_has_uncovered(const struct spool *sp)
{
    for (uint32_t i = sp->order_count; i-- > 0;) {
        const struct slot *s = sp->slots[sp->order[i]];

        if (s->seq < sp->checkpoint.replay_seq)
            break;
        if (s->state == SLOT_SEALED && s->live == 0 && s->pending == 0)
            return true;
    }
    return false;
}

/* ---- the head ---- */

static struct slot *head_slot(struct spool *sp)
{
    return sp->slots[sp->head];
}

static void head_room_set(struct spool *sp, uint64_t now)
{
    if (now < sp->head_room)
        atomic_fetch_sub(&sp->room, sp->head_room - now);
    else
        atomic_fetch_add(&sp->room, now - sp->head_room);
    sp->head_room = now;
}

/* How gladly the slot is made the head, from 0 on: one in a directory that failed last comes later,
 * and the last free ones beside the checkpoints, which may need to grow, before that. */
static unsigned pick_rank(const struct spool *sp, const struct slot *s, uint32_t own_free)
{
    if (sp->dirs[s->dir].draining)
        return 3;
    if (sp->dirs[s->dir].suspect)
        return 2;
    return s->dir == 0 && own_free <= OWN_FREE_KEPT && dirs_have_others(sp);
}

static uint32_t pick_ranked(struct spool *sp, uint64_t bytes, unsigned rank_max)
{
    uint32_t best = SLOT_NONE, own_free = 0;
    unsigned best_rank = 0;

    lock_take(&sp->lock);
    for (uint32_t i = 0; i < sp->slot_count; i++)
        own_free += sp->slots[i]->state == SLOT_FREE && sp->slots[i]->dir == 0;
    for (uint32_t i = 0; i < sp->slot_count; i++) {
        struct slot *s = sp->slots[i];
        unsigned rank;

        if (s->state != SLOT_FREE || s->size < SEGMENT_HEADER_BYTES + bytes)
            continue;
        rank = pick_rank(sp, s, own_free);
        if (rank <= rank_max && (best == SLOT_NONE || rank < best_rank ||
                                 (rank == best_rank && s->number < sp->slots[best]->number))) {
            best = i;
            best_rank = rank;
        }
    }
    lock_release(&sp->lock);
    return best;
}

uint32_t segment_pick(struct spool *sp, uint64_t bytes)
{
    return pick_ranked(sp, bytes, 2);
}

/* Where there is no other, one that is to go is better than none. */
static uint32_t pick_any(struct spool *sp, uint64_t bytes)
{
    return pick_ranked(sp, bytes, 3);
}

/* Writes the header of a new life and makes it durable before any record: recovery must never
 * find records of a life under the header of another. */
static int head_begin(struct spool *sp, struct slot *s, uint32_t seq)
{
    uint64_t floor = atomic_load(&sp->next_id) + ID_LEASE;
    struct segment_header h = {
        .seq = seq,
        .prev_seq = sp->last_seq,
        .spool_id = sp->spool_id,
        .size = s->size,
        .id_floor = floor,
        .generation = sp->checkpoint.generation,
        .prev_end = sp->last_end,
    };
    uint8_t sector[SECTOR_BYTES];
    int r;

    segment_header_encode(&h, sector);
    r = fs_write(s->file, slice_make(sector, sizeof(sector)), 0);
    if (r == 0)
        r = fs_sync(s->file);
    if (r == 0 && s->fresh)
        r = fs_sync_dir(sp->dirs[s->dir].fs);
    dir_suspect(sp, s->dir, r < 0);
    if (r < 0)
        return r;
    sp->syncs++;
    s->fresh = false;
    atomic_store(&sp->id_floor, floor);
    return 0;
}

/* A free slot could not be made the head: it is not to be tried again. */
static void slot_give_up(struct spool *sp, struct slot *s)
{
    lock_take(&sp->lock);
    s->state = SLOT_BAD;
    s->bad = true;
    lock_release(&sp->lock);
    atomic_fetch_sub(&sp->room, s->size - SEGMENT_HEADER_BYTES);
    sp->header_unsure = true;
}

/* The errors that made slots bad may have passed: where nothing else is left they are tried again.
 * False: there is none. */
static bool slots_revive(struct spool *sp)
{
    uint64_t bytes = 0;

    lock_take(&sp->lock);
    for (uint32_t i = 0; i < sp->slot_count; i++) {
        struct slot *s = sp->slots[i];

        if (s->state != SLOT_BAD || !s->bad)
            continue;
        s->state = SLOT_FREE;
        s->bad = false;
        bytes += s->size - SEGMENT_HEADER_BYTES;
    }
    lock_release(&sp->lock);
    atomic_fetch_add(&sp->room, bytes);
    return bytes > 0;
}

/* A free slot for the next head; `*ret` is SLOT_NONE where there is no error and no slot. */
static int find_free(struct spool *sp, uint64_t bytes, uint32_t *ret)
{
    int r;

    *ret = pick_ranked(sp, bytes, 0);
    if (*ret == SLOT_NONE && segment_recycle(sp) > 0)
        *ret = pick_ranked(sp, bytes, 0);
    if (*ret != SLOT_NONE)
        return 0;
    r = segment_grow(sp);
    /* The last resort before a full disk is one: a checkpoint frees what is dead since the last. */
    if (r < 0 && segment_has_uncovered(sp) && checkpoint_complete(sp) == 0 &&
        segment_recycle(sp) > 0)
        r = 0;
    *ret = pick_any(sp, bytes);
    return *ret == SLOT_NONE ? r : 0;
}

static int head_open(struct spool *sp, uint64_t bytes)
{
    bool revived = false;
    int r = -EIO;

    ASSERT(sp->head == SLOT_NONE && !sp->batch_open);
    for (int try = 0; try < OPEN_TRIES; try++) {
        uint32_t n;
        struct slot *s;

        r = find_free(sp, bytes, &n);
        if (r == -ENOSPC && !revived && slots_revive(sp)) {
            revived = true;
            n = pick_any(sp, bytes);
            r = n == SLOT_NONE ? -ENOSPC : 0;
        }
        if (r == 0 && n == SLOT_NONE)
            r = -E2BIG;
        if (r < 0)
            return r;
        s = sp->slots[n];
        r = head_begin(sp, s, sp->next_seq);
        if (r < 0) {
            sp->next_seq++; /* what is on the disk of that life, nobody knows */
            slot_give_up(sp, s);
            if (revived)
                r = -ENOSPC; /* as bad as before; it is tried again with the next record */
            continue;
        }
        sp->header_unsure = false;
        lock_take(&sp->lock);
        s->seq = sp->next_seq;
        s->live = s->pending = s->left = 0;
        s->lost = s->torn = false;
        s->end = SEGMENT_HEADER_BYTES;
        r = order_insert(sp, n);
        if (r == 0)
            s->state = SLOT_HEAD;
        lock_release(&sp->lock);
        if (r < 0)
            return r;
        sp->next_seq++;
        sp->head = n;
        sp->pos = SEGMENT_HEADER_BYTES;
        sp->head_room = s->size - SEGMENT_HEADER_BYTES;
        return 0;
    }
    return r;
}

/*
 * Zeros behind the end, so that nothing of a torn batch can follow what is written now: a record
 * header that was left there would be hopped over, into the middle of what came later.
 *
 * The end of a batch that was synced is followed by zeros up to its sector's end; only where a
 * torn one was cut, the cut is within a sector, and what is before it there nobody was told of.
 */
static int tail_clear(struct slot *s)
{
    static const uint8_t zeros[ZEROS_BYTES];
    uint8_t rest[SECTOR_BYTES];
    uint64_t at = align_up(s->end, SECTOR_BYTES);
    size_t size = (size_t)(at - s->end);
    ptrdiff_t n = size > 0 ? fs_pread(s->file, rest, size, s->end, false) : 0;
    int r = n < 0 ? (int)n : 0;

    if (r == 0 && memcmp(rest, zeros, (size_t)n) != 0)
        r = fs_write(s->file, slice_make(zeros, (size_t)n), s->end);
    for (; at < s->size && r == 0; at += sizeof(zeros)) {
        size = (size_t)MIN_OF(sizeof(zeros), s->size - at);
        r = fs_write(s->file, slice_make(zeros, size), at);
    }
    return r < 0 ? r : fs_sync(s->file);
}

/*
 * Makes the last segment the head again, when there is no other and it has room for records that
 * take `bytes`. What may be left of a batch behind its end is overwritten first. 0 or -ENOSPC.
 */
static int head_resume(struct spool *sp, uint64_t bytes)
{
    uint32_t n = slot_of_seq(sp, sp->last_seq);
    struct slot *s = n == SLOT_NONE ? NULL : sp->slots[n];

    /* Where a header that failed may be on the disk after all, it has made the end final, and so
     * has a checkpoint from which the segment is not replayed. */
    if (!s || s->state != SLOT_SEALED || s->lost || sp->header_unsure ||
        sp->checkpoint.replay_seq > s->seq ||
        align_up(s->end, SECTOR_BYTES) + RECORD_HEADER_BYTES + bytes > s->size)
        return -ENOSPC;
    if ((s->torn || s->bad) && tail_clear(s) < 0)
        return -ENOSPC;
    s->torn = false;
    lock_take(&sp->lock);
    s->state = SLOT_HEAD;
    lock_release(&sp->lock);
    sp->head = n;
    sp->pos = s->end;
    head_room_set(sp, s->size - s->end);
    return 0;
}

/* On a full disk a record that is too long for the head's rest must not cost the room that shorter
 * ones have there, nor an error of the disk the last segment. */
static int head_open_or_resume(struct spool *sp, uint64_t bytes)
{
    int r = head_open(sp, bytes);

    return r == -ENOSPC ? head_resume(sp, bytes) : r;
}

int segment_begin(struct spool *sp, uint64_t resume_bytes)
{
    int r = head_open(sp, 2 * RECORD_HEADER_BYTES);

    return r == -ENOSPC ? head_resume(sp, resume_bytes) : r;
}

void segment_seal(struct spool *sp, uint64_t end)
{
    struct slot *s = head_slot(sp);

    lock_take(&sp->lock);
    s->state = SLOT_SEALED;
    s->end = end;
    lock_release(&sp->lock);
    head_room_set(sp, 0);
    sp->last_seq = s->seq;
    sp->last_end = end;
    sp->head = SLOT_NONE;
    sp->buf_len = 0;
    sp->batch_open = false;
    sp->dirty = false;
    sp->batch_pending = 0;
    atomic_store(&sp->recycle_due, true);
}

/* Appends again the marks, rewrites and removals of a batch that failed. */
static void redo_all(struct spool *sp)
{
    struct slice left = buf_slice(&sp->redo_spare);

    while (left.len > 0 && !sp->failed) {
        uint8_t type = left.ptr[0];
        uint64_t id;
        uint32_t len;
        struct slice data;

        memcpy(&id, left.ptr + 1, sizeof(id));
        memcpy(&len, left.ptr + 9, sizeof(len));
        data = slice_sub(left, 13, len);
        left = slice_from(left, 13 + len);
        /* What cannot be appended now is gone with its message, or fails with the spool. */
        if (type == OP_MARK)
            (void)mark_append(sp, id, data);
        else if (type == OP_REWRITE)
            (void)rewrite_append(sp, id, data);
        else
            (void)remove_append(sp, id);
    }
}

/*
 * A write or sync of the head failed. The segment ends at its last synced byte; a new head is
 * opened at once, since its header is what makes that end durable.
 */
static void head_fail(struct spool *sp)
{
    struct slot *s = head_slot(sp);
    struct buf spare = sp->redo_spare;
    int r;

    sp->batch_err = -EIO;
    s->bad = true;
    dir_suspect(sp, s->dir, true);
    s->lost = sp->batch_pending > 0;
    s->pending -= sp->batch_pending;
    segment_seal(sp, s->end);
    batch_drop(sp);
    if (sp->redoing) {
        sp->failed = true;
        return;
    }
    sp->redo_spare = sp->redo;
    sp->redo = spare;
    buf_clear(&sp->redo);
    r = head_open_or_resume(sp, SEGMENT_HEADER_BYTES);
    if (r == 0) {
        sp->redoing = true;
        redo_all(sp);
        sp->redoing = false;
    } else if (r != -ENOSPC || buf_len(&sp->redo_spare) > 0) {
        sp->failed = true;
    }
    buf_clear(&sp->redo_spare);
    spool_note(sp, "A write to a segment failed; %s.",
               sp->failed ? "no other could be opened, so the spool takes nothing until a restart"
                          : "it was given up and another opened");
}

/* Writes the buffer. */
static int buf_write(struct spool *sp)
{
    int r;

    if (sp->buf_len == 0)
        return 0;
    r = fs_write(head_slot(sp)->file, slice_make(sp->buf, sp->buf_len), sp->buf_off);
    if (r < 0)
        return r;
    sp->bytes_written += sp->buf_len;
    sp->buf_off += sp->buf_len;
    sp->buf_len = 0;
    return 0;
}

int segment_sync(struct spool *sp)
{
    struct slot *s;
    size_t pad;
    int r;

    if (sp->failed)
        return -ERR_FAILED;
    if (!sp->dirty)
        return 0;
    s = head_slot(sp);
    pad = (size_t)(align_up(sp->pos, SECTOR_BYTES) - sp->pos);
    memset(sp->buf + sp->buf_len, 0, pad);
    sp->buf_len += pad;
    r = buf_write(sp);
    if (r == 0)
        r = fs_sync(s->file);
    if (r < 0) {
        head_fail(sp);
        return -EIO;
    }
    sp->syncs++;
    s->end = sp->pos;
    sp->batch_open = false;
    sp->dirty = false;
    sp->batch_pending = 0;
    batch_apply(sp);
    buf_clear(&sp->redo);
    return 0;
}

/* Where the next record would go, a SYNC record before it included where one is due. */
static uint64_t next_pos(const struct spool *sp)
{
    return sp->batch_open ? sp->pos : align_up(sp->pos, SECTOR_BYTES) + RECORD_HEADER_BYTES;
}

int segment_ensure(struct spool *sp, uint64_t bytes)
{
    uint64_t want = bytes + RECORD_HEADER_BYTES;
    int r;

    if (sp->failed)
        return -ERR_FAILED;
    if (want > sp->config.segment_bytes - SEGMENT_HEADER_BYTES)
        return -E2BIG;
    if ((sp->op_count >= BATCH_OPS_MAX || buf_len(&sp->redo) >= BATCH_REDO_MAX) &&
        segment_sync(sp) < 0 && sp->failed)
        return -ERR_FAILED;
    if (sp->head != SLOT_NONE && next_pos(sp) + bytes > head_slot(sp)->size) {
        if (segment_sync(sp) == 0)
            segment_seal(sp, sp->pos);
        else if (sp->failed)
            return -ERR_FAILED;
    }
    if (sp->head != SLOT_NONE && sp->buf_len > 0 &&
        (sp->buf_len >= BUF_FLUSH_BYTES || sp->buf_len + want + SECTOR_BYTES * 2 > BUF_BYTES) &&
        buf_write(sp) < 0)
        head_fail(sp);
    /* After a failure the new head may already hold what was appended again. */
    if (sp->head != SLOT_NONE && next_pos(sp) + bytes > head_slot(sp)->size) {
        if (segment_sync(sp) < 0)
            return -ERR_FAILED;
        segment_seal(sp, sp->pos);
    }
    if (sp->failed)
        return -ERR_FAILED;
    if (sp->head != SLOT_NONE)
        return 0;
    r = head_open_or_resume(sp, want);
    if (r < 0 && r != -ENOSPC && r != -E2BIG && r != -ENOMEM) {
        sp->failed = true;
        return -ERR_FAILED;
    }
    return r;
}

static void put_bytes(struct spool *sp, struct slice s)
{
    if (s.len)
        memcpy(sp->buf + sp->buf_len, s.ptr, s.len);
    sp->buf_len += s.len;
    sp->pos += s.len;
}

static void batch_begin(struct spool *sp)
{
    struct record r = {.type = RECORD_SYNC, .id = sp->pos, .seq = head_slot(sp)->seq};
    uint8_t header[RECORD_HEADER_BYTES];

    ASSERT(sp->buf_len == 0);
    sp->pos = align_up(sp->pos, SECTOR_BYTES);
    sp->buf_off = sp->pos;
    sp->batch_open = true;
    record_encode(&r, sp->seed, header);
    put_bytes(sp, slice_make(header, sizeof(header)));
}

uint32_t segment_put(struct spool *sp, struct record *r, const struct slice *parts, size_t count)
{
    static const uint8_t zeros[8];
    uint8_t header[RECORD_HEADER_BYTES];
    uint64_t from = sp->pos, at;

    if (!sp->batch_open)
        batch_begin(sp);
    at = sp->pos;
    r->seq = head_slot(sp)->seq;
    r->len = 0;
    r->crc = 0;
    for (size_t i = 0; i < count; i++) {
        r->len += (uint32_t)parts[i].len;
        r->crc = crc32c(r->crc, parts[i]);
    }
    record_encode(r, sp->seed, header);
    put_bytes(sp, slice_make(header, sizeof(header)));
    for (size_t i = 0; i < count; i++)
        put_bytes(sp, parts[i]);
    put_bytes(sp, slice_make(zeros, (size_t)(align_up(sp->pos, 8) - sp->pos)));
    ASSERT(sp->buf_len + SECTOR_BYTES <= BUF_BYTES && sp->pos <= head_slot(sp)->size);
    sp->dirty = true;
    sp->log_bytes += sp->pos - from;
    head_room_set(sp, head_slot(sp)->size - sp->pos);
    return (uint32_t)at;
}

int segment_read(struct spool *sp, uint32_t slot, uint64_t off, void *to, size_t size)
{
    struct slot *s = sp->slots[slot];
    ptrdiff_t n;

    if (slot == sp->head && sp->buf_len > 0 && off >= sp->buf_off) {
        if (off + size > sp->buf_off + sp->buf_len)
            return -ERR_DAMAGED;
        memcpy(to, sp->buf + (off - sp->buf_off), size);
        return 0;
    }
    if (!s->file)
        return -ERR_DAMAGED;
    n = fs_pread(s->file, to, size, off, false);
    if (n < 0)
        return (int)n;
    return (size_t)n == size ? 0 : -ERR_DAMAGED;
}
