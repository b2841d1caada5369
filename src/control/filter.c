/*
 * control/filter.c - one table of names serves both forms of a request.
 *
 * A cursor is "PLACE-MILLISECONDS": opaque to clients, and harmless when they make one up, for the
 * place is only where a scan begins.
 */
#include "control/filter_int.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "base/id.h"

#define AGE_S_MAX (INT64_MAX / 1000)

void control_ask_init(struct control_ask *a, int64_t now_ms)
{
    *a = (struct control_ask){.limit = CONTROL_LIMIT_DEFAULT, .started_ms = now_ms};
}

static int refuse(struct buf *why, const char *name, struct slice value, const char *allowed)
{
    (void)buf_addf(why, "%s '%.*s': it must be %s.", name, SLICE_FMT(slice_sub(value, 0, 80)),
                   allowed);
    return -EINVAL;
}

static int set_age(const char *name, struct slice value, int64_t *ret_ms, struct buf *why)
{
    uint64_t s;

    if (slice_to_u64(value, AGE_S_MAX, &s) < 0)
        return refuse(why, name, value, "a whole number of seconds");
    *ret_ms = (int64_t)s * 1000;
    return 0;
}

static int set_flag(const char *name, struct slice value, bool *ret, struct buf *why)
{
    if (slice_eq(value, SLICE_LIT("1")) || slice_eq(value, SLICE_LIT("true")))
        *ret = true;
    else if (slice_eq(value, SLICE_LIT("0")) || slice_eq(value, SLICE_LIT("false")))
        *ret = false;
    else
        return refuse(why, name, value, "true or false");
    return 0;
}

static int set_text(const char *name, struct slice value, struct slice *ret, struct buf *why)
{
    if (value.len == 0)
        return refuse(why, name, value, "a text that is not empty");
    *ret = value;
    return 0;
}

static int set_destination(struct control_ask *a, struct slice value, struct buf *why)
{
    return set_text("destination", value, &a->filter.destination, why);
}

static int set_sender(struct control_ask *a, struct slice value, struct buf *why)
{
    return set_text("sender", value, &a->filter.sender, why);
}

static int set_recipient(struct control_ask *a, struct slice value, struct buf *why)
{
    return set_text("recipient", value, &a->filter.recipient, why);
}

static int set_id(struct control_ask *a, struct slice value, struct buf *why)
{
    uint64_t id = 0;

    if (id_parse(value, &id) < 0 || id == 0)
        return refuse(why, "id", value, "a queue id");
    a->filter.id = id;
    return 0;
}

static int set_older_than(struct control_ask *a, struct slice value, struct buf *why)
{
    return set_age("older_than_s", value, &a->filter.older_than_ms, why);
}

static int set_younger_than(struct control_ask *a, struct slice value, struct buf *why)
{
    return set_age("younger_than_s", value, &a->filter.younger_than_ms, why);
}

static int set_state(struct control_ask *a, struct slice value, struct buf *why)
{
    a->filter.held_only = slice_eq(value, SLICE_LIT("held"));
    a->filter.deferred_only = slice_eq(value, SLICE_LIT("deferred"));
    if (!a->filter.held_only && !a->filter.deferred_only)
        return refuse(why, "state", value, "'held' or 'deferred'");
    return 0;
}

static int set_all(struct control_ask *a, struct slice value, struct buf *why)
{
    return set_flag("all", value, &a->all, why);
}

static int set_details(struct control_ask *a, struct slice value, struct buf *why)
{
    return set_flag("details", value, &a->details, why);
}

static int set_limit(struct control_ask *a, struct slice value, struct buf *why)
{
    uint64_t n;

    if (slice_to_u64(value, CONTROL_LIMIT_MAX, &n) < 0 || n == 0)
        return refuse(why, "limit", value, "a number from 1 to 1000");
    a->limit = (size_t)n;
    return 0;
}

static int set_cursor(struct control_ask *a, struct slice value, struct buf *why)
{
    ptrdiff_t dash = slice_find(value, '-');
    uint64_t at, started;

    if (dash < 0 || slice_to_u64(slice_sub(value, 0, (size_t)dash), UINT32_MAX, &at) < 0 ||
        slice_to_u64(slice_from(value, (size_t)dash + 1), INT64_MAX, &started) < 0)
        return refuse(why, "cursor", value, "what the page before gave");
    a->at = (uint32_t)at;
    a->started_ms = (int64_t)started;
    return 0;
}

static const struct name {
    const char *name;
    int (*set)(struct control_ask *a, struct slice value, struct buf *why);
    bool is_filter; /* belongs into "filter" of a JSON body; else it is for URLs only */
} names[] = {
    {"destination", set_destination, true},
    {"sender", set_sender, true},
    {"recipient", set_recipient, true},
    {"id", set_id, true},
    {"older_than_s", set_older_than, true},
    {"younger_than_s", set_younger_than, true},
    {"state", set_state, true},
    {"all", set_all, true},
    {"details", set_details, false},
    {"limit", set_limit, false},
    {"cursor", set_cursor, false},
};

