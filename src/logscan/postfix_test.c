/* logscan/postfix_test.c - each kind of line that Postfix writes, as facts and as a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "logscan/facts_kit.h"
#include "logscan/formats.h"
#include "logscan/postfix.h"

#define HEAD "Mar  1 08:34:46 mx1 postfix/"
#define SMTP HEAD "smtp[4105]: 4fNwF20043zf: "
#define TO                                                                                         \
    "to=<v@gmz.example>, relay=mx1.gmz.example[198.18.10.7]:25, delay=1.2, delays=0.1/0/0/1, "
#define HOST " m=4fNwF20043zf@mx1 r=v@gmz.example h=mx1.gmz.example a=198.18.10.7"
#define ID " m=4fNwF20043zf@mx1"

static const struct {
    const char *line, *facts; /* NULL: skipped */
} lines[] = {
    /* arrivals, queue runs, ends */
    {HEAD "smtpd[2011]: 4fNwF20043zf: client=app2.corp.example[203.0.113.12]",
     "arrival" ID " h=app2.corp.example a=203.0.113.12"},
    {HEAD "submission/smtpd[2011]: 4fNwF20043zf: client=unknown[2001:db8::1], sasl_method=PLAIN",
     "arrival" ID " a=2001:db8::1"},
    {HEAD "pickup[2011]: 4fNwF20043zf: uid=0 from=<root>", "arrival" ID " s=root"},
    {HEAD "cleanup[1]: 4fNwF20043zf: message-id=<a@b>", ""},
    {HEAD "qmgr[1]: 4fNwF20043zf: from=<x@y.example>, size=37448, nrcpt=12 (queue active)",
     "begin" ID " s=x@y.example 12"},
    {HEAD "qmgr[1]: 4fNwF20043zf: from=<>, size=1, nrcpt=1 (queue active)", "begin" ID " 1"},
    {HEAD "qmgr[1]: 4fNwF20043zf: from=<a@b>, size=1, nrcpt=99999999999999 (queue active)",
     "begin" ID " s=a@b 1000000"},
    {HEAD "qmgr[1]: 4fNwF20043zf: from=<a@b>, status=expired, returned to sender",
     "expiry" ID " s=a@b"},
    {HEAD "qmgr[1]: 4fNwF20043zf: from=<a@b>, status=force-expired, returned to sender",
     "expiry" ID " s=a@b"},
    {HEAD "qmgr[1]: 4fNwF20043zf: removed", "end" ID},
    {HEAD "qmgr[1]: 4fNwF20043zf: removed twice", ""},
    {HEAD "bounce[1]: 4fNwF20043zf: sender non-delivery notification: 4ZZ1", ""},
    /* deliveries */
    {SMTP TO "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 7B3919AE693)",
     "reply receiver 250 2.0.0|Ok: queued as 7B3919AE693" HOST " end of data\n"
     "attempt delivered 250 2.0.0|Ok: queued as 7B3919AE693" HOST " end of data"},
    {SMTP TO "dsn=4.3.1, status=deferred (host mx1.gmz.example[198.18.10.7] said: 452 4.3.1 "
             "Insufficient system storage (in reply to MAIL FROM command))",
     "reply receiver 452 4.3.1|Insufficient system storage" HOST " mail\n"
     "attempt deferred 452 4.3.1|Insufficient system storage" HOST " mail"},
    {SMTP TO "dsn=4.2.2, status=deferred (host h[::1] said: 452-4.2.2 over quota 452-4.2.2 a (b) "
             "452 4.2.2 (in reply to x) c (in reply to RCPT TO command))",
     "reply receiver 452 4.2.2|over quota a (b) (in reply to x) c" HOST " rcpt\n"
     "attempt deferred 452 4.2.2|over quota a (b) (in reply to x) c" HOST " rcpt"},
    {SMTP TO "tls=may/requiretls:none, dsn=5.0.0, status=bounced (host h[::1] refused to talk to "
             "me: 554 no)",
     "reply receiver 554 -|no" HOST " greeting\nattempt failed 554 -|no" HOST " greeting"},
    {SMTP "to=<\"a, relay=>b\"@x.example>, orig_to=<root>, relay=mx[2001:db8::1]:25, conn_use=2, "
          "delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (250 ok)",
     "reply receiver 250 -|ok" ID " r=\"a, relay=>b\"@x.example h=mx a=2001:db8::1 end of data\n"
     "attempt delivered 250 -|ok" ID " r=\"a, relay=>b\"@x.example h=mx a=2001:db8::1 end of data"},
    {SMTP TO "dsn=4.4.2, status=deferred (lost connection with mx1.gmz.example[198.18.10.7] while "
             "sending end of data -- message may be sent more than once)",
     "reply own-client 0 -|lost connection while sending end of data -- message may be sent more "
     "than once" HOST " end of data\n"
     "attempt deferred 0 -|lost connection while sending end of data -- message may be sent more "
     "than once" HOST " end of data"},
    {SMTP TO "dsn=4.4.2, status=deferred (conversation with mx1.gmz.example[198.18.10.7] timed out "
             "while receiving the initial server greeting)",
     "reply own-client 0 -|conversation timed out while receiving the initial server "
     "greeting" HOST " greeting\n"
     "attempt deferred 0 -|conversation timed out while receiving the initial server "
     "greeting" HOST " greeting"},
    {SMTP "to=<a@b>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (connect to "
          "mx.b[192.0.2.1]:25: Connection timed out)",
     "reply own-client 0 -|Connection timed out" ID " r=a@b\n"
     "attempt deferred 0 -|Connection timed out" ID " r=a@b"},
    {SMTP "to=<a@b>, relay=none, delay=1, delays=1/0/0/0, dsn=5.4.6, status=bounced (mail for b "
          "loops back to myself)",
     "reply own-client 0 -|mail for b loops back to myself" ID " r=a@b\n"
     "attempt failed 0 -|mail for b loops back to myself" ID " r=a@b"},
    /* an old answer told again is no attempt */
    {HEAD "error[1]: 4fNwF20043zf: to=<a@b>, relay=none, delay=1, delays=1/0/0/0, dsn=4.3.1, "
          "status=deferred (delivery temporarily suspended: host h[::1] refused to talk to me: 452 "
          "4.3.1 full)",
     "reply own-client 0 -|delivery temporarily suspended" ID " r=a@b"},
    {HEAD "local[1]: 4fNwF20043zf: to=<a@b>, relay=local, delay=1, delays=1/0/0/0, dsn=2.0.0, "
          "status=sent (delivered to mailbox)",
     "attempt delivered 0 -|delivered to mailbox" ID " r=a@b end of data"},
    {HEAD "lmtp[1]: 4fNwF20043zf: to=<a@b>, relay=mx1[private/dovecot-lmtp], delay=1, "
          "delays=1/0/0/0, dsn=4.2.2, status=SOFTBOUNCE (host mx1[private/dovecot-lmtp] said: 552 "
          "5.2.2 <a@b> full (in reply to end of DATA command))",
     "reply receiver 552 5.2.2|<a@b> full" ID " r=a@b end of data\n"
     "attempt deferred 552 5.2.2|<a@b> full" ID " r=a@b end of data"},
    /* a probe, a cut line, no status */
    {SMTP TO "dsn=5.1.1, status=undeliverable (host h[::1] said: 550 5.1.1 no (in reply to RCPT TO "
             "command))",
     "reply receiver 550 5.1.1|no" HOST " rcpt"},
    {SMTP TO "dsn=4.3.1, status=deferred (host h[::1] said: 452 4.3.1 Insuff",
     "reply receiver 452 4.3.1|Insuff" HOST "\nattempt deferred 452 4.3.1|Insuff" HOST},
    {SMTP TO "dsn=4.3.1", ""},
    {SMTP "to=<a@b", ""},
    {SMTP "passing <a@b> to transport=local", ""},
    /* another host of the same attempt */
    {SMTP "host mx2.gmz.example[198.18.10.8] said: 452 4.3.1 full (in reply to MAIL FROM command)",
     "other"},
    {SMTP "host mx2.gmz.example[198.18.10.8] refused to talk to me: 421 4.3.2 no", "other"},
    {SMTP "lost connection with mx2.gmz.example[198.18.10.8] while sending RCPT TO", "other"},
    {HEAD "smtp[1]: connect to mx2.gmz.example[198.18.10.8]:25: Connection refused", ""},
    /* refusals of this host */
    {HEAD "smtpd[1]: NOQUEUE: reject: MAIL from unknown[203.0.113.77]: 452 4.3.1 Insufficient "
          "system storage; proto=ESMTP helo=<[10.0.0.5]>",
     "reply own-server 452 4.3.1|Insufficient system storage a=203.0.113.77 mail"},
    {HEAD
     "smtpd[1]: 4fNwF20043zf: reject: RCPT from h[203.0.113.77]: 554 5.7.1 <a@b>: no; from=<x> "
     "really; from=<c@d> to=<a@b> proto=ESMTP helo=<x>",
     "reply own-server 554 5.7.1|<a@b>: no; from=<x> really" ID
     " s=c@d r=a@b h=h a=203.0.113.77 rcpt"},
    {HEAD
     "postscreen[1]: NOQUEUE: reject: RCPT from [203.0.113.7]:4711: 450 4.3.2 Service currently "
     "unavailable; from=<c@d>, to=<a@b>, proto=ESMTP, helo=<x>",
     "reply own-server 450 4.3.2|Service currently unavailable s=c@d r=a@b a=203.0.113.7 rcpt"},
    {HEAD
     "cleanup[1]: 4fNwF20043zf: milter-reject: END-OF-MESSAGE from h[192.0.2.1]: 5.7.1 Blocked; "
     "from=<c@d> to=<a@b> proto=ESMTP helo=<x>",
     "reply own-server 550 5.7.1|Blocked" ID " s=c@d r=a@b h=h a=192.0.2.1 end of data"},
    {HEAD
     "cleanup[1]: 4fNwF20043zf: milter-reject: RCPT from h[192.0.2.1]: 4.7.1 later; from=<c@d>",
     "reply own-server 451 4.7.1|later" ID " s=c@d h=h a=192.0.2.1 rcpt"},
    {HEAD "cleanup[1]: 4fNwF20043zf: reject: header Subject: 452: x from h[192.0.2.1]; from=<c@d> "
          "to=<a@b> proto=ESMTP helo=<x>: 5.7.1 no",
     "reply own-server 550 5.7.1|no" ID " end of data"},
    {HEAD "smtpd[1]: NOQUEUE: reject_warning: RCPT from h[192.0.2.1]: 450 4.7.1 x; proto=SMTP", ""},
    {HEAD "smtpd[1]: NOQUEUE: reject: RCPT", ""},
    {HEAD "cleanup[1]: 4fNwF20043zf: info: header Subject: status=deferred (452 4.3.1)", ""},
    /* the head */
    {"<22>Mar  1 08:34:46 mx1 postfix/qmgr[1]: 4fNwF20043zf: removed", "end" ID},
    {"<22>1 2026-03-01T08:34:46.123456+00:00 mx1 postfix/qmgr 1 - - 4fNwF20043zf: removed",
     "end" ID},
    {"<22>1 2026-03-01T08:34:46Z mx1 postfix/qmgr 1 - [a b=\"]\\\"\"][c] 4fNwF20043zf: removed",
     "end" ID},
    {"2026-03-01T08:34:46.123456+00:00 mx1 postfix-out/qmgr[1]: 4fNwF20043zf: removed", "end" ID},
    {"2026-03-01T08:34:46+0200 mx1 postfix/qmgr: BDBF2A1: removed", "end m=BDBF2A1@mx1"},
    {HEAD "qmgr[1]: warning: removed", ""},
    {HEAD "qmgr[1]: 4fNwF20043zf: ", ""},
    {HEAD "qmgr[1]: ", ""},
    {"Mar  1 08:34:46 mx1 last message repeated 3 times", NULL},
    {HEAD "smtpd[1]: message repeated 2 times: [ NOQUEUE: reject: x]", NULL},
    {"Mar  1 08:34:46 mx1 dovecot: imap-login: x", NULL},
    {"Mar  1 08:34:46 mx1 kernel", NULL},
    {"Mar 32 08:34:46 mx1 postfix/qmgr[1]: 4fNwF20043zf: removed", NULL},
    {"Mar  1 08:34:46", NULL},
    {"<22>1 2026-03-01T08:34:46Z mx1 postfix/qmgr 1 - [a", NULL},
    {"<", NULL},
    {"\xff\xfe", NULL},
};

