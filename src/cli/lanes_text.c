/* cli/lanes_text.c - the screens of `penstock lanes` and `penstock lanes show`. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/format.h"
#include "cli/json_get.h"
#include "cli/lanes_int.h"
#include "cli/screen.h"
#include "cli/wrap.h"

#define LINE_MAX KIB(16)
#define INDENT 15 /* of what is told of one lane, behind its labels */
#define TIME_INDENT 21
#define COUNT_INDENT 8
#define NARROW 110 /* columns of a terminal that are too few for all columns of the table */
#define TEXTS_SHOWN 5

/* What needs a look, first. */
static const char *const bands[] = {"incident", "throttle", "recovering", "watch", "normal"};

static size_t rank_of(const json_t *lane)
{
    const char *band = get_text(lane, "band");
    size_t i = 0;

    while (i < ARRAY_SIZE(bands) && strcmp(bands[i], band) != 0)
        i++;
    return i;
}

static const char *colour_of(const json_t *lane)
{
    size_t rank = rank_of(lane);

    return rank == 0 ? SCREEN_RED : rank <= 2 || get_bool(lane, "paused") ? SCREEN_YELLOW : "";
}

static const json_t *part(const json_t *lane, const char *key)
{
    return json_object_get(lane, key);
}

static struct screen screen_of(const struct lanes_style *style)
{
    return (struct screen){.width = style->width, .is_colour = style->is_colour};
}

/* ---- all lanes ---- */

static const struct table_column columns[] = {
    {"LANE", 48, false},   {"BAND", 0, false},      {"FOR", 0, true},    {"USED", 0, true},
    {"LIMIT", 0, true},    {"RATE", 0, true},       {"QUEUE", 0, true},  {"OLDEST", 0, true},
    {"ATTEMPTS", 0, true}, {"PER 10,000", 0, true}, {"CHANGE", 0, true}, {"", 0, false},
};
/* What a narrow terminal has room for: how bad it is must not be what is cut. */
static const struct table_column narrow_columns[] = {
    {"LANE", 48, false}, {"BAND", 0, false},      {"LIMIT", 0, true},  {"QUEUE", 0, true},
    {"OLDEST", 0, true}, {"PER 10,000", 0, true}, {"CHANGE", 0, true}, {"", 0, false},
};

static bool is_narrow(const struct screen *screen)
{
    return screen->width > 0 && screen->width < NARROW;
}

static int compare_lanes(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;
    size_t rx = rank_of(*x), ry = rank_of(*y);
    uint64_t qx = get_uint(part(*x, "queue"), "entries");
    uint64_t qy = get_uint(part(*y, "queue"), "entries");

    if (rx != ry)
        return rx < ry ? -1 : 1;
    if (qx != qy)
        return qx > qy ? -1 : 1;
    return strcmp(get_text(*x, "name"), get_text(*y, "name"));
}

static void add_number(struct sheet *s, uint64_t n)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, n);
    sheet_cell(s, text);
}

/* In the unit in which it is one or more, so that a warm-up's few messages a day can be read. */
static const struct rate_unit {
    double in_it; /* seconds */
    const char *cell, *words;
} rate_units[] = {{1, "/s", "a second"}, {60, "/m", "a minute"}, {3600, "/h", "an hour"}};

static const struct rate_unit *unit_of(double per_second)
{
    size_t i = 0;

    while (i + 1 < ARRAY_SIZE(rate_units) && per_second * rate_units[i].in_it < 1)
        i++;
    return &rate_units[i];
}

static void add_rate_cell(struct sheet *s, const json_t *rates)
{
    double rate = get_real(rates, "limit");
    const struct rate_unit *unit = unit_of(rate);
    char text[32] = "-";

    if (has_value(rates, "limit"))
        (void)snprintf(text, sizeof(text), "%.4g%s", rate * unit->in_it, unit->cell);
    sheet_cell(s, text);
}

static void add_real(struct sheet *s, const json_t *object, const char *key)
{
    char text[32] = "-";

    if (has_value(object, key))
        (void)snprintf(text, sizeof(text), "%.4g", get_real(object, key));
    sheet_cell(s, text);
}

static void add_age(struct sheet *s, int64_t ms)
{
    char text[FORMAT_TEXT_MAX] = "-";

    if (ms > 0)
        format_age(ms, text);
    sheet_cell(s, text);
}

static void add_word(struct buf *note, const char *word)
{
    (void)buf_addf(note, "%s%s", buf_len(note) ? ", " : "", word);
}

