/* spool/spool_test.c - the spool on a simulated disk without faults, and its id text. */
#include "spool/spool.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "io/fs_sim.h"

#define DISK_BYTES MIB(64)

struct disk {
    struct fs *fs;
    struct spool *sp;
    struct spool_config config;
    unsigned damages;
    char last_file[64];
    struct buf why;
};

static void on_damage(void *ctx, const char *file, uint64_t offset, uint64_t id, const char *what)
{
    struct disk *d = ctx;

    (void)offset;
    (void)id;
    (void)what;
    d->damages++;
    (void)snprintf(d->last_file, sizeof(d->last_file), "%s", file);
}

static void disk_open(struct disk *d)
{
    struct spool_report report = {.damage = on_damage, .ctx = d};

    buf_clear(&d->why);
    assert_int_equal(spool_open(&d->sp, d->fs, &d->config, &report, &d->why), 0);
}

static void disk_init(struct disk *d)
{
    *d = (struct disk){
        .fs = fs_sim_new(7, DISK_BYTES),
        .config = {.segment_bytes = KIB(256), .spare_segments = 2, .first_id = 1000},
    };
    buf_init(&d->why, 4096);
    disk_open(d);
}

/* It is full after some hundred messages. */
static void disk_init_small(struct disk *d)
{
    *d = (struct disk){
        .fs = fs_sim_new(9, MIB(4)),
        .config = {.segment_bytes = KIB(256), .spare_segments = 2, .first_id = 1},
    };
    buf_init(&d->why, 4096);
    disk_open(d);
}

static void disk_done(struct disk *d)
{
    spool_close(&d->sp);
    fs_free(&d->fs);
    buf_done(&d->why);
}

static void disk_reopen(struct disk *d)
{
    spool_close(&d->sp);
    disk_open(d);
}

/* Bytes that depend on id and place, so that nothing can be mistaken for another. */
static void fill(uint8_t *to, size_t n, uint64_t id, uint64_t from)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)((id * 31 + (from + i) * 7 + (from + i) / 251) & 0xff);
}

static uint64_t put_message(struct spool *sp, size_t body_bytes, const char *envelope)
{
    uint64_t id = spool_new_id(sp);
    struct spool_extent extents[64];
    uint8_t block[SPOOL_EXTENT_MAX];
    size_t count = 0;

    assert_int_equal(spool_reserve(sp, body_bytes + strlen(envelope)), 0);
    for (size_t at = 0; at < body_bytes;) {
        size_t n = MIN_OF(body_bytes - at, sizeof(block));

        fill(block, n, id, at);
        assert_int_equal(spool_append(sp, id, slice_make(block, n), &extents[count++]), 0);
        at += n;
    }
    assert_int_equal(spool_commit(sp, id, slice_str(envelope), extents, count), 0);
    return id;
}

static void check_body(struct spool_reader *r, size_t body_bytes, size_t piece)
{
    uint8_t *got = malloc(piece), *want = malloc(piece);
    size_t at = 0;
    ptrdiff_t n;

    assert_int_equal(r->body_bytes, body_bytes);
    while ((n = spool_read_body(r, false, got, piece)) > 0) {
        fill(want, (size_t)n, r->id, at);
        assert_memory_equal(got, want, (size_t)n);
        at += (size_t)n;
    }
    assert_int_equal(n, 0);
    assert_int_equal(at, body_bytes);
    free(got);
    free(want);
}

static void check_message(struct spool *sp, uint64_t id, size_t body_bytes, const char *envelope,
                          const char *marks)
{
    struct buf e = BUF_INIT(MIB(2)), m = BUF_INIT(MIB(4)), text = BUF_INIT(MIB(4));
    struct spool_reader r;
    struct slice left;

    assert_int_equal(spool_read(sp, id, false, &r, &e, &m), 0);
    assert_true(slice_eq(buf_slice(&e), slice_str(envelope)));
    left = buf_slice(&m);
    while (left.len > 0) {
        uint32_t n;

        memcpy(&n, left.ptr, 4);
        (void)buf_add(&text, slice_sub(left, 4, n));
        left = slice_from(left, 4 + n);
    }
    assert_string_equal(buf_cstr(&text), marks);
    check_body(&r, body_bytes, SPOOL_EXTENT_MAX);
    spool_read_rewind(&r);
    check_body(&r, body_bytes, 1000);
    spool_read_rewind(&r);
    check_body(&r, body_bytes, 3 * SPOOL_EXTENT_MAX);
    spool_read_done(&r);
    spool_read_done(&r);
    buf_done(&e);
    buf_done(&m);
    buf_done(&text);
}

