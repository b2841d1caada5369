/*
 * deliver/track.c - what the message tracking log says of mail that leaves, waits, fails or is
 * ended.
 *
 * Message-ID and subject are not in the envelope: they are read from the beginning of the body,
 * which a worker has at hand where it sends. The queue manager has not, and leaves them empty.
 */
#include "deliver/track.h"

#include <stdio.h>

#include "config/config.h"
#include "deliver/queue_int.h"
#include "deliver/tell.h"
#include "deliver/worker_int.h"
#include "event/delivery.h"

static const char *directionality(const struct config *c, const struct envelope *e)
{
    struct addr client;

    if (e->client_ip.len == 0) /* our own */
        return "Originating";
    if (addr_parse(e->client_ip, 0, &client, NULL) < 0)
        return "Undefined";
    return config_networks_contain(&c->pressure.internal_networks, &client) ? "Originating"
                                                                            : "Incoming";
}

/* What every line about that message has. */
static struct tracking_line line_of(const struct config *c, enum tracking_event event, uint64_t id,
                                    const struct envelope *e)
{
    return (struct tracking_line){.event = event,
                                  .client_hostname = slice_str(c->server.hostname),
                                  .id = id,
                                  .bytes = e->body_bytes,
                                  .sender = e->sender,
                                  .directionality = directionality(c, e),
                                  .original_client_ip = e->client_ip,
                                  .own_hostname = slice_str(c->server.hostname)};
}

struct slice track_reply_of(struct slice text)
{
    static const char said[] = " said: ";
    ptrdiff_t at = slice_find_slice(text, slice_str(said));

    return at < 0 ? text : slice_from(text, (size_t)at + sizeof(said) - 1);
}

/* The same, of a line or of more. The result points into `text` or `scratch`. */
static struct slice reply_of(struct slice text, unsigned code, char *scratch, size_t room)
{
    struct slice reply = code ? track_reply_of(text) : text;

    if (reply.len == text.len || slice_find(reply, '\n') < 0)
        return reply;
    return exchange_reply_text(code, slice_from(reply, 4), scratch, room);
}

/* ---- an attempt, in a worker ---- */

struct group { /* recipients with one kind of result */
    struct exchange_list to, statuses;
    char first[EXCHANGE_CONTEXT_MAX]; /* the first one's reply */
    size_t first_len;
};

static void group_add(struct group *g, struct slice address, struct slice text, unsigned code)
{
    char scratch[ENVELOPE_TEXT_MAX];
    struct slice reply = reply_of(text, code, scratch, sizeof(scratch));

    if (g->to.len == 0) {
        g->first_len = MIN_OF(reply.len, sizeof(g->first));
        for (size_t i = 0; i < g->first_len; i++)
            g->first[i] = (char)reply.ptr[i];
    }
    exchange_list_add(&g->to, address);
    exchange_list_add(&g->statuses, reply);
}

static enum smtp_outcome outcome_of(enum recipient_state state)
{
    return state == RECIPIENT_PENDING  ? SMTP_DEFERRED
           : state == RECIPIENT_FAILED ? SMTP_FAILED
                                       : SMTP_DELIVERED;
}

static void collect(const struct transaction *t, enum smtp_outcome outcome, struct group *g)
{
    exchange_list_init(&g->to);
    exchange_list_init(&g->statuses);
    g->first_len = 0;
    if (!t->details) { /* all were delivered, with one reply */
        for (size_t i = 0; i < t->to_count && !exchange_list_is_full(&g->to); i++)
            group_add(g, t->to[i].address, slice_str(t->last_text), t->last_code);
        return;
    }
    for (size_t i = 0; i < t->details->count && !exchange_list_is_full(&g->to); i++) {
        const struct mark_result *r = &t->details->results[i];

        if (outcome_of((enum recipient_state)r->state) == outcome)
            group_add(g, t->envelope.recipients[r->recipient].address, r->text, r->code);
    }
}

static void track_group(const struct transaction *t, enum smtp_outcome outcome,
                        enum tracking_event event, size_t count)
{
    struct tracking_line l = line_of(t->config, event, t->entry->id, &t->envelope);
    char connector[EXCHANGE_CONNECTOR_MAX], context[EXCHANGE_CONTEXT_MAX + 32];
    struct group g;

