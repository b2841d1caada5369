/*
 * deliver/queue_int.h - private to the queue manager: queue.c (turns, jobs), queue_file.c (filing),
 * queue_settle.c (results), queue_request.c, queue_kept.c and queue_fold.c (what is written),
 * queue_change.c (new settings), queue_lanes.c (providers and lanes), queue_age.c, report.c
 * (delivery status notifications) and queue_people.c (listings and actions).
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "deliver/queue.h"
#include "event/exchange_log.h"
#include "evidence/window.h"

/* A message filed under several destinations: the last entry to end removes it. */
struct shared_message {
    char key[ID_TEXT_MAX];
    uint32_t entries;
};

/* A message that came and could not be filed. */
struct waiting_message {
    char key[ID_TEXT_MAX];
};

#define AGE_ROUNDS_KEPT 3
#define AGE_PATIENCE 60 /* rounds of a minute */

struct queue {
    struct queue_settings settings;
    struct spool *spool;
    struct schedule *schedule;
    struct rand *rand;
    struct queue_seams seams;
    uint64_t hash_seed;

    struct map shared;            /* id as text -> struct shared_message */
    struct recipient *recipients; /* scratch for one envelope */
    size_t recipients_room;

    struct list free_requests, requests_out;
    struct list folds, shared_claims; /* queue_fold.c */
    uint64_t free_request_count;
    uint64_t unfiled, jobs, requests;
    uint64_t unreadable; /* envelopes of a version that this program does not know */
    int64_t refile_ms;   /* not before: a look at the spool for what is not filed */

    /* queue_file.c: what a look at the spool may file. Others are durable already, and their
     * queue_committed() is on its way: filed now, they could be delivered before it comes, and be
     * filed and delivered once more. */
    uint64_t first_id_max; /* of those that the spool had at the start */
    struct map waiting;    /* id as text -> struct waiting_message */
    struct schedule *old;  /* while everything is filed anew: where it was before; else NULL */
    bool may_file_all;     /* no memory for `waiting`: rather a message twice than not at all */

    bool stopping, spool_has_failed;
    /* queue_request.c: is_unsynced: something was posted after the last sync. */
    bool sync_is_out, sync_again, is_unsynced;
    struct list sync_waiters, next_waiters; /* for the sync that is out; for the next */

    /* queue_lanes.c */
    struct lanes *lanes;
    struct map known;        /* domain -> struct known, ... */
    struct list known_order; /* ... the one learnt first first */
    uint32_t *lane_refs;     /* by the schedule's number of a lane */
    uint32_t lane_room;
    int64_t lanes_due_ms, lanes_seen_ms;
    uint64_t incident_told; /* the newest one whose opening was told */

    struct {                             /* queue_age.c */
        int64_t rounds_ms[AGE_PATIENCE]; /* when the last rounds began; INT64_MIN: none yet */
        uint32_t round;
        int64_t began_ms, before_ms[AGE_ROUNDS_KEPT]; /* of the present round, of those before */
        uint32_t cursor;
        struct times **lanes; /* of the present round, by the schedule's number; NULL: none yet */
        uint32_t lane_room;
        bool is_in_round, warnings_paused;
    } age;

    struct { /* queue_kept.c */
        struct list requests;
        size_t folds; /* how many of `folds` wait for room */
        size_t bytes; /* of both */
        int64_t due_ms;
    } kept;

    struct { /* queue_suppress.c */
        struct suppressions *list;
        struct ledger_change *change; /* the operator's, not yet posted; NULL: none */
        uint64_t changes_out;         /* with the ledger, waited for */
        int64_t expire_ms;
    } suppress;

    bool changing; /* new settings wait for the jobs to come back */
    int64_t change_began_ms;
    struct queue_settings next_settings;
    void (*changed)(void *ctx);
    void *changed_ctx;
};

/* What becomes of a request that the spool has no room for. */
enum keeping {
    NOT_KEPT, /* it failed */
    KEPT,
    KEPT_HOLD, /* posted as it then is: a mark that holds or releases */
};

