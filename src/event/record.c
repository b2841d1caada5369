/*
 * event/record.c - the log files: settings from the main thread, lines from the rings, batches into
 * folders.
 *
 * Settings come to the log thread as a `struct setup` in one atomic pointer, which it takes before
 * it looks at a line of a kind that it does not know to be on; so no line comes before its folder.
 *
 * A loss begins when a write fails or a ring is full, and ends when a write succeeds or no line was
 * dropped for a second. Both are told once, into the log and the event log, which may be the very
 * file that fails: then the end is told there, with the count.
 */
#include "event/record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "event/event_int.h"
#include "event/folder.h"

#define RETRY_MS MS_PER_S
#define TRIM_EVERY_MS (60 * MS_PER_S)

_Atomic unsigned record_kinds_on;

struct kind_names {
    const char *folder, *prefix, *suffix;
};
#define KIND_NAMES(constant, folder, prefix, suffix) {folder, prefix, suffix},
static const struct kind_names names[] = {RECORD_TABLE(KIND_NAMES)};

struct setup {
    bool is_on[RECORD_KINDS];
    struct folder_rules rules[RECORD_KINDS]; /* the texts are ours */
};

struct loss {
    bool is_on;
    uint64_t lines, began_ms, last_ms;
};

static struct {
    _Atomic(struct setup *) next;                  /* from the main thread, not taken yet */
    _Atomic uint64_t relieve_wanted, relieve_done; /* done: after the two below */
    _Atomic uint32_t relieve_permille;
    _Atomic uint64_t relief_bytes, relief_us;

    /* The log thread's own. */
    struct setup *setup;
    struct kind {
        struct folder folder;
        struct loss loss;
        uint64_t retry_ms; /* after a failure: not before */
        size_t used;
        uint8_t batch[EVENT_BATCH_BYTES];
    } kinds[RECORD_KINDS];
    struct loss ring_loss;
    uint64_t files_dropped; /* of COUNTER_RECORDS_DROPPED, those that files did not take */
    uint64_t ring_dropped_seen;
    uint64_t trim_ms;
} files;

/* ---- any thread ---- */

/* A line that is too long ends as it did. */
static void write_cut(enum record_kind kind, struct slice line)
{
    struct event_record record = {RECORD_LINE_MAX, EVENT_NOTHING, (uint8_t)kind};
    struct slice end = line.ptr[line.len - 2] == '\r' ? SLICE_LIT("\r\n") : SLICE_LIT("\n");
    uint8_t cut[RECORD_LINE_MAX];

    memcpy(cut, line.ptr, sizeof(cut) - end.len);
    memcpy(cut + sizeof(cut) - end.len, end.ptr, end.len);
    (void)event_push(record, cut);
}

void record_write(enum record_kind kind, struct slice line)
{
    ASSERT(kind < RECORD_KINDS && line.len > 0 && line.ptr[line.len - 1] == '\n');
    if (!record_is_on(kind))
        return;
    if (line.len > RECORD_LINE_MAX)
        write_cut(kind, line);
    else
        (void)event_push((struct event_record){(uint16_t)line.len, EVENT_NOTHING, (uint8_t)kind},
                         line.ptr);
}

uint64_t record_relieve(double share)
{
    double part = share < 0 ? 0 : share > 1 ? 1 : share;
    uint64_t number;

    atomic_store(&files.relieve_permille, (uint32_t)(part * 1000));
    number = atomic_fetch_add(&files.relieve_wanted, 1) + 1;
    event_log_wake();
    return number;
}

void record_get_relief(struct record_relief *ret)
{
    ret->done = atomic_load(&files.relieve_done);
    ret->freed_bytes = atomic_load(&files.relief_bytes);
    ret->took_us = atomic_load(&files.relief_us);
}

/* ---- the main thread ---- */

