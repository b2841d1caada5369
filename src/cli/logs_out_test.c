/*
 * cli/logs_out_test.c - one report in each form; text from a log does no harm in any.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "cli/logs_out.h"
#include "logscan/stamp.h"

static const struct sheet_column columns[] = {
    {"text", "TEXT", SHEET_TEXT},    {"hits", "HITS", SHEET_COUNT},
    {"share", "SHARE", SHEET_SHARE}, {"rate", "RATE", SHEET_RATE},
    {"at_ms", "AT", SHEET_TIME},     {"took_ms", "TOOK", SHEET_DURATION},
    {"line", "LINE", SHEET_SPARK},   {"secret", NULL, SHEET_TEXT},
};

static const struct logs_head head = {
    .report = "test", .zone = "UTC", .command = "penstock logs test <x>"};

static int set_up(void **state)
{
    struct log_report *r = calloc(1, sizeof(*r));
    struct log_sheet *s;
    struct sheet_cell *c;

    assert_non_null(r);
    assert_int_equal(stamp_zone("UTC"), 0);
    s = log_report_sheet(r, "first", "The first", columns, ARRAY_SIZE(columns));
    c = sheet_row(s);
    sheet_text(s, c++, SLICE_LIT("a, \"b\" <script>\x1b[31m\xff"));
    sheet_count(c++, 12);
    sheet_number(c++, 0.1234);
    sheet_number(c++, 31.5);
    sheet_ms(c++, INT64_C(1772354201123));
    sheet_ms(c++, 1500);
    sheet_text(s, c++, SLICE_LIT("0 1 9"));
    sheet_text(s, c, SLICE_LIT("hidden"));
    assert_non_null(sheet_row(s)); /* of empty cells */
    s = log_report_sheet(r, "second", "The second", columns, 1);
    sheet_text(s, sheet_row(s), SLICE_LIT("x"));
    sheet_text(s, sheet_row(s), SLICE_LIT("y"));
    sheet_limit(s, 1);
    s = log_report_sheet(r, "third", "For programs", columns, 1);
    s->is_for_programs = true;
    sheet_text(s, sheet_row(s), SLICE_LIT("hidden"));
    log_report_note(r, "%d rows read", 3);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    log_report_done(*state);
    free(*state);
    return 0;
}

#define WRITTEN(call)                                                                              \
    char *text = NULL;                                                                             \
    size_t len = 0;                                                                                \
    FILE *to = open_memstream(&text, &len);                                                        \
    assert_non_null(to);                                                                           \
    call;                                                                                          \
    assert_int_equal(fclose(to), 0)

static void test_text(void **state)
{
    const struct screen screen = {0};

    WRITTEN(logs_out_text(*state, &screen, to));
    assert_non_null(strstr(text, "The first\nTEXT"));
    assert_non_null(strstr(text, "a, \"b\" <script>?[31m?"));
    assert_non_null(strstr(text, "12.34 %  31.50  2026-03-01 08:36:41  1.5s   ▁█"));
    assert_non_null(strstr(text, "... and 1 more row\n"));
    assert_non_null(strstr(text, "3 rows read\n"));
    assert_null(strstr(text, "hidden"));
    free(text);
}

/* Every line fits, and what is not shown is told. */
static void test_text_on_a_terminal(void **state)
{
    static const struct sheet_column wide[] = {{"text", "TEXT", SHEET_TEXT},
                                               {"at_ms", "AT", SHEET_TIME, 1},
                                               {"x_ms", "AND THEN", SHEET_TIME, 2},
                                               {"line", "LINE", SHEET_SPARK}};
    const struct screen screen = {.width = 40, .is_ascii = true};
    struct log_report r = {0};
    struct sheet_cell *c;

    (void)state;
    for (int i = 0; i < 2; i++) {
        c = sheet_row(log_report_sheet(&r, "wide", "Wide", wide, ARRAY_SIZE(wide)));
        sheet_text(&r.sheets[i], c++, SLICE_LIT("0123456789012345678901234567890123456789"));
        sheet_ms(c++, 0);
        sheet_ms(c++, 0);
        sheet_text(&r.sheets[i], c, SLICE_LIT("0 0 0 0 0 0 0 0 1 2 3 4 5 6 7 8"));
    }
    {
        WRITTEN(logs_out_text(&r, &screen, to));
        assert_string_equal(text, "Wide\n"
                                  "TEXT                            LINE\n"
                                  "01234567890123456789012345678~      :=*@\n"
                                  "\nWide\n"
                                  "TEXT                            LINE\n"
                                  "01234567890123456789012345678~      :=*@\n"
                                  "\ncolumns AT, AND THEN left out: --json\n"
                                  "  has them, or a wider terminal\n");
        free(text);
    }
    log_report_done(&r);
}

