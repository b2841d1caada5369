/*
 * cli/sink_session.c - one connection of the sink. A decision that is to come late, and a
 * connection that is to be dropped, are a WAIT for the machine; the timer answers it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "cli/sink_int.h"

#define PENDING_MAX MIB(1)
#define MESSAGE_MAX MIB(256)

struct session {
    struct list node;
    struct sink_worker *worker;
    struct stream *stream;
    struct smtp_server server;
    struct loop_timer timer;
    struct smtp_decision later;
    struct buf pending; /* what came while a decision waits */
    struct buf message; /* only where messages are stored */
    struct seq_scan scan;
    uint32_t recipients;
    bool is_greeted, drops;
    uint16_t sender_len;
    char sender[SMTP_PATH_MAX];
};

static void count(atomic_uint_fast64_t *figure, uint64_t n)
{
    /* One thread writes, so no locked instruction is needed. */
    atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static void free_session(struct session *s)
{
    loop_timer_stop(&s->timer);
    smtp_server_eof(&s->server);
    smtp_server_done(&s->server);
    list_del(&s->node);
    buf_done(&s->pending);
    buf_done(&s->message);
    seq_scan_done(&s->scan);
    free(s);
}

static void close_session(struct session *s)
{
    stream_close(&s->stream);
    free_session(s);
}

static void abort_session(struct session *s)
{
    stream_abort(&s->stream);
    free_session(s);
}

/* ---- decisions ---- */

/* What the rules say to this command; the session may be told to wait for it. */
static struct smtp_decision decide(struct session *s, enum sink_phase phase)
{
    struct sink_worker *w = s->worker;
    const struct sink_rules *rules =
        sink_schedule_at(&w->sink->schedule, loop_now_ms(w->loop) - w->sink->start_ms);
    struct sink_action action = sink_rules_act(rules, phase, &w->rand);
    struct smtp_decision d = smtp_accept();

    if (action.reply) {
        d = smtp_say(action.reply->code, action.reply->enhanced, slice_str(action.reply->text));
        count(&w->figures.replies_of_rules, 1);
    }
    if (action.drop)
        count(&w->figures.drops, 1);
    if (!action.drop && action.delay_ms == 0)
        return d;
    s->later = d;
    s->drops = action.drop;
    loop_timer_start(&s->timer, action.delay_ms);
    return smtp_wait();
}

static struct smtp_decision on_hello(void *ctx, enum smtp_verb verb, struct slice name)
{
    (void)verb;
    (void)name;
    return decide(ctx, SINK_HELLO);
}

static struct smtp_decision on_mail(void *ctx, const struct smtp_mail *mail)
{
    struct session *s = ctx;

    s->recipients = 0;
    s->sender_len = mail->sender.len;
    memcpy(s->sender, mail->sender.text, mail->sender.len);
    return decide(s, SINK_MAIL);
}

static struct smtp_decision on_rcpt(void *ctx, const struct smtp_rcpt *rcpt)
{
    struct session *s = ctx;

    (void)rcpt;
    s->recipients++;
    return decide(s, SINK_RCPT);
}

static struct smtp_decision on_data_begin(void *ctx)
{
    struct session *s = ctx;

    seq_scan_begin(&s->scan);
    buf_clear(&s->message);
    return decide(s, SINK_DATA);
}

static bool on_body(void *ctx, struct slice body)
{
    struct session *s = ctx;

    seq_scan_add(&s->scan, body);
    if (sink_store_is_on(&s->worker->sink->store))
        (void)buf_add(&s->message, body);
    return true;
}

/* A message that is taken: counted, numbered, stored. */
static void take_message(struct session *s, uint64_t bytes)
{
    struct sink_worker *w = s->worker;
    uint64_t now = loop_now_ms(w->loop), none = 0;

    count(&w->figures.messages, 1);
    count(&w->figures.recipients, s->recipients);
    count(&w->figures.bytes, bytes);
    count(&w->figures.damaged, s->scan.is_damaged);
    if (atomic_load_explicit(&w->sink->first_ms, memory_order_relaxed) == 0)
        (void)atomic_compare_exchange_strong(&w->sink->first_ms, &none, now);
    atomic_store_explicit(&w->sink->last_ms, now, memory_order_relaxed);
    if (!s->scan.has_seq || seq_ledger_add(&w->ledger, &s->scan.seq) < 0) {
        count(&w->figures.unnumbered, 1);
    } else if (w->sink->seq_log_fd >= 0) {
        char text[SEQ_TEXT_MAX];

        seq_format(&s->scan.seq, text);
        (void)buf_addf(&w->seq_log, "%s\n", text);
    }
    if (sink_store_is_on(&w->sink->store) &&
        (buf_failed(&s->message) ||
         sink_store_add(&w->sink->store, slice_make(s->sender, s->sender_len),
                        buf_slice(&s->message), &w->scratch) < 0))
        count(&w->figures.not_stored, 1);
    (void)atomic_fetch_add_explicit(&w->sink->messages, 1, memory_order_relaxed);
}

static struct smtp_decision on_body_end(void *ctx, const struct smtp_body_facts *facts)
{
    struct session *s = ctx;
    struct smtp_decision d = decide(s, SINK_EOD);
    unsigned code = d.code ? d.code : s->later.code;

    seq_scan_end(&s->scan);
    if (code / 100 == 2 && !s->drops)
        take_message(s, facts->bytes);
    return d;
}

static void on_reset(void *ctx, enum smtp_reset reason)
{
    (void)ctx;
    (void)reason;
}

static struct smtp_decision on_starttls(void *ctx)
{
    (void)ctx;
    return smtp_accept();
}

static const struct smtp_server_handler machine_handler = {.on_hello = on_hello,
                                                           .on_mail = on_mail,
                                                           .on_rcpt = on_rcpt,
                                                           .on_data_begin = on_data_begin,
                                                           .on_body = on_body,
                                                           .on_body_end = on_body_end,
                                                           .on_reset = on_reset,
                                                           .on_starttls = on_starttls};

/* ---- bytes ---- */

/* Sends the replies; false: the session is gone. */
static bool flush(struct session *s)
{
    struct buf *out = &s->worker->out;
    struct sink *sink = s->worker->sink;
    int r = buf_len(out) ? stream_write(s->stream, buf_slice(out)) : 0;

    buf_clear(out);
    if (r < 0) {
        close_session(s);
        return false;
    }
    if (sink->stop_after &&
        atomic_load_explicit(&sink->messages, memory_order_relaxed) >= sink->stop_after)
        loop_stop(sink->main_loop);
    return true;
}

/* Feeds `in`; what the machine does not take is in *ret_left. False: the session is gone. */
static bool feed(struct session *s, struct slice in, struct slice *ret_left)
{
    size_t used = 0;
    enum smtp_server_next next = smtp_server_feed(&s->server, in, &used);

    *ret_left = slice_from(in, used);
    if (!flush(s))
        return false;
    if (next == SMTP_SERVER_CLOSE) {
        close_session(s);
        return false;
    }
    if (next == SMTP_SERVER_WAIT)
        stream_pause(s->stream); /* until the timer */
    if (next == SMTP_SERVER_TLS &&
        stream_start_tls(s->stream, s->worker->sink->tls, slice_make(NULL, 0)) < 0) {
        close_session(s);
        return false;
    }
    return true;
}

static void on_data(void *ctx, struct slice data)
{
    struct session *s = ctx;
    struct slice left;

    if (buf_len(&s->pending) == 0 && !loop_timer_is_running(&s->timer)) {
        if (feed(s, data, &left) && left.len && buf_add(&s->pending, left) < 0)
            close_session(s);
    } else if (buf_add(&s->pending, data) < 0) {
        close_session(s);
    }
}

static void feed_pending(struct session *s)
{
    struct slice left;
    struct buf had = s->pending;

    /* Out of the session while it is fed from it: the session may be freed. */
    s->pending = BUF_INIT(PENDING_MAX);
    if (feed(s, buf_slice(&had), &left) && left.len && buf_add(&s->pending, left) < 0)
        close_session(s);
    buf_done(&had);
}

static void greet(struct session *s)
{
    s->is_greeted = true;
    if (s->later.code / 100 == 2)
        smtp_server_greet(&s->server);
    else
        smtp_server_shutdown(&s->server, s->later.code, s->later.enhanced, s->later.text);
    feed_pending(s);
}

static void on_timer(struct loop_timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timer);

    if (s->drops) {
        abort_session(s);
        return;
    }
    stream_resume(s->stream);
    if (!s->is_greeted) {
        greet(s);
        return;
    }
    smtp_server_answer(&s->server, s->later);
    feed_pending(s);
}

