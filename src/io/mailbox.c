/*
 * io/mailbox.c - a stack that senders push on with one exchange, and that the receiver takes whole
 * and turns round.
 *
 * A loop is woken by libuv's async handle, which itself writes only once until the loop has seen
 * it. The receiver of the blocking kind sleeps on a futex, `asleep`, which holds the least urgency
 * that wakes it and which it sets before it looks at the stack for the last time; the sender
 * pushes before it looks at `asleep`. So one of them sees the other (all four operations are
 * sequentially consistent).
 */
#include "io/mailbox.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/assert.h"
#include "base/clock.h"
#include "io/loop_int.h"

#define NS_PER_S 1000000000U

struct mailbox {
    _Atomic(struct parcel *) stack;
    void *receiver;
    struct loop *loop; /* NULL: the blocking kind */
    uv_async_t wake;
    _Atomic uint32_t asleep;
};

static struct parcel *take_all(struct mailbox *mb)
{
    struct parcel *p = atomic_exchange(&mb->stack, NULL), *first = NULL;

    while (p) {
        struct parcel *next = p->next;

        p->next = first;
        first = p;
        p = next;
    }
    return first;
}

static void on_wake(uv_async_t *wake)
{
    struct mailbox *mb = wake->data;
    struct loop *loop = mb->loop;
    void *receiver = mb->receiver;
    struct parcel *p = take_all(mb);
    uint64_t entered_ns = loop_enter();

    while (p) {
        struct parcel *next = p->next;

        p->deliver(p, receiver); /* p is no longer ours, and the last one may free the box */
        entered_ns = loop_left(loop, entered_ns);
        p = next;
    }
}

int mailbox_new_blocking(struct mailbox **ret, void *receiver)
{
    struct mailbox *mb = calloc(1, sizeof(*mb));

    if (!mb)
        return -ENOMEM;
    atomic_init(&mb->stack, NULL);
    atomic_init(&mb->asleep, 0);
    mb->receiver = receiver;
    *ret = mb;
    return 0;
}

int mailbox_new_on_loop(struct mailbox **ret, struct loop *loop, void *receiver)
{
    struct mailbox *mb;
    int r = mailbox_new_blocking(&mb, receiver);

    if (r < 0)
        return r;
    mb->loop = loop;
    mb->wake.data = mb;
    r = uv_async_init(&loop->uv, &mb->wake, on_wake);
    if (r < 0) {
        free(mb);
        return r;
    }
    *ret = mb;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void mailbox_free(struct mailbox **mb_ptr)
{
    struct mailbox *mb = *mb_ptr;

    *mb_ptr = NULL;
    if (!mb)
        return;
    ASSERT(!atomic_load(&mb->stack));
    if (mb->loop)
        uv_close((uv_handle_t *)&mb->wake, on_closed);
    else
        free(mb);
}

void mailbox_post_later(struct mailbox *mb, struct parcel *p)
{
    struct parcel *top = atomic_load_explicit(&mb->stack, memory_order_relaxed);

    do
        p->next = top;
    while (!atomic_compare_exchange_weak(&mb->stack, &top, p));
    /* From here on p may be delivered and gone. */
}

static void wake_sleeper(struct mailbox *mb, enum mailbox_urgency urgency)
{
    uint32_t level = atomic_load(&mb->asleep);

    if (level && (uint32_t)urgency >= level && atomic_exchange(&mb->asleep, 0))
        (void)syscall(SYS_futex, &mb->asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void mailbox_post_urgent(struct mailbox *mb, struct parcel *p, enum mailbox_urgency urgency)
{
    mailbox_post_later(mb, p);
    wake_sleeper(mb, urgency);
}

void mailbox_nudge(struct mailbox *mb)
{
    if (!atomic_load(&mb->stack))
        return;
    if (mb->loop)
        (void)uv_async_send(&mb->wake);
    else
        wake_sleeper(mb, MAILBOX_NOW);
}

void mailbox_post(struct mailbox *mb, struct parcel *p)
{
    struct loop *loop = mb->loop; /* read before the push: after it the box may go */

    mailbox_post_later(mb, p);
    if (loop)
        (void)uv_async_send(&mb->wake);
    else
        wake_sleeper(mb, MAILBOX_NOW);
}

/* Sleeps until a sender wakes us or `until_ns` (UINT64_MAX: never) is past. Early returns are
 * fine: the caller looks again. */
static void sleep_until(struct mailbox *mb, uint64_t until_ns, enum mailbox_urgency urgency)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                             .tv_nsec = (long)(until_ns % NS_PER_S)};

    atomic_store(&mb->asleep, urgency);
    if (!atomic_load(&mb->stack)) /* FUTEX_WAIT_BITSET takes an absolute, monotonic time */
        (void)syscall(SYS_futex, &mb->asleep, FUTEX_WAIT_BITSET_PRIVATE, urgency,
                      until_ns == UINT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    atomic_store(&mb->asleep, 0);
}

static struct parcel *wait_for_some(struct mailbox *mb, uint64_t timeout_ns,
                                    enum mailbox_urgency urgency)
{
    uint64_t now_ns = clock_mono_ns();
    uint64_t until_ns = timeout_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + timeout_ns;
    struct parcel *p;

    do {
        sleep_until(mb, until_ns, urgency);
        p = take_all(mb);
    } while (!p && (until_ns == UINT64_MAX || clock_mono_ns() < until_ns));
    return p;
}

size_t mailbox_receive(struct mailbox *mb, uint64_t timeout_ns)
{
    return mailbox_receive_urgent(mb, timeout_ns, MAILBOX_LAZY);
}

size_t mailbox_receive_urgent(struct mailbox *mb, uint64_t timeout_ns, enum mailbox_urgency urgency)
{
    struct parcel *p = take_all(mb);
    size_t count = 0;

    ASSERT(!mb->loop);
    if (!p && timeout_ns)
        p = wait_for_some(mb, timeout_ns, urgency);
    for (; p; count++) {
        struct parcel *next = p->next;

        p->deliver(p, mb->receiver);
        p = next;
    }
    return count;
}
