/*
 * event/delivery_test.c - each event as a whole line; lines stay lines and JSON whatever bytes they
 * are made of; held lines get their time; docs/events.md has what the code has.
 */
#include "event/delivery.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants those above first */
#include <cmocka.h>

#include "base/rand.h"
#include "base/utf8.h"
#include "event/event.h"

#define S(literal) SLICE_LIT(literal)
#define WHEN_MS 1795379401123 /* 2026-11-22T20:30:01.123Z */
#define HEAD(event) "{\"schema\":1,\"time\":\"2026-11-22T20:30:01.123Z\",\"event\":\"" event "\","

static char line[RECORD_LINE_MAX + 1];

static const char *text_of(const struct delivery *d)
{
    size_t len = delivery_line(d, line);

    assert_true(len <= RECORD_LINE_MAX);
    line[len] = '\0';
    return line;
}

static struct delivery attempt(enum delivery_event event)
{
    return (struct delivery){.event = event,
                             .at_ms = WHEN_MS,
                             .id = 31,
                             .message_id = S("<a@b>"),
                             .sender = S("from@example.org"),
                             .recipient = S("to@example.net"),
                             .domain = S("example.net"),
                             .size = 4711,
                             .attempt = 2,
                             .klass = S("none"),
                             .phase = S("end"),
                             .provider = S("google"),
                             .lane = S("google/default"),
                             .source = S("default"),
                             .local = S("192.0.2.1"),
                             .host = S("mx.example.net"),
                             .peer = S("198.51.100.25"),
                             .tls = true,
                             .tls_version = S("TLSv1.3"),
                             .tls_cipher = S("TLS_AES_256_GCM_SHA384"),
                             .in_queue_ms = 90000,
                             .latency_ms = 12};
}

#define ATTEMPT_HEAD                                                                               \
    "\"id\":\"z\",\"message_id\":\"<a@b>\",\"sender\":\"from@example.org\","                       \
    "\"recipient\":\"to@example.net\",\"domain\":\"example.net\",\"size\":4711,\"attempt\":2,"
#define ATTEMPT_TAIL                                                                               \
    "\"provider\":\"google\",\"lane\":\"google/default\",\"source\":\"default\","                  \
    "\"local\":\"192.0.2.1\",\"host\":\"mx.example.net\",\"peer\":\"198.51.100.25\","              \
    "\"own_relay\":false,\"tls\":true,\"tls_version\":\"TLSv1.3\","                                \
    "\"tls_cipher\":\"TLS_AES_256_GCM_SHA384\",\"in_queue_ms\":90000,\"latency_ms\":12"

static void attempts_have_all_there_is(void **state)
{
    struct delivery d = attempt(DELIVERY_DELIVERED);

    (void)state;
    d.code = 250;
    d.enhanced[0] = 2;
    d.reply = S("250 2.0.0 OK");
    assert_string_equal(text_of(&d), HEAD("delivered") ATTEMPT_HEAD
                        "\"code\":250,\"enhanced\":\"2.0.0\",\"class\":\"none\",\"phase\":\"end\","
                        "\"reply\":\"250 2.0.0 OK\"," ATTEMPT_TAIL "}\n");
    d.event = DELIVERY_FAILED;
    assert_non_null(strstr(text_of(&d), "\"event\":\"failed\",\"id\":\"z\""));
    d.event = DELIVERY_DEFERRED;
    d.code = 0; /* nobody said anything */
    d.enhanced[0] = 0;
    d.reply = S("connection timed out");
    assert_string_equal(
        text_of(&d), HEAD("deferred") ATTEMPT_HEAD
        "\"class\":\"none\",\"phase\":\"end\",\"reply\":\"connection timed out\"," ATTEMPT_TAIL
        "}\n");
    d.next_attempt_ms = WHEN_MS + 1;
    assert_string_equal(
        text_of(&d), HEAD("deferred") ATTEMPT_HEAD
        "\"class\":\"none\",\"phase\":\"end\",\"reply\":\"connection timed out\"," ATTEMPT_TAIL
        ",\"next_attempt\":\"2026-11-22T20:30:01.124Z\"}\n");
}

