/*
 * logscan/sheet.c - tables of cells, row by row.
 */
#include "logscan/sheet.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

#define ROWS_FIRST 32
#define NOTE_MAX 4096

void sheet_init(struct log_sheet *s, const char *name, const char *title,
                const struct sheet_column *columns, size_t count)
{
    ASSERT(count > 0 && count <= SHEET_COLUMNS_MAX);
    *s =
        (struct log_sheet){.name = name, .title = title, .columns = columns, .column_count = count};
}

void sheet_done(struct log_sheet *s)
{
    free(s->cells);
    arena_done(&s->arena);
    *s = (struct log_sheet){0};
}

static bool grow(struct log_sheet *s)
{
    size_t room = s->row_room ? s->row_room * 2 : ROWS_FIRST;
    struct sheet_cell *cells = realloc(s->cells, room * s->column_count * sizeof(*cells));

    if (!cells)
        return false;
    s->cells = cells;
    s->row_room = room;
    return true;
}

struct sheet_cell *sheet_row(struct log_sheet *s)
{
    struct sheet_cell *row;

    if (s->row_count == SHEET_ROWS_MAX) {
        s->rows_left_out++;
        return NULL;
    }
    if (s->row_count == s->row_room && !grow(s))
        return NULL;
    row = &s->cells[s->row_count++ * s->column_count];
    for (size_t i = 0; i < s->column_count; i++)
        row[i] = (struct sheet_cell){.is_empty = true};
    return row;
}

void sheet_text(struct log_sheet *s, struct sheet_cell *c, struct slice text)
{
    *c = (struct sheet_cell){.value.text = arena_copy(&s->arena, text)};
}

void sheet_count(struct sheet_cell *c, uint64_t n)
{
    *c = (struct sheet_cell){.value.count = n};
}

void sheet_number(struct sheet_cell *c, double n)
{
    *c = (struct sheet_cell){.value.number = n};
}

void sheet_ms(struct sheet_cell *c, int64_t ms)
{
    *c = (struct sheet_cell){.value.ms = ms};
}

void sheet_limit(struct log_sheet *s, size_t rows)
{
    if (s->row_count <= rows)
        return;
    s->rows_left_out += s->row_count - rows;
    s->row_count = rows;
}

/* ---- reports ---- */

void log_report_note(struct log_report *r, const char *format, ...)
{
    char text[NOTE_MAX];
    va_list args;
    int n;

    if (r->note_count == ARRAY_SIZE(r->notes))
        return;
    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n > 0)
        r->notes[r->note_count++] =
            arena_copy(&r->arena, slice_make(text, MIN_OF((size_t)n, sizeof(text) - 1)));
}

struct log_sheet *log_report_sheet(struct log_report *r, const char *name, const char *title,
                                   const struct sheet_column *columns, size_t count)
{
    struct log_sheet *s;

    ASSERT(r->sheet_count < REPORT_SHEETS_MAX);
    s = &r->sheets[r->sheet_count++];
    sheet_init(s, name, title, columns, count);
    return s;
}

void log_report_done(struct log_report *r)
{
    for (size_t i = 0; i < r->sheet_count; i++)
        sheet_done(&r->sheets[i]);
    arena_done(&r->arena);
    *r = (struct log_report){0};
}
