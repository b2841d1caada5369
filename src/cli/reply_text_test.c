/*
 * cli/reply_text_test.c - the whole answer for one reply, and what Penstock says it does for every
 * class: no temporary reply is ever said to remove a recipient.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cli/reply_text.h"

static void a_reply_is_explained(void **state)
{
    static const char wanted[] = "452 4.3.1 Insufficient system resources\n"
                                 "class       capacity: the receiver is short of resources\n"
                                 "rule        mine\n"
                                 "phase       mail\n"
                                 "provider    example\n"
                                 "meaning     It is full.\n"
                                 "Penstock    Keeps the mail in the queue and tries it again by";
    struct reply_question q = {.line = SLICE_LIT("452 4.3.1 Insufficient system resources")};
    struct reply_verdict v = {.klass = REPLY_CAPACITY,
                              .rule = "mine",
                              .meaning = "It is full.",
                              .advice = "Wait.",
                              .warning = "Do not push."};
    struct buf to = BUF_INIT(KIB(16));
    json_t *o;

    (void)state;
    assert_true(reply_facts_parse(q.line, &q.facts));
    q.facts.provider = SLICE_LIT("example");
    reply_text_write(&to, &q, &v);
    assert_memory_equal(buf_cstr(&to), wanted, sizeof(wanted) - 1);
    assert_non_null(strstr(buf_cstr(&to), "\ndo          Wait.\ndo not      Do not push.\n"));
    o = reply_text_json(&q, &v);
    assert_string_equal(json_string_value(json_object_get(o, "class")), "capacity");
    assert_string_equal(json_string_value(json_object_get(o, "enhanced")), "4.3.1");
    assert_string_equal(json_string_value(json_object_get(o, "action")), "throttle");
    assert_string_equal(json_string_value(json_object_get(o, "provider")), "example");
    assert_true(json_is_true(json_object_get(o, "temporary")));
    assert_int_equal(json_integer_value(json_object_get(o, "code")), 452);
    json_decref(o);
    buf_done(&to);
}

static void each_class_has_its_text(void **state)
{
    (void)state;
    for (enum reply_class c = REPLY_CAPACITY; c < REPLY_CLASSES; c++) {
        const char *temporary = reply_action_text(c, 450), *permanent = reply_action_text(c, 550);

        assert_true(*temporary && *permanent);
        assert_true(*reply_action_name(reply_class_action(c)));
        if (c != REPLY_BATCH)
            assert_non_null(strstr(temporary, "Keeps the mail"));
    }
    assert_non_null(strstr(reply_action_text(REPLY_MAILBOX_UNKNOWN, 550), "Reports the failure"));
    assert_non_null(strstr(reply_action_text(REPLY_MAILBOX_UNKNOWN, 550),
                           "puts the address on the suppression"));
    assert_non_null(strstr(reply_action_text(REPLY_MAILBOX_UNKNOWN, 450),
                           "no recipient is put on the suppression list"));
    assert_non_null(strstr(reply_action_text(REPLY_MAILBOX_FULL, 552), "is not put on"));
    assert_non_null(strstr(reply_action_text(REPLY_POLICY, 550), "warm-up"));
    assert_non_null(strstr(reply_action_text(REPLY_BATCH, 452), "smaller transaction"));
    assert_string_equal(reply_action_text(REPLY_NONE, 250), "Nothing: it is no refusal.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_is_explained),
        cmocka_unit_test(each_class_has_its_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
