/*
 * deliver/worker.c - jobs: find a connection, send the entries one after another, give all back.
 *
 *     worker_job() --idle connection--> run_go_on()
 *          `--> find_host() <--------------.       |
 *                 MX_LOOKUP: ask DNS       |       v
 *                 MX_TRY: conn_open() -----'   conn_send() -> run_batch_done() -> next batch, entry
 *                 MX_END: no host is left:         |
 *                   failed: every entry fails      `--connection lost--> find_host()
 *                   deferred: this entry is deferred, the others go back untried
 */
#include "deliver/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "deliver/destination.h"
#include "deliver/worker_int.h"
#include "event/event.h"
#include "evidence/knowledge.h"
#include "io/tls.h"

static void find_host(struct run *run);
static void run_connect(struct run *run);
static void run_reconnect(struct run *run);

int worker_new(struct worker **ret, const struct worker_seams *seams, const struct config *config,
               struct tls_config *tls)
{
    struct worker *w = calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    w->seams = *seams;
    w->config = config_ref(config);
    w->tls = tls ? tls_config_ref(tls) : NULL;
    rand_init(&w->rand, seams->seed);
    list_init(&w->runs);
    list_init(&w->idle);
    list_init(&w->leaving);
    *ret = w;
    return 0;
}

void worker_free(struct worker **wp)
{
    struct worker *w = *wp;

    if (!w)
        return;
    ASSERT(worker_busy(w) == 0);
    resolver_free(&w->resolver);
    resolver_free(&w->flushed);
    config_unref(&w->config);
    tls_config_unref(&w->tls);
    free(w);
    *wp = NULL;
}

size_t worker_busy(const struct worker *w)
{
    return w->run_count + w->conn_count;
}

static void quit_idle(struct worker *w)
{
    LIST_FOR_SAFE(node, next, &w->idle)
    conn_quit(LIST_ENTRY(node, struct conn, node));
}

/*
 * libunbound has no call for it, so the resolver goes with its cache, and the next lookup makes
 * another. Where queries are under way it is kept aside until they are answered, one at a time.
 */
static void settle_dns(struct worker *w)
{
    if (w->flushed && resolver_is_idle(w->flushed))
        resolver_free(&w->flushed);
    if (!w->flush_due || w->flushed)
        return;
    w->flush_due = false;
    w->flushed = w->resolver;
    w->resolver = NULL;
    if (w->flushed && resolver_is_idle(w->flushed))
        resolver_free(&w->flushed);
}

void worker_flush_dns(struct worker *w)
{
    w->flush_due = true;
    settle_dns(w);
}

uint64_t worker_relieve(struct worker *w)
{
    uint64_t bytes = 0;

    LIST_FOR(node, &w->idle)
    bytes += conn_memory(LIST_ENTRY(node, struct conn, node));
    quit_idle(w);
    return bytes;
}

void worker_set_config(struct worker *w, const struct config *config, struct tls_config *tls)
{
    struct tls_config *old = w->tls;

    quit_idle(w);
    config_unref(&w->config);
    w->config = config_ref(config);
    w->tls = tls ? tls_config_ref(tls) : NULL;
    tls_config_unref(&old);
    worker_flush_dns(w); /* the servers may have changed */
}

void worker_stop(struct worker *w)
{
    w->stopping = true;
    quit_idle(w);
}

static void break_leaving(struct worker *w)
{
    LIST_FOR_SAFE(node, next, &w->leaving)
    conn_break(LIST_ENTRY(node, struct conn, node), -ECANCELED);
}

/* ---- the end of a run ---- */

static void cancel_lookups(struct run *run)
{
    for (size_t i = 0; i < ARRAY_SIZE(run->lookups); i++)
        query_cancel(&run->lookups[i].query);
}

static void stop_looking(struct run *run)
{
    cancel_lookups(run);
    free(run->mx);
    run->mx = NULL;
}

