/*
 * io/thread.h - threads and the one kind of lock.
 *
 * Locks exist below layer 2 only, and where docs/architecture.md lists the state they guard.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/base.h"

struct thread { /* fields are private */
    pthread_t id;
    void (*fn)(void *ctx);
    void *ctx;
};

/* Starts `fn(ctx)` in a thread named `name` (at most 15 bytes) with all signals blocked, so that
 * signals reach the main thread's loop only. `t` stays in place until thread_join(). 0 or -Exxx. */
MUST_CHECK int thread_start(struct thread *t, const char *name, void (*fn)(void *ctx), void *ctx);
void thread_join(struct thread *t);

struct lock { /* fields are private */
    pthread_mutex_t mutex;
};

void lock_init(struct lock *l);
void lock_done(struct lock *l);
void lock_take(struct lock *l);
void lock_release(struct lock *l);
