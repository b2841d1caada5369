/*
 * logscan/kumomta_test.c - records of KumoMTA's log.
 */
#include "logscan/formats.h"
#include "logscan/scan_testing.h"

#define RECORD(type, more)                                                                         \
    "{\"type\":\"" type "\",\"id\":\"7\",\"sender\":\"s@s.example\",\"size\":452,"                 \
    "\"meta\":{\"type\":\"x\",\"id\":\"}\"},\"event_time\":\"2026-03-01T00:00:01."                 \
    "002345678Z\"," more "}\n"
#define TO "\"recipient\":\"a@b.example\","
#define PEER "\"peer_address\":{\"name\":\"mx.b.example.\",\"addr\":\"198.18.0.7\"}"
#define ENHANCED "{\"class\":4,\"subject\":3,\"detail\":1}"
#define RESPONSE(code, enhanced, content, command)                                                 \
    "\"response\":{\"code\":" code ",\"enhanced_code\":" enhanced ",\"content\":\"" content        \
    "\",\"command\":" command "},"
#define SOURCE ",\"egress_source\":\"ip-1\",\"source_address\":{\"address\":\"192.0.2.10:53210\"}"

static const struct testing_case cases[] = {
    {RECORD("Reception", TO RESPONSE("250", "null", "", "null") PEER),
     "arrival 1002 m=7 from=s@s.example number=1\n"},
    {RECORD("Delivery",
            TO RESPONSE("250", "null", "OK", "\".\"") PEER SOURCE ",\"num_attempts\":2"),
     "attempt 1002 m=7 from=s@s.example to=a@b.example host=mx.b.example ip=198.18.0.7 "
     "source=192.0.2.10 via=ip-1 number=3 phase=end of data given delivered 250 - \"OK\"\n"},
    {RECORD("TransientFailure",
            TO RESPONSE("452", ENHANCED, "full\\nsee \\u201chere\\u201d",
                        "\"MAIL FROM:<s@s.example>\"") PEER ",\"num_attempts\":0"),
     "reply 1002 m=7 from=s@s.example to=a@b.example host=mx.b.example ip=198.18.0.7 phase=mail "
     "by=receiver 452 4.3.1 \"full see \xe2\x80\x9chere\xe2\x80\x9d\"\n"
     "attempt 1002 m=7 from=s@s.example to=a@b.example host=mx.b.example ip=198.18.0.7 number=1 "
     "phase=mail given deferred 452 4.3.1 \"full see \xe2\x80\x9chere\xe2\x80\x9d\"\n"},
    /* a list of recipients; no number of attempts; IPv6 */
    {RECORD("Bounce",
            "\"recipient\":[\"a@b.example\", \"c@d.example\"]," RESPONSE(
                "550", "null", "no",
                "\"RCPT TO:<x>\"") "\"peer_address\":{\"name\":\"mx\",\"addr\":\"2001:db8::1\"},"
                                   "\"source_address\":{\"address\":\"[2001:db8::2]:99\"}"),
     "attempt 1002 m=7 from=s@s.example to=a@b.example host=mx ip=2001:db8::1 source=2001:db8::2 "
     "phase=rcpt by-recipient failed 550 - \"no\"\n"
     "attempt 1002 m=7 from=s@s.example to=c@d.example host=mx ip=2001:db8::1 source=2001:db8::2 "
     "phase=rcpt by-recipient failed 550 - \"no\"\n",
     .wants = WANT_LIVES},
    {RECORD("Reception", "\"recipient\":[\"a@b.example\",\"c@d.example\"],\"x\":1"),
     "arrival 1002 m=7 from=s@s.example number=1\narrival 1002 m=7 from=s@s.example number=1\n"},
    /* the recipients of one mail, and the next one */
    {RECORD("Reception", TO "\"session_id\":\"A\"") RECORD("Reception", TO "\"session_id\":\"A\"")
         RECORD("Delayed", TO PEER) RECORD("Reception", TO "\"session_id\":\"A\"")
             RECORD("Reception", TO "\"session_id\":\"B\"") RECORD("Reception", TO PEER)
                 RECORD("Reception", TO PEER),
     "arrival 1002 m=7 from=s@s.example number=1\n"
     "arrival 1002 m=7 from=s@s.example number=1 copy\n"
     "arrival 1002 m=7 from=s@s.example number=1 copy\n"
     "arrival 1002 m=7 from=s@s.example number=1\n"
     "arrival 1002 m=7 from=s@s.example number=1\n"
     "arrival 1002 m=7 from=s@s.example number=1\n",
     .rows = 7},
    /* made up here */
    {RECORD("TransientFailure",
            TO RESPONSE("400", "null",
                        "KumoMTA internal: failed to connect: x: Connection timed out",
                        "null") "\"peer_address\":null,\"num_attempts\":0"),
     "reply 1002 m=7 from=s@s.example to=a@b.example phase=connect by=own-client 0 \"Connection "
     "timed "
     "out\"\n",
     .wants = WANT_REPLIES},
    {RECORD("Rejection",
            TO RESPONSE("451", ENHANCED, "KumoMTA internal: load shedding", "\"RCPT TO\"") PEER),
     "reply 1002 m=7 from=s@s.example to=a@b.example host=mx.b.example ip=198.18.0.7 phase=rcpt "
     "by=own-server 451 4.3.1 \"KumoMTA internal: load shedding\"\n"},
    {RECORD("Expiration",
            TO RESPONSE("551", "null", "KumoMTA internal: too old", "null") "\"num_attempts\":17"),
     "expiry 1002 m=7 from=s@s.example to=a@b.example 0 \"too old\"\n"},
    {RECORD("AdminBounce",
            TO RESPONSE("552", "null", "KumoMTA internal: x", "null") "\"num_attempts\":1"),
     "attempt 1002 m=7 from=s@s.example to=a@b.example number=2 phase=connect given failed "
     "not-counted 0 "
     "\"x\"\n"},
    {RECORD("Delayed", TO RESPONSE("400", "null", "x", "null") PEER) RECORD("OOB", TO PEER), "",
     .rows = 2},
    /* an older version: seconds alone */
    {"{\"type\":\"Reception\",\"id\":\"8\",\"recipient\":\"a@b.example\",\"timestamp\":1772323202}"
     "\n",
     "arrival 2000 m=8 number=1\n"},
    {"{\"type\":\"Reception\",\"id\":\"8\"}\n", "", .skips = 1U << SKIP_TIME},
    {"{\"type\":\"Reception\",\"event_time\":\"2026-03-01T00:00:01Zx\",\"timestamp\":1}\n", "",
     .skips = 1U << SKIP_TIME},
    {"{\"type\":\"Reception\",\"id\":\"8\n", "", .skips = 1U << SKIP_FORM},
};

