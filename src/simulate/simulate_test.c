/*
 * simulate/simulate_test.c - the same seed gives the same run; nothing is lost or counted twice;
 * scenarios say where they are wrong; the world refuses what it has no room for.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "simulate/html.h"
#include "simulate/simulate.h"
#include "simulate/wheel.h"
#include "simulate/world.h"

#define HEAD "title: t\nduration: 40m\nconnections: 8\n"
#define ONE "providers:\n  - name: a.example\n    rate: 20/s\n    connections: 50\n"
#define MAIL "traffic:\n  - provider: a.example\n    rate: 12/s\n"

static struct scenario *read_ok(const char *text)
{
    struct buf why = BUF_INIT(KIB(8));
    struct scenario *s = NULL;
    int r = scenario_read(&s, "s.yaml", slice_str(text), &why);

    if (r < 0)
        fail_msg("%s", buf_cstr(&why));
    buf_done(&why);
    return s;
}

static void run_with(const struct scenario *s, enum simulate_policy p, uint64_t seed,
                     const char *const *sets, size_t set_count, struct simulate_result *ret)
{
    struct buf why = BUF_INIT(KIB(8));
    struct simulate_setup setup = {0};
    struct config *config = NULL;

    assert_int_equal(simulate_config(s, NULL, sets, set_count, &config, &why), 0);
    assert_int_equal(knowledge_new(&setup.knowledge, NULL, NULL, &why), 0);
    setup.config = config;
    assert_int_equal(simulate_run(s, &setup, p, seed, ret), 0);
    knowledge_unref(&setup.knowledge);
    config_unref(&setup.config);
    buf_done(&why);
}

static void run_ok(const struct scenario *s, enum simulate_policy p, uint64_t seed,
                   struct simulate_result *ret)
{
    run_with(s, p, seed, NULL, 0, ret);
}

/* Every kind of trouble at once: a dip, an outage, greylisting, a limit, unknown mailboxes, dead
 * domains, two nodes with two sources of which one warms up, our own relay, a burst. */
static const char all_of_it[] =
    HEAD "nodes: 2\nsources:\n  - name: s1\n  - name: s2\n    warm_up: 2000, 5000\n"
         "providers:\n"
         "  - name: a.example\n    rate: 20/s\n    connections: 50\n    refusals: 0.1%\n"
         "  - name: b.example\n    rate: 50/s\n    greylist: 5m\n    domains: 20\n    limit: 5/s\n"
         "    unknown_mailboxes: 1%\n"
         "  - name: c.example\n    rate: 50/s\n    domains: 20\n    separate: yes\n    dead: 5%\n"
         "  - name: d.example\n    rate: 10/s\n    ours: yes\n"
         "traffic:\n"
         "  - provider: a.example\n    rate: 12/s\n    wave: 50%\n"
         "  - provider: b.example\n    rate: 6/s\n    from: 1m\n    for: 10m\n    burst: 500\n"
         "  - provider: c.example\n    rate: 2/s\n"
         "  - provider: d.example\n    rate: 3/s\n"
         "events:\n"
         "  - provider: a.example\n    at: 5m\n    for: 10m\n    ramp: 2m\n    capacity: 20%\n"
         "  - provider: '*'\n    at: 20m\n    for: 1m\n    every: 3m\n    times: 3\n";

static void same_seed_same_run(void **state)
{
    struct scenario *s = read_ok(all_of_it);
    static struct simulate_result a, b, c;

    (void)state;
    for (enum simulate_policy p = 0; p < SIMULATE_POLICY_COUNT; p++) {
        bool differs;

        run_ok(s, p, 7, &a);
        run_ok(s, p, 7, &b);
        run_ok(s, p, 8, &c);
        assert_int_equal(a.minute_count, b.minute_count);
        assert_memory_equal(a.minutes, b.minutes, a.minute_count * sizeof(*a.minutes));
        differs = a.attempts != c.attempts || a.deferred != c.deferred;
        assert_true(differs);
        simulate_result_done(&a);
        simulate_result_done(&b);
        assert_memory_equal(&a, &b, sizeof(a));
        simulate_result_done(&c);
    }
    scenario_free(&s);
}

