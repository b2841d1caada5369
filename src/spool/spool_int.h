/*
 * spool/spool_int.h - the state of a spool and what its files share. Private to src/spool/.
 *
 *   index.c       which messages there are and where
 *   segment.c     the files: opening a head, the write buffer, syncing, recycling
 *   batch.c       what a sync makes true, and what its failure takes back
 *   spool.c       appending, committing, marking, removing
 *   read.c        reading messages
 *   checkpoint.c  writing and loading checkpoints; spool_each()
 *   recover.c     opening: replay, torn tails, damage
 *   dirs.c        the directories: which they are, their identities, the list of them
 *   drain.c       emptying a directory
 *   tend.c        compaction, growing, relief
 *
 * The life of a segment:
 *
 *   FREE --head opened--> HEAD --full, or failed--> SEALED --nothing live, checkpointed--> FREE
 *                                                     `--bad, or one spare too many--> unlinked
 *   GONE: a life that records speak of and no file has. BAD: a file that cannot be used.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "io/fs.h"
#include "io/thread.h"
#include "spool/format_int.h"
#include "spool/index_int.h"
#include "spool/spool.h"

#define SEGMENT_BYTES_MIN KIB(128)
#define SEGMENT_BYTES_MAX GIB(1)
#define FILE_NAME_MAX 32
#define SLOTS_MAX 131072u
#define ID_LEASE (1u << 20) /* ids below next_id + this are given out without a record */

enum slot_state { SLOT_UNUSED = 0, SLOT_FREE, SLOT_HEAD, SLOT_SEALED, SLOT_GONE, SLOT_BAD };

/* A directory of the spool; the first in the table is its own, and is always there. */
struct dir {
    struct fs *fs; /* NULL: nothing is here */
    struct fs_file *lock_file;
    uint32_t id;   /* as in its identity; 0: the spool's own */
    bool draining; /* no segments are made there */
    bool waits;    /* and there is no room for what it holds */
    bool suspect;  /* the last head there failed: others come first */
    bool is_new;   /* it is not on record yet */
    bool was_ours; /* but its identity says that it is of this spool */
    bool is_told;  /* the spool's own: that it is empty */
    char path[SPOOL_PATH_MAX + 1];
};

struct slot {
    struct fs_file *file;
    uint8_t dir;     /* where it lies: in spool->dirs */
    uint32_t number; /* of the file's name */
    uint32_t seq;    /* of the present life */
    uint64_t size;
    uint64_t end;     /* records are valid up to here (head: what is synced) */
    uint64_t live;    /* bytes of records still needed, under the lock */
    uint64_t pending; /* bytes of extents without a commit; the writer's */
    uint32_t pins;    /* readers, under the lock */
    uint64_t left;    /* live bytes that compaction could not move: not worth another try */
    uint8_t state;    /* under the lock */
    bool bad;         /* a write or sync failed: not to be used again */
    bool torn;        /* behind its end may be what an earlier process left of a batch */
    bool fresh;       /* its name is not yet synced */
    bool lost;        /* extents of messages under way were lost behind its end */
    bool headerless;  /* its header could not be read */
};

/* Bytes of extents in one segment, for messages whose extents lie in several. */
struct hold {
    uint32_t slot, bytes;
};
struct hold_list {
    uint32_t count;
    struct hold holds[];
};

enum batch_op_type { OP_COMMIT = 1, OP_MARK, OP_REWRITE, OP_MOVE, OP_REMOVE };

struct batch_op {
    uint8_t type;
    uint32_t n;        /* of the entry */
    struct entry next; /* what the entry becomes; OP_REMOVE: unused */
};

/* A checkpoint that is being written. */
struct checkpoint_job; /* checkpoint.c */

struct spool {
    struct fs *fs;
    struct fs_file *lock_file;
    struct spool_config config;
    struct spool_report report;
    uint64_t spool_id;
    uint32_t seed;
    _Atomic bool failed;
    bool recovering;

    struct lock lock; /* guards: index, holds, slots, order, counters of `stat` */
    struct index index;
    struct hold_list **holds; /* [0] is unused */
    uint32_t hold_room, hold_free;
    struct slot **slots; /* SLOTS_MAX, so that it never moves */
    uint32_t slot_count;
    uint32_t *order; /* numbers of slots with a life, by seq */
    uint32_t order_count, order_room;
    struct spool_stat stat; /* messages, live_bytes, commits, marks, removes */
    _Atomic uint64_t syncs, bytes_written, checkpoints, compacted_bytes, damaged;

    _Atomic uint64_t max_bytes; /* of all segments; 0: no limit but the disk's */

