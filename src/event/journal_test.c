/* event/journal_test.c - a line as an entry of the journal; the linker puts a recorder in place of
 * sd_journal_sendv(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/rand.h"
#include "event/event_int.h"

int __wrap_sd_journal_sendv(const struct iovec *fields, int count);

/* The fields of the last entry, one after another with a '|' after each. */
static char sent[8 * EVENT_LINE_MAX];
static size_t sent_len;
static int sent_count, answer;

int __wrap_sd_journal_sendv(const struct iovec *fields, int count)
{
    sent_len = 0;
    sent_count = count;
    for (int i = 0; i < count; i++) {
        assert_true(sent_len + fields[i].iov_len + 2 < sizeof(sent));
        assert_non_null(memchr(fields[i].iov_base, '=', fields[i].iov_len));
        memcpy(sent + sent_len, fields[i].iov_base, fields[i].iov_len);
        sent_len += fields[i].iov_len;
        sent[sent_len++] = '|';
    }
    sent[sent_len] = '\0';
    return answer;
}

static size_t format(char *line, const struct event_field *fields, size_t count)
{
    return event_format_line(EVENT_LOGFMT, 1795379401123, EVENT_SPOOL_ERROR, 77, fields, count,
                             line);
}

static void a_line_becomes_fields(void **state)
{
    const struct event_field fields[] = {
        EV_STR("plain", "a"), EV_STR("spaced", "two words"), EV_STR("odd", "q\"b\\n\n\x01="),
        EV_UINT("n", 5),      EV_STR("empty", ""),
    };
    char line[EVENT_LINE_MAX];
    size_t len = format(line, fields, ARRAY_SIZE(fields));

    (void)state;
    assert_true(event_to_journal(EVENT_ERROR, slice_make(line, len)));
    assert_string_equal(
        sent,
        "PRIORITY=3|SYSLOG_IDENTIFIER=penstock|"
        "MESSAGE=spool_error id=2d plain=a spaced=\"two words\" "
        "odd=\"q\\\"b\\\\n\\n\\x01=\" n=5 empty=\"\"|"
        "PENSTOCK_EVENT=spool_error|PENSTOCK_ID=2d|PENSTOCK_PLAIN=a|"
        "PENSTOCK_SPACED=two words|PENSTOCK_ODD=q\"b\\n\n\x01=|PENSTOCK_N=5|PENSTOCK_EMPTY=|");
    assert_true(event_to_journal(EVENT_DEBUG, slice_make(line, len)));
    assert_true(slice_has_prefix(slice_str(sent), SLICE_LIT("PRIORITY=7|")));
    answer = -1;
    assert_false(event_to_journal(EVENT_DEBUG, slice_make(line, len)));
    answer = 0;
}

/* Any bytes in a value: the field has them as they were, and one line makes one entry. */
static void any_value_comes_through(void **state)
{
    char line[EVENT_LINE_MAX];
    struct rand r;

    (void)state;
    rand_init(&r, 4711);
    for (int round = 0; round < 20000; round++) {
        uint8_t value[64];
        size_t len = rand_below(&r, sizeof(value)), prefix;
        struct event_field field = EV_SLICE("v", slice_make(value, len));
        struct slice all;

        for (size_t i = 0; i < len; i++)
            value[i] = (uint8_t)rand_u64(&r);
        assert_true(event_to_journal(EVENT_INFO, slice_make(line, format(line, &field, 1))));
        assert_int_equal(sent_count, 6);
        all = slice_make(sent, sent_len);
        prefix = sent_len - len - 1;
        assert_true(slice_eq(slice_sub(all, prefix, len), slice_make(value, len)));
        assert_memory_equal(sent + prefix - 11, "PENSTOCK_V=", 11);
    }
}

static void many_fields_are_left_to_the_message(void **state)
{
    struct event_field fields[100];
    char line[EVENT_LINE_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        fields[i] = EV_UINT("key", i);
    assert_true(
        event_to_journal(EVENT_INFO, slice_make(line, format(line, fields, ARRAY_SIZE(fields)))));
    assert_int_equal(sent_count, 40);
    assert_non_null(strstr(sent, " key=99|PENSTOCK_EVENT="));
}

static void the_journal_s_stream_is_known(void **state)
{
    static const struct {
        const char *between, *after;
        bool expected;
    } cases[] = {
        {":", "", true}, {":", "0", false}, {":", "x", false}, {"", "", false}, {"-", "", false}};
    struct stat st;

    (void)state;
    assert_int_equal(fstat(STDIN_FILENO, &st), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char stream[80];

        (void)snprintf(stream, sizeof(stream), "%llu%s%llu%s", (unsigned long long)st.st_dev,
                       cases[i].between, (unsigned long long)st.st_ino, cases[i].after);
        assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
        if (event_fd_is_journal(STDIN_FILENO) != cases[i].expected)
            fail_msg("%s", stream);
    }
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
    assert_false(event_fd_is_journal(STDIN_FILENO));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_becomes_fields),
        cmocka_unit_test(any_value_comes_through),
        cmocka_unit_test(many_fields_are_left_to_the_message),
        cmocka_unit_test(the_journal_s_stream_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
