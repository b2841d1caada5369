/*
 * spool/recover.c - opening: the checkpoint gives the messages as they were, the records after its
 * position are replayed over it, a torn tail is cut, damage is found and set aside.
 *
 * How far a segment is valid is said by the header of the segment opened after it. The last one
 * has no successor: it ends where its records end, the payloads of its last batch included, since
 * that batch may not have been synced. Whatever lies before a SYNC record that vouches for it was
 * durable once, and is damage when it cannot be read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "spool/recover_int.h"

/* ---- files ---- */

static int found_name(void *ctx, const char *name)
{
    struct recovery *rec = ctx;
    struct spool *sp = rec->sp;
    struct slot *s;
    uint64_t number = 0;
    uint32_t n;
    char again[FILE_NAME_MAX];
    int r;

    if (strncmp(name, "seg-", 4) != 0 || strlen(name) != 12)
        return 0;
    number = strtoull(name + 4, NULL, 16);
    r = slot_add(sp, &n);
    if (r < 0)
        return r;
    s = sp->slots[n];
    s->number = (uint32_t)number;
    s->dir = (uint8_t)rec->dir;
    slot_name(s, again);
    if (strcmp(again, name) != 0)
        return 0; /* not a name of ours; the slot stays unused */
    r = fs_open(sp->dirs[rec->dir].fs, name, sp->config.read_only ? 0 : FS_WRITE, &s->file);
    if (r < 0) {
        buf_addf(rec->why, "The spool's file %s cannot be opened: %s.", name, err_str(r));
        return r;
    }
    s->state = SLOT_SEALED;
    sp->next_number = MAX_OF(sp->next_number, s->number + 1);
    rec->files++;
    return fs_size(s->file, &s->size);
}

/* 1: a sound header of our version. 0: none. */
static int read_sector(struct fs_file *f, uint8_t to[static SECTOR_BYTES])
{
    ptrdiff_t n = fs_pread(f, to, SECTOR_BYTES, 0, false);

    return n < 0 ? (int)n : n == SECTOR_BYTES;
}

/* Of the slots that were added since the last call. */
static int read_segment_headers(struct recovery *rec)
{
    struct spool *sp = rec->sp;
    uint8_t sector[SECTOR_BYTES];
    uint32_t first = rec->header_count;
    struct segment_header *headers =
        realloc(rec->headers, MAX_OF(sp->slot_count, 1) * sizeof(*headers));

    if (!headers)
        return -ENOMEM;
    rec->headers = headers;
    rec->header_count = sp->slot_count;
    for (uint32_t n = first; n < sp->slot_count; n++)
        headers[n] = (struct segment_header){0};
    for (uint32_t n = first; n < sp->slot_count; n++) {
        struct slot *s = sp->slots[n];
        int r = s->file ? read_sector(s->file, sector) : 0;

        if (r == 1 && format_is_newer(sector))
            return -ERR_DAMAGED;
        if (r < 0 && r != -EIO)
            return r;
        if (r == 1 && !segment_header_decode(sector, &rec->headers[n]))
            rec->headers[n].seq = 0;
    }
    return 0;
}

static int open_checkpoints(struct recovery *rec)
{
    struct spool *sp = rec->sp;
    unsigned flags = sp->config.read_only ? 0 : FS_WRITE | FS_CREATE;
    uint8_t sector[SECTOR_BYTES];

    for (int i = 0; i < 2; i++) {
        int r = fs_open(sp->fs, checkpoint_names[i], flags, &sp->checkpoint_files[i]);

        if (r == -ENOENT && sp->config.read_only)
            continue;
        if (r < 0) {
            buf_addf(rec->why, "The spool's file %s cannot be opened: %s.", checkpoint_names[i],
                     err_str(r));
            return r;
        }
        r = read_sector(sp->checkpoint_files[i], sector);
        if (r == 1 && format_is_newer(sector))
            return -ERR_DAMAGED;
        rec->has_checkpoint[i] = r == 1 && checkpoint_header_decode(sector, &rec->checkpoints[i]);
    }
    return 0;
}

