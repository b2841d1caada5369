#include "io/stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/loop_int.h"
#include "io/stream_int.h"

/* How long a closed stream may take to send its rest and to see the peer's end, and how much it
 * reads for that: closing with unread bytes resets the connection, and the peer may then lose the
 * last reply (RFC 1122, section 4.2.2.13). */
#define LINGER_MS 5000
#define LINGER_BYTES_MAX MIB(1)
#define WRITE_LIMIT_DEFAULT KIB(256)
#define PARTS_AT_ONCE 16

static void on_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;

    list_del(&s->node);
    free(s->in_flight);
    free(s);
}

static void close_now(struct stream *s)
{
    if (s->phase == STREAM_CLOSED)
        return;
    s->phase = STREAM_CLOSED;
    loop_timer_stop(&s->timer);
    stream_tls_free(s);
    buf_done(&s->pending);
    uv_close(&s->uv.handle, on_closed);
}

static int stream_fd(const struct stream *s)
{
    uv_os_fd_t fd = -1;
    int r = uv_fileno(&s->uv.handle, &fd);

    ASSERT(r == 0);
    return fd;
}

/* Reading */

static void tell_end(struct stream *s, int err)
{
    if (s->phase != STREAM_OPEN || s->end_told)
        return;
    s->end_told = true;
    s->handler->on_end(s->ctx, err);
}

static void give_data(struct stream *s, struct slice data)
{
    if (s->tls)
        stream_tls_input(s, data);
    else
        s->handler->on_data(s->ctx, data);
}

void stream_stop_reading(struct stream *s)
{
    (void)uv_read_stop(&s->uv.stream);
    s->reading = false;
    s->peer_ended = true;
}

void stream_end_reading(struct stream *s, int err)
{
    if (s->peer_ended)
        return;
    stream_stop_reading(s);
    if (s->tls && stream_tls_input_ended(s, err))
        return;
    s->end_err = err;
    s->end_held = s->paused || (s->tls && stream_tls_holds_data(s));
    if (!s->end_held)
        tell_end(s, err);
}

/* libuv takes a hang-up for an end of file when the bytes before it were read, reset or not. */
static int end_of_file_err(const struct stream *s)
{
    int err = 0;
    socklen_t len = sizeof(err);

    (void)getsockopt(stream_fd(s), SOL_SOCKET, SO_ERROR, &err, &len);
    return -err;
}

/* A pause is for the owner's data, not for a handshake. */
static bool may_read(const struct stream *s)
{
    return !s->paused || (s->tls && !stream_is_tls(s));
}

/* libuv asks where to read to. No room makes it ask again later; a pause is thus free of system
 * calls when the peer sends nothing before stream_resume(). */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct stream *s = handle->data;

    (void)suggested;
    *ret = uv_buf_init((char *)s->loop->read_buf, may_read(s) ? s->loop->read_max : 0u);
}

static void linger_discard(struct stream *s, ssize_t n)
{
    if (n > 0)
        s->lingered_bytes += (size_t)n;
    if (n < 0)
        s->peer_ended = true;
    if (s->lingered_bytes > LINGER_BYTES_MAX || (n < 0 && stream_pending_bytes(s) == 0))
        close_now(s);
}

static void on_read(uv_stream_t *uv, ssize_t n, const uv_buf_t *where)
{
    struct stream *s = uv->data;
    struct loop *loop = s->loop;
    uint64_t entered_ns = loop_enter();

    if (n == UV_ENOBUFS && !may_read(s)) {
        (void)uv_read_stop(uv);
        s->reading = false;
    } else if (s->phase == STREAM_LINGERING) {
        linger_discard(s, n);
    } else if (n > 0) {
        give_data(s, slice_make(where->base, (size_t)n));
    } else if (n < 0) {
        stream_end_reading(s, n == UV_EOF ? end_of_file_err(s) : (int)n);
    }
    (void)loop_left(loop, entered_ns);
}

void stream_read_on(struct stream *s)
{
    if (s->reading || s->peer_ended)
        return;
    s->reading = uv_read_start(&s->uv.stream, on_alloc, on_read) == 0;
    ASSERT(s->reading); /* fails only for a handle that is closed or was never connected */
}

void stream_pause(struct stream *s)
{
    s->paused = true;
}

