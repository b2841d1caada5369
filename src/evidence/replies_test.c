/*
 * evidence/replies_test.c - the shipped rules by their own vectors, the codes the operators name,
 * own files, what is wrong in them, and texts as logs have them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/rand.h"
#include "evidence/mutate_kit.h"
#include "evidence/pattern.h"
#include "evidence/replies.h"
#include "evidence/share.h"

static struct replies *load(const char *own)
{
    struct buf why = BUF_INIT(KIB(64));
    struct replies *r = NULL;

    if (replies_new(&r, slice_str(own), "own.yaml", &why) < 0)
        fail_msg("%s", buf_cstr(&why));
    assert_int_equal(buf_len(&why), 0);
    buf_done(&why);
    return r;
}

struct tally {
    size_t count, failed;
};

static void check_vector(void *ctx, const struct reply_vector *v)
{
    struct tally *t = ctx;

    t->count++;
    if (v->passed)
        return;
    t->failed++;
    print_message("# %s:%u:%u: %s: %.*s (%s): wanted %s%s, got %s by '%s'\n", v->file, v->line,
                  v->column, v->rule, SLICE_FMT(v->reply), smtp_phase_name(v->phase),
                  v->is_never ? "not " : "", reply_class_name(v->wanted), reply_class_name(v->got),
                  v->got_rule);
}

static void shipped_vectors_hold(void **state)
{
    struct replies *r = load("");
    struct tally t = {0};

    (void)state;
    replies_each_vector(r, check_vector, &t);
    assert_int_equal(t.failed, 0);
    assert_true(t.count > 250);
    replies_free(&r);
    assert_null(r);
    replies_free(&r);
}

struct rules {
    const char *names[2000];
    bool has_vector[2000];
    size_t count;
};

static void note_rule(void *ctx, const struct reply_rule_view *rule)
{
    struct rules *all = ctx;

    all->names[all->count++] = rule->name;
}

static void note_vector(void *ctx, const struct reply_vector *v)
{
    struct rules *all = ctx;

    for (size_t i = 0; i < all->count; i++)
        if (!v->is_never && strcmp(all->names[i], v->rule) == 0)
            all->has_vector[i] = true;
}

static void each_shipped_rule_has_a_vector(void **state)
{
    static struct rules all;
    struct replies *r = load("");

    (void)state;
    replies_each_rule(r, note_rule, &all);
    assert_true(all.count > 40);
    replies_each_vector(r, note_vector, &all);
    for (size_t i = 0; i < all.count; i++)
        if (!all.has_vector[i])
            fail_msg("rule '%s' has no vector", all.names[i]);
    replies_free(&r);
}

static enum reply_class class_of(const struct replies *r, const char *line)
{
    struct reply_facts f;

    assert_true(reply_facts_parse(slice_str(line), &f));
    return replies_classify(r, &f);
}

static void check_class(const struct replies *r, const char *line, enum reply_class wanted)
{
    enum reply_class got = class_of(r, line);

    if (got != wanted)
        fail_msg("%s: %s, not %s", line, reply_class_name(got), reply_class_name(wanted));
}

/* What is promised by code alone, whatever the phase: with the usual texts and with none. */
static void the_named_codes_have_their_class(void **state)
{
    static const struct {
        const char *line;
        enum reply_class klass;
    } cases[] = {
        {"452 4.3.1 Insufficient system resources", REPLY_CAPACITY},
        {"452 4.3.1 Insufficient system storage", REPLY_CAPACITY},
        {"452 4.3.1", REPLY_CAPACITY},
        {"421 4.3.2 Service not available", REPLY_CAPACITY},
        {"421 4.3.2", REPLY_CAPACITY},
        {"451 4.3.0 Temporary error", REPLY_CAPACITY},
        {"451 4.3.0", REPLY_CAPACITY},
        {"452 4.4.5 Insufficient disk space; try again later", REPLY_CAPACITY},
        {"451 4.7.500 Server busy. Please try again later from [192.0.2.1].", REPLY_RATE},
        {"451 4.7.500", REPLY_RATE},
        {"421 4.7.0 Too many connections", REPLY_RATE},
        {"421 4.7.0", REPLY_RATE},
        {"452 4.2.2 The mailbox is full", REPLY_MAILBOX_FULL},
        {"452 4.2.2", REPLY_MAILBOX_FULL},
        {"452 4.5.3 Too many recipients", REPLY_BATCH},
        {"452 4.5.3", REPLY_BATCH},
        {"421 4.4.5 Too many connections", REPLY_RATE},
        {"451 4.7.1 Greylisting in action", REPLY_GREYLIST},
    };
    static const enum smtp_phase phases[] = {SMTP_PHASE_GREETING, SMTP_PHASE_HELLO, SMTP_PHASE_MAIL,
                                             SMTP_PHASE_RCPT,     SMTP_PHASE_DATA,  SMTP_PHASE_END};
    struct replies *r = load("");

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (size_t p = 0; p < ARRAY_SIZE(phases); p++) {
            struct reply_facts f;

            assert_true(reply_facts_parse(slice_str(cases[i].line), &f));
            f.phase = phases[p];
            if (replies_classify(r, &f) != cases[i].klass)
                fail_msg("%s at %s: %s", cases[i].line, smtp_phase_name(phases[p]),
                         reply_class_name(replies_classify(r, &f)));
        }
    replies_free(&r);
}

