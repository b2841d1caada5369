/*
 * spool/spool.c - ids, reservations, and the writer's calls: each appends a record to the batch
 * and an operation that the next sync makes true.
 */
#include "spool/spool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "spool/spool_int.h"

#define NOTE_BYTES_MAX 512
#define CHAIN_LINKS_MIN 32 /* marks are folded into one record when the chain grows longer */

void spool_note(struct spool *sp, const char *fmt, ...)
{
    char text[NOTE_BYTES_MAX];
    va_list ap;

    if (!sp->report.note)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    sp->report.note(sp->report.ctx, text);
}

void spool_damage(struct spool *sp, const char *file, uint64_t offset, uint64_t id,
                  const char *what)
{
    sp->damaged++;
    if (sp->report.damage)
        sp->report.damage(sp->report.ctx, file, offset, id, what);
}

/* ---- ids ---- */

uint64_t spool_new_id(struct spool *sp)
{
    return atomic_fetch_add(&sp->next_id, 1);
}

/* ---- reservations ---- */

/*
 * What `bytes` of mail take in records: a sixteenth for headers and padding, and the ends of
 * segments into which an extent did not fit. What it falls short for tiny messages and for very
 * long envelopes, the drain reserve has.
 */
static uint64_t with_overhead(const struct spool *sp, uint64_t bytes)
{
    uint64_t extent = record_bytes(SPOOL_EXTENT_MAX);
    uint64_t used = sp->config.segment_bytes - SEGMENT_HEADER_BYTES - extent;

    return bytes + bytes / 16 + bytes / used * extent + bytes % used * extent / used;
}

static bool has_room(struct spool *sp, uint64_t reserved)
{
    return atomic_load(&sp->room) >= with_overhead(sp, reserved) + sp->keep;
}

uint64_t spool_promised(struct spool *sp)
{
    return with_overhead(sp, atomic_load(&sp->reserved));
}

int spool_reserve(struct spool *sp, uint64_t bytes)
{
    uint64_t before = atomic_load(&sp->reserved);
    int r;

    if (bytes > UINT64_MAX / 4 || sp->failed)
        return -ENOSPC;
    for (;;) {
        if (has_room(sp, before + bytes)) {
            if (atomic_compare_exchange_weak(&sp->reserved, &before, before + bytes))
                return 0;
            continue;
        }
        /* Do not allocate files when even all of them would not do. */
        if (atomic_load(&sp->room) + segment_can_grow(sp) <
            with_overhead(sp, before + bytes) + sp->keep)
            return -ENOSPC;
        r = segment_grow(sp);
        if (r < 0)
            return -ENOSPC;
        before = atomic_load(&sp->reserved);
    }
}

void spool_unreserve(struct spool *sp, uint64_t bytes)
{
    uint64_t before = atomic_load(&sp->reserved);

    while (!atomic_compare_exchange_weak(&sp->reserved, &before, before - MIN_OF(before, bytes)))
        ;
    /* What was promised and not used may have made files that nobody needs now. */
    if (atomic_load(&sp->room) > sp->keep + atomic_load(&sp->reserved) +
                                     (sp->config.spare_segments + 1) * sp->config.segment_bytes)
        atomic_store(&sp->trim_due, true);
}

void spool_reserve_again(struct spool *sp, uint64_t bytes)
{
    atomic_fetch_add(&sp->reserved, bytes);
}

void spool_get_stat(struct spool *sp, struct spool_stat *ret)
{
    uint64_t room, taken, growable = segment_can_grow(sp);

    lock_take(&sp->lock);
    *ret = sp->stat;
    ret->segments = ret->segments_free = ret->dead_bytes = 0;
    for (uint32_t i = 0; i < sp->slot_count; i++) {
        const struct slot *s = sp->slots[i];

        ret->segments += s->file != NULL;
        ret->segments_free += s->state == SLOT_FREE;
        if (s->state == SLOT_SEALED && s->file)
            ret->dead_bytes += s->size - MIN_OF(s->size, s->live + SEGMENT_HEADER_BYTES);
    }
    lock_release(&sp->lock);
    ret->file_bytes = atomic_load(&sp->segment_total);
    ret->reusable_bytes = atomic_load(&sp->room);
    ret->growable_bytes = growable;
    ret->drain_reserve_bytes = sp->keep;
    room = ret->reusable_bytes + growable;
    ret->segment_bytes = sp->config.segment_bytes;
    ret->reserved_bytes = atomic_load(&sp->reserved);
    taken = with_overhead(sp, ret->reserved_bytes) + sp->keep;
    ret->free_bytes = room > taken ? room - taken : 0;
    ret->max_bytes = atomic_load(&sp->max_bytes);
    ret->capacity_bytes = ret->file_bytes + growable;
    ret->capacity_bytes -= MIN_OF(ret->capacity_bytes, sp->keep);
    ret->syncs = sp->syncs;
    ret->bytes_written = sp->bytes_written;
    ret->checkpoints = sp->checkpoints;
    ret->compacted_bytes = sp->compacted_bytes;
    ret->damaged = sp->damaged;
    ret->failed = sp->failed;
}

