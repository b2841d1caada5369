/*
 * tests/sim/disk.c - a directory on a disk whose power may be cut.
 *
 * Each file has what readers see and what is durable, and a list of the writes between the two; so
 * has the directory, with names. fs_sync() and fs_sync_dir() make them durable. At a power cut each
 * write not yet durable is there, or not, or in part, or garbled; of the directory's changes the
 * first few are there. A failed sync makes some of them durable and forgets the others for good:
 * the next sync succeeds without them, as Linux does it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/list.h"
#include "io/fs.h"
#include "sim.h"

#define NAME_MAX_LEN 64
#define NAMES_MAX 128
#define SECTOR 512

struct image {
    uint8_t *bytes;
    size_t size, room;
};

struct change { /* of a file's content */
    struct list node;
    bool is_size; /* the file gets this size; else a write */
    uint64_t offset;
    size_t len;
    uint8_t data[];
};

struct inode {
    struct list node;
    struct image seen, durable;
    struct list changes;
    bool is_locked;
};

struct name {
    char text[NAME_MAX_LEN];
    struct inode *inode;
};

struct directory {
    struct name names[NAMES_MAX];
    size_t count;
};

struct file {
    struct fs_file base;
    struct inode *inode;
    bool holds_lock;
};

static struct {
    struct fs base;
    struct list inodes;
    struct directory seen, durable, history[NAMES_MAX]; /* after each change not yet durable */
    size_t history_count;
    struct disk_faults faults;
    uint64_t power_left;
    void (*on_cut)(void *ctx);
    void *on_cut_ctx;
    bool is_dead, reads_are_good;
    size_t open_files;
} disk;

/* ---- images ---- */

static void image_resize(struct image *im, size_t size)
{
    if (size > im->room) {
        im->room = MAX_OF(size, KIB(64));
        im->bytes = realloc(im->bytes, im->room);
        ASSERT(im->bytes);
    }
    if (size > im->size)
        memset(im->bytes + im->size, 0, size - im->size);
    im->size = size;
}

static void image_write(struct image *im, uint64_t offset, const uint8_t *data, size_t len)
{
    if (offset + len > im->size)
        image_resize(im, (size_t)offset + len);
    if (len > 0)
        memcpy(im->bytes + offset, data, len);
}

static void apply(struct image *im, const struct change *c)
{
    if (c->is_size)
        image_resize(im, (size_t)c->offset);
    else
        image_write(im, c->offset, c->data, c->len);
}

/* A change that was under way when the power went. */
static void apply_torn(struct image *im, const struct change *c)
{
    uint64_t how = sim_below(8);
    size_t len = c->len;

    if (c->is_size || how < 3) {
        if (how % 2 == 0)
            apply(im, c);
    } else if (how < 6 && len > 0) { /* the first sectors, or bytes */
        len = how < 5 ? sim_below(len / SECTOR + 1) * SECTOR : sim_below(len + 1);
        image_write(im, c->offset, c->data, len);
    } else if (len > 0) { /* sectors in any order, or rubbish in one */
        for (size_t at = 0; at < len; at += SECTOR)
            if (!sim_chance(3))
                image_write(im, c->offset + at, c->data + at, MIN_OF(len - at, SECTOR));
        if (how == 7) {
            size_t at = sim_below(len);
            uint8_t rubbish[64];

            for (size_t i = 0; i < sizeof(rubbish); i++)
                rubbish[i] = (uint8_t)sim_below(256);
            image_write(im, c->offset + at, rubbish, MIN_OF(len - at, sizeof(rubbish)));
        }
    }
}

static void change_add(struct inode *in, bool is_size, uint64_t offset, struct slice data)
{
    struct change *c = malloc(sizeof(*c) + data.len);

    ASSERT(c);
    *c = (struct change){.is_size = is_size, .offset = offset, .len = data.len};
    if (data.len)
        memcpy(c->data, data.ptr, data.len);
    list_add_tail(&in->changes, &c->node);
    apply(&in->seen, c);
}

static void forget_changes(struct inode *in)
{
    struct list *n;

    while ((n = list_pop(&in->changes)))
        free(LIST_ENTRY(n, struct change, node));
}

/* ---- names ---- */

static struct name *find_name(struct directory *d, const char *name)
{
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->names[i].text, name) == 0)
            return &d->names[i];
    return NULL;
}

static void set_name(struct directory *d, const char *name, struct inode *in)
{
    struct name *n = find_name(d, name);

    if (!n) {
        ASSERT(d->count < NAMES_MAX);
        n = &d->names[d->count++];
        (void)snprintf(n->text, sizeof(n->text), "%s", name);
    }
    n->inode = in;
}

static void drop_name(struct directory *d, const char *name)
{
    struct name *n = find_name(d, name);

    if (n)
        *n = d->names[--d->count];
}

static void directory_changed(void)
{
    if (disk.history_count == ARRAY_SIZE(disk.history)) { /* the oldest is on disk by now */
        disk.durable = disk.history[0];
        memmove(&disk.history[0], &disk.history[1],
                (ARRAY_SIZE(disk.history) - 1) * sizeof(disk.history[0]));
        disk.history_count--;
    }
    disk.history[disk.history_count++] = disk.seen;
}

