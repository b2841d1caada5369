/*
 * governor/trend.h - which way a figure goes, and when it will be where.
 *
 * Each of the older half of the last samples makes a pair with its like in the younger half, and
 * the slope is the median of the slopes of the pairs (Theil's incomplete method): outliers, such as
 * a segment that comes and goes, do not turn it. All pairs (Theil and Sen) would tell little more
 * and cost the queue thread a millisecond a look.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TREND_SAMPLES 60
#define TREND_SAMPLES_MIN 10                        /* fewer tell nothing */
#define TREND_HORIZON_S ((int64_t)10 * 365 * 86400) /* later is never */

struct trend { /* fields are private; zero is empty */
    struct {
        uint64_t at_ms, used;
    } samples[TREND_SAMPLES];
    size_t count, next;
};

/* `at_ms` never goes back; a sample of the same time replaces the last one. */
void trend_add(struct trend *t, uint64_t at_ms, uint64_t used);
/* Change a second; 0 also where too few samples are known. */
double trend_slope(const struct trend *t);
/* Seconds until `used` reaches `threshold` with this slope: 0: it has; INT64_MAX: never. */
int64_t trend_reaches(double slope, uint64_t used, uint64_t threshold);
