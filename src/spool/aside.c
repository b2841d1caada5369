/*
 * spool/aside.c - damaged messages: what can still be read goes to the directory damaged/, and the
 * message leaves the queue, so that the rest is served and a person can look at it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "base/id.h"
#include "spool/spool_int.h"

#define DIR_NAME "damaged"
#define RAW_BYTES_MAX MIB(1)

/* A spool open for reading only writes nothing here either: then only the report is wanted. */
static int write_file(struct spool *sp, const char *name, struct slice bytes)
{
    struct fs_file *f = NULL;
    int r;

    if (sp->config.read_only)
        return 0;
    r = fs_open(sp->fs, name, FS_WRITE | FS_CREATE | FS_TRUNCATE, &f);

    if (r < 0)
        return r;
    r = fs_write(f, bytes, 0);
    if (r == 0)
        r = fs_sync(f);
    fs_close(&f);
    return r;
}

static int write_part(struct spool *sp, uint64_t id, const char *part, struct slice bytes)
{
    char text[ID_TEXT_MAX], name[64];

    (void)id_format(id, text);
    (void)snprintf(name, sizeof(name), DIR_NAME "/%s.%s", text, part);
    return write_file(sp, name, bytes);
}

/* Whether the extent's record is whole; what can be read of its body is appended to `to`. */
static bool extent_salvage(struct spool *sp, uint64_t id, const struct spool_extent *x,
                           struct buf *raw, struct buf *to)
{
    uint32_t slot = slot_of_seq(sp, x->segment), size = RECORD_HEADER_BYTES + x->bytes;
    struct record rec;
    struct slice body;

    buf_clear(raw);
    if (slot == SLOT_NONE || x->bytes > SPOOL_EXTENT_MAX || buf_reserve(raw, size) < 0 ||
        segment_read(sp, slot, x->offset, buf_tail(raw), size) < 0)
        return false;
    buf_grew(raw, size);
    body = slice_from(buf_slice(raw), RECORD_HEADER_BYTES);
    (void)buf_add(to, body);
    return record_decode(buf_slice(raw).ptr, sp->seed, &rec) && rec.id == id &&
           rec.seq == x->segment && rec.len == x->bytes && rec.crc == crc32c(0, body);
}

/* Appends the body to its file, extent by extent, and finds the first damaged one. */
static int write_body(struct spool *sp, uint64_t id, struct slice extents,
                      struct spool_extent *ret_bad, bool *ret_has_bad)
{
    struct buf raw = BUF_INIT(2 * SPOOL_EXTENT_MAX), body = BUF_INIT(2 * SPOOL_EXTENT_MAX);
    char text[ID_TEXT_MAX], name[64];
    struct fs_file *f = NULL;
    uint64_t off = 0;
    int r = 0;

    (void)id_format(id, text);
    (void)snprintf(name, sizeof(name), DIR_NAME "/%s.body", text);
    if (!sp->config.read_only)
        r = fs_open(sp->fs, name, FS_WRITE | FS_CREATE | FS_TRUNCATE, &f);
    for (size_t i = 0; r == 0 && i + EXTENT_ENTRY_BYTES <= extents.len; i += EXTENT_ENTRY_BYTES) {
        struct spool_extent x = extent_decode(extents.ptr + i);

        buf_clear(&body);
        if (!extent_salvage(sp, id, &x, &raw, &body) && !*ret_has_bad) {
            *ret_bad = x;
            *ret_has_bad = true;
        }
        if (f)
            r = fs_write(f, buf_slice(&body), off);
        off += buf_len(&body);
    }
    if (r == 0 && f)
        r = fs_sync(f);
    fs_close(&f);
    buf_done(&raw);
    buf_done(&body);
    return r;
}

static void report_at(struct spool *sp, uint64_t id, uint32_t slot, uint64_t off, const char *what)
{
    char name[FILE_NAME_MAX] = "(no file)";

    if (slot != SLOT_NONE && sp->slots[slot]->file)
        slot_name(sp->slots[slot], name);
    spool_damage(sp, name, off, id, what);
}

