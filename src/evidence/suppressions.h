/*
 * evidence/suppressions.h - the suppression list in memory: a look-up in O(1), bounded.
 *
 * The list belongs to one thread, the queue's. Other threads ask its filter: two 64-bit
 * fingerprints an address, written by that thread alone as atomics, without a lock. "No" is right
 * but for a change made at this moment; "yes" means that the list is to be asked, which knows. Two
 * addresses of which only one is listed have the same 128 bits, keyed by chance at each start, less
 * than once in 10^20 years.
 *
 * Memory: 200 bytes an entry and its texts (usually 150 to 250 bytes), and 64 to 128 bytes of
 * table. Engine: no I/O, no clock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/rand.h"
#include "base/slice.h"
#include "evidence/suppression.h"

struct suppressions;       /* opaque */
struct suppression_filter; /* opaque */

/* 0 or -ENOMEM. */
MUST_CHECK int suppressions_new(struct suppressions **ret, struct rand *rand);
void suppressions_free(struct suppressions **l); /* NULL is fine */

enum suppressions_added {
    SUPPRESSIONS_ADDED,
    SUPPRESSIONS_REPLACED, /* the operator's takes the place of an automatic or an older one */
    SUPPRESSIONS_ALREADY,  /* it was there: an automatic one changes nothing */
};

/*
 * Holds a reference of its own. Over `max` entries the oldest automatic ones leave, which come back
 * by themselves where they are still true: each is given to left(). 0 and `*ret`; -ENOBUFS: all
 * `max` are the operator's; -ENOMEM.
 */
MUST_CHECK int suppressions_add(struct suppressions *l, struct suppression *s, uint64_t max,
                                enum suppressions_added *ret,
                                void (*left)(void *ctx, struct suppression *s), void *ctx);
/* Canonical or not; NULL: it is not there. Borrowed until the next change. */
struct suppression *suppressions_find(const struct suppressions *l, struct slice address);
/* False: it was not there. */
bool suppressions_remove(struct suppressions *l, struct slice address);
/* Automatic ones from before then leave, at most `max` of them. Returns how many. */
size_t suppressions_expire(struct suppressions *l, int64_t before_ms, size_t max);
/* In all; of those the operator's. */
uint64_t suppressions_count(const struct suppressions *l);
uint64_t suppressions_count_operator(const struct suppressions *l);

/* ---- the filter ---- */

/* The filter as it is; the owner's thread counts references. It follows further changes until the
 * list outgrows it, and another takes its place. */
struct suppression_filter *suppressions_filter(struct suppressions *l);
struct suppression_filter *suppression_filter_ref(struct suppression_filter *f);
void suppression_filter_unref(struct suppression_filter **f); /* NULL is fine */
/* Any thread that holds one. */
bool suppression_filter_is_empty(const struct suppression_filter *f);
bool suppression_filter_has(const struct suppression_filter *f, struct slice address);
