/*
 * receive/memory_test.c - memory of messages under way: bounded however many come at a time, given
 * back, and nothing of a body is lost by that.
 */
#include "receive/receive_kit.h"

#include <sched.h>

#define LINE 100
#define MEMORY_MAX MIB(1)

/* ---- a writer that hangs ---- */

struct hang {
    struct thread thread;
    struct fixture *f;
    atomic_bool has_begun, may_end;
};

static void hang_on(void *ctx, struct spool *sp)
{
    struct hang *h = ctx;

    (void)sp;
    atomic_store(&h->has_begun, true);
    while (!atomic_load(&h->may_end))
        (void)sched_yield();
}

static void hang_writer(void *ctx)
{
    struct hang *h = ctx;

    spool_writer_call(h->f->writer, hang_on, h);
}

static void begin_hang(struct hang *h, struct fixture *f)
{
    *h = (struct hang){.f = f};
    assert_int_equal(thread_start(&h->thread, "hang", hang_writer, h), 0);
    while (!atomic_load(&h->has_begun))
        (void)sched_yield();
}

static void end_hang(struct hang *h)
{
    atomic_store(&h->may_end, true);
    thread_join(&h->thread);
}

/* ---- bodies ---- */

static char *make_body(size_t lines)
{
    char *body = malloc(lines * LINE + 1);

    assert_non_null(body);
    for (size_t i = 0; i < lines; i++)
        (void)snprintf(body + i * LINE, LINE + 1, "%098zu\r\n", i);
    return body;
}

/* What the connection takes, of all that is left; the rest of `len`. */
static size_t push(int fd, const char *body, size_t len)
{
    size_t at = 0;

    while (at < len) {
        ssize_t n = send(fd, body + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n <= 0) {
            assert_true(n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
            break;
        }
        at += (size_t)n;
    }
    return at;
}

/* Several turns of the loop brought nothing new. */
static uint64_t settled_memory(struct fixture *f)
{
    uint64_t before = UINT64_MAX, now = atomic_load(&f->shared.body_memory);

    for (int same = 0; same < 20; same = now == before ? same + 1 : 0) {
        before = now;
        (void)order(f, ORDER_ASK);
        now = atomic_load(&f->shared.body_memory);
    }
    return now;
}

static void check_stored(struct fixture *f, const char *body, size_t len)
{
    uint8_t *got = malloc(len + KIB(4));

    assert_non_null(got);
    for (size_t i = 0; i < f->count; i++) {
        assert_int_equal(read_body(f, f->ids[i], got, len + KIB(4)), len);
        assert_memory_equal(got, body, len);
    }
    free(got);
}

/* ---- tests ---- */

/* Many clients send as fast as they can, and the disk hangs. */
static void test_many_bodies(void **state)
{
    enum { CLIENTS = 40, LINES = 6000 };
    char *body = make_body(LINES);
    size_t at[CLIENTS];
    int fds[CLIENTS], other;
    struct fixture f;
    struct hang h;
    uint64_t memory;

    (void)state;
    setup(&f, "", 0);
    atomic_store(&f.shared.body_memory_max, MEMORY_MAX);
    other = greeted(&f);
    for (size_t i = 0; i < CLIENTS; i++)
        fds[i] = in_data(&f);
    begin_hang(&h, &f);
    memset(at, 0, sizeof(at));
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < CLIENTS; i++)
            at[i] += push(fds[i], body + at[i], LINES * LINE - at[i]);
        memory = settled_memory(&f);
    }
    /* Half of it in large blocks; a read that began before; small blocks, their texts, a stash. */
    assert_in_range(memory, MEMORY_MAX / 2, MEMORY_MAX / 2 + KIB(256) + CLIENTS * KIB(26));
    atomic_store(&f.shared.body_memory_max, memory / 2);
    say(other, "MAIL FROM:<a@b.example>\r\n");
    hear(other, "452 4.3.1 Insufficient system resources (memory)\r\n");
    end_hang(&h);
    for (size_t i = 0; i < CLIENTS; i++) {
        say_bytes(fds[i], body + at[i], LINES * LINE - at[i]);
        say(fds[i], ".\r\n");
    }
    for (size_t i = 0; i < CLIENTS; i++)
        hear(fds[i], "250 2.0.0 Ok");
    wait_messages(&f, CLIENTS);
    check_stored(&f, body, LINES * LINE);
    assert_int_equal(settled_memory(&f), 0);
    say(other, "MAIL FROM:<a@b.example>\r\n");
    hear(other, "250 2.1.0");
    quit(other);
    for (size_t i = 0; i < CLIENTS; i++)
        quit(fds[i]);
    free(body);
    teardown(&f);
}

