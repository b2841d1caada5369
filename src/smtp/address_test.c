/* smtp/address_test.c - paths and mailboxes: every quoting rule, every limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "smtp/address.h"

#define ALL (SMTP_ALLOW_UTF8 | SMTP_ALLOW_NULL | SMTP_ALLOW_POSTMASTER)
#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10
#define LABEL63 X60 "xxx"

static const struct path_case {
    const char *in, *mailbox; /* NULL: refused */
    unsigned allow;
    int result;
} path_cases[] = {
    {"<a@b>", "a@b", 0, 0},
    {"<John.Doe@Example.ORG>", "John.Doe@example.org", 0, 0},
    {"<a@b> SIZE=1", "a@b", 0, 0},
    {"<>", "", SMTP_ALLOW_NULL, 0},
    {"<>", NULL, 0, -EINVAL},
    {"<postmaster>", "postmaster", SMTP_ALLOW_POSTMASTER, 0},
    {"<PostMaster>", "PostMaster", SMTP_ALLOW_POSTMASTER, 0},
    {"<postmaster>", NULL, 0, -EINVAL},
    {"<root>", NULL, ALL, -EINVAL},
    {"<@relay.example:a@b>", "a@b", 0, 0},
    {"<@one.example,@two.example:a@b>", "a@b", 0, 0},
    {"<@one.example,two.example:a@b>", NULL, 0, -EINVAL},
    {"<@one.example:>", NULL, ALL, -EINVAL},
    {"<@one.example>", NULL, ALL, -EINVAL},
    {"<!#$%&'*+-/=?^_`{|}~@b>", "!#$%&'*+-/=?^_`{|}~@b", 0, 0},
    /* quoted local parts: as little quoting as needed */
    {"<\"john\"@b>", "john@b", 0, 0},
    {"<\"john.doe\"@b>", "john.doe@b", 0, 0},
    {"<\"jo\\hn\"@b>", "john@b", 0, 0},
    {"<\"john doe\"@b>", "\"john doe\"@b", 0, 0},
    {"<\"a\\\"b\"@b>", "\"a\\\"b\"@b", 0, 0},
    {"<\"a\\\\b\"@b>", "\"a\\\\b\"@b", 0, 0},
    {"<\"a@b\"@c>", "\"a@b\"@c", 0, 0},
    {"<\"a>b\"@c>", "\"a>b\"@c", 0, 0},
    {"<\".a\"@b>", "\".a\"@b", 0, 0},
    {"<\"a..b\"@c>", "\"a..b\"@c", 0, 0},
    {"<\"\"@b>", "\"\"@b", 0, 0},
    {"<\"a@b>", NULL, 0, -EINVAL},
    {"<\"a\tb\"@c>", NULL, 0, -EINVAL},
    {"<\"a\"b@c>", NULL, 0, -EINVAL},
    {"<\"a\".b@c>", NULL, 0, -EINVAL},
    /* dot-atoms */
    {"<.a@b>", NULL, 0, -EINVAL},
    {"<a.@b>", NULL, 0, -EINVAL},
    {"<a..b@c>", NULL, 0, -EINVAL},
    {"<@b>", NULL, 0, -EINVAL},
    {"<a b@c>", NULL, 0, -EINVAL},
    {"<a,b@c>", NULL, 0, -EINVAL},
    {"<a@b@c>", NULL, 0, -EINVAL},
    {"<a\\b@c>", NULL, 0, -EINVAL},
    {"<a(b)@c>", NULL, 0, -EINVAL},
    /* domains */
    {"<a@>", NULL, 0, -EINVAL},
    {"<a@.>", NULL, 0, -EINVAL},
    {"<a@b.>", NULL, 0, -EINVAL},
    {"<a@.b>", NULL, 0, -EINVAL},
    {"<a@b..c>", NULL, 0, -EINVAL},
    {"<a@-b>", NULL, 0, -EINVAL},
    {"<a@b->", NULL, 0, -EINVAL},
    {"<a@b-.c>", NULL, 0, -EINVAL},
    {"<a@b_c>", NULL, 0, -EINVAL},
    {"<a@xn--bcher-kva.Example>", "a@xn--bcher-kva.example", 0, 0},
    {"<a@" LABEL63 ".x>", "a@" LABEL63 ".x", 0, 0},
    {"<a@" LABEL63 "x.x>", NULL, 0, -EINVAL},
    /* address literals */
    {"<a@[192.0.2.1]>", "a@[192.0.2.1]", 0, 0},
    {"<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", 0, 0},
    {"<a@[ipv6:::ffff:192.0.2.1]>", "a@[ipv6:::ffff:192.0.2.1]", 0, 0},
    {"<a@[x-tag:content]>", "a@[x-tag:content]", 0, 0},
    {"<a@[192.0.2]>", NULL, 0, -EINVAL},
    {"<a@[192.0.2.256]>", NULL, 0, -EINVAL},
    {"<a@[2001:db8::1]>", "a@[2001:db8::1]", 0, 0}, /* a general literal with the tag "2001" */
    {"<a@[IPv6:]>", NULL, 0, -EINVAL},
    {"<a@[IPv6:1::2::3]>", NULL, 0, -EINVAL},
    {"<a@[]>", NULL, 0, -EINVAL},
    {"<a@[192.0.2.1>", NULL, 0, -EINVAL},
    {"<a@[192.0.2.1]x>", NULL, 0, -EINVAL},
    {"<a@[tag-:x]>", NULL, 0, -EINVAL},
    {"<a@[tag:x y]>", NULL, 0, -EINVAL},
    /* brackets */
    {"a@b", NULL, 0, -EINVAL},
    {"<a@b", NULL, 0, -EINVAL},
    {"", NULL, 0, -EINVAL},
    {"<", NULL, ALL, -EINVAL},
    /* limits: 64, and 256 with the brackets */
    {"<" X60 "xxxx@b>", X60 "xxxx@b", 0, 0},
    {"<" X60 "xxxxx@b>", NULL, 0, -E2BIG},
    {"<\"" X60 " x\"@b>", "\"" X60 " x\"@b", 0, 0},
    {"<\"" X60 " xx\"@b>", NULL, 0, -E2BIG},
    {"<\"" X60 "xxxxxxxxx\"@b>", NULL, 0, -E2BIG},
    {"<a@" X60 "." X60 "." X60 "." X60 "." X10 ">", NULL, 0, -E2BIG},
    {"<aaaaa@" X60 "." X60 "." X60 "." X60 ".xxxx>", "aaaaa@" X60 "." X60 "." X60 "." X60 ".xxxx",
     0, 0},
    {"<aaaaaa@" X60 "." X60 "." X60 "." X60 ".xxxx>", NULL, 0, -E2BIG},
    /* SMTPUTF8 */
    {"<\xc3\xbc@\xc3\xb6.example>", "\xc3\xbc@\xc3\xb6.example", ALL, 0},
    {"<\"\xc3\xbc x\"@b>", "\"\xc3\xbc x\"@b", ALL, 0},
    {"<\xc3\xbc@b>", NULL, 0, -EILSEQ},
    {"<a@\xc3\xb6.example>", NULL, 0, -EILSEQ},
    {"<\xc3@b>", NULL, ALL, -EILSEQ},
    {"<\xc0\xaf@b>", NULL, ALL, -EILSEQ},
    {"<\xed\xa0\x80@b>", NULL, ALL, -EILSEQ},
    {"<\xf4\x90\x80\x80@b>", NULL, ALL, -EILSEQ},
    {"<a@b\xff>", NULL, ALL, -EILSEQ},
    {"<\"\\\xc3\xbc\"@b>", NULL, ALL, -EINVAL},
};

