/* logscan/reply_form_test.c - what the formats make of a reply, and the one form it has here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "logscan/reply_form.h"

/* "452 4.3.1|text" of a reply. */
static const char *shown(const struct log_reply *r)
{
    static char ret[1024];
    char status[REPLY_FORM_STATUS_MAX];

    (void)snprintf(ret, sizeof(ret), "%s|%.*s", reply_form_status(r, status), SLICE_FMT(r->text));
    return ret;
}

static void one_line(void **state)
{
    static const struct {
        const char *in;
        const char *want; /* NULL: not a reply */
        bool is_continued;
    } cases[] = {
        {"452 4.3.1 Insufficient system resources", "452 4.3.1|Insufficient system resources",
         false},
        {"452-4.2.2 over quota", "452 4.2.2|over quota", true},
        {"452 4.3.1", "452 4.3.1|", false},
        {"452 4.3.1 ", "452 4.3.1|", false},
        {"452 4.3.1: full", "452 -|4.3.1: full", false},
        {"450 try later", "450 -|try later", false},
        {"550 4.4.7 QUEUE.Expired", "550 4.4.7|QUEUE.Expired", false},
        {"454 4.7.0 upstream said: 452 4.3.1 full", "454 4.7.0|upstream said: 452 4.3.1 full",
         false},
        {"354", "354 -|", false},
        {"250-", "250 -|", true},
        {"250  host Hello", "250 -| host Hello", false},
        {"599 x", "599 -|x", false},
        {"600 x", NULL, false},
        {"199 x", NULL, false},
        {"45 x", NULL, false},
        {"4520 x", NULL, false},
        {"452:x", NULL, false},
        {"", NULL, false},
        {"4A2 x", NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct log_reply r;
        bool is_reply = reply_form_line(slice_str(cases[i].in), &r);

        assert_int_equal(is_reply, cases[i].want != NULL);
        if (is_reply)
            assert_string_equal(shown(&r), cases[i].want);
        assert_int_equal(reply_form_is_continued(slice_str(cases[i].in)), cases[i].is_continued);
    }
}

static void many_lines(void **state)
{
    static const struct {
        const char *lines[5];
        const char *want;
    } cases[] = {
        {{"452-4.2.2 over quota", "452 4.2.2 see https://x.example"},
         "452 4.2.2|over quota see https://x.example"},
        {{"550-5.7.26 a", "550-5.7.26 ", "550 5.7.26 b"}, "550 5.7.26|a  b"},
        {{"550-5.7.1 a", "550 5.7.2 b"}, "550 5.7.1|a 5.7.2 b"},
        {{"550-a", "550 5.7.2 b"}, "550 -|a 5.7.2 b"},
        {{"550-5.7.1 a", "550 b"}, "550 5.7.1|a b"},
        {{"550-5.7.1 a", "550-5.7.1", "550"}, "550 5.7.1|a  "},
        {{"550 5.7.1 a"}, "550 5.7.1|a"},
        {{"550-a", "torn"}, "550 -|a torn"},
        {{"a", "550 b"}, NULL},
        {{NULL}, NULL},
    };
    struct arena a = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct slice lines[5];
        struct log_reply r;
        size_t count = 0;
        bool is_reply;

        for (; count < 5 && cases[i].lines[count]; count++)
            lines[count] = slice_str(cases[i].lines[count]);
        is_reply = reply_form_lines(lines, count, &a, &r);
        assert_int_equal(is_reply, cases[i].want != NULL);
        if (is_reply)
            assert_string_equal(shown(&r), cases[i].want);
    }
    arena_done(&a);
}

