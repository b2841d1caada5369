/*
 * io/loop.h - one event loop (libuv), its timers and its mailbox. One thread owns a loop; except
 * where said, its functions are called in that thread.
 *
 * Nothing that blocks runs in a loop. A watchdog reports any callback that runs longer than
 * LOOP_SLOW_MS to the `on_slow` hook.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/list.h"

#define LOOP_SLOW_MS 10

struct loop; /* opaque */

/* 0, -ENOMEM, -EMFILE. SIGPIPE is ignored in the whole process from the first loop on: a peer that
 * has gone is an error of the write. */
MUST_CHECK int loop_new(struct loop **ret);
/* Everything on it was closed before; streams that still linger are cut. NULL is fine. */
void loop_free(struct loop **loop);
/* Runs until loop_stop(); at once over when that was called before. */
void loop_run(struct loop *loop);
/* One turn; waits for events only when `wait`. For tests and for draining at the end. */
void loop_turn(struct loop *loop, bool wait);
void loop_stop(struct loop *loop); /* any thread */
/* The time at the start of this turn: cheap, and one value for all that happens in a turn. */
uint64_t loop_now_ms(const struct loop *loop);
/* fn(ctx, ms) is called in the loop's thread after a callback that took longer than
 * LOOP_SLOW_MS. */
void loop_on_slow(struct loop *loop, void (*fn)(void *ctx, uint64_t ms), void *ctx);
/* Streams of the loop read at most so much at a time, from the next read on; 0: the usual, 64 KiB.
 * What a read brings has to be kept by whoever cannot use it yet. */
void loop_limit_reads(struct loop *loop, size_t bytes);
/* Calls fn(ctx) once in every turn, before the loop waits for events: for work that many events of
 * one turn share. One such function a loop; NULL takes it away. */
void loop_on_turn(struct loop *loop, void (*fn)(void *ctx), void *ctx);

/*
 * A one-shot timer, a value inside the caller's struct. Start, restart and stop cost O(log n) at
 * most and allocate nothing; to restart one to a later time, as every command of a session does
 * with its time-out, costs two comparisons. A stopped timer, and one that is in its own callback,
 * may be freed with its struct at once.
 */
struct loop_timer { /* fields are private */
    struct loop *loop;
    void (*fn)(struct loop_timer *t);
    uint64_t due_ms;
    uint64_t key_ms; /* its place in the heap: due_ms or earlier */
    struct loop_timer *child, *next, *prev;
    struct list node; /* in the list of those about to be called */
    int state;
};

void loop_timer_init(struct loop_timer *t, struct loop *loop, void (*fn)(struct loop_timer *t));
/* Fires once, `delay_ms` from now (loop_now_ms); a running timer is moved. */
void loop_timer_start(struct loop_timer *t, uint64_t delay_ms);
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_is_running(const struct loop_timer *t);

/* Calls fn(ctx, signum) in the loop's thread on each such signal. 0 or -Exxx. Freed with the
 * loop. */
MUST_CHECK int loop_on_signal(struct loop *loop, int signum, void (*fn)(void *ctx, int signum),
                              void *ctx);

/*
 * Calls fn(ctx) whenever `fd` becomes readable (level-triggered), until loop_unwatch_fd(). The fd
 * stays the caller's. For fds of other libraries: resolver, HTTP server.
 */
struct loop_watch; /* opaque */
MUST_CHECK int loop_watch_fd(struct loop *loop, int fd, void (*fn)(void *ctx), void *ctx,
                             struct loop_watch **ret);
void loop_unwatch_fd(struct loop_watch **w);
