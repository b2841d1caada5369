/* smtp/reply_test.c - replies and status codes, each fed whole and cut at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "smtp/reply.h"

#define CAP 64

static const struct reply_case {
    const char *in;
    const char *text; /* NULL: no whole reply */
    int result;
    unsigned code;
} cases[] = {
    {"250 Ok\r\n", "Ok", 1, 250},
    {"250\r\n", "", 1, 250},
    {"250 \r\n", "", 1, 250},
    {"354 go\r\nrest", "go", 1, 354},
    {"250-a\r\n250-b\r\n250 c\r\n", "a\nb\nc", 1, 250},
    {"250-a\r\n250\r\n", "a\n", 1, 250},
    {"250-\r\n250 \r\n", "\n", 1, 250},
    {"599 x\r\n", "x", 1, 599},
    {"250 a\tb\x01"
     "c\x7f\xc3\xbc\r\n",
     "a\tb?c?\xc3\xbc", 1, 250},
    {"250 Ok", NULL, 0, 0},
    {"250 Ok\r", NULL, 0, 0},
    {"250-Ok\r\n", NULL, 0, 0},
    {"", NULL, 0, 0},
    {"250 Ok\n", NULL, -EPROTO, 0},
    {"250 Ok\rx\n", NULL, -EPROTO, 0},
    {"250\n", NULL, -EPROTO, 0},
    {"25 Ok\r\n", NULL, -EPROTO, 0},
    {"2500 Ok\r\n", NULL, -EPROTO, 0},
    {"150 Ok\r\n", NULL, -EPROTO, 0},
    {"650 Ok\r\n", NULL, -EPROTO, 0},
    {"HTTP/1.1 400 Bad Request\r\n", NULL, -EPROTO, 0},
    {"\r\n", NULL, -EPROTO, 0},
    {"250-a\r\n251 b\r\n", NULL, -EPROTO, 0},
    {"250xOk\r\n", NULL, -EPROTO, 0},
    {"250 0123456789012345678901234567890123456789012345678901234567890123\r\n",
     "0123456789012345678901234567890123456789012345678901234567890123", 1, 250},
    {"250 0123456789012345678901234567890123456789012345678901234567890123x\r\n", NULL, -E2BIG, 0},
    {"250-01234567890123456789012345678901234567890123456789012345678901\r\n250 12\r\n", NULL,
     -E2BIG, 0},
};

/* Feeds `in` in parts, the first of `first` bytes, then `step` each. */
static void check(const struct reply_case *c, size_t first, size_t step)
{
    struct slice in = slice_str(c->in);
    struct buf text = BUF_INIT(CAP);
    struct smtp_reply_parser p;
    struct smtp_reply reply = {.code = 0};
    size_t at = 0, n = first;
    int r = 0;

    smtp_reply_parser_init(&p, &text);
    while (r == 0 && at < in.len) {
        size_t used = 77;

        r = smtp_reply_feed(&p, slice_sub(in, at, n), &used, &reply);
        if (r >= 0)
            at += used;
        n = step;
    }
    if (r != c->result)
        fail_msg("%s: %d, expected %d", c->in, r, c->result);
    if (r == 1) {
        assert_int_equal(reply.code, c->code);
        assert_true(slice_eq(reply.text, slice_str(c->text)));
        assert_int_equal(in.ptr[at - 1], '\n');
    }
    if (r < 0) { /* for good */
        size_t used;

        assert_int_equal(smtp_reply_feed(&p, SLICE_LIT("250 Ok\r\n"), &used, &reply), -EPROTO);
    }
    buf_done(&text);
}

static void replies_are_read_whole_and_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t len = strlen(cases[i].in);

        check(&cases[i], len, 1);
        check(&cases[i], 1, 1);
        for (size_t cut = 1; cut < len; cut++)
            check(&cases[i], cut, len);
    }
}

