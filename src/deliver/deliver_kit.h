/*
 * deliver/deliver_kit.h - a queue manager over a real spool on a simulated disk, for tests.
 *
 * The spool's writer is played here: requests wait in a line until kit_serve() does some of them,
 * so that a test decides what is durable when. The clock is the test's.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "config/config.h"
#include "deliver/queue_int.h"
#include "evidence/knowledge_kit.h"
#include "io/fs_sim.h"

#define KIT_NOW INT64_C(1790000000000)
#define KIT_DISK MIB(96)

struct kit {
    struct fs *fs;
    struct spool *sp;
    struct rand rand;
    const struct config *config;
    struct queue *q;
    struct queue_settings settings;
    struct queue_seams seams;
    int64_t now_ms;
    struct spool_request *head, **tail; /* posted, not done */
    struct spool_request *marks;        /* done, answered after the next sync */
    unsigned commit_failures_percent;   /* of commits and appends */
    unsigned no_room_percent;           /* for marks, rewrites and removals */
    bool is_dead;                       /* the power is off: nothing is done any more */
    uint64_t served[SPOOL_OP_SYNC + SPOOL_OP_SET_ASIDE + 1];
    void (*on_commit)(struct kit *k, uint64_t id); /* a report is durable; may be NULL */
    void (*dispatch)(void *ctx, struct job *job);
};

static inline struct config *kit_config(const char *text)
{
    struct buf why = BUF_INIT(CONFIG_WHY_MAX);
    struct config *c = NULL;

    if (config_load_text("test", slice_str(text), NULL, 0, &c, &why) < 0)
        fprintf(stderr, "%s\n", buf_cstr(&why));
    ASSERT(c);
    buf_done(&why);
    return c;
}

static inline struct queue_settings kit_settings(const struct config *c)
{
    struct queue_settings s = {
        .schedule = {.connections_max = c->delivery.connections_max,
                     .connections_per_destination = c->delivery.connections_per_destination_max,
                     .entries_max = c->spool.messages_max,
                     .retry = {.delay_count = (uint32_t)c->retry.policy.delay_count,
                               .jitter = c->retry.policy.jitter,
                               .max_queue_time_s = (uint32_t)c->retry.policy.max_queue_time_s,
                               .delay_dsn_s = (uint32_t)c->retry.delay_warning_s}},
        .config = c,
        .knowledge = knowledge_kit(),
    };

    memcpy(s.schedule.retry.delays_s, c->retry.policy.delays_s, sizeof(s.schedule.retry.delays_s));
    return s;
}

static inline int64_t kit_wall(void *ctx)
{
    return ((struct kit *)ctx)->now_ms;
}

static inline void kit_post(void *ctx, struct spool_request *r)
{
    struct kit *k = ctx;

    r->private_next = NULL;
    *k->tail = r;
    k->tail = &r->private_next;
}

static inline void kit_on_damage(void *ctx, const char *file, uint64_t offset, uint64_t id,
                                 const char *what)
{
    (void)ctx;
    (void)file;
    (void)offset;
    (void)id;
    (void)what;
}

static inline void kit_open_spool(struct kit *k)
{
    struct spool_config config = {.segment_bytes = MIB(1), .spare_segments = 2, .first_id = 1000};
    struct spool_report report = {.damage = kit_on_damage};
    struct buf why = BUF_INIT(4096);
    int r = spool_open(&k->sp, k->fs, &config, &report, &why);

    if (r < 0)
        fprintf(stderr, "%s\n", buf_cstr(&why));
    ASSERT(r == 0);
    buf_done(&why);
}

/* Every domain is of one provider, which a probe learns at once; other jobs are the test's. */
static inline void kit_dispatch(void *ctx, struct job *job)
{
    struct kit *k = ctx;

    if (!job->is_probe) {
        k->dispatch(k, job);
        return;
    }
    (void)snprintf(job->provider, sizeof(job->provider), "kit");
    (void)snprintf(job->mx_host, sizeof(job->mx_host), "mx.kit.test");
    job->has_learnt = true;
    for (uint32_t i = 0, count = job->count; i < count; i++) {
        job->entries[i].outcome = ATTEMPT_NOT_MADE;
        queue_entry_finished(&job->entries[i].parcel, NULL);
    }
}

static inline void kit_open_queue(struct kit *k)
{
    k->settings = kit_settings(k->config);
    ASSERT(queue_new(&k->q, &k->settings, k->sp, &k->rand, &k->seams) == 0);
    ASSERT(queue_load(k->q) == 0);
}

static inline void kit_init(struct kit *k, uint64_t seed, struct config *config,
                            void (*dispatch)(void *ctx, struct job *job))
{
    *k = (struct kit){.fs = fs_sim_new(seed, KIT_DISK), .config = config, .now_ms = KIT_NOW};
    k->tail = &k->head;
    k->dispatch = dispatch;
    rand_init(&k->rand, seed);
    k->seams = (struct queue_seams){
        .ctx = k, .wall_ms = kit_wall, .post = kit_post, .dispatch = kit_dispatch, .workers = 2};
    kit_open_spool(k);
    kit_open_queue(k);
}

static inline void kit_answer_marks(struct kit *k, int result)
{
    struct spool_request *r = k->marks, *ordered = NULL;

    k->marks = NULL;
    while (r) { /* they were put in front of each other */
        struct spool_request *next = r->private_next;

        r->private_next = ordered;
        ordered = r;
        r = next;
    }
    while (ordered) {
        struct spool_request *next = ordered->private_next;

        ordered->result = result;
        ordered->parcel.deliver(&ordered->parcel, NULL);
        ordered = next;
    }
}

