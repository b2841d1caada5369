/*
 * deliver/queue_file.c - filing: which entries a message makes, from the spool at start, and as it
 * is committed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "config/config.h"
#include "deliver/destination.h"
#include "deliver/queue_int.h"

#define REFILE_EVERY_MS 60000

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

struct shared_message *queue_find_shared(struct queue *q, uint64_t id)
{
    char key[ID_TEXT_MAX];

    if (map_count(&q->shared) == 0)
        return NULL;
    (void)id_format(id, key);
    return map_get(&q->shared, slice_str(key));
}

void queue_forget(struct map *m)
{
    size_t it = 0;
    struct slice key;
    void *value;

    while (map_next(m, &it, &key, &value))
        free(value);
    map_done(m);
}

/* Who sends, for the fair turn: a client and a domain. Not the address, which differs in every
 * message of a mailing that uses VERP. */
static uint64_t sender_hash(const struct queue *q, const struct envelope *e)
{
    return slice_hash_case(address_domain(e->sender), slice_hash_case(e->client_ip, q->hash_seed));
}

static int file_group(struct queue *q, uint64_t id, const struct envelope *e, const struct group *g)
{
    struct schedule_entry entry;
    struct queue_key key;
    entry_ref ref;
    int r;

    queue_key_for(q, g->destination, id, &key);
    r = schedule_add(q->schedule, id, slice_make(key.bytes, key.len), sender_hash(q, e),
                     e->arrival_ms, g->attempts, g->due_ms, e->flags & ENVELOPE_HELD, &ref);
    if (r == 0 && schedule_get(q->schedule, ref, &entry) && entry.lane == SCHEDULE_LANE_NEW)
        (void)queue_join_lane(q, entry.destination_index); /* else its first job asks */
    return r;
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

static void wait_for_room(struct queue *q, uint64_t id)
{
    struct waiting_message *m;

    q->unfiled++;
    if (id <= q->first_id_max)
        return;
    m = calloc(1, sizeof(*m));
    if (!m) {
        q->may_file_all = true;
        return;
    }
    (void)id_format(id, m->key);
    free(map_remove(&q->waiting, slice_str(m->key)));
    if (map_put(&q->waiting, slice_str(m->key), m) < 0) {
        q->may_file_all = true;
        free(m);
    }
}

static void stop_waiting(struct queue *q, uint64_t id)
{
    char key[ID_TEXT_MAX];

    if (map_count(&q->waiting) == 0)
        return;
    (void)id_format(id, key);
    free(map_remove(&q->waiting, slice_str(key)));
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
        struct shared_message *m = queue_find_shared(q, id);

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

void queue_post_removal(struct queue *q, uint64_t id)
{
    struct queue_request *rq = queue_request_new(q, SPOOL_OP_REMOVE, id);

    if (!rq)
        return;
    rq->kept_as = KEPT;
    queue_request_post(rq);
}

static int load_one(void *ctx, uint64_t id, struct slice envelope, struct slice marks)
{
    struct queue *q = ctx;
    struct envelope e;
    int r = queue_decode(q, envelope, &e);

    if (r == 0)
        ignore_result(envelope_apply_marks(&e, marks)); /* what precedes the damage is applied */
    if (r == -ERR_DAMAGED) { /* its checksum was right: of a future version; leave it alone */
        q->unreadable++;
        return 0;
    }
    if (r == 0 && !envelope_is_pending(&e)) { /* a crash came between last mark and removal */
        queue_post_removal(q, id);
        return 0;
    }
    if (r == 0)
        r = file_message(q, id, &e);
    if (r == 0)
        stop_waiting(q, id);
    if (r != -ENOBUFS)
        return r;
    wait_for_room(q, id);
    return 0;
}

static int load_first(void *ctx, uint64_t id, struct slice envelope, struct slice marks)
{
    struct queue *q = ctx;

    q->first_id_max = MAX_OF(q->first_id_max, id);
    return load_one(ctx, id, envelope, marks);
}

int queue_load(struct queue *q)
{
    q->unfiled = q->unreadable = 0;
    return spool_each(q->spool, load_first, q);
}

static bool may_file(const struct queue *q, uint64_t id)
{
    char key[ID_TEXT_MAX];

    if (q->may_file_all || id <= q->first_id_max || (q->old && schedule_find(q->old, id, NULL, 0)))
        return true;
    (void)id_format(id, key);
    return map_get(&q->waiting, slice_str(key)) != NULL;
}

static int load_one_more(void *ctx, uint64_t id, struct slice envelope, struct slice marks)
{
    const struct queue *q = ctx;
    bool is_filed = schedule_find(q->schedule, id, NULL, 0) > 0;

    return is_filed || !may_file(q, id) ? 0 : load_one(ctx, id, envelope, marks);
}

static void load_more(struct queue *q)
{
    q->unfiled = q->unreadable = 0;
    if (spool_each(q->spool, load_one_more, q) < 0) { /* those after it are not known to us */
        q->unfiled++;
        q->may_file_all = true;
    } else if (q->unfiled == 0) {
        q->may_file_all = false;
    }
}

void queue_file_anew(struct queue *q, struct schedule *fresh)
{
    q->old = q->schedule;
    q->schedule = fresh;
    queue_forget(&q->shared);
    load_more(q);
    schedule_free(&q->old);
}

void queue_committed(struct queue *q, uint64_t id, struct slice envelope)
{
    struct envelope e;

    if (queue_decode(q, envelope, &e) < 0 || file_message(q, id, &e) < 0)
        wait_for_room(q, id);
}

bool queue_is_full(const struct queue *q)
{
    struct schedule_totals totals;

    schedule_get_totals(q->schedule, &totals);
    return q->unfiled > 0 || totals.entries >= q->settings.schedule.entries_max;
}

void queue_refile(struct queue *q)
{
    uint64_t max = q->settings.schedule.entries_max;
    int64_t now_ms = queue_now(q);
    struct schedule_totals totals;

    schedule_get_totals(q->schedule, &totals);
    if (q->refile_ms > now_ms + REFILE_EVERY_MS) /* the clock was set back */
        q->refile_ms = now_ms;
    if (q->requests > 0 || queue_has_kept(q) || now_ms < q->refile_ms ||
        totals.entries > max - max / 8)
        return;
    q->refile_ms = now_ms + REFILE_EVERY_MS;
    load_more(q);
}
