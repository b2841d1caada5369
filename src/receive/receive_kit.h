/*
 * receive/receive_kit.h - for tests: a receiver on a loop in its own thread, over a real spool with
 * its writer, and clients on loopback sockets. The test plays the queue thread, and sets the gate.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "config/config.h"
#include "event/event.h"
#include "governor/gate.h"
#include "governor/governor.h"
#include "io/fs.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "io/thread.h"
#include "io/tls.h"
#include "message/envelope.h"
#include "receive/receiver.h"
#include "spool/spool.h"
#include "spool/writer.h"

#define PATIENCE_S 20
#define MESSAGES_MAX 512
#define BOX_MS 20

enum order_kind { ORDER_ASK, ORDER_STOP, ORDER_STOP_NOW, ORDER_REPORT, ORDER_RELIEVE };

struct fixture {
    char folder[64];
    struct fs *fs;
    struct spool *sp;
    struct spool_writer *writer;
    const struct config *config;
    struct tls_config *tls;
    struct loop *loop;
    struct mailbox *answers, *queue;
    struct receive_shared shared;
    struct gate gate; /* open; asked by the sessions */
    struct receiver *receiver;
    struct addr bound;
    struct thread thread;
    uint64_t ids[MESSAGES_MAX]; /* as the queue thread gets them */
    size_t count;
};

struct order {
    struct parcel parcel;
    struct fixture *f;
    enum order_kind kind;
    size_t busy;
    struct receive_report report;
    uint64_t freed, accounted; /* and by how much shared.body_memory fell */
    bool is_done;
};

/* ---- the server ---- */

static inline void on_committed(void *ctx, uint64_t id, struct slice envelope)
{
    struct fixture *f = ctx;

    assert_true(f->count < MESSAGES_MAX && envelope.len > 0);
    f->ids[f->count++] = id;
}

static inline void order_answered(struct parcel *p, void *receiver)
{
    (void)receiver;
    CONTAINER_OF(p, struct order, parcel)->is_done = true;
}

static inline void relieve_now(struct fixture *f, struct order *o)
{
    uint64_t before = atomic_load(&f->shared.body_memory);

    o->freed = receiver_relieve(f->receiver);
    o->accounted = before - atomic_load(&f->shared.body_memory);
}

static inline void on_order(struct parcel *p, void *receiver)
{
    struct order *o = CONTAINER_OF(p, struct order, parcel);
    struct fixture *f = receiver;

    if (o->kind == ORDER_STOP)
        receiver_stop(f->receiver);
    else if (o->kind == ORDER_STOP_NOW)
        receiver_stop_now(f->receiver);
    else if (o->kind == ORDER_REPORT)
        receiver_take_report(f->receiver, &o->report);
    else if (o->kind == ORDER_RELIEVE)
        relieve_now(f, o);
    o->busy = receiver_busy(f->receiver);
    p->deliver = order_answered;
    mailbox_post(f->queue, p);
}

static inline void carry_out(struct fixture *f, struct order *o)
{
    o->parcel.deliver = on_order;
    mailbox_post(f->answers, &o->parcel);
    while (!o->is_done)
        (void)mailbox_receive(f->queue, BOX_MS * UINT64_C(1000000));
}

/* Returns how busy the receiver is. */
static inline size_t order(struct fixture *f, enum order_kind kind)
{
    struct order o = {.kind = kind};

    carry_out(f, &o);
    return o.busy;
}

static inline struct receive_report take_report(struct fixture *f)
{
    struct order o = {.kind = ORDER_REPORT};

    carry_out(f, &o);
    return o.report;
}

static inline void run_loop(void *ctx)
{
    loop_run(((struct fixture *)ctx)->loop);
}

/* `more` is further configuration, with listeners of its own or without. */
static inline struct config *read_config(const char *more)
{
    char text[2000];
    struct buf why = BUF_INIT(CONFIG_WHY_MAX);
    struct config *c = NULL;

    (void)snprintf(
        text, sizeof(text), "server: {hostname: test.example}\n%s%s",
        strstr(more, "listeners:") ? "" : "listeners: [{address: \"127.0.0.1:0\", name: main}]\n",
        more);
    if (config_load_text("test", slice_str(text), NULL, 0, &c, &why) < 0)
        fail_msg("%s", buf_cstr(&why));
    buf_done(&why);
    return c;
}

