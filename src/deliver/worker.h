/*
 * deliver/worker.h - SMTP and LMTP out: the jobs and connections of one loop.
 *
 * A job's entries go one after another over one connection: found among the idle ones, or made by
 * trying the destination's hosts in turn. Each entry's result goes back to the queue at once; with
 * the last one the job is the queue's again, and the connection waits idle for the next job.
 *
 * Threads: a worker belongs to one loop; worker_new() and worker_free() may be called before the
 * loop runs and after it ended, worker_job() is a parcel's deliver() in the loop.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "io/mailbox.h"

struct config;
struct loop;
struct spool;
struct tls_config;
struct worker; /* opaque */

struct worker_seams {
    struct loop *loop;
    struct spool *spool;
    struct mailbox *queue; /* the queue thread's box; the loop's owner gives it a mailbox_nudge()
                              once a turn */
    uint64_t seed;         /* for the order of equal MX hosts */
};

/* `tls` may be NULL: then no connection uses TLS. 0 or -ENOMEM. */
MUST_CHECK int worker_new(struct worker **ret, const struct worker_seams *seams,
                          const struct config *config, struct tls_config *tls);
void worker_free(struct worker **w); /* idle: worker_busy() is 0 */

/* A reload; jobs that are out keep what they began with. */
void worker_set_config(struct worker *w, const struct config *config, struct tls_config *tls);

/* parcel.deliver of a struct job; `receiver` is the loop's struct worker. */
void worker_job(struct parcel *p, void *receiver);

/* A remedy: closes idle connections. Returns the bytes their buffers held. */
uint64_t worker_relieve(struct worker *w);
/* A remedy: forgets the answers of the DNS, which are asked for again when needed. */
void worker_flush_dns(struct worker *w);

/* Closes idle connections; jobs end with the transaction they are in. */
void worker_stop(struct worker *w);
/* Breaks off what is left: its mail stays in the queue. */
void worker_stop_now(struct worker *w);
/* Jobs and connections. */
size_t worker_busy(const struct worker *w);
