/*
 * logscan/csv_rows.h - the rows of a chunk of a CSV log: fields by the names of the header in force.
 *
 * A header may come anywhere (files joined by hand) and name other columns than the one before. Rows
 * that are not of its columns are told as skipped. For the formats of CSV logs.
 *
 *     csv_rows_init(&r, s, ...);
 *     while (csv_rows_next(&r))
 *         ... csv_rows_field(&r, FIELD_TIME) ...
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/scan.h"

#define CSV_WANTED_MAX 24

enum csv_header {
    CSV_HEADER_EXCHANGE, /* "#Fields: date-time,..." among other lines with '#' */
    CSV_HEADER_TYPE,     /* a row whose first field is "type" */
};

struct csv_rows { /* fields are private, but for `line` */
    struct log_scan *s;
    enum csv_header header;
    const char *const *wanted;
    size_t wanted_count;
    size_t at;
    int16_t index[CSV_WANTED_MAX]; /* of the wanted columns; -1: there is none */
    const uint8_t *line;           /* where the row begins in the chunk */
    size_t look_left;              /* csv_row_end_within() */
    struct slice fields[LOG_COLUMNS_MAX];
};

/* `wanted`: names of columns; they stand by their index in csv_rows_field(). */
void csv_rows_init(struct csv_rows *r, struct log_scan *s, enum csv_header header,
                   const char *const *wanted, size_t wanted_count);
/* The next row, counted in the tally; false at the end, or where there is no memory (s->error is
 * set). Sets s->carry_end. */
bool csv_rows_next(struct csv_rows *r);
/* The row that was just read is not in the report after all. */
void csv_rows_skip(struct csv_rows *r, enum log_skip why);
/* Empty where the header has no such column. */
static inline struct slice csv_rows_field(const struct csv_rows *r, size_t which)
{
    return r->index[which] < 0 ? slice_make(NULL, 0) : r->fields[r->index[which]];
}

/* "2026-03-01T06:50:41.097Z" and all that stamp_iso() reads; false: it is no stamp, or more than one. */
bool csv_rows_time(struct slice text, int64_t *ret_ms);

/* The begins_row() of Exchange's formats: a header line, or a time and a comma. */
bool csv_rows_begins(struct slice line);
/* The split() of formats with such a header: a row has the columns of the carry. */
int csv_rows_split(const struct log_carry *carry, struct slice line, struct arena *a,
                   struct slice fields[LOG_COLUMNS_MAX]);

/*
 * For detect() of Exchange's formats: does a head have a "#Log-type: " line with this text, or, where
 * it has none, a "#Fields: " line with all of these columns? 2: the type; 1: the columns; 0: neither.
 */
unsigned csv_rows_detect(struct slice head, struct slice log_type, const char *const *columns,
                         size_t count);
