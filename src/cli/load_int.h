/*
 * cli/load_int.h - what the files of `penstock load` share: load.c has the options, the threads and
 * the report, load_session.c the connections, load_message.c the mail.
 *
 * Threads: a worker and its sessions belong to one loop; `struct load` is unchanged while they
 * run, its atomics aside.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "cli/load_stats.h"
#include "cli/seq.h"
#include "io/addr.h"
#include "io/loop.h"
#include "io/stream.h"
#include "io/thread.h"
#include "io/tls.h"
#include "smtp/client.h"

#define LOAD_THREADS_MAX 64
#define LOAD_RECIPIENTS_MAX 100
#define LOAD_PATTERN_MAX 256
#define LOAD_AGAIN_MAX 4096

/* The one message that is sent again and again, each time with another number. */
struct load_message {
    struct buf text;
    size_t seq_at; /* where the 27 characters of X-Seq are */
};
/* Headers and `size` octets in all; or, with `file`, its content behind our fields. 0, or -Exxx
 * with a sentence in `*why`. */
MUST_CHECK int load_message_make(struct load_message *m, uint64_t size, const char *file,
                                 const char *from, const char *to, struct buf *why);
MUST_CHECK int load_message_copy(struct load_message *to, const struct load_message *from);
void load_message_done(struct load_message *m);
static inline void load_message_set(struct load_message *m, const char seq[static SEQ_TEXT_MAX],
                                    size_t len)
{
    for (size_t i = 0; i < len; i++)
        m->text.ptr[m->seq_at + i] = (uint8_t)seq[i];
}

/* "user%d@dest%d.example": a %d before the @ becomes `number`, one behind it number % domains. */
MUST_CHECK int load_pattern_check(const char *pattern, struct buf *why);
struct slice load_pattern_fill(const char *pattern, uint64_t number, uint64_t domains,
                               char to[static LOAD_PATTERN_MAX]);

struct load {
    struct addr to;
    struct smtp_client_config client_config;
    struct tls_config *tls;
    struct loop *main_loop;
    const char *from, *rcpt;
    uint64_t messages, per_connection, run, domains;
    uint32_t sessions, threads, recipients, rate;
    int seq_log_fd; /* -1: none */
    bool reconnect;
    /* Tries given out, numbers given out; a try that came to nothing is given back. */
    atomic_uint_fast64_t tries, numbers;
    atomic_uint threads_left;
    atomic_bool stop; /* no new message; what is under way may end */
};

struct load_session; /* load_session.c */

struct load_worker {
    struct load *load;
    struct loop *loop;
    struct load_message message;
    struct load_session **all;
    struct list sessions; /* those that have not retired */
    struct buf out, seq_log;
    struct loop_timer tick;
    struct thread thread;
    uint32_t session_count;
    bool is_started;
    uint32_t again[LOAD_AGAIN_MAX]; /* numbers that were surely not taken: used again */
    size_t again_count;
    uint64_t next_send_ns, interval_ns; /* --rate */
    uint64_t stop_ms;                   /* when told to stop; 0: not yet */
    /* Figures. */
    atomic_uint_fast64_t accepted, refused, unknown, failed, connections, broken;
    uint64_t last_ns; /* when the last message was answered */
    int connect_err;  /* of the last connection that could not be made */
    struct histogram latency;
    struct reply_counts replies;
};

/* In the worker's thread, before and after its loop runs. 0 or -ENOMEM. */
MUST_CHECK int load_sessions_start(struct load_worker *w);
void load_sessions_free(struct load_worker *w);
