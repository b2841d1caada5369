/*
 * cli/spool_dirs.h - the directories of the spool, from the configuration to the spool.
 *
 * The spool compares paths as texts and puts them on record: relative ones and links are resolved
 * before. Threads: none of its own.
 */
#pragma once

#include <stddef.h>

#include "base/base.h"
#include "base/buf.h"
#include "spool/spool.h"

struct config;
struct fs;

/* spool.more_directories, resolved; fields are private. */
struct spool_dirs {
    char **paths;
    struct spool_directories value; /* borrows the paths */
};

/* 0 or -ENOMEM. A path that leads nowhere stays as it was written, for the spool to complain of. */
MUST_CHECK int spool_dirs_init(struct spool_dirs *d, const struct config *c);
void spool_dirs_done(struct spool_dirs *d); /* harmless twice, and on a zeroed one */
/* spool_config.open_directory. */
int spool_dirs_open(void *ctx, const char *path, struct fs **ret, struct buf *why);
