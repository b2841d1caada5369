/*
 * schedule/throttle_model_test.c - the controller under histories by chance: a provider that is
 * healthy, short of resources, flapping or gone, a queue in front of it, a clock that steps.
 *
 * What must hold at every tick is checked against figures that this file keeps for itself.
 * PENSTOCK_SEED picks one history, PENSTOCK_SEEDS how many are run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schedule/throttle_bench.h"

enum { SEEDS = 25, BATCHES = 2048, TICK_S = 60 };

/* Mail that came, or is to be tried again, at the same time. */
struct batch {
    int64_t arrival, due;
    uint32_t count;
};

struct lane {
    struct bench b;
    struct rand chance;
    struct batch batches[BATCHES];
    uint32_t batch_count;
    double capacity_share, rate_share, outage_share; /* of the provider, now */
    double arrivals, a_connection;                   /* a tick */
    int64_t clock;                                   /* honest: it never steps */
    int64_t cut_at;                                  /* by it; -1: never */
    int64_t cut_minute;                              /* by the window */
    uint64_t steps, cuts, told;
};

/* How many of n, each with that probability. */
static uint32_t draw(struct rand *r, uint32_t n, double share)
{
    double at = -1;
    uint32_t hits = 0;

    if (share <= 0)
        return 0;
    if (share >= 1)
        return n;
    for (;;) {
        double u = ((double)rand_below(r, 1ULL << 53) + 1) / 0x1p53;

        at += 1 + floor(log(u) / log1p(-share));
        if (at >= n)
            return hits;
        hits++;
    }
}

static double uniform(struct rand *r, double low, double high)
{
    return low + (high - low) * (1 + rand_symmetric(r)) / 2;
}

static void lane_settings(struct lane *l)
{
    struct throttle_settings *s = &l->b.settings;

    s->connections_max = 1 + (uint32_t)rand_below(&l->chance, 60);
    s->connections_floor = 1 + (uint32_t)rand_below(&l->chance, s->connections_max);
    s->connection_change = -uniform(&l->chance, 0.01, 0.9);
    s->rate_change = -uniform(&l->chance, 0.01, 0.9);
    s->rate_max = rand_below(&l->chance, 3) ? 0 : uniform(&l->chance, 1, 100);
    s->sample_min = 1 + (uint32_t)rand_below(&l->chance, 400);
    s->hits_min = 1 + (uint32_t)rand_below(&l->chance, 5);
    s->cycle_ms = (uint64_t)MINUTE_MS * (1 + rand_below(&l->chance, 15));
    s->hold_cycles = 1 + (uint32_t)rand_below(&l->chance, 4);
    s->restore_step = uniform(&l->chance, 0.05, 0.5);
    s->step_hold_ms = rand_below(&l->chance, 2) ? 0 : (uint64_t)MINUTE_MS * 5;
    s->baseline_factor = uniform(&l->chance, 1, 4);
    throttle_init(&l->b.t, s, l->b.now);
}

static void lane_init(struct lane *l, uint64_t seed)
{
    *l = (struct lane){.cut_at = -1};
    rand_init(&l->chance, seed);
    bench_init(&l->b);
    lane_settings(l);
    l->a_connection = uniform(&l->chance, 0.2, 20);
    l->arrivals = l->a_connection * l->b.settings.connections_max * uniform(&l->chance, 0.01, 0.9);
}

static void file(struct lane *l, int64_t arrival, int64_t due, uint32_t count)
{
    if (count == 0)
        return;
    if (l->batch_count == BATCHES) /* very much waits: it waits together */
        l->batches[BATCHES - 1].count += count;
    else
        l->batches[l->batch_count++] = (struct batch){arrival, due, count};
}

/* Takes up to `max` that are due; those deferred come back after a cycle. */
static void send(struct lane *l, uint32_t max)
{
    uint32_t kept = 0, had = l->batch_count;
    static struct batch again[BATCHES];
    uint32_t agains = 0;

    for (uint32_t i = 0; i < had; i++) {
        struct batch *x = &l->batches[i];
        uint32_t n = x->due <= l->clock ? MIN_OF(x->count, max) : 0;
        uint32_t capacity = draw(&l->chance, n, l->capacity_share);
        uint32_t rate = draw(&l->chance, n - capacity, l->rate_share);
        uint32_t gone = draw(&l->chance, n - capacity - rate, l->outage_share);
        struct window_counts c = {.attempts = n, .capacity = capacity, .rate = rate};

        c.deferred = capacity + rate + gone;
        c.connection = gone;
        c.delivered_first = n - c.deferred;
        window_add(&l->b.window, l->b.now, &c);
        max -= n;
        x->count -= n;
        if (c.deferred)
            again[agains++] =
                (struct batch){x->arrival, l->clock + (int64_t)l->b.settings.cycle_ms, c.deferred};
        if (x->count)
            l->batches[kept++] = *x;
    }
    l->batch_count = kept;
    for (uint32_t i = 0; i < agains; i++)
        file(l, again[i].arrival, again[i].due, again[i].count);
}

