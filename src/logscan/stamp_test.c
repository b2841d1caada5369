/* logscan/stamp_test.c - each form of time, each byte of one wrong, years that are not written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logscan/stamp.h"

#define SUMMER INT64_C(1782892800000) /* 2026-07-01T08:00:00Z */

static const char *utc(int64_t ms)
{
    static char ret[STAMP_TEXT_LEN + 1];

    stamp_text(ms, ret);
    return ret;
}

static void exchange(void **state)
{
    static const struct {
        const char *in;
        bool is_time;
    } cases[] = {
        {"2026-03-01T06:50:41.097Z", true},  {"1970-01-01T00:00:00.000Z", true},
        {"0001-01-01T00:00:00.000Z", true},  {"9999-12-31T23:59:59.999Z", true},
        {"2024-02-29T12:00:00.000Z", true},  {"2000-02-29T12:00:00.000Z", true},
        {"2026-02-29T12:00:00.000Z", false}, {"2100-02-29T12:00:00.000Z", false},
        {"2026-04-31T12:00:00.000Z", false}, {"2026-00-01T12:00:00.000Z", false},
        {"2026-13-01T12:00:00.000Z", false}, {"2026-01-00T12:00:00.000Z", false},
        {"2026-01-01T24:00:00.000Z", false}, {"2026-01-01T12:60:00.000Z", false},
        {"2026-01-01T12:00:61.000Z", false}, {"2026-03-01 06:50:41.097Z", false},
        {"2026-03-01T06:50:41.097z", false}, {"                        ", false},
    };
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool is_time = stamp_exchange((const uint8_t *)cases[i].in, &ms);

        assert_int_equal(is_time, cases[i].is_time);
        if (is_time) {
            char text[STAMP_TEXT_LEN + 1] = {0};

            stamp_text(ms, text);
            text[10] = 'T';
            assert_memory_equal(text, cases[i].in, STAMP_TEXT_LEN);
        }
    }
    assert_true(stamp_exchange((const uint8_t *)"2026-03-01T06:50:41.097Z", &ms));
    assert_int_equal(ms, INT64_C(1772347841097));
}

/* Each place of a stamp takes the digits, or the byte that belongs there, and no other of 256. */
static void exchange_bytes(void **state)
{
    static const char good[] = "2222-12-12T12:22:22.222Z";
    int64_t ms;

    (void)state;
    for (size_t at = 0; at < sizeof(good) - 1; at++)
        for (unsigned c = 0; c < 256; c++) {
            uint8_t text[sizeof(good)];
            bool is_good = c == (uint8_t)good[at];

            memcpy(text, good, sizeof(good));
            text[at] = (uint8_t)c;
            if (byte_is_digit((uint8_t)good[at]) && byte_is_digit((uint8_t)c))
                continue;
            assert_int_equal(stamp_exchange(text, &ms), is_good);
        }
}