/* Whose spool this is: as the newest checkpoint says, or else the newest segment, or else the list
 * of directories. False: nobody does. */
static bool find_spool_id(struct recovery *rec)
{
    struct spool *sp = rec->sp;
    uint64_t generation = 0;
    uint32_t seq = 0;

    for (int i = 0; i < 2; i++)
        if (rec->has_checkpoint[i] && rec->checkpoints[i].generation >= generation) {
            generation = rec->checkpoints[i].generation;
            sp->spool_id = rec->checkpoints[i].spool_id;
        }
    for (uint32_t n = 0; generation == 0 && n < sp->slot_count; n++)
        if (rec->headers[n].seq > seq) {
            seq = rec->headers[n].seq;
            sp->spool_id = rec->headers[n].spool_id;
        }
    if (generation > 0 || seq > 0)
        return true;
    sp->spool_id = dirs_spool_id(sp);
    return sp->spool_id > 0;
}

static void slot_set_bad(struct spool *sp, uint32_t n, const char *what)
{
    char name[FILE_NAME_MAX];

    sp->slots[n]->state = SLOT_BAD;
    slot_name(sp->slots[n], name);
    spool_damage(sp, name, 0, 0, what);
}

/* Enters the segments whose headers are sound by their lives. */
static int enter_segments(struct recovery *rec)
{
    struct spool *sp = rec->sp;

    for (uint32_t n = 0; n < sp->slot_count; n++) {
        struct segment_header *h = &rec->headers[n];
        struct slot *s = sp->slots[n];
        int r;

        if (s->state != SLOT_SEALED || h->seq == 0)
            continue;
        if (h->spool_id != sp->spool_id || slot_of_seq(sp, h->seq) != SLOT_NONE) {
            slot_set_bad(sp, n, "the segment belongs to another spool; it is left alone");
            h->seq = 0;
            continue;
        }
        s->seq = h->seq;
        s->end = s->size;
        r = order_insert(sp, n);
        if (r < 0)
            return r;
        rec->generation = MAX_OF(rec->generation, h->generation);
        rec->next_id = MAX_OF(rec->next_id, h->id_floor);
        sp->next_seq = MAX_OF(sp->next_seq, h->seq + 1);
    }
    return 0;
}

/* ---- the checkpoint ---- */

int gone_slot(struct spool *sp, uint32_t seq, uint32_t *ret)
{
    uint32_t n = slot_of_seq(sp, seq);
    int r = 0;

    if (n == SLOT_NONE) {
        r = slot_add(sp, &n);
        if (r == 0) {
            *sp->slots[n] = (struct slot){.state = SLOT_GONE, .seq = seq};
            r = order_insert(sp, n);
        }
    }
    if (r == 0)
        *ret = n;
    return r;
}

static int load_entry(struct recovery *rec, const struct checkpoint_reader *reader, int which)
{
    const struct checkpoint_entry *in = &reader->entry;
    struct spool *sp = rec->sp;
    struct entry e = {
        .id = in->id,
        .off = in->off,
        .rec_bytes = in->rec_bytes,
        .mark_off = in->mark_off,
        .mark_bytes = in->mark_bytes,
        .mark_links = (uint16_t)in->mark_links,
    };
    uint32_t n = 0;
    int r;

    if (e.id <= rec->last_id) /* they are in order, and so no id is there twice */
        return -ERR_DAMAGED;
    rec->last_id = e.id;
    r = gone_slot(sp, in->seq, &e.slot);
    if (r == 0 && e.mark_bytes)
        r = gone_slot(sp, in->mark_seq, &e.mark_slot);
    if (r == 0)
        r = entry_set_extents(sp, &e, reader->extents, gone_slot);
    if (r == 0)
        r = index_add(&sp->index, e.id, &n);
    if (r == 0 && in->stub)
        r = buf_add_u64(&rec->stubs, e.id);
    if (r < 0)
        return r;
    *index_at(&sp->index, n) = e;
    if (!in->stub)
        *index_bits(&sp->index, n) = (uint8_t)(BIT_CHECKPOINT_0 << which);
    holds_take(sp, &e);
    sp->stat.messages++;
    rec->next_id = MAX_OF(rec->next_id, e.id + 1);
    return 0;
}

