/*
 * deliver/queue.c - filing messages, handing out jobs, settling results.
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
#include "base/bytes.h"
#include "base/id.h"
#include "config/config.h"
#include "deliver/destination.h"
#include "deliver/queue_int.h"
#include "event/event.h"

#define ADVANCE_MAX 20000 /* entries made ready in one queue_run() */
#define FREE_REQUESTS_MAX 256
#define FREE_REQUEST_BYTES_MAX KIB(4) /* of a mark, kept for the next one */
#define FREEZE_MS 5000                /* new routes wait so long for jobs to come back, ... */
#define FREEZE_EVERY_MS                                                                            \
    60000 /* ... and after that, so often: a host that hangs must not stop all */
#define REFILE_EVERY_MS 60000

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
    list_init(&q->free_requests);
    list_init(&q->requests_out);
    list_init(&q->folds);
    r = schedule_new(&q->schedule, &settings->schedule, rand);
    if (r < 0) {
        free(q);
        return r;
    }
    queue_age_init(q);
    *ret = q;
    return 0;
}

static void forget_shared(struct queue *q)
{
    size_t it = 0;
    struct slice key;
    void *value;

    while (map_next(&q->shared, &it, &key, &value))
        free(value);
    map_done(&q->shared);
}

void queue_free(struct queue **qp)
{
    struct queue *q = *qp;
    struct list *node;

    if (!q)
        return;
    ASSERT(q->jobs == 0 && q->requests == 0 && list_is_empty(&q->folds));
    while ((node = list_pop(&q->free_requests))) {
        struct queue_request *rq = LIST_ENTRY(node, struct queue_request, node);

        buf_done(&rq->bytes);
        free(rq);
    }
    forget_shared(q);
    schedule_free(&q->schedule);
    free(q->recipients);
    free(q);
    *qp = NULL;
}

const struct schedule *queue_schedule(const struct queue *q)
{
    return q->schedule;
}

struct spool *queue_spool(const struct queue *q)
{
    return q->spool;
}

void queue_get_figures(const struct queue *q, struct queue_figures *ret)
{
    *ret = (struct queue_figures){
        .unfiled = q->unfiled + q->unreadable, .jobs = q->jobs, .requests = q->requests};
}

void queue_stop(struct queue *q)
{
    q->stopping = true;
}

bool queue_is_idle(const struct queue *q)
{
    return q->jobs == 0 && q->requests == 0;
}

/* ---- requests to the spool's writer ---- */

static const char *op_name(enum spool_op op)
{
    static const char *const names[] = {
        [SPOOL_OP_APPEND] = "append",       [SPOOL_OP_COMMIT] = "commit",
        [SPOOL_OP_ABORT] = "abort",         [SPOOL_OP_MARK] = "mark",
        [SPOOL_OP_REWRITE] = "rewrite",     [SPOOL_OP_REMOVE] = "remove",
        [SPOOL_OP_SET_ASIDE] = "set aside", [SPOOL_OP_SYNC] = "sync",
    };

    return names[op];
}

void queue_request_drop(struct queue_request *rq)
{
    struct queue *q = rq->queue;

    if (buf_len(&rq->bytes) > FREE_REQUEST_BYTES_MAX)
        buf_done(&rq->bytes);
    if (q->free_request_count >= FREE_REQUESTS_MAX) {
        buf_done(&rq->bytes);
        free(rq);
        return;
    }
    q->free_request_count++;
    list_add_head(&q->free_requests, &rq->node);
}

/*
 * A spool that has failed records nothing until it is opened again: whatever is sent now would be
 * sent again after the restart. So nothing is.
 */
static void note_failure(struct queue *q, int result)
{
    if (result != -ERR_FAILED || q->spool_has_failed)
        return;
    q->spool_has_failed = true;
    event(EVENT_SPOOL_ERROR, EVENT_NO_ID, EV_ERR("why", result),
          EV_STR("then", "no mail is sent until a restart, as its delivery could not be recorded"));
}

