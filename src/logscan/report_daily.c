/*
 * logscan/report_daily.c - replies by day or hour, and the days that are out of line with the rest.
 *
 * A day is out of line where its count is more than OUT_OF_LINE spreads from the median of all, the spread being
 * the median distance from it (as a standard deviation), at least what chance gives a count of that
 * size. Days between the first and the last without a reply count as zeros.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "logscan/reply_form.h"
#include "logscan/report_kit.h"
#include "logscan/reports.h"
#include "logscan/stamp.h"

#define DAY_MS (INT64_C(86400) * 1000)
#define HOUR_MS (INT64_C(3600) * 1000)
#define SLOTS 24      /* of a row's spark line */
#define ROWS_MAX 4000 /* with the empty ones between: of more, only those with replies are rows */
#define SPARK_ROWS_MAX 400 /* of a status' spark line */
#define STATUSES_SHOWN 30
#define OUT_OF_LINE 3.5         /* Iglewicz and Hoaglin, How to detect and handle outliers, 1993 */
#define SPREAD_OF_MEDIAN 1.4826 /* from a median distance to a standard deviation */
#define ROWS_LEAST 5            /* fewer have no rest to be compared with */

struct row {
    int64_t index;      /* days or hours since 1970, local time */
    uint64_t digits[6]; /* by first digit; 0: no reply */
    uint64_t slots[SLOTS];
};

struct cell { /* of a row and a status */
    int64_t index;
    uint16_t code;
    char status[REPLY_FORM_STATUS_MAX];
    uint64_t count;
};

struct daily {
    const struct log_report_options *options;
    unsigned classes;
    int64_t unit_ms;
    struct log_table rows, cells, statuses;
    struct row *last; /* the row of the last fact: replies come in order of time, mostly */
};

static unsigned wants(const struct log_report_options *o)
{
    return log_classes_wants(o);
}

static void free_daily(void **state)
{
    struct daily *d = *state;

    if (!d)
        return;
    log_table_done(&d->rows);
    log_table_done(&d->cells);
    log_table_done(&d->statuses);
    free(d);
    *state = NULL;
}

static int create(void **ret, const struct log_report_options *o, int64_t unit_ms)
{
    struct daily *d = calloc(1, sizeof(*d));

    *ret = d;
    if (!d)
        return -ENOMEM;
    d->options = o;
    d->classes = log_classes_asked(o);
    d->unit_ms = unit_ms;
    log_table_init(&d->rows, sizeof(struct row), o->seed);
    log_table_init(&d->cells, sizeof(struct cell), o->seed);
    log_table_init(&d->statuses, sizeof(struct cell), o->seed);
    return 0;
}

static int create_daily(void **ret, const struct log_report_options *o, struct buf *why)
{
    (void)why;
    return create(ret, o, DAY_MS);
}

static int create_hourly(void **ret, const struct log_report_options *o, struct buf *why)
{
    (void)why;
    return create(ret, o, HOUR_MS);
}

/* ---- counting ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static struct row *row_of(struct daily *d, int64_t index)
{
    if (!d->last || d->last->index != index) {
        d->last = log_table_add(&d->rows, slice_make(&index, sizeof(index)));
        if (d->last)
            d->last->index = index;
    }
    return d->last;
}

static int count_cell(struct log_table *t, struct slice key, int64_t index,
                      const struct log_reply *reply)
{
    struct cell *c = log_table_add(t, key);

    if (!c)
        return -ENOMEM;
    if (c->count++ == 0) {
        c->index = index;
        c->code = reply->code;
        (void)reply_form_status(reply, c->status);
    }
    return 0;
}

static int take(struct daily *d, const struct log_fact *f)
{
    int64_t local_ms = f->at_ms + stamp_zone_offset_ms(f->at_ms);
    int64_t index = floor_div(local_ms, d->unit_ms);
    unsigned digit = log_fact_digit(f);
    char key[sizeof(index) + REPLY_FORM_STATUS_MAX];
    struct row *row;
    size_t len;
    int r;

    if (digit > 0 && !(d->classes >> digit & 1))
        return 0;
    row = row_of(d, index);
    if (!row)
        return -ENOMEM;
    row->digits[digit]++;
    row->slots[(local_ms - index * d->unit_ms) * SLOTS / d->unit_ms]++;
    if (f->reply.code == 0)
        return 0;
    memcpy(key, &index, sizeof(index));
    len = strlen(reply_form_status(&f->reply, key + sizeof(index)));
    r = count_cell(&d->cells, slice_make(key, sizeof(index) + len), index, &f->reply);
    return r < 0 ? r : count_cell(&d->statuses, slice_make(key + sizeof(index), len), 0, &f->reply);
}

static int facts(void *state, const struct log_scan *scan)
{
    struct daily *d = state;
    int r = 0;

    for (size_t i = 0; r == 0 && i < scan->fact_count; i++) {
        const struct log_fact *f = &scan->facts[i];

        if (f->kind == FACT_REPLY && !f->is_other_host && log_report_is_in(d->options, f))
            r = take(d, f);
    }
    return r;
}

/* ---- rows in order, with the empty ones between ---- */

