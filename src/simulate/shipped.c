/*
 * simulate/shipped.c - the scenarios of share/scenarios/, embedded by tools/embed.
 */
#include "simulate/scenario.h"

/* X(name of the variable, name). */
#define SHIPPED(X)                                                                                 \
    X(scenario_spike, "spike")                                                                     \
    X(scenario_dip, "dip")                                                                         \
    X(scenario_brown_out, "brown-out")                                                             \
    X(scenario_outage, "outage")                                                                   \
    X(scenario_flapping, "flapping")                                                               \
    X(scenario_our_side, "our-side")                                                               \
    X(scenario_warm_up, "warm-up")                                                                 \
    X(scenario_small, "small")                                                                     \
    X(scenario_nodes, "nodes")

#define SHIPPED_EXTERN(variable, name) extern const struct slice variable;
SHIPPED(SHIPPED_EXTERN)

#define SHIPPED_NAME(variable, name) {name, {0}},
#define SHIPPED_TEXT(variable, name) &(variable),

const struct scenario_shipped *scenario_shipped_at(size_t i)
{
    static struct scenario_shipped list[] = {SHIPPED(SHIPPED_NAME)};
    static const struct slice *const texts[] = {SHIPPED(SHIPPED_TEXT)};

    if (i >= ARRAY_SIZE(list))
        return NULL;
    list[i].text = *texts[i];
    return &list[i];
}
