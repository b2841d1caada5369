/*
 * io/figures.c - the files of io/figures.h.
 *
 * Of the control group's folder and those above it the lowest memory.max is what kills. Where both
 * versions of control groups are mounted, the memory limit is with the one that has the controller.
 */
#include "io/figures.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"

#define PATH_MAX_BYTES 1024
#define WHY_MAX 192
#define TEXT_MAX KIB(16)
#define MOUNTS_MAX MIB(4)
#define LISTED_SURELY 256 /* descriptors; where there are more, a list of them takes its time */
#define LIST_EVERY 5      /* samples then */
#define LEVELS_MAX 6      /* folders of control groups that are looked at, from our own upwards */

/* One file that is kept open. */
struct source {
    int fd; /* -1: `why` */
    char path[PATH_MAX_BYTES];
    char why[WHY_MAX];
};

/* One folder of control groups. */
struct level {
    char path[PATH_MAX_BYTES];
    struct source max, high, used, stat;
};

struct mount {
    bool is_there;
    char point[PATH_MAX_BYTES], part[PATH_MAX_BYTES];
};

struct figures {
    char root[PATH_MAX_BYTES];
    struct source status, meminfo, group_of_self, descriptors;
    struct source stalls[FIGURES_STALLS];
    struct mount mount_v1, mount_v2; /* of the memory controller; of version 2 */
    struct level levels[LEVELS_MAX];
    size_t level_count;
    bool is_v1; /* the memory controller is with version 1 */
    bool stalls_are_ours, wants_reopen;
    uint64_t listed; /* descriptors, the last time */
    unsigned samples_since_list;
    char group[PATH_MAX_BYTES], group_why[WHY_MAX], no_limit_why[WHY_MAX];
    char own_text[PATH_MAX_BYTES]; /* /proc/self/cgroup as it was when the levels were opened */
    char text[TEXT_MAX];
};

static const char *const stall_names[FIGURES_STALLS] = {"cpu", "memory", "io"};

/* ---- sources ---- */

PRINTF_LIKE(3, 4) static void format(char *to, size_t size, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(to, size, fmt, ap); /* a path that is cut is not found, which is told */
    va_end(ap);
}

static void source_close(struct source *s)
{
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
}

/* What is missing is told by its path in the real root. */
static void source_failed(struct figures *f, struct source *s, int err)
{
    const char *path = s->path + strlen(f->root);

    source_close(s);
    f->wants_reopen = f->wants_reopen || err == -EMFILE || err == -ENFILE;
    if (err == -ENOENT)
        format(s->why, WHY_MAX, "this kernel has no %.128s", path);
    else
        format(s->why, WHY_MAX, "%.100s cannot be read: %.60s", path, err_str(err));
}

static void source_open(struct figures *f, struct source *s, int flags)
{
    s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | flags);
    if (s->fd < 0)
        source_failed(f, s, -errno);
}

PRINTF_LIKE(4, 5)
static void source_open_at(struct figures *f, struct source *s, int flags, const char *fmt, ...)
{
    size_t len = strlen(f->root);
    va_list ap;

    format(s->path, sizeof(s->path), "%s", f->root);
    va_start(ap, fmt);
    (void)vsnprintf(s->path + len, sizeof(s->path) - len, fmt, ap);
    va_end(ap);
    source_open(f, s, flags);
}

/* The file's text, valid until the next call; empty where it cannot be read. A file that fails to
 * be read once stays open: PSI that is switched off fails so, and may come. */
static struct slice source_read(struct figures *f, struct source *s)
{
    size_t len = 0;
    ssize_t n;

    if (s->fd < 0)
        return slice_make(NULL, 0);
    do { /* the files of /proc come in pieces */
        n = pread(s->fd, f->text + len, sizeof(f->text) - len, (off_t)len);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && len < sizeof(f->text));
    s->why[0] = '\0';
    if (n < 0) {
        format(s->why, WHY_MAX, "%.100s cannot be read: %.60s", s->path + strlen(f->root),
               err_str(-errno));
        len = 0;
    }
    return slice_make(f->text, len);
}

static struct figure unknown(const char *why)
{
    return (struct figure){.why = why};
}

static struct figure known(uint64_t value)
{
    return (struct figure){.is_known = true, .value = value, .why = ""};
}

/* The result of a parser as a figure. */
static struct figure judged(struct figures *f, struct source *s, int r, uint64_t value)
{
    if (r == 0)
        return known(value);
    if (s->fd >= 0 && s->why[0] == '\0')
        format(s->why, WHY_MAX, "%.128s has not the expected form", s->path + strlen(f->root));
    return unknown(s->why);
}

/* ---- control groups ---- */

