/*
 * tests/sim/people.c - the clients that submit mail and the hosts that get it: the machines of
 * smtp/ on streams of the simulated network, with the manners of people one meets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/list.h"
#include "io/addr.h"
#include "io/loop.h"
#include "io/stream.h"
#include "sim.h"
#include "smtp/client.h"
#include "smtp/server.h"

#define OUT_MAX MIB(1)
#define BODY_STEP KIB(16)
#define PENDING_MAX 64

static struct {
    struct loop *loop;
    struct list clients, hosts;
    struct listener *listeners[DOMAIN_HOSTS];
    struct host_mood mood;
} people;

void people_set_mood(const struct host_mood *m)
{
    people.mood = *m;
}

/* ---- clients ---- */

struct client {
    struct list node;
    struct stream *stream;
    struct smtp_client smtp;
    struct smtp_client_config config;
    struct buf out, body, texts;
    size_t body_at;
    uint64_t left; /* mails to submit */
    struct mail *mail;
    struct smtp_transaction transaction;
    struct smtp_recipient to[LEDGER_RECIPIENTS];
    bool waits_for_drain, is_dead;
};

static void client_free(struct client *c)
{
    list_del(&c->node);
    stream_close(&c->stream);
    smtp_client_done(&c->smtp);
    buf_done(&c->out);
    buf_done(&c->body);
    buf_done(&c->texts);
    free(c);
}

static void on_result(void *ctx, size_t recipient, const struct smtp_result *result)
{
    struct client *c = ctx;
    struct fate *f = &c->mail->fates[recipient];

    if (result->code == 0)
        f->told = result->is_unknown ? TOLD_UNKNOWN : TOLD_NOTHING;
    else
        f->told = result->outcome == SMTP_DELIVERED ? TOLD_YES : TOLD_NO;
    sim_trace("mail %u: its client is told %u for d%u.example", c->mail->number, result->code,
              f->domain);
}

static void on_done(void *ctx)
{
    struct client *c = ctx;

    c->mail = NULL;
}

static const struct smtp_client_handler client_handler = {.on_result = on_result,
                                                          .on_done = on_done};

/* Slices into `texts`, which must not move any more: it has its size from the start. */
static struct slice keep(struct client *c, void (*write)(const struct mail *, size_t, struct buf *),
                         size_t index)
{
    size_t at = buf_len(&c->texts);

    write(c->mail, index, &c->texts);
    return slice_from(buf_slice(&c->texts), at);
}

static void write_sender(const struct mail *m, size_t index, struct buf *to)
{
    (void)index;
    ledger_sender(m, to);
}

static void begin_mail(struct client *c)
{
    struct mail *m = c->left > 0 ? ledger_new_mail() : NULL;

    if (!m) {
        smtp_client_quit(&c->smtp);
        return;
    }
    c->left--;
    c->mail = m;
    buf_clear(&c->body);
    buf_clear(&c->texts);
    (void)buf_reserve(&c->texts, 1024);
    ledger_compose(m, &c->body);
    c->body_at = 0;
    c->transaction = (struct smtp_transaction){.sender = keep(c, write_sender, 0),
                                               .recipients = c->to,
                                               .recipient_count = m->recipient_count,
                                               .body_bytes = buf_len(&c->body)};
    for (size_t i = 0; i < m->recipient_count; i++)
        c->to[i] = (struct smtp_recipient){.address = keep(c, ledger_recipient, i)};
    smtp_client_begin(&c->smtp, &c->transaction);
}

static bool send_out(struct client *c)
{
    int r = buf_len(&c->out) ? stream_write(c->stream, buf_slice(&c->out)) : 0;

    buf_clear(&c->out);
    c->waits_for_drain = r == 1;
    return r == 0; /* after an error on_end comes */
}

