/*
 * cli/lanes_mx.c - the MX hosts of a domain, found as the server finds them: deliver/mx.h says what
 * to ask, the configuration's resolver is asked.
 */
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "cli/lanes_int.h"
#include "config/config.h"
#include "deliver/mx.h"
#include "io/loop.h"
#include "io/resolver.h"

struct lookup {
    struct mx mx;
    uint32_t number;
    bool is_answered;
};

static void on_answer(void *ctx, const struct dns_answer *answer)
{
    struct lookup *l = ctx;

    mx_answer(&l->mx, l->number, answer);
    l->is_answered = true;
}

/* Until the first lookup, that of the MX records, is answered; the hosts' addresses do not matter. */
static int ask(struct lookup *l, struct loop *loop, struct resolver *resolver)
{
    struct mx_step step;
    int r;

    if (mx_next(&l->mx, &step) != MX_LOOKUP)
        return 0; /* an address literal, or no domain at all: the verdict says so */
    l->number = step.lookup;
    r = resolver_query(resolver, step.name, step.type, on_answer, l, NULL);
    while (r == 0 && !l->is_answered)
        loop_turn(loop, /* wait= */ true);
    return r;
}

static void take_hosts(struct resolve_question *q, const struct mx *mx, struct buf *names)
{
    struct slice hosts[RESOLVE_HOSTS_MAX];
    size_t count = mx_hosts(mx, hosts, RESOLVE_HOSTS_MAX), at = 0;

    for (size_t i = 0; i < count; i++)
        (void)buf_add(names, hosts[i]);
    if (buf_failed(names))
        return;
    for (size_t i = 0; i < count; i++) {
        q->hosts[i] = slice_sub(buf_slice(names), at, hosts[i].len);
        at += hosts[i].len;
    }
    q->host_count = count;
}

/* Why there are none: the machine's verdict, which it has at once. */
static void tell_why_none(struct lookup *l, struct buf *why)
{
    struct mx_step step;

    if (mx_next(&l->mx, &step) == MX_END)
        (void)buf_add_str(why, mx_verdict(&l->mx)->why);
    else
        (void)buf_add_str(why, "DNS gave none");
}

static int find(struct resolve_question *q, struct loop *loop, struct buf *names, struct buf *why)
{
    const struct config_dns *d = &q->config->dns;
    const struct resolver_config config = {.servers = d->servers.list,
                                           .trust_anchor_file = d->trust_anchor,
                                           .timeout_ms = (uint32_t)d->time_out_ms};
    const struct mx_config mx_config = {.families = q->config->delivery.families,
                                        .port = q->config->delivery.port};
    struct resolver *resolver = NULL;
    struct lookup l = {.number = 0};
    struct rand rand;
    int r = resolver_new(&resolver, loop, &config, why);

    rand_init(&rand, 1); /* the order of equal hosts is any: the same one each time is as good */
    if (r == 0) {
        mx_start(&l.mx, &mx_config, &rand,
                 slice_from(q->address, (size_t)(slice_rfind(q->address, '@') + 1)));
        r = ask(&l, loop, resolver);
    }
    if (r == 0)
        take_hosts(q, &l.mx, names);
    if (r == 0 && q->host_count == 0)
        tell_why_none(&l, why);
    resolver_free(&resolver);
    return r;
}

int lanes_ask_mx(struct resolve_question *q, struct buf *names, struct buf *why)
{
    struct loop *loop = NULL;
    int r = loop_new(&loop);

    if (r == 0)
        r = find(q, loop, names, why);
    loop_free(&loop);
    if (r < 0)
        return command_error("lanes", "%s", buf_len(why) ? buf_cstr(why) : err_str(r));
    q->hosts_from = q->host_count ? "DNS" : buf_cstr(why);
    return EXIT_DONE;
}
