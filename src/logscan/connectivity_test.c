/*
 * logscan/connectivity_test.c - connections of the connectivity log, however their rows are cut into chunks.
 */
#include "logscan/formats.h"
#include "logscan/scan_testing.h"

#define FIELDS "#Fields: date-time,session,source,Destination,direction,description\r\n"
#define HEAD "#Log-type: Transport Connectivity Log\r\n" FIELDS
#define AT(ms) "2026-03-01T00:00:00." ms "Z,"
#define BEGIN(ms, id, to) AT(ms) id ",SMTP," to ",+,DnsConnectorDelivery x;QueueLength=TQ=1;\r\n"
#define STEP(ms, id, to, text) AT(ms) id ",SMTP," to ",>," text "\r\n"
#define END(ms, id, to, text) AT(ms) id ",SMTP," to ",-," text "\r\n"
#define DNS(ms, id, to)                                                                            \
    STEP(ms, id, to, "\"DNS server returned mx." to ". [198.18.0.7], preference 10\"")

static const struct testing_case cases[] = {
    {HEAD BEGIN("001", "A1", "b.example") DNS("002", "A1", "b.example")
         STEP("003", "A1", "b.example", "Established connection to 198.18.0.7")
             END("004", "A1", "b.example", "Messages: 1 Bytes: 100"),
     "attempt 4 to=@b.example host=mx.b.example ip=198.18.0.7 no-life delivered\n", .rows = 4},
    {HEAD BEGIN("001", "A1", "b.example") DNS("002", "A1", "b.example")
         END("004", "A1", "b.example", "\"Messages: 0 Bytes: 0 (Retry : 452 4.3.1 full, (disk))\""),
     "reply 4 to=@b.example host=mx.b.example ip=198.18.0.7 by=receiver 452 4.3.1 \"full, "
     "(disk)\"\n"
     "attempt 4 to=@b.example host=mx.b.example ip=198.18.0.7 no-life deferred 452 4.3.1 \"full, "
     "(disk)\"\n",
     .rows = 3},
    /* two at a time; one never connects */
    {HEAD BEGIN("001", "A1", "b.example") BEGIN("002", "A2", "c.example")
         DNS("003", "A2", "c.example") DNS("004", "A1", "b.example")
             STEP("005", "A1", "b.example", "Failed connection to 198.18.0.7:25 (No route to host)")
                 END("006", "A2", "c.example", "Messages: 0 Bytes: 0 (Retry : 554 5.7.1 no)") END(
                     "007", "A1", "b.example", "Messages: 0 Bytes: 0 (Retry : Failed to connect)"),
     "reply 6 to=@c.example host=mx.c.example ip=198.18.0.7 by=receiver 554 5.7.1 \"no\"\n"
     "attempt 6 to=@c.example host=mx.c.example ip=198.18.0.7 no-life failed 554 5.7.1 \"no\"\n"
     "reply 7 to=@b.example host=mx.b.example ip=198.18.0.7 phase=connect by=own-client 0 \"No "
     "route "
     "to host\"\n"
     "attempt 7 to=@b.example host=mx.b.example ip=198.18.0.7 phase=connect no-life deferred 0 "
     "\"No "
     "route to host\"\n",
     .rows = 7},
    /* Penstock's: DNS names no host, and the last error is told by itself */
    {HEAD BEGIN("001", "A1", "b.example")
         STEP("002", "A1", "b.example",
              "DNS server returned no error reported by [::1] (MX mx.b.example: 2)")
             STEP("003", "A1", "b.example", "Established connection to 2001:db8::1")
                 END("004", "A1", "b.example", "Messages: 3 Bytes: 9 (Retry : timed out)"),
     "reply 4 to=@b.example ip=2001:db8::1 phase=connect by=own-client 0 \"timed out\"\n"
     "attempt 4 to=@b.example ip=2001:db8::1 phase=connect no-life deferred 0 \"timed out\"\n",
     .rows = 4},
    {HEAD BEGIN("001", "A1", "b.example")
         END("004", "A1", "b.example", "Messages: 0 Bytes: 0 (Retry : Failed to connect)"),
     "reply 4 to=@b.example phase=connect by=own-client 0 \"Failed to connect\"\n"
     "attempt 4 to=@b.example phase=connect no-life deferred 0 \"Failed to connect\"\n",
     .rows = 2},
    /* the last host that DNS told is not the one that was connected to */
    {HEAD BEGIN("001", "A1", "b.example") DNS("002", "A1", "b.example")
         STEP("003", "A1", "b.example", "Established connection to 198.18.0.9")
             END("004", "A1", "b.example", "Messages: 1 Bytes: 100"),
     "attempt 4 to=@b.example ip=198.18.0.9 no-life delivered\n", .rows = 4},
    /* the log begins in a session; an id comes again; what comes behind an end is a session's */
    {HEAD END("001", "A1", "b.example", "Messages: 1 Bytes: 100") BEGIN("002", "A1", "c.example")
         DNS("003", "A1", "c.example") BEGIN("004", "A1", "d.example")
             END("005", "A1", "d.example", "Messages: 1 Bytes: 100") DNS("006", "A1", "e.example")
                 END("007", "A1", "e.example", "Messages: 1 Bytes: 100"),
     "attempt 1 to=@b.example no-life delivered\n"
     "attempt 5 to=@d.example no-life delivered\n"
     "attempt 7 to=@e.example host=mx.e.example ip=198.18.0.7 no-life delivered\n",
     .rows = 7},
    {HEAD END("001", "A1", "", ""), "attempt 1 to=@ no-life delivered\n"},
    {HEAD "yesterday,A1,SMTP,b.example,-,\r\n", "", .skips = 1U << SKIP_TIME},
    {HEAD END("001", "", "b.example", ""), "", .skips = 1U << SKIP_FORM},
    {HEAD END("001", "0123456789012345678901234567890123456789012345678901234567890123456789",
              "b.example", ""),
     "", .skips = 1U << SKIP_FORM},
};