/* "paused, limited to 5, incident 7, warm-up 200 of 1000 (held)" */
static void write_note(const json_t *lane, struct buf *note)
{
    const json_t *warm_up = part(lane, "warm_up"), *connections = part(lane, "connections");
    char text[96];

    if (get_bool(lane, "paused"))
        add_word(note, "paused");
    if (has_value(connections, "operator")) {
        (void)snprintf(text, sizeof(text), "limited to %" PRIu64,
                       get_uint(connections, "operator"));
        add_word(note, text);
    }
    if (has_value(lane, "incident")) {
        (void)snprintf(text, sizeof(text), "incident %" PRIu64, get_uint(lane, "incident"));
        add_word(note, text);
    }
    if (!json_is_null(warm_up) && warm_up) {
        (void)snprintf(text, sizeof(text), "warm-up %" PRIu64 " of %" PRIu64 "%s",
                       get_uint(warm_up, "today_sent"), get_uint(warm_up, "today_max"),
                       get_bool(warm_up, "held") ? " (held)" : "");
        add_word(note, text);
    }
    if (get_bool(lane, "refused"))
        add_word(note, "refused by policy");
    if (has_value(lane, "enabled") && !get_bool(lane, "enabled"))
        add_word(note, "lanes.enabled: no");
}

static void add_lane(struct sheet *s, const json_t *lane, int64_t now_ms, bool narrow)
{
    const json_t *connections = part(lane, "connections"), *queue = part(lane, "queue");
    struct buf note = BUF_INIT(KIB(1));
    char limit[48];

    write_note(lane, &note);
    (void)snprintf(limit, sizeof(limit), "%" PRIu64 "/%" PRIu64,
                   get_uint(connections, "controller"), get_uint(connections, "full"));
    sheet_cell(s, get_text(lane, "name"));
    sheet_cell(s, get_text(lane, "band"));
    if (!narrow) {
        add_age(s, now_ms - get_int(lane, "band_since_ms"));
        add_number(s, get_uint(connections, "used"));
    }
    sheet_cell(s, limit);
    if (!narrow)
        add_rate_cell(s, part(lane, "rate_per_s"));
    add_number(s, get_uint(queue, "entries"));
    add_age(s, get_int(queue, "oldest_age_ms"));
    if (!narrow)
        add_number(s, get_uint(part(lane, "window"), "attempts"));
    add_real(s, part(lane, "window"), "capacity_per_10000");
    add_age(s, has_value(lane, "next_change_ms") ? get_int(lane, "next_change_ms") - now_ms : 0);
    sheet_cell(s, buf_cstr(&note));
    buf_done(&note);
}

/* "2026-11-23 03:40:00 UTC  5 lanes: 1 incident, 4 normal; 1 paused" */
static void print_head(const json_t *view, const json_t *const *lanes, size_t count,
                       const struct screen *screen, FILE *to)
{
    struct buf line = BUF_INIT(KIB(1));
    char now[FORMAT_TEXT_MAX];
    size_t told = 0, paused = 0;

    format_time(get_int(view, "now_ms"), now);
    (void)buf_addf(&line, "%s UTC  %zu %s", now, count, count == 1 ? "lane" : "lanes");
    for (size_t rank = 0; rank < ARRAY_SIZE(bands); rank++) {
        size_t n = 0;

        for (size_t i = 0; i < count; i++)
            n += rank_of(lanes[i]) == rank;
        if (n)
            (void)buf_addf(&line, "%s%zu %s", told++ ? ", " : ": ", n, bands[rank]);
    }
    for (size_t i = 0; i < count; i++)
        paused += get_bool(lanes[i], "paused");
    if (paused)
        (void)buf_addf(&line, "; %zu paused", paused);
    screen_line(screen, "", buf_cstr(&line), buf_len(&line), to);
    buf_done(&line);
}

static void print_lanes(const json_t *view, const json_t **lanes, const char **colours,
                        size_t count, const struct screen *screen, FILE *to)
{
    bool narrow = is_narrow(screen);
    struct sheet s;

    qsort(lanes, count, sizeof(lanes[0]), compare_lanes);
    print_head(view, lanes, count, screen, to);
    if (count == 0 || !sheet_begin(&s, narrow ? narrow_columns : columns,
                                   narrow ? ARRAY_SIZE(narrow_columns) : ARRAY_SIZE(columns)))
        return;
    fputc('\n', to);
    for (size_t i = 0; i < count; i++) {
        colours[i] = colour_of(lanes[i]);
        add_lane(&s, lanes[i], get_int(view, "now_ms"), narrow);
    }
    sheet_end(&s, screen, colours, count, to);
}