static void request_answered(struct parcel *p, void *receiver)
{
    struct queue_request *rq = CONTAINER_OF(p, struct queue_request, r.parcel);
    struct queue *q = rq->queue;

    (void)receiver;
    q->requests--;
    list_del(&rq->node);
    if (rq->r.result < 0 && rq->r.result != -ENOENT && rq->r.result != -E2BIG)
        event(EVENT_SPOOL_ERROR, rq->r.id, EV_STR("request", op_name(rq->r.op)),
              EV_ERR("why", rq->r.result));
    note_failure(q, rq->r.result);
    if (rq->answered)
        rq->answered(rq);
    queue_request_drop(rq);
    queue_fold_step(q);
}

struct queue_request *queue_request_new(struct queue *q, enum spool_op op, uint64_t id)
{
    struct list *node = list_pop(&q->free_requests);
    struct queue_request *rq;

    if (node) {
        rq = LIST_ENTRY(node, struct queue_request, node);
        q->free_request_count--;
        buf_clear(&rq->bytes);
    } else {
        rq = calloc(1, sizeof(*rq));
        if (!rq)
            return NULL;
        buf_init(&rq->bytes, SPOOL_ENVELOPE_MAX);
    }
    rq->r = (struct spool_request){
        .parcel.deliver = request_answered, .op = op, .id = id, .answer_to = q->seams.answers};
    rq->queue = q;
    list_init(&rq->node);
    rq->answered = NULL;
    rq->ctx = NULL;
    rq->ref = ENTRY_NONE;
    return rq;
}

void queue_request_post(struct queue_request *rq)
{
    struct queue *q = rq->queue;

    q->requests++;
    list_add_tail(&q->requests_out, &rq->node);
    q->seams.post(q->seams.ctx, &rq->r);
}

/* ---- filing ---- */

int queue_decode(struct queue *q, struct slice bytes, struct envelope *ret)
{
    int r = envelope_decode(bytes, q->recipients, q->recipients_room, ret);
    struct recipient *more;

    if (r != -ENOBUFS)
        return r;
    more = realloc(q->recipients, ret->recipient_count * sizeof(*more));
    if (!more)
        return -ENOMEM;
    q->recipients = more;
    q->recipients_room = ret->recipient_count;
    return envelope_decode(bytes, q->recipients, q->recipients_room, ret);
}

/* Pending recipients of one message that go the same way. */
struct group {
    struct slice destination;
    uint32_t attempts;
    int64_t due_ms;
};

static void group_join(struct group *g, const struct recipient *rcpt)
{
    g->attempts = MAX_OF(g->attempts, rcpt->attempts);
    g->due_ms = MIN_OF(g->due_ms, rcpt->next_attempt_ms);
}

struct slice queue_destination_of(const struct queue *q, const struct recipient *rcpt)
{
    return destination_name(q->settings.config, address_domain(rcpt->address));
}

/* Finds or adds the group of each pending recipient. Returns how many groups, or -ENOMEM. */
static ptrdiff_t make_groups(struct queue *q, const struct envelope *e, struct group *groups)
{
    struct map seen;
    size_t count = 0;

    map_init(&seen, q->hash_seed);
    for (size_t i = 0; i < e->recipient_count; i++) {
        const struct recipient *rcpt = &e->recipients[i];
        struct slice destination = queue_destination_of(q, rcpt);
        struct group *g;

        if (rcpt->state != RECIPIENT_PENDING)
            continue;
        g = map_get(&seen, destination);
        if (!g) {
            g = &groups[count++];
            *g = (struct group){.destination = destination, .due_ms = INT64_MAX};
            if (map_put(&seen, destination, g) < 0) {
                map_done(&seen);
                return -ENOMEM;
            }
        }
        group_join(g, rcpt);
    }
    map_done(&seen);
    return (ptrdiff_t)count;
}

static int share_message(struct queue *q, uint64_t id, uint32_t entries)
{
    struct shared_message *m = calloc(1, sizeof(*m));
    int r;

    if (!m)
        return -ENOMEM;
    (void)id_format(id, m->key);
    m->entries = entries;
    r = map_put(&q->shared, slice_str(m->key), m);
    if (r < 0)
        free(m);
    return r;
}

static struct shared_message *find_shared(struct queue *q, uint64_t id)
{
    char key[ID_TEXT_MAX];

    if (map_count(&q->shared) == 0)
        return NULL;
    (void)id_format(id, key);
    return map_get(&q->shared, slice_str(key));
}

