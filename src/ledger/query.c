/*
 * ledger/query.c - questions, each one SQL statement put together from what the filter says.
 */
#include "ledger/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "ledger/ledger_int.h"

#define SQL_MAX KIB(8)
#define BINDS_MAX 24

struct ledger_reader {
    sqlite3 *db;
};

int ledger_reader_open(struct ledger_reader **ret, const char *directory, struct buf *why)
{
    struct ledger_reader *r = calloc(1, sizeof(*r));
    char path[512];
    int e;

    if (!r)
        return -ENOMEM;
    (void)snprintf(path, sizeof(path), "%s/" LEDGER_FILE, directory);
    e = store_open_to_read(&r->db, path);
    if (e == 0) {
        *ret = r;
        return 0;
    }
    (void)buf_addf(why, "the ledger %s %s%s", path,
                   e == -ENOENT        ? "is not there"
                   : e == -ERR_DAMAGED ? "is damaged, or was written by a later version"
                                       : "cannot be read: ",
                   e == -ENOENT || e == -ERR_DAMAGED ? "" : err_str(e));
    ledger_reader_close(&r);
    return e;
}

void ledger_reader_close(struct ledger_reader **r)
{
    if (!*r)
        return;
    (void)sqlite3_close((*r)->db);
    free(*r);
    *r = NULL;
}

/* ---- statements ---- */

struct question {
    struct buf sql;
    struct slice texts[BINDS_MAX];
    int64_t numbers[BINDS_MAX];
    int count;
};

static void add_number(struct question *q, const char *condition, int64_t n)
{
    (void)buf_add_str(&q->sql, condition);
    q->texts[q->count].ptr = NULL;
    q->numbers[q->count++] = n;
}

static void add_text(struct question *q, const char *condition, struct slice text)
{
    if (text.len == 0)
        return;
    (void)buf_add_str(&q->sql, condition);
    q->texts[q->count++] = text;
}

static int prepare(struct ledger_reader *r, struct question *q, sqlite3_stmt **ret)
{
    int rc = sqlite3_prepare_v2(r->db, buf_cstr(&q->sql), -1, ret, NULL);

    for (int i = 0; rc == SQLITE_OK && i < q->count; i++)
        rc = q->texts[i].ptr ? sqlite3_bind_text(*ret, i + 1, (const char *)q->texts[i].ptr,
                                                 (int)q->texts[i].len, SQLITE_STATIC)
                             : sqlite3_bind_int64(*ret, i + 1, q->numbers[i]);
    return store_error(rc);
}

/* Calls fn for each row; `finish`es the statement. */
static int each_row(sqlite3_stmt *st, int (*fn)(void *ctx, sqlite3_stmt *row), void *ctx)
{
    int rc, r = 0;

    while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
        r = fn(ctx, st);
    if (r == 0)
        r = store_error(rc);
    (void)sqlite3_finalize(st);
    return r;
}

static int ask(struct ledger_reader *r, struct question *q, int (*fn)(void *ctx, sqlite3_stmt *row),
               void *ctx)
{
    sqlite3_stmt *st = NULL;
    int e = buf_failed(&q->sql) ? -ENOMEM : prepare(r, q, &st);

    if (e == 0)
        return each_row(st, fn, ctx);
    (void)sqlite3_finalize(st);
    return e;
}

static struct slice text_at(sqlite3_stmt *row, int at)
{
    const char *text = (const char *)sqlite3_column_text(row, at);

    return slice_make(text, text ? (size_t)sqlite3_column_bytes(row, at) : 0);
}

/* ---- attempts ---- */

static const char attempts_sql[] =
    "SELECT a.id, a.queue_id, a.arrival, a.latency, a.number, a.result, a.recipients, a.delivered,"
    " a.deferred, a.failed, a.phase, a.code, a.enhanced, a.class, a.text, d.name, h.name, p.name,"
    " l.name, v.name, s.name, a.sender, a.recipient, a.message_id, a.tls, a.ours FROM attempts a"
    " LEFT JOIN names d ON d.id = a.domain LEFT JOIN names h ON h.id = a.host"
    " LEFT JOIN names p ON p.id = a.peer LEFT JOIN names l ON l.id = a.local"
    " LEFT JOIN names v ON v.id = a.provider LEFT JOIN names s ON s.id = a.source WHERE 1";

struct attempts_asked {
    int (*fn)(void *ctx, const struct attempt *a);
    void *ctx;
};

static struct smtp_enhanced enhanced_of(struct slice text)
{
    struct smtp_enhanced e = SMTP_NO_ENHANCED;
    size_t used;

    (void)smtp_enhanced_parse(text, &e, &used);
    return e;
}

