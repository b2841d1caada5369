/* config/policy_test.c - destinations, sources, pools and lanes: which block holds, and who sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "config/policy.h"

static struct buf why = {.cap = CONFIG_WHY_MAX};

static const struct config *must_load(const char *text)
{
    struct config *c = NULL;
    int r;

    buf_clear(&why);
    r = config_load_text("t.yaml", slice_str(text), NULL, 0, &c, &why);
    if (r < 0)
        print_error("%s", buf_cstr(&why));
    assert_int_equal(r, 0);
    return c;
}

static void must_fail(const char *text, const char *error)
{
    struct config *c = NULL;

    buf_clear(&why);
    assert_int_equal(config_load_text("t.yaml", slice_str(text), NULL, 0, &c, &why), -EINVAL);
    assert_string_equal(buf_cstr(&why), error);
}

static bool is_near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

/* One destination, with one MX host. */
static struct config_policy policy_of(const struct config *c, const char *domain, const char *mx,
                                      const char *provider, const char *group)
{
    struct slice host = slice_str(mx);
    struct config_query q = {.domain = slice_str(domain),
                             .mx_hosts = &host,
                             .mx_count = mx ? 1 : 0,
                             .provider = slice_str(provider),
                             .group = slice_str(group)};
    struct config_policy p;

    config_find_policy(c, &q, &p);
    return p;
}

/* ---- the operators' words ---- */

#define OPERATORS_TEXT(indent)                                                                     \
    indent "destinations:\n" indent "  - destination: microsoft-domains\n" indent                  \
           "    initial_retry: 10m\n" indent "    next_retry: 20m, 40m, 80m\n" indent              \
           "    jitter: enabled\n" indent "    max_queue_time: 48h\n" indent                       \
           "    connection_change: -20%\n"

static void the_operators_text_is_a_configuration(void **state)
{
    /* As it stands in a playbook, and as it comes out of a quotation. */
    static const char *const texts[] = {OPERATORS_TEXT(""), OPERATORS_TEXT("       ")};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const struct config *c = must_load(texts[i]);
        struct config_policy p =
            policy_of(c, "contoso.example", "contoso-example.mail.protection.outlook.com",
                      "microsoft-365", "microsoft-domains");

        assert_int_equal(c->destination_count, 1);
        assert_int_equal(c->destinations[0].match, CONFIG_MATCH_NAME);
        assert_ptr_equal(p.block, &c->destinations[0]);
        assert_ptr_equal(p.lane_block, &c->destinations[0]);
        assert_null(p.lane);
        assert_int_equal(p.retry.delay_count, 4);
        assert_int_equal(p.retry.delays_s[0], 600);
        assert_int_equal(p.retry.delays_s[1], 1200);
        assert_int_equal(p.retry.delays_s[2], 2400);
        assert_int_equal(p.retry.delays_s[3], 4800);
        assert_true(is_near(p.retry.jitter, 0.2));
        assert_int_equal(p.retry.max_queue_time_s, 48 * 3600);
        assert_true(is_near(p.limits.connection_change, -0.2));
        assert_string_equal(c->destinations[0].file, "t.yaml");
        assert_int_equal(c->destinations[0].line, 2);
        config_unref(&c);
    }
}

/* ---- which block ---- */

static const char many_blocks[] =
    "retry: {initial_retry: 1m, next_retry: 2m, jitter: 1%}\n"
    "destinations:\n"
    "  - {destination: \"*\", initial_retry: 10s}\n"
    "  - {destination: big-mail, initial_retry: 11s, jitter: 2%}\n"
    "  - {destination: big-mail-eu, initial_retry: 12s}\n"
    "  - {destination: \"mx:*.example.net\", initial_retry: 13s}\n"
    "  - {destination: \"mx:mx?.a.example.net\", initial_retry: 14s}\n"
    "  - {destination: .example.org, initial_retry: 15s}\n"
    "  - {destination: .b.example.org, initial_retry: 16s}\n"
    "  - {destination: Example.ORG, initial_retry: 17s}\n"
    "  - {destination: localhost., initial_retry: 18s}\n";

