/*
 * logscan/logparser_stamp.c - a stamp's parts, and a format's letters one run after the other.
 */
#include "logscan/logparser_stamp.h"

#include <stdio.h>
#include <string.h>

#define MS_A_DAY 86400000

struct parts {
    int64_t year, month, day, hour, minute, second, nanos;
};

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};

/* ---- calendar: proleptic Gregorian, days from 0000-01-01 ---- */

static bool is_leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int64_t month_days(int64_t year, int64_t month)
{
    static const int8_t n[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return n[month - 1] + (month == 2 && is_leap(year));
}

static int64_t days_before_year(int64_t y)
{
    return y == 0 ? 0 : 365 * y + (y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400 + 1;
}

static int64_t to_days(const struct parts *p)
{
    int64_t n = days_before_year(p->year) + p->day - 1;

    for (int64_t m = 1; m < p->month; m++)
        n += month_days(p->year, m);
    return n;
}

static void to_parts(int64_t ms, struct parts *p)
{
    int64_t day = ms / MS_A_DAY, left = ms % MS_A_DAY;
    int64_t year = day / 366; /* at most one too small in 1500 years: stepped below */

    while (days_before_year(year + 1) <= day)
        year++;
    day -= days_before_year(year);
    p->year = year;
    for (p->month = 1; day >= month_days(year, p->month); p->month++)
        day -= month_days(year, p->month);
    p->day = day + 1;
    p->hour = left / 3600000;
    p->minute = left / 60000 % 60;
    p->second = left / 1000 % 60;
    p->nanos = left % 1000 * 1000000;
}

static bool is_valid(const struct parts *p)
{
    return p->year >= 0 && p->year <= 9999 && p->month >= 1 && p->month <= 12 && p->day >= 1 &&
           p->day <= month_days(p->year, p->month) && p->hour <= 23 && p->minute <= 59 &&
           p->second <= 59;
}

static bool from_parts(const struct parts *p, struct lp_stamp *ret)
{
    if (!is_valid(p))
        return false;
    ret->ms = ((to_days(p) * 24 + p->hour) * 60 + p->minute) * 60000 + p->second * 1000 +
              p->nanos / 1000000;
    return true;
}

/* ---- values ---- */

/* `min` to `max` digits; false: fewer. */
static bool take_number(struct slice *s, size_t min, size_t max, int64_t *ret)
{
    size_t n = 0;

    *ret = 0;
    while (n < max && n < s->len && byte_is_digit(s->ptr[n]))
        *ret = *ret * 10 + (s->ptr[n++] - '0');
    *s = slice_from(*s, n);
    return n >= min;
}

static bool take_byte(struct slice *s, char c)
{
    if (s->len == 0 || s->ptr[0] != (uint8_t)c)
        return false;
    *s = slice_from(*s, 1);
    return true;
}

static bool take_fraction(struct slice *s, int64_t *ret_nanos)
{
    int64_t value = 0;
    size_t n = 0;

    for (; n < s->len && byte_is_digit(s->ptr[n]); n++)
        value = n < 9 ? value * 10 + (s->ptr[n] - '0') : value;
    *s = slice_from(*s, n);
    for (size_t i = n; i < 9; i++)
        value *= 10;
    *ret_nanos = value;
    return n > 0;
}

static bool take_clock(struct slice *s, struct parts *p)
{
    if (!take_number(s, 2, 2, &p->hour) || !take_byte(s, ':') || !take_number(s, 2, 2, &p->minute))
        return false;
    if (take_byte(s, ':') && !take_number(s, 2, 2, &p->second))
        return false;
    return !take_byte(s, '.') || take_fraction(s, &p->nanos);
}

/* "Z", "+01:00", "+0100" or nothing, after a clock. */
static bool take_offset(struct slice *s, int64_t *ret_ms)
{
    int64_t hours, minutes, sign;

    *ret_ms = 0;
    if (s->len == 0 || take_byte(s, 'Z'))
        return true;
    (void)take_byte(s, ' ');
    sign = take_byte(s, '-') ? -1 : take_byte(s, '+') ? 1 : 0;
    if (sign == 0 || !take_number(s, 2, 2, &hours))
        return false;
    (void)take_byte(s, ':');
    if (!take_number(s, 2, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_ms = sign * (hours * 60 + minutes) * 60000;
    return true;
}

bool lp_stamp_read(struct slice text, struct lp_stamp *ret)
{
    struct parts p = {.month = 1, .day = 1};
    struct slice s = text;
    struct lp_stamp stamp = {0};
    int64_t offset = 0;

    stamp.has_date = s.len >= 10 && s.ptr[4] == '-';
    if (stamp.has_date &&
        (!take_number(&s, 4, 4, &p.year) || !take_byte(&s, '-') ||
         !take_number(&s, 2, 2, &p.month) || !take_byte(&s, '-') || !take_number(&s, 2, 2, &p.day)))
        return false;
    stamp.has_time = !stamp.has_date || take_byte(&s, ' ') || take_byte(&s, 'T');
    if (stamp.has_time && (!take_clock(&s, &p) || !take_offset(&s, &offset)))
        return false;
    if (s.len > 0 || !from_parts(&p, &stamp) || stamp.ms < offset)
        return false;
    stamp.ms -= offset;
    *ret = stamp;
    return true;
}

size_t lp_stamp_write(const struct lp_stamp *s, char ret[static LP_STAMP_TEXT_MAX])
{
    struct parts p;
    int n = 0;

    to_parts(s->ms, &p);
    if (s->has_date)
        n = snprintf(ret, LP_STAMP_TEXT_MAX, "%04d-%02d-%02d%s", (int)p.year, (int)p.month,
                     (int)p.day, s->has_time ? " " : "");
    if (s->has_time)
        n += snprintf(ret + n, (size_t)(LP_STAMP_TEXT_MAX - n), "%02d:%02d:%02d", (int)p.hour,
                      (int)p.minute, (int)p.second);
    if (s->has_time && p.nanos > 0)
        n += snprintf(ret + n, (size_t)(LP_STAMP_TEXT_MAX - n), ".%03d", (int)(p.nanos / 1000000));
    return (size_t)n;
}

/* ---- formats ---- */

struct run { /* of one letter */
    uint8_t letter;
    size_t count;
};

static struct run take_run(struct slice *format)
{
    struct run r = {format->ptr[0], 1};

    if (memchr("yMdhHmslnt", r.letter, 10))
        while (r.count < format->len && format->ptr[r.count] == r.letter)
            r.count++;
    if (r.letter == 'H')
        r.letter = 'h';
    *format = slice_from(*format, r.count);
    return r;
}

static bool has_half_days(struct slice format)
{
    return slice_find_slice(format, SLICE_LIT("tt")) >= 0;
}

static bool is_date_letter(uint8_t c)
{
    return c == 'y' || c == 'M' || c == 'd';
}

/* What the format has in it. */
static void note_kind(const struct run *r, struct lp_stamp *s)
{
    if (is_date_letter(r->letter))
        s->has_date = true;
    else if (memchr("hmslnt", r->letter, 6))
        s->has_time = true;
}

/* '...' stands for what is in it: its length with the quotes, 0 where there is none. */
static size_t literal_len(struct slice format)
{
    ptrdiff_t end;

    if (format.len < 2 || format.ptr[0] != '\'')
        return 0;
    end = slice_find(slice_from(format, 1), '\'');
    return end < 0 ? 0 : (size_t)end + 2;
}

/* A name, or its first three letters. */
static bool take_name(struct slice *s, const char *const *names, size_t count, bool is_long,
                      int64_t *ret)
{
    for (size_t i = 0; i < count; i++) {
        struct slice name = slice_str(names[i]);

        if (!is_long)
            name.len = 3;
        if (slice_has_prefix_case(*s, name)) {
            *s = slice_from(*s, name.len);
            *ret = (int64_t)i + 1;
            return true;
        }
    }
    return false;
}

static bool take_half_day(struct slice *s, int64_t *ret)
{
    static const char *const halves[] = {"AM", "PM"};

    for (int i = 0; i < 2; i++) {
        if (slice_has_prefix_case(*s, slice_str(halves[i]))) {
            *s = slice_from(*s, 2);
            *ret = i + 1;
            return true;
        }
    }
    return false;
}

static bool take_year(struct slice *s, size_t letters, int64_t *ret)
{
    if (!take_number(s, letters == 2 ? 2 : 1, letters == 2 ? 2 : 4, ret))
        return false;
    if (letters == 2)
        *ret += *ret < 70 ? 2000 : 1900;
    return true;
}

static bool take_part(struct slice *s, const struct run *r, struct parts *p, int64_t *half)
{
    int64_t ignored;
    size_t min = r->count == 2 ? 2 : 1;

    switch (r->letter) {
    case 'y':
        return take_year(s, r->count, &p->year);
    case 'M':
        return r->count < 3 ? take_number(s, min, 2, &p->month)
                            : take_name(s, months, 12, r->count > 3, &p->month);
    case 'd':
        return r->count < 3 ? take_number(s, min, 2, &p->day)
                            : take_name(s, days, 7, r->count > 3, &ignored);
    case 'h':
        return take_number(s, min, 2, &p->hour);
    case 'm':
        return take_number(s, min, 2, &p->minute);
    case 's':
        return take_number(s, min, 2, &p->second);
    case 'l':
    case 'n':
        return take_fraction(s, &p->nanos);
    case 't':
        return take_half_day(s, half);
    case '?':
        *s = slice_from(*s, 1);
        return true;
    default:
        return take_byte(s, (char)r->letter);
    }
}

bool lp_stamp_parse(struct slice text, struct slice format, struct lp_stamp *ret)
{
    struct parts p = {.month = 1, .day = 1};
    struct lp_stamp stamp = {0};
    int64_t half = 0;

    while (format.len > 0) {
        size_t literal = literal_len(format);
        struct run r;

        if (literal > 0) {
            if (!slice_has_prefix(text, slice_sub(format, 1, literal - 2)))
                return false;
            text = slice_from(text, literal - 2);
            format = slice_from(format, literal);
            continue;
        }
        r = take_run(&format);
        note_kind(&r, &stamp);
        if (text.len == 0 || !take_part(&text, &r, &p, &half))
            return false;
    }
    if (half > 0 && (p.hour < 1 || p.hour > 12))
        return false;
    if (half > 0)
        p.hour = p.hour % 12 + (half == 2 ? 12 : 0);
    if (text.len > 0 || (!stamp.has_date && !stamp.has_time) || !from_parts(&p, &stamp))
        return false;
    *ret = stamp;
    return true;
}

static const char *day_name(int64_t ms)
{
    return days[(ms / MS_A_DAY + 6) % 7]; /* 0000-01-01 was a Saturday */
}

static int write_part(char *to, size_t room, const struct run *r, const struct parts *p, int64_t ms,
                      bool is_half)
{
    int width = (int)MIN_OF(r->count, (size_t)9), name = r->count == 3 ? 3 : 16;
    int hour = is_half ? (int)((p->hour + 11) % 12 + 1) : (int)p->hour;

    switch (r->letter) {
    case 'y':
        return snprintf(to, room, "%0*d", width,
                        r->count < 4 ? (int)(p->year % (r->count == 1   ? 10
                                                        : r->count == 2 ? 100
                                                                        : 1000))
                                     : (int)p->year);
    case 'M':
        return r->count < 3 ? snprintf(to, room, "%0*d", width, (int)p->month)
                            : snprintf(to, room, "%.*s", name, months[p->month - 1]);
    case 'd':
        return r->count < 3 ? snprintf(to, room, "%0*d", width, (int)p->day)
                            : snprintf(to, room, "%.*s", name, day_name(ms));
    case 'h':
        return snprintf(to, room, "%0*d", width, hour);
    case 'm':
        return snprintf(to, room, "%0*d", width, (int)p->minute);
    case 's':
        return snprintf(to, room, "%0*d", width, (int)p->second);
    case 'l':
        return snprintf(to, room, "%03d", (int)(p->nanos / 1000000));
    case 'n':
        return snprintf(to, room, "%09d", (int)p->nanos);
    case 't':
        return snprintf(to, room, "%s", p->hour < 12 ? "AM" : "PM");
    default:
        return snprintf(to, room, "%c", r->letter);
    }
}

size_t lp_stamp_format(const struct lp_stamp *s, struct slice format,
                       char ret[static LP_STAMP_FORMATTED_MAX])
{
    bool is_half = has_half_days(format);
    struct parts p;
    size_t used = 0;

    to_parts(s->ms, &p);
    while (format.len > 0) {
        size_t literal = literal_len(format), room = LP_STAMP_FORMATTED_MAX - used;
        int n;

        if (literal > 0) {
            n = snprintf(ret + used, room, "%.*s", (int)literal - 2, (const char *)format.ptr + 1);
            format = slice_from(format, literal);
        } else {
            struct run r = take_run(&format);

            n = write_part(ret + used, room, &r, &p, s->ms, is_half);
        }
        if (n < 0 || (size_t)n >= room)
            return SIZE_MAX;
        used += (size_t)n;
    }
    return used;
}
