/*
 * message/dsn_original.c - the original message as the third part of a report.
 *
 *     START --judged--> INSIDE --line end--> START
 *       `--header section over, or too long--> STOPPED
 *
 * The start of a line is held back until it is known that it may stand there: in a whole message
 * it must not be our boundary (a space goes before it then), in a header section it must be a
 * field or a continuation. Long lines are broken with a space at the start of the rest, which
 * keeps fields whole and cannot make a boundary.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "message/dsn.h"

enum { START = 0, INSIDE, STOPPED };
enum { LINE_MAX = 990 };

static int end_line(struct dsn_writer *w, struct buf *to)
{
    w->column = 0;
    w->hold_len = 0;
    w->written += 2;
    w->any_line = true;
    if (w->state != STOPPED)
        w->state = START;
    return buf_add(to, SLICE_LIT("\r\n"));
}

/* Writes clean bytes of one line, broken where they are too many. */
static int write_bytes(struct dsn_writer *w, struct slice bytes, struct buf *to)
{
    int r = 0;

    while (r == 0 && bytes.len > 0) {
        struct slice part;

        if (w->column == LINE_MAX) {
            r = buf_add(to, SLICE_LIT("\r\n "));
            w->column = 1;
            w->written += 3;
        }
        part = slice_sub(bytes, 0, (size_t)(LINE_MAX - w->column));
        if (r == 0)
            r = buf_add(to, part);
        w->column = (uint16_t)(w->column + part.len);
        w->written += part.len;
        bytes = slice_from(bytes, part.len);
    }
    return r;
}

static int write_held(struct dsn_writer *w, struct buf *to)
{
    size_t n = w->hold_len;

    w->hold_len = 0;
    w->state = INSIDE;
    return write_bytes(w, slice_make(w->hold, n), to);
}

/* Whether the held bytes are the delimiter of our boundary, or its first ones. */
static bool held_is_delimiter(const struct dsn_writer *w)
{
    size_t len = 2 + strlen(w->boundary), n = MIN_OF(w->hold_len, len);

    return memcmp(w->hold, "--", MIN_OF(n, 2)) == 0 &&
           (n <= 2 || memcmp(w->hold + 2, w->boundary, n - 2) == 0);
}

/* One more byte of a line's start, in a whole message. */
static int judge_line(struct dsn_writer *w, struct buf *to)
{
    int r = 0;

    if (held_is_delimiter(w)) {
        if (w->hold_len < 2 + strlen(w->boundary))
            return 0;
        r = write_bytes(w, SLICE_LIT(" "), to);
    }
    return r < 0 ? r : write_held(w, to);
}

/* One more byte of a line's start, in a header section: a name, blanks, a colon. */
static int judge_field(struct dsn_writer *w, struct buf *to)
{
    uint8_t c = w->hold[w->hold_len - 1];
    uint8_t before = w->hold_len > 1 ? w->hold[w->hold_len - 2] : 0;
    bool blank = c == ' ' || c == '\t';

    if (w->hold_len == 1 && blank && w->any_line)
        return write_held(w, to);
    if (c == ':' && w->hold_len > 1 &&
        !(held_is_delimiter(w) && w->hold_len > 2 + strlen(w->boundary)))
        return write_held(w, to);
    if (c == ':' || c >= 0x80 || (blank && w->hold_len == 1) ||
        (!blank && (before == ' ' || before == '\t')) || w->hold_len == sizeof(w->hold))
        w->state = STOPPED;
    return 0;
}

static int take_at_start(struct dsn_writer *w, uint8_t c, struct buf *to)
{
    ASSERT(w->hold_len < sizeof(w->hold));
    w->hold[w->hold_len++] = c;
    return w->full ? judge_line(w, to) : judge_field(w, to);
}

/* A line of the original ends. */
static int take_line_end(struct dsn_writer *w, struct buf *to)
{
    int r = 0;

    if (w->full) {
        if (w->state == START)
            r = write_held(w, to);
        return r < 0 ? r : end_line(w, to);
    }
    if (w->state == START) { /* empty, or no field */
        w->state = STOPPED;
        return 0;
    }
    r = end_line(w, to);
    if (w->written >= DSN_HEADERS_MAX)
        w->state = STOPPED;
    return r;
}

static bool is_ordinary(const struct dsn_writer *w, uint8_t c)
{
    return c >= 0x80 ? w->eight_bit : (c >= ' ' && c != 0x7f) || c == '\t';
}

/* Bytes that need no look, in the middle of a line; returns how many. */
static size_t ordinary_run(const struct dsn_writer *w, struct slice in)
{
    size_t n = 0;

    while (n < in.len && is_ordinary(w, in.ptr[n]))
        n++;
    return n;
}

static int take_byte(struct dsn_writer *w, uint8_t c, struct buf *to)
{
    int r = 0;

    if (!is_ordinary(w, c))
        c = '?';
    r = w->state == START ? take_at_start(w, c, to) : write_bytes(w, slice_make(&c, 1), to);
    if (!w->full && w->state == INSIDE && w->written >= DSN_HEADERS_MAX)
        w->state = STOPPED;
    return r;
}

/* One byte, with CR and LF made out: CRLF or LF ends a line, a CR alone is an odd byte. */
static int take(struct dsn_writer *w, uint8_t c, struct buf *to)
{
    int r = 0;

    if (w->cr && c != '\n') {
        w->cr = false;
        r = take_byte(w, '\r', to);
    }
    if (r < 0 || w->state == STOPPED)
        return r;
    w->cr = c == '\r';
    if (w->cr)
        return 0;
    return c == '\n' ? take_line_end(w, to) : take_byte(w, c, to);
}

int dsn_add_original(struct dsn_writer *w, struct slice chunk, struct buf *to)
{
    size_t at = 0;
    int r = 0;

    while (r == 0 && at < chunk.len && w->state != STOPPED) {
        size_t run = 0;

        if (w->full && w->state == INSIDE && !w->cr)
            run = ordinary_run(w, slice_from(chunk, at));
        if (run > 0)
            r = write_bytes(w, slice_sub(chunk, at, run), to);
        else
            r = take(w, chunk.ptr[at], to);
        at += MAX_OF(run, 1);
    }
    if (r < 0)
        return r;
    return w->state == STOPPED;
}

int dsn_end(struct dsn_writer *w, struct buf *to)
{
    int r = 0;

    if (w->full && w->state == START && w->hold_len > 0)
        r = write_held(w, to);
    w->state = STOPPED;
    if (r == 0 && w->column > 0)
        r = end_line(w, to);
    if (r == 0)
        r = buf_addf(to, "\r\n--%s--\r\n", w->boundary);
    return r;
}
