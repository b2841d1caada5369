/* schedule/schedule_lane_test.c - lanes: limits, rates, turns, moves, spread and release, case by
 * case and as properties of seeded histories. Order and counts in detail: schedule_model_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "schedule/schedule.h"

#define NOW INT64_C(1700000000000)
#define MINUTE INT64_C(60000)
#define HOUR INT64_C(3600000)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SLOW 1
#endif
#endif
#ifndef IS_SLOW
#define IS_SLOW 0
#endif

static struct rand theirs;

static const struct schedule_config common = {
    .connections_max = 100,
    .connections_per_destination = 20,
    .connections_new = 50,
    .retry = {.delays_s = {600, 1200, 2400, 4800},
              .delay_count = 4,
              .jitter = 0.2,
              .max_queue_time_s = 48 * 3600},
    .entries_max = 10000000,
};

static struct schedule *make(const struct schedule_config *config)
{
    struct schedule *s;

    rand_init(&theirs, 5);
    assert_int_equal(schedule_new(&s, config, &theirs), 0);
    assert_int_equal(schedule_advance(s, NOW, 1), 0);
    return s;
}

static uint32_t lane(struct schedule *s, uint32_t connections, double per_second)
{
    struct schedule_lane_limits limits = {.connections = connections, .per_second = per_second};
    uint32_t made;

    assert_int_equal(schedule_lane_new(s, &made), 0);
    schedule_lane_set_limits(s, made, &limits);
    return made;
}

static struct schedule_entry get(const struct schedule *s, entry_ref ref)
{
    struct schedule_entry e;

    assert_true(schedule_get(s, ref, &e));
    return e;
}

static entry_ref add_at(struct schedule *s, const char *destination, int64_t arrival_ms,
                        uint32_t attempts, int64_t due_ms)
{
    static uint64_t id = 1000;
    entry_ref ref;

    id++;
    assert_int_equal(schedule_add(s, id, slice_str(destination), id % 4, arrival_ms, attempts,
                                  due_ms, false, &ref),
                     0);
    return ref;
}

static entry_ref add(struct schedule *s, const char *destination)
{
    return add_at(s, destination, NOW, 0, NOW);
}

/* `count` ready entries of that destination, which is in that lane; its handle. */
static uint32_t fill(struct schedule *s, uint32_t to, const char *destination, int count)
{
    uint32_t handle = 0;

    for (int i = 0; i < count; i++)
        handle = get(s, add(s, destination)).destination_index;
    assert_int_equal(schedule_set_lane(s, handle, to, NULL, 0), 0);
    return handle;
}

static struct schedule_lane_view view(const struct schedule *s, uint32_t of)
{
    struct schedule_lane_view v;

    schedule_lane_get(s, of, &v);
    return v;
}

static uint32_t grant_all(struct schedule *s, uint32_t of)
{
    uint32_t granted = 0, destination;

    while (schedule_grant(s, &destination))
        granted += schedule_lane_of(s, destination) == of;
    return granted;
}

/* ---- limits ---- */

static void a_lane_has_its_limit(void **state)
{
    struct schedule *s = make(&common);
    uint32_t narrow = lane(s, 5, 0), wide = lane(s, UINT32_MAX, 0);
    uint32_t first = fill(s, narrow, "a", 100), second = fill(s, narrow, "b", 100);
    struct schedule_lane_limits limits = {.connections = 2};
    entry_ref got[4];

    (void)state;
    fill(s, wide, "c", 100);
    assert_int_equal(grant_all(s, narrow), 5);
    assert_int_equal(view(s, wide).slots, 20); /* the limit of one destination */
    schedule_lane_set_limits(s, narrow, &limits);
    for (uint32_t slots = 5; slots > 2; slots--) { /* none is taken away, none is used again */
        uint32_t each = slots % 2 ? first : second;

        assert_int_equal(schedule_share(s, each), 0);
        assert_int_equal(schedule_take(s, each, got, 4), 0);
        schedule_release(s, each);
        assert_int_equal(grant_all(s, narrow), 0);
    }
    assert_int_equal(schedule_take(s, first, got, 4), 4);
    limits.connections = 8;
    schedule_lane_set_limits(s, narrow, &limits);
    assert_int_equal(grant_all(s, narrow), 6);
    assert_int_equal(view(s, narrow).slots_peak, 8);
    schedule_free(&s);
}

static void a_paused_lane_does_nothing(void **state)
{
    struct schedule *s = make(&common);
    uint32_t quiet = lane(s, 10, 0), destination = fill(s, quiet, "a", 10), ignored;
    struct schedule_lane_limits limits = {.connections = 10, .paused = true};
    entry_ref got[4];

    (void)state;
    assert_true(schedule_grant(s, &ignored));
    schedule_lane_set_limits(s, quiet, &limits);
    assert_false(schedule_grant(s, &ignored));
    assert_int_equal(schedule_take(s, destination, got, 4), 0);
    assert_int_equal(schedule_next_due_ms(s), SCHEDULE_NEVER);
    limits.paused = false;
    schedule_lane_set_limits(s, quiet, &limits);
    assert_int_equal(schedule_take(s, destination, got, 4), 4);
    assert_true(schedule_grant(s, &ignored));
    schedule_free(&s);
}

