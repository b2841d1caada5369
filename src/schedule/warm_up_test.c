/*
 * schedule/warm_up_test.c - the plan by days, held and made steps, and the rate over a day.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/rand.h"
#include "schedule/warm_up.h"

#define DAY INT64_C(86400000)
#define HOUR (DAY / 24)
#define START (20000 * DAY + 9 * HOUR)

static const struct warm_up_settings plan = {
    .list = {50, 100, 500}, .days = 3, .factor = 2, .start_ms = START};

static void the_plan_goes_on_with_its_factor(void **state)
{
    static const struct {
        double factor;
        uint32_t numbers[6];
    } cases[] = {
        {2, {50, 100, 500, 1000, 2000, 4000}},
        {1.5, {50, 100, 500, 750, 1125, 1687}},
        {1, {50, 100, 500, 500, 500, 500}},
        {0, {50, 100, 500, 500, 500, 500}},
        {1e6, {50, 100, 500, 500000000, UINT32_MAX, UINT32_MAX}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct warm_up_settings s = plan;
        struct warm_up_change c;
        struct warm_up w, later;

        s.factor = cases[i].factor;
        warm_up_init(&w, &s, START);
        for (int day = 0; day < 6; day++) {
            /* Begun in the middle, the plan stands where the calendar says. */
            warm_up_init(&later, &s, START + day * DAY);
            assert_int_equal(warm_up_today(&later, &s), cases[i].numbers[day]);
            for (int64_t hour = day ? 0 : 9; hour < 24; hour++) {
                bool told =
                    warm_up_tick(&w, &s, 20000 * DAY + day * DAY + hour * HOUR, 0, false, &c);

                assert_int_equal(warm_up_today(&w, &s), cases[i].numbers[day]);
                assert_int_equal(told, hour == 0 && day > 0 &&
                                           cases[i].numbers[day] != cases[i].numbers[day - 1]);
                if (told) {
                    assert_false(c.is_held);
                    assert_int_equal(c.from_a_day, cases[i].numbers[day - 1]);
                    assert_int_equal(c.to_a_day, cases[i].numbers[day]);
                }
            }
        }
    }
}

/* Three bad days: one step is held, told once, made when they are over, and one only. */
static void a_step_is_held_and_goes_on(void **state)
{
    struct warm_up_change c;
    struct warm_up w;
    int told = 0;

    (void)state;
    warm_up_init(&w, &plan, START);
    for (int64_t at = START; at < START + 3 * DAY; at += HOUR) {
        if (!warm_up_tick(&w, &plan, at, 1, true, &c))
            continue;
        told++;
        assert_true(c.is_held);
        assert_int_equal(at / DAY, 20001);
        assert_int_equal(c.from_a_day, 50);
        assert_int_equal(c.to_a_day, 100);
    }
    assert_int_equal(told, 1);
    assert_int_equal(warm_up_today(&w, &plan), 50);
    assert_true(warm_up_tick(&w, &plan, START + 3 * DAY, 0, false, &c));
    assert_false(c.is_held);
    assert_int_equal(warm_up_today(&w, &plan), 100);
    assert_false(warm_up_tick(&w, &plan, START + 3 * DAY + HOUR, 0, false, &c));
    assert_true(warm_up_tick(&w, &plan, START + 4 * DAY, 0, false, &c));
    assert_int_equal(warm_up_today(&w, &plan), 500);
}

