/*
 * schedule/lanes.h - the lanes of a server: provider x source, each with its window of attempts,
 * its controller, its warm-up and its incident, over the schedule's limits.
 *
 *     attempt -> window, incident ---tick---> throttle -> decision -> schedule's limits
 *
 * Engine: no I/O, no clock. The same object runs in the server (deliver/queue.c, queue thread) and
 * in `penstock simulate`. One thread at a time. A lane costs about 16 KiB; LANES_MAX bounds them,
 * beyond it providers share the lane "other/SOURCE".
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

#define LANES_MAX 4096
#define LANE_NAME_MAX 320 /* "provider/source" with its NUL */

typedef uint32_t lane_ref;
#define LANE_NONE UINT32_MAX

struct lanes; /* opaque */

struct lanes_settings {
    uint64_t tick_ms;          /* 10 s; scaled down in tests */
    uint32_t sample_min;       /* for verdicts */
    double release_per_second; /* pace of early release and of a spread backlog without history */
    uint64_t spread_max_ms;    /* a backlog is spread over no longer than this */
};

/* What holds for one lane; asked for when it is made and after each change of settings. */
struct lane_rules {
    struct throttle_settings throttle;
    /* Warm-up: messages a day for this source and provider. 0 entries: none. */
    uint32_t warm_up[32];
    uint32_t warm_up_days;
    double warm_up_factor; /* > 1: after the list, each day so many times the day before; else the
                              last of the list stays */
    int64_t warm_up_start_ms;
};

struct lanes_seams {
    void *ctx;
    void (*rules)(void *ctx, struct slice provider, struct slice source, struct lane_rules *ret);
    /* A lane's band or limits changed, or its warm-up step was held or went on. */
    void (*decided)(void *ctx, struct slice lane, const struct throttle_decision *d);
    void (*warm_up)(void *ctx, struct slice lane, uint32_t from_a_day, uint32_t to_a_day,
                    bool is_held, const char *why);
    /* An incident opened, changed, or closed (i->closed_ms). */
    void (*incident)(void *ctx, const struct incident *i);
    /* The governor's level is medium or high. */
    bool (*is_pressed)(void *ctx);
};

MUST_CHECK int lanes_new(struct lanes **ret, const struct lanes_settings *settings,
                         struct schedule *schedule, const struct lanes_seams *seams);
void lanes_free(struct lanes **l);
/* Asks rules() anew for every lane. */
void lanes_set(struct lanes *l, const struct lanes_settings *settings, int64_t now_ms);

/* The lane of that provider and source, made when new: its schedule lane too. LANE_NONE: no memory. */
lane_ref lanes_find(struct lanes *l, struct slice provider, struct slice source, int64_t now_ms);
uint32_t lanes_schedule_lane(const struct lanes *l, lane_ref lane);
/* An attempt of that lane is over. */
void lanes_attempt(struct lanes *l, lane_ref lane, const struct attempt *a);
/* Runs every controller whose time has come; returns when it is due next. */
int64_t lanes_tick(struct lanes *l, int64_t now_ms);

/* By the operator; they outlive a restart. A paused lane starts no attempt. A limit is a lower
 * full limit (0: back to the configured one). -ENOENT. */
MUST_CHECK int lanes_pause(struct lanes *l, struct slice lane, bool paused, int64_t now_ms);
MUST_CHECK int lanes_limit(struct lanes *l, struct slice lane, uint32_t connections,
                           int64_t now_ms);

struct lane_view { /* borrowed until the next call that changes something */
    struct slice name, provider, source;
    const struct throttle *throttle;
    struct throttle_settings settings;
    struct throttle_decision last; /* .at_ms 0: none yet */
    const struct window *window;
    const struct times *delivery_times; /* since the start or the last day */
    struct schedule_lane_view queue;
    bool paused;
    uint32_t limit;                       /* the operator's; 0: none */
    uint64_t incident;                    /* id of the open one; 0 */
    uint32_t warm_up_today, warm_up_sent; /* 0: no warm-up */
    bool warm_up_held;
};
bool lanes_next(const struct lanes *l, uint32_t *it, struct lane_view *ret); /* start with 0 */
bool lanes_get(const struct lanes *l, struct slice name, struct lane_view *ret);
/* The open incidents; the closed ones are the ledger's. */
const struct incident *lanes_incident(const struct lanes *l, uint64_t id);
bool lanes_next_incident(const struct lanes *l, uint32_t *it, const struct incident **ret);

/* What a restart must not forget of one lane: throttle, window, pause, limit, warm-up, incident, as
 * JSON text. lanes_restore() makes the lane; unknown keys are left out. */
MUST_CHECK int lanes_save(const struct lanes *l, lane_ref lane, struct buf *to);
MUST_CHECK int lanes_restore(struct lanes *l, struct slice text, int64_t now_ms);
/* Lanes changed since the last call (to be stored): the next one's ref, or LANE_NONE. */
lane_ref lanes_next_changed(struct lanes *l);
