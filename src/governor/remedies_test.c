/* governor/remedies_test.c - which remedy is asked for, for what, and how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "governor/governor_bench.h"

/* A letter a remedy that the last outcome asks for. */
static const char *asked(const struct bench *b)
{
    static char text[GOVERNOR_REMEDIES + 1];
    size_t n = 0;

    for (size_t i = 0; i < b->outcome.remedy_count; i++)
        text[n++] = "BCDTKLP"[b->outcome.remedies[i].remedy];
    text[n] = '\0';
    return text;
}

static void relief_comes_before_refusal(void **state)
{
    static const char *const wanted[GOVERNOR_RESOURCES] = {
        [GOVERNOR_SPOOL_DISK] = "KL", [GOVERNOR_SPOOL_INODES] = "KL",
        [GOVERNOR_LOG_DISK] = "KL",   [GOVERNOR_UNCOMMITTED] = "P",
        [GOVERNOR_MEMORY] = "BCDT",   [GOVERNOR_SYSTEM_MEMORY] = "BCDT",
        [GOVERNOR_QUEUE] = "P",       [GOVERNOR_DESCRIPTORS] = "C",
        [GOVERNOR_CPU_STALL] = "P",   [GOVERNOR_MEMORY_STALL] = "BCDT",
        [GOVERNOR_IO_STALL] = "P",
    };

    (void)state;
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        enum governor_resource r = (enum governor_resource)i;
        struct bench b;

        bench_init(&b);
        bench_start(&b);
        tick(&b);
        use(&b, r, b.view.resources[i].effective.medium_to_low);
        tick(&b);
        assert_string_equal(asked(&b), "");
        b.sample.figures[i].used++;
        tick(&b);
        assert_string_equal(asked(&b), wanted[i]);
        assert_int_equal(b.outcome.pause_background, wanted[i][0] == 'P');
        assert_int_equal(b.view.resources[i].level, PRESSURE_NORMAL);
        assert_string_equal(verdicts(&b), "ooooo");
        for (size_t j = 0; j < b.outcome.remedy_count; j++) {
            assert_int_equal(b.outcome.remedies[j].resource, r);
            assert_true(governor_remedy_helps(b.outcome.remedies[j].remedy, r));
        }
        for (size_t j = 0; j < GOVERNOR_REMEDIES; j++)
            assert_int_equal(governor_remedy_helps((enum governor_remedy)j, r),
                             strchr(wanted[i], "BCDTKLP"[j]) != NULL);
        bench_done(&b);
    }
    assert_false(governor_remedy_helps(REMEDY_BODIES, GOVERNOR_RESOURCES));
}

static void a_remedy_is_for_the_worst_of_those_it_helps(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    bench_start(&b);
    use(&b, GOVERNOR_UNCOMMITTED, 900);
    use(&b, GOVERNOR_QUEUE, 950);
    use(&b, GOVERNOR_CPU_STALL, 910);
    tick(&b);
    assert_int_equal(b.outcome.remedy_count, 1);
    assert_int_equal(b.outcome.remedies[0].resource, GOVERNOR_QUEUE);
    assert_int_equal(b.view.remedies[REMEDY_PAUSE].last_for, GOVERNOR_QUEUE);
    bench_done(&b);
}

/* Ticks until the remedy for descriptors is asked for; the time that took. */
static uint64_t until_asked(struct bench *b)
{
    uint64_t from_ms = b->now_ms;

    do {
        tick(b);
        assert_true(b->now_ms - from_ms < 600 * 1000);
    } while (b->outcome.remedy_count == 0);
    assert_string_equal(asked(b), "C");
    assert_true(b->view.remedies[REMEDY_CACHES].is_running);
    return b->now_ms - from_ms;
}

static void a_remedy_without_effect_is_tried_more_rarely(void **state)
{
    static const struct {
        uint64_t freed, next_after_ms;
    } runs[] = {
        {100, 10000}, {0, 20000},  {0, 40000},           {UINT64_MAX, 40000}, {0, 80000},
        {0, 160000},  {0, 160000}, {UINT64_MAX, 160000}, {1, 10000},          {0, 20000},
    };
    uint64_t total = 0;
    struct bench b;
    const struct governor_remedy_view *v = &b.view.remedies[REMEDY_CACHES];

    (void)state;
    bench_init(&b);
    bench_start(&b);
    use(&b, GOVERNOR_DESCRIPTORS, 900);
    assert_int_equal(until_asked(&b), INTERVAL_MS);
    /* While it runs it is not asked for again. */
    for (int i = 0; i < 1000; i++) {
        tick(&b);
        assert_int_equal(b.outcome.remedy_count, 0);
    }
    governor_remedy_done(b.governor, REMEDY_CACHES, 1, 5, b.now_ms);
    assert_int_equal(until_asked(&b), INTERVAL_MS);
    for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
        governor_remedy_done(b.governor, REMEDY_CACHES, runs[i].freed, 1234, b.now_ms + 1);
        governor_get_view(b.governor, &b.view);
        total += runs[i].freed == UINT64_MAX ? 0 : runs[i].freed;
        assert_false(v->is_running);
        assert_int_equal(v->runs, i + 2);
        assert_int_equal(v->last_at_ms, b.now_ms + 1);
        assert_int_equal(v->last_took_us, 1234);
        assert_int_equal(v->total_took_us, 5 + 1234 * (i + 1));
        assert_int_equal(v->total_freed, total + 1);
        assert_int_equal(v->is_measured, runs[i].freed != UINT64_MAX);
        assert_int_equal(v->last_freed, v->is_measured ? runs[i].freed : 0);
        assert_int_equal(v->last_for, GOVERNOR_DESCRIPTORS);
        assert_int_equal(until_asked(&b), runs[i].next_after_ms);
    }
    bench_done(&b);
}

static void a_pause_lasts_as_long_as_it_is_wanted(void **state)
{
    static const struct {
        uint64_t queue;
        const char *asked;
        bool is_paused;
    } steps[] = {
        {800, "", false},
        {801, "P", true},
        {2000, "", true},
        {801, "", true},
        {801, "", true},
        {801, "", true},
        {801, "", true},
        {800, "", false},
        {801, "P", true},
        /* At least as long as its interval, whatever the figure does. */
        {800, "", true},
        {801, "", true},
        {0, "", true},
        {0, "", true},
        {0, "", false},
    };
    struct bench b;

    (void)state;
    bench_init(&b);
    bench_start(&b);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        use(&b, GOVERNOR_QUEUE, steps[i].queue);
        tick(&b);
        assert_string_equal(asked(&b), steps[i].asked);
        assert_int_equal(b.outcome.pause_background, steps[i].is_paused);
        assert_int_equal(b.view.remedies[REMEDY_PAUSE].is_running, steps[i].is_paused);
        if (b.outcome.remedy_count > 0)
            governor_remedy_done(b.governor, REMEDY_PAUSE, UINT64_MAX, 0, b.now_ms);
    }
    assert_int_equal(b.view.remedies[REMEDY_PAUSE].runs, 2);
    bench_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relief_comes_before_refusal),
        cmocka_unit_test(a_remedy_is_for_the_worst_of_those_it_helps),
        cmocka_unit_test(a_remedy_without_effect_is_tried_more_rarely),
        cmocka_unit_test(a_pause_lasts_as_long_as_it_is_wanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
