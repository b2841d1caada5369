/*
 * cli/pressure_text.c - the screen of `penstock pressure`.
 *
 * Everything that the server knows about pressure stands on it, in the order in which a person
 * asks: how bad is it, which resource, who suffers, what was done, what should I do.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "cli/format.h"
#include "cli/json_get.h"
#include "cli/pressure_int.h"
#include "cli/screen.h"

#define CLIENTS_SHOWN 5
#define HOLDERS_SHOWN 5
#define CHANGES_SHOWN 6
#define SETTINGS_SHOWN 6
#define NOTE_MAX 96
#define ROWS_MAX 64
#define SHORT_COUNT_MAX 1000000 /* from there on counts are printed in thousands */
#define YEAR_LEN 5              /* "2026-" */
#define FORECAST_S_MAX 86400    /* what is further off is noise; --json has it */

static const char *const spans[] = {"minute", "hour", "day"};

void pressure_name(const char *name, char ret[static PRESSURE_NAME_MAX])
{
    (void)snprintf(ret, PRESSURE_NAME_MAX, "%s", name);
    for (char *c = ret; *c; c++)
        if (*c == '_')
            *c = ' ';
}

void pressure_amount(uint64_t n, const char *unit, char ret[static SIZE_TEXT_MAX])
{
    if (strcmp(unit, "bytes") == 0)
        size_format(n, ret);
    else if (strcmp(unit, "percent") == 0)
        (void)snprintf(ret, SIZE_TEXT_MAX, "%" PRIu64 "%%", n);
    else
        (void)snprintf(ret, SIZE_TEXT_MAX, "%" PRIu64 " %s", n, unit);
}

/* ---- colours and lines ---- */

static const char *colour_of(const char *level)
{
    if (strcmp(level, "high") == 0)
        return SCREEN_RED;
    return strcmp(level, "medium") == 0 ? SCREEN_YELLOW : "";
}

static struct screen screen_of(const struct pressure_style *style)
{
    return (struct screen){.width = style->width, .is_colour = style->is_colour};
}

static void print_line(const struct pressure_style *style, const char *level, const char *line,
                       size_t len, FILE *to)
{
    struct screen screen = screen_of(style);

    screen_line(&screen, colour_of(level), line, len, to);
}

static void print_heading(const struct pressure_style *style, const char *text, FILE *to)
{
    struct screen screen = screen_of(style);

    screen_heading(&screen, text, to);
}

/* The rows have the colours of `levels`, or none. */
static void print_sheet(struct sheet *s, const struct pressure_style *style,
                        const char *const *levels, size_t level_count, FILE *to)
{
    struct screen screen = screen_of(style);
    const char *colours[ROWS_MAX];

    level_count = MIN_OF(level_count, (size_t)ROWS_MAX);
    for (size_t i = 0; i < level_count; i++)
        colours[i] = colour_of(levels[i]);
    sheet_end(s, &screen, colours, level_count, to);
}

/* ---- the head ---- */

static const json_t *find_class(const json_t *list, const char *name)
{
    const json_t *c;
    size_t i;

    json_array_foreach(list, i, c) if (strcmp(get_text(c, "class"), name) == 0) return c;
    return NULL;
}

/* The names of resources at the server's level, of those that count. */
static void add_guilty(const json_t *view, struct buf *line)
{
    const json_t *r;
    size_t i, count = 0;

    json_array_foreach(json_object_get(view, "resources"), i, r)
    {
        char name[PRESSURE_NAME_MAX];

        if (get_bool(r, "advisory") || get_bool(r, "observe_only") ||
            strcmp(get_text(r, "level"), get_text(view, "level")) != 0)
            continue;
        pressure_name(get_text(r, "name"), name);
        (void)buf_addf(line, "%s%s", count++ ? ", " : ": ", name);
    }
}

