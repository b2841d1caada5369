/*
 * event/format.c - one event as one line of logfmt or JSON.
 *
 * The values are not trusted. In logfmt a value of plain characters stands bare and any other is
 * quoted, with \n, \r, \t, \", \\ and \xNN for what is not printable. In JSON, bytes that are not
 * UTF-8 become U+FFFD. In both, C1 controls (which drive terminals) are escaped, and characters that
 * turn the direction of a line or end it. A character is written whole or not at all, so a cut line
 * is still valid.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/utf8.h"
#include "event/event_int.h"

#define CHAR_BYTES_MAX 12 /* one character, escaped */

static void put(struct event_line *l, const void *bytes, size_t len)
{
    memcpy(l->at, bytes, len);
    l->at += len;
}

static void put_str(struct event_line *l, const char *s)
{
    put(l, s, strlen(s));
}

static bool has_room(const struct event_line *l, size_t bytes)
{
    return (size_t)(l->limit - l->at) >= bytes;
}

/* What a byte needs: nothing, quotes around its value, or an escape. A table, because every byte of
 * every line is looked at. */
enum { BARE, QUOTED, ESCAPED };
#define BARE_4 BARE, BARE, BARE, BARE
#define BARE_12 BARE_4, BARE_4, BARE_4
#define ESCAPED_4 ESCAPED, ESCAPED, ESCAPED, ESCAPED
#define ESCAPED_16 ESCAPED_4, ESCAPED_4, ESCAPED_4, ESCAPED_4
#define ESCAPED_64 ESCAPED_16, ESCAPED_16, ESCAPED_16, ESCAPED_16
/* clang-format off */
static const uint8_t byte_needs[256] = {
    ESCAPED_16, ESCAPED_16,                         /* controls */
    QUOTED, BARE, ESCAPED, BARE, BARE_12,           /* space ! " # ... */
    BARE_12, BARE, QUOTED, BARE, BARE,              /* 0 ... < = > ? */
    BARE_12, BARE_4,                                /* @ ... */
    BARE_12, ESCAPED, BARE, BARE, BARE,             /* P ... [ \ ] ^ _ */
    BARE_12, BARE_4,                                /* ` ... */
    BARE_12, BARE, BARE, BARE, ESCAPED,             /* p ... ~ DEL */
    ESCAPED_64, ESCAPED_64,                         /* not ASCII */
};
/* clang-format on */

static void put_hex(struct event_line *l, uint8_t c)
{
    char hex[3];

    (void)snprintf(hex, sizeof(hex), "%02x", c);
    put(l, hex, 2);
}

static void put_escape(struct event_line *l, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    char text[7] = {'\\'};

    switch (c) {
    case '"':
    case '\\':
        text[1] = (char)c;
        break;
    case '\n':
        text[1] = 'n';
        break;
    case '\r':
        text[1] = 'r';
        break;
    case '\t':
        text[1] = 't';
        break;
    default:
        memcpy(text, l->json ? "\\u00" : "\\x", l->json ? 4 : 2);
        text[strlen(text)] = hex[c >> 4];
        text[strlen(text)] = hex[c & 15];
    }
    put_str(l, text);
}

/* U+2000 to U+207F, three bytes: they are escaped as it is usual in that format. */
static void put_misleading(struct event_line *l, struct slice s)
{
    if (l->json) {
        put_str(l, "\\u20");
        put_hex(l, (uint8_t)((s.ptr[1] & 1) << 6 | (s.ptr[2] & 0x3f)));
        return;
    }
    for (size_t i = 0; i < 3; i++)
        put_escape(l, s.ptr[i]);
}

/* One character of `s`, which is not plain; returns how many bytes of `s` it took. */
static size_t put_special(struct event_line *l, struct slice s)
{
    size_t len = utf8_len(s);

    if (len == 1) {
        put_escape(l, s.ptr[0]);
        return 1;
    }
    if (len == 2 && s.ptr[0] == 0xc2 && s.ptr[1] < 0xa0) {
        put_str(l, l->json ? "\\u00" : "\\xc2");
        if (l->json)
            put_hex(l, s.ptr[1]);
        else
            put_escape(l, s.ptr[1]);
        return 2;
    }
    if (utf8_is_misleading(slice_sub(s, 0, len))) {
        put_misleading(l, s);
        return len;
    }
    if (len) {
        put(l, s.ptr, len);
        return len;
    }
    if (l->json)
        put_str(l, "\xef\xbf\xbd");
    else
        put_escape(l, s.ptr[0]);
    return 1;
}

static size_t plain_run(struct slice s)
{
    size_t n = 0;

    while (n < s.len && byte_needs[s.ptr[n]] != ESCAPED)
        n++;
    return n;
}

static void put_quoted(struct event_line *l, struct slice s)
{
    put(l, "\"", 1);
    while (s.len) {
        size_t room = (size_t)(l->limit - l->at);
        size_t run = plain_run(slice_sub(s, 0, room - MIN_OF(room, (size_t)CHAR_BYTES_MAX)));

        put(l, s.ptr, run);
        s = slice_from(s, run);
        if (s.len && !has_room(l, CHAR_BYTES_MAX + 1)) {
            put(l, "...", 3); /* in the room kept for the tail */
            l->full = true;
            break;
        }
        if (s.len)
            s = slice_from(s, put_special(l, s));
    }
    put(l, "\"", 1);
}

