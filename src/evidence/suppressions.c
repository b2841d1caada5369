/*
 * evidence/suppressions.c - a map of the entries, their order in time, and the filter.
 */
#include "evidence/suppressions.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/map.h"

#define FILTER_SLOTS_MIN 1024 /* a power of two; at most half of them are in use */

/* a: 0 is a slot that was never used, GONE one that is free again. */
struct fingerprint {
    _Atomic uint64_t a, b;
};
#define GONE 1

struct suppression_filter {
    unsigned refs;
    size_t mask, used; /* used: the gone ones too */
    uint64_t seed_a, seed_b;
    atomic_size_t count;
    struct fingerprint slots[];
};

struct item {
    struct suppression *s;
    struct list node; /* automatic ones, the oldest first */
};

struct suppressions {
    struct map items;
    struct list automatic;
    uint64_t by_operator;
    struct suppression_filter *filter;
};

/* ---- the filter ---- */

static struct suppression_filter *filter_new(size_t slots, uint64_t seed_a, uint64_t seed_b)
{
    struct suppression_filter *f = calloc(1, sizeof(*f) + slots * sizeof(f->slots[0]));

    if (!f)
        return NULL;
    f->refs = 1;
    f->mask = slots - 1;
    f->seed_a = seed_a;
    f->seed_b = seed_b;
    return f;
}

static void prints_of(const struct suppression_filter *f, struct slice address, uint64_t *a,
                      uint64_t *b)
{
    *a = slice_hash_case(address, f->seed_a);
    *b = slice_hash_case(address, f->seed_b);
    *a += *a <= GONE ? GONE + 1 : 0;
}

