/*
 * tests/sim/network.c - connections, listeners and DNS in memory.
 *
 * Bytes that a side writes go, at once or later, into the other side's `in`, and from there to its
 * handler in pieces cut anywhere. A cut takes what is under way with it, at both ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "io/addr.h"
#include "io/resolver.h"
#include "io/stream.h"
#include "io/tls.h"
#include "sim.h"

#define WRITE_LIMIT KIB(256)

struct stream {
    struct list node;
    struct loop *loop;
    const struct stream_handler *handler; /* NULL: its owner has closed it */
    void *ctx;
    struct stream *peer; /* NULL: not yet, or no longer */
    struct addr local, remote;
    struct buf in, out;
    size_t write_limit;
    uint64_t sent, taken; /* bytes its owner wrote; of these, given to the other side's owner */
    bool is_connecting, is_paused, wants_drain, has_ended, end_is_told, is_dead;
    int end_err;
};

struct listener {
    struct list node;
    struct loop *loop;
    struct addr at;
    void (*on_accept)(void *ctx, struct stream *s);
    void *ctx;
    size_t write_limit;
};

struct resolver {
    struct loop *loop;
    bool is_answering;
};

struct query {
    struct list node;
    struct resolver *resolver;
    char name[DNS_NAME_MAX + 1];
    uint16_t type;
    void (*fn)(void *ctx, const struct dns_answer *answer);
    void *ctx;
};

static struct {
    bool ready;
    struct list streams, listeners, queries;
    struct network_faults faults;
} network;

static void ready(void)
{
    if (network.ready)
        return;
    list_init(&network.streams);
    list_init(&network.listeners);
    list_init(&network.queries);
    network.ready = true;
}

void network_set_faults(const struct network_faults *f)
{
    ready();
    network.faults = *f;
}

/* ---- streams ---- */

static struct stream *stream_new(struct loop *loop, const struct addr *local,
                                 const struct addr *remote, size_t write_limit)
{
    struct stream *s = calloc(1, sizeof(*s));

    ready();
    ASSERT(s);
    s->loop = loop;
    s->local = *local;
    s->remote = *remote;
    s->write_limit = write_limit ? write_limit : WRITE_LIMIT;
    buf_init(&s->in, MIB(64));
    buf_init(&s->out, MIB(64));
    list_add_tail(&network.streams, &s->node);
    return s;
}

/* The other side hears of it when it has read what is there. */
static void detach(struct stream *s, int err)
{
    struct stream *peer = s->peer;

    if (peer) {
        peer->has_ended = true;
        peer->end_err = err;
        peer->peer = NULL;
        buf_clear(&peer->out);
        if (!peer->handler)
            peer->is_dead = true;
    }
    s->peer = NULL;
    s->has_ended = true;
    if (!s->handler)
        s->is_dead = true;
}

static void lose_some(struct buf *b)
{
    if (buf_len(b))
        buf_truncate(b, (size_t)sim_below(buf_len(b) + 1));
}

static void cut(struct stream *s)
{
    struct stream *ends[2] = {s, s->peer};

    sim_trace("network: a connection is cut");
    for (int i = 0; i < 2; i++)
        if (ends[i]) {
            lose_some(&ends[i]->in);
            buf_clear(&ends[i]->out);
            ends[i]->end_err = -ECONNRESET;
        }
    detach(s, -ECONNRESET);
}

void network_server_dies(struct loop *loop)
{
    ready();
    LIST_FOR_SAFE(n, next, &network.listeners)
    if (LIST_ENTRY(n, struct listener, node)->loop == loop)
        list_del(n);
    LIST_FOR(n, &network.streams)
    {
        struct stream *s = LIST_ENTRY(n, struct stream, node);

        if (s->loop != loop)
            continue;
        /* The dead read nothing more, and what they had not sent is gone. */
        buf_clear(&s->in);
        buf_clear(&s->out);
        s->end_err = -ECONNRESET;
        if (s->peer)
            lose_some(&s->peer->in);
        if (!s->is_dead && !s->is_connecting)
            detach(s, -ECONNRESET);
    }
}

bool network_is_quiet(void)
{
    ready();
    network_sweep();
    return list_is_empty(&network.streams);
}

