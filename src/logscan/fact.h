/*
 * logscan/fact.h - what a mail log says, in one form, whoever wrote it.
 *
 * A format's scanner turns the lines of a chunk into facts: a refusal was said, a message arrived,
 * a recipient was tried. Facts come in the order of the log. What a single line cannot say (which
 * attempt of a message it was, who its recipients are) is worked out after them, by lives.h.
 *
 * Ownership: a fact borrows its text from the chunk it was found in, or from the chunk's arena; both
 * are gone once the facts of the chunk are merged. What lasts longer is copied by the reader.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "smtp/client.h"
#include "smtp/reply.h"

/* One logical reply. The text has its lines joined by single blanks, without code and status code:
 * "452 4.3.1 a" and the rows "452-4.2.2 a", "452 4.2.2 b" are {452, 4.3.1, "a"}, {452, 4.2.2,
 * "a b"}. A status code that differs from the first line's stays in the text. */
struct log_reply {
    uint16_t code; /* 200 to 599; 0: nobody answered, `text` is what our own host made of it */
    struct smtp_enhanced enhanced;
    struct slice text;
};

enum log_issuer {
    ISSUER_RECEIVER,   /* the remote server said it to us */
    ISSUER_OWN_SERVER, /* this host said it to one of its clients */
    ISSUER_OWN_CLIENT, /* this host made it up: no connection, no DNS, suspended, expired */
};
const char *log_issuer_name(enum log_issuer i); /* "receiver", "own-server", "own-client" */

enum log_outcome { OUTCOME_DELIVERED, OUTCOME_DEFERRED, OUTCOME_FAILED };
const char *log_outcome_name(enum log_outcome o); /* "delivered", "deferred", "failed" */

enum fact_kind {
    /* A refusal (4xx, 5xx; others where they are asked for), once for each time the log has it: a
     * protocol log has one for a MAIL, Postfix one for each recipient of it. With code 0: a failure
     * without a reply, or (ISSUER_OWN_SERVER) a refusal of which the log has no code; `outcome` says
     * of which kind. Reports about replies read these and no others. */
    FACT_REPLY,
    /* The message `message` arrived, `number` recipients (0: not told). Again for the same message:
     * more recipients. */
    FACT_ARRIVAL,
    /* `recipient` belongs to `message`, which may not have arrived yet. */
    FACT_RECIPIENT,
    /* An attempt of `message` begins; `number` (not 0): it has so many recipients. */
    FACT_BEGIN,
    /* `recipient` was tried: `outcome`. Empty recipient: each of the message's that is not resolved
     * and has no fact of its own at this time. */
    FACT_ATTEMPT,
    /* `recipient`, or where that is empty each that is not resolved, is given up: too old. */
    FACT_EXPIRY,
    /* `message` is over: facts of the same key that follow are another message's (Postfix' short
     * queue ids come again). */
    FACT_END,
};

/* How the number of an attempt is known. */
enum fact_numbering {
    NUMBERING_BEGIN,     /* by the FACT_BEGINs of the message */
    NUMBERING_TIME,      /* facts of one message with one time are one attempt */
    NUMBERING_RECIPIENT, /* by the attempts of that recipient of that message */
    NUMBERING_GIVEN,     /* `number`, 1 for the first */
    NUMBERING_NONE,      /* it has no message: counted as an attempt, belongs to no life */
};

/* What a FACT_ATTEMPT counts for. A log of mail received counts transactions, and its recipients
 * by domain only. Nothing (0): this host ended it by itself and tried nobody. */
enum {
    COUNTS_TOTAL = 1, /* all, day, provider */
    COUNTS_DOMAIN = 2,
    COUNTS_HOST = 4, /* remote address */
    COUNTS_ALL = 7,
};

struct log_fact {
    uint64_t offset; /* of the deciding line in its file */
    int64_t at_ms;   /* UTC */
    uint8_t kind;    /* enum fact_kind */
    uint8_t issuer;
    uint8_t outcome;
    uint8_t numbering;
    uint8_t counts;
    uint8_t phase;      /* enum smtp_phase */
    bool is_other_host; /* FACT_REPLY: another host of the same attempt said it; no attempt */
    bool is_copy;       /* FACT_ARRIVAL: of the message before, for another recipient, under a key
                           of its own: no message more */
    bool has_seconds;   /* the log's times are whole seconds */
    bool is_from_here;  /* FACT_ARRIVAL: this host itself gave it in */
    bool is_unordered;  /* the log may have an attempt a little before its message's arrival */
    uint32_t number;
    struct log_reply reply;
    struct slice message; /* key of the message in these logs: queue id, message id, spool id */
    struct slice next;    /* FACT_ATTEMPT, handed over to this host itself: the key it got there */
    struct slice sender, recipient; /* addresses without <>; "@domain": no more is told */
    struct slice host;              /* remote host's name, without a last dot; empty: none */
    struct slice address;           /* its address, without port and brackets */
    struct slice source;            /* our address; empty: not told */
    struct slice connector;         /* connector, transport, virtual MTA */
};

/* What an attempt comes to that was answered with this code; 0, no answer: it is tried again. */
static inline enum log_outcome log_code_outcome(unsigned code)
{
    if (code >= 500)
        return OUTCOME_FAILED;
    return code >= 400 || code == 0 ? OUTCOME_DEFERRED : OUTCOME_DELIVERED;
}

/* The first digit of a reply, 2 to 5, also of one of our own server of which the log has no code;
 * 0: nobody answered. */
static inline unsigned log_fact_digit(const struct log_fact *f)
{
    if (f->reply.code == 0 && f->issuer == ISSUER_OWN_SERVER)
        return f->outcome == OUTCOME_FAILED ? 5 : 4;
    return f->reply.code / 100u;
}
