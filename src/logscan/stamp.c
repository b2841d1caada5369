/*
 * logscan/stamp.c - stamps by arithmetic; the zone by the C library, asked once for each quarter of an
 * hour that a thread meets.
 *
 * Days are counted in eras of 400 years from 1 March, so that the leap day is the last of a year (the
 * method of Howard Hinnant's "chrono-compatible low-level date algorithms").
 */
#include "logscan/stamp.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MS_PER_S 1000
#define MS_PER_MINUTE (60 * MS_PER_S)
#define MS_PER_DAY INT64_C(86400000)
#define DAYS_PER_ERA 146097
#define DAYS_TO_1970 719468                 /* from 0000-03-01 */
#define MS_OF_0000 INT64_C(-62167219200000) /* 0000-01-01 */
#define MS_OF_9999_END INT64_C(253402300799999)
/* Zones change their offset at whole quarters of an hour UTC. */
#define OFFSET_PERIOD_MS (15 * MS_PER_MINUTE)
#define ZONE_NAME_MAX 64
#define ISO_LEN 19         /* 2026-03-01T06:50:41 */
#define SYSLOG_LEN 15      /* Mar  1 08:34:46 */
#define LEAP_YEARS_APART 8 /* at most */

struct civil {
    unsigned year, month, day; /* month 1 to 12 */
    unsigned hour, minute, second;
};

/* ---- the calendar ---- */

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool is_civil(const struct civil *c)
{
    static const uint8_t days[16] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned last = days[c->month & 15];

    if (c->month == 2 && c->day == 29)
        last = is_leap(c->year) ? 29 : 28;
    return (c->month <= 12) & (c->day - 1 < last) & (c->hour <= 23) & (c->minute <= 59) &
           (c->second <= 60);
}

static int64_t civil_ms(const struct civil *c)
{
    unsigned year = c->year + 400 - (c->month <= 2); /* never negative */
    unsigned era = year / 400, yoe = year % 400;
    unsigned doy = (153 * (c->month > 2 ? c->month - 3 : c->month + 9) + 2) / 5 + c->day - 1;
    int64_t days = (int64_t)era * DAYS_PER_ERA + yoe * 365 + yoe / 4 - yoe / 100 + doy -
                   DAYS_PER_ERA - DAYS_TO_1970;

    return days * MS_PER_DAY + (int64_t)((c->hour * 60 + c->minute) * 60 + c->second) * MS_PER_S;
}

/* Of the years 0 to 9999: what is outside has the nearest of them. */
static struct civil civil_of(int64_t ms, unsigned *ret_ms)
{
    int64_t since = MAX_OF(MS_OF_0000, MIN_OF(ms, MS_OF_9999_END)) - MS_OF_0000;
    unsigned z = (unsigned)(since / MS_PER_DAY) + DAYS_PER_ERA - 60; /* since -0400-03-01 */
    unsigned era = z / DAYS_PER_ERA, doe = z % DAYS_PER_ERA;
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153; /* 0 is March */
    unsigned rest = (unsigned)(since % MS_PER_DAY);
    struct civil c = {.month = mp < 10 ? mp + 3 : mp - 9, .day = doy - (153 * mp + 2) / 5 + 1};

    c.year = yoe + era * 400 - 400 + (c.month <= 2);
    *ret_ms = rest % MS_PER_S;
    c.second = rest / MS_PER_S % 60;
    c.minute = rest / MS_PER_MINUTE % 60;
    c.hour = rest / (60 * MS_PER_MINUTE);
    return c;
}

/* ---- the zone ---- */

static struct {
    char name[ZONE_NAME_MAX];
    bool is_utc;
    unsigned generation; /* changes with the zone, so that no thread keeps the offsets of another */
} zone = {.name = "local time", .generation = 1};

/* "+01:00", "-0500": as TZ wants it, which counts the other way round. */
static bool fixed_zone(struct slice name, char *ret, size_t size)
{
    const uint8_t *p = name.ptr;
    size_t minutes = name.len - 2;

    if ((name.len != 5 && name.len != 6) || (p[0] != '+' && p[0] != '-') ||
        (name.len == 6 && p[3] != ':'))
        return false;
    if (!byte_is_digit(p[1]) || !byte_is_digit(p[2]) || !byte_is_digit(p[minutes]) ||
        !byte_is_digit(p[minutes + 1]) || p[1] > '1' || p[minutes] > '5')
        return false;
    (void)snprintf(ret, size, "<%c%c%c%c%c>%c%c%c:%c%c", p[0], p[1], p[2], p[minutes],
                   p[minutes + 1], p[0] == '+' ? '-' : '+', p[1], p[2], p[minutes], p[minutes + 1]);
    return true;
}

