/*
 * governor/governor.c - one sample through all parts: resources, the server's level, remedies,
 * admission. See governor.h.
 */
#include "governor/governor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "governor/admission.h"
#include "governor/level.h"
#include "governor/level_time.h"
#include "governor/remedies.h"
#include "governor/resource.h"

struct governor {
    struct governor_settings settings;
    uint64_t now_ms, samples, transitions, suppressed;
    struct resource resources[GOVERNOR_RESOURCES];
    struct level level;           /* the server's */
    enum governor_resource cause; /* of that level, or of the last one above normal */
    struct admission admission;
    struct remedies remedies;
    struct level_time times[GOVERNOR_RESOURCES + 1]; /* the last one: the server's */
    struct gate_settings gate;
    bool is_refusing, is_reminded;
    uint64_t off_normal_since_ms;
    struct governor_transition history[GOVERNOR_HISTORY_MAX]; /* a ring; `transitions` counts it */
};

const char *governor_level_name(enum pressure_level l)
{
    static const char *const names[] = {
        [PRESSURE_NORMAL] = "normal", [PRESSURE_MEDIUM] = "medium", [PRESSURE_HIGH] = "high"};

    return l < ARRAY_SIZE(names) ? names[l] : "";
}

#define NAME_LINE(constant, name, token, exchange, unit) [constant] = (name),
const char *governor_resource_name(enum governor_resource r)
{
    static const char *const names[] = {GOVERNOR_RESOURCES_TABLE(NAME_LINE)};

    return r < ARRAY_SIZE(names) ? names[r] : "";
}

#define EXCHANGE_LINE(constant, name, token, exchange, unit) [constant] = (exchange),
const char *governor_resource_exchange_name(enum governor_resource r)
{
    static const char *const names[] = {GOVERNOR_RESOURCES_TABLE(EXCHANGE_LINE)};

    return r < ARRAY_SIZE(names) ? names[r] : "";
}

#define UNIT_LINE(constant, name, token, exchange, unit) [constant] = (unit),
const char *governor_resource_unit(enum governor_resource r)
{
    static const char *const units[] = {GOVERNOR_RESOURCES_TABLE(UNIT_LINE)};

    return r < ARRAY_SIZE(units) ? units[r] : "";
}

#define REMEDY_NAME_LINE(constant, name, what) [constant] = (name),
const char *governor_remedy_name(enum governor_remedy r)
{
    static const char *const names[] = {GOVERNOR_REMEDIES_TABLE(REMEDY_NAME_LINE)};

    return r < ARRAY_SIZE(names) ? names[r] : "";
}

#define REMEDY_WHAT_LINE(constant, name, what) [constant] = (what),
const char *governor_remedy_what(enum governor_remedy r)
{
    static const char *const whats[] = {GOVERNOR_REMEDIES_TABLE(REMEDY_WHAT_LINE)};

    return r < ARRAY_SIZE(whats) ? whats[r] : "";
}

int governor_new(struct governor **ret, const struct governor_settings *s, uint64_t now_ms)
{
    struct governor *g = calloc(1, sizeof(*g));

    if (!g)
        return -ENOMEM;
    g->settings = *s;
    g->now_ms = now_ms;
    level_init(&g->level, now_ms);
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        resource_init(&g->resources[i], now_ms);
    admission_decide(&g->admission, s, g->resources, PRESSURE_NORMAL, 0, &g->gate);
    *ret = g;
    return 0;
}

void governor_free(struct governor **g)
{
    free(*g);
    *g = NULL;
}

void governor_set_settings(struct governor *g, const struct governor_settings *s)
{
    g->settings = *s;
}

/* `which` is GOVERNOR_RESOURCES for the server, whose figures are those of `cause`. */
static void tell_transition(struct governor *g, enum governor_resource which,
                            const struct level *level, enum governor_resource cause,
                            struct governor_outcome *ret)
{
    const struct resource *r = &g->resources[cause];
    struct governor_transition *t = &ret->transitions[ret->transition_count++];

    ASSERT(ret->transition_count <= GOVERNOR_TRANSITIONS_MAX);
    *t = (struct governor_transition){
        .at_ms = g->now_ms,
        .resource = which,
        .cause = cause,
        .from = level->previous,
        .to = level->now,
        .value = r->figure.used,
        .threshold = level_crossed(level->previous, level->now, &r->effective),
        .limit = r->figure.limit,
        .lasted_ms = level->lasted_ms,
        .counts = which == GOVERNOR_RESOURCES || resource_counts(&g->settings.rules[which]),
    };
    g->history[g->transitions++ % GOVERNOR_HISTORY_MAX] = *t;
}

static void sample_resources(struct governor *g, const struct governor_sample *sample,
                             struct governor_outcome *ret)
{
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        enum governor_resource which = (enum governor_resource)i;
        struct resource *r = &g->resources[i];
        enum level_step step =
            resource_sample(r, &g->settings, which, &sample->figures[i], g->now_ms);

        g->suppressed += step == LEVEL_HELD;
        if (step == LEVEL_MOVED)
            tell_transition(g, which, &r->level, which, ret);
    }
}

