/*
 * fuzz/spool_segment_fuzz.c - opens a spool whose segment and checkpoint say what the input says.
 *
 * Checksums would keep a fuzzer out, so the input is a list of records and checkpoint entries whose
 * checksums are put right here, mixed with raw bytes. Opening, listing, reading, marking, moving
 * and closing may report any damage, and must not crash.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "io/fs_sim.h"
#include "spool/format_int.h"
#include "spool/spool.h"

#define SPOOL_ID 77
#define SEGMENT_BYTES KIB(128)
#define CHECKPOINT_BYTES KIB(32)

struct builder {
    uint8_t *segment, *checkpoint;
    size_t segment_at, checkpoint_at;
    struct checkpoint_header header;
    uint32_t seq;
};

static void add_bytes(uint8_t *to, size_t *at, size_t size, struct slice s)
{
    s = slice_sub(s, 0, size - *at);
    if (s.len)
        memcpy(to + *at, s.ptr, s.len);
    *at += s.len;
}

static void add_record(struct builder *b, struct cursor *c, uint8_t type)
{
    struct record r = {.type = type, .seq = b->seq, .id = cursor_u8(c), .aux = cursor_u16(c)};
    uint16_t len = cursor_u16(c);
    struct slice payload = cursor_take(c, MIN_OF(len, c->left.len));
    uint8_t head[RECORD_HEADER_BYTES];

    if (type == RECORD_SYNC)
        r.id = b->segment_at;
    r.len = (uint32_t)payload.len;
    r.crc = crc32c(0, payload);
    record_encode(&r, format_seed(SPOOL_ID), head);
    add_bytes(b->segment, &b->segment_at, SEGMENT_BYTES, slice_make(head, sizeof(head)));
    add_bytes(b->segment, &b->segment_at, SEGMENT_BYTES, payload);
    b->segment_at = MIN_OF(align_up(b->segment_at, 8), SEGMENT_BYTES);
}

static void add_entry(struct builder *b, struct cursor *c)
{
    struct checkpoint_entry e = {
        .id = cursor_u16(c),
        .seq = cursor_u8(c),
        .off = cursor_u16(c),
        .rec_bytes = cursor_u16(c),
        .mark_seq = cursor_u8(c),
        .mark_off = cursor_u16(c),
        .mark_bytes = cursor_u16(c),
        .mark_links = cursor_u8(c),
        .extent_count = cursor_u8(c) % 8,
        .envelope_len = cursor_u8(c),
        .marks_len = cursor_u8(c),
        .stub = cursor_u8(c) == 1,
    };
    struct slice extents = cursor_take(c, e.extent_count * EXTENT_ENTRY_BYTES);
    struct slice envelope = cursor_take(c, e.envelope_len), marks = cursor_take(c, e.marks_len);
    uint8_t head[CHECKPOINT_ENTRY_BYTES];
    size_t from = b->checkpoint_at;

    if (!cursor_ok(c) || from + checkpoint_entry_bytes(&e) > CHECKPOINT_BYTES)
        return;
    e.crc = crc32c(crc32c(0, envelope), marks);
    checkpoint_entry_encode(&e, extents, checkpoint_seed(SPOOL_ID, 1), head);
    add_bytes(b->checkpoint, &b->checkpoint_at, CHECKPOINT_BYTES, slice_make(head, sizeof(head)));
    add_bytes(b->checkpoint, &b->checkpoint_at, CHECKPOINT_BYTES, extents);
    add_bytes(b->checkpoint, &b->checkpoint_at, CHECKPOINT_BYTES, envelope);
    add_bytes(b->checkpoint, &b->checkpoint_at, CHECKPOINT_BYTES, marks);
    b->checkpoint_at = from + checkpoint_entry_bytes(&e);
    b->header.entry_count++;
    b->header.entry_bytes = b->checkpoint_at - CHECKPOINT_HEADER_BYTES;
}

static void build(struct builder *b, struct slice input)
{
    struct cursor c = cursor_make(input);
    struct segment_header h = {
        .seq = 3, .prev_seq = 2, .spool_id = SPOOL_ID, .size = SEGMENT_BYTES, .id_floor = 1};
    uint8_t flags = cursor_u8(&c);

    b->seq = h.seq;
    b->segment_at = SEGMENT_HEADER_BYTES;
    b->checkpoint_at = CHECKPOINT_HEADER_BYTES;
    b->header = (struct checkpoint_header){
        .spool_id = SPOOL_ID,
        .generation = 1,
        .next_seq = 4,
        .replay_seq = flags & 1 ? 3 : 4,
        .replay_off = SEGMENT_HEADER_BYTES,
        .next_id = 1,
    };
    if (!(flags & 2))
        segment_header_encode(&h, b->segment);
    while (cursor_ok(&c) && !cursor_at_end(&c)) {
        uint8_t what = cursor_u8(&c) % 12;

        if (what > 0 && what < RECORD_TYPE_END)
            add_record(b, &c, what);
        else if (what == 8)
            b->segment_at = MIN_OF(align_up(b->segment_at, SECTOR_BYTES), SEGMENT_BYTES);
        else if (what == 9)
            add_entry(b, &c);
        else if (what == 10)
            add_bytes(b->segment, &b->segment_at, SEGMENT_BYTES, cursor_take(&c, cursor_u8(&c)));
    }
    if (!(flags & 4))
        checkpoint_header_encode(&b->header, b->checkpoint);
}

static void write_file(struct fs *fs, const char *name, const uint8_t *bytes, size_t size)
{
    struct fs_file *f = NULL;
    int r = fs_open(fs, name, FS_WRITE | FS_CREATE, &f);

    ASSERT(r == 0);
    r = fs_write(f, slice_make(bytes, size), 0);
    ASSERT(r == 0);
    fs_close(&f);
}

static int on_each(void *ctx, uint64_t id, struct slice envelope, struct slice marks)
{
    struct buf *ids = ctx;

    ASSERT(marks_are_sound(marks) && envelope.len <= SPOOL_ENVELOPE_MAX);
    return buf_add_u64(ids, id);
}

/* All that can be asked of a message. */
static void use(struct spool *sp, uint64_t id)
{
    static uint8_t body[SPOOL_EXTENT_MAX];
    struct buf envelope = BUF_INIT(MIB(2)), marks = BUF_INIT(MIB(2));
    struct spool_reader r;
    int err = spool_read(sp, id, false, &r, &envelope, &marks);

    if (err == 0) {
        while (spool_read_body(&r, false, body, sizeof(body)) > 0)
            ;
        spool_read_done(&r);
    }
    err =
        id % 3 == 0 ? spool_rewrite(sp, id, SLICE_LIT("new")) : spool_mark(sp, id, SLICE_LIT("m"));
    if (err == -ERR_DAMAGED)
        err = spool_set_aside(sp, id);
    else if (id % 5 == 0)
        err = spool_remove(sp, id);
    (void)err;
    buf_done(&envelope);
    buf_done(&marks);
}