static void a_message_that_came_in(void **state)
{
    struct delivery d = {.event = DELIVERY_RECEIVED,
                         .at_ms = WHEN_MS,
                         .id = 32,
                         .message_id = S("<a@b>"),
                         .recipients = 3,
                         .size = 0,
                         .client = S("2001:db8::1"),
                         .client_name = S("mail.example.org"),
                         .listener = S("main"),
                         .traffic = S("external"),
                         .local = S("192.0.2.1"),
                         .recipient = S("of no message as a whole"),
                         .attempt = 7};

    (void)state;
    assert_string_equal(
        text_of(&d),
        HEAD("received") "\"id\":\"10\",\"message_id\":\"<a@b>\",\"sender\":\"\","
                         "\"recipients\":3,\"size\":0,\"client\":\"2001:db8::1\","
                         "\"client_name\":\"mail.example.org\",\"listener\":\"main\","
                         "\"traffic\":\"external\",\"local\":\"192.0.2.1\",\"tls\":false}\n");
}

static void recipients_that_end_without_an_attempt(void **state)
{
    static const struct {
        enum delivery_event event;
        const char *name;
    } cases[] = {{DELIVERY_EXPIRED, "expired"},
                 {DELIVERY_SUPPRESSED, "suppressed"},
                 {DELIVERY_BOUNCED, "bounced"},
                 {DELIVERY_REMOVED, "removed"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct delivery d = attempt(cases[i].event);
        char expected[1024];

        d.code = 452;
        d.enhanced[0] = 4;
        d.enhanced[1] = 3;
        d.enhanced[2] = 1;
        d.klass = S("capacity");
        d.reply = S("452 4.3.1 no");
        d.next_attempt_ms = WHEN_MS;
        (void)snprintf(expected, sizeof(expected),
                       "{\"schema\":1,\"time\":\"2026-11-22T20:30:01.123Z\",\"event\":\"%s\","
                       "\"id\":\"z\",\"message_id\":\"<a@b>\",\"sender\":\"from@example.org\","
                       "\"recipient\":\"to@example.net\",\"domain\":\"example.net\",\"size\":4711,"
                       "\"code\":452,\"enhanced\":\"4.3.1\",\"class\":\"capacity\","
                       "\"reply\":\"452 4.3.1 no\",\"in_queue_ms\":90000}\n",
                       cases[i].name);
        assert_string_equal(text_of(&d), expected);
    }
}

static void a_report(void **state)
{
    struct delivery d = {.event = DELIVERY_DSN,
                         .at_ms = WHEN_MS,
                         .id = 33,
                         .original = 31,
                         .recipient = S("from@example.org"),
                         .domain = S("example.org"),
                         .size = 900,
                         .kind = S("failure")};

    (void)state;
    assert_string_equal(text_of(&d),
                        HEAD("dsn") "\"id\":\"11\",\"sender\":\"\","
                                    "\"recipient\":\"from@example.org\",\"domain\":\"example.org\","
                                    "\"size\":900,\"kind\":\"failure\",\"original\":\"z\"}\n");
}

/* ---- hostile bytes ---- */

static void hostile_bytes_are_escaped(void **state)
{
    struct delivery d = attempt(DELIVERY_FAILED);

    (void)state;
    d.sender = S("a\"b\\c@\xff");
    d.reply = S("550 \r\n{\"event\":\"delivered\"}\0\x1b[2J\xc2\x9b\xe2\x82");
    (void)text_of(&d);
    assert_non_null(strstr(line, "\"sender\":\"a\\\"b\\\\c@\xef\xbf\xbd\","));
    assert_non_null(strstr(line, "\"reply\":\"550 \\r\\n{\\\"event\\\":\\\"delivered\\\"}"
                                 "\\u0000\\u001b[2J\\u009b\xef\xbf\xbd\xef\xbf\xbd\","));
}

/* A value as RFC 8259 has it, from `at` on; where it ends. Strings, numbers, true and false. */
static const char *end_of_value(const char *at)
{
    if (*at != '"')
        return at + strspn(at, "0123456789truefals");
    for (at++; *at != '"'; at++) {
        assert_true((unsigned char)*at >= ' ');
        if (*at == '\\') {
            at++;
            assert_non_null(strchr("\"\\nrtu", *at));
            if (*at == 'u') {
                assert_int_equal(strspn(at + 1, "0123456789abcdef") >= 4, 1);
                at += 4;
            }
        }
    }
    return at + 1;
}

static void check_object(const char *text)
{
    assert_true(utf8_is_valid(slice_str(text)));
    assert_int_equal(*text, '{');
    do {
        const char *value = end_of_value(text + 1);

        assert_int_equal(*value, ':');
        text = end_of_value(value + 1);
        assert_ptr_not_equal(text, value + 1);
    } while (*text == ',');
    assert_string_equal(text, "}\n");
}

/* All texts of `d`. */
static size_t texts_of(struct delivery *d, struct slice **ret)
{
    struct slice *all[] = {&d->message_id, &d->sender,      &d->recipient,  &d->domain,
                           &d->client,     &d->client_name, &d->listener,   &d->traffic,
                           &d->klass,      &d->phase,       &d->reply,      &d->provider,
                           &d->lane,       &d->source,      &d->local,      &d->host,
                           &d->peer,       &d->tls_version, &d->tls_cipher, &d->kind};

    memcpy(ret, all, sizeof(all));
    return ARRAY_SIZE(all);
}

/* Texts of any length of the bytes that grow most, in all fields at once: each is cut for itself. */
static void long_texts_are_cut_and_nothing_else(void **state)
{
    static const uint8_t kinds[] = {'a', 0, 0xff, '"', 0xc3};
    static uint8_t bytes[RECORD_LINE_MAX];

    (void)state;
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        memset(bytes, kinds[k], sizeof(bytes));
        for (size_t len = 1; len < sizeof(bytes); len += len < 700 ? 1 : 131) {
            struct delivery d = attempt((enum delivery_event)(len % DELIVERY_EVENTS));
            struct slice *texts[32];
            size_t n = texts_of(&d, texts);

            for (size_t i = 0; i < n; i++)
                *texts[i] = slice_make(bytes, len);
            d.id = d.original = d.size = d.attempt = d.recipients = UINT64_MAX;
            d.in_queue_ms = d.latency_ms = d.code = UINT64_MAX;
            d.enhanced[0] = d.enhanced[1] = d.enhanced[2] = UINT16_MAX;
            d.next_attempt_ms = WHEN_MS;
            check_object(text_of(&d));
            if (len > 700) /* more than the sender may have */
                assert_non_null(strstr(line, "...\""));
            if (d.event == DELIVERY_DEFERRED)
                assert_non_null(strstr(line, "\"next_attempt\":\"2026-11-22T20:30:01.123Z\"}\n"));
        }
    }
}

