/*
 * message/header.c - the header section, a run of bytes at a time.
 *
 *     LINE_START --name byte--> NAME --colon--> SKIP --LF--> LINE_START
 *         |--blank--> SKIP        `--blank--> NAME_END --colon--> SKIP
 *         |--CR--> LINE_CR --LF--> BODY
 *         `--LF--> BODY
 *     anything else in LINE_START, LINE_CR, NAME or NAME_END -> BODY, malformed
 *
 * Names are short; the long runs (values, the body) are passed over by memchr() and eight bytes
 * at a time, for every byte of every message comes through here.
 */
#include "message/header.h"

#include <string.h>

#include "base/assert.h"

enum { LINE_START = 0, LINE_CR, NAME, NAME_END, SKIP, BODY };
enum { KEEP_NOTHING = 0, KEEP_MESSAGE_ID, KEEP_SUBJECT };

void header_scan_init(struct header_scan *h)
{
    *h = (struct header_scan){.state = LINE_START};
}

/* The value of the field under way goes on with these bytes. */
static void keep(struct header_scan *h, struct slice value)
{
    struct header_text *t = h->keeps == KEEP_SUBJECT ? &h->subject : &h->message_id;

    if (h->keeps == KEEP_NOTHING)
        return;
    for (size_t i = 0; i < value.len && t->len < HEADER_TEXT_KEPT; i++)
        if (value.ptr[i] != '\r' && value.ptr[i] != '\n')
            t->bytes[t->len++] = value.ptr[i];
}

static bool has_8bit(const uint8_t *p, size_t len)
{
    const uint64_t high = UINT64_C(0x8080808080808080);
    uint64_t seen = 0, word;
    size_t i = 0;

    for (; i + 8 <= len; i += 8) {
        memcpy(&word, p + i, sizeof(word));
        seen |= word;
    }
    for (; i < len; i++)
        seen |= (uint64_t)p[i] << 56;
    return seen & high;
}

static const struct {
    const char *name;
    uint32_t field;
} known[] = {
    {"Message-ID", HEADER_MESSAGE_ID},
    {"Date", HEADER_DATE},
    {"From", HEADER_FROM},
    {"Sender", HEADER_SENDER},
    {"To", HEADER_TO},
    {"Cc", HEADER_CC},
    {"Bcc", HEADER_BCC},
    {"Subject", HEADER_SUBJECT},
    {"Return-Path", HEADER_RETURN_PATH},
};

static void field_named(struct header_scan *h)
{
    struct slice name = slice_make(h->name, MIN_OF(h->name_len, HEADER_NAME_KEPT));

    h->keeps = KEEP_NOTHING;
    if (slice_has_prefix_case(name, SLICE_LIT("Resent-")))
        h->fields |= HEADER_RESENT;
    if (h->name_len > HEADER_NAME_KEPT) /* longer than any of these */
        return;
    h->received += slice_eq_case(name, SLICE_LIT("Received"));
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (!slice_eq_case(name, slice_str(known[i].name)))
            continue;
        if (known[i].field & ~h->fields & (HEADER_MESSAGE_ID | HEADER_SUBJECT))
            h->keeps = known[i].field == HEADER_SUBJECT ? KEEP_SUBJECT : KEEP_MESSAGE_ID;
        h->fields |= known[i].field;
    }
}

/* The line turned out to belong to the header section. */
static void line_is_header(struct header_scan *h)
{
    h->state = LINE_START;
    h->lines++;
    h->header_bytes += h->line_bytes;
    h->header_has_8bit |= h->line_has_8bit;
    h->line_bytes = 0;
    h->line_has_8bit = false;
    h->name_len = 0;
}

static void begin_body(struct header_scan *h, bool malformed)
{
    h->state = BODY;
    h->ended = true;
    h->malformed = malformed;
    h->body_has_8bit |= h->line_has_8bit;
}

