/*
 * cli/server_log.h - what the configuration says of the log and the log files, set in event/.
 *
 * Main thread.
 */
#pragma once

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"

struct config;

/* The log: its target, format and level. At start, after event_start(), and on reload. */
void server_set_log(const struct config *c);
/* Does the log go to a terminal? Then a line that renews itself would be in its way. */
bool server_log_is_on_terminal(const struct config *c);
/* The log files. 0, or the error with a sentence in `why`: then they stay as they were. */
MUST_CHECK int server_set_log_files(const struct config *c, struct buf *why);
/* What it would return, and nothing is set. */
MUST_CHECK int server_check_log_files(const struct config *c, struct buf *why);
