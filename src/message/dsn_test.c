/* message/dsn_test.c - reports: who gets one, what stands in it, and originals that fight back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rand.h"
#include "message/dsn.h"

#define AT_MS INT64_C(1795378702123) /* Sun, 22 Nov 2026 20:18:22 +0000 */
#define REPORT_MAX 1000000

static void the_sender_gets_what_it_asked_for(void **state)
{
    static const struct {
        uint8_t notify;
        bool failure, delay, success;
    } cases[] = {
        {0, true, true, false},
        {NOTIFY_NEVER, false, false, false},
        {NOTIFY_SUCCESS, false, false, true},
        {NOTIFY_FAILURE, true, false, false},
        {NOTIFY_DELAY, false, true, false},
        {NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, true, true, true},
        {NOTIFY_NEVER | NOTIFY_FAILURE, false, false, false},
    };
    struct envelope e = {.sender = SLICE_LIT("a@b")}, null_sender = {0};
    struct envelope report = {.sender = SLICE_LIT("a@b"), .flags = ENVELOPE_IS_DSN};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct recipient r = {.address = SLICE_LIT("c@d"), .notify = cases[i].notify};

        assert_int_equal(dsn_wanted(&e, &r, DSN_FAILURE), cases[i].failure);
        assert_int_equal(dsn_wanted(&e, &r, DSN_DELAY), cases[i].delay);
        assert_int_equal(dsn_wanted(&e, &r, DSN_SUCCESS), cases[i].success);
        for (int kind = DSN_FAILURE; kind <= DSN_SUCCESS; kind++) {
            assert_false(dsn_wanted(&null_sender, &r, (enum dsn_kind)kind));
            assert_false(dsn_wanted(&report, &r, (enum dsn_kind)kind));
        }
    }
}

/* A report to begin with: one failed recipient. */
struct sample {
    struct recipient to[2];
    struct dsn_recipient told[2];
    struct envelope envelope;
    struct dsn dsn;
};

static void sample_init(struct sample *s)
{
    memset(s, 0, sizeof(*s));
    s->to[0] = (struct recipient){.address = SLICE_LIT("who@example.org"),
                                  .orcpt = SLICE_LIT("rfc822;first+2Blast@example.org"),
                                  .last_code = 550,
                                  .last_attempt_ms = AT_MS};
    s->to[1] = (struct recipient){.address = SLICE_LIT("late@example.org"),
                                  .last_text = SLICE_LIT("connect to 192.0.2.7: timed out")};
    s->told[0] = (struct dsn_recipient){.recipient = &s->to[0],
                                        .remote_mta = SLICE_LIT("mx.example.org"),
                                        .reply = SLICE_LIT("550-5.1.1 no such\n550 5.1.1 user")};
    s->told[1] = (struct dsn_recipient){.recipient = &s->to[1]};
    s->envelope = (struct envelope){.sender = SLICE_LIT("sender@example.com"),
                                    .envid = SLICE_LIT("id+3D7"),
                                    .arrival_ms = AT_MS - 1000,
                                    .body_bytes = 100,
                                    .recipients = s->to,
                                    .recipient_count = 2};
    s->dsn = (struct dsn){.kind = DSN_FAILURE,
                          .envelope = &s->envelope,
                          .recipients = s->told,
                          .recipient_count = 2,
                          .hostname = SLICE_LIT("mail.example.net"),
                          .id = SLICE_LIT("1report"),
                          .original_id = SLICE_LIT("1original"),
                          .random = 0x0123456789abcdef,
                          .now_ms = AT_MS,
                          .retry_until_ms = AT_MS + 3600000,
                          .full_max = 1000};
}

/* The whole report, the original given in chunks of `step` bytes. */
static void compose(const struct dsn *d, struct slice original, size_t step, struct buf *to)
{
    struct dsn_writer w;
    int r = 0;

    buf_clear(to);
    assert_int_equal(dsn_begin(&w, d, to), 0);
    for (size_t at = 0; at < original.len && r == 0; at += step)
        r = dsn_add_original(&w, slice_sub(original, at, step), to);
    assert_true(r >= 0);
    assert_int_equal(dsn_end(&w, to), 0);
}

