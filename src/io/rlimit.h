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

/*
 * Where the address space is limited (RLIMIT_AS), malloc is to use one arena: it sets 64 MiB of
 * address space aside for each other one, which the main one then cannot have. Before the first
 * thread.
 */
void rlimit_save_address_space(void);
