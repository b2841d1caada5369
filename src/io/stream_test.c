/* io/stream_test.c - connections over loopback and Unix sockets, both ends in one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/rand.h"
#include "io/loop.h"
#include "io/stream.h"

/* A loop that hangs is a failed test, not a hung one. */
#define GIVE_UP_MS 60000

enum what { NOTHING, CLOSE, ABORT };

struct world;

/* One end of a connection, and what its callbacks do. */
struct end {
    struct world *world;
    struct stream *stream;
    struct buf got;
    bool echo, keep_nothing;
    enum what on_connect, on_data, on_drain, on_end; /* done there */
    unsigned connects, drains, ends;
    int connect_err, end_err;
    size_t received;
};

struct world {
    struct loop *loop;
    struct listener *listener;
    struct addr addr;
    struct end client, server;
    enum what on_accept;
    unsigned accepts;
    struct stream_options options;
};

static void do_what(struct end *e, enum what what)
{
    if (what == CLOSE)
        stream_close(&e->stream);
    else if (what == ABORT)
        stream_abort(&e->stream);
}

static void end_on_data(void *ctx, struct slice data)
{
    struct end *e = ctx;

    assert_int_equal(e->ends, 0);
    assert_non_null(e->stream);
    assert_true(data.len > 0);
    e->received += data.len;
    if (!e->keep_nothing)
        assert_int_equal(buf_add(&e->got, data), 0);
    if (e->echo)
        assert_true(stream_write(e->stream, data) >= 0);
    do_what(e, e->on_data);
}

static void end_on_drain(void *ctx)
{
    struct end *e = ctx;

    assert_non_null(e->stream);
    assert_int_equal(stream_pending_bytes(e->stream), 0);
    e->drains++;
    do_what(e, e->on_drain);
}

static void end_on_connect(void *ctx, int err)
{
    struct end *e = ctx;

    assert_non_null(e->stream);
    e->connects++;
    e->connect_err = err;
    do_what(e, e->on_connect);
}

static void end_on_end(void *ctx, int err)
{
    struct end *e = ctx;

    assert_non_null(e->stream);
    e->ends++;
    e->end_err = err;
    do_what(e, e->on_end);
}

static const struct stream_handler end_handler = {
    .on_data = end_on_data,
    .on_drain = end_on_drain,
    .on_connect = end_on_connect,
    .on_end = end_on_end,
};

static void on_accept(void *ctx, struct stream *s)
{
    struct world *w = ctx;

    w->accepts++;
    if (w->server.stream) { /* a test of many connections needs no more than their number */
        stream_close(&s);
        return;
    }
    w->server.stream = s;
    stream_set_handler(s, &end_handler, &w->server);
    do_what(&w->server, w->on_accept);
}

static void world_open(struct world *w, const char *at)
{
    *w = (struct world){.options = {.write_limit = 100000}};
    w->client = (struct end){.world = w, .got = BUF_INIT(1 << 24)};
    w->server = (struct end){.world = w, .got = BUF_INIT(1 << 24)};
    assert_int_equal(addr_parse(slice_str(at), 0, &w->addr, NULL), 0);
    assert_int_equal(loop_new(&w->loop), 0);
    assert_int_equal(listener_open(w->loop, &w->addr, 128, &w->options, on_accept, w, &w->listener),
                     0);
    w->addr = *listener_addr(w->listener);
}

static void world_close(struct world *w)
{
    stream_close(&w->client.stream);
    stream_close(&w->server.stream);
    listener_close(&w->listener);
    listener_close(&w->listener);
    loop_free(&w->loop);
    buf_done(&w->client.got);
    buf_done(&w->server.got);
}

#define TURN_UNTIL(w, cond)                                                                        \
    do {                                                                                           \
        uint64_t began_ms = clock_mono_ms();                                                       \
                                                                                                   \
        while (!(cond)) {                                                                          \
            assert_true(clock_mono_ms() - began_ms < GIVE_UP_MS);                                  \
            loop_turn((w)->loop, /* wait= */ false);                                               \
        }                                                                                          \
    } while (0)

