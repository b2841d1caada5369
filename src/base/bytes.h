/*
 * base/bytes.h - integers in memory, little-endian, whatever the machine and the alignment.
 *
 * `struct cursor` reads a slice front to back and remembers that it ran over the end, so that a
 * decoder can read all its fields and check once: after any short read every further value is 0
 * and cursor_ok() is false for good.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/base.h"
#include "base/slice.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Penstock's on-disk integers are little-endian and so must the machine be"
#endif

static inline void put_u16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}
static inline void put_u32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}
static inline void put_u64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}
static inline uint16_t get_u16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}
static inline uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}
static inline uint64_t get_u64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

struct cursor { /* fields are private */
    struct slice left;
    bool failed;
};

static inline struct cursor cursor_make(struct slice s)
{
    return (struct cursor){.left = s};
}
static inline bool cursor_ok(const struct cursor *c)
{
    return !c->failed;
}
static inline bool cursor_at_end(const struct cursor *c)
{
    return c->left.len == 0;
}
/* The next `n` bytes, borrowed; the empty slice when there are not so many. */
struct slice cursor_take(struct cursor *c, size_t n);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
