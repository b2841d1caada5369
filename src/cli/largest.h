/*
 * cli/largest.h - what is large on a file system: the folders and files that hold most of it.
 *
 * A walk from the top, level by level, so that what is cut short has seen what lies high up. It
 * stays on the file system it began on, follows no links, and ends after so many entries or so much
 * time; what it has by then is told, and that it was cut.
 *
 * A folder is told as a whole where no single thing in it is half of it; else what is in it is
 * told. So no byte is told twice, and "/srv" is not the answer when "/srv/backup/old.tar" is.
 *
 * It reads folders and may wait for the disk: for commands, never for the server.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/base.h"

#define LARGEST_FOUND_MAX 5
#define LARGEST_SKIPPED_MAX 8
#define LARGEST_DEPTH_MAX 32 /* folders below are not looked into */

struct largest_ask {
    const char *root;
    size_t entries_max;
    uint64_t ms_max;
    struct { /* folders that are known, and left out */
        dev_t device;
        ino_t inode;
    } skipped[LARGEST_SKIPPED_MAX];
    size_t skipped_count;
};

struct largest_found {
    char *path; /* from the root on */
    uint64_t bytes, files;
    bool is_folder;
};
struct largest {
    struct largest_found by_bytes[LARGEST_FOUND_MAX], by_files[LARGEST_FOUND_MAX]; /* most first */
    size_t by_bytes_count, by_files_count;
    uint64_t bytes, files; /* in all that was seen; files counts folders, too */
    size_t unreadable;     /* folders */
    enum { LARGEST_WHOLE, LARGEST_CUT_BY_ENTRIES, LARGEST_CUT_BY_TIME } cut;
};

/* 0; -ENOENT, -EACCES, -ENOTDIR: the root; -ENOMEM. Free the result with largest_done(). */
MUST_CHECK int largest_find(const struct largest_ask *ask, struct largest *ret);
void largest_done(struct largest *l);
