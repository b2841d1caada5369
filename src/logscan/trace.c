/*
 * logscan/trace.c - rows of the messages that a pattern means.
 */
#include "logscan/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logscan/search.h"
#include "logscan/stamp.h"
#include "logscan/table.h"

#define FULL_KEY_MAX 512
#define TIME_WITHIN 4096 /* bytes of a row */

/* Columns that say which message or session a row is of, in the formats that are known. */
static const char *const key_columns[] = {
    "queue_id", "message_id", "session-id", "session", "id", "internal-message-id", "envId", "uuid",
};

struct found {     /* a row, in its chunk's arena */
    uint64_t line; /* in the chunk, from 1 */
    int64_t at_ms;
    struct slice key, text;
};

struct found_list { /* of a chunk */
    struct found *items;
    size_t count, room;
};

struct row {
    int64_t at_ms;
    uint64_t order, line;
    uint32_t file;
    struct slice key, text;
};

struct trace {
    struct slice pattern;
    int64_t since_ms, until_ms;
    struct log_table keys; /* of what the first reading found; read only in the second */
    bool is_second;
    uint64_t left_out_keys;
    /* second reading */
    struct arena arena;
    struct row *rows;
    size_t row_count, row_room, rows_max;
    uint64_t left_out_rows;
    uint64_t lines; /* of the file, before this chunk */
    uint32_t file;
};

/* ---- rows of a chunk: any thread ---- */

static bool contains(struct slice text, struct slice pattern)
{
    uint8_t low = byte_lower(pattern.ptr[0]);

    for (size_t i = 0; i + pattern.len <= text.len; i++)
        if (byte_lower(text.ptr[i]) == low &&
            slice_eq_case(slice_sub(text, i, pattern.len), pattern))
            return true;
    return false;
}

/* Headers name the columns of what follows. */
static bool is_header(struct slice line, struct log_carry *carry)
{
    struct slice names;

    if (log_columns_header(line, &names))
        carry->columns = log_columns_of(names);
    else if (slice_has_prefix(line, SLICE_LIT("type,")))
        carry->columns = log_columns_of(line);
    else
        return line.ptr[0] == '#';
    return true;
}

static const struct log_columns *columns_of(const struct log_format *f,
                                            const struct log_carry *carry)
{
    return f->columns ? log_columns_of(slice_str(f->columns)) : carry->columns;
}

struct columns_seen {
    const struct log_columns *columns;
    int key; /* index of the key's column */
};

/* Which message or session the row is of; empty: it does not say. */
static struct slice key_of(struct log_scan *s, const struct log_carry *carry, struct slice line,
                           struct columns_seen *seen)
{
    const struct log_columns *c = columns_of(s->format, carry);
    struct slice fields[LOG_COLUMNS_MAX];
    int n;

    if (!c || !s->format->split)
        return slice_make(NULL, 0);
    if (c != seen->columns) {
        seen->columns = c;
        seen->key = -1;
        for (size_t i = 0; seen->key < 0 && i < ARRAY_SIZE(key_columns); i++)
            seen->key = log_columns_find(c, slice_str(key_columns[i]));
    }
    if (seen->key < 0)
        return slice_make(NULL, 0);
    n = s->format->split(carry, line, &s->arena, fields);
    if (n <= seen->key ||
        slice_eq(fields[seen->key], SLICE_LIT("NOQUEUE"))) /* Postfix: no message */
        return slice_make(NULL, 0);
    return fields[seen->key];
}

/* The time a row bears, at its begin or (JSON, CSV with another first column) the first in it. */
static int64_t time_of(struct slice line)
{
    struct slice head = slice_sub(line, 0, TIME_WITHIN);
    int64_t at_ms;

    for (size_t i = 0; i + 2 < head.len; i++)
        if (head.ptr[i] == '2' && head.ptr[i + 1] == '0' &&
            (i == 0 || !byte_is_digit(head.ptr[i - 1])) &&
            stamp_iso(slice_from(head, i), &at_ms) > 0)
            return at_ms;
    return INT64_MIN;
}

static struct found *add_found(struct log_scan *s)
{
    struct found_list *l = s->own;