/* A destination with a policy block of its own (config_find_destination()). */
static int apply_policy(struct queue *q, struct slice destination)
{
    const struct config_destination *d = config_find_destination(q->settings.config, destination);
    struct retry_policy policy = q->settings.schedule.retry;

    if (!d)
        return 0;
    policy.delay_count = (uint32_t)d->retry.delay_count;
    memcpy(policy.delays_s, d->retry.delays_s, sizeof(policy.delays_s));
    policy.jitter = d->retry.jitter;
    policy.max_queue_time_s = (uint32_t)d->retry.max_queue_time_s;
    return schedule_set_policy(q->schedule, destination, &policy, d->connections_max);
}

/* Who sends, for the fair turn: a client and a domain. Not the address, which differs in every
 * message of a mailing that uses VERP. */
static uint64_t sender_hash(const struct queue *q, const struct envelope *e)
{
    return slice_hash_case(address_domain(e->sender), slice_hash_case(e->client_ip, q->hash_seed));
}

static int file_group(struct queue *q, uint64_t id, const struct envelope *e, const struct group *g)
{
    entry_ref ref;

    if (q->settings.config->destination_count && apply_policy(q, g->destination) < 0)
        return -ENOMEM;
    return schedule_add(q->schedule, id, g->destination, sender_hash(q, e), e->arrival_ms,
                        g->attempts, g->due_ms, e->flags & ENVELOPE_HELD, &ref);
}

/* Forgets the entries of a message that could be filed only in part. */
static void unfile(struct queue *q, uint64_t id)
{
    entry_ref refs[16];
    size_t n;

    do {
        n = schedule_find(q->schedule, id, refs, ARRAY_SIZE(refs));
        for (size_t i = 0; i < MIN_OF(n, ARRAY_SIZE(refs)); i++)
            ignore_result(schedule_cancel(q->schedule, refs[i]));
    } while (n > ARRAY_SIZE(refs));
}

static int file_many(struct queue *q, uint64_t id, const struct envelope *e)
{
    struct group *groups = calloc(e->recipient_count, sizeof(*groups));
    ptrdiff_t count = groups ? make_groups(q, e, groups) : -ENOMEM;
    int r = count < 0 ? -ENOMEM : 0;

    if (count > 1)
        r = share_message(q, id, (uint32_t)count);
    for (ptrdiff_t i = 0; r == 0 && i < count; i++)
        r = file_group(q, id, e, &groups[i]);
    free(groups);
    if (r < 0 && count > 0) {
        struct shared_message *m = find_shared(q, id);

        unfile(q, id);
        if (m)
            free(map_remove(&q->shared, slice_str(m->key)));
    }
    return r;
}

static int file_message(struct queue *q, uint64_t id, const struct envelope *e)
{
    struct group g = {.due_ms = INT64_MAX};

    if (e->recipient_count != 1)
        return file_many(q, id, e);
    if (e->recipients[0].state != RECIPIENT_PENDING)
        return 0;
    g.destination = queue_destination_of(q, &e->recipients[0]);
    group_join(&g, &e->recipients[0]);
    return file_group(q, id, e, &g);
}

/* A crash between the last mark and the removal leaves a message with nothing pending. */
static void remove_finished(struct queue *q, uint64_t id)
{
    struct queue_request *rq = queue_request_new(q, SPOOL_OP_REMOVE, id);

    if (rq)
        queue_request_post(rq);
}

static int load_one(void *ctx, uint64_t id, struct slice envelope, struct slice marks)
{
    struct queue *q = ctx;
    struct envelope e;
    int r = queue_decode(q, envelope, &e);

    q->loaded_id_max = MAX_OF(q->loaded_id_max, id);
    if (r == 0)
        ignore_result(envelope_apply_marks(&e, marks)); /* what precedes the damage is applied */
    if (r == -ERR_DAMAGED) { /* its checksum was right: of a future version; leave it alone */
        q->unreadable++;
        return 0;
    }
    if (r == 0 && !envelope_is_pending(&e)) {
        remove_finished(q, id);
        return 0;
    }
    if (r == 0)
        r = file_message(q, id, &e);
    if (r != -ENOBUFS)
        return r;
    q->unfiled++;
    return 0;
}

static bool is_filed(const struct queue *q, uint64_t id)
{
    return schedule_find(q->schedule, id, NULL, 0) > 0;
}

