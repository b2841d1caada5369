/*
 * cli/format.h - what people read and type: ages, times, columns.
 *
 * Texts that come from other hosts are made harmless for a terminal: control characters, those of
 * two bytes included, become '?'.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

/* "90", "90s", "30m", "2h", "1d", "1h30m" as seconds. -EINVAL, -ERANGE (over a hundred years). */
MUST_CHECK int format_parse_age(struct slice text, uint64_t *ret_s);

#define FORMAT_TEXT_MAX 32
/* "5s", "12m", "3h20m", "2d4h": the two largest units; "0s" for what is not positive. */
void format_age(int64_t ms, char ret[static FORMAT_TEXT_MAX]);
/* "2026-11-22 20:30:01" in UTC. */
void format_time(int64_t wall_ms, char ret[static FORMAT_TEXT_MAX]);

/* Appends `text` on one line: what is a control, turns the direction of a line, or is no UTF-8 is '?'. */
int format_harmless(struct buf *to, struct slice text);

/*
 * Rows printed in aligned columns, a page at a time: the widths of a page are at least those of
 * the pages before, so that a listing of a million rows streams and still stands straight. The
 * last column is not padded. With `line_max` (a terminal's width) cells over their column's
 * `width_max` and lines over `line_max` are cut and end in '~'; 0 cuts nothing.
 */
struct table_column {
    const char *title;
    size_t width_max;
    bool is_right; /* numbers */
};
#define TABLE_COLUMNS_MAX 64
struct table { /* fields are private */
    const struct table_column *columns;
    size_t column_count, line_max;
    FILE *to;
    struct buf cells; /* NUL-ended texts */
    size_t cell_count;
    size_t widths[TABLE_COLUMNS_MAX];
    bool has_title;
};
void table_init(struct table *t, const struct table_column *columns, size_t column_count,
                size_t line_max, FILE *to);
void table_done(struct table *t);
/* The cells of a row one after another, made harmless. 0 or -ENOMEM, -E2BIG. */
MUST_CHECK int table_add(struct table *t, struct slice cell);
/* Prints what was added since the last flush. */
void table_flush(struct table *t);

/* The width of the terminal `f` is; 0 where it is none. */
size_t format_terminal_width(FILE *f);
