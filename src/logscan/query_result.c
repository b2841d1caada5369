/*
 * logscan/query_result.c - cells out of SQLite's values.
 *
 * A row that is handed on is the only one of its table, and its memory is the next one's.
 */
#include "logscan/query_result.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *keep_text(struct query_result *r, const char *text)
{
    struct slice kept = arena_copy(&r->report->arena, slice_make(text, strlen(text) + 1));

    return kept.ptr ? (const char *)kept.ptr : "";
}

int query_result_begin(struct query_result *r, sqlite3_stmt *st, struct buf *why)
{
    int n = sqlite3_column_count(st);

    if (n > SHEET_COLUMNS_MAX) {
        (void)buf_addf(why, "the result has %d columns; at most %d can be shown", n,
                       SHEET_COLUMNS_MAX);
        return -EINVAL;
    }
    r->columns = arena_take(&r->report->arena, (size_t)MAX_OF(n, 1) * sizeof(*r->columns));
    if (!r->columns)
        return -ENOMEM;
    for (int i = 0; i < n; i++) {
        const char *name = keep_text(r, sqlite3_column_name(st, i));

        r->columns[i] = (struct sheet_column){.name = name, .title = name, .kind = SHEET_TEXT};
        r->is_count[i] = true;
    }
    r->sheet = log_report_sheet(r->report, "rows", "", r->columns, (size_t)n);
    return r->sink ? r->sink->begin(r->sink->ctx, r->sheet) : 0;
}

static void put_cell(struct query_result *r, sqlite3_stmt *st, int i, struct sheet_cell *cell)
{
    int type = sqlite3_column_type(st, i);
    bool is_number =
        type == SQLITE_INTEGER || (type == SQLITE_FLOAT && isfinite(sqlite3_column_double(st, i)));
    const unsigned char *text;
    char real[400];

    if (type == SQLITE_NULL)
        return;
    r->has_value[i] = true;
    if (type != SQLITE_INTEGER || sqlite3_column_int64(st, i) < 0)
        r->is_count[i] = false;
    if (type == SQLITE_FLOAT && r->has_places) {
        int n = snprintf(real, sizeof(real), "%.6f", sqlite3_column_double(st, i));

        sheet_text(r->sheet, cell, slice_make(real, (size_t)n));
    } else {
        text = sqlite3_column_text(st, i);
        sheet_text(r->sheet, cell, slice_make(text, (size_t)sqlite3_column_bytes(st, i)));
    }
    cell->is_number = is_number;
}

/* May no further row be kept? */
static bool is_full(const struct query_result *r)
{
    const struct log_sheet *s = r->sheet;

    return s->row_count == SHEET_ROWS_MAX ||
           s->row_room * s->column_count * sizeof(*s->cells) + arena_bytes(&s->arena) >=
               QUERY_RESULT_BYTES_MAX;
}

static void forget_row(struct log_sheet *s)
{
    s->row_count = 0;
    arena_clear(&s->arena);
}

int query_result_row(struct query_result *r, sqlite3_stmt *st)
{
    struct log_sheet *s = r->sheet;
    struct sheet_cell *cells;

    r->output++;
    if (r->sink)
        forget_row(s);
    r->is_cut |= (r->rows_max == 0 || r->taken < r->rows_max) && is_full(r);
    if (r->is_cut || (r->rows_max > 0 && r->taken == r->rows_max)) {
        s->rows_left_out++;
        return 0;
    }
    cells = sheet_row(s);
    if (!cells)
        return -ENOMEM;
    r->taken++;
    for (int i = 0; i < sqlite3_column_count(st); i++)
        put_cell(r, st, i, &cells[i]);
    return r->sink ? r->sink->row(r->sink->ctx, s) : 0;
}

/* Columns that hold nothing but counts are shown as such. */
static void settle_kinds(struct query_result *r)
{
    struct log_sheet *s = r->sheet;

    for (size_t i = 0; i < s->column_count; i++) {
        if (!r->is_count[i] || !r->has_value[i])
            continue;
        r->columns[i].kind = SHEET_COUNT;
        for (size_t row = 0; row < s->row_count; row++) {
            struct sheet_cell *cell = &s->cells[row * s->column_count + i];
            uint64_t n = 0;

            if (!cell->is_empty && slice_to_u64(cell->value.text, INT64_MAX, &n) == 0)
                sheet_count(cell, n);
        }
    }
}

void query_result_end(struct query_result *r)
{
    if (r->sink) {
        forget_row(r->sheet);
        return;
    }
    settle_kinds(r);
    if (r->is_cut)
        log_report_note(r->report,
                        "the result is cut: at most %d rows and %u MiB of it are kept; ask for "
                        "less (WHERE, GROUP BY, LIMIT), or use --csv or --json, which keep nothing",
                        SHEET_ROWS_MAX, (unsigned)(QUERY_RESULT_BYTES_MAX / MIB(1)));
}