static void nothing_is_lost(void **state)
{
    struct scenario *s = read_ok(all_of_it);
    static struct simulate_result r;

    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++)
        for (enum simulate_policy p = 0; p < SIMULATE_POLICY_COUNT; p++) {
            uint64_t arrived = 0, attempts = 0, classes = 0;

            run_ok(s, p, seed, &r);
            for (size_t i = 0; i < r.minute_count; i++) {
                arrived += r.minutes[i].arrived;
                attempts += r.minutes[i].attempts;
            }
            for (int k = 0; k < REPLY_CLASSES; k++)
                classes += r.by_class[k];
            assert_int_equal(r.attempts, r.delivered + r.deferred + r.failed);
            assert_int_equal(r.attempts, attempts);
            assert_int_equal(r.attempts, classes);
            assert_int_equal(r.messages, arrived);
            assert_int_equal(r.messages, r.messages_delivered + r.messages_failed +
                                             r.messages_expired + r.messages_left);
            assert_int_equal(r.messages_delivered, r.delivered); /* each once */
            assert_int_equal(r.times.count, r.messages_delivered);
            assert_int_equal(r.messages_left, 0);
            assert_int_equal(r.minutes[r.minute_count - 1].queue, 0);
            assert_true(r.messages_failed > 0);
            assert_true(r.messages_expired > 0); /* those of the dead domains */
            assert_true(r.by_class[REPLY_GREYLIST] > 0);
            assert_true(r.by_class[REPLY_CONNECTION] > 0);
            assert_true(r.delivered_first > 0 && r.delivered_first < r.messages_delivered);
            assert_true(r.drained);
            simulate_result_done(&r);
        }
    scenario_free(&s);
}

/* The page stands alone and shows the text as it is; what comes of no room is told. */
static void pages_are_whole(void **state)
{
    struct scenario *s = read_ok("title: a <b> & \"c\"\nduration: 10m\n" ONE MAIL
                                 "events:\n  - provider: a.example\n    at: 2m\n    for: 3m\n"
                                 "    capacity: 10%\n");
    static struct simulate_result r[2];
    struct buf page = BUF_INIT(SIMULATE_HTML_MAX), again = BUF_INIT(SIMULATE_HTML_MAX),
               small = BUF_INIT(KIB(2));
    const char *text;
    size_t lines = 0;

    (void)state;
    run_ok(s, SIMULATE_PLAYBOOK, 1, &r[0]);
    run_ok(s, SIMULATE_FIXED, 1, &r[1]);
    assert_int_equal(simulate_html(s, 1, r, 2, &page), 0);
    assert_int_equal(simulate_html(s, 1, r, 2, &again), 0);
    assert_true(slice_eq(buf_slice(&page), buf_slice(&again)));
    assert_true(simulate_html(s, 1, r, 2, &small) < 0);
    text = buf_cstr(&page);
    assert_non_null(strstr(text, "<h1>a &lt;b&gt; &amp; &quot;c&quot;</h1>"));
    assert_null(strstr(text, "http")); /* it loads nothing */
    assert_null(strstr(text, "nan"));
    for (const char *at = text; (at = strstr(at, "stroke-width")); at++)
        lines++;
    assert_int_equal(lines, 3 * 2);
    assert_string_equal(text + strlen(text) - 8, "</html>\n");
    for (int i = 0; i < 2; i++)
        simulate_result_done(&r[i]);
    buf_done(&page);
    buf_done(&again);
    buf_done(&small);
    scenario_free(&s);
}

