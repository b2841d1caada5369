/* event/journal_test.c - a line as an entry of the journal; the linker puts a recorder in place of
 * connect() and send(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/rand.h"
#include "event/event_int.h"

int __wrap_connect(int fd, const struct sockaddr *to, socklen_t len);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);

/* The fields of the last entry as "NAME=value", a '|' after each. */
static char sent[8 * EVENT_LINE_MAX];
static size_t sent_len;
static int sent_count, connects, sends;
static int answer; /* of the next sends; 0: they succeed */

int __wrap_connect(int fd, const struct sockaddr *to, socklen_t len)
{
    assert_true(fd >= 0 && len == sizeof(struct sockaddr_un));
    assert_string_equal(((const struct sockaddr_un *)to)->sun_path, "/run/systemd/journal/socket");
    connects++;
    return 0;
}

static void keep(const void *bytes, size_t len)
{
    assert_true(sent_len + len < sizeof(sent));
    memcpy(sent + sent_len, bytes, len);
    sent_len += len;
    sent[sent_len] = '\0';
}

/* The journal's protocol, as its documentation has it. Returns the bytes of one field. */
static size_t take_field(struct slice in)
{
    ptrdiff_t end = slice_find(in, '\n'), equals = slice_find(in, '=');
    uint64_t len;

    assert_true(end > 0);
    sent_count++;
    if (equals > 0 && equals < end) {
        keep(in.ptr, (size_t)end);
        keep("|", 1);
        return (size_t)end + 1;
    }
    assert_true(in.len >= (size_t)end + 1 + sizeof(len));
    memcpy(&len, in.ptr + end + 1, sizeof(len));
    len = le64toh(len);
    assert_true(in.len > (size_t)end + 1 + sizeof(len) + len);
    keep(in.ptr, (size_t)end);
    keep("=", 1);
    keep(in.ptr + end + 1 + sizeof(len), len);
    keep("|", 1);
    assert_int_equal(in.ptr[(size_t)end + 1 + sizeof(len) + len], '\n');
    return (size_t)end + 1 + sizeof(len) + len + 1;
}

ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags)
{
    struct slice in = slice_make(bytes, len);

    assert_true(fd >= 0 && (flags & MSG_NOSIGNAL));
    sends++;
    if (answer) {
        errno = answer;
        return -1;
    }
    sent_len = 0;
    sent_count = 0;
    while (in.len)
        in = slice_from(in, take_field(in));
    return (ssize_t)len;
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
    assert_true(event_to_journal(EVENT_ERROR, slice_make(line, len), 0));
    assert_string_equal(
        sent,
        "PRIORITY=3|SYSLOG_IDENTIFIER=penstock|"
        "MESSAGE=spool_error id=2d plain=a spaced=\"two words\" "
        "odd=\"q\\\"b\\\\n\\n\\x01=\" n=5 empty=\"\"|"
        "PENSTOCK_EVENT=spool_error|PENSTOCK_ID=2d|PENSTOCK_PLAIN=a|"
        "PENSTOCK_SPACED=two words|PENSTOCK_ODD=q\"b\\n\n\x01=|PENSTOCK_N=5|PENSTOCK_EMPTY=|");
    assert_true(event_to_journal(EVENT_DEBUG, slice_make(line, len), 0));
    assert_true(slice_has_prefix(slice_str(sent), SLICE_LIT("PRIORITY=7|")));
}

/* One that hangs keeps its socket; one that went away is looked for again. */
static void what_the_journal_does_not_take_is_lost(void **state)
{
    static const struct {
        int answer, sends, connects;
    } cases[] = {{EAGAIN, 2, 0},
                 {EAGAIN, 2, 0},
                 {ECONNREFUSED, 1, 0},
                 {ECONNREFUSED, 1, 1},
                 {EMSGSIZE, 1, 1},
                 {0, 1, 1},
                 {0, 1, 0}};
    const struct event_field field = EV_UINT("n", 5);
    char line[EVENT_LINE_MAX];
    size_t len = format(line, &field, 1);

    (void)state;
    assert_true(event_to_journal(EVENT_ERROR, slice_make(line, len), 0));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        answer = cases[i].answer;
        sends = connects = 0;
        assert_int_equal(event_to_journal(EVENT_DEBUG, slice_make(line, len), 0), answer == 0);
        assert_int_equal(sends, cases[i].sends);
        assert_int_equal(connects, cases[i].connects);
    }
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
        assert_true(event_to_journal(EVENT_INFO, slice_make(line, format(line, &field, 1)), 0));
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
    assert_true(event_to_journal(EVENT_INFO,
                                 slice_make(line, format(line, fields, ARRAY_SIZE(fields))), 0));
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
        cmocka_unit_test(what_the_journal_does_not_take_is_lost),
        cmocka_unit_test(any_value_comes_through),
        cmocka_unit_test(many_fields_are_left_to_the_message),
        cmocka_unit_test(the_journal_s_stream_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
