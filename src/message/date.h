/*
 * message/date.h - times as mail writes them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

#define DATE_RFC5322_MAX 32 /* "Sun, 22 Nov 2026 20:18:22 +0000" and a NUL */

/*
 * RFC 5322, section 3.3, in UTC. `wall_ms` is since 1970; what lies outside the years 1900..9999
 * is moved to the nearer end, so that a broken clock still makes a legal date. NUL-ended; returns
 * the length, which is always DATE_RFC5322_MAX - 1. Pure; reads neither clock nor locale.
 */
size_t date_rfc5322(int64_t wall_ms, char ret[static DATE_RFC5322_MAX]);