static void world_connect(struct world *w)
{
    assert_int_equal(stream_connect(w->loop, &w->addr, NULL, 10000, &w->options, &end_handler,
                                    &w->client, &w->client.stream),
                     0);
    assert_int_equal(w->client.connects, 0);
    assert_int_equal(stream_write(w->client.stream, SLICE_LIT("early")), -ENOTCONN);
    TURN_UNTIL(w, w->client.connects && w->accepts);
}

/* A peer without our code: a plain blocking socket. The kernel connects it without accept(). */
static int plain_connect(const struct world *w)
{
    int fd = socket(w->addr.u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &w->addr.u.any, w->addr.len), 0);
    return fd;
}

static const char *unix_addr(void)
{
    static char text[100];

    (void)snprintf(text, sizeof(text), "unix:/tmp/penstock-stream-test-%ld", (long)getpid());
    return text;
}

static void bytes_go_both_ways(void **state)
{
    const char *const at[] = {"127.0.0.1", "[::1]", unix_addr()};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
        struct slice parts[40];
        struct world w;

        if (i == 1 && access("/proc/net/if_inet6", R_OK) != 0)
            continue; /* a machine without IPv6 */
        for (size_t k = 0; k < ARRAY_SIZE(parts); k++)
            parts[k] = slice_make("ab", k % 3 == 2 ? 0 : 2);
        world_open(&w, at[i]);
        w.server.echo = true;
        world_connect(&w);
        assert_int_equal(w.client.connect_err, 0);
        assert_int_equal(stream_writev(w.client.stream, parts, ARRAY_SIZE(parts)), 0);
        assert_int_equal(stream_writev(w.client.stream, parts, 0), 0);
        TURN_UNTIL(&w, w.client.received == 54);
        assert_true(addr_eq(stream_peer(w.client.stream), &w.addr));
        assert_true(addr_eq(stream_local(w.server.stream), &w.addr));
        if (i < 2)
            assert_true(addr_eq(stream_local(w.client.stream), stream_peer(w.server.stream)));
        stream_close(&w.client.stream);
        TURN_UNTIL(&w, w.server.ends);
        assert_int_equal(w.server.end_err, 0);
        assert_int_equal(w.client.ends, 0);
        world_close(&w);
    }
}

/* Sends until the limit says no; returns how many bytes were taken. */
static size_t fill(struct stream *s, struct rand *chance, size_t sent, size_t max)
{
    static uint8_t pattern[65536 + 256];
    int r = 0;

    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)i;
    while (sent < max) {
        size_t len = MIN_OF(1 + rand_below(chance, 65535), max - sent);

        r = stream_write(s, slice_make(pattern + sent % 256, len));
        if (r < 0)
            break;
        sent += len;
    }
    assert_true(r >= 0 || r == -ENOBUFS || r == -EPIPE || r == -ECONNRESET);
    return sent;
}

static void assert_pattern(struct slice got)
{
    for (size_t i = 0; i < got.len; i++) {
        if (got.ptr[i] != (uint8_t)i)
            fail_msg("byte %zu is wrong", i);
    }
}

static void large_transfers_keep_their_order(void **state)
{
    const char *const at[] = {"127.0.0.1", unix_addr()};
    const size_t max = 6000000;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
        struct rand chance;
        struct world w;
        size_t sent = 0;

        rand_init(&chance, i);
        world_open(&w, at[i]);
        world_connect(&w);
        while (w.server.received < max) {
            uint64_t die = rand_below(&chance, 4);

            if (die == 0)
                stream_pause(w.server.stream);
            else if (die == 1)
                stream_resume(w.server.stream);
            sent = fill(w.client.stream, &chance, sent, max);
            assert_true(stream_pending_bytes(w.client.stream) <= w.options.write_limit);
            loop_turn(w.loop, /* wait= */ false);
        }
        assert_pattern(buf_slice(&w.server.got));
        world_close(&w);
    }
}

static void a_pause_holds_data_and_end(void **state)
{
    struct world w;

    (void)state;
    world_open(&w, "127.0.0.1");
    world_connect(&w);
    stream_pause(w.server.stream);
    stream_resume(w.server.stream);
    stream_pause(w.server.stream);
    assert_int_equal(stream_write(w.client.stream, SLICE_LIT("hello")), 0);
    stream_close(&w.client.stream);
    for (int i = 0; i < 100; i++)
        loop_turn(w.loop, /* wait= */ false);
    assert_int_equal(w.server.received, 0);
    assert_int_equal(w.server.ends, 0);
    stream_resume(w.server.stream);
    TURN_UNTIL(&w, w.server.ends);
    assert_string_equal(buf_cstr(&w.server.got), "hello");
    world_close(&w);
}