static int on_attempt(void *ctx, sqlite3_stmt *row)
{
    struct attempts_asked *asked = ctx;
    int at = 0;
#define NUMBER() sqlite3_column_int64(row, at++)
#define SMALL() (uint32_t) NUMBER()
    struct attempt a = {.at_ms = NUMBER() >> STORE_ROW_BITS};

    a.queue_id = (uint64_t)NUMBER();
    a.arrival_ms = NUMBER();
    a.latency_ms = SMALL();
    a.number = SMALL();
    a.result = (enum attempt_result)SMALL();
    a.recipients = SMALL();
    a.delivered = SMALL();
    a.deferred = SMALL();
    a.failed = SMALL();
    a.phase = (enum smtp_phase)SMALL();
    a.code = (uint16_t)NUMBER();
    a.enhanced = enhanced_of(text_at(row, at++));
    a.klass = (enum reply_class)SMALL();
    a.klass = a.klass < REPLY_CLASSES ? a.klass : REPLY_OTHER; /* the file is not to be trusted */
    a.result = MIN_OF(a.result, ATTEMPT_RESULT_FAILED);
    a.phase = a.phase <= SMTP_PHASE_CLOSED ? a.phase : SMTP_PHASE_CLOSED;
    a.text = text_at(row, at++);
    a.domain = text_at(row, at++);
    a.host = text_at(row, at++);
    a.peer = text_at(row, at++);
    a.local = text_at(row, at++);
    a.provider = text_at(row, at++);
    a.source = text_at(row, at++);
    a.sender = text_at(row, at++);
    a.recipient = text_at(row, at++);
    a.message_id = text_at(row, at++);
    a.tls = NUMBER() != 0;
    a.is_ours = NUMBER() != 0;
#undef NUMBER
#undef SMALL
    return asked->fn(asked->ctx, &a);
}

static void add_span(struct question *q, const struct ledger_filter *f)
{
    if (f->from_ms > 0)
        add_number(q, " AND a.id >= ?", f->from_ms << STORE_ROW_BITS);
    if (f->to_ms > 0)
        add_number(q, " AND a.id < ?", f->to_ms << STORE_ROW_BITS);
}

static void add_reply(struct question *q, const struct ledger_filter *f)
{
    if (f->code)
        add_number(q, " AND a.code = ?", f->code);
    if (f->code_class)
        add_number(q, " AND a.code / 100 = ?", f->code_class);
    if (f->klass != REPLY_NONE)
        add_number(q, " AND a.class = ?", f->klass);
    if (f->not_delivered)
        add_number(q, " AND a.result > ?", ATTEMPT_RESULT_DELIVERED);
    add_text(q, " AND instr(lower(a.text), lower(?)) > 0", f->text);
}

#define NAMED(column) " AND a." column " IN (SELECT id FROM names WHERE name = ? COLLATE NOCASE)"

static void add_names(struct question *q, const struct ledger_filter *f)
{
    if (f->queue_id)
        add_number(q, " AND a.queue_id = ?", (int64_t)f->queue_id);
    add_text(q, NAMED("provider"), f->provider);
    add_text(q, NAMED("source"), f->source);
    add_text(q, NAMED("domain"), f->domain);
    add_text(q, NAMED("host"), f->host);
    add_text(q, NAMED("peer"), f->peer);
    add_text(q, " AND a.sender = ? COLLATE NOCASE", f->sender);
    add_text(q, " AND a.recipient = ? COLLATE NOCASE", f->recipient);
    add_text(q, " AND trim(a.message_id, '<>') = trim(?, '<>')", f->message_id);
}

int ledger_attempts(struct ledger_reader *r, const struct ledger_filter *f,
                    int (*fn)(void *ctx, const struct attempt *a), void *ctx)
{
    struct question q = {.sql = BUF_INIT(SQL_MAX)};
    struct attempts_asked asked = {fn, ctx};
    bool turn = f->newest && f->limit && !f->newest_first;
    int e;

    if (turn)
        (void)buf_add_str(&q.sql, "SELECT * FROM (");
    (void)buf_add_str(&q.sql, attempts_sql);
    add_span(&q, f);
    add_reply(&q, f);
    add_names(&q, f);
    (void)buf_add_str(&q.sql, f->newest_first || turn ? " ORDER BY a.id DESC" : " ORDER BY a.id");
    if (f->limit)
        add_number(&q, " LIMIT ?", (int64_t)MIN_OF(f->limit, (uint64_t)INT64_MAX));
    if (turn)
        (void)buf_add_str(&q.sql, ") ORDER BY id");
    e = ask(r, &q, on_attempt, &asked);
    buf_done(&q.sql);
    return e;
}

/* ---- incidents ---- */

struct json_asked {
    int (*fn)(void *ctx, struct slice json);
    void *ctx;
};

static int on_json(void *ctx, sqlite3_stmt *row)
{
    struct json_asked *asked = ctx;

    return asked->fn(asked->ctx, text_at(row, 0));
}

