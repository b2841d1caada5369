/*
 * logscan/lives.h - what became of each recipient: facts in the order of the log in, attempts with their
 * number out, and what is known of messages at the end.
 *
 * A message is known by its key from FACT_ARRIVAL on. An attempt for a message whose arrival is not
 * in the logs has no number: it counts as an attempt, not as a first one. A recipient that has no end
 * is pending. Keys are kept as 64-bit hashes under the run's seed: two of 10 million would meet once
 * in 300,000 runs.
 *
 * In logs of which several threads write the rows (log_fact.is_unordered) an attempt may stand before its
 * message's arrival. There attempts of a message that is not known wait until LIVES_EARLY_MAX others do, or
 * lives_end(), before they have no number; an arrival that is not later than they are takes them up.
 *
 * A recipient that is handed over to this host under another key (log_fact.next: a content filter) is no
 * longer of the first message, and its attempt counts for nothing; the second message is no message more,
 * has arrived when the first did, and goes on with its numbers. It is known while it is in the queue, and
 * as one of the last LIVES_ENDED_MAX of this host's own that left it.
 *
 * A recipient whose message is over (FACT_END) without an end of its own is lost: the log does not say
 * what became of it.
 *
 * Memory: some 100 bytes a message and recipient, freed when a message is over; beside it the address
 * of each recipient that is still open, for facts that mean all of those. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/fact.h"

struct log_attempt {             /* borrowed during the call */
    const struct log_fact *fact; /* what it was made of */
    struct slice recipient;      /* empty: not known */
    struct slice sender;         /* of the fact, or with lives_keep_senders() of the message */
    uint32_t number;             /* 1: the first; 0: not known */
    bool was_deferred;           /* the recipient had been deferred before */
    bool is_expiry;              /* no attempt: it is given up */
    int64_t arrived_ms;          /* of its message; INT64_MIN: not known */
};
typedef void lives_attempt_fn(void *ctx, const struct log_attempt *a);

struct lives_counts { /* in recipients, but for messages; see each of the truth file's words */
    uint64_t messages, recipients;
    uint64_t first_attempts, first_attempt_delivered, retry_attempts, retry_delivered;
    uint64_t deferred_recipients, deferred_then_delivered, deferred_then_failed;
    uint64_t delivered, failed, expired, pending, lost;
    uint64_t orphan_attempts, orphan_final;
    uint64_t handed_over; /* to this host, and known there */
    uint64_t
        handed_away; /* to this host, under a key that the logs do not have: counted as delivered */
    uint64_t not_expanded; /* facts for all open recipients of a message that had too many */
};

/* A fact for all open recipients of a message is looked up in so many of its first ones: else one
 * message with a million of them, retried a million times, would take days to read. */
#define LIVES_EXPANDED_MAX 4096

#define LIVES_ENDED_MAX 256

struct lives; /* opaque */
MUST_CHECK int lives_new(struct lives **ret, uint64_t seed, lives_attempt_fn *fn, void *ctx);
void lives_free(struct lives **l);
/* From now on attempts tell the sender that was named on arrival or when an attempt began. */
void lives_keep_senders(struct lives *l);
/* Takes the facts of a chunk, in order. FACT_REPLY is passed over. 0, -ENOMEM. */
MUST_CHECK int lives_facts(struct lives *l, const struct log_fact *facts, size_t count);
/* No more facts come: what still waits for an arrival is told. Before anything is counted. 0, -ENOMEM. */
MUST_CHECK int lives_end(struct lives *l);
void lives_counts(const struct lives *l, struct lives_counts *ret);
/* Calls fn for each message with pending recipients: when it arrived, and how many. */
void lives_each_pending(const struct lives *l,
                        void (*fn)(void *ctx, int64_t arrived_ms, uint64_t recipients), void *ctx);
/* The same for each pending recipient with its address; with "" for all of a message that nothing
 * named yet, `count` of them. */
typedef void lives_pending_fn(void *ctx, int64_t arrived_ms, struct slice address, uint64_t count);
void lives_each_pending_recipient(const struct lives *l, lives_pending_fn *fn, void *ctx);
