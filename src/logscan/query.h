/*
 * logscan/query.h - SQL over logs: the rows of all files as a table "logs", for SQLite to ask.
 *
 * The table has a column for each field of the files' formats, and some that are made of the row, which
 * "*" leaves out: code, enhanced, class, provider, day, time, format, file, line. A field of a format that
 * has one of these names is "log_code" and so on; where it is "time", "*" shows it. The statement is SQLite's,
 * or Log Parser's with the files after FROM (logparser.h). It can read that table and nothing else.
 *
 * Rows are read on all cores, in threads of their own; those that comparisons of columns with texts rule
 * out do not get to SQLite. A statement that reads the table more than once reads the files as often.
 */
#pragma once

#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "evidence/knowledge.h"
#include "logscan/run.h"
#include "logscan/sheet.h"

#define QUERY_SCANS_MAX 64              /* of a statement: readings of all files */
#define QUERY_VALUE_MAX MIB(16)         /* bytes of a value; a field of a log has less */
#define QUERY_RESULT_BYTES_MAX MIB(512) /* of rows that are kept, with SHEET_ROWS_MAX of them */

/* Takes the rows as they come: none is kept. 0, or -errno, which ends the statement. */
struct query_sink {
    int (*begin)(void *ctx, const struct log_sheet *sheet); /* its columns */
    int (*row)(void *ctx, const struct log_sheet *sheet);   /* has one row */
    void *ctx;
};

struct query_asked {
    struct slice sql;
    /* Of which paths are the arguments; none where the statement names files. `wants` is not read. */
    const struct log_run_config *run;
    const struct knowledge *knowledge; /* for class and provider; NULL: they are NULL */
    size_t rows_max;                   /* of the result; 0: as many as may be kept */
    const struct query_sink *sink;     /* NULL: rows are kept in the report */
};
struct query_statistics {
    uint64_t processed; /* rows read */
    uint64_t output;    /* rows of the result */
    uint64_t ms;
    size_t bad_files; /* could not be read, or are of no known format */
};

/*
 * The result as a table "rows" (empty where a sink takes them), and sentences on what was read. 0; -EINVAL with a
 * sentence in `why`: the statement is wrong; -ENOENT; -errno of reading; -ENOMEM; what the sink says.
 */
MUST_CHECK int log_query(const struct query_asked *asked, struct log_report *to,
                         struct query_statistics *ret, struct buf *why);