/* Pauses in on_data, so that an end in the same turn must wait too. */
static void pause_on_data(void *ctx, struct slice data)
{
    struct end *e = ctx;

    assert_int_equal(buf_add(&e->got, data), 0);
    stream_pause(e->stream);
}

static void an_end_waits_for_the_pause_before_it(void **state)
{
    static const struct stream_handler handler = {.on_data = pause_on_data, .on_end = end_on_end};
    struct world w;
    int fd;

    (void)state;
    world_open(&w, "127.0.0.1");
    fd = plain_connect(&w);
    TURN_UNTIL(&w, w.accepts);
    stream_set_handler(w.server.stream, &handler, &w.server);
    assert_int_equal(send(fd, "bye", 3, 0), 3);
    assert_int_equal(close(fd), 0);
    TURN_UNTIL(&w, buf_len(&w.server.got) == 3);
    for (int i = 0; i < 100; i++)
        loop_turn(w.loop, /* wait= */ false);
    assert_int_equal(w.server.ends, 0);
    stream_resume(w.server.stream);
    TURN_UNTIL(&w, w.server.ends == 1);
    world_close(&w);
}

static void the_limit_refuses_whole_writes(void **state)
{
    static const uint8_t big[100001];
    struct rand chance;
    size_t sent = 0;
    struct world w;

    (void)state;
    rand_init(&chance, 1);
    world_open(&w, "127.0.0.1");
    world_connect(&w);
    assert_int_equal(stream_write(w.client.stream, slice_make(big, sizeof(big))), -ENOBUFS);
    assert_int_equal(stream_pending_bytes(w.client.stream), 0);
    stream_pause(w.server.stream);
    for (int i = 0; i < 200; i++) {
        sent = fill(w.client.stream, &chance, sent, SIZE_MAX);
        loop_turn(w.loop, /* wait= */ false);
    }
    assert_int_equal(w.server.received, 0);
    stream_resume(w.server.stream);
    TURN_UNTIL(&w, w.server.received == sent);
    assert_pattern(buf_slice(&w.server.got));
    assert_int_equal(w.client.drains, 1);
    world_close(&w);
}

static void half_closed_peers_still_read(void **state)
{
    char reply[10] = {0};
    struct world w;
    int fd;

    (void)state;
    world_open(&w, "127.0.0.1");
    fd = plain_connect(&w);
    assert_int_equal(send(fd, "QUIT", 4, 0), 4);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    TURN_UNTIL(&w, w.server.ends);
    assert_int_equal(w.server.end_err, 0);
    assert_int_equal(stream_write(w.server.stream, SLICE_LIT("221")), 0);
    stream_close(&w.server.stream);
    assert_int_equal(recv(fd, reply, sizeof(reply), 0), 3);
    TURN_UNTIL(&w, recv(fd, reply, sizeof(reply), MSG_DONTWAIT) == 0);
    (void)close(fd);
    world_close(&w);
}

static void connecting_fails_later(void **state)
{
    static const struct {
        const char *peer;
        int err;
    } cases[] = {
        {"127.0.0.1:1", -ECONNREFUSED},
        {"unix:/nonexistent/socket", -ENOENT},
        {"255.255.255.255:1", 0}, /* any error will do */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (enum what what = NOTHING; what <= ABORT; what++) {
            struct world w;

            world_open(&w, "127.0.0.1");
            w.client.on_connect = what;
            assert_int_equal(addr_parse(slice_str(cases[i].peer), 0, &w.addr, NULL), 0);
            assert_int_equal(stream_connect(w.loop, &w.addr, NULL, 10000, NULL, &end_handler,
                                            &w.client, &w.client.stream),
                             0);
            TURN_UNTIL(&w, w.client.connects);
            assert_true(w.client.connect_err < 0);
            if (cases[i].err)
                assert_int_equal(w.client.connect_err, cases[i].err);
            if (w.client.stream)
                assert_int_equal(stream_write(w.client.stream, SLICE_LIT("x")), -EPIPE);
            world_close(&w);
            assert_int_equal(w.client.ends, 0);
        }
    }
}

