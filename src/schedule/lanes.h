/*
 * schedule/lanes.h - the lanes of a server: provider x source, each with its window of attempts,
 * its controller, its warm-up and its incident, over the schedule's limits.
 *
 *     attempt -> window, incident ---tick---> throttle -> decision -> schedule's limits
 *
 * Incidents. From its first capacity or rate reply on a lane notes every attempt; when it enters
 * THROTTLE or INCIDENT the notes become an incident, with all that led to it. It closes when the
 * lane is NORMAL again. Notes that lead nowhere are dropped an hour after the last such reply.
 *
 * Rests. A reply for want of capacity, or of rate, takes a slot out of the lane for rest_ms, more or
 * less (from a quarter of it to one and a half, and to the next tick). Where the lane uses all it
 * has, schedule_take() ends the connection that was refused: the load follows what the receiver takes
 * within seconds, while the controller's limits follow within retry cycles. Where no host took the
 * session the slots that are free rest along (lanes_session_refused()). Rests are not stored.
 *
 * Backlogs. After a cut, a pause, and where lanes_spread() asks for it (a restart), the lane's
 * retries are spread over the time that they take at the lane's pace: what it delivers a second, or
 * release_per_second if that is more. When a lane has its full limits back, or delivers again after a
 * retry cycle without a delivery and OUTAGE_ATTEMPTS in a row without an answer, what waits is
 * released before its own time, at the pace of the lane's best minute of the last three hours: each
 * message once, and as long as there is mail older than the recovery again after each retry cycle, two
 * hours at most. It ends when less than half of the retries are delivered (of a few: none in a round),
 * when something is refused by policy, and with new pressure.
 *
 * Engine: no I/O, no clock. The same object runs in the server (deliver/queue.c, queue thread) and
 * in `penstock simulate`. One thread at a time. A lane costs about 13 KiB, and 31 KiB more while it
 * has notes or an incident. LANES_MAX bounds them: then a lane that has nothing to say (no mail, no
 * incident, nothing by the operator) gives its place to a new one; where none is found, providers
 * share the lane "other/SOURCE". What is learnt of one of them tells nothing of the rest: its
 * controller cuts nothing, and its full limit is other_connections.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "evidence/attempt.h"
#include "evidence/incident.h"
#include "evidence/window.h"
#include "schedule/schedule.h"
#include "schedule/throttle.h"
#include "schedule/warm_up.h"

#define LANES_MAX 4096
#define LANE_NAME_MAX 320 /* "provider/source" with its NUL */
#define OUTAGE_ATTEMPTS 10

/* A lane, until its place is given to another: then it is stale. Nothing bad comes of a stale one:
 * each call below says what. */
typedef uint32_t lane_ref;
#define LANE_NONE UINT32_MAX

struct lanes; /* opaque */

struct lanes_settings {
    uint64_t tick_ms;           /* 10 s; scaled down in tests */
    uint32_t minute_ms;         /* of the windows; 0: 60000. Scaled down in tests */
    uint32_t sample_min;        /* for verdicts */
    double release_per_second;  /* pace of early release and of a spread backlog without history */
    uint32_t other_connections; /* full limit of "other/SOURCE"; 0: as its rules say */
    uint64_t rest_ms;           /* how long a slot rests after want of capacity; 0: it does not */
    uint64_t spread_max_ms;     /* a backlog is spread over no longer than this; 0: never spread */
};

/* What holds for one lane; asked for when it is made and after each change of settings. */
struct lane_rules {
    struct throttle_settings throttle;
    struct warm_up_settings warm_up;
};

struct lanes_seams { /* each may be NULL but rules; none may call a function of lanes.h */
    void *ctx;
    void (*rules)(void *ctx, struct slice provider, struct slice source, struct lane_rules *ret);
    /* A lane's band or limits changed, or a hold ended without a change. */
    void (*decided)(void *ctx, struct slice lane, const struct throttle_decision *d);
    /* The planned increase of a warm-up is held, or made; UINT32_MAX: no limit. */
    void (*warm_up)(void *ctx, struct slice lane, uint32_t from_a_day, uint32_t to_a_day,
                    bool is_held, const char *why);
    /* Replies of policy or authentication, confirmed to be above throttle_share in the last day,
     * begin or are over: for a person, nothing is done about them but that no mail goes faster. */
    void (*refused)(void *ctx, struct slice lane, uint64_t attempts, uint64_t policy, bool begins);
    /* An incident opened, changed (a decision, or once a minute when there were refusals), or
     * closed (i->closed_ms). */
    void (*incident)(void *ctx, const struct incident *i);
    /* The governor's level is medium or high. */
    bool (*is_pressed)(void *ctx);
};

/* `schedule` is borrowed; settings and seams are copied. 0, -ENOMEM. */
MUST_CHECK int lanes_new(struct lanes **ret, const struct lanes_settings *settings,
                         struct schedule *schedule, const struct lanes_seams *seams);
