/* message/header_test.c - the header scanner: a table, whole and cut at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/rand.h"
#include "message/header.h"

struct case_ {
    const char *text;
    uint32_t received, lines, fields;
    bool ended, malformed, header_8bit, body_8bit;
};

static const struct case_ cases[] = {
    {"", 0, 0, 0, false, false, false, false},
    {"\r\n", 0, 0, 0, true, false, false, false},
    {"\n", 0, 0, 0, true, false, false, false},
    {"\r\r\n", 0, 0, 0, true, true, false, false},
    {"From: a@b\r\n\r\nbody\r\n", 0, 1, HEADER_FROM, true, false, false, false},
    {"From: a@b\n\nDate: x\n", 0, 1, HEADER_FROM, true, false, false, false},
    {"Received: x\r\n\ty\r\nRECEIVED: z\r\nreceived : w\r\n\r\n", 3, 4, 0, true, false, false,
     false},
    {"Received: x\r\n\r\nReceived: y\r\n", 1, 1, 0, true, false, false, false},
    {"Received-SPF: x\r\nXReceived: y\r\nReceive: z\r\n\r\n", 0, 3, 0, true, false, false, false},
    {"Message-Id: <x>\r\nDATE:\r\nTo: t\r\nCC: c\r\nbcc: b\r\nSender: s\r\nSubject:\r\n", 0, 7,
     HEADER_MESSAGE_ID | HEADER_DATE | HEADER_TO | HEADER_CC | HEADER_BCC | HEADER_SENDER |
         HEADER_SUBJECT,
     false, false, false, false},
    {"Resent-From: x\r\nReturn-Path: <>\r\n\r\n", 0, 2, HEADER_RESENT | HEADER_RETURN_PATH, true,
     false, false, false},
    {"Resent-Something-Very-Long-Indeed: x\r\n\r\n", 0, 1, HEADER_RESENT, true, false, false,
     false},
    {"Subject: caf\xc3\xa9\r\n\r\nx", 0, 1, HEADER_SUBJECT, true, false, true, false},
    {"Subject: cafe\r\n\r\n12345678901234567890\xe9", 0, 1, HEADER_SUBJECT, true, false, false,
     true},
    {"no header here\r\nFrom: x\r\n", 0, 0, 0, true, true, false, false},
    {"From: x\r\nno header here\r\n\r\n", 0, 1, HEADER_FROM, true, true, false, false},
    {"From: x\r\nno header here \xff\r\n\r\n", 0, 1, HEADER_FROM, true, true, false, true},
    {"From: x\r\n\xff: y\r\n\r\n", 0, 1, HEADER_FROM, true, true, false, true},
    {" From: x\r\n", 0, 0, 0, true, true, false, false},
    {": x\r\n", 0, 0, 0, true, true, false, false},
    {"From x y: z\r\n", 0, 0, 0, true, true, false, false},
    {"From: x\r\nSubj", 0, 1, HEADER_FROM, true, true, false, false},
    {"From: x\r\nSubject: last", 0, 2, HEADER_FROM | HEADER_SUBJECT, false, false, false, false},
    {"From: x\ry: z\r\n\r\n", 0, 1, HEADER_FROM, true, false, false, false},
};

static void check(const struct header_scan *h, const struct case_ *c)
{
    assert_int_equal(h->received, c->received);
    assert_int_equal(h->lines, c->lines);
    assert_int_equal(h->fields, c->fields);
    assert_int_equal(h->ended, c->ended);
    assert_int_equal(h->malformed, c->malformed);
    assert_int_equal(h->header_has_8bit, c->header_8bit);
    assert_int_equal(h->body_has_8bit, c->body_8bit);
    assert_int_equal(h->total_bytes, strlen(c->text));
}

static void cases_whole_and_cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct slice text = slice_str(cases[i].text);
        struct header_scan h, each;

        for (size_t cut = 0; cut <= text.len; cut++) {
            header_scan_init(&h);
            header_scan_feed(&h, slice_sub(text, 0, cut));
            header_scan_feed(&h, slice_from(text, cut));
            header_scan_end(&h);
            check(&h, &cases[i]);
        }
        header_scan_init(&each);
        for (size_t at = 0; at < text.len; at++)
            header_scan_feed(&each, slice_sub(text, at, 1));
        header_scan_end(&each);
        check(&each, &cases[i]);
        assert_int_equal(each.header_bytes, h.header_bytes);
    }
}

static void header_bytes_end_before_the_empty_line(void **state)
{
    struct header_scan h;

    (void)state;
    header_scan_init(&h);
    header_scan_feed(&h, SLICE_LIT("A: b\r\n c\r\n\r\nbody\r\n"));
    header_scan_end(&h);
    assert_int_equal(h.header_bytes, 10);
    assert_int_equal(h.total_bytes, 18);
}

static void ten_thousand_lines_and_one_of_a_megabyte(void **state)
{
    static uint8_t block[65536];
    struct header_scan h;

    (void)state;
    header_scan_init(&h);
    for (int i = 0; i < 10000; i++)
        header_scan_feed(&h, SLICE_LIT("Received: from a by b\r\n"));
    memset(block, 'x', sizeof(block));
    header_scan_feed(&h, SLICE_LIT("X-Long: "));
    for (int i = 0; i < 16; i++)
        header_scan_feed(&h, slice_make(block, sizeof(block)));
    header_scan_feed(&h, SLICE_LIT("\r\n\r\n"));
    header_scan_end(&h);
    assert_int_equal(h.received, 10000);
    assert_int_equal(h.lines, 10001);
    assert_int_equal(h.header_bytes, 10000 * 23 + 8 + 16 * 65536 + 2);
    assert_true(h.ended && !h.malformed && !header_scan_has_8bit(&h));
}

/* The two readers agree on what the header section is. */
static void fields_are_taken_one_by_one(void **state)
{
    struct slice left = SLICE_LIT("From : a\r\n b\r\nTo:\r\nX: y\n\tz\n\nbody: no\r\n");
    struct header_field f;

    (void)state;
    assert_int_equal(header_next(&left, &f), 1);
    assert_true(slice_eq(f.name, SLICE_LIT("From")));
    assert_true(slice_eq(f.value, SLICE_LIT(" a\r\n b")));
    assert_true(slice_eq(f.whole, SLICE_LIT("From : a\r\n b\r\n")));
    assert_int_equal(header_next(&left, &f), 1);
    assert_true(slice_eq(f.name, SLICE_LIT("To")));
    assert_int_equal(f.value.len, 0);
    assert_int_equal(header_next(&left, &f), 1);
    assert_true(slice_eq(f.value, SLICE_LIT(" y\n\tz")));
    assert_int_equal(header_next(&left, &f), 0);
    assert_true(slice_eq(left, SLICE_LIT("\nbody: no\r\n")));
}

