/*
 * governor/tally_test.c - tallies against a model that forgets nothing: every refusal with its
 * time. PENSTOCK_SEED picks one history.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "governor/governor.h"
#include "governor/tally.h"

enum { CLIENTS = 300, LOOPS = 3, SAMPLES = 500, PARTS = 6, SEEDS = 4 };

static const uint64_t part_ms[TALLY_SPANS] = {10000, 600000, 14400000};

struct sums {
    uint64_t counts[MAIL_CLASSES][TALLY_WHATS], bytes[MAIL_CLASSES];
    uint64_t clients[CLIENTS], client_bytes[CLIENTS], refused;
};

struct model {
    struct tally *tally;
    struct rand chance;
    uint64_t now_ms;
    int clients;
    /* One a sample. */
    struct sums all[SAMPLES];
    uint64_t at_ms[SAMPLES];
    size_t samples;
};

static void client_name(int client, char *ret, size_t size)
{
    (void)snprintf(ret, size, "2001:db8::%d", client);
}

/* Few clients make most of the refusals, as on any bad day. */
static int any_client(struct model *m)
{
    uint64_t x = rand_below(&m->chance, 1000);

    return (int)(x * x * x / 1000000 * (uint64_t)m->clients / 1000);
}

static void one_refusal(struct model *m, struct tally_batch *b, struct sums *s)
{
    int client = any_client(m);
    enum mail_class c = (enum mail_class)rand_below(&m->chance, MAIL_CLASSES);
    enum tally_what w =
        (enum tally_what)(TALLY_REFUSED + rand_below(&m->chance, TALLY_WHATS - TALLY_REFUSED));
    uint64_t announced = rand_below(&m->chance, 1000000);
    char name[TALLY_CLIENT_TEXT];

    client_name(client, name, sizeof(name));
    tally_refused(b, c, w, name, announced);
    s->counts[c][w]++;
    s->bytes[c] += announced;
    s->clients[client]++;
    s->client_bytes[client] += announced;
    s->refused++;
}

static void one_sample(struct model *m)
{
    struct sums *s = &m->all[m->samples];

    memset(s, 0, sizeof(*s));
    for (int loop = 0; loop < LOOPS; loop++) {
        struct tally_batch b;
        uint64_t n = rand_below(&m->chance, 10) ? rand_below(&m->chance, 200) : 0;

        memset(&b, 0, sizeof(b));
        while (n-- > 0)
            one_refusal(m, &b, s);
        b.counts[MAIL_EXTERNAL][TALLY_ACCEPTED] += 5;
        s->counts[MAIL_EXTERNAL][TALLY_ACCEPTED] += 5;
        tally_add(m->tally, &b, m->now_ms);
    }
    m->at_ms[m->samples++] = m->now_ms;
}

/* What the span covers: the part that is now and the five before. */
static void plain_sums(const struct model *m, enum tally_span span, struct sums *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < m->samples; i++) {
        if (m->at_ms[i] / part_ms[span] + PARTS <= m->now_ms / part_ms[span])
            continue;
        for (size_t c = 0; c < MAIL_CLASSES; c++) {
            for (size_t w = 0; w < TALLY_WHATS; w++)
                ret->counts[c][w] += m->all[i].counts[c][w];
            ret->bytes[c] += m->all[i].bytes[c];
        }
        for (size_t c = 0; c < CLIENTS; c++) {
            ret->clients[c] += m->all[i].clients[c];
            ret->client_bytes[c] += m->all[i].client_bytes[c];
        }
        ret->refused += m->all[i].refused;
    }
}

static const struct tally_client *find(const struct tally_top *t, int client)
{
    char name[TALLY_CLIENT_TEXT];

    client_name(client, name, sizeof(name));
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->clients[i].client, name) == 0)
            return &t->clients[i];
    return NULL;
}

