/*
 * logscan/arena.h - text that lives as long as its chunk: handed out piece by piece, given back all at
 * once. Pieces never move. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "base/slice.h"

struct arena_block;
struct arena { /* fields are private; all zero is an empty one */
    struct arena_block *blocks;
    size_t used, total;
};

/* `n` bytes, aligned for any type, not cleared; NULL: no memory. */
void *arena_take(struct arena *a, size_t n);
/* A copy; the empty slice where there is no memory (and s is not empty). */
struct slice arena_copy(struct arena *a, struct slice s);
/* `*text` without each '\\' that stands before another byte; as it is where it has none. False: no memory, it is
 * as it was. */
bool arena_unescape(struct arena *a, struct slice *text);
/* Empty again; keeps one block. */
void arena_clear(struct arena *a);
void arena_done(struct arena *a);
size_t arena_bytes(const struct arena *a); /* the memory it holds */
