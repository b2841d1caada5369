/*
 * schedule/throttle.h - the controller of one lane: what share of its attempts meet a receiver
 * short of capacity, what band that is, and how many connections (and messages a second) it may
 * have. A pure state machine: counts and time in, decisions with all their inputs out.
 *
 *     NORMAL <-> WATCH -> THROTTLE -> INCIDENT        (up: as soon as the sample says so)
 *        ^                   |            |
 *        `--- RECOVERING <---'------------'           (down: rate at baseline and age falling)
 *
 * A cut multiplies connections (and the rate) by 1 + connection_change, never below the floor, and
 * then nothing changes for hold_cycles retry cycles; then it looks again, at what came since. In
 * RECOVERING each step up waits for step_hold, and needs the rate at baseline and the age of the
 * queue not growing; new pressure there is a new cut (after its hold). More pressure never means
 * more connections.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "evidence/window.h"

#define BAND_TABLE(X)                                                                              \
    X(BAND_NORMAL, "normal")                                                                       \
    X(BAND_WATCH, "watch")                                                                         \
    X(BAND_THROTTLE, "throttle")                                                                   \
    X(BAND_INCIDENT, "incident")                                                                   \
    X(BAND_RECOVERING, "recovering")
#define BAND_LINE(constant, name) constant,
enum band { BAND_TABLE(BAND_LINE) BANDS };
const char *band_name(enum band b);

struct throttle_settings {    /* config: lanes.*, and connection_change of a destination's block */
    bool enabled;             /* false: bands are told, nothing is cut */
    uint32_t connections_max; /* the lane's full limit, 1 or more */
    uint32_t connections_floor; /* 1..connections_max */
    double rate_max;            /* messages a second; 0: no limit */
    double rate_floor;          /* messages a second, over 0 */
    double connection_change;   /* -0.9 .. -0.01 */
    double rate_change;         /* for rate replies, -0.9 .. -0.01 */
    uint64_t window_ms;  /* minutes; the hour and the day behind it where the sample is small */
    uint32_t sample_min; /* attempts without which nothing is decided */
    uint32_t hits_min;   /* capacity replies without which no band above WATCH is entered */
    double alpha;        /* of the lower bound: 0.01 is one false alarm of a hundred looks */
    double watch_share, throttle_share, incident_share; /* 0.0001, 0.0002, 0.002 */
    double baseline_factor; /* pressure is above baseline * this; "at baseline" is at most that */
    uint64_t queue_age_max_ms; /* 0: no limit */
    uint64_t cycle_ms;         /* one retry cycle: the lane's initial_retry */
    uint32_t hold_cycles;      /* 2 */
    double restore_step;       /* share of the full limit given back in a step: 0.1 */
    uint64_t step_hold_ms;     /* between two steps up; 0: one cycle */
};

struct throttle_input {
    const struct window *window; /* advanced to now */
    uint32_t connections_peak;   /* most in use at a time in the window */
    double rate;                 /* messages a second attempted, in the window */
    uint64_t queue_length;
    uint64_t queue_age_ms; /* of the oldest entry */
};

enum throttle_action {
    THROTTLE_NONE,
    THROTTLE_CUT,
    THROTTLE_PACE,
    THROTTLE_STEP_UP,
    THROTTLE_FULL
};

/* One decision, with what it was made from. Told when band or limits change, and each time a hold
 * ends without a change ("looked again, still above baseline" never is a change without a cut). */
struct throttle_decision {
    int64_t at_ms;
    enum band from, to;
    enum throttle_action action;
    uint32_t connections_from, connections_to;
    double rate_from, rate_to; /* 0: no limit */
    /* Inputs: */
    uint32_t span_minutes; /* the window looked at */
    uint64_t attempts, capacity, rate_replies;
    double share, lower_bound, baseline;
    uint64_t queue_length, queue_age_ms;
    bool age_is_falling;
    int64_t next_change_ms; /* not before; 0: at any time */
    const char *why;        /* a literal sentence part: "above 0.2 %, confirmed" ... */
};

struct throttle { /* a value; fields are private, saved and restored whole */
    enum band band;
    int64_t band_since_ms, changed_ms, hold_until_ms, looked_ms, since_ms;
    uint32_t connections;   /* the present limit */
    double rate;            /* the present limit; 0: none */
    double baseline;        /* share */
    uint64_t baseline_hour; /* last hour folded into it */
    uint64_t age_before_ms;
    uint32_t cuts, steps;
};

void throttle_init(struct throttle *t, const struct throttle_settings *s, int64_t now_ms);
/* A new full limit or other settings: limits are clipped into them, never raised by pressure. */
void throttle_set(struct throttle *t, const struct throttle_settings *s, int64_t now_ms);
/* Looks at the lane. True: `*ret` is a decision. Costs the same whatever the traffic; every
 * `tick` (10 s) is enough. Clock steps back end no hold early and lengthen none beyond its length. */
bool throttle_tick(struct throttle *t, const struct throttle_settings *s,
                   const struct throttle_input *in, int64_t now_ms, struct throttle_decision *ret);
/* For storing across restarts, as text "1 key=value ..."; 0, -E2BIG, -ENOMEM; -ERR_DAMAGED. */
MUST_CHECK int throttle_save(const struct throttle *t, struct buf *to);
MUST_CHECK int throttle_load(struct throttle *t, struct slice text);
