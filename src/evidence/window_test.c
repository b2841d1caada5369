/*
 * evidence/window_test.c - rings against a plain list of what was added, bounds against exact sums,
 * percentiles against sorted times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rand.h"
#include "evidence/window.h"

#define MINUTE ((int64_t)WINDOW_MINUTE_MS)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define START (1700000000000 / DAY * DAY + 5 * HOUR)

static void add_attempts(struct window *w, int64_t at_ms, uint32_t attempts, uint32_t capacity)
{
    struct window_counts c = {.attempts = attempts, .capacity = capacity};

    window_add(w, at_ms, &c);
}

static uint32_t attempts_of(const struct window *w,
                            void (*sum)(const struct window *, uint32_t, struct window_counts *),
                            uint32_t n)
{
    struct window_counts c;

    sum(w, n, &c);
    return c.attempts;
}

/* The sums by adding up all that was ever added. */
static void sums_are_those_of_a_list(void **state)
{
    enum { ADDS = 3000 };
    static struct {
        int64_t at;
        uint32_t attempts;
    } list[ADDS];
    static struct window w;
    struct rand chance;
    int64_t now = START;

    (void)state;
    rand_init(&chance, 4);
    window_init(&w, WINDOW_MINUTE_MS, now);
    for (int n = 0; n < ADDS; n++) {
        static const uint64_t gaps[] = {1000, 90000, 4000000, 200000000};
        uint64_t gap = gaps[rand_below(&chance, 100) < 97 ? rand_below(&chance, 2)
                                                          : 2 + rand_below(&chance, 2)];
        uint32_t spans[] = {1, 15, 60, WINDOW_MINUTES};

        now += (int64_t)rand_below(&chance, gap);
        list[n].at = now;
        list[n].attempts = (uint32_t)rand_below(&chance, 50);
        add_attempts(&w, now, list[n].attempts, rand_below(&chance, 100) == 0);
        if (rand_below(&chance, 200) == 0)
            window_add(&w, now, &(struct window_counts){.policy = 1});
        if (rand_below(&chance, 200) == 0)
            window_add(&w, now, &(struct window_counts){.rate = 1});
        now += (int64_t)rand_below(&chance, gap);
        window_advance(&w, now);
        for (size_t s = 0; s < ARRAY_SIZE(spans); s++) {
            uint32_t minutes = 0, hours = 0, days = 0;
            struct window_counts c;
            uint32_t span_h = MIN_OF(spans[s], WINDOW_HOURS);
            uint32_t span_d = MIN_OF(spans[s], WINDOW_DAYS);

            for (int i = 0; i <= n; i++) {
                minutes += now / MINUTE - list[i].at / MINUTE < spans[s] ? list[i].attempts : 0;
                hours += now / HOUR - list[i].at / HOUR < span_h ? list[i].attempts : 0;
                days += now / DAY - list[i].at / DAY < span_d ? list[i].attempts : 0;
            }
            window_sum_minutes(&w, spans[s], &c);
            assert_int_equal(window_has_hits(&w, spans[s]), c.capacity + c.rate > 0);
            window_sum_hours(&w, spans[s], &c);
            assert_true(c.policy == 0 || window_has_policy(&w, span_h));
            assert_true(c.policy > 0 || !window_has_policy(&w, span_h - 1) || span_h == 1);
            assert_int_equal(attempts_of(&w, window_sum_minutes, spans[s]), minutes);
            assert_int_equal(attempts_of(&w, window_sum_hours, spans[s]), hours);
            assert_int_equal(attempts_of(&w, window_sum_days, spans[s]), days);
        }
    }
}

static void a_clock_that_steps_back_takes_the_newest_with_it(void **state)
{
    static struct window w;

    (void)state;
    window_init(&w, WINDOW_MINUTE_MS, START);
    add_attempts(&w, START, 1, 0);
    add_attempts(&w, START + 10 * MINUTE, 2, 0);
    /* A little: into the newest bucket, and nothing moves. */
    add_attempts(&w, START + 8 * MINUTE, 4, 0);
    assert_int_equal(w.minute_at, START / MINUTE + 10);
    assert_int_equal(attempts_of(&w, window_sum_minutes, 1), 6);
    assert_int_equal(attempts_of(&w, window_sum_minutes, 11), 7);
    /* A year that was an error: what was counted gets old with the clock that is right. */
    add_attempts(&w, START + 365 * DAY, 8, 0);
    assert_int_equal(attempts_of(&w, window_sum_days, WINDOW_DAYS), 8);
    add_attempts(&w, START + 20 * MINUTE, 16, 0);
    assert_int_equal(w.minute_at, START / MINUTE + 20);
    assert_int_equal(w.day_at, START / DAY);
    assert_int_equal(attempts_of(&w, window_sum_minutes, 1), 24);
    window_advance(&w, START + 21 * MINUTE);
    assert_int_equal(attempts_of(&w, window_sum_minutes, 1), 0);
    assert_int_equal(attempts_of(&w, window_sum_minutes, 2), 24);
    window_advance(&w, START + 200 * MINUTE);
    assert_int_equal(attempts_of(&w, window_sum_minutes, WINDOW_MINUTES), 0);
    assert_int_equal(attempts_of(&w, window_sum_hours, 4), 24);
    window_advance(&w, -5); /* before the epoch is the epoch */
    assert_int_equal(w.minute_at, 0);
    assert_int_equal(w.totals.attempts, 31);
}