static void the_most_specific_block_wins(void **state)
{
    static const struct {
        const char *domain, *mx, *provider, *group;
        uint32_t initial_s;
        int match; /* -1: no block */
    } cases[] = {
        {"a.example", NULL, NULL, NULL, 10, CONFIG_MATCH_ALL},
        {"a.example", "mx.other.example", "other.example", NULL, 10, CONFIG_MATCH_ALL},
        {"a.example", NULL, "big-mail-us", "big-mail", 11, CONFIG_MATCH_NAME},
        {"a.example", NULL, "BIG-MAIL-EU", "big-mail", 12, CONFIG_MATCH_NAME},
        {"a.example", "mx.Example.NET", "big-mail-eu", "big-mail", 13, CONFIG_MATCH_MX},
        {"a.example", "mx1.example.net.", "", "", 13, CONFIG_MATCH_MX},
        {"a.example", "mx1.a.example.net", "", "", 14, CONFIG_MATCH_MX},
        {"a.example", "mx11.a.example.net", "", "", 13, CONFIG_MATCH_MX},
        {"a.example", "example.net", "", "", 10, CONFIG_MATCH_ALL},
        {"x.example.org", "mx1.a.example.net", "big-mail-eu", "big-mail", 15, CONFIG_MATCH_SUFFIX},
        {"y.B.example.org", "mx1.a.example.net", "big-mail-eu", "", 16, CONFIG_MATCH_SUFFIX},
        {"b.example.org", NULL, NULL, NULL, 15, CONFIG_MATCH_SUFFIX},
        {"EXAMPLE.org", "mx1.a.example.net", "big-mail-eu", "", 17, CONFIG_MATCH_DOMAIN},
        {"example.org.", NULL, NULL, NULL, 17, CONFIG_MATCH_DOMAIN},
        {"localhost", NULL, NULL, NULL, 18, CONFIG_MATCH_DOMAIN},
        /* A domain is not a provider, nor the other way. */
        {"big-mail", NULL, NULL, NULL, 10, CONFIG_MATCH_ALL},
        {"a.example", NULL, "example.org", NULL, 10, CONFIG_MATCH_ALL},
        {"*", NULL, NULL, NULL, 10, CONFIG_MATCH_ALL},
        {"", NULL, NULL, NULL, 10, CONFIG_MATCH_ALL},
    };
    const struct config *c = must_load(many_blocks);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct config_policy p =
            policy_of(c, cases[i].domain, cases[i].mx, cases[i].provider, cases[i].group);

        assert_int_equal(p.retry.delays_s[0], cases[i].initial_s);
        assert_non_null(p.block);
        assert_int_equal(p.block->match, cases[i].match);
        assert_ptr_equal(p.from[CONFIG_KEY_INITIAL_RETRY], p.block);
        assert_true(strlen(config_match_why(p.block->match)) > 0);
    }
    config_unref(&c);
}

