/* ledger/ledger_test.c - a real file in a folder of the test's own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "ledger/ledger_int.h"
#include "ledger/query.h"

#define T0 INT64_C(1790000000000)
#define MINUTE INT64_C(60000)
/* As SLICE_LIT(), for static data. */
#define LITERAL(s)                                                                                 \
    {                                                                                              \
        .ptr = (const uint8_t *)("" s), .len = sizeof(s) - 1                                       \
    }

struct world {
    char folder[64], path[128];
    struct ledger *ledger;
};

static const struct ledger_settings usual = {
    .age_max_s = 20 * 365 * 86400, .size_max_bytes = MIB(512), .commit_ms = 1};

static void open_ledger(struct world *w, const struct ledger_settings *like)
{
    struct ledger_settings s = *like;
    struct buf why = BUF_INIT(KIB(4));

    s.directory = w->folder;
    if (ledger_open(&w->ledger, &s, &why) < 0)
        fail_msg("%s", buf_cstr(&why));
    buf_done(&why);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    (void)snprintf(w->folder, sizeof(w->folder), "/tmp/penstock-ledger-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    (void)snprintf(w->path, sizeof(w->path), "%s/" LEDGER_FILE, w->folder);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    char command[128];

    ledger_close(&w->ledger);
    (void)snprintf(command, sizeof(command), "rm -r %s", w->folder);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static struct attempt attempt_at(int64_t at_ms)
{
    return (struct attempt){.queue_id = 0x1234,
                            .arrival_ms = at_ms - 1500,
                            .at_ms = at_ms,
                            .latency_ms = 40,
                            .number = 1,
                            .result = ATTEMPT_RESULT_DELIVERED,
                            .recipients = 1,
                            .delivered = 1,
                            .phase = SMTP_PHASE_END,
                            .code = 250,
                            .enhanced = SMTP_ENHANCED(2, 0, 0),
                            .text = SLICE_LIT("250 2.0.0 Ok: queued as 4F"),
                            .klass = REPLY_NONE,
                            .domain = SLICE_LIT("example.org"),
                            .host = SLICE_LIT("mx1.example.org"),
                            .peer = SLICE_LIT("192.0.2.1"),
                            .local = SLICE_LIT("192.0.2.7"),
                            .provider = SLICE_LIT("example-hoster"),
                            .source = SLICE_LIT("default"),
                            .sender = SLICE_LIT("a@sender.test"),
                            .recipient = SLICE_LIT("b@example.org"),
                            .message_id = SLICE_LIT("<1@sender.test>"),
                            .tls = true};
}

static struct attempt refused_at(int64_t at_ms)
{
    struct attempt a = attempt_at(at_ms);

    a.result = ATTEMPT_RESULT_DEFERRED;
    a.delivered = 0;
    a.deferred = 1;
    a.code = 452;
    a.enhanced = SMTP_ENHANCED(4, 3, 1);
    a.text = SLICE_LIT("452 4.3.1 Insufficient system resources");
    a.klass = REPLY_CAPACITY;
    return a;
}

static void post(struct world *w, const struct attempt *a)
{
    struct ledger_attempt *l = ledger_attempt_new(a);

    assert_non_null(l);
    ledger_post_attempt(w->ledger, l);
}

/* One value out of the file, as another process reads it. */
static void expect(struct world *w, const char *sql, const char *wanted)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    const char *got;

    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    got = sqlite3_step(st) == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : "no row";
    if (!got || strcmp(got, wanted) != 0)
        fail_msg("%s\n  gave %s\n  and not %s", sql, got ? got : "NULL", wanted);
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
}

static void test_an_attempt_keeps_its_texts(void **state)
{
    char text[ATTEMPT_TEXT_MAX + 100];
    struct attempt a = attempt_at(T0);
    struct ledger_attempt *l;

    (void)state;
    memset(text, 'x', sizeof(text));
    a.text = slice_make(text, sizeof(text));
    l = ledger_attempt_new(&a);
    assert_non_null(l);
    memset(text, 'y', sizeof(text));
    assert_int_equal(l->attempt.text.len, ATTEMPT_TEXT_MAX);
    assert_int_equal(l->attempt.text.ptr[0], 'x');
    assert_true(slice_eq(l->attempt.domain, a.domain));
    assert_true(slice_eq(l->attempt.sender, a.sender));
    assert_true(slice_eq(l->attempt.message_id, a.message_id));
    ledger_attempt_free(&l);
    assert_null(l);
}

static void test_attempts_are_kept(void **state)
{
    struct world *w = *state;
    struct attempt a = attempt_at(T0), b = refused_at(T0 + 1);

    open_ledger(w, &usual);
    post(w, &a);
    post(w, &b);
    ledger_close(&w->ledger);
    expect(w, "SELECT count(*) FROM attempts", "2");
    expect(w,
           "SELECT queue_id||' '||arrival||' '||latency||' '||number||' '||result||' '||delivered||"
           "' '||deferred||' '||phase||' '||code||' '||enhanced||' '||text||' '||sender||' '||tls"
           " FROM attempts ORDER BY id LIMIT 1",
           "4660 1789999998500 40 1 0 1 0 10 250 2.0.0 250 2.0.0 Ok: queued as 4F a@sender.test 1");
    expect(w, "SELECT id >> 12 FROM attempts WHERE code = 452", "1790000000001");
    expect(w,
           "SELECT d.name||' '||h.name||' '||p.name||' '||s.name FROM attempts a"
           " JOIN names d ON d.id = a.domain JOIN names h ON h.id = a.host"
           " JOIN names p ON p.id = a.provider JOIN names s ON s.id = a.source LIMIT 1",
           "example.org mx1.example.org example-hoster default");
}

static void test_a_clock_set_back_keeps_the_order(void **state)
{
    struct world *w = *state;
    struct attempt a = attempt_at(T0), b = refused_at(T0 - 3600 * 1000);

    open_ledger(w, &usual);
    post(w, &a);
    post(w, &b);
    ledger_close(&w->ledger);
    expect(w, "SELECT code FROM attempts ORDER BY id DESC", "452");
    open_ledger(w, &usual); /* also after a start */
    post(w, &a);
    ledger_close(&w->ledger);
    expect(w, "SELECT code FROM attempts ORDER BY id DESC", "250");
    expect(w, "SELECT count(*) FROM attempts", "3");
}

static void test_figures_by_minute_hour_and_day(void **state)
{
    struct world *w = *state;

    open_ledger(w, &usual);
    for (int minute = 0; minute < 3; minute++) {
        struct attempt a = attempt_at(T0 + minute * MINUTE), b = refused_at(T0 + minute * MINUTE);

        b.number = 2;
        post(w, &a);
        post(w, &b);
    }
    ledger_close(&w->ledger);
    expect(w, "SELECT count(*) FROM figures WHERE span = 60 AND domain = 0", "3");
    expect(w, "SELECT count(*) FROM figures WHERE span = 60 AND domain > 0", "3");
    expect(w,
           "SELECT attempts||' '||delivered_first||' '||deferred||' '||capacity||' '||retries FROM"
           " figures WHERE span = 86400 AND domain = 0",
           "6 3 3 3 3");
    expect(w, "SELECT length(times) FROM figures WHERE span = 3600 AND domain = 0", "5");
    expect(w, "SELECT name FROM names JOIN figures ON lane = names.id", "example-hoster/default");
    open_ledger(w, &usual); /* the same minute again, after a restart, adds */
    post(w, &(struct attempt){.at_ms = T0,
                              .number = 1,
                              .result = ATTEMPT_RESULT_FAILED,
                              .provider = SLICE_LIT("example-hoster"),
                              .source = SLICE_LIT("default")});
    ledger_close(&w->ledger);
    expect(w, "SELECT attempts||' '||failed FROM figures WHERE span = 86400 AND domain = 0", "7 1");
}

/* A clock that was a day ahead takes no later attempt into its minute. */
static void test_figures_follow_a_clock_set_back(void **state)
{
    struct world *w = *state;
    struct attempt ahead = attempt_at(T0 + 1440 * MINUTE), a = attempt_at(T0);

    open_ledger(w, &usual);
    post(w, &ahead);
    post(w, &a);
    post(w, &a);
    ledger_close(&w->ledger);
    expect(w,
           "SELECT group_concat(attempts) FROM (SELECT attempts FROM figures WHERE span = 60 AND"
           " domain = 0 ORDER BY at)",
           "2,1");
}

static void test_a_queue_belongs_to_its_minute(void **state)
{
    struct world *w = *state;
    struct attempt a = attempt_at(T0);

    open_ledger(w, &usual);
    post(w, &a);
    ledger_post_queue(w->ledger, &(struct ledger_queue){.provider = SLICE_LIT("example-hoster"),
                                                        .source = SLICE_LIT("default"),
                                                        .at_ms = T0,
                                                        .length = 7,
                                                        .age_oldest_ms = 9000,
                                                        .age_median_ms = 800,
                                                        .age_p90_ms = 8000});
    ledger_close(&w->ledger);
    expect(
        w,
        "SELECT attempts||' '||queue||' '||age_oldest||' '||age_median||' '||age_p90 FROM figures"
        " WHERE span = 60 AND domain = 0",
        "1 7 9000 800 8000");
}

struct seen {
    char text[1000];
};

static int add_lane(void *ctx, struct slice s)
{
    struct seen *seen = ctx;
    size_t n = strlen(seen->text);

    (void)snprintf(seen->text + n, sizeof(seen->text) - n, "%.*s;", SLICE_FMT(s));
    return 0;
}

static int add_destination(void *ctx, struct slice domain, struct slice provider,
                           struct slice mx_host)
{
    int r = add_lane(ctx, domain);

    if (r == 0)
        r = add_lane(ctx, provider);
    return r < 0 ? r : add_lane(ctx, mx_host);
}

static void test_state_comes_back(void **state)
{
    struct world *w = *state;
    struct seen lanes = {""}, destinations = {""};

    open_ledger(w, &usual);
    ledger_post_lane(w->ledger, SLICE_LIT("a/default"), SLICE_LIT("old"));
    ledger_post_lane(w->ledger, SLICE_LIT("a/default"), SLICE_LIT("new"));
    ledger_post_destination(w->ledger, SLICE_LIT("example.org"), SLICE_LIT("a"),
                            SLICE_LIT("mx.a.test"));
    ledger_post_incident(w->ledger, 41, SLICE_LIT("a/default"), T0, 0, SLICE_LIT("{}"));
    ledger_close(&w->ledger);
    open_ledger(w, &usual);
    assert_int_equal(ledger_each_lane(w->ledger, add_lane, &lanes), 0);
    assert_string_equal(lanes.text, "new;");
    assert_int_equal(ledger_each_destination(w->ledger, add_destination, &destinations), 0);
    assert_string_equal(destinations.text, "example.org;a;mx.a.test;");
    assert_int_equal(ledger_incident_id_max(w->ledger), 41);
}

/* ---- the suppression list ---- */

static struct suppression *operators(const char *address, int64_t at_ms)
{
    struct suppression *s;
    const char *why;

    assert_int_equal(
        suppression_by_operator(&s, slice_str(address), SLICE_LIT("note"), at_ms, &why), 0);
    return s;
}

static struct suppression *automatic(const char *address, int64_t at_ms)
{
    struct attempt a = attempt_at(at_ms);
    struct permanent_failure *f;

    a.result = ATTEMPT_RESULT_FAILED;
    a.phase = SMTP_PHASE_RCPT;
    a.code = 550;
    a.enhanced = SMTP_ENHANCED(5, 1, 1);
    a.klass = REPLY_MAILBOX_UNKNOWN;
    a.text = SLICE_LIT("550 5.1.1 No such user");
    a.recipient = slice_str(address);
    a.is_explicit = true;
    assert_true(permanent_failure_of(&a, &f));
    return suppression_of_failure(&f);
}

static void add_to(struct ledger_change *c, struct suppression *s, bool is_removal)
{
    assert_int_equal(ledger_change_add(c, s, is_removal), 0);
    suppression_unref(&s);
}

static int add_suppression(void *ctx, struct suppression *s)
{
    const struct suppression_view *v = suppression_get(s);

    ignore_result(add_lane(ctx, v->address));
    return add_lane(ctx, v->kind == SUPPRESSION_AUTOMATIC ? v->text : v->note);
}

static void on_answer(struct parcel *p, void *receiver)
{
    struct ledger_change *c = CONTAINER_OF(p, struct ledger_change, parcel);

    *(int *)receiver = c->result;
    ledger_change_free(&c);
}

static void test_the_suppression_list_is_kept(void **state)
{
    struct world *w = *state;
    struct ledger_change *c = ledger_change_new();
    struct seen seen = {""};
    struct mailbox *box;
    int result = 1;

    assert_int_equal(mailbox_new_blocking(&box, &result), 0);
    open_ledger(w, &usual);
    add_to(c, automatic("b@example.org", T0 + 1), false);
    ledger_post_change(w->ledger, c);
    c = ledger_change_new();
    add_to(c, operators("a@example.org", T0), false);
    add_to(c, operators("c@example.org", T0 + 2), false);
    add_to(c, operators("c@example.org", T0 + 2), true);
    c->answered = on_answer;
    c->answer_to = box;
    ledger_post_change(w->ledger, c);
    while (mailbox_receive(box, UINT64_MAX) == 0)
        ;
    assert_int_equal(result, 0);
    expect(w, "SELECT count(*) FROM suppressions", "2"); /* answered: another process sees it */
    ledger_close(&w->ledger);
    open_ledger(w, &usual);
    assert_int_equal(ledger_each_suppression(w->ledger, add_suppression, &seen), 0);
    assert_string_equal(seen.text, "a@example.org;note;b@example.org;550 5.1.1 No such user;");
    mailbox_free(&box);
}

/* Automatic ones by their own age, not by the evidence's; the operator's never. */
static void test_suppressions_have_an_age_of_their_own(void **state)
{
    struct ledger_settings s = usual;
    struct world *w = *state;
    struct ledger_change *c = ledger_change_new();
    struct seen seen = {""};
    int64_t now = clock_wall_ms();

    s.age_max_s = 3600;
    s.suppression_age_max_s = 100 * 86400;
    open_ledger(w, &s);
    add_to(c, operators("a@example.org", T0 / 2), false);
    add_to(c, automatic("b@example.org", now - INT64_C(101) * 86400000), false);
    add_to(c, automatic("c@example.org", now - INT64_C(99) * 86400000), false);
    ledger_post_change(w->ledger, c);
    ledger_close(&w->ledger);
    open_ledger(w, &s);
    assert_int_equal(ledger_each_suppression(w->ledger, add_suppression, &seen), 0);
    assert_string_equal(seen.text, "a@example.org;note;c@example.org;550 5.1.1 No such user;");
}

static int count_view(void *ctx, const struct suppression_view *v)
{
    ++*(int *)ctx;
    return v->address.len > 0 ? 0 : -EINVAL;
}

/* A file from before the list is read as it is, and gets the list from a server. */
static void test_a_file_without_the_list(void **state)
{
    const struct ledger_suppression_filter all = {.limit = 0};
    struct ledger_reader *r;
    struct world *w = *state;
    struct seen seen = {""};
    struct buf why = BUF_INIT(KIB(1));
    sqlite3 *db;
    int count = 0;

    open_ledger(w, &usual);
    ledger_post_lane(w->ledger, SLICE_LIT("a/default"), SLICE_LIT("kept"));
    ledger_close(&w->ledger);
    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "DROP TABLE suppressions; PRAGMA user_version = 1", NULL, NULL, NULL),
        SQLITE_OK);
    (void)sqlite3_close(db);
    assert_int_equal(ledger_reader_open(&r, w->folder, &why), 0);
    assert_int_equal(ledger_suppressions(r, &all, count_view, &count), 0);
    assert_int_equal(count, 0);
    ledger_reader_close(&r);
    open_ledger(w, &usual);
    expect(w, "PRAGMA user_version", "2");
    assert_int_equal(ledger_each_lane(w->ledger, add_lane, &seen), 0);
    assert_string_equal(seen.text, "kept;");
    buf_done(&why);
}

