/*
 * receive/session.c - one client's connection: the server machine of smtp/ on a stream, the policy
 * of a listener, and time-outs.
 *
 *     stream --on_data--> feed() --handler--> submission --> spool's writer
 *        ^                  |                     |
 *        `---- flush() <----'<-- session_committed()
 *
 * What the machine cannot take yet (a decision is open, the body is paused) waits in `stash`; the
 * stream is paused meanwhile, so the stash holds what one read brought, at most.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/id.h"
#include "config/config.h"
#include "event/event.h"
#include "governor/gate.h"
#include "governor/governor.h"
#include "governor/tally.h"
#include "io/tls.h"
#include "message/trace.h"
#include "receive/receive_int.h"

#define OUT_MAX KIB(128)
#define STASH_MAX KIB(128)
#define HELO_MAX 256
#define OUT_KEPT 512 /* most replies fit; a larger buffer is given back */
#define TLS_TEXT_MAX 96
#define CLOSED_BY_ERROR "Remote(SocketError)"

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
    char helo[HELO_MAX];
    char ip[ADDR_TEXT_MAX];
    struct protocol_log log;
};

struct session *session_of_node(struct list *node)
{
    return LIST_ENTRY(node, struct session, node);
}

static const struct config *config_of(const struct session *s)
{
    return s->policy->config;
}

static struct slice hostname_of(const struct session *s)
{
    return slice_str(config_of(s)->server.hostname);
}

static struct slice helo_of(const struct session *s)
{
    return slice_make(s->helo, s->helo_len);
}

struct slice session_client(const struct session *s)
{
    return slice_str(s->ip);
}

static bool client_is_within(struct session *s, enum receive_rate rate, uint32_t limit)
{
    struct receiver *r = s->receiver;

    return !limit || !s->is_limited ||
           client_may(&r->shared->client_rates[rate][s->bucket], limit, loop_now_ms(r->loop));
}

static void count_client_refused(struct session *s, uint64_t announced)
{
    counter_add(COUNTER_REFUSED_CLIENT_LIMIT, 1);
    tally_refused(&s->receiver->tally, s->class, TALLY_REFUSED_CLIENT, s->ip, announced);
}

/* ---- the end ---- */

/* Leaves the tarpit, where it is in it. */
static void end_delay(struct session *s)
{
    if (!s->delayed)
        return;
    intake_end_delay(s->receiver->shared);
    free(s->delayed);
    s->delayed = NULL;
}

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
static void session_end(struct session *s)
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

static int write_out(struct session *s)
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
    if (write_out(s) < 0)
        session_end(s);
}

