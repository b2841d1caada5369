/*
 * receive/session.c - one client's connection: the server machine of smtp/ on a stream, the policy
 * of a listener, and time-outs. Its beginning is in welcome.c, one mail of it in mail.c.
 *
 *     stream --on_data--> feed() --handler--> submission --> spool's writer
 *        ^                  |                     |
 *        `---- flush() <----'<-- session_committed()
 *
 * What the machine cannot take yet (a decision is open, the body is paused) waits in `stash`; the
 * stream is paused meanwhile, so the stash holds what one read brought, at most. Only a session in
 * the tarpit is heard on with a little in its stash, which is how its end is noticed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/id.h"
#include "event/event.h"
#include "governor/tally.h"
#include "receive/session_int.h"

#define HEARD_WHILE_DELAYED KIB(4)
#define OUT_KEPT 512 /* most replies fit; a larger buffer is given back */
#define CLOSED_BY_ERROR "Remote(SocketError)"

struct session *session_of_node(struct list *node)
{
    return LIST_ENTRY(node, struct session, node);
}

struct slice session_client(const struct session *s)
{
    return slice_str(s->ip);
}

bool session_client_is_within(struct session *s, enum receive_rate rate, uint32_t limit)
{
    struct receiver *r = s->receiver;

    return !limit || !s->is_limited ||
           client_may(&r->shared->client_rates[rate][s->bucket], limit, loop_now_ms(r->loop));
}

void session_count_client_refused(struct session *s, uint64_t announced)
{
    counter_add(COUNTER_REFUSED_CLIENT_LIMIT, 1);
    tally_refused(&s->receiver->tally, s->class, TALLY_REFUSED_CLIENT, s->ip, announced);
}

/* ---- the end ---- */

/* An empty stash needs no memory. */
static void account_stash(struct session *s)
{
    (void)buf_relieve(&s->stash);
    intake_account(s->receiver->shared, &s->accounted, buf_memory(&s->stash));
}

static void session_free(struct session *s)
{
    struct receive_shared *shared = s->receiver->shared;

    list_del(&s->node);
    s->receiver->session_count--;
    (void)atomic_fetch_sub(&shared->connections, 1);
    if (s->is_limited)
        (void)atomic_fetch_sub(&shared->by_client[s->bucket], 1);
    smtp_server_done(&s->smtp);
    buf_done(&s->out);
    buf_done(&s->stash);
    account_stash(s);
    policy_unref(&s->policy);
    free(s);
}

/* Closes the connection; the struct goes when the machine is not on the stack. */
void session_end(struct session *s)
{
    if (s->is_dead)
        return;
    s->is_dead = true;
    loop_timer_stop(&s->timer);
    loop_timer_stop(&s->lifetime);
    smtp_server_eof(&s->smtp); /* on_reset, where a transaction is open */
    if (s->commit_is_out) {    /* the message is whole: it is kept without its client */
        s->submission->session = NULL;
        s->submission = NULL;
    }
    protocol_log_close(&s->log, s->closed_by);
    stream_close(&s->stream);
#ifndef __clang_analyzer__ /* it does not see that in_feed stays set while we are called from feed() */
    if (!s->in_feed)
        session_free(s);
#endif
}

int session_write_out(struct session *s)
{
    struct slice out = buf_slice(&s->out);
    int r = out.len ? stream_write(s->stream, out) : 0;

    if (r < 0 && r != -ENOBUFS && r != -ENOMEM)
        s->closed_by = CLOSED_BY_ERROR;
    buf_clear(&s->out);
    if (buf_memory(&s->out) > OUT_KEPT)
        (void)buf_relieve(&s->out);
    return r;
}

size_t session_relieve(struct session *s)
{
    return buf_relieve(&s->out) + smtp_server_relieve(&s->smtp) +
           (s->submission && !s->commit_is_out ? submission_relieve(s->submission) : 0);
}

/* Outside feed() the session may be gone after it. */
static void flush(struct session *s)
{
    if (session_write_out(s) < 0)
        session_end(s);
}

static void say_goodbye(struct session *s, const char *text)
{
    smtp_server_shutdown(&s->smtp, 421, SMTP_ENHANCED(4, 3, 2), slice_str(text));
    if (!s->in_feed) {
        (void)session_write_out(s); /* it ends one way or the other */
        session_end(s);
    }
}

