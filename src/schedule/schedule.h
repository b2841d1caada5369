/*
 * schedule/schedule.h - who is sent when: ids and times only, rebuilt from the spool at start.
 *
 * The unit is an entry: one message's pending recipients at one destination. Entries wait in a
 * time order until they are due, then in their destination's ready queue, where senders take fair
 * turns (deficit round robin by message); lanes take fair turns for connections, and within a lane
 * its destinations do. A connection slot is granted to a destination, then entries are taken for it
 * one after another.
 *
 *     add ---> WAITING --due--> READY --take--> ACTIVE --done--> gone
 *                 ^               |               |
 *                 |<--destination_failed          |
 *                 |<-------------retry------------|
 *     HELD (by the operator): from WAITING and READY, and back by release_hold
 *     claim: from WAITING, READY and HELD to ACTIVE, and back by unclaim
 *
 * Engine: no I/O, no clock, no randomness of its own. Times are wall clock in ms (they outlive a
 * restart); `now_ms` may jump either way: entries are at most sent early or late, never lost. When
 * it jumps back by more than a minute, all waits are moved back with it, so that a clock that was
 * wrong for a while does not make mail wait for as long as it was wrong.
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
    /* Slots of SCHEDULE_LANE_NEW in all: destinations whose lane is not known must not take every
     * connection. 0: lanes are not used, and that lane has no limit of its own. */
    uint32_t connections_new;
    struct retry_policy retry;
    uint64_t entries_max; /* over it schedule_add() gives -ENOBUFS */
};

typedef uint32_t entry_ref; /* valid from schedule_add() until schedule_done() or _cancel() */
#define ENTRY_NONE UINT32_MAX

enum entry_state { ENTRY_WAITING, ENTRY_READY, ENTRY_ACTIVE, ENTRY_HELD };

struct schedule_entry { /* what the caller sees of one */
    entry_ref ref;
    uint64_t id; /* of the message */
    struct slice destination;
    uint32_t destination_index, lane; /* its handle, and its lane */
    uint32_t attempts;
    int64_t arrival_ms, due_ms;
    enum entry_state state;
};

/* `config` is copied and must make sense (limits and delay_count at least 1: asserted); `rand` is
 * borrowed. 0, -ENOMEM. */
MUST_CHECK int schedule_new(struct schedule **ret, const struct schedule_config *config,
                            struct rand *rand);
void schedule_free(struct schedule **s); /* NULL is fine; sets *s to NULL */
/* Lower limits take no slot away: none is granted, and those in use get no further entries, until
 * there are few enough. */
void schedule_set_config(struct schedule *s, const struct schedule_config *config);
/*
 * What differs for one destination: its retry policy (NULL: the common one), its slots (0: the
 * common limit). NULL and 0 forget an earlier setting. Both arguments are copied. 0, -ENOMEM.
 */
MUST_CHECK int schedule_set_policy(struct schedule *s, struct slice destination,
                                   const struct retry_policy *policy, uint32_t connections);

/*
 * Files an entry. `destination` is copied, in lower case. `sender_hash` separates senders for the
 * fair turn: hash what stands for the party that sends (with VERP the address differs in every
 * message). `due_ms` in the past means now: the entry is READY at once when the schedule has seen
 * such a time already, else at the next schedule_advance(). 0, -ENOMEM, -ENOBUFS (entries_max).
 */
MUST_CHECK int schedule_add(struct schedule *s, uint64_t id, struct slice destination,
                            uint64_t sender_hash, int64_t arrival_ms, uint32_t attempts,
                            int64_t due_ms, bool held, entry_ref *ret);

/* Moves entries whose time has come to their ready queues (those of a destination that is paused
 * after a failure: behind its pause); at most `max` of them. Returns how many it moved. */
size_t schedule_advance(struct schedule *s, int64_t now_ms, size_t max);
/* When schedule_advance() next has something to do: an entry is due, or a lane that waits for its
 * rate may take again. SCHEDULE_NEVER. */
int64_t schedule_next_due_ms(const struct schedule *s);

/*
 * Grants a connection slot to the destination whose turn it is, of those below their limit with
 * ready entries that no slot granted and not yet used will take: with n ready entries, a
 * destination gets at most n slots before the next schedule_take(). True: `*ret_destination` names
 * it (a handle, valid as long as the slot or any entry of it lives).
 */