static int set_named(struct control_ask *a, struct slice name, struct slice value,
                     bool filters_only, struct buf *why)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if ((names[i].is_filter || !filters_only) && slice_eq(name, slice_str(names[i].name)))
            return names[i].set(a, value, why);
    (void)buf_addf(why, "'%.*s' is not known; these are:", SLICE_FMT(slice_sub(name, 0, 40)));
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].is_filter || !filters_only)
            (void)buf_addf(why, " %s", names[i].name);
    return -EINVAL;
}

int control_ask_set(struct control_ask *a, struct slice name, struct slice value, struct buf *why)
{
    return set_named(a, name, value, /* filters_only= */ false, why);
}

static int set_json_filter(struct control_ask *a, const json_t *filter, struct buf *why)
{
    /* jansson's iterators take no const object, and change nothing. */
    union {
        const json_t *in;
        json_t *out;
    } object = {.in = filter};

    if (!json_is_object(filter)) {
        (void)buf_add_str(why, "'filter' must be an object.");
        return -EINVAL;
    }
    for (void *it = json_object_iter(object.out); it; it = json_object_iter_next(object.out, it)) {
        const json_t *value = json_object_iter_value(it);
        const char *name = json_object_iter_key(it);
        char number[24];
        struct slice text = {0};
        int r;

        if (json_is_string(value)) {
            text = slice_make(json_string_value(value), json_string_length(value));
        } else if (json_is_integer(value)) {
            (void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
                           json_integer_value(value));
            text = slice_str(number);
        } else if (json_is_boolean(value)) {
            text = json_is_true(value) ? SLICE_LIT("true") : SLICE_LIT("false");
        }
        /* A number given for a text would be borrowed from `number`: only ages are numbers. */
        if (text.len == 0 ||
            (json_is_integer(value) && !slice_has_suffix_case(slice_str(name), SLICE_LIT("_s")))) {
            (void)buf_addf(why, "'%.40s' in 'filter' is empty or of the wrong type.", name);
            return -EINVAL;
        }
        r = set_named(a, slice_str(name), text, /* filters_only= */ true, why);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_action(struct control_ask *a, const json_t *value, struct buf *why)
{
    static const char *const actions[] = {
        [QUEUE_RETRY] = "retry",   [QUEUE_HOLD] = "hold",     [QUEUE_RELEASE] = "release",
        [QUEUE_BOUNCE] = "bounce", [QUEUE_REMOVE] = "remove",
    };
    struct slice text = slice_str(json_string_value(value));

    for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
        if (slice_eq(text, slice_str(actions[i]))) {
            a->action = (enum queue_action)i;
            a->has_action = true;
            return 0;
        }
    return refuse(why, "action", text, "one of retry, hold, release, bounce, remove");
}

int control_ask_set_json(struct control_ask *a, const struct json_t *body, struct buf *why)
{
    union {
        const json_t *in;
        json_t *out;
    } object = {.in = body};
    int r = json_is_object(body) ? 0 : -EINVAL;

    if (r < 0)
        (void)buf_add_str(why, "The body must be a JSON object.");
    for (void *it = r < 0 ? NULL : json_object_iter(object.out); it && r == 0;
         it = json_object_iter_next(object.out, it)) {
        const json_t *value = json_object_iter_value(it);
        struct slice name = slice_str(json_object_iter_key(it));

        if (slice_eq(name, SLICE_LIT("action"))) {
            r = set_action(a, value, why);
        } else if (slice_eq(name, SLICE_LIT("filter"))) {
            r = set_json_filter(a, value, why);
        } else if (slice_eq(name, SLICE_LIT("cursor")) && json_is_null(value)) {
            continue;
        } else if (slice_eq(name, SLICE_LIT("cursor"))) {
            r = set_cursor(a, slice_str(json_string_value(value)), why);
        } else {
            (void)buf_addf(why, "'%.*s' is not known; these are: action filter cursor",
                           SLICE_FMT(slice_sub(name, 0, 40)));
            r = -EINVAL;
        }
    }
    if (r == 0 && !a->has_action) {
        (void)buf_add_str(why, "'action' is missing: retry, hold, release, bounce or remove.");
        r = -EINVAL;
    }
    return r;
}

struct queue_filter control_ask_filter(const struct control_ask *a, int64_t now_ms)
{
    struct queue_filter filter = a->filter;

    if (a->at > 0 && now_ms > a->started_ms)
        filter.older_than_ms = MAX_OF(filter.older_than_ms, now_ms - a->started_ms);
    return filter;
}

bool control_ask_is_blank(const struct control_ask *a)
{
    const struct queue_filter *f = &a->filter;

    return !a->all && f->destination.len == 0 && f->sender.len == 0 && f->recipient.len == 0 &&
           f->id == 0 && f->older_than_ms == 0 && f->younger_than_ms == 0 && !f->held_only &&
           !f->deferred_only;
}

void control_ask_cursor(const struct control_ask *a, uint32_t at,
                        char ret[static CONTROL_CURSOR_MAX])
{
    (void)snprintf(ret, CONTROL_CURSOR_MAX, "%" PRIu32 "-%" PRId64, at, a->started_ms);
}
