/*
 * io/fs_sim.c - files as two images: what programs see, and what is on disk, with a flag for each
 * sector that differs because it was not synced.
 */
#include "io/fs_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/rand.h"

#define FILES_MAX 128
#define PENDING_MAX 4096
#define NAME_MAX_BYTES 64

struct inode {
    uint8_t *seen, *disk, *dirty; /* dirty: a byte for each sector */
    uint64_t size, disk_size, allocated;
    uint64_t bad_offset, bad_bytes;
    unsigned links; /* names in either directory, and open files */
    bool locked;
};

struct name {
    char text[NAME_MAX_BYTES]; /* "": free */
    struct inode *inode;
};

enum change_type { CHANGE_LINK, CHANGE_UNLINK };

struct change { /* of the directory, not synced */
    enum change_type type;
    struct name name;
};

/* What all disks of one machine share. */
struct machine {
    struct rand rand;
    uint64_t operation, fail_at, fail_count, off_at;
    int fail_err;
    bool off;
    unsigned disks;
};

struct sim_fs {
    struct fs fs;
    struct machine *machine;
    unsigned refs;
    uint64_t capacity, filler;
    struct name seen[FILES_MAX], disk[FILES_MAX];
    struct change changes[PENDING_MAX];
    size_t change_count;
};

struct sim_file {
    struct fs_file file;
    struct inode *inode;
    bool is_lock;
};

static struct sim_fs *sim_of(struct fs *fs)
{
    return CONTAINER_OF(fs, struct sim_fs, fs);
}

static struct inode *inode_of(struct fs_file *f)
{
    return CONTAINER_OF(f, struct sim_file, file)->inode;
}

static void *must(void *p)
{
    ASSERT(p);
    return p;
}

/* Counts an operation; the error it is to fail with, or 0. */
static int operate(struct sim_fs *s)
{
    struct machine *m = s->machine;

    m->operation++;
    if (m->off_at && m->operation >= m->off_at)
        m->off = true;
    if (m->off)
        return -EIO;
    if (m->fail_count && m->operation >= m->fail_at && m->operation < m->fail_at + m->fail_count)
        return m->fail_err;
    return 0;
}

/* ---- inodes and names ---- */

static uint64_t sectors(uint64_t bytes)
{
    return (bytes + FS_SIM_SECTOR - 1) / FS_SIM_SECTOR;
}

static void inode_unref(struct inode *i)
{
    if (--i->links > 0)
        return;
    free(i->seen);
    free(i->disk);
    free(i->dirty);
    free(i);
}

static uint64_t used(const struct sim_fs *s)
{
    uint64_t bytes = s->filler;

    for (size_t i = 0; i < FILES_MAX; i++)
        if (s->seen[i].text[0])
            bytes += s->seen[i].inode->allocated;
    return bytes;
}

/* Gives the inode room for `bytes`. */
static int inode_grow(struct sim_fs *s, struct inode *i, uint64_t bytes)
{
    uint64_t room = sectors(bytes) * FS_SIM_SECTOR;

    if (room <= i->allocated)
        return 0;
    if (used(s) + (room - i->allocated) > s->capacity)
        return -ENOSPC;
    i->seen = must(realloc(i->seen, room));
    i->disk = must(realloc(i->disk, room));
    i->dirty = must(realloc(i->dirty, sectors(bytes)));
    memset(i->seen + i->allocated, 0, room - i->allocated);
    memset(i->disk + i->allocated, 0, room - i->allocated);
    memset(i->dirty + sectors(i->allocated), 0, sectors(bytes) - sectors(i->allocated));
    i->allocated = room;
    return 0;
}

static struct name *name_find(struct name *names, const char *text)
{
    for (size_t i = 0; i < FILES_MAX; i++)
        if (names[i].text[0] == text[0] && strcmp(names[i].text, text) == 0)
            return &names[i];
    return NULL;
}

static void name_link(struct name *names, const char *text, struct inode *inode)
{
    struct name *n = name_find(names, "");

    ASSERT(n && strlen(text) < NAME_MAX_BYTES);
    memcpy(n->text, text, strlen(text) + 1);
    n->inode = inode;
    inode->links++;
}

static void name_unlink(struct name *names, const char *text)
{
    struct name *n = name_find(names, text);

    if (!n)
        return;
    n->text[0] = '\0';
    inode_unref(n->inode);
    n->inode = NULL;
}

static void change_apply(struct name *names, const struct change *c)
{
    name_unlink(names, c->name.text);
    if (c->type == CHANGE_LINK)
        name_link(names, c->name.text, c->name.inode);
}