/* The remedy to its end, in small pieces. */
static uint64_t relieve(struct spool *sp)
{
    uint64_t freed = 0;
    int r, calls = 0;

    while ((r = spool_relieve(sp, KIB(64), &freed)) == 1)
        assert_true(++calls < 10000);
    assert_int_equal(r, 0);
    return freed;
}

static void test_commit_and_read(void **state)
{
    struct disk d;
    struct spool_reader r;
    uint64_t a, b, c;

    (void)state;
    disk_init(&d);
    a = put_message(d.sp, 2048, "envelope a");
    b = put_message(d.sp, 200000, "envelope b");
    c = put_message(d.sp, 0, "");
    assert_int_equal(spool_read(d.sp, a, false, &r, NULL, NULL), -ENOENT);
    assert_int_equal(spool_sync(d.sp), 0);
    for (int i = 0; i < 3; i++) {
        check_message(d.sp, a, 2048, "envelope a", "");
        check_message(d.sp, b, 200000, "envelope b", "");
        check_message(d.sp, c, 0, "", "");
        disk_reopen(&d);
    }
    assert_int_equal(d.damages, 0);
    disk_done(&d);
}

static void test_marks(void **state)
{
    struct disk d;
    struct buf want = BUF_INIT(MIB(1));
    uint64_t id;

    (void)state;
    disk_init(&d);
    id = put_message(d.sp, 100, "env");
    assert_int_equal(spool_mark(d.sp, 4711, SLICE_LIT("x")), -ENOENT);
    for (int i = 0; i < 3000; i++) {
        char mark[16];

        (void)snprintf(mark, sizeof(mark), "<%d>", i);
        assert_int_equal(spool_mark(d.sp, id, slice_str(mark)), 0);
        (void)buf_add_str(&want, mark);
        if (i % 7 == 0)
            assert_int_equal(spool_sync(d.sp), 0);
        if (i % 500 == 250) {
            (void)put_message(d.sp, 65536, "other");
            disk_reopen(&d);
            check_message(d.sp, id, 100, "env", buf_cstr(&want));
        }
    }
    assert_int_equal(spool_sync(d.sp), 0);
    check_message(d.sp, id, 100, "env", buf_cstr(&want));
    assert_int_equal(spool_rewrite(d.sp, id, SLICE_LIT("new")), 0);
    assert_int_equal(spool_mark(d.sp, id, SLICE_LIT("after")), 0);
    assert_int_equal(spool_sync(d.sp), 0);
    check_message(d.sp, id, 100, "new", "after");
    disk_reopen(&d);
    check_message(d.sp, id, 100, "new", "after");
    buf_done(&want);
    disk_done(&d);
}

/* A steady flow stays within a few segments, however much passes through. */
static void test_recycling(void **state)
{
    struct disk d;
    struct spool_stat st;
    uint64_t keeper;

    (void)state;
    disk_init(&d);
    keeper = put_message(d.sp, 70000, "keeper");
    for (int i = 0; i < 20000; i++) {
        uint64_t id = put_message(d.sp, 2048, "e");

        assert_int_equal(spool_remove(d.sp, id), 0);
        if (i % 10 == 0) {
            assert_int_equal(spool_sync(d.sp), 0);
            while (spool_tick(d.sp, KIB(64)) == 1)
                ;
        }
    }
    assert_int_equal(spool_sync(d.sp), 0);
    spool_get_stat(d.sp, &st);
    assert_true(st.segments <= 12);
    assert_int_equal(st.messages, 1);
    assert_int_equal(st.reserved_bytes, 0);
    check_message(d.sp, keeper, 70000, "keeper", "");
    disk_reopen(&d);
    check_message(d.sp, keeper, 70000, "keeper", "");
    disk_done(&d);
}