static int load_one_more(void *ctx, uint64_t id, struct slice envelope, struct slice marks)
{
    return is_filed(ctx, id) ? 0 : load_one(ctx, id, envelope, marks);
}

int queue_load(struct queue *q)
{
    q->unfiled = q->unreadable = 0;
    return spool_each(q->spool, load_one, q);
}

void queue_committed(struct queue *q, uint64_t id, struct slice envelope)
{
    struct envelope e;

    /* Durable already when everything was filed anew, and found in the spool then? */
    if (id <= q->loaded_id_max && is_filed(q, id))
        return;
    if (queue_decode(q, envelope, &e) < 0 || file_message(q, id, &e) < 0)
        q->unfiled++;
}

bool queue_is_full(const struct queue *q)
{
    struct schedule_totals totals;

    schedule_get_totals(q->schedule, &totals);
    return q->unfiled > 0 || totals.entries >= q->settings.schedule.entries_max;
}

/*
 * Looks in the spool for what could not be filed, when there is room again. No request may be out:
 * a removal on its way would let us file what is finished.
 */
static void refile(struct queue *q)
{
    uint64_t max = q->settings.schedule.entries_max;
    int64_t now_ms = queue_now(q);
    struct schedule_totals totals;

    schedule_get_totals(q->schedule, &totals);
    if (q->refile_ms > now_ms + REFILE_EVERY_MS) /* the clock was set back */
        q->refile_ms = now_ms;
    if (q->requests > 0 || now_ms < q->refile_ms || totals.entries > max - max / 8)
        return;
    q->refile_ms = now_ms + REFILE_EVERY_MS;
    q->unfiled = q->unreadable = 0;
    if (spool_each(q->spool, load_one_more, q) < 0)
        q->unfiled++;
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
                                             .attempts = entry.attempts};
    }
    if (job->config != q->settings.config) {
        config_unref(&job->config);
        job->config = config_ref(q->settings.config);
    }
    job->count = (uint32_t)n;
    job->returned = 0;
}

static void job_end(struct queue *q, struct job *job)
{
    schedule_release(q->schedule, job->destination);
    q->jobs--;
    config_unref(&job->config);
    free(job);
}

static void job_send(struct queue *q, struct job *job)
{
    q->seams.dispatch(q->seams.ctx, job);
}

static bool start_job(struct queue *q, uint32_t destination)
{
    struct job *job = calloc(1, sizeof(*job));
    struct slice name;

    if (!job) {
        schedule_release(q->schedule, destination);
        return false;
    }
    q->jobs++;
    name = schedule_destination_name(q->schedule, destination);
    ASSERT(name.len < sizeof(job->name));
    memcpy(job->name, name.ptr, name.len);
    job->queue = q;
    job->destination = destination;
    job->worker = (uint32_t)rand_below(q->rand, q->seams.workers);
    job_fill(q, job);
    if (job->count == 0)
        job_end(q, job);
    else
        job_send(q, job);
    return true;
}

