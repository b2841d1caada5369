/* cli/address_list_test.c - the addresses people write into To, Cc and Bcc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/rand.h"
#include "cli/address_list.h"

static int add(void *ctx, struct slice address)
{
    (void)buf_add(ctx, address);
    (void)buf_push(ctx, '|');
    return 0;
}

static const struct {
    const char *value;
    const char *addresses; /* each ended by '|'; NULL: an error */
    const char *why;
} cases[] = {
    {"", "", NULL},
    {" \r\n\t ", "", NULL},
    {"a@example.org", "a@example.org|", NULL},
    {" a@example.org , b@example.net\r\n ,c", "a@example.org|b@example.net|c|", NULL},
    {"John Doe <john@example.org>", "john@example.org|", NULL},
    {"John Q. Public <john@example.org>, x@y", "john@example.org|x@y|", NULL},
    {"\"Doe, John\" <john@example.org>", "john@example.org|", NULL},
    {"\"a \\\" <b\" <john@example.org>", "john@example.org|", NULL},
    {"\"john doe\"@example.org", "\"john doe\"@example.org|", NULL},
    {"\"john\r\n doe\"@example.org", "\"john doe\"@example.org|", NULL},
    {"<\"a b\"@example.org>", "\"a b\"@example.org|", NULL},
    {"john@example.org (John (the) Doe, \\) and more)", "john@example.org|", NULL},
    {"(before) john (in) @ (the) example . (middle) org", "john@example.org|", NULL},
    {"john@[192.0.2.1]", "john@[192.0.2.1]|", NULL},
    {"<@a.example,@b.example:john@example.org>", "john@example.org|", NULL},
    {"friends: a@x.org, B <b@x.org>;, c@x.org", "a@x.org|b@x.org|c@x.org|", NULL},
    {"undisclosed-recipients:;", "", NULL},
    {"a@x.org; b@x.org", "a@x.org|b@x.org|", NULL},
    {",,a@x.org,,", "a@x.org|", NULL},
    {"gr\xc3\xbc\xc3\x9f"
     "e@example.org",
     "gr\xc3\xbc\xc3\x9f"
     "e@example.org|",
     NULL},
    {"=?utf-8?q?J=C3=B6rg?= <j@x.org>", "j@x.org|", NULL},
    {"root", "root|", NULL},
    {"\\\\backslash <b@x.org>", "b@x.org|", NULL},
    {"John Doe", NULL, "a name stands without an address in brackets"},
    {"a@x.org b@x.org", NULL, "a name stands without an address in brackets"},
    {"<a@x.org> b@x.org", NULL, "a comma is missing between two addresses"},
    {"<a@x.org>.", NULL, "a comma is missing between two addresses"},
    {"<a b@x.org>", NULL, "there is a blank in an address"},
    {"John <>", NULL, "the brackets are empty"},
    {"<a@x.org", NULL, "a bracket does not end"},
    {"<a@x.org,b@x.org>", NULL, "a bracket does not end"},
    {"<a@x.org;", NULL, "a bracket does not end"},
    {"<a<b@x.org>", NULL, "a bracket is out of place"},
    {"a>b", NULL, "a bracket is out of place"},
    {"\"john", NULL, "a quoted text does not end"},
    {"\"john\\\"", NULL, "a quoted text does not end"},
    {"(john", NULL, "a comment does not end"},
    {"a@[1.2", NULL, "a domain literal does not end"},
    {"a:b:c@x.org;", NULL, "a colon is out of place"},
    {"<a:b@x.org>", NULL, "a colon is out of place"},
    {"a)b@x.org", NULL, "a character has no place in an address"},
    {"a\x01@x.org", NULL, "a character has no place in an address"},
};

static void lists_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf found = BUF_INIT(10000);
        const char *why = NULL;
        int r = address_list_each(slice_str(cases[i].value), add, &found, &why);

        if ((r == 0) != (cases[i].addresses != NULL))
            print_message("%s: %d %s\n", cases[i].value, r, why ? why : "");
        if (cases[i].addresses) {
            assert_int_equal(r, 0);
            assert_string_equal(buf_cstr(&found), cases[i].addresses);
        } else {
            assert_int_equal(r, -EINVAL);
            assert_string_equal(why, cases[i].why);
        }
        buf_done(&found);
    }
}

static void long_ones_are_refused(void **state)
{
    char text[ADDRESS_LIST_ADDRESS_MAX + 20];
    struct buf found = BUF_INIT(10000);
    const char *why = NULL;

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_int_equal(
        address_list_each(slice_make(text, ADDRESS_LIST_ADDRESS_MAX), add, &found, &why), 0);
    assert_int_equal(
        address_list_each(slice_make(text, ADDRESS_LIST_ADDRESS_MAX + 1), add, &found, &why),
        -EINVAL);
    text[0] = text[sizeof(text) - 9] = '"'; /* a long name is fine */
    memcpy(text + sizeof(text) - 8, " <a@b.c>", 8);
    assert_int_equal(address_list_each(slice_make(text, sizeof(text)), add, &found, &why), 0);
    buf_done(&found);
}

static int stop(void *ctx, struct slice address)
{
    (void)address;
    return ++*(int *)ctx == 2 ? 77 : 0;
}

static void a_caller_can_stop(void **state)
{
    const char *why = NULL;
    int count = 0;

    (void)state;
    assert_int_equal(address_list_each(SLICE_LIT("a,b,c"), stop, &count, &why), 77);
    assert_int_equal(count, 2);
    assert_null(why);
}

/* Any bytes end in an answer, and addresses have no line ends. */
static void any_bytes_are_survived(void **state)
{
    static const char alphabet[] = "ab@.,;:<>()[]\"\\ \r\n\x01\xc3";
    struct rand r;

    (void)state;
    rand_init(&r, 20);
    for (int round = 0; round < 50000; round++) {
        uint8_t text[24];
        size_t len = (size_t)rand_below(&r, sizeof(text) + 1);
        struct buf found = BUF_INIT(1000);
        const char *why = NULL;
        int err;

        for (size_t i = 0; i < len; i++)
            text[i] = (uint8_t)alphabet[rand_below(&r, sizeof(alphabet) - 1)];
        err = address_list_each(slice_make(text, len), add, &found, &why);
        assert_true(err == 0 || (err == -EINVAL && why));
        assert_int_equal(slice_find(buf_slice(&found), '\n'), -1);
        buf_done(&found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read),
        cmocka_unit_test(long_ones_are_refused),
        cmocka_unit_test(a_caller_can_stop),
        cmocka_unit_test(any_bytes_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