static void say_goodbye(struct session *s, const char *text)
{
    smtp_server_shutdown(&s->smtp, 421, SMTP_ENHANCED(4, 3, 2), slice_str(text));
    if (!s->in_feed) {
        (void)write_out(s); /* it ends one way or the other */
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

static void message_begins(struct session *s)
{
    s->message_ends_ms = loop_now_ms(s->receiver->loop) + config_of(s)->smtp.time_outs.message_ms;
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
    const struct config_smtp_time_outs *t = &config_of(s)->smtp.time_outs;
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
            message_begins(s);
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

static void on_timer(struct loop_timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timer);
    bool trickles = within_message(s, 1) == 0;

    event(EVENT_CLIENT_LOST, EVENT_NO_ID, EV_STR("client", s->ip), EV_SLICE("helo", helo_of(s)),
          EV_STR("why", trickles ? "the message is over smtp.time_outs.message"
                                 : "it was silent for too long"));
    say_goodbye(s, trickles ? "The message has lasted too long" : "Timed out waiting for you");
}

static void on_lifetime(struct loop_timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, lifetime);

    if (s->commit_is_out) { /* its answer is near */
        loop_timer_start(&s->lifetime, MS_PER_S);
        return;
    }
    event(EVENT_CLIENT_LOST, EVENT_NO_ID, EV_STR("client", s->ip), EV_SLICE("helo", helo_of(s)),
          EV_STR("why", "the session is over smtp.time_outs.session"));
    say_goodbye(s, "The session has lasted too long");
}

/* ---- what the machine asks ---- */

/* In the middle of a message. */
static struct smtp_decision no_memory(struct session *s)
{
    counter_add(COUNTER_REFUSED_4XX, 1);
    return smtp_say(452, SMTP_ENHANCED(4, 3, 1),
                    intake_words(config_of(s), GOVERNOR_MEMORY, s->receiver->words));
}

static struct smtp_decision on_hello(void *ctx, enum smtp_verb verb, struct slice name)
{
    struct session *s = ctx;

    s->is_esmtp = verb != SMTP_VERB_HELO;
    s->helo_len = (uint8_t)MIN_OF(name.len, HELO_MAX - 1);
    for (size_t i = 0; i < s->helo_len; i++)
        s->helo[i] = (char)name.ptr[i];
    return smtp_accept();
}

/* ---- MAIL ---- */

/* One more refusal for want of room. `late`: the message had been let in. */
static struct smtp_decision refuse_for_room(struct session *s, struct slice from, uint64_t size,
                                            uint8_t resource, bool late)
{
    struct receiver *r = s->receiver;

    tally_refused(&r->tally, s->class,
                  late                             ? TALLY_REFUSED_LATE
                  : resource == GATE_RESOURCE_SIZE ? TALLY_REFUSED_SIZE
                                                   : TALLY_REFUSED,
                  s->ip, size);
    counter_add(COUNTER_REFUSED_4XX, 1);
    counter_add(late ? COUNTER_REFUSED_LATE : COUNTER_REFUSED_PRESSURE, 1);
    if (intake_may_tell(r, config_of(s)))
        event(EVENT_MESSAGE_REFUSED, EVENT_NO_ID, EV_STR("client", s->ip),
              EV_STR("class", mail_class_name(s->class)), EV_SLICE("from", from),
              EV_UINT("size", size), EV_UINT("code", 452), EV_STR("resource", gate_token(resource)),
              EV_STR("at", late ? "end of data" : "MAIL"));
    else
        counter_add(event_counter(EVENT_MESSAGE_REFUSED), 1);
    return smtp_say(452, SMTP_ENHANCED(4, 3, 1), intake_words(config_of(s), resource, r->words));
}

static struct smtp_decision refuse_mail(struct session *s, const struct smtp_mail *mail,
                                        uint8_t resource)
{
    return refuse_for_room(s, smtp_address_mailbox(&mail->sender), mail->size, resource,
                           /* late= */ false);
}

static struct smtp_decision refuse_for_rate(struct session *s, const struct smtp_mail *mail)
{
    count_client_refused(s, mail->size);
    counter_add(COUNTER_REFUSED_4XX, 1);
    if (intake_may_tell(s->receiver, config_of(s)))
        event(EVENT_MESSAGE_REFUSED, EVENT_NO_ID, EV_STR("client", s->ip),
              EV_SLICE("from", smtp_address_mailbox(&mail->sender)), EV_UINT("size", mail->size),
              EV_UINT("code", 450),
              EV_STR("why", "the client is over smtp.messages_per_client_minute_max"));
    else
        counter_add(event_counter(EVENT_MESSAGE_REFUSED), 1);
    return smtp_say(450, SMTP_ENHANCED(4, 7, 1),
                    SLICE_LIT("Too many messages from your address in a minute, try again later"));
}

static struct smtp_decision begin_message(struct session *s, const struct smtp_mail *mail,
                                          uint64_t reserved)
{
    struct submission *sub = submission_new(s->receiver, s, s->class, reserved);

    if (!sub) {
        spool_unreserve(s->receiver->shared->spool, reserved);
        return refuse_mail(s, mail, GOVERNOR_MEMORY);
    }
    if (submission_set_sender(sub, mail) < 0) {
        submission_abort(&sub);
        return refuse_mail(s, mail, GOVERNOR_MEMORY);
    }
    s->submission = sub;
    track_begin(sub, s->policy, !s->is_limited, s->stream, &s->log, ++s->begun);
    s->receiver->tally.counts[s->class][TALLY_ACCEPTED]++;
    return smtp_accept();
}

static void on_delay_over(struct loop_timer *t);

/* With the reply that may come of it. */
static void log_delay(struct session *s, const struct intake_answer *a)
{
    char words[INTAKE_WORDS_MAX], reply[sizeof("452 4.3.1 ") + INTAKE_WORDS_MAX];
    int n;

    if (!protocol_log_is_on(&s->log))
        return;
    n = snprintf(reply, sizeof(reply), "452 4.3.1 %.*s",
                 SLICE_FMT(intake_words(config_of(s), a->resource, words)));
    protocol_log_tarpit(&s->log, a->delay_ms,
                        slice_make(reply, MIN_OF((size_t)MAX_OF(n, 0), sizeof(reply) - 1)));
}

/* Keeps the MAIL and lets its client wait. */
static struct smtp_decision delay_mail(struct session *s, const struct smtp_mail *mail,
                                       const struct intake_answer *a)
{
    struct receive_shared *shared = s->receiver->shared;
    struct delayed_mail *d;

    if (!intake_begin_delay(shared, config_of(s)->pressure.tarpit.sessions_max))
        return refuse_mail(s, mail, GATE_RESOURCE_SESSIONS);
    d = malloc(sizeof(*d) + mail->envid.len);
    if (!d) {
        intake_end_delay(shared);
        return refuse_mail(s, mail, GOVERNOR_MEMORY);
    }
    d->mail = *mail;
    if (mail->envid.len)
        memcpy(d->envid, mail->envid.ptr, mail->envid.len);
    d->mail.envid.ptr = d->envid;
    s->delayed = d;
    s->receiver->tally.counts[s->class][TALLY_DELAYED]++;
    counter_add(COUNTER_MAILS_DELAYED, 1);
    log_delay(s, a);
    s->timer.fn = on_delay_over;
    loop_timer_start(&s->timer, a->delay_ms);
    return smtp_wait();
}

static struct smtp_decision stopping(void)
{
    return smtp_say(421, SMTP_ENHANCED(4, 3, 2),
                    SLICE_LIT("Service is shutting down, try again later"));
}

static struct smtp_decision admit(struct session *s, const struct smtp_mail *mail, bool has_waited)
{
    struct receive_shared *shared = s->receiver->shared;
    struct intake_answer a;

    if (s->receiver->stopping || atomic_load(&shared->stopping))
        return stopping();
    a = intake_ask(shared, s->class, mail->size, has_waited);
    if (a.verdict == INTAKE_REFUSED)
        return refuse_mail(s, mail, a.resource);
    if (!has_waited &&
        !client_is_within(s, RECEIVE_MESSAGES, config_of(s)->smtp.messages_per_client_minute_max)) {
        if (a.reserved)
            spool_unreserve(shared->spool, a.reserved);
        return refuse_for_rate(s, mail);
    }
    if (a.verdict == INTAKE_DELAYED)
        return delay_mail(s, mail, &a);
    return begin_message(s, mail, a.reserved);
}

static struct smtp_decision on_mail(void *ctx, const struct smtp_mail *mail)
{
    return admit(ctx, mail, /* has_waited= */ false);
}

static void go_on(struct session *s);

/* It has waited: now it is let in, or not. */
static void on_delay_over(struct loop_timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timer);
    struct smtp_decision d = admit(s, &s->delayed->mail, /* has_waited= */ true);

    end_delay(s);
    s->timer.fn = on_timer;
    smtp_server_answer(&s->smtp, d);
    go_on(s);
}