int stream_connect(struct loop *loop, const struct addr *peer, const struct addr *bind_to,
                   uint64_t timeout_ms, const struct stream_options *options,
                   const struct stream_handler *handler, void *ctx, struct stream **ret)
{
    struct addr local;
    struct stream *s;
    uint32_t ip = htonl(0x7f000001u);

    (void)bind_to;
    (void)timeout_ms;
    if (addr_from_ip(slice_make(&ip, sizeof(ip)), 40000, &local) < 0)
        return -EADDRNOTAVAIL;
    s = stream_new(loop, &local, peer, options ? options->write_limit : 0);
    s->handler = handler;
    s->ctx = ctx;
    s->is_connecting = true;
    *ret = s;
    return 0;
}

static struct listener *find_listener(const struct addr *at)
{
    LIST_FOR(n, &network.listeners)
    {
        struct listener *l = LIST_ENTRY(n, struct listener, node);

        if (addr_eq(&l->at, at))
            return l;
    }
    return NULL;
}

static void run_connect(void *object)
{
    static const int errors[] = {-ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH, -ENETUNREACH};
    struct stream *s = object, *other;
    struct listener *l = find_listener(&s->remote);

    sim_loop_turned(s->loop);
    s->is_connecting = false;
    if (s->end_err < 0 || !l || sim_chance(network.faults.connect)) {
        s->has_ended = s->end_is_told = true;
        s->handler->on_connect(s->ctx, l ? errors[sim_below(ARRAY_SIZE(errors))] : -ECONNREFUSED);
        return;
    }
    other = stream_new(l->loop, &s->remote, &s->local, l->write_limit);
    other->peer = s;
    s->peer = other;
    sim_loop_turned(l->loop);
    l->on_accept(l->ctx, other);
    if (s->handler)
        s->handler->on_connect(s->ctx, 0);
}

void stream_set_handler(struct stream *s, const struct stream_handler *handler, void *ctx)
{
    s->handler = handler;
    s->ctx = ctx;
}

/* Moves bytes of `out` to the other side. */
static void transmit(struct stream *s, size_t n)
{
    if (s->peer) {
        int r = buf_add(&s->peer->in, slice_sub(buf_slice(&s->out), 0, n));

        ASSERT(r == 0);
    }
    buf_consume(&s->out, n);
}

int stream_writev(struct stream *s, const struct slice *parts, size_t count)
{
    size_t total = buf_len(&s->out);

    if (s->is_connecting)
        return -ENOTCONN;
    for (size_t i = 0; i < count; i++)
        total += parts[i].len;
    if (total > s->write_limit)
        return -ENOBUFS;
    for (size_t i = 0; i < count; i++)
        s->sent += parts[i].len;
    if (s->has_ended) /* the kernel may take it, for nobody */
        return sim_chance(2) ? -EPIPE : 0;
    for (size_t i = 0; i < count; i++)
        if (buf_add(&s->out, parts[i]) < 0)
            return -ENOMEM;
    if (sim_chance(4)) {
        s->wants_drain = true;
        return 1;
    }
    transmit(s, buf_len(&s->out));
    return 0;
}

static void run_flush(void *object)
{
    struct stream *s = object;

    transmit(s, 1 + (size_t)sim_below(buf_len(&s->out)));
}

static void run_drain(void *object)
{
    struct stream *s = object;

    sim_loop_turned(s->loop);
    s->wants_drain = false;
    if (s->handler->on_drain)
        s->handler->on_drain(s->ctx);
}

static void run_data(void *object)
{
    struct stream *s = object;
    size_t n = buf_len(&s->in);
    uint8_t *copy;

    sim_loop_turned(s->loop);
    if (sim_chance(4))
        n = 1 + (size_t)sim_below(n);
    copy = malloc(n); /* of its own, so that reading beyond it is seen */
    ASSERT(copy);
    memcpy(copy, buf_slice(&s->in).ptr, n);
    buf_consume(&s->in, n);
    if (s->peer)
        s->peer->taken += n;
    s->handler->on_data(s->ctx, slice_make(copy, n));
    free(copy);
}

static void run_end(void *object)
{
    struct stream *s = object;

    sim_loop_turned(s->loop);
    s->end_is_told = true;
    s->handler->on_end(s->ctx, s->end_err);
}

static void run_close(void *object)
{
    detach(object, 0);
}

static void run_cut(void *object)
{
    cut(object);
}

size_t stream_pending_bytes(const struct stream *s)
{
    return buf_len(&s->out);
}

void stream_pause(struct stream *s)
{
    s->is_paused = true;
}

