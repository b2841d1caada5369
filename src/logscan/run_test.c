/*
 * logscan/run_test.c - files of every kind give the same lines in the same order, whatever the number of
 * threads; and what can't be read is told.
 */
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
#include <zlib.h>
#include <zstd.h>

#include "logscan/formats.h"
#include "logscan/run.h"

#define LINES 60000 /* some 3 MiB: several chunks */

/* A format of the test's own: each line is a fact, but for "# name" lines, which are headers. */

static unsigned detect(struct slice head)
{
    return slice_has_prefix(head, SLICE_LIT("test ")) ? 1 : 0;
}

static void scan(struct log_scan *s)
{
    struct slice line;
    size_t at = 0;

    s->carry_end = s->carry;
    while (log_scan_line(s, &at, &line)) {
        struct log_fact *f;

        if (slice_has_prefix(line, SLICE_LIT("# "))) {
            s->tally.headers++;
            s->carry_end.columns = log_columns_of(slice_from(line, 2));
            continue;
        }
        s->tally.rows++;
        f = log_scan_fact(s, FACT_REPLY, line.ptr);
        assert_non_null(f);
        f->message = line;
        f->connector = s->carry_end.columns ? s->carry_end.columns->names[0] : slice_make(NULL, 0);
    }
}

static const struct log_format test_format = {
    .name = "test", .title = "test", .detect = detect, .scan = scan, .reply_column = -1};

/* ---- a reader that writes down what it gets ---- */

struct seen {
    struct buf lines;
    uint64_t facts;
    int fail_at; /* -errno after the first chunk */
    const char *path;
    off_t new_size; /* of the file at `path` after the first chunk */
};

static int merge(void *ctx, struct log_scan *s)
{
    struct seen *seen = ctx;

    for (size_t i = 0; i < s->fact_count; i++) {
        (void)buf_add(&seen->lines, s->facts[i].connector);
        (void)buf_add(&seen->lines, s->facts[i].message);
        (void)buf_push(&seen->lines, '\n');
    }
    if (seen->path && seen->facts == 0)
        assert_int_equal(truncate(seen->path, seen->new_size), 0);
    seen->facts += s->fact_count;
    return seen->fail_at;
}

struct fixture {
    char folder[64];
    struct buf text; /* of the log */
};

static int set_up(void **state)
{
    static struct fixture f;

    f = (struct fixture){.text = BUF_INIT(MIB(16))};
    (void)snprintf(f.folder, sizeof(f.folder), "/tmp/penstock-run-XXXXXX");
    if (!mkdtemp(f.folder))
        return -1;
    (void)buf_add_str(&f.text, "# a\n");
    for (unsigned i = 0; i < LINES; i++)
        (void)buf_addf(
            &f.text, "test %u %.*s\n%s", i, (int)(i % 97),
            "----------------------------------------------------------------------------"
            "---------------------",
            i == LINES / 2 ? "# b\n" : "");
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];

    buf_done(&f->text);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", f->folder);
    return system(command) == 0 ? 0 : -1;
}

static const char *path_of(const struct fixture *f, const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", f->folder, name);
    return path;
}

static void write_file(const char *path, struct slice s)
{
    FILE *to = fopen(path, "w");

    assert_non_null(to);
    assert_int_equal(fwrite(s.ptr, 1, s.len, to), s.len);
    assert_int_equal(fclose(to), 0);
}

static int read_files(const char *const *paths, size_t count, unsigned threads,
                      const struct log_format *format, struct seen *seen, struct log_run **run)
{
    const struct log_run_config config = {.paths = paths,
                                          .path_count = count,
                                          .format = format,
                                          .threads = threads,
                                          .wants = WANT_REPLIES};
    const struct log_reader reader = {.merge = merge, .ctx = seen};
    struct buf why = BUF_INIT(KIB(4));
    int r;

    seen->lines = BUF_INIT(MIB(64));
    r = log_run(run, &config, &reader, &why);
    assert_true(r == 0 || buf_len(&why) > 0);
    buf_done(&why);
    return r;
}

