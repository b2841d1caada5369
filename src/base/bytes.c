#include "base/bytes.h"

struct slice cursor_take(struct cursor *c, size_t n)
{
    struct slice s;

    if (c->failed || n > c->left.len) {
        c->failed = true;
        return slice_make(NULL, 0);
    }
    s = slice_sub(c->left, 0, n);
    c->left = slice_from(c->left, n);
    return s;
}

uint8_t cursor_u8(struct cursor *c)
{
    struct slice s = cursor_take(c, 1);

    return s.len ? s.ptr[0] : 0;
}

uint16_t cursor_u16(struct cursor *c)
{
    struct slice s = cursor_take(c, 2);

    return s.len ? get_u16(s.ptr) : 0;
}

uint32_t cursor_u32(struct cursor *c)
{
    struct slice s = cursor_take(c, 4);

    return s.len ? get_u32(s.ptr) : 0;
}

uint64_t cursor_u64(struct cursor *c)
{
    struct slice s = cursor_take(c, 8);

    return s.len ? get_u64(s.ptr) : 0;
}
