/*
 * control/control_int.h - between the daemon (control.c) and the requests (routes.c).
 */
#pragma once

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/list.h"
#include "control/control.h"
#include "io/loop.h"

#define CONTROL_BODY_MAX KIB(64) /* of a request */
/* Without a byte: while there is no request, so that connections that ask for nothing keep no one
 * out for longer than a client waits; and during one. */
#define CONTROL_IDLE_S_MAX 5
#define CONTROL_REQUEST_S_MAX 30

struct control_routes {
    struct control_seams seams;
    int64_t started_ms;
    struct list waiting; /* requests whose actions are not yet durable */
    size_t waiting_count;
    /* Lets the daemon run soon; it does not find out by itself that a request waits no more. */
    struct loop_timer *wake;
    bool has_woken;
};

void control_routes_init(struct control_routes *r, const struct control_seams *seams,
                         struct loop_timer *wake);
/* Before the daemon is stopped: nobody waits any more. */
void control_routes_done(struct control_routes *r);

/* libmicrohttpd's callbacks; `cls` of the first is the struct control_routes. */
enum MHD_Result control_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload_data,
                                   size_t *upload_data_size, void **request);
void control_on_completed(void *cls, struct MHD_Connection *connection, void **request,
                          enum MHD_RequestTerminationCode how);
