/*
 * logscan/query_result.h - the rows of a statement's result: kept in the report's table "rows", or
 * handed on one by one. For query.c.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "logscan/query.h"
#include "logscan/sheet.h"

struct query_result {
    struct log_report *report;
    const struct query_sink *sink; /* NULL: rows are kept */
    size_t rows_max;               /* 0: as many as may be kept */
    bool has_places;               /* reals with six, as Log Parser has them */
    uint64_t output;               /* rows so far */
    /* private */
    struct log_sheet *sheet;
    struct sheet_column *columns;     /* in the report's arena */
    bool is_count[SHEET_COLUMNS_MAX]; /* whole numbers from 0 alone so far */
    bool has_value[SHEET_COLUMNS_MAX];
    uint64_t taken; /* rows that were kept or handed on */
    bool is_cut;    /* there were more than may be kept */
};

/* The columns. 0; -EINVAL with a sentence; -ENOMEM; what the sink says. */
MUST_CHECK int query_result_begin(struct query_result *r, sqlite3_stmt *st, struct buf *why);
/* The row that the statement stands at. 0; -ENOMEM; what the sink says. */
MUST_CHECK int query_result_row(struct query_result *r, sqlite3_stmt *st);
/* Settles how columns are shown, and says in the report where the result was cut. */
void query_result_end(struct query_result *r);
