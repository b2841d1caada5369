/*
 * message/dsn.h - delivery status notifications (RFC 3461, 3462, 3464; RFC 6533 for SMTPUTF8).
 *
 * A report is written in three steps, so that a large original never has to be in memory:
 *
 *     dsn_begin()          our header, the part for people, the part for programs, and the head
 *                          of the third part
 *     dsn_add_original()   the original message, in chunks cut anywhere
 *     dsn_end()            the closing boundary
 *
 * The original's bytes are hostile. Whatever they are, the report's lines are at most 998 bytes
 * and end in CRLF, no byte is 8-bit unless the part says so, and no line of the original can be
 * taken for a boundary. Everything a remote host said is cleaned the same way.
 *
 * Engine: no I/O, no clock, no randomness of its own. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "message/envelope.h"

#define DSN_BOUNDARY_MAX 64
#define DSN_HEADERS_MAX KIB(64) /* of the original's header section; the rest is left out */
#define DSN_RECIPIENTS_MAX 500  /* in one report; the caller makes several when there are more */

enum dsn_kind {
    DSN_FAILURE = 1,
    DSN_DELAY,
    DSN_SUCCESS, /* delivered, or relayed to a host that makes no reports */
};

/* Whether the sender wants such a report about this recipient: NOTIFY and its defaults (RFC 3461,
 * section 4.1). Never for the null sender, nor about a report of our own. */
bool dsn_wanted(const struct envelope *e, const struct recipient *r, enum dsn_kind kind);

struct dsn_recipient {
    const struct recipient *recipient;
    bool relayed;            /* DSN_SUCCESS: relayed; else delivered */
    struct slice status;     /* "5.1.1"; empty: taken from the reply or the recipient's last_text
                                where one begins "550 5.1.1 ", else made from kind and last_code */
    struct slice remote_mta; /* name of the host that replied; empty: none did */
    struct slice reply;      /* its reply, "550 5.1.1 no such user", lines joined by '\n';
                                empty: there was none, recipient->last_text says what happened */
};

struct dsn {
    enum dsn_kind kind;
    const struct envelope *envelope; /* of the original; its sender gets the report */
    const struct dsn_recipient *recipients;
    size_t recipient_count;   /* 1..DSN_RECIPIENTS_MAX */
    struct slice hostname;    /* ours, in ASCII: Reporting-MTA */
    struct slice from;        /* address of the From field; empty: MAILER-DAEMON@hostname */
    struct slice from_name;   /* its display name; empty: Mail Delivery System */
    struct slice id;          /* queue id of the report */
    struct slice original_id; /* queue id of the original */
    uint64_t random;          /* fresh for each report: makes the boundary unguessable */
    int64_t now_ms;
    int64_t retry_until_ms; /* DSN_DELAY: when we give up; 0: not said */
    uint64_t full_max;      /* RET=FULL returns a whole original of at most so many bytes */
};

struct dsn_writer { /* fields are private */
    char boundary[DSN_BOUNDARY_MAX];
    bool full, utf8, eight_bit;
    bool cr;       /* the last byte was a CR: it waits for its LF */
    bool any_line; /* of the original has been written */
    uint8_t state;
    uint16_t column; /* bytes written of the present line */
    uint8_t hold_len;
    uint8_t hold[DSN_BOUNDARY_MAX + 16]; /* the start of a line not yet judged */
    uint64_t written;
};

/*
 * Starts a report. 0, -E2BIG (the buf's cap), -ENOMEM. The head is about 2 KiB and 1 KiB a
 * recipient.
 */
MUST_CHECK int dsn_begin(struct dsn_writer *w, const struct dsn *d, struct buf *to);
/*
 * What is returned of the original: the whole, when the report is of a failure, RET=HDRS was not
 * given and it is not over full_max; else its header section, without 8-bit bytes unless the
 * original is an SMTPUTF8 message. 1: nothing more of the original is wanted. 0: go on. -E2BIG,
 * -ENOMEM.
 */
MUST_CHECK int dsn_add_original(struct dsn_writer *w, struct slice chunk, struct buf *to);
/* May come at any time after dsn_begin(): an original that could not be read to its end still
 * makes a well-formed report. 0, -E2BIG, -ENOMEM. */
MUST_CHECK int dsn_end(struct dsn_writer *w, struct buf *to);

/* The envelope of the report: null sender, to the original's sender; `storage` becomes its one
 * recipient. SMTPUTF8 is needed only when the sender's address is not ASCII: 8BITMIME carries the
 * rest. Set body_bytes after it. Slices are borrowed from `d`. */
void dsn_envelope(const struct dsn *d, struct recipient *storage, struct envelope *ret);