static void facts(void **state)
{
    static struct facts_kit k;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        bool is_row = facts_of_line(&k, &postfix_format, lines[i].line);

        assert_int_equal(is_row, lines[i].facts != NULL);
        if (is_row && strcmp(lines[i].facts, "other") == 0)
            assert_memory_equal(k.text, "reply other ", 12);
        else if (is_row)
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
            facts_of_line(&k, &postfix_format, line);
            assert_true(k.tally.rows <= 1);
        }
}

/* The new year comes in the midst of a chunk; cut at any line it is the same. */
static void new_year(void **state)
{
    static const char log[] = "Dec 31 23:59:59 mx1 postfix/qmgr[1]: BBBBB1: removed\n"
                              "Jan  1 00:00:00 mx1 postfix/qmgr[1]: BBBBB2: removed\n"
                              "Dec 31 23:59:59 mx1 postfix/qmgr[1]: BBBBB3: removed\r\n"
                              "\n"
                              "Jan  1 00:00:01 mx1 postfix/qmgr[1]: BBBBB4: removed\n";
    static struct facts_kit whole, cut;
    const struct log_carry carry = {.year = 2025, .month = 12};

    (void)state;
    facts_scan(&whole, &postfix_format, slice_str(log), SIZE_MAX, carry);
    facts_scan(&cut, &postfix_format, slice_str(log), 1, carry);
    assert_string_equal(whole.text,
                        "end m=BBBBB1@mx1\nend m=BBBBB2@mx1\nend m=BBBBB3@mx1\nend m=BBBBB4@mx1\n");
    assert_string_equal(whole.text, cut.text);
    assert_int_equal(whole.carry.year, 2026);
    assert_int_equal(whole.carry.month, 1);
    assert_true(log_carry_eq(&whole.carry, &cut.carry));
    assert_int_equal(whole.tally.rows, 4);
}

