/*
 * logscan/powermta_test.c - records of PowerMTA's accounting files.
 */
#include "logscan/formats.h"
#include "logscan/scan_testing.h"

#define HEAD                                                                                       \
    "type,timeLogged,timeQueued,orig,rcpt,dsnStatus,dsnDiag,dsnMta,bounceCat,dlvSourceIp,"         \
    "dlvDestinationIp,vmta,jobId,envId\r\n"
#define TIMES(s) "2026-03-01 00:00:0" s "+0000,2026-03-01 00:00:00+0000,"
#define MAIL "s@s.example,a@b.example,"
#define HOST "mx.b.example (198.18.0.7),"
#define IPS "192.0.2.10,198.18.0.7,"
#define REST "vmta1,\"job 1, \"\"spring\"\"\",E7\r\n"

static const struct testing_case cases[] = {
    {HEAD "r," TIMES("1") MAIL ",,,,192.0.2.10,," REST, "arrival 1000 m=E7 from=s@s.example "
                                                        "via=vmta1 number=1\n"},
    {HEAD "d," TIMES("2") MAIL "2.0.0 (success),\"smtp;250 2.0.0 Ok, queued\"," HOST "," IPS REST,
     "attempt 2000 m=E7 from=s@s.example to=a@b.example host=mx.b.example ip=198.18.0.7 "
     "source=192.0.2.10 via=vmta1 phase=end of data by-recipient delivered 250 2.0.0 \"Ok, "
     "queued\"\n"},
    {HEAD "t," TIMES("2") MAIL
     "4.3.1 (mail system full),\"smtp;452 4.3.1 full, said: 452 4.2.2\"," HOST
     "quota-issues," IPS REST,
     "reply 2000 m=E7 from=s@s.example to=a@b.example host=mx.b.example ip=198.18.0.7 "
     "source=192.0.2.10 via=vmta1 by=receiver 452 4.3.1 \"full, said: 452 4.2.2\"\n"
     "attempt 2000 m=E7 from=s@s.example to=a@b.example host=mx.b.example ip=198.18.0.7 "
     "source=192.0.2.10 via=vmta1 by-recipient deferred 452 4.3.1 \"full, said: 452 4.2.2\"\n"},
    {HEAD "b," TIMES("2") MAIL ",smtp;550 5.1.1 no," HOST "bad-mailbox," IPS REST,
     "attempt 2000 m=E7 from=s@s.example to=a@b.example host=mx.b.example ip=198.18.0.7 "
     "source=192.0.2.10 via=vmta1 by-recipient failed 550 5.1.1 \"no\"\n",
     .wants = WANT_LIVES},
    /* nobody answered; too old */
    {HEAD "t," TIMES("3") MAIL
     "4.4.1,smtp;451 4.4.1 [internal] No answer from host (Connection refused),,"
     "no-answer-from-host,192.0.2.10,," REST,
     "reply 3000 m=E7 from=s@s.example to=a@b.example source=192.0.2.10 via=vmta1 phase=connect "
     "by=own-client 0 \"Connection refused\"\n",
     .wants = WANT_REPLIES},
    {HEAD "b," TIMES("4") MAIL
     "5.4.7,smtp;554 5.4.7 [internal] message timeout (exceeded max time),,,,," REST,
     "expiry 4000 m=E7 from=s@s.example to=a@b.example via=vmta1 0 \"exceeded max time\"\n"},
    {HEAD "b," TIMES("4") MAIL ",smtp;452 4.3.1 full," HOST "message-expired," IPS REST, "",
     .wants = WANT_REPLIES},
    /* a whole queue has no recipient; reports of others are no attempts */
    {HEAD "tq," TIMES("5") ",,,smtp;421 4.7.0 slow down," HOST "," IPS "vmta1,,\r\n",
     "reply 5000 m=2026-03-01 00:00:00+0000\n\n\n host=mx.b.example ip=198.18.0.7 "
     "source=192.0.2.10 "
     "via=vmta1 by=receiver 421 4.7.0 \"slow down\"\n"},
    {HEAD "f," TIMES("5") MAIL ",smtp;550 x,,,,," REST "rb," TIMES("5") MAIL
     ",smtp;550 x,,,,," REST,
     "", .rows = 2},
    /* few columns: the address is in dsnMta, the message is known by its parts, the status is all */
    {"\xef\xbb\xbftype,timeLogged,rcpt,dsnStatus,dsnMta\nt,1772323206,a@b.example,4.3.1 (mail "
     "system "
     "full),mx.b.example. (198.18.0.7)\n",
     "reply 6000 m=\n\na@b.example\n to=a@b.example host=mx.b.example ip=198.18.0.7 by=receiver 0 "
     "\"(mail system full)\"\n",
     .wants = WANT_REPLIES},
    {HEAD "type,timeLogged,envId,rcpt\r\nr,2026-03-01T01:00:07+01:00,E8,x@y.example\r\n",
     "arrival 7000 m=E8 number=1\n"},
    {HEAD "r,,," MAIL ",,,,,," REST, "", .skips = 1U << SKIP_TIME},
    {HEAD "r," TIMES("1") MAIL "x\r\n", "", .skips = 1U << SKIP_COLUMNS},
};

static void reads_records(void **state)
{
    (void)state;
    testing_cases(&powermta_format, TESTING_ALL, cases, ARRAY_SIZE(cases));
}

static void is_known_by_its_head(void **state)
{
    (void)state;
    assert_true(powermta_format.detect(SLICE_LIT(HEAD)) > 0);
    assert_true(powermta_format.detect(SLICE_LIT("\xef\xbb\xbftype,timeLogged\n")) > 0);
    assert_int_equal(powermta_format.detect(SLICE_LIT("type,color\n")), 0);
    assert_int_equal(powermta_format.detect(SLICE_LIT("")), 0);
    assert_ptr_equal(log_format_detect(SLICE_LIT(HEAD)), &powermta_format);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_records),
        cmocka_unit_test(is_known_by_its_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
