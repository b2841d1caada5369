#include "io/loop.h"

#include <signal.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "io/loop_int.h"
#include "io/stream_int.h"

/* Turns that loop_free() gives to handles that are closing; each needs one. */
#define CLOSING_TURNS_MAX 8

struct signal_watch {
    uv_signal_t uv;
    struct loop *loop;
    struct list node;
    void (*fn)(void *ctx, int signum);
    void *ctx;
};

struct loop_watch {
    uv_poll_t uv;
    struct loop *loop;
    void (*fn)(void *ctx);
    void *ctx;
};

uint64_t loop_enter(void)
{
    return clock_mono_ns();
}

uint64_t loop_left(struct loop *loop, uint64_t entered_ns)
{
    uint64_t now_ns = clock_mono_ns(), ms = (now_ns - entered_ns) / NS_PER_MS;

    if (ms > LOOP_SLOW_MS && loop->on_slow)
        loop->on_slow(loop->on_slow_ctx, ms);
    return now_ns;
}

static void on_stop(uv_async_t *async)
{
    struct loop *loop = async->data;

    if (atomic_load(&loop->stop_asked))
        uv_stop(&loop->uv);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle->data);
}

int loop_new(struct loop **ret)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    int r;

    if (!loop)
        return -ENOMEM;
    r = uv_loop_init(&loop->uv);
    if (r < 0) {
        free(loop);
        return r;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    atomic_init(&loop->stop_asked, false);
    timers_init(&loop->timers);
    list_init(&loop->signals);
    list_init(&loop->streams);
    buf_init(&loop->tls_out, SIZE_MAX);
    loop->timer_at_ms = UINT64_MAX;
    loop->read_max = LOOP_READ_SIZE;
    (void)uv_timer_init(&loop->uv, &loop->timer);
    loop->timer.data = loop;
    (void)uv_prepare_init(&loop->uv, &loop->turn);
    loop->turn.data = loop;
    loop->stop.data = loop;
    r = uv_async_init(&loop->uv, &loop->stop, on_stop);
    if (r < 0) {
        uv_close((uv_handle_t *)&loop->timer, NULL);
        uv_close((uv_handle_t *)&loop->turn, NULL);
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
        r = uv_loop_close(&loop->uv) == 0 ? r : -EBUSY;
        free(loop);
        return r;
    }
    *ret = loop;
    return 0;
}

void loop_free(struct loop **loop_ptr)
{
    struct loop *loop = *loop_ptr;
    int r = UV_EBUSY;

    *loop_ptr = NULL;
    if (!loop)
        return;
    for (struct list *node; (node = list_pop(&loop->signals));) {
        struct signal_watch *w = LIST_ENTRY(node, struct signal_watch, node);

        uv_close((uv_handle_t *)&w->uv, free_handle);
    }
    streams_cut_lingering(loop);
    uv_close((uv_handle_t *)&loop->timer, NULL);
    uv_close((uv_handle_t *)&loop->turn, NULL);
    uv_close((uv_handle_t *)&loop->stop, NULL);
    for (int turn = 0; turn < CLOSING_TURNS_MAX && r == UV_EBUSY; turn++) {
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
        r = uv_loop_close(&loop->uv);
    }
    ASSERT(r == 0); /* else its user left something open */
    free(loop->tls_plain_in);
    free(loop->tls_plain_out);
    buf_done(&loop->tls_out);
    free(loop);
}

void loop_run(struct loop *loop)
{
    loop->running = true;
    if (!atomic_load(&loop->stop_asked))
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    atomic_store(&loop->stop_asked, false);
    loop->running = false;
}

void loop_turn(struct loop *loop, bool wait)
{
    loop->running = true;
    (void)uv_run(&loop->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    loop->running = false;
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stop_asked, true);
    (void)uv_async_send(&loop->stop);
}

static void on_turn(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;

    loop->on_turn(loop->on_turn_ctx);
}

void loop_limit_reads(struct loop *loop, size_t bytes)
{
    loop->read_max = bytes ? (unsigned)MIN_OF(bytes, LOOP_READ_SIZE) : LOOP_READ_SIZE;
}