static void check(const struct model *m, enum tally_span span)
{
    static struct sums want;
    struct tally_sums got;

    plain_sums(m, span, &want);
    tally_get(m->tally, span, m->now_ms, &got);
    assert_memory_equal(got.counts, want.counts, sizeof(want.counts));
    assert_memory_equal(got.bytes, want.bytes, sizeof(want.bytes));
    for (size_t i = 1; i < got.refused.count; i++)
        assert_true(got.refused.clients[i - 1].count >= got.refused.clients[i].count);
    for (int c = 0; c < m->clients; c++) {
        const struct tally_client *t = find(&got.refused, c);

        assert_true(t || want.clients[c] <= want.refused / TALLY_CLIENTS);
        if (!t)
            continue;
        assert_true(t->count >= want.clients[c]);
        assert_true(t->count - t->error <= want.clients[c]);
        assert_true(t->error <= want.refused / TALLY_CLIENTS);
        assert_true(t->bytes <= want.client_bytes[c]);
        if (m->clients <= TALLY_CLIENTS) { /* all fit: nothing is a guess */
            assert_int_equal(t->error, 0);
            assert_int_equal(t->bytes, want.client_bytes[c]);
        }
    }
}

static void run(uint64_t seed)
{
    static struct model m;

    memset(&m, 0, sizeof(m));
    rand_init(&m.chance, seed);
    m.clients = seed % 2 ? CLIENTS : TALLY_CLIENTS;
    m.now_ms = rand_below(&m.chance, UINT64_C(1) << 40);
    assert_int_equal(tally_new(&m.tally, m.now_ms), 0);
    for (int i = 0; i < SAMPLES; i++) {
        one_sample(&m);
        if (i % 10 == 0)
            for (size_t span = 0; span < TALLY_SPANS; span++)
                check(&m, (enum tally_span)span);
        m.now_ms += rand_below(&m.chance, 100) ? 2000 : rand_below(&m.chance, 20000000);
    }
    tally_free(&m.tally);
    assert_null(m.tally);
}

static void the_tally_has_what_the_model_has(void **state)
{
    const char *text = getenv("PENSTOCK_SEED");
    uint64_t first = text ? strtoull(text, NULL, 10) : 1;

    (void)state;
    for (uint64_t seed = first; seed < first + (text ? 1 : SEEDS); seed++) {
        print_message("# seed %llu\n", (unsigned long long)seed);
        run(seed);
    }
}

static void what_is_old_is_forgotten_and_time_does_not_go_back(void **state)
{
    struct tally *t;
    struct tally_batch b;
    struct tally_sums sums;
    struct tally_totals totals;

    (void)state;
    memset(&b, 0, sizeof(b));
    tally_refused(&b, MAIL_INTERNAL, TALLY_REFUSED_LATE, "192.0.2.1", 77);
    assert_int_equal(tally_new(&t, 1000000), 0);
    tally_add(t, &b, 1000000);
    tally_add(t, &b, 0); /* earlier than the last: now */
    for (size_t span = 0; span < TALLY_SPANS; span++) {
        uint64_t length_ms = PARTS * part_ms[span];

        tally_get(t, (enum tally_span)span, 0, &sums);
        assert_int_equal(sums.counts[MAIL_INTERNAL][TALLY_REFUSED_LATE], 2);
        assert_int_equal(sums.bytes[MAIL_INTERNAL], 154);
        assert_int_equal(sums.refused.count, 1);
        assert_string_equal(sums.refused.clients[0].client, "192.0.2.1");
        tally_get(t, (enum tally_span)span, 1000000 + length_ms - part_ms[span], &sums);
        assert_int_equal(sums.counts[MAIL_INTERNAL][TALLY_REFUSED_LATE], 2);
        assert_int_equal(sums.refused.count, 1);
        tally_get(t, (enum tally_span)span, 1000000 + length_ms, &sums);
        assert_int_equal(sums.counts[MAIL_INTERNAL][TALLY_REFUSED_LATE], 0);
        assert_int_equal(sums.refused.count, 0);
    }
    tally_get_totals(t, &totals);
    assert_int_equal(totals.counts[MAIL_INTERNAL][TALLY_REFUSED_LATE], 2);
    assert_int_equal(totals.bytes[MAIL_INTERNAL], 154);
    tally_free(&t);
}

/* A client that no batch has among its first, for each is full of others, and that must not be
 * missed: the sum of what it may have had in each is what keeps it. */
