/*
 * event/folder.c - the files of one kind.
 *
 * The open file is looked at before each append: its size and whether its name still leads to it.
 * That is two system calls for a batch of lines, and makes `rm`, `mv` and `truncate` by people and
 * tools work without telling the server.
 */
#include "event/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/err.h"
#include "io/folders.h"

#define FOLDER_MODE 0750
#define FILE_MODE 0640
#define HEAD_MAX KIB(4)
#define LINE_MAX_BYTES KIB(8) /* how far back the end of a cut line is looked for */
#define TRIES_MAX 100         /* names tried for a new file */

/* ---- names ---- */

static uint32_t day_of(int64_t wall_ms)
{
    time_t t = (time_t)(wall_ms / MS_PER_S);
    struct tm tm;

    if (!gmtime_r(&t, &tm))
        return 19700101;
    return (uint32_t)((tm.tm_year + 1900) * 10000 + (tm.tm_mon + 1) * 100 + tm.tm_mday);
}

bool folder_parse_name(const char *name, const char *prefix, const char *suffix,
                       struct folder_name *ret)
{
    struct slice s = slice_str(name), p = slice_str(prefix);
    struct slice number;
    uint64_t day, n;
    ptrdiff_t dot;

    if (!slice_has_prefix(s, p))
        return false;
    s = slice_from(s, p.len);
    if (s.len < 10 || s.ptr[8] != '-' || slice_to_u64(slice_sub(s, 0, 8), 99991231, &day) < 0)
        return false;
    number = slice_from(s, 9);
    dot = slice_find(number, '.');
    if (dot <= 0 || !slice_eq(slice_from(number, (size_t)dot + 1), slice_str(suffix)))
        return false;
    number = slice_sub(number, 0, (size_t)dot);
    if (number.ptr[0] == '0' || slice_to_u64(number, UINT32_MAX - 1, &n) < 0)
        return false;
    *ret = (struct folder_name){.day = (uint32_t)day, .number = (uint32_t)n};
    return true;
}

int folder_compare(struct folder_name a, struct folder_name b)
{
    if (a.day != b.day)
        return a.day < b.day ? -1 : 1;
    return a.number == b.number ? 0 : a.number < b.number ? -1 : 1;
}

static void path_of(const struct folder *f, struct folder_name n,
                    char ret[static FOLDER_FILE_PATH_MAX])
{
    (void)snprintf(ret, FOLDER_FILE_PATH_MAX, "%s/%s%08u-%u.%s", f->rules.path, f->rules.prefix,
                   n.day, n.number, f->rules.suffix);
}

int folder_make(const char *path)
{
    return folders_make(slice_str(path), FOLDER_MODE);
}

/* ---- what is there ---- */

struct listed {
    struct folder_name name;
    uint64_t bytes;
    int64_t written_s;
};
struct listing { /* all files but the open one */
    struct listed *files;
    size_t count, room;
    uint64_t bytes;
    uint32_t last_number; /* of `day`, the open one's too; 0: none */
    uint32_t day;
};

static bool is_open(const struct folder *f, struct folder_name n)
{
    return f->fd >= 0 && folder_compare(n, f->open) == 0;
}

/* False: no memory, or more than are looked at. */
static bool list_add(struct listing *l, const struct listed *file)
{
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        struct listed *files;

        if (l->room >= FOLDER_FILES_MAX)
            return false;
        files = realloc(l->files, room * sizeof(*files));
        if (!files)
            return false;
        l->files = files;
        l->room = room;
    }
    l->files[l->count++] = *file;
    l->bytes += file->bytes;
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;

    return folder_compare(x->name, y->name);
}

