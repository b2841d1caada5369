/* logscan/exim_test.c - each kind of line of Exim's main log, as facts and as a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "logscan/exim.h"
#include "logscan/facts_kit.h"
#include "logscan/formats.h"

#define STAMP "2026-03-01 08:33:25 "
#define HEAD STAMP "1vwcEv-00000004CH8-07ah "
#define ID " m=1vwcEv-00000004CH8-07ah"
#define HOST " r=x@o.example h=mail.o.example a=198.18.0.7"
#define WHERE "R=dnslookup T=remote_smtp "
#define AT "H=mail.o.example [198.18.0.7]"
#define ERROR ": SMTP error from remote mail server after "

static const struct {
    const char *line, *facts; /* NULL: skipped */
} lines[] = {
    {HEAD "<= a@g.example H=app6.corp.example [203.0.113.16] P=esmtps X=TLS1.3:TLS_AES:256 CV=no "
          "S=16322 id=fbd4@labs.example T=\"452 4.3.1 H=x [::1]\"",
     "arrival" ID " s=a@g.example h=app6.corp.example a=203.0.113.16"},
    {HEAD "<= <> R=1vwcEv-00000004CH8-07ag U=Debian-exim P=local S=1", "arrival" ID},
    {HEAD "<= a@b H=(helo [10.0.0.5]) [2001:db8::1]:4711 P=esmtp",
     "arrival" ID " s=a@b a=2001:db8::1"},
    {HEAD "<= a@b H=h.b (helo) [192.0.2.1] P=esmtp", "arrival" ID " s=a@b h=h.b a=192.0.2.1"},
    {HEAD "(= a@b H=h.b [192.0.2.1] P=esmtp", "arrival" ID " s=a@b h=h.b a=192.0.2.1"},
    {HEAD "Completed", "end" ID},
    {HEAD "Completed QT=1s", "end" ID},
    /* delivered */
    {HEAD "=> x@o.example " WHERE AT
          " X=TLS1.3:TLS_AES:256 CV=yes C=\"250 2.0.0 \\\"OK\\\" id\" QT=1s",
     "reply receiver 250 2.0.0|\"OK\" id" ID HOST " end of data\n"
     "attempt delivered 250 2.0.0|\"OK\" id" ID HOST " end of data"},
    {HEAD "-> x@o.example " WHERE AT " C=\"250- 3150 byte chunk, total 3150\\\\n250 OK id=1abc\"",
     "reply receiver 250 -| 3150 byte chunk, total 3150 OK id=1abc" ID HOST " end of data\n"
     "attempt delivered 250 -| 3150 byte chunk, total 3150 OK id=1abc" ID HOST " end of data"},
    {HEAD "=> x@o.example " WHERE AT "* C=\"250 a",
     "reply receiver 250 -|a" ID HOST " end of data\n"
     "attempt delivered 250 -|a" ID HOST " end of data"},
    {HEAD "=> user <user@b> R=local_user T=local_delivery",
     "attempt delivered" ID " r=user@b end of data"},
    {HEAD "=> |/bin/x -a y@z <user@b> R=pipe T=address_pipe",
     "attempt delivered" ID " r=user@b end of data"},
    {HEAD "=> c@d <user@b> R=forward T=remote_smtp", "attempt delivered" ID " r=c@d end of data"},
    {HEAD "=> \"a b\"@c R=r T=t", "attempt delivered" ID " r=\"a b\"@c end of data"},
    {HEAD ">> x@o.example " WHERE AT " C=\"250 ok\"",
     "reply receiver 250 -|ok" ID HOST " end of data\narrival" ID "\n"
     "attempt delivered 250 -|ok" ID HOST " end of data"},
    {HEAD "*> x@o.example " WHERE AT, ""},
    /* deferred */
    {HEAD "== x@o.example " WHERE "defer (-45) " AT ERROR
          "pipelined MAIL FROM:<a: b@g.example>: 452 4.3.1 full",
     "reply receiver 452 4.3.1|full" ID HOST " mail\n"
     "attempt deferred 452 4.3.1|full" ID HOST " mail"},
    {HEAD
     "== x@o.example " WHERE "defer (-44) " AT ERROR
     "RCPT TO:<x@o.example>: 452-4.2.2 over quota\\n452-4.2.2 a \\n452 4.2.2 upstream: 452 4.3.1",
     "reply receiver 452 4.2.2|over quota a  upstream: 452 4.3.1" ID HOST " rcpt\n"
     "attempt deferred 452 4.2.2|over quota a  upstream: 452 4.3.1" ID HOST " rcpt"},
    {HEAD "== x@o.example " WHERE "defer (-46) " AT ERROR "end of data: 451 later",
     "reply receiver 451 -|later" ID HOST " end of data\n"
     "attempt deferred 451 -|later" ID HOST " end of data"},
    {HEAD "== x@o.example " WHERE "defer (0) " AT ERROR "initial connection: 421 4.3.2 no",
     "reply receiver 421 4.3.2|no" ID HOST " greeting\n"
     "attempt deferred 421 4.3.2|no" ID HOST " greeting"},
    {HEAD "== x@o.example " WHERE "defer (110): Connection timed out",
     "reply own-client 0 -|Connection timed out" ID " r=x@o.example\n"
     "attempt deferred 0 -|Connection timed out" ID " r=x@o.example"},
    {HEAD "== x@o.example " WHERE "defer (111) " AT ": Connection refused",
     "reply own-client 0 -|Connection refused" ID HOST "\n"
     "attempt deferred 0 -|Connection refused" ID HOST},
    {HEAD "== x@o.example " WHERE "defer (-54): retry time not reached for any host",
     "reply own-client 0 -|retry time not reached for any host" ID " r=x@o.example"},
    {HEAD "== x@o.example routing defer (-51): retry time not reached",
     "reply own-client 0 -|retry time not reached" ID " r=x@o.example"},
    /* failed */
    {HEAD "** x@o.example " WHERE AT ERROR
          "RCPT TO:<x@o.example>: 550 5.1.1 <x@o.example>: unknown",
     "reply receiver 550 5.1.1|<x@o.example>: unknown" ID HOST " rcpt\n"
     "attempt failed 550 5.1.1|<x@o.example>: unknown" ID HOST " rcpt"},
    {HEAD "** x@o.example " WHERE
          ": SMTP error from remote mail server after RCPT TO:<x@o.example>: host mail.o.example "
          "[198.18.0.7]: 550 5.1.1 no",
     "reply receiver 550 5.1.1|no" ID HOST " rcpt\nattempt failed 550 5.1.1|no" ID HOST " rcpt"},
    {HEAD "** x@o.example: retry timeout exceeded",
     "expiry 0 -|retry timeout exceeded" ID " r=x@o.example"},
    {HEAD "** x@o.example: Unrouteable address",
     "reply own-client 0 -|Unrouteable address" ID " r=x@o.example\n"
     "attempt failed 0 -|Unrouteable address" ID " r=x@o.example"},
    /* the host's line of a refusal, and what is no refusal */
    {HEAD AT ERROR "EHLO mx1.example: 550 5.7.1 no",
     "reply other 550 5.7.1|no" ID " h=mail.o.example a=198.18.0.7 hello"},
    {HEAD AT " Connection refused", ""},
    {HEAD "Unfrozen by root", ""},
    /* refusals of this host */
    {STAMP " H=(user) [203.0.113.77] F=<a@b> temporarily rejected RCPT <c@d>: Temporary problem",
     "reply own-server 0 -|Temporary problem s=a@b r=c@d a=203.0.113.77 rcpt"},
    {STAMP "H=h.b (x [1.2.3.4]) [203.0.113.77] F=<a@b> rejected RCPT <c@d>: relay not permitted",
     "reply own-server 0 -|relay not permitted s=a@b r=c@d h=h.b a=203.0.113.77 rcpt"},
    {HEAD "H=h.b [203.0.113.77] F=<> rejected after DATA: 554 5.7.1 spam",
     "reply own-server 554 5.7.1|spam" ID " h=h.b a=203.0.113.77 end of data"},
    {STAMP "H=[203.0.113.77] rejected connection in \"connect\" ACL",
     "reply own-server 0 -|connection in \"connect\" ACL a=203.0.113.77"},
    /* the head */
    {"2026-03-01 08:33:25.123 [4711] 1wXyZa-0005MB-00 Completed", "end m=1wXyZa-0005MB-00"},
    {"2026-03-01 08:33:25.123 +0100 [4711] 1wXyZa-0005MB-00 Completed", "end m=1wXyZa-0005MB-00"},
    {"Mar  1 08:33:25 mx1 exim[12]: 2026-03-01 08:33:25 1wXyZa-0005MB-00 Completed",
     "end m=1wXyZa-0005MB-00"},
    {"Mar  1 08:33:25 mx1 exim4[12]: [1/2] 1wXyZa-0005MB-00 Completed", "end m=1wXyZa-0005MB-00"},
    {"2026-03-01T08:33:25.123+00:00 mx1 exim[12]: [1\\2] 1wXyZa-0005MB-00 Completed",
     "end m=1wXyZa-0005MB-00"},
    {STAMP "Start queue run: pid=1", ""},
    {STAMP "1wXyZa-0005M!-00 Completed", ""},
    {STAMP "1vwcEv-00000004CH8-07a Completed", ""},
    {HEAD "== ", ""},
    {"Mar  1 08:33:25 mx1 dovecot: x", NULL},
    {"2026-03-01 08:33:65 1wXyZa-0005MB-00 Completed", NULL},
    {"x", NULL},
};

