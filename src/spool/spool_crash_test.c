/*
 * spool/spool_crash_test.c - histories of random operations on a disk that fails, checked against a
 * model: nothing that was acknowledged may be lost.
 *
 * One seed is one history: a spool on a simulated disk, random calls, and now and then a power cut
 * at any disk operation, a failed write or sync, a full disk. After each reopening every message
 * whose commit was synced is there and whole, with the marks that were synced; none that was
 * removed and synced is; ids never repeat; a reserved append never meets a full disk.
 *
 * In the histories from seed 10001 on the spool has up to three directories, on disks of their own:
 * they are named and taken out at any moment, the spool's own is emptied, one is not mounted at a
 * start; nothing of it may lose a message either, and a directory that has become empty is free.
 *
 * SPOOL_CRASH_SEEDS: how many histories of each kind (default 600), from SPOOL_CRASH_FIRST (1) on.
 * SPOOL_CRASH_SEED: run this one only.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/rand.h"
#include "io/fs_sim.h"
#include "spool/spool.h"

#define SEEDS_DEFAULT 600
#define STEPS 400
#define MESSAGES_MAX 4096
#define EXTENTS_PER_MESSAGE 6
#define DISK_MAX MIB(12)
#define OTHERS 2                 /* directories besides the spool's own */
#define OTHERS_FIRST_SEED 10001u /* histories with them */
#define EMPTY_TICKS_MAX 20000    /* for what is in a directory to be moved */

enum fate {
    OPEN = 1,  /* extents appended, no commit */
    COMMITTED, /* not synced: may or may not survive */
    THERE,     /* acknowledged: must be there */
    REMOVED,   /* not synced: either */
    GONE,      /* synced: must not be there */
    MAYBE,     /* a failed sync or a crash left it open; the next look decides */
};

struct model_message {
    uint64_t id;
    enum fate fate;
    uint32_t body_bytes, envelope_version;
    uint32_t old_version;      /* before an unsynced rewrite */
    uint32_t marks, old_marks; /* appended, and of them synced */
    bool rewritten;            /* not synced */
    struct spool_extent extents[EXTENTS_PER_MESSAGE];
    uint32_t extent_count;
    uint64_t reserved;
};

struct history {
    uint64_t seed;
    struct rand rand;
    struct fs *fs;
    struct spool *sp;
    struct spool_config config;
    struct model_message messages[MESSAGES_MAX];
    size_t count;
    uint64_t last_id;
    uint64_t disk;
    bool faulty; /* errors are injected: calls may fail */
    unsigned damages, crashes;
    char damage[200];

    bool has_others, moved;
    struct fs *others[OTHERS];
    unsigned named;     /* of them, a bit each: what the configuration file says */
    unsigned may_hold;  /* mail, or be on record */
    unsigned unmounted; /* an empty folder is in the place of these */
    struct fs *folder;  /* that one */
    const char *paths[OTHERS];
};

static const char *const other_paths[OTHERS] = {"/disk1", "/disk2"};

static void fail_history(struct history *h, const char *what, uint64_t id)
{
    print_error("seed %" PRIu64 ": %s (id %" PRIu64 ", %u crashes)\n", h->seed, what, id,
                h->crashes);
    fail();
}

#define CHECK(h, cond, id)                                                                         \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail_history(h, #cond, id);                                                            \
    } while (0)

static void on_damage(void *ctx, const char *file, uint64_t offset, uint64_t id, const char *what)
{
    struct history *h = ctx;

    (void)snprintf(h->damage, sizeof(h->damage), "%s:%" PRIu64 " id %" PRIu64 ": %s", file, offset,
                   id, what);
    h->damages++;
}

static void fill(uint8_t *to, size_t n, uint64_t id, uint64_t from)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)(id * 31 + (from + i) * 7 + (from + i) / 251);
}

static struct slice envelope_of(uint64_t id, uint32_t version, uint8_t room[static 64])
{
    int n = snprintf((char *)room, 64, "envelope of %" PRIu64 ", version %" PRIu32, id, version);

    return slice_make(room, (size_t)n);
}

