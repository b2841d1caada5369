/*
 * pressure/pressure.h - the governor's hands: takes a sample every pressure.interval from the
 * kernel (io/figures.h), the spool, the queue and the loops; feeds the governor; publishes the
 * gate; runs the remedies it asks for; tells events 15004 to 15007.
 *
 * Draining needs nothing of this: no remedy and no level stops or delays a delivery (R23).
 *
 * Threads: everything in the queue thread, whose loop and mailbox are given; what belongs to a loop
 * thread (its sessions and connections) is asked for and relieved by parcels to that loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "governor/gate.h"
#include "governor/governor.h"
#include "io/mailbox.h"
#include "receive/receiver.h"

struct config;
struct loop;
struct pressure; /* opaque */
struct queue;
struct receiver;
struct spool;
struct spool_writer;
struct worker;

struct pressure_loop { /* a loop thread; borrowed */
    struct mailbox *box;
    struct receiver *receiver;
    struct worker *worker;
};

struct pressure_seams {
    struct loop *loop;       /* the queue thread's: the timer */
    struct mailbox *answers; /* the queue thread's box */
    struct queue *queue;
    struct spool *spool;
    struct spool_writer *writer;
    struct gate *gate; /* set here, asked by sessions */
    struct receive_shared *shared;
    const struct pressure_loop *loops;
    size_t loop_count;
    uint64_t (*mono_ms)(void *ctx);
    /* Fills what the kernel knows: disks, memory, descriptors, stalls. NULL: the real kernel; the
     * simulation has its own. */
    void (*kernel)(void *ctx, const struct config *config, struct governor_sample *ret);
    void *ctx;
};

/* 0 or -ENOMEM. `seams` is copied; `config` gets a reference. The first sample is taken at once. */
MUST_CHECK int pressure_new(struct pressure **ret, const struct pressure_seams *seams,
                            const struct config *config);
/* No more samples; remedies under way are waited for by pressure_is_idle(). */
void pressure_stop(struct pressure *p);
bool pressure_is_idle(const struct pressure *p);
void pressure_free(struct pressure **p);
/* A reload. The next sample is judged by the new settings; where the spool is stays as
 * it was at pressure_new(), and how large it may become the spool itself knows. */
void pressure_set_config(struct pressure *p, const struct config *config);
/* Takes a sample now, whatever the timer says: for tests. */
void pressure_sample(struct pressure *p);

/* ---- for people ---- */

#define PRESSURE_HOLDERS_MAX 10
struct pressure_holder { /* of room: a message in flight */
    char client[TALLY_CLIENT_TEXT];
    char sender[128];
    uint64_t bytes;    /* reserved in the spool */
    uint64_t since_ms; /* wall clock */
};
struct pressure_view {
    bool enabled;
    int64_t taken_ms; /* wall clock of the last sample */
    struct governor_view governor;
    struct tally_sums sums[TALLY_SPANS];
    struct tally_totals totals;
    struct pressure_holder holders[PRESSURE_HOLDERS_MAX]; /* largest first */
    size_t holder_count;
    uint64_t sessions, delayed_sessions, delayed_sessions_max, messages_in_flight, bytes_in_flight;
    uint64_t log_lines_lost;
    const struct config *config; /* borrowed, as is: */
    const char *spool_directory; /* in use, whatever a reload says */
};
void pressure_get_view(struct pressure *p, struct pressure_view *ret);
/* Would mail of `c` be taken now? For health checks; `*ret_resource` says why not. */
enum gate_verdict pressure_ready(const struct pressure *p, enum mail_class c,
                                 uint8_t *ret_resource);