static void connecting_has_a_time_limit(void **state)
{
    struct addr full;
    int listening, others[8];
    struct world w;

    (void)state;
    world_open(&w, "127.0.0.1");
    /* A listener that accepts nobody and whose queue is full drops what comes. */
    listening = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(addr_parse(SLICE_LIT("127.0.0.1:0"), 0, &full, NULL), 0);
    assert_int_equal(bind(listening, &full.u.any, full.len), 0);
    assert_int_equal(listen(listening, 0), 0);
    assert_int_equal(getsockname(listening, &full.u.any, &full.len), 0);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        others[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(others[i], &full.u.any, full.len);
    }
    assert_int_equal(
        stream_connect(w.loop, &full, NULL, 20, NULL, &end_handler, &w.client, &w.client.stream),
        0);
    TURN_UNTIL(&w, w.client.connects);
    assert_int_equal(w.client.connect_err, -ETIMEDOUT);
    stream_close(&w.client.stream);
    /* Closed while it connects: no callback. */
    assert_int_equal(
        stream_connect(w.loop, &full, NULL, 20, NULL, &end_handler, &w.client, &w.client.stream),
        0);
    loop_turn(w.loop, /* wait= */ false);
    stream_close(&w.client.stream);
    world_close(&w);
    assert_int_equal(w.client.connects, 1);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        (void)close(others[i]);
    (void)close(listening);
}

static void sources_can_be_chosen(void **state)
{
    char text[ADDR_TEXT_MAX];
    struct addr source;
    struct world w;

    (void)state;
    world_open(&w, "127.0.0.1");
    assert_int_equal(addr_parse(SLICE_LIT("127.0.0.77:0"), 0, &source, NULL), 0);
    assert_int_equal(stream_connect(w.loop, &w.addr, &source, 10000, NULL, &end_handler, &w.client,
                                    &w.client.stream),
                     0);
    TURN_UNTIL(&w, w.accepts && w.client.connects);
    addr_format_ip(stream_peer(w.server.stream), text);
    assert_string_equal(text, "127.0.0.77");
    stream_close(&w.client.stream);
    assert_int_equal(addr_parse(SLICE_LIT("192.0.2.1:0"), 0, &source, NULL), 0);
    assert_int_equal(stream_connect(w.loop, &w.addr, &source, 10000, NULL, &end_handler, &w.client,
                                    &w.client.stream),
                     -EADDRNOTAVAIL);
    assert_null(w.client.stream);
    world_close(&w);
}

/* Closes or aborts in each callback; the sanitizers tell what else goes wrong. */
static void streams_close_in_any_callback(void **state)
{
    const char *const at[] = {"127.0.0.1", unix_addr()};

    (void)state;
    for (unsigned i = 0; i < 2 * 2 * 5; i++) {
        enum what what = i & 1 ? CLOSE : ABORT;
        struct rand chance;
        struct world w;
        size_t sent;

        rand_init(&chance, i);
        world_open(&w, at[(i >> 1) & 1]);
        switch (i >> 2) {
        case 0:
            w.on_accept = what;
            break;
        case 1:
            w.client.on_connect = what;
            break;
        case 2:
            w.server.on_data = what;
            break;
        case 3:
            w.client.on_drain = what;
            break;
        default:
            w.server.on_end = what;
            break;
        }
        world_connect(&w);
        if (w.client.stream) { /* enough that some is kept */
            sent = fill(w.client.stream, &chance, 0, SIZE_MAX);
            if (i >> 2 == 3)
                TURN_UNTIL(&w, !w.client.stream);
            stream_close(&w.client.stream);
            if (i >> 2 == 4)
                TURN_UNTIL(&w, w.server.received == sent);
        }
        TURN_UNTIL(&w, !w.server.stream || w.server.ends);
        world_close(&w);
    }
}