static struct slice mark_of(uint64_t id, uint32_t number, uint8_t room[static 64])
{
    int n = snprintf((char *)room, 64, "mark %" PRIu32 " of %" PRIu64, number, id);

    return slice_make(room, (size_t)n);
}

/* ---- what must be true ---- */

/* The count of marks when they are the first ones in order of this message; -1: they are not. */
static int marks_count(struct slice marks, uint64_t id, uint32_t first)
{
    uint8_t room[64];
    int count = 0;

    while (marks.len > 0) {
        uint32_t n = marks.len >= 4 ? get_u32(marks.ptr) : UINT32_MAX;

        if (n > marks.len - 4 ||
            !slice_eq(slice_sub(marks, 4, n), mark_of(id, first + (uint32_t)count, room)))
            return -1;
        marks = slice_from(marks, 4 + n);
        count++;
    }
    return count;
}

static void check_body(struct history *h, const struct model_message *m, struct spool_reader *r)
{
    static uint8_t got[SPOOL_EXTENT_MAX], want[SPOOL_EXTENT_MAX];
    uint64_t at = 0;
    ptrdiff_t n;

    CHECK(h, r->body_bytes == m->body_bytes, m->id);
    while ((n = spool_read_body(r, false, got, sizeof(got))) > 0) {
        fill(want, (size_t)n, m->id, at);
        CHECK(h, memcmp(got, want, (size_t)n) == 0, m->id);
        at += (uint64_t)n;
    }
    CHECK(h, n == 0 && at == m->body_bytes, m->id);
}

/* Marks are numbered from the version's thousand on, so that a rewrite's are told apart. */
static uint32_t first_mark(uint32_t version)
{
    return version * 1000;
}

static void check_there(struct history *h, struct model_message *m, struct slice envelope,
                        struct slice marks)
{
    uint8_t room[64];
    bool is_new = slice_eq(envelope, envelope_of(m->id, m->envelope_version, room));
    bool is_old = m->rewritten && slice_eq(envelope, envelope_of(m->id, m->old_version, room));
    uint32_t version = is_new ? m->envelope_version : m->old_version;
    int count = marks_count(marks, m->id, first_mark(version));

    CHECK(h, is_new || is_old, m->id);
    CHECK(h, count >= 0, m->id);
    if (is_new && !m->rewritten)
        CHECK(h, (uint32_t)count >= m->old_marks && (uint32_t)count <= m->marks, m->id);
    /* What was seen after a reopening is what is. */
    m->envelope_version = version;
    m->rewritten = false;
    m->marks = m->old_marks = (uint32_t)count;
}

static void check_one(struct history *h, struct model_message *m)
{
    struct buf envelope = BUF_INIT(MIB(1)), marks = BUF_INIT(MIB(1));
    struct spool_reader r;
    int e = spool_read(h->sp, m->id, false, &r, &envelope, &marks);

    CHECK(h, e == 0 || e == -ENOENT, m->id);
    if (m->fate == THERE)
        CHECK(h, e == 0, m->id);
    if (m->fate == GONE || m->fate == OPEN)
        CHECK(h, e == -ENOENT, m->id);
    if (e == 0) {
        check_there(h, m, buf_slice(&envelope), buf_slice(&marks));
        check_body(h, m, &r);
        spool_read_done(&r);
        m->fate = THERE;
    } else {
        m->fate = GONE;
    }
    buf_done(&envelope);
    buf_done(&marks);
}

struct each {
    struct history *h;
    uint64_t last, count;
};

static int on_each(void *ctx, uint64_t id, struct slice envelope, struct slice marks)
{
    struct each *each = ctx;
    struct history *h = each->h;
    uint8_t room[64];

    CHECK(h, id > each->last, id);
    each->last = id;
    each->count++;
    for (size_t i = 0; i < h->count; i++)
        if (h->messages[i].id == id && h->messages[i].fate == THERE) {
            struct model_message *m = &h->messages[i];

            CHECK(h, slice_eq(envelope, envelope_of(id, m->envelope_version, room)), id);
            CHECK(h, marks_count(marks, id, first_mark(m->envelope_version)) == (int)m->marks, id);
            return 0;
        }
    fail_history(h, "spool_each() gave a message that is not there", id);
    return 0;
}

