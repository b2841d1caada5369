/*
 * smtp/server.h - the server's side of a session (RFC 5321), as a state machine: bytes in, replies
 * and calls to the owner out. No I/O, no clock, no randomness.
 *
 *     NEW --greet--> HELLO --EHLO--> READY --MAIL--> MAIL --RCPT--> RCPT --DATA--> BODY --> READY
 *                                       ^                             `--BDAT--> CHUNK --'
 *     any state --QUIT, 421, shutdown--> CLOSED      READY --STARTTLS--> TLS --tls_started--> HELLO
 *
 * Use: init, greet, then smtp_server_feed() whatever arrives. Replies are appended to `out`, which
 * the owner sends and clears after each call, so that a pipeline is answered with one write.
 *
 * What the machine refuses by itself: whatever breaks the protocol or a limit of the config. What
 * is policy it asks the owner by the handler's calls.
 *
 * Ownership: a value inside the caller's struct; config, handler, ctx and out are borrowed. Of its
 * own it holds at most one command line (command_max bytes), and only while a cut one is waited
 * for. Threads: belongs to one connection, hence to one loop. The owner must not call the machine
 * from inside a call of the handler.
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

/*
 * What the owner decides. `code` 0: not known yet (WAIT); the machine takes no more bytes until
 * smtp_server_answer(). 2xx: yes, with the machine's usual text where `text` is empty. 4xx and
 * 5xx: no, with this reply. 421 also ends the session, as does `close` with any other. `text` is
 * read when the call returns; it may have several lines, '\n' between them.
 */
struct smtp_decision {
    unsigned code;
    struct smtp_enhanced enhanced;
    struct slice text;
    bool close;
};

static inline struct smtp_decision smtp_accept(void)
{
    return (struct smtp_decision){.code = 250};
}
static inline struct smtp_decision smtp_wait(void)
{
    return (struct smtp_decision){.code = 0};
}
static inline struct smtp_decision smtp_say(unsigned code, struct smtp_enhanced enhanced,
                                            struct slice text)
{
    return (struct smtp_decision){.code = code, .enhanced = enhanced, .text = text};
}

enum smtp_reset {
    SMTP_RESET_COMMAND, /* RSET, or EHLO again */
    SMTP_RESET_REFUSED, /* the machine or the owner refused the body */
    SMTP_RESET_CLOSED,  /* QUIT in the middle, connection lost, shutdown */
};

/* All slices and pointers are valid during the call only. */
struct smtp_server_handler {
    /* HELO, EHLO or LHLO with `name` as given (checked to be a domain or a literal; see
     * config.lax_hello). A new one ends a transaction: on_reset came before. */
    struct smtp_decision (*on_hello)(void *ctx, enum smtp_verb verb, struct slice name);
    /* A transaction begins when this is called; it ends with on_body_end or on_reset, or with the
     * refusal of this very MAIL. */
    struct smtp_decision (*on_mail)(void *ctx, const struct smtp_mail *mail);
    struct smtp_decision (*on_rcpt)(void *ctx, const struct smtp_rcpt *rcpt);
    /* DATA, or the first BDAT, with at least one recipient accepted. A refusal ends the
     * transaction (on_reset, REFUSED). */
    struct smtp_decision (*on_data_begin)(void *ctx);
    /* The next body bytes, dots unstuffed, lines ended by CRLF, in place. False: no more for now;
     * these bytes count as taken, and feed returns PAUSED until smtp_server_resume(). (Where the
     * last chunk of BDAT is over with them, its end follows at once.) */
    bool (*on_body)(void *ctx, struct slice body);
    /* The body is whole, and clean. Usually WAIT until it is durable. The transaction is over now
     * and its end is the owner's: no on_reset comes for it, even if the connection is lost. */
    struct smtp_decision (*on_body_end)(void *ctx, const struct smtp_body_facts *facts);
    /* The transaction is off: forget it. */
    void (*on_reset)(void *ctx, enum smtp_reset reason);
    /* STARTTLS. 2xx: the 220 is in `out` and feed returns TLS. Not WAIT. NULL where not offered. */
    struct smtp_decision (*on_starttls)(void *ctx);
    void (*on_quit)(void *ctx); /* may be NULL */
    /* A broken command, or a recipient refused for good, before its reply: what errors_max counts.
     * NULL: its reply comes. Else the session is closed with 421 4.7.0 and that text instead. May
     * be NULL. */
    const char *(*on_error)(void *ctx);
    /* For a log of what was said; either may be NULL. A command line that is whole and not too
     * long, without its CRLF, before anything is done about it. A reply, all its lines as on the
     * wire, when it is in `out`. Bodies are not told. */
    void (*on_line)(void *ctx, struct slice line);
    void (*on_reply)(void *ctx, struct slice wire);
};

