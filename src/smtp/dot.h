/*
 * smtp/dot.h - the body of a message on the wire (RFC 5321, sections 4.1.1.4 and 4.5.2).
 *
 * Decoding is strict: only CRLF ends a line and only CRLF "." CRLF ends the data. Everything else
 * that some host somewhere takes for a line end (a bare CR, a bare LF) is noted, as are NULs and
 * over-long lines, and never ends anything: so there is no message in which we and another host
 * can disagree about where it ends, which is how mail is smuggled.
 *
 * Both directions work on long runs of bytes (64 at a time), hand out slices of the input, and go
 * on at any cut. Pure; values without pointers; allocate nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

/* RFC 5321, section 4.5.3.1.6, without the CRLF. */
#define SMTP_TEXT_LINE_MAX 998

/* What was seen of a body so far. */
struct smtp_body_facts {
    uint64_t bytes;        /* decoded */
    uint64_t longest_line; /* without its CRLF */
    bool has_bare_cr, has_bare_lf, has_nul;
    bool has_long_line;   /* over the limit given at the start */
    bool has_8bit;        /* a byte over 127, anywhere */
    bool has_8bit_header; /* one before the first empty line */
    bool ends_in_crlf;    /* or is empty */
};

struct smtp_dot_decoder { /* fields are private but for `facts` */
    struct smtp_body_facts facts;
    uint32_t line_max;
    uint64_t line_len;
    uint8_t state;
    bool is_dotted, in_header;
};

/* `is_dotted`: DATA, with stuffing and a final dot. Else BDAT: the owner knows the length, and the
 * decoder only looks. `line_max` 0: lines may have any length. */
void smtp_dot_decoder_init(struct smtp_dot_decoder *d, bool is_dotted, uint32_t line_max);

enum smtp_dot {
    SMTP_DOT_MORE = 0, /* all of `in` was taken; there is no run */
    SMTP_DOT_RUN,      /* `*ret_run` is the next run of body */
    SMTP_DOT_END,      /* the final dot and its CRLF were taken; there is no run */
};
/*
 * Takes `*ret_used` bytes of `in`. The run points into `in`, or at static bytes (a CRLF that was
 * cut). Call again with the rest until MORE or END; nothing may be fed after END.
 */
enum smtp_dot smtp_dot_decode(struct smtp_dot_decoder *d, struct slice in, size_t *ret_used,
                              struct slice *ret_run);

/* Undotted bodies only: the body is over. A CR held back by a cut becomes a bare CR in `facts`;
 * the run it makes (or an empty one) is returned. */
struct slice smtp_dot_decode_end(struct smtp_dot_decoder *d);

struct smtp_dot_encoder { /* fields are private */
    uint8_t state;
};

void smtp_dot_encoder_init(struct smtp_dot_encoder *e);
/* Appends `body` with its dots stuffed. 0, or the error of `out`, after which `e` is unchanged. */
MUST_CHECK int smtp_dot_encode(struct smtp_dot_encoder *e, struct slice body, struct buf *out);
/* Appends the end: CRLF where the body lacks it, the dot, CRLF. */
MUST_CHECK int smtp_dot_encode_end(struct smtp_dot_encoder *e, struct buf *out);
