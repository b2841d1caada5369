/* event/format_test.c - whatever a value holds, a line stays one line and says it truly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "event/event.h"

#define WHEN_MS 1795379401123 /* 2026-11-22T20:30:01.123Z */

static char line[EVENT_LINE_MAX + 1];

static const char *format(enum event_format f, int64_t ms, uint64_t id,
                          const struct event_field *fields, size_t count)
{
    size_t len = event_format_line(f, ms, EVENT_MESSAGE_DELIVERED, id, fields, count, line);

    assert_true(len <= EVENT_LINE_MAX);
    line[len] = '\0';
    return line;
}

static void a_line_has_all_kinds_of_fields(void **state)
{
    struct event_field fields[] = {
        EV_STR("to", "example.org"), EV_INT("delta", -5),        EV_UINT("size", UINT64_MAX),
        EV_BOOL("tls", true),        EV_ID("parent", 32),        EV_ERR("error", -ENOSPC),
        EV_STR("empty", ""),         EV_INT("least", INT64_MIN), EV_NONE,
    };

    (void)state;
    assert_string_equal(format(EVENT_LOGFMT, WHEN_MS, 31, fields, ARRAY_SIZE(fields)),
                        "2026-11-22T20:30:01.123Z info message_delivered id=z to=example.org "
                        "delta=-5 size=18446744073709551615 tls=true parent=10 "
                        "error=\"No space left on device\" empty=\"\" "
                        "least=-9223372036854775808\n");
    assert_string_equal(format(EVENT_JSON, WHEN_MS, 31, fields, ARRAY_SIZE(fields)),
                        "{\"time\":\"2026-11-22T20:30:01.123Z\",\"level\":\"info\","
                        "\"event\":\"message_delivered\",\"id\":\"z\",\"to\":\"example.org\","
                        "\"delta\":-5,\"size\":18446744073709551615,\"tls\":true,"
                        "\"parent\":\"10\",\"error\":\"No space left on device\",\"empty\":\"\","
                        "\"least\":-9223372036854775808}\n");
}

static void times_are_right_when_the_clock_jumps(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {WHEN_MS, "2026-11-22T20:30:01.123Z "},      {WHEN_MS + 877, "2026-11-22T20:30:02.000Z "},
        {WHEN_MS, "2026-11-22T20:30:01.123Z "},      {0, "1970-01-01T00:00:00.000Z "},
        {-1, "1969-12-31T23:59:59.999Z "},           {-1000, "1969-12-31T23:59:59.000Z "},
        {951782400000, "2000-02-29T00:00:00.000Z "}, {INT64_MAX, "292278994-08-17T07:12:55.807Z "},
    };
    struct event_field none = EV_NONE;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *got = format(EVENT_LOGFMT, cases[i].ms, EVENT_NO_ID, &none, 1);

        assert_memory_equal(got, cases[i].text, strlen(cases[i].text));
    }
}

