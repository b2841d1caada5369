/* governor/level.c - see level.h. */
#include "governor/level.h"

#include "base/assert.h"

void level_init(struct level *l, uint64_t now_ms)
{
    *l = (struct level){.now = PRESSURE_NORMAL, .previous = PRESSURE_NORMAL, .since_ms = now_ms};
}

enum pressure_level level_judge(enum pressure_level now, uint64_t used,
                                const struct governor_thresholds *t)
{
    if (used >= t->medium_to_high)
        return PRESSURE_HIGH;
    switch (now) {
    case PRESSURE_NORMAL:
        return used >= t->low_to_medium ? PRESSURE_MEDIUM : PRESSURE_NORMAL;
    case PRESSURE_MEDIUM:
        return used <= t->medium_to_low ? PRESSURE_NORMAL : PRESSURE_MEDIUM;
    case PRESSURE_HIGH:
        if (used <= t->medium_to_low)
            return PRESSURE_NORMAL;
        return used <= t->high_to_medium ? PRESSURE_MEDIUM : PRESSURE_HIGH;
    case PRESSURE_LEVELS:
        break;
    }
    ASSERT(now < PRESSURE_LEVELS);
    return PRESSURE_NORMAL;
}

uint64_t level_crossed(enum pressure_level from, enum pressure_level to,
                       const struct governor_thresholds *t)
{
    if (to == PRESSURE_NORMAL)
        return t->medium_to_low;
    if (to == PRESSURE_HIGH)
        return t->medium_to_high;
    return from == PRESSURE_NORMAL ? t->low_to_medium : t->high_to_medium;
}

enum level_step level_move(struct level *l, enum pressure_level to, uint64_t now_ms,
                           uint64_t dwell_ms)
{
    ASSERT(now_ms >= l->since_ms);
    if (to < l->now && now_ms - l->since_ms < dwell_ms) {
        bool is_new = !l->is_held;

        l->is_held = true;
        return is_new ? LEVEL_HELD : LEVEL_STAYS;
    }
    l->is_held = false;
    if (to == l->now)
        return LEVEL_STAYS;
    l->previous = l->now;
    l->lasted_ms = now_ms - l->since_ms;
    l->now = to;
    l->since_ms = now_ms;
    return LEVEL_MOVED;
}