static void setup_free(struct setup *s)
{
    if (!s)
        return;
    for (size_t k = 0; k < RECORD_KINDS; k++) {
        free((void *)(uintptr_t)s->rules[k].path); /* made by setup_new(), const since */
        free((void *)(uintptr_t)s->rules[k].head);
    }
    free(s);
}

/* "DIRECTORY/FOLDER", absolute; NULL: no memory, or -ENAMETOOLONG in `*ret_err`. */
static char *path_of(const char *directory, enum record_kind kind, int *ret_err)
{
    char here[PATH_MAX] = "";
    char *path = NULL;

    *ret_err = -ENOMEM;
    if (directory[0] != '/' && !getcwd(here, sizeof(here)))
        *ret_err = -errno;
    else if (asprintf(&path, "%s%s%s/%s", here, *here ? "/" : "", directory, names[kind].folder) <
             0)
        path = NULL;
    if (path && strlen(path) >= FOLDER_PATH_MAX) {
        *ret_err = -ENAMETOOLONG;
        free(path);
        path = NULL;
    }
    return path;
}

static int setup_fill(struct setup *s, const struct record_config *c)
{
    for (enum record_kind k = 0; k < RECORD_KINDS; k++) {
        struct folder_rules *r = &s->rules[k];
        int err;

        s->is_on[k] = c->directory && c->is_on[k];
        if (!s->is_on[k])
            continue;
        *r = (struct folder_rules){.prefix = names[k].prefix,
                                   .suffix = names[k].suffix,
                                   .file_max_bytes = c->file_max_bytes,
                                   .folder_max_bytes = c->folder_max_bytes,
                                   .age_max_s = c->age_max_s,
                                   .free_min_bytes = c->free_min_bytes};
        r->path = path_of(c->directory, k, &err);
        if (!r->path)
            return err;
        r->head = c->heads[k] ? strdup(c->heads[k]) : NULL;
        if (c->heads[k] && !r->head)
            return -ENOMEM;
    }
    return 0;
}

/* Will the log thread be able to write there, but for a disk that is full or broken now? */
static int check_folder(const char *path)
{
    int r = folder_make(path);

    if (r == 0 && faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) < 0)
        r = -errno;
    return r == -ENOSPC || r == -EDQUOT || r == -EIO ? 0 : r;
}

static int check_folders(const struct setup *s, const char **ret_failed_path)
{
    static char failed_path[FOLDER_PATH_MAX];

    for (size_t k = 0; k < RECORD_KINDS; k++) {
        int r = s->is_on[k] ? check_folder(s->rules[k].path) : 0;

        if (r < 0) {
            (void)snprintf(failed_path, sizeof(failed_path), "%s", s->rules[k].path);
            *ret_failed_path = failed_path;
            return r;
        }
    }
    return 0;
}

static int setup_new(struct setup **ret, const struct record_config *config,
                     const char **ret_failed_path)
{
    struct setup *s = calloc(1, sizeof(*s));
    int r;

    *ret_failed_path = config->directory ? config->directory : "";
    if (!s)
        return -ENOMEM;
    r = setup_fill(s, config);
    if (r == 0)
        r = check_folders(s, ret_failed_path);
    if (r < 0)
        setup_free(s);
    else
        *ret = s;
    return r;
}

int record_check_config(const struct record_config *config, const char **ret_failed_path)
{
    struct setup *s = NULL;
    int r = setup_new(&s, config, ret_failed_path);

    setup_free(s);
    return r;
}

int record_set_config(const struct record_config *config, const char **ret_failed_path)
{
    struct setup *s = NULL;
    unsigned on = 0;
    int r = setup_new(&s, config, ret_failed_path);

    if (r < 0)
        return r;
    for (size_t k = 0; k < RECORD_KINDS; k++)
        if (s->is_on[k])
            on |= 1U << k;
    setup_free(atomic_exchange(&files.next, s));
    atomic_store(&record_kinds_on, on);
    event_set_threshold();
    event_log_wake();
    return 0;
}