struct rows {
    struct row *items;
    size_t count;
};

static int compare_rows(const void *x, const void *y)
{
    const struct row *a = x, *b = y;

    return a->index < b->index ? -1 : a->index > b->index;
}

static int collect(const struct daily *d, struct rows *ret)
{
    size_t n = log_table_count(&d->rows), count = 0;
    struct row *found = calloc(n + 1, sizeof(*found));
    int64_t span;

    *ret = (struct rows){.items = found, .count = n};
    if (!found)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct slice key;

        found[i] = *(const struct row *)log_table_at(&d->rows, i, &key);
    }
    qsort(found, n, sizeof(*found), compare_rows);
    span = n > 0 ? found[n - 1].index - found[0].index + 1 : 0;
    if (span > ROWS_MAX || (size_t)span == n)
        return 0;
    ret->items = calloc((size_t)span, sizeof(*ret->items));
    if (ret->items) {
        ret->count = (size_t)span;
        for (size_t i = 0; i < ret->count; i++)
            ret->items[i].index = found[0].index + (int64_t)i;
        for (; count < n; count++)
            ret->items[found[count].index - found[0].index] = found[count];
    }
    free(found);
    return ret->items ? 0 : -ENOMEM;
}

static uint64_t total_of(const struct row *row)
{
    uint64_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(row->digits); i++)
        n += row->digits[i];
    return n;
}

/* ---- out of line ---- */

struct usual {
    double median, spread;
    bool is_known;
};

static int compare_doubles(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;

    return a < b ? -1 : a > b;
}

