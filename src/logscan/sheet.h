/*
 * logscan/sheet.h - a report as tables of typed cells: made once, shown as text, JSON, CSV or HTML.
 *
 * Ownership: a sheet owns all text put into it. Bounded: SHEET_ROWS_MAX rows, the rest are counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/arena.h"

#define SHEET_ROWS_MAX 1000000
#define SHEET_COLUMNS_MAX 64

enum sheet_kind {
    SHEET_TEXT,
    SHEET_COUNT,
    SHEET_SHARE,    /* 0 to 1: shown in percent */
    SHEET_RATE,     /* per 10,000: shown with two places */
    SHEET_TIME,     /* milliseconds since 1970 */
    SHEET_DURATION, /* milliseconds */
    SHEET_SPARK,    /* text of numbers "1 2 3": a spark line; data in JSON and CSV */
};
struct sheet_column {
    const char *name;  /* in JSON and CSV: "first_ms" */
    const char *title; /* in tables: "FIRST"; NULL: for programs, in JSON and CSV only */
    enum sheet_kind kind;
    unsigned spare; /* 0: always shown; else, of a table too wide for the terminal the columns with
                       the greatest number are left out first, of equals the last */
};
union sheet_value {
    struct slice text;
    uint64_t count;
    double number; /* share, rate */
    int64_t ms;
};
struct sheet_cell {
    bool is_empty;  /* not known, or does not apply */
    bool is_number; /* of SHEET_TEXT: the text is a number, as JSON writes it too */
    union sheet_value value;
};
struct log_sheet {
    const char *name;  /* in JSON: "by_provider" */
    const char *title; /* one line, for people */
    const struct sheet_column *columns;
    size_t column_count;
    struct sheet_cell *cells; /* row by row */
    size_t row_count, row_room;
    uint64_t rows_left_out;
    bool is_for_programs; /* in JSON and CSV, not in the text and the page */
    struct arena arena;
};

void sheet_init(struct log_sheet *s, const char *name, const char *title,
                const struct sheet_column *columns, size_t count);
void sheet_done(struct log_sheet *s);
/* A new row of empty cells; NULL: no memory, or it is one too many and counted as left out. Good until
 * the next. */
struct sheet_cell *sheet_row(struct log_sheet *s);
void sheet_text(struct log_sheet *s, struct sheet_cell *c, struct slice text); /* copies */
void sheet_count(struct sheet_cell *c, uint64_t n);
void sheet_number(struct sheet_cell *c, double n);
void sheet_ms(struct sheet_cell *c, int64_t ms);
/* Keeps the first `rows`, counts the rest as left out. */
void sheet_limit(struct log_sheet *s, size_t rows);

/* What a report is: its tables, and sentences. */
#define REPORT_SHEETS_MAX 16
struct log_report {
    struct log_sheet sheets[REPORT_SHEETS_MAX];
    size_t sheet_count;
    struct arena arena;
    struct slice notes[64]; /* sentences below the tables, in order */
    size_t note_count;
};
/* The s of "files", where there is one: not of 1. */
static inline const char *log_plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}
void log_report_note(struct log_report *r, const char *format, ...) PRINTF_LIKE(2, 3);
struct log_sheet *log_report_sheet(struct log_report *r, const char *name, const char *title,
                                   const struct sheet_column *columns, size_t count);
void log_report_done(struct log_report *r);
