/*
 * logscan/csv_test.c - rows as RFC 4180 has them, and what is close to one and is none.
 */
#include "logscan/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include <errno.h>

#define MAX 6

static const struct {
    const char *row;
    int count;
    const char *fields[MAX];
} rows[] = {
    {"", 1, {""}},
    {"a", 1, {"a"}},
    {",", 2, {"", ""}},
    {"a,bc,,d", 4, {"a", "bc", "", "d"}},
    {"a,\"b,c\",d", 3, {"a", "b,c", "d"}},
    {"\"a\"", 1, {"a"}},
    {"\"\"", 1, {""}},
    {"\"\",x", 2, {"", "x"}},
    {"x,\"\"", 2, {"x", ""}},
    {"\"say \"\"no\"\", please\",x", 2, {"say \"no\", please", "x"}},
    {"\"\"\"\"", 1, {"\""}},
    {"\"\"\"\"\"\",\"\"\"a\"", 2, {"\"\"", "\"a"}},
    {"a \"b\" c,d\"", 2, {"a \"b\" c", "d\""}},
    {" \"a\",b", 2, {" \"a\"", "b"}},
    {"\"two\r\nlines\",x", 2, {"two\r\nlines", "x"}},
    {"1,2,3,4,5,6", 6, {"1", "2", "3", "4", "5", "6"}},
    {"1,2,3,4,5,", 6, {"1", "2", "3", "4", "5", ""}},
    {"1,2,3,4,5,6,", -EINVAL, {0}},
    {"1,2,3,4,5,6,\"7\"", -EINVAL, {0}},
    {"\"", -EINVAL, {0}},
    {"a,\"b", -EINVAL, {0}},
    {"a,\"b\"\"", -EINVAL, {0}},
    {"a,\"b\"c,d", -EINVAL, {0}},
    {"a,\"b\" ,d", -EINVAL, {0}},
};

/* Each row in memory of its own length, so that a byte read after it is found. */
static void splits_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t len = strlen(rows[i].row);
        char *copy = malloc(len > 0 ? len : 1);
        struct slice fields[MAX];
        struct arena a = {0};
        int count;

        assert_non_null(copy);
        memcpy(copy, rows[i].row, len);
        count = csv_split(slice_make(copy, len), &a, fields, MAX);
        if (count != rows[i].count)
            fail_msg("'%s': %d fields, not %d", rows[i].row, count, rows[i].count);
        for (int f = 0; f < count; f++)
            if (!slice_eq(fields[f], slice_str(rows[i].fields[f])))
                fail_msg("'%s': field %d is '%.*s'", rows[i].row, f, SLICE_FMT(fields[f]));
        arena_done(&a);
        free(copy);
    }
}

static void splits_nothing(void **state)
{
    struct slice fields[1] = {SLICE_LIT("x")};
    struct arena a = {0};

    (void)state;
    assert_int_equal(csv_split(slice_make(NULL, 0), &a, fields, 1), 1);
    assert_int_equal(fields[0].len, 0);
    assert_int_equal(csv_split(slice_make(NULL, 0), &a, fields, 0), -EINVAL);
    assert_null(a.blocks);
}

static void copies_only_what_is_doubled(void **state)
{
    struct slice row = SLICE_LIT("plain,\"in quotes\",\"dou\"\"bled\""), fields[3];
    struct arena a = {0};

    (void)state;
    assert_int_equal(csv_split(row, &a, fields, 3), 3);
    assert_ptr_equal(fields[0].ptr, row.ptr);
    assert_ptr_equal(fields[1].ptr, row.ptr + 7);
    assert_true(fields[2].ptr < row.ptr || fields[2].ptr >= row.ptr + row.len);
    arena_done(&a);
}

