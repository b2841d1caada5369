/* smtp/dot_test.c - bodies on the wire, whole and cut at every byte, against a slow and plain
 * reading of the RFC; the smuggling vectors by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "smtp/dot.h"

struct decoded {
    struct buf body;
    struct smtp_body_facts facts;
    size_t used; /* up to and with the final dot; SIZE_MAX: it did not come */
};

static void decode(struct slice in, bool is_dotted, size_t first, size_t step, struct decoded *ret)
{
    struct smtp_dot_decoder d;
    size_t at = 0, n = first;
    bool ended = false;

    ret->body = BUF_INIT(1 << 20);
    smtp_dot_decoder_init(&d, is_dotted, SMTP_TEXT_LINE_MAX);
    while (at < in.len && !ended) {
        struct slice part = slice_sub(in, at, n);

        at += part.len;
        n = step;
        while (part.len && !ended) {
            struct slice run;
            size_t used;
            enum smtp_dot what = smtp_dot_decode(&d, part, &used, &run);

            if (what == SMTP_DOT_RUN) {
                assert_true(run.len > 0);
                assert_int_equal(buf_add(&ret->body, run), 0);
            }
            part = slice_from(part, used);
            ended = what == SMTP_DOT_END;
        }
        at -= part.len;
    }
    ret->used = ended ? at : SIZE_MAX;
    if (!is_dotted)
        (void)buf_add(&ret->body, smtp_dot_decode_end(&d));
    ret->facts = d.facts;
}

/* RFC 5321, section 4.5.2, a byte at a time. */
static void decode_slowly(struct slice in, struct decoded *ret)
{
    size_t line = 0; /* its start */
    size_t i;

    ret->body = BUF_INIT(1 << 20);
    ret->used = SIZE_MAX;
    memset(&ret->facts, 0, sizeof(ret->facts));
    for (i = 0; i < in.len; i++) {
        bool at_start = i == line;

        if (at_start && slice_has_prefix(slice_from(in, i), SLICE_LIT(".\r\n"))) {
            ret->used = i + 3;
            return;
        }
        if (at_start && in.ptr[i] == '.')
            continue;
        assert_int_equal(buf_push(&ret->body, in.ptr[i]), 0);
        if (in.ptr[i] == '\n' && i > 0 && in.ptr[i - 1] == '\r')
            line = i + 1;
        else if (in.ptr[i] == '\n')
            ret->facts.has_bare_lf = true;
        if (in.ptr[i] == '\r' && (i + 1 == in.len || in.ptr[i + 1] != '\n'))
            ret->facts.has_bare_cr = true;
    }
}

static void same(const struct decoded *a, const struct decoded *b)
{
    assert_true(slice_eq(buf_slice(&a->body), buf_slice(&b->body)));
    assert_int_equal(a->used, b->used);
    assert_memory_equal(&a->facts, &b->facts, sizeof(a->facts));
}

static void check_cuts(struct slice in, bool is_dotted, const struct decoded *whole)
{
    for (size_t cut = 0; cut <= in.len; cut++) {
        struct decoded d;

        decode(in, is_dotted, cut ? cut : 1, cut ? in.len : 1, &d);
        if (whole->used != SIZE_MAX || !is_dotted)
            same(&d, whole);
        buf_done(&d.body);
    }
}

enum { BARE_CR = 1, BARE_LF = 2, NUL = 4, EIGHT = 8, EIGHT_HEADER = 16, LONG = 32 };