bool schedule_grant(struct schedule *s, uint32_t *ret_destination);
/*
 * Takes up to `max` ready entries of that destination for a slot, one of each sender in turn: they
 * become active. Returns how many. 0: release the slot. There are none; or its lane is paused, has
 * no token, or there are more slots than may be; or others wait, all slots are in use, and it is
 * their turn: a lane or destination gives slots to one that has fewer, so that no backlog keeps
 * them for ever. A slot may take again and again: that is how a connection is reused.
 */
size_t schedule_take(struct schedule *s, uint32_t destination, entry_ref *ret, size_t max);
/* How many a slot should take, so that the slots its destination may still be granted get entries
 * too: the ready ones (that its lane's rate allows) divided by those slots. 0: none. */
size_t schedule_share(const struct schedule *s, uint32_t destination);
/* Slots of the destination that are in use. */
uint32_t schedule_slots_of(const struct schedule *s, uint32_t destination);
/* The slot's connection is closed, or handed back. */
void schedule_release(struct schedule *s, uint32_t destination);
struct slice schedule_destination_name(const struct schedule *s, uint32_t destination);

/* How an active entry ended. */
void schedule_done(struct schedule *s, entry_ref ref); /* nothing pending any more: forget it */
/* Deferred: counts an attempt and returns the new due time, by the policy and jitter. */
int64_t schedule_retry(struct schedule *s, entry_ref ref, int64_t now_ms);
/* Was not tried at all (connection refused its turn): ready again, the first of its sender; no
 * attempt counted, its lane's token given back. */
void schedule_return(struct schedule *s, entry_ref ref);
/*
 * The destination cannot be reached at all. It is paused for the policy's first delay, however often
 * it failed: to find out that it is back costs one connection, and all its mail waits for that (what
 * other slots report during the pause counts no more). Its ready entries count an attempt and wait
 * by the policy, entries that come due during the pause wait for its end and count none, all spread
 * by the jitter. The active entries are the caller's: schedule_retry() or schedule_return() for each.
 */
void schedule_destination_failed(struct schedule *s, uint32_t destination, int64_t now_ms);

/* By the policy of its destination: older than max_queue_time; older than delay_dsn. */
bool schedule_is_expired(const struct schedule *s, entry_ref ref, int64_t now_ms);
bool schedule_is_delay_due(const struct schedule *s, entry_ref ref, int64_t now_ms);

/* By the operator, entries that are not active (active ones: -EBUSY). schedule_set_due() also ends
 * the pause of a destination that failed; a held entry stays held and is due then later. */
MUST_CHECK int schedule_set_due(struct schedule *s, entry_ref ref, int64_t due_ms);
MUST_CHECK int schedule_hold(struct schedule *s, entry_ref ref);
/* Held: waits again for its due time, or is ready when that has passed. Not held: nothing. */
MUST_CHECK int schedule_release_hold(struct schedule *s, entry_ref ref, int64_t now_ms);
MUST_CHECK int schedule_cancel(struct schedule *s, entry_ref ref); /* forget it */

/* Entries of a destination that are not active, in the order filed, at most `max`; costs a look at
 * each of the active ones before them. Returns how many. */
size_t schedule_entries_of(const struct schedule *s, uint32_t destination, entry_ref *ret,
                           size_t max);
/* Files an entry under another destination, as the last one there; all else of it stays. The old
 * destination is forgotten with its last entry. 0, -EBUSY (it is active), -ENOMEM. */
MUST_CHECK int schedule_move(struct schedule *s, entry_ref ref, struct slice destination);

/*
 * Makes an entry active without a slot, so that nobody else touches it: while the operator's action
 * on it is made durable, or what is known of it is written. No attempt is counted. -EBUSY: it is
 * active. It ends as other active entries do, or by schedule_unclaim(): it waits for its due time
 * again, or is `held`.
 */
MUST_CHECK int schedule_claim(struct schedule *s, entry_ref ref);
void schedule_unclaim(struct schedule *s, entry_ref ref, bool held);

/* False: no such entry. */
bool schedule_get(const struct schedule *s, entry_ref ref, struct schedule_entry *ret);
/* All entries of message `id`, at most `max`; returns how many there are. */
size_t schedule_find(const struct schedule *s, uint64_t id, entry_ref *ret, size_t max);

struct schedule_destination {
    struct slice name;
    uint32_t index, lane; /* its handle, and its lane */
    uint64_t entries, waiting, ready, active, held;
    uint32_t slots;
    int64_t oldest_arrival_ms; /* of the entry filed first of those not yet done */
    int64_t next_due_ms;       /* of those waiting; SCHEDULE_NEVER */
    int64_t paused_until_ms;   /* after a failure; 0: it is not paused */
    uint32_t failures;         /* in a row */
};
/* Walks destinations (start with *it = 0) and all entries: for listings. No change in between.
 * A destination costs a look at each of its entries. */
