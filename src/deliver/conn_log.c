/*
 * deliver/conn_log.c - what the protocol log of sent mail and the connectivity log say of a
 * connection.
 *
 * A session of the connectivity log begins when a host is looked for and ends with the connection
 * that was made, which goes by the same id in the protocol log, or with the reason why there was
 * none. The next host that is tried is a session of its own.
 */
#include <stdio.h>

#include "base/err.h"
#include "deliver/destination.h"
#include "deliver/track.h"
#include "deliver/worker_int.h"
#include "event/delivery.h"

/* Exchange's words for how mail goes on. */
static const char *delivery_type(const struct config_target *t)
{
    switch (t->kind) {
    case CONFIG_TARGET_MX:
        return t->host ? "SmartHostConnectorDelivery" : "DnsConnectorDelivery";
    case CONFIG_TARGET_SMTP:
        return "SmartHostConnectorDelivery";
    case CONFIG_TARGET_LMTP:
    case CONFIG_TARGET_UNIX:
    case CONFIG_TARGET_DISCARD:
    default:
        return "SmtpDeliveryToMailbox";
    }
}

void run_log_begin(struct run *run)
{
    struct slice name = slice_str(run->job->name);
    char text[128], uuid[EXCHANGE_UUID_LEN];
    int n;

    if (run->session || run->job->is_probe) /* a probe only asks DNS: the session is the mail's */
        return;
    run->session = exchange_session_id();
    if (!record_is_on(RECORD_CONNECTIVITY))
        return;
    exchange_uuid(slice_str(run->job->config->server.hostname), slice_hash_case(name, 0), uuid);
    n = snprintf(text, sizeof(text), "%s %.*s;QueueLength=%u",
                 delivery_type(destination_target(run->job->config, name)), EXCHANGE_UUID_LEN, uuid,
                 run->count - run->at);
    connectivity_log(run->session, name, '+', slice_make(text, (size_t)MAX_OF(n, 0)));
}

static const char *type_name(uint16_t type)
{
    return type == DNS_MX ? "MX" : type == DNS_A ? "A" : "AAAA";
}

void run_log_dns(struct run *run, uint16_t type, const struct dns_answer *answer)
{
    const struct config_texts *servers = &run->job->config->dns.servers;
    const char *server = servers->count ? servers->list[0] : "the system's resolver";
    const char *name = answer->canonical ? answer->canonical : "";
    uint64_t session;
    char text[768];
    int n;

    if (!record_is_on(RECORD_CONNECTIVITY) || run->job->is_probe)
        return;
    if (!run->conn) /* of hosts that are tried one after another, each is a session */
        run_log_begin(run);
    session = run->conn ? protocol_log_session(&run->conn->record.log) : run->session;
    if (answer->err == 0)
        n = snprintf(text, sizeof(text), "DNS server returned no error reported by %s (%s %s: %zu)",
                     server, type_name(type), name, answer->count);
    else
        n = snprintf(text, sizeof(text), "DNS server returned %s reported by %s (%s %s)",
                     answer->why, server, type_name(type), name);
    connectivity_log(session, slice_str(run->job->name), '>',
                     slice_make(text, MIN_OF((size_t)MAX_OF(n, 0), sizeof(text) - 1)));
}

void run_log_end(struct run *run, const char *status, const char *why)
{
    if (!run->session)
        return;
    connectivity_log_end(run->session, slice_str(run->job->name), 0, 0, status, slice_str(why));
    run->session = 0;
}

/* ---- a connection ---- */

static struct slice destination_of(const struct conn *c)
{
    return slice_str(c->name);
}

void conn_log_open(struct conn *c, uint64_t session)
{
    size_t len = exchange_connector(slice_str(c->config->server.hostname), destination_of(c),
                                    c->record.connector);

    c->record.closed_by = "Local";
    protocol_log_open(&c->record.log, RECORD_SEND, session, slice_make(c->record.connector, len),
                      NULL, &c->peer);
    protocol_log_write(&c->record.log, '*', (struct slice){0}, SLICE_LIT("attempting to connect"));
}

