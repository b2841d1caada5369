/*
 * smtp/session_kit.h - an owner of a server session for tests and fuzz targets.
 *
 * It decides by the first letters of a local part ("no-", "later-", "wait-", "waitno-", "bye-"),
 * writes down what it is asked, and checks the order of the calls: everything the contract of
 * server.h promises about transactions is asserted here. `pending` holds what the session did not
 * take yet, as a real owner would.
 */
#pragma once

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "smtp/server.h"

struct kit {
    struct smtp_server_config config;
    struct smtp_server server;
    struct buf out, log, body, pending;
    struct buf lines, replies;                   /* as told for a log */
    struct smtp_decision later, on_data, on_end; /* code 0 for the last two: WAIT, then 250 */
    bool pauses;                                 /* every on_body asks for a pause */
    bool in_transaction, in_body;
    uint32_t recipients, messages;
    uint32_t errors, errors_end; /* the owner ends the session at so many; 0: never */
};

static inline struct smtp_decision kit_decide(struct kit *k, struct slice mailbox)
{
    struct smtp_decision no =
        smtp_say(550, SMTP_ENHANCED(5, 1, 1), SLICE_LIT("No such user\nTry another"));

    k->later = smtp_accept();
    if (slice_has_prefix(mailbox, SLICE_LIT("wait-")))
        return smtp_wait();
    if (slice_has_prefix(mailbox, SLICE_LIT("waitno-"))) {
        k->later = no;
        return smtp_wait();
    }
    if (slice_has_prefix(mailbox, SLICE_LIT("no-")))
        return no;
    if (slice_has_prefix(mailbox, SLICE_LIT("later-")))
        return smtp_say(451, SMTP_ENHANCED(4, 3, 0), SLICE_LIT("Later"));
    if (slice_has_prefix(mailbox, SLICE_LIT("bye-")))
        return smtp_say(421, SMTP_ENHANCED(4, 3, 2), SLICE_LIT("Going down"));
    return smtp_accept();
}

static inline struct smtp_decision kit_on_hello(void *ctx, enum smtp_verb verb, struct slice name)
{
    struct kit *k = ctx;

    ASSERT(!k->in_transaction);
    (void)buf_addf(&k->log, "%s %.*s\n", smtp_verb_name(verb), SLICE_FMT(name));
    return kit_decide(k, name);
}

static inline struct smtp_decision kit_on_mail(void *ctx, const struct smtp_mail *mail)
{
    struct kit *k = ctx;
    struct smtp_decision d = kit_decide(k, smtp_address_mailbox(&mail->sender));

    ASSERT(!k->in_transaction);
    (void)buf_addf(&k->log, "mail %.*s", SLICE_FMT(smtp_address_mailbox(&mail->sender)));
    if (mail->has_size)
        (void)buf_addf(&k->log, " size=%llu", (unsigned long long)mail->size);
    if (mail->body == SMTP_BODY_8BITMIME)
        (void)buf_add_str(&k->log, " 8bit");
    if (mail->smtputf8)
        (void)buf_add_str(&k->log, " utf8");
    if (mail->ret != SMTP_RET_NOT_GIVEN)
        (void)buf_add_str(&k->log, mail->ret == SMTP_RET_FULL ? " full" : " hdrs");
    if (mail->envid.len)
        (void)buf_addf(&k->log, " envid=%.*s", SLICE_FMT(mail->envid));
    (void)buf_push(&k->log, '\n');
    /* While it waits the transaction counts as begun: see on_reset. */
    k->in_transaction = d.code == 0 || d.code / 100 == 2;
    k->recipients = 0;
    return d;
}

static inline struct smtp_decision kit_on_rcpt(void *ctx, const struct smtp_rcpt *rcpt)
{
    struct kit *k = ctx;
    struct smtp_decision d = kit_decide(k, smtp_address_mailbox(&rcpt->recipient));

    ASSERT(k->in_transaction && !k->in_body);
    (void)buf_addf(&k->log, "rcpt %.*s", SLICE_FMT(smtp_address_mailbox(&rcpt->recipient)));
    if (rcpt->notify)
        (void)buf_addf(&k->log, " notify=%u", rcpt->notify);
    if (rcpt->orcpt.len)
        (void)buf_addf(&k->log, " orcpt=%.*s", SLICE_FMT(rcpt->orcpt));
    (void)buf_push(&k->log, '\n');
    k->recipients += d.code / 100 == 2 || (d.code == 0 && k->later.code / 100 == 2);
    return d;
}

static inline struct smtp_decision kit_on_data_begin(void *ctx)
{
    struct kit *k = ctx;

    ASSERT(k->in_transaction && !k->in_body && k->recipients > 0);
    (void)buf_add_str(&k->log, "data\n");
    buf_clear(&k->body);
    k->in_body = k->on_data.code / 100 == 2 || k->on_data.code == 0;
    k->later = smtp_accept();
    return k->on_data;
}

static inline bool kit_on_body(void *ctx, struct slice body)
{
    struct kit *k = ctx;

    ASSERT(k->in_transaction && k->in_body && body.len > 0);
    (void)buf_add(&k->body, body);
    return !k->pauses;
}

