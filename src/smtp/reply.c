/*
 * smtp/reply.c - the parser goes through five states:
 *
 *     START -> CODE -> SEP -> TEXT -> LF --last line--> START, and a reply is whole
 *                ^                     `---more lines--> CODE
 *     a wrong byte anywhere -> FAILED, for good
 *
 * Text is taken in runs, all else a byte at a time.
 */
#include "smtp/reply.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

enum { START = 0, CODE, SEP, TEXT, LF, FAILED };

/* ---- status codes ---- */

/* 1 to 3 digits, no leading zero but "0" itself. */
static bool take_number(struct slice text, size_t *at, uint16_t *ret)
{
    size_t start = *at;
    uint16_t n = 0;

    while (*at < text.len && *at - start < 3 && byte_is_digit(text.ptr[*at]))
        n = (uint16_t)(n * 10 + text.ptr[(*at)++] - '0');
    *ret = n;
    return *at > start && (*at - start == 1 || text.ptr[start] != '0');
}

bool smtp_enhanced_parse(struct slice text, struct smtp_enhanced *ret, size_t *ret_used)
{
    struct smtp_enhanced e;
    size_t at = 2;

    if (text.len < 5 || text.ptr[1] != '.')
        return false;
    if (text.ptr[0] != '2' && text.ptr[0] != '4' && text.ptr[0] != '5')
        return false;
    e.klass = (uint8_t)(text.ptr[0] - '0');
    if (!take_number(text, &at, &e.subject) || at >= text.len || text.ptr[at] != '.')
        return false;
    at++;
    if (!take_number(text, &at, &e.detail))
        return false;
    if (at < text.len && text.ptr[at] != ' ' && text.ptr[at] != '\n')
        return false;
    *ret = e;
    *ret_used = at < text.len && text.ptr[at] == ' ' ? at + 1 : at;
    return true;
}

/* ---- reading ---- */

void smtp_reply_parser_init(struct smtp_reply_parser *p, struct buf *text)
{
    *p = (struct smtp_reply_parser){.text = text, .state = START};
}

/* The first digit is 2 to 5, the second 0 to 5 (RFC 5321, section 4.2); some hosts say 6 to 9 as
 * the second, which harms nobody. All lines of a reply have one code. */
static int take_digit(struct smtp_reply_parser *p, uint8_t c)
{
    if (!byte_is_digit(c) || (p->digits == 0 && (c < '2' || c > '5')))
        return -EPROTO;
    p->line_code = (uint16_t)(p->line_code * 10 + c - '0');
    p->state = CODE;
    if (++p->digits < 3)
        return 0;
    if (p->code != 0 && p->code != p->line_code)
        return -EPROTO;
    p->code = p->line_code;
    p->state = SEP;
    return 0;
}

static int take_separator(struct smtp_reply_parser *p, uint8_t c)
{
    p->last_line = c != '-';
    if (c == '\r') { /* a bare code, "354" CRLF, is legal */
        p->state = LF;
        return 0;
    }
    p->state = TEXT;
    return c == '-' || c == ' ' ? 0 : -EPROTO;
}

static int take_end_of_line(struct smtp_reply_parser *p, uint8_t c)
{
    if (c != '\n')
        return -EPROTO;
    p->line_code = 0;
    p->digits = 0;
    p->state = p->last_line ? START : CODE;
    return p->last_line ? 1 : buf_push(p->text, '\n');
}

/* A run of text up to its CR; a bare LF is no end of a line. */
static int take_text(struct smtp_reply_parser *p, struct slice in, size_t *used)
{
    struct slice run = slice_from(in, *used);
    ptrdiff_t cr = slice_find(run, '\r');

    if (cr >= 0)
        run.len = (size_t)cr;
    if (run.len) {
        int r = memchr(run.ptr, '\n', run.len) ? -EPROTO : buf_reserve(p->text, run.len);
        uint8_t *to = buf_tail(p->text);

        if (r < 0)
            return r;
        for (size_t i = 0; i < run.len; i++) {
            uint8_t c = run.ptr[i];

            to[i] = (c < 32 && c != '\t') || c == 127 ? '?' : c;
        }
        buf_grew(p->text, run.len);
    }
    *used += run.len;
    if (cr >= 0) {
        p->state = LF;
        (*used)++;
    }
    return 0;
}

static int take(struct smtp_reply_parser *p, struct slice in, size_t *used)
{
    if (p->state == TEXT)
        return take_text(p, in, used);
    switch (p->state) {
    case START:
        buf_clear(p->text);
        p->code = p->line_code = 0;
        p->digits = 0;
        return take_digit(p, in.ptr[(*used)++]);
    case CODE:
        return take_digit(p, in.ptr[(*used)++]);
    case SEP:
        return take_separator(p, in.ptr[(*used)++]);
    case LF:
        return take_end_of_line(p, in.ptr[(*used)++]);
    default:
        return -EPROTO;
    }
}

int smtp_reply_feed(struct smtp_reply_parser *p, struct slice in, size_t *ret_used,
                    struct smtp_reply *ret)
{
    size_t used = 0, ignored;
    int r = p->state == FAILED ? -EPROTO : 0;

    while (r == 0 && used < in.len)
        r = take(p, in, &used);
    if (r < 0) {
        p->state = FAILED;
        return r;
    }
    *ret_used = used;
    if (r == 1) {
        *ret = (struct smtp_reply){.code = p->code, .text = buf_slice(p->text)};
        if (!smtp_enhanced_parse(ret->text, &ret->enhanced, &ignored) ||
            ret->enhanced.klass != p->code / 100)
            ret->enhanced = SMTP_NO_ENHANCED;
    }
    return r;
}

/* ---- writing ---- */

static size_t put_number(uint8_t *to, unsigned n)
{
    uint8_t digits[10];
    size_t count = 0;

    do
        digits[count++] = (uint8_t)('0' + n % 10);
    while ((n /= 10) > 0);
    for (size_t i = 0; i < count; i++)
        to[i] = digits[count - 1 - i];
    return count;
}

int smtp_reply_compose(struct buf *out, unsigned code, struct smtp_enhanced enhanced,
                       struct slice text)
{
    size_t before = buf_len(out);

    ASSERT(code >= 200 && code <= 599 && enhanced.subject < 1000 && enhanced.detail < 1000);
    for (;;) {
        ptrdiff_t lf = slice_find(text, '\n');
        struct slice line = lf >= 0 ? slice_sub(text, 0, (size_t)lf) : text;
        int r = buf_reserve(out, line.len + 32);
        uint8_t *p;

        if (r < 0) {
            buf_truncate(out, before);
            return r;
        }
        p = buf_tail(out);
        p += put_number(p, code);
        *p++ = lf >= 0 ? '-' : ' ';
        if (enhanced.klass) {
            *p++ = (uint8_t)('0' + enhanced.klass);
            *p++ = '.';
            p += put_number(p, enhanced.subject);
            *p++ = '.';
            p += put_number(p, enhanced.detail);
            *p++ = ' ';
        }
        for (size_t i = 0; i < line.len; i++)
            *p++ = line.ptr[i] < 32 || line.ptr[i] == 127 ? '?' : line.ptr[i];
        *p++ = '\r';
        *p++ = '\n';
        buf_grew(out, (size_t)(p - buf_tail(out)));
        if (lf < 0)
            return 0;
        text = slice_from(text, (size_t)lf + 1);
    }
}