static void each_key_comes_from_the_most_specific_block_that_has_it(void **state)
{
    const struct config *c = must_load("destinations:\n"
                                       "  - {destination: \"*\", jitter: 5%, max_queue_time: 24h}\n"
                                       "  - {destination: g, jitter: 6%, next_retry: 1m}\n"
                                       "  - {destination: p, jitter: 7%}\n"
                                       "  - {destination: a.example, initial_retry: 3s}\n");
    struct config_policy p = policy_of(c, "a.example", NULL, "p", "g");

    (void)state;
    assert_int_equal(p.retry.delays_s[0], 3);
    assert_int_equal(p.retry.delay_count, 2);
    assert_int_equal(p.retry.delays_s[1], 60);
    assert_true(is_near(p.retry.jitter, 0.07));
    assert_int_equal(p.retry.max_queue_time_s, 24 * 3600);
    assert_int_equal(p.connections_max, 20);
    assert_string_equal(p.from[CONFIG_KEY_NEXT_RETRY]->destination, "g");
    assert_string_equal(p.from[CONFIG_KEY_JITTER]->destination, "p");
    assert_string_equal(p.from[CONFIG_KEY_MAX_QUEUE_TIME]->destination, "*");
    assert_null(p.from[CONFIG_KEY_POOL]);
    assert_null(p.from[CONFIG_KEY_CONNECTIONS_MAX]);
    p = policy_of(c, "b.example", NULL, "q", NULL);
    assert_true(is_near(p.retry.jitter, 0.05));
    assert_int_equal(p.retry.delays_s[0], 600);
    config_unref(&c);
}

static void only_the_best_mx_host_is_compared(void **state)
{
    const struct config *c =
        must_load("destinations: [{destination: \"mx:*.backup.example\", initial_retry: 1s}]\n");
    const struct slice hosts[] = {SLICE_LIT("mx.own.example"), SLICE_LIT("mx.backup.example")};
    struct config_query q = {
        .domain = SLICE_LIT("own.example"), .mx_hosts = hosts, .mx_count = ARRAY_SIZE(hosts)};
    struct config_policy p;

    (void)state;
    config_find_policy(c, &q, &p);
    assert_null(p.block);
    q.mx_hosts++;
    q.mx_count--;
    config_find_policy(c, &q, &p);
    assert_non_null(p.block);
    config_unref(&c);
}

/* Every pattern of up to four signs against every host of up to four, beside the plain recursion. */
static bool matches_plainly(const char *p, const char *h)
{
    if (*p == '*')
        return matches_plainly(p + 1, h) || (*h && matches_plainly(p, h + 1));
    if (!*p || !*h)
        return !*p && !*h;
    return (*p == '?' || *p == *h) && matches_plainly(p + 1, h + 1);
}

static void spell(size_t n, const char *letters, char *ret)
{
    size_t base = strlen(letters) + 1, len = 0;

    for (; n; n /= base)
        if (n % base)
            ret[len++] = letters[n % base - 1];
    ret[len] = '\0';
}

static void patterns_match_as_they_should(void **state)
{
    (void)state;
    for (size_t n = 1; n < 625; n++) {
        char pattern[8], text[128];
        const struct config *c;

        spell(n, "*?ab", pattern);
        (void)snprintf(text, sizeof(text), "destinations: [{destination: \"mx:%s\"}]\n", pattern);
        c = must_load(text);
        for (size_t m = 1; m < 81; m++) {
            char host[8];

            spell(m, "ab", host);
            assert_int_equal(policy_of(c, "x.example", host, NULL, NULL).block != NULL,
                             matches_plainly(pattern, host));
        }
        config_unref(&c);
    }
}

/* ---- lanes ---- */