static void check_all(struct history *h)
{
    struct each each = {.h = h};
    struct spool_stat st;
    size_t there = 0;

    if (h->damages)
        print_error("%s\n", h->damage);
    CHECK(h, h->damages == 0, 0);
    for (size_t i = 0; i < h->count; i++) {
        check_one(h, &h->messages[i]);
        there += h->messages[i].fate == THERE;
    }
    CHECK(h, spool_each(h->sp, on_each, &each) == 0, 0);
    CHECK(h, each.count == there, each.count);
    spool_get_stat(h->sp, &st);
    CHECK(h, st.messages == there, st.messages);
}

/* ---- opening and falling ---- */

static int open_directory(void *ctx, const char *path, struct fs **ret, struct buf *why)
{
    struct history *h = ctx;

    (void)why;
    for (unsigned i = 0; i < OTHERS; i++)
        if (strcmp(path, other_paths[i]) == 0) {
            *ret = fs_sim_ref(h->unmounted & (1u << i) ? h->folder : h->others[i]);
            return 0;
        }
    fail_history(h, "a directory that nobody named", 0);
    return -ENOENT;
}

/* What the configuration file says of directories. */
static struct spool_directories directories_of(struct history *h, unsigned named, bool drain_own)
{
    struct spool_directories d = {.paths = h->paths, .drain_own = drain_own};

    for (unsigned i = 0; i < OTHERS; i++)
        if (named & (1u << i))
            h->paths[d.count++] = other_paths[i];
    return d;
}

static void name_others(struct history *h, unsigned named, bool drain_own)
{
    h->named = named;
    h->config.directories = directories_of(h, named, drain_own);
}

/* Which directories may hold mail, as the spool itself tells. */
static void note_others(struct history *h)
{
    struct spool_directory_stat *d = calloc(SPOOL_DIRECTORIES_MAX, sizeof(*d));
    size_t count;

    assert_non_null(d);
    count = spool_get_directories(h->sp, d);
    h->may_hold = 0;
    for (size_t i = 1; i < count; i++)
        for (unsigned k = 0; k < OTHERS; k++)
            if (strcmp(d[i].path, other_paths[k]) == 0)
                h->may_hold |= 1u << k;
    free(d);
}

static int count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(unsigned *)ctx;
    return 0;
}

/* A start while the disk of a directory that may hold mail is not mounted: it fails, says which it
 * is, and leaves the folder as it was. */
static void open_unmounted(struct history *h)
{
    struct spool_report report = {.ctx = h};
    struct buf why = BUF_INIT(KIB(4));
    unsigned names = 0, which = (unsigned)rand_below(&h->rand, OTHERS);

    if (!(h->may_hold & (1u << which)))
        return;
    h->unmounted = 1u << which;
    CHECK(h, spool_open(&h->sp, h->fs, &h->config, &report, &why) == -ENODEV, which);
    CHECK(h, strstr(buf_cstr(&why), other_paths[which]), which);
    CHECK(h, fs_list(h->folder, count_name, &names) == 0 && names == 0, names);
    h->unmounted = 0;
    buf_done(&why);
}

static void set_fillers(struct history *h, uint64_t bytes)
{
    fs_sim_set_filler(h->fs, bytes);
    for (unsigned i = 0; h->has_others && i < OTHERS; i++)
        fs_sim_set_filler(h->others[i], bytes);
}

static void open_spool(struct history *h)
{
    struct spool_report report = {.damage = on_damage, .ctx = h};
    struct buf why = BUF_INIT(KIB(4));
    int r = spool_open(&h->sp, h->fs, &h->config, &report, &why);

    /* One that may hold mail was taken out of the file before the spool knew: it must be named. */
    if (r == -ENODEV && h->may_hold & ~h->named) {
        name_others(h, h->named | h->may_hold, h->config.directories.drain_own);
        buf_clear(&why);
        r = spool_open(&h->sp, h->fs, &h->config, &report, &why);
    }
    /* A new one whose disk is too full for a word of its own. */
    if (r == -ENOSPC && h->has_others) {
        set_fillers(h, 0);
        buf_clear(&why);
        r = spool_open(&h->sp, h->fs, &h->config, &report, &why);
    }
    if (r == 0)
        note_others(h);
    if (r < 0)
        print_error("%s\n", buf_cstr(&why));
    CHECK(h, r == 0, (uint64_t)-r);
    buf_done(&why);
}

