#include "schedule/schedule_int.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

#define SPARE_MAX 1024 /* sender queues kept for the next senders */

/* A destination that had its slots take so many entries each gives one to another that has fewer. */
#define TURN_ENTRIES 64
#define TURN_TAKEN_MAX (UINT32_MAX / 2)

int turns_init(struct turns *t, struct store *store, const int64_t *now_ms, uint64_t seed)
{
    *t = (struct turns){.store = store, .now_ms = now_ms};
    map_init(&t->by_name, seed);
    policies_init(&t->policies, seed);
    list_init(&t->turns);
    t->buckets = calloc(SENDER_BUCKETS, sizeof(struct sender_queue *));
    return t->buckets ? lane_add(t) : -ENOMEM;
}

static void free_chain(struct sender_queue *q)
{
    while (q) {
        struct sender_queue *next = q->chain;

        free(q);
        q = next;
    }
}

void turns_done(struct turns *t)
{
    for (size_t i = 0; t->buckets && i < SENDER_BUCKETS; i++)
        free_chain(t->buckets[i]);
    free_chain(t->spare);
    free(t->buckets);
    for (uint32_t i = 0; i < t->table_count; i++)
        free(t->table[i]);
    free(t->table);
    free(t->free_indices);
    lanes_done(t);
    policies_done(&t->policies);
    map_done(&t->by_name);
}

/* ---- destinations ---- */

static bool table_grow(struct turns *t)
{
    uint32_t room = MAX_OF(t->table_room * 2, 64u);
    struct destination **table = realloc(t->table, room * sizeof(struct destination *));
    uint32_t *indices;

    if (!table)
        return false;
    t->table = table;
    indices = realloc(t->free_indices, room * sizeof(*indices));
    if (!indices)
        return false;
    t->free_indices = indices;
    t->table_room = room;
    return true;
}

static struct destination *destination_new(struct turns *t, struct slice name)
{
    struct destination *d = calloc(1, sizeof(*d) + name.len);
    struct slice key;

    if (!d)
        return NULL;
    list_init(&d->turn);
    list_init(&d->member);
    list_init(&d->senders);
    list_init(&d->shared.turn);
    d->shared.head = d->shared.tail = NONE;
    d->filed_head = d->filed_tail = d->release_at = NONE;
    d->name_len = (uint32_t)name.len;
    for (size_t i = 0; i < name.len; i++)
        d->name[i] = byte_lower(name.ptr[i]);
    key = slice_make(d->name, d->name_len);
    d->policy = map_get(&t->policies.by_name, key);
    if (map_put(&t->by_name, key, d) < 0) {
        free(d);
        return NULL;
    }
    return d;
}

static void join_lane(struct destination *d, struct lane *l)
{
    d->lane = l;
    list_add_tail(&l->members, &d->member);
    l->destination_count++;
    for (int state = 0; state < ENTRY_STATES; state++)
        l->counts[state] += d->counts[state];
    l->slots += d->slots;
    l->unused_slots += d->unused_slots;
    l->slots_peak = MAX_OF(l->slots_peak, l->slots);
}

static void leave_lane(struct destination *d)
{
    struct lane *l = d->lane;

    for (int walk = 0; walk < LANE_WALKS; walk++)
        if (l->walks[walk] == &d->member)
            lane_walk_on(l, (enum lane_walk)walk);
    list_del(&d->member);
    list_del(&d->turn);
    l->destination_count--;
    for (int state = 0; state < ENTRY_STATES; state++)
        l->counts[state] -= d->counts[state];
    l->slots -= d->slots;
    l->unused_slots -= d->unused_slots;
}

struct destination *turns_destination(struct turns *t, struct slice name)
{
    struct destination *d = map_get(&t->by_name, name);

    if (d)
        return d;
    if (t->free_count == 0 && t->table_count == t->table_room && !table_grow(t))
        return NULL;
    d = destination_new(t, name);
    if (!d)
        return NULL;
    d->index = t->free_count ? t->free_indices[--t->free_count] : t->table_count++;
    d->shared.destination = d->index;
    t->table[d->index] = d;
    join_lane(d, t->lanes[SCHEDULE_LANE_NEW]);
    t->destination_bytes += sizeof(*d) + name.len;
    return d;
}