static void lane_keys_hold_for_lanes(void **state)
{
    const struct config *c =
        must_load("lanes: {connections_max: 50, connection_change: -10%, rate_max: 30/m}\n"
                  "destinations:\n"
                  "  - {destination: \"*\", queue_age_max: 2h, connections_max: 7}\n"
                  "  - {destination: g, connection_change: -30%, connections_max: 40}\n"
                  "  - {destination: p, connections_floor: 5, rate_change: -50%}\n"
                  "  - {destination: a.example, rate_max: 100/h, connections_max: 3}\n"
                  "  - {destination: .example.org, connections_floor: 6}\n"
                  "  - {destination: b.example, connections_max: 4}\n"
                  "  - {destination: \"mx:*.example.net\", connections_max: 9}\n");
    struct config_policy p = policy_of(c, "c.example", NULL, "p", "g"), again;

    (void)state;
    /* The provider's lane: key by key from p, g, "*" and lanes. */
    assert_null(p.lane);
    assert_int_equal(p.limits.connections_max, 40);
    assert_int_equal(p.limits.connections_floor, 5);
    assert_true(is_near(p.limits.connection_change, -0.3));
    assert_true(is_near(p.limits.rate_change, -0.5));
    assert_true(is_near(config_rate_per_second(p.limits.rate_max), 0.5));
    assert_int_equal(p.limits.queue_age_max_ms, 2 * 3600 * 1000);
    assert_int_equal(p.connections_max, 7); /* of the destination */
    assert_string_equal(p.lane_connections->destination, "g");
    config_find_lane_policy(c, SLICE_LIT("p"), SLICE_LIT("g"), &again);
    assert_memory_equal(&again.limits, &p.limits, sizeof(p.limits));
    /* connections_max of a domain is no lane's. */
    p = policy_of(c, "b.example", NULL, "p", "g");
    assert_null(p.lane);
    assert_int_equal(p.connections_max, 4);
    assert_int_equal(p.limits.connections_max, 40);
    /* A domain with a lane of its own: from its block, then "*". */
    p = policy_of(c, "a.example", NULL, "p", "g");
    assert_string_equal(p.lane, "policy:a.example");
    assert_int_equal(p.connections_max, 3);
    assert_int_equal(p.limits.connections_max, 50);
    assert_int_equal(p.limits.connections_floor, 1);
    assert_true(is_near(p.limits.connection_change, -0.1));
    assert_int_equal(p.limits.rate_max.count, 100);
    assert_int_equal(p.limits.queue_age_max_ms, 2 * 3600 * 1000);
    config_find_lane_policy(c, slice_str(p.lane), SLICE_LIT(""), &again);
    assert_string_equal(again.lane, p.lane);
    assert_memory_equal(&again.limits, &p.limits, sizeof(p.limits));
    /* A floor above the maximum of another block is lowered. */
    config_unref(&c);
    c = must_load("destinations:\n"
                  "  - {destination: g, connections_max: 4}\n"
                  "  - {destination: p, connections_floor: 5}\n"
                  "  - {destination: \"mx:*.example.net\", connections_max: 9}\n");
    assert_int_equal(policy_of(c, "c.example", NULL, "p", "g").limits.connections_floor, 4);
    p = policy_of(c, "c.example", "mx.example.net", "p", "g");
    assert_string_equal(p.lane, "policy:mx:*.example.net");
    assert_int_equal(p.limits.connections_max, 9);
    assert_int_equal(p.limits.connections_floor, 1);
    assert_int_equal(p.connections_max, 20);
    config_unref(&c);
}

static void a_next_hop_has_its_policy(void **state)
{
    const struct config *c = must_load(
        "delivery: {smart_host: \"Relay.example:25\", routes: [{domain: a.example, to: "
        "\"lmtp:10.0.0.7:24\"}]}\n"
        "destinations:\n"
        "  - {destination: \"route:relay.example:25\", connections_max: 30, initial_retry: 5s}\n"
        "  - {destination: \"route:lmtp:10.0.0.7:24\", initial_retry: 6s}\n"
        "  - {destination: a.example, initial_retry: 7s}\n");
    struct config_query q = {.domain = SLICE_LIT("a.example")};
    struct config_policy p;

    (void)state;
    q.route = slice_str(config_find_target(c, q.domain)->text);
    config_find_policy(c, &q, &p);
    assert_int_equal(p.retry.delays_s[0], 6);
    assert_int_equal(p.block->match, CONFIG_MATCH_ROUTE);
    q = (struct config_query){.domain = SLICE_LIT("b.example")};
    q.route = slice_str(config_find_target(c, q.domain)->text);
    config_find_policy(c, &q, &p);
    assert_int_equal(p.retry.delays_s[0], 5);
    assert_int_equal(p.limits.connections_max, 30);
    config_find_lane_policy(c, q.route, SLICE_LIT(""), &p);
    assert_int_equal(p.limits.connections_max, 30);
    assert_int_equal(p.retry.delays_s[0], 5);
    config_unref(&c);
}