static void judge_server(struct governor *g, struct governor_outcome *ret)
{
    enum governor_resource worst = resource_worst(g->resources, &g->settings, PRESSURE_MEDIUM,
                                                  /* only_hardened= */ false);
    enum pressure_level to =
        worst < GOVERNOR_RESOURCES ? g->resources[worst].level.now : PRESSURE_NORMAL;
    bool was_normal = g->level.now == PRESSURE_NORMAL;
    enum level_step step;

    /* What rises is the cause of the rise; what the level falls from is the cause of the fall. */
    if (to > g->level.now)
        g->cause = worst;
    step = level_move(&g->level, to, g->now_ms, g->settings.dwell_ms);
    g->suppressed += step == LEVEL_HELD;
    if (step == LEVEL_MOVED)
        tell_transition(g, GOVERNOR_RESOURCES, &g->level, g->cause, ret);
    if (worst < GOVERNOR_RESOURCES)
        g->cause = worst;
    if (was_normal && g->level.now > PRESSURE_NORMAL) {
        g->off_normal_since_ms = g->now_ms;
        g->is_reminded = false;
    }
}

static void remind(struct governor *g, struct governor_outcome *ret)
{
    if (g->level.now == PRESSURE_NORMAL || g->is_reminded ||
        g->now_ms - g->off_normal_since_ms < g->settings.reminder_ms)
        return;
    g->is_reminded = true;
    ret->reminder = true;
}

static void tell_refusing(struct governor *g, struct governor_outcome *ret)
{
    bool is_refusing = false;

    /* The lowest class is refused first and for longest. */
    for (size_t c = MAIL_CLASSES; c-- > 0;)
        if (g->gate.lines[c].verdict == GATE_REFUSE) {
            is_refusing = true;
            ret->refusing_for = (enum governor_resource)g->gate.lines[c].resource;
        }
    if (!is_refusing)
        ret->refusing_for = g->cause;
    ret->starts_refusing = is_refusing && !g->is_refusing;
    ret->stops_refusing = !is_refusing && g->is_refusing;
    g->is_refusing = is_refusing;
}

/* Until this sample all levels were what the last one made of them. */
static void add_times(struct governor *g, uint64_t last_ms)
{
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        level_time_add(&g->times[i], g->resources[i].level.now, last_ms, g->now_ms);
    level_time_add(&g->times[GOVERNOR_RESOURCES], g->level.now, last_ms, g->now_ms);
}

void governor_tick(struct governor *g, const struct governor_sample *sample, uint64_t now_ms,
                   struct governor_outcome *ret)
{
    uint64_t last_ms = g->now_ms;

    memset(ret, 0, sizeof(*ret));
    g->now_ms = MAX_OF(now_ms, last_ms);
    g->samples++;
    add_times(g, last_ms);
    sample_resources(g, sample, ret);
    judge_server(g, ret);
    remedies_ask(&g->remedies, &g->settings, g->resources, g->now_ms, ret);
    admission_decide(&g->admission, &g->settings, g->resources, g->level.now,
                     sample->message_size_max, &g->gate);
    ret->gate = g->gate;
    tell_refusing(g, ret);
    remind(g, ret);
}

void governor_remedy_done(struct governor *g, enum governor_remedy r, uint64_t freed,
                          uint64_t took_us, uint64_t now_ms)
{
    remedies_done(&g->remedies, r, freed, took_us, now_ms);
}

static void view_resource(const struct governor *g, enum governor_resource which,
                          struct governor_resource_view *ret)
{
    const struct resource *r = &g->resources[which];
    bool is_up = r->level.now > PRESSURE_NORMAL && resource_wants_relief(r);

    *ret = (struct governor_resource_view){
        .rule = g->settings.rules[which],
        .figure = r->figure,
        .effective = r->effective,
        .level = r->level.now,
        .previous = r->level.previous,
        .since_ms = r->level.since_ms,
        .to_free = is_up ? r->figure.used - r->effective.medium_to_low : 0,
        .off_normal = r->off_normal,
        .has_hardened = r->has_hardened,
        .medium_in_s = INT64_MAX,
        .high_in_s = INT64_MAX,
        .full_in_s = INT64_MAX,
    };
    level_time_get(&g->times[which], g->now_ms, &ret->at_level);
    if (!r->figure.is_known)
        return;
    ret->trend = trend_slope(&r->trend);
    ret->medium_in_s = trend_reaches(ret->trend, r->figure.used, r->effective.low_to_medium);
    ret->high_in_s = trend_reaches(ret->trend, r->figure.used, r->effective.medium_to_high);
    if (r->figure.limit > 0)
        ret->full_in_s = trend_reaches(ret->trend, r->figure.used, r->figure.limit);
    /* Hysteresis: a level lasts below the threshold that began it. */
    if (r->level.now >= PRESSURE_MEDIUM)
        ret->medium_in_s = 0;
    if (r->level.now == PRESSURE_HIGH)
        ret->high_in_s = 0;
}

void governor_get_view(const struct governor *g, struct governor_view *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->level = g->level.now;
    ret->previous = g->level.previous;
    ret->now_ms = g->now_ms;
    ret->since_ms = g->level.since_ms;
    ret->samples = g->samples;
    ret->cause = g->cause;
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        view_resource(g, (enum governor_resource)i, &ret->resources[i]);
    for (size_t i = 0; i < GOVERNOR_REMEDIES; i++)
        ret->remedies[i] = g->remedies.list[i].view;
    ret->history_count = (size_t)MIN_OF(g->transitions, GOVERNOR_HISTORY_MAX);
    for (size_t i = 0; i < ret->history_count; i++)
        ret->history[i] = g->history[(g->transitions - 1 - i) % GOVERNOR_HISTORY_MAX];
    level_time_get(&g->times[GOVERNOR_RESOURCES], g->now_ms, &ret->at_level);
    ret->transitions = g->transitions;
    ret->suppressed = g->suppressed;
    ret->gate = g->gate;
}