/* A row that says it is automatic and has a temporary code is no entry, whoever wrote it. */
static void test_a_row_that_was_edited(void **state)
{
    struct world *w = *state;
    struct ledger_change *c = ledger_change_new();
    struct seen seen = {""};
    sqlite3 *db;

    open_ledger(w, &usual);
    add_to(c, automatic("b@example.org", T0), false);
    add_to(c, automatic("c@example.org", T0), false);
    ledger_post_change(w->ledger, c);
    ledger_close(&w->ledger);
    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE suppressions SET code = 452 WHERE address LIKE 'b%'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    (void)sqlite3_close(db);
    open_ledger(w, &usual);
    assert_int_equal(ledger_each_suppression(w->ledger, add_suppression, &seen), 0);
    assert_string_equal(seen.text, "c@example.org;550 5.1.1 No such user;");
}

/* ---- questions ---- */

struct answer {
    int count;
    struct attempt first;
    char text[100], domain[100];
};

static int count_attempt(void *ctx, const struct attempt *a)
{
    struct answer *answer = ctx;

    if (answer->count++ == 0) {
        answer->first = *a;
        (void)snprintf(answer->text, sizeof(answer->text), "%.*s", SLICE_FMT(a->text));
        (void)snprintf(answer->domain, sizeof(answer->domain), "%.*s", SLICE_FMT(a->domain));
    }
    return 0;
}

