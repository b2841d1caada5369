/* tests/sim/machine.c - one computer without real time: clocks, loops, timers, mailboxes, and
 * threads that are fibers, switched only where they wait for their mailbox. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/list.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "io/thread.h"
#include "sim.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifdef HAS_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define NEVER UINT64_MAX
#define FIBER_STACK KIB(256) /* a larger one costs ASan system calls at every switch */
#define POLL_NS 50000
#define START_WALL_MS INT64_C(1795000000000)

struct loop {
    struct list node, timers;
    void (*on_turn)(void *ctx);
    void *on_turn_ctx;
    bool has_turned;
};

struct mailbox {
    struct list node;
    struct parcel *head, *tail;
    void *receiver;
    struct loop *loop; /* NULL: the blocking kind */
    int urgency;       /* the highest of what is in it; 0: nobody was woken for it */
};

struct fiber {
    struct list node;
    ucontext_t context, back;
    void *stack;
    void (*fn)(void *ctx);
    void *ctx;
    struct mailbox *waits_for;
    int wakes_at; /* enum mailbox_urgency */
    uint64_t until_ns;
    bool done;
#ifdef HAS_ASAN
    void *fake_stack, *main_fake_stack;
    const void *main_stack;
    size_t main_stack_size;
#endif
};

static struct {
    struct rand chance;
    uint64_t mono_ns;
    int64_t wall_offset_ms;
    struct list loops, mailboxes, fibers;
    struct fiber *running;
    bool trace;
} machine;

/* ---- the world ---- */

void sim_begin(uint64_t seed)
{
    rand_init(&machine.chance, seed);
    machine.mono_ns = UINT64_C(1000) * NS_PER_MS;
    machine.wall_offset_ms = START_WALL_MS;
    list_init(&machine.loops);
    list_init(&machine.mailboxes);
    list_init(&machine.fibers);
    machine.running = NULL;
    machine.trace = getenv("PENSTOCK_SIM_TRACE") != NULL;
}

void sim_end(void)
{
    ASSERT(list_is_empty(&machine.loops) && list_is_empty(&machine.mailboxes));
    ASSERT(list_is_empty(&machine.fibers));
}

uint64_t sim_below(uint64_t bound)
{
    return rand_below(&machine.chance, bound);
}

bool sim_chance(uint32_t one_in)
{
    return one_in > 0 && rand_below(&machine.chance, one_in) == 0;
}

