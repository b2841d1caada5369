/*
 * spool/spool_damage_test.c - damaged bytes in a closed spool: opening works, what is damaged is
 * reported and set aside, the rest is served, and nothing damaged is ever given out as whole.
 *
 * SPOOL_DAMAGE_CASES: how many damaged spools (default 500).
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/rand.h"
#include "io/fs_sim.h"
#include "spool/spool.h"

#define CASES_DEFAULT 500
#define MESSAGES 60
#define FILES_MAX 16

struct image {
    char name[32];
    uint8_t *bytes;
    uint64_t size;
};

struct original {
    struct image files[FILES_MAX];
    size_t file_count;
    uint64_t ids[MESSAGES];
    uint32_t body_bytes[MESSAGES];
    bool removed[MESSAGES];
};

struct damages {
    unsigned count;
    char text[200];
};

static const struct spool_config config = {
    .segment_bytes = KIB(256), .spare_segments = 1, .first_id = 5};

static void on_damage(void *ctx, const char *file, uint64_t offset, uint64_t id, const char *what)
{
    struct damages *d = ctx;

    d->count++;
    (void)snprintf(d->text, sizeof(d->text), "%s:%" PRIu64 " id %" PRIu64 ": %s", file, offset, id,
                   what);
}

static struct spool *open_spool(struct fs *fs, struct damages *d, bool read_only)
{
    struct spool_report report = {.damage = on_damage, .ctx = d};
    struct spool_config c = config;
    struct buf why = BUF_INIT(1024);
    struct spool *sp = NULL;

    c.read_only = read_only;
    if (spool_open(&sp, fs, &c, &report, &why) < 0)
        fail_msg("%s", buf_cstr(&why));
    buf_done(&why);
    return sp;
}

static uint8_t body_byte(uint64_t id, uint64_t at)
{
    return (uint8_t)(id * 31 + at * 7 + at / 251);
}

static void put_message(struct original *o, struct spool *sp, size_t i)
{
    static uint8_t body[SPOOL_EXTENT_MAX];
    struct spool_extent extents[4];
    uint64_t id = o->ids[i] = spool_new_id(sp);
    uint32_t size = o->body_bytes[i] = i % 20 == 3 ? 150000 : (uint32_t)(i * 97 % 4000);
    size_t count = 0;

    assert_int_equal(spool_reserve(sp, size + 8), 0);
    for (uint32_t at = 0; at < size;) {
        uint32_t n = (uint32_t)MIN_OF(size - at, sizeof(body));

        for (uint32_t b = 0; b < n; b++)
            body[b] = body_byte(id, at + b);
        assert_int_equal(spool_append(sp, id, slice_make(body, n), &extents[count++]), 0);
        at += n;
    }
    assert_int_equal(spool_commit(sp, id, SLICE_LIT("envelope"), extents, count), 0);
}

static int take_file(void *ctx, const char *name)
{
    struct original *o = ctx;
    struct image *f = &o->files[o->file_count++];

    assert_true(o->file_count <= FILES_MAX);
    (void)snprintf(f->name, sizeof(f->name), "%s", name);
    return 0;
}

/* A closed spool with messages, marks, removals, and a log behind its checkpoint. */
static void make_original(struct original *o, bool with_log)
{
    struct fs *fs = fs_sim_new(1, MIB(8));
    struct damages d = {0};
    struct spool *sp = open_spool(fs, &d, false);

    *o = (struct original){0};
    for (size_t i = 0; i < MESSAGES; i++) {
        put_message(o, sp, i);
        if (i % 3 == 0)
            assert_int_equal(spool_mark(sp, o->ids[i], SLICE_LIT("mark")), 0);
        if (i % 10 == 9) {
            o->removed[i - 4] = true;
            assert_int_equal(spool_remove(sp, o->ids[i - 4]), 0);
        }
        if (i % 4 == 0)
            assert_int_equal(spool_sync(sp), 0);
        if (i == MESSAGES / 2) {
            spool_close(&sp);
            sp = open_spool(fs, &d, false);
        }
    }
    assert_int_equal(spool_sync(sp), 0);
    if (with_log) /* as after a crash: the last checkpoint is an old one */
        fs_sim_power_off_at(fs, 1);
    spool_close(&sp);
    fs_sim_kill(fs);
    assert_int_equal(fs_list(fs, take_file, o), 0);
    for (size_t i = 0; i < o->file_count; i++) {
        struct image *f = &o->files[i];
        const uint8_t *bytes = fs_sim_bytes(fs, f->name, &f->size);

        f->bytes = malloc(f->size + 1);
        assert_non_null(f->bytes);
        if (f->size)
            memcpy(f->bytes, bytes, f->size);
    }
    fs_free(&fs);
}

