/*
 * logscan/query.c - a statement from its text to a table of results.
 */
#include "logscan/query.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "config/nearest.h"
#include "logscan/logparser.h"
#include "logscan/logparser_functions.h"
#include "logscan/query_int.h"
#include "logscan/query_result.h"
#include "logscan/source.h"
#include "logscan/stamp.h"

#define NEAREST_MAX 4
#define COPY_BYTES KIB(64)

/* ---- columns ---- */

static int find_column(const struct query *q, struct slice name)
{
    for (size_t i = 0; i < q->column_count; i++)
        if (slice_eq_case(q->columns[i].name, name))
            return (int)i;
    return -1;
}

static bool has_column(void *ctx, struct slice name)
{
    return find_column(ctx, name) >= 0;
}

static const struct {
    const char *name;
    enum query_kind kind;
} made[] = {
    {"code", QUERY_CODE},         {"enhanced", QUERY_ENHANCED}, {"class", QUERY_CLASS},
    {"provider", QUERY_PROVIDER}, {"day", QUERY_DAY},           {"time", QUERY_TIME},
    {"format", QUERY_FORMAT},     {"file", QUERY_FILE},         {"line", QUERY_LINE},
};

static int add_column(struct query *q, const struct query_column *c)
{
    struct query_column *to = &q->columns[q->column_count];

    if (c->name.len == 0 || find_column(q, c->name) >= 0)
        return 0;
    if (q->column_count == QUERY_COLUMNS_MAX)
        return 0; /* of so many kinds of files that nobody can ask for this one */
    *to = *c;
    to->name = arena_copy(&q->names, c->name);
    to->field = arena_copy(&q->names, c->field);
    if (!to->name.ptr || (c->field.len > 0 && !to->field.ptr))
        return -ENOMEM;
    q->column_count++;
    return 0;
}

/* A field named as a column that is made of the row: "time" is that column, others are "log_code". */
static int add_field(struct query *q, struct slice name)
{
    struct query_column c = {.name = name, .field = name, .kind = QUERY_FIELD};
    struct buf other = BUF_INIT(KIB(1));
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
        if (!slice_eq_case(name, slice_str(made[i].name)))
            continue;
        if (made[i].kind == QUERY_TIME)
            c.kind = QUERY_TIME;
        else if (buf_addf(&other, "log_%s", made[i].name) == 0)
            c.name = buf_slice(&other);
    }
    r = add_column(q, &c);
    buf_done(&other);
    return r;
}

static int add_columns(struct query *q, const struct log_columns *c)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && c && i < c->count; i++)
        r = add_field(q, c->names[i]);
    return r;
}

static int add_made_columns(struct query *q)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(made); i++)
        r = add_column(q, &(struct query_column){.name = slice_str(made[i].name),
                                                 .kind = made[i].kind,
                                                 .is_hidden = true});
    return r;
}

static int columns_of_file(struct query *q, struct source *s)
{
    const struct log_format *f;
    int r;

    source_probe(s, q->run.format, q->run.year);
    f = s->view.format;
    r = f && f->columns ? add_columns(q, log_columns_of(slice_str(f->columns))) : 0;
    if (r == 0)
        r = add_columns(q, s->first.columns);
    if (r == 0)
        r = add_columns(q, s->guess.columns);
    source_close(s);
    return r;
}

/* Of the heads of all files: what they are is asked once here and once by each run. */
static int find_columns(struct query *q, struct buf *why)
{
    struct source_list files = {0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < q->run.path_count; i++) {
        r = source_add(&files, q->run.paths[i]);
        if (r == -ENOENT)
            (void)buf_addf(why, "%s: there is no such file", q->run.paths[i]);
        else if (r < 0)
            (void)buf_addf(why, "%s: %s", q->run.paths[i], err_str(r));
    }
    for (size_t i = 0; r == 0 && i < files.count; i++)
        r = columns_of_file(q, &files.items[i]);
    source_list_done(&files);
    if (r == 0 && q->column_count == 0) {
        (void)buf_add_str(why, "none of the files is a log of a known format (penstock logs --help "
                               "lists them)");
        return -EINVAL;
    }
    return r == 0 ? add_made_columns(q) : r;
}

/* ---- errors ---- */

static void tell_columns(const struct query *q, struct buf *why)
{
    (void)buf_add_str(why, "; the columns are ");
    for (size_t i = 0; i < q->column_count; i++)
        (void)buf_addf(why, "%s%.*s", i ? ", " : "", SLICE_FMT(q->columns[i].name));
}

static struct slice nearest_column(const struct query *q, struct slice name)
{
    size_t least = NEAREST_MAX + 1;
    struct slice nearest = {0};

    for (size_t i = 0; i < q->column_count; i++) {
        size_t d = nearest_distance(q->columns[i].name, name);

        if (d < least) {
            least = d;
            nearest = q->columns[i].name;
        }
    }
    return nearest;
}

