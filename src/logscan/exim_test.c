/* logscan/exim_test.c - each kind of line of Exim's main log, as facts and as a row. */
#include "logscan/exim.h"

#include "logscan/formats.h"
#include "logscan/scan_testing.h"

#define STAMP "2026-03-01 08:33:25 "
#define HEAD STAMP "1vwcEv-00000004CH8-07ah "
#define ID " 30805000 m=1vwcEv-00000004CH8-07ah"
#define HOST " to=x@o.example host=mail.o.example ip=198.18.0.7 via=remote_smtp"
#define WHERE "R=dnslookup T=remote_smtp "
#define AT "H=mail.o.example [198.18.0.7]"
#define ERROR ": SMTP error from remote mail server after "

static const struct testing_case cases[] = {
    {HEAD "<= a@g.example H=app6.corp.example [203.0.113.16] P=esmtps X=TLS1.3:TLS_AES:256 CV=no "
          "S=16322 id=fbd4@labs.example T=\"452 4.3.1 H=x [::1]\"\n",
     "arrival" ID " from=a@g.example host=app6.corp.example ip=203.0.113.16\n"},
    {HEAD "<= <> R=1vwcEv-00000004CH8-07ag U=Debian-exim P=local S=1\n", "arrival" ID "\n"},
    {HEAD "<= a@b H=(helo [10.0.0.5]) [2001:db8::1]:4711 P=esmtp\n",
     "arrival" ID " from=a@b ip=2001:db8::1\n"},
    {HEAD "<= a@b H=h.b (helo) [192.0.2.1] P=esmtp\n",
     "arrival" ID " from=a@b host=h.b ip=192.0.2.1\n"},
    {HEAD "(= a@b H=h.b [192.0.2.1] P=esmtp\n", "arrival" ID " from=a@b host=h.b ip=192.0.2.1\n"},
    {HEAD "Completed\n", "end" ID "\n"},
    {HEAD "Completed QT=1s\n", "end" ID "\n"},
    /* delivered */
    {HEAD "=> x@o.example " WHERE AT
          " X=TLS1.3:TLS_AES:256 CV=yes C=\"250 2.0.0 \\\"OK\\\" id\" QT=1s\n",
     "reply" ID HOST " phase=end of data by=receiver 250 2.0.0 \"\"OK\" id\"\n"
     "attempt" ID HOST " phase=end of data by-recipient delivered 250 2.0.0 \"\"OK\" id\"\n"},
    {HEAD "-> x@o.example " WHERE AT " C=\"250- 3150 byte chunk, total 3150\\\\n250 OK id=1abc\"\n",
     "reply" ID HOST
     " phase=end of data by=receiver 250 - \" 3150 byte chunk, total 3150 OK id=1abc\"\n"
     "attempt" ID HOST " phase=end of data by-recipient delivered 250 - \" 3150 byte chunk, total "
     "3150 OK id=1abc\"\n"},
    {HEAD "=> x@o.example " WHERE AT "* C=\"250 a\n",
     "reply" ID HOST " phase=end of data by=receiver 250 - \"a\"\n"
     "attempt" ID HOST " phase=end of data by-recipient delivered 250 - \"a\"\n"},
    {HEAD "=> user <user@b> R=local_user T=local_delivery\n",
     "attempt" ID " to=user@b via=local_delivery phase=end of data by-recipient delivered\n"},
    {HEAD "=> |/bin/x -a y@z <user@b> R=pipe T=address_pipe\n",
     "attempt" ID " to=user@b via=address_pipe phase=end of data by-recipient delivered\n"},
    {HEAD "=> c@d <user@b> R=forward T=remote_smtp\n",
     "attempt" ID " to=c@d via=remote_smtp phase=end of data by-recipient delivered\n"},
    {HEAD "=> \"a b\"@c R=r T=t\n",
     "attempt" ID " to=\"a b\"@c via=t phase=end of data by-recipient delivered\n"},
    {HEAD ">> x@o.example " WHERE AT " C=\"250 ok\"\n",
     "reply" ID HOST " phase=end of data by=receiver 250 - \"ok\"\n"
     "arrival" ID "\n"
     "attempt" ID HOST " phase=end of data by-recipient delivered 250 - \"ok\"\n"},
    {HEAD "*> x@o.example " WHERE AT "\n", ""},
    /* deferred */
    {HEAD "== x@o.example " WHERE "defer (-45) " AT ERROR
          "pipelined MAIL FROM:<a: b@g.example>: 452 4.3.1 full\n",
     "reply" ID HOST " phase=mail by=receiver 452 4.3.1 \"full\"\n"
     "attempt" ID HOST " phase=mail by-recipient deferred 452 4.3.1 \"full\"\n"},
    {HEAD
     "== x@o.example " WHERE "defer (-44) " AT ERROR
     "RCPT TO:<x@o.example>: 452-4.2.2 over quota\\n452-4.2.2 a \\n452 4.2.2 upstream: 452 4.3.1\n",
     "reply" ID HOST " phase=rcpt by=receiver 452 4.2.2 \"over quota a  upstream: 452 4.3.1\"\n"
     "attempt" ID HOST
     " phase=rcpt by-recipient deferred 452 4.2.2 \"over quota a  upstream: 452 4.3.1\"\n"},
    {HEAD "== x@o.example " WHERE "defer (-46) " AT ERROR "end of data: 451 later\n",
     "reply" ID HOST " phase=end of data by=receiver 451 - \"later\"\n"
     "attempt" ID HOST " phase=end of data by-recipient deferred 451 - \"later\"\n"},
    {HEAD "== x@o.example " WHERE "defer (0) " AT ERROR "initial connection: 421 4.3.2 no\n",
     "reply" ID HOST " phase=greeting by=receiver 421 4.3.2 \"no\"\n"
     "attempt" ID HOST " phase=greeting by-recipient deferred 421 4.3.2 \"no\"\n"},
    {HEAD "== x@o.example " WHERE "defer (110): Connection timed out\n",
     "reply" ID
     " to=x@o.example via=remote_smtp phase=connect by=own-client 0 \"Connection timed out\"\n"
     "attempt" ID " to=x@o.example via=remote_smtp phase=connect by-recipient deferred 0 "
     "\"Connection timed out\"\n"},
    {HEAD "== x@o.example " WHERE "defer (111) " AT ": Connection refused\n",
     "reply" ID HOST " phase=connect by=own-client 0 \"Connection refused\"\n"
     "attempt" ID HOST " phase=connect by-recipient deferred 0 \"Connection refused\"\n"},
    {HEAD "== x@o.example " WHERE "defer (-54): retry time not reached for any host\n",
     "reply" ID
     " to=x@o.example via=remote_smtp by=own-client 0 \"retry time not reached for any host\"\n"},
    {HEAD "== x@o.example routing defer (-51): retry time not reached\n",
     "reply" ID " to=x@o.example by=own-client 0 \"retry time not reached\"\n"},
    /* failed */
    {HEAD "** x@o.example " WHERE AT ERROR
          "RCPT TO:<x@o.example>: 550 5.1.1 <x@o.example>: unknown\n",
     "reply" ID HOST " phase=rcpt by=receiver 550 5.1.1 \"<x@o.example>: unknown\"\n"
     "attempt" ID HOST " phase=rcpt by-recipient failed 550 5.1.1 \"<x@o.example>: unknown\"\n"},
    {HEAD "** x@o.example " WHERE
          ": SMTP error from remote mail server after RCPT TO:<x@o.example>: host mail.o.example "
          "[198.18.0.7]: 550 5.1.1 no\n",
     "reply" ID HOST " phase=rcpt by=receiver 550 5.1.1 \"no\"\n"
     "attempt" ID HOST " phase=rcpt by-recipient failed 550 5.1.1 \"no\"\n"},
    {HEAD "** x@o.example: retry timeout exceeded\n",
     "expiry" ID " to=x@o.example 0 \"retry timeout exceeded\"\n"},
    {HEAD "** x@o.example: Unrouteable address\n",
     "reply" ID " to=x@o.example by=own-client 0 \"Unrouteable address\"\n"
     "attempt" ID " to=x@o.example by-recipient failed 0 \"Unrouteable address\"\n"},
    /* the host's line of a refusal, and what is no refusal */
    {HEAD AT ERROR "EHLO mx1.example: 550 5.7.1 no\n",
     "reply" ID
     " host=mail.o.example ip=198.18.0.7 phase=hello other-host by=receiver 550 5.7.1 \"no\"\n"},
    {HEAD AT " Connection refused\n", ""},
    {HEAD "Unfrozen by root\n", ""},
    /* refusals of this host */
    {STAMP " H=(user) [203.0.113.77] F=<a@b> temporarily rejected RCPT <c@d>: Temporary problem\n",
     "reply 30805000 from=a@b to=c@d ip=203.0.113.77 phase=rcpt by=own-server 0 \"Temporary "
     "problem\"\n"},
    {STAMP "H=h.b (x [1.2.3.4]) [203.0.113.77] F=<a@b> rejected RCPT <c@d>: relay not permitted\n",
     "reply 30805000 from=a@b to=c@d host=h.b ip=203.0.113.77 phase=rcpt by=own-server 0 \"relay "
     "not permitted\"\n"},
    {HEAD "H=h.b [203.0.113.77] F=<> rejected after DATA: 554 5.7.1 spam\n",
     "reply" ID " host=h.b ip=203.0.113.77 phase=end of data by=own-server 554 5.7.1 \"spam\"\n"},
    {STAMP "H=[203.0.113.77] rejected connection in \"connect\" ACL\n",
     "reply 30805000 ip=203.0.113.77 phase=connect by=own-server 0 \"connection in \"connect\" "
     "ACL\"\n"},
    /* the head */
    {"2026-03-01 08:33:25.123 [4711] 1wXyZa-0005MB-00 Completed\n",
     "end 30805123 m=1wXyZa-0005MB-00\n"},
    {"2026-03-01 08:33:25.123 +0100 [4711] 1wXyZa-0005MB-00 Completed\n",
     "end 27205123 m=1wXyZa-0005MB-00\n"},
    {"Mar  1 08:33:25 mx1 exim[12]: 2026-03-01 08:33:25 1wXyZa-0005MB-00 Completed\n",
     "end 30805000 m=1wXyZa-0005MB-00\n"},
    {"Mar  1 08:33:25 mx1 exim4[12]: [1/2] 1wXyZa-0005MB-00 Completed\n",
     "end 30805000 m=1wXyZa-0005MB-00\n"},
    {"2026-03-01T08:33:25.123+00:00 mx1 exim[12]: [1\\2] 1wXyZa-0005MB-00 Completed\n",
     "end 30805123 m=1wXyZa-0005MB-00\n"},
    {STAMP "Start queue run: pid=1\n", ""},
    {STAMP "1wXyZa-0005M!-00 Completed\n", ""},
    {STAMP "1vwcEv-00000004CH8-07a Completed\n", ""},
    {HEAD "== \n", ""},
    {"Mar  1 08:33:25 mx1 dovecot: x\n", "", .skips = 1U << SKIP_FORM},
    {"2026-03-01 08:33:65 1wXyZa-0005MB-00 Completed\n", "", .skips = 1U << SKIP_TIME},
    {"x\n", "", .skips = 1U << SKIP_TIME},
};

