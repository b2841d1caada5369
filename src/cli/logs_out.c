/*
 * cli/logs_out.c - tables for people and for programs.
 */
#include "cli/logs_out.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "cli/logs_layout.h"
#include "control/json_out.h"
#include "logscan/stamp.h"

#define SPARK_LEVELS 8
#define LEFT_OUT_MAX 128
#define JSON_FLUSH KIB(64)
#define JSON_MAX MIB(128) /* a value of QUERY_VALUE_MAX takes at most six times as much, and this */

/* ---- cells ---- */

static void duration_text(int64_t ms, char ret[static LOGS_CELL_MAX])
{
    if (ms < 1000)
        (void)snprintf(ret, LOGS_CELL_MAX, "%" PRId64 "ms", ms);
    else if (ms < 100000)
        (void)snprintf(ret, LOGS_CELL_MAX, "%.1fs", (double)ms / 1000);
    else
        format_age(ms, ret);
}

static void time_text(int64_t ms, char ret[static LOGS_CELL_MAX])
{
    char text[STAMP_TEXT_LEN];

    stamp_text(ms, text);
    (void)snprintf(ret, LOGS_CELL_MAX, "%.19s", text);
}

void logs_cell_text(enum sheet_kind kind, const struct sheet_cell *c,
                    char ret[static LOGS_CELL_MAX])
{
    switch (kind) {
    case SHEET_COUNT:
        (void)snprintf(ret, LOGS_CELL_MAX, "%" PRIu64, c->value.count);
        break;
    case SHEET_SHARE:
        (void)snprintf(ret, LOGS_CELL_MAX, "%.2f %%", c->value.number * 100);
        break;
    case SHEET_RATE:
        (void)snprintf(ret, LOGS_CELL_MAX, "%.2f", c->value.number);
        break;
    case SHEET_TIME:
        time_text(c->value.ms, ret);
        break;
    case SHEET_DURATION:
        duration_text(c->value.ms, ret);
        break;
    case SHEET_TEXT:
    case SHEET_SPARK:
    default:
        ret[0] = '\0';
        break;
    }
}

/* The next number of a list; false at its end. */
static bool next_number(struct slice *left, uint64_t *ret)
{
    size_t len = 0;

    *left = slice_trim(*left);
    while (len < left->len && byte_is_digit(left->ptr[len]))
        len++;
    if (len == 0 || slice_to_u64(slice_sub(*left, 0, len), UINT64_MAX, ret) < 0)
        return false;
    *left = slice_from(*left, len);
    return true;
}

size_t logs_spark_count(struct slice numbers)
{
    size_t count = 0;
    uint64_t n;

    while (count < LOGS_SPARK_NUMBERS_MAX && next_number(&numbers, &n))
        count++;
    return count;
}