void turns_drop_if_idle(struct turns *t, struct destination *d)
{
    void *removed;

    if (d->filed_head != NONE || d->slots > 0)
        return;
    ASSERT(list_is_empty(&d->senders) && list_is_empty(&d->turn));
    removed = map_remove(&t->by_name, slice_make(d->name, d->name_len));
    ASSERT(removed == d);
    leave_lane(d);
    policies_unshare(&t->policies, d->lane_policy);
    t->destination_bytes -= sizeof(*d) + d->name_len;
    t->table[d->index] = NULL;
    t->free_indices[t->free_count++] = d->index;
    free(d);
}

int turns_set_policy(struct turns *t, struct slice name, const struct retry_policy *retry,
                     uint32_t connections)
{
    struct destination *d = map_get(&t->by_name, name);
    struct policy *policy, *old;
    int r = policies_set(&t->policies, name, retry, connections, &policy, &old);

    if (r < 0)
        return r;
    if (d) {
        d->policy = policy;
        turns_update(t, d);
    }
    free(old);
    return 0;
}

int turns_set_lane(struct turns *t, struct destination *d, struct lane *l,
                   const struct retry_policy *retry, uint32_t connections)
{
    struct shared_policy *old = d->lane_policy, *shared = NULL;
    struct lane *from = d->lane;

    if (retry || connections > 0) {
        shared = policies_share(&t->policies, retry, connections);
        if (!shared)
            return -ENOMEM;
    }
    d->lane_policy = shared;
    policies_unshare(&t->policies, old);
    if (l != from) {
        leave_lane(d);
        join_lane(d, l);
        if (d->filed_head != NONE)
            lane_see_arrival(l, entry_arrival(store_at(t->store, d->filed_head)));
        lane_charge(t, l, d->counts[ENTRY_ACTIVE]);
        lane_update(t, from);
    }
    turns_update(t, d);
    return 0;
}

uint32_t turns_limit(const struct turns *t, const struct destination *d)
{
    if (d->lane->index == SCHEDULE_LANE_NEW && t->slots_new > 0)
        return 1;
    if (d->policy && d->policy->connections)
        return d->policy->connections;
    return d->lane_policy && d->lane_policy->connections ? d->lane_policy->connections
                                                         : t->slots_per_destination;
}

/* ---- whose turn it is ---- */

void turns_count(struct destination *d, uint8_t state, int by)
{
    d->counts[state] += (uint32_t)by;
    d->lane->counts[state] += (uint64_t)(int64_t)by;
}

void turns_count_slot(struct turns *t, struct destination *d, int by)
{
    d->slots += (uint32_t)by;
    d->lane->slots += (uint32_t)by;
    d->lane->slots_peak = MAX_OF(d->lane->slots_peak, d->lane->slots);
    t->slots += (uint32_t)by;
    if (d->slots == 0)
        d->turn_taken = 0;
    if (d->lane->slots == 0)
        d->lane->turn_taken = 0;
}

void turns_count_taken(struct turns *t, struct destination *d, size_t entries)
{
    uint32_t n = (uint32_t)MIN_OF(entries, TURN_TAKEN_MAX);

    d->turn_taken = MIN_OF(d->turn_taken + n, TURN_TAKEN_MAX);
    d->lane->turn_taken = MIN_OF(d->lane->turn_taken + n, TURN_TAKEN_MAX);
    d->lane->taken += entries;
    lane_charge(t, d->lane, (int64_t)entries);
}

void turns_use_slot(struct destination *d)
{
    if (d->unused_slots == 0)
        return;
    d->unused_slots--;
    d->lane->unused_slots--;
}

void turns_update(struct turns *t, struct destination *d)
{
    bool wants = d->counts[ENTRY_READY] > d->unused_slots && d->slots < turns_limit(t, d);
    bool waits = !list_is_empty(&d->turn);

    if (wants && !waits)
        list_add_tail(&d->lane->waiting, &d->turn);
    else if (!wants && waits)
        list_del(&d->turn);
    lane_update(t, d->lane);
}

void turns_update_all(struct turns *t)
{
    for (uint32_t i = 0; i < t->table_count; i++)
        if (t->table[i])
            turns_update(t, t->table[i]);
}

struct destination *turns_grant(struct turns *t)
{
    struct list *node = t->slots < t->slots_max ? list_pop(&t->turns) : NULL;
    struct destination *d;