/* 452 4.3.1 is capacity with any words behind it; and each text wins over a shuffled case. */
static void exact_codes_win_over_words(void **state)
{
    static const char *const words[] = {"mailbox full", "blacklisted by spamhaus", "quota exceeded",
                                        "user unknown", "too many recipients",     "greylisted",
                                        "spam",         "rate limit exceeded",     "TLS required"};
    struct replies *r = load("");

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        struct buf line = BUF_INIT(200);

        (void)buf_addf(&line, "452 4.3.1 %s", words[i]);
        check_class(r, buf_cstr(&line), REPLY_CAPACITY);
        buf_clear(&line);
        (void)buf_addf(&line, "452 4.2.2 Insufficient system storage; %s", "try later");
        check_class(r, buf_cstr(&line), REPLY_MAILBOX_FULL);
        buf_done(&line);
    }
    replies_free(&r);
}

static void forms_of_logs_mean_the_same(void **state)
{
    static const char *const forms[] = {
        "550-5.1.1 The email account that you tried to\n5.1.1 reach does not exist. Please try",
        "550-5.1.1 The email account that you tried to\n550-5.1.1 reach does not exist.",
        "550-5.1.1 The email account that you tried to 550-5.1.1 reach does not exist. 550 5.1.1 x",
        "550-5.1.1 The email account that you tried to 550 5.1.1 reach does not exist.",
        "550-5.1.1 The email account that you tried to\\n550-5.1.1 reach does not exist.",
        "550 5.1.1  The EMAIL account  that\tyou tried to reach does not exist",
    };
    struct replies *r =
        load("rules:\n"
             "  - name: whole-sentence\n"
             "    class: other\n"
             "    text: the email account that you tried to reach does not exist\n");

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
        check_class(r, forms[i], REPLY_OTHER);
    replies_free(&r);
}

static void status_codes_are_found_in_texts(void **state)
{
    struct replies *r = load("");

    (void)state;
    check_class(r, "421 sorry (#4.3.0)", REPLY_CAPACITY);
    check_class(r, "452 #4.2.2 no", REPLY_MAILBOX_FULL);
    check_class(r, "553 sorry (#5.1.1)", REPLY_MAILBOX_UNKNOWN);
    check_class(r, "452 ticket #5.1.1", REPLY_CAPACITY); /* of another class: no status of this */
    check_class(r, "452 #1 # #. ##4.2.2", REPLY_MAILBOX_FULL);
    replies_free(&r);
}

