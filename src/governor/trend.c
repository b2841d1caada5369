/* governor/trend.c - see trend.h. */
#include "governor/trend.h"

#include <stdlib.h>

#include "base/assert.h"

void trend_add(struct trend *t, uint64_t at_ms, uint64_t used)
{
    size_t last = (t->next + TREND_SAMPLES - 1) % TREND_SAMPLES;

    if (t->count > 0 && t->samples[last].at_ms >= at_ms) {
        ASSERT(t->samples[last].at_ms == at_ms);
        t->samples[last].used = used;
        return;
    }
    t->samples[t->next].at_ms = at_ms;
    t->samples[t->next].used = used;
    t->next = (t->next + 1) % TREND_SAMPLES;
    t->count += t->count < TREND_SAMPLES;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double trend_slope(const struct trend *t)
{
    double slopes[TREND_SAMPLES / 2];
    size_t first = t->next + TREND_SAMPLES - t->count, apart = (t->count + 1) / 2;
    size_t pairs = t->count / 2;

    if (t->count < TREND_SAMPLES_MIN)
        return 0;
    for (size_t i = 0; i < pairs; i++) {
        size_t a = (first + i) % TREND_SAMPLES, b = (first + i + apart) % TREND_SAMPLES;
        double rise = (double)t->samples[b].used - (double)t->samples[a].used;

        slopes[i] = rise * 1000 / (double)(t->samples[b].at_ms - t->samples[a].at_ms);
    }
    qsort(slopes, pairs, sizeof(*slopes), compare);
    return pairs % 2 ? slopes[pairs / 2] : (slopes[pairs / 2 - 1] + slopes[pairs / 2]) / 2;
}

int64_t trend_reaches(double slope, uint64_t used, uint64_t threshold)
{
    double seconds;

    if (used >= threshold)
        return 0;
    if (slope <= 0)
        return INT64_MAX;
    seconds = (double)(threshold - used) / slope;
    if (seconds > (double)TREND_HORIZON_S)
        return INT64_MAX;
    return (int64_t)seconds + ((double)(int64_t)seconds < seconds); /* rounded up */
}
