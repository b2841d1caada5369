/*
 * logscan/query_test.c - conditions against SQLite's own LIKE, places against a plain loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "logscan/query_filter.h"
#include "logscan/query_search.h"

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

static bool is_place(struct slice text, const struct query_needle *n, size_t i)
{
    if (text.ptr[i] == '\n')
        return i + 1 < text.len && !byte_is_digit(text.ptr[i + 1]);
    return i + n->distance < text.len &&
           (text.ptr[i] == n->first[0] || text.ptr[i] == n->first[1]) &&
           (text.ptr[i + n->distance] == n->last[0] || text.ptr[i + n->distance] == n->last[1]);
}

static void check_search(struct slice text, struct query_needle needle)
{
    struct query_search s;
    uint64_t lines = 0;
    size_t at;

    query_search_init(&s, text, &needle);
    for (size_t i = 0; i < text.len; i++) {
        lines += text.ptr[i] == '\n';
        if (!is_place(text, &needle, i))
            continue;
        assert_true(query_search_next(&s, &at));
        assert_int_equal(at, i);
    }
    assert_false(query_search_next(&s, &at));
    assert_int_equal(s.lines, lines);
}

static void test_places(void **state)
{
    static const char letters[] = "4,4\",\n2aA1\n#";
    uint8_t text[700];
    uint32_t seed = 1;

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++) {
        seed = seed * 1103515245 + 12345;
        text[i] = (uint8_t)letters[(seed >> 16) % (sizeof(letters) - 1)];
    }
    for (size_t from = 0; from < 40; from += 3) {
        for (size_t len = 0; from + len <= sizeof(text); len += 1 + len / 7) {
            struct slice part = slice_make(text + from, len);

            check_search(part, query_needle_of(SLICE_LIT("4"), true));
            check_search(part, query_needle_of(SLICE_LIT("4"), false));
            check_search(part, query_needle_of(SLICE_LIT("a1"), false));
            check_search(part, query_needle_of(
                                   SLICE_LIT("A,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,2"), false));
            check_search(part, query_needle_none());
        }
    }
}

static void test_count(void **state)
{
    uint8_t text[100];
    bool has_quote;

    (void)state;
    for (size_t n = 0; n < sizeof(text); n++) {
        memset(text, ',', sizeof(text));
        assert_int_equal(query_count(text, n, ',', '"', &has_quote), n);
        assert_false(has_quote);
        if (n == 0)
            continue;
        text[n - 1] = '"';
        assert_int_equal(query_count(text, n, ',', '"', &has_quote), n - 1);
        assert_true(has_quote);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like),     cmocka_unit_test(test_comparisons),
        cmocka_unit_test(test_literals), cmocka_unit_test(test_places),
        cmocka_unit_test(test_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
