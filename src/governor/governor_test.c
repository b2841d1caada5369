/*
 * governor/governor_test.c - the governor by tables: samples in, levels, verdicts, remedies and
 * events out. Histories by chance: governor_model_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

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
static const struct governor_thresholds system_memory = {88, 94, 89, 84};

/* Every resource with thresholds that an idle server is far below, no dwell, no history. */
static void bench_init(struct bench *b)
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

static void bench_start(struct bench *b)
{
    assert_int_equal(governor_new(&b->governor, &b->settings, b->now_ms), 0);
}

static void bench_done(struct bench *b)
{
    governor_free(&b->governor);
    assert_null(b->governor);
}

static void tick(struct bench *b)
{
    b->now_ms += INTERVAL_MS;
    governor_tick(b->governor, &b->sample, b->now_ms, &b->outcome);
    governor_get_view(b->governor, &b->view);
}

static enum pressure_level level_with(struct bench *b, enum governor_resource r, uint64_t used)
{
    b->sample.figures[r].used = used;
    tick(b);
    return b->view.resources[r].level;
}

static void samples_make_levels(void **state)
{
    static const struct {
        const struct governor_thresholds *thresholds;
        uint64_t samples[10];
        const char *levels; /* 'n', 'm', 'h' a sample */
    } cases[] = {
        {&buckets, {500, 998, 1100, 900, 850, 790}, "nnmmmn"},
        {&buckets, {1100, 1600, 1400, 1200, 1010, 990, 801, 700}, "mhhhhmmn"},
        {&buckets, {1600, 700}, "hn"},
        {&buckets, {995, 1001, 995, 1001, 995}, "nmmmm"},
        {&system_memory, {95, 92, 90, 88, 85, 83}, "hhhmmn"},
        /* Equality belongs to the side that is moved to. */
        {&buckets, {998, 999, 801, 800}, "nmmn"},
        {&buckets, {1499, 1500, 1001, 1000, 801, 800}, "mhhmmn"},
        {&buckets, {1500, 800}, "hn"},
        {&buckets, {0, UINT64_MAX, 0}, "nhn"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bench b;

        bench_init(&b);
        b.settings.rules[GOVERNOR_UNCOMMITTED].thresholds = *cases[i].thresholds;
        bench_start(&b);
        for (size_t j = 0; cases[i].levels[j]; j++) {
            enum pressure_level l = level_with(&b, GOVERNOR_UNCOMMITTED, cases[i].samples[j]);

            assert_int_equal(governor_level_name(l)[0], cases[i].levels[j]);
            assert_int_equal(b.view.level, l);
            assert_int_equal(b.outcome.gate.level, l);
        }
        bench_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_make_levels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
