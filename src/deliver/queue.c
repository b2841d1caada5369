/*
 * deliver/queue.c - the turns of the queue thread, and the jobs it hands out.
 *
 * One entry's way:
 *
 *     queue_committed() --file--> schedule --due, granted--> job --worker--> queue_entry_finished()
 *        delivered, alone or last of its message: REMOVE
 *        delivered, other destinations pending:   MARK
 *        deferred:                                MARK with the next time, schedule_retry()
 *        failed, expired:                         report durable first, then MARK or REMOVE
 */
#include "deliver/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "config/config.h"
#include "deliver/queue_int.h"
#include "evidence/knowledge.h"

#define ADVANCE_MAX 20000 /* entries made ready in one queue_run() */

_Static_assert(CONFIG_RETRIES_MAX == SCHEDULE_RETRIES_MAX, "a policy is copied whole");

int64_t queue_now(const struct queue *q)
{
    return q->seams.wall_ms(q->seams.ctx);
}

int queue_new(struct queue **ret, const struct queue_settings *settings, struct spool *spool,
              struct rand *rand, const struct queue_seams *seams)
{
    struct queue *q = calloc(1, sizeof(*q));
    int r;

    if (!q)
        return -ENOMEM;
    q->settings = *settings;
    q->spool = spool;
    q->rand = rand;
    q->seams = *seams;
    q->hash_seed = rand_u64(rand);
    map_init(&q->shared, rand_u64(rand));
    map_init(&q->waiting, rand_u64(rand));
    list_init(&q->free_requests);
    list_init(&q->requests_out);
    list_init(&q->folds);
    list_init(&q->shared_claims);
    list_init(&q->kept.requests);
    list_init(&q->sync_waiters);
    list_init(&q->next_waiters);
    r = schedule_new(&q->schedule, &settings->schedule, rand);
    if (r < 0) {
        free(q);
        return r;
    }
    queue_age_init(q);
    r = queue_lanes_new(q);
    if (r == 0)
        r = queue_suppress_init(q);
    if (r < 0) {
        queue_lanes_free(q);
        schedule_free(&q->schedule);
        free(q);
        return r;
    }
    *ret = q;
    return 0;
}

void queue_free(struct queue **qp)
{
    struct queue *q = *qp;
    struct list *node;

    if (!q)
        return;
    ASSERT(q->jobs == 0 && q->requests == 0 && list_is_empty(&q->folds));
    ASSERT(list_is_empty(&q->kept.requests) && list_is_empty(&q->shared_claims));
    ASSERT(list_is_empty(&q->sync_waiters) && list_is_empty(&q->next_waiters));
    while ((node = list_pop(&q->free_requests))) {
        struct queue_request *rq = LIST_ENTRY(node, struct queue_request, node);

        buf_done(&rq->bytes);
        free(rq);
    }
    queue_forget(&q->shared);
    queue_forget(&q->waiting);
    queue_lanes_free(q);
    queue_suppress_done(q);
    queue_age_done(q);
    schedule_free(&q->schedule);
    free(q->recipients);
    free(q);
    *qp = NULL;
}

const struct schedule *queue_schedule(const struct queue *q)
{
    return q->schedule;
}

struct lanes *queue_lanes(const struct queue *q)
{
    return q->lanes;
}

struct spool *queue_spool(const struct queue *q)
{
    return q->spool;
}

void queue_get_figures(const struct queue *q, struct queue_figures *ret)
{
    *ret = (struct queue_figures){.unfiled = q->unfiled + q->unreadable,
                                  .jobs = q->jobs,
                                  .requests = q->requests,
                                  .suppressions = suppressions_count(q->suppress.list),
                                  .suppressions_operator =
                                      suppressions_count_operator(q->suppress.list)};
}

void queue_stop(struct queue *q)
{
    q->stopping = true;
    queue_kept_flush(q);
}

bool queue_is_idle(const struct queue *q)
{
    return q->jobs == 0 && q->requests == 0 && q->suppress.changes_out == 0 && !queue_has_kept(q);
}

/* ---- jobs ---- */