static void figures(struct lane *l)
{
    struct throttle_input *in = &l->b.in;
    int64_t oldest = l->clock;

    in->queue_length = in->queue_ready = 0;
    for (uint32_t i = 0; i < l->batch_count; i++) {
        const struct batch *x = &l->batches[i];

        in->queue_length += x->count;
        in->queue_ready += x->due <= l->clock ? x->count : 0;
        oldest = MIN_OF(oldest, x->arrival);
    }
    in->queue_age_ms = (uint64_t)(l->clock - oldest);
    in->connections_peak = l->b.t.connections;
    in->rate = (double)window_peak_minute(&l->b.window, 15) / 60;
}

/* One tick of mail before the controller looks. */
static void traffic(struct lane *l)
{
    double room = l->b.t.connections * l->a_connection;

    if (l->b.t.rate > 0)
        room = MIN_OF(room, l->b.t.rate * TICK_S);
    window_advance(&l->b.window, l->b.now);
    file(l, l->clock, l->clock, (uint32_t)(l->arrivals + uniform(&l->chance, 0, 1)));
    send(l, (uint32_t)(room + uniform(&l->chance, 0, 1)));
    figures(l);
}

static void set_provider(struct lane *l, double capacity, double rate, double outage)
{
    l->capacity_share = capacity;
    l->rate_share = rate;
    l->outage_share = outage;
}

static void change_provider(struct lane *l)
{
    static const double shares[] = {0, 0, 0, 0.00005, 0.0005, 0.005, 0.05, 0.5, 1};

    set_provider(l, shares[rand_below(&l->chance, ARRAY_SIZE(shares))],
                 rand_below(&l->chance, 8) ? 0 : shares[rand_below(&l->chance, ARRAY_SIZE(shares))],
                 rand_below(&l->chance, 8) ? 0 : 0.9);
}

/* ---- what must hold ---- */

static void check_limits(const struct lane *l)
{
    const struct throttle *t = &l->b.t;
    const struct throttle_settings *s = &l->b.settings;

    assert_in_range(t->connections, s->connections_floor, s->connections_max);
    assert_true(t->rate >= 0 && (s->rate_max <= 0 || (t->rate > 0 && t->rate <= s->rate_max)));
    if (t->band == BAND_NORMAL || t->band == BAND_WATCH)
        assert_false(throttle_is_lowered(t, s));
    assert_true(t->baseline >= 0 && t->baseline <= s->throttle_share);
}

/* The share in the last `minutes` whole ones, from the first that began after the last cut. */
static void check_is_at_baseline(const struct lane *l)
{
    const struct window *w = &l->b.window;
    const struct throttle_settings *s = &l->b.settings;
    struct window_counts c;
    int64_t since = w->minute_at - l->cut_minute;
    uint32_t minutes = l->cut_at < 0 ? 60 : (uint32_t)MIN_OF(MAX_OF(since, 0), 60);

    /* The part of the hour since the cut holds the part of the window. */
    window_sum_minutes(w, MIN_OF(minutes, 15U), &c);
    if (minutes == 0 || c.attempts < s->sample_min || c.capacity == 0)
        return;
    if ((double)c.capacity / c.attempts >= s->watch_share)
        assert_true((double)c.capacity / c.attempts <= l->b.t.baseline * s->baseline_factor);
}