/* Dead domains fail at max_queue_time, no sooner: nothing leaves the queue on a 4xx. */
static void dead_ones_fail_at_last(void **state)
{
    struct scenario *s = read_ok("title: t\nduration: 1m\n"
                                 "providers:\n  - name: a.example\n    rate: 20/s\n    dead: 100%\n"
                                 "traffic:\n  - provider: a.example\n    burst: 30\n");
    static struct simulate_result r;

    (void)state;
    for (enum simulate_policy p = 0; p < SIMULATE_POLICY_COUNT; p++) {
        run_ok(s, p, 1, &r);
        assert_int_equal(r.messages, 30);
        assert_int_equal(r.messages_expired, 30);
        assert_int_equal(r.failed, 0);
        assert_true(r.ended_ms >= UINT64_C(48) * 3600 * 1000);
        simulate_result_done(&r);
    }
    scenario_free(&s);
}

static void the_healthy_world_takes_all(void **state)
{
    struct scenario *s = read_ok(HEAD ONE MAIL);
    static struct simulate_result r;

    (void)state;
    for (enum simulate_policy p = 0; p < SIMULATE_POLICY_COUNT; p++) {
        run_ok(s, p, 3, &r);
        assert_int_equal(r.delivered_first, r.messages);
        assert_int_equal(r.attempts, r.messages);
        assert_int_equal(r.incident_count, 0);
        simulate_result_done(&r);
    }
    scenario_free(&s);
}

/* Pushed over its capacity a provider refuses, and who knows it best is refused least. */
static void the_oracle_is_refused_least(void **state)
{
    struct scenario *s = read_ok(HEAD ONE MAIL "events:\n  - provider: a.example\n    at: 5m\n"
                                               "    for: 15m\n    capacity: 30%\n");
    static struct simulate_result r;
    uint64_t refused[SIMULATE_POLICY_COUNT];

    (void)state;
    for (enum simulate_policy p = 0; p < SIMULATE_POLICY_COUNT; p++) {
        run_ok(s, p, 3, &r);
        refused[p] = r.by_class[REPLY_CAPACITY];
        if (p == SIMULATE_PLAYBOOK)
            assert_true(r.incident_count > 0);
        simulate_result_done(&r);
    }
    for (enum simulate_policy p = 0; p < SIMULATE_ORACLE; p++)
        assert_true(refused[p] > 10 * (refused[SIMULATE_ORACLE] + 1));
    assert_true(refused[SIMULATE_PLAYBOOK] < refused[SIMULATE_FIXED]);
    scenario_free(&s);
}

/* Settings of the configuration reach the lanes; what is not said has the scenario's limit. */
static void the_playbook_is_configured(void **state)
{
    static const char *const sets[] = {"lanes.connections_max=3"};
    struct scenario *s = read_ok(HEAD ONE MAIL "events:\n  - provider: a.example\n    at: 5m\n"
                                               "    for: 15m\n    capacity: 30%\n");
    static struct simulate_result r[ARRAY_SIZE(sets) + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(r); i++) {
        uint32_t most = 0;

        run_with(s, SIMULATE_PLAYBOOK, 3, sets, i, &r[i]);
        for (size_t k = 0; k < r[i].minute_count; k++)
            most = MAX_OF(most, r[i].minutes[k].connections);
        assert_int_equal(most, i == 0 ? s->connections : 3);
    }
    for (size_t i = 0; i < ARRAY_SIZE(r); i++)
        simulate_result_done(&r[i]);
    scenario_free(&s);
}

/* Minutes of the windows, too: of shorter ones the controller sees less. */
static void minutes_are_those_of_the_settings(void **state)
{
    static const char *const sets[] = {"lanes.window=1m", "lanes.minute=1s"};
    struct scenario *s = read_ok(HEAD ONE MAIL "events:\n  - provider: a.example\n    at: 5m\n"
                                               "    for: 15m\n    capacity: 30%\n");
    static struct simulate_result r[2];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(r); i++)
        run_with(s, SIMULATE_PLAYBOOK, 3, sets, i + 1, &r[i]);
    assert_int_not_equal(r[0].decisions, r[1].decisions);
    for (size_t i = 0; i < ARRAY_SIZE(r); i++)
        simulate_result_done(&r[i]);
    scenario_free(&s);
}

