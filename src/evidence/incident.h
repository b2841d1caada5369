/*
 * evidence/incident.h - a lane in trouble, told as one story: since when, who answered what to
 * whom, what was changed and why, and which side said no.
 *
 * An incident opens when a lane enters BAND_INCIDENT (or BAND_THROTTLE, as kind "throttle"), takes
 * in every attempt of that lane until it closes (the lane is NORMAL again), and is kept by the
 * ledger. Bounded: each list keeps the INCIDENT_LIST_MAX most frequent values and counts the rest.
 * Engine: no I/O, no clock. The verdict's rules are one module for live incidents and for
 * `penstock logs blame`: facts in, verdict with its reasons out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "evidence/attempt.h"
#include "evidence/window.h"

/* ---- who said no ---- */

enum verdict_side { VERDICT_UNDECIDED, VERDICT_RECEIVER, VERDICT_OURS };
const char *verdict_side_name(enum verdict_side s); /* "undecided", "receiver-side", "our-side" */

struct verdict_facts {
    uint64_t attempts, refusals;      /* of the lane (or provider) in the incident */
    uint64_t hosts, hosts_refusing;   /* remote hosts of it asked, and of them those that refused;
                                          at most INCIDENT_LIST_MAX are counted */
    uint64_t refused_by_ours;         /* refusals by our own relay, smart host or gateway */
    uint64_t refused_without_reply;   /* connection, DNS, TLS: nobody said anything */
    uint64_t others, others_refusing; /* other providers with enough attempts in that time; of them
                                          those whose capacity share is above their baseline */
    uint64_t others_attempts;
    uint64_t sources, sources_refused; /* our sending addresses used; of them those refused */
    uint32_t destinations_refusing;    /* recipient domains refused, of all providers */
    bool governor_pressed;             /* our own governor was at medium or high in that time */
    uint32_t sample_min;               /* attempts, for "enough" */
};
#define VERDICT_REASONS_MAX 6
#define VERDICT_REASON_MAX 200
struct verdict {
    enum verdict_side side;
    uint32_t reason_count;
    char reasons[VERDICT_REASONS_MAX][VERDICT_REASON_MAX]; /* sentences with their figures */
    char missing[VERDICT_REASON_MAX]; /* undecided: what would decide it; else "" */
};
void verdict_decide(const struct verdict_facts *f, struct verdict *ret);

/* ---- incidents ---- */

#define INCIDENT_LIST_MAX 16
#define INCIDENT_ITEM_MAX 200 /* bytes of one text, with its NUL */
#define INCIDENT_CHANGES_MAX 64
#define INCIDENT_SAMPLES_MAX 16

struct incident_item {
    char text[INCIDENT_ITEM_MAX];
    uint64_t count;     /* of refusals, with those of values that had this place before */
    uint64_t inherited; /* of `count`: those; incident_item_refusals() leaves them out */
    uint64_t attempts;  /* hosts and sources: all of them since it has the place */
    int64_t first_ms, last_ms;
};
struct incident_list {
    struct incident_item items[INCIDENT_LIST_MAX];
    uint32_t used;
    uint64_t others; /* refusals of values that lost their place: with incident_item_refusals() of
                        the items they make the sum of all */
};
/* Refusals that are certainly the item's. */
static inline uint64_t incident_item_refusals(const struct incident_item *item)
{
    return item->count - item->inherited;
}
struct incident_change { /* what was changed, when and why */
    int64_t at_ms;
    char text[INCIDENT_ITEM_MAX]; /* "connections 20 -> 16: 0.31 % ... above 0.2 %" */
};

struct incident {
    uint64_t id; /* counts up; 0: not given yet */
    char lane[INCIDENT_ITEM_MAX], provider[INCIDENT_ITEM_MAX],
        kind[16];                 /* "throttle", "incident" */
    int64_t first_ms, last_ms;    /* of the refusals */
    int64_t opened_ms, closed_ms; /* 0: open */
    struct window_counts counts;  /* of all attempts of the lane while it is open */
    double peak_share;
    struct incident_list sources, domains, hosts, texts;
    struct incident_change changes[INCIDENT_CHANGES_MAX];
    uint32_t change_count; /* over the maximum: the oldest but the first are dropped */
    uint64_t samples[INCIDENT_SAMPLES_MAX]; /* queue ids of the first messages refused */
    uint32_t sample_count;
    uint64_t refusals, refused_by_ours, refused_without_reply;
    struct verdict verdict; /* as of the last incident_judge() */
};

void incident_open(struct incident *i, uint64_t id, struct slice lane, struct slice provider,
                   const char *kind, int64_t now_ms);
/* Every attempt of the lane. A refusal is one answered with a capacity or rate reply, or that no
 * host answered: no connection, no host found, no encrypted session. */
void incident_attempt(struct incident *i, const struct attempt *a);
void incident_changed(struct incident *i, int64_t at_ms, struct slice text);
/* Fills in what the incident knows itself; the caller adds `others*`, `governor_pressed`. */
void incident_facts(const struct incident *i, struct verdict_facts *ret);
void incident_close(struct incident *i, int64_t now_ms);
#define INCIDENT_JSON_MAX KIB(64)
/* One JSON object (the ledger's and the API's form), and back. 0, -E2BIG, -ENOMEM; -ERR_DAMAGED. */
MUST_CHECK int incident_encode(const struct incident *i, struct buf *to);
MUST_CHECK int incident_decode(struct slice json, struct incident *ret);