/* ---- intake ---- */

/* The record type is the caller's: intake fails when a part of its batch has failed, since none
 * of it may be acknowledged. */
static int intake_ensure(struct spool *sp, uint64_t record, uint64_t bytes)
{
    int r;

    if (sp->failed)
        return -ERR_FAILED;
    if (sp->batch_err)
        return sp->batch_err;
    if (atomic_load(&sp->reserved) < bytes) {
        r = spool_reserve(sp, bytes);
        if (r < 0)
            return r;
        r = segment_ensure(sp, record);
        if (r < 0 || sp->batch_err)
            spool_unreserve(sp, bytes);
    } else {
        r = segment_ensure(sp, record);
    }
    return r < 0 ? r : sp->batch_err;
}

int spool_append(struct spool *sp, uint64_t id, struct slice body, struct spool_extent *ret)
{
    struct record rec = {.type = RECORD_EXTENT, .id = id};
    uint32_t size = record_bytes((uint32_t)body.len), at;
    int r;

    ASSERT(body.len > 0 && body.len <= SPOOL_EXTENT_MAX);
    r = intake_ensure(sp, size, body.len);
    if (r < 0)
        return r;
    at = segment_put(sp, &rec, &body, 1);
    sp->slots[sp->head]->pending += size;
    sp->batch_pending += size;
    spool_unreserve(sp, body.len);
    *ret = (struct spool_extent){.segment = rec.seq, .offset = at, .bytes = (uint32_t)body.len};
    return 0;
}

uint64_t message_bytes(size_t extents, size_t envelope, size_t marks)
{
    return align_up(RECORD_HEADER_BYTES + extents + 4 + envelope + marks, 8);
}

void message_put(struct spool *sp, struct entry *e, struct slice extents, struct slice envelope,
                 struct slice marks)
{
    struct record rec = {
        .type = RECORD_MESSAGE,
        .id = e->id,
        .aux = (uint32_t)(extents.len / EXTENT_ENTRY_BYTES),
    };
    uint8_t envelope_len[4];
    struct slice parts[4] = {extents, slice_make(envelope_len, 4), envelope, marks};

    put_u32(envelope_len, (uint32_t)envelope.len);
    e->off = segment_put(sp, &rec, parts, ARRAY_SIZE(parts));
    e->slot = sp->head;
    e->rec_bytes = record_bytes(rec.len);
    e->mark_bytes = 0;
    e->mark_links = 0;
    e->mark_slot = e->mark_off = 0;
}

/* Whether the extent is whole: a segment that failed ends before what was lost. */
static bool extent_is_there(const struct spool *sp, const struct spool_extent *x)
{
    uint32_t n = slot_of_seq(sp, x->segment);

    if (n == SLOT_NONE || x->bytes == 0 || x->bytes > SPOOL_EXTENT_MAX)
        return false;
    return x->offset + (uint64_t)record_bytes(x->bytes) <=
           (n == sp->head ? sp->pos : sp->slots[n]->end);
}

static int encode_extents(struct spool *sp, const struct spool_extent *extents, size_t count,
                          struct buf *to)
{
    buf_clear(to);
    if (buf_reserve(to, count * EXTENT_ENTRY_BYTES) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (!extent_is_there(sp, &extents[i]))
            return -EIO;
        extent_encode(&extents[i], buf_tail(to));
        buf_grew(to, EXTENT_ENTRY_BYTES);
    }
    return 0;
}

