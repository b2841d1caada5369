/* cli/event_text.c - see event_text.h. */
#include "cli/event_text.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/size.h"
#include "cli/format.h"
#include "cli/json_get.h"
#include "event/resource_text.h"

static bool is_event(const json_t *event, const char *name)
{
    return strcmp(get_text(event, "event"), name) == 0;
}

/* ---- times ---- */

int event_text_parse_time(const char *text, int64_t *ret_ms)
{
    static const char *const shapes[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
                                         "%Y-%m-%d %H:%M", "%Y-%m-%d"};

    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *end = strptime(text, shapes[i], &tm);
        unsigned ms = 0;
        bool is_utc;
        time_t s;

        if (!end)
            continue;
        if (i < 2 && end[0] == '.' && byte_is_digit((uint8_t)end[1]) &&
            byte_is_digit((uint8_t)end[2]) && byte_is_digit((uint8_t)end[3])) {
            ms = (unsigned)(end[1] - '0') * 100 + (unsigned)(end[2] - '0') * 10 +
                 (unsigned)(end[3] - '0');
            end += 4;
        }
        is_utc = *end == 'Z';
        if (end[is_utc] != '\0')
            continue;
        s = is_utc ? timegm(&tm) : mktime(&tm);
        if (s == (time_t)-1)
            return -EINVAL;
        *ret_ms = (int64_t)s * 1000 + ms;
        return 0;
    }
    return -EINVAL;
}

int event_text_time(const json_t *event, int64_t *ret_ms)
{
    return event_text_parse_time(get_text(event, "time"), ret_ms);
}

void event_text_format_time(int64_t ms, char ret[static EVENT_TEXT_TIME_MAX])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;

    if (!localtime_r(&s, &tm) ||
        strftime(ret, EVENT_TEXT_TIME_MAX, "%Y-%m-%d %H:%M:%S %z", &tm) == 0)
        memcpy(ret, "?", 2);
}

/* ---- words ---- */

static bool ends_in(const char *key, const char *end)
{
    size_t key_len = strlen(key), end_len = strlen(end);

    return key_len >= end_len && strcmp(key + key_len - end_len, end) == 0;
}

static void put_number(struct buf *to, const char *key, int64_t n)
{
    char text[FORMAT_TEXT_MAX];

    if (ends_in(key, "_ms") && n >= 1000) {
        format_age(n, text);
        (void)buf_addf(to, "%.*s %s", (int)(strlen(key) - 3), key, text);
    } else if (ends_in(key, "bytes") && n >= 1024) {
        size_format_short((uint64_t)n, text);
        (void)buf_addf(to, "%s %s", key, text);
    } else {
        (void)buf_addf(to, "%s %" PRId64, key, n);
    }
}

static void put_field(struct buf *to, const char *key, const json_t *value)
{
    if (json_is_integer(value)) {
        put_number(to, key, json_integer_value(value));
    } else if (json_is_string(value)) {
        (void)buf_addf(to, "%s ", key);
        (void)buf_add(to, slice_make(json_string_value(value), json_string_length(value)));
    } else if (json_is_boolean(value)) {
        (void)buf_addf(to, "%s%s", json_is_true(value) ? "" : "not ", key);
    }
}

static bool is_one_of(const char *key, const char *const *keys)
{
    for (; *keys; keys++)
        if (strcmp(key, *keys) == 0)
            return true;
    return false;
}

/* All fields but those of `told`, NULL-ended, which the columns or the words before have. */
static void put_fields(struct buf *to, const json_t *event, const char *const *told)
{
    size_t begin = buf_len(to);
    const char *key;
    json_t *value;

    /* The macro casts const away; nothing is changed. */
    json_object_foreach((json_t *)(uintptr_t)event, key, value)
    {
        if (is_one_of(key, told))
            continue;
        if (buf_len(to) > begin)
            (void)buf_add_str(to, ", ");
        put_field(to, key, value);
    }
}