static void forget_closed(struct history *h)
{
    /* Keep the array small: what is gone needs to be checked only now and then. */
    size_t kept = 0;

    for (size_t i = 0; i < h->count; i++)
        if (h->messages[i].fate != GONE || rand_below(&h->rand, 4) == 0)
            h->messages[kept++] = h->messages[i];
    h->count = kept;
}

static void cut_power(struct history *h, bool garble)
{
    fs_sim_crash(h->fs, garble);
    for (unsigned i = 0; h->has_others && i < OTHERS; i++)
        fs_sim_crash(h->others[i], garble);
}

/* The power fails, or failed already; or the process is killed and the disk goes on. */
static void crash(struct history *h)
{
    bool power = fs_sim_is_off(h->fs) || rand_below(&h->rand, 3) > 0;
    uint64_t garble = rand_below(&h->rand, 2);

    if (!fs_sim_is_off(h->fs))
        fs_sim_power_off_at(h->fs, 1); /* nothing that closing writes gets out */
    spool_close(&h->sp);
    if (power)
        cut_power(h, garble == 1);
    else
        fs_sim_kill(h->fs);
    h->crashes++;
    fs_sim_fail_at(h->fs, 0, 0, 0);
    h->faulty = false;
    /* A disk that is full may be so at the next start too. */
    set_fillers(h, !h->has_others && rand_below(&h->rand, 3) == 0 ? DISK_MAX : 0);
    /* A crash while recovering is no worse. */
    if (rand_below(&h->rand, 4) == 0) {
        struct spool_report report = {.ctx = h};
        struct buf why = BUF_INIT(1024);

        fs_sim_power_off_at(h->fs, fs_sim_operations(h->fs) + 1 + rand_below(&h->rand, 8));
        if (spool_open(&h->sp, h->fs, &h->config, &report, &why) == 0)
            spool_close(&h->sp);
        cut_power(h, garble == 1);
        buf_done(&why);
    }
    open_spool(h);
    check_all(h);
    forget_closed(h);
}

static void reopen(struct history *h)
{
    for (size_t i = 0; i < h->count; i++) {
        struct model_message *m = &h->messages[i];

        if (m->fate == OPEN)
            m->fate = GONE;
    }
    if (h->has_others)
        note_others(h);
    spool_close(&h->sp);
    if (h->has_others && rand_below(&h->rand, 2))
        open_unmounted(h);
    open_spool(h);
    check_all(h);
    forget_closed(h);
}

/* ---- operations ---- */

static struct model_message *pick(struct history *h, enum fate fate)
{
    size_t from = h->count ? rand_below(&h->rand, h->count) : 0;

    for (size_t i = 0; i < h->count; i++) {
        struct model_message *m = &h->messages[(from + i) % h->count];

        if (m->fate == fate)
            return m;
    }
    return NULL;
}

/* A call failed that may fail only when faults are injected. */
static void may_fail(struct history *h, int r, uint64_t id)
{
    if (r < 0 && !(h->faulty && (r == -EIO || r == -ERR_FAILED || r == -ENOSPC)))
        print_error("%s (%d)\n", err_str(r), r);
    CHECK(h, r == 0 || (h->faulty && (r == -EIO || r == -ERR_FAILED || r == -ENOSPC)), id);
}

static uint32_t random_size(struct history *h)
{
    switch (rand_below(&h->rand, 8)) {
    case 0:
        return 0;
    case 1:
        return 1 + (uint32_t)rand_below(&h->rand, SPOOL_EXTENT_MAX);
    case 2:
        return SPOOL_EXTENT_MAX;
    default:
        return 1 + (uint32_t)rand_below(&h->rand, 3000);
    }
}

