/*
 * cli/logs_int.h - what the files of `penstock logs` share.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "cli/options.h"
#include "logscan/report.h"
#include "logscan/run.h"

struct logs_options { /* as typed */
    struct log_run_config run;
    struct log_report_options report;
    const char *report_name, *command;
    const char *since, *until, *zone, *table, *html, *config, *pattern;
    struct option_list own;
    uint64_t limit, year, threads;
    bool json, csv, help;
};

/* The report in the form that was asked for. An EXIT_ code; what is wrong was told. */
int logs_print(const struct log_report *r, const struct logs_options *o);

struct knowledge;
/* `penstock logs query`: o->pattern is the statement. An EXIT_ code. */
int logs_query(struct logs_options *o, const struct knowledge *knowledge);
/* Takes options of Log Parser's ("-i:CSV") out of the words of a query; how many are left. */
int logs_query_words(int argc, char **argv);

/* A line on a terminal's stderr: a bar, the rate and the time left; where nobody knows how much is to
 * be read (a stream, a packed file) the rate. It is erased at the end, and by SIGINT and SIGTERM. */
#define LOGS_PROGRESS_SIGNALS 2
struct logs_progress { /* fields are private */
    uint64_t began_ms, told_ms;
    bool is_on, is_utf8;
    struct sigaction before[LOGS_PROGRESS_SIGNALS];
};
void logs_progress_begin(struct logs_progress *p, struct log_run_config *run);
void logs_progress_end(struct logs_progress *p);

struct logs_progress_figures {
    uint64_t bytes, total, rows, took_ms; /* total 0: not known */
};
/* Appends the line, less than `width` columns of it. The bar is of blocks or of ASCII. */
void logs_progress_line(struct buf *to, const struct logs_progress_figures *f, size_t width,
                        bool is_utf8);