#define HEAD                                                                                       \
    "From: \"Mail Delivery System\" <MAILER-DAEMON@mail.example.net>\r\n"                          \
    "To: <sender@example.com>\r\n"
#define ORIGINAL "Subject: hello\r\nX: y\r\n\tz\r\n\r\nbody\r\n"

static void a_failure_is_told_in_full(void **state)
{
    static const char expected[] =
        HEAD "Subject: Your message could not be delivered\r\n"
             "Date: Sun, 22 Nov 2026 20:18:22 +0000\r\n"
             "Message-ID: <1report@mail.example.net>\r\n"
             "Auto-Submitted: auto-replied\r\n"
             "MIME-Version: 1.0\r\n"
             "Content-Type: multipart/report; report-type=delivery-status;\r\n"
             "    boundary=\"=_0123456789abcdef_1report\"\r\n"
             "\r\n"
             "This is a delivery report in the MIME format of RFC 3464.\r\n"
             "\r\n"
             "--=_0123456789abcdef_1report\r\n"
             "Content-Description: Notification\r\n"
             "Content-Type: text/plain; charset=us-ascii\r\n"
             "Content-Transfer-Encoding: 7bit\r\n"
             "\r\n"
             "This is the mail server mail.example.net\r\n"
             "\r\n"
             "Your message that was received here on Sun, 22 Nov 2026 20:18:21 +0000 and\r\n"
             "got the queue id 1original could not be delivered to the recipients below.\r\n"
             "It will not be tried again. The reason is given for each of them.\r\n"
             "\r\n"
             "<who@example.org>\r\n"
             "    Not delivered. The mail server mx.example.org said:\r\n"
             "        550-5.1.1 no such\r\n"
             "        550 5.1.1 user\r\n"
             "\r\n"
             "<late@example.org>\r\n"
             "    Not delivered. What happened:\r\n"
             "        connect to 192.0.2.7: timed out\r\n"
             "\r\n"
             "--=_0123456789abcdef_1report\r\n"
             "Content-Description: Delivery report\r\n"
             "Content-Type: message/delivery-status\r\n"
             "Content-Transfer-Encoding: 7bit\r\n"
             "\r\n"
             "Original-Envelope-Id: id=7\r\n"
             "Reporting-MTA: dns; mail.example.net\r\n"
             "X-Penstock-Queue-Id: 1original\r\n"
             "Arrival-Date: Sun, 22 Nov 2026 20:18:21 +0000\r\n"
             "\r\n"
             "Original-Recipient: rfc822; first+last@example.org\r\n"
             "Final-Recipient: rfc822; who@example.org\r\n"
             "Action: failed\r\n"
             "Status: 5.1.1\r\n"
             "Remote-MTA: dns; mx.example.org\r\n"
             "Diagnostic-Code: smtp; 550-5.1.1 no such\r\n"
             "    550 5.1.1 user\r\n"
             "Last-Attempt-Date: Sun, 22 Nov 2026 20:18:22 +0000\r\n"
             "\r\n"
             "Final-Recipient: rfc822; late@example.org\r\n"
             "Action: failed\r\n"
             "Status: 4.4.7\r\n"
             "Diagnostic-Code: X-Penstock; connect to 192.0.2.7: timed out\r\n"
             "\r\n"
             "--=_0123456789abcdef_1report\r\n"
             "Content-Description: Your message\r\n"
             "Content-Type: message/rfc822\r\n"
             "Content-Transfer-Encoding: 7bit\r\n"
             "\r\n" ORIGINAL "\r\n--=_0123456789abcdef_1report--\r\n";
    struct buf b = BUF_INIT(REPORT_MAX);
    struct sample s;

    (void)state;
    sample_init(&s);
    for (size_t step = 1; step <= sizeof(ORIGINAL); step++) {
        compose(&s.dsn, SLICE_LIT(ORIGINAL), step, &b);
        assert_string_equal(buf_cstr(&b), expected);
    }
    buf_done(&b);
}

