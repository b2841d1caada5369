/*
 * smtp/session_test.c - the client machine against the server machine, from seeds: random bodies,
 * random refusals, random settings, random cuts, and sometimes a connection that breaks.
 *
 * What must hold in every history: each recipient gets exactly one result; what the server took is
 * byte for byte what the client had; delivered means taken; taken and not delivered happens only
 * where the connection broke and the client says that it does not know.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "smtp/client.h"
#include "smtp/server.h"

#define HISTORIES 5000
#define TRANSACTIONS_MAX 6
#define RECIPIENTS_MAX 5
#define BODY_MAX 3000

struct mail {
    struct smtp_transaction t;
    struct smtp_recipient recipients[RECIPIENTS_MAX];
    char sender[32], addresses[RECIPIENTS_MAX][32];
    uint8_t body[BODY_MAX];
    size_t len;
    bool has_result[RECIPIENTS_MAX], was_delivered[RECIPIENTS_MAX], is_unknown[RECIPIENTS_MAX];
    bool accepted[RECIPIENTS_MAX], was_taken; /* by the server */
};

struct world {
    struct rand rand;
    struct smtp_server_config server_config;
    struct smtp_client_config client_config;
    struct smtp_server server;
    struct smtp_client client;
    struct buf to_server, to_client, server_out, client_out, got;
    struct mail mails[TRANSACTIONS_MAX];
    size_t mail_count, mail_at;
    struct mail *open;  /* on the server */
    size_t waiting_for; /* the recipient a decision is waited for */
    unsigned refusals;  /* in 100 */
    bool is_broken, server_closed;
};

static bool chance(struct world *w, unsigned percent)
{
    return rand_below(&w->rand, 100) < percent;
}

/* ---- the server's owner ---- */

static struct smtp_decision decide(struct world *w)
{
    if (!chance(w, w->refusals))
        return smtp_accept();
    if (chance(w, 3))
        return smtp_say(421, SMTP_ENHANCED(4, 3, 2), SLICE_LIT("Going down"));
    return chance(w, 50) ? smtp_say(452, SMTP_ENHANCED(4, 3, 1), SLICE_LIT("Full\nCome again"))
                         : smtp_say(550, SMTP_ENHANCED(5, 7, 1), SLICE_LIT("No"));
}

static struct smtp_decision on_hello(void *ctx, enum smtp_verb verb, struct slice name)
{
    (void)ctx;
    (void)verb;
    (void)name;
    return smtp_accept();
}

static struct smtp_decision on_mail(void *ctx, const struct smtp_mail *mail)
{
    struct world *w = ctx;
    struct slice sender = smtp_address_mailbox(&mail->sender);

    w->open = NULL;
    for (size_t i = 0; i < w->mail_count; i++)
        if (slice_eq(sender, slice_str(w->mails[i].sender)))
            w->open = &w->mails[i];
    assert_non_null(w->open);
    assert_true(!mail->has_size || mail->size == w->open->len);
    return decide(w);
}

static struct smtp_decision on_rcpt(void *ctx, const struct smtp_rcpt *rcpt)
{
    struct world *w = ctx;
    struct slice address = smtp_address_mailbox(&rcpt->recipient);
    size_t i = 0;
    struct smtp_decision d = decide(w);

    while (i < w->open->t.recipient_count && !slice_eq(address, slice_str(w->open->addresses[i])))
        i++;
    assert_true(i < w->open->t.recipient_count);
    if (chance(w, 20)) { /* decided later, by answer() */
        w->waiting_for = i;
        return smtp_wait();
    }
    w->waiting_for = SIZE_MAX;
    w->open->accepted[i] = d.code == 250;
    return d;
}

static struct smtp_decision on_data_begin(void *ctx)
{
    struct world *w = ctx;

    buf_clear(&w->got);
    w->waiting_for = SIZE_MAX;
    return decide(w);
}

static bool on_body(void *ctx, struct slice body)
{
    struct world *w = ctx;

    assert_int_equal(buf_add(&w->got, body), 0);
    return !chance(w, 10);
}

static struct smtp_decision take(struct world *w)
{
    struct smtp_decision d = decide(w);

    w->open->was_taken = d.code == 250;
    return d;
}

static struct smtp_decision on_body_end(void *ctx, const struct smtp_body_facts *facts)
{
    struct world *w = ctx;
    struct slice sent = slice_make(w->open->body, w->open->len);

