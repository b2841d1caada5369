/*
 * logscan/json_line.h - some members of a JSON object (RFC 8259) that stands on one line, in one pass.
 *
 * For logs of millions of lines: nothing is built, values are slices of the line, and what is not asked for
 * is passed over. So it is lenient inside of what it passes over (numbers, escapes), but brackets and quotes
 * must match and nothing may follow the object.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/arena.h"

#define JSON_LINE_DEPTH_MAX 64 /* brackets in brackets */

enum json_line_kind {
    JSON_LINE_NONE, /* there is no such member, or it is null */
    JSON_LINE_STRING,
    JSON_LINE_WORD, /* a number, true, false */
    JSON_LINE_ARRAY,
    JSON_LINE_OBJECT,
};

struct json_line_value {
    struct slice
        text; /* JSON_LINE_STRING: between the quotes, escapes as they stand; else all of it */
    uint8_t kind;
    bool has_escapes;
};

#define JSON_LINE_TOP (-1)
struct json_line_member {
    int parent; /* index of an object among the members, before this one; JSON_LINE_TOP: the line's own */
    const char *name;
};

/*
 * Fills in a value for each member; of one that comes twice the last counts. 0; -EINVAL: the line is
 * not one object, or too deep.
 */
MUST_CHECK int json_line_read(struct slice line, const struct json_line_member *members,
                              size_t count, struct json_line_value *values);

/* The text of a string without escapes, in the arena where it has any; each '\n' becomes `newline`.
 * Empty for what is no string, and where there is no memory. */
struct slice json_line_text(const struct json_line_value *v, char newline, struct arena *a);
/* False: no whole number of at most `max`. */
bool json_line_number(const struct json_line_value *v, uint64_t max, uint64_t *ret);
/* Walks the values of an array: `*at` begins at 0, false at the end. */
bool json_line_next(const struct json_line_value *array, size_t *at, struct json_line_value *ret);
