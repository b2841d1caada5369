/*
 * logscan/query_filter.h - conditions of a statement that are looked at while rows are read, so that the
 * others never get to SQLite. Pure.
 *
 * A filter may let a row through that SQLite then refuses, for it asks again; it never holds one back
 * that SQLite would take.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "base/slice.h"

enum query_op { QUERY_EQ, QUERY_LIKE, QUERY_GT, QUERY_GE, QUERY_LT, QUERY_LE };

struct query_condition {
    int column; /* of the table */
    enum query_op op;
    char *text; /* NUL-ended; ours */
    size_t len;
    /* of LIKE: the longest run without wildcards, and whether the pattern is no more than that */
    size_t literal, literal_len;
    bool is_begin;  /* the value begins with it */
    bool is_simple; /* "x%", "%x%" or "x": literal alone decides */
};
#define QUERY_CONDITIONS_MAX 32
#define QUERY_PATTERN_MAX KIB(1) /* of LIKE; longer ones are not looked at while rows are read */

/* 0, -ENOMEM. */
MUST_CHECK int query_condition_init(struct query_condition *c, int column, enum query_op op,
                                    struct slice text);
void query_condition_done(struct query_condition *c);
/* May the value be one that it takes? */
bool query_condition_takes(const struct query_condition *c, struct slice value);
/* What a value that it takes has in it, in any case of its letters; empty: nothing sure. */
struct slice query_condition_literal(const struct query_condition *c);