static void apply_change(struct queue *q)
{
    struct schedule *fresh;

    if (schedule_new(&fresh, &q->next_settings.schedule, q->rand) < 0)
        return; /* tried again at the next run */
    schedule_free(&q->schedule);
    q->schedule = fresh;
    forget_shared(q);
    q->age.is_in_round = false;
    q->settings = q->next_settings;
    q->changing = false;
    if (queue_load(q) < 0)
        q->unfiled++;
    q->changed(q->changed_ctx);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_retries(const struct config_retry *a, const struct config_retry *b)
{
    return a->delay_count == b->delay_count && !(a->jitter < b->jitter) &&
           !(a->jitter > b->jitter) && a->max_queue_time_s == b->max_queue_time_s &&
           memcmp(a->delays_s, b->delays_s, a->delay_count * sizeof(a->delays_s[0])) == 0;
}

static bool same_routes(const struct config_delivery *a, const struct config_delivery *b)
{
    bool same =
        a->route_count == b->route_count && same_text(a->smart_host.text, b->smart_host.text);

    for (size_t i = 0; same && i < a->route_count; i++)
        same = same_text(a->routes[i].domain, b->routes[i].domain) &&
               same_text(a->routes[i].to.text, b->routes[i].to.text);
    return same;
}

static bool same_policies(const struct config *a, const struct config *b)
{
    bool same = a->destination_count == b->destination_count;

    if (same && a->destination_count) /* their policies have it from there */
        same = a->retry.delay_warning_s == b->retry.delay_warning_s;
    for (size_t i = 0; same && i < a->destination_count; i++) {
        const struct config_destination *x = &a->destinations[i], *y = &b->destinations[i];

        same = same_text(x->destination, y->destination) &&
               x->connections_max == y->connections_max && same_retries(&x->retry, &y->retry);
    }
    return same;
}

int queue_change_settings(struct queue *q, const struct queue_settings *settings,
                          void (*fn)(void *ctx), void *ctx)
{
    const struct config *old = q->settings.config, *next = settings->config;

    if (q->changing)
        return -EBUSY;
    if (same_routes(&old->delivery, &next->delivery) && same_policies(old, next)) {
        q->settings = *settings;
        schedule_set_config(q->schedule, &settings->schedule);
        fn(ctx);
        return 0;
    }
    q->changing = true;
    q->change_began_ms = queue_now(q);
    q->next_settings = *settings;
    q->changed = fn;
    q->changed_ctx = ctx;
    return 0;
}

static bool is_frozen(const struct queue *q)
{
    return q->changing && (queue_now(q) - q->change_began_ms) % FREEZE_EVERY_MS < FREEZE_MS;
}

static void sync_answered(struct queue_request *rq)
{
    struct queue *q = rq->queue;

    q->sync_is_out = false;
    if (q->sync_again)
        queue_sync(q);
}

void queue_sync(struct queue *q)
{
    struct queue_request *rq;

    q->sync_again = q->sync_is_out; /* that one may be too early for what came since */
    rq = q->sync_is_out ? NULL : queue_request_new(q, SPOOL_OP_SYNC, EVENT_NO_ID);
    if (!rq)
        return;
    q->sync_is_out = true;
    rq->answered = sync_answered;
    queue_request_post(rq);
}

int64_t queue_run(struct queue *q)
{
    uint32_t destination;
    int64_t age_ms;

    if (q->changing && !q->stopping && queue_is_idle(q))
        apply_change(q);
    if (q->stopping || is_frozen(q)) {
        if (q->jobs == 0 && q->requests > 0 &&
            !q->sync_is_out) /* we are waited for: do not wait for a lazy sync */
            queue_sync(q);
        return q->stopping ? SCHEDULE_NEVER : queue_now(q) + FREEZE_MS;
    }
    if (q->spool_has_failed)
        return SCHEDULE_NEVER;
    if (q->unfiled)
        refile(q);
    age_ms = queue_age_step(q);
    (void)schedule_advance(q->schedule, queue_now(q), ADVANCE_MAX);
    while (schedule_grant(q->schedule, &destination))
        if (!start_job(q, destination))
            break;
    return MIN_OF(age_ms, schedule_next_due_ms(q->schedule));
}

static void job_returned(struct queue *q, struct job *job)
{
    bool go_on = !q->stopping && !q->spool_has_failed && !is_frozen(q);

    if (job->destination_failed) {
        schedule_destination_failed(q->schedule, job->destination, queue_now(q));
        go_on = false;
    }
    if (go_on)
        job_fill(q, job);
    if (go_on && job->count > 0)
        job_send(q, job);
    else
        job_end(q, job);
}

/* ---- results ---- */

struct attempt_details *attempt_details_new(size_t count)
{
    struct attempt_details *d;
    size_t each = MIN_OF(ENVELOPE_TEXT_MAX, ATTEMPT_TEXT_TOTAL_MAX / MAX_OF(count, 1));

    ASSERT(count <= ENVELOPE_RECIPIENTS_MAX);
    d = calloc(1, sizeof(*d) + count * (sizeof(d->results[0]) + each));
    if (!d)
        return NULL;
    d->room = count;
    d->text = (char *)(d->results + count);
    d->text_each_max = each;
    return d;
}

void attempt_add(struct attempt_details *d, uint32_t recipient, enum recipient_state state,
                 uint16_t code, struct slice text)
{
    struct mark_result *last = d->count ? &d->results[d->count - 1] : NULL;

    ASSERT(d->count < d->room);
    text = slice_sub(text, 0, d->text_each_max);
    if (last && slice_eq(last->text, text)) {
        text = last->text; /* the same reply for many recipients is kept once */
    } else if (text.len) {
        memcpy(d->text + d->text_len, text.ptr, text.len);
        text.ptr = (const uint8_t *)d->text + d->text_len;
        d->text_len += text.len;
    }
    d->results[d->count++] = (struct mark_result){
        .recipient = recipient, .state = (uint8_t)state, .code = code, .text = text};
}

void attempt_details_free(struct attempt_details **d)
{
    free(*d);
    *d = NULL;
}

bool details_any(const struct attempt_details *d, enum recipient_state state)
{
    for (size_t i = 0; d && i < d->count; i++)
        if (d->results[i].state == state)
            return true;
    return false;
}

static bool details_settle_any(const struct attempt_details *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->results[i].state != RECIPIENT_PENDING)
            return true;
    return false;
}

