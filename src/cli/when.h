/*
 * cli/when.h - points in time as people type them.
 */
#pragma once

#include <stdint.h>

#include "base/base.h"

/*
 * "30m", "24h", "7d" (so long before `now_ms`), or a time, "2026-11-22", "2026-11-22 20:30" (local),
 * "2026-11-22T19:30Z". EXIT_DONE, or EXIT_USAGE, and `command` has told what is allowed.
 */
MUST_CHECK int when_parse(const char *command, const char *option, const char *text, int64_t now_ms,
                          int64_t *ret_ms);
