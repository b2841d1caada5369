/*
 * logscan/csv.h - fields of a CSV row (RFC 4180), as Exchange and PowerMTA write them. Pure.
 */
#pragma once

#include <stdbool.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/arena.h"

/* Splits a row without its line end. A field in quotes loses them, doubled ones become one (in the
 * arena, only where there are any). The number of fields; -EINVAL: a quote that does not end, text
 * after one, or more than `max` fields; -ENOMEM. */
int csv_split(struct slice row, struct arena *a, struct slice *fields, size_t max);
/* The end of the row that begins at `from` in `text`, its '\n' included: line breaks in quotes are
 * part of it. SIZE_MAX: it has no end there. */
size_t csv_row_end(struct slice text, size_t from);
/* The same for a row that may be none, of at most `row_max` bytes. `*left`, CSV_LOOK_MAX for a text at its
 * begin, is what may still be looked at: of lines that each seem to begin a long row, each would be read
 * to the text's end. */
#define CSV_LOOK_MAX MIB(4)
size_t csv_row_end_within(struct slice text, size_t from, size_t row_max, size_t *left);
/*
 * A text is to be cut at `border`, where a line begins: where does the row end that goes on there in
 * quotes? Read from the last line before it that looks like a row's begin, for the text before that
 * may begin in the middle of one. `border` where none goes on, or one of more than `row_max` bytes, whose
 * quotes are taken for torn; SIZE_MAX: more text is needed to tell.
 */
size_t csv_row_border(struct slice text, size_t border, bool (*begins_row)(struct slice line),
                      size_t row_max);
