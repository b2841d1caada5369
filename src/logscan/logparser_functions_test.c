/*
 * logscan/logparser_functions_test.c - expressions and what they are, as Log Parser documents them.
 */
#include "logscan/logparser_functions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "logscan/logparser_stamp.h"
#include "logscan/stamp.h"

static sqlite3 *db;

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(stamp_zone("Europe/Berlin"), 0);
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(logparser_functions_add(db), SQLITE_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return sqlite3_close(db);
}

static const struct {
    const char *expression, *value; /* NULL: NULL */
} expressions[] = {
    {"STRLEN('Hello')", "5"},
    {"STRLEN('h\xc3\xa9llo')", "5"},
    {"STRLEN('')", "0"},
    {"STRLEN(NULL)", NULL},
    {"LP_SUBSTR('Hello', 0, 2)", "He"},
    {"LP_SUBSTR('Hello', 1, 3)", "ell"},
    {"LP_SUBSTR('Hello', 2)", "llo"},
    {"LP_SUBSTR('Hello', -3)", "llo"},
    {"LP_SUBSTR('Hello', -3, 2)", "ll"},
    {"LP_SUBSTR('Hello', 0, -2)", "Hel"},
    {"LP_SUBSTR('Hello', 4, -2)", ""},
    {"LP_SUBSTR('Hello', 9, 2)", ""},
    {"LP_SUBSTR('Hello', -9, 2)", "He"},
    {"LP_SUBSTR('Hello', 9223372036854775807, -9223372036854775807)", ""},
    {"LP_SUBSTR('\xc3\xa9\xc3\xa8', 1, 1)", "\xc3\xa8"},
    {"LP_SUBSTR('Hello', NULL)", NULL},
    {"INDEX_OF('Hello', 'l')", "2"},
    {"INDEX_OF('\xc3\xa9l', 'l')", "1"},
    {"INDEX_OF('Hello', 'x')", NULL},
    {"INDEX_OF('Hello', '')", NULL},
    {"LAST_INDEX_OF('Hello', 'l')", "3"},
    {"LAST_INDEX_OF('Hello', 'Hello!')", NULL},
    {"STRCNT('/a/b/c', '/')", "3"},
    {"STRCAT('a', 'b')", "ab"},
    {"STRCAT('', '')", ""},
    {"STRCAT('a', NULL)", NULL},
    {"TO_LOWERCASE('MX1.Example')", "mx1.example"},
    {"TO_UPPERCASE('mx1.Example')", "MX1.EXAMPLE"},
    {"LP_TRIM(char(9) || ' a b ' || char(13))", "a b"},
    {"LP_LTRIM('  a ')", "a "},
    {"LP_RTRIM('  a ')", "  a"},
    {"REPLACE_STR('a-b-c', '-', '++')", "a++b++c"},
    {"REPLACE_STR('abc', '', 'x')", "abc"},
    {"REPLACE_CHR('a-b_c', '-_', ' ')", "a b c"},
    {"REPLACE_IF_NOT_NULL('a', 'b')", "b"},
    {"REPLACE_IF_NOT_NULL(NULL, 'b')", NULL},
    {"EXTRACT_PREFIX('192.0.2.10:25', 0, ':')", "192.0.2.10"},
    {"EXTRACT_PREFIX('a:b:c', 1, ':')", "a:b"},
    {"EXTRACT_PREFIX('a:b:c', -1, ':')", "a:b"},
    {"EXTRACT_PREFIX('a:b:c', -2, ':')", "a"},
    {"EXTRACT_PREFIX('a:b:c', 2, ':')", NULL},
    {"EXTRACT_PREFIX('a:b:c', -3, ':')", NULL},
    {"EXTRACT_PREFIX('abc', 0, ':')", NULL},
    {"EXTRACT_PREFIX('abc', 0, '')", NULL},
    {"EXTRACT_PREFIX('2026-03-01T06:50:41.097Z', 0, 'T')", "2026-03-01"},
    {"EXTRACT_SUFFIX('a:b:c', 0, ':')", "b:c"},
    {"EXTRACT_SUFFIX('a:b:c', -1, ':')", "c"},
    {"EXTRACT_SUFFIX('a, b, c', 1, ', ')", "c"},
    {"EXTRACT_SUFFIX('abc', 0, ':')", NULL},
    {"EXTRACT_TOKEN('a,b,c', 1)", "b"},
    {"EXTRACT_TOKEN('a:b:c', 0, ':')", "a"},
    {"EXTRACT_TOKEN('a:b:c', 2, ':')", "c"},
    {"EXTRACT_TOKEN('a:b:c', -1, ':')", "c"},
    {"EXTRACT_TOKEN('a:b:c', -3, ':')", "a"},
    {"EXTRACT_TOKEN('a:b:c', 3, ':')", NULL},
    {"EXTRACT_TOKEN('a:b:c', -4, ':')", NULL},
    {"EXTRACT_TOKEN('a::c', 1, ':')", ""},
    {"EXTRACT_TOKEN('http://x.example/p', 2, '/')", "x.example"},
    {"EXTRACT_VALUE('a=1&b=2', 'b')", "2"},
    {"EXTRACT_VALUE('SIZE=1 BODY=8BITMIME', 'body', ' ')", "8BITMIME"},
    {"EXTRACT_VALUE('a=1', 'c')", NULL},
    {"LP_ADD(1, 2)", "3"},
    {"LP_ADD(1, 2.5)", "3.5"},
    {"LP_ADD('a', 'b')", "ab"},
    {"LP_ADD(9223372036854775807, 1)", "9.22337203685478e+18"},
    {"SUB(1, 2)", "-1"},
    {"MUL(6, '7')", "42"},
    {"DIV(7, 2)", "3"},
    {"DIV(7, 2.0)", "3.5"},
    {"DIV(7, 0)", NULL},
    {"DIV(-9223372036854775807 - 1, -1)", NULL},
    {"MOD(7, 4)", "3"},
    {"MOD(7.5, 2)", "1.5"},
    {"MOD(7, 0)", NULL},
    {"LP_ADD(NULL, 1)", NULL},
    {"TO_INT('42')", "42"},
    {"TO_INT('4.9')", "4"},
    {"TO_INT('x')", NULL},
    {"TO_INT(TO_TIMESTAMP('0000-01-02', 'yyyy-MM-dd'))", "86400"},
    {"TO_REAL('4')", "4.0"},
    {"TO_STRING(42)", "42"},
    {"QUANTIZE(13, 5)", "10"},
    {"QUANTIZE(13.5, 5)", "10.0"},
    {"QUANTIZE(13, 0)", NULL},
    {"QUANTIZE('x', 5)", NULL},
    {"QUANTIZE(TO_TIMESTAMP('2026-03-01 06:50', 'yyyy-MM-dd hh:mm'), 3600)", "2026-03-01 06:00:00"},
    {"QUANTIZE('2026-03-01T06:50:41.097Z', 300)", "2026-03-01 06:50:00"},
    {"TO_TIMESTAMP('2026-03-01', 'yyyy-MM-dd')", "2026-03-01"},
    {"TO_TIMESTAMP('2010-02-15 10:15', 'yyyy-MM-dd HH:mm')", "2010-02-15 10:15:00"},
    {"TO_TIMESTAMP('24 Jun 2011 13:22:21', 'dd MMM yyyy HH:mm:ss')", "2011-06-24 13:22:21"},
    {"TO_TIMESTAMP('March 1, 26 1:05 pm', 'MMMM d, yy h:mm tt')", "2026-03-01 13:05:00"},
    {"TO_TIMESTAMP('12:05 AM', 'hh:mm tt')", "00:05:00"},
    {"TO_TIMESTAMP('2026-03-01T06:50:41.097Z', 'yyyy-MM-ddThh:mm:ss.llZ')",
     "2026-03-01 06:50:41.097"},
    {"TO_TIMESTAMP('2026-03-01x06', 'yyyy-MM-dd?hh')", "2026-03-01 06:00:00"},
    {"TO_TIMESTAMP('day 1 3 2026', '''day ''d M yyyy')", "2026-03-01"},
    {"TO_TIMESTAMP('2026-02-29', 'yyyy-MM-dd')", NULL},
    {"TO_TIMESTAMP('2024-02-29', 'yyyy-MM-dd')", "2024-02-29"},
    {"TO_TIMESTAMP('2026-03-01x', 'yyyy-MM-dd')", NULL},
    {"TO_TIMESTAMP('2026-03', 'yyyy-MM-dd')", NULL},
    {"TO_TIMESTAMP('', 'yyyy-MM-dd')", NULL},
    {"TO_TIMESTAMP('x', '')", NULL},
    {"TO_TIMESTAMP('2026-03-01', '06:50:41')", "2026-03-01 06:50:41"},
    {"TO_TIMESTAMP(86400)", "0000-01-02 00:00:00"},
    {"TO_TIMESTAMP(62167219200)", "1970-01-01 00:00:00"},
    {"TO_TIMESTAMP(-1)", NULL},
    {"TO_DATE('2026-03-01T06:50:41.097Z')", "2026-03-01"},
    {"TO_TIME('2026-03-01T06:50:41.097Z')", "06:50:41.097"},
    {"TO_STRING(TO_TIMESTAMP('2026-03-01 06:50:41', 'yyyy-MM-dd hh:mm:ss'), 'dd.MM.yy h:mm tt')",
     "01.03.26 6:50 AM"},
    {"TO_STRING('2026-03-01 16:50:41.5', 'dddd, d MMMM yyyy hh:mm:ss.ll')",
     "Sunday, 1 March 2026 16:50:41.500"},
    {"TO_STRING('2026-03-01', 'ddd MMM')", "Sun Mar"},
    {"TO_STRING('no stamp', 'yyyy')", NULL},
    {"TO_LOCALTIME('2026-03-01 23:30:00')", "2026-03-02 00:30:00"},
    {"TO_LOCALTIME('2026-07-01 23:30:00')", "2026-07-02 01:30:00"},
    {"TO_LOCALTIME('2026-03-01')", "2026-03-01"},
    {"TO_UTCTIME('2026-07-02 01:30:00')", "2026-07-01 23:30:00"},
    {"TO_UTCTIME(TO_LOCALTIME('2026-03-29 00:59:59'))", "2026-03-29 00:59:59"},
    {"TO_LOCALTIME(NULL)", NULL},
    {"SUB(TO_TIMESTAMP('2026-03-08', 'yyyy-MM-dd'), TO_TIMESTAMP('0000-01-08', 'yyyy-MM-dd'))",
     "2026-03-01"},
    {"LP_ADD('2026-03-01 06:00:00', TO_TIMESTAMP('00:30', 'hh:mm'))", "2026-03-01 06:30:00"},
    {"SUB('2026-03-01', '2026-03-02')", NULL},
    {"SYSTEM_TIMESTAMP() > '2020-01-01'", "1"},
};

