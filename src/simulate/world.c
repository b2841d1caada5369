#include "simulate/world.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define LOAD_AVERAGE_S 15.0 /* time constants: of what is offered, without its chance; and of */
#define LOAD_FALLS_S 120.0  /* the load, which follows that up at once and down slowly */
#define LOAD_REFUSES 3.0    /* from here on it refuses connections too, at twice that all */
#define HOSTS 3             /* that a connection is tried at */
#define CONNECT_TIMES 1.5   /* latencies that a connection takes */
#define SILENCE_MS 30000
#define LATENCY_MAX_MS 30000
#define MINUTE_MS 60000

static const struct spoken {
    const char *text;
    enum smtp_phase phase;
} spoken[ANSWERS] = {
    [ANSWER_TAKEN] = {"250 2.0.0 OK", SMTP_PHASE_END},
    [ANSWER_CAPACITY] = {NULL, SMTP_PHASE_END},
    [ANSWER_BUSY] = {"421 4.3.2 Service not available, closing transmission channel",
                     SMTP_PHASE_GREETING},
    [ANSWER_LIMIT] = {"451 4.7.500 Server busy. Please try again later", SMTP_PHASE_MAIL},
    [ANSWER_GREYLIST] = {"451 4.7.1 Greylisting in action, please come back later",
                         SMTP_PHASE_RCPT},
    [ANSWER_UNKNOWN] = {"550 5.1.1 User unknown", SMTP_PHASE_RCPT},
    [ANSWER_SILENCE] = {"connection timed out", SMTP_PHASE_CONNECT},
};

static void learn(struct answer *a, const struct spoken *as, struct slice text,
                  const char *provider, const struct replies *replies)
{
    struct reply_facts facts;

    *a = (struct answer){.phase = as->phase, .text = text};
    if (!reply_facts_parse(text, &facts))
        facts = (struct reply_facts){.err = -ETIMEDOUT, .text = text};
    facts.phase = as->phase;
    facts.provider = slice_str(provider);
    a->code = facts.code;
    a->enhanced = facts.enhanced;
    if (facts.code < 200 || facts.code > 299)
        a->klass = replies_classify(replies, &facts);
}

int world_init(struct world *w, const struct scenario *s, const struct replies *replies,
               uint64_t seed)
{
    *w = (struct world){.scenario = s,
                        .providers = calloc(s->provider_count, sizeof(*w->providers))};
    if (!w->providers)
        return -ENOMEM;
    rand_init(&w->rand, seed);
    for (size_t i = 0; i < s->provider_count; i++) {
        struct world_provider *p = &w->providers[i];

        p->capacity = 1;
        for (int k = 0; k < ANSWERS; k++) {
            const char *text = spoken[k].text ? spoken[k].text : s->providers[i].capacity_reply;

            learn(&p->answers[k], &spoken[k], slice_str(text), s->providers[i].name, replies);
        }
    }
    return 0;
}

void world_done(struct world *w)
{
    free(w->providers);
    w->providers = NULL;
}

double world_chance(struct rand *r)
{
    return (double)(rand_u64(r) >> 11) * 0x1.0p-53;
}

double world_rate(const struct world *w, uint32_t provider)
{
    return config_rate_per_second(w->scenario->providers[provider].rate) *
           w->providers[provider].capacity;
}

uint32_t world_connections(const struct world *w, uint32_t provider)
{
    return (uint32_t)lround(w->scenario->providers[provider].connections *
                            w->providers[provider].capacity);
}

void world_second(struct world *w, uint64_t at_ms)
{
    for (uint32_t i = 0; i < w->scenario->provider_count; i++) {
        struct world_provider *p = &w->providers[i];
        double rate, now;

        p->capacity = scenario_capacity(w->scenario, i, at_ms);
        rate = world_rate(w, i);
        now = rate > 0 ? p->offered / rate : 0;
        p->average += (now - p->average) * (1 - exp(-1 / LOAD_AVERAGE_S));
        p->load += (p->average - p->load) * (1 - exp(-1 / LOAD_FALLS_S));
        p->load = MAX_OF(p->load, p->average);
        p->offered = 0;
    }
}