static void unknown_destinations_get_one_slot_each(void **state)
{
    struct schedule *s = make(&common);
    uint32_t known = lane(s, 3, 0), of_new[200], count = 0, kept = 0;
    entry_ref got[16];
    char name[16];

    (void)state;
    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        for (int k = 0; k < 20; k++)
            add(s, name);
    }
    while (schedule_grant(s, &of_new[count])) {
        assert_int_equal(schedule_lane_of(s, of_new[count]), SCHEDULE_LANE_NEW);
        assert_int_equal(schedule_take(s, of_new[count], got, 4), 4);
        for (uint32_t i = 0; i < count; i++)
            assert_int_not_equal(of_new[i], of_new[count]);
        count++;
    }
    assert_int_equal(count, common.connections_new);
    /* All turn out to be of one lane, which has room for three: the others hand theirs back. */
    for (uint32_t i = 0; i < count; i++) {
        struct schedule_entry e;
        uint32_t it = 0;

        assert_int_equal(schedule_set_lane(s, of_new[i], known, NULL, 0), 0);
        if (view(s, known).slots <= 3) {
            kept++;
            continue;
        }
        while (schedule_next_entry(s, &it, &e))
            if (e.destination_index == of_new[i] && e.state == ENTRY_ACTIVE)
                schedule_return(s, e.ref);
        schedule_release(s, of_new[i]);
    }
    assert_int_equal(kept, 3);
    assert_int_equal(view(s, known).slots, 3);
    assert_int_equal(view(s, known).active, 12);
    assert_int_equal(view(s, known).ready, 50 * 20 - 12);
    assert_int_equal(view(s, known).slots_peak, 4);
    assert_int_equal(view(s, SCHEDULE_LANE_NEW).entries, 150 * 20);
    assert_int_equal(grant_all(s, SCHEDULE_LANE_NEW), 50);
    schedule_free(&s);
}

static void a_lane_is_forgotten_with_its_destination(void **state)
{
    struct schedule *s = make(&common);
    uint32_t known = lane(s, 3, 0), destination = fill(s, known, "a", 1);
    entry_ref ref;

    (void)state;
    assert_true(schedule_grant(s, &destination));
    assert_int_equal(schedule_take(s, destination, &ref, 1), 1);
    schedule_done(s, ref);
    assert_int_equal(view(s, known).entries, 0);
    assert_int_equal(get(s, add(s, "a")).lane, known); /* the slot keeps it */
    assert_int_equal(schedule_take(s, destination, &ref, 1), 1);
    schedule_done(s, ref);
    schedule_release(s, destination);
    assert_int_equal(view(s, known).destinations, 0);
    assert_int_equal(get(s, add(s, "a")).lane, SCHEDULE_LANE_NEW);
    schedule_free(&s);
}

static void there_are_so_many_lanes(void **state)
{
    struct schedule *s = make(&common);
    uint32_t made = 0;

    (void)state;
    for (uint32_t i = 1; i < SCHEDULE_LANES_MAX; i++)
        assert_int_equal(schedule_lane_new(s, &made), 0);
    assert_int_equal(made, SCHEDULE_LANES_MAX - 1);
    assert_int_equal(schedule_lane_new(s, &made), -ENOBUFS);
    assert_int_equal(made, SCHEDULE_LANES_MAX - 1);
    schedule_free(&s);
}

/* ---- policies ---- */

static void a_lane_brings_its_policy(void **state)
{
    static const struct retry_policy quick = {
        .delays_s = {60}, .delay_count = 1, .max_queue_time_s = 3600};
    static const struct retry_policy own = {
        .delays_s = {30}, .delay_count = 1, .max_queue_time_s = 1800};
    struct schedule *s = make(&common);
    uint32_t known = lane(s, 50, 0), destination = fill(s, known, "a", 10);
    entry_ref ref;

    (void)state;
    assert_int_equal(schedule_set_lane(s, destination, known, &quick, 2), 0);
    assert_int_equal(grant_all(s, known), 2);
    assert_int_equal(schedule_take(s, destination, &ref, 1), 1);
    assert_true(schedule_is_expired(s, ref, NOW + HOUR));
    assert_false(schedule_is_expired(s, ref, NOW + HOUR - 1));
    assert_int_equal(schedule_retry(s, ref, NOW), NOW + MINUTE);
    /* By name goes before by lane, each of the two for itself. */
    assert_int_equal(schedule_set_policy(s, SLICE_LIT("a"), &own, 0), 0);
    assert_int_equal(schedule_take(s, destination, &ref, 1), 1);
    assert_int_equal(schedule_retry(s, ref, NOW), NOW + MINUTE / 2);
    assert_int_equal(grant_all(s, known), 0);
    assert_int_equal(schedule_set_policy(s, SLICE_LIT("a"), NULL, 4), 0);
    assert_int_equal(grant_all(s, known), 2);
    assert_int_equal(schedule_take(s, destination, &ref, 1), 1);
    assert_int_equal(schedule_retry(s, ref, NOW), NOW + MINUTE);
    assert_int_equal(schedule_set_policy(s, SLICE_LIT("a"), NULL, 0), 0);
    assert_int_equal(schedule_set_lane(s, destination, known, NULL, 0), 0);
    assert_int_equal(schedule_take(s, destination, &ref, 1), 1);
    assert_true(schedule_retry(s, ref, NOW) >= NOW + 8 * MINUTE);
    schedule_free(&s);
}