static bool has_zone_file(const char *name)
{
    const char *folder = getenv("TZDIR");
    char path[4096];
    int n;

    if (name[0] == '/' || strstr(name, ".."))
        return false;
    n = snprintf(path, sizeof(path), "%s/%s", folder ? folder : "/usr/share/zoneinfo", name);
    return n > 0 && (size_t)n < sizeof(path) && access(path, R_OK) == 0;
}

int stamp_zone(const char *name)
{
    char value[ZONE_NAME_MAX];
    bool is_utc = name && (strcmp(name, "UTC") == 0 || strcmp(name, "Z") == 0);

    if (name) {
        if (name[0] == '\0' || strlen(name) >= sizeof(value))
            return -EINVAL;
        (void)snprintf(value, sizeof(value), "%s", is_utc ? "UTC0" : name);
        if (!is_utc && !fixed_zone(slice_str(name), value, sizeof(value)) && !has_zone_file(name))
            return -EINVAL;
        if (setenv("TZ", value, 1) < 0)
            return -ENOMEM;
    }
    tzset();
    (void)snprintf(zone.name, sizeof(zone.name), "%s", name ? name : "local time");
    zone.is_utc = is_utc;
    zone.generation++;
    return 0;
}

const char *stamp_zone_name(void)
{
    return zone.name;
}

static int64_t floor_to(int64_t ms, int64_t period)
{
    int64_t rest = ms % period;

    return ms - (rest < 0 ? rest + period : rest);
}

int64_t stamp_zone_offset_ms(int64_t at_ms)
{
    static _Thread_local struct {
        int64_t begin_ms, offset_ms;
        unsigned generation; /* 0: nothing is known */
    } seen;
    struct tm tm;
    time_t s;

    if (zone.is_utc)
        return 0;
    if (seen.generation == zone.generation && at_ms >= seen.begin_ms &&
        at_ms - seen.begin_ms < OFFSET_PERIOD_MS)
        return seen.offset_ms;
    seen.begin_ms = floor_to(MAX_OF(MS_OF_0000, MIN_OF(at_ms, MS_OF_9999_END)), OFFSET_PERIOD_MS);
    seen.generation = zone.generation;
    s = (time_t)(seen.begin_ms / MS_PER_S);
    seen.offset_ms = localtime_r(&s, &tm) ? (int64_t)tm.tm_gmtoff * MS_PER_S : 0;
    return seen.offset_ms;
}

/* An hour that comes twice is taken as either; one that is left out, as the clock before shows it. */
static int64_t utc_of_local(int64_t local_ms)
{
    int64_t guess;

    if (zone.is_utc)
        return local_ms;
    guess = local_ms - stamp_zone_offset_ms(local_ms);
    return local_ms - stamp_zone_offset_ms(guess);
}

/* Of the zone. */
static struct civil local_of(int64_t at_ms, unsigned *ret_ms)
{
    int64_t ms = MAX_OF(MS_OF_0000, MIN_OF(at_ms, MS_OF_9999_END));

    return civil_of(ms + stamp_zone_offset_ms(ms), ret_ms);
}

/* ---- reading ---- */

/* The form of eight bytes: '0' where a digit belongs, else the byte that must stand there. */
struct form {
    uint64_t bytes;  /* the first is the lowest */
    uint64_t digits; /* 0xff where a digit belongs */
};
#define BYTE_AT(byte, i) ((uint64_t)(uint8_t)(byte) << (8 * (i)))
#define EIGHT(of, s)                                                                               \
    (of((s)[0], 0) | of((s)[1], 1) | of((s)[2], 2) | of((s)[3], 3) | of((s)[4], 4) |               \
     of((s)[5], 5) | of((s)[6], 6) | of((s)[7], 7))
#define DIGIT_AT(c, i) BYTE_AT((c) == '0' ? 0xff : 0, i)
#define FORM(s) ((struct form){.bytes = EIGHT(BYTE_AT, s), .digits = EIGHT(DIGIT_AT, s)})
#define REPEAT(byte) (UINT64_C(0x0101010101010101) * (byte))

/*
 * Leaves the digits' values, 0 elsewhere, and adds a high bit to `*wrong` for each byte that is not as
 * it should be: a digit over 9 meets it with 0x76 added, another byte that is not 0 with 0x7f.
 */
static inline uint64_t take_form(const uint8_t *text, struct form f, uint64_t *wrong)
{
    uint64_t value;

    memcpy(&value, text, sizeof(value));
    value = le64toh(value) ^ f.bytes;
    *wrong |= ((value & ~REPEAT(0x80)) + ((REPEAT(0x76) & f.digits) | (REPEAT(0x7f) & ~f.digits))) |
              value;
    return value;
}

