/*
 * governor/level_time.h - how long the server was at each level in the last hour and day (R11).
 *
 * A span is a ring of parts; the oldest part goes as a whole, so what is summed covers between
 * 59/60 of the span and all of it, and never more.
 */
#pragma once

#include <stdint.h>

#include "governor/gate.h"

enum level_span { LEVEL_HOUR, LEVEL_DAY, LEVEL_SPANS };
#define LEVEL_PARTS 60

struct level_time { /* fields are private; zero is empty */
    struct level_part {
        uint64_t number; /* time / length of a part */
        uint64_t ms[PRESSURE_LEVELS];
    } parts[LEVEL_SPANS][LEVEL_PARTS];
};

/* The level was `level` from `from_ms` to `to_ms`, monotonic. */
void level_time_add(struct level_time *t, enum pressure_level level, uint64_t from_ms,
                    uint64_t to_ms);
void level_time_get(const struct level_time *t, uint64_t now_ms,
                    uint64_t ret_ms[LEVEL_SPANS][PRESSURE_LEVELS]);
