/*
 * logscan/report_delivery_test.c - rates, times and what waits.
 */
#include "logscan/attempt_kit.h"
#include "logscan/reports.h"
#include "logscan/stamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "base/rand.h"
#include "logscan/report_test_kit.h"

#define OK OUTCOME_DELIVERED
#define LATER OUTCOME_DEFERRED
#define NO OUTCOME_FAILED
#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)

static void tells_what_became_of_it(void **state)
{
    struct log_fact facts[] = {
        kit_arrival("1", 1000, 3),
        kit_attempt("1", 2999, "a@One.example", OK, "mx1.a.example", "250 ok"),
        kit_attempt("1", 2999, "b@two.example", LATER, "mx1.a.example", "450 4.2.0 Greylisted"),
        kit_attempt("1", 2999, "c@two.example", NO, "mx1.a.example", "550 5.1.1 no"),
        kit_attempt("1", DAY + 5, "b@two.example", OK, "mx1.a.example", "250 ok"),
        kit_arrival("2", DAY + 1000, 1),
        kit_attempt("2", DAY + 2000, "d@one.example", LATER, "", "Connection timed out"),
        kit_arrival("3", DAY + 3000, 2),
        kit_attempt("3", DAY + 4000, "e@one.example", LATER, "mx.b.example", "452 4.3.1 full"),
        {.kind = FACT_EXPIRY, .message = SLICE_LIT("3"), .at_ms = 3 * DAY},
        kit_attempt("0", 3 * DAY + 1, "f@one.example", OK, "mx.b.example", "250 ok"),
    };
    static const struct kit_want wants[] = {
        {"total", "all", "attempts", "7"},
        {"total", "all", "first_rate", "0.2"},
        {"total", "all", "final_rate", "0.4"},
        {"total", "all", "deferral_rate", "0.4286"},
        {"total", "all", "per_message", "2"},
        {"total", "all", "per_recipient", "1.2"},
        {"total", "all", "s452_4_3_1", "1"},
        {"messages", "messages", "count", "3"},
        {"messages", "recipients", "count", "6"},
        {"messages", "first_attempts", "count", "5"},
        {"messages", "first_attempt_delivered", "count", "1"},
        {"messages", "retry_attempts", "count", "1"},
        {"messages", "retry_delivered", "share", "1"},
        {"messages", "deferred_recipients", "count", "3"},
        {"messages", "deferred_then_delivered", "count", "1"},
        {"messages", "deferred_then_failed", "count", "1"},
        {"messages", "delivered", "count", "2"},
        {"messages", "failed", "count", "1"},
        {"messages", "expired", "count", "2"},
        {"messages", "pending", "count", "1"},
        {"messages", "orphan_attempts", "count", "1"},
        {"messages", "orphan_final", "count", "1"},
        {"time_to_delivery", "recipients delivered", "n", "2"},
        {"time_to_delivery", "recipients delivered", "min", "1999"},
        {"time_to_delivery", "recipients delivered", "p50", "1999"},
        {"time_to_delivery", "recipients delivered", "p75", "86399005"},
        {"time_to_delivery", "recipients delivered", "max", "86399005"},
        {"time_to_delivery", "recipients delivered", "sum", "86401004"},
        {"queue_age", "messages pending", "n", "1"},
        {"queue_age", "messages pending", "p50", "172799001"},
        {"time_by_domain", "one.example", "n", "1"},
        {"time_by_domain", "one.example", "p90", "1999"},
        {"time_by_domain", "two.example", "p99", "86399005"},
        {"time_by_domain", "two.example", "max", "86399005"},
        {"time_by_provider", "a.example", "n", "2"},
        {"time_by_provider", "a.example", "p50", "1999"},
        {"time_by_provider", "a.example", "p90", "86399005"},
        {"queue_age_by_domain", "one.example", "n", "1"},
        {"queue_age_by_domain", "one.example", "p50", "172799001"},
        {"queue_age_by_provider", "b.example", "max", "172799001"},
        {"per_day", "1970-01-01", "attempts", "3"},
        {"per_day", "1970-01-01", "last_ms", "2999"},
        {"per_day", "1970-01-02", "deferral_rate", "0.6667"},
        {"per_day", "1970-01-04", "attempts", "1"},
        {"by_domain", "one.example", "attempts", "4"},
        {"by_domain", "one.example", "expired", "1"},
        {"by_domain", "one.example", "waiting", "1"},
        {"by_domain", "one.example", "final_rate", "0.5"},
        {"by_domain", "two.example", "waiting", "0"},
        {"by_domain", "two.example", "retry_success", "1"},
        {"by_domain", "two.example", "per_recipient", "1.5"},
        {"by_domain", "two.example", "p50", "86399005"},
        {"by_provider", "a.example", "attempts", "4"},
        {"by_provider", "none", "delivered", "0"},
        {"by_provider", "none", "p95", "-"},
    };
    struct kit k = kit_new();

    (void)state;
    kit_run(&k, &delivery_report, facts, ARRAY_SIZE(facts));
    kit_check(&k, wants, ARRAY_SIZE(wants));
    assert_int_equal(kit_sheet(&k, "per_day")->row_count, 3);
    kit_done(&k);
}