void lanes_print(const json_t *view, const struct lanes_style *style, FILE *to)
{
    const json_t *list = json_object_get(view, "lanes");
    size_t count = json_array_size(list);
    const json_t **lanes = calloc(count + 1, sizeof(const json_t *));
    const char **colours = calloc(count + 1, sizeof(const char *));
    struct screen screen = screen_of(style);

    for (size_t i = 0; lanes && i < count; i++)
        lanes[i] = json_array_get(list, i);
    if (lanes && colours)
        print_lanes(view, lanes, colours, count, &screen, to);
    free(lanes);
    free(colours);
}

/* ---- one lane ---- */

struct one {
    const json_t *view;
    struct screen screen;
    int64_t now_ms;
    FILE *to;
};

/* Sentences are wrapped, and nothing of them is cut. */
static void print_text(const struct one *o, const char *label, size_t indent, const char *colour,
                       struct slice text)
{
    const struct screen uncut = {.is_colour = o->screen.is_colour};
    struct buf lines = BUF_INIT(4 * LINE_MAX);
    struct slice left;

    wrap_add_to(&lines, label, indent, text, o->screen.width);
    left = buf_slice(&lines);
    while (left.len) {
        ptrdiff_t end = slice_find(left, '\n');
        size_t len = end < 0 ? left.len : (size_t)end;

        screen_line(&uncut, colour, (const char *)left.ptr, len, o->to);
        left = slice_from(left, MIN_OF(len + 1, left.len));
    }
    buf_done(&lines);
}

/* Takes the text over. */
static void print_line(const struct one *o, const char *label, const char *colour, struct buf *text)
{
    print_text(o, label, INDENT, colour, buf_slice(text));
    buf_done(text);
}

/* "1234 of them" where there is a number, with its unit. */
static void add_rate(struct buf *to, const json_t *rates, const char *key)
{
    double rate = get_real(rates, key);
    const struct rate_unit *unit = unit_of(rate);

    if (has_value(rates, key))
        (void)buf_addf(to, "%.4g %s", rate * unit->in_it, unit->words);
    else
        (void)buf_add_str(to, "no limit");
}

static void print_band(const struct one *o)
{
    const json_t *incident = part(o->view, "open_incident");
    struct buf line = BUF_INIT(LINE_MAX), note = BUF_INIT(KIB(1));
    char age[FORMAT_TEXT_MAX], since[FORMAT_TEXT_MAX];

    format_age(o->now_ms - get_int(o->view, "band_since_ms"), age);
    format_time(get_int(o->view, "band_since_ms"), since);
    write_note(o->view, &note);
    (void)buf_addf(&line, "%s for %s, since %s UTC%s%s", get_text(o->view, "band"), age, since,
                   buf_len(&note) ? "; " : "", buf_cstr(&note));
    if (incident && !json_is_null(incident))
        (void)buf_addf(&line, ", verdict so far: %s", get_text(incident, "side"));
    buf_done(&note);
    print_line(o, get_text(o->view, "name"), colour_of(o->view), &line);
}

static void print_limits(const struct one *o)
{
    const json_t *c = part(o->view, "connections"), *r = part(o->view, "rate_per_s");
    struct buf line = BUF_INIT(LINE_MAX);

    (void)buf_addf(&line,
                   "%" PRIu64 " of %" PRIu64 ", floor %" PRIu64 "; %" PRIu64
                   " in use, at most %" PRIu64 " lately; ",
                   get_uint(c, "controller"), get_uint(c, "full"), get_uint(c, "floor"),
                   get_uint(c, "used"), get_uint(c, "peak"));
    if (get_uint(c, "resting"))
        (void)buf_addf(&line, "%" PRIu64 " rest after a refusal; ", get_uint(c, "resting"));
    (void)buf_addf(&line, "cuts %" PRIu64 ", steps up %" PRIu64, get_uint(o->view, "cuts"),
                   get_uint(o->view, "steps"));
    print_line(o, "connections", "", &line);
    add_rate(&line, r, "limit");
    (void)buf_add_str(&line, "; full ");
    add_rate(&line, r, "full");
    print_line(o, "rate", "", &line);
}

