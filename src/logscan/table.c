/*
 * logscan/table.c - open addressing over entries that stay where they are.
 */
#include "logscan/table.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_FIRST 64
#define ENTRIES_MAX UINT32_MAX /* places are 32 bits */

struct log_table_entry {
    uint64_t hash;
    struct slice key;
    alignas(max_align_t) uint8_t value[];
};

/* Eight bytes at a time, each step a multiplication of 64 by 64 bits folded (as in wyhash). */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 u128;
    u128 product = (u128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t log_hash(struct slice s, uint64_t seed)
{
    const uint64_t odd = 0x9e3779b97f4a7c15u, other = 0xd6e8feb86659fd93u;
    uint64_t h = seed ^ odd, word;
    size_t i = 0;

    for (; i + 8 <= s.len; i += 8) {
        memcpy(&word, s.ptr + i, 8);
        h = mix(h ^ word, odd);
    }
    word = 0;
    if (s.len > i)
        memcpy(&word, s.ptr + i, s.len - i);
    return mix(h ^ word ^ other, (uint64_t)s.len ^ other ^ seed);
}

void log_table_init(struct log_table *t, size_t value_size, uint64_t seed)
{
    *t = (struct log_table){.value_size = value_size, .seed = seed};
}

void log_table_done(struct log_table *t)
{
    arena_done(&t->arena);
    free(t->entries);
    free(t->places);
    log_table_init(t, t->value_size, t->seed);
}

/* The place of a key, or the free one where it would be. */
static size_t place_of(const struct log_table *t, struct slice key, uint64_t hash)
{
    size_t mask = t->place_count - 1, at = (size_t)hash & mask;

    while (t->places[at] != 0) {
        const struct log_table_entry *e = t->entries[t->places[at] - 1];

        if (e->hash == hash && slice_eq(e->key, key))
            break;
        at = (at + 1) & mask;
    }
    return at;
}

static bool grow_places(struct log_table *t)
{
    size_t count = t->place_count ? t->place_count * 2 : PLACES_FIRST, mask = count - 1;
    uint32_t *places = calloc(count, sizeof(*places));

    if (!places)
        return false;
    for (size_t i = 0; i < t->count; i++) {
        size_t at = (size_t)t->entries[i]->hash & mask;

        while (places[at] != 0)
            at = (at + 1) & mask;
        places[at] = (uint32_t)i + 1;
    }
    free(t->places);
    t->places = places;
    t->place_count = count;
    return true;
}

static bool grow_entries(struct log_table *t)
{
    size_t room = t->room ? t->room * 2 : PLACES_FIRST / 2;
    struct log_table_entry **entries = realloc(t->entries, room * sizeof(struct log_table_entry *));

    if (!entries)
        return false;
    t->entries = entries;
    t->room = room;
    return true;
}

static struct log_table_entry *new_entry(struct log_table *t, struct slice key, uint64_t hash)
{
    struct log_table_entry *e;

    if (t->count == ENTRIES_MAX - 1 || (t->count == t->room && !grow_entries(t)))
        return NULL;
    e = arena_take(&t->arena, sizeof(*e) + t->value_size);
    if (!e)
        return NULL;
    e->hash = hash;
    e->key = arena_copy(&t->arena, key);
    if (e->key.len != key.len)
        return NULL;
    memset(e->value, 0, t->value_size);
    t->entries[t->count++] = e;
    return e;
}

void *log_table_add(struct log_table *t, struct slice key)
{
    uint64_t hash = log_hash(key, t->seed);
    struct log_table_entry *e;
    size_t at;

    /* At most three of four places are taken. */
    if (4 * (t->count + 1) > 3 * t->place_count && !grow_places(t))
        return NULL;
    at = place_of(t, key, hash);
    if (t->places[at] != 0)
        return t->entries[t->places[at] - 1]->value;
    e = new_entry(t, key, hash);
    if (!e)
        return NULL;
    t->places[at] = (uint32_t)t->count;
    return e->value;
}

void *log_table_find(const struct log_table *t, struct slice key)
{
    size_t at;

    if (t->place_count == 0)
        return NULL;
    at = place_of(t, key, log_hash(key, t->seed));
    return t->places[at] ? t->entries[t->places[at] - 1]->value : NULL;
}

size_t log_table_count(const struct log_table *t)
{
    return t->count;
}

void *log_table_at(const struct log_table *t, size_t i, struct slice *ret_key)
{
    *ret_key = t->entries[i]->key;
    return t->entries[i]->value;
}