/* SQLite's message, with the name that was meant where it says that there is none. */
static int tell_wrong(const struct query *q, sqlite3 *db, struct buf *why)
{
    struct slice message = slice_str(sqlite3_errmsg(db)), name, nearest;
    const struct slice column = SLICE_LIT("no such column: ");
    const struct slice function = SLICE_LIT("no such function: ");
    const struct slice arguments = SLICE_LIT("wrong number of arguments to function ");

    if (slice_has_prefix(message, column)) {
        name = slice_from(message, column.len);
        nearest = nearest_column(q, name);
        (void)buf_addf(why, "there is no column '%.*s'", SLICE_FMT(name));
        if (nearest.len > 0)
            (void)buf_addf(why, ": did you mean '%.*s'?", SLICE_FMT(nearest));
        else
            tell_columns(q, why);
    } else if (slice_has_prefix(message, function)) {
        const char *known = logparser_functions_nearest(slice_from(message, function.len));

        (void)buf_addf(why, "there is no function '%.*s'",
                       SLICE_FMT(slice_from(message, function.len)));
        if (known)
            (void)buf_addf(why, ": did you mean '%s'?", known);
    } else if (slice_has_prefix(message, arguments)) {
        logparser_functions_tell_arguments(slice_from(message, arguments.len), why);
    } else if (sqlite3_errcode(db) == SQLITE_TOOBIG) {
        (void)buf_addf(why, "a value of more than %u MiB: take a part of it (substr, LIMIT)",
                       (unsigned)(QUERY_VALUE_MAX / MIB(1)));
    } else if (sqlite3_errcode(db) == SQLITE_AUTH) {
        (void)buf_add_str(why, "a statement reads: SELECT ... FROM logs, nothing else");
    } else {
        (void)buf_addf(why, "%.*s", SLICE_FMT(message));
    }
    return -EINVAL;
}

/* ---- the database ---- */

static int authorize(void *ctx, int action, const char *a, const char *b, const char *c,
                     const char *d)
{
    (void)ctx;
    (void)a;
    (void)c;
    (void)d;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION: /* code from a file; addresses in memory */
        return b && (sqlite3_stricmp(b, "load_extension") == 0 ||
                     sqlite3_stricmp(b, "fts3_tokenizer") == 0)
                   ? SQLITE_DENY
                   : SQLITE_OK;
    default:
        return SQLITE_DENY;
    }
}

static int open_database(sqlite3 **ret, struct query *q)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, NULL);

    *ret = db;
    if (rc != SQLITE_OK)
        return rc;
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, (int)QUERY_VALUE_MAX);
    (void)sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, (int)LOGPARSER_SQL_MAX);
    rc = logparser_functions_add(db);
    if (rc == SQLITE_OK)
        rc = query_table_add(db, q);
    if (rc == SQLITE_OK) /* the table comes into being with the first statement that names it */
        rc = sqlite3_exec(db, "SELECT 1 FROM logs WHERE 0", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_set_authorizer(db, authorize, NULL);
    return rc;
}

/* ---- the statement ---- */

static int take_rows(struct query *q, struct query_result *r, sqlite3_stmt *st, struct buf *why)
{
    int rc, e = 0;

    while (e == 0 && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        if (rc == SQLITE_ROW)
            e = query_result_row(r, st);
        else if (q->error == 0)
            return tell_wrong(q, sqlite3_db_handle(st), why);
        else
            e = q->error;
    }
    if (q->error < 0)
        (void)buf_add(why, buf_slice(&q->why));
    query_result_end(r);
    return e;
}

static int run_statement(struct query *q, sqlite3 *db, const struct logparser *l,
                         const struct query_asked *asked, struct log_report *to,
                         struct query_statistics *ret, struct buf *why)
{
    const struct logparser_table table = {.has_column = has_column, .ctx = q};
    struct query_result result = {.report = to,
                                  .sink = asked->sink,
                                  .rows_max = asked->rows_max,
                                  .has_places = logparser_is_dialect(l)};
    struct buf sql = BUF_INIT(LOGPARSER_SQL_MAX);
    const char *tail = "";
    sqlite3_stmt *st = NULL;
    int e = logparser_translate(l, &table, &sql, why);

    if (e == 0 && sqlite3_prepare_v2(db, buf_cstr(&sql), -1, &st, &tail) != SQLITE_OK)
        e = tell_wrong(q, db, why);
    if (e == 0 && (!st || tail[strspn(tail, " ;")] != '\0')) {
        (void)buf_add_str(why, st ? "one statement at a time" : "the statement is empty");
        e = -EINVAL;
    }
    /* VACUUM and REINDEX are prepared without a question to the authorizer. */
    if (e == 0 && (sqlite3_column_count(st) == 0 || !sqlite3_stmt_readonly(st))) {
        (void)buf_add_str(why, "a statement reads: SELECT ... FROM logs, nothing else");
        e = -EINVAL;
    }
    if (e == 0 && sqlite3_bind_parameter_count(st) > 0) {
        (void)buf_addf(why, "%s is a parameter, and nobody gives it a value: text stands in '...'",
                       sqlite3_bind_parameter_name(st, 1) ? sqlite3_bind_parameter_name(st, 1)
                                                          : "?");
        e = -EINVAL;
    }
    if (e == 0)
        e = query_result_begin(&result, st, why);
    if (e == 0)
        e = take_rows(q, &result, st, why);
    ret->output = result.output;
    (void)sqlite3_finalize(st); /* ends the run */
    buf_done(&sql);
    return e;
}

