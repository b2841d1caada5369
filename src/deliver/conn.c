/*
 * deliver/conn.c - one connection to a host: the client machine of smtp/ on a stream, time-outs
 * for each phase, and the shelf of idle connections.
 *
 *     CONNECTING -> GREETING .. EHLO [TLS] -> ready --conn_send()--> sending -> ready
 *         |             |                       |                       |
 *         `------ run_connect_failed()          |<------ run_batch_done()
 *                                               `--conn_leave()--> idle --taken--> ready
 *                                                                    `--time-out--> QUIT, closed
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "config/policy.h"
#include "deliver/worker_int.h"
#include "event/event.h"
#include "io/tls.h"

#define WRITE_LIMIT KIB(512)
#define OUT_MAX KIB(256)
#define BODY_AHEAD KIB(128) /* unsent bytes over which we wait for the peer */
#define CLOSED_BY_ERROR "Remote(SocketError)"
#define IDLE_MAX 256 /* idle connections of one loop; the longest idle makes room */

/* Off the list it is on. */
static void unshelve(struct conn *c)
{
    list_del(&c->node);
    c->worker->idle_count -= c->is_idle;
    c->is_idle = false;
}

static void conn_free(struct conn *c)
{
    unshelve(c);
    c->worker->conn_count--;
    loop_timer_stop(&c->timer);
    conn_log_close(c);
    stream_close(&c->stream);
    smtp_client_done(&c->smtp);
    buf_done(&c->out);
    config_unref(&c->config);
    free(c);
}

/* ---- time-outs ---- */

static uint64_t phase_timeout_ms(const struct conn *c)
{
    const struct config_delivery_time_outs *t = &c->config->delivery.time_outs;

    if (!c->run && !c->is_leaving)
        return c->config->delivery.connection_idle_ms;
    switch (smtp_client_phase(&c->smtp)) {
    case SMTP_PHASE_GREETING:
        return t->greeting_ms;
    case SMTP_PHASE_HELLO:
    case SMTP_PHASE_STARTTLS:
        return t->ehlo_ms;
    case SMTP_PHASE_TLS:
        return t->tls_ms;
    case SMTP_PHASE_MAIL:
    case SMTP_PHASE_IDLE:
        return t->mail_ms;
    case SMTP_PHASE_RCPT:
        return t->rcpt_ms;
    case SMTP_PHASE_DATA:
        return t->data_ms;
    case SMTP_PHASE_BODY:
        return t->block_ms;
    case SMTP_PHASE_END:
        return t->data_end_ms;
    case SMTP_PHASE_QUIT:
    case SMTP_PHASE_CLOSED:
    case SMTP_PHASE_CONNECT:
    default:
        return t->quit_ms;
    }
}

/*
 * A reply in full or a piece of body is progress; single bytes of a reply are not, so a peer that
 * trickles is no better off than one that is silent.
 */
static void restart_timer(struct conn *c)
{
    enum smtp_phase phase = smtp_client_phase(&c->smtp);
    uint64_t body_left = smtp_client_body_left(&c->smtp);

    if (loop_timer_is_running(&c->timer) && c->timed.phase == phase &&
        c->timed.replies == c->smtp.replies && c->timed.body_left == body_left)
        return;
    c->timed.phase = phase;
    c->timed.replies = c->smtp.replies;
    c->timed.body_left = body_left;
    loop_timer_start(&c->timer, phase_timeout_ms(c));
}

/* ---- the machine ---- */

static const char *failure_text(const struct conn *c, char *text, size_t size, uint16_t *ret_code)
{
    const struct smtp_result *f = smtp_client_failure(&c->smtp);
    char ip[ADDR_TEXT_MAX];

    addr_format_ip(&c->peer, ip);
    *ret_code = f ? (uint16_t)f->code : 0;
    if (f && f->code)
        (void)snprintf(text, size, "%s[%s] said: %u %.*s", c->host, ip, f->code,
                       SLICE_FMT(f->text));
    else if (f)
        (void)snprintf(text, size, "%s[%s]: %.*s (at %s)", c->host, ip, SLICE_FMT(f->text),
                       smtp_phase_name(c->is_up ? f->phase : SMTP_PHASE_CONNECT));
    else
        (void)snprintf(text, size, "%s[%s]: the connection was closed", c->host, ip);
    return text;
}

