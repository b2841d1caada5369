/*
 * logscan/lives_test.c - what becomes of recipients, by hand for each form of numbering, and at random
 * against a model that keeps everything as text in plain arrays and never forgets.
 */
#include "logscan/lives.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include <errno.h>

#include "base/rand.h"
#include "logscan/lives_early.h"

#define NEVER INT64_MIN

/* ---- facts by hand ---- */

static struct log_fact fact(enum fact_kind kind, const char *message, int64_t at_ms)
{
    return (struct log_fact){
        .kind = (uint8_t)kind, .message = slice_str(message), .at_ms = at_ms, .counts = COUNTS_ALL};
}

static struct log_fact counted(enum fact_kind kind, const char *message, int64_t at_ms, uint32_t n)
{
    struct log_fact f = fact(kind, message, at_ms);

    f.number = n;
    return f;
}

static struct log_fact of(enum fact_kind kind, const char *message, int64_t at_ms,
                          const char *recipient, enum fact_numbering numbering,
                          enum log_outcome outcome)
{
    struct log_fact f = fact(kind, message, at_ms);

    f.recipient = slice_str(recipient);
    f.numbering = (uint8_t)numbering;
    f.outcome = (uint8_t)outcome;
    return f;
}

struct heard { /* attempts as text, one a line: "a@x 1 d 100" */
    char text[4096];
    size_t used;
};

static void hear(void *ctx, const struct log_attempt *a)
{
    static const char outcomes[] = {'+', 'd', '-'};
    struct heard *h = ctx;
    int n;

    n = snprintf(h->text + h->used, sizeof(h->text) - h->used, "%.*s %u %c%s%s\n",
                 SLICE_FMT(a->recipient), a->number,
                 a->is_expiry ? 'x' : outcomes[a->fact->outcome], a->was_deferred ? "~" : "",
                 a->arrived_ms == NEVER ? " ?" : "");
    assert_true(n > 0 && (size_t)n < sizeof(h->text) - h->used);
    h->used += (size_t)n;
}

static void run(const struct log_fact *facts, size_t count, struct lives_counts *c,
                struct heard *heard)
{
    struct lives *l = NULL;

    *heard = (struct heard){.used = 0};
    assert_int_equal(lives_new(&l, 7, hear, heard), 0);
    /* Each fact's text is gone after the call. */
    for (size_t i = 0; i < count; i++) {
        struct log_fact f = facts[i];
        struct slice *texts[] = {&f.message, &f.recipient, &f.sender, &f.next};
        void *copies[ARRAY_SIZE(texts)];

        for (size_t t = 0; t < ARRAY_SIZE(texts); t++) {
            copies[t] = malloc(texts[t]->len + 1);
            assert_non_null(copies[t]);
            if (texts[t]->len > 0)
                memcpy(copies[t], texts[t]->ptr, texts[t]->len);
            texts[t]->ptr = copies[t];
        }
        assert_int_equal(lives_facts(l, &f, 1), 0);
        for (size_t t = 0; t < ARRAY_SIZE(texts); t++)
            free(copies[t]);
    }
    assert_int_equal(lives_end(l), 0);
    lives_counts(l, c);
    lives_free(&l);
    assert_null(l);
    assert_int_equal(c->recipients, c->delivered + c->failed + c->expired + c->pending + c->lost);
}

#define DELIVERED OUTCOME_DELIVERED
#define DEFERRED OUTCOME_DEFERRED
#define FAILED OUTCOME_FAILED

