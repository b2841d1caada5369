/*
 * smtp/client_test.c - the client against a script: what it sends, and the one result of each
 * recipient, with the host's bytes whole and cut at every byte.
 *
 * A script is a list of lines "S:" (the host says this) and "C:" (the client must have said exactly
 * this since). "eof" ends the connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "smtp/client.h"

/* A slice in a static initializer. */
#define LIT(s)                                                                                     \
    {                                                                                              \
        .ptr = (const uint8_t *)(s), .len = sizeof(s) - 1                                          \
    }
#define BODY "Subject: x\r\n\r\n.dot\r\n"

struct party {
    struct smtp_client client;
    struct smtp_client_config config;
    struct buf out, results, told; /* told: for a log, commands "C:", replies "S:" */
    uint32_t replies_told;
    struct smtp_transaction t;
    size_t transactions_left, results_left;
    bool is_done;
};

static void on_result(void *ctx, size_t recipient, const struct smtp_result *r)
{
    static const char *const outcomes[] = {"delivered", "deferred", "failed"};
    struct party *p = ctx;

    assert_true(p->results_left-- > 0);
    assert_true(r->text.len > 0);
    (void)buf_addf(&p->results, "%zu %s %s %u", recipient, outcomes[r->outcome],
                   smtp_phase_name(r->phase), r->code);
    if (r->enhanced.klass)
        (void)buf_addf(&p->results, " %u.%u.%u", r->enhanced.klass, r->enhanced.subject,
                       r->enhanced.detail);
    (void)buf_addf(&p->results, "%s\n", r->is_unknown ? " unknown" : "");
}

static void on_done(void *ctx)
{
    struct party *p = ctx;

    assert_int_equal(p->results_left, 0);
    assert_false(p->is_done);
    p->is_done = true;
}

/* What is told is what was just appended. */
static void on_command(void *ctx, struct slice line)
{
    struct party *p = ctx;

    assert_true(line.len >= 4 && line.ptr + line.len + 2 == buf_tail(&p->out));
    assert_memory_equal(line.ptr + line.len, "\r\n", 2);
    (void)buf_addf(&p->told, "C:%.*s\n", SLICE_FMT(line));
}

static void on_reply(void *ctx, const struct smtp_reply *reply)
{
    struct party *p = ctx;

    assert_int_equal(++p->replies_told, p->client.replies);
    (void)buf_addf(&p->told, "S:%u %.*s\n", reply->code, SLICE_FMT(reply->text));
}

static const struct smtp_client_handler handler = {
    .on_result = on_result, .on_done = on_done, .on_command = on_command, .on_reply = on_reply};

/* Does what the client wants, until it wants the host. */
static void act(struct party *p)
{
    for (;;) {
        switch (smtp_client_wants(&p->client)) {
        case SMTP_CLIENT_BODY: {
            uint64_t left = smtp_client_body_left(&p->client);
            struct slice body = slice_from(slice_str(BODY), sizeof(BODY) - 1 - left);

            assert_int_equal(smtp_client_body(&p->client, slice_sub(body, 0, 7)), 0);
            break;
        }
        case SMTP_CLIENT_TRANSACTION:
            if (p->transactions_left == 0) {
                smtp_client_quit(&p->client);
                break;
            }
            p->transactions_left--;
            p->results_left = p->t.recipient_count;
            p->is_done = false;
            smtp_client_begin(&p->client, &p->t);
            break;
        case SMTP_CLIENT_TLS:
            (void)buf_add_str(&p->out, "[TLS]");
            smtp_client_tls_started(&p->client);
            break;
        case SMTP_CLIENT_REPLY:
        case SMTP_CLIENT_CLOSE:
            return;
        }
    }
}

struct talk {
    const char *name;
    void (*configure)(struct party *p);
    const char *script[24];
    const char *results; /* of all transactions */
    const char *failure; /* NULL: it ended in order */
};

static void say(struct party *p, struct slice in, size_t step)
{
    while (in.len) {
        struct slice part = slice_sub(in, 0, step);

        smtp_client_feed(&p->client, part);
        act(p);
        in = slice_from(in, part.len);
    }
}

