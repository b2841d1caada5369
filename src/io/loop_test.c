/* io/loop_test.c - timers against a model, and what a loop does with callbacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "io/loop.h"
#include "io/rlimit.h"
#include "io/thread.h"
#include "io/timers_int.h"

#define MODEL_TIMERS 64
#define MODEL_STEPS 4000

/* The model: a plain array of times, 0 for stopped. */
struct model {
    struct timers timers;
    struct loop_timer t[MODEL_TIMERS];
    uint64_t due_ms[MODEL_TIMERS];
    uint64_t now_ms;
};

static void model_expire(struct model *m, struct rand *chance)
{
    uint64_t last_ms = 0;
    struct loop_timer *t;

    timers_expire(&m->timers, m->now_ms);
    while ((t = timers_take_due(&m->timers))) {
        size_t i = (size_t)(t - m->t), other = rand_below(chance, MODEL_TIMERS);

        assert_true(m->due_ms[i] != 0 && m->due_ms[i] <= m->now_ms);
        assert_true(m->due_ms[i] >= last_ms); /* in the order of their times */
        last_ms = m->due_ms[i];
        m->due_ms[i] = 0;
        assert_false(timer_is_running(t));
        if (rand_below(chance, 3) == 0) { /* what a callback may do: stop others, start others */
            timers_stop(&m->timers, &m->t[other]);
            m->due_ms[other] = 0;
        } else if (rand_below(chance, 3) == 0) {
            m->due_ms[other] = m->now_ms + 1 + rand_below(chance, 50);
            timers_start(&m->timers, &m->t[other], m->due_ms[other]);
        }
    }
    for (size_t i = 0; i < MODEL_TIMERS; i++)
        assert_true(m->due_ms[i] == 0 || m->due_ms[i] > m->now_ms);
}

static void model_check(const struct model *m)
{
    uint64_t first_ms = UINT64_MAX, heap_ms = UINT64_MAX;
    bool any = timers_first(&m->timers, &heap_ms);

    for (size_t i = 0; i < MODEL_TIMERS; i++) {
        assert_int_equal(timer_is_running(&m->t[i]), m->due_ms[i] != 0);
        if (m->due_ms[i])
            first_ms = MIN_OF(first_ms, m->due_ms[i]);
    }
    assert_int_equal(any, first_ms != UINT64_MAX);
    assert_true(heap_ms <= first_ms);
}

static void timers_do_as_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct model m = {.now_ms = 1};
        struct rand chance;

        rand_init(&chance, seed);
        timers_init(&m.timers);
        for (int step = 0; step < MODEL_STEPS; step++) {
            size_t i = rand_below(&chance, MODEL_TIMERS);

            switch (rand_below(&chance, 8)) {
            case 0:
                timers_stop(&m.timers, &m.t[i]);
                m.due_ms[i] = 0;
                break;
            case 1:
                m.now_ms += rand_below(&chance, 20);
                model_expire(&m, &chance);
                break;
            default:
                m.due_ms[i] = m.now_ms + 1 + rand_below(&chance, 200);
                timers_start(&m.timers, &m.t[i], m.due_ms[i]);
                break;
            }
            model_check(&m);
        }
        m.now_ms = UINT64_MAX / 2;
        for (size_t i = 0; i < MODEL_TIMERS; i++)
            timers_stop(&m.timers, &m.t[i]);
        assert_null(m.timers.root);
    }
}

struct counter {
    struct loop *loop;
    struct loop_timer timer;
    unsigned fired, fired_max;
    uint64_t delay_ms;
};

static void count_and_restart(struct loop_timer *t)
{
    struct counter *c = CONTAINER_OF(t, struct counter, timer);

    assert_false(loop_timer_is_running(t));
    if (++c->fired < c->fired_max)
        loop_timer_start(t, c->delay_ms);
    else
        loop_stop(c->loop);
}

static void timers_restart_themselves(void **state)
{
    (void)state;
    for (uint64_t delay_ms = 0; delay_ms < 2; delay_ms++) {
        struct counter c = {.fired_max = 20, .delay_ms = delay_ms};
        uint64_t began_ms;

        assert_int_equal(loop_new(&c.loop), 0);
        loop_timer_init(&c.timer, c.loop, count_and_restart);
        loop_timer_start(&c.timer, 0);
        began_ms = loop_now_ms(c.loop);
        assert_true(loop_timer_is_running(&c.timer));
        loop_run(c.loop);
        assert_int_equal(c.fired, c.fired_max);
        assert_true(loop_now_ms(c.loop) >= began_ms + delay_ms * (c.fired_max - 1));
        loop_free(&c.loop);
    }
}