void stream_resume(struct stream *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    if (s->phase != STREAM_OPEN)
        return;
    stream_read_on(s);
    if (s->end_held || (s->tls && stream_tls_holds_data(s)))
        loop_timer_start(&s->timer, 0);
}

/* Writing */

static void on_written(uv_write_t *req, int status);

static void send_pending(struct stream *s)
{
    uv_buf_t b;
    int r;

    ASSERT(!s->in_flight && buf_len(&s->pending) > 0);
    b = uv_buf_init((char *)s->pending.ptr, (unsigned)s->pending.len);
    s->in_flight = s->pending.ptr;
    buf_init(&s->pending, s->pending.cap);
    s->req.write.data = s;
    r = uv_write(&s->req.write, &s->uv.stream, &b, 1, on_written);
    ASSERT(r == 0); /* fails only for a handle that is closed or was never connected */
}

/* The connection broke under what was still to be sent. What the peer said before may explain it,
 * so that comes first: "421 too many connections", and a reset. */
static void write_broke(struct stream *s)
{
    ssize_t n = 0;

    (void)uv_read_stop(&s->uv.stream);
    s->reading = false;
    while (!s->peer_ended && !s->paused && s->phase == STREAM_OPEN &&
           (n = recv(stream_fd(s), s->loop->read_buf, LOOP_READ_SIZE, MSG_DONTWAIT)) > 0)
        give_data(s, slice_make(s->loop->read_buf, (size_t)n));
    if (s->phase != STREAM_OPEN)
        return;
    s->peer_ended = true;
    if (!s->tls || !stream_tls_input_ended(s, s->write_err))
        tell_end(s, s->write_err);
}

static void linger_on(struct stream *s);

static void on_written(uv_write_t *req, int status)
{
    struct stream *s = req->data;
    struct loop *loop = s->loop;
    uint64_t entered_ns = loop_enter();

    free(s->in_flight);
    s->in_flight = NULL;
    if (s->phase == STREAM_CLOSED)
        return;
    if (status < 0) {
        s->write_err = status;
        buf_done(&s->pending);
        if (s->phase == STREAM_LINGERING)
            close_now(s);
        else
            write_broke(s);
    } else if (buf_len(&s->pending) > 0) {
        send_pending(s);
    } else if (s->phase == STREAM_LINGERING) {
        linger_on(s);
    } else if (s->want_drain) {
        s->want_drain = false;
        s->handler->on_drain(s->ctx);
    }
    (void)loop_left(loop, entered_ns);
}

size_t stream_pending_bytes(const struct stream *s)
{
    return s->uv.stream.write_queue_size + buf_len(&s->pending);
}

/* How many bytes of at most PARTS_AT_ONCE parts the kernel took; or an error. */
static ssize_t try_send(struct stream *s, const struct slice *parts, size_t count,
                        size_t *ret_wanted)
{
    uv_buf_t bufs[PARTS_AT_ONCE];
    int n;

    *ret_wanted = 0;
    for (size_t i = 0; i < count; i++) {
        ASSERT(parts[i].len <= INT32_MAX);
        bufs[i] = uv_buf_init((char *)(uintptr_t)parts[i].ptr, (unsigned)parts[i].len);
        *ret_wanted += parts[i].len;
    }
    if (*ret_wanted == 0)
        return 0;
    n = uv_try_write(&s->uv.stream, bufs, (unsigned)count);
    return n == UV_EAGAIN ? 0 : n;
}

static int keep(struct stream *s, const struct slice *parts, size_t count, size_t skip)
{
    for (size_t i = 0; i < count; i++) {
        size_t skip_here = MIN_OF(skip, parts[i].len);
        int r = buf_add(&s->pending, slice_from(parts[i], skip_here));

        if (r < 0)
            return r;
        skip -= skip_here;
    }
    if (!s->in_flight && buf_len(&s->pending) > 0)
        send_pending(s);
    return 0;
}

