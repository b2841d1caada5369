/*
 * logscan/json_line.c - a pointer that runs over the line once; depth is counted, so nothing recurses but into
 * members that were asked for.
 */
#include "logscan/json_line.h"

#include <errno.h>
#include <string.h>

struct cursor_json {
    const uint8_t *p, *end;
    const struct json_line_member *members;
    size_t count;
    size_t hint; /* where the next name is likely to be: lines of a log have them in one order */
    struct json_line_value *values;
};

static void skip_blanks(struct cursor_json *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r' || *c->p == '\n'))
        c->p++;
}

static bool take_byte(struct cursor_json *c, uint8_t byte)
{
    skip_blanks(c);
    if (c->p == c->end || *c->p != byte)
        return false;
    c->p++;
    return true;
}

/* ---- values ---- */

/* `p` is behind the opening quote, and goes behind the closing one. */
static bool take_string(struct cursor_json *c, struct json_line_value *ret)
{
    const uint8_t *begin = c->p, *quote = begin;

    while ((quote = memchr(quote, '"', (size_t)(c->end - quote)))) {
        const uint8_t *back = quote;

        while (back > begin && back[-1] == '\\')
            back--;
        if ((quote - back) % 2 == 0)
            break;
        quote++;
    }
    if (!quote)
        return false;
    ret->kind = JSON_LINE_STRING;
    ret->text = slice_make(begin, (size_t)(quote - begin));
    ret->has_escapes = memchr(begin, '\\', ret->text.len) != NULL;
    c->p = quote + 1;
    return true;
}

/* From behind an opening bracket to behind the one that closes it. */
static bool skip_brackets(struct cursor_json *c, uint8_t open)
{
    uint8_t stack[JSON_LINE_DEPTH_MAX];
    struct json_line_value ignored;
    size_t depth = 0;

    stack[depth++] = open;
    while (c->p < c->end) {
        uint8_t byte = *c->p++;

        if (byte == '"') {
            if (!take_string(c, &ignored))
                return false;
        } else if (byte == '{' || byte == '[') {
            if (depth == sizeof(stack))
                return false;
            stack[depth++] = byte;
        } else if (byte == '}' || byte == ']') {
            if (stack[--depth] + 2 != byte) /* '[' and ']', '{' and '}' are two apart in ASCII */
                return false;
            if (depth == 0)
                return true;
        }
    }
    return false;
}

static bool is_word_byte(uint8_t b)
{
    return byte_is_digit(b) || byte_is_alpha(b) || b == '-' || b == '+' || b == '.';
}

/* Any value; an object that is not to be looked into is passed over as well. */
static bool take_value(struct cursor_json *c, struct json_line_value *ret)
{
    const uint8_t *begin;
    uint8_t first;

    skip_blanks(c);
    *ret = (struct json_line_value){0};
    if (c->p == c->end)
        return false;
    begin = c->p;
    first = *begin;
    if (first == '"') {
        c->p++;
        return take_string(c, ret);
    }
    if (first == '{' || first == '[') {
        c->p++;
        if (!skip_brackets(c, first))
            return false;
        ret->kind = first == '{' ? JSON_LINE_OBJECT : JSON_LINE_ARRAY;
    } else {
        while (c->p < c->end && is_word_byte(*c->p))
            c->p++;
        ret->kind = JSON_LINE_WORD;
    }
    ret->text = slice_make(begin, (size_t)(c->p - begin));
    if (slice_eq(ret->text, SLICE_LIT("null")))
        ret->kind = JSON_LINE_NONE;
    return ret->text.len > 0;
}

/* ---- objects ---- */

/* The index of a member; c->count: nobody asked for it. */
static size_t find_member(struct cursor_json *c, int parent, struct slice name)
{
    for (size_t i = 0; i < c->count; i++) {
        size_t at = (c->hint + i) % c->count;
        const struct json_line_member *m = &c->members[at];

        if (m->parent == parent && strlen(m->name) == name.len &&
            memcmp(m->name, name.ptr, name.len) == 0) {
            c->hint = at + 1;
            return at;
        }
    }
    return c->count;
}

static bool has_members(const struct cursor_json *c, size_t object)
{
    for (size_t i = object + 1; i < c->count; i++)
        if (c->members[i].parent == (int)object)
            return true;
    return false;
}