static int commit_entry(struct spool *sp, struct entry *e, uint32_t *ret)
{
    int r;

    lock_take(&sp->lock);
    r = index_find(&sp->index, e->id) == ENTRY_NONE ? index_add(&sp->index, e->id, ret) : -EINVAL;
    if (r == 0) {
        e->flags |= ENTRY_PENDING;
        *index_at(&sp->index, *ret) = *e;
    }
    lock_release(&sp->lock);
    return r;
}

int spool_commit(struct spool *sp, uint64_t id, struct slice envelope,
                 const struct spool_extent *extents, size_t count)
{
    struct entry e = {.id = id};
    struct slice list, none = slice_make(NULL, 0);
    uint32_t n = ENTRY_NONE;
    int r;

    ASSERT(id != 0);
    if (envelope.len > SPOOL_ENVELOPE_MAX || count > EXTENTS_MAX)
        return -E2BIG;
    r = intake_ensure(sp, message_bytes(count * EXTENT_ENTRY_BYTES, envelope.len, 0), envelope.len);
    if (r == 0)
        r = batch_room(sp, 0);
    if (r == 0)
        r = encode_extents(sp, extents, count, &sp->scratch);
    if (r < 0)
        return r;
    list = buf_slice(&sp->scratch);
    lock_take(&sp->lock);
    r = entry_set_extents(sp, &e, list, NULL);
    lock_release(&sp->lock);
    if (r == 0) {
        r = commit_entry(sp, &e, &n);
        if (r < 0 && (e.flags & ENTRY_MORE))
            hold_list_free(sp, e.ext_slot);
    }
    if (r < 0)
        return r;
    message_put(sp, &e, list, envelope, none);
    lock_take(&sp->lock);
    *index_at(&sp->index, n) = e;
    lock_release(&sp->lock);
    batch_add(sp, OP_COMMIT, n, &e);
    spool_unreserve(sp, envelope.len);
    return 0;
}

void spool_abort(struct spool *sp, uint64_t id, const struct spool_extent *extents, size_t count)
{
    (void)id;
    for (size_t i = 0; i < count; i++) {
        uint32_t n = slot_of_seq(sp, extents[i].segment), size = record_bytes(extents[i].bytes);

        if (n == SLOT_NONE || !extent_is_there(sp, &extents[i]))
            continue; /* it went with its segment */
        ASSERT(sp->slots[n]->pending >= size);
        sp->slots[n]->pending -= size;
        if (n == sp->head && extents[i].offset >= sp->slots[n]->end)
            sp->batch_pending -= size;
        atomic_store(&sp->recycle_due, true);
    }
}

/* ---- what happens to a message later ---- */

/* Finds the message as it will be after the batch. */
static int find_view(const struct spool *sp, uint64_t id, uint32_t *ret_n, struct entry *ret)
{
    uint32_t n = index_find(&sp->index, id);

    if (n == ENTRY_NONE || !batch_view(sp, n, ret))
        return -ENOENT;
    *ret_n = n;
    return 0;
}

/* Whether the earlier marks are to be copied into the new record: they lie in another segment, or
 * the chain has grown so long that reading it costs more than copying it, seen over all marks. */
static bool chain_folds(const struct spool *sp, const struct entry *e)
{
    return e->mark_bytes > 0 &&
           (e->mark_slot != sp->head || e->mark_links >= CHAIN_LINKS_MIN + e->mark_bytes / 1024);
}

int mark_append(struct spool *sp, uint64_t id, struct slice mark)
{
    struct record rec = {.type = RECORD_MARK, .id = id};
    struct entry e = {0};
    uint8_t mark_len[4];
    struct slice parts[3];
    uint32_t n = ENTRY_NONE;
    int r = find_view(sp, id, &n, &e);

    if (r == 0)
        r = segment_ensure(sp, record_bytes((uint32_t)mark.len + 4) + (uint64_t)e.mark_bytes);
    if (r == 0) /* making room may have ended a batch */
        r = find_view(sp, id, &n, &e);
    if (r == 0)
        r = batch_room(sp, mark.len);
    if (r < 0)
        return r;
    buf_clear(&sp->scratch);
    if (chain_folds(sp, &e)) {
        r = chain_load(sp, FETCH_WRITER, &e, &sp->scratch);
        if (r < 0)
            return r;
        e.mark_bytes = 0;
        e.mark_links = 0;
    } else if (e.mark_bytes > 0) {
        rec.aux = e.mark_off;
    }
    put_u32(mark_len, (uint32_t)mark.len);
    parts[0] = buf_slice(&sp->scratch);
    parts[1] = slice_make(mark_len, 4);
    parts[2] = mark;
    e.mark_off = segment_put(sp, &rec, parts, 3);
    e.mark_slot = sp->head;
    e.mark_bytes += record_bytes(rec.len);
    e.mark_links++;
    batch_add(sp, OP_MARK, n, &e);
    batch_redo(sp, OP_MARK, id, mark);
    return 0;
}