static void counts_saturate_and_totals_do_not(void **state)
{
    static struct window w;

    (void)state;
    window_init(&w, WINDOW_MINUTE_MS, START);
    add_attempts(&w, START, UINT32_MAX - 1, 7);
    add_attempts(&w, START + MINUTE, 5, 1);
    assert_int_equal(attempts_of(&w, window_sum_hours, 1), UINT32_MAX);
    assert_int_equal(attempts_of(&w, window_sum_minutes, 1), 5);
    assert_int_equal(window_peak_minute(&w, 1), 5);
    assert_int_equal(window_peak_minute(&w, 2), UINT32_MAX - 1);
    assert_int_equal(w.totals.attempts, (uint64_t)UINT32_MAX + 4);
    assert_int_equal(window_hour(&w, 0)->capacity, 8);
    assert_int_equal(window_hour(&w, 1)->capacity, 0);
    assert_null(window_hour(&w, WINDOW_HOURS));
}

static void times_are_whole_minutes(void **state)
{
    static const struct {
        uint64_t ms;
        uint32_t minutes;
    } cases[] = {{0, 1},
                 {1, 1},
                 {60000, 1},
                 {60001, 2},
                 {600000, 10},
                 {(WINDOW_MINUTES - 1) * 60000 + 1, WINDOW_MINUTES},
                 {UINT64_MAX, WINDOW_MINUTES}};
    static struct window w;

    (void)state;
    window_init(&w, WINDOW_MINUTE_MS, START);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(window_minutes_in(&w, cases[i].ms), cases[i].minutes);
}

static void short_minutes_make_short_hours(void **state)
{
    static struct window w;

    (void)state;
    window_init(&w, 1000, 0);
    add_attempts(&w, 500, 1, 0);
    add_attempts(&w, 59000, 2, 0);
    assert_int_equal(attempts_of(&w, window_sum_minutes, 1), 2);
    assert_int_equal(attempts_of(&w, window_sum_hours, 1), 3);
    window_advance(&w, 60000);
    assert_int_equal(attempts_of(&w, window_sum_hours, 1), 0);
    assert_int_equal(attempts_of(&w, window_sum_hours, 2), 3);
}

static void random_window(struct window *w, struct rand *chance)
{
    int64_t now = START;

    window_init(w, WINDOW_MINUTE_MS, now);
    for (uint64_t n = rand_below(chance, 600); n > 0; n--) {
        struct window_counts c = {.attempts = (uint32_t)rand_below(chance, 1000)};

        c.delivered_first = c.attempts / 2;
        c.capacity = (uint32_t)rand_below(chance, 3);
        c.retries_delivered = rand_below(chance, 9) == 0;
        now += (int64_t)rand_below(chance, rand_below(chance, 9) ? 90000 : 10000000);
        window_add(w, now, &c);
    }
}

static void text_and_back_is_the_same(void **state)
{
    static struct window w, back;
    struct buf text = BUF_INIT(WINDOW_TEXT_MAX), small = BUF_INIT(60);
    struct rand chance;

    (void)state;
    rand_init(&chance, 9);
    for (int i = 0; i < 60; i++) {
        buf_clear(&text);
        random_window(&w, &chance);
        assert_int_equal(window_save(&w, &text), 0);
        memset(&back, 0xaa, sizeof(back));
        assert_int_equal(window_load(&back, buf_slice(&text)), 0);
        assert_memory_equal(&back, &w, sizeof(w));
    }
    assert_int_equal(window_save(&w, &small), -E2BIG);
    /* The largest there is fits its bound. */
    memset(&w, 0xff, sizeof(w));
    w.minute_ms = 1;
    w.minute_at = INT64_MAX / 2;
    w.hour_at = w.minute_at / 60;
    w.day_at = w.minute_at / 1440;
    w.hit_at = w.policy_at = 0;
    buf_clear(&text);
    assert_int_equal(window_save(&w, &text), 0);
    assert_int_equal(window_load(&back, buf_slice(&text)), 0);
    assert_memory_equal(&back, &w, sizeof(w));
    buf_done(&text);
    buf_done(&small);
}