/* "99%", "1.5G", "20 messages". */
static void put_amount(struct buf *to, const json_t *event, const char *key)
{
    const char *unit = get_text(event, "unit");
    int64_t n = json_integer_value(json_object_get(event, key));
    char text[FORMAT_TEXT_MAX];

    if (strcmp(unit, "%") == 0 || strcmp(unit, "percent") == 0) {
        (void)buf_addf(to, "%" PRId64 "%%", n);
    } else if (strcmp(unit, "bytes") == 0) {
        size_format_short(n > 0 ? (uint64_t)n : 0, text);
        (void)buf_add_str(to, text);
    } else {
        (void)buf_addf(to, "%" PRId64 "%s%s", n, *unit ? " " : "", unit);
    }
}

/* "spool_disk at 61G of 64G, threshold 60G"; of the server: "server, by spool_disk at ...". */
static void put_resource(struct buf *to, const json_t *event)
{
    const char *resource = get_text(event, "resource"), *cause = get_text(event, "cause");
    const char *value = json_object_get(event, "value") ? "value" : "used";

    (void)buf_add_str(to, *resource ? resource : "server");
    if (*cause && strcmp(cause, resource) != 0)
        (void)buf_addf(to, ", by %s", cause);
    if (!json_is_integer(json_object_get(event, value)))
        return;
    (void)buf_add_str(to, " at ");
    put_amount(to, event, value);
    if (json_integer_value(json_object_get(event, "limit")) > 0) {
        (void)buf_add_str(to, " of ");
        put_amount(to, event, "limit");
    }
    if (json_is_integer(json_object_get(event, "threshold"))) {
        (void)buf_add_str(to, ", threshold ");
        put_amount(to, event, "threshold");
    }
    if (json_is_integer(json_object_get(event, "normal_at"))) {
        (void)buf_add_str(to, ", normal at ");
        put_amount(to, event, "normal_at");
    }
    if (json_is_integer(json_object_get(event, "to_free"))) {
        (void)buf_add_str(to, ", to free ");
        put_amount(to, event, "to_free");
    }
}

/* What is done about it. */
static void put_measures(struct buf *to, const json_t *event)
{
    const char *refused = json_string_value(json_object_get(event, "refused"));

    if (json_is_false(json_object_get(event, "counts")))
        (void)buf_add_str(to, "; not counted");
    if (refused)
        (void)buf_addf(to, "; refused now: %s", *refused ? refused : "nothing");
    if (*get_text(event, "delayed"))
        (void)buf_addf(to, "; delayed now: %s", get_text(event, "delayed"));
    if (*get_text(event, "remedies"))
        (void)buf_addf(to, "; remedies: %s", get_text(event, "remedies"));
}

static const char *const pressure_told[] = {
    "time",      "level",   "event",   "event_id", "direction", "resource",  "cause",     "from",
    "to",        "value",   "used",    "limit",    "normal_at", "to_free",   "threshold", "unit",
    "lasted_ms", "refused", "delayed", "remedies", "counts",    "resources", NULL,
};

static void put_rest(struct buf *to, const json_t *event)
{
    struct buf rest = BUF_INIT(KIB(64));

    put_fields(&rest, event, pressure_told);
    if (buf_len(&rest)) {
        (void)buf_add_str(to, "; ");
        (void)buf_add(to, buf_slice(&rest));
    }
    buf_done(&rest);
}

/* The direction comes first and in capitals: a rise and a fall are not to be mixed up. */
static void put_pressure(struct buf *to, const json_t *event, const char *direction)
{
    char lasted[FORMAT_TEXT_MAX];

    format_age(json_integer_value(json_object_get(event, "lasted_ms")), lasted);
    (void)buf_addf(to, "%s from %s (for %s) to %s: ", direction, get_text(event, "from"), lasted,
                   get_text(event, "to"));
    put_resource(to, event);
    put_measures(to, event);
    put_rest(to, event);
}

static void put_still(struct buf *to, const json_t *event)
{
    char lasted[FORMAT_TEXT_MAX];

    format_age(json_integer_value(json_object_get(event, "lasted_ms")), lasted);
    (void)buf_addf(to, "STILL %s, for %s: ", get_text(event, "to"), lasted);
    put_resource(to, event);
    put_measures(to, event);
    put_rest(to, event);
}