static inline void note_damage(void *ctx, const char *file, uint64_t offset, uint64_t id,
                               const char *what)
{
    (void)ctx;
    (void)id;
    fail_msg("%s at %llu: %s", file, (unsigned long long)offset, what);
}

static inline void open_spool(struct fixture *f, const struct spool_config *config)
{
    struct spool_report report = {.damage = note_damage};
    struct spool_writer_config wc = {
        .commit_delay_us = 2000, .commit_batch_bytes = MIB(4), .lazy_sync_ms = 50};
    struct buf why = BUF_INIT(4096);

    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/penstock-receive-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    assert_int_equal(fs_posix_open(f->folder, false, &f->fs, &why), 0);
    assert_int_equal(spool_open(&f->sp, f->fs, config, &report, &why), 0);
    assert_int_equal(spool_writer_start(&f->writer, f->sp, &wc), 0);
    buf_done(&why);
}

static inline void setup(struct fixture *f, const char *config, uint64_t spool_max_bytes)
{
    struct spool_config sc = {.segment_bytes = MIB(1),
                              .max_bytes = spool_max_bytes,
                              .spare_segments = 2,
                              .first_id = 1000};
    struct buf why = BUF_INIT(4096);

    *f = (struct fixture){.count = 0};
    open_spool(f, &sc);
    f->config = read_config(config);
    assert_int_equal(tls_config_new_self_signed("test.example", &f->tls, &why), 0);
    assert_int_equal(loop_new(&f->loop), 0);
    assert_int_equal(mailbox_new_on_loop(&f->answers, f->loop, f), 0);
    assert_int_equal(mailbox_new_blocking(&f->queue, f), 0);
    f->shared.spool = f->sp;
    f->shared.writer = f->writer;
    f->shared.queue = f->queue;
    f->shared.committed = on_committed;
    f->shared.committed_ctx = f;
    f->shared.connections_max = 1000;
    gate_init(&f->gate);
    f->shared.gate = &f->gate;
    assert_int_equal(
        receiver_new(&f->receiver, f->loop, f->answers, &f->shared, f->config, &f->tls), 0);
    assert_int_equal(receiver_listen(f->receiver, &f->bound, &why), 0);
    assert_int_equal(thread_start(&f->thread, "loop", run_loop, f), 0);
    buf_done(&why);
}

static inline void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *d;
    char path[512];

    while (dir && (d = readdir(dir))) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, d->d_name);
        if (unlink(path) < 0)
            (void)rmdir(path);
    }
    if (dir)
        (void)closedir(dir);
    (void)rmdir(folder);
}

/* Stops all; nothing may be left set aside in the spool. */
static inline void teardown(struct fixture *f)
{
    struct spool_stat st;

    while (order(f, ORDER_STOP_NOW) > 0)
        ;
    spool_get_stat(f->sp, &st);
    loop_stop(f->loop);
    thread_join(&f->thread);
    spool_writer_stop(&f->writer);
    while (mailbox_receive(f->queue, 0) > 0)
        ;
    spool_get_stat(f->sp, &st);
    assert_int_equal(st.reserved_bytes, 0);
    assert_int_equal(st.messages, f->count);
    assert_int_equal(atomic_load(&f->shared.connections), 0);
    assert_int_equal(atomic_load(&f->shared.delayed), 0);
    assert_int_equal(atomic_load(&f->shared.body_memory), 0);
    assert_int_equal(atomic_load(&f->shared.commits_unfiled), 0);
    receiver_free(&f->receiver);
    mailbox_free(&f->answers);
    mailbox_free(&f->queue);
    loop_free(&f->loop);
    spool_close(&f->sp);
    fs_free(&f->fs);
    tls_config_unref(&f->tls);
    config_unref(&f->config);
    remove_folder(f->folder);
}

