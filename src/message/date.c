/*
 * message/date.c - the civil calendar by arithmetic.
 *
 * Days are counted in eras of 400 years from 1 March, so that the leap day is the last of a year
 * (the method of Howard Hinnant's "chrono-compatible low-level date algorithms"). gmtime_r() and
 * strftime() would take a lock and the locale.
 */
#include "message/date.h"

#include <string.h>

#define MS_PER_DAY INT64_C(86400000)
#define DAYS_PER_ERA 146097
#define MS_OF_1900 INT64_C(-2208988800000)
#define MS_OF_9999_END INT64_C(253402300799999)

struct civil {
    unsigned year, month, day; /* month 1..12 */
};

/* `days` since 1970-01-01, not before the year 0. */
static struct civil civil_from_days(int64_t days)
{
    unsigned z = (unsigned)(days + 719468); /* since 0000-03-01 */
    unsigned era = z / DAYS_PER_ERA;
    unsigned doe = z % DAYS_PER_ERA;
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153; /* 0 is March */
    struct civil c = {.year = yoe + era * 400, .month = mp < 10 ? mp + 3 : mp - 9};

    c.day = doy - (153 * mp + 2) / 5 + 1;
    c.year += c.month <= 2;
    return c;
}

static char *put_digits(char *p, unsigned value, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; value /= 10)
        p[i] = (char)('0' + value % 10);
    return p + digits;
}

static char *put_word(char *p, const char *word, size_t len)
{
    memcpy(p, word, len);
    return p + len;
}

size_t date_rfc5322(int64_t wall_ms, char ret[static DATE_RFC5322_MAX])
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t ms = MAX_OF(MS_OF_1900, MIN_OF(wall_ms, MS_OF_9999_END));
    int64_t day = (ms - MS_OF_1900) / MS_PER_DAY + MS_OF_1900 / MS_PER_DAY;
    unsigned s = (unsigned)((ms - day * MS_PER_DAY) / 1000);
    unsigned weekday = (unsigned)(((day % 7) + 7) % 7);
    struct civil c = civil_from_days(day);
    char *p = ret;

    p = put_word(p, days + 3 * weekday, 3);
    p = put_word(p, ", ", 2);
    p = put_digits(p, c.day, 2);
    *p++ = ' ';
    p = put_word(p, months + 3 * (c.month - 1), 3);
    *p++ = ' ';
    p = put_digits(p, c.year, 4);
    *p++ = ' ';
    p = put_digits(p, s / 3600, 2);
    *p++ = ':';
    p = put_digits(p, s / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, s % 60, 2);
    p = put_word(p, " +0000", 7); /* with its NUL */
    return (size_t)(p - ret) - 1;
}