/* A request to the spool's writer on its way, with the bytes it points to. */
struct queue_request {
    struct spool_request r; /* first: the answer comes as its parcel */
    struct queue *queue;
    struct list node; /* among those out, kept, or free */
    struct buf bytes;
    /* Called with the answer before the request is recycled; NULL: only errors are counted. */
    void (*answered)(struct queue_request *rq);
    void *ctx;
    entry_ref ref; /* for `answered` */
    enum keeping kept_as;
    bool was_kept;
};

/* One entry's result on its way to being settled, kept while its report is being made durable. */
struct settlement {
    struct queue *queue;
    entry_ref ref;
    uint64_t id;
    int64_t now_ms;
    bool success_dsn;
    /* Not the end of an attempt: the operator's doing, or the entry's age. It is active without a
     * slot (schedule_claim()), and was held before or not. */
    bool is_claimed, was_held;
    bool is_ended; /* by its age or by the operator, as `ended_by` says */
    enum tracking_event ended_by;
    size_t ended_from; /* in `details`: these and those behind them */
    struct attempt_details *details;
    struct buf held; /* the entry's, until it is known when the next attempt is */
    /* They are on the suppression list; others of the entry are not, and it goes on with them. */
    bool is_suppression, goes_on;
    struct buf delayed; /* u32 indices: recipients whose delay report was made with this */
};

int64_t queue_now(const struct queue *q);

/* ---- queue.c ---- */

/* All entries of the job are settled: it goes out again with others, or ends. */
void queue_job_returned(struct queue *q, struct job *job);

/* ---- queue_change.c ---- */

/* New settings that waited for the jobs to come back. */
void queue_apply_change(struct queue *q);
/* No job goes out now, so that those that are out come back and a change can be made. */
bool queue_is_frozen(const struct queue *q);
#define QUEUE_FREEZE_MS 5000 /* how long at a time */

/* ---- queue_file.c ---- */

struct slice queue_destination_of(const struct queue *q, const struct recipient *rcpt);
/* Decodes an envelope into the queue's scratch, which grows as needed. 0, -ERR_DAMAGED, -ENOMEM. */
MUST_CHECK int queue_decode(struct queue *q, struct slice bytes, struct envelope *ret);
/* Whether the recipient is pending and belongs to the message's entry at `dest`. */
bool queue_is_of_entry(const struct queue *q, const struct recipient *rcpt, struct slice dest);
/* The message when it has several entries, or NULL. */
struct shared_message *queue_find_shared(struct queue *q, uint64_t id);
/* Frees all values. */
void queue_forget(struct map *m);
/* Everything goes into `fresh`, which takes the old schedule's place. */
void queue_file_anew(struct queue *q, struct schedule *fresh);
/*
 * Looks in the spool for what could not be filed, when there is room again. Not while a request is
 * out: a removal on its way would let us file what is finished.
 */
void queue_refile(struct queue *q);
/* The message goes from the spool: nothing of it is pending. */
void queue_post_removal(struct queue *q, uint64_t id);

/* ---- queue_request.c ---- */

const char *queue_op_name(enum spool_op op);
struct queue_request *queue_request_new(struct queue *q, enum spool_op op, uint64_t id);
void queue_request_post(struct queue_request *rq);
/* Gives back one that was not posted. */
void queue_request_drop(struct queue_request *rq);
/* What was posted so far is made durable at once, not with the next lazy sync. */
void queue_sync(struct queue *q);

/* ---- queue_kept.c ---- */

/* Marks and removals that wait for room in the spool; over it, one that is refused is forgotten:
 * its entry goes on, and who had the mail may get it again. Mail that nobody moves would be
 * worse. */
#define QUEUE_KEPT_BYTES_MAX MIB(16)

bool queue_is_for_want_of_room(int result);
/* Takes a request that was answered, if it is one to keep and there is room. */
bool queue_keep(struct queue_request *rq);
/* Counts bytes of what is kept elsewhere (a fold). False: there is no room for them. */
bool queue_keep_bytes(struct queue *q, size_t bytes);
bool queue_has_kept(const struct queue *q);
/* The spool took something that was kept: the others are tried at once. */
void queue_kept_taken(struct queue *q);
/* Posts again what is due. When it is to be called next, or SCHEDULE_NEVER. */
int64_t queue_kept_step(struct queue *q);
/* Posts all, for the last time: queue_stop(). */
void queue_kept_flush(struct queue *q);

