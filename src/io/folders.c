/* io/folders.c - one mkdir() a part. */
#include "io/folders.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

/* 0 where something is there: it is a folder, or the error. */
static int check(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int folders_make(struct slice path, mode_t mode)
{
    char part[PATH_MAX];
    int r;

    if (path.len == 0 || path.len >= sizeof(part))
        return -ENAMETOOLONG;
    memcpy(part, path.ptr, path.len);
    part[path.len] = '\0';
    r = check(part);
    if (r != -ENOENT)
        return r;
    for (size_t i = 1; i <= path.len; i++) {
        char after = part[i];

        if (after != '/' && after != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, mode) < 0 && errno != EEXIST)
            return -errno;
        part[i] = after;
    }
    return check(part);
}
