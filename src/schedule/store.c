#include "schedule/schedule_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define BUCKET_BITS_MIN 10

void entry_set_due(struct entry *e, int64_t due_ms)
{
    uint64_t due = (uint64_t)time_clamp(due_ms);

    e->due_low = (uint32_t)due;
    e->due_high = (uint16_t)(due >> 32);
}

void store_init(struct store *st)
{
    *st = (struct store){.free_head = NONE};
}

void store_done(struct store *st)
{
    for (uint32_t i = 0; i < st->chunk_count; i++)
        free(st->chunks[i]);
    free(st->chunks);
    free(st->buckets);
    store_init(st);
}

static size_t bucket_count(const struct store *st)
{
    return st->buckets ? (size_t)1 << st->bucket_bits : 0;
}

static uint32_t *bucket_of(const struct store *st, uint64_t id)
{
    return &st->buckets[id * 0x9e3779b97f4a7c15u >> (64 - st->bucket_bits)];
}

static void index_put(struct store *st, uint32_t ref)
{
    struct entry *e = store_at(st, ref);
    uint32_t *bucket = bucket_of(st, entry_id(e));

    e->id_next = *bucket;
    *bucket = ref;
}

/* Doubles the index. When there is no memory for it the old one serves on, only slower. */
static bool index_grow(struct store *st)
{
    uint32_t bits = st->buckets ? st->bucket_bits + 1 : BUCKET_BITS_MIN;
    size_t bytes = sizeof(uint32_t) << bits;
    uint32_t *bigger = malloc(bytes);

    if (!bigger)
        return st->buckets != NULL;
    memset(bigger, 0xff, bytes); /* NONE everywhere */
    free(st->buckets);
    st->buckets = bigger;
    st->bucket_bits = bits;
    for (uint32_t ref = 0; ref < st->used; ref++)
        if (store_at(st, ref)->state != ENTRY_FREE)
            index_put(st, ref);
    return true;
}

static bool chunk_add(struct store *st)
{
    if (st->chunk_count == st->chunk_room) {
        uint32_t room = MAX_OF(st->chunk_room * 2, 16u);
        struct entry **chunks = realloc(st->chunks, room * sizeof(struct entry *));

        if (!chunks)
            return false;
        st->chunks = chunks;
        st->chunk_room = room;
    }
    st->chunks[st->chunk_count] = malloc(ENTRY_CHUNK * sizeof(struct entry));
    if (!st->chunks[st->chunk_count])
        return false;
    st->chunk_count++;
    return true;
}

uint32_t store_add(struct store *st, uint64_t id)
{
    uint32_t ref = st->free_head;
    struct entry *e;

    if (st->count >= bucket_count(st) * 2 && !index_grow(st))
        return NONE;
    if (ref != NONE) {
        st->free_head = store_at(st, ref)->id_next;
    } else {
        if (st->used == st->chunk_count * ENTRY_CHUNK && !chunk_add(st))
            return NONE;
        ref = st->used++;
    }
    e = store_at(st, ref);
    *e = (struct entry){.id_low = (uint32_t)id,
                        .id_high = (uint32_t)(id >> 32),
                        .next = NONE,
                        .prev = NONE,
                        .filed_next = NONE,
                        .filed_prev = NONE};
    st->count++;
    index_put(st, ref);
    return ref;
}

void store_remove(struct store *st, uint32_t ref)
{
    struct entry *e = store_at(st, ref);
    uint32_t *link = bucket_of(st, entry_id(e));

    while (*link != ref) {
        ASSERT(*link != NONE);
        link = &store_at(st, *link)->id_next;
    }
    *link = e->id_next;
    e->state = ENTRY_FREE;
    e->id_next = st->free_head;
    st->free_head = ref;
    st->count--;
}

void store_shrink(struct store *st)
{
    ASSERT(st->count == 0);
    while (st->chunk_count > 1)
        free(st->chunks[--st->chunk_count]);
    free(st->buckets);
    st->buckets = NULL;
    st->used = 0;
    st->free_head = NONE;
}

size_t store_find(const struct store *st, uint64_t id, uint32_t *ret, size_t max)
{
    size_t count = 0;

    if (!st->buckets)
        return 0;
    for (uint32_t ref = *bucket_of(st, id); ref != NONE; ref = store_at(st, ref)->id_next)
        if (entry_id(store_at(st, ref)) == id) {
            if (count < max)
                ret[count] = ref;
            count++;
        }
    return count;
}

size_t store_bytes(const struct store *st)
{
    return st->chunk_room * sizeof(struct entry *) +
           st->chunk_count * ENTRY_CHUNK * sizeof(struct entry) +
           bucket_count(st) * sizeof(uint32_t);
}