static void print_head(const json_t *view, const struct pressure_style *style, FILE *to)
{
    const char *level = get_text(view, "level");
    char when[FORMAT_TEXT_MAX], since[FORMAT_TEXT_MAX], age[FORMAT_TEXT_MAX];
    int64_t now_ms = get_int(view, "now_ms");
    struct buf line = BUF_INIT(KIB(4));

    format_time(now_ms, when);
    format_age(now_ms - get_int(view, "taken_ms"), age);
    (void)buf_addf(&line, "%s  penstock %s  %s UTC  sampled %s ago, every %.3gs",
                   get_text(view, "hostname"), get_text(view, "version"), when, age,
                   get_real(view, "interval_ms") / 1000);
    print_line(style, "", buf_cstr(&line), buf_len(&line), to);
    buf_clear(&line);
    format_age(now_ms - get_int(view, "since_ms"), age);
    format_time(get_int(view, "since_ms"), since);
    (void)buf_addf(&line, "Level %s for %s, since %s UTC", level, age, since);
    if (strcmp(level, "normal") != 0)
        add_guilty(view, &line);
    if (!get_bool(view, "enabled"))
        (void)buf_add_str(&line, "  (pressure.enabled: no, nothing is refused)");
    print_line(style, level, buf_cstr(&line), buf_len(&line), to);
    buf_clear(&line);
    if (get_bool(json_object_get(view, "spool"), "failed"))
        (void)buf_add_str(&line, "The spool has FAILED: no mail is taken until the server is "
                                 "started again.");
    if (buf_len(&line) > 0)
        print_line(style, "high", buf_cstr(&line), buf_len(&line), to);
    buf_done(&line);
}

/* ---- resources ---- */

static const struct table_column resource_columns[] = {
    {"RESOURCE", 0, false}, {"LEVEL", 0, false}, {"FOR", 0, true},    {"VALUE", 0, true},
    {"OF", 0, true},        {"%", 0, true},      {"MEDIUM", 0, true}, {"HIGH", 0, true},
    {"NORMAL", 0, true},    {"FREE", 0, true},   {"A MIN", 0, true},  {"", 0, false},
};

/* Short: "2.1G", "12%", "12345", "16777k": the inodes of a large disk must not widen the table. */
static void format_short(uint64_t n, const char *unit, char ret[static FORMAT_TEXT_MAX])
{
    if (strcmp(unit, "bytes") == 0)
        size_format_short(n, ret);
    else if (n >= SHORT_COUNT_MAX)
        (void)snprintf(ret, FORMAT_TEXT_MAX, "%" PRIu64 "k", n / 1000);
    else
        (void)snprintf(ret, FORMAT_TEXT_MAX, "%" PRIu64 "%s", n,
                       strcmp(unit, "percent") == 0 ? "%" : "");
}

static void add_short(struct sheet *s, const json_t *object, const char *key, const char *unit)
{
    char text[FORMAT_TEXT_MAX] = "-";

    if (has_value(object, key))
        format_short(get_uint(object, key), unit, text);
    sheet_cell(s, text);
}

/* The change in a minute, with its sign. */
static void add_trend(struct sheet *s, const json_t *r)
{
    double a_minute = get_real(r, "trend_per_s") * 60;
    char amount[FORMAT_TEXT_MAX] = "", text[FORMAT_TEXT_MAX + 1] = "-";

    if (fabs(a_minute) >= 1) {
        format_short((uint64_t)fabs(a_minute), get_text(r, "unit"), amount);
        (void)snprintf(text, sizeof(text), "%c%s", a_minute < 0 ? '-' : '+', amount);
    }
    sheet_cell(s, text);
}

static void add_forecast(const json_t *r, const char *key, const char *level, struct buf *note)
{
    char age[FORMAT_TEXT_MAX];

    if (!has_value(r, key) || get_int(r, key) > FORECAST_S_MAX)
        return;
    format_age(get_int(r, key) * 1000, age);
    (void)buf_addf(note, "%s%s in %s", buf_len(note) ? ", " : "", level, age);
}

static void add_word(struct buf *note, const char *word)
{
    (void)buf_addf(note, "%s%s", buf_len(note) ? ", " : "", word);
}

