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

#include "governor/governor_bench.h"

static const struct governor_thresholds system_memory = {88, 94, 89, 84};

static uint64_t delay(const struct bench *b)
{
    const struct gate_line *l = &b->outcome.gate.lines[MAIL_EXTERNAL];

    return l->verdict == GATE_DELAY ? l->delay_ms : 0;
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

static void a_fall_waits_for_the_dwell(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    b.settings.dwell_ms = 10000;
    bench_start(&b);
    tick(&b);
    assert_int_equal(level_with(&b, GOVERNOR_QUEUE, 1000), PRESSURE_MEDIUM); /* 4 s */
    assert_int_equal(level_with(&b, GOVERNOR_QUEUE, 1), PRESSURE_MEDIUM);
    /* The rise begins the dwell anew. */
    assert_int_equal(level_with(&b, GOVERNOR_QUEUE, 2000), PRESSURE_HIGH); /* 8 s */
    for (int i = 0; i < 4; i++)
        assert_int_equal(level_with(&b, GOVERNOR_QUEUE, 900), PRESSURE_HIGH);
    assert_int_equal(b.view.suppressed, 2);
    assert_int_equal(level_with(&b, GOVERNOR_QUEUE, 900), PRESSURE_MEDIUM); /* 18 s */
    assert_int_equal(b.view.level, PRESSURE_MEDIUM);
    assert_int_equal(b.outcome.transition_count, 2);
    assert_int_equal(b.outcome.transitions[0].lasted_ms, 10000);
    for (int i = 0; i < 4; i++)
        assert_int_equal(level_with(&b, GOVERNOR_QUEUE, 1), PRESSURE_MEDIUM);
    assert_int_equal(level_with(&b, GOVERNOR_QUEUE, 1), PRESSURE_NORMAL);
    assert_int_equal(b.view.level, PRESSURE_NORMAL);
    bench_done(&b);
}

/* The server is at medium since 16 s, however long the resource that keeps it there has been. */
static void the_server_has_a_dwell_of_its_own(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    b.settings.dwell_ms = 10000;
    b.settings.rules[GOVERNOR_QUEUE].history = 100;
    bench_start(&b);
    (void)level_with(&b, GOVERNOR_QUEUE, 1000); /* 2 s */
    tick(&b);
    (void)level_with(&b, GOVERNOR_MEMORY, 1500); /* 6 s */
    for (int i = 0; i < 5; i++)
        (void)level_with(&b, GOVERNOR_MEMORY, 0);
    assert_int_equal(b.view.since_ms, 16000);
    assert_int_equal(b.view.suppressed, 1);
    assert_int_equal(level_with(&b, GOVERNOR_QUEUE, 0), PRESSURE_NORMAL); /* 18 s */
    for (int i = 0; i < 4; i++) {
        assert_int_equal(b.view.level, PRESSURE_MEDIUM);
        assert_int_equal(b.view.suppressed, 2);
        assert_int_equal(verdicts(&b)[0], 'd');
        assert_int_equal(b.outcome.gate.lines[0].resource, GOVERNOR_QUEUE);
        tick(&b);
    }
    assert_int_equal(b.view.level, PRESSURE_NORMAL); /* 26 s */
    bench_done(&b);
}

/* R9: around a threshold with every sample, for an hour. */
static void a_flapping_figure_makes_one_pair_a_dwell(void **state)
{
    static const uint64_t high_low[][2] = {{1000, 700}, {1500, 700}, {1500, 1000}, {1500, 999}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(high_low); i++) {
        uint64_t last_fall_ms[GOVERNOR_RESOURCES + 1] = {0}, falls = 0;
        struct bench b;

        bench_init(&b);
        b.settings.dwell_ms = 10000;
        bench_start(&b);
        while (b.now_ms < 3600 * 1000) {
            use(&b, GOVERNOR_MEMORY, high_low[i][b.now_ms / INTERVAL_MS % 2]);
            tick(&b);
            for (size_t j = 0; j < b.outcome.transition_count; j++) {
                const struct governor_transition *t = &b.outcome.transitions[j];

                if (t->to > t->from)
                    continue;
                assert_true(last_fall_ms[t->resource] == 0 ||
                            b.now_ms - last_fall_ms[t->resource] >= b.settings.dwell_ms);
                last_fall_ms[t->resource] = b.now_ms;
                falls++;
            }
        }
        /* It does flap, at the pace of the dwell. */
        assert_in_range(falls, 2 * 250, 2 * 360);
        assert_true(b.view.suppressed >= falls);
        bench_done(&b);
    }
}

/* Monotonic time is all the governor sees: a step of the wall clock is no time passed, or none. */
static void time_that_does_not_pass_changes_no_level(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    b.now_ms = 3600 * 1000;
    b.settings.dwell_ms = 10000;
    bench_start(&b);
    use(&b, GOVERNOR_MEMORY, 1000);
    tick(&b);
    use(&b, GOVERNOR_MEMORY, 1);
    for (int i = 0; i < 100; i++) {
        uint64_t earlier = i % 2 ? b.now_ms : b.now_ms - 3600 * 1000;

        governor_tick(b.governor, &b.sample, earlier, &b.outcome);
        assert_int_equal(b.outcome.transition_count, 0);
        assert_int_equal(b.outcome.gate.level, PRESSURE_MEDIUM);
    }
    governor_get_view(b.governor, &b.view);
    assert_int_equal(b.view.now_ms, b.now_ms);
    assert_int_equal(b.view.at_level.ms[0][PRESSURE_NORMAL], INTERVAL_MS);
    assert_int_equal(b.view.at_level.ms[0][PRESSURE_MEDIUM], 0);
    b.now_ms += 10000 - INTERVAL_MS;
    tick(&b);
    assert_int_equal(b.view.level, PRESSURE_NORMAL);
    bench_done(&b);
}

static void history_turns_delay_into_refusal(void **state)
{
    static const struct {
        uint32_t history;
        uint64_t samples[12];
        const char *external; /* a letter a sample */
    } cases[] = {
        {0, {900, 1000, 900, 801, 800}, "orrro"},
        {1, {1000, 1000, 1000, 800}, "drro"},
        {3, {1000, 1000, 1000, 1000, 850, 801, 800, 1000}, "dddrrrdd"},
        /* Normal in between begins anew, medium after high does not. */
        {3, {1000, 1000, 1000, 700, 1000, 1000, 1000, 1000}, "dddddddr"},
        {3, {1000, 1600, 1000, 1000, 1000, 700}, "drdrrd"},
        {10, {1600, 1600, 1600, 700, 700, 700}, "rrrooo"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bench b;

        bench_init(&b);
        b.settings.rules[GOVERNOR_QUEUE].history = cases[i].history;
        bench_start(&b);
        for (size_t j = 0; cases[i].external[j]; j++) {
            (void)level_with(&b, GOVERNOR_QUEUE, cases[i].samples[j]);
            assert_int_equal(verdicts(&b)[MAIL_EXTERNAL], cases[i].external[j]);
            if (b.view.level < PRESSURE_HIGH)
                assert_string_equal(verdicts(&b) + 1, "oooo");
            if (cases[i].external[j] == 'r')
                assert_int_equal(b.outcome.gate.lines[0].resource, GOVERNOR_QUEUE);
        }
        bench_done(&b);
    }
}

/* The worst resource delays, but the one that has hardened refuses. */
static void a_refusal_names_what_has_hardened(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    b.settings.rules[GOVERNOR_QUEUE].history = 2;
    b.settings.rules[GOVERNOR_MEMORY].history = 100;
    bench_start(&b);
    use(&b, GOVERNOR_QUEUE, 1000);
    use(&b, GOVERNOR_MEMORY, 1400);
    tick(&b);
    tick(&b);
    assert_int_equal(verdicts(&b)[0], 'd');
    assert_int_equal(b.outcome.gate.lines[0].resource, GOVERNOR_MEMORY);
    tick(&b);
    assert_int_equal(verdicts(&b)[0], 'r');
    assert_int_equal(b.outcome.gate.lines[0].resource, GOVERNOR_QUEUE);
    assert_true(b.view.resources[GOVERNOR_QUEUE].has_hardened);
    assert_int_equal(b.view.resources[GOVERNOR_QUEUE].off_normal, 3);
    assert_false(b.view.resources[GOVERNOR_MEMORY].has_hardened);
    /* At high the worst of those at high. */
    use(&b, GOVERNOR_MEMORY, 1600);
    tick(&b);
    assert_int_equal(b.outcome.gate.lines[0].resource, GOVERNOR_MEMORY);
    use(&b, GOVERNOR_CPU_STALL, 1700);
    tick(&b);
    assert_int_equal(b.outcome.gate.lines[0].resource, GOVERNOR_CPU_STALL);
    bench_done(&b);
}

static void the_delay_grows_and_runs_down(void **state)
{
    static const struct {
        uint64_t start_ms, step_ms, max_ms;
        const char *levels; /* of the server, a letter a sample */
        uint64_t delays_ms[16];
    } cases[] = {
        {1000,
         1000,
         5000,
         "nmmmmmmnnnnnn",
         {0, 1000, 2000, 3000, 4000, 5000, 5000, 4000, 3000, 2000, 1000, 0, 0}},
        {10000, 5000, 55000, "mmmnnnn", {10000, 15000, 20000, 15000, 10000, 5000, 0}},
        /* Pressure that is back before it has run down goes on from there. */
        {1000, 1000, 5000, "mmmnmnmnn", {1000, 2000, 3000, 2000, 2000, 1000, 1000, 0, 0}},
        /* While external mail is refused it stays as it is. */
        {1000, 1000, 5000, "mmhhmnnnnn", {1000, 2000, 0, 0, 3000, 2000, 1000, 0}},
        {1000, 0, 5000, "mmmnn", {1000, 1000, 1000, 0, 0}},
        {0, 1000, 5000, "mmmnnn", {0, 1000, 2000, 1000, 0, 0}},
        {7000, 1000, 5000, "mmnnnnnn", {5000, 5000, 4000, 3000, 2000, 1000, 0, 0}},
        {0, 0, 0, "mmnn", {0, 0, 0, 0}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bench b;

        bench_init(&b);
        b.settings.tarpit.start_ms = cases[i].start_ms;
        b.settings.tarpit.step_ms = cases[i].step_ms;
        b.settings.tarpit.max_ms = cases[i].max_ms;
        b.settings.rules[GOVERNOR_QUEUE].history = 100;
        bench_start(&b);
        for (size_t j = 0; cases[i].levels[j]; j++) {
            char l = cases[i].levels[j];
            uint64_t want = cases[i].delays_ms[j];

            (void)level_with(&b, GOVERNOR_QUEUE, l == 'n' ? 0 : l == 'm' ? 1000 : 1600);
            assert_int_equal(delay(&b), want);
            assert_int_equal(verdicts(&b)[0], l == 'h' ? 'r' : want ? 'd' : 'o');
            if (want)
                assert_int_equal(b.outcome.gate.lines[0].resource, GOVERNOR_QUEUE);
        }
        bench_done(&b);
    }
}

static void high_refuses_second_copies_last(void **state)
{
    struct bench b;
    struct governor_figure *disk = &b.sample.figures[GOVERNOR_SPOOL_DISK];

    (void)state;
    bench_init(&b);
    b.settings.refuse_at_connect = true;
    bench_start(&b);
    use(&b, GOVERNOR_MEMORY, 1000);
    tick(&b);
    assert_string_equal(verdicts(&b), "roooo");
    assert_false(b.outcome.gate.refuse_at_connect);
    assert_true(b.outcome.gate.is_memory_short);
    use(&b, GOVERNOR_MEMORY, 1500);
    tick(&b);
    assert_string_equal(verdicts(&b), "rrroo");
    assert_true(b.outcome.gate.refuse_at_connect);

    /* The disk at high by its percentage: there is more than the need. */
    use(&b, GOVERNOR_MEMORY, 0);
    disk->need = MIB(10);
    disk->used = disk->limit - MIB(11);
    tick(&b);
    assert_int_equal(b.view.level, PRESSURE_HIGH);
    assert_string_equal(verdicts(&b), "rrroo");
    assert_false(b.outcome.gate.is_memory_short);
    disk->used = disk->limit - MIB(10);
    tick(&b);
    assert_string_equal(verdicts(&b), "rrrro");
    assert_int_equal(b.outcome.gate.lines[MAIL_SECOND_COPY].resource, GOVERNOR_SPOOL_DISK);
    disk->used = disk->limit;
    disk->need = disk->limit;
    tick(&b);
    assert_string_equal(verdicts(&b), "rrrro");
    /* Of such a need half the disk counts. */
    disk->used = disk->limit / 2 - 1;
    use(&b, GOVERNOR_MEMORY, 1500);
    tick(&b);
    assert_string_equal(verdicts(&b), "rrroo");
    use(&b, GOVERNOR_MEMORY, 0);
    disk->used = 0;
    tick(&b);
    assert_string_equal(verdicts(&b), "ooooo");

    /* A disk that is observed only refuses nobody. */
    b.settings.rules[GOVERNOR_SPOOL_DISK].observe_only = true;
    b.settings.refuse_at_connect = false;
    governor_set_settings(b.governor, &b.settings);
    disk->used = disk->limit;
    use(&b, GOVERNOR_QUEUE, 1500);
    tick(&b);
    assert_string_equal(verdicts(&b), "rrroo");
    assert_false(b.outcome.gate.refuse_at_connect);
    assert_int_equal(b.outcome.gate.size_max, UINT64_MAX);
    bench_done(&b);
}

static void sessions_save_memory_when_any_of_it_is_short(void **state)
{
    static const enum governor_resource memory[] = {GOVERNOR_MEMORY, GOVERNOR_SYSTEM_MEMORY,
                                                    GOVERNOR_MEMORY_STALL};
    struct bench b;

    (void)state;
    bench_init(&b);
    bench_start(&b);
    for (size_t i = 0; i < ARRAY_SIZE(memory); i++) {
        (void)level_with(&b, memory[i], 1000);
        assert_true(b.outcome.gate.is_memory_short);
        (void)level_with(&b, memory[i], 0);
        assert_false(b.outcome.gate.is_memory_short);
    }
    bench_done(&b);
}

/* R24 */
static void a_message_takes_a_part_of_the_room(void **state)
{
    struct bench b;
    struct governor_figure *disk = &b.sample.figures[GOVERNOR_SPOOL_DISK];

    (void)state;
    bench_init(&b);
    bench_start(&b);
    disk->limit = GIB(4);
    disk->need = GIB(1);
    disk->used = 0;
    tick(&b);
    assert_int_equal(b.outcome.gate.size_max, UINT64_MAX); /* a quarter of 3 GiB */
    disk->used = GIB(3) - MIB(400);
    tick(&b);
    assert_int_equal(b.outcome.gate.size_max, UINT64_MAX); /* 100 MiB: as large as may be */
    disk->used += 4;
    tick(&b);
    assert_int_equal(b.outcome.gate.size_max, MIB(100) - 1);
    disk->used = GIB(3) - 4;
    tick(&b);
    assert_int_equal(b.outcome.gate.size_max, 1);
    disk->used = GIB(3) + 1;
    tick(&b);
    assert_int_equal(b.outcome.gate.size_max, 0);
    disk->is_known = false;
    for (int i = 0; i < 3; i++) {
        tick(&b);
        assert_int_equal(b.outcome.gate.size_max, 0); /* the last that is known */
    }
    tick(&b);
    assert_int_equal(b.outcome.gate.size_max, UINT64_MAX);
    bench_done(&b);
}

/* R20, R21 */
static void what_does_not_count_refuses_nobody(void **state)
{
    (void)state;
    for (int is_advisory = 0; is_advisory < 2; is_advisory++) {
        struct bench b;

        bench_init(&b);
        b.settings.rules[GOVERNOR_MEMORY].advisory = is_advisory;
        b.settings.rules[GOVERNOR_MEMORY].observe_only = !is_advisory;
        bench_start(&b);
        assert_int_equal(level_with(&b, GOVERNOR_MEMORY, 1600), PRESSURE_HIGH);
        assert_int_equal(b.outcome.transition_count, 1);
        assert_int_equal(b.outcome.transitions[0].resource, GOVERNOR_MEMORY);
        assert_false(b.outcome.transitions[0].counts);
        assert_int_equal(b.view.level, PRESSURE_NORMAL);
        assert_true(b.view.resources[GOVERNOR_MEMORY].has_hardened);
        assert_string_equal(verdicts(&b), "ooooo");
        assert_false(b.outcome.starts_refusing);
        assert_int_equal(b.outcome.remedy_count, is_advisory ? 4 : 0);
        assert_int_equal(b.outcome.gate.is_memory_short, is_advisory);
        /* It counts from the tick after the reload that says so. */
        b.settings.rules[GOVERNOR_MEMORY].advisory = false;
        b.settings.rules[GOVERNOR_MEMORY].observe_only = false;
        governor_set_settings(b.governor, &b.settings);
        tick(&b);
        assert_int_equal(b.view.level, PRESSURE_HIGH);
        assert_string_equal(verdicts(&b), "rrroo");
        bench_done(&b);
    }
}

static void switched_off_it_looks_and_does_nothing(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    b.settings.enabled = false;
    b.settings.refuse_at_connect = true;
    bench_start(&b);
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        use(&b, (enum governor_resource)i, GIB(10));
    tick(&b);
    assert_int_equal(b.view.level, PRESSURE_HIGH);
    assert_int_equal(b.outcome.gate.level, PRESSURE_HIGH);
    assert_int_equal(b.outcome.transition_count, GOVERNOR_TRANSITIONS_MAX);
    assert_string_equal(verdicts(&b), "ooooo");
    assert_int_equal(b.outcome.gate.size_max, UINT64_MAX);
    assert_false(b.outcome.gate.refuse_at_connect);
    assert_false(b.outcome.gate.is_memory_short);
    assert_int_equal(b.outcome.remedy_count, 0);
    assert_false(b.outcome.pause_background);
    assert_false(b.outcome.starts_refusing);
    b.settings.enabled = true;
    governor_set_settings(b.governor, &b.settings);
    tick(&b);
    assert_string_equal(verdicts(&b), "rrrro");
    assert_true(b.outcome.starts_refusing);
    assert_int_equal(b.outcome.remedy_count, GOVERNOR_REMEDIES);
    b.settings.enabled = false;
    governor_set_settings(b.governor, &b.settings);
    tick(&b);
    assert_string_equal(verdicts(&b), "ooooo");
    assert_true(b.outcome.stops_refusing);
    assert_false(b.outcome.pause_background);
    bench_done(&b);
}

static void a_figure_that_is_not_known_keeps_the_level_for_a_while(void **state)
{
    struct bench b;
    struct governor_figure *f = &b.sample.figures[GOVERNOR_IO_STALL];

    (void)state;
    bench_init(&b);
    f->is_known = false;
    f->why = "no PSI";
    bench_start(&b);
    tick(&b);
    assert_int_equal(b.view.resources[GOVERNOR_IO_STALL].level, PRESSURE_NORMAL);
    assert_string_equal(b.view.resources[GOVERNOR_IO_STALL].figure.why, "no PSI");
    f->is_known = true;
    (void)level_with(&b, GOVERNOR_IO_STALL, 1600);
    for (int round = 0; round < 2; round++) {
        f->is_known = false;
        f->used = 0;
        for (int i = 0; i < 3; i++) {
            tick(&b);
            assert_int_equal(b.view.resources[GOVERNOR_IO_STALL].level, PRESSURE_HIGH);
            assert_int_equal(b.view.resources[GOVERNOR_IO_STALL].figure.used, 1600);
            assert_false(b.view.resources[GOVERNOR_IO_STALL].figure.is_known);
        }
        if (round == 0) { /* it is back in time */
            f->is_known = true;
            (void)level_with(&b, GOVERNOR_IO_STALL, 1600);
            assert_int_equal(b.outcome.transition_count, 0);
        }
    }
    tick(&b);
    assert_int_equal(b.outcome.transition_count, 2);
    assert_int_equal(b.view.level, PRESSURE_NORMAL);
    assert_int_equal(b.view.transitions, 4);
    bench_done(&b);
}

/* R19 */
static void a_limit_that_goes_down_must_stay_down(void **state)
{
    static const struct {
        uint64_t limit, counts;
    } steps[] = {
        {1000, 1000}, {400, 1000}, {400, 1000}, {1000, 1000}, /* briefly */
        {400, 1000},  {500, 1000}, {300, 500},                /* the highest of three */
        {300, 500},   {300, 500},  {300, 300},  {301, 301},   /* growth counts at once */
        {0, 0},       {900, 0},    {900, 0},    {900, 900},   /* none is the highest */
    };
    struct bench b;
    struct governor_figure *f = &b.sample.figures[GOVERNOR_MEMORY];

    (void)state;
    bench_init(&b);
    b.settings.rules[GOVERNOR_MEMORY] =
        (struct governor_rule){.thresholds = {72, 75, 73, 71}, .is_percent = true};
    bench_start(&b);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        f->limit = steps[i].limit;
        f->used = 280;
        tick(&b);
        assert_int_equal(b.view.resources[GOVERNOR_MEMORY].figure.limit, steps[i].counts);
        assert_int_equal(b.view.resources[GOVERNOR_MEMORY].level,
                         280 * 100 >= 75 * steps[i].counts && steps[i].counts > 0
                             ? PRESSURE_HIGH
                             : PRESSURE_NORMAL);
    }
    bench_done(&b);
}

/* The bound of the spool is lower than that of the file system, and its figures take over. */
static void a_disk_that_shrinks_is_fuller_at_once(void **state)
{
    struct bench b;
    struct governor_figure *disk = &b.sample.figures[GOVERNOR_SPOOL_DISK];

    (void)state;
    bench_init(&b);
    bench_start(&b);
    disk->limit = GIB(100);
    disk->used = GIB(90);
    tick(&b);
    assert_int_equal(b.view.level, PRESSURE_NORMAL);
    disk->limit = GIB(10);
    disk->used = GIB(10) - MIB(1);
    tick(&b);
    assert_int_equal(b.view.level, PRESSURE_HIGH);
    assert_int_equal(b.view.resources[GOVERNOR_SPOOL_DISK].figure.limit, GIB(10));
    bench_done(&b);
}

static void a_transition_says_what_crossed_what(void **state)
{
    struct bench b;
    const struct governor_transition *t = b.outcome.transitions;

    (void)state;
    bench_init(&b);
    b.sample.figures[GOVERNOR_QUEUE].limit = 77;
    bench_start(&b);
    use(&b, GOVERNOR_MEMORY, 1000);
    tick(&b); /* 2 s */
    assert_int_equal(b.outcome.transition_count, 2);
    use(&b, GOVERNOR_QUEUE, 1600);
    tick(&b); /* 4 s: low to high is one */
    assert_int_equal(b.outcome.transition_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(t[i].at_ms, 4000);
        assert_int_equal(t[i].resource, i == 0 ? GOVERNOR_QUEUE : GOVERNOR_RESOURCES);
        assert_int_equal(t[i].cause, GOVERNOR_QUEUE);
        assert_int_equal(t[i].from, i == 0 ? PRESSURE_NORMAL : PRESSURE_MEDIUM);
        assert_int_equal(t[i].to, PRESSURE_HIGH);
        assert_int_equal(t[i].value, 1600);
        assert_int_equal(t[i].threshold, 1500);
        assert_int_equal(t[i].limit, 77);
        assert_int_equal(t[i].lasted_ms, i == 0 ? 4000 : 2000);
        assert_true(t[i].counts);
    }
    assert_int_equal(b.view.cause, GOVERNOR_QUEUE);
    use(&b, GOVERNOR_QUEUE, 900);
    tick(&b);
    assert_int_equal(t[0].threshold, 1000);
    /* The queue made the fall; what is left at medium is worse in memory. */
    assert_int_equal(t[1].cause, GOVERNOR_QUEUE);
    assert_int_equal(b.view.cause, GOVERNOR_MEMORY);
    use(&b, GOVERNOR_QUEUE, 0);
    use(&b, GOVERNOR_MEMORY, 0);
    tick(&b);
    assert_int_equal(b.outcome.transition_count, 3);
    assert_int_equal(t[0].resource, GOVERNOR_MEMORY);
    assert_int_equal(t[0].threshold, 800);
    assert_int_equal(t[2].cause, GOVERNOR_MEMORY);
    assert_int_equal(t[2].to, PRESSURE_NORMAL);
    /* Newest first. */
    assert_int_equal(b.view.history_count, 9);
    assert_int_equal(b.view.transitions, 9);
    assert_memory_equal(&b.view.history[0], &t[2], sizeof(*t));
    assert_int_equal(b.view.history[8].resource, GOVERNOR_MEMORY);
    assert_int_equal(b.view.history[8].at_ms, 2000);
    bench_done(&b);
}

static void the_history_for_people_is_bounded(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    bench_start(&b);
    for (int i = 0; i < 100; i++)
        (void)level_with(&b, GOVERNOR_QUEUE, i % 2 ? 0 : 1600);
    assert_int_equal(b.view.transitions, 200);
    assert_int_equal(b.view.history_count, GOVERNOR_HISTORY_MAX);
    for (size_t i = 0; i < GOVERNOR_HISTORY_MAX; i++)
        assert_int_equal(b.view.history[i].at_ms, b.now_ms - i / 2 * INTERVAL_MS);
    bench_done(&b);
}

static void refusing_begins_and_ends_once(void **state)
{
    static const struct {
        uint64_t memory, queue;
        bool starts, stops;
        enum governor_resource why;
    } steps[] = {
        {0, 1000, false, false, GOVERNOR_QUEUE}, /* delayed */
        {1000, 1000, true, false, GOVERNOR_MEMORY}, {1000, 1600, false, false, GOVERNOR_QUEUE},
        {0, 1600, false, false, GOVERNOR_QUEUE},    {0, 900, false, true, GOVERNOR_QUEUE},
        {0, 0, false, false, GOVERNOR_QUEUE},
    };
    struct bench b;

    (void)state;
    bench_init(&b);
    b.settings.rules[GOVERNOR_QUEUE].history = 100;
    bench_start(&b);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        use(&b, GOVERNOR_MEMORY, steps[i].memory);
        use(&b, GOVERNOR_QUEUE, steps[i].queue);
        tick(&b);
        assert_int_equal(b.outcome.starts_refusing, steps[i].starts);
        assert_int_equal(b.outcome.stops_refusing, steps[i].stops);
        assert_int_equal(b.outcome.refusing_for, steps[i].why);
    }
    bench_done(&b);
}

/* R10 */
static void long_pressure_is_told_once_more(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    b.settings.reminder_ms = 60000;
    bench_start(&b);
    for (int episode = 0; episode < 2; episode++) {
        uint64_t from_ms, at_ms = 0, count = 0;

        (void)level_with(&b, GOVERNOR_QUEUE, 0);
        from_ms = b.now_ms + INTERVAL_MS;
        for (int i = 0; i < 200; i++) { /* another level is the same episode */
            (void)level_with(&b, GOVERNOR_QUEUE, i % 3 ? 1600 : 900 + (uint64_t)(i == 0) * 100);
            if (b.outcome.reminder) {
                count++;
                at_ms = b.now_ms;
            }
        }
        assert_int_equal(count, 1);
        assert_int_equal(at_ms - from_ms, 60000);
    }
    bench_done(&b);
}

static void a_reload_judges_by_the_new_thresholds(void **state)
{
    struct bench b;

    (void)state;
    bench_init(&b);
    bench_start(&b);
    assert_int_equal(level_with(&b, GOVERNOR_QUEUE, 1200), PRESSURE_MEDIUM);
    b.settings.rules[GOVERNOR_QUEUE].thresholds = (struct governor_thresholds){10, 1200, 500, 5};
    governor_set_settings(b.governor, &b.settings);
    governor_get_view(b.governor, &b.view);
    assert_int_equal(b.view.level, PRESSURE_MEDIUM);
    tick(&b);
    assert_int_equal(b.view.level, PRESSURE_HIGH);
    b.settings.rules[GOVERNOR_QUEUE].thresholds =
        (struct governor_thresholds){2000, 4000, 3000, 1200};
    governor_set_settings(b.governor, &b.settings);
    tick(&b);
    assert_int_equal(b.view.level, PRESSURE_NORMAL);
    bench_done(&b);
}

static void the_view_says_what_to_free_and_when_it_is_full(void **state)
{
    struct bench b;
    const struct governor_resource_view *v = &b.view.resources[GOVERNOR_QUEUE];

    (void)state;
    bench_init(&b);
    bench_start(&b);
    for (uint64_t i = 0; i < 10; i++)
        (void)level_with(&b, GOVERNOR_QUEUE, 20 * i); /* 10 a second */
    assert_true(v->trend > 9.99 && v->trend < 10.01);
    assert_int_equal(v->medium_in_s, 82); /* 819 to go */
    assert_int_equal(v->high_in_s, 132);
    assert_int_equal(v->to_free, 0);
    assert_int_equal(level_with(&b, GOVERNOR_QUEUE, 1100), PRESSURE_MEDIUM);
    assert_int_equal(v->to_free, 300);
    assert_int_equal(v->medium_in_s, 0);
    assert_int_equal(v->since_ms, b.now_ms);
    assert_int_equal(v->previous, PRESSURE_NORMAL);
    for (uint64_t i = 0; i < 60; i++)
        (void)level_with(&b, GOVERNOR_QUEUE, 900 - i);
    assert_true(v->trend > -0.51 && v->trend < -0.49);
    assert_int_equal(v->to_free, 41);
    assert_int_equal(v->medium_in_s, 0); /* it is medium, though under low_to_medium */
    assert_int_equal(v->high_in_s, INT64_MAX);
    assert_int_equal(level_with(&b, GOVERNOR_MEMORY, 1500), PRESSURE_HIGH);
    assert_int_equal(level_with(&b, GOVERNOR_MEMORY, 1001), PRESSURE_HIGH);
    assert_int_equal(b.view.resources[GOVERNOR_MEMORY].high_in_s, 0); /* it is, likewise */
    assert_int_equal(b.view.at_level.ms[0][PRESSURE_NORMAL], 11 * INTERVAL_MS);
    assert_int_equal(b.view.at_level.ms[1][PRESSURE_MEDIUM], 61 * INTERVAL_MS);
    assert_int_equal(b.view.at_level.ms[1][PRESSURE_HIGH], INTERVAL_MS);
    assert_int_equal(b.view.at_level.total_ms[PRESSURE_MEDIUM], 61 * INTERVAL_MS);
    /* Each by itself: the queue stays medium, and memory was high only at the end. */
    assert_int_equal(v->at_level.ms[0][PRESSURE_MEDIUM], 62 * INTERVAL_MS);
    assert_int_equal(b.view.resources[GOVERNOR_MEMORY].at_level.total_ms[PRESSURE_HIGH],
                     INTERVAL_MS);
    assert_int_equal(b.view.samples, 73);
    bench_done(&b);
}

/* What was before a long gap says nothing of now. */
static void a_trend_begins_anew_after_a_gap(void **state)
{
    struct bench b;
    const struct governor_resource_view *v = &b.view.resources[GOVERNOR_QUEUE];

    (void)state;
    bench_init(&b);
    bench_start(&b);
    for (uint64_t i = 0; i < 30; i++)
        (void)level_with(&b, GOVERNOR_QUEUE, 20 * i);
    assert_true(v->trend > 9.99);
    b.sample.figures[GOVERNOR_QUEUE].is_known = false;
    for (int i = 0; i < 4; i++) {
        tick(&b);
        assert_true(v->trend < 0.01);
        assert_int_equal(v->high_in_s, INT64_MAX);
    }
    b.sample.figures[GOVERNOR_QUEUE].is_known = true;
    for (int i = 0; i < 9; i++) {
        (void)level_with(&b, GOVERNOR_QUEUE, 600);
        assert_true(v->trend < 0.01);
    }
    bench_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_make_levels),
        cmocka_unit_test(a_fall_waits_for_the_dwell),
        cmocka_unit_test(the_server_has_a_dwell_of_its_own),
        cmocka_unit_test(a_flapping_figure_makes_one_pair_a_dwell),
        cmocka_unit_test(time_that_does_not_pass_changes_no_level),
        cmocka_unit_test(history_turns_delay_into_refusal),
        cmocka_unit_test(a_refusal_names_what_has_hardened),
        cmocka_unit_test(the_delay_grows_and_runs_down),
        cmocka_unit_test(high_refuses_second_copies_last),
        cmocka_unit_test(sessions_save_memory_when_any_of_it_is_short),
        cmocka_unit_test(a_message_takes_a_part_of_the_room),
        cmocka_unit_test(what_does_not_count_refuses_nobody),
        cmocka_unit_test(switched_off_it_looks_and_does_nothing),
        cmocka_unit_test(a_figure_that_is_not_known_keeps_the_level_for_a_while),
        cmocka_unit_test(a_limit_that_goes_down_must_stay_down),
        cmocka_unit_test(a_disk_that_shrinks_is_fuller_at_once),
        cmocka_unit_test(a_transition_says_what_crossed_what),
        cmocka_unit_test(the_history_for_people_is_bounded),
        cmocka_unit_test(refusing_begins_and_ends_once),
        cmocka_unit_test(long_pressure_is_told_once_more),
        cmocka_unit_test(a_reload_judges_by_the_new_thresholds),
        cmocka_unit_test(the_view_says_what_to_free_and_when_it_is_full),
        cmocka_unit_test(a_trend_begins_anew_after_a_gap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