static const struct {
    const char *text;
    size_t from;
    size_t end;
} ends[] = {
    {"", 0, SIZE_MAX},
    {"a,b", 0, SIZE_MAX},
    {"\n", 0, 1},
    {"a,b\nc\n", 0, 4},
    {"a,b\nc\n", 4, 6},
    {"a,b\nc\n", 6, SIZE_MAX},
    {"a,b\nc\n", 7, SIZE_MAX},
    {"\"a\nb\"\nc\n", 0, 6},
    {"x,\"a\n\"\"\nb\",y\nc\n", 0, 13},
    {"x,\"a\nb\",\"c\nd\"\ne\n", 0, 14},
    {"x\"a\nb\n", 0, 4},
    {"a \"b\n\",c\n", 0, 5},
    {"\"a\nb\n", 0, SIZE_MAX},
    {"\"a\nb\"", 0, SIZE_MAX},
    {"\"a\nb\"c,d\ne\n", 0, 9},
    {"\"a\"b\"\nc\n", 0, 6},
    {"\"\"\"\n\",\n\n", 0, 7},
};

static void finds_row_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        size_t end = csv_row_end(slice_str(ends[i].text), ends[i].from);

        if (end != ends[i].end)
            fail_msg("'%s' from %zu: %zd, not %zd", ends[i].text, ends[i].from, end, ends[i].end);
    }
}

static bool begins_with_digit(struct slice line)
{
    return line.len > 0 && byte_is_digit(line.ptr[0]);
}

#define BORDER_MAX 24
static const struct {
    const char *text;
    size_t border, wanted;
} borders[] = {
    {"x\n1,2\n3\n", 6, 6},
    {"x\n1,2\n3\n", 2, 2},                      /* the text's first line may be the rest of one */
    {"1\n\"a\n\"\n", 2, 2},                     /* nothing begins as a row does */
    {"x\n1,\"a\nb\"\n3\n", 7, 10},              /* goes on */
    {"x\n1,\"a\nb\n\nc\"\n3\n", 9, 13},         /* in three lines */
    {"x\n1,\"a\n2\"\n3\n", 7, 10},              /* that look like rows */
    {"x\n1,\"a\nb\"\n3\n", 10, 10},             /* is over there */
    {"x\n1\ny,\"a\nb\"\n3\n", 9, 12},           /* of a kind that is not known */
    {"x\n1,\"a\nb", 7, SIZE_MAX},               /* it cannot be known yet */
    {"x\n1,\"a\nb\n345678901234567890", 7, 7},  /* a quote that does not end */
    {"x\n1,\"a\nb34567890123456789\"\n", 7, 7}, /* it ends too late */
};

static void finds_row_borders(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(borders); i++) {
        size_t row = csv_row_border(slice_str(borders[i].text), borders[i].border,
                                    begins_with_digit, BORDER_MAX);

        if (row != borders[i].wanted)
            fail_msg("'%s' at %zu: %zd, not %zd", borders[i].text, borders[i].border, row,
                     borders[i].wanted);
    }
}

/* Lines that each seem to begin a row to the text's end. */
static void looks_no_further_than_it_may(void **state)
{
    struct slice text = SLICE_LIT("x\",\"y\nx\",\"y\nx\",\"y\n");
    size_t left = 20;

    (void)state;
    assert_int_equal(csv_row_end_within(text, 0, 100, &left), SIZE_MAX);
    assert_int_equal(left, 2);
    assert_int_equal(csv_row_end_within(text, 6, 100, &left), SIZE_MAX);
    assert_int_equal(left, 0);
    assert_int_equal(csv_row_end_within(text, 12, 100, &left), SIZE_MAX);
    left = 20;
    assert_int_equal(csv_row_end_within(SLICE_LIT("\"a\n\"\n\n"), 0, 5, &left), 5);
    assert_int_equal(left, 15);
    assert_int_equal(csv_row_end_within(SLICE_LIT("\"a\n\"\n\n"), 0, 4, &left), SIZE_MAX);
    assert_int_equal(left, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_rows),
        cmocka_unit_test(splits_nothing),
        cmocka_unit_test(copies_only_what_is_doubled),
        cmocka_unit_test(finds_row_ends),
        cmocka_unit_test(finds_row_borders),
        cmocka_unit_test(looks_no_further_than_it_may),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