static void equal_policies_are_kept_once(void **state)
{
    enum { COUNT = 5000 };
    struct retry_policy policies[3] = {
        {.delays_s = {60}, .delay_count = 1, .max_queue_time_s = 3600},
        {.delays_s = {60}, .delay_count = 1, .max_queue_time_s = 3601},
        {.delays_s = {60, 60}, .delay_count = 2, .max_queue_time_s = 3600, .jitter = 0.1}};
    struct schedule *s = make(&common);
    uint32_t known = lane(s, 50, 0);
    static entry_ref refs[COUNT];
    size_t before;
    char name[16];

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        refs[i] = add(s, name);
    }
    before = schedule_memory_bytes(s);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(schedule_set_lane(s, get(s, refs[i]).destination_index, known,
                                           i % 4 == 3 ? NULL : &policies[i % 4], (uint32_t)i % 2),
                         0);
    assert_true(schedule_memory_bytes(s) - before <= 8 * 256);
    for (int i = 0; i < COUNT; i++) {
        static const int64_t ages[] = {3600000, 3601000, 3600000, 48 * HOUR};

        assert_true(schedule_is_expired(s, refs[i], NOW + ages[i % 4]));
        assert_false(schedule_is_expired(s, refs[i], NOW + ages[i % 4] - 1));
    }
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(schedule_set_lane(s, get(s, refs[i]).destination_index, known, NULL, 0),
                         0);
    assert_int_equal(schedule_memory_bytes(s), before);
    schedule_free(&s);
}

/* ---- the queue thread in short: slots that take, send, and take again ---- */

enum { JOBS_MAX = 128, NAMES_MAX = 64, BATCH = 16 };

struct job {
    uint32_t destination;
    entry_ref refs[BATCH];
    size_t count;
};

struct world {
    struct schedule *s;
    struct rand chance;
    struct job jobs[JOBS_MAX];
    size_t job_count, most_jobs;
    int64_t now_ms;
    uint64_t taken, handed_back;
    /* Told of each take. */
    void (*took)(struct world *w, uint32_t destination, size_t count);
};

static bool job_fill(struct world *w, struct job *job)
{
    size_t share = MIN_OF(schedule_share(w->s, job->destination), BATCH);

    job->count = schedule_take(w->s, job->destination, job->refs, share);
    w->taken += job->count;
    if (job->count > 0 && w->took)
        w->took(w, job->destination, job->count);
    if (job->count == 0) {
        w->handed_back++;
        schedule_release(w->s, job->destination);
    }
    return job->count > 0;
}

static void start_jobs(struct world *w)
{
    struct job job = {0};

    while (schedule_grant(w->s, &job.destination)) {
        assert_true(w->job_count < JOBS_MAX);
        if (job_fill(w, &job))
            w->jobs[w->job_count++] = job;
    }
    w->most_jobs = MAX_OF(w->most_jobs, w->job_count);
}

/* One job has sent its entries; new ones take their place, so that the backlog has no end. */
static void job_done(struct world *w)
{
    struct job *job = &w->jobs[rand_below(&w->chance, w->job_count)];

    for (size_t i = 0; i < job->count; i++) {
        struct schedule_entry e = get(w->s, job->refs[i]);
        entry_ref ref;

        assert_int_equal(
            schedule_add(w->s, e.id, e.destination, 1, w->now_ms, 0, w->now_ms, false, &ref), 0);
        schedule_done(w->s, job->refs[i]);
    }
    if (!job_fill(w, job))
        *job = w->jobs[--w->job_count];
}

/* ---- turns ---- */

static uint64_t taken_of[NAMES_MAX];

static void count_take(struct world *w, uint32_t destination, size_t count)
{
    struct slice name = schedule_destination_name(w->s, destination);

    taken_of[strtoul((const char *)name.ptr + 1, NULL, 10) % NAMES_MAX] += count;
}

/* Every destination has an endless backlog. All lanes get the same, and so do the destinations of
 * one, though there are fewer slots than lanes, or than destinations of a lane. */
