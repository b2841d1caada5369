/*
 * schedule/lanes_bench.h - lanes over a real schedule, for their tests: mail that is filed, taken and
 * answered, and what the lanes tell.
 */
#pragma once

#include <string.h>

#include "base/assert.h"
#include "base/rand.h"
#include "schedule/lanes.h"

#define SECOND_MS ((int64_t)1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define BENCH_START (INT64_C(1700000000000) / DAY_MS * DAY_MS)
#define BENCH_ENTRIES 20000

struct lanes_bench {
    struct rand chance;
    struct schedule *schedule;
    struct lanes *lanes;
    struct lane_rules rules;
    struct lanes_settings settings;
    int64_t now;
    uint64_t next_id, last_id; /* of messages, of incidents */
    bool is_pressed;
    /* What was told. */
    struct throttle_decision decision;
    uint32_t decisions, warm_ups, refusals_begin, refusals_end, opened, told, closed;
    bool warm_up_held;
    char warm_up_why[80];
    struct incident incident;
};

static inline void bench_rules(void *ctx, struct slice provider, struct slice source,
                               struct lane_rules *ret)
{
    struct lanes_bench *b = ctx;

    (void)provider;
    (void)source;
    *ret = b->rules;
}

static inline void bench_decided(void *ctx, struct slice lane, const struct throttle_decision *d)
{
    struct lanes_bench *b = ctx;

    (void)lane;
    b->decision = *d;
    b->decisions++;
}

static inline void bench_warm_up(void *ctx, struct slice lane, uint32_t from, uint32_t to,
                                 bool is_held, const char *why)
{
    struct lanes_bench *b = ctx;

    (void)lane;
    ASSERT(from != to);
    b->warm_ups++;
    b->warm_up_held = is_held;
    ASSERT(strlen(why) < sizeof(b->warm_up_why));
    memcpy(b->warm_up_why, why, strlen(why) + 1);
}

static inline void bench_refused(void *ctx, struct slice lane, uint64_t attempts, uint64_t policy,
                                 bool begins)
{
    struct lanes_bench *b = ctx;

    (void)lane;
    ASSERT(policy <= attempts);
    b->refusals_begin += begins;
    b->refusals_end += !begins;
}

static inline void bench_incident(void *ctx, const struct incident *i)
{
    struct lanes_bench *b = ctx;

    b->opened += i->id > b->last_id;
    b->last_id = MAX_OF(b->last_id, i->id);
    b->told++;
    b->closed += i->closed_ms != 0;
    b->incident = *i;
}

static inline bool bench_is_pressed(void *ctx)
{
    struct lanes_bench *b = ctx;

    return b->is_pressed;
}

static inline void bench_open(struct lanes_bench *b)
{
    struct lanes_seams seams = {.ctx = b,
                                .rules = bench_rules,
                                .decided = bench_decided,
                                .warm_up = bench_warm_up,
                                .refused = bench_refused,
                                .incident = bench_incident,
                                .is_pressed = bench_is_pressed};
    struct schedule_config config = {
        .connections_max = 1000,
        .connections_per_destination = 1000,
        .connections_new = 1000,
        .entries_max = 2 * BENCH_ENTRIES,
        .retry = {.delays_s = {600, 1200, 2400}, .delay_count = 3, .max_queue_time_s = 172800}};
    int r = schedule_new(&b->schedule, &config, &b->chance);

    ASSERT(r == 0);
    r = lanes_new(&b->lanes, &b->settings, b->schedule, &seams);
    ASSERT(r == 0);
}

static inline void bench_init(struct lanes_bench *b)
{
    memset(b, 0, sizeof(*b));
    b->now = BENCH_START;
    rand_init(&b->chance, 1);
    b->settings = (struct lanes_settings){.tick_ms = 10 * SECOND_MS,
                                          .sample_min = 200,
                                          .release_per_second = 2,
                                          .spread_max_ms = HOUR_MS};
    b->rules.throttle = (struct throttle_settings){.enabled = true,
                                                   .connections_max = 20,
                                                   .connections_floor = 2,
                                                   .rate_floor = 0.1,
                                                   .connection_change = -0.2,
                                                   .rate_change = -0.5,
                                                   .window_ms = 15 * MINUTE_MS,
                                                   .sample_min = 200,
                                                   .hits_min = 3,
                                                   .alpha = 0.01,
                                                   .watch_share = 0.0001,
                                                   .throttle_share = 0.0002,
                                                   .incident_share = 0.002,
                                                   .baseline_factor = 2,
                                                   .queue_age_max_ms = 40 * HOUR_MS,
                                                   .cycle_ms = 10 * MINUTE_MS,
                                                   .hold_cycles = 2,
                                                   .restore_step = 0.1};
    bench_open(b);
}

