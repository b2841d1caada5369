/* cli/server_loop.c - the loop threads: what runs in each, and the orders it gets. */
#include <stdio.h>

#include "base/assert.h"
#include "cli/server_int.h"
#include "deliver/worker.h"
#include "event/event.h"
#include "receive/receiver.h"

static void loop_thread_ordered(struct parcel *p, void *receiver);

void loop_thread_order(struct loop_thread *t, enum loop_orders what)
{
    ASSERT(!t->is_out);
    t->is_out = true;
    t->what = what;
    t->order.deliver = loop_thread_ordered;
    mailbox_post(t->box, &t->order);
}

/* Main thread. */
static void loop_thread_answered(struct parcel *p, void *receiver)
{
    struct loop_thread *t = CONTAINER_OF(p, struct loop_thread, answer);

    (void)receiver;
    t->is_out = false;
    if (t->what == ORDER_RELOAD)
        server_reload_answered(t->server);
}

/* The loop thread. */
static void loop_thread_ordered(struct parcel *p, void *receiver)
{
    struct loop_thread *t = CONTAINER_OF(p, struct loop_thread, order);
    struct server *s = t->server;

    (void)receiver;
    switch (t->what) {
    case ORDER_RELOAD:
        if (receiver_set_config(t->receiver, s->next_config, s->next_tls.listeners) < 0)
            event(EVENT_INTERNAL_ERROR, EVENT_NO_ID, EV_STR("what", "a loop kept the old rules"));
        worker_set_config(t->worker, s->next_config, s->next_tls.client);
        break;
    case ORDER_STOP:
        receiver_stop(t->receiver);
        worker_stop(t->worker);
        break;
    case ORDER_STOP_NOW:
        receiver_stop_now(t->receiver);
        worker_stop_now(t->worker);
        break;
    case ORDER_END:
        loop_stop(t->loop);
        break;
    case ORDER_NONE:
    case ORDER_REPORT:
    default:
        break;
    }
    t->busy = receiver_busy(t->receiver) + worker_busy(t->worker);
    t->answer.deliver = loop_thread_answered;
    mailbox_post(s->box, &t->answer);
}

static void loop_thread_run(void *ctx)
{
    struct loop_thread *t = ctx;

    loop_run(t->loop);
}

/* One wake-up of the queue thread for all that a turn of the loop has for it. */
static void loop_thread_turn_ends(void *ctx)
{
    mailbox_nudge(((struct loop_thread *)ctx)->server->box);
}

int loop_thread_open(struct server *s, struct loop_thread *t, struct addr *bound, struct buf *why)
{
    int r;

    t->server = s;
    r = loop_new(&t->loop);
    if (r == 0)
        r = mailbox_new_on_loop(&t->box, t->loop, t);
    if (r == 0)
        r = receiver_new(&t->receiver, t->loop, t->box, &s->shared, s->config, s->tls.listeners);
    if (r == 0)
        r = receiver_listen(t->receiver, bound, why);
    if (r == 0) {
        loop_on_slow(t->loop, server_on_slow, t);
        loop_on_turn(t->loop, loop_thread_turn_ends, t);
    }
    return r;
}

int loop_thread_add_worker(struct server *s, struct loop_thread *t)
{
    struct worker_seams seams = {
        .loop = t->loop, .spool = s->spool, .queue = s->box, .seed = rand_u64(&s->rand)};

    return worker_new(&t->worker, &seams, s->config, s->tls.client);
}

int loop_thread_start(struct server *s, struct loop_thread *t)
{
    char name[16];
    int r;

    (void)snprintf(name, sizeof(name), "loop-%u", t->number);
    r = thread_start(&t->thread, name, loop_thread_run, t);
    s->threads_started += r == 0;
    return r;
}

void loop_thread_close(struct loop_thread *t)
{
    worker_free(&t->worker);
    receiver_free(&t->receiver);
    mailbox_free(&t->box);
    loop_free(&t->loop);
}