/* Oldest first. -Exxx: the folder cannot be read. Free `l->files` in any case. */
static int list_files(struct folder *f, uint32_t day, struct listing *l)
{
    DIR *dir = opendir(f->rules.path);
    struct dirent *entry;

    *l = (struct listing){.day = day};
    if (!dir)
        return -errno;
    while ((entry = readdir(dir))) { /* NOLINT(concurrency-mt-unsafe): the stream is our own */
        struct listed file;
        struct stat st;

        if (!folder_parse_name(entry->d_name, f->rules.prefix, f->rules.suffix, &file.name) ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (file.name.day == day)
            l->last_number = MAX_OF(l->last_number, file.name.number);
        if (is_open(f, file.name) || !S_ISREG(st.st_mode))
            continue;
        file.bytes = (uint64_t)st.st_size;
        file.written_s = st.st_mtime;
        if (!list_add(l, &file))
            break;
    }
    (void)closedir(dir);
    if (l->count)
        qsort(l->files, l->count, sizeof(*l->files), by_name);
    return 0;
}

/* Removes the oldest until the others have at most `bytes`, and all that are too old. */
static void remove_oldest(struct folder *f, struct listing *l, uint64_t bytes, int64_t wall_ms,
                          uint64_t *freed)
{
    int64_t age_max_s = (int64_t)MIN_OF(f->rules.age_max_s, (uint64_t)INT32_MAX);
    int64_t oldest_s = age_max_s ? wall_ms / MS_PER_S - age_max_s : INT64_MIN;

    for (size_t i = 0; i < l->count; i++) {
        char path[FOLDER_FILE_PATH_MAX];

        if (l->bytes <= bytes && l->files[i].written_s >= oldest_s)
            continue;
        path_of(f, l->files[i].name, path);
        if (unlink(path) < 0 && errno != ENOENT)
            continue;
        l->bytes -= l->files[i].bytes;
        *freed += l->files[i].bytes;
    }
    f->other_bytes = l->bytes;
    f->looked_s = wall_ms / MS_PER_S;
    f->cannot_trim = l->bytes > bytes;
}

/* Leaves room for `more` bytes in the open file. */
static void trim(struct folder *f, uint64_t more, int64_t wall_ms, uint64_t *freed)
{
    uint64_t wanted = f->size + more;
    struct listing l;

    if (list_files(f, 0, &l) == 0)
        remove_oldest(f, &l, f->rules.folder_max_bytes - MIN_OF(wanted, f->rules.folder_max_bytes),
                      wall_ms, freed);
    free(l.files);
}

/* ---- the open file ---- */

static int failed(struct folder *f, int err, const char *what)
{
    (void)snprintf(f->why, sizeof(f->why), "%s: %s", what, err_str(err));
    return err;
}

static void close_file(struct folder *f)
{
    if (f->fd < 0)
        return;
    (void)close(f->fd);
    f->fd = -1;
    f->other_bytes += f->size;
    f->size = 0;
}

/* All or nothing: what a disk took in part is cut off again. */
static int write_all(struct folder *f, struct slice s, size_t *ret_written)
{
    size_t written = 0;
    int err = 0;

    *ret_written = 0;
    while (written < s.len) {
        ssize_t n = write(f->fd, s.ptr + written, s.len - written);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            err = n < 0 ? -errno : -EIO;
            break;
        }
        written += (size_t)n;
    }
    if (err < 0 && written > 0) {
        written = (size_t)(slice_rfind(slice_sub(s, 0, written), '\n') + 1);
        if (ftruncate(f->fd, (off_t)(f->size + written)) < 0)
            close_file(f); /* the next file begins clean */
    }
    if (f->fd >= 0)
        f->size += written;
    *ret_written = written;
    return err < 0 ? failed(f, err, "it cannot be written") : 0;
}

/* The head with the time in it; `ret` holds HEAD_MAX. */
static struct slice make_head(const struct folder *f, int64_t wall_ms, char *ret)
{
    const char *head = f->rules.head ? f->rules.head : "";
    const char *mark = strstr(head, "%D");
    time_t t = (time_t)(wall_ms / MS_PER_S);
    char when[32] = "";
    struct tm tm;
    int n;

