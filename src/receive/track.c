/* receive/track.c - a message that came in, in the message tracking log. */
#include <string.h>

#include "config/config.h"
#include "receive/receive_int.h"

void track_begin(struct submission *sub, struct policy *policy, bool is_internal,
                 struct stream *stream, struct protocol_log *log, uint32_t number)
{
    if (!protocol_log_is_on(log) && !record_is_on(RECORD_TRACKING))
        return;
    sub->origin.context_len =
        (uint8_t)protocol_log_source_context(log, number, sub->origin.context);
    protocol_log_write(log, '*', slice_make(sub->origin.context, sub->origin.context_len),
                       SLICE_LIT("receiving message"));
    if (!record_is_on(RECORD_TRACKING))
        return;
    sub->origin.policy = policy_ref(policy);
    sub->origin.is_internal = is_internal;
    addr_format_ip(stream_local(stream), sub->origin.server_ip);
}

void track_received(const struct submission *sub)
{
    const struct envelope *e = &sub->envelope;
    const struct policy *policy = sub->origin.policy;
    struct exchange_list to;
    struct tracking_line l;

    if (!policy) /* the log was off when it began */
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