/* Says what is damaged, and what became of the message. */
static void report_damage(struct spool *sp, const struct entry *e, bool has_envelope, int loaded,
                          const struct spool_extent *bad, int result)
{
    const char *then = sp->config.read_only ? ""
                       : result < 0         ? "; the message could not be set aside"
                                            : "; the message was set aside";
    char what[128];

    (void)snprintf(what, sizeof(what), "%s cannot be read%s",
                   bad            ? "a part of the body"
                   : loaded == 0  ? "the message"
                   : has_envelope ? "the record of attempts"
                                  : "the envelope",
                   then);
    if (bad)
        report_at(sp, e->id, slot_of_seq(sp, bad->segment), bad->offset, what);
    else if (has_envelope && e->mark_bytes)
        report_at(sp, e->id, e->mark_slot, e->mark_off, what);
    else
        report_at(sp, e->id, e->slot, e->off, what);
}

/* Writes the message's parts, as far as they can be read. */
static int salvage(struct spool *sp, const struct entry *e)
{
    struct buf raw = BUF_INIT(record_bytes(RECORD_LEN_MAX));
    struct buf marks = BUF_INIT(2 * SPOOL_ENVELOPE_MAX);
    struct message_parts parts = {0};
    struct spool_extent bad = {0};
    bool has_bad = false;
    int loaded, r = sp->config.read_only ? 0 : fs_make_dir(sp->fs, DIR_NAME);

    loaded = message_load(sp, e, &raw, &parts, &marks);
    if (r == 0 && buf_len(&raw) > 0 && !parts.envelope.ptr)
        r = write_part(sp, e->id, "record", buf_slice(&raw));
    if (r == 0 && parts.envelope.ptr) {
        r = write_part(sp, e->id, "envelope", parts.envelope);
        if (r == 0)
            r = write_part(sp, e->id, "marks", buf_slice(&marks));
        if (r == 0)
            r = write_body(sp, e->id, parts.extents, &bad, &has_bad);
    }
    if (r == 0 && !sp->config.read_only)
        r = fs_sync_dir(sp->fs);
    report_damage(sp, e, parts.envelope.ptr, loaded, has_bad ? &bad : NULL, r);
    buf_done(&raw);
    buf_done(&marks);
    return r;
}

int set_aside(struct spool *sp, uint32_t n)
{
    struct entry e;
    int r;

    if (!batch_view(sp, n, &e))
        return -ENOENT;
    r = salvage(sp, &e);
    if (r == 0 && !sp->config.read_only)
        r = remove_append(sp, e.id);
    if (r < 0 || sp->config.read_only) {
        lock_take(&sp->lock);
        index_at(&sp->index, n)->flags |= ENTRY_DAMAGED;
        lock_release(&sp->lock);
    }
    return r;
}

int spool_set_aside(struct spool *sp, uint64_t id)
{
    uint32_t n = index_find(&sp->index, id);

    return n == ENTRY_NONE ? -ENOENT : set_aside(sp, n);
}

void set_aside_raw(struct spool *sp, uint32_t slot, uint64_t from, uint64_t to)
{
    struct buf raw = BUF_INIT(RAW_BYTES_MAX);
    char file[FILE_NAME_MAX], name[64];
    size_t size = (size_t)MIN_OF(to - from, RAW_BYTES_MAX);

    slot_name(sp->slots[slot], file);
    (void)snprintf(name, sizeof(name), DIR_NAME "/%s-%" PRIx64 ".raw", file, from);
    if (buf_reserve(&raw, size) == 0 && segment_read(sp, slot, from, buf_tail(&raw), size) == 0) {
        buf_grew(&raw, size);
        /* The bytes also stay in the segment until it is recycled; failing is no loss of mail. */
        if (fs_make_dir(sp->fs, DIR_NAME) < 0 || write_file(sp, name, buf_slice(&raw)) < 0)
            spool_note(sp, "The damaged bytes of %s at %" PRIu64 " could not be copied.", file,
                       from);
    }
    buf_done(&raw);
}
