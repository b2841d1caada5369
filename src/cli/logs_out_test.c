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
    assert_non_null(strstr(text, "... and 1 more rows"));
    assert_non_null(strstr(text, "3 rows read\n"));
    assert_null(strstr(text, "hidden"));
    free(text);
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
        cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_csv, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_csv_of_a_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_html, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