static void bodies_are_decoded(void **state)
{
    const struct {
        struct slice in;
        const char *body;
        size_t left; /* bytes behind the final dot */
        unsigned facts;
    } cases[] = {
        {SLICE_LIT(".\r\n"), "", 0, 0},
        {SLICE_LIT(".\r\nQUIT\r\n"), "", 6, 0},
        {SLICE_LIT("a\r\n.\r\n"), "a\r\n", 0, 0},
        {SLICE_LIT("..\r\n.\r\n"), ".\r\n", 0, 0},
        {SLICE_LIT("...\r\n..a\r\n.b\r\n.\r\n"), "..\r\n.a\r\nb\r\n", 0, 0},
        {SLICE_LIT("a.b\r\n.\r\n"), "a.b\r\n", 0, 0},
        {SLICE_LIT("\r\n\r\n.\r\n"), "\r\n\r\n", 0, 0},
        /* what other hosts may take for an end */
        {SLICE_LIT("a\n.\nb\r\n.\r\n"), "a\n.\nb\r\n", 0, BARE_LF},
        {SLICE_LIT("a\n.\r\nMAIL FROM:<x@y>\r\n.\r\n"), "a\n.\r\nMAIL FROM:<x@y>\r\n", 0, BARE_LF},
        {SLICE_LIT("a\r\n.\nMAIL\r\n.\r\n"), "a\r\n\nMAIL\r\n", 0, BARE_LF},
        {SLICE_LIT("a\r.\r\nMAIL\r\n.\r\n"), "a\r.\r\nMAIL\r\n", 0, BARE_CR},
        {SLICE_LIT("a\r\n.\rMAIL\r\n.\r\n"), "a\r\n\rMAIL\r\n", 0, BARE_CR},
        {SLICE_LIT("a\r.\rb\r\n.\r\n"), "a\r.\rb\r\n", 0, BARE_CR},
        {SLICE_LIT("a\r\r\n.\r\r\n\r\n.\r\n"), "a\r\r\n\r\r\n\r\n", 0, BARE_CR},
        {SLICE_LIT("a\n\r\n.\r\n"), "a\n\r\n", 0, BARE_LF},
        {SLICE_LIT("a\n\r.\r\n\r\n.\r\n"), "a\n\r.\r\n\r\n", 0, BARE_LF | BARE_CR},
        {SLICE_LIT(".\n.\r\n\r\n.\r\n"), "\n.\r\n\r\n", 0, BARE_LF},
        {SLICE_LIT("a: \xe9\r\n\r\nb\r\n.\r\n"), "a: \xe9\r\n\r\nb\r\n", 0, EIGHT | EIGHT_HEADER},
        {SLICE_LIT("a: b\r\n\r\n\xe9\r\n.\r\n"), "a: b\r\n\r\n\xe9\r\n", 0, EIGHT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct decoded d;

        decode(cases[i].in, true, SIZE_MAX, 1, &d);
        if (!slice_eq(buf_slice(&d.body), slice_str(cases[i].body)))
            fail_msg("case %zu: %.*s", i, SLICE_FMT(buf_slice(&d.body)));
        assert_int_equal(d.used, cases[i].in.len - cases[i].left);
        assert_int_equal(d.facts.bytes, buf_len(&d.body));
        assert_int_equal(d.facts.has_bare_cr, !!(cases[i].facts & BARE_CR));
        assert_int_equal(d.facts.has_bare_lf, !!(cases[i].facts & BARE_LF));
        assert_int_equal(d.facts.has_8bit, !!(cases[i].facts & EIGHT));
        assert_int_equal(d.facts.has_8bit_header, !!(cases[i].facts & EIGHT_HEADER));
        assert_true(d.facts.ends_in_crlf);
        check_cuts(cases[i].in, true, &d);
        buf_done(&d.body);
    }
}

static void a_nul_is_noted(void **state)
{
    struct decoded d;

    (void)state;
    decode(SLICE_LIT("a\0b\r\n.\r\n"), true, SIZE_MAX, 1, &d);
    assert_true(d.facts.has_nul);
    assert_int_equal(d.facts.bytes, 5);
    buf_done(&d.body);
}

static void line_lengths_are_counted(void **state)
{
    uint8_t in[2100];

    (void)state;
    for (size_t len = 0; len <= 2000; len += len < 5 || len > 990 ? 1 : 37) {
        struct decoded d;

        if (len > 1010)
            len = 2000;
        memset(in, 'x', sizeof(in));
        memcpy(in, "ab\r\n", 4);
        memcpy(in + 4 + len, "\r\n.\r\n", 5);
        decode(slice_make(in, len + 9), true, SIZE_MAX, 1, &d);
        assert_int_equal(d.facts.longest_line, len > 2 ? len : 2);
        assert_int_equal(d.facts.has_long_line, len > SMTP_TEXT_LINE_MAX);
        if (len == 998 || len == 999)
            check_cuts(slice_make(in, len + 9), true, &d);
        buf_done(&d.body);
    }
}

static void random_bodies_agree_with_the_plain_reading(void **state)
{
    static const char alphabet[] = "\r\n.\r\n..x\r\n\r\nyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\xe9";
    struct rand r;

    (void)state;
    rand_init(&r, 1);
    for (int round = 0; round < 3000; round++) {
        size_t len = rand_below(&r, 300), letters = rand_below(&r, sizeof(alphabet) - 2) + 1;
        uint8_t in[300];
        struct decoded fast, slow, cut;

        for (size_t i = 0; i < len; i++)
            in[i] = (uint8_t)alphabet[rand_below(&r, letters)];
        decode(slice_make(in, len), true, SIZE_MAX, 1, &fast);
        decode_slowly(slice_make(in, len), &slow);
        assert_int_equal(fast.used, slow.used);
        if (slow.used != SIZE_MAX) {
            assert_true(slice_eq(buf_slice(&fast.body), buf_slice(&slow.body)));
            assert_int_equal(fast.facts.has_bare_lf, slow.facts.has_bare_lf);
            assert_int_equal(fast.facts.has_bare_cr, slow.facts.has_bare_cr);
            decode(slice_make(in, len), true, rand_below(&r, 100) + 1, rand_below(&r, 9) + 1, &cut);
            same(&fast, &cut);
            buf_done(&cut.body);
        }
        buf_done(&fast.body);
        buf_done(&slow.body);
    }
}

static void undotted_bodies_are_looked_at_only(void **state)
{
    const struct {
        struct slice in;
        bool bare_cr, bare_lf, ends_in_crlf;
    } cases[] = {
        {SLICE_LIT(""), false, false, true},
        {SLICE_LIT(".\r\n..\r\n.x\r\n"), false, false, true},
        {SLICE_LIT("a"), false, false, false},
        {SLICE_LIT("a\r"), true, false, false},
        {SLICE_LIT("a\n"), false, true, false},
        {SLICE_LIT("\r\r"), true, false, false},
        {SLICE_LIT("a\r\n"), false, false, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct decoded d;

        decode(cases[i].in, false, SIZE_MAX, 1, &d);
        assert_true(slice_eq(buf_slice(&d.body), cases[i].in));
        assert_int_equal(d.facts.bytes, cases[i].in.len);
        assert_int_equal(d.facts.has_bare_cr, cases[i].bare_cr);
        assert_int_equal(d.facts.has_bare_lf, cases[i].bare_lf);
        assert_int_equal(d.facts.ends_in_crlf, cases[i].ends_in_crlf);
        check_cuts(cases[i].in, false, &d);
        buf_done(&d.body);
    }
}

static void what_is_encoded_decodes_to_itself(void **state)
{
    static const char alphabet[] = ".\r\n.xyz";
    struct rand r;

    (void)state;
    rand_init(&r, 2);
    for (int round = 0; round < 3000; round++) {
        uint8_t body[200];
        size_t len = rand_below(&r, sizeof(body)), at = 0;
        struct buf wire = BUF_INIT(4096);
        struct smtp_dot_encoder e;
        struct decoded d;

        for (size_t i = 0; i < len; i++)
            body[i] = (uint8_t)alphabet[rand_below(&r, sizeof(alphabet) - 1)];
        smtp_dot_encoder_init(&e);
        while (at < len) {
            size_t n = rand_below(&r, 20);

            n = MIN_OF(n, len - at);
            assert_int_equal(smtp_dot_encode(&e, slice_make(body + at, n), &wire), 0);
            at += n;
        }
        assert_int_equal(smtp_dot_encode_end(&e, &wire), 0);
        decode(buf_slice(&wire), true, SIZE_MAX, 1, &d);
        assert_int_equal(d.used, buf_len(&wire));
        assert_true(slice_has_prefix(buf_slice(&d.body), slice_make(body, len)));
        assert_true(buf_len(&d.body) == len || buf_len(&d.body) == len + 2);
        buf_done(&wire);
        buf_done(&d.body);
    }
}

static void a_full_buffer_changes_nothing(void **state)
{
    struct buf out = BUF_INIT(8);
    struct smtp_dot_encoder e, before;

    (void)state;
    smtp_dot_encoder_init(&e);
    assert_int_equal(smtp_dot_encode(&e, SLICE_LIT("ab\r\n"), &out), 0);
    before = e;
    assert_true(smtp_dot_encode(&e, SLICE_LIT(".xyz"), &out) < 0);
    assert_int_equal(buf_len(&out), 4);
    assert_int_equal(e.state, before.state);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_decoded),
        cmocka_unit_test(a_nul_is_noted),
        cmocka_unit_test(line_lengths_are_counted),
        cmocka_unit_test(random_bodies_agree_with_the_plain_reading),
        cmocka_unit_test(undotted_bodies_are_looked_at_only),
        cmocka_unit_test(what_is_encoded_decodes_to_itself),
        cmocka_unit_test(a_full_buffer_changes_nothing),
    };

    return cmocka_run_group_tests_name("smtp dot", tests, NULL, NULL);
}
