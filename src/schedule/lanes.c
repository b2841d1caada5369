/*
 * schedule/lanes.c - places of lanes and their names, attempts, the operator's words, views.
 *
 * A lane_ref is an index and the generation of its place, so that a stale one is known.
 */
#include "schedule/lanes_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

#define INDEX_BITS 13
#define INDEX_MASK ((1U << INDEX_BITS) - 1)
#define GENERATION_MASK (UINT32_MAX >> INDEX_BITS)
/* Lanes "other/SOURCE" beyond LANES_MAX. */
#define LANES_OTHER_MAX 64
/* Places that are looked at, at most, for one that may be given away. */
#define RECLAIM_LOOKS 64

_Static_assert(LANES_MAX + LANES_OTHER_MAX < INDEX_MASK, "LANE_NONE is no index");
_Static_assert(LANES_MAX + LANES_OTHER_MAX < SCHEDULE_LANES_MAX, "the schedule has as many");

/* ---- places ---- */

struct lane_state *lanes_at(const struct lanes *l, lane_ref ref)
{
    uint32_t index = ref & INDEX_MASK;
    struct lane_state *lane = index < l->count ? l->lanes[index] : NULL;

    return lane && lane->is_used && lane->generation == ref >> INDEX_BITS ? lane : NULL;
}

lane_ref lanes_ref_of(const struct lane_state *lane)
{
    return lane->generation << INDEX_BITS | lane->index;
}

struct slice lanes_name_of(const struct lane_state *lane)
{
    return slice_str(lane->name);
}

uint32_t lanes_minute_ms(const struct lanes *l)
{
    return l->settings.minute_ms ? l->settings.minute_ms : WINDOW_MINUTE_MS;
}

int lanes_new(struct lanes **ret, const struct lanes_settings *settings, struct schedule *schedule,
              const struct lanes_seams *seams)
{
    struct lanes *l = calloc(1, sizeof(*l));

    ASSERT(seams->rules && settings->tick_ms > 0 && settings->release_per_second > 0);
    if (!l)
        return -ENOMEM;
    l->settings = *settings;
    l->seams = *seams;
    l->schedule = schedule;
    map_init(&l->by_name, 1);
    map_init(&l->by_provider, 1);
    *ret = l;
    return 0;
}

void lanes_free(struct lanes **l)
{
    if (!l || !*l)
        return;
    for (uint32_t i = 0; i < (*l)->count; i++) {
        lanes_note_drop((*l)->lanes[i]);
        free((*l)->lanes[i]);
    }
    free((*l)->lanes);
    free((*l)->skips);
    map_done(&(*l)->by_name);
    map_done(&(*l)->by_provider);
    free(*l);
    *l = NULL;
}

void lanes_set(struct lanes *l, const struct lanes_settings *settings, int64_t now_ms)
{
    ASSERT(settings->tick_ms > 0 && settings->release_per_second > 0);
    l->settings = *settings;
    l->now_ms = now_ms;
    for (uint32_t i = 0; i < l->count; i++)
        if (l->lanes[i]->is_used)
            lanes_set_rules(l, l->lanes[i], now_ms);
}

/* ---- names ---- */

/* At most `max` bytes of it, as a name may have them. */
static size_t put_name(char *to, struct slice from, size_t max)
{
    size_t n = 0;

    while (from.len > 0) {
        size_t len = utf8_len(from);
        uint8_t c = byte_lower(from.ptr[0]);

        if (n + MAX_OF(len, 1U) > max)
            break;
        if (len > 1) {
            memcpy(to + n, from.ptr, len);
            n += len;
        } else {
            bool is_odd = len == 0 || c <= ' ' || c == 0x7f || c == '"' || c == '\\';

            to[n++] = is_odd ? '?' : (char)c;
        }
        from = slice_from(from, MAX_OF(len, 1U));
    }
    return n;
}

