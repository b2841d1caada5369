/*
 * config/value_policy.c - the kinds of values that policies and lanes are made of: small shares,
 * changes, factors, rates, days, and the lists of a warm-up and of a pool.
 *
 * Numbers with a fraction are read as whole numbers of their smallest part, so that what is written
 * back is what was read.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "config/value_int.h"

#define MS_A_DAY 86400000
#define WEIGHT_MAX 10000
#define CHANGE_DIGITS 1 /* of a percentage, behind the point */
#define SHARE_DIGITS 4
#define FACTOR_DIGITS 2

static const struct {
    const char *word;
    uint32_t per_s;
} rate_units[] = {{"s", 1}, {"m", 60}, {"h", 3600}};

/* ---- numbers with a fraction ---- */

static uint64_t power_of_ten(unsigned n)
{
    uint64_t p = 1;

    for (; n; n--)
        p *= 10;
    return p;
}

/* "12.34" with at most `digits` digits behind the point, in parts of 10^-digits. */
static int read_decimal(struct slice text, unsigned digits, uint64_t *ret)
{
    ptrdiff_t dot = slice_find(text, '.');
    uint64_t whole, part = 0;

    if (dot >= 0) {
        struct slice fraction = slice_from(text, (size_t)dot + 1);

        text = slice_sub(text, 0, (size_t)dot);
        if (fraction.len == 0 || fraction.len > digits ||
            slice_to_u64(fraction, UINT32_MAX, &part) < 0)
            return -EINVAL;
        part *= power_of_ten(digits - (unsigned)fraction.len);
    }
    if (slice_to_u64(text, UINT32_MAX, &whole) < 0)
        return -EINVAL;
    *ret = whole * power_of_ten(digits) + part;
    return 0;
}

static void add_decimal(struct buf *ret, uint64_t v, unsigned digits)
{
    uint64_t one = power_of_ten(digits), part = v % one;

    (void)buf_addf(ret, "%llu", (unsigned long long)(v / one));
    if (part == 0)
        return;
    while (part % 10 == 0) {
        part /= 10;
        digits--;
    }
    (void)buf_addf(ret, ".%0*llu", (int)digits, (unsigned long long)part);
}

static int put_double(const struct setting *s, void *base, uint64_t v, double scale)
{
    double d = (double)v / scale;

    if (v < s->min || v > s->max)
        return -EINVAL;
    memcpy(value_at(s, base), &d, sizeof(d));
    return 0;
}

static bool take_sign(struct slice *text, uint8_t sign, bool at_end)
{
    if (text->len == 0 || text->ptr[at_end ? text->len - 1 : 0] != sign)
        return false;
    *text = at_end ? slice_sub(*text, 0, text->len - 1) : slice_from(*text, 1);
    return true;
}

/* "-20%" */
static int parse_change(const struct setting *s, struct slice text, void *base)
{
    uint64_t v, parts = power_of_ten(CHANGE_DIGITS);
    double d;

    if (!take_sign(&text, '-', false) || !take_sign(&text, '%', true) ||
        read_decimal(text, CHANGE_DIGITS, &v) < 0 || v < s->min * parts || v > s->max * parts)
        return -EINVAL;
    d = -(double)v / (double)(100 * parts);
    memcpy(value_at(s, base), &d, sizeof(d));
    return 0;
}

/* "0.02%" */
static int parse_share(const struct setting *s, struct slice text, void *base)
{
    uint64_t v;

    if (!take_sign(&text, '%', true) || read_decimal(text, SHARE_DIGITS, &v) < 0)
        return -EINVAL;
    return put_double(s, base, v, (double)(100 * power_of_ten(SHARE_DIGITS)));
}

static int parse_factor(const struct setting *s, struct slice text, void *base)
{
    uint64_t v;

    if (read_decimal(text, FACTOR_DIGITS, &v) < 0)
        return -EINVAL;
    return put_double(s, base, v, (double)power_of_ten(FACTOR_DIGITS));
}

static uint64_t parts_of(double v, double scale)
{
    return (uint64_t)llround(fabs(v) * scale);
}

/* ---- rates and days ---- */

/* "10/s", "600/m", "5000/h"; "0": no limit. */
static int parse_rate(const struct setting *s, struct slice text, void *base)
{
    ptrdiff_t slash = slice_find(text, '/');
    struct config_rate r = {.per_s = 1};
    uint64_t count;
    bool is_known = slash < 0;

    if (slice_to_u64(slash < 0 ? text : slice_sub(text, 0, (size_t)slash), UINT32_MAX, &count) < 0)
        return -EINVAL;
    for (size_t i = 0; slash >= 0 && i < ARRAY_SIZE(rate_units); i++)
        if (slice_eq(slice_from(text, (size_t)slash + 1), slice_str(rate_units[i].word))) {
            r.per_s = rate_units[i].per_s;
            is_known = true;
        }
    if (!is_known || count < s->min || count > s->max || (slash < 0 && count != 0))
        return -EINVAL;
    if (count == 0)
        r.per_s = 1;
    r.count = (uint32_t)count;
    memcpy(value_at(s, base), &r, sizeof(r));
    return 0;
}

