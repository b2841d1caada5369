/*
 * evidence/window.h - what happened lately: counts by minute, hour and day, rates with a
 * confidence bound, and percentiles of times. Bounded memory; no clock, no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

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

/* The same in 64 bits: for sums without an end. They wrap in no life of a server. */
#define WINDOW_TOTAL(field, name) uint64_t field;
struct window_totals {
    WINDOW_COUNTS(WINDOW_TOTAL)
};

#define WINDOW_MINUTES 180
#define WINDOW_HOURS 48
#define WINDOW_DAYS 14
#define WINDOW_MINUTE_MS 60000

/*
 * Rings by wall clock minute, hour and day. One that goes ahead leaves empty buckets. A clock that
 * steps back counts into the newest buckets; by more than WINDOW_STEP_BACK minutes, it takes the
 * newest buckets back with it, so that what was counted while it was wrong gets old like the rest.
 * ~11 KiB: made for a lane, not for a destination.
 *
 * A "minute" may be made shorter, and with it the hour of 60 and the day of 1440 of them: for tests
 * of the whole server, in which a retry cycle lasts a second.
 */
#define WINDOW_STEP_BACK 2
struct window {
    int64_t minute_ms;
    int64_t minute_at, hour_at, day_at; /* numbers (ms / minute_ms ...) of the newest buckets */
    int64_t hit_at, policy_at;          /* of the minutes with the last capacity or rate reply, and
                                           the last of policy; before the rings began: none */
    struct window_totals totals;        /* since window_init() */
    struct window_counts minutes[WINDOW_MINUTES], hours[WINDOW_HOURS], days[WINDOW_DAYS];
};
/* `minute_ms` 1 or more; WINDOW_MINUTE_MS is an honest minute. */
void window_init(struct window *w, uint32_t minute_ms, int64_t now_ms);
/* Moves on to now; needed before a sum, done by window_add() itself. */
void window_advance(struct window *w, int64_t now_ms);
void window_add(struct window *w, int64_t now_ms, const struct window_counts *c);
/* Minutes that a time takes, the last one whole: 1..WINDOW_MINUTES. */
uint32_t window_minutes_in(const struct window *w, uint64_t ms);
/* The last `minutes` minutes (1..WINDOW_MINUTES; more are clipped), the present one included, as of
 * the last advance. */
void window_sum_minutes(const struct window *w, uint32_t minutes, struct window_counts *ret);
void window_sum_hours(const struct window *w, uint32_t hours, struct window_counts *ret);
void window_sum_days(const struct window *w, uint32_t days, struct window_counts *ret);
/* The hour `back` hours before the present one (0), which is not over yet; NULL: not kept. */
const struct window_counts *window_hour(const struct window *w, uint32_t back);
/* Are there capacity or rate replies in the last `minutes`, replies of policy in the last `hours`?
 * Never no where there are; costs nothing. */
bool window_has_hits(const struct window *w, uint32_t minutes);
bool window_has_policy(const struct window *w, uint32_t hours);
/* Attempts of the busiest of the last `minutes` minutes. */
uint32_t window_peak_minute(const struct window *w, uint32_t minutes);
/* Most delivered in one minute of all that are kept. */
uint32_t window_best_minute(const struct window *w);

/*
 * As text without spaces at its ends, quotes or line ends ("1 60000 ..."), buckets without counts
 * left out: a few hundred bytes for a quiet lane, at most WINDOW_TEXT_MAX. window_load() takes all
 * of it, or leaves `*w` as it was. 0, -E2BIG: no room or no memory (save); -ERR_DAMAGED (load).
 */
#define WINDOW_TEXT_MAX KIB(40)
MUST_CHECK int window_save(const struct window *w, struct buf *to);
MUST_CHECK int window_load(struct window *w, struct slice text);

/*
 * The exact one-sided bound of a binomial share (Clopper and Pearson 1934): the least (greatest)
 * share at which `hits` or more (fewer) of `tries` come with a probability of at least `alpha`.
 * `tries` 0: 0 and 1; more hits than tries count as all. alpha 0.0001..0.5. About 1 us, for
 * millions of hits up to 30.
 */
double rate_lower_bound(uint64_t hits, uint64_t tries, double alpha);
double rate_upper_bound(uint64_t hits, uint64_t tries, double alpha);

/* Percentiles of times: 8 buckets each time it doubles (1 ms to 198 days); error at most 6 %. */
#define TIMES_BUCKETS 256
struct times {
    uint32_t counts[TIMES_BUCKETS]; /* saturating */
    uint64_t count;
    uint64_t max_ms;
};
void times_add(struct times *t, uint64_t ms);
void times_merge(struct times *to, const struct times *from);
/* `share` 0..1; 0 when nothing was added; never above the greatest time added. */
uint64_t times_percentile(const struct times *t, double share);