static void run(const struct talk *t, size_t step)
{
    static const struct smtp_recipient recipients[] = {{.address = LIT("x@d")},
                                                       {.address = LIT("y@d")}};
    struct party p = {.config = SMTP_CLIENT_CONFIG_INIT,
                      .out = BUF_INIT(1 << 20),
                      .results = BUF_INIT(1 << 20),
                      .told = BUF_INIT(1 << 20),
                      .t = {.sender = SLICE_LIT("a@b"),
                            .recipients = recipients,
                            .recipient_count = 2,
                            .body_bytes = sizeof(BODY) - 1},
                      .transactions_left = 1};
    struct buf failure = BUF_INIT(1024);

    p.config.hello_name = SLICE_LIT("us");
    if (t->configure)
        t->configure(&p);
    smtp_client_init(&p.client, &p.config, &handler, &p, &p.out);
    for (const char *const *line = t->script; *line; line++) {
        struct slice text = slice_from(slice_str(*line), 2);

        if (strcmp(*line, "eof") == 0) {
            smtp_client_eof(&p.client, 0);
        } else if ((*line)[0] == 'S') {
            say(&p, text, step ? step : text.len);
        } else {
            if (!slice_eq(buf_slice(&p.out), text))
                fail_msg("%s: sent\n%s\nexpected\n%.*s", t->name, buf_cstr(&p.out),
                         SLICE_FMT(text));
            buf_clear(&p.out);
        }
    }
    if (smtp_client_failure(&p.client)) {
        const struct smtp_result *f = smtp_client_failure(&p.client);

        (void)buf_addf(&failure, "%s %u %.*s", smtp_phase_name(f->phase), f->code,
                       SLICE_FMT(f->text));
    }
    if (smtp_client_wants(&p.client) != SMTP_CLIENT_CLOSE)
        fail_msg("%s: it is not over", t->name);
    if (strcmp(buf_cstr(&p.results), t->results) != 0)
        fail_msg("%s: results\n%s\nexpected\n%s", t->name, buf_cstr(&p.results), t->results);
    if (strcmp(buf_cstr(&failure), t->failure ? t->failure : "") != 0)
        fail_msg("%s: failure %s", t->name, buf_cstr(&failure));
    assert_int_equal(p.replies_told, p.client.replies);
    smtp_client_done(&p.client);
    buf_done(&p.out);
    buf_done(&p.results);
    buf_done(&p.told);
    buf_done(&failure);
}

static void twice(struct party *p)
{
    p->transactions_left = 2;
}
static void lmtp(struct party *p)
{
    p->config.lmtp = true;
}
static void must_tls(struct party *p)
{
    p->config.tls = SMTP_TLS_MUST;
}
static void none(struct party *p)
{
    p->transactions_left = 0;
}
static void small_replies(struct party *p)
{
    p->config.reply_max = 20;
}
static void not_eager(struct party *p)
{
    p->config.eager_body_max = 3;
}
static void with_dsn(struct party *p)
{
    static const struct smtp_recipient recipients[] = {
        {.address = LIT("x@d"), .orcpt = LIT("rfc822;o"), .notify = 2 | 8}};

    p->t.recipients = recipients;
    p->t.recipient_count = 1;
    p->t.ret = SMTP_RET_HDRS;
    p->t.envid = SLICE_LIT("e");
    p->t.is_8bit = true;
}
static void with_utf8(struct party *p)
{
    static const struct smtp_recipient recipients[] = {{.address = LIT("\xc3\xbc@d")}};

    p->t.recipients = recipients;
    p->t.recipient_count = 1;
}

#define GREET "S:220 mx ready\r\n", "C:EHLO us\r\n"
#define PLAIN GREET, "S:250 mx\r\n"
#define PIPE GREET, "S:250-mx\r\n250 PIPELINING\r\n"
#define CHUNK GREET, "S:250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
#define PIPED "C:MAIL FROM:<a@b>\r\nRCPT TO:<x@d>\r\nRCPT TO:<y@d>\r\nDATA\r\n"
#define CHUNKED "C:MAIL FROM:<a@b>\r\nRCPT TO:<x@d>\r\nRCPT TO:<y@d>\r\nBDAT 20 LAST\r\n" BODY
#define STUFFED "C:Subject: x\r\n\r\n..dot\r\n.\r\n"
#define BYE "C:QUIT\r\n", "S:221 bye\r\n"