static inline struct smtp_decision kit_on_body_end(void *ctx, const struct smtp_body_facts *facts)
{
    struct kit *k = ctx;

    ASSERT(k->in_transaction && k->in_body && facts->bytes == buf_len(&k->body));
    ASSERT(!facts->has_bare_cr && !facts->has_bare_lf && !facts->has_nul);
    (void)buf_add_str(&k->log, "end ");
    (void)buf_add(&k->log, buf_slice(&k->body));
    (void)buf_add_str(&k->log, "|\n");
    k->in_transaction = k->in_body = false;
    k->messages++;
    k->later = smtp_accept();
    return k->on_end;
}

static inline void kit_on_reset(void *ctx, enum smtp_reset reason)
{
    struct kit *k = ctx;

    ASSERT(k->in_transaction);
    k->in_transaction = k->in_body = false;
    (void)buf_addf(&k->log, "reset %d\n", (int)reason);
}

static inline struct smtp_decision kit_on_starttls(void *ctx)
{
    struct kit *k = ctx;

    ASSERT(!k->in_transaction);
    (void)buf_add_str(&k->log, "starttls\n");
    return smtp_accept();
}

static inline void kit_on_quit(void *ctx)
{
    struct kit *k = ctx;

    (void)buf_add_str(&k->log, "quit\n");
}

static inline void kit_on_line(void *ctx, struct slice line)
{
    struct kit *k = ctx;

    ASSERT(slice_find(line, '\n') < 0 && line.len <= k->config.command_max);
    (void)buf_add(&k->lines, line);
    (void)buf_push(&k->lines, '\n');
}

/* What is told is what was just appended. */
static inline void kit_on_reply(void *ctx, struct slice wire)
{
    struct kit *k = ctx;

    ASSERT(wire.len > 5 && wire.ptr + wire.len == buf_tail(&k->out));
    ASSERT(wire.ptr[wire.len - 2] == '\r' && wire.ptr[wire.len - 1] == '\n');
    (void)buf_add(&k->replies, wire);
}

static inline const char *kit_on_error(void *ctx)
{
    struct kit *k = ctx;

    return ++k->errors == k->errors_end ? "That will do" : NULL;
}

static inline const struct smtp_server_handler *kit_handler(void)
{
    static const struct smtp_server_handler handler = {
        .on_hello = kit_on_hello,
        .on_mail = kit_on_mail,
        .on_rcpt = kit_on_rcpt,
        .on_data_begin = kit_on_data_begin,
        .on_body = kit_on_body,
        .on_body_end = kit_on_body_end,
        .on_reset = kit_on_reset,
        .on_starttls = kit_on_starttls,
        .on_quit = kit_on_quit,
        .on_error = kit_on_error,
        .on_line = kit_on_line,
        .on_reply = kit_on_reply,
    };

    return &handler;
}

static inline void kit_init(struct kit *k)
{
    *k = (struct kit){.config = SMTP_SERVER_CONFIG_INIT,
                      .out = BUF_INIT(1 << 22),
                      .log = BUF_INIT(1 << 22),
                      .body = BUF_INIT(1 << 22),
                      .pending = BUF_INIT(1 << 22),
                      .lines = BUF_INIT(1 << 22),
                      .replies = BUF_INIT(1 << 22),
                      .on_data = {.code = 250},
                      .on_end = {.code = 250}};
    k->config.hostname = SLICE_LIT("mx.test");
    k->config.size_max = 1000;
}

/* After the fields of `config` are as the test wants them. */
static inline void kit_start(struct kit *k)
{
    smtp_server_init(&k->server, &k->config, kit_handler(), k, &k->out);
    smtp_server_greet(&k->server);
}

static inline void kit_done(struct kit *k)
{
    smtp_server_eof(&k->server);
    ASSERT(!k->in_transaction);
    smtp_server_done(&k->server);
    buf_done(&k->out);
    buf_done(&k->log);
    buf_done(&k->body);
    buf_done(&k->pending);
    buf_done(&k->lines);
    buf_done(&k->replies);
}

/* Feeds what came, answers what is asked, until the session wants more or is over. */
static inline enum smtp_server_next kit_feed(struct kit *k, struct slice in)
{
    (void)buf_add(&k->pending, in);
    for (;;) {
        size_t used = 0;
        enum smtp_server_next next = smtp_server_feed(&k->server, buf_slice(&k->pending), &used);

        ASSERT(used <= buf_len(&k->pending));
        ASSERT(next != SMTP_SERVER_MORE || used == buf_len(&k->pending));
        if (used)
            buf_consume(&k->pending, used);
        if (next == SMTP_SERVER_WAIT) {
            struct smtp_decision later = k->later;

            if (later.code / 100 != 2 && k->in_transaction && k->recipients == 0 &&
                k->server.waiting == 2 /* MAIL */)
                k->in_transaction = false; /* the answer refuses this very MAIL */
            smtp_server_answer(&k->server, later);
        } else if (next == SMTP_SERVER_PAUSED) {
            smtp_server_resume(&k->server);
        } else {
            return next;
        }
    }
}
