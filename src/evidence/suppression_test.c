/*
 * evidence/suppression_test.c - what may be on the suppression list and what never is: every code,
 * class, result and phase; the list against a plain model; lines in and out.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "evidence/suppression_csv.h"
#include "evidence/suppressions.h"

#define T0 INT64_C(1790000000000)

static struct attempt unknown(void)
{
    return (struct attempt){.queue_id = 77,
                            .at_ms = T0,
                            .number = 1,
                            .result = ATTEMPT_RESULT_FAILED,
                            .recipients = 1,
                            .failed = 1,
                            .phase = SMTP_PHASE_RCPT,
                            .code = 550,
                            .enhanced = SMTP_ENHANCED(5, 1, 1),
                            .text = SLICE_LIT("550 5.1.1 No such user\nhere, \"sorry\""),
                            .klass = REPLY_MAILBOX_UNKNOWN,
                            .host = SLICE_LIT("mx.example.org"),
                            .peer = SLICE_LIT("192.0.2.1"),
                            .source = SLICE_LIT("default"),
                            .recipient = SLICE_LIT("Anna@Example.ORG"),
                            .is_explicit = true};
}

static bool qualifies(const struct attempt *a)
{
    struct permanent_failure *f = NULL;
    bool is = permanent_failure_of(a, &f);

    assert_true(is == (f != NULL));
    permanent_failure_free(&f);
    return is;
}

static struct suppression *made(const struct attempt *a)
{
    struct permanent_failure *f = NULL;
    struct suppression *s;

    assert_true(permanent_failure_of(a, &f));
    s = suppression_of_failure(&f);
    assert_null(f);
    assert_non_null(s);
    return s;
}

static void test_an_entry_has_its_evidence(void **state)
{
    struct attempt a = unknown();
    struct suppression *s = made(&a);
    const struct suppression_view *v = suppression_get(s);
    struct buf why = BUF_INIT(KIB(4));

    (void)state;
    assert_true(slice_eq(v->address, SLICE_LIT("anna@example.org")));
    assert_int_equal(v->kind, SUPPRESSION_AUTOMATIC);
    assert_int_equal(v->code, 550);
    assert_int_equal(v->at_ms, T0);
    assert_int_equal(v->queue_id, 77);
    assert_true(slice_eq(v->text, SLICE_LIT("550 5.1.1 No such user here, \"sorry\"")));
    assert_true(slice_eq(v->host, SLICE_LIT("mx.example.org[192.0.2.1]")));
    suppression_reason(v, &why);
    assert_string_equal(buf_cstr(&why),
                        "5.1.1 not tried: this address is on our suppression list since "
                        "Mon, 21 Sep 2026 14:13:20 +0000, when mx.example.org[192.0.2.1] said: "
                        "550 5.1.1 No such user here, \"sorry\"");
    buf_done(&why);
    suppression_unref(&s);
}

/* The whole space of codes, classes, results, phases and enhanced classes: nothing but a 5xx about
 * one mailbox passes, whatever else an attempt says. */
static void test_nothing_temporary_qualifies(void **state)
{
    uint64_t passed = 0;

    (void)state;
    for (unsigned code = 0; code <= 599; code += code ? 1 : 200)
        for (unsigned klass = 0; klass < REPLY_CLASSES; klass++)
            for (unsigned result = 0; result <= ATTEMPT_RESULT_FAILED; result++)
                for (unsigned phase = 0; phase <= SMTP_PHASE_CLOSED; phase++)
                    for (unsigned e = 0; e < 4; e++) {
                        static const uint8_t classes[] = {0, 2, 4, 5};
                        struct attempt a = unknown();
                        bool may =
                            code >= 500 && code != 551 && result == ATTEMPT_RESULT_FAILED &&
                            (klass == REPLY_MAILBOX_UNKNOWN || klass == REPLY_MAILBOX_DISABLED) &&
                            (phase == SMTP_PHASE_RCPT || phase == SMTP_PHASE_END) &&
                            (e == 0 || e == 3);

                        a.code = (uint16_t)code;
                        a.klass = (enum reply_class)klass;
                        a.result = (enum attempt_result)result;
                        a.phase = (enum smtp_phase)phase;
                        a.enhanced.klass = classes[e];
                        assert_true(qualifies(&a) == may);
                        passed += may;
                    }
    assert_int_equal(passed, 99 * 2 * 2 * 2);
}

