/* control/metrics_out_test.c - the format, byte by byte; tests/e2e reads whole pages with the parser
 * of Prometheus' own client library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/base.h"
#include "control/metrics_out.h"

static void expect(struct buf *to, const char *wanted)
{
    assert_false(buf_failed(to));
    assert_string_equal(buf_cstr(to), wanted);
    buf_done(to);
}

static void a_family_is_help_type_and_samples(void **state)
{
    struct buf to = BUF_INIT(KIB(4));
    struct metrics_out m;

    (void)state;
    metrics_out_init(&m, &to);
    metrics_gauge(&m, "empty", "Has no samples, and is not there.");
    metrics_counter(&m, "x_total", "Counts x.");
    metrics_uint(&m, NULL, 7);
    metrics_uint(&m, METRICS_LABELS({"a", "1"}), UINT64_MAX);
    metrics_gauge(&m, "y", "Is y.");
    metrics_uint(&m, METRICS_LABELS({"a", "1"}, {"b", ""}), 3);
    expect(&to, "# HELP penstock_x_total Counts x.\n"
                "# TYPE penstock_x_total counter\n"
                "penstock_x_total 7\n"
                "penstock_x_total{a=\"1\"} 18446744073709551615\n"
                "# HELP penstock_y Is y.\n"
                "# TYPE penstock_y gauge\n"
                "penstock_y{a=\"1\",b=\"\"} 3\n");
}

static void texts_of_labels_cannot_break_out(void **state)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"/var/spool", "/var/spool"},
        {"a\"} 1\nb{c=\"", "a\\\"} 1\\nb{c=\\\""},
        {"\\n", "\\\\n"},
        {"\xc3\xa9\xe2\x82\xac", "\xc3\xa9\xe2\x82\xac"},
        {"\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"tab\tbell\a", "tab\tbell\a"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf to = BUF_INIT(KIB(4)), wanted = BUF_INIT(KIB(4));
        struct metrics_out m;

        metrics_out_init(&m, &to);
        metrics_gauge(&m, "x", "X.");
        metrics_uint(&m, METRICS_LABELS({"l", cases[i].text}), 1);
        (void)buf_addf(&wanted,
                       "# HELP penstock_x X.\n# TYPE penstock_x gauge\npenstock_x{l=\"%s\"} 1\n",
                       cases[i].wanted);
        expect(&to, buf_cstr(&wanted));
        buf_done(&wanted);
    }
}

static void numbers_are_in_base_units(void **state)
{
    struct buf to = BUF_INIT(KIB(4));
    struct metrics_out m;

    (void)state;
    metrics_out_init(&m, &to);
    metrics_gauge(&m, "x", "X.");
    metrics_ms(&m, NULL, 0);
    metrics_ms(&m, NULL, 1795382025007);
    metrics_us(&m, NULL, 12000034);
    metrics_until(&m, NULL, 410);
    metrics_until(&m, NULL, INT64_MAX);
    metrics_real(&m, NULL, -46.43365);
    metrics_real(&m, NULL, 1048576e6);
    metrics_real(&m, NULL, (double)NAN);
    metrics_real(&m, NULL, -(double)INFINITY);
    expect(&to, "# HELP penstock_x X.\n# TYPE penstock_x gauge\n"
                "penstock_x 0.000\n"
                "penstock_x 1795382025.007\n"
                "penstock_x 12.000034\n"
                "penstock_x 410\n"
                "penstock_x +Inf\n"
                "penstock_x -46.4337\n"
                "penstock_x 1.04858e+12\n"
                "penstock_x NaN\n"
                "penstock_x -Inf\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_family_is_help_type_and_samples),
        cmocka_unit_test(texts_of_labels_cannot_break_out),
        cmocka_unit_test(numbers_are_in_base_units),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
