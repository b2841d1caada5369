/*
 * spool/checkpoint.c - the list of all messages with their places and envelopes, so that opening
 * needs no random reads and does not depend on history.
 *
 * Two files take turns, overwritten in place: a disk without one free block can still checkpoint,
 * and so recycle segments, and so drain. A checkpoint is taken while work goes on: it notes the
 * end of the log at its beginning, and everything after that is replayed over it at opening.
 * Messages are listed by id; what the last checkpoint has and has not changed is copied from it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "spool/spool_int.h"

#define OUT_BYTES KIB(256)
#define SYNC_BYTES MIB(4) /* so that no single fdatasync takes long */
#define WINDOW_BYTES KIB(256)
#define WINDOW_BYTES_MAX MIB(8)
#define FILE_BYTES_MIN KIB(64)
#define DUE_SEGMENTS 2

const char *const checkpoint_names[2] = {"checkpoint-0", "checkpoint-1"};

/* ---- reading ---- */

void checkpoint_reader_init(struct checkpoint_reader *r, struct fs_file *file,
                            const struct checkpoint_header *h)
{
    *r = (struct checkpoint_reader){
        .file = file,
        .seed = checkpoint_seed(h->spool_id, h->generation),
        .off = CHECKPOINT_HEADER_BYTES,
        .end = CHECKPOINT_HEADER_BYTES + h->entry_bytes,
        .left = h->entry_count,
    };
    buf_init(&r->window, WINDOW_BYTES_MAX);
}

void checkpoint_reader_done(struct checkpoint_reader *r)
{
    buf_done(&r->window);
}

/* Makes `n` bytes from `at` on be in the window. */
static int window_fill(struct checkpoint_reader *r, uint64_t n)
{
    size_t have = buf_len(&r->window) - r->at;
    uint64_t want;
    ptrdiff_t got;

    if (have >= n)
        return 0;
    if (n - have > r->end - r->off || n > WINDOW_BYTES_MAX - WINDOW_BYTES)
        return -ERR_DAMAGED;
    buf_consume(&r->window, r->at);
    r->at = 0;
    want = MIN_OF(MAX_OF(n - have, WINDOW_BYTES), r->end - r->off);
    if (buf_reserve(&r->window, want) < 0)
        return -ENOMEM;
    got = fs_pread(r->file, buf_tail(&r->window), want, r->off, false);
    if (got < 0)
        return (int)got;
    buf_grew(&r->window, (size_t)got);
    r->off += (uint64_t)got;
    return (uint64_t)got + have >= n ? 0 : -ERR_DAMAGED;
}

int checkpoint_reader_next(struct checkpoint_reader *r)
{
    struct checkpoint_entry *e = &r->entry;
    struct slice bytes;
    int got;

    r->at += r->entry_bytes;
    r->entry_bytes = 0;
    if (r->left == 0)
        return r->off == r->end && r->at == buf_len(&r->window) ? 0 : -ERR_DAMAGED;
    got = window_fill(r, CHECKPOINT_ENTRY_BYTES);
    if (got == 0 && !checkpoint_entry_peek(buf_slice(&r->window).ptr + r->at, e))
        got = -ERR_DAMAGED;
    if (got == 0)
        got = window_fill(r, checkpoint_entry_bytes(e));
    if (got < 0)
        return got;
    bytes = slice_sub(buf_slice(&r->window), r->at, checkpoint_entry_bytes(e));
    r->extents =
        slice_sub(bytes, CHECKPOINT_ENTRY_BYTES, (size_t)e->extent_count * EXTENT_ENTRY_BYTES);
    r->envelope = slice_sub(bytes, CHECKPOINT_ENTRY_BYTES + r->extents.len, e->envelope_len);
    r->marks =
        slice_sub(bytes, CHECKPOINT_ENTRY_BYTES + r->extents.len + e->envelope_len, e->marks_len);
    if (!checkpoint_entry_check(bytes.ptr, r->extents, r->seed))
        return -ERR_DAMAGED;
    r->entry_bytes = bytes.len;
    r->left--;
    return 1;
}

