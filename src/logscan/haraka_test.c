/* logscan/haraka_test.c - each kind of line that Haraka writes, as facts and as a row. */
#include "logscan/haraka.h"

#include "logscan/formats.h"
#include "logscan/scan_testing.h"

#define STAMP "2026-03-01T08:08:52.832Z "
#define CORE STAMP "[NOTICE] [FB2A.1] [core] "
#define OUT STAMP "[INFO] [FB2A.1.1] [outbound] "
#define ID " 29332832 m=FB2A.1"
#define DELIVERED                                                                                  \
    " delivered file=1_2_0_3_x_mx1 domain=o.example host=mx1.o.example ip=198.18.0.11 port=25 "    \
    "mode=SMTP tls=Y auth=N response=\"Ok: \\\"x\\\" host=y\" delay=68.519 fails=1 rcpts=1/0/0"

static const struct testing_case cases[] = {
    {CORE "sender <a@b> code=CONT msg=\"\"\n", ""},
    {CORE "recipient <x@o.example> code=OK msg=\"\" sender=a@b\n",
     "recipient" ID " to=x@o.example\n"},
    {CORE "recipient <\"a> code=DENY\"@b> code=OK msg=\"\"\n",
     "recipient" ID " to=\"a> code=DENY\"@b\n"},
    {CORE "queue code=OK msg=\"Message Queued (FB2A.1)\"\n", "arrival" ID "\n"
                                                             "begin" ID "\n"},
    {CORE "recipient <x@o.example> code=DENY msg=\"550 5.1.1 no \\\"x\\\"\" sender=a@b\n",
     "reply" ID " to=x@o.example phase=rcpt by=own-server 550 5.1.1 \"no \"x\"\"\n"},
    {CORE "recipient <x@o.example> code=DENYSOFT msg=\"later\"\n",
     "reply" ID " to=x@o.example phase=rcpt by=own-server 450 - \"later\"\n"},
    {CORE "sender <x=y@b> code=DENY msg=bad\n", "reply" ID " by=own-server 550 - \"bad\"\n"},
    {CORE "queue code=DENYSOFT msg=\"452 4.3.1 full\"\n",
     "reply" ID " by=own-server 452 4.3.1 \"full\"\n"},
    {CORE "connect ip=1\n", ""},
    {OUT "recipient <x@o.example> deferred: 452 4.3.1 full\n",
     "reply" ID " to=x@o.example phase=rcpt by=receiver 452 4.3.1 \"full\"\n"
     "attempt" ID " to=x@o.example by-begin deferred 452 4.3.1 \"full\"\n"},
    {OUT "recipient <x@o.example> rejected: 550 no\n",
     "reply" ID " to=x@o.example phase=rcpt by=receiver 550 - \"no\"\n"
     "attempt" ID " to=x@o.example by-begin failed 550 - \"no\"\n"},
    {OUT DELIVERED "\n", "attempt" ID " host=mx1.o.example ip=198.18.0.11 phase=end of data "
                         "by-begin delivered 0 \"Ok: \"x\" host=y\"\n"},
    {OUT "Temp failing 1_2_0_3_x_mx1 for 64 seconds: Some recipients temporarily failed\n",
     "begin" ID "\n"},
    {OUT "Temp failing 1_2_0_3_x_mx1 for 64 seconds: Upstream error: 452 4.3.1 full\n",
     "reply" ID " by=receiver 452 4.3.1 \"full\"\n"
     "attempt" ID " by-begin deferred 452 4.3.1 \"full\"\n"
     "begin" ID "\n"},
    {OUT "Temp failing 1_2_0_3_x_mx1 for 64 seconds: Tried all MXs\n",
     "reply" ID " by=own-client 0 \"Tried all MXs\"\n"
     "attempt" ID " by-begin deferred 0 \"Tried all MXs\"\n"
     "begin" ID "\n"},
    {OUT "bouncing mail: 550 5.7.1 no\n", "reply" ID " by=receiver 550 5.7.1 \"no\"\n"
                                          "attempt" ID " by-begin failed 550 5.7.1 \"no\"\n"},
    {OUT "bouncing mail: Too many failures (Tried all MXs)\n", "expiry" ID "\n"},
    {OUT "bouncing mail: Some recipients failed: x@o.example\n", ""},
    {OUT "Temp failing\n", ""},
    {OUT "Attempting to deliver\n", ""},
    {"Mar  1 08:08:52 mx1 haraka[1]: [NOTICE] [FB2A.1] [core] recipient <x@y> code=OK\n",
     "recipient 29332000 m=FB2A.1 to=x@y\n"},
    {STAMP "mx1 haraka[1]: [NOTICE] [FB2A.1] [core] recipient <x@y> code=OK\n",
     "recipient" ID " to=x@y\n"},
    {STAMP "[NOTICE] [-] [server] listening\n", ""},
    {STAMP "[NOTICE] [-] listening\n", "", .skips = 1U << SKIP_FORM},
    {STAMP "[NOTICE]\n", "", .skips = 1U << SKIP_FORM},
    {"[NOTICE] [-] [core] no time\n", "", .skips = 1U << SKIP_TIME},
    {"Mar  1 08:08:52 mx1 exim[1]: x\n", "", .skips = 1U << SKIP_FORM},
};

