/* deliver/lane_rules_test.c - from the configuration to the rules of a lane. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "deliver/lane_rules.h"
#include "evidence/providers.h"

static struct providers *providers;
static struct buf why = {.cap = CONFIG_WHY_MAX};

static const struct config *must_load(const char *text)
{
    struct config *c = NULL;

    buf_clear(&why);
    if (config_load_text("t.yaml", slice_str(text), NULL, 0, &c, &why) < 0)
        fail_msg("%s", buf_cstr(&why));
    return c;
}

static struct lane_rules rules_of(const struct config *c, const char *provider, const char *source)
{
    struct lane_rules rules;

    memset(&rules, 0xff, sizeof(rules));
    lane_rules_of(c, providers, slice_str(provider), slice_str(source), &rules);
    return rules;
}

static bool is_near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

/* The thresholds, steps, floors and windows that are promised. */
static void the_defaults_are_those_promised(void **state)
{
    const struct config *c = must_load("");
    struct lane_rules r = rules_of(c, "example.net", "default");
    const struct throttle_settings *t = &r.throttle;

    (void)state;
    assert_true(t->enabled);
    assert_int_equal(t->connections_max, 100);
    assert_int_equal(t->connections_floor, 1);
    assert_true(t->rate_max == 0);
    assert_true(is_near(t->rate_floor, 0.1));
    assert_true(is_near(t->connection_change, -0.2));
    assert_true(is_near(t->rate_change, -0.2));
    assert_int_equal(t->window_ms, 600000);
    assert_int_equal(t->sample_min, 200);
    assert_int_equal(t->hits_min, 3);
    assert_true(is_near(t->alpha, 0.01));
    assert_true(is_near(t->watch_share, 0.0001));
    assert_true(is_near(t->throttle_share, 0.0002));
    assert_true(is_near(t->incident_share, 0.002));
    assert_true(is_near(t->baseline_factor, 2));
    assert_int_equal(t->queue_age_max_ms, 0);
    assert_int_equal(t->cycle_ms, 600000);
    assert_int_equal(t->hold_cycles, 2);
    assert_true(is_near(t->restore_step, 0.1));
    assert_int_equal(t->step_hold_ms, 60000);
    assert_int_equal(r.warm_up.days, 0);
    config_unref(&c);
}

static void a_group_holds_for_its_members(void **state)
{
    const struct config *c = must_load("retry: {initial_retry: 5m}\n"
                                       "lanes: {rate_floor: 1/s}\n"
                                       "destinations:\n"
                                       "  - {destination: microsoft-domains, initial_retry: 10m,\n"
                                       "     connection_change: -30%, rate_max: 30/m}\n"
                                       "  - {destination: microsoft-365, connections_max: 40}\n"
                                       "  - {destination: .example.org, connections_max: 3,\n"
                                       "     connection_change: -50%}\n");
    struct lane_rules r;

    (void)state;
    r = rules_of(c, "microsoft-365", "default");
    assert_int_equal(r.throttle.connections_max, 40);
    assert_true(is_near(r.throttle.connection_change, -0.3));
    assert_int_equal(r.throttle.cycle_ms, 600000);
    assert_true(is_near(r.throttle.rate_max, 0.5));
    assert_true(is_near(r.throttle.rate_floor, 0.5)); /* never above the rate it is a floor of */
    r = rules_of(c, "microsoft-consumer", "default");
    assert_int_equal(r.throttle.connections_max, 100);
    assert_true(is_near(r.throttle.connection_change, -0.3));
    r = rules_of(c, "google", "default");
    assert_true(is_near(r.throttle.connection_change, -0.2));
    assert_int_equal(r.throttle.cycle_ms, 300000);
    r = rules_of(c, "policy:.example.org", "default");
    assert_true(is_near(r.throttle.connection_change, -0.5));
    assert_int_equal(r.throttle.connections_max, 100);
    /* Without a table there are no groups. */
    lane_rules_of(c, NULL, SLICE_LIT("microsoft-365"), SLICE_LIT("default"), &r);
    assert_int_equal(r.throttle.connections_max, 40);
    assert_true(is_near(r.throttle.connection_change, -0.2));
    config_unref(&c);
}

static void a_warm_up_begins_with_its_source(void **state)
{
    const struct config *c = must_load("sources:\n"
                                       "  - {name: old, warm_up_start: 2026-01-01}\n"
                                       "  - {name: new}\n"
                                       "destinations:\n"
                                       "  - {destination: google, warm_up: \"10, 20\",\n"
                                       "     warm_up_factor: 1.5, warm_up_start: 2026-11-01}\n"
                                       "  - {destination: microsoft-365, warm_up: 5}\n");
    struct lane_rules r;

    (void)state;
    r = rules_of(c, "google", "old");
    assert_int_equal(r.warm_up.days, 2);
    assert_int_equal(r.warm_up.list[0], 10);
    assert_int_equal(r.warm_up.list[1], 20);
    assert_true(is_near(r.warm_up.factor, 1.5));
    assert_int_equal(r.warm_up.start_ms, INT64_C(1767225600000));
    r = rules_of(c, "google", "new");
    assert_int_equal(r.warm_up.days, 2);
    assert_int_equal(r.warm_up.start_ms, INT64_C(1793491200000));
    /* Nobody says when it began: it is warm. */
    r = rules_of(c, "microsoft-365", "new");
    assert_int_equal(r.warm_up.days, 0);
    r = rules_of(c, "microsoft-365", "old");
    assert_int_equal(r.warm_up.days, 1);
    r = rules_of(c, "google", "gone");
    assert_int_equal(r.warm_up.days, 0);
    config_unref(&c);
}

static void words_must_be_known(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"destinations: [{destination: microsoft-domains}, {destination: google}]\n", ""},
        {"destinations: [{destination: localhost.}, {destination: a.example}]\n", ""},
        {"destinations:\n  - destination: microsft-domains\n",
         "t.yaml:2:5: key 'destinations[0].destination': there is no provider or group "
         "'microsft-domains' (the domain of that name is written 'microsft-domains.'); nearest "
         "'microsoft-domains', 'microsoft-dane', 'microsoft-consumer'\n"},
    };
    static const char two[] = "destinations: [{destination: gogle}, {destination: localhost}]\n";
    const struct config *c;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        c = must_load(cases[i].text);
        assert_int_equal(lane_rules_check(c, providers, &why), cases[i].error[0] ? -EINVAL : 0);
        assert_string_equal(buf_cstr(&why), cases[i].error);
        config_unref(&c);
    }
    /* All are told; what has the word in it is the nearest. */
    c = must_load(two);
    assert_int_equal(lane_rules_check(c, providers, &why), -EINVAL);
    assert_non_null(strstr(buf_cstr(&why), "'gogle' (the domain of that name is written 'gogle.'); "
                                           "nearest 'google', "));
    assert_non_null(strstr(buf_cstr(&why), "'localhost' (the domain"));
    config_unref(&c);
}

static int begin(void **state)
{
    (void)state;
    return providers_new(&providers, SLICE_LIT(""), "", &why);
}

static int end(void **state)
{
    (void)state;
    providers_free(&providers);
    buf_done(&why);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_promised),
        cmocka_unit_test(a_group_holds_for_its_members),
        cmocka_unit_test(a_warm_up_begins_with_its_source),
        cmocka_unit_test(words_must_be_known),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
