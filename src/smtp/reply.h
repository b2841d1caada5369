/*
 * smtp/reply.h - replies (RFC 5321, section 4.2) with enhanced status codes (RFC 3463): reading
 * those of a server, writing our own.
 *
 * The peer is not trusted and may cut a reply anywhere, so the parser takes bytes as they come
 * and remembers where it is. It does no I/O, reads no clock, and its memory is bounded by the
 * cap of the caller's buffer. Lines end in CRLF and nothing else.
 *
 * Ownership: the parser is a value inside the caller's struct; it borrows `text` for as long as
 * it lives. Threads: belongs to one connection, hence to one loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

/* "class.subject.detail", RFC 3463, section 2. Class 0: there is none. */
struct smtp_enhanced {
    uint8_t klass; /* 2, 4 or 5 */
    uint16_t subject, detail;
};
#define SMTP_ENHANCED(c, s, d) ((struct smtp_enhanced){.klass = (c), .subject = (s), .detail = (d)})
#define SMTP_NO_ENHANCED ((struct smtp_enhanced){0})

/*
 * Reads a status code at the start of `text`; it must be followed by a blank or the end.
 * True: `*ret` is set and `*ret_used` bytes, the blank included, were read.
 */
bool smtp_enhanced_parse(struct slice text, struct smtp_enhanced *ret, size_t *ret_used);

/* One reply as received. `text` has its lines, status codes included, joined by '\n'; it is valid
 * until the next smtp_reply_feed(). Bytes below 32 (tab aside) and 127 are replaced by '?'. */
struct smtp_reply {
    unsigned code;                 /* 200..599 */
    struct smtp_enhanced enhanced; /* of the first line, where its class fits the code; else none */
    struct slice text;
};

struct smtp_reply_parser { /* fields are private */
    struct buf *text;
    uint16_t code, line_code;
    uint8_t digits, state;
    bool last_line;
};

void smtp_reply_parser_init(struct smtp_reply_parser *p, struct buf *text);

/*
 * Takes bytes of `in`, at most to the end of one reply; what is left belongs to the next one,
 * for a peer may answer a whole pipeline at once.
 *
 * 1: `*ret` is a whole reply, `*ret_used` bytes were taken. 0: all were taken, more are needed.
 * -EPROTO: not a reply. -E2BIG: over the cap. -ENOMEM. An error is final: nothing that comes
 * later on this connection can be trusted, so every further call fails too.
 */
MUST_CHECK int smtp_reply_feed(struct smtp_reply_parser *p, struct slice in, size_t *ret_used,
                               struct smtp_reply *ret);

/*
 * Appends a reply: one line for each line of `text` ('\n' between them), with the code and, where
 * there is one, the status code before each, ended by CRLF. Bytes of `text` that have no place in
 * a reply (controls) become '?'. 0, or the error of `out`.
 */
int smtp_reply_compose(struct buf *out, unsigned code, struct smtp_enhanced enhanced,
                       struct slice text);
