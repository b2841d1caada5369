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

/*
 * A line of proc(5) mountinfo: "36 35 98:0 /root /mount rw,noatime shared:1 - ext4 /dev/sda2 rw".
 * The last mount over a device wins; of several with one device, the longest that `path` is below.
 */
static void take_mount(json_t *where, char *line, dev_t device, const char *path, size_t *best)
{
    char *fields[32], number[32];
    size_t count = split(line, fields, ARRAY_SIZE(fields)), dash = 6, len;

    while (dash < count && strcmp(fields[dash], "-") != 0)
        dash++;
    if (dash + 2 >= count)
        return;
    (void)snprintf(number, sizeof(number), "%u:%u", major(device), minor(device));
    unescape(fields[4]);
    len = strlen(fields[4]);
    if (strcmp(fields[2], number) != 0 || len < *best || strncmp(path, fields[4], len) != 0)
        return;
    *best = len;
    unescape(fields[dash + 2]);
    (void)json_object_set_new(where, "mount", json_string(fields[4]));
    (void)json_object_set_new(where, "device", json_string(fields[dash + 2]));
    (void)json_object_set_new(where, "type", json_string(fields[dash + 1]));
}

static void add_file_system(json_t *where)
{
    const char *path = get_text(where, "directory");
    char *real = *path ? realpath(path, NULL) : NULL;
    char line[LINE_MAX_BYTES];
    struct statvfs vfs;
    struct stat st;
    size_t best = 0;
    FILE *mounts;

    if (real && stat(real, &st) == 0 && (mounts = fopen("/proc/self/mountinfo", "re"))) {
        while (fgets(line, sizeof(line), mounts))
            take_mount(where, line, st.st_dev, real, &best);
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