static bool is_bare(struct slice s)
{
    uint8_t needs = BARE;

    for (size_t i = 0; i < s.len; i++)
        needs |= byte_needs[s.ptr[i]];
    return s.len && needs == BARE;
}

static void put_text(struct event_line *l, struct slice s)
{
    if (!l->json && has_room(l, s.len) && is_bare(s))
        put(l, s.ptr, s.len);
    else
        put_quoted(l, s);
}

static void put_number(struct event_line *l, uint64_t v, bool is_negative)
{
    char text[21];
    size_t at = sizeof(text);

    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    if (is_negative)
        text[--at] = '-';
    put(l, text + at, sizeof(text) - at);
}

/* In functions of their own, so that the other kinds of values do not pay for clearing the buffer. */
static void put_id(struct event_line *l, uint64_t id)
{
    char text[ID_TEXT_MAX];

    put_text(l, slice_make(text, id_format(id, text)));
}

static void put_addr(struct event_line *l, const struct event_field *f)
{
    char text[ADDR_TEXT_MAX];

    if (f->type == EV_TYPE_ADDR)
        addr_format(f->v.addr, text);
    else
        addr_format_ip(f->v.addr, text);
    put_text(l, slice_str(text));
}

static void put_value(struct event_line *l, const struct event_field *f)
{
    switch (f->type) {
    case EV_TYPE_SLICE:
        put_text(l, f->v.text);
        break;
    case EV_TYPE_INT:
        put_number(l, f->v.integer < 0 ? 0 - (uint64_t)f->v.integer : (uint64_t)f->v.integer,
                   f->v.integer < 0);
        break;
    case EV_TYPE_UINT:
        put_number(l, f->v.number, false);
        break;
    case EV_TYPE_BOOL:
        put_str(l, f->v.number ? "true" : "false");
        break;
    case EV_TYPE_ID:
        put_id(l, f->v.number);
        break;
    case EV_TYPE_ADDR:
    case EV_TYPE_IP:
        put_addr(l, f);
        break;
    }
}

void event_line_field(struct event_line *l, const struct event_field *f)
{
    size_t key_len;

    if (!f->key || l->full)
        return;
    key_len = strlen(f->key);
    if (!has_room(l, key_len + EVENT_LINE_FIELD)) {
        l->full = true;
        return;
    }
    put_str(l, l->json ? ",\"" : " ");
    put(l, f->key, key_len);
    put_str(l, l->json ? "\":" : "=");
    put_value(l, f);
}

/* The part down to the second is kept for the thread's next line. */
void event_line_time(struct event_line *l, int64_t wall_ms)
{
    static _Thread_local int64_t kept_s = INT64_MIN;
    static _Thread_local char kept[32];
    int64_t s = wall_ms / MS_PER_S, ms = wall_ms % MS_PER_S;
    char fraction[6];

    if (ms < 0) {
        ms += MS_PER_S;
        s--;
    }
    if (s != kept_s) {
        time_t t = (time_t)s;
        struct tm tm;

        if (!gmtime_r(&t, &tm) || strftime(kept, sizeof(kept), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
            memcpy(kept, "-", 2);
        kept_s = s;
    }
    put_str(l, kept);
    fraction[0] = '.';
    fraction[1] = (char)('0' + ms / 100);
    fraction[2] = (char)('0' + ms / 10 % 10);
    fraction[3] = (char)('0' + ms % 10);
    fraction[4] = 'Z';
    put(l, fraction, 5);
}

static const char *const level_names[] = {"debug", "info", "notice", "warning", "error"};

#define TYPE_NAME(constant, name, level, counter) name,
static const char *const type_names[] = {EVENT_TABLE(TYPE_NAME)};

size_t event_format_line(enum event_format format, int64_t wall_ms, enum event_type type,
                         uint64_t id, const struct event_field *fields, size_t count, char *ret)
{
    struct event_line l = {.at = ret, .limit = ret + EVENT_LINE_MAX - EVENT_LINE_TAIL};

    ASSERT(type < EVENT_TYPES);
    l.json = format == EVENT_JSON;
    if (l.json)
        put_str(&l, "{\"time\":\"");
    event_line_time(&l, wall_ms);
    put_str(&l, l.json ? "\",\"level\":\"" : " ");
    put_str(&l, level_names[event_level_of(type)]);
    put_str(&l, l.json ? "\",\"event\":\"" : " ");
    put_str(&l, type_names[type]);
    if (l.json)
        put(&l, "\"", 1);
    if (id != EVENT_NO_ID)
        event_line_field(&l, &EV_ID("id", id));
    for (size_t i = 0; i < count; i++)
        event_line_field(&l, &fields[i]);
    put_str(&l, l.json ? "}\n" : "\n");
    ASSERT(l.at <= ret + EVENT_LINE_MAX);
    return (size_t)(l.at - ret);
}

struct slice event_err_text(int err)
{
    return slice_str(err_str(err));
}