static double median_of(double *values, size_t n)
{
    qsort(values, n, sizeof(*values), compare_doubles);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* What is usual of these counts. Reorders them. */
static struct usual find_usual(double *values, size_t n)
{
    struct usual u = {0};

    if (n < ROWS_LEAST)
        return u;
    u.median = median_of(values, n);
    for (size_t i = 0; i < n; i++)
        values[i] = fabs(values[i] - u.median);
    u.spread = median_of(values, n) * SPREAD_OF_MEDIAN;
    u.spread = MAX_OF(u.spread, sqrt(MAX_OF(u.median, 1.0)));
    u.is_known = true;
    return u;
}

static void mark(struct log_sheet *sheet, struct sheet_cell *c, const struct usual *u, uint64_t n)
{
    char text[64];
    double off = (double)n - u->median;

    if (!u->is_known || fabs(off) <= OUT_OF_LINE * u->spread)
        return;
    if (u->median > 0)
        (void)snprintf(text, sizeof(text), "%s %.1f x the usual %.0f",
                       off > 0 ? "high:" : "low:", (double)n / u->median, u->median);
    else
        (void)snprintf(text, sizeof(text), "high: usually none");
    sheet_text(sheet, c, slice_str(text));
}

/* ---- tables ---- */

#define LABEL_MAX 32

static struct slice label(const struct daily *d, int64_t index, char ret[static LABEL_MAX])
{
    time_t local_s = (time_t)(index * (d->unit_ms / 1000));
    struct tm tm;
    size_t n = 0;

    if (gmtime_r(&local_s, &tm))
        n = strftime(ret, LABEL_MAX, d->unit_ms == DAY_MS ? "%Y-%m-%d" : "%Y-%m-%d %H:00", &tm);
    return slice_make(ret, n);
}

static void spark(struct log_sheet *sheet, struct sheet_cell *c, const uint64_t *values, size_t n)
{
    struct buf text = BUF_INIT(KIB(16));

    for (size_t i = 0; i < n; i++)
        (void)buf_addf(&text, "%s%llu", i ? " " : "", (unsigned long long)values[i]);
    sheet_text(sheet, c, buf_slice(&text));
    buf_done(&text);
}

#define UNIT_COLUMNS(name, title, parts_name, parts_title)                                         \
    {name, title, SHEET_TEXT}, {"replies", "REPLIES", SHEET_COUNT},                                \
        {"accepted", "2xx,3xx", SHEET_COUNT, 3}, {"temporary", "4xx", SHEET_COUNT},                \
        {"permanent", "5xx", SHEET_COUNT}, {"without_reply", "NO REPLY", SHEET_COUNT, 2},          \
        {parts_name, parts_title, SHEET_SPARK},                                                    \
    {                                                                                              \
        "out_of_line", "OUT OF LINE", SHEET_TEXT                                                   \
    }

static int rows_sheet(const struct daily *d, const struct rows *rows, struct log_report *to)
{
    static const struct sheet_column daily[] = {UNIT_COLUMNS("day", "DAY", "by_hour", "0h TO 23h")};
    static const struct sheet_column hourly[] = {
        UNIT_COLUMNS("hour", "HOUR", "by_150s", ":00 TO :59")};
    bool is_daily = d->unit_ms == DAY_MS;
    struct log_sheet *sheet = log_report_sheet(to, is_daily ? "days" : "hours",
                                               is_daily ? "Replies by day" : "Replies by hour",
                                               is_daily ? daily : hourly, ARRAY_SIZE(daily));
    double *values = calloc(rows->count + 1, sizeof(*values));
    struct usual usual;

    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < rows->count; i++)
        values[i] = (double)total_of(&rows->items[i]);
    usual = find_usual(values, rows->count);
    free(values);
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->items[i];
        uint64_t total = total_of(row);
        struct sheet_cell *c = sheet_row(sheet);
        char text[LABEL_MAX];

        if (!c)
            break;
        sheet_text(sheet, c++, label(d, row->index, text));
        sheet_count(c++, total - row->digits[0]);
        c = log_counted(c, d->classes & LOG_CLASSES_ACCEPTED, row->digits[2] + row->digits[3]);
        c = log_counted(c, d->classes & 0x10u, row->digits[4]);
        c = log_counted(c, d->classes & 0x20u, row->digits[5]);
        sheet_count(c++, row->digits[0]);
        spark(sheet, c++, row->slots, SLOTS);
        mark(sheet, c, &usual, total);
    }
    if (d->options->rows_max)
        sheet_limit(sheet, d->options->rows_max);
    return 0;
}

static uint64_t count_of(const void *value)
{
    return ((const struct cell *)value)->count;
}

static uint64_t count_on(const struct daily *d, int64_t index, struct slice status)
{
    char key[sizeof(index) + REPLY_FORM_STATUS_MAX];
    const struct cell *c;

    memcpy(key, &index, sizeof(index));
    memcpy(key + sizeof(index), status.ptr, status.len);
    c = log_table_find(&d->cells, slice_make(key, sizeof(index) + status.len));
    return c ? c->count : 0;
}

struct over_time {
    const struct daily *daily;
    const struct rows *rows;
};

