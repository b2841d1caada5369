/*
 * schedule/throttle_bench.h - a lane for the controller's tests: its settings, its window, its clock.
 */
#pragma once

#include "base/rand.h"
#include "schedule/throttle.h"

#define SECOND_MS ((int64_t)1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define BENCH_START (INT64_C(1700000000000) / DAY_MS * DAY_MS)

struct bench {
    struct throttle_settings settings;
    struct throttle t;
    struct window window;
    struct throttle_input in;
    struct throttle_decision decision;
    int64_t now;
};

static inline void bench_init(struct bench *b)
{
    *b = (struct bench){.now = BENCH_START};
    b->settings = (struct throttle_settings){
        .enabled = true,
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
        .queue_age_max_ms = 4 * HOUR_MS,
        .cycle_ms = 10 * MINUTE_MS,
        .hold_cycles = 2,
        .restore_step = 0.1,
    };
    window_init(&b->window, WINDOW_MINUTE_MS, b->now);
    b->in = (struct throttle_input){.window = &b->window, .connections_peak = 20, .rate = 5};
    throttle_init(&b->t, &b->settings, b->now);
}

static inline bool bench_tick(struct bench *b)
{
    window_advance(&b->window, b->now);
    return throttle_tick(&b->t, &b->settings, &b->in, b->now, &b->decision);
}

/* Attempts now: those that are not hits are delivered. */
static inline void bench_attempts(struct bench *b, uint32_t attempts, uint32_t capacity,
                                  uint32_t rate)
{
    struct window_counts c = {.attempts = attempts, .capacity = capacity, .rate = rate};

    c.deferred = capacity + rate;
    c.delivered_first = attempts - c.deferred;
    window_add(&b->window, b->now, &c);
}

/* Whole minutes with so many attempts and capacity replies in each, a tick each 10 s. How many
 * decisions were told; the last is in b->decision. */
static inline uint32_t bench_minutes(struct bench *b, int minutes, uint32_t attempts,
                                     uint32_t capacity)
{
    struct throttle_decision last = b->decision;
    uint32_t told = 0;

    for (int i = 0; i < minutes; i++) {
        bench_attempts(b, attempts, capacity, 0);
        for (int j = 0; j < 6; j++) {
            b->now += 10 * SECOND_MS;
            if (bench_tick(b)) {
                last = b->decision;
                told++;
            }
        }
    }
    b->decision = last;
    return told;
}
