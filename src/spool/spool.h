/*
 * spool/spool.h - the durable queue: what is on disk, and what a crash leaves.
 *
 * An append-only log of preallocated, recycled segments (docs/spool-format.md has the bytes). The
 * spool owns bytes, not time: it knows messages, each an envelope (bytes it does not understand),
 * a body in extents, and marks (small records appended later, also not understood here: attempts
 * and their results). It knows nothing of recipients, retry or SMTP.
 *
 * The promise: what spool_commit() wrote is there after any crash once the spool_sync() after it
 * returned 0. What spool_remove() removed may come back after a crash until the next spool_sync():
 * a crash may send twice, never lose.
 *
 * Threads: one writer thread calls everything under "writer"; calls under "any thread" are safe
 * from all threads at once (they take the one short lock of the index). spool/writer.h runs a
 * spool in such a thread and groups commits.
 *
 * Errors: after a failed write or sync of a segment, that segment is given up: it is sealed at the
 * last synced byte, and everything appended and not yet synced has failed for good (-EIO); the
 * next append opens another segment. When that fails too the spool is FAILED: appends answer
 * -ERR_FAILED until it is reopened; reading goes on.
 *
 * No clock, no randomness; disk through io/fs.h only, so that a test can fail, tear, delay or lose
 * any operation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

struct fs; /* io/fs.h */
struct spool;

#define SPOOL_EXTENT_MAX KIB(64)  /* body bytes in one extent */
#define SPOOL_ENVELOPE_MAX MIB(1) /* bytes of envelope and folded marks */
#define SPOOL_MARK_MAX KIB(256)   /* bytes of one mark */
#define SPOOL_DIRECTORIES_MAX 16  /* the spool's own and others */
#define SPOOL_PATH_MAX 1000       /* bytes of a directory's path */

/*
 * Where segments are made besides the spool's own directory, the one of spool_open(): more disks
 * for one spool. The own directory keeps the lock, the checkpoints and the list of the others.
 *
 * A new segment is made where most is free. A directory that is not named any more is emptied: no
 * segment is made there, what its segments hold is moved to the others in the background, and when
 * none is left nothing of it is open any more, so that its disk can go. Until then the list in the
 * spool's own directory knows it: no opening succeeds without a directory that may hold mail.
 */
struct spool_directories {
    const char *const *paths; /* absolute, and in one spelling: they are compared as texts */
    size_t count;
    bool drain_own; /* the spool's own is emptied too, as far as segments go */
};

struct spool_config {
    uint64_t segment_bytes; /* 1 MiB..1 GiB; made smaller by the spool on a small disk */
    uint64_t max_bytes;     /* most that all segments together may take; 0: the disk's size */
    uint64_t
        drain_reserve_bytes; /* kept for marks, removals and checkpoints: intake never has it */
    uint32_t spare_segments; /* recycled segments kept ready; more are unlinked */
    uint64_t first_id;       /* ids of a new spool start here: the wall clock in us */
    bool read_only;          /* writes nothing, sets nothing aside: `penstock spool verify` */

    const char *path; /* of the spool's own directory, for reports; NULL: none */
    struct spool_directories directories; /* borrowed for the call of spool_open() */
    /* Opens another directory, which exists; the spool frees what it gets. NULL: there are none. */
    int (*open_directory)(void *ctx, const char *path, struct fs **ret, struct buf *why);
    void *open_ctx;
};

/* Where the body bytes of a message are: made by spool_append(), kept in the commit record. */
struct spool_extent {
    uint32_t segment;
    uint32_t offset; /* of the record, in the segment */
    uint32_t bytes;  /* of body */
};

enum spool_directory_change {
    SPOOL_DIRECTORY_ADDED,    /* segments are made there from now on */
    SPOOL_DIRECTORY_DRAINING, /* no more are made there; what it holds is moved */
    SPOOL_DIRECTORY_EMPTY,    /* nothing of the spool's mail is there, and nothing is open */
};

/* What opening found, for the log and for `penstock spool verify`. */
struct spool_report {
    void (*damage)(void *ctx, const char *file, uint64_t offset, uint64_t id, const char *what);
    void (*note)(void *ctx, const char *sentence); /* torn tail cut, checkpoint rebuilt, ... */
    /* What became of a directory; `bytes`: of segments in it. The thread that opens, or the
     * writer. */
    void (*directory)(void *ctx, const char *path, enum spool_directory_change change,
                      uint64_t bytes);
    void *ctx;
};