/* Takes everything back that a damaged checkpoint has put there. */
static void unload(struct recovery *rec)
{
    struct spool *sp = rec->sp;

    for (uint32_t n = 0; n < sp->index.size; n++)
        if (index_at(&sp->index, n)->id)
            entry_forget(sp, n);
    buf_clear(&rec->stubs);
    for (uint32_t i = 0; i < sp->order_count;) {
        struct slot *s = sp->slots[sp->order[i]];

        if (s->state != SLOT_GONE) {
            i++;
            continue;
        }
        order_remove(sp, sp->order[i]);
        s->state = SLOT_UNUSED;
    }
}

static int load_one(struct recovery *rec, int which)
{
    struct spool *sp = rec->sp;
    const struct checkpoint_header *h = &rec->checkpoints[which];
    struct checkpoint_reader reader;
    int r;

    rec->last_id = 0;
    checkpoint_reader_init(&reader, sp->checkpoint_files[which], h);
    while ((r = checkpoint_reader_next(&reader)) == 1) {
        r = load_entry(rec, &reader, which);
        if (r < 0)
            break;
    }
    if (r < 0) {
        spool_damage(sp, checkpoint_names[which],
                     reader.off - (buf_len(&reader.window) - reader.at), 0,
                     "the checkpoint cannot be read from here on");
        unload(rec);
    }
    checkpoint_reader_done(&reader);
    return r;
}

/*
 * Loads the newest checkpoint that can be used. One that is older than a segment says was in force
 * when it was opened cannot: segments may have been recycled since.
 */
static int load_checkpoint(struct recovery *rec)
{
    struct spool *sp = rec->sp;
    int first = rec->checkpoints[1].generation > rec->checkpoints[0].generation;

    sp->next_generation = rec->generation + 1;
    for (int i = 0; i < 2; i++)
        if (rec->has_checkpoint[i])
            sp->next_generation = MAX_OF(sp->next_generation, rec->checkpoints[i].generation + 1);
    for (int i = 0; i < 2; i++) {
        int which = i == 0 ? first : 1 - first, r;
        const struct checkpoint_header *h = &rec->checkpoints[which];

        if (!rec->has_checkpoint[which] || h->spool_id != sp->spool_id ||
            h->generation < rec->generation)
            continue;
        r = load_one(rec, which);
        /* A process that was killed may have left its header in the page cache only. */
        if (r == 0 && !sp->config.read_only) {
            r = fs_sync(sp->checkpoint_files[which]);
            if (r < 0)
                return r;
        }
        if (r == 0) {
            /* Where a sync of it failed, the cache need not show what the disk has. */
            sp->header_is_unsure[1 - which] = true;
            sp->active = which;
            sp->active_is_sound = true;
            sp->checkpoint = *h;
            sp->next_seq = MAX_OF(sp->next_seq, h->next_seq);
            rec->next_id = MAX_OF(rec->next_id, h->next_id);
            return 0;
        }
        if (r != -ERR_DAMAGED && r != -EIO)
            return r;
        sp->header_is_unsure[which] = true;
    }
    rec->is_full = true;
    sp->active = 0;
    sp->checkpoint = (struct checkpoint_header){
        .spool_id = sp->spool_id,
        .generation = sp->next_generation - 1,
    };
    spool_damage(sp, checkpoint_names[first], 0, 0,
                 "no checkpoint can be used; all segments are read instead, and messages that "
                 "were delivered may be sent again");
    return 0;
}

