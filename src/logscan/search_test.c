/*
 * logscan/search_test.c - found is what a look at each byte finds, for texts of any length and place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "logscan/search.h"

#define TEXT_MAX 400
#define ROUNDS 3000

static bool is_place(const uint8_t *p, size_t left)
{
    if (p[0] == '\n')
        return left > 1 && p[1] != '2';
    if (p[0] == '*')
        return left > 3 && p[1] == ',' && p[2] == ',' && (p[3] == 'F' || p[3] == '"');
    return left > 2 && p[0] == '<' && p[1] == ',' && (p[2] == '"' || p[2] == '4' || p[2] == '5');
}

/* Made of what matters, so that places are many and fall on every border of blocks. */
static size_t make_text(struct rand *r, uint8_t *text)
{
    static const char bytes[] = "<,45\"\n2<,46#x,<*,,F";
    size_t len = rand_below(r, TEXT_MAX);

    for (size_t i = 0; i < len; i++)
        text[i] = (uint8_t)bytes[rand_below(r, sizeof(bytes) - 1)];
    return len;
}

static void test_places_and_lines(void **state)
{
    struct rand r;

    (void)state;
    rand_init(&r, 20261123);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t *text =
            malloc(TEXT_MAX); /* of its length: the sanitizer sees what is read behind */
        size_t len = make_text(&r, text), at, i = 0;
        struct search s;
        uint64_t lines = 0;

        text = realloc(text, len + 1);
        assert_non_null(text);
        search_init_replies(&s, slice_make(text, len), '<', '4', '5');
        while (search_next(&s, &at)) {
            while (!is_place(text + i, len - i))
                i++;
            assert_int_equal(at, i);
            i++;
        }
        for (; i < len; i++)
            assert_false(is_place(text + i, len - i));
        for (i = 0; i < len; i++)
            lines += text[i] == '\n';
        assert_int_equal(s.lines, lines);
        assert_int_equal(search_count(slice_make(text, len), '\n'), lines);
        free(text);
    }
}

static bool is_needle_place(struct slice text, const struct search_needle *n, size_t i)
{
    if (text.ptr[i] == '\n')
        return i + 1 < text.len && !byte_is_digit(text.ptr[i + 1]);
    return i + n->distance < text.len &&
           (text.ptr[i] == n->first[0] || text.ptr[i] == n->first[1]) &&
           (text.ptr[i + n->distance] == n->last[0] || text.ptr[i + n->distance] == n->last[1]);
}

static void check_search(struct slice text, struct search_needle needle)
{
    struct search s;
    uint64_t lines = 0;
    size_t at;

    search_init_needle(&s, text, &needle);
    for (size_t i = 0; i < text.len; i++) {
        lines += text.ptr[i] == '\n';
        if (!is_needle_place(text, &needle, i))
            continue;
        assert_true(search_next(&s, &at));
        assert_int_equal(at, i);
    }
    assert_false(search_next(&s, &at));
    assert_int_equal(s.lines, lines);
}

static void test_needles(void **state)
{
    static const char letters[] = "4,4\",\n2aA1\n#";
    uint8_t text[700];
    uint32_t seed = 1;

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++) {
        seed = seed * 1103515245 + 12345;
        text[i] = (uint8_t)letters[(seed >> 16) % (sizeof(letters) - 1)];
    }
    for (size_t from = 0; from < 40; from += 3) {
        for (size_t len = 0; from + len <= sizeof(text); len += 1 + len / 7) {
            struct slice part = slice_make(text + from, len);

            check_search(part, search_needle_of(SLICE_LIT("4"), true));
            check_search(part, search_needle_of(SLICE_LIT("4"), false));
            check_search(part, search_needle_of(SLICE_LIT("a1"), false));
            check_search(part, search_needle_of(
                                   SLICE_LIT("A,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,2"), false));
            check_search(part, search_needle_none());
        }
    }
}

static void test_count(void **state)
{
    uint8_t text[100];
    bool has_quote;

    (void)state;
    for (size_t n = 0; n < sizeof(text); n++) {
        memset(text, ',', sizeof(text));
        assert_int_equal(search_count_with(slice_make(text, n), ',', '"', &has_quote), n);
        assert_false(has_quote);
        if (n == 0)
            continue;
        text[n - 1] = '"';
        assert_int_equal(search_count_with(slice_make(text, n), ',', '"', &has_quote), n - 1);
        assert_true(has_quote);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_and_lines),
        cmocka_unit_test(test_needles),
        cmocka_unit_test(test_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
