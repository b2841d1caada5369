/*
 * base/assert.h - what must never happen.
 *
 * ASSERT is compiled into every build and aborts: the durable spool makes a restart safe, and a
 * process that has lost its invariants must not touch mail. What a peer sends, what a disk
 * returns and what an operator writes is never asserted: those are errors to handle.
 */
#pragma once

#include "base/base.h"

NORETURN void assert_failed(const char *what, const char *file, int line);

#define ASSERT(cond) ((cond) ? (void)0 : assert_failed(#cond, __FILE__, __LINE__))

/* For checks whose cost would show in a profile: compiled with -DPENSTOCK_SLOW_ASSERTS only. */
#ifdef PENSTOCK_SLOW_ASSERTS
#define ASSERT_SLOW(cond) ASSERT(cond)
#else
#define ASSERT_SLOW(cond) ((void)sizeof(cond))
#endif
