/*
 * receive/receiver.h - SMTP in: the listeners and sessions of one loop.
 *
 * A session takes a message as a stream: body bytes go to the spool's writer in blocks as they
 * come, so that a message of any size costs the session a bounded amount of memory, and the 250 is
 * said only after the writer answered that the message is durable. Then the envelope goes to the
 * queue thread.
 *
 * Threads: a receiver belongs to one loop, and all its functions are called there, except
 * receiver_new() and receiver_free(), which are called before the loop runs and after it ended.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "io/addr.h"
#include "io/mailbox.h"

struct config;
struct loop;
struct receiver; /* opaque */
struct spool;
struct spool_writer;
struct tls_config;

#define RECEIVE_CLIENT_BUCKETS 16384

/*
 * What all receivers share. The counts are atomics; the rest is set before the loops start. A
 * client's connections are counted in the bucket its address hashes to: two clients in one bucket
 * share a limit, which with the default sizes is rare, and costs no lock.
 */
struct receive_shared {
    struct spool *spool;
    struct spool_writer *writer;
    struct mailbox *queue; /* the queue thread's box: gets a parcel for each message, and a
                              mailbox_nudge() from the loop's owner once a turn */
    void (*committed)(void *ctx, uint64_t id, struct slice envelope); /* in the queue thread */
    void *committed_ctx;
    uint64_t hash_seed;
    uint64_t connections_max; /* whatever the setting says: the others need descriptors, too */
    atomic_uint connections;
    atomic_ushort by_client[RECEIVE_CLIENT_BUCKETS];
    atomic_bool stopping;
    atomic_bool queue_is_full; /* new mail is refused with 452 4.3.1 */
};

/* `answers` is the loop's mailbox; `tls` has one entry a listener, NULL where TLS is off. All are
 * borrowed; config and tls entries get references of their own. 0 or -ENOMEM. */
MUST_CHECK int receiver_new(struct receiver **ret, struct loop *loop, struct mailbox *answers,
                            struct receive_shared *shared, const struct config *config,
                            struct tls_config *const *tls);
void receiver_free(struct receiver **r); /* no session is left */

/* Opens every listener of the configuration, at bound[i] where that is set (a port that another
 * loop's receiver was given by the system), and sets bound[i]. 0, or the error of listener_open()
 * with a sentence in `*why`. */
MUST_CHECK int receiver_listen(struct receiver *r, struct addr *bound, struct buf *why);

/* A reload: for sessions that begin from now on. */
MUST_CHECK int receiver_set_config(struct receiver *r, const struct config *config,
                                   struct tls_config *const *tls);

/* No new connections; sessions in a message may finish it, all others are closed with 421. */
void receiver_stop(struct receiver *r);
/* Closes those that are left, with 421. */
void receiver_stop_now(struct receiver *r);
/* Sessions, commits, and requests to the spool's writer whose answer is still to come. */
size_t receiver_busy(const struct receiver *r);
