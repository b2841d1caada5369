/* cli/lanes_test.c - what holds for an address, and the screens of lanes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json_get.h"
#include "cli/lanes_int.h"
#include "config/config.h"
#include "evidence/providers.h"

static struct providers *providers;
static const struct config *config;
static struct buf why = {.cap = CONFIG_WHY_MAX};

static const char config_text[] =
    "server: {hostname: mx.example.org}\n"
    "retry: {max_queue_time: 90s}\n"
    "sources:\n"
    "  - {name: out1, ipv4: 192.0.2.1, ipv6: \"2001:db8::1\"}\n"
    "  - {name: out2, ehlo_name: two.example.org, warm_up_start: "
    "2026-11-20}\n"
    "pools: [{name: most, sources: \"out1 x 3, out2\"}]\n"
    "delivery:\n"
    "  pool: most\n"
    "  smart_host: none\n"
    "  routes:\n"
    "    - {domain: inside.example, to: \"10.0.0.7:25\"}\n"
    "    - {domain: no.example, to: discard}\n"
    "destinations:\n"
    "  - destination: microsoft-domains\n"
    "    initial_retry: 10m\n"
    "    next_retry: 20m, 40m\n"
    "    connection_change: -30%\n"
    "    warm_up: 1000, 2000\n"
    "    warm_up_factor: 1.5\n"
    "  - {destination: microsoft-365, connections_max: 40}\n"
    "  - {destination: a.example, jitter: disabled, rate_max: 10/s}\n";

static json_t *resolve(const char *address, const char *mx)
{
    struct resolve_question q = {.config = config,
                                 .providers = providers,
                                 .address = slice_str(address),
                                 .hosts = {slice_str(mx)},
                                 .host_count = mx ? 1 : 0,
                                 .hosts_from = mx ? "--mx" : "DNS was not asked"};
    json_t *view = lanes_resolve(&q);

    assert_non_null(view);
    return view;
}

/* "value from block" of a setting. */
static void assert_setting(const json_t *list, const char *key, const char *value,
                           const char *block)
{
    const json_t *setting = find_in(list, "key", key);

    assert_non_null(setting);
    assert_string_equal(get_text(setting, "value"), value);
    assert_string_equal(get_text(setting, "block"), block ? block : "");
}

static void an_address_of_a_provider(void **state)
{
    json_t *view = resolve("u@contoso.example", "contoso-example.mail.protection.outlook.com");
    const json_t *settings = json_object_get(view, "settings");
    const json_t *lanes = json_object_get(view, "lane_settings");
    const json_t *sources = json_object_get(view, "sources");
    const json_t *provider = json_object_get(view, "provider");

    (void)state;
    assert_string_equal(get_text(view, "domain"), "contoso.example");
    assert_string_equal(get_text(json_object_get(view, "route"), "kind"), "mx");
    assert_string_equal(get_text(provider, "name"), "microsoft-365");
    assert_string_equal(get_text(provider, "group"), "microsoft-domains");
    assert_string_equal(get_text(provider, "pattern"), "*.mail.protection.outlook.com");
    assert_string_equal(get_text(json_object_get(view, "policy"), "destination"), "microsoft-365");
    assert_string_equal(get_text(json_object_get(view, "policy"), "why"), "it is the provider");
    assert_string_equal(get_text(json_object_get(view, "policy"), "origin"), "t.yaml:20");
    assert_setting(settings, "initial_retry", "10m", "microsoft-domains");
    assert_setting(settings, "next_retry", "20m, 40m", "microsoft-domains");
    assert_setting(settings, "jitter", "20%", NULL);
    assert_string_equal(get_text(find_in(settings, "key", "max_queue_time"), "origin"), "t.yaml:2");
    assert_setting(settings, "connections_max", "20", NULL); /* of the domain */
    assert_setting(lanes, "connections_max", "40", "microsoft-365");
    assert_setting(lanes, "connection_change", "-30%", "microsoft-domains");
    assert_int_equal(json_array_size(sources), 2);
    assert_string_equal(get_text(json_array_get(sources, 0), "lane"), "microsoft-365/out1");
    assert_true(get_real(json_array_get(sources, 0), "share") == 0.75);
    assert_false(has_value(json_array_get(sources, 0), "warm_up"));
    assert_true(has_value(json_array_get(sources, 1), "warm_up"));
    json_decref(view);
}