void lanes_free(struct lanes **l); /* NULL is fine */
/* Asks rules() anew for every lane. */
void lanes_set(struct lanes *l, const struct lanes_settings *settings, int64_t now_ms);

/*
 * The lane of that provider and source, made when new: its schedule lane too. Names are kept in
 * lower case; bytes that no name has (controls, quotes, what is not UTF-8) become '?', longer ones
 * are cut. LANE_NONE: no memory.
 */
lane_ref lanes_find(struct lanes *l, struct slice provider, struct slice source, int64_t now_ms);
/* Of a stale one: SCHEDULE_LANE_NEW. */
uint32_t lanes_schedule_lane(const struct lanes *l, lane_ref lane);
/* "provider/source"; of a stale one: empty. */
struct slice lanes_name(const struct lanes *l, lane_ref lane);
/* An attempt of that lane is over. A stale one, LANE_NONE: of the lane that the attempt names. */
void lanes_attempt(struct lanes *l, lane_ref lane, const struct attempt *a);
/*
 * Every host of a destination refused the session with a 4xx (421 too many connections), and its slot
 * is not yet released: it rests. True: other connections to that destination hold, so it has too many
 * now and is not to be left alone; false: it is (schedule_destination_failed()), since nothing else
 * keeps it from being tried again at once: no other connection, a stale lane, or one without rests
 * (its controller is off, rest_ms is 0).
 */
MUST_CHECK bool lanes_session_refused(struct lanes *l, lane_ref lane, uint32_t destination,
                                      int64_t now_ms);
/* Runs every controller whose time has come (a sixteenth of them at a time), and a step of what is
 * to be spread; returns when it is due next. */
int64_t lanes_tick(struct lanes *l, int64_t now_ms);
/* Spreads what waits in that lane, or in all (LANE_NONE): after a restart. */
void lanes_spread(struct lanes *l, lane_ref lane, int64_t now_ms);

/* By the operator; they outlive a restart. A paused lane starts no attempt. A limit is a lower
 * full limit (0: back to the configured one). -ENOENT. */
MUST_CHECK int lanes_pause(struct lanes *l, struct slice lane, bool paused, int64_t now_ms);
MUST_CHECK int lanes_limit(struct lanes *l, struct slice lane, uint32_t connections,
                           int64_t now_ms);

struct lane_view { /* borrowed until the next call that changes something */
    lane_ref ref;
    struct slice name, provider, source;
    const struct throttle *throttle;
    struct throttle_settings settings; /* with the operator's limit */
    struct throttle_decision last;     /* .at_ms 0: none yet */
    const struct window *window;
    const struct times *delivery_times; /* each day halves the weight of those before it */
    struct schedule_lane_view queue;
    struct schedule_lane_limits limits; /* in force: of controller, warm-up and operator */
    uint32_t connections_peak;          /* in the window */
    uint32_t resting;                   /* slots, of those that the controller allows */
    bool paused;
    uint32_t limit;                       /* the operator's; 0: none */
    uint64_t incident;                    /* id of the open one; 0 */
    uint32_t warm_up_today, warm_up_sent; /* 0: no warm-up; UINT32_MAX: it is over */
    bool warm_up_held;                    /* the next increase */
    bool warm_up_reached;                 /* nothing more today */
    bool is_refused;                      /* see seams.refused */
    uint64_t to_release;                  /* waiting entries that are being released early */
    bool is_spreading;
};
bool lanes_next(const struct lanes *l, uint32_t *it, struct lane_view *ret); /* start with 0 */
bool lanes_get(const struct lanes *l, struct slice name, struct lane_view *ret);
/* The open incidents; the closed ones are the ledger's. NULL: none of that id. */
const struct incident *lanes_incident(const struct lanes *l, uint64_t id);
bool lanes_next_incident(const struct lanes *l, uint32_t *it, const struct incident **ret);
/* The next incident's id will be above this one. */
void lanes_set_incident_id(struct lanes *l, uint64_t id);

/*
 * What a restart must not forget of one lane: throttle, window, pause, limit, warm-up, incident, as
 * a JSON object. lanes_restore() makes the lane, or overwrites it; unknown keys are left out; parts
 * that are damaged are begun anew, all others are taken. A text of a window with other minutes than
 * the settings': window and controller are begun anew. Save: 0, -ENOENT (stale), -E2BIG (no room or
 * no memory). Restore: 0, -ERR_DAMAGED (not an object, or without names), -ENOMEM.
 */
#define LANE_TEXT_MAX KIB(160)
MUST_CHECK int lanes_save(const struct lanes *l, lane_ref lane, struct buf *to);
MUST_CHECK int lanes_restore(struct lanes *l, struct slice text, int64_t now_ms);
/* Lanes changed since they were last given out here (to be stored): the next one's ref, or
 * LANE_NONE. A decision or the operator changes a lane at once, attempts once a minute. */
lane_ref lanes_next_changed(struct lanes *l);
