/*
 * logscan/logparser_stamp.h - Log Parser's TIMESTAMP values as text, and its format specifiers. Pure.
 *
 * SQLite has no such type, so a value is the text that Log Parser shows: "2026-03-01 06:50:41",
 * "2026-03-01" of a date alone, "06:50:41" of a time alone, with ".097" where there are milliseconds.
 * Such texts sort by time. What logs write is read as well: "2026-03-01T06:50:41.097Z".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"

struct lp_stamp {
    int64_t ms; /* since the first day of year 0, which is Log Parser's origin */
    bool has_date, has_time;
};
#define LP_STAMP_TEXT_MAX 32
#define LP_STAMP_FORMATTED_MAX 256
#define LP_EPOCH_MS 62167219200000      /* 1970 */
#define LP_STAMP_MAX_MS 315569520000000 /* year 10000: no stamp reaches it */

/* A value, or what logs write, an offset taken off; false: neither, or more behind it. */
bool lp_stamp_read(struct slice text, struct lp_stamp *ret);
/* The value as text: its length. */
size_t lp_stamp_write(const struct lp_stamp *s, char ret[static LP_STAMP_TEXT_MAX]);

/*
 * By a format: y (4 digits, or as many as there are letters), M, MM, MMM (Mar), MMMM (March), d, dd,
 * ddd and dddd (name of the day), h or H (of 24, or of 12 where there is tt), m, s, l (milliseconds), n
 * (nanoseconds), tt (AM, PM), ? (any character); all else stands for itself, '...' too. English names.
 */
bool lp_stamp_parse(struct slice text, struct slice format, struct lp_stamp *ret);
/* At most LP_STAMP_FORMATTED_MAX bytes; SIZE_MAX: it would be more. */
size_t lp_stamp_format(const struct lp_stamp *s, struct slice format,
                       char ret[static LP_STAMP_FORMATTED_MAX]);