/* Changes the directory as programs see it, and remembers to change the one on disk. */
static void change(struct sim_fs *s, enum change_type type, const char *text, struct inode *inode)
{
    struct change *c = &s->changes[s->change_count++];

    ASSERT(s->change_count <= PENDING_MAX);
    *c = (struct change){.type = type, .name.inode = inode};
    memcpy(c->name.text, text, strlen(text) + 1);
    if (inode)
        inode->links++;
    change_apply(s->seen, c);
}

static void changes_settle(struct sim_fs *s, size_t count)
{
    for (size_t i = 0; i < s->change_count; i++) {
        if (i < count)
            change_apply(s->disk, &s->changes[i]);
        if (s->changes[i].name.inode)
            inode_unref(s->changes[i].name.inode);
    }
    s->change_count = 0;
}

/* ---- the operations ---- */

static int sim_open(struct fs *fs, const char *name, unsigned flags, struct fs_file **ret)
{
    struct sim_fs *s = sim_of(fs);
    struct name *n = name_find(s->seen, name);
    struct sim_file *f;
    int r = 0;

    if (s->machine->off)
        return -EIO;
    if (!n && !(flags & FS_CREATE))
        return -ENOENT;
    if (!n || flags & FS_TRUNCATE)
        r = operate(s);
    if (r < 0)
        return r;
    if (!n) {
        change(s, CHANGE_LINK, name, must(calloc(1, sizeof(struct inode))));
        n = name_find(s->seen, name);
    } else if (flags & FS_TRUNCATE) {
        n->inode->size = 0;
    }
    f = must(calloc(1, sizeof(*f)));
    f->file.fs = fs;
    f->inode = n->inode;
    f->inode->links++;
    *ret = &f->file;
    return 0;
}

static void sim_close(struct fs_file *file)
{
    struct sim_file *f = CONTAINER_OF(file, struct sim_file, file);

    if (f->is_lock)
        f->inode->locked = false;
    inode_unref(f->inode);
    free(f);
}

static ptrdiff_t sim_preadv(struct fs_file *f, const struct iovec *iov, int count, uint64_t offset,
                            bool nowait)
{
    struct inode *i = inode_of(f);
    ptrdiff_t got = 0;

    (void)nowait;
    if (sim_of(f->fs)->machine->off)
        return -EIO;
    for (int v = 0; v < count; v++) {
        size_t n = (size_t)MIN_OF(iov[v].iov_len, offset < i->size ? i->size - offset : 0);

        if (i->bad_bytes && offset < i->bad_offset + i->bad_bytes && offset + n > i->bad_offset)
            return -EIO;
        if (n > 0)
            memcpy(iov[v].iov_base, i->seen + offset, n);
        got += (ptrdiff_t)n;
        offset += n;
    }
    return got;
}

static void put(struct inode *i, struct slice data, uint64_t offset)
{
    if (data.len == 0)
        return;
    memcpy(i->seen + offset, data.ptr, data.len);
    memset(i->dirty + offset / FS_SIM_SECTOR, 1,
           sectors(offset + data.len) - offset / FS_SIM_SECTOR);
    i->size = MAX_OF(i->size, offset + data.len);
}

static ptrdiff_t sim_pwrite(struct fs_file *f, struct slice data, uint64_t offset)
{
    struct sim_fs *s = sim_of(f->fs);
    struct inode *i = inode_of(f);
    int r = operate(s);

    if (r == 0)
        r = inode_grow(s, i, offset + data.len);
    if (r < 0 || s->machine->off) {
        /* A part of it may be there: what fits into the room the file has. */
        uint64_t room = i->allocated > offset ? i->allocated - offset : 0;
        uint64_t part = data.len > 0 ? rand_below(&s->machine->rand, data.len) : 0;

        put(i, slice_sub(data, 0, MIN_OF(room, part)), offset);
        return r < 0 ? r : -EIO;
    }
    /* A short write is no error: the caller goes on. */
    if (data.len > 1 && rand_below(&s->machine->rand, 16) == 0)
        data = slice_sub(data, 0, 1 + rand_below(&s->machine->rand, data.len - 1));
    put(i, data, offset);
    return (ptrdiff_t)data.len;
}

static int sim_allocate(struct fs_file *f, uint64_t bytes)
{
    struct sim_fs *s = sim_of(f->fs);
    struct inode *i = inode_of(f);
    int r = operate(s);

    if (r == 0)
        r = inode_grow(s, i, bytes);
    if (r == 0)
        i->size = MAX_OF(i->size, bytes);
    return r;
}

