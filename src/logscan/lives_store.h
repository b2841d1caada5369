/*
 * logscan/lives_store.h - private to lives.c: objects of one size in blocks, known by a number, and a
 * table that finds them by a key of 64 bits.
 *
 * The first field of every object is its key. Numbers begin at 1; 0 is none. Objects never move.
 * Freed ones are used again first, so that what is short-lived stays where the cache has it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

#define STORE_BLOCK 4096 /* objects */

struct lives_store { /* fields are private; all zero but `size` is an empty one */
    size_t size;
    uint8_t **blocks;
    size_t block_count, block_room;
    uint32_t used, free; /* numbers given so far; the newest freed one */
};

struct lives_slot {
    uint32_t tag; /* low bits of the key */
    uint32_t number;
};
struct lives_index { /* fields are private; all zero is an empty one */
    struct lives_slot *slots;
    size_t slot_count, count; /* a power of two */
};

static inline void *lives_store_at(const struct lives_store *s, uint32_t number)
{
    return s->blocks[number / STORE_BLOCK] + (number % STORE_BLOCK) * s->size;
}
/* A new object, all zero; 0: no memory. */
uint32_t lives_store_take(struct lives_store *s);
void lives_store_give(struct lives_store *s, uint32_t number);
void lives_store_done(struct lives_store *s);

/* The number of the object with that key; 0: there is none. */
uint32_t lives_index_find(const struct lives_index *t, const struct lives_store *s, uint64_t key);
/* Adds an object whose key is not there yet. 0, -ENOMEM. */
MUST_CHECK int lives_index_add(struct lives_index *t, const struct lives_store *s, uint32_t number);
/* Takes it out, where it is in. */
void lives_index_remove(struct lives_index *t, const struct lives_store *s, uint32_t number);
void lives_index_done(struct lives_index *t);