void logs_spark(struct slice numbers, size_t marks_max, bool is_ascii,
                char ret[static LOGS_SPARK_TEXT_MAX])
{
    static const char *const blocks[SPARK_LEVELS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const ascii[SPARK_LEVELS] = {".", ":", "-", "=", "+", "*", "#", "@"};
    const char *const *levels = is_ascii ? ascii : blocks;
    size_t count = logs_spark_count(numbers), used = 0;
    size_t together =
        count / MAX_OF(marks_max, (size_t)1) + (count % MAX_OF(marks_max, (size_t)1) > 0);
    uint64_t values[LOGS_SPARK_NUMBERS_MAX] = {0}, most = 0, n;

    for (size_t i = 0; i < count && next_number(&numbers, &n); i++) {
        values[i / together] += n;
        most = MAX_OF(most, values[i / together]);
    }
    ret[0] = '\0';
    for (size_t i = 0; i * together < count; i++) {
        /* Of nothing there is a blank, of a little the lowest mark. */
        size_t level = (size_t)((double)values[i] / (double)MAX_OF(most, 1u) * SPARK_LEVELS);
        const char *mark = values[i] == 0 ? " " : levels[MIN_OF(level, SPARK_LEVELS - 1)];
        size_t len = strlen(mark);

        memcpy(ret + used, mark, len + 1);
        used += len;
    }
}

/* ---- for people ---- */

static bool is_number(enum sheet_kind kind)
{
    return kind == SHEET_COUNT || kind == SHEET_SHARE || kind == SHEET_RATE ||
           kind == SHEET_DURATION;
}

static int add_cell(struct table *t, enum sheet_kind kind, const struct sheet_cell *c, size_t width,
                    bool is_ascii)
{
    char text[LOGS_CELL_MAX], spark[LOGS_SPARK_TEXT_MAX];

    if (c->is_empty)
        return table_add(t, SLICE_LIT("-"));
    if (kind == SHEET_TEXT)
        return table_add(t, c->value.text);
    if (kind == SHEET_SPARK) {
        logs_spark(c->value.text, width, is_ascii, spark);
        return table_add(t, slice_str(spark));
    }
    logs_cell_text(kind, c, text);
    return table_add(t, slice_str(text));
}

#define PAGE_ROWS 500

/* As long as its column may be wide, with '~' where it was cut; those of `query` may be out of a log's
 * header. */
static void add_title(struct buf *to, const char *title, size_t width)
{
    size_t last = 0, n = 0;
    struct slice left;

    (void)format_harmless(to, slice_str(title));
    for (left = buf_slice(to); left.len > 0 && n < width; n++) {
        last = buf_len(to) - left.len;
        left = slice_from(left, MAX_OF(utf8_len(left), (size_t)1));
    }
    if (left.len == 0)
        return;
    buf_truncate(to, last);
    (void)buf_push(to, '~');
}

static void print_sheet(const struct log_sheet *s, const struct screen *screen,
                        const struct logs_layout *l, FILE *to)
{
    struct table_column columns[SHEET_COLUMNS_MAX];
    struct buf titles[SHEET_COLUMNS_MAX];
    struct table table;
    int r = 0;

    for (size_t i = 0; i < l->count; i++) {
        const struct sheet_column *column = &s->columns[l->columns[i].at];

        titles[i] = BUF_INIT(KIB(4));
        add_title(&titles[i], column->title, l->columns[i].width);
        columns[i] = (struct table_column){.title = buf_cstr(&titles[i]),
                                           .width_max = l->columns[i].width,
                                           .is_right = is_number(column->kind)};
    }
    table_init(&table, columns, l->count, screen->width, to);
    for (size_t row = 0; r == 0 && row < s->row_count; row++) {
        const struct sheet_cell *cells = &s->cells[row * s->column_count];

        for (size_t i = 0; r == 0 && i < l->count; i++) {
            size_t at = l->columns[i].at;

            r = add_cell(&table, s->columns[at].kind, &cells[at], l->columns[i].width,
                         screen->is_ascii);
        }
        if ((row + 1) % PAGE_ROWS == 0)
            table_flush(&table);
    }
    table_flush(&table);
    table_done(&table);
    for (size_t i = 0; i < l->count; i++)
        buf_done(&titles[i]);
    if (s->row_count == 0)
        fputs("none\n", to);
    if (s->rows_left_out > 0)
        fprintf(to, "... and %" PRIu64 " more row%s\n", s->rows_left_out,
                log_plural(s->rows_left_out));
}

/* Columns that a terminal had no room for, by their titles, each once. */
struct left_out {
    const char *titles[LEFT_OUT_MAX];
    size_t count;
};

static void add_left_out(struct left_out *o, const struct log_sheet *s, const struct logs_layout *l)
{
    for (size_t i = 0; i < s->column_count; i++) {
        bool is_told = !l->is_left_out[i] || o->count == LEFT_OUT_MAX;

        for (size_t k = 0; k < o->count && !is_told; k++)
            is_told = strcmp(o->titles[k], s->columns[i].title) == 0;
        if (!is_told)
            o->titles[o->count++] = s->columns[i].title;
    }
}

static void print_note(struct slice note, const struct screen *screen, FILE *to)
{
    struct buf line = BUF_INIT(KIB(16));

    if (format_harmless(&line, note) == 0)
        screen_wrapped(buf_cstr(&line), screen->width, to);
    fputc('\n', to);
    buf_done(&line);
}

static void print_left_out(const struct left_out *o, const struct screen *screen, FILE *to)
{
    struct buf note = BUF_INIT(KIB(16));

    (void)buf_add_str(&note, o->count == 1 ? "column " : "columns ");
    for (size_t i = 0; i < o->count; i++)
        (void)buf_addf(&note, "%s%s", i ? ", " : "", o->titles[i]);
    (void)buf_addf(&note, " left out: --json has %s, or a wider terminal",
                   o->count == 1 ? "it" : "them");
    if (o->count > 0)
        print_note(buf_slice(&note), screen, to);
    buf_done(&note);
}

void logs_out_text(const struct log_report *r, const struct screen *screen, FILE *to)
{
    struct left_out left_out = {.count = 0};

    for (size_t i = 0; i < r->sheet_count; i++) {
        const struct log_sheet *s = &r->sheets[i];
        struct logs_layout layout;

        if (s->is_for_programs)
            continue;
        if (i > 0)
            fputc('\n', to);
        if (s->title[0])
            fprintf(to, screen->is_colour ? "\033[1m%s\033[0m\n" : "%s\n", s->title);
        logs_layout_make(&layout, s, screen->width);
        print_sheet(s, screen, &layout, to);
        add_left_out(&left_out, s, &layout);
    }
    if (r->note_count > 0 || left_out.count > 0)
        fputc('\n', to);
    print_left_out(&left_out, screen, to);
    for (size_t i = 0; i < r->note_count; i++)
        print_note(r->notes[i], screen, to);
}

void logs_out_notes(const struct log_report *r, FILE *to)
{
    struct buf line = BUF_INIT(KIB(16));

    for (size_t i = 0; i < r->sheet_count; i++)
        if (r->sheets[i].rows_left_out > 0)
            fprintf(to, "%s: %" PRIu64 " more row%s\n", r->sheets[i].name,
                    r->sheets[i].rows_left_out, log_plural(r->sheets[i].rows_left_out));
    for (size_t i = 0; i < r->note_count; i++) {
        buf_clear(&line);
        if (format_harmless(&line, r->notes[i]) == 0)
            fprintf(to, "%s\n", buf_cstr(&line));
    }
    buf_done(&line);
}

/* ---- JSON ---- */

/* What is made is written soon: a million rows need no memory at once. */
static int write_out(struct logs_json *j, size_t at_least)
{
    struct slice s = buf_slice(&j->made);

    if (buf_failed(&j->made))
        return -ENOMEM;
    if (s.len == 0 || s.len < at_least)
        return 0;
    (void)fwrite(s.ptr, 1, s.len, j->to);
    buf_clear(&j->made);
    return ferror(j->to) ? -EIO : 0;
}

static void json_spark(struct json_out *j, const char *key, struct slice numbers)
{
    uint64_t n;

    json_out_array(j, key);
    while (next_number(&numbers, &n))
        json_out_uint(j, NULL, n);
    json_out_array_end(j);
}

static void json_cell(struct json_out *j, const struct sheet_column *column,
                      const struct sheet_cell *c)
{
    if (c->is_empty) {
        json_out_null(j, column->name);
        return;
    }
    switch (column->kind) {
    case SHEET_COUNT:
        json_out_uint(j, column->name, c->value.count);
        break;
    case SHEET_SHARE:
    case SHEET_RATE:
        json_out_real(j, column->name, c->value.number);
        break;
    case SHEET_TIME:
    case SHEET_DURATION:
        json_out_int(j, column->name, c->value.ms);
        break;
    case SHEET_SPARK:
        json_spark(j, column->name, c->value.text);
        break;
    case SHEET_TEXT:
    default:
        if (c->is_number)
            json_out_number(j, column->name, c->value.text);
        else
            json_out_text(j, column->name, c->value.text);
        break;
    }
}

void logs_json_begin(struct logs_json *j, const struct logs_head *head, FILE *to)
{
    *j = (struct logs_json){.made = BUF_INIT(JSON_MAX), .to = to};
    json_out_init(&j->out, &j->made);
    json_out_object(&j->out, NULL);
    json_out_str(&j->out, "report", head->report);
    json_out_str(&j->out, "zone", head->zone);
}

void logs_json_table(struct logs_json *j, const char *name)
{
    json_out_array(&j->out, name);
}

int logs_json_rows(struct logs_json *j, const struct log_sheet *s)
{
    int r = 0;

    for (size_t row = 0; r == 0 && row < s->row_count; row++) {
        json_out_object(&j->out, NULL);
        for (size_t i = 0; r == 0 && i < s->column_count; i++) {
            json_cell(&j->out, &s->columns[i], &s->cells[row * s->column_count + i]);
            r = write_out(j, JSON_FLUSH);
        }
        json_out_object_end(&j->out);
    }
    return r;
}

void logs_json_table_end(struct logs_json *j)
{
    json_out_array_end(&j->out);
}

int logs_json_end(struct logs_json *j, const struct log_report *r)
{
    int error;

    json_out_object(&j->out, "rows_left_out");
    for (size_t i = 0; i < r->sheet_count; i++)
        if (r->sheets[i].rows_left_out > 0)
            json_out_uint(&j->out, r->sheets[i].name, r->sheets[i].rows_left_out);
    json_out_object_end(&j->out);
    json_out_array(&j->out, "notes");
    for (size_t i = 0; i < r->note_count; i++)
        json_out_text(&j->out, NULL, r->notes[i]);
    json_out_array_end(&j->out);
    json_out_object_end(&j->out);
    (void)buf_push(&j->made, '\n');
    error = write_out(j, 0);
    logs_json_done(j);
    return error;
}

void logs_json_done(struct logs_json *j)
{
    buf_done(&j->made);
}

int logs_out_json(const struct log_report *r, const struct logs_head *head, FILE *to)
{
    struct logs_json j;
    int error = 0;

    logs_json_begin(&j, head, to);
    for (size_t i = 0; error == 0 && i < r->sheet_count; i++) {
        logs_json_table(&j, r->sheets[i].name);
        error = logs_json_rows(&j, &r->sheets[i]);
        logs_json_table_end(&j);
    }
    if (error == 0)
        return logs_json_end(&j, r);
    logs_json_done(&j);
    return error;
}

/* ---- CSV ---- */

static void csv_text(struct slice text, FILE *to)
{
    bool is_quoted = false;

    for (size_t i = 0; i < text.len; i++)
        is_quoted |= text.ptr[i] == ',' || text.ptr[i] == '"' || text.ptr[i] < ' ';
    if (!is_quoted) {
        (void)fwrite(text.ptr, 1, text.len, to);
        return;
    }
    fputc('"', to);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            fputc('"', to);
        fputc(text.ptr[i], to);
    }
    fputc('"', to);
}

