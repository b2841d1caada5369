#include "io/resolver.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/list.h"
#include "io/loop.h"

#define CLASS_IN 1
#define LABEL_MAX 63
#define TEXT_MAX 253       /* of a name, without the final dot: RFC 1035, section 2.3.4 */
#define CANONICAL_MAX 1100 /* every byte as \ddd */
#define WHY_MAX 200
#define RCODE_NXDOMAIN 3

struct resolver {
    struct loop *loop;
    struct ub_ctx *ctx;
    struct loop_watch *watch;
    struct list queries;
    uint32_t timeout_ms;
    bool calling_back;
};

struct query {
    struct resolver *resolver;
    struct list node;
    struct loop_timer timer;
    int id;
    int start_err; /* libunbound's; the query could not even be started */
    void (*fn)(void *ctx, const struct dns_answer *answer);
    void *ctx;
    char name[DNS_NAME_MAX + 1];
};

/* Names */

static bool is_name_byte(uint8_t c)
{
    return byte_is_alpha(c) || byte_is_digit(c) || c == '-' || c == '_';
}

int dns_name_to_text(struct slice wire, char *ret, size_t size)
{
    size_t at = 0, len = 0;

    ASSERT(size > DNS_NAME_MAX);
    while (at < wire.len && wire.ptr[at] != 0) {
        size_t label = wire.ptr[at++];

        if (label > LABEL_MAX || label > wire.len - at || len + label > TEXT_MAX)
            return -EINVAL;
        for (size_t i = 0; i < label; i++) {
            if (!is_name_byte(wire.ptr[at + i]))
                return -EINVAL;
        }
        memcpy(ret + len, wire.ptr + at, label);
        at += label;
        len += label;
        ret[len++] = '.';
    }
    if (at + 1 != wire.len) /* exactly the root's empty label is left */
        return -EINVAL;
    ret[len > 0 ? len - 1 : 0] = '\0';
    return 0;
}

static bool is_domain_name(struct slice name)
{
    size_t label = 0;

    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len > TEXT_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!is_name_byte(name.ptr[i]) || ++label > LABEL_MAX) {
            return false;
        }
    }
    return label > 0;
}

/* Answers */

/* The query is over: its owner hears, and it is freed. */
static void answer(struct query *q, const struct dns_answer *a)
{
    struct resolver *r = q->resolver;
    void (*fn)(void *ctx, const struct dns_answer *answer) = q->fn;
    void *ctx = q->ctx;
    bool nested = r->calling_back;

    list_del(&q->node);
    loop_timer_stop(&q->timer);
    r->calling_back = true;
    fn(ctx, a);
    r->calling_back = nested;
    free(q);
}

static void answer_temporary(struct query *q, const char *why)
{
    struct dns_answer a = {.err = -ERR_DNS_TEMP, .canonical = q->name, .why = why};

    answer(q, &a);
}

static const char *rcode_name(int rcode)
{
    static const char *const names[] = {"no error", "FORMERR", "SERVFAIL",
                                        "NXDOMAIN", "NOTIMP",  "REFUSED"};

    return rcode >= 0 && (size_t)rcode < ARRAY_SIZE(names) ? names[rcode] : "an error";
}

/* Sets the parts that say how it went. */
static void judge(const struct ub_result *result, struct dns_answer *a, char why[static WHY_MAX])
{
    a->secure = result->secure != 0;
    a->bogus = result->bogus != 0;
    a->why = why;
    if (result->bogus) {
        a->err = -ERR_DNS_TEMP;
        (void)snprintf(why, WHY_MAX, "DNSSEC validation failed: %s",
                       result->why_bogus ? result->why_bogus : "bogus");
    } else if (result->havedata) {
        a->err = 0;
    } else if (result->rcode == 0 || result->rcode == RCODE_NXDOMAIN) {
        a->err = -ERR_DNS_NONE;
        a->nxdomain = result->nxdomain != 0;
        (void)snprintf(why, WHY_MAX, "%s",
                       a->nxdomain ? "the name does not exist" : "no such record");
    } else {
        a->err = -ERR_DNS_TEMP;
        (void)snprintf(why, WHY_MAX, "%s", rcode_name(result->rcode));
    }
}

static void set_canonical(struct dns_answer *a, const struct query *q,
                          const struct ub_result *result, char text[static CANONICAL_MAX])
{
    const char *name = result->canonname && *result->canonname ? result->canonname : q->name;
    size_t len = strnlen(name, CANONICAL_MAX - 1);

    memcpy(text, name, len);
    if (len > 0 && text[len - 1] == '.')
        len--;
    text[len] = '\0';
    a->canonical = text;
}

/* libunbound calls it in ub_process(), hence in the loop. */
static void on_result(void *ctx, int err, struct ub_result *result)
{
    struct slice records[DNS_RECORDS_MAX];
    char why[WHY_MAX] = "", canonical[CANONICAL_MAX];
    struct dns_answer a = {.records = records};
    struct query *q = ctx;

    if (err || !result) {
        ub_resolve_free(result);
        answer_temporary(q, err ? ub_strerror(err) : "no answer");
        return;
    }
    judge(result, &a, why);
    set_canonical(&a, q, result, canonical);
    a.ttl_s = result->ttl > 0 ? (uint32_t)result->ttl : 0;
    for (size_t i = 0; a.err == 0 && i < DNS_RECORDS_MAX && result->data[i]; i++)
        records[a.count++] = slice_make(result->data[i], (size_t)result->len[i]);
    answer(q, &a);
    ub_resolve_free(result);
}

static void on_readable(void *ctx)
{
    struct resolver *r = ctx;

    /* It fails only when its thread has died; then every query ends by its time-out. */
    (void)ub_process(r->ctx);
}

/* Queries */

