/* receive/clients_test.c - what a client may do in a minute, at made-up times and from threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/rand.h"
#include "io/thread.h"
#include "receive/receive_int.h"

/* How many of `tries` at that time. */
static unsigned try_at(atomic_ullong *word, uint32_t limit, uint64_t ms, unsigned tries)
{
    unsigned granted = 0;

    for (unsigned i = 0; i < tries; i++)
        granted += client_may(word, limit, ms);
    return granted;
}

static void test_one_minute(void **state)
{
    atomic_ullong word = 0;

    (void)state;
    assert_int_equal(try_at(&word, 10, 60000, 25), 10);
    assert_int_equal(try_at(&word, 10, 119999, 5), 0);
    assert_int_equal(try_at(&word, 12, 119999, 5), 2); /* a reload */
    assert_int_equal(try_at(&word, 0, 240000, 1), 0);
    assert_int_equal(try_at(&word, 1000000, 600000, 1), 1);
}

/* At the turn of a minute, all of the one before counts; in its middle, half of it. */
static void test_the_minute_before_counts(void **state)
{
    atomic_ullong word = 0;

    (void)state;
    assert_int_equal(try_at(&word, 10, 119999, 10), 10);
    assert_int_equal(try_at(&word, 10, 120000, 10), 0);
    assert_int_equal(try_at(&word, 10, 150000, 10), 5);
    assert_int_equal(try_at(&word, 10, 165000, 10), 3);  /* 2 of 10 are left, and 5 */
    assert_int_equal(try_at(&word, 10, 180000, 10), 2);  /* 8 of the minute before */
    assert_int_equal(try_at(&word, 10, 300000, 20), 10); /* a minute without any */
}

/* Another loop is a turn behind: it counts with the others. */
static void test_a_clock_that_lags(void **state)
{
    atomic_ullong word = 0;

    (void)state;
    assert_int_equal(try_at(&word, 10, 120000, 6), 6);
    assert_int_equal(try_at(&word, 10, 119990, 10), 4);
    assert_int_equal(try_at(&word, 10, 120010, 10), 0);
}

/* Whatever comes when: no 60 seconds have more than the limit and what the estimate may miss, which
 * is less than a limit; and who keeps to half the limit is never refused. */
static void test_any_history(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rand rand;
        atomic_ullong word = 0;
        uint64_t granted_at[400] = {0}, ms = 1000000 + seed;
        uint32_t limit;
        size_t count = 0, first = 0;

        rand_init(&rand, seed);
        limit = 1 + (uint32_t)rand_below(&rand, 50);
        while (count < 400) {
            ms += rand_below(&rand, 4) ? rand_below(&rand, 1000) : rand_below(&rand, 90000);
            if (!client_may(&word, limit, ms))
                continue;
            granted_at[count++] = ms;
            while (granted_at[first] + 60000 <= ms)
                first++;
            assert_true(count - first < 2 * (size_t)limit + 1);
        }
    }
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct rand rand;
        atomic_ullong word = 0;

        rand_init(&rand, seed);
        for (uint64_t minute = 10; minute < 100; minute++)
            for (int i = 0; i < 5; i++) /* five, evenly, each a little late */
                assert_true(client_may(
                    &word, 10, minute * 60000 + (uint64_t)i * 12000 + rand_below(&rand, 6000)));
    }
}

struct racer {
    struct thread thread;
    atomic_ullong *word;
    unsigned granted;
};

static void race(void *ctx)
{
    struct racer *r = ctx;

    r->granted = try_at(r->word, 5000, 60000, 4000);
}

static void test_threads(void **state)
{
    atomic_ullong word = 0;
    struct racer racers[4];
    unsigned sum = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
        racers[i] = (struct racer){.word = &word};
        assert_int_equal(thread_start(&racers[i].thread, "racer", race, &racers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
        thread_join(&racers[i].thread);
        sum += racers[i].granted;
    }
    assert_int_equal(sum, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_minute),        cmocka_unit_test(test_the_minute_before_counts),
        cmocka_unit_test(test_a_clock_that_lags), cmocka_unit_test(test_any_history),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