/* Two digits at byte `at` of what take_form() left. */
static inline unsigned two(uint64_t value, unsigned at)
{
    return (unsigned)(value >> (8 * at) & 0xff) * 10 + (unsigned)(value >> (8 * at + 8) & 0xff);
}

bool stamp_exchange(const uint8_t text[static STAMP_EXCHANGE_LEN], int64_t *ret_ms)
{
    uint64_t wrong = 0, date, time, rest;
    struct civil c;

    date = take_form(text, FORM("0000-00-"), &wrong);
    time = take_form(text + 8, FORM("00T00:00"), &wrong);
    rest = take_form(text + 16, FORM(":00.000Z"), &wrong);
    c = (struct civil){.year = two(date, 0) * 100 + two(date, 2),
                       .month = two(date, 5),
                       .day = two(time, 0),
                       .hour = two(time, 3),
                       .minute = two(time, 6),
                       .second = two(rest, 1)};
    if ((wrong & REPEAT(0x80)) != 0 || !is_civil(&c))
        return false;
    *ret_ms = civil_ms(&c) + two(rest, 4) * 10 + (int64_t)(rest >> 48 & 0xff);
    return true;
}

/* ".097": the bytes it took, 0: there is none. Digits after the third are passed over. */
static size_t take_fraction(struct slice text, int64_t *ret_ms)
{
    int64_t ms = 0, unit = 100;
    size_t at = 1;

    if (text.len < 2 || (text.ptr[0] != '.' && text.ptr[0] != ',') || !byte_is_digit(text.ptr[1]))
        return 0;
    for (; at < text.len && at <= 9 && byte_is_digit(text.ptr[at]); at++) {
        ms += unit * (text.ptr[at] - '0');
        unit /= 10;
    }
    *ret_ms = ms;
    return at;
}

/* "Z", "+01:00", "+0100", " +0100": the bytes it took, 0: there is none. */
static size_t take_zone(struct slice text, int64_t *ret_ms)
{
    const uint8_t *p = text.ptr;
    size_t at = text.len > 0 && p[0] == ' ', minutes;
    int64_t offset;

    if (text.len > 0 && (p[0] == 'Z' || p[0] == 'z')) {
        *ret_ms = 0;
        return 1;
    }
    if (text.len < at + 5 || (p[at] != '+' && p[at] != '-'))
        return 0;
    minutes = at + 3 + (p[at + 3] == ':');
    if (text.len < minutes + 2 || !byte_is_digit(p[at + 1]) || !byte_is_digit(p[at + 2]) ||
        !byte_is_digit(p[minutes]) || !byte_is_digit(p[minutes + 1]))
        return 0;
    offset = (p[at + 1] - '0') * 600 + (p[at + 2] - '0') * 60 + (p[minutes] - '0') * 10 +
             (p[minutes + 1] - '0');
    *ret_ms = (p[at] == '-' ? -offset : offset) * MS_PER_MINUTE;
    return minutes + 2;
}

size_t stamp_iso(struct slice text, int64_t *ret_ms)
{
    uint64_t wrong = 0, date, day, time;
    int64_t ms, fraction = 0, offset;
    size_t at = ISO_LEN, zone_len;
    struct civil c;

    if (text.len < ISO_LEN)
        return 0;
    date = take_form(text.ptr, FORM("0000-00-"), &wrong);
    day =
        take_form(text.ptr + 8, text.ptr[10] == ' ' ? FORM("00 00:00") : FORM("00T00:00"), &wrong);
    time = take_form(text.ptr + 11, FORM("00:00:00"), &wrong);
    c = (struct civil){.year = two(date, 0) * 100 + two(date, 2),
                       .month = two(date, 5),
                       .day = two(day, 0),
                       .hour = two(time, 0),
                       .minute = two(time, 3),
                       .second = two(time, 6)};
    if ((wrong & REPEAT(0x80)) != 0 || !is_civil(&c))
        return 0;
    at += take_fraction(slice_from(text, at), &fraction);
    ms = civil_ms(&c) + fraction;
    zone_len = take_zone(slice_from(text, at), &offset);
    *ret_ms = zone_len > 0 ? ms - offset : utc_of_local(ms);
    return at + zone_len;
}

/* 1 to 12; 0: no month's name. */
static unsigned month_of(const uint8_t *p)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (unsigned i = 0; i < 12; i++)
        if (memcmp(names + (size_t)3 * i, p, 3) == 0)
            return i + 1;
    return 0;
}

/* All but the year. The bytes it took; 0: there is no such stamp. A day of one digit stands after two
 * blanks, as RFC 3164 says, or after one. */
