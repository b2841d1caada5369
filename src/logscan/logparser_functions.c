/*
 * logscan/logparser_functions.c - each function a few lines over slices; numbers stay integers where both
 * are, as in Log Parser, whose DIV(7, 2) is 3.
 */
#include "logscan/logparser_functions.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "config/nearest.h"
#include "logscan/logparser_stamp.h"
#include "logscan/stamp.h"

#define NEAREST_MAX 4 /* letters that may differ */

/* ---- arguments and results ---- */

static bool text_of(sqlite3_value *v, struct slice *ret)
{
    const unsigned char *text = sqlite3_value_text(v);

    if (!text)
        return false;
    *ret = slice_make(text, (size_t)sqlite3_value_bytes(v));
    return true;
}

static bool stamp_of(sqlite3_value *v, struct lp_stamp *ret)
{
    struct slice text;

    return sqlite3_value_type(v) == SQLITE_TEXT && text_of(v, &text) && lp_stamp_read(text, ret);
}

static void give_text(sqlite3_context *c, struct slice s)
{
    sqlite3_result_text64(c, s.ptr ? (const char *)s.ptr : "", s.len, SQLITE_TRANSIENT,
                          SQLITE_UTF8);
}

static void give_stamp(sqlite3_context *c, const struct lp_stamp *s)
{
    char text[LP_STAMP_TEXT_MAX];

    if (s->ms >= 0 && s->ms < LP_STAMP_MAX_MS)
        give_text(c, slice_make(text, lp_stamp_write(s, text)));
}

static bool is_null(sqlite3_value *v)
{
    return sqlite3_value_type(v) == SQLITE_NULL;
}

/* ---- characters ---- */

static bool begins_character(uint8_t c)
{
    return (c & 0xc0) != 0x80;
}

static int64_t character_count(struct slice s)
{
    int64_t n = 0;

    for (size_t i = 0; i < s.len; i++)
        n += begins_character(s.ptr[i]);
    return n;
}

/* The byte where character `n` begins; the length where there are fewer. */
static size_t byte_of(struct slice s, int64_t n)
{
    for (size_t i = 0; i < s.len; i++)
        if (begins_character(s.ptr[i]) && n-- == 0)
            return i;
    return s.len;
}

static void fn_strlen(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct slice s;

    (void)n;
    if (text_of(v[0], &s))
        sqlite3_result_int64(c, character_count(s));
}

/* A negative start counts from the end, a negative length leaves so many off the end. */
static void fn_substr(sqlite3_context *c, int n, sqlite3_value **v)
{
    int64_t count, start, len;
    struct slice s;
    size_t from;

    if (!text_of(v[0], &s) || is_null(v[1]) || (n > 2 && is_null(v[2])))
        return;
    count = character_count(s);
    start = sqlite3_value_int64(v[1]);
    start = start < -count ? 0 : start < 0 ? start + count : MIN_OF(start, count);
    len = n > 2 ? sqlite3_value_int64(v[2]) : count;
    len = len < -count ? 0 : len < 0 ? MAX_OF(count - start + len, 0) : MIN_OF(len, count - start);
    from = byte_of(s, start);
    s = slice_from(s, from);
    give_text(c, slice_sub(s, 0, byte_of(s, len)));
}

static ptrdiff_t find_last(struct slice s, struct slice needle)
{
    for (size_t i = s.len >= needle.len ? s.len - needle.len + 1 : 0; i > 0; i--)
        if (memcmp(s.ptr + i - 1, needle.ptr, needle.len) == 0)
            return (ptrdiff_t)i - 1;
    return -1;
}

static void give_index(sqlite3_context *c, struct slice s, ptrdiff_t at)
{
    if (at >= 0)
        sqlite3_result_int64(c, character_count(slice_sub(s, 0, (size_t)at)));
}

static void fn_index_of(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct slice s, needle;

    (void)n;
    if (text_of(v[0], &s) && text_of(v[1], &needle) && needle.len > 0)
        give_index(c, s, slice_find_slice(s, needle));
}

static void fn_last_index_of(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct slice s, needle;

    (void)n;
    if (text_of(v[0], &s) && text_of(v[1], &needle) && needle.len > 0)
        give_index(c, s, find_last(s, needle));
}

