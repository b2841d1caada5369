/* cli/lanes_resolve_text.c - what `penstock lanes resolve` found, for people. */
#include <inttypes.h>
#include <string.h>

#include "cli/format.h"
#include "cli/json_get.h"
#include "cli/lanes_int.h"
#include "cli/wrap.h"

#define LINE_MAX KIB(16)
#define INDENT 11 /* of what is told, behind its labels */

struct page {
    FILE *to;
    size_t width; /* 0: lines are as long as they come */
};

/* "90s", "10m", "48h": as the configuration would have it. */
static void add_duration(struct buf *to, uint64_t s)
{
    if (s && s % 3600 == 0)
        (void)buf_addf(to, "%" PRIu64 "h", s / 3600);
    else if (s && s % 60 == 0)
        (void)buf_addf(to, "%" PRIu64 "m", s / 60);
    else
        (void)buf_addf(to, "%" PRIu64 "s", s);
}

void lanes_add_retries(const json_t *view, struct buf *to)
{
    const json_t *retries = json_object_get(view, "retries");
    const json_t *delays = json_object_get(retries, "delays_s");
    size_t count = json_array_size(delays);
    double jitter = get_real(retries, "jitter");

    (void)buf_add_str(to, "deferred mail is tried again after ");
    for (size_t i = 0; i < count; i++) {
        const char *before = i == 0 ? "" : i + 1 < count ? ", " : " and then every ";

        (void)buf_add_str(to, before);
        add_duration(to, (uint64_t)json_integer_value(json_array_get(delays, i)));
    }
    if (jitter > 0)
        (void)buf_addf(to, ", each varied by up to %.3g %% by chance", jitter * 100);
    (void)buf_add_str(to, "; what is older than ");
    add_duration(to, get_uint(retries, "max_queue_time_s"));
    (void)buf_add_str(to, " goes back to its sender");
}

static void print_line(const char *label, const struct buf *text, const struct page *page)
{
    struct buf lines = BUF_INIT(4 * LINE_MAX);

    wrap_add_to(&lines, label, INDENT, buf_slice(text), page->width);
    (void)fwrite(buf_slice(&lines).ptr, 1, buf_len(&lines), page->to);
    buf_done(&lines);
}

static void print_route(const json_t *view, const struct page *page)
{
    const json_t *route = json_object_get(view, "route");
    struct buf line = BUF_INIT(LINE_MAX);

    if (has_value(route, "next_hop"))
        (void)buf_addf(&line, "%s, from %s", get_text(route, "next_hop"), get_text(route, "from"));
    else
        (void)buf_addf(&line, "the MX hosts of %s", get_text(view, "domain"));
    print_line("route", &line, page);
    buf_done(&line);
}

static void print_hosts(const json_t *view, const struct page *page)
{
    const json_t *mx = json_object_get(view, "mx"), *hosts = json_object_get(mx, "hosts");
    struct buf line = BUF_INIT(LINE_MAX);

    if (json_is_null(mx))
        return;
    for (size_t i = 0; i < json_array_size(hosts); i++)
        (void)buf_addf(&line, "%s%s", i ? ", " : "", json_string_value(json_array_get(hosts, i)));
    if (json_array_size(hosts))
        (void)buf_addf(&line, " (%s, the best first)", get_text(mx, "from"));
    else
        (void)buf_addf(&line, "none is known: %s", get_text(mx, "from"));
    print_line("MX hosts", &line, page);
    buf_done(&line);
}

static void print_provider(const json_t *view, const struct page *page)
{
    const json_t *p = json_object_get(view, "provider");
    struct buf line = BUF_INIT(LINE_MAX);

    if (get_bool(p, "is_ours"))
        (void)buf_addf(&line, "%s: the next hop, a host of ours", get_text(p, "name"));
    else if (!has_value(p, "name"))
        (void)buf_add_str(&line, "not known without MX hosts");
    else if (has_value(p, "pattern"))
        (void)buf_addf(&line, "%s (%s): the best host matches %s", get_text(p, "name"),
                       get_text(p, "title"), get_text(p, "pattern"));
    else
        (void)buf_addf(&line, "%s: the registered domain of the best host", get_text(p, "name"));
    print_line("provider", &line, page);
    buf_clear(&line);
    if (has_value(p, "group")) {
        (void)buf_add_str(&line, get_text(p, "group"));
        print_line("group", &line, page);
    }
    buf_done(&line);
}

static void print_block(const char *label, const json_t *block, const char *none,
                        const struct page *page)
{
    struct buf line = BUF_INIT(LINE_MAX);

    if (json_is_null(block))
        (void)buf_add_str(&line, none);
    else
        (void)buf_addf(&line, "'%s' at %s: %s", get_text(block, "destination"),
                       get_text(block, "origin"), get_text(block, "why"));
    print_line(label, &line, page);
    buf_done(&line);
}

static const struct table_column setting_columns[] = {
    {"SETTING", 0, false}, {"VALUE", 0, false}, {"FROM", 0, false}};

static void add_cell(struct table *t, const char *text)
{
    ignore_result(table_add(t, slice_str(text)));
}