static void test_in_doubt_it_does_not(void **state)
{
    struct attempt a = unknown();

    (void)state;
    assert_true(qualifies(&a));
    a.is_explicit = false; /* a bare 550 may mean anything */
    assert_false(qualifies(&a));
    a = unknown();
    a.phase = SMTP_PHASE_END;
    a.recipients = 2; /* the message was refused, not one mailbox */
    assert_false(qualifies(&a));
    a.phase = SMTP_PHASE_RCPT; /* the reply is one recipient's */
    assert_true(qualifies(&a));
    a.recipient = SLICE_LIT("");
    assert_false(qualifies(&a));
    a.recipient = SLICE_LIT("no address");
    assert_false(qualifies(&a));
}

/* A file that was edited is no way around it. */
static void test_restoring_asks_the_same(void **state)
{
    struct attempt a = unknown();
    struct suppression *s = made(&a), *again;
    struct suppression_view v = *suppression_get(s);
    const char *why;

    (void)state;
    assert_int_equal(suppression_restore(&again, &v, &why), 0);
    assert_true(slice_eq(suppression_get(again)->text, v.text));
    suppression_unref(&again);
    for (unsigned code = 0; code < 1000; code++) {
        int r;

        v.code = (uint16_t)code;
        r = suppression_restore(&again, &v, &why);
        assert_int_equal(r, code >= 500 && code <= 599 && code != 551 ? 0 : -EINVAL);
        if (r == 0)
            suppression_unref(&again);
    }
    v = *suppression_get(s);
    v.klass = REPLY_MAILBOX_FULL;
    assert_int_equal(suppression_restore(&again, &v, &why), -EINVAL);
    v = *suppression_get(s);
    v.enhanced.klass = 4;
    assert_int_equal(suppression_restore(&again, &v, &why), -EINVAL);
    suppression_unref(&s);
}

static void test_the_operators(void **state)
{
    struct suppression *s;
    struct buf text = BUF_INIT(KIB(1));
    const char *why = NULL;
    char note[SUPPRESSION_NOTE_MAX + 1];

    (void)state;
    memset(note, 'n', sizeof(note));
    assert_int_equal(
        suppression_by_operator(&s, SLICE_LIT("A@B.test"), SLICE_LIT("asked\nus"), T0, &why), 0);
    assert_true(slice_eq(suppression_get(s)->address, SLICE_LIT("a@b.test")));
    assert_true(slice_eq(suppression_get(s)->note, SLICE_LIT("asked us")));
    suppression_reason(suppression_get(s), &text);
    assert_non_null(strstr(buf_cstr(&text), "5.7.1 not tried: "));
    assert_non_null(strstr(buf_cstr(&text), "put there by the administrator: asked us"));
    suppression_unref(&s);
    assert_int_equal(suppression_by_operator(&s, SLICE_LIT("b.test"), SLICE_LIT(""), T0, &why),
                     -EINVAL);
    assert_non_null(why);
    assert_int_equal(suppression_by_operator(&s, SLICE_LIT("a@b.test"),
                                             slice_make(note, sizeof(note)), T0, &why),
                     -EINVAL);
    buf_done(&text);
}

/* ---- the list ---- */

#define ADDRESSES 64

static unsigned left;

static void on_left(void *ctx, struct suppression *s)
{
    bool *is_there = ctx;
    unsigned n;

    assert_int_equal(suppression_get(s)->kind, SUPPRESSION_AUTOMATIC);
    assert_int_equal(sscanf((const char *)suppression_get(s)->address.ptr, "a%u@", &n), 1);
    is_there[n] = false;
    left++;
}

static struct suppression *entry(unsigned n, bool is_automatic, int64_t at_ms)
{
    char address[32];
    struct attempt a = unknown();
    struct suppression *s;
    const char *why;

    a.recipient = slice_make(address, (size_t)snprintf(address, sizeof(address), "a%u@x.test", n));
    a.at_ms = at_ms;
    if (is_automatic)
        return made(&a);
    assert_int_equal(suppression_by_operator(&s, a.recipient, SLICE_LIT(""), at_ms, &why), 0);
    return s;
}