static void level_close(struct level *l)
{
    source_close(&l->max);
    source_close(&l->high);
    source_close(&l->used);
    source_close(&l->stat);
}

static void level_open(struct figures *f, struct level *l)
{
    source_open_at(f, &l->max, 0, "%s/%s", l->path,
                   f->is_v1 ? "memory.limit_in_bytes" : "memory.max");
    if (l->max.fd < 0)
        return;
    if (!f->is_v1)
        source_open_at(f, &l->high, 0, "%s/memory.high", l->path);
    else
        format(l->high.why, WHY_MAX, "%s", "version 1 of control groups has no memory.high");
    source_open_at(f, &l->used, 0, "%s/%s", l->path,
                   f->is_v1 ? "memory.usage_in_bytes" : "memory.current");
    source_open_at(f, &l->stat, 0, "%s/memory.stat", l->path);
}

/* The folder of `group` under where the hierarchy is mounted. In a container the mount may begin at
 * the group itself, and a group outside of what is mounted is written with "/..". */
static void group_path(const struct mount *m, struct slice group, char ret[static PATH_MAX_BYTES])
{
    struct slice part = slice_str(m->part);

    if (part.len > 1 && slice_has_prefix(group, part))
        group = slice_from(group, part.len);
    if (group.len <= 1 || slice_has_prefix(group, SLICE_LIT("/..")) ||
        (part.len > 1 && group.ptr[0] != '/'))
        format(ret, PATH_MAX_BYTES, "%s", m->point);
    else
        format(ret, PATH_MAX_BYTES, "%s%.*s", m->point, SLICE_FMT(group));
}

/* The levels from the group's folder up to the mount point; those without a limit's file, as the
 * topmost is, are left out. */
static void open_levels(struct figures *f, const struct mount *m)
{
    char path[PATH_MAX_BYTES];
    size_t top = strlen(m->point);

    format(path, sizeof(path), "%s", f->group);
    while (f->level_count < LEVELS_MAX && strlen(path) >= top) {
        struct level *l = &f->levels[f->level_count];
        char *slash = strrchr(path, '/');

        format(l->path, sizeof(l->path), "%s", path);
        level_open(f, l);
        f->level_count += l->max.fd >= 0;
        if (!slash || slash == path)
            break;
        *slash = '\0';
    }
}

/* Version 2 where it has the memory controller, else version 1. */
static void open_group(struct figures *f, struct slice text)
{
    const struct mount *m = &f->mount_v2;
    struct slice group;

    f->is_v1 = f->mount_v1.is_there && figures_parse_group(text, SLICE_LIT("memory"), &group) == 0;
    if (f->is_v1)
        m = &f->mount_v1;
    else if (!m->is_there || figures_parse_group(text, slice_make(NULL, 0), &group) < 0)
        return;
    group_path(m, group, f->group);
    open_levels(f, m);
}

static void open_stalls(struct figures *f, struct slice text)
{
    char path[PATH_MAX_BYTES] = "";
    struct slice group;

    f->stalls_are_ours = f->mount_v2.is_there &&
                         figures_parse_group(text, slice_make(NULL, 0), &group) == 0 &&
                         group.len > 1;
    if (f->stalls_are_ours)
        group_path(&f->mount_v2, group, path);
    for (size_t i = 0; f->stalls_are_ours && i < FIGURES_STALLS; i++) {
        source_open_at(f, &f->stalls[i], 0, "%s/%s.pressure", path, stall_names[i]);
        f->stalls_are_ours = f->stalls[i].fd >= 0;
    }
    for (size_t i = 0; !f->stalls_are_ours && i < FIGURES_STALLS; i++) {
        source_close(&f->stalls[i]);
        source_open_at(f, &f->stalls[i], 0, "/proc/pressure/%s", stall_names[i]);
    }
}

static void close_groups(struct figures *f)
{
    for (size_t i = 0; i < LEVELS_MAX; i++)
        level_close(&f->levels[i]);
    for (size_t i = 0; i < FIGURES_STALLS; i++)
        source_close(&f->stalls[i]);
    f->level_count = 0;
    f->group[0] = '\0';
}

/* Opens everything that depends on the group anew, where the process was moved to another. */
static void follow_group(struct figures *f)
{
    struct slice text = source_read(f, &f->group_of_self);
    char now[PATH_MAX_BYTES];

    format(now, sizeof(now), "%.*s", SLICE_FMT(text));
    if (strcmp(now, f->own_text) == 0 && !f->wants_reopen)
        return;
    memcpy(f->own_text, now, sizeof(now));
    f->wants_reopen = false;
    close_groups(f);
    open_group(f, slice_str(now));
    open_stalls(f, slice_str(now));
}