static void lanes_of_a_block_and_of_a_next_hop(void **state)
{
    json_t *view = resolve("u@a.example", "mx.hoster.example");

    (void)state;
    assert_string_equal(get_text(json_array_get(json_object_get(view, "sources"), 1), "lane"),
                        "policy:a.example/out2");
    assert_setting(json_object_get(view, "lane_settings"), "rate_max", "10/s", "a.example");
    assert_string_equal(get_text(json_object_get(view, "policy"), "why"), "it is the domain");
    json_decref(view);
    view = resolve("inside.example", NULL); /* a domain alone will do */
    assert_string_equal(get_text(json_object_get(view, "route"), "next_hop"), "10.0.0.7:25");
    assert_true(get_bool(json_object_get(view, "provider"), "is_ours"));
    assert_string_equal(get_text(json_array_get(json_object_get(view, "sources"), 0), "lane"),
                        "10.0.0.7:25/out1");
    assert_true(json_is_null(json_object_get(view, "mx")));
    json_decref(view);
    view = resolve("u@unknown.example", NULL);
    assert_string_equal(get_text(json_array_get(json_object_get(view, "sources"), 0), "lane"),
                        "unknown/out1");
    json_decref(view);
}

/* What print() writes; freed by the caller. */
static char *printed(void (*print)(const json_t *view, const struct lanes_style *style, FILE *to),
                     const json_t *view, const struct lanes_style *style)
{
    char *out = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&out, &len);

    assert_non_null(to);
    print(view, style, to);
    assert_int_equal(fclose(to), 0);
    return out;
}

static void print_resolved(const json_t *view, const struct lanes_style *style, FILE *to)
{
    lanes_print_resolved(view, style ? style->width : 0, to);
}

static void what_holds_is_told_in_words(void **state)
{
    static const char wanted[] =
        "address    u@contoso.example\n"
        "route      the MX hosts of contoso.example\n"
        "MX hosts   contoso-example.mail.protection.outlook.com (--mx, the best first)\n"
        "provider   microsoft-365 (Microsoft 365 (Exchange Online)): the best host matches "
        "*.mail.protection.outlook.com\n"
        "group      microsoft-domains\n"
        "policy     'microsoft-365' at t.yaml:20: it is the provider\n"
        "retries    deferred mail is tried again after 10m, 20m and then every 40m, each varied by "
        "up to 20 % by chance; what is older than 90s goes back to its sender\n"
        "\n"
        "SETTING          VALUE     FROM\n"
        "initial_retry    10m       'microsoft-domains' at t.yaml:14\n"
        "next_retry       20m, 40m  'microsoft-domains' at t.yaml:14\n"
        "jitter           20%       retry.jitter (default)\n"
        "max_queue_time   90s       retry.max_queue_time (t.yaml:2)\n"
        "pool             most      delivery.pool (t.yaml:8)\n"
        "connections_max  20        delivery.connections_per_destination_max (default)\n"
        "\n"
        "lanes      'microsoft-365' at t.yaml:20: it is the provider\n"
        "SETTING            VALUE       FROM\n"
        "connections_max    40          'microsoft-365' at t.yaml:20\n"
        "connection_change  -30%        'microsoft-domains' at t.yaml:14\n"
        "connections_floor  1           lanes.connections_floor (default)\n"
        "rate_max           no limit    lanes.rate_max (default)\n"
        "rate_change        -20%        lanes.rate_change (default)\n"
        "queue_age_max      no limit    lanes.queue_age_max (default)\n"
        "warm_up            1000, 2000  'microsoft-domains' at t.yaml:14\n"
        "warm_up_factor     1.5         'microsoft-domains' at t.yaml:14\n"
        "warm_up_start      none        default\n"
        "\n"
        "pool       most\n"
        "LANE                SHARE  FROM                    EHLO             WARM-UP\n"
        "microsoft-365/out1    75%  192.0.2.1, 2001:db8::1  mx.example.org   none\n"
        "microsoft-365/out2    25%  the system's choice     two.example.org  since 2026-11-20: "
        "1000, 2000 messages a day, then x 1.5 each\n";
    json_t *view = resolve("u@contoso.example", "contoso-example.mail.protection.outlook.com");
    char *out = printed(print_resolved, view, NULL);

    (void)state;
    assert_string_equal(out, wanted);
    free(out);
    json_decref(view);
}