static bool may_relay(const struct session *s)
{
    const struct config_listener *l = &config_of(s)->listeners[s->policy->index];

    switch (l->relay) {
    case CONFIG_RELAY_ALL:
        return true;
    case CONFIG_RELAY_NETWORKS:
        return config_networks_contain(&l->relay_networks, stream_peer(s->stream));
    case CONFIG_RELAY_NONE:
    default:
        return false;
    }
}

static struct smtp_decision refuse_relay(struct session *s, const struct smtp_rcpt *rcpt)
{
    event(EVENT_RECIPIENT_REFUSED, EVENT_NO_ID, EV_STR("client", s->ip),
          EV_SLICE("from", submission_sender(s->submission)),
          EV_SLICE("to", smtp_address_mailbox(&rcpt->recipient)), EV_UINT("code", 550),
          EV_STR("why", "the client is in no relay network and the domain is no relay domain"));
    counter_add(COUNTER_REFUSED_5XX, 1);
    s->refused_recipients++;
    return smtp_say(550, SMTP_ENHANCED(5, 7, 1),
                    SLICE_LIT("Relaying denied: this server takes no mail for that domain from "
                              "your address"));
}

static struct smtp_decision on_rcpt(void *ctx, const struct smtp_rcpt *rcpt)
{
    struct session *s = ctx;
    struct slice domain = smtp_address_domain(&rcpt->recipient);
    int r;

