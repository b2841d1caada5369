/* receive/track.c - a message that came in, in the message tracking log and the delivery log. */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "event/delivery.h"
#include "receive/receive_int.h"

void track_begin(struct submission *sub, struct policy *policy, bool is_internal,
                 struct stream *stream, struct protocol_log *log, uint32_t number)
{
    if (!protocol_log_is_on(log) && !record_is_on(RECORD_TRACKING) && !delivery_log_is_on())
        return;
    sub->origin.context_len =
        (uint8_t)protocol_log_source_context(log, number, sub->origin.context);
    protocol_log_write(log, '*', slice_make(sub->origin.context, sub->origin.context_len),
                       SLICE_LIT("receiving message"));
    if (!record_is_on(RECORD_TRACKING) && !delivery_log_is_on())
        return;
    sub->origin.policy = policy_ref(policy);
    sub->origin.is_internal = is_internal;
    addr_format_ip(stream_local(stream), sub->origin.server_ip);
    sub->origin.tls_version[0] = sub->origin.tls_cipher[0] = '\0';
    if (!stream_is_tls(stream))
        return;
    (void)snprintf(sub->origin.tls_version, sizeof(sub->origin.tls_version), "%s",
                   stream_tls_version(stream));
    (void)snprintf(sub->origin.tls_cipher, sizeof(sub->origin.tls_cipher), "%s",
                   stream_tls_cipher(stream));
}

static void tell_received(const struct submission *sub)
{
    const struct envelope *e = &sub->envelope;

    if (delivery_log_is_on())
        delivery_log(&(struct delivery){
            .event = DELIVERY_RECEIVED,
            .id = sub->id,
            .message_id = header_text_slice(&sub->scan.message_id),
            .sender = e->sender,
            .recipients = e->recipient_count,
            .size = e->body_bytes,
            .client = e->client_ip,
            .client_name = e->client_helo,
            .listener = e->client_name,
            .traffic = slice_str(mail_class_name(sub->class)),
            .local = slice_str(sub->origin.server_ip),
            .tls = sub->origin.tls_version[0] != '\0',
            .tls_version = slice_str(sub->origin.tls_version),
            .tls_cipher = slice_str(sub->origin.tls_cipher),
        });
}

static void track_receive(const struct submission *sub)
{
    const struct envelope *e = &sub->envelope;
    const struct policy *policy = sub->origin.policy;
    struct exchange_list to;
    struct tracking_line l;

    if (!record_is_on(RECORD_TRACKING))
        return;
    exchange_list_init(&to);
    for (size_t i = 0; i < e->recipient_count && !exchange_list_is_full(&to); i++)
        exchange_list_add(&to, e->recipients[i].address);
    l = (struct tracking_line){
        .event = TRACKING_RECEIVE,
        .client_ip = e->client_ip,
        .client_hostname = e->client_helo,
        .server_ip = slice_str(sub->origin.server_ip),
        .server_hostname = slice_str(policy->config->server.hostname),
        .source_context = slice_make(sub->origin.context, sub->origin.context_len),
        .connector = policy_connector(policy),
        .id = sub->id,
        .message_id = header_text_slice(&sub->scan.message_id),
        .recipients = exchange_list_slice(&to),
        .bytes = e->body_bytes,
        .recipient_count = e->recipient_count,
        .sender = e->sender,
        .directionality = sub->origin.is_internal ? "Originating" : "Incoming",
        .original_client_ip = e->client_ip,
        .original_server_ip = slice_str(sub->origin.server_ip),
        .own_hostname = slice_str(policy->config->server.hostname),
    };
    if (policy->config->log.files.subjects)
        l.subject = header_text_slice(&sub->scan.subject);
    tracking_log(&l);
}

void track_received(const struct submission *sub)
{
    if (!sub->origin.policy) /* the logs were off when it began */
        return;
    tell_received(sub);
    track_receive(sub);
}
