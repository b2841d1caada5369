/*
 * io/stream_tls.c - TLS of a stream, between its socket and its owner.
 *
 * Records are taken from the loop's read buffer in place, and come out as plain text in a second
 * buffer of the loop; what is to be sent gathers in a third and goes out in one write. So a stream
 * under TLS that waits owns no buffer but what OpenSSL keeps of half a record. Only a pause in the
 * middle of what was read makes it keep (`held`) the rest.
 */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "io/loop_int.h"
#include "io/stream_int.h"
#include "io/tls_int.h"

#define RECORD_MAX 16384 /* bytes of plain text: RFC 8446, section 5.1 */
#define ERROR_MAX 200
#define HELD_MAX (4 * LOOP_READ_SIZE) /* reading stops at a pause, so it never comes near */

struct stream_tls {
    SSL *ssl;        /* NULL: it could not be made */
    struct slice in; /* records that `ssl` has not taken */
    struct buf held;
    bool up;     /* the handshake is done */
    bool failed; /* it failed, or a record did: `ssl` is not to be used again */
    struct tls_config *config;
    char error[ERROR_MAX];
};

/* A BIO without a buffer, unlike the library's memory BIOs. */

static BIO_METHOD *bio_method;

static int bio_read(BIO *bio, char *ret, int len)
{
    struct stream *s = BIO_get_data(bio);
    struct stream_tls *tls = s->tls;
    size_t n = MIN_OF((size_t)len, tls->in.len);

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(ret, tls->in.ptr, n);
    tls->in = slice_from(tls->in, n);
    return (int)n;
}

static int bio_write(BIO *bio, const char *data, int len)
{
    struct stream *s = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    return buf_add(&s->loop->tls_out, slice_make(data, (size_t)len)) == 0 ? len : -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *ptr)
{
    (void)bio;
    (void)number;
    (void)ptr;
    return command == BIO_CTRL_FLUSH;
}

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    if (!bio_method)
        return;
    (void)BIO_meth_set_read(bio_method, bio_read);
    (void)BIO_meth_set_write(bio_method, bio_write);
    (void)BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

static BIO *bio_new(struct stream *s)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    BIO *bio;

    (void)pthread_once(&once, make_bio_method);
    bio = bio_method ? BIO_new(bio_method) : NULL;
    if (bio) {
        BIO_set_data(bio, s);
        BIO_set_init(bio, 1);
    }
    return bio;
}

/* Sends what the session has written: 0, 1 or an error, as in stream_writev(). */
static int flush(struct stream *s)
{
    struct slice all = buf_slice(&s->loop->tls_out);
    int r = stream_send(s, &all, 1);

    buf_clear(&s->loop->tls_out);
    return r;
}

/* The session gave an error, not "none now". Its last words, an alert, still go out. */
static void fail(struct stream *s)
{
    struct stream_tls *tls = s->tls;

    tls_session_error(tls->ssl, tls->error, sizeof(tls->error));
    tls->failed = true;
    (void)flush(s);
}

static void tell_handshake(struct stream *s, int err)
{
    if (err)
        stream_stop_reading(s);
    s->handler->on_tls(s->ctx, err);
}

/* Whether to go on. */
static bool shake_hands(struct stream *s)
{
    struct stream_tls *tls = s->tls;
    int r, reason;

    ERR_clear_error();
    r = SSL_do_handshake(tls->ssl);
    reason = r == 1 ? SSL_ERROR_NONE : SSL_get_error(tls->ssl, r);
    if (r != 1 && reason != SSL_ERROR_WANT_READ)
        fail(s);
    else
        (void)flush(s); /* if it fails, reading says more */
    tls->up = r == 1;
    if (tls->failed || tls->up)
        tell_handshake(s, tls->failed ? -ERR_TLS : 0);
    return r == 1 && s->phase == STREAM_OPEN;
}