/* Cut or changed at any byte: taken whole or not at all, and never more than it says. */
static void damaged_text_changes_nothing(void **state)
{
    static const char *const bad[] = {"",
                                      "1 60000 1441 24 1 1 m1:1",
                                      "1 60000 1 1 106751991168 1 1 m1:1",
                                      "1 60000 1 2562047788016 1 1 1 m1:1",
                                      "1 60000 153722867280913 1 1 1 1 m1:1",
                                      "2 60000 1441 24 1 1 1 t0:1",
                                      "1 0 1441 24 1 1 1 t0:1",
                                      "1 60000 1441 24 1 1 1 m180:1",
                                      "1 60000 1441 24 1 1 1 x1:1",
                                      "1 60000 1441 24 1 1 1 m1:4294967296",
                                      "1 60000 1441 24 1 1 1 m1:1,2,3,4,5,6,7,8,9,10,11,12",
                                      "1 60000 1441 24 1 1 1 m:1",
                                      "1 60000 1441 24 1 1 1 m1:1,,2",
                                      "1 60000 1441 -1 1 1 1 m1:1",
                                      "1 60000 1441 24 1 1 1  m1:1",
                                      "1 60000 1441 25 1 1 1 m1:1",
                                      "1 60000 1441 24 2 1 1 m1:1"};
    static struct window w, before, back;
    struct buf text = BUF_INIT(WINDOW_TEXT_MAX);
    struct rand chance;

    (void)state;
    rand_init(&chance, 11);
    window_init(&before, 7, 7);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        memcpy(&back, &before, sizeof(back));
        assert_int_equal(window_load(&back, slice_str(bad[i])), -ERR_DAMAGED);
        assert_memory_equal(&back, &before, sizeof(back));
    }
    random_window(&w, &chance);
    assert_int_equal(window_save(&w, &text), 0);
    for (size_t cut = 0; cut < buf_len(&text); cut++) {
        memcpy(&back, &before, sizeof(back));
        if (window_load(&back, slice_sub(buf_slice(&text), 0, cut)) < 0)
            assert_memory_equal(&back, &before, sizeof(back));
    }
    buf_done(&text);
}

static void assert_near(double got, double wanted, double tolerance)
{
    if (fabs(got - wanted) > tolerance * wanted)
        fail_msg("%.15g instead of %.15g", got, wanted);
}

/* Values by exact sums of binomial probabilities, 60 digits, and bisection. */
static void bounds_are_exact(void **state)
{
    static const struct {
        uint64_t hits, tries;
        double alpha, lower, upper;
    } cases[] = {
        {1, 5, 0.01, 2.00804833857420e-03, 7.77927716615002e-01},
        {1, 10000, 0.01, 1.00503308030406e-06, 6.63648091012960e-04},
        {3, 200, 0.01, 2.18880325782035e-03, 4.93483113486748e-02},
        {5, 1000, 0.01, 1.28084999060787e-03, 1.30554212336902e-02},
        {3, 10000, 0.05, 8.17739791029067e-05, 7.75181379010100e-04},
        {30, 10000, 0.01, 1.87520490817496e-03, 4.53657985292693e-03},
        {999, 1000, 0.01, 9.93380331604351e-01, 9.99989949714651e-01},
        {50, 100, 0.5, 4.95016699384553e-01, 5.04983300615447e-01},
        {7, 20, 0.0001, 5.92644224794436e-02, 7.63466237951330e-01},
        {200, 1000000, 0.01, 1.68580221120593e-04, 2.35440243962491e-04},
        {5000, 1000000, 0.01, 4.83736679077108e-03, 5.16655132388756e-03},
        {1, 1000000000, 0.01, 1.00503358534509e-11, 6.63835204927913e-09},
        {2, 3, 0.025, 9.42993240502461e-02, 9.91596241340387e-01},
        {100000, 200000, 0.01, 4.97396584902463e-01, 5.02603415097537e-01},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_near(rate_lower_bound(cases[i].hits, cases[i].tries, cases[i].alpha), cases[i].lower,
                    1e-10);
        assert_near(rate_upper_bound(cases[i].hits, cases[i].tries, cases[i].alpha), cases[i].upper,
                    1e-8);
    }
    assert_true(rate_lower_bound(0, 0, 0.01) == 0 && rate_upper_bound(0, 0, 0.01) == 1);
    assert_true(rate_lower_bound(0, 9, 0.01) == 0 && rate_upper_bound(9, 9, 0.01) == 1);
    assert_near(rate_lower_bound(9, 9, 0.01), pow(0.01, 1.0 / 9), 1e-12);
    assert_near(rate_upper_bound(0, 9, 0.01), 1 - pow(0.01, 1.0 / 9), 1e-12);
    assert_true(rate_lower_bound(12, 9, 0.01) == rate_lower_bound(9, 9, 0.01));
}