/* "provider/source"; where the source begins. */
static size_t make_name(char to[LANE_NAME_MAX], struct slice provider, struct slice source)
{
    size_t n = put_name(to, provider, LANE_NAME_MAX - 64), at;

    to[n++] = '/';
    at = n;
    n += put_name(to + n, source, LANE_NAME_MAX - 1 - n);
    to[n] = '\0';
    return at;
}

/* ---- making and giving away ---- */

/* The lanes of a provider are told apart from others when a verdict is made. */
static void join_provider(struct lanes *l, struct lane_state *lane)
{
    struct lane_state *first = map_get(&l->by_provider, lane->provider);

    lane->first_of_provider = lane->index;
    list_init(&lane->of_provider);
    if (first) {
        lane->first_of_provider = first->index;
        list_add_tail(&first->of_provider, &lane->of_provider);
    } else {
        /* Without memory the lane stands for itself: a verdict counts its provider twice. */
        ignore_result(map_put(&l->by_provider, lane->provider, lane));
    }
}

static void leave_provider(struct lanes *l, struct lane_state *lane)
{
    struct lane_state *next = NULL;

    if (map_get(&l->by_provider, lane->provider) == lane) {
        (void)map_remove(&l->by_provider, lane->provider);
        LIST_FOR(it, &lane->of_provider)
        {
            struct lane_state *other = LIST_ENTRY(it, struct lane_state, of_provider);

            next = next ? next : other;
            other->first_of_provider = next->index;
        }
    }
    list_del(&lane->of_provider);
    if (next)
        ignore_result(map_put(&l->by_provider, next->provider, next));
}

static bool is_idle(const struct lanes *l, const struct lane_state *lane)
{
    struct schedule_lane_view v;

    if (lane->paused || lane->limit || lane->notes || lane->rules.warm_up.days ||
        lane->throttle.band != BAND_NORMAL)
        return false;
    schedule_lane_get(l->schedule, lane->schedule_lane, &v);
    return v.entries == 0 && v.slots == 0 && v.destinations == 0;
}

/* A place that may be given away, of the next few; NULL: none. While all have mail, each lane that
 * is asked for comes here: looks in vain make the next ones fewer, down to one. */
static struct lane_state *reclaim(struct lanes *l)
{
    uint32_t looks = RECLAIM_LOOKS >> l->reclaim_vain;

    for (uint32_t i = 0; i < looks && l->count > 0; i++) {
        struct lane_state *lane = l->lanes[l->reclaim_at++ % l->count];

        if (lane->is_used && !is_idle(l, lane))
            continue;
        l->reclaim_vain = 0;
        if (!lane->is_used) /* it could not get its name */
            return lane;
        lanes_spread_stop(l, lane);
        (void)map_remove(&l->by_name, lanes_name_of(lane));
        leave_provider(l, lane);
        lane->is_used = false;
        return lane;
    }
    if (looks > 1)
        l->reclaim_vain++;
    return NULL;
}

static struct lane_state *new_place(struct lanes *l)
{
    struct lane_state *lane;

    if (l->count == l->size) {
        uint32_t size = l->size ? l->size * 2 : 16;
        struct lane_state **more = realloc(l->lanes, size * sizeof(*more));
        uint8_t *skips;

        if (!more)
            return NULL;
        l->lanes = more;
        skips = realloc(l->skips, size);
        if (!skips)
            return NULL;
        l->skips = skips;
        l->size = size;
    }
    lane = calloc(1, sizeof(*lane));
    if (!lane)
        return NULL;
    if (schedule_lane_new(l->schedule, &lane->schedule_lane) < 0) {
        free(lane);
        return NULL;
    }
    lane->index = l->count;
    l->lanes[l->count++] = lane;
    return lane;
}