void conn_log_connected(struct conn *c)
{
    char text[ADDR_TEXT_MAX + 32], ip[ADDR_TEXT_MAX];
    int n;

    if (protocol_log_is_on(&c->record.log)) {
        protocol_log_set_endpoints(&c->record.log, stream_local(c->stream), &c->peer);
        protocol_log_write(&c->record.log, '+', (struct slice){0}, (struct slice){0});
    }
    if (!record_is_on(RECORD_CONNECTIVITY))
        return;
    addr_format_ip(&c->peer, ip);
    n = snprintf(text, sizeof(text), "Established connection to %s", ip);
    connectivity_log(protocol_log_session(&c->record.log), destination_of(c), '>',
                     slice_make(text, (size_t)MAX_OF(n, 0)));
}

void conn_log_not_connected(struct conn *c, int err)
{
    char text[ADDR_TEXT_MAX + JOB_NAME_MAX + 256], ip[ADDR_TEXT_MAX];
    int n;

    (void)snprintf(c->record.last_error, sizeof(c->record.last_error), "%s", err_str(err));
    if (!record_is_on(RECORD_CONNECTIVITY) && !protocol_log_is_on(&c->record.log))
        return;
    addr_format_ip(&c->peer, ip);
    n = snprintf(text, sizeof(text),
                 "Failed to connect. Error code: %d, Destination domain: %s, Error Message: %s",
                 -err, c->name, err_str(err));
    protocol_log_write(&c->record.log, '*', (struct slice){0},
                       slice_make(text, (size_t)MAX_OF(n, 0)));
    n = snprintf(text, sizeof(text), "Failed connection to %s (%s)", ip, err_str(err));
    connectivity_log(protocol_log_session(&c->record.log), destination_of(c), '>',
                     slice_make(text, (size_t)MAX_OF(n, 0)));
}

void conn_log_sending(struct conn *c, struct transaction *t)
{
    c->record.delivered_before = t->delivered;
    if (protocol_log_is_on(&c->record.log) || record_is_on(RECORD_TRACKING) ||
        delivery_log_is_on()) {
        transaction_look(t);
        track_connection(t, c);
    }
    protocol_log_sending(&c->record.log, t->entry->id, header_text_slice(&t->scan.message_id));
}

static void keep_failure(struct conn *c, const struct smtp_result *r)
{
    char *text = c->record.last_error;
    size_t size = sizeof(c->record.last_error);
    int n;

    if (r->code)
        n = snprintf(text, size, "%u %.*s", r->code, SLICE_FMT(r->text));
    else
        n = snprintf(text, size, "%.*s", SLICE_FMT(r->text));
    for (size_t i = 0; n > 0 && i < size && text[i]; i++)
        if (text[i] == '\n')
            text[i] = ' ';
}

void conn_log_result(struct conn *c, const struct smtp_result *r)
{
    if (r->outcome != SMTP_DELIVERED && record_is_on(RECORD_CONNECTIVITY))
        keep_failure(c, r);
}

void conn_log_sent(struct conn *c)
{
    if (c->transaction->delivered == c->record.delivered_before)
        return;
    c->record.messages++;
    c->record.bytes += c->transaction->smtp.body_bytes;
}

void conn_log_close(struct conn *c)
{
    const struct smtp_result *failure = smtp_client_failure(&c->smtp);
    const char *why = c->record.last_error;

    if (!record_is_on(RECORD_CONNECTIVITY) && !protocol_log_is_on(&c->record.log))
        return;
    if (failure && !c->connected && !*why) /* an idle one that the host closes is in order */
        keep_failure(c, failure);
    if (c->is_up)
        protocol_log_close(&c->record.log, c->record.closed_by);
    connectivity_log_end(protocol_log_session(&c->record.log), destination_of(c),
                         c->record.messages, c->record.bytes, *why ? "Retry" : NULL,
                         slice_str(why));
}