static void numbers_by_begins(void **state)
{
    const struct log_fact facts[] = {
        fact(FACT_ARRIVAL, "A", 100),
        counted(FACT_BEGIN, "A", 100, 3),
        of(FACT_ATTEMPT, "A", 110, "a@x", NUMBERING_BEGIN, DELIVERED),
        of(FACT_ATTEMPT, "A", 110, "b@x", NUMBERING_BEGIN, DEFERRED),
        of(FACT_ATTEMPT, "A", 111, "c@x", NUMBERING_BEGIN, DEFERRED),
        counted(FACT_BEGIN, "A", 400, 2),
        of(FACT_ATTEMPT, "A", 401, "b@x", NUMBERING_BEGIN, DELIVERED),
        of(FACT_ATTEMPT, "A", 402, "c@x", NUMBERING_BEGIN, DEFERRED),
        of(FACT_EXPIRY, "A", 900, "", NUMBERING_BEGIN, FAILED),
        fact(FACT_END, "A", 901),
        /* The id comes again, and a third time it is an orphan. */
        counted(FACT_ARRIVAL, "A", 1000, 1),
        fact(FACT_BEGIN, "A", 1000),
        of(FACT_ATTEMPT, "A", 1001, "b@x", NUMBERING_BEGIN, FAILED),
        fact(FACT_END, "A", 1002),
        fact(FACT_BEGIN, "A", 2000),
        of(FACT_ATTEMPT, "A", 2001, "b@x", NUMBERING_BEGIN, DEFERRED),
        of(FACT_ATTEMPT, "A", 2001, "a@x", NUMBERING_BEGIN, DELIVERED),
        of(FACT_EXPIRY, "A", 2002, "", NUMBERING_BEGIN, FAILED),
    };
    struct lives_counts c;
    struct heard heard;

    (void)state;
    run(facts, ARRAY_SIZE(facts), &c, &heard);
    assert_string_equal(heard.text, "a@x 1 +\nb@x 1 d\nc@x 1 d\nb@x 2 +~\nc@x 2 d~\nc@x 0 x~\n"
                                    "b@x 1 -\n"
                                    "b@x 0 d ?\na@x 0 + ?\nb@x 0 x~ ?\n");
    assert_int_equal(c.messages, 2);
    assert_int_equal(c.recipients, 4);
    assert_int_equal(c.first_attempts, 4);
    assert_int_equal(c.first_attempt_delivered, 1);
    assert_int_equal(c.retry_attempts, 2);
    assert_int_equal(c.retry_delivered, 1);
    assert_int_equal(c.deferred_recipients, 2);
    assert_int_equal(c.deferred_then_delivered, 1);
    assert_int_equal(c.deferred_then_failed, 1);
    assert_int_equal(c.expired, 1);
    assert_int_equal(c.failed, 1);
    assert_int_equal(c.pending, 0);
    assert_int_equal(c.orphan_attempts, 2);
    assert_int_equal(c.orphan_final, 2);
}

static void numbers_by_time_and_expands(void **state)
{
    const struct log_fact facts[] = {
        of(FACT_RECIPIENT, "H", 1, "a@x", NUMBERING_NONE, 0),
        of(FACT_RECIPIENT, "H", 1, "b@y", NUMBERING_NONE, 0),
        of(FACT_RECIPIENT, "H", 1, "c@y", NUMBERING_NONE, 0),
        counted(FACT_ARRIVAL, "H", 2, 3),
        of(FACT_ATTEMPT, "H", 10, "b@y", NUMBERING_TIME, DEFERRED),
        of(FACT_ATTEMPT, "H", 10, "c@y", NUMBERING_TIME, FAILED),
        of(FACT_ATTEMPT, "H", 10, "", NUMBERING_TIME, DELIVERED),
        of(FACT_ATTEMPT, "H", 20, "", NUMBERING_TIME, DEFERRED),
        of(FACT_EXPIRY, "H", 20, "", NUMBERING_TIME, FAILED),
        of(FACT_ATTEMPT, "H", 30, "", NUMBERING_TIME, DELIVERED),
        /* Nobody knows whose it is. */
        of(FACT_ATTEMPT, "Z", 30, "", NUMBERING_TIME, DELIVERED),
    };
    struct lives_counts c;
    struct heard heard;

    (void)state;
    run(facts, ARRAY_SIZE(facts), &c, &heard);
    assert_string_equal(heard.text, "b@y 1 d\nc@y 1 -\na@x 1 +\nb@y 2 d~\nb@y 0 x~\n 0 + ?\n");
    assert_int_equal(c.recipients, 3);
    assert_int_equal(c.expired, 1);
    assert_int_equal(c.retry_attempts, 1);
    assert_int_equal(c.orphan_attempts, 1);
}

