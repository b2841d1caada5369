/*
 * ledger/ledger_int.h - the parts of the ledger, private to this folder.
 *
 *     ledger.c    the thread: takes parcels, groups them into transactions, keeps the bounds
 *     store.c     the SQLite file: schema, statements, names
 *     figures.c   counts by minute, hour and day, gathered in memory for the minute under way
 *     read.c      what a start reads
 *     query.c     what people ask
 *     attempt.c   an attempt in one piece of memory
 *     change.c    a change of the suppression list
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/map.h"
#include "evidence/window.h"
#include "ledger/ledger.h"

#define LEDGER_FILE "ledger.sqlite"
/* PRAGMA user_version. 2: the suppression list. A file of version 1 gets it when a server opens it,
 * and can be read as it is. */
#define LEDGER_VERSION 2

const char *ledger_path(const struct ledger *l);

/* ---- store.c ---- */

enum store_statement {
    STORE_ATTEMPT,
    STORE_NAME_FIND,
    STORE_NAME_ADD,
    STORE_LANE,
    STORE_INCIDENT,
    STORE_DESTINATION,
    STORE_FIGURES_TIMES,
    STORE_FIGURES,
    STORE_QUEUE,
    STORE_SUPPRESSION,
    STORE_SUPPRESSION_REMOVE,
    STORE_STATEMENTS,
};

#define STORE_ROW_BITS 12 /* of an attempt's row number, below its time in ms */
#define NAMES_CACHED 16384
#define NAME_MAX_BYTES 300

struct store_name { /* of the cache; id 0: free */
    uint64_t hash;
    int64_t id;
    uint16_t len;
    char text[NAME_MAX_BYTES];
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[STORE_STATEMENTS];
    struct store_name *names;
    uint64_t last_attempt_id;
    bool in_transaction, waits_for_disk;
};

/* Opens or makes `path`. 0; -ERR_DAMAGED (no ledger, or one of a later version), -EIO, -ENOSPC,
 * -ENOMEM..., with a line in `why`. */
MUST_CHECK int store_open(struct store *s, const char *path, struct buf *why);
/* A connection for questions. 0, -ENOENT, or an error as above. */
MUST_CHECK int store_open_to_read(sqlite3 **ret, const char *path);
/* The file may be older than the list. */
bool store_has_suppressions(sqlite3 *db);
int store_error(int rc); /* SQLite's as ours; 0 for SQLITE_OK, _ROW and _DONE */
void store_close(struct store *s);
/* 0 or an error as above; nothing of a failed transaction is kept. */
MUST_CHECK int store_begin(struct store *s);
MUST_CHECK int store_commit(struct store *s);
void store_abandon(struct store *s);
/* Between transactions: whether a commit waits until the disk has it. 0 or an error as above. */
MUST_CHECK int store_wait_for_disk(struct store *s, bool waits);

/* Within a transaction. 0 or an error. */
MUST_CHECK int store_attempt(struct store *s, const struct attempt *a);
MUST_CHECK int store_lane(struct store *s, struct slice name, struct slice state);
MUST_CHECK int store_incident(struct store *s, uint64_t id, struct slice lane, int64_t opened_ms,
                              int64_t closed_ms, struct slice json);
MUST_CHECK int store_destination(struct store *s, struct slice domain, struct slice provider,
                                 struct slice mx_host);
MUST_CHECK int store_suppression(struct store *s, const struct suppression_view *v,
                                 bool is_removal);
/* A row of SUPPRESSION_COLUMN_NAMES. 0; -EINVAL: it is no entry; -ENOMEM. */
#define SUPPRESSION_COLUMN_NAMES                                                                   \
    "address, at, kind, code, enhanced, class, text, host, queue_id, source, note"
MUST_CHECK int store_suppression_of(sqlite3_stmt *row, struct suppression **ret);
struct store_figures {
    uint32_t span_s;           /* 60, 3600, 86400 */
    int64_t at_s;              /* its beginning */
    struct slice lane, domain; /* domain empty: the whole lane */
    struct window_counts counts;
    struct times times; /* from arrival to delivery */
};
/* Adds the times in a row's column to `t`. */
void store_unpack_times(sqlite3_stmt *row, int column, struct times *t);
/* Adds to what is there. */
MUST_CHECK int store_figures(struct store *s, const struct store_figures *f);
MUST_CHECK int store_queue(struct store *s, struct slice lane, const struct ledger_queue *q);

/* Removes up to `max` of the oldest attempts from before `before_ms`. Returns how many, or an
 * error. */
int store_trim_attempts(struct store *s, int64_t before_ms, uint32_t max);
int store_trim_figures(struct store *s, uint32_t span_s, int64_t before_s);
/* Up to `max` of those by the minute, the oldest first, then by the hour, by the day. */
int store_trim_oldest_figures(struct store *s, uint32_t max);
/* Closed incidents, and destinations not learnt anew since. */
int store_trim_rest(struct store *s, int64_t before_ms);
/* Automatic entries of the suppression list from before then. */
int store_trim_suppressions(struct store *s, int64_t before_ms);
/* Bytes of the file that hold something. */
uint64_t store_bytes_used(struct store *s);
int64_t store_oldest_ms(struct store *s); /* of the attempts; 0: none */

/* ---- figures.c: the minute under way ---- */

#define FIGURES_MAX 50000 /* lanes and destinations in one minute; over it only lanes are counted */

struct figures {
    struct map rows; /* "lane\0domain" -> struct figures_row */
    int64_t minute;  /* ms / 60000 */
};

void figures_init(struct figures *f, uint64_t seed);
void figures_done(struct figures *f);
/* Counts an attempt. When its minute is not the one under way, that one is written first:
 * 0 or the store's error. -ENOMEM: not counted. */
MUST_CHECK int figures_add(struct figures *f, struct store *s, const struct attempt *a);
/* Writes the minute under way. */
MUST_CHECK int figures_write(struct figures *f, struct store *s);
