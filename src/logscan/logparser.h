/*
 * logscan/logparser.h - SQL as operators have it in their notes, the dialect of Log Parser 2.2, to that of
 * SQLite over a table "logs". Pure.
 *
 *     SELECT TOP 5 data, COUNT(*) AS Hits FROM *.log WHERE data LIKE '4%' GROUP BY data
 *  -> SELECT "data" AS "data", COUNT(*) AS "Hits" FROM logs WHERE "data" LIKE '4%' GROUP BY "data" LIMIT 5
 *
 * What follows FROM are files, so "*.log" is no expression. Names may have hyphens, for the dialect has
 * no arithmetic but by functions. An alias stands for its expression wherever it is used, also where
 * SQLite would take a column of that name. [#Fields: date-time] is the column "date-time": what the
 * header's line is called where it is taken for a row of names.
 *
 * A statement FROM logs (or a sub-query, or WITH) is SQLite's own and stays as it is, but that names
 * with hyphens may be written bare.
 *
 * A whole command line is taken as well: logparser "SELECT ..." -i:CSV -nSkipLines:4 -rtp:-1. Options
 * are passed over: formats are found by content.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

#define LOGPARSER_TEXT_MAX KIB(64)
#define LOGPARSER_SQL_MAX MIB(1) /* after aliases are put in */
#define LOGPARSER_ALIASES_MAX 64
#define LOGPARSER_FILES_MAX 1000

struct logparser; /* a statement that was read; opaque */

/* Reads a statement; `text` may go afterwards. 0; -EINVAL with a sentence in `why`: what is wrong, or
 * not taken; -E2BIG: longer than LOGPARSER_TEXT_MAX; -ENOMEM. */
MUST_CHECK int logparser_read(struct logparser **ret, struct slice text, struct buf *why);
void logparser_free(struct logparser **l);

/* Is it Log Parser's (files after FROM)? */
bool logparser_is_dialect(const struct logparser *l);
/* The files that stand after FROM: names, folders, globs. */
size_t logparser_file_count(const struct logparser *l);
const char *logparser_file(const struct logparser *l, size_t i);

/* What the table has: told names with case ignored. */
struct logparser_table {
    bool (*has_column)(void *ctx, struct slice name);
    void *ctx;
};
/* SQLite's SQL. 0; -EINVAL with a sentence; -E2BIG: over LOGPARSER_SQL_MAX; -ENOMEM. */
MUST_CHECK int logparser_translate(const struct logparser *l, const struct logparser_table *table,
                                   struct buf *ret, struct buf *why);

/* Is it an option as Log Parser has them: "-i:CSV", "-nSkipLines:4"? */
bool logparser_is_option(struct slice word);