void session_stop(struct session *s, bool even_in_message)
{
    if (!even_in_message && !s->delayed &&
        (s->commit_is_out || smtp_server_in_transaction(&s->smtp)))
        return;
    /* A 421 now would say that the message was refused, and it may be durable already. */
    if (s->commit_is_out) {
        session_end(s);
        return;
    }
    say_goodbye(s, "Service is shutting down, try again later");
}

/* ---- time-outs ---- */

void session_message_begins(struct session *s)
{
    s->message_ends_ms =
        loop_now_ms(s->receiver->loop) + session_config(s)->smtp.time_outs.message_ms;
}

/* At most `most_ms`, less where the message under way has lasted long: trickling does not help. */
static uint64_t within_message(const struct session *s, uint64_t most_ms)
{
    uint64_t now_ms = loop_now_ms(s->receiver->loop);
    uint64_t left_ms = s->message_ends_ms > now_ms ? s->message_ends_ms - now_ms : 0;

    return s->message_ends_ms ? MIN_OF(most_ms, left_ms) : most_ms;
}

/* A command has its time from the last reply on: pieces of its line do not start it anew. */
static void set_timer(struct session *s, bool has_replied)
{
    const struct config_smtp_time_outs *t = &session_config(s)->smtp.time_outs;
    bool awaited_command = s->awaits_command;

    s->awaits_command = false;
    switch (smtp_server_phase(&s->smtp)) {
    case SMTP_SERVER_NEW: /* the timer is the greeting's */
        break;
    case SMTP_SERVER_COMMAND:
        if (!smtp_server_in_transaction(&s->smtp))
            s->message_ends_ms = 0;
        s->awaits_command = true;
        if (has_replied || !awaited_command)
            loop_timer_start(&s->timer, within_message(s, t->command_ms));
        break;
    case SMTP_SERVER_BODY:
        if (!s->message_ends_ms) /* a refused chunk, which is no message and comes all the same */
            session_message_begins(s);
        loop_timer_start(&s->timer, within_message(s, t->data_ms));
        break;
    case SMTP_SERVER_DECISION: /* it is our turn: the client does not wait for itself */
    case SMTP_SERVER_CLOSED:
    default:
        if (!s->delayed)
            loop_timer_stop(&s->timer);
        break;
    }
}

void session_on_timer(struct loop_timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timer);
    bool trickles = within_message(s, 1) == 0;

    event(EVENT_CLIENT_LOST, EVENT_NO_ID, EV_STR("client", s->ip),
          EV_SLICE("helo", session_helo(s)),
          EV_STR("why", trickles ? "the message is over smtp.time_outs.message"
                                 : "it was silent for too long"));
    say_goodbye(s, trickles ? "The message has lasted too long" : "Timed out waiting for you");
}

void session_on_lifetime(struct loop_timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, lifetime);

    if (s->commit_is_out) { /* its answer is near */
        loop_timer_start(&s->lifetime, MS_PER_S);
        return;
    }
    event(EVENT_CLIENT_LOST, EVENT_NO_ID, EV_STR("client", s->ip),
          EV_SLICE("helo", session_helo(s)),
          EV_STR("why", "the session is over smtp.time_outs.session"));
    say_goodbye(s, "The session has lasted too long");
}

/* ---- bytes ---- */

static void start_tls(struct session *s)
{
    flush(s);
    buf_clear(&s->stash); /* plain bytes behind STARTTLS are an injection: never used */
    if (s->is_dead)
        return;
    loop_timer_start(&s->timer, session_config(s)->smtp.time_outs.tls_ms);
    if (stream_start_tls(s->stream, s->policy->tls, slice_make(NULL, 0)) < 0)
        session_end(s);
    else
        stream_resume(s->stream);
}

/* Commands that were refused for what they are; the reply to each has said why. */
static void log_rejected(struct session *s)
{
    uint32_t errors = smtp_server_errors(&s->smtp);

    if (errors > s->errors + s->refused_recipients)
        event(EVENT_COMMAND_REJECTED, EVENT_NO_ID, EV_STR("client", s->ip),
              EV_SLICE("helo", session_helo(s)), EV_UINT("errors", errors));
    s->errors = errors;
    s->refused_recipients = 0;
}

static bool must_pause(const struct session *s, enum smtp_server_next next)
{
    return next == SMTP_SERVER_PAUSED ||
           buf_len(&s->stash) > (s->delayed ? HEARD_WHILE_DELAYED : 0);
}