static void check_turns(uint32_t slots, uint32_t of_lane, int lanes, int each, uint64_t seed)
{
    struct schedule_config config = common;
    struct world w = {.now_ms = NOW, .took = count_take};
    uint64_t least = UINT64_MAX, most = 0, first_of_lane = 0;
    char name[16];

    config.connections_max = slots;
    w.s = make(&config);
    rand_init(&w.chance, seed);
    memset(taken_of, 0, sizeof(taken_of));
    for (int i = 0; i < lanes; i++) {
        uint32_t to = lane(w.s, of_lane, 0);

        for (int k = 0; k < each; k++) { /* the first one had much mail before the others came */
            (void)snprintf(name, sizeof(name), "n%d.", i * each + k);
            fill(w.s, to, name, k == 0 ? 2000 : 400);
            if (i == 0 && k == 0)
                start_jobs(&w);
        }
    }
    for (int step = 0; step < 20000; step++) {
        job_done(&w);
        start_jobs(&w);
        if (step == 5000) {
            memset(taken_of, 0, sizeof(taken_of));
            w.taken = w.handed_back = 0;
        }
    }
    for (int i = 0; i < lanes * each; i++) {
        least = MIN_OF(least, taken_of[i]);
        most = MAX_OF(most, taken_of[i]);
    }
    for (int k = 0; k < each; k++)
        first_of_lane += taken_of[k];
    print_message("# %u slots, %u a lane, %d x %d: %llu to %llu entries each; of the lane %llu of "
                  "%llu; %llu slots handed back\n",
                  slots, of_lane, lanes, each, (unsigned long long)least, (unsigned long long)most,
                  (unsigned long long)first_of_lane, (unsigned long long)w.taken,
                  (unsigned long long)w.handed_back);
    assert_true(most <= least * 2);
    assert_true(first_of_lane * (uint64_t)lanes <= w.taken * 5 / 4);
    assert_true(first_of_lane * (uint64_t)lanes >= w.taken * 3 / 4);
    /* A connection is not given up all the time for that. */
    assert_true(w.handed_back * 32 <= w.taken);
    schedule_free(&w.s);
}

static void nobody_starves(void **state)
{
    (void)state;
    check_turns(4, UINT32_MAX, 10, 3, 1);
    check_turns(40, UINT32_MAX, 10, 3, 2);
    check_turns(40, 1, 3, 10, 3);
    check_turns(40, 4, 3, 10, 4);
    check_turns(40, 7, 5, 2, 5);
    check_turns(1, 1, 5, 5, 6);
    check_turns(100, UINT32_MAX, 2, 30, 7);
}

/* One slot of few: a destination with little mail goes between those with much. */
static void a_small_lane_is_served_beside_full_ones(void **state)
{
    struct schedule_config config = common;
    struct world w = {.now_ms = NOW};
    uint32_t big[3], small;
    uint64_t waited = 0;
    entry_ref ref;

    (void)state;
    config.connections_max = 30;
    w.s = make(&config);
    rand_init(&w.chance, 9);
    small = lane(w.s, UINT32_MAX, 0);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"x", "y", "z"};

        big[i] = lane(w.s, UINT32_MAX, 0);
        fill(w.s, big[i], names[i], 3000);
    }
    start_jobs(&w);
    for (int round = 0; round < 200; round++) {
        uint64_t before = w.taken;

        ref = add(w.s, "small");
        assert_int_equal(schedule_set_lane(w.s, get(w.s, ref).destination_index, small, NULL, 0),
                         0);
        start_jobs(&w);
        while (view(w.s, small).ready > 0) {
            job_done(&w);
            start_jobs(&w);
        }
        waited = MAX_OF(waited, w.taken - before);
        for (size_t i = 0; i < w.job_count; i++)
            if (w.jobs[i].refs[0] == ref) {
                schedule_done(w.s, ref);
                schedule_release(w.s, w.jobs[i].destination);
                w.jobs[i] = w.jobs[--w.job_count];
                break;
            }
    }
    assert_true(waited <= 4 * BATCH); /* the next slots that come free */
    schedule_free(&w.s);
}

/* ---- rates ---- */

enum { RATED = 6 };

static const double rates[RATED] = {0.3, 1.0, 1.7, 5.0, 33.3, 250.0};
static uint32_t rated[RATED];
static double real_ms, level[RATED], level_ms[RATED];
static uint64_t taken_by_rate[RATED];

/* A bucket that leaks at the rate is over one second's worth exactly when in some window too many
 * entries were taken. */
static void check_rate(struct world *w, uint32_t destination, size_t count)
{
    uint32_t of = schedule_lane_of(w->s, destination);

    for (int i = 0; i < RATED; i++) {
        if (rated[i] != of)
            continue;
        level[i] = MAX_OF(level[i] - rates[i] * (real_ms - level_ms[i]) / 1000.0, 0.0);
        level[i] += (double)count;
        level_ms[i] = real_ms;
        taken_by_rate[i] += count;
        assert_true(level[i] <= MAX_OF(rates[i], 1.0) + 1e-6);
    }
}

/* Run by schedule_next_due_ms() alone, with some calls at other times. The clock may be set back. */
static void run_rates(struct world *w, uint64_t seed, double seconds, bool steps_back)
{
    uint64_t rounds = 0;
    double end_ms = real_ms + seconds * 1000.0;

    rand_init(&w->chance, seed);
    while (real_ms < end_ms) {
        int64_t next_ms = schedule_next_due_ms(w->s);
        int64_t wait_ms = next_ms - w->now_ms;

        assert_true(next_ms > w->now_ms && next_ms < SCHEDULE_NEVER);
        if (rand_below(&w->chance, 4) == 0)
            wait_ms = (int64_t)rand_below(&w->chance, (uint64_t)MIN_OF(wait_ms, 3000) + 1);
        w->now_ms += wait_ms;
        real_ms += (double)wait_ms;
        if (steps_back && rand_below(&w->chance, 200) == 0)
            w->now_ms -= (int64_t)rand_below(&w->chance, rand_below(&w->chance, 2) ? 900 : 200000);
        (void)schedule_advance(w->s, w->now_ms, 100);
        start_jobs(w);
        while (w->job_count > 0 && rand_below(&w->chance, 8)) {
            job_done(w);
            start_jobs(w);
        }
        rounds++;
    }
    print_message("# %llu rounds for %llu entries\n", (unsigned long long)rounds,
                  (unsigned long long)w->taken);
}

