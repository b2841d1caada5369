/*
 * deliver/track.h - the message tracking log's lines about mail on its way out (private to
 * deliver/). All do nothing while that log is off.
 */
#pragma once

#include <stdint.h>

#include "deliver/queue.h"
#include "event/exchange_log.h"
#include "message/header.h"

struct conn;
struct transaction;

#define TRACK_HEADER_MAX KIB(64) /* Message-ID and Subject are looked for so far */

/* A worker's: which connection the transaction goes over; the log may name it later. */
void track_connection(struct transaction *t, struct conn *c);
/* A worker's: all results are in. SEND, DEFER and FAIL (DROP where a route discards, FAIL by DNS
 * where no host was asked), a line for each kind there is. */
void track_attempt(struct transaction *t);

/* The queue's: TRACKING_EXPIRE or TRACKING_REMOVE of the recipients that failed or are removed in
 * `d`. */
void track_end(const struct config *c, enum tracking_event event, uint64_t id,
               const struct envelope *e, const struct attempt_details *d);
/* The queue's: a report is durable. `envelope` and `body` are its own, encoded. */
void track_report(const struct config *c, uint64_t id, struct slice envelope, struct slice body,
                  struct slice original_message_id);
