/*
 * schedule/lanes_model_test.c - lanes over a real schedule, under histories by chance: providers that
 * are well, short of resources, refusing by rate or gone, an operator, restarts.
 *
 * Every message is accounted for; nothing leaves the queue on a 4xx before its time; no lane has more
 * connections than its limits, which never rise in a hold; a lane that is well is never touched; a
 * restart changes no band, limit, hold or incident; and when all providers are well again, all mail
 * is gone and every limit is full. PENSTOCK_SEED picks one history, PENSTOCK_SEEDS how many are run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "schedule/lanes_bench.h"

enum {
    SEEDS = 12,
    PROVIDERS = 4,
    DOMAINS = 3,
    MESSAGES = 1500,
    CONNECTIONS = 200,
    STEP_MS = 10000
};

/* The first is always well. */
static const char *const providers[PROVIDERS] = {"well", "big", "small", "odd"};

struct message {
    bool used, is_active;
    entry_ref ref;
    uint64_t id;
    int provider, domain;
    uint32_t attempts;
    int64_t arrival, due;
};

struct connection {
    bool used;
    uint32_t destination;
    int provider;
    entry_ref entry; /* ENTRY_NONE: idle */
    int64_t until;
};

struct provider {
    double capacity, rate, gone, mailbox; /* shares of its answers now */
    lane_ref lane;
    uint64_t attempts, delivered, deferred, failed;
    int64_t cut_at; /* 0: never */
    uint32_t connections;
    bool by_operator; /* paused or limited since the last look */
};

struct world {
    struct lanes_bench b;
    struct rand chance;
    struct message messages[MESSAGES];
    struct connection connections[CONNECTIONS];
    struct provider providers[PROVIDERS];
    uint64_t filed, delivered, failed, expired;
    uint32_t cuts, restarts;
    double arrivals; /* a step */
    bool rested;
};

static struct world w;

static bool by_chance(double share)
{
    return (double)rand_below(&w.chance, 1U << 30) < share * (1U << 30);
}

static struct lane_view view_of(int provider)
{
    char name[40];

    (void)snprintf(name, sizeof(name), "%s/pool", providers[provider]);
    return bench_view(&w.b, name);
}

/* ---- mail ---- */

static void file(struct message *m, int64_t due)
{
    char destination[40];
    struct schedule_entry e;

    (void)snprintf(destination, sizeof(destination), "d%d.%s", m->domain, providers[m->provider]);
    assert_int_equal(schedule_add(w.b.schedule, m->id, slice_str(destination), m->id % 5,
                                  m->arrival, m->attempts, due, false, &m->ref),
                     0);
    assert_true(schedule_get(w.b.schedule, m->ref, &e));
    assert_int_equal(
        schedule_set_lane(w.b.schedule, e.destination_index,
                          lanes_schedule_lane(w.b.lanes, w.providers[m->provider].lane), NULL, 0),
        0);
}

static void arrive(void)
{
    double count = w.arrivals + rand_symmetric(&w.chance) / 2 + 0.5;

    for (int i = 0; i < MESSAGES && count >= 1; i++) {
        struct message *m = &w.messages[i];

        if (m->used)
            continue;
        *m = (struct message){.used = true, .id = ++w.b.next_id, .arrival = w.b.now};
        m->provider = (int)rand_below(&w.chance, PROVIDERS);
        m->domain = (int)rand_below(&w.chance, DOMAINS);
        file(m, w.b.now);
        w.filed++;
        count--;
    }
}

static struct message *message_of(entry_ref ref)
{
    for (int i = 0; i < MESSAGES; i++)
        if (w.messages[i].used && w.messages[i].ref == ref)
            return &w.messages[i];
    fail_msg("an entry without its message");
    return NULL;
}