    if (domain.len && !may_relay(s) && !config_is_relay_domain(config_of(s), domain))
        return refuse_relay(s, rcpt);
    r = submission_add_recipient(s->submission, rcpt, hostname_of(s));
    if (r == -E2BIG)
        return smtp_say(452, SMTP_ENHANCED(4, 5, 3),
                        SLICE_LIT("Too many recipients, send the others in another message"));
    return r < 0 ? no_memory(s) : smtp_accept();
}

static size_t describe_tls(const struct session *s, char text[static TLS_TEXT_MAX])
{
    int n = snprintf(text, TLS_TEXT_MAX, "%s with cipher %s", stream_tls_version(s->stream),
                     stream_tls_cipher(s->stream));

    return (size_t)MIN_OF(MAX_OF(n, 0), TLS_TEXT_MAX - 1);
}

/* Our Received field is the beginning of the stored body. */
static int add_trace(struct session *s)
{
    struct submission *sub = s->submission;
    struct buf text = BUF_INIT(KIB(4));
    char tls[TLS_TEXT_MAX], id[ID_TEXT_MAX];
    struct trace t = {.helo = helo_of(s),
                      .client_ip = slice_str(s->ip),
                      .host = hostname_of(s),
                      .id = slice_make(id, id_format(sub->id, id)),
                      .esmtp = s->is_esmtp,
                      .utf8 = sub->envelope.flags & ENVELOPE_SMTPUTF8,
                      .at_ms = clock_wall_ms()};
    int r;

    if (stream_is_tls(s->stream)) {
        t.tls = slice_make(tls, describe_tls(s, tls));
        sub->envelope.flags |= ENVELOPE_TLS;
    }
    if (sub->envelope.recipient_count == 1)
        t.recipient = submission_only_recipient(sub);
    r = trace_received(&t, &text);
    if (r == 0)
        (void)submission_body(sub, buf_slice(&text));
    buf_done(&text);
    return r;
}

static struct smtp_decision on_data_begin(void *ctx)
{
    message_begins(ctx);
    return add_trace(ctx) < 0 ? no_memory(ctx) : smtp_accept();
}

static bool on_body(void *ctx, struct slice body)
{
    struct session *s = ctx;

    counter_add(COUNTER_BYTES_IN, body.len);
    return submission_body(s->submission, body);
}

static struct smtp_decision commit_failed(struct session *s, int result,
                                          const struct submission *sub)
{
    bool is_loop = result == -ELOOP;

    if (result == -ENOSPC || result == -ENOMEM)
        return refuse_for_room(s, submission_sender(sub), sub->body_bytes, sub->refused_for,
                               /* late= */ true);
    event(EVENT_MESSAGE_REFUSED, EVENT_NO_ID, EV_STR("client", s->ip),
          EV_UINT("code", is_loop ? 554 : 451), EV_ERR("why", result));
    counter_add(is_loop ? COUNTER_REFUSED_5XX : COUNTER_REFUSED_4XX, 1);
    if (is_loop)
        return smtp_say(554, SMTP_ENHANCED(5, 4, 6),
                        SLICE_LIT("Too many Received fields: the message is in a mail loop"));
    return smtp_say(451, SMTP_ENHANCED(4, 3, 0),
                    SLICE_LIT("The message could not be stored, try again later"));
}