void stream_resume(struct stream *s)
{
    s->is_paused = false;
}

void stream_close(struct stream **sp)
{
    struct stream *s = *sp;

    if (!s)
        return;
    s->handler = NULL;
    if (!s->peer)
        s->is_dead = true;
    else if (buf_len(&s->out) == 0)
        detach(s, 0);
    *sp = NULL;
}

void stream_leave(struct stream **sp)
{
    stream_close(sp);
}

void stream_abort(struct stream **sp)
{
    struct stream *s = *sp;

    if (!s)
        return;
    s->handler = NULL;
    if (s->peer)
        lose_some(&s->peer->in);
    detach(s, -ECONNRESET);
    *sp = NULL;
}

const struct addr *stream_peer(const struct stream *s)
{
    return &s->remote;
}

const struct addr *stream_local(struct stream *s)
{
    return &s->local;
}

uint64_t stream_sent_bytes(const struct stream *s)
{
    return s->sent;
}

uint64_t stream_taken_bytes(const struct stream *s)
{
    return s->taken;
}

/* ---- no TLS here ---- */

int stream_start_tls(struct stream *s, struct tls_config *tls, struct slice host)
{
    (void)s;
    (void)tls;
    (void)host;
    return -ENOMEM;
}

bool stream_is_tls(const struct stream *s)
{
    (void)s;
    return false;
}

const char *stream_tls_version(const struct stream *s)
{
    (void)s;
    return "";
}

const char *stream_tls_cipher(const struct stream *s)
{
    (void)s;
    return "";
}

int stream_tls_bits(const struct stream *s)
{
    (void)s;
    return 0;
}

const char *stream_tls_error(const struct stream *s)
{
    (void)s;
    return "";
}

struct tls_config *tls_config_ref(struct tls_config *t)
{
    return t;
}

void tls_config_unref(struct tls_config **t)
{
    *t = NULL;
}

/* ---- listeners ---- */

int listener_open(struct loop *loop, const struct addr *at, int backlog,
                  const struct stream_options *options,
                  void (*on_accept)(void *ctx, struct stream *s), void *ctx, struct listener **ret)
{
    struct listener *l = calloc(1, sizeof(*l));

    (void)backlog;
    ready();
    if (!l)
        return -ENOMEM;
    *l = (struct listener){.loop = loop,
                           .at = *at,
                           .on_accept = on_accept,
                           .ctx = ctx,
                           .write_limit = options ? options->write_limit : 0};
    list_add_tail(&network.listeners, &l->node);
    *ret = l;
    return 0;
}

void listener_close(struct listener **lp)
{
    struct listener *l = *lp;

    if (!l)
        return;
    list_del(&l->node);
    free(l);
    *lp = NULL;
}

const struct addr *listener_addr(const struct listener *l)
{
    return &l->at;
}

int listener_check_free(const struct addr *at)
{
    return find_listener(at) ? -EADDRINUSE : 0;
}

/* ---- io/resolver.h: "dN.example" has the host "mx.dN.example" with the address of host N; all
 * other names do not exist ---- */

int resolver_new(struct resolver **ret, struct loop *loop, const struct resolver_config *config,
                 struct buf *why)
{
    struct resolver *r = calloc(1, sizeof(*r));

    (void)config;
    (void)why;
    ready();
    if (!r)
        return -ENOMEM;
    r->loop = loop;
    *ret = r;
    return 0;
}

void resolver_free(struct resolver **rp)
{
    struct resolver *r = *rp;

    if (!r)
        return;
    LIST_FOR_SAFE(n, next, &network.queries)
    {
        struct query *q = LIST_ENTRY(n, struct query, node);

        if (q->resolver == r)
            query_cancel(&q);
    }
    free(r);
    *rp = NULL;
}

bool resolver_is_idle(const struct resolver *r)
{
    LIST_FOR(n, &network.queries)
    {
        if (LIST_ENTRY(n, struct query, node)->resolver == r)
            return false;
    }
    return !r->is_answering;
}

int resolver_query(struct resolver *r, const char *name, uint16_t type,
                   void (*fn)(void *ctx, const struct dns_answer *answer), void *ctx,
                   struct query **ret_query)
{
    struct query *q = calloc(1, sizeof(*q));

    if (!q)
        return -ENOMEM;
    q->resolver = r;
    q->type = type;
    q->fn = fn;
    q->ctx = ctx;
    (void)snprintf(q->name, sizeof(q->name), "%s", name);
    list_add_tail(&network.queries, &q->node);
    if (ret_query)
        *ret_query = q;
    return 0;
}

