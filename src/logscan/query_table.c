/*
 * logscan/query_table.c - the virtual table: log_run() in a thread of its own, batches of rows in a bounded queue,
 * a cursor that takes them.
 *
 *     threads of the run:  scan -> merge -> [batch][batch] ... -> cursor: SQLite
 *                                   waits while the queue is full; ends when the cursor is closed
 */
#include "logscan/query_int.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX 16
#define QUEUE_BYTES_MAX MIB(64)
#define ALL_ROWS 1e7
#define ROW_COST 100.0

struct cursor {
    sqlite3_vtab_cursor base; /* first: SQLite's */
    struct query *query;
    struct query_plan plan;
    int used[QUERY_COLUMNS_MAX];
    int16_t cell_of[QUERY_COLUMNS_MAX]; /* of a column; -1: not read */
    bool is_empty;                      /* compared with NULL: no row can be asked for */
    struct query_batch *batch;          /* at hand; NULL: the end */
    size_t row;
    sqlite3_int64 row_id;

    pthread_t thread;
    bool has_thread;
    struct log_run *run;
    struct log_run_config config;
    struct buf why;
    int error; /* of the run; read when it is over */
    uint32_t file;
    uint64_t lines; /* of the file, merged */
    uint64_t rows;
    struct query_known known[2]; /* of send logs, of receive logs */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct query_batch *first, *last;
    unsigned queued;
    size_t queued_bytes;
    bool is_over, is_stopped;
};

struct table {
    sqlite3_vtab base;
    struct query *query;
};

/* ---- the run ---- */

static void put_batch(struct cursor *c, struct query_batch *b)
{
    size_t bytes = query_batch_bytes(b);

    (void)pthread_mutex_lock(&c->lock);
    while (c->queued > 0 && !c->is_stopped &&
           (c->queued >= QUEUE_MAX || c->queued_bytes + bytes > QUEUE_BYTES_MAX))
        (void)pthread_cond_wait(&c->changed, &c->lock);
    if (c->last)
        c->last->next = b;
    else
        c->first = b;
    c->last = b;
    c->queued++;
    c->queued_bytes += bytes;
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
}

static bool is_stopped(struct cursor *c)
{
    bool stopped;

    (void)pthread_mutex_lock(&c->lock);
    stopped = c->is_stopped;
    (void)pthread_mutex_unlock(&c->lock);
    return stopped;
}

static void scan(void *ctx, struct log_scan *s)
{
    query_rows_scan(&((struct cursor *)ctx)->plan, s);
}

static int merge(void *ctx, struct log_scan *s)
{
    struct cursor *c = ctx;
    struct query_batch *b = s->own;
    int r = query_batch_settle(b, c->plan.used_count, c->known);

    s->own = NULL;
    if (s->file != c->file)
        c->lines = 0;
    c->file = s->file;
    b->path = log_run_file(c->run, s->file)->path;
    b->lines_before = c->lines;
    c->lines += s->lines;
    c->rows += s->tally.rows;
    if (r == 0 && b->row_count > 0)
        put_batch(c, b);
    else
        query_batch_free(&b);
    return r < 0 ? r : is_stopped(c) ? -ECANCELED : 0;
}

static void discard(void *own)
{
    struct query_batch *b = own;

    query_batch_free(&b);
}

