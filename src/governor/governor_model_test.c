/*
 * governor/governor_model_test.c - random settings and random samples: what must hold after every
 * one of them, and levels as a model has them that reckons in percent and looks at nothing else.
 *
 * PENSTOCK_SEED picks one history, PENSTOCK_SEEDS how many are run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "governor/governor.h"

enum { TICKS = 1500, SEEDS = 40, MISSING_MAX = 3 };

struct model_level {
    enum pressure_level now;
    uint64_t since_ms;
};

struct model {
    struct rand chance;
    struct governor *governor;
    struct governor_settings settings;
    struct governor_sample sample;
    struct governor_outcome outcome;
    struct governor_view view;
    uint64_t start_ms, now_ms;
    struct model_level levels[GOVERNOR_RESOURCES + 1]; /* the last is the server's */
    uint32_t missing[GOVERNOR_RESOURCES], off_normal[GOVERNOR_RESOURCES];
    bool has_hardened[GOVERNOR_RESOURCES];
    bool is_running[GOVERNOR_REMEDIES], is_refusing;
    uint64_t asked_ms[GOVERNOR_REMEDIES];
};

static uint64_t below(struct model *m, uint64_t bound)
{
    return rand_below(&m->chance, bound);
}

static bool one_in(struct model *m, uint64_t n)
{
    return below(m, n) == 0;
}

static void random_thresholds(struct model *m, uint64_t top, struct governor_thresholds *ret)
{
    ret->medium_to_high = 3 + below(m, top - 3);
    ret->high_to_medium = 1 + below(m, ret->medium_to_high - 1);
    ret->low_to_medium = 1 + below(m, ret->high_to_medium);
    ret->medium_to_low = below(m, ret->low_to_medium);
    assert_int_equal(governor_check_thresholds(ret), 0);
}

static void random_settings(struct model *m)
{
    struct governor_settings *s = &m->settings;

    *s = (struct governor_settings){.enabled = !one_in(m, 8),
                                    .dwell_ms = one_in(m, 2) ? 0 : below(m, 30000),
                                    .reminder_ms = below(m, 100000),
                                    .disk_counted_max = 1 + below(m, 20000),
                                    .disk_gap = below(m, 1000),
                                    .message_share = 0.01 + 0.99 * (double)below(m, 100) / 100,
                                    .remedy_interval_ms = 1 + below(m, 20000),
                                    .refuse_at_connect = one_in(m, 2)};
    s->tarpit.start_ms = below(m, 20000);
    s->tarpit.step_ms = below(m, 20000);
    s->tarpit.max_ms = below(m, 60000);
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        struct governor_rule *r = &s->rules[i];

        r->is_percent = one_in(m, 2);
        random_thresholds(m, r->is_percent ? 101 : 10000, &r->thresholds);
        r->history = (uint32_t)below(m, 8);
        r->observe_only = one_in(m, 5);
        r->advisory = one_in(m, 5);
    }
}

/* Values stay near where they were, or jump; mostly far down, so that the server is at rest too. */
static void random_sample(struct model *m)
{
    m->sample.message_size_max = below(m, 10000);
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        struct governor_figure *f = &m->sample.figures[i];

        if (one_in(m, 100))
            f->limit = one_in(m, 4) ? 0 : 100 + below(m, 10000);
        if (one_in(m, 20))
            f->need = below(m, 3000);
        f->is_known = f->is_known ? !one_in(m, 50) : one_in(m, 3);
        if (one_in(m, 4))
            f->used = f->used + below(m, 200) - MIN_OF(f->used, 100);
        if (one_in(m, 30))
            f->used = one_in(m, 3) ? below(m, 12000) : 0;
    }
}

static bool is_disk(size_t i)
{
    return i == GOVERNOR_SPOOL_DISK || i == GOVERNOR_LOG_DISK;
}

