/*
 * event/delivery.h - the delivery log: what became of each recipient, as JSON lines for programs
 * (docs/events.md).
 *
 *     {"schema":1,"time":"2026-11-23T06:41:07.212Z","event":"deferred","id":"1hk3c0ev4q8rd",...,
 *      "reply":"452 4.3.1 Insufficient system resources",...,"next_attempt":"2026-11-23T06:51:...Z"}
 *
 * One line for a message that is taken, one for each recipient and each attempt, and one for each
 * recipient that ends without an attempt. The fields have the names of `penstock attempts --json`
 * where they mean the same. Every line is one object of RFC 8259 in UTF-8, whatever bytes a peer
 * sent: controls are escaped, bytes that are not UTF-8 become U+FFFD, what is longer than its field
 * may be is cut and ends in "...". A field that is not known is left out.
 *
 * The lines go the way of all log files (event/record.h): the calling thread makes the line, its
 * ring takes it or drops and counts it, the log thread writes. Nothing waits.
 *
 * Threads: any; no state but a buffer per thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "event/record.h"

#define DELIVERY_SCHEMA 1 /* a field that changes its meaning, or goes, makes it one more */

/* X(constant, name). */
#define DELIVERY_EVENT_TABLE(X)                                                                    \
    X(DELIVERY_RECEIVED, "received")     /* a message is durable here: the 250 was given */        \
    X(DELIVERY_DELIVERED, "delivered")   /* a host took it for the recipient */                    \
    X(DELIVERY_DEFERRED, "deferred")     /* not now; `next_attempt` says when */                   \
    X(DELIVERY_FAILED, "failed")         /* never: a permanent refusal */                          \
    X(DELIVERY_EXPIRED, "expired")       /* it waited as long as it may */                         \
    X(DELIVERY_SUPPRESSED, "suppressed") /* not tried: the address is on the suppression list */   \
    X(DELIVERY_BOUNCED, "bounced")       /* the operator ended it, with a report */                \
    X(DELIVERY_REMOVED, "removed")       /* the operator ended it, without one */                  \
    X(DELIVERY_DSN, "dsn")               /* a report of ours is durable, a message of its own */
#define DELIVERY_ENUM_LINE(constant, name) constant,
enum delivery_event { DELIVERY_EVENT_TABLE(DELIVERY_ENUM_LINE) DELIVERY_EVENTS };

/* The slices are borrowed and may hold any bytes; an empty one is not known. */
struct delivery {
    enum delivery_event event;
    int64_t at_ms; /* wall clock; 0: delivery_log() takes the time */
    uint64_t id, original;
    struct slice message_id, sender, recipient, domain;
    uint64_t recipients, size;
    struct slice client, client_name, listener, traffic;
    uint64_t attempt, code;
    uint16_t enhanced[3]; /* the first 0: none */
    struct slice klass, phase, reply;
    struct slice provider, lane, source, local, host, peer;
    bool own_relay, tls;
    struct slice tls_version, tls_cipher;
    uint64_t in_queue_ms, latency_ms;
    struct slice kind;
    int64_t next_attempt_ms; /* 0: not known */
};

/* For the test of the documentation: the name of field `i`, NULL past the last; and whether lines
 * of that event can have it. */
const char *delivery_field_name(size_t i);
bool delivery_field_is_in(size_t i, enum delivery_event event);
const char *delivery_event_name(enum delivery_event event);

static inline bool delivery_log_is_on(void)
{
    return record_is_on(RECORD_DELIVERIES);
}

/* The line, its LF included; returns its length, at most RECORD_LINE_MAX. */
size_t delivery_line(const struct delivery *d, char ret[static RECORD_LINE_MAX]);

/* Writes it, where the log is on. */
void delivery_log(struct delivery *d);

/*
 * Lines whose `next_attempt` is not known yet are kept until it is: a worker defers, the queue
 * manager says till when. delivery_hold() makes the line and puts it into `held`; where that is
 * full (its cap), or there is no memory, the line is written at once without the field.
 * delivery_release() writes what is held, with that time (0: without), and frees `held`.
 */
#define DELIVERY_HELD_MAX KIB(256)
void delivery_hold(struct delivery *d, struct buf *held);
void delivery_release(struct buf *held, int64_t next_attempt_ms);