static const struct talk talks[] = {
    {"one by one",
     NULL,
     {PLAIN, "C:MAIL FROM:<a@b>\r\n", "S:250 ok\r\n", "C:RCPT TO:<x@d>\r\n", "S:250 ok\r\n",
      "C:RCPT TO:<y@d>\r\n", "S:550 5.1.1 no\r\n", "C:DATA\r\n", "S:354 go\r\n", STUFFED,
      "S:250 2.0.0 queued\r\n", BYE},
     "1 failed rcpt 550 5.1.1\n0 delivered end of data 250 2.0.0\n",
     NULL},
    {"one by one, none accepted, then again",
     twice,
     {PLAIN, "C:MAIL FROM:<a@b>\r\n", "S:250 ok\r\n", "C:RCPT TO:<x@d>\r\n", "S:450 no\r\n",
      "C:RCPT TO:<y@d>\r\n", "S:550 no\r\n", "C:RSET\r\nMAIL FROM:<a@b>\r\n",
      "S:250 reset\r\n450 4.3.1 full\r\n", BYE},
     "0 deferred rcpt 450\n1 failed rcpt 550\n0 deferred mail 450 4.3.1\n1 deferred mail 450 "
     "4.3.1\n",
     NULL},
    {"pipelined",
     NULL,
     {PIPE, PIPED, "S:250 ok\r\n250 ok\r\n452 4.5.3 many\r\n354 go\r\n", STUFFED,
      "S:451 4.3.0 later\r\n", BYE},
     "1 deferred rcpt 452 4.5.3\n0 deferred end of data 451 4.3.0\n",
     NULL},
    {"pipelined, none accepted, the host wants data all the same",
     twice,
     {PIPE, PIPED, "S:250 ok\r\n550 no\r\n551 no\r\n354 go\r\n", "C:.\r\n", "S:250 took it\r\n",
      "C:RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@d>\r\nRCPT TO:<y@d>\r\nDATA\r\n",
      "S:250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n554 5.7.1 no\r\n", BYE},
     "0 failed rcpt 550\n1 failed rcpt 551\n0 failed data 554 5.7.1\n1 failed data 554 5.7.1\n",
     NULL},
    {"pipelined, MAIL refused",
     NULL,
     {PIPE, PIPED, "S:550 5.7.1 no\r\n503 a\r\n503 b\r\n503 c\r\n", BYE},
     "0 failed mail 550 5.7.1\n1 failed mail 550 5.7.1\n",
     NULL},
    {"pipelined, DATA refused",
     NULL,
     {PIPE, PIPED, "S:250 a\r\n250 b\r\n250 c\r\n452 4.3.1 full\r\n", BYE},
     "0 deferred data 452 4.3.1\n1 deferred data 452 4.3.1\n",
     NULL},
    {"pipelined, 421 at the second RCPT",
     NULL,
     {PIPE, PIPED, "S:250 a\r\n250 b\r\n421 4.3.2 going down\r\n"},
     "0 deferred rcpt 421 4.3.2\n1 deferred rcpt 421 4.3.2\n",
     "rcpt 421 4.3.2 going down"},
    {"552 means too many",
     NULL,
     {PIPE, PIPED, "S:250 a\r\n250 b\r\n552 many\r\n354 go\r\n", STUFFED, "S:250 ok\r\n", BYE},
     "1 deferred rcpt 552\n0 delivered end of data 250\n",
     NULL},
    {"chunked, all in one write",
     NULL,
     {CHUNK, CHUNKED, "S:250 a\r\n250 b\r\n550 c\r\n250 2.6.0 ok\r\n", BYE},
     "1 failed rcpt 550\n0 delivered end of data 250 2.6.0\n",
     NULL},
    {"chunked, none accepted, then again",
     twice,
     {CHUNK, CHUNKED, "S:250 a\r\n550 b\r\n550 c\r\n503 no\r\n",
      "C:RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@d>\r\nRCPT TO:<y@d>\r\nBDAT 20 LAST\r\n" BODY,
      "S:250 r\r\n250 a\r\n250 b\r\n250 c\r\n250 d\r\n", BYE},
     "0 failed rcpt 550\n1 failed rcpt 550\n0 delivered end of data 250\n1 delivered end of data "
     "250\n",
     NULL},
    {"a large body waits for the recipients",
     not_eager,
     {CHUNK, "C:MAIL FROM:<a@b>\r\nRCPT TO:<x@d>\r\nRCPT TO:<y@d>\r\n",
      "S:250 a\r\n250 b\r\n250 c\r\n", "C:BDAT 20 LAST\r\n" BODY, "S:250 ok\r\n", BYE},
     "0 delivered end of data 250\n1 delivered end of data 250\n",
     NULL},
    {"a large body is not sent for nobody",
     not_eager,
     {CHUNK, "C:MAIL FROM:<a@b>\r\nRCPT TO:<x@d>\r\nRCPT TO:<y@d>\r\n",
      "S:250 a\r\n550 b\r\n550 c\r\n", BYE},
     "0 failed rcpt 550\n1 failed rcpt 550\n",
     NULL},
    {"lmtp answers for each",
     lmtp,
     {"S:220 mx\r\n", "C:LHLO us\r\n", "S:250-mx\r\n250 PIPELINING\r\n", PIPED,
      "S:250 a\r\n250 b\r\n250 c\r\n354 go\r\n", STUFFED, "S:250 2.0.0 ok\r\n552 5.2.2 full\r\n",
      BYE},
     "0 delivered end of data 250 2.0.0\n1 failed end of data 552 5.2.2\n",
     NULL},
    {"lmtp loses the second answer",
     lmtp,
     {"S:220 mx\r\n", "C:LHLO us\r\n", "S:250-mx\r\n250 PIPELINING\r\n", PIPED,
      "S:250 a\r\n250 b\r\n250 c\r\n354 go\r\n", STUFFED, "S:250 2.0.0 ok\r\n", "eof"},
     "0 delivered end of data 250 2.0.0\n1 deferred end of data 0 4.4.2 unknown\n",
     "end of data 0 The host closed the connection"},
    {"lmtp, nobody accepted",
     lmtp,
     {"S:220 mx\r\n", "C:LHLO us\r\n", "S:250-mx\r\n250 PIPELINING\r\n", PIPED,
      "S:250 a\r\n550 b\r\n550 c\r\n354 go\r\n", "C:.\r\nQUIT\r\n", "S:221 bye\r\n"},
     "0 failed rcpt 550\n1 failed rcpt 550\n",
     NULL},
    {"extensions are used where offered",
     with_dsn,
     {GREET, "S:250-mx\r\n250-SIZE 1000\r\n250-8bitmime\r\n250-DSN\r\n250 X\r\n",
      "C:MAIL FROM:<a@b> SIZE=20 BODY=8BITMIME RET=HDRS ENVID=e\r\n", "S:250 ok\r\n",
      "C:RCPT TO:<x@d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o\r\n", "S:250 ok\r\n", "C:DATA\r\n",
      "S:354 go\r\n", STUFFED, "S:250 ok\r\n", BYE},
     "0 delivered end of data 250\n",
     NULL},
    {"extensions are not used where not offered",
     with_dsn,
     {PLAIN, "C:MAIL FROM:<a@b>\r\n", "S:250 ok\r\n", "C:RCPT TO:<x@d>\r\n", "S:250 ok\r\n",
      "C:DATA\r\n", "S:354 go\r\n", STUFFED, "S:250 ok\r\n", BYE},
     "0 delivered end of data 250\n",
     NULL},
    {"SMTPUTF8 needed and offered",
     with_utf8,
     {GREET, "S:250-mx\r\n250 SMTPUTF8\r\n", "C:MAIL FROM:<a@b> SMTPUTF8\r\n", "S:450 no\r\n", BYE},
     "0 deferred mail 450\n",
     NULL},
    {"SMTPUTF8 needed and not offered", with_utf8, {PLAIN, BYE}, "0 failed mail 0 5.6.7\n", NULL},
    {"over the host's SIZE",
     NULL,
     {GREET, "S:250-mx\r\n250 SIZE 19\r\n", BYE},
     "0 failed mail 0 5.3.4\n1 failed mail 0 5.3.4\n",
     NULL},
    {"MAILMAX",
     twice,
     {GREET, "S:250-mx\r\n250 LIMITS MAILMAX=1 RCPTMAX=5\r\n", "C:MAIL FROM:<a@b>\r\n",
      "S:550 no\r\n", BYE},
     "0 failed mail 550\n1 failed mail 550\n",
     NULL},
    {"HELO where EHLO is not known",
     none,
     {GREET, "S:502 what\r\n", "C:HELO us\r\n", "S:250-mx\r\n250 PIPELINING\r\n", BYE},
     "",
     NULL},
    {"HELO is not known either",
     none,
     {GREET, "S:502 what\r\n", "C:HELO us\r\n", "S:502 what\r\n", "C:QUIT\r\n"},
     "",
     "hello 502 what"},
    {"greeted with 554", NULL, {"S:554 go away\r\n", "C:QUIT\r\n"}, "", "greeting 554 go away"},
    {"greeted with 421", NULL, {"S:421 busy\r\n", "C:"}, "", "greeting 421 busy"},
    {"greeted by another protocol",
     NULL,
     {"S:SSH-2.0-OpenSSH\r\n"},
     "",
     "greeting 0 The host answered what is no valid reply"},
    {"closed before the greeting", NULL, {"eof"}, "", "greeting 0 The host closed the connection"},
    {"closed after EHLO", NULL, {GREET, "eof"}, "", "hello 0 The host closed the connection"},
    {"closed after MAIL",
     NULL,
     {PIPE, PIPED, "eof"},
     "0 deferred mail 0 4.4.2\n1 deferred mail 0 4.4.2\n",
     "mail 0 The host closed the connection"},
    {"closed after the 354",
     NULL,
     {PIPE, PIPED, "S:250 a\r\n250 b\r\n550 c\r\n354 go\r\n", "eof"},
     "1 failed rcpt 550\n0 deferred end of data 0 4.4.2 unknown\n",
     "end of data 0 The host closed the connection"},
    {"closed after all was sent in one write",
     NULL,
     {CHUNK, CHUNKED, "S:250 a\r\n", "eof"},
     "0 deferred rcpt 0 4.4.2 unknown\n1 deferred rcpt 0 4.4.2 unknown\n",
     "rcpt 0 The host closed the connection"},
    {"closed when idle",
     NULL,
     {CHUNK, CHUNKED, "S:250 a\r\n250 b\r\n250 c\r\n250 d\r\n", "C:QUIT\r\n", "eof"},
     "0 delivered end of data 250\n1 delivered end of data 250\n",
     NULL},
    {"garbage in the middle",
     NULL,
     {PIPE, PIPED, "S:250 a\r\nwhat?\r\n"},
     "0 deferred rcpt 0 4.5.0\n1 deferred rcpt 0 4.5.0\n",
     "rcpt 0 The host answered what is no valid reply"},
    {"a reply without end",
     small_replies,
     {"S:220-0123456789\r\n220-0123456789\r\n"},
     "",
     "greeting 0 The host's reply is longer than the limit"},
    {"354 to MAIL",
     NULL,
     {PIPE, PIPED, "S:354 what\r\n"},
     "0 deferred mail 0 4.5.0\n1 deferred mail 0 4.5.0\n",
     "mail 0 The host answered what is no valid reply"},
    {"250 to DATA",
     NULL,
     {PIPE, PIPED, "S:250 a\r\n250 b\r\n250 c\r\n250 d\r\n"},
     "0 deferred data 0 4.5.0\n1 deferred data 0 4.5.0\n",
     "data 0 The host answered what is no valid reply"},
    {"TLS",
     none,
     {GREET, "S:250-mx\r\n250 STARTTLS\r\n", "C:STARTTLS\r\n", "S:220 go\r\n", "C:[TLS]EHLO us\r\n",
      "S:250-mx\r\n250 STARTTLS\r\n", BYE},
     "",
     NULL},
    {"TLS refused, may go on",
     none,
     {GREET, "S:250-mx\r\n250 STARTTLS\r\n", "C:STARTTLS\r\n", "S:454 4.7.0 no\r\n", BYE},
     "",
     NULL},
    {"TLS refused, must have it",
     must_tls,
     {GREET, "S:250-mx\r\n250 STARTTLS\r\n", "C:STARTTLS\r\n", "S:554 5.7.0 no\r\n"},
     "",
     "starttls 554 5.7.0 no"},
    {"TLS not offered, must have it",
     must_tls,
     {PLAIN},
     "",
     "starttls 0 TLS is required and not offered"},
};

