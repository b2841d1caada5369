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
        search_init(&s, slice_make(text, len), '<', '4', '5');
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_and_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
