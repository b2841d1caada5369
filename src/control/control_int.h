/*
 * control/control_int.h - between the daemon (control.c) and the requests (routes.c).
 */
#pragma once

#include <microhttpd.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "control/control.h"

#define CONTROL_BODY_MAX KIB(64) /* of a request */

struct control_routes {
    struct control_seams seams;
    int64_t started_ms;
};

void control_routes_init(struct control_routes *r, const struct control_seams *seams);

/* libmicrohttpd's callbacks; `cls` of the first is the struct control_routes. */
enum MHD_Result control_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload_data,
                                   size_t *upload_data_size, void **request);
void control_on_completed(void *cls, struct MHD_Connection *connection, void **request,
                          enum MHD_RequestTerminationCode how);
