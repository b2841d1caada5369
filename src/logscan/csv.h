/*
 * logscan/csv.h - fields of a CSV row (RFC 4180), as Exchange and PowerMTA write them. Pure.
 */
#pragma once

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