    if (!l)
        s->own = l = calloc(1, sizeof(*l));
    if (l && l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 16;
        struct found *more = realloc(l->items, room * sizeof(*more));

        if (!more)
            l = NULL;
        else {
            l->items = more;
            l->room = room;
        }
    }
    if (!l) {
        s->error = -ENOMEM;
        return NULL;
    }
    return &l->items[l->count++];
}

static void discard(void *own)
{
    struct found_list *l = own;

    free(l->items);
    free(l);
}

/* An id means something in logs of one format only. */
static struct slice full_key(const struct log_format *format, struct slice key,
                             char scratch[static FULL_KEY_MAX])
{
    int n = snprintf(scratch, FULL_KEY_MAX, "%s %.*s", format->name, SLICE_FMT(key));

    return slice_make(scratch, MIN_OF((size_t)n, (size_t)FULL_KEY_MAX - 1));
}

static bool is_meant(const struct trace *t, const struct log_scan *s, struct slice key)
{
    char scratch[FULL_KEY_MAX];

    return t->is_second && key.len > 0 &&
           log_table_find(&t->keys, full_key(s->format, key, scratch));
}

/* A row that is wanted: where it is, when, and of what. */
static void take(struct log_scan *s, struct slice line, struct slice key, int64_t stamp_ms,
                 struct found *last)
{
    struct slice between = slice_make(s->bytes.ptr, (size_t)(line.ptr - s->bytes.ptr));
    struct found *f = add_found(s);

    if (!f)
        return;
    if (last->text.ptr)
        between = slice_make(last->text.ptr, (size_t)(line.ptr - last->text.ptr));
    else
        last->line = 1;
    *f = (struct found){.line = last->line + search_count(between, '\n'),
                        .at_ms = stamp_ms != INT64_MIN ? stamp_ms : time_of(line),
                        .key = key,
                        .text = line};
    *last = *f;
}

static void scan(void *ctx, struct log_scan *s)
{
    const struct trace *t = ctx;
    struct columns_seen seen = {0};
    struct log_carry carry = s->carry;
    struct found last = {0};
    struct slice line;
    size_t at = 0;

    while (s->error == 0 && log_scan_line(s, &at, &line)) {
        int64_t stamp_ms = INT64_MIN;
        bool has_pattern;
        struct slice key;

        (void)stamp_syslog(line, &carry, &stamp_ms); /* moves the year on */
        if (is_header(line, &carry)) {
            s->tally.headers++;
            continue;
        }
        s->tally.rows++;
        has_pattern = contains(line, t->pattern);
        if (!has_pattern && !t->is_second)
            continue;
        key = key_of(s, &carry, line, &seen);
        if (has_pattern || is_meant(t, s, key))
            take(s, line, key, stamp_ms, &last);
    }
    s->carry_end = carry;
}

/* ---- in order ---- */

static int add_key(struct trace *t, const struct log_scan *s, struct slice key)
{
    char scratch[FULL_KEY_MAX];

    if (key.len == 0)
        return 0;
    key = full_key(s->format, key, scratch);
    if (log_table_find(&t->keys, key))
        return 0;
    if (log_table_count(&t->keys) == TRACE_KEYS_MAX) {
        t->left_out_keys++;
        return 0;
    }
    return log_table_add(&t->keys, key) ? 0 : -ENOMEM;
}

static int add_row(struct trace *t, const struct log_scan *s, const struct found *f)
{
    struct row *row;

    if (f->at_ms != INT64_MIN && (f->at_ms < t->since_ms || f->at_ms >= t->until_ms))
        return 0;
    if (t->row_count == TRACE_ROWS_MAX) {
        t->left_out_rows++;
        return 0;
    }
    if (t->row_count == t->row_room) {
        size_t room = t->row_room ? t->row_room * 2 : 64;
        struct row *more = realloc(t->rows, room * sizeof(*more));

        if (!more)
            return -ENOMEM;
        t->rows = more;
        t->row_room = room;
    }
    row = &t->rows[t->row_count];
    *row = (struct row){.at_ms = f->at_ms,
                        .order = t->row_count++,
                        .line = t->lines + f->line,
                        .file = s->file,
                        .key = arena_copy(&t->arena, f->key),
                        .text = arena_copy(&t->arena, f->text)};
    return 0;
}