/*
 * All entries but those given back already return untried. With the last entry the job is the
 * queue's, and may be gone: hence `count` of the run, not of the job.
 */
static void run_end(struct run *run)
{
    struct worker *w = run->worker;

    ASSERT(!run->transaction.is_open);
    if (run->conn)
        conn_leave(run->conn);
    run->conn = NULL;
    for (uint32_t i = run->at; i < run->count; i++)
        entry_not_made(w, &run->job->entries[i]);
    stop_looking(run);
    transaction_done(&run->transaction);
    list_del(&run->node);
    w->run_count--;
    free(run);
    settle_dns(w);
}

/* A lane learns from its provider's own hosts alone, as in queue_attempt_made(). */
static bool is_of_provider(const struct run *run)
{
    const struct job *job = run->job;

    return !job->goes_by_mx || !job->knowledge ||
           providers_is_host_of(job->knowledge->providers, slice_str(run->step.name),
                                slice_str(job->provider));
}

/*
 * No host could be reached (or none took the session). What is known is told of the entry under
 * way; the rest goes back untried, and the queue leaves the destination alone for a while.
 */
static void run_destination_failed(struct run *run, uint16_t code, enum reply_class klass,
                                   const char *why)
{
    struct transaction *t = &run->transaction;

    event(EVENT_DESTINATION_FAILED, EVENT_NO_ID, EV_STR("destination", run->job->name),
          EV_UINT("code", code), EV_STR("why", why));
    run_log_end(run, "Retry", why);
    run->job->destination_failed = true;
    run->job->was_refused =
        klass == REPLY_CONNECTION && code >= 400 && code < 500 && is_of_provider(run);
    if (t->is_open || transaction_open(t, run->job, &run->job->entries[run->at]) == 0) {
        attempt_take_tried(t, run);
        transaction_fail_all(t, SMTP_DEFERRED, code, klass, slice_str(why));
        run->at++;
        transaction_close(t);
    } else {
        run->at++; /* transaction_open() gave it back */
    }
    run_end(run);
}

/* The server stops: what was not begun goes back as it came. */
static void run_give_up(struct run *run)
{
    run_log_end(run, NULL, NULL);
    if (run->transaction.is_open) {
        run->at++;
        transaction_abandon(&run->transaction);
    }
    run_end(run);
}

/* ---- entries ---- */

/* Every entry ends the same way, without a host having been asked. */
static void run_settle_all(struct run *run, enum smtp_outcome outcome, uint16_t code,
                           enum reply_class klass, struct slice text)
{
    struct transaction *t = &run->transaction;

    while (run->at < run->count) {
        struct job_entry *entry = &run->job->entries[run->at++];

        if (t->is_open || transaction_open(t, run->job, entry) == 0) {
            t->is_settled_here = true;
            t->settled = outcome;
            transaction_fail_all(t, outcome, code, klass, text);
            transaction_close(t);
        }
    }
    run_end(run);
}

/* DNS says that no mail can ever be delivered there: every entry fails with that reason. */
static void run_fail_all(struct run *run, const struct mx_verdict *v)
{
    char text[MX_WHY_MAX + 32];

    (void)snprintf(text, sizeof(text), "%u %s %s", v->code, v->status, v->why);
    run_log_end(run, "Failed", text);
    run_settle_all(run, SMTP_FAILED, v->code, REPLY_DNS, slice_str(text));
}

static size_t batch_max(const struct run *run)
{
    return MIN_OF(smtp_client_recipients_max(&run->conn->smtp),
                  run->job->config->delivery.recipients_per_message_max);
}

/*
 * Sends what is next: a batch of the entry under way, or the next entry that can be read. A loop,
 * since a host's limits may settle batch after batch without a word to it.
 */