static void nobody_answered(void **state)
{
    static const struct {
        struct reply_facts f;
        enum reply_class klass;
    } cases[] = {
        {{.err = -ECONNREFUSED}, REPLY_CONNECTION},
        {{.err = -ETIMEDOUT, .phase = SMTP_PHASE_END}, REPLY_CONNECTION},
        {{.err = 0, .phase = SMTP_PHASE_MAIL}, REPLY_CONNECTION},
        {{.err = -ERR_DNS_TEMP}, REPLY_DNS},
        {{.err = -ERR_DNS_NONE}, REPLY_DNS},
        {{.enhanced = {5, 1, 10}}, REPLY_DNS},
        {{.enhanced = {5, 4, 4}}, REPLY_DNS},
        {{.err = -ERR_TLS}, REPLY_TLS},
        {{.err = -ETIMEDOUT, .phase = SMTP_PHASE_TLS}, REPLY_TLS},
        {{.err = -EOPNOTSUPP, .enhanced = {4, 7, 4}}, REPLY_TLS},
        {{.err = -EOPNOTSUPP, .enhanced = {5, 6, 7}}, REPLY_CONTENT},
        {{.err = -EMSGSIZE, .enhanced = {5, 3, 4}}, REPLY_CONTENT},
        {{.err = -EPROTO}, REPLY_PROTOCOL},
        {{.err = -E2BIG}, REPLY_PROTOCOL},
    };
    struct replies *r = load("");

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (replies_classify(r, &cases[i].f) != cases[i].klass)
            fail_msg("case %zu: %s", i, reply_class_name(replies_classify(r, &cases[i].f)));
    replies_free(&r);
}

static void own_rules_come_first(void **state)
{
    struct replies *r = load("classes:\n"
                             "  capacity:\n"
                             "    meaning: In our words.\n"
                             "rules:\n"
                             "  - name: partner\n"
                             "    class: greylist\n"
                             "    code: 452\n"
                             "    enhanced: 4.3.1\n"
                             "    provider: partner-*\n"
                             "  - name: nobody\n"
                             "    class: protocol\n"
                             "    code: 0\n"
                             "    phase: data\n"
                             "  - name: greeting-only\n"
                             "    class: policy\n"
                             "    code: 4xx, 599\n"
                             "    phase: [greeting, end of data]\n"
                             "    text: Zebra\n"
                             "    not_text: [white, striped*horse]\n");
    struct reply_verdict v;
    struct reply_facts f;

    (void)state;
    assert_true(reply_facts_parse(SLICE_LIT("452 4.3.1 x"), &f));
    assert_int_equal(replies_classify(r, &f), REPLY_CAPACITY);
    f.provider = SLICE_LIT("Partner-1");
    assert_int_equal(replies_classify(r, &f), REPLY_GREYLIST);
    replies_explain(r, &f, &v);
    assert_string_equal(v.rule, "partner");
    assert_non_null(strstr(v.advice, "retry")); /* of the class */
    f = (struct reply_facts){.err = -ETIMEDOUT, .phase = SMTP_PHASE_DATA};
    assert_int_equal(replies_classify(r, &f), REPLY_PROTOCOL);
    f.phase = SMTP_PHASE_MAIL;
    assert_int_equal(replies_classify(r, &f), REPLY_CONNECTION);
    assert_true(reply_facts_parse(SLICE_LIT("450 a zebra"), &f));
    assert_int_equal(replies_classify(r, &f), REPLY_OTHER);
    f.phase = SMTP_PHASE_END;
    assert_int_equal(replies_classify(r, &f), REPLY_POLICY);
    f.text = SLICE_LIT("a zebra, that is a striped kind of horse");
    assert_int_equal(replies_classify(r, &f), REPLY_OTHER);
    f.text = SLICE_LIT("a ZEBRA");
    f.code = 599;
    assert_int_equal(replies_classify(r, &f), REPLY_POLICY);
    f.code = 550;
    assert_int_not_equal(replies_classify(r, &f), REPLY_GREYLIST);
    assert_true(reply_facts_parse(SLICE_LIT("421 hm"), &f));
    replies_explain(r, &f, &v);
    assert_int_equal(v.klass, REPLY_CAPACITY);
    assert_string_equal(v.rule, "");
    assert_string_equal(v.meaning, "In our words.");
    replies_free(&r);
}

