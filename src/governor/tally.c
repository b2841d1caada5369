/*
 * governor/tally.c - see tally.h.
 *
 * Two tables of clients are merged as Cafaro, Pulimeno and Tempesta do (2016): a client that only
 * one of them has may have been dropped from the other, when that is full, with as many as its
 * lowest count, so that much is added to its count and its error. Adding the counts as they are
 * would lose clients that no single loop, and no single part of a span, saw much of.
 */
#include "governor/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "governor/governor.h"

#define PARTS 6
#define CAUSE_SIZE (TALLY_CAUSES - 1)
#define CAUSE_SESSIONS (TALLY_CAUSES - 2)
_Static_assert(GOVERNOR_RESOURCES <= CAUSE_SESSIONS, "each resource has a cause of its own");

struct part {
    uint64_t number; /* time / length of a part */
    struct tally_sums sums;
};

struct tally {
    uint64_t now_ms;
    struct tally_totals totals;
    struct part parts[TALLY_SPANS][PARTS];
};

static const uint64_t part_ms[TALLY_SPANS] = {
    [TALLY_MINUTE] = 10000, [TALLY_HOUR] = 600000, [TALLY_DAY] = 14400000};

const char *tally_what_name(enum tally_what w)
{
    static const char *const names[] = {
        [TALLY_ACCEPTED] = "accepted",
        [TALLY_DELAYED] = "delayed",
        [TALLY_REFUSED] = "refused",
        [TALLY_REFUSED_SIZE] = "refused_size",
        [TALLY_REFUSED_LATE] = "refused_late",
        [TALLY_REFUSED_CONNECT] = "refused_connect",
        [TALLY_REFUSED_CLIENT] = "refused_client",
    };

    return w < ARRAY_SIZE(names) ? names[w] : "";
}

const char *tally_cause_name(size_t cause)
{
    if (cause == CAUSE_SIZE)
        return gate_token(GATE_RESOURCE_SIZE);
    if (cause == CAUSE_SESSIONS)
        return gate_token(GATE_RESOURCE_SESSIONS);
    return cause < GOVERNOR_RESOURCES ? governor_resource_name((enum governor_resource)cause) : "";
}

/* Clients announce what they like: sums stop at the top and do not wrap. */
static uint64_t add(uint64_t a, uint64_t b)
{
    return a + b >= a ? a + b : UINT64_MAX;
}

/* Names are filled up with zeros, so that one comparison of fixed length does: a flood of refusals
 * comes through here. */
static struct tally_client *find(struct tally_top *t, const char client[TALLY_CLIENT_TEXT])
{
    for (size_t i = 0; i < t->count; i++)
        if (memcmp(t->clients[i].client, client, TALLY_CLIENT_TEXT) == 0)
            return &t->clients[i];
    return NULL;
}

static struct tally_client *lowest(struct tally_top *t)
{
    struct tally_client *low = &t->clients[0];

    for (size_t i = 1; i < t->count; i++)
        if (t->clients[i].count < low->count)
            low = &t->clients[i];
    return low;
}

void tally_top_add(struct tally_top *t, const char *client, uint64_t count, uint64_t bytes)
{
    char name[TALLY_CLIENT_TEXT] = "";
    struct tally_client *c;

    memcpy(name, client, strnlen(client, sizeof(name) - 1));
    c = find(t, name);
    if (!c && t->count < TALLY_CLIENTS) {
        c = &t->clients[t->count++];
        *c = (struct tally_client){.count = 0};
        memcpy(c->client, name, sizeof(name));
    } else if (!c) { /* it takes over the lowest, whose count is what it may have had before */
        c = lowest(t);
        c->error = c->count;
        c->bytes = 0;
        memcpy(c->client, name, sizeof(name));
    }
    c->count = add(c->count, count);
    c->bytes = add(c->bytes, bytes);
}

static int most_first(const void *a, const void *b)
{
    const struct tally_client *x = a, *y = b;

    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->client, y->client);
}

/* As many as a client that is not in the table may have had. */
static uint64_t missed_at_most(struct tally_top *t)
{
    return t->count < TALLY_CLIENTS ? 0 : lowest(t)->count;
}