    if (count == 0)
        return;
    collect(t, outcome, &g);
    l.connector = slice_make(connector, exchange_connector(slice_str(t->config->server.hostname),
                                                           t->destination, connector));
    l.client_ip = slice_str(t->via.local_ip);
    l.server_ip = slice_str(t->via.peer_ip);
    l.server_hostname = slice_str(t->via.host);
    l.message_id = header_text_slice(&t->scan.message_id);
    if (t->config->log.files.subjects)
        l.subject = header_text_slice(&t->scan.subject);
    l.recipients = exchange_list_slice(&g.to);
    l.statuses = exchange_list_slice(&g.statuses);
    l.recipient_count = count;
    l.source_context = slice_make(g.first, g.first_len);
    if (event == TRACKING_SEND) {
        int n;

        l.arrival_ms = t->envelope.arrival_ms;
        n = snprintf(context, sizeof(context), "%016llX;%.*s", (unsigned long long)t->via.session,
                     SLICE_FMT(l.source_context));
        l.source_context = slice_make(context, MIN_OF((size_t)MAX_OF(n, 0), sizeof(context) - 1));
    }
    tracking_log(&l);
}

void track_attempt(struct transaction *t)
{
    bool was_dropped, no_host;
    bool is_known = t->details ? t->details->count == t->to_count : t->delivered == t->to_count;

    if (!record_is_on(RECORD_TRACKING) || !is_known)
        return;
    transaction_look(t);
    was_dropped = t->is_settled_here && t->settled == SMTP_DELIVERED;
    no_host = t->is_settled_here && t->settled == SMTP_FAILED;
    track_group(t, SMTP_DELIVERED, was_dropped ? TRACKING_DROP : TRACKING_SEND, t->delivered);
    track_group(t, SMTP_DEFERRED, TRACKING_DEFER, t->deferred);
    track_group(t, SMTP_FAILED, no_host ? TRACKING_FAIL_DNS : TRACKING_FAIL, t->failed);
}

void track_connection(struct transaction *t, struct conn *c)
{
    addr_format_ip(stream_local(c->stream), t->via.local_ip);
    addr_format_ip(&c->peer, t->via.peer_ip);
    (void)snprintf(t->via.host, sizeof(t->via.host), "%s", c->host);
    t->via.session = protocol_log_session(&c->record.log);
}

/* ---- the queue manager's ---- */

void track_end(const struct settlement *s, const struct envelope *e)
{
    const struct attempt_details *d = s->details;
    enum tracking_event event = s->ended_by;
    struct tracking_line l = line_of(s->queue->settings.config, event, s->id, e);
    struct exchange_list to, statuses;
    char scratch[ENVELOPE_TEXT_MAX];
    size_t count = 0;

    if (!record_is_on(RECORD_TRACKING))
        return;
    exchange_list_init(&to);
    exchange_list_init(&statuses);
    for (size_t i = s->ended_from; i < d->count; i++) {
        const struct mark_result *r = &d->results[i];

        if (r->recipient >= e->recipient_count ||
            (r->state != RECIPIENT_FAILED && r->state != RECIPIENT_REMOVED))
            continue;
        exchange_list_add(&to, e->recipients[r->recipient].address);
        exchange_list_add(&statuses, reply_of(r->text, r->code, scratch, sizeof(scratch)));
        count++;
    }
    if (count == 0)
        return;
    l.recipients = exchange_list_slice(&to);
    l.statuses = exchange_list_slice(&statuses);
    l.recipient_count = count;
    l.source_context = event == TRACKING_EXPIRE ? SLICE_LIT("4.4.7 QUEUE.Expired; message expired")
                                                : SLICE_LIT("ended by the administrator");
    tracking_log(&l);
}

static void track_dsn(const struct config *c, const struct track_report *report,
                      const struct envelope *e, const struct header_scan *scan)
{
    struct tracking_line l = line_of(c, TRACKING_DSN, report->id, e);
    struct exchange_list to;

    exchange_list_init(&to);
    for (size_t i = 0; i < e->recipient_count; i++)
        exchange_list_add(&to, e->recipients[i].address);
    l.message_id = header_text_slice(&scan->message_id);
    if (c->log.files.subjects)
        l.subject = header_text_slice(&scan->subject);
    l.recipients = exchange_list_slice(&to);
    l.recipient_count = e->recipient_count;
    l.reference = report->original_message_id;
    tracking_log(&l);
}

void track_report(const struct config *c, const struct track_report *report)
{
    struct recipient recipients[2];
    struct envelope e;
    struct header_scan scan;

    if ((!record_is_on(RECORD_TRACKING) && !delivery_log_is_on()) ||
        envelope_decode(report->envelope, recipients, ARRAY_SIZE(recipients), &e) < 0)
        return;
    header_scan_init(&scan);
    header_scan_feed(&scan, slice_sub(report->body, 0, TRACK_HEADER_MAX));
    track_dsn(c, report, &e, &scan);
    tell_report(report->id, report->original, report->kind, &e,
                header_text_slice(&scan.message_id));
}
