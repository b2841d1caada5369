/*
 * logscan/run.c - threads that take chunks as they come, scan them, and merge them in order.
 *
 * All threads do the same: merge what is next in order and ready, else take the next chunk and scan
 * it, else wait. So merging is never alone on a thread that waits for others, and a report whose
 * merge is heavy overlaps with the scans of what follows.
 */
#include "logscan/run.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "logscan/search.h"
#include "logscan/source.h"

#define FORMATS_MAX 32
#define PROGRESS_CHUNKS 8 /* merged between two calls */

enum slot_state { SLOT_FREE, SLOT_BUSY, SLOT_READY };

struct slot {
    enum slot_state state;
    struct log_scan scan;
    uint8_t *buffer;
    bool is_last; /* of its file */
    int error;    /* of reading; 1: the file is shorter than it was */
};

struct log_run {
    const struct log_run_config *config;
    const struct log_reader *reader;
    struct source_list sources;
    struct log_tally tally;
    void *format_states[FORMATS_MAX];

    pthread_mutex_t lock; /* of all below while threads run */
    pthread_cond_t changed;
    struct slot *slots;
    size_t slot_count;
    uint64_t next_take, next_merge; /* numbers of chunks */
    size_t file;                    /* being taken from */
    uint64_t offset;                /* of the next chunk in it */
    bool is_merging, is_taking, is_all_taken;
    int error;
    /* of the merge, by whichever thread merges */
    struct log_carry carry; /* after what is merged of the file */
    uint64_t lines;         /* of the file, merged */
    uint64_t bytes_done, bytes_total;
};

/* ---- taking ---- */

static struct source *current(struct log_run *r)
{
    return &r->sources.items[r->file];
}

/* To the next file that can be read. Under the lock. */
static void open_next(struct log_run *r)
{
    while (r->file < r->sources.count) {
        struct source *s = current(r);

        if (s->view.format && s->view.error == 0) {
            s->view.error = source_open(s);
            if (s->view.error == 0)
                return;
        }
        r->file++;
    }
    r->is_all_taken = true;
}

static void leave_file(struct log_run *r)
{
    r->file++;
    r->offset = 0;
    open_next(r);
}

static struct slot *new_slot(struct log_run *r)
{
    struct slot *slot = &r->slots[r->next_take++ % r->slot_count];
    struct source *s = current(r);

    slot->state = SLOT_BUSY;
    slot->error = 0;
    slot->is_last = false;
    slot->scan.format = s->view.format;
    slot->scan.file = (uint32_t)r->file;
    slot->scan.wants = r->config->wants;
    log_scan_again(&slot->scan);
    return slot;
}

static bool wants_lookback(const struct log_run *r)
{
    return !(r->config->wants & (WANT_LIVES | WANT_SESSIONS));
}

/* A chunk of a plain file: only its place is taken under the lock. */
static struct slot *take_place(struct log_run *r)
{
    struct source *s = current(r);
    struct slot *slot = new_slot(r);
    uint64_t offset = r->offset;

    slot->scan.carry = offset == 0 ? s->first : s->guess;
    r->offset += LOG_CHUNK_BYTES;
    slot->is_last = r->offset >= s->size;
    if (slot->is_last)
        leave_file(r);
    (void)pthread_mutex_unlock(&r->lock);
    slot->error = source_read(s, offset, wants_lookback(r), slot->buffer, &slot->scan);
    (void)pthread_mutex_lock(&r->lock);
    return slot;
}

/* The next chunk of a stream: unpacked while the others scan. */
static struct slot *take_next(struct log_run *r)
{
    struct source *s = current(r);
    struct slot *slot = new_slot(r);
    int got;

    r->is_taking = true;
    slot->scan.carry = r->offset == 0 ? s->first : s->guess;
    r->offset++; /* chunks of it, as far as anybody asks */
    (void)pthread_mutex_unlock(&r->lock);
    got = source_next(s, slot->buffer, &slot->scan);
    (void)pthread_mutex_lock(&r->lock);
    r->is_taking = false;
    slot->error = got < 0 ? got : 0;
    slot->is_last = got <= 0;
    if (slot->is_last)
        leave_file(r);
    (void)pthread_cond_broadcast(&r->changed);
    return slot;
}

static void scan(struct log_run *r, struct log_scan *s)
{
    s->carry_end = s->carry;
    if (r->reader->scan)
        r->reader->scan(r->reader->ctx, s);
    else
        s->format->scan(s);
    if (s->lines == 0)
        s->lines = search_count(s->bytes, '\n');
}

/* ---- merging ---- */