static uint32_t latency(struct world *w, const struct world_try *t, double times)
{
    const struct world_provider *p = &w->providers[t->provider];
    double base = (double)w->scenario->providers[t->provider].latency_ms;
    double ms = base * times * MAX_OF(p->load, 1.0) * (0.75 + world_chance(&w->rand) / 2);

    return (uint32_t)MAX_OF(1.0, MIN_OF(ms, (double)LATENCY_MAX_MS));
}

static bool is_dead(const struct scenario_provider *p, uint32_t domain)
{
    /* The same domains in every run: a multiplicative hash spreads them. */
    uint32_t hash = domain * 2654435761U;

    return p->dead > 0 && (double)hash / 4294967296.0 < p->dead;
}

static bool connects(struct world *w, const struct world_try *t, struct outcome *ret)
{
    const struct scenario_provider *s = &w->scenario->providers[t->provider];
    struct world_provider *p = &w->providers[t->provider];
    double refuses = (p->load - LOAD_REFUSES) / LOAD_REFUSES;

    ret->no_session = true;
    if (p->capacity <= 0 || is_dead(s, t->domain)) {
        ret->kind = ANSWER_SILENCE;
        ret->latency_ms = SILENCE_MS;
        return false;
    }
    ret->kind = ANSWER_BUSY;
    ret->latency_ms = latency(w, t, HOSTS);
    if (p->connections >= MAX_OF(world_connections(w, t->provider), 1U))
        return false;
    for (int i = 0; i < HOSTS && refuses > 0; i++) {
        if (world_chance(&w->rand) >= refuses)
            break;
        if (i == HOSTS - 1)
            return false;
    }
    ret->no_session = false;
    p->connections++;
    return true;
}

/* One more of that source in this minute; true: it is over the limit. */
static bool is_over_limit(const struct world *w, const struct world_try *t)
{
    double limit = config_rate_per_second(w->scenario->providers[t->provider].limit) * 60;
    struct world_provider *p = &w->providers[t->provider];
    int64_t minute = (int64_t)(t->at_ms / MINUTE_MS);

    if (limit <= 0)
        return false;
    if (p->minute != minute)
        for (int i = 0; i < WORLD_SENDERS_MAX; i++)
            p->sent[i] = 0;
    p->minute = minute;
    return ++p->sent[t->source] > limit;
}

static enum answer_kind answer_of(struct world *w, const struct world_try *t)
{
    const struct scenario_provider *s = &w->scenario->providers[t->provider];
    const struct world_provider *p = &w->providers[t->provider];
    double refuses = p->load > 1 ? 1 - 1 / p->load : 0;

    if (is_over_limit(w, t))
        return ANSWER_LIMIT;
    if (s->greylist_ms > 0 && t->first_ago_ms < s->greylist_ms)
        return ANSWER_GREYLIST;
    if (s->unknown_mailboxes > 0 && world_chance(&w->rand) < s->unknown_mailboxes)
        return ANSWER_UNKNOWN;
    return world_chance(&w->rand) < MAX_OF(refuses, s->refusals) ? ANSWER_CAPACITY : ANSWER_TAKEN;
}

void world_attempt(struct world *w, const struct world_try *t, struct outcome *ret)
{
    struct world_provider *p = &w->providers[t->provider];
    bool is_connected = t->is_connected;

    *ret = (struct outcome){.no_session = false};
    if (is_connected && p->capacity <= 0) { /* the connection is dead */
        world_closed(w, t->provider);
        is_connected = false;
    }
    if (is_connected || connects(w, t, ret)) {
        ret->kind = answer_of(w, t);
        ret->latency_ms = latency(w, t, is_connected ? 1 : 1 + CONNECT_TIMES);
    }
    if (ret->kind != ANSWER_SILENCE)
        p->offered++;
    ret->answer = &p->answers[ret->kind];
}

void world_closed(struct world *w, uint32_t provider)
{
    w->providers[provider].connections--;
}
