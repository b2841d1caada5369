/* cli/sink_rules_test.c - the behaviour of the sink: what is written and what comes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "cli/sink_rules.h"

static void rules_are_read(void **state)
{
    static const struct {
        const char *rule;
        int result;
    } cases[] = {
        {"reply mail=5%:452 4.3.1 Insufficient system resources", 0},
        {"reply EOD=0.02:554 no", 0},
        {"reply rcpt=100%:250", 0},
        {"reply what=5%:452 x", -EINVAL},
        {"reply mail=5%", -EINVAL},
        {"reply mail=101%:452 x", -EINVAL},
        {"reply mail=-1%:452 x", -EINVAL},
        {"reply mail=nan%:452 x", -EINVAL},
        {"reply mail=%:452 x", -EINVAL},
        {"reply mail=5%:354 x", -EINVAL},
        {"reply mail=5%:45", -EINVAL},
        {"reply mail=5%:4522 x", -EINVAL},
        {"delay eod=250", 0},
        {"delay eod=", -EINVAL},
        {"delay eod=-1", -EINVAL},
        {"delay mail", -EINVAL},
        {"drop connect=1%", 0},
        {"drop connect=x", -EINVAL},
        {"clear", 0},
        {"clear it", -EINVAL},
        {"", -EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        static struct sink_schedule s;
        struct buf why = BUF_INIT(1024);

        sink_schedule_init(&s);
        if (sink_schedule_add(&s, 0, slice_str(cases[i].rule), &why) != cases[i].result)
            fail_msg("%s: %s", cases[i].rule, buf_cstr(&why));
        assert_int_equal(buf_len(&why) > 0, cases[i].result < 0);
        buf_done(&why);
    }
}

static void shares_are_kept(void **state)
{
    static struct sink_schedule s;
    struct buf why = BUF_INIT(1024);
    struct rand rand;
    unsigned full = 0, gone = 0, dropped = 0;

    (void)state;
    rand_init(&rand, 1);
    sink_schedule_init(&s);
    assert_int_equal(sink_schedule_add(&s, 0, SLICE_LIT("reply mail=5%:452 4.3.1 full"), &why), 0);
    assert_int_equal(sink_schedule_add(&s, 0, SLICE_LIT("reply mail=10%:550 gone"), &why), 0);
    assert_int_equal(sink_schedule_add(&s, 0, SLICE_LIT("drop mail=20%"), &why), 0);
    for (int i = 0; i < 100000; i++) {
        struct sink_action a = sink_rules_act(sink_schedule_at(&s, 0), SINK_MAIL, &rand);

        full += a.reply && a.reply->code == 452 && a.reply->enhanced.subject == 3;
        gone += a.reply && a.reply->code == 550;
        dropped += a.drop;
    }
    assert_in_range(full, 4700, 5300);
    assert_in_range(gone, 9600, 10400);
    assert_in_range(dropped, 19500, 20500);
    assert_null(sink_rules_act(sink_schedule_at(&s, 0), SINK_RCPT, &rand).reply);
    buf_done(&why);
}

static void a_schedule_changes_what_holds(void **state)
{
    static struct sink_schedule s;
    struct buf why = BUF_INIT(1024);

    (void)state;
    sink_schedule_init(&s);
    assert_int_equal(sink_schedule_add(&s, 0, SLICE_LIT("delay mail=1"), &why), 0);
    assert_int_equal(sink_schedule_parse(&s, SLICE_LIT("10:delay rcpt=2"), &why), 0);
    assert_int_equal(sink_schedule_parse(&s, SLICE_LIT("10:delay data=3"), &why), 0);
    assert_int_equal(sink_schedule_parse(&s, SLICE_LIT("20:clear"), &why), 0);
    assert_int_equal(sink_schedule_parse(&s, SLICE_LIT("5:clear"), &why), -EINVAL);
    assert_int_equal(sink_schedule_parse(&s, SLICE_LIT("clear"), &why), -EINVAL);
    assert_int_equal(sink_schedule_at(&s, 9999)->phases[SINK_RCPT].delay_ms, 0);
    assert_int_equal(sink_schedule_at(&s, 10000)->phases[SINK_MAIL].delay_ms, 1);
    assert_int_equal(sink_schedule_at(&s, 10000)->phases[SINK_RCPT].delay_ms, 2);
    assert_int_equal(sink_schedule_at(&s, 19999)->phases[SINK_DATA].delay_ms, 3);
    assert_int_equal(sink_schedule_at(&s, 20000)->phases[SINK_MAIL].delay_ms, 0);
    buf_done(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_read),
        cmocka_unit_test(shares_are_kept),
        cmocka_unit_test(a_schedule_changes_what_holds),
    };

    return cmocka_run_group_tests_name("cli sink rules", tests, NULL, NULL);
}