static void on_timeout(struct loop_timer *t)
{
    struct query *q = CONTAINER_OF(t, struct query, timer);
    char why[WHY_MAX];

    if (q->start_err) {
        (void)snprintf(why, sizeof(why), "the resolver did not start: %s",
                       ub_strerror(q->start_err));
    } else {
        (void)ub_cancel(q->resolver->ctx, q->id);
        (void)snprintf(why, sizeof(why), "no answer within %u ms", q->resolver->timeout_ms);
    }
    answer_temporary(q, why);
}

int resolver_query(struct resolver *r, const char *name, uint16_t type,
                   void (*fn)(void *ctx, const struct dns_answer *answer), void *ctx,
                   struct query **ret_query)
{
    struct slice text = slice_str(name);
    sigset_t all, before;
    struct query *q;

    if (!is_domain_name(text))
        return -EINVAL;
    q = calloc(1, sizeof(*q));
    if (!q)
        return -ENOMEM;
    q->resolver = r;
    q->fn = fn;
    q->ctx = ctx;
    memcpy(q->name, text.ptr, text.len);
    loop_timer_init(&q->timer, r->loop, on_timeout);
    /* The first one starts libunbound's thread, which is to take no signals. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    q->start_err = ub_resolve_async(r->ctx, q->name, type, CLASS_IN, q, on_result, &q->id);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (q->start_err == UB_NOMEM) {
        free(q);
        return -ENOMEM;
    }
    list_add_tail(&r->queries, &q->node);
    loop_timer_start(&q->timer, q->start_err ? 0 : r->timeout_ms);
    if (ret_query)
        *ret_query = q;
    return 0;
}

void query_cancel(struct query **q_ptr)
{
    struct query *q = *q_ptr;

    *q_ptr = NULL;
    if (!q)
        return;
    if (!q->start_err)
        (void)ub_cancel(q->resolver->ctx, q->id);
    list_del(&q->node);
    loop_timer_stop(&q->timer);
    free(q);
}

/* Resolvers */

static int refuse(struct buf *why, const char *what, const char *about, int ub_err)
{
    if (why)
        (void)buf_addf(why, "cannot %s %s: %s", what, about, ub_strerror(ub_err));
    return ub_err == UB_NOMEM ? -ENOMEM : -EINVAL;
}

static int set_options(struct ub_ctx *ctx, const struct resolver_config *config, struct buf *why)
{
    static const struct {
        const char *name, *value;
        bool no_cache_only;
    } options[] = {
        {"do-not-query-localhost:", "no", false}, /* a server on this host is the usual one */
        {"cache-max-ttl:", "0", true},
        {"cache-max-negative-ttl:", "0", true},
        {"infra-host-ttl:", "0", true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        int e;

        if (options[i].no_cache_only && !config->no_cache)
            continue;
        e = ub_ctx_set_option(ctx, options[i].name, options[i].value);
        if (e)
            return refuse(why, "set the resolver's option", options[i].name, e);
    }
    return 0;
}

static int set_servers(struct ub_ctx *ctx, const struct resolver_config *config, struct buf *why)
{
    int e;

    if (!config->servers || !config->servers[0]) {
        e = ub_ctx_resolvconf(ctx, NULL);
        return e ? refuse(why, "read", "/etc/resolv.conf", e) : 0;
    }
    for (size_t i = 0; config->servers[i]; i++) {
        e = ub_ctx_set_fwd(ctx, config->servers[i]);
        if (e)
            return refuse(why, "use the DNS server", config->servers[i], e);
    }
    return 0;
}

static int set_up(struct resolver *r, const struct resolver_config *config, struct buf *why)
{
    const char *anchor = config->trust_anchor_file;
    int e, result;

    (void)ub_ctx_debugout(r->ctx, NULL); /* a library does not log */
    result = set_options(r->ctx, config, why);
    if (result == 0)
        result = set_servers(r->ctx, config, why);
    if (result < 0)
        return result;
    e = anchor ? ub_ctx_add_ta_file(r->ctx, anchor) : 0;
    if (!e)
        e = ub_ctx_async(r->ctx, /* dothread= */ 1);
    /* libunbound answers for "test." by itself, where those who configure test servers mean them.
     * Taking that away also makes it read the anchors now, and not at the first query. */
    if (!e)
        e = ub_ctx_zone_remove(r->ctx, "test.");
    if (e)
        return refuse(why, "set up the resolver with the trust anchor", anchor ? anchor : "none",
                      e);
    return loop_watch_fd(r->loop, ub_fd(r->ctx), on_readable, r, &r->watch);
}

int resolver_new(struct resolver **ret, struct loop *loop, const struct resolver_config *config,
                 struct buf *why)
{
    struct resolver *r = calloc(1, sizeof(*r));
    int result;

    if (!r)
        return -ENOMEM;
    r->loop = loop;
    r->timeout_ms = config->timeout_ms;
    list_init(&r->queries);
    r->ctx = ub_ctx_create();
    result = r->ctx ? set_up(r, config, why) : refuse(why, "make", "a resolver", UB_NOMEM);
    if (result < 0)
        resolver_free(&r);
    else
        *ret = r;
    return result;
}

bool resolver_is_idle(const struct resolver *r)
{
    return !r->calling_back && list_is_empty(&r->queries);
}

void resolver_free(struct resolver **r_ptr)
{
    struct resolver *r = *r_ptr;

    *r_ptr = NULL;
    if (!r)
        return;
    ASSERT(!r->calling_back);
    LIST_FOR_SAFE(node, next, &r->queries)
    {
        struct query *q = LIST_ENTRY(node, struct query, node);

        loop_timer_stop(&q->timer);
        free(q);
    }
    loop_unwatch_fd(&r->watch);
    ub_ctx_delete(r->ctx);
    free(r);
}