static struct world rated_world(void)
{
    struct world w = {.now_ms = NOW, .took = check_rate};
    char name[16];

    w.s = make(&common);
    real_ms = 0;
    for (int i = 0; i < RATED; i++) {
        rated[i] = lane(w.s, 10, rates[i]);
        level[i] = level_ms[i] = 0;
        taken_by_rate[i] = 0;
        for (int k = 0; k < 3; k++) {
            (void)snprintf(name, sizeof(name), "n%d.", i * 3 + k);
            fill(w.s, rated[i], name, 1000);
        }
    }
    return w;
}

static void no_window_has_more_than_its_rate(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct world w = rated_world();

        start_jobs(&w);
        run_rates(&w, seed, 200, false);
        for (int i = 0; i < RATED; i++) /* and nothing much is left unused */
            assert_true((double)taken_by_rate[i] >= rates[i] * 200 * 0.9 - 2);
        schedule_free(&w.s);
    }
}

static void a_clock_set_back_gives_no_tokens_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 11; seed <= 14; seed++) {
        struct world w = rated_world();

        start_jobs(&w);
        run_rates(&w, seed, 300, true);
        schedule_free(&w.s);
    }
}

/* No more rounds of the queue thread than tokens, when nothing else happens. */
static void the_queue_thread_wakes_for_tokens_only(void **state)
{
    struct world w = {.now_ms = NOW};
    uint64_t wakes = 0;

    (void)state;
    w.s = make(&common);
    fill(w.s, lane(w.s, 10, 0.7), "a", 100);
    fill(w.s, lane(w.s, 10, 3.0), "b", 100);
    for (; w.now_ms < NOW + 10000; wakes++) {
        start_jobs(&w);
        while (w.job_count > 0)
            job_done(&w);
        assert_true(schedule_next_due_ms(w.s) > w.now_ms);
        w.now_ms = schedule_next_due_ms(w.s);
        (void)schedule_advance(w.s, w.now_ms, 100);
    }
    assert_in_range(w.taken, 10 * 3 + 10 * 7 / 10, 10 * 3 + 10 * 7 / 10 + 2);
    assert_in_range(wakes, w.taken - 2, w.taken + 2);
    schedule_free(&w.s);
}

static void a_rate_may_change_and_debts_are_paid(void **state)
{
    struct schedule *s = make(&common);
    struct schedule_lane_limits limits = {.connections = 10, .per_second = 10};
    uint32_t slow = lane(s, 10, 0), destination, other;
    entry_ref got[40];
    size_t n;

    (void)state;
    for (int i = 0; i < 50; i++)
        add(s, "a");
    assert_true(schedule_grant(s, &destination));
    assert_int_equal(schedule_take(s, destination, got, 30), 30);
    schedule_lane_set_limits(s, slow, &limits);
    assert_int_equal(schedule_set_lane(s, destination, slow, NULL, 0), 0);
    assert_int_equal(schedule_take(s, destination, got + 30, 1), 0);
    assert_int_equal(schedule_next_due_ms(s),
                     NOW + 3000); /* one token was there: 29 and 1 to pay */
    for (int i = 0; i < 20; i++)  /* those that were not tried are not paid for */
        schedule_return(s, got[29 - i]);
    assert_int_equal(schedule_next_due_ms(s), NOW + 1000);
    (void)schedule_advance(s, NOW + 999, 1);
    assert_false(schedule_grant(s, &other));
    (void)schedule_advance(s, NOW + 1000, 1);
    assert_true(schedule_grant(s, &other));
    n = schedule_take(s, other, got + 30, 10);
    assert_int_equal(n, 1);
    limits.per_second = 100;
    schedule_lane_set_limits(s, slow, &limits);
    (void)schedule_advance(s, NOW + 1050, 1);
    assert_int_equal(schedule_take(s, other, got + 30, 10), 5);
    limits.per_second = 0;
    schedule_lane_set_limits(s, slow, &limits);
    assert_int_equal(schedule_take(s, other, got + 30, 10), 10);
    assert_int_equal(view(s, slow).taken, 16);
    schedule_free(&s);
}

/* ---- the backlog ---- */

