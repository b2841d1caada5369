/*
 * logscan/query_int.h - what query.c and query_table.c share.
 */
#pragma once

#include <sqlite3.h>

#include "base/base.h"
#include "logscan/query.h"
#include "logscan/query_rows.h"

struct query {
    struct log_run_config run;
    const struct knowledge *knowledge;
    struct query_column columns[QUERY_COLUMNS_MAX];
    size_t column_count;
    struct arena names;
    unsigned scans;
    uint64_t rows;            /* of the longest scan */
    struct log_run *last_run; /* of the last scan that ended; NULL: there was none */
    struct buf why;           /* of a scan that failed */
    int error;
};

/* The table as a module, an SQLite code. `q` outlives the connection. */
MUST_CHECK int query_table_add(sqlite3 *db, struct query *q);