/* Reads records until they or the buffer end; whether to go on. */
static bool read_records(struct stream *s)
{
    uint8_t *plain = s->loop->tls_plain_in;
    struct stream_tls *tls = s->tls;
    int r = 1, reason = SSL_ERROR_NONE;
    size_t got = 0, n = 0;

    ERR_clear_error();
    /* With room for a whole record, none is left half read in the session. */
    while (r == 1 && LOOP_READ_SIZE - got >= RECORD_MAX) {
        r = SSL_read_ex(tls->ssl, plain + got, LOOP_READ_SIZE - got, &n);
        if (r == 1)
            got += n;
    }
    if (r != 1)
        reason = SSL_get_error(tls->ssl, r);
    if (reason == SSL_ERROR_SSL || reason == SSL_ERROR_SYSCALL)
        fail(s);
    else
        (void)flush(s); /* an answer to a key update, say */
    if (got > 0)
        s->handler->on_data(s->ctx, slice_make(plain, got));
    if (s->phase != STREAM_OPEN)
        return false;
    if (tls->failed)
        stream_end_reading(s, -ERR_TLS);
    else if (reason == SSL_ERROR_ZERO_RETURN)
        stream_end_reading(s, 0);
    return reason == SSL_ERROR_NONE;
}

/* Lets the session take `data`. When it returns the stream may be closed. */
static void pump(struct stream *s, struct slice data)
{
    struct stream_tls *tls = s->tls;
    bool more = true;

    tls->in = data;
    if (!tls->up)
        more = shake_hands(s);
    while (more && !s->paused)
        more = read_records(s);
    if (s->phase != STREAM_OPEN || tls->failed)
        return;
    if (tls->in.len > 0 && !(SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN) &&
        buf_add(&tls->held, tls->in) < 0)
        stream_end_reading(s, -ENOMEM);
    tls->in = (struct slice){0};
}

static void pump_held(struct stream *s)
{
    struct buf data = s->tls->held;

    buf_init(&s->tls->held, HELD_MAX);
    pump(s, buf_slice(&data));
    buf_done(&data);
}

void stream_tls_input(struct stream *s, struct slice data)
{
    struct stream_tls *tls = s->tls;
    bool wait = tls->up && s->paused;

    if (tls->failed || s->peer_ended)
        return;
    if (buf_len(&tls->held) == 0 && !wait) {
        pump(s, data);
    } else if (buf_add(&tls->held, data) < 0) {
        stream_end_reading(s, -ENOMEM);
    } else if (!wait) {
        pump_held(s);
    }
}

void stream_tls_go_on(struct stream *s)
{
    struct stream_tls *tls = s->tls;

    if (tls->failed && !tls->up)
        tell_handshake(s, -ERR_TLS); /* it failed when it began */
    else if (tls->up && !tls->failed && !s->paused && buf_len(&tls->held) > 0)
        pump_held(s);
}

bool stream_tls_holds_data(const struct stream *s)
{
    return buf_len(&s->tls->held) > 0;
}

/* True where that was an end of the handshake and was told as such. */
bool stream_tls_input_ended(struct stream *s, int err)
{
    struct stream_tls *tls = s->tls;

    if (tls->up)
        return false;
    if (!tls->failed) {
        (void)snprintf(tls->error, sizeof(tls->error), "the peer left during the handshake: %s",
                       err ? err_str(err) : "end of file");
        tls->failed = true;
        tell_handshake(s, -ERR_TLS);
    }
    return true;
}

/* Makes one record of it, or several where it is larger. */
static int encrypt(struct stream *s, struct slice data)
{
    size_t n = 0;

    if (data.len == 0)
        return 0;
    if (SSL_write_ex(s->tls->ssl, data.ptr, data.len, &n) == 1 && n == data.len)
        return buf_len(&s->loop->tls_out) < LOOP_READ_SIZE ? 0 : flush(s);
    fail(s);
    s->write_err = -ERR_TLS;
    return s->write_err;
}