static void add_tally(struct log_run *r, const struct log_tally *t)
{
    r->tally.rows += t->rows;
    r->tally.headers += t->headers;
    for (size_t i = 0; i < LOG_SKIPS; i++) {
        if (t->skipped[i] > 0 && r->tally.skipped[i] == 0) {
            r->tally.first[i] = t->first[i];
            r->tally.first[i].line += r->lines;
        }
        r->tally.skipped[i] += t->skipped[i];
    }
}

static void **format_state(struct log_run *r, const struct log_format *f)
{
    size_t i = 0;

    while (log_formats[i] && log_formats[i] != f)
        i++;
    ASSERT(i < FORMATS_MAX);
    return &r->format_states[i];
}

/* What stood before the chunk is known now: where the guess was wrong it is scanned again. */
static void settle(struct log_run *r, struct log_scan *s)
{
    struct log_tally cut = {0};

    if (log_carry_eq(&s->carry, &r->carry))
        return;
    cut.skipped[SKIP_TORN] = s->tally.skipped[SKIP_TORN]; /* found by the reading, not the scan */
    cut.skipped[SKIP_LONG] = s->tally.skipped[SKIP_LONG];
    cut.first[SKIP_TORN] = s->tally.first[SKIP_TORN];
    cut.first[SKIP_LONG] = s->tally.first[SKIP_LONG];
    if (r->reader->discard && s->own)
        r->reader->discard(s->own);
    s->own = NULL;
    log_scan_again(s);
    s->tally = cut;
    s->carry = r->carry;
    scan(r, s);
}

static int merge(struct log_run *r, struct slot *slot)
{
    struct log_scan *s = &slot->scan;
    struct source *source = &r->sources.items[s->file];
    int error;

    if (r->lines == 0)
        r->carry = source->first;
    settle(r, s);
    error = s->error;
    if (error == 0 && !r->reader->scan && s->format->merge)
        error = s->format->merge(format_state(r, s->format), s);
    if (error == 0)
        error = r->reader->merge(r->reader->ctx, s);
    else if (s->own && r->reader->discard)
        r->reader->discard(s->own);
    s->own = NULL;
    add_tally(r, &s->tally);
    source->view.rows += s->tally.rows;
    source->view.bytes += s->bytes.len;
    r->bytes_done += s->bytes.len;
    r->lines += s->lines + s->tally.skipped[SKIP_LONG]; /* which is in no chunk's bytes */
    r->carry = s->carry_end;
    if (slot->error < 0)
        source->view.error = slot->error;
    source->view.is_short |= slot->error > 0;
    if (slot->is_last) {
        source_ended(source);
        source_close(source);
        r->lines = 0;
    }
    return error;
}

static void tell_progress(struct log_run *r)
{
    if (r->config->progress && r->next_merge % PROGRESS_CHUNKS == 0)
        r->config->progress(r->config->ctx, r->bytes_done, r->bytes_total, r->tally.rows);
}

/* ---- threads ---- */

static void fail(struct log_run *r, int error)
{
    if (r->error == 0)
        r->error = error;
}

static void merge_next(struct log_run *r, struct slot *slot)
{
    int error;

    r->is_merging = true;
    (void)pthread_mutex_unlock(&r->lock);
    error = merge(r, slot);
    tell_progress(r);
    (void)pthread_mutex_lock(&r->lock);
    if (error < 0)
        fail(r, error);
    slot->state = SLOT_FREE;
    r->next_merge++;
    r->is_merging = false;
    (void)pthread_cond_broadcast(&r->changed);
}

static void scan_one(struct log_run *r)
{
    struct slot *slot = current(r)->stream ? take_next(r) : take_place(r);

    (void)pthread_mutex_unlock(&r->lock);
    scan(r, &slot->scan);
    (void)pthread_mutex_lock(&r->lock);
    slot->state = SLOT_READY;
    (void)pthread_cond_broadcast(&r->changed);
}

static void *work(void *ctx)
{
    struct log_run *r = ctx;

    (void)pthread_mutex_lock(&r->lock);
    while (r->error == 0) {
        struct slot *next = &r->slots[r->next_merge % r->slot_count];
        bool is_behind = r->next_merge < r->next_take;

        if (is_behind && next->state == SLOT_READY && !r->is_merging)
            merge_next(r, next);
        else if (!r->is_all_taken && !r->is_taking && r->next_take - r->next_merge < r->slot_count)
            scan_one(r);
        else if (!is_behind && r->is_all_taken)
            break;
        else
            (void)pthread_cond_wait(&r->changed, &r->lock);
    }
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
    return NULL;
}