bool checkpoint_reader_payload_is_sound(const struct checkpoint_reader *r)
{
    return !r->entry.stub && crc32c(crc32c(0, r->envelope), r->marks) == r->entry.crc &&
           marks_are_sound(r->marks);
}

/* ---- all messages by id: those of the last checkpoint, and those it does not have ---- */

struct merge {
    struct checkpoint_reader reader;
    bool has_old, old_failed;
    uint64_t *ids;
    size_t count, at;
};

static int compare_ids(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

static bool is_in_active(const struct spool *sp, uint32_t n)
{
    return sp->active_is_sound && (*index_bits(&sp->index, n) & (BIT_CHECKPOINT_0 << sp->active));
}

static int merge_old_next(struct merge *m)
{
    int r = checkpoint_reader_next(&m->reader);

    m->has_old = r == 1;
    return r < 0 ? r : 0;
}

static void merge_done(struct merge *m)
{
    checkpoint_reader_done(&m->reader);
    free(m->ids);
    m->ids = NULL;
}

/* The ids the active checkpoint does not have in their present state, sorted. */
static int merge_init(struct merge *m, struct spool *sp)
{
    size_t count = 0;
    int r;

    *m = (struct merge){0};
    for (uint32_t n = 0; n < sp->index.size; n++)
        count += index_at(&sp->index, n)->id != 0 && !is_in_active(sp, n);
    m->ids = malloc(MAX_OF(count, 1) * sizeof(*m->ids));
    if (!m->ids)
        return -ENOMEM;
    for (uint32_t n = 0; n < sp->index.size; n++) {
        const struct entry *e = index_at(&sp->index, n);

        if (e->id != 0 && !is_in_active(sp, n) && !(e->flags & ENTRY_PENDING))
            m->ids[m->count++] = e->id;
    }
    qsort(m->ids, m->count, sizeof(*m->ids), compare_ids);
    if (!sp->active_is_sound)
        return 0;
    checkpoint_reader_init(&m->reader, sp->checkpoint_files[sp->active], &sp->checkpoint);
    r = merge_old_next(m);
    if (r < 0)
        merge_done(m);
    return r;
}

/* 1: `*ret_n` is the next, and its present state is in the reader when `*ret_old`. 0: the end.
 * Ids of messages gone meanwhile are passed over. */
static int merge_next(struct merge *m, struct spool *sp, uint32_t *ret_n, bool *ret_old)
{
    for (;;) {
        bool more = m->at < m->count;
        uint64_t id, old = m->has_old ? m->reader.entry.id : UINT64_MAX;
        bool is_old = m->has_old && (!more || old <= m->ids[m->at]);
        uint32_t n;

        if (!m->has_old && !more)
            return 0;
        id = is_old ? old : m->ids[m->at];
        if (more && m->ids[m->at] == id)
            m->at++;
        n = index_find(&sp->index, id);
        if (n != ENTRY_NONE && index_at(&sp->index, n)->flags & ENTRY_PENDING)
            n = ENTRY_NONE;
        if (n != ENTRY_NONE) {
            *ret_n = n;
            *ret_old = is_old && is_in_active(sp, n);
            return is_old ? 2 : 1;
        }
        if (is_old) {
            int r = merge_old_next(m);

            if (r < 0)
                return r;
        }
    }
}

/* ---- writing ---- */

struct checkpoint_job {
    struct merge merge;
    struct checkpoint_header h;
    int which;
    struct fs_file *file;
    uint32_t seed;
    uint64_t off, synced_off; /* in the file: written, synced */
    struct buf out, raw, marks;
    uint64_t log_bytes; /* of the log at the beginning */
};

static uint64_t file_bytes(struct fs_file *f)
{
    uint64_t n = 0;

    return fs_size(f, &n) < 0 ? 0 : n;
}

void checkpoint_abandon(struct spool *sp)
{
    struct checkpoint_job *job = sp->job;

    if (!job)
        return;
    merge_done(&job->merge);
    buf_done(&job->out);
    buf_done(&job->raw);
    buf_done(&job->marks);
    free(job);
    sp->job = NULL;
}

int checkpoint_write(struct spool *sp, struct fs_file *f, struct slice data, uint64_t off)
{
    int r = fs_write(f, data, off);

    /* A full disk gives way to a checkpoint: it is what frees segments. */
    while (r == -ENOSPC && segment_sacrifice(sp))
        r = fs_write(f, data, off);
    return r;
}

static int job_flush(struct spool *sp, struct checkpoint_job *job)
{
    int r = checkpoint_write(sp, job->file, buf_slice(&job->out), job->off);

    if (r < 0)
        return r;
    sp->bytes_written += buf_len(&job->out);
    job->off += buf_len(&job->out);
    buf_clear(&job->out);
    if (job->off - job->synced_off < SYNC_BYTES)
        return 0;
    job->synced_off = job->off;
    return fs_sync(job->file);
}

static int job_emit(struct spool *sp, struct checkpoint_job *job, uint32_t n, bool old)
{
    static const uint8_t zeros[8];
    const struct checkpoint_reader *reader = &job->merge.reader;
    const struct entry *e = index_at(&sp->index, n);
    struct message_parts parts = {0};
    struct checkpoint_entry out = {
        .id = e->id,
        .seq = sp->slots[e->slot]->seq,
        .off = e->off,
        .rec_bytes = e->rec_bytes,
        .mark_seq = e->mark_bytes ? sp->slots[e->mark_slot]->seq : 0,
        .mark_off = e->mark_off,
        .mark_bytes = e->mark_bytes,
        .mark_links = e->mark_links,
    };
    uint8_t head[CHECKPOINT_ENTRY_BYTES];
    uint64_t bytes;

    if (old && checkpoint_reader_payload_is_sound(reader)) {
        parts = (struct message_parts){reader->extents, reader->envelope, reader->marks};
    } else if (message_load(sp, e, &job->raw, &parts, &job->marks) == 0) {
        parts.marks = buf_slice(&job->marks);
    } else {
        out.stub = true;
        parts = (struct message_parts){0};
    }
    out.extent_count = (uint32_t)(parts.extents.len / EXTENT_ENTRY_BYTES);
    out.envelope_len = (uint32_t)parts.envelope.len;
    out.marks_len = (uint32_t)parts.marks.len;
    out.crc = crc32c(crc32c(0, parts.envelope), parts.marks);
    checkpoint_entry_encode(&out, parts.extents, job->seed, head);
    bytes = checkpoint_entry_bytes(&out);
    if (buf_reserve(&job->out, bytes) < 0)
        return -ENOMEM;
    (void)buf_add(&job->out, slice_make(head, sizeof(head)));
    (void)buf_add(&job->out, parts.extents);
    (void)buf_add(&job->out, parts.envelope);
    (void)buf_add(&job->out, parts.marks);
    (void)buf_add(&job->out,
                  slice_make(zeros, align_up(buf_len(&job->out), 8) - buf_len(&job->out)));
    job->h.entry_count++;
    job->h.entry_bytes += bytes;
    *index_bits(&sp->index, n) |= (uint8_t)(BIT_CHECKPOINT_0 << job->which);
    return 0;
}

/* `h` NULL: a header that nobody takes for one. */
static int write_header(struct spool *sp, struct fs_file *f, const struct checkpoint_header *h)
{
    uint8_t sector[SECTOR_BYTES] = {0};
    int r;

    if (h)
        checkpoint_header_encode(h, sector);
    r = checkpoint_write(sp, f, slice_make(sector, sizeof(sector)), 0);
    return r < 0 ? r : fs_sync(f);
}

/* The head before, where it is there still. */
static uint32_t last_sealed(const struct spool *sp)
{
    uint32_t n = slot_of_seq(sp, sp->last_seq);

    return n != SLOT_NONE && sp->slots[n]->state == SLOT_SEALED ? n : SLOT_NONE;
}

static int job_begin(struct spool *sp)
{
    struct checkpoint_job *job;
    /* Without a head, the last segment may become it again. */
    uint32_t at = sp->head == SLOT_NONE ? last_sealed(sp) : sp->head;
    int which = 1 - sp->active, r;

    /* The header of one that failed may be there, and must not speak of what is written now. */
    if (sp->header_is_unsure[which]) {
        r = write_header(sp, sp->checkpoint_files[which], NULL);
        if (r < 0)
            return r;
        sp->header_is_unsure[which] = false;
    }
    job = calloc(1, sizeof(*job));
    if (!job)
        return -ENOMEM;
    job->which = which;
    job->file = sp->checkpoint_files[job->which];
    job->h = (struct checkpoint_header){
        .spool_id = sp->spool_id,
        .generation = sp->next_generation++,
        .next_seq = sp->next_seq,
        .replay_seq = at == SLOT_NONE ? sp->next_seq : sp->slots[at]->seq,
        .replay_off = at == SLOT_NONE ? SEGMENT_HEADER_BYTES : sp->slots[at]->end,
        .next_id = MAX_OF(atomic_load(&sp->next_id), atomic_load(&sp->id_floor)),
    };
    job->seed = checkpoint_seed(sp->spool_id, job->h.generation);
    job->off = job->synced_off = CHECKPOINT_HEADER_BYTES;
    job->log_bytes = sp->log_bytes;
    buf_init(&job->out, OUT_BYTES + WINDOW_BYTES_MAX);
    buf_init(&job->raw, record_bytes(RECORD_LEN_MAX));
    buf_init(&job->marks, 2 * SPOOL_ENVELOPE_MAX);
    r = merge_init(&job->merge, sp);
    if (r < 0) {
        free(job);
        return r;
    }
    for (uint32_t n = 0; n < sp->index.size; n++)
        *index_bits(&sp->index, n) &= (uint8_t) ~(BIT_CHECKPOINT_0 << job->which);
    sp->job = job;
    return 0;
}

/* The entries are durable before the header that speaks of them. */
static int job_finish(struct spool *sp, struct checkpoint_job *job)
{
    uint64_t size, need;
    int r = job_flush(sp, job);

    if (r == 0)
        r = fs_sync(job->file);
    if (r < 0)
        return r;
    sp->header_is_unsure[job->which] = true;
    r = write_header(sp, job->file, &job->h);
    if (r < 0) {
        /* After a failed sync the header may be in the page cache, clean, and not on the disk: the
         * next opening must not see it. */
        if (write_header(sp, job->file, NULL) == 0)
            sp->header_is_unsure[job->which] = false;
        return r;
    }
    sp->header_is_unsure[job->which] = false;
    sp->active = job->which;
    sp->active_is_sound = true;
    sp->checkpoint = job->h;
    sp->log_bytes -= job->log_bytes;
    sp->checkpoint_retry_at = 0;
    sp->checkpoints++;
    need = MAX_OF(CHECKPOINT_HEADER_BYTES + job->h.entry_bytes, FILE_BYTES_MIN);
    size = file_bytes(job->file);
    if (size > 4 * need) /* a full queue has drained */
        (void)fs_truncate(job->file, need);
    checkpoint_abandon(sp);
    atomic_store(&sp->recycle_due, true);
    return 0;
}

static int job_run(struct spool *sp, struct checkpoint_job *job, uint64_t budget)
{
    uint64_t until = job->h.entry_bytes + budget;

    while (job->h.entry_bytes < until) {
        uint32_t n = 0;
        bool old = false;
        int more = merge_next(&job->merge, sp, &n, &old), r;

        if (more <= 0)
            return more < 0 ? more : job_finish(sp, job);
        r = job_emit(sp, job, n, old);
        if (r == 0 && more == 2)
            r = merge_old_next(&job->merge);
        if (r == 0 && buf_len(&job->out) >= OUT_BYTES)
            r = job_flush(sp, job);
        if (r < 0)
            return r;
    }
    return 1;
}

int checkpoint_step(struct spool *sp, uint64_t budget)
{
    int r = 0;

    if (!sp->job)
        r = job_begin(sp);
    if (r == 0)
        r = job_run(sp, sp->job, budget);
    if (r < 0) {
        if (r == -ERR_DAMAGED) /* the last one: the next try reads the segments instead */
            sp->active_is_sound = false;
        checkpoint_abandon(sp);
        sp->checkpoint_retry_at = sp->log_bytes + sp->config.segment_bytes / 4;
    }
    return r;
}

int checkpoint_complete(struct spool *sp)
{
    int r;

    do
        r = checkpoint_step(sp, UINT64_MAX / 2);
    while (r == 1);
    return r;
}

bool checkpoint_is_due(const struct spool *sp)
{
    uint64_t after =
        MAX_OF(DUE_SEGMENTS * sp->config.segment_bytes, atomic_load(&sp->envelope_bytes));

    return sp->job || (sp->log_bytes >= after && sp->log_bytes >= sp->checkpoint_retry_at);
}

int checkpoint_create(struct spool *sp)
{
    int r = 0;

    sp->checkpoint = (struct checkpoint_header){
        .spool_id = sp->spool_id,
        .generation = sp->next_generation++,
        .next_seq = 1,
        .replay_seq = 1,
        .replay_off = SEGMENT_HEADER_BYTES,
        .next_id = atomic_load(&sp->next_id),
    };
    sp->active = 0;
    sp->active_is_sound = true;
    for (int i = 0; i < 2 && r == 0; i++)
        r = fs_allocate(sp->checkpoint_files[i], FILE_BYTES_MIN);
    for (int i = 0; i < 2 && r == 0; i++)
        r = fs_sync(sp->checkpoint_files[i]);
    if (r == 0)
        r = write_header(sp, sp->checkpoint_files[0], &sp->checkpoint);
    return r < 0 ? r : fs_sync_dir(sp->fs);
}

/* ---- all messages ---- */

static int each_one(struct spool *sp, struct merge *m, uint32_t n, bool old, struct buf *raw,
                    struct buf *marks,
                    int (*fn)(void *ctx, uint64_t id, struct slice envelope, struct slice marks),
                    void *ctx)
{
    const struct entry *e = index_at(&sp->index, n);
    struct message_parts parts;
    int r;

    if (e->flags & (ENTRY_REMOVING | ENTRY_DAMAGED))
        return 0;
    if (old && checkpoint_reader_payload_is_sound(&m->reader))
        return fn(ctx, e->id, m->reader.envelope, m->reader.marks);
    r = message_load(sp, e, raw, &parts, marks);
    if (r == 0)
        return fn(ctx, e->id, parts.envelope, buf_slice(marks));
    if (r == -ENOMEM)
        return r;
    /* It is not served, whether or not it could be set aside; the report tells. */
    (void)set_aside(sp, n);
    return 0;
}

int spool_each(struct spool *sp,
               int (*fn)(void *ctx, uint64_t id, struct slice envelope, struct slice marks),
               void *ctx)
{
    struct buf raw = BUF_INIT(record_bytes(RECORD_LEN_MAX));
    struct buf marks = BUF_INIT(2 * SPOOL_ENVELOPE_MAX);
    struct merge m;
    int r = merge_init(&m, sp), more = 1;

    while (r == 0 && more > 0) {
        uint32_t n = 0;
        bool old = false;

        more = merge_next(&m, sp, &n, &old);
        if (more > 0)
            r = each_one(sp, &m, n, old, &raw, &marks, fn, ctx);
        if (more == 2 && r == 0)
            more = merge_old_next(&m) < 0 ? -ERR_DAMAGED : 2;
    }
    if (m.ids)
        merge_done(&m);
    buf_done(&raw);
    buf_done(&marks);
    return r != 0 ? r : more;
}
