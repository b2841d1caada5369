/*
 * event/folder.h - one folder of log files: which file is open, when the next begins, which go.
 *
 * Files are PREFIXyyyymmdd-n.suffix, by the day in UTC, n from 1. A file is followed by another
 * when it is full, at midnight UTC, and when it was removed, renamed or replaced from outside.
 * After a start the last file of the day goes on where it has the same head, has room and no other
 * process writes it; what a crash cut off at its end is removed. Whatever has another name in the
 * folder is left alone.
 *
 * Lines stay whole: a write that the disk takes in part is cut back to the last whole line.
 *
 * Threads: none of its own; the log thread's. It does blocking I/O and never fsyncs. Times are
 * handed in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/slice.h"

#define FOLDER_PATH_MAX 1024 /* bytes, of the folder's path */
#define FOLDER_FILE_PATH_MAX (FOLDER_PATH_MAX + 64)
#define FOLDER_FILES_MAX 100000 /* looked at; what is over it is counted at a later look */

struct folder_rules { /* texts are borrowed */
    const char *path; /* absolute; made when it is not there, its parents too */
    const char *prefix, *suffix;
    const char *head; /* of each new file, "%D" where the time goes; NULL: none */
    uint64_t file_max_bytes, folder_max_bytes;
    uint64_t age_max_s;      /* 0: no bound */
    uint64_t free_min_bytes; /* nothing is written where less is free on the disk */
};

struct folder_name { /* of a file: day 20261122, number 1.. */
    uint32_t day, number;
};

struct folder { /* fields are private, but for `why` and `path` */
    struct folder_rules rules;
    int fd; /* -1: none is open */
    struct folder_name open;
    dev_t device;
    ino_t inode;
    uint64_t size;                   /* of the open file */
    uint64_t other_bytes;            /* of the others, when last looked at */
    int64_t looked_s;                /* when that was, by the wall clock */
    bool cannot_trim;                /* and files that should go could not be removed */
    bool has_opened;                 /* an old file goes on at the first opening only */
    char path[FOLDER_FILE_PATH_MAX]; /* of the file open last or tried last */
    char why[160];                   /* after a failure: a reason for people */
};

/* A folder with nothing open. */
void folder_init(struct folder *f, const struct folder_rules *rules);
/* New rules; when the path is the same, the open file goes on unless the head changed. */
void folder_set_rules(struct folder *f, const struct folder_rules *rules);
void folder_done(struct folder *f);

/*
 * Appends `lines`, whole lines, at time `wall_ms`. 0, or the error; `*ret_written` is how many
 * bytes are in files then, whole lines too. -ENOSPC also where the rules leave no room. Adds to
 * `*freed` what removing old files freed.
 */
MUST_CHECK int folder_append(struct folder *f, struct slice lines, int64_t wall_ms,
                             size_t *ret_written, uint64_t *freed);

/* Removes what is over the bounds by now. */
void folder_trim(struct folder *f, int64_t wall_ms, uint64_t *freed);
/* Removes the oldest until at most `bytes` are left, the present file too if need be (the next line
 * begins another). */
void folder_relieve(struct folder *f, uint64_t bytes, int64_t wall_ms, uint64_t *freed);

/* Makes `path` and its parents, mode 0750. 0, also where it is there, or -Exxx. */
MUST_CHECK int folder_make(const char *path);
/* Is `name` that of a file PREFIXyyyymmdd-n.suffix? */
bool folder_parse_name(const char *name, const char *prefix, const char *suffix,
                       struct folder_name *ret);
/* Older first: negative, 0, positive. */
int folder_compare(struct folder_name a, struct folder_name b);
