/*
 * logscan/table.h - values of one size, found by a text: what reports count in.
 *
 * Keys are compared byte for byte and copied; values begin as zeros and never move. The seed keeps
 * whoever writes the logs from picking places. One thread at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/arena.h"

struct log_table { /* fields are private */
    struct arena arena;
    struct log_table_entry **entries; /* in order of coming */
    uint32_t *places;                 /* index + 1 of an entry; a power of two of them */
    size_t count, room, place_count, value_size;
    uint64_t seed;
};

void log_table_init(struct log_table *t, size_t value_size, uint64_t seed);
void log_table_done(struct log_table *t);
/* The value of a key, a new one where there is none; NULL: no memory. */
void *log_table_add(struct log_table *t, struct slice key);
/* NULL: there is none. */
void *log_table_find(const struct log_table *t, struct slice key);
size_t log_table_count(const struct log_table *t);
/* The i-th in order of coming. */
void *log_table_at(const struct log_table *t, size_t i, struct slice *ret_key);

/* 64 bits, seeded: of a text that is not kept. */
uint64_t log_hash(struct slice s, uint64_t seed);

/* What most values have: how often, when first and last. */
struct log_seen {
    uint64_t count;
    int64_t first_ms, last_ms;
};
static inline void log_seen_add(struct log_seen *s, int64_t at_ms)
{
    if (s->count++ == 0 || at_ms < s->first_ms)
        s->first_ms = at_ms;
    if (s->count == 1 || at_ms > s->last_ms)
        s->last_ms = at_ms;
}
