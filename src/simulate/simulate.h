/*
 * simulate/simulate.h - a scenario in virtual time: the real schedule and lanes against providers
 * that are modelled, for one policy at a time. See docs/simulate.md for the model.
 *
 * The same scenario, setup, seed and policy give the same result to the last bit. No clock, no
 * threads of its own, no I/O in a run.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "config/config.h"
#include "evidence/incident.h"
#include "evidence/knowledge.h"
#include "evidence/replies.h"
#include "evidence/window.h"
#include "simulate/scenario.h"

/* X(constant, name). */
#define SIMULATE_POLICIES(X)                                                                       \
    X(SIMULATE_PLAYBOOK, "playbook")                                                               \
    X(SIMULATE_FIXED, "fixed")                                                                     \
    X(SIMULATE_POSTFIX, "postfix-model")                                                           \
    X(SIMULATE_KUMOMTA, "kumomta-model")                                                           \
    X(SIMULATE_ORACLE, "oracle")
#define SIMULATE_POLICY_LINE(constant, name) constant,
enum simulate_policy { SIMULATE_POLICIES(SIMULATE_POLICY_LINE) SIMULATE_POLICY_COUNT };
const char *simulate_policy_name(enum simulate_policy p);
/* SIMULATE_POLICY_COUNT: there is none of that name. */
enum simulate_policy simulate_policy_find(struct slice name);

/* One minute of a run: counts in it, and the queue at its end. */
struct simulate_minute {
    uint32_t arrived, attempts, capacity, delivered;
    uint64_t queue;
    uint32_t connections; /* in use at its end */
};

#define SIMULATE_SETS_MAX 256
#define SIMULATE_INCIDENTS_MAX 64 /* kept; all are counted */
struct simulate_incident {
    char lane[INCIDENT_ITEM_MAX], kind[16];
    int64_t opened_ms, closed_ms; /* since the scenario began; closed 0: open at the end */
    uint64_t id, refusals;        /* the id is the node's */
    uint32_t node;
    enum verdict_side side;
};

struct simulate_result {
    enum simulate_policy policy;
    uint64_t attempts, delivered, deferred, failed; /* attempts is the sum of the three */
    uint64_t by_class[REPLY_CLASSES];               /* of those not delivered */
    /* Messages: the sum of the last four. `left`: still queued when the run was cut off. */
    uint64_t messages, messages_delivered, messages_failed, messages_expired, messages_left;
    uint64_t delivered_first; /* at their first attempt */
    struct times times;       /* to delivery */
    uint64_t queue_peak;
    bool drained;
    /* From the end of the trouble until all mail that came before it was gone. */
    uint64_t drain_ms;
    uint64_t ended_ms; /* since the scenario began */
    uint64_t decisions;
    uint64_t incident_count;
    struct simulate_incident incidents[SIMULATE_INCIDENTS_MAX];
    struct simulate_minute *minutes; /* owned */
    size_t minute_count;
};

/* What the playbook runs with; borrowed. The other policies take `retry.max_queue_time` of it. */
struct simulate_setup {
    const struct config *config;
    const struct knowledge *knowledge;
};

/*
 * A configuration for a scenario: that of `file` (NULL: the defaults), then `sets` as
 * config_load() has overrides. Where neither says so, the limits of a lane and of a destination are
 * the scenario's `connections`. Reads files. Returns and `why` as config_load().
 */
MUST_CHECK int simulate_config(const struct scenario *s, const char *file, const char *const *sets,
                               size_t set_count, struct config **ret, struct buf *why);
/* 0, -ENOMEM. */
MUST_CHECK int simulate_run(const struct scenario *s, const struct simulate_setup *setup,
                            enum simulate_policy policy, uint64_t seed,
                            struct simulate_result *ret);
void simulate_result_done(struct simulate_result *r);