/* "'microsoft-domains' at /etc/penstock.yaml:7", "retry.jitter (default)" */
static void add_from(struct table *t, const json_t *setting)
{
    struct buf from = BUF_INIT(LINE_MAX);

    if (has_value(setting, "block"))
        (void)buf_addf(&from, "'%s' at %s", get_text(setting, "block"),
                       get_text(setting, "origin"));
    else if (has_value(setting, "setting"))
        (void)buf_addf(&from, "%s (%s)", get_text(setting, "setting"), get_text(setting, "origin"));
    else
        (void)buf_add_str(&from, "default");
    add_cell(t, buf_cstr(&from));
    buf_done(&from);
}

/* "0" where that is no amount but the absence of a limit. */
static const char *shown_value(const json_t *setting)
{
    const char *key = get_text(setting, "key"), *value = get_text(setting, "value");

    if (strcmp(value, "0") == 0 &&
        (strcmp(key, "rate_max") == 0 || strcmp(key, "queue_age_max") == 0))
        return "no limit";
    return *value ? value : "none";
}

static void print_settings(const json_t *list, FILE *to)
{
    struct table t;

    table_init(&t, setting_columns, ARRAY_SIZE(setting_columns), 0, to);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *setting = json_array_get(list, i);

        add_cell(&t, get_text(setting, "key"));
        add_cell(&t, shown_value(setting));
        add_from(&t, setting);
    }
    table_flush(&t);
    table_done(&t);
}

static const struct table_column source_columns[] = {{"LANE", 0, false},
                                                     {"SHARE", 0, true},
                                                     {"FROM", 0, false},
                                                     {"EHLO", 0, false},
                                                     {"WARM-UP", 0, false}};

static void add_addresses(struct table *t, const json_t *source)
{
    struct buf text = BUF_INIT(KIB(1));

    (void)buf_add_str(&text, get_text(source, "ipv4"));
    if (has_value(source, "ipv6"))
        (void)buf_addf(&text, "%s%s", buf_len(&text) ? ", " : "", get_text(source, "ipv6"));
    add_cell(t, buf_len(&text) ? buf_cstr(&text) : "the system's choice");
    buf_done(&text);
}

/* "since 2026-11-01: 1000, 2000 a day, then x 1.5" */
static void add_warm_up(struct table *t, const json_t *warm_up)
{
    const json_t *list = json_object_get(warm_up, "messages_a_day");
    size_t count = json_array_size(list);
    char day[FORMAT_TEXT_MAX];
    struct buf text = BUF_INIT(KIB(4));

    if (json_is_null(warm_up)) {
        add_cell(t, "none");
        return;
    }
    format_time(get_int(warm_up, "start_ms"), day);
    (void)buf_addf(&text, "since %.10s: ", day);
    for (size_t i = 0; i < count; i++)
        (void)buf_addf(&text, "%s%" JSON_INTEGER_FORMAT, i ? ", " : "",
                       json_integer_value(json_array_get(list, i)));
    (void)buf_add_str(&text, " messages a day");
    if (get_real(warm_up, "factor") > 1)
        (void)buf_addf(&text, ", then x %.4g each", get_real(warm_up, "factor"));
    add_cell(t, buf_cstr(&text));
    buf_done(&text);
}

static void print_sources(const json_t *view, FILE *to)
{
    const json_t *list = json_object_get(view, "sources");
    struct table t;

    table_init(&t, source_columns, ARRAY_SIZE(source_columns), 0, to);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *source = json_array_get(list, i);
        char share[FORMAT_TEXT_MAX];

        (void)snprintf(share, sizeof(share), "%.4g%%", get_real(source, "share") * 100);
        add_cell(&t, get_text(source, "lane"));
        add_cell(&t, share);
        add_addresses(&t, source);
        add_cell(&t, get_text(source, "ehlo_name"));
        add_warm_up(&t, json_object_get(source, "warm_up"));
    }
    table_flush(&t);
    table_done(&t);
}

void lanes_print_resolved(const json_t *view, size_t width, FILE *to)
{
    const struct page page = {.to = to, .width = width};
    struct buf line = BUF_INIT(LINE_MAX);

    (void)buf_add_str(&line, get_text(view, "address"));
    print_line("address", &line, &page);
    print_route(view, &page);
    if (strcmp(get_text(json_object_get(view, "route"), "kind"), "discard") != 0) {
        print_hosts(view, &page);
        print_provider(view, &page);
    }
    print_block("policy", json_object_get(view, "policy"),
                "no block of destinations is for it: the sections retry and delivery", &page);
    buf_clear(&line);
    lanes_add_retries(view, &line);
    print_line("retries", &line, &page);
    fputc('\n', to);
    print_settings(json_object_get(view, "settings"), to);
    fputc('\n', to);
    print_block("lanes", json_object_get(view, "lane_policy"),
                "no block of destinations is for them: the section lanes", &page);
    print_settings(json_object_get(view, "lane_settings"), to);
    fputc('\n', to);
    buf_clear(&line);
    (void)buf_add_str(&line, get_text(view, "pool"));
    print_line("pool", &line, &page);
    print_sources(view, to);
    buf_done(&line);
}