static int sim_truncate(struct fs_file *f, uint64_t bytes)
{
    struct sim_fs *s = sim_of(f->fs);
    struct inode *i = inode_of(f);
    int r = operate(s);

    if (r == 0)
        r = inode_grow(s, i, bytes);
    if (r < 0)
        return r;
    if (bytes < i->size) {
        memset(i->seen + bytes, 0, i->size - bytes);
        i->allocated = sectors(bytes) * FS_SIM_SECTOR;
    }
    i->size = bytes;
    return 0;
}

static void settle_sector(struct inode *i, uint64_t sector)
{
    memcpy(i->disk + sector * FS_SIM_SECTOR, i->seen + sector * FS_SIM_SECTOR, FS_SIM_SECTOR);
}

static int sim_sync(struct fs_file *f)
{
    struct sim_fs *s = sim_of(f->fs);
    struct inode *i = inode_of(f);
    int r = operate(s);

    if (s->machine->off)
        return -EIO;
    for (uint64_t n = 0; n < sectors(i->allocated); n++) {
        if (i->dirty[n] && (r == 0 || rand_below(&s->machine->rand, 2)))
            settle_sector(i, n);
        i->dirty[n] = 0;
    }
    i->disk_size = i->size;
    return r;
}

static int sim_size(struct fs_file *f, uint64_t *ret)
{
    *ret = inode_of(f)->size;
    return 0;
}

static int sim_sync_dir(struct fs *fs)
{
    struct sim_fs *s = sim_of(fs);
    int r = operate(s);

    if (r == 0)
        changes_settle(s, s->change_count);
    return r;
}

static int sim_make_dir(struct fs *fs, const char *name)
{
    (void)name;
    return operate(sim_of(fs));
}

static int sim_rename(struct fs *fs, const char *from, const char *to)
{
    struct sim_fs *s = sim_of(fs);
    struct name *n = name_find(s->seen, from);
    int r = operate(s);

    if (r < 0)
        return r;
    if (!n)
        return -ENOENT;
    change(s, CHANGE_LINK, to, n->inode);
    change(s, CHANGE_UNLINK, from, NULL);
    return 0;
}

static int sim_unlink(struct fs *fs, const char *name)
{
    struct sim_fs *s = sim_of(fs);
    int r = operate(s);

    if (r < 0)
        return r;
    if (!name_find(s->seen, name))
        return -ENOENT;
    change(s, CHANGE_UNLINK, name, NULL);
    return 0;
}

static int sim_list(struct fs *fs, int (*fn)(void *ctx, const char *name), void *ctx)
{
    struct sim_fs *s = sim_of(fs);
    int r = s->machine->off ? -EIO : 0;

    for (size_t i = 0; i < FILES_MAX && r == 0; i++)
        if (s->seen[i].text[0] && !strchr(s->seen[i].text, '/'))
            r = fn(ctx, s->seen[i].text);
    return r;
}

static int sim_space(struct fs *fs, struct fs_space *ret)
{
    struct sim_fs *s = sim_of(fs);
    uint64_t bytes = used(s);

    *ret = (struct fs_space){
        .free_bytes = bytes < s->capacity ? s->capacity - bytes : 0,
        .total_bytes = s->capacity,
        .free_inodes = FILES_MAX,
        .total_inodes = FILES_MAX,
        .device = (uintptr_t)s,
    };
    return 0;
}

static int sim_lock(struct fs *fs, const char *name, struct fs_file **ret)
{
    struct fs_file *f = NULL;
    int r = sim_open(fs, name, FS_WRITE | FS_CREATE, &f);

    if (r < 0)
        return r;
    if (inode_of(f)->locked) {
        sim_close(f);
        return -ERR_LOCKED;
    }
    inode_of(f)->locked = true;
    CONTAINER_OF(f, struct sim_file, file)->is_lock = true;
    *ret = f;
    return 0;
}

static void sim_free(struct fs *fs)
{
    struct sim_fs *s = sim_of(fs);

    if (--s->refs > 0)
        return;
    changes_settle(s, 0);
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (s->seen[i].text[0])
            name_unlink(s->seen, s->seen[i].text);
        if (s->disk[i].text[0])
            name_unlink(s->disk, s->disk[i].text);
    }
    if (--s->machine->disks == 0)
        free(s->machine);
    free(s);
}

