/*
 * ledger/store.c - the SQLite file: schema, statements, names.
 *
 * An attempt's row number is its time in ms and a count, so that rows are in the order of time, a
 * span of time is a range of row numbers, and no index on the time is needed. Names that come
 * again and again (domains, hosts, addresses) are kept once in `names`.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "ledger/ledger_int.h"

#define BUSY_MS 200 /* a reader may hold the file for a moment */
#define CACHE_KIB "8192"
#define WAL_PAGES "2000"

static const char schema[] =
    "CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE attempts (id INTEGER PRIMARY KEY, queue_id INTEGER NOT NULL, arrival INTEGER,"
    " latency INTEGER, number INTEGER, result INTEGER, recipients INTEGER, delivered INTEGER,"
    " deferred INTEGER, failed INTEGER, phase INTEGER, code INTEGER, enhanced TEXT, class INTEGER,"
    " text TEXT, domain INTEGER, host INTEGER, peer INTEGER, local INTEGER, provider INTEGER,"
    " source INTEGER, sender TEXT, recipient TEXT, message_id TEXT, tls INTEGER, ours INTEGER);"
    "CREATE INDEX attempts_by_queue_id ON attempts (queue_id);"
    "CREATE TABLE lanes (name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE incidents (id INTEGER PRIMARY KEY, lane TEXT, opened INTEGER, closed INTEGER,"
    " json TEXT NOT NULL);"
    "CREATE TABLE destinations (domain TEXT PRIMARY KEY, provider TEXT NOT NULL, mx TEXT, at "
    "INTEGER)"
    " WITHOUT ROWID;"
    "CREATE TABLE figures (span INTEGER, at INTEGER, lane INTEGER, domain INTEGER,"
#define COLUMN(field, name) " " name " INTEGER DEFAULT 0,"
    WINDOW_COUNTS(COLUMN)
#undef COLUMN
        " times BLOB, queue INTEGER, age_oldest INTEGER, age_median INTEGER, age_p90 INTEGER,"
        " PRIMARY KEY (span, at, lane, domain)) WITHOUT ROWID;";

static const char schema_2[] =
    "CREATE TABLE suppressions (address TEXT PRIMARY KEY, at INTEGER NOT NULL, kind INTEGER NOT"
    " NULL, code INTEGER, enhanced TEXT, class TEXT, text TEXT, host TEXT, queue_id INTEGER,"
    " source TEXT, note TEXT) WITHOUT ROWID;"
    "CREATE INDEX suppressions_by_age ON suppressions (kind, at);"
    "PRAGMA user_version = 2;";

#define COUNT_NAME(field, name) name ", "
#define COUNT_MARK(field, name) "?, "
#define COUNT_SUM(field, name) name " = " name " + excluded." name ", "

static const char *const sql[STORE_STATEMENTS] = {
    [STORE_ATTEMPT] = "INSERT INTO attempts VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,"
                      "?,?,?)",
    [STORE_NAME_FIND] = "SELECT id FROM names WHERE name = ?",
    [STORE_NAME_ADD] = "INSERT INTO names (name) VALUES (?)",
    [STORE_LANE] = "INSERT OR REPLACE INTO lanes VALUES (?, ?)",
    [STORE_INCIDENT] = "INSERT OR REPLACE INTO incidents VALUES (?, ?, ?, ?, ?)",
    [STORE_DESTINATION] = "INSERT OR REPLACE INTO destinations VALUES (?, ?, ?, unixepoch())",
    [STORE_FIGURES_TIMES] =
        "SELECT times FROM figures WHERE span = ? AND at = ? AND lane = ? AND domain = ?",
    [STORE_FIGURES] = "INSERT INTO figures (" WINDOW_COUNTS(
        COUNT_NAME) "span, at, lane, domain, times) VALUES "
                    "(" WINDOW_COUNTS(COUNT_MARK) "?, ?, ?, "
                                                  "?, ?) ON "
                                                  "CONFLICT "
                                                  "DO UPDATE "
                                                  "SET"
                                                  " " WINDOW_COUNTS(
                                                      COUNT_SUM) "times = excluded.times",
    [STORE_QUEUE] = "INSERT INTO figures (span, at, lane, domain, queue, age_oldest, age_median,"
                    " age_p90) VALUES (60, ?, ?, 0, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                    " queue = excluded.queue, age_oldest = excluded.age_oldest,"
                    " age_median = excluded.age_median, age_p90 = excluded.age_p90",
    [STORE_SUPPRESSION] = "INSERT OR REPLACE INTO suppressions (" SUPPRESSION_COLUMN_NAMES
                          ") VALUES (?,?,?,?,?,?,?,?,?,?,?)",
    [STORE_SUPPRESSION_REMOVE] = "DELETE FROM suppressions WHERE address = ?",
};

