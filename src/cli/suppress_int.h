/*
 * cli/suppress_int.h - private to `penstock suppress`: suppress.c (the command line, and what reads
 * the ledger), suppress_change.c (what a running server does) and suppress_text.c (for people).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "cli/format.h"
#include "evidence/suppression.h"

struct client;

/* ---- suppress_change.c; each returns the exit code and tells what went wrong ---- */

MUST_CHECK int suppress_add(struct client *c, char **addresses, size_t count, const char *note);
MUST_CHECK int suppress_remove(struct client *c, char **addresses, size_t count);
/* "-" is the standard input. Lines that are wrong are told with their number, the others taken. */
MUST_CHECK int suppress_import(struct client *c, const char *file);

/* ---- suppress_text.c ---- */

#define SUPPRESS_COLUMNS 5
extern const struct table_column suppress_columns[SUPPRESS_COLUMNS];
/* 0 or -ENOMEM. */
MUST_CHECK int suppress_text_row(struct table *t, const struct suppression_view *v);
/* One object on a line. 0, -ENOMEM, -EIO. */
MUST_CHECK int suppress_text_json(const struct suppression_view *v, FILE *to);
/* All that is known, on several lines. */
void suppress_text_whole(const struct suppression_view *v, struct buf *to);
