/*
 * base/buf.h - bytes that grow, up to a hard cap given at the start.
 *
 * Ownership: a value inside the caller's struct; the buffer owns its memory, which buf_done()
 * frees. A slice got from it is valid until the next call that may grow or clear it.
 * Threads: none of its own; one thread at a time.
 * Errors: every call that adds bytes returns 0, -E2BIG (over the cap) or -ENOMEM, and adds
 * nothing on failure. After a failure buf_failed() stays true until buf_clear(), so that a long
 * run of appends can be checked once at its end.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"

struct buf { /* fields are private */
    uint8_t *ptr;
    size_t len, size, cap;
    bool failed;
};

#define BUF_INIT(cap_bytes) ((struct buf){.cap = (cap_bytes)})

void buf_init(struct buf *b, size_t cap); /* allocates nothing yet */
void buf_done(struct buf *b);             /* frees; the buffer may be used again */
void buf_clear(struct buf *b);            /* empty again, keeps its memory */
size_t buf_relieve(struct buf *b);        /* frees the memory when it is empty; the bytes */

int buf_push(struct buf *b, uint8_t byte);
int buf_add(struct buf *b, struct slice s);
int buf_add_str(struct buf *b, const char *nul_ended);
int buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
int buf_vaddf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/* Room for `n` more bytes: writes them with buf_tail() and claims them with buf_grew(). */
int buf_reserve(struct buf *b, size_t n);
static inline uint8_t *buf_tail(struct buf *b)
{
    return b->ptr + b->len;
}
void buf_grew(struct buf *b, size_t n);

/* Removes `n` bytes from the front (moves the rest). */
void buf_consume(struct buf *b, size_t n);
/* Cuts to `len` bytes; `len` is at most the present length. */
void buf_truncate(struct buf *b, size_t len);

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_make(b->ptr, b->len);
}
static inline size_t buf_len(const struct buf *b)
{
    return b->len;
}
/* The memory it holds, used or not. */
static inline size_t buf_memory(const struct buf *b)
{
    return b->size;
}
static inline bool buf_failed(const struct buf *b)
{
    return b->failed;
}

/* The content as a C string; the NUL is not counted. "" for an empty or failed buffer. */
const char *buf_cstr(struct buf *b);

/* Little-endian integers, the byte order of everything Penstock writes to disk. */
int buf_add_u32(struct buf *b, uint32_t v);
int buf_add_u64(struct buf *b, uint64_t v);