static struct ledger_reader *open_reader(struct world *w)
{
    struct ledger_reader *r = NULL;
    struct buf why = BUF_INIT(KIB(4));

    if (ledger_reader_open(&r, w->folder, &why) < 0)
        fail_msg("%s", buf_cstr(&why));
    buf_done(&why);
    return r;
}

static void test_questions_about_attempts(void **state)
{
    static const struct {
        struct ledger_filter f;
        int count;
    } cases[] = {
        {{.limit = 0}, 40},
        {{.limit = 7}, 7},
        {{.code = 452}, 20},
        {{.code_class = 4}, 20},
        {{.code_class = 2, .not_delivered = true}, 0},
        {{.klass = REPLY_CAPACITY}, 20},
        {{.klass = REPLY_POLICY}, 0},
        {{.not_delivered = true}, 20},
        {{.from_ms = T0 + 10}, 20},
        {{.from_ms = T0 + 10, .to_ms = T0 + 15}, 10},
        {{.to_ms = T0}, 0},
        {{.queue_id = 0x1234}, 40},
        {{.queue_id = 1}, 0},
        {{.domain = LITERAL("EXAMPLE.org")}, 40},
        {{.domain = LITERAL("example.or")}, 0},
        {{.provider = LITERAL("example-hoster"), .source = LITERAL("default")}, 40},
        {{.host = LITERAL("mx1.example.org"), .peer = LITERAL("192.0.2.1")}, 40},
        {{.peer = LITERAL("192.0.2.2")}, 0},
        {{.sender = LITERAL("A@sender.test")}, 40},
        {{.recipient = LITERAL("b@example.org")}, 40},
        {{.recipient = LITERAL("b@example.org' OR 1 --")}, 0},
        {{.message_id = LITERAL("1@sender.test")}, 40},
        {{.text = LITERAL("insufficient")}, 20},
    };
    struct world *w = *state;
    struct ledger_reader *r;

    open_ledger(w, &usual);
    for (int i = 0; i < 20; i++) {
        struct attempt a = attempt_at(T0 + i), b = refused_at(T0 + i);

        post(w, &a);
        post(w, &b);
    }
    ledger_close(&w->ledger);
    r = open_reader(w);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct answer answer = {0};

        assert_int_equal(ledger_attempts(r, &cases[i].f, count_attempt, &answer), 0);
        if (answer.count != cases[i].count)
            fail_msg("question %zu gave %d", i, answer.count);
    }
    ledger_reader_close(&r);
}