/* Goes on until the machine or the network must be waited for. */
static void client_pump(struct client *c)
{
    while (!c->is_dead) {
        enum smtp_client_wants wants = smtp_client_wants(&c->smtp);
        struct slice chunk;

        if (wants == SMTP_CLIENT_CLOSE) {
            (void)send_out(c);
            c->is_dead = true;
        } else if (wants == SMTP_CLIENT_TRANSACTION) {
            begin_mail(c);
        } else if (wants == SMTP_CLIENT_BODY) {
            if (!send_out(c))
                return;
            chunk = slice_sub(buf_slice(&c->body), c->body_at, BODY_STEP);
            if (smtp_client_body(&c->smtp, chunk) < 0)
                return;
            c->body_at += chunk.len;
        } else {
            (void)send_out(c);
            return;
        }
    }
}

static void client_leave_if_dead(struct client *c)
{
    if (c->is_dead)
        client_free(c);
}

static void client_on_data(void *ctx, struct slice data)
{
    struct client *c = ctx;

    if (sim_chance(people.mood.leave)) { /* it reads no more and goes */
        smtp_client_eof(&c->smtp, -ECONNRESET);
        stream_abort(&c->stream);
        client_free(c);
        return;
    }
    smtp_client_feed(&c->smtp, data);
    if (!c->waits_for_drain)
        client_pump(c);
    client_leave_if_dead(c);
}

static void client_on_drain(void *ctx)
{
    struct client *c = ctx;

    c->waits_for_drain = false;
    client_pump(c);
    client_leave_if_dead(c);
}

static void client_on_end(void *ctx, int err)
{
    struct client *c = ctx;

    smtp_client_eof(&c->smtp, err);
    client_free(c);
}

static void client_on_connect(void *ctx, int err)
{
    if (err < 0)
        client_free(ctx);
}

static const struct stream_handler client_stream_handler = {.on_data = client_on_data,
                                                            .on_drain = client_on_drain,
                                                            .on_connect = client_on_connect,
                                                            .on_end = client_on_end};

void people_submit(const struct addr *server)
{
    struct client *c = calloc(1, sizeof(*c));

    ASSERT(c);
    c->config = SMTP_CLIENT_CONFIG_INIT;
    c->config.hello_name = SLICE_LIT("client.example");
    c->config.tls = SMTP_TLS_NEVER;
    c->config.extensions_ignored = (unsigned)sim_below(256) & ~(unsigned)SMTP_EXT_8BITMIME;
    c->config.eager_body_max = sim_chance(2) ? 65536 : 0;
    c->left = 1 + sim_below(5);
    buf_init(&c->out, OUT_MAX);
    buf_init(&c->body, OUT_MAX);
    buf_init(&c->texts, OUT_MAX);
    list_add_tail(&people.clients, &c->node);
    smtp_client_init(&c->smtp, &c->config, &client_handler, c, &c->out);
    if (stream_connect(people.loop, server, NULL, 1000, NULL, &client_stream_handler, c,
                       &c->stream) < 0)
        client_free(c);
}

size_t people_clients(void)
{
    size_t n = 0;

    LIST_FOR(it, &people.clients)
    n++;
    return n;
}

/* ---- hosts ---- */

/* A host's session. What it took is in `taken` until its 250 is known to have arrived. */
struct host {
    struct list node;
    unsigned domain;
    struct stream *stream;
    struct smtp_server smtp;
    struct smtp_server_config config;
    struct buf out, body, stash;
    struct host_mail {
        char address[64];
    } recipients[LEDGER_RECIPIENTS + 1];
    size_t recipient_count;
    bool is_report, in_feed, is_dead, wants_close;
    struct taken {
        char address[64];
        uint32_t arrival;
        uint64_t offset; /* of the end of the reply; 0: not yet written */
    } taken[PENDING_MAX];
    size_t taken_count;
};

static void host_free(struct host *h)
{
    for (size_t i = 0; i < h->taken_count; i++) {
        const struct taken *t = &h->taken[i];

        if (t->offset == 0 || !h->stream || stream_taken_bytes(h->stream) < t->offset)
            ledger_arrival_is_unknown(slice_str(t->address), t->arrival);
    }
    list_del(&h->node);
    stream_close(&h->stream);
    smtp_server_done(&h->smtp);
    buf_done(&h->out);
    buf_done(&h->body);
    buf_done(&h->stash);
    free(h);
}