int store_error(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -ERR_DAMAGED;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return -EACCES;
    default:
        return -EIO;
    }
}

static int run(struct store *s, const char *text)
{
    return store_error(sqlite3_exec(s->db, text, NULL, NULL, NULL));
}

static int64_t number_of(struct store *s, const char *text)
{
    sqlite3_stmt *statement = NULL;
    int64_t n = 0;

    if (sqlite3_prepare_v2(s->db, text, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        n = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return n;
}

/* Makes the tables of a new file, and those that an older version did not have; refuses a file that
 * is not ours, or of a later version. */
static int check_schema(struct store *s)
{
    int64_t version = number_of(s, "PRAGMA user_version");
    int64_t tables = number_of(s, "SELECT count(*) FROM sqlite_master");
    int r = 0;

    if (version > LEDGER_VERSION || (version == 0 && tables != 0) ||
        (version > 0 &&
         number_of(s, "SELECT count(*) FROM sqlite_master WHERE name = 'attempts'") != 1))
        return -ERR_DAMAGED;
    if (version == LEDGER_VERSION)
        return 0;
    r = run(s, "BEGIN IMMEDIATE");
    if (r == 0 && version == 0)
        r = run(s, schema);
    if (r == 0)
        r = run(s, schema_2);
    if (r == 0)
        r = run(s, "COMMIT");
    return r;
}

static int prepare_all(struct store *s)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < STORE_STATEMENTS; i++)
        r = store_error(sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                           &s->statements[i], NULL));
    return r;
}

/* Nothing but a file: who opens a FIFO waits for ever. -ENOENT: there is none. */
static int check_file(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return -errno;
    if (S_ISREG(st.st_mode))
        return 0;
    return S_ISDIR(st.st_mode) ? -EISDIR : -EOPNOTSUPP;
}