/* What a reader of lines gets, columns in force before each. */
static void expect_text(const struct fixture *f, const struct seen *seen)
{
    struct buf wanted = BUF_INIT(MIB(64));
    struct slice left = buf_slice(&f->text);
    const char *columns = "";

    while (left.len > 0) {
        size_t len = (size_t)slice_find(left, '\n') + 1;
        struct slice line = slice_sub(left, 0, len);

        left = slice_from(left, len);
        if (line.ptr[0] == '#') {
            columns = line.ptr[2] == 'a' ? "a" : "b";
            continue;
        }
        (void)buf_add_str(&wanted, columns);
        (void)buf_add(&wanted, line);
    }
    assert_true(slice_eq(buf_slice(&wanted), buf_slice(&seen->lines)));
    buf_done(&wanted);
}

static void write_gzip(const char *path, struct slice s)
{
    gzFile to = gzopen(path, "wb");

    /* Two members, as after `cat a.gz b.gz`. */
    assert_true(gzwrite(to, s.ptr, 1000) == 1000);
    assert_int_equal(gzclose(to), Z_OK);
    to = gzopen(path, "ab");
    assert_true(gzwrite(to, s.ptr + 1000, (unsigned)s.len - 1000) > 0);
    assert_int_equal(gzclose(to), Z_OK);
}

static size_t write_zstd(const char *path, struct slice s, size_t cut)
{
    size_t room = ZSTD_compressBound(s.len), len;
    uint8_t *packed = malloc(room);

    assert_non_null(packed);
    len = ZSTD_compress(packed, room, s.ptr, s.len, 1);
    assert_false(ZSTD_isError(len));
    write_file(path, slice_make(packed, cut ? cut : len));
    free(packed);
    return len;
}

static void test_packed_or_not(void **state)
{
    const struct fixture *f = *state;
    const char *const names[] = {"plain.log", "log.gz", "log.zst"};

    write_file(path_of(f, names[0]), buf_slice(&f->text));
    write_gzip(path_of(f, names[1]), buf_slice(&f->text));
    (void)write_zstd(path_of(f, names[2]), buf_slice(&f->text), 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        for (unsigned threads = 1; threads <= 5; threads += 2) {
            const char *path = path_of(f, names[i]);
            struct seen seen = {0};
            struct log_run *run;

            assert_int_equal(read_files(&path, 1, threads, &test_format, &seen, &run), 0);
            expect_text(f, &seen);
            assert_int_equal(log_run_tally(run)->rows, LINES);
            assert_int_equal(log_run_tally(run)->headers, 2);
            assert_int_equal(log_run_file(run, 0)->rows, LINES);
            buf_done(&seen.lines);
            log_run_free(&run);
        }
    }
}

static void test_what_is_no_line(void **state)
{
    static const char nuls[300];
    const struct fixture *f = *state;
    struct buf text = BUF_INIT(MIB(8));
    const char *path = path_of(f, "bad.log");
    const struct log_tally *t;
    struct seen seen = {0};
    struct log_run *run;

    (void)buf_add_str(&text, "test 1\n");
    (void)buf_add(&text, slice_make(nuls, sizeof(nuls)));
    (void)buf_add_str(&text, "\ntest 2\r\n\n");
    for (size_t i = 0; i < 3 * (size_t)LOG_CHUNK_BYTES; i++)
        (void)buf_push(&text, 'x');
    (void)buf_add_str(&text, "\ntest 3\ntest torn");
    write_file(path, buf_slice(&text));
    assert_int_equal(read_files(&path, 1, 3, &test_format, &seen, &run), 0);
    t = log_run_tally(run);
    assert_string_equal(buf_cstr(&seen.lines), "test 1\ntest 2\ntest 3\n");
    assert_int_equal(t->rows, 3);
    assert_int_equal(t->skipped[SKIP_NUL], 1);
    assert_int_equal(t->first[SKIP_NUL].line, 2);
    assert_int_equal(t->skipped[SKIP_LONG], 1);
    assert_int_equal(t->first[SKIP_LONG].line, 5);
    assert_int_equal(t->skipped[SKIP_TORN], 1);
    assert_int_equal(t->first[SKIP_TORN].line, 7);
    buf_done(&seen.lines);
    buf_done(&text);
    log_run_free(&run);
}

#define TRACKING                                                                                   \
    "#Log-type: Message Tracking Log\r\n#Fields: date-time,internal-message-id,event-id,"          \
    "recipient-address,recipient-status\r\n"
#define LINES_ROW                                                                                  \
    "2026-03-01T00:00:00.002Z,2,FAIL,a@b.example,\"550 5.1.1 no,\r\n2,\"\"such\"\"\n\nuser\"\r\n"