static void run_go_on(struct run *run)
{
    struct transaction *t = &run->transaction;

    for (;;) {
        if (t->is_open && !transaction_has_more(t)) {
            run->at++;
            transaction_close(t);
        }
        if (run->worker->stopping && (!t->is_open || !run->conn)) {
            run_give_up(run);
            return;
        }
        if (!t->is_open && run->at == run->count) {
            run_end(run);
            return;
        }
        if (!run->conn || conn_is_used_up(run->conn)) {
            run_reconnect(run);
            return;
        }
        if (!t->is_open && transaction_open(t, run->job, &run->job->entries[run->at]) < 0) {
            run->at++;
            continue;
        }
        transaction_next_batch(t, batch_max(run));
        if (conn_send(run->conn, t))
            return;
    }
}

void run_batch_done(struct run *run, bool lost)
{
    run->retried_batch = false;
    transaction_batch_done(&run->transaction);
    if (lost) /* what was not begun waits with the rest */
        transaction_fail_all(&run->transaction, SMTP_DEFERRED, 0, REPLY_CONNECTION,
                             SLICE_LIT("the connection was lost before these recipients' turn"));
    run_go_on(run);
}

void run_connected(struct run *run)
{
    stop_looking(run);
    run->has_tried = false;
    run_go_on(run);
}

/* ---- finding a host ---- */

static void resolved(void *ctx, const struct dns_answer *answer)
{
    struct lookup *l = ctx;
    struct run *run = l->run;

    l->query = NULL;
    run_log_dns(run, l->type, answer);
    if (answer->err == -ERR_DNS_TEMP)
        event(EVENT_DNS_FAILED, EVENT_NO_ID, EV_STR("destination", run->job->name),
              EV_STR("why", answer->why));
    mx_answer(run->mx, l->number, answer);
    if (!run->conn)
        find_host(run);
}

static struct resolver *resolver_of(struct worker *w)
{
    const struct config_dns *d = &w->config->dns;
    struct resolver_config rc = {.servers = d->servers.list,
                                 .trust_anchor_file = d->trust_anchor,
                                 .timeout_ms = (uint32_t)d->time_out_ms,
                                 .no_cache = !d->cache};
    struct buf why = BUF_INIT(KIB(1));

    if (!w->resolver && resolver_new(&w->resolver, w->seams.loop, &rc, &why) < 0)
        event(EVENT_DNS_FAILED, EVENT_NO_ID, EV_SLICE("why", buf_slice(&why)));
    buf_done(&why);
    return w->resolver;
}

static void ask(struct run *run, const struct mx_step *step)
{
    struct resolver *resolver = resolver_of(run->worker);
    struct dns_answer none = {.err = -ERR_DNS_TEMP, .why = "the query could not be sent"};
    struct lookup *l = NULL;
    int r = -ENOMEM;

    for (size_t i = 0; !l && i < ARRAY_SIZE(run->lookups); i++)
        if (!run->lookups[i].query)
            l = &run->lookups[i];
    if (l && resolver) {
        *l = (struct lookup){.run = run, .number = step->lookup, .type = step->type};
        r = resolver_query(resolver, step->name, step->type, resolved, l, &l->query);
    }
    if (r < 0) {
        none.err = r == -EINVAL ? -ERR_DNS_NONE : -ERR_DNS_TEMP;
        mx_answer(run->mx, step->lookup, &none);
    }
}

static void try_host(struct run *run)
{
    const struct config *c = run->job->config;
    bool use_tls = c->delivery.tls != CONFIG_CLIENT_TLS_OFF && !run->plain_only &&
                   run->step.addr.u.any.sa_family != AF_UNIX;
    int r;

    run_log_begin(run);
    attempt_try(run);
    r = conn_open(run, &run->step.addr, run->step.name, use_tls, run->is_lmtp, &run->conn);

    if (r < 0) {
        char text[ADDR_TEXT_MAX + 300], at[ADDR_TEXT_MAX];

        addr_format(&run->step.addr, at);
        (void)snprintf(text, sizeof(text), "%s (%s): %s", run->step.name, at, err_str(r));
        attempt_no_session(run, NULL, r, text);
        run_connect_failed(run, text, 0, false);
    }
}

