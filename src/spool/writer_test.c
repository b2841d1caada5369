/* spool/writer_test.c - many threads commit, mark, read and remove through one writer. */
#include "spool/writer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/fs_sim.h"
#include "io/thread.h"

#define SENDERS 4
#define MESSAGES 300

struct sender {
    struct thread thread;
    struct spool *sp;
    struct spool_writer *w;
    struct mailbox *box;
    unsigned number;
    size_t answers, errors;
    struct spool_request request;
    struct spool_extent extents[8];
};

static void on_answer(struct parcel *p, void *receiver)
{
    struct sender *s = receiver;
    struct spool_request *r = CONTAINER_OF(p, struct spool_request, parcel);

    s->answers++;
    s->errors += r->result < 0;
}

static int ask(struct sender *s)
{
    size_t before = s->answers;

    s->request.parcel.deliver = on_answer;
    s->request.answer_to = s->box;
    spool_writer_post(s->w, &s->request);
    while (s->answers == before)
        (void)mailbox_receive(s->box, UINT64_MAX);
    return s->request.result;
}

static void append(struct sender *s, uint64_t id, struct slice body, uint32_t *count)
{
    s->request = (struct spool_request){.op = SPOOL_OP_APPEND, .id = id, .data = body};
    if (ask(s) == 0)
        s->extents[(*count)++] = s->request.extent;
}

static void read_back(struct sender *s, uint64_t id, const uint8_t *body, size_t size)
{
    struct buf envelope = BUF_INIT(1024);
    struct spool_reader r;
    uint8_t *got = malloc(3 * SPOOL_EXTENT_MAX);
    size_t at = 0;
    ptrdiff_t n;

    if (spool_read(s->sp, id, false, &r, &envelope, NULL) < 0) {
        s->errors++;
    } else {
        while ((n = spool_read_body(&r, true, got, SPOOL_EXTENT_MAX)) > 0) {
            s->errors += memcmp(got, body, (size_t)n) != 0;
            at += (size_t)n;
        }
        s->errors += at != size;
        spool_read_done(&r);
    }
    free(got);
    buf_done(&envelope);
}

static void send_one(struct sender *s, unsigned i)
{
    static const uint8_t zeros[SPOOL_EXTENT_MAX];
    uint64_t id = spool_new_id(s->sp);
    size_t blocks = i % 7 == 0 ? 2 : 0;
    uint32_t count = 0;

    spool_writer_message_begins(s->w);
    s->errors += spool_reserve(s->sp, blocks * sizeof(zeros) + 2048 + 8) < 0;
    for (size_t k = 0; k < blocks; k++)
        append(s, id, slice_make(zeros, sizeof(zeros)), &count);
    if (i % 11 == 0) { /* the client goes away */
        s->request = (struct spool_request){
            .op = SPOOL_OP_ABORT, .id = id, .extents = s->extents, .extent_count = count};
        (void)ask(s);
        spool_unreserve(s->sp, 2048 + 8);
        spool_writer_message_ends(s->w);
        return;
    }
    s->request = (struct spool_request){
        .op = SPOOL_OP_COMMIT,
        .id = id,
        .data = slice_make(zeros, 2048),
        .envelope = SLICE_LIT("envelope"),
        .extents = s->extents,
        .extent_count = count,
    };
    spool_writer_message_ends(s->w);
    s->errors += ask(s) < 0;
    read_back(s, id, zeros, blocks * sizeof(zeros) + 2048);
    s->request = (struct spool_request){.op = SPOOL_OP_MARK, .id = id, .data = SLICE_LIT("m")};
    (void)ask(s);
    if (i % 3 == 0)
        return;
    s->request = (struct spool_request){.op = SPOOL_OP_REMOVE, .id = id};
    (void)ask(s);
}

static void sender_run(void *ctx)
{
    struct sender *s = ctx;

    for (unsigned i = 1; i <= MESSAGES; i++)
        send_one(s, i);
}

struct world {
    struct fs *fs;
    struct spool *sp;
    struct spool_writer *w;
};

static void world_open(struct world *world)
{
    const struct spool_config config = {
        .segment_bytes = MIB(1), .spare_segments = 2, .first_id = 1};
    const struct spool_writer_config writer_config = {
        .commit_delay_us = 500, .commit_batch_bytes = MIB(1), .lazy_sync_ms = 5};
    struct buf why = BUF_INIT(1024);

    assert_int_equal(spool_open(&world->sp, world->fs, &config, NULL, &why), 0);
    assert_int_equal(spool_writer_start(&world->w, world->sp, &writer_config), 0);
    buf_done(&why);
}

static void world_close(struct world *world)
{
    spool_writer_stop(&world->w);
    spool_close(&world->sp);
}

static int relieve(struct sender *s)
{
    s->request = (struct spool_request){.op = SPOOL_OP_RELIEVE};
    return ask(s);
}