static bool counts(const struct model *m, size_t i)
{
    return !m->settings.rules[i].observe_only && !m->settings.rules[i].advisory;
}

/* By the words of the header, in the rule's own unit. */
static enum pressure_level judge(enum pressure_level now, uint64_t value,
                                 const struct governor_thresholds *t)
{
    if (value >= t->medium_to_high)
        return PRESSURE_HIGH;
    if (now == PRESSURE_NORMAL)
        return value >= t->low_to_medium ? PRESSURE_MEDIUM : PRESSURE_NORMAL;
    if (value <= t->medium_to_low)
        return PRESSURE_NORMAL;
    return now == PRESSURE_HIGH && value <= t->high_to_medium ? PRESSURE_MEDIUM : now;
}

static enum pressure_level wanted(struct model *m, size_t i)
{
    const struct governor_figure *f = &m->sample.figures[i];
    const struct governor_rule *rule = &m->settings.rules[i];
    uint64_t limit = m->view.resources[i].figure.limit;
    enum pressure_level now = m->levels[i].now;

    if (!f->is_known)
        return ++m->missing[i] > MISSING_MAX ? PRESSURE_NORMAL : now;
    m->missing[i] = 0;
    if (is_disk(i)) /* thresholds_test.c has what these are */
        return judge(now, f->used, &m->view.resources[i].effective);
    if (!rule->is_percent)
        return judge(now, f->used, &rule->thresholds);
    return limit ? judge(now, 100 * f->used / limit, &rule->thresholds) : PRESSURE_NORMAL;
}

static void move(struct model *m, size_t i, enum pressure_level to)
{
    struct model_level *l = &m->levels[i];
    const struct governor_transition *t = NULL;

    for (size_t j = 0; j < m->outcome.transition_count; j++)
        if (m->outcome.transitions[j].resource == i)
            t = &m->outcome.transitions[j];
    if (to < l->now && m->now_ms - l->since_ms < m->settings.dwell_ms)
        to = l->now;
    assert_int_equal(t != NULL, to != l->now);
    if (!t)
        return;
    assert_int_equal(t->at_ms, m->now_ms);
    assert_int_equal(t->from, l->now);
    assert_int_equal(t->to, to);
    assert_int_equal(t->lasted_ms, m->now_ms - l->since_ms);
    assert_int_equal(t->counts, i == GOVERNOR_RESOURCES || counts(m, i));
    /* The server's level also rises when a resource that is up begins to count. */
    if (to > l->now && i < GOVERNOR_RESOURCES)
        assert_true(t->value >= t->threshold);
    *l = (struct model_level){.now = to, .since_ms = m->now_ms};
}

static void check_levels(struct model *m)
{
    enum pressure_level highest = PRESSURE_NORMAL;

    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        const struct governor_resource_view *v = &m->view.resources[i];

        assert_int_equal(governor_check_thresholds(&v->effective), 0);
        move(m, i, wanted(m, i));
        assert_int_equal(v->level, m->levels[i].now);
        assert_int_equal(v->since_ms, m->levels[i].since_ms);
        m->off_normal[i] = v->level == PRESSURE_NORMAL ? 0 : m->off_normal[i] + 1;
        m->has_hardened[i] =
            v->level > PRESSURE_NORMAL &&
            (m->has_hardened[i] || m->off_normal[i] > m->settings.rules[i].history);
        assert_int_equal(v->off_normal, m->off_normal[i]);
        assert_int_equal(v->has_hardened, m->has_hardened[i]);
        if (v->level == PRESSURE_NORMAL)
            assert_int_equal(v->to_free, 0);
        if (counts(m, i))
            highest = MAX_OF(highest, v->level);
    }
    move(m, GOVERNOR_RESOURCES, highest);
    assert_int_equal(m->view.level, m->levels[GOVERNOR_RESOURCES].now);
    assert_int_equal(m->view.since_ms, m->levels[GOVERNOR_RESOURCES].since_ms);
    assert_true(m->view.level >= highest);
    if (m->settings.dwell_ms == 0)
        assert_int_equal(m->view.level, highest);
}