static void facts(void **state)
{
    (void)state;
    testing_cases(&haraka_format, TESTING_ACCEPTED, cases, ARRAY_SIZE(cases));
}

static void cut_anywhere(void **state)
{
    (void)state;
    testing_cut_cases(&haraka_format, cases, ARRAY_SIZE(cases));
}

static void rows(void **state)
{
    static const struct testing_field fields[] = {
        {CORE "recipient <x@y> code=OK msg=\"\"", HARAKA_TIME, "2026-03-01T08:08:52.832Z"},
        {CORE "recipient <x@y> code=OK msg=\"\"", HARAKA_LEVEL, "NOTICE"},
        {CORE "recipient <x@y> code=OK msg=\"\"", HARAKA_UUID, "FB2A.1"},
        {CORE "recipient <x@y> code=OK msg=\"\"", HARAKA_ORIGIN, "core"},
        {CORE "recipient <x@y> code=OK msg=\"\"", HARAKA_ADDRESS, "x@y"},
        {CORE "recipient <x@y> code=OK msg=\"\"", HARAKA_CODE, "OK"},
        {CORE "recipient <x@y> code=DENY msg=\"550 no\"", HARAKA_REPLY_COLUMN, "550 no"},
        {OUT DELIVERED, HARAKA_HOST, "mx1.o.example"},
        {OUT DELIVERED, HARAKA_IP, "198.18.0.11"},
        {OUT DELIVERED, HARAKA_DOMAIN, "o.example"},
        {OUT DELIVERED, HARAKA_RESPONSE, "Ok: \"x\" host=y"},
        {OUT DELIVERED, HARAKA_DELAY, "68.519"},
        {OUT DELIVERED, HARAKA_FAILS, "1"},
        {OUT DELIVERED, HARAKA_RCPTS, "1/0/0"},
        {OUT "recipient <x@y> deferred: 452 x", HARAKA_REPLY_COLUMN, "452 x"},
        {OUT "recipient <x@y> deferred: 452 x", HARAKA_ADDRESS, "x@y"},
        {OUT "bouncing mail: Upstream error: 550 x", HARAKA_REPLY_COLUMN, "550 x"},
        {OUT "other", HARAKA_TEXT, "other"},
        {"no time", -1, NULL},
    };

    (void)state;
    testing_fields(&haraka_format, SLICE_LIT("reply"), fields, ARRAY_SIZE(fields));
}

static void detected(void **state)
{
    (void)state;
    assert_true(haraka_format.detect(SLICE_LIT(CORE "x\n")) > 0);
    assert_true(haraka_format.detect(SLICE_LIT("x\n[NOTICE] [-] [core] no time\n")) > 0);
    assert_int_equal(haraka_format.detect(SLICE_LIT("[NOTICE] [-] [other] no time\n")), 0);
    assert_int_equal(haraka_format.detect(SLICE_LIT("2026-03-01T08:08:52.832Z a b\n")), 0);
    assert_int_equal(haraka_format.detect(slice_make(NULL, 0)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(rows),
        cmocka_unit_test(detected),
    };

    return cmocka_run_group_tests_name("haraka", tests, testing_utc, NULL);
}
