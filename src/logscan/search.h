/*
 * logscan/search.h - bytes found 32 at a time where the processor can (AVX2), else one by one. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"

/* How often the byte occurs. */
uint64_t search_count(struct slice s, uint8_t byte);
/* The same; *ret_has_other: does the other byte occur? */
uint64_t search_count_with(struct slice s, uint8_t byte, uint8_t other, bool *ret_has_other);

/*
 * Walks a log without splitting it, from place to place where something may be of interest, and counts lines
 * in the same pass. A '\n' after which the next line does not begin as rows do is a place too: headers, NULs, the rest of
 * a field with a line break.
 */
struct search_needle {         /* two bytes at a distance, each in up to two spellings */
    uint8_t first[2], last[2]; /* what either byte may be */
    size_t distance;           /* from the first to the last; at most SEARCH_DISTANCE_MAX */
};
#define SEARCH_DISTANCE_MAX 64

struct search {
    struct slice text;
    uint64_t lines; /* '\n's passed so far; of the whole text at its end */
    /* private */
    bool is_replies;
    uint8_t event, lowest, highest;
    struct search_needle needle;
    size_t next, base;
    uint32_t pending;
};

/*
 * Of a protocol log whose rows begin with '2' ("2026-..."):
 *
 *   - the event of a row whose data may begin with a digit from `lowest` to `highest`: "<,4" or "<,\"";
 *     the place is that of the event. It may be elsewhere in a row too: the caller splits and looks.
 *   - the event of a row of information without data, whose context may be a failure ("Failed to connect
 *     ..."): "*,,F" or "*,,\"".
 */
void search_init_replies(struct search *s, struct slice text, char event, char lowest,
                         char highest);

/* Of a log whose rows begin with a digit: the place is that of the needle's first byte. */
void search_init_needle(struct search *s, struct slice text, const struct search_needle *n);
/* One that is found nowhere: only lines are counted. */
struct search_needle search_needle_none(void);
/* Of a literal (not empty) in any case of ASCII letters; for a column's begin a ',' or '"' before it. */
struct search_needle search_needle_of(struct slice literal, bool is_begin);

/* The next place, in order. False: the text is at its end. */
bool search_next(struct search *s, size_t *ret_at);