/* ---- the log thread ---- */

static bool is_on(enum record_kind kind)
{
    return files.setup && files.setup->is_on[kind];
}

static void tell_loss(const struct kind *k, const struct loss *l, const char *state,
                      const char *reason)
{
    const struct event_field fields[] = {
        EV_STR("state", state),
        EV_STR("file", k ? k->folder.path : ""),
        EV_STR("reason", reason),
        EV_UINT("lines", l->lines),
        EV_UINT("lasted_ms", clock_mono_ms() - l->began_ms),
    };

    event_log_tell(EVENT_RECORDS_LOST, fields, ARRAY_SIZE(fields));
}

/* True: this one begins it. */
static bool loss_add(struct loss *l, uint64_t lines)
{
    uint64_t now_ms = clock_mono_ms();
    bool begins = !l->is_on;

    if (begins)
        *l = (struct loss){.is_on = true, .began_ms = now_ms};
    l->lines += lines;
    l->last_ms = now_ms;
    return begins;
}

static uint64_t forget_batch(struct kind *k)
{
    uint64_t n = event_count_lines(slice_make(k->batch, k->used));

    k->used = 0;
    files.files_dropped += n;
    counter_add(COUNTER_RECORDS_DROPPED, n);
    return n;
}

/* The kind is to be turned off: what its disk did not take by now is given up. */
static void end_loss(struct kind *k)
{
    uint64_t n = forget_batch(k);

    if (!k->loss.is_on)
        return;
    k->loss.is_on = false;
    k->loss.lines += n;
    tell_loss(k, &k->loss, "ends", "these files are turned off");
}

static void close_kind(struct kind *k)
{
    (void)forget_batch(k);
    k->loss = (struct loss){0};
    folder_done(&k->folder);
}

static void take_setup(void)
{
    struct setup *s = atomic_exchange(&files.next, NULL);

    if (!s)
        return;
    event_files_write(); /* by the old rules */
    for (enum record_kind k = 0; k < RECORD_KINDS; k++)
        if (is_on(k) && !s->is_on[k])
            end_loss(&files.kinds[k]);
    for (size_t k = 0; k < RECORD_KINDS; k++) {
        struct folder *f = &files.kinds[k].folder;
        bool was_on = files.setup && files.setup->is_on[k];

        if (was_on && s->is_on[k])
            folder_set_rules(f, &s->rules[k]);
        else if (was_on)
            close_kind(&files.kinds[k]);
        else if (s->is_on[k])
            folder_init(f, &s->rules[k]);
    }
    setup_free(files.setup);
    files.setup = s;
    files.trim_ms = 0;
}

/* Nothing more fits: what a disk did not take for so long is given up. */
static void drop_batch(struct kind *k)
{
    uint64_t n = forget_batch(k);

    if (loss_add(&k->loss, n))
        tell_loss(k, &k->loss, "begins", k->folder.why);
}

/* Lines that the disk does not take stay in the batch while it has room. */
static void write_kind(struct kind *k)
{
    uint64_t now_ms = clock_mono_ms(), freed = 0;
    size_t written = 0;
    int r;

    if (k->used == 0 || (k->loss.is_on && now_ms < k->retry_ms))
        return;
    r = folder_append(&k->folder, slice_make(k->batch, k->used), clock_wall_ms(), &written, &freed);
    k->used -= written;
    memmove(k->batch, k->batch + written, k->used);
    if (r < 0) {
        k->retry_ms = now_ms + RETRY_MS;
        if (loss_add(&k->loss, 0))
            tell_loss(k, &k->loss, "begins", k->folder.why);
    } else if (k->loss.is_on) {
        k->loss.is_on = false;
        tell_loss(k, &k->loss, "ends", "");
    }
}