/* Most first then. */
static void merge_top(struct tally_top *into, const struct tally_top *from)
{
    struct tally_client all[2 * TALLY_CLIENTS];
    struct tally_top other = *from;
    uint64_t missed = missed_at_most(into), missed_by_other = missed_at_most(&other);
    size_t n = into->count;

    for (size_t i = 0; i < into->count; i++) {
        const struct tally_client *o = find(&other, into->clients[i].client);

        all[i] = into->clients[i];
        all[i].count = add(all[i].count, o ? o->count : missed_by_other);
        all[i].error = add(all[i].error, o ? o->error : missed_by_other);
        all[i].bytes = add(all[i].bytes, o ? o->bytes : 0);
    }
    for (size_t i = 0; i < other.count; i++)
        if (!find(into, other.clients[i].client)) {
            all[n] = other.clients[i];
            all[n].count = add(all[n].count, missed);
            all[n].error = add(all[n].error, missed);
            n++;
        }
    qsort(all, n, sizeof(*all), most_first);
    into->count = MIN_OF(n, TALLY_CLIENTS);
    memcpy(into->clients, all, into->count * sizeof(*all));
}

void tally_refused(struct tally_batch *b, enum mail_class c, enum tally_what w, const char *client,
                   uint64_t announced)
{
    ASSERT(c < MAIL_CLASSES && w < TALLY_WHATS);
    b->counts[c][w]++;
    b->bytes[c] = add(b->bytes[c], announced);
    tally_top_add(&b->refused, client, 1, announced);
}

void tally_refused_for(struct tally_batch *b, uint8_t resource)
{
    if (resource == GATE_RESOURCE_SIZE)
        b->causes[CAUSE_SIZE]++;
    else if (resource == GATE_RESOURCE_SESSIONS)
        b->causes[CAUSE_SESSIONS]++;
    else if (resource < GOVERNOR_RESOURCES)
        b->causes[resource]++;
}

int tally_new(struct tally **ret, uint64_t now_ms)
{
    struct tally *t = calloc(1, sizeof(*t));

    if (!t)
        return -ENOMEM;
    t->now_ms = now_ms;
    *ret = t;
    return 0;
}

void tally_free(struct tally **t)
{
    free(*t);
    *t = NULL;
}

static void add_counts(uint64_t into[MAIL_CLASSES][TALLY_WHATS], uint64_t into_bytes[MAIL_CLASSES],
                       const uint64_t counts[MAIL_CLASSES][TALLY_WHATS],
                       const uint64_t bytes[MAIL_CLASSES])
{
    for (size_t c = 0; c < MAIL_CLASSES; c++) {
        for (size_t w = 0; w < TALLY_WHATS; w++)
            into[c][w] = add(into[c][w], counts[c][w]);
        into_bytes[c] = add(into_bytes[c], bytes[c]);
    }
}

static void add_sums(struct tally_sums *into, const uint64_t counts[MAIL_CLASSES][TALLY_WHATS],
                     const uint64_t bytes[MAIL_CLASSES], const struct tally_top *refused)
{
    add_counts(into->counts, into->bytes, counts, bytes);
    if (refused->count > 0)
        merge_top(&into->refused, refused);
}

void tally_add(struct tally *t, const struct tally_batch *b, uint64_t now_ms)
{
    t->now_ms = MAX_OF(t->now_ms, now_ms);
    add_counts(t->totals.counts, t->totals.bytes, b->counts, b->bytes);
    for (size_t i = 0; i < TALLY_CAUSES; i++)
        t->totals.causes[i] = add(t->totals.causes[i], b->causes[i]);
    for (size_t span = 0; span < TALLY_SPANS; span++) {
        uint64_t number = t->now_ms / part_ms[span];
        struct part *p = &t->parts[span][number % PARTS];

        if (p->number != number) {
            memset(p, 0, sizeof(*p));
            p->number = number;
        }
        add_sums(&p->sums, b->counts, b->bytes, &b->refused);
    }
}

void tally_get(const struct tally *t, enum tally_span span, uint64_t now_ms, struct tally_sums *ret)
{
    uint64_t number = MAX_OF(t->now_ms, now_ms) / part_ms[span];

    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < PARTS; i++) {
        const struct part *p = &t->parts[span][i];

        if (p->number + PARTS > number)
            add_sums(ret, p->sums.counts, p->sums.bytes, &p->sums.refused);
    }
}

void tally_get_totals(const struct tally *t, struct tally_totals *ret)
{
    *ret = t->totals;
}