/* From behind '{' to behind '}'. It calls itself as deep as members have parents. */
static bool take_object(struct cursor_json *c, int parent)
{
    struct json_line_value name, value;

    if (take_byte(c, '}'))
        return true;
    do {
        size_t member;

        if (!take_byte(c, '"') || !take_string(c, &name) || !take_byte(c, ':'))
            return false;
        member = find_member(c, parent, name.text);
        skip_blanks(c);
        if (member < c->count && c->p < c->end && *c->p == '{' && has_members(c, member)) {
            const uint8_t *begin = c->p++;

            if (!take_object(c, (int)member))
                return false;
            value = (struct json_line_value){.kind = JSON_LINE_OBJECT,
                                             .text = slice_make(begin, (size_t)(c->p - begin))};
        } else if (!take_value(c, &value)) {
            return false;
        }
        if (member < c->count)
            c->values[member] = value;
    } while (take_byte(c, ','));
    return take_byte(c, '}');
}

int json_line_read(struct slice line, const struct json_line_member *members, size_t count,
                   struct json_line_value *values)
{
    struct cursor_json c = {.p = line.ptr,
                            .end = line.len > 0 ? line.ptr + line.len : line.ptr,
                            .members = members,
                            .count = count,
                            .values = values};

    for (size_t i = 0; i < count; i++)
        values[i] = (struct json_line_value){0};
    if (!take_byte(&c, '{') || !take_object(&c, JSON_LINE_TOP))
        return -EINVAL;
    skip_blanks(&c);
    return c.p == c.end ? 0 : -EINVAL;
}

bool json_line_next(const struct json_line_value *array, size_t *at, struct json_line_value *ret)
{
    struct cursor_json c = {.p = array->text.ptr};

    if (array->kind != JSON_LINE_ARRAY || array->text.len < 2)
        return false;
    c.end = c.p + array->text.len - 1; /* without ']' */
    c.p += *at > 0 ? *at : 1;
    if (*at > 0 && !take_byte(&c, ','))
        return false;
    if (!take_value(&c, ret))
        return false;
    *at = (size_t)(c.p - array->text.ptr);
    return true;
}

/* ---- texts ---- */

/* Four hex digits; -1: not so. */
static int hex_of(const uint8_t *p, const uint8_t *end)
{
    int value = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        uint8_t c = byte_lower(p[i]);

        if (!byte_is_digit(c) && (c < 'a' || c > 'f'))
            return -1;
        value = value * 16 + (byte_is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    return value;
}

static uint8_t *put_utf8(uint8_t *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (uint8_t)c;
    } else if (c < 0x800) {
        *to++ = (uint8_t)(0xc0 | c >> 6);
        *to++ = (uint8_t)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (uint8_t)(0xe0 | c >> 12);
        *to++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        *to++ = (uint8_t)(0x80 | (c & 0x3f));
    } else {
        *to++ = (uint8_t)(0xf0 | c >> 18);
        *to++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        *to++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        *to++ = (uint8_t)(0x80 | (c & 0x3f));
    }
    return to;
}

#define REPLACEMENT 0xfffdu /* for half a pair, a NUL, and what are no digits */

/* `*p` is behind "\u", and goes behind what belongs to it. Never more bytes than were read. */
static uint8_t *put_unicode(uint8_t *to, const uint8_t **p, const uint8_t *end)
{
    int high = hex_of(*p, end), low;
    uint32_t c;

    if (high < 0)
        return to; /* the letters that follow stay */
    *p += 4;
    c = (uint32_t)high;
    if (c >= 0xd800 && c < 0xe000) {
        low = c < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' ? hex_of(*p + 2, end)
                                                                               : -1;
        if (low < 0xdc00 || low >= 0xe000)
            return put_utf8(to, REPLACEMENT);
        *p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    }
    return put_utf8(to, c == 0 ? REPLACEMENT : c);
}

static uint8_t plain_of(uint8_t escape, char newline)
{
    switch (escape) {
    case 'n':
        return (uint8_t)newline;
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    default: /* a quote, a backslash, a slash; of others the letter */
        return escape;
    }
}

struct slice json_line_text(const struct json_line_value *v, char newline, struct arena *a)
{
    const uint8_t *p = v->text.ptr, *end;
    uint8_t *copy, *to;

    if (v->kind != JSON_LINE_STRING)
        return slice_make(NULL, 0);
    if (!v->has_escapes)
        return v->text;
    end = p + v->text.len;
    to = copy = arena_take(a, v->text.len);
    if (!copy)
        return slice_make(NULL, 0);
    while (p < end) {
        if (*p != '\\' || p + 1 == end) {
            *to++ = *p++;
            continue;
        }
        p += 2;
        if (p[-1] == 'u')
            to = put_unicode(to, &p, end);
        else
            *to++ = plain_of(p[-1], newline);
    }
    return slice_make(copy, (size_t)(to - copy));
}

bool json_line_number(const struct json_line_value *v, uint64_t max, uint64_t *ret)
{
    return v->kind == JSON_LINE_WORD && slice_to_u64(v->text, max, ret) == 0;
}
