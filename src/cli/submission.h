/*
 * cli/submission.h - what a program writes to sendmail's standard input, made into a message for
 * SMTP.
 *
 * Lines end in LF or CRLF or CR there and in CRLF here. The header section gets the From, Date
 * and Message-ID it lacks; Bcc is taken out where recipients are read from the fields (-t). The
 * header is kept in memory, the body goes through a temporary file: a message of any size costs
 * SUBMISSION_HEADER_MAX at most.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

#define SUBMISSION_HEADER_MAX MIB(1)

/* Line ends, a piece at a time: the result is the same for every way of cutting. */
struct line_ends { /* fields are private, but for `ended` */
    bool dot_ends; /* a line of one dot ends the message */
    bool ended;
    bool in_line, has_cr, has_dot;
};
void line_ends_init(struct line_ends *l, bool dot_ends);
/* Appends `in` with its line ends made CRLF. After the final dot nothing more is taken. 0 or the
 * error of `out`. */
MUST_CHECK int line_ends_feed(struct line_ends *l, struct slice in, struct buf *out);
/* The input is over: a last line without an end gets one. */
MUST_CHECK int line_ends_finish(struct line_ends *l, struct buf *out);

struct submission_options {
    struct slice from;      /* the address of a From field to add */
    struct slice full_name; /* its display name; may be empty */
    struct slice host_name; /* for the Message-ID */
    int64_t now_ms;
    uint64_t unique; /* no two messages of a millisecond have the same */
    bool dot_ends;   /* a line of one dot ends the message (no -i) */
    /* -t: called with each address of To, Cc and Bcc (of Resent-To, -Cc, -Bcc where there are
     * such); returns 0 or an error, having said why. NULL: recipients are not looked for. */
    int (*on_recipient)(void *ctx, struct slice address);
    void *ctx;
};

/*
 * The header section (CRLF line ends, without the empty line) as it is to be sent: `header` with
 * what it lacks, without what must not be sent. 0; -EINVAL: a recipient field is wrong; the errors
 * of `out` and of on_recipient. `*why` gets a sentence.
 */
MUST_CHECK int submission_edit_header(struct slice header, const struct submission_options *o,
                                      struct buf *out, struct buf *why);

struct submission { /* fields may be read */
    struct buf header;
    FILE *body; /* from the empty line on; at its start */
    uint64_t body_bytes;
    bool has_8bit;
};
/* Reads `in` to its end (or its final dot). 0; -E2BIG: the header section is too long; -EIO,
 * -ENOSPC, -ENOMEM; and as submission_edit_header(). submission_done() in every case. */
MUST_CHECK int submission_read(struct submission *s, FILE *in, const struct submission_options *o,
                               struct buf *why);
void submission_done(struct submission *s);
