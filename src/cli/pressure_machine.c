/*
 * cli/pressure_machine.c - file systems, log files and the process, looked at from the command: a
 * disk that hangs then holds up the command, and not the server.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/slice.h"
#include "cli/json_get.h"
#include "cli/largest.h"
#include "cli/pressure_int.h"

#define FILES_MAX 10000 /* looked at below the folder of the logs */
#define DEPTH_MAX 4
#define LINE_MAX_BYTES 8192

static void put_uint(json_t *object, const char *key, uint64_t n)
{
    (void)json_object_set_new(object, key,
                              json_integer((json_int_t)MIN_OF(n, (uint64_t)INT64_MAX)));
}

/* ---- the file system a path lies in ---- */

/* mountinfo writes a space as "\040". */
static void unescape(char *text)
{
    char *to = text;

    for (const char *c = text; *c; c++) {
        if (c[0] == '\\' && c[1] >= '0' && c[1] <= '3' && c[2] >= '0' && c[2] <= '7' &&
            c[3] >= '0' && c[3] <= '7') {
            *to++ = (char)((c[1] - '0') * 64 + (c[2] - '0') * 8 + (c[3] - '0'));
            c += 3;
        } else {
            *to++ = *c;
        }
    }
    *to = '\0';
}

/* Splits at spaces; returns how many fields there are. */
static size_t split(char *line, char **fields, size_t max)
{
    size_t count = 0;

    for (char *f; (f = strsep(&line, " \n")) && count < max;)
        if (*f)
            fields[count++] = f;
    return count;
}

struct mount_search {
    json_t *where;
    const char *path;
    dev_t device;
    size_t mount_len, root_len; /* of the best so far */
};

/* A file system may be mounted at several places, in some only a part of it: what else is large on
 * it is best looked for where most of it is seen. */
static void take_top(struct mount_search *s, const char *root, const char *mount)
{
    if (s->root_len > 0 && strlen(root) >= s->root_len)
        return;
    s->root_len = strlen(root);
    (void)json_object_set_new(s->where, "top", json_string(mount));
}

/*
 * A line of proc(5) mountinfo: "36 35 98:0 /root /mount rw,noatime shared:1 - ext4 /dev/sda2 rw".
 * The last mount over a device wins; of several with one device, the longest that the path is
 * below.
 */
static void take_mount(struct mount_search *s, char *line)
{
    char *fields[32], number[32];
    size_t count = split(line, fields, ARRAY_SIZE(fields)), dash = 6, len;

    while (dash < count && strcmp(fields[dash], "-") != 0)
        dash++;
    if (dash + 2 >= count)
        return;
    (void)snprintf(number, sizeof(number), "%u:%u", major(s->device), minor(s->device));
    if (strcmp(fields[2], number) != 0)
        return;
    unescape(fields[4]);
    take_top(s, fields[3], fields[4]);
    len = strlen(fields[4]);
    if (len < s->mount_len || strncmp(s->path, fields[4], len) != 0)
        return;
    s->mount_len = len;
    unescape(fields[dash + 2]);
    (void)json_object_set_new(s->where, "mount", json_string(fields[4]));
    (void)json_object_set_new(s->where, "device", json_string(fields[dash + 2]));
    (void)json_object_set_new(s->where, "type", json_string(fields[dash + 1]));
}

static void add_file_system(json_t *where)
{
    const char *path = get_text(where, "directory");
    char *real = *path ? realpath(path, NULL) : NULL;
    char line[LINE_MAX_BYTES];
    struct statvfs vfs;
    struct mount_search search = {.where = where, .path = real};
    struct stat st;
    FILE *mounts;

    if (real && stat(real, &st) == 0 && (mounts = fopen("/proc/self/mountinfo", "re"))) {
        search.device = st.st_dev;
        while (fgets(line, sizeof(line), mounts))
            take_mount(&search, line);
        (void)fclose(mounts);
    }
    if (real && statvfs(real, &vfs) == 0) {
        put_uint(where, "size_bytes", (uint64_t)vfs.f_blocks * vfs.f_frsize);
        put_uint(where, "free_bytes", (uint64_t)vfs.f_bavail * vfs.f_frsize);
    }
    free(real);
}

/* ---- the bytes of the log files ---- */

struct walk {
    uint64_t bytes;
    size_t files;
};

static void walk_folder(struct walk *w, int fd, int depth);

static void walk_entry(struct walk *w, int folder, const char *name, int depth)
{
    struct stat st;
    int fd;

    if (w->files++ >= FILES_MAX || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (S_ISREG(st.st_mode))
        w->bytes += (uint64_t)st.st_blocks * 512;
    if (!S_ISDIR(st.st_mode) || depth >= DEPTH_MAX)
        return;
    fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0)
        walk_folder(w, fd, depth + 1);
}

