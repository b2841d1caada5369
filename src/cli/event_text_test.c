/* cli/event_text_test.c - events in words, and in Exchange's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/event_text.h"

#define RESOURCES                                                                                  \
    "memory=76%[high 71/73/75] spool_disk(\\\"/var/spool\\\")=41%[normal 94/97/99] "               \
    "uncommitted=3[normal 800/1000/1500] system_memory=60%[high 84/89/94]"

static json_t *parse(const char *text)
{
    json_t *event = json_loads(text, 0, NULL);

    assert_non_null(event);
    return event;
}

static void words_say_what_happened(void **state)
{
    static const struct {
        const char *event, *words;
    } cases[] = {
        {"{\"time\":\"2026-11-22T20:30:01.123Z\",\"level\":\"warning\",\"event\":\"pressure_"
         "increased\",\"event_id\":15004,\"direction\":\"increased\",\"resource\":\"server\","
         "\"cause\":\"memory\",\"from\":\"normal\",\"to\":\"high\",\"value\":805306368,\"limit\":"
         "1073741824,\"threshold\":786432000,\"unit\":\"bytes\",\"lasted_ms\":7200000,\"counts\":"
         "true,\"refused\":\"external,internal\",\"delayed\":\"authenticated\",\"remedies\":"
         "\"drop_bodies\","
         "\"resources\":\"" RESOURCES "\"}",
         "INCREASED from normal (for 2h) to high: server, by memory at 768M of 1.0G, threshold "
         "750M; "
         "refused now: external,internal; delayed now: authenticated; remedies: drop_bodies"},
        {"{\"time\":\"x\",\"level\":\"notice\",\"event\":\"pressure_decreased\",\"event_id\":15005,"
         "\"resource\":\"uncommitted\",\"from\":\"high\",\"to\":\"normal\",\"value\":1048576,"
         "\"threshold\":33554432,\"unit\":\"bytes\",\"refused\":\"\"}",
         "DECREASED from high (for 0s) to normal: uncommitted at 1.0M, threshold 32M; refused now: "
         "nothing"},
        {"{\"event\":\"pressure_increased\",\"from\":\"normal\",\"to\":\"medium\",\"resource\":"
         "\"server\",\"value\":1}",
         "INCREASED from normal (for 0s) to medium: server at 1"},
        {"{\"event\":\"pressure_persists\",\"to\":\"high\",\"resource\":\"queue\",\"value\":20000,"
         "\"unit\":\"messages\",\"lasted_ms\":3600000}",
         "STILL high, for 1h: queue at 20000 messages"},
        {"{\"event\":\"refusing_mail_disk\",\"resource\":\"io_stall\",\"used\":99,\"unit\":"
         "\"percent\",\"to_free\":9,\"normal_at\":60,\"refused\":\"external\",\"counts\":false,"
         "\"on\":\"/x\"}",
         "REFUSING mail: io_stall at 99%, normal at 60%, to free 9%; not counted; refused now: "
         "external; on /x"},
        {"{\"event\":\"server_ready\",\"level\":\"notice\",\"loops\":2,\"spool\":\"/a b\","
         "\"freed_bytes\":1048576,\"took_ms\":12,\"wait_ms\":90000,\"ok\":true,\"last\":false}",
         "loops 2, spool /a b, freed_bytes 1.0M, took_ms 12, wait 1m, ok, not last"},
        {"{\"event\":\"records_lost\",\"state\":\"begins\",\"file\":\"/l/"
         "R-1.log\",\"reason\":\"full\","
         "\"lines\":0,\"lasted_ms\":0}",
         "BEGINS: lines of the log files cannot be written, /l/R-1.log: full"},
        {"{\"event\":\"records_lost\",\"state\":\"ends\",\"file\":\"/l/"
         "R-1.log\",\"reason\":\"\",\"lines\":"
         "12,\"lasted_ms\":5000}",
         "ENDS after 5s: 12 lines were lost, /l/R-1.log"},
        {"{\"event\":\"remedy\",\"remedy\":\"return_memory\",\"for\":\"memory\",\"freed_bytes\":1,"
         "\"effect\":\"freed 38 MiB in 12 ms\"}",
         "return_memory for memory: freed 38 MiB in 12 ms"},
        {"{\"event\":\"refusing_ends\",\"to\":\"normal\"}", "mail is taken again, level normal"},
        {"{\"event\":\"server_stopped\",\"level\":\"notice\"}", ""},
        {"{\"event\":\"pressure_increased\",\"from\":7,\"to\":[],\"resource\":{},\"value\":\"x\"}",
         "INCREASED from  (for 0s) to : server"},
        {"{}", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b = BUF_INIT(KIB(4));
        json_t *event = parse(cases[i].event);

        assert_int_equal(event_text_words(&b, event), 0);
        assert_string_equal(buf_cstr(&b), cases[i].words);
        json_decref(event);
        buf_done(&b);
    }
}

static void exchange_has_its_shape(void **state)
{
    static const struct {
        const char *event, *text; /* NULL: none of its events */
    } cases[] = {
        {"{\"time\":\"2026-11-22T20:30:01.123Z\",\"event\":\"pressure_increased\",\"event_id\":"
         "15004,\"from\":\"medium\",\"to\":\"high\",\"refused\":\"external,internal\","
         "\"resources\":\"" RESOURCES "\"}",
         "Date:          2026-11-22 21:30:01 +0100\n"
         "Event ID:      15004\n"
         "Task Category: ResourceManager\n"
         "Level:         Warning\n"
         "Direction:     INCREASED\n"
         "Description:\n"
         "The resource pressure increased from Medium to High.\n"
         "\n"
         "The following resources are under pressure:\n"
         "Private bytes = 76% [High] [Normal=71% Medium=73% High=75%]\n"
         "\n"
         "The following components are disabled due to back pressure:\n"
         "Inbound mail submission from Hub Transport servers\n"
         "Inbound mail submission from the Internet\n"
         "\n"
         "The following resources are in normal state:\n"
         "Queue database and disk space (\"/var/spool\") = 41% [Normal] [Normal=94% Medium=97% "
         "High=99%]\n"
         "Version buckets = 3 [Normal] [Normal=800 Medium=1000 High=1500]\n"
         "Physical memory load = 60% [limit is 94% to start dehydrating messages.]\n"
         "\n"},
        {"{\"time\":\"2026-07-22T20:30:01.123Z\",\"event_id\":15005,\"from\":\"high\",\"to\":"
         "\"normal\",\"refused\":\"\"}",
         "Date:          2026-07-22 22:30:01 +0200\n"
         "Event ID:      15005\n"
         "Task Category: ResourceManager\n"
         "Level:         Information\n"
         "Direction:     DECREASED\n"
         "Description:\n"
         "The resource pressure decreased from High to Normal.\n"
         "\n"},
        {"{\"event_id\":15006,\"resources\":\"queue=1[medium 2/3/4] cut=5[no\"}",
         "Date:          ?\n"
         "Event ID:      15006\n"
         "Task Category: ResourceManager\n"
         "Level:         Error\n"
         "Direction:     REFUSING\n"
         "Description:\n"
         "Penstock is rejecting message submissions because the available disk space has dropped "
         "below the configured threshold.\n"
         "\n"
         "The following resources are under pressure:\n"
         "Submission Queue = 1 [Medium] [Normal=2 Medium=3 High=4]\n"
         "\n"},
        {"{\"event_id\":15004,\"resource\":\"memory\",\"from\":\"medium\",\"to\":\"high\"}", NULL},
        {"{\"event_id\":15003}", NULL},
        {"{\"event_id\":15008}", NULL},
        {"{\"event_id\":\"15004\"}", NULL},
        {"{}", NULL},
    };

    (void)state;
    assert_int_equal(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), 0);
    tzset();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b = BUF_INIT(KIB(4));
        json_t *event = parse(cases[i].event);

        assert_int_equal(event_text_exchange(&b, event), cases[i].text ? 1 : 0);
        assert_string_equal(buf_cstr(&b), cases[i].text ? cases[i].text : "");
        json_decref(event);
        buf_done(&b);
    }
}

static void times_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } cases[] = {
        {"2026-11-22T20:30:01.123Z", 1795379401123},
        {"2026-11-22 20:30:01Z", 1795379401000},
        {"2026-11-22T20:30Z", 1795379400000},
        {"2026-11-22Z", 1795305600000},
        {"2026-11-22", 1795302000000},
        {"2026-11-22 20:30", 1795375800000},
        {"2026-11-22 20:30:01.5Z", -1},
        {"2026-13-22", -1},
        {"2026-11-22T", -1},
        {"2026-11-22T20:30:01.123Zx", -1},
        {"yesterday", -1},
        {"", -1},
    };

    (void)state;
    assert_int_equal(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), 0);
    tzset();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t ms = -1;
        int r = event_text_parse_time(cases[i].text, &ms);

        if (r != (cases[i].ms < 0 ? -EINVAL : 0) || ms != cases[i].ms)
            fail_msg("%s: %d, %lld", cases[i].text, r, (long long)ms);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_say_what_happened),
        cmocka_unit_test(exchange_has_its_shape),
        cmocka_unit_test(times_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