static int merge(void *ctx, struct log_scan *s)
{
    struct trace *t = ctx;
    struct found_list *l = s->own;
    int r = 0;

    if (s->file != t->file) {
        t->file = s->file;
        t->lines = 0;
    }
    for (size_t i = 0; l && r == 0 && i < l->count; i++)
        r = t->is_second ? add_row(t, s, &l->items[i]) : add_key(t, s, l->items[i].key);
    t->lines += s->lines ? s->lines : search_count(s->bytes, '\n');
    if (l)
        discard(l);
    return r;
}

/* ---- the table ---- */

static int compare(const void *x, const void *y)
{
    const struct row *a = x, *b = y;

    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static void show(struct trace *t, const struct log_run *run, struct log_report *to)
{
    static const struct sheet_column columns[] = {{"at_ms", "TIME", SHEET_TIME},
                                                  {"key", "OF", SHEET_TEXT, 1},
                                                  {"place", "FILE:LINE", SHEET_TEXT, 2},
                                                  {"row", "ROW", SHEET_TEXT}};
    struct log_sheet *sheet =
        log_report_sheet(to, "rows", "In order of time", columns, ARRAY_SIZE(columns));
    size_t keys = log_table_count(&t->keys);

    if (t->row_count > 1)
        qsort(t->rows, t->row_count, sizeof(*t->rows), compare);
    for (size_t i = 0; i < t->row_count; i++) {
        const struct row *row = &t->rows[i];
        struct sheet_cell *c = sheet_row(sheet);
        struct buf place = BUF_INIT(KIB(8));

        if (!c)
            break;
        if (row->at_ms != INT64_MIN)
            sheet_ms(c, row->at_ms);
        sheet_text(sheet, ++c, row->key);
        (void)buf_addf(&place, "%s:%llu", log_run_file(run, row->file)->path,
                       (unsigned long long)row->line);
        sheet_text(sheet, ++c, buf_slice(&place));
        sheet_text(sheet, ++c, row->text);
        buf_done(&place);
    }
    sheet_limit(sheet, t->rows_max);
    sheet->rows_left_out += t->left_out_rows;
    log_report_note(to, "%zu row%s of %zu message%s or session%s", t->row_count,
                    log_plural(t->row_count), keys, log_plural(keys), log_plural(keys));
    if (t->left_out_keys > 0)
        log_report_note(to, "more than %d messages match: the others are left out", TRACE_KEYS_MAX);
}

static bool has_stdin(const struct log_run_config *c)
{
    for (size_t i = 0; i < c->path_count; i++)
        if (strcmp(c->paths[i], "-") == 0)
            return true;
    return false;
}

int trace_run(struct log_run **run, const struct log_run_config *c, const char *pattern,
              const struct log_report_options *o, struct log_report *to, struct buf *why)
{
    struct trace t = {.pattern = slice_str(pattern),
                      .since_ms = o->since_ms,
                      .until_ms = o->until_ms,
                      .rows_max = o->rows_max ? o->rows_max : TRACE_ROWS_MAX,
                      .file = UINT32_MAX};
    const struct log_reader reader = {.scan = scan, .merge = merge, .discard = discard, .ctx = &t};
    int r = 0;

    *run = NULL;
    if (t.pattern.len == 0 || t.pattern.len > TRACE_PATTERN_MAX) {
        (void)buf_addf(why, "trace: a pattern of 1 to %d bytes", TRACE_PATTERN_MAX);
        return -EINVAL;
    }
    log_table_init(&t.keys, 1, o->seed);
    if (!has_stdin(c)) {
        r = log_run(run, c, &reader, why);
        if (r == 0)
            log_run_free(run);
    } else {
        log_report_note(to, "standard input is read once: only rows with the pattern are shown");
    }
    t.is_second = true;
    t.file = UINT32_MAX;
    if (r == 0)
        r = log_run(run, c, &reader, why);
    if (r == 0)
        show(&t, *run, to);
    log_table_done(&t.keys);
    arena_done(&t.arena);
    free(t.rows);
    return r;
}
