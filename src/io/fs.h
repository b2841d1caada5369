/*
 * io/fs.h - the files of one directory: the only way the spool reaches a disk.
 *
 * A table of functions with two implementations: the real one (fs_posix_open()), and a disk in
 * memory for tests (io/fs_sim.h), which can fail, tear, delay or lose any operation. Names are
 * relative to the directory, NUL-ended, and may lead into one level of sub-directory.
 *
 * Durability: a write is durable when fs_sync() of its file returned 0 after it; a created,
 * renamed or unlinked name when fs_sync_dir() returned 0 after it. After a failed fs_sync() nobody
 * knows which of the writes since the last one are on disk, and a second fs_sync() that returns 0
 * says nothing about them (the kernel reports a lost page once).
 *
 * Threads: any thread may call anything; one file is written by one thread at a time.
 * Errors: 0 or a count, else -Exxx of the system call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

struct fs;
struct fs_file;

enum fs_open_flags {
    FS_WRITE = 1 << 0,  /* else for reading only */
    FS_CREATE = 1 << 1, /* the name is made when it is not there; mode 0600 */
    FS_TRUNCATE = 1 << 2,
};

struct fs_space {
    uint64_t free_bytes, total_bytes; /* free to us, without what is kept for root */
    uint64_t free_inodes, total_inodes;
    uint64_t device; /* the file system: the same number, the same free bytes */
};

struct fs_ops {
    int (*open)(struct fs *fs, const char *name, unsigned flags, struct fs_file **ret);
    void (*close)(struct fs_file *f);
    ptrdiff_t (*preadv)(struct fs_file *f, const struct iovec *iov, int count, uint64_t offset,
                        bool nowait);
    ptrdiff_t (*pwrite)(struct fs_file *f, struct slice data, uint64_t offset);
    int (*allocate)(struct fs_file *f, uint64_t bytes);
    int (*truncate)(struct fs_file *f, uint64_t bytes);
    int (*sync)(struct fs_file *f);
    int (*size)(struct fs_file *f, uint64_t *ret);
    int (*sync_dir)(struct fs *fs);
    int (*make_dir)(struct fs *fs, const char *name);
    int (*rename)(struct fs *fs, const char *from, const char *to);
    int (*unlink)(struct fs *fs, const char *name);
    int (*list)(struct fs *fs, int (*fn)(void *ctx, const char *name), void *ctx);
    int (*space)(struct fs *fs, struct fs_space *ret);
    int (*lock)(struct fs *fs, const char *name, struct fs_file **ret);
    void (*free)(struct fs *fs);
};

/* Embedded first in what an implementation allocates. */
struct fs {
    const struct fs_ops *ops;
};
struct fs_file {
    struct fs *fs;
};

/*
 * The real directory `path`; `create` makes it (mode 0700) where its parent exists. 0, -ENOENT,
 * -ENOTDIR, -EACCES, -ENOMEM, ...; `*why` gets a sentence.
 */
MUST_CHECK int fs_posix_open(const char *path, bool create, struct fs **ret, struct buf *why);
/* Every file of it was closed before. NULL is fine. */
void fs_free(struct fs **fs);

MUST_CHECK int fs_open(struct fs *fs, const char *name, unsigned flags, struct fs_file **ret);
void fs_close(struct fs_file **f); /* NULL is fine */
/*
 * Reads to the end of the vector or of the file, whichever comes first: a short count means the
 * end. `nowait`: only what is in memory; -EAGAIN when it is not all there.
 */
MUST_CHECK ptrdiff_t fs_preadv(struct fs_file *f, const struct iovec *iov, int count,
                               uint64_t offset, bool nowait);
MUST_CHECK ptrdiff_t fs_pread(struct fs_file *f, void *to, size_t size, uint64_t offset,
                              bool nowait);
/* Writes all of it, or fails with any part written. -ENOSPC, -EIO, ... */
MUST_CHECK int fs_write(struct fs_file *f, struct slice data, uint64_t offset);
/* Gives the file blocks up to `bytes`, so that writing there cannot meet a full disk; it grows to
 * that size and never shrinks. -ENOSPC leaves no more allocated than before where possible. */
MUST_CHECK int fs_allocate(struct fs_file *f, uint64_t bytes);
int fs_truncate(struct fs_file *f, uint64_t bytes);
MUST_CHECK int fs_sync(struct fs_file *f); /* fdatasync */
MUST_CHECK int fs_size(struct fs_file *f, uint64_t *ret);
MUST_CHECK int fs_sync_dir(struct fs *fs); /* of the directory and its sub-directories */
MUST_CHECK int fs_make_dir(struct fs *fs, const char *name); /* 0 also when it is there */
MUST_CHECK int fs_rename(struct fs *fs, const char *from, const char *to);
int fs_unlink(struct fs *fs, const char *name);
/* Calls fn with each name in the directory (not in sub-directories) until it returns non-zero,
 * which is returned. */
MUST_CHECK int fs_list(struct fs *fs, int (*fn)(void *ctx, const char *name), void *ctx);
MUST_CHECK int fs_space(struct fs *fs, struct fs_space *ret);
/* Takes an exclusive lock on the file `name`, made when missing, held until fs_close(*ret) or the
 * death of the process. -ERR_LOCKED: somebody has it. */
MUST_CHECK int fs_lock(struct fs *fs, const char *name, struct fs_file **ret);