static const struct fs_ops sim_ops = {
    .open = sim_open,
    .close = sim_close,
    .preadv = sim_preadv,
    .pwrite = sim_pwrite,
    .allocate = sim_allocate,
    .truncate = sim_truncate,
    .sync = sim_sync,
    .size = sim_size,
    .sync_dir = sim_sync_dir,
    .make_dir = sim_make_dir,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .list = sim_list,
    .space = sim_space,
    .lock = sim_lock,
    .free = sim_free,
};

static struct fs *disk_new(struct machine *m, uint64_t capacity_bytes)
{
    struct sim_fs *s = must(calloc(1, sizeof(*s)));

    s->fs.ops = &sim_ops;
    s->capacity = capacity_bytes;
    s->machine = m;
    s->refs = 1;
    m->disks++;
    return &s->fs;
}

struct fs *fs_sim_new(uint64_t seed, uint64_t capacity_bytes)
{
    struct machine *m = must(calloc(1, sizeof(*m)));

    rand_init(&m->rand, seed);
    return disk_new(m, capacity_bytes);
}

struct fs *fs_sim_new_beside(struct fs *other, uint64_t capacity_bytes)
{
    return disk_new(sim_of(other)->machine, capacity_bytes);
}

struct fs *fs_sim_ref(struct fs *fs)
{
    sim_of(fs)->refs++;
    return fs;
}

/* ---- what tests do to it ---- */

uint64_t fs_sim_operations(struct fs *fs)
{
    return sim_of(fs)->machine->operation;
}

void fs_sim_fail_at(struct fs *fs, uint64_t operation, uint64_t count, int err)
{
    struct machine *m = sim_of(fs)->machine;

    m->fail_at = operation;
    m->fail_count = count;
    m->fail_err = err;
}

void fs_sim_power_off_at(struct fs *fs, uint64_t operation)
{
    sim_of(fs)->machine->off_at = operation;
}

bool fs_sim_is_off(struct fs *fs)
{
    return sim_of(fs)->machine->off;
}

void fs_sim_set_filler(struct fs *fs, uint64_t bytes)
{
    sim_of(fs)->filler = bytes;
}

void fs_sim_bad_range(struct fs *fs, const char *name, uint64_t offset, uint64_t bytes)
{
    struct name *n = name_find(sim_of(fs)->seen, name);

    ASSERT(n);
    n->inode->bad_offset = offset;
    n->inode->bad_bytes = bytes;
}

static void inode_crash(struct sim_fs *s, struct inode *i, bool garble)
{
    for (uint64_t n = 0; n < sectors(i->allocated); n++) {
        uint64_t fate;

        if (!i->dirty[n])
            continue;
        fate = rand_below(&s->machine->rand, garble ? 5 : 4);
        if (fate < 2)
            settle_sector(i, n);
        for (uint64_t b = 0; fate == 4 && b < FS_SIM_SECTOR; b++)
            i->disk[n * FS_SIM_SECTOR + b] = (uint8_t)rand_u64(&s->machine->rand);
        i->dirty[n] = 0;
    }
    /* The size is metadata: the file system keeps old or new, in order. */
    if (rand_below(&s->machine->rand, 2))
        i->disk_size = i->size;
    i->disk_size = MIN_OF(i->disk_size, i->allocated);
    i->size = i->disk_size;
    if (i->allocated)
        memcpy(i->seen, i->disk, i->allocated);
    i->locked = false;
}

void fs_sim_crash(struct fs *fs, bool garble)
{
    struct sim_fs *s = sim_of(fs);

    changes_settle(s, s->change_count ? rand_below(&s->machine->rand, s->change_count + 1) : 0);
    for (size_t i = 0; i < FILES_MAX; i++)
        if (s->seen[i].text[0])
            name_unlink(s->seen, s->seen[i].text);
    for (size_t i = 0; i < FILES_MAX; i++)
        if (s->disk[i].text[0]) {
            inode_crash(s, s->disk[i].inode, garble);
            name_link(s->seen, s->disk[i].text, s->disk[i].inode);
        }
    fs_sim_kill(fs);
}

void fs_sim_kill(struct fs *fs)
{
    struct machine *m = sim_of(fs)->machine;

    m->off = false;
    m->off_at = m->fail_count = 0;
}

uint8_t *fs_sim_bytes(struct fs *fs, const char *name, uint64_t *ret_size)
{
    struct name *n = name_find(sim_of(fs)->seen, name);

    if (!n)
        return NULL;
    *ret_size = n->inode->size;
    return n->inode->seen;
}