static struct smtp_decision on_body_end(void *ctx, const struct smtp_body_facts *facts)
{
    struct session *s = ctx;
    struct submission *sub = s->submission;
    struct smtp_decision d;
    int r;

    protocol_log_received(&s->log, facts->bytes);
    /* The machine refuses what is not clean; 8-bit is in the header scan. */
    header_scan_end(&sub->scan);
    if (sub->scan.received > config_of(s)->smtp.received_max)
        sub->refusal = SUBMISSION_LOOP;
    r = submission_commit(sub, slice_str(s->ip), helo_of(s),
                          slice_str(config_of(s)->listeners[s->policy->index].name));
    s->commit_is_out = r == 0;
    if (r == 0)
        return smtp_wait();
    d = commit_failed(s, r, sub);
    submission_abort(&s->submission);
    return d;
}

static void on_reset(void *ctx, enum smtp_reset reason)
{
    struct session *s = ctx;

    (void)reason;
    end_delay(s);
    submission_abort(&s->submission);
}

static struct smtp_decision on_starttls(void *ctx)
{
    (void)ctx;
    return smtp_say(220, SMTP_ENHANCED(2, 0, 0), SLICE_LIT("Ready to start TLS"));
}

static void on_line(void *ctx, struct slice line)
{
    struct session *s = ctx;

    protocol_log_command(&s->log, '<', line);
}

static void on_reply(void *ctx, struct slice wire)
{
    struct session *s = ctx;

    protocol_log_reply(&s->log, '>', wire);
}

static const struct smtp_server_handler smtp_handler = {
    .on_hello = on_hello,
    .on_mail = on_mail,
    .on_rcpt = on_rcpt,
    .on_data_begin = on_data_begin,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_reset = on_reset,
    .on_starttls = on_starttls,
    .on_line = on_line,
    .on_reply = on_reply,
};

/* ---- bytes ---- */

static void start_tls(struct session *s)
{
    flush(s);
    buf_clear(&s->stash); /* plain bytes behind STARTTLS are an injection: never used */
    if (s->is_dead)
        return;
    loop_timer_start(&s->timer, config_of(s)->smtp.time_outs.tls_ms);
    if (stream_start_tls(s->stream, s->policy->tls, slice_make(NULL, 0)) < 0)
        session_end(s);
    else
        stream_resume(s->stream);
}

/* Commands that were refused for what they are; the reply to each has said why. */
static void log_rejected(struct session *s, uint32_t errors)
{
    if (errors > s->errors + s->refused_recipients)
        event(EVENT_COMMAND_REJECTED, EVENT_NO_ID, EV_STR("client", s->ip),
              EV_SLICE("helo", helo_of(s)), EV_UINT("errors", errors));
}

static bool is_over_errors(struct session *s, uint32_t added)
{
    uint32_t limit = config_of(s)->smtp.errors_per_client_minute_max;
    bool is_within = true;

    while (is_within && added-- > 0)
        is_within = client_is_within(s, RECEIVE_ERRORS, limit);
    return !is_within;
}

/* While a commit is out no 421 may come, which would say that the message was refused. */
static enum smtp_server_next count_errors(struct session *s, enum smtp_server_next next)
{
    uint32_t errors = smtp_server_errors(&s->smtp);
    uint32_t added = errors > s->errors ? errors - s->errors : 0;

    log_rejected(s, errors);
    s->errors = errors;
    s->refused_recipients = 0;
    if (!added || !is_over_errors(s, added) || s->commit_is_out)
        return next;
    count_client_refused(s, 0);
    if (intake_may_tell(s->receiver, config_of(s)))
        event(EVENT_CLIENT_LOST, EVENT_NO_ID, EV_STR("client", s->ip), EV_SLICE("helo", helo_of(s)),
              EV_STR("why", "the client is over smtp.errors_per_client_minute_max"));
    smtp_server_shutdown(&s->smtp, 421, SMTP_ENHANCED(4, 7, 0),
                         SLICE_LIT("Too many errors from your address in a minute"));
    return SMTP_SERVER_CLOSE;
}

