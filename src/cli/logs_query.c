/*
 * cli/logs_query.c - `penstock logs query`: any SQL over logs, Log Parser's too.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/cli.h"
#include "cli/logs_int.h"
#include "cli/logs_out.h"
#include "logscan/logparser.h"
#include "logscan/query.h"
#include "logscan/stamp.h"

int logs_query_words(int argc, char **argv)
{
    bool is_query = false;
    int kept = 0;

    for (int i = 0; i < argc; i++) {
        is_query |= strcmp(argv[i], "query") == 0;
        if (!is_query || !logparser_is_option(slice_str(argv[i])))
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    return kept;
}

/* As Log Parser ends what it prints. */
static void print_statistics(const struct query_statistics *s)
{
    printf("\nStatistics:\n-----------\nElements processed: %" PRIu64
           "\nElements output:    %" PRIu64 "\nExecution time:     %.2f seconds\n",
           s->processed, s->output, (double)s->ms / 1000);
}

static int add_statistics(struct log_report *r, const struct query_statistics *s)
{
    static const struct sheet_column columns[] = {
        {"elements_processed", "PROCESSED", SHEET_COUNT},
        {"elements_output", "OUTPUT", SHEET_COUNT},
        {"execution_ms", "TIME", SHEET_COUNT},
    };
    struct log_sheet *sheet =
        log_report_sheet(r, "statistics", "Statistics", columns, ARRAY_SIZE(columns));
    struct sheet_cell *cells = sheet ? sheet_row(sheet) : NULL;

    if (!cells)
        return -ENOMEM;
    sheet->is_for_programs = true;
    sheet_count(&cells[0], s->processed);
    sheet_count(&cells[1], s->output);
    sheet_count(&cells[2], s->ms);
    return 0;
}

/* ---- rows as they come ---- */

struct stream {
    struct logs_json json;
    struct logs_head head;
    bool is_json, has_begun;
};

static int begin_rows(void *ctx, const struct log_sheet *sheet)
{
    struct stream *s = ctx;

    s->has_begun = true;
    if (!s->is_json) {
        logs_csv_names(sheet, stdout);
        return 0;
    }
    logs_json_begin(&s->json, &s->head, stdout);
    logs_json_table(&s->json, sheet->name);
    return 0;
}

static int take_row(void *ctx, const struct log_sheet *sheet)
{
    struct stream *s = ctx;

    if (s->is_json)
        return logs_json_rows(&s->json, sheet);
    logs_csv_rows(sheet, stdout);
    return ferror(stdout) ? -EIO : 0;
}

/* What follows the rows. */
static int end_rows(struct stream *s, const struct log_report *report)
{
    int r = 0;

    if (!s->is_json) {
        logs_out_notes(report, stderr);
        return 0;
    }
    logs_json_table_end(&s->json);
    for (size_t i = 1; r == 0 && i < report->sheet_count; i++) { /* the first is that of the rows */
        logs_json_table(&s->json, report->sheets[i].name);
        r = logs_json_rows(&s->json, &report->sheets[i]);
        logs_json_table_end(&s->json);
    }
    if (r == 0)
        return logs_json_end(&s->json, report);
    logs_json_done(&s->json);
    return r;
}

/* A page and a table of text need all rows at once. */
static bool can_stream(const struct logs_options *o)
{
    return !o->html && (o->json || (o->csv && (!o->table || strcmp(o->table, "rows") == 0)));
}

/* ---- a query ---- */

static int tell_error(int error, struct buf *why)
{
    return command_error("logs", "query: %s", buf_len(why) > 0 ? buf_cstr(why) : err_str(error));
}

static int show(struct logs_options *o, struct stream *s, struct log_report *report,
                const struct query_statistics *statistics)
{
    int r;

    if (!s->has_begun)
        r = logs_print(report, o);
    else
        r = end_rows(s, report) < 0 ? EXIT_FAILED : EXIT_DONE; /* main() tells of stdout */
    if (r == EXIT_DONE && !o->json && !o->csv)
        print_statistics(statistics);
    return r == EXIT_DONE && statistics->bad_files > 0 ? EXIT_FAILED : r;
}

static int ask(struct logs_options *o, const struct knowledge *knowledge, struct log_report *report)
{
    struct stream stream = {.head = {.report = o->report_name, .zone = stamp_zone_name()},
                            .is_json = o->json};
    const struct query_sink sink = {.begin = begin_rows, .row = take_row, .ctx = &stream};
    struct query_asked asked = {.sql = slice_str(o->pattern),
                                .run = &o->run,
                                .knowledge = knowledge,
                                .rows_max = o->limit == 0 ? 0 : o->report.rows_max,
                                .sink = can_stream(o) ? &sink : NULL};
    /* Rows and the bar would be in each other's way on one terminal. */
    bool has_bar = !asked.sink || isatty(STDOUT_FILENO) != 1;
    struct buf why = BUF_INIT(KIB(16));
    struct query_statistics statistics;
    struct logs_progress progress;
    int r;

    if (has_bar)
        logs_progress_begin(&progress, &o->run);
    r = log_query(&asked, report, &statistics, &why);
    if (has_bar)
        logs_progress_end(&progress);
    if (r == 0)
        r = add_statistics(report, &statistics);
    if (r == 0) {
        r = show(o, &stream, report, &statistics);
    } else {
        if (stream.has_begun && stream.is_json)
            logs_json_done(&stream.json);
        r = tell_error(r, &why);
    }
    buf_done(&why);
    return r;
}

int logs_query(struct logs_options *o, const struct knowledge *knowledge)
{
    struct log_report *report;
    int r;

    if (o->since || o->until)
        return usage_error("logs", "query: --since and --until are for reports; the statement has "
                                   "WHERE time >= '2026-03-01'");
    report = calloc(1, sizeof(*report));
    r = report ? ask(o, knowledge, report) : command_error("logs", "%s", err_str(-ENOMEM));
    if (report)
        log_report_done(report);
    free(report);
    return r;
}