/* Both times are cut to seconds, then subtracted, where the log has no parts of them. */
static void cuts_to_seconds(void **state)
{
    struct log_fact facts[] = {
        kit_arrival("1", 1900, 1),
        kit_attempt("1", 3100, "a@x.example", OK, "mx.a.example", "250 ok"),
        kit_arrival("2", -1900, 1),
        kit_attempt("2", -100, "a@x.example", OK, "mx.a.example", "250 ok"),
    };
    static const struct kit_want wants[] = {
        {"time_to_delivery", "recipients delivered", "min", "1000"},
        {"time_to_delivery", "recipients delivered", "max", "2000"},
    };
    struct kit k = kit_new();

    (void)state;
    facts[1].has_seconds = facts[3].has_seconds = true;
    kit_run(&k, &delivery_report, facts, ARRAY_SIZE(facts));
    kit_check(&k, wants, ARRAY_SIZE(wants));
    kit_done(&k);
}

static void nothing_is_nothing(void **state)
{
    static const struct kit_want wants[] = {
        {"total", "all", "attempts", "0"},
        {"total", "all", "first_rate", "-"},
        {"total", "all", "first_ms", "-"},
        {"time_to_delivery", "recipients delivered", "n", "0"},
        {"time_to_delivery", "recipients delivered", "p50", "-"},
    };
    struct kit k = kit_new();

    (void)state;
    kit_run(&k, &delivery_report, NULL, 0);
    kit_check(&k, wants, ARRAY_SIZE(wants));
    assert_int_equal(k.report.note_count, 2);
    kit_done(&k);
}

/* What arrived before is not known: no first attempts, no times. */
static void begins_where_it_is_told_to(void **state)
{
    const struct log_fact facts[] = {
        kit_arrival("1", 1000, 1),
        kit_attempt("1", 2000, "a@x.example", LATER, "mx.a.example", "450 4.2.0 later"),
        kit_attempt("1", 3000, "a@x.example", OK, "mx.a.example", "250 ok"),
    };
    static const struct kit_want wants[] = {
        {"total", "all", "attempts", "2"},
        {"messages", "messages", "count", "0"},
        {"messages", "orphan_attempts", "count", "2"},
        {"messages", "orphan_final", "count", "1"},
        {"time_to_delivery", "recipients delivered", "n", "0"},
    };
    struct kit k = kit_new();

    (void)state;
    k.options.since_ms = 1500;
    kit_run(&k, &delivery_report, facts, ARRAY_SIZE(facts));
    kit_check(&k, wants, ARRAY_SIZE(wants));
    assert_int_equal(k.report.note_count, 3);
    kit_done(&k);
}

static int compare(const void *x, const void *y)
{
    const int64_t *a = x, *b = y;

    return *a < *b ? -1 : *a > *b;
}

/* Against a sorted array; half of the times are long. */
static void percentiles_are_exact(void **state)
{
    enum { COUNT = 5000 };
    static const double shares[] = {0, .001, .25, .5, .75, .9, .95, .99, .999, 1};
    static int64_t all[COUNT];
    struct rand rng;

    (void)state;
    rand_init(&rng, 21);
    for (int round = 0; round < 4; round++) {
        struct log_times t = {0};
        size_t count = round == 0 ? 1 : COUNT;

        for (size_t i = 0; i < count; i++) {
            all[i] = (int64_t)rand_below(&rng, rand_below(&rng, 2) ? 4000 : 1U << 30);
            assert_int_equal(log_times_add(&t, all[i]), 0);
            if (i == count / 2)
                (void)log_times_percentile(&t, .9);
        }
        qsort(all, count, sizeof(all[0]), compare);
        for (size_t i = 0; i < ARRAY_SIZE(shares); i++) {
            size_t rank = 0;

            while ((double)(rank + 1) < shares[i] * (double)count)
                rank++;
            assert_int_equal(log_times_percentile(&t, shares[i]), all[rank]);
        }
        assert_int_equal(t.min, all[0]);
        assert_int_equal(t.max, all[count - 1]);
        log_times_done(&t);
    }
}

static int64_t percentile(struct log_spread *s, double share)
{
    struct sheet_cell cell = {.is_empty = true};

    (void)log_spread_cell(&cell, s, share);
    assert_false(cell.is_empty);
    return cell.value.ms;
}

