/* smtp/command_test.c - command lines and their parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "smtp/command.h"

#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

static void lines_are_judged(void **state)
{
    static const struct {
        const char *line;
        unsigned code; /* 0: taken */
        unsigned subject, detail;
    } cases[] = {
        {"EHLO a", 0, 0, 0},
        {"eHlO  a ", 0, 0, 0},
        {"EHLO", 501, 5, 4},
        {"EHLO a b", 501, 5, 4},
        {"EHLOa", 500, 5, 2},
        {" EHLO a", 500, 5, 2},
        {"\xff\xfe", 500, 5, 2},
        {"", 500, 5, 2},
        {"DATA", 0, 0, 0},
        {"DATA ", 0, 0, 0},
        {"DATA now", 501, 5, 4},
        {"RSET x", 501, 5, 4},
        {"QUIT x", 501, 5, 4},
        {"STARTTLS x", 501, 5, 4},
        {"NOOP x y z", 0, 0, 0},
        {"VRFY", 501, 5, 4},
        {"BDAT 0", 0, 0, 0},
        {"BDAT 10 LAST", 0, 0, 0},
        {"BDAT 10 last ", 0, 0, 0},
        {"BDAT", 501, 5, 4},
        {"BDAT LAST", 501, 5, 4},
        {"BDAT -1", 501, 5, 4},
        {"BDAT 1 2", 501, 5, 4},
        {"MAIL", 501, 5, 4},
        {"MAIL FROM", 501, 5, 4},
        {"MAIL TO:<a@b>", 501, 5, 4},
        {"MAIL FROM:", 501, 1, 7},
        {"MAIL FROM:a@b", 501, 1, 7},
        {"MAIL FROM:<a@b", 501, 1, 7},
        {"MAIL FROM:<a@b>", 0, 0, 0},
        {"mail from:<a@b>", 0, 0, 0},
        {"MAIL FROM: <a@b>", 0, 0, 0},
        {"MAIL FROM:<>", 0, 0, 0},
        {"MAIL FROM:<postmaster>", 501, 1, 7},
        {"MAIL FROM:<a@b>SIZE=1", 501, 5, 4},
        {"MAIL FROM:<a@b> SIZE=1  BODY=7BIT ", 0, 0, 0},
        {"MAIL FROM:<a@b> SIZE=", 501, 5, 4},
        {"MAIL FROM:<a@b> SIZE", 501, 5, 4},
        {"MAIL FROM:<a@b> SIZE=1x", 501, 5, 4},
        {"MAIL FROM:<a@b> SIZE=1 SIZE=1", 501, 5, 4},
        {"MAIL FROM:<a@b> BODY=BINARYMIME", 501, 5, 4},
        {"MAIL FROM:<a@b> RET=SOME", 501, 5, 4},
        {"MAIL FROM:<a@b> RET=full ENVID=a", 0, 0, 0},
        {"MAIL FROM:<a@b> ENVID=a+2Bb+3D", 0, 0, 0},
        {"MAIL FROM:<a@b> ENVID=a+2b", 501, 5, 4},
        {"MAIL FROM:<a@b> ENVID=a+2", 501, 5, 4},
        {"MAIL FROM:<a@b> ENVID=a+", 501, 5, 4},
        {"MAIL FROM:<a@b> ENVID=a=b", 501, 5, 4},
        {"MAIL FROM:<a@b> ENVID=a+0D+0Ab", 501, 5, 4},
        {"MAIL FROM:<a@b> ENVID=" X100, 0, 0, 0},
        {"MAIL FROM:<a@b> ENVID=x" X100, 501, 5, 4},
        {"MAIL FROM:<a@b> AUTH=<>", 555, 5, 4},
        {"MAIL FROM:<a@b> NOTIFY=NEVER", 555, 5, 4},
        {"MAIL FROM:<a@b> SMTPUTF8=yes", 501, 5, 4},
        {"MAIL FROM:<a@b> SMTPUTF8=", 501, 5, 4},
        {"MAIL FROM:<a@b> =", 555, 5, 4},
        {"MAIL FROM:<\xc3\xbc@b>", 553, 6, 7},
        {"MAIL FROM:<\xc3\xbc@b> SMTPUTF8", 0, 0, 0},
        {"MAIL FROM:<\xc3@b> SMTPUTF8", 553, 6, 7},
        {"RCPT TO:<a@b>", 0, 0, 0},
        {"RCPT TO:<>", 501, 1, 3},
        {"RCPT TO:<postmaster>", 0, 0, 0},
        {"RCPT TO:<a@b> SIZE=1", 555, 5, 4},
        {"RCPT TO:<a@b> NOTIFY=SUCCESS,FAILURE,DELAY", 0, 0, 0},
        {"RCPT TO:<a@b> NOTIFY=never", 0, 0, 0},
        {"RCPT TO:<a@b> NOTIFY=NEVER,DELAY", 501, 5, 4},
        {"RCPT TO:<a@b> NOTIFY=DELAY,DELAY", 501, 5, 4},
        {"RCPT TO:<a@b> NOTIFY=DELAY,", 501, 5, 4},
        {"RCPT TO:<a@b> NOTIFY=SOMETIMES", 501, 5, 4},
        {"RCPT TO:<a@b> ORCPT=rfc822;a+40b", 0, 0, 0},
        {"RCPT TO:<a@b> ORCPT=rfc822", 501, 5, 4},
        {"RCPT TO:<a@b> ORCPT=;a", 501, 5, 4},
        {"RCPT TO:<a@b> ORCPT=rfc822;", 501, 5, 4},
        {"RCPT TO:<a@b> ORCPT=rf_c;a", 501, 5, 4},
        {"RCPT TO:<a@b> ORCPT=rfc822;\xc3\xbc", 501, 5, 4},
        {"RCPT TO:<a@b> ORCPT=utf-8;\xc3\xbc@b", 0, 0, 0},
        {"RCPT TO:<a@b> ORCPT=utf-8;\\x{FC}@b", 0, 0, 0},
        {"RCPT TO:<a@b> ORCPT=utf-8;\\x{D800}@b", 501, 5, 4},
        {"RCPT TO:<a@b> ORCPT=utf-8;\\x{FC", 501, 5, 4},
        {"RCPT TO:<a@b> ORCPT=utf-8;\xc3", 501, 5, 4},
        {"RCPT TO:<a@b> ORCPT=rfc822;" X100 X100 X100 X100 X100, 501, 5, 4},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct smtp_command cmd;
        struct smtp_fault fault = {.code = 0};
        int r = smtp_command_parse(slice_str(cases[i].line), SMTP_EXT_USUAL | SMTP_EXT_STARTTLS,
                                   &cmd, &fault);

        if (fault.code != cases[i].code || (r < 0) != (cases[i].code != 0) ||
            fault.enhanced.subject != cases[i].subject || fault.enhanced.detail != cases[i].detail)
            fail_msg("%s: %d %u %u.%u (%s)", cases[i].line, r, fault.code, fault.enhanced.subject,
                     fault.enhanced.detail, fault.text);
        if (r < 0)
            assert_true(fault.text && fault.text[0] >= 'A' && fault.text[0] <= 'Z');
    }
}