static void a_pipeline_is_read_one_by_one(void **state)
{
    struct slice in = SLICE_LIT("250 2.1.0 a\r\n550-5.1.1 b\r\n550 5.1.1 c\r\n354 d\r\n");
    static const unsigned codes[] = {250, 550, 354};
    struct buf text = BUF_INIT(CAP);
    struct smtp_reply_parser p;

    (void)state;
    smtp_reply_parser_init(&p, &text);
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        struct smtp_reply reply;
        size_t used;

        assert_int_equal(smtp_reply_feed(&p, in, &used, &reply), 1);
        assert_int_equal(reply.code, codes[i]);
        assert_int_equal(reply.enhanced.klass, i < 2 ? codes[i] / 100 : 0);
        in = slice_from(in, used);
    }
    assert_int_equal(in.len, 0);
    buf_done(&text);
}

static void a_status_of_another_class_is_none(void **state)
{
    struct buf text = BUF_INIT(CAP);
    struct smtp_reply_parser p;
    struct smtp_reply reply;
    size_t used;

    (void)state;
    smtp_reply_parser_init(&p, &text);
    assert_int_equal(smtp_reply_feed(&p, SLICE_LIT("250 5.1.1 what\r\n"), &used, &reply), 1);
    assert_int_equal(reply.enhanced.klass, 0);
    buf_done(&text);
}

static void status_codes_are_read(void **state)
{
    static const struct {
        const char *in;
        unsigned klass, subject, detail;
        size_t used; /* 0: it is none */
    } table[] = {
        {"4.3.1 Insufficient", 4, 3, 1, 6},
        {"2.0.0", 2, 0, 0, 5},
        {"5.7.999 x", 5, 7, 999, 8},
        {"5.123.456\nnext", 5, 123, 456, 9},
        {"3.0.0 x", 0, 0, 0, 0},
        {"4.3 x", 0, 0, 0, 0},
        {"4.3.x", 0, 0, 0, 0},
        {"4.3.1x", 0, 0, 0, 0},
        {"4.1234.1", 0, 0, 0, 0},
        {"4.01.1", 0, 0, 0, 0},
        {"4..1 x", 0, 0, 0, 0},
        {"", 0, 0, 0, 0},
        {"Ok", 0, 0, 0, 0},
        {"4.3.", 0, 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct smtp_enhanced e = SMTP_NO_ENHANCED;
        size_t used = 0;
        bool is = smtp_enhanced_parse(slice_str(table[i].in), &e, &used);

        assert_int_equal(is, table[i].used > 0);
        assert_int_equal(used, table[i].used);
        assert_int_equal(e.klass, table[i].klass);
        assert_int_equal(e.subject, table[i].subject);
        assert_int_equal(e.detail, table[i].detail);
    }
}

static void replies_are_composed(void **state)
{
    struct buf out = BUF_INIT(256), tiny = BUF_INIT(40);

    (void)state;
    assert_int_equal(smtp_reply_compose(&out, 250, SMTP_ENHANCED(2, 1, 0), SLICE_LIT("Ok")), 0);
    assert_int_equal(smtp_reply_compose(&out, 354, SMTP_NO_ENHANCED, SLICE_LIT("")), 0);
    assert_int_equal(
        smtp_reply_compose(&out, 550, SMTP_ENHANCED(5, 70, 123), SLICE_LIT("a\nb\rc\x1b")), 0);
    assert_string_equal(buf_cstr(&out),
                        "250 2.1.0 Ok\r\n354 \r\n550-5.70.123 a\r\n550 5.70.123 b?c?\r\n");
    assert_int_equal(smtp_reply_compose(&tiny, 250, SMTP_NO_ENHANCED, SLICE_LIT("a\nb\nc\nd")),
                     -E2BIG);
    assert_int_equal(buf_len(&tiny), 0);
    buf_done(&out);
    buf_done(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read_whole_and_cut),
        cmocka_unit_test(a_pipeline_is_read_one_by_one),
        cmocka_unit_test(a_status_of_another_class_is_none),
        cmocka_unit_test(status_codes_are_read),
        cmocka_unit_test(replies_are_composed),
    };

    return cmocka_run_group_tests_name("smtp reply", tests, NULL, NULL);
}
