/*
 * ledger/read.c - what a start reads: by a connection of its own, read-only.
 */
#include <errno.h>

#include "base/err.h"
#include "ledger/ledger_int.h"

static int each(const char *path, const char *text, int (*fn)(void *ctx, sqlite3_stmt *row),
                void *ctx)
{
    sqlite3 *db;
    sqlite3_stmt *statement = NULL;
    int rc, r = store_open_to_read(&db, path);

    if (r < 0)
        return r;
    rc = sqlite3_prepare_v2(db, text, -1, &statement, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW)
            r = fn(ctx, statement);
        if (r != 0)
            break;
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return r != 0 ? r : rc == SQLITE_DONE ? 0 : -EIO;
}

static struct slice column(sqlite3_stmt *row, int at)
{
    const char *text = (const char *)sqlite3_column_text(row, at);

    return slice_make(text, text ? (size_t)sqlite3_column_bytes(row, at) : 0);
}

struct reading {
    int (*suppression)(void *ctx, struct suppression *s);
    int (*lane)(void *ctx, struct slice state);
    int (*destination)(void *ctx, struct slice domain, struct slice provider, struct slice mx_host);
    void *ctx;
};

static int on_lane(void *ctx, sqlite3_stmt *row)
{
    struct reading *r = ctx;

    return r->lane(r->ctx, column(row, 0));
}

static int on_destination(void *ctx, sqlite3_stmt *row)
{
    struct reading *r = ctx;

    return r->destination(r->ctx, column(row, 0), column(row, 1), column(row, 2));
}

static int on_suppression(void *ctx, sqlite3_stmt *row)
{
    struct reading *r = ctx;
    struct suppression *s;
    int e = store_suppression_of(row, &s);

    if (e < 0)
        return e == -ENOMEM ? e : 0;
    e = r->suppression(r->ctx, s);
    suppression_unref(&s);
    return e;
}

static int on_number(void *ctx, sqlite3_stmt *row)
{
    *(uint64_t *)ctx = (uint64_t)sqlite3_column_int64(row, 0);
    return 0;
}

int ledger_each_lane(struct ledger *l, int (*fn)(void *ctx, struct slice state), void *ctx)
{
    struct reading r = {.lane = fn, .ctx = ctx};

    return each(ledger_path(l), "SELECT state FROM lanes", on_lane, &r);
}

int ledger_each_destination(struct ledger *l,
                            int (*fn)(void *ctx, struct slice domain, struct slice provider,
                                      struct slice mx_host),
                            void *ctx)
{
    struct reading r = {.destination = fn, .ctx = ctx};

    return each(ledger_path(l), "SELECT domain, provider, mx FROM destinations ORDER BY at DESC",
                on_destination, &r);
}

int ledger_each_suppression(struct ledger *l, int (*fn)(void *ctx, struct suppression *s),
                            void *ctx)
{
    struct reading r = {.suppression = fn, .ctx = ctx};

    return each(ledger_path(l),
                "SELECT " SUPPRESSION_COLUMN_NAMES " FROM suppressions ORDER BY at, address",
                on_suppression, &r);
}

uint64_t ledger_incident_id_max(struct ledger *l)
{
    uint64_t n = 0;

    ignore_result(
        each(ledger_path(l), "SELECT coalesce(max(id), 0) FROM incidents", on_number, &n));
    return n;
}