static void test_expressions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(expressions); i++) {
        char *sql = sqlite3_mprintf("SELECT %s", expressions[i].expression);
        sqlite3_stmt *st = NULL;
        const char *value;

        if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK ||
            sqlite3_step(st) != SQLITE_ROW)
            fail_msg("%s: %s", sql, sqlite3_errmsg(db));
        value = (const char *)sqlite3_column_text(st, 0);
        if (!value != !expressions[i].value || (value && strcmp(value, expressions[i].value) != 0))
            fail_msg("%s: %s", expressions[i].expression, value ? value : "NULL");
        assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
        sqlite3_free(sql);
    }
}

/* Every day of ten thousand years is what it was before it was text. */
static void test_days(void **state)
{
    (void)state;
    for (int64_t day = 0; day < LP_STAMP_MAX_MS / 86400000; day += 7) {
        struct lp_stamp s = {.ms = day * 86400000, .has_date = true}, again;
        char text[LP_STAMP_TEXT_MAX];
        size_t len = lp_stamp_write(&s, text);

        assert_int_equal(len, 10);
        assert_true(lp_stamp_read(slice_make(text, len), &again));
        assert_int_equal(again.ms, s.ms);
    }
}

static void test_not_stamps(void **state)
{
    static const char *const texts[] = {
        "",
        "2026",
        "2026-3-01",
        "2026-13-01",
        "2026-00-10",
        "2026-03-00",
        "2026-03-01T",
        "2026-03-01T24:00:00",
        "452 4.3.1",
        "2026-03-01 06",
        "2026-03-01T06:50:x",
        "2026-03-01T06:50:41+01",
        "06:50:41x",
        "99:00:00",
        "0000-01-01T00:00:00+01:00",
    };
    struct lp_stamp s;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (lp_stamp_read(slice_str(texts[i]), &s))
            fail_msg("%s", texts[i]);
    assert_true(lp_stamp_read(SLICE_LIT("2026-03-01T06:50:41+01:00"), &s));
    assert_int_equal(s.ms % 86400000, 5 * 3600000 + 50 * 60000 + 41000);
}