static void put_loss(struct buf *to, const json_t *event)
{
    const char *file = get_text(event, "file"), *reason = get_text(event, "reason");
    char lasted[FORMAT_TEXT_MAX];

    format_age(json_integer_value(json_object_get(event, "lasted_ms")), lasted);
    if (strcmp(get_text(event, "state"), "begins") == 0)
        (void)buf_add_str(to, "BEGINS: lines of the log files cannot be written");
    else
        (void)buf_addf(to, "ENDS after %s: %" JSON_INTEGER_FORMAT " lines were lost", lasted,
                       json_integer_value(json_object_get(event, "lines")));
    (void)buf_addf(to, "%s%s%s%s", *file ? ", " : "", file, *reason ? ": " : "", reason);
}

int event_text_words(struct buf *to, const json_t *event)
{
    static const char *const told[] = {"time", "level", "event", NULL};

    if (is_event(event, "pressure_increased")) {
        put_pressure(to, event, "INCREASED");
    } else if (is_event(event, "pressure_decreased")) {
        put_pressure(to, event, "DECREASED");
    } else if (is_event(event, "pressure_persists")) {
        put_still(to, event);
    } else if (is_event(event, "records_lost")) {
        put_loss(to, event);
    } else if (is_event(event, "remedy")) {
        (void)buf_addf(to, "%s for %s: %s", get_text(event, "remedy"), get_text(event, "for"),
                       get_text(event, "effect"));
    } else if (is_event(event, "refusing_ends")) {
        (void)buf_addf(to, "mail is taken again, level %s", get_text(event, "to"));
    } else if (slice_has_prefix(slice_str(get_text(event, "event")), SLICE_LIT("refusing_mail"))) {
        (void)buf_add_str(to, "REFUSING mail: ");
        put_resource(to, event);
        put_measures(to, event);
        put_rest(to, event);
    } else {
        put_fields(to, event, told);
    }
    return buf_failed(to) ? -E2BIG : 0;
}

/* ---- Exchange's ---- */

static const struct {
    const char *resource, *name;
} exchange_names[] = {
    {"spool_disk", "Queue database and disk space"},
    {"log_disk", "Queue database logging disk space"},
    {"uncommitted", "Version buckets"},
    {"memory", "Private bytes"},
    {"queue", "Submission Queue"},
    {"spool_inodes", "Queue database inodes"},
    {"descriptors", "Descriptors"},
    {"cpu_stall", "Processor stall"},
    {"memory_stall", "Memory stall"},
    {"io_stall", "Disk stall"},
};

static void put_exchange_name(struct buf *to, struct slice resource)
{
    for (size_t i = 0; i < ARRAY_SIZE(exchange_names); i++)
        if (slice_eq(resource, slice_str(exchange_names[i].resource))) {
            (void)buf_add_str(to, exchange_names[i].name);
            return;
        }
    (void)buf_add(to, resource);
}

/* "high" as "High". */
static void put_level(struct buf *to, struct slice level)
{
    bool is_lower = level.len && byte_is_alpha(level.ptr[0]);

    if (is_lower)
        (void)buf_push(to, level.ptr[0] & 0xdf);
    (void)format_harmless(to, slice_from(level, is_lower));
}

static void put_resource_line(struct buf *to, const struct resource_text *r)
{
    const char *sign = r->is_percent ? "%" : "";

    if (slice_eq(r->name, SLICE_LIT("system_memory"))) {
        (void)buf_addf(to,
                       "Physical memory load = %" PRIu64 "%% [limit is %" PRIu64
                       "%% to start dehydrating messages.]\n",
                       r->value, r->high);
        return;
    }
    put_exchange_name(to, r->name);
    if (r->path.len) {
        (void)buf_add_str(to, " (\"");
        (void)format_harmless(to, r->path);
        (void)buf_add_str(to, "\")");
    }
    (void)buf_addf(to, " = %" PRIu64 "%s [", r->value, sign);
    put_level(to, r->level);
    (void)buf_addf(to, "] [Normal=%" PRIu64 "%s Medium=%" PRIu64 "%s High=%" PRIu64 "%s]\n",
                   r->normal, sign, r->medium, sign, r->high, sign);
}

