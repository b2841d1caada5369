/*
 * logscan/attempt_kit.h - what reports about attempts share: counts of them, classes of replies, lists
 * of the most frequent values, times with their percentiles.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "evidence/replies.h"
#include "logscan/lives.h"
#include "logscan/report.h"
#include "logscan/sheet.h"
#include "logscan/table.h"

/* Hands the facts that are in the report's time to `l`. 0, -ENOMEM. */
MUST_CHECK int log_attempts_take(struct lives *l, const struct log_report_options *o,
                                 const struct log_scan *s);

/* ---- counts ---- */

struct log_tried {
    struct log_seen seen; /* attempts */
    uint64_t delivered, deferred, failed;
    uint64_t plain; /* answered "452 4.3.1", whatever the text */
    uint64_t first, first_delivered, retries, retries_delivered;
};
/* A is no expiry. */
void log_tried_add(struct log_tried *t, const struct log_attempt *a);

#define LOG_TRIED_COLUMNS                                                                          \
    {"attempts", "ATTEMPTS", SHEET_COUNT}, {"delivered", "DELIVERED", SHEET_COUNT, 4},             \
        {"deferred", "DEFERRED", SHEET_COUNT, 3}, {"failed", "FAILED", SHEET_COUNT, 4},            \
        {"s452_4_3_1", "452 4.3.1", SHEET_COUNT, 5},                                               \
    {                                                                                              \
        "s452_4_3_1_per_10k", "452 PER 10,000", SHEET_RATE, 7                                      \
    }
/* Fills in the columns above; the cell behind them. */
struct sheet_cell *log_tried_cells(struct sheet_cell *c, const struct log_tried *t);
/* A share, empty where there is nothing to have a share of; the next cell. */
struct sheet_cell *log_share_cell(struct sheet_cell *c, uint64_t part, uint64_t whole);
/* The same, per 10,000. */
struct sheet_cell *log_rate_cell(struct sheet_cell *c, uint64_t part, uint64_t whole);

/* ---- classes ---- */

#define LOG_CLASSES_CACHED 4096
struct log_classes { /* fields are private */
    const struct replies *replies;
    uint64_t seed;
    struct log_class_slot {
        uint64_t key; /* 0: free */
        enum reply_class klass;
    } slots[LOG_CLASSES_CACHED];
};
void log_classes_init(struct log_classes *c, const struct log_report_options *o);
/* The class of a reply, remembered for the same reply from the same provider; of what was delivered
 * or had no reply REPLY_NONE. */
enum reply_class log_class_of(struct log_classes *c, const struct log_fact *f,
                              struct slice provider);

/* ---- lists ---- */

#define LOG_LIST_KEPT 1024 /* distinct values; refusals of others are counted together */
#define LOG_LIST_SHOWN 8
/* The texts of all lists of a report, once each: a table of uint32_t, their index + 1. */
void log_list_texts_init(struct log_table *texts, uint64_t seed);
struct log_list { /* fields are private */
    uint32_t used, room;
    uint64_t others;
    struct log_list_item {
        uint32_t text; /* index */
        uint32_t count;
    } items[]; /* in order of the index */
};
/* Counts a value; *list is made when it is first needed. Empty values are passed over. 0, -ENOMEM. */
MUST_CHECK int log_list_add(struct log_list **list, struct log_table *texts, struct slice value);
/* "192.0.2.1 (12), 192.0.2.2 (3) and 4 more"; an empty cell where there is no list. */
MUST_CHECK int log_list_cell(struct log_sheet *to, struct sheet_cell *c, const struct log_list *l,
                             const struct log_table *texts);
void log_list_free(struct log_list **list);

/* ---- times ---- */

/* All times, exact: short ones in a table of counts, the others one by one. */
#define LOG_TIMES_SHORT_MS 524288
struct log_times { /* fields are private; all zero is an empty one */
    uint64_t *counts;
    int64_t *others;
    size_t other_count, other_room;
    uint64_t count;
    int64_t sum, min, max;
    bool is_sorted;
};
MUST_CHECK int log_times_add(struct log_times *t, int64_t ms); /* below 0 counts as 0 */
/* Nearest rank, `share` 0 to 1; 0 where there are none. */
int64_t log_times_percentile(struct log_times *t, double share);
void log_times_done(struct log_times *t);

/*
 * How the times of one of many are spread, in 3.5 KiB at most: each by itself while there are no more
 * than LOG_SPREAD_EXACT; then how many there are in each of as many intervals. Those are of 1 ms below
 * 64 ms and 32 to a doubling above, so that no time is further than 1/32, 3.2 %, from what is told.
 */
#define LOG_SPREAD_EXACT 896
struct log_spread {   /* fields are private; all zero is an empty one */
    uint32_t *values; /* times, or of intervals how many */
    uint32_t room;
    uint64_t count;
    int64_t max;
};
/* `ms` below 0 counts as 0; so many times. 0, -ENOMEM. */
MUST_CHECK int log_spread_add(struct log_spread *s, int64_t ms, uint64_t times);
/* Nearest rank; of an interval that has a whole second that one is told. The cell is empty where
 * there are none. */
struct sheet_cell *log_spread_cell(struct sheet_cell *c, struct log_spread *s, double share);
/* Fill in "count, 50 %, 90 %, 99 %, most", LOG_SPREAD_COLUMNS; the cell behind them. */
#define LOG_SPREAD_COLUMNS(name, title)                                                            \
    {name, title, SHEET_COUNT}, {"p50", "50 %", SHEET_DURATION}, {"p90", "90 %", SHEET_DURATION},  \
        {"p99", "99 %", SHEET_DURATION},                                                           \
    {                                                                                              \
        "max", "MOST", SHEET_DURATION                                                              \
    }
struct sheet_cell *log_spread_cells(struct sheet_cell *c, struct log_spread *s);
void log_spread_done(struct log_spread *s);
