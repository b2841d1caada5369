/*
 * schedule/schedule_int.h - the parts of the schedule, private to this folder.
 *
 *     store.c     the entries, in chunks that never move, and the index from message to entries
 *     timeline.c  the waiting entries in the order of their time
 *     turns.c     destinations, their senders with ready entries, and whose turn it is
 *     schedule.c  the states of an entry: the interface of schedule.h over the three
 *
 * An entry costs 52 bytes, its place in the timeline 8 and in the index 2 to 4. Links are u32
 * references, not pointers, to keep it so small.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rand.h"
#include "base/slice.h"
#include "schedule/schedule.h"

#define NONE UINT32_MAX
#define ENTRY_STATES 4
#define ENTRY_FREE 255 /* the state of an entry that is not in use */

/* A reference must fit the low bits of a place in the timeline. */
#define REF_BITS 26
#define ENTRIES_LIMIT ((UINT64_C(1) << REF_BITS) - 1)
#define ENTRY_CHUNK 4096 /* entries */

/* Times are kept in 48 bits (until the year 10889); TIME_NEVER stands for SCHEDULE_NEVER. */
#define TIME_NEVER ((INT64_C(1) << 48) - 1)

struct entry {
    uint32_t id_low, id_high;
    uint32_t arrival_low, due_low;
    uint16_t arrival_high, due_high;
    uint32_t destination;
    uint32_t sender;
    uint32_t id_next;                /* in the index; of a free one: the next free */
    uint32_t next, prev;             /* READY: among its sender's */
    uint32_t filed_next, filed_prev; /* among its destination's, in the order filed */
    uint16_t attempts;
    uint8_t state; /* enum entry_state or ENTRY_FREE */
    bool shared;   /* READY: in its destination's shared queue */
};
_Static_assert(sizeof(struct entry) == 52, "a million of them must stay small");

static inline uint64_t entry_id(const struct entry *e)
{
    return (uint64_t)e->id_high << 32 | e->id_low;
}
static inline int64_t entry_arrival(const struct entry *e)
{
    return (int64_t)((uint64_t)e->arrival_high << 32 | e->arrival_low);
}
static inline int64_t entry_due(const struct entry *e)
{
    return (int64_t)((uint64_t)e->due_high << 32 | e->due_low);
}
static inline int64_t time_clamp(int64_t ms)
{
    return ms < 0 ? 0 : MIN_OF(ms, TIME_NEVER);
}
void entry_set_due(struct entry *e, int64_t due_ms);

/* ---- store.c ---- */

struct store { /* a zeroed one is empty */
    struct entry **chunks;
    uint32_t chunk_count, chunk_room;
    uint32_t used; /* references ever given out */
    uint32_t free_head;
    uint64_t count;
    uint32_t *buckets; /* of the index by message id; a power of two */
    uint32_t bucket_bits;
};

static inline struct entry *store_at(const struct store *st, uint32_t ref)
{
    return &st->chunks[ref / ENTRY_CHUNK][ref % ENTRY_CHUNK];
}
void store_init(struct store *st);
void store_done(struct store *st);
/* A new entry with its id, in the index; the rest is zero. NONE: no memory. */
uint32_t store_add(struct store *st, uint64_t id);
void store_remove(struct store *st, uint32_t ref);
/* Frees the memory of a store that has become empty, but for what a quiet server needs. */
void store_shrink(struct store *st);
size_t store_find(const struct store *st, uint64_t id, uint32_t *ret, size_t max);
size_t store_bytes(const struct store *st);

/* ---- timeline.c ---- */

/*
 * A 4-ary heap of 64-bit places: 38 bits of time since `base_ms` (8.7 years of ms) over 26 bits
 * of reference, so that one comparison orders two places without a look at their entries. A place
 * is not removed when its entry stops waiting: it becomes stale, and is dropped at the top or when
 * half of them are. The top is never stale.
 */
struct timeline {
    struct store *store; /* borrowed */
    uint64_t **chunks;
    uint32_t chunk_count, chunk_room;
    size_t count, stale;
    int64_t base_ms;
};

