/*
 * cli/largest.c - see largest.h.
 *
 * All folders, and the files that are worth a name, are nodes of one array, parents before their
 * children: it is the queue of the walk, and walked backwards it sums up.
 */
#include "cli/largest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"

#define FILE_BYTES_MIN MIB(1) /* smaller files only add to their folder */
#define NAMES_MAX MIB(512)
#define PATH_BYTES_MAX KIB(16)
#define TOLD_SHARE 100    /* less than a hundredth of all is not told */
#define LOOKS_PER_TIME 64 /* the clock is read that rarely */
#define NONE UINT32_MAX

struct node {
    uint32_t parent, name_at; /* name_at: in the names */
    uint32_t child, next;     /* the first child, and the next of the same parent */
    uint64_t inode, bytes, files;
    bool is_folder;
    uint8_t depth;
};

struct walk {
    const struct largest_ask *ask;
    struct largest *ret;
    struct node *nodes;
    size_t count, room;
    struct buf names;
    dev_t device;
    size_t entries, looks;
    uint64_t end_ns;
    int err;
};

/* ---- nodes ---- */

static struct node *add_node(struct walk *w, uint32_t parent, const char *name)
{
    struct node *n;

    if (w->count == w->room) {
        size_t room = w->room ? 2 * w->room : 1024;
        struct node *more = reallocarray(w->nodes, room, sizeof(*more));

        if (!more) {
            w->err = -ENOMEM;
            return NULL;
        }
        w->nodes = more;
        w->room = room;
    }
    n = &w->nodes[w->count++];
    *n = (struct node){
        .parent = parent, .name_at = (uint32_t)buf_len(&w->names), .child = NONE, .next = NONE};
    if (buf_add_str(&w->names, name) < 0 || buf_push(&w->names, 0) < 0)
        w->err = -ENOMEM;
    return n;
}

static const char *name_of(struct walk *w, uint32_t at)
{
    return buf_cstr(&w->names) + w->nodes[at].name_at;
}

/* The names from the root down, which is the first of them. */
static int add_path(struct walk *w, uint32_t at, struct buf *ret)
{
    uint32_t chain[LARGEST_DEPTH_MAX + 2];
    size_t count = 0;

    for (; at != NONE && count < ARRAY_SIZE(chain); at = w->nodes[at].parent)
        chain[count++] = at;
    while (count-- > 0) {
        struct slice so_far = buf_slice(ret);

        if (so_far.len > 0 && so_far.ptr[so_far.len - 1] != '/')
            (void)buf_push(ret, '/');
        (void)buf_add_str(ret, name_of(w, chain[count]));
    }
    return buf_failed(ret) ? -ENAMETOOLONG : 0;
}

/* ---- the walk ---- */

static bool is_over(struct walk *w)
{
    if (w->err < 0 || w->ret->cut != LARGEST_WHOLE)
        return true;
    if (w->entries >= w->ask->entries_max)
        w->ret->cut = LARGEST_CUT_BY_ENTRIES;
    else if (w->looks++ % LOOKS_PER_TIME == 0 && clock_mono_ns() >= w->end_ns)
        w->ret->cut = LARGEST_CUT_BY_TIME;
    return w->ret->cut != LARGEST_WHOLE;
}

static bool is_skipped(const struct walk *w, const struct statx *st)
{
    dev_t device = makedev(st->stx_dev_major, st->stx_dev_minor);

    if (device != w->device)
        return true;
    for (size_t i = 0; i < w->ask->skipped_count; i++)
        if (w->ask->skipped[i].device == device && w->ask->skipped[i].inode == st->stx_ino)
            return true;
    return false;
}

/* Files of an overlay have devices of their own, so only folders are asked for theirs; what is
 * mounted on a file says so itself. */
static void take_entry(struct walk *w, uint32_t folder, int fd, const char *name)
{
    struct node *n = NULL;
    struct statx st;
    uint64_t bytes;
    bool is_folder;

    w->entries++;
    if (statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &st) < 0 ||
        st.stx_attributes & STATX_ATTR_MOUNT_ROOT)
        return;
    is_folder = S_ISDIR(st.stx_mode);
    if (is_folder && is_skipped(w, &st))
        return;
    /* Of a file with several names, each has its part: in all it is counted once. */
    bytes = st.stx_blocks * 512 / (is_folder ? 1 : MAX_OF(st.stx_nlink, 1U));
    if (is_folder || bytes >= FILE_BYTES_MIN)
        n = add_node(w, folder, name);
    if (n) {
        n->inode = st.stx_ino;
        n->is_folder = is_folder;
        n->depth = (uint8_t)(w->nodes[folder].depth + 1);
    } else {
        n = &w->nodes[folder];
    }
    n->bytes += bytes;
    n->files++;
}

