/* spool/index.c - chunks of entries, and a table of their numbers with linear probing. */
#include "spool/index_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define TABLE_SIZE_MIN 1024u

void index_init(struct index *ix)
{
    *ix = (struct index){.free_head = ENTRY_NONE};
}

void index_done(struct index *ix)
{
    for (uint32_t i = 0; i < ix->chunk_count; i++)
        free(ix->chunks[i]);
    free(ix->chunks);
    free(ix->table);
    index_init(ix);
}

/* Ids follow one another; the multiplication spreads them over the table. */
static uint32_t home_of(const struct index *ix, uint64_t id)
{
    return (uint32_t)((id * 0x9e3779b97f4a7c15u) >> 32) & (ix->table_size - 1);
}

static uint32_t next_of(const struct index *ix, uint32_t at)
{
    return (at + 1) & (ix->table_size - 1);
}

static void table_put(struct index *ix, uint64_t id, uint32_t n)
{
    uint32_t at = home_of(ix, id);

    while (ix->table[at])
        at = next_of(ix, at);
    ix->table[at] = n + 1;
}

static int table_grow(struct index *ix)
{
    uint32_t *old = ix->table, old_size = ix->table_size;
    uint32_t size = old_size ? old_size * 2 : TABLE_SIZE_MIN;
    uint32_t *table;

    if (size < old_size)
        return -ENOMEM;
    table = calloc(size, sizeof(*table));
    if (!table)
        return -ENOMEM;
    ix->table = table;
    ix->table_size = size;
    for (uint32_t i = 0; i < old_size; i++)
        if (old[i])
            table_put(ix, index_at(ix, old[i] - 1)->id, old[i] - 1);
    free(old);
    return 0;
}

static int chunk_add(struct index *ix)
{
    struct index_chunk *chunk;

    if (ix->chunk_count == ix->chunk_room) {
        uint32_t room = ix->chunk_room ? ix->chunk_room * 2 : 16;
        struct index_chunk **chunks = realloc(ix->chunks, room * sizeof(struct index_chunk *));

        if (!chunks)
            return -ENOMEM;
        ix->chunks = chunks;
        ix->chunk_room = room;
    }
    chunk = calloc(1, sizeof(*chunk));
    if (!chunk)
        return -ENOMEM;
    ix->chunks[ix->chunk_count++] = chunk;
    return 0;
}

uint32_t index_find(const struct index *ix, uint64_t id)
{
    if (!ix->table_size)
        return ENTRY_NONE;
    for (uint32_t at = home_of(ix, id); ix->table[at]; at = next_of(ix, at))
        if (index_at(ix, ix->table[at] - 1)->id == id)
            return ix->table[at] - 1;
    return ENTRY_NONE;
}

int index_add(struct index *ix, uint64_t id, uint32_t *ret)
{
    uint32_t n = ix->free_head;
    int r = 0;

    ASSERT(id != 0);
    if (ix->count >= ix->table_size / 4 * 3)
        r = table_grow(ix);
    if (r == 0 && n == ENTRY_NONE && ix->size == ix->chunk_count * INDEX_CHUNK)
        r = chunk_add(ix);
    if (r < 0)
        return r;
    if (n == ENTRY_NONE)
        n = ix->size++;
    else
        ix->free_head = index_at(ix, n)->off;
    *index_at(ix, n) = (struct entry){.id = id};
    *index_bits(ix, n) = 0;
    table_put(ix, id, n);
    ix->count++;
    *ret = n;
    return 0;
}

/* Takes the number out of the table and moves later ones of the same run up, so that no probe
 * meets a hole. */
static void table_del(struct index *ix, uint64_t id, uint32_t n)
{
    uint32_t hole = home_of(ix, id);

    while (ix->table[hole] != n + 1)
        hole = next_of(ix, hole);
    for (uint32_t at = next_of(ix, hole); ix->table[at]; at = next_of(ix, at)) {
        uint32_t home = home_of(ix, index_at(ix, ix->table[at] - 1)->id);
        uint32_t mask = ix->table_size - 1;

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            ix->table[hole] = ix->table[at];
            hole = at;
        }
    }
    ix->table[hole] = 0;
}

void index_del(struct index *ix, uint32_t n)
{
    struct entry *e = index_at(ix, n);

    ASSERT(e->id != 0);
    table_del(ix, e->id, n);
    *e = (struct entry){.off = ix->free_head};
    *index_bits(ix, n) = 0;
    ix->free_head = n;
    ix->count--;
}