static void a_backlog_is_spread_evenly(void **state)
{
    enum { BACKLOG = 40000, PARTS = 20, NAMES = 50 };
    static entry_ref refs[BACKLOG];
    struct schedule *s = make(&common);
    uint32_t known = lane(s, 10, 0), other = lane(s, 10, 0), in_part[PARTS] = {0}, cursor = 0;
    entry_ref fresh, late, elsewhere;
    char name[16];
    int calls = 0;

    (void)state;
    for (int i = 0; i < BACKLOG; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i % NAMES);
        refs[i] = add_at(s, name, NOW, 1 + (uint32_t)i % 3, NOW + (i % 2 ? -1 : i));
        assert_int_equal(refs[i], i);
        if (i < NAMES)
            assert_int_equal(
                schedule_set_lane(s, get(s, refs[i]).destination_index, known, NULL, 0), 0);
    }
    fresh = add(s, "n0");
    late = add_at(s, "n0", NOW, 1, NOW + HOUR);
    elsewhere = add_at(s, "other", NOW, 1, NOW);
    assert_int_equal(schedule_set_lane(s, get(s, elsewhere).destination_index, other, NULL, 0), 0);
    while (schedule_lane_spread(s, known, NOW, (uint64_t)HOUR, &cursor, 1000)) {
        uint32_t it = 0, changed = 0;
        struct schedule_entry e;

        calls++;
        while (calls <= 3 && schedule_next_entry(s, &it, &e))
            changed += e.ref < BACKLOG && e.due_ms != NOW + (e.ref % 2 ? -1 : (int64_t)e.ref);
        assert_true(changed <= (uint32_t)calls * 1000);
    }
    assert_in_range(calls, BACKLOG / 1000, BACKLOG / 1000 + 1);
    for (int i = 0; i < BACKLOG; i++) {
        int64_t after = get(s, refs[i]).due_ms - NOW;

        assert_in_range(after, 0, HOUR);
        in_part[MIN_OF(after * PARTS / HOUR, PARTS - 1)]++;
    }
    for (int i = 0; i < PARTS; i++) /* five sigma: sqrt(2000 * 0.95) = 44 */
        assert_in_range(in_part[i], BACKLOG / PARTS - 220, BACKLOG / PARTS + 220);
    assert_int_equal(get(s, fresh).due_ms, NOW);
    assert_int_equal(get(s, late).due_ms, NOW + HOUR);
    assert_int_equal(get(s, elsewhere).state, ENTRY_READY);
    assert_int_equal(view(s, known).entries, BACKLOG + 2);
    schedule_free(&s);
}

static void a_backlog_behind_a_pause_stays_behind_it(void **state)
{
    struct schedule *s = make(&common);
    uint32_t known = lane(s, 10, 0), destination = fill(s, known, "a", 100), cursor = 0, it = 0;
    struct schedule_entry e;

    (void)state;
    assert_true(schedule_grant(s, &destination));
    schedule_destination_failed(s, destination, NOW);
    assert_false(schedule_lane_spread(s, known, NOW, 1000 * (uint64_t)MINUTE, &cursor, 1000));
    while (schedule_next_entry(s, &it, &e))
        assert_true(e.due_ms >= NOW + 8 * MINUTE);
    schedule_free(&s);
}

/* Everything else happens between the steps of a spread, and nothing is lost or done twice. */
static void check_spread_among_changes(uint64_t seed)
{
    enum { COUNT = 3000, NAMES = 40 };
    struct schedule *s = make(&common);
    uint32_t lanes[2] = {lane(s, 10, 0), lane(s, 10, 0)}, cursor = 0, used = COUNT, calls = 0;
    static entry_ref refs[COUNT];
    static bool touched[COUNT];
    struct schedule_totals totals;
    struct rand chance;
    char name[16];

    rand_init(&chance, seed);
    memset(touched, 0, sizeof(touched));
    for (uint32_t i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof(name), "n%u", i % NAMES);
        refs[i] = add_at(s, name, NOW, 1, NOW);
        if (i < NAMES)
            assert_int_equal(
                schedule_set_lane(s, get(s, refs[i]).destination_index, lanes[0], NULL, 0), 0);
    }
    while (schedule_lane_spread(s, lanes[0], NOW, (uint64_t)HOUR, &cursor, 37)) {
        assert_true(++calls <= COUNT);
        for (int i = 0; i < 20; i++) {
            uint32_t k = (uint32_t)rand_below(&chance, COUNT);
            uint64_t what = rand_below(&chance, 40);
            struct schedule_entry e;

            if (!refs[k])
                continue;
            e = get(s, refs[k]);
            if (what < 20) { /* gone; it comes again as another, or not at all */
                assert_int_equal(schedule_cancel(s, refs[k]), 0);
                refs[k] = 0;
                used--;
                touched[k] = true;
            } else if (what < 30) {
                assert_int_equal(schedule_hold(s, refs[k]), 0);
                touched[k] = true;
            } else if (what == 30) {
                uint32_t to = lanes[rand_below(&chance, 2)];

                assert_int_equal(schedule_set_lane(s, e.destination_index, to, NULL, 0), 0);
                for (uint32_t n = 0; n < COUNT; n++) /* all of them left the lane, or came anew */
                    touched[n] |=
                        refs[n] && get(s, refs[n]).destination_index == e.destination_index;
            } else if (what == 31) {
                (void)schedule_lane_release(s, lanes[0], NOW, 3, false);
                for (uint32_t n = 0; n < COUNT; n++)
                    touched[n] |= refs[n] && get(s, refs[n]).due_ms == NOW;
            }
        }
    }
    for (uint32_t k = 0; k < COUNT; k++) {
        if (!refs[k])
            continue;
        assert_true(get(s, refs[k]).due_ms >= NOW && get(s, refs[k]).due_ms <= NOW + HOUR);
        assert_true(touched[k] || get(s, refs[k]).state == ENTRY_WAITING);
    }
    schedule_get_totals(s, &totals);
    assert_int_equal(totals.entries, used);
    schedule_free(&s);
}