/* ---- files ---- */

/* Standard input can be read once, and its head comes first: a file without a name keeps it. */
static int keep_input(char *path, size_t room, int *ret_fd)
{
    char bytes[COPY_BYTES];
    const char *folder = getenv("TMPDIR");
    int fd = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    ssize_t n;

    if (fd < 0)
        return -errno;
    while ((n = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0) {
        for (ssize_t done = 0; done < n;) {
            ssize_t written = write(fd, bytes + done, (size_t)(n - done));

            if (written < 0) {
                int e = -errno;

                (void)close(fd);
                return e;
            }
            done += written;
        }
    }
    if (n < 0) {
        int e = -errno;

        (void)close(fd);
        return e;
    }
    (void)snprintf(path, room, "/proc/self/fd/%d", fd);
    *ret_fd = fd;
    return 0;
}

struct paths {
    const char **items;
    char input[64];
    int fd; /* of the copy of standard input; -1: none */
};

static int choose_paths(struct paths *p, struct query *q, const struct logparser *l,
                        struct buf *why)
{
    size_t named = logparser_file_count(l), count = named + q->run.path_count;
    int e = 0;

    if (named > 0 && q->run.path_count > 0) {
        (void)buf_add_str(why, "files are named after FROM and as arguments: one of them, please");
        return -EINVAL;
    }
    if (count == 0) {
        (void)buf_add_str(why, "of which files? FROM *.log in the statement, or FILE ... after it");
        return -EINVAL;
    }
    p->items = calloc(count, sizeof(*p->items));
    if (!p->items)
        return -ENOMEM;
    for (size_t i = 0; e == 0 && i < count; i++) {
        p->items[i] = named > 0 ? logparser_file(l, i) : q->run.paths[i];
        if (strcmp(p->items[i], "-") == 0 && p->fd < 0)
            e = keep_input(p->input, sizeof(p->input), &p->fd);
        if (strcmp(p->items[i], "-") == 0)
            p->items[i] = p->input;
    }
    if (e < 0)
        (void)buf_addf(why, "a copy of standard input: %s", err_str(e));
    q->run.paths = p->items;
    q->run.path_count = count;
    return e;
}

static void paths_done(struct paths *p)
{
    free(p->items);
    if (p->fd >= 0)
        (void)close(p->fd);
}

/* ---- all of it ---- */

static size_t bad_files(const struct log_run *r)
{
    size_t bad = 0;

    for (size_t i = 0; i < log_run_file_count(r); i++)
        bad += log_run_file(r, i)->error < 0 || !log_run_file(r, i)->format;
    return bad;
}

/* The notes of a run say of which zone a report's times are; here they are the statement's affair. */
static void note_zone(struct log_report *to)
{
    if (strcmp(stamp_zone_name(), "UTC") != 0)
        log_report_note(to,
                        "the columns day and time, and a date without a time, are of UTC in any "
                        "zone; TO_LOCALTIME(time) is of %s",
                        stamp_zone_name());
}

static int ask(struct query *q, const struct logparser *l, const struct query_asked *asked,
               struct log_report *to, struct query_statistics *ret, struct buf *why)
{
    struct paths paths = {.fd = -1};
    sqlite3 *db = NULL;
    int e = choose_paths(&paths, q, l, why);

    if (e == 0)
        e = find_columns(q, why);
    if (e == 0 && open_database(&db, q) != SQLITE_OK) {
        (void)buf_addf(why, "SQLite: %s", db ? sqlite3_errmsg(db) : "no memory");
        e = -ENOMEM;
    }
    if (e == 0)
        e = run_statement(q, db, l, asked, to, ret, why);
    (void)sqlite3_close(db);
    if (q->last_run) {
        log_run_notes(q->last_run, to);
        note_zone(to);
        ret->bad_files = bad_files(q->last_run);
    }
    log_run_free(&q->last_run);
    paths_done(&paths);
    return e;
}

int log_query(const struct query_asked *asked, struct log_report *to, struct query_statistics *ret,
              struct buf *why)
{
    struct query *q = calloc(1, sizeof(*q));
    struct logparser *l = NULL;
    uint64_t began_ms = clock_mono_ms();
    int e;

    *ret = (struct query_statistics){0};
    if (!q)
        return -ENOMEM;
    q->run = *asked->run;
    q->knowledge = asked->knowledge;
    buf_init(&q->why, KIB(8));
    e = logparser_read(&l, asked->sql, why);
    if (e == 0)
        e = ask(q, l, asked, to, ret, why);
    ret->processed = q->rows;
    ret->ms = clock_mono_ms() - began_ms;
    logparser_free(&l);
    arena_done(&q->names);
    buf_done(&q->why);
    free(q);
    return e;
}
