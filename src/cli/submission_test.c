/* cli/submission_test.c - from standard input to a message for SMTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/submission.h"

#define NOW INT64_C(1795379401000) /* Sun, 22 Nov 2026 20:30:01 +0000 */

/* ---- line ends ---- */

static void line_ends_become_crlf(void **state)
{
    static const struct {
        const char *in, *out;
        bool dot_ends;
    } cases[] = {
        {"", "", true},
        {"a", "a\r\n", true},
        {"a\n", "a\r\n", true},
        {"a\r\n", "a\r\n", true},
        {"a\r\r\nb\r", "a\r\nb\r\n", true},
        {"a\rb\r\rc", "a\r\nb\r\nc\r\n", true},
        {"\n\r\n\n", "\r\n\r\n\r\n", true},
        {"a\n.\nb\n", "a\r\n", true},
        {"a\n.\r\nb\n", "a\r\n", true},
        {"a\n.\rb\n", "a\r\n", true},
        {"a\n.", "a\r\n", true},
        {".", "", true},
        {"a.\n..\n.b\n. \n", "a.\r\n..\r\n.b\r\n. \r\n", true},
        {"a\n.\nb\n.", "a\r\n.\r\nb\r\n.\r\n", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct slice in = slice_str(cases[i].in);

        for (size_t cut = 0; cut <= in.len; cut++) {
            struct buf out = BUF_INIT(100);
            struct line_ends l;

            line_ends_init(&l, cases[i].dot_ends);
            assert_int_equal(line_ends_feed(&l, slice_sub(in, 0, cut), &out), 0);
            assert_int_equal(line_ends_feed(&l, slice_from(in, cut), &out), 0);
            assert_int_equal(line_ends_finish(&l, &out), 0);
            assert_string_equal(buf_cstr(&out), cases[i].out);
            buf_done(&out);
        }
    }
}

/* ---- whole messages ---- */

static int add(void *ctx, struct slice address)
{
    (void)buf_add(ctx, address);
    (void)buf_push(ctx, '|');
    return 0;
}

#define ADDED_FROM "From: me@example.org\r\n"
#define ADDED_DATE "Date: Sun, 22 Nov 2026 20:30:01 +0000\r\n"
#define ADDED_ID "Message-ID: <1m82f7498.9@host.example>\r\n"
#define ADDED ADDED_FROM ADDED_DATE ADDED_ID

static const struct {
    const char *in;
    const char *header, *body;
    const char *recipients; /* NULL: no -t */
    const char *full_name;
} messages[] = {
    {"", ADDED, "\r\n", NULL, ""},
    {"\nbody\n", ADDED, "\r\nbody\r\n", NULL, ""},
    {"Subject: x\n\nbody\n", "Subject: x\r\n" ADDED, "\r\nbody\r\n", NULL, ""},
    {"Subject: x", "Subject: x\r\n" ADDED, "\r\n", NULL, ""},
    {"no header at all\nreally\n", ADDED, "\r\nno header at all\r\nreally\r\n", NULL, ""},
    {"Subject: x\nno field\n\nz\n", "Subject: x\r\n" ADDED, "\r\nno field\r\n\r\nz\r\n", NULL, ""},
    {"From a@b Sun Nov 22\nSubject: x\n\n", "Subject: x\r\n" ADDED, "\r\n", NULL, ""},
    {"from: a\ndate: b\nmessage-id: c\n\n", "from: a\r\ndate: b\r\nmessage-id: c\r\n", "\r\n", NULL,
     ""},
    {"Bcc: a@b.c\nTo: x\n\n", "Bcc: a@b.c\r\nTo: x\r\n" ADDED, "\r\n", NULL, ""},
    {"Bcc: a@b.c,\n d@e.f\nTo: X <x@y.z>\nCC: \"q, r\" <q@r.s>\n\nb\n",
     "To: X <x@y.z>\r\nCC: \"q, r\" <q@r.s>\r\n" ADDED, "\r\nb\r\n", "a@b.c|d@e.f|x@y.z|q@r.s|",
     ""},
    {"To: x\nResent-To: y\nResent-Bcc: z\nBcc: w\n\n", "To: x\r\nResent-To: y\r\n" ADDED, "\r\n",
     "y|z|", ""},
    {"Subject: x\n\n", "Subject: x\r\nFrom: My Name <me@example.org>\r\n" ADDED_DATE ADDED_ID,
     "\r\n", NULL, "My Name"},
    {"Subject: x\n\n",
     "Subject: x\r\nFrom: \"A. \\\"B\\\", C\" <me@example.org>\r\n" ADDED_DATE ADDED_ID, "\r\n",
     NULL, "A. \"B\", C"},
    {"Subject: x\n\n",
     "Subject: x\r\nFrom: =?utf-8?B?SsO2cmcgTWVpZXI=?= <me@example.org>\r\n" ADDED_DATE ADDED_ID,
     "\r\n", NULL,
     "J\xc3\xb6"
     "rg Meier"},
};

static int read_text(struct submission *s, struct slice in, const struct submission_options *o,
                     struct buf *why)
{
    FILE *f = tmpfile();
    int r;

    assert_non_null(f);
    assert_int_equal(fwrite(in.ptr, 1, in.len, f), in.len);
    rewind(f);
    r = submission_read(s, f, o, why);
    (void)fclose(f);
    return r;
}

static void messages_are_made_ready(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
        struct buf why = BUF_INIT(1000), found = BUF_INIT(1000);
        struct submission_options o = {.from = SLICE_LIT("me@example.org"),
                                       .full_name = slice_str(messages[i].full_name),
                                       .host_name = SLICE_LIT("host.example"),
                                       .now_ms = NOW,
                                       .unique = 9,
                                       .on_recipient = messages[i].recipients ? add : NULL,
                                       .ctx = &found};
        struct submission s;
        char body[200] = "";

        assert_int_equal(read_text(&s, slice_str(messages[i].in), &o, &why), 0);
        assert_string_equal(buf_cstr(&s.header), messages[i].header);
        assert_int_equal(fread(body, 1, sizeof(body), s.body), s.body_bytes);
        assert_string_equal(body, messages[i].body);
        assert_string_equal(buf_cstr(&found), messages[i].recipients ? messages[i].recipients : "");
        assert_false(s.has_8bit);
        submission_done(&s);
        buf_done(&found);
        buf_done(&why);
    }
}