static bool has(struct buf *b, const char *text)
{
    return slice_find_slice(buf_slice(b), slice_str(text)) >= 0;
}

static void only_the_header_comes_back_where_it_should(void **state)
{
    static const struct {
        enum dsn_kind kind;
        uint32_t flags;
        uint64_t body_bytes;
        bool whole;
    } cases[] = {
        {DSN_FAILURE, 0, 1000, true},
        {DSN_FAILURE, ENVELOPE_RET_FULL, 1000, true},
        {DSN_FAILURE, ENVELOPE_RET_FULL, 1001, false},
        {DSN_FAILURE, ENVELOPE_RET_HDRS, 10, false},
        {DSN_DELAY, ENVELOPE_RET_FULL, 10, false},
        {DSN_SUCCESS, ENVELOPE_RET_FULL, 10, false},
    };
    struct buf b = BUF_INIT(REPORT_MAX);
    struct sample s;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        sample_init(&s);
        s.dsn.kind = cases[i].kind;
        s.envelope.flags = cases[i].flags;
        s.envelope.body_bytes = cases[i].body_bytes;
        for (size_t step = 1; step <= sizeof(ORIGINAL); step++) {
            compose(&s.dsn, SLICE_LIT(ORIGINAL), step, &b);
            assert_int_equal(has(&b, ORIGINAL "\r\n--"), cases[i].whole);
            assert_int_equal(has(&b, "message/rfc822"), cases[i].whole);
            assert_int_equal(has(&b, "text/rfc822-headers"), !cases[i].whole);
            assert_true(has(&b, "7bit\r\n\r\nSubject: hello\r\nX: y\r\n\tz\r\n"));
        }
    }
    buf_done(&b);
}

static void delay_and_success_say_so(void **state)
{
    struct buf b = BUF_INIT(REPORT_MAX);
    struct sample s;

    (void)state;
    sample_init(&s);
    s.dsn.kind = DSN_DELAY;
    compose(&s.dsn, SLICE_LIT(""), 1, &b);
    assert_true(has(&b, "Action: delayed\r\nStatus: 4.0.0\r\n")); /* 5.1.1 would be a lie */
    assert_true(has(&b, "Action: delayed\r\nStatus: 4.4.1\r\n"));
    assert_true(has(&b, "Will-Retry-Until: Sun, 22 Nov 2026 21:18:22 +0000\r\n"));
    assert_true(has(&b, "Not delivered yet."));
    s.dsn.kind = DSN_SUCCESS;
    s.told[0].relayed = true;
    s.told[0].reply = SLICE_LIT("250 2.6.0 taken");
    compose(&s.dsn, SLICE_LIT(""), 1, &b);
    assert_true(has(&b, "Action: relayed\r\nStatus: 2.6.0\r\n"));
    assert_true(has(&b, "Action: delivered\r\nStatus: 2.0.0\r\n"));
    assert_false(has(&b, "Will-Retry-Until"));
    buf_done(&b);
}

