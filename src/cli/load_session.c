/*
 * cli/load_session.c - one connection after another, some messages on each.
 *
 *     open_connection() -> act() ... -> closed() -> open_connection() ... -> retire()
 *
 * A session retires when nothing is left to send, or its connection failed and --reconnect was not
 * given; the worker's loop ends with its last session.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "cli/load_int.h"

#define CONNECT_MS 30000
#define REPLY_MS 300000
#define AGAIN_MS 100 /* between a connection that failed and the next */
#define TICK_MS 50
#define STOP_MS 5000 /* for what is under way when told to stop */
#define WRITE_LIMIT MIB(1)
#define BODY_CHUNK KIB(64)
#define OUT_MAX MIB(4)
#define SEQ_LOG_MAX MIB(16)

struct load_session {
    struct list node;
    struct load_worker *worker;
    struct stream *stream;
    struct smtp_client client;
    struct loop_timer timer;
    struct smtp_transaction t;
    struct smtp_recipient *recipients;
    char (*addresses)[LOAD_PATTERN_MAX];
    char sender[LOAD_PATTERN_MAX];
    uint64_t started_ns, sent_here;
    uint32_t number;
    bool has_client, waits_drain, is_broken, may_send;
    bool is_taken, is_refused, is_unknown; /* of the message under way */
};