static void a_warm_up_is_read(void **state)
{
    const struct config *c = must_load("sources: [{name: new, warm_up_start: 2026-03-01}]\n"
                                       "destinations:\n"
                                       "  - destination: p\n"
                                       "    warm_up: 1000, 2000, 5000\n"
                                       "    warm_up_factor: 1.5\n"
                                       "    warm_up_start: 1972-02-29\n");
    struct config_policy p = policy_of(c, "a.example", NULL, "p", NULL);

    (void)state;
    assert_int_equal(p.limits.warm_up.count, 3);
    assert_int_equal(p.limits.warm_up.list[2], 5000);
    assert_true(is_near(p.limits.warm_up_factor, 1.5));
    assert_int_equal(p.limits.warm_up_start_ms, INT64_C(68169600000));
    assert_int_equal(c->sources[0].warm_up_start_ms, INT64_C(1772323200000));
    p = policy_of(c, "a.example", NULL, "q", NULL);
    assert_int_equal(p.limits.warm_up.count, 0);
    assert_true(is_near(p.limits.warm_up_factor, 1));
    config_unref(&c);
}

static void values_are_written_as_in_a_block(void **state)
{
    static const char *const wanted[CONFIG_POLICY_KEYS] = {
        [CONFIG_KEY_INITIAL_RETRY] = "5s",
        [CONFIG_KEY_NEXT_RETRY] = "20m, 40m, 80m",
        [CONFIG_KEY_JITTER] = "20%",
        [CONFIG_KEY_MAX_QUEUE_TIME] = "48h",
        [CONFIG_KEY_POOL] = "all",
        [CONFIG_KEY_CONNECTIONS_MAX] = "20",
        [CONFIG_KEY_CONNECTION_CHANGE] = "-20%",
        [CONFIG_KEY_CONNECTIONS_FLOOR] = "1",
        [CONFIG_KEY_RATE_MAX] = "600/m",
        [CONFIG_KEY_RATE_CHANGE] = "-20%",
        [CONFIG_KEY_QUEUE_AGE_MAX] = "2h",
        [CONFIG_KEY_WARM_UP] = "",
        [CONFIG_KEY_WARM_UP_FACTOR] = "1",
        [CONFIG_KEY_WARM_UP_START] = "",
    };
    const struct config *c =
        must_load("retry: {initial_retry: 5s}\n"
                  "destinations:\n"
                  "  - {destination: p, rate_max: 600/m, queue_age_max: 2h}\n");
    struct config_policy p = policy_of(c, "a.example", NULL, "p", NULL);
    struct buf text = BUF_INIT(KIB(1));

    (void)state;
    for (uint32_t k = 0; k < CONFIG_POLICY_KEYS; k++) {
        buf_clear(&text);
        config_policy_format(&p, k, &text);
        assert_string_equal(buf_cstr(&text), wanted[k]);
    }
    buf_clear(&text);
    config_write_origin(c, config_policy_key_default(CONFIG_KEY_INITIAL_RETRY), &text);
    assert_string_equal(buf_cstr(&text), "t.yaml:1");
    buf_clear(&text);
    config_write_origin(c, "retry.jitter", &text);
    assert_string_equal(buf_cstr(&text), "default");
    buf_done(&text);
    config_unref(&c);
}

/* ---- sources ---- */

