/*
 * deliver/queue.h - the queue manager: what joins spool (bytes), schedule (time) and the workers
 * that speak SMTP.
 *
 * It files committed messages by destination, hands jobs (a connection slot and some entries) to
 * workers, takes each entry's result, and writes what must outlive a crash: a removal, a mark, or
 * a DSN first and then the mark. An order of its own guards mail: a message is removed only after
 * every recipient is delivered, or failed with its DSN durable.
 *
 * Threads: one thread (the queue thread) calls everything here. Clock, spool writer and workers
 * are seams, so that the simulation drives the same code.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/rand.h"
#include "base/slice.h"
#include "evidence/providers.h"
#include "evidence/suppressions.h"
#include "io/mailbox.h"
#include "io/resolver.h"
#include "message/envelope.h"
#include "schedule/lanes.h"
#include "schedule/schedule.h"
#include "spool/spool.h"
#include "spool/writer.h"

struct config;
struct knowledge;
struct lanes;
struct ledger;
struct queue; /* opaque */
struct job;

#define JOB_ENTRIES_MAX 16
#define JOB_SOURCE_MAX 64
#define JOB_NAME_MAX 288 /* a domain of 255 octets, with "lmtp:" and a port around it, and a NUL */

/* How the attempt of one entry ended. */
enum attempt_outcome {
    ATTEMPT_NOT_MADE, /* its turn did not come: no attempt is counted */
    /* Every recipient of the entry. `details` may be NULL when these were all of the message's
     * recipients that were still pending. */
    ATTEMPT_DELIVERED,
    ATTEMPT_MIXED,   /* `details` tells each recipient's result */
    ATTEMPT_UNKNOWN, /* nothing is known (no memory, or the spool cannot be read now): as deferred */
    ATTEMPT_GONE,    /* the spool no longer has the message */
    ATTEMPT_DAMAGED, /* the spool's copy is damaged: the queue has it set aside */
    /* Not made either: some of its recipients are on the suppression list, says the filter. */
    ATTEMPT_SUPPRESSED,
};

/*
 * Results by recipient; made by the worker with attempt_details_new(), freed by the queue. The
 * texts share one bounded area, so that ten thousand recipients cost no more than
 * ATTEMPT_TEXT_TOTAL_MAX: with many recipients each text is cut shorter.
 */
#define ATTEMPT_TEXT_TOTAL_MAX KIB(128)

struct attempt_details { /* read count and results; the rest is private */
    size_t count, room;
    char *text;
    size_t text_len, text_each_max;
    struct mark_result results[];
};

struct job_entry {
    struct parcel parcel; /* back to the queue: queue_entry_finished */
    struct job *job;
    entry_ref ref;
    uint64_t id;
    int64_t arrival_ms;
    uint32_t attempts; /* before this one */
    enum attempt_outcome outcome;
    /* Some delivered recipient asked for a report of success (RFC 3461, section 4.1) which the
     * next host did not promise to make: the queue makes it. */
    bool success_dsn;
    struct attempt_details *details;
    struct buf held; /* lines that wait for the time of the next attempt (event/delivery.h) */
};

/*
 * One connection slot of a destination, with entries to send over it. The queue owns a job that is
 * not dispatched; the worker owns it from dispatch until it has posted back every entry's parcel.
 * When all are back the queue refills and dispatches it again to the same worker, or frees it.
 */
struct job {
    struct parcel parcel; /* to the worker */
    struct queue *queue;
    uint32_t destination; /* handle in the schedule */
    uint32_t worker;      /* which loop: the same as long as the job lives */
    uint32_t returned;
    /*
     * The worker could not reach any host (or every host refused the session): the queue keeps the
     * destination quiet for a retry interval. Set before the last entry is posted back.
     */
    bool destination_failed;
    /* With it: what came last was a 4xx of a host of the provider's own, not silence: see
     * lanes_session_refused(). */
    bool was_refused;
    const struct config *config;       /* references of the job's own */
    const struct knowledge *knowledge; /* NULL: every refusal is of the class "other" */
    struct suppression_filter *filter; /* as of when it was filled last; the same */
    char name[JOB_NAME_MAX];           /* a domain, or the text of a static next hop */
    char source[JOB_SOURCE_MAX];       /* the name of the source it is sent from */
    uint32_t lane;                     /* lane_ref of its provider and source */
    char lane_name[LANE_NAME_MAX];     /* for logs; empty: it is in none */
    /*
     * The provider behind the destination. A worker that learns another one from the MX hosts
     * says so in `provider` and `has_learnt`. A job that `is_probe` is for that alone: its entries
     * come back as not made as soon as the provider is known, to wait for their lane's turn.
     */
    char provider[PROVIDER_NAME_MAX];
    char mx_host[DNS_NAME_MAX + 3]; /* the best one; with `has_learnt` */
    bool goes_by_mx;                /* the domain's own; else the provider is the next hop's text */
    bool is_probe, has_learnt;
    uint32_t count;
    struct job_entry entries[JOB_ENTRIES_MAX];
};