static void wrong_fields_are_told(void **state)
{
    struct buf why = BUF_INIT(1000), found = BUF_INIT(1000);
    struct submission_options o = {.on_recipient = add, .ctx = &found};
    struct submission s;

    (void)state;
    assert_int_equal(read_text(&s, SLICE_LIT("To: John Doe\n\nx\n"), &o, &why), -EINVAL);
    assert_string_equal(
        buf_cstr(&why),
        "the To field is no list of addresses: a name stands without an address in brackets");
    submission_done(&s);
    buf_done(&found);
    buf_done(&why);
}

static void big_messages_go_through(void **state)
{
    struct buf why = BUF_INIT(1000);
    struct submission_options o = {.host_name = SLICE_LIT("h")};
    struct submission s;
    size_t size = 3000000;
    char *text = malloc(size);

    (void)state;
    /* A body of many lines, with one byte over 127. */
    memset(text, 'x', size);
    for (size_t i = 80; i < size; i += 80)
        text[i] = '\n';
    memcpy(text, "A: b\n\n", 6);
    text[size - 2] = (char)0xe4;
    assert_int_equal(read_text(&s, slice_make(text, size), &o, &why), 0);
    assert_int_equal(s.body_bytes, size - 5 + (size - 1) / 80 + 3);
    assert_true(s.has_8bit);
    submission_done(&s);

    /* The same without an empty line, and the second line is no field. */
    text[5] = 'x';
    assert_int_equal(read_text(&s, slice_make(text, size), &o, &why), 0);
    assert_int_equal(slice_find_slice(buf_slice(&s.header), SLICE_LIT("A: b\r\nFrom: ")), 0);
    assert_true(s.body_bytes > size);
    submission_done(&s);

    /* A header section of 2 MB. */
    memset(text, 'x', size);
    for (size_t i = 0; i + 80 < size; i += 80)
        memcpy(text + i, "\nA:", 3);
    text[0] = 'B';
    assert_int_equal(read_text(&s, slice_make(text, size), &o, &why), -E2BIG);
    submission_done(&s);
    free(text);
    buf_done(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_ends_become_crlf),
        cmocka_unit_test(messages_are_made_ready),
        cmocka_unit_test(wrong_fields_are_told),
        cmocka_unit_test(big_messages_go_through),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
