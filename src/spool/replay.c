/* spool/replay.c - walks the records of segments, finds their ends and their damage. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "spool/recover_int.h"

#define WINDOW_BYTES KIB(256)
#define WINDOW_HOP_BYTES KIB(8) /* read where records are so large that most is hopped over */
#define WINDOW_BYTES_MAX (2 * (size_t)RECORD_LEN_MAX + 2 * WINDOW_BYTES)

void window_open(struct window *w, const struct spool *sp)
{
    *w = (struct window){.sp = sp};
    buf_init(&w->bytes, WINDOW_BYTES_MAX);
}

void window_done(struct window *w)
{
    buf_done(&w->bytes);
}

const uint8_t *window_get(struct window *w, const struct slot *s, uint64_t off, uint64_t size)
{
    uint64_t end = w->off + buf_len(&w->bytes), want;
    bool hops = w->slot == s && off > end + WINDOW_HOP_BYTES;
    ptrdiff_t n;

    if (off + size > s->size || !s->file)
        return NULL;
    if (w->slot == s && off >= w->off && off + size <= end)
        return buf_slice(&w->bytes).ptr + (off - w->off);
    want = MAX_OF(size, hops ? WINDOW_HOP_BYTES : WINDOW_BYTES);
    want = MIN_OF(want, s->size - off);
    w->slot = s;
    w->off = off;
    buf_clear(&w->bytes);
    if (buf_reserve(&w->bytes, want) < 0)
        return NULL;
    n = fs_pread(s->file, buf_tail(&w->bytes), want, off, false);
    if (n == -EIO) /* perhaps only a part of it is unreadable */
        n = fs_pread(s->file, buf_tail(&w->bytes), size, off, false);
    if (n < 0) {
        w->failed = true;
        return NULL;
    }
    buf_grew(&w->bytes, (size_t)n);
    return (uint64_t)n >= size ? buf_slice(&w->bytes).ptr : NULL;
}

bool window_record(struct window *w, const struct slot *s, uint64_t off, uint32_t seq,
                   struct record *ret)
{
    const uint8_t *p = window_get(w, s, off, RECORD_HEADER_BYTES);

    return p && record_decode(p, w->sp->seed, ret) && (seq == 0 || ret->seq == seq) &&
           off + record_bytes(ret->len) <= s->size;
}

/* The first place from `at` on, before `to`, that looks like a record at all. */
static uint64_t next_magic(struct window *w, const struct slot *s, uint64_t at, uint64_t to)
{
    for (;;) {
        const uint8_t *p;
        uint64_t n;

        if (at + RECORD_HEADER_BYTES > to || !window_get(w, s, at, RECORD_HEADER_BYTES))
            return at + RECORD_HEADER_BYTES > to ? to : at;
        p = buf_slice(&w->bytes).ptr + (at - w->off);
        n = MIN_OF(buf_len(&w->bytes) - (at - w->off), to - at);
        for (uint64_t i = 0; i + RECORD_HEADER_BYTES <= n; i += 8)
            if (record_has_magic(p + i))
                return at + i;
        at += (n - RECORD_HEADER_BYTES) / 8 * 8 + 8;
    }
}

bool window_find(struct window *w, const struct slot *s, uint64_t from, uint64_t to, uint32_t seq,
                 uint64_t over, uint64_t *ret_at, struct record *ret)
{
    uint64_t at = align_up(from, 8);

    for (; at + RECORD_HEADER_BYTES <= to; at += 8) {
        struct record r;

        at = next_magic(w, s, at, to);
        if (at + RECORD_HEADER_BYTES > to || !window_record(w, s, at, seq, &r))
            continue;
        if (over && (r.type != RECORD_SYNC || r.id <= over))
            continue;
        *ret_at = at;
        *ret = r;
        return true;
    }
    return false;
}

/*
 * The record at `*at`, or the one behind the padding there: a batch begins at a sector, with a
 * SYNC record that says where the one before it ended.
 */
static bool step(struct window *w, const struct slot *s, uint64_t *at, uint64_t limit,
                 struct record *ret)
{
    uint64_t sector = align_up(*at, SECTOR_BYTES);

    if (*at + RECORD_HEADER_BYTES <= limit && window_record(w, s, *at, s->seq, ret))
        return true;
    if (sector == *at || sector + RECORD_HEADER_BYTES > limit ||
        !window_record(w, s, sector, s->seq, ret) || ret->type != RECORD_SYNC || ret->id != *at)
        return false;
    *at = sector;
    return true;
}

static bool payload_is_sound(struct window *w, const struct slot *s, uint64_t at,
                             const struct record *r)
{
    const uint8_t *p = window_get(w, s, at, RECORD_HEADER_BYTES + (uint64_t)r->len);

    return p && crc32c(0, slice_make(p + RECORD_HEADER_BYTES, r->len)) == r->crc;
}

/* ---- where a segment without a successor ends ---- */

