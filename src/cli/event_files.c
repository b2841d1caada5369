/* cli/event_files.c - see event_files.h. */
#include "cli/event_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLOCK_SLACK_MS 60000 /* a file's time and the times in it come from two clocks */

#define FILE_NAMES(constant, folder, prefix, suffix) {prefix, suffix},
static const struct {
    const char *prefix, *suffix;
} names[] = {RECORD_TABLE(FILE_NAMES)};

static void path_of(const struct event_files *f, struct folder_name n,
                    char ret[static FOLDER_FILE_PATH_MAX])
{
    (void)snprintf(ret, FOLDER_FILE_PATH_MAX, "%s/%s%08u-%u.%s", f->folder, names[f->kind].prefix,
                   n.day, n.number, names[f->kind].suffix);
}

/* The oldest file after the one read last. 1, 0: there is none, or -Exxx. */
static int find_next(const struct event_files *f, struct folder_name *ret)
{
    DIR *dir = opendir(f->folder);
    struct dirent *entry;
    bool found = false;

    if (!dir)
        return -errno;
    while ((entry = readdir(dir))) { /* NOLINT(concurrency-mt-unsafe): one thread */
        struct folder_name n;
        struct stat st;

        if (!folder_parse_name(entry->d_name, names[f->kind].prefix, names[f->kind].suffix, &n) ||
            (f->has_begun && folder_compare(n, f->open) <= 0) ||
            (found && folder_compare(n, *ret) >= 0) ||
            fstatat(dirfd(dir), entry->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode) ||
            (int64_t)st.st_mtime * 1000 + CLOCK_SLACK_MS < f->since_ms)
            continue;
        *ret = n;
        found = true;
    }
    (void)closedir(dir);
    return found;
}

static void close_file(struct event_files *f)
{
    if (f->fd >= 0)
        (void)close(f->fd);
    f->fd = -1;
    f->cut += f->end > f->begin || f->skips;
    f->begin = f->end = 0;
    f->skips = false;
}

static int open_file(struct event_files *f, struct folder_name n)
{
    char path[FOLDER_FILE_PATH_MAX];
    int fd;

    path_of(f, n, path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    close_file(f);
    f->fd = fd;
    f->open = n;
    f->has_begun = true;
    f->offset = 0;
    return 0;
}

/* More bytes behind `end`. 1, 0: there are none by now, or -Exxx. */
static int fill(struct event_files *f)
{
    ssize_t n;

    if (f->begin > 0) {
        memmove(f->buffer, f->buffer + f->begin, f->end - f->begin);
        f->end -= f->begin;
        f->begin = 0;
    }
    if (f->end == sizeof(f->buffer)) { /* no line is that long */
        f->skips = true;
        f->end = 0;
    }
    do {
        n = pread(f->fd, f->buffer + f->end, sizeof(f->buffer) - f->end, (off_t)f->offset);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 ? -errno : 0;
    f->end += (size_t)n;
    f->offset += (uint64_t)n;
    return 1;
}

/* Was the file emptied, or is its name another file's now? Then it is read from its beginning. */
static int look_again(struct event_files *f)
{
    char path[FOLDER_FILE_PATH_MAX];
    struct stat by_path, st;

    path_of(f, f->open, path);
    if (fstat(f->fd, &st) < 0 || stat(path, &by_path) < 0)
        return 0;
    if (st.st_ino != by_path.st_ino || st.st_dev != by_path.st_dev)
        return open_file(f, f->open) < 0 ? 0 : 1;
    if ((uint64_t)st.st_size < f->offset) {
        f->offset = 0;
        f->begin = f->end = 0;
        return 1;
    }
    return 0;
}

/* A line out of the buffer. */
static bool take_line(struct event_files *f, struct slice *ret)
{
    for (;;) {
        struct slice left = slice_make(f->buffer + f->begin, f->end - f->begin);
        ptrdiff_t at = slice_find(left, '\n');
        bool skipped = f->skips;

        if (at < 0)
            return false;
        f->begin += (size_t)at + 1;
        f->skips = false;
        f->cut += skipped;
        if (!skipped) {
            *ret = slice_sub(left, 0, (size_t)at + 1);
            return true;
        }
    }
}

/* 1: another file, or more of this one; 0: no more by now; -Exxx. */
static int go_on(struct event_files *f)
{
    struct folder_name next = {0};
    int r = 0, more;

    if (f->fd >= 0)
        r = fill(f);
    if (r != 0)
        return r;
    if (f->fd >= 0 && look_again(f))
        return 1;
    r = find_next(f, &next);
    if (r == -ENOENT)
        return 0; /* removed for now */
    if (r <= 0)
        return r;
    /* What was written between the last look at this file and the next one's beginning. */
    more = f->fd >= 0 ? fill(f) : 0;
    if (more != 0)
        return more;
    r = open_file(f, next);
    return r == -ENOENT ? 1 : r < 0 ? r : 1;
}

int event_files_next(struct event_files *f, struct slice *ret)
{
    for (;;) {
        int r;

        if (take_line(f, ret))
            return 1;
        r = go_on(f);
        if (r <= 0)
            return r;
    }
}

int event_files_open(struct event_files *f, enum record_kind kind, const char *folder,
                     int64_t since_ms)
{
    DIR *dir = opendir(folder);

    if (!dir)
        return -errno;
    (void)closedir(dir);
    if (strlen(folder) >= sizeof(f->folder))
        return -ENAMETOOLONG;
    *f = (struct event_files){.kind = kind, .since_ms = since_ms, .fd = -1};
    memcpy(f->folder, folder, strlen(folder) + 1);
    return 0;
}

void event_files_ended(struct event_files *f)
{
    f->cut += f->end > f->begin || f->skips;
    f->begin = f->end = 0;
    f->skips = false;
}

void event_files_close(struct event_files *f)
{
    close_file(f);
}
