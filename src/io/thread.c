#include "io/thread.h"

#include <signal.h>
#include <stddef.h>

#include "base/assert.h"

static void *run(void *arg)
{
    struct thread *t = arg;

    t->fn(t->ctx);
    return NULL;
}

int thread_start(struct thread *t, const char *name, void (*fn)(void *ctx), void *ctx)
{
    sigset_t all, before;
    int r;

    t->fn = fn;
    t->ctx = ctx;
    /* A thread inherits the mask of its maker, so there is no moment when it could take one. */
    (void)sigfillset(&all);
    r = pthread_sigmask(SIG_SETMASK, &all, &before);
    ASSERT(r == 0);
    r = pthread_create(&t->id, NULL, run, t);
    if (r == 0)
        (void)pthread_setname_np(t->id, name); /* for people only; too long a name is no failure */
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

void thread_join(struct thread *t)
{
    int r = pthread_join(t->id, NULL);

    ASSERT(r == 0);
}

void lock_init(struct lock *l)
{
    int r = pthread_mutex_init(&l->mutex, NULL);

    ASSERT(r == 0);
}

void lock_done(struct lock *l)
{
    int r = pthread_mutex_destroy(&l->mutex);

    ASSERT(r == 0);
}

void lock_take(struct lock *l)
{
    int r = pthread_mutex_lock(&l->mutex);

    ASSERT(r == 0);
}

void lock_release(struct lock *l)
{
    int r = pthread_mutex_unlock(&l->mutex);

    ASSERT(r == 0);
}
