/*
 * logscan/trace.h - one message's or recipient's way through all files, in order of time.
 *
 * Read twice: first the rows that have the pattern tell which messages and sessions are meant (by their
 * queue id, session id ...: KEYS_MAX at most), then all rows of those. Standard input can be read but once:
 * of it there are only the rows with the pattern itself.
 */
#pragma once

#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "logscan/run.h"
#include "logscan/sheet.h"

#define TRACE_PATTERN_MAX 1000
#define TRACE_KEYS_MAX 10000
#define TRACE_ROWS_MAX 100000 /* more are counted */

/*
 * `pattern`: any part of a row, compared without case; as a rule an address, a queue id or a message id. `rows`: at
 * most so many are shown, 0 for TRACE_ROWS_MAX. As log_run(); *run is of the second reading.
 */
MUST_CHECK int trace_run(struct log_run **run, const struct log_run_config *c, const char *pattern,
                         size_t rows, uint64_t seed, struct log_report *to, struct buf *why);