static void each_class_is_explained(void **state)
{
    struct replies *r = load("");

    (void)state;
    for (enum reply_class c = REPLY_CAPACITY; c < REPLY_CLASSES; c++) {
        struct buf own = BUF_INIT(200);
        struct reply_facts f = {.code = 599};
        struct reply_verdict v;
        struct replies *one;

        (void)buf_addf(&own, "rules: [{name: x, class: %s, code: 599}]", reply_class_name(c));
        one = load(buf_cstr(&own));
        replies_explain(one, &f, &v);
        assert_int_equal(v.klass, c);
        assert_true(*v.meaning && *v.advice && *v.warning);
        assert_int_equal(reply_class_find(slice_str(reply_class_name(c))), c);
        assert_true(*reply_class_what(c));
        replies_free(&one);
        buf_done(&own);
    }
    assert_int_equal(reply_class_find(SLICE_LIT("no such")), REPLY_CLASSES);
    assert_int_equal(reply_class_action(REPLY_CAPACITY), REPLY_ACTION_THROTTLE);
    assert_int_equal(reply_class_action(REPLY_RATE), REPLY_ACTION_PACE);
    assert_int_equal(reply_class_action(REPLY_POLICY), REPLY_ACTION_ALERT);
    assert_int_equal(reply_class_action(REPLY_AUTHENTICATION), REPLY_ACTION_ALERT);
    assert_int_equal(reply_class_action(REPLY_BATCH), REPLY_ACTION_SPLIT);
    assert_int_equal(reply_class_action(REPLY_MAILBOX_FULL), REPLY_ACTION_NOTHING);
    replies_free(&r);
}

static void lines_are_parsed(void **state)
{
    static const struct {
        const char *line;
        unsigned code, klass, subject, detail;
        const char *text;
    } cases[] = {
        {"452 4.3.1 Insufficient", 452, 4, 3, 1, "4.3.1 Insufficient"},
        {"  452-4.3.1 x ", 452, 4, 3, 1, "4.3.1 x"},
        {"452", 452, 0, 0, 0, ""},
        {"452 ", 452, 0, 0, 0, ""},
        {"452 5.1.1 x", 452, 0, 0, 0, "5.1.1 x"},
        {"250 2.0.0 OK", 250, 2, 0, 0, "2.0.0 OK"},
        {"599", 599, 0, 0, 0, ""},
    };
    static const char *const wrong[] = {"", "45", "4521", "452x", "abc", "199 x", "600 x", "x 452"};
    struct reply_facts f;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_true(reply_facts_parse(slice_str(cases[i].line), &f));
        assert_int_equal(f.code, cases[i].code);
        assert_int_equal(f.enhanced.klass, cases[i].klass);
        assert_int_equal(f.enhanced.subject, cases[i].subject);
        assert_int_equal(f.enhanced.detail, cases[i].detail);
        assert_true(slice_eq(f.text, slice_str(cases[i].text)));
    }
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_false(reply_facts_parse(slice_str(wrong[i]), &f));
}

