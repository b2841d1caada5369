/*
 * simulate/scenario.h - a scenario as its file says it: providers and what they can take, the mail
 * that comes, what goes wrong and when.
 *
 * Ownership: a scenario owns all it points to. Immutable once read. No I/O: the YAML comes as bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "config/config.h"
#include "config/pool.h"

#define SCENARIO_PROVIDERS_MAX 64
#define SCENARIO_TRAFFIC_MAX 64
#define SCENARIO_EVENTS_MAX 64
#define SCENARIO_SOURCES_MAX 16
#define SCENARIO_NODES_MAX 16

struct scenario_provider {
    const char *name;
    uint32_t domains;           /* recipient domains, that mail goes to evenly */
    uint32_t connections;       /* at a time, of all that it takes while it is well */
    struct config_rate rate;    /* messages that it takes while it is well */
    uint64_t latency_ms;        /* of an attempt while it is not loaded */
    double refusals;            /* share of capacity replies while it is well */
    double unknown_mailboxes;   /* share of messages to recipients that it does not have */
    uint64_t greylist_ms;       /* a message is taken so long after its first attempt; 0: at once */
    struct config_rate limit;   /* messages of one source; 0: no limit */
    const char *capacity_reply; /* with its codes */
    bool is_ours;               /* our own relay or smart host */
    bool is_separate;           /* each domain has hosts of its own, and so is its own provider */
    double dead;                /* share of domains whose hosts never answer */
};

struct scenario_traffic {
    const char *provider;
    uint32_t index; /* of the provider */
    struct config_rate rate;
    uint64_t from_ms, for_ms; /* for 0: to the end */
    double wave;              /* swing of the rate over a day, a share of it */
    uint32_t burst;           /* messages at once, at `from` */
};

struct scenario_event { /* less capacity for a while */
    const char *provider;
    uint32_t index; /* of the provider; UINT32_MAX: of all */
    uint64_t at_ms, for_ms, ramp_ms, every_ms;
    uint32_t times;
    double capacity; /* share that is left; 0: nobody answers */
};

struct scenario_source {
    const char *name;
    struct config_counts warm_up; /* messages a day to a provider; none: it is warm */
};

struct scenario {
    const char *title;
    uint64_t duration_ms; /* of the traffic */
    uint32_t connections; /* full limit of a lane, whatever the policy */
    uint32_t nodes;       /* servers that know nothing of each other, each with its addresses */
    struct scenario_provider *providers;
    size_t provider_count;
    struct scenario_traffic *traffic;
    size_t traffic_count;
    struct scenario_event *events;
    size_t event_count;
    struct scenario_source *sources;
    size_t source_count;
    uint64_t trouble_end_ms; /* when the last event is over; without any, the duration */
    struct pool pool;        /* private */
};

/* `name` is what errors call it. 0; -EINVAL with one line an error in `why`
 * ("file:line:column: what"); -ENOMEM. */
MUST_CHECK int scenario_read(struct scenario **ret, const char *name, struct slice text,
                             struct buf *why);
void scenario_free(struct scenario **s); /* NULL is fine */

/* Share of its capacity that a provider has at a time. */
double scenario_capacity(const struct scenario *s, uint32_t provider, uint64_t at_ms);

/* The scenarios that are part of the program, by their names ("spike"); NULL: the end. */
struct scenario_shipped {
    const char *name;
    struct slice text;
};
const struct scenario_shipped *scenario_shipped_at(size_t i);