static void on_tls(void *ctx, int err)
{
    struct session *s = ctx;

    if (err < 0)
        close_session(s);
    else
        smtp_server_tls_started(&s->server);
}

static void on_end(void *ctx, int err)
{
    (void)err;
    close_session(ctx);
}

static const struct stream_handler stream_handler = {
    .on_data = on_data, .on_tls = on_tls, .on_end = on_end};

void sink_session_accept(void *ctx, struct stream *stream)
{
    struct sink_worker *w = ctx;
    struct session *s = calloc(1, sizeof(*s));
    struct smtp_decision d;

    if (!s) {
        stream_abort(&stream);
        return;
    }
    s->worker = w;
    s->stream = stream;
    s->pending = BUF_INIT(PENDING_MAX);
    s->message = BUF_INIT(MESSAGE_MAX);
    seq_scan_init(&s->scan);
    list_add_tail(&w->sessions, &s->node);
    loop_timer_init(&s->timer, w->loop, on_timer);
    smtp_server_init(&s->server, &w->sink->server_config, &machine_handler, s, &w->out);
    stream_set_handler(stream, &stream_handler, s);
    count(&w->figures.connections, 1);
    d = decide(s, SINK_CONNECT);
    if (d.code == 0)
        return; /* the timer greets */
    s->later = d;
    greet(s);
}

void sink_session_close_all(struct sink_worker *w)
{
    LIST_FOR_SAFE(it, tmp, &w->sessions)
    close_session(LIST_ENTRY(it, struct session, node));
}