/* Each node has evidence and limits of its own; together they send what one would. */
static void nodes_know_nothing_of_each_other(void **state)
{
    struct scenario *s =
        read_ok(HEAD "nodes: 3\n" ONE MAIL "events:\n  - provider: a.example\n    at: 5m\n"
                     "    for: 15m\n    capacity: 10%\n");
    static struct simulate_result r;
    uint32_t most = 0;
    unsigned seen = 0;

    (void)state;
    run_ok(s, SIMULATE_PLAYBOOK, 3, &r);
    for (size_t i = 0; i < r.minute_count; i++)
        most = MAX_OF(most, r.minutes[i].connections);
    assert_in_range(most, s->connections + 1, 3 * s->connections);
    for (size_t i = 0; i < r.incident_count; i++)
        seen |= 1U << r.incidents[i].node;
    assert_int_equal(seen, 7);
    assert_int_equal(r.messages, r.messages_delivered);
    simulate_result_done(&r);
    scenario_free(&s);
}

static void scenarios_say_where(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {HEAD ONE MAIL "evens: []\n", "s.yaml:11:1: key 'evens' is not known in a scenario"},
        {HEAD ONE "    rat: 3/s\n" MAIL, "s.yaml:8:5: key 'rat' is not known in a provider; "
                                         "nearest key 'rate'"},
        {HEAD ONE "traffic:\n  - provider: b.example\n    rate: 1/s\n",
         "s.yaml:9:15: there is no provider 'b.example'"},
        {HEAD ONE "traffic:\n  - provider: a.example\n    rate: fast\n",
         "s.yaml:10:11: key 'rate': value 'fast': allowed:"},
        {HEAD ONE MAIL "events:\n  - provider: c\n    for: 1m\n",
         "s.yaml:12:15: there is no provider 'c'"},
        {HEAD ONE MAIL "events:\n  - provider: a.example\n", "an event: key 'for' is missing"},
        {HEAD ONE "    capacity_reply: 550 no\n" MAIL, "s.yaml:8:21: '550 no' is no reply of 4xx"},
        {HEAD ONE MAIL "events:\n  - provider: '*'\n    for: 5m\n    times: 3\n    every: 1m\n",
         "s.yaml:15:12: key 'every' must be 'for' or longer"},
        {ONE MAIL, "a scenario: key 'title' is missing"},
        {HEAD MAIL, "a scenario needs 'providers' and 'traffic'"},
        {"- a\n", "a scenario must be a map"},
        {HEAD "providers: 3\n" MAIL, "s.yaml:4:12: providers must be a list"},
        {HEAD ONE "  - name: a.example\n    rate: 1/s\n" MAIL,
         "there are two providers 'a.example'"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf why = BUF_INIT(KIB(8));
        struct scenario *s = NULL;

        assert_int_equal(scenario_read(&s, "s.yaml", slice_str(cases[i].text), &why), -EINVAL);
        if (!strstr(buf_cstr(&why), cases[i].why))
            fail_msg("wanted: %s\ngot: %s", cases[i].why, buf_cstr(&why));
        assert_null(s);
        buf_done(&why);
    }
}

/* Cut anywhere, a scenario is read or refused, and nothing leaks. */
static void scenarios_cut_anywhere(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(all_of_it); len++) {
        struct buf why = BUF_INIT(KIB(8));
        struct scenario *s = NULL;
        int r = scenario_read(&s, "s.yaml", slice_make(all_of_it, len), &why);

        assert_true(r == 0 || r == -EINVAL);
        assert_true((r == 0) == (s != NULL) && (r == 0) == (buf_len(&why) == 0));
        scenario_free(&s);
        buf_done(&why);
    }
}

