/*
 * smtp/client.h - the client's side of a session, SMTP (RFC 5321) or LMTP (RFC 2033), as a state
 * machine: the peer's bytes and the owner's mail in, commands and results out. No I/O, no clock.
 *
 *     GREETING -> HELLO -> [STARTTLS -> TLS -> HELLO] -> IDLE -> MAIL .. END -> IDLE -> ... -> QUIT
 *
 * Use: init; feed what arrives; after every call send `out`, clear it, and do what
 * smtp_client_wants() says. With PIPELINING a transaction is MAIL, RCPT, ..., DATA in one write;
 * with CHUNKING too and a body of at most `eager_body_max` the body goes with them, so that a
 * small message costs one write and one read.
 *
 * Every recipient of a transaction gets exactly one result, whatever the peer does. What goes
 * wrong while there is no transaction (greeting, EHLO, TLS) is in smtp_client_failure().
 *
 * BODY=8BITMIME is asked for where offered; where it is not, 8-bit mail is sent as it is: we do
 * not rewrite bodies, and hosts that cannot take 8 bits are a memory. SMTPUTF8 where needed and not
 * offered fails with 5.6.7 (RFC 6531, section 3.5), a message over the peer's SIZE with 5.3.4.
 *
 * Ownership: a value inside the caller's struct; config, handler, ctx and out are borrowed; a
 * transaction and what it points to are borrowed from begin until on_done. Threads: belongs to one
 * connection, hence to one loop. The owner must not call the machine from inside a call of the
 * handler.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "smtp/command.h"
#include "smtp/dot.h"
#include "smtp/reply.h"

#define SMTP_CLIENT_RECIPIENTS_MAX 1024 /* of one transaction */

/* Where a session is, and where a result came from. */
enum smtp_phase {
    SMTP_PHASE_CONNECT, /* the owner's: before the first byte */
    SMTP_PHASE_GREETING,
    SMTP_PHASE_HELLO,
    SMTP_PHASE_STARTTLS,
    SMTP_PHASE_TLS, /* the owner's: the handshake */
    SMTP_PHASE_IDLE,
    SMTP_PHASE_MAIL,
    SMTP_PHASE_RCPT,
    SMTP_PHASE_DATA, /* waiting for the 354 */
    SMTP_PHASE_BODY, /* sending it */
    SMTP_PHASE_END,  /* waiting for the reply to the whole message */
    SMTP_PHASE_QUIT,
    SMTP_PHASE_CLOSED,
};
const char *smtp_phase_name(enum smtp_phase phase); /* "greeting", "mail", "end of data" ... */
/* RFC 5321, section 4.5.3.2: how long a client waits at least, in this phase. */
uint32_t smtp_phase_timeout_s(enum smtp_phase phase);

enum smtp_outcome { SMTP_DELIVERED, SMTP_DEFERRED, SMTP_FAILED };

struct smtp_result {
    enum smtp_outcome outcome;
    enum smtp_phase phase;
    unsigned code;                 /* of the reply; 0: the peer did not say this, see `err` */
    struct smtp_enhanced enhanced; /* the peer's, or ours where code is 0 */
    int err; /* code 0: -EPROTO, -E2BIG (reply too long), what smtp_client_eof() was given, or
                -EOPNOTSUPP: the peer lacks an extension we need; -EMSGSIZE: over its SIZE */
    struct slice text; /* of the reply, lines joined by '\n'; else a sentence on `err`; valid
                          during the call */
    /* The body was sent whole and no reply came: the peer may have taken it. */
    bool is_unknown;
};

struct smtp_client_handler {
    /* Exactly once for each recipient of the transaction, in no particular order. */
    void (*on_result)(void *ctx, size_t recipient, const struct smtp_result *result);
    /* All results were given: the transaction may be freed. */
    void (*on_done)(void *ctx);
    /* For a log of what is said; either may be NULL. A command, without its CRLF, when it is in
     * `out`. A reply, before anything is done about it. Bodies are not told. */
    void (*on_command)(void *ctx, struct slice line);
    void (*on_reply)(void *ctx, const struct smtp_reply *reply);
};

enum smtp_client_tls { SMTP_TLS_NEVER, SMTP_TLS_MAY, SMTP_TLS_MUST };

struct smtp_client_config {
    struct slice hello_name;
    enum smtp_client_tls tls;
    unsigned extensions_ignored; /* enum smtp_extension: not used even when offered */
    uint32_t reply_max;          /* octets of one reply */
    uint64_t eager_body_max;     /* a body up to here goes out with its envelope */
    bool lmtp;
};
#define SMTP_CLIENT_CONFIG_INIT                                                                    \
    ((struct smtp_client_config){.tls = SMTP_TLS_MAY, .reply_max = 65536, .eager_body_max = 65536})