static void print_queue(const struct one *o)
{
    const json_t *q = part(o->view, "queue");
    struct buf line = BUF_INIT(LINE_MAX);
    char age[FORMAT_TEXT_MAX];
    uint64_t entries = get_uint(q, "entries"), destinations = get_uint(q, "destinations");

    if (entries == 0) {
        (void)buf_add_str(&line, "empty");
        print_line(o, "queue", "", &line);
        return;
    }
    format_age(get_int(q, "oldest_age_ms"), age);
    (void)buf_addf(&line,
                   "%" PRIu64 " in %" PRIu64 " %s: %" PRIu64 " deferred, %" PRIu64
                   " ready, %" PRIu64 " active, %" PRIu64 " held; the oldest is %s old",
                   entries, destinations, destinations == 1 ? "destination" : "destinations",
                   get_uint(q, "waiting"), get_uint(q, "ready"), get_uint(q, "active"),
                   get_uint(q, "held"), age);
    if (get_uint(q, "to_release"))
        (void)buf_addf(&line, "; %" PRIu64 " are sent before their time, at the lane's pace",
                       get_uint(q, "to_release"));
    if (get_bool(q, "spreading"))
        (void)buf_add_str(&line, "; its retries are being spread");
    print_line(o, "queue", "", &line);
}

/* What the controller looks at, and what it compares that with. */
static void print_inputs(const struct one *o)
{
    const json_t *w = part(o->view, "window"), *p = part(o->view, "per_10000");
    struct buf line = BUF_INIT(LINE_MAX);
    char span[FORMAT_TEXT_MAX];

    format_age(get_int(o->view, "window_ms"), span);
    (void)buf_addf(&line,
                   "%" PRIu64 " of %" PRIu64 " attempts in %s were refused for want of "
                   "capacity",
                   get_uint(w, "capacity"), get_uint(w, "attempts"), span);
    if (has_value(w, "capacity_per_10000"))
        (void)buf_addf(&line, ": %.4g per 10,000, with %.4g %% confidence at least %.4g",
                       get_real(w, "capacity_per_10000"), get_real(o->view, "confidence") * 100,
                       get_real(p, "lower_bound"));
    print_line(o, "seen", "", &line);
    (void)buf_addf(&line,
                   "watch from %.4g per 10,000, throttle %.4g, incident %.4g; with %" PRIu64
                   " attempts and %" PRIu64 " such replies or more",
                   get_real(p, "watch"), get_real(p, "throttle"), get_real(p, "incident"),
                   get_uint(o->view, "sample_min"), get_uint(o->view, "hits_min"));
    print_line(o, "thresholds", "", &line);
    (void)buf_addf(&line, "%.4g per 10,000; at baseline is up to %.4g", get_real(p, "baseline"),
                   get_real(p, "at_baseline_to"));
    print_line(o, "baseline", "", &line);
}

static void print_next(const struct one *o)
{
    struct buf line = BUF_INIT(LINE_MAX);
    char at[FORMAT_TEXT_MAX], in[FORMAT_TEXT_MAX], cycle[FORMAT_TEXT_MAX];

    format_age(get_int(o->view, "cycle_ms"), cycle);
    if (has_value(o->view, "next_change_ms")) {
        format_time(get_int(o->view, "next_change_ms"), at);
        format_age(get_int(o->view, "next_change_ms") - o->now_ms, in);
        (void)buf_addf(&line, "not before %s UTC, in %s", at, in);
    } else {
        (void)buf_add_str(&line, "at any time");
    }
    (void)buf_addf(&line, " (after a cut %" PRIu64 " retry cycles of %s)",
                   get_uint(o->view, "hold_cycles"), cycle);
    print_line(o, "next change", "", &line);
}

static void print_last(const struct one *o)
{
    const json_t *d = part(o->view, "last");
    struct buf line = BUF_INIT(LINE_MAX);
    char at[FORMAT_TEXT_MAX];

    if (json_is_null(d) || !d) {
        (void)buf_add_str(&line, "none yet");
        print_line(o, "last decision", "", &line);
        return;
    }
    format_time(get_int(d, "at_ms"), at);
    (void)buf_addf(&line, "%s UTC: %s -> %s, %s: connections %" PRIu64 " -> %" PRIu64, at,
                   get_text(d, "from"), get_text(d, "to"), get_text(d, "action"),
                   get_uint(d, "connections_from"), get_uint(d, "connections_to"));
    if (has_value(d, "rate_to") || has_value(d, "rate_from")) {
        (void)buf_add_str(&line, ", rate ");
        add_rate(&line, d, "rate_from");
        (void)buf_add_str(&line, " -> ");
        add_rate(&line, d, "rate_to");
    }
    print_line(o, "last decision", "", &line);
    (void)buf_add_str(&line, get_text(d, "why"));
    print_line(o, "why", "", &line);
    (void)buf_addf(&line,
                   "%" PRIu64 " capacity and %" PRIu64 " rate replies of %" PRIu64
                   " attempts in %" PRIu64 " minutes; %.4g per 10,000 (at least %.4g), baseline "
                   "%.4g; queue %" PRIu64 ", ",
                   get_uint(d, "capacity"), get_uint(d, "rate_replies"), get_uint(d, "attempts"),
                   get_uint(d, "span_minutes"), get_real(d, "per_10000"),
                   get_real(d, "lower_bound_per_10000"), get_real(d, "baseline_per_10000"),
                   get_uint(d, "queue_length"));
    format_age(get_int(d, "queue_age_ms"), at);
    (void)buf_addf(&line, "oldest %s, %s", at,
                   get_bool(d, "age_is_falling") ? "easing" : "not easing");
    print_line(o, "inputs", "", &line);
}