static void iso(void **state)
{
    static const struct {
        const char *in;
        size_t len; /* 0: not a time */
        const char *want;
    } cases[] = {
        {"2026-03-01T06:50:41.097Z,x", 24, "2026-03-01 06:50:41.097"},
        {"2026-03-01 06:50:41", 19, "2026-03-01 06:50:41.000"},
        {"2026-03-01 06:50:41 text", 19, "2026-03-01 06:50:41.000"},
        {"2026-03-01T08:34:46.123456+00:00 mx1", 32, "2026-03-01 08:34:46.123"},
        {"2026-03-01T08:34:46.123456789+02:00", 35, "2026-03-01 06:34:46.123"},
        {"2026-03-01T08:34:46-0530", 24, "2026-03-01 14:04:46.000"},
        {"2026-03-01 08:34:46.5 +0100 id", 27, "2026-03-01 07:34:46.500"},
        {"2026-03-01 08:34:46,25", 22, "2026-03-01 08:34:46.250"},
        {"2026-03-01 08:34:46 -x", 19, "2026-03-01 08:34:46.000"},
        {"2026-03-01 08:34:46 +01", 19, "2026-03-01 08:34:46.000"},
        {"2026-03-01 08:34:46. x", 19, "2026-03-01 08:34:46.000"},
        {"2026-03-01_08:34:46", 0, NULL},
        {"2026-03-01 08:34:4", 0, NULL},
        {"2026-02-30 08:34:46", 0, NULL},
        {"", 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t ms = 0;

        assert_int_equal(stamp_iso(slice_str(cases[i].in), &ms), cases[i].len);
        if (cases[i].len > 0)
            assert_string_equal(utc(ms), cases[i].want);
    }
}

static void syslog_years(void **state)
{
    static const struct {
        const char *in;
        int year, month; /* of the line before */
        const char *want;
    } cases[] = {
        {"Mar  1 08:34:46 mx1", 2026, 3, "2026-03-01 08:34:46.000"},
        {"Mar 11 08:34:46 mx1", 2026, 0, "2026-03-11 08:34:46.000"},
        {"Mar 1 08:34:46 mx1", 2026, 3, "2026-03-01 08:34:46.000"},
        {"Jan  1 00:00:00", 2025, 12, "2026-01-01 00:00:00.000"},
        {"Dec 31 23:59:59", 2026, 1, "2025-12-31 23:59:59.000"},
        {"Feb 28 23:59:59", 2026, 3, "2026-02-28 23:59:59.000"},
        {"Jan  1 00:00:00", 2025, 7, "2026-01-01 00:00:00.000"},
        {"Jul  1 00:00:00", 2025, 1, "2025-07-01 00:00:00.000"},
        {"Feb 29 12:00:00", 2024, 2, "2024-02-29 12:00:00.000"},
        {"Feb 29 12:00:00", 2026, 2, NULL},
        {"Mar  1 08:34:46", 0, 0, NULL},
        {"Mrz  1 08:34:46", 2026, 3, NULL},
        {"Mar  1 08:34", 2026, 3, NULL},
        {"Mar 41 08:34:46", 2026, 3, NULL},
        {"Mar  0 08:34:46", 2026, 3, NULL},
        {"Mar  1T08:34:46", 2026, 3, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct log_carry carry = {.year = (int16_t)cases[i].year, .month = (int16_t)cases[i].month};
        const struct log_carry before = carry;
        int64_t ms = 0;
        size_t len = stamp_syslog(slice_str(cases[i].in), &carry, &ms);

        assert_int_equal(len > 0, cases[i].want != NULL);
        if (cases[i].want) {
            assert_string_equal(utc(ms), cases[i].want);
            assert_int_equal(carry.year, atoi(cases[i].want));
            assert_int_equal(carry.month, atoi(cases[i].want + 5));
        } else {
            assert_true(log_carry_eq(&carry, &before));
        }
    }
}

static void first_year(void **state)
{
    static const struct {
        const char *head;
        int want;
    } cases[] = {
        {"Mar  1 08:34:46 mx1 x\n", 2026},
        {"Jul  1 07:59:59 mx1 x\n", 2026},
        {"Jul  1 08:00:01 mx1 x\n", 2025},
        {"Dec 31 08:00:01 mx1 x\n", 2025},
        {"Feb 29 08:00:01 mx1 x\n", 2024},
        {"\n\0garbage\n<22>Dec 31 08:00:01 mx1\n", 0},
        {"garbage\n<22>Dec 31 08:00:01 mx1\nJan  1 00:00:00\n", 2025},
        {"<", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(stamp_first_year(slice_str(cases[i].head), SUMMER), cases[i].want);
}

static void zones(void **state)
{
    int64_t ms;
    char day[STAMP_DAY_LEN + 1] = {0};

    (void)state;
    assert_int_equal(stamp_zone("+05:30"), 0);
    assert_string_equal(stamp_zone_name(), "+05:30");
    assert_int_equal(stamp_zone_offset_ms(SUMMER), 330 * 60000);
    assert_string_equal(utc(SUMMER), "2026-07-01 13:30:00.000");
    assert_int_equal(stamp_iso(SLICE_LIT("2026-07-01 13:30:00"), &ms), 19);
    assert_int_equal(ms, SUMMER);
    stamp_day(SUMMER + 11 * 3600000, day);
    assert_string_equal(day, "2026-07-02");
    assert_int_equal(stamp_zone("-0330"), 0);
    assert_int_equal(stamp_zone_offset_ms(SUMMER), -210 * 60000);
    assert_int_equal(stamp_zone("Nowhere/City"), -EINVAL);
    assert_int_equal(stamp_zone("../../../etc/passwd"), -EINVAL);
    assert_int_equal(stamp_zone("/etc/passwd"), -EINVAL);
    assert_int_equal(stamp_zone(""), -EINVAL);
    assert_string_equal(stamp_zone_name(), "-0330");
    assert_int_equal(stamp_zone("UTC"), 0);
    assert_int_equal(stamp_zone_offset_ms(SUMMER), 0);
}

/* The hour that summer time leaves out and the one it has twice, with all neighbours. */
static void summer_time(void **state)
{
    static const struct {
        const char *local;
        int64_t utc;
    } cases[] = {
        {"2026-03-29 01:59:59", INT64_C(1774745999000)},
        {"2026-03-29 03:00:00", INT64_C(1774746000000)},
        {"2026-10-25 01:59:59", INT64_C(1792886399000)},
        {"2026-10-25 03:00:00", INT64_C(1792893600000)},
        {"2026-07-01 10:00:00", SUMMER},
    };
    int64_t ms;

    (void)state;
    if (stamp_zone("Europe/Berlin") < 0) {
        print_message("no time zones on this machine\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[STAMP_TEXT_LEN];

        assert_int_equal(stamp_iso(slice_str(cases[i].local), &ms), 19);
        assert_int_equal(ms, cases[i].utc);
        stamp_text(ms, text);
        assert_memory_equal(text, cases[i].local, 19);
    }
    assert_int_equal(stamp_zone("UTC"), 0);
}

static void far_times(void **state)
{
    (void)state;
    assert_string_equal(utc(INT64_MAX), "9999-12-31 23:59:59.999");
    assert_string_equal(utc(INT64_MIN), "0000-01-01 00:00:00.000");
    assert_string_equal(utc(-1), "1969-12-31 23:59:59.999");
}

static int set_utc(void **state)
{
    (void)state;
    return stamp_zone("UTC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchange),     cmocka_unit_test(exchange_bytes), cmocka_unit_test(iso),
        cmocka_unit_test(syslog_years), cmocka_unit_test(first_year),     cmocka_unit_test(zones),
        cmocka_unit_test(summer_time),  cmocka_unit_test(far_times),
    };

    return cmocka_run_group_tests_name("stamp", tests, set_utc, NULL);
}
