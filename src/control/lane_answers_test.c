/* control/lane_answers_test.c - the answers about real lanes over a real schedule, and actions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "control/lane_int.h"
#include "schedule/lanes_bench.h"

static struct lanes_bench b;
static struct buf out = {.cap = MIB(1)}, why = {.cap = KIB(4)};

static int set_up(void **state)
{
    (void)state;
    bench_init(&b);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bench_done(&b);
    buf_done(&out);
    buf_done(&why);
    return 0;
}

static json_t *read_out(void)
{
    json_error_t error;
    json_t *value = json_loadb(buf_cstr(&out), buf_len(&out), JSON_REJECT_DUPLICATES, &error);

    if (!value)
        print_error("%s at %d: %s\n", error.text, error.position, buf_cstr(&out));
    assert_non_null(value);
    return value;
}

static json_t *list(void)
{
    buf_clear(&out);
    answer_lanes(b.lanes, b.now, &out);
    return read_out();
}

static json_t *show(const char *name)
{
    buf_clear(&out);
    assert_int_equal(answer_lane(b.lanes, slice_str(name), b.now, &out), 0);
    return read_out();
}

/* The member at "a.b.c". */
static const json_t *at(const json_t *value, const char *path)
{
    char key[64];

    while (value && *path) {
        size_t len = strcspn(path, ".");

        memcpy(key, path, len);
        key[len] = '\0';
        value = json_object_get(value, key);
        path += len + (path[len] == '.');
    }
    assert_non_null(value);
    return value;
}

static json_int_t number(const json_t *value, const char *path)
{
    assert_true(json_is_integer(at(value, path)));
    return json_integer_value(at(value, path));
}

static double real(const json_t *value, const char *path)
{
    assert_true(json_is_number(at(value, path)));
    return json_number_value(at(value, path));
}

static const char *string(const json_t *value, const char *path)
{
    assert_true(json_is_string(at(value, path)));
    return json_string_value(at(value, path));
}

static void a_server_without_mail_has_no_lanes(void **state)
{
    json_t *view = list();

    (void)state;
    assert_int_equal(json_array_size(at(view, "lanes")), 0);
    assert_int_equal(number(view, "now_ms"), b.now);
    json_decref(view);
}

static void a_quiet_lane_and_one_in_trouble(void **state)
{
    const json_t *big, *small;
    json_t *view;

    (void)state;
    for (int i = 0; i < 5; i++)
        (void)bench_mail(&b, "big", "example.org", 0, b.now);
    bench_attempts(&b, "small", 1000, 0, REPLY_NONE);
    bench_attempts(&b, "big", 1000, 50, REPLY_CAPACITY);
    bench_run(&b, 10 * SECOND_MS);
    view = list();
    assert_int_equal(json_array_size(at(view, "lanes")), 2);
    big = json_array_get(at(view, "lanes"), 0);
    small = json_array_get(at(view, "lanes"), 1);
    assert_string_equal(string(big, "name"), "big/pool");
    assert_string_equal(string(big, "provider"), "big");
    assert_string_equal(string(big, "source"), "pool");
    assert_string_equal(string(big, "band"), "incident");
    assert_int_equal(number(big, "connections.limit"), 16);
    assert_int_equal(number(big, "connections.full"), 20);
    assert_int_equal(number(big, "connections.floor"), 2);
    assert_true(json_is_null(at(big, "connections.operator")));
    assert_true(json_is_null(at(big, "rate_per_s.limit")));
    assert_int_equal(number(big, "queue.entries"), 5);
    assert_int_equal(number(big, "queue.destinations"), 1);
    assert_int_equal(number(big, "window_ms"), 15 * MINUTE_MS);
    assert_int_equal(number(big, "window.attempts"), 1000);
    assert_int_equal(number(big, "window.capacity"), 50);
    assert_true(fabs(real(big, "window.capacity_per_10000") - 500) < 0.01);
    assert_true(number(big, "incident") > 0);
    assert_true(number(big, "next_change_ms") > b.now);
    assert_string_equal(string(small, "band"), "normal");
    assert_true(json_is_null(at(small, "incident")));
    assert_true(json_is_null(at(small, "queue.oldest_arrival_ms")));
    assert_true(json_is_null(at(small, "warm_up")));
    json_decref(view);
}

static void one_lane_has_its_inputs_and_reasons(void **state)
{
    json_t *view;

    (void)state;
    bench_attempts(&b, "big", 1000, 50, REPLY_CAPACITY);
    bench_run(&b, 10 * SECOND_MS);
    view = show("big/pool");
    assert_int_equal(number(view, "cuts"), 1);
    assert_int_equal(number(view, "hold_cycles"), 2);
    assert_int_equal(number(view, "cycle_ms"), 10 * MINUTE_MS);
    assert_int_equal(number(view, "hold_until_ms"), number(view, "last.next_change_ms"));
    assert_string_equal(string(view, "last.action"), "cut");
    assert_string_equal(string(view, "last.from"), "normal");
    assert_string_equal(string(view, "last.to"), "incident");
    assert_true(strlen(string(view, "last.why")) > 0);
    assert_int_equal(number(view, "last.connections_from"), 20);
    assert_int_equal(number(view, "last.connections_to"), 16);
    assert_int_equal(number(view, "last.capacity"), 50);
    assert_true(real(view, "last.lower_bound_per_10000") > 300);
    assert_true(real(view, "per_10000.lower_bound") < 500);
    assert_true(fabs(real(view, "per_10000.incident") - 20) < 1e-6);
    assert_true(fabs(real(view, "confidence") - 0.99) < 1e-9);
    assert_int_equal(number(view, "hour.attempts"), 1000);
    assert_int_equal(number(view, "day.deferred"), 50);
    assert_true(number(view, "delivery_ms.count") > 0);
    assert_true(number(view, "delivery_ms.p50") >= 1400);
    assert_string_equal(string(view, "open_incident.kind"), "incident");
    assert_int_equal(json_array_size(at(view, "open_incident.changes")), 1);
    assert_string_equal(string(json_array_get(at(view, "open_incident.texts"), 0), "text"),
                        "452 4.3.1 Insufficient system resources");
    json_decref(view);
    buf_clear(&out);
    assert_int_equal(answer_lane(b.lanes, SLICE_LIT("nobody/pool"), b.now, &out), -ENOENT);
    assert_int_equal(buf_len(&out), 0);
}