static void add_rate(struct buf *ret, const struct config_rate *r)
{
    if (r->count == 0)
        (void)buf_push(ret, '0');
    for (size_t i = 0; r->count && i < ARRAY_SIZE(rate_units); i++)
        if (rate_units[i].per_s == r->per_s)
            (void)buf_addf(ret, "%u/%s", r->count, rate_units[i].word);
}

/* Days since 1970-01-01 of a day of the proleptic Gregorian calendar, and back (Hinnant 2013). */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year, era = y / 400, yoe = y - era * 400;
    int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    int64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = yoe + era * 400 + (*month <= 2 ? 1 : 0);
}

/* "2026-11-23" */
static int parse_date(const struct setting *s, struct slice text, void *base)
{
    uint64_t year, month, day;
    int64_t y, m, d, days, ms;

    if (text.len != 10 || text.ptr[4] != '-' || text.ptr[7] != '-' ||
        slice_to_u64(slice_sub(text, 0, 4), 9999, &year) < 0 || year < 1971 ||
        slice_to_u64(slice_sub(text, 5, 2), 12, &month) < 0 || month < 1 ||
        slice_to_u64(slice_sub(text, 8, 2), 31, &day) < 0 || day < 1)
        return -EINVAL;
    days = days_of((int64_t)year, (int64_t)month, (int64_t)day);
    date_of(days, &y, &m, &d);
    if (d != (int64_t)day) /* the 30th of February is another day */
        return -EINVAL;
    ms = days * MS_A_DAY;
    memcpy(value_at(s, base), &ms, sizeof(ms));
    return 0;
}

static void add_date(struct buf *ret, int64_t ms)
{
    int64_t year, month, day;

    if (ms == 0)
        return;
    date_of(ms / MS_A_DAY, &year, &month, &day);
    (void)buf_addf(ret, "%04d-%02d-%02d", (int)year, (int)month, (int)day);
}

/* ---- names ---- */

bool policy_is_name(struct slice s)
{
    if (s.len == 0 || s.len > 63)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!byte_is_alpha(s.ptr[i]) && !byte_is_digit(s.ptr[i]) && s.ptr[i] != '-' &&
            s.ptr[i] != '_' && s.ptr[i] != '.')
            return false;
    return true;
}

/* Of MX hosts: a host name in which '*' and '?' stand for any letters and any one. */
static bool is_host_pattern(struct slice s)
{
    char plain[254];

    if (s.len == 0 || s.len >= sizeof(plain))
        return false;
    for (size_t i = 0; i < s.len; i++)
        plain[i] = s.ptr[i] == '*' || s.ptr[i] == '?' ? 'x' : (char)s.ptr[i];
    return value_is_host(slice_make(plain, s.len));
}

bool policy_is_destination(struct slice s)
{
    if (slice_has_prefix_case(s, SLICE_LIT("mx:")))
        return is_host_pattern(slice_from(s, 3));
    if (slice_has_prefix_case(s, SLICE_LIT("route:")))
        return s.len > 6;
    if (s.len > 1 && s.ptr[s.len - 1] == '.') /* a domain of one label */
        return value_is_host(slice_sub(s, 0, s.len - 1));
    return value_is_pattern(s);
}

/* ---- lists ---- */

static int add_count(const struct setting *s, struct slice text, void *base, struct buf *detail)
{
    struct config_counts *c = value_at(s, base);
    uint64_t v;

    if (slice_to_u64(text, s->max, &v) < 0 || v < s->min)
        return -EINVAL;
    if (c->count == CONFIG_WARM_UP_MAX) {
        if (detail)
            (void)buf_addf(detail, "at most %d days", CONFIG_WARM_UP_MAX);
        return -EINVAL;
    }
    c->list[c->count++] = (uint32_t)v;
    return 0;
}

/* "name" or "name x 3": the name, and its weight. */
static int read_member(struct slice text, struct slice *ret_name, uint64_t *ret_weight)
{
    ptrdiff_t space = slice_find(text, ' ');
    struct slice rest;

    *ret_weight = 1;
    *ret_name = space < 0 ? text : slice_sub(text, 0, (size_t)space);
    if (!policy_is_name(*ret_name))
        return -EINVAL;
    if (space < 0)
        return 0;
    rest = slice_trim(slice_from(text, (size_t)space));
    if (rest.len < 2 || byte_lower(rest.ptr[0]) != 'x')
        return -EINVAL;
    return slice_to_u64(slice_trim(slice_from(rest, 1)), WEIGHT_MAX, ret_weight) < 0 ? -EINVAL : 0;
}