/* The host's mood at a command: 0, or the reply. */
static struct smtp_decision mood_of(struct host *h)
{
    if (sim_chance(people.mood.close)) {
        h->wants_close = true;
        return smtp_say(421, SMTP_ENHANCED(4, 3, 2), SLICE_LIT("Going down"));
    }
    if (sim_chance(people.mood.defer))
        return smtp_say(451, SMTP_ENHANCED(4, 3, 0), SLICE_LIT("Not now"));
    if (h->domain != DOMAIN_SENDERS && sim_chance(people.mood.refuse))
        return smtp_say(550, SMTP_ENHANCED(5, 7, 1), SLICE_LIT("Not here"));
    return smtp_accept();
}

static void was_refused(struct slice address)
{
    struct fate *f = ledger_find(address, NULL);

    if (f)
        f->was_refused = true;
}

static struct smtp_decision host_on_hello(void *ctx, enum smtp_verb verb, struct slice name)
{
    struct host *h = ctx;

    (void)verb;
    (void)name;
    if (sim_chance(people.mood.close))
        h->wants_close = true;
    return smtp_accept();
}

static struct smtp_decision host_on_mail(void *ctx, const struct smtp_mail *mail)
{
    struct host *h = ctx;
    struct smtp_decision d = mood_of(h);

    h->is_report = smtp_address_mailbox(&mail->sender).len == 0;
    h->recipient_count = 0;
    buf_clear(&h->body);
    return d.code >= 500 ? smtp_accept() : d; /* refusals come where the recipient is known */
}

static struct smtp_decision host_on_rcpt(void *ctx, const struct smtp_rcpt *rcpt)
{
    struct host *h = ctx;
    struct slice address = smtp_address_mailbox(&rcpt->recipient);
    struct smtp_decision d = mood_of(h);

    if (d.code >= 500)
        was_refused(address);
    if (d.code < 300 && h->recipient_count < ARRAY_SIZE(h->recipients))
        (void)snprintf(h->recipients[h->recipient_count++].address, sizeof(h->recipients[0]),
                       "%.*s", SLICE_FMT(address));
    return d;
}

static struct smtp_decision refuse_all(struct host *h, struct smtp_decision d)
{
    for (size_t i = 0; d.code >= 500 && i < h->recipient_count; i++)
        was_refused(slice_str(h->recipients[i].address));
    return d;
}

static struct smtp_decision host_on_data_begin(void *ctx)
{
    return refuse_all(ctx, mood_of(ctx));
}

static bool host_on_body(void *ctx, struct slice body)
{
    struct host *h = ctx;
    int r = buf_add(&h->body, body);

    ASSERT(r == 0);
    return true;
}

/* Forgets what is known to have been answered. */
static void forget_known(struct host *h)
{
    size_t left = 0;

    for (size_t i = 0; i < h->taken_count; i++)
        if (h->taken[i].offset == 0 || stream_taken_bytes(h->stream) < h->taken[i].offset)
            h->taken[left++] = h->taken[i];
    h->taken_count = left;
}

static struct smtp_decision host_on_body_end(void *ctx, const struct smtp_body_facts *facts)
{
    struct host *h = ctx;
    struct smtp_decision d = mood_of(h);

    (void)facts;
    if (d.code >= 300)
        return refuse_all(h, d);
    forget_known(h);
    for (size_t i = 0; i < h->recipient_count; i++) {
        struct taken *t = &h->taken[h->taken_count];
        uint32_t arrival = ledger_arrived(slice_str(h->recipients[i].address), buf_slice(&h->body));

        if (arrival == 0)
            continue;
        ASSERT(h->taken_count < PENDING_MAX);
        *t = (struct taken){.arrival = arrival};
        (void)snprintf(t->address, sizeof(t->address), "%s", h->recipients[i].address);
        h->taken_count++;
    }
    if (h->is_report && h->domain == DOMAIN_SENDERS)
        ledger_report_arrived(buf_slice(&h->body));
    return sim_chance(people.mood.hang) ? smtp_wait() : d;
}

static void host_on_reset(void *ctx, enum smtp_reset reason)
{
    (void)ctx;
    (void)reason;
}