static void random_bytes_stay_json(void **state)
{
    struct rand r;
    uint8_t bytes[300];

    (void)state;
    rand_init(&r, 4711);
    for (int round = 0; round < 5000; round++) {
        struct delivery d = attempt((enum delivery_event)rand_below(&r, DELIVERY_EVENTS));
        struct slice *texts[32];
        size_t n = texts_of(&d, texts);

        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)rand_u64(&r);
        for (size_t i = 0; i < n; i++)
            *texts[i] = slice_make(bytes, rand_below(&r, sizeof(bytes)));
        check_object(text_of(&d));
    }
}

/* ---- docs/events.md ---- */

static char manual[KIB(64)];

static const char *read_manual(void)
{
    const char *path = getenv("EVENTS_MD");
    FILE *f = path ? fopen(path, "r") : NULL;
    size_t len;

    if (!path)
        skip();
    assert_non_null(f);
    len = fread(manual, 1, sizeof(manual) - 1, f);
    manual[len] = '\0';
    assert_int_equal(fclose(f), 0);
    return manual;
}

/* The section from its heading to the next one of any level, cut out of the manual. */
static const char *section(const char *heading)
{
    static char text[KIB(32)];
    const char *begin = strstr(read_manual(), heading), *end;

    assert_non_null(begin);
    begin += strlen(heading);
    end = strstr(begin, "\n#");
    (void)snprintf(text, sizeof(text), "%.*s", end ? (int)(end - begin) : (int)strlen(begin),
                   begin);
    return text;
}