static void connect_and_take(void)
{
    uint32_t destination;

    for (int i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &w.connections[i];
        struct lane_view v;

        if (c->used)
            continue;
        if (!schedule_grant(w.b.schedule, &destination))
            break;
        *c = (struct connection){.used = true, .destination = destination, .entry = ENTRY_NONE};
        c->provider = -1;
        for (int p = 0; p < PROVIDERS; p++)
            if (lanes_schedule_lane(w.b.lanes, w.providers[p].lane) ==
                schedule_lane_of(w.b.schedule, destination))
                c->provider = p;
        assert_true(c->provider >= 0);
        v = view_of(c->provider);
        assert_true(v.queue.slots <= v.limits.connections && !v.limits.paused);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &w.connections[i];

        if (!c->used || c->entry != ENTRY_NONE)
            continue;
        if (schedule_take(w.b.schedule, c->destination, &c->entry, 1) == 0) {
            schedule_release(w.b.schedule, c->destination);
            c->used = false;
            continue;
        }
        message_of(c->entry)->is_active = true;
        c->until = w.b.now + 1 + (int64_t)rand_below(&w.chance, 3 * STEP_MS);
    }
}

static enum reply_class answer_of(const struct provider *p)
{
    if (by_chance(p->gone))
        return REPLY_CONNECTION;
    if (by_chance(p->capacity))
        return REPLY_CAPACITY;
    if (by_chance(p->rate))
        return REPLY_RATE;
    if (by_chance(p->mailbox))
        return rand_below(&w.chance, 2) ? REPLY_MAILBOX_FULL : REPLY_MAILBOX_UNKNOWN;
    return REPLY_NONE;
}

/* A 4xx keeps its mail; what failed or was delivered leaves. */
static void settle(struct message *m, struct provider *p, struct attempt *a)
{
    m->is_active = false;
    p->attempts++;
    if (a->result == ATTEMPT_RESULT_DEFERRED) {
        p->deferred++;
        m->attempts++;
        if (!schedule_is_expired(w.b.schedule, m->ref, w.b.now)) {
            m->due = schedule_retry(w.b.schedule, m->ref, w.b.now);
            return;
        }
        assert_true(w.b.now - m->arrival >= 172800 * SECOND_MS);
        w.expired++;
    }
    p->delivered += a->result == ATTEMPT_RESULT_DELIVERED;
    p->failed += a->result == ATTEMPT_RESULT_FAILED;
    w.delivered += a->result == ATTEMPT_RESULT_DELIVERED;
    w.failed += a->result == ATTEMPT_RESULT_FAILED;
    schedule_done(w.b.schedule, m->ref);
    m->used = false;
}

static void answers(void)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &w.connections[i];
        struct message *m;
        struct provider *p;
        struct attempt a;

        if (!c->used || c->entry == ENTRY_NONE || c->until > w.b.now)
            continue;
        p = &w.providers[c->provider];
        m = message_of(c->entry);
        a = bench_attempt(&w.b, providers[c->provider], answer_of(p));
        a.number = m->attempts + 1;
        a.arrival_ms = m->arrival;
        if (a.klass == REPLY_MAILBOX_UNKNOWN)
            a.result = ATTEMPT_RESULT_FAILED;
        lanes_attempt(w.b.lanes, p->lane, &a);
        settle(m, p, &a);
        c->entry = ENTRY_NONE;
    }
}

/* ---- what must hold ---- */