struct queue_seams {
    void *ctx;
    int64_t (*wall_ms)(void *ctx);
    /* To the spool's writer; the answer's parcel.deliver() is called in the queue thread. */
    void (*post)(void *ctx, struct spool_request *r);
    /* To worker number job->worker, of `workers`. */
    void (*dispatch)(void *ctx, struct job *job);
    struct mailbox *answers; /* set as answer_to in requests; the simulation may leave it NULL */
    uint32_t workers;
    struct ledger *ledger;         /* evidence goes there; NULL: nowhere */
    bool (*is_pressed)(void *ctx); /* our own governor is at medium or high; NULL: never */
};

struct queue_settings {
    struct schedule_config schedule;
    const struct config *config;       /* borrowed: routes, bounce, server.hostname */
    const struct knowledge *knowledge; /* borrowed */
};

/* What `settings` points to is borrowed until the next settings are in force or queue_free().
 * 0 or -ENOMEM. */
MUST_CHECK int queue_new(struct queue **ret, const struct queue_settings *settings,
                         struct spool *spool, struct rand *rand, const struct queue_seams *seams);
/* No job is with a worker and no request with the writer any more. */
void queue_free(struct queue **q);
/*
 * New settings. With the old routes and destinations they are in force at once, and jobs that are
 * out go on with the configuration they have. Since routes decide under which destination an entry
 * is filed, other ones come into force when all jobs have come back, and everything is filed anew;
 * no new jobs start for some seconds, and again each minute while a host keeps one so long.
 * fn(ctx), called in the queue thread and maybe before this returns, says when. One change at a
 * time: -EBUSY while another waits.
 */
MUST_CHECK int queue_change_settings(struct queue *q, const struct queue_settings *settings,
                                     void (*fn)(void *ctx), void *ctx);

/* What the ledger kept of a lane, and of a destination's provider: before queue_load(). -ENOMEM,
 * -ERR_DAMAGED: the lane begins anew. */
MUST_CHECK int queue_restore_lane(struct queue *q, struct slice state);
MUST_CHECK int queue_restore_destination(struct queue *q, struct slice domain,
                                         struct slice provider, struct slice mx_host);
/* The newest incident that it knows: those up to it were told, and new ones have higher numbers. */
void queue_restore_incidents(struct queue *q, uint64_t id_max);

/* An entry of the suppression list as the ledger kept it: before queue_load(). -ENOMEM. */
MUST_CHECK int queue_restore_suppression(struct queue *q, struct suppression *s);

/* At the start: files everything the spool holds; what is over schedule.entries_max later. 0,
 * -ENOMEM. */
MUST_CHECK int queue_load(struct queue *q);

/* A message was committed, after queue_load(): file it. Until then nothing is done with it, though
 * it is in the spool. `envelope` as in the spool. Never fails for the mail's sake:
 * what cannot be filed now (memory, schedule.entries_max) is counted, and looked for again in the
 * spool later. */
void queue_committed(struct queue *q, uint64_t id, struct slice envelope);
/* The schedule is full, or something could not be filed: new mail is to be refused for a while. */
bool queue_is_full(const struct queue *q);

/* Grants slots and dispatches jobs as far as limits allow. Returns the wall time in ms at which it
 * should be called next (SCHEDULE_NEVER: when something happens). */
int64_t queue_run(struct queue *q);
/* A remedy: no report that mail is late is made while `paused`; it is made up for afterwards. */
void queue_pause_warnings(struct queue *q, bool paused);
/* No new jobs from now on (shutdown). */
void queue_stop(struct queue *q);
/* Nothing is with workers or the writer: safe to free. */
bool queue_is_idle(const struct queue *q);

/* parcel.deliver of a job_entry, posted by a worker to the queue thread. */
void queue_entry_finished(struct parcel *p, void *receiver);

/* parcel.deliver of a struct ledger_attempt, posted by a worker to the queue thread. */
void queue_attempt_made(struct parcel *p, void *receiver);

/* The same of an attempt whose one recipient a host refused for good, with a class of mailboxes: it
 * may go on the suppression list. */
void queue_mailbox_refused(struct parcel *p, void *receiver);

/* For workers: results of `count` recipients; NULL when there is no memory. attempt_add() copies
 * the text (cut to ENVELOPE_TEXT_MAX). */
struct attempt_details *attempt_details_new(size_t count);
void attempt_add(struct attempt_details *d, uint32_t recipient, enum recipient_state state,
                 uint16_t code, struct slice text);
void attempt_details_free(struct attempt_details **d);

/* ---- for people: listings and actions (all in the queue thread, bounded work a call) ---- */