static void compare(struct suppressions *l, const bool *is_there, const bool *is_automatic)
{
    uint64_t count = 0, operators = 0;

    for (unsigned n = 0; n < ADDRESSES; n++) {
        char address[32];
        struct slice text =
            slice_make(address, (size_t)snprintf(address, sizeof(address), "A%u@X.test", n));

        assert_true((suppressions_find(l, text) != NULL) == is_there[n]);
        assert_true(suppression_filter_has(suppressions_filter(l), text) == is_there[n]);
        count += is_there[n];
        operators += is_there[n] && !is_automatic[n];
    }
    assert_int_equal(suppressions_count(l), count);
    assert_int_equal(suppressions_count_operator(l), operators);
    assert_true(suppression_filter_is_empty(suppressions_filter(l)) == (count == 0));
}

static void test_the_list_against_a_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        bool is_there[ADDRESSES] = {false}, is_automatic[ADDRESSES] = {false};
        int64_t at_ms[ADDRESSES] = {0}, now_ms = T0;
        struct suppressions *l;
        struct rand rand;

        rand_init(&rand, seed);
        assert_int_equal(suppressions_new(&l, &rand), 0);
        for (unsigned step = 0; step < 3000; step++) {
            unsigned n = (unsigned)rand_below(&rand, ADDRESSES);
            bool automatic = rand_below(&rand, 3) > 0;
            uint64_t max = 20 + rand_below(&rand, 2) * 100;
            enum suppressions_added added;
            struct suppression *s;
            int r;

            now_ms += 10;
            if (rand_below(&rand, 50) == 0) {
                (void)suppressions_expire(l, now_ms - 2000, SIZE_MAX);
                for (unsigned i = 0; i < ADDRESSES; i++)
                    is_there[i] = is_there[i] && (!is_automatic[i] || at_ms[i] >= now_ms - 2000);
            } else if (rand_below(&rand, 3) == 0) {
                s = entry(n, false, 0);
                assert_true(suppressions_remove(l, suppression_get(s)->address) == is_there[n]);
                is_there[n] = false;
                suppression_unref(&s);
            } else {
                s = entry(n, automatic, now_ms);
                r = suppressions_add(l, s, max, &added, on_left, is_there);
                if (r == 0 && added != SUPPRESSIONS_ALREADY) {
                    is_there[n] = true;
                    is_automatic[n] = automatic;
                    at_ms[n] = now_ms;
                } else if (r < 0) {
                    assert_int_equal(r, -ENOBUFS);
                    is_there[n] = false;
                    assert_true(suppressions_count_operator(l) >= max);
                }
                suppression_unref(&s);
            }
            compare(l, is_there, is_automatic);
        }
        suppressions_free(&l);
    }
    assert_true(left > 100);
}

static void test_many(void **state)
{
    struct suppression_filter *old;
    enum suppressions_added added;
    struct suppressions *l;
    struct rand rand;

    (void)state;
    rand_init(&rand, 1);
    assert_int_equal(suppressions_new(&l, &rand), 0);
    old = suppression_filter_ref(suppressions_filter(l));
    for (unsigned n = 0; n < 5000; n++) {
        struct suppression *s = entry(n, n % 2, T0);

        assert_int_equal(suppressions_add(l, s, 10000, &added, on_left, NULL), 0);
        assert_int_equal(added, SUPPRESSIONS_ADDED);
        suppression_unref(&s);
    }
    assert_true(suppressions_filter(l) != old); /* outgrown, and still good for its holder */
    assert_true(suppression_filter_has(old, SLICE_LIT("a1@x.test")));
    assert_true(suppression_filter_has(suppressions_filter(l), SLICE_LIT("a4999@x.test")));
    assert_false(suppression_filter_has(suppressions_filter(l), SLICE_LIT("a5000@x.test")));
    suppression_filter_unref(&old);
    suppressions_free(&l);
}

/* ---- lines ---- */