/* "medium at 876M": the first threshold on the way down. */
static void add_fall(const json_t *r, struct buf *note)
{
    char amount[FORMAT_TEXT_MAX];

    format_short(get_uint(json_object_get(r, "effective"), "high_to_medium"), get_text(r, "unit"),
                 amount);
    (void)buf_addf(note, "%smedium at %s", buf_len(note) ? ", " : "", amount);
}

static void add_note(struct sheet *s, const json_t *r)
{
    const char *level = get_text(r, "level");
    struct buf note = BUF_INIT(KIB(1));

    if (get_bool(r, "advisory"))
        add_word(&note, "advisory");
    if (get_bool(r, "observe_only"))
        add_word(&note, "observe only");
    if (strcmp(level, "high") == 0)
        add_fall(r, &note);
    if (strcmp(level, "normal") == 0 && has_value(r, "medium_in_s"))
        add_forecast(r, "medium_in_s", "medium", &note);
    else if (strcmp(level, "high") != 0)
        add_forecast(r, "high_in_s", "high", &note);
    if (get_bool(r, "hardened") && !get_bool(r, "advisory") && !get_bool(r, "observe_only"))
        add_word(&note, "hardened");
    sheet_cell(s, buf_cstr(&note));
    buf_done(&note);
}

/* What has no figure says why, in a line of its own below the table. */
static void add_resource(struct sheet *s, const json_t *r, int64_t now_ms)
{
    const json_t *effective = json_object_get(r, "effective");
    const char *unit = get_text(r, "unit");
    char name[PRESSURE_NAME_MAX], age[FORMAT_TEXT_MAX], percent[FORMAT_TEXT_MAX] = "-";
    bool is_percentage = strcmp(unit, "percent") == 0;

    pressure_name(get_text(r, "name"), name);
    format_age(now_ms - get_int(r, "since_ms"), age);
    if (has_value(r, "percent"))
        (void)snprintf(percent, sizeof(percent), "%" PRIu64, get_uint(r, "percent"));
    sheet_cell(s, name);
    sheet_cell(s, get_text(r, "level"));
    sheet_cell(s, age);
    add_short(s, r, "used", unit);
    add_short(s, is_percentage ? NULL : r, "limit", unit);
    sheet_cell(s, is_percentage ? "-" : percent);
    add_short(s, effective, "low_to_medium", unit);
    add_short(s, effective, "medium_to_high", unit);
    add_short(s, effective, "medium_to_low", unit);
    add_short(s, get_uint(r, "to_free") ? r : NULL, "to_free", unit);
    add_trend(s, r);
    add_note(s, r);
}

static void print_unknown(const json_t *resources, const struct pressure_style *style, FILE *to)
{
    const json_t *r;
    size_t i;

    json_array_foreach(resources, i, r)
    {
        char name[PRESSURE_NAME_MAX];
        struct buf line = BUF_INIT(KIB(4));

        if (get_bool(r, "known"))
            continue;
        pressure_name(get_text(r, "name"), name);
        (void)buf_addf(&line, "%-13s  not available: ", name);
        (void)format_harmless(&line, slice_str(get_text(r, "why")));
        print_line(style, "", buf_cstr(&line), buf_len(&line), to);
        buf_done(&line);
    }
}

/* Where each limit comes from: what a percentage is a percentage of. */
static void print_origins(const json_t *resources, const struct pressure_style *style, FILE *to)
{
    struct buf line = BUF_INIT(KIB(16));
    const json_t *r;
    size_t i;

    json_array_foreach(resources, i, r)
    {
        char name[PRESSURE_NAME_MAX];

        if (!has_value(r, "limit") || !*get_text(r, "origin") ||
            strcmp(get_text(r, "unit"), "percent") == 0)
            continue;
        pressure_name(get_text(r, "name"), name);
        (void)buf_addf(&line, "%s%s: ", buf_len(&line) ? "; " : "Limits: ", name);
        (void)format_harmless(&line, slice_str(get_text(r, "origin")));
    }
    if (buf_len(&line) > 0)
        (void)buf_add_str(&line, ".\n");
    screen_wrapped(buf_cstr(&line), style->width, to);
    buf_done(&line);
}