static void *read_files(void *ctx)
{
    struct cursor *c = ctx;
    const struct log_reader reader = {.scan = scan, .merge = merge, .discard = discard, .ctx = c};

    c->error = log_run(&c->run, &c->config, &reader, &c->why);
    (void)pthread_mutex_lock(&c->lock);
    c->is_over = true;
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void forget_plan(struct cursor *c)
{
    for (size_t i = 0; i < c->plan.condition_count; i++)
        query_condition_done(&c->plan.conditions[i]);
    c->plan.condition_count = 0;
    c->is_empty = false;
}

static void keep_run(struct cursor *c)
{
    struct query *q = c->query;

    if (c->rows > q->rows)
        q->rows = c->rows;
    if (c->run) {
        log_run_free(&q->last_run);
        q->last_run = c->run;
        c->run = NULL;
    }
}

/* Ends the run, whether it is through or not. */
static void stop(struct cursor *c)
{
    if (c->has_thread) {
        (void)pthread_mutex_lock(&c->lock);
        c->is_stopped = true;
        (void)pthread_cond_broadcast(&c->changed);
        (void)pthread_mutex_unlock(&c->lock);
        (void)pthread_join(c->thread, NULL);
        c->has_thread = false;
    }
    query_batch_free(&c->batch);
    while (c->first) {
        struct query_batch *next = c->first->next;

        query_batch_free(&c->first);
        c->first = next;
    }
    c->last = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(c->known); i++)
        query_known_done(&c->known[i]);
    keep_run(c);
    c->queued = 0;
    c->queued_bytes = 0;
    c->rows = c->lines = 0;
    c->is_over = c->is_stopped = false;
    forget_plan(c);
}

static int fail(struct cursor *c, int error, const char *why)
{
    c->query->error = error;
    if (why)
        (void)buf_add_str(&c->query->why, why);
    return error == -ENOMEM ? SQLITE_NOMEM : SQLITE_ERROR;
}

static int start(struct cursor *c)
{
    struct query *q = c->query;

    if (q->scans++ == QUERY_SCANS_MAX)
        return fail(
            c, -EINVAL,
            "the statement reads the files again and again: put the rows that it needs into "
            "WITH x AS MATERIALIZED (SELECT ... FROM logs ...)");
    c->config = q->run;
    c->config.wants = WANT_LIVES; /* no lines before a chunk: there are none to join */
    buf_clear(&c->why);
    for (size_t i = 0; i < ARRAY_SIZE(c->known); i++)
        query_known_init(&c->known[i]);
    if (pthread_create(&c->thread, NULL, read_files, c) != 0)
        return fail(c, -EAGAIN, "no thread can be had");
    c->has_thread = true;
    return SQLITE_OK;
}

/* To the next batch; at the end there is none. */
static int next_batch(struct cursor *c)
{
    query_batch_free(&c->batch);
    c->row = 0;
    (void)pthread_mutex_lock(&c->lock);
    while (!c->first && !c->is_over)
        (void)pthread_cond_wait(&c->changed, &c->lock);
    c->batch = c->first;
    if (c->batch) {
        c->first = c->batch->next;
        c->last = c->first ? c->last : NULL;
        c->queued--;
        c->queued_bytes -= query_batch_bytes(c->batch);
        (void)pthread_cond_broadcast(&c->changed);
    }
    (void)pthread_mutex_unlock(&c->lock);
    if (!c->batch && c->error < 0)
        return fail(c, c->error, buf_cstr(&c->why));
    return SQLITE_OK;
}

/* ---- what SQLite asks for ---- */

static bool is_integer(enum query_kind kind)
{
    return kind == QUERY_CODE || kind == QUERY_LINE;
}

/* The operator, where a condition on the column may be looked at while rows are read; -1: not. */
static int pushed(const struct query *q, const struct sqlite3_index_constraint *c)
{
    enum query_kind kind;

    if (!c->usable || c->iColumn < 0 || (size_t)c->iColumn >= q->column_count)
        return -1;
    kind = q->columns[c->iColumn].kind;
    if (kind == QUERY_FILE || kind == QUERY_LINE)
        return -1;
    switch (c->op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
        return QUERY_EQ;
    case SQLITE_INDEX_CONSTRAINT_LIKE:
        return QUERY_LIKE;
    case SQLITE_INDEX_CONSTRAINT_GT:
        return is_integer(kind) ? -1 : QUERY_GT;
    case SQLITE_INDEX_CONSTRAINT_GE:
        return is_integer(kind) ? -1 : QUERY_GE;
    case SQLITE_INDEX_CONSTRAINT_LT:
        return is_integer(kind) ? -1 : QUERY_LT;
    case SQLITE_INDEX_CONSTRAINT_LE:
        return is_integer(kind) ? -1 : QUERY_LE;
    default:
        return -1;
    }
}