static void test_sparks(void **state)
{
    static const struct spark {
        const char *numbers;
        size_t most;
        bool is_ascii;
        const char *text;
    } sparks[] = {
        {"1 5 3", SIZE_MAX, false, "▂█▅"}, {"1 5 3", 3, true, ":@+"}, {"0 9", 48, true, " @"},
        {"1 1 5 5 3", 3, false, "▂█▃"},    {"1 1 5", 1, false, "█"},  {"7", 0, false, "█"},
        {"0 0", 8, false, "  "},           {"", 8, false, ""},
    };
    char text[LOGS_SPARK_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sparks); i++) {
        logs_spark(slice_str(sparks[i].numbers), sparks[i].most, sparks[i].is_ascii, text);
        assert_string_equal(text, sparks[i].text);
    }
}

static void test_json(void **state)
{
    json_t *doc, *row;
    int r;

    WRITTEN(r = logs_out_json(*state, &head, to));
    assert_int_equal(r, 0);
    doc = json_loadb(text, len, 0, NULL);
    assert_non_null(doc);
    row = json_array_get(json_object_get(doc, "first"), 0);
    assert_int_equal(json_integer_value(json_object_get(row, "hits")), 12);
    assert_int_equal(json_integer_value(json_object_get(row, "at_ms")), INT64_C(1772354201123));
    assert_int_equal(json_array_size(json_object_get(row, "line")), 3);
    row = json_array_get(json_object_get(doc, "first"), 1);
    assert_true(json_is_null(json_object_get(row, "rate")));
    assert_int_equal(json_array_size(json_object_get(doc, "third")), 1);
    assert_int_equal(json_array_size(json_object_get(doc, "notes")), 1);
    json_decref(doc);
    free(text);
}

static void test_csv(void **state)
{
    int r;

    WRITTEN(r = logs_out_csv(*state, NULL, to));
    assert_int_equal(r, 0);
    assert_string_equal(text, "text,hits,share,rate,at_ms,took_ms,line,secret\r\n"
                              "\"a, \"\"b\"\" <script>\x1b[31m\xff\",12,0.1234,31.5,1772354201123,"
                              "1500,0 1 9,hidden\r\n,,,,,,,\r\n");
    free(text);
}

static void test_csv_of_a_table(void **state)
{
    int r, none;

    WRITTEN(r = logs_out_csv(*state, "third", to); none = logs_out_csv(*state, "fourth", to));
    assert_int_equal(r, 0);
    assert_int_equal(none, -ENOENT);
    assert_string_equal(text, "text\r\nhidden\r\n");
    free(text);
}

static void test_html(void **state)
{
    int r;

    WRITTEN(r = logs_out_html(*state, &head, to));
    assert_int_equal(r, 0);
    assert_non_null(strstr(text, "a, &quot;b&quot; &lt;script&gt;?[31m?"));
    assert_non_null(strstr(text, "penstock logs test &lt;x&gt;"));
    assert_non_null(strstr(text, "<svg"));
    assert_null(strstr(text, "<script>"));
    assert_null(strstr(text, "hidden"));
    assert_null(strstr(text, "http")); /* nothing is loaded */
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
        cmocka_unit_test(test_text_on_a_terminal),
        cmocka_unit_test(test_sparks),
        cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_csv, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_csv_of_a_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_html, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