int ledger_incidents(struct ledger_reader *r, uint64_t id, int64_t from_ms, uint64_t limit,
                     int (*fn)(void *ctx, struct slice json), void *ctx)
{
    struct question q = {.sql = BUF_INIT(SQL_MAX)};
    struct json_asked asked = {fn, ctx};
    int e;

    (void)buf_add_str(&q.sql, "SELECT json FROM incidents WHERE 1");
    if (id)
        add_number(&q, " AND id = ?", (int64_t)id);
    if (from_ms)
        add_number(&q, " AND (closed = 0 OR closed >= ?)", from_ms);
    (void)buf_add_str(&q.sql, " ORDER BY id DESC");
    if (limit)
        add_number(&q, " LIMIT ?", (int64_t)MIN_OF(limit, (uint64_t)INT64_MAX));
    e = ask(r, &q, on_json, &asked);
    buf_done(&q.sql);
    return e;
}

/* ---- the suppression list ---- */

struct suppressions_asked {
    int (*fn)(void *ctx, const struct suppression_view *v);
    void *ctx;
};

static int on_suppression(void *ctx, sqlite3_stmt *row)
{
    struct suppressions_asked *asked = ctx;
    struct suppression *s;
    int e = store_suppression_of(row, &s);

    if (e < 0) /* what is no entry is none for the server, too */
        return e == -ENOMEM ? e : 0;
    e = asked->fn(asked->ctx, suppression_get(s));
    suppression_unref(&s);
    return e;
}

int ledger_suppressions(struct ledger_reader *r, const struct ledger_suppression_filter *f,
                        int (*fn)(void *ctx, const struct suppression_view *v), void *ctx)
{
    struct question q = {.sql = BUF_INIT(SQL_MAX)};
    struct suppressions_asked asked = {fn, ctx};
    int e;

    if (!store_has_suppressions(r->db))
        return 0;
    (void)buf_add_str(&q.sql, "SELECT " SUPPRESSION_COLUMN_NAMES " FROM suppressions WHERE 1");
    add_text(&q, " AND address = ? COLLATE NOCASE", f->address);
    add_text(&q, " AND address LIKE '%@' || ?", f->domain);
    if (f->has_kind)
        add_number(&q, " AND kind = ?", f->kind);
    (void)buf_add_str(&q.sql, " ORDER BY at DESC, address");
    if (f->limit)
        add_number(&q, " LIMIT ?", (int64_t)MIN_OF(f->limit, (uint64_t)INT64_MAX));
    e = ask(r, &q, on_suppression, &asked);
    buf_done(&q.sql);
    return e;
}

/* ---- figures ---- */

#define COUNT_COLUMN(field, name) "f." name ", "
static const char rows_sql[] = "SELECT f.at, l.name, d.name, " WINDOW_COUNTS(
    COUNT_COLUMN) "f.times, f.queue, f.age_oldest, f.age_median, f.age_p90 FROM figures f"
                  " JOIN names l ON l.id = f.lane LEFT JOIN names d ON d.id = f.domain WHERE "
                  "f.span = ?";

struct rows_asked {
    int (*fn)(void *ctx, const struct ledger_row *row);
    void *ctx;
};

static int on_row(void *ctx, sqlite3_stmt *row)
{
    struct rows_asked *asked = ctx;
    struct ledger_row f = {.at_ms = sqlite3_column_int64(row, 0) * 1000,
                           .lane = text_at(row, 1),
                           .domain = text_at(row, 2)};
    int at = 3;

#define TAKE(field, name) f.counts.field = (uint32_t)sqlite3_column_int64(row, at++);
    WINDOW_COUNTS(TAKE)
#undef TAKE
    store_unpack_times(row, at++, &f.times);
    f.has_queue = sqlite3_column_type(row, at) != SQLITE_NULL;
    f.queue_length = (uint64_t)sqlite3_column_int64(row, at++);
    f.age_oldest_ms = (uint64_t)sqlite3_column_int64(row, at++);
    f.age_median_ms = (uint64_t)sqlite3_column_int64(row, at++);
    f.age_p90_ms = (uint64_t)sqlite3_column_int64(row, at);
    return asked->fn(asked->ctx, &f);
}

int ledger_rows(struct ledger_reader *r, uint32_t span_s, struct slice lane, struct slice domain,
                int64_t from_ms, int (*fn)(void *ctx, const struct ledger_row *row), void *ctx)
{
    struct question q = {.sql = BUF_INIT(SQL_MAX)};
    struct rows_asked asked = {fn, ctx};
    int e;

    add_number(&q, rows_sql, span_s);
    add_number(&q, " AND f.at >= ?", from_ms / 1000);
    add_text(&q, " AND l.name = ? COLLATE NOCASE", lane);
    add_text(&q, " AND d.name = ? COLLATE NOCASE", domain);
    if (domain.len == 0)
        (void)buf_add_str(&q.sql, " AND f.domain = 0");
    (void)buf_add_str(&q.sql, " ORDER BY f.at, l.name");
    e = ask(r, &q, on_row, &asked);
    buf_done(&q.sql);
    return e;
}
