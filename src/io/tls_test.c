/* io/tls_test.c - TLS over streams: both sides here, and a relay between them that cuts, spoils
 * and drops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/rand.h"
#include "io/loop.h"
#include "io/stream.h"
#include "io/tls.h"

#define GIVE_UP_MS 60000

enum what { NOTHING, CLOSE, ABORT };

struct end {
    struct stream *stream;
    struct buf got;
    enum what on_tls, on_data, on_end;
    bool pause_on_data;
    unsigned tls_ends, ends, drains, datas;
    int tls_err, end_err;
};

/* A pair of connected streams, each with its TLS started, and a relay between them where the test
 * wants one. */
struct world {
    struct loop *loop;
    struct listener *listener;
    struct addr addr;
    struct end client, server;
    struct tls_config *client_tls, *server_tls;
    bool server_waits;               /* it does not start TLS */
    int relay_listens, relay[2];     /* to the client, to the server; -1: none */
    size_t relay_bytes_max;          /* at once */
    unsigned relay_spoil_at_byte[2]; /* of those to the client / server, counted down; 0: none */
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
    assert_int_equal(e->tls_err, 0);
    assert_true(stream_is_tls(e->stream));
    assert_true(data.len > 0);
    assert_int_equal(buf_add(&e->got, data), 0);
    e->datas++;
    if (e->pause_on_data)
        stream_pause(e->stream);
    do_what(e, e->on_data);
}

static void end_on_drain(void *ctx)
{
    struct end *e = ctx;

    e->drains++;
}

static void end_on_tls(void *ctx, int err)
{
    struct end *e = ctx;

    assert_int_equal(e->tls_ends, 0);
    assert_int_equal(e->ends, 0);
    e->tls_ends++;
    e->tls_err = err;
    assert_int_equal(stream_is_tls(e->stream), err == 0);
    assert_int_equal(stream_tls_error(e->stream)[0] != '\0', err != 0);
    do_what(e, e->on_tls);
}

static void end_on_end(void *ctx, int err)
{
    struct end *e = ctx;

    assert_int_equal(e->ends, 0);
    assert_int_equal(e->tls_err, 0);
    e->ends++;
    e->end_err = err;
    do_what(e, e->on_end);
}

static void end_on_connect(void *ctx, int err)
{
    (void)ctx;
    assert_int_equal(err, 0);
}

static const struct stream_handler end_handler = {
    .on_data = end_on_data,
    .on_drain = end_on_drain,
    .on_connect = end_on_connect,
    .on_tls = end_on_tls,
    .on_end = end_on_end,
};

static void on_accept(void *ctx, struct stream *s)
{
    struct world *w = ctx;

    assert_null(w->server.stream);
    w->server.stream = s;
    stream_set_handler(s, &end_handler, &w->server);
    if (!w->server_waits)
        assert_int_equal(stream_start_tls(s, w->server_tls, (struct slice){0}), 0);
}

static void world_open(struct world *w)
{
    *w = (struct world){.relay_listens = -1, .relay = {-1, -1}, .relay_bytes_max = 65536};
    w->client = (struct end){.got = BUF_INIT(1 << 24)};
    w->server = (struct end){.got = BUF_INIT(1 << 24)};
    assert_int_equal(addr_parse(SLICE_LIT("127.0.0.1"), 0, &w->addr, NULL), 0);
    assert_int_equal(loop_new(&w->loop), 0);
    assert_int_equal(listener_open(w->loop, &w->addr, 8, NULL, on_accept, w, &w->listener), 0);
    w->addr = *listener_addr(w->listener);
    assert_int_equal(tls_config_new_self_signed("mx.example.org", &w->server_tls, NULL), 0);
    assert_int_equal(tls_config_new_client(false, NULL, &w->client_tls, NULL), 0);
}