static void check_lane(int provider)
{
    struct provider *p = &w.providers[provider];
    struct lane_view v = view_of(provider);
    const struct window_totals *t = &v.window->totals;
    int64_t hold = (int64_t)(v.settings.cycle_ms * v.settings.hold_cycles);

    assert_int_equal(t->attempts, p->attempts);
    assert_int_equal(t->delivered_first + t->delivered_later, p->delivered);
    assert_int_equal(t->deferred, p->deferred);
    assert_int_equal(t->failed, p->failed);
    assert_int_equal(p->attempts, p->delivered + p->deferred + p->failed);
    assert_int_equal(v.limits.connections,
                     v.throttle->connections - MIN_OF(v.resting, v.throttle->connections));
    w.rested |= v.resting > 0;
    assert_true(v.limits.paused == v.paused);
    if (p->connections != v.throttle->connections && !p->by_operator) {
        assert_true(p->cut_at == 0 || w.b.now - p->cut_at >= hold);
        if (v.throttle->connections < p->connections) {
            p->cut_at = w.b.now;
            w.cuts++;
        }
    }
    p->connections = v.throttle->connections;
    p->by_operator = false;
    if (provider == 0) {
        assert_int_equal(v.throttle->band, BAND_NORMAL);
        assert_int_equal(v.limits.connections, v.settings.connections_max);
    }
    if (v.throttle->band == BAND_THROTTLE || v.throttle->band == BAND_INCIDENT)
        assert_non_null(lanes_incident(w.b.lanes, v.incident));
    if (v.throttle->band == BAND_NORMAL)
        assert_int_equal(v.incident, 0);
}

static void check_all(void)
{
    uint64_t kept = 0;
    struct schedule_totals t;

    for (int i = 0; i < MESSAGES; i++)
        kept += w.messages[i].used;
    schedule_get_totals(w.b.schedule, &t);
    assert_int_equal(t.entries, kept);
    assert_int_equal(w.filed, kept + w.delivered + w.failed + w.expired);
    for (int p = 0; p < PROVIDERS; p++)
        check_lane(p);
}

/* ---- what happens ---- */

static void change_provider(void)
{
    static const double shares[] = {0, 0, 0.0005, 0.01, 0.2, 1};
    struct provider *p = &w.providers[1 + rand_below(&w.chance, PROVIDERS - 1)];

    p->capacity = shares[rand_below(&w.chance, ARRAY_SIZE(shares))];
    p->rate = rand_below(&w.chance, 5) ? 0 : 0.05;
    p->gone = rand_below(&w.chance, 5) ? 0 : 1;
}

static void operate(void)
{
    int provider = 1 + (int)rand_below(&w.chance, PROVIDERS - 1);
    struct lane_view v = view_of(provider);

    if (rand_below(&w.chance, 2))
        assert_int_equal(lanes_pause(w.b.lanes, v.name, !v.paused, w.b.now), 0);
    else
        assert_int_equal(lanes_limit(w.b.lanes, v.name, v.limit ? 0 : 5, w.b.now), 0);
    w.providers[provider].by_operator = true;
}

/* Killed: connections are gone, the schedule is filled from the spool, the lanes from the ledger. */
static void restart(void)
{
    struct buf texts[PROVIDERS];
    struct lane_view before[PROVIDERS];
    struct throttle throttles[PROVIDERS];

    for (int p = 0; p < PROVIDERS; p++) {
        buf_init(&texts[p], LANE_TEXT_MAX);
        assert_int_equal(lanes_save(w.b.lanes, w.providers[p].lane, &texts[p]), 0);
        before[p] = view_of(p);
        throttles[p] = *before[p].throttle;
    }
    bench_done(&w.b);
    bench_open(&w.b);
    memset(w.connections, 0, sizeof(w.connections));
    lanes_set_incident_id(w.b.lanes, w.b.last_id);
    for (int p = 0; p < PROVIDERS; p++) {
        struct lane_view v;

        assert_int_equal(lanes_restore(w.b.lanes, buf_slice(&texts[p]), w.b.now), 0);
        buf_done(&texts[p]);
        w.providers[p].lane = bench_lane(&w.b, providers[p]);
        v = view_of(p);
        assert_memory_equal(v.throttle, &throttles[p], sizeof(throttles[p]));
        assert_int_equal(v.resting, 0); /* a restart spreads what waits anyhow */
        assert_true(v.limits.per_second == before[p].limits.per_second);
        assert_true(v.paused == before[p].paused && v.limit == before[p].limit);
        assert_int_equal(v.incident, before[p].incident);
    }
    for (int i = 0; i < MESSAGES; i++) {
        struct message *m = &w.messages[i];

        if (!m->used)
            continue;
        file(m, m->is_active ? w.b.now : m->due);
        m->is_active = false;
    }
    lanes_spread(w.b.lanes, LANE_NONE, w.b.now);
    w.restarts++;
}

