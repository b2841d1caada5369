/*
 * cli/server.h - the server put together: threads, loops and modules, from configuration to exit.
 *
 *     main thread: the queue's loop (queue, control socket, signals, status line)
 *     one thread a loop: a receiver (SMTP in) and a worker (SMTP out)
 *     one thread: the spool's writer
 *
 * docs/architecture.md, "Threads", has the picture and the state they share.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "base/buf.h"

struct server; /* opaque */

struct server_options {
    const char *config_file; /* NULL: embedded defaults */
    const char *const *overrides;
    size_t override_count;
    bool status_line;
};

/* Opens everything and files what the spool holds. 0, or an error with a sentence in `*why`. The
 * options' texts are borrowed until server_free(). */
MUST_CHECK int server_new(struct server **ret, const struct server_options *options,
                          struct buf *why);
/* Serves until SIGTERM or SIGINT, then stops in order. Returns the exit code. */
int server_run(struct server *s);
void server_free(struct server **s);