static void test_format_is_bounded(void **state)
{
    struct lp_stamp s = {.has_date = true};
    char text[LP_STAMP_FORMATTED_MAX], format[200];

    (void)state;
    memset(format, 'd', sizeof(format));
    for (size_t i = 1; i < sizeof(format); i += 2)
        format[i] = ' ';
    assert_int_equal(lp_stamp_format(&s, slice_make(format, 200), text), 200);
    for (size_t i = 0; i + 4 < sizeof(format); i += 5)
        memcpy(format + i, "MMMM ", 5);
    assert_int_equal(lp_stamp_format(&s, slice_make(format, 200), text), SIZE_MAX);
}

static void test_nearest(void **state)
{
    (void)state;
    assert_string_equal(logparser_functions_nearest(SLICE_LIT("EXTRACT_PREFX")), "EXTRACT_PREFIX");
    assert_string_equal(logparser_functions_nearest(SLICE_LIT("to_lowecase")), "TO_LOWERCASE");
    assert_string_equal(logparser_functions_nearest(SLICE_LIT("PROPCONT")), "PROPCOUNT");
    assert_null(logparser_functions_nearest(SLICE_LIT("WIN32_ERROR_DESCRIPTION")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expressions), cmocka_unit_test(test_days),
        cmocka_unit_test(test_not_stamps),  cmocka_unit_test(test_format_is_bounded),
        cmocka_unit_test(test_nearest),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