static void count(atomic_uint_fast64_t *figure)
{
    atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void open_connection(struct load_session *s);
static void act(struct load_session *s);

/* ---- tries and numbers ---- */

static bool may_try(const struct load *l)
{
    return !l->stop && l->tries < l->messages;
}

static bool take_try(struct load_session *s)
{
    struct load_worker *w = s->worker;
    struct load *l = w->load;

    if (l->stop || atomic_fetch_add(&l->tries, 1) >= l->messages) {
        if (!l->stop)
            (void)atomic_fetch_sub(&l->tries, 1);
        return false;
    }
    s->number =
        w->again_count ? w->again[--w->again_count] : (uint32_t)atomic_fetch_add(&l->numbers, 1);
    return true;
}

/* The message was surely not taken: its number is for another one, so that there is no gap. */
static void give_back_number(struct load_session *s)
{
    struct load_worker *w = s->worker;

    if (w->again_count < LOAD_AGAIN_MAX)
        w->again[w->again_count++] = s->number;
}

/* ---- results ---- */

static void on_result(void *ctx, size_t recipient, const struct smtp_result *result)
{
    struct load_session *s = ctx;

    (void)recipient;
    reply_counts_add(&s->worker->replies, result);
    s->is_taken |= result->outcome == SMTP_DELIVERED;
    s->is_refused |= result->outcome != SMTP_DELIVERED && result->code != 0;
    s->is_unknown |= result->is_unknown;
}

static void acknowledge(struct load_session *s)
{
    struct load_worker *w = s->worker;

    count(&w->accepted);
    w->last_ns = clock_mono_ns();
    histogram_add(&w->latency, (w->last_ns - s->started_ns) / 1000);
    if (w->load->seq_log_fd >= 0) {
        struct seq seq = {.run = w->load->run, .number = s->number};
        char text[SEQ_TEXT_MAX];

        seq_format(&seq, text);
        (void)buf_addf(&w->seq_log, "%s\n", text);
    }
}

static void on_done(void *ctx)
{
    struct load_session *s = ctx;
    struct load_worker *w = s->worker;

    s->sent_here++;
    if (s->is_taken) {
        acknowledge(s);
    } else if (s->is_unknown) {
        count(&w->unknown);
    } else if (s->is_refused) {
        count(&w->refused);
        w->last_ns = clock_mono_ns();
        give_back_number(s);
    } else { /* the connection broke before it was sent: it is still to do */
        count(&w->failed);
        give_back_number(s);
        (void)atomic_fetch_sub(&w->load->tries, 1);
    }
}

static const struct smtp_client_handler client_handler = {.on_result = on_result,
                                                          .on_done = on_done};

/* ---- a message ---- */

static void begin(struct load_session *s)
{
    struct load *l = s->worker->load;

    s->is_taken = s->is_refused = s->is_unknown = s->may_send = false;
    s->t.sender = load_pattern_fill(l->from, s->number, l->domains, s->sender);
    for (uint32_t i = 0; i < l->recipients; i++)
        s->recipients[i].address = load_pattern_fill(
            l->rcpt, (uint64_t)s->number * l->recipients + i, l->domains, s->addresses[i]);
    s->started_ns = clock_mono_ns();
    smtp_client_begin(&s->client, &s->t);
}

/* --rate: whether the next message may go now; else the timer is set. */
static bool is_time(struct load_session *s)
{
    struct load_worker *w = s->worker;
    uint64_t now = clock_mono_ns(), slot;

    if (w->interval_ns == 0 || s->may_send)
        return true;
    slot = MAX_OF(w->next_send_ns, now);
    w->next_send_ns = slot + w->interval_ns;
    s->may_send = true;
    if (slot == now)
        return true;
    loop_timer_start(&s->timer, (slot - now + NS_PER_MS - 1) / NS_PER_MS);
    return false;
}

static int give_body(struct load_session *s)
{
    struct load_worker *w = s->worker;
    struct seq seq = {.run = w->load->run, .number = s->number};
    struct slice left = buf_slice(&w->message.text);
    char text[SEQ_TEXT_MAX];

    seq_format(&seq, text);
    load_message_set(&w->message, text, strlen(text));
    left = slice_from(left, left.len - (size_t)smtp_client_body_left(&s->client));
    return smtp_client_body(&s->client, slice_sub(left, 0, BODY_CHUNK));
}

/* ---- a connection ---- */

/* Sends what was said. False: not all went, or the connection broke; on_drain or on_end comes. */
static bool flush(struct load_session *s)
{
    struct buf *out = &s->worker->out;
    int r = buf_len(out) && !s->is_broken ? stream_write(s->stream, buf_slice(out)) : 0;

    buf_clear(out);
    s->waits_drain = r == 1;
    s->is_broken |= r < 0;
    return r == 0 && !s->is_broken;
}

static void retire(struct load_session *s)
{
    loop_timer_stop(&s->timer);
    stream_close(&s->stream);
    if (s->has_client)
        smtp_client_done(&s->client);
    s->has_client = false;
    list_del(&s->node);
    if (list_is_empty(&s->worker->sessions))
        loop_stop(s->worker->loop);
}

/* The connection is gone; `in_order`: after QUIT. */
static void closed(struct load_session *s, bool in_order)
{
    struct load *l = s->worker->load;

    loop_timer_stop(&s->timer);
    stream_close(&s->stream);
    if (s->has_client)
        smtp_client_done(&s->client);
    s->has_client = false;
    if (!in_order)
        count(&s->worker->broken);
    if (!may_try(l) || (!in_order && !l->reconnect))
        retire(s);
    else if (in_order)
        open_connection(s);
    else
        loop_timer_start(&s->timer, AGAIN_MS);
}

static void lost(struct load_session *s, int err)
{
    if (s->has_client)
        smtp_client_eof(&s->client, err);
    buf_clear(&s->worker->out);
    closed(s, false);
}

static void quit_or_begin(struct load_session *s)
{
    struct load *l = s->worker->load;
    bool is_full = l->per_connection && s->sent_here >= l->per_connection;

    if (!is_full && may_try(l) && is_time(s)) {
        if (take_try(s))
            begin(s);
        else
            smtp_client_quit(&s->client);
    } else if (!loop_timer_is_running(&s->timer) || is_full || l->stop) {
        smtp_client_quit(&s->client);
    }
}

/* A host that did not even let us begin: it counts as a reply, with nobody's name on it. */
static void end_of_session(struct load_session *s)
{
    const struct smtp_result *failure = smtp_client_failure(&s->client);

    if (failure && failure->phase < SMTP_PHASE_MAIL)
        reply_counts_add(&s->worker->replies, failure);
    (void)flush(s);
    closed(s, failure == NULL);
}

/* Does what the client wants until it wants the host. */
static void act(struct load_session *s)
{
    while (!s->waits_drain && !s->is_broken) {
        switch (smtp_client_wants(&s->client)) {
        case SMTP_CLIENT_REPLY:
            if (flush(s))
                loop_timer_start(&s->timer, REPLY_MS);
            return;
        case SMTP_CLIENT_TRANSACTION:
            loop_timer_stop(&s->timer);
            quit_or_begin(s);
            if (loop_timer_is_running(&s->timer)) /* it is not time yet */
                return;
            break;
        case SMTP_CLIENT_BODY:
            if (give_body(s) < 0) {
                lost(s, -ENOMEM);
                return;
            }
            if (buf_len(&s->worker->out) >= BODY_CHUNK)
                (void)flush(s);
            break;
        case SMTP_CLIENT_TLS:
            if (flush(s) &&
                stream_start_tls(s->stream, s->worker->load->tls, slice_make(NULL, 0)) < 0)
                lost(s, -ENOMEM);
            return;
        case SMTP_CLIENT_CLOSE:
            end_of_session(s);
            return;
        }
    }
    (void)flush(s);
}

static void on_data(void *ctx, struct slice data)
{
    struct load_session *s = ctx;

    smtp_client_feed(&s->client, data);
    act(s);
}

static void on_drain(void *ctx)
{
    struct load_session *s = ctx;

    s->waits_drain = false;
    act(s);
}

static void on_tls(void *ctx, int err)
{
    struct load_session *s = ctx;

    if (err < 0) {
        lost(s, err);
        return;
    }
    smtp_client_tls_started(&s->client);
    act(s);
}

static void on_end(void *ctx, int err)
{
    struct load_session *s = ctx;

    if (smtp_client_phase(&s->client) == SMTP_PHASE_QUIT) {
        closed(s, true);
        return;
    }
    lost(s, err);
}

static void on_connect(void *ctx, int err)
{
    struct load_session *s = ctx;
    struct load_worker *w = s->worker;

    if (err < 0) {
        w->connect_err = err;
        closed(s, false);
        return;
    }
    count(&w->connections);
    s->sent_here = 0;
    s->waits_drain = s->is_broken = false;
    smtp_client_init(&s->client, &w->load->client_config, &client_handler, s, &w->out);
    s->has_client = true;
    loop_timer_start(&s->timer, REPLY_MS);
}

static const struct stream_handler stream_handler = {.on_data = on_data,
                                                     .on_drain = on_drain,
                                                     .on_connect = on_connect,
                                                     .on_tls = on_tls,
                                                     .on_end = on_end};

static void open_connection(struct load_session *s)
{
    static const struct stream_options options = {.write_limit = WRITE_LIMIT};
    struct load_worker *w = s->worker;
    int err = stream_connect(w->loop, &w->load->to, NULL, CONNECT_MS, &options, &stream_handler, s,
                             &s->stream);

    if (err < 0) {
        w->connect_err = err;
        closed(s, false);
    }
}

/* The timer is for one of three: the next connection, the rate, a host that does not answer. */
static void on_timer(struct loop_timer *t)
{
    struct load_session *s = CONTAINER_OF(t, struct load_session, timer);

    if (!s->stream) {
        if (may_try(s->worker->load))
            open_connection(s);
        else
            retire(s);
    } else if (s->has_client && smtp_client_wants(&s->client) == SMTP_CLIENT_TRANSACTION) {
        act(s);
    } else {
        lost(s, -ETIMEDOUT);
    }
}

/* ---- the worker ---- */

static void flush_seq_log(void *ctx)
{
    struct load_worker *w = ctx;
    struct slice left = buf_slice(&w->seq_log);

    while (left.len) {
        ssize_t n = write(w->load->seq_log_fd, left.ptr, left.len);

        if (n < 0 && errno != EINTR)
            break;
        if (n > 0)
            left = slice_from(left, (size_t)n);
    }
    buf_clear(&w->seq_log);
}

/* Sees that there is nothing more to do, for sessions that wait for a time to come. */
static void on_tick(struct loop_timer *t)
{
    struct load_worker *w = CONTAINER_OF(t, struct load_worker, tick);
    uint64_t now = loop_now_ms(w->loop);

    if (w->load->stop && w->stop_ms == 0)
        w->stop_ms = now + STOP_MS;
    if (w->stop_ms && now >= w->stop_ms) {
        loop_stop(w->loop);
        return;
    }
    loop_timer_start(t, TICK_MS);
    if (may_try(w->load))
        return;
    LIST_FOR_SAFE(it, tmp, &w->sessions)
    {
        struct load_session *s = LIST_ENTRY(it, struct load_session, node);

        if (!s->stream)
            retire(s);
        else if (s->has_client && smtp_client_wants(&s->client) == SMTP_CLIENT_TRANSACTION)
            act(s);
    }
}

static struct load_session *new_session(struct load_worker *w)
{
    struct load_session *s = calloc(1, sizeof(*s));
    uint32_t recipients = w->load->recipients;

    if (!s)
        return NULL;
    s->recipients = calloc(recipients, sizeof(*s->recipients));
    s->addresses = calloc(recipients, sizeof(*s->addresses));
    if (!s->recipients || !s->addresses) {
        free(s->recipients);
        free(s->addresses);
        free(s);
        return NULL;
    }
    s->worker = w;
    s->t.recipients = s->recipients;
    s->t.recipient_count = recipients;
    s->t.body_bytes = buf_len(&w->message.text);
    s->t.is_8bit = !smtp_is_ascii(buf_slice(&w->message.text));
    loop_timer_init(&s->timer, w->loop, on_timer);
    return s;
}

int load_sessions_start(struct load_worker *w)
{
    w->out = BUF_INIT(OUT_MAX);
    w->seq_log = BUF_INIT(SEQ_LOG_MAX);
    list_init(&w->sessions);
    loop_timer_init(&w->tick, w->loop, on_tick);
    loop_timer_start(&w->tick, TICK_MS);
    if (w->load->seq_log_fd >= 0)
        loop_on_turn(w->loop, flush_seq_log, w);
    w->all = calloc(w->session_count, sizeof(*w->all));
    for (uint32_t i = 0; w->all && i < w->session_count; i++) {
        w->all[i] = new_session(w);
        if (!w->all[i])
            return -ENOMEM;
        list_add_tail(&w->sessions, &w->all[i]->node);
    }
    for (uint32_t i = 0; w->all && i < w->session_count; i++)
        loop_timer_start(&w->all[i]->timer, 0); /* which connects */
    return w->all ? 0 : -ENOMEM;
}

void load_sessions_free(struct load_worker *w)
{
    for (uint32_t i = 0; w->all && i < w->session_count; i++) {
        struct load_session *s = w->all[i];

        if (!s)
            break;
        if (s->has_client)
            smtp_client_eof(&s->client, -ECANCELED);
        stream_abort(&s->stream);
        loop_timer_stop(&s->timer);
        if (s->has_client)
            smtp_client_done(&s->client);
        free(s->recipients);
        free(s->addresses);
        free(s);
    }
    free(w->all);
    w->all = NULL;
    loop_timer_stop(&w->tick);
    flush_seq_log(w);
    buf_done(&w->out);
    buf_done(&w->seq_log);
}
