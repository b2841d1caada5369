/*
 * governor/tally.h - what was refused and slowed: by class and kind, and by client, over the last
 * minute, hour and day; and since the start by class and kind, and by the resource it was for.
 *
 * Each loop has a tally_batch, written by its sessions without lock; the queue thread takes it with
 * a parcel once a sample (the loop copies and clears it) and adds it to the tally. Clients are
 * counted with the space-saving algorithm (Metwally, Agrawal, El Abbadi 2005): a bounded table,
 * whose counts may be too high by at most `error`, and which never misses a client with more than
 * total / TALLY_CLIENTS refusals.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "governor/gate.h"

#define TALLY_CLIENTS 64
#define TALLY_CLIENT_TEXT 48 /* an IP address as text */

enum tally_what {
    TALLY_ACCEPTED,        /* MAIL accepted */
    TALLY_DELAYED,         /* MAIL delayed */
    TALLY_REFUSED,         /* MAIL refused: 452 */
    TALLY_REFUSED_SIZE,    /* too big for now, alone */
    TALLY_REFUSED_LATE,    /* at the end of DATA: must be rare */
    TALLY_REFUSED_CONNECT, /* 421 at connect under pressure */
    TALLY_REFUSED_CLIENT,  /* over a limit of its own (connections, rates, errors) */
    TALLY_WHATS,
};
const char *tally_what_name(enum tally_what w);

struct tally_client {
    char client[TALLY_CLIENT_TEXT];
    uint64_t count, error, bytes; /* bytes: announced with SIZE= */
};
struct tally_top { /* a value; zero is empty */
    struct tally_client clients[TALLY_CLIENTS];
    size_t count;
};
void tally_top_add(struct tally_top *t, const char *client, uint64_t count, uint64_t bytes);

/* What a refusal was for: a resource, or one of the two tokens of gate.h that are none. */
#define TALLY_CAUSES 16
/* "spool_disk", "size", "sessions"; "" for an index that stands for nothing. */
const char *tally_cause_name(size_t cause);

struct tally_batch { /* zero is empty */
    uint64_t counts[MAIL_CLASSES][TALLY_WHATS];
    uint64_t bytes[MAIL_CLASSES]; /* announced by refused MAILs */
    uint64_t causes[TALLY_CAUSES];
    struct tally_top refused;
};
void tally_refused(struct tally_batch *b, enum mail_class c, enum tally_what w, const char *client,
                   uint64_t announced);
/* What the refusal was for: an enum governor_resource or a GATE_RESOURCE_. A limit of the client's
 * own has none. */
void tally_refused_for(struct tally_batch *b, uint8_t resource);

enum tally_span { TALLY_MINUTE, TALLY_HOUR, TALLY_DAY, TALLY_SPANS };
struct tally; /* opaque: rings of 6 parts a span */
MUST_CHECK int tally_new(struct tally **ret, uint64_t now_ms);
void tally_free(struct tally **t);
/* `now_ms` monotonic. */
void tally_add(struct tally *t, const struct tally_batch *b, uint64_t now_ms);
struct tally_sums {
    uint64_t counts[MAIL_CLASSES][TALLY_WHATS];
    uint64_t bytes[MAIL_CLASSES];
    struct tally_top refused; /* most first */
};
void tally_get(const struct tally *t, enum tally_span span, uint64_t now_ms,
               struct tally_sums *ret);

/* Since the start: none of these numbers is ever less than it was. */
struct tally_totals {
    uint64_t counts[MAIL_CLASSES][TALLY_WHATS];
    uint64_t bytes[MAIL_CLASSES];
    uint64_t causes[TALLY_CAUSES];
};
void tally_get_totals(const struct tally *t, struct tally_totals *ret);