/* ---- power and faults ---- */

/* Every operation passes here. True: it fails. */
static bool fails(uint32_t one_in)
{
    if (disk.is_dead)
        return true;
    if (disk.power_left != UINT64_MAX && disk.power_left-- == 0) {
        disk.is_dead = true;
        sim_trace("disk: the power goes");
        disk.on_cut(disk.on_cut_ctx);
        return true;
    }
    return sim_chance(one_in);
}

void disk_set_faults(const struct disk_faults *f)
{
    disk.faults = *f;
}

void disk_set_reads_good(bool good)
{
    disk.reads_are_good = good;
}

void disk_cut_power(uint64_t in, void (*fn)(void *ctx), void *ctx)
{
    disk.power_left = in;
    disk.on_cut = fn;
    disk.on_cut_ctx = ctx;
}

void disk_restore_power(void)
{
    uint64_t kept = sim_below(disk.history_count + 1);

    ASSERT(disk.open_files == 0);
    LIST_FOR(n, &disk.inodes)
    {
        struct inode *in = LIST_ENTRY(n, struct inode, node);

        LIST_FOR(c, &in->changes)
        apply_torn(&in->durable, LIST_ENTRY(c, struct change, node));
        forget_changes(in);
        in->seen.size = 0;
        image_resize(&in->seen, in->durable.size);
        if (in->durable.size)
            memcpy(in->seen.bytes, in->durable.bytes, in->durable.size);
    }
    if (kept > 0)
        disk.durable = disk.history[kept - 1];
    disk.seen = disk.durable;
    disk.history_count = 0;
    disk.is_dead = false;
    disk.power_left = UINT64_MAX;
}

uint64_t disk_used_bytes(void)
{
    uint64_t used = 0;

    for (size_t i = 0; i < disk.seen.count; i++)
        if (disk.seen.names[i].inode)
            used += disk.seen.names[i].inode->seen.size;
    return used;
}

static bool has_room(const struct inode *in, uint64_t size)
{
    return size <= in->seen.size ||
           disk_used_bytes() + disk.faults.filler_bytes + size - in->seen.size <=
               disk.faults.capacity_bytes;
}

/* ---- the operations ---- */

static struct inode *inode_of(struct fs_file *f)
{
    return ((struct file *)(void *)f)->inode;
}

static int file_new(struct inode *in, struct fs_file **ret)
{
    struct file *f = calloc(1, sizeof(*f));

    if (!f)
        return -ENOMEM;
    *f = (struct file){.base.fs = &disk.base, .inode = in};
    disk.open_files++;
    *ret = &f->base;
    return 0;
}

static int op_open(struct fs *fs, const char *name, unsigned flags, struct fs_file **ret)
{
    struct name *n = find_name(&disk.seen, name);
    struct inode *in = n ? n->inode : NULL;

    (void)fs;
    if (fails(0))
        return -EIO;
    if (!n && !(flags & FS_CREATE))
        return -ENOENT;
    if (!n) {
        in = calloc(1, sizeof(*in));
        ASSERT(in);
        list_init(&in->changes);
        list_add_tail(&disk.inodes, &in->node);
        set_name(&disk.seen, name, in);
        directory_changed();
    } else if (!in) {
        return -EISDIR;
    }
    if (flags & FS_TRUNCATE && in->seen.size > 0)
        change_add(in, true, 0, slice_make(NULL, 0));
    return file_new(in, ret);
}

static void op_close(struct fs_file *base)
{
    struct file *f = (struct file *)(void *)base;

    if (f->holds_lock)
        f->inode->is_locked = false;
    disk.open_files--;
    free(f);
}

static ptrdiff_t op_preadv(struct fs_file *f, const struct iovec *iov, int count, uint64_t offset,
                           bool nowait)
{
    const struct image *im = &inode_of(f)->seen;
    ptrdiff_t done = 0;

    if (fails(disk.reads_are_good ? 0 : disk.faults.read))
        return -EIO;
    if (nowait && disk.faults.read && sim_chance(16))
        return -EAGAIN;
    for (int i = 0; i < count && offset < im->size; i++) {
        size_t n = MIN_OF(iov[i].iov_len, im->size - (size_t)offset);

        memcpy(iov[i].iov_base, im->bytes + offset, n);
        offset += n;
        done += (ptrdiff_t)n;
    }
    return done;
}

static ptrdiff_t op_pwrite(struct fs_file *f, struct slice data, uint64_t offset)
{
    struct inode *in = inode_of(f);

    if (fails(disk.faults.write)) {
        change_add(in, false, offset, slice_sub(data, 0, (size_t)sim_below(data.len + 1)));
        return -EIO;
    }
    if (!has_room(in, offset + data.len))
        return -ENOSPC;
    change_add(in, false, offset, data);
    return (ptrdiff_t)data.len;
}

