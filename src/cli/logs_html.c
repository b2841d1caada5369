/*
 * cli/logs_html.c - a report as one page: style and plots are in it, nothing is loaded.
 *
 * The plot of a table is of its first column of numbers: bars for at most BARS_MAX rows, in the order of
 * the rows, so that days and hours are a time line and the rest are the largest first.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/logs_out.h"

#define BARS_MAX 200
#define BARS_LEAST 2
#define PLOT_WIDTH 960.0
#define PLOT_HEIGHT 160.0
#define ROWS_MAX 2000 /* of a table in the page; more are counted */

static const char page_head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n"
    "body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;"
    "color:#1b1f24;background:#fff}\n"
    "h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}code{background:#f1f3f5;padding:.1em "
    ".3em}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\n"
    "th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid "
    "#e3e6ea;vertical-align:top}\n"
    "th{position:sticky;top:0;background:#fff}.n{text-align:right;white-space:nowrap}\n"
    "svg{width:100%;height:auto;background:#f8f9fa}rect{fill:#2f6fab}rect:hover{fill:#d9480f}\n"
    ".note{color:#495057}td{overflow-wrap:anywhere}\n"
    "@media(prefers-color-scheme:dark){body,th{background:#15181c;color:#dde1e6}"
    "svg,code{background:#1f242a}th,td{border-color:#30363d}.note{color:#9aa4ae}}\n"
    "</style>\n";

static void escaped(struct slice text, FILE *to)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '<')
            fputs("&lt;", to);
        else if (c == '>')
            fputs("&gt;", to);
        else if (c == '&')
            fputs("&amp;", to);
        else if (c == '"')
            fputs("&quot;", to);
        else
            fputc(c < ' ' || c == 127 ? ' ' : c, to);
    }
}

/* What is no UTF-8 is replaced before. */
static void text_cell(struct slice text, FILE *to)
{
    struct buf clean = BUF_INIT(MIB(4));

    if (format_harmless(&clean, text) == 0)
        escaped(buf_slice(&clean), to);
    buf_done(&clean);
}

static void cell(enum sheet_kind kind, const struct sheet_cell *c, FILE *to)
{
    char text[LOGS_CELL_MAX], spark[LOGS_SPARK_TEXT_MAX];

    if (c->is_empty) {
        fputs("-", to);
    } else if (kind == SHEET_TEXT) {
        text_cell(c->value.text, to);
    } else if (kind == SHEET_SPARK) {
        logs_spark(c->value.text, SIZE_MAX, false, spark);
        fputs(spark, to);
    } else {
        logs_cell_text(kind, c, text);
        fputs(text, to);
    }
}

static bool is_number(enum sheet_kind kind)
{
    return kind != SHEET_TEXT && kind != SHEET_SPARK && kind != SHEET_TIME;
}

static void table(const struct log_sheet *s, FILE *to)
{
    size_t rows = MIN_OF(s->row_count, (size_t)ROWS_MAX);
    uint64_t left_out = s->row_count - rows + s->rows_left_out;

    fputs("<table><thead><tr>", to);
    for (size_t i = 0; i < s->column_count; i++) {
        if (!s->columns[i].title)
            continue;
        fputs(is_number(s->columns[i].kind) ? "<th class=\"n\">" : "<th>", to);
        escaped(slice_str(s->columns[i].title), to);
        fputs("</th>", to);
    }
    fputs("</tr></thead><tbody>\n", to);
    for (size_t row = 0; row < rows; row++) {
        fputs("<tr>", to);
        for (size_t i = 0; i < s->column_count; i++) {
            if (!s->columns[i].title)
                continue;
            fputs(is_number(s->columns[i].kind) ? "<td class=\"n\">" : "<td>", to);
            cell(s->columns[i].kind, &s->cells[row * s->column_count + i], to);
            fputs("</td>", to);
        }
        fputs("</tr>\n", to);
    }
    fputs("</tbody></table>\n", to);
    if (left_out > 0)
        fprintf(to, "<p class=\"note\">... and %" PRIu64 " more row%s</p>\n", left_out,
                log_plural(left_out));
}

/* ---- plots ---- */

static double value_of(enum sheet_kind kind, const struct sheet_cell *c)
{
    if (c->is_empty)
        return 0;
    if (kind == SHEET_COUNT)
        return (double)c->value.count;
    if (kind == SHEET_DURATION)
        return (double)c->value.ms;
    return c->value.number;
}

static bool find_numbers(const struct log_sheet *s, size_t *ret)
{
    for (size_t i = 0; i < s->column_count; i++) {
        if (is_number(s->columns[i].kind) && s->columns[i].title) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static void bar(const struct log_sheet *s, size_t row, size_t column, double most, double width,
                FILE *to)
{
    const struct sheet_cell *cells = &s->cells[row * s->column_count];
    double height = value_of(s->columns[column].kind, &cells[column]) / most * (PLOT_HEIGHT - 10);

    fprintf(to, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>",
            (double)row * width, PLOT_HEIGHT - height, MAX_OF(width - 1, 1.0), height);
    cell(s->columns[0].kind, &cells[0], to);
    fputs(": ", to);
    cell(s->columns[column].kind, &cells[column], to);
    fputs("</title></rect>\n", to);
}

static void plot(const struct log_sheet *s, FILE *to)
{
    size_t rows = MIN_OF(s->row_count, (size_t)BARS_MAX), column;
    double most = 0;

    if (rows < BARS_LEAST || !find_numbers(s, &column))
        return;
    for (size_t row = 0; row < rows; row++)
        most = MAX_OF(most,
                      value_of(s->columns[column].kind, &s->cells[row * s->column_count + column]));
    if (most <= 0)
        return;
    fprintf(to, "<figure><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n", PLOT_WIDTH, PLOT_HEIGHT);
    for (size_t row = 0; row < rows; row++)
        bar(s, row, column, most, PLOT_WIDTH / (double)rows, to);
    fputs("</svg><figcaption class=\"note\">", to);
    escaped(slice_str(s->columns[column].title), to);
    fputs("</figcaption></figure>\n", to);
}

int logs_out_html(const struct log_report *r, const struct logs_head *head, FILE *to)
{
    fputs(page_head, to);
    fprintf(to,
            "<title>penstock logs %s</title></head><body>\n<h1>penstock logs %s</h1>\n<p><code>",
            head->report, head->report);
    text_cell(slice_str(head->command), to);
    fputs("</code></p>\n", to);
    for (size_t i = 0; i < r->sheet_count; i++) {
        if (r->sheets[i].is_for_programs)
            continue;
        fputs("<h2>", to);
        escaped(slice_str(r->sheets[i].title), to);
        fputs("</h2>\n", to);
        plot(&r->sheets[i], to);
        table(&r->sheets[i], to);
    }
    for (size_t i = 0; i < r->note_count; i++) {
        fputs("<p class=\"note\">", to);
        text_cell(r->notes[i], to);
        fputs("</p>\n", to);
    }
    fputs("</body></html>\n", to);
    return ferror(to) ? -EIO : 0;
}
