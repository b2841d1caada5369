/*
 * logscan/query_test.c - conditions against SQLite's own LIKE.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "logscan/query_filter.h"

static const char *const values[] = {
    "",
    "4",
    "452 4.3.1 Insufficient",
    "250 ok",
    "x452 4.3.1",
    "452-4.2.2 over",
    "MAIL FROM:<a@b>",
    "mail",
    "mAiLx",
    "\xc3\xa9t\xc3\xa9",
    "a\"b\"c",
    "%_",
    "4_2",
    "42",
};

static void test_like(void **state)
{
    static const char *const patterns[] = {
        "4%",  "%4.3.1%", "452%", "%mail%", "MAIL%",     "%b\"%", "4_2%",  "%",  "",   "_",   "%_%",
        "a%c", "%c",      "__",   "mail",   "\xc3\xa9%", "_t_",   "%4%2%", "%%", "%x", "x%%",
    };

    (void)state;
    for (size_t p = 0; p < ARRAY_SIZE(patterns); p++) {
        struct query_condition c;

        assert_int_equal(query_condition_init(&c, 0, QUERY_LIKE, slice_str(patterns[p])), 0);
        for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
            bool wanted = sqlite3_strlike(patterns[p], values[v], 0) == 0;

            if (query_condition_takes(&c, slice_str(values[v])) != wanted)
                fail_msg("'%s' LIKE '%s'", values[v], patterns[p]);
        }
        query_condition_done(&c);
    }
}

static void test_comparisons(void **state)
{
    static const struct {
        enum query_op op;
        const char *than;
        int takes[3]; /* of "a", "b", "ba" */
    } cases[] = {
        {QUERY_EQ, "b", {0, 1, 0}}, {QUERY_GT, "b", {0, 0, 1}}, {QUERY_GE, "b", {0, 1, 1}},
        {QUERY_LT, "b", {1, 0, 0}}, {QUERY_LE, "b", {1, 1, 0}}, {QUERY_GT, "", {1, 1, 1}},
    };
    static const char *const than[] = {"a", "b", "ba"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct query_condition c;

        assert_int_equal(query_condition_init(&c, 0, cases[i].op, slice_str(cases[i].than)), 0);
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(query_condition_takes(&c, slice_str(than[k])), cases[i].takes[k]);
        query_condition_done(&c);
    }
}

/* What any value that is taken has in it. */
static void test_literals(void **state)
{
    static const struct {
        const char *pattern, *literal;
        int is_begin;
    } cases[] = {
        {"4%", "4", 1},
        {"%452 4.3.1%", "452 4.3.1", 0},
        {"a%longer%b", "longer", 0},
        {"%", "", 0},
        {"abc", "abc", 1},
        {"ab_cd", "ab", 1},
        {"_abc", "abc", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct query_condition c;

        assert_int_equal(query_condition_init(&c, 0, QUERY_LIKE, slice_str(cases[i].pattern)), 0);
        assert_true(slice_eq(query_condition_literal(&c), slice_str(cases[i].literal)));
        assert_int_equal(c.is_begin, cases[i].is_begin);
        query_condition_done(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like),
        cmocka_unit_test(test_comparisons),
        cmocka_unit_test(test_literals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