static void after_feed(struct session *s, enum smtp_server_next next)
{
    bool has_replied = buf_len(&s->out) > 0;

    log_rejected(s);
    switch (next) {
    case SMTP_SERVER_MORE:
        flush(s);
        if (s->peer_is_done)
            session_end(s);
        break;
    case SMTP_SERVER_WAIT: /* most clients wait for their reply, and need not be paused */
    case SMTP_SERVER_PAUSED:
        flush(s);
        if (!s->is_dead && must_pause(s, next))
            stream_pause(s->stream);
        break;
    case SMTP_SERVER_TLS:
        start_tls(s);
        return;
    case SMTP_SERVER_CLOSE:
        flush(s);
        session_end(s);
        return;
    }
    if (!s->is_dead)
        set_timer(s, has_replied);
}

/* Feeds the stash and then `data`; what is not taken becomes the stash. */
static void feed(struct session *s, struct slice data)
{
    enum smtp_server_next next;
    size_t used = 0;

    s->in_feed = true;
    if (buf_len(&s->stash)) {
        if (data.len && buf_add(&s->stash, data) < 0)
            session_end(s);
        next = smtp_server_feed(&s->smtp, buf_slice(&s->stash), &used);
        buf_consume(&s->stash, used);
    } else {
        next = smtp_server_feed(&s->smtp, data, &used);
        if (used < data.len && buf_add(&s->stash, slice_from(data, used)) < 0)
            session_end(s);
    }
    account_stash(s);
    if (!s->is_dead)
        after_feed(s, next);
    s->in_feed = false;
    if (s->is_dead)
        session_free(s);
}

void session_go_on(struct session *s)
{
    if (s->is_dead || s->in_feed)
        return;
    stream_resume(s->stream);
    feed(s, slice_make(NULL, 0));
}

void session_resume_body(struct session *s)
{
    smtp_server_resume(&s->smtp);
    session_go_on(s);
}

void session_committed(struct session *s, int result, const struct submission *sub)
{
    char text[64], id_text[ID_TEXT_MAX];
    int n;

    s->submission = NULL;
    s->commit_is_out = false;
    s->messages++;
    if (result < 0) {
        smtp_server_answer(&s->smtp, mail_commit_failed(s, result, sub));
    } else {
        (void)id_format(sub->id, id_text);
        n = snprintf(text, sizeof(text), "Ok: queued as %s", id_text);
        smtp_server_answer(&s->smtp, smtp_say(250, SMTP_ENHANCED(2, 0, 0),
                                              slice_make(text, (size_t)MAX_OF(n, 0))));
    }
    session_go_on(s);
}

static void on_data(void *ctx, struct slice data)
{
    feed(ctx, data);
}

static void on_tls(void *ctx, int err)
{
    struct session *s = ctx;

    if (err < 0) {
        event(EVENT_TLS_FAILED, EVENT_NO_ID, EV_STR("client", s->ip),
              EV_STR("why", stream_tls_error(s->stream)));
        protocol_log_tls(&s->log, NULL, NULL, stream_tls_error(s->stream));
        session_end(s);
        return;
    }
    event(EVENT_TLS_STARTED, EVENT_NO_ID, EV_STR("client", s->ip),
          EV_STR("version", stream_tls_version(s->stream)),
          EV_STR("cipher", stream_tls_cipher(s->stream)));
    protocol_log_tls(&s->log, stream_tls_version(s->stream), stream_tls_cipher(s->stream), NULL);
    smtp_server_tls_started(&s->smtp);
    set_timer(s, /* has_replied= */ true);
}

static void on_end(void *ctx, int err)
{
    struct session *s = ctx;

    s->closed_by = err < 0 ? CLOSED_BY_ERROR : "Remote";
    if (err == 0 && s->commit_is_out) { /* it may still read that its message is taken */
        s->peer_is_done = true;
        return;
    }
    if (smtp_server_in_transaction(&s->smtp))
        event(EVENT_CLIENT_LOST, EVENT_NO_ID, EV_STR("client", s->ip),
              EV_SLICE("helo", session_helo(s)),
              EV_STR("why", s->delayed ? "it closed while its MAIL was delayed"
                                       : "it closed in the middle of a message"),
              EV_ERR("error", err));
    else
        event(EVENT_CLIENT_DISCONNECTED, EVENT_NO_ID, EV_STR("client", s->ip),
              EV_UINT("messages", s->messages));
    session_end(s);
}

const struct stream_handler session_stream_handler = {
    .on_data = on_data,
    .on_tls = on_tls,
    .on_end = on_end,
};