static void fn_strcnt(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct slice s, needle;
    int64_t found = 0;
    ptrdiff_t at;

    (void)n;
    if (!text_of(v[0], &s) || !text_of(v[1], &needle) || needle.len == 0)
        return;
    for (; (at = slice_find_slice(s, needle)) >= 0; found++)
        s = slice_from(s, (size_t)at + needle.len);
    sqlite3_result_int64(c, found);
}

/* ---- text ---- */

static void fn_strcat(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct slice a, b;
    sqlite3_str *out;

    (void)n;
    if (!text_of(v[0], &a) || !text_of(v[1], &b))
        return;
    out = sqlite3_str_new(sqlite3_context_db_handle(c));
    sqlite3_str_append(out, (const char *)a.ptr, (int)a.len);
    sqlite3_str_append(out, (const char *)b.ptr, (int)b.len);
    give_text(c, slice_make(sqlite3_str_value(out), (size_t)sqlite3_str_length(out)));
    sqlite3_free(sqlite3_str_finish(out));
}

static void change_case(sqlite3_context *c, sqlite3_value *v, bool up)
{
    struct slice s;
    char *text;

    if (!text_of(v, &s))
        return;
    text = sqlite3_malloc64(s.len + 1);
    if (!text) {
        sqlite3_result_error_nomem(c);
        return;
    }
    for (size_t i = 0; i < s.len; i++) {
        uint8_t low = byte_lower(s.ptr[i]);

        text[i] = (char)(up && low >= 'a' && low <= 'z' ? low - ('a' - 'A') : up ? s.ptr[i] : low);
    }
    sqlite3_result_text64(c, text, s.len, sqlite3_free, SQLITE_UTF8);
}

static void fn_to_lowercase(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    change_case(c, v[0], false);
}

static void fn_to_uppercase(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    change_case(c, v[0], true);
}

static bool is_blank(uint8_t b)
{
    return b == ' ' || (b >= '\t' && b <= '\r');
}

enum { TRIM_LEFT = 1, TRIM_RIGHT = 2 };

