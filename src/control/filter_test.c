/* control/filter_test.c - what clients may ask, in URLs and in JSON, and what they are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/id.h"
#include "control/filter_int.h"

#define NOW 1000000

static int set(struct control_ask *a, const char *name, const char *value, struct buf *why)
{
    return control_ask_set(a, slice_str(name), slice_str(value), why);
}

static void urls_set_everything(void **state)
{
    struct buf why = BUF_INIT(1000);
    struct control_ask a;
    struct queue_filter f;
    char id[ID_TEXT_MAX];

    (void)state;
    (void)id_format(77, id);
    control_ask_init(&a, NOW);
    assert_true(control_ask_is_blank(&a));
    assert_int_equal(a.limit, CONTROL_LIMIT_DEFAULT);
    assert_int_equal(set(&a, "limit", "7", &why), 0);
    assert_int_equal(set(&a, "details", "1", &why), 0);
    assert_true(control_ask_is_blank(&a));
    assert_int_equal(set(&a, "destination", "example.org", &why), 0);
    assert_false(control_ask_is_blank(&a));
    assert_int_equal(set(&a, "sender", "a@", &why), 0);
    assert_int_equal(set(&a, "recipient", "b@", &why), 0);
    assert_int_equal(set(&a, "id", id, &why), 0);
    assert_int_equal(set(&a, "older_than_s", "60", &why), 0);
    assert_int_equal(set(&a, "younger_than_s", "3600", &why), 0);
    assert_int_equal(set(&a, "state", "held", &why), 0);
    f = control_ask_filter(&a, NOW);
    assert_true(slice_eq(f.destination, SLICE_LIT("example.org")));
    assert_true(slice_eq(f.sender, SLICE_LIT("a@")) && slice_eq(f.recipient, SLICE_LIT("b@")));
    assert_true(f.id == 77 && f.older_than_ms == 60000 && f.younger_than_ms == 3600000);
    assert_true(f.held_only && !f.deferred_only && a.details && a.limit == 7);
    assert_int_equal(buf_len(&why), 0);
    buf_done(&why);
}

static void wrong_values_are_named(void **state)
{
    static const struct {
        const char *name, *value, *told;
    } cases[] = {
        {"id", "!", "id '!': it must be a queue id."},
        {"id", "0", "id '0': it must be a queue id."},
        {"older_than_s", "2h", "older_than_s '2h': it must be a whole number of seconds."},
        {"older_than_s", "9999999999999999",
         "older_than_s '9999999999999999': it must be a whole "
         "number of seconds."},
        {"younger_than_s", "-1", "younger_than_s '-1': it must be a whole number of seconds."},
        {"state", "busy", "state 'busy': it must be 'held' or 'deferred'."},
        {"all", "yes", "all 'yes': it must be true or false."},
        {"limit", "0", "limit '0': it must be a number from 1 to 1000."},
        {"limit", "1001", "limit '1001': it must be a number from 1 to 1000."},
        {"cursor", "12", "cursor '12': it must be what the page before gave."},
        {"cursor", "4294967296-1", "cursor '4294967296-1': it must be what the page before gave."},
        {"sender", "", "sender '': it must be a text that is not empty."},
        {"sendr", "x",
         "'sendr' is not known; these are: destination sender recipient id "
         "older_than_s younger_than_s state all details limit cursor"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf why = BUF_INIT(1000);
        struct control_ask a;

        control_ask_init(&a, NOW);
        assert_int_equal(set(&a, cases[i].name, cases[i].value, &why), -EINVAL);
        assert_string_equal(buf_cstr(&why), cases[i].told);
        buf_done(&why);
    }
}

static void bodies_are_read_strictly(void **state)
{
    static const struct {
        const char *body;
        int result;
        const char *told;
    } cases[] = {
        {"{\"action\":\"retry\"}", 0, ""},
        {"{\"action\":\"bounce\",\"filter\":{\"all\":true},\"cursor\":null}", 0, ""},
        {"{\"action\":\"hold\",\"filter\":{\"older_than_s\":60},\"cursor\":\"5-6\"}", 0, ""},
        {"{\"action\":\"hold\",\"filter\":{\"older_than_s\":\"60\",\"id\":\"2d\"}}", 0, ""},
        {"[]", -EINVAL, "The body must be a JSON object."},
        {"{}", -EINVAL, "'action' is missing: retry, hold, release, bounce or remove."},
        {"{\"action\":\"eat\"}", -EINVAL,
         "action 'eat': it must be one of retry, hold, release, bounce, remove."},
        {"{\"action\":7}", -EINVAL,
         "action '': it must be one of retry, hold, release, bounce, remove."},
        {"{\"action\":\"retry\",\"x\":1}", -EINVAL,
         "'x' is not known; these are: action filter cursor"},
        {"{\"action\":\"retry\",\"filter\":[]}", -EINVAL, "'filter' must be an object."},
        {"{\"action\":\"retry\",\"filter\":{\"limit\":\"1\"}}", -EINVAL,
         "'limit' is not known; these are: destination sender recipient id older_than_s "
         "younger_than_s state all"},
        {"{\"action\":\"retry\",\"filter\":{\"sender\":5}}", -EINVAL,
         "'sender' in 'filter' is empty or of the wrong type."},
        {"{\"action\":\"retry\",\"filter\":{\"sender\":{}}}", -EINVAL,
         "'sender' in 'filter' is empty or of the wrong type."},
        {"{\"action\":\"retry\",\"filter\":{\"older_than_s\":-5}}", -EINVAL,
         "older_than_s '-5': it must be a whole number of seconds."},
        {"{\"action\":\"retry\",\"cursor\":9}", -EINVAL,
         "cursor '': it must be what the page before gave."},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *body = json_loads(cases[i].body, 0, NULL);
        struct buf why = BUF_INIT(1000);
        struct control_ask a;

        assert_non_null(body);
        control_ask_init(&a, NOW);
        assert_int_equal(control_ask_set_json(&a, body, &why), cases[i].result);
        assert_string_equal(buf_cstr(&why), cases[i].told);
        json_decref(body);
        buf_done(&why);
    }
}

/* Mail that comes in while pages are walked stays out of them. */
static void cursors_keep_the_start(void **state)
{
    struct buf why = BUF_INIT(1000);
    struct control_ask a, b;
    char cursor[CONTROL_CURSOR_MAX];

    (void)state;
    control_ask_init(&a, NOW);
    assert_int_equal(control_ask_filter(&a, NOW + 9).older_than_ms, 0);
    control_ask_cursor(&a, UINT32_MAX, cursor);
    control_ask_init(&b, NOW + 5000);
    assert_int_equal(set(&b, "cursor", cursor, &why), 0);
    assert_int_equal(b.at, UINT32_MAX);
    assert_int_equal(control_ask_filter(&b, NOW + 5000).older_than_ms, 5000);
    assert_int_equal(control_ask_filter(&b, NOW - 5000).older_than_ms, 0); /* the clock jumped */
    b.filter.older_than_ms = 60000;
    assert_int_equal(control_ask_filter(&b, NOW + 5000).older_than_ms, 60000);
    buf_done(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_set_everything),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(bodies_are_read_strictly),
        cmocka_unit_test(cursors_keep_the_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