struct smtp_server_config {
    struct slice hostname;   /* in the greeting and the EHLO reply */
    struct slice banner;     /* after the host name in the greeting; "ESMTP" where empty */
    unsigned extensions;     /* enum smtp_extension: what is offered */
    uint64_t size_max;       /* octets of a message; 0: no limit */
    uint32_t recipients_max; /* of one transaction; over it 452 4.5.3. 0: no limit */
    uint32_t messages_max;   /* of one session, LIMITS MAILMAX; over it 421. 0: no limit */
    uint32_t command_max;    /* octets of a command line, CRLF included; 512 at least */
    uint32_t text_line_max;  /* octets of a body line without CRLF; 0: no limit */
    uint32_t errors_max;     /* broken commands and recipients refused for good (5yz) before
                                421 4.7.0; 0: no limit */
    uint32_t idle_max; /* commands that move no mail (NOOP, RSET, VRFY...) in a row; 0: none */
    bool lmtp;         /* RFC 2033: LHLO, and a reply for each recipient after the body */
    bool needs_tls;    /* MAIL before STARTTLS gets 530 5.7.0 */
    bool lax_hello;    /* takes any word for a HELO name */
    bool refuse_early_talker; /* bytes before the greeting: 554 5.5.1 and close */
};
/* Every field that has a usual value has it; hostname is the caller's. */
#define SMTP_SERVER_CONFIG_INIT                                                                    \
    ((struct smtp_server_config){.extensions = SMTP_EXT_USUAL,                                     \
                                 .recipients_max = 1000,                                           \
                                 .command_max = 2048,                                              \
                                 .text_line_max = SMTP_TEXT_LINE_MAX,                              \
                                 .errors_max = 20,                                                 \
                                 .idle_max = 100,                                                  \
                                 .lax_hello = true,                                                \
                                 .refuse_early_talker = true})

struct smtp_server { /* fields are private */
    const struct smtp_server_config *config;
    const struct smtp_server_handler *handler;
    void *ctx;
    struct buf *out;
    struct buf line; /* of a cut command */
    struct smtp_dot_decoder dot;
    uint64_t chunk_left;
    uint32_t recipients, messages, errors, idle_commands;
    uint8_t state, waiting, skip;
    bool in_transaction, has_hello, is_esmtp, is_tls, smtputf8, is_paused;
    bool saw_cr, uses_bdat, chunk_is_last, refuses_body;
    bool mail_was_refused; /* what a pipeline brings behind it is no error of the peer's */
};

void smtp_server_init(struct smtp_server *s, const struct smtp_server_config *config,
                      const struct smtp_server_handler *handler, void *ctx, struct buf *out);
/* Gives back memory that it does not need now; the bytes. */
size_t smtp_server_relieve(struct smtp_server *s);
/* Frees its buffer. Calls nothing: say smtp_server_eof() before, where a transaction may be
 * open. */
void smtp_server_done(struct smtp_server *s);

enum smtp_server_next {
    SMTP_SERVER_MORE = 0, /* all bytes were taken; more may come */
    SMTP_SERVER_WAIT,     /* a decision is open: smtp_server_answer(), then feed the rest, be it
                             empty */
    SMTP_SERVER_PAUSED,   /* on_body wants no more: smtp_server_resume(), then the same */
    SMTP_SERVER_TLS,      /* send `out`, do the handshake, smtp_server_tls_started() */
    SMTP_SERVER_CLOSE,    /* send `out` and close; nothing more is taken */
};

/* Appends the 220. */
void smtp_server_greet(struct smtp_server *s);

/*
 * Takes `*ret_used` bytes of `in`; all of them unless the result is another than MORE. What is
 * left is the owner's to keep and feed again. With an empty `in` it tells the present state. Before
 * greet it is WAIT, unless the config refuses early talkers. When
 * `out` cannot grow (the owner's cap: the peer does not read) the session ends: CLOSE.
 */
enum smtp_server_next smtp_server_feed(struct smtp_server *s, struct slice in, size_t *ret_used);

/* The decision that was waited for. */
void smtp_server_answer(struct smtp_server *s, struct smtp_decision decision);
void smtp_server_resume(struct smtp_server *s);
/* The handshake ended well: the session begins anew, without greeting (RFC 3207, section 4.2). */
void smtp_server_tls_started(struct smtp_server *s);
/* The connection is lost, or the owner gives it up: on_reset where a transaction is open. */
void smtp_server_eof(struct smtp_server *s);
/*
 * Ends the session with a reply, 421 as a rule (time-out, end of service, too many connections);
 * before greet it is the greeting. An open transaction is reset, an open decision of on_body_end
 * stays the owner's but its answer is no longer sent. Then send `out` and close.
 */
void smtp_server_shutdown(struct smtp_server *s, unsigned code, struct smtp_enhanced enhanced,
                          struct slice text);

/* Where it is, for time-outs (RFC 5321, section 4.5.3.2.7: 5 minutes for each) and listings. */
enum smtp_server_phase {
    SMTP_SERVER_NEW,
    SMTP_SERVER_COMMAND,  /* the peer is to send a command */
    SMTP_SERVER_BODY,     /* the peer is to send body */
    SMTP_SERVER_DECISION, /* the owner is to answer or resume */
    SMTP_SERVER_CLOSED,
};
enum smtp_server_phase smtp_server_phase(const struct smtp_server *s);
/* Errors since the last message that was taken (what errors_max counts). */
static inline uint32_t smtp_server_errors(const struct smtp_server *s)
{
    return s->errors;
}
static inline bool smtp_server_in_transaction(const struct smtp_server *s)
{
    return s->in_transaction;
}
