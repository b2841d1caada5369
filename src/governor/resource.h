/*
 * governor/resource.h - one resource: its figure as it counts, its thresholds, level, history and
 * trend.
 *
 * A limit that goes down counts when it has been lower for RESOURCE_SHRINK_SAMPLES samples on end,
 * and then as the highest of those; one that goes up counts at once (R19). The limit of a disk
 * always counts at once: what is in use belongs to it, and an older one would show room that is not
 * there. A figure that is not known leaves the level as it is for RESOURCE_MISSING_MAX samples;
 * then it is normal, when the dwell is over.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "governor/governor.h"
#include "governor/level.h"
#include "governor/trend.h"

#define RESOURCE_SHRINK_SAMPLES 3
#define RESOURCE_MISSING_MAX 3

struct resource {                  /* read freely; written here */
    struct governor_figure figure; /* of the last sample; while not known `used` and `limit` are
                                      the last that were, and `limit` is the one that counts */
    struct governor_thresholds effective;
    struct level level;
    struct trend trend;
    uint32_t off_normal; /* samples on end */
    bool has_hardened;
    bool has_figure; /* it was known lately enough to count */
    uint32_t missing, shrunk;
    uint64_t shrunk_highest;
};

void resource_init(struct resource *r, uint64_t now_ms);
enum level_step resource_sample(struct resource *r, const struct governor_settings *s,
                                enum governor_resource which, const struct governor_figure *f,
                                uint64_t now_ms);

/* Does it enter the server's level? */
static inline bool resource_counts(const struct governor_rule *rule)
{
    return !rule->observe_only && !rule->advisory;
}
/* Is there something that a remedy should free? */
static inline bool resource_wants_relief(const struct resource *r)
{
    return r->figure.is_known && r->figure.used > r->effective.medium_to_low;
}
/* At a higher level than `other`, or at the same and nearer to, or further over, high. */
bool resource_is_worse(const struct resource *r, const struct resource *other);
/* The worst of those that count and are at `min` or above (`only_hardened`: and have hardened);
 * GOVERNOR_RESOURCES: there is none. */
enum governor_resource resource_worst(const struct resource *resources,
                                      const struct governor_settings *s, enum pressure_level min,
                                      bool only_hardened);
