/* config/pressure_test.c - thresholds have an order, and Exchange's names are understood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "config/alias.h"
#include "config/config.h"

#define ORDER "; order: medium_to_low < low_to_medium <= high_to_medium < medium_to_high\n"

static struct buf why = {.cap = CONFIG_WHY_MAX};

static int load(const char *text, const char *override, struct config **ret)
{
    buf_clear(&why);
    return config_load_text("p.yaml", slice_str(text), &override, override ? 1 : 0, ret, &why);
}

static void drop(struct config *c)
{
    const struct config *dead = c;

    config_unref(&dead);
}

static void thresholds_out_of_order_are_refused(void **state)
{
    static const struct {
        const char *text, *override, *error;
    } cases[] = {
        /* both in the file */
        {"pressure:\n  spool_disk:\n    low_to_medium: 99\n    high_to_medium: 98\n", NULL,
         "p.yaml:3:5: key 'pressure.spool_disk.low_to_medium': value '99%' is above "
         "pressure.spool_disk.high_to_medium '98%' (p.yaml:4:5)" ORDER},
        /* one of them, against its neighbour's default */
        {"pressure: {memory: {medium_to_low: 72%}}\n", NULL,
         "p.yaml:1:21: key 'pressure.memory.medium_to_low': value '72%' is not below "
         "pressure.memory.low_to_medium '72%' (default)" ORDER},
        {"pressure: {memory: {medium_to_high: 73%}}\n", NULL,
         "p.yaml:1:21: key 'pressure.memory.medium_to_high': value '73%' is not above "
         "pressure.memory.high_to_medium '73%' (default)" ORDER},
        {"pressure: {memory: {high_to_medium: 71%}}\n", NULL,
         "p.yaml:1:21: key 'pressure.memory.high_to_medium': value '71%' is below "
         "pressure.memory.low_to_medium '72%' (default)" ORDER},
        /* far apart, both set: told besides the neighbours */
        {"pressure.memory.low_to_medium: 80%\npressure.memory.medium_to_high: 75%\n", NULL,
         "p.yaml:1:1: key 'pressure.memory.low_to_medium': value '80%' is above "
         "pressure.memory.high_to_medium '73%' (default)" ORDER
         "p.yaml:1:1: key 'pressure.memory.low_to_medium': value '80%' is not below "
         "pressure.memory.medium_to_high '75%' (p.yaml:2:1)" ORDER},
        /* the command line, and other units */
        {"", "pressure.queue.medium_to_low=10000",
         "command line: key 'pressure.queue.medium_to_low': value '10000' is not below "
         "pressure.queue.low_to_medium '9999' (default)" ORDER},
        {"pressure.uncommitted.medium_to_high: 96MiB\n", NULL,
         "p.yaml:1:1: key 'pressure.uncommitted.medium_to_high': value '96MiB' is not above "
         "pressure.uncommitted.high_to_medium '96MiB' (default)" ORDER},
        {"pressure.tarpit.max: 10s\n", "pressure.tarpit.start=11s",
         "command line: key 'pressure.tarpit.start': value '11s' is above pressure.tarpit.max "
         "'10s' (p.yaml:1:1); the delay grows from one to the other\n"},
        {"pressure.tarpit.max: 500ms\n", NULL,
         "p.yaml:1:1: key 'pressure.tarpit.max': value '500ms' is below pressure.tarpit.start "
         "'1s' (default); the delay grows from one to the other\n"},
        /* Exchange's numbers of buckets are no bytes */
        {"pressure: {UsedVersionBuckets: {LowToMedium: 999}}\n", NULL,
         "p.yaml:1:46: key 'pressure.uncommitted.low_to_medium': value '999': allowed: a size "
         "with its unit like 64MiB or 512KiB, from 0 to 9223372036854775807B\n"},
        /* one setting by two names */
        {"pressure:\n  memory.low_to_medium: 72\n  PrivateBytes.LowToMedium: 72\n", NULL,
         "p.yaml:3:3: key 'pressure.memory.low_to_medium' is given twice, first in line 2\n"},
        /* no names of Exchange, but nearly */
        {"pressure:\n  PrivateBytes.LowToMediun: 72\n", NULL,
         "p.yaml:2:3: key 'pressure.memory.LowToMediun' is not known; nearest key "
         "'pressure.memory.low_to_medium'\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct config *c = NULL;

        assert_int_equal(load(cases[i].text, cases[i].override, &c), -EINVAL);
        assert_null(c);
        assert_string_equal(buf_cstr(&why), cases[i].error);
    }
}

static void thresholds_in_order_are_taken(void **state)
{
    static const char *const texts[] = {
        "pressure.memory: {medium_to_low: 0, low_to_medium: 1, high_to_medium: 1, "
        "medium_to_high: 2}\n",
        "pressure.spool_disk: {medium_to_low: 97, low_to_medium: 98, high_to_medium: 98, "
        "medium_to_high: 99}\n",
        "pressure.uncommitted: {medium_to_low: 0, low_to_medium: 1B, high_to_medium: 1B, "
        "medium_to_high: 2B}\n",
        "pressure.tarpit: {start: 55s}\n",
        "pressure.queue: {low_to_medium: 10000}\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct config *c = NULL;

        assert_int_equal(load(texts[i], NULL, &c), 0);
        drop(c);
    }
}