static size_t take_syslog(struct slice text, struct civil *ret)
{
    const uint8_t *p = text.ptr;
    uint64_t wrong = 0, time;
    unsigned tens, ones;
    size_t blank; /* after the day */

    if (text.len < SYSLOG_LEN - 1 || p[3] != ' ')
        return 0;
    blank = p[5] == ' ' ? 5 : 6;
    if (text.len < blank + 9 || p[blank] != ' ')
        return 0;
    tens = blank == 6 && p[4] != ' ' ? (unsigned)p[4] - '0' : 0;
    ones = (unsigned)p[blank - 1] - '0';
    time = take_form(p + blank + 1, FORM("00:00:00"), &wrong);
    if ((wrong & REPEAT(0x80)) != 0 || tens > 3 || ones > 9)
        return 0;
    *ret = (struct civil){.month = month_of(p),
                          .day = tens * 10 + ones,
                          .hour = two(time, 0),
                          .minute = two(time, 3),
                          .second = two(time, 6)};
    return blank + 9;
}

size_t stamp_syslog(struct slice text, struct log_carry *carry, int64_t *ret_ms)
{
    struct civil c;
    size_t len = take_syslog(text, &c);
    int year = carry->year, ahead;

    if (len == 0 || year == 0)
        return 0;
    ahead = carry->month == 0 ? 0 : (int)c.month - carry->month;
    year += (ahead <= -6) - (ahead > 6);
    if (year < 1 || year > 9999)
        return 0;
    c.year = (unsigned)year;
    if (!is_civil(&c))
        return 0;
    carry->year = (int16_t)year;
    carry->month = (int16_t)c.month;
    *ret_ms = utc_of_local(civil_ms(&c));
    return len;
}

/* Where the first stamp of the text's lines is; the empty slice: nowhere. The time may stand after a
 * priority, "<22>Mar  1 ...". */
static struct slice first_stamp(struct slice head, struct civil *ret)
{
    while (head.len > 0) {
        ptrdiff_t end = slice_find(head, '\n');
        struct slice line = slice_sub(head, 0, end < 0 ? head.len : (size_t)end);

        if (line.len > 0 && line.ptr[0] == '<')
            line = slice_from(line, (size_t)(slice_find(line, '>') + 1));
        if (take_syslog(line, ret) > 0 && ret->month > 0)
            return line;
        head = slice_from(head, end < 0 ? head.len : (size_t)end + 1);
    }
    return slice_make(NULL, 0);
}

int stamp_first_year(struct slice head, int64_t changed_ms)
{
    unsigned ignored;
    struct civil changed = local_of(changed_ms, &ignored);
    struct civil c;

    if (first_stamp(head, &c).len == 0)
        return 0;
    for (unsigned back = 0; back <= LEAP_YEARS_APART && back < changed.year; back++) {
        c.year = changed.year - back;
        if (is_civil(&c) && utc_of_local(civil_ms(&c)) <= changed_ms)
            return (int)c.year;
    }
    return 0;
}

/* ---- writing ---- */

static void put(char *to, unsigned value, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; value /= 10)
        to[i] = (char)('0' + value % 10);
}

static void put_date(char *to, const struct civil *c)
{
    memcpy(to, "0000-00-00", STAMP_DAY_LEN);
    put(to, c->year, 4);
    put(to + 5, c->month, 2);
    put(to + 8, c->day, 2);
}

static void put_time(char *to, const struct civil *c, unsigned ms)
{
    memcpy(to, "00:00:00.000", 12);
    put(to, c->hour, 2);
    put(to + 3, c->minute, 2);
    put(to + 6, c->second, 2);
    put(to + 9, ms, 3);
}

void stamp_day(int64_t at_ms, char ret[static STAMP_DAY_LEN])
{
    unsigned ignored;
    struct civil c = local_of(at_ms, &ignored);

    put_date(ret, &c);
}

void stamp_text(int64_t at_ms, char ret[static STAMP_TEXT_LEN])
{
    unsigned ms;
    struct civil c = local_of(at_ms, &ms);

    put_date(ret, &c);
    ret[10] = ' ';
    put_time(ret + 11, &c, ms);
}

void stamp_exchange_text(int64_t at_ms, char ret[static STAMP_EXCHANGE_LEN])
{
    unsigned ms;
    struct civil c = civil_of(at_ms, &ms);

    put_date(ret, &c);
    ret[10] = 'T';
    put_time(ret + 11, &c, ms);
    ret[23] = 'Z';
}

struct slice stamp_exchange_slice(int64_t at_ms, struct arena *a)
{
    char *text = arena_take(a, STAMP_EXCHANGE_LEN);

    if (!text)
        return slice_make(NULL, 0);
    stamp_exchange_text(at_ms, text);
    return slice_make(text, STAMP_EXCHANGE_LEN);
}