struct queue_filter {                       /* an empty slice or 0 does not filter */
    struct slice destination;               /* exact, without case */
    struct slice sender;                    /* substring, without case */
    struct slice recipient;                 /* substring, without case */
    uint64_t id;                            /* one message */
    int64_t older_than_ms, younger_than_ms; /* age since arrival */
    bool held_only, deferred_only;
};

struct queue_item { /* one message at one destination; slices are valid during the callback */
    uint64_t id;
    struct slice destination;
    const char *state; /* "ready", "deferred", "active", "held" */
    int64_t arrival_ms, due_ms;
    uint32_t attempts;
    /* From the spool, with `details` only: */
    const struct envelope *envelope; /* NULL where it cannot be read */
};

#define QUEUE_SCAN_MAX 20000 /* entries looked at in one call */
#define QUEUE_READ_MAX 250   /* of them read from the spool in one call */
#define QUEUE_ACT_MAX 2000   /* acted on in one call; an eighth of it where mail is ended */

/*
 * Walks entries from `*cursor` (0: the start), calling fn for those that match, until it returns
 * false, `limit` matched, or the bounds above are reached. `*cursor` is where to go on; false: the
 * end was reached. `details` reads each envelope; filters on sender or recipient do too. A filter
 * by id gives all of the message's entries in one call.
 */
bool queue_list(struct queue *q, const struct queue_filter *filter, bool details, size_t limit,
                uint32_t *cursor, bool (*fn)(void *ctx, const struct queue_item *item), void *ctx);

enum queue_action { QUEUE_RETRY, QUEUE_HOLD, QUEUE_RELEASE, QUEUE_BOUNCE, QUEUE_REMOVE };

struct queue_action_result {
    uint64_t matched, done;
    uint64_t busy; /* being sent at this moment: ask again */
};

/* As queue_list(), doing `action` to each match, to QUEUE_READ_MAX of them in one call. RELEASE and
 * HOLD act on the whole message. */
bool queue_act(struct queue *q, const struct queue_filter *filter, enum queue_action action,
               uint32_t *cursor, struct queue_action_result *ret);

/* Who waits for what the queue was told so far to be durable. */
struct queue_waiter {
    /* Called once, in the queue thread: 0; the spool's error, and a crash may undo what was done;
     * -ENOMEM: it was not made durable at once, and is soon. */
    void (*fn)(struct queue_waiter *w, int result);
    struct list node; /* private */
};

/* Holds, releases and removals done until now are made durable at once, then w->fn() is called,
 * maybe before this returns. `w` is borrowed till then. */
void queue_wait_durable(struct queue *q, struct queue_waiter *w);
/* It is not called any more. Also when it was, or nobody waits (after list_init()). */
void queue_wait_cancel(struct queue_waiter *w);

/* ---- the suppression list (evidence/suppression.h): what the operator does to it ---- */

/* Where no ledger keeps it there is none. */
bool queue_has_suppressions(const struct queue *q);
/* Holds a reference of its own. Mail that waits meets it at its next turn. 0; -ENOBUFS: all
 * suppression.entries_max are the operator's; -ENOMEM. */
MUST_CHECK int queue_suppress(struct queue *q, struct suppression *s, enum suppressions_added *ret);
/* 0; -ENOENT: it was not there; -ENOMEM. */
MUST_CHECK int queue_unsuppress(struct queue *q, struct slice address);
/* What was suppressed and unsuppressed until now is made durable, then w->fn() is called, maybe
 * before this returns; `w` is borrowed till then. queue_wait_cancel() holds for it too. */
void queue_wait_suppressions(struct queue *q, struct queue_waiter *w);

/* One message whole, from the spool (blocking): envelope with its marks folded in. `buffers` keep
 * the bytes the envelope points into. 0, -ENOENT, -ERR_DAMAGED, -EIO, -ENOMEM. */
struct queue_message {
    uint64_t id;
    struct envelope envelope;
    struct recipient *recipients;
    struct buf envelope_bytes, marks; /* marks: for marks_each() */
};
MUST_CHECK int queue_read_message(struct queue *q, uint64_t id, struct queue_message *ret);
void queue_message_done(struct queue_message *m);

/* The lanes, for views and the operator's actions; NULL: there are none. */
struct lanes *queue_lanes(const struct queue *q);
/* Hands lanes that changed to the ledger at once: after an action, which must outlive a restart. */
void queue_keep_lanes(struct queue *q);
/* All of them, when the server stops: else a restart forgets what was counted in the last minute. */
void queue_keep_all_lanes(struct queue *q);
/* The schedule, for summaries (schedule_next_destination(), schedule_get_totals()). */
const struct schedule *queue_schedule(const struct queue *q);
struct spool *queue_spool(const struct queue *q);

struct queue_figures {
    uint64_t unfiled;        /* in the spool and not in the schedule: no room, or not readable */
    uint64_t jobs, requests; /* with workers, with the writer */
    uint64_t suppressions, suppressions_operator; /* in all; of them the operator's */
};
void queue_get_figures(const struct queue *q, struct queue_figures *ret);
