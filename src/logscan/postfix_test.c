/* logscan/postfix_test.c - each kind of line that Postfix writes, as facts and as a row. */
#include "logscan/postfix.h"

#include "logscan/formats.h"
#include "logscan/scan_testing.h"

#define HEAD "Mar  1 08:34:46 mx1 postfix/"
#define SMTP HEAD "smtp[4105]: 4fNwF20043zf: "
#define TO                                                                                         \
    "to=<v@gmz.example>, relay=mx1.gmz.example[198.18.10.7]:25, delay=1.2, delays=0.1/0/0/1, "
#define ID " 30886000 m=4fNwF20043zf@mx1"
#define HOST ID " to=v@gmz.example host=mx1.gmz.example ip=198.18.10.7 via=smtp"

#define FILTER                                                                                     \
    "to=<v@gmz.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1, dsn=2.0.0, "
#define FILTERED_BY " to=v@gmz.example host=127.0.0.1 ip=127.0.0.1 via=smtp phase=end of data "
#define FILTERED ID FILTERED_BY "by=receiver "
#define FILTERED_NEXT ID " next=8D257A009E@mx1" FILTERED_BY "by-recipient delivered "

static const struct testing_case cases[] = {
    /* arrivals, queue runs, ends */
    {HEAD "smtpd[2011]: 4fNwF20043zf: client=app2.corp.example[203.0.113.12]\n",
     "arrival" ID " host=app2.corp.example ip=203.0.113.12 via=smtpd\n"},
    {HEAD "submission/smtpd[2011]: 4fNwF20043zf: client=unknown[2001:db8::1], sasl_method=PLAIN\n",
     "arrival" ID " ip=2001:db8::1 via=smtpd\n"},
    {HEAD "smtpd[2011]: 4fNwF20043zf: client=localhost[127.0.0.1], orig_queue_id=8D257A009E\n",
     "arrival" ID " host=localhost ip=127.0.0.1 via=smtpd from-here\n"},
    {HEAD "pickup[2011]: 4fNwF20043zf: uid=0 from=<root>\n",
     "arrival" ID " from=root via=pickup\n"},
    {HEAD "cleanup[1]: 4fNwF20043zf: message-id=<a@b>\n", ""},
    {HEAD "qmgr[1]: 4fNwF20043zf: from=<x@y.example>, size=37448, nrcpt=12 (queue active)\n",
     "begin" ID " from=x@y.example via=qmgr number=12\n"},
    {HEAD "qmgr[1]: 4fNwF20043zf: from=<>, size=1, nrcpt=1 (queue active)\n",
     "begin" ID " via=qmgr number=1\n"},
    {HEAD "qmgr[1]: 4fNwF20043zf: from=<a@b>, size=1, nrcpt=99999999999999 (queue active)\n",
     "begin" ID " from=a@b via=qmgr number=1000000\n"},
    {HEAD "qmgr[1]: 4fNwF20043zf: from=<a@b>, status=expired, returned to sender\n",
     "expiry" ID " from=a@b via=qmgr\n"},
    {HEAD "qmgr[1]: 4fNwF20043zf: from=<a@b>, status=force-expired, returned to sender\n",
     "expiry" ID " from=a@b via=qmgr\n"},
    {HEAD "qmgr[1]: 4fNwF20043zf: removed\n", "end" ID " via=qmgr\n"},
    {HEAD "qmgr[1]: 4fNwF20043zf: removed twice\n", ""},
    {HEAD "bounce[1]: 4fNwF20043zf: sender non-delivery notification: 4ZZ1\n", ""},
    /* deliveries */
    {SMTP TO "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 7B3919AE693)\n",
     "reply" HOST " phase=end of data by=receiver 250 2.0.0 \"Ok: queued as 7B3919AE693\"\n"
     "attempt" HOST
     " phase=end of data by-recipient delivered 250 2.0.0 \"Ok: queued as 7B3919AE693\"\n"},
    /* to a content filter of this host, which gave it back */
    {SMTP FILTER "status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as "
                 "8D257A009E)\n",
     "reply" FILTERED "250 2.0.0 \"from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as "
     "8D257A009E\"\n"
     "attempt" FILTERED_NEXT "250 2.0.0 \"from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued "
     "as 8D257A009E\"\n"},
    {SMTP FILTER "status=sent (250 queued as 1 queued as 4fNwF20043zh, thanks)\n",
     "reply" FILTERED "250 - \"queued as 1 queued as 4fNwF20043zh, thanks\"\n"
     "attempt" ID " next=4fNwF20043zh@mx1" FILTERED_BY
     "by-recipient delivered 250 - \"queued as 1 queued as "
     "4fNwF20043zh, thanks\"\n"},
    {SMTP FILTER "status=sent (250 queued as no)\n",
     "reply" FILTERED "250 - \"queued as no\"\n"
     "attempt" ID FILTERED_BY "by-recipient delivered 250 - \"queued as no\"\n"},
    {SMTP TO "dsn=4.3.1, status=deferred (host mx1.gmz.example[198.18.10.7] said: 452 4.3.1 "
             "Insufficient system storage (in reply to MAIL FROM command))\n",
     "reply" HOST " phase=mail by=receiver 452 4.3.1 \"Insufficient system storage\"\n"
     "attempt" HOST
     " phase=mail by-recipient deferred 452 4.3.1 \"Insufficient system storage\"\n"},
    {SMTP TO "dsn=4.2.2, status=deferred (host h[::1] said: 452-4.2.2 over quota 452-4.2.2 a (b) "
             "452 4.2.2 (in reply to x) c (in reply to RCPT TO command))\n",
     "reply" HOST " phase=rcpt by=receiver 452 4.2.2 \"over quota a (b) (in reply to x) c\"\n"
     "attempt" HOST
     " phase=rcpt by-recipient deferred 452 4.2.2 \"over quota a (b) (in reply to x) c\"\n"},
    {SMTP TO "tls=may/requiretls:none, dsn=5.0.0, status=bounced (host h[::1] refused to talk to "
             "me: 554 no)\n",
     "reply" HOST " phase=greeting by=receiver 554 - \"no\"\n"
     "attempt" HOST " phase=greeting by-recipient failed 554 - \"no\"\n"},
    {SMTP "to=<\"a, relay=>b\"@x.example>, orig_to=<root>, relay=mx[2001:db8::1]:25, conn_use=2, "
          "delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (250 ok)\n",
     "reply" ID " to=\"a, relay=>b\"@x.example host=mx ip=2001:db8::1 via=smtp phase=end of data "
     "by=receiver 250 - \"ok\"\n"
     "attempt" ID " to=\"a, relay=>b\"@x.example host=mx ip=2001:db8::1 via=smtp phase=end of data "
     "by-recipient delivered 250 - \"ok\"\n"},
    {SMTP TO "dsn=4.4.2, status=deferred (lost connection with mx1.gmz.example[198.18.10.7] while "
             "sending end of data -- message may be sent more than once)\n",
     "reply" HOST " phase=end of data by=own-client 0 \"lost connection while sending end of data "
     "-- message may be sent more than once\"\n"
     "attempt" HOST " phase=end of data by-recipient deferred 0 \"lost connection while sending "
     "end of data -- message may be sent more than once\"\n"},
    {SMTP TO "dsn=4.4.2, status=deferred (conversation with mx1.gmz.example[198.18.10.7] timed out "
             "while receiving the initial server greeting)\n",
     "reply" HOST " phase=greeting by=own-client 0 \"conversation timed out while receiving the "
     "initial server greeting\"\n"
     "attempt" HOST " phase=greeting by-recipient deferred 0 \"conversation timed out while "
     "receiving the initial server greeting\"\n"},
    {SMTP "to=<a@b>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (connect to "
          "mx.b[192.0.2.1]:25: Connection timed out)\n",
     "reply" ID " to=a@b via=smtp phase=connect by=own-client 0 \"Connection timed out\"\n"
     "attempt" ID
     " to=a@b via=smtp phase=connect by-recipient deferred 0 \"Connection timed out\"\n"},
    {SMTP "to=<a@b>, relay=none, delay=1, delays=1/0/0/0, dsn=5.4.6, status=bounced (mail for b "
          "loops back to myself)\n",
     "reply" ID " to=a@b via=smtp by=own-client 0 \"mail for b loops back to myself\"\n"
     "attempt" ID " to=a@b via=smtp by-recipient failed 0 \"mail for b loops back to myself\"\n"},
    /* an old answer told again is no attempt */
    {HEAD "error[1]: 4fNwF20043zf: to=<a@b>, relay=none, delay=1, delays=1/0/0/0, dsn=4.3.1, "
          "status=deferred (delivery temporarily suspended: host h[::1] refused to talk to me: 452 "
          "4.3.1 full)\n",
     "reply" ID " to=a@b via=error by=own-client 0 \"delivery temporarily suspended\"\n"},
    {HEAD "local[1]: 4fNwF20043zf: to=<a@b>, relay=local, delay=1, delays=1/0/0/0, dsn=2.0.0, "
          "status=sent (delivered to mailbox)\n",
     "attempt" ID
     " to=a@b via=local phase=end of data by-recipient delivered 0 \"delivered to mailbox\"\n"},
    {HEAD "lmtp[1]: 4fNwF20043zf: to=<a@b>, relay=mx1[private/dovecot-lmtp], delay=1, "
          "delays=1/0/0/0, dsn=4.2.2, status=SOFTBOUNCE (host mx1[private/dovecot-lmtp] said: 552 "
          "5.2.2 <a@b> full (in reply to end of DATA command))\n",
     "reply" ID " to=a@b via=lmtp phase=end of data by=receiver 552 5.2.2 \"<a@b> full\"\n"
     "attempt" ID
     " to=a@b via=lmtp phase=end of data by-recipient deferred 552 5.2.2 \"<a@b> full\"\n"},
    /* a probe, a cut line, no status */
    {SMTP TO "dsn=5.1.1, status=undeliverable (host h[::1] said: 550 5.1.1 no (in reply to RCPT TO "
             "command))\n",
     "reply" HOST " phase=rcpt by=receiver 550 5.1.1 \"no\"\n"},
    {SMTP TO "dsn=4.3.1, status=deferred (host h[::1] said: 452 4.3.1 Insuff\n",
     "reply" HOST " by=receiver 452 4.3.1 \"Insuff\"\n"
     "attempt" HOST " by-recipient deferred 452 4.3.1 \"Insuff\"\n"},
    {SMTP TO "dsn=4.3.1\n", ""},
    {SMTP "to=<a@b\n", ""},
    {SMTP "passing <a@b> to transport=local\n", ""},
    /* another host of the same attempt */
    {SMTP
     "host mx2.gmz.example[198.18.10.8] said: 452 4.3.1 full (in reply to MAIL FROM command)\n",
     "reply" ID " host=mx2.gmz.example ip=198.18.10.8 via=smtp phase=mail other-host by=receiver "
     "452 4.3.1 \"full\"\n"},
    {SMTP "host mx2.gmz.example[198.18.10.8] refused to talk to me: 421 4.3.2 no\n",
     "reply" ID " host=mx2.gmz.example ip=198.18.10.8 via=smtp phase=greeting other-host "
     "by=receiver 421 4.3.2 \"no\"\n"},
    {SMTP "lost connection with mx2.gmz.example[198.18.10.8] while sending RCPT TO\n",
     "reply" ID
     " via=smtp phase=rcpt other-host by=own-client 0 \"lost connection while sending RCPT TO\"\n"},
    {HEAD "smtp[1]: connect to mx2.gmz.example[198.18.10.8]:25: Connection refused\n", ""},
    /* refusals of this host */
    {HEAD "smtpd[1]: NOQUEUE: reject: MAIL from unknown[203.0.113.77]: 452 4.3.1 Insufficient "
          "system storage; proto=ESMTP helo=<[10.0.0.5]>\n",
     "reply 30886000 ip=203.0.113.77 via=smtpd phase=mail by=own-server 452 4.3.1 \"Insufficient "
     "system storage\"\n"},
    {HEAD
     "smtpd[1]: 4fNwF20043zf: reject: RCPT from h[203.0.113.77]: 554 5.7.1 <a@b>: no; from=<x> "
     "really; from=<c@d> to=<a@b> proto=ESMTP helo=<x>\n",
     "reply" ID " from=c@d to=a@b host=h ip=203.0.113.77 via=smtpd phase=rcpt by=own-server 554 "
     "5.7.1 \"<a@b>: no; from=<x> really\"\n"},
    {HEAD
     "postscreen[1]: NOQUEUE: reject: RCPT from [203.0.113.7]:4711: 450 4.3.2 Service currently "
     "unavailable; from=<c@d>, to=<a@b>, proto=ESMTP, helo=<x>\n",
     "reply 30886000 from=c@d to=a@b ip=203.0.113.7 via=postscreen phase=rcpt by=own-server 450 "
     "4.3.2 \"Service currently unavailable\"\n"},
    {HEAD
     "cleanup[1]: 4fNwF20043zf: milter-reject: END-OF-MESSAGE from h[192.0.2.1]: 5.7.1 Blocked; "
     "from=<c@d> to=<a@b> proto=ESMTP helo=<x>\n",
     "reply" ID " from=c@d to=a@b host=h ip=192.0.2.1 via=cleanup phase=end of data by=own-server "
     "550 5.7.1 \"Blocked\"\n"},
    {HEAD
     "cleanup[1]: 4fNwF20043zf: milter-reject: RCPT from h[192.0.2.1]: 4.7.1 later; from=<c@d>\n",
     "reply" ID
     " from=c@d host=h ip=192.0.2.1 via=cleanup phase=rcpt by=own-server 451 4.7.1 \"later\"\n"},
    {HEAD "cleanup[1]: 4fNwF20043zf: reject: header Subject: 452: x from h[192.0.2.1]; from=<c@d> "
          "to=<a@b> proto=ESMTP helo=<x>: 5.7.1 no\n",
     "reply" ID " via=cleanup phase=end of data by=own-server 550 5.7.1 \"no\"\n"},
    {HEAD "smtpd[1]: NOQUEUE: reject_warning: RCPT from h[192.0.2.1]: 450 4.7.1 x; proto=SMTP\n",
     ""},
    {HEAD "smtpd[1]: NOQUEUE: reject: RCPT\n", ""},
    {HEAD "cleanup[1]: 4fNwF20043zf: info: header Subject: status=deferred (452 4.3.1)\n", ""},
    /* the head */
    {"<22>Mar  1 08:34:46 mx1 postfix/qmgr[1]: 4fNwF20043zf: removed\n", "end" ID " via=qmgr\n"},
    {"<22>1 2026-03-01T08:34:46.123456+00:00 mx1 postfix/qmgr 1 - - 4fNwF20043zf: removed\n",
     "end 30886123 m=4fNwF20043zf@mx1 via=qmgr\n"},
    {"<22>1 2026-03-01T08:34:46Z mx1 postfix/qmgr 1 - [a b=\"]\\\"\"][c] 4fNwF20043zf: removed\n",
     "end" ID " via=qmgr\n"},
    {"2026-03-01T08:34:46.123456+00:00 mx1 postfix-out/qmgr[1]: 4fNwF20043zf: removed\n",
     "end 30886123 m=4fNwF20043zf@mx1 via=qmgr\n"},
    {"2026-03-01T08:34:46+0200 mx1 postfix/qmgr: BDBF2A1: removed\n",
     "end 23686000 m=BDBF2A1@mx1 via=qmgr\n"},
    {HEAD "qmgr[1]: warning: removed\n", ""},
    {HEAD "qmgr[1]: 4fNwF20043zf: \n", ""},
    {HEAD "qmgr[1]: \n", ""},
    {"Mar  1 08:34:46 mx1 last message repeated 3 times\n", "", .skips = 1U << SKIP_REPEATED},
    {HEAD "smtpd[1]: message repeated 2 times: [ NOQUEUE: reject: x]\n", "",
     .skips = 1U << SKIP_REPEATED},
    {"Mar  1 08:34:46 mx1 dovecot: imap-login: x\n", "", .skips = 1U << SKIP_FORM},
    {"Mar  1 08:34:46 mx1 kernel\n", "", .skips = 1U << SKIP_FORM},
    {"Mar 32 08:34:46 mx1 postfix/qmgr[1]: 4fNwF20043zf: removed\n", "", .skips = 1U << SKIP_TIME},
    {"Mar  1 08:34:46\n", "", .skips = 1U << SKIP_TIME},
    {"<22>1 2026-03-01T08:34:46Z mx1 postfix/qmgr 1 - [a\n", "", .skips = 1U << SKIP_FORM},
    {"<\n", "", .skips = 1U << SKIP_TIME},
    {"\xff\xfe\n", "", .skips = 1U << SKIP_TIME},
};

