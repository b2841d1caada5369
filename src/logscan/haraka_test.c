/* logscan/haraka_test.c - each kind of line that Haraka writes, as facts and as a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "logscan/facts_kit.h"
#include "logscan/formats.h"
#include "logscan/haraka.h"

#define STAMP "2026-03-01T08:08:52.832Z "
#define CORE STAMP "[NOTICE] [FB2A.1] [core] "
#define OUT STAMP "[INFO] [FB2A.1.1] [outbound] "
#define ID " m=FB2A.1"
#define DELIVERED                                                                                  \
    " delivered file=1_2_0_3_x_mx1 domain=o.example host=mx1.o.example ip=198.18.0.11 port=25 "    \
    "mode=SMTP tls=Y auth=N response=\"Ok: \\\"x\\\" host=y\" delay=68.519 fails=1 rcpts=1/0/0"

static const struct {
    const char *line, *facts; /* NULL: skipped */
} lines[] = {
    {CORE "sender <a@b> code=CONT msg=\"\"", ""},
    {CORE "recipient <x@o.example> code=OK msg=\"\" sender=a@b", "recipient" ID " r=x@o.example"},
    {CORE "recipient <\"a> code=DENY\"@b> code=OK msg=\"\"",
     "recipient" ID " r=\"a> code=DENY\"@b"},
    {CORE "queue code=OK msg=\"Message Queued (FB2A.1)\"", "arrival" ID "\nbegin" ID},
    {CORE "recipient <x@o.example> code=DENY msg=\"550 5.1.1 no \\\"x\\\"\" sender=a@b",
     "reply own-server 550 5.1.1|no \"x\"" ID " r=x@o.example rcpt"},
    {CORE "recipient <x@o.example> code=DENYSOFT msg=\"later\"",
     "reply own-server 450 -|later" ID " r=x@o.example rcpt"},
    {CORE "sender <x=y@b> code=DENY msg=bad", "reply own-server 550 -|bad" ID},
    {CORE "queue code=DENYSOFT msg=\"452 4.3.1 full\"", "reply own-server 452 4.3.1|full" ID},
    {CORE "connect ip=1", ""},
    {OUT "recipient <x@o.example> deferred: 452 4.3.1 full",
     "reply receiver 452 4.3.1|full" ID " r=x@o.example rcpt\n"
     "attempt deferred 452 4.3.1|full" ID " r=x@o.example"},
    {OUT "recipient <x@o.example> rejected: 550 no",
     "reply receiver 550 -|no" ID " r=x@o.example rcpt\nattempt failed 550 -|no" ID
     " r=x@o.example"},
    {OUT DELIVERED,
     "attempt delivered 0 -|Ok: \"x\" host=y" ID " h=mx1.o.example a=198.18.0.11 end of data"},
    {OUT "Temp failing 1_2_0_3_x_mx1 for 64 seconds: Some recipients temporarily failed",
     "begin" ID},
    {OUT "Temp failing 1_2_0_3_x_mx1 for 64 seconds: Upstream error: 452 4.3.1 full",
     "reply receiver 452 4.3.1|full" ID "\nattempt deferred 452 4.3.1|full" ID "\nbegin" ID},
    {OUT "Temp failing 1_2_0_3_x_mx1 for 64 seconds: Tried all MXs",
     "reply own-client 0 -|Tried all MXs" ID "\nattempt deferred 0 -|Tried all MXs" ID
     "\nbegin" ID},
    {OUT "bouncing mail: 550 5.7.1 no",
     "reply receiver 550 5.7.1|no" ID "\nattempt failed 550 5.7.1|no" ID},
    {OUT "bouncing mail: Too many failures (Tried all MXs)", "expiry" ID},
    {OUT "bouncing mail: Some recipients failed: x@o.example", ""},
    {OUT "Temp failing", ""},
    {OUT "Attempting to deliver", ""},
    {"Mar  1 08:08:52 mx1 haraka[1]: [NOTICE] [FB2A.1] [core] recipient <x@y> code=OK",
     "recipient" ID " r=x@y"},
    {STAMP "mx1 haraka[1]: [NOTICE] [FB2A.1] [core] recipient <x@y> code=OK",
     "recipient" ID " r=x@y"},
    {STAMP "[NOTICE] [-] [server] listening", ""},
    {STAMP "[NOTICE] [-] listening", NULL},
    {STAMP "[NOTICE]", NULL},
    {"[NOTICE] [-] [core] no time", NULL},
    {"Mar  1 08:08:52 mx1 exim[1]: x", NULL},
};

static void facts(void **state)
{
    static struct facts_kit k;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        bool is_row = facts_of_line(&k, &haraka_format, lines[i].line);

        assert_int_equal(is_row, lines[i].facts != NULL);
        if (is_row)
            assert_string_equal(k.text, lines[i].facts);
    }
}

/* Any line may end anywhere; what is read past its end shows under a sanitizer. */
static void cut_anywhere(void **state)
{
    static struct facts_kit k;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        for (size_t len = 1; len < strlen(lines[i].line); len++) {
            char line[1024];

            (void)snprintf(line, sizeof(line), "%.*s", (int)len, lines[i].line);
            facts_of_line(&k, &haraka_format, line);
            assert_true(k.tally.rows <= 1);
        }
}

static void rows(void **state)
{
    static const struct {
        const char *line;
        int column;
        const char *want;
    } cases[] = {
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
    const struct log_carry carry = {.year = 2026, .month = 3};
    struct slice names = slice_str(HARAKA_COLUMNS), fields[LOG_COLUMNS_MAX];
    struct arena a = {0};

    (void)state;
    assert_int_equal(log_columns_of(names)->count, HARAKA_COLUMN_COUNT);
    assert_int_equal(log_columns_find(log_columns_of(names), SLICE_LIT("reply")),
                     HARAKA_REPLY_COLUMN);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int n = haraka_split(&carry, slice_str(cases[i].line), &a, fields);

        assert_int_equal(n, cases[i].want ? HARAKA_COLUMN_COUNT : -EINVAL);
        if (cases[i].want)
            assert_true(slice_eq(fields[cases[i].column], slice_str(cases[i].want)));
    }
    arena_done(&a);
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

static int set_utc(void **state)
{
    (void)state;
    return stamp_zone("UTC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(rows),
        cmocka_unit_test(detected),
    };

    return cmocka_run_group_tests_name("haraka", tests, set_utc, NULL);
}