/* ---- queue_fold.c ---- */

/*
 * Posts a mark of a message; where the spool has no more room for its marks, they are folded into
 * its envelope. `ref`, unless it is ENTRY_NONE, is a claimed entry that is released when the mark
 * is written (or has failed).
 */
void queue_post_mark(struct queue *q, uint64_t id, const struct mark *m, entry_ref ref);
/* Before so many marks of a claimed entry are posted, each with `ref`: it is released with the last
 * of them. False: no memory, and they must not have it. */
MUST_CHECK bool queue_share_claim(struct queue *q, entry_ref ref, uint32_t marks);
/* After each answer: folds that waited for it go on. */
void queue_fold_step(struct queue *q);
/* One that waits for room tries again. */
void queue_fold_resume(struct queue *q);
/* Any that does not wait for room. */
bool queue_is_folding(const struct queue *q);

/* ---- queue_settle.c ---- */

bool details_any(const struct attempt_details *d, enum recipient_state state);

void settlement_init(struct settlement *s, struct queue *q, entry_ref ref, uint64_t id);
void settlement_free(struct settlement *s);

/* Records what became of the entry and goes on: removal, mark, retry. Frees `s`. */
void queue_settle(struct settlement *s);
/* The report could not be made durable: those whose failure it was to tell are tried again later,
 * so that no failure goes unreported; those delivered are not, so that nothing is sent twice for
 * want of a report (one of success is given up). Frees `s`. */
void queue_settle_later(struct settlement *s);

/*
 * deliver/report.c: makes the reports that this result calls for, then queue_settle()s it, now or
 * when they are durable; queue_settle_later() when that fails. What has been in the queue too long
 * becomes a failure here. Owns `s` from here.
 */
void report_then_settle(struct settlement *s);

/* ---- queue_lanes.c ---- */

/* What a destination is called in the schedule. */
struct queue_key {
    size_t len;
    char bytes[JOB_NAME_MAX + JOB_SOURCE_MAX];
};
/* For message `id`, whose recipients go by `name`. */
void queue_key_for(const struct queue *q, struct slice name, uint64_t id, struct queue_key *ret);

MUST_CHECK int queue_lanes_new(struct queue *q);
/* The settings are others; how destinations are filed is as before. */
void queue_lanes_set(struct queue *q);
void queue_lanes_free(struct queue *q);
/* Puts a destination into its lane, if its provider is known. False: it is not, or no memory. */
bool queue_join_lane(struct queue *q, uint32_t destination);
/* Fills in the job's name, source, provider, lane, and whether it is a probe. */
void queue_describe_job(struct queue *q, struct job *job);
/* A worker has found the provider. */
void queue_learn(struct queue *q, struct job *job);
/* The controllers' turn. Returns when it is next; SCHEDULE_NEVER. */
int64_t queue_lanes_step(struct queue *q);
/* Before and after the schedule is made anew: lanes keep their state. 0 or -ENOMEM. */
MUST_CHECK int queue_lanes_renew(struct queue *q, struct schedule *fresh);

/* ---- queue_suppress.c ---- */

MUST_CHECK int queue_suppress_init(struct queue *q);
void queue_suppress_done(struct queue *q);
/* A worker gave it back as ATTEMPT_SUPPRESSED: settles those of its recipients that are listed. */
void queue_suppress_entry(struct queue *q, struct job_entry *entry);
/* Those of the settlement were not tried, and that is recorded now. */
void queue_suppress_tell(const struct settlement *s);
/* Nobody could be told of it now: the entry rests for a while. */
void queue_suppress_later(struct queue *q, entry_ref ref);
/* Old entries leave. Returns when it is next; SCHEDULE_NEVER. */
int64_t queue_suppress_step(struct queue *q);

/* ---- queue_age.c ---- */

void queue_age_init(struct queue *q);
void queue_age_done(struct queue *q);
/* Its sender is to be told now that it is late. */
bool queue_is_late(const struct queue *q, entry_ref ref, int64_t now_ms);
/* A step of the look at all entries' ages. Returns when the next one is due, or SCHEDULE_NEVER. */
int64_t queue_age_step(struct queue *q);