static void without_sources_there_is_one(void **state)
{
    const struct config *c = must_load("server: {hostname: mx.example.org}\n"
                                       "delivery: {source_ipv4: 192.0.2.1}\n");

    (void)state;
    assert_int_equal(c->source_count, 1);
    assert_string_equal(c->sources[0].name, "default");
    assert_string_equal(c->sources[0].ehlo_name, "mx.example.org");
    assert_int_not_equal(c->sources[0].ipv4.len, 0);
    assert_int_equal(c->sources[0].ipv6.len, 0);
    assert_int_equal(c->sources[0].families, CONFIG_FAMILIES_ANY);
    assert_int_equal(c->pool->share_count, 1);
    assert_ptr_equal(config_choose_source(c->pool, 4711), &c->sources[0]);
    assert_true(is_near(config_pool_share(c->pool, 0), 1));
    config_unref(&c);
}

static const char three_sources[] = "server: {hostname: mx.example.org}\n"
                                    "delivery: {pool: most, source_ipv6: \"2001:db8::1\"}\n"
                                    "sources:\n"
                                    "  - {name: out1, ipv4: 192.0.2.1, ehlo_name: out1.example}\n"
                                    "  - {name: out2, ipv4: 192.0.2.2, ipv6: none}\n"
                                    "  - {name: out3, ipv4: 192.0.2.3}\n"
                                    "pools:\n"
                                    "  - {name: most, sources: \"out1 x 3, out2\"}\n"
                                    "  - {name: listed, sources: [out2 x 2, OUT3 x 0]}\n"
                                    "destinations:\n"
                                    "  - {destination: p, pool: listed}\n"
                                    "  - {destination: a.example, pool: ALL}\n"
                                    "  - {destination: b.example, pool: none}\n";

static void pools_have_sources(void **state)
{
    const struct config *c = must_load(three_sources);
    struct config_policy p = policy_of(c, "x.example", NULL, "p", NULL);

    (void)state;
    assert_int_equal(c->source_count, 3);
    assert_string_equal(c->sources[0].ehlo_name, "out1.example");
    assert_string_equal(c->sources[1].ehlo_name, "mx.example.org");
    assert_int_equal(c->sources[1].ipv6.len, 0);
    assert_int_not_equal(c->sources[2].ipv6.len, 0);
    assert_string_equal(c->pool->name, "most");
    assert_true(is_near(config_pool_share(c->pool, 0), 0.75));
    assert_string_equal(p.pool->name, "listed");
    assert_true(is_near(config_pool_share(p.pool, 1), 0));
    for (uint64_t id = 0; id < 1000; id++)
        assert_ptr_equal(config_choose_source(p.pool, id), &c->sources[1]);
    assert_string_equal(policy_of(c, "a.example", NULL, "p", NULL).pool->name, "all");
    assert_int_equal(policy_of(c, "a.example", NULL, "p", NULL).pool->share_count, 3);
    assert_string_equal(policy_of(c, "b.example", NULL, "p", NULL).pool->name, "most");
    assert_int_equal(c->sources[0].families, CONFIG_FAMILIES_ANY); /* with delivery's IPv6 */
    assert_int_equal(c->sources[1].families, CONFIG_FAMILIES_IPV4);
    assert_ptr_equal(config_find_source(c, SLICE_LIT("Out2")), &c->sources[1]);
    assert_null(config_find_source(c, SLICE_LIT("out4")));
    assert_null(config_find_pool(c, SLICE_LIT("out1")));
    config_unref(&c);
}

#define IDS 20000

