/*
 * schedule/lanes_text.c - a lane as a JSON object, and back.
 *
 * Names are kept free of what JSON escapes, and the texts of controller and window are so by
 * themselves: they are written as they are.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "schedule/lanes_int.h"

/* With what was taken since the last tick. */
static uint64_t sent_of(const struct lanes *l, const struct lane_state *lane)
{
    struct schedule_lane_view v;

    schedule_lane_get(l->schedule, lane->schedule_lane, &v);
    return lane->warm_up.sent + (v.taken - lane->taken);
}

int lanes_save(const struct lanes *l, lane_ref ref, struct buf *to)
{
    const struct lane_state *lane = lanes_at(l, ref);
    int r;

    if (!lane)
        return -ENOENT;
    (void)buf_addf(to, "{\"version\":1,\"provider\":\"%.*s\",\"source\":\"%.*s\"",
                   SLICE_FMT(lane->provider), SLICE_FMT(lane->source));
    (void)buf_addf(to, ",\"paused\":%s,\"limit\":%" PRIu32, lane->paused ? "true" : "false",
                   lane->limit);
    (void)buf_addf(to, ",\"refused\":%s,\"pressed\":%s", lane->is_refused ? "true" : "false",
                   lane->was_pressed ? "true" : "false");
    (void)buf_addf(to, ",\"peak\":%" PRIu32, lanes_peak_of(lane));
    (void)buf_addf(to,
                   ",\"warm_up\":{\"start\":%" PRId64 ",\"day\":%" PRId64 ",\"step\":%" PRIu32
                   ",\"sent\":%" PRIu64 ",\"due\":%s}",
                   lane->warm_up.start_ms, lane->warm_up.day, lane->warm_up.step, sent_of(l, lane),
                   lane->warm_up.is_due ? "true" : "false");
    (void)buf_add_str(to, ",\"throttle\":\"");
    r = throttle_save(&lane->throttle, to);
    (void)buf_add_str(to, "\",\"window\":\"");
    r = r < 0 ? r : window_save(&lane->window, to);
    (void)buf_push(to, '"');
    if (lane->notes) {
        (void)buf_add_str(to, ",\"incident\":");
        r = r < 0 ? r : incident_encode(lane->notes, to);
    }
    (void)buf_push(to, '}');
    return r < 0 || buf_failed(to) ? -E2BIG : 0;
}

/* ---- back ---- */

static struct slice text_of(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);

    return json_is_string(v) ? slice_make(json_string_value(v), json_string_length(v))
                             : (struct slice){0};
}

/* A whole number of 0 or more; 0 where there is none. */
static int64_t number_of(const json_t *object, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(object, key));

    return MAX_OF((int64_t)n, 0);
}

static uint32_t small_number_of(const json_t *object, const char *key)
{
    int64_t n = number_of(object, key);

    return (uint32_t)MIN_OF(n, UINT32_MAX);
}

/* The two belong together: what the controller remembers are totals of that window. */
static void restore_controller(struct lanes *l, struct lane_state *lane, const json_t *object,
                               int64_t now_ms)
{
    struct window *w = malloc(sizeof(*w));

    if (w && window_load(w, text_of(object, "window")) == 0 &&
        w->minute_ms == (int64_t)lanes_minute_ms(l) &&
        throttle_load(&lane->throttle, text_of(object, "throttle")) == 0) {
        lane->window = *w;
        lane->peaks[0] = small_number_of(object, "peak");
    } else {
        window_init(&lane->window, lanes_minute_ms(l), now_ms);
        throttle_init(&lane->throttle, &lane->settings, now_ms);
    }
    free(w);
}

static void restore_warm_up(struct lane_state *lane, const json_t *object)
{
    if (!json_is_object(object))
        return;
    lane->warm_up = (struct warm_up){.start_ms = number_of(object, "start"),
                                     .day = number_of(object, "day"),
                                     .step = small_number_of(object, "step"),
                                     .sent = (uint64_t)number_of(object, "sent"),
                                     .is_due = json_is_true(json_object_get(object, "due"))};
    lane->warm_up.step = MIN_OF(lane->warm_up.step, (uint32_t)INT32_MAX);
}

static void restore_notes(struct lanes *l, struct lane_state *lane, const json_t *object)
{
    char *text = json_is_object(object) ? json_dumps(object, JSON_COMPACT) : NULL;
    struct incident *i = text ? malloc(sizeof(*i)) : NULL;

    lanes_note_drop(lane);
    if (i && incident_decode(slice_str(text), i) == 0 && i->closed_ms == 0) {
        lane->notes = i;
        lanes_set_incident_id(l, i->id);
    } else {
        free(i);
    }
    free(text);
}

int lanes_restore(struct lanes *l, struct slice text, int64_t now_ms)
{
    json_t *object = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    struct slice provider = text_of(object, "provider"), source = text_of(object, "source");
    struct lane_state *lane;
    int r = -ERR_DAMAGED;

    if (provider.len > 0 && json_object_get(object, "source")) {
        lane = lanes_at(l, lanes_find(l, provider, source, now_ms));
        r = lane ? 0 : -ENOMEM;
    }
    if (r == 0) {
        lane->paused = json_is_true(json_object_get(object, "paused"));
        lane->limit = small_number_of(object, "limit");
        lane->is_refused = json_is_true(json_object_get(object, "refused"));
        restore_controller(l, lane, object, now_ms);
        restore_warm_up(lane, json_object_get(object, "warm_up"));
        restore_notes(l, lane, json_object_get(object, "incident"));
        lane->was_pressed = lane->notes && json_is_true(json_object_get(object, "pressed"));
        lane->saved_attempts = lane->window.totals.attempts;
        lanes_set_rules(l, lane, now_ms);
    }
    json_decref(object);
    return r;
}