    assert_int_equal(facts->bytes, buf_len(&w->got));
    if (facts->bytes == sent.len + 2) /* DATA cannot say a body without CRLF at its end */
        assert_true(slice_has_suffix_case(buf_slice(&w->got), SLICE_LIT("\r\n")));
    else
        assert_int_equal(facts->bytes, sent.len);
    assert_true(slice_has_prefix(buf_slice(&w->got), sent));
    w->waiting_for = SIZE_MAX - 1;
    return chance(w, 50) ? smtp_wait() : take(w);
}

static void on_reset(void *ctx, enum smtp_reset reason)
{
    struct world *w = ctx;

    (void)reason;
    w->open = NULL;
}

static const struct smtp_server_handler server_handler = {.on_hello = on_hello,
                                                          .on_mail = on_mail,
                                                          .on_rcpt = on_rcpt,
                                                          .on_data_begin = on_data_begin,
                                                          .on_body = on_body,
                                                          .on_body_end = on_body_end,
                                                          .on_reset = on_reset};

static void answer(struct world *w)
{
    struct smtp_decision d;

    if (w->waiting_for == SIZE_MAX - 1) {
        d = take(w);
    } else {
        d = decide(w);
        w->open->accepted[w->waiting_for] = d.code == 250;
    }
    smtp_server_answer(&w->server, d);
}

/* ---- the client's owner ---- */

static void on_result(void *ctx, size_t i, const struct smtp_result *r)
{
    struct world *w = ctx;
    struct mail *m = &w->mails[w->mail_at - 1];

    assert_true(i < m->t.recipient_count);
    assert_false(m->has_result[i]);
    m->has_result[i] = true;
    m->was_delivered[i] = r->outcome == SMTP_DELIVERED;
    m->is_unknown[i] = r->is_unknown;
}

static void on_done(void *ctx)
{
    struct world *w = ctx;
    struct mail *m = &w->mails[w->mail_at - 1];

    for (size_t i = 0; i < m->t.recipient_count; i++)
        assert_true(m->has_result[i]);
}

static const struct smtp_client_handler client_handler = {.on_result = on_result,
                                                          .on_done = on_done};

static void act(struct world *w)
{
    for (int i = 0; i < 3; i++) { /* never all at once: replies may come in between */
        enum smtp_client_wants wants = smtp_client_wants(&w->client);

        if (wants == SMTP_CLIENT_BODY) {
            struct mail *m = &w->mails[w->mail_at - 1];
            size_t left = smtp_client_body_left(&w->client);
            size_t n = rand_below(&w->rand, left + 1);

            assert_int_equal(smtp_client_body(&w->client, slice_make(m->body + m->len - left, n)),
                             0);
        } else if (wants == SMTP_CLIENT_TRANSACTION && w->mail_at < w->mail_count) {
            w->mail_at++;
            smtp_client_begin(&w->client, &w->mails[w->mail_at - 1].t);
        } else if (wants == SMTP_CLIENT_TRANSACTION) {
            smtp_client_quit(&w->client);
        }
    }
    assert_int_equal(buf_add(&w->to_server, buf_slice(&w->client_out)), 0);
    buf_clear(&w->client_out);
}

/* ---- the world ---- */

static void make_mail(struct world *w, struct mail *m, size_t index)
{
    static const char letters[] = "\r\r\r\r..abc\xe9";

    (void)snprintf(m->sender, sizeof(m->sender), "m%zu@b", index);
    m->t.sender = slice_str(m->sender);
    m->t.recipient_count = 1 + rand_below(&w->rand, RECIPIENTS_MAX);
    m->t.recipients = m->recipients;
    for (size_t i = 0; i < m->t.recipient_count; i++) {
        (void)snprintf(m->addresses[i], sizeof(m->addresses[i]), "r%zu@d", i);
        m->recipients[i].address = slice_str(m->addresses[i]);
    }
    for (size_t len = rand_below(&w->rand, BODY_MAX); m->len + 2 <= len;) {
        uint8_t c = (uint8_t)letters[rand_below(&w->rand, sizeof(letters) - 1)];

        m->body[m->len++] = c;
        if (c == '\r')
            m->body[m->len++] = '\n';
    }
    m->t.body_bytes = m->len;
    m->t.is_8bit = true;
}