static void every_cut_of_a_line_is_safe(void **state)
{
    static const char line[] = "RCPT TO:<@r:\"a\\\"b\"@[IPv6:::1]> NOTIFY=SUCCESS,DELAY "
                               "ORCPT=utf-8;\\x{1F600}+x\xc3\xbc";

    (void)state;
    for (size_t len = 0; len < sizeof(line); len++) {
        uint8_t *copy = test_malloc(len + 1);
        struct smtp_command cmd;
        struct smtp_fault fault;

        memcpy(copy + 1, line, len);
        (void)!smtp_command_parse(slice_make(copy + 1, len), SMTP_EXT_USUAL, &cmd, &fault);
        test_free(copy);
    }
}

static void arguments_are_kept(void **state)
{
    struct smtp_command cmd;
    struct smtp_fault fault;

    (void)state;
    assert_int_equal(
        smtp_command_parse(SLICE_LIT("MAIL FROM:<a@B.c> size=42 body=8bitmime RET=HDRS "
                                     "ENVID=e+3D smtputf8"),
                           SMTP_EXT_USUAL, &cmd, &fault),
        0);
    assert_true(slice_eq(smtp_address_mailbox(&cmd.u.mail.sender), SLICE_LIT("a@b.c")));
    assert_int_equal(cmd.u.mail.size, 42);
    assert_true(cmd.u.mail.has_size && cmd.u.mail.smtputf8);
    assert_int_equal(cmd.u.mail.body, SMTP_BODY_8BITMIME);
    assert_int_equal(cmd.u.mail.ret, SMTP_RET_HDRS);
    assert_true(slice_eq(cmd.u.mail.envid, SLICE_LIT("e+3D")));
    assert_int_equal(smtp_command_parse(SLICE_LIT("BDAT 77 LAST"), SMTP_EXT_USUAL, &cmd, &fault),
                     0);
    assert_int_equal(cmd.u.bdat.size, 77);
    assert_true(cmd.u.bdat.is_last);
    assert_int_equal(smtp_command_parse(SLICE_LIT("EHLO  [::1] "), SMTP_EXT_USUAL, &cmd, &fault),
                     0);
    assert_true(slice_eq(cmd.argument, SLICE_LIT("[::1]")));
}

static void xtext_is_decoded(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
        bool is_utf8;
        ptrdiff_t error;
    } cases[] = {
        {"abc", "abc", false, 0},
        {"a+20b+2B", "a b+", false, 0},
        {"a+2", NULL, false, -EINVAL},
        {"a b", NULL, false, -EINVAL},
        {"\xc3\xbc", NULL, false, -EINVAL},
        {"\xc3\xbc", "\xc3\xbc", true, 0},
        {"\\x{FC}\\x{20AC}\\x{1F600}", "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", true, 0},
        {"\\x{5C}", "\\", true, 0},
        {"\\x{110000}", NULL, true, -EINVAL},
        {"\\x{fc}", NULL, true, -EINVAL},
        {"\\y", NULL, true, -EINVAL},
        {"01234567890123456", NULL, false, -E2BIG},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t out[16];
        ptrdiff_t n = smtp_xtext_decode(slice_str(cases[i].in), cases[i].is_utf8, out, sizeof(out));

        if (!cases[i].out)
            assert_int_equal(n, cases[i].error);
        else
            assert_true(n >= 0 && slice_eq(slice_make(out, (size_t)n), slice_str(cases[i].out)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_judged),
        cmocka_unit_test(every_cut_of_a_line_is_safe),
        cmocka_unit_test(arguments_are_kept),
        cmocka_unit_test(xtext_is_decoded),
    };

    return cmocka_run_group_tests_name("smtp command", tests, NULL, NULL);
}
