/*
 * logscan/json_line_test.c - members found, values passed over, and lines that are no object.
 */
#include "logscan/json_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include <errno.h>

enum { A, B, OBJECT, INNER, DEEPER, LEAF, MEMBERS };
static const struct json_line_member members[] = {
    [A] = {JSON_LINE_TOP, "a"}, [B] = {JSON_LINE_TOP, "b"}, [OBJECT] = {JSON_LINE_TOP, "o"},
    [INNER] = {OBJECT, "a"},    [DEEPER] = {OBJECT, "d"},   [LEAF] = {DEEPER, "leaf"},
};

#define NESTED_16 "[[[[[[[[[[[[[[[["
#define CLOSED_16 "]]]]]]]]]]]]]]]]"

static const struct {
    const char *line;
    int result;
    const char *values[MEMBERS]; /* NULL: none */
} lines[] = {
    {"{}", 0, {0}},
    {" { } ", 0, {0}},
    {"{\"a\":\"x\",\"b\":12}", 0, {[A] = "x", [B] = "12"}},
    {"{\"b\" : -1.5e3 , \"a\" : \"\"}", 0, {[A] = "", [B] = "-1.5e3"}},
    {"{\"a\":null,\"b\":true}", 0, {[B] = "true"}},
    {"{\"a\":\"q\\\"}{\\\\\",\"b\":[1,\"]\",{\"a\":2}]}",
     0,
     {[A] = "q\\\"}{\\\\", [B] = "[1,\"]\",{\"a\":2}]"}},
    {"{\"o\":{\"a\":\"in\",\"x\":{\"a\":1},\"d\":{\"leaf\":7}},\"a\":\"out\"}",
     0,
     {[A] = "out",
      [OBJECT] = "{\"a\":\"in\",\"x\":{\"a\":1},\"d\":{\"leaf\":7}}",
      [INNER] = "in",
      [DEEPER] = "{\"leaf\":7}",
      [LEAF] = "7"}},
    {"{\"x\":{\"a\":\"no\",\"leaf\":1},\"leaf\":2}", 0, {0}},
    {"{\"o\":[{\"a\":1}]}", 0, {[OBJECT] = "[{\"a\":1}]"}},
    {"{\"a\":1,\"a\":2}", 0, {[A] = "2"}},
    {"{\"x\":" NESTED_16 NESTED_16 NESTED_16 NESTED_16 CLOSED_16 CLOSED_16 CLOSED_16 CLOSED_16 "}",
     0,
     {0}},
    {"{\"x\":[" NESTED_16 NESTED_16 NESTED_16 NESTED_16 CLOSED_16 CLOSED_16 CLOSED_16 CLOSED_16
     "]}",
     -EINVAL,
     {0}},
    {"", -EINVAL, {0}},
    {"[]", -EINVAL, {0}},
    {"{", -EINVAL, {0}},
    {"{\"a\"", -EINVAL, {0}},
    {"{\"a\":", -EINVAL, {0}},
    {"{\"a\":}", -EINVAL, {0}},
    {"{\"a\":1", -EINVAL, {0}},
    {"{\"a\":1,}", -EINVAL, {0}},
    {"{\"a\":\"x}", -EINVAL, {0}},
    {"{\"a\":\"x\\\"}", -EINVAL, {0}},
    {"{\"a\":[1}", -EINVAL, {0}},
    {"{\"a\":[1}]}", -EINVAL, {0}},
    {"{\"o\":{\"a\":1}", -EINVAL, {0}},
    {"{\"a\":1}{", -EINVAL, {0}},
    {"{a:1}", -EINVAL, {0}},
    {"{\"a\" 1}", -EINVAL, {0}},
};

/* Each line in memory of its own length, so that a byte read after it is found. */
static void finds_members(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        size_t len = strlen(lines[i].line);
        char *copy = malloc(len > 0 ? len : 1);
        struct json_line_value values[MEMBERS];
        int r;

        assert_non_null(copy);
        memcpy(copy, lines[i].line, len);
        r = json_line_read(slice_make(copy, len), members, MEMBERS, values);
        if (r != lines[i].result)
            fail_msg("'%s': %d", lines[i].line, r);
        for (size_t m = 0; r == 0 && m < MEMBERS; m++)
            if ((values[m].kind == JSON_LINE_NONE) != !lines[i].values[m] ||
                (lines[i].values[m] && !slice_eq(values[m].text, slice_str(lines[i].values[m]))))
                fail_msg("'%s': %s is '%.*s'", lines[i].line, members[m].name,
                         SLICE_FMT(values[m].text));
        free(copy);
    }
}

static const struct {
    const char *escaped, *text;
} texts[] = {
    {"", ""},
    {"plain", "plain"},
    {"a\\nb", "a|b"},
    {"\\\"\\\\\\/\\t\\r\\b\\f", "\"\\/\t\r\b\f"},
    {"\\u00e9\\u20AC\\u0041", "\xc3\xa9\xe2\x82\xac"
                              "A"},
    {"\\ud83d\\ude00!", "\xf0\x9f\x98\x80!"},
    {"\\ud83d", "\xef\xbf\xbd"},
    {"\\ud83d\\u0041", "\xef\xbf\xbd"
                       "A"},
    {"\\ude00x", "\xef\xbf\xbd"
                 "x"},
    {"\\u0000", "\xef\xbf\xbd"},
    {"\\u12", "12"},
    {"\\q", "q"},
};

static void undoes_escapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct json_line_value v = {.kind = JSON_LINE_STRING,
                                    .text = slice_str(texts[i].escaped),
                                    .has_escapes = strchr(texts[i].escaped, '\\') != NULL};
        struct arena a = {0};

        if (!slice_eq(json_line_text(&v, '|', &a), slice_str(texts[i].text)))
            fail_msg("'%s': '%.*s'", texts[i].escaped, SLICE_FMT(json_line_text(&v, '|', &a)));
        v.kind = JSON_LINE_WORD;
        assert_int_equal(json_line_text(&v, '|', &a).len, 0);
        arena_done(&a);
    }
}

static void reads_numbers(void **state)
{
    struct json_line_value v = {.kind = JSON_LINE_WORD, .text = SLICE_LIT("452")};
    uint64_t n = 7;

    (void)state;
    assert_true(json_line_number(&v, 452, &n) && n == 452);
    assert_false(json_line_number(&v, 451, &n));
    v.kind = JSON_LINE_STRING;
    assert_false(json_line_number(&v, 999, &n));
    v = (struct json_line_value){.kind = JSON_LINE_WORD, .text = SLICE_LIT("-1")};
    assert_false(json_line_number(&v, 999, &n));
    assert_int_equal(n, 452);
}

static void walks_arrays(void **state)
{
    static const struct {
        const char *array, *values;
    } arrays[] = {{"[]", ""},
                  {"[ \"a\" , [1,2],{\"x\":3} ]", "a;[1,2];{\"x\":3};"},
                  {"[1,]", "1;"},
                  {"[1 2]", "1;"},
                  {"[\"]\"]", "];"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(arrays); i++) {
        struct json_line_value all = {.kind = JSON_LINE_ARRAY, .text = slice_str(arrays[i].array)},
                               one;
        char got[64] = "";
        size_t at = 0, len = 0;

        while (json_line_next(&all, &at, &one))
            len += (size_t)snprintf(got + len, sizeof(got) - len, "%.*s;", SLICE_FMT(one.text));
        assert_string_equal(got, arrays[i].values);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_members),
        cmocka_unit_test(undoes_escapes),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(walks_arrays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
