/*
 * cli/logs_out.h - a report about logs (logscan/sheet.h) as text, JSON, CSV and HTML.
 *
 * Text from logs is hostile: for a terminal it is made harmless, in HTML and JSON it is escaped.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/base.h"
#include "base/buf.h"
#include "cli/screen.h"
#include "control/json_out.h"
#include "logscan/sheet.h"

struct logs_head {      /* what the report is about */
    const char *report; /* "status" */
    const char *zone;
    const char *command; /* as typed, for the HTML page */
};

void logs_out_text(const struct log_report *r, const struct screen *screen, FILE *to);
/* One object: "report", "zone", a member a table ("by_provider": [{...}]), "notes". Times in
 * milliseconds. 0, -ENOMEM. */
MUST_CHECK int logs_out_json(const struct log_report *r, const struct logs_head *head, FILE *to);
/* What the report has to say beside its tables, a line each: rows that were left out, notes. */
void logs_out_notes(const struct log_report *r, FILE *to);
/* One of its tables with a line of names (RFC 4180); `table` NULL: the first. 0; -ENOENT: it has no such
 * table. */
MUST_CHECK int logs_out_csv(const struct log_report *r, const char *table, FILE *to);

/*
 * The same piece by piece, for rows that nobody keeps: begin, then for each table its name, rows as often as there
 * are some, its end; then the rest of the report, or done() where that is not to be written. A value in a fixed
 * place. Errors: -ENOMEM, -EIO.
 */
struct logs_json { /* fields are private */
    struct json_out out;
    struct buf made;
    FILE *to;
};
void logs_json_begin(struct logs_json *j, const struct logs_head *head, FILE *to);
void logs_json_table(struct logs_json *j, const char *name);
MUST_CHECK int logs_json_rows(struct logs_json *j, const struct log_sheet *s);
void logs_json_table_end(struct logs_json *j);
MUST_CHECK int logs_json_end(struct logs_json *j, const struct log_report *r);
void logs_json_done(struct logs_json *j);
void logs_csv_names(const struct log_sheet *s, FILE *to);
void logs_csv_rows(const struct log_sheet *s, FILE *to);

/* A page that needs nothing else: a table and, where there are numbers to compare, a plot each. */
MUST_CHECK int logs_out_html(const struct log_report *r, const struct logs_head *head, FILE *to);

#define LOGS_CELL_MAX 64
/* A cell that is no text, for people: "96.93 %", "2026-03-01 06:50:41", "1.2s". */
void logs_cell_text(enum sheet_kind kind, const struct sheet_cell *c,
                    char ret[static LOGS_CELL_MAX]);
#define LOGS_SPARK_NUMBERS_MAX 512
#define LOGS_SPARK_TEXT_MAX (LOGS_SPARK_NUMBERS_MAX * 3 + 1)
/* "1 5 3" as "▁█▄", UTF-8, or as ".@+"; of more than `marks_max` numbers neighbours are added up. */
void logs_spark(struct slice numbers, size_t marks_max, bool is_ascii,
                char ret[static LOGS_SPARK_TEXT_MAX]);
size_t logs_spark_count(struct slice numbers);
