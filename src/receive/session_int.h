/*
 * receive/session_int.h - private to the files that are one session: session.c (bytes, time-outs,
 * the end), welcome.c (who is greeted and who is turned away) and mail.c (what the machine of smtp/
 * asks: one mail).
 *
 * Threads: a session belongs to its receiver's loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/slice.h"
#include "config/config.h"
#include "event/exchange_log.h"
#include "governor/gate.h"
#include "io/loop.h"
#include "io/stream.h"
#include "receive/receive_int.h"
#include "smtp/server.h"

#define SESSION_HELO_MAX 256

/* A MAIL whose reply waits: the command's line is gone when the wait is over. */
struct delayed_mail {
    struct smtp_mail mail;
    uint8_t envid[]; /* what mail.envid points to */
};

struct session {
    struct list node;
    struct receiver *receiver;
    struct policy *policy;
    struct stream *stream;
    struct smtp_server smtp;
    struct buf out, stash;
    struct loop_timer timer, lifetime;
    struct submission *submission;
    struct delayed_mail *delayed; /* in the tarpit; it has a place there */
    uint64_t accounted;           /* of shared->body_memory: the stash */
    uint64_t message_ends_ms;     /* the message under way must be whole then; 0: there is none */
    uint32_t bucket, errors, messages;
    uint32_t begun;              /* messages let in */
    uint32_t refused_recipients; /* since the last reply: errors that the log has already */
    enum mail_class class;
    bool is_limited; /* the limits for one client are for it */
    bool in_feed, is_dead, is_esmtp, commit_is_out, awaits_command;
    bool peer_is_done; /* it closed its side, and waits for our last reply */
    uint8_t helo_len;
    const char *closed_by; /* as the protocol log has it */
    char helo[SESSION_HELO_MAX];
    char ip[ADDR_TEXT_MAX];
    struct protocol_log log;
};

static inline const struct config *session_config(const struct session *s)
{
    return s->policy->config;
}

static inline struct slice session_hostname(const struct session *s)
{
    return slice_str(session_config(s)->server.hostname);
}

static inline struct slice session_helo(const struct session *s)
{
    return slice_make(s->helo, s->helo_len);
}

/* ---- session.c ---- */

extern const struct stream_handler session_stream_handler;
/* Timers. */
void session_on_timer(struct loop_timer *t);
void session_on_lifetime(struct loop_timer *t);
/* A message begins: it must be whole within smtp.time_outs.message. */
void session_message_begins(struct session *s);
/* Feeds what was said and could not be taken yet. The session may be gone after it. */
void session_go_on(struct session *s);
/* Sends the replies that are made. 0 or stream_write()'s error, after which only the end is left. */
int session_write_out(struct session *s);
/* Closes the connection. Outside a call of the machine the session is gone after it. */
void session_end(struct session *s);
/* May the client do one thing more that `limit` a minute bounds (0: nothing does)? Counts it. */
bool session_client_is_within(struct session *s, enum receive_rate rate, uint32_t limit);
/* It may not: one more refusal, of `announced` bytes. */
void session_count_client_refused(struct session *s, uint64_t announced);

/* ---- mail.c ---- */

extern const struct smtp_server_handler mail_handler;
/* Leaves the tarpit, where the session is in it. */
void mail_end_delay(struct session *s);
/* The reply to a message that was let in and is not taken; counted and told. */
struct smtp_decision mail_commit_failed(struct session *s, int result,
                                        const struct submission *sub);
