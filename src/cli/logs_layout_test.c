/*
 * cli/logs_layout_test.c - what is left out and what is cut, in any width.
 */
#include "cli/logs_layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/logs_out.h"

static const struct sheet_column columns[] = {
    {"who", "WHO", SHEET_TEXT},        {"secret", NULL, SHEET_TEXT},
    {"hits", "HITS", SHEET_COUNT},     {"share", "SHARE", SHEET_SHARE, 1},
    {"first", "FIRST", SHEET_TIME, 9}, {"last", "LAST", SHEET_TIME, 8},
    {"line", "LINE", SHEET_SPARK},     {"text", "TEXT", SHEET_TEXT},
};

/* WHO 11, HITS 4, SHARE 7, FIRST and LAST 19 each, LINE 96, TEXT 120 wide, gaps of 2. */
static void make(struct log_sheet *s)
{
    static const char text[] = "0123456789012345678901234567890123456789"
                               "0123456789012345678901234567890123456789"
                               "0123456789012345678901234567890123456789";
    struct buf spark = BUF_INIT(KIB(4));
    struct sheet_cell *c;

    sheet_init(s, "name", "Title", columns, ARRAY_SIZE(columns));
    for (int i = 0; i < 96; i++)
        (void)buf_addf(&spark, "%d ", i);
    c = sheet_row(s);
    sheet_text(s, c++, SLICE_LIT("münchen.test"));
    sheet_text(s, c++, SLICE_LIT("a secret as wide as nothing else"));
    sheet_count(c++, 12);
    sheet_number(c++, .1234);
    sheet_ms(c++, 0);
    sheet_ms(c++, 1);
    sheet_text(s, c++, buf_slice(&spark));
    sheet_text(s, c++, slice_str(text));
    assert_non_null(sheet_row(s)); /* of empty cells */
    buf_done(&spark);
}

static size_t total_of(const struct logs_layout *l)
{
    size_t total = 0;

    for (size_t i = 0; i < l->count; i++)
        total += l->columns[i].width + (i > 0 ? LOGS_COLUMN_GAP : 0);
    return total;
}

struct want {
    size_t width;
    const char *columns; /* names and widths */
};

static void test_steps(void **state)
{
    static const struct want wants[] = {
        /* no terminal: SIZE_MAX of each is told as 0 */
        {0, "who 0 hits 0 share 0 first 0 last 0 line 0 text 0"},
        {300, "who 12 hits 4 share 7 first 19 last 19 line 48 text 120"},
        {200, "who 12 hits 4 share 7 first 19 last 19 line 48 text 79"},
        {137, "who 12 hits 4 share 7 first 19 last 19 line 24 text 40"},
        {136, "who 12 hits 4 share 7 last 19 line 44 text 40"},
        {115, "who 12 hits 4 share 7 line 44 text 40"},
        {94, "who 12 hits 4 line 32 text 40"},
        {80, "who 12 hits 4 line 18 text 40"},
        {70, "who 12 hits 4 line 8 text 40"},
        {60, "who 12 hits 4 line 8 text 30"},
        {34, "who 8 hits 4 line 8 text 8"},
        {33, "who 8 hits 4 line 17"},
        {23, "who 12 hits 4"},
        {13, "who 12"},
        {5, "who 8"},
    };
    struct log_sheet s;

    (void)state;
    make(&s);
    for (size_t i = 0; i < ARRAY_SIZE(wants); i++) {
        struct buf text = BUF_INIT(KIB(4));
        struct logs_layout l;

        logs_layout_make(&l, &s, wants[i].width);
        for (size_t k = 0; k < l.count; k++) {
            size_t width = l.columns[k].width;

            (void)buf_addf(&text, "%s%s %zu", k ? " " : "", columns[l.columns[k].at].name,
                           width == SIZE_MAX ? 0 : width);
        }
        assert_string_equal(buf_cstr(&text), wants[i].columns);
        buf_done(&text);
    }
    sheet_done(&s);
}

/* Shown or left out, each column; never wider than the terminal while more than one is shown. */
static void test_fits(void **state)
{
    struct log_sheet s;

    (void)state;
    make(&s);
    for (size_t width = 1; width < 400; width++) {
        size_t out = 0;
        struct logs_layout l;

        logs_layout_make(&l, &s, width);
        for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
            out += l.is_left_out[i];
        assert_int_equal(l.count + out, ARRAY_SIZE(columns) - 1);
        assert_true(total_of(&l) <= width || l.count == 1);
    }
    sheet_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