static void joined_lines(void **state)
{
    static const struct {
        const char *in, *joint, *want;
    } cases[] = {
        {"452-4.2.2 over quota. Please direct 452-4.2.2 the recipient to 452 4.2.2 "
         "https://x.example",
         " ", "452 4.2.2|over quota. Please direct the recipient to https://x.example"},
        {"550-5.7.26 a 550-5.7.26  550 5.7.26 b", " ", "550 5.7.26|a  b"},
        {"550-5.7.26  550 5.7.26 b", " ", "550 5.7.26| b"},
        {"550-5.7.26 550 5.7.26 b", " ", "550 5.7.26| b"},
        {"452 4.2.2 a 452 4.2.2 b", " ", "452 4.2.2|a 452 4.2.2 b"},
        {"454-4.7.0 upstream said: 452 4.3.1 a 454 4.7.0 b", " ",
         "454 4.7.0|upstream said: 452 4.3.1 a b"},
        {"452-4.2.2 a 452 4.3.1 b", " ", "452 4.2.2|a 452 4.3.1 b"},
        {"452-a 452 4.3.1 b", " ", "452 -|a 4.3.1 b"},
        {"452-a 452", " ", "452 -|a 452"},
        {"452-a 4520 b", " ", "452 -|a 4520 b"},
        {"452-4.2.2 a\\n452-4.2.2 b\\n452 4.3.1 c", "\\n", "452 4.2.2|a b 4.3.1 c"},
        {"452-a\\n452", "\\n", "452 -|a "},
        {"452-a \\n b", "\\n", "452 -|a \\n b"},
        {"452-a\n452 b", "\n", "452 -|a b"},
        {"452 a\n452 b", "\n", "452 -|a\n452 b"},
        {"452 a", "", "452 -|a"},
        {"452-", " ", "452 -|"},
        {"no reply", " ", NULL},
    };
    struct arena a = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct log_reply r;
        bool is_reply =
            reply_form_joined(slice_str(cases[i].in), slice_str(cases[i].joint), &a, &r);

        assert_int_equal(is_reply, cases[i].want != NULL);
        if (is_reply)
            assert_string_equal(shown(&r), cases[i].want);
    }
    arena_done(&a);
}

static void masked(void **state)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"<a@b.example>: Recipient address rejected", "<...>: Recipient address rejected"},
        {"user a.b@x.example unknown", "user <...> unknown"},
        {"blocked [192.0.2.10      15] by 198.18.0.7.", "blocked [ip      15] by [ip]."},
        {"from 198.18.0.7:25, 2001:db8::1 and [2001:db8::1]", "from [ip]:25, [ip] and [ip]"},
        {"1.2.3.400 is version 4.7.28", "1.2.3.400 is version 4.7.28"},
        {"queued as 7B3919AE693", "queued as #"},
        {"id 1a2b is hex, deaf and 123 are not", "id # is hex, deaf and 123 are not"},
        {"OK 1772496904 23si6327094bwz.9 - gsmtp", "OK # 23si#wz.9 - gsmtp"},
        {"see https://x.example/mail/answer/81126", "see https://x.example/mail/answer/#"},
        {"a < b and <<c> > d <", "a <...> > d <"},
        {"@ a@ @b", "@ a@ @b"},
        {"<><><><><><><><>", "<...><...><...><...><...><...><...><...>"},
        {"12:34", "12:34"},
        {"", ""},
    };
    struct arena a = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[256];

        (void)snprintf(text, sizeof(text), "%.*s",
                       SLICE_FMT(reply_form_masked(slice_str(cases[i].in), &a)));
        assert_string_equal(text, cases[i].want);
    }
    arena_done(&a);
}

static void status(void **state)
{
    const struct log_reply longest = {.code = 599, .enhanced = SMTP_ENHANCED(255, 65535, 65535)};
    char ret[REPLY_FORM_STATUS_MAX];

    (void)state;
    assert_string_equal(reply_form_status(&longest, ret), "599 255.65535.65535");
    assert_string_equal(reply_form_status(&(struct log_reply){.code = 0}, ret), "0 -");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line), cmocka_unit_test(many_lines), cmocka_unit_test(joined_lines),
        cmocka_unit_test(masked),   cmocka_unit_test(status),
    };

    return cmocka_run_group_tests_name("reply_form", tests, NULL, NULL);
}