int stream_send(struct stream *s, const struct slice *parts, size_t count)
{
    size_t wanted;
    ssize_t n;
    int r = 0;

    if (s->write_err)
        return s->write_err;
    while (count > 0 && stream_pending_bytes(s) == 0) {
        size_t batch = MIN_OF(count, PARTS_AT_ONCE);

        n = try_send(s, parts, batch, &wanted);
        if (n < 0) {
            s->write_err = (int)n;
            return s->write_err;
        }
        if ((size_t)n < wanted)
            r = keep(s, parts, batch, (size_t)n);
        parts += batch;
        count -= batch;
        if (r < 0)
            break;
    }
    if (r == 0 && count > 0)
        r = keep(s, parts, count, 0);
    if (r < 0) { /* some bytes went and some are lost: nothing more may follow them */
        s->write_err = r;
        return r;
    }
    return stream_pending_bytes(s) > 0;
}

int stream_writev(struct stream *s, const struct slice *parts, size_t count)
{
    size_t sum = stream_pending_bytes(s);
    int r;

    if (s->phase != STREAM_OPEN)
        return s->phase == STREAM_CONNECTING ? -ENOTCONN : -EPIPE;
    if (s->write_err)
        return s->write_err;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > s->write_limit || sum > s->write_limit - parts[i].len)
            return -ENOBUFS;
        sum += parts[i].len;
    }
    r = s->tls ? stream_tls_send(s, parts, count) : stream_send(s, parts, count);
    s->want_drain = r == 1;
    return r;
}

/* Making and connecting */

static void on_timer(struct loop_timer *t);

static struct stream *stream_new(struct loop *loop, const struct addr *peer,
                                 const struct stream_options *options)
{
    struct stream *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->loop = loop;
    s->peer = *peer;
    s->write_limit = options && options->write_limit ? options->write_limit : WRITE_LIMIT_DEFAULT;
    loop_timer_init(&s->timer, loop, on_timer);
    buf_init(&s->pending, SIZE_MAX); /* stream_writev() keeps the limit */
    list_init(&s->node);
    return s;
}

/* Gives the socket to libuv, which closes it from then on. */
static int adopt(struct stream *s, int fd)
{
    int r;

    if (s->peer.u.any.sa_family == AF_UNIX) {
        r = uv_pipe_init(&s->loop->uv, &s->uv.pipe, /* ipc= */ 0);
        s->uv.handle.data = s;
        if (r == 0)
            r = uv_pipe_open(&s->uv.pipe, fd);
    } else {
        r = uv_tcp_init(&s->loop->uv, &s->uv.tcp);
        s->uv.handle.data = s;
        if (r == 0)
            r = uv_tcp_open(&s->uv.tcp, fd);
    }
    if (r == 0)
        list_add_tail(&s->loop->streams, &s->node);
    else
        close_now(s); /* without the socket, which it has not got */
    return r;
}

int stream_new_accepted(struct loop *loop, int fd, const struct addr *peer,
                        const struct stream_options *options, struct stream **ret)
{
    struct stream *s = stream_new(loop, peer, options);
    int r;

    if (!s)
        return -ENOMEM;
    r = adopt(s, fd);
    if (r < 0)
        return r;
    s->phase = STREAM_OPEN;
    stream_read_on(s);
    *ret = s;
    return 0;
}

void stream_set_handler(struct stream *s, const struct stream_handler *handler, void *ctx)
{
    s->handler = handler;
    s->ctx = ctx;
}

static void connect_ended(struct stream *s, int err)
{
    s->phase = err ? STREAM_FAILED : STREAM_OPEN;
    s->end_err = 0;
    loop_timer_stop(&s->timer);
    if (!err)
        stream_read_on(s);
    s->handler->on_connect(s->ctx, err);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct stream *s = req->data;
    struct loop *loop = s->loop;
    uint64_t entered_ns = loop_enter();

    if (s->phase == STREAM_CONNECTING)
        connect_ended(s, status);
    (void)loop_left(loop, entered_ns);
}

/* Tells what waited for stream_resume(), or could not be told in stream_start_tls(). */
static void go_on(struct stream *s)
{
    if (s->tls)
        stream_tls_go_on(s);
    if (s->phase == STREAM_OPEN && s->end_held && !s->paused)
        tell_end(s, s->end_err);
}

static void on_timer(struct loop_timer *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, timer);

    switch (s->phase) {
    case STREAM_CONNECTING:
        connect_ended(s, s->end_err == -EINPROGRESS ? -ETIMEDOUT : s->end_err);
        break;
    case STREAM_OPEN:
        go_on(s);
        break;
    case STREAM_LINGERING:
        close_now(s);
        break;
    case STREAM_FAILED:
    case STREAM_CLOSED:
        break;
    }
}

