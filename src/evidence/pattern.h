/*
 * evidence/pattern.h - private: patterns in texts, without regular expressions.
 *
 * A pattern is found anywhere in a text, without ASCII case; '*' in it stands for any run of
 * bytes, so "unusual rate*your ip" is two pieces, one behind the other. Many patterns are looked
 * for in one short text: a `struct look` holds the text in lower case and a filter of the runs of
 * three bytes in it, and most patterns are told apart from it by one bit. Matching takes time
 * linear in the text for each piece, whatever the pattern. No allocation, no state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"

#define LOOK_MAX 512 /* bytes of a text that are looked at */
#define LOOK_BITS 4096

struct look {
    size_t len;
    uint8_t text[LOOK_MAX]; /* lower case */
    uint64_t filter[LOOK_BITS / 64];
};

/* Appends a byte, folded to lower case; over LOOK_MAX it is left out. */
static inline void look_push(struct look *l, uint8_t c)
{
    if (l->len < LOOK_MAX)
        l->text[l->len++] = byte_lower(c);
}
/* After the last look_push(), before the first pattern. */
void look_finish(struct look *l);

#define PATTERN_GRAMS 4
#define PATTERN_MAX 200 /* bytes */

struct pattern { /* fields are private */
    struct slice text;
    uint16_t grams[PATTERN_GRAMS];
    uint32_t gram_count;
};

/* `text` is in lower case and borrowed. False: it has no piece of two bytes or more, or more than
 * PATTERN_MAX bytes. */
bool pattern_init(struct pattern *p, struct slice text);
bool pattern_matches(const struct pattern *p, const struct look *l);

/* Is all of `text` what `pattern` says, without ASCII case? '*' stands for any run of bytes, '?'
 * for one. Time at most the product of the two lengths. */
bool glob_matches(struct slice pattern, struct slice text);