static int add_member(const struct setting *s, struct slice text, void *base, struct pool *pool)
{
    struct config_members *m = value_at(s, base);
    struct slice name;
    const char **names;
    uint32_t *weights;
    uint64_t weight;

    if (read_member(text, &name, &weight) < 0)
        return -EINVAL;
    names = value_grown(pool, m->names, m->count, sizeof(*names));
    weights = value_grown(pool, m->weights, m->count, sizeof(*weights));
    if (!names || !weights || !(names[m->count] = pool_text(pool, name)))
        return -ENOMEM;
    weights[m->count] = (uint32_t)weight;
    m->names = names;
    m->weights = weights;
    m->count++;
    return 0;
}

static void add_counts(struct buf *ret, const struct config_counts *c)
{
    for (size_t i = 0; i < c->count; i++)
        (void)buf_addf(ret, "%s%u", i ? ", " : "", c->list[i]);
}

static void add_members(struct buf *ret, const struct config_members *m)
{
    for (size_t i = 0; i < m->count; i++) {
        (void)buf_addf(ret, "%s%s", i ? ", " : "", m->names[i]);
        if (m->weights[i] != 1)
            (void)buf_addf(ret, " x %u", m->weights[i]);
    }
}

/* ---- all of them ---- */

int policy_parse(const struct setting *s, struct slice text, void *base, struct pool *pool,
                 struct buf *detail)
{
    if (s->type == VALUE_CHANGE)
        return parse_change(s, text, base);
    if (s->type == VALUE_SHARE)
        return parse_share(s, text, base);
    if (s->type == VALUE_FACTOR)
        return parse_factor(s, text, base);
    if (s->type == VALUE_RATE)
        return parse_rate(s, text, base);
    if (s->type == VALUE_DATE)
        return parse_date(s, text, base);
    if (s->type == VALUE_COUNTS)
        return add_count(s, text, base, detail);
    return add_member(s, text, base, pool);
}

void policy_format(const struct setting *s, const void *base, struct buf *ret)
{
    const void *p = value_const_at(s, base);
    double d = 0;

    if (s->type == VALUE_CHANGE || s->type == VALUE_SHARE || s->type == VALUE_FACTOR)
        memcpy(&d, p, sizeof(d));
    if (s->type == VALUE_CHANGE) {
        (void)buf_push(ret, '-');
        add_decimal(ret, parts_of(d, (double)(100 * power_of_ten(CHANGE_DIGITS))), CHANGE_DIGITS);
        (void)buf_push(ret, '%');
    } else if (s->type == VALUE_SHARE) {
        add_decimal(ret, parts_of(d, (double)(100 * power_of_ten(SHARE_DIGITS))), SHARE_DIGITS);
        (void)buf_push(ret, '%');
    } else if (s->type == VALUE_FACTOR) {
        add_decimal(ret, parts_of(d, (double)power_of_ten(FACTOR_DIGITS)), FACTOR_DIGITS);
    } else if (s->type == VALUE_RATE) {
        add_rate(ret, p);
    } else if (s->type == VALUE_DATE) {
        add_date(ret, *(const int64_t *)p);
    } else if (s->type == VALUE_COUNTS) {
        add_counts(ret, p);
    } else {
        add_members(ret, p);
    }
}

static void add_decimal_range(const struct setting *s, struct buf *ret, const char *what,
                              unsigned digits, const char *sign)
{
    (void)buf_addf(ret, "%s from ", what);
    add_decimal(ret, s->min, digits);
    (void)buf_addf(ret, "%s to ", sign);
    add_decimal(ret, s->max, digits);
    (void)buf_add_str(ret, sign);
}

void policy_allowed(const struct setting *s, struct buf *ret)
{
    unsigned long long low = s->min, high = s->max;

    if (s->type == VALUE_CHANGE)
        (void)buf_addf(ret, "a change from -%llu%% to -%llu%%, with its sign", high, low);
    else if (s->type == VALUE_SHARE)
        add_decimal_range(s, ret, "a percentage like 0.02%,", SHARE_DIGITS, "%");
    else if (s->type == VALUE_FACTOR)
        add_decimal_range(s, ret, "a number like 1.5,", FACTOR_DIGITS, "");
    else if (s->type == VALUE_RATE && low == 0)
        (void)buf_addf(ret,
                       "messages in a second, minute or hour like 10/s, 600/m or 5000/h, up "
                       "to %llu; 0: no limit",
                       high);
    else if (s->type == VALUE_RATE)
        (void)buf_addf(ret,
                       "messages in a second, minute or hour like 10/s, 600/m or 5000/h, from "
                       "%llu to %llu",
                       low, high);
    else if (s->type == VALUE_DATE)
        (void)buf_add_str(ret, "a day like 2026-11-23 (it begins at midnight UTC)");
    else if (s->type == VALUE_COUNTS)
        (void)buf_addf(ret, "up to %d whole numbers like 1000, 2000, 5000, each from %llu to %llu",
                       CONFIG_WARM_UP_MAX, low, high);
    else
        (void)buf_addf(ret,
                       "names of sources, each with its weight from 0 to %d where that is not "
                       "1: out1 x 3, out2",
                       WEIGHT_MAX);
}