/* Takes mail until the disk is full; then marks and removals still work, and it drains. */
static void test_full_disk_drains(void **state)
{
    struct disk d;
    struct spool_stat st;
    uint64_t ids[4000];
    size_t count = 0;

    (void)state;
    disk_init_small(&d);
    for (int round = 0; round < 3; round++) {
        count = 0;
        while (spool_reserve(d.sp, 3000) == 0) {
            spool_unreserve(d.sp, 3000);
            ids[count++] = put_message(d.sp, 2990, "0123456789");
            assert_true(count < ARRAY_SIZE(ids));
            if (count % 5 == 0)
                assert_int_equal(spool_sync(d.sp), 0);
        }
        assert_true(count > 500);
        fs_sim_set_filler(d.fs, MIB(4)); /* and somebody takes every free byte */
        for (size_t i = 0; i < count; i++)
            assert_int_equal(spool_mark(d.sp, ids[i], SLICE_LIT("deferred")), 0);
        assert_int_equal(spool_sync(d.sp), 0);
        if (round == 1)
            disk_reopen(&d);
        for (size_t i = 0; i < count; i++) {
            check_message(d.sp, ids[i], 2990, "0123456789", "deferred");
            assert_int_equal(spool_remove(d.sp, ids[i]), 0);
        }
        assert_int_equal(spool_sync(d.sp), 0);
        assert_true(spool_tick(d.sp, MIB(1)) >= 0);
        (void)relieve(d.sp);
        fs_sim_set_filler(d.fs, 0);
        spool_get_stat(d.sp, &st);
        assert_int_equal(st.messages, 0);
    }
    disk_done(&d);
}

/* Clients that announce much and send nothing leave no files behind. */
static void test_broken_promises(void **state)
{
    struct disk d;
    struct spool_stat st;
    uint64_t before;

    (void)state;
    disk_init(&d);
    put_message(d.sp, 3000, "envelope");
    assert_int_equal(spool_sync(d.sp), 0);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(spool_reserve(d.sp, DISK_BYTES / 4), 0);
        spool_get_stat(d.sp, &st);
        before = st.segments;
        assert_true(before * KIB(256) >= DISK_BYTES / 4);
        if (round == 0)
            spool_unreserve(d.sp, DISK_BYTES / 4);
        else
            disk_reopen(&d);
        for (int i = 0; i < 100 && spool_tick(d.sp, MIB(1)) == 1; i++)
            ;
        spool_get_stat(d.sp, &st);
        assert_true(st.segments < before / 2);
        assert_true(st.segments_free >= d.config.spare_segments);
        assert_int_equal(st.messages, 1);
    }
    disk_done(&d);
}

/* A full disk and a server that is killed again and again: it still drains. */
static void test_restarts_on_full_disk(void **state)
{
    struct disk d;
    struct spool_stat st;
    uint64_t ids[2000];
    size_t count = 0;

    (void)state;
    disk_init_small(&d);
    while (spool_reserve(d.sp, 3000) == 0) {
        spool_unreserve(d.sp, 3000);
        ids[count++] = put_message(d.sp, 2990, "0123456789");
        assert_true(count < ARRAY_SIZE(ids));
    }
    assert_int_equal(spool_sync(d.sp), 0);
    fs_sim_set_filler(d.fs, MIB(4));
    for (size_t i = 0; i < 40; i++) {
        int r = spool_mark(d.sp, ids[i], SLICE_LIT("deferred"));

        assert_true(r == 0 || r == -ENOSPC);
        assert_int_equal(spool_sync(d.sp), 0);
        fs_sim_power_off_at(d.fs, 1);
        spool_close(&d.sp);
        fs_sim_kill(d.fs);
        disk_open(&d);
    }
    for (size_t i = 0; i < count; i++)
        assert_int_equal(spool_remove(d.sp, ids[i]), 0);
    assert_int_equal(spool_sync(d.sp), 0);
    (void)relieve(d.sp);
    fs_sim_set_filler(d.fs, 0); /* what was given back, the others have taken */
    assert_int_equal(spool_reserve(d.sp, KIB(512)), 0);
    spool_unreserve(d.sp, KIB(512));
    spool_get_stat(d.sp, &st);
    assert_int_equal(st.messages, 0);
    disk_done(&d);
}

/* Takes mail until the disk is full. */
static size_t fill_up(struct spool *sp, uint64_t *ids, size_t max)
{
    size_t count = 0;

    while (spool_reserve(sp, 3000) == 0) {
        spool_unreserve(sp, 3000);
        assert_true(count < max);
        ids[count++] = put_message(sp, 2990, "0123456789");
    }
    assert_int_equal(spool_sync(sp), 0);
    return count;
}