void loop_on_turn(struct loop *loop, void (*fn)(void *ctx), void *ctx)
{
    loop->on_turn = fn;
    loop->on_turn_ctx = ctx;
    if (fn)
        (void)uv_prepare_start(&loop->turn, on_turn);
    else
        (void)uv_prepare_stop(&loop->turn);
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return uv_now(&loop->uv);
}

void loop_on_slow(struct loop *loop, void (*fn)(void *ctx, uint64_t ms), void *ctx)
{
    loop->on_slow = fn;
    loop->on_slow_ctx = ctx;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct loop *loop)
{
    uint64_t at_ms, now_ms = uv_now(&loop->uv);

    /* A later one than before is left as it is: it fires too early once, and is then put right. */
    if (!timers_first(&loop->timers, &at_ms) || at_ms >= loop->timer_at_ms)
        return;
    loop->timer_at_ms = at_ms;
    (void)uv_timer_start(&loop->timer, on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    uint64_t entered_ns = loop_enter();
    struct loop_timer *t;

    loop->timer_at_ms = UINT64_MAX;
    /* Those that callbacks start with a delay of 0 are for the next turn, or this one never
     * ends. */
    timers_expire(&loop->timers, uv_now(&loop->uv));
    while ((t = timers_take_due(&loop->timers))) {
        t->fn(t);
        entered_ns = loop_left(loop, entered_ns);
    }
    arm(loop);
}

void loop_timer_init(struct loop_timer *t, struct loop *loop, void (*fn)(struct loop_timer *t))
{
    *t = (struct loop_timer){.loop = loop, .fn = fn};
    list_init(&t->node);
}

void loop_timer_start(struct loop_timer *t, uint64_t delay_ms)
{
    struct loop *loop = t->loop;
    uint64_t now_ms;

    if (!loop->running)
        uv_update_time(&loop->uv); /* between turns its time stands still */
    now_ms = uv_now(&loop->uv);
    timers_start(&loop->timers, t, delay_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + delay_ms);
    arm(loop);
}

void loop_timer_stop(struct loop_timer *t)
{
    timers_stop(&t->loop->timers, t);
}

bool loop_timer_is_running(const struct loop_timer *t)
{
    return timer_is_running(t);
}

static void on_signal(uv_signal_t *uv, int signum)
{
    struct signal_watch *w = uv->data;
    uint64_t entered_ns = loop_enter();

    w->fn(w->ctx, signum);
    (void)loop_left(w->loop, entered_ns);
}

int loop_on_signal(struct loop *loop, int signum, void (*fn)(void *ctx, int signum), void *ctx)
{
    struct signal_watch *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return -ENOMEM;
    r = uv_signal_init(&loop->uv, &w->uv);
    if (r < 0) {
        free(w);
        return r;
    }
    w->uv.data = w;
    w->loop = loop;
    w->fn = fn;
    w->ctx = ctx;
    r = uv_signal_start(&w->uv, on_signal, signum);
    if (r < 0) {
        uv_close((uv_handle_t *)&w->uv, free_handle);
        return r;
    }
    list_add_tail(&loop->signals, &w->node);
    return 0;
}

static void on_readable(uv_poll_t *uv, int status, int events)
{
    struct loop_watch *w = uv->data;
    uint64_t entered_ns = loop_enter();
    struct loop *loop = w->loop;

    (void)status; /* an error of the fd is for its owner to find */
    (void)events;
    w->fn(w->ctx);
    (void)loop_left(loop, entered_ns);
}

int loop_watch_fd(struct loop *loop, int fd, void (*fn)(void *ctx), void *ctx,
                  struct loop_watch **ret)
{
    struct loop_watch *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return -ENOMEM;
    r = uv_poll_init(&loop->uv, &w->uv, fd);
    if (r < 0) {
        free(w);
        return r;
    }
    w->uv.data = w;
    w->loop = loop;
    w->fn = fn;
    w->ctx = ctx;
    r = uv_poll_start(&w->uv, UV_READABLE, on_readable);
    if (r < 0) {
        uv_close((uv_handle_t *)&w->uv, free_handle);
        return r;
    }
    *ret = w;
    return 0;
}

void loop_unwatch_fd(struct loop_watch **w)
{
    if (*w)
        uv_close((uv_handle_t *)&(*w)->uv, free_handle);
    *w = NULL;
}