/* More hits raise both bounds, more tries lower them, and the share is between them; the two are
 * one another's mirror. */
static void bounds_are_monotone(void **state)
{
    struct rand chance;

    (void)state;
    rand_init(&chance, 1);
    for (int i = 0; i < 4000; i++) {
        uint64_t tries = 2 + rand_below(&chance, 1ULL << (2 + rand_below(&chance, 30)));
        uint64_t hits = rand_below(&chance, 1 + (rand_below(&chance, 2) ? tries - 1 : tries / 500));
        double alpha = 0.0001 + 0.4999 * (double)rand_below(&chance, 1000) / 1000;
        double lower = rate_lower_bound(hits, tries, alpha);
        double upper = rate_upper_bound(hits, tries, alpha);
        double share = (double)hits / (double)tries;

        assert_true(lower <= share && share <= upper);
        assert_true(lower >= 0 && upper <= 1);
        assert_true(rate_lower_bound(hits + 1, tries, alpha) > lower);
        assert_true(rate_lower_bound(hits, tries + 1 + tries / 1000, alpha) <= lower);
        assert_true(rate_lower_bound(hits, tries, alpha / 2 + 0.00005) <= lower);
        assert_near(1 - rate_upper_bound(tries - hits, tries, alpha) + 1e-6, lower + 1e-6, 1e-6);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

static void percentiles_are_within_6_percent(void **state)
{
    enum { TIMES = 3000 };
    static uint64_t all[TIMES];
    static const double shares[] = {0, 0.01, 0.5, 0.9, 0.95, 0.99, 1};
    struct rand chance;

    (void)state;
    rand_init(&chance, 2);
    for (int round = 0; round < 40; round++) {
        struct times t = {0}, half = {0};

        for (int i = 0; i < TIMES; i++) {
            all[i] = rand_below(&chance, 1ULL << (1 + rand_below(&chance, 32)));
            times_add(i % 2 ? &t : &half, all[i]);
        }
        times_merge(&t, &half);
        qsort(all, TIMES, sizeof(all[0]), compare);
        for (size_t s = 0; s < ARRAY_SIZE(shares); s++) {
            size_t rank = (size_t)ceil(shares[s] * TIMES);
            double wanted = (double)all[rank ? rank - 1 : 0];
            double got = (double)times_percentile(&t, shares[s]);

            if (fabs(got - wanted) > 0.06 * wanted + 0.5)
                fail_msg("%g: %g instead of %g", shares[s], got, wanted);
        }
        assert_int_equal(t.count, TIMES);
        assert_true(times_percentile(&t, 1) <= all[TIMES - 1]);
    }
}

static void percentiles_at_their_ends(void **state)
{
    struct times t = {0};

    (void)state;
    assert_int_equal(times_percentile(&t, 0.5), 0);
    times_add(&t, 0);
    assert_int_equal(times_percentile(&t, 0), 0);
    assert_int_equal(times_percentile(&t, 1), 0);
    times_add(&t, UINT64_MAX);
    assert_true(times_percentile(&t, 1) > 30ULL * 86400 * 1000);
    assert_int_equal(times_percentile(&t, 0.5), 0);
    t.counts[0] = UINT32_MAX;
    times_add(&t, 0);
    assert_int_equal(t.counts[0], UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_a_list),
        cmocka_unit_test(a_clock_that_steps_back_takes_the_newest_with_it),
        cmocka_unit_test(counts_saturate_and_totals_do_not),
        cmocka_unit_test(times_are_whole_minutes),
        cmocka_unit_test(short_minutes_make_short_hours),
        cmocka_unit_test(text_and_back_is_the_same),
        cmocka_unit_test(damaged_text_changes_nothing),
        cmocka_unit_test(bounds_are_exact),
        cmocka_unit_test(bounds_are_monotone),
        cmocka_unit_test(percentiles_are_within_6_percent),
        cmocka_unit_test(percentiles_at_their_ends),
    };

    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