static void trim(sqlite3_context *c, sqlite3_value *v, int sides)
{
    struct slice s;

    if (!text_of(v, &s))
        return;
    while ((sides & TRIM_LEFT) && s.len > 0 && is_blank(s.ptr[0]))
        s = slice_from(s, 1);
    while ((sides & TRIM_RIGHT) && s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    give_text(c, s);
}

static void fn_trim(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    trim(c, v[0], TRIM_LEFT | TRIM_RIGHT);
}

static void fn_ltrim(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    trim(c, v[0], TRIM_LEFT);
}

static void fn_rtrim(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    trim(c, v[0], TRIM_RIGHT);
}

static void fn_replace_str(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct slice s, what, with;
    sqlite3_str *out;
    ptrdiff_t at;

    (void)n;
    if (!text_of(v[0], &s) || !text_of(v[1], &what) || !text_of(v[2], &with))
        return;
    out = sqlite3_str_new(sqlite3_context_db_handle(c));
    while (what.len > 0 && (at = slice_find_slice(s, what)) >= 0) {
        sqlite3_str_append(out, (const char *)s.ptr, (int)at);
        sqlite3_str_append(out, (const char *)with.ptr, (int)with.len);
        s = slice_from(s, (size_t)at + what.len);
    }
    sqlite3_str_append(out, (const char *)s.ptr, (int)s.len);
    if (sqlite3_str_errcode(out) == SQLITE_OK)
        give_text(c, slice_make(sqlite3_str_value(out), (size_t)sqlite3_str_length(out)));
    else
        sqlite3_result_error_code(c, sqlite3_str_errcode(out));
    sqlite3_free(sqlite3_str_finish(out));
}

static void fn_replace_chr(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct slice s, which, with;
    sqlite3_str *out;

    (void)n;
    if (!text_of(v[0], &s) || !text_of(v[1], &which) || !text_of(v[2], &with))
        return;
    out = sqlite3_str_new(sqlite3_context_db_handle(c));
    for (size_t i = 0; i < s.len; i++) {
        if (slice_find(which, s.ptr[i]) >= 0)
            sqlite3_str_append(out, (const char *)with.ptr, (int)with.len);
        else
            sqlite3_str_appendchar(out, 1, (char)s.ptr[i]);
    }
    if (sqlite3_str_errcode(out) == SQLITE_OK)
        give_text(c, slice_make(sqlite3_str_value(out), (size_t)sqlite3_str_length(out)));
    else
        sqlite3_result_error_code(c, sqlite3_str_errcode(out));
    sqlite3_free(sqlite3_str_finish(out));
}

/* ---- parts ---- */

static int64_t count_of(struct slice s, struct slice separator)
{
    int64_t n = 0;
    ptrdiff_t at;

    for (; (at = slice_find_slice(s, separator)) >= 0; n++)
        s = slice_from(s, (size_t)at + separator.len);
    return n;
}

/* Where separator `index` begins, -1 the last; false: there is none. */
static bool separator_at(struct slice s, struct slice separator, int64_t index, size_t *ret)
{
    size_t at = 0;

    if (separator.len == 0)
        return false;
    if (index < 0)
        index += count_of(s, separator);
    for (int64_t i = 0; index >= 0; i++) {
        ptrdiff_t found = slice_find_slice(slice_from(s, at), separator);

        if (found < 0)
            return false;
        at += (size_t)found;
        if (i == index) {
            *ret = at;
            return true;
        }
        at += separator.len;
    }
    return false;
}

static void fn_extract_prefix(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct slice s, separator;
    size_t at;

    (void)n;
    if (text_of(v[0], &s) && !is_null(v[1]) && text_of(v[2], &separator) &&
        separator_at(s, separator, sqlite3_value_int64(v[1]), &at))
        give_text(c, slice_sub(s, 0, at));
}

static void fn_extract_suffix(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct slice s, separator;
    size_t at;

    (void)n;
    if (text_of(v[0], &s) && !is_null(v[1]) && text_of(v[2], &separator) &&
        separator_at(s, separator, sqlite3_value_int64(v[1]), &at))
        give_text(c, slice_from(s, at + separator.len));
}

static void fn_extract_token(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct slice s, separator = SLICE_LIT(",");
    size_t begin = 0, end;
    int64_t index;

    if (!text_of(v[0], &s) || is_null(v[1]) || (n > 2 && !text_of(v[2], &separator)) ||
        separator.len == 0)
        return;
    index = sqlite3_value_int64(v[1]);
    if (index < 0)
        index += count_of(s, separator) + 1;
    if (index < 0 || (index > 0 && !separator_at(s, separator, index - 1, &begin)))
        return;
    begin += index > 0 ? separator.len : 0;
    if (!separator_at(s, separator, index, &end))
        end = s.len;
    give_text(c, slice_sub(s, begin, end - begin));
}

/* The value of "key=" among what `separator` parts. */
static void fn_extract_value(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct slice s, key, separator = SLICE_LIT("&");

    if (!text_of(v[0], &s) || !text_of(v[1], &key) || (n > 2 && !text_of(v[2], &separator)) ||
        separator.len == 0)
        return;
    for (;;) {
        ptrdiff_t end = slice_find_slice(s, separator);
        struct slice part = end < 0 ? s : slice_sub(s, 0, (size_t)end);

        if (part.len > key.len && part.ptr[key.len] == '=' && slice_has_prefix_case(part, key)) {
            give_text(c, slice_from(part, key.len + 1));
            return;
        }
        if (end < 0)
            return;
        s = slice_from(s, (size_t)end + separator.len);
    }
}

/* ---- numbers ---- */

static void calculate_reals(sqlite3_context *c, char sign, double a, double b)
{
    if (b == 0 && (sign == '/' || sign == '%'))
        return;
    sqlite3_result_double(c, sign == '+'   ? a + b
                             : sign == '-' ? a - b
                             : sign == '*' ? a * b
                             : sign == '/' ? a / b
                                           : fmod(a, b));
}

static void calculate(sqlite3_context *c, char sign, sqlite3_value **v)
{
    int64_t a, b, r = 0;
    bool is_over = false;

    if (is_null(v[0]) || is_null(v[1]))
        return;
    if (sqlite3_value_numeric_type(v[0]) != SQLITE_INTEGER ||
        sqlite3_value_numeric_type(v[1]) != SQLITE_INTEGER) {
        calculate_reals(c, sign, sqlite3_value_double(v[0]), sqlite3_value_double(v[1]));
        return;
    }
    a = sqlite3_value_int64(v[0]);
    b = sqlite3_value_int64(v[1]);
    if ((sign == '/' || sign == '%') && (b == 0 || (a == INT64_MIN && b == -1)))
        return;
    if (sign == '+')
        is_over = __builtin_add_overflow(a, b, &r);
    else if (sign == '-')
        is_over = __builtin_sub_overflow(a, b, &r);
    else if (sign == '*')
        is_over = __builtin_mul_overflow(a, b, &r);
    else
        r = sign == '/' ? a / b : a % b;
    if (is_over)
        calculate_reals(c, sign, (double)a, (double)b);
    else
        sqlite3_result_int64(c, r);
}

/* Stamps are spans since year 0: a week is TIMESTAMP('0000-01-08', 'yyyy-MM-dd'). */
static bool calculate_stamps(sqlite3_context *c, char sign, sqlite3_value **v)
{
    struct lp_stamp a, b;

    if (!stamp_of(v[0], &a) || !stamp_of(v[1], &b))
        return false;
    a.ms = sign == '+' ? a.ms + b.ms : a.ms - b.ms;
    a.has_time |= b.has_time;
    give_stamp(c, &a);
    return true;
}

static void fn_add(sqlite3_context *c, int n, sqlite3_value **v)
{
    if (calculate_stamps(c, '+', v))
        return;
    if (sqlite3_value_numeric_type(v[0]) == SQLITE_TEXT &&
        sqlite3_value_numeric_type(v[1]) == SQLITE_TEXT)
        fn_strcat(c, n, v);
    else
        calculate(c, '+', v);
}

static void fn_sub(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    if (!calculate_stamps(c, '-', v))
        calculate(c, '-', v);
}

static void fn_mul(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    calculate(c, '*', v);
}

static void fn_div(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    calculate(c, '/', v);
}

static void fn_mod(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    calculate(c, '%', v);
}

/* Down to a multiple; of a stamp in seconds. */
static void fn_quantize(sqlite3_context *c, int n, sqlite3_value **v)
{
    double step = sqlite3_value_double(v[1]), value;
    struct lp_stamp s;

    (void)n;
    if (is_null(v[0]) || !(step > 0) || step > 1e12)
        return;
    if (stamp_of(v[0], &s)) {
        int64_t ms = (int64_t)(step * 1000);

        s.ms -= ms > 0 ? s.ms % ms : 0;
        give_stamp(c, &s);
    } else if (sqlite3_value_numeric_type(v[0]) == SQLITE_INTEGER &&
               sqlite3_value_numeric_type(v[1]) == SQLITE_INTEGER) {
        int64_t a = sqlite3_value_int64(v[0]);

        sqlite3_result_int64(c, a - a % sqlite3_value_int64(v[1]));
    } else if (sqlite3_value_numeric_type(v[0]) != SQLITE_TEXT) {
        value = sqlite3_value_double(v[0]);
        sqlite3_result_double(c, value - fmod(value, step));
    }
}

static void fn_to_int(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct lp_stamp s;
    double value;

    (void)n;
    if (stamp_of(v[0], &s)) {
        sqlite3_result_int64(c, s.ms / 1000);
    } else if (sqlite3_value_numeric_type(v[0]) == SQLITE_INTEGER) {
        sqlite3_result_int64(c, sqlite3_value_int64(v[0]));
    } else if (sqlite3_value_numeric_type(v[0]) == SQLITE_FLOAT) {
        value = sqlite3_value_double(v[0]);
        if (value > -9e18 && value < 9e18)
            sqlite3_result_int64(c, (int64_t)value);
    }
}

static void fn_to_real(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct lp_stamp s;
    int type = sqlite3_value_numeric_type(v[0]);

    (void)n;
    if (stamp_of(v[0], &s))
        sqlite3_result_double(c, (double)s.ms / 1000);
    else if (type == SQLITE_INTEGER || type == SQLITE_FLOAT)
        sqlite3_result_double(c, sqlite3_value_double(v[0]));
}

/* ---- stamps ---- */

static void fn_to_string(sqlite3_context *c, int n, sqlite3_value **v)
{
    char text[LP_STAMP_FORMATTED_MAX];
    struct lp_stamp stamp;
    struct slice s;
    size_t len;

    if (n == 1) {
        if (text_of(v[0], &s))
            give_text(c, s);
        return;
    }
    if (!stamp_of(v[0], &stamp) || !text_of(v[1], &s))
        return;
    len = lp_stamp_format(&stamp, s, text);
    if (len <= sizeof(text))
        give_text(c, slice_make(text, len));
}

/* Of seconds, of a date and a time, of a text and its format; of what logs write alone, too. */
static void fn_to_timestamp(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct lp_stamp s = {.has_date = true, .has_time = true}, time;
    struct slice text, format;

    if (n == 1 && sqlite3_value_type(v[0]) != SQLITE_TEXT) {
        double seconds = sqlite3_value_double(v[0]);

        if (is_null(v[0]) || !(seconds >= 0) || seconds > (double)LP_STAMP_MAX_MS / 1000)
            return;
        s.ms = (int64_t)(seconds * 1000);
    } else if (n == 1) {
        if (!stamp_of(v[0], &s))
            return;
    } else if (stamp_of(v[1], &time)) {
        if (!stamp_of(v[0], &s))
            return;
        s.ms = s.ms - s.ms % 86400000 + time.ms % 86400000;
        s.has_time = true;
    } else if (!text_of(v[0], &text) || !text_of(v[1], &format) ||
               !lp_stamp_parse(text, format, &s)) {
        return;
    }
    give_stamp(c, &s);
}

static void fn_to_date(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct lp_stamp s;

    (void)n;
    if (!stamp_of(v[0], &s))
        return;
    s.ms -= s.ms % 86400000;
    s.has_date = true;
    s.has_time = false;
    give_stamp(c, &s);
}

static void fn_to_time(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct lp_stamp s;

    (void)n;
    if (!stamp_of(v[0], &s))
        return;
    s.ms %= 86400000;
    s.has_date = false;
    s.has_time = true;
    give_stamp(c, &s);
}

/* A day or a time of day alone is no moment: it stays what it is in any zone. */
static bool is_moment(const struct lp_stamp *s)
{
    return s->has_date && s->has_time;
}

static void fn_to_localtime(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct lp_stamp s;

    (void)n;
    if (!stamp_of(v[0], &s))
        return;
    if (is_moment(&s))
        s.ms += stamp_zone_offset_ms(s.ms - LP_EPOCH_MS);
    give_stamp(c, &s);
}

static void fn_to_utctime(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct lp_stamp s;

    (void)n;
    if (!stamp_of(v[0], &s))
        return;
    if (is_moment(&s)) {
        int64_t near = s.ms - stamp_zone_offset_ms(s.ms - LP_EPOCH_MS);

        s.ms -= stamp_zone_offset_ms(near - LP_EPOCH_MS);
    }
    give_stamp(c, &s);
}

static void fn_system_timestamp(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct lp_stamp s = {.has_date = true, .has_time = true};

    (void)n;
    (void)v;
    s.ms = clock_wall_ms() + LP_EPOCH_MS;
    give_stamp(c, &s);
}

static void fn_replace_if_not_null(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    if (!is_null(v[0]))
        sqlite3_result_value(c, v[1]);
}

/* ---- all of them ---- */

static const struct function {
    const char *name;
    int min, max; /* arguments */
    void (*fn)(sqlite3_context *c, int n, sqlite3_value **v);
} functions[] = {
    {"LP_ADD", 2, 2, fn_add},
    {"DIV", 2, 2, fn_div},
    {"EXTRACT_PREFIX", 3, 3, fn_extract_prefix},
    {"EXTRACT_SUFFIX", 3, 3, fn_extract_suffix},
    {"EXTRACT_TOKEN", 2, 3, fn_extract_token},
    {"EXTRACT_VALUE", 2, 3, fn_extract_value},
    {"INDEX_OF", 2, 2, fn_index_of},
    {"LAST_INDEX_OF", 2, 2, fn_last_index_of},
    {"LP_LTRIM", 1, 1, fn_ltrim},
    {"LP_RTRIM", 1, 1, fn_rtrim},
    {"LP_SUBSTR", 2, 3, fn_substr},
    {"LP_TRIM", 1, 1, fn_trim},
    {"MOD", 2, 2, fn_mod},
    {"MUL", 2, 2, fn_mul},
    {"QUANTIZE", 2, 2, fn_quantize},
    {"REPLACE_CHR", 3, 3, fn_replace_chr},
    {"REPLACE_IF_NOT_NULL", 2, 2, fn_replace_if_not_null},
    {"REPLACE_STR", 3, 3, fn_replace_str},
    {"STRCAT", 2, 2, fn_strcat},
    {"STRCNT", 2, 2, fn_strcnt},
    {"STRLEN", 1, 1, fn_strlen},
    {"SUB", 2, 2, fn_sub},
    {"SYSTEM_TIMESTAMP", 0, 0, fn_system_timestamp},
    {"TO_DATE", 1, 1, fn_to_date},
    {"TO_INT", 1, 1, fn_to_int},
    {"TO_LOCALTIME", 1, 1, fn_to_localtime},
    {"TO_LOWERCASE", 1, 1, fn_to_lowercase},
    {"TO_REAL", 1, 1, fn_to_real},
    {"TO_STRING", 1, 2, fn_to_string},
    {"TO_TIME", 1, 1, fn_to_time},
    {"TO_TIMESTAMP", 1, 2, fn_to_timestamp},
    {"TO_UPPERCASE", 1, 1, fn_to_uppercase},
    {"TO_UTCTIME", 1, 1, fn_to_utctime},
};

int logparser_functions_add(sqlite3 *db)
{
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        const struct function *f = &functions[i];
        int flags = SQLITE_UTF8 | (f->max > 0 ? SQLITE_DETERMINISTIC : 0);

        for (int n = f->min; n <= f->max; n++) {
            int rc =
                sqlite3_create_function_v2(db, f->name, n, flags, NULL, f->fn, NULL, NULL, NULL);

            if (rc != SQLITE_OK)
                return rc;
        }
    }
    return SQLITE_OK;
}

