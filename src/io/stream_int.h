/*
 * io/stream_int.h - the inside of a stream, for the other files of io/.
 *
 *     CONNECTING --on_connect(0)--> OPEN --stream_close()--> LINGERING --sent, or time--> CLOSED
 *         `-----on_connect(err)--> FAILED ----------stream_close()--------------------------^
 *
 * In CLOSED only libuv still knows it, until its close callback frees it; so a stream that was
 * closed in one of its own callbacks may still be looked at when that callback returns.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "io/loop.h"
#include "io/stream.h"

enum stream_phase {
    STREAM_CONNECTING,
    STREAM_FAILED,
    STREAM_OPEN,
    STREAM_LINGERING,
    STREAM_CLOSED,
};

struct stream_tls;

struct stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct loop *loop;
    const struct stream_handler *handler;
    void *ctx;
    struct list node; /* in loop->streams */
    enum stream_phase phase;
    bool paused;
    bool reading;    /* libuv reads; it goes on after a pause until the first bytes come */
    bool peer_ended; /* no more will be read: end of file or an error */
    bool end_held;   /* on_end waits for stream_resume() */
    bool end_told;
    bool want_drain;
    int end_err;
    int write_err; /* no more can be written */
    /* CONNECTING: the time-out. OPEN: what is to be told outside of the caller's call. LINGERING:
     * the end of patience. */
    struct loop_timer timer;
    union {
        uv_connect_t connect;
        uv_write_t write;
    } req;
    uint8_t *in_flight; /* libuv writes this; what is written meanwhile gathers in `pending` */
    struct buf pending;
    size_t write_limit, lingered_bytes;
    struct stream_tls *tls;  /* NULL: plain */
    struct addr peer, local; /* local.len 0: not yet asked for */
};

/* Takes over the connected socket `fd`; on failure it is still the caller's. 0, -ENOMEM, -Exxx. */
MUST_CHECK int stream_new_accepted(struct loop *loop, int fd, const struct addr *peer,
                                   const struct stream_options *options, struct stream **ret);
/* Sends or keeps bytes of the socket, whatever their sum: 0, 1 or an error, as in
 * stream_writev(). */
MUST_CHECK int stream_send(struct stream *s, const struct slice *parts, size_t count);
void stream_read_on(struct stream *s);      /* where it does not read, and is not at its end */
void stream_stop_reading(struct stream *s); /* for good */
/* That, and on_end with `err`, now or after the pause. */
void stream_end_reading(struct stream *s, int err);
/* At the end of a loop: cuts the streams whose owners have closed them and that still linger. */
void streams_cut_lingering(struct loop *loop);

/* stream_tls.c */

/* Bytes came from the socket. The stream may be closed when this returns. */
void stream_tls_input(struct stream *s, struct slice data);
/* The socket is at its end. True when that ended the handshake: on_tls was called. */
bool stream_tls_input_ended(struct stream *s, int err);
/* What could not be told in the caller's call is told now. As stream_tls_input(). */
void stream_tls_go_on(struct stream *s);
/* Whether a pause made it keep some. */
bool stream_tls_holds_data(const struct stream *s);
/* As stream_send(), through TLS. Also -ENOTCONN (handshake under way) and -ERR_TLS. */
MUST_CHECK int stream_tls_send(struct stream *s, const struct slice *parts, size_t count);
void stream_tls_say_goodbye(struct stream *s); /* close_notify */
void stream_tls_free(struct stream *s);        /* NULL is fine */
