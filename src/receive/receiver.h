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
#include "governor/tally.h"
#include "io/addr.h"
#include "io/mailbox.h"

struct config;
struct gate;
struct loop;
struct receiver; /* opaque */
struct spool;
struct spool_writer;
struct tls_config;

#define RECEIVE_CLIENT_BUCKETS 16384

/* What is counted for one client in a minute. */
enum receive_rate { RECEIVE_CONNECTIONS, RECEIVE_MESSAGES, RECEIVE_ERRORS, RECEIVE_RATES };

/*
 * What all receivers share. The counts are atomics; the rest is set before the loops start. A
 * client outside pressure.internal_networks is counted in the bucket its address hashes to, of IPv6
 * its network (smtp.client_ipv6_prefix): two clients in one bucket share a limit, which is rare, and
 * costs no lock. All zero is a good start,
 * but for the pointers without a default and `connections_max`.
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
    /* The present minute, its count and that of the minute before (receive/clients.c). */
    atomic_ullong client_rates[RECEIVE_RATES][RECEIVE_CLIENT_BUCKETS];
    atomic_bool stopping;
    atomic_bool queue_is_full;     /* new mail is refused with 452 4.3.1 */
    const struct gate *gate;       /* what the governor lets in; NULL: everything */
    atomic_uint delayed;           /* sessions in the tarpit */
    atomic_ullong body_memory;     /* bytes of bodies between stream and spool, of all sessions */
    atomic_ullong body_memory_max; /* set by pressure/: from half of it on, blocks are small; over
                                      it MAIL is refused with token "memory"; 0: no bound */
    atomic_uint commits_unfiled;   /* committed, 250 said, and not yet filed by the queue thread */
};

#define RECEIVE_HOLDERS_MAX 10
/* What a receiver tells the governor once a sample. */
struct receive_report {
    struct tally_batch tally; /* since the last report */
    /* From MAIL accepted to 250; bytes: set aside in the spool and not yet written to it. */
    uint64_t sessions, messages_in_flight, bytes_in_flight;
    struct receive_holder { /* the largest messages in flight */
        char client[TALLY_CLIENT_TEXT];
        char sender[128];           /* cut where longer; '?' for what is not printable */
        uint64_t bytes;             /* of the spool: written, and set aside */
        int64_t since_ms;           /* wall clock */
    } holders[RECEIVE_HOLDERS_MAX]; /* largest first */
    size_t holder_count;
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

/* Fills `ret` and begins counting anew. In the loop's thread; walks the sessions in a message. */
void receiver_take_report(struct receiver *r, struct receive_report *ret);
/* A remedy: gives back what sessions hold and can do without. Returns the bytes. */
uint64_t receiver_relieve(struct receiver *r);

/* A reload: for sessions that begin from now on. */
MUST_CHECK int receiver_set_config(struct receiver *r, const struct config *config,
                                   struct tls_config *const *tls);

/* No new connections; sessions in a message may finish it, all others are closed with 421. */
void receiver_stop(struct receiver *r);
/* Closes those that are left, with 421. */
void receiver_stop_now(struct receiver *r);
/* Sessions, commits, and requests to the spool's writer whose answer is still to come. */
size_t receiver_busy(const struct receiver *r);