static void paths_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(path_cases); i++) {
        const struct path_case *c = &path_cases[i];
        struct smtp_address a = {.len = 77};
        const char *why = NULL;
        size_t used = 0;
        int r = smtp_path_parse(slice_str(c->in), c->allow, &a, &used, &why);
        struct slice mailbox = smtp_address_mailbox(&a);

        if (r != c->result)
            fail_msg("%s: %d, expected %d (%s)", c->in, r, c->result, why ? why : "");
        if (r < 0) {
            assert_non_null(why);
            assert_int_equal(a.len, 77);
            continue;
        }
        if (!slice_eq(mailbox, slice_str(c->mailbox)))
            fail_msg("%s: %.*s", c->in, SLICE_FMT(mailbox));
        assert_int_equal(c->in[used - 1], '>');
    }
}

static void no_path_is_read_beyond_its_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(path_cases); i++) {
        size_t len = strlen(path_cases[i].in);

        /* Exact copies, so that the sanitizer sees a read past the end. */
        for (size_t cut = 0; cut <= len; cut++) {
            uint8_t *copy = test_malloc(cut + 1);
            struct smtp_address a;
            const char *why;
            size_t used;

            memcpy(copy + 1, path_cases[i].in, cut);
            if (smtp_path_parse(slice_make(copy + 1, cut), ALL, &a, &used, &why) == 0)
                assert_true(used <= cut);
            test_free(copy);
        }
    }
}

