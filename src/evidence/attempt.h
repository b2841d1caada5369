/*
 * evidence/attempt.h - what is known of one attempt: one try to hand one message's recipients at
 * one destination to one remote host (or to reach any host of it).
 *
 * A value without pointers of its own: the slices are borrowed from whoever made it. Engine: no
 * I/O, no clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "evidence/replies.h"
#include "evidence/window.h"
#include "smtp/client.h"
#include "smtp/reply.h"

#define ATTEMPT_TEXT_MAX 512 /* of a reply's text kept as evidence */

/* How the recipients of the attempt came away from it, by the worst of them. */
enum attempt_result { ATTEMPT_RESULT_DELIVERED, ATTEMPT_RESULT_DEFERRED, ATTEMPT_RESULT_FAILED };
const char *attempt_result_name(enum attempt_result r); /* "delivered", "deferred", "failed" */

struct attempt {
    uint64_t queue_id;
    int64_t arrival_ms, at_ms; /* wall clock: of the message; of the attempt's end */
    uint32_t latency_ms;       /* from its beginning (connection included, where it made one) */
    uint32_t number;           /* 1: the first of this message at this destination */
    enum attempt_result result;
    uint32_t recipients, delivered, deferred, failed; /* counts of recipients */

    /* The reply that made it what it is: of the first recipient with the worst result. */
    enum smtp_phase phase;
    uint16_t code; /* 0: no reply; `text` says what happened */
    struct smtp_enhanced enhanced;
    struct slice text;
    enum reply_class klass; /* REPLY_NONE where all were delivered */

    struct slice domain;     /* of the recipients (of the first, where a route joins several) */
    struct slice host;       /* the remote host's name; empty: none was found or reached */
    struct slice peer;       /* its IP address; empty: none was reached */
    struct slice local;      /* the IP address it was made from; empty: not known */
    struct slice provider;   /* evidence/providers.h; of a static next hop: its text */
    struct slice source;     /* the source's name in the configuration */
    struct slice recipient;  /* the one that the reply is of; with several alike, the first */
    struct slice sender;     /* of the envelope; empty: the null sender */
    struct slice message_id; /* of the header section; empty: not looked for or none */
    bool tls;                /* the session was encrypted */
    bool is_ours; /* the host is our own relay, smart host or gateway (a route named it) */
    /* Not kept in the ledger: the words or the enhanced code tell the class, not the bare code; no
     * host was asked, for the recipients are on the suppression list: recorded, and not counted. */
    bool is_explicit, is_suppressed;
};

/* What the attempt adds to the counts of its lane. */
void attempt_counts(const struct attempt *a, struct window_counts *ret);