static void print_resources(const json_t *view, const struct pressure_style *style, FILE *to)
{
    const json_t *resources = json_object_get(view, "resources"), *r;
    const char *levels[ROWS_MAX];
    struct sheet s;
    size_t i, count = 0;

    if (!sheet_begin(&s, resource_columns, ARRAY_SIZE(resource_columns)))
        return;
    json_array_foreach(resources, i, r) if (get_bool(r, "known") && count < ARRAY_SIZE(levels))
    {
        levels[count++] = get_text(r, "level");
        add_resource(&s, r, get_int(view, "now_ms"));
    }
    fputc('\n', to);
    print_sheet(&s, style, levels, count, to);
    print_unknown(resources, style, to);
    print_origins(resources, style, to);
}

/* ---- who is let in ---- */

static const struct table_column class_columns[] = {
    {"MAIL", 0, false}, {"NOW", 0, false},      {"REFUSED/MIN", 0, true}, {"HOUR", 0, true},
    {"DAY", 0, true},   {"BYTES", 0, true},     {"SLOWED/MIN", 0, true},  {"HOUR", 0, true},
    {"DAY", 0, true},   {"TAKEN/MIN", 0, true},
};

static const char *const refusals[] = {"refused", "refused_size", "refused_late", "refused_connect",
                                       "refused_client"};

static uint64_t count_refusals(const json_t *sums_of_class)
{
    uint64_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
        n += get_uint(sums_of_class, refusals[i]);
    return n;
}

static const json_t *sums_of(const json_t *view, const char *span)
{
    return json_object_get(json_object_get(view, "sums"), span);
}

static const json_t *sums_of_class(const json_t *view, const char *span, const char *class)
{
    return find_class(json_object_get(sums_of(view, span), "classes"), class);
}

static void add_count(struct sheet *s, uint64_t n)
{
    char text[FORMAT_TEXT_MAX];

    (void)snprintf(text, sizeof(text), "%" PRIu64, n);
    sheet_cell(s, text);
}

/* "slowed by 4s (memory)" */
static void add_verdict(struct sheet *s, const json_t *admission)
{
    const char *verdict = get_text(admission, "verdict");
    char text[NOTE_MAX] = "accepted";

    if (strcmp(verdict, "delay") == 0)
        (void)snprintf(text, sizeof(text), "slowed by %.3gs (%s)",
                       get_real(admission, "delay_ms") / 1000, get_text(admission, "token"));
    else if (strcmp(verdict, "refuse") == 0)
        (void)snprintf(text, sizeof(text), "refused (%s)", get_text(admission, "token"));
    sheet_cell(s, text);
}

static const char *level_of_verdict(const json_t *admission)
{
    const char *verdict = get_text(admission, "verdict");

    return strcmp(verdict, "refuse") == 0 ? "high" : strcmp(verdict, "delay") == 0 ? "medium" : "";
}

static void print_classes(const json_t *view, const struct pressure_style *style, FILE *to)
{
    const json_t *classes = json_object_get(json_object_get(view, "admission"), "classes"), *c;
    const char *levels[16];
    char name[PRESSURE_NAME_MAX], bytes[FORMAT_TEXT_MAX];
    struct sheet s;
    size_t i, count = 0;

    if (!sheet_begin(&s, class_columns, ARRAY_SIZE(class_columns)))
        return;
    json_array_foreach(classes, i, c)
    {
        const char *class = get_text(c, "class");

        if (count < ARRAY_SIZE(levels))
            levels[count++] = level_of_verdict(c);
        pressure_name(class, name);
        sheet_cell(&s, name);
        add_verdict(&s, c);
        for (size_t k = 0; k < ARRAY_SIZE(spans); k++)
            add_count(&s, count_refusals(sums_of_class(view, spans[k], class)));
        size_format_short(get_uint(sums_of_class(view, "day", class), "refused_bytes"), bytes);
        sheet_cell(&s, bytes);
        for (size_t k = 0; k < ARRAY_SIZE(spans); k++)
            add_count(&s, get_uint(sums_of_class(view, spans[k], class), "delayed"));
        add_count(&s, get_uint(sums_of_class(view, "minute", class), "accepted"));
    }
    fputc('\n', to);
    print_sheet(&s, style, levels, count, to);
}