/* The stamp of the line before is not read again; a year that moved on in between counts. */
static void same_stamp(void **state)
{
    static const char log[] = "Dec 31 23:59:59 mx1 postfix/qmgr[1]: BBBBB1: removed\n"
                              "Jan 1 00:00:00 mx1 postfix/qmgr[1]: BBBBB2: removed\n"
                              "Dec 31 23:59:59 mx1 postfix/qmgr[1]: BBBBB3: removed\n";
    static struct facts_kit k;

    (void)state;
    facts_scan(&k, &postfix_format, slice_str(log), SIZE_MAX,
               (struct log_carry){.year = 2025, .month = 12});
    assert_int_equal(k.tally.rows, 3);
    assert_int_equal(k.carry.year, 2025);
    assert_int_equal(k.carry.month, 12);
}

/* What nobody wants is not made. */
static void wants(void **state)
{
    static const unsigned all[] = {WANT_REPLIES, WANT_ACCEPTED, WANT_LIVES};

    (void)state;
    for (size_t w = 0; w < ARRAY_SIZE(all); w++)
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
            char line[1024];
            int n = snprintf(line, sizeof(line), "%s\n", lines[i].line);
            struct log_scan s = {.format = &postfix_format,
                                 .bytes = slice_make(line, (size_t)n),
                                 .wants = all[w],
                                 .carry = {.year = 2026}};

            postfix_format.scan(&s);
            for (size_t f = 0; f < s.fact_count; f++) {
                bool is_reply = s.facts[f].kind == FACT_REPLY;
                bool is_accepted = is_reply && s.facts[f].reply.code / 100 == 2;

                assert_int_equal(is_accepted ? WANT_ACCEPTED
                                 : is_reply  ? WANT_REPLIES
                                             : WANT_LIVES,
                                 all[w]);
            }
            free(s.facts);
            arena_done(&s.arena);
        }
}