    if (!mark)
        return slice_str(head);
    if (gmtime_r(&t, &tm))
        (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
    n = snprintf(ret, HEAD_MAX, "%.*s%s.%03dZ%s", (int)(mark - head), head, when,
                 (int)(wall_ms % MS_PER_S), mark + 2);
    ASSERT(n >= 0 && (size_t)n < HEAD_MAX);
    return slice_make(ret, (size_t)n);
}

static int write_head(struct folder *f, int64_t wall_ms)
{
    char text[HEAD_MAX];
    struct slice head = make_head(f, wall_ms, text);
    size_t written;
    int r = write_all(f, head, &written);

    /* Half a head is as bad as half a line. */
    if (r < 0 && f->fd >= 0 && f->size > 0 && ftruncate(f->fd, 0) == 0)
        f->size = 0;
    return r;
}

static bool head_fits(const struct folder *f, int fd)
{
    char expected[HEAD_MAX], found[HEAD_MAX];
    struct slice head = make_head(f, 0, expected);
    const char *mark = f->rules.head ? strstr(f->rules.head, "%D") : NULL;
    size_t before = mark ? (size_t)(mark - f->rules.head) : head.len;
    size_t after = mark ? before + sizeof("1970-01-01T00:00:00.000Z") - 1 : head.len;
    ssize_t n = pread(fd, found, head.len, 0);

    return n == (ssize_t)head.len && memcmp(found, head.ptr, before) == 0 &&
           memcmp(found + after, head.ptr + after, head.len - after) == 0;
}

/* Cuts off what comes after the last line end. False: there is none near. */
static bool trim_cut_line(int fd, uint64_t *size)
{
    uint8_t tail[LINE_MAX_BYTES];
    size_t len = (size_t)MIN_OF(*size, sizeof(tail));
    uint64_t whole;

    if (len == 0)
        return true;
    if (pread(fd, tail, len, (off_t)(*size - len)) != (ssize_t)len)
        return false;
    whole = *size - len + (uint64_t)(slice_rfind(slice_make(tail, len), '\n') + 1);
    if (whole == *size)
        return true;
    if (whole == *size - len || ftruncate(fd, (off_t)whole) < 0)
        return false;
    *size = whole;
    return true;
}

/* `fd` becomes the open file. */
static void took_file(struct folder *f, int fd, struct folder_name name, const struct stat *st,
                      uint64_t size)
{
    f->fd = fd;
    f->open = name;
    f->device = st->st_dev;
    f->inode = st->st_ino;
    f->size = size;
    f->has_opened = true;
}

/* The last file of the day, from before the start. */
static bool open_old(struct folder *f, struct folder_name name)
{
    uint64_t size;
    struct stat st;
    int fd;

    path_of(f, name, f->path);
    fd = open(f->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        size = (uint64_t)st.st_size;
        if (size < f->rules.file_max_bytes && head_fits(f, fd) && trim_cut_line(fd, &size)) {
            took_file(f, fd, name, &st, size);
            return true;
        }
    }
    (void)close(fd);
    return false;
}

static int open_new(struct folder *f, struct folder_name name, int64_t wall_ms)
{
    struct stat st;
    int fd = -1, r;

    for (int i = 0; fd < 0 && i < TRIES_MAX; i++) {
        name.number++;
        path_of(f, name, f->path);
        fd = open(f->path, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        r = failed(f, -errno, "it cannot be made");
        if (fd >= 0)
            (void)close(fd);
        return r;
    }
    (void)flock(fd, LOCK_EX | LOCK_NB); /* tells another server that this one is in use */
    took_file(f, fd, name, &st, 0);
    r = write_head(f, wall_ms);
    if (r < 0) { /* no file rather than one without a head */
        (void)unlink(f->path);
        close_file(f);
    }
    return r;
}

static int open_file(struct folder *f, int64_t wall_ms)
{
    struct folder_name name = {.day = day_of(wall_ms)};
    struct listing l;
    int r = list_files(f, name.day, &l);

    if (r == -ENOENT) {
        r = folder_make(f->rules.path);
        if (r == 0) {
            free(l.files);
            r = list_files(f, name.day, &l);
        }
    }
    name.number = l.last_number;
    f->other_bytes = l.bytes;
    free(l.files);
    path_of(f, name, f->path);
    if (r < 0)
        return failed(f, r, "its folder cannot be used");
    if (name.number && !f->has_opened && open_old(f, name)) {
        f->other_bytes -= MIN_OF(f->size, f->other_bytes);
        return 0;
    }
    return open_new(f, name, wall_ms);
}

/* Is the open file still the one of its name, and what is its size? */
static void look_at_file(struct folder *f)
{
    struct stat by_path, st;

    if (stat(f->path, &by_path) < 0 || fstat(f->fd, &st) < 0 || by_path.st_dev != f->device ||
        by_path.st_ino != f->inode) {
        close_file(f);
        return;
    }
    f->size = (uint64_t)st.st_size;
}

static int check_free(struct folder *f, size_t more)
{
    struct statvfs v;
    uint64_t bytes;

    if (f->rules.free_min_bytes == 0 || fstatvfs(f->fd, &v) < 0)
        return 0;
    bytes = (uint64_t)v.f_bavail * v.f_frsize;
    if (bytes >= f->rules.free_min_bytes + more)
        return 0;
    (void)snprintf(f->why, sizeof(f->why),
                   "%llu bytes are free on its disk, of which %llu are kept free",
                   (unsigned long long)bytes, (unsigned long long)f->rules.free_min_bytes);
    return -ENOSPC;
}

/* A file is open, of today, with room for a line of `more` bytes. */
static int make_ready(struct folder *f, size_t more, int64_t wall_ms)
{
    uint64_t file_max = MIN_OF(f->rules.file_max_bytes, f->rules.folder_max_bytes / 2);
    int r;

    if (f->fd >= 0)
        look_at_file(f);
    if (f->fd >= 0 && (f->open.day != day_of(wall_ms) || f->size + more > file_max))
        close_file(f);
    if (f->fd < 0) {
        r = open_file(f, wall_ms);
        if (r < 0)
            return r;
    } else if (f->size == 0) { /* emptied from outside */
        r = write_head(f, wall_ms);
        if (r < 0)
            return r;
    }
    return 0;
}

static size_t first_line(struct slice lines)
{
    return (size_t)(slice_find(lines, '\n') + 1);
}

/* How much of `lines` goes into the open file: whole lines, one at least. */
static size_t piece_of(const struct folder *f, struct slice lines)
{
    uint64_t file_max = MIN_OF(f->rules.file_max_bytes, f->rules.folder_max_bytes / 2);
    uint64_t room = file_max - MIN_OF(f->size, file_max);
    ptrdiff_t end;

    if (lines.len <= room)
        return lines.len;
    end = slice_rfind(slice_sub(lines, 0, (size_t)room), '\n');
    return end < 0 ? first_line(lines) : (size_t)end + 1;
}

int folder_append(struct folder *f, struct slice lines, int64_t wall_ms, size_t *ret_written,
                  uint64_t *freed)
{
    int r = 0;

    *ret_written = 0;
    while (lines.len && r == 0) {
        size_t piece, written = 0;

        ASSERT(lines.ptr[lines.len - 1] == '\n');
        r = make_ready(f, first_line(lines), wall_ms);
        if (r < 0)
            break;
        piece = piece_of(f, lines);
        if (f->other_bytes + f->size + piece > f->rules.folder_max_bytes &&
            !(f->cannot_trim && f->looked_s == wall_ms / MS_PER_S))
            trim(f, piece, wall_ms, freed);
        r = check_free(f, piece);
        if (r == 0)
            r = write_all(f, slice_sub(lines, 0, piece), &written);
        *ret_written += written;
        lines = slice_from(lines, written);
    }
    /* A full disk has room again some time; another error may be the file's alone. */
    if (r < 0 && r != -ENOSPC && r != -EDQUOT && r != -EFBIG)
        close_file(f);
    return r;
}

void folder_trim(struct folder *f, int64_t wall_ms, uint64_t *freed)
{
    trim(f, 0, wall_ms, freed);
}

void folder_relieve(struct folder *f, uint64_t bytes, int64_t wall_ms, uint64_t *freed)
{
    struct listing l;

    if (f->fd >= 0 && f->size > bytes)
        close_file(f);
    if (list_files(f, 0, &l) == 0)
        remove_oldest(f, &l, bytes - MIN_OF(f->size, bytes), wall_ms, freed);
    free(l.files);
}

void folder_init(struct folder *f, const struct folder_rules *rules)
{
    *f = (struct folder){.rules = *rules, .fd = -1};
}

void folder_set_rules(struct folder *f, const struct folder_rules *rules)
{
    bool is_same = strcmp(f->rules.path, rules->path) == 0 &&
                   strcmp(f->rules.head ? f->rules.head : "", rules->head ? rules->head : "") == 0;

    if (!is_same)
        close_file(f);
    f->rules = *rules;
}

void folder_done(struct folder *f)
{
    close_file(f);
}