bool schedule_next_destination(const struct schedule *s, uint32_t *it,
                               struct schedule_destination *ret);
bool schedule_next_entry(const struct schedule *s, uint32_t *it, struct schedule_entry *ret);

/* ---- lanes: groups of destinations that share limits ---- */

/*
 * Every destination is in one lane; at first in SCHEDULE_LANE_NEW, where each destination gets one
 * slot at a time until its lane is known (if config.connections_new is set). A slot is granted only
 * where its lane has room too; lanes with ready mail take fair turns, within a lane its destinations
 * do. Costs O(1) a grant, a take, a release and a change of limits, whatever the number of lanes and
 * destinations; O(log lanes) for a lane that waits for its rate. A lane is never forgotten; which
 * lane a destination is in is, with the destination, when its last entry and slot are gone.
 */
#define SCHEDULE_LANE_NEW 0
#define SCHEDULE_LANES_MAX 8192

/*
 * All may be lowered below what is in use: then nothing is granted or taken until there is room.
 * The rate is a bucket of tokens, one an entry, that holds one second's worth and at least one. It
 * begins with one token when a lane without a rate gets one. In any time T a lane takes at most
 * per_second * T + one second's worth, but for entries that were active when they moved into it:
 * these it pays for later.
 */
struct schedule_lane_limits {
    uint32_t connections; /* slots of all its destinations; UINT32_MAX: no limit */
    double per_second;    /* entries taken a second, 0 or more; 0: no limit */
    bool paused;          /* no grant, no take */
};
/* A new lane (no limits at first). `*ret` is its number. 0, -ENOMEM, -ENOBUFS. */
MUST_CHECK int schedule_lane_new(struct schedule *s, uint32_t *ret);
void schedule_lane_set_limits(struct schedule *s, uint32_t lane,
                              const struct schedule_lane_limits *limits);
/* Moves a destination, with its slots and entries, into a lane: these may then be more than it has
 * room for. `policy` (copied; NULL: the common one) and `connections` (0: the common limit) hold for
 * it from now on, below what schedule_set_policy() says; equal ones are kept once. 0, -ENOMEM. */
MUST_CHECK int schedule_set_lane(struct schedule *s, uint32_t destination, uint32_t lane,
                                 const struct retry_policy *policy, uint32_t connections);
uint32_t schedule_lane_of(const struct schedule *s, uint32_t destination);
/*
 * No retry wave: those of the lane's entries with attempts > 0 that are ready or due before
 * now + window get new times spread evenly, by chance, over [now, now + window] (behind the pause
 * of their destination, if it is paused for longer). A call looks at `max` entries at most;
 * `*cursor` (0: the start) is where to go on; false: done. A lane has one such walk: to start
 * another ends it. To be called after a pause, a restart, or a cut.
 */
bool schedule_lane_spread(struct schedule *s, uint32_t lane, int64_t now_ms, uint64_t window_ms,
                          uint32_t *cursor, size_t max);
/*
 * The lane has recovered: up to `count` of its waiting entries become due now, before their own
 * time, one of each destination in turn, in the order filed (going on where the last call ended).
 * A pause of their destination ends. They go behind what is ready already of their senders, or
 * (`first`) before it. Returns how many: it may be fewer when waiting entries are far between, for a
 * call looks at 16 times `count` at most, or at 4096.
 */
size_t schedule_lane_release(struct schedule *s, uint32_t lane, int64_t now_ms, size_t count,
                             bool first);

struct schedule_lane_view {
    uint64_t entries, waiting, ready, active, held;
    uint32_t slots, slots_peak; /* peak since the last schedule_lane_reset_peak() */
    uint32_t destinations;
    uint64_t taken; /* entries taken since it was made */
    /* Of the entries filed first of its destinations, none is older: a bound. It may still be that
     * of one that has left, while as many others leave as the lane has destinations, twice.
     * SCHEDULE_NEVER: no entry. */
    int64_t oldest_arrival_ms;
};
void schedule_lane_get(const struct schedule *s, uint32_t lane, struct schedule_lane_view *ret);
void schedule_lane_reset_peak(struct schedule *s, uint32_t lane);

struct schedule_totals {
    uint64_t entries, waiting, ready, active, held, destinations;
    uint32_t slots;
};
void schedule_get_totals(const struct schedule *s, struct schedule_totals *ret);

/* What the schedule has allocated, for the memory figures and the tests. */
size_t schedule_memory_bytes(const struct schedule *s);