/* A segment that was allocated and never written begins with zeros. */
static bool is_unused(struct recovery *rec, const struct slot *s)
{
    const uint8_t *p = window_get(&rec->window, s, 0, 2 * SEGMENT_HEADER_BYTES);

    for (size_t i = 0; p && i < 2 * SEGMENT_HEADER_BYTES; i++)
        if (p[i])
            return false;
    return p;
}

/* A segment without a sound header: the first record in it tells its life. It is either one that
 * a crash caught while its header was written anew, with nothing of value, or it is damaged. */
static int adopt_headerless(struct recovery *rec)
{
    struct spool *sp = rec->sp;

    for (uint32_t n = 0; n < sp->slot_count; n++) {
        struct slot *s = sp->slots[n], *gone;
        struct record r;
        uint64_t at;
        uint32_t other;
        bool found;

        if (s->state != SLOT_SEALED || s->seq != 0)
            continue;
        found = !is_unused(rec, s) &&
                window_find(&rec->window, s, SEGMENT_HEADER_BYTES, s->size, 0, 0, &at, &r);
        other = found ? slot_of_seq(sp, r.seq) : SLOT_NONE;
        if (!found || r.seq == 0 ||
            (other == SLOT_NONE ? r.seq < sp->checkpoint.replay_seq
                                : sp->slots[other]->state != SLOT_GONE)) {
            s->state = SLOT_FREE;
            continue;
        }
        s->seq = r.seq;
        s->end = s->size;
        sp->next_seq = MAX_OF(sp->next_seq, r.seq + 1);
        if (other != SLOT_NONE) { /* the checkpoint speaks of it: its place is taken */
            gone = sp->slots[other];
            s->live = gone->live;
            *gone = *s;
            *s = (struct slot){.state = SLOT_UNUSED};
            s = gone;
        } else if (order_insert(sp, n) < 0) {
            return -ENOMEM;
        }
        s->headerless = true;
    }
    return 0;
}

/* Known only after the replay: a segment of which nothing is needed was being recycled. */
static void report_headerless(struct spool *sp)
{
    for (uint32_t n = 0; n < sp->slot_count; n++) {
        const struct slot *s = sp->slots[n];
        char name[FILE_NAME_MAX];

        if (!s->headerless || (s->live == 0 && s->seq < sp->checkpoint.replay_seq))
            continue;
        slot_name(s, name);
        spool_damage(sp, name, 0, 0, "the segment's header cannot be read; its records are served");
    }
}

/* ---- after the replay ---- */

/* Entries whose records could not be read when the checkpoint was written. */
static int resolve_stubs(struct recovery *rec)
{
    struct spool *sp = rec->sp;
    struct slice left = buf_slice(&rec->stubs);
    struct message_parts parts;
    struct buf raw = BUF_INIT(record_bytes(RECORD_LEN_MAX));
    int r = 0;

    for (; left.len >= 8 && r >= 0; left = slice_from(left, 8)) {
        uint64_t id;
        uint32_t n;
        struct entry *e, now;

        memcpy(&id, left.ptr, sizeof(id));
        n = index_find(&sp->index, id);
        e = n == ENTRY_NONE ? NULL : index_at(&sp->index, n);
        if (!e || e->ext_bytes || (e->flags & ENTRY_MORE))
            continue;
        now = *e;
        r = message_load(sp, e, &raw, &parts, NULL);
        if (r == 0)
            r = entry_set_extents(sp, &now, parts.extents, gone_slot);
        if (r == 0) {
            holds_release(sp, e);
            *e = now;
            holds_take(sp, e);
        } else if (r != -ENOMEM) {
            r = damaged_add(rec, id);
        }
    }
    buf_done(&raw);
    return r;
}