    if (!node)
        return NULL;
    d = LIST_ENTRY(list_pop(&LIST_ENTRY(node, struct lane, turn)->waiting), struct destination,
                   turn);
    turns_count_slot(t, d, 1);
    d->unused_slots++;
    d->lane->unused_slots++;
    turns_update(t, d); /* to the end of its round, if it has use for another, and so its lane */
    return d;
}

/* Whether one who has `mine` slots, and took so much since it last gave one away, is to give one to
 * the first who waits with `theirs`: at once when that makes the two more equal, else in turns. */
static bool is_turn_of(uint32_t theirs, uint32_t mine, uint32_t taken)
{
    return theirs + 1 < mine || (theirs < mine && taken >= (uint64_t)mine * TURN_ENTRIES);
}

/* The first who waits does not stand in the way of one who has none at all. */
static void let_pass(struct list *round, struct list *first, uint32_t theirs)
{
    if (theirs == 0)
        return;
    list_del(first);
    list_add_tail(round, first);
}

static bool lane_hands_over(struct turns *t, struct lane *l)
{
    struct lane *first;

    if (list_is_empty(&t->turns))
        return false;
    first = LIST_ENTRY(t->turns.next, struct lane, turn);
    if (first != l && is_turn_of(first->slots, l->slots, l->turn_taken)) {
        l->turn_taken = 0;
        return true;
    }
    let_pass(&t->turns, &first->turn, first->slots);
    return false;
}

static bool destination_hands_over(struct destination *d)
{
    struct lane *l = d->lane;
    struct destination *first;

    if (list_is_empty(&l->waiting))
        return false;
    first = LIST_ENTRY(l->waiting.next, struct destination, turn);
    if (first != d && is_turn_of(first->slots, d->slots, d->turn_taken)) {
        d->turn_taken = 0;
        return true;
    }
    let_pass(&l->waiting, &first->turn, first->slots);
    return false;
}

/* Only where slots are what the others wait for. None of them starves: who has no slot comes to the
 * front, stays there, and gets the next one of those who have two, or have had their turn. */
bool turns_hand_over(struct turns *t, struct destination *d)
{
    struct lane *l = d->lane;
    bool full = t->slots >= t->slots_max;

    if (t->slots > t->slots_max || d->slots > turns_limit(t, d) || lane_is_over(t, l))
        return true;
    if (full && lane_hands_over(t, l))
        return true;
    if (!(full || l->slots >= lane_limit(t, l)) || !destination_hands_over(d))
        return false;
    if (!list_is_empty(&l->turn)) { /* the slot stays in this lane */
        list_del(&l->turn);
        list_add_head(&t->turns, &l->turn);
    }
    return true;
}

/* ---- senders ---- */

static struct sender_queue **bucket_of(const struct turns *t, uint32_t destination, uint32_t sender)
{
    uint64_t key = (uint64_t)destination << 32 | sender;

    return &t->buckets[(key * 0x9e3779b97f4a7c15u >> 32) % SENDER_BUCKETS];
}

static struct sender_queue **sender_find(const struct turns *t, uint32_t destination,
                                         uint32_t sender)
{
    struct sender_queue **link = bucket_of(t, destination, sender);

    while (*link && ((*link)->destination != destination || (*link)->sender != sender))
        link = &(*link)->chain;
    return link;
}

/* A queue for a new sender, or NULL: too many senders, or no memory. They share one then. */
static struct sender_queue *sender_new(struct turns *t, struct destination *d, uint32_t sender,
                                       struct sender_queue **link)
{
    struct sender_queue *q = t->spare;

    if (t->sender_count >= SENDERS_MAX || d->sender_count >= SENDERS_PER_DESTINATION)
        return NULL;
    if (q) {
        t->spare = q->chain;
        t->spare_count--;
    } else {
        q = malloc(sizeof(*q));
        if (!q)
            return NULL;
    }
    *q = (struct sender_queue){
        .head = NONE, .tail = NONE, .sender = sender, .destination = d->index};
    list_init(&q->turn);
    *link = q;
    t->sender_count++;
    d->sender_count++;
    return q;
}

