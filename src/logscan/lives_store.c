/*
 * logscan/lives_store.c - blocks of objects with a list of free ones; open addressing with the low bits
 * of the key beside the number, so that a look past another object does not touch it.
 */
#include "logscan/lives_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS_FIRST 16
#define SLOTS_FIRST 1024
#define NUMBERS_MAX (UINT32_MAX / 2)

static int add_block(struct lives_store *s)
{
    if (s->block_count == s->block_room) {
        size_t room = s->block_room ? s->block_room * 2 : BLOCKS_FIRST;
        uint8_t **blocks = realloc(s->blocks, room * sizeof(*blocks));

        if (!blocks)
            return -ENOMEM;
        s->blocks = blocks;
        s->block_room = room;
    }
    s->blocks[s->block_count] = malloc(STORE_BLOCK * s->size);
    if (!s->blocks[s->block_count])
        return -ENOMEM;
    s->block_count++;
    return 0;
}

uint32_t lives_store_take(struct lives_store *s)
{
    uint32_t number = s->free;

    if (number != 0) {
        memcpy(&s->free, lives_store_at(s, number), sizeof(s->free));
    } else {
        number = s->used + 1;
        if (number == NUMBERS_MAX || (number / STORE_BLOCK == s->block_count && add_block(s) < 0))
            return 0;
        s->used = number;
    }
    memset(lives_store_at(s, number), 0, s->size);
    return number;
}

void lives_store_give(struct lives_store *s, uint32_t number)
{
    memcpy(lives_store_at(s, number), &s->free, sizeof(s->free));
    s->free = number;
}

void lives_store_done(struct lives_store *s)
{
    for (size_t i = 0; i < s->block_count; i++)
        free(s->blocks[i]);
    free(s->blocks);
    *s = (struct lives_store){.size = s->size};
}

static uint64_t key_of(const struct lives_store *s, uint32_t number)
{
    uint64_t key;

    memcpy(&key, lives_store_at(s, number), sizeof(key));
    return key;
}

uint32_t lives_index_find(const struct lives_index *t, const struct lives_store *s, uint64_t key)
{
    size_t mask = t->slot_count - 1;
    uint32_t tag = (uint32_t)key;

    if (t->slot_count == 0)
        return 0;
    for (size_t at = tag & mask; t->slots[at].number != 0; at = (at + 1) & mask)
        if (t->slots[at].tag == tag && key_of(s, t->slots[at].number) == key)
            return t->slots[at].number;
    return 0;
}

static void put(struct lives_slot *slots, size_t mask, struct lives_slot slot)
{
    size_t at = slot.tag & mask;

    while (slots[at].number != 0)
        at = (at + 1) & mask;
    slots[at] = slot;
}

static int grow(struct lives_index *t)
{
    size_t count = t->slot_count ? t->slot_count * 2 : SLOTS_FIRST;
    struct lives_slot *slots = calloc(count, sizeof(*slots));

    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < t->slot_count; i++)
        if (t->slots[i].number != 0)
            put(slots, count - 1, t->slots[i]);
    free(t->slots);
    t->slots = slots;
    t->slot_count = count;
    return 0;
}

int lives_index_add(struct lives_index *t, const struct lives_store *s, uint32_t number)
{
    /* At most two of three slots are taken. */
    if (3 * (t->count + 1) > 2 * t->slot_count && grow(t) < 0)
        return -ENOMEM;
    put(t->slots, t->slot_count - 1,
        (struct lives_slot){.tag = (uint32_t)key_of(s, number), .number = number});
    t->count++;
    return 0;
}

/* What stands behind a hole and may stand in it moves there (Knuth, volume 3, 6.4, algorithm R). */
static void close_hole(struct lives_index *t, size_t hole)
{
    size_t mask = t->slot_count - 1;

    for (size_t at = (hole + 1) & mask; t->slots[at].number != 0; at = (at + 1) & mask) {
        size_t home = t->slots[at].tag & mask;

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            t->slots[hole] = t->slots[at];
            hole = at;
        }
    }
    t->slots[hole] = (struct lives_slot){0};
}

void lives_index_remove(struct lives_index *t, const struct lives_store *s, uint32_t number)
{
    size_t mask = t->slot_count - 1;
    size_t at = t->slot_count ? (uint32_t)key_of(s, number) & mask : 0;

    if (t->slot_count == 0)
        return;
    while (t->slots[at].number != 0 && t->slots[at].number != number)
        at = (at + 1) & mask;
    if (t->slots[at].number == 0)
        return;
    close_hole(t, at);
    t->count--;
}

void lives_index_done(struct lives_index *t)
{
    free(t->slots);
    *t = (struct lives_index){0};
}
