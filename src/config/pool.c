#include "config/pool.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES KIB(16)

struct pool_block {
    struct pool_block *next;
    _Alignas(16) unsigned char bytes[];
};

void *pool_alloc(struct pool *p, size_t size)
{
    struct pool_block *b;
    size_t room;
    void *at;

    size = (size + 15) & ~(size_t)15;
    if (!p->blocks || p->size - p->used < size) {
        room = MAX_OF(size, BLOCK_BYTES);
        b = calloc(1, sizeof(*b) + room);
        if (!b)
            return NULL;
        b->next = p->blocks;
        p->blocks = b;
        p->used = 0;
        p->size = room;
    }
    at = p->blocks->bytes + p->used;
    p->used += size;
    return at;
}

char *pool_text(struct pool *p, struct slice s)
{
    char *text = pool_alloc(p, s.len + 1);

    if (text && s.len)
        memcpy(text, s.ptr, s.len);
    return text;
}

struct slice pool_slice(struct pool *p, struct slice s)
{
    const char *text = pool_text(p, s);

    return slice_make(text, text ? s.len : 0);
}

void pool_done(struct pool *p)
{
    while (p->blocks) {
        struct pool_block *b = p->blocks;

        p->blocks = b->next;
        free(b);
    }
    *p = (struct pool){0};
}