/* Finds the messages that need something that is not there, or lies in a damaged range. */
static int find_damaged(struct recovery *rec)
{
    struct spool *sp = rec->sp;
    bool *hit = calloc(MAX_OF(sp->slot_count, 1), sizeof(*hit));
    bool any = false;
    int r = 0;

    if (!hit)
        return -ENOMEM;
    for (uint32_t i = 0; i < sp->slot_count; i++) {
        hit[i] = sp->slots[i]->state == SLOT_GONE && sp->slots[i]->live > 0;
        any |= hit[i];
    }
    for (size_t i = 0; i < rec->range_count; i++)
        any = hit[rec->ranges[i].slot] = true;
    for (uint32_t n = 0; any && n < sp->index.size && r == 0; n++) {
        const struct entry *e = index_at(&sp->index, n);

        for (uint32_t i = 0; e->id && i < sp->slot_count; i++)
            if (hit[i] && entry_needs_slot(sp, e, i) &&
                (sp->slots[i]->state == SLOT_GONE || entry_is_hurt(rec, e))) {
                r = damaged_add(rec, e->id);
                break;
            }
    }
    free(hit);
    return r;
}

static void set_all_aside(struct recovery *rec)
{
    struct slice left = buf_slice(&rec->damaged);

    for (; left.len >= 8; left = slice_from(left, 8)) {
        uint64_t id;
        uint32_t n;

        memcpy(&id, left.ptr, sizeof(id));
        n = index_find(&rec->sp->index, id);
        if (n != ENTRY_NONE) /* a failure leaves it marked as damaged; the report told */
            (void)set_aside(rec->sp, n);
    }
    for (size_t i = 0; i < rec->range_count && !rec->sp->config.read_only; i++)
        set_aside_raw(rec->sp, rec->ranges[i].slot, rec->ranges[i].from, rec->ranges[i].to);
}

/* ---- the whole ---- */

/* Room, from the slots as they were found. */
static void count_room(struct spool *sp)
{
    uint64_t total = 0, room = 0;

    for (uint32_t n = 0; n < sp->slot_count; n++) {
        const struct slot *s = sp->slots[n];

        if (s->file)
            total += s->size;
        if (s->state == SLOT_FREE && s->size > SEGMENT_HEADER_BYTES)
            room += s->size - SEGMENT_HEADER_BYTES;
    }
    atomic_store(&sp->segment_total, total);
    atomic_store(&sp->room, room);
}

/* A crash may leave files that were not yet allocated: they are no use as segments. */
static void drop_stunted(struct spool *sp)
{
    for (uint32_t n = 0; n < sp->slot_count; n++) {
        struct slot *s = sp->slots[n];
        char name[FILE_NAME_MAX];

        if (s->state != SLOT_FREE || s->size >= SEGMENT_BYTES_MIN)
            continue;
        slot_name(s, name);
        fs_close(&s->file);
        (void)fs_unlink(sp->dirs[s->dir].fs, name);
        *s = (struct slot){.state = SLOT_UNUSED};
    }
}

static int create(struct recovery *rec)
{
    struct spool *sp = rec->sp;
    int r;

    sp->next_seq = 1;
    sp->next_generation = 1;
    atomic_store(&sp->next_id, MAX_OF(sp->config.first_id, 1));
    for (uint32_t n = 0; n < sp->slot_count; n++)
        if (sp->slots[n]->state == SLOT_SEALED)
            slot_set_bad(sp, n, "the segment cannot be read, and no checkpoint tells of it");
    count_room(sp);
    if (sp->config.read_only)
        return 0;
    r = checkpoint_create(sp);
    if (r < 0)
        buf_addf(rec->why, "The spool cannot be created: %s.", err_str(r));
    return r;
}

