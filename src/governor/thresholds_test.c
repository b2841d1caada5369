/*
 * governor/thresholds_test.c - thresholds in the resource's unit: exact for percentages, from the
 * need for disks, in order whatever comes in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "base/rand.h"
#include "governor/thresholds.h"

__extension__ typedef unsigned __int128 wide;

static void check_order(const struct governor_thresholds *t)
{
    assert_int_equal(governor_check_thresholds(t), 0);
}

static void the_order_is_checked(void **state)
{
    static const struct {
        struct governor_thresholds t; /* low_to_medium, medium_to_high, high_to_medium,
                                         medium_to_low */
        int result;
    } cases[] = {
        {{999, 1500, 1000, 800}, 0},
        {{1000, 1500, 1400, 900}, 0},
        {{2, 4, 2, 1}, 0},
        {{1, 2, 1, 0}, 0},
        {{800, 1500, 1000, 800}, -EINVAL},
        {{799, 1500, 1000, 800}, -EINVAL},
        {{1001, 1500, 1000, 800}, -EINVAL},
        {{999, 1000, 1000, 800}, -EINVAL},
        {{999, 999, 1000, 800}, -EINVAL},
        {{0, 0, 0, 0}, -EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(governor_check_thresholds(&cases[i].t), cases[i].result);
}

static uint64_t percent_of(uint64_t used, uint64_t limit)
{
    return (uint64_t)((wide)used * 100 / limit);
}

/* Percentages in order, 0 to 100. */
static void random_percentages(struct rand *chance, struct governor_thresholds *ret)
{
    ret->medium_to_high = 3 + rand_below(chance, 98);
    ret->high_to_medium = 1 + rand_below(chance, ret->medium_to_high - 1);
    ret->low_to_medium = 1 + rand_below(chance, ret->high_to_medium);
    ret->medium_to_low = rand_below(chance, ret->low_to_medium);
}

static uint64_t random_size(struct rand *chance)
{
    return rand_u64(chance) >> rand_below(chance, 64);
}

static void percentages_are_exact(void **state)
{
    struct governor_settings s = {.enabled = true};
    struct governor_rule *rule = &s.rules[GOVERNOR_MEMORY];
    const struct governor_thresholds *p = &rule->thresholds;
    struct rand chance;

    (void)state;
    rand_init(&chance, 1);
    rule->is_percent = true;
    for (int i = 0; i < 100000; i++) {
        uint64_t limit = 100 + random_size(&chance) / 2;
        struct governor_thresholds t;

        random_percentages(&chance, &rule->thresholds);
        thresholds_effective(&t, &s, GOVERNOR_MEMORY, limit, /* need= */ 0);
        assert_true(percent_of(t.low_to_medium, limit) >= p->low_to_medium);
        assert_true(percent_of(t.low_to_medium - 1, limit) < p->low_to_medium);
        assert_true(percent_of(t.medium_to_high, limit) >= p->medium_to_high);
        assert_true(percent_of(t.medium_to_high - 1, limit) < p->medium_to_high);
        assert_true(percent_of(t.high_to_medium, limit) <= p->high_to_medium);
        assert_true(percent_of(t.high_to_medium + 1, limit) > p->high_to_medium);
        assert_true(percent_of(t.medium_to_low, limit) <= p->medium_to_low);
        assert_true(percent_of(t.medium_to_low + 1, limit) > p->medium_to_low);
        check_order(&t);
    }
}

static void amounts_are_as_they_are(void **state)
{
    struct governor_settings s = {.enabled = true};
    struct governor_thresholds t;

    (void)state;
    s.rules[GOVERNOR_QUEUE].thresholds = (struct governor_thresholds){9999, 15000, 10000, 2000};
    thresholds_effective(&t, &s, GOVERNOR_QUEUE, /* limit= */ 0, /* need= */ 77);
    assert_memory_equal(&t, &s.rules[GOVERNOR_QUEUE].thresholds, sizeof(t));
    /* A disk may be given in amounts too; its need counts all the same. */
    s.rules[GOVERNOR_SPOOL_DISK].thresholds = (struct governor_thresholds){500, 900, 600, 400};
    thresholds_effective(&t, &s, GOVERNOR_SPOOL_DISK, 1000, 50);
    assert_memory_equal(&t, &s.rules[GOVERNOR_SPOOL_DISK].thresholds, sizeof(t));
    thresholds_effective(&t, &s, GOVERNOR_SPOOL_DISK, 1000, 200);
    assert_int_equal(t.medium_to_high, 800);
}

/* The disks of the reference, with its constants as need: what high is in percent, and what must be
 * free for medium and for normal. Ours differ from there on where disk_counted_max is the bound. */
static void disks_are_as_large_as_their_need(void **state)
{
    static const struct {
        uint64_t gib, high_500, high_1152;
        uint64_t medium_free_mib, normal_free_mib;               /* 90 % and 88 % of the disk */
        uint64_t medium_free_capped_mib, normal_free_capped_mib; /* of 200 GiB at most */
    } cases[] = {
        {10, 95, 88, 1024, 1228, 1024, 1228},
        {25, 98, 95, 2560, 3072, 2560, 3072},
        {50, 99, 97, 5120, 6144, 5120, 6144},
        {60, 99, 98, 6144, 7372, 6144, 7372},
        {113, 99, 99, 11571, 13885, 11571, 13885},
        {1024, 99, 99, 104857, 125829, 20480, 24576},
        {10240, 99, 99, 1048576, 1258291, 20480, 24576},
    };
    struct governor_settings s = {.disk_counted_max = UINT64_MAX};
    struct governor_thresholds t;

    (void)state;
    s.rules[GOVERNOR_LOG_DISK] =
        (struct governor_rule){.thresholds = {90, 99, 94, 88}, .is_percent = true};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t limit = GIB(cases[i].gib);

        s.disk_counted_max = UINT64_MAX;
        thresholds_effective(&t, &s, GOVERNOR_LOG_DISK, limit, MIB(500));
        assert_int_equal(percent_of(t.medium_to_high, limit), cases[i].high_500);
        assert_int_equal((limit - t.low_to_medium) / MIB(1), cases[i].medium_free_mib);
        assert_int_equal((limit - t.medium_to_low) / MIB(1), cases[i].normal_free_mib);
        check_order(&t);
        thresholds_effective(&t, &s, GOVERNOR_LOG_DISK, limit, MIB(1152));
        assert_int_equal(percent_of(t.medium_to_high, limit), cases[i].high_1152);
        check_order(&t);
        s.disk_counted_max = GIB(200);
        thresholds_effective(&t, &s, GOVERNOR_LOG_DISK, limit, MIB(500));
        assert_int_equal((limit - t.low_to_medium) / MIB(1), cases[i].medium_free_capped_mib);
        assert_int_equal((limit - t.medium_to_low) / MIB(1), cases[i].normal_free_capped_mib);
        check_order(&t);
    }
}