static size_t rows_in(const char *text)
{
    size_t n = 0;

    for (; (text = strstr(text, "\n| `")); text++)
        n++;
    return n;
}

/* "all", "all but `received`, `dsn`", or "`delivered`, `deferred`": the shorter one. */
static void events_of(size_t field, char ret[static 256])
{
    size_t count = 0, at;

    for (int e = 0; e < DELIVERY_EVENTS; e++)
        count += delivery_field_is_in(field, (enum delivery_event)e);
    at = (size_t)snprintf(ret, 256, "%s",
                          count == DELIVERY_EVENTS      ? "all"
                          : count > DELIVERY_EVENTS / 2 ? "all but "
                                                        : "");
    for (int e = 0, n = 0; e < DELIVERY_EVENTS && count < DELIVERY_EVENTS; e++)
        if (delivery_field_is_in(field, (enum delivery_event)e) == (count <= DELIVERY_EVENTS / 2))
            at += (size_t)snprintf(ret + at, 256 - at, "%s`%s`", n++ ? ", " : "",
                                   delivery_event_name((enum delivery_event)e));
}

/* When one of these fails: the code and docs/events.md say different things. */
static void the_manual_has_every_field_and_no_other(void **state)
{
    const char *text = section("### Fields\n");
    size_t count = 0;

    (void)state;
    for (; delivery_field_name(count); count++) {
        char row[512], events[256];

        events_of(count, events);
        (void)snprintf(row, sizeof(row), "\n| `%s` | %s | ", delivery_field_name(count), events);
        if (!strstr(text, row))
            fail_msg("docs/events.md lacks the row %s", row + 1);
    }
    assert_int_equal(rows_in(text), count);
}

static void the_manual_has_every_event_and_no_other(void **state)
{
    const char *text = section("## The delivery log\n");

    (void)state;
    for (int e = 0; e < DELIVERY_EVENTS; e++) {
        char row[64];

        (void)snprintf(row, sizeof(row), "\n| `%s` | ",
                       delivery_event_name((enum delivery_event)e));
        if (!strstr(text, row))
            fail_msg("docs/events.md lacks the row %s", row + 1);
    }
    assert_int_equal(rows_in(text), DELIVERY_EVENTS);
}

#define LEVEL_OF(constant, name, level, counter) {name, level},
static void the_manual_has_what_the_event_log_has(void **state)
{
    static const struct {
        const char *name;
        enum event_level level;
    } events[] = {EVENT_TABLE(LEVEL_OF)};
    static const char *const levels[] = {
        [EVENT_NOTICE] = "notice", [EVENT_WARNING] = "warning", [EVENT_ERROR] = "error"};
    const char *text = section("## The event log\n");
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        char row[128];

        if (events[i].level < EVENT_NOTICE)
            continue;
        count++;
        (void)snprintf(row, sizeof(row), "\n| `%s` | %s | ", events[i].name,
                       levels[events[i].level]);
        if (!strstr(text, row))
            fail_msg("docs/events.md lacks the row %s", row + 1);
    }
    assert_int_equal(rows_in(text), count);
}

/* ---- in a file ---- */

static char folder[] = "/tmp/delivery_test.XXXXXX";

static void set_log(bool is_on)
{
    struct record_config rc = {.directory = folder,
                               .is_on = {[RECORD_DELIVERIES] = is_on},
                               .file_max_bytes = MIB(8),
                               .folder_max_bytes = MIB(32)};
    const char *failed;

    assert_int_equal(record_set_config(&rc, &failed), 0);
}

/* What was written since the last call, which removes the files. */
static const char *take_files(void)
{
    static char text[KIB(600)];
    char pattern[128];
    size_t len = 0;
    glob_t found;

    event_flush();
    (void)snprintf(pattern, sizeof(pattern), "%s/deliveries/DELIVERY*.jsonl", folder);
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            FILE *f = fopen(found.gl_pathv[i], "r");

            assert_non_null(f);
            len += fread(text + len, 1, sizeof(text) - 1 - len, f);
            (void)fclose(f);
            assert_int_equal(unlink(found.gl_pathv[i]), 0);
        }
        globfree(&found);
    }
    text[len] = '\0';
    return text;
}