static void job_fill(struct queue *q, struct job *job)
{
    entry_ref refs[JOB_ENTRIES_MAX];
    size_t share = MIN_OF(schedule_share(q->schedule, job->destination), JOB_ENTRIES_MAX);
    size_t n = schedule_take(q->schedule, job->destination, refs, share);

    for (size_t i = 0; i < n; i++) {
        struct schedule_entry entry;
        bool found = schedule_get(q->schedule, refs[i], &entry);

        ASSERT(found);
        job->entries[i] = (struct job_entry){.parcel.deliver = queue_entry_finished,
                                             .job = job,
                                             .ref = refs[i],
                                             .id = entry.id,
                                             .arrival_ms = entry.arrival_ms,
                                             .attempts = entry.attempts};
    }
    if (job->config != q->settings.config) {
        config_unref(&job->config);
        job->config = config_ref(q->settings.config);
    }
    if (job->knowledge != q->settings.knowledge) {
        knowledge_unref(&job->knowledge);
        job->knowledge = knowledge_ref(q->settings.knowledge);
    }
    if (job->filter != suppressions_filter(q->suppress.list)) {
        suppression_filter_unref(&job->filter);
        job->filter = suppression_filter_ref(suppressions_filter(q->suppress.list));
    }
    job->count = (uint32_t)n;
    job->returned = 0;
}

static void job_end(struct queue *q, struct job *job)
{
    schedule_release(q->schedule, job->destination);
    q->jobs--;
    config_unref(&job->config);
    knowledge_unref(&job->knowledge);
    suppression_filter_unref(&job->filter);
    free(job);
}

static void job_send(struct queue *q, struct job *job)
{
    q->seams.dispatch(q->seams.ctx, job);
}

static bool start_job(struct queue *q, uint32_t destination)
{
    struct job *job;

    if (schedule_lane_of(q->schedule, destination) == SCHEDULE_LANE_NEW &&
        queue_join_lane(q, destination)) { /* it has its turn there */
        schedule_release(q->schedule, destination);
        return true;
    }
    job = calloc(1, sizeof(*job));
    if (!job) {
        schedule_release(q->schedule, destination);
        return false;
    }
    q->jobs++;
    job->queue = q;
    job->destination = destination;
    queue_describe_job(q, job);
    job->worker = (uint32_t)rand_below(q->rand, q->seams.workers);
    job_fill(q, job);
    if (job->count == 0)
        job_end(q, job);
    else
        job_send(q, job);
    return true;
}

int64_t queue_run(struct queue *q)
{
    uint32_t destination;
    int64_t age_ms, kept_ms, lanes_ms, suppress_ms;

    kept_ms = queue_kept_step(q);
    if (q->changing && !q->stopping && queue_is_idle(q))
        queue_apply_change(q);
    if (q->stopping || queue_is_frozen(q)) {
        if (q->jobs == 0 && q->requests > 0 &&
            !q->sync_is_out) /* we are waited for: do not wait for a lazy sync */
            queue_sync(q);
        return q->stopping ? SCHEDULE_NEVER : MIN_OF(kept_ms, queue_now(q) + QUEUE_FREEZE_MS);
    }
    if (q->spool_has_failed)
        return SCHEDULE_NEVER;
    if (q->unfiled)
        queue_refile(q);
    age_ms = queue_age_step(q);
    lanes_ms = queue_lanes_step(q);
    suppress_ms = queue_suppress_step(q);
    (void)schedule_advance(q->schedule, queue_now(q), ADVANCE_MAX);
    while (schedule_grant(q->schedule, &destination))
        if (!start_job(q, destination))
            break;
    kept_ms = MIN_OF(MIN_OF(kept_ms, suppress_ms), MIN_OF(age_ms, lanes_ms));
    return MIN_OF(kept_ms, schedule_next_due_ms(q->schedule));
}

/* No host took the job's session; its slot is not yet released. */
static void leave_alone(struct queue *q, const struct job *job)
{
    if (job->was_refused &&
        lanes_session_refused(q->lanes, job->lane, job->destination, queue_now(q)))
        return;
    schedule_destination_failed(q->schedule, job->destination, queue_now(q));
}

void queue_job_returned(struct queue *q, struct job *job)
{
    bool go_on = !q->stopping && !q->spool_has_failed && !queue_is_frozen(q) && !job->is_probe;

    if (job->has_learnt)
        queue_learn(q, job);
    if (job->destination_failed) {
        leave_alone(q, job);
        go_on = false;
    }
    if (go_on)
        job_fill(q, job);
    if (go_on && job->count > 0)
        job_send(q, job);
    else
        job_end(q, job);
}