static void the_last_reply_arrives(void **state)
{
    static const char junk[200000];
    char reply[100] = {0};
    struct timeval patience = {.tv_sec = GIVE_UP_MS / 1000};
    struct world w;
    int fd;

    (void)state;
    world_open(&w, "127.0.0.1");
    fd = plain_connect(&w);
    TURN_UNTIL(&w, w.accepts);
    stream_pause(w.server.stream);
    /* What is never read would turn a plain close() into a reset, and the reply be lost. */
    assert_true(send(fd, junk, sizeof(junk), MSG_DONTWAIT) > 0);
    for (int i = 0; i < 20; i++)
        loop_turn(w.loop, /* wait= */ false);
    assert_int_equal(stream_write(w.server.stream, SLICE_LIT("421 later\r\n")), 0);
    stream_close(&w.server.stream);
    for (int i = 0; i < 20; i++)
        loop_turn(w.loop, /* wait= */ false);
    assert_true(send(fd, junk, 1000, MSG_DONTWAIT | MSG_NOSIGNAL) > 0);
    for (int i = 0; i < 20; i++)
        loop_turn(w.loop, /* wait= */ false);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(recv(fd, reply, sizeof(reply), 0), 11);
    assert_string_equal(reply, "421 later\r\n");
    assert_int_equal(recv(fd, reply, sizeof(reply), 0), 0);
    (void)close(fd);
    world_close(&w);
}

static void an_abort_resets(void **state)
{
    struct world w;

    (void)state;
    world_open(&w, "127.0.0.1");
    world_connect(&w);
    stream_abort(&w.client.stream);
    stream_abort(&w.client.stream);
    TURN_UNTIL(&w, w.server.ends);
    assert_int_equal(w.server.end_err, -ECONNRESET);
    assert_true(stream_write(w.server.stream, SLICE_LIT("x")) < 0);
    assert_int_equal(w.server.ends, 1);
    world_close(&w);
}

/* The peer answers, and resets without reading what we send: the answer is heard. */
static void what_explains_a_reset_comes_first(void **state)
{
    struct rand chance;
    struct world w;
    int fd;

    (void)state;
    for (int paused = 0; paused < 2; paused++) {
        struct linger reset = {.l_onoff = 1};

        rand_init(&chance, 1);
        world_open(&w, "127.0.0.1");
        fd = plain_connect(&w);
        TURN_UNTIL(&w, w.accepts);
        for (int i = 0; i < 50; i++) {
            (void)fill(w.server.stream, &chance, 0, SIZE_MAX);
            loop_turn(w.loop, /* wait= */ false);
        }
        if (paused)
            stream_pause(w.server.stream);
        assert_int_equal(send(fd, "552 too much\r\n", 14, 0), 14);
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        (void)close(fd);
        TURN_UNTIL(&w, w.server.ends);
        assert_true(w.server.end_err == -ECONNRESET || w.server.end_err == -EPIPE);
        if (!paused)
            assert_string_equal(buf_cstr(&w.server.got), "552 too much\r\n");
        assert_int_equal(w.server.drains, 0);
        world_close(&w);
    }
}

static void unix_sockets_are_private(void **state)
{
    uid_t uid = 12345;
    gid_t gid = 12345;
    pid_t pid = 0;
    struct listener *second = NULL;
    struct stat st;
    struct world w;
    struct addr at;
    int fd;

    (void)state;
    world_open(&w, unix_addr());
    assert_int_equal(stat(unix_addr() + 5, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(listener_open(w.loop, &w.addr, 5, NULL, on_accept, &w, &second), -EADDRINUSE);
    world_connect(&w);
    assert_int_equal(stream_peer_credentials(w.server.stream, &uid, &gid, &pid), 0);
    assert_int_equal(uid, getuid());
    assert_int_equal(gid, getgid());
    assert_int_equal(pid, getpid());
    world_close(&w);
    assert_true(stat(unix_addr() + 5, &st) < 0);

    /* What a crash left behind is replaced. */
    assert_int_equal(addr_parse(slice_str(unix_addr()), 0, &at, NULL), 0);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, &at.u.any, at.len), 0);
    assert_int_equal(close(fd), 0);
    world_open(&w, unix_addr());
    world_connect(&w);
    assert_int_equal(w.client.connect_err, 0);
    world_close(&w);

    /* A file that is no socket stays. */
    fd = open(unix_addr() + 5, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    world_open(&w, "127.0.0.1");
    assert_int_equal(listener_open(w.loop, &at, 5, NULL, on_accept, &w, &second), -EADDRINUSE);
    world_connect(&w);
    assert_int_equal(stream_peer_credentials(w.server.stream, &uid, &gid, &pid), -EOPNOTSUPP);
    world_close(&w);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_nlink, 1);
    (void)close(fd);
    (void)unlink(unix_addr() + 5);
}