static void op_open(struct history *h)
{
    struct model_message *m = &h->messages[h->count];
    uint64_t id = spool_new_id(h->sp);

    CHECK(h, id > h->last_id, id);
    h->last_id = id;
    if (h->count == MESSAGES_MAX)
        return;
    *m = (struct model_message){.id = id, .fate = OPEN};
    m->reserved = rand_below(&h->rand, 3) == 0 ? 5 * SPOOL_EXTENT_MAX : 4096;
    if (spool_reserve(h->sp, m->reserved) < 0)
        return;
    h->count++;
}

static void op_append(struct history *h, struct model_message *m)
{
    static uint8_t block[SPOOL_EXTENT_MAX];
    uint32_t size = random_size(h);
    int r;

    if (size == 0 || size + 64 > m->reserved || m->extent_count == EXTENTS_PER_MESSAGE)
        return;
    fill(block, size, m->id, m->body_bytes);
    r = spool_append(h->sp, m->id, slice_make(block, size), &m->extents[m->extent_count]);
    may_fail(h, r, m->id);
    if (r < 0)
        return;
    m->extent_count++;
    m->body_bytes += size;
    m->reserved -= size;
}

static void give_up(struct history *h, struct model_message *m)
{
    spool_abort(h->sp, m->id, m->extents, m->extent_count);
    spool_unreserve(h->sp, m->reserved);
    m->reserved = 0;
    m->fate = GONE;
}

static void op_commit(struct history *h, struct model_message *m)
{
    uint8_t room[64];
    struct slice envelope = envelope_of(m->id, 0, room);
    int r = spool_commit(h->sp, m->id, envelope, m->extents, m->extent_count);

    /* An extent of it may be lost in a segment that failed, though this commit comes later. */
    if (r < 0) {
        may_fail(h, r, m->id);
        give_up(h, m);
        return;
    }
    m->reserved -= envelope.len;
    spool_unreserve(h->sp, m->reserved);
    m->reserved = 0;
    m->fate = COMMITTED;
}

static void op_mark(struct history *h, struct model_message *m)
{
    uint8_t room[64];
    int r;

    if (m->marks == 900)
        return;
    r = spool_mark(h->sp, m->id, mark_of(m->id, first_mark(m->envelope_version) + m->marks, room));
    if (r == -ENOSPC) /* the last room is for removals */
        return;
    may_fail(h, r, m->id);
    if (r == 0)
        m->marks++;
}

static void op_rewrite(struct history *h, struct model_message *m)
{
    uint8_t room[64];
    int r;

    if (m->rewritten)
        return;
    r = spool_rewrite(h->sp, m->id, envelope_of(m->id, m->envelope_version + 1, room));
    if (r == -ENOSPC)
        return;
    may_fail(h, r, m->id);
    if (r < 0)
        return;
    m->old_version = m->envelope_version++;
    m->rewritten = true;
    m->marks = m->old_marks = 0;
}

static void op_remove(struct history *h, struct model_message *m)
{
    int r = spool_remove(h->sp, m->id);

    may_fail(h, r, m->id);
    if (r == 0)
        m->fate = REMOVED;
}

static void op_sync(struct history *h)
{
    int r = spool_sync(h->sp);

    may_fail(h, r, 0);
    for (size_t i = 0; i < h->count; i++) {
        struct model_message *m = &h->messages[i];

        if (m->fate == COMMITTED)
            m->fate = r == 0 ? THERE : MAYBE;
        if (r < 0)
            continue;
        if (m->fate == REMOVED)
            m->fate = GONE;
        m->old_marks = m->marks;
        m->rewritten = false;
    }
}

static void op_tend(struct history *h)
{
    uint64_t freed, budget = 1 + rand_below(&h->rand, KIB(64));
    int r = rand_below(&h->rand, 5) == 0 ? spool_relieve(h->sp, budget, &freed)
                                         : spool_tick(h->sp, budget);

    if (r < 0 && r != -ENOSPC)
        may_fail(h, r, 1);
}