static void a_warm_up_is_told(void **state)
{
    json_t *view;

    (void)state;
    b.rules.warm_up = (struct warm_up_settings){
        .list = {100, 200}, .days = 2, .factor = 1, .start_ms = BENCH_START};
    bench_attempts(&b, "big", 30, 0, REPLY_NONE);
    bench_run(&b, 10 * SECOND_MS);
    view = show("big/pool");
    assert_int_equal(number(view, "warm_up.today_max"), 100);
    assert_int_equal(number(view, "warm_up.today_sent"), 0); /* nothing left the schedule */
    assert_true(json_is_false(at(view, "warm_up.held")));
    assert_true(real(view, "rate_per_s.limit") > 0);
    json_decref(view);
}

static int act(const char *body)
{
    buf_clear(&out);
    buf_clear(&why);
    return act_on_lane(b.lanes, slice_str(body), b.now, &out, &why);
}

static void the_operator_acts(void **state)
{
    json_t *view;

    (void)state;
    bench_attempts(&b, "big", 10, 0, REPLY_NONE);
    assert_int_equal(act("{\"lane\": \"big/pool\", \"action\": \"pause\"}"), 0);
    view = read_out();
    assert_true(json_is_true(at(view, "paused")));
    json_decref(view);
    assert_true(bench_view(&b, "big/pool").limits.paused);
    assert_int_equal(act("{\"lane\": \"big/pool\", \"action\": \"resume\"}"), 0);
    assert_false(bench_view(&b, "big/pool").limits.paused);
    assert_int_equal(act("{\"lane\": \"big/pool\", \"action\": \"limit\", \"connections\": 5}"), 0);
    view = read_out();
    assert_int_equal(number(view, "connections.operator"), 5);
    assert_int_equal(number(view, "connections.limit"), 5);
    json_decref(view);
    assert_int_equal(act("{\"lane\": \"big/pool\", \"action\": \"limit\", \"connections\": 0}"), 0);
    view = read_out();
    assert_true(json_is_null(at(view, "connections.operator")));
    json_decref(view);
}

static void what_is_no_action_changes_nothing(void **state)
{
    static const struct {
        const char *body;
        int err;
        const char *why; /* a part of it */
    } cases[] = {
        {"", -EINVAL, "not JSON"},
        {"[]", -EINVAL, "lane: its name."},
        {"{}", -EINVAL, "lane: its name."},
        {"{\"lane\": 5, \"action\": \"pause\"}", -EINVAL, "lane: its name."},
        {"{\"lane\": \"big/pool\"}", -EINVAL, "action: allowed"},
        {"{\"lane\": \"big/pool\", \"action\": \"stop\"}", -EINVAL, "action: allowed"},
        {"{\"lane\": \"big/pool\", \"action\": \"limit\"}", -EINVAL, "connections: allowed"},
        {"{\"lane\": \"big/pool\", \"action\": \"limit\", \"connections\": -1}", -EINVAL,
         "connections: allowed"},
        {"{\"lane\": \"big/pool\", \"action\": \"limit\", \"connections\": 1.5}", -EINVAL,
         "connections: allowed"},
        {"{\"lane\": \"big/pool\", \"action\": \"limit\", \"connections\": 4294967295}", -EINVAL,
         "connections: allowed"},
        {"{\"lane\": \"big/pool\", \"action\": \"pause\", \"for\": 5}", -EINVAL, "not known"},
        {"{\"lane\": \"big/pool\", \"lane\": \"x\", \"action\": \"pause\"}", -EINVAL, "not JSON"},
        {"{\"lane\": \"nobody/pool\", \"action\": \"pause\"}", -ENOENT, "no lane 'nobody/pool'"},
    };

    (void)state;
    bench_attempts(&b, "big", 10, 0, REPLY_NONE);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(act(cases[i].body), cases[i].err);
        assert_non_null(strstr(buf_cstr(&why), cases[i].why));
        assert_int_equal(buf_len(&out), 0);
        assert_false(bench_view(&b, "big/pool").paused);
        assert_int_equal(bench_view(&b, "big/pool").limit, 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_server_without_mail_has_no_lanes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_quiet_lane_and_one_in_trouble, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_lane_has_its_inputs_and_reasons, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_warm_up_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_operator_acts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_action_changes_nothing, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
