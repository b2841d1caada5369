#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

void buf_init(struct buf *b, size_t cap)
{
    *b = BUF_INIT(cap);
}

void buf_done(struct buf *b)
{
    free(b->ptr);
    *b = BUF_INIT(b->cap);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

size_t buf_relieve(struct buf *b)
{
    size_t size = b->size;

    if (b->len > 0 || size == 0)
        return 0;
    free(b->ptr);
    *b = (struct buf){.cap = b->cap, .failed = b->failed};
    return size;
}

static int fail(struct buf *b, int err)
{
    b->failed = true;
    return err;
}

int buf_reserve(struct buf *b, size_t n)
{
    size_t size = b->size ? b->size : 64;
    uint8_t *p;

    if (b->len > b->cap || n > b->cap - b->len)
        return fail(b, -E2BIG);
    if (n <= b->size - b->len)
        return 0;
    while (size < b->len + n)
        size *= 2;
    size = MIN_OF(size, b->cap);
    p = realloc(b->ptr, size);
    if (!p)
        return fail(b, -ENOMEM);
    b->ptr = p;
    b->size = size;
    return 0;
}

void buf_grew(struct buf *b, size_t n)
{
    ASSERT(n <= b->size - b->len);
    b->len += n;
}

int buf_push(struct buf *b, uint8_t byte)
{
    int r = buf_reserve(b, 1);

    if (r == 0)
        b->ptr[b->len++] = byte;
    return r;
}

int buf_add(struct buf *b, struct slice s)
{
    int r = buf_reserve(b, s.len);

    if (r == 0 && s.len) {
        memcpy(b->ptr + b->len, s.ptr, s.len);
        b->len += s.len;
    }
    return r;
}

int buf_add_str(struct buf *b, const char *nul_ended)
{
    return buf_add(b, slice_str(nul_ended));
}

int buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    int n, r;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        return fail(b, -EINVAL);
    r = buf_reserve(b, (size_t)n + 1); /* vsnprintf() writes a NUL that is not counted */
    if (r < 0)
        return r;
    (void)vsnprintf((char *)b->ptr + b->len, (size_t)n + 1, fmt, ap);
    b->len += (size_t)n;
    return 0;
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = buf_vaddf(b, fmt, ap);
    va_end(ap);
    return r;
}

void buf_consume(struct buf *b, size_t n)
{
    ASSERT(n <= b->len);
    b->len -= n;
    if (b->len)
        memmove(b->ptr, b->ptr + n, b->len);
}

void buf_truncate(struct buf *b, size_t len)
{
    ASSERT(len <= b->len);
    b->len = len;
}

const char *buf_cstr(struct buf *b)
{
    bool failed_before = b->failed;

    if (buf_reserve(b, 1) < 0) {
        b->failed = failed_before;
        if (b->len == 0 || b->len < b->size)
            return "";
        b->len--; /* at the cap: the last byte makes room for the NUL */
    }
    b->ptr[b->len] = '\0';
    return (const char *)b->ptr;
}

int buf_add_u32(struct buf *b, uint32_t v)
{
    uint8_t raw[4];

    put_u32(raw, v);
    return buf_add(b, slice_make(raw, sizeof(raw)));
}

int buf_add_u64(struct buf *b, uint64_t v)
{
    uint8_t raw[8];

    put_u64(raw, v);
    return buf_add(b, slice_make(raw, sizeof(raw)));
}
