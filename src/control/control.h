/*
 * control/control.h - the API: HTTP and JSON over a Unix socket (docs/api.md).
 *
 * It lives in the queue thread's loop, beside the queue manager it asks, so that it needs no lock;
 * in return every request does a bounded amount of work: long listings and actions come in pages,
 * a body is streamed. Who connects must be root or the user the server runs as; all others get a
 * 403. Connections, requests and time are bounded.
 *
 * Threads: everything here, the seams included, in the thread of `loop`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"

struct control; /* opaque */
struct json_out;
struct loop;
struct pressure;
struct queue;

struct control_seams {
    void *ctx;
    struct queue *queue;       /* borrowed until control_close() */
    struct pressure *pressure; /* the same; NULL: this server is not governed */
    int64_t (*wall_ms)(void *ctx);
    /* Reads the configuration again. 0; or negative and `*why` has what is wrong, and nothing was
     * changed. */
    int (*reload)(void *ctx, struct buf *why);
    /* An action changed when entries are due: let queue_run() run soon. NULL where it runs every
     * turn of the loop anyway. */
    void (*queue_changed)(void *ctx);
    /* Adds members to the object that GET /v1/status answers with: "version", "listeners", ... May
     * be NULL. */
    void (*add_status)(void *ctx, struct json_out *j);
    /* The server takes no more mail, since it is stopping. May be NULL. */
    bool (*is_stopping)(void *ctx);
};

/*
 * Listens on `socket_path`, made with mode 0600. A socket nobody answers on is replaced; the
 * folder must exist. `seams` is copied. 0; -EADDRINUSE: another server answers there; -EACCES,
 * -ENOENT, -ENAMETOOLONG, -EMFILE, -ENOMEM, ...; `*why` gets a sentence.
 */
MUST_CHECK int control_open(struct control **ret, struct loop *loop,
                            const struct control_seams *seams, const char *socket_path,
                            struct buf *why);
/* Drops all connections and removes the socket. NULL is fine; sets *c to NULL. */
void control_close(struct control **c);