/* One commit into a disk that fails: whoever sends it hears of it. */
static void commit_fails(struct spool *sp)
{
    static const uint8_t body[100];
    struct spool_extent extent;
    uint64_t id = spool_new_id(sp);
    int r = spool_append(sp, id, slice_make(body, sizeof(body)), &extent);

    if (r == 0) {
        r = spool_commit(sp, id, SLICE_LIT("e"), &extent, 1);
        r = r == 0 ? spool_sync(sp) : r;
        assert_true(r < 0);
        spool_abort(sp, id, &extent, 1);
    }
    assert_true(r == -EIO || r == -ERR_FAILED || r == -ENOSPC);
}

/*
 * A full disk that fails for a while, as one behind a network does: when the errors are over,
 * removals work again, without a restart where the spool has not FAILED.
 */
static unsigned fail_for(uint64_t errors)
{
    static uint64_t ids[2000];
    struct disk d = {
        .fs = fs_sim_new(errors, MIB(4)),
        .config = {.segment_bytes = KIB(256), .spare_segments = 2, .first_id = 1},
    };
    struct spool_stat st;
    unsigned survived;
    size_t count;

    buf_init(&d.why, 4096);
    disk_open(&d);
    assert_int_equal(spool_reserve(d.sp, 101), 0);
    count = fill_up(d.sp, ids, ARRAY_SIZE(ids));
    fs_sim_set_filler(d.fs, MIB(4));
    fs_sim_fail_at(d.fs, fs_sim_operations(d.fs) + 1, errors, -EIO);
    commit_fails(d.sp);
    fs_sim_fail_at(d.fs, 0, 0, 0);
    spool_get_stat(d.sp, &st);
    survived = !st.failed;
    if (st.failed)
        disk_reopen(&d);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(spool_remove(d.sp, ids[i]), 0);
    /* The failure of its batch is told to those who wait for its end, once. */
    assert_true(spool_sync(d.sp) == 0 || spool_sync(d.sp) == 0);
    (void)relieve(d.sp);
    fs_sim_set_filler(d.fs, 0);
    assert_int_equal(spool_reserve(d.sp, KIB(512)), 0);
    spool_unreserve(d.sp, KIB(512));
    disk_reopen(&d);
    spool_get_stat(d.sp, &st);
    assert_int_equal(st.messages, 0);
    disk_done(&d);
    return survived;
}

static void test_full_disk_fails(void **state)
{
    unsigned survived = 0;

    (void)state;
    for (uint64_t errors = 1; errors <= 24; errors++)
        survived += fail_for(errors);
    assert_int_equal(survived, 24);
}

/* The figures add up, and follow the disk at once, whoever fills it. */
static void test_stat(void **state)
{
    static uint64_t ids[2000];
    struct spool_stat st, full;
    struct disk d = {
        .fs = fs_sim_new(5, MIB(4)),
        .config = {.segment_bytes = KIB(256), .spare_segments = 2, .first_id = 1},
    };
    uint64_t freed;
    size_t count;

    (void)state;
    buf_init(&d.why, 4096);
    disk_open(&d);
    spool_get_stat(d.sp, &st);
    assert_int_equal(st.file_bytes, st.segments * st.segment_bytes);
    assert_true(st.growable_bytes > 0 && st.reusable_bytes > 0 && st.dead_bytes == 0);
    assert_true(st.free_bytes > MIB(2));
    fs_sim_set_filler(d.fs, MIB(4));
    spool_get_stat(d.sp, &full);
    assert_int_equal(full.growable_bytes, 0);
    assert_int_equal(full.reusable_bytes, st.reusable_bytes);
    assert_true(full.free_bytes < st.free_bytes - MIB(2));
    assert_int_equal(spool_reserve(d.sp, MIB(1)), -ENOSPC);
    fs_sim_set_filler(d.fs, 0);
    assert_int_equal(spool_reserve(d.sp, MIB(1)), 0);
    spool_unreserve(d.sp, MIB(1));
    count = fill_up(d.sp, ids, ARRAY_SIZE(ids));
    /* Every other one goes: half of each full segment is dead, and relief gets it back. */
    for (size_t i = 0; i < count; i += 2)
        assert_int_equal(spool_remove(d.sp, ids[i]), 0);
    assert_int_equal(spool_sync(d.sp), 0);
    spool_get_stat(d.sp, &full);
    assert_true(full.dead_bytes > full.live_bytes * 8 / 10);
    spool_pause_compaction(d.sp, true);
    for (int i = 0; i < 100; i++)
        assert_true(spool_tick(d.sp, KIB(256)) >= 0);
    spool_get_stat(d.sp, &st);
    assert_int_equal(st.compacted_bytes, full.compacted_bytes);
    freed = relieve(d.sp);
    spool_get_stat(d.sp, &st);
    assert_true(st.compacted_bytes > full.compacted_bytes);
    assert_true(freed > MIB(1) / 2);
    assert_true(st.free_bytes > full.free_bytes + MIB(1) / 2);
    /* Nothing more to be had, and nothing is copied for it. */
    assert_true(relieve(d.sp) <= KIB(256));
    for (size_t i = 1; i < count; i += 2)
        check_message(d.sp, ids[i], 2990, "0123456789", "");
    disk_done(&d);
}