static void free_original(struct original *o)
{
    for (size_t i = 0; i < o->file_count; i++)
        free(o->files[i].bytes);
}

static struct fs *copy_of(const struct original *o)
{
    struct fs *fs = fs_sim_new(1, MIB(16));

    for (size_t i = 0; i < o->file_count; i++) {
        struct fs_file *f = NULL;

        assert_int_equal(fs_open(fs, o->files[i].name, FS_WRITE | FS_CREATE, &f), 0);
        assert_int_equal(fs_write(f, slice_make(o->files[i].bytes, o->files[i].size), 0), 0);
        fs_close(&f);
    }
    return fs;
}

/* 1: whole. 0: not there, or damaged and said so. Wrong bytes fail the test. */
static int read_message(struct spool *sp, uint64_t id, uint32_t size, bool *ret_damaged)
{
    static uint8_t got[SPOOL_EXTENT_MAX];
    struct buf envelope = BUF_INIT(1024), marks = BUF_INIT(1024);
    struct spool_reader r;
    uint64_t at = 0;
    ptrdiff_t n = spool_read(sp, id, false, &r, &envelope, &marks);

    *ret_damaged = n == -ERR_DAMAGED || n == -EIO;
    if (n == 0) {
        assert_true(slice_eq(buf_slice(&envelope), SLICE_LIT("envelope")));
        while ((n = spool_read_body(&r, false, got, sizeof(got))) > 0)
            for (ptrdiff_t b = 0; b < n; b++, at++)
                assert_int_equal(got[b], body_byte(id, at));
        *ret_damaged = n < 0;
        if (n == 0)
            assert_int_equal(at, size);
        spool_read_done(&r);
    }
    buf_done(&envelope);
    buf_done(&marks);
    return n == 0;
}

static int count_one(void *ctx, uint64_t id, struct slice envelope, struct slice marks)
{
    (void)id;
    (void)envelope;
    (void)marks;
    ++*(size_t *)ctx;
    return 0;
}

/* Everything is served but what is reported; `most` messages may be missing. */
static void check_spool(const struct original *o, struct spool *sp, struct damages *d, size_t most)
{
    size_t missing = 0, each = 0;

    assert_int_equal(spool_each(sp, count_one, &each), 0);
    for (size_t i = 0; i < MESSAGES; i++) {
        bool damaged;

        if (read_message(sp, o->ids[i], o->body_bytes[i], &damaged) || o->removed[i])
            continue;
        missing++;
        if (damaged)
            assert_int_equal(spool_set_aside(sp, o->ids[i]), 0);
        assert_true(d->count > 0);
    }
    assert_true(missing <= most);
    assert_int_equal(spool_sync(sp), 0);
}