/* What is to be begun anew when a place is given to another lane. */
static void begin(struct lanes *l, struct lane_state *lane, int64_t now_ms)
{
    struct schedule_lane_view v;
    uint32_t index = lane->index, generation = lane->generation, number = lane->schedule_lane;

    memset(lane, 0, sizeof(*lane));
    lane->index = index;
    lane->generation = (generation + 1) & GENERATION_MASK;
    lane->schedule_lane = number;
    schedule_lane_get(l->schedule, number, &v);
    l->skips[lane->index] = 0;
    lane->taken = v.taken;
    lane->peak_since_ms = lane->saved_ms = lane->notes_told_ms = now_ms;
    window_init(&lane->window, lanes_minute_ms(l), now_ms);
}

static struct lane_state *make(struct lanes *l, struct slice provider, struct slice source,
                               int64_t now_ms)
{
    bool is_other = slice_eq_case(provider, LANES_OTHER);
    uint32_t max = LANES_MAX + (is_other ? LANES_OTHER_MAX : 0);
    struct lane_state *lane = l->count < max ? new_place(l) : reclaim(l);
    size_t at;

    if (!lane)
        return NULL;
    begin(l, lane, now_ms);
    at = make_name(lane->name, provider, source);
    lane->provider = slice_make(lane->name, at - 1);
    lane->source = slice_str(lane->name + at);
    if (map_put(&l->by_name, lanes_name_of(lane), lane) < 0)
        return NULL; /* the place waits for reclaim() */
    lane->is_used = true;
    join_provider(l, lane);
    lane->rules = (struct lane_rules){0};
    l->seams.rules(l->seams.ctx, lane->provider, lane->source, &lane->rules);
    throttle_init(&lane->throttle, &lane->rules.throttle, now_ms);
    lane->throttle.is_healthy = true; /* nothing was refused yet */
    lane->throttle.healthy_since_ms = now_ms;
    warm_up_init(&lane->warm_up, &lane->rules.warm_up, now_ms);
    lanes_set_rules(l, lane, now_ms);
    return lane;
}

lane_ref lanes_find(struct lanes *l, struct slice provider, struct slice source, int64_t now_ms)
{
    char name[LANE_NAME_MAX];
    struct lane_state *lane;

    (void)make_name(name, provider, source);
    lane = map_get(&l->by_name, slice_str(name));
    if (!lane)
        lane = make(l, provider, source, now_ms);
    if (!lane && !slice_eq_case(provider, LANES_OTHER))
        return lanes_find(l, LANES_OTHER, source, now_ms);
    return lane ? lanes_ref_of(lane) : LANE_NONE;
}

uint32_t lanes_schedule_lane(const struct lanes *l, lane_ref ref)
{
    const struct lane_state *lane = lanes_at(l, ref);

    return lane ? lane->schedule_lane : SCHEDULE_LANE_NEW;
}

struct slice lanes_name(const struct lanes *l, lane_ref ref)
{
    const struct lane_state *lane = lanes_at(l, ref);

    return lane ? lanes_name_of(lane) : (struct slice){0};
}

/* ---- attempts ---- */

void lanes_attempt(struct lanes *l, lane_ref ref, const struct attempt *a)
{
    struct lane_state *lane = lanes_at(l, ref);
    /* An attempt that comes late is no clock that steps back. */
    int64_t now_ms = MAX_OF(a->at_ms, l->now_ms);
    struct window_counts c;

    if (!lane)
        lane = lanes_at(l, lanes_find(l, a->provider, a->source, now_ms));
    if (!lane)
        return;
    l->skips[lane->index] = 0;
    attempt_counts(a, &c);
    window_add(&lane->window, now_ms, &c);
    if (a->result == ATTEMPT_RESULT_DELIVERED)
        times_add(&lane->times, (uint64_t)MAX_OF(a->at_ms - a->arrival_ms, 0));
    lanes_note_attempt(lane, a);
    lanes_note_answer(l, lane, a);
    lanes_rest_after(l, lane, a, now_ms);
}

