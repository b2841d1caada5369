/*
 * io/stream.h - a connection: TCP or Unix socket, with or without TLS.
 *
 * Ownership: the caller owns the stream from stream_connect() or from the listener's callback
 * until stream_close(), which is safe in any callback, the stream's own included; after it no
 * callback is called, and bytes already written are still sent (a short linger, then closed). The
 * handler struct is borrowed, and usually static.
 * Threads: a stream belongs to one loop for life.
 * Memory: reading uses one buffer per loop, not per stream: an idle stream costs no buffer. What
 * the peer does not take is kept up to the stream's write limit.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/slice.h"
#include "io/addr.h"

struct loop;
struct stream;     /* opaque */
struct listener;   /* opaque */
struct tls_config; /* io/tls.h */

/* A member may be NULL where it cannot be called: on_connect for an accepted stream, on_tls and
 * on_drain where neither is asked for. */
struct stream_handler {
    /*
     * Bytes came, in place in the loop's buffer, valid during the call. The handler takes them all
     * (what it cannot use now it copies) and calls stream_pause() to get no more.
     */
    void (*on_data)(void *ctx, struct slice data);
    /* All that was written has been handed to the kernel, after stream_write() returned 1. */
    void (*on_drain)(void *ctx);
    /* The connection is up (stream_connect) with err 0, or could not be made: -ETIMEDOUT,
     * -ECONNREFUSED, ... On failure the stream is still to be closed by the caller. */
    void (*on_connect)(void *ctx, int err);
    /* stream_start_tls() ended: 0 or -ERR_TLS, and stream_tls_error() tells more. */
    void (*on_tls)(void *ctx, int err);
    /* The peer closed its side (err 0: it may still read) or the connection broke (-ECONNRESET,
     * -ERR_TLS, ...). Called once; no on_data after it. While paused it waits for stream_resume(),
     * except when bytes that were kept could not be sent. The caller still calls
     * stream_close(). */
    void (*on_end)(void *ctx, int err);
};

struct stream_options { /* NULL for one: all defaults */
    /* Bytes kept for a slow reader; what would go over it, whatever the kernel might take, gives
     * -ENOBUFS, so no single write is larger. 0: 256 KiB. */
    size_t write_limit;
};

/*
 * Begins to connect from `bind_to` (NULL: any) to `peer`; on_connect comes later, never before this
 * returns, and within `timeout_ms`. 0, -ENOMEM, -EMFILE, or -EADDRNOTAVAIL and its kin for a bad
 * `bind_to`. On failure `*ret` is untouched.
 */
MUST_CHECK int stream_connect(struct loop *loop, const struct addr *peer,
                              const struct addr *bind_to, uint64_t timeout_ms,
                              const struct stream_options *options,
                              const struct stream_handler *handler, void *ctx, struct stream **ret);

/* Gives an accepted stream its handler, before the listener's callback returns. */
void stream_set_handler(struct stream *s, const struct stream_handler *handler, void *ctx);

/*
 * Sends the slices in order; they may be reused when it returns (what the kernel does not take at
 * once is copied). 0: all is with the kernel. 1: some is kept, on_drain will come. -ENOBUFS: over
 * the write limit, nothing was taken. -EPIPE, -ECONNRESET, ...: the connection is gone; what the
 * peer said before may still come to on_data, then on_end. -ENOTCONN: not yet connected. -ENOMEM:
 * what was kept is lost, the stream is only good for closing.
 */
MUST_CHECK int stream_writev(struct stream *s, const struct slice *parts, size_t count);
static inline int stream_write(struct stream *s, struct slice data)
{
    return stream_writev(s, &data, 1);
}
size_t stream_pending_bytes(const struct stream *s);

/* No more on_data until stream_resume(): the peer feels it as a closed TCP window. A call of
 * on_data that is under way is not cut short. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* Closes and sets *s to NULL; NULL is fine. `abort`: bytes not yet sent are dropped and the peer
 * gets a reset. */
void stream_close(struct stream **s);
void stream_abort(struct stream **s);
/* As stream_close(), but waits neither for the peer's end nor for room in the socket: what the kernel
 * has taken is still sent. For peers that are not worth a descriptor. */
void stream_leave(struct stream **s);

const struct addr *stream_peer(const struct stream *s);
/* Asked from the kernel at the first call. */
const struct addr *stream_local(struct stream *s);
/* Who is at the other end of a Unix socket. 0 or -EOPNOTSUPP (not a Unix socket). */
MUST_CHECK int stream_peer_credentials(const struct stream *s, uid_t *ret_uid, gid_t *ret_gid,
                                       pid_t *ret_pid);

/*
 * Begins a TLS handshake of the side that `tls` is for; a client sends `host` as the SNI name (not
 * when it is an IP address or empty), and where the configuration verifies, the certificate must
 * name it. on_tls tells the end, never before this returns; until then stream_write() gives
 * -ENOTCONN, and a pause does not stop the handshake. After a failure only stream_close() is left
 * to do, and on_end does not come. Once per stream. 0 or -ENOMEM.
 *
 * Bytes that were not yet given to on_data go to the handshake and nowhere else: plain text that
 * a peer, or somebody between, sent too early makes it fail and is never taken for text under TLS
 * (CVE-2011-0411). The owner drops what it has itself.
 *
 * The end of the socket without TLS's own (close_notify) is on_end with 0 as well: SMTP knows by
 * itself what was cut short.
 */
MUST_CHECK int stream_start_tls(struct stream *s, struct tls_config *tls, struct slice host);
bool stream_is_tls(const struct stream *s);
/* "TLSv1.3", "TLS_AES_256_GCM_SHA384", bits; NUL-ended, valid while the stream lives. */
const char *stream_tls_version(const struct stream *s);
const char *stream_tls_cipher(const struct stream *s);
int stream_tls_bits(const struct stream *s);
/* A sentence on why the handshake failed; "" where it did not. */
const char *stream_tls_error(const struct stream *s);

/*
 * Listens on `at` with SO_REUSEPORT (TCP), so that each loop has a listener of its own. For each
 * connection on_accept gets a stream it owns (and gives a handler or closes). A Unix path is
 * unlinked first when nobody answers on it, and made with mode 0600. Port 0 picks one:
 * listener_addr() tells. When descriptors run out it rests, and connections wait in the kernel.
 * 0 or -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, -EMFILE, -ENOMEM.
 */
MUST_CHECK int listener_open(struct loop *loop, const struct addr *at, int backlog,
                             const struct stream_options *options,
                             void (*on_accept)(void *ctx, struct stream *s), void *ctx,
                             struct listener **ret);
/* Also in on_accept. Removes a Unix path. NULL is fine. */
void listener_close(struct listener **l);
const struct addr *listener_addr(const struct listener *l);
/*
 * Whether another socket listens on `at` already: with SO_REUSEPORT a second process of the same
 * user would silently share it, so ask before the first listener of an address. 0, -EADDRINUSE,
 * -EACCES, -EADDRNOTAVAIL, -EMFILE.
 */
MUST_CHECK int listener_check_free(const struct addr *at);
