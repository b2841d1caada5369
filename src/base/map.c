#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

void map_init(struct map *m, uint64_t seed)
{
    *m = (struct map){.seed = seed};
}

void map_done(struct map *m)
{
    free(m->slots);
    map_init(m, m->seed);
}

static size_t home(const struct map *m, struct slice key)
{
    uint64_t h = slice_hash_case(key, m->seed) * 0x9e3779b97f4a7c15u;

    return (size_t)(h >> 17) & (m->size - 1);
}

/* The slot that holds `key`, or the free one where it belongs. The table is never full. */
static size_t find(const struct map *m, struct slice key)
{
    size_t i = home(m, key);

    while (m->slots[i].value && !slice_eq_case(m->slots[i].key, key))
        i = (i + 1) & (m->size - 1);
    return i;
}

void *map_get(const struct map *m, struct slice key)
{
    return m->size ? m->slots[find(m, key)].value : NULL;
}

static int grow(struct map *m)
{
    struct map bigger = {.size = m->size ? m->size * 2 : 16, .count = m->count, .seed = m->seed};

    bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < m->size; i++)
        if (m->slots[i].value)
            bigger.slots[find(&bigger, m->slots[i].key)] = m->slots[i];
    free(m->slots);
    *m = bigger;
    return 0;
}

int map_put(struct map *m, struct slice key, void *value)
{
    size_t i;

    ASSERT(value);
    if (m->count + 1 > m->size / 4 * 3 && grow(m) < 0)
        return -ENOMEM;
    i = find(m, key);
    m->count += !m->slots[i].value;
    m->slots[i] = (struct map_slot){.key = key, .value = value};
    return 0;
}

/* Moves later entries of the run back, so that no tombstones are needed. */
static void close_gap(struct map *m, size_t gap)
{
    size_t mask = m->size - 1;

    for (size_t i = (gap + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        size_t from_home = (i - home(m, m->slots[i].key)) & mask;

        if (from_home >= ((i - gap) & mask)) {
            m->slots[gap] = m->slots[i];
            gap = i;
        }
    }
    m->slots[gap] = (struct map_slot){0};
}

void *map_remove(struct map *m, struct slice key)
{
    size_t i;
    void *value;

    if (!m->size)
        return NULL;
    i = find(m, key);
    value = m->slots[i].value;
    if (value) {
        m->count--;
        close_gap(m, i);
    }
    return value;
}

bool map_next(const struct map *m, size_t *it, struct slice *ret_key, void **ret_value)
{
    while (*it < m->size) {
        const struct map_slot *slot = &m->slots[(*it)++];

        if (slot->value) {
            *ret_key = slot->key;
            *ret_value = slot->value;
            return true;
        }
    }
    return false;
}
