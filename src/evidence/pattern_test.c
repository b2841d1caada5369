/*
 * evidence/pattern_test.c - patterns and globs against a plain model, on random short texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/rand.h"
#include "evidence/pattern.h"

static bool finds(const char *pattern, const char *text)
{
    struct look look = {0};
    struct pattern p;

    for (const char *c = text; *c; c++)
        look_push(&look, (uint8_t)*c);
    look_finish(&look);
    assert_true(pattern_init(&p, slice_str(pattern)));
    return pattern_matches(&p, &look);
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
    struct pattern p;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(poor); i++)
        assert_false(pattern_init(&p, slice_str(poor[i])));
    memset(long_one, 'x', sizeof(long_one));
    assert_true(pattern_init(&p, slice_make(long_one, PATTERN_MAX)));
    assert_false(pattern_init(&p, slice_make(long_one, PATTERN_MAX + 1)));
}

static void what_is_behind_the_limit_does_not_count(void **state)
{
    struct look look = {0};
    struct pattern p;

    (void)state;
    for (size_t i = 0; i < LOOK_MAX; i++)
        look_push(&look, 'x');
    look_push(&look, 'y');
    look_finish(&look);
    assert_int_equal(look.len, LOOK_MAX);
    assert_true(pattern_init(&p, SLICE_LIT("xy")));
    assert_false(pattern_matches(&p, &look));
    assert_true(pattern_init(&p, SLICE_LIT("xxxx")));
    assert_true(pattern_matches(&p, &look));
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
    for (int i = 0; i < 200000; i++) {
        char pattern[9], text[17];
        struct pattern p;
        bool wanted;

        random_text(&chance, "aabb*?", 8, pattern);
        random_text(&chance, "abbac", 16, text);
        wanted = model(pattern, text, false);
        if (glob_matches(slice_str(pattern), slice_str(text)) != wanted)
            fail_msg("glob '%s' and '%s'", pattern, text);
        matched += wanted;
        if (!strchr(pattern, '?') && pattern_init(&p, slice_str(pattern)) &&
            finds(pattern, text) != model_finds(pattern, text))
            fail_msg("pattern '%s' and '%s'", pattern, text);
    }
    assert_true(matched > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_searched),
        cmocka_unit_test(poor_patterns_are_refused),
        cmocka_unit_test(what_is_behind_the_limit_does_not_count),
        cmocka_unit_test(random_patterns_agree_with_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
