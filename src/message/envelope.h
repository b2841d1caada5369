/*
 * message/envelope.h - the envelope of one message (RFC 5321, section 2.3.1; RFC 3461), and the
 * marks that record what happened to it, as bytes for the spool and back.
 *
 * The encoding is versioned and bounded; the decoder trusts nothing. A mark says what one attempt
 * did to some recipients; folding the marks into the envelope in order gives the present state.
 * Pure; one thread at a time; all strings are slices borrowed from the encoded bytes (or, when
 * building, from the caller).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

#define ENVELOPE_RECIPIENTS_MAX 10000
#define ENVELOPE_RECIPIENT_BYTES_MAX 72 /* what one takes, encoded, besides its strings */
#define ENVELOPE_TEXT_MAX 512           /* reply text kept per result; longer ones are cut */

enum envelope_flags {
    ENVELOPE_8BITMIME = 1 << 0, /* BODY=8BITMIME, or 8-bit bytes were seen */
    ENVELOPE_SMTPUTF8 = 1 << 1,
    ENVELOPE_BINARYMIME = 1 << 2, /* reserved: not offered */
    ENVELOPE_RET_FULL = 1 << 3,
    ENVELOPE_RET_HDRS = 1 << 4,
    ENVELOPE_IS_DSN = 1 << 5, /* made by us; its failure makes no further one */
    ENVELOPE_HELD = 1 << 6,   /* by the operator */
    ENVELOPE_TLS = 1 << 7,    /* received under TLS */
};

enum notify_flags { /* RFC 3461, section 4.1; 0: not given */
                    NOTIFY_NEVER = 1 << 0,
                    NOTIFY_SUCCESS = 1 << 1,
                    NOTIFY_FAILURE = 1 << 2,
                    NOTIFY_DELAY = 1 << 3,
};

enum recipient_state {
    RECIPIENT_PENDING = 0,
    RECIPIENT_DELIVERED,
    RECIPIENT_RELAYED, /* delivered to a host without DSN support: a "relayed" report may be due */
    RECIPIENT_FAILED,  /* for good; its DSN, where one is due, is in the queue */
    RECIPIENT_REMOVED, /* by the operator, silently */
};

struct recipient {
    struct slice address; /* "local@domain", the domain in lower case; never empty */
    struct slice orcpt;   /* as given in ORCPT=, "rfc822;x+2By@z" (xtext kept); may be empty */
    uint8_t notify;
    /* The state: the caller building a new envelope leaves these zero. */
    uint8_t state; /* enum recipient_state */
    bool delay_dsn_sent;
    uint16_t attempts;
    uint16_t last_code;      /* SMTP reply code; 0: no reply (network) */
    int64_t last_attempt_ms; /* wall; 0: never */
    int64_t next_attempt_ms; /* wall; 0: at once */
    struct slice last_text;  /* "host [ip] said: 452 4.3.1 ..." or what the network did */
};

struct envelope {
    struct slice sender; /* without angle brackets; empty: the null sender */
    struct slice envid;  /* xtext as given; may be empty */
    uint32_t flags;
    int64_t arrival_ms;     /* wall */
    uint64_t body_bytes;    /* of the stored message, our Received header included */
    struct slice client_ip; /* text; empty for our own messages */
    struct slice client_helo;
    struct slice client_name; /* listener name or authenticated user, for logs; may be empty */
    struct recipient *recipients;
    size_t recipient_count;
};

/*
 * Appends the encoding to `to`, the recipients' states included (so that an envelope with its
 * marks folded in can replace both: spool_rewrite()). Texts are cut to ENVELOPE_TEXT_MAX. About 20
 * bytes, 3 a recipient, and the strings. 0, -E2BIG (the buf's cap, or too many recipients),
 * -ENOMEM; on failure nothing is added.
 */
MUST_CHECK int envelope_encode(const struct envelope *e, struct buf *to);

/*
 * Decodes, allocating nothing; slices point into `bytes`. `recipients` has room for `room`; the
 * real count comes in ret->recipient_count. 0; -ENOBUFS: more recipients than room (the count and
 * the other fields are set, `recipients` is not touched: come again; a `room` of 0 asks for just
 * that); -ERR_DAMAGED: `*ret` is untouched.
 */
MUST_CHECK int envelope_decode(struct slice bytes, struct recipient *recipients, size_t room,
                               struct envelope *ret);

/* What one attempt (or the operator) did to some recipients of a message. */
enum mark_kind {
    MARK_ATTEMPT = 1, /* results of recipients, and their next time */
    MARK_HOLD,
    MARK_RELEASE,
    MARK_DELAY_DSN, /* the delay DSN for these recipients is in the queue */
};

struct mark_result {
    uint32_t recipient; /* index in the envelope */
    uint8_t state;      /* enum recipient_state: PENDING means deferred */
    uint16_t code;
    struct slice text;
};

struct mark {
    enum mark_kind kind;
    int64_t at_ms;
    int64_t next_attempt_ms; /* for those still pending */
    const struct mark_result *results;
    size_t result_count;
};

/* Appends the encoding. Results alike one after another share one text. 0, -E2BIG (the buf's cap:
 * give fewer results), -ENOMEM; on failure nothing is added. */
MUST_CHECK int mark_encode(const struct mark *m, struct buf *to);

/* Folds `marks` (u32 length and bytes each, as spool_read() gives them) into `e` in order; slices
 * of texts point into `marks`. 0 or -ERR_DAMAGED (what came before the damage is applied). */
MUST_CHECK int envelope_apply_marks(struct envelope *e, struct slice marks);

/*
 * Walks marks for `queue show`: calls fn with each, in order, until it returns non-zero, which is
 * returned. A mark of more than MARK_RESULTS_AT_ONCE results comes in several calls that differ
 * in their results only, so that nothing is allocated. 0 at the end, -ERR_DAMAGED.
 */
#define MARK_RESULTS_AT_ONCE 64
MUST_CHECK int marks_each(struct slice marks, int (*fn)(void *ctx, const struct mark *m),
                          void *ctx);

/* Whether any recipient is still pending. */
bool envelope_is_pending(const struct envelope *e);
/* "example.org" of "a@example.org" (borrowed); empty where there is no @ (postmaster). */
struct slice address_domain(struct slice address);
/* Whether all bytes are below 0x80: an address with others needs SMTPUTF8 (RFC 6531). */
bool address_is_ascii(struct slice address);