void sim_trace(const char *fmt, ...)
{
    va_list ap;

    if (!machine.trace)
        return;
    fprintf(stderr, "%10.3f ", (double)machine.mono_ns / 1e6);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

/* ---- base/clock.h ---- */

uint64_t clock_mono_ns(void)
{
    return machine.mono_ns;
}

uint64_t clock_mono_ms(void)
{
    return machine.mono_ns / NS_PER_MS;
}

int64_t clock_wall_us(void)
{
    return machine.wall_offset_ms * 1000 + (int64_t)(machine.mono_ns / 1000);
}

int64_t clock_wall_ms(void)
{
    return clock_wall_us() / 1000;
}

uint64_t sim_now_ms(void)
{
    return clock_mono_ms();
}

void sim_jump_wall(int64_t by_ms)
{
    machine.wall_offset_ms += by_ms;
    sim_trace("clock jumps by %lld ms", (long long)by_ms);
}

void sim_pass_time(uint64_t ms)
{
    machine.mono_ns += ms * NS_PER_MS;
}

/* ---- io/loop.h ---- */

int loop_new(struct loop **ret)
{
    struct loop *l = calloc(1, sizeof(*l));

    if (!l)
        return -ENOMEM;
    list_init(&l->timers);
    list_add_tail(&machine.loops, &l->node);
    *ret = l;
    return 0;
}

void loop_free(struct loop **lp)
{
    struct loop *l = *lp;

    if (!l)
        return;
    ASSERT(list_is_empty(&l->timers));
    list_del(&l->node);
    free(l);
    *lp = NULL;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    (void)loop;
    return clock_mono_ms();
}

void loop_timer_init(struct loop_timer *t, struct loop *loop, void (*fn)(struct loop_timer *t))
{
    *t = (struct loop_timer){.loop = loop, .fn = fn};
    list_init(&t->node);
}

void loop_timer_start(struct loop_timer *t, uint64_t delay_ms)
{
    list_del(&t->node);
    t->due_ms = clock_mono_ms() + delay_ms;
    t->state = 1;
    list_add_tail(&t->loop->timers, &t->node);
}

void loop_timer_stop(struct loop_timer *t)
{
    if (t->state) {
        list_del(&t->node);
        t->state = 0;
    }
}

bool loop_timer_is_running(const struct loop_timer *t)
{
    return t->state != 0;
}

static void run_timer(void *object)
{
    struct loop_timer *t = object;

    t->loop->has_turned = true;
    loop_timer_stop(t);
    t->fn(t);
}

void sim_loop_turned(struct loop *loop)
{
    loop->has_turned = true;
}

void loop_on_turn(struct loop *loop, void (*fn)(void *ctx), void *ctx)
{
    loop->on_turn = fn;
    loop->on_turn_ctx = ctx;
}

/* The network's pieces are of any size anyway. */
void loop_limit_reads(struct loop *loop, size_t bytes)
{
    (void)loop;
    (void)bytes;
}

/* As a real loop does once after all that a turn brought. */
static void end_turns(void)
{
    LIST_FOR(n, &machine.loops)
    {
        struct loop *l = LIST_ENTRY(n, struct loop, node);

        if (l->has_turned && l->on_turn) {
            l->has_turned = false;
            l->on_turn(l->on_turn_ctx);
        }
    }
}

/* ---- io/mailbox.h ---- */

static int mailbox_new(struct mailbox **ret, struct loop *loop, void *receiver)
{
    struct mailbox *mb = calloc(1, sizeof(*mb));

    if (!mb)
        return -ENOMEM;
    mb->loop = loop;
    mb->receiver = receiver;
    list_add_tail(&machine.mailboxes, &mb->node);
    *ret = mb;
    return 0;
}

int mailbox_new_on_loop(struct mailbox **ret, struct loop *loop, void *receiver)
{
    return mailbox_new(ret, loop, receiver);
}

int mailbox_new_blocking(struct mailbox **ret, void *receiver)
{
    return mailbox_new(ret, NULL, receiver);
}

void mailbox_free(struct mailbox **mbp)
{
    struct mailbox *mb = *mbp;

    if (!mb)
        return;
    ASSERT(!mb->head);
    list_del(&mb->node);
    free(mb);
    *mbp = NULL;
}

void mailbox_post_later(struct mailbox *mb, struct parcel *p)
{
    p->next = NULL;
    if (mb->head)
        mb->tail->next = p;
    else
        mb->head = p;
    mb->tail = p;
}

void mailbox_nudge(struct mailbox *mb)
{
    mb->urgency = mb->head ? MAILBOX_NOW : 0;
}

void mailbox_post_urgent(struct mailbox *mb, struct parcel *p, enum mailbox_urgency urgency)
{
    mailbox_post_later(mb, p);
    mb->urgency = MAX_OF(mb->urgency, (int)urgency);
}

void mailbox_post(struct mailbox *mb, struct parcel *p)
{
    mailbox_post_urgent(mb, p, MAILBOX_NOW);
}

bool sim_mailbox_is_empty(const struct mailbox *mb)
{
    return !mb->head;
}

static bool deliver_one(struct mailbox *mb)
{
    struct parcel *p = mb->head;

    if (!p)
        return false;
    mb->head = p->next;
    if (!mb->head)
        mb->urgency = 0;
    p->deliver(p, mb->receiver);
    return true;
}

static void run_mailbox(void *object)
{
    struct mailbox *mb = object;

    mb->loop->has_turned = true;
    for (uint64_t n = 1 + sim_below(3); n > 0 && deliver_one(mb); n--)
        ;
}

/* ---- io/thread.h ---- */

/* The sanitizer must know which stack is in use. */
static void enter_fiber(struct fiber *f)
{
    ASSERT(!machine.running && !f->done);
    machine.running = f;
#ifdef HAS_ASAN
    __sanitizer_start_switch_fiber(&f->main_fake_stack, f->stack, FIBER_STACK);
#endif
    (void)swapcontext(&f->back, &f->context);
#ifdef HAS_ASAN
    __sanitizer_finish_switch_fiber(f->main_fake_stack, NULL, NULL);
#endif
    machine.running = NULL;
}

static void leave_fiber(struct fiber *f)
{
#ifdef HAS_ASAN
    __sanitizer_start_switch_fiber(f->done ? NULL : &f->fake_stack, f->main_stack,
                                   f->main_stack_size);
#endif
    (void)swapcontext(&f->context, &f->back);
#ifdef HAS_ASAN
    __sanitizer_finish_switch_fiber(f->fake_stack, &f->main_stack, &f->main_stack_size);
#endif
}

static void fiber_main(void)
{
    struct fiber *f = machine.running;

#ifdef HAS_ASAN
    __sanitizer_finish_switch_fiber(NULL, &f->main_stack, &f->main_stack_size);
#endif
    f->fn(f->ctx);
    f->done = true;
    leave_fiber(f);
}

int thread_start(struct thread *t, const char *name, void (*fn)(void *ctx), void *ctx)
{
    struct fiber *f = calloc(1, sizeof(*f));

    (void)name;
    if (!f)
        return -ENOMEM;
    f->stack = malloc(FIBER_STACK);
    if (!f->stack || getcontext(&f->context) < 0) {
        free(f->stack);
        free(f);
        return -ENOMEM;
    }
    f->fn = fn;
    f->ctx = ctx;
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = FIBER_STACK;
    makecontext(&f->context, fiber_main, 0);
    list_add_tail(&machine.fibers, &f->node);
    *t = (struct thread){.id = (pthread_t)f, .fn = fn, .ctx = ctx};
    return 0;
}

static bool may_run(const struct fiber *f)
{
    return !f->done && (!f->waits_for || f->waits_for->urgency >= f->wakes_at ||
                        machine.mono_ns >= f->until_ns);
}

static void run_fiber(void *object)
{
    enter_fiber(object);
}

void thread_join(struct thread *t)
{
    struct fiber *f = (struct fiber *)t->id;

    while (!f->done) {
        if (!may_run(f)) { /* it waits for a time */
            ASSERT(f->until_ns != NEVER);
            machine.mono_ns = f->until_ns;
        }
        enter_fiber(f);
    }
    list_del(&f->node);
    free(f->stack);
    free(f);
}

size_t mailbox_receive_urgent(struct mailbox *mb, uint64_t timeout_ns, enum mailbox_urgency urgency)
{
    struct fiber *f = machine.running;
    size_t count = 0;

    ASSERT(f);
    if (timeout_ns == 0)
        machine.mono_ns += POLL_NS; /* whoever polls is at work, and that takes time */
    if (mb->urgency < (int)urgency) {
        f->waits_for = mb;
        f->wakes_at = (int)urgency;
        f->until_ns = timeout_ns > NEVER - machine.mono_ns ? NEVER : machine.mono_ns + timeout_ns;
        leave_fiber(f);
        f->waits_for = NULL;
    }
    while (deliver_one(mb))
        count++;
    return count;
}

size_t mailbox_receive(struct mailbox *mb, uint64_t timeout_ns)
{
    return mailbox_receive_urgent(mb, timeout_ns, MAILBOX_LAZY);
}

/* Fibers are not interrupted, so a lock is never found taken. */
void lock_init(struct lock *l)
{
    l->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

void lock_done(struct lock *l)
{
    (void)pthread_mutex_destroy(&l->mutex);
}

void lock_take(struct lock *l)
{
    int r = pthread_mutex_trylock(&l->mutex);

    ASSERT(r == 0);
}

void lock_release(struct lock *l)
{
    (void)pthread_mutex_unlock(&l->mutex);
}

/* ---- steps ---- */

void candidate_add(struct candidates *c, void (*run)(void *object), void *object)
{
    if (c->count < ARRAY_SIZE(c->list))
        c->list[c->count++] = (struct candidate){.run = run, .object = object};
}

/* Adds what may happen now; returns when something more may happen. */
static uint64_t machine_candidates(struct candidates *c)
{
    uint64_t next_ns = NEVER;

    LIST_FOR(l, &machine.loops)
    LIST_FOR(n, &LIST_ENTRY(l, struct loop, node)->timers)
    {
        struct loop_timer *t = LIST_ENTRY(n, struct loop_timer, node);

        if (t->due_ms <= clock_mono_ms())
            candidate_add(c, run_timer, t);
        else
            next_ns = MIN_OF(next_ns, t->due_ms * NS_PER_MS);
    }
    LIST_FOR(n, &machine.mailboxes)
    {
        struct mailbox *mb = LIST_ENTRY(n, struct mailbox, node);

        if (mb->loop && mb->urgency)
            candidate_add(c, run_mailbox, mb);
    }
    LIST_FOR(n, &machine.fibers)
    {
        struct fiber *f = LIST_ENTRY(n, struct fiber, node);

        if (may_run(f))
            candidate_add(c, run_fiber, f);
        else if (!f->done)
            next_ns = MIN_OF(next_ns, f->until_ns);
    }
    return next_ns;
}

bool sim_step(void)
{
    static struct candidates c;
    uint64_t next_ns;

    network_sweep();
    end_turns();
    if (sim_chance(64))
        machine.mono_ns += sim_below(3 * NS_PER_MS);
    c.count = 0;
    next_ns = machine_candidates(&c);
    network_candidates(&c);
    if (c.count == 0) {
        if (next_ns == NEVER)
            return false;
        machine.mono_ns = MAX_OF(machine.mono_ns, next_ns);
        return true;
    }
    machine.mono_ns += 1000;
    const struct candidate *chosen = &c.list[sim_below(c.count)];

    chosen->run(chosen->object);
    return true;
}
