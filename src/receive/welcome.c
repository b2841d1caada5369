/*
 * receive/welcome.c - the beginning of a session: who is greeted, and who is turned away at once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "event/event.h"
#include "governor/tally.h"
#include "receive/session_int.h"

#define OUT_MAX KIB(128)
#define STASH_MAX KIB(128)

/* At connect; a reply of 421 and why it comes. The first word is our name (RFC 5321, section
 * 4.2.2). */
struct turned_away {
    struct smtp_enhanced enhanced;
    const char *words; /* NULL: it is welcome */
    uint8_t resource;
    enum { AWAY_FOR_ALL, AWAY_FOR_ROOM, AWAY_FOR_CLIENT } kind;
};

static struct turned_away look_at(struct session *s)
{
    static const char from_you[] = "Too many connections from your address";
    struct receive_shared *shared = s->receiver->shared;
    const struct config_smtp *c = &session_config(s)->smtp;
    uint32_t per_client = c->connections_per_client_max;

    if (atomic_load(&shared->connections) > MIN_OF(c->connections_max, shared->connections_max))
        return (struct turned_away){SMTP_ENHANCED(4, 3, 2), "Too many connections", 0,
                                    AWAY_FOR_ALL};
    if (s->class == MAIL_EXTERNAL && shared->gate && gate_refuses_at_connect(shared->gate)) {
        uint8_t resource = gate_ask(shared->gate, MAIL_EXTERNAL).resource;

        return (struct turned_away){SMTP_ENHANCED(4, 3, 2), "", resource, AWAY_FOR_ROOM};
    }
    if (s->is_limited && per_client && atomic_load(&shared->by_client[s->bucket]) > per_client)
        return (struct turned_away){SMTP_ENHANCED(4, 7, 0), from_you, 0, AWAY_FOR_CLIENT};
    if (!session_client_is_within(s, RECEIVE_CONNECTIONS, c->connections_per_client_minute_max))
        return (struct turned_away){SMTP_ENHANCED(4, 7, 0), from_you, 0, AWAY_FOR_CLIENT};
    return (struct turned_away){.words = NULL};
}

static void count_turned_away(struct session *s, const struct turned_away *t)
{
    if (t->kind == AWAY_FOR_CLIENT)
        session_count_client_refused(s, 0);
    if (t->kind == AWAY_FOR_ROOM) {
        counter_add(COUNTER_REFUSED_PRESSURE, 1);
        tally_refused(&s->receiver->tally, s->class, TALLY_REFUSED_CONNECT, s->ip, 0);
        tally_refused_for(&s->receiver->tally, t->resource);
    }
}

/* The session is gone after it. A flood must neither hold descriptors nor fill the log while it is
 * refused. */
static void turn_away(struct session *s, const struct turned_away *t)
{
    struct receiver *r = s->receiver;
    char words[INTAKE_WORDS_MAX];
    struct slice text = slice_str(t->words);
    int n;

    if (t->kind == AWAY_FOR_ROOM)
        text = intake_words(session_config(s), t->resource, words);
    count_turned_away(s, t);
    (void)protocol_log_admit(&r->flood, &s->log);
    if (intake_may_tell(r, session_config(s)))
        event(EVENT_CLIENT_REFUSED, EVENT_NO_ID, EV_STR("client", s->ip), EV_SLICE("why", text));
    else
        counter_add(event_counter(EVENT_CLIENT_REFUSED), 1);
    n = snprintf(r->words, sizeof(r->words), "%.*s %.*s", SLICE_FMT(session_hostname(s)),
                 SLICE_FMT(text));
    smtp_server_shutdown(&s->smtp, 421, t->enhanced,
                         slice_make(r->words, MIN_OF((size_t)MAX_OF(n, 0), sizeof(r->words) - 1)));
    (void)session_write_out(s);
    stream_leave(&s->stream);
    session_end(s);
}

/* The session may be gone after it. */
static void greet(struct session *s)
{
    struct turned_away away = look_at(s);

    if (away.words) {
        turn_away(s, &away);
        return;
    }
    event(EVENT_CLIENT_CONNECTED, EVENT_NO_ID, EV_STR("client", s->ip));
    protocol_log_write(&s->log, '+', (struct slice){0}, (struct slice){0});
    smtp_server_greet(&s->smtp);
    loop_timer_start(&s->lifetime, session_config(s)->smtp.time_outs.session_ms);
    session_go_on(s); /* with what the client said early, where that is allowed */
}

static void on_greeting_delay(struct loop_timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timer);

    s->timer.fn = session_on_timer;
    greet(s);
}

/* Where a client is counted, with all others whose addresses hash to it. */
static uint32_t bucket_of(const struct receive_shared *shared, const struct config *config,
                          const struct addr *peer)
{
    struct addr client = *peer;
    char text[ADDR_TEXT_MAX];

    addr_mask_ipv6(&client, config->smtp.client_ipv6_bits);
    addr_format_ip(&client, text);
    return (uint32_t)(slice_hash_case(slice_str(text), shared->hash_seed) % RECEIVE_CLIENT_BUCKETS);
}

void session_open(struct receiver *r, struct policy *policy, struct stream *stream)
{
    struct session *s = calloc(1, sizeof(*s));
    const struct config *config = policy->config;
    uint64_t delay_ms = config->smtp.greeting_delay_ms;

    if (!s) {
        stream_abort(&stream);
        return;
    }
    s->receiver = r;
    s->policy = policy_ref(policy);
    s->stream = stream;
    buf_init(&s->out, OUT_MAX);
    buf_init(&s->stash, STASH_MAX);
    addr_format_ip(stream_peer(stream), s->ip);
    s->bucket = bucket_of(r->shared, config, stream_peer(stream));
    (void)atomic_fetch_add(&r->shared->connections, 1);
    s->is_limited = !intake_is_internal(config, stream_peer(stream));
    s->class = intake_class(&config->listeners[policy->index], !s->is_limited);
    if (s->is_limited)
        (void)atomic_fetch_add(&r->shared->by_client[s->bucket], 1);
    list_add_tail(&r->sessions, &s->node);
    r->session_count++;
    s->closed_by = "Local";
    protocol_log_open(&s->log, RECORD_RECEIVE, /* session= */ 0, policy_connector(policy),
                      record_is_on(RECORD_RECEIVE) ? stream_local(stream) : NULL,
                      stream_peer(stream));
    smtp_server_init(&s->smtp, &policy->smtp, &mail_handler, s, &s->out);
    stream_set_handler(stream, &session_stream_handler, s);
    loop_timer_init(&s->lifetime, r->loop, session_on_lifetime);
    if (delay_ms) {
        loop_timer_init(&s->timer, r->loop, on_greeting_delay);
        loop_timer_start(&s->timer, delay_ms);
    } else {
        loop_timer_init(&s->timer, r->loop, session_on_timer);
        greet(s);
    }
}