void settlement_init(struct settlement *s, struct queue *q, entry_ref ref, uint64_t id)
{
    *s = (struct settlement){.queue = q,
                             .ref = ref,
                             .id = id,
                             .now_ms = queue_now(q),
                             .delayed = BUF_INIT(ENVELOPE_RECIPIENTS_MAX * sizeof(uint32_t))};
}

void settlement_free(struct settlement *s)
{
    attempt_details_free(&s->details);
    buf_done(&s->delayed);
    free(s);
}

static void post_mark(struct settlement *s, enum mark_kind kind, int64_t next_ms,
                      const struct mark_result *results, size_t count, entry_ref claimed)
{
    struct mark m = {.kind = kind,
                     .at_ms = s->now_ms,
                     .next_attempt_ms = next_ms,
                     .results = results,
                     .result_count = count};

    queue_post_mark(s->queue, s->id, &m, claimed);
}

/* `claimed` is released with the last of them. */
static void post_delay_marks(struct settlement *s, entry_ref claimed)
{
    struct cursor c = cursor_make(buf_slice(&s->delayed));
    struct mark_result results[64];
    size_t n = 0;

    while (!cursor_at_end(&c)) {
        results[n++] = (struct mark_result){.recipient = cursor_u32(&c)};
        if (n == ARRAY_SIZE(results) || cursor_at_end(&c)) {
            post_mark(s, MARK_DELAY_DSN, 0, results, n, cursor_at_end(&c) ? claimed : ENTRY_NONE);
            n = 0;
        }
    }
}

/* One entry of the message less. True: it was the last. */
static bool leave_message(struct queue *q, uint64_t id)
{
    struct shared_message *m = find_shared(q, id);

    if (m && --m->entries > 0)
        return false;
    if (m)
        free(map_remove(&q->shared, slice_str(m->key)));
    return true;
}

/* The entry's recipients are all settled: the message ends with its last entry. */
static void end_entry(struct settlement *s)
{
    struct queue *q = s->queue;

    if (leave_message(q, s->id))
        remove_finished(q, s->id);
    else if (s->details)
        post_mark(s, MARK_ATTEMPT, 0, s->details->results, s->details->count, ENTRY_NONE);
    if (s->is_claimed) { /* which tells nothing of the destination's health */
        schedule_unclaim(q->schedule, s->ref, true);
        ignore_result(schedule_cancel(q->schedule, s->ref));
    } else {
        schedule_done(q->schedule, s->ref);
    }
}

/*
 * The entry waits for its next attempt. Where more is known of its recipients than that they are
 * deferred, nobody may read them as before, so it stays active till the last mark is written.
 */
static void retry_entry(struct settlement *s)
{
    struct queue *q = s->queue;
    int64_t due = schedule_retry(q->schedule, s->ref, s->now_ms);
    bool late = buf_len(&s->delayed) > 0;
    entry_ref claimed = ENTRY_NONE;

    if ((late || details_settle_any(s->details)) && schedule_claim(q->schedule, s->ref) == 0)
        claimed = s->ref;
    post_mark(s, MARK_ATTEMPT, due, s->details->results, s->details->count,
              late ? ENTRY_NONE : claimed);
    post_delay_marks(s, claimed);
}