static void test_an_attempt_comes_back_whole(void **state)
{
    struct world *w = *state;
    struct attempt a = refused_at(T0 + 3);
    const struct ledger_filter f = {.newest_first = true};
    struct answer answer = {0};
    struct ledger_reader *r;

    open_ledger(w, &usual);
    post(w, &a);
    ledger_close(&w->ledger);
    r = open_reader(w);
    assert_int_equal(ledger_attempts(r, &f, count_attempt, &answer), 0);
    assert_int_equal(answer.first.at_ms, T0 + 3);
    assert_int_equal(answer.first.arrival_ms, T0 + 3 - 1500);
    assert_int_equal(answer.first.queue_id, 0x1234);
    assert_int_equal(answer.first.latency_ms, 40);
    assert_int_equal(answer.first.result, ATTEMPT_RESULT_DEFERRED);
    assert_int_equal(answer.first.deferred, 1);
    assert_int_equal(answer.first.phase, SMTP_PHASE_END);
    assert_int_equal(answer.first.code, 452);
    assert_int_equal(answer.first.enhanced.klass, 4);
    assert_int_equal(answer.first.enhanced.subject, 3);
    assert_int_equal(answer.first.klass, REPLY_CAPACITY);
    assert_true(answer.first.tls && !answer.first.is_ours);
    assert_string_equal(answer.text, "452 4.3.1 Insufficient system resources");
    assert_string_equal(answer.domain, "example.org");
    ledger_reader_close(&r);
}

