#include <stdio.h>

#include "base/assert.h"
#include "simulate/simulate.h"

/* Their defaults are of no use here: the other policies have the scenario's limit. */
static const char *const limits[] = {"lanes.connections_max",
                                     "delivery.connections_per_destination_max"};
#define LIMIT_TEXT_MAX 80

int simulate_config(const struct scenario *s, const char *file, const char *const *sets,
                    size_t set_count, struct config **ret, struct buf *why)
{
    char texts[ARRAY_SIZE(limits)][LIMIT_TEXT_MAX];
    const char *all[ARRAY_SIZE(limits) + SIMULATE_SETS_MAX];
    struct config *said = NULL, *defaults = NULL;
    const struct config *c;
    size_t count = 0;
    int r;

    ASSERT(set_count <= SIMULATE_SETS_MAX);
    r = config_load(file, sets, set_count, &said, why);
    if (r == 0)
        r = config_load(NULL, NULL, 0, &defaults, why);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(limits); i++) {
        if (config_differs(said, defaults, limits[i]))
            continue;
        (void)snprintf(texts[count], LIMIT_TEXT_MAX, "%s=%u", limits[i], s->connections);
        all[count] = texts[count];
        count++;
    }
    for (size_t i = 0; i < set_count; i++)
        all[count++] = sets[i];
    if (r == 0)
        r = config_load(file, all, count, ret, why);
    c = said;
    config_unref(&c);
    c = defaults;
    config_unref(&c);
    return r;
}