/* How often in the last day, over all classes. */
static uint64_t count_in_day(const json_t *view, const char *what)
{
    const json_t *c;
    uint64_t n = 0;
    size_t i;

    json_array_foreach(json_object_get(sums_of(view, "day"), "classes"), i, c) n +=
        get_uint(c, what);
    return n;
}

static void print_sessions(const json_t *view, const struct pressure_style *style, FILE *to)
{
    const json_t *admission = json_object_get(view, "admission");
    uint64_t lines_lost = get_uint(json_object_get(view, "log"), "lines_lost");
    struct buf line = BUF_INIT(KIB(4));
    char size[SIZE_TEXT_MAX];

    (void)buf_addf(&line,
                   "Of the day's refusals: %" PRIu64 " too big for now, %" PRIu64
                   " at end of DATA, %" PRIu64 " at connect, %" PRIu64 " over a client's limit.",
                   count_in_day(view, "refused_size"), count_in_day(view, "refused_late"),
                   count_in_day(view, "refused_connect"), count_in_day(view, "refused_client"));
    print_line(style, "", buf_cstr(&line), buf_len(&line), to);
    buf_clear(&line);
    size_format(get_uint(view, "bytes_in_flight"), size);
    (void)buf_addf(&line,
                   "Sessions %" PRIu64 ", delayed %" PRIu64 " of %" PRIu64
                   "; messages in flight %" PRIu64 ", %s",
                   get_uint(view, "sessions"), get_uint(view, "delayed_sessions"),
                   get_uint(view, "delayed_sessions_max"), get_uint(view, "messages_in_flight"),
                   size);
    if (get_uint(admission, "size_max") > 0) {
        size_format(get_uint(admission, "size_max"), size);
        (void)buf_addf(&line, "; over %s is too big for now", size);
    }
    if (get_bool(admission, "refuse_at_connect"))
        (void)buf_add_str(&line, "; refused at connect");
    (void)buf_push(&line, '.');
    print_line(style, "", buf_cstr(&line), buf_len(&line), to);
    if (lines_lost > 0) {
        buf_clear(&line);
        (void)buf_addf(&line,
                       "Lines lost of our logs since the start: %" PRIu64
                       " (no room on their disk, or nobody reads).",
                       lines_lost);
        print_line(style, "", buf_cstr(&line), buf_len(&line), to);
    }
    buf_done(&line);
}

static const struct table_column client_columns[] = {
    {"CLIENTS REFUSED", 0, false}, {"MINUTE", 0, true}, {"HOUR", 0, true}, {"DAY", 0, true},
    {"ANNOUNCED", 0, true},
};

/* The table behind it is bounded: of many clients with few refusals each, a newcomer inherits the
 * count of whom it pushed out. What is shown is what it had at least. */
static uint64_t surely_refused(const json_t *client)
{
    return get_uint(client, "refused") - get_uint(client, "error");
}

static void print_clients(const json_t *view, const struct pressure_style *style, FILE *to)
{
    const json_t *clients = json_object_get(sums_of(view, "day"), "clients"), *c;
    char bytes[FORMAT_TEXT_MAX];
    struct sheet s;
    size_t i;

    if (json_array_size(clients) == 0 ||
        !sheet_begin(&s, client_columns, ARRAY_SIZE(client_columns)))
        return;
    json_array_foreach(clients, i, c)
    {
        if (i == CLIENTS_SHOWN)
            break;
        sheet_cell(&s, get_text(c, "client"));
        for (size_t k = 0; k < ARRAY_SIZE(spans); k++)
            add_count(&s,
                      surely_refused(find_in(json_object_get(sums_of(view, spans[k]), "clients"),
                                             "client", get_text(c, "client"))));
        size_format_short(get_uint(c, "bytes"), bytes);
        sheet_cell(&s, bytes);
    }
    fputc('\n', to);
    print_sheet(&s, style, NULL, 0, to);
}

