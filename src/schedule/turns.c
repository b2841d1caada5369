#include "schedule/schedule_int.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

#define SPARE_MAX 1024 /* sender queues kept for the next senders */

int turns_init(struct turns *t, struct store *store, uint64_t seed)
{
    *t = (struct turns){.store = store};
    map_init(&t->by_name, seed);
    map_init(&t->policies, seed);
    list_init(&t->turns);
    t->buckets = calloc(SENDER_BUCKETS, sizeof(struct sender_queue *));
    return t->buckets ? 0 : -ENOMEM;
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
    struct slice name;
    void *policy;
    size_t it = 0;

    for (size_t i = 0; t->buckets && i < SENDER_BUCKETS; i++)
        free_chain(t->buckets[i]);
    free_chain(t->spare);
    free(t->buckets);
    for (uint32_t i = 0; i < t->table_count; i++)
        free(t->table[i]);
    free(t->table);
    free(t->free_indices);
    while (map_next(&t->policies, &it, &name, &policy))
        free(policy);
    map_done(&t->policies);
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
    list_init(&d->senders);
    list_init(&d->shared.turn);
    d->shared.head = d->shared.tail = NONE;
    d->filed_head = d->filed_tail = NONE;
    d->name_len = (uint32_t)name.len;
    for (size_t i = 0; i < name.len; i++)
        d->name[i] = byte_lower(name.ptr[i]);
    key = slice_make(d->name, d->name_len);
    d->policy = map_get(&t->policies, key);
    if (map_put(&t->by_name, key, d) < 0) {
        free(d);
        return NULL;
    }
    return d;
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
    t->destination_bytes -= sizeof(*d) + d->name_len;
    t->table[d->index] = NULL;
    t->free_indices[t->free_count++] = d->index;
    free(d);
}

static struct policy *policy_new(struct slice name, const struct retry_policy *retry,
                                 uint32_t connections)
{
    struct policy *p = calloc(1, sizeof(*p) + name.len);

    if (!p)
        return NULL;
    if (retry) {
        p->retry = *retry;
        p->has_retry = true;
    }
    p->connections = connections;
    p->name_len = (uint32_t)name.len;
    for (size_t i = 0; i < name.len; i++)
        p->name[i] = byte_lower(name.ptr[i]);
    return p;
}

int turns_set_policy(struct turns *t, struct slice name, const struct retry_policy *retry,
                     uint32_t connections)
{
    struct destination *d = map_get(&t->by_name, name);
    struct policy *old = map_get(&t->policies, name), *p = NULL;

    if (retry || connections > 0) {
        p = policy_new(name, retry, connections);
        if (!p || map_put(&t->policies, slice_make(p->name, p->name_len), p) < 0) {
            free(p);
            return -ENOMEM;
        }
    } else {
        (void)map_remove(&t->policies, name);
    }
    if (d) {
        d->policy = p;
        turns_update(t, d);
    }
    free(old);
    return 0;
}

uint32_t turns_limit(const struct turns *t, const struct destination *d)
{
    return d->policy && d->policy->connections ? d->policy->connections : t->slots_per_destination;
}

void turns_update(struct turns *t, struct destination *d)
{
    bool wants = d->counts[ENTRY_READY] > d->unused_slots && d->slots < turns_limit(t, d);
    bool waits = !list_is_empty(&d->turn);

    if (wants && !waits)
        list_add_tail(&t->turns, &d->turn);
    else if (!wants && waits)
        list_del(&d->turn);
}

void turns_update_all(struct turns *t)
{
    for (uint32_t i = 0; i < t->table_count; i++)
        if (t->table[i])
            turns_update(t, t->table[i]);
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

size_t turns_bytes(const struct turns *t)
{
    return t->table_room * (sizeof(struct destination *) + sizeof(uint32_t)) +
           SENDER_BUCKETS * sizeof(struct sender_queue *) +
           (t->sender_count + t->spare_count) * sizeof(struct sender_queue) +
           t->by_name.size * sizeof(struct map_slot) + t->destination_bytes;
}