static void assert_ends(const char *text, const char *end)
{
    assert_true(strlen(text) >= strlen(end));
    assert_string_equal(text + strlen(text) - strlen(end), end);
}

static void held_lines_get_their_time(void **state)
{
    struct buf held = BUF_INIT(DELIVERY_HELD_MAX);
    struct delivery d = attempt(DELIVERY_DEFERRED);
    const char *text;

    (void)state;
    delivery_hold(&d, &held);
    d.recipient = S("second@example.net");
    delivery_hold(&d, &held);
    assert_string_equal(take_files(), "");
    delivery_release(&held, WHEN_MS + 60000);
    assert_int_equal(buf_memory(&held), 0);
    text = take_files();
    assert_non_null(strstr(text, "\"recipient\":\"to@example.net\""));
    assert_non_null(strstr(text,
                           "\"latency_ms\":12,\"next_attempt\":\"2026-11-22T20:31:01.123Z\"}\n"
                           "{\"schema\":1"));
    assert_non_null(strstr(text, "\"recipient\":\"second@example.net\""));
    assert_ends(text, ",\"next_attempt\":\"2026-11-22T20:31:01.123Z\"}\n");

    delivery_hold(&d, &held);
    delivery_release(&held, 0);
    text = take_files();
    assert_ends(text, ",\"latency_ms\":12}\n");
    delivery_release(&held, 0); /* nothing is held */
    assert_string_equal(take_files(), "");
}

/* What is over the cap goes out at once, without its time: no line is lost. */
static void no_held_line_is_lost_for_room(void **state)
{
    struct buf held = BUF_INIT(KIB(2));
    struct delivery d = attempt(DELIVERY_DEFERRED);
    const char *text;
    size_t lines = 0, timed = 0;

    (void)state;
    for (int i = 0; i < 10; i++)
        delivery_hold(&d, &held);
    delivery_release(&held, WHEN_MS);
    for (text = take_files(); *text; text = strchr(text, '\n') + 1) {
        const char *next = strstr(text, "\"next_attempt\"");

        lines++;
        timed += next && next < strchr(text, '\n');
    }
    assert_int_equal(lines, 10);
    assert_true(timed > 0 && timed < 10);
}

static void nothing_is_written_while_it_is_off(void **state)
{
    struct buf held = BUF_INIT(DELIVERY_HELD_MAX);
    struct delivery d = attempt(DELIVERY_DEFERRED);

    (void)state;
    set_log(false);
    delivery_log(&d);
    delivery_hold(&d, &held);
    assert_int_equal(buf_memory(&held), 0);
    delivery_release(&held, WHEN_MS);
    set_log(true);
    assert_string_equal(take_files(), "");
}

static int start(void **state)
{
    const struct event_config ec = {.fd = STDERR_FILENO, .level = EVENT_NOTHING};

    (void)state;
    if (!mkdtemp(folder) || event_start(&ec) < 0)
        return -1;
    set_log(true);
    return 0;
}

static int stop(void **state)
{
    char path[64];

    (void)state;
    event_stop();
    (void)snprintf(path, sizeof(path), "%s/deliveries", folder);
    return rmdir(path) < 0 || rmdir(folder) < 0 ? -1 : 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(attempts_have_all_there_is),
        cmocka_unit_test(a_message_that_came_in),
        cmocka_unit_test(recipients_that_end_without_an_attempt),
        cmocka_unit_test(a_report),
        cmocka_unit_test(hostile_bytes_are_escaped),
        cmocka_unit_test(long_texts_are_cut_and_nothing_else),
        cmocka_unit_test(random_bytes_stay_json),
        cmocka_unit_test(the_manual_has_every_field_and_no_other),
        cmocka_unit_test(the_manual_has_every_event_and_no_other),
        cmocka_unit_test(the_manual_has_what_the_event_log_has),
        cmocka_unit_test(held_lines_get_their_time),
        cmocka_unit_test(no_held_line_is_lost_for_room),
        cmocka_unit_test(nothing_is_written_while_it_is_off),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