void timeline_init(struct timeline *t, struct store *store);
void timeline_done(struct timeline *t);
/* Room for `count` places, so that pushes cannot fail while no more entries than that wait. */
MUST_CHECK int timeline_reserve(struct timeline *t, size_t count);
/* The entry's state is WAITING and its due time set. */
void timeline_push(struct timeline *t, uint32_t ref);
/* The entry was waiting, and no longer is (or will be pushed again): its state or due time has
 * changed already. */
void timeline_forget(struct timeline *t);
/* Takes out the first entry if it is due; NONE. Give it its new state, then settle. */
uint32_t timeline_pop(struct timeline *t, int64_t now_ms);
void timeline_settle(struct timeline *t);
int64_t timeline_next(const struct timeline *t); /* TIME_NEVER */
/* Orders anew around `now_ms`, after due times were changed or time went far. */
void timeline_rebuild(struct timeline *t, int64_t now_ms);
bool timeline_is_far(const struct timeline *t, int64_t now_ms);
void timeline_shrink(struct timeline *t);
size_t timeline_bytes(const struct timeline *t);

/* ---- turns.c ---- */

#define SENDERS_MAX 32768 /* sub-queues in all; further senders share one a destination */
#define SENDERS_PER_DESTINATION 1024
#define SENDER_BUCKETS 8192

/* The ready entries of one sender at one destination: exists only while there are some. */
struct sender_queue {
    struct list turn; /* in its destination's `senders` */
    struct sender_queue *chain;
    uint32_t head, tail;
    uint32_t sender, destination;
};

struct policy { /* what differs for one destination */
    struct retry_policy retry;
    bool has_retry;
    uint32_t connections;
    uint32_t name_len;
    uint8_t name[];
};

struct destination {
    struct list turn;    /* in `turns` while a slot may be granted to it */
    struct list senders; /* sub-queues in the order of their turns */
    struct sender_queue shared;
    const struct policy *policy; /* NULL: nothing differs */
    int64_t paused_until_ms;
    uint32_t pause_ms, spread_ms;
    uint32_t failures;
    uint32_t counts[ENTRY_STATES];
    uint32_t slots, unused_slots; /* granted; of these, not yet used for a take */
    uint32_t sender_count;
    uint32_t filed_head, filed_tail;
    uint32_t index;
    uint32_t name_len;
    uint8_t name[];
};

struct turns {
    struct store *store; /* borrowed */
    struct destination **table;
    uint32_t *free_indices; /* of the table, `free_count` of them */
    uint32_t table_count, table_room, free_count;
    struct map by_name;
    struct map policies;
    struct list turns;
    struct sender_queue **buckets; /* by destination and sender */
    struct sender_queue *spare;    /* chained */
    uint32_t sender_count, spare_count;
    uint32_t slots, slots_per_destination; /* granted in all; the common limit of one */
    size_t destination_bytes;
};

MUST_CHECK int turns_init(struct turns *t, struct store *store, uint64_t seed);
void turns_done(struct turns *t);
/* The destination of that name (any case), made when new; NULL: no memory. */
struct destination *turns_destination(struct turns *t, struct slice name);
static inline struct destination *turns_at(const struct turns *t, uint32_t index)
{
    return t->table[index];
}
/* Frees the destination once nothing of it is left. */
void turns_drop_if_idle(struct turns *t, struct destination *d);
MUST_CHECK int turns_set_policy(struct turns *t, struct slice name,
                                const struct retry_policy *retry, uint32_t connections);
/* How many slots it may have. */
uint32_t turns_limit(const struct turns *t, const struct destination *d);
/* Its place in the round of destinations, after its counts, slots or limits changed. */
void turns_update(struct turns *t, struct destination *d);
void turns_update_all(struct turns *t);
/* Puts the entry (state READY) among its sender's: as the last, or the first. */
void turns_enqueue(struct turns *t, uint32_t ref, bool first);
/* Takes it out from where it is (state still READY). */
void turns_dequeue(struct turns *t, uint32_t ref);
/* The entry of the sender whose turn it is, taken out; NONE. */
uint32_t turns_next(struct turns *t, struct destination *d);
size_t turns_bytes(const struct turns *t);