void query_cancel(struct query **qp)
{
    struct query *q = *qp;

    if (!q)
        return;
    list_del(&q->node);
    free(q);
    *qp = NULL;
}

static struct slice wire_name(const char *text, uint8_t *to)
{
    uint8_t *label = to, *p = to + 1;

    for (; *text; text++) {
        if (*text == '.') {
            *label = (uint8_t)(p - label - 1);
            label = p++;
        } else {
            *p++ = (uint8_t)*text;
        }
    }
    *label = (uint8_t)(p - label - 1);
    *p++ = 0;
    return slice_make(to, (size_t)(p - to));
}

static void run_query(void *object)
{
    struct query *q = object;
    struct resolver *r = q->resolver;
    struct dns_answer a = {.err = -ERR_DNS_NONE, .canonical = q->name, .why = "no such name"};
    uint8_t wire[2 + DNS_NAME_MAX] = {0, 10};
    uint32_t ip;
    unsigned number = 0;
    char host[64];
    struct slice record;

    list_del(&q->node);
    a.nxdomain = true;
    sim_loop_turned(q->resolver->loop);
    if (sim_chance(network.faults.dns)) {
        a = (struct dns_answer){.err = -ERR_DNS_TEMP, .canonical = q->name, .why = "SERVFAIL"};
    } else if (sscanf(q->name, "d%u.example", &number) == 1 && number != DOMAIN_GONE) {
        a.nxdomain = false;
        if (q->type == DNS_MX) {
            (void)snprintf(host, sizeof(host), "mx.d%u.example", number);
            record = slice_make(wire, 2 + wire_name(host, wire + 2).len);
            a = (struct dns_answer){.canonical = q->name, .count = 1, .records = &record};
        }
    } else if (sscanf(q->name, "mx.d%u.example", &number) == 1) {
        a.nxdomain = false;
        ip = htonl(NETWORK_HOST(number));
        record = slice_make(&ip, sizeof(ip));
        if (q->type == DNS_A)
            a = (struct dns_answer){.canonical = q->name, .count = 1, .records = &record};
    }
    r->is_answering = true;
    q->fn(q->ctx, &a);
    r->is_answering = false;
    free(q);
}

int dns_name_to_text(struct slice wire, char *ret, size_t size)
{
    size_t at = 0, used = 0;

    while (at < wire.len && wire.ptr[at] > 0) {
        size_t len = wire.ptr[at++];

        if (at + len > wire.len || used + len + 2 > size)
            return -EINVAL;
        if (used)
            ret[used++] = '.';
        memcpy(ret + used, wire.ptr + at, len);
        used += len;
        at += len;
    }
    ret[used] = 0;
    return 0;
}

/* ---- steps ---- */

void network_sweep(void)
{
    ready();
    LIST_FOR_SAFE(n, next, &network.streams)
    {
        struct stream *s = LIST_ENTRY(n, struct stream, node);

        if (!s->is_dead)
            continue;
        list_del(n);
        buf_done(&s->in);
        buf_done(&s->out);
        free(s);
    }
}

static void stream_candidates(struct candidates *c, struct stream *s)
{
    if (s->is_dead)
        return;
    if (s->is_connecting && s->handler)
        candidate_add(c, run_connect, s);
    if (s->peer && buf_len(&s->out))
        candidate_add(c, run_flush, s);
    if (s->peer && !s->handler && buf_len(&s->out) == 0)
        candidate_add(c, run_close, s);
    if (s->peer && sim_chance(network.faults.cut))
        candidate_add(c, run_cut, s);
    if (!s->handler || s->is_connecting || s->is_paused)
        return;
    if (s->wants_drain && buf_len(&s->out) == 0 && !s->has_ended)
        candidate_add(c, run_drain, s);
    if (buf_len(&s->in))
        candidate_add(c, run_data, s);
    else if (s->has_ended && !s->end_is_told)
        candidate_add(c, run_end, s);
}

void network_candidates(struct candidates *c)
{
    ready();
    LIST_FOR(n, &network.streams)
    stream_candidates(c, LIST_ENTRY(n, struct stream, node));
    LIST_FOR(n, &network.queries)
    candidate_add(c, run_query, LIST_ENTRY(n, struct query, node));
}