static void loops_share_a_port(void **state)
{
    struct addr any;
    struct listener *second = NULL;
    int fds[200];
    struct world w;

    (void)state;
    world_open(&w, "127.0.0.1");
    assert_int_equal(listener_check_free(&w.addr), -EADDRINUSE);
    assert_int_equal(addr_parse(SLICE_LIT("127.0.0.1:0"), 0, &any, NULL), 0);
    assert_int_equal(listener_check_free(&any), 0);
    assert_int_equal(listener_open(w.loop, &w.addr, 128, NULL, on_accept, &w, &second), 0);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = plain_connect(&w);
        if (i % 64 == 63)
            loop_turn(w.loop, /* wait= */ false);
    }
    TURN_UNTIL(&w, w.accepts == ARRAY_SIZE(fds));
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        (void)close(fds[i]);
    listener_close(&second);
    world_close(&w);
    assert_int_equal(addr_parse(SLICE_LIT("192.0.2.1:25"), 0, &any, NULL), 0);
    assert_int_equal(listener_check_free(&any), -EADDRNOTAVAIL);
}

static void a_listener_rests_without_descriptors(void **state)
{
    struct rlimit before, none;
    struct world w;
    int fd, lowest_free;

    (void)state;
    world_open(&w, "127.0.0.1");
    fd = plain_connect(&w);
    lowest_free = dup(0);
    assert_true(lowest_free >= 0);
    (void)close(lowest_free);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)lowest_free;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 10; i++)
        loop_turn(w.loop, /* wait= */ false);
    assert_int_equal(
        stream_connect(w.loop, &w.addr, NULL, 100, NULL, &end_handler, &w.client, &w.client.stream),
        -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(w.accepts, 0);
    TURN_UNTIL(&w, w.accepts == 1);
    (void)close(fd);
    world_close(&w);
}

static void closing_listener(void *ctx, struct stream *s)
{
    struct world *w = ctx;

    w->accepts++;
    stream_close(&s);
    listener_close(&w->listener);
}

static void a_listener_may_close_in_its_callback(void **state)
{
    struct listener *l = NULL;
    struct world w;
    int fds[3];

    (void)state;
    world_open(&w, "127.0.0.1");
    l = w.listener;
    assert_int_equal(addr_parse(SLICE_LIT("127.0.0.1:0"), 0, &w.addr, NULL), 0);
    listener_close(&l);
    assert_int_equal(listener_open(w.loop, &w.addr, 5, NULL, closing_listener, &w, &w.listener), 0);
    w.addr = *listener_addr(w.listener);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = plain_connect(&w);
    TURN_UNTIL(&w, !w.listener);
    for (int i = 0; i < 10; i++)
        loop_turn(w.loop, /* wait= */ false);
    assert_int_equal(w.accepts, 1);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        (void)close(fds[i]);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways),
        cmocka_unit_test(large_transfers_keep_their_order),
        cmocka_unit_test(a_pause_holds_data_and_end),
        cmocka_unit_test(an_end_waits_for_the_pause_before_it),
        cmocka_unit_test(the_limit_refuses_whole_writes),
        cmocka_unit_test(half_closed_peers_still_read),
        cmocka_unit_test(connecting_fails_later),
        cmocka_unit_test(connecting_has_a_time_limit),
        cmocka_unit_test(sources_can_be_chosen),
        cmocka_unit_test(streams_close_in_any_callback),
        cmocka_unit_test(the_last_reply_arrives),
        cmocka_unit_test(an_abort_resets),
        cmocka_unit_test(what_explains_a_reset_comes_first),
        cmocka_unit_test(unix_sockets_are_private),
        cmocka_unit_test(loops_share_a_port),
        cmocka_unit_test(a_listener_rests_without_descriptors),
        cmocka_unit_test(a_listener_may_close_in_its_callback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
