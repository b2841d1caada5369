/*
 * logscan/arena.c - blocks in a list, the newest first; each twice the one before, up to a bound.
 */
#include "logscan/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MIN KIB(16)
#define BLOCK_MAX MIB(1)

struct arena_block {
    struct arena_block *next;
    size_t size; /* of `bytes` */
    alignas(max_align_t) uint8_t bytes[];
};

static struct arena_block *add_block(struct arena *a, size_t n)
{
    size_t size = a->blocks ? MIN_OF(a->blocks->size * 2, (size_t)BLOCK_MAX) : BLOCK_MIN;
    struct arena_block *b;

    size = MAX_OF(size, n);
    b = malloc(sizeof(*b) + size);
    if (!b)
        return NULL;
    b->next = a->blocks;
    b->size = size;
    a->blocks = b;
    a->used = 0;
    a->total += sizeof(*b) + size;
    return b;
}

void *arena_take(struct arena *a, size_t n)
{
    const size_t align = alignof(max_align_t);
    struct arena_block *b = a->blocks;
    void *ret;

    if (n > SIZE_MAX / 2)
        return NULL;
    n = (n + align - 1) / align * align;
    if ((!b || b->size - a->used < n) && !(b = add_block(a, n)))
        return NULL;
    ret = b->bytes + a->used;
    a->used += n;
    return ret;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    uint8_t *copy = s.len > 0 ? arena_take(a, s.len) : NULL;

    if (!copy)
        return slice_make(NULL, 0);
    memcpy(copy, s.ptr, s.len);
    return slice_make(copy, s.len);
}

bool arena_unescape(struct arena *a, struct slice *text)
{
    struct slice s = *text;
    uint8_t *to;
    size_t len = 0;

    if (slice_find(s, '\\') < 0)
        return true;
    to = arena_take(a, s.len);
    if (!to)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\\' && i + 1 < s.len)
            i++;
        to[len++] = s.ptr[i];
    }
    *text = slice_make(to, len);
    return true;
}

static void free_blocks(struct arena_block *b)
{
    while (b) {
        struct arena_block *next = b->next;

        free(b);
        b = next;
    }
}

void arena_clear(struct arena *a)
{
    if (!a->blocks)
        return;
    free_blocks(a->blocks->next);
    a->blocks->next = NULL;
    a->used = 0;
    a->total = sizeof(*a->blocks) + a->blocks->size;
}

void arena_done(struct arena *a)
{
    free_blocks(a->blocks);
    *a = (struct arena){0};
}

size_t arena_bytes(const struct arena *a)
{
    return a->total;
}