/* The connection can do no more. The run, if there is one, goes on without it. */
static void conn_over(struct conn *c)
{
    struct run *run = c->run;
    bool was_connected = c->connected;
    enum smtp_phase phase = SMTP_PHASE_CLOSED;
    char text[512];
    uint16_t code;

    if (smtp_client_failure(&c->smtp))
        phase = smtp_client_failure(&c->smtp)->phase;
    (void)failure_text(c, text, sizeof(text), &code);
    if (run && !was_connected)
        attempt_no_session(run, smtp_client_failure(&c->smtp), 0, text);
    event(EVENT_REMOTE_DISCONNECTED, EVENT_NO_ID, EV_STR("host", c->host),
          EV_ADDR("address", &c->peer), EV_UINT("messages", c->messages));
    c->run = NULL;
    conn_free(c);
    if (!run)
        return;
    run->conn = NULL;
    if (was_connected)
        run_conn_lost(run);
    else
        run_connect_failed(run, text, code,
                           phase == SMTP_PHASE_TLS || phase == SMTP_PHASE_STARTTLS);
}

/* Sends what the machine has written. False: the connection is gone (the machine was told). */
static bool flush(struct conn *c)
{
    struct slice out = buf_slice(&c->out);
    int r = out.len ? stream_write(c->stream, out) : 0;

    counter_add(COUNTER_BYTES_OUT, out.len);
    buf_clear(&c->out);
    if (r >= 0)
        return true;
    c->record.closed_by = CLOSED_BY_ERROR;
    smtp_client_eof(&c->smtp, r);
    return false;
}

/* Hands the machine as much body as fits. */
static void give_body(struct conn *c)
{
    while (smtp_client_wants(&c->smtp) == SMTP_CLIENT_BODY &&
           stream_pending_bytes(c->stream) < BODY_AHEAD) {
        struct slice chunk = {0};
        uint64_t left = smtp_client_body_left(&c->smtp);
        ptrdiff_t n = transaction_body(c->transaction, left, &chunk);
        int r = n < 0 ? (int)n : 0;

        if (r == 0)
            r = smtp_client_body(&c->smtp, chunk);
        if (r < 0) { /* the mail must not arrive cut: break the connection off before its end */
            smtp_client_eof(&c->smtp, r);
            return;
        }
        if (!flush(c))
            return;
    }
}

static void leave_run(struct conn *c)
{
    c->run->conn = NULL;
    c->run = NULL;
    c->transaction = NULL;
}

static void begin_leaving(struct conn *c)
{
    c->is_leaving = true;
    list_add_tail(&c->worker->leaving, &c->node);
}

/* The connection is over with a batch under way: its results are all in. */
static void conn_over_in_batch(struct conn *c)
{
    struct run *run = c->run;
    bool was_stale = c->was_stale, was_lost = c->batch_was_lost;

    leave_run(c);
    conn_free(c);
    if (was_stale)
        run_conn_lost(run);
    else
        run_batch_done(run, was_lost);
}

/* The host takes no more mail on this connection, and the machine has said QUIT. */
static void leave_after_batch(struct conn *c)
{
    struct run *run = c->run;

    leave_run(c);
    begin_leaving(c);
    restart_timer(c);
    run_batch_done(run, false);
}

/* After every call into the machine: do what it wants. */
static void drive(struct conn *c)
{
    struct run *run = c->run;

    if (c->in_machine)
        return;
    c->in_machine = true;
    if (smtp_client_wants(&c->smtp) == SMTP_CLIENT_BODY)
        give_body(c);
    if (buf_len(&c->out))
        (void)flush(c);
    c->in_machine = false;
    switch (smtp_client_wants(&c->smtp)) {
    case SMTP_CLIENT_TLS:
        if (stream_start_tls(c->stream, c->worker->tls, slice_str(c->host)) < 0) {
            smtp_client_eof(&c->smtp, -ENOMEM);
            conn_over(c);
            return;
        }
        break;
    case SMTP_CLIENT_CLOSE:
        if (c->transaction)
            conn_over_in_batch(c);
        else
            conn_over(c);
        return;
    case SMTP_CLIENT_TRANSACTION:
        restart_timer(c);
        if (run && !c->connected) {
            c->connected = true;
            run_connected(run);
        } else if (c->transaction) {
            c->transaction = NULL;
            run_batch_done(run, false);
        }
        return;
    case SMTP_CLIENT_REPLY:
    case SMTP_CLIENT_BODY:
    default:
        break;
    }
    if (c->transaction && c->batch_is_over)
        leave_after_batch(c);
    else
        restart_timer(c);
}

/*
 * A connection that waited idle may have been closed by the peer meanwhile, which we learn only
 * now: no reply to MAIL is then no result, and the entry goes over a fresh connection.
 */