/*
 * Opens the spool in the directory `fs` stands for, creating it when empty, and recovers: reads
 * the checkpoint, replays what came after it, cuts a torn tail, sets damaged messages aside. Holds
 * the directory's lock until spool_close(). -ERR_LOCKED: another server has it. -EACCES, -ENOSPC,
 * -ENOTDIR, -EIO, -ENOMEM, -ERR_DAMAGED (of a future version). -ENODEV: a directory that may hold
 * mail of this spool is not there (its disk is not mounted?) or config->directories does not name
 * it. -EEXIST: one that is named holds the files of another spool. `*why` gets a sentence.
 */
MUST_CHECK int spool_open(struct spool **ret, struct fs *fs, const struct spool_config *config,
                          const struct spool_report *report, struct buf *why);
/* Syncs, checkpoints where it can, releases the lock. NULL is fine. */
void spool_close(struct spool **sp);

/* ---- any thread ---- */

/* Never twice the same, not after a crash or a removal either. */
uint64_t spool_new_id(struct spool *sp);

/*
 * Sets room aside for a message of `bytes` (body and envelope), before its first byte is taken, so
 * that an accepted message cannot meet a full disk. 0 or -ENOSPC. May be called again as a message
 * grows. Every byte given to spool_append() and every envelope byte given to spool_commit() uses
 * up what was reserved, also when the sync after it fails (not when the call itself fails); what
 * was reserved and not used goes back with spool_unreserve(). Who appends without reserving takes
 * from others. Room is real: it lies in preallocated segments, and where they do not suffice one
 * is allocated here, once per segment of growth.
 */
MUST_CHECK int spool_reserve(struct spool *sp, uint64_t bytes);
void spool_unreserve(struct spool *sp, uint64_t bytes);

struct spool_stat {
    uint64_t messages;   /* committed and not removed */
    uint64_t live_bytes; /* of records that are still needed */
    uint64_t dead_bytes; /* in full segments, not needed: what compaction could free */
    uint64_t segments, segments_free, segment_bytes;
    uint64_t file_bytes;          /* of all segment files */
    uint64_t reusable_bytes;      /* of them free to be written: free segments, the head's rest */
    uint64_t growable_bytes;      /* in segments that could be made, as the disk is now */
    uint64_t drain_reserve_bytes; /* as it is on this disk */
    uint64_t reserved_bytes;      /* promised to messages that are under way */
    uint64_t capacity_bytes, free_bytes; /* what intake may still take, reserve excluded */
    uint64_t max_bytes;                  /* as spool_set_max_bytes() says; 0: the disk's size */
    uint64_t syncs, bytes_written, commits, marks, removes, checkpoints, compacted_bytes;
    uint64_t damaged;
    bool failed;
};
/* Cheap (a look at each segment, one statvfs), and as true as the disk is at this moment, whoever
 * else fills it. */
void spool_get_stat(struct spool *sp, struct spool_stat *ret);
/* Another limit for all segments together (spool_config.max_bytes), from now on. What is over it
 * stays until it is not needed. */
void spool_set_max_bytes(struct spool *sp, uint64_t max_bytes);
struct spool_directory_stat {
    char path[SPOOL_PATH_MAX + 1];
    bool draining;                    /* no segments are made there */
    bool waits;                       /* and what it holds finds no room in the others */
    uint64_t segments;                /* files */
    uint64_t file_bytes;              /* of them */
    uint64_t live_bytes;              /* of records in them that are needed */
    uint64_t free_bytes, total_bytes; /* of its file system; 0 and 0: it does not say */
};
/* The spool's own first. Returns how many. */
size_t spool_get_directories(struct spool *sp,
                             struct spool_directory_stat ret[static SPOOL_DIRECTORIES_MAX]);
/* No compaction by spool_tick() while `paused`; spool_relieve() and the emptying of directories are
 * not meant. */
void spool_pause_compaction(struct spool *sp, bool paused);

/*
 * Reading. A reader pins the segments its message lies in, so that they are not recycled under it;
 * hold it shortly. The envelope and the marks (in the order written) are copied into `ret_envelope`
 * and `ret_marks` (NULL: not wanted), each mark as a u32 length and its bytes.
 * 0; -ENOENT: no such message; -ERR_DAMAGED; -EIO; -EAGAIN: `nowait` and it is not in memory (ask
 * again from a thread that may block).
 */
struct spool_reader { /* fields are private; a value in the caller's struct */
    struct spool *sp;
    uint64_t id, body_bytes;
    struct spool_extent *extents;
    uint32_t count, at, at_offset;
    uint32_t crc, want_crc; /* of the extent that is being read in pieces */
    struct spool_extent inline_extents[4];
};
MUST_CHECK int spool_read(struct spool *sp, uint64_t id, bool nowait, struct spool_reader *ret,
                          struct buf *ret_envelope, struct buf *ret_marks);
