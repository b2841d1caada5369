/*
 * governor/remedies.h - which remedy is due.
 *
 * A remedy is asked for while a resource that it helps is above medium_to_low and not observed
 * only. Each runs once at a time and no more often than its interval, which doubles each time it
 * freed nothing, to 2^REMEDY_SHIFT_MAX times, and is back at one with the first byte freed.
 *
 * REMEDY_PAUSE is a state: asked for when it begins, it lasts while it is wanted and for one
 * interval at least.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "governor/governor.h"
#include "governor/resource.h"

#define REMEDY_SHIFT_MAX 4

struct remedies { /* fields are private; zero: none has run */
    struct remedy {
        struct governor_remedy_view view;
        bool was_asked;
        uint64_t asked_ms;
        unsigned shift; /* it runs once in interval << shift */
    } list[GOVERNOR_REMEDIES];
};

/* Fills `remedies`, `remedy_count` and `pause_background` of `*ret`. */
void remedies_ask(struct remedies *m, const struct governor_settings *s,
                  const struct resource *resources, uint64_t now_ms, struct governor_outcome *ret);
void remedies_done(struct remedies *m, enum governor_remedy r, uint64_t freed, uint64_t took_us,
                   uint64_t now_ms);