static void test_many_senders(void **state)
{
    struct world world = {.fs = NULL};
    struct sender senders[SENDERS] = {0}, remedy = {0};
    struct buf why = BUF_INIT(1024);
    char dir[] = "/tmp/spool-writer-XXXXXX", command[64];
    struct spool_stat st;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(fs_posix_open(dir, false, &world.fs, &why), 0);
    world_open(&world);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i].sp = world.sp;
        senders[i].w = world.w;
        senders[i].number = i;
        assert_int_equal(mailbox_new_blocking(&senders[i].box, &senders[i]), 0);
        assert_int_equal(thread_start(&senders[i].thread, "sender", sender_run, &senders[i]), 0);
    }
    remedy.w = world.w;
    assert_int_equal(mailbox_new_blocking(&remedy.box, &remedy), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(relieve(&remedy), 0);
        spool_writer_pause_background(world.w, i % 2 == 0);
        spool_get_stat(world.sp, &st);
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        thread_join(&senders[i].thread);
        assert_int_equal(senders[i].errors, 0);
    }
    assert_int_equal(spool_writer_uncommitted_bytes(world.w), 0);
    world_close(&world);
    mailbox_free(&remedy.box);
    for (unsigned i = 0; i < SENDERS; i++) /* now nobody can be posting there */
        mailbox_free(&senders[i].box);
    world_open(&world);
    spool_get_stat(world.sp, &st);
    /* Every third message was kept, but for those whose client went away. */
    assert_int_equal(st.messages, SENDERS * (MESSAGES / 3 - MESSAGES / 33));
    assert_int_equal(st.reserved_bytes, 0);
    world_close(&world);
    fs_free(&world.fs);
    buf_done(&why);
    (void)snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

/* A commit whose sync fails is answered with the error; the next one works. */
static void test_failed_sync(void **state)
{
    struct world world = {.fs = fs_sim_new(3, MIB(64))};
    struct sender s = {0};
    struct spool_stat st;

    (void)state;
    world_open(&world);
    s.sp = world.sp;
    s.w = world.w;
    assert_int_equal(mailbox_new_blocking(&s.box, &s), 0);
    for (unsigned i = 0; i < 3; i++) {
        s.request = (struct spool_request){.op = SPOOL_OP_COMMIT,
                                           .id = spool_new_id(world.sp),
                                           .data = SLICE_LIT("body"),
                                           .envelope = SLICE_LIT("envelope"),
                                           .extents = s.extents};
        if (i == 1)
            fs_sim_fail_at(world.fs, fs_sim_operations(world.fs) + 2, 1, -EIO);
        assert_int_equal(spool_reserve(world.sp, 12), 0);
        assert_int_equal(ask(&s), i == 1 ? -EIO : 0);
        if (i == 1) /* nothing of it was used */
            spool_unreserve(world.sp, 12);
    }
    spool_get_stat(world.sp, &st);
    assert_int_equal(st.reserved_bytes, 0);
    assert_int_equal(st.messages, 2);
    world_close(&world);
    mailbox_free(&s.box);
    fs_free(&world.fs);
}

/* ---- relief, and what is not yet durable ---- */

#define HALF_DEAD 1500 /* messages, of which every other one is removed */

struct asked {
    struct spool_request request;
    unsigned order; /* of the answer, from 1; 0: none yet */
    struct spool_extent extent;
};

struct asker {
    struct world world;
    struct mailbox *box;
    unsigned answers;
    struct asked relief, second, commit, append, sync;
    uint64_t uncommitted; /* when all was posted and nothing served */
};

static void on_asked(struct parcel *p, void *receiver)
{
    struct asker *a = receiver;

    CONTAINER_OF(p, struct asked, request.parcel)->order = ++a->answers;
}

static void post(struct asker *a, struct asked *what, enum spool_op op)
{
    what->request.op = op;
    what->request.parcel.deliver = on_asked;
    what->request.answer_to = a->box;
    what->order = 0;
    spool_writer_post(a->world.w, &what->request);
}

static void wait_answer(struct asker *a, const struct asked *what)
{
    while (what->order == 0)
        (void)mailbox_receive(a->box, UINT64_MAX);
}

static void asker_open(struct asker *a)
{
    static const uint8_t body[3000];

    *a = (struct asker){.world.fs = fs_sim_new(11, MIB(64))};
    world_open(&a->world);
    assert_int_equal(mailbox_new_blocking(&a->box, a), 0);
    for (unsigned i = 0; i < HALF_DEAD; i++) {
        uint64_t id = spool_new_id(a->world.sp);

        a->commit.request = (struct spool_request){.id = id,
                                                   .data = slice_make(body, sizeof(body)),
                                                   .envelope = SLICE_LIT("envelope"),
                                                   .extents = &a->commit.extent};
        assert_int_equal(spool_reserve(a->world.sp, sizeof(body) + 8), 0);
        post(a, &a->commit, SPOOL_OP_COMMIT);
        wait_answer(a, &a->commit);
        assert_int_equal(a->commit.request.result, 0);
        if (i % 2 == 0)
            continue;
        a->second.request = (struct spool_request){.id = id};
        post(a, &a->second, SPOOL_OP_REMOVE);
        wait_answer(a, &a->second);
    }
    a->answers = 0;
}

