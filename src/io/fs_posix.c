/* io/fs_posix.c - io/fs.h on a real directory. */
#include "io/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"

#define SUB_DIR_MAX 4
#define NAME_BYTES_MAX 256
#define ZERO_BYTES 65536

struct posix_fs {
    struct fs fs;
    int dir;
    uint64_t device;
    char sub_dirs[SUB_DIR_MAX][NAME_BYTES_MAX]; /* made by us, to be synced with the directory */
    size_t sub_dir_count;
};

struct posix_file {
    struct fs_file file;
    int fd;
};

static struct posix_fs *posix_of(struct fs *fs)
{
    return CONTAINER_OF(fs, struct posix_fs, fs);
}

static int fd_of(struct fs_file *f)
{
    ASSERT(f);
    return CONTAINER_OF(f, struct posix_file, file)->fd;
}

static int result(int r)
{
    return r < 0 ? -errno : 0;
}

static int posix_open(struct fs *fs, const char *name, unsigned flags, struct fs_file **ret)
{
    struct posix_file *f = calloc(1, sizeof(*f));
    int mode = flags & FS_WRITE ? O_RDWR : O_RDONLY;

    if (!f)
        return -ENOMEM;
    if (flags & FS_CREATE)
        mode |= O_CREAT;
    if (flags & FS_TRUNCATE)
        mode |= O_TRUNC;
    f->fd = openat(posix_of(fs)->dir, name, mode | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->fd < 0) {
        int err = -errno;

        free(f);
        return err;
    }
    f->file.fs = fs;
    *ret = &f->file;
    return 0;
}

static void posix_close(struct fs_file *file)
{
    struct posix_file *f = CONTAINER_OF(file, struct posix_file, file);

    (void)close(f->fd);
    free(f);
}

static ptrdiff_t posix_preadv(struct fs_file *f, const struct iovec *iov, int count,
                              uint64_t offset, bool nowait)
{
    ssize_t n;

    do
        n = preadv2(fd_of(f), iov, count, (off_t)offset, nowait ? RWF_NOWAIT : 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && nowait && (errno == EOPNOTSUPP || errno == ENOSYS))
        return -EAGAIN; /* a file system without it: somebody who may block does the reading */
    return n < 0 ? -errno : n;
}