int store_open(struct store *s, const char *path, struct buf *why)
{
    int r = check_file(path);

    *s = (struct store){0};
    if (r < 0 && r != -ENOENT) {
        ignore_result(buf_addf(why, "%s: it is no file: %s", path, err_str(r)));
        return r;
    }
    s->names = calloc(NAMES_CACHED, sizeof(*s->names));
    if (!s->names)
        return -ENOMEM;
    r = store_error(sqlite3_open_v2(
        path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
    if (r == 0) {
        (void)sqlite3_busy_timeout(s->db, BUSY_MS);
        r = run(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                   "PRAGMA cache_size = -" CACHE_KIB "; PRAGMA wal_autocheckpoint = " WAL_PAGES
                   "; PRAGMA journal_size_limit = 67108864");
    }
    if (r == 0)
        r = check_schema(s);
    if (r == 0)
        r = prepare_all(s);
    if (r == 0) {
        s->last_attempt_id = (uint64_t)number_of(s, "SELECT coalesce(max(id), 0) FROM attempts");
        return 0;
    }
    ignore_result(
        buf_addf(why, "%s: %s", path, s->db ? sqlite3_errmsg(s->db) : "cannot be opened"));
    store_close(s);
    return r;
}

int store_open_to_read(sqlite3 **ret, const char *path)
{
    struct store s = {.db = NULL};
    int r = check_file(path);

    if (r == 0)
        r = store_error(
            sqlite3_open_v2(path, &s.db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL));
    if (r == 0) {
        (void)sqlite3_busy_timeout(s.db, BUSY_MS);
        int64_t version = number_of(&s, "PRAGMA user_version");

        r = version > 0 && version <= LEDGER_VERSION ? 0 : -ERR_DAMAGED;
    }
    if (r == 0)
        *ret = s.db;
    else
        (void)sqlite3_close(s.db);
    return r;
}

bool store_has_suppressions(sqlite3 *db)
{
    struct store s = {.db = db};

    return number_of(&s, "PRAGMA user_version") >= 2;
}

void store_close(struct store *s)
{
    for (size_t i = 0; i < STORE_STATEMENTS; i++)
        (void)sqlite3_finalize(s->statements[i]);
    (void)sqlite3_close(s->db);
    free(s->names);
    *s = (struct store){0};
}

int store_begin(struct store *s)
{
    int r = s->in_transaction ? 0 : run(s, "BEGIN IMMEDIATE");

    s->in_transaction |= r == 0;
    return r;
}

int store_commit(struct store *s)
{
    int r = s->in_transaction ? run(s, "COMMIT") : 0;

    if (r < 0)
        store_abandon(s);
    s->in_transaction = false;
    return r;
}

int store_wait_for_disk(struct store *s, bool waits)
{
    int r = 0;

    if (s->waits_for_disk != waits)
        r = run(s, waits ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    if (r == 0)
        s->waits_for_disk = waits;
    return r;
}

void store_abandon(struct store *s)
{
    if (s->in_transaction)
        ignore_result(run(s, "ROLLBACK"));
    s->in_transaction = false;
    memset(s->names, 0, NAMES_CACHED * sizeof(*s->names)); /* some may be gone again */
}

/* ---- binding ---- */

static void bind_text(sqlite3_stmt *statement, int at, struct slice text)
{
    if (text.len)
        (void)sqlite3_bind_text(statement, at, (const char *)text.ptr, (int)text.len,
                                SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(statement, at);
}

/* Runs a statement that gives no rows. */
static int finish(struct store *s, enum store_statement which)
{
    sqlite3_stmt *statement = s->statements[which];
    int rc = sqlite3_step(statement);

    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return store_error(rc);
}

/* ---- names ---- */

static int find_name(struct store *s, struct slice name, int64_t *ret)
{
    sqlite3_stmt *find = s->statements[STORE_NAME_FIND];
    int rc, r;

    bind_text(find, 1, name);
    rc = sqlite3_step(find);
    *ret = rc == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
    (void)sqlite3_reset(find);
    (void)sqlite3_clear_bindings(find);
    if (rc != SQLITE_DONE)
        return store_error(rc);
    bind_text(s->statements[STORE_NAME_ADD], 1, name);
    r = finish(s, STORE_NAME_ADD);
    *ret = sqlite3_last_insert_rowid(s->db);
    return r;
}

/* 0 stands for the empty name. */
static int name_id(struct store *s, struct slice name, int64_t *ret)
{
    uint64_t hash = slice_hash_case(name, 0);
    struct store_name *n = &s->names[hash % NAMES_CACHED];
    int r;

    *ret = 0;
    if (name.len == 0)
        return 0;
    name = slice_sub(name, 0, NAME_MAX_BYTES);
    if (n->id && n->hash == hash && slice_eq(slice_make(n->text, n->len), name)) {
        *ret = n->id;
        return 0;
    }
    r = find_name(s, name, ret);
    if (r == 0) {
        n->hash = hash;
        n->id = *ret;
        n->len = (uint16_t)name.len;
        memcpy(n->text, name.ptr, name.len);
    }
    return r;
}

/* ---- rows ---- */

static uint64_t next_id(struct store *s, int64_t at_ms)
{
    uint64_t id = (uint64_t)MAX_OF(at_ms, 0) << STORE_ROW_BITS;

    /* A clock that was set back: in the order of writing, at the time of the newest one. */
    s->last_attempt_id = MAX_OF(s->last_attempt_id + 1, id);
    return s->last_attempt_id;
}

static void bind_enhanced(sqlite3_stmt *statement, int at, struct smtp_enhanced e)
{
    if (e.klass)
        (void)sqlite3_bind_text(statement, at,
                                sqlite3_mprintf("%d.%d.%d", e.klass, e.subject, e.detail), -1,
                                sqlite3_free);
    else
        (void)sqlite3_bind_null(statement, at);
}

int store_attempt(struct store *s, const struct attempt *a)
{
    const struct slice names[] = {a->domain, a->host, a->peer, a->local, a->provider, a->source};
    int64_t ids[ARRAY_SIZE(names)];
    sqlite3_stmt *st = s->statements[STORE_ATTEMPT];
    const int64_t numbers[] = {(int64_t)next_id(s, a->at_ms),
                               (int64_t)a->queue_id,
                               a->arrival_ms,
                               a->latency_ms,
                               a->number,
                               a->result,
                               a->recipients,
                               a->delivered,
                               a->deferred,
                               a->failed,
                               a->phase,
                               a->code};
    int at = 0;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        int r = name_id(s, names[i], &ids[i]);

        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        (void)sqlite3_bind_int64(st, ++at, numbers[i]);
    bind_enhanced(st, ++at, a->enhanced);
    (void)sqlite3_bind_int64(st, ++at, a->klass);
    bind_text(st, ++at, a->text);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
        (void)sqlite3_bind_int64(st, ++at, ids[i]);
    bind_text(st, ++at, a->sender);
    bind_text(st, ++at, a->recipient);
    bind_text(st, ++at, a->message_id);
    (void)sqlite3_bind_int64(st, ++at, a->tls);
    (void)sqlite3_bind_int64(st, ++at, a->is_ours);
    return finish(s, STORE_ATTEMPT);
}

int store_lane(struct store *s, struct slice name, struct slice state)
{
    bind_text(s->statements[STORE_LANE], 1, name);
    bind_text(s->statements[STORE_LANE], 2, state);
    return finish(s, STORE_LANE);
}

int store_incident(struct store *s, uint64_t id, struct slice lane, int64_t opened_ms,
                   int64_t closed_ms, struct slice json)
{
    sqlite3_stmt *st = s->statements[STORE_INCIDENT];

    (void)sqlite3_bind_int64(st, 1, (int64_t)id);
    bind_text(st, 2, lane);
    (void)sqlite3_bind_int64(st, 3, opened_ms);
    (void)sqlite3_bind_int64(st, 4, closed_ms);
    bind_text(st, 5, json);
    return finish(s, STORE_INCIDENT);
}

int store_destination(struct store *s, struct slice domain, struct slice provider,
                      struct slice mx_host)
{
    bind_text(s->statements[STORE_DESTINATION], 1, domain);
    bind_text(s->statements[STORE_DESTINATION], 2, provider);
    bind_text(s->statements[STORE_DESTINATION], 3, mx_host);
    return finish(s, STORE_DESTINATION);
}

/* ---- the suppression list ---- */

int store_suppression(struct store *s, const struct suppression_view *v, bool is_removal)
{
    sqlite3_stmt *st = s->statements[is_removal ? STORE_SUPPRESSION_REMOVE : STORE_SUPPRESSION];

    bind_text(st, 1, v->address);
    if (is_removal)
        return finish(s, STORE_SUPPRESSION_REMOVE);
    (void)sqlite3_bind_int64(st, 2, v->at_ms);
    (void)sqlite3_bind_int64(st, 3, v->kind);
    (void)sqlite3_bind_int64(st, 4, v->code);
    bind_enhanced(st, 5, v->enhanced);
    bind_text(st, 6, slice_str(v->klass == REPLY_NONE ? "" : reply_class_name(v->klass)));
    bind_text(st, 7, v->text);
    bind_text(st, 8, v->host);
    (void)sqlite3_bind_int64(st, 9, (int64_t)v->queue_id);
    bind_text(st, 10, v->source);
    bind_text(st, 11, v->note);
    return finish(s, STORE_SUPPRESSION);
}

static struct slice text_of(sqlite3_stmt *row, int at)
{
    const char *text = (const char *)sqlite3_column_text(row, at);

    return slice_make(text, text ? (size_t)sqlite3_column_bytes(row, at) : 0);
}

/* The file is not to be trusted: suppression_restore() judges. */
int store_suppression_of(sqlite3_stmt *row, struct suppression **ret)
{
    struct suppression_view v = {.address = text_of(row, 0),
                                 .at_ms = sqlite3_column_int64(row, 1),
                                 .kind = sqlite3_column_int64(row, 2) == SUPPRESSION_OPERATOR
                                             ? SUPPRESSION_OPERATOR
                                             : SUPPRESSION_AUTOMATIC,
                                 .code = (uint16_t)sqlite3_column_int64(row, 3),
                                 .klass = reply_class_find(text_of(row, 5)),
                                 .text = text_of(row, 6),
                                 .host = text_of(row, 7),
                                 .queue_id = (uint64_t)sqlite3_column_int64(row, 8),
                                 .source = text_of(row, 9),
                                 .note = text_of(row, 10)};
    const char *why;
    size_t used;

    (void)smtp_enhanced_parse(text_of(row, 4), &v.enhanced, &used);
    return suppression_restore(ret, &v, &why);
}

/* ---- figures ---- */

/* Of 256 buckets few hold anything: pairs of a number (u8) and a count (u32). */
static size_t times_pack(const struct times *t, uint8_t to[5 * TIMES_BUCKETS])
{
    size_t n = 0;

    for (size_t i = 0; i < TIMES_BUCKETS; i++) {
        if (t->counts[i] == 0)
            continue;
        to[n++] = (uint8_t)i;
        memcpy(to + n, &t->counts[i], sizeof(uint32_t));
        n += sizeof(uint32_t);
    }
    return n;
}

void store_unpack_times(sqlite3_stmt *row, int column, struct times *t)
{
    const uint8_t *from = sqlite3_column_blob(row, column);
    size_t len = from ? (size_t)sqlite3_column_bytes(row, column) : 0;

    for (size_t i = 0; i + 5 <= len; i += 5) {
        uint32_t count;

        memcpy(&count, from + i + 1, sizeof(count));
        t->counts[from[i]] += count;
        t->count += count;
    }
}

static int add_old_times(struct store *s, const struct store_figures *f, const int64_t key[4],
                         struct times *t)
{
    sqlite3_stmt *st = s->statements[STORE_FIGURES_TIMES];
    int rc;

    *t = f->times;
    for (int i = 0; i < 4; i++)
        (void)sqlite3_bind_int64(st, i + 1, key[i]);
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        store_unpack_times(st, 0, t);
    (void)sqlite3_reset(st);
    return store_error(rc);
}

int store_figures(struct store *s, const struct store_figures *f)
{
#define COUNT_VALUE(field, name) f->counts.field,
    const uint32_t counts[] = {WINDOW_COUNTS(COUNT_VALUE)};
#undef COUNT_VALUE
    sqlite3_stmt *st = s->statements[STORE_FIGURES];
    int64_t key[4] = {f->span_s, f->at_s, 0, 0};
    uint8_t packed[5 * TIMES_BUCKETS];
    struct times times;
    int at = 0;
    int r = name_id(s, f->lane, &key[2]);

    if (r == 0)
        r = name_id(s, f->domain, &key[3]);
    if (r == 0)
        r = add_old_times(s, f, key, &times);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
        (void)sqlite3_bind_int64(st, ++at, counts[i]);
    for (size_t i = 0; i < ARRAY_SIZE(key); i++)
        (void)sqlite3_bind_int64(st, ++at, key[i]);
    (void)sqlite3_bind_blob(st, ++at, packed, (int)times_pack(&times, packed), SQLITE_STATIC);
    return finish(s, STORE_FIGURES);
}

int store_queue(struct store *s, struct slice lane, const struct ledger_queue *q)
{
    sqlite3_stmt *st = s->statements[STORE_QUEUE];
    int64_t id;
    int r = name_id(s, lane, &id);

    if (r < 0)
        return r;
    (void)sqlite3_bind_int64(st, 1, q->at_ms / 60000 * 60);
    (void)sqlite3_bind_int64(st, 2, id);
    (void)sqlite3_bind_int64(st, 3, (int64_t)q->length);
    (void)sqlite3_bind_int64(st, 4, (int64_t)q->age_oldest_ms);
    (void)sqlite3_bind_int64(st, 5, (int64_t)q->age_median_ms);
    (void)sqlite3_bind_int64(st, 6, (int64_t)q->age_p90_ms);
    return finish(s, STORE_QUEUE);
}

/* ---- bounds ---- */

static int remove_rows(struct store *s, const char *text, int64_t a, int64_t b)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(s->db, text, -1, &statement, NULL);

    if (rc == SQLITE_OK) {
        (void)sqlite3_bind_int64(statement, 1, a);
        (void)sqlite3_bind_int64(statement, 2, b);
        rc = sqlite3_step(statement);
    }
    (void)sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? sqlite3_changes(s->db) : store_error(rc);
}

int store_trim_attempts(struct store *s, int64_t before_ms, uint32_t max)
{
    return remove_rows(s,
                       "DELETE FROM attempts WHERE id IN (SELECT id FROM attempts WHERE id < ?"
                       " ORDER BY id LIMIT ?)",
                       before_ms << STORE_ROW_BITS, max);
}

int store_trim_figures(struct store *s, uint32_t span_s, int64_t before_s)
{
    return remove_rows(s, "DELETE FROM figures WHERE span = ? AND at < ?", span_s, before_s);
}

int store_trim_oldest_figures(struct store *s, uint32_t max)
{
    return remove_rows(s,
                       "DELETE FROM figures WHERE (span, at, lane, domain) IN (SELECT span, at,"
                       " lane, domain FROM figures ORDER BY span, at LIMIT ? + ?)",
                       max, 0);
}

int store_trim_rest(struct store *s, int64_t before_ms)
{
    int r = remove_rows(s, "DELETE FROM incidents WHERE closed > 0 AND closed < ? AND ? = ?2",
                        before_ms, 0);

    if (r >= 0)
        r = remove_rows(s, "DELETE FROM destinations WHERE at < ? AND ? = ?2", before_ms / 1000, 0);
    return r;
}

int store_trim_suppressions(struct store *s, int64_t before_ms)
{
    return remove_rows(s, "DELETE FROM suppressions WHERE kind = ? AND at < ?",
                       SUPPRESSION_AUTOMATIC, before_ms);
}

uint64_t store_bytes_used(struct store *s)
{
    int64_t pages = number_of(s, "PRAGMA page_count"),
            spare = number_of(s, "PRAGMA freelist_count");

    return (uint64_t)((pages - spare) * number_of(s, "PRAGMA page_size"));
}

int64_t store_oldest_ms(struct store *s)
{
    return number_of(s, "SELECT coalesce(min(id), 0) FROM attempts") >> STORE_ROW_BITS;
}