static void a_spread_stands_changes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++)
        check_spread_among_changes(seed);
}

static void a_spread_ends_while_mail_comes(void **state)
{
    struct schedule *s = make(&common);
    uint32_t known = lane(s, 10, 0), cursor = 0, calls = 0;

    (void)state;
    fill(s, known, "a", 100);
    while (schedule_lane_spread(s, known, NOW, 1000, &cursor, 10)) {
        assert_true(++calls < 20);
        for (int i = 0; i < 50; i++)
            add_at(s, "a", NOW, 1, NOW);
    }
    schedule_free(&s);
}

static void a_lane_that_is_well_again_goes_on_early(void **state)
{
    struct schedule *s = make(&common);
    uint32_t known = lane(s, 10, 0), destination;
    entry_ref of_a[6], of_b[2], held;

    (void)state;
    held = add_at(s, "a", NOW, 1, NOW + HOUR);
    for (int i = 0; i < 6; i++)
        of_a[i] = add_at(s, "a", NOW + i, 1, NOW + HOUR - i);
    for (int i = 0; i < 2; i++)
        of_b[i] = add_at(s, "b", NOW + i, 1, NOW + HOUR);
    assert_int_equal(schedule_hold(s, held), 0);
    destination = get(s, held).destination_index;
    assert_int_equal(schedule_set_lane(s, destination, known, NULL, 0), 0);
    assert_int_equal(schedule_set_lane(s, get(s, of_b[0]).destination_index, known, NULL, 0), 0);
    assert_int_equal(schedule_lane_release(s, known, NOW, 3, false), 3);
    assert_int_equal(get(s, of_a[0]).state, ENTRY_READY);
    assert_int_equal(get(s, of_b[0]).state, ENTRY_READY);
    assert_int_equal(get(s, of_a[1]).state, ENTRY_READY);
    assert_int_equal(get(s, of_b[1]).state, ENTRY_WAITING);
    assert_int_equal(get(s, of_a[0]).attempts, 1);
    assert_int_equal(schedule_lane_release(s, known, NOW, 2, false), 2);
    assert_int_equal(get(s, of_b[1]).state, ENTRY_READY);
    assert_int_equal(get(s, of_a[2]).state, ENTRY_READY);
    assert_int_equal(get(s, of_a[3]).state, ENTRY_WAITING);
    assert_int_equal(get(s, held).state, ENTRY_HELD);
    assert_int_equal(schedule_lane_release(s, known, NOW, 100, false), 3);
    assert_int_equal(schedule_lane_release(s, known, NOW, 100, false), 0);
    /* A failed destination is tried again, too. */
    assert_true(schedule_grant(s, &destination));
    schedule_destination_failed(s, destination, NOW);
    assert_int_equal(schedule_lane_release(s, known, NOW, 1, false), 1);
    assert_true(view(s, known).ready >= 1);
    schedule_free(&s);
}

/* Work is bounded: thousands of ready entries before the waiting ones do not make one call long,
 * and calls go on where the last one ended. */
static void a_release_gets_there_in_steps(void **state)
{
    struct schedule *s = make(&common);
    uint32_t known = lane(s, 10, 0), calls = 1, destination;
    entry_ref last, ref;

    (void)state;
    fill(s, known, "a", 40000);
    last = add_at(s, "a", NOW, 1, NOW + HOUR);
    while (schedule_lane_release(s, known, NOW, 4, true) == 0)
        calls++;
    assert_int_equal(get(s, last).state, ENTRY_READY);
    assert_in_range(calls, 40000 / 4096, 40000 / 4096 + 1);
    /* It was to be the first. */
    assert_true(schedule_grant(s, &destination));
    assert_int_equal(schedule_take(s, destination, &ref, 1), 1);
    assert_int_equal(ref, last);
    schedule_free(&s);
}

static void the_oldest_is_known_again_soon(void **state)
{
    enum { NAMES = 30, EACH = 10 };
    struct schedule *s = make(&common);
    uint32_t known = lane(s, 10, 0);
    entry_ref refs[NAMES][EACH];
    char name[16];

    (void)state;
    assert_int_equal(view(s, known).oldest_arrival_ms, SCHEDULE_NEVER);
    for (int i = 0; i < NAMES; i++)
        for (int k = 0; k < EACH; k++) {
            (void)snprintf(name, sizeof(name), "n%d", i);
            refs[i][k] = add_at(s, name, NOW + k * 1000 + i, 0, NOW);
            assert_int_equal(
                schedule_set_lane(s, get(s, refs[i][k]).destination_index, known, NULL, 0), 0);
        }
    assert_int_equal(view(s, known).oldest_arrival_ms, NOW);
    for (int k = 0; k < EACH - 2; k++)
        for (int i = 0; i < NAMES; i++) {
            assert_int_equal(schedule_cancel(s, refs[i][k]), 0);
            assert_in_range(view(s, known).oldest_arrival_ms, NOW + MAX_OF(k - 2, 0) * 1000,
                            NOW + k * 1000 + i + 1000);
        }
    for (int i = 0; i < NAMES - 1; i++) {
        assert_int_equal(schedule_cancel(s, refs[i][EACH - 2]), 0);
        assert_int_equal(schedule_cancel(s, refs[i][EACH - 1]), 0);
    }
    assert_int_equal(schedule_cancel(s, refs[NAMES - 1][EACH - 2]), 0);
    assert_int_equal(view(s, known).oldest_arrival_ms, NOW + (EACH - 1) * 1000 + NAMES - 1);
    schedule_free(&s);
}

