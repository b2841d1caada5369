/*
 * spool/index_int.h - which messages there are and where: 48 bytes and a table slot each. Private.
 *
 * Entries live in chunks that never move and are named by number; a table with open addressing
 * finds the number of an id. Changed by the writer thread only, under the spool's lock; read by
 * the writer without it and by others with it. `private_bits` are the writer's alone, at any time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

#define ENTRY_NONE UINT32_MAX
#define SLOT_NONE UINT32_MAX

enum entry_flags {
    ENTRY_PENDING = 1 << 0,  /* its commit is not yet durable */
    ENTRY_REMOVING = 1 << 1, /* its removal is not yet durable */
    ENTRY_DAMAGED = 1 << 2,  /* and could not be set aside */
    ENTRY_MORE = 1 << 3,     /* extents in several segments: ext_slot is the number of their list */
};

enum private_bits {
    BIT_CHECKPOINT_0 = 1 << 0, /* checkpoint file 0 has its present state */
    BIT_CHECKPOINT_1 = 1 << 1,
    BIT_IN_BATCH = 1 << 2, /* the batch has an operation on it */
};

struct entry {
    uint64_t id;                   /* 0: free */
    uint32_t slot, off, rec_bytes; /* the MESSAGE record */
    uint32_t ext_slot, ext_bytes;  /* what its extents take where; 0: no body */
    uint32_t mark_slot, mark_off;  /* the last MARK */
    uint32_t mark_bytes;           /* of all MARKs, in the one segment; 0: none */
    uint16_t mark_links;           /* count of MARKs in the chain */
    uint8_t flags;
};
_Static_assert(sizeof(struct entry) == 48, "an entry must stay small: there are millions");

#define INDEX_CHUNK 4096u

struct index_chunk {
    struct entry entries[INDEX_CHUNK];
    uint8_t bits[INDEX_CHUNK];
};

struct index { /* fields are private, but for `count` and `size` */
    struct index_chunk **chunks;
    uint32_t chunk_count, chunk_room;
    uint32_t size;  /* entry numbers are below */
    uint32_t count; /* of entries in use */
    uint32_t free_head;
    uint32_t *table; /* number + 1; 0: empty */
    uint32_t table_size;
};

void index_init(struct index *ix);
void index_done(struct index *ix);

static inline struct entry *index_at(const struct index *ix, uint32_t n)
{
    return &ix->chunks[n / INDEX_CHUNK]->entries[n % INDEX_CHUNK];
}
static inline uint8_t *index_bits(const struct index *ix, uint32_t n)
{
    return &ix->chunks[n / INDEX_CHUNK]->bits[n % INDEX_CHUNK];
}

/* The number of the entry, or ENTRY_NONE. */
uint32_t index_find(const struct index *ix, uint64_t id);
/* Adds an entry that is not there yet, zeroed but for its id. 0 or -ENOMEM. */
MUST_CHECK int index_add(struct index *ix, uint64_t id, uint32_t *ret);
void index_del(struct index *ix, uint32_t n);
