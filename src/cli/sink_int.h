/*
 * cli/sink_int.h - what the files of `penstock sink` share: sink.c has the options, the threads and
 * the figures, sink_session.c a connection, sink_store.c the messages on disk.
 *
 * Threads: a worker and its sessions belong to one loop; `struct sink` is unchanged while they
 * run, its atomics aside. Figures of a worker are written by its thread and read by the main one.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/rand.h"
#include "cli/seq.h"
#include "cli/sink_rules.h"
#include "io/loop.h"
#include "io/stream.h"
#include "io/thread.h"
#include "io/tls.h"
#include "smtp/server.h"

#define SINK_LISTENERS_MAX 16
#define SINK_THREADS_MAX 64

struct sink_figures {
    atomic_uint_fast64_t connections, messages, recipients, bytes, replies_of_rules, drops;
    atomic_uint_fast64_t damaged, unnumbered, not_stored;
};

struct sink_store { /* fields are private to sink_store.c; NULL names: not stored */
    const char *maildir, *mbox;
    int mbox_fd;
    atomic_uint_fast64_t next;
};

/* Makes the Maildir's folders, opens the mbox. 0, or -Exxx with a sentence in `*why`. */
MUST_CHECK int sink_store_open(struct sink_store *st, struct buf *why);
void sink_store_close(struct sink_store *st);
static inline bool sink_store_is_on(const struct sink_store *st)
{
    return st->maildir || st->mbox;
}
/* Any thread. `scratch` is the caller's, for the mbox form. 0 or -Exxx. */
MUST_CHECK int sink_store_add(struct sink_store *st, struct slice sender, struct slice message,
                              struct buf *scratch);

struct sink {
    struct sink_schedule schedule;
    struct smtp_server_config server_config;
    struct tls_config *tls;
    struct sink_store store;
    struct loop *main_loop;
    int seq_log_fd; /* -1: none */
    uint64_t start_ms, stop_after;
    atomic_uint_fast64_t messages; /* of all workers */
    atomic_uint_fast64_t first_ms, last_ms;
};

struct sink_worker {
    struct sink *sink;
    struct loop *loop;
    struct listener *listeners[SINK_LISTENERS_MAX];
    struct list sessions;
    struct buf out, seq_log, scratch;
    struct rand rand;
    struct seq_ledger ledger;
    struct sink_figures figures;
    struct thread thread;
    bool is_started;
};

/* For listener_open(): `ctx` is the worker. */
void sink_session_accept(void *ctx, struct stream *stream);
/* Closes and frees all sessions of a worker. */
void sink_session_close_all(struct sink_worker *w);