static void talks_go_as_scripted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(talks); i++)
        for (size_t step = 0; step <= 7; step++)
            run(&talks[i], step);
}

static void replies_behind_starttls_are_an_attack(void **state)
{
    static const struct talk t = {
        "injected",
        none,
        {GREET, "S:250-mx\r\n250 STARTTLS\r\n", "C:STARTTLS\r\n", "S:220 go\r\n250 mx\r\n"},
        "",
        "starttls 0 The host answered what is no valid reply"};

    (void)state;
    run(&t, 0);
}

static void a_body_that_does_not_fit_is_tried_again(void **state)
{
    struct party p = {
        .config = SMTP_CLIENT_CONFIG_INIT, .out = BUF_INIT(64), .results = BUF_INIT(1024)};
    static const struct smtp_recipient recipient = {.address = LIT("x@d")};
    static uint8_t body[60];
    struct smtp_transaction t = {.recipients = &recipient, .recipient_count = 1, .body_bytes = 60};

    (void)state;
    memset(body, 'x', sizeof(body));
    p.config.hello_name = SLICE_LIT("us");
    smtp_client_init(&p.client, &p.config, &handler, &p, &p.out);
    smtp_client_feed(&p.client, SLICE_LIT("220 a\r\n250 b\r\n"));
    p.results_left = 1;
    buf_clear(&p.out);
    smtp_client_begin(&p.client, &t);
    smtp_client_feed(&p.client, SLICE_LIT("250 a\r\n250 b\r\n354 c\r\n"));
    assert_true(smtp_client_body(&p.client, slice_make(body, 60)) < 0);
    assert_int_equal(smtp_client_body_left(&p.client), 60);
    buf_clear(&p.out);
    assert_true(smtp_client_body(&p.client, slice_make(body, 60)) < 0); /* 65 with its end */
    buf_clear(&p.out);
    assert_int_equal(smtp_client_body(&p.client, slice_make(body, 30)), 0);
    assert_int_equal(smtp_client_body(&p.client, slice_make(body, 29)), 0);
    buf_clear(&p.out);
    assert_int_equal(smtp_client_body(&p.client, slice_make(body, 1)), 0);
    assert_string_equal(buf_cstr(&p.out), "x\r\n.\r\n");
    smtp_client_eof(&p.client, -ETIMEDOUT);
    assert_string_equal(buf_cstr(&p.results), "0 deferred end of data 0 4.4.2 unknown\n");
    smtp_client_done(&p.client);
    buf_done(&p.out);
    buf_done(&p.results);
    buf_done(&p.told);
}