/* Against a sorted array: exact as long as that is promised, then as near as that is. */
static void spreads_are_near(void **state)
{
    static const size_t counts[] = {1, 2, 100, LOG_SPREAD_EXACT, LOG_SPREAD_EXACT + 1, 20000};
    static const double shares[] = {0, .01, .5, .9, .99, 1};
    static int64_t all[20000];
    struct rand rng;

    (void)state;
    rand_init(&rng, 22);
    for (size_t i = 0; i < 3 * ARRAY_SIZE(counts); i++) {
        size_t count = counts[i % ARRAY_SIZE(counts)];
        struct log_spread s = {0};

        for (size_t k = 0; k < count; k++) {
            all[k] = (int64_t)rand_below(&rng, 1U << rand_below(&rng, 31));
            assert_int_equal(log_spread_add(&s, all[k], 1), 0);
        }
        qsort(all, count, sizeof(all[0]), compare);
        for (size_t k = 0; k < ARRAY_SIZE(shares); k++) {
            size_t rank = 0;
            int64_t is, told = percentile(&s, shares[k]);

            while ((double)(rank + 1) < shares[k] * (double)count)
                rank++;
            is = all[rank];
            assert_true(llabs(told - is) <= (count > LOG_SPREAD_EXACT && is >= 64 ? is / 32 : 0));
        }
        assert_int_equal(s.max, all[count - 1]);
        assert_true(s.room <= LOG_SPREAD_EXACT);
        log_spread_done(&s);
    }
}

/* Of a log of whole seconds they are told; what is out of bounds is at their edge. */
static void spreads_tell_seconds(void **state)
{
    struct log_spread s = {0};

    (void)state;
    assert_int_equal(log_spread_add(&s, -5, 3), 0);
    assert_int_equal(log_spread_add(&s, 7000, 1000), 0);
    assert_int_equal(log_spread_add(&s, 31000, UINT64_C(1) << 40), 0);
    assert_int_equal(percentile(&s, 0), 0);
    assert_int_equal(percentile(&s, 1e-10), 7000);
    assert_int_equal(percentile(&s, .001), 31000);
    assert_int_equal(log_spread_add(&s, INT64_C(1) << 40, 1), 0);
    assert_int_equal(s.max, INT64_C(1) << 40);
    assert_int_equal(s.room, LOG_SPREAD_EXACT);
    log_spread_done(&s);
}

/* Of who waits: named by an attempt, named only, and by number; more than any memory has room for. */
static void tells_who_waits(void **state)
{
    const struct log_fact facts[] = {
        kit_arrival("1", 1000, 3),
        {.kind = FACT_RECIPIENT,
         .message = SLICE_LIT("1"),
         .recipient = SLICE_LIT("n@new.example")},
        kit_attempt("1", 2000, "a@One.example", LATER, "mx1.a.example", "450 4.2.0 later"),
        kit_attempt("1", 2000, "b@one.example", OK, "mx1.a.example", "250 ok"),
        kit_arrival("2", 11000, UINT32_MAX),
        kit_attempt("2", 31000, "c@one.example", LATER, "mx1.a.example", "450 4.2.0 later"),
    };
    static const struct kit_want wants[] = {
        {"queue_age", "messages pending", "n", "2"},
        {"queue_age_by_domain", "one.example", "n", "2"},
        {"queue_age_by_domain", "one.example", "p50", "20000"},
        {"queue_age_by_domain", "one.example", "p99", "30000"},
        {"queue_age_by_domain", "one.example", "max", "30000"},
        {"queue_age_by_domain", "new.example", "n", "1"},
        {"queue_age_by_domain", "new.example", "p90", "30000"},
        {"queue_age_by_domain", "none", "n", "4294967294"},
        {"queue_age_by_domain", "none", "p99", "20000"},
        {"queue_age_by_provider", "a.example", "n", "2"},
        {"queue_age_by_provider", "a.example", "max", "30000"},
        {"queue_age_by_provider", "none", "n", "4294967295"},
        {"time_by_domain", "one.example", "n", "1"},
        {"time_by_domain", "one.example", "p99", "1000"},
    };
    struct kit k = kit_new();

    (void)state;
    kit_run(&k, &delivery_report, facts, ARRAY_SIZE(facts));
    kit_check(&k, wants, ARRAY_SIZE(wants));
    assert_int_equal(kit_sheet(&k, "time_by_domain")->row_count, 1);
    assert_int_equal(kit_sheet(&k, "by_domain")->row_count, 1);
    kit_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_became_of_it),    cmocka_unit_test(cuts_to_seconds),
        cmocka_unit_test(begins_where_it_is_told_to), cmocka_unit_test(nothing_is_nothing),
        cmocka_unit_test(percentiles_are_exact),      cmocka_unit_test(spreads_are_near),
        cmocka_unit_test(spreads_tell_seconds),       cmocka_unit_test(tells_who_waits),
    };

    if (stamp_zone("UTC") < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
