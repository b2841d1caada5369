/*
 * logscan/query_sessions.h - the provider that a row of a protocol log is with: that of the host which its
 * session has named so far, the receiver's in its greeting (a send log), the client's behind EHLO (a
 * receive log). As the reports tell it (protocol_session.c).
 *
 *     scan:  rows of a chunk -> cells; those of sessions that began before it are held
 *     merge: chunk by chunk, in order -> held cells get the provider, or NULL
 *
 * A chunk belongs to one thread at a time, what is known of sessions to the merge.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "base/slice.h"
#include "evidence/knowledge.h"
#include "logscan/arena.h"
#include "logscan/query_cell.h"
#include "logscan/table.h"

/* ---- of a chunk ---- */

struct query_sessions { /* fields are private */
    struct log_table by_id;
    struct arena names;
    const struct knowledge *knowledge;
    bool is_send;
};
struct query_session_row {
    struct slice id, sequence, event, data;
};

void query_sessions_init(struct query_sessions *s, bool is_send, const struct knowledge *k);
void query_sessions_done(struct query_sessions *s);
/* Takes the rows one after the other. 0: *ret is the cell, its text the row's or ours; -ENOMEM. */
MUST_CHECK int query_sessions_row(struct query_sessions *s, const struct query_session_row *row,
                                  struct query_cell *ret);

/* ---- of all chunks so far ---- */

/* The ids that were seen last; of sessions that were idle for longer nothing is known. */
#define QUERY_SESSIONS_KNOWN 32768

struct query_known { /* fields are private */
    struct log_table young, old;
    struct arena young_names, old_names;
};

void query_known_init(struct query_known *k);
void query_known_done(struct query_known *k);
/* The provider of a cell that is held, in `a`, or NULL; before the chunk's query_known_take(). 0, -ENOMEM. */
MUST_CHECK int query_known_settle(struct query_known *k, const struct query_sessions *s,
                                  struct arena *a, struct query_cell *cell);
/* What the chunk tells of its sessions. 0, -ENOMEM. */
MUST_CHECK int query_known_take(struct query_known *k, const struct query_sessions *s);
