/*
 * message/trace.c - composed in a fixed array whose size is the sum of all caps, then added to the
 * caller's buffer in one piece: one field is written for every message.
 */
#include "message/trace.h"

#include <string.h>

#include "base/assert.h"
#include "message/date.h"

enum {
    NAME_MAX_BYTES = 255,
    ID_MAX_BYTES = 64,
    TLS_MAX_BYTES = 200,
    RECIPIENT_MAX_BYTES = 320,
    LINE_MAX = 78,
    FIELD_MAX = 2048,
};

struct field {
    uint8_t bytes[FIELD_MAX];
    size_t len, line_start;
};

static void put(struct field *f, struct slice s)
{
    ASSERT(s.len <= sizeof(f->bytes) - f->len);
    if (s.len)
        memcpy(f->bytes + f->len, s.ptr, s.len);
    f->len += s.len;
}

static void new_line(struct field *f)
{
    put(f, SLICE_LIT("\r\n"));
    f->line_start = f->len;
    put(f, SLICE_LIT("    "));
}

/* Starts a part of `len` bytes: after a space, or on a new line where it would not fit. */
static void next_part(struct field *f, size_t len)
{
    if (f->len - f->line_start + 1 + len > LINE_MAX)
        new_line(f);
    else
        put(f, SLICE_LIT(" "));
}

static bool is_name_byte(uint8_t c)
{
    return byte_is_alpha(c) || byte_is_digit(c) || c == '.' || c == '-' || c == '_' || c == ':' ||
           c == '[' || c == ']';
}

static bool is_comment_byte(uint8_t c)
{
    return c >= ' ' && c < 0x7f && c != '(' && c != ')' && c != '\\';
}

/* RFC 5322, dot-atom with its @; not what needs quoting, nor what ends a <path>. */
static bool is_plain_address_byte(uint8_t c)
{
    return c > ' ' && c != 0x7f && !memchr("()<>[]:;\\,\"", c, 11);
}

static void put_clean(struct field *f, struct slice s, size_t max, bool (*is_clean)(uint8_t c))
{
    s = slice_sub(s, 0, max);
    for (size_t i = 0; i < s.len; i++)
        put(f, is_clean(s.ptr[i]) ? slice_sub(s, i, 1) : SLICE_LIT("?"));
}

static void put_name(struct field *f, struct slice name)
{
    put_clean(f, name.len ? name : SLICE_LIT("unknown"), NAME_MAX_BYTES, is_name_byte);
}

static void put_from(struct field *f, const struct trace *t)
{
    bool ipv6 = slice_find(t->client_ip, ':') >= 0;

    put(f, SLICE_LIT(" from "));
    put_name(f, t->helo);
    next_part(f, MIN_OF(t->ptr.len, NAME_MAX_BYTES) + t->client_ip.len + sizeof("([IPv6:])"));
    put(f, SLICE_LIT("("));
    put_name(f, t->ptr);
    put(f, ipv6 ? SLICE_LIT(" [IPv6:") : SLICE_LIT(" ["));
    put_clean(f, t->client_ip, NAME_MAX_BYTES, is_name_byte);
    put(f, SLICE_LIT("])"));
    new_line(f);
    put(f, SLICE_LIT("by "));
}

/* RFC 3848 and RFC 6531, section 4.3. */
static void put_protocol(struct field *f, const struct trace *t)
{
    next_part(f, sizeof("with UTF8SMTPSA") - 1);
    put(f, SLICE_LIT("with "));
    if (t->utf8)
        put(f, t->lmtp ? SLICE_LIT("UTF8LMTP") : SLICE_LIT("UTF8SMTP"));
    else if (t->lmtp)
        put(f, SLICE_LIT("LMTP"));
    else
        put(f, t->esmtp ? SLICE_LIT("ESMTP") : SLICE_LIT("SMTP"));
    if (!t->esmtp && !t->lmtp && !t->utf8) /* plain SMTP has no such variants */
        return;
    if (t->tls.len)
        put(f, SLICE_LIT("S"));
    if (t->authenticated)
        put(f, SLICE_LIT("A"));
}

static bool recipient_is_plain(const struct trace *t)
{
    struct slice s = t->recipient;

    if (s.len == 0 || s.len > RECIPIENT_MAX_BYTES)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_plain_address_byte(s.ptr[i]) || (s.ptr[i] >= 0x80 && !t->utf8))
            return false;
    return true;
}

int trace_received(const struct trace *t, struct buf *to)
{
    struct field f;
    char date[DATE_RFC5322_MAX];
    size_t date_len = date_rfc5322(t->at_ms, date);

    f.len = f.line_start = 0;
    put(&f, SLICE_LIT("Received:"));
    if (t->client_ip.len)
        put_from(&f, t);
    else
        put(&f, SLICE_LIT(" by "));
    put_name(&f, t->host);
    put(&f, SLICE_LIT(" (Penstock)"));
    if (t->client_ip.len)
        put_protocol(&f, t);
    next_part(&f, 3 + MIN_OF(t->id.len, ID_MAX_BYTES));
    put(&f, SLICE_LIT("id "));
    put_clean(&f, t->id, ID_MAX_BYTES, is_name_byte);
    if (t->tls.len) {
        new_line(&f);
        put(&f, SLICE_LIT("(using "));
        put_clean(&f, t->tls, TLS_MAX_BYTES, is_comment_byte);
        put(&f, SLICE_LIT(")"));
    }
    if (recipient_is_plain(t)) {
        new_line(&f);
        put(&f, SLICE_LIT("for <"));
        put(&f, t->recipient);
        put(&f, SLICE_LIT(">"));
    }
    put(&f, SLICE_LIT(";"));
    next_part(&f, date_len);
    put(&f, slice_make(date, date_len));
    put(&f, SLICE_LIT("\r\n"));
    return buf_add(to, slice_make(f.bytes, f.len));
}
