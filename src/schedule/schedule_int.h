/*
 * schedule/schedule_int.h - the parts of the schedule, private to this folder.
 *
 *     store.c     the entries, in chunks that never move, and the index from message to entries
 *     timeline.c  the waiting entries in the order of their time
 *     policy.c    what differs for some destinations: by their name, and by their lane
 *     lane.c      groups of destinations: their limits, their rate, and which of them has a turn
 *     turns.c     destinations, their senders with ready entries, and whose turn it is
 *     schedule.c  the states of an entry: the interface of schedule.h over these
 *     backlog.c   what is done to the waiting entries of one lane: spread, released early
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

/* ---- policy.c ---- */

struct policy { /* what differs for one destination, by its name */
    struct retry_policy retry;
    bool has_retry;
    uint32_t connections; /* 0: does not differ */
    uint32_t name_len;
    uint8_t name[];
};

/* The same for a destination by its lane. Thousands of destinations share one: equal ones are kept
 * once, as long as some destination has it. */
struct shared_policy {
    struct shared_policy *chain;
    struct retry_policy retry;
    bool has_retry;
    uint32_t connections, users;
};

#define POLICY_BUCKETS 64

struct policies {
    struct map by_name;
    struct shared_policy *buckets[POLICY_BUCKETS];
    size_t bytes;
};

void policies_init(struct policies *p, uint64_t seed);
void policies_done(struct policies *p);
/* Sets (`retry` not NULL or `connections` not 0) or forgets the policy of that name. `*ret_old` is
 * the one before, for the caller to free; NULL. `*ret`: the new one. 0, -ENOMEM. */
MUST_CHECK int policies_set(struct policies *p, struct slice name, const struct retry_policy *retry,
                            uint32_t connections, struct policy **ret, struct policy **ret_old);
/* One more user of that policy; NULL: no memory. */
struct shared_policy *policies_share(struct policies *p, const struct retry_policy *retry,
                                     uint32_t connections);
void policies_unshare(struct policies *p, struct shared_policy *shared); /* NULL is fine */
size_t policies_bytes(const struct policies *p);

/* ---- lane.c ---- */

enum lane_walk { WALK_AGE, WALK_SPREAD, WALK_RELEASE, LANE_WALKS };

struct lane {
    struct list turn;    /* in `turns` while a slot may be granted in it */
    struct list waiting; /* its destinations that may be granted one, in the order of their turns */
    struct list members; /* all its destinations */
    struct list *walks[LANE_WALKS]; /* the member each walk is at, or &members: the end */
    struct schedule_lane_limits limits;
    uint64_t counts[ENTRY_STATES];
    uint64_t taken;
    double tokens; /* at `tokens_ms`. Below 0: entries came into the lane while they were active */
    int64_t tokens_ms;
    int64_t wake_ms;     /* when it has a token for another slot, if it waits for that alone */
    uint32_t wake_place; /* in `wakes`; NONE */
    uint32_t slots, unused_slots, slots_peak;
    uint32_t turn_taken; /* entries taken since it last handed a slot over */
    uint32_t destination_count;
    uint32_t index;
    uint32_t spread_ref;    /* the next entry of WALK_SPREAD, of the destination it is at; NONE */
    uint64_t spread_left;   /* looks */
    int64_t oldest_ms;      /* no entry filed first of a destination is older; TIME_NEVER */
    int64_t oldest_next_ms; /* the same of those that WALK_AGE has seen since its start */
};

struct destination;
struct turns;

/* A new lane, as the last of `lanes`. 0, -ENOMEM, -ENOBUFS. */
MUST_CHECK int lane_add(struct turns *t);
struct lane *lane_at(const struct turns *t, uint32_t lane); /* there must be one */
void lanes_done(struct turns *t);
size_t lanes_bytes(const struct turns *t);
void lane_set_limits(struct turns *t, struct lane *l, const struct schedule_lane_limits *limits);
/* How many slots it may have. */
uint32_t lane_limit(const struct turns *t, const struct lane *l);
/* It is paused, or has more slots than it may. */
bool lane_is_over(const struct turns *t, const struct lane *l);
/* How many entries its rate lets it take now. */
uint64_t lane_tokens(const struct turns *t, const struct lane *l);
/* Entries were taken; negative: given back untried. Call lane_update() when done. */
void lane_charge(struct turns *t, struct lane *l, int64_t entries);
/* Its place in the round of lanes, after its destinations, slots, limits or tokens changed. */
void lane_update(struct turns *t, struct lane *l);
/* Those whose tokens have come. */
void lanes_wake(struct turns *t);
int64_t lanes_next_wake(const struct turns *t); /* TIME_NEVER */
void lanes_move_back(struct turns *t, int64_t by_ms);
/* Walks over its destinations, which may come and go meanwhile: where it is (NULL: at the end). */
struct destination *lane_walk_at(const struct lane *l, enum lane_walk walk);
void lane_walk_start(struct lane *l, enum lane_walk walk);
void lane_walk_on(struct lane *l, enum lane_walk walk);
/* An entry of that arrival is the first filed of one of its destinations. */
void lane_see_arrival(struct lane *l, int64_t arrival_ms);
/* One entry is gone: a look at the next destination keeps `oldest_ms` close to the truth. */
void lane_look_at_age(const struct turns *t, struct lane *l);

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

