/* message/trace_test.c - the Received field and its date, with honest and with hostile clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/rand.h"
#include "message/date.h"
#include "message/trace.h"

#define AT_MS INT64_C(1795378702123) /* 2026-11-22 20:18:22.123 */

static void dates_are_legal(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 +0000"},
        {AT_MS, "Sun, 22 Nov 2026 20:18:22 +0000"},
        {-1, "Wed, 31 Dec 1969 23:59:59 +0000"},
        {INT64_C(951782400000), "Tue, 29 Feb 2000 00:00:00 +0000"},
        {INT64_C(4107542399999), "Sun, 28 Feb 2100 23:59:59 +0000"},
        {INT64_C(4107542400000), "Mon, 01 Mar 2100 00:00:00 +0000"},
        {INT64_MIN, "Mon, 01 Jan 1900 00:00:00 +0000"},
        {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 +0000"},
    };
    char text[DATE_RFC5322_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(date_rfc5322(cases[i].ms, text), DATE_RFC5322_MAX - 1);
        assert_string_equal(text, cases[i].text);
    }
}

static void dates_agree_with_the_c_library(void **state)
{
    struct rand r;
    char text[DATE_RFC5322_MAX], expected[64];

    (void)state;
    rand_init(&r, 3);
    for (int i = 0; i < 20000; i++) {
        int64_t ms = (int64_t)rand_below(&r, 253402300800000) - 2208988800000 * (i % 2);
        time_t s = (time_t)((ms - (((ms % 1000) + 1000) % 1000)) / 1000);
        struct tm tm;

        if (ms > INT64_C(253402300799999) || !gmtime_r(&s, &tm))
            continue;
        (void)strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S +0000", &tm);
        (void)date_rfc5322(ms, text);
        assert_string_equal(text, expected);
    }
}

static const struct trace plain = {
    .helo = {(const uint8_t *)"client.example", 14},
    .ptr = {(const uint8_t *)"ptr.example", 11},
    .client_ip = {(const uint8_t *)"192.0.2.1", 9},
    .host = {(const uint8_t *)"mx.example.org", 14},
    .id = {(const uint8_t *)"1m2n3p4q5r6s7", 13},
    .esmtp = true,
    .at_ms = AT_MS,
};

static void expect(const struct trace *t, const char *text)
{
    struct buf b = BUF_INIT(4096);

    assert_int_equal(trace_received(t, &b), 0);
    assert_string_equal(buf_cstr(&b), text);
    buf_done(&b);
}

static void ordinary_clients_are_written_as_the_rfc_says(void **state)
{
    struct trace t = plain;

    (void)state;
    expect(&t, "Received: from client.example (ptr.example [192.0.2.1])\r\n"
               "    by mx.example.org (Penstock) with ESMTP id 1m2n3p4q5r6s7;\r\n"
               "    Sun, 22 Nov 2026 20:18:22 +0000\r\n");
    t.tls = SLICE_LIT("TLSv1.3 with cipher TLS_AES_256_GCM_SHA384");
    t.recipient = SLICE_LIT("a@example.org");
    t.authenticated = true;
    expect(&t, "Received: from client.example (ptr.example [192.0.2.1])\r\n"
               "    by mx.example.org (Penstock) with ESMTPSA id 1m2n3p4q5r6s7\r\n"
               "    (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
               "    for <a@example.org>; Sun, 22 Nov 2026 20:18:22 +0000\r\n");
    t = plain;
    t.client_ip = SLICE_LIT("2001:db8::1");
    t.ptr = SLICE_LIT("");
    t.helo = SLICE_LIT("[IPv6:2001:db8::1]");
    t.esmtp = false;
    expect(&t, "Received: from [IPv6:2001:db8::1] (unknown [IPv6:2001:db8::1])\r\n"
               "    by mx.example.org (Penstock) with SMTP id 1m2n3p4q5r6s7;\r\n"
               "    Sun, 22 Nov 2026 20:18:22 +0000\r\n");
    t.utf8 = true;
    t.recipient = SLICE_LIT("p\xc3\xa9@example.org");
    expect(&t, "Received: from [IPv6:2001:db8::1] (unknown [IPv6:2001:db8::1])\r\n"
               "    by mx.example.org (Penstock) with UTF8SMTP id 1m2n3p4q5r6s7\r\n"
               "    for <p\xc3\xa9@example.org>; Sun, 22 Nov 2026 20:18:22 +0000\r\n");
    t = plain;
    t.client_ip = SLICE_LIT("");
    expect(&t, "Received: by mx.example.org (Penstock) id 1m2n3p4q5r6s7;\r\n"
               "    Sun, 22 Nov 2026 20:18:22 +0000\r\n");
}

