/*
 * simulate/policy.h - private: what a sender does about what it is answered.
 *
 * All policies send through the same schedule (schedule/schedule.h). `playbook` is Penstock's
 * discipline itself, schedule/lanes.h as the setup's configuration has it. The others are models: of what
 * is documented of other servers, never of their code.
 *
 *     fixed          so many connections, whatever comes; a message waits 5, 10, 20, 40, 80, 160
 *                    minutes. A destination that takes no connection is left alone as long.
 *     postfix-model  connections 5 at first, + 1 for a delivery without a failed handshake, - 1 for
 *                    a failed one, up to the limit. A 4xx after the handshake is no failure. After
 *                    failures of as many as are in use the destination is dead for 300 s. A message
 *                    waits as long as it is old, 300 s to 4000 s. (Documented in postconf(5) and
 *                    SCHEDULER_README; the concurrency is a lane's here, and a destination's there.)
 *     kumomta-model  a message waits 20 minutes, twice as long each time. The automation that is
 *                    shipped for every domain: at a match one connection and 1 message a minute for
 *                    90 minutes, then all at once as before. Its texts do not match 452 4.3.1: the
 *                    model supposes an operator who had it match capacity and rate replies, ten in
 *                    a minute.
 *     oracle         knows at each moment what the provider takes, and sends a little less.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "config/config.h"
#include "evidence/attempt.h"
#include "schedule/lanes.h"
#include "schedule/schedule.h"
#include "simulate/simulate.h"
#include "simulate/world.h"

struct policy_lane { /* of the models: one of each provider and source */
    uint32_t schedule_lane;
    struct schedule_lane_limits limits;
    double success, failed_cohorts; /* postfix-model */
    uint32_t matches, failures;     /* kumomta-model: in this minute; in a row */
    int64_t minute, until_ms;
};

struct policy { /* fields are private */
    enum simulate_policy id;
    const struct scenario *scenario;
    const struct simulate_setup *setup;
    struct schedule *schedule;
    struct lanes *lanes;        /* playbook; else NULL */
    struct policy_lane *models; /* provider * sources + source */
    struct simulate_result *result;
    uint32_t node;
    int64_t start_ms;
};

/* How messages wait, and the limits of the schedule. */
void policy_schedule(enum simulate_policy id, const struct scenario *s, const struct config *c,
                     struct schedule_config *ret);
/* All pointers are borrowed. `node`: whose it is, from 0. Incidents are told to `result`. 0, -ENOMEM. */
MUST_CHECK int policy_init(struct policy *p, enum simulate_policy id, const struct scenario *s,
                           const struct simulate_setup *setup, struct schedule *schedule,
                           uint32_t node, int64_t now_ms, struct simulate_result *result);
void policy_done(struct policy *p);

/* Puts a new destination into its lane. 0, -ENOMEM. */
MUST_CHECK int policy_join(struct policy *p, uint32_t destination, uint32_t provider,
                           struct slice domain, uint32_t source, int64_t now_ms, lane_ref *ret);
struct policy_try { /* where an attempt went; its slot is not yet released */
    lane_ref lane;
    uint32_t destination, provider, source;
};
/* An attempt is over. True: its destination is to be left alone (schedule_destination_failed()). */
bool policy_attempt(struct policy *p, const struct policy_try *t, const struct attempt *a,
                    const struct outcome *o);
/* Each second, after the world's. */
void policy_second(struct policy *p, const struct world *w, int64_t now_ms);
/* When it is to be called next; SCHEDULE_NEVER. */
int64_t policy_tick(struct policy *p, int64_t now_ms);
