/*
 * spool/spool_kill_test.c - a real directory and a process that is killed: what it acknowledged
 * through a pipe, after a sync, is there when the spool is opened again.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "io/fs.h"
#include "spool/spool.h"

#define ROUNDS 15
#define ACKS_MAX 400
#define GROUP 4

struct ack {
    uint64_t id;
    bool removed;
};

static const struct spool_config config = {
    .segment_bytes = MIB(1), .spare_segments = 2, .first_id = 77};

static struct spool *open_spool(const char *dir, struct fs **ret_fs)
{
    struct buf why = BUF_INIT(1024);
    struct spool *sp = NULL;

    if (fs_posix_open(dir, true, ret_fs, &why) < 0 ||
        spool_open(&sp, *ret_fs, &config, NULL, &why) < 0)
        (void)fprintf(stderr, "%s\n", buf_cstr(&why));
    buf_done(&why);
    return sp;
}

static uint32_t size_of(uint64_t id)
{
    return (uint32_t)(id * 7919 % 9000) + 1;
}

static int put_message(struct spool *sp, uint64_t id)
{
    uint8_t body[16384];
    struct spool_extent x;

    memset(body, (int)(id & 0xff), sizeof(body));
    if (spool_reserve(sp, size_of(id) + 3) < 0 ||
        spool_append(sp, id, slice_make(body, size_of(id)), &x) < 0)
        return -1;
    return spool_commit(sp, id, SLICE_LIT("env"), &x, 1);
}

/* Commits in groups, removes every other message a group later, and tells after each sync. */
static void child(const char *dir, int to)
{
    struct fs *fs = NULL;
    struct spool *sp = open_spool(dir, &fs);
    struct ack acks[2 * GROUP] = {0};

    if (!sp)
        _exit(1);
    for (;;) {
        for (size_t i = 0; i < GROUP; i++) {
            acks[GROUP + i] = (struct ack){.id = i % 2 ? acks[i].id : 0, .removed = true};
            acks[i] = (struct ack){.id = spool_new_id(sp)};
            if (put_message(sp, acks[i].id) < 0 ||
                (acks[GROUP + i].id && spool_remove(sp, acks[GROUP + i].id) < 0))
                _exit(2);
        }
        if (spool_sync(sp) < 0 || spool_tick(sp, KIB(64)) < 0)
            _exit(3);
        if (write(to, acks, sizeof(acks)) != sizeof(acks))
            _exit(4);
    }
}

static void check_there(struct spool *sp, uint64_t id)
{
    uint8_t body[16384];
    struct spool_reader r;

    assert_int_equal(spool_read(sp, id, false, &r, NULL, NULL), 0);
    assert_int_equal(r.body_bytes, size_of(id));
    assert_int_equal(
        spool_read_body(&r, false, body,
                        SPOOL_EXTENT_MAX < sizeof(body) ? SPOOL_EXTENT_MAX : sizeof(body)),
        size_of(id));
    for (uint32_t i = 0; i < size_of(id); i++)
        assert_int_equal(body[i], id & 0xff);
    spool_read_done(&r);
}

/* Reads what the child says until `most`, kills it, and reads what it had said before it died. */
static size_t run_child(const char *dir, struct ack *acks, size_t most)
{
    int ends[2], status;
    size_t count = 0;
    pid_t pid;
    ssize_t n = 1;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        child(dir, ends[1]);
    }
    (void)close(ends[1]);
    while (n > 0 && count + 4 * GROUP < ACKS_MAX) {
        n = read(ends[0], acks + count, 2 * GROUP * sizeof(*acks));
        count += n > 0 ? (size_t)n / sizeof(*acks) : 0;
        if (count >= most)
            (void)kill(pid, SIGKILL);
    }
    (void)kill(pid, SIGKILL);
    (void)close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return count;
}

static void test_killed(void **state)
{
    char dir[] = "/tmp/spool-kill-XXXXXX", command[64];
    struct ack acks[ACKS_MAX];
    struct rand rand;

    (void)state;
    assert_non_null(mkdtemp(dir));
    rand_init(&rand, 1);
    for (int round = 0; round < ROUNDS; round++) {
        size_t count = run_child(dir, acks, rand_below(&rand, 200));
        struct fs *fs = NULL;
        struct spool *sp = open_spool(dir, &fs);
        struct spool_reader r;

        assert_non_null(sp);
        for (size_t i = 0; i < count; i++) {
            bool removed = acks[i].removed;

            /* A removal may have been made durable and not yet told. */
            for (size_t k = i; k < count && !removed; k++)
                removed = acks[k].removed && acks[k].id == acks[i].id;
            if (removed && acks[i].id)
                assert_int_equal(spool_read(sp, acks[i].id, false, &r, NULL, NULL), -ENOENT);
            else if (acks[i].id && i + 2 * GROUP < count)
                check_there(sp, acks[i].id);
        }
        spool_close(&sp);
        fs_free(&fs);
    }
    (void)snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