/* FNV's low bits are weak where addresses differ in few bytes. */
static size_t place_of(const struct suppression_filter *f, uint64_t a)
{
    return (size_t)((a ^ (a >> 32)) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & f->mask;
}

static void filter_add(struct suppression_filter *f, struct slice address)
{
    uint64_t a, b;
    size_t at;

    prints_of(f, address, &a, &b);
    at = place_of(f, a);
    while (atomic_load_explicit(&f->slots[at].a, memory_order_relaxed) > GONE)
        at = (at + 1) & f->mask;
    f->used += atomic_load_explicit(&f->slots[at].a, memory_order_relaxed) == 0;
    atomic_store_explicit(&f->slots[at].b, b, memory_order_relaxed);
    atomic_store_explicit(&f->slots[at].a, a, memory_order_release);
    atomic_fetch_add_explicit(&f->count, 1, memory_order_release);
}

/* The slot, or -1. */
static ptrdiff_t filter_find(const struct suppression_filter *f, struct slice address)
{
    uint64_t a, b, there;
    size_t at;

    prints_of(f, address, &a, &b);
    at = place_of(f, a);
    while ((there = atomic_load_explicit(&f->slots[at].a, memory_order_acquire)) != 0) {
        if (there == a && atomic_load_explicit(&f->slots[at].b, memory_order_relaxed) == b)
            return (ptrdiff_t)at;
        at = (at + 1) & f->mask;
    }
    return -1;
}

static void filter_remove(struct suppression_filter *f, struct slice address)
{
    ptrdiff_t at = filter_find(f, address);

    ASSERT(at >= 0);
    atomic_store_explicit(&f->slots[at].a, GONE, memory_order_release);
    atomic_fetch_sub_explicit(&f->count, 1, memory_order_release);
}

bool suppression_filter_is_empty(const struct suppression_filter *f)
{
    return atomic_load_explicit(&f->count, memory_order_acquire) == 0;
}

bool suppression_filter_has(const struct suppression_filter *f, struct slice address)
{
    return filter_find(f, address) >= 0;
}

struct suppression_filter *suppression_filter_ref(struct suppression_filter *f)
{
    f->refs++;
    return f;
}

void suppression_filter_unref(struct suppression_filter **f)
{
    if (*f && --(*f)->refs == 0)
        free(*f);
    *f = NULL;
}

struct suppression_filter *suppressions_filter(struct suppressions *l)
{
    return l->filter;
}

/* Room for one more: half of the slots at least are free. 0 or -ENOMEM. */
static int make_room(struct suppressions *l)
{
    struct suppression_filter *old = l->filter, *f;
    size_t slots = FILTER_SLOTS_MIN, it = 0;
    struct slice address;
    void *item;

    if (2 * (old->used + 1) <= old->mask + 1)
        return 0;
    while (slots < 4 * (map_count(&l->items) + 1))
        slots *= 2;
    f = filter_new(slots, old->seed_a, old->seed_b);
    if (!f)
        return -ENOMEM;
    while (map_next(&l->items, &it, &address, &item))
        filter_add(f, address);
    suppression_filter_unref(&l->filter);
    l->filter = f;
    return 0;
}

/* ---- the list ---- */

int suppressions_new(struct suppressions **ret, struct rand *rand)
{
    struct suppressions *l = calloc(1, sizeof(*l));

    if (!l)
        return -ENOMEM;
    map_init(&l->items, rand_u64(rand));
    list_init(&l->automatic);
    l->filter = filter_new(FILTER_SLOTS_MIN, rand_u64(rand), rand_u64(rand));
    if (!l->filter) {
        free(l);
        return -ENOMEM;
    }
    *ret = l;
    return 0;
}

void suppressions_free(struct suppressions **lp)
{
    struct suppressions *l = *lp;
    struct slice address;
    size_t it = 0;
    void *value;

    if (!l)
        return;
    while (map_next(&l->items, &it, &address, &value)) {
        struct item *item = value;

        suppression_unref(&item->s);
        free(item);
    }
    map_done(&l->items);
    suppression_filter_unref(&l->filter);
    free(l);
    *lp = NULL;
}

static void drop(struct suppressions *l, struct item *item)
{
    const struct suppression_view *v = suppression_get(item->s);

    filter_remove(l->filter, v->address);
    (void)map_remove(&l->items, v->address);
    if (v->kind == SUPPRESSION_OPERATOR)
        l->by_operator--;
    else
        list_del(&item->node);
    suppression_unref(&item->s);
    free(item);
}

static struct item *oldest_of(const struct suppressions *l)
{
    return list_is_empty(&l->automatic) ? NULL : LIST_ENTRY(l->automatic.next, struct item, node);
}

static int put(struct suppressions *l, struct suppression *s)
{
    const struct suppression_view *v = suppression_get(s);
    struct item *item = calloc(1, sizeof(*item));
    int r = item ? make_room(l) : -ENOMEM;

    if (r == 0)
        r = map_put(&l->items, v->address, item);
    if (r != 0) {
        free(item);
        return r;
    }
    item->s = suppression_ref(s);
    if (v->kind == SUPPRESSION_OPERATOR)
        l->by_operator++;
    else
        list_add_tail(&l->automatic, &item->node);
    filter_add(l->filter, v->address);
    return 0;
}

int suppressions_add(struct suppressions *l, struct suppression *s, uint64_t max,
                     enum suppressions_added *ret, void (*left)(void *ctx, struct suppression *s),
                     void *ctx)
{
    const struct suppression_view *v = suppression_get(s);
    struct item *old = map_get(&l->items, v->address), *oldest;

    if (old && v->kind == SUPPRESSION_AUTOMATIC) {
        *ret = SUPPRESSIONS_ALREADY;
        return 0;
    }
    *ret = old ? SUPPRESSIONS_REPLACED : SUPPRESSIONS_ADDED;
    if (old)
        drop(l, old);
    while (map_count(&l->items) >= max) {
        oldest = oldest_of(l);
        if (!oldest)
            return -ENOBUFS;
        left(ctx, oldest->s);
        drop(l, oldest);
    }
    return put(l, s);
}

struct suppression *suppressions_find(const struct suppressions *l, struct slice address)
{
    const struct item *item = map_get(&l->items, address);

    return item ? item->s : NULL;
}

bool suppressions_remove(struct suppressions *l, struct slice address)
{
    struct item *item = map_get(&l->items, address);

    if (item)
        drop(l, item);
    return item != NULL;
}

size_t suppressions_expire(struct suppressions *l, int64_t before_ms, size_t max)
{
    struct item *oldest;
    size_t n = 0;

    while (n < max && (oldest = oldest_of(l)) && suppression_get(oldest->s)->at_ms < before_ms) {
        drop(l, oldest);
        n++;
    }
    return n;
}

uint64_t suppressions_count(const struct suppressions *l)
{
    return map_count(&l->items);
}

uint64_t suppressions_count_operator(const struct suppressions *l)
{
    return l->by_operator;
}