/* ---- what was done, and who holds room ---- */

/* "0.09 ms", "12 ms", "4 s" */
static void format_took(double us, char ret[static FORMAT_TEXT_MAX])
{
    bool is_long = us >= 1e6;
    double n = us / (is_long ? 1e6 : 1e3);

    (void)snprintf(ret, FORMAT_TEXT_MAX, "%.*f %s",
                   n < 1    ? 2
                   : n < 10 ? 1
                            : 0,
                   n, is_long ? "s" : "ms");
}

/* "drop bodies: 3 runs, the last 2m ago for memory: freed 38 MiB in 12 ms; 120 MiB in all" */
static void print_remedy(const json_t *r, int64_t now_ms, const struct pressure_style *style,
                         FILE *to)
{
    char name[PRESSURE_NAME_MAX], for_name[PRESSURE_NAME_MAX], age[FORMAT_TEXT_MAX];
    char freed[SIZE_TEXT_MAX], total[SIZE_TEXT_MAX], took[FORMAT_TEXT_MAX];
    uint64_t runs = get_uint(r, "runs");
    struct buf line = BUF_INIT(KIB(1));

    pressure_name(get_text(r, "name"), name);
    pressure_name(get_text(r, "last_for"), for_name);
    format_age(now_ms - get_int(r, "last_ms"), age);
    format_took(get_real(r, "last_took_us"), took);
    (void)buf_addf(&line, "%-16s ", name);
    if (runs > 0)
        (void)buf_addf(&line, "%" PRIu64 " run%s, the last %s ago for %s: ", runs,
                       runs == 1 ? "" : "s", age, for_name);
    if (get_bool(r, "running")) {
        (void)buf_addf(&line, "under way for %s", for_name);
    } else if (has_value(r, "last_freed")) {
        size_format(get_uint(r, "last_freed"), freed);
        size_format(get_uint(r, "total_freed"), total);
        (void)buf_addf(&line, "freed %s in %s; %s in all", freed, took, total);
    } else {
        (void)buf_addf(&line, "took %s", took);
    }
    print_line(style, "", buf_cstr(&line), buf_len(&line), to);
    buf_done(&line);
}

static void print_remedies(const json_t *view, const struct pressure_style *style, FILE *to)
{
    const json_t *r;
    bool has_any = false;
    size_t i;

    json_array_foreach(json_object_get(view, "remedies"), i, r)
    {
        if (get_uint(r, "runs") == 0 && !get_bool(r, "running"))
            continue;
        if (!has_any)
            print_heading(style, "REMEDIES", to);
        has_any = true;
        print_remedy(r, get_int(view, "now_ms"), style, to);
    }
    if (!has_any)
        fputs("\nNo remedy was needed since the server started.\n", to);
}

static const struct table_column holder_columns[] = {
    {"LARGEST IN FLIGHT", 0, true}, {"FOR", 0, true}, {"CLIENT", 0, false}, {"SENDER", 48, false}};

static void print_holders(const json_t *view, const struct pressure_style *style, FILE *to)
{
    const json_t *h;
    char bytes[FORMAT_TEXT_MAX], age[FORMAT_TEXT_MAX];
    struct sheet s;
    size_t i;

    if (json_array_size(json_object_get(view, "holders")) == 0 ||
        !sheet_begin(&s, holder_columns, ARRAY_SIZE(holder_columns)))
        return;
    json_array_foreach(json_object_get(view, "holders"), i, h)
    {
        const char *sender = get_text(h, "sender");

        if (i == HOLDERS_SHOWN)
            break;
        size_format_short(get_uint(h, "bytes"), bytes);
        format_age(get_int(view, "now_ms") - get_int(h, "since_ms"), age);
        sheet_cell(&s, bytes);
        sheet_cell(&s, age);
        sheet_cell(&s, get_text(h, "client"));
        sheet_cell(&s, *sender ? sender : "<>");
    }
    fputc('\n', to);
    print_sheet(&s, style, NULL, 0, to);
}