static void hostile_values_are_escaped(void **state)
{
    const struct {
        struct slice value;
        const char *logfmt, *json;
    } cases[] = {
        {SLICE_LIT("a b"), "\"a b\"", "\"a b\""},
        {SLICE_LIT("a=b"), "\"a=b\"", "\"a=b\""},
        {SLICE_LIT("a\nlevel=error"), "\"a\\nlevel=error\"", "\"a\\nlevel=error\""},
        {SLICE_LIT("\r\n\t"), "\"\\r\\n\\t\"", "\"\\r\\n\\t\""},
        {SLICE_LIT("\"\\"), "\"\\\"\\\\\"", "\"\\\"\\\\\""},
        {SLICE_LIT("\0\x1b[2J\x7f"), "\"\\x00\\x1b[2J\\x7f\"", "\"\\u0000\\u001b[2J\\u007f\""},
        {SLICE_LIT("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"", "\"gr\xc3\xbc\xc3\x9f\""},
        {SLICE_LIT("\xf0\x9f\x93\xa7"), "\"\xf0\x9f\x93\xa7\"", "\"\xf0\x9f\x93\xa7\""},
        {SLICE_LIT("\xc2\x9b[2J"), "\"\\xc2\\x9b[2J\"", "\"\\u009b[2J\""},
        {SLICE_LIT("\xe2\x80\xae"), "\"\\xe2\\x80\\xae\"", "\"\\u202e\""},
        {SLICE_LIT("\xe2\x81\xa6"), "\"\\xe2\\x81\\xa6\"", "\"\\u2066\""},
        {SLICE_LIT("\xe2\x82\xac"), "\"\xe2\x82\xac\"", "\"\xe2\x82\xac\""},
        {SLICE_LIT("\xc2\xa0"), "\"\xc2\xa0\"", "\"\xc2\xa0\""},
        {SLICE_LIT("\xff"), "\"\\xff\"", "\"\xef\xbf\xbd\""},
        {SLICE_LIT("\xc0\x8a"), "\"\\xc0\\x8a\"", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {SLICE_LIT("\xe0\x80\x8a"), "\"\\xe0\\x80\\x8a\"",
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {SLICE_LIT("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"",
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {SLICE_LIT("\xf4\x90\x80\x80"), "\"\\xf4\\x90\\x80\\x80\"",
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {SLICE_LIT("\xe2\x82"), "\"\\xe2\\x82\"", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {SLICE_LIT("\xe2\x82z"), "\"\\xe2\\x82z\"", "\"\xef\xbf\xbd\xef\xbf\xbdz\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct event_field f = EV_SLICE("v", cases[i].value);
        char expected[256];

        (void)snprintf(expected, sizeof(expected), " v=%s\n", cases[i].logfmt);
        (void)format(EVENT_LOGFMT, WHEN_MS, 0, &f, 1);
        assert_string_equal(strstr(line, " v="), expected);
        (void)snprintf(expected, sizeof(expected), ",\"v\":%s}\n", cases[i].json);
        (void)format(EVENT_JSON, WHEN_MS, 0, &f, 1);
        assert_string_equal(strstr(line, ",\"v\""), expected);
    }
}

/* Counts the line's quotes that are not escaped, and checks that only its end is a line end. */
static void check_shape(bool is_json)
{
    size_t len = strlen(line), quotes = 0;

    assert_true(len > 0 && line[len - 1] == '\n');
    assert_ptr_equal(memchr(line, '\n', len), line + len - 1);
    for (size_t i = 0; i < len; i++) {
        if (line[i] == '\\')
            i++;
        else
            quotes += line[i] == '"';
    }
    assert_int_equal(quotes % 2, 0);
    if (is_json)
        assert_true(line[len - 2] == '}');
}

/* Values of every length around the cap, of every kind of byte: cut whole, and still valid. */
static void long_values_are_cut(void **state)
{
    static const uint8_t kinds[] = {'a', ' ', '\n', 0, 0xff, '"', '\\', 0xc3};
    static uint8_t value[EVENT_LINE_MAX + 64];

    (void)state;
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        memset(value, kinds[k], sizeof(value));
        for (size_t len = 300; len<sizeof(value); len += len> 3900 ? 1 : 37) {
            struct event_field f[] = {EV_SLICE("v", slice_make(value, len)), EV_STR("w", "after")};
            int cut;

            (void)format(EVENT_LOGFMT, WHEN_MS, 1, f, ARRAY_SIZE(f));
            check_shape(false);
            (void)format(EVENT_JSON, WHEN_MS, 1, f, ARRAY_SIZE(f));
            check_shape(true);
            cut = strstr(line, "...\"}\n") != NULL;
            assert_true(cut || strstr(line, "\"w\":\"after\"}") || strlen(line) > 4000);
        }
    }
}

static void random_bytes_keep_the_shape(void **state)
{
    struct rand r;
    uint8_t value[200];

    (void)state;
    rand_init(&r, 4711);
    for (int round = 0; round < 20000; round++) {
        size_t len = rand_below(&r, sizeof(value));
        struct event_field f = EV_SLICE("v", slice_make(value, len));

        for (size_t i = 0; i < len; i++)
            value[i] = (uint8_t)rand_u64(&r);
        (void)format(EVENT_LOGFMT, WHEN_MS, 1, &f, 1);
        check_shape(false);
        (void)format(EVENT_JSON, WHEN_MS, 1, &f, 1);
        check_shape(true);
    }
}

static void many_fields_end_at_the_cap(void **state)
{
    struct event_field fields[400];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        fields[i] = EV_UINT("a_field_with_a_name", UINT64_MAX);
    (void)format(EVENT_LOGFMT, WHEN_MS, 1, fields, ARRAY_SIZE(fields));
    check_shape(false);
    assert_true(strlen(line) > 4000);
    (void)format(EVENT_JSON, WHEN_MS, 1, fields, ARRAY_SIZE(fields));
    check_shape(true);
}

static void addresses_have_their_text(void **state)
{
    struct addr a;
    struct event_field f[2];

    (void)state;
    assert_int_equal(addr_parse(SLICE_LIT("[2001:db8::1]:25"), 0, &a, NULL), 0);
    f[0] = EV_ADDR("peer", &a);
    f[1] = EV_IP("ip", &a);
    (void)format(EVENT_LOGFMT, WHEN_MS, 0, f, 2);
    assert_non_null(strstr(line, " peer=[2001:db8::1]:25 ip=2001:db8::1\n"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_all_kinds_of_fields),
        cmocka_unit_test(times_are_right_when_the_clock_jumps),
        cmocka_unit_test(hostile_values_are_escaped),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(random_bytes_keep_the_shape),
        cmocka_unit_test(many_fields_end_at_the_cap),
        cmocka_unit_test(addresses_have_their_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