static bool is_name_byte(uint8_t c)
{
    return c > ' ' && c != ':' && c < 0x7f; /* RFC 5322, ftext */
}

/* One byte at the start of a line or in its name. */
static void take(struct header_scan *h, uint8_t c)
{
    h->line_bytes++;
    h->line_has_8bit |= c >= 0x80;
    if (h->state == LINE_START && (c == '\n' || c == '\r')) {
        if (c == '\n')
            begin_body(h, false);
        else
            h->state = LINE_CR;
    } else if (h->state == LINE_CR) {
        begin_body(h, c != '\n');
    } else if (h->state == LINE_START && (c == ' ' || c == '\t')) {
        /* A continuation of nothing is no header, but it is common after a broken one. */
        if (h->lines == 0) {
            begin_body(h, true);
        } else {
            h->state = SKIP;
            keep(h, slice_make(&c, 1));
        }
    } else if (c == ':' && h->state != LINE_START) {
        field_named(h);
        h->state = SKIP;
    } else if (c == ' ' || c == '\t') {
        h->state = NAME_END; /* obsolete syntax, RFC 5322, section 4.5.3 */
    } else if (is_name_byte(c) && h->state != NAME_END) {
        if (h->name_len < HEADER_NAME_KEPT)
            h->name[h->name_len] = c;
        if (h->name_len <= HEADER_NAME_KEPT)
            h->name_len++;
        h->state = NAME;
    } else {
        begin_body(h, true);
    }
}

/* Passes over the value of a field up to its line end; returns how many bytes. */
static size_t skip(struct header_scan *h, struct slice in)
{
    ptrdiff_t end = slice_find(in, '\n');
    size_t n = end < 0 ? in.len : (size_t)end + 1;

    h->line_bytes += n;
    h->line_has_8bit |= has_8bit(in.ptr, n);
    keep(h, slice_sub(in, 0, n));
    if (end >= 0)
        line_is_header(h);
    return n;
}

void header_scan_feed(struct header_scan *h, struct slice chunk)
{
    size_t i = 0;

    h->total_bytes += chunk.len;
    while (i < chunk.len && h->state != BODY) {
        if (h->state == SKIP)
            i += skip(h, slice_from(chunk, i));
        else
            take(h, chunk.ptr[i++]);
    }
    if (i < chunk.len && !h->body_has_8bit)
        h->body_has_8bit = has_8bit(chunk.ptr + i, chunk.len - i);
}

void header_scan_end(struct header_scan *h)
{
    if (h->state == SKIP)
        line_is_header(h);
    else if (h->state != BODY && h->line_bytes > 0)
        begin_body(h, true);
    ASSERT(h->header_bytes <= h->total_bytes);
}

/* The length of the line at the front of `s`, its LF included. */
static size_t line_len(struct slice s)
{
    ptrdiff_t end = slice_find(s, '\n');

    return end < 0 ? s.len : (size_t)end + 1;
}

int header_next(struct slice *left, struct header_field *ret)
{
    struct slice s = *left;
    size_t name_len = 0, colon, n;

    while (name_len < s.len && is_name_byte(s.ptr[name_len]))
        name_len++;
    colon = name_len;
    while (colon < s.len && (s.ptr[colon] == ' ' || s.ptr[colon] == '\t'))
        colon++;
    if (name_len == 0 || colon >= s.len || s.ptr[colon] != ':')
        return 0;
    n = line_len(s);
    while (n < s.len && (s.ptr[n] == ' ' || s.ptr[n] == '\t'))
        n += line_len(slice_from(s, n));
    ret->name = slice_sub(s, 0, name_len);
    ret->whole = slice_sub(s, 0, n);
    ret->value = slice_from(ret->whole, colon + 1);
    if (ret->value.len && ret->value.ptr[ret->value.len - 1] == '\n')
        ret->value.len--;
    if (ret->value.len && ret->value.ptr[ret->value.len - 1] == '\r')
        ret->value.len--;
    *left = slice_from(s, n);
    return 1;
}