static void numbers_by_recipient_and_given(void **state)
{
    const struct log_fact facts[] = {
        counted(FACT_ARRIVAL, "P", 1, 1),
        counted(FACT_ARRIVAL, "P", 2, 1),
        of(FACT_ATTEMPT, "P", 3, "a@x", NUMBERING_RECIPIENT, DEFERRED),
        of(FACT_ATTEMPT, "P", 4, "b@x", NUMBERING_RECIPIENT, DELIVERED),
        of(FACT_ATTEMPT, "P", 5, "a@x", NUMBERING_RECIPIENT, DEFERRED),
        of(FACT_ATTEMPT, "", 5, "n@x", NUMBERING_NONE, DEFERRED),
        counted(FACT_ARRIVAL, "K", 6, 1),
        {.kind = FACT_ATTEMPT,
         .message = SLICE_LIT("K"),
         .recipient = SLICE_LIT("k@x"),
         .numbering = NUMBERING_GIVEN,
         .outcome = OUTCOME_DEFERRED,
         .number = 4},
        /* Over, and one recipient without an end. */
        counted(FACT_ARRIVAL, "L", 7, 2),
        of(FACT_ATTEMPT, "L", 8, "a@x", NUMBERING_RECIPIENT, DELIVERED),
        fact(FACT_END, "L", 9),
    };
    struct lives_counts c;
    struct heard heard;

    (void)state;
    run(facts, ARRAY_SIZE(facts), &c, &heard);
    assert_string_equal(heard.text, "a@x 1 d\nb@x 1 +\na@x 2 d~\nn@x 0 d ?\nk@x 4 d\na@x 1 +\n");
    assert_int_equal(c.messages, 3);
    assert_int_equal(c.pending, 2);
    assert_int_equal(c.lost, 1);
    assert_int_equal(c.orphan_attempts, 0);
    assert_int_equal(c.first_attempts, 3);
}

/* ---- against a model ---- */

#define MODEL_MESSAGES 12
#define MODEL_RECIPIENTS 24
#define MODEL_TEXT 16

struct model_recipient {
    char address[MODEL_TEXT];
    bool is_open, was_deferred, is_tried;
    uint32_t attempts, last;
};
struct model_message { /* the present one of a key */
    char key[MODEL_TEXT];
    bool is_there, has_arrived;
    int64_t arrived_ms, tried_ms;
    uint32_t begins, told, finals, count;
    struct model_recipient list[MODEL_RECIPIENTS + 1];
};
struct model {
    struct model_message messages[MODEL_MESSAGES];
    struct lives_counts c;
    uint64_t hash; /* of all attempts */
    bool is_real;  /* this is what the module under test told */
};

/* Adds what is told to a sum that depends on the order. */
static void note(struct model *m, const char *address, size_t len, uint32_t number,
                 bool was_deferred, bool is_expiry, int64_t arrived_ms)
{
    const uint64_t all[] = {number, was_deferred, is_expiry, (uint64_t)arrived_ms};

    for (size_t i = 0; i < len; i++)
        m->hash = (m->hash ^ (uint8_t)address[i]) * 0x100000001b3u;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        m->hash = (m->hash ^ all[i]) * 0x100000001b3u;
}

static void note_real(void *ctx, const struct log_attempt *a)
{
    note(ctx, (const char *)(a->recipient.ptr ? a->recipient.ptr : (const uint8_t *)""),
         a->recipient.len, a->number, a->was_deferred, a->is_expiry, a->arrived_ms);
}

static struct model_recipient *model_recipient(struct model_message *m, const char *address)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (strcmp(m->list[i].address, address) == 0)
            return &m->list[i];
    assert_true(m->count <= MODEL_RECIPIENTS);
    m->list[m->count] = (struct model_recipient){.is_open = true};
    (void)snprintf(m->list[m->count].address, MODEL_TEXT, "%s", address);
    return &m->list[m->count++];
}

static void model_outcome(struct model *w, struct model_message *m, struct model_recipient *r,
                          const struct log_fact *f)
{
    bool is_expiry = f->kind == FACT_EXPIRY, is_delivered = !is_expiry && f->outcome == DELIVERED;
    bool is_final = is_expiry || f->outcome != DEFERRED;
    struct lives_counts *c = &w->c;
    uint32_t n = 0;

    if (!is_expiry) {
        r->attempts++;
        r->last = m->begins;
        r->is_tried = true;
    }
    if (!m->has_arrived) {
        c->orphan_attempts += !is_expiry;
        c->orphan_final += is_final;
    } else {
        if (!is_expiry) {
            n = f->numbering == NUMBERING_GIVEN       ? f->number
                : f->numbering == NUMBERING_RECIPIENT ? r->attempts
                                                      : m->begins;
            n = n == 0 ? 1 : n;
            if (n == 1) {
                c->first_attempts++;
                c->first_attempt_delivered += is_delivered;
            } else {
                c->retry_attempts++;
                c->retry_delivered += is_delivered;
            }
        }
        c->delivered += is_delivered;
        c->deferred_then_delivered += is_delivered && r->was_deferred;
        c->expired += is_expiry;
        c->failed += !is_expiry && f->outcome == FAILED;
        c->deferred_then_failed += is_final && !is_delivered && r->was_deferred;
        c->deferred_recipients += !is_final && !r->was_deferred;
    }
    note(w, r->address, strlen(r->address), n, r->was_deferred, is_expiry,
         m->has_arrived ? m->arrived_ms : NEVER);
    r->is_open = !is_final;
    r->was_deferred |= !is_final;
    m->finals += is_final;
}