static void many_small_parts_make_a_large_one(void **state)
{
    struct tally *t;
    struct tally_sums sums;
    const struct tally_client *found;

    (void)state;
    assert_int_equal(tally_new(&t, 0), 0);
    for (int loop = 0; loop < 8; loop++) {
        struct tally_batch b;
        char name[TALLY_CLIENT_TEXT];

        memset(&b, 0, sizeof(b));
        client_name(0, name, sizeof(name));
        tally_top_add(&b.refused, name, 10, 1);
        for (int client = 1; client <= TALLY_CLIENTS; client++) {
            client_name(loop < 2 ? loop * TALLY_CLIENTS + client : client, name, sizeof(name));
            /* In the last batches the client is the one that is dropped. */
            tally_top_add(&b.refused, name, loop < 6 ? 9 : 11, 1);
        }
        tally_add(t, &b, (uint64_t)loop * 2000);
    }
    tally_get(t, TALLY_MINUTE, 14000, &sums);
    found = find(&sums.refused, 0);
    assert_non_null(found);
    assert_true(found->count >= 80 && found->count - found->error <= 80);
    tally_free(&t);
}

/* What a client says of itself is not trusted: neither its sizes nor its name. */
static void large_figures_and_long_names_are_bounded(void **state)
{
    struct tally_batch b;
    struct tally_sums sums;
    struct tally *t;
    char name[200];

    (void)state;
    memset(&b, 0, sizeof(b));
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (int i = 0; i < 3; i++)
        tally_refused(&b, MAIL_EXTERNAL, TALLY_REFUSED, name, UINT64_MAX - 1);
    assert_int_equal(b.bytes[MAIL_EXTERNAL], UINT64_MAX);
    assert_int_equal(b.refused.count, 1);
    assert_int_equal(strlen(b.refused.clients[0].client), TALLY_CLIENT_TEXT - 1);
    assert_int_equal(tally_new(&t, 0), 0);
    tally_add(t, &b, 0);
    tally_add(t, &b, 0);
    tally_get(t, TALLY_DAY, 0, &sums);
    assert_int_equal(sums.refused.clients[0].count, 6);
    assert_int_equal(sums.refused.clients[0].bytes, UINT64_MAX);
    assert_int_equal(sums.bytes[MAIL_EXTERNAL], UINT64_MAX);
    tally_free(&t);
}

/* Resources, the two that are none, and nothing for what nobody knows. */
static void what_refusals_were_for_is_counted(void **state)
{
    static const uint8_t known[] = {GOVERNOR_SPOOL_DISK, GOVERNOR_IO_STALL, GATE_RESOURCE_SIZE,
                                    GATE_RESOURCE_SESSIONS};
    static const char *const names[] = {"spool_disk", "io_stall", "size", "sessions"};
    struct tally_totals totals;
    struct tally_batch b;
    struct tally *t;
    uint64_t sum = 0;

    (void)state;
    memset(&b, 0, sizeof(b));
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        for (size_t n = 0; n <= i; n++)
            tally_refused_for(&b, known[i]);
    tally_refused_for(&b, GOVERNOR_RESOURCES);
    tally_refused_for(&b, 200);
    assert_int_equal(tally_new(&t, 0), 0);
    tally_add(t, &b, 0);
    tally_add(t, &b, 100000000);
    tally_get_totals(t, &totals);
    for (size_t cause = 0; cause < TALLY_CAUSES; cause++) {
        sum += totals.causes[cause];
        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
            if (strcmp(tally_cause_name(cause), names[i]) == 0)
                assert_int_equal(totals.causes[cause], 2 * (i + 1));
    }
    assert_int_equal(sum, 20);
    tally_free(&t);
}

static void everything_has_a_name(void **state)
{
    (void)state;
    for (size_t r = 0; r < GOVERNOR_RESOURCES; r++)
        assert_string_equal(tally_cause_name(r), governor_resource_name((enum governor_resource)r));
    assert_string_equal(tally_cause_name(TALLY_CAUSES - 1), "size");
    assert_string_equal(tally_cause_name(GOVERNOR_RESOURCES), "");
    assert_string_equal(tally_cause_name(TALLY_CAUSES), "");
    for (size_t w = 0; w < TALLY_WHATS; w++)
        assert_true(*tally_what_name((enum tally_what)w));
    assert_string_equal(tally_what_name(TALLY_WHATS), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tally_has_what_the_model_has),
        cmocka_unit_test(what_is_old_is_forgotten_and_time_does_not_go_back),
        cmocka_unit_test(many_small_parts_make_a_large_one),
        cmocka_unit_test(large_figures_and_long_names_are_bounded),
        cmocka_unit_test(what_refusals_were_for_is_counted),
        cmocka_unit_test(everything_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