static void facts(void **state)
{
    static struct facts_kit k;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        bool is_row = facts_of_line(&k, &exim_format, lines[i].line);

        assert_int_equal(is_row, lines[i].facts != NULL);
        if (is_row)
            assert_string_equal(k.text, lines[i].facts);
    }
}

/* Any line may end anywhere; what is read past its end shows under a sanitizer. */
static void cut_anywhere(void **state)
{
    static struct facts_kit k;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        for (size_t len = 1; len < strlen(lines[i].line); len++) {
            char line[1024];

            (void)snprintf(line, sizeof(line), "%.*s", (int)len, lines[i].line);
            facts_of_line(&k, &exim_format, line);
            assert_true(k.tally.rows <= 1);
        }
}

static void times(void **state)
{
    static const struct {
        const char *line;
        int64_t at_ms;
        bool has_seconds;
    } cases[] = {
        {HEAD "Completed\n", INT64_C(1772354005000), true},
        {"2026-03-01 08:33:25.123 1vwcEv-00000004CH8-07ah Completed\n", INT64_C(1772354005123),
         false},
        {"2026-03-01 09:33:25.123 +0100 1vwcEv-00000004CH8-07ah Completed\n",
         INT64_C(1772354005123), false},
        {"Mar  1 08:33:25 mx1 exim[1]: 1wXyZa-0005MB-00 Completed\n", INT64_C(1772354005000), true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct log_scan s = {.format = &exim_format,
                             .bytes = slice_str(cases[i].line),
                             .wants = FACTS_ALL,
                             .carry = {.year = 2026}};

        exim_format.scan(&s);
        assert_int_equal(s.fact_count, 1);
        assert_int_equal(s.facts[0].at_ms, cases[i].at_ms);
        assert_int_equal(s.facts[0].has_seconds, cases[i].has_seconds);
        free(s.facts);
    }
}

static void rows(void **state)
{
    static const struct {
        const char *line;
        int column;
        const char *want;
    } cases[] = {
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
    const struct log_carry carry = {.year = 2026, .month = 3};
    struct slice names = slice_str(EXIM_COLUMNS), fields[LOG_COLUMNS_MAX];
    struct arena a = {0};

    (void)state;
    assert_int_equal(log_columns_of(names)->count, EXIM_COLUMN_COUNT);
    assert_int_equal(log_columns_find(log_columns_of(names), SLICE_LIT("reply")),
                     EXIM_REPLY_COLUMN);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int n = exim_split(&carry, slice_str(cases[i].line), &a, fields);

        assert_int_equal(n, cases[i].want ? EXIM_COLUMN_COUNT : -EINVAL);
        if (cases[i].want)
            assert_true(slice_eq(fields[cases[i].column], slice_str(cases[i].want)));
    }
    arena_done(&a);
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

static int set_utc(void **state)
{
    (void)state;
    return stamp_zone("UTC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts), cmocka_unit_test(cut_anywhere), cmocka_unit_test(times),
        cmocka_unit_test(rows),  cmocka_unit_test(detected),
    };

    return cmocka_run_group_tests_name("exim", tests, set_utc, NULL);
}
