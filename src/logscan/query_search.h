/*
 * logscan/query_search.h - places in a log where a row may be that a query asks for. Pure.
 *
 * Two bytes at a distance are looked for, each in up to two spellings, 32 at a time where the processor
 * can (AVX2). The same pass counts lines and stops at the end of each line after which no row begins:
 * rows of Exchange's logs begin with a digit.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"

struct query_needle {
    uint8_t first[2], last[2]; /* what either byte may be */
    size_t distance;           /* from the first to the last; at most QUERY_DISTANCE_MAX */
};
#define QUERY_DISTANCE_MAX 64

struct query_search {
    struct slice text;
    struct query_needle needle;
    uint64_t lines; /* '\n's passed so far; of the whole text at its end */
    /* private */
    size_t next, base;
    uint32_t pending;
};

/* One that is found nowhere: only lines are counted. */
struct query_needle query_needle_none(void);
/* Of a literal in any case of ASCII letters, and for a column's begin a ',' or '"' before it. */
struct query_needle query_needle_of(struct slice literal, bool is_begin);

void query_search_init(struct query_search *s, struct slice text, const struct query_needle *n);
/* The next place in order: that of the needle's first byte, or of such a '\n'. False: the end. */
bool query_search_next(struct query_search *s, size_t *ret_at);
/* How often the byte occurs; *ret_has_other: does the other one? */
size_t query_count(const uint8_t *p, size_t n, uint8_t byte, uint8_t other, bool *ret_has_other);