/* "12ms", "3s", "2h5m" */
static void format_span(const json_t *times, const char *key, char ret[static FORMAT_TEXT_MAX])
{
    int64_t ms = get_int(times, key);

    if (ms < 1000)
        (void)snprintf(ret, FORMAT_TEXT_MAX, "%" PRId64 "ms", ms);
    else
        format_age(ms, ret);
}

static void print_times(const struct one *o)
{
    const json_t *t = part(o->view, "delivery_ms");
    char p50[FORMAT_TEXT_MAX], p90[FORMAT_TEXT_MAX], p99[FORMAT_TEXT_MAX], max[FORMAT_TEXT_MAX];
    struct buf line = BUF_INIT(LINE_MAX);

    if (get_uint(t, "count") == 0)
        return;
    format_span(t, "p50", p50);
    format_span(t, "p90", p90);
    format_span(t, "p99", p99);
    format_span(t, "max", max);
    (void)buf_addf(&line, "half in %s, 90 %% in %s, 99 %% in %s, all in %s (%" PRIu64 " messages)",
                   p50, p90, p99, max, get_uint(t, "count"));
    print_line(o, "delivered", "", &line);
}

static const struct table_column span_columns[] = {
    {"SPAN", 0, false}, {"ATTEMPTS", 0, true}, {"PER 10,000", 0, true}, {"AT FIRST", 0, true},
    {"LATER", 0, true}, {"DEFERRED", 0, true}, {"FAILED", 0, true},     {"CAPACITY", 0, true},
    {"RATE", 0, true},  {"POLICY", 0, true},   {"CONNECT", 0, true},
};

static void add_span(struct sheet *s, const struct one *o, const char *name, const char *key)
{
    static const char *const counts[] = {"delivered_first", "delivered_later", "deferred",
                                         "failed",          "capacity",        "rate",
                                         "policy",          "connection"};
    const json_t *c = part(o->view, key);

    sheet_cell(s, name);
    add_number(s, get_uint(c, "attempts"));
    add_real(s, c, "capacity_per_10000");
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
        add_number(s, get_uint(c, counts[i]));
}

static void print_spans(const struct one *o)
{
    char span[FORMAT_TEXT_MAX];
    struct sheet s;

    if (!sheet_begin(&s, span_columns, ARRAY_SIZE(span_columns)))
        return;
    format_age(get_int(o->view, "window_ms"), span);
    add_span(&s, o, span, "window");
    add_span(&s, o, "hour", "hour");
    add_span(&s, o, "day", "day");
    fputc('\n', o->to);
    sheet_end(&s, &o->screen, NULL, 0, o->to);
}

static void print_changes(const struct one *o)
{
    const json_t *incident = part(o->view, "open_incident");
    const json_t *changes = json_object_get(incident, "changes");
    const json_t *texts = json_object_get(incident, "texts"), *each;
    size_t i;

    if (json_array_size(changes))
        screen_heading(&o->screen, "Since the incident began (times are UTC)", o->to);
    json_array_foreach(changes, i, each)
    {
        char at[FORMAT_TEXT_MAX];

        format_time(get_int(each, "at_ms"), at);
        print_text(o, at, TIME_INDENT, "", slice_str(get_text(each, "text")));
    }
    if (json_array_size(texts))
        screen_heading(&o->screen, "What was answered", o->to);
    json_array_foreach(texts, i, each) if (i < TEXTS_SHOWN)
    {
        char count[24];

        (void)snprintf(count, sizeof(count), "%6" PRIu64, get_uint(each, "count"));
        print_text(o, count, COUNT_INDENT, "", slice_str(get_text(each, "text")));
    }
}

void lanes_print_one(const json_t *view, const struct lanes_style *style, FILE *to)
{
    struct one o = {
        .view = view, .screen = screen_of(style), .now_ms = get_int(view, "now_ms"), .to = to};

    print_band(&o);
    print_limits(&o);
    print_queue(&o);
    print_inputs(&o);
    print_next(&o);
    print_last(&o);
    print_times(&o);
    print_spans(&o);
    print_changes(&o);
}
