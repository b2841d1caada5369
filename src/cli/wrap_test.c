/*
 * cli/wrap_test.c - lines of a text: where they break, how long they are, what is in them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/rand.h"
#include "cli/wrap.h"

static void lines_break_at_blanks(void **state)
{
    struct buf to = BUF_INIT(KIB(4));

    (void)state;
    wrap_add(&to, "do", 6, SLICE_LIT("  one   two "));
    wrap_add(
        &to, "long", 6,
        SLICE_LIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb c d"));
    wrap_add(&to, "none", 6, SLICE_LIT(""));
    wrap_add(&to, "", 0, SLICE_LIT("line\nfeed\x1b[1m"));
    assert_string_equal(
        buf_cstr(&to),
        "do    one two\n"
        "long  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
        "      c d\n"
        "none  \n"
        "line feed?[1m\n");
    buf_done(&to);
}

static void lines_are_as_long_as_asked_for(void **state)
{
    struct buf to = BUF_INIT(KIB(4));

    (void)state;
    wrap_add_to(&to, "a", 4, SLICE_LIT("bb cc dd"), 9);
    wrap_add_to(&to, "label", 4, SLICE_LIT("bb cc dd"), 9);
    wrap_add_to(&to,
                "la\x1b"
                "bel",
                2, SLICE_LIT("bb cc dd"), 0);
    assert_string_equal(buf_cstr(&to), "a   bb cc\n"
                                       "    dd\n"
                                       "label bb\n"
                                       "    cc dd\n"
                                       "la?bel bb cc dd\n");
    buf_done(&to);
}

/* Words come out as they were, in lines as full as they can be. */
static void random_texts_keep_their_words(void **state)
{
    struct rand chance;

    (void)state;
    rand_init(&chance, 1);
    for (int i = 0; i < 2000; i++) {
        struct buf to = BUF_INIT(KIB(8)), text = BUF_INIT(KIB(8)), back = BUF_INIT(KIB(8));
        struct slice left;

        for (uint64_t words = rand_below(&chance, 60); words; words--) {
            for (uint64_t n = rand_below(&chance, 90) % 12 + 1; n; n--)
                (void)buf_push(&text, (uint8_t)('a' + rand_below(&chance, 26)));
            (void)buf_push(&text, ' ');
        }
        wrap_add(&to, "label", 8, buf_slice(&text));
        left = slice_from(buf_slice(&to), 8);
        while (left.len) {
            ptrdiff_t end = slice_find(left, '\n');

            assert_true(end >= 0 && end + (back.len ? 0 : 8) <= WRAP_WIDTH);
            (void)buf_add(&back, slice_trim(slice_sub(left, 0, (size_t)end)));
            (void)buf_push(&back, ' ');
            left = slice_from(left, (size_t)end + 1);
        }
        assert_true(slice_eq(slice_trim(buf_slice(&back)), slice_trim(buf_slice(&text))));
        buf_done(&to);
        buf_done(&text);
        buf_done(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_break_at_blanks),
        cmocka_unit_test(lines_are_as_long_as_asked_for),
        cmocka_unit_test(random_texts_keep_their_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
