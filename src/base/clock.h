/*
 * base/clock.h - the only place that asks the machine for the time.
 *
 * Two kinds of time, never mixed: `mono` runs evenly and is for time-outs and intervals; `wall`
 * is what people read, may jump, and is for headers, logs and queue times that outlive a restart.
 * The engine (smtp, message, schedule, ...) takes times as arguments and does not include this.
 */
#pragma once

#include <stdint.h>

#define NS_PER_MS 1000000
#define MS_PER_S 1000

uint64_t clock_mono_ns(void);
uint64_t clock_mono_ms(void);
int64_t clock_wall_ms(void); /* since 1970-01-01 UTC */
int64_t clock_wall_us(void);