    /* Changed by the writer under grow_lock and dirs_lock, in this order; looked at by it without
     * either, and by others under one of them: a segment is made under grow_lock, and room is
     * looked for under dirs_lock. */
    struct lock dirs_lock;
    struct dir dirs[SPOOL_DIRECTORIES_MAX];
    uint64_t dirs_generation; /* of the list on disk */
    uint32_t next_dir_id;
    unsigned list_safe; /* which copy of it is durable for certain, 0 or 1 */
    bool list_is_due;   /* what is open is not what the list says */
    bool list_is_lost;  /* it could not be read */

    struct lock grow_lock; /* one thread at a time allocates a segment */
    uint32_t next_number;
    _Atomic uint64_t room;          /* bytes for records in free segments and the head's rest */
    _Atomic uint64_t reserved;      /* of it promised by spool_reserve() */
    _Atomic uint64_t segment_total; /* bytes of all segment files */
    _Atomic uint64_t next_id, id_floor;
    _Atomic bool recycle_due; /* a segment may have become free */
    _Atomic bool trim_due;    /* more segments may be free than are to be kept */
    uint64_t keep;            /* the drain reserve */

    /* The head; the writer's. */
    uint32_t head;               /* SLOT_NONE: none is open */
    uint64_t pos;                /* where the next record goes */
    uint64_t head_room;          /* what the head counts for in `room` */
    uint32_t no_recycle_from;    /* lives from this one on stay, whatever holds them */
    uint32_t next_seq, last_seq; /* last_seq: the head before */
    bool header_unsure;          /* one that names the head before failed to be written */
    uint64_t last_end;
    uint8_t *buf;
    size_t buf_len;
    uint64_t buf_off; /* in the head */
    bool batch_open;  /* its SYNC record is written */
    bool dirty;       /* written or buffered since the last sync */
    int batch_err;    /* part of the batch failed: its commits are forgotten */
    bool redoing;
    uint64_t batch_pending; /* bytes of extents of this batch in the head */
    struct batch_op *ops;
    size_t op_count, op_room;
    struct buf redo, redo_spare; /* marks, rewrites, removals of the batch, to append again */
    struct buf scratch, scratch2;

    /* Checkpoints. */
    struct fs_file *checkpoint_files[2];
    int active;               /* which is the last complete one */
    bool active_is_sound;     /* it can be read */
    bool header_is_unsure[2]; /* one that failed may have left its header there */
    struct checkpoint_header checkpoint;
    uint64_t next_generation;
    struct checkpoint_job *job;
    uint64_t log_bytes;              /* appended since the replay position of the active one */
    uint64_t checkpoint_retry_at;    /* after a failure: not before log_bytes is this */
    _Atomic uint64_t envelope_bytes; /* what the live messages take in a checkpoint, about */

    /* Compaction. */
    uint32_t victim; /* slot, or SLOT_NONE */
    uint32_t victim_seq;
    uint32_t victim_cursor;
    bool victim_again;    /* some of it waits for the sync of its batch */
    uint64_t died_bytes;  /* since a victim was last looked for */
    uint64_t moved_bytes; /* since a sync was last made for it */
    _Atomic bool compaction_paused;
    uint64_t recycled_bytes; /* of segments made free, ever */
    struct relief {
        enum relief_phase { RELIEF_NONE = 0, RELIEF_COMPACT, RELIEF_CHECKPOINT, RELIEF_TRIM } phase;
        unsigned checkpoints;
        uint64_t copied, freed;
    } relief;
};

/* ---- report ---- */
void spool_note(struct spool *sp, const char *fmt, ...) PRINTF_LIKE(2, 3);
void spool_damage(struct spool *sp, const char *file, uint64_t offset, uint64_t id,
                  const char *what);
void slot_name(const struct slot *s, char ret[static FILE_NAME_MAX]);

/* ---- segment.c ---- */
/* A new slot, SLOT_UNUSED. 0 or -ENOMEM. Under the lock. */
MUST_CHECK int slot_add(struct spool *sp, uint32_t *ret);
/* The slot that lives life `seq`, or SLOT_NONE. The writer, or under the lock. */
uint32_t slot_of_seq(const struct spool *sp, uint32_t seq);
/* Enters the slot in `order`; under the lock, where other threads run. 0 or -ENOMEM. */
MUST_CHECK int order_insert(struct spool *sp, uint32_t slot);
void order_remove(struct spool *sp, uint32_t slot);
/* Allocates one more segment file. 0, -ENOSPC, ... Any thread. */
int segment_grow(struct spool *sp);
uint64_t segment_can_grow(struct spool *sp); /* bytes for records in segments that could be made */
/* Makes sure that the head has room for records that take `bytes`. */
MUST_CHECK int segment_ensure(struct spool *sp, uint64_t bytes);
/*
 * Opens the first head of a process: a free segment, or else the last one, where that has room for
 * records that take `resume_bytes`. 0, -ENOSPC: there is none; -EIO, ...
 */
