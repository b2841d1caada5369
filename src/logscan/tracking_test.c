/*
 * logscan/tracking_test.c - rows of the message tracking log, as Exchange wrote and writes them, and as
 * Penstock does.
 */
#include "logscan/formats.h"

#include "logscan/csv_rows.h"
#include "logscan/scan_testing.h"

#define HEAD "#Software: Microsoft Exchange Server\r\n#Log-type: Message Tracking Log\r\n" FIELDS
#define FIELDS                                                                                     \
    "#Fields: date-time,client-ip,server-ip,server-hostname,connector-id,source,event-id,"         \
    "internal-message-id,recipient-address,recipient-status,recipient-count,sender-address\r\n"
#define AT(ms) "2026-03-01T00:00:00." ms "Z,"
#define LED(reply, host, ip) "[{LED=" reply "};{MSG=};{FQDN=" host "};{IP=" ip "};{LRT=x}]"

static const struct testing_case cases[] = {
    /* events */
    {HEAD AT("001") "192.0.2.9,192.0.2.10,MX1,In,SMTP,RECEIVE,7,a@b.example;c@d.example,,2,s@s."
                    "example\r\n",
     "arrival 1 m=7 from=s@s.example via=In number=2\n"},
    {HEAD AT("002") "192.0.2.10,198.18.0.7,mx.b.example,Out,SMTP,SENDEXTERNAL,7,a@b.example;c@d."
                    "example,"
                    "250 2.1.5 Recipient OK;250 2.1.5 Recipient OK,2,\r\n",
     "attempt 2 m=7 to=a@b.example host=mx.b.example ip=198.18.0.7 source=192.0.2.10 via=Out "
     "phase=end of data by-time delivered 250 2.1.5 \"Recipient OK\"\n"
     "attempt 2 m=7 to=c@d.example host=mx.b.example ip=198.18.0.7 source=192.0.2.10 via=Out "
     "phase=end of data by-time delivered 250 2.1.5 \"Recipient OK\"\n"},
    {HEAD AT("002") ",198.18.0.7,mx.b.example,,SMTP,SEND,7,a@b.example,\"250 2.0.0 Queued, "
                    "thanks\",1,\r\n",
     "reply 2 m=7 to=a@b.example host=mx.b.example ip=198.18.0.7 phase=end of data by=receiver 250 "
     "2.0.0 \"Queued, "
     "thanks\"\n",
     .wants = WANT_ACCEPTED},
    {HEAD AT("003") ",,MX1,,AGENT,AGENTINFO,7,a@b.example,452 4.3.1 no,1,\r\n" AT(
         "003") ",198.18.0.7,x,,SMTP,HAREDIRECT,7,a@b.example,452 4.3.1 no,1,\r\n",
     "", .rows = 2},
    {HEAD AT("004") ",,,,DSN,DSN,8,s@s.example,,1,\r\n", "arrival 4 m=8 number=1\n"},
    /* a list that was cut: the number is right */
    {HEAD AT("005") ",,,,SMTP,RECEIVE,7,a@b.example;c@d.example;...,,300,\r\n",
     "arrival 5 m=7 number=300\n"},
    /* statuses in brackets, of which the texts have semicolons */
    {HEAD AT("006") "192.0.2.10,198.18.0.7,mx,,SMTP,DEFER,7,a@b.example;c@d.example,\"" LED(
         "452 4.3.1 Insufficient system resources", "mx.b.example",
         "198.18.0.7") ";" LED("450 4.2.0 x];y; <c>", "mx.d.example", "2001:db8::1") "\",2,\r\n",
     "reply 6 m=7 to=a@b.example host=mx.b.example ip=198.18.0.7 source=192.0.2.10 by=receiver 452 "
     "4.3.1 "
     "\"Insufficient system resources\"\n"
     "attempt 6 m=7 to=a@b.example host=mx.b.example ip=198.18.0.7 source=192.0.2.10 by-time "
     "deferred "
     "452 4.3.1 \"Insufficient system resources\"\n"
     "reply 6 m=7 to=c@d.example host=mx.d.example ip=2001:db8::1 source=192.0.2.10 by=receiver "
     "450 4.2.0 "
     "\"x];y; <c>\"\n"
     "attempt 6 m=7 to=c@d.example host=mx.d.example ip=2001:db8::1 source=192.0.2.10 by-time "
     "deferred "
     "450 4.2.0 \"x];y; <c>\"\n"},
    /* other parts in another order */
    {HEAD AT("007") ",,,,SMTP,FAIL,7,a@b.example,[{IP=198.18.0.7};{LED=550 5.1.1 no}],1,\r\n",
     "reply 7 m=7 to=a@b.example ip=198.18.0.7 by=receiver 550 5.1.1 \"no\"\n",
     .wants = WANT_REPLIES},
    /* nobody was there to say it */
    {HEAD AT("008") ",,MX1,,SMTP,DEFER,7,a@b.example,\"" LED(
         "441 4.4.1 Error encountered while communicating with primary target IP address: "
         "\"\"Failed "
         "to connect. Winsock error code: 10061, Win32 error code: 10061.\"\"",
         "b.example", "") "\",1,\r\n",
     "reply 8 m=7 to=a@b.example phase=connect by=own-client 0 \"Connection refused\"\n"
     "attempt 8 m=7 to=a@b.example phase=connect by-time deferred 0 \"Connection refused\"\n"},
    {HEAD AT("008") ",,,,DNS,FAIL,7,a@b.example,550 5.4.310 DNS domain does not exist,1,\r\n",
     "reply 8 m=7 to=a@b.example phase=connect by=own-client 0 \"550 5.4.310 DNS domain does not "
     "exist\"\n",
     .wants = WANT_REPLIES},
    /* own verdicts, and what is too old */
    {HEAD AT("009") ",,,,ROUTING,FAIL,7,a@b.example,550 5.4.4 ROUTING.NoConnector,1,\r\n",
     "reply 9 m=7 to=a@b.example by=own-server 550 5.4.4 \"ROUTING.NoConnector\"\n"
     "attempt 9 m=7 to=a@b.example by-time failed not-counted 550 5.4.4 \"ROUTING.NoConnector\"\n"},
    {HEAD AT("010") ",,MX1,,QUEUE,FAIL,7,a@b.example,550 4.4.7 QUEUE.Expired,1,\r\n",
     "expiry 10 m=7 to=a@b.example 0 \"550 4.4.7 QUEUE.Expired\"\n"},
    {HEAD AT("010") ",198.18.0.7,MX1,,SMTP,FAIL,7,a@b.example,550 4.4.7 QUEUE.Expired; message "
                    "expired,1,\r\n",
     "", .wants = WANT_REPLIES},
    /* bare statuses */
    {HEAD AT("011") ",198.18.0.7,mx,,SMTP,DEFER,7,a@b.example;c@d.example;e@f.example,"
                    "452 4.3.1 full; try later;452-4.2.2 x;Connection reset,3,\r\n",
     "reply 11 m=7 to=a@b.example host=mx ip=198.18.0.7 by=receiver 452 4.3.1 \"full; try later\"\n"
     "reply 11 m=7 to=c@d.example host=mx ip=198.18.0.7 by=receiver 452 4.2.2 \"x;Connection "
     "reset\"\n"
     "reply 11 m=7 to=e@f.example host=mx ip=198.18.0.7 by=receiver 452 4.2.2 \"x;Connection "
     "reset\"\n",
     .wants = WANT_REPLIES},
    {HEAD AT("011") ",198.18.0.7,mx,,SMTP,DEFER,7,a@b.example;c@d.example,452 4.3.1 x;Connection "
                    "reset,2,\r\n",
     "reply 11 m=7 to=a@b.example host=mx ip=198.18.0.7 by=receiver 452 4.3.1 \"x\"\n"
     "reply 11 m=7 to=c@d.example host=mx ip=198.18.0.7 by=own-client 0 \"Connection reset\"\n",
     .wants = WANT_REPLIES},
    /* headers: other columns, a byte order mark, case */
    {HEAD
     "\xef\xbb\xbf#FIELDS: Event-Id,date-time,internal-message-id\r\nRECEIVE," AT("012") "9\r\n",
     "arrival 12 m=9\n"},
    {"#fields:date-time, event-id ,internal-message-id\r\n" AT("012") "RECEIVE,9\r\n",
     "arrival 12 m=9\n"},
    /* rows that are none */
    {AT("013") ",,,,SMTP,RECEIVE,7,a@b.example,,1,\r\n", "", .skips = 1U << SKIP_HEADER},
    {HEAD AT("014") ",,,,SMTP,RECEIVE,7,a@b.example,,1\r\n", "", .skips = 1U << SKIP_COLUMNS},
    {HEAD AT("014") ",,,,SMTP,RECEIVE,7,a@b.example,\"452 4.3.1\r\n" AT(
         "015") ",,,,SMTP,RECEIVE,8,a@b.example,,1,\r\n",
     "arrival 15 m=8 number=1\n", .skips = 1U << SKIP_COLUMNS, .rows = 1},
    {HEAD "2026-03-32T00:00:00.000Z,,,,,SMTP,RECEIVE,7,a@b.example,,1,\r\n", "",
     .skips = 1U << SKIP_TIME},
};

