/* receive/receiver.c - listeners and their policies. */
#include "receive/receiver.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "config/config.h"
#include "event/event.h"
#include "io/tls.h"
#include "receive/receive_int.h"

#define LISTEN_BACKLOG 1024
#define WRITE_LIMIT KIB(256) /* replies to a client that does not read them */

static struct policy *policy_new(const struct config *config, size_t index, struct tls_config *tls)
{
    const struct config_listener *l = &config->listeners[index];
    struct policy *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    *p = (struct policy){.refs = 1, .config = config_ref(config), .index = index};
    p->tls = tls ? tls_config_ref(tls) : NULL;
    p->smtp = SMTP_SERVER_CONFIG_INIT;
    p->smtp.hostname = slice_str(config->server.hostname);
    p->smtp.banner = SLICE_LIT("ESMTP Penstock");
    p->smtp.extensions = SMTP_EXT_USUAL | (tls ? (unsigned)SMTP_EXT_STARTTLS : 0u);
    p->smtp.size_max = config->smtp.message_size_max_bytes;
    p->smtp.recipients_max = config->smtp.recipients_max;
    p->smtp.messages_max = config->smtp.messages_per_connection_max;
    p->smtp.command_max = config->smtp.command_line_max_bytes;
    p->smtp.text_line_max = config->smtp.text_line_max_bytes - 2; /* the setting counts CRLF */
    p->smtp.errors_max = config->smtp.errors_max;
    p->smtp.needs_tls = l->tls_required;
    p->smtp.refuse_early_talker = config->smtp.early_talkers_refused;
    p->connector_len =
        exchange_connector(slice_str(config->server.hostname), slice_str(l->name), p->connector);
    return p;
}

struct policy *policy_ref(struct policy *p)
{
    p->refs++;
    return p;
}

void policy_unref(struct policy **pp)
{
    struct policy *p = *pp;

    *pp = NULL;
    if (!p || --p->refs > 0)
        return;
    config_unref(&p->config);
    tls_config_unref(&p->tls);
    free(p);
}

static void drop_policies(struct policy **list, size_t count)
{
    for (size_t i = 0; list && i < count; i++)
        policy_unref(&list[i]);
    free(list);
}

static struct policy **make_policies(const struct config *config, size_t count,
                                     struct tls_config *const *tls)
{
    struct policy **list = calloc(count, sizeof(struct policy *));

    for (size_t i = 0; list && i < count; i++) {
        list[i] = policy_new(config, i, tls[i]);
        if (!list[i]) {
            drop_policies(list, i);
            return NULL;
        }
    }
    return list;
}

int receiver_new(struct receiver **ret, struct loop *loop, struct mailbox *answers,
                 struct receive_shared *shared, const struct config *config,
                 struct tls_config *const *tls)
{
    struct receiver *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    r->loop = loop;
    r->answers = answers;
    r->shared = shared;
    r->door_count = config->listener_count;
    list_init(&r->sessions);
    list_init(&r->submissions);
    intake_init(r);
    r->doors = calloc(r->door_count, sizeof(*r->doors));
    r->policies = make_policies(config, r->door_count, tls);
    if (!r->doors || !r->policies) {
        receiver_free(&r);
        return -ENOMEM;
    }
    *ret = r;
    return 0;
}

void receiver_free(struct receiver **rp)
{
    struct receiver *r = *rp;

    if (!r)
        return;
    ASSERT(r->session_count == 0);
    intake_done(r);
    for (size_t i = 0; r->doors && i < r->door_count; i++)
        listener_close(&r->doors[i].listener);
    drop_policies(r->policies, r->door_count);
    free(r->doors);
    free(r);
    *rp = NULL;
}

int receiver_set_config(struct receiver *r, const struct config *config,
                        struct tls_config *const *tls)
{
    struct policy **list;

    if (config->listener_count != r->door_count) /* listeners are opened at start only */
        return -EINVAL;
    list = make_policies(config, r->door_count, tls);
    if (!list)
        return -ENOMEM;
    drop_policies(r->policies, r->door_count);
    r->policies = list;
    return 0;
}

static void on_accept(void *ctx, struct stream *stream)
{
    struct door *door = ctx;
    struct receiver *r = door->receiver;

    session_open(r, r->policies[door->index], stream);
}

int receiver_listen(struct receiver *r, struct addr *bound, struct buf *why)
{
    const struct stream_options options = {.write_limit = WRITE_LIMIT};

    for (size_t i = 0; i < r->door_count; i++) {
        struct door *door = &r->doors[i];
        const struct config_listener *l = &r->policies[i]->config->listeners[i];
        char text[ADDR_TEXT_MAX];
        int err;

        *door = (struct door){.receiver = r, .index = i};
        err = listener_open(r->loop, bound[i].len ? &bound[i] : &l->address, LISTEN_BACKLOG,
                            &options, on_accept, door, &door->listener);
        if (err < 0) {
            addr_format(&l->address, text);
            (void)buf_addf(why, "listener %s cannot listen on %s: %s", l->name, text, err_str(err));
            return err;
        }
        bound[i] = *listener_addr(door->listener);
    }
    return 0;
}

static void stop_sessions(struct receiver *r, bool even_in_message)
{
    LIST_FOR_SAFE(node, next, &r->sessions)
    session_stop(session_of_node(node), even_in_message);
}

void receiver_stop(struct receiver *r)
{
    r->stopping = true;
    for (size_t i = 0; i < r->door_count; i++)
        listener_close(&r->doors[i].listener);
    stop_sessions(r, false);
}

void receiver_stop_now(struct receiver *r)
{
    receiver_stop(r);
    stop_sessions(r, true);
}

uint64_t receiver_relieve(struct receiver *r)
{
    uint64_t freed = 0;

    LIST_FOR(node, &r->sessions)
    freed += session_relieve(session_of_node(node));
    return freed;
}

/* Keeps the largest, largest first. */
static void add_holder(struct receive_report *report, const struct submission *sub)
{
    uint64_t bytes = sub->used + sub->reserved;
    size_t at = report->holder_count;

    if (at == RECEIVE_HOLDERS_MAX && bytes <= report->holders[at - 1].bytes)
        return;
    if (at == RECEIVE_HOLDERS_MAX)
        at--;
    else
        report->holder_count++;
    for (; at > 0 && report->holders[at - 1].bytes < bytes; at--)
        report->holders[at] = report->holders[at - 1];
    submission_describe(sub, &report->holders[at]);
}

void receiver_take_report(struct receiver *r, struct receive_report *ret)
{
    *ret = (struct receive_report){
        .tally = r->tally, .sessions = r->session_count, .messages_in_flight = r->submission_count};
    r->tally = (struct tally_batch){0};
    LIST_FOR(node, &r->submissions)
    {
        const struct submission *sub = LIST_ENTRY(node, struct submission, node);

        ret->bytes_in_flight += sub->reserved;
        add_holder(ret, sub);
    }
}

size_t receiver_busy(const struct receiver *r)
{
    return r->session_count + r->commits + r->requests;
}
