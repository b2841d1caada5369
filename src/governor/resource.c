/* governor/resource.c - see resource.h. */
#include "governor/resource.h"

#include "governor/thresholds.h"

void resource_init(struct resource *r, uint64_t now_ms)
{
    *r = (struct resource){.has_figure = false};
    level_init(&r->level, now_ms);
}

/* Limits in order: none is the highest. */
static uint64_t as_number(uint64_t limit)
{
    return limit ? limit : UINT64_MAX;
}

static uint64_t limit_that_counts(struct resource *r, enum governor_resource which, uint64_t limit)
{
    if (r->has_figure && !thresholds_are_of_disk(which) &&
        as_number(limit) < as_number(r->figure.limit)) {
        r->shrunk_highest = MAX_OF(r->shrunk_highest, limit);
        if (++r->shrunk < RESOURCE_SHRINK_SAMPLES)
            return r->figure.limit;
        limit = r->shrunk_highest;
    }
    r->shrunk = 0;
    r->shrunk_highest = 0;
    return limit;
}

static void take_figure(struct resource *r, enum governor_resource which,
                        const struct governor_figure *f, uint64_t now_ms)
{
    uint64_t limit = limit_that_counts(r, which, f->limit);

    r->figure = *f;
    r->figure.limit = limit;
    r->has_figure = true;
    r->missing = 0;
    trend_add(&r->trend, now_ms, f->used);
}

static void miss_figure(struct resource *r, const struct governor_figure *f)
{
    r->figure.is_known = false;
    r->figure.origin = f->origin;
    r->figure.why = f->why;
    if (r->has_figure && ++r->missing > RESOURCE_MISSING_MAX) {
        r->has_figure = false;
        r->trend = (struct trend){.count = 0};
    }
}

enum level_step resource_sample(struct resource *r, const struct governor_settings *s,
                                enum governor_resource which, const struct governor_figure *f,
                                uint64_t now_ms)
{
    enum pressure_level to = PRESSURE_NORMAL;
    enum level_step step;

    if (f->is_known)
        take_figure(r, which, f, now_ms);
    else
        miss_figure(r, f);
    thresholds_effective(&r->effective, s, which, r->figure.limit, r->figure.need);
    if (f->is_known)
        to = level_judge(r->level.now, f->used, &r->effective);
    else if (r->has_figure)
        to = r->level.now;
    step = level_move(&r->level, to, now_ms, s->dwell_ms);
    if (r->level.now == PRESSURE_NORMAL) {
        r->off_normal = 0;
        r->has_hardened = false;
    } else {
        r->off_normal += r->off_normal < UINT32_MAX;
        r->has_hardened = r->has_hardened || r->off_normal > s->rules[which].history;
    }
    return step;
}

bool resource_is_worse(const struct resource *r, const struct resource *other)
{
    if (r->level.now != other->level.now)
        return r->level.now > other->level.now;
    return (double)r->figure.used / (double)r->effective.medium_to_high >
           (double)other->figure.used / (double)other->effective.medium_to_high;
}

enum governor_resource resource_worst(const struct resource *resources,
                                      const struct governor_settings *s, enum pressure_level min,
                                      bool only_hardened)
{
    size_t worst = GOVERNOR_RESOURCES;

    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        const struct resource *r = &resources[i];

        if (!resource_counts(&s->rules[i]) || r->level.now < min ||
            (only_hardened && !r->has_hardened))
            continue;
        if (worst == GOVERNOR_RESOURCES || resource_is_worse(r, &resources[worst]))
            worst = i;
    }
    return (enum governor_resource)worst;
}