static int stop_at_once(void *ctx, const struct attempt *a)
{
    (void)ctx;
    (void)a;
    return 42;
}

static int take_row(void *ctx, const struct ledger_row *row)
{
    struct ledger_row *to = ctx;

    *to = *row;
    return 0;
}

static int take_json(void *ctx, struct slice json)
{
    return add_lane(ctx, json);
}

static void test_questions_about_figures_and_incidents(void **state)
{
    const struct ledger_filter all = {.limit = 0};
    struct world *w = *state;
    struct attempt a = attempt_at(T0);
    struct seen incidents = {""};
    struct ledger_row row = {.at_ms = 0};
    struct ledger_reader *r;

    open_ledger(w, &usual);
    post(w, &a);
    ledger_post_incident(w->ledger, 1, SLICE_LIT("a/b"), T0, T0 + 1, SLICE_LIT("one"));
    ledger_post_incident(w->ledger, 2, SLICE_LIT("a/b"), T0, 0, SLICE_LIT("two"));
    ledger_close(&w->ledger);
    r = open_reader(w);
    assert_int_equal(ledger_attempts(r, &all, stop_at_once, NULL), 42);
    assert_int_equal(ledger_incidents(r, 0, 0, 0, take_json, &incidents), 0);
    assert_int_equal(ledger_incidents(r, 0, T0 + 2, 0, take_json, &incidents), 0);
    assert_int_equal(ledger_incidents(r, 1, 0, 1, take_json, &incidents), 0);
    assert_string_equal(incidents.text, "two;one;two;one;");
    assert_int_equal(ledger_rows(r, 3600, SLICE_LIT("example-hoster/default"), (struct slice){0}, 0,
                                 take_row, &row),
                     0);
    assert_int_equal(row.at_ms, T0 / 3600000 * 3600000);
    assert_int_equal(row.counts.delivered_first, 1);
    assert_int_equal(row.times.count, 1);
    assert_false(row.has_queue);
    ledger_reader_close(&r);
}