static void check_lines(struct model *m)
{
    const struct gate_settings *g = &m->outcome.gate;
    bool hardened = false, is_refusing = false;

    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        hardened = hardened || (counts(m, i) && m->has_hardened[i]);
    for (size_t c = 0; c < MAIL_CLASSES; c++) {
        enum gate_verdict v = g->lines[c].verdict;

        is_refusing = is_refusing || v == GATE_REFUSE;
        if (v != GATE_OPEN)
            assert_true(m->settings.enabled && g->lines[c].resource < GOVERNOR_RESOURCES);
        if (v == GATE_DELAY) {
            assert_int_equal(c, MAIL_EXTERNAL);
            assert_true(g->lines[c].delay_ms > 0);
        }
        /* A class is never worse off than a lower one. */
        if (c > 0)
            assert_true(v <= g->lines[c - 1].verdict);
    }
    assert_int_equal(g->lines[MAIL_REPORT].verdict, GATE_OPEN);
    if (m->settings.enabled) {
        assert_int_equal(g->lines[MAIL_AUTHENTICATED].verdict == GATE_REFUSE,
                         g->level == PRESSURE_HIGH);
        assert_int_equal(g->lines[MAIL_EXTERNAL].verdict == GATE_REFUSE,
                         g->level == PRESSURE_HIGH || hardened);
        assert_int_equal(g->refuse_at_connect,
                         m->settings.refuse_at_connect && g->level == PRESSURE_HIGH);
    }
    assert_int_equal(m->outcome.starts_refusing, is_refusing && !m->is_refusing);
    assert_int_equal(m->outcome.stops_refusing, !is_refusing && m->is_refusing);
    m->is_refusing = is_refusing;
}

static void check_remedies(struct model *m)
{
    bool is_paused = m->outcome.pause_background;
    size_t last = 0;

    assert_true(m->settings.enabled || (m->outcome.remedy_count == 0 && !is_paused));
    for (size_t j = 0; j < m->outcome.remedy_count; j++) {
        enum governor_remedy r = m->outcome.remedies[j].remedy;
        enum governor_resource res = m->outcome.remedies[j].resource;
        const struct governor_resource_view *v = &m->view.resources[res];

        assert_true(j == 0 || r > last);
        last = r;
        assert_true(governor_remedy_helps(r, res));
        assert_true(v->figure.is_known && v->figure.used > v->effective.medium_to_low);
        assert_false(m->settings.rules[res].observe_only);
        assert_false(m->is_running[r]);
        assert_true(m->asked_ms[r] == 0 ||
                    m->now_ms - m->asked_ms[r] >= m->settings.remedy_interval_ms);
        m->asked_ms[r] = m->now_ms;
        m->is_running[r] = true;
    }
    assert_int_equal(m->view.remedies[REMEDY_PAUSE].is_running, is_paused);
    m->is_running[REMEDY_PAUSE] = is_paused;
    for (size_t r = 0; r < GOVERNOR_REMEDIES; r++)
        if (m->is_running[r] && one_in(m, 3)) {
            uint64_t freed = one_in(m, 3) ? 0 : one_in(m, 3) ? UINT64_MAX : below(m, 1000);

            governor_remedy_done(m->governor, (enum governor_remedy)r, freed, below(m, 100),
                                 m->now_ms);
            m->is_running[r] = r == REMEDY_PAUSE;
        }
}

static uint64_t total_ms(const struct level_sums *s)
{
    return s->total_ms[PRESSURE_NORMAL] + s->total_ms[PRESSURE_MEDIUM] + s->total_ms[PRESSURE_HIGH];
}

