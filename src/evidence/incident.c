/*
 * evidence/incident.c - what an incident gathers while it is open.
 */
#include "evidence/incident.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static void copy_text(char to[INCIDENT_ITEM_MAX], struct slice from)
{
    size_t n = MIN_OF(from.len, (size_t)INCIDENT_ITEM_MAX - 1);

    if (n)
        memcpy(to, from.ptr, n);
    to[n] = '\0';
}

void incident_open(struct incident *i, uint64_t id, struct slice lane, struct slice provider,
                   const char *kind, int64_t now_ms)
{
    *i = (struct incident){.id = id, .opened_ms = now_ms};
    copy_text(i->lane, lane);
    copy_text(i->provider, provider);
    (void)snprintf(i->kind, sizeof(i->kind), "%s", kind);
}

void incident_close(struct incident *i, int64_t now_ms)
{
    i->closed_ms = now_ms;
}

/* ---- lists of the most frequent ---- */

static struct incident_item *find_item(struct incident_list *l, struct slice text)
{
    text = slice_sub(text, 0, INCIDENT_ITEM_MAX - 1);
    for (uint32_t i = 0; i < l->used; i++)
        if (slice_eq(slice_str(l->items[i].text), text))
            return &l->items[i];
    return NULL;
}

/* A full list gives the place of its least frequent value to a new one, which takes over its count
 * (Metwally, Agrawal and El Abbadi 2005): what is frequent is found in any order of coming. */
static struct incident_item *make_item(struct incident_list *l, struct slice text, int64_t at_ms)
{
    struct incident_item *least = &l->items[0];

    if (l->used < INCIDENT_LIST_MAX) {
        least = &l->items[l->used++];
        *least = (struct incident_item){.first_ms = at_ms};
    } else {
        for (uint32_t i = 1; i < INCIDENT_LIST_MAX; i++)
            if (l->items[i].count < least->count)
                least = &l->items[i];
        l->others += incident_item_refusals(least);
        least->inherited = least->count;
        least->first_ms = at_ms;
        least->attempts = 0;
    }
    copy_text(least->text, text);
    return least;
}

/* Hosts and sources are counted with all their attempts; other values when they are refused. */
static void count_item(struct incident_list *l, struct slice text, const struct attempt *a,
                       bool is_refused)
{
    struct incident_item *item = text.len ? find_item(l, text) : NULL;

    if (text.len == 0 || (!item && !is_refused && l->used == INCIDENT_LIST_MAX))
        return;
    if (!item)
        item = make_item(l, text, a->at_ms);
    item->attempts++;
    item->count += is_refused;
    item->last_ms = a->at_ms;
}

/* ---- attempts ---- */

/* Each message once, however often it is tried. */
static void add_sample(struct incident *i, uint64_t id)
{
    for (uint32_t n = 0; n < i->sample_count; n++)
        if (i->samples[n] == id)
            return;
    if (i->sample_count < INCIDENT_SAMPLES_MAX)
        i->samples[i->sample_count++] = id;
}

static void add_refusal(struct incident *i, const struct attempt *a)
{
    i->first_ms = i->first_ms ? i->first_ms : a->at_ms;
    i->last_ms = a->at_ms;
    i->refusals++;
    i->refused_by_ours += a->is_ours;
    i->refused_without_reply += a->code == 0;
    count_item(&i->domains, a->domain, a, true);
    count_item(&i->texts, a->text, a, true);
    add_sample(i, a->queue_id);
}

static bool is_refusal(const struct attempt *a)
{
    if (a->result == ATTEMPT_RESULT_DELIVERED)
        return false;
    return a->klass == REPLY_CAPACITY || a->klass == REPLY_RATE || a->klass == REPLY_CONNECTION ||
           (a->code == 0 && (a->klass == REPLY_DNS || a->klass == REPLY_TLS));
}

void incident_attempt(struct incident *i, const struct attempt *a)
{
    struct window_counts one;

    attempt_counts(a, &one);
    window_counts_add(&i->counts, &one);
    count_item(&i->hosts, a->host, a, is_refusal(a));
    count_item(&i->sources, a->local.len ? a->local : a->source, a, is_refusal(a));
    if (is_refusal(a))
        add_refusal(i, a);
}

void incident_changed(struct incident *i, int64_t at_ms, struct slice text)
{
    struct incident_change *c;

    if (i->change_count == INCIDENT_CHANGES_MAX) { /* the first one tells how it began: it stays */
        memmove(&i->changes[1], &i->changes[2], (INCIDENT_CHANGES_MAX - 2) * sizeof(i->changes[0]));
        i->change_count--;
    }
    c = &i->changes[i->change_count++];
    c->at_ms = at_ms;
    copy_text(c->text, text);
}

/* ---- facts for the verdict ---- */

static uint64_t refused_ones(const struct incident_list *l)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < l->used; i++)
        n += incident_item_refusals(&l->items[i]) > 0;
    return n;
}

void incident_facts(const struct incident *i, struct verdict_facts *ret)
{
    *ret = (struct verdict_facts){
        .attempts = i->counts.attempts,
        .refusals = i->refusals,
        .hosts = i->hosts.used,
        .hosts_refusing = refused_ones(&i->hosts),
        .refused_by_ours = i->refused_by_ours,
        .refused_without_reply = i->refused_without_reply,
        .sources = i->sources.used,
        .sources_refused = refused_ones(&i->sources),
        .destinations_refusing = i->domains.used,
    };
}
