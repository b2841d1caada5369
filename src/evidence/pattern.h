/*
 * evidence/pattern.h - private: many patterns in one short text, without regular expressions.
 *
 * A pattern is found anywhere in a text, without ASCII case; '*' in it stands for any run of
 * bytes, so "unusual rate*your ip" is two pieces, one behind the other. Each pattern of a set is
 * filed under three neighbouring bytes of it that few others have; one walk over the text then
 * looks only at the patterns filed under what it meets (as Wu and Manber 1994 do, with windows of
 * three). Immutable once made; searching allocates nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "config/pool.h"

#define LOOK_MAX 512 /* bytes of a text that are looked at */
struct look {
    size_t len;
    uint8_t text[LOOK_MAX]; /* lower case */
};
/* Appends a byte, folded to lower case; over LOOK_MAX it is left out. */
static inline void look_push(struct look *l, uint8_t c)
{
    if (l->len < LOOK_MAX)
        l->text[l->len++] = byte_lower(c);
}

#define PATTERN_MAX 200 /* bytes */
/* Has it a piece of two bytes or more, and PATTERN_MAX bytes at most? */
bool pattern_is_good(struct slice pattern);
/* One pattern, in lower case. */
bool pattern_matches(struct slice pattern, const struct look *l);

#define PATTERN_SET_MAX 8192
#define PATTERN_GRAMS 4096

struct pattern_set { /* fields are private */
    const struct slice *patterns;
    size_t count;
    struct pattern_place *places; /* by what they are filed under */
    uint16_t *short_ones;         /* without three neighbours: always looked at */
    size_t short_count;
    uint16_t starts[PATTERN_GRAMS + 1];
};
struct pattern_found { /* a bit for each pattern */
    uint64_t bits[PATTERN_SET_MAX / 64];
};

/* The patterns, good ones in lower case, are borrowed; at most PATTERN_SET_MAX. False: no memory. */
MUST_CHECK bool pattern_set_init(struct pattern_set *s, struct pool *pool,
                                 const struct slice *patterns, size_t count);
void pattern_set_find(const struct pattern_set *s, const struct look *l, struct pattern_found *ret);
/* Is one of patterns `first` to `first + count - 1` there? */
bool pattern_found_any(const struct pattern_found *f, size_t first, size_t count);

/* Is all of `text` what `pattern` says, without ASCII case? '*' stands for any run of bytes, '?'
 * for one. Time at most the product of the two lengths. */
bool glob_matches(struct slice pattern, struct slice text);