static void reads_rows(void **state)
{
    (void)state;
    testing_cases(&exchange_tracking_format, TESTING_ALL, cases, ARRAY_SIZE(cases));
}

/* A line break in quotes is part of the row where its chunk has all of it. */
static void reads_rows_of_two_lines(void **state)
{
    const struct slice log =
        SLICE_LIT(HEAD AT("001") ",,,,SMTP,RECEIVE,7,\"a@b.example\r\n\",,9,\r\n");
    struct testing_found got;

    (void)state;
    testing_scan(&exchange_tracking_format, log, TESTING_CARRY, TESTING_ALL, log.len, &got);
    assert_true(slice_eq(buf_slice(&got.facts), SLICE_LIT("arrival 1 m=7 number=9\n")));
    assert_int_equal(got.rows, 1);
    testing_found_done(&got);
}

static void is_known_by_its_head(void **state)
{
    static const struct {
        const char *head;
        bool is_it;
    } heads[] = {
        {HEAD, true},
        {"\xef\xbb\xbf#Software: x\r\n#log-TYPE:  message tracking log \r\n", true},
        {FIELDS, true},
        {"#Log-type: SMTP Send Protocol Log\r\n" FIELDS, false},
        {"#Fields: date-time,session,source\r\n", false},
        {"Mar  1 00:00:00 mx postfix/qmgr[1]: x\n", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
        if ((exchange_tracking_format.detect(slice_str(heads[i].head)) > 0) != heads[i].is_it)
            fail_msg("'%s'", heads[i].head);
    assert_ptr_equal(log_format_find(SLICE_LIT("exchange-tracking")), &exchange_tracking_format);
}

static void splits_rows(void **state)
{
    struct log_carry carry = {.columns = log_columns_of(SLICE_LIT("a,b"))}, none = {0};
    struct slice fields[LOG_COLUMNS_MAX];
    struct arena a = {0};

    (void)state;
    assert_int_equal(csv_rows_split(&carry, SLICE_LIT("1,\"2,\"\"3\""), &a, fields), 2);
    assert_true(slice_eq(fields[1], SLICE_LIT("2,\"3")));
    assert_true(csv_rows_split(&carry, SLICE_LIT("1,2,3"), &a, fields) < 0);
    assert_true(csv_rows_split(&carry, SLICE_LIT("#1,2"), &a, fields) < 0);
    assert_true(csv_rows_split(&carry, SLICE_LIT("\"1,2"), &a, fields) < 0);
    assert_true(csv_rows_split(&none, SLICE_LIT("1,2"), &a, fields) < 0);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_rows),
        cmocka_unit_test(reads_rows_of_two_lines),
        cmocka_unit_test(is_known_by_its_head),
        cmocka_unit_test(splits_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
