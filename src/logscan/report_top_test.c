/*
 * logscan/report_top_test.c - the most frequent of each kind.
 */
#include "logscan/reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "logscan/report_test_kit.h"

#define OK OUTCOME_DELIVERED
#define LATER OUTCOME_DEFERRED
#define NO OUTCOME_FAILED

static struct log_fact reply(int64_t at_ms, const char *text, bool is_other_host)
{
    struct log_fact f = kit_attempt("", at_ms, "", LATER, "", text);

    f.kind = FACT_REPLY;
    f.is_other_host = is_other_host;
    return f;
}

static void counts_each_kind(void **state)
{
    struct log_fact facts[] = {
        kit_arrival("1", 1, 2),
        kit_attempt("1", 10, "A@X.example", OK, "mx.a.example", "250 ok"),
        kit_attempt("1", 10, "a@x.EXAMPLE", LATER, "mx.a.example", "450 4.2.0 later"),
        kit_attempt("1", 20, "a@x.example", NO, "mx.a.example", "550 5.1.1 no"),
        kit_attempt("2", 30, "b@y.example", LATER, "", "Connection timed out"),
        {.kind = FACT_EXPIRY, .message = SLICE_LIT("2"), .at_ms = 40},
        reply(50, "450 4.2.0 <a@x.example>: Greylisted for 300 seconds", false),
        reply(60, "450 4.2.0 <b@y.example>: Greylisted for 300 seconds", false),
        reply(70, "450 4.2.0 <b@y.example>: Greylisted for 300 seconds", true),
        reply(80, "450 <b@y.example>: Greylisted for 300 seconds", false),
    };
    static const struct kit_want wants[] = {
        {"senders", "Me@here.example", "attempts", "3"},
        {"senders", "Me@here.example", "refused", "0.6667"},
        {"recipients", "a@x.example", "attempts", "2"},
        {"recipients", "A@x.example", "delivered", "1"},
        {"recipients", "a@x.example", "deferred", "1"},
        {"recipients", "a@x.example", "failed", "1"},
        {"recipients", "a@x.example", "first_ms", "10"},
        {"recipients", "a@x.example", "last_ms", "20"},
        {"domains", "x.example", "attempts", "3"},
        {"domains", "y.example", "attempts", "1"},
        {"hosts", "mx.a.example [198.18.0.1]", "attempts", "1"},
        {"hosts", "mx.a.example", "attempts", "2"},
        {"connectors", "Outbound", "attempts", "1"},
        {"texts", "450 4.2.0 <...>: Greylisted for 300 seconds", "hits", "2"},
        {"texts", "450 4.2.0 <...>: Greylisted for 300 seconds", "last_ms", "60"},
        {"texts", "450 - <...>: Greylisted for 300 seconds", "hits", "1"},
    };
    struct kit k = kit_new();

    (void)state;
    facts[0].sender = SLICE_LIT("Me@HERE.example");
    for (size_t i = 1; i <= 3; i++)
        facts[i].address = slice_make(NULL, 0);
    facts[3].address = SLICE_LIT("198.18.0.1");
    facts[3].connector = SLICE_LIT("Outbound");
    kit_run(&k, &top_report, facts, ARRAY_SIZE(facts));
    kit_check(&k, wants, ARRAY_SIZE(wants));
    kit_done(&k);
}

static void most_frequent_first(void **state)
{
    const struct log_fact facts[] = {
        kit_attempt("1", 1, "a@x.example", OK, "", "250 ok"),
        kit_attempt("1", 2, "c@z.example", OK, "", "250 ok"),
        kit_attempt("1", 3, "b@y.example", OK, "", "250 ok"),
        kit_attempt("1", 4, "b@y.example", OK, "", "250 ok"),
    };
    const struct log_sheet *domains;
    struct kit k = kit_new();

    (void)state;
    k.options.rows_max = 2;
    kit_run(&k, &top_report, facts, ARRAY_SIZE(facts));
    domains = kit_sheet(&k, "domains");
    assert_int_equal(domains->row_count, 2);
    assert_int_equal(domains->rows_left_out, 1);
    assert_true(slice_eq(domains->cells[0].value.text, SLICE_LIT("y.example")));
    assert_true(slice_eq(domains->cells[domains->column_count].value.text, SLICE_LIT("x.example")));
    kit_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_each_kind),
        cmocka_unit_test(most_frequent_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
