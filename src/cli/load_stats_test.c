/* cli/load_stats_test.c - the histogram is right within its promise; replies are told apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rand.h"
#include "cli/load_stats.h"

static void a_single_value_is_found(void **state)
{
    (void)state;
    for (uint64_t v = 0; v < UINT64_C(60000000000); v = v + 1 + v / 7) {
        static struct histogram h;

        h = (struct histogram){.total = 0};
        histogram_add(&h, v);
        assert_int_equal(histogram_quantile(&h, 0.5), v);
    }
}

static void quantiles_are_close(void **state)
{
    static struct histogram a, b;

    (void)state;
    for (uint64_t i = 1; i <= 100000; i++)
        histogram_add(i % 3 ? &a : &b, i);
    histogram_merge(&a, &b);
    assert_in_range(histogram_quantile(&a, 0.5), 50000, 51600);
    assert_in_range(histogram_quantile(&a, 0.99), 99000, 100000);
    assert_int_equal(histogram_quantile(&a, 1), 100000);
}

static void an_empty_one_has_none(void **state)
{
    static struct histogram h;

    (void)state;
    assert_int_equal(histogram_quantile(&h, 0.99), 0);
}

static void replies_are_told_apart(void **state)
{
    static struct reply_counts a, b;
    struct smtp_result full = {.outcome = SMTP_DEFERRED,
                               .phase = SMTP_PHASE_MAIL,
                               .code = 452,
                               .text = SLICE_LIT("4.3.1 full\nsecond line")};
    struct smtp_result ok = {
        .outcome = SMTP_DELIVERED, .phase = SMTP_PHASE_END, .code = 250, .text = SLICE_LIT("id1")};

    (void)state;
    reply_counts_add(&a, &full);
    reply_counts_add(&a, &full);
    reply_counts_add(&a, &ok);
    ok.text = SLICE_LIT("id2");
    reply_counts_add(&b, &ok);
    reply_counts_merge(&a, &b);
    assert_int_equal(a.kind_count, 2);
    assert_int_equal(a.kinds[0].count, 2);
    assert_string_equal(a.kinds[0].text, "4.3.1 full");
    assert_int_equal(a.kinds[1].count, 2);
    for (unsigned i = 0; i < 100; i++) {
        full.code = 400 + i;
        reply_counts_add(&b, &full);
    }
    assert_int_equal(b.kind_count, REPLY_KINDS_MAX);
    assert_int_equal(b.others, 100 - (REPLY_KINDS_MAX - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_single_value_is_found),
        cmocka_unit_test(quantiles_are_close),
        cmocka_unit_test(an_empty_one_has_none),
        cmocka_unit_test(replies_are_told_apart),
    };

    return cmocka_run_group_tests_name("cli load stats", tests, NULL, NULL);
}