static void status_is_found_where_it_stands(void **state)
{
    static const struct {
        const char *given, *reply, *text;
        uint16_t code;
        const char *status;
    } cases[] = {
        {"5.7.1", "550 5.1.1 x", "", 550, "5.7.1"},
        {"", "550 5.1.10 x", "", 550, "5.1.10"},
        {"", "", "556 5.1.10 null MX", 556, "5.1.10"},
        {"bad", "550 none", "", 550, "5.0.0"},
        {"5.7.1\r\nX: y", "550 none", "", 550, "5.0.0"},
        {"", "550 5.1.1x", "", 550, "5.0.0"},
        {"", "550 5.1111.1 x", "", 550, "5.0.0"},
        {"", "550 3.1.1 x", "", 550, "5.0.0"},
        {"", "550 5..1 x", "", 550, "5.0.0"},
        {"2.0.0", "", "", 0, "4.4.7"},
        {"", "452 4.3.1 full", "", 452, "4.3.1"},
        {"", "452 full", "", 452, "4.4.7"},
        {"", "550", "", 550, "5.0.0"},
        {"", "xyz 5.1.1", "", 550, "5.0.0"},
    };
    struct buf b = BUF_INIT(REPORT_MAX);
    char expected[80];
    struct sample s;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        sample_init(&s);
        s.dsn.recipient_count = 1;
        s.told[0].status = slice_str(cases[i].given);
        s.told[0].reply = slice_str(cases[i].reply);
        s.to[0].last_text = slice_str(cases[i].text);
        s.to[0].last_code = cases[i].code;
        compose(&s.dsn, SLICE_LIT(""), 1, &b);
        (void)snprintf(expected, sizeof(expected), "\r\nStatus: %s\r\n", cases[i].status);
        assert_true(has(&b, expected));
    }
    buf_done(&b);
}

static void the_report_goes_to_the_sender_from_nobody(void **state)
{
    struct recipient storage;
    struct envelope e;
    struct sample s;

    (void)state;
    sample_init(&s);
    dsn_envelope(&s.dsn, &storage, &e);
    assert_int_equal(e.sender.len, 0);
    assert_int_equal(e.recipient_count, 1);
    assert_true(slice_eq(e.recipients[0].address, SLICE_LIT("sender@example.com")));
    assert_int_equal(e.flags, ENVELOPE_IS_DSN);
    s.envelope.flags = ENVELOPE_8BITMIME;
    dsn_envelope(&s.dsn, &storage, &e);
    assert_int_equal(e.flags, ENVELOPE_IS_DSN | ENVELOPE_8BITMIME);
    s.envelope.flags = ENVELOPE_8BITMIME | ENVELOPE_RET_HDRS;
    dsn_envelope(&s.dsn, &storage, &e);
    assert_int_equal(e.flags, ENVELOPE_IS_DSN);
    s.envelope.flags = ENVELOPE_SMTPUTF8;
    dsn_envelope(&s.dsn, &storage, &e);
    assert_int_equal(e.flags, ENVELOPE_IS_DSN | ENVELOPE_8BITMIME);
    s.envelope.sender = SLICE_LIT("\xc3\xa9@b");
    dsn_envelope(&s.dsn, &storage, &e);
    assert_int_equal(e.flags, ENVELOPE_IS_DSN | ENVELOPE_8BITMIME | ENVELOPE_SMTPUTF8);
}

static void utf8_mail_gets_a_global_report(void **state)
{
    struct buf b = BUF_INIT(REPORT_MAX);
    struct sample s;

    (void)state;
    sample_init(&s);
    s.envelope.flags = ENVELOPE_SMTPUTF8;
    s.to[0].address = SLICE_LIT("w\xc3\xb6r@example.org");
    s.to[0].orcpt = SLICE_LIT("utf-8;w\\x{F6}r@example.org");
    s.told[0].reply = SLICE_LIT("550 5.1.1 n\xc3\xb6");
    compose(&s.dsn, SLICE_LIT("Subject: \xc3\xa9\r\n\r\n\xff\r\n"), 3, &b);
    assert_true(has(&b, "report-type=global-delivery-status"));
    assert_true(has(&b, "Content-Type: message/global-delivery-status\r\n"));
    assert_true(has(&b, "Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n"));
    assert_true(has(&b, "Final-Recipient: utf-8; w\xc3\xb6r@example.org\r\n"));
    assert_true(has(&b, "Original-Recipient: utf-8; w\xc3\xb6r@example.org\r\n"));
    assert_true(has(&b, "smtp; 550 5.1.1 n\xc3\xb6\r\n"));
    assert_true(has(&b, "Subject: \xc3\xa9\r\n\r\n\xff\r\n"));
    s.envelope.flags = 0;
    compose(&s.dsn, SLICE_LIT("Subject: \xc3\xa9\r\n\r\n\xff\r\n"), 3, &b);
    assert_true(has(&b, "Final-Recipient: rfc822; w??r@example.org\r\n"));
    assert_true(has(&b, "Original-Recipient: utf-8; w\\x{F6}r@example.org\r\n"));
    assert_true(has(&b, "Subject: ??\r\n\r\n?\r\n"));
    s.envelope.flags = ENVELOPE_SMTPUTF8 | ENVELOPE_RET_HDRS;
    compose(&s.dsn, SLICE_LIT("Subject: \xc3\xa9\r\n\r\n\xff\r\n"), 3, &b);
    assert_true(has(&b, "Content-Type: message/global-headers\r\n"));
    buf_done(&b);
}

