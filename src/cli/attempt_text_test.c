/* cli/attempt_text_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "cli/attempt_text.h"

#define WRITTEN_MAX 8192

static struct attempt example(void)
{
    return (struct attempt){.queue_id = 42,
                            .arrival_ms = INT64_C(1790000000000),
                            .at_ms = INT64_C(1790000061000),
                            .latency_ms = 12345,
                            .number = 2,
                            .result = ATTEMPT_RESULT_DEFERRED,
                            .recipients = 1,
                            .deferred = 1,
                            .phase = SMTP_PHASE_END,
                            .code = 452,
                            .enhanced = SMTP_ENHANCED(4, 3, 1),
                            .text = SLICE_LIT("452 4.3.1 \"no\", \x1b[31m\xff\nmore"),
                            .klass = REPLY_CAPACITY,
                            .domain = SLICE_LIT("example.org"),
                            .host = SLICE_LIT("mx.example.org"),
                            .peer = SLICE_LIT("192.0.2.1"),
                            .local = SLICE_LIT("192.0.2.7"),
                            .provider = SLICE_LIT("example"),
                            .source = SLICE_LIT("default"),
                            .recipient = SLICE_LIT("b@example.org"),
                            .sender = SLICE_LIT("a@sender.test"),
                            .tls = true};
}

/* What fn writes to a stream. */
static char *written(void (*fn)(const struct attempt *a, FILE *to), const struct attempt *a)
{
    char *text = calloc(1, WRITTEN_MAX);
    FILE *to = text ? fmemopen(text, WRITTEN_MAX - 1, "w") : NULL;

    assert_non_null(to);
    fn(a, to);
    assert_int_equal(fclose(to), 0);
    return text;
}

static void write_json(const struct attempt *a, FILE *to)
{
    assert_int_equal(attempt_text_json(a, to), 0);
}

static void write_csv(const struct attempt *a, FILE *to)
{
    attempt_text_csv_head(to);
    attempt_text_csv(a, to);
}

static void write_table(const struct attempt *a, FILE *to)
{
    struct table t;

    table_init(&t, attempt_text_columns, ATTEMPT_TEXT_COLUMNS, 0, to);
    assert_int_equal(attempt_text_row(&t, a), 0);
    table_flush(&t);
    table_done(&t);
}

static void write_step(const struct attempt *a, FILE *to)
{
    struct buf text = BUF_INIT(KIB(16));

    attempt_text_step(a, &text);
    assert_false(buf_failed(&text));
    fputs(buf_cstr(&text), to);
    buf_done(&text);
}

static void test_json_is_whole_and_valid(void **state)
{
    struct attempt a = example();
    char *text = written(write_json, &a);
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    (void)state;
    assert_non_null(o);
    assert_int_equal(strchr(text, '\n') - text, (ptrdiff_t)strlen(text) - 1); /* one line */
    assert_string_equal(json_string_value(json_object_get(o, "class")), "capacity");
    assert_string_equal(json_string_value(json_object_get(o, "enhanced")), "4.3.1");
    assert_string_equal(json_string_value(json_object_get(o, "phase")), "end of data");
    assert_string_equal(json_string_value(json_object_get(o, "reply")),
                        "452 4.3.1 \"no\", \x1b[31m?\nmore");
    assert_int_equal(json_integer_value(json_object_get(o, "in_queue_ms")), 61000);
    assert_int_equal(json_integer_value(json_object_get(o, "code")), 452);
    json_decref(o);
    free(text);
}

static void test_csv_quotes(void **state)
{
    struct attempt a = example();
    char *text = written(write_csv, &a), *line = strstr(text, "\r\n");
    size_t names = 1, commas = 0;
    bool quoted = false;

    (void)state;
    assert_non_null(line);
    for (const char *p = text; p < line; p++)
        names += *p == ',';
    assert_non_null(strstr(line, "\"452 4.3.1 \"\"no\"\", ?[31m? more\""));
    for (const char *p = line + 2; *p; p++) {
        quoted ^= *p == '"';
        commas += *p == ',' && !quoted;
    }
    assert_int_equal(commas + 1, names);
    free(text);
}

static void test_csv_computes_nothing(void **state)
{
    static const struct {
        const char *sender, *cell;
    } cases[] = {{"=cmd|'/C calc'!A0@x.test", ",\"'=cmd|'/C calc'!A0@x.test\","},
                 {"+1@x.test", ",\"'+1@x.test\","},
                 {"-a@x.test", ",\"'-a@x.test\","},
                 {"@x", ",\"'@x\","},
                 {"a=b@x.test", ",\"a=b@x.test\","}};
    struct attempt a = example();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *text;

        a.sender = slice_str(cases[i].sender);
        text = written(write_csv, &a);
        if (!strstr(text, cases[i].cell))
            fail_msg("%s: %s", cases[i].sender, text);
        free(text);
    }
}

/* C1 controls drive terminals, too, and JSON does not mind them. */
static void test_json_is_ascii(void **state)
{
    struct attempt a = example();
    char *text;

    (void)state;
    a.text = SLICE_LIT("452 \xc2\x9b\x33\x31m \xe2\x80\xae");
    text = written(write_json, &a);
    assert_non_null(strstr(text, "\"452 \\u009B31m \\u202E\""));
    free(text);
}

static void test_people_see_no_control_characters(void **state)
{
    static void (*const ways[])(const struct attempt *a, FILE *to) = {write_table, write_step};
    struct attempt a = example();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        char *text = written(ways[i], &a);

        assert_null(strchr(text, '\x1b'));
        assert_non_null(strstr(text, "mx.example.org[192.0.2.1]"));
        assert_non_null(strstr(text, "12.3s"));
        assert_non_null(strstr(text, "452 4.3.1 \"no\", ?[31m"));
        assert_non_null(strstr(text, "capacity"));
        free(text);
    }
}

static void test_nobody_was_reached(void **state)
{
    struct attempt a = example();
    char *text;

    (void)state;
    a.host = a.peer = a.local = (struct slice){0};
    a.klass = REPLY_DNS;
    text = written(write_step, &a);
    assert_non_null(strstr(text, "to no host"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_is_whole_and_valid),
        cmocka_unit_test(test_csv_quotes),
        cmocka_unit_test(test_csv_computes_nothing),
        cmocka_unit_test(test_json_is_ascii),
        cmocka_unit_test(test_people_see_no_control_characters),
        cmocka_unit_test(test_nobody_was_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