static void on_result(void *ctx, size_t recipient, const struct smtp_result *result)
{
    struct conn *c = ctx;

    conn_log_result(c, result);
    if (result->code == 0 && result->phase <= SMTP_PHASE_MAIL && c->messages > 1 &&
        result->err != -EOPNOTSUPP && result->err != -EMSGSIZE && !c->run->retried_batch)
        c->was_stale = true;
    else
        transaction_result(c->transaction, recipient, result);
}

static void on_done(void *ctx)
{
    struct conn *c = ctx;

    conn_log_sent(c);
    c->batch_is_over = true; /* drive() goes on from there */
    c->batch_was_lost = smtp_client_wants(&c->smtp) == SMTP_CLIENT_CLOSE;
}

static void on_command(void *ctx, struct slice line)
{
    struct conn *c = ctx;

    protocol_log_command(&c->record.log, '>', line);
}

static void on_reply(void *ctx, const struct smtp_reply *reply)
{
    struct conn *c = ctx;

    protocol_log_reply_text(&c->record.log, '<', reply->code, reply->text);
}

static const struct smtp_client_handler smtp_handler = {
    .on_result = on_result, .on_done = on_done, .on_command = on_command, .on_reply = on_reply};

void conn_break(struct conn *c, int err)
{
    smtp_client_eof(&c->smtp, err);
    drive(c);
}

/* ---- the stream ---- */

static void on_connect(void *ctx, int err)
{
    struct conn *c = ctx;

    if (err < 0) {
        conn_log_not_connected(c, err);
        conn_break(c, err);
        return;
    }
    c->is_up = true;
    conn_log_connected(c);
    event(EVENT_REMOTE_CONNECTED, EVENT_NO_ID, EV_STR("host", c->host),
          EV_ADDR("address", &c->peer), EV_STR("destination", c->name));
    restart_timer(c);
}

static void on_data(void *ctx, struct slice data)
{
    struct conn *c = ctx;

    c->in_machine = true;
    smtp_client_feed(&c->smtp, data);
    c->in_machine = false;
    drive(c);
}

static void on_drain(void *ctx)
{
    drive(ctx);
}

static void on_tls(void *ctx, int err)
{
    struct conn *c = ctx;

    if (err < 0) {
        event(EVENT_TLS_FAILED, EVENT_NO_ID, EV_STR("host", c->host), EV_ADDR("address", &c->peer),
              EV_STR("why", stream_tls_error(c->stream)));
        protocol_log_tls(&c->record.log, NULL, NULL, stream_tls_error(c->stream));
        conn_break(c, err);
        return;
    }
    event(EVENT_TLS_STARTED, EVENT_NO_ID, EV_STR("host", c->host),
          EV_STR("version", stream_tls_version(c->stream)),
          EV_STR("cipher", stream_tls_cipher(c->stream)));
    protocol_log_tls(&c->record.log, stream_tls_version(c->stream), stream_tls_cipher(c->stream),
                     NULL);
    smtp_client_tls_started(&c->smtp);
    drive(c);
}

static void on_end(void *ctx, int err)
{
    struct conn *c = ctx;

    c->record.closed_by = err < 0 ? CLOSED_BY_ERROR : "Remote";
    conn_break(c, err);
}

static const struct stream_handler stream_handler = {
    .on_data = on_data,
    .on_drain = on_drain,
    .on_connect = on_connect,
    .on_tls = on_tls,
    .on_end = on_end,
};

static void on_timer(struct loop_timer *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, timer);

    if (!c->run && !c->is_leaving)
        conn_quit(c);
    else
        conn_break(c, -ETIMEDOUT);
}

/* ---- for the run ---- */

static enum smtp_client_tls tls_mode(const struct conn *c, bool use_tls)
{
    if (!use_tls || !c->worker->tls)
        return SMTP_TLS_NEVER;
    switch (c->config->delivery.tls) {
    case CONFIG_CLIENT_TLS_REQUIRED:
    case CONFIG_CLIENT_TLS_VERIFIED:
        return SMTP_TLS_MUST;
    case CONFIG_CLIENT_TLS_OPPORTUNISTIC:
        return SMTP_TLS_MAY;
    case CONFIG_CLIENT_TLS_OFF:
    default:
        return SMTP_TLS_NEVER;
    }
}

const struct config_source *run_source(const struct run *run)
{
    const struct config *c = run->job->config;
    const struct config_source *source = config_find_source(c, slice_str(run->job->source));

    return source ? source : &c->sources[0];
}

