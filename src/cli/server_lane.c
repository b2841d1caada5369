/* cli/server_lane.c - the loop threads: what runs in each, and the orders it gets. */
#include <stdio.h>

#include "base/assert.h"
#include "cli/server_int.h"
#include "deliver/worker.h"
#include "event/event.h"
#include "receive/receiver.h"

static void lane_ordered(struct parcel *p, void *receiver);

void lane_order(struct lane *l, enum lane_orders what)
{
    ASSERT(!l->is_out);
    l->is_out = true;
    l->what = what;
    l->order.deliver = lane_ordered;
    mailbox_post(l->box, &l->order);
}

/* Main thread. */
static void lane_answered(struct parcel *p, void *receiver)
{
    struct lane *l = CONTAINER_OF(p, struct lane, answer);

    (void)receiver;
    l->is_out = false;
    if (l->what == ORDER_RELOAD)
        server_reload_answered(l->server);
}

/* The lane's thread. */
static void lane_ordered(struct parcel *p, void *receiver)
{
    struct lane *l = CONTAINER_OF(p, struct lane, order);
    struct server *s = l->server;

    (void)receiver;
    switch (l->what) {
    case ORDER_RELOAD:
        if (receiver_set_config(l->receiver, s->next_config, s->next_tls.listeners) < 0)
            event(EVENT_INTERNAL_ERROR, EVENT_NO_ID, EV_STR("what", "a loop kept the old rules"));
        worker_set_config(l->worker, s->next_config, s->next_tls.client);
        break;
    case ORDER_STOP:
        receiver_stop(l->receiver);
        worker_stop(l->worker);
        break;
    case ORDER_STOP_NOW:
        receiver_stop_now(l->receiver);
        worker_stop_now(l->worker);
        break;
    case ORDER_END:
        loop_stop(l->loop);
        break;
    case ORDER_NONE:
    case ORDER_REPORT:
    default:
        break;
    }
    l->busy = receiver_busy(l->receiver) + worker_busy(l->worker);
    l->answer.deliver = lane_answered;
    mailbox_post(s->box, &l->answer);
}

static void lane_run(void *ctx)
{
    struct lane *l = ctx;

    loop_run(l->loop);
}

/* One wake-up of the queue thread for all that a turn of the loop has for it. */
static void lane_turn_ends(void *ctx)
{
    mailbox_nudge(((struct lane *)ctx)->server->box);
}

int lane_open(struct server *s, struct lane *l, struct addr *bound, struct buf *why)
{
    int r;

    l->server = s;
    r = loop_new(&l->loop);
    if (r == 0)
        r = mailbox_new_on_loop(&l->box, l->loop, l);
    if (r == 0)
        r = receiver_new(&l->receiver, l->loop, l->box, &s->shared, s->config, s->tls.listeners);
    if (r == 0)
        r = receiver_listen(l->receiver, bound, why);
    if (r == 0) {
        loop_on_slow(l->loop, server_on_slow, l);
        loop_on_turn(l->loop, lane_turn_ends, l);
    }
    return r;
}

int lane_add_worker(struct server *s, struct lane *l)
{
    struct worker_seams seams = {
        .loop = l->loop, .spool = s->spool, .queue = s->box, .seed = rand_u64(&s->rand)};

    return worker_new(&l->worker, &seams, s->config, s->tls.client);
}

int lane_start(struct server *s, struct lane *l)
{
    char name[16];
    int r;

    (void)snprintf(name, sizeof(name), "loop-%u", l->number);
    r = thread_start(&l->thread, name, lane_run, l);
    s->lanes_started += r == 0;
    return r;
}

void lane_close(struct lane *l)
{
    worker_free(&l->worker);
    receiver_free(&l->receiver);
    mailbox_free(&l->box);
    loop_free(&l->loop);
}
