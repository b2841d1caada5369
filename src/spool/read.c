/*
 * spool/read.c - reading messages, in any thread. Where a message lies comes from the index under
 * the lock; its segments are pinned, and read without it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "spool/spool_int.h"

#define MOVED_TRIES_MAX 16

static int fetch(struct spool *sp, enum fetch_mode mode, uint32_t slot, uint64_t off, void *to,
                 size_t size)
{
    struct slot *s = sp->slots[slot];
    ptrdiff_t n;

    if (mode == FETCH_WRITER)
        return segment_read(sp, slot, off, to, size);
    if (!s->file)
        return -ERR_DAMAGED;
    n = fs_pread(s->file, to, size, off, mode == FETCH_NOWAIT);
    if (n < 0)
        return (int)n;
    return (size_t)n == size ? 0 : -ERR_DAMAGED;
}

/* Checks the record at the start of `bytes`; its payload is in `ret_payload`. */
static int record_check(const struct spool *sp, struct slice bytes, enum record_type type,
                        uint64_t id, uint32_t seq, struct record *ret, struct slice *ret_payload)
{
    struct slice payload;

    if (bytes.len < RECORD_HEADER_BYTES || !record_decode(bytes.ptr, sp->seed, ret) ||
        ret->type != type || ret->id != id || ret->seq != seq ||
        ret->len > bytes.len - RECORD_HEADER_BYTES)
        return -ERR_DAMAGED;
    payload = slice_sub(bytes, RECORD_HEADER_BYTES, ret->len);
    if (crc32c(0, payload) != ret->crc)
        return -ERR_DAMAGED;
    *ret_payload = payload;
    return 0;
}

static int message_fetch(struct spool *sp, enum fetch_mode mode, const struct entry *e,
                         struct buf *raw, struct message_parts *ret)
{
    struct record rec;
    struct slice payload;
    int r;

    buf_clear(raw);
    if (e->rec_bytes < RECORD_HEADER_BYTES || e->rec_bytes > record_bytes(RECORD_LEN_MAX))
        return -ERR_DAMAGED;
    if (buf_reserve(raw, e->rec_bytes) < 0)
        return -ENOMEM;
    r = fetch(sp, mode, e->slot, e->off, buf_tail(raw), e->rec_bytes);
    if (r < 0)
        return r;
    buf_grew(raw, e->rec_bytes);
    r = record_check(sp, buf_slice(raw), RECORD_MESSAGE, e->id, sp->slots[e->slot]->seq, &rec,
                     &payload);
    if (r < 0)
        return r;
    return message_split(payload, rec.aux, ret) ? 0 : -ERR_DAMAGED;
}

/* The MARK at `off`, which takes at most `left` bytes, in `raw`. */
static int mark_fetch(struct spool *sp, enum fetch_mode mode, const struct entry *e, uint32_t off,
                      uint32_t left, struct buf *raw, struct record *ret, struct slice *ret_payload)
{
    uint32_t size, seq = sp->slots[e->mark_slot]->seq;
    int r;

    buf_clear(raw);
    if (left < RECORD_HEADER_BYTES)
        return -ERR_DAMAGED;
    size = e->mark_links == 1 ? left : RECORD_HEADER_BYTES; /* the one there is, or its header */
    if (buf_reserve(raw, left) < 0)
        return -ENOMEM;
    r = fetch(sp, mode, e->mark_slot, off, buf_tail(raw), size);
    if (r < 0)
        return r;
    if (!record_decode(buf_tail(raw), sp->seed, ret) || record_bytes(ret->len) > left)
        return -ERR_DAMAGED;
    if (record_bytes(ret->len) > size) {
        r = fetch(sp, mode, e->mark_slot, off + size, buf_tail(raw) + size,
                  record_bytes(ret->len) - size);
        if (r < 0)
            return r;
    }
    buf_grew(raw, record_bytes(ret->len));
    r = record_check(sp, buf_slice(raw), RECORD_MARK, e->id, seq, ret, ret_payload);
    if (r == 0 && !marks_are_sound(*ret_payload))
        r = -ERR_DAMAGED;
    return r;
}

/* The chain leads from the last mark to the first: the result is filled from its end. */
static int chain_fill(struct spool *sp, enum fetch_mode mode, const struct entry *e,
                      struct buf *raw, uint8_t *to, uint32_t *ret_from)
{
    uint32_t at = e->mark_bytes, left = e->mark_bytes, off = e->mark_off;