/* idxStr: "COLUMNS-USED column,operator column,operator ..." in hex. */
static int best_index(sqlite3_vtab *t, sqlite3_index_info *info)
{
    const struct query *q = ((struct table *)(void *)t)->query;
    sqlite3_str *plan = sqlite3_str_new(NULL);
    int n = 0;

    sqlite3_str_appendf(plan, "%llx", (unsigned long long)info->colUsed);
    for (int i = 0; i < info->nConstraint && n < QUERY_CONDITIONS_MAX; i++) {
        const struct sqlite3_index_constraint *c = &info->aConstraint[i];
        int op = pushed(q, c);

        if (op < 0 || (op != QUERY_LIKE && strcmp(sqlite3_vtab_collation(info, i), "BINARY") != 0))
            continue;
        sqlite3_str_appendf(plan, " %x,%x", (unsigned)c->iColumn, (unsigned)op);
        info->aConstraintUsage[i].argvIndex = ++n; /* not omitted: SQLite asks again */
    }
    info->idxStr = sqlite3_str_finish(plan);
    info->needToFreeIdxStr = 1;
    info->estimatedRows = (sqlite3_int64)(ALL_ROWS / (1 << MIN_OF(n, 20)));
    info->estimatedCost = ALL_ROWS * ROW_COST - n;
    return info->idxStr ? SQLITE_OK : SQLITE_NOMEM;
}

static void plan_columns(struct cursor *c, uint64_t used)
{
    c->plan.used_count = 0;
    for (size_t i = 0; i < c->query->column_count; i++) {
        bool is_used = used >> MIN_OF(i, (size_t)63) & 1;

        c->cell_of[i] = is_used ? (int16_t)c->plan.used_count : -1;
        if (is_used)
            c->used[c->plan.used_count++] = (int)i;
    }
}

/* One that cannot be looked at as bytes is left to SQLite. */
static int add_condition(struct cursor *c, int column, enum query_op op, sqlite3_value *v)
{
    struct query_condition *to = &c->plan.conditions[c->plan.condition_count];
    int type = sqlite3_value_type(v);
    bool wants_integer = is_integer(c->query->columns[column].kind);
    const void *text;

    if (type == SQLITE_NULL) {
        c->is_empty = true;
        return SQLITE_OK;
    }
    if (op == QUERY_LIKE ? type != SQLITE_TEXT
                         : type != (wants_integer ? SQLITE_INTEGER : SQLITE_TEXT))
        return SQLITE_OK;
    text = sqlite3_value_text(v);
    if (text && op == QUERY_LIKE && (size_t)sqlite3_value_bytes(v) > QUERY_PATTERN_MAX)
        return SQLITE_OK;
    if (!text ||
        query_condition_init(to, column, op, slice_make(text, (size_t)sqlite3_value_bytes(v))) < 0)
        return SQLITE_NOMEM;
    c->plan.condition_count++;
    return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *base, int number, const char *plan, int n, sqlite3_value **v)
{
    struct cursor *c = (struct cursor *)(void *)base;
    char *at;
    int rc = SQLITE_OK;

    (void)number;
    stop(c);
    c->row_id = 0;
    plan_columns(c, strtoull(plan, &at, 16));
    for (int i = 0; rc == SQLITE_OK && i < n; i++) {
        int column = (int)strtol(at, &at, 16);
        long op = strtol(at + 1, &at, 16);

        rc = add_condition(c, column, (enum query_op)op, v[i]);
    }
    if (rc == SQLITE_OK && !c->is_empty)
        rc = start(c);
    if (rc == SQLITE_OK && !c->is_empty)
        rc = next_batch(c);
    return rc;
}

static int next(sqlite3_vtab_cursor *base)
{
    struct cursor *c = (struct cursor *)(void *)base;

    c->row_id++;
    return ++c->row < c->batch->row_count ? SQLITE_OK : next_batch(c);
}