static void what_is_not_known_is_said(void **state)
{
    static const struct {
        const char *address, *mx, *part;
    } cases[] = {
        {"u@b.example", NULL,
         "\nMX hosts   none is known: DNS was not asked\n"
         "provider   not known without MX hosts\n"
         "policy     no block of destinations is for it"},
        {"u@b.example", "mx1.hoster.co.uk",
         "\nprovider   hoster.co.uk: the registered domain of the best host\n"},
        {"u@a.example", NULL, " and then every 80m; what is older than 90s goes back"},
        {"u@inside.example", NULL,
         "\nroute      10.0.0.7:25, from delivery.routes\n"
         "provider   10.0.0.7:25: the next hop, a host of ours\n"},
        {"u@no.example", NULL, "\nroute      discard, from delivery.routes\npolicy "},
        {"u@\x1b[31m.example", NULL, "address    u@?[31m.example\n"},
        {"u@\xff.example", NULL, "address    ?\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *view = resolve(cases[i].address, cases[i].mx);
        char *out = printed(print_resolved, view, NULL);

        if (!strstr(out, cases[i].part))
            print_error("%s\nhas no\n%s\n", out, cases[i].part);
        assert_non_null(strstr(out, cases[i].part));
        free(out);
        json_decref(view);
    }
}

/* ---- screens ---- */

#define NOW 1795382050000

static json_t *lane_view(const char *name, const char *band, int entries, const char *more)
{
    json_t *lane = json_pack(
        "{s:s, s:s, s:I, s:b, s:b, s:n, s:{s:i, s:i, s:i, s:i, s:i, s:n}, s:{s:n, s:n, s:f},"
        " s:{s:i, s:i, s:i, s:i, s:i, s:i, s:I}, s:n, s:n, s:i, s:{s:i, s:i, s:f}}",
        "name", name, "band", band, "band_since_ms", (json_int_t)(NOW - 720000), "enabled", 1,
        "paused", 0, "incident", "connections", "used", 12, "peak", 16, "controller", 16, "full",
        20, "floor", 1, "operator", "rate_per_s", "limit", "full", "floor", 0.1, "queue", "entries",
        entries, "waiting", entries, "ready", 0, "active", 0, "held", 0, "destinations", 2,
        "oldest_age_ms", (json_int_t)2700000, "next_change_ms", "warm_up", "window_ms", 600000,
        "window", "attempts", 4512, "capacity", 31, "capacity_per_10000", 68.7);
    json_t *extra = json_loads(more, 0, NULL);

    assert_non_null(lane);
    assert_non_null(extra);
    assert_int_equal(json_object_update(lane, extra), 0);
    json_decref(extra);
    return lane;
}

static void lanes_that_need_a_look_come_first(void **state)
{
    static const char wanted[] =
        "2026-11-22 21:14:10 UTC  4 lanes: 1 incident, 1 watch, 2 normal; 1 paused\n"
        "\n"
        "LANE             BAND      FOR  USED  LIMIT   RATE  QUEUE  OLDEST  ATTEMPTS  PER 10,000  "
        "CHANGE\n"
        "microsoft/out1   incident  12m    12  16/20      -      5     45m      4512        68.7  "
        "   10m  incident 7, warm-up 3 of 9 (held)\n"
        "google/out1      watch     12m    12  16/20  9.5/m      0     45m      4512        68.7  "
        "     -  limited to 5\n"
        "yahoo/out1       normal    12m    12  16/20      -      9     45m      4512        68.7  "
        "     -\n"
        "bad?[1mname/out  normal    12m    12  16/20      -      1     45m      4512        68.7  "
        "     -  paused\n";
    const struct lanes_style plain = {.width = 0}, usual = {.width = 80},
                             narrow = {.width = 30, .is_colour = true};
    json_t *view =
        json_pack("{s:I, s:[o, o, o, o]}", "now_ms", (json_int_t)NOW, "lanes",
                  lane_view("bad\x1b[1mname/out", "normal", 1, "{\"paused\": true}"),
                  lane_view("google/out1", "watch", 0,
                            "{\"rate_per_s\": {\"limit\": 0.1583333}, \"connections\": {\"used\": "
                            "12, \"controller\": "
                            "16, \"full\": 20, \"operator\": 5}}"),
                  lane_view("yahoo/out1", "normal", 9, "{}"),
                  lane_view("microsoft/out1", "incident", 5,
                            "{\"incident\": 7, \"next_change_ms\": 1795382650000, \"warm_up\": "
                            "{\"today_max\": 9, \"today_sent\": 3, \"held\": true}}"));
    char *out = printed(lanes_print, view, &plain);

    (void)state;
    assert_string_equal(out, wanted);
    free(out);
    out = printed(lanes_print, view, &narrow);
    assert_non_null(strstr(out, "\033[1;31mmicrosoft/out1   incident  16/\033[0m\n"));
    assert_non_null(strstr(out, "\033[33mbad?[1mname/out  normal"));
    assert_non_null(strstr(out, "\ngoogle/out1      watch     16/\n"));
    free(out);
    out = printed(lanes_print, view, &usual);
    assert_non_null(
        strstr(out, "\nLANE             BAND      LIMIT  QUEUE  OLDEST  PER 10,000  CHANGE\n"
                    "microsoft/out1   incident  16/20      5     45m        68.7     10m  incident "
                    "7,\n"));
    free(out);
    json_decref(view);
}

static const char one_lane[] =
    "{\"now_ms\": 1795382050000, \"hold_cycles\": 2, \"cycle_ms\": 600000, \"cuts\": 3, "
    "\"steps\": 1, \"incident\": 7, \"next_change_ms\": 1795382650000, \"confidence\": 0.99, "
    "\"sample_min\": 50, \"hits_min\": 3, \"per_10000\": {\"lower_bound\": 46.2, \"baseline\": "
    "0.5, \"at_baseline_to\": 1, \"watch\": 1, \"throttle\": 2, \"incident\": 20}, \"hour\": "
    "{\"attempts\": 9000, \"capacity\": 40, \"delivered_first\": 8000, \"capacity_per_10000\": "
    "44.4}, \"day\": {}, \"delivery_ms\": {\"count\": 800, \"p50\": 2000, \"p90\": 300000, "
    "\"p99\": 3600000, \"max\": 7200000}, \"last\": {\"at_ms\": 1795381450000, \"from\": "
    "\"throttle\", \"to\": \"incident\", \"action\": \"cut\", \"connections_from\": 20, "
    "\"connections_to\": 16, \"span_minutes\": 10, \"attempts\": 4000, \"capacity\": 30, "
    "\"rate_replies\": 0, \"per_10000\": 75, \"lower_bound_per_10000\": 50.1, "
    "\"baseline_per_10000\": 0.5, \"queue_length\": 100, \"queue_age_ms\": 60000, "
    "\"age_is_falling\": false, \"why\": \"above 0.2 %, confirmed\"}, \"open_incident\": {\"id\": "
    "7, \"side\": \"receiver-side\", \"changes\": [{\"at_ms\": 1795381450000, \"text\": "
    "\"connections 20 -> 16\"}], \"texts\": [{\"count\": 31, \"text\": \"452 4.3.1 \\u001b "
    "Insufficient system resources\"}]}}";

static void one_lane_is_told_whole(void **state)
{
    static const char wanted[] =
        "microsoft/out1 incident for 12m, since 2026-11-22 21:02:10 UTC; incident 7, verdict so "
        "far: receiver-side\n"
        "connections    16 of 20, floor 1; 12 in use, at most 16 lately; cuts 3, steps up 1\n"
        "rate           no limit; full no limit\n"
        "queue          5 in 2 destinations: 5 deferred, 0 ready, 0 active, 0 held; the oldest is "
        "45m old\n"
        "seen           31 of 4512 attempts in 10m were refused for want of capacity: 68.7 per "
        "10,000, with 99 % confidence at least 46.2\n"
        "thresholds     watch from 1 per 10,000, throttle 2, incident 20; with 50 attempts and 3 "
        "such replies or more\n"
        "baseline       0.5 per 10,000; at baseline is up to 1\n"
        "next change    not before 2026-11-22 21:24:10 UTC, in 10m (after a cut 2 retry cycles of "
        "10m)\n"
        "last decision  2026-11-22 21:04:10 UTC: throttle -> incident, cut: connections 20 -> 16\n"
        "why            above 0.2 %, confirmed\n"
        "inputs         30 capacity and 0 rate replies of 4000 attempts in 10 minutes; 75 per "
        "10,000 (at least 50.1), baseline 0.5; queue 100, oldest 1m, not easing\n"
        "delivered      half in 2s, 90 % in 5m, 99 % in 1h, all in 2h (800 messages)\n"
        "\n"
        "SPAN  ATTEMPTS  PER 10,000  AT FIRST  LATER  DEFERRED  FAILED  CAPACITY  RATE  POLICY  "
        "CONNECT\n"
        "10m       4512        68.7         0      0         0       0        31     0       0  "
        "      0\n"
        "hour      9000        44.4      8000      0         0       0        40     0       0  "
        "      0\n"
        "day          0           -         0      0         0       0         0     0       0  "
        "      0\n"
        "\n"
        "Since the incident began (times are UTC)\n"
        "2026-11-22 21:04:10  connections 20 -> 16\n"
        "\n"
        "What was answered\n"
        "    31  452 4.3.1 ? Insufficient system resources\n";
    const struct lanes_style plain = {.width = 0};
    json_t *view = lane_view("microsoft/out1", "incident", 5, one_lane);
    char *out = printed(lanes_print_one, view, &plain);

    (void)state;
    assert_string_equal(out, wanted);
    free(out);
    json_decref(view);
}

/* Sentences are wrapped at the terminal's width: no word of them is cut. */
static void one_lane_is_wrapped(void **state)
{
    const struct lanes_style usual = {.width = 80, .is_colour = true};
    json_t *view = lane_view("microsoft/out1", "incident", 5, one_lane);
    char *out = printed(lanes_print_one, view, &usual);

    (void)state;
    assert_non_null(strstr(
        out, "\033[1;31mmicrosoft/out1 incident for 12m, since 2026-11-22 21:02:10 UTC; incident "
             "7,\033[0m\n\033[1;31m               verdict so far: receiver-side\033[0m\n"));
    assert_non_null(strstr(
        out, "\nseen           31 of 4512 attempts in 10m were refused for want of capacity:\n"
             "               68.7 per 10,000, with 99 % confidence at least 46.2\n"));
    free(out);
    json_decref(view);
}

static void what_holds_is_wrapped(void **state)
{
    const struct lanes_style usual = {.width = 80};
    json_t *view = resolve("u@a.example", NULL);
    char *out = printed(print_resolved, view, &usual);

    (void)state;
    for (const char *line = out; *line != '\n'; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
    assert_non_null(strstr(out, "\nretries    deferred mail is tried again after "));
    free(out);
    json_decref(view);
}

/* An older or newer server leaves things out: no crash, whatever is missing. */
static void missing_members_do_no_harm(void **state)
{
    const struct lanes_style plain = {.width = 0};
    json_t *view = lane_view("microsoft/out1", "incident", 5, one_lane), *copy;
    const char *key;
    json_t *value;

    (void)state;
    json_object_foreach(view, key, value)
    {
        json_t *list;

        copy = json_copy(view);
        (void)json_object_del(copy, key);
        free(printed(lanes_print_one, copy, &plain));
        list = json_pack("{s:[O]}", "lanes", copy);
        free(printed(lanes_print, list, &plain));
        json_decref(list);
        json_decref(copy);
    }
    json_decref(view);
    copy = json_object();
    free(printed(lanes_print, copy, &plain));
    free(printed(lanes_print_one, copy, &plain));
    free(printed(print_resolved, copy, NULL));
    json_decref(copy);
}

static int begin(void **state)
{
    struct config *c = NULL;

    (void)state;
    if (config_load_text("t.yaml", slice_str(config_text), NULL, 0, &c, &why) < 0) {
        print_error("%s", buf_cstr(&why));
        return -1;
    }
    config = c;
    return providers_new(&providers, SLICE_LIT(""), "", &why);
}

static int end(void **state)
{
    (void)state;
    providers_free(&providers);
    config_unref(&config);
    buf_done(&why);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_of_a_provider),
        cmocka_unit_test(lanes_of_a_block_and_of_a_next_hop),
        cmocka_unit_test(what_holds_is_told_in_words),
        cmocka_unit_test(what_is_not_known_is_said),
        cmocka_unit_test(lanes_that_need_a_look_come_first),
        cmocka_unit_test(one_lane_is_told_whole),
        cmocka_unit_test(one_lane_is_wrapped),
        cmocka_unit_test(what_holds_is_wrapped),
        cmocka_unit_test(missing_members_do_no_harm),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
