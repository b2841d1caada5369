/*
 * base/map.h - a hash map from byte strings to pointers (open addressing, linear probing).
 *
 * Keys are compared without ASCII case (domain names, setting names) and are borrowed: each must
 * live as long as its entry, usually as a field of the value. The seed keeps an attacker who
 * picks the keys from picking their places.
 * Ownership: the map owns its table only, never keys or values. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"

struct map_slot {
    struct slice key;
    void *value; /* NULL: the slot is free */
};

struct map { /* fields are private */
    struct map_slot *slots;
    size_t count, size;
    uint64_t seed;
};

void map_init(struct map *m, uint64_t seed); /* allocates nothing yet */
void map_done(struct map *m);

/* The value, or NULL. */
void *map_get(const struct map *m, struct slice key);
/* Adds or replaces; `value` is not NULL. 0 or -ENOMEM. */
MUST_CHECK int map_put(struct map *m, struct slice key, void *value);
/* Removes and returns the value; NULL where there was none. */
void *map_remove(struct map *m, struct slice key);
static inline size_t map_count(const struct map *m)
{
    return m->count;
}
/* Walks all entries in no order: start with *it = 0; false at the end. Do not add or remove
 * between calls. */
bool map_next(const struct map *m, size_t *it, struct slice *ret_key, void **ret_value);