/* The next body bytes, checked against their CRC: >0 count, 0 at the end, -EAGAIN, -ERR_DAMAGED,
 * -EIO. A `size` of SPOOL_EXTENT_MAX or more gets whole extents, checked before they are given;
 * with less, an extent comes in pieces and damage shows with its last one. */
MUST_CHECK ptrdiff_t spool_read_body(struct spool_reader *r, bool nowait, void *to, size_t size);
void spool_read_rewind(struct spool_reader *r);
void spool_read_done(struct spool_reader *r); /* unpins; harmless twice */

/* ---- writer ---- */

/* Appends body bytes (1..SPOOL_EXTENT_MAX) of a message to be committed. 0, -ENOSPC, -EIO,
 * -ERR_FAILED. The bytes may still be in the spool's write buffer when it returns. */
MUST_CHECK int spool_append(struct spool *sp, uint64_t id, struct slice body,
                            struct spool_extent *ret);
/* Appends the record that makes the message exist: all or nothing. Errors as above, -E2BIG. */
MUST_CHECK int spool_commit(struct spool *sp, uint64_t id, struct slice envelope,
                            const struct spool_extent *extents, size_t count);
/* The client went away: these extents will never be committed. */
void spool_abort(struct spool *sp, uint64_t id, const struct spool_extent *extents, size_t count);
/* Appends a mark. May use the drain reserve but for a last segment's worth, which removals have
 * alone (-ENOSPC). -ENOENT: no such message. -E2BIG: envelope and marks
 * together would be over SPOOL_ENVELOPE_MAX: fold them into the envelope and spool_rewrite() it.
 * -ERR_DAMAGED: the earlier marks cannot be read; spool_set_aside() it. Else as above. */
MUST_CHECK int spool_mark(struct spool *sp, uint64_t id, struct slice mark);
/* Replaces envelope and all marks of a message by `envelope`; the body stays. */
MUST_CHECK int spool_rewrite(struct spool *sp, uint64_t id, struct slice envelope);
/*
 * Other directories from now on, as at spool_open(). 0: they are in use, and on record. -ENODEV,
 * -EEXIST, -ERR_LOCKED, -EINVAL (too many; none to make segments in), -ENOSPC, -EIO, ...: nothing
 * changed, and `*why` has a sentence.
 */
MUST_CHECK int spool_set_directories(struct spool *sp, const struct spool_directories *want,
                                     struct buf *why);
/* The message is finished. May use the drain reserve. -ENOENT. */
MUST_CHECK int spool_remove(struct spool *sp, uint64_t id);
/*
 * What to do with a message whose reading gave -ERR_DAMAGED: writes what can still be read to the
 * sub-directory damaged/ (ID.envelope, ID.marks, ID.body), reports it, and removes the message.
 * 0, -ENOENT, or the error of writing there: then it stays and reading it goes on to fail. With a
 * spool opened for reading only it reports where the damage is, and does nothing else.
 */
MUST_CHECK int spool_set_aside(struct spool *sp, uint64_t id);

/*
 * Writes what is buffered and makes all appended records durable (one write, one fdatasync).
 * 0: all of them are. -EIO, -ENOSPC: none of those appended since the last sync may be
 * acknowledged; the spool forgot their commits. -ERR_FAILED.
 */
MUST_CHECK int spool_sync(struct spool *sp);
bool spool_is_dirty(const struct spool *sp); /* something appended and not synced */
/* Background work, at most about `budget_bytes` of it: checkpoint when due, compact the emptiest
 * segment, recycle. 1: there is more to do. 0: nothing to do now. Negative: the error, to
 * report. */
MUST_CHECK int spool_tick(struct spool *sp, uint64_t budget_bytes);
/*
 * A remedy under disk pressure, about `budget_bytes` of it a call: compacts segments that are up to
 * nine tenths full, the emptiest first, takes a checkpoint where that frees a segment, and gives
 * spare segments back to the file system. What it appends it syncs.
 * 1: there is more to do; call again. 0: it has ended, since nothing more can be freed now or
 * enough was copied for once. Negative: it has ended with that error; what was freed stays so.
 * `*ret_freed_bytes`: what this call and those before it made free to be used again, less what was
 * copied for it; spare segments, free before, do not count.
 */
MUST_CHECK int spool_relieve(struct spool *sp, uint64_t budget_bytes, uint64_t *ret_freed_bytes);

/* Calls fn for every message, oldest first, until it returns non-zero (which is returned). Marks
 * as in spool_read(). For rebuilding the schedule at start: fast (the checkpoint is read in one
 * run, no body is touched). Damaged ones were set aside before and do not appear. */
int spool_each(struct spool *sp,
               int (*fn)(void *ctx, uint64_t id, struct slice envelope, struct slice marks),
               void *ctx);