static unsigned thread_count(const struct log_run *r)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = r->config->threads > 0 ? r->config->threads : (unsigned)MAX_OF(cores, 1);

    return MIN_OF(n, (unsigned)RUN_THREADS_MAX);
}

static int make_slots(struct log_run *r, unsigned threads)
{
    r->slot_count = (size_t)threads * RUN_WINDOW;
    r->slots = calloc(r->slot_count, sizeof(*r->slots));
    if (!r->slots)
        return -ENOMEM;
    for (size_t i = 0; i < r->slot_count; i++) {
        r->slots[i].buffer = aligned_alloc(SOURCE_ALIGN, SOURCE_BUFFER_BYTES);
        if (!r->slots[i].buffer)
            return -ENOMEM;
    }
    return 0;
}

static void free_slots(struct log_run *r)
{
    for (size_t i = 0; r->slots && i < r->slot_count; i++) {
        if (r->slots[i].scan.own && r->reader->discard)
            r->reader->discard(r->slots[i].scan.own);
        log_scan_done(&r->slots[i].scan);
        free(r->slots[i].buffer);
    }
    free(r->slots);
    r->slots = NULL;
}

/* This thread is one of them, so that a run needs no other where none can be had. */
static int read_all(struct log_run *r)
{
    pthread_t threads[RUN_THREADS_MAX];
    unsigned wanted = thread_count(r), started = 0;
    int error = make_slots(r, wanted);

    if (error == 0) {
        open_next(r);
        while (started + 1 < wanted && pthread_create(&threads[started], NULL, work, r) == 0)
            started++;
        work(r);
        for (unsigned i = 0; i < started; i++)
            (void)pthread_join(threads[i], NULL);
        error = r->error;
    }
    free_slots(r);
    for (size_t i = 0; log_formats[i]; i++)
        if (log_formats[i]->free_state && r->format_states[i])
            log_formats[i]->free_state(&r->format_states[i]);
    return error;
}

/* ---- a run ---- */

static int find_files(struct log_run *r, struct buf *why)
{
    for (size_t i = 0; i < r->config->path_count; i++) {
        const char *path = r->config->paths[i];
        int error = source_add(&r->sources, path);

        if (error == -ENOENT)
            (void)buf_addf(why, "%s: there is no such file", path);
        else if (error == -E2BIG)
            (void)buf_addf(why, "%s: more than %d files", path, RUN_FILES_MAX);
        else if (error < 0)
            (void)buf_addf(why, "%s: %s", path, strerror(-error));
        if (error < 0)
            return error;
    }
    if (r->sources.count == 0) {
        (void)buf_add_str(why, "there is no file in what was named");
        return -ENOENT;
    }
    return 0;
}

/* How much is to be read is not known where one is a stream, or packed. */
static void probe_files(struct log_run *r)
{
    bool is_known = true;

    for (size_t i = 0; i < r->sources.count; i++) {
        struct source *s = &r->sources.items[i];

        source_probe(s, r->config->format, r->config->year);
        is_known &= !s->is_stream;
        r->bytes_total += s->size;
    }
    if (!is_known)
        r->bytes_total = 0;
    source_sort(&r->sources);
}

int log_run(struct log_run **ret, const struct log_run_config *c, const struct log_reader *reader,
            struct buf *why)
{
    struct log_run *r = calloc(1, sizeof(*r));
    int error;

    *ret = r;
    if (!r)
        return -ENOMEM;
    r->config = c;
    r->reader = reader;
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->changed, NULL);
    error = find_files(r, why);
    if (error == 0) {
        probe_files(r);
        error = read_all(r);
        if (error < 0)
            (void)buf_addf(why, "reading stopped: %s", strerror(-error));
    }
    r->config = NULL;
    r->reader = NULL;
    return error;
}

void log_run_free(struct log_run **r)
{
    if (!*r)
        return;
    source_list_done(&(*r)->sources);
    (void)pthread_cond_destroy(&(*r)->changed);
    (void)pthread_mutex_destroy(&(*r)->lock);
    free(*r);
    *r = NULL;
}

size_t log_run_file_count(const struct log_run *r)
{
    return r->sources.count;
}

const struct log_file *log_run_file(const struct log_run *r, size_t i)
{
    return &r->sources.items[i].view;
}

const struct log_tally *log_run_tally(const struct log_run *r)
{
    return &r->tally;
}

size_t log_run_passed_over(const struct log_run *r, const char **ret_first)
{
    *ret_first = r->sources.first_passed_over;
    return r->sources.passed_over;
}