static void op_fault(struct history *h)
{
    uint64_t at = fs_sim_operations(h->fs) + 1 + rand_below(&h->rand, 20);

    switch (rand_below(&h->rand, 4)) {
    case 0:
        fs_sim_fail_at(h->fs, at, 1, -EIO);
        h->faulty = true;
        break;
    case 1:
        fs_sim_fail_at(h->fs, at, 1 + rand_below(&h->rand, 8), -EIO);
        h->faulty = true;
        break;
    case 2:
        if (h->has_others && rand_below(&h->rand, 2))
            fs_sim_set_filler(h->others[rand_below(&h->rand, OTHERS)],
                              rand_below(&h->rand, h->disk));
        else
            fs_sim_set_filler(h->fs, rand_below(&h->rand, h->disk));
        break;
    default:
        fs_sim_power_off_at(h->fs, at);
        h->faulty = true;
        break;
    }
}

/* The configuration names other directories, and is read again. Where that fails the operator may
 * leave the file as it is, or not. */
static void op_directories(struct history *h)
{
    unsigned before = h->named, named = (unsigned)rand_below(&h->rand, 1u << OTHERS);
    bool drained = h->config.directories.drain_own;
    bool drain_own = named > 0 && rand_below(&h->rand, 3) == 0;
    struct buf why = BUF_INIT(KIB(4));
    int r;

    name_others(h, named, drain_own);
    r = spool_set_directories(h->sp, &h->config.directories, &why);
    if (r != -ENOSPC) /* a disk may be too full for a word of its own */
        may_fail(h, r, named);
    if (r < 0) {
        CHECK(h, buf_len(&why) > 0, named);
        h->may_hold |= named;
        if (rand_below(&h->rand, 2))
            name_others(h, before, drained);
    } else {
        note_others(h);
    }
    buf_done(&why);
}

static void operate(struct history *h)
{
    uint64_t what = rand_below(&h->rand, h->has_others ? 103 : 100);
    struct model_message *open = pick(h, OPEN), *there = pick(h, THERE);

    if (what < 15)
        op_open(h);
    else if (what < 40 && open)
        op_append(h, open);
    else if (what < 55 && open)
        op_commit(h, open);
    else if (what < 57 && open)
        give_up(h, open);
    else if (what < 65 && there)
        op_mark(h, there);
    else if (what < 67 && there)
        op_rewrite(h, there);
    else if (what < 77 && there)
        op_remove(h, there);
    else if (what < 87)
        op_sync(h);
    else if (what < 95)
        op_tend(h);
    else if (what < 98)
        op_fault(h);
    else if (what == 98)
        crash(h);
    else if (what >= 100)
        op_directories(h);
    else if (!h->faulty)
        reopen(h);
    if (fs_sim_is_off(h->fs))
        crash(h);
}

/* All mail moves to one directory while the spool is open, and the rest is let go. */
static void move_all(struct history *h)
{
    struct spool_directory_stat *d = calloc(SPOOL_DIRECTORIES_MAX, sizeof(*d));
    struct buf why = BUF_INIT(KIB(4));
    size_t count = 0;
    bool waits = false;

    assert_non_null(d);
    for (size_t i = 0; i < h->count; i++)
        if (h->messages[i].fate == OPEN)
            give_up(h, &h->messages[i]);
    name_others(h, 1u << rand_below(&h->rand, OTHERS), /* drain_own= */ true);
    if (spool_set_directories(h->sp, &h->config.directories, &why) < 0)
        fail_history(h, buf_cstr(&why), h->named);
    for (int i = 0; i < EMPTY_TICKS_MAX; i++) {
        CHECK(h, spool_tick(h->sp, KIB(64)) >= 0, 0);
        count = spool_get_directories(h->sp, d);
        waits = count == 3 ? d[1].waits || d[2].waits : false;
        if ((count == 2 && d[0].segments == 0) || waits || d[0].waits)
            break;
    }
    if (!waits && !d[0].waits) {
        CHECK(h, count == 2 && d[0].segments == 0 && d[0].draining, d[0].segments);
        CHECK(h, strcmp(d[1].path, h->paths[0]) == 0 && !d[1].draining, 1);
    }
    h->moved = !waits && !d[0].waits;
    note_others(h);
    reopen(h);
    buf_done(&why);
    free(d);
}

