/*
 * io/loop_int.h - the inside of a loop, for the other files of io/.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/list.h"
#include "io/loop.h"
#include "io/timers_int.h"

#define LOOP_READ_SIZE 65536

struct loop {
    uv_loop_t uv;
    uv_async_t stop;
    atomic_bool stop_asked;
    bool running;
    uv_prepare_t turn;
    void (*on_turn)(void *ctx);
    void *on_turn_ctx;
    uv_timer_t timer; /* the one that drives all of `timers` */
    uint64_t timer_at_ms;
    struct timers timers;
    struct list signals;
    struct list streams; /* all that are not yet freed */
    unsigned read_max;   /* of one read; LOOP_READ_SIZE at most */
    void (*on_slow)(void *ctx, uint64_t ms);
    void *on_slow_ctx;
    /* Where sockets are read into. Its content is the business of one callback, then gone. */
    uint8_t read_buf[LOOP_READ_SIZE];
    /* The same for streams with TLS: plain text in, plain text on its way out, records out. The
     * first two are allocated when the first such stream appears. */
    uint8_t *tls_plain_in, *tls_plain_out;
    struct buf tls_out; /* empty between two calls of the TLS library */
};

/*
 * Every call of a callback stands between these two, so that the watchdog sees it:
 * loop_left(loop, loop_enter()). loop_left() returns the time it looked, to be the start of the
 * next one in a row.
 */
uint64_t loop_enter(void);
uint64_t loop_left(struct loop *loop, uint64_t entered_ns);
