/*
 * simulate/wheel.h - private: what happens at which millisecond, within the next 32 s: a ring of
 * lists, with a bit for each that is not empty. Adding and taking cost O(1); those of one
 * millisecond come in the order added, so that a run is the same each time.
 */
#pragma once

#include <stdint.h>

#include "base/base.h"
#include "base/list.h"

#define WHEEL_MS 32768 /* no wait is as long; the lists of more would not stay in a cache */

struct wheel { /* fields are private */
    struct list slots[WHEEL_MS];
    uint64_t bits[WHEEL_MS / 64];
    int64_t now_ms;
    uint64_t count;
};

void wheel_init(struct wheel *w, int64_t now_ms);
void wheel_add(struct wheel *w, struct list *node, int64_t at_ms); /* now <= at < now + WHEEL_MS */
/* When the next one is due; INT64_MAX: none. */
int64_t wheel_next(const struct wheel *w);
/* Moves on to a time not after wheel_next(), and takes one that is due then; NULL: none. */
struct list *wheel_take(struct wheel *w, int64_t now_ms);