struct destination {
    struct list turn;    /* in its lane's `waiting` while a slot may be granted to it */
    struct list member;  /* in its lane's `members` */
    struct list senders; /* sub-queues in the order of their turns */
    struct sender_queue shared;
    struct lane *lane;
    const struct policy *policy;       /* by its name; NULL: nothing differs */
    struct shared_policy *lane_policy; /* by its lane; NULL */
    int64_t paused_until_ms;
    uint32_t pause_ms, spread_ms;
    uint32_t failures;
    uint32_t counts[ENTRY_STATES];
    uint32_t slots, unused_slots; /* granted; of these, not yet used for a take */
    uint32_t turn_taken;          /* entries taken since it last handed a slot over */
    uint32_t sender_count;
    uint32_t filed_head, filed_tail;
    uint32_t release_at; /* where the next early release looks first; NONE: at the head */
    uint32_t index;
    uint32_t name_len;
    uint8_t name[];
};

struct turns {
    struct store *store;   /* borrowed */
    const int64_t *now_ms; /* borrowed: the last time seen; below 0: none yet */
    struct destination **table;
    uint32_t *free_indices; /* of the table, `free_count` of them */
    uint32_t table_count, table_room, free_count;
    struct map by_name;
    struct policies policies;
    struct lane **lanes;
    struct lane **wakes; /* a heap by wake_ms: those that wait for their rate alone */
    uint32_t lane_count, lane_room, wake_count;
    struct list turns;             /* the round of lanes */
    struct sender_queue **buckets; /* by destination and sender */
    struct sender_queue *spare;    /* chained */
    uint32_t sender_count, spare_count;
    uint32_t slots, slots_max;      /* granted, and that may be, in all */
    uint32_t slots_per_destination; /* the common limit of one */
    uint32_t slots_new;             /* of SCHEDULE_LANE_NEW; 0: lanes are not used */
    size_t destination_bytes;
};

MUST_CHECK int turns_init(struct turns *t, struct store *store, const int64_t *now_ms,
                          uint64_t seed);
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
MUST_CHECK int turns_set_lane(struct turns *t, struct destination *d, struct lane *l,
                              const struct retry_policy *retry, uint32_t connections);
/* How many slots it may have. */
uint32_t turns_limit(const struct turns *t, const struct destination *d);
/* An entry enters (by 1) or leaves (by -1) that state. */
void turns_count(struct destination *d, uint8_t state, int by);
/* Slots are granted (1) or released (-1). */
void turns_count_slot(struct turns *t, struct destination *d, int by);
/* A slot of it will take, or be released: it is no more an unused one, if there is one. */
void turns_use_slot(struct destination *d);
/* So many entries were taken over one of its slots. Call turns_update() when done. */
void turns_count_taken(struct turns *t, struct destination *d, size_t entries);
/* The destination whose turn it is, its slot counted; NULL. */
struct destination *turns_grant(struct turns *t);
/* A slot of the destination is to be given back instead of used again: there are too many, or it
 * is the turn of others who have fewer. */
bool turns_hand_over(struct turns *t, struct destination *d);
/* Its place in the round of its lane, after its counts, slots or limits changed; its lane's too. */
void turns_update(struct turns *t, struct destination *d);
void turns_update_all(struct turns *t);
/* Puts the entry (state READY) among its sender's: as the last, or the first. */
void turns_enqueue(struct turns *t, uint32_t ref, bool first);
/* Takes it out from where it is (state still READY). */
void turns_dequeue(struct turns *t, uint32_t ref);
/* The entry of the sender whose turn it is, taken out; NONE. */
uint32_t turns_next(struct turns *t, struct destination *d);
/* The entry, of that destination, is the last filed; is gone. */
void turns_file(struct turns *t, struct destination *d, uint32_t ref);
void turns_unfile(struct turns *t, struct destination *d, uint32_t ref);
size_t turns_bytes(const struct turns *t);

/* ---- schedule.c ---- */

struct schedule {
    struct schedule_config config;
    struct rand *rand;
    struct store store;
    struct timeline timeline;
    struct turns turns;
    int64_t now_ms; /* the last time seen */
    uint64_t counts[ENTRY_STATES];
};

/* Every time the caller tells passes here. Returns it in the range that entries can keep. */
int64_t schedule_see_time(struct schedule *s, int64_t now_ms);
/* Takes the entry out of the state it is in; schedule_enter_at() or the like must follow. */
void schedule_leave(struct schedule *s, uint32_t ref);
/* It waits for that time, behind the pause of its destination; ready when it has come. */
void schedule_enter_at(struct schedule *s, uint32_t ref, int64_t due_ms);
/* As the last, or the first, of its sender's; where its destination is paused it waits instead. */
void schedule_enter_ready(struct schedule *s, uint32_t ref, bool first);