static void step(void)
{
    arrive();
    (void)schedule_advance(w.b.schedule, w.b.now, SIZE_MAX);
    connect_and_take();
    bench_run(&w.b, STEP_MS);
    answers();
    check_all();
}

static void begin(uint64_t seed)
{
    memset(&w, 0, sizeof(w));
    bench_init(&w.b);
    bench_done(&w.b);
    rand_init(&w.chance, seed);
    rand_init(&w.b.chance, seed);
    w.b.settings.rest_ms = rand_below(&w.chance, 4) ? 30 * SECOND_MS : 0;
    w.b.rules.throttle.sample_min = 50;
    w.b.rules.throttle.cycle_ms = 5 * MINUTE_MS;
    w.b.rules.throttle.queue_age_max_ms = 0;
    w.arrivals = 1 + (double)rand_below(&w.chance, 10);
    bench_open(&w.b);
    for (int p = 0; p < PROVIDERS; p++) {
        w.providers[p].lane = bench_lane(&w.b, providers[p]);
        w.providers[p].connections = 20;
        w.providers[p].mailbox = 0.01;
    }
}

static bool is_over(void)
{
    struct schedule_totals t;
    bool is_full = true;

    for (int p = 0; p < PROVIDERS; p++)
        is_full = is_full && view_of(p).throttle->band == BAND_NORMAL &&
                  view_of(p).throttle->connections == 20;
    schedule_get_totals(w.b.schedule, &t);
    return is_full && t.entries == 0;
}

static void history(uint64_t seed)
{
    int steps = 2500;

    begin(seed);
    for (int i = 0; i < steps; i++) {
        if (rand_below(&w.chance, 200) == 0)
            change_provider();
        if (rand_below(&w.chance, 300) == 0)
            operate();
        if (rand_below(&w.chance, 500) == 0)
            restart();
        step();
    }
    for (int p = 0; p < PROVIDERS; p++) {
        struct provider *x = &w.providers[p];

        x->capacity = x->rate = x->gone = x->mailbox = 0;
        assert_int_equal(lanes_pause(w.b.lanes, view_of(p).name, false, w.b.now), 0);
        assert_int_equal(lanes_limit(w.b.lanes, view_of(p).name, 0, w.b.now), 0);
        x->by_operator = true;
    }
    for (int i = 0; i < 4320; i++) /* mail goes on for half a day */
        step();
    w.arrivals = -1;
    for (int i = 0; i < 8640 && !is_over(); i++)
        step();
    assert_true(is_over());
    assert_int_equal(w.b.closed, w.b.opened);
    assert_int_equal(w.filed, w.delivered + w.failed + w.expired);
    assert_int_equal(w.expired, 0);
    bench_done(&w.b);
}

static void histories(void **state)
{
    const char *one = getenv("PENSTOCK_SEED"), *many = getenv("PENSTOCK_SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1, cuts = 0, opened = 0, restarts = 0;
    uint64_t count = one ? 1 : many ? strtoull(many, NULL, 10) : SEEDS;

    (void)state;
    for (uint64_t seed = first; seed < first + count; seed++) {
        (void)fprintf(stderr, "# seed %llu\n", (unsigned long long)seed);
        history(seed);
        cuts += w.cuts;
        opened += w.b.opened;
        restarts += w.restarts;
    }
    if (count == SEEDS)
        assert_true(cuts > count && opened > count && restarts > count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories),
    };

    return cmocka_run_group_tests_name("lanes_model", tests, NULL, NULL);
}
