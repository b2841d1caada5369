/*
 * spool/spool_torn_test.c - a torn batch at the end of the last segment, on a disk so full that
 * the spool goes on in that segment.
 *
 * What is written then comes where the torn batch was. Nothing of that batch may be taken for a
 * record later: not the header of a record whose payload is torn, in the sector where the log was
 * cut, nor what lies behind. Each case cuts a batch by hand, at another place in its sector and
 * within a body of another length, goes on, cuts the power and opens again.
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
#include "io/fs_sim.h"
#include "spool/spool.h"

#define SEGMENT KIB(128)
#define DISK MIB(4)
#define FULL (DISK - 2 * SEGMENT - KIB(128)) /* leaves room for the checkpoints and one segment */
#define SECTOR 512u
#define BODY_BYTE 0xa5
#define BODY_MAX 4000u
#define RUN 64u /* bytes by which a body is known */
#define ROUNDS 16u
#define FAULTS_MAX 12u

/* What is left of the torn batch. */
enum tear {
    TEAR_REST,   /* nothing from the first sector border within the body on */
    TEAR_SECTOR, /* all but one sector */
};

struct torn {
    uint32_t before, body; /* bytes of the body before, which shifts the cut, and of the torn one */
    enum tear tear;
    uint32_t fault; /* which operation of the next start fails; 0: none */

    struct fs *fs;
    struct spool *sp;
    unsigned damages;
    char damage[200];
    uint64_t first, kept, lost; /* messages */
    bool kept_is_removed;
    uint64_t torn_at; /* where the torn body begins */
    uint32_t marks;   /* of the first one */
};

static void on_damage(void *ctx, const char *file, uint64_t offset, uint64_t id, const char *what)
{
    struct torn *t = ctx;

    t->damages++;
    (void)snprintf(t->damage, sizeof(t->damage), "%s:%" PRIu64 " id %" PRIu64 ": %s", file, offset,
                   id, what);
}

static int try_open(struct torn *t, struct buf *why)
{
    struct spool_report report = {.damage = on_damage, .ctx = t};
    struct spool_config config = {.segment_bytes = SEGMENT, .first_id = 7};

    return spool_open(&t->sp, t->fs, &config, &report, why);
}

static void open_full(struct torn *t)
{
    struct buf why = BUF_INIT(KIB(4));

    fs_sim_set_filler(t->fs, FULL);
    if (try_open(t, &why) < 0)
        fail_msg("%s", buf_cstr(&why));
    buf_done(&why);
    fs_sim_set_filler(t->fs, 0);
}

static int drop_unused(void *ctx, const char *name)
{
    struct torn *t = ctx;

    if (strncmp(name, "seg-", 4) == 0 && strcmp(name, "seg-00000000") != 0)
        assert_int_equal(fs_unlink(t->fs, name), 0);
    return 0;
}

/* Nothing of what closing would write gets out, not even a part, and the segments that were made in
 * advance have no name yet that is durable. */
static void die(struct torn *t)
{
    static uint8_t as_it_was[SEGMENT];
    uint64_t size;

    memcpy(as_it_was, fs_sim_bytes(t->fs, "seg-00000000", &size), SEGMENT);
    fs_sim_power_off_at(t->fs, 1);
    spool_close(&t->sp);
    fs_sim_kill(t->fs);
    memcpy(fs_sim_bytes(t->fs, "seg-00000000", &size), as_it_was, SEGMENT);
    assert_int_equal(fs_list(t->fs, drop_unused, t), 0);
    assert_int_equal(fs_sync_dir(t->fs), 0);
}

static uint64_t put_message(struct torn *t, uint32_t body)
{
    static uint8_t bytes[BODY_MAX];
    struct spool_extent extent;
    uint64_t id = spool_new_id(t->sp);

    memset(bytes, BODY_BYTE, sizeof(bytes));
    assert_int_equal(spool_reserve(t->sp, body + 8), 0);
    assert_int_equal(spool_append(t->sp, id, slice_make(bytes, body), &extent), 0);
    assert_int_equal(spool_commit(t->sp, id, SLICE_LIT("envelope"), &extent, 1), 0);
    return id;
}

static struct slice mark_of(uint32_t number, uint8_t room[static 64])
{
    int n = snprintf((char *)room, 64, "attempt %" PRIu32 " was put off: try again later", number);

    return slice_make(room, (size_t)n);
}

static void put_mark(struct torn *t)
{
    uint8_t room[64];

    assert_int_equal(spool_mark(t->sp, t->first, mark_of(t->marks++, room)), 0);
    assert_int_equal(spool_sync(t->sp), 0);
}

static bool is_there(struct torn *t, uint64_t id)
{
    struct buf envelope = BUF_INIT(KIB(4)), marks = BUF_INIT(KIB(64));
    struct spool_reader r;
    int e = spool_read(t->sp, id, false, &r, &envelope, &marks);

    if (e == 0)
        spool_read_done(&r);
    buf_done(&envelope);
    buf_done(&marks);
    assert_true(e == 0 || e == -ENOENT);
    return e == 0;
}

static void check_marks(struct torn *t)
{
    struct buf envelope = BUF_INIT(KIB(4)), marks = BUF_INIT(KIB(64));
    struct spool_reader r;
    struct slice left;
    uint8_t room[64];

    assert_int_equal(spool_read(t->sp, t->first, false, &r, &envelope, &marks), 0);
    spool_read_done(&r);
    left = buf_slice(&marks);
    for (uint32_t i = 0; i < t->marks; i++) {
        struct slice want = mark_of(i, room);

        assert_true(left.len >= 4 + want.len && get_u32(left.ptr) == want.len);
        assert_true(slice_eq(slice_sub(left, 4, want.len), want));
        left = slice_from(left, 4 + want.len);
    }
    assert_int_equal(left.len, 0);
    buf_done(&envelope);
    buf_done(&marks);
}