static void sources_share_by_weight_and_few_messages_move(void **state)
{
    const struct config *a = must_load("sources: [{name: out1}, {name: out2}]\n"
                                       "pools: [{name: p, sources: \"out1 x 3, out2\"}]\n"
                                       "delivery: {pool: p}\n");
    const struct config *b = must_load("sources: [{name: new}, {name: out2}, {name: out1}]\n"
                                       "pools: [{name: p, sources: \"new x 4, out2, out1 x 3\"}]\n"
                                       "delivery: {pool: p}\n");
    size_t first = 0, moved = 0;
    struct rand r;

    (void)state;
    rand_init(&r, 7);
    for (size_t i = 0; i < IDS; i++) {
        uint64_t id = i % 2 ? rand_u64(&r) : i; /* ids that count up are as good as any */
        const char *before = config_choose_source(a->pool, id)->name;
        const char *after = config_choose_source(b->pool, id)->name;

        assert_string_equal(config_choose_source(a->pool, id)->name, before);
        first += strcmp(before, "out1") == 0;
        if (strcmp(before, after) != 0) {
            assert_string_equal(after, "new"); /* never from one old source to another */
            moved++;
        }
    }
    /* Six standard deviations of a binomial distribution. */
    assert_true(fabs((double)first - 0.75 * IDS) < 6 * sqrt(IDS * 0.75 * 0.25));
    assert_true(fabs((double)moved - 0.5 * IDS) < 6 * sqrt(IDS * 0.5 * 0.5));
    config_unref(&a);
    config_unref(&b);
}

/* ---- what is wrong ---- */

static void what_has_no_sense_is_refused(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"sources: [{name: a}, {name: A}]\n",
         "t.yaml:1:23: key 'sources[1].name': sources[0] has the same\n"},
        {"sources: [{name: a, ipv4: 192.0.2.1}]\ndelivery: {families: ipv6}\n",
         "t.yaml:1:12: key 'sources[0]': it has no address of the family that delivery.families "
         "wants\n"},
        {"sources: []\n", "t.yaml:1:1: key 'sources': at least one\n"},
        {"sources: [{name: a/b}]\n",
         "t.yaml:1:18: key 'sources[0].name': value 'a/b': allowed: a name of 1 to 63 letters, "
         "digits, hyphens, underscores and dots\n"},
        {"sources: [{ipv4: 192.0.2.1}]\n", "t.yaml:1:11: key 'sources[0].name' is missing\n"},
        {"sources: [{name: out1}]\npools: [{name: p, sources: out2}]\n",
         "t.yaml:2:19: key 'pools[0].sources': there is no source 'out2'; nearest 'out1'\n"},
        {"sources: [{name: out1}]\npools: [{name: p, sources: relay}]\n",
         "t.yaml:2:19: key 'pools[0].sources': there is no source 'relay'\n"},
        {"sources: [{name: a}]\npools: [{name: p, sources: \"a, a\"}]\n",
         "t.yaml:2:19: key 'pools[0].sources': 'a' is named twice; give it a weight\n"},
        {"sources: [{name: a}]\npools: [{name: p, sources: a x 0}]\n",
         "t.yaml:2:19: key 'pools[0].sources': at least one source with a weight above 0\n"},
        {"sources: [{name: a}]\npools: [{name: All, sources: a}]\n",
         "t.yaml:2:10: key 'pools[0].name': 'all' is the pool of all sources\n"},
        {"sources: [{name: a}]\npools: [{name: p, sources: a}, {name: p, sources: a}]\n",
         "t.yaml:2:33: key 'pools[1].name': pools[0] has the same\n"},
        {"sources: [{name: a}]\npools: [{name: p, sources: a 3}]\n",
         "t.yaml:2:28: key 'pools[0].sources': value 'a 3': allowed: names of sources, each with "
         "its weight from 0 to 10000 where that is not 1: out1 x 3, out2\n"},
        {"delivery: {pool: x}\n", "t.yaml:1:12: key 'delivery.pool': there is no pool 'x'\n"},
        {"destinations: [{destination: a.example, pool: x}]\n",
         "t.yaml:1:41: key 'destinations[0].pool': there is no pool 'x'\n"},
        {"destinations: [{destination: \"route:relay:25\"}]\n",
         "t.yaml:1:17: key 'destinations[0].destination': neither a route nor the smart host goes "
         "to 'relay:25'\n"},
        {"destinations: [{destination: a-word}, {destination: A-Word}]\n",
         "t.yaml:1:40: key 'destinations[1]': there is another for 'a-word'\n"},
        {"destinations: [{destination: \"mx:*.a.example\"}, {destination: \"MX:*.A.example\"}]\n",
         "t.yaml:1:50: key 'destinations[1]': there is another for 'MX:*.A.example'\n"},
        {"destinations: [{destination: p, warm_up: \"10, 20\"}]\n",
         "t.yaml:1:33: key 'destinations[0].warm_up': warm_up_start is needed too, here or for a "
         "source\n"},
        {"destinations: [{destination: p, connections_max: 3, connections_floor: 4}]\n",
         "t.yaml:1:17: key 'destinations[0]': connections_floor is 4, and a lane has 3 "
         "connections\n"},
        {"destinations: [{destination: p, connection_change: 20%}]\n",
         "t.yaml:1:52: key 'destinations[0].connection_change': value '20%': allowed: a change "
         "from -90% to -1%, with its sign\n"},
        {"destinations: [{destination: p, rate_max: 10}]\n",
         "t.yaml:1:43: key 'destinations[0].rate_max': value '10': allowed: messages in a second, "
         "minute or hour like 10/s, 600/m or 5000/h, up to 1000000; 0: no limit\n"},
        {"destinations: [{destination: p, warm_up_start: 2026-02-30}]\n",
         "t.yaml:1:48: key 'destinations[0].warm_up_start': value '2026-02-30': allowed: a day "
         "like 2026-11-23 (it begins at midnight UTC), or none\n"},
        {"lanes: {throttle: 0.3%}\n",
         "t.yaml:1:9: key 'lanes.throttle': value '0.3%' is not below lanes.incident '0.2%' "
         "(default); order: watch < throttle < incident\n"},
        {"lanes: {connections_floor: 200}\n",
         "t.yaml:1:9: key 'lanes.connections_floor': value '200' is above lanes.connections_max "
         "'100' (default); a cut ends at the floor\n"},
        {"lanes: {window: 30s}\n",
         "t.yaml:1:9: key 'lanes.window': from 1 to 180 times lanes.minute\n"},
        {"lanes: {window: 10m, minute: 1s}\n",
         "t.yaml:1:9: key 'lanes.window': from 1 to 180 times lanes.minute\n"},
        {"lanes: {watch: 0.00001%}\n",
         "t.yaml:1:16: key 'lanes.watch': value '0.00001%': allowed: a percentage like 0.02%, "
         "from 0.0001% to 50%\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        must_fail(cases[i].text, cases[i].error);
}