static void reads_connections(void **state)
{
    (void)state;
    testing_cases(&exchange_connectivity_format, TESTING_ALL, cases, ARRAY_SIZE(cases));
}

/* What a run asks for is what it gets. */
static void tells_what_is_wanted(void **state)
{
    static const char log[] =
        HEAD END("001", "A1", "b.example", "Messages: 0 Bytes: 0 (Retry : 421 no)");
    static const struct testing_case reply = {log,
                                              "reply 1 to=@b.example by=receiver 421 - \"no\"\n"};
    static const struct testing_case attempt = {
        log, "attempt 1 to=@b.example no-life deferred 421 - \"no\"\n"};
    static const struct testing_case nothing = {log, ""};

    (void)state;
    testing_expect(&exchange_connectivity_format, WANT_REPLIES, &reply);
    testing_expect(&exchange_connectivity_format, WANT_LIVES, &attempt);
    testing_expect(&exchange_connectivity_format, 0, &nothing);
}

/* A scan that is not merged leaves nothing behind (the address sanitizer looks). */
static void may_be_thrown_away(void **state)
{
    struct log_scan s = {
        .format = &exchange_connectivity_format,
        .bytes = SLICE_LIT(HEAD BEGIN("001", "A1", "b.example") DNS("002", "A2", "c.example")),
        .wants = TESTING_ALL};

    (void)state;
    s.format->scan(&s);
    assert_non_null(s.session_rows);
    log_scan_again(&s);
    assert_null(s.session_rows);
    s.format->scan(&s);
    log_scan_done(&s);
}

static void is_known_by_its_head(void **state)
{
    (void)state;
    assert_true(exchange_connectivity_format.detect(SLICE_LIT(HEAD)) > 0);
    assert_true(exchange_connectivity_format.detect(SLICE_LIT(FIELDS)) > 0);
    assert_int_equal(
        exchange_connectivity_format.detect(SLICE_LIT("#Log-type: SMTP Send Protocol Log\r\n")), 0);
    assert_ptr_equal(log_format_detect(SLICE_LIT(HEAD)), &exchange_connectivity_format);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_connections),
        cmocka_unit_test(tells_what_is_wanted),
        cmocka_unit_test(may_be_thrown_away),
        cmocka_unit_test(is_known_by_its_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
