/*
 * logscan/report_kit.h - what reports share: who a fact is about, what is in the time asked for, tables
 * in order of a count.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "logscan/report.h"
#include "logscan/table.h"

static inline bool log_report_is_in(const struct log_report_options *o, const struct log_fact *f)
{
    return f->at_ms >= o->since_ms && f->at_ms < o->until_ms;
}

/* ---- who ---- */

/* Names of providers, found once for each host. */
struct log_who {
    const struct log_report_options *options;
    struct log_table hosts; /* of a struct slice: the provider's name */
    struct arena names;
    char domain[256];
};
void log_who_init(struct log_who *w, const struct log_report_options *o);
void log_who_done(struct log_who *w);
/* The provider that runs a host; "none" where the host has no name. Lives as long as `w`. */
struct slice log_who_provider(struct log_who *w, struct slice host);
/* The domain of an address in lower case; "" where it has none. Good until the next. */
struct slice log_who_domain(struct log_who *w, struct slice address);
/* What `by` means of a fact: the remote address, the recipient's domain, the provider, the connector;
 * "none" where it is not told. Good until the next. */
struct slice log_who_of(struct log_who *w, const struct log_fact *f, enum log_by by);

/* A count, or an empty cell where such are not counted. The next cell. */
static inline struct sheet_cell *log_counted(struct sheet_cell *c, unsigned is_counted, uint64_t n)
{
    if (is_counted)
        sheet_count(c, n);
    return c + 1;
}

/* ---- replies ---- */

#define LOG_CLASSES_USUAL 0x30u /* 4xx and 5xx */
#define LOG_CLASSES_ACCEPTED 0x0cu
static inline unsigned log_classes_asked(const struct log_report_options *o)
{
    return o->classes ? o->classes : LOG_CLASSES_USUAL;
}
/* What a report on replies wants. */
static inline unsigned log_classes_wants(const struct log_report_options *o)
{
    return WANT_REPLIES | (o->classes & LOG_CLASSES_ACCEPTED ? (unsigned)WANT_ACCEPTED : 0);
}

/* Code and status code in one number, to be part of a key. */
uint64_t log_reply_codes(const struct log_reply *r);
/* Fills in the code and, where there is one, the status code of "452 4.3.1" (reply_form_status); the
 * cell behind them. */
#define LOG_STATUS_COLUMNS                                                                         \
    {"code", "CODE", SHEET_COUNT},                                                                 \
    {                                                                                              \
        "enhanced", "STATUS", SHEET_TEXT                                                           \
    }
struct sheet_cell *log_status_cells(struct log_sheet *to, struct sheet_cell *c, uint16_t code,
                                    const char *status);

/* ---- first and last ---- */

#define LOG_SEEN_COLUMNS                                                                           \
    {"first_ms", "FIRST", SHEET_TIME, 9},                                                          \
    {                                                                                              \
        "last_ms", "LAST", SHEET_TIME, 8                                                           \
    }
struct sheet_cell *log_seen_cells(struct sheet_cell *c, const struct log_seen *s);

/* ---- tables in order ---- */

struct log_ranking {
    struct log_rank_item {
        uint64_t count;
        struct slice key;
        void *value;
    } * items;
    size_t count;
};
/* The values of a table, the largest count first, those of one count by their keys. 0, -ENOMEM. */
MUST_CHECK int log_rank(struct log_ranking *ret, const struct log_table *t,
                        uint64_t (*count)(const void *value));
void log_rank_done(struct log_ranking *r);

/* The rows of a sheet: the values of a table in that order. */
struct log_ranked {
    uint64_t (*order)(const void *value);
    /* Fills in the row of a value. 0, -ENOMEM. */
    int (*fill)(const void *ctx, struct log_sheet *to, struct sheet_cell *c,
                const struct log_rank_item *item);
    const void *ctx;
    size_t rows_max;    /* the others are counted as left out */
    bool wants_no_zero; /* what has a count of 0 is no row, nor left out */
};
MUST_CHECK int log_ranked_rows(struct log_sheet *to, const struct log_table *t,
                               const struct log_ranked *how);
/* Rows of a table: as asked for, or as usual. */
static inline size_t log_rows_max(const struct log_report_options *o, size_t usual)
{
    return o->rows_max ? o->rows_max : usual;
}