static void test_no_ledger_to_read(void **state)
{
    struct world *w = *state;
    struct ledger_reader *r = NULL;
    struct buf why = BUF_INIT(KIB(4));

    assert_int_equal(ledger_reader_open(&r, w->folder, &why), -ENOENT);
    assert_non_null(strstr(buf_cstr(&why), "is not there"));
    assert_null(r);
    buf_done(&why);
}

/* Nobody waits for a FIFO's other end, neither the server nor who reads. */
static void test_what_is_no_file_is_refused(void **state)
{
    struct world *w = *state;
    struct ledger_settings s = usual;

    s.directory = w->folder;
    for (int is_fifo = 0; is_fifo < 2; is_fifo++) {
        struct buf why = BUF_INIT(KIB(4));
        struct ledger_reader *reader;
        int wanted = is_fifo ? -EOPNOTSUPP : -EISDIR;

        assert_int_equal(is_fifo ? mkfifo(w->path, 0600) : mkdir(w->path, 0700), 0);
        assert_int_equal(ledger_open(&w->ledger, &s, &why), wanted);
        assert_non_null(strstr(buf_cstr(&why), "it is no file"));
        assert_int_equal(ledger_reader_open(&reader, w->folder, &why), wanted);
        assert_int_equal(remove(w->path), 0);
        buf_done(&why);
    }
}