/* The limit may be changed at any time; what is over it stays until it is not needed. */
static void test_max_bytes(void **state)
{
    struct spool_stat st;
    struct disk d = {
        .fs = fs_sim_new(5, MIB(16)),
        .config = {.segment_bytes = KIB(256), .max_bytes = MIB(4), .first_id = 1},
    };

    (void)state;
    buf_init(&d.why, 4096);
    disk_open(&d);
    assert_int_equal(spool_reserve(d.sp, MIB(5)), -ENOSPC);
    spool_set_max_bytes(d.sp, MIB(8));
    assert_int_equal(spool_reserve(d.sp, MIB(5)), 0);
    spool_get_stat(d.sp, &st);
    assert_int_equal(st.max_bytes, MIB(8));
    assert_true(st.file_bytes > MIB(5));
    spool_set_max_bytes(d.sp, MIB(2));
    spool_get_stat(d.sp, &st);
    assert_int_equal(st.growable_bytes, 0);
    assert_int_equal(spool_reserve(d.sp, MIB(3)), -ENOSPC);
    spool_unreserve(d.sp, MIB(5));
    for (int i = 0; i < 100; i++)
        assert_true(spool_tick(d.sp, KIB(256)) >= 0);
    spool_get_stat(d.sp, &st);
    assert_true(st.file_bytes < MIB(2));
    spool_set_max_bytes(d.sp, 0);
    assert_int_equal(spool_reserve(d.sp, MIB(9)), 0);
    disk_done(&d);
}

/* ---- several directories ---- */

struct disks {
    struct disk d;
    struct fs *other;
    unsigned added, draining, empty;
};

static int open_other(void *ctx, const char *path, struct fs **ret, struct buf *why)
{
    struct disks *all = ctx;

    (void)why;
    if (strcmp(path, "/other") != 0)
        return -ENOENT;
    *ret = fs_sim_ref(all->other);
    return 0;
}

static void on_directory(void *ctx, const char *path, enum spool_directory_change change,
                         uint64_t bytes)
{
    struct disks *all = ctx;

    assert_non_null(path);
    all->added += change == SPOOL_DIRECTORY_ADDED;
    all->draining += change == SPOOL_DIRECTORY_DRAINING;
    all->empty += change == SPOOL_DIRECTORY_EMPTY;
    if (change == SPOOL_DIRECTORY_EMPTY)
        assert_int_equal(bytes, 0);
}

static int disks_open(struct disks *all, const struct spool_directories *want)
{
    struct spool_report report = {.damage = on_damage, .directory = on_directory, .ctx = all};

    all->d.config.directories = *want;
    buf_clear(&all->d.why);
    return spool_open(&all->d.sp, all->d.fs, &all->d.config, &report, &all->d.why);
}

static int set_directories(struct disks *all, const struct spool_directories *want)
{
    buf_clear(&all->d.why);
    return spool_set_directories(all->d.sp, want, &all->d.why);
}

static const char *const other_path[] = {"/other"}, *const missing_path[] = {"/missing"};
static const struct spool_directories own_only = {0}, both = {.paths = other_path, .count = 1},
                                      other_only = {
                                          .paths = other_path, .count = 1, .drain_own = true};