    while (off) {
        struct record rec;
        struct slice payload;
        int r = mark_fetch(sp, mode, e, off, left, raw, &rec, &payload);

        if (r < 0)
            return r;
        at -= (uint32_t)payload.len;
        memcpy(to + at, payload.ptr, payload.len);
        left -= record_bytes(rec.len);
        off = rec.aux;
    }
    *ret_from = at;
    return 0;
}

int chain_load(struct spool *sp, enum fetch_mode mode, const struct entry *e, struct buf *ret_marks)
{
    struct buf raw = BUF_INIT((size_t)e->mark_bytes + RECORD_HEADER_BYTES);
    uint8_t *all;
    uint32_t from = 0;
    int r;

    if (e->mark_bytes == 0)
        return 0;
    all = malloc(e->mark_bytes);
    if (!all)
        return -ENOMEM;
    r = chain_fill(sp, mode, e, &raw, all, &from);
    if (r == 0)
        r = buf_add(ret_marks, slice_make(all + from, e->mark_bytes - from));
    free(all);
    buf_done(&raw);
    return r;
}

int message_load(struct spool *sp, const struct entry *e, struct buf *raw,
                 struct message_parts *ret, struct buf *ret_marks)
{
    int r = message_fetch(sp, FETCH_WRITER, e, raw, ret);

    if (r < 0 || !ret_marks)
        return r;
    buf_clear(ret_marks);
    r = buf_add(ret_marks, ret->marks);
    return r < 0 ? r : chain_load(sp, FETCH_WRITER, e, ret_marks);
}

/* ---- readers ---- */

/* Under the lock: the message's entry, where others may see it. */
static int find_visible(struct spool *sp, uint64_t id, struct entry *ret)
{
    uint32_t n = index_find(&sp->index, id);
    const struct entry *e;

    if (n == ENTRY_NONE)
        return -ENOENT;
    e = index_at(&sp->index, n);
    if (e->flags & (ENTRY_PENDING | ENTRY_REMOVING))
        return -ENOENT;
    if (e->flags & ENTRY_DAMAGED)
        return -ERR_DAMAGED;
    *ret = *e;
    return 0;
}

/* Under the lock. */
static void pin(struct spool *sp, uint32_t slot, int by)
{
    struct slot *s = sp->slots[slot];

    ASSERT(by > 0 || s->pins > 0);
    s->pins += (uint32_t)by;
    if (s->pins == 0 && s->live == 0)
        atomic_store(&sp->recycle_due, true);
}

static void pin_entry(struct spool *sp, const struct entry *e, int by)
{
    pin(sp, e->slot, by);
    if (e->mark_bytes)
        pin(sp, e->mark_slot, by);
}

/* Under the lock: once for each run of extents in one segment. -ERR_DAMAGED: one has none. */
static int pin_extents(struct spool *sp, const struct spool_extent *x, uint32_t count, int by)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot;

        if (i > 0 && x[i].segment == x[i - 1].segment)
            continue;
        slot = slot_of_seq(sp, x[i].segment);
        if (slot == SLOT_NONE) {
            (void)pin_extents(sp, x, i, -by);
            return -ERR_DAMAGED;
        }
        pin(sp, slot, by);
    }
    return 0;
}

static int reader_fill(struct spool_reader *r, struct spool *sp, uint64_t id, struct slice extents)
{
    uint32_t count = (uint32_t)(extents.len / EXTENT_ENTRY_BYTES);

    *r = (struct spool_reader){.sp = sp, .id = id, .count = count};
    r->extents = r->inline_extents;
    if (count > ARRAY_SIZE(r->inline_extents)) {
        r->extents = malloc(count * sizeof(*r->extents));
        if (!r->extents)
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        r->extents[i] = extent_decode(extents.ptr + (size_t)i * EXTENT_ENTRY_BYTES);
        r->body_bytes += r->extents[i].bytes;
    }
    return 0;
}

static void reader_free(struct spool_reader *r)
{
    if (r->extents != r->inline_extents)
        free(r->extents);
    *r = (struct spool_reader){0};
}

static int read_parts(struct spool *sp, enum fetch_mode mode, const struct entry *e,
                      struct buf *raw, struct spool_reader *ret, struct buf *ret_envelope,
                      struct buf *ret_marks)
{
    struct message_parts parts;
    int r = message_fetch(sp, mode, e, raw, &parts);

    if (r == 0 && ret_envelope) {
        buf_clear(ret_envelope);
        r = buf_add(ret_envelope, parts.envelope);
    }
    if (r == 0 && ret_marks) {
        buf_clear(ret_marks);
        r = buf_add(ret_marks, parts.marks);
        if (r == 0)
            r = chain_load(sp, mode, e, ret_marks);
    }
    return r < 0 ? r : reader_fill(ret, sp, e->id, parts.extents);
}