static void damage_and_check(const struct original *o, struct rand *rand, size_t most)
{
    struct fs *fs = copy_of(o);
    struct damages d = {0}, again = {0};
    const struct image *f = &o->files[rand_below(rand, o->file_count)];
    struct spool *sp;
    uint64_t size, at, n;
    uint8_t *bytes = fs_sim_bytes(fs, f->name, &size);

    if (size > 0) {
        /* Mostly where something is: headers, and the start of the log. */
        at = rand_below(rand, rand_below(rand, 4) ? MIN_OF(size, KIB(96)) : size);
        n = rand_below(rand, 4) ? 1 : 1 + rand_below(rand, 4096);
        n = MIN_OF(n, size - at);
        if (rand_below(rand, 2))
            bytes[at] ^= (uint8_t)(1 << rand_below(rand, 8));
        else
            memset(bytes + at, (int)rand_below(rand, 2) * 0xff, n);
    }
    sp = open_spool(fs, &d, true);
    spool_close(&sp);
    d = (struct damages){0};
    sp = open_spool(fs, &d, false);
    check_spool(o, sp, &d, most);
    spool_close(&sp);
    /* What was damaged has been set aside: now all is well. */
    sp = open_spool(fs, &again, false);
    if (again.count)
        print_error("%s: %s\n", f->name, again.text);
    assert_int_equal(again.count, 0);
    check_spool(o, sp, &d, most);
    spool_close(&sp);
    fs_free(&fs);
}

static void test_random_damage(void **state)
{
    const char *text = getenv("SPOOL_DAMAGE_CASES");
    uint64_t cases = CASES_DEFAULT;
    struct original o;
    struct rand rand;

    (void)state;
    if (text)
        assert_int_equal(slice_to_u64(slice_str(text), UINT64_MAX, &cases), 0);
    rand_init(&rand, 42);
    for (int with_log = 0; with_log < 2; with_log++) {
        make_original(&o, with_log == 1);
        for (uint64_t i = 0; i < cases / 2; i++)
            damage_and_check(&o, &rand, 10);
        free_original(&o);
    }
}

/* A byte of each record of a message, one after the other. */
static void test_each_record(void **state)
{
    struct original o;

    (void)state;
    make_original(&o, true);
    for (size_t i = 0; i < o.file_count; i++) {
        struct slice left = slice_make(o.files[i].bytes, o.files[i].size);
        ptrdiff_t at;

        while ((at = slice_find_slice(left, SLICE_LIT("envelope"))) >= 0) {
            struct fs *fs = copy_of(&o);
            struct damages d = {0};
            struct spool *sp;
            uint64_t size;
            size_t off = (size_t)(left.ptr - o.files[i].bytes) + (size_t)at;

            fs_sim_bytes(fs, o.files[i].name, &size)[off] ^= 1;
            sp = open_spool(fs, &d, false);
            check_spool(&o, sp, &d, 1);
            spool_close(&sp);
            fs_free(&fs);
            left = slice_from(left, (size_t)at + 8);
        }
    }
    free_original(&o);
}

/* A part of the disk cannot be read at all. */
static void test_unreadable(void **state)
{
    struct original o;
    struct damages d = {0};

    (void)state;
    make_original(&o, true);
    for (size_t i = 0; i < o.file_count; i++) {
        struct fs *fs = copy_of(&o);
        struct spool *sp;

        if (o.files[i].size == 0) {
            fs_free(&fs);
            continue;
        }
        d = (struct damages){0};
        fs_sim_bad_range(fs, o.files[i].name, 10000, 512);
        sp = open_spool(fs, &d, false);
        check_spool(&o, sp, &d, 10);
        spool_close(&sp);
        fs_free(&fs);
    }
    free_original(&o);
}

/* Any file may be missing, be cut or be empty. */
static void test_missing_files(void **state)
{
    struct original o;

    (void)state;
    make_original(&o, false);
    for (size_t i = 0; i < 2 * o.file_count; i++) {
        struct fs *fs = copy_of(&o);
        struct damages d = {0};
        const struct image *f = &o.files[i / 2];
        struct spool *sp;
        struct fs_file *file = NULL;

        if (i % 2 == 0) {
            assert_int_equal(fs_unlink(fs, f->name), 0);
        } else {
            assert_int_equal(fs_open(fs, f->name, FS_WRITE, &file), 0);
            assert_int_equal(fs_truncate(file, f->size / 3), 0);
            fs_close(&file);
        }
        sp = open_spool(fs, &d, false);
        check_spool(&o, sp, &d, MESSAGES);
        spool_close(&sp);
        fs_free(&fs);
    }
    free_original(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_damage),
        cmocka_unit_test(test_each_record),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_missing_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
