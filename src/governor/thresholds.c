/* governor/thresholds.c - see thresholds.h. */
#include "governor/thresholds.h"

#include <errno.h>

#define NEED_PART 2 /* of a disk: its half */
#define GAP_PART 16

int governor_check_thresholds(const struct governor_thresholds *t)
{
    return t->medium_to_low < t->low_to_medium && t->low_to_medium <= t->high_to_medium &&
                   t->high_to_medium < t->medium_to_high
               ? 0
               : -EINVAL;
}

uint64_t thresholds_need(uint64_t limit, uint64_t need)
{
    return MIN_OF(need, limit / NEED_PART);
}

/* `percent` of `of`, rounded down, without overflow on the way; at most `of`. */
static uint64_t part_down(uint64_t of, uint64_t percent)
{
    return percent >= 100 ? of : of / 100 * percent + of % 100 * percent / 100;
}

/* The same rounded up. */
static uint64_t part_up(uint64_t of, uint64_t percent)
{
    return percent >= 100 ? of : of / 100 * percent + (of % 100 * percent + 99) / 100;
}

/* The smallest use whose percentage, rounded down, is at least `percent`. */
static uint64_t reaches(uint64_t limit, uint64_t percent)
{
    return percent > 100 ? UINT64_MAX : part_up(limit, percent);
}

/* The largest use whose percentage, rounded down, is at most `percent`. */
static uint64_t not_over(uint64_t limit, uint64_t percent)
{
    return percent >= 100 ? UINT64_MAX : part_up(limit, percent + 1) - 1;
}

/* From the top down, since medium_to_high is the one that protects. */
static void put_in_order(struct governor_thresholds *t)
{
    t->medium_to_high = MAX_OF(t->medium_to_high, 2);
    t->high_to_medium = MAX_OF(MIN_OF(t->high_to_medium, t->medium_to_high - 1), 1);
    t->low_to_medium = MAX_OF(MIN_OF(t->low_to_medium, t->high_to_medium), 1);
    t->medium_to_low = MIN_OF(t->medium_to_low, t->low_to_medium - 1);
}

struct disk {
    uint64_t limit, counted, gap;
    bool is_percent;
};

/* What is to be free at a threshold of the rule, and at least `min`. */
static uint64_t wanted_free(const struct disk *d, uint64_t threshold, uint64_t min)
{
    uint64_t free = d->is_percent ? part_down(d->counted, 100 - MIN_OF(threshold, 100))
                                  : d->limit - MIN_OF(threshold, d->limit);

    return MIN_OF(MAX_OF(free, min), d->limit);
}

static void of_disk(struct governor_thresholds *ret, const struct governor_settings *s,
                    const struct governor_rule *rule, uint64_t limit, uint64_t need)
{
    const struct governor_thresholds *t = &rule->thresholds;
    struct disk d = {.limit = limit,
                     .counted = MIN_OF(limit, s->disk_counted_max),
                     .gap = MIN_OF(s->disk_gap, limit / GAP_PART),
                     .is_percent = rule->is_percent};
    uint64_t free = wanted_free(&d, t->medium_to_high, thresholds_need(limit, need));

    ret->medium_to_high = limit - free;
    free = wanted_free(&d, t->high_to_medium, free + d.gap);
    ret->high_to_medium = limit - free;
    free = wanted_free(&d, t->low_to_medium, free + d.gap);
    ret->low_to_medium = limit - free;
    free = wanted_free(&d, t->medium_to_low, free + d.gap);
    ret->medium_to_low = limit - free;
}

void thresholds_effective(struct governor_thresholds *ret, const struct governor_settings *s,
                          enum governor_resource which, uint64_t limit, uint64_t need)
{
    const struct governor_rule *rule = &s->rules[which];
    const struct governor_thresholds *t = &rule->thresholds;

    if (limit > 0 && thresholds_are_of_disk(which))
        of_disk(ret, s, rule, limit, need);
    else if (!rule->is_percent)
        *ret = *t;
    else if (limit > 0)
        *ret = (struct governor_thresholds){.low_to_medium = reaches(limit, t->low_to_medium),
                                            .medium_to_high = reaches(limit, t->medium_to_high),
                                            .high_to_medium = not_over(limit, t->high_to_medium),
                                            .medium_to_low = not_over(limit, t->medium_to_low)};
    else
        *ret = (struct governor_thresholds){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    put_in_order(ret);
}
