/*
 * bench/schedule_bench.c - what one step of the schedule costs, by the number of entries.
 *
 *     schedule_bench [ENTRIES...]       20000 and 2000000
 *
 * Ten entries a destination, 1,000 lanes of which a tenth has a rate that is met. In a steady state
 * all entries wait; some 2,000 come due at a time, get slots, are taken and deferred again. One line
 * of JSON each: nanoseconds an operation, the medians of the rounds, and what one read of another
 * entry's memory costs in the same amount of memory, in no order: at 2,000,000 entries every step
 * waits for memory more than it computes.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/rand.h"
#include "schedule/schedule.h"

#define NOW INT64_C(1700000000000)
#define EACH 10 /* entries of a destination */
#define LANES 1000
#define SLOTS 4000
#define WAIT_MS 4800000
#define DUE_AT_ONCE 2000
#define ROUNDS 400
#define WARM_UP 50
#define READS 2000000

enum step { ADVANCE, GRANT, TAKE, RETRY, RELEASE, STEPS };
static const char *const names[STEPS] = {"advance", "grant", "take", "retry", "release"};

struct bench {
    struct schedule *s;
    struct rand rand, theirs;
    uint64_t entries;
    int64_t now_ms;
    double ns[STEPS][ROUNDS];
    uint32_t slots[SLOTS];
    entry_ref taken[SLOTS * EACH];
};

static void file_all(struct bench *b)
{
    uint32_t lane = 0;
    char name[64];

    for (uint32_t i = 0; i < LANES; i++) {
        struct schedule_lane_limits limits = {.connections = UINT32_MAX,
                                              .per_second = i % 10 ? 0.0 : 1e6};
        int r = schedule_lane_new(b->s, &lane);

        ASSERT(r == 0);
        schedule_lane_set_limits(b->s, lane, &limits);
    }
    for (uint64_t i = 0; i < b->entries; i++) {
        int64_t due = b->now_ms + (int64_t)rand_below(&b->rand, WAIT_MS);
        uint64_t destination = i % MAX_OF(b->entries / EACH, 1);
        struct schedule_entry e;
        entry_ref ref;
        int r;

        (void)snprintf(name, sizeof(name), "mail%" PRIu64 ".example.org", destination);
        r = schedule_add(b->s, i, slice_str(name), i % 7, b->now_ms, 1, due, false, &ref);
        ASSERT(r == 0);
        if (schedule_get(b->s, ref, &e) && e.lane == SCHEDULE_LANE_NEW)
            r = schedule_set_lane(b->s, e.destination_index, 1 + (uint32_t)(destination % LANES),
                                  NULL, 0);
        ASSERT(r == 0);
    }
}

static double since(uint64_t *start_ns, size_t count)
{
    uint64_t now_ns = clock_mono_ns();
    double each = count ? (double)(now_ns - *start_ns) / (double)count : 0.0;

    *start_ns = now_ns;
    return each;
}

static void run_round(struct bench *b, size_t round)
{
    size_t due, slots = 0, count = 0;
    uint64_t start_ns = clock_mono_ns();

    b->now_ms += (int64_t)((uint64_t)WAIT_MS * DUE_AT_ONCE / b->entries);
    due = schedule_advance(b->s, b->now_ms, SIZE_MAX);
    b->ns[ADVANCE][round] = since(&start_ns, due);
    while (slots < SLOTS && schedule_grant(b->s, &b->slots[slots]))
        slots++;
    b->ns[GRANT][round] = since(&start_ns, slots);
    for (size_t i = 0; i < slots; i++)
        count += schedule_take(b->s, b->slots[i], b->taken + count,
                               MIN_OF(schedule_share(b->s, b->slots[i]), EACH));
    b->ns[TAKE][round] = since(&start_ns, count);
    for (size_t i = 0; i < count; i++)
        (void)schedule_retry(b->s, b->taken[i], b->now_ms);
    b->ns[RETRY][round] = since(&start_ns, count);
    for (size_t i = 0; i < slots; i++)
        schedule_release(b->s, b->slots[i]);
    b->ns[RELEASE][round] = since(&start_ns, slots);
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof(*values), by_value);
    return values[ROUNDS / 2];
}

/* One read, each of an address that the one before tells. */
static double read_ns(struct bench *b, size_t bytes)
{
    size_t lines = bytes / 64;
    uint32_t *next = aligned_alloc(64, lines * 64), at = 0;
    uint64_t start_ns;
    double each;

    ASSERT(next);
    for (size_t i = 0; i < lines; i++)
        next[i * 16] = (uint32_t)i;
    for (size_t i = lines - 1; i > 0; i--) { /* Sattolo: one circle through all */
        size_t other = (size_t)rand_below(&b->rand, i);
        uint32_t kept = next[i * 16];

        next[i * 16] = next[other * 16];
        next[other * 16] = kept;
    }
    start_ns = clock_mono_ns();
    for (size_t i = 0; i < READS; i++)
        at = next[(size_t)at * 16];
    each = since(&start_ns, READS);
    ASSERT(at < lines); /* so that it is read */
    free(next);
    return each;
}

static void measure(uint64_t entries)
{
    static struct bench b;
    struct schedule_config config = {
        .connections_max = SLOTS,
        .connections_per_destination = 20,
        .connections_new = SLOTS,
        .retry = {.delays_s = {WAIT_MS / 1000}, .delay_count = 1, .jitter = 0.5},
        .entries_max = entries,
    };
    size_t bytes;
    int r;

    b = (struct bench){.entries = entries, .now_ms = NOW};
    config.retry.max_queue_time_s = 86400;
    rand_init(&b.rand, 1);
    rand_init(&b.theirs, 2);
    r = schedule_new(&b.s, &config, &b.theirs);
    ASSERT(r == 0);
    file_all(&b);
    for (size_t i = 0; i < WARM_UP; i++)
        run_round(&b, 0);
    for (size_t i = 0; i < ROUNDS; i++)
        run_round(&b, i);
    bytes = schedule_memory_bytes(b.s);
    printf("{\"entries\": %" PRIu64 ", \"bytes\": %zu, \"read_ns\": %.1f", entries, bytes,
           read_ns(&b, bytes));
    for (int step = 0; step < STEPS; step++)
        printf(", \"%s_ns\": %.1f", names[step], median(b.ns[step]));
    printf("}\n");
    schedule_free(&b.s);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        measure(MAX_OF(strtoull(argv[i], NULL, 10), 1000));
    if (argc == 1) {
        measure(20000);
        measure(2000000);
    }
    return 0;
}
