/*
 * schedule/throttle.h - the controller of one lane: what share of its attempts meet a receiver
 * short of capacity, what band that is, and how many connections (and messages a second) it may
 * have. A pure state machine: counts and time in, decisions with all their inputs out.
 *
 *     NORMAL <-> WATCH -> THROTTLE -> INCIDENT        (up: as soon as the sample says so)
 *        ^                   |            |
 *        `--- RECOVERING <---'------------'           (down: at baseline, and nothing else to say)
 *
 * Bands. The share is capacity replies of attempts in the window.
 *     WATCH       above baseline: more than baseline * baseline_factor and watch_share or more; or
 *                 more than that, and not confirmed. Left after a whole window at baseline.
 *     THROTTLE    confirmed to be above throttle_share (and above baseline * baseline_factor).
 *     INCIDENT    confirmed to be above incident_share; or the oldest mail is over its age. The
 *                 latter alone cuts nothing: fewer connections help no outage.
 * Confirmed is: sample_min attempts or more, hits_min replies or more, and the exact lower bound of
 * the share (evidence/window.h) is above. Where the window has fewer attempts than sample_min the
 * last hour is looked at, then the last day; and replies from before the last cut (or before the look
 * that found the limits at their floors) count no more: one burst is not punished twice. So
 *     1 of 5         is too small a sample: WATCH;
 *     1 of 10,000    is one hit: WATCH;
 *     3 of 3 in a lane that has no more in a day is WATCH, and stays so. Nothing is cut: such a lane
 *                    has one connection at a time anyhow, and its retry times are what spares the
 *                    receiver;
 *     3 of 200       is INCIDENT (with alpha 0.01 the share is above 0.218 %).
 *
 * A cut multiplies the connections in use (the lower of the limit and of the most in use in the
 * window, so that it is felt), and a limit of the rate where there is one, by 1 +
 * connection_change, never below the floors. Rate replies, confirmed in the same way to be above
 * throttle_share, multiply the rate by 1 + rate_change: the limit's, or what the busiest minute of
 * the window had, the lower. After either nothing changes for hold_cycles retry cycles; then it
 * looks again, at what came since.
 *
 * Restoring: a step is a share of the full limits. Each waits for step_hold since the last change,
 * and needs both kinds of replies at baseline in the window (of too small a sample: in the last
 * hour), and a queue that eases: it is empty; or something was tried since the last cut, and either
 * its oldest mail is younger than at the last change or look, or nothing in it is due (one full
 * mailbox is no backlog). A queue that does not ease for a step_hold after the hold and after the
 * last step grows by our own limit, where the receiver is at baseline and settles most of what it is
 * offered (takes it, or refuses it for good and not by policy): then a step is made all the same, or
 * a lane with more mail than its limit lets through would keep the limit for ever. New pressure while
 * restoring is a new cut. With the last step the lane is NORMAL.
 *
 * More pressure never means more connections: of two ticks with the same state and input, but more
 * capacity replies of as many attempts, the one with more never leaves more connections. Of two
 * whole histories that is true until the one with more replies makes a step up (its cuts, and so
 * the ends of its holds, come earlier), where the window has sample_min and is no longer than the
 * hold; and as far as the baseline is the same.
 *
 * The baseline is learnt from whole hours in NORMAL and WATCH, and from those after a hold in which
 * limits are still lowered and no pressure is confirmed (else a few refusals that always come, below
 * throttle_share but above an old baseline, would keep them low for ever). None counts for more than
 * throttle_share: slowly (half of it is forgotten in 72 busy hours), and never from what was cut for.
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
/* NORMAL or WATCH: nothing is confirmed. */
bool band_is_calm(enum band b);
/* BANDS: there is none of that name. */
enum band band_find(struct slice name);

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
    const struct window *window; /* advanced to now; always the same one */
    uint32_t connections_peak;   /* most in use at a time in the window; 0: not known */
    double rate;                 /* messages a second attempted, in the busiest minute of it */
    uint64_t queue_length;
    uint64_t queue_ready;  /* of these, due and waiting for a connection */
    uint64_t queue_age_ms; /* of the oldest entry */
};

enum throttle_action {
    THROTTLE_NONE,
    THROTTLE_CUT,     /* fewer connections, for capacity replies */
    THROTTLE_PACE,    /* a lower rate, for rate replies */
    THROTTLE_STEP_UP, /* a step towards the full limits */
    THROTTLE_FULL     /* the last one */
};
const char *throttle_action_name(enum throttle_action a); /* "none", "cut", "pace", "step-up" .. */

/* One decision, with what it was made from. Told when band or limits change, and each time a hold
 * ends without a change ("looked again, still above baseline"). */
struct throttle_decision {
    int64_t at_ms;
    enum band from, to;
    enum throttle_action action;
    uint32_t connections_from, connections_to;
    double rate_from, rate_to; /* 0: no limit */
    /* Inputs: */
    uint32_t span_minutes; /* the window looked at */
    uint64_t attempts, capacity, rate_replies;
    double share, lower_bound, baseline; /* shares of capacity replies */
    uint64_t queue_length, queue_age_ms;
    bool age_is_falling;    /* the queue eases */
    int64_t next_change_ms; /* not before; 0: at any time */
    const char *why;        /* a literal sentence part */
};

struct throttle { /* a value; fields are private, saved and restored whole */
    enum band band;
    int64_t band_since_ms, changed_ms; /* changed: the limits */
    int64_t hold_until_ms;             /* of the last cut */
    int64_t look_at_ms;                /* the next step up, or look at whether there is one */
    int64_t seen_ms;                   /* the last tick */
    int64_t calm_since_ms;             /* in NORMAL or WATCH, while it is */
    int64_t healthy_since_ms;          /* at baseline, while it is */
    bool is_healthy;
    uint32_t connections;   /* the present limit */
    double rate;            /* the present limit; 0: none */
    double rate_full;       /* where it ends when rate_max says nothing; 0: it is not paced */
    double baseline;        /* share */
    int64_t baseline_hour;  /* last hour folded into it; -1: none yet */
    uint64_t age_before_ms; /* of the queue, at the last change or look */
    struct throttle_mark {  /* the window's totals at the last cut */
        uint64_t attempts, capacity, rate, settled;
    } mark;
    uint32_t cuts, steps;
};

void throttle_init(struct throttle *t, const struct throttle_settings *s, int64_t now_ms);
/* Other settings, or a new full limit: in NORMAL and WATCH the limits become the full ones, else
 * they are clipped into them (and go up by steps). A hold is cut to its new length. */
void throttle_set(struct throttle *t, const struct throttle_settings *s, int64_t now_ms);
/*
 * Looks at the lane. True: `*ret` is a decision. Costs the same whatever the traffic (a few us);
 * every 10 s is enough. When the clock steps back all times are moved back with it, so that a hold
 * lasts as long as it would have.
 */
bool throttle_tick(struct throttle *t, const struct throttle_settings *s,
                   const struct throttle_input *in, int64_t now_ms, struct throttle_decision *ret);
/* Are the limits lower than full? */
bool throttle_is_lowered(const struct throttle *t, const struct throttle_settings *s);
/*
 * For storing across restarts, as text "1 key=value ..." without quotes: the same numbers to the
 * last bit. Loading takes all or changes nothing, leaves keys that it does not know, and is
 * followed by throttle_set(). 0; -E2BIG: no room or no memory (save); -ERR_DAMAGED (load).
 */
#define THROTTLE_TEXT_MAX 1024
MUST_CHECK int throttle_save(const struct throttle *t, struct buf *to);
MUST_CHECK int throttle_load(struct throttle *t, struct slice text);