struct hostile {
    const char *original;
    const char *whole, *header; /* what follows the third part's head, before the end */
};

#define DELIMITER "--=_0123456789abcdef_1report"

static const struct hostile hostile[] = {
    {"", "", ""},
    {"A: b", "A: b\r\n", "A: b\r\n"},
    {"A: b\r", "A: b\r\n", "A: b\r\n"},
    {"A: b\n\nc\n", "A: b\r\n\r\nc\r\n", "A: b\r\n"},
    {"A: b\rC: d\r\n", "A: b?C: d\r\n", "A: b?C: d\r\n"},
    {"A\r: b\r\n", "A?: b\r\n", "A?: b\r\n"},
    {"no field\r\nA: b\r\n", "no field\r\nA: b\r\n", ""},
    {"A : b\r\nC d: e\r\n", "A : b\r\nC d: e\r\n", "A : b\r\n"},
    {" A: b\r\n", " A: b\r\n", ""},
    {": b\r\n", ": b\r\n", ""},
    {"A: b\r\nincompl", "A: b\r\nincompl\r\n", "A: b\r\n"},
    {"A: b\r\n" DELIMITER "\r\nC: d\r\n", "A: b\r\n " DELIMITER "\r\nC: d\r\n", "A: b\r\n"},
    {"A: b\r\n" DELIMITER "--\r\nC: d\r\n", "A: b\r\n " DELIMITER "--\r\nC: d\r\n", "A: b\r\n"},
    {"A: b\r\n" DELIMITER ": c\r\nC: d\r\n", "A: b\r\n " DELIMITER ": c\r\nC: d\r\n", "A: b\r\n"},
    {"A: b\n" DELIMITER "\n", "A: b\r\n " DELIMITER "\r\n", "A: b\r\n"},
    {"A: b\r" DELIMITER "\r\n", "A: b?" DELIMITER "\r\n", "A: b?" DELIMITER "\r\n"},
    {"--=_0123\r\n--\r\n-\r\n.\r\n", "--=_0123\r\n--\r\n-\r\n.\r\n", ""},
    {"A: \x01\xff\x7f\tb\r\n", "A: ???\tb\r\n", "A: ???\tb\r\n"},
};

static void check_third_part(struct buf *b, const char *type, const char *expected)
{
    ptrdiff_t at = slice_find_slice(buf_slice(b), slice_str(type));
    struct slice rest = slice_from(buf_slice(b), (size_t)at);
    char text[400];

    assert_true(at >= 0);
    rest = slice_from(rest, (size_t)slice_find_slice(rest, SLICE_LIT("\r\n\r\n")) + 4);
    (void)snprintf(text, sizeof(text), "%s\r\n" DELIMITER "--\r\n", expected);
    if (!slice_eq(rest, slice_str(text)))
        print_error("got: %.*s\n", SLICE_FMT(rest));
    assert_true(slice_eq(rest, slice_str(text)));
}

static void hostile_originals_stay_in_their_part(void **state)
{
    struct buf b = BUF_INIT(REPORT_MAX);
    struct sample s;

    (void)state;
    sample_init(&s);
    for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
        struct slice original = slice_str(hostile[i].original);

        for (size_t step = 1; step <= original.len + 1; step++) {
            s.envelope.flags = 0;
            compose(&s.dsn, original, step, &b);
            check_third_part(&b, "message/rfc822", hostile[i].whole);
            s.envelope.flags = ENVELOPE_RET_HDRS;
            compose(&s.dsn, original, step, &b);
            check_third_part(&b, "text/rfc822-headers", hostile[i].header);
        }
    }
    buf_done(&b);
}