static int find_mount(struct slice text, struct slice controller, struct mount *ret)
{
    struct slice part, point;

    ret->is_there = figures_parse_mount(text, controller, &part, &point) == 0;
    if (!ret->is_there)
        return 0;
    format(ret->part, sizeof(ret->part), "%.*s", SLICE_FMT(part));
    format(ret->point, sizeof(ret->point), "%.*s", SLICE_FMT(point));
    return 0;
}

/* Mounts do not move under a running service: once is enough. */
static int find_mounts(struct figures *f)
{
    struct buf mounts = BUF_INIT(MOUNTS_MAX);
    struct source s = {.fd = -1};
    ssize_t n = 0;
    int r = 0;

    source_open_at(f, &s, 0, "/proc/self/mountinfo");
    while (r == 0 && s.fd >= 0 && (n = read(s.fd, f->text, sizeof(f->text))) > 0)
        r = buf_add(&mounts, slice_make(f->text, (size_t)n));
    source_close(&s);
    if (r == 0)
        r = find_mount(buf_slice(&mounts), SLICE_LIT("memory"), &f->mount_v1);
    if (r == 0)
        r = find_mount(buf_slice(&mounts), slice_make(NULL, 0), &f->mount_v2);
    buf_done(&mounts);
    return r == -ENOMEM ? r : 0;
}

/* ---- the object ---- */

static void sources_init(struct figures *f)
{
    f->status.fd = f->meminfo.fd = f->group_of_self.fd = f->descriptors.fd = -1;
    for (size_t i = 0; i < FIGURES_STALLS; i++)
        f->stalls[i].fd = -1;
    for (size_t i = 0; i < LEVELS_MAX; i++) {
        struct level *l = &f->levels[i];

        l->max.fd = l->high.fd = l->used.fd = l->stat.fd = -1;
    }
}

int figures_new(struct figures **ret, const char *root)
{
    struct figures *f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return -ENOMEM;
    sources_init(f);
    format(f->root, sizeof(f->root), "%s", root);
    r = find_mounts(f);
    if (r < 0) {
        figures_free(&f);
        return r;
    }
    source_open_at(f, &f->status, 0, "/proc/self/status");
    source_open_at(f, &f->meminfo, 0, "/proc/meminfo");
    source_open_at(f, &f->group_of_self, 0, "/proc/self/cgroup");
    source_open_at(f, &f->descriptors, O_DIRECTORY, "/proc/self/fd");
    f->wants_reopen = true;
    follow_group(f);
    *ret = f;
    return 0;
}

void figures_free(struct figures **fp)
{
    struct figures *f = *fp;

    if (!f)
        return;
    close_groups(f);
    source_close(&f->status);
    source_close(&f->meminfo);
    source_close(&f->group_of_self);
    source_close(&f->descriptors);
    free(f);
    *fp = NULL;
}

/* ---- a sample ---- */

/* `status` is the text of /proc/self/status. */
static struct figure process_memory(struct figures *f, struct slice status)
{
    uint64_t anon = 0, shmem = 0;
    int r = figures_parse_line(status, SLICE_LIT("RssAnon:"), &anon);

    if (r == 0)
        r = figures_parse_line(status, SLICE_LIT("RssShmem:"), &shmem);
    return judged(f, &f->status, r, anon + shmem);
}

struct figure figures_process_memory(struct figures *f)
{
    return process_memory(f, source_read(f, &f->status));
}

static void take_memory(struct figures *f, struct figures_sample *ret)
{
    struct slice text = source_read(f, &f->status);
    uint64_t size = 0, total = 0, available = 0;
    int r = figures_parse_line(text, SLICE_LIT("VmSize:"), &size);

    ret->process = process_memory(f, text);
    ret->address_space = judged(f, &f->status, r, size);
    text = source_read(f, &f->meminfo);
    r = figures_parse_line(text, SLICE_LIT("MemTotal:"), &total);
    ret->total = judged(f, &f->meminfo, r, total);
    r = figures_parse_line(text, SLICE_LIT("MemAvailable:"), &available);
    ret->available = judged(f, &f->meminfo, r, available);
}

static struct figure read_limit(struct figures *f, struct source *s)
{
    uint64_t value = 0;
    int r = figures_parse_limit(source_read(f, s), &value);

    return judged(f, s, r, value);
}

static struct figure group_used(struct figures *f, struct level *l)
{
    struct figure current = read_limit(f, &l->used);
    uint64_t inactive = 0;
    int r = figures_parse_line(
        source_read(f, &l->stat),
        f->is_v1 ? SLICE_LIT("total_inactive_file") : SLICE_LIT("inactive_file"), &inactive);