static int eof(sqlite3_vtab_cursor *base)
{
    return !((struct cursor *)(void *)base)->batch;
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *to, int n)
{
    const struct cursor *c = (const struct cursor *)(const void *)base;
    const struct query_batch *b = c->batch;
    enum query_kind kind = c->query->columns[n].kind;
    const struct query_cell *cell;

    if (c->cell_of[n] < 0)
        return SQLITE_OK;
    cell = &b->cells[c->row * c->plan.used_count + (size_t)c->cell_of[n]];
    if (kind == QUERY_FILE)
        sqlite3_result_text(to, b->path, -1, SQLITE_TRANSIENT);
    else if (cell->type == QUERY_INTEGER)
        sqlite3_result_int64(to, cell->number +
                                     (kind == QUERY_LINE ? (sqlite3_int64)b->lines_before : 0));
    else if (cell->type == QUERY_TEXT)
        sqlite3_result_text64(to, (const char *)cell->ptr, cell->len, SQLITE_TRANSIENT,
                              SQLITE_UTF8);
    return SQLITE_OK;
}

static int row_id(sqlite3_vtab_cursor *base, sqlite3_int64 *ret)
{
    *ret = ((struct cursor *)(void *)base)->row_id;
    return SQLITE_OK;
}

/* ---- the table ---- */

static int connect(sqlite3 *db, void *ctx, int argc, const char *const *argv, sqlite3_vtab **ret,
                   char **why)
{
    struct query *q = ctx;
    sqlite3_str *sql = sqlite3_str_new(db);
    struct table *t;
    char *text;
    int rc;

    (void)argc;
    (void)argv;
    (void)why;
    for (size_t i = 0; i < q->column_count; i++)
        sqlite3_str_appendf(sql, "%s\"%.*w\" %s%s", i ? ", " : "CREATE TABLE x(",
                            SLICE_FMT(q->columns[i].name),
                            is_integer(q->columns[i].kind) ? "INTEGER" : "TEXT",
                            q->columns[i].is_hidden ? " HIDDEN" : "");
    sqlite3_str_appendall(sql, ")");
    text = sqlite3_str_finish(sql);
    rc = text ? sqlite3_declare_vtab(db, text) : SQLITE_NOMEM;
    sqlite3_free(text);
    if (rc != SQLITE_OK)
        return rc;
    t = calloc(1, sizeof(*t));
    if (!t)
        return SQLITE_NOMEM;
    t->query = q;
    *ret = &t->base;
    return sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
}

static int disconnect(sqlite3_vtab *t)
{
    free(t);
    return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *t, sqlite3_vtab_cursor **ret)
{
    struct cursor *c = calloc(1, sizeof(*c));

    if (!c)
        return SQLITE_NOMEM;
    c->query = ((struct table *)(void *)t)->query;
    c->plan.columns = c->query->columns;
    c->plan.column_count = c->query->column_count;
    c->plan.used = c->used;
    c->plan.knowledge = c->query->knowledge;
    buf_init(&c->why, KIB(8));
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->changed, NULL);
    *ret = &c->base;
    return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *base)
{
    struct cursor *c = (struct cursor *)(void *)base;

    stop(c);
    (void)pthread_cond_destroy(&c->changed);
    (void)pthread_mutex_destroy(&c->lock);
    buf_done(&c->why);
    free(c);
    return SQLITE_OK;
}

int query_table_add(sqlite3 *db, struct query *q)
{
    /* Without xCreate it is there by its name, and cannot be made or dropped. */
    static const sqlite3_module module = {
        .iVersion = 2,
        .xConnect = connect,
        .xDisconnect = disconnect,
        .xBestIndex = best_index,
        .xOpen = open_cursor,
        .xClose = close_cursor,
        .xFilter = filter,
        .xNext = next,
        .xEof = eof,
        .xColumn = column,
        .xRowid = row_id,
    };

    return sqlite3_create_module_v2(db, "logs", &module, q, NULL);
}