/* The folder of the node, as it was seen; or -1. */
static int open_folder(struct walk *w, uint32_t at)
{
    struct buf path = BUF_INIT(PATH_BYTES_MAX);
    struct stat st;
    int fd = -1;

    if (add_path(w, at, &path) == 0)
        fd = open(buf_cstr(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    buf_done(&path);
    /* Something else may be there by now. */
    if (fd >= 0 && (fstat(fd, &st) < 0 || st.st_dev != w->device ||
                    (at > 0 && st.st_ino != w->nodes[at].inode))) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static void look_into(struct walk *w, uint32_t at)
{
    int fd = open_folder(w, at);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    if (!d) {
        if (fd >= 0)
            (void)close(fd);
        w->ret->unreadable++;
        return;
    }
    for (const struct dirent *e; !is_over(w) && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            take_entry(w, at, fd, e->d_name);
    (void)closedir(d);
}

/* ---- what came of it ---- */

static void sum_up(struct walk *w)
{
    for (size_t i = w->count; i-- > 1;) {
        struct node *n = &w->nodes[i], *parent = &w->nodes[n->parent];

        parent->bytes += n->bytes;
        parent->files += n->files;
        n->next = parent->child;
        parent->child = (uint32_t)i;
    }
}

static uint64_t size_of(const struct node *n, bool by_files)
{
    return by_files ? n->files : n->bytes;
}

/* Is one thing in it half of it? */
static bool is_mostly_one(const struct walk *w, const struct node *folder, bool by_files)
{
    for (uint32_t i = folder->child; i != NONE; i = w->nodes[i].next)
        if (size_of(&w->nodes[i], by_files) >= (size_of(folder, by_files) + 1) / 2)
            return true;
    return false;
}

struct tops {
    uint32_t nodes[LARGEST_FOUND_MAX];
    size_t count;
};

static void add_top(const struct walk *w, struct tops *t, uint32_t node, bool by_files)
{
    uint64_t size = size_of(&w->nodes[node], by_files);
    size_t at = t->count;

    if (size == 0 || size < size_of(&w->nodes[0], by_files) / TOLD_SHARE)
        return;
    while (at > 0 && size_of(&w->nodes[t->nodes[at - 1]], by_files) < size)
        at--;
    if (at == LARGEST_FOUND_MAX)
        return;
    t->count = MIN_OF(t->count + 1, LARGEST_FOUND_MAX);
    memmove(&t->nodes[at + 1], &t->nodes[at], (t->count - at - 1) * sizeof(t->nodes[0]));
    t->nodes[at] = node;
}

/* Nodes come after their parents: one pass knows of each whether its folder is told in parts. */
static int choose(struct walk *w, bool by_files, struct tops *ret)
{
    bool *is_in_parts;

    ASSERT(w->count > 0);
    is_in_parts = calloc(w->count, sizeof(*is_in_parts));
    if (!is_in_parts)
        return -ENOMEM;
    is_in_parts[0] = true;
    for (uint32_t i = 1; i < w->count; i++) {
        const struct node *n = &w->nodes[i];

        if (!is_in_parts[n->parent])
            continue;
        is_in_parts[i] = n->is_folder && is_mostly_one(w, n, by_files);
        if (!is_in_parts[i])
            add_top(w, ret, i, by_files);
    }
    free(is_in_parts);
    return 0;
}

static int tell(struct walk *w, const struct tops *t, struct largest_found *ret, size_t *ret_count)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct node *n = &w->nodes[t->nodes[i]];
        struct buf path = BUF_INIT(PATH_BYTES_MAX);
        struct largest_found *f = &ret[*ret_count];

        *f =
            (struct largest_found){.bytes = n->bytes, .files = n->files, .is_folder = n->is_folder};
        if (add_path(w, t->nodes[i], &path) == 0)
            f->path = strdup(buf_cstr(&path));
        buf_done(&path);
        if (!f->path)
            return -ENOMEM;
        ++*ret_count;
    }
    return 0;
}

static int finish(struct walk *w)
{
    struct tops by_bytes = {.count = 0}, by_files = {.count = 0};
    struct largest *l = w->ret;
    int r;

    sum_up(w);
    l->bytes = w->nodes[0].bytes;
    l->files = w->nodes[0].files;
    r = choose(w, false, &by_bytes);
    if (r == 0)
        r = choose(w, true, &by_files);
    if (r == 0)
        r = tell(w, &by_bytes, l->by_bytes, &l->by_bytes_count);
    return r < 0 ? r : tell(w, &by_files, l->by_files, &l->by_files_count);
}

static int begin(struct walk *w)
{
    struct stat st;

    if (stat(w->ask->root, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    if (access(w->ask->root, R_OK | X_OK) < 0)
        return -errno;
    w->device = st.st_dev;
    w->end_ns = clock_mono_ns() + w->ask->ms_max * UINT64_C(1000000);
    if (add_node(w, NONE, w->ask->root))
        w->nodes[0].is_folder = true;
    return w->err;
}

int largest_find(const struct largest_ask *ask, struct largest *ret)
{
    struct walk w = {.ask = ask, .ret = ret};
    int r;

    *ret = (struct largest){.cut = LARGEST_WHOLE};
    buf_init(&w.names, NAMES_MAX);
    r = begin(&w);
    for (uint32_t i = 0; r == 0 && i < w.count && !is_over(&w); i++)
        if (w.nodes[i].is_folder && w.nodes[i].depth < LARGEST_DEPTH_MAX)
            look_into(&w, i);
    if (r == 0)
        r = w.err;
    if (r == 0)
        r = finish(&w);
    if (r < 0)
        largest_done(ret);
    buf_done(&w.names);
    free(w.nodes);
    return r;
}

void largest_done(struct largest *l)
{
    for (size_t i = 0; i < l->by_bytes_count; i++)
        free(l->by_bytes[i].path);
    for (size_t i = 0; i < l->by_files_count; i++)
        free(l->by_files[i].path);
    l->by_bytes_count = l->by_files_count = 0;
}