static void check_view(const struct model *m)
{
    uint64_t age_ms = m->now_ms - m->start_ms;

    for (size_t span = 0; span < 2; span++) {
        uint64_t sum = 0;

        for (size_t l = 0; l < PRESSURE_LEVELS; l++)
            sum += m->view.at_level.ms[span][l];
        assert_true(sum <= (span ? 24 : 1) * UINT64_C(3600000));
        assert_true(sum <= age_ms);
    }
    assert_int_equal(total_ms(&m->view.at_level), age_ms);
    for (size_t i = 1; i < m->view.history_count; i++)
        assert_true(m->view.history[i - 1].at_ms >= m->view.history[i].at_ms);
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        const struct governor_resource_view *v = &m->view.resources[i];

        assert_true(v->medium_in_s >= 0 && v->medium_in_s <= v->high_in_s);
        assert_true(v->full_in_s >= 0);
        assert_int_equal(total_ms(&v->at_level), age_ms);
    }
}

static void run(uint64_t seed)
{
    struct model m;

    memset(&m, 0, sizeof(m));
    rand_init(&m.chance, seed);
    random_settings(&m);
    m.start_ms = m.now_ms = 1 + below(&m, UINT64_C(1) << 40);
    for (size_t i = 0; i <= GOVERNOR_RESOURCES; i++)
        m.levels[i].since_ms = m.now_ms;
    /* Not known for long, so that the model and the governor have nothing to keep. */
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        m.missing[i] = MISSING_MAX;
    assert_int_equal(governor_new(&m.governor, &m.settings, m.now_ms), 0);
    for (int i = 0; i < TICKS; i++) {
        if (one_in(&m, 200)) {
            random_settings(&m);
            governor_set_settings(m.governor, &m.settings);
        }
        random_sample(&m);
        if (!one_in(&m, 10))
            m.now_ms += one_in(&m, 50) ? below(&m, 1000000) : 2000;
        governor_tick(m.governor, &m.sample, m.now_ms, &m.outcome);
        governor_get_view(m.governor, &m.view);
        check_levels(&m);
        check_lines(&m);
        check_remedies(&m);
        check_view(&m);
    }
    governor_free(&m.governor);
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void what_must_hold_holds(void **state)
{
    uint64_t first = number_from("PENSTOCK_SEED", 1);
    uint64_t count = number_from("PENSTOCK_SEEDS", getenv("PENSTOCK_SEED") ? 1 : SEEDS);

    (void)state;
    for (uint64_t seed = first; seed < first + count; seed++) {
        print_message("# seed %llu\n", (unsigned long long)seed);
        run(seed);
    }
}

/* The size that one message may have after a single sample with so much in use. */
static uint64_t size_max_with(const struct governor_settings *s, struct governor_sample *sample,
                              uint64_t used)
{
    struct governor *g;
    struct governor_outcome o;

    sample->figures[GOVERNOR_SPOOL_DISK].used = used;
    assert_int_equal(governor_new(&g, s, 0), 0);
    governor_tick(g, sample, 2000, &o);
    governor_free(&g);
    return o.gate.size_max;
}

/* More room never makes a smaller message the largest. */
static void the_largest_message_follows_the_room(void **state)
{
    static struct model m;

    (void)state;
    rand_init(&m.chance, 5);
    for (int i = 0; i < 300; i++) {
        uint64_t last = UINT64_MAX;

        random_settings(&m);
        random_sample(&m);
        m.sample.figures[GOVERNOR_SPOOL_DISK].is_known = true;
        m.sample.figures[GOVERNOR_SPOOL_DISK].limit = 100 + below(&m, 10000);
        for (uint64_t used = 0; used < 12000; used += 1 + below(&m, 200)) {
            uint64_t size_max = size_max_with(&m.settings, &m.sample, used);

            assert_true(size_max <= last);
            assert_true(size_max == UINT64_MAX || size_max < m.sample.message_size_max);
            last = size_max;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_must_hold_holds),
        cmocka_unit_test(the_largest_message_follows_the_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
