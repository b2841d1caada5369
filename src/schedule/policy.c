#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "schedule/schedule_int.h"

void policies_init(struct policies *p, uint64_t seed)
{
    *p = (struct policies){0};
    map_init(&p->by_name, seed);
}

void policies_done(struct policies *p)
{
    struct slice name;
    void *policy;
    size_t it = 0;

    while (map_next(&p->by_name, &it, &name, &policy))
        free(policy);
    map_done(&p->by_name);
    for (size_t i = 0; i < POLICY_BUCKETS; i++)
        while (p->buckets[i]) {
            struct shared_policy *next = p->buckets[i]->chain;

            free(p->buckets[i]);
            p->buckets[i] = next;
        }
}

/* ---- by name ---- */

static struct policy *policy_new(struct slice name, const struct retry_policy *retry,
                                 uint32_t connections)
{
    struct policy *p = calloc(1, sizeof(*p) + name.len);

    if (!p)
        return NULL;
    if (retry) {
        p->retry = *retry;
        p->has_retry = true;
    }
    p->connections = connections;
    p->name_len = (uint32_t)name.len;
    for (size_t i = 0; i < name.len; i++)
        p->name[i] = byte_lower(name.ptr[i]);
    return p;
}

int policies_set(struct policies *p, struct slice name, const struct retry_policy *retry,
                 uint32_t connections, struct policy **ret, struct policy **ret_old)
{
    struct policy *old = map_get(&p->by_name, name), *made = NULL;

    if (retry || connections > 0) {
        made = policy_new(name, retry, connections);
        if (!made || map_put(&p->by_name, slice_make(made->name, made->name_len), made) < 0) {
            free(made);
            return -ENOMEM;
        }
    } else {
        (void)map_remove(&p->by_name, name);
    }
    p->bytes += made ? sizeof(*made) + made->name_len : 0;
    p->bytes -= old ? sizeof(*old) + old->name_len : 0;
    *ret = made;
    *ret_old = old;
    return 0;
}

/* ---- by lane ---- */

static bool same_retry(const struct retry_policy *a, const struct retry_policy *b)
{
    return a->delay_count == b->delay_count && !(a->jitter < b->jitter) &&
           !(a->jitter > b->jitter) && a->max_queue_time_s == b->max_queue_time_s &&
           a->delay_dsn_s == b->delay_dsn_s &&
           memcmp(a->delays_s, b->delays_s, a->delay_count * sizeof(a->delays_s[0])) == 0;
}

static struct shared_policy **bucket_of(struct policies *p, const struct retry_policy *retry,
                                        uint32_t connections)
{
    uint64_t key = connections;

    for (uint32_t i = 0; retry && i < retry->delay_count; i++)
        key = (key ^ retry->delays_s[i]) * 0x9e3779b97f4a7c15u;
    if (retry)
        key ^= retry->max_queue_time_s;
    return &p->buckets[(key * 0x9e3779b97f4a7c15u >> 32) % POLICY_BUCKETS];
}

struct shared_policy *policies_share(struct policies *p, const struct retry_policy *retry,
                                     uint32_t connections)
{
    struct shared_policy **bucket = bucket_of(p, retry, connections);
    struct shared_policy *shared = *bucket;

    while (shared && (shared->connections != connections || shared->has_retry != (retry != NULL) ||
                      (retry && !same_retry(&shared->retry, retry))))
        shared = shared->chain;
    if (!shared) {
        shared = calloc(1, sizeof(*shared));
        if (!shared)
            return NULL;
        if (retry)
            shared->retry = *retry;
        shared->has_retry = retry != NULL;
        shared->connections = connections;
        shared->chain = *bucket;
        *bucket = shared;
        p->bytes += sizeof(*shared);
    }
    shared->users++;
    return shared;
}

void policies_unshare(struct policies *p, struct shared_policy *shared)
{
    struct shared_policy **link;

    if (!shared || --shared->users > 0)
        return;
    link = bucket_of(p, shared->has_retry ? &shared->retry : NULL, shared->connections);
    while (*link != shared) {
        ASSERT(*link);
        link = &(*link)->chain;
    }
    *link = shared->chain;
    p->bytes -= sizeof(*shared);
    free(shared);
}

size_t policies_bytes(const struct policies *p)
{
    return p->bytes + p->by_name.size * sizeof(struct map_slot);
}