static void steps_between_disk_thresholds_are_a_gap_at_least(void **state)
{
    static const struct {
        uint64_t limit_mib, need_mib, gap_mib;
        uint64_t free_mib[4]; /* at medium_to_high, high_to_medium, low_to_medium, medium_to_low */
    } cases[] = {
        {102400, 0, 64, {1024, 3072, 4096, 6144}},    /* percentages */
        {102400, 5000, 64, {5000, 5064, 5128, 6144}}, /* the need, and a gap each */
        {102400, 9000, 64, {9000, 9064, 9128, 9192}},
        {1000, 100, 10, {100, 110, 120, 130}},
        {64, 16, 64, {16, 20, 24, 28}},  /* a gap is a sixteenth of the disk at most */
        {64, 640, 64, {32, 36, 40, 44}}, /* and the need its half */
    };
    struct governor_settings s = {.disk_counted_max = GIB(200)};

    (void)state;
    s.rules[GOVERNOR_SPOOL_DISK] =
        (struct governor_rule){.thresholds = {96, 99, 97, 94}, .is_percent = true};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t limit = MIB(cases[i].limit_mib);
        struct governor_thresholds t;

        s.disk_gap = MIB(cases[i].gap_mib);
        thresholds_effective(&t, &s, GOVERNOR_SPOOL_DISK, limit, MIB(cases[i].need_mib));
        assert_int_equal((limit - t.medium_to_high) / MIB(1), cases[i].free_mib[0]);
        assert_int_equal((limit - t.high_to_medium) / MIB(1), cases[i].free_mib[1]);
        assert_int_equal((limit - t.low_to_medium) / MIB(1), cases[i].free_mib[2]);
        assert_int_equal((limit - t.medium_to_low) / MIB(1), cases[i].free_mib[3]);
    }
}