/* At the end everything that is left is removed, on a full disk, without a restart. */
static void drain(struct history *h)
{
    struct spool_stat st;
    uint64_t freed;
    int r;

    set_fillers(h, DISK_MAX);
    for (size_t i = 0; i < h->count; i++)
        if (h->messages[i].fate == THERE)
            CHECK(h, spool_remove(h->sp, h->messages[i].id) == 0, h->messages[i].id);
    CHECK(h, spool_sync(h->sp) == 0, 0);
    while ((r = spool_relieve(h->sp, KIB(256), &freed)) == 1)
        ;
    CHECK(h, r == 0, 0);
    set_fillers(h, 0);
    spool_get_stat(h->sp, &st);
    CHECK(h, st.messages == 0 && st.live_bytes == 0, st.live_bytes);
    CHECK(h, spool_reserve(h->sp, KIB(256)) == 0, 0);
    spool_unreserve(h->sp, KIB(256));
}

/* True: all mail was moved to one directory. */
static bool run(uint64_t seed)
{
    struct history *h = calloc(1, sizeof(*h));
    bool moved;

    assert_non_null(h);
    h->seed = seed;
    rand_init(&h->rand, seed);
    h->disk = MIB(4) + rand_below(&h->rand, DISK_MAX - MIB(4));
    h->fs = fs_sim_new(seed, h->disk);
    h->config = (struct spool_config){
        .segment_bytes = KIB(256),
        .spare_segments = (uint32_t)rand_below(&h->rand, 4),
        .first_id = 1 + rand_below(&h->rand, 1000),
    };
    h->has_others = seed >= OTHERS_FIRST_SEED;
    if (h->has_others) {
        for (unsigned i = 0; i < OTHERS; i++)
            h->others[i] =
                fs_sim_new_beside(h->fs, MIB(4) + rand_below(&h->rand, DISK_MAX - MIB(4)));
        h->folder = fs_sim_new_beside(h->fs, MIB(4));
        h->config.path = "/own";
        h->config.open_directory = open_directory;
        h->config.open_ctx = h;
        name_others(h, (unsigned)rand_below(&h->rand, 1u << OTHERS), false);
    }
    open_spool(h);
    for (int i = 0; i < STEPS; i++)
        operate(h);
    crash(h);
    if (h->has_others)
        move_all(h);
    moved = h->moved;
    drain(h);
    spool_close(&h->sp);
    fs_free(&h->fs);
    fs_free(&h->folder);
    for (unsigned i = 0; i < OTHERS; i++)
        fs_free(&h->others[i]);
    free(h);
    return moved;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    uint64_t n;

    return text && slice_to_u64(slice_str(text), UINT64_MAX, &n) == 0 ? n : otherwise;
}

static void test_histories(void **state)
{
    uint64_t one = from_environment("SPOOL_CRASH_SEED", 0);
    uint64_t seeds = from_environment("SPOOL_CRASH_SEEDS", SEEDS_DEFAULT);
    uint64_t first = from_environment("SPOOL_CRASH_FIRST", 1);

    (void)state;
    if (one) {
        (void)run(one);
        return;
    }
    for (uint64_t seed = first; seed < first + seeds; seed++)
        (void)run(seed);
}

static void test_histories_of_directories(void **state)
{
    uint64_t seeds = from_environment("SPOOL_CRASH_SEEDS", SEEDS_DEFAULT), moved = 0;
    uint64_t first = from_environment("SPOOL_CRASH_FIRST", 1) + OTHERS_FIRST_SEED - 1;

    (void)state;
    if (getenv("SPOOL_CRASH_SEED"))
        return;
    for (uint64_t seed = first; seed < first + seeds; seed++)
        moved += run(seed);
    assert_true(moved * 2 > seeds); /* most disks have room for it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),
        cmocka_unit_test(test_histories_of_directories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
