/* governor/level_time.c - see level_time.h. */
#include "governor/level_time.h"

#include <string.h>

#include "base/assert.h"
#include "base/base.h"

#define HOUR_MS UINT64_C(3600000)

static const uint64_t part_ms[LEVEL_SPANS] = {
    [LEVEL_HOUR] = HOUR_MS / LEVEL_PARTS,
    [LEVEL_DAY] = 24 * HOUR_MS / LEVEL_PARTS,
};

static void add_to_span(struct level_part *parts, uint64_t length, enum pressure_level level,
                        uint64_t from_ms, uint64_t to_ms)
{
    /* What is older than the span would be overwritten by what comes after it. */
    if (to_ms - from_ms > length * LEVEL_PARTS)
        from_ms = to_ms - length * LEVEL_PARTS;
    while (from_ms < to_ms) {
        uint64_t number = from_ms / length;
        uint64_t end = MIN_OF((number + 1) * length, to_ms);
        struct level_part *p = &parts[number % LEVEL_PARTS];

        if (p->number != number)
            *p = (struct level_part){.number = number};
        p->ms[level] += end - from_ms;
        from_ms = end;
    }
}

void level_time_add(struct level_time *t, enum pressure_level level, uint64_t from_ms,
                    uint64_t to_ms)
{
    ASSERT(from_ms <= to_ms && level < PRESSURE_LEVELS);
    t->total_ms[level] += to_ms - from_ms;
    for (size_t span = 0; span < LEVEL_SPANS; span++)
        add_to_span(t->parts[span], part_ms[span], level, from_ms, to_ms);
}

void level_time_get(const struct level_time *t, uint64_t now_ms, struct level_sums *ret)
{
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->total_ms, t->total_ms, sizeof(ret->total_ms));
    for (size_t span = 0; span < LEVEL_SPANS; span++)
        for (size_t i = 0; i < LEVEL_PARTS; i++) {
            const struct level_part *p = &t->parts[span][i];

            if (p->number + LEVEL_PARTS <= now_ms / part_ms[span])
                continue;
            for (size_t level = 0; level < PRESSURE_LEVELS; level++)
                ret->ms[span][level] += p->ms[level];
        }
}