static void errors_name_their_place(void **state)
{
    static const struct {
        const char *yaml, *why;
    } cases[] = {
        {"rules: 5", "own.yaml:1:8: rules must be a list\n"},
        {"rule: []",
         "own.yaml:1:1: key 'rule' is not known in a file of rules; nearest key 'rules'\n"},
        {"rules:\n  - class: rate\n    code: 450", "own.yaml:2:5: a rule needs a name\n"},
        {"rules:\n  - name: a\n    code: 450", "own.yaml:2:5: a rule needs a class\n"},
        {"rules:\n  - name: a\n    class: rate", "own.yaml:2:5: a rule needs something to match: "
                                                 "code, enhanced, phase, provider or text\n"},
        {"rules:\n  - name: a\n    class: rates\n    code: 450",
         "own.yaml:3:12: class 'rates' is not known; 'penstock replies list' has them\n"
         "own.yaml:2:5: a rule needs a class\n"},
        {"rules:\n  - name: a\n    class: rate\n    code: 45",
         "own.yaml:4:11: code '45': allowed: 400 to 599, 4xx, 5xx, 0 for no reply\n"},
        {"rules:\n  - name: a\n    class: rate\n    code: [450, 3xx]",
         "own.yaml:4:17: code '3xx': allowed: 400 to 599, 4xx, 5xx, 0 for no reply\n"},
        {"rules:\n  - name: a\n    class: rate\n    enhanced: 4.3",
         "own.yaml:4:15: enhanced '4.3': allowed: 4.3.1, X.3.1, 4.7.*, 4.7.500-699, none\n"
         "own.yaml:2:5: a rule needs something to match: code, enhanced, phase, provider or "
         "text\n"},
        {"rules:\n  - name: a\n    class: rate\n    code: 450\n    enhanced: [4.3.1, 4.3.9-1]",
         "own.yaml:5:23: enhanced '4.3.9-1': allowed: 4.3.1, X.3.1, 4.7.*, 4.7.500-699, none\n"},
        {"rules:\n  - name: a\n    class: rate\n    phase: bdat\n    code: 450",
         "own.yaml:4:12: phase 'bdat': allowed: connect, greeting, hello, starttls, tls handshake, "
         "idle, mail, rcpt, data, body, end of data, quit, closed\n"},
        {"rules:\n  - name: a\n    class: rate\n    text: '*'\n    code: 450",
         "own.yaml:4:12: pattern '*': allowed: up to 200 bytes, of which two or more without a '*' "
         "between them\n"},
        {"rules:\n  - name: a\n    class: rate\n    code: 450\n    matches: [hello]",
         "own.yaml:5:15: a vector is a reply: '452 4.3.1 text', 'rcpt @google: 452 ...'\n"},
        {"rules:\n  - name: a\n    class: rate\n    code: 450\n    never: ['bad: 450 x']",
         "own.yaml:5:14: phase 'bad': allowed: connect, greeting, hello, starttls, tls handshake, "
         "idle, mail, rcpt, data, body, end of data, quit, closed\n"},
        {"rules:\n  - {name: a, class: rate, code: 450}\n  - {name: a, class: rate, code: 451}",
         "own.yaml:3:12: a rule 'a' is in line 2 already\n"},
        {"vectors: ['452 x']", "own.yaml:1:12: a vector here is 'REPLY => CLASS'\n"},
        {"vectors: ['452 x => full']",
         "own.yaml:1:12: class 'full' is not known; 'penstock replies list' has them\n"},
        {"classes: {rats: {meaning: x}}",
         "own.yaml:1:11: class 'rats' is not known; 'penstock replies list' has them\n"},
        {"classes: {rate: {mean: x}}", "own.yaml:1:18: key 'mean' is not known in a class\n"},
        {"classes: [rate]", "own.yaml:1:10: classes must be a map of classes to their texts\n"},
        {"classes: {rate: {meaning: [x]}}", "own.yaml:1:27: meaning must be a text\n"},
        {"rules: [5]", "own.yaml:1:9: a rule must be a map of keys and values\n"
                       "own.yaml:1:9: a rule needs a name\n"
                       "own.yaml:1:9: a rule needs a class\n"
                       "own.yaml:1:9: a rule needs something to match: code, enhanced, phase, "
                       "provider or text\n"},
        {"rules: [", "own.yaml:2:1: not YAML: flow sequence without a closing bracket\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf why = BUF_INIT(4096);
        struct replies *r = NULL;

        assert_int_equal(replies_new(&r, slice_str(cases[i].yaml), "own.yaml", &why), -EINVAL);
        assert_null(r);
        if (strcmp(buf_cstr(&why), cases[i].why) != 0)
            fail_msg("%s\ngives\n%s", cases[i].yaml, buf_cstr(&why));
        buf_done(&why);
    }
}

static void mutated_rules_are_taken_or_refused(void **state)
{
    enum { PART = 8000 };
    static uint8_t copy[PART];
    ptrdiff_t from = slice_find_slice(share_replies, SLICE_LIT("rules:\n"));
    struct slice part = slice_sub(share_replies, (size_t)from, PART);
    struct rand chance;
    size_t refused = 0;

    (void)state;
    rand_init(&chance, 11);
    for (int i = 0; i < 300; i++) {
        struct buf why = BUF_INIT(KIB(64));
        struct replies *r = NULL;
        int result = replies_new(&r, mutate(&chance, part, copy), "own.yaml", &why);

        if (result < 0) {
            assert_int_equal(result, -EINVAL);
            assert_null(r);
            check_places(buf_slice(&why));
            refused++;
        } else {
            assert_int_equal(buf_len(&why), 0);
            check_class(r, "452 4.3.1 x", class_of(r, "452 4.3.1 x"));
        }
        replies_free(&r);
        buf_done(&why);
    }
    assert_true(refused > 50);
}

/* Any bytes have a class, and what stands behind the first LOOK_MAX bytes does not change it. */
static void any_reply_has_a_class(void **state)
{
    struct replies *r = load("");
    struct rand chance;
    uint8_t text[2 * LOOK_MAX];

    (void)state;
    rand_init(&chance, 5);
    for (int i = 0; i < 20000; i++) {
        struct reply_facts f = {
            .code = (uint16_t)(rand_below(&chance, 10) ? rand_below(&chance, 700) : 0),
            .phase = (enum smtp_phase)rand_below(&chance, 13),
            .err = -(int)rand_below(&chance, 200)};
        size_t len = rand_below(&chance, sizeof(text));
        struct reply_verdict v;

        for (size_t at = 0; at < len; at++)
            text[at] = (uint8_t)rand_below(&chance, i % 2 ? 256 : 64);
        f.enhanced =
            SMTP_ENHANCED((uint8_t)rand_below(&chance, 6), (uint16_t)rand_below(&chance, 9),
                          (uint16_t)rand_below(&chance, 40));
        f.text = slice_make(text, len);
        replies_explain(r, &f, &v);
        assert_true(v.klass < REPLY_CLASSES);
        assert_int_equal(replies_classify(r, &f), v.klass);
        assert_true(v.rule && v.meaning && v.advice && v.warning);
        assert_true((v.klass == REPLY_NONE) == (f.code != 0 && f.code < 400));
    }
    replies_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_vectors_hold),
        cmocka_unit_test(each_shipped_rule_has_a_vector),
        cmocka_unit_test(the_named_codes_have_their_class),
        cmocka_unit_test(exact_codes_win_over_words),
        cmocka_unit_test(forms_of_logs_mean_the_same),
        cmocka_unit_test(status_codes_are_found_in_texts),
        cmocka_unit_test(nobody_answered),
        cmocka_unit_test(own_rules_come_first),
        cmocka_unit_test(each_class_is_explained),
        cmocka_unit_test(lines_are_parsed),
        cmocka_unit_test(errors_name_their_place),
        cmocka_unit_test(mutated_rules_are_taken_or_refused),
        cmocka_unit_test(any_reply_has_a_class),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
