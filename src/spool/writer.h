/*
 * spool/writer.h - the thread that owns the spool, and group commit.
 *
 * Loops post requests; the writer appends them in order, and makes many durable with one
 * fdatasync, then posts each back to the mailbox it names. When to sync: at once when no session
 * is in the middle of a message (nobody could still join the group); else when `commit_delay_us`
 * has passed since the first commit of the group, or it holds `commit_batch_bytes`. Marks and
 * removals wait for the next commit's sync, at most `lazy_sync_ms`. While a group gathers, the
 * thread sleeps: only what cannot wait (an APPEND, the commit that completes the group) wakes it.
 *
 * Threads: every function may be called from any thread, except start and stop.
 * Memory: requests live in their senders' structs; the writer allocates nothing per request.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "io/mailbox.h"
#include "spool/spool.h"

struct spool_writer; /* opaque */

struct spool_writer_config {
    uint32_t commit_delay_us;
    uint64_t commit_batch_bytes;
    uint32_t lazy_sync_ms;
};

enum spool_op {
    SPOOL_OP_APPEND,  /* data: body bytes -> extent. Answered when copied, not yet durable */
    SPOOL_OP_COMMIT,  /* envelope, extents, and `data`, when not empty, as the last extent.
                         Answered after fdatasync. One that failed has used none of the
                         reservation for its envelope and data, and its extents but the one of
                         `data` are still the sender's, to ABORT */
    SPOOL_OP_ABORT,   /* extents */
    SPOOL_OP_MARK,    /* data: the mark. Answered after fdatasync: from then on readers see it */
    SPOOL_OP_REWRITE, /* data: the envelope. Answered as a mark is */
    SPOOL_OP_REMOVE,  /* answered when appended: readers see it at once */
    SPOOL_OP_SYNC,    /* answered when what was posted before is durable; no waiting for a group */
    SPOOL_OP_SET_ASIDE, /* the message is damaged: spool_set_aside() */
    /* A remedy: spool_relieve(), a bounded piece at a time between the other requests, which it
     * never holds up. Answered when there is nothing more to free or a bounded effort is spent,
     * with `freed_bytes` in any case. One at a time: -EBUSY. -ECANCELED: the writer was stopped, or
     * spool_writer_end_relief() called. */
    SPOOL_OP_RELIEVE,
};

/*
 * One request. The sender owns what the slices and `extents` point to and keeps it unchanged until
 * the answer, which is this same struct in `answer_to`, `parcel.deliver` called there. With
 * `answer_to` NULL (ABORT, MARK, REMOVE) `parcel.deliver` is called in the writer's thread with
 * a NULL receiver, to free it.
 */
struct spool_request {
    struct parcel parcel; /* set parcel.deliver: what to call with the answer */
    enum spool_op op;
    uint64_t id;
    struct slice data, envelope;
    struct spool_extent *extents; /* COMMIT: room for one more when `data` is not empty */
    uint32_t extent_count;
    struct mailbox *answer_to;
    /* COMMIT: the message was counted by spool_writer_message_begins(), and this ends it. */
    bool ends_message;
    uint64_t freed_bytes;         /* RELIEVE: see spool_relieve() */
    int result;                   /* 0 or the error of the spool function */
    struct spool_extent extent;   /* APPEND: where it went */
    struct parcel private_parcel; /* the writer's */
    struct spool_request *private_next;
};

MUST_CHECK int spool_writer_start(struct spool_writer **ret, struct spool *sp,
                                  const struct spool_writer_config *config);
/* Serves what was posted, syncs, ends the thread. The spool stays open and is the caller's
 * again. */
void spool_writer_stop(struct spool_writer **w);
void spool_writer_post(struct spool_writer *w, struct spool_request *r);
/* Calls fn(ctx, spool) in the writer's thread and waits for its end. Not from a loop that sessions
 * wait on. */
void spool_writer_call(struct spool_writer *w, void (*fn)(void *ctx, struct spool *sp), void *ctx);
/* Bytes of bodies and envelopes (APPEND, COMMIT) taken and not yet durable: appended since the last
 * sync, and waiting to be appended. Any thread. */
uint64_t spool_writer_uncommitted_bytes(const struct spool_writer *w);
/* The server stops: relief under way ends after its present piece, and none begins any more. Any
 * thread. */
void spool_writer_end_relief(struct spool_writer *w);
/* A remedy: no compaction in the background while `paused` (SPOOL_OP_RELIEVE goes on). Any
 * thread. */
void spool_writer_pause_background(struct spool_writer *w, bool paused);
void spool_writer_set_config(struct spool_writer *w, const struct spool_writer_config *config);

/* Sessions tell that they are in the middle of a message (from MAIL accepted), so that the writer
 * knows whether a group can still grow. A COMMIT with ends_message ends it, or an abort: */
void spool_writer_message_begins(struct spool_writer *w);
void spool_writer_message_ends(struct spool_writer *w);