static void model_all(struct model *w, struct model_message *m, const struct log_fact *f)
{
    bool by_attempt = f->numbering == NUMBERING_TIME || f->numbering == NUMBERING_BEGIN;

    for (uint32_t i = 0; i < m->count; i++) {
        struct model_recipient *r = &m->list[i];

        if (r->is_open &&
            !(f->kind == FACT_ATTEMPT && by_attempt && r->is_tried && r->last == m->begins))
            model_outcome(w, m, r, f);
    }
    if (f->kind == FACT_EXPIRY && m->has_arrived && m->told > m->count && m->finals < m->told) {
        uint32_t unnamed = m->told - (m->count > m->finals ? m->count : m->finals);

        w->c.expired += unnamed;
        m->finals += unnamed;
    }
}

static void model_arrival(struct model *w, struct model_message *m, const struct log_fact *f)
{
    m->is_there = true;
    if (!m->has_arrived) {
        struct model_message fresh = {.is_there = true, .has_arrived = true, .tried_ms = NEVER};

        memcpy(fresh.key, m->key, MODEL_TEXT);
        for (uint32_t i = 0; i < m->count; i++)
            if (m->list[i].attempts == 0 && m->list[i].is_open)
                (void)model_recipient(&fresh, m->list[i].address);
        fresh.arrived_ms = f->at_ms;
        *m = fresh;
        w->c.messages++;
    }
    m->told += f->number;
}

static void model_close(struct model *w, struct model_message *m, uint64_t *open)
{
    uint64_t all = m->told > m->count ? m->told : m->count;

    if (m->is_there && m->has_arrived) {
        w->c.recipients += all;
        *open += all > m->finals ? all - m->finals : 0;
    }
}

static void model_attempt(struct model *w, struct model_message *m, const struct log_fact *f,
                          const char *address)
{
    bool is_expiry = f->kind == FACT_EXPIRY;

    if (!is_expiry && f->numbering == NUMBERING_NONE) {
        note(w, address, strlen(address), 0, false, false, NEVER);
        return;
    }
    if (!m->is_there && is_expiry && address[0] == '\0')
        return;
    if (!m->is_there && (is_expiry || f->outcome != DEFERRED)) {
        w->c.orphan_attempts += !is_expiry;
        w->c.orphan_final++;
        note(w, address, strlen(address), 0, false, is_expiry, NEVER);
        return;
    }
    if (!m->is_there) {
        m->is_there = true;
        m->tried_ms = NEVER;
    }
    if (!is_expiry && f->numbering == NUMBERING_TIME && m->tried_ms != f->at_ms) {
        m->tried_ms = f->at_ms;
        m->begins++;
    }
    if (address[0] != '\0' || (!is_expiry && m->count == 0))
        model_outcome(w, m, model_recipient(m, address), f);
    else
        model_all(w, m, f);
}

static void model_fact(struct model *w, struct model_message *m, const struct log_fact *f,
                       const char *address)
{
    switch ((enum fact_kind)f->kind) {
    case FACT_ARRIVAL:
        model_arrival(w, m, f);
        break;
    case FACT_RECIPIENT:
        if (!m->is_there)
            m->tried_ms = NEVER;
        m->is_there = true;
        (void)model_recipient(m, address);
        break;
    case FACT_BEGIN:
        if (m->is_there && m->has_arrived) {
            m->told += m->begins == 0 ? f->number : 0;
            m->begins++;
        }
        break;
    case FACT_ATTEMPT:
    case FACT_EXPIRY:
        model_attempt(w, m, f, address);
        break;
    case FACT_END: {
        char key[MODEL_TEXT];

        model_close(w, m, &w->c.lost);
        memcpy(key, m->key, MODEL_TEXT);
        *m = (struct model_message){.tried_ms = NEVER};
        memcpy(m->key, key, MODEL_TEXT);
        break;
    }
    case FACT_REPLY:
    default:
        break;
    }
}

