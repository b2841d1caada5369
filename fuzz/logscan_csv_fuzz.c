/*
 * fuzz/logscan_csv_fuzz.c - any bytes as rows of CSV: rows end, fields written again with quotes are the
 * same fields, and a second time gives the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/slice.h"
#include "logscan/csv.h"

#define FIELDS_MAX 64

/* The fields with quotes round each; the row's length. */
static size_t write_row(const struct slice *fields, int count, uint8_t *to)
{
    size_t len = 0;

    for (int f = 0; f < count; f++) {
        if (f > 0)
            to[len++] = ',';
        to[len++] = '"';
        for (size_t i = 0; i < fields[f].len; i++) {
            if (fields[f].ptr[i] == '"')
                to[len++] = '"';
            to[len++] = fields[f].ptr[i];
        }
        to[len++] = '"';
    }
    return len;
}

static void check_row(struct slice row)
{
    struct slice fields[FIELDS_MAX], again[FIELDS_MAX];
    struct arena a = {0};
    int count = csv_split(row, &a, fields, FIELDS_MAX);

    ASSERT(count != 0 && count <= FIELDS_MAX);
    if (count > 0) {
        uint8_t *written = malloc(row.len * 2 + FIELDS_MAX * 3);
        size_t len;

        ASSERT(written);
        len = write_row(fields, count, written);
        ASSERT(csv_split(slice_make(written, len), &a, again, FIELDS_MAX) == count);
        for (int f = 0; f < count; f++)
            ASSERT(slice_eq(fields[f], again[f]));
        written[len] = '\n';
        ASSERT(csv_row_end(slice_make(written, len + 1), 0) == len + 1);
        free(written);
    }
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    size_t at = 0, end;

    while ((end = csv_row_end(text, at)) != SIZE_MAX) {
        ASSERT(end > at && end <= size && data[end - 1] == '\n');
        ASSERT(csv_row_end(slice_sub(text, 0, end), at) == end);
        check_row(slice_sub(text, at, end - 1 - at));
        at = end;
    }
    check_row(slice_from(text, at));
    return 0;
}