static void facts(void **state)
{
    (void)state;
    testing_cases(&postfix_format, TESTING_ACCEPTED, cases, ARRAY_SIZE(cases));
}

static void cut_anywhere(void **state)
{
    (void)state;
    testing_cut_cases(&postfix_format, cases, ARRAY_SIZE(cases));
}

/* The new year comes in the midst of a chunk; cut at any line it is the same. */
static void new_year(void **state)
{
    static const char log[] = "Dec 31 23:59:59 mx1 postfix/qmgr[1]: BBBBB1: removed\n"
                              "Jan  1 00:00:00 mx1 postfix/qmgr[1]: BBBBB2: removed\n"
                              "Dec 31 23:59:59 mx1 postfix/qmgr[1]: BBBBB3: removed\r\n"
                              "\n"
                              "Jan  1 00:00:01 mx1 postfix/qmgr[1]: BBBBB4: removed\n";
    const struct log_carry carry = {.year = 2025, .month = 12};
    struct testing_found whole, cut;

    (void)state;
    testing_scan(&postfix_format, slice_str(log), carry, TESTING_ALL, SIZE_MAX, &whole);
    testing_scan(&postfix_format, slice_str(log), carry, TESTING_ALL, 1, &cut);
    assert_string_equal(buf_cstr(&whole.facts), "end -5097601000 m=BBBBB1@mx1 via=qmgr\n"
                                                "end -5097600000 m=BBBBB2@mx1 via=qmgr\n"
                                                "end -5097601000 m=BBBBB3@mx1 via=qmgr\n"
                                                "end -5097599000 m=BBBBB4@mx1 via=qmgr\n");
    assert_string_equal(buf_cstr(&whole.facts), buf_cstr(&cut.facts));
    assert_int_equal(whole.carry.year, 2026);
    assert_int_equal(whole.carry.month, 1);
    assert_true(log_carry_eq(&whole.carry, &cut.carry));
    assert_int_equal(whole.rows, 4);
    testing_found_done(&whole);
    testing_found_done(&cut);
}

