/*
 * ledger/ledger.h - the evidence that is kept: attempts, figures by minute, hour and day, lanes,
 * and incidents, in one SQLite file (`ledger.sqlite` in the evidence directory), bounded by age and
 * size.
 *
 * A thread of its own writes: whoever has something for it posts a parcel (io/mailbox.h), many go
 * into one transaction, and when it falls behind LEDGER_WAITING_MAX attempts further ones are
 * dropped and counted (mail never waits for evidence; figures and lanes are never dropped).
 * Reading (control, `penstock attempts`) has connections of its own, read-only, and may run in any
 * process while the server runs: WAL.
 *
 * A disk without room, a damaged file: the ledger says so once (an event), sets a damaged file
 * aside under another name, goes on in memory where it can, and mail goes on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/slice.h"
#include "evidence/attempt.h"
#include "evidence/suppression.h"
#include "io/mailbox.h"

struct ledger; /* opaque */

#define LEDGER_WAITING_MAX 50000

struct ledger_settings {
    const char *directory;          /* made when missing, 0700 */
    uint64_t age_max_s;             /* attempts; figures by hour are kept ten times as long */
    uint64_t size_max_bytes;        /* of the file: the oldest attempts go first */
    uint64_t commit_ms;             /* a transaction is at least so long apart: 1000 */
    uint64_t suppression_age_max_s; /* automatic entries of the suppression list; 0: for ever */
};

/* Opens or makes the file and starts the thread. 0, -errno with a line in `why`. */
MUST_CHECK int ledger_open(struct ledger **ret, const struct ledger_settings *s, struct buf *why);
/* Writes what is waiting, ends the thread. */
void ledger_close(struct ledger **l);
void ledger_set(struct ledger *l, const struct ledger_settings *s);

/* ---- any thread; never blocks, never fails for the caller ---- */

/* An attempt in one allocation with its texts; NULL: no memory (count it). */
struct ledger_attempt {
    struct parcel parcel;
    void *owner;            /* of whoever it is posted to on its way here */
    uint32_t lane;          /* the same: a lane_ref */
    struct attempt attempt; /* its slices point behind it */
    char texts[];
};
struct ledger_attempt *ledger_attempt_new(const struct attempt *a);
void ledger_attempt_free(struct ledger_attempt **a);
/* Takes it over. */
void ledger_post_attempt(struct ledger *l, struct ledger_attempt *a);
/* The state of one lane (lanes_save()), an incident (incident_encode()): replaces the one of the
 * same name or id. Bytes are copied; counted where there is no memory. */
void ledger_post_lane(struct ledger *l, struct slice name, struct slice state);
void ledger_post_incident(struct ledger *l, uint64_t id, struct slice lane, int64_t opened_ms,
                          int64_t closed_ms, struct slice json);
/* How a lane's queue stands, once a minute: kept with its figures of that minute. */
struct ledger_queue {
    struct slice provider, source;
    int64_t at_ms;
    uint64_t length;
    uint64_t age_oldest_ms, age_median_ms, age_p90_ms;
};
void ledger_post_queue(struct ledger *l, const struct ledger_queue *q);
/* The provider of a destination, learnt from its MX hosts, of which `mx_host` is the best. */
void ledger_post_destination(struct ledger *l, struct slice domain, struct slice provider,
                             struct slice mx_host);

/*
 * Changes of the suppression list: put and removed in the order given, all or none. The operator's
 * are made durable (waited for on the disk) before they are answered; of others, which nobody waits
 * for, a crash may forget those of the last commit_ms.
 */
struct ledger_change {
    struct parcel parcel;
    /* Called in the thread that receives `answer_to`, and owns the change; NULL: nobody waits. */
    void (*answered)(struct parcel *p, void *receiver);
    struct mailbox *answer_to;
    void *ctx;  /* the caller's */
    int result; /* 0, or the store's error: nothing of it was written */
    /* The rest is private. */
    struct list node;
    struct ledger_change_item {
        struct suppression *s;
        bool is_removal;
    } * items;
    size_t count, room;
};
struct ledger_change *ledger_change_new(void); /* NULL: no memory */
void ledger_change_free(struct ledger_change **c);
/* Holds a reference. 0 or -ENOMEM. */
MUST_CHECK int ledger_change_add(struct ledger_change *c, struct suppression *s, bool is_removal);
/* Takes it over. */
void ledger_post_change(struct ledger *l, struct ledger_change *c);

/* ---- at start, before the server serves ---- */

/* The suppression list, the oldest entry first; what is no entry is passed over. */
MUST_CHECK int ledger_each_suppression(struct ledger *l,
                                       int (*fn)(void *ctx, struct suppression *s), void *ctx);

MUST_CHECK int ledger_each_lane(struct ledger *l, int (*fn)(void *ctx, struct slice state),
                                void *ctx);
MUST_CHECK int ledger_each_destination(struct ledger *l,
                                       int (*fn)(void *ctx, struct slice domain,
                                                 struct slice provider, struct slice mx_host),
                                       void *ctx);
uint64_t ledger_incident_id_max(struct ledger *l);

struct ledger_figures {
    uint64_t written, dropped, waiting, errors;
    uint64_t file_bytes;
    int64_t oldest_ms; /* of the attempts kept */
};
void ledger_get_figures(const struct ledger *l, struct ledger_figures *ret);