struct smtp_recipient {
    struct slice address;
    struct slice orcpt; /* "rfc822;xtext" ready to send; empty: none */
    unsigned notify;    /* enum smtp_notify */
};

struct smtp_transaction {
    struct slice sender; /* empty: the null sender */
    const struct smtp_recipient *recipients;
    size_t recipient_count; /* 1..SMTP_CLIENT_RECIPIENTS_MAX, and smtp_client_recipients_max() */
    uint64_t body_bytes;    /* exactly what smtp_client_body() will be given in all */
    bool is_8bit;
    bool smtputf8; /* its headers need SMTPUTF8; addresses are looked at in any case */
    enum smtp_ret ret;
    struct slice envid; /* xtext ready to send; empty: none */
};

struct smtp_client { /* fields are private */
    const struct smtp_client_config *config;
    const struct smtp_client_handler *handler;
    void *ctx;
    struct buf *out;
    struct buf text; /* of the reply being read */
    struct smtp_reply_parser parser;
    struct smtp_dot_encoder dot;
    const struct smtp_transaction *transaction;
    struct smtp_result failure;
    uint64_t size_max, body_left;
    uint32_t extensions, recipients_max, messages_max, messages;
    uint32_t rcpts_sent, rcpts_answered, accepted, lmtp_next;
    uint32_t replies; /* taken so far; not private: time-outs count from the last one */
    uint8_t awaits;   /* enum smtp_phase: whose reply is next */
    bool used_helo, is_tls, has_failure, needs_reset, awaits_reset, needs_utf8;
    bool uses_bdat, data_sent, body_open, body_sent, end_seen;
    uint64_t resolved[SMTP_CLIENT_RECIPIENTS_MAX / 64];
};

void smtp_client_init(struct smtp_client *c, const struct smtp_client_config *config,
                      const struct smtp_client_handler *handler, void *ctx, struct buf *out);
/* Frees its buffers. Calls nothing: say smtp_client_eof() before, where results may be due. */
void smtp_client_done(struct smtp_client *c);

enum smtp_client_wants {
    SMTP_CLIENT_REPLY,       /* wait for the peer */
    SMTP_CLIENT_TLS,         /* send `out`, do the handshake, smtp_client_tls_started() or _eof() */
    SMTP_CLIENT_TRANSACTION, /* idle: smtp_client_begin(), or smtp_client_quit() */
    SMTP_CLIENT_BODY,        /* smtp_client_body() */
    SMTP_CLIENT_CLOSE,       /* send `out` and close */
};
enum smtp_client_wants smtp_client_wants(const struct smtp_client *c);
enum smtp_phase smtp_client_phase(const struct smtp_client *c);

/* Takes all of `in`. Results come by the handler during the call. */
void smtp_client_feed(struct smtp_client *c, struct slice in);

/* Only when it wants a TRANSACTION. Results may come during the call (SMTPUTF8, SIZE): then
 * on_done too, and it wants a TRANSACTION again. Strings of the transaction hold no CR or LF. */
void smtp_client_begin(struct smtp_client *c, const struct smtp_transaction *t);

/*
 * Only when it wants a BODY: appends the next bytes of it to `out`, stuffed or framed. With the
 * last of the transaction's body_bytes it ends the body by itself; an empty body is ended by an
 * empty chunk. 0, or the error of `out` (nothing was taken; send and clear it, come again).
 */
MUST_CHECK int smtp_client_body(struct smtp_client *c, struct slice chunk);
uint64_t smtp_client_body_left(const struct smtp_client *c);

/* The handshake ended well; `out` has the new EHLO. */
void smtp_client_tls_started(struct smtp_client *c);

/* The connection is lost, timed out, or given up (the body could not be read): `err` is 0 for a
 * close by the peer, else -Exxx. Results for all that is outstanding; then it wants CLOSE. */
void smtp_client_eof(struct smtp_client *c, int err);

/* Appends QUIT; call it when idle. The owner may close at once or wait for the reply. */
void smtp_client_quit(struct smtp_client *c);

/* Why there can be no (more) transaction, once it wants CLOSE; NULL where it ended in order. Its
 * text is valid until smtp_client_done(). An outcome of FAILED (554 at the greeting) is this host's
 * word only: another one of the domain may think otherwise. */
const struct smtp_result *smtp_client_failure(const struct smtp_client *c);

/* After EHLO: what the peer offers, and its limits. */
unsigned smtp_client_extensions(const struct smtp_client *c);
uint32_t smtp_client_recipients_max(const struct smtp_client *c); /* LIMITS RCPTMAX, or ours */