/* Closes `fd`. */
static void walk_folder(struct walk *w, int fd, int depth)
{
    DIR *d = fdopendir(fd);

    if (!d) {
        (void)close(fd);
        return;
    }
    for (const struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            walk_entry(w, fd, e->d_name, depth);
    (void)closedir(d);
}

static void add_log_bytes(json_t *log)
{
    const char *path = get_text(log, "directory");
    int fd = *path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    struct walk w = {0};

    if (fd < 0)
        return;
    walk_folder(&w, fd, 0);
    put_uint(log, "bytes", w.bytes);
}

/* ---- what else is large there ---- */

static json_t *found_as_json(const struct largest_found *list, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *each = json_object();
        /* A path that is no UTF-8 is no JSON either: it is left out, its size is not. */
        json_t *path = json_string(list[i].path);

        (void)json_object_set_new(each, "path", path ? path : json_null());
        put_uint(each, "bytes", list[i].bytes);
        put_uint(each, "files", list[i].files);
        (void)json_object_set_new(each, "folder", json_boolean(list[i].is_folder));
        (void)json_array_append_new(array, each);
    }
    return array;
}

static void skip_folder(struct largest_ask *ask, const json_t *where)
{
    struct stat st;

    if (!*get_text(where, "directory") || stat(get_text(where, "directory"), &st) < 0)
        return;
    ask->skipped[ask->skipped_count].device = st.st_dev;
    ask->skipped[ask->skipped_count++].inode = st.st_ino;
}

/* The member "others" of `where`, of which `view` is the whole. */
static json_t *look_for_others(const json_t *view, const json_t *where, bool thoroughly)
{
    static const char *const cuts[] = {
        [LARGEST_WHOLE] = "", [LARGEST_CUT_BY_ENTRIES] = "entries", [LARGEST_CUT_BY_TIME] = "time"};
    struct largest_ask ask = {
        .root = get_text(where, "top"),
        .entries_max = thoroughly ? PRESSURE_LARGEST_ENTRIES_MAX : PRESSURE_OTHERS_ENTRIES_MAX,
        .ms_max = thoroughly ? PRESSURE_LARGEST_MS_MAX : PRESSURE_OTHERS_MS_MAX};
    struct largest found;
    json_t *others;

    skip_folder(&ask, json_object_get(view, "spool"));
    skip_folder(&ask, json_object_get(view, "log"));
    if (!*ask.root || largest_find(&ask, &found) < 0)
        return NULL;
    others = json_object();
    (void)json_object_set_new(others, "below", json_string(ask.root));
    (void)json_object_set_new(others, "largest",
                              found_as_json(found.by_bytes, found.by_bytes_count));
    (void)json_object_set_new(others, "most_files",
                              found_as_json(found.by_files, found.by_files_count));
    put_uint(others, "bytes", found.bytes);
    put_uint(others, "files", found.files);
    put_uint(others, "unreadable", found.unreadable);
    (void)json_object_set_new(others, "cut_by", json_string(cuts[found.cut]));
    largest_done(&found);
    return others;
}

static bool is_pressed(const json_t *view, const char *resource)
{
    const json_t *r = find_in(json_object_get(view, "resources"), "name", resource);

    return get_bool(r, "known") && strcmp(get_text(r, "level"), "normal") != 0;
}

void pressure_add_others(json_t *view, bool always)
{
    json_t *spool = json_object_get(view, "spool"), *log = json_object_get(view, "log");

    if (always || is_pressed(view, "spool_disk") || is_pressed(view, "spool_inodes"))
        (void)json_object_set_new(spool, "others", look_for_others(view, spool, always));
    /* On one file system they have it in common, and one walk does. */
    if ((always || is_pressed(view, "log_disk")) &&
        strcmp(get_text(spool, "top"), get_text(log, "top")) != 0)
        (void)json_object_set_new(log, "others", look_for_others(view, log, always));
}

/* ---- the process ---- */

/* Of /proc/PID/status; 0 where it is not there. */
static uint64_t status_number(FILE *status, const char *key)
{
    char line[LINE_MAX_BYTES];
    uint64_t n;

    rewind(status);
    while (fgets(line, sizeof(line), status))
        if (slice_has_prefix(slice_str(line), slice_str(key)) &&
            sscanf(line + strlen(key), "%" SCNu64, &n) == 1)
            return n;
    return 0;
}

static uint64_t count_descriptors(int64_t pid)
{
    char path[64];
    uint64_t count = 0;
    DIR *d;

    (void)snprintf(path, sizeof(path), "/proc/%" PRId64 "/fd", pid);
    d = opendir(path);
    for (const struct dirent *e; d && (e = readdir(d));)
        count += e->d_name[0] != '.';
    if (d)
        (void)closedir(d);
    return count;
}

static void add_process(json_t *view)
{
    int64_t pid = get_int(view, "pid");
    json_t *process = json_object();
    char path[64];
    FILE *status;

    (void)snprintf(path, sizeof(path), "/proc/%" PRId64 "/status", pid);
    status = fopen(path, "re");
    if (status) {
        put_uint(process, "threads", status_number(status, "Threads:"));
        put_uint(process, "resident_bytes", status_number(status, "VmRSS:") * 1024);
        put_uint(process, "descriptors", count_descriptors(pid));
        (void)fclose(status);
    }
    (void)json_object_set_new(view, "process", process);
}

void pressure_add_machine(json_t *view)
{
    json_t *spool = json_object_get(view, "spool"), *log = json_object_get(view, "log");

    add_file_system(spool);
    add_file_system(log);
    add_log_bytes(log);
    add_process(view);
}
