/*
 * ledger/query.h - questions to the ledger's file: from any process, while the server runs or not.
 *
 * A reader has a connection of its own, read-only. It sees what was written when its question
 * began. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "evidence/attempt.h"
#include "evidence/suppression.h"

struct ledger_reader; /* opaque */

/* `directory` as evidence.directory. 0; -ENOENT: no ledger is there; -EACCES; -ERR_DAMAGED (or of a
 * later version), -EIO, -ENOMEM; a sentence in `why`. */
MUST_CHECK int ledger_reader_open(struct ledger_reader **ret, const char *directory,
                                  struct buf *why);
void ledger_reader_close(struct ledger_reader **r); /* NULL is fine */

struct ledger_filter {      /* empty, 0 and false do not filter */
    int64_t from_ms, to_ms; /* from <= at < to; to 0: no end */
    uint16_t code;
    uint8_t code_class;     /* 2, 4 or 5: the code's first digit */
    enum reply_class klass; /* REPLY_NONE does not filter */
    struct slice provider, source, domain, host, peer, sender, recipient; /* exact, without case */
    struct slice message_id; /* exact; with or without its angle brackets */
    struct slice text;       /* part of the reply's text, without case */
    uint64_t queue_id;
    bool not_delivered;
    bool newest_first;
    uint64_t limit;
    bool newest; /* of those over the limit the newest are given, still oldest first */
};

/* Calls fn for each that matches, in the order of time, until it returns non-zero, which is then
 * returned; slices live during the call. 0, or an error as above. */
MUST_CHECK int ledger_attempts(struct ledger_reader *r, const struct ledger_filter *f,
                               int (*fn)(void *ctx, const struct attempt *a), void *ctx);

/* Incidents, newest first; `json` as incident_encode(). Those that are open have closed_ms 0. */
MUST_CHECK int ledger_incidents(struct ledger_reader *r, uint64_t id, int64_t from_ms,
                                uint64_t limit, int (*fn)(void *ctx, struct slice json), void *ctx);

struct ledger_suppression_filter { /* empty and false do not filter */
    struct slice address, domain;  /* exact, without case */
    bool has_kind;
    enum suppression_kind kind;
    uint64_t limit; /* 0: all; the newest */
};
/* The suppression list, the newest entry first. 0, what fn returned, or an error as above. */
MUST_CHECK int ledger_suppressions(struct ledger_reader *r,
                                   const struct ledger_suppression_filter *f,
                                   int (*fn)(void *ctx, const struct suppression_view *v),
                                   void *ctx);

struct ledger_row { /* figures of one span */
    int64_t at_ms;
    struct slice lane, domain; /* domain empty: the lane as a whole */
    struct window_counts counts;
    struct times times; /* from arrival to delivery */
    bool has_queue;     /* the four below are known: lanes by minute */
    uint64_t queue_length, age_oldest_ms, age_median_ms, age_p90_ms;
};
/* `span_s`: 60, 3600 or 86400. `lane` or `domain` empty: all lanes, no domains. */
MUST_CHECK int ledger_rows(struct ledger_reader *r, uint32_t span_s, struct slice lane,
                           struct slice domain, int64_t from_ms,
                           int (*fn)(void *ctx, const struct ledger_row *row), void *ctx);