static void free_self(struct loop_timer *t)
{
    struct counter *c = CONTAINER_OF(t, struct counter, timer);

    loop_stop(c->loop);
    free(c);
}

static void timers_may_free_themselves(void **state)
{
    struct counter *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
    struct loop *loop = NULL;

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(loop_new(&loop), 0);
    a->loop = b->loop = loop;
    loop_timer_init(&a->timer, loop, free_self);
    loop_timer_init(&b->timer, loop, free_self);
    loop_timer_start(&b->timer, 0);
    loop_timer_start(&a->timer, UINT64_MAX); /* no overflow */
    loop_timer_start(&a->timer, 1);
    loop_timer_stop(&b->timer);
    loop_timer_stop(&b->timer);
    free(b);
    loop_run(loop);
    loop_free(&loop);
    loop_free(&loop);
}

static void stop_from_outside(void *ctx)
{
    loop_stop(ctx);
}

static void any_thread_may_stop_a_loop(void **state)
{
    struct loop *loop = NULL;
    struct thread t;

    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    for (int i = 0; i < 20; i++) { /* before and after it runs: never missed */
        assert_int_equal(thread_start(&t, "stopper", stop_from_outside, loop), 0);
        loop_run(loop);
        thread_join(&t);
    }
    loop_free(&loop);
}

static void on_usr1(void *ctx, int signum)
{
    assert_int_equal(signum, SIGUSR1);
    loop_stop(ctx);
}

static void signals_arrive_in_the_loop(void **state)
{
    struct loop *loop = NULL;

    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(loop_on_signal(loop, SIGUSR1, on_usr1, loop), 0);
    assert_true(loop_on_signal(loop, 12345, on_usr1, loop) < 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    loop_run(loop);
    loop_free(&loop);
}

struct pipe_reader {
    struct loop *loop;
    struct loop_watch *watch;
    int fds[2];
    unsigned calls;
};

static void on_pipe(void *ctx)
{
    struct pipe_reader *p = ctx;
    char byte;

    if (++p->calls < 3)
        return; /* level-triggered: it comes again */
    assert_int_equal(read(p->fds[0], &byte, 1), 1);
    loop_unwatch_fd(&p->watch);
    loop_stop(p->loop);
}

static void fds_are_watched(void **state)
{
    struct pipe_reader p = {0};

    (void)state;
    assert_int_equal(loop_new(&p.loop), 0);
    assert_int_equal(pipe2(p.fds, O_CLOEXEC), 0);
    assert_int_equal(loop_watch_fd(p.loop, p.fds[0], on_pipe, &p, &p.watch), 0);
    assert_int_equal(write(p.fds[1], "x", 1), 1);
    loop_run(p.loop);
    assert_int_equal(p.calls, 3);
    assert_null(p.watch);
    loop_unwatch_fd(&p.watch);
    assert_true(loop_watch_fd(p.loop, -1, on_pipe, &p, &p.watch) < 0);
    loop_free(&p.loop);
    (void)close(p.fds[0]);
    (void)close(p.fds[1]);
}

static void be_slow(struct loop_timer *t)
{
    uint64_t began_ms = clock_mono_ms();

    while (clock_mono_ms() - began_ms < LOOP_SLOW_MS + 2)
        continue;
    loop_stop(t->loop);
}

static void note_slow(void *ctx, uint64_t ms)
{
    *(uint64_t *)ctx = ms;
}

static void slow_callbacks_are_told(void **state)
{
    struct loop *loop = NULL;
    struct loop_timer t;
    uint64_t slow_ms = 0;

    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    loop_on_slow(loop, note_slow, &slow_ms);
    loop_timer_init(&t, loop, be_slow);
    loop_timer_start(&t, 0);
    loop_run(loop);
    assert_true(slow_ms >= LOOP_SLOW_MS);
    loop_free(&loop);
}

static void files_are_limited(void **state)
{
    uint64_t now = 0, again = 0;

    (void)state;
    assert_int_equal(rlimit_raise_files(&now), 0);
    assert_true(now > 0);
    assert_int_equal(rlimit_raise_files(&again), 0);
    assert_int_equal(now, again);
    assert_int_equal(rlimit_raise_files(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_do_as_the_model),     cmocka_unit_test(timers_restart_themselves),
        cmocka_unit_test(timers_may_free_themselves), cmocka_unit_test(any_thread_may_stop_a_loop),
        cmocka_unit_test(signals_arrive_in_the_loop), cmocka_unit_test(fds_are_watched),
        cmocka_unit_test(slow_callbacks_are_told),    cmocka_unit_test(files_are_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