/* The end of the sound records of the batch that begins at `at`. */
static uint64_t batch_end(struct window *w, const struct slot *s, uint64_t at)
{
    struct record r;

    while (window_record(w, s, at, s->seq, &r) && payload_is_sound(w, s, at, &r))
        at += record_bytes(r.len);
    return at;
}

static uint64_t find_end(struct recovery *rec, const struct slot *s, uint64_t from)
{
    struct window *w = &rec->window;
    uint64_t at = from, batch = from, end;
    struct record r;

    for (;;) {
        if (step(w, s, &at, s->size, &r)) {
            if (r.type == RECORD_SYNC)
                batch = at;
            at += record_bytes(r.len);
            continue;
        }
        /* Damage, where something later vouches for it; else nobody was told of what is here. */
        if (!window_find(w, s, at, s->size, s->seq, at, &end, &r) ||
            !window_find(w, s, at, s->size, s->seq, 0, &at, &r))
            break;
    }
    end = batch_end(w, s, batch);
    if (end < at || window_record(w, s, align_up(at, SECTOR_BYTES), s->seq, &r)) {
        char name[FILE_NAME_MAX];

        slot_name(s, name);
        spool_note(rec->sp, "The end of %s was torn; it was cut at %" PRIu64 ".", name, end);
    }
    return end;
}

/* What the header of the next segment says, or else what the records say. */
static uint64_t segment_end(struct recovery *rec, uint32_t place, uint64_t from, bool *ret_known)
{
    struct spool *sp = rec->sp;
    const struct slot *s = sp->slots[sp->order[place]];

    for (uint32_t i = place + 1; i < sp->order_count; i++) {
        uint32_t n = sp->order[i];

        if (n < rec->header_count && rec->headers[n].seq == sp->slots[n]->seq &&
            rec->headers[n].prev_seq == s->seq && rec->headers[n].prev_end <= s->size) {
            *ret_known = true;
            return rec->headers[n].prev_end;
        }
    }
    *ret_known = false;
    return find_end(rec, s, from);
}

/* ---- what each record does ---- */

static uint64_t place_of(const struct spool *sp, uint32_t slot, uint32_t off)
{
    return (uint64_t)sp->slots[slot]->seq << 32 | off;
}

int damaged_add(struct recovery *rec, uint64_t id)
{
    return buf_add_u64(&rec->damaged, id);
}

static int range_add(struct recovery *rec, uint32_t slot, uint64_t from, uint64_t to, uint64_t id,
                     const char *what)
{
    char name[FILE_NAME_MAX];

    slot_name(rec->sp->slots[slot], name);
    spool_damage(rec->sp, name, from, id, what);
    if (rec->range_count == rec->range_room) {
        size_t room = rec->range_room ? rec->range_room * 2 : 16;
        struct range *ranges = realloc(rec->ranges, room * sizeof(*ranges));

        if (!ranges)
            return -ENOMEM;
        rec->ranges = ranges;
        rec->range_room = room;
    }
    rec->ranges[rec->range_count++] = (struct range){.slot = slot, .from = from, .to = to};
    return 0;
}

static int replay_message(struct recovery *rec, uint32_t slot, uint32_t at, const struct record *r,
                          struct slice payload)
{
    struct spool *sp = rec->sp;
    uint32_t n = index_find(&sp->index, r->id);
    struct entry e = {.id = r->id, .slot = slot, .off = at, .rec_bytes = record_bytes(r->len)};
    struct message_parts parts;
    int err;

    if (!message_split(payload, r->aux, &parts))
        return range_add(rec, slot, at, at + record_bytes(r->len), r->id,
                         "the message's record is malformed");
    if (n != ENTRY_NONE) {
        const struct entry *old = index_at(&sp->index, n);

        /* The checkpoint may be newer than this record. */
        if (place_of(sp, old->slot, old->off) >= place_of(sp, slot, at))
            return 0;
        entry_forget(sp, n);
    }
    err = entry_set_extents(sp, &e, parts.extents, gone_slot);
    if (err == 0)
        err = index_add(&sp->index, e.id, &n);
    if (err < 0)
        return err == -ERR_DAMAGED ? range_add(rec, slot, at, at + record_bytes(r->len), r->id,
                                               "the message's record is malformed")
                                   : err;
    *index_at(&sp->index, n) = e;
    holds_take(sp, &e);
    sp->stat.messages++;
    return 0;
}

static void replay_mark(struct recovery *rec, uint32_t slot, uint32_t at, const struct record *r)
{
    struct spool *sp = rec->sp;
    uint32_t n = index_find(&sp->index, r->id);
    struct entry *e;

    if (n == ENTRY_NONE)
        return;
    e = index_at(&sp->index, n);
    if (place_of(sp, slot, at) < place_of(sp, e->slot, e->off) ||
        (e->mark_bytes && place_of(sp, slot, at) <= place_of(sp, e->mark_slot, e->mark_off)))
        return;
    holds_release(sp, e);
    if (r->aux == 0 || e->mark_slot != slot) {
        e->mark_bytes = 0;
        e->mark_links = 0;
    }
    e->mark_slot = slot;
    e->mark_off = at;
    e->mark_bytes += record_bytes(r->len);
    e->mark_links++;
    holds_take(sp, e);
    *index_bits(&sp->index, n) = 0;
}