static void no_host_left(struct run *run)
{
    const struct mx_verdict *v = mx_verdict(run->mx);

    if (run->job->is_probe) { /* there is no provider to wait for: this is the mail's attempt */
        run->job->is_probe = false;
        run_log_begin(run);
    }
    switch (v->result) {
    case MX_FAIL:
        run_fail_all(run, v);
        break;
    case MX_DEFER:
        run_destination_failed(run, v->code, REPLY_DNS, v->why);
        break;
    case MX_TRIED_ALL:
    default:
        run_destination_failed(run, run->last_code, REPLY_CONNECTION, run->last_error);
        break;
    }
}

/* The MX hosts are known: so is who operates them. */
static void learn_provider(struct run *run)
{
    struct job *job = run->job;
    struct slice hosts[MX_HOSTS_MAX];
    size_t count = mx_hosts(run->mx, hosts, ARRAY_SIZE(hosts));
    char name[PROVIDER_NAME_MAX];
    struct provider_info provider;

    if (run->has_provider || count == 0 || !job->knowledge || !job->goes_by_mx)
        return;
    run->has_provider = true;
    providers_of(job->knowledge->providers, hosts, count, name, &provider);
    if (strcmp(provider.name, job->provider) == 0)
        return;
    (void)snprintf(job->provider, sizeof(job->provider), "%s", provider.name);
    (void)snprintf(job->mx_host, sizeof(job->mx_host), "%.*s", SLICE_FMT(hosts[0]));
    job->has_learnt = true;
}

/* Drives the MX machine until it needs DNS, has a host, or gives up. */
static void find_host(struct run *run)
{
    struct mx_step step;

    for (;;) {
        enum mx_step_kind kind = mx_next(run->mx, &step);

        learn_provider(run);
        if (run->job->is_probe && run->job->has_learnt) {
            run_give_up(run);
            return;
        }
        switch (kind) {
        case MX_LOOKUP:
            ask(run, &step);
            break;
        case MX_TRY:
            run->step = step;
            run->plain_only = false;
            try_host(run);
            return;
        case MX_WAIT:
            return;
        case MX_END:
        default:
            no_host_left(run);
            return;
        }
    }
}

void run_connect_failed(struct run *run, const char *why, uint16_t code, bool in_tls)
{
    (void)snprintf(run->last_error, sizeof(run->last_error), "%s", why);
    run->last_code = code;
    event(EVENT_REMOTE_FAILED, EVENT_NO_ID, EV_STR("destination", run->job->name),
          EV_ADDR("address", &run->step.addr), EV_UINT("code", code), EV_STR("why", why));
    if (run->worker->stopping) {
        run_give_up(run);
    } else if (in_tls && !run->plain_only &&
               run->job->config->delivery.tls == CONFIG_CLIENT_TLS_OPPORTUNISTIC) {
        run->plain_only = true; /* RFC 7435: a broken TLS is no reason to keep the mail */
        try_host(run);
    } else if (run->mx) {
        find_host(run);
    } else {
        run_destination_failed(run, code, REPLY_CONNECTION, why);
    }
}

void run_conn_lost(struct run *run)
{
    run->retried_batch = run->transaction.is_open;
    if (run->transaction.is_open)
        transaction_take_back(&run->transaction);
    if (run->worker->stopping)
        run_give_up(run);
    else
        run_connect(run);
}

/* ---- the start of a run ---- */

/* Mail for a domain whose MX is this server would come back in. */
static bool is_own_listener(void *ctx, const struct addr *a)
{
    const struct config *c = ((const struct run *)ctx)->job->config;

    for (size_t i = 0; i < c->listener_count; i++)
        if (addr_eq(&c->listeners[i].address, a))
            return true;
    return false;
}