static void the_number_is_the_days(void **state)
{
    struct warm_up_change c;
    struct warm_up w;
    double rate;

    (void)state;
    warm_up_init(&w, &plan, START);
    (void)warm_up_tick(&w, &plan, START, 49, false, &c);
    assert_true(warm_up_rate(&w, &plan, START, &rate));
    (void)warm_up_tick(&w, &plan, START + HOUR, 1, false, &c);
    assert_false(warm_up_rate(&w, &plan, START + HOUR, &rate));
    assert_false(warm_up_rate(&w, &plan, 20001 * DAY - 1, &rate));
    (void)warm_up_tick(&w, &plan, 20001 * DAY, 0, false, &c);
    assert_true(warm_up_rate(&w, &plan, 20001 * DAY, &rate));
    /* At most twice as fast as even over the day: no burst at midnight, no burst before it. */
    assert_true(fabs(rate - 2 * 100 / 86400.0) < 1e-9);
    assert_true(warm_up_rate(&w, &plan, 20001 * DAY + 6 * HOUR, &rate));
    assert_true(fabs(rate - 2 * 100 / 64800.0) < 1e-9);
    assert_true(warm_up_rate(&w, &plan, 20002 * DAY - 1000, &rate));
    assert_true(fabs(rate - 4 * 100 / 86400.0) < 1e-9);
}

/* Sent as fast as the rate allows, from any hour: never more than the day's number. */
static void the_rate_keeps_the_number(void **state)
{
    struct rand chance;

    (void)state;
    rand_init(&chance, 3);
    for (int n = 0; n < 50; n++) {
        struct warm_up_settings s = {.days = 1, .start_ms = 1};
        struct warm_up_change c;
        struct warm_up w;
        double tokens = 1, rate;
        uint64_t sent = 0;
        int64_t at = (int64_t)rand_below(&chance, (uint64_t)DAY);

        s.list[0] = 1 + (uint32_t)rand_below(&chance, 100000);
        warm_up_init(&w, &s, at);
        for (; at < DAY; at += 10000) {
            uint64_t now = (uint64_t)tokens;

            tokens -= (double)now;
            sent += now;
            (void)warm_up_tick(&w, &s, at, now, false, &c);
            if (warm_up_rate(&w, &s, at, &rate))
                tokens += rate * 10;
        }
        assert_true(sent <= s.list[0] + 1);
    }
}

static void clocks_and_settings(void **state)
{
    struct warm_up_settings s = plan, none = {.days = 0};
    struct warm_up_change c;
    struct warm_up w;
    double rate;

    (void)state;
    /* Over midnight and back and over it again: one step. */
    warm_up_init(&w, &s, START);
    assert_true(warm_up_tick(&w, &s, 20001 * DAY, 7, false, &c));
    assert_false(warm_up_tick(&w, &s, 20001 * DAY - 1, 7, false, &c));
    assert_false(warm_up_tick(&w, &s, 20001 * DAY + 1, 7, false, &c));
    assert_int_equal(warm_up_today(&w, &s), 100);
    assert_int_equal(w.sent, 14);
    /* A clock that was wrong by years does not stop the plan for years. */
    assert_true(warm_up_tick(&w, &s, 30000 * DAY, 0, false, &c));
    (void)warm_up_tick(&w, &s, 20002 * DAY, 0, false, &c);
    assert_true(warm_up_tick(&w, &s, 20003 * DAY, 0, false, &c));
    /* Another first day: the plan anew. */
    s.start_ms = 20003 * DAY;
    (void)warm_up_tick(&w, &s, 20003 * DAY, 0, false, &c);
    assert_int_equal(warm_up_today(&w, &s), 50);
    /* None. */
    warm_up_init(&w, &none, START);
    assert_false(warm_up_tick(&w, &none, START + DAY, 1000, false, &c));
    assert_int_equal(warm_up_today(&w, &none), 0);
    assert_true(warm_up_rate(&w, &none, START, &rate) && rate == 0);
    /* Over. */
    s.factor = 1e9;
    warm_up_init(&w, &s, 20010 * DAY);
    assert_int_equal(warm_up_today(&w, &s), UINT32_MAX);
    assert_true(warm_up_rate(&w, &s, START, &rate) && rate == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plan_goes_on_with_its_factor),
        cmocka_unit_test(a_step_is_held_and_goes_on),
        cmocka_unit_test(the_number_is_the_days),
        cmocka_unit_test(the_rate_keeps_the_number),
        cmocka_unit_test(clocks_and_settings),
    };

    return cmocka_run_group_tests_name("warm_up", tests, NULL, NULL);
}
