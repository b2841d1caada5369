/*
 * logscan/journal_test.c - entries of a journal, wherever the export is cut.
 */
#include "logscan/formats.h"
#include "logscan/scan_testing.h"

/* 2026-03-01T08:34:41.250Z */
#define ENTRY(cursor, program, message)                                                            \
    "__CURSOR=" cursor "\n__REALTIME_TIMESTAMP=1772354081999000\n_BOOT_ID=1f\nPRIORITY=6\n"        \
    "_SOURCE_REALTIME_TIMESTAMP=1772354081250000\n_HOSTNAME=mx1\nSYSLOG_IDENTIFIER=" program       \
    "\nSYSLOG_PID=4105\n_PID=4105\nMESSAGE=" message "\n\n"
#define REFUSED                                                                                    \
    "4fNwF20043zf: to=<v@gmz.example>, relay=mx1.gmz.example[198.18.10.7]:25, delay=1.2, "         \
    "delays=0.1/0.01/0.5/0.6, dsn=4.3.1, status=deferred (host mx1.gmz.example[198.18.10.7] "      \
    "said: 452 4.3.1 Insufficient system storage (in reply to MAIL FROM command))"
#define REPLY                                                                                      \
    "reply 30881250 m=4fNwF20043zf@mx1 to=v@gmz.example host=mx1.gmz.example ip=198.18.10.7 "      \
    "via=smtp phase=mail by=receiver 452 4.3.1 \"Insufficient system storage\"\n"

static const struct testing_case cases[] = {
    {ENTRY("s=1", "postfix/smtp", REFUSED), REPLY},
    {ENTRY("s=1", "postfix/smtp", REFUSED) ENTRY("s=2", "postfix/qmgr", "4fNwF20043zf: removed")
         ENTRY("s=3", "postfix/smtp", REFUSED),
     REPLY REPLY, .rows = 3},
    {ENTRY("s=1", "sshd", "Accepted") ENTRY("s=2", "postfix/smtp", REFUSED), REPLY,
     .skips = 1U << SKIP_FORM, .rows = 1},
    {"__CURSOR=s=1\nSYSLOG_IDENTIFIER=postfix/smtp\nMESSAGE=x\n\n" ENTRY("s=2", "postfix/smtp",
                                                                         REFUSED),
     REPLY, .skips = 1U << SKIP_TIME, .rows = 1},
};

static void test_entries(void **state)
{
    (void)state;
    testing_cases(&postfix_journal_format, WANT_REPLIES, cases, ARRAY_SIZE(cases));
}

/* A message with a line break stands with its length. */
static void test_a_value_that_is_no_text(void **state)
{
    static const char before[] = "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1772354081250000\n"
                                 "_HOSTNAME=mx1\nSYSLOG_IDENTIFIER=postfix/smtp\nMESSAGE\n";
    static const char message[] = REFUSED "\n\nand more";
    struct buf log = BUF_INIT(KIB(8)), facts = BUF_INIT(KIB(8));
    struct log_scan s = {.format = &postfix_journal_format, .wants = WANT_REPLIES};
    void *merged = NULL;

    (void)state;
    (void)buf_add_str(&log, before);
    (void)buf_add_u64(&log, sizeof(message) - 1);
    (void)buf_add_str(&log, message);
    (void)buf_add_str(&log, "\n\n" ENTRY("s=2", "postfix/smtp", REFUSED));
    s.bytes = buf_slice(&log);
    postfix_journal_format.scan(&s);
    assert_int_equal(postfix_journal_format.merge(&merged, &s), 0);
    assert_int_equal(s.fact_count, 2);
    testing_put_fact(&facts, &s.facts[1]);
    assert_non_null(strstr(buf_cstr(&facts), "452 4.3.1 \"Insufficient system storage\""));
    assert_int_equal(s.tally.rows, 2);
    postfix_journal_format.free_state(&merged);
    log_scan_done(&s);
    buf_done(&facts);
    buf_done(&log);
}

static void test_it_is_known(void **state)
{
    (void)state;
    assert_ptr_equal(log_format_detect(SLICE_LIT(ENTRY("s=1", "postfix/smtp", REFUSED))),
                     &postfix_journal_format);
    assert_null(log_format_detect(SLICE_LIT(ENTRY("s=1", "sshd", "x"))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_a_value_that_is_no_text),
        cmocka_unit_test(test_it_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
