/*
 * logscan/penstock_test.c - lines of our own delivery log and event log.
 */
#include "logscan/formats.h"
#include "logscan/scan_testing.h"

#define LINE(event, more)                                                                          \
    "{\"schema\":1,\"time\":\"2026-03-01T00:00:01.002Z\",\"event\":\"" event                       \
    "\",\"id\":\"1k0\",\"message_id\":\"<1@x>\",\"sender\":\"s@s.example\"" more "}\n"
#define TO ",\"recipient\":\"a@b.example\",\"domain\":\"b.example\""
#define HOST                                                                                       \
    ",\"lane\":\"p/default\",\"local\":\"192.0.2.10\",\"host\":\"mx\",\"peer\":\"198.18.0.7\""
#define SAID(code, phase, reply)                                                                   \
    ",\"attempt\":2,\"code\":" code ",\"phase\":\"" phase "\",\"reply\":\"" reply "\""
#define WHO "m=1k0 from=s@s.example to=a@b.example"
#define WHERE "host=mx ip=198.18.0.7 source=192.0.2.10 via=p/default"

static const struct testing_case cases[] = {
    {LINE("received", ",\"recipients\":3"), "arrival 1002 m=1k0 from=s@s.example number=3\n"},
    {LINE("dsn", TO), "arrival 1002 m=1k0 from=s@s.example number=1\n"},
    {LINE("delivered", TO SAID("250", "end of data", "250 2.0.0 taken") HOST),
     "attempt 1002 " WHO " " WHERE
     " number=2 phase=end of data given delivered 250 2.0.0 \"taken\"\n"},
    {LINE("delivered", TO SAID("250", "end of data", "250 2.0.0 taken") HOST),
     "reply 1002 " WHO " " WHERE " phase=end of data by=receiver 250 2.0.0 \"taken\"\n",
     .wants = WANT_ACCEPTED},
    /* lines of a reply repeat the status code, or the code as well, or another one */
    {LINE("deferred", TO SAID("452", "mail", "452 4.2.2 a\\n4.2.2 b\\n4.3.1 c") HOST),
     "reply 1002 " WHO " " WHERE " phase=mail by=receiver 452 4.2.2 \"a b 4.3.1 c\"\n"
     "attempt 1002 " WHO " " WHERE
     " number=2 phase=mail given deferred 452 4.2.2 \"a b 4.3.1 c\"\n"},
    {LINE("failed", TO SAID("550", "rcpt", "no code here") HOST),
     "reply 1002 " WHO " " WHERE " phase=rcpt by=receiver 550 - \"no code here\"\n",
     .wants = WANT_REPLIES},
    {LINE("deferred", TO ",\"attempt\":1,\"phase\":\"connect\",\"reply\":\"connection refused\""),
     "reply 1002 " WHO " phase=connect by=own-client 0 \"connection refused\"\n"
     "attempt 1002 " WHO " number=1 phase=connect given deferred 0 \"connection refused\"\n"},
    {LINE("expired", TO ",\"reply\":\"4.4.7 too old\""),
     "expiry 1002 " WHO " 0 \"4.4.7 too old\"\n"},
    {LINE("suppressed", TO ",\"code\":550,\"reply\":\"550 5.1.1 no\""),
     "attempt 1002 " WHO " by-recipient failed not-counted 550 5.1.1 \"no\"\n"},
    {LINE("removed", TO), "attempt 1002 " WHO " by-recipient failed not-counted\n"},
    {LINE("delivered", TO SAID("250", "end of data", "250 x")), "", .wants = WANT_REPLIES},
    /* the event log */
    {"{\"time\":\"2026-03-01T00:00:01.002Z\",\"level\":\"notice\",\"event\":\"delivered\"}\n", ""},
    {"{\"schema\":1,\"event\":\"delivered\"}\n", "", .skips = 1U << SKIP_TIME},
    {"{\"schema\":1,\"time\":\"2026-03-01T00:00:01.002Z\n", "", .skips = 1U << SKIP_FORM},
};

static void reads_lines(void **state)
{
    (void)state;
    testing_cases(&penstock_events_format, TESTING_ALL, cases, ARRAY_SIZE(cases));
}

static void is_known_by_its_first_line(void **state)
{
    const struct slice event = SLICE_LIT("{\"time\":\"x\",\"level\":\"notice\",\"event\":\"y\"}\n");

    (void)state;
    assert_ptr_equal(log_format_detect(SLICE_LIT(LINE("dsn", TO))), &penstock_events_format);
    assert_ptr_equal(log_format_detect(event), &penstock_events_format);
    assert_int_equal(penstock_events_format.detect(SLICE_LIT("{\"time\":\"x\"}\n")), 0);
    assert_int_equal(penstock_events_format.detect(SLICE_LIT("")), 0);
}

static void splits_rows(void **state)
{
    const struct log_columns *columns = log_columns_of(slice_str(penstock_events_format.columns));
    struct slice fields[LOG_COLUMNS_MAX];
    struct log_carry carry = {0};
    struct arena a = {0};

    (void)state;
    assert_int_equal(penstock_events_format.split(
                         &carry, SLICE_LIT("{\"code\":452,\"reply\":\"a\\nb\"}"), &a, fields),
                     columns->count);
    assert_true(slice_eq(fields[log_columns_find(columns, SLICE_LIT("code"))], SLICE_LIT("452")));
    assert_true(slice_eq(fields[penstock_events_format.reply_column], SLICE_LIT("a\nb")));
    assert_int_equal(log_columns_find(columns, SLICE_LIT("reply")),
                     penstock_events_format.reply_column);
    assert_true(penstock_events_format.split(&carry, SLICE_LIT("x"), &a, fields) < 0);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_lines),
        cmocka_unit_test(is_known_by_its_first_line),
        cmocka_unit_test(splits_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
