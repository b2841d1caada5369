/*
 * simulate/world.h - private: the providers of a scenario as they answer.
 *
 * A provider takes so many connections and messages a second. What is offered beyond that makes its
 * load grow (as a load average does: quickly) and the load falls slowly once less is offered. Over a
 * load of 1 it refuses the share of messages that it has no room for; far over it, and with too many
 * connections, it refuses connections; and all it does takes longer.
 *
 * One thread at a time. No clock: time comes in.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/rand.h"
#include "evidence/replies.h"
#include "simulate/scenario.h"
#include "smtp/reply.h"

#define WORLD_SENDERS_MAX (SCENARIO_NODES_MAX * SCENARIO_SOURCES_MAX)

enum answer_kind {
    ANSWER_TAKEN,
    ANSWER_CAPACITY,
    ANSWER_BUSY,  /* to a connection */
    ANSWER_LIMIT, /* the source's rate */
    ANSWER_GREYLIST,
    ANSWER_UNKNOWN, /* mailbox */
    ANSWER_SILENCE, /* no connection */
    ANSWERS
};

struct answer {
    uint16_t code;
    struct smtp_enhanced enhanced;
    enum smtp_phase phase;
    struct slice text;
    enum reply_class klass;
};

struct world_provider { /* fields are private */
    struct answer answers[ANSWERS];
    double load, average; /* average: offered of what it takes, lately */
    double capacity;      /* share that is left */
    double offered;       /* messages in the present second */
    uint32_t connections;
    int64_t minute; /* of the sources' counts */
    uint32_t sent[WORLD_SENDERS_MAX];
};

struct world {
    const struct scenario *scenario;
    struct world_provider *providers;
    struct rand rand;
};

/* What came of an attempt. */
struct outcome {
    const struct answer *answer; /* valid as long as the world */
    enum answer_kind kind;
    uint32_t latency_ms;
    bool no_session; /* no host took the connection */
};

/* `replies` classifies each distinct text once. 0, -ENOMEM. */
MUST_CHECK int world_init(struct world *w, const struct scenario *s, const struct replies *replies,
                          uint64_t seed);
void world_done(struct world *w);
/* To be called each second. */
void world_second(struct world *w, uint64_t at_ms);

struct world_try {
    uint32_t provider, domain;
    uint32_t source;       /* each node's own: node * sources + source */
    uint64_t at_ms;        /* since the scenario began */
    uint64_t first_ago_ms; /* since the message's first attempt */
    bool is_connected;     /* the connection is there already */
};
void world_attempt(struct world *w, const struct world_try *t, struct outcome *ret);
void world_closed(struct world *w, uint32_t provider); /* a connection that was made */
/* Messages a second that it takes of all, and connections: what only an oracle knows. */
double world_rate(const struct world *w, uint32_t provider);
uint32_t world_connections(const struct world *w, uint32_t provider);
/* Uniform in [0, 1). */
double world_chance(struct rand *r);
