/*
 * cli/logs_query.c - `penstock logs query`: any SQL over logs, Log Parser's too.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "cli/logs_int.h"
#include "logscan/logparser.h"
#include "logscan/query.h"

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

static int ask(struct logs_options *o, const struct knowledge *knowledge, struct log_report *report)
{
    struct query_asked asked = {.sql = slice_str(o->pattern),
                                .run = &o->run,
                                .knowledge = knowledge,
                                .rows_max = o->report.rows_max};
    struct buf why = BUF_INIT(KIB(16));
    struct query_statistics statistics;
    struct logs_progress progress;
    int r;

    logs_progress_begin(&progress, &o->run);
    r = log_query(&asked, report, &statistics, &why);
    logs_progress_end(&progress);
    if (r == 0)
        r = add_statistics(report, &statistics);
    if (r < 0)
        r = command_error("logs", "query: %s", buf_len(&why) > 0 ? buf_cstr(&why) : err_str(r));
    else
        r = logs_print(report, o);
    if (r == EXIT_DONE && !o->json && !o->csv)
        print_statistics(&statistics);
    if (r == EXIT_DONE && statistics.bad_files > 0)
        r = EXIT_FAILED;
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
