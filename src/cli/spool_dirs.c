/* cli/spool_dirs.c - see spool_dirs.h. */
#include "cli/spool_dirs.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "io/fs.h"

int spool_dirs_init(struct spool_dirs *d, const struct config *c)
{
    const struct config_texts *more = &c->spool.more_directories;

    *d = (struct spool_dirs){.paths = calloc(more->count + 1, sizeof(char *))};
    if (!d->paths)
        return -ENOMEM;
    for (size_t i = 0; i < more->count; i++) {
        d->paths[i] = realpath(more->list[i], NULL);
        if (!d->paths[i])
            d->paths[i] = strdup(more->list[i]);
        if (!d->paths[i]) {
            spool_dirs_done(d);
            return -ENOMEM;
        }
    }
    d->value = (struct spool_directories){.paths = (const char *const *)d->paths,
                                          .count = more->count,
                                          .drain_own = c->spool.drain_directory};
    return 0;
}

void spool_dirs_done(struct spool_dirs *d)
{
    for (size_t i = 0; d->paths && d->paths[i]; i++)
        free(d->paths[i]);
    free(d->paths);
    *d = (struct spool_dirs){0};
}

int spool_dirs_open(void *ctx, const char *path, struct fs **ret, struct buf *why)
{
    (void)ctx;
    return fs_posix_open(path, /* create= */ false, ret, why);
}