MUST_CHECK int segment_begin(struct spool *sp, uint64_t resume_bytes);
/* A free segment that is not in a directory that is emptied, with room for `bytes`; SLOT_NONE. */
uint32_t segment_pick(struct spool *sp, uint64_t bytes);
/* Seals the synced head; there is none then. */
void segment_seal(struct spool *sp, uint64_t end);
/* Takes bytes out of the room, where `leave` and what is promised stay. */
MUST_CHECK bool segment_room_withdraw(struct spool *sp, uint64_t bytes, uint64_t leave);
/* Closes and unlinks a slot that is in no order and has no pins, and counts for no room. */
void segment_drop(struct spool *sp, struct slot *s);
/* Appends a record with the payload `parts`; segment_ensure() was called for it. Its offset. */
uint32_t segment_put(struct spool *sp, struct record *r, const struct slice *parts, size_t count);
/* Writes, syncs and applies the batch; on failure takes it back. */
MUST_CHECK int segment_sync(struct spool *sp);
/* Whether a checkpoint would free a segment. */
bool segment_has_uncovered(const struct spool *sp);
/* Frees what nothing needs any more. Returns the count of segments freed. */
uint32_t segment_recycle(struct spool *sp);
/* Unlinks free segments over `spare` that no promise needs, at most `max` of them. True: more are
 * left. */
bool segment_trim(struct spool *sp, uint32_t spare, uint32_t max);
/* Unlinks one free segment whatever the promises, for a checkpoint. False: there is none. */
bool segment_sacrifice(struct spool *sp);
/* Reads bytes of a segment, from the write buffer where they are not yet written (writer only). */
MUST_CHECK int segment_read(struct spool *sp, uint32_t slot, uint64_t off, void *to, size_t size);

/* ---- batch.c ---- */
MUST_CHECK int batch_room(struct spool *sp, size_t redo_bytes); /* for one op: 0 or -ENOMEM */
void batch_add(struct spool *sp, enum batch_op_type type, uint32_t n, const struct entry *next);
/* Remembers the arguments of a mark, rewrite or removal, to append it again after a failure. */
void batch_redo(struct spool *sp, enum batch_op_type type, uint64_t id, struct slice data);
void batch_apply(struct spool *sp); /* durable */
void batch_drop(struct spool *sp);  /* not durable, and never will be */
/* The entry as it will be after the batch. False: it will not be, or is not there. */
bool batch_view(const struct spool *sp, uint32_t n, struct entry *ret);
/* Counts what the entry needs as live, or no longer. */
void holds_take(struct spool *sp, const struct entry *e);
void holds_release(struct spool *sp, const struct entry *e);
MUST_CHECK int hold_list_add(struct spool *sp, struct hold_list *list, uint32_t *ret);
void hold_list_free(struct spool *sp, uint32_t number);
/* Fills ext_slot, ext_bytes and flags of `e` from encoded extents. 0, -ENOMEM, -ENOENT: one lies
 * in no segment that lives (`gone`, when not NULL, makes one up). */
MUST_CHECK int entry_set_extents(struct spool *sp, struct entry *e, struct slice extents,
                                 int (*gone)(struct spool *sp, uint32_t seq, uint32_t *ret));
/* Removes an entry at once, in recovery. */
void entry_forget(struct spool *sp, uint32_t n);
bool entry_needs_slot(const struct spool *sp, const struct entry *e, uint32_t slot);

/* ---- spool.c ---- */
/* What of `room` intake has been promised, as records take it. */
uint64_t spool_promised(struct spool *sp);
/* Gives back what a commit used of its reservation, after its sync failed. */
void spool_reserve_again(struct spool *sp, uint64_t bytes);
int mark_append(struct spool *sp, uint64_t id, struct slice mark);
int rewrite_append(struct spool *sp, uint64_t id, struct slice envelope);
int remove_append(struct spool *sp, uint64_t id);
/* Appends a MESSAGE record for `e` and sets its place there. segment_ensure() was called. */
void message_put(struct spool *sp, struct entry *e, struct slice extents, struct slice envelope,
                 struct slice marks);
uint64_t message_bytes(size_t extents, size_t envelope, size_t marks);

/* ---- read.c ---- */
enum fetch_mode { FETCH_WRITER, FETCH_WAIT, FETCH_NOWAIT };
/*
 * The MESSAGE record of `e`, checked, in `raw`, its parts in `ret`; the marks of the record and of
 * the chain, in order, in `ret_marks`. The writer only. 0, -ERR_DAMAGED, -EIO, -ENOMEM.
 */
MUST_CHECK int message_load(struct spool *sp, const struct entry *e, struct buf *raw,
                            struct message_parts *ret, struct buf *ret_marks);
