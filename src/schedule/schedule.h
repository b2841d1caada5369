/*
 * schedule/schedule.h - who is sent when: ids and times only, rebuilt from the spool at start.
 *
 * The unit is an entry: one message's pending recipients at one destination. Entries wait in a
 * time order until they are due, then in their destination's ready queue, where senders take fair
 * turns (deficit round robin by message); destinations take fair turns for connections. A
 * connection slot is granted to a destination, then entries are taken for it one after another.
 *
 * Engine: no I/O, no clock, no randomness of its own. Times are wall clock in ms (they outlive a
 * restart); `now_ms` may jump either way: entries are at most sent early or late, never lost.
 * One thread at a time. Memory: at most 64 bytes an entry, plus its destination's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/rand.h"
#include "base/slice.h"

struct schedule; /* opaque */

#define SCHEDULE_NEVER INT64_MAX
#define SCHEDULE_RETRIES_MAX 16

/* When a deferred entry is tried again: the delay after attempt n is delays_s[n - 1], the last one
 * for all further, each ± jitter (0..0.5, a share of the delay). */
struct retry_policy {
    uint32_t delays_s[SCHEDULE_RETRIES_MAX];
    uint32_t delay_count;
    double jitter;
    uint32_t max_queue_time_s; /* then it fails */
    uint32_t delay_dsn_s;      /* a "delayed" DSN once it is so old; 0: never */
};

struct schedule_config {
    uint32_t connections_max;             /* slots in all */
    uint32_t connections_per_destination; /* slots of one */
    struct retry_policy retry;
    uint64_t entries_max; /* over it schedule_add() gives -ENOBUFS */
};

typedef uint32_t entry_ref; /* valid from schedule_add() until schedule_done() */
#define ENTRY_NONE UINT32_MAX

struct schedule_entry { /* what the caller sees of one */
    entry_ref ref;
    uint64_t id; /* of the message */
    struct slice destination;
    uint32_t attempts;
    int64_t arrival_ms, due_ms;
    enum { ENTRY_WAITING, ENTRY_READY, ENTRY_ACTIVE, ENTRY_HELD } state;
};

MUST_CHECK int schedule_new(struct schedule **ret, const struct schedule_config *config,
                            struct rand *rand);
void schedule_free(struct schedule **s);
void schedule_set_config(struct schedule *s, const struct schedule_config *config);

/*
 * Files an entry. `destination` is copied, in lower case. `sender_hash` separates senders for the
 * fair turn. `due_ms` in the past means now. 0, -ENOMEM, -ENOBUFS.
 */
MUST_CHECK int schedule_add(struct schedule *s, uint64_t id, struct slice destination,
                            uint64_t sender_hash, int64_t arrival_ms, uint32_t attempts,
                            int64_t due_ms, bool held, entry_ref *ret);

/* Moves entries whose time has come to their ready queues; at most `max` of them. Returns how
 * many. */
size_t schedule_advance(struct schedule *s, int64_t now_ms, size_t max);
/* When schedule_advance() next has something to do; SCHEDULE_NEVER. */
int64_t schedule_next_due_ms(const struct schedule *s);

/*
 * Grants a connection slot to the destination whose turn it is, of those with ready entries and
 * slots left; a destination gets no more slots than ready entries. True: `*ret_destination` names
 * it (a handle, valid as long as the slot or any entry of it lives).
 */
bool schedule_grant(struct schedule *s, uint32_t *ret_destination);
/* Takes up to `max` ready entries of that destination for a slot: they become active. Returns how
 * many, 0 when there are none. */
size_t schedule_take(struct schedule *s, uint32_t destination, entry_ref *ret, size_t max);
/* The slot's connection is closed, or handed back. */
void schedule_release(struct schedule *s, uint32_t destination);
struct slice schedule_destination_name(const struct schedule *s, uint32_t destination);

/* How an active entry ended. */
void schedule_done(struct schedule *s, entry_ref ref); /* nothing pending any more: forget it */
/* Deferred: counts an attempt and returns the new due time, by the policy and jitter. */
int64_t schedule_retry(struct schedule *s, entry_ref ref, int64_t now_ms);
/* Was not tried at all (connection refused its turn): ready again, no attempt counted. */
void schedule_return(struct schedule *s, entry_ref ref);
/* The destination cannot be reached at all: no slot for it before `until_ms`, and its ready
 * entries wait till then, spread by the policy's jitter; each counts an attempt. */
void schedule_destination_failed(struct schedule *s, uint32_t destination, int64_t now_ms);

/* By the operator, entries that are not active (active ones: -EBUSY). */
MUST_CHECK int schedule_set_due(struct schedule *s, entry_ref ref, int64_t due_ms);
MUST_CHECK int schedule_hold(struct schedule *s, entry_ref ref);
MUST_CHECK int schedule_release_hold(struct schedule *s, entry_ref ref, int64_t now_ms);
MUST_CHECK int schedule_cancel(struct schedule *s, entry_ref ref); /* forget it */

bool schedule_get(const struct schedule *s, entry_ref ref, struct schedule_entry *ret);
/* All entries of message `id`, at most `max`; returns how many there are. */
size_t schedule_find(const struct schedule *s, uint64_t id, entry_ref *ret, size_t max);

struct schedule_destination {
    struct slice name;
    uint64_t entries, waiting, ready, active, held;
    uint32_t slots;
    int64_t oldest_arrival_ms; /* exact for the oldest entry filed and not yet done */
    int64_t next_due_ms;
};
/* Walks destinations (start with *it = 0) and all entries: for listings. No change in between. */
bool schedule_next_destination(const struct schedule *s, uint32_t *it,
                               struct schedule_destination *ret);
bool schedule_next_entry(const struct schedule *s, uint32_t *it, struct schedule_entry *ret);

struct schedule_totals {
    uint64_t entries, waiting, ready, active, held, destinations;
    uint32_t slots;
};
void schedule_get_totals(const struct schedule *s, struct schedule_totals *ret);
