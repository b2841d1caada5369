/*
 * governor/governor_bench.h - for tests: a governor, its settings, and the sample it gets next.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/base.h"
#include "governor/governor.h"

#define INTERVAL_MS 2000

struct bench {
    struct governor *governor;
    struct governor_settings settings;
    struct governor_sample sample;
    struct governor_outcome outcome;
    struct governor_view view;
    uint64_t now_ms;
};

static const struct governor_thresholds buckets = {999, 1500, 1000, 800};

/* Every resource with thresholds that an idle server is far below, no dwell, no history. */
static inline void bench_init(struct bench *b)
{
    memset(b, 0, sizeof(*b));
    b->settings = (struct governor_settings){.enabled = true,
                                             .reminder_ms = 3 * 3600 * 1000,
                                             .disk_counted_max = GIB(200),
                                             .disk_gap = MIB(1),
                                             .message_share = 0.25,
                                             .tarpit = {1000, 1000, 5000},
                                             .remedy_interval_ms = 10000};
    b->sample.message_size_max = MIB(100);
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        b->settings.rules[i] = (struct governor_rule){.thresholds = buckets};
        b->sample.figures[i] = (struct governor_figure){.is_known = true};
    }
    b->settings.rules[GOVERNOR_SPOOL_DISK] =
        (struct governor_rule){.thresholds = {96, 99, 97, 94}, .is_percent = true};
    b->sample.figures[GOVERNOR_SPOOL_DISK].limit = GIB(10);
}

static inline void bench_start(struct bench *b)
{
    assert_int_equal(governor_new(&b->governor, &b->settings, b->now_ms), 0);
}

static inline void bench_done(struct bench *b)
{
    governor_free(&b->governor);
    assert_null(b->governor);
}

static inline void tick(struct bench *b)
{
    b->now_ms += INTERVAL_MS;
    governor_tick(b->governor, &b->sample, b->now_ms, &b->outcome);
    governor_get_view(b->governor, &b->view);
}

static inline enum pressure_level level_with(struct bench *b, enum governor_resource r,
                                             uint64_t used)
{
    b->sample.figures[r].used = used;
    tick(b);
    return b->view.resources[r].level;
}

static inline void use(struct bench *b, enum governor_resource r, uint64_t used)
{
    b->sample.figures[r].used = used;
}

/* A letter a class: 'o'pen, 'd'elayed, 'r'efused. */
static inline const char *verdicts(const struct bench *b)
{
    static char text[MAIL_CLASSES + 1];

    for (size_t c = 0; c < MAIL_CLASSES; c++)
        text[c] = "odr"[b->outcome.gate.lines[c].verdict];
    return text;
}