static void hostile_clients_break_nothing(void **state)
{
    struct trace t = plain;

    (void)state;
    t.helo = SLICE_LIT("x)\r\nBcc: v@example (\\\"\xff");
    t.ptr = SLICE_LIT("p;(q)");
    t.recipient = SLICE_LIT("\"a b\"@example.org"); /* not plain: left out */
    expect(&t, "Received: from x???Bcc:?v?example????? (p??q? [192.0.2.1])\r\n"
               "    by mx.example.org (Penstock) with ESMTP id 1m2n3p4q5r6s7;\r\n"
               "    Sun, 22 Nov 2026 20:18:22 +0000\r\n");
    t.recipient = SLICE_LIT("a@b>; evil");
    t.helo = t.ptr = SLICE_LIT("");
    expect(&t, "Received: from unknown (unknown [192.0.2.1])\r\n"
               "    by mx.example.org (Penstock) with ESMTP id 1m2n3p4q5r6s7;\r\n"
               "    Sun, 22 Nov 2026 20:18:22 +0000\r\n");
}

/* Any bytes of any length: one field, folded lines, each at most 998 bytes, no stray controls. */
static void check_field(struct slice field)
{
    size_t line = 0;

    assert_true(slice_has_prefix(field, SLICE_LIT("Received: ")));
    for (size_t i = 0; i < field.len; i++) {
        uint8_t c = field.ptr[i];

        if (c == '\r') {
            assert_true(i + 1 < field.len && field.ptr[i + 1] == '\n');
            assert_true(i + 2 == field.len || field.ptr[i + 2] == ' ');
            line = 0;
            i++;
            continue;
        }
        assert_true(c >= ' ' && c != 0x7f);
        assert_true(++line <= 998);
    }
    assert_int_equal(line, 0);
}

static void any_bytes_give_one_field(void **state)
{
    static uint8_t junk[5000];
    struct buf b = BUF_INIT(8192);
    struct rand r;

    (void)state;
    rand_init(&r, 11);
    for (int round = 0; round < 3000; round++) {
        struct trace t = {.esmtp = round & 1, .utf8 = round & 2, .lmtp = round & 4};
        struct slice *parts[] = {&t.helo, &t.ptr, &t.client_ip, &t.host,
                                 &t.id,   &t.tls, &t.recipient};
        uint64_t range = round % 3 == 0 ? 256 : 128;

        for (size_t i = 0; i < sizeof(junk); i++)
            junk[i] = (uint8_t)rand_below(&r, range);
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
            *parts[i] = slice_make(junk + rand_below(&r, 1000), (size_t)rand_below(&r, 4000));
        t.at_ms = (int64_t)rand_u64(&r);
        buf_clear(&b);
        assert_int_equal(trace_received(&t, &b), 0);
        check_field(buf_slice(&b));
    }
    buf_done(&b);
}

static void a_full_buffer_stays_as_it_was(void **state)
{
    struct buf b = BUF_INIT(100);

    (void)state;
    assert_int_equal(buf_add_str(&b, "x"), 0);
    assert_int_equal(trace_received(&plain, &b), -E2BIG);
    assert_int_equal(buf_len(&b), 1);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_legal),
        cmocka_unit_test(dates_agree_with_the_c_library),
        cmocka_unit_test(ordinary_clients_are_written_as_the_rfc_says),
        cmocka_unit_test(hostile_clients_break_nothing),
        cmocka_unit_test(any_bytes_give_one_field),
        cmocka_unit_test(a_full_buffer_stays_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