static void test_a_damaged_file_is_set_aside(void **state)
{
    struct world *w = *state;
    struct attempt a = attempt_at(T0);
    FILE *f = fopen(w->path, "w");
    char command[160];

    assert_non_null(f);
    for (int i = 0; i < 1000; i++)
        assert_true(fputs("this is not a database\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    open_ledger(w, &usual);
    post(w, &a);
    ledger_close(&w->ledger);
    expect(w, "SELECT count(*) FROM attempts", "1");
    (void)snprintf(command, sizeof(command), "grep -q database %s.damaged-*", w->path);
    assert_int_equal(system(command), 0);
}

static void test_a_later_version_is_not_touched(void **state)
{
    struct world *w = *state;
    char command[200];

    open_ledger(w, &usual);
    ledger_close(&w->ledger);
    {
        sqlite3 *db;

        assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
        (void)sqlite3_close(db);
    }
    open_ledger(w, &usual);
    ledger_close(&w->ledger);
    expect(w, "PRAGMA user_version", "2");
    (void)snprintf(command, sizeof(command), "ls %s.damaged-* > /dev/null", w->path);
    assert_int_equal(system(command), 0);
}

static void test_age_is_bounded(void **state)
{
    struct world *w = *state;
    struct ledger_settings s = usual;
    struct attempt old = attempt_at(T0);

    s.age_max_s = 60;
    old.at_ms = 1000;
    open_ledger(w, &s);
    post(w, &old);
    ledger_close(&w->ledger);
    open_ledger(w, &s);
    ledger_close(&w->ledger);
    expect(w, "SELECT count(*) FROM attempts", "0");
}

static void test_size_is_bounded(void **state)
{
    struct world *w = *state;
    struct ledger_settings s = usual;
    struct stat st;

    s.size_max_bytes = KIB(400);
    for (int round = 0; round < 12; round++) {
        open_ledger(w, &s);
        for (int i = 0; i < 3000; i++) {
            struct attempt a = attempt_at(T0 + round * 3000 + i);

            post(w, &a);
        }
        ledger_close(&w->ledger);
    }
    assert_int_equal(stat(w->path, &st), 0);
    assert_true((uint64_t)st.st_size < MIB(4));
}

/* A domain for each message, and each its own provider: figures make room, not the attempts. */
static void test_domains_without_end_are_bounded(void **state)
{
    struct world *w = *state;
    struct ledger_settings s = usual;
    char domain[32];
    struct stat st;

    s.size_max_bytes = MIB(4);
    for (int round = 0; round < 6; round++) {
        open_ledger(w, &s);
        for (int i = 0; i < 2000; i++) {
            struct attempt a = attempt_at(clock_wall_ms());

            (void)snprintf(domain, sizeof(domain), "d%d-%d.example", round, i);
            a.domain = a.provider = slice_str(domain);
            post(w, &a);
        }
        ledger_close(&w->ledger);
    }
    expect(w, "SELECT count(*) FROM attempts", "12000");
    expect(w, "SELECT count(*) < 40000 FROM figures", "1");
    assert_int_equal(stat(w->path, &st), 0);
    assert_true((uint64_t)st.st_size < MIB(6));
}

static void test_too_many_waiting_are_dropped_and_counted(void **state)
{
    struct world *w = *state;
    struct ledger_settings s = usual;
    struct ledger_figures f;

    s.commit_ms = 3600 * 1000; /* it sleeps until it is closed */
    open_ledger(w, &s);
    for (int i = 0; i < LEDGER_WAITING_MAX + 10; i++) {
        struct attempt a = attempt_at(T0 + i);

        post(w, &a);
    }
    ledger_get_figures(w->ledger, &f);
    /* One may be in the hands of the thread. */
    assert_in_range(f.waiting + f.dropped + f.written, LEDGER_WAITING_MAX + 9,
                    LEDGER_WAITING_MAX + 10);
    assert_true(f.dropped >= 10 || f.written > 0);
    ledger_close(&w->ledger);
}

static void test_a_folder_that_cannot_be_made(void **state)
{
    struct world *w = *state;
    struct ledger_settings s = usual;
    struct buf why = BUF_INIT(KIB(4));

    s.directory = "/proc/ledger";
    assert_true(ledger_open(&w->ledger, &s, &why) < 0);
    assert_non_null(strstr(buf_cstr(&why), "/proc/ledger"));
    assert_null(w->ledger);
    buf_done(&why);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_attempt_keeps_its_texts),
        TEST(test_attempts_are_kept),
        TEST(test_a_clock_set_back_keeps_the_order),
        TEST(test_figures_by_minute_hour_and_day),
        TEST(test_figures_follow_a_clock_set_back),
        TEST(test_a_queue_belongs_to_its_minute),
        TEST(test_state_comes_back),
        TEST(test_the_suppression_list_is_kept),
        TEST(test_suppressions_have_an_age_of_their_own),
        TEST(test_a_file_without_the_list),
        TEST(test_a_row_that_was_edited),
        TEST(test_questions_about_attempts),
        TEST(test_an_attempt_comes_back_whole),
        TEST(test_questions_about_figures_and_incidents),
        TEST(test_no_ledger_to_read),
        TEST(test_what_is_no_file_is_refused),
        TEST(test_a_damaged_file_is_set_aside),
        TEST(test_a_later_version_is_not_touched),
        TEST(test_age_is_bounded),
        TEST(test_size_is_bounded),
        TEST(test_domains_without_end_are_bounded),
        TEST(test_too_many_waiting_are_dropped_and_counted),
        TEST(test_a_folder_that_cannot_be_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
