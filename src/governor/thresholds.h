/*
 * governor/thresholds.h - a rule and a limit give four thresholds in the resource's own unit.
 *
 * Percentages are exact: with the value floor(100 * used / limit), a threshold that is crossed
 * upwards is the smallest `used` whose value reaches it, and one that is crossed downwards the
 * largest `used` whose value is not over it.
 *
 * Disks are reckoned in free space (R12, R9): p percent in use means that (100 - p) percent are to
 * be free, of at most `disk_counted_max` bytes. medium_to_high wants at least `need` free, and each
 * of high_to_medium, low_to_medium and medium_to_low at least `disk_gap` more than the one before.
 * On a small disk the need counts as half the disk at most and the gap as a sixteenth of it, so
 * that an empty disk is normal.
 *
 * medium_to_low < low_to_medium <= high_to_medium < medium_to_high holds for whatever comes in:
 * where a limit of less than 100, or a rule out of order, would break it, the lower thresholds give
 * way. Without a limit percentages give thresholds that nothing reaches.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "governor/governor.h"

/* Reckoned in free space? */
static inline bool thresholds_are_of_disk(enum governor_resource which)
{
    return which == GOVERNOR_SPOOL_DISK || which == GOVERNOR_LOG_DISK;
}

void thresholds_effective(struct governor_thresholds *ret, const struct governor_settings *s,
                          enum governor_resource which, uint64_t limit, uint64_t need);

/* What of a disk's need counts. */
uint64_t thresholds_need(uint64_t limit, uint64_t need);
