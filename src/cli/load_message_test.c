/* cli/load_message_test.c - what load sends is what the sink can check, in the size asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/load_int.h"
#include "smtp/dot.h"

static void check(struct load_message *m)
{
    struct seq seq = {.run = 7, .number = 99};
    struct smtp_dot_decoder d;
    struct slice text, run;
    struct seq_scan scan;
    char number[SEQ_TEXT_MAX];

    seq_format(&seq, number);
    load_message_set(m, number, strlen(number));
    text = buf_slice(&m->text);
    seq_scan_init(&scan);
    seq_scan_begin(&scan);
    seq_scan_add(&scan, text);
    seq_scan_end(&scan);
    assert_true(scan.has_seq && scan.has_sum && !scan.is_damaged);
    assert_int_equal(scan.seq.number, 99);
    seq_scan_done(&scan);

    smtp_dot_decoder_init(&d, false, SMTP_TEXT_LINE_MAX);
    while (text.len) {
        size_t used;

        (void)smtp_dot_decode(&d, text, &used, &run);
        text = slice_from(text, used);
    }
    (void)smtp_dot_decode_end(&d);
    assert_false(d.facts.has_bare_cr || d.facts.has_bare_lf || d.facts.has_long_line);
    assert_true(d.facts.ends_in_crlf);
}

static void sizes_are_kept(void **state)
{
    struct buf why = BUF_INIT(1024);

    (void)state;
    for (uint64_t size = 1; size < 100000; size += size < 1000 ? 1 : 9973) {
        struct load_message m;

        assert_int_equal(load_message_make(&m, size, NULL, "a@b.test", "c@d.test", &why), 0);
        check(&m);
        if (size > 256)
            assert_in_range(buf_len(&m.text), size - 1, size);
        load_message_done(&m);
    }
    assert_int_equal(buf_len(&why), 0);
    buf_done(&why);
}

static void a_file_is_sent_with_crlf(void **state)
{
    static const char *const contents[] = {"Subject: x\n\nbody\n.\n", "Subject: x\r\n\r\nbody",
                                           "no: body\n", "\nonly a body\n", ""};
    struct buf why = BUF_INIT(1024);
    struct load_message m;
    char path[] = "/tmp/load-message-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
        size_t len = strlen(contents[i]);

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, contents[i], len, 0), len);
        assert_int_equal(load_message_make(&m, 0, path, "a@b.test", "c@d.test", &why), 0);
        check(&m);
        load_message_done(&m);
    }
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(load_message_make(&m, 0, path, "a@b.test", "c@d.test", &why), -ENOENT);
    assert_true(buf_len(&why) > 0);
    load_message_done(&m);
    buf_done(&why);
}

static void patterns_make_addresses(void **state)
{
    struct buf why = BUF_INIT(4096);
    char to[LOAD_PATTERN_MAX], longest[LOAD_PATTERN_MAX];

    (void)state;
    assert_true(slice_eq(load_pattern_fill("user%d@dest%d.example", 123, 10, to),
                         SLICE_LIT("user123@dest3.example")));
    assert_true(slice_eq(load_pattern_fill("a@b", 123, 10, to), SLICE_LIT("a@b")));
    assert_int_equal(load_pattern_check("a%d@b.example", &why), 0);
    assert_int_equal(load_pattern_check("a b@c", &why), -EINVAL);
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(load_pattern_check(longest, &why), -EINVAL);
    buf_done(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_kept),
        cmocka_unit_test(a_file_is_sent_with_crlf),
        cmocka_unit_test(patterns_make_addresses),
    };

    return cmocka_run_group_tests_name("cli load message", tests, NULL, NULL);
}