/* No attempt was made: it waits, or is held, as before. */
static void let_go(struct settlement *s)
{
    if (buf_len(&s->delayed))
        post_delay_marks(s, s->ref);
    else
        schedule_unclaim(s->queue->schedule, s->ref, s->was_held);
}

void queue_settle(struct settlement *s)
{
    if (!details_any(s->details, RECIPIENT_PENDING))
        end_entry(s);
    else if (s->is_claimed)
        let_go(s);
    else
        retry_entry(s);
    settlement_free(s);
}

/* What was delivered stays so; who failed without a report is pending again. */
static void unlearn_failures(struct attempt_details *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->results[i].state == RECIPIENT_FAILED)
            d->results[i].state = RECIPIENT_PENDING;
}

void queue_settle_later(struct settlement *s)
{
    if (s->details)
        unlearn_failures(s->details);
    if (s->is_claimed)
        let_go(s);
    else if (s->details && details_any(s->details, RECIPIENT_PENDING))
        retry_entry(s);
    else if (s->details)
        end_entry(s);
    else
        (void)schedule_retry(s->queue->schedule, s->ref, s->now_ms);
    settlement_free(s);
}

/*
 * A shared message whose entry was delivered whole needs the recipients marked while other entries
 * of it are left, and the worker gives no details when it saw nobody else pending. Where the two
 * disagree (its marks were not yet written when the worker read them) the entry is tried again:
 * twice rather than lost track of. The last entry needs none: the message is removed.
 */
static bool needs_details(struct settlement *s)
{
    const struct shared_message *m = s->details ? NULL : find_shared(s->queue, s->id);

    return m && m->entries > 1;
}

static bool needs_report(const struct settlement *s)
{
    const struct schedule *schedule = s->queue->schedule;

    if (s->success_dsn || details_any(s->details, RECIPIENT_FAILED))
        return true;
    return details_any(s->details, RECIPIENT_PENDING) &&
           (schedule_is_expired(schedule, s->ref, s->now_ms) ||
            queue_is_late(s->queue, s->ref, s->now_ms));
}

static void settle_result(struct queue *q, struct job_entry *entry)
{
    struct settlement *s = calloc(1, sizeof(*s));

    if (!s) {
        (void)schedule_retry(q->schedule, entry->ref, queue_now(q));
        attempt_details_free(&entry->details);
        return;
    }
    settlement_init(s, q, entry->ref, entry->id);
    s->success_dsn = entry->success_dsn;
    s->details = entry->details;
    entry->details = NULL;
    if (needs_details(s))
        queue_settle_later(s);
    else if (needs_report(s))
        report_then_settle(s);
    else
        queue_settle(s);
}

/* What can still be read of a damaged message is kept in files beside the spool. */
static void set_aside(struct queue *q, uint64_t id)
{
    struct queue_request *rq = queue_request_new(q, SPOOL_OP_SET_ASIDE, id);

    if (rq)
        queue_request_post(rq);
}

/* The common case, with nothing to remember: one destination, everyone delivered. */
static bool settle_quickly(struct queue *q, struct job_entry *entry)
{
    if (entry->outcome != ATTEMPT_DELIVERED || entry->details || entry->success_dsn ||
        find_shared(q, entry->id))
        return false;
    remove_finished(q, entry->id);
    schedule_done(q->schedule, entry->ref);
    return true;
}

void queue_entry_finished(struct parcel *p, void *receiver)
{
    struct job_entry *entry = CONTAINER_OF(p, struct job_entry, parcel);
    struct job *job = entry->job;
    struct queue *q = job->queue;

    (void)receiver;
    switch (entry->outcome) {
    case ATTEMPT_NOT_MADE:
        schedule_return(q->schedule, entry->ref);
        break;
    case ATTEMPT_UNKNOWN:
        (void)schedule_retry(q->schedule, entry->ref, queue_now(q));
        break;
    case ATTEMPT_DAMAGED:
        set_aside(q, entry->id);
        __attribute__((fallthrough));
    case ATTEMPT_GONE:
        (void)leave_message(q, entry->id);
        schedule_done(q->schedule, entry->ref);
        break;
    case ATTEMPT_DELIVERED:
    case ATTEMPT_MIXED:
        if (!settle_quickly(q, entry))
            settle_result(q, entry);
        break;
    }
    if (++job->returned == job->count)
        job_returned(q, job);
}