static void asker_close(struct asker *a)
{
    if (a->world.w)
        spool_writer_stop(&a->world.w);
    while (mailbox_receive(a->box, 0) > 0)
        ;
    spool_close(&a->world.sp);
    mailbox_free(&a->box);
    fs_free(&a->world.fs);
}

/* In the writer's thread: so all is posted before anything of it is served. */
static void post_relief_and_more(void *ctx, struct spool *sp)
{
    struct asker *a = ctx;

    a->commit.request = (struct spool_request){.id = spool_new_id(sp),
                                               .data = SLICE_LIT("body"),
                                               .envelope = SLICE_LIT("envelope"),
                                               .extents = &a->commit.extent};
    post(a, &a->relief, SPOOL_OP_RELIEVE);
    post(a, &a->second, SPOOL_OP_RELIEVE);
    post(a, &a->commit, SPOOL_OP_COMMIT);
    a->uncommitted = spool_writer_uncommitted_bytes(a->world.w);
}

/* Half of each segment is dead: relief frees a good part of it, and lets a commit go first. */
static void test_relief(void **state)
{
    struct spool_stat before, after;
    struct asker a;

    (void)state;
    asker_open(&a);
    spool_writer_pause_background(a.world.w, true);
    spool_get_stat(a.world.sp, &before);
    assert_true(before.dead_bytes > MIB(1));
    spool_writer_call(a.world.w, post_relief_and_more, &a);
    assert_int_equal(a.uncommitted, 4 + 8);
    wait_answer(&a, &a.relief);
    assert_int_equal(a.second.order, 1);
    assert_int_equal(a.second.request.result, -EBUSY);
    assert_int_equal(a.commit.order, 2);
    assert_int_equal(a.commit.request.result, 0);
    assert_int_equal(a.relief.order, 3);
    assert_int_equal(a.relief.request.result, 0);
    assert_true(a.relief.request.freed_bytes > MIB(1) / 2);
    spool_get_stat(a.world.sp, &after);
    assert_true(after.compacted_bytes > before.compacted_bytes);
    assert_true(after.dead_bytes < before.dead_bytes / 2);
    assert_int_equal(after.messages, HALF_DEAD / 2 + 1);
    assert_int_equal(spool_writer_uncommitted_bytes(a.world.w), 0);
    asker_close(&a);
}

/* Whoever asked hears of it when the writer stops, be it done or not. */
static void test_relief_and_stop(void **state)
{
    struct asker a;

    (void)state;
    asker_open(&a);
    post(&a, &a.relief, SPOOL_OP_RELIEVE);
    spool_writer_stop(&a.world.w);
    wait_answer(&a, &a.relief);
    assert_true(a.relief.request.result == 0 || a.relief.request.result == -ECANCELED);
    asker_close(&a);
}

/* A server that stops does not wait for relief. */
static void test_relief_is_ended(void **state)
{
    struct spool_stat before, after;
    struct asker a;

    (void)state;
    asker_open(&a);
    spool_writer_pause_background(a.world.w, true);
    spool_get_stat(a.world.sp, &before);
    spool_writer_end_relief(a.world.w);
    spool_writer_call(a.world.w, post_relief_and_more, &a);
    wait_answer(&a, &a.relief);
    assert_int_equal(a.relief.request.result, -ECANCELED);
    wait_answer(&a, &a.commit);
    assert_int_equal(a.commit.request.result, 0);
    spool_get_stat(a.world.sp, &after);
    assert_int_equal(after.compacted_bytes, before.compacted_bytes);
    asker_close(&a);
}

static void test_uncommitted(void **state)
{
    static const uint8_t zeros[SPOOL_EXTENT_MAX];
    struct asker a;
    uint64_t id;

    (void)state;
    asker_open(&a);
    id = spool_new_id(a.world.sp);
    assert_int_equal(spool_writer_uncommitted_bytes(a.world.w), 0);
    spool_writer_message_begins(a.world.w);
    a.append.request = (struct spool_request){.id = id, .data = slice_make(zeros, sizeof(zeros))};
    post(&a, &a.append, SPOOL_OP_APPEND);
    wait_answer(&a, &a.append);
    post(&a, &a.sync, SPOOL_OP_SYNC);
    wait_answer(&a, &a.sync);
    assert_int_equal(spool_writer_uncommitted_bytes(a.world.w), 0);
    /* What fails is not waited for either. */
    fs_sim_fail_at(a.world.fs, fs_sim_operations(a.world.fs) + 1, 1, -EIO);
    a.commit.request = (struct spool_request){.id = id,
                                              .envelope = SLICE_LIT("envelope"),
                                              .extents = &a.append.request.extent,
                                              .extent_count = 1};
    spool_writer_message_ends(a.world.w);
    post(&a, &a.commit, SPOOL_OP_COMMIT);
    wait_answer(&a, &a.commit);
    assert_int_equal(a.commit.request.result, -EIO);
    assert_int_equal(spool_writer_uncommitted_bytes(a.world.w), 0);
    asker_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_senders),    cmocka_unit_test(test_failed_sync),
        cmocka_unit_test(test_relief),          cmocka_unit_test(test_relief_and_stop),
        cmocka_unit_test(test_relief_is_ended), cmocka_unit_test(test_uncommitted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
