/*
 * config/pool.h - private: the memory of one snapshot, freed whole. One thread at a time.
 */
#pragma once

#include <stddef.h>

#include "base/base.h"
#include "base/slice.h"

struct pool_block;
struct pool { /* fields are private; {0} is an empty pool */
    struct pool_block *blocks;
    size_t used, size; /* of the first block */
};

void *pool_alloc(struct pool *p, size_t size);           /* zeroed; NULL: no memory */
char *pool_text(struct pool *p, struct slice s);         /* a NUL-ended copy; NULL: no memory */
struct slice pool_slice(struct pool *p, struct slice s); /* a copy; .ptr NULL: no memory */
void pool_done(struct pool *p);