static void commands_and_replies_are_told_for_a_log(void **state)
{
    static const struct smtp_recipient recipients[] = {{.address = LIT("x@d")},
                                                       {.address = LIT("y@d"), .notify = 3}};
    struct party p = {.config = SMTP_CLIENT_CONFIG_INIT,
                      .out = BUF_INIT(1 << 16),
                      .results = BUF_INIT(1 << 16),
                      .told = BUF_INIT(1 << 16),
                      .t = {.sender = SLICE_LIT("a@b"),
                            .recipients = recipients,
                            .recipient_count = 2,
                            .body_bytes = sizeof(BODY) - 1},
                      .transactions_left = 1};

    (void)state;
    p.config.hello_name = SLICE_LIT("us");
    smtp_client_init(&p.client, &p.config, &handler, &p, &p.out);
    say(&p, SLICE_LIT("220 mx\r\n"), SIZE_MAX);
    say(&p, SLICE_LIT("250-mx hello\r\n250-PIPELINING\r\n250-DSN\r\n250 SIZE 9999\r\n"), SIZE_MAX);
    say(&p, SLICE_LIT("250 2.1.0 Ok\r\n452 4.3.1 No\r\n250 Ok\r\n354 go\r\n"), SIZE_MAX);
    say(&p, SLICE_LIT("250 Ok\r\n"), SIZE_MAX);
    say(&p, SLICE_LIT("221 bye\r\n"), SIZE_MAX);
    assert_string_equal(buf_cstr(&p.told),
                        "S:220 mx\nC:EHLO us\nS:250 mx hello\nPIPELINING\nDSN\nSIZE 9999\n"
                        "C:MAIL FROM:<a@b> SIZE=20\nC:RCPT TO:<x@d>\n"
                        "C:RCPT TO:<y@d> NOTIFY=NEVER,SUCCESS\nC:DATA\n"
                        "S:250 2.1.0 Ok\nS:452 4.3.1 No\nS:250 Ok\nS:354 go\n"
                        "S:250 Ok\nC:QUIT\nS:221 bye\n");
    smtp_client_done(&p.client);
    buf_done(&p.out);
    buf_done(&p.results);
    buf_done(&p.told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(talks_go_as_scripted),
        cmocka_unit_test(replies_behind_starttls_are_an_attack),
        cmocka_unit_test(a_body_that_does_not_fit_is_tried_again),
        cmocka_unit_test(commands_and_replies_are_told_for_a_log),
    };

    return cmocka_run_group_tests_name("smtp client", tests, NULL, NULL);
}