static void disks_init(struct disks *all, uint64_t first_id)
{
    *all = (struct disks){.d = {.fs = fs_sim_new(7, MIB(4)),
                                .config = {.segment_bytes = KIB(256),
                                           .spare_segments = 2,
                                           .first_id = first_id,
                                           .path = "/own",
                                           .open_directory = open_other}}};
    all->other = fs_sim_new_beside(all->d.fs, MIB(16));
    all->d.config.open_ctx = all;
    buf_init(&all->d.why, 4096);
    assert_int_equal(disks_open(all, &own_only), 0);
}

static void disks_done(struct disks *all)
{
    fs_free(&all->other);
    disk_done(&all->d);
}

/* Background work until there is none; the directories as they are then. */
static size_t settle(struct disks *all, struct spool_directory_stat *ret)
{
    int r;

    for (int i = 0; (r = spool_tick(all->d.sp, KIB(64))) == 1; i++)
        assert_true(i < 100000);
    assert_int_equal(r, 0);
    return spool_get_directories(all->d.sp, ret);
}

/* A full disk, another one beside it, all mail moved there and back while a reader has some of it
 * open. */
static void test_directories(void **state)
{
    static struct spool_directory_stat dirs[SPOOL_DIRECTORIES_MAX];
    static uint64_t ids[4000];
    struct spool_reader reader;
    struct disks all;
    size_t count, full;
    uint64_t size;

    (void)state;
    disks_init(&all, 1000);
    full = fill_up(all.d.sp, ids, ARRAY_SIZE(ids));
    assert_int_equal(spool_reserve(all.d.sp, MIB(1)), -ENOSPC);
    assert_int_equal(set_directories(&all, &both), 0);
    assert_int_equal(all.added, 1);
    assert_int_equal(spool_reserve(all.d.sp, MIB(1)), 0);
    spool_unreserve(all.d.sp, MIB(1));
    count = full;
    for (size_t i = 0; i < 100; i++)
        ids[count++] = put_message(all.d.sp, 2990, "0123456789");
    assert_int_equal(spool_sync(all.d.sp), 0);
    assert_int_equal(spool_get_directories(all.d.sp, dirs), 2);
    assert_string_equal(dirs[0].path, "/own");
    assert_string_equal(dirs[1].path, "/other");
    assert_true(dirs[1].segments > 0 && dirs[1].total_bytes == MIB(16) && !dirs[1].draining);

    /* What a reader has open stays until it is done. */
    assert_int_equal(spool_read(all.d.sp, ids[0], false, &reader, NULL, NULL), 0);
    assert_int_equal(set_directories(&all, &other_only), 0);
    assert_int_equal(settle(&all, dirs), 2);
    assert_true(dirs[0].draining && dirs[0].segments == 1 && dirs[0].live_bytes == 0);
    check_body(&reader, 2990, SPOOL_EXTENT_MAX);
    spool_read_done(&reader);
    (void)settle(&all, dirs);
    assert_int_equal(dirs[0].segments, 0);
    assert_int_equal(all.empty, 1);
    for (size_t i = 0; i < count; i++)
        check_message(all.d.sp, ids[i], 2990, "0123456789", "");

    /* And back, as far as there is room: the small disk cannot take it all. */
    assert_int_equal(set_directories(&all, &own_only), 0);
    assert_int_equal(all.draining, 2);
    assert_int_equal(settle(&all, dirs), 2);
    assert_true(dirs[1].draining && dirs[1].waits && dirs[1].live_bytes > 0);
    for (size_t i = full / 2; i < count; i++)
        assert_int_equal(spool_remove(all.d.sp, ids[i]), 0);
    assert_int_equal(spool_sync(all.d.sp), 0);
    assert_int_equal(settle(&all, dirs), 1);
    assert_int_equal(all.empty, 2);
    assert_null(fs_sim_bytes(all.other, "identity", &size));
    for (size_t i = 0; i < full / 2; i++)
        check_message(all.d.sp, ids[i], 2990, "0123456789", "");
    disks_done(&all);
}