/* Where the last body in the segment ends; 0: there is none behind `from`. */
static uint64_t body_end(const uint8_t *bytes, uint64_t size, uint64_t from)
{
    uint8_t run[RUN];

    memset(run, BODY_BYTE, sizeof(run));
    for (uint64_t end = size; end >= from + RUN; end--)
        if (memcmp(bytes + end - RUN, run, RUN) == 0)
            return end;
    return 0;
}

/* Tears the body of the last message, as a power cut does to a batch that was not synced. */
static void tear_last(struct torn *t)
{
    uint64_t size, body, at;
    uint8_t *bytes = fs_sim_bytes(t->fs, "seg-00000000", &size);

    assert_non_null(bytes);
    body = body_end(bytes, size, t->body);
    assert_true(body > t->body);
    at = (body - t->body + SECTOR - 1) / SECTOR * SECTOR;
    assert_true(at < body);
    t->torn_at = body - t->body;
    memset(bytes + at, 0, t->tear == TEAR_REST ? size - at : MIN_OF(SECTOR, body - at));
}

/* Before anything is written, the rest of the segment was cleared. */
static void check_cleared(struct torn *t)
{
    uint64_t size;
    const uint8_t *bytes = fs_sim_bytes(t->fs, "seg-00000000", &size);

    assert_int_equal(body_end(bytes, size, t->torn_at), 0);
}

/* A first message, and a batch with two more, of which the last one is torn. */
static void make_torn(struct torn *t)
{
    uint64_t size;

    t->fs = fs_sim_new(1, DISK);
    open_full(t);
    assert_non_null(fs_sim_bytes(t->fs, "seg-00000000", &size));
    assert_null(fs_sim_bytes(t->fs, "seg-00000001", &size));
    t->first = put_message(t, 100);
    put_mark(t);
    t->kept = put_message(t, t->before);
    t->lost = put_message(t, t->body);
    assert_int_equal(spool_remove(t->sp, t->first), 0);
    assert_int_equal(spool_sync(t->sp), 0);
    die(t);
    tear_last(t);
}

/*
 * The next start, on a disk that fails once. Where it left something undone, that is done before
 * anything is written: a removal goes into the same segment, on the disk that is full as before.
 */
static void start_on_bad_disk(struct torn *t)
{
    struct buf why = BUF_INIT(KIB(4));
    int r;

    fs_sim_set_filler(t->fs, FULL);
    fs_sim_fail_at(t->fs, fs_sim_operations(t->fs) + t->fault, 1, -EIO);
    r = try_open(t, &why);
    fs_sim_fail_at(t->fs, 0, 0, 0);
    buf_done(&why);
    if (r == 0) {
        t->kept_is_removed = spool_remove(t->sp, t->kept) == 0 && spool_sync(t->sp) == 0;
        if (t->kept_is_removed)
            check_cleared(t);
        die(t);
    }
    open_full(t);
}

/* True: a start on a bad disk removed a message at once. */
static bool run(struct torn t)
{
    make_torn(&t);
    if (t.fault)
        start_on_bad_disk(&t);
    else
        open_full(&t);
    check_cleared(&t);
    assert_int_equal(t.damages, 0);
    assert_true(is_there(&t, t.first));
    assert_true(is_there(&t, t.kept) != t.kept_is_removed);
    assert_false(is_there(&t, t.lost));
    for (uint32_t i = 0; i < ROUNDS; i++) {
        put_mark(&t);
        die(&t);
        fs_sim_crash(t.fs, /* garble= */ false);
        open_full(&t);
        if (t.damages)
            print_error("%s\n", t.damage);
        assert_int_equal(t.damages, 0);
        assert_true(is_there(&t, t.kept) != t.kept_is_removed);
        assert_false(is_there(&t, t.lost));
        check_marks(&t);
    }
    spool_close(&t.sp);
    fs_free(&t.fs);
    return t.kept_is_removed;
}

/* The cut lies at each multiple of 8 in a sector. */
static void test_cut_at_each_place(void **state)
{
    (void)state;
    for (uint32_t before = 8; before <= 8 + SECTOR; before += 8)
        (void)run((struct torn){.before = before, .body = 1200, .tear = TEAR_REST});
}

static void test_bodies_of_many_lengths(void **state)
{
    (void)state;
    for (uint32_t body = SECTOR + 8; body <= BODY_MAX; body += 56)
        for (enum tear tear = TEAR_REST; tear <= TEAR_SECTOR; tear++)
            (void)run((struct torn){.before = 200, .body = body, .tear = tear});
}

/* The start that is to clear the rest of the segment cannot: it is done before the next record. */
static void test_clearing_fails(void **state)
{
    unsigned done_later = 0;

    (void)state;
    for (uint32_t fault = 1; fault <= FAULTS_MAX; fault++)
        for (uint32_t body = SECTOR + 8; body <= BODY_MAX; body += 696)
            done_later += run(
                (struct torn){.before = 200, .body = body, .tear = TEAR_SECTOR, .fault = fault});
    assert_true(done_later > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_at_each_place),
        cmocka_unit_test(test_bodies_of_many_lengths),
        cmocka_unit_test(test_clearing_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