static inline int kit_sync(struct kit *k)
{
    int r = k->is_dead ? -EIO : spool_sync(k->sp);

    kit_answer_marks(k, r);
    return r;
}

static inline int kit_commit(struct kit *k, struct spool_request *r)
{
    uint32_t count = r->extent_count;
    int e = 0;

    if (r->data.len) {
        e = spool_append(k->sp, r->id, r->data, &r->extents[count]);
        count += e == 0;
    }
    if (e == 0)
        e = spool_commit(k->sp, r->id, r->envelope, r->extents, count);
    if (e == 0)
        e = kit_sync(k);
    if (e == 0 && k->on_commit)
        k->on_commit(k, r->id);
    return e;
}

static inline int kit_do(struct kit *k, struct spool_request *r)
{
    if (k->is_dead)
        return -EIO;
    if ((r->op == SPOOL_OP_COMMIT || r->op == SPOOL_OP_APPEND) &&
        rand_below(&k->rand, 100) < k->commit_failures_percent)
        return -ENOSPC;
    if ((r->op == SPOOL_OP_MARK || r->op == SPOOL_OP_REWRITE || r->op == SPOOL_OP_REMOVE) &&
        rand_below(&k->rand, 100) < k->no_room_percent)
        return -ENOSPC;
    switch (r->op) {
    case SPOOL_OP_APPEND:
        return spool_append(k->sp, r->id, r->data, &r->extent);
    case SPOOL_OP_COMMIT:
        return kit_commit(k, r);
    case SPOOL_OP_ABORT:
        spool_abort(k->sp, r->id, r->extents, r->extent_count);
        return 0;
    case SPOOL_OP_MARK:
        return spool_mark(k->sp, r->id, r->data);
    case SPOOL_OP_REWRITE:
        return spool_rewrite(k->sp, r->id, r->data);
    case SPOOL_OP_REMOVE:
        return spool_remove(k->sp, r->id);
    case SPOOL_OP_SET_ASIDE:
        return spool_set_aside(k->sp, r->id);
    case SPOOL_OP_RELIEVE: /* nothing here asks for it */
        return -EBUSY;
    case SPOOL_OP_SYNC:
    default:
        return kit_sync(k);
    }
}

/* Does the request that waits longest. False: there was none. */
static inline bool kit_serve_one(struct kit *k)
{
    struct spool_request *r = k->head;

    if (!r)
        return false;
    k->head = r->private_next;
    if (!k->head)
        k->tail = &k->head;
    k->served[r->op]++;
    r->result = kit_do(k, r);
    if (r->result == 0 && (r->op == SPOOL_OP_MARK || r->op == SPOOL_OP_REWRITE)) {
        r->private_next = k->marks;
        k->marks = r;
        return true;
    }
    r->parcel.deliver(&r->parcel, NULL);
    return true;
}

/* Does all requests, and those that follow from them, and syncs. */
static inline void kit_serve(struct kit *k)
{
    do {
        while (kit_serve_one(k))
            ;
        ASSERT(kit_sync(k) == 0 || k->is_dead);
    } while (k->head);
}

static inline void kit_close(struct kit *k)
{
    queue_stop(k->q);
    kit_serve(k);
    ASSERT(queue_is_idle(k->q));
    queue_free(&k->q);
    spool_close(&k->sp);
}

static inline void kit_reopen(struct kit *k)
{
    kit_open_spool(k);
    kit_open_queue(k);
}

static inline void kit_done(struct kit *k)
{
    kit_close(k);
    fs_free(&k->fs);
    config_unref(&k->config);
}

/* Puts a message into the spool, durable, and files it. Recipients' states are zero. */
static inline uint64_t kit_submit_unfiled(struct kit *k, struct envelope *e, struct slice body,
                                          struct buf *encoded)
{
    uint64_t id = spool_new_id(k->sp);
    struct spool_extent extents[64];
    size_t count = 0;

    e->arrival_ms = k->now_ms;
    e->body_bytes = body.len;
    buf_clear(encoded);
    ASSERT(envelope_encode(e, encoded) == 0);
    ASSERT(spool_reserve(k->sp, body.len + buf_len(encoded)) == 0);
    for (size_t at = 0; at < body.len; count++) {
        struct slice piece = slice_sub(slice_from(body, at), 0, SPOOL_EXTENT_MAX);

        ASSERT(count < ARRAY_SIZE(extents));
        ASSERT(spool_append(k->sp, id, piece, &extents[count]) == 0);
        at += piece.len;
    }
    ASSERT(spool_commit(k->sp, id, buf_slice(encoded), extents, count) == 0);
    ASSERT(kit_sync(k) == 0);
    return id;
}

static inline uint64_t kit_submit(struct kit *k, struct envelope *e, struct slice body)
{
    struct buf encoded = BUF_INIT(SPOOL_ENVELOPE_MAX);
    uint64_t id = kit_submit_unfiled(k, e, body, &encoded);

    queue_committed(k->q, id, buf_slice(&encoded));
    buf_done(&encoded);
    return id;
}

static inline uint64_t kit_messages(struct kit *k)
{
    struct spool_stat st;

    spool_get_stat(k->sp, &st);
    return st.messages;
}