static void configure(struct conn *c, bool use_tls, bool lmtp)
{
    const struct config_delivery *d = &c->config->delivery;

    c->smtp_config = SMTP_CLIENT_CONFIG_INIT;
    c->smtp_config.hello_name = slice_str(c->source->ehlo_name);
    c->smtp_config.lmtp = lmtp;
    c->smtp_config.tls = tls_mode(c, use_tls);
    c->smtp_config.extensions_ignored = (d->chunking ? 0u : (unsigned)SMTP_EXT_CHUNKING) |
                                        (d->pipelining ? 0u : (unsigned)SMTP_EXT_PIPELINING);
}

/* What to bind to; NULL: the system's choice. */
static const struct addr *address_for(const struct config_source *source, const struct addr *peer)
{
    const struct addr *address;

    if (peer->u.any.sa_family == AF_UNIX)
        return NULL;
    address = addr_is_ipv6(peer) ? &source->ipv6 : &source->ipv4;
    return address->len ? address : NULL;
}

int conn_open(struct run *run, const struct addr *peer, const char *host, bool use_tls, bool lmtp,
              struct conn **ret)
{
    const struct stream_options options = {.write_limit = WRITE_LIMIT};
    struct worker *w = run->worker;
    struct conn *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return -ENOMEM;
    c->worker = w;
    c->run = run;
    c->config = config_ref(run->job->config);
    c->source = run_source(run);
    c->peer = *peer;
    (void)snprintf(c->name, sizeof(c->name), "%s", run->job->name);
    (void)snprintf(c->host, sizeof(c->host), "%s", host);
    buf_init(&c->out, OUT_MAX);
    list_init(&c->node);
    loop_timer_init(&c->timer, w->seams.loop, on_timer);
    configure(c, use_tls, lmtp);
    smtp_client_init(&c->smtp, &c->smtp_config, &smtp_handler, c, &c->out);
    conn_log_open(c, run->session);
    w->conn_count++;
    r = stream_connect(w->seams.loop, peer, address_for(c->source, peer),
                       c->config->delivery.time_outs.connect_ms, &options, &stream_handler, c,
                       &c->stream);
    if (r < 0)
        conn_log_not_connected(c, r);
    run->session = 0; /* the connection has it, and ends it */
    if (r < 0) {
        conn_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

bool conn_is_used_up(const struct conn *c)
{
    return c->messages >= c->config->delivery.messages_per_connection_max;
}

bool conn_send(struct conn *c, struct transaction *t)
{
    c->transaction = t;
    c->messages++;
    c->batch_is_over = c->batch_was_lost = false;
    transaction_set_host(t, c->host, &c->peer, smtp_client_extensions(&c->smtp) & SMTP_EXT_DSN);
    attempt_over(t, c);
    conn_log_sending(c, t);
    c->in_machine = true;
    smtp_client_begin(&c->smtp, &t->smtp);
    c->in_machine = false;
    if (c->batch_is_over && smtp_client_wants(&c->smtp) == SMTP_CLIENT_TRANSACTION) {
        c->transaction = NULL;
        return false;
    }
    drive(c);
    return true;
}

struct conn *conn_take_idle(struct worker *w, struct run *run, const char *name)
{
    for (struct list *node = w->idle.prev; node != &w->idle; node = node->prev) {
        struct conn *c = LIST_ENTRY(node, struct conn, node);

        if (strcmp(c->name, name) == 0 && c->config == run->job->config &&
            c->source == run_source(run)) {
            unshelve(c);
            c->run = run;
            event(EVENT_REMOTE_REUSED, EVENT_NO_ID, EV_STR("host", c->host),
                  EV_STR("destination", c->name));
            return c;
        }
    }
    return NULL;
}

size_t conn_memory(const struct conn *c)
{
    return sizeof(*c) + buf_memory(&c->out) + buf_memory(&c->smtp.text) +
           (c->stream ? stream_pending_bytes(c->stream) : 0);
}

void conn_quit(struct conn *c)
{
    unshelve(c);
    c->run = NULL;
    begin_leaving(c);
    smtp_client_quit(&c->smtp);
    drive(c);
}

void conn_leave(struct conn *c)
{
    struct worker *w = c->worker;

    c->run = NULL;
    c->transaction = NULL;
    list_add_tail(&w->idle, &c->node);
    c->is_idle = true;
    if (w->idle_count++ >= IDLE_MAX)
        conn_quit(LIST_ENTRY(w->idle.next, struct conn, node));
    if (w->stopping || c->config->delivery.connection_idle_ms == 0 || conn_is_used_up(c))
        conn_quit(c);
    else
        loop_timer_start(&c->timer, phase_timeout_ms(c));
}
