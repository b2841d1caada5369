/*
 * logscan/query_rows.h - the rows of a chunk that a query asks for, as values of the columns it reads.
 *
 * In logs whose rows begin with a digit (Exchange) rows are looked for by bytes of a condition and only
 * those are split; all are counted. In others each row is split.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "evidence/knowledge.h"
#include "logscan/arena.h"
#include "logscan/query_cell.h"
#include "logscan/query_filter.h"
#include "logscan/query_sessions.h"
#include "logscan/scan.h"

/* Columns of the table. All but fields are made of the row. */
enum query_kind {
    QUERY_FIELD,
    QUERY_CODE,     /* of the row's reply; NULL: it has none */
    QUERY_ENHANCED, /* "4.3.1" */
    QUERY_CLASS,    /* "capacity", as `penstock replies` names them */
    QUERY_PROVIDER, /* of the host that the row names, or its session before it */
    QUERY_DAY,      /* UTC: "2026-03-01" */
    QUERY_TIME,     /* UTC: "2026-03-01T06:50:41.097Z" */
    QUERY_FORMAT,   /* "exchange-send" */
    QUERY_FILE,
    QUERY_LINE,
};
struct query_column {
    struct slice name;
    struct slice field; /* its name in the logs, of QUERY_FIELD */
    enum query_kind kind;
    bool is_hidden; /* "*" leaves it out */
};
#define QUERY_COLUMNS_MAX 320

struct query_plan { /* read by all threads */
    const struct query_column *columns;
    size_t column_count;
    const int *used; /* columns handed over, in the order of cells */
    size_t used_count;
    struct query_condition conditions[QUERY_CONDITIONS_MAX];
    size_t condition_count;
    const struct knowledge *knowledge; /* NULL: class and provider are NULL */
};
struct query_batch { /* of a chunk; owns its text */
    struct query_batch *next;
    struct query_cell *cells; /* row by row, used_count each */
    size_t row_count, cell_room;
    struct arena arena;
    struct query_sessions
        *sessions; /* of a protocol log, where providers are asked for; else NULL */
    /* of the merge */
    const char *path;
    uint64_t lines_before;
};

/* For log_reader.scan: s->own becomes a batch. */
void query_rows_scan(const struct query_plan *plan, struct log_scan *s);
/* For log_reader.merge: cells that are held get their providers. `known`: of send logs, of receive logs. 0, -ENOMEM. */
MUST_CHECK int query_batch_settle(struct query_batch *b, size_t used_count,
                                  struct query_known known[2]);
void query_batch_free(struct query_batch **b);
size_t query_batch_bytes(const struct query_batch *b); /* the memory it holds */