static int replay_record(struct recovery *rec, uint32_t slot, uint64_t at, const struct record *r)
{
    struct spool *sp = rec->sp;
    const struct slot *s = sp->slots[slot];
    uint32_t n;

    rec->next_id = MAX_OF(rec->next_id, r->type == RECORD_SYNC    ? 0
                                        : r->type == RECORD_FLOOR ? r->id
                                                                  : r->id + 1);
    switch (r->type) {
    case RECORD_MESSAGE:
    case RECORD_MARK:
        if (!payload_is_sound(&rec->window, s, at, r))
            return range_add(rec, slot, at, at + record_bytes(r->len), r->id,
                             r->type == RECORD_MARK ? "a mark cannot be read"
                                                    : "the message's record cannot be read");
        if (r->type == RECORD_MARK) {
            replay_mark(rec, slot, (uint32_t)at, r);
            return 0;
        }
        return replay_message(
            rec, slot, (uint32_t)at, r,
            slice_make(window_get(&rec->window, s, at + RECORD_HEADER_BYTES, r->len), r->len));
    case RECORD_REMOVE:
        n = index_find(&sp->index, r->id);
        if (n != ENTRY_NONE)
            entry_forget(sp, n);
        return 0;
    default:
        return 0;
    }
}

static int replay_segment(struct recovery *rec, uint32_t slot, uint64_t from, uint64_t limit)
{
    struct window *w = &rec->window;
    const struct slot *s = rec->sp->slots[slot];
    uint64_t at = from, next;
    struct record r;
    int err = 0;

    while (at < limit && err == 0) {
        if (step(w, s, &at, limit, &r)) {
            err = replay_record(rec, slot, at, &r);
            at += record_bytes(r.len);
            continue;
        }
        if (!window_find(w, s, at, limit, s->seq, 0, &next, &r))
            next = limit;
        err = range_add(rec, slot, at, next, 0, "records cannot be read");
        at = next;
    }
    return err;
}

/* What was found at the end of the last segment may be in the page cache only, written by a
 * process that was killed before it could sync. */
static int make_durable(struct recovery *rec, struct slot *s)
{
    int r = rec->sp->config.read_only ? 0 : fs_sync(s->file);

    if (r < 0)
        buf_addf(rec->why, "The end of the spool cannot be made durable: %s.", err_str(r));
    return r;
}

int replay(struct recovery *rec)
{
    struct spool *sp = rec->sp;
    uint32_t replay_seq = sp->checkpoint.replay_seq, last = SLOT_NONE;
    int r = 0;

    for (uint32_t i = 0; i < sp->order_count && r == 0; i++) {
        uint32_t n = sp->order[i];
        struct slot *s = sp->slots[n];
        uint64_t from = SEGMENT_HEADER_BYTES;
        bool known = false;

        if (s->seq < replay_seq || s->state != SLOT_SEALED)
            continue;
        if (s->seq == replay_seq)
            from = MIN_OF(MAX_OF(from, sp->checkpoint.replay_off), s->size);
        s->end = segment_end(rec, i, from, &known);
        s->torn = !known;
        if (!known)
            r = make_durable(rec, s);
        if (r == 0 && s->end > from) {
            r = replay_segment(rec, n, from, s->end);
            sp->log_bytes += s->end - from;
        }
        last = n;
    }
    if (last != SLOT_NONE) {
        sp->last_seq = sp->slots[last]->seq;
        sp->last_end = sp->slots[last]->end;
    }
    return r;
}

bool entry_is_hurt(struct recovery *rec, const struct entry *e)
{
    struct spool *sp = rec->sp;
    struct buf raw = BUF_INIT(record_bytes(RECORD_LEN_MAX));
    struct message_parts parts;
    bool hurt = message_load(sp, e, &raw, &parts, NULL) < 0;

    for (size_t i = 0; !hurt && i + EXTENT_ENTRY_BYTES <= parts.extents.len;
         i += EXTENT_ENTRY_BYTES) {
        struct spool_extent x = extent_decode(parts.extents.ptr + i);
        uint32_t slot = slot_of_seq(sp, x.segment);

        for (size_t k = 0; !hurt && k < rec->range_count; k++) {
            const struct range *range = &rec->ranges[k];
            struct record r;

            if (range->slot != slot || x.offset + record_bytes(x.bytes) <= range->from ||
                x.offset >= range->to)
                continue;
            hurt = !window_record(&rec->window, sp->slots[slot], x.offset, x.segment, &r) ||
                   r.type != RECORD_EXTENT || r.id != e->id || r.len != x.bytes;
        }
    }
    buf_done(&raw);
    return hurt;
}