static void world_close(struct world *w)
{
    stream_close(&w->client.stream);
    stream_close(&w->server.stream);
    listener_close(&w->listener);
    tls_config_unref(&w->client_tls);
    tls_config_unref(&w->server_tls);
    loop_free(&w->loop);
    buf_done(&w->client.got);
    buf_done(&w->server.got);
    for (int i = 0; i < 2; i++) {
        if (w->relay[i] >= 0)
            (void)close(w->relay[i]);
    }
    if (w->relay_listens >= 0)
        (void)close(w->relay_listens);
}

static void relay_carry(struct world *w, int from, int to)
{
    uint8_t some[65536];
    ssize_t n = recv(w->relay[from], some, w->relay_bytes_max, MSG_DONTWAIT);

    for (ssize_t i = 0; i < n; i++) {
        if (w->relay_spoil_at_byte[to] && --w->relay_spoil_at_byte[to] == 0)
            some[i] ^= 0x40;
    }
    if (n > 0) /* what a test sends fits into the kernel's buffers, or its receiver is gone */
        (void)!send(w->relay[to], some, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    else if (n == 0)
        (void)shutdown(w->relay[to], SHUT_WR);
}

static void turn(struct world *w)
{
    loop_turn(w->loop, /* wait= */ false);
    if (w->relay_listens >= 0 && w->relay[0] < 0)
        w->relay[0] = accept4(w->relay_listens, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (w->relay[0] >= 0) {
        relay_carry(w, 0, 1);
        relay_carry(w, 1, 0);
    }
}

#define TURN_UNTIL(w, cond)                                                                        \
    do {                                                                                           \
        uint64_t began_ms = clock_mono_ms();                                                       \
                                                                                                   \
        while (!(cond)) {                                                                          \
            assert_true(clock_mono_ms() - began_ms < GIVE_UP_MS);                                  \
            turn(w);                                                                               \
        }                                                                                          \
    } while (0)

static int plain_connect(const struct world *w)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &w->addr.u.any, w->addr.len), 0);
    return fd;
}

static void relay_open(struct world *w)
{
    struct addr at;

    w->relay[1] = plain_connect(w);
    w->relay_listens = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(addr_parse(SLICE_LIT("127.0.0.1"), 0, &at, NULL), 0);
    assert_int_equal(bind(w->relay_listens, &at.u.any, at.len), 0);
    assert_int_equal(listen(w->relay_listens, 1), 0);
    assert_int_equal(getsockname(w->relay_listens, &at.u.any, &at.len), 0);
    w->addr = at;
}

static void client_connect(struct world *w)
{
    assert_int_equal(stream_connect(w->loop, &w->addr, NULL, 10000, NULL, &end_handler, &w->client,
                                    &w->client.stream),
                     0);
    TURN_UNTIL(w, w->server.stream && stream_write(w->client.stream, (struct slice){0}) == 0);
}

static void client_start(struct world *w, const char *host)
{
    client_connect(w);
    assert_int_equal(stream_start_tls(w->client.stream, w->client_tls, slice_str(host)), 0);
    assert_int_equal(w->client.tls_ends, 0);
    assert_true(stream_write(w->client.stream, SLICE_LIT("early")) < 0);
}

static void both_shake_hands(struct world *w)
{
    client_start(w, "mx.example.org");
    TURN_UNTIL(w, w->client.tls_ends && w->server.tls_ends);
    assert_string_equal(stream_tls_error(w->client.stream), "");
    assert_int_equal(w->client.tls_err, 0);
    assert_int_equal(w->server.tls_err, 0);
}

