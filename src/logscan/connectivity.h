/*
 * logscan/connectivity.h - sessions of the connectivity log, in a chunk and from chunk to chunk. Private to
 * connectivity.c, which knows what the rows say, and connectivity_open.c, which keeps what is open.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/scan.h"

#define CONNECTIVITY_SESSION_MAX 64 /* bytes of an id */
#define CONNECTIVITY_OPEN_MAX 32768 /* sessions that cross chunks; the longest idle are forgotten */

struct connectivity_row {
    size_t at; /* where it begins in the chunk */
    int64_t at_ms;
    struct slice session, destination, description;
    uint8_t direction;
    struct connectivity_row *next;
};

struct connectivity_session {
    struct slice key;
    struct slice host, address; /* whom the connection is with; empty: not told */
    struct slice error;         /* why it failed */
    bool is_open;
    struct connectivity_session *next;
};

/* ---- connectivity.c ---- */

/* Takes a step ('>') of a session; its texts are borrowed from the row. */
void connectivity_step(struct connectivity_session *c, const struct connectivity_row *row);
/* The session has ended: adds its facts, at the place of `row`. Without memory s->error is set. */
void connectivity_end(struct log_scan *s, const struct connectivity_session *c,
                      const struct connectivity_row *row);

/* ---- connectivity_open.c ---- */

struct connectivity_chunk; /* in the chunk's arena */

/* NULL: no memory (s->error is set). */
struct connectivity_chunk *connectivity_chunk_new(struct log_scan *s);
/* Follows the session of a row that was begun in the chunk, keeps the row where it was not. Without memory
 * s->error is set. */
void connectivity_chunk_row(struct log_scan *s, struct connectivity_chunk *chunk,
                            const struct connectivity_row *row);
/* Leaves in s->session_rows what merge() needs. */
void connectivity_chunk_end(struct log_scan *s, struct connectivity_chunk *chunk);
/* log_format's merge() and free_state(). */
MUST_CHECK int connectivity_merge(void **state, struct log_scan *s);
void connectivity_free_state(void **state);