static inline void wait_messages(struct fixture *f, size_t count)
{
    for (int i = 0; f->count < count && i < PATIENCE_S * 1000 / BOX_MS; i++)
        (void)mailbox_receive(f->queue, BOX_MS * UINT64_C(1000000));
    assert_int_equal(f->count, count);
}

/* Some connections may not have been accepted yet: only what they leave behind tells. */
static inline void wait_quiet(struct fixture *f)
{
    struct spool_stat st = {.reserved_bytes = 1};

    for (int i = 0; i < PATIENCE_S * 1000 / BOX_MS; i++) {
        size_t busy = order(f, ORDER_ASK);

        spool_get_stat(f->sp, &st);
        if (busy == 0 && st.reserved_bytes == 0 && st.messages == f->count)
            break;
        (void)mailbox_receive(f->queue, BOX_MS * UINT64_C(1000000));
    }
    assert_int_equal(st.reserved_bytes, 0);
}

/* ---- a client ---- */

static inline int dial(struct fixture *f)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, &f->bound.u.any, f->bound.len), 0);
    return fd;
}

static inline void say_bytes(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

        assert_true(n > 0);
        text += n;
        len -= (size_t)n;
    }
}

static inline void say(int fd, const char *text)
{
    say_bytes(fd, text, strlen(text));
}

/* One whole reply; its last line must begin with `want`. */
static inline void hear(int fd, const char *want)
{
    char line[2048];
    size_t len;

    do {
        len = 0;
        do {
            ssize_t n = recv(fd, line + len, 1, 0);

            if (n <= 0)
                fail_msg("no reply, where %s is due", want);
            len += (size_t)n;
        } while (line[len - 1] != '\n' && len < sizeof(line) - 1);
        line[len] = '\0';
    } while (len > 3 && line[3] == '-');
    if (strncmp(line, want, strlen(want)) != 0)
        fail_msg("'%s' is no '%s'", line, want);
}

static inline void hear_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);

    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
    (void)close(fd);
}

static inline int greeted(struct fixture *f)
{
    int fd = dial(f);

    hear(fd, "220 test.example");
    say(fd, "EHLO client.example\r\n");
    hear(fd, "250 ");
    return fd;
}

static inline int in_data(struct fixture *f)
{
    int fd = greeted(f);

    say(fd, "MAIL FROM:<a@b.example>\r\n");
    hear(fd, "250 2.1.0");
    say(fd, "RCPT TO:<c@d.example>\r\n");
    hear(fd, "250 2.1.5");
    say(fd, "DATA\r\n");
    hear(fd, "354");
    return fd;
}

static inline void quit(int fd)
{
    say(fd, "QUIT\r\n");
    hear(fd, "221");
    hear_end(fd);
}

/* The stored body behind our Received field. */
static inline size_t read_body(struct fixture *f, uint64_t id, uint8_t *to, size_t size)
{
    struct spool_reader r;
    struct buf envelope = BUF_INIT(SPOOL_ENVELOPE_MAX);
    struct envelope e;
    struct recipient recipients[4];
    struct slice text;
    size_t len = 0, at = 0;
    ptrdiff_t n;

    assert_int_equal(spool_read(f->sp, id, false, &r, &envelope, NULL), 0);
    while ((n = spool_read_body(&r, false, to + len, size - len)) > 0)
        len += (size_t)n;
    assert_int_equal(n, 0);
    spool_read_done(&r);
    assert_int_equal(envelope_decode(buf_slice(&envelope), recipients, 4, &e), 0);
    assert_int_equal(e.body_bytes, len);
    assert_true(slice_eq(e.client_name, SLICE_LIT("main")));
    assert_true(slice_eq(e.client_ip, SLICE_LIT("127.0.0.1")));
    assert_true(slice_eq(e.client_helo, SLICE_LIT("client.example")));
    buf_done(&envelope);
    text = slice_make(to, len);
    assert_true(slice_has_prefix(text, SLICE_LIT("Received: from client.example ")));
    do {
        at += (size_t)slice_find(slice_from(text, at), '\n') + 1;
    } while (at < len && (to[at] == ' ' || to[at] == '\t'));
    memmove(to, to + at, len - at);
    return len - at;
}