static void text_goes_both_ways(void **state)
{
    struct slice parts[] = {SLICE_LIT("EHLO "), {0}, SLICE_LIT("client"), SLICE_LIT("\r\n")};
    struct world w;

    (void)state;
    world_open(&w);
    both_shake_hands(&w);
    assert_string_equal(stream_tls_version(w.client.stream), "TLSv1.3");
    assert_string_equal(stream_tls_version(w.server.stream), "TLSv1.3");
    assert_string_equal(stream_tls_cipher(w.server.stream), stream_tls_cipher(w.client.stream));
    assert_int_equal(strncmp(stream_tls_cipher(w.client.stream), "TLS_", 4), 0);
    assert_true(stream_tls_bits(w.server.stream) >= 128);
    assert_int_equal(stream_writev(w.client.stream, parts, ARRAY_SIZE(parts)), 0);
    TURN_UNTIL(&w, buf_len(&w.server.got) == 13);
    assert_string_equal(buf_cstr(&w.server.got), "EHLO client\r\n");
    assert_int_equal(w.server.datas, 1); /* small parts went as one record */
    assert_int_equal(stream_write(w.server.stream, SLICE_LIT("250 ok\r\n")), 0);
    TURN_UNTIL(&w, buf_len(&w.client.got) == 8);
    stream_close(&w.client.stream);
    TURN_UNTIL(&w, w.server.ends);
    assert_int_equal(w.server.end_err, 0);
    world_close(&w);
}

static void plain_streams_say_so(void **state)
{
    struct world w;

    (void)state;
    world_open(&w);
    w.server_waits = true;
    client_connect(&w);
    assert_false(stream_is_tls(w.client.stream));
    assert_string_equal(stream_tls_version(w.client.stream), "");
    assert_string_equal(stream_tls_cipher(w.client.stream), "");
    assert_string_equal(stream_tls_error(w.client.stream), "");
    assert_int_equal(stream_tls_bits(w.client.stream), 0);
    world_close(&w);
}

static size_t fill(struct stream *s, struct rand *chance, size_t sent, size_t max)
{
    static uint8_t pattern[65536 + 256];
    int r = 0;

    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)i;
    while (sent < max && r >= 0) {
        size_t len = MIN_OF(1 + rand_below(chance, 40000), max - sent);
        size_t first = rand_below(chance, len + 1);
        struct slice parts[2] = {slice_make(pattern + sent % 256, first),
                                 slice_make(pattern + (sent + first) % 256, len - first)};

        r = stream_writev(s, parts, 2);
        if (r >= 0)
            sent += len;
    }
    assert_true(r >= 0 || r == -ENOBUFS);
    return sent;
}

static void large_transfers_keep_their_order(void **state)
{
    const size_t max = 4000000;
    struct rand chance;
    size_t sent = 0, back = 0;
    struct world w;

    (void)state;
    rand_init(&chance, 7);
    world_open(&w);
    both_shake_hands(&w);
    while (buf_len(&w.server.got) < max || buf_len(&w.client.got) < max) {
        struct end *e = rand_below(&chance, 2) ? &w.client : &w.server;

        e->pause_on_data = rand_below(&chance, 4) == 0;
        if (rand_below(&chance, 2))
            stream_resume(e->stream);
        sent = fill(w.client.stream, &chance, sent, max);
        back = fill(w.server.stream, &chance, back, max);
        turn(&w);
    }
    for (size_t i = 0; i < max; i++) {
        if (buf_slice(&w.server.got).ptr[i] != (uint8_t)i ||
            buf_slice(&w.client.got).ptr[i] != (uint8_t)i)
            fail_msg("byte %zu is wrong", i);
    }
    world_close(&w);
}

static void what_is_kept_drains(void **state)
{
    struct rand chance;
    struct world w;
    size_t sent = 0;

    (void)state;
    rand_init(&chance, 8);
    world_open(&w);
    both_shake_hands(&w);
    stream_pause(w.server.stream);
    while (stream_pending_bytes(w.client.stream) < 200000) {
        sent = fill(w.client.stream, &chance, sent, SIZE_MAX);
        turn(&w);
    }
    assert_int_equal(w.client.drains, 0);
    stream_resume(w.server.stream);
    TURN_UNTIL(&w, w.client.drains == 1 && buf_len(&w.server.got) == sent);
    world_close(&w);
}