/* ---- the scale that is promised ---- */

enum {
    SCALE_DESTINATIONS = IS_SLOW ? 10000 : 200000,
    SCALE_EACH = 10,
    SCALE_LANES = 1000,
    BYTES_ENTRY = 64,
    BYTES_DESTINATION = 400,
    BYTES_LANE = 400,
    BYTES_FIXED = 4 << 20, /* a full chunk of each kind, tables of senders */
};

static void two_million_entries_are_small_and_all_there(void **state)
{
    struct schedule_config config = common;
    struct schedule *s;
    struct world w = {.now_ms = NOW};
    struct schedule_totals totals;
    uint64_t entries = 0;
    uint32_t made;
    char name[32];

    (void)state;
    config.connections_max = JOBS_MAX;
    s = w.s = make(&config);
    rand_init(&w.chance, 1);
    for (uint32_t i = 0; i < SCALE_LANES; i++)
        assert_int_equal(schedule_lane_new(s, &made), 0);
    for (uint32_t i = 0; i < SCALE_DESTINATIONS; i++) {
        (void)snprintf(name, sizeof(name), "mail%u.example.org", i);
        for (uint32_t k = 0; k < SCALE_EACH; k++)
            made = get(s, add_at(s, name, NOW, 1, NOW + (int64_t)rand_below(&w.chance, 4800000)))
                       .destination_index;
        assert_int_equal(schedule_set_lane(s, made, 1 + i % SCALE_LANES, &config.retry, 20), 0);
    }
    assert_true(schedule_memory_bytes(s) <= (size_t)SCALE_DESTINATIONS * SCALE_EACH * BYTES_ENTRY +
                                                (size_t)SCALE_DESTINATIONS * BYTES_DESTINATION +
                                                (size_t)SCALE_LANES * BYTES_LANE + BYTES_FIXED);
    print_message("# %zu bytes: %.1f an entry, all told\n", schedule_memory_bytes(s),
                  (double)schedule_memory_bytes(s) / (SCALE_DESTINATIONS * SCALE_EACH));
    for (uint32_t i = 1; i <= SCALE_LANES; i++)
        entries += view(s, i).entries;
    assert_int_equal(entries, (uint64_t)SCALE_DESTINATIONS * SCALE_EACH);
    while (schedule_advance(s, NOW + 4800000, 100000) > 0) /* all are sent, each once */
        ;
    for (start_jobs(&w); w.job_count > 0; start_jobs(&w)) {
        struct job *job = &w.jobs[rand_below(&w.chance, w.job_count)];

        for (size_t i = 0; i < job->count; i++)
            schedule_done(s, job->refs[i]);
        if (!job_fill(&w, job))
            *job = w.jobs[--w.job_count];
    }
    assert_int_equal(w.taken, (uint64_t)SCALE_DESTINATIONS * SCALE_EACH);
    schedule_get_totals(s, &totals);
    assert_int_equal(totals.entries + totals.destinations + totals.slots, 0);
    schedule_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lane_has_its_limit),
        cmocka_unit_test(a_paused_lane_does_nothing),
        cmocka_unit_test(unknown_destinations_get_one_slot_each),
        cmocka_unit_test(a_lane_is_forgotten_with_its_destination),
        cmocka_unit_test(there_are_so_many_lanes),
        cmocka_unit_test(a_lane_brings_its_policy),
        cmocka_unit_test(equal_policies_are_kept_once),
        cmocka_unit_test(nobody_starves),
        cmocka_unit_test(a_small_lane_is_served_beside_full_ones),
        cmocka_unit_test(no_window_has_more_than_its_rate),
        cmocka_unit_test(a_clock_set_back_gives_no_tokens_twice),
        cmocka_unit_test(the_queue_thread_wakes_for_tokens_only),
        cmocka_unit_test(a_rate_may_change_and_debts_are_paid),
        cmocka_unit_test(a_backlog_is_spread_evenly),
        cmocka_unit_test(a_backlog_behind_a_pause_stays_behind_it),
        cmocka_unit_test(a_spread_stands_changes),
        cmocka_unit_test(a_spread_ends_while_mail_comes),
        cmocka_unit_test(a_lane_that_is_well_again_goes_on_early),
        cmocka_unit_test(a_release_gets_there_in_steps),
        cmocka_unit_test(the_oldest_is_known_again_soon),
        cmocka_unit_test(two_million_entries_are_small_and_all_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
