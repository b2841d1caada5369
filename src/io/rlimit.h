/*
 * io/rlimit.h - the limits the kernel sets for this process.
 */
#pragma once

#include <stdint.h>

#include "base/base.h"

/*
 * Raises the limit of open files (RLIMIT_NOFILE) to what the hard limit allows. Every connection
 * costs one. `*ret_now`, when not NULL, gets the limit in force, also on failure. 0 or -EPERM.
 */
MUST_CHECK int rlimit_raise_files(uint64_t *ret_now);