static void open_and_use(struct fs *fs)
{
    const struct spool_config config = {.segment_bytes = SEGMENT_BYTES, .first_id = SPOOL_ID};
    struct buf why = BUF_INIT(4096), ids = BUF_INIT(MIB(1));
    struct spool *sp = NULL;
    uint64_t freed;

    if (spool_open(&sp, fs, &config, NULL, &why) == 0) {
        int r = spool_each(sp, on_each, &ids);

        for (size_t i = 0; i + 8 <= buf_len(&ids); i += 8)
            use(sp, get_u64(buf_slice(&ids).ptr + i));
        r = spool_sync(sp);
        r = r < 0 ? r : spool_tick(sp, KIB(64));
        do
            r = r < 0 ? r : spool_relieve(sp, KIB(64), &freed);
        while (r == 1);
        spool_close(&sp);
    }
    buf_done(&why);
    buf_done(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct builder b = {.segment = calloc(1, SEGMENT_BYTES),
                        .checkpoint = calloc(1, CHECKPOINT_BYTES)};
    struct fs *fs = fs_sim_new(1, MIB(3));

    ASSERT(b.segment && b.checkpoint);
    build(&b, slice_make(data, size));
    write_file(fs, "seg-00000000", b.segment, SEGMENT_BYTES);
    write_file(fs, "checkpoint-0", b.checkpoint, CHECKPOINT_BYTES);
    free(b.segment);
    free(b.checkpoint);
    open_and_use(fs);
    open_and_use(fs);
    fs_free(&fs);
    return 0;
}