int stream_tls_send(struct stream *s, const struct slice *parts, size_t count)
{
    uint8_t *gather = s->loop->tls_plain_out;
    size_t gathered = 0;
    int r = 0;

    if (!s->tls->up || s->tls->failed)
        return s->tls->failed ? -ERR_TLS : -ENOTCONN;
    ERR_clear_error();
    /* Small parts share a record; large ones are not copied. */
    for (size_t i = 0; i < count && r >= 0; i++) {
        if (gathered + parts[i].len > RECORD_MAX) {
            r = encrypt(s, slice_make(gather, gathered));
            gathered = 0;
        }
        if (r >= 0 && parts[i].len > RECORD_MAX) {
            r = encrypt(s, parts[i]);
        } else if (parts[i].len > 0) {
            memcpy(gather + gathered, parts[i].ptr, parts[i].len);
            gathered += parts[i].len;
        }
    }
    if (r >= 0)
        r = encrypt(s, slice_make(gather, gathered));
    return r < 0 ? r : flush(s);
}

void stream_tls_say_goodbye(struct stream *s)
{
    struct stream_tls *tls = s->tls;

    if (!tls->up || tls->failed)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl);
    (void)flush(s);
}

void stream_tls_free(struct stream *s)
{
    struct stream_tls *tls = s->tls;

    s->tls = NULL;
    if (!tls)
        return;
    SSL_free(tls->ssl);
    tls_config_unref(&tls->config);
    buf_done(&tls->held);
    free(tls);
}

static int make_buffers(struct loop *loop)
{
    if (!loop->tls_plain_in)
        loop->tls_plain_in = malloc(LOOP_READ_SIZE);
    if (!loop->tls_plain_out)
        loop->tls_plain_out = malloc(RECORD_MAX);
    return loop->tls_plain_in && loop->tls_plain_out ? 0 : -ENOMEM;
}

static struct stream_tls *tls_new(struct stream *s, struct tls_config *config, struct slice host)
{
    struct stream_tls *tls = calloc(1, sizeof(*tls));
    BIO *bio = bio_new(s);

    if (!tls || !bio) {
        free(tls);
        BIO_free(bio);
        return NULL;
    }
    buf_init(&tls->held, HELD_MAX);
    tls->config = tls_config_ref(config);
    tls->ssl = tls_session_new(config, host);
    if (tls->ssl) {
        SSL_set_bio(tls->ssl, bio, bio);
    } else {
        BIO_free(bio);
        tls->failed = true;
        (void)snprintf(tls->error, sizeof(tls->error), "\"%.*s\" is not a host name to ask for",
                       SLICE_FMT(host));
    }
    return tls;
}

int stream_start_tls(struct stream *s, struct tls_config *config, struct slice host)
{
    ASSERT(s->phase == STREAM_OPEN && !s->tls);
    if (make_buffers(s->loop) < 0)
        return -ENOMEM;
    s->tls = tls_new(s, config, host);
    if (!s->tls)
        return -ENOMEM;
    stream_read_on(s);
    if (s->peer_ended && !s->tls->failed) {
        s->tls->failed = true;
        (void)snprintf(s->tls->error, sizeof(s->tls->error), "the peer left before the handshake");
    }
    if (s->tls->failed) {
        loop_timer_start(&s->timer, 0);
        return 0;
    }
    if (!SSL_is_server(s->tls->ssl)) { /* the client speaks first */
        ERR_clear_error();
        if (SSL_get_error(s->tls->ssl, SSL_do_handshake(s->tls->ssl)) != SSL_ERROR_WANT_READ) {
            fail(s);
            loop_timer_start(&s->timer, 0);
        } else {
            (void)flush(s);
        }
    }
    return 0;
}

bool stream_is_tls(const struct stream *s)
{
    return s->tls && s->tls->up;
}

const char *stream_tls_version(const struct stream *s)
{
    return stream_is_tls(s) ? SSL_get_version(s->tls->ssl) : "";
}

const char *stream_tls_cipher(const struct stream *s)
{
    return stream_is_tls(s) ? SSL_get_cipher_name(s->tls->ssl) : "";
}

int stream_tls_bits(const struct stream *s)
{
    return stream_is_tls(s) ? SSL_get_cipher_bits(s->tls->ssl, NULL) : 0;
}

const char *stream_tls_error(const struct stream *s)
{
    return s->tls ? s->tls->error : "";
}