#define ROW(number) "2026-03-01T00:00:00.00" number "Z," number ",FAIL,a@b.example,550 5.1.1 no\r\n"

/* A log in which the row of several lines begins `before` bytes before a chunk's end. */
static void make_rows(struct buf *to, size_t before)
{
    buf_clear(to);
    (void)buf_add_str(to, TRACKING ROW("1"));
    while (buf_len(to) < LOG_CHUNK_BYTES - before) {
        size_t len = MIN_OF(LOG_CHUNK_BYTES - before - buf_len(to), (size_t)50000);

        for (size_t i = 0; i + 1 < len; i++)
            (void)buf_push(to, '#');
        (void)buf_push(to, '\n');
    }
    (void)buf_add_str(to, LINES_ROW ROW("3"));
}

/* Chunks end where rows do, wherever the line breaks in quotes are. */
static void test_rows_over_a_border(void **state)
{
    const struct fixture *f = *state;
    struct buf text = BUF_INIT(MIB(2));
    const char *const names[] = {"rows.log", "rows.gz"};

    for (size_t before = 0; before <= sizeof(LINES_ROW); before++) {
        make_rows(&text, before);
        write_file(path_of(f, names[0]), buf_slice(&text));
        write_gzip(path_of(f, names[1]), buf_slice(&text));
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
            const char *path = path_of(f, names[i]);
            struct seen seen = {0};
            struct log_run *run;

            assert_int_equal(read_files(&path, 1, 2, NULL, &seen, &run), 0);
            assert_string_equal(buf_cstr(&seen.lines), "1\n2\n3\n");
            assert_int_equal(log_run_tally(run)->rows, 3);
            assert_int_equal(log_run_tally(run)->skipped[SKIP_COLUMNS], 0);
            buf_done(&seen.lines);
            log_run_free(&run);
            assert_int_equal(unlink(path), 0);
        }
    }
    buf_done(&text);
}

/* Nothing is lost but the row itself, and it is told. */
static void test_a_quote_that_does_not_end(void **state)
{
    const struct fixture *f = *state;
    struct buf text = BUF_INIT(MIB(4));
    const char *path = path_of(f, "quote.log");
    struct seen seen = {0};
    struct log_run *run;

    make_rows(&text, 0);
    buf_truncate(&text, LOG_CHUNK_BYTES);
    (void)buf_add_str(&text, "2026-03-01T00:00:00.002Z,2,FAIL,a@b.example,\"550\r\n");
    for (unsigned i = 0; i < 20000; i++)
        (void)buf_add_str(&text, ROW("4"));
    write_file(path, buf_slice(&text));
    assert_int_equal(read_files(&path, 1, 2, NULL, &seen, &run), 0);
    assert_int_equal(seen.facts, 20001);
    assert_int_equal(log_run_tally(run)->skipped[SKIP_COLUMNS], 1);
    buf_done(&seen.lines);
    buf_done(&text);
    log_run_free(&run);
}

static bool has_note(const struct log_report *report, struct slice text)
{
    for (size_t i = 0; i < report->note_count; i++)
        if (slice_find_slice(report->notes[i], text) >= 0)
            return true;
    return false;
}

/* What is read of it is another matter; that it changed is told. */
static void test_files_that_change(void **state)
{
    const struct fixture *f = *state;
    const struct {
        int tenths; /* of its size, after the first chunk */
        struct slice wanted;
    } cases[] = {{10, SLICE_LIT("")},
                 {5, SLICE_LIT("shrank while")},
                 {0, SLICE_LIT("shrank while")},
                 {11, SLICE_LIT("grew while")}};

    for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
        bool is_packed = i >= ARRAY_SIZE(cases);
        const char *path = path_of(f, is_packed ? "changes.gz" : "changes.log");
        struct slice wanted = cases[i % ARRAY_SIZE(cases)].wanted;
        int tenths = cases[i % ARRAY_SIZE(cases)].tenths;
        struct log_report report = {0};
        struct seen seen = {.path = path};
        struct log_run *run;
        struct stat st;

        if (is_packed)
            write_gzip(path, buf_slice(&f->text));
        else
            write_file(path, buf_slice(&f->text));
        assert_int_equal(stat(path, &st), 0);
        seen.new_size = st.st_size * tenths / 10;
        assert_int_equal(read_files(&path, 1, 1, &test_format, &seen, &run), 0);
        log_run_notes(run, &report);
        assert_int_equal(has_note(&report, SLICE_LIT("while it was read")), wanted.len > 0);
        assert_true(has_note(&report, wanted));
        assert_true(is_packed || (tenths < 10) == (seen.facts < LINES));
        log_report_done(&report);
        buf_done(&seen.lines);
        log_run_free(&run);
    }
}

