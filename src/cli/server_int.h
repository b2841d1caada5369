/*
 * cli/server_int.h - private to the files that are one server: server.c (running, signals,
 * stopping, the status line), server_start.c (opening the parts in order), server_config.c (what a
 * configuration becomes, and reload), server_evidence.c (tables and ledger) and server_loop.c (the
 * loop threads).
 *
 * Threads: everything belongs to the main thread but what a loop thread's order does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/rand.h"
#include "cli/server.h"
#include "deliver/queue.h"
#include "governor/gate.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "io/thread.h"
#include "receive/receiver.h"
#include "spool/writer.h"

struct addr;
struct config;
struct control;
struct fs;
struct json_out;
struct knowledge;
struct ledger;
struct pressure;
struct spool;
struct tls_config;
struct worker;

#define SERVER_WHY_MAX KIB(16) /* of a sentence that tells what is wrong */

enum loop_orders { ORDER_NONE, ORDER_RELOAD, ORDER_STOP, ORDER_STOP_NOW, ORDER_REPORT, ORDER_END };

/* One loop thread and what runs in it. */
struct loop_thread {
    struct server *server;
    uint32_t number;
    struct thread thread;
    struct loop *loop;
    struct mailbox *box;
    struct receiver *receiver;
    struct worker *worker;
    struct parcel order, answer; /* to the thread and back: one at a time */
    enum loop_orders what;
    size_t busy; /* as last reported; the main thread's */
    bool is_out; /* an order is under way; the main thread's */
    bool was_told_to_stop;
};

/* TLS made from one configuration; zeroed: none. */
struct tls_set {
    struct tls_config **listeners;
    size_t count;
    struct tls_config *client;
};

struct server {
    struct server_options options;
    const struct config *config;
    struct tls_set tls;
    struct loop *loop;
    struct mailbox *box;
    struct rand rand;
    struct fs *fs;
    struct spool *spool;
    struct spool_writer *writer;
    struct queue *queue;
    const struct knowledge *knowledge;
    struct ledger *ledger; /* NULL: no evidence is kept */
    struct pressure *pressure;
    struct control *control;
    struct gate gate; /* shared.gate */
    struct receive_shared shared;
    struct loop_thread *threads;
    uint32_t thread_count, threads_started;
    struct loop_timer due, stop_timer, status_timer;

    const struct config *next_config; /* a reload that waits for the queue */
    struct tls_set next_tls;
    const struct knowledge *next_knowledge;
    uint32_t reload_answers;
    bool reload_again; /* SIGHUP came while it waited: the file may be another by now */

    bool stopping, has_ended, stop_was_hard;
    uint64_t stop_began_ms;
    uint64_t status_delivered, status_accepted;
    int exit_code;
};

/* ---- server.c ---- */

/* Control seams; `ctx`: the server. */
void server_add_status(void *ctx, struct json_out *j);
bool server_is_stopping(void *ctx);
/* A callback of a loop was slow; `ctx`: its loop thread, NULL for the main thread's. Any thread. */
void server_on_slow(void *ctx, uint64_t ms);

/* ---- server_start.c ---- */

/* Opens every part, in order, and starts the threads. 0, or an error with a sentence in `why` where
 * its number does not say all; server_free() then closes what was opened. */
MUST_CHECK int server_start(struct server *s, struct buf *why);

/* ---- server_config.c ---- */

const char *server_config_name(const struct server_options *o);
/* 0, or an error with a sentence in `why`: `*ret` is untouched then. */
MUST_CHECK int server_tls_make(const struct config *c, struct tls_set *ret, struct buf *why);
void server_tls_free(struct tls_set *t);
struct queue_settings server_queue_settings(const struct config *c, const struct knowledge *k);
struct spool_writer_config server_writer_config(const struct config *c);
/* Reads the configuration file once more; `ctx`: the server. 0: it is taken, and everybody follows
 * when the queue does. Negative, with a sentence in `why`: nothing changes. */
MUST_CHECK int server_reload(void *ctx, struct buf *why);
/* SIGHUP: as server_reload(), but one that comes during a reload is kept until that one is over. */
void server_reload_on_signal(struct server *s);
/* One more loop thread follows the new settings. */
void server_reload_answered(struct server *s);

/* ---- server_evidence.c ---- */

/* What goes wrong is told in an event. */
void server_open_ledger(struct server *s);
void server_set_ledger(struct server *s, const struct config *c);
/* After queue_load(): what came due while the server was down makes no wave. */
void server_spread_backlog(struct server *s);
/* Lanes and providers as the ledger knows them; before queue_load(). */
void server_restore_lanes(struct server *s);

/* ---- server_loop.c ---- */

/* Makes its parts and listens; `bound`: the listeners' addresses, filled by the first. */
MUST_CHECK int loop_thread_open(struct server *s, struct loop_thread *t, struct addr *bound,
                                struct buf *why);
/* When the spool is open. */
MUST_CHECK int loop_thread_add_worker(struct server *s, struct loop_thread *t);
MUST_CHECK int loop_thread_start(struct server *s, struct loop_thread *t);
/* After its thread ended, or before it began. */
void loop_thread_close(struct loop_thread *t);
/* Tells its thread `what` to do; not while an earlier order is out. */
void loop_thread_order(struct loop_thread *t, enum loop_orders what);