static void compare(uint64_t seed, size_t steps)
{
    static const uint8_t kinds[] = {FACT_ARRIVAL, FACT_RECIPIENT, FACT_BEGIN,  FACT_ATTEMPT,
                                    FACT_ATTEMPT, FACT_ATTEMPT,   FACT_EXPIRY, FACT_END,
                                    FACT_REPLY,   FACT_ATTEMPT,   FACT_ATTEMPT};
    struct model *model = calloc(1, sizeof(*model)), *real = calloc(1, sizeof(*real));
    struct lives *l = NULL;
    struct lives_counts c;
    struct rand rng;
    int64_t now = 1000;

    assert_non_null(model);
    assert_non_null(real);
    rand_init(&rng, seed);
    for (uint32_t i = 0; i < MODEL_MESSAGES; i++)
        (void)snprintf(model->messages[i].key, MODEL_TEXT, "m%u", i);
    assert_int_equal(lives_new(&l, seed, note_real, real), 0);
    for (size_t i = 0; i < steps; i++) {
        struct model_message *m = &model->messages[rand_below(&rng, MODEL_MESSAGES)];
        uint32_t many = 1 + (uint32_t)rand_below(&rng, MODEL_RECIPIENTS - 1);
        char address[MODEL_TEXT] = "";
        struct log_fact f = {.counts = COUNTS_ALL,
                             .kind = kinds[rand_below(&rng, ARRAY_SIZE(kinds))],
                             .numbering = (uint8_t)rand_below(&rng, NUMBERING_NONE + 1),
                             .outcome = (uint8_t)rand_below(&rng, 3),
                             .number = (uint32_t)rand_below(&rng, 4),
                             .message = slice_str(m->key)};

        now += rand_below(&rng, 3) == 0;
        f.at_ms = now;
        if (f.kind == FACT_RECIPIENT || rand_below(&rng, 3) > 0)
            (void)snprintf(address, sizeof(address), "r%u@x", (uint32_t)rand_below(&rng, many));
        f.recipient = slice_str(address);
        model_fact(model, m, &f, address);
        assert_int_equal(lives_facts(l, &f, 1), 0);
        assert_true(model->hash == real->hash);
    }
    for (uint32_t i = 0; i < MODEL_MESSAGES; i++)
        model_close(model, &model->messages[i], &model->c.pending);
    lives_counts(l, &c);
    assert_memory_equal(&c, &model->c, sizeof(c));
    assert_true(c.messages > 0 && c.expired > 0 && c.lost > 0 && c.orphan_final > 0);
    lives_free(&l);
    free(model);
    free(real);
}

static void agrees_with_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        compare(seed, 3000);
}

/* ---- many ---- */

struct sum {
    uint64_t messages, recipients, named;
    int64_t oldest_ms;
};
static void add(void *ctx, int64_t arrived_ms, uint64_t recipients)
{
    struct sum *s = ctx;

    s->messages++;
    s->recipients += recipients;
    if (arrived_ms < s->oldest_ms)
        s->oldest_ms = arrived_ms;
}

static void add_named(void *ctx, int64_t arrived_ms, struct slice address, uint64_t count)
{
    struct sum *s = ctx;

    assert_true(arrived_ms >= s->oldest_ms);
    assert_true(slice_eq(address, SLICE_LIT("b@x")));
    s->named += count;
}

/* More than blocks and tables begin with, every second message over: what is left is pending. */
static void keeps_many(void **state)
{
    enum { MANY = 20000 };
    struct lives *l = NULL;
    struct lives_counts c;
    struct sum sum = {.oldest_ms = INT64_MAX};
    char key[MODEL_TEXT];

    (void)state;
    assert_int_equal(lives_new(&l, 3, NULL, NULL), 0);
    for (int i = 0; i < MANY; i++) {
        struct log_fact f[3];

        (void)snprintf(key, sizeof(key), "q%d", i);
        f[0] = counted(FACT_ARRIVAL, key, i, 2);
        f[1] = of(FACT_ATTEMPT, key, i + 1, "a@x", NUMBERING_TIME, DELIVERED);
        f[2] = of(FACT_ATTEMPT, key, i + 1, "b@x", NUMBERING_TIME, DEFERRED);
        assert_int_equal(lives_facts(l, f, 3), 0);
    }
    for (int i = 0; i < MANY; i += 2) {
        struct log_fact f[2];

        (void)snprintf(key, sizeof(key), "q%d", i);
        f[0] = of(FACT_ATTEMPT, key, i + 9, "b@x", NUMBERING_TIME, FAILED);
        f[1] = fact(FACT_END, key, i + 9);
        assert_int_equal(lives_facts(l, f, 2), 0);
    }
    lives_counts(l, &c);
    assert_int_equal(c.recipients, 2 * MANY);
    assert_int_equal(c.delivered, MANY);
    assert_int_equal(c.failed, MANY / 2);
    assert_int_equal(c.pending, MANY / 2);
    assert_int_equal(c.deferred_then_failed, MANY / 2);
    lives_each_pending(l, add, &sum);
    lives_each_pending_recipient(l, add_named, &sum);
    assert_int_equal(sum.named, MANY / 2);
    assert_int_equal(sum.messages, MANY / 2);
    assert_int_equal(sum.recipients, MANY / 2);
    assert_int_equal(sum.oldest_ms, 1);
    lives_free(&l);
}

