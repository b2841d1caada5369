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
struct settlement;
struct transaction;

#define TRACK_HEADER_MAX KIB(64) /* Message-ID and Subject are looked for so far */

/* A worker's: which connection the transaction goes over; the log may name it later. */
void track_connection(struct transaction *t, struct conn *c);
/* A worker's: all results are in. SEND, DEFER and FAIL (DROP where a route discards, FAIL by DNS
 * where no host was asked), a line for each kind there is. */
void track_attempt(struct transaction *t);

/* The queue's: TRACKING_EXPIRE or TRACKING_REMOVE of the recipients that failed or are removed, and
 * those alone that its age or the operator ended. */
void track_end(const struct settlement *s, const struct envelope *e);
/* The queue's: a report is durable. `envelope` and `body` are its own, encoded. It is told in the
 * delivery log, too. */
struct track_report {
    uint64_t id, original;
    const char *kind;
    struct slice envelope, body, original_message_id;
};
void track_report(const struct config *c, const struct track_report *report);

/* The host's reply of what transaction_result() wrote, "mx[192.0.2.1] said: 452 4.3.1 no"; other
 * texts are ours and stay whole. */
struct slice track_reply_of(struct slice text);