    if (!current.is_known)
        return current;
    if (r < 0)
        return judged(f, &l->stat, r, 0);
    return known(current.value - MIN_OF(current.value, inactive));
}

static uint64_t bound_of(const struct figure *limit)
{
    return limit->is_known ? limit->value : FIGURES_NO_LIMIT;
}

static void take_group(struct figures *f, struct figures_sample *ret)
{
    struct level *lowest = NULL;
    uint64_t lowest_bound = 0;

    ret->group = "";
    if (f->level_count == 0) {
        format(f->group_why, sizeof(f->group_why), "%s",
               "no control group of this process limits memory");
        ret->group_max = ret->group_high = ret->group_used = unknown(f->group_why);
        return;
    }
    for (size_t i = 0; i < f->level_count; i++) {
        struct level *l = &f->levels[i];
        struct figure max = read_limit(f, &l->max), high = read_limit(f, &l->high);
        uint64_t bound = MIN_OF(bound_of(&max), bound_of(&high));

        if (lowest && bound >= lowest_bound)
            continue;
        lowest = l;
        lowest_bound = bound;
        ret->group_max = max;
        ret->group_high = high;
    }
    ASSERT(lowest);
    ret->group_used = group_used(f, lowest);
    ret->group = lowest->path;
}

static struct figure list_descriptors(struct figures *f)
{
    struct source *s = &f->descriptors;
    uint64_t count = 0;
    ssize_t n;

    if (lseek(s->fd, 0, SEEK_SET) < 0)
        return judged(f, s, -EINVAL, 0);
    while ((n = getdents64(s->fd, f->text, sizeof(f->text))) > 0)
        for (ssize_t at = 0; at < n;) {
            uint16_t bytes;

            memcpy(&bytes, f->text + at + offsetof(struct dirent64, d_reclen), sizeof(bytes));
            count += f->text[at + (ssize_t)offsetof(struct dirent64, d_name)] != '.';
            at += bytes;
        }
    f->listed = n < 0 ? 0 : count;
    f->samples_since_list = 0;
    return judged(f, s, n < 0 ? -EINVAL : 0, count);
}

/* Newer kernels give the number as the folder's size; with older ones they are counted, which takes
 * some 20 ms for 10,000 of them: that is done now and then. Our own are left out neither time. */
static struct figure count_descriptors(struct figures *f)
{
    struct source *s = &f->descriptors;
    struct stat st;

    if (s->fd < 0)
        return unknown(s->why);
    if (fstat(s->fd, &st) == 0 && st.st_size > 0)
        return known((uint64_t)st.st_size);
    if (f->listed > LISTED_SURELY && ++f->samples_since_list < LIST_EVERY)
        return known(f->listed);
    return list_descriptors(f);
}

static struct figure resource_limit(struct figures *f, __rlimit_resource_t which)
{
    struct rlimit limit;

    if (getrlimit(which, &limit) < 0) {
        format(f->no_limit_why, sizeof(f->no_limit_why), "getrlimit: %s", err_str(-errno));
        return unknown(f->no_limit_why);
    }
    return known(limit.rlim_cur == RLIM_INFINITY ? FIGURES_NO_LIMIT : limit.rlim_cur);
}

static void take_stalls(struct figures *f, struct figures_sample *ret)
{
    for (size_t i = 0; i < FIGURES_STALLS; i++) {
        struct source *s = &f->stalls[i];
        struct slice text = source_read(f, s);
        uint64_t some = 0, full = 0;
        int r = figures_parse_stall(text, SLICE_LIT("some"), &some);

        ret->some[i] = judged(f, s, r, some);
        r = figures_parse_stall(text, SLICE_LIT("full"), &full);
        ret->full[i] = judged(f, s, r, full);
    }
    ret->stalls_are_ours = f->stalls_are_ours;
}

void figures_take(struct figures *f, struct figures_sample *ret)
{
    *ret = (struct figures_sample){0};
    follow_group(f);
    take_memory(f, ret);
    take_group(f, ret);
    take_stalls(f, ret);
    ret->address_space_max = resource_limit(f, RLIMIT_AS);
    ret->descriptors = count_descriptors(f);
    ret->descriptors_max = resource_limit(f, RLIMIT_NOFILE);
}

int figures_disk(const char *path, struct figures_disk *ret)
{
    struct statvfs vfs;
    struct stat st;

    if (statvfs(path, &vfs) < 0 || stat(path, &st) < 0)
        return -errno;
    *ret = (struct figures_disk){
        .total = (uint64_t)vfs.f_blocks * vfs.f_frsize,
        .available = (uint64_t)vfs.f_bavail * vfs.f_frsize,
        .inodes = vfs.f_files,
        .inodes_available = vfs.f_favail,
        .device = st.st_dev,
    };
    return 0;
}