static int op_allocate(struct fs_file *f, uint64_t bytes)
{
    struct inode *in = inode_of(f);

    if (fails(disk.faults.write))
        return -EIO;
    if (!has_room(in, bytes))
        return -ENOSPC;
    if (bytes > in->seen.size)
        change_add(in, true, bytes, slice_make(NULL, 0));
    return 0;
}

static int op_truncate(struct fs_file *f, uint64_t bytes)
{
    if (fails(disk.faults.write))
        return -EIO;
    if (!has_room(inode_of(f), bytes))
        return -ENOSPC;
    change_add(inode_of(f), true, bytes, slice_make(NULL, 0));
    return 0;
}

static int op_sync(struct fs_file *f)
{
    struct inode *in = inode_of(f);
    bool failed = fails(disk.faults.sync);

    if (disk.is_dead)
        return -EIO;
    LIST_FOR(n, &in->changes)
    if (!failed || sim_chance(2))
        apply(&in->durable, LIST_ENTRY(n, struct change, node));
    forget_changes(in);
    return failed ? -EIO : 0;
}

static int op_size(struct fs_file *f, uint64_t *ret)
{
    if (fails(0))
        return -EIO;
    *ret = inode_of(f)->seen.size;
    return 0;
}

static int op_sync_dir(struct fs *fs)
{
    (void)fs;
    if (fails(disk.faults.sync_dir))
        return -EIO;
    disk.durable = disk.seen;
    disk.history_count = 0;
    return 0;
}

static int op_make_dir(struct fs *fs, const char *name)
{
    (void)fs;
    if (fails(0))
        return -EIO;
    if (!find_name(&disk.seen, name)) {
        set_name(&disk.seen, name, NULL);
        directory_changed();
    }
    return 0;
}

static int op_rename(struct fs *fs, const char *from, const char *to)
{
    struct name *n = find_name(&disk.seen, from);

    (void)fs;
    if (fails(disk.faults.write))
        return -EIO;
    if (!n)
        return -ENOENT;
    set_name(&disk.seen, to, n->inode);
    drop_name(&disk.seen, from);
    directory_changed();
    return 0;
}

static int op_unlink(struct fs *fs, const char *name)
{
    (void)fs;
    if (fails(disk.faults.write))
        return -EIO;
    if (!find_name(&disk.seen, name))
        return -ENOENT;
    drop_name(&disk.seen, name);
    directory_changed();
    return 0;
}

static int op_list(struct fs *fs, int (*fn)(void *ctx, const char *name), void *ctx)
{
    struct directory *copy = malloc(sizeof(*copy)); /* fn may change the directory */
    int r = 0;

    (void)fs;
    ASSERT(copy);
    *copy = disk.seen;
    if (fails(0))
        r = -EIO;
    for (size_t i = 0; r == 0 && i < copy->count; i++)
        if (!strchr(copy->names[i].text, '/'))
            r = fn(ctx, copy->names[i].text);
    free(copy);
    return r;
}

static int op_space(struct fs *fs, struct fs_space *ret)
{
    uint64_t used = disk_used_bytes() + disk.faults.filler_bytes;

    (void)fs;
    if (fails(0))
        return -EIO;
    *ret = (struct fs_space){
        .total_bytes = disk.faults.capacity_bytes,
        .free_bytes = used < disk.faults.capacity_bytes ? disk.faults.capacity_bytes - used : 0,
        .free_inodes = 1000,
        .total_inodes = 2000,
        .device = 1};
    return 0;
}

static int op_lock(struct fs *fs, const char *name, struct fs_file **ret)
{
    int r = op_open(fs, name, FS_WRITE | FS_CREATE, ret);

    if (r < 0)
        return r;
    if (inode_of(*ret)->is_locked) {
        op_close(*ret);
        return -ERR_LOCKED;
    }
    inode_of(*ret)->is_locked = true;
    ((struct file *)(void *)*ret)->holds_lock = true;
    return 0;
}

static void op_free(struct fs *fs)
{
    (void)fs;
}

static const struct fs_ops ops = {
    .open = op_open,
    .close = op_close,
    .preadv = op_preadv,
    .pwrite = op_pwrite,
    .allocate = op_allocate,
    .truncate = op_truncate,
    .sync = op_sync,
    .size = op_size,
    .sync_dir = op_sync_dir,
    .make_dir = op_make_dir,
    .rename = op_rename,
    .unlink = op_unlink,
    .list = op_list,
    .space = op_space,
    .lock = op_lock,
    .free = op_free,
};

struct fs *disk_fs(void)
{
    return &disk.base;
}

void disk_begin(void)
{
    disk.base.ops = &ops;
    list_init(&disk.inodes);
    disk.seen.count = disk.durable.count = disk.history_count = 0;
    disk.is_dead = false;
    disk.power_left = UINT64_MAX;
    disk.faults = (struct disk_faults){.capacity_bytes = MIB(256)};
}

void disk_end(void)
{
    struct list *n;

    ASSERT(disk.open_files == 0);
    while ((n = list_pop(&disk.inodes))) {
        struct inode *in = LIST_ENTRY(n, struct inode, node);

        forget_changes(in);
        free(in->seen.bytes);
        free(in->durable.bytes);
        free(in);
    }
}