static void exchange_names_are_understood(void **state)
{
    static const struct {
        const char *name, *ours;
    } cases[] = {
        {"pressure.memory.LowToMedium", "pressure.memory.low_to_medium"},
        {"pressure.memory.mediumtohigh", "pressure.memory.medium_to_high"},
        {"pressure.PrivateBytes.HighToMedium", "pressure.memory.high_to_medium"},
        {"pressure.PrivateBytes", "pressure.memory"},
        {"pressure.PrivateBytes.history", "pressure.memory.history"},
        {"pressure.DatabaseUsedSpace.MediumToLow", "pressure.spool_disk.medium_to_low"},
        {"pressure.DatabaseUsedSpace[C:\\a.b\\data\\Queue].MediumToLow",
         "pressure.spool_disk.medium_to_low"},
        {"pressure.UsedDiskSpace[%ExchangeInstallPath%TransportRoles\\data].LowToMedium",
         "pressure.log_disk.low_to_medium"},
        {"pressure.UsedVersionBuckets[C:\\data\\mail.que].LowToMedium",
         "pressure.uncommitted.low_to_medium"},
        {"pressure.QueueLength[SubmissionQueue].LowToMedium", "pressure.queue.low_to_medium"},
        {"pressure.QueueLength[SubmissionQueue]", "pressure.queue"},
        {"pressure.SystemMemory.observe_only", "pressure.system_memory.observe_only"},
        {"pressure.ResourceMeteringInterval", "pressure.interval"},
        {"pressure.SubmissionQueueHistoryDepth", "pressure.queue.history"},
        {"pressure.SMTPMaxThrottlingDelayInterval", "pressure.tarpit.max"},
        /* left as they are */
        {"pressure.tarpit.start", "pressure.tarpit.start"},
        {"pressure", "pressure"},
        {"pressure.", "pressure."},
        {"pressure.[x].LowToMedium", "pressure.[x].LowToMedium"},
        {"pressure.PrivateBytes[x", "pressure.PrivateBytes[x"},
        {"pressure.QueueLength[x]y.LowToMedium", "pressure.QueueLength[x]y.LowToMedium"},
        {"smtp.PrivateBytes.LowToMedium", "smtp.PrivateBytes.LowToMedium"},
    };
    struct buf room = BUF_INIT(KIB(4));

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct slice ours = alias_resolve(slice_str(cases[i].name), &room);

        assert_int_equal(ours.len, strlen(cases[i].ours));
        assert_memory_equal(ours.ptr, cases[i].ours, ours.len);
    }
    buf_done(&room);
}

static void an_administrators_numbers_carry_over(void **state)
{
    static const char text[] = "pressure:\n"
                               "  EnableResourceMonitoring: true\n"
                               "  DatabaseUsedSpace.LowToMedium: 95\n"
                               "  PrivateBytes: {MediumToHigh: 80, HighToMedium: 78}\n"
                               "  PrivateBytesHistoryDepth: 20\n"
                               "  \"QueueLength[SubmissionQueue].LowToMedium\": 5000\n"
                               "  UsedDiskSpace[D:\\Queue].MediumToLow: 80\n"
                               "  SystemMemory.observe_only: yes\n";
    struct config *c = NULL;
    const struct config_pressure_rule *rules;

    (void)state;
    assert_int_equal(load(text, "pressure.QueueLength[SubmissionQueue].MediumToLow=1000", &c), 0);
    rules = c->pressure.rules;
    assert_true(c->pressure.enabled);
    assert_int_equal(rules[CONFIG_PRESSURE_SPOOL_DISK].low_to_medium, 95);
    assert_int_equal(rules[CONFIG_PRESSURE_MEMORY].medium_to_high, 80);
    assert_int_equal(rules[CONFIG_PRESSURE_MEMORY].high_to_medium, 78);
    assert_int_equal(rules[CONFIG_PRESSURE_MEMORY].history, 20);
    assert_int_equal(rules[CONFIG_PRESSURE_QUEUE].low_to_medium, 5000);
    assert_int_equal(rules[CONFIG_PRESSURE_QUEUE].medium_to_low, 1000);
    assert_int_equal(rules[CONFIG_PRESSURE_LOG_DISK].medium_to_low, 80);
    assert_true(rules[CONFIG_PRESSURE_SYSTEM_MEMORY].observe_only);
    drop(c);
}

static int done(void **state)
{
    (void)state;
    buf_done(&why);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(thresholds_out_of_order_are_refused),
        cmocka_unit_test(thresholds_in_order_are_taken),
        cmocka_unit_test(exchange_names_are_understood),
        cmocka_unit_test(an_administrators_numbers_carry_over),
    };

    return cmocka_run_group_tests(tests, NULL, done);
}
