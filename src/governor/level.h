/*
 * governor/level.h - the level machine: four thresholds, and a dwell that holds falls back.
 *
 *               >= medium_to_high
 *        ,-----------------------------.
 *        |                             v
 *     NORMAL --->= low_to_medium--> MEDIUM --->= medium_to_high--> HIGH
 *        ^ ^                         |  ^                           | |
 *        | `----<= medium_to_low-----'  `-----<= high_to_medium-----' |
 *        `--------------------<= medium_to_low------------------------'
 *
 * Values: no memory, no clock, no I/O. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "governor/governor.h"

struct level { /* read freely; written here */
    enum pressure_level now, previous;
    uint64_t since_ms;  /* monotonic: since when it is `now` */
    uint64_t lasted_ms; /* how long `previous` was */
    bool is_held;       /* a fall is due and waits for the dwell */
};

void level_init(struct level *l, uint64_t now_ms); /* normal */

/* The level that `used` asks for, where the level is `now`. */
enum pressure_level level_judge(enum pressure_level now, uint64_t used,
                                const struct governor_thresholds *t);

/* The threshold that a step from `from` to `to` crosses. */
uint64_t level_crossed(enum pressure_level from, enum pressure_level to,
                       const struct governor_thresholds *t);

enum level_step {
    LEVEL_STAYS,
    LEVEL_HELD, /* it stays: a fall was asked for anew and the dwell is not over */
    LEVEL_MOVED,
};
/* Moves to `to`: up at once, down when the level has lasted `dwell_ms`. A fall that is asked for
 * sample after sample is told as held once. */
enum level_step level_move(struct level *l, enum pressure_level to, uint64_t now_ms,
                           uint64_t dwell_ms);