static void differences_are_found(void **state)
{
    const struct config *a = must_load(three_sources), *b = must_load(many_blocks);

    (void)state;
    assert_false(config_differs(a, a, "destinations"));
    assert_true(config_differs(a, b, "destinations"));
    assert_true(config_differs(a, b, "sources"));
    assert_true(config_differs(a, b, "delivery.pool"));
    assert_true(config_differs(a, b, "retry.jitter"));
    assert_false(config_differs(a, b, "lanes.watch"));
    config_unref(&a);
    config_unref(&b);
}

static int done(void **state)
{
    (void)state;
    buf_done(&why);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_operators_text_is_a_configuration),
        cmocka_unit_test(the_most_specific_block_wins),
        cmocka_unit_test(each_key_comes_from_the_most_specific_block_that_has_it),
        cmocka_unit_test(only_the_best_mx_host_is_compared),
        cmocka_unit_test(patterns_match_as_they_should),
        cmocka_unit_test(lane_keys_hold_for_lanes),
        cmocka_unit_test(a_next_hop_has_its_policy),
        cmocka_unit_test(a_warm_up_is_read),
        cmocka_unit_test(values_are_written_as_in_a_block),
        cmocka_unit_test(without_sources_there_is_one),
        cmocka_unit_test(pools_have_sources),
        cmocka_unit_test(sources_share_by_weight_and_few_messages_move),
        cmocka_unit_test(what_has_no_sense_is_refused),
        cmocka_unit_test(differences_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, done);
}
