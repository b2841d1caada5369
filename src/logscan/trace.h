/*
 * logscan/trace.h - one message's or recipient's way through all files, in order of time.
 *
 * Read twice: first the rows that have the pattern tell which messages and sessions are meant (by their
 * queue id, session id ...: KEYS_MAX at most), then all rows of those. Standard input can be read but once:
 * of it there are only the rows with the pattern itself.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "logscan/report.h"
#include "logscan/run.h"
#include "logscan/sheet.h"

#define TRACE_PATTERN_MAX 1000
#define TRACE_KEYS_MAX 10000
#define TRACE_ROWS_MAX 100000 /* more are counted */

/*
 * `pattern`: any part of a row, compared without case; as a rule an address, a queue id or a message id. Of `o`
 * the time asked for, rows_max (0: TRACE_ROWS_MAX) and the seed count. An id that comes again (Postfix'
 * short ones, within hours) brings the rows of both messages: --since and --until part them. As log_run();
 * *run is of the second reading; -EINVAL: the pattern is empty or longer than TRACE_PATTERN_MAX.
 */
MUST_CHECK int trace_run(struct log_run **run, const struct log_run_config *c, const char *pattern,
                         const struct log_report_options *o, struct log_report *to,
                         struct buf *why);
