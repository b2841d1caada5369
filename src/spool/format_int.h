/*
 * spool/format_int.h - the bytes of segments and checkpoints (docs/spool-format.md), private.
 *
 * Pure functions from structs to bytes and back. The decoders trust nothing: what they accept has
 * a right magic number, a right checksum and lengths within bounds.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "spool/spool.h"

#define SECTOR_BYTES 512u
#define SEGMENT_HEADER_BYTES 4096u /* the fields lie in its first sector */
#define RECORD_HEADER_BYTES 32u
#define RECORD_MAGIC_0 0x50u
#define RECORD_MAGIC_1 0x53u
#define EXTENT_ENTRY_BYTES 12u
#define EXTENTS_MAX 65536u
#define RECORD_LEN_MAX ((uint32_t)(SPOOL_ENVELOPE_MAX + 4 + EXTENTS_MAX * EXTENT_ENTRY_BYTES))
#define CHECKPOINT_HEADER_BYTES 4096u
#define CHECKPOINT_ENTRY_BYTES 64u
#define FORMAT_VERSION 1u

enum record_type {
    RECORD_EXTENT = 1, /* body bytes */
    RECORD_MESSAGE,    /* aux: count of extents; extents, u32 envelope length, envelope, marks */
    RECORD_MARK,       /* aux: offset of the previous mark of the id, here; marks */
    RECORD_REMOVE,     /* nothing */
    RECORD_SYNC,       /* id: everything before this offset was durable when this was written */
    RECORD_FLOOR,      /* id: ids below may have been given out */
    RECORD_TYPE_END,
};

struct record {
    uint8_t type;
    uint32_t len; /* of the payload */
    uint64_t id;
    uint32_t seq; /* the life of the segment it belongs to */
    uint32_t aux;
    uint32_t crc; /* of the payload */
};

static inline uint64_t align_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}
/* What a record with such a payload takes. */
static inline uint32_t record_bytes(uint32_t len)
{
    return (uint32_t)align_up(RECORD_HEADER_BYTES + len, 8);
}

/* The seed of all checksums of one spool: records of another spool are never taken for ours. */
uint32_t format_seed(uint64_t spool_id);
void record_encode(const struct record *r, uint32_t seed, uint8_t to[static RECORD_HEADER_BYTES]);
MUST_CHECK bool record_decode(const uint8_t from[static RECORD_HEADER_BYTES], uint32_t seed,
                              struct record *ret);

/* A quick look, before the checksum is computed. */
static inline bool record_has_magic(const uint8_t *from)
{
    return from[0] == RECORD_MAGIC_0 && from[1] == RECORD_MAGIC_1;
}

struct segment_header {
    uint32_t seq, prev_seq;
    uint64_t spool_id, size, id_floor, generation;
    uint64_t prev_end; /* segment `prev_seq` is valid up to here and no further */
};
void segment_header_encode(const struct segment_header *h, uint8_t to[static SECTOR_BYTES]);
MUST_CHECK bool segment_header_decode(const uint8_t from[static SECTOR_BYTES],
                                      struct segment_header *ret);

/* Whether a first sector is one of a later version of Penstock, which must not be touched. */
bool format_is_newer(const uint8_t from[static SECTOR_BYTES]);

struct checkpoint_header {
    uint64_t spool_id, generation;
    uint32_t next_seq, replay_seq;
    uint64_t replay_off, next_id, entry_count, entry_bytes;
};
void checkpoint_header_encode(const struct checkpoint_header *h, uint8_t to[static SECTOR_BYTES]);
MUST_CHECK bool checkpoint_header_decode(const uint8_t from[static SECTOR_BYTES],
                                         struct checkpoint_header *ret);

/* One message in a checkpoint: this head, the extents (under the head's checksum), then envelope
 * and marks (under their own, so that damage there costs only a look into the segment). */
struct checkpoint_entry {
    uint64_t id;
    uint32_t seq, off, rec_bytes;
    uint32_t mark_seq, mark_off, mark_bytes, mark_links;
    uint32_t extent_count, envelope_len, marks_len;
    uint32_t crc; /* of envelope and marks */
    bool stub;    /* the place only: the record could not be read; no extents, no payload */
};
static inline uint64_t checkpoint_entry_bytes(const struct checkpoint_entry *e)
{
    return align_up(CHECKPOINT_ENTRY_BYTES + (uint64_t)e->extent_count * EXTENT_ENTRY_BYTES +
                        e->envelope_len + e->marks_len,
                    8);
}
/* `seed` is checkpoint_seed(): an entry of an older generation is never taken for a new one. */
uint32_t checkpoint_seed(uint64_t spool_id, uint64_t generation);
void checkpoint_entry_encode(const struct checkpoint_entry *e, struct slice extents, uint32_t seed,
                             uint8_t to[static CHECKPOINT_ENTRY_BYTES]);
/* Reads the lengths only, to know how much to have in memory; false: not an entry. */
MUST_CHECK bool checkpoint_entry_peek(const uint8_t from[static CHECKPOINT_ENTRY_BYTES],
                                      struct checkpoint_entry *ret);
/* Whether the head and the extents after it are sound. */
MUST_CHECK bool checkpoint_entry_check(const uint8_t from[static CHECKPOINT_ENTRY_BYTES],
                                       struct slice extents, uint32_t seed);

/* The file in each further directory that says whose it is, in one sector. */
struct identity {
    uint64_t spool_id;
    uint32_t dir_id; /* from 1 on, never used again */
};
void identity_encode(const struct identity *i, uint8_t to[static SECTOR_BYTES]);
MUST_CHECK bool identity_decode(const uint8_t from[static SECTOR_BYTES], struct identity *ret);

/* The list of further directories, kept twice in one file of the spool's own directory. */
#define DIR_LIST_MAX (SPOOL_DIRECTORIES_MAX - 1)
#define DIR_LIST_ENTRY_BYTES 1024u
#define DIR_LIST_BYTES ((size_t)KIB(16)) /* one copy; the other begins after it */
struct dir_list {
    uint64_t spool_id, generation;
    uint32_t next_id, count;
    struct dir_list_entry {
        uint32_t id;
        bool draining;
        char path[SPOOL_PATH_MAX + 1];
    } entries[DIR_LIST_MAX];
};
void dir_list_encode(const struct dir_list *l, uint8_t to[static DIR_LIST_BYTES]);
MUST_CHECK bool dir_list_decode(const uint8_t from[static DIR_LIST_BYTES], struct dir_list *ret);

void extent_encode(const struct spool_extent *e, uint8_t to[static EXTENT_ENTRY_BYTES]);
struct spool_extent extent_decode(const uint8_t from[static EXTENT_ENTRY_BYTES]);

/* The parts of a MESSAGE payload, borrowed from it. False: the lengths do not fit. */
struct message_parts {
    struct slice extents, envelope, marks;
};
MUST_CHECK bool message_split(struct slice payload, uint32_t extent_count,
                              struct message_parts *ret);
/* Whether `marks` is a run of u32 lengths and as many bytes. */
MUST_CHECK bool marks_are_sound(struct slice marks);