static void check_decision(struct lane *l, const struct throttle *before)
{
    const struct throttle_decision *d = &l->b.decision;
    const struct throttle *t = &l->b.t;
    int64_t hold = (int64_t)l->b.settings.cycle_ms * l->b.settings.hold_cycles;
    bool cuts = d->action == THROTTLE_CUT || d->action == THROTTLE_PACE;
    bool is_lower = t->connections < before->connections ||
                    (t->rate > 0 && (before->rate <= 0 || t->rate < before->rate));

    assert_true(d->from == before->band && d->to == t->band && d->why);
    assert_true(d->connections_from == before->connections && d->connections_to == t->connections);
    assert_true(d->rate_from == before->rate && d->rate_to == t->rate);
    assert_true(cuts == is_lower);
    assert_true(t->cuts == before->cuts + cuts);
    assert_true(d->next_change_ms == 0 || d->next_change_ms > l->b.now);
    if (cuts || d->action != THROTTLE_NONE) /* no change within the hold of the last cut */
        assert_true(l->cut_at < 0 || l->clock - l->cut_at >= hold);
    if (cuts) {
        assert_true(t->connections <= before->connections);
        assert_true(t->band == BAND_THROTTLE || t->band == BAND_INCIDENT);
        l->cut_at = l->clock;
    } else if (d->action != THROTTLE_NONE) {
        assert_true(t->connections >= before->connections);
        check_is_at_baseline(l);
    } else {
        assert_true(t->connections == before->connections && t->rate == before->rate);
    }
    if (t->hold_until_ms == l->b.now + hold) /* a cut, or one that the floor forbade */
        l->cut_minute = l->b.window.minute_at;
    l->cuts += cuts;
    l->steps += d->action == THROTTLE_STEP_UP || d->action == THROTTLE_FULL;
    l->told++;
}

/* The same state, the same tick, and more capacity replies in this minute. */
static void check_more_is_not_more(const struct lane *l)
{
    static struct window window;
    struct throttle t = l->b.t, more = l->b.t;
    struct throttle_input in = l->b.in;
    struct throttle_decision d;
    struct window_counts c;

    window = l->b.window;
    in.window = &window;
    (void)throttle_tick(&t, &l->b.settings, &in, l->b.now, &d);
    window_sum_minutes(&window, 1, &c);
    c = (struct window_counts){.capacity = (c.attempts - c.capacity - c.rate) / 2};
    window_add(&window, l->b.now, &c);
    (void)throttle_tick(&more, &l->b.settings, &in, l->b.now, &d);
    assert_true(more.connections <= t.connections);
    if (more.rate != t.rate)
        assert_true(more.rate > 0 && (t.rate <= 0 || more.rate < t.rate));
}

static void tick(struct lane *l)
{
    struct throttle before;

    l->b.now += TICK_S * SECOND_MS;
    l->clock += TICK_S * SECOND_MS;
    traffic(l);
    check_more_is_not_more(l);
    before = l->b.t;
    if (bench_tick(&l->b)) {
        check_decision(l, &before);
    } else {
        assert_int_equal(l->b.t.band, before.band);
        assert_int_equal(l->b.t.connections, before.connections);
        assert_true(l->b.t.rate == before.rate);
    }
    check_limits(l);
}

/* ---- histories ---- */

static uint64_t seeds(uint64_t *ret_first)
{
    const char *one = getenv("PENSTOCK_SEED"), *many = getenv("PENSTOCK_SEEDS");

    *ret_first = one ? strtoull(one, NULL, 10) : 1;
    return one ? 1 : many ? strtoull(many, NULL, 10) : SEEDS;
}

/* Calls story for each seed; says which it was when something fails. */
static void each_seed(void (*story)(struct lane *l))
{
    static struct lane l;
    uint64_t first, count = seeds(&first), cuts = 0, steps = 0;

    for (uint64_t seed = first; seed < first + count; seed++) {
        (void)fprintf(stderr, "# seed %llu\n", (unsigned long long)seed);
        lane_init(&l, seed);
        story(&l);
        cuts += l.cuts;
        steps += l.steps;
    }
    if (count == SEEDS) /* the histories are no idle ones */
        assert_true(cuts > count * 2 && steps > count * 2);
}

static void troubled(struct lane *l)
{
    for (int i = 0; i < 1500; i++) {
        if (rand_below(&l->chance, 120) == 0)
            change_provider(l);
        if (rand_below(&l->chance, 300) == 0) { /* the clock steps back */
            l->b.now -=
                (int64_t)rand_below(&l->chance, rand_below(&l->chance, 2) ? 100000 : DAY_MS);
            l->cut_at = l->cut_at < 0 ? -1 : l->cut_at;
            l->cut_minute = INT64_MAX / 2; /* minutes before are others now: no claim about them */
        }
        tick(l);
    }
}

static void limits_holds_and_steps(void **state)
{
    (void)state;
    each_seed(troubled);
}

static void troubled_and_healthy(struct lane *l)
{
    int i;

    for (i = 0; i < 600; i++) {
        if (rand_below(&l->chance, 120) == 0)
            change_provider(l);
        tick(l);
    }
    set_provider(l, 0, 0, 0);
    /* More than the lowest limits let through, less than the full ones do. */
    for (i = 0; i < 5 * 1440 && l->b.t.band != BAND_NORMAL; i++)
        tick(l);
    if (l->b.t.band != BAND_NORMAL)
        fail_msg("%s with %u connections after five healthy days", band_name(l->b.t.band),
                 l->b.t.connections);
    for (i = 0; i < 200; i++) { /* and stays so */
        tick(l);
        assert_int_equal(l->b.t.connections, l->b.settings.connections_max);
    }
}