/* A message with more recipients than facts for all of them are told of. */
static void expands_no_more_than_so_many(void **state)
{
    enum { MANY = LIVES_EXPANDED_MAX + 10 };
    struct lives *l = NULL;
    struct lives_counts c;
    char address[MODEL_TEXT];
    struct log_fact f = fact(FACT_ARRIVAL, "big", 1);

    (void)state;
    assert_int_equal(lives_new(&l, 3, NULL, NULL), 0);
    assert_int_equal(lives_facts(l, &f, 1), 0);
    for (int i = 0; i < 2 * MANY; i++) {
        (void)snprintf(address, sizeof(address), "%d@x", i % MANY);
        f = of(FACT_RECIPIENT, "big", 1, address, NUMBERING_NONE, 0);
        assert_int_equal(lives_facts(l, &f, 1), 0);
    }
    f = of(FACT_ATTEMPT, "big", 2, "", NUMBERING_TIME, DELIVERED);
    assert_int_equal(lives_facts(l, &f, 1), 0);
    lives_counts(l, &c);
    assert_int_equal(c.recipients, MANY);
    assert_int_equal(c.delivered, LIVES_EXPANDED_MAX);
    assert_int_equal(c.pending, 10);
    assert_int_equal(c.not_expanded, 1);
    lives_free(&l);
}

static void hear_sender(void *ctx, const struct log_attempt *a)
{
    (void)snprintf(ctx, MODEL_TEXT, "%.*s", SLICE_FMT(a->sender));
}

static void keeps_senders(void **state)
{
    struct log_fact f[4] = {fact(FACT_ARRIVAL, "S", 1), fact(FACT_BEGIN, "S", 1),
                            fact(FACT_BEGIN, "S", 1),
                            of(FACT_ATTEMPT, "S", 2, "b@x", NUMBERING_BEGIN, DELIVERED)};
    char sender[MODEL_TEXT] = "none";

    (void)state;
    f[1].sender = SLICE_LIT("me@here");
    f[2].sender = SLICE_LIT("other@here");
    for (int keeps = 0; keeps < 2; keeps++) {
        struct lives *l = NULL;

        assert_int_equal(lives_new(&l, 3, hear_sender, sender), 0);
        if (keeps)
            lives_keep_senders(l);
        assert_int_equal(lives_facts(l, f, 4), 0);
        assert_string_equal(sender, keeps ? "me@here" : "");
        lives_free(&l);
    }
}

static void ignore_attempt(void *ctx, const struct log_attempt *a)
{
    (void)ctx;
    (void)a;
}

/* A route, a rule or the operator ended it: no host was tried. */
static void test_an_end_without_a_try(void **state)
{
    struct log_fact f[2] = {fact(FACT_ARRIVAL, "S", 1), fact(FACT_ATTEMPT, "S", 2)};
    struct lives_counts counts;
    struct lives *l;

    (void)state;
    f[0].number = 1;
    f[1].recipient = SLICE_LIT("a@x");
    f[1].outcome = OUTCOME_FAILED;
    f[1].numbering = NUMBERING_RECIPIENT;
    f[1].counts = 0;
    assert_int_equal(lives_new(&l, 1, ignore_attempt, NULL), 0);
    assert_int_equal(lives_facts(l, f, 2), 0);
    lives_counts(l, &counts);
    assert_int_equal(counts.failed, 1);
    assert_int_equal(counts.first_attempts + counts.retry_attempts, 0);
    lives_free(&l);
}

/* ---- content filters ---- */

static struct log_fact own_arrival(const char *message, int64_t at_ms)
{
    struct log_fact f = fact(FACT_ARRIVAL, message, at_ms);

    f.is_from_here = true;
    return f;
}

static struct log_fact handed(const char *message, int64_t at_ms, const char *recipient,
                              const char *next)
{
    struct log_fact f = of(FACT_ATTEMPT, message, at_ms, recipient, NUMBERING_RECIPIENT, DELIVERED);

    f.next = slice_str(next);
    return f;
}