static void both_readers_agree_on_random_text(void **state)
{
    static const char alphabet[] = "aA: \t\r\n\n:\xc3-Received";
    struct rand r;

    (void)state;
    rand_init(&r, 5);
    for (int round = 0; round < 20000; round++) {
        uint8_t text[60];
        struct slice all = slice_make(text, (size_t)rand_below(&r, sizeof(text))), left = all;
        struct header_scan h;
        struct header_field f;

        for (size_t i = 0; i < all.len; i++)
            text[i] = (uint8_t)alphabet[rand_below(&r, sizeof(alphabet) - 1)];
        header_scan_init(&h);
        for (size_t at = 0; at < all.len;) {
            size_t n = (size_t)rand_below(&r, 7);

            header_scan_feed(&h, slice_sub(all, at, n));
            at += n;
        }
        header_scan_end(&h);
        while (header_next(&left, &f) > 0)
            assert_true(f.whole.len >= f.name.len + 1 + f.value.len);
        assert_int_equal(h.header_bytes, all.len - left.len);
    }
}

static void texts_are_kept_for_logs(void **state)
{
    static const struct {
        const char *text, *message_id, *subject;
    } kept[] = {
        {"", "", ""},
        {"From: a\r\n\r\nSubject: body\r\n", "", ""},
        {"Subject: hi\r\nMessage-ID: <a@b>\r\n\r\n", "<a@b>", "hi"},
        {"message-id:<a@b>\nSUBJECT :\t x  y \t\n\n", "<a@b>", "x  y"},
        {"Subject: one\r\n two\r\n\tthree\r\nX: y\r\n z\r\n\r\n", "", "one two\tthree"},
        {"Subject:\r\n =?utf-8?q?caf=C3=A9?=\r\n\r\n", "", "=?utf-8?q?caf=C3=A9?="},
        {"Subject: first\r\nSubject: second\r\n more\r\n", "", "first"},
        {"Subject:\r\nSubject: second\r\n", "", ""},
        {"Message-ID: <a@b>\r\nSubject-X: no\r\nResent-Subject: no\r\n", "<a@b>", ""},
        {"Message-ID:\r\n <folded@b>\r\nTo: x\r\n y\r\n", "<folded@b>", ""},
        {"Subject: caf\xc3\xa9 \"a, b\"\x01", "", "caf\xc3\xa9 \"a, b\"\x01"},
        {"Subject: a\rb\r\n\r\n", "", "ab"},
    };
    static char long_text[1000] = "Subject:";
    struct header_scan h;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        struct slice text = slice_str(kept[i].text);

        for (size_t cut = 0; cut <= text.len; cut++) {
            header_scan_init(&h);
            header_scan_feed(&h, slice_sub(text, 0, cut));
            header_scan_feed(&h, slice_from(text, cut));
            header_scan_end(&h);
            assert_true(slice_eq(header_text_slice(&h.message_id), slice_str(kept[i].message_id)));
            assert_true(slice_eq(header_text_slice(&h.subject), slice_str(kept[i].subject)));
        }
    }
    memset(long_text + 8, 'x', sizeof(long_text) - 8);
    for (size_t step = 1; step < 300; step += 7) {
        struct slice all = slice_make(long_text, sizeof(long_text));

        header_scan_init(&h);
        for (size_t at = 0; at < all.len; at += step)
            header_scan_feed(&h, slice_sub(all, at, step));
        assert_int_equal(header_text_slice(&h.subject).len, HEADER_TEXT_KEPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_whole_and_cut_at_every_byte),
        cmocka_unit_test(header_bytes_end_before_the_empty_line),
        cmocka_unit_test(ten_thousand_lines_and_one_of_a_megabyte),
        cmocka_unit_test(fields_are_taken_one_by_one),
        cmocka_unit_test(both_readers_agree_on_random_text),
        cmocka_unit_test(texts_are_kept_for_logs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