/* The sender who has most of what is in flight, where it is more than one message. */
static void print_largest_sender(const json_t *view, const struct pressure_style *style, FILE *to)
{
    const json_t *holders = json_object_get(view, "holders"), *a, *b;
    uint64_t best = 0, best_count = 0;
    const char *sender = "";
    struct buf line = BUF_INIT(KIB(4));
    char size[SIZE_TEXT_MAX];
    size_t i, k;

    json_array_foreach(holders, i, a)
    {
        uint64_t bytes = 0, count = 0;

        json_array_foreach(holders, k,
                           b) if (strcmp(get_text(a, "sender"), get_text(b, "sender")) == 0)
        {
            bytes += get_uint(b, "bytes");
            count++;
        }
        if (count > 1 && bytes > best) {
            best = bytes;
            best_count = count;
            sender = get_text(a, "sender");
        }
    }
    if (best_count == 0)
        return;
    size_format(best, size);
    (void)buf_add_str(&line, "Largest sender: ");
    (void)format_harmless(&line, slice_str(*sender ? sender : "<>"));
    (void)buf_addf(&line, ", %s in %" PRIu64 " messages.", size, best_count);
    print_line(style, "", buf_cstr(&line), buf_len(&line), to);
    buf_done(&line);
}

/* ---- times, changes, settings ---- */

static void print_level_times(const json_t *view, const struct pressure_style *style, FILE *to)
{
    static const char *const levels[] = {"normal", "medium", "high"};
    const json_t *times = json_object_get(view, "at_level_ms");
    struct buf line = BUF_INIT(KIB(4));

    for (size_t span = 1; span < ARRAY_SIZE(spans); span++) {
        (void)buf_addf(&line, "%s%s:", span > 1 ? "  Last " : "Last ", spans[span]);
        for (size_t l = 0; l < ARRAY_SIZE(levels); l++) {
            char age[FORMAT_TEXT_MAX];

            format_age(get_int(json_object_get(times, spans[span]), levels[l]), age);
            (void)buf_addf(&line, " %s %s%s", levels[l], age,
                           l + 1 < ARRAY_SIZE(levels) ? "," : "");
        }
        (void)buf_add_str(&line, ".");
    }
    fputc('\n', to);
    print_line(style, "", buf_cstr(&line), buf_len(&line), to);
    buf_clear(&line);
    (void)buf_addf(
        &line, "Changes of level %" PRIu64 " since the start, held back by the dwell %" PRIu64 ".",
        get_uint(view, "transitions"), get_uint(view, "suppressed"));
    print_line(style, "", buf_cstr(&line), buf_len(&line), to);
    buf_done(&line);
}

static void print_change(const json_t *h, const struct pressure_style *style, FILE *to)
{
    bool is_rise = strcmp(get_text(h, "direction"), "up") == 0;
    char when[FORMAT_TEXT_MAX], lasted[FORMAT_TEXT_MAX], name[PRESSURE_NAME_MAX];
    struct buf line = BUF_INIT(KIB(1));

    format_time(get_int(h, "at_ms"), when);
    format_age(get_int(h, "lasted_ms"), lasted);
    pressure_name(get_text(h, "resource"), name);
    (void)buf_addf(&line, "%s  %-13s %s from %s to %s", when + YEAR_LEN, name,
                   is_rise ? "rose" : "fell", get_text(h, "from"), get_text(h, "to"));
    if (strcmp(name, "server") == 0) {
        pressure_name(get_text(h, "cause"), name);
        (void)buf_addf(&line, " for %s", name);
    } else if (has_value(h, "value")) {
        char value[SIZE_TEXT_MAX], threshold[SIZE_TEXT_MAX];

        pressure_amount(get_uint(h, "value"), get_text(h, "unit"), value);
        pressure_amount(get_uint(h, "threshold"), get_text(h, "unit"), threshold);
        (void)buf_addf(&line, " at %s (threshold %s)", value, threshold);
    }
    (void)buf_addf(&line, " after %s", lasted);
    if (!get_bool(h, "counts"))
        (void)buf_add_str(&line, "; not counted");
    print_line(style, is_rise ? get_text(h, "to") : "", buf_cstr(&line), buf_len(&line), to);
    buf_done(&line);
}