static struct log_fact tried(const char *message, int64_t at_ms, const char *recipient,
                             enum log_outcome outcome)
{
    return of(FACT_ATTEMPT, message, at_ms, recipient, NUMBERING_RECIPIENT, outcome);
}

static void joins_what_a_filter_gives_back(void **state)
{
    const struct log_fact facts[] = {
        fact(FACT_ARRIVAL, "A", 100),
        counted(FACT_BEGIN, "A", 100, 3),
        own_arrival("B", 110),
        counted(FACT_BEGIN, "B", 111, 2),
        handed("A", 112, "a@x", "B"),
        handed("A", 112, "b@x", "B"),
        own_arrival("C", 113),
        counted(FACT_BEGIN, "C", 113, 1),
        tried("C", 114, "c@x", DELIVERED),
        fact(FACT_END, "C", 115),
        handed("A", 116, "c@x", "C"), /* which has left already */
        fact(FACT_END, "A", 117),
        tried("B", 120, "a@x", DELIVERED),
        tried("B", 120, "b@x", DEFERRED),
        tried("B", 400, "b@x", DELIVERED),
        fact(FACT_END, "B", 401),
    };
    struct lives_counts c;
    struct heard heard;

    (void)state;
    run(facts, ARRAY_SIZE(facts), &c, &heard);
    assert_string_equal(heard.text, "c@x 1 +\na@x 1 +\nb@x 1 d\nb@x 2 +~\n");
    assert_int_equal(c.messages, 1);
    assert_int_equal(c.recipients, 3);
    assert_int_equal(c.delivered, 3);
    assert_int_equal(c.first_attempts, 3);
    assert_int_equal(c.handed_over, 3);
    assert_int_equal(c.handed_away, 0);
    assert_int_equal(c.lost, 0);
}

/* Deferred by the filter itself, then through it: the attempts go on counting. */
static void goes_on_behind_a_filter(void **state)
{
    const struct log_fact facts[] = {
        fact(FACT_ARRIVAL, "A", 100),
        counted(FACT_BEGIN, "A", 100, 2),
        tried("A", 101, "a@x", DEFERRED),
        tried("A", 101, "b@x", DEFERRED),
        own_arrival("B", 110),
        counted(FACT_BEGIN, "B", 111, 1),
        handed("A", 112, "a@x", "B"),
        tried("B", 120, "a@x", DELIVERED),
        fact(FACT_END, "B", 121),
    };
    struct lives_counts c;
    struct heard heard;

    (void)state;
    run(facts, ARRAY_SIZE(facts), &c, &heard);
    assert_string_equal(heard.text, "a@x 1 d\nb@x 1 d\na@x 2 +~\n");
    assert_int_equal(c.messages, 1);
    assert_int_equal(c.first_attempts, 2);
    assert_int_equal(c.retry_delivered, 1);
    assert_int_equal(c.deferred_recipients, 2);
    assert_int_equal(c.deferred_then_delivered, 1);
    assert_int_equal(c.pending, 1);
}

/* Ids that the logs do not have, or that somebody else gave in, or its own. */
static void joins_nothing_else(void **state)
{
    const struct log_fact facts[] = {
        fact(FACT_ARRIVAL, "A", 100),      counted(FACT_BEGIN, "A", 100, 3),
        fact(FACT_ARRIVAL, "B", 101),      counted(FACT_BEGIN, "B", 101, 1),
        handed("A", 112, "a@x", "B"),      handed("A", 112, "b@x", "Z"),
        handed("A", 112, "c@x", "A"),      own_arrival("D", 113),
        handed("C", 114, "d@x", "D"), /* of before the log: D is a message of its own */
        tried("D", 115, "d@x", DELIVERED),
    };
    struct lives_counts c;
    struct heard heard;

    (void)state;
    run(facts, ARRAY_SIZE(facts), &c, &heard);
    assert_string_equal(heard.text, "a@x 1 +\nb@x 1 +\nc@x 1 +\nd@x 1 +\n");
    assert_int_equal(c.messages, 3);
    assert_int_equal(c.handed_over, 1);
    assert_int_equal(c.handed_away, 3);
    assert_int_equal(c.orphan_attempts, 0);
    assert_int_equal(c.pending, 1);
}

/* ---- attempts before their arrival ---- */

static struct log_fact early(const char *message, int64_t at_ms, const char *recipient,
                             enum log_outcome outcome)
{
    struct log_fact f = of(FACT_ATTEMPT, message, at_ms, recipient, NUMBERING_RECIPIENT, outcome);