static void reads_records(void **state)
{
    (void)state;
    testing_cases(&kumomta_format, TESTING_ALL, cases, ARRAY_SIZE(cases));
}

static void is_known_by_its_first_line(void **state)
{
    const struct slice line =
        SLICE_LIT("{\"type\":\"Reception\",\"id\":\"8\",\"response\":{\"code\":250},"
                  "\"timestamp\":1}\n{");

    (void)state;
    assert_true(kumomta_format.detect(line) > 0);
    assert_ptr_equal(log_format_detect(line), &kumomta_format);
    assert_int_equal(kumomta_format.detect(SLICE_LIT("{\"schema\":1,\"time\":\"x\"}\n")), 0);
    assert_int_equal(kumomta_format.detect(SLICE_LIT("")), 0);
}

static void splits_rows(void **state)
{
    const struct slice line = SLICE_LIT(
        "{\"id\":\"8\",\"size\":9,\"response\":{\"content\":\"a\\nb\"},\"recipient\":[\"x\"]}");
    const struct log_columns *columns = log_columns_of(slice_str(kumomta_format.columns));
    struct slice fields[LOG_COLUMNS_MAX];
    struct log_carry carry = {0};
    struct arena a = {0};

    (void)state;
    assert_int_equal(kumomta_format.split(&carry, line, &a, fields), columns->count);
    assert_true(slice_eq(fields[log_columns_find(columns, SLICE_LIT("id"))], SLICE_LIT("8")));
    assert_true(slice_eq(fields[log_columns_find(columns, SLICE_LIT("size"))], SLICE_LIT("9")));
    assert_true(
        slice_eq(fields[log_columns_find(columns, SLICE_LIT("recipient"))], SLICE_LIT("[\"x\"]")));
    assert_true(slice_eq(fields[kumomta_format.reply_column], SLICE_LIT("a\nb")));
    assert_int_equal(log_columns_find(columns, SLICE_LIT("content")), kumomta_format.reply_column);
    assert_int_equal(fields[log_columns_find(columns, SLICE_LIT("code"))].len, 0);
    assert_true(kumomta_format.split(&carry, SLICE_LIT("{"), &a, fields) < 0);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_records),
        cmocka_unit_test(is_known_by_its_first_line),
        cmocka_unit_test(splits_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