static ptrdiff_t posix_pwrite(struct fs_file *f, struct slice data, uint64_t offset)
{
    ssize_t n;

    do
        n = pwrite(fd_of(f), data.ptr, data.len, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* For file systems that cannot allocate: writes zeros after the present end. */
static int allocate_by_writing(int fd, uint64_t bytes)
{
    static const uint8_t zeros[ZERO_BYTES];
    struct stat st;
    uint64_t at;

    if (fstat(fd, &st) < 0)
        return -errno;
    for (at = (uint64_t)st.st_size; at < bytes;) {
        ssize_t n = pwrite(fd, zeros, MIN_OF(sizeof(zeros), bytes - at), (off_t)at);

        if (n < 0 && errno != EINTR)
            return -errno;
        at += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

static int posix_allocate(struct fs_file *f, uint64_t bytes)
{
    int r;

    do
        r = fallocate(fd_of(f), 0, 0, (off_t)bytes);
    while (r < 0 && errno == EINTR);
    if (r < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        return allocate_by_writing(fd_of(f), bytes);
    return result(r);
}

static int posix_truncate(struct fs_file *f, uint64_t bytes)
{
    return result(ftruncate(fd_of(f), (off_t)bytes));
}

static int posix_sync(struct fs_file *f)
{
    return result(fdatasync(fd_of(f)));
}

static int posix_size(struct fs_file *f, uint64_t *ret)
{
    struct stat st;

    if (fstat(fd_of(f), &st) < 0)
        return -errno;
    *ret = (uint64_t)st.st_size;
    return 0;
}

static int posix_sync_dir(struct fs *fs)
{
    struct posix_fs *p = posix_of(fs);

    for (size_t i = 0; i < p->sub_dir_count; i++) {
        int fd = openat(p->dir, p->sub_dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r;

        if (fd < 0)
            return -errno;
        r = result(fsync(fd));
        (void)close(fd);
        if (r < 0)
            return r;
    }
    return result(fsync(p->dir));
}

static int posix_make_dir(struct fs *fs, const char *name)
{
    struct posix_fs *p = posix_of(fs);

    if (strlen(name) >= NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    if (mkdirat(p->dir, name, 0700) < 0 && errno != EEXIST)
        return -errno;
    for (size_t i = 0; i < p->sub_dir_count; i++)
        if (strcmp(p->sub_dirs[i], name) == 0)
            return 0;
    if (p->sub_dir_count == SUB_DIR_MAX)
        return -EMFILE;
    memcpy(p->sub_dirs[p->sub_dir_count++], name, strlen(name) + 1);
    return 0;
}

static int posix_rename(struct fs *fs, const char *from, const char *to)
{
    return result(renameat(posix_of(fs)->dir, from, posix_of(fs)->dir, to));
}

static int posix_unlink(struct fs *fs, const char *name)
{
    return result(unlinkat(posix_of(fs)->dir, name, 0));
}

static int posix_list(struct fs *fs, int (*fn)(void *ctx, const char *name), void *ctx)
{
    int fd = openat(posix_of(fs)->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    DIR *d;

    if (fd < 0)
        return -errno;
    d = fdopendir(fd);
    if (!d) {
        r = -errno;
        (void)close(fd);
        return r;
    }
    while (r == 0) {
        struct dirent *e;

        errno = 0;
        e = readdir(d);
        if (!e) {
            r = -errno;
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = fn(ctx, e->d_name);
    }
    (void)closedir(d);
    return r;
}

static int posix_space(struct fs *fs, struct fs_space *ret)
{
    struct statvfs st;

    if (fstatvfs(posix_of(fs)->dir, &st) < 0)
        return -errno;
    *ret = (struct fs_space){
        .free_bytes = (uint64_t)st.f_bavail * st.f_frsize,
        .total_bytes = (uint64_t)st.f_blocks * st.f_frsize,
        .free_inodes = st.f_favail,
        .total_inodes = st.f_files,
        .device = posix_of(fs)->device,
    };
    return 0;
}

static int posix_lock(struct fs *fs, const char *name, struct fs_file **ret)
{
    struct fs_file *f = NULL;
    int r = posix_open(fs, name, FS_WRITE | FS_CREATE, &f);

    if (r < 0)
        return r;
    /* flock() and not fcntl(): the lock belongs to the open file, so that a second open in the
     * same process is refused too. */
    if (flock(fd_of(f), LOCK_EX | LOCK_NB) < 0) {
        r = errno == EWOULDBLOCK ? -ERR_LOCKED : -errno;
        posix_close(f);
        return r;
    }
    *ret = f;
    return 0;
}

static void posix_free(struct fs *fs)
{
    struct posix_fs *p = posix_of(fs);

    (void)close(p->dir);
    free(p);
}

static const struct fs_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .preadv = posix_preadv,
    .pwrite = posix_pwrite,
    .allocate = posix_allocate,
    .truncate = posix_truncate,
    .sync = posix_sync,
    .size = posix_size,
    .sync_dir = posix_sync_dir,
    .make_dir = posix_make_dir,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .list = posix_list,
    .space = posix_space,
    .lock = posix_lock,
    .free = posix_free,
};

int fs_posix_open(const char *path, bool create, struct fs **ret, struct buf *why)
{
    struct posix_fs *p = calloc(1, sizeof(*p));
    struct stat st;
    int err;

    if (!p)
        return -ENOMEM;
    if (create && mkdir(path, 0700) < 0 && errno != EEXIST) {
        err = -errno;
        buf_addf(why, "The directory %s cannot be made: %s.", path, err_str(err));
        free(p);
        return err;
    }
    p->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->dir < 0) {
        err = -errno;
        buf_addf(why, "The directory %s cannot be opened: %s.", path, err_str(err));
        free(p);
        return err;
    }
    if (fstat(p->dir, &st) == 0)
        p->device = st.st_dev;
    p->fs.ops = &posix_ops;
    *ret = &p->fs;
    return 0;
}