uint8_t *event_files_room(enum record_kind kind, size_t len)
{
    struct kind *k = &files.kinds[kind];
    uint8_t *room;

    if (!is_on(kind))
        take_setup();
    if (!is_on(kind))
        return NULL;
    if (sizeof(k->batch) - k->used < len)
        write_kind(k);
    if (sizeof(k->batch) - k->used < len)
        drop_batch(k);
    room = k->batch + k->used;
    k->used += len;
    return room;
}

void event_files_write(void)
{
    for (enum record_kind k = 0; k < RECORD_KINDS; k++)
        if (is_on(k))
            write_kind(&files.kinds[k]);
}

static void look_at_rings(void)
{
    uint64_t dropped = counter_get(COUNTER_RECORDS_DROPPED) - files.files_dropped;
    struct loss *l = &files.ring_loss;

    if (dropped != files.ring_dropped_seen) {
        bool begins = loss_add(l, dropped - files.ring_dropped_seen);

        files.ring_dropped_seen = dropped;
        if (begins)
            tell_loss(NULL, l, "begins", "they come faster than the disk takes them");
    } else if (l->is_on && clock_mono_ms() - l->last_ms >= RETRY_MS) {
        l->is_on = false;
        tell_loss(NULL, l, "ends", "");
    }
}

static void relieve(void)
{
    uint64_t wanted = atomic_load(&files.relieve_wanted), freed = 0, began_ns = clock_mono_ns();
    uint32_t permille = atomic_load(&files.relieve_permille);

    if (wanted == atomic_load(&files.relieve_done))
        return;
    for (enum record_kind k = 0; k < RECORD_KINDS; k++)
        if (is_on(k))
            folder_relieve(&files.kinds[k].folder,
                           files.setup->rules[k].folder_max_bytes / 1000 * permille,
                           clock_wall_ms(), &freed);
    atomic_fetch_add(&files.relief_bytes, freed);
    atomic_fetch_add(&files.relief_us, (clock_mono_ns() - began_ns) / 1000);
    atomic_store(&files.relieve_done, wanted);
}

static void trim(uint64_t now_ms)
{
    uint64_t freed = 0;

    if (now_ms < files.trim_ms)
        return;
    files.trim_ms = now_ms + TRIM_EVERY_MS;
    for (enum record_kind k = 0; k < RECORD_KINDS; k++)
        if (is_on(k))
            folder_trim(&files.kinds[k].folder, clock_wall_ms(), &freed);
}

uint32_t event_files_tick(void)
{
    bool is_losing = files.ring_loss.is_on;

    take_setup();
    look_at_rings();
    relieve();
    trim(clock_mono_ms());
    for (size_t k = 0; k < RECORD_KINDS; k++)
        is_losing |= files.kinds[k].loss.is_on;
    return is_losing ? RETRY_MS : TRIM_EVERY_MS;
}

bool event_files_want_tick(void)
{
    return atomic_load(&files.next) ||
           atomic_load(&files.relieve_wanted) != atomic_load(&files.relieve_done);
}

void event_files_begin(void)
{
    files.ring_dropped_seen = counter_get(COUNTER_RECORDS_DROPPED) - files.files_dropped;
}

/* The event log last: what the others lost is told there. */
void event_files_end(void)
{
    if (files.ring_loss.is_on)
        tell_loss(NULL, &files.ring_loss, "ends", "the server stops");
    for (size_t i = RECORD_KINDS; i-- > 0;) {
        struct kind *k = &files.kinds[i];

        if (!is_on((enum record_kind)i))
            continue;
        k->retry_ms = 0;
        write_kind(k);
        if (k->used)
            drop_batch(k);
        if (k->loss.is_on)
            tell_loss(k, &k->loss, "ends", "the server stops");
        else
            write_kind(k); /* that its loss ended with the last write */
        close_kind(k);
    }
    files.ring_loss = (struct loss){0};
    setup_free(files.setup);
    files.setup = NULL;
    setup_free(atomic_exchange(&files.next, NULL));
}
