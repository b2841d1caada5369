/* cli/format_test.c - what people read and type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/format.h"

static void ages_are_read(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint64_t s;
    } cases[] = {
        {"90", 0, 90},
        {"90s", 0, 90},
        {"30m", 0, 1800},
        {"2h", 0, 7200},
        {"1d", 0, 86400},
        {"1h30m", 0, 5400},
        {"1d2h3m4s", 0, 93784},
        {"0", 0, 0},
        {"", -EINVAL, 0},
        {"h", -EINVAL, 0},
        {"2w", -EINVAL, 0},
        {"-1h", -EINVAL, 0},
        {"1h ", -EINVAL, 0},
        {"1.5h", -EINVAL, 0},
        {"99999999999", -ERANGE, 0},
        {"9999999d", -ERANGE, 0},
        {"99999999999999999999999d", -ERANGE, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t s = 0;

        assert_int_equal(format_parse_age(slice_str(cases[i].text), &s), cases[i].result);
        assert_int_equal(s, cases[i].s);
    }
}

static void ages_and_sizes_are_short(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } ages[] = {
        {-5, "0s"},          {0, "0s"},         {59999, "59s"},      {60000, "1m"},
        {3599000, "59m"},    {3600000, "1h"},   {12000000, "3h20m"}, {86400000, "1d"},
        {187200000, "2d4h"}, {INT64_MAX, NULL},
    };
    char text[FORMAT_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ages); i++) {
        format_age(ages[i].ms, text);
        if (ages[i].text)
            assert_string_equal(text, ages[i].text);
    }
    format_time(1795379401000, text);
    assert_string_equal(text, "2026-11-22 20:30:01");
}

static void terminals_get_no_controls(void **state)
{
    struct buf b = BUF_INIT(100);

    (void)state;
    assert_int_equal(format_harmless(&b, SLICE_LIT("a\x1b[31m\r\nb\x7f \xc2\x9b"
                                                   "c\xc3\xa9\t")),
                     0);
    assert_string_equal(buf_cstr(&b), "a?[31m  b? ?c\xc3\xa9 ");
    buf_clear(&b);
    assert_int_equal(format_harmless(&b, SLICE_LIT("\x9b"
                                                   "31m\xff\xc3|\xe2\x80\xae|\xe2\x80\xa8|"
                                                   "\xe2\x81\xa6|\xe2\x82\xac\xe2\x80")),
                     0);
    assert_string_equal(buf_cstr(&b), "?31m??|?|?|?|\xe2\x82\xac??");
    buf_done(&b);
}

static const struct table_column columns[] = {
    {"ID", 0, false}, {"AGE", 0, true}, {"SENDER", 6, false}, {"REPLY", 0, false}};

static char *make_table(size_t line_max)
{
    static const char *const cells[] = {"1",  "5m", "a@example.org", "452 no room at all\nnow",
                                        "22", "1h", "\xc3\xa9",      ""};
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    struct table t;

    table_init(&t, columns, ARRAY_SIZE(columns), line_max, to);
    for (size_t i = 0; i < ARRAY_SIZE(cells); i++) {
        assert_int_equal(table_add(&t, slice_str(cells[i])), 0);
        if (i == 3)
            table_flush(&t);
    }
    table_flush(&t);
    table_flush(&t);
    table_done(&t);
    (void)fclose(to);
    return text;
}

static void tables_stand_straight(void **state)
{
    char *text = make_table(0);

    (void)state;
    assert_string_equal(text, "ID  AGE  SENDER         REPLY\n"
                              "1    5m  a@example.org  452 no room at all now\n"
                              "22   1h  \xc3\xa9              \n");
    free(text);
    text = make_table(30); /* a terminal */
    assert_string_equal(text, "ID  AGE  SENDER  REPLY\n"
                              "1    5m  a@exa~  452 no room ~\n"
                              "22   1h  \xc3\xa9       \n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ages_are_read),
        cmocka_unit_test(ages_and_sizes_are_short),
        cmocka_unit_test(terminals_get_no_controls),
        cmocka_unit_test(tables_stand_straight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