static void after_feed(struct session *s, enum smtp_server_next next)
{
    bool has_replied = buf_len(&s->out) > 0;

    next = count_errors(s, next);
    switch (next) {
    case SMTP_SERVER_MORE:
        flush(s);
        if (s->peer_is_done)
            session_end(s);
        break;
    case SMTP_SERVER_WAIT: /* most clients wait for their reply, and need not be paused */
    case SMTP_SERVER_PAUSED:
        flush(s);
        if (!s->is_dead && (next == SMTP_SERVER_PAUSED || buf_len(&s->stash)))
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

static void go_on(struct session *s)
{
    if (s->is_dead || s->in_feed)
        return;
    stream_resume(s->stream);
    feed(s, slice_make(NULL, 0));
}

void session_resume_body(struct session *s)
{
    smtp_server_resume(&s->smtp);
    go_on(s);
}

void session_committed(struct session *s, int result, const struct submission *sub)
{
    char text[64], id_text[ID_TEXT_MAX];
    int n;

    s->submission = NULL;
    s->commit_is_out = false;
    s->messages++;
    if (result < 0) {
        smtp_server_answer(&s->smtp, commit_failed(s, result, sub));
    } else {
        (void)id_format(sub->id, id_text);
        n = snprintf(text, sizeof(text), "Ok: queued as %s", id_text);
        smtp_server_answer(&s->smtp, smtp_say(250, SMTP_ENHANCED(2, 0, 0),
                                              slice_make(text, (size_t)MAX_OF(n, 0))));
    }
    go_on(s);
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
        event(EVENT_CLIENT_LOST, EVENT_NO_ID, EV_STR("client", s->ip), EV_SLICE("helo", helo_of(s)),
              EV_STR("why", s->delayed ? "it closed while its MAIL was delayed"
                                       : "it closed in the middle of a message"),
              EV_ERR("error", err));
    else
        event(EVENT_CLIENT_DISCONNECTED, EVENT_NO_ID, EV_STR("client", s->ip),
              EV_UINT("messages", s->messages));
    session_end(s);
}

static const struct stream_handler stream_handler = {
    .on_data = on_data,
    .on_tls = on_tls,
    .on_end = on_end,
};

/* ---- the beginning ---- */

/* At connect; a reply of 421 and why it comes. The first word is our name (RFC 5321, section
 * 4.2.2). */
struct turned_away {
    struct smtp_enhanced enhanced;
    const char *words; /* NULL: it is welcome */
    uint8_t resource;
    enum { AWAY_FOR_ALL, AWAY_FOR_ROOM, AWAY_FOR_CLIENT } kind;
};

static struct turned_away look_at(struct session *s)
{
    static const char from_you[] = "Too many connections from your address";
    struct receive_shared *shared = s->receiver->shared;
    const struct config_smtp *c = &config_of(s)->smtp;
    uint32_t per_client = c->connections_per_client_max;

    if (atomic_load(&shared->connections) > MIN_OF(c->connections_max, shared->connections_max))
        return (struct turned_away){SMTP_ENHANCED(4, 3, 2), "Too many connections", 0,
                                    AWAY_FOR_ALL};
    if (s->class == MAIL_EXTERNAL && shared->gate && gate_refuses_at_connect(shared->gate)) {
        uint8_t resource = gate_ask(shared->gate, MAIL_EXTERNAL).resource;

        return (struct turned_away){SMTP_ENHANCED(4, 3, 2), "", resource, AWAY_FOR_ROOM};
    }
    if (s->is_limited && per_client && atomic_load(&shared->by_client[s->bucket]) > per_client)
        return (struct turned_away){SMTP_ENHANCED(4, 7, 0), from_you, 0, AWAY_FOR_CLIENT};
    if (!client_is_within(s, RECEIVE_CONNECTIONS, c->connections_per_client_minute_max))
        return (struct turned_away){SMTP_ENHANCED(4, 7, 0), from_you, 0, AWAY_FOR_CLIENT};
    return (struct turned_away){.words = NULL};
}

static void count_turned_away(struct session *s, const struct turned_away *t)
{
    if (t->kind == AWAY_FOR_CLIENT)
        count_client_refused(s, 0);
    if (t->kind == AWAY_FOR_ROOM) {
        counter_add(COUNTER_REFUSED_PRESSURE, 1);
        tally_refused(&s->receiver->tally, s->class, TALLY_REFUSED_CONNECT, s->ip, 0);
    }
}

/* The session is gone after it. A flood must neither hold descriptors nor fill the log while it is
 * refused. */
static void turn_away(struct session *s, const struct turned_away *t)
{
    struct receiver *r = s->receiver;
    char words[INTAKE_WORDS_MAX];
    struct slice text = slice_str(t->words);
    int n;

    if (t->kind == AWAY_FOR_ROOM)
        text = intake_words(config_of(s), t->resource, words);
    count_turned_away(s, t);
    (void)protocol_log_admit(&r->flood, &s->log);
    if (intake_may_tell(r, config_of(s)))
        event(EVENT_CLIENT_REFUSED, EVENT_NO_ID, EV_STR("client", s->ip), EV_SLICE("why", text));
    else
        counter_add(event_counter(EVENT_CLIENT_REFUSED), 1);
    n = snprintf(r->words, sizeof(r->words), "%.*s %.*s", SLICE_FMT(hostname_of(s)),
                 SLICE_FMT(text));
    smtp_server_shutdown(&s->smtp, 421, t->enhanced,
                         slice_make(r->words, MIN_OF((size_t)MAX_OF(n, 0), sizeof(r->words) - 1)));
    (void)write_out(s);
    stream_leave(&s->stream);
    session_end(s);
}

/* The session may be gone after it. */
static void greet(struct session *s)
{
    struct turned_away away = look_at(s);

    if (away.words) {
        turn_away(s, &away);
        return;
    }
    event(EVENT_CLIENT_CONNECTED, EVENT_NO_ID, EV_STR("client", s->ip));
    protocol_log_write(&s->log, '+', (struct slice){0}, (struct slice){0});
    smtp_server_greet(&s->smtp);
    loop_timer_start(&s->lifetime, config_of(s)->smtp.time_outs.session_ms);
    go_on(s); /* with what the client said early, where that is allowed */
}

static void on_greeting_delay(struct loop_timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timer);

    s->timer.fn = on_timer;
    greet(s);
}

void session_open(struct receiver *r, struct policy *policy, struct stream *stream)
{
    struct session *s = calloc(1, sizeof(*s));
    const struct config *config = policy->config;
    uint64_t delay_ms = config->smtp.greeting_delay_ms;

    if (!s) {
        stream_abort(&stream);
        return;
    }
    s->receiver = r;
    s->policy = policy_ref(policy);
    s->stream = stream;
    buf_init(&s->out, OUT_MAX);
    buf_init(&s->stash, STASH_MAX);
    addr_format_ip(stream_peer(stream), s->ip);
    s->bucket = (uint32_t)(slice_hash_case(slice_str(s->ip), r->shared->hash_seed) %
                           RECEIVE_CLIENT_BUCKETS);
    (void)atomic_fetch_add(&r->shared->connections, 1);
    s->is_limited = !intake_is_internal(config, stream_peer(stream));
    s->class = intake_class(&config->listeners[policy->index], !s->is_limited);
    if (s->is_limited)
        (void)atomic_fetch_add(&r->shared->by_client[s->bucket], 1);
    list_add_tail(&r->sessions, &s->node);
    r->session_count++;
    s->closed_by = "Local";
    protocol_log_open(&s->log, RECORD_RECEIVE, /* session= */ 0, policy_connector(policy),
                      record_is_on(RECORD_RECEIVE) ? stream_local(stream) : NULL,
                      stream_peer(stream));
    smtp_server_init(&s->smtp, &policy->smtp, &smtp_handler, s, &s->out);
    stream_set_handler(stream, &stream_handler, s);
    loop_timer_init(&s->lifetime, r->loop, on_lifetime);
    if (delay_ms) {
        loop_timer_init(&s->timer, r->loop, on_greeting_delay);
        loop_timer_start(&s->timer, delay_ms);
    } else {
        loop_timer_init(&s->timer, r->loop, on_timer);
        greet(s);
    }
}
