/*
 * logscan/stamp.h - the times of mail logs, to milliseconds since 1970 UTC. Pure but for the zone.
 *
 * A stamp without a zone is local time of the zone that `--tz` names, else the machine's. A stamp
 * without a year (RFC 3164, section 4.1.2) has the one that brings it nearest to the line before.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/scan.h"

/* Names the zone for the process, before any thread ("UTC", "Europe/Berlin", "+01:00"); NULL: the
 * machine's. -EINVAL: there is no such zone. */
MUST_CHECK int stamp_zone(const char *name);
const char *stamp_zone_name(void);
/* Milliseconds that local time is ahead of UTC at that time. Cheap for neighbouring times. */
int64_t stamp_zone_offset_ms(int64_t at_ms);

/* Each reads a stamp at the begin of `text`: the bytes it took, 0 where there is none. */

/* "2026-03-01T06:50:41.097Z", "2026-03-01 06:50:41", fractions of 0 to 9 digits, zone "Z", "+01:00",
 * "+0100", " +0100" or none (then local). */
size_t stamp_iso(struct slice text, int64_t *ret_ms);
/* Of a stamp that stamp_iso() took: it has no fraction. */
static inline bool stamp_iso_is_whole(const uint8_t *stamp)
{
    return stamp[sizeof("2026-03-01T06:50:41") - 1] != '.';
}
/* Exactly "2026-03-01T06:50:41.097Z": what most lines have, fast. */
#define STAMP_EXCHANGE_LEN 24
bool stamp_exchange(const uint8_t text[static STAMP_EXCHANGE_LEN], int64_t *ret_ms);
/* "Mar  1 08:34:46"; the year from `carry`, which it moves on. Without a year there (0) it cannot be
 * read. */
size_t stamp_syslog(struct slice text, struct log_carry *carry, int64_t *ret_ms);
/* The year of a first stamp of such a file: the latest that is not after the file's last change; 0:
 * `head`, its first lines, has no stamp of that form. */
int stamp_first_year(struct slice head, int64_t changed_ms);

#define STAMP_DAY_LEN 10  /* 2026-03-01 */
#define STAMP_TEXT_LEN 23 /* 2026-03-01 06:50:41.097 */
/* Both local time of the zone: the day; the time, with milliseconds. Not NUL-ended. */
void stamp_day(int64_t at_ms, char ret[static STAMP_DAY_LEN]);
void stamp_text(int64_t at_ms, char ret[static STAMP_TEXT_LEN]);
/* UTC: what stamp_exchange() reads. Not NUL-ended; stamp_exchange_slice() makes it in the arena, and gives the
 * empty slice where there is no memory. */
void stamp_exchange_text(int64_t at_ms, char ret[static STAMP_EXCHANGE_LEN]);
struct slice stamp_exchange_slice(int64_t at_ms, struct arena *a);
