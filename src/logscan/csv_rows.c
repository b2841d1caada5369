/*
 * logscan/csv_rows.c - lines to rows. A row that seems to be cut may go on in the next lines, inside
 * quotes; it is taken as one only where it then has the columns of the header, so that a row which was
 * really cut (files joined by hand) takes nothing along but itself.
 */
#include "logscan/csv_rows.h"

#include <errno.h>

#include "base/assert.h"
#include "logscan/csv.h"
#include "logscan/stamp.h"
#include "logscan/text.h"

/* ---- headers ---- */

static void use_columns(struct csv_rows *r, const struct log_columns *columns)
{
    r->s->carry_end.columns = columns;
    for (size_t i = 0; i < r->wanted_count; i++)
        r->index[i] = (int16_t)log_columns_find(columns, slice_str(r->wanted[i]));
}

void csv_rows_init(struct csv_rows *r, struct log_scan *s, enum csv_header header,
                   const char *const *wanted, size_t wanted_count)
{
    ASSERT(wanted_count <= CSV_WANTED_MAX);
    r->s = s;
    r->header = header;
    r->wanted = wanted;
    r->wanted_count = wanted_count;
    r->at = 0;
    r->line = NULL;
    r->look_left = CSV_LOOK_MAX;
    s->carry_end = s->carry;
    use_columns(r, s->carry.columns);
}

/* The columns' names, where the line is the header that has them. */
static bool header_names(enum csv_header header, struct slice line, struct slice *ret)
{
    if (header == CSV_HEADER_EXCHANGE)
        return log_columns_header(line, ret);
    *ret = line;
    return slice_has_prefix_case(line, SLICE_LIT("type,"));
}

static bool take_header(struct csv_rows *r, struct slice line)
{
    struct slice names;

    if (header_names(r->header, line, &names))
        use_columns(r, log_columns_of(names));
    else if (r->header != CSV_HEADER_EXCHANGE || line.ptr[0] != '#')
        return false;
    r->s->tally.headers++;
    return true;
}

/* ---- rows ---- */

static bool split_whole(struct csv_rows *r, struct slice row, uint32_t count)
{
    int n = csv_split(row, &r->s->arena, r->fields, LOG_COLUMNS_MAX);

    if (n == -ENOMEM)
        r->s->error = -ENOMEM;
    return n == (int)count;
}

/* The same row with the lines that it goes on in. */
static bool split_longer(struct csv_rows *r, struct slice line, uint32_t count)
{
    struct slice all = r->s->bytes;
    size_t from = (size_t)(line.ptr - all.ptr), end;

    if (slice_find(line, '"') < 0)
        return false;
    end = csv_row_end_within(all, from, LOG_LINE_MAX, &r->look_left);
    if (end == SIZE_MAX || end <= r->at)
        return false;
    line = text_without_end(slice_sub(all, from, end - from));
    if (!split_whole(r, line, count))
        return false;
    r->at = end;
    return true;
}

bool csv_rows_next(struct csv_rows *r)
{
    const struct log_columns *columns;
    struct slice line;

    while (r->s->error == 0 && log_scan_line(r->s, &r->at, &line)) {
        if (take_header(r, line))
            continue;
        columns = r->s->carry_end.columns;
        if (!columns) {
            log_scan_skip(r->s, SKIP_HEADER, line.ptr);
        } else if (split_whole(r, line, columns->count) || split_longer(r, line, columns->count)) {
            r->line = line.ptr;
            r->s->tally.rows++;
            return true;
        } else if (r->s->error == 0) {
            log_scan_skip(r->s, SKIP_COLUMNS, line.ptr);
        }
    }
    return false;
}

void csv_rows_skip(struct csv_rows *r, enum log_skip why)
{
    r->s->tally.rows--;
    log_scan_skip(r->s, why, r->line);
}

bool csv_rows_time(struct slice text, int64_t *ret_ms)
{
    if (text.len == STAMP_EXCHANGE_LEN && stamp_exchange(text.ptr, ret_ms))
        return true;
    return text.len > 0 && stamp_iso(text, ret_ms) == text.len;
}

bool csv_rows_begins(struct slice line)
{
    int64_t ms;
    size_t len;

    if (line.len > 0 && line.ptr[0] == '#')
        return true;
    if (line.len == 0 || !byte_is_digit(line.ptr[0]))
        return false;
    len = stamp_iso(line, &ms);
    return len > 0 && len < line.len && line.ptr[len] == ',';
}

int csv_rows_split(const struct log_carry *carry, struct slice line, struct arena *a,
                   struct slice fields[LOG_COLUMNS_MAX])
{
    int n;

    if (!carry->columns || line.len == 0 || line.ptr[0] == '#')
        return -EINVAL;
    n = csv_split(line, a, fields, LOG_COLUMNS_MAX);
    return n < 0 || n == (int)carry->columns->count ? n : -EINVAL;
}

/* ---- detection ---- */

static bool has_columns(struct slice names, const char *const *columns, size_t count)
{
    const struct log_columns *have = log_columns_of(names);

    for (size_t i = 0; i < count; i++)
        if (log_columns_find(have, slice_str(columns[i])) < 0)
            return false;
    return true;
}

unsigned csv_rows_detect(struct slice head, struct slice log_type, const char *const *columns,
                         size_t count)
{
    const struct slice type = SLICE_LIT("#Log-type:");

    while (head.len > 0) {
        struct slice line = text_take_line(&head), names;

        if (slice_has_prefix_case(line, type))
            return slice_eq_case(slice_trim(slice_from(line, type.len)), log_type) ? 2 : 0;
        if (header_names(CSV_HEADER_EXCHANGE, line, &names))
            return has_columns(names, columns, count);
    }
    return 0;
}