/* 1: compaction moved the message meanwhile, try again. */
static int read_once(struct spool *sp, uint64_t id, enum fetch_mode mode, struct buf *raw,
                     struct spool_reader *ret, struct buf *ret_envelope, struct buf *ret_marks)
{
    struct entry e = {0}, now = {0};
    int r;

    lock_take(&sp->lock);
    r = find_visible(sp, id, &e);
    if (r == 0)
        pin_entry(sp, &e, 1);
    lock_release(&sp->lock);
    if (r < 0)
        return r;
    r = read_parts(sp, mode, &e, raw, ret, ret_envelope, ret_marks);
    lock_take(&sp->lock);
    if (r == 0) {
        r = find_visible(sp, id, &now);
        if (r == 0 && (now.slot != e.slot || now.off != e.off))
            r = 1;
        if (r == 0)
            r = pin_extents(sp, ret->extents, ret->count, 1);
        if (r != 0)
            reader_free(ret);
    }
    pin_entry(sp, &e, -1);
    lock_release(&sp->lock);
    return r;
}

int spool_read(struct spool *sp, uint64_t id, bool nowait, struct spool_reader *ret,
               struct buf *ret_envelope, struct buf *ret_marks)
{
    struct buf raw = BUF_INIT(record_bytes(RECORD_LEN_MAX));
    int r = 1;

    *ret = (struct spool_reader){0};
    for (int try = 0; try < MOVED_TRIES_MAX && r == 1; try++)
        r = read_once(sp, id, nowait ? FETCH_NOWAIT : FETCH_WAIT, &raw, ret, ret_envelope,
                      ret_marks);
    buf_done(&raw);
    return r == 1 ? -EAGAIN : r;
}

void spool_read_done(struct spool_reader *r)
{
    if (!r->sp)
        return;
    lock_take(&r->sp->lock);
    (void)pin_extents(r->sp, r->extents, r->count, -1);
    lock_release(&r->sp->lock);
    reader_free(r);
}

void spool_read_rewind(struct spool_reader *r)
{
    r->at = r->at_offset = 0;
}

/* Reads `size` bytes of the present extent from `at_offset`; at its start with the header. */
static int read_piece(struct spool_reader *r, bool nowait, uint8_t *to, size_t size)
{
    const struct spool_extent *x = &r->extents[r->at];
    uint8_t header[RECORD_HEADER_BYTES];
    struct iovec iov[2] = {{header, sizeof(header)}, {to, size}};
    bool first = r->at_offset == 0;
    struct fs_file *file;
    struct record rec;
    uint32_t slot;
    ptrdiff_t n;

    lock_take(&r->sp->lock);
    slot = slot_of_seq(r->sp, x->segment);
    ASSERT(slot != SLOT_NONE);
    file = r->sp->slots[slot]->file;
    lock_release(&r->sp->lock);
    if (!file)
        return -ERR_DAMAGED;
    if (first)
        n = fs_preadv(file, iov, 2, x->offset, nowait);
    else
        n = fs_pread(file, to, size, x->offset + RECORD_HEADER_BYTES + r->at_offset, nowait);
    if (n < 0)
        return (int)n;
    if ((size_t)n != size + (first ? sizeof(header) : 0))
        return -ERR_DAMAGED;
    if (first) {
        if (!record_decode(header, r->sp->seed, &rec) || rec.type != RECORD_EXTENT ||
            rec.id != r->id || rec.seq != x->segment || rec.len != x->bytes)
            return -ERR_DAMAGED;
        r->crc = 0;
        r->want_crc = rec.crc;
    }
    r->crc = crc32c(r->crc, slice_make(to, size));
    if (r->at_offset + size == x->bytes && r->crc != r->want_crc)
        return -ERR_DAMAGED;
    return 0;
}

ptrdiff_t spool_read_body(struct spool_reader *r, bool nowait, void *to, size_t size)
{
    size_t got = 0;

    ASSERT(size > 0);
    while (r->at < r->count && got < size) {
        size_t left = r->extents[r->at].bytes - r->at_offset;
        size_t take = MIN_OF(left, size - got);
        int e;

        /* A piece only where not even one extent fits. */
        if (take < left && got > 0)
            break;
        e = read_piece(r, nowait, (uint8_t *)to + got, take);
        if (e < 0)
            return got > 0 ? (ptrdiff_t)got : e;
        got += take;
        r->at_offset += (uint32_t)take;
        if (r->at_offset == r->extents[r->at].bytes) {
            r->at++;
            r->at_offset = 0;
        }
    }
    return (ptrdiff_t)got;
}
