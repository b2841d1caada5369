/*
 * governor/level_time.h - how long the server, or a resource, was at each level: in the last hour
 * and day, and in all (R11).
 *
 * A span is a ring of parts; the oldest part goes as a whole, so what is summed covers between
 * 59/60 of the span and all of it, and never more.
 */
#pragma once

#include <stdint.h>

#include "governor/gate.h"

enum level_span { LEVEL_HOUR, LEVEL_DAY, LEVEL_SPANS };
#define LEVEL_PARTS 60

struct level_sums {
    uint64_t ms[LEVEL_SPANS][PRESSURE_LEVELS];
    uint64_t total_ms[PRESSURE_LEVELS]; /* since the beginning: never less than it was */
};

struct level_time { /* fields are private; zero is empty */
    uint64_t total_ms[PRESSURE_LEVELS];
    struct level_part {
        uint64_t number; /* time / length of a part */
        uint64_t ms[PRESSURE_LEVELS];
    } parts[LEVEL_SPANS][LEVEL_PARTS];
};

/* The level was `level` from `from_ms` to `to_ms`, monotonic. */
void level_time_add(struct level_time *t, enum pressure_level level, uint64_t from_ms,
                    uint64_t to_ms);
void level_time_get(const struct level_time *t, uint64_t now_ms, struct level_sums *ret);