static void facts(void **state)
{
    (void)state;
    testing_cases(&exim_format, TESTING_ACCEPTED, cases, ARRAY_SIZE(cases));
}

static void cut_anywhere(void **state)
{
    (void)state;
    testing_cut_cases(&exim_format, cases, ARRAY_SIZE(cases));
}

static void times(void **state)
{
    static const struct {
        const char *line;
        int64_t at_ms;
        bool has_seconds;
    } stamps[] = {
        {HEAD "Completed\n", INT64_C(1772354005000), true},
        {"2026-03-01 08:33:25.123 1vwcEv-00000004CH8-07ah Completed\n", INT64_C(1772354005123),
         false},
        {"2026-03-01 09:33:25.123 +0100 1vwcEv-00000004CH8-07ah Completed\n",
         INT64_C(1772354005123), false},
        {"Mar  1 08:33:25 mx1 exim[1]: 1wXyZa-0005MB-00 Completed\n", INT64_C(1772354005000), true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(stamps); i++) {
        struct log_scan s = {.format = &exim_format,
                             .bytes = slice_str(stamps[i].line),
                             .wants = TESTING_ALL,
                             .carry = {.year = 2026}};

        exim_format.scan(&s);
        assert_int_equal(s.fact_count, 1);
        assert_int_equal(s.facts[0].at_ms, stamps[i].at_ms);
        assert_int_equal(s.facts[0].has_seconds, stamps[i].has_seconds);
        log_scan_done(&s);
    }
}

static void rows(void **state)
{
    static const struct testing_field fields[] = {
        {HEAD "Completed", EXIM_TIME, "2026-03-01T08:33:25.000Z"},
        {HEAD "Completed", EXIM_ID, "1vwcEv-00000004CH8-07ah"},
        {HEAD "Completed", EXIM_TEXT, "Completed"},
        {"2026-03-01 08:33:25 [4711] 1wXyZa-0005MB-00 Completed", EXIM_PID, "4711"},
        {HEAD "<= a@b H=h [::1] S=12 id=x@y T=\" S=13\"", EXIM_SIZE, "12"},
        {HEAD "<= a@b H=h [::1] S=12 id=x@y T=\" S=13\"", EXIM_MESSAGE_ID, "x@y"},
        {HEAD "<= a@b H=h [::1] S=12 id=x@y T=\" S=13\"", EXIM_FROM, "a@b"},
        {HEAD "<= a@b H=h [::1] S=12 id=x@y T=\" S=13\"", EXIM_FLAG, "<="},
        {HEAD "=> a@b R=r T=t H=h [::1] C=\"250 ok\"", EXIM_ADDRESS, "a@b"},
        {HEAD "=> a@b R=r T=t H=h [::1] C=\"250 ok\"", EXIM_ROUTER, "r"},
        {HEAD "=> a@b R=r T=t H=h [::1] C=\"250 ok\"", EXIM_TRANSPORT, "t"},
        {HEAD "=> a@b R=r T=t H=h [::1] C=\"250 ok\"", EXIM_HOST, "h"},
        {HEAD "=> a@b R=r T=t H=h [::1] C=\"250 ok\"", EXIM_IP, "::1"},
        {HEAD "=> a@b R=r T=t H=h [::1] C=\"250 ok\"", EXIM_REPLY_COLUMN, "250 ok"},
        {HEAD "== a@b R=r T=t defer (-44) H=h [::1]" ERROR "DATA: 452 x", EXIM_REPLY_COLUMN,
         "452 x"},
        {HEAD "== a@b R=r T=t defer (-44) H=h [::1]" ERROR "DATA: 452 x", EXIM_ERROR, "-44"},
        {HEAD "== a@b R=r T=t defer (111): Connection refused", EXIM_REPLY_COLUMN,
         "Connection refused"},
        {STAMP "H=h [::1] F=<a@b> rejected RCPT <c@d>: no", EXIM_REPLY_COLUMN, "no"},
        {STAMP "H=h [::1] F=<a@b> rejected RCPT <c@d>: no", EXIM_FLAG, "rejected"},
        {STAMP "H=h [::1]" ERROR "DATA: 452 x", EXIM_REPLY_COLUMN, "452 x"},
        {"no time", -1, NULL},
    };

    (void)state;
    testing_fields(&exim_format, SLICE_LIT("reply"), fields, ARRAY_SIZE(fields));
}

static void detected(void **state)
{
    (void)state;
    assert_true(exim_format.detect(SLICE_LIT("2026-03-01 08:33:25 exim 4.97 daemon started\n" HEAD
                                             "Completed\n")) > 0);
    assert_true(exim_format.detect(SLICE_LIT("Mar  1 08:33:25 mx1 exim[1]: 1wXyZa-0005MB-00 x\n")) >
                0);
    assert_int_equal(exim_format.detect(SLICE_LIT("2026-03-01 08:33:25 something else\n")), 0);
    assert_int_equal(exim_format.detect(SLICE_LIT("Mar  1 08:33:25 mx1 postfix/smtp[1]: x\n")), 0);
    assert_int_equal(exim_format.detect(slice_make(NULL, 0)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts), cmocka_unit_test(cut_anywhere), cmocka_unit_test(times),
        cmocka_unit_test(rows),  cmocka_unit_test(detected),
    };

    return cmocka_run_group_tests_name("exim", tests, testing_utc, NULL);
}
