/*
 * logscan/csv.c - most fields have no quotes and are a memchr() for the comma; a quote means something
 * only where a field begins with one.
 */
#include "logscan/csv.h"

#include <errno.h>
#include <string.h>

/* ---- in quotes ---- */

/* The quote that ends the field whose first byte after the opening quote is `p`; NULL: none does.
 * `*ret_doubled`: how many doubled ones it has. */
static const uint8_t *closing_quote(const uint8_t *p, const uint8_t *end, size_t *ret_doubled)
{
    size_t doubled = 0;

    while (p < end) {
        const uint8_t *quote = memchr(p, '"', (size_t)(end - p));

        if (!quote)
            return NULL;
        if (quote + 1 == end || quote[1] != '"') {
            *ret_doubled = doubled;
            return quote;
        }
        doubled++;
        p = quote + 2;
    }
    return NULL;
}

/* `len` bytes at `p` with each doubled quote made one. */
static int undouble(const uint8_t *p, size_t len, size_t doubled, struct arena *a,
                    struct slice *ret)
{
    uint8_t *copy = arena_take(a, len - doubled), *to = copy;

    if (!copy)
        return -ENOMEM;
    for (size_t i = 0; i < len; i++) {
        *to++ = p[i];
        i += p[i] == '"';
    }
    *ret = slice_make(copy, len - doubled);
    return 0;
}

/* Reads the field in quotes at `p`; `*ret_after` is what follows the closing quote. */
static int take_quoted(const uint8_t *p, const uint8_t *end, struct arena *a, struct slice *ret,
                       const uint8_t **ret_after)
{
    size_t doubled = 0;
    const uint8_t *quote = closing_quote(p + 1, end, &doubled);

    if (!quote || (quote + 1 < end && quote[1] != ','))
        return -EINVAL;
    *ret_after = quote + 1;
    *ret = slice_make(p + 1, (size_t)(quote - p - 1));
    return doubled > 0 ? undouble(ret->ptr, ret->len, doubled, a, ret) : 0;
}

/* ---- rows ---- */

int csv_split(struct slice row, struct arena *a, struct slice *fields, size_t max)
{
    const uint8_t *p = row.ptr, *end = row.len > 0 ? row.ptr + row.len : row.ptr;
    size_t count = 0;

    for (;;) {
        const uint8_t *after;

        if (count == max)
            return -EINVAL;
        if (p < end && *p == '"') {
            int r = take_quoted(p, end, a, &fields[count], &after);

            if (r < 0)
                return r;
        } else {
            after = p < end ? memchr(p, ',', (size_t)(end - p)) : NULL;
            after = after ? after : end;
            fields[count] = slice_make(p, p ? (size_t)(after - p) : 0);
        }
        count++;
        if (after == end)
            return (int)count;
        p = after + 1;
    }
}

/* The first ',' or '\n' of text[at, line_end], where line_end is a '\n'. */
static size_t field_end(struct slice text, size_t at, size_t line_end)
{
    const uint8_t *comma = memchr(text.ptr + at, ',', line_end - at);

    return comma ? (size_t)(comma - text.ptr) : line_end;
}

static size_t find_line_end(struct slice text, size_t at)
{
    const uint8_t *found = at < text.len ? memchr(text.ptr + at, '\n', text.len - at) : NULL;

    return found ? (size_t)(found - text.ptr) : SIZE_MAX;
}

/* A field may end its quotes and go on: that is no field, but the row ends where its line does. */
size_t csv_row_end(struct slice text, size_t from)
{
    size_t line_end = find_line_end(text, from), at = from;

    if (line_end == SIZE_MAX)
        return SIZE_MAX;
    if (!memchr(text.ptr + from, '"', line_end - from))
        return line_end + 1;
    for (;;) {
        if (text.ptr[at] == '"') {
            size_t doubled;
            const uint8_t *quote = closing_quote(text.ptr + at + 1, text.ptr + text.len, &doubled);

            if (!quote)
                return SIZE_MAX;
            at = (size_t)(quote - text.ptr) + 1;
            if (at > line_end)
                line_end = find_line_end(text, at);
            if (line_end == SIZE_MAX)
                return SIZE_MAX;
        }
        at = field_end(text, at, line_end);
        if (at == line_end)
            return line_end + 1;
        at++;
    }
}

size_t csv_row_end_within(struct slice text, size_t from, size_t row_max, size_t *left)
{
    size_t len = MIN_OF(MIN_OF(row_max, *left), text.len - from);
    size_t end = csv_row_end(slice_sub(text, 0, from + len), from);

    *left -= end == SIZE_MAX ? len : end - from;
    return end;
}

/* Where the last line before `border` begins that looks like a row's begin; `border`: none does. What
 * stands before the text's first line end may be the rest of a line. */
static size_t last_row(struct slice text, size_t border, bool (*begins_row)(struct slice line))
{
    ptrdiff_t end = (ptrdiff_t)border - 1;

    while (end > 0) {
        ptrdiff_t before = slice_rfind(slice_sub(text, 0, (size_t)end), '\n');

        if (before >= 0 &&
            begins_row(slice_sub(text, (size_t)before + 1, (size_t)(end - before) - 1)))
            return (size_t)before + 1;
        end = before;
    }
    return border;
}

size_t csv_row_border(struct slice text, size_t border, bool (*begins_row)(struct slice line),
                      size_t row_max)
{
    size_t at = last_row(text, border, begins_row);

    while (at < border) {
        bool is_whole = text.len - at >= row_max;
        size_t end = csv_row_end(slice_sub(text, 0, is_whole ? at + row_max : text.len), at);

        if (end == SIZE_MAX)
            return is_whole ? border : SIZE_MAX;
        at = end;
    }
    return at;
}