static void hostile_strings_make_no_lines(void **state)
{
    struct buf b = BUF_INIT(REPORT_MAX);
    struct sample s;

    (void)state;
    sample_init(&s);
    s.envelope.sender = SLICE_LIT("\"a\r\nBcc: x\"@b");
    s.envelope.envid = SLICE_LIT("a+0D+0AX: y");
    s.to[0].orcpt = SLICE_LIT("rfc822;a+0D+0A+0D+0Azx");
    s.to[0].address = SLICE_LIT("a\r\n\r\nzx@b");
    s.told[0].remote_mta = SLICE_LIT("x\r\ny");
    s.told[0].reply = SLICE_LIT("550 a\n\nb\r\n\r\n" DELIMITER "\n\xff");
    s.dsn.from_name = SLICE_LIT("x\" <y>\\");
    s.dsn.from = SLICE_LIT("post@example.net");
    compose(&s.dsn, SLICE_LIT(""), 1, &b);
    assert_true(has(&b, "From: \"x <y>\" <post@example.net>\r\n"));
    assert_true(has(&b, "To: <\"a??Bcc: x\"@b>\r\n"));
    assert_true(has(&b, "Final-Recipient: rfc822; a????zx@b\r\n"));
    assert_true(has(&b, "Original-Recipient: rfc822; a????zx\r\n"));
    assert_true(has(&b, "Remote-MTA: dns; x??y\r\n"));
    assert_true(has(&b, "smtp; 550 a\r\n    b\r\n    " DELIMITER "\r\n    ?\r\n"));
    buf_done(&b);
}

static void long_lines_are_broken(void **state)
{
    static uint8_t line[5000];
    struct buf b = BUF_INIT(REPORT_MAX);
    struct sample s;
    size_t column = 0;

    (void)state;
    sample_init(&s);
    memset(line, 'x', sizeof(line));
    line[1] = ':';
    s.told[0].reply = slice_make(line, sizeof(line));
    s.told[0].remote_mta = slice_make(line, sizeof(line));
    s.to[0].address = s.envelope.sender = s.dsn.hostname = slice_make(line, sizeof(line));
    for (int i = 0; i < 2; i++) {
        s.envelope.flags = i ? ENVELOPE_RET_HDRS : 0;
        compose(&s.dsn, slice_make(line, sizeof(line)), 700, &b);
        for (size_t at = 0; at < buf_len(&b); at++) {
            column = buf_slice(&b).ptr[at] == '\n' ? 0 : column + 1;
            assert_true(column <= 999); /* with its CR */
        }
        assert_true(has(&b, "xxx\r\n xxx"));
    }
    buf_done(&b);
}

static void a_header_without_an_end_is_bounded(void **state)
{
    static uint8_t line[70000];
    struct buf b = BUF_INIT(REPORT_MAX);
    struct dsn_writer w;
    struct sample s;
    int r = 0;

    (void)state;
    sample_init(&s);
    s.envelope.flags = ENVELOPE_RET_HDRS;
    memset(line, 'x', sizeof(line));
    line[1] = ':';
    compose(&s.dsn, slice_make(line, sizeof(line)), 700, &b);
    assert_true(buf_len(&b) < DSN_HEADERS_MAX + 4000);
    buf_clear(&b);
    assert_int_equal(dsn_begin(&w, &s.dsn, &b), 0);
    for (int i = 0; i < 100000 && r == 0; i++)
        r = dsn_add_original(&w, SLICE_LIT("X-Field: value\r\n"), &b);
    assert_int_equal(r, 1);
    assert_int_equal(dsn_add_original(&w, SLICE_LIT("more"), &b), 1);
    assert_int_equal(dsn_end(&w, &b), 0);
    assert_true(buf_len(&b) < DSN_HEADERS_MAX + 4000);
    buf_done(&b);
}

