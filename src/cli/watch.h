/*
 * cli/watch.h - a screen that renews itself, for --watch: until q, the end of input or a signal.
 *
 * On a terminal each screen takes the place of the one before; elsewhere they follow one another.
 * One at a time in a process: it has the terminal and the signals.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/base.h"

#define WATCH_S_DEFAULT 2

struct watch_option { /* of the command line */
    bool is_on;
    uint64_t seconds; /* WATCH_S_DEFAULT at first */
};
/* "--watch" or "--watch=5". EXIT_DONE, or EXIT_USAGE and it was told. */
MUST_CHECK int watch_read(const char *command, const char *value, struct watch_option *ret);

/* Calls print() for each screen. EXIT_DONE, or what print() returned that was not EXIT_DONE. */
MUST_CHECK int watch_run(uint64_t seconds, int (*print)(void *ctx, FILE *to), void *ctx);

/* Standard output is a terminal that has colours, and nobody asked for none (NO_COLOR). */
bool watch_has_colour(void);