/* A socket of the right kind, bound where wanted. The fd or an error. */
static int make_socket(const struct addr *peer, const struct addr *bind_to)
{
    int fd = socket(peer->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1, r;

    if (fd < 0)
        return -errno;
    if (peer->u.any.sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!bind_to)
        return fd;
    /* The port is chosen at connect(), when the peer is known: else all peers share 28,000. */
    if (addr_port(bind_to) == 0)
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(fd, &bind_to->u.any, bind_to->len) == 0)
        return fd;
    r = -errno;
    (void)close(fd);
    return r;
}

/* 0: up. -EINPROGRESS: on_connected() tells. Else what went wrong. */
static int begin_connect(struct stream *s)
{
    int r;

    if (s->peer.u.any.sa_family == AF_UNIX)
        return connect(stream_fd(s), &s->peer.u.any, s->peer.len) == 0 ? 0 : -errno;
    s->req.connect.data = s;
    r = uv_tcp_connect(&s->req.connect, &s->uv.tcp, &s->peer.u.any, on_connected);
    return r == 0 ? -EINPROGRESS : r;
}

int stream_connect(struct loop *loop, const struct addr *peer, const struct addr *bind_to,
                   uint64_t timeout_ms, const struct stream_options *options,
                   const struct stream_handler *handler, void *ctx, struct stream **ret)
{
    int fd = make_socket(peer, bind_to), r;
    struct stream *s;

    if (fd < 0)
        return fd;
    s = stream_new(loop, peer, options);
    r = s ? adopt(s, fd) : -ENOMEM;
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    stream_set_handler(s, handler, ctx);
    s->end_err = begin_connect(s);
    if (s->end_err == -EADDRNOTAVAIL || s->end_err == -ENOMEM) {
        close_now(s);
        return s->end_err;
    }
    loop_timer_start(&s->timer, s->end_err == -EINPROGRESS ? timeout_ms : 0);
    *ret = s;
    return 0;
}

/* Closing */

/* All is sent: says so to the peer and waits for its end. */
static void linger_on(struct stream *s)
{
    if (s->peer_ended || shutdown(stream_fd(s), SHUT_WR) < 0)
        close_now(s);
}

void stream_close(struct stream **s_ptr)
{
    struct stream *s = *s_ptr;

    *s_ptr = NULL;
    if (!s)
        return;
    if (s->phase != STREAM_OPEN || s->write_err) {
        close_now(s);
        return;
    }
    if (s->tls)
        stream_tls_say_goodbye(s);
    stream_tls_free(s);
    s->phase = STREAM_LINGERING;
    s->paused = false;
    loop_timer_start(&s->timer, LINGER_MS);
    stream_read_on(s);
    if (stream_pending_bytes(s) == 0)
        linger_on(s);
}

void stream_abort(struct stream **s_ptr)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    struct stream *s = *s_ptr;

    *s_ptr = NULL;
    if (!s)
        return;
    (void)setsockopt(stream_fd(s), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close_now(s);
}

void stream_leave(struct stream **s_ptr)
{
    struct stream *s = *s_ptr;

    *s_ptr = NULL;
    if (s)
        close_now(s);
}

void streams_cut_lingering(struct loop *loop)
{
    LIST_FOR(node, &loop->streams)
    {
        struct stream *s = LIST_ENTRY(node, struct stream, node);

        ASSERT(s->phase == STREAM_LINGERING || s->phase == STREAM_CLOSED);
        close_now(s);
    }
}

/* Looking */

const struct addr *stream_peer(const struct stream *s)
{
    return &s->peer;
}

const struct addr *stream_local(struct stream *s)
{
    socklen_t len = sizeof(s->local.u);

    if (s->local.len == 0 && getsockname(stream_fd(s), &s->local.u.any, &len) == 0)
        s->local.len = len;
    return &s->local;
}

int stream_peer_credentials(const struct stream *s, uid_t *ret_uid, gid_t *ret_gid, pid_t *ret_pid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (s->peer.u.any.sa_family != AF_UNIX)
        return -EOPNOTSUPP;
    if (getsockopt(stream_fd(s), SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return -errno;
    *ret_uid = peer.uid;
    *ret_gid = peer.gid;
    *ret_pid = peer.pid;
    return 0;
}