static const struct smtp_server_handler host_handler = {.on_hello = host_on_hello,
                                                        .on_mail = host_on_mail,
                                                        .on_rcpt = host_on_rcpt,
                                                        .on_data_begin = host_on_data_begin,
                                                        .on_body = host_on_body,
                                                        .on_body_end = host_on_body_end,
                                                        .on_reset = host_on_reset};

static void host_send(struct host *h)
{
    if (buf_len(&h->out) && stream_write(h->stream, buf_slice(&h->out)) < 0)
        buf_clear(&h->out); /* its replies never arrive: offsets stay 0 */
    else if (smtp_server_phase(&h->smtp) != SMTP_SERVER_DECISION)
        for (size_t i = 0; i < h->taken_count; i++)
            if (h->taken[i].offset == 0 && buf_len(&h->out))
                h->taken[i].offset = stream_sent_bytes(h->stream);
    buf_clear(&h->out);
}

static void host_on_data(void *ctx, struct slice data)
{
    struct host *h = ctx;
    enum smtp_server_next next;
    size_t used = 0;
    int r = buf_add(&h->stash, data);

    ASSERT(r == 0);
    next = smtp_server_feed(&h->smtp, buf_slice(&h->stash), &used);
    buf_consume(&h->stash, used);
    host_send(h);
    if (next == SMTP_SERVER_CLOSE || h->wants_close)
        host_free(h);
}

static void host_on_end(void *ctx, int err)
{
    struct host *h = ctx;

    (void)err;
    smtp_server_eof(&h->smtp);
    host_free(h);
}

static const struct stream_handler host_stream_handler = {.on_data = host_on_data,
                                                          .on_end = host_on_end};

static void on_accept(void *ctx, struct stream *stream)
{
    struct listener **listener = ctx;
    struct host *h;

    if (sim_chance(people.mood.close)) {
        stream_close(&stream);
        return;
    }
    h = calloc(1, sizeof(*h));
    ASSERT(h);
    h->domain = (unsigned)(listener - people.listeners);
    h->stream = stream;
    h->config = SMTP_SERVER_CONFIG_INIT;
    h->config.hostname = SLICE_LIT("host.example");
    h->config.extensions = (unsigned)sim_below(256) | SMTP_EXT_8BITMIME;
    buf_init(&h->out, OUT_MAX);
    buf_init(&h->body, OUT_MAX);
    buf_init(&h->stash, OUT_MAX);
    list_add_tail(&people.hosts, &h->node);
    stream_set_handler(stream, &host_stream_handler, h);
    smtp_server_init(&h->smtp, &h->config, &host_handler, h, &h->out);
    if (sim_chance(people.mood.defer))
        smtp_server_shutdown(&h->smtp, 421, SMTP_ENHANCED(4, 3, 2), SLICE_LIT("Too busy"));
    else
        smtp_server_greet(&h->smtp);
    host_send(h);
    if (smtp_server_phase(&h->smtp) == SMTP_SERVER_CLOSED)
        host_free(h);
}

void people_begin(void)
{
    list_init(&people.clients);
    list_init(&people.hosts);
    if (loop_new(&people.loop) < 0)
        abort();
    for (uint32_t i = 0; i < DOMAIN_HOSTS; i++) {
        uint32_t ip = htonl(NETWORK_HOST(i));
        struct addr at;

        if (addr_from_ip(slice_make(&ip, sizeof(ip)), 25, &at) < 0 ||
            listener_open(people.loop, &at, 10, NULL, on_accept, &people.listeners[i],
                          &people.listeners[i]) < 0)
            abort();
    }
}

void people_end(void)
{
    LIST_FOR_SAFE(n, next, &people.clients)
    {
        struct client *c = LIST_ENTRY(n, struct client, node);

        smtp_client_eof(&c->smtp, 0);
        client_free(c);
    }
    LIST_FOR_SAFE(n, next, &people.hosts)
    host_free(LIST_ENTRY(n, struct host, node));
    for (size_t i = 0; i < DOMAIN_HOSTS; i++)
        listener_close(&people.listeners[i]);
    loop_free(&people.loop);
}