    f.is_unordered = true;
    return f;
}

static struct log_fact late(enum fact_kind kind, const char *message, int64_t at_ms, uint32_t n)
{
    struct log_fact f = counted(kind, message, at_ms, n);

    f.is_unordered = true;
    return f;
}

static void waits_for_the_arrival(void **state)
{
    const struct log_fact facts[] = {
        early("A", 101, "a@x", DEFERRED),
        early("B", 101, "b@x", DELIVERED),
        early("A", 102, "c@x", DELIVERED),
        late(FACT_ARRIVAL, "A", 101, 2), /* takes both up */
        early("A", 200, "a@x", DELIVERED),
        late(FACT_ARRIVAL, "B", 102, 1), /* is another one: it is later */
        early("B", 103, "b@x", FAILED),
        early("C", 104, "c@x", DEFERRED), /* whose arrival never comes */
        late(FACT_EXPIRY, "C", 105, 0),
        early("D", 106, "d@x", DELIVERED),
        late(FACT_END, "D", 107, 0),
        late(FACT_ARRIVAL, "D", 106, 1), /* the key once more */
    };
    struct lives_counts c;
    struct heard heard;

    (void)state;
    run(facts, ARRAY_SIZE(facts), &c, &heard);
    assert_string_equal(heard.text, "a@x 1 d\nc@x 1 +\na@x 2 +~\n"
                                    "b@x 0 + ?\nb@x 1 -\n"
                                    "c@x 0 d ?\nc@x 0 x~ ?\n"
                                    "d@x 0 + ?\n");
    assert_int_equal(c.messages, 3);
    assert_int_equal(c.first_attempts, 3);
    assert_int_equal(c.retry_delivered, 1);
    assert_int_equal(c.deferred_then_delivered, 1);
    assert_int_equal(c.orphan_attempts, 3);
    assert_int_equal(c.orphan_final, 3);
    assert_int_equal(c.pending, 1);
}

/* One more than may wait: the oldest has no number, and is told first. */
static void does_not_wait_for_ever(void **state)
{
    struct lives *l = NULL;
    struct heard heard = {.used = 0};
    struct lives_counts c;

    (void)state;
    assert_int_equal(lives_new(&l, 7, hear, &heard), 0);
    for (unsigned i = 0; i <= LIVES_EARLY_MAX; i++) {
        char key[16];
        struct log_fact f;

        (void)snprintf(key, sizeof(key), "K%u", i);
        f = early(key, 100, key, DELIVERED);
        assert_string_equal(heard.text, "");
        assert_int_equal(lives_facts(l, &f, 1), 0);
    }
    assert_string_equal(heard.text, "K0 0 + ?\n");
    for (unsigned i = 0; i <= LIVES_EARLY_MAX; i++) {
        char key[16];
        struct log_fact f;

        (void)snprintf(key, sizeof(key), "K%u", i);
        f = late(FACT_ARRIVAL, key, 99, 1);
        assert_int_equal(lives_facts(l, &f, 1), 0);
    }
    assert_int_equal(lives_end(l), 0);
    lives_counts(l, &c);
    assert_int_equal(c.orphan_attempts, 1);
    assert_int_equal(c.first_attempt_delivered, LIVES_EARLY_MAX);
    assert_int_equal(c.pending, 1);
    lives_free(&l);
}

/* What waits when the reading is broken off is freed. */
static void forgets_what_waits(void **state)
{
    struct lives *l = NULL;
    struct log_fact f = early("A", 100, "a@x", DELIVERED);

    (void)state;
    assert_int_equal(lives_new(&l, 7, NULL, NULL), 0);
    assert_int_equal(lives_facts(l, &f, 1), 0);
    lives_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_what_a_filter_gives_back),
        cmocka_unit_test(goes_on_behind_a_filter),
        cmocka_unit_test(joins_nothing_else),
        cmocka_unit_test(waits_for_the_arrival),
        cmocka_unit_test(does_not_wait_for_ever),
        cmocka_unit_test(forgets_what_waits),
        cmocka_unit_test(test_an_end_without_a_try),
        cmocka_unit_test(numbers_by_begins),
        cmocka_unit_test(numbers_by_time_and_expands),
        cmocka_unit_test(numbers_by_recipient_and_given),
        cmocka_unit_test(agrees_with_model),
        cmocka_unit_test(keeps_many),
        cmocka_unit_test(expands_no_more_than_so_many),
        cmocka_unit_test(keeps_senders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