static void test_an_export_is_an_import(void **state)
{
    static struct suppression_csv c;
    struct attempt a = unknown();
    struct suppression *s[3] = {made(&a), entry(3, false, T0), NULL}, *again;
    const char *none;
    struct buf lines = BUF_INIT(KIB(16)), why = BUF_INIT(KIB(1)), out = BUF_INIT(KIB(16));
    struct suppression_view v;
    struct slice left_of;
    unsigned count = 0;

    (void)state;
    /* It would begin a comment. */
    assert_int_equal(
        suppression_by_operator(&s[2], SLICE_LIT("#a@b.test"), SLICE_LIT("#b"), T0, &none), 0);
    suppression_csv_head(&lines);
    suppression_csv_head(&out);
    for (size_t i = 0; i < ARRAY_SIZE(s); i++)
        suppression_csv_write(suppression_get(s[i]), &lines);
    left_of = buf_slice(&lines);
    while (left_of.len > 0) {
        size_t len = (size_t)slice_find(left_of, '\n') + 1;
        int r = suppression_csv_read(&c, slice_sub(left_of, 0, len), &v, &why);
        const char *error;

        assert_true(r >= 0);
        left_of = slice_from(left_of, len);
        if (r == 0)
            continue;
        assert_int_equal(suppression_restore(&again, &v, &error), 0);
        suppression_csv_write(suppression_get(again), &out);
        suppression_unref(&again);
        count++;
    }
    assert_int_equal(count, 3);
    assert_string_equal(buf_cstr(&out), buf_cstr(&lines));
    for (size_t i = 0; i < ARRAY_SIZE(s); i++)
        suppression_unref(&s[i]);
    buf_done(&lines);
    buf_done(&why);
    buf_done(&out);
}

static void test_lines(void **state)
{
    static const struct {
        const char *head, *line;
        int r;
        const char *what; /* the address, or in the sentence */
    } cases[] = {
        {NULL, "a@b.test\n", 1, "a@b.test"},
        {NULL, "  a@b.test \r\n", 1, "a@b.test"},
        {NULL,
         "\xef\xbb\xbf"
         "a@b.test\r\n",
         1, "a@b.test"},
        {NULL, "\r\n", 0, ""},
        {NULL, "# a note\n", 0, ""},
        {NULL, "address\n", 0, ""},
        {NULL, "address,email\n", -EINVAL, "column 'email': allowed are address, kind"},
        {"address,note", "a@b.test,\"x, \"\"y\"\"\"\n", 1, "a@b.test"},
        {"note,\"address\"", "\"\",a@b.test", 1, "a@b.test"},
        {"address,note", "a@b.test\n", -EINVAL, "fewer fields than the 2 columns"},
        {"address,note", "a@b.test,x,y\n", -EINVAL, "more fields"},
        {"address,note", "a@b.test,\"x\n", -EINVAL, "does not end on this line"},
        {"address,note", "a@b.test,\"x\"y\n", -EINVAL, "a comma must follow"},
        {"address,kind", "a@b.test,robot\n", -EINVAL, "kind 'robot': allowed: automatic, operator"},
        {"address,code", "a@b.test,4 52\n", -EINVAL, "code '4 52'"},
        {"address,at_ms", "a@b.test,yesterday\n", -EINVAL, "at_ms 'yesterday'"},
        {"address,enhanced", "a@b.test,x\n", -EINVAL, "enhanced 'x'"},
        {"address,class", "a@b.test,x\n", -EINVAL, "class 'x'"},
        {"address,id", "a@b.test,!!\n", -EINVAL, "id '!!'"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        static struct suppression_csv c;
        struct buf why = BUF_INIT(KIB(1));
        struct suppression_view v = {0};
        int r;

        memset(&c, 0, sizeof(c));
        if (cases[i].head)
            assert_int_equal(suppression_csv_read(&c, slice_str(cases[i].head), &v, &why), 0);
        r = suppression_csv_read(&c, slice_str(cases[i].line), &v, &why);
        assert_int_equal(r, cases[i].r);
        if (r == 1)
            assert_true(slice_eq(v.address, slice_str(cases[i].what)));
        if (r < 0)
            assert_non_null(strstr(buf_cstr(&why), cases[i].what));
        buf_done(&why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_has_its_evidence),
        cmocka_unit_test(test_nothing_temporary_qualifies),
        cmocka_unit_test(test_in_doubt_it_does_not),
        cmocka_unit_test(test_restoring_asks_the_same),
        cmocka_unit_test(test_the_operators),
        cmocka_unit_test(test_the_list_against_a_model),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_an_export_is_an_import),
        cmocka_unit_test(test_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