static int fill_status(const void *ctx, struct log_sheet *sheet, struct sheet_cell *c,
                       const struct log_rank_item *item)
{
    const struct daily *d = ((const struct over_time *)ctx)->daily;
    const struct rows *rows = ((const struct over_time *)ctx)->rows;
    const struct cell *cell = item->value;
    uint64_t values[SPARK_ROWS_MAX] = {0}, most = 0;
    double usual[SPARK_ROWS_MAX];
    size_t shown = MIN_OF(rows->count, (size_t)SPARK_ROWS_MAX), peak = 0;
    struct usual peak_usual;
    char text[LABEL_MAX];

    for (size_t i = 0; i < rows->count; i++) {
        uint64_t n = count_on(d, rows->items[i].index, item->key);

        if (i < shown) {
            values[i] = n;
            usual[i] = (double)n;
        }
        if (n > most) {
            most = n;
            peak = i;
        }
    }
    c = log_status_cells(sheet, c, cell->code, cell->status);
    sheet_count(c++, cell->count);
    sheet_text(sheet, c++, label(d, rows->items[peak].index, text));
    sheet_count(c++, most);
    spark(sheet, c++, values, shown);
    peak_usual = find_usual(usual, shown);
    mark(sheet, c, &peak_usual, most);
    return 0;
}

static int statuses_sheet(const struct daily *d, const struct rows *rows, struct log_report *to)
{
    static const struct sheet_column columns[] = {LOG_STATUS_COLUMNS,
                                                  {"hits", "HITS", SHEET_COUNT},
                                                  {"peak", "PEAK", SHEET_TEXT},
                                                  {"peak_hits", "HITS THEN", SHEET_COUNT, 2},
                                                  {"over_time", "OVER TIME", SHEET_SPARK},
                                                  {"out_of_line", "PEAK OUT OF LINE", SHEET_TEXT}};
    const struct over_time ctx = {d, rows};
    const struct log_ranked how = {.order = count_of,
                                   .fill = fill_status,
                                   .ctx = &ctx,
                                   .rows_max = log_rows_max(d->options, STATUSES_SHOWN)};

    return log_ranked_rows(
        log_report_sheet(to, "by_status", "Each status over time", columns, ARRAY_SIZE(columns)),
        &d->statuses, &how);
}

/* Every number of it, for programs. */
static int cells_sheet(const struct daily *d, const struct rows *rows, struct log_report *to)
{
    static const struct sheet_column columns[] = {
        {"when", "WHEN", SHEET_TEXT}, LOG_STATUS_COLUMNS, {"hits", "HITS", SHEET_COUNT}};
    struct log_sheet *sheet = log_report_sheet(to, "by_time_and_status", "By time and status",
                                               columns, ARRAY_SIZE(columns));
    struct log_ranking rank;
    int r = log_rank(&rank, &d->statuses, count_of);

    sheet->is_for_programs = true;
    for (size_t row = 0; r == 0 && row < rows->count; row++) {
        for (size_t i = 0; i < rank.count; i++) {
            const struct cell *cell = rank.items[i].value;
            uint64_t n = count_on(d, rows->items[row].index, rank.items[i].key);
            char text[LABEL_MAX];
            struct sheet_cell *c = n > 0 ? sheet_row(sheet) : NULL;

            if (!c)
                continue;
            sheet_text(sheet, c++, label(d, rows->items[row].index, text));
            c = log_status_cells(sheet, c, cell->code, cell->status);
            sheet_count(c, n);
        }
    }
    log_rank_done(&rank);
    return r;
}

static int finish(void *state, struct log_report *to)
{
    const struct daily *d = state;
    struct rows rows;
    int r = collect(d, &rows);

    if (r == 0)
        r = rows_sheet(d, &rows, to);
    if (r == 0)
        r = statuses_sheet(d, &rows, to);
    if (r == 0)
        r = cells_sheet(d, &rows, to);
    free(rows.items);
    return r;
}

const struct log_report_kind daily_report = {
    .name = "daily",
    .what = "replies by day and status; days out of line are marked",
    .wants = wants,
    .create = create_daily,
    .facts = facts,
    .finish = finish,
    .free = free_daily,
};

const struct log_report_kind hourly_report = {
    .name = "hourly",
    .what = "the same by hour",
    .wants = wants,
    .create = create_hourly,
    .facts = facts,
    .finish = finish,
    .free = free_daily,
};