static void canonical_mailboxes_read_as_themselves(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(path_cases); i++) {
        struct smtp_address a;
        const char *why;

        if (path_cases[i].result < 0)
            continue;
        assert_int_equal(smtp_mailbox_parse(slice_str(path_cases[i].mailbox), ALL, &a, &why), 0);
        assert_true(slice_eq(smtp_address_mailbox(&a), slice_str(path_cases[i].mailbox)));
    }
}

static void parts_are_told_apart(void **state)
{
    struct smtp_address a;
    const char *why;

    (void)state;
    assert_int_equal(smtp_mailbox_parse(SLICE_LIT("\"a@b\"@C.example"), 0, &a, &why), 0);
    assert_true(slice_eq(smtp_address_domain(&a), SLICE_LIT("c.example")));
    assert_false(a.is_literal);
    assert_int_equal(smtp_mailbox_parse(SLICE_LIT("a@[192.0.2.1]"), 0, &a, &why), 0);
    assert_true(a.is_literal);
    assert_int_equal(smtp_mailbox_parse(SLICE_LIT("postmaster"), ALL, &a, &why), 0);
    assert_int_equal(smtp_address_domain(&a).len, 0);
    assert_int_equal(smtp_mailbox_parse(SLICE_LIT(""), ALL, &a, &why), 0);
    assert_int_equal(smtp_address_mailbox(&a).len, 0);
    assert_int_equal(smtp_mailbox_parse(SLICE_LIT("a@b c"), 0, &a, &why), -EINVAL);
    assert_string_equal(why, "Something follows the address");
}

static void host_names_are_judged(void **state)
{
    static const struct {
        const char *name;
        bool valid;
    } cases[] = {
        {"a", true},           {"mail.example.org", true},
        {"[127.0.0.1]", true}, {"[IPv6:::1]", true},
        {"", false},           {"a_b", false},
        {"a b", false},        {"a.", false},
        {"[127.0.0.1", false}, {"\xc3\xbc.example", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(smtp_domain_is_valid(slice_str(cases[i].name), true), cases[i].valid);
    assert_false(smtp_domain_is_valid(SLICE_LIT("\xc3\xbc.example"), false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_read),
        cmocka_unit_test(no_path_is_read_beyond_its_end),
        cmocka_unit_test(canonical_mailboxes_read_as_themselves),
        cmocka_unit_test(parts_are_told_apart),
        cmocka_unit_test(host_names_are_judged),
    };

    return cmocka_run_group_tests_name("smtp address", tests, NULL, NULL);
}
