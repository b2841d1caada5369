/* governor/trend_test.c - slopes, forecasts, and the time at each level against a plain sum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include "base/base.h"
#include "base/rand.h"
#include "governor/level_time.h"
#include "governor/trend.h"

static bool is_near(double a, double b)
{
    double off = a > b ? a - b : b - a;

    return off <= 1e-9 * (1 + (b < 0 ? -b : b));
}

static void a_line_has_its_slope(void **state)
{
    static const int64_t per_sample[] = {0, 1, -1, 1000, -1000, INT64_C(1) << 40};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(per_sample); i++) {
        struct trend t = {.count = 0};
        uint64_t used = UINT64_C(1) << 50;

        for (uint64_t n = 0; n < 3 * TREND_SAMPLES; n++, used += (uint64_t)per_sample[i]) {
            trend_add(&t, 5000 + n * 2000, used);
            assert_true(is_near(trend_slope(&t),
                                n + 1 < TREND_SAMPLES_MIN ? 0 : (double)per_sample[i] / 2));
        }
    }
}

static void samples_may_come_at_any_pace(void **state)
{
    struct trend t = {.count = 0};
    struct rand chance;
    uint64_t now_ms = 0;

    (void)state;
    rand_init(&chance, 7);
    for (int n = 0; n < 200; n++) {
        now_ms += 1 + rand_below(&chance, 10000);
        trend_add(&t, now_ms, 7 * now_ms);
    }
    assert_true(is_near(trend_slope(&t), 7000));
}

static void a_few_outliers_turn_nothing(void **state)
{
    struct trend t = {.count = 0};
    double slope;

    (void)state;
    for (uint64_t n = 0; n < TREND_SAMPLES; n++)
        trend_add(&t, n * 2000, n % 10 == 9 ? 1000000000 : 100 * n);
    slope = trend_slope(&t);
    assert_true(slope > 45 && slope < 60);
}

static void of_two_slopes_in_the_middle_it_is_the_mean(void **state)
{
    struct trend t = {.count = 0};

    (void)state;
    for (uint64_t n = 0; n < 20; n++)
        trend_add(&t, n * 1000, n < 10 ? 0 : n < 15 ? 100 : 200); /* in 10 s */
    assert_true(is_near(trend_slope(&t), 15));
}

/* Time that does not pass gives no slope of its own: the later figure stands. */
static void two_samples_of_one_moment_are_one(void **state)
{
    struct trend t = {.count = 0};

    (void)state;
    for (uint64_t n = 0; n < 10; n++) {
        trend_add(&t, n * 1000, 12345);
        trend_add(&t, n * 1000, n * 3);
    }
    assert_true(is_near(trend_slope(&t), 3));
}

static void a_forecast_is_in_whole_seconds(void **state)
{
    static const struct {
        double slope;
        uint64_t used, threshold;
        int64_t seconds;
    } cases[] = {
        {10, 100, 200, 10},
        {10, 100, 201, 11},
        {10, 199, 200, 1},
        {10, 200, 200, 0},
        {-10, 201, 200, 0},
        {-10, 100, 200, INT64_MAX},
        {0, 100, 200, INT64_MAX},
        {1, 0, (uint64_t)TREND_HORIZON_S, TREND_HORIZON_S},
        {1, 0, (uint64_t)TREND_HORIZON_S + 1, INT64_MAX},
        {1e-300, 0, UINT64_MAX, INT64_MAX},
        {1e30, 0, UINT64_MAX, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(trend_reaches(cases[i].slope, cases[i].used, cases[i].threshold),
                         cases[i].seconds);
}

/* What each level had of [from, to), from a plain list of stretches. */
struct stretch {
    uint64_t from_ms, to_ms;
    enum pressure_level level;
};

static uint64_t plain_sum(const struct stretch *list, size_t n, uint64_t from_ms,
                          enum pressure_level level)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        if (list[i].level == level && list[i].to_ms > from_ms)
            sum += list[i].to_ms - MAX_OF(list[i].from_ms, from_ms);
    return sum;
}

static void time_at_levels_is_what_the_sum_says(void **state)
{
    static const uint64_t spans_ms[] = {UINT64_C(3600000), UINT64_C(86400000)};
    static const uint64_t paces_ms[] = {2000, 100000, 3000000, 100000000};
    static struct stretch list[2000];
    struct rand chance;

    (void)state;
    rand_init(&chance, 11);
    for (size_t pace = 0; pace < ARRAY_SIZE(paces_ms); pace++) {
        struct level_time t;
        uint64_t now_ms = rand_below(&chance, 1000000000);

        memset(&t, 0, sizeof(t));
        for (size_t n = 0; n < ARRAY_SIZE(list); n++) {
            struct level_sums got;

            list[n] = (struct stretch){.from_ms = now_ms,
                                       .to_ms = now_ms + rand_below(&chance, paces_ms[pace]),
                                       .level = (enum pressure_level)rand_below(&chance, 3)};
            now_ms = list[n].to_ms;
            level_time_add(&t, list[n].level, list[n].from_ms, list[n].to_ms);
            if (n % 50 > 0)
                continue;
            level_time_get(&t, now_ms, &got);
            for (size_t level = 0; level < PRESSURE_LEVELS; level++)
                assert_int_equal(got.total_ms[level],
                                 plain_sum(list, n + 1, 0, (enum pressure_level)level));
            for (size_t span = 0; span < LEVEL_SPANS; span++) {
                uint64_t part_ms = spans_ms[span] / LEVEL_PARTS;
                uint64_t parts = now_ms / part_ms + 1, total = 0;
                uint64_t from_ms = parts > LEVEL_PARTS ? (parts - LEVEL_PARTS) * part_ms : 0;

                for (size_t level = 0; level < PRESSURE_LEVELS; level++) {
                    assert_int_equal(got.ms[span][level],
                                     plain_sum(list, n + 1, from_ms, (enum pressure_level)level));
                    total += got.ms[span][level];
                }
                assert_true(total <= spans_ms[span]);
                assert_true(total >= MIN_OF(now_ms - list[0].from_ms, spans_ms[span] - part_ms));
            }
        }
    }
}

/* Where nothing was added since, too. */
static void time_at_levels_is_forgotten_after_the_span(void **state)
{
    static const uint64_t spans_ms[] = {UINT64_C(3600000), UINT64_C(86400000)};

    (void)state;
    for (size_t span = 0; span < LEVEL_SPANS; span++) {
        struct level_sums got;
        uint64_t begin_ms = 7 * spans_ms[span];
        struct level_time t;

        memset(&t, 0, sizeof(t));
        level_time_add(&t, PRESSURE_HIGH, begin_ms, begin_ms + 10);
        level_time_get(&t, begin_ms + spans_ms[span] - 1, &got);
        assert_int_equal(got.ms[span][PRESSURE_HIGH], 10);
        level_time_get(&t, begin_ms + spans_ms[span], &got);
        assert_int_equal(got.total_ms[PRESSURE_HIGH], 10);
        assert_int_equal(got.ms[span][PRESSURE_HIGH], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_its_slope),
        cmocka_unit_test(samples_may_come_at_any_pace),
        cmocka_unit_test(a_few_outliers_turn_nothing),
        cmocka_unit_test(of_two_slopes_in_the_middle_it_is_the_mean),
        cmocka_unit_test(two_samples_of_one_moment_are_one),
        cmocka_unit_test(a_forecast_is_in_whole_seconds),
        cmocka_unit_test(time_at_levels_is_what_the_sum_says),
        cmocka_unit_test(time_at_levels_is_forgotten_after_the_span),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