static void a_full_buffer_is_an_error(void **state)
{
    struct sample s;
    struct buf whole = BUF_INIT(REPORT_MAX);

    (void)state;
    sample_init(&s);
    compose(&s.dsn, SLICE_LIT(ORIGINAL), 7, &whole);
    for (size_t cap = 0; cap < buf_len(&whole); cap += 13) {
        struct buf b = BUF_INIT(cap);
        struct dsn_writer w;
        int r = dsn_begin(&w, &s.dsn, &b);

        if (r == 0)
            r = dsn_add_original(&w, SLICE_LIT(ORIGINAL), &b);
        if (r == 0)
            r = dsn_end(&w, &b);
        assert_int_equal(r, -E2BIG);
        buf_done(&b);
    }
    buf_done(&whole);
}

static void write_file(const char *path, struct slice bytes)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, f), bytes.len);
    assert_int_equal(fclose(f), 0);
}

static void another_parser_reads_the_same(void **state)
{
    static const char expected[] =
        "type multipart/report delivery-status\n"
        "auto auto-replied to sender@example.com defects 0\n"
        "part text/plain 7bit\n"
        "part message/delivery-status 7bit\n"
        "part message/rfc822 7bit\n"
        "field Original-Envelope-Id = id=7\n"
        "field Reporting-MTA = dns; mail.example.net\n"
        "field X-Penstock-Queue-Id = 1original\n"
        "field Arrival-Date = Sun, 22 Nov 2026 20:18:21 +0000\n"
        "field Original-Recipient = rfc822; first+last@example.org\n"
        "field Final-Recipient = rfc822; who@example.org\n"
        "field Action = failed\n"
        "field Status = 5.1.1\n"
        "field Remote-MTA = dns; mx.example.org\n"
        "field Diagnostic-Code = smtp; 550-5.1.1 no such 550 5.1.1 user\n"
        "field Last-Attempt-Date = Sun, 22 Nov 2026 20:18:22 +0000\n"
        "field Final-Recipient = rfc822; late@example.org\n"
        "field Action = failed\n"
        "field Status = 4.4.7\n"
        "field Diagnostic-Code = X-Penstock; connect to 192.0.2.7: timed out\n"
        "returned hello 5\n";
    char path[] = "/tmp/dsn_test.XXXXXX", command[600], got[4000];
    struct buf b = BUF_INIT(REPORT_MAX);
    const char *script = getenv("DSN_CHECK");
    struct sample s;
    FILE *f;
    int fd;

    (void)state;
    if (!script || access("/usr/bin/python3", X_OK) != 0)
        skip();
    sample_init(&s);
    compose(&s.dsn, SLICE_LIT(ORIGINAL), 7, &b);
    fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    write_file(path, buf_slice(&b));
    (void)snprintf(command, sizeof(command), "/usr/bin/python3 '%s' %s", script, path);
    f = popen(command, "r");
    assert_non_null(f);
    got[fread(got, 1, sizeof(got) - 1, f)] = '\0';
    assert_int_equal(pclose(f), 0);
    (void)unlink(path);
    assert_string_equal(got, expected);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sender_gets_what_it_asked_for),
        cmocka_unit_test(a_failure_is_told_in_full),
        cmocka_unit_test(only_the_header_comes_back_where_it_should),
        cmocka_unit_test(delay_and_success_say_so),
        cmocka_unit_test(status_is_found_where_it_stands),
        cmocka_unit_test(the_report_goes_to_the_sender_from_nobody),
        cmocka_unit_test(utf8_mail_gets_a_global_report),
        cmocka_unit_test(hostile_originals_stay_in_their_part),
        cmocka_unit_test(hostile_strings_make_no_lines),
        cmocka_unit_test(long_lines_are_broken),
        cmocka_unit_test(a_header_without_an_end_is_bounded),
        cmocka_unit_test(a_full_buffer_is_an_error),
        cmocka_unit_test(another_parser_reads_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
