/*
 * io/timers_int.h - the timers of a loop, without its clock: a pairing heap by time.
 *
 * Pairing heaps (Fredman, Sedgewick, Sleator and Tarjan 1986) need no array, hence no allocation
 * that could fail when a timer starts. A timer whose time is moved later keeps its place, and
 * finds its new one when the old comes up: its key is never later than its time.
 *
 *     IDLE --timers_start()--> WAITING --timers_expire()--> DUE --timers_take_due()--> IDLE
 *
 * Private to io/.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/loop.h"

struct timers {
    struct loop_timer *root;
    struct list due; /* in the order of their times */
};

void timers_init(struct timers *ts);
/* `due_ms` is an absolute time. The timer may be in any state. */
void timers_start(struct timers *ts, struct loop_timer *t, uint64_t due_ms);
void timers_stop(struct timers *ts, struct loop_timer *t);
/* False where there is none; else the time of the first, or an earlier one. */
bool timers_first(const struct timers *ts, uint64_t *ret_ms);
/* Moves all whose time is `now_ms` or earlier to the list of those due. */
void timers_expire(struct timers *ts, uint64_t now_ms);
/* The next one due, stopped; NULL when there is none. */
struct loop_timer *timers_take_due(struct timers *ts);
bool timer_is_running(const struct loop_timer *t);