static void test_damaged_archives(void **state)
{
    const struct fixture *f = *state;
    const char *path = path_of(f, "cut.zst");
    struct seen seen = {0};
    struct log_run *run;
    size_t len = write_zstd(path, buf_slice(&f->text), 0);

    (void)write_zstd(path, buf_slice(&f->text), len / 2);
    assert_int_equal(read_files(&path, 1, 2, &test_format, &seen, &run), 0);
    assert_int_equal(log_run_file(run, 0)->error, -ENODATA);
    assert_true(seen.facts > 0 && seen.facts < LINES);
    buf_done(&seen.lines);
    log_run_free(&run);

    write_file(path, SLICE_LIT("\x28\xb5\x2f\xfdrubbish and nothing else"));
    seen = (struct seen){0};
    assert_int_equal(read_files(&path, 1, 2, &test_format, &seen, &run), 0);
    assert_int_equal(log_run_file(run, 0)->error, -EBADMSG);
    assert_int_equal(seen.facts, 0);
    buf_done(&seen.lines);
    log_run_free(&run);
}

static void test_folders_and_globs(void **state)
{
    const struct fixture *f = *state;
    const char *path;
    struct seen seen = {0};
    struct log_run *run;

    assert_int_equal(mkdir(path_of(f, "d"), 0700), 0);
    assert_int_equal(mkdir(path_of(f, "d/e"), 0700), 0);
    write_file(path_of(f, "d/log-10"), SLICE_LIT("test ten\n"));
    write_file(path_of(f, "d/log-2"), SLICE_LIT("test two\n"));
    write_file(path_of(f, "d/e/other"), SLICE_LIT("test deep\n"));
    write_file(path_of(f, "d/.hidden"), SLICE_LIT("test hidden\n"));
    write_file(path_of(f, "d/empty"), SLICE_LIT(""));
    path = path_of(f, "d");
    assert_int_equal(read_files(&path, 1, 2, &test_format, &seen, &run), 0);
    assert_string_equal(buf_cstr(&seen.lines), "test deep\ntest two\ntest ten\n");
    assert_int_equal(log_run_file_count(run), 4);
    buf_done(&seen.lines);
    log_run_free(&run);

    for (unsigned i = 0; i < 2;
         i++) { /* case counts only where something matches as it is written */
        path = path_of(f, i == 0 ? "d/log-*" : "d/LOG-*");
        seen = (struct seen){0};
        assert_int_equal(read_files(&path, 1, 2, &test_format, &seen, &run), 0);
        assert_string_equal(buf_cstr(&seen.lines), "test two\ntest ten\n");
        buf_done(&seen.lines);
        log_run_free(&run);
    }
}

static void test_what_is_not_there(void **state)
{
    const struct fixture *f = *state;
    const char *path = path_of(f, "none.log"), *unknown = path_of(f, "unknown");
    struct seen seen = {0};
    struct log_run *run;

    assert_int_equal(read_files(&path, 1, 2, NULL, &seen, &run), -ENOENT);
    buf_done(&seen.lines);
    log_run_free(&run);
    write_file(unknown, SLICE_LIT("who knows\n"));
    assert_int_equal(read_files(&unknown, 1, 2, NULL, &seen, &run), 0);
    assert_null(log_run_file(run, 0)->format);
    assert_int_equal(log_run_tally(run)->rows, 0);
    buf_done(&seen.lines);
    log_run_free(&run);
}

static void test_a_report_that_fails_ends_it(void **state)
{
    const struct fixture *f = *state;
    const char *path = path_of(f, "plain.log");
    struct seen seen = {.fail_at = -ENOMEM};
    struct log_run *run;

    write_file(path, buf_slice(&f->text));
    assert_int_equal(read_files(&path, 1, 3, &test_format, &seen, &run), -ENOMEM);
    assert_true(seen.facts < LINES);
    buf_done(&seen.lines);
    log_run_free(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_packed_or_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rows_over_a_border, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_quote_that_does_not_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_that_change, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_archives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folders_and_globs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_not_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_report_that_fails_ends_it, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