static void rows(void **state)
{
    static const struct {
        const char *line;
        int column;
        const char *want;
    } cases[] = {
        {HEAD "qmgr[15]: 4fNwF20043zf: removed", POSTFIX_TIME, "2026-03-01T08:34:46.000Z"},
        {HEAD "qmgr[15]: 4fNwF20043zf: removed", POSTFIX_HOST, "mx1"},
        {HEAD "qmgr[15]: 4fNwF20043zf: removed", POSTFIX_PROGRAM, "qmgr"},
        {HEAD "qmgr[15]: 4fNwF20043zf: removed", POSTFIX_PID, "15"},
        {HEAD "qmgr[15]: 4fNwF20043zf: removed", POSTFIX_QUEUE_ID, "4fNwF20043zf"},
        {HEAD "qmgr[15]: 4fNwF20043zf: removed", POSTFIX_TEXT, "removed"},
        {HEAD "smtp[1]: connect to x", POSTFIX_TEXT, "connect to x"},
        {HEAD "cleanup[1]: 4fNwF20043zf: message-id=<a@b>", POSTFIX_MESSAGE_ID, "<a@b>"},
        {HEAD "smtpd[1]: 4fNwF20043zf: client=h[::1], x=y", POSTFIX_CLIENT, "h[::1]"},
        {HEAD "qmgr[1]: 4fNwF20043zf: from=<a@b>, size=7, nrcpt=2 (x)", POSTFIX_FROM, "a@b"},
        {HEAD "qmgr[1]: 4fNwF20043zf: from=<a@b>, size=7, nrcpt=2 (x)", POSTFIX_SIZE, "7"},
        {HEAD "qmgr[1]: 4fNwF20043zf: from=<a@b>, size=7, nrcpt=2 (x)", POSTFIX_NRCPT, "2"},
        {SMTP TO "dsn=4.3.1, status=deferred (host h[::1] said: 452 4.3.1 x (in reply to DATA "
                 "command))",
         POSTFIX_REPLY_COLUMN, "452 4.3.1 x"},
        {SMTP TO "dsn=4.3.1, status=deferred (x)", POSTFIX_DSN, "4.3.1"},
        {SMTP TO "dsn=4.3.1, status=deferred (x)", POSTFIX_STATUS, "deferred"},
        {SMTP TO "dsn=4.3.1, status=deferred (x)", POSTFIX_DELAYS, "0.1/0/0/1"},
        {SMTP TO "dsn=4.3.1, status=deferred (x)", POSTFIX_TO, "v@gmz.example"},
        {SMTP TO "dsn=4.3.1, status=deferred (x)", POSTFIX_RELAY,
         "mx1.gmz.example[198.18.10.7]:25"},
        {HEAD "smtpd[1]: NOQUEUE: reject: RCPT from h[::1]: 554 no; from=<c@d> to=<a@b>",
         POSTFIX_REPLY_COLUMN, "554 no"},
        {HEAD "smtpd[1]: NOQUEUE: reject: RCPT from h[::1]: 554 no; from=<c@d> to=<a@b>",
         POSTFIX_STATUS, "reject"},
        {"Mar  1 08:34:46 mx1 dovecot: x", -1, NULL},
    };
    const struct log_carry carry = {.year = 2026, .month = 3};
    struct slice names = slice_str(POSTFIX_COLUMNS), fields[LOG_COLUMNS_MAX];
    struct arena a = {0};

    (void)state;
    assert_int_equal(log_columns_of(names)->count, POSTFIX_COLUMN_COUNT);
    assert_int_equal(log_columns_find(log_columns_of(names), SLICE_LIT("reply")),
                     POSTFIX_REPLY_COLUMN);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int n = postfix_split(&carry, slice_str(cases[i].line), &a, fields);

        assert_int_equal(n, cases[i].want ? POSTFIX_COLUMN_COUNT : -EINVAL);
        if (cases[i].want)
            assert_true(slice_eq(fields[cases[i].column], slice_str(cases[i].want)));
    }
    arena_done(&a);
}

static void detected(void **state)
{
    (void)state;
    assert_true(postfix_format.detect(SLICE_LIT("Mar  1 08:34:46 mx1 dovecot: x\n"
                                                "Mar  1 08:34:46 mx1 postfix/qmgr[1]: x\n")) > 0);
    assert_true(
        postfix_format.detect(SLICE_LIT("2026-03-01T08:34:46Z mx1 mta/qmgr[1]: BBBBB1: removed"
                                        "\n")) > 0);
    assert_int_equal(postfix_format.detect(SLICE_LIT("Mar  1 08:34:46 mx1 exim[1]: x\n")), 0);
    assert_int_equal(postfix_format.detect(SLICE_LIT("postfix/qmgr\n")), 0);
    assert_int_equal(postfix_format.detect(slice_make(NULL, 0)), 0);
}

static int set_utc(void **state)
{
    (void)state;
    return stamp_zone("UTC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts),      cmocka_unit_test(cut_anywhere), cmocka_unit_test(new_year),
        cmocka_unit_test(same_stamp), cmocka_unit_test(wants),        cmocka_unit_test(rows),
        cmocka_unit_test(detected),
    };

    return cmocka_run_group_tests_name("postfix", tests, set_utc, NULL);
}