static void begin(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    rand_init(&w->rand, seed);
    w->server_config = SMTP_SERVER_CONFIG_INIT;
    w->server_config.hostname = SLICE_LIT("mx");
    w->server_config.extensions = (unsigned)rand_below(&w->rand, SMTP_EXT_USUAL + 1);
    w->server_config.lmtp = chance(w, 20);
    w->server_config.text_line_max = 0;
    w->server_config.messages_max = chance(w, 20) ? 2 : 0;
    w->client_config = SMTP_CLIENT_CONFIG_INIT;
    w->client_config.hello_name = SLICE_LIT("us");
    w->client_config.lmtp = w->server_config.lmtp;
    w->client_config.eager_body_max = rand_below(&w->rand, BODY_MAX);
    w->refusals = chance(w, 50) ? 20 : 0;
    w->to_server = w->to_client = w->server_out = w->client_out = w->got = BUF_INIT(1 << 20);
    w->mail_count = 1 + rand_below(&w->rand, TRANSACTIONS_MAX);
    for (size_t i = 0; i < w->mail_count; i++)
        make_mail(w, &w->mails[i], i);
    smtp_server_init(&w->server, &w->server_config, &server_handler, w, &w->server_out);
    smtp_client_init(&w->client, &w->client_config, &client_handler, w, &w->client_out);
    smtp_server_greet(&w->server);
}

static void step_server(struct world *w)
{
    size_t n = rand_below(&w->rand, chance(w, 30) ? 10 : 2000), used;
    struct slice in = slice_sub(buf_slice(&w->to_server), 0, n);
    enum smtp_server_next next = smtp_server_feed(&w->server, in, &used);

    buf_consume(&w->to_server, used);
    if (next == SMTP_SERVER_WAIT && chance(w, 50))
        answer(w);
    else if (next == SMTP_SERVER_PAUSED && chance(w, 50))
        smtp_server_resume(&w->server);
    assert_int_equal(buf_add(&w->to_client, buf_slice(&w->server_out)), 0);
    buf_clear(&w->server_out);
    w->server_closed = next == SMTP_SERVER_CLOSE;
}

static void step_client(struct world *w)
{
    struct slice in = buf_slice(&w->to_client);

    in = slice_sub(in, 0, rand_below(&w->rand, chance(w, 30) ? 10 : 2000));
    smtp_client_feed(&w->client, in);
    buf_consume(&w->to_client, in.len);
    if (w->server_closed && buf_len(&w->to_client) == 0)
        smtp_client_eof(&w->client, 0);
    else
        act(w);
}

static void judge(struct world *w)
{
    for (size_t i = 0; i < w->mail_at; i++) {
        const struct mail *m = &w->mails[i];

        for (size_t k = 0; k < m->t.recipient_count; k++) {
            bool taken = m->was_taken && m->accepted[k];

            assert_true(m->has_result[k]);
            if (m->was_delivered[k])
                assert_true(taken);
            if (taken && !m->was_delivered[k])
                assert_true(w->is_broken && m->is_unknown[k]);
        }
    }
}

static void one_history(uint64_t seed, size_t *ret_delivered)
{
    static struct world w;
    size_t break_at, steps = 0;

    begin(&w, seed);
    break_at = chance(&w, 30) ? rand_below(&w.rand, 60) : SIZE_MAX;
    while (smtp_client_wants(&w.client) != SMTP_CLIENT_CLOSE) {
        assert_true(++steps < 100000); /* it ends */
        if (steps == break_at) {
            w.is_broken = true;
            smtp_client_eof(&w.client, -ECONNRESET);
            smtp_server_eof(&w.server);
            break;
        }
        step_server(&w);
        step_client(&w);
    }
    smtp_server_eof(&w.server);
    judge(&w);
    for (size_t i = 0; i < w.mail_at; i++)
        for (size_t k = 0; k < w.mails[i].t.recipient_count; k++)
            *ret_delivered += w.mails[i].was_delivered[k];
    smtp_server_done(&w.server);
    smtp_client_done(&w.client);
    buf_done(&w.to_server);
    buf_done(&w.to_client);
    buf_done(&w.server_out);
    buf_done(&w.client_out);
    buf_done(&w.got);
}

static void every_history_keeps_its_promises(void **state)
{
    size_t delivered = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++)
        one_history(seed, &delivered);
    assert_true(delivered > 3 * HISTORIES); /* the test does test something */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_history_keeps_its_promises)};

    return cmocka_run_group_tests_name("smtp session", tests, NULL, NULL);
}
