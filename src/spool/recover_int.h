/* spool/recover_int.h - what opening a spool remembers while it lasts. Private. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "spool/spool_int.h"

/* A part of a segment file in memory, which moves along as records are looked at. */
struct window {
    const struct spool *sp;
    const struct slot *slot;
    struct buf bytes;
    uint64_t off; /* of `bytes`, in the segment */
    bool failed;  /* an I/O error; what it hides counts as damage */
};
void window_open(struct window *w, const struct spool *sp);
void window_done(struct window *w);
/* `size` bytes at `off`, valid until the next call; NULL: past the end, or unreadable. */
const uint8_t *window_get(struct window *w, const struct slot *s, uint64_t off, uint64_t size);
/* The record header at `off`, when there is a sound one of the life `seq` (0: of any). */
bool window_record(struct window *w, const struct slot *s, uint64_t off, uint32_t seq,
                   struct record *ret);
/*
 * The first such header from `from` on and before `to`; with `over` not 0: the first SYNC record
 * that vouches for more than the bytes before `over`.
 */
bool window_find(struct window *w, const struct slot *s, uint64_t from, uint64_t to, uint32_t seq,
                 uint64_t over, uint64_t *ret_at, struct record *ret);

struct range {
    uint32_t slot;
    uint64_t from, to;
};

struct recovery {
    struct spool *sp;
    struct buf *why;
    uint32_t files;
    uint32_t dir;                   /* that is being listed */
    struct segment_header *headers; /* by slot; seq 0: none */
    uint32_t header_count;
    struct checkpoint_header checkpoints[2];
    bool has_checkpoint[2];
    uint64_t generation; /* the highest that a segment speaks of */
    uint64_t next_id;
    uint64_t last_id; /* of the checkpoint's entries so far */
    bool is_full;     /* no checkpoint: all segments are replayed */
    struct window window;
    struct buf stubs, damaged; /* ids */
    struct range *ranges;      /* damaged bytes of segments */
    size_t range_count, range_room;
};

/* The slot of life `seq`, made up when no file has it. */
MUST_CHECK int gone_slot(struct spool *sp, uint32_t seq, uint32_t *ret);
MUST_CHECK int damaged_add(struct recovery *rec, uint64_t id);
/* Replays the records after the checkpoint's position. */
MUST_CHECK int replay(struct recovery *rec);
/* Whether an extent of the entry lies in a damaged range and cannot be read. */
bool entry_is_hurt(struct recovery *rec, const struct entry *e);
