/*
 * receive/mail.c - what the machine of smtp/ asks in one mail: may it begin, may it go to that
 * recipient, its body, its end. The rules of intake.c and of the listener, as replies.
 *
 *     MAIL --admit()--> refused | delayed --on_delay_over()--> admit() | let in: a submission
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "event/event.h"
#include "governor/governor.h"
#include "governor/tally.h"
#include "message/trace.h"
#include "receive/session_int.h"
#include "spool/spool.h"

#define TLS_TEXT_MAX 96

/* In the middle of a message. */
static struct smtp_decision no_memory(struct session *s)
{
    counter_add(COUNTER_REFUSED_4XX, 1);
    return smtp_say(452, SMTP_ENHANCED(4, 3, 1),
                    intake_words(session_config(s), GOVERNOR_MEMORY, s->receiver->words));
}

static struct smtp_decision on_hello(void *ctx, enum smtp_verb verb, struct slice name)
{
    struct session *s = ctx;

    s->is_esmtp = verb != SMTP_VERB_HELO;
    s->helo_len = (uint8_t)MIN_OF(name.len, SESSION_HELO_MAX - 1);
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
    tally_refused_for(&r->tally, resource);
    counter_add(COUNTER_REFUSED_4XX, 1);
    counter_add(late ? COUNTER_REFUSED_LATE : COUNTER_REFUSED_PRESSURE, 1);
    if (intake_may_tell(r, session_config(s)))
        event(EVENT_MESSAGE_REFUSED, EVENT_NO_ID, EV_STR("client", s->ip),
              EV_STR("class", mail_class_name(s->class)), EV_SLICE("from", from),
              EV_UINT("size", size), EV_UINT("code", 452), EV_STR("resource", gate_token(resource)),
              EV_STR("at", late ? "end of data" : "MAIL"));
    else
        counter_add(event_counter(EVENT_MESSAGE_REFUSED), 1);
    return smtp_say(452, SMTP_ENHANCED(4, 3, 1),
                    intake_words(session_config(s), resource, r->words));
}

static struct smtp_decision refuse_mail(struct session *s, const struct smtp_mail *mail,
                                        uint8_t resource)
{
    return refuse_for_room(s, smtp_address_mailbox(&mail->sender), mail->size, resource,
                           /* late= */ false);
}

static struct smtp_decision refuse_for_rate(struct session *s, const struct smtp_mail *mail)
{
    session_count_client_refused(s, mail->size);
    counter_add(COUNTER_REFUSED_4XX, 1);
    if (intake_may_tell(s->receiver, session_config(s)))
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

void mail_end_delay(struct session *s)
{
    if (!s->delayed)
        return;
    intake_end_delay(s->receiver->shared);
    free(s->delayed);
    s->delayed = NULL;
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
                 SLICE_FMT(intake_words(session_config(s), a->resource, words)));
    protocol_log_tarpit(&s->log, a->delay_ms,
                        slice_make(reply, MIN_OF((size_t)MAX_OF(n, 0), sizeof(reply) - 1)));
}

/* Keeps the MAIL and lets its client wait. */
static struct smtp_decision delay_mail(struct session *s, const struct smtp_mail *mail,
                                       const struct intake_answer *a)
{
    struct receive_shared *shared = s->receiver->shared;
    struct delayed_mail *d;

    if (!intake_begin_delay(shared, session_config(s)->pressure.tarpit.sessions_max))
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
        !session_client_is_within(s, RECEIVE_MESSAGES,
                                  session_config(s)->smtp.messages_per_client_minute_max)) {
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

/* It has waited: now it is let in, or not. */
static void on_delay_over(struct loop_timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timer);
    struct smtp_decision d = admit(s, &s->delayed->mail, /* has_waited= */ true);

    mail_end_delay(s);
    s->timer.fn = session_on_timer;
    smtp_server_answer(&s->smtp, d);
    session_go_on(s);
}

static bool may_relay(const struct session *s)
{
    const struct config_listener *l = &session_config(s)->listeners[s->policy->index];

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

    if (domain.len && !may_relay(s) && !config_is_relay_domain(session_config(s), domain))
        return refuse_relay(s, rcpt);
    r = submission_add_recipient(s->submission, rcpt, session_hostname(s));
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
    struct trace t = {.helo = session_helo(s),
                      .client_ip = slice_str(s->ip),
                      .host = session_hostname(s),
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
    session_message_begins(ctx);
    return add_trace(ctx) < 0 ? no_memory(ctx) : smtp_accept();
}

static bool on_body(void *ctx, struct slice body)
{
    struct session *s = ctx;

    counter_add(COUNTER_BYTES_IN, body.len);
    return submission_body(s->submission, body);
}

struct smtp_decision mail_commit_failed(struct session *s, int result, const struct submission *sub)
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
    if (sub->scan.received > session_config(s)->smtp.received_max)
        sub->refusal = SUBMISSION_LOOP;
    r = submission_commit(sub, slice_str(s->ip), session_helo(s),
                          slice_str(session_config(s)->listeners[s->policy->index].name));
    s->commit_is_out = r == 0;
    if (r == 0)
        return smtp_wait();
    d = mail_commit_failed(s, r, sub);
    submission_abort(&s->submission);
    return d;
}

static void on_reset(void *ctx, enum smtp_reset reason)
{
    struct session *s = ctx;

    (void)reason;
    mail_end_delay(s);
    submission_abort(&s->submission);
}

static const char *on_error(void *ctx)
{
    struct session *s = ctx;

    if (session_client_is_within(s, RECEIVE_ERRORS,
                                 session_config(s)->smtp.errors_per_client_minute_max))
        return NULL;
    session_count_client_refused(s, 0);
    if (intake_may_tell(s->receiver, session_config(s)))
        event(EVENT_CLIENT_LOST, EVENT_NO_ID, EV_STR("client", s->ip),
              EV_SLICE("helo", session_helo(s)),
              EV_STR("why", "the client is over smtp.errors_per_client_minute_max"));
    return "Too many errors from your address in a minute";
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

const struct smtp_server_handler mail_handler = {
    .on_hello = on_hello,
    .on_mail = on_mail,
    .on_rcpt = on_rcpt,
    .on_data_begin = on_data_begin,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_reset = on_reset,
    .on_starttls = on_starttls,
    .on_error = on_error,
    .on_line = on_line,
    .on_reply = on_reply,
};