static void records_may_be_cut_anywhere(void **state)
{
    (void)state;
    for (size_t at_once = 1; at_once < 8; at_once += 2) {
        struct world w;

        world_open(&w);
        relay_open(&w);
        w.relay_bytes_max = at_once;
        both_shake_hands(&w);
        assert_int_equal(stream_write(w.client.stream, SLICE_LIT("hello")), 0);
        TURN_UNTIL(&w, buf_len(&w.server.got) == 5);
        stream_close(&w.client.stream);
        TURN_UNTIL(&w, w.server.ends);
        assert_int_equal(w.server.end_err, 0);
        world_close(&w);
    }
}

/* Each byte of the handshake in turn, then of a record: nothing spoiled gets through. */
static void what_is_spoiled_is_refused(void **state)
{
    unsigned failed = 0;

    (void)state;
    for (unsigned at = 1; at < 900; at += 7) {
        for (int to = 0; to < 2; to++) {
            struct world w;

            world_open(&w);
            relay_open(&w);
            w.relay_spoil_at_byte[to] = at;
            client_start(&w, "mx.example.org");
            /* Where a length was made larger, one side waits for more until the other leaves. */
            for (int i = 0; i < 50 && !w.client.tls_ends; i++)
                turn(&w);
            if (stream_is_tls(w.client.stream))
                assert_true(stream_write(w.client.stream, SLICE_LIT("hello")) >= 0);
            for (int i = 0; i < 20; i++)
                turn(&w);
            stream_close(&w.client.stream);
            TURN_UNTIL(&w, w.server.tls_err || w.server.ends);
            if (buf_len(&w.server.got))
                assert_string_equal(buf_cstr(&w.server.got), "hello");
            failed += w.server.tls_err || w.client.tls_err || w.server.end_err;
            world_close(&w);
        }
    }
    assert_true(failed > 100);
}

static void plain_text_is_no_handshake(void **state)
{
    struct world w;
    int fd;

    (void)state;
    world_open(&w);
    fd = plain_connect(&w);
    /* Sent before the server's side began: the trick of CVE-2011-0411. */
    assert_int_equal(send(fd, "MAIL FROM:<evil@example.org>\r\n", 30, 0), 30);
    TURN_UNTIL(&w, w.server.tls_ends);
    assert_int_equal(w.server.tls_err, -ERR_TLS);
    assert_int_equal(stream_write(w.server.stream, SLICE_LIT("x")), -ERR_TLS);
    assert_int_equal(buf_len(&w.server.got), 0);
    (void)close(fd);
    for (int i = 0; i < 20; i++)
        turn(&w);
    assert_int_equal(w.server.ends, 0);
    world_close(&w);
}

static void a_peer_may_leave_at_any_byte(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        struct world w;

        world_open(&w);
        relay_open(&w);
        w.relay_bytes_max = 17;
        client_start(&w, "");
        for (unsigned k = 0; k < i; k++)
            turn(&w);
        if (i % 2)
            stream_close(&w.client.stream);
        else
            stream_abort(&w.client.stream);
        if (i % 4 < 2 && w.relay[0] >= 0) {
            (void)close(w.relay[0]);
            (void)close(w.relay[1]);
            (void)close(w.relay_listens);
            w.relay[0] = w.relay[1] = w.relay_listens = -1;
        }
        TURN_UNTIL(&w, w.server.tls_err || w.server.ends);
        world_close(&w);
    }
}

static void streams_close_in_any_callback(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        enum what what = i & 1 ? CLOSE : ABORT;
        struct world w;

        world_open(&w);
        switch (i >> 1) {
        case 0:
            w.client.on_tls = what;
            break;
        case 1:
            w.server.on_tls = what;
            break;
        case 2:
            w.server.on_data = what;
            break;
        default:
            w.server.on_end = what;
            break;
        }
        client_start(&w, "mx.example.org");
        TURN_UNTIL(&w, w.client.tls_ends);
        if (w.client.stream)
            (void)!stream_write(w.client.stream, SLICE_LIT("hello"));
        for (int k = 0; k < 10; k++)
            turn(&w);
        stream_close(&w.client.stream);
        TURN_UNTIL(&w, !w.server.stream || w.server.ends || w.server.tls_err);
        world_close(&w);
    }
}