/* The stamp of the line before is not read again; a year that moved on in between counts. */
static void same_stamp(void **state)
{
    static const char log[] = "Dec 31 23:59:59 mx1 postfix/qmgr[1]: BBBBB1: removed\n"
                              "Jan 1 00:00:00 mx1 postfix/qmgr[1]: BBBBB2: removed\n"
                              "Dec 31 23:59:59 mx1 postfix/qmgr[1]: BBBBB3: removed\n";
    struct testing_found found;

    (void)state;
    testing_scan(&postfix_format, slice_str(log), (struct log_carry){.year = 2025, .month = 12},
                 TESTING_ALL, SIZE_MAX, &found);
    assert_int_equal(found.rows, 3);
    assert_int_equal(found.carry.year, 2025);
    assert_int_equal(found.carry.month, 12);
    testing_found_done(&found);
}

/* What nobody wants is not made. */
static void wants(void **state)
{
    static const unsigned all[] = {WANT_REPLIES, WANT_ACCEPTED, WANT_LIVES};

    (void)state;
    for (size_t w = 0; w < ARRAY_SIZE(all); w++)
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
            struct log_scan s = {.format = &postfix_format,
                                 .bytes = slice_str(cases[i].log),
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
            log_scan_done(&s);
        }
}

static void rows(void **state)
{
    static const struct testing_field fields[] = {
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

    (void)state;
    testing_fields(&postfix_format, SLICE_LIT("reply"), fields, ARRAY_SIZE(fields));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts),      cmocka_unit_test(cut_anywhere), cmocka_unit_test(new_year),
        cmocka_unit_test(same_stamp), cmocka_unit_test(wants),        cmocka_unit_test(rows),
        cmocka_unit_test(detected),
    };

    return cmocka_run_group_tests_name("postfix", tests, testing_utc, NULL);
}