static void start_mx(struct run *run, const struct config_target *t)
{
    const struct config_delivery *d = &run->job->config->delivery;

    run->own_name = slice_str(run->job->config->server.hostname);
    run->mx_config = (struct mx_config){.families = run_source(run)->families,
                                        .port = d->port,
                                        .hosts_max = d->mx_hosts_max,
                                        .own_names = &run->own_name,
                                        .own_name_count = 1,
                                        .is_own = is_own_listener,
                                        .ctx = run};
    if (t->kind == CONFIG_TARGET_MX && t->host)
        mx_start_relay(run->mx, &run->mx_config, &run->worker->rand, slice_str(t->host));
    else if (t->kind == CONFIG_TARGET_MX)
        mx_start(run->mx, &run->mx_config, &run->worker->rand, slice_str(run->job->name));
    else
        mx_start_host(run->mx, &run->mx_config, &run->worker->rand, slice_str(t->host), t->port);
}

static void connect_unix(struct run *run, const struct config_target *t)
{
    char text[sizeof(run->step.addr.u.path.sun_path) + 8];

    (void)snprintf(text, sizeof(text), "unix:%s", t->path);
    run->step = (struct mx_step){.name = "localhost"};
    if (addr_parse(slice_str(text), 0, &run->step.addr, NULL) < 0)
        run_destination_failed(run, 0, REPLY_OTHER, "the path of the socket is too long");
    else
        try_host(run);
}

static void run_connect(struct run *run)
{
    const struct config_target *t = destination_target(run->job->config, slice_str(run->job->name));

    while (!run->transaction.is_open && run->at < run->count &&
           transaction_is_suppressed(&run->transaction, run->job, &run->job->entries[run->at]))
        run->at++;
    if (!run->transaction.is_open && run->at == run->count) {
        run_end(run);
        return;
    }
    stop_looking(run);
    run->is_lmtp = t->kind == CONFIG_TARGET_LMTP || t->kind == CONFIG_TARGET_UNIX;
    if (t->kind == CONFIG_TARGET_DISCARD) {
        run_settle_all(run, SMTP_DELIVERED, 250, REPLY_NONE, SLICE_LIT("discarded by a route"));
        return;
    }
    if (t->kind == CONFIG_TARGET_UNIX) {
        connect_unix(run, t);
        return;
    }
    run_log_begin(run);
    run->mx = calloc(1, sizeof(*run->mx));
    if (!run->mx) {
        run_destination_failed(run, 0, REPLY_OTHER, "out of memory");
        return;
    }
    start_mx(run, t);
    find_host(run);
}

/* A connection that served its share is closed, and another made for the rest of the job. */
static void run_reconnect(struct run *run)
{
    if (run->conn) {
        struct conn *c = run->conn;

        run->conn = NULL;
        conn_quit(c);
    }
    run_connect(run);
}

void worker_job(struct parcel *p, void *receiver)
{
    struct job *job = CONTAINER_OF(p, struct job, parcel);
    struct worker *w = receiver;
    struct run *run = w->stopping ? NULL : calloc(1, sizeof(*run));

    if (!run) {
        job->destination_failed = !w->stopping; /* without memory at once again helps nobody */
        for (uint32_t i = 0, count = job->count; i < count; i++)
            entry_not_made(w, &job->entries[i]);
        return;
    }
    run->worker = w;
    run->job = job;
    run->count = job->count;
    transaction_init(&run->transaction, w);
    list_add_tail(&w->runs, &run->node);
    w->run_count++;
    run->conn = conn_take_idle(w, run, job->name);
    if (run->conn)
        run_go_on(run);
    else
        run_connect(run);
}

void worker_stop_now(struct worker *w)
{
    worker_stop(w);
    LIST_FOR_SAFE(node, next, &w->runs)
    {
        struct run *run = LIST_ENTRY(node, struct run, node);

        if (run->conn)
            conn_break(run->conn, -ECANCELED);
        else
            run_give_up(run);
    }
    break_leaving(w);
}
