/*
 * logscan/unpack.c - zlib and zstd behind one function that reads.
 */
#include "logscan/unpack.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define READ_BYTES KIB(128)
#define GZIP_ONLY (15 + 16) /* zlib's word for: the largest window, a gzip header */

struct unpack {
    int fd;
    enum packing kind;
    bool at_end;    /* of the file */
    bool in_member; /* packed data has begun and not ended */
    int error;
    struct slice left; /* read and not used yet, in `in` */
    z_stream gzip;
    ZSTD_DStream *zstd;
    uint8_t in[READ_BYTES];
};

enum packing packing_of(struct slice head)
{
    if (slice_has_prefix(head, SLICE_LIT("\x1f\x8b")))
        return PACKING_GZIP;
    if (slice_has_prefix(head, SLICE_LIT("\x28\xb5\x2f\xfd")))
        return PACKING_ZSTD;
    return PACKING_PLAIN;
}

static ptrdiff_t read_some(int fd, uint8_t *to, size_t size)
{
    ssize_t n;

    do
        n = read(fd, to, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* More of the file into `in`, which is used up. 0 or -errno. */
static int refill(struct unpack *u)
{
    ptrdiff_t n = read_some(u->fd, u->in, sizeof(u->in));

    if (n < 0)
        return (int)n;
    u->at_end = n == 0;
    u->left = slice_make(u->in, (size_t)n);
    return 0;
}

int unpack_new(struct unpack **ret, int fd)
{
    struct unpack *u = calloc(1, sizeof(*u));
    int r = -ENOMEM;

    if (!u)
        return -ENOMEM;
    u->fd = fd;
    r = refill(u);
    u->kind = packing_of(u->left);
    if (r == 0 && u->kind == PACKING_GZIP && inflateInit2(&u->gzip, GZIP_ONLY) != Z_OK)
        r = -ENOMEM;
    if (r == 0 && u->kind == PACKING_ZSTD && !(u->zstd = ZSTD_createDStream()))
        r = -ENOMEM;
    if (r < 0)
        unpack_free(&u);
    *ret = u;
    return r;
}

void unpack_free(struct unpack **u)
{
    if (!*u)
        return;
    if ((*u)->kind == PACKING_GZIP)
        (void)inflateEnd(&(*u)->gzip);
    (void)ZSTD_freeDStream((*u)->zstd);
    free(*u);
    *u = NULL;
}

/* Each of these uses `left` up, as far as `size` goes: bytes made, or -EBADMSG, -ENOMEM. */

static ptrdiff_t take_plain(struct unpack *u, uint8_t *to, size_t size)
{
    size_t n = MIN_OF(size, u->left.len);

    if (n > 0)
        memcpy(to, u->left.ptr, n);
    u->left = slice_from(u->left, n);
    return (ptrdiff_t)n;
}

static ptrdiff_t take_gzip(struct unpack *u, uint8_t *to, size_t size)
{
    size_t part = MIN_OF(size, (size_t)MIB(64));
    int r;

    if (!u->in_member && inflateReset(&u->gzip) != Z_OK)
        return -EBADMSG;
    u->in_member = true;
    u->gzip.next_in = (Bytef *)(uintptr_t)u->left.ptr;
    u->gzip.avail_in = (uInt)u->left.len;
    u->gzip.next_out = to;
    u->gzip.avail_out = (uInt)part;
    r = inflate(&u->gzip, Z_NO_FLUSH);
    u->left = slice_from(u->left, u->left.len - u->gzip.avail_in);
    if (r == Z_STREAM_END)
        u->in_member = false;
    else if (r != Z_OK && r != Z_BUF_ERROR)
        return r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
    return (ptrdiff_t)(part - u->gzip.avail_out);
}

static ptrdiff_t take_zstd(struct unpack *u, uint8_t *to, size_t size)
{
    ZSTD_inBuffer in = {.src = u->left.ptr, .size = u->left.len};
    ZSTD_outBuffer out = {.dst = to, .size = size};
    size_t r = ZSTD_decompressStream(u->zstd, &out, &in);

    if (ZSTD_isError(r))
        return -EBADMSG;
    u->in_member = r != 0;
    u->left = slice_from(u->left, in.pos);
    return (ptrdiff_t)out.pos;
}

static ptrdiff_t take(struct unpack *u, uint8_t *to, size_t size)
{
    switch (u->kind) {
    case PACKING_GZIP:
        return take_gzip(u, to, size);
    case PACKING_ZSTD:
        return take_zstd(u, to, size);
    case PACKING_PLAIN:
    default:
        return take_plain(u, to, size);
    }
}

/* After a member of gzip only another one counts; tapes and tools leave zeros behind. */
static bool is_padding(const struct unpack *u)
{
    return u->kind != PACKING_PLAIN && !u->in_member && u->left.len > 0 && u->left.ptr[0] == 0;
}

ptrdiff_t unpack_read(struct unpack *u, uint8_t *to, size_t size)
{
    while (u->error == 0) {
        ptrdiff_t n;

        if (u->left.len == 0 && !u->at_end)
            u->error = refill(u);
        if (u->error < 0 || is_padding(u))
            break;
        if (u->at_end && u->left.len == 0 && !u->in_member)
            return 0;
        n = take(u, to, size);
        if (n != 0) {
            u->error = n < 0 ? (int)n : 0;
            return n;
        }
        if (u->at_end)
            u->error = -ENODATA; /* the library wants more than there is */
    }
    return u->error;
}