/* Wanted: 97 % free at high and a gap more each, which is more than there is. */
static void where_a_disk_has_not_so_much_it_is_to_be_empty(void **state)
{
    struct governor_settings s = {.disk_counted_max = GIB(200), .disk_gap = MIB(100)};
    struct governor_thresholds t;

    (void)state;
    s.rules[GOVERNOR_SPOOL_DISK] =
        (struct governor_rule){.thresholds = {1, 3, 2, 0}, .is_percent = true};
    thresholds_effective(&t, &s, GOVERNOR_SPOOL_DISK, MIB(1000), /* need= */ 0);
    assert_int_equal(t.medium_to_high, MIB(30));
    assert_int_equal(t.high_to_medium, 1);
    assert_int_equal(t.low_to_medium, 1);
    assert_int_equal(t.medium_to_low, 0);
}

static void the_order_holds_whatever_comes_in(void **state)
{
    struct rand chance;

    (void)state;
    rand_init(&chance, 2);
    for (int i = 0; i < 200000; i++) {
        struct governor_settings s = {.disk_counted_max = random_size(&chance),
                                      .disk_gap = random_size(&chance)};
        enum governor_resource which =
            (enum governor_resource)rand_below(&chance, GOVERNOR_RESOURCES);
        struct governor_rule *rule = &s.rules[which];
        struct governor_thresholds t;

        rule->is_percent = rand_below(&chance, 4) > 0;
        if (rule->is_percent && rand_below(&chance, 8) > 0)
            random_percentages(&chance, &rule->thresholds);
        else
            rule->thresholds =
                (struct governor_thresholds){random_size(&chance), random_size(&chance),
                                             random_size(&chance), random_size(&chance)};
        thresholds_effective(&t, &s, which, random_size(&chance), random_size(&chance));
        check_order(&t);
    }
}

/* Whatever the gap, and with the thresholds as they come. */
static void an_empty_disk_is_normal(void **state)
{
    struct governor_settings s = {.disk_counted_max = GIB(200)};
    struct rand chance;

    (void)state;
    rand_init(&chance, 3);
    s.rules[GOVERNOR_SPOOL_DISK] =
        (struct governor_rule){.thresholds = {96, 99, 97, 94}, .is_percent = true};
    s.rules[GOVERNOR_LOG_DISK] =
        (struct governor_rule){.thresholds = {90, 99, 94, 88}, .is_percent = true};
    for (int i = 0; i < 20000; i++) {
        uint64_t limit = MIB(64) + random_size(&chance) / 4;
        struct governor_thresholds t;

        s.disk_gap = random_size(&chance);
        for (int is_log = 0; is_log < 2; is_log++) {
            thresholds_effective(&t, &s, is_log ? GOVERNOR_LOG_DISK : GOVERNOR_SPOOL_DISK, limit,
                                 limit / 4);
            /* Normal from whatever level, with an eighth of it in use by the file system itself. */
            assert_true(t.medium_to_low > limit / 8);
            assert_true(t.medium_to_high <= limit - limit / 4);
        }
    }
}

static void without_a_limit_no_percentage_is_reached(void **state)
{
    struct governor_settings s = {.disk_counted_max = GIB(200), .disk_gap = MIB(1)};
    struct governor_thresholds t;

    (void)state;
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        s.rules[i] = (struct governor_rule){.thresholds = {1, 3, 2, 0}, .is_percent = true};
        thresholds_effective(&t, &s, (enum governor_resource)i, /* limit= */ 0, MIB(1));
        assert_true(t.medium_to_low >= UINT64_MAX - 3);
        check_order(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_is_checked),
        cmocka_unit_test(percentages_are_exact),
        cmocka_unit_test(amounts_are_as_they_are),
        cmocka_unit_test(disks_are_as_large_as_their_need),
        cmocka_unit_test(steps_between_disk_thresholds_are_a_gap_at_least),
        cmocka_unit_test(where_a_disk_has_not_so_much_it_is_to_be_empty),
        cmocka_unit_test(the_order_holds_whatever_comes_in),
        cmocka_unit_test(an_empty_disk_is_normal),
        cmocka_unit_test(without_a_limit_no_percentage_is_reached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
