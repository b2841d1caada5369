/* schedule/timeline.c - the heap. Places lie at index + 3, so that the four children of one lie
 * in half a cache line. */
#include "schedule/schedule_int.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

#define TIME_BITS (64 - REF_BITS)
#define TIME_SPAN (INT64_C(1) << TIME_BITS)
#define CHUNK_PLACES 8192
#define OFFSET 3
#define STALE_MIN 1024 /* fewer are not worth a rebuild */

void timeline_init(struct timeline *t, struct store *store)
{
    *t = (struct timeline){.store = store};
}

void timeline_done(struct timeline *t)
{
    for (uint32_t i = 0; i < t->chunk_count; i++)
        free(t->chunks[i]);
    free(t->chunks);
    timeline_init(t, t->store);
}

static uint64_t *at(const struct timeline *t, size_t index)
{
    index += OFFSET;
    return &t->chunks[index / CHUNK_PLACES][index % CHUNK_PLACES];
}

static size_t capacity(const struct timeline *t)
{
    return t->chunk_count ? (size_t)t->chunk_count * CHUNK_PLACES - OFFSET : 0;
}

static bool chunk_add(struct timeline *t)
{
    if (t->chunk_count == t->chunk_room) {
        uint32_t room = MAX_OF(t->chunk_room * 2, 16u);
        uint64_t **chunks = realloc(t->chunks, room * sizeof(uint64_t *));

        if (!chunks)
            return false;
        t->chunks = chunks;
        t->chunk_room = room;
    }
    t->chunks[t->chunk_count] = aligned_alloc(64, CHUNK_PLACES * sizeof(uint64_t));
    if (!t->chunks[t->chunk_count])
        return false;
    t->chunk_count++;
    return true;
}

int timeline_reserve(struct timeline *t, size_t count)
{
    while (capacity(t) < count)
        if (!chunk_add(t))
            return -ENOMEM;
    return 0;
}

static uint64_t place_of(const struct timeline *t, uint32_t ref)
{
    int64_t since = entry_due(store_at(t->store, ref)) - t->base_ms;

    since = since < 0 ? 0 : MIN_OF(since, TIME_SPAN - 1);
    return (uint64_t)since << REF_BITS | ref;
}

static uint32_t ref_of(uint64_t place)
{
    return (uint32_t)(place & ENTRIES_LIMIT);
}

static bool is_stale(const struct timeline *t, uint64_t place)
{
    uint32_t ref = ref_of(place);

    return store_at(t->store, ref)->state != ENTRY_WAITING || place_of(t, ref) != place;
}

static void sift_up(struct timeline *t, size_t i, uint64_t place)
{
    while (i > 0) {
        size_t parent = (i - 1) / 4;
        uint64_t above = *at(t, parent);

        if (above <= place)
            break;
        *at(t, i) = above;
        i = parent;
    }
    *at(t, i) = place;
}

static void sift_down(struct timeline *t, size_t i, uint64_t place)
{
    for (;;) {
        size_t first = i * 4 + 1, least = first;
        size_t end = MIN_OF(first + 4, t->count);

        if (first >= t->count)
            break;
        for (size_t child = first + 1; child < end; child++)
            if (*at(t, child) < *at(t, least))
                least = child;
        if (*at(t, least) >= place)
            break;
        *at(t, i) = *at(t, least);
        i = least;
    }
    *at(t, i) = place;
}

static void drop_top(struct timeline *t)
{
    uint64_t last = *at(t, --t->count);

    if (t->count > 0)
        sift_down(t, 0, last);
}

void timeline_settle(struct timeline *t)
{
    while (t->count > 0 && is_stale(t, *at(t, 0))) {
        drop_top(t);
        t->stale -= t->stale > 0;
    }
}

void timeline_rebuild(struct timeline *t, int64_t now_ms)
{
    t->base_ms = now_ms - TIME_SPAN / 2;
    t->count = t->stale = 0;
    for (uint32_t ref = 0; ref < t->store->used; ref++)
        if (store_at(t->store, ref)->state == ENTRY_WAITING) {
            ASSERT(t->count < capacity(t));
            *at(t, t->count++) = place_of(t, ref);
        }
    for (size_t i = t->count / 4 + 1; i-- > 0;)
        if (i < t->count)
            sift_down(t, i, *at(t, i));
}

bool timeline_is_far(const struct timeline *t, int64_t now_ms)
{
    int64_t since = now_ms - t->base_ms;

    return since < TIME_SPAN / 4 || since > TIME_SPAN / 4 * 3;
}

/* A full heap grows. Where there is no memory it drops the stale places: those reserved suffice
 * for the entries there are, and a rebuild finds the new one too. */
void timeline_push(struct timeline *t, uint32_t ref)
{
    if (t->count == capacity(t) && !chunk_add(t)) {
        timeline_rebuild(t, t->base_ms + TIME_SPAN / 2);
        return;
    }
    t->count++;
    sift_up(t, t->count - 1, place_of(t, ref));
}

void timeline_forget(struct timeline *t)
{
    t->stale++;
    if (t->stale > STALE_MIN && t->stale > t->count / 2)
        timeline_rebuild(t, t->base_ms + TIME_SPAN / 2);
    timeline_settle(t);
}

uint32_t timeline_pop(struct timeline *t, int64_t now_ms)
{
    uint32_t ref;

    if (t->count == 0)
        return NONE;
    ref = ref_of(*at(t, 0));
    if (entry_due(store_at(t->store, ref)) > now_ms)
        return NONE;
    drop_top(t);
    return ref;
}

int64_t timeline_next(const struct timeline *t)
{
    return t->count == 0 ? TIME_NEVER : entry_due(store_at(t->store, ref_of(*at(t, 0))));
}

void timeline_shrink(struct timeline *t)
{
    ASSERT(t->store->count == 0);
    t->count = t->stale = 0;
    while (t->chunk_count > 1)
        free(t->chunks[--t->chunk_count]);
}

size_t timeline_bytes(const struct timeline *t)
{
    return t->chunk_room * sizeof(uint64_t *) +
           (size_t)t->chunk_count * CHUNK_PLACES * sizeof(uint64_t);
}