static void a_pause_holds_data_and_end(void **state)
{
    struct world w;

    (void)state;
    world_open(&w);
    w.server_waits = true;
    client_connect(&w);
    stream_pause(w.server.stream); /* which the handshake does not mind */
    for (int i = 0; i < 10; i++)
        turn(&w);
    assert_int_equal(stream_start_tls(w.server.stream, w.server_tls, (struct slice){0}), 0);
    assert_int_equal(stream_start_tls(w.client.stream, w.client_tls, SLICE_LIT("x")), 0);
    TURN_UNTIL(&w, w.client.tls_ends && w.server.tls_ends);
    assert_int_equal(stream_write(w.client.stream, SLICE_LIT("one")), 0);
    for (int i = 0; i < 10; i++)
        turn(&w);
    assert_int_equal(w.server.datas, 0);
    w.server.pause_on_data = true;
    stream_resume(w.server.stream);
    TURN_UNTIL(&w, w.server.datas == 1);
    for (int i = 0; i < 20; i++) { /* many records, more than go into one call */
        static const uint8_t zeros[10000];

        assert_true(stream_write(w.client.stream, slice_make(zeros, sizeof(zeros))) >= 0);
    }
    stream_close(&w.client.stream);
    while (!w.server.ends) {
        unsigned before = w.server.datas;

        for (int i = 0; i < 10; i++)
            turn(&w);
        assert_int_equal(w.server.datas, before);
        assert_int_equal(w.server.ends, 0);
        stream_resume(w.server.stream);
        TURN_UNTIL(&w, w.server.datas > before || w.server.ends);
    }
    assert_int_equal(w.server.end_err, 0);
    assert_int_equal(buf_len(&w.server.got), 3 + 20 * 10000);
    world_close(&w);
}

/* Certificates in files. */

static const char *temp_path(const char *name)
{
    static char paths[4][200];
    static unsigned next;
    char *path = paths[next++ % ARRAY_SIZE(paths)];

    (void)snprintf(path, sizeof(paths[0]), "/tmp/penstock-tls-test-%ld-%s", (long)getpid(), name);
    return path;
}

/* A self-signed certificate for *.example.org and 127.0.0.1, and its key. */
static void write_files(const char *cert_path, const char *key_path, const char *passphrase)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_EXTENSION *names;
    FILE *f;

    assert_true(key && cert);
    assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:*.example.org,IP:127.0.0.1");
    assert_non_null(names);
    assert_int_equal(X509_add_ext(cert, names, -1), 1);
    X509_EXTENSION_free(names);
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    f = fopen(cert_path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, cert), 1);
    assert_int_equal(fclose(f), 0);
    f = fopen(key_path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, passphrase ? EVP_aes_128_cbc() : NULL,
                                          (const unsigned char *)passphrase,
                                          passphrase ? (int)strlen(passphrase) : 0, NULL, NULL),
                     1);
    assert_int_equal(fclose(f), 0);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void certificates_are_verified(void **state)
{
    static const struct {
        const char *host;
        bool knows_ca;
        bool ok;
        const char *why;
    } cases[] = {
        {"mx.example.org", true, true, ""},
        {"MX.example.org.", true, true, ""},
        {"127.0.0.1", true, true, ""},
        {"127.0.0.2", true, false, "IP address mismatch"},
        {"example.org", true, false, "hostname mismatch"},
        {"a.b.example.org", true, false, "hostname mismatch"},
        {"mx.example.com", true, false, "hostname mismatch"},
        {"mx.example.org", false, false, "self-signed"},
        {"", true, false, "not a host name"},
        {"mx example.org", true, false, "not a host name"},
    };
    const char *cert = temp_path("cert"), *key = temp_path("key");

    (void)state;
    write_files(cert, key, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world w;

        world_open(&w);
        tls_config_unref(&w.server_tls);
        tls_config_unref(&w.client_tls);
        assert_int_equal(tls_config_new_server(cert, key, &w.server_tls, NULL), 0);
        assert_int_equal(
            tls_config_new_client(true, cases[i].knows_ca ? cert : NULL, &w.client_tls, NULL), 0);
        client_start(&w, cases[i].host);
        TURN_UNTIL(&w, w.client.tls_ends);
        assert_int_equal(w.client.tls_err, cases[i].ok ? 0 : -ERR_TLS);
        assert_non_null(strstr(stream_tls_error(w.client.stream), cases[i].why));
        stream_close(&w.client.stream);
        TURN_UNTIL(&w, w.server.tls_ends);
        assert_int_equal(w.server.tls_err, cases[i].ok ? 0 : -ERR_TLS);
        world_close(&w);
    }
    (void)unlink(cert);
    (void)unlink(key);
}