int rewrite_append(struct spool *sp, uint64_t id, struct slice envelope)
{
    /* Its own: making room may append others again, which use sp->scratch. */
    struct buf raw = BUF_INIT(record_bytes(RECORD_LEN_MAX));
    struct message_parts parts;
    struct entry e = {0};
    uint32_t n = ENTRY_NONE;
    int r = find_view(sp, id, &n, &e);

    if (r == 0)
        r = message_load(sp, &e, &raw, &parts, NULL);
    if (r == 0)
        r = segment_ensure(sp, message_bytes(parts.extents.len, envelope.len, 0));
    if (r == 0)
        r = find_view(sp, id, &n, &e);
    if (r == 0)
        r = batch_room(sp, envelope.len);
    if (r == 0) {
        message_put(sp, &e, parts.extents, envelope, slice_make(NULL, 0));
        batch_add(sp, OP_REWRITE, n, &e);
        batch_redo(sp, OP_REWRITE, id, envelope);
    }
    buf_done(&raw);
    return r;
}

int remove_append(struct spool *sp, uint64_t id)
{
    struct record rec = {.type = RECORD_REMOVE, .id = id};
    struct entry e;
    uint32_t n = ENTRY_NONE;
    int r = find_view(sp, id, &n, &e);

    if (r == 0)
        r = segment_ensure(sp, RECORD_HEADER_BYTES);
    if (r == 0)
        r = find_view(sp, id, &n, &e);
    if (r == 0)
        r = batch_room(sp, 1);
    if (r < 0)
        return r;
    (void)segment_put(sp, &rec, NULL, 0);
    lock_take(&sp->lock);
    index_at(&sp->index, n)->flags |= ENTRY_REMOVING;
    lock_release(&sp->lock);
    batch_add(sp, OP_REMOVE, n, NULL);
    batch_redo(sp, OP_REMOVE, id, slice_make(NULL, 0));
    return 0;
}

/* The last segment's worth of room is for removals alone: they are what makes room. */
static bool is_for_removals(struct spool *sp)
{
    return atomic_load(&sp->room) < sp->config.segment_bytes && segment_can_grow(sp) == 0;
}

int spool_mark(struct spool *sp, uint64_t id, struct slice mark)
{
    struct entry e;
    uint32_t n;
    int r = find_view(sp, id, &n, &e);

    if (r < 0)
        return r;
    if (mark.len > SPOOL_MARK_MAX ||
        (uint64_t)e.rec_bytes + e.mark_bytes + mark.len > SPOOL_ENVELOPE_MAX)
        return -E2BIG;
    return is_for_removals(sp) ? -ENOSPC : mark_append(sp, id, mark);
}

int spool_rewrite(struct spool *sp, uint64_t id, struct slice envelope)
{
    if (envelope.len > SPOOL_ENVELOPE_MAX)
        return -E2BIG;
    return is_for_removals(sp) ? -ENOSPC : rewrite_append(sp, id, envelope);
}

int spool_remove(struct spool *sp, uint64_t id)
{
    return remove_append(sp, id);
}

bool spool_is_dirty(const struct spool *sp)
{
    return sp->dirty || sp->batch_err < 0;
}

int spool_sync(struct spool *sp)
{
    int err, r = segment_sync(sp);

    err = sp->batch_err;
    sp->batch_err = 0;
    if (sp->failed)
        return -ERR_FAILED;
    if (err < 0 && sp->dirty) {
        /* What was appended again after the failure. */
        if (segment_sync(sp) < 0)
            sp->batch_err = 0;
        return err;
    }
    return err < 0 ? err : r;
}