static void every_cut_is_undone(void **state)
{
    (void)state;
    each_seed(troubled_and_healthy);
}

/* Stored and read back at any time, it goes on as if nothing had happened. */
static void restarted(struct lane *l)
{
    static struct window window;
    struct throttle twin = l->b.t;
    struct buf text = BUF_INIT(WINDOW_TEXT_MAX);

    window = l->b.window;
    for (int i = 0; i < 800; i++) {
        struct throttle_input in;
        struct throttle_decision d;

        if (rand_below(&l->chance, 100) == 0)
            change_provider(l);
        tick(l);
        if (rand_below(&l->chance, 20) == 0) {
            buf_clear(&text);
            assert_int_equal(throttle_save(&l->b.t, &text), 0);
            throttle_init(&twin, &l->b.settings, l->b.now);
            assert_int_equal(throttle_load(&twin, buf_slice(&text)), 0);
            throttle_set(&twin, &l->b.settings, l->b.now);
            buf_clear(&text);
            assert_int_equal(window_save(&l->b.window, &text), 0);
            assert_int_equal(window_load(&window, buf_slice(&text)), 0);
        } else {
            /* The same mail, the twin's own window and state. */
            struct window_counts now, had;

            window_advance(&window, l->b.now);
            window_sum_minutes(&l->b.window, 1, &now);
            window_sum_minutes(&window, 1, &had);
            now.attempts -= had.attempts;
            now.capacity -= had.capacity;
            now.rate -= had.rate;
            now.delivered_first -= had.delivered_first;
            now.deferred -= had.deferred;
            now.connection -= had.connection;
            window_add(&window, l->b.now, &now);
            in = l->b.in;
            in.window = &window;
            (void)throttle_tick(&twin, &l->b.settings, &in, l->b.now, &d);
        }
        assert_memory_equal(&twin, &l->b.t, sizeof(twin));
    }
    buf_done(&text);
}

static void a_restart_changes_nothing(void **state)
{
    (void)state;
    each_seed(restarted);
}

/* Two lanes with the same attempts, one with more capacity replies: it never has more connections,
 * until it makes a step up. */
static void two_histories(struct lane *l)
{
    static struct bench more;
    double share = 0, extra = 0;

    l->b.settings.baseline_factor = 0;
    l->b.settings.sample_min = 1 + l->b.settings.sample_min % 50;
    l->b.settings.window_ms =
        MIN_OF(15 * (uint64_t)MINUTE_MS, l->b.settings.cycle_ms * l->b.settings.hold_cycles);
    more = l->b;
    more.in.window = &more.window;
    for (int i = 0; i < 3000; i++) {
        struct window_counts c = {.attempts = 50 + (uint32_t)rand_below(&l->chance, 2000)};

        if (rand_below(&l->chance, 60) == 0) {
            share = rand_below(&l->chance, 2) ? 0 : uniform(&l->chance, 0, 0.01);
            extra = rand_below(&l->chance, 2) ? 0 : uniform(&l->chance, 0, 0.01);
        }
        l->b.now += TICK_S * SECOND_MS;
        more.now = l->b.now;
        c.capacity = draw(&l->chance, c.attempts, share);
        window_add(&l->b.window, l->b.now, &c);
        c.capacity += draw(&l->chance, c.attempts - c.capacity, extra);
        window_add(&more.window, more.now, &c);
        l->b.in.connections_peak = l->b.t.connections;
        more.in.connections_peak = more.t.connections;
        l->cuts += bench_tick(&l->b) && l->b.decision.action == THROTTLE_CUT;
        (void)bench_tick(&more);
        l->steps += l->b.t.steps; /* of the one with fewer: it may */
        if (more.t.steps > 0)
            return;
        assert_true(more.t.connections <= l->b.t.connections);
    }
}

static void more_replies_never_more_connections(void **state)
{
    static struct lane l;
    uint64_t first, count = seeds(&first), cuts = 0;

    (void)state;
    for (uint64_t seed = first; seed < first + count * 10; seed++) {
        lane_init(&l, seed);
        two_histories(&l);
        cuts += l.cuts;
    }
    assert_true(count < SEEDS || cuts > count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_holds_and_steps),
        cmocka_unit_test(every_cut_is_undone),
        cmocka_unit_test(a_restart_changes_nothing),
        cmocka_unit_test(more_replies_never_more_connections),
    };

    return cmocka_run_group_tests_name("throttle_model", tests, NULL, NULL);
}