/* ---- by the operator ---- */

int lanes_pause(struct lanes *l, struct slice name, bool paused, int64_t now_ms)
{
    struct lane_state *lane = map_get(&l->by_name, name);

    if (!lane)
        return -ENOENT;
    if (lane->paused == paused)
        return 0;
    lane->paused = paused;
    lanes_apply(l, lane, now_ms);
    lanes_mark_changed(lane);
    if (!paused)
        lanes_spread_start(l, lane, now_ms);
    return 0;
}

int lanes_limit(struct lanes *l, struct slice name, uint32_t connections, int64_t now_ms)
{
    struct lane_state *lane = map_get(&l->by_name, name);

    if (!lane)
        return -ENOENT;
    lane->limit = connections;
    lanes_set_rules(l, lane, now_ms);
    lanes_mark_changed(lane);
    return 0;
}

/* ---- views ---- */

static void view_of(const struct lanes *l, const struct lane_state *lane, struct lane_view *ret)
{
    const struct incident *incident = lanes_open_incident(lane);
    uint64_t sent = lane->warm_up.sent;
    double per_second;

    *ret = (struct lane_view){
        .ref = lanes_ref_of(lane),
        .name = lanes_name_of(lane),
        .provider = lane->provider,
        .source = lane->source,
        .throttle = &lane->throttle,
        .settings = lane->settings,
        .last = lane->last,
        .window = &lane->window,
        .delivery_times = &lane->times,
        .limits = lane->limits,
        .connections_peak = lanes_peak_of(lane),
        .resting = lane->resting,
        .paused = lane->paused,
        .limit = lane->limit,
        .incident = incident ? incident->id : 0,
        .warm_up_today = warm_up_today(&lane->warm_up, &lane->rules.warm_up),
        .warm_up_sent = (uint32_t)MIN_OF(sent, UINT32_MAX),
        .warm_up_held = lane->warm_up.is_due,
        .warm_up_reached =
            !warm_up_rate(&lane->warm_up, &lane->rules.warm_up, l->now_ms, &per_second),
        .is_refused = lane->is_refused,
        .to_release = lane->to_release,
        .is_spreading = lane->is_spreading,
    };
    schedule_lane_get(l->schedule, lane->schedule_lane, &ret->queue);
}

bool lanes_next(const struct lanes *l, uint32_t *it, struct lane_view *ret)
{
    while (*it < l->count) {
        const struct lane_state *lane = l->lanes[(*it)++];

        if (!lane->is_used)
            continue;
        view_of(l, lane, ret);
        return true;
    }
    return false;
}

bool lanes_get(const struct lanes *l, struct slice name, struct lane_view *ret)
{
    const struct lane_state *lane = map_get(&l->by_name, name);

    if (lane)
        view_of(l, lane, ret);
    return lane != NULL;
}

bool lanes_next_incident(const struct lanes *l, uint32_t *it, const struct incident **ret)
{
    while (*it < l->count) {
        const struct incident *i = lanes_open_incident(l->lanes[(*it)++]);

        if (!i)
            continue;
        *ret = i;
        return true;
    }
    return false;
}

const struct incident *lanes_incident(const struct lanes *l, uint64_t id)
{
    const struct incident *i;

    for (uint32_t it = 0; lanes_next_incident(l, &it, &i);)
        if (i->id == id)
            return i;
    return NULL;
}

void lanes_set_incident_id(struct lanes *l, uint64_t id)
{
    l->incident_id = MAX_OF(l->incident_id, id);
}

lane_ref lanes_next_changed(struct lanes *l)
{
    for (uint32_t n = 0; n < l->count; n++) {
        struct lane_state *lane = l->lanes[l->changed_at++ % l->count];

        if (!lane->is_used || !lane->is_changed)
            continue;
        lane->is_changed = false;
        return lanes_ref_of(lane);
    }
    return LANE_NONE;
}
