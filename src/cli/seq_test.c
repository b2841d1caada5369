/* cli/seq_test.c - numbered messages are read, and what is lost or doubled is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "cli/seq.h"

#define SEQ "00000000000000ff-0000000042"

static void texts_go_there_and_back(void **state)
{
    struct seq s = {.run = 255, .number = 42}, again = {0};
    char text[SEQ_TEXT_MAX];

    (void)state;
    seq_format(&s, text);
    assert_string_equal(text, SEQ);
    assert_int_equal(seq_parse(slice_str(text), &again), 0);
    assert_int_equal(again.run, 255);
    assert_int_equal(again.number, 42);
    assert_int_equal(seq_parse(SLICE_LIT("42"), &again), -EINVAL);
    assert_int_equal(seq_parse(SLICE_LIT("00000000000000fg-0000000042"), &again), -EINVAL);
    assert_int_equal(seq_parse(SLICE_LIT("00000000000000ff-9999999999"), &again), -EINVAL);
}

static void messages_are_read_at_every_cut(void **state)
{
    static const char body[] = "body\r\n\r\nmore\r\n";
    char text[256];
    size_t len;

    (void)state;
    len = (size_t)snprintf(text, sizeof(text),
                           "Received: x\r\nx-seq: " SEQ "\r\nX-Sum: %08x\r\n\r\n%s",
                           crc32c(0, slice_str(body)), body);
    for (size_t cut = 0; cut <= len; cut++) {
        struct seq_scan s;

        seq_scan_init(&s);
        for (int damaged = 0; damaged < 2; damaged++) {
            seq_scan_begin(&s);
            seq_scan_add(&s, slice_make(text, cut));
            seq_scan_add(&s, slice_make(text + cut, len - cut));
            if (damaged)
                seq_scan_add(&s, SLICE_LIT("x"));
            seq_scan_end(&s);
            assert_true(s.has_seq && s.has_sum);
            assert_int_equal(s.seq.number, 42);
            assert_int_equal(s.is_damaged, damaged);
        }
        seq_scan_done(&s);
    }
}

static void a_message_may_have_no_number(void **state)
{
    struct seq_scan s;

    (void)state;
    seq_scan_init(&s);
    seq_scan_begin(&s);
    seq_scan_add(&s, SLICE_LIT("Subject: x\r\n\r\nX-Seq: " SEQ "\r\n"));
    seq_scan_end(&s);
    assert_false(s.has_seq || s.has_sum || s.is_damaged);
    seq_scan_begin(&s);
    seq_scan_add(&s, SLICE_LIT("X-Seq: " SEQ "\r\n")); /* and no empty line */
    seq_scan_end(&s);
    assert_true(s.has_seq);
    seq_scan_done(&s);
}

static void the_ledger_finds_what_is_wrong(void **state)
{
    struct seq_ledger a = {0}, b = {0};
    struct seq_totals t;

    (void)state;
    for (uint32_t i = 0; i < 600000; i++)
        if (i != 7 && i != 300000)
            assert_int_equal(seq_ledger_add(i % 2 ? &a : &b, &(struct seq){1, i}), 0);
    assert_int_equal(seq_ledger_add(&a, &(struct seq){1, 11}), 0); /* twice in one */
    assert_int_equal(seq_ledger_add(&a, &(struct seq){1, 12}), 0); /* once in each */
    assert_int_equal(seq_ledger_add(&a, &(struct seq){2, 1}), 0);  /* another run, 0 is missing */
    assert_int_equal(seq_ledger_merge(&b, &a), 0);
    seq_ledger_totals(&b, &t);
    assert_int_equal(t.runs, 2);
    assert_int_equal(t.distinct, 600000 - 2 + 1);
    assert_int_equal(t.lost, 3);
    assert_int_equal(t.duplicates, 2);
    seq_ledger_done(&a);
    seq_ledger_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_go_there_and_back),
        cmocka_unit_test(messages_are_read_at_every_cut),
        cmocka_unit_test(a_message_may_have_no_number),
        cmocka_unit_test(the_ledger_finds_what_is_wrong),
    };

    return cmocka_run_group_tests_name("cli seq", tests, NULL, NULL);
}
