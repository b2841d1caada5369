/*
 * message/header.h - what a server must know of a message's header section while it streams by
 * (RFC 5322, section 2.2): where it ends, how many Received fields it has, which fields a
 * submission would have to add, the texts of Message-ID and Subject for logs, and whether any byte
 * needs 8BITMIME.
 *
 * The scanner is fed the message in chunks cut anywhere and gives the same result for every way
 * of cutting. It takes any bytes. A line that is neither a field, nor a continuation, nor empty
 * ends the header section (`malformed`), as if an empty line stood before it. CRLF or LF ends a
 * line; a CR elsewhere is an ordinary byte. Memory is bounded by the struct. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"

#define HEADER_NAME_KEPT 20 /* no field we look for has a longer name */

enum header_field_id { /* a set of bits: `fields` of the scanner */
                       HEADER_MESSAGE_ID = 1 << 0,
                       HEADER_DATE = 1 << 1,
                       HEADER_FROM = 1 << 2,
                       HEADER_SENDER = 1 << 3,
                       HEADER_TO = 1 << 4,
                       HEADER_CC = 1 << 5,
                       HEADER_BCC = 1 << 6,
                       HEADER_SUBJECT = 1 << 7,
                       HEADER_RETURN_PATH = 1 << 8,
                       HEADER_RESENT = 1 << 9, /* any Resent- field */
};

/* A field's value, cut to what is kept: without the blanks around it and without CR and LF (a fold
 * keeps its blanks). Any other bytes as they came, encoded words too. */
#define HEADER_TEXT_KEPT 256
struct header_text {
    uint16_t len;
    uint8_t bytes[HEADER_TEXT_KEPT];
};
static inline struct slice header_text_slice(const struct header_text *t)
{
    return slice_trim(slice_make(t->bytes, t->len));
}

struct header_scan {
    /* Results, valid at any time for what has been fed. */
    uint32_t received;     /* Received fields */
    uint32_t lines;        /* of the header section, continuations included, the empty one not */
    uint32_t fields;       /* enum header_field_id */
    uint64_t header_bytes; /* of those lines: what comes before the empty or malformed one */
    uint64_t total_bytes;
    bool ended;     /* the body has begun */
    bool malformed; /* ... without an empty line */
    bool header_has_8bit;
    bool body_has_8bit;
    struct header_text message_id, subject; /* of the first such field; empty: there is none */

    /* Private. */
    uint8_t state, name_len, keeps; /* keeps: which text the field's value goes into */
    uint64_t line_bytes;
    bool line_has_8bit;
    uint8_t name[HEADER_NAME_KEPT];
};

void header_scan_init(struct header_scan *h);
void header_scan_feed(struct header_scan *h, struct slice chunk);
/* The message is whole: a last line without an end counts as a line. */
void header_scan_end(struct header_scan *h);
static inline bool header_scan_has_8bit(const struct header_scan *h)
{
    return h->header_has_8bit || h->body_has_8bit;
}

/* One field of a header section that is in memory as a whole. */
struct header_field {
    struct slice name;  /* without the colon and blanks before it */
    struct slice value; /* from after the colon to before the line end, folds included */
    struct slice whole; /* with its line end */
};

/*
 * Takes the next field off the front of `*left`. 1: got one. 0: the header section is over;
 * `*left` is the rest, the empty line that ends it included.
 */
int header_next(struct slice *left, struct header_field *ret);