/* Appends the marks of the entry's chain. */
MUST_CHECK int chain_load(struct spool *sp, enum fetch_mode mode, const struct entry *e,
                          struct buf *ret_marks);

/* ---- checkpoint.c ---- */
extern const char *const checkpoint_names[2];
MUST_CHECK int checkpoint_create(struct spool *sp); /* the first, empty one */
/* Begins one, or goes on, for about `budget` bytes. 1: not yet complete. 0: complete. On an error
 * it is given up, and is not due again before more was logged. */
MUST_CHECK int checkpoint_step(struct spool *sp, uint64_t budget);
int checkpoint_complete(struct spool *sp); /* all steps of one */
bool checkpoint_is_due(const struct spool *sp);
void checkpoint_abandon(struct spool *sp);

/* Reads a checkpoint file entry by entry. */
struct checkpoint_reader {
    struct fs_file *file;
    uint32_t seed;
    uint64_t off, end; /* of what is not yet in the window */
    uint64_t left;     /* entries */
    struct buf window;
    size_t at, entry_bytes;        /* of the present entry, in the window */
    struct checkpoint_entry entry; /* its parts are borrowed from the window: */
    struct slice extents, envelope, marks;
};
void checkpoint_reader_init(struct checkpoint_reader *r, struct fs_file *file,
                            const struct checkpoint_header *h);
void checkpoint_reader_done(struct checkpoint_reader *r);
/* 1: r->entry is the next. 0: the end. -ERR_DAMAGED, -EIO, -ENOMEM. */
MUST_CHECK int checkpoint_reader_next(struct checkpoint_reader *r);
/* Whether envelope and marks of the present entry are what was written. */
bool checkpoint_reader_payload_is_sound(const struct checkpoint_reader *r);

/* fs_write() to a file in the spool's own directory; a full disk gives way to it. */
MUST_CHECK int checkpoint_write(struct spool *sp, struct fs_file *f, struct slice data,
                                uint64_t off);

/* ---- dirs.c ---- */
/* The id of the spool in the list of directories, for want of any other; 0: there is no list. */
uint64_t dirs_spool_id(struct spool *sp);
/* Opens all that are named or on record. As spool_open(). */
MUST_CHECK int dirs_recover(struct spool *sp, struct buf *why);
/* Puts them on record, the new ones too, before any segment is made in them. */
MUST_CHECK int dirs_settle(struct spool *sp, struct buf *why);
/* Free on the file systems of those where segments are made. */
uint64_t dirs_free_bytes(struct spool *sp);
/* Makes the names in all of them durable. */
MUST_CHECK int dirs_sync(struct spool *sp);
void dirs_close(struct spool *sp);
/* The directory has no segment: takes it off the record and closes it. */
MUST_CHECK int dir_release(struct spool *sp, uint32_t dir);
bool dirs_any_draining(const struct spool *sp);
/* Segments are made in another one than the spool's own. */
bool dirs_have_others(const struct spool *sp);
/* A head there failed, or did not. The writer. */
void dir_suspect(struct spool *sp, uint32_t dir, bool suspect);
void dir_report(struct spool *sp, uint32_t dir, enum spool_directory_change change);

/* ---- drain.c ---- */
/* A step of emptying. 1: there is more. 0: nothing can be done now. Negative: the error. */
MUST_CHECK int drain_step(struct spool *sp, uint64_t budget);
/* Whether a checkpoint is all that it waits for. */
bool drain_wants_checkpoint(struct spool *sp);

/* ---- recover.c ---- */
MUST_CHECK int recover(struct spool *sp, struct buf *why);

/* ---- tend.c ---- */
/* The emptiest sealed segment that holds anything and is less than `percent` full, in a directory
 * that is emptied or, without `draining`, in any; without `recent` not one of the last. */
uint32_t compact_pick(struct spool *sp, uint32_t percent, bool recent, bool draining);
void compact_begin(struct spool *sp, uint32_t victim);
/*
 * A step of the victim's compaction, synced now and then, and at its end: it is the sync that makes
 * the victim free, and nobody need wait for another. 1: the victim is not yet done. 0: it is, or
 * was given up.
 */
MUST_CHECK int compact_step(struct spool *sp, uint64_t budget);
/* Sizes segments to the disk, and makes the write buffer and the first free segments. */
MUST_CHECK int spool_prepare(struct spool *sp);

/* ---- aside.c ---- */
/* Writes what can be read of a damaged message to damaged/, reports it and removes it. 0, or the
 * error; then it is marked as damaged and no longer served. */
int set_aside(struct spool *sp, uint32_t n);
/* Copies raw bytes of a segment there: a damaged region that belongs to no known message. */
void set_aside_raw(struct spool *sp, uint32_t slot, uint64_t from, uint64_t to);