const char *logparser_functions_nearest(struct slice name)
{
    static const char *const others[] = {
        "ADD",      "PROPCOUNT", "PROPSUM",  "COUNT",        "SUM",   "AVG",
        "MIN",      "MAX",       "SUBSTR",   "TRIM",         "LTRIM", "RTRIM",
        "ROUND",    "LOWER",     "UPPER",    "LENGTH",       "INSTR", "REPLACE",
        "COALESCE", "TIMESTAMP", "STRFTIME", "GROUP_CONCAT",
    };
    const char *nearest = NULL;
    size_t least = NEAREST_MAX + 1;

    for (size_t i = 0; i < ARRAY_SIZE(functions) + ARRAY_SIZE(others); i++) {
        const char *other =
            i < ARRAY_SIZE(functions) ? functions[i].name : others[i - ARRAY_SIZE(functions)];
        size_t d = nearest_distance(name, slice_str(other));

        if (d < least && strncmp(other, "LP_", 3) != 0) {
            least = d;
            nearest = other;
        }
    }
    return nearest;
}

void logparser_functions_tell_arguments(struct slice called, struct buf *why)
{
    ptrdiff_t bracket = slice_find(called, '(');
    struct slice name = bracket < 0 ? called : slice_sub(called, 0, (size_t)bracket);

    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        const struct function *f = &functions[i];
        const char *own = strncmp(f->name, "LP_", 3) == 0 ? f->name + 3 : f->name;

        if (!slice_eq_case(name, slice_str(f->name)))
            continue;
        if (f->min == f->max)
            (void)buf_addf(why, "%s takes %d argument%s", own, f->min, f->min == 1 ? "" : "s");
        else
            (void)buf_addf(why, "%s takes %d or %d arguments", own, f->min, f->max);
        return;
    }
    (void)buf_addf(why, "wrong number of arguments to function %.*s", SLICE_FMT(called));
}