/* Whether a segment is missing that is needed, or that another one came after. */
static bool is_incomplete(const struct recovery *rec)
{
    const struct spool *sp = rec->sp;

    for (uint32_t i = 0; i < sp->order_count; i++) {
        const struct slot *s = sp->slots[sp->order[i]];
        const struct segment_header *h =
            sp->order[i] < rec->header_count ? &rec->headers[sp->order[i]] : NULL;

        if (s->state == SLOT_GONE && s->live > 0)
            return true;
        if (h && h->seq == s->seq && s->seq > sp->checkpoint.replay_seq &&
            h->prev_seq >= sp->checkpoint.replay_seq && h->prev_seq > 0 &&
            slot_of_seq(sp, h->prev_seq) == SLOT_NONE)
            return true;
    }
    return false;
}

static int recover_existing(struct recovery *rec)
{
    struct spool *sp = rec->sp;
    int r = enter_segments(rec);

    if (r == 0)
        r = load_checkpoint(rec);
    if (r == 0)
        r = adopt_headerless(rec);
    if (r == 0)
        r = replay(rec);
    if (r == 0)
        r = resolve_stubs(rec);
    if (r == 0)
        r = find_damaged(rec);
    if (r == 0 && sp->list_is_lost && is_incomplete(rec)) {
        (void)buf_add_str(rec->why, "The list of the spool's directories cannot be read, and "
                                    "segments are missing: name all directories that hold mail.");
        r = -ENODEV;
    }
    if (r < 0)
        return r;
    report_headerless(sp);
    sp->next_seq = MAX_OF(sp->next_seq, 1);
    atomic_store(&sp->next_id, MAX_OF(rec->next_id, 1));
    if (!sp->config.read_only)
        drop_stunted(sp);
    count_room(sp);
    if (!sp->config.read_only)
        (void)segment_recycle(sp);
    return 0;
}

/* All files, first those of the spool's own directory, which tell whose spool it is and where the
 * others are. `*ret_known`: there is a spool. */
static int find_all(struct recovery *rec, bool *ret_known)
{
    struct spool *sp = rec->sp;
    int r = fs_list(sp->fs, found_name, rec);

    if (r == 0)
        r = read_segment_headers(rec);
    if (r == 0)
        r = open_checkpoints(rec);
    if (r < 0)
        return r;
    *ret_known = find_spool_id(rec);
    if (!*ret_known)
        sp->spool_id = MAX_OF(sp->config.first_id, 1);
    sp->seed = format_seed(sp->spool_id);
    r = dirs_recover(sp, rec->why);
    for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX && r == 0; i++) {
        rec->dir = i;
        if (sp->dirs[i].fs)
            r = fs_list(sp->dirs[i].fs, found_name, rec);
    }
    return r < 0 ? r : read_segment_headers(rec);
}

int recover(struct spool *sp, struct buf *why)
{
    struct recovery rec = {.sp = sp, .why = why};
    bool is_known = false;
    int r;

    buf_init(&rec.stubs, GIB(1));
    buf_init(&rec.damaged, GIB(1));
    window_open(&rec.window, sp);
    r = find_all(&rec, &is_known);
    if (r == 0)
        r = is_known ? recover_existing(&rec) : create(&rec);
    if (r < 0 && buf_len(why) == 0)
        buf_addf(why, "The spool cannot be recovered: %s.",
                 r == -ERR_DAMAGED ? "it was written by a newer version" : err_str(r));
    /* Names made by a process that was killed may not be durable yet. */
    if (r == 0 && !sp->config.read_only)
        r = dirs_settle(sp, why);
    if (r == 0 && !sp->config.read_only)
        r = dirs_sync(sp);
    if (r == 0)
        r = spool_prepare(sp);
    if (r == 0) {
        set_all_aside(&rec);
        /* Without it every further opening would read all segments again. */
        if (rec.is_full && !sp->config.read_only && spool_sync(sp) == 0 &&
            checkpoint_complete(sp) < 0)
            spool_note(sp, "The checkpoint could not be written anew.");
    }
    free(rec.headers);
    free(rec.ranges);
    buf_done(&rec.stubs);
    buf_done(&rec.damaged);
    window_done(&rec.window);
    return r;
}