static void sender_drop(struct turns *t, struct destination *d, struct sender_queue *q)
{
    struct sender_queue **link = sender_find(t, d->index, q->sender);

    ASSERT(*link == q);
    *link = q->chain;
    t->sender_count--;
    d->sender_count--;
    if (t->spare_count >= SPARE_MAX) {
        free(q);
        return;
    }
    q->chain = t->spare;
    t->spare = q;
    t->spare_count++;
}

void turns_enqueue(struct turns *t, uint32_t ref, bool first)
{
    struct entry *e = store_at(t->store, ref);
    struct destination *d = turns_at(t, e->destination);
    struct sender_queue **link = sender_find(t, d->index, e->sender);
    struct sender_queue *q = *link ? *link : sender_new(t, d, e->sender, link);

    e->shared = !q;
    if (!q)
        q = &d->shared;
    if (q->head == NONE) {
        q->head = q->tail = ref;
        e->next = e->prev = NONE;
        list_add_tail(&d->senders, &q->turn);
    } else if (first) {
        e->prev = NONE;
        e->next = q->head;
        store_at(t->store, q->head)->prev = ref;
        q->head = ref;
    } else {
        e->next = NONE;
        e->prev = q->tail;
        store_at(t->store, q->tail)->next = ref;
        q->tail = ref;
    }
}

static void unlink_entry(struct turns *t, struct destination *d, struct sender_queue *q,
                         struct entry *e)
{
    *(e->prev == NONE ? &q->head : &store_at(t->store, e->prev)->next) = e->next;
    *(e->next == NONE ? &q->tail : &store_at(t->store, e->next)->prev) = e->prev;
    e->next = e->prev = NONE;
    if (q->head != NONE)
        return;
    list_del(&q->turn);
    if (q != &d->shared)
        sender_drop(t, d, q);
}

void turns_dequeue(struct turns *t, uint32_t ref)
{
    struct entry *e = store_at(t->store, ref);
    struct destination *d = turns_at(t, e->destination);
    struct sender_queue *q = e->shared ? &d->shared : *sender_find(t, d->index, e->sender);

    ASSERT(q && q->head != NONE);
    unlink_entry(t, d, q, e);
}

uint32_t turns_next(struct turns *t, struct destination *d)
{
    struct list *node = list_pop(&d->senders);
    struct sender_queue *q;
    uint32_t ref;

    if (!node)
        return NONE;
    q = LIST_ENTRY(node, struct sender_queue, turn);
    list_add_tail(&d->senders, node); /* its next turn, if something is left */
    ref = q->head;
    unlink_entry(t, d, q, store_at(t->store, ref));
    return ref;
}

/* ---- the entries of a destination in the order filed ---- */

void turns_file(struct turns *t, struct destination *d, uint32_t ref)
{
    struct entry *e = store_at(t->store, ref);

    e->destination = d->index;
    e->filed_prev = d->filed_tail;
    if (d->filed_tail == NONE) {
        d->filed_head = ref;
        lane_see_arrival(d->lane, entry_arrival(e));
    } else {
        store_at(t->store, d->filed_tail)->filed_next = ref;
    }
    d->filed_tail = ref;
}

void turns_unfile(struct turns *t, struct destination *d, uint32_t ref)
{
    const struct entry *e = store_at(t->store, ref);

    if (d->lane->spread_ref == ref)
        d->lane->spread_ref = e->filed_next;
    if (d->release_at == ref)
        d->release_at = e->filed_next;
    if (e->filed_next == NONE)
        d->filed_tail = e->filed_prev;
    else
        store_at(t->store, e->filed_next)->filed_prev = e->filed_prev;
    if (e->filed_prev != NONE) {
        store_at(t->store, e->filed_prev)->filed_next = e->filed_next;
        return;
    }
    d->filed_head = e->filed_next;
    if (d->filed_head != NONE)
        lane_see_arrival(d->lane, entry_arrival(store_at(t->store, d->filed_head)));
}

size_t turns_bytes(const struct turns *t)
{
    return t->table_room * (sizeof(struct destination *) + sizeof(uint32_t)) +
           SENDER_BUCKETS * sizeof(struct sender_queue *) +
           (t->sender_count + t->spare_count) * sizeof(struct sender_queue) +
           t->by_name.size * sizeof(struct map_slot) + t->destination_bytes + lanes_bytes(t) +
           policies_bytes(&t->policies);
}
