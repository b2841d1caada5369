/* io/fs.c - the calls of io/fs.h, and what both implementations share: whole reads and writes. */
#include "io/fs.h"

#include <errno.h>

#include "base/assert.h"

#define IOV_COUNT_MAX 8

void fs_free(struct fs **fs)
{
    if (*fs)
        (*fs)->ops->free(*fs);
    *fs = NULL;
}

int fs_open(struct fs *fs, const char *name, unsigned flags, struct fs_file **ret)
{
    return fs->ops->open(fs, name, flags, ret);
}

void fs_close(struct fs_file **f)
{
    if (*f)
        (*f)->fs->ops->close(*f);
    *f = NULL;
}

/* Drops the first `n` bytes of the vector. */
static void iov_advance(struct iovec *iov, int count, size_t n)
{
    for (int i = 0; i < count && n > 0; i++) {
        size_t take = MIN_OF(n, iov[i].iov_len);

        iov[i].iov_base = (uint8_t *)iov[i].iov_base + take;
        iov[i].iov_len -= take;
        n -= take;
    }
}

ptrdiff_t fs_preadv(struct fs_file *f, const struct iovec *iov, int count, uint64_t offset,
                    bool nowait)
{
    struct iovec left[IOV_COUNT_MAX];
    size_t want = 0, got = 0;

    ASSERT(count > 0 && count <= IOV_COUNT_MAX);
    for (int i = 0; i < count; i++) {
        left[i] = iov[i];
        want += iov[i].iov_len;
    }
    while (got < want) {
        ptrdiff_t n = f->fs->ops->preadv(f, left, count, offset + got, nowait);

        if (n < 0)
            return n;
        if (n == 0)
            break;
        iov_advance(left, count, (size_t)n);
        got += (size_t)n;
    }
    return (ptrdiff_t)got;
}

ptrdiff_t fs_pread(struct fs_file *f, void *to, size_t size, uint64_t offset, bool nowait)
{
    struct iovec iov = {.iov_base = to, .iov_len = size};

    return fs_preadv(f, &iov, 1, offset, nowait);
}

int fs_write(struct fs_file *f, struct slice data, uint64_t offset)
{
    while (data.len > 0) {
        ptrdiff_t n = f->fs->ops->pwrite(f, data, offset);

        if (n < 0)
            return (int)n;
        if (n == 0)
            return -EIO;
        data = slice_from(data, (size_t)n);
        offset += (uint64_t)n;
    }
    return 0;
}

int fs_allocate(struct fs_file *f, uint64_t bytes)
{
    return f->fs->ops->allocate(f, bytes);
}

int fs_truncate(struct fs_file *f, uint64_t bytes)
{
    return f->fs->ops->truncate(f, bytes);
}

int fs_sync(struct fs_file *f)
{
    return f->fs->ops->sync(f);
}

int fs_size(struct fs_file *f, uint64_t *ret)
{
    return f->fs->ops->size(f, ret);
}

int fs_sync_dir(struct fs *fs)
{
    return fs->ops->sync_dir(fs);
}

int fs_make_dir(struct fs *fs, const char *name)
{
    return fs->ops->make_dir(fs, name);
}

int fs_rename(struct fs *fs, const char *from, const char *to)
{
    return fs->ops->rename(fs, from, to);
}

int fs_unlink(struct fs *fs, const char *name)
{
    return fs->ops->unlink(fs, name);
}

int fs_list(struct fs *fs, int (*fn)(void *ctx, const char *name), void *ctx)
{
    return fs->ops->list(fs, fn, ctx);
}

int fs_space(struct fs *fs, struct fs_space *ret)
{
    return fs->ops->space(fs, ret);
}

int fs_lock(struct fs *fs, const char *name, struct fs_file **ret)
{
    return fs->ops->lock(fs, name, ret);
}
