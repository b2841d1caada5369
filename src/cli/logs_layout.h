/*
 * cli/logs_layout.h - which columns of a table a terminal has room for, and how wide each may be.
 *
 * In this order, as far as it is needed: texts are taken for LOGS_TEXT_GOOD wide and spark lines for
 * LOGS_SPARK_GOOD, if they are wider; columns with a `spare` are left out; spark lines, then texts
 * become narrower; the last columns are left out. Room that is left goes to spark lines and texts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "logscan/sheet.h"

#define LOGS_TEXT_GOOD 40
#define LOGS_TEXT_LEAST 8
#define LOGS_TEXT_MOST 100 /* but for the last column */
#define LOGS_SPARK_GOOD 24
#define LOGS_SPARK_LEAST 8
#define LOGS_SPARK_MOST 48
#define LOGS_COLUMN_GAP 2

struct logs_layout {
    size_t count;
    struct logs_layout_column {
        size_t at;    /* in the sheet */
        size_t width; /* at most */
    } columns[SHEET_COLUMNS_MAX];
    bool is_left_out[SHEET_COLUMNS_MAX]; /* of the sheet's, for want of width */
};

/* For a terminal of so many columns; 0: no terminal, all columns as wide as they are. */
void logs_layout_make(struct logs_layout *ret, const struct log_sheet *s, size_t width);