/* A directory is refused with a reason, and nothing is written in it then. */
static void test_refused_directories(void **state)
{
    static const struct spool_directories missing = {.paths = missing_path, .count = 1};
    static const struct spool_directories nowhere = {.drain_own = true};
    static uint64_t ids[20000];
    struct disks all, stranger;
    struct fs *hidden;

    (void)state;
    disks_init(&all, 1000);
    assert_int_equal(set_directories(&all, &missing), -ENOENT);
    assert_int_equal(set_directories(&all, &nowhere), -EINVAL);
    /* In use by another spool, then left by it. */
    disks_init(&stranger, 5);
    hidden = stranger.other;
    stranger.other = all.other;
    assert_int_equal(set_directories(&stranger, &both), 0);
    assert_int_equal(set_directories(&all, &both), -EEXIST);
    assert_non_null(strstr(buf_cstr(&all.d.why), "/other"));
    (void)fill_up(stranger.d.sp, ids, ARRAY_SIZE(ids));
    spool_close(&stranger.d.sp);
    assert_int_equal(set_directories(&all, &both), -EEXIST);
    /* Its owner wants it named, and there. */
    assert_int_equal(disks_open(&stranger, &own_only), -ENODEV);
    assert_non_null(strstr(buf_cstr(&stranger.d.why), "/other"));
    stranger.other = hidden;
    assert_int_equal(disks_open(&stranger, &both), -ENODEV);
    assert_non_null(strstr(buf_cstr(&stranger.d.why), "mounted"));
    stranger.other = all.other;
    assert_int_equal(disks_open(&stranger, &both), 0);
    stranger.other = hidden;
    disks_done(&stranger);
    disks_done(&all);
}

static void test_compaction(void **state)
{
    struct disk d;
    struct spool_stat st;
    uint64_t ids[600];

    (void)state;
    disk_init(&d);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        ids[i] = put_message(d.sp, i % 50 == 0 ? 150000 : 3000, "envelope");
        assert_int_equal(spool_sync(d.sp), 0);
        assert_int_equal(spool_mark(d.sp, ids[i], SLICE_LIT("m")), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
        if (i % 10 != 0)
            assert_int_equal(spool_remove(d.sp, ids[i]), 0);
    assert_int_equal(spool_sync(d.sp), 0);
    for (int i = 0; i < 1000 && spool_tick(d.sp, KIB(64)) >= 0; i++)
        assert_int_equal(spool_sync(d.sp), 0);
    (void)relieve(d.sp);
    spool_get_stat(d.sp, &st);
    assert_true(st.compacted_bytes > 0);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_SIZE(ids); i += 10)
            check_message(d.sp, ids[i], i % 50 == 0 ? 150000 : 3000, "envelope", "m");
        disk_reopen(&d);
    }
    disk_done(&d);
}

struct seen {
    uint64_t last, count;
};

static int on_each(void *ctx, uint64_t id, struct slice envelope, struct slice marks)
{
    struct seen *s = ctx;

    assert_true(id > s->last);
    assert_int_equal(envelope.len, 8);
    assert_int_equal(marks.len, id % 3 == 0 ? 4 + 2 : 0);
    s->last = id;
    s->count++;
    return 0;
}

static void test_each(void **state)
{
    struct disk d;

    (void)state;
    disk_init(&d);
    for (int i = 0; i < 2000; i++) {
        uint64_t id = put_message(d.sp, 100, "envelope");

        if (id % 3 == 0)
            assert_int_equal(spool_mark(d.sp, id, SLICE_LIT("mm")), 0);
        if (i % 100 == 0)
            assert_int_equal(spool_sync(d.sp), 0);
        if (i % 300 == 0)
            disk_reopen(&d);
    }
    assert_int_equal(spool_sync(d.sp), 0);
    for (int i = 0; i < 2; i++) {
        struct seen s = {0};

        assert_int_equal(spool_each(d.sp, on_each, &s), 0);
        assert_int_equal(s.count, 2000);
        disk_reopen(&d);
    }
    disk_done(&d);
}

static void test_lock(void **state)
{
    struct disk d;
    struct spool *other = NULL;

    (void)state;
    disk_init(&d);
    assert_int_equal(spool_open(&other, d.fs, &d.config, NULL, &d.why), -ERR_LOCKED);
    assert_null(other);
    disk_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_and_read),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_recycling),
        cmocka_unit_test(test_full_disk_drains),
        cmocka_unit_test(test_broken_promises),
        cmocka_unit_test(test_restarts_on_full_disk),
        cmocka_unit_test(test_full_disk_fails),
        cmocka_unit_test(test_stat),
        cmocka_unit_test(test_max_bytes),
        cmocka_unit_test(test_directories),
        cmocka_unit_test(test_refused_directories),
        cmocka_unit_test(test_compaction),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