static void files_are_checked(void **state)
{
    const char *cert = temp_path("cert"), *key = temp_path("key");
    const char *cert2 = temp_path("cert2"), *secret = temp_path("secret");
    const struct {
        const char *cert, *key;
        int err;
        const char *named;
    } cases[] = {
        {cert, key, 0, ""},
        {"/nonexistent", key, -ENOENT, "/nonexistent"},
        {cert, "/nonexistent", -ENOENT, "/nonexistent"},
        {key, key, -EINVAL, key},
        {cert, cert, -EINVAL, cert},
        {cert2, key, -EINVAL, key},
        {cert2, secret, -EINVAL, secret}, /* the right one, but nobody types its passphrase */
        {"/dev/null", key, -EINVAL, "/dev/null"},
        {cert, "/dev/null", -EINVAL, "/dev/null"},
    };

    (void)state;
    write_files(cert, key, NULL);
    write_files(cert2, secret, "hush");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf why = BUF_INIT(1000);
        struct tls_config *t = NULL, *same;

        assert_int_equal(tls_config_new_server(cases[i].cert, cases[i].key, &t, &why),
                         cases[i].err);
        assert_non_null(strstr(buf_cstr(&why), cases[i].named));
        assert_int_equal(t != NULL, cases[i].err == 0);
        if (t) {
            same = tls_config_ref(t);
            tls_config_unref(&same);
            assert_null(same);
        }
        tls_config_unref(&t);
        tls_config_unref(&t);
        buf_done(&why);
    }
    for (size_t i = 0; i < 3; i++) {
        static const char *const hosts[] = {"", "a b", "x,DNS:y"};
        struct tls_config *t = NULL;

        assert_int_equal(tls_config_new_self_signed(hosts[i], &t, NULL), -EINVAL);
        assert_int_equal(tls_config_new_client(true, i ? "/nonexistent" : "/dev/null", &t, NULL),
                         i ? -ENOENT : -EINVAL);
        assert_null(t);
    }
    (void)unlink(cert);
    (void)unlink(key);
    (void)unlink(cert2);
    (void)unlink(secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_goes_both_ways),
        cmocka_unit_test(plain_streams_say_so),
        cmocka_unit_test(large_transfers_keep_their_order),
        cmocka_unit_test(what_is_kept_drains),
        cmocka_unit_test(records_may_be_cut_anywhere),
        cmocka_unit_test(what_is_spoiled_is_refused),
        cmocka_unit_test(plain_text_is_no_handshake),
        cmocka_unit_test(a_peer_may_leave_at_any_byte),
        cmocka_unit_test(streams_close_in_any_callback),
        cmocka_unit_test(a_pause_holds_data_and_end),
        cmocka_unit_test(certificates_are_verified),
        cmocka_unit_test(files_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
