/*
 * evidence/window.h - what happened lately: counts by minute, hour and day, rates with a
 * confidence bound, and percentiles of times. Bounded memory; no clock, no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

/* X(field, name): what is counted in a bucket. All u32, saturating. */
#define WINDOW_COUNTS(X)                                                                           \
    X(attempts, "attempts")                                                                        \
    X(delivered_first, "delivered_first") /* at the first attempt */                               \
    X(delivered_later, "delivered_later")                                                          \
    X(deferred, "deferred")                                                                        \
    X(failed, "failed")                                                                            \
    X(capacity, "capacity") /* attempts answered with a capacity reply */                          \
    X(rate, "rate")                                                                                \
    X(policy, "policy") /* policy and authentication */                                            \
    X(connection, "connection")                                                                    \
    X(retries, "retries") /* attempts that were not the first */                                   \
    X(retries_delivered, "retries_delivered")
#define WINDOW_FIELD(field, name) uint32_t field;
struct window_counts {
    WINDOW_COUNTS(WINDOW_FIELD)
};
void window_counts_add(struct window_counts *to, const struct window_counts *from);

#define WINDOW_MINUTES 180
#define WINDOW_HOURS 48
#define WINDOW_DAYS 14

/* Rings by wall clock minute, hour and day. A clock that steps back counts into the newest bucket;
 * one that goes ahead leaves empty buckets. ~11 KiB: made for a lane, not for a destination. */
struct window {
    int64_t minute_at, hour_at, day_at; /* numbers (ms / 60000 ...) of the newest buckets */
    struct window_counts minutes[WINDOW_MINUTES], hours[WINDOW_HOURS], days[WINDOW_DAYS];
};
void window_init(struct window *w, int64_t now_ms);
/* Moves on to now; needed before a sum, done by window_add() itself. */
void window_advance(struct window *w, int64_t now_ms);
void window_add(struct window *w, int64_t now_ms, const struct window_counts *c);
/* The last `minutes` minutes (1..WINDOW_MINUTES), the present one included, as of the last advance. */
void window_sum_minutes(const struct window *w, uint32_t minutes, struct window_counts *ret);
void window_sum_hours(const struct window *w, uint32_t hours, struct window_counts *ret);
void window_sum_days(const struct window *w, uint32_t days, struct window_counts *ret);

/*
 * The exact one-sided bound of a binomial share (Clopper and Pearson 1934): the least (greatest)
 * share at which `hits` or more (fewer) of `tries` come with a probability of at least `alpha`.
 * `tries` 0: 0 and 1. alpha 0.0001..0.5.
 */
double rate_lower_bound(uint64_t hits, uint64_t tries, double alpha);
double rate_upper_bound(uint64_t hits, uint64_t tries, double alpha);

/* Percentiles of times: buckets that grow by 1/8, 1 ms to 30 days; error at most 6 %. */
#define TIMES_BUCKETS 256
struct times {
    uint32_t counts[TIMES_BUCKETS];
    uint64_t count;
    uint64_t max_ms;
};
void times_add(struct times *t, uint64_t ms);
void times_merge(struct times *to, const struct times *from);
/* `share` 0..1; 0 when nothing was added. */
uint64_t times_percentile(const struct times *t, double share);