static inline void bench_done(struct lanes_bench *b)
{
    lanes_free(&b->lanes);
    schedule_free(&b->schedule);
}

static inline lane_ref bench_lane(struct lanes_bench *b, const char *provider)
{
    lane_ref ref = lanes_find(b->lanes, slice_str(provider), SLICE_LIT("pool"), b->now);

    ASSERT(ref != LANE_NONE);
    return ref;
}

/* Slots that may be had now; they are taken. */
static inline uint32_t bench_grants(struct lanes_bench *b)
{
    uint32_t destination, count = 0;

    while (schedule_grant(b->schedule, &destination))
        count++;
    return count;
}

/* Time passes: every moment that the lanes asked for. */
static inline void bench_run(struct lanes_bench *b, int64_t ms)
{
    int64_t until = b->now + ms;

    for (;;) {
        int64_t next = lanes_tick(b->lanes, b->now);

        ASSERT(next > b->now);
        (void)schedule_advance(b->schedule, b->now, SIZE_MAX);
        if (next > until)
            break;
        b->now = next;
    }
    b->now = until;
}

static inline struct attempt bench_attempt(const struct lanes_bench *b, const char *provider,
                                           enum reply_class klass)
{
    struct attempt a = {.queue_id = b->next_id,
                        .arrival_ms = b->now - 1500,
                        .at_ms = b->now,
                        .number = 1,
                        .recipients = 1,
                        .code = klass == REPLY_NONE ? 250 : 452,
                        .text = SLICE_LIT("452 4.3.1 Insufficient system resources"),
                        .klass = klass,
                        .domain = SLICE_LIT("example.org"),
                        .host = SLICE_LIT("mx1.example.net"),
                        .local = SLICE_LIT("192.0.2.1"),
                        .provider = slice_str(provider),
                        .source = SLICE_LIT("pool")};

    if (klass == REPLY_NONE)
        a.text = SLICE_LIT("250 2.0.0 ok");
    a.code = klass == REPLY_CONNECTION ? 0 : a.code;
    a.phase = klass == REPLY_CONNECTION ? SMTP_PHASE_CONNECT : SMTP_PHASE_END;
    a.result = klass == REPLY_NONE ? ATTEMPT_RESULT_DELIVERED : ATTEMPT_RESULT_DEFERRED;
    return a;
}

/* So many attempts, of which some are refused, first. */
static inline void bench_attempts(struct lanes_bench *b, const char *provider, uint32_t count,
                                  uint32_t refused, enum reply_class klass)
{
    lane_ref ref = bench_lane(b, provider);

    for (uint32_t i = 0; i < count; i++) {
        struct attempt a;

        b->next_id++;
        a = bench_attempt(b, provider, i < refused ? klass : REPLY_NONE);
        lanes_attempt(b->lanes, ref, &a);
    }
}

/* Minutes with so many attempts each. */
static inline void bench_minutes(struct lanes_bench *b, const char *provider, int minutes,
                                 uint32_t count, uint32_t refused)
{
    for (int i = 0; i < minutes; i++) {
        bench_attempts(b, provider, count, refused, REPLY_CAPACITY);
        bench_run(b, MINUTE_MS);
    }
}

/* Files mail for a destination of that provider. */
static inline entry_ref bench_mail(struct lanes_bench *b, const char *provider,
                                   const char *destination, uint32_t attempts, int64_t due)
{
    struct schedule_entry e;
    uint64_t id = ++b->next_id;
    entry_ref ref;
    int r = schedule_add(b->schedule, id, slice_str(destination), id, b->now, attempts, due, false,
                         &ref);

    ASSERT(r == 0 && schedule_get(b->schedule, ref, &e));
    r = schedule_set_lane(b->schedule, e.destination_index,
                          lanes_schedule_lane(b->lanes, bench_lane(b, provider)), NULL, 0);
    ASSERT(r == 0);
    return ref;
}

static inline struct lane_view bench_view(struct lanes_bench *b, const char *name)
{
    struct lane_view v;
    bool found = lanes_get(b->lanes, slice_str(name), &v);

    ASSERT(found);
    return v;
}