static void shipped_scenarios_are_right(void **state)
{
    const struct scenario_shipped *shipped;
    size_t i = 0;

    (void)state;
    for (; (shipped = scenario_shipped_at(i)); i++) {
        struct buf why = BUF_INIT(KIB(8));
        struct scenario *s = NULL;

        if (scenario_read(&s, shipped->name, shipped->text, &why) < 0)
            fail_msg("%s", buf_cstr(&why));
        assert_true(s->trouble_end_ms <= s->duration_ms);
        scenario_free(&s);
        buf_done(&why);
    }
    assert_int_equal(i, 9);
}

static void events_take_capacity(void **state)
{
    static const struct {
        uint64_t at_s;
        double capacity;
    } cases[] = {{0, 1},      {59, 1},     {60, 1},    {90, 0.75},  {120, 0.5},
                 {300, 0.5},  {330, 0.75}, {360, 1},   {600, 1},    {659, 1},
                 {690, 0.75}, {720, 0.5},  {900, 0.5}, {930, 0.75}, {1260, 1}};
    struct scenario *s =
        read_ok(HEAD ONE MAIL "events:\n  - provider: a.example\n    at: 1m\n    for: 5m\n"
                              "    ramp: 1m\n    every: 10m\n    times: 2\n"
                              "    capacity: 50%\n");

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        double got = scenario_capacity(s, 0, cases[i].at_s * 1000);

        assert_true(got > cases[i].capacity - 1e-9 && got < cases[i].capacity + 1e-9);
    }
    assert_int_equal(s->trouble_end_ms, 960000);
    scenario_free(&s);
}

/* Against a plain list: what comes out, and when, for waits of all lengths. */
static void the_wheel_turns(void **state)
{
    static struct wheel w;
    struct {
        struct list node;
        int64_t at;
    } items[400];
    struct rand chance;
    int64_t now = 12345678;
    size_t left = 0, taken = 0;

    (void)state;
    rand_init(&chance, 5);
    wheel_init(&w, now);
    for (size_t i = 0; i < ARRAY_SIZE(items); i++)
        items[i].at = -1;
    while (taken < 20000) {
        struct list *node;
        int64_t next = INT64_MAX;

        for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
            if (items[i].at < 0 && rand_below(&chance, 4) == 0) {
                items[i].at = now + (int64_t)rand_below(&chance, i % 2 ? WHEEL_MS : 100);
                list_init(&items[i].node);
                wheel_add(&w, &items[i].node, items[i].at);
                left++;
            }
            if (items[i].at >= 0 && items[i].at < next)
                next = items[i].at;
        }
        assert_int_equal(wheel_next(&w), next);
        now = next == INT64_MAX ? now + 1 : next;
        while ((node = wheel_take(&w, now))) {
            size_t i = 0;

            while (node != &items[i].node)
                i++;
            assert_int_equal(items[i].at, now);
            items[i].at = -1;
            left--;
            taken++;
        }
        assert_int_equal(w.count, left);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wheel_turns),
        cmocka_unit_test(events_take_capacity),
        cmocka_unit_test(scenarios_say_where),
        cmocka_unit_test(scenarios_cut_anywhere),
        cmocka_unit_test(shipped_scenarios_are_right),
        cmocka_unit_test(the_healthy_world_takes_all),
        cmocka_unit_test(the_oracle_is_refused_least),
        cmocka_unit_test(the_playbook_is_configured),
        cmocka_unit_test(minutes_are_those_of_the_settings),
        cmocka_unit_test(nodes_know_nothing_of_each_other),
        cmocka_unit_test(pages_are_whole),
        cmocka_unit_test(dead_ones_fail_at_last),
        cmocka_unit_test(same_seed_same_run),
        cmocka_unit_test(nothing_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