static void csv_cell(const struct sheet_column *column, const struct sheet_cell *c, FILE *to)
{
    if (c->is_empty)
        return;
    switch (column->kind) {
    case SHEET_COUNT:
        fprintf(to, "%" PRIu64, c->value.count);
        break;
    case SHEET_SHARE:
    case SHEET_RATE:
        fprintf(to, "%.8g", c->value.number);
        break;
    case SHEET_TIME:
    case SHEET_DURATION:
        fprintf(to, "%" PRId64, c->value.ms);
        break;
    case SHEET_TEXT:
    case SHEET_SPARK:
    default:
        csv_text(c->value.text, to);
        break;
    }
}

void logs_csv_names(const struct log_sheet *s, FILE *to)
{
    for (size_t i = 0; i < s->column_count; i++) {
        fputs(i ? "," : "", to);
        csv_text(slice_str(s->columns[i].name), to);
    }
    fputs("\r\n", to);
}

void logs_csv_rows(const struct log_sheet *s, FILE *to)
{
    for (size_t row = 0; row < s->row_count; row++) {
        for (size_t i = 0; i < s->column_count; i++) {
            if (i > 0)
                fputc(',', to);
            csv_cell(&s->columns[i], &s->cells[row * s->column_count + i], to);
        }
        fputs("\r\n", to);
    }
}

int logs_out_csv(const struct log_report *r, const char *table, FILE *to)
{
    const struct log_sheet *s = NULL;

    for (size_t i = 0; !s && i < r->sheet_count; i++)
        if (!table || strcmp(r->sheets[i].name, table) == 0)
            s = &r->sheets[i];
    if (!s)
        return -ENOENT;
    logs_csv_names(s, to);
    logs_csv_rows(s, to);
    return 0;
}