/* Those that are at normal, or those that are not, under `title`. */
static void put_resources(struct buf *to, const json_t *event, bool normal, const char *title)
{
    struct slice left = slice_str(get_text(event, "resources"));
    struct resource_text r;
    bool has_title = false;

    while (resource_text_next(&left, &r) == 1) {
        /* Exchange lists it with those at normal: it never stops mail. */
        bool is_normal =
            slice_eq(r.level, SLICE_LIT("normal")) || slice_eq(r.name, SLICE_LIT("system_memory"));

        if (is_normal != normal)
            continue;
        if (!has_title)
            (void)buf_addf(to, "\n%s\n", title);
        has_title = true;
        put_resource_line(to, &r);
    }
}

static void put_components(struct buf *to, const json_t *event)
{
    static const struct {
        const char *class, *component;
    } components[] = {
        {"internal", "Inbound mail submission from Hub Transport servers"},
        {"external", "Inbound mail submission from the Internet"},
        {"authenticated", "Mail submission from Mailbox server"},
        {"second_copy", "Mail resubmission from the Shadow Redundancy Component"},
    };
    bool has_title = false;

    for (size_t i = 0; i < ARRAY_SIZE(components); i++) {
        struct slice left = slice_str(get_text(event, "refused"));

        while (left.len) {
            ptrdiff_t comma = slice_find(left, ',');
            size_t len = comma < 0 ? left.len : (size_t)comma;
            bool is_it =
                slice_eq(slice_trim(slice_sub(left, 0, len)), slice_str(components[i].class));

            left = slice_from(left, len + 1);
            if (!is_it)
                continue;
            if (!has_title)
                (void)buf_add_str(
                    to, "\nThe following components are disabled due to back pressure:\n");
            has_title = true;
            (void)buf_addf(to, "%s\n", components[i].component);
        }
    }
}

static const struct exchange_event {
    int id;
    const char *level, *direction, *sentence; /* NULL: made of the levels */
} exchange_events[] = {
    {15004, "Warning", "INCREASED", NULL},
    {15005, "Information", "DECREASED", NULL},
    {15006, "Error", "REFUSING",
     "Penstock is rejecting message submissions because the available disk space has dropped below "
     "the configured threshold."},
    {15007, "Error", "REFUSING",
     "Penstock is rejecting message submissions because the service continues to consume more "
     "memory than the configured threshold."},
};

static void put_exchange(struct buf *to, const json_t *event, const struct exchange_event *e)
{
    char when[EVENT_TEXT_TIME_MAX] = "?";
    int64_t ms;

    if (event_text_time(event, &ms) == 0)
        event_text_format_time(ms, when);
    (void)buf_addf(to,
                   "Date:          %s\nEvent ID:      %d\nTask Category: ResourceManager\n"
                   "Level:         %s\nDirection:     %s\nDescription:\n",
                   when, e->id, e->level, e->direction);
    if (e->sentence) {
        (void)buf_addf(to, "%s\n", e->sentence);
    } else {
        (void)buf_addf(to, "The resource pressure %s from ",
                       e->id == 15005 ? "decreased" : "increased");
        put_level(to, slice_str(get_text(event, "from")));
        (void)buf_add_str(to, " to ");
        put_level(to, slice_str(get_text(event, "to")));
        (void)buf_add_str(to, ".\n");
    }
    put_resources(to, event, false, "The following resources are under pressure:");
    put_components(to, event);
    put_resources(to, event, true, "The following resources are in normal state:");
    (void)buf_push(to, '\n');
}

int event_text_exchange(struct buf *to, const json_t *event)
{
    int64_t id = json_integer_value(json_object_get(event, "event_id"));
    const char *resource = get_text(event, "resource");

    /* Exchange tells of the server's level; that of one resource stands in the body. */
    if (id <= 15005 && *resource && strcmp(resource, "server") != 0)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(exchange_events); i++)
        if (id == exchange_events[i].id) {
            put_exchange(to, event, &exchange_events[i]);
            return buf_failed(to) ? -E2BIG : 1;
        }
    return 0;
}