/* The governor may say by itself that memory is short. */
static void test_gate_makes_blocks_small(void **state)
{
    enum { LINES = 6000 };
    struct gate_settings s = {.size_max = UINT64_MAX, .is_memory_short = true};
    char *body = make_body(LINES);
    struct fixture f;
    struct hang h;
    size_t at;
    int fd;

    (void)state;
    setup(&f, "", 0);
    gate_set(&f.gate, &s);
    fd = in_data(&f);
    begin_hang(&h, &f);
    at = push(fd, body, LINES * LINE);
    /* The first read came before anybody knew. */
    assert_in_range(settled_memory(&f), KIB(4), KIB(128) + KIB(26));
    end_hang(&h);
    say_bytes(fd, body + at, LINES * LINE - at);
    say(fd, ".\r\n");
    hear(fd, "250 2.0.0 Ok");
    wait_messages(&f, 1);
    check_stored(&f, body, LINES * LINE);
    assert_int_equal(settled_memory(&f), 0);
    fd = in_data(&f); /* now it is known from the beginning */
    begin_hang(&h, &f);
    at = push(fd, body, LINES * LINE);
    assert_in_range(settled_memory(&f), KIB(4), KIB(26));
    end_hang(&h);
    say_bytes(fd, body + at, LINES * LINE - at);
    say(fd, ".\r\n");
    hear(fd, "250 2.0.0 Ok");
    wait_messages(&f, 2);
    check_stored(&f, body, LINES * LINE);
    quit(fd);
    free(body);
    teardown(&f);
}

/* A client that rests in the middle of its message has a block whose bytes are in the spool. */
static void test_relieve(void **state)
{
    enum { LINES = 1300 };
    char *body = make_body(LINES);
    struct order relieve = {.kind = ORDER_RELIEVE};
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "", 0);
    fd = in_data(&f);
    say_bytes(fd, body, LINES * LINE / 2);
    say_bytes(fd, body + LINES * LINE / 2, LINES * LINE / 2);
    /* Two blocks and something; the second may still be on its way to the spool. */
    for (int i = 0; relieve.freed < KIB(48) && i < PATIENCE_S * 1000; i++) {
        relieve.is_done = false;
        carry_out(&f, &relieve);
    }
    assert_in_range(relieve.accounted, KIB(48), relieve.freed);
    say(fd, ".\r\n");
    hear(fd, "250 2.0.0 Ok");
    wait_messages(&f, 1);
    check_stored(&f, body, LINES * LINE);
    relieve = (struct order){.kind = ORDER_RELIEVE};
    carry_out(&f, &relieve); /* an idle session has a few bytes, and works on without them */
    assert_true(relieve.freed < KIB(4));
    quit(fd);
    free(body);
    teardown(&f);
}

/* Recipients need memory, too; a hundred are always taken. */
static void test_many_recipients(void **state)
{
    struct fixture f;
    char line[128];
    int fd;

    (void)state;
    setup(&f, "", 0);
    atomic_store(&f.shared.body_memory_max, KIB(8));
    fd = greeted(&f);
    say(fd, "MAIL FROM:<a@b.example>\r\n");
    hear(fd, "250 2.1.0");
    for (int i = 0; i < 110; i++) {
        (void)snprintf(line, sizeof(line), "RCPT TO:<recipient-%054d@d.example>\r\n", i);
        say(fd, line);
        hear(fd, i < 100 ? "250 2.1.5" : "452 4.3.1 Insufficient system resources (memory)\r\n");
    }
    say(fd, "DATA\r\n");
    hear(fd, "354");
    say(fd, "x\r\n.\r\n");
    hear(fd, "250 2.0.0 Ok");
    wait_messages(&f, 1);
    quit(fd);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_bodies),
        cmocka_unit_test(test_gate_makes_blocks_small),
        cmocka_unit_test(test_relieve),
        cmocka_unit_test(test_many_recipients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
