/*
 * evidence/pattern_test.c - patterns, alone and in sets, and globs against a plain model, on random
 * short texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/rand.h"
#include "evidence/pattern.h"

/* Alone and in a set of many: the same. */
static bool finds(const char *pattern, const char *text)
{
    static const char *const others[] = {"full", "xy", "mailbox", "a*b*c", "q*", "zzzz"};
    struct slice all[ARRAY_SIZE(others) + 1] = {slice_str(pattern)};
    struct pool pool = {0};
    struct look look = {0};
    struct pattern_set set;
    struct pattern_found found;
    bool result;

    for (const char *c = text; *c; c++)
        look_push(&look, (uint8_t)*c);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        all[i + 1] = slice_str(others[i]);
    assert_true(pattern_is_good(slice_str(pattern)));
    result = pattern_matches(slice_str(pattern), &look);
    for (size_t count = 1; count <= ARRAY_SIZE(all); count += ARRAY_SIZE(others)) {
        assert_true(pattern_set_init(&set, &pool, all, count));
        pattern_set_find(&set, &look, &found);
        for (size_t i = 0; i < count; i++)
            assert_true(pattern_found_any(&found, i, 1) == pattern_matches(all[i], &look));
    }
    pool_done(&pool);
    return result;
}

static void texts_are_searched(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"mailbox full", "Mailbox FULL", true},
        {"mailbox full", "mailbox is full", false},
        {"mailbox*full", "the mailbox is full now", true},
        {"mailbox*full", "full is the mailbox", false},
        {"mailbox*full", "mailboxfull", true},
        {"ab*ab", "ab", false},
        {"ab*ab", "abab", true},
        {"aab", "aaab", true},
        {"*full*", "x full", true},
        {"a*bc*d", "abcd", true},
        {"a*bc*d", "abdc", false},
        {"no", "n o", false},
        {"no", "casino", true},
        {"[ts03]", "421 [TS03] all", true},
        {"full", "", false},
        {"full", "ful", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (finds(cases[i].pattern, cases[i].text) != cases[i].matches)
            fail_msg("'%s' in '%s'", cases[i].pattern, cases[i].text);
}

static void poor_patterns_are_refused(void **state)
{
    static const char *const poor[] = {"", "*", "***", "a", "a*b", "*x*"};
    char long_one[PATTERN_MAX + 2];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(poor); i++)
        assert_false(pattern_is_good(slice_str(poor[i])));
    memset(long_one, 'x', sizeof(long_one));
    assert_true(pattern_is_good(slice_make(long_one, PATTERN_MAX)));
    assert_false(pattern_is_good(slice_make(long_one, PATTERN_MAX + 1)));
}

static void what_is_behind_the_limit_does_not_count(void **state)
{
    char text[LOOK_MAX + 2];

    (void)state;
    memset(text, 'x', sizeof(text));
    text[LOOK_MAX] = 'y';
    text[LOOK_MAX + 1] = '\0';
    assert_false(finds("xxy", text));
    assert_true(finds("xxxx", text));
    text[LOOK_MAX - 1] = 'y';
    assert_true(finds("xxy", text));
}

/* By recursion: slow, and plainly right. `anywhere`: the pattern need not begin or end the text. */
static bool model(const char *p, const char *t, bool anywhere)
{
    if (!*p)
        return anywhere || !*t;
    if (*p == '*')
        return model(p + 1, t, anywhere) || (*t && model(p, t + 1, anywhere));
    return *t && (*p == *t || (*p == '?' && !anywhere)) && model(p + 1, t + 1, anywhere);
}

static bool model_finds(const char *p, const char *t)
{
    do {
        if (model(p, t, true))
            return true;
    } while (*t++);
    return false;
}

static void random_text(struct rand *chance, const char *letters, size_t max, char *to)
{
    size_t len = rand_below(chance, max + 1);

    for (size_t i = 0; i < len; i++)
        to[i] = letters[rand_below(chance, strlen(letters))];
    to[len] = '\0';
}

static void random_patterns_agree_with_a_model(void **state)
{
    struct rand chance;
    uint64_t matched = 0;

    (void)state;
    rand_init(&chance, 7);
    for (int i = 0; i < 100000; i++) {
        char pattern[9], text[17];
        bool wanted;

        random_text(&chance, "aabb*?", 8, pattern);
        random_text(&chance, "abbac", 16, text);
        wanted = model(pattern, text, false);
        if (glob_matches(slice_str(pattern), slice_str(text)) != wanted)
            fail_msg("glob '%s' and '%s'", pattern, text);
        matched += wanted;
        if (!strchr(pattern, '?') && pattern_is_good(slice_str(pattern)) &&
            finds(pattern, text) != model_finds(pattern, text))
            fail_msg("pattern '%s' and '%s'", pattern, text);
    }
    assert_true(matched > 1000);
}

/* Ranges of bits, against one bit after another. */
static void ranges_of_a_set(void **state)
{
    struct pattern_found f = {{0}};
    struct rand chance;

    (void)state;
    rand_init(&chance, 9);
    for (int i = 0; i < 20000; i++) {
        size_t first = rand_below(&chance, 300), count = rand_below(&chance, 300);
        size_t bit = rand_below(&chance, 700);

        f.bits[bit / 64] = UINT64_C(1) << bit % 64;
        assert_true(pattern_found_any(&f, first, count) == (bit >= first && bit < first + count));
        f.bits[bit / 64] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_searched),
        cmocka_unit_test(poor_patterns_are_refused),
        cmocka_unit_test(what_is_behind_the_limit_does_not_count),
        cmocka_unit_test(ranges_of_a_set),
        cmocka_unit_test(random_patterns_agree_with_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