static void print_changes(const json_t *view, const struct pressure_style *style, FILE *to)
{
    const json_t *h;
    size_t i;

    json_array_foreach(json_object_get(view, "history"), i, h)
    {
        if (i == CHANGES_SHOWN)
            break;
        if (i == 0)
            print_heading(style, "LAST CHANGES (UTC)", to);
        print_change(h, style, to);
    }
}

static void print_settings(const json_t *view, const struct pressure_style *style, FILE *to)
{
    const json_t *settings = json_object_get(view, "configuration"), *item;
    size_t i, count = json_array_size(settings);

    if (count == 0) {
        fputs("\nAll settings are the defaults; 'penstock config show' prints them.\n", to);
        return;
    }
    print_heading(style, "SET, AND NOT THE DEFAULT", to);
    json_array_foreach(settings, i, item)
    {
        struct buf line = BUF_INIT(KIB(64));

        if (i == SETTINGS_SHOWN)
            break;
        (void)buf_addf(&line, "%s = ", get_text(item, "name"));
        (void)format_harmless(&line, slice_str(get_text(item, "value")));
        (void)buf_addf(&line, "  (%s)", get_text(item, "origin"));
        print_line(style, "", buf_cstr(&line), buf_len(&line), to);
        buf_done(&line);
    }
    if (count > SETTINGS_SHOWN)
        fprintf(to, "and %zu more; ", count - SETTINGS_SHOWN);
    fputs("'penstock config show' prints all, with where each was set.\n", to);
}

/* What `print` prints, wrapped and below a heading; nothing where it prints nothing. */
static void print_under(const json_t *view, const struct pressure_style *style, const char *heading,
                        void (*print)(const json_t *view, FILE *to), FILE *to)
{
    char *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);

    if (!memory)
        return;
    print(view, memory);
    if (fclose(memory) == 0 && len > 0) {
        print_heading(style, heading, to);
        screen_wrapped(text, style->width, to);
    }
    free(text);
}

static const struct table_column directory_columns[] = {{"SPOOL DIRECTORY", 0, false},
                                                        {"BYTES", 0, true},
                                                        {"MAIL", 0, true},
                                                        {"FREE", 0, true},
                                                        {"OF", 0, true},
                                                        {"PATH", 0, false}};

/* Only where there are several. */
static void print_directories(const json_t *view, const struct pressure_style *style, FILE *to)
{
    static const char *const amounts[] = {"bytes", "live_bytes", "free_bytes", "total_bytes"};
    const json_t *list = json_object_get(json_object_get(view, "spool"), "directories"), *d;
    struct sheet s;
    size_t i;

    if (json_array_size(list) < 2 ||
        !sheet_begin(&s, directory_columns, ARRAY_SIZE(directory_columns)))
        return;
    json_array_foreach(list, i, d)
    {
        char text[FORMAT_TEXT_MAX];

        sheet_cell(&s, get_bool(d, "waits_for_room") ? "draining, no room" : get_text(d, "state"));
        for (size_t k = 0; k < ARRAY_SIZE(amounts); k++) {
            size_format_short(get_uint(d, amounts[k]), text);
            sheet_cell(&s, text);
        }
        sheet_cell(&s, get_text(d, "path"));
    }
    fputc('\n', to);
    print_sheet(&s, style, NULL, 0, to);
}

void pressure_print(const json_t *view, const struct pressure_style *style, FILE *to)
{
    print_head(view, style, to);
    print_resources(view, style, to);
    print_directories(view, style, to);
    print_under(view, style, "WHAT TO DO", pressure_print_advice, to);
    if (style->others)
        print_under(view, style, "WHAT ELSE IS LARGE", pressure_print_others, to);
    print_classes(view, style, to);
    print_sessions(view, style, to);
    print_clients(view, style, to);
    print_remedies(view, style, to);
    print_holders(view, style, to);
    print_largest_sender(view, style, to);
    print_level_times(view, style, to);
    print_changes(view, style, to);
    print_settings(view, style, to);
}
