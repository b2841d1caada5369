/*
 * io/listener.c - sockets that listen.
 *
 * They are accepted from here rather than by libuv: accept4() gives the peer's address without a
 * further system call, and when descriptors run out the listener rests, and connections wait in
 * the kernel's queue, where libuv would take and drop them.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/loop_int.h"
#include "io/stream_int.h"

#define ACCEPTS_PER_TURN_MAX 64 /* then others have a turn */
#define REST_MS 100

struct listener {
    uv_poll_t poll;
    struct loop *loop;
    int fd;
    bool closed;
    struct loop_timer rest;
    struct stream_options options;
    void (*on_accept)(void *ctx, struct stream *s);
    void *ctx;
    struct addr addr;
};

/* 1: one was accepted. 0: none is left. Negative: no descriptor or no memory for it. */
static int accept_one(struct listener *l)
{
    struct addr peer = {.len = sizeof(peer.u)};
    int fd = accept4(l->fd, &peer.u.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct stream *s;
    int r;

    if (fd < 0) {
        switch (errno) {
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return -errno;
        case EAGAIN:
            return 0;
        default: /* an error of that one connection, which is gone (accept(2)) */
            return 1;
        }
    }
    peer.u.any.sa_family = l->addr.u.any.sa_family; /* a nameless Unix peer has not even that */
    r = stream_new_accepted(l->loop, fd, &peer, &l->options, &s);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    l->on_accept(l->ctx, s);
    ASSERT(s->phase != STREAM_OPEN || s->handler);
    return 1;
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;
    struct loop *loop = l->loop;
    uint64_t entered_ns = loop_enter();
    int r = 1;

    (void)status;
    (void)events;
    for (int i = 0; r == 1 && !l->closed && i < ACCEPTS_PER_TURN_MAX; i++) {
        r = accept_one(l);
        entered_ns = loop_left(loop, entered_ns);
    }
    if (r < 0 && !l->closed) {
        (void)uv_poll_stop(&l->poll);
        loop_timer_start(&l->rest, REST_MS);
    }
}

static void on_rested(struct loop_timer *t)
{
    struct listener *l = CONTAINER_OF(t, struct listener, rest);

    (void)uv_poll_start(&l->poll, UV_READABLE, on_connection);
}

static int bind_tcp(int fd, const struct addr *at, bool share)
{
    int on = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
        return -errno;
    if (addr_is_ipv6(at)) /* so that [::]:25 and 0.0.0.0:25 may both be listened on */
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* accepted ones inherit it */
    return bind(fd, &at->u.any, at->len) == 0 ? 0 : -errno;
}

/* Whether `at` is a socket that nobody listens on any more. */
static bool is_stale(const struct addr *at)
{
    struct stat st;
    bool stale;
    int fd;

    /* connect() to a plain file is refused as well, and that is not ours to remove. */
    if (lstat(at->u.path.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    stale = connect(fd, &at->u.any, at->len) < 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return stale;
}

static int bind_unix(int fd, const struct addr *at)
{
    /* Linux gives the file the mode the socket has, so there is no moment when others may use it;
     * umask() would be a change for all threads. */
    if (fchmod(fd, 0600) < 0)
        return -errno;
    if (bind(fd, &at->u.any, at->len) == 0)
        return 0;
    if (errno != EADDRINUSE || !is_stale(at))
        return -errno;
    (void)unlink(at->u.path.sun_path);
    return bind(fd, &at->u.any, at->len) == 0 ? 0 : -errno;
}

/* The fd or an error. */
static int open_socket(const struct addr *at, int backlog)
{
    int fd = socket(at->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r;

    if (fd < 0)
        return -errno;
    r = at->u.any.sa_family == AF_UNIX ? bind_unix(fd, at) : bind_tcp(fd, at, /* share= */ true);
    if (r == 0 && listen(fd, backlog) < 0)
        r = -errno;
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    return fd;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int watch(struct listener *l)
{
    int r = uv_poll_init(&l->loop->uv, &l->poll, l->fd);

    if (r < 0) {
        free(l);
        return r;
    }
    l->poll.data = l;
    r = uv_poll_start(&l->poll, UV_READABLE, on_connection);
    if (r < 0)
        uv_close((uv_handle_t *)&l->poll, on_closed);
    return r;
}

int listener_open(struct loop *loop, const struct addr *at, int backlog,
                  const struct stream_options *options,
                  void (*on_accept)(void *ctx, struct stream *s), void *ctx, struct listener **ret)
{
    int fd = open_socket(at, backlog), r;
    struct listener *l;
    socklen_t len;

    if (fd < 0)
        return fd;
    l = calloc(1, sizeof(*l));
    if (!l) {
        (void)close(fd);
        return -ENOMEM;
    }
    l->loop = loop;
    l->fd = fd;
    l->on_accept = on_accept;
    l->ctx = ctx;
    l->addr = *at;
    if (options)
        l->options = *options;
    loop_timer_init(&l->rest, loop, on_rested);
    len = sizeof(l->addr.u);
    if (at->u.any.sa_family != AF_UNIX)
        (void)getsockname(fd, &l->addr.u.any, &len); /* the port, where it was 0 */
    r = watch(l);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    *ret = l;
    return 0;
}

void listener_close(struct listener **l_ptr)
{
    struct listener *l = *l_ptr;

    *l_ptr = NULL;
    if (!l)
        return;
    l->closed = true;
    loop_timer_stop(&l->rest);
    uv_close((uv_handle_t *)&l->poll, on_closed);
    (void)close(l->fd);
    if (l->addr.u.any.sa_family == AF_UNIX)
        (void)unlink(l->addr.u.path.sun_path);
}

const struct addr *listener_addr(const struct listener *l)
{
    return &l->addr;
}

int listener_check_free(const struct addr *at)
{
    int fd, r;

    if (at->u.any.sa_family == AF_UNIX)
        return 0;
    fd = socket(at->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    r = bind_tcp(fd, at, /* share= */ false);
    (void)close(fd);
    return r;
}
