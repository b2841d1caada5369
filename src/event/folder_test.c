/* event/folder_test.c - one folder of log files, on a real disk, with the times handed in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "event/folder.h"

#define DAY_MS (24 * 3600 * 1000LL)
#define NOON_MS 1795348800000LL /* 2026-11-22T12:00:00Z */
#define HEAD "#Software: Penstock\r\n#Date: %D\r\n#Fields: a,b\r\n"

static char top[64], path[128];
static uint64_t freed;

static int make_top(void **state)
{
    (void)state;
    (void)snprintf(top, sizeof(top), "/tmp/folder_test.XXXXXX");
    assert_non_null(mkdtemp(top));
    (void)snprintf(path, sizeof(path), "%s/log/events", top);
    freed = 0;
    return 0;
}

static int remove_top(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command);
}

static struct folder_rules rules(void)
{
    return (struct folder_rules){.path = path,
                                 .prefix = "EVENT",
                                 .suffix = "jsonl",
                                 .file_max_bytes = KIB(64),
                                 .folder_max_bytes = MIB(1)};
}

static void append(struct folder *f, const char *lines, int64_t wall_ms)
{
    size_t written;

    assert_int_equal(folder_append(f, slice_str(lines), wall_ms, &written, &freed), 0);
    assert_int_equal(written, strlen(lines));
}

static const char *path_in_folder(const char *name)
{
    static char text[256];

    (void)snprintf(text, sizeof(text), "%s/%s", path, name);
    return text;
}

static const char *content(const char *name)
{
    static char text[KIB(256)];
    FILE *f = fopen(path_in_folder(name), "re");
    size_t n;

    if (!f)
        return NULL;
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    return text;
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(path_in_folder(name), "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void assert_content(const char *name, const char *expected)
{
    const char *found = content(name);

    if (!found)
        fail_msg("there is no %s", name);
    assert_string_equal(found, expected);
}

/* Files of ours in the folder, and their bytes. */
static size_t count_files(uint64_t *ret_bytes)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    size_t n = 0;

    assert_non_null(dir);
    *ret_bytes = 0;
    while ((entry = readdir(dir))) {
        struct folder_name name;
        struct stat st;

        if (!folder_parse_name(entry->d_name, "EVENT", "jsonl", &name))
            continue;
        assert_int_equal(fstatat(dirfd(dir), entry->d_name, &st, 0), 0);
        *ret_bytes += (uint64_t)st.st_size;
        n++;
    }
    (void)closedir(dir);
    return n;
}

static void names_are_read_strictly(void **state)
{
    static const struct {
        const char *name;
        uint32_t day, number; /* 0: no name of ours */
    } cases[] = {
        {"EVENT20261122-1.jsonl", 20261122, 1},
        {"EVENT20261122-4294967294.jsonl", 20261122, 4294967294},
        {"EVENT20261122-4294967295.jsonl", 0, 0},
        {"EVENT20261122-0.jsonl", 0, 0},
        {"EVENT20261122-01.jsonl", 0, 0},
        {"EVENT20261122-.jsonl", 0, 0},
        {"EVENT20261122.jsonl", 0, 0},
        {"EVENT20261122-1.jsonl.gz", 0, 0},
        {"EVENT20261122-1.json", 0, 0},
        {"EVENT20261122-1", 0, 0},
        {"EVENT2026112-1.jsonl", 0, 0},
        {"EVENT-1.jsonl", 0, 0},
        {"RECV20261122-1.jsonl", 0, 0},
        {"event20261122-1.jsonl", 0, 0},
        {"", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct folder_name n = {0};
        bool is_ours = folder_parse_name(cases[i].name, "EVENT", "jsonl", &n);

        if (is_ours != (cases[i].day != 0) || n.day != cases[i].day || n.number != cases[i].number)
            fail_msg("%s", cases[i].name);
    }
    assert_true(
        folder_compare((struct folder_name){20261122, 10}, (struct folder_name){20261122, 9}) > 0);
    assert_true(
        folder_compare((struct folder_name){20261121, 10}, (struct folder_name){20261122, 9}) < 0);
}

static void a_file_has_its_name_mode_and_head(void **state)
{
    struct folder_rules r = rules();
    struct folder f;
    struct stat st;

    (void)state;
    r.head = HEAD;
    folder_init(&f, &r);
    (void)umask(0);
    append(&f, "x,y\r\n", NOON_MS + 7);
    append(&f, "z,z\r\n", NOON_MS + 8);
    assert_content("EVENT20261122-1.jsonl",
                   "#Software: Penstock\r\n#Date: 2026-11-22T12:00:00.007Z\r\n#Fields: a,b\r\n"
                   "x,y\r\nz,z\r\n");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    assert_int_equal(stat(path_in_folder("EVENT20261122-1.jsonl"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    folder_done(&f);
}

static void midnight_begins_a_file(void **state)
{
    struct folder_rules r = rules();
    struct folder f;

    (void)state;
    folder_init(&f, &r);
    append(&f, "before\n", NOON_MS + DAY_MS / 2 - 1);
    append(&f, "after\n", NOON_MS + DAY_MS / 2);
    append(&f, "clock went back\n", NOON_MS + DAY_MS / 2 - 1);
    assert_content("EVENT20261122-1.jsonl", "before\n");
    assert_content("EVENT20261123-1.jsonl", "after\n");
    assert_content("EVENT20261122-2.jsonl", "clock went back\n");
    folder_done(&f);
}

/* No file is larger than it may be, and all lines are there, in order, whole. */
static void a_full_file_is_followed_by_another(void **state)
{
    struct folder_rules r = rules();
    struct folder f;
    struct buf lines = BUF_INIT(MIB(1));
    unsigned next = 0;

    (void)state;
    r.head = HEAD;
    folder_init(&f, &r);
    for (unsigned i = 0; i < 6000; i++)
        (void)buf_addf(&lines, "line %u of some length\n", i);
    append(&f, buf_cstr(&lines), NOON_MS);
    for (unsigned n = 1;; n++) {
        char name[64];
        const char *text;

        (void)snprintf(name, sizeof(name), "EVENT20261122-%u.jsonl", n);
        text = content(name);
        if (!text)
            break;
        assert_true(strlen(text) <= KIB(64));
        assert_true(slice_has_prefix(slice_str(text), SLICE_LIT("#Software: Penstock\r\n")));
        for (const char *l = strstr(text, "line "); l; l = strstr(l + 1, "line ")) {
            assert_int_equal(strtoul(l + 5, NULL, 10), next);
            next++;
        }
        assert_true(text[strlen(text) - 1] == '\n');
    }
    assert_int_equal(next, 6000);
    buf_done(&lines);
    folder_done(&f);
}

static void a_restart_goes_on_in_the_last_file(void **state)
{
    static const struct {
        const char *found, *expected; /* NULL: left as it is, and a new file begins */
    } cases[] = {
        {"H 2026-11-22T01:02:03.004Z\nold\n", "H 2026-11-22T01:02:03.004Z\nold\nnew\n"},
        {"H 2026-11-22T01:02:03.004Z\nold\ncut of", "H 2026-11-22T01:02:03.004Z\nold\nnew\n"},
        {"H 2026-11-22T01:02:03.004Z\n", "H 2026-11-22T01:02:03.004Z\nnew\n"},
        {"H 2026-11-22T01:02:03.004Z", NULL},
        {"another head, as long as that is\nold\n", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct folder_rules r = rules();
        struct folder f;

        r.head = "H %D\n";
        assert_int_equal(folder_make(path), 0);
        put("EVENT20261122-9.jsonl", "not the last\n");
        put("EVENT20261122-10.jsonl", cases[i].found);
        put("EVENT20261121-11.jsonl", "of yesterday\n");
        folder_init(&f, &r);
        append(&f, "new\n", NOON_MS);
        folder_done(&f);
        assert_content("EVENT20261122-10.jsonl",
                       cases[i].expected ? cases[i].expected : cases[i].found);
        assert_int_equal(content("EVENT20261122-11.jsonl") == NULL, cases[i].expected != NULL);
        assert_content("EVENT20261122-9.jsonl", "not the last\n");
        (void)unlink(path_in_folder("EVENT20261122-11.jsonl"));
    }
}

static void two_servers_do_not_share_a_file(void **state)
{
    struct folder_rules r = rules();
    struct folder a, b;

    (void)state;
    folder_init(&a, &r);
    folder_init(&b, &r);
    append(&a, "a\n", NOON_MS);
    append(&b, "b\n", NOON_MS);
    append(&a, "a\n", NOON_MS);
    assert_content("EVENT20261122-1.jsonl", "a\na\n");
    assert_content("EVENT20261122-2.jsonl", "b\n");
    folder_done(&a);
    folder_done(&b);
}

static void what_others_do_to_the_file_is_noticed(void **state)
{
    struct folder_rules r = rules();
    struct folder f;
    char command[2300];

    (void)state;
    r.head = "H\n";
    folder_init(&f, &r);
    append(&f, "1\n", NOON_MS);
    assert_int_equal(unlink(path_in_folder("EVENT20261122-1.jsonl")), 0);
    append(&f, "2\n", NOON_MS);
    assert_content("EVENT20261122-1.jsonl", "H\n2\n");

    (void)snprintf(command, sizeof(command), "mv %s %s.old", f.path, f.path);
    assert_int_equal(system(command), 0);
    append(&f, "3\n", NOON_MS);
    assert_content("EVENT20261122-1.jsonl.old", "H\n2\n");
    assert_content("EVENT20261122-1.jsonl", "H\n3\n");

    assert_int_equal(system(command), 0); /* moved away, and another file in its place */
    put("EVENT20261122-1.jsonl", "of somebody else\n");
    append(&f, "3b\n", NOON_MS);
    assert_content("EVENT20261122-1.jsonl", "of somebody else\n");
    assert_content("EVENT20261122-2.jsonl", "H\n3b\n");
    assert_int_equal(unlink(path_in_folder("EVENT20261122-1.jsonl")), 0);
    assert_int_equal(unlink(path_in_folder("EVENT20261122-2.jsonl")), 0);
    append(&f, "3\n", NOON_MS);

    assert_int_equal(truncate(path_in_folder("EVENT20261122-1.jsonl"), 0), 0);
    append(&f, "4\n", NOON_MS);
    assert_content("EVENT20261122-1.jsonl", "H\n4\n");

    (void)snprintf(command, sizeof(command), "mv %s/log %s/gone", top, top);
    assert_int_equal(system(command), 0);
    append(&f, "5\n", NOON_MS);
    assert_content("EVENT20261122-1.jsonl", "H\n5\n");
    folder_done(&f);
}

static void the_folder_stays_under_its_bound(void **state)
{
    struct folder_rules r = rules();
    struct folder f;
    struct buf lines = BUF_INIT(MIB(1));
    uint64_t bytes;

    (void)state;
    r.folder_max_bytes = KIB(256);
    folder_init(&f, &r);
    assert_int_equal(folder_make(path), 0);
    put("EVENT20200101-1.jsonl", "the oldest\n");
    put("other.jsonl", "of somebody else\n");
    for (unsigned i = 0; i < 400; i++)
        (void)buf_addf(&lines, "a line to fill it with\n");
    for (unsigned round = 0; round < 200; round++) {
        append(&f, buf_cstr(&lines), NOON_MS + round);
        assert_true(count_files(&bytes) > 0 && bytes <= KIB(256));
    }
    assert_true(bytes > KIB(128));
    assert_null(content("EVENT20200101-1.jsonl"));
    assert_null(content("EVENT20261122-1.jsonl"));
    assert_non_null(content("other.jsonl"));
    assert_int_equal(freed + bytes, 200 * buf_len(&lines) + strlen("the oldest\n"));
    buf_done(&lines);
    folder_done(&f);
}

static void a_folder_smaller_than_two_files_keeps_its_bound(void **state)
{
    struct folder_rules r = rules();
    struct folder f;
    struct buf lines = BUF_INIT(MIB(1));
    uint64_t bytes;

    (void)state;
    r.folder_max_bytes = KIB(32);
    folder_init(&f, &r);
    for (unsigned i = 0; i < 100; i++)
        (void)buf_addf(&lines, "a line to fill it with\n");
    for (unsigned round = 0; round < 100; round++) {
        append(&f, buf_cstr(&lines), NOON_MS + round);
        assert_true(count_files(&bytes) > 0 && bytes <= KIB(32));
    }
    buf_done(&lines);
    folder_done(&f);
}

static void old_files_go_and_the_open_one_stays(void **state)
{
    struct folder_rules r = rules();
    struct folder f;
    int64_t later_ms = NOON_MS + 31 * DAY_MS;

    (void)state;
    r.age_max_s = 30 * 24 * 3600;
    folder_init(&f, &r);
    for (int day = 0; day < 3; day++) {
        struct timespec times[2];

        append(&f, "x\n", NOON_MS + day * DAY_MS);
        times[0] = times[1] = (struct timespec){.tv_sec = (NOON_MS + day * DAY_MS) / 1000};
        assert_int_equal(utimensat(AT_FDCWD, f.path, times, 0), 0);
    }
    folder_trim(&f, later_ms - 2 * DAY_MS, &freed);
    assert_non_null(content("EVENT20261122-1.jsonl"));
    folder_trim(&f, later_ms + 1, &freed);
    assert_null(content("EVENT20261122-1.jsonl"));
    assert_non_null(content("EVENT20261123-1.jsonl"));
    folder_trim(&f, later_ms + 10 * DAY_MS, &freed);
    assert_null(content("EVENT20261123-1.jsonl"));
    assert_content("EVENT20261124-1.jsonl", "x\n"); /* the open one */
    folder_done(&f);
}

static void relief_ends_the_file_and_removes_the_oldest(void **state)
{
    struct folder_rules r = rules();
    struct folder f;
    uint64_t bytes;

    (void)state;
    folder_init(&f, &r);
    for (int day = 0; day < 4; day++)
        append(&f, "0123456789\n", NOON_MS + day * DAY_MS);
    folder_relieve(&f, 30, NOON_MS + 3 * DAY_MS, &freed);
    assert_int_equal(count_files(&bytes), 2);
    assert_int_equal(freed, 22);
    assert_null(content("EVENT20261123-1.jsonl"));
    append(&f, "on\n", NOON_MS + 3 * DAY_MS); /* it was under its share: it goes on */
    assert_content("EVENT20261125-1.jsonl", "0123456789\non\n");
    folder_relieve(&f, 0, NOON_MS + 3 * DAY_MS, &freed);
    assert_int_equal(count_files(&bytes), 0);
    append(&f, "again\n", NOON_MS + 3 * DAY_MS);
    assert_content("EVENT20261125-1.jsonl", "again\n");
    folder_done(&f);
}

/* A limit on files' sizes stands in for a full disk: a write is taken in part, then not at all. */
static void a_disk_that_takes_half_a_line_keeps_whole_ones(void **state)
{
    struct folder_rules r = rules();
    struct rlimit before, small;
    struct folder f;
    size_t written;
    int err;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    r.head = "head\n";
    folder_init(&f, &r);
    append(&f, "first\n", NOON_MS);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t at = 11; at < 11 + 21; at++) {
        assert_int_equal(truncate(f.path, 11), 0);
        small = (struct rlimit){.rlim_cur = at, .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        err = folder_append(&f, SLICE_LIT("second\nthird\nfourth\n"), NOON_MS, &written, &freed);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(err, at < 31 ? -EFBIG : 0);
        assert_int_equal(written, at < 18 ? 0 : at < 24 ? 7 : at < 31 ? 13 : 20);
        assert_true(err == 0 || strlen(f.why) > 0);
        assert_content("EVENT20261122-1.jsonl", at < 18   ? "head\nfirst\n"
                                                : at < 24 ? "head\nfirst\nsecond\n"
                                                : at < 31 ? "head\nfirst\nsecond\nthird\n"
                                                          : "head\nfirst\nsecond\nthird\nfourth\n");
    }
    folder_done(&f);
}

/* Not even the head fits: there is no file then, and later there is. */
static void a_disk_that_takes_half_a_head_has_no_file(void **state)
{
    struct folder_rules r = rules();
    struct rlimit before, small;
    struct folder f;
    size_t written;
    uint64_t bytes;

    (void)state;
    r.head = "head\nmore\n";
    folder_init(&f, &r);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 7, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(folder_append(&f, SLICE_LIT("x\n"), NOON_MS, &written, &freed), -EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(written, 0);
    assert_int_equal(count_files(&bytes), 0);
    append(&f, "x\n", NOON_MS);
    assert_content("EVENT20261122-1.jsonl", "head\nmore\nx\n");
    folder_done(&f);
}

static void what_mail_needs_is_not_taken(void **state)
{
    struct folder_rules r = rules();
    struct folder f;
    size_t written;

    (void)state;
    r.free_min_bytes = UINT64_MAX / 2;
    folder_init(&f, &r);
    assert_int_equal(folder_append(&f, SLICE_LIT("x\n"), NOON_MS, &written, &freed), -ENOSPC);
    assert_int_equal(written, 0);
    assert_non_null(strstr(f.why, "are kept free"));
    r.free_min_bytes = 1;
    folder_set_rules(&f, &r);
    append(&f, "x\n", NOON_MS);
    assert_content("EVENT20261122-1.jsonl", "x\n");
    folder_done(&f);
}

static void a_folder_that_cannot_be_made_is_an_error(void **state)
{
    struct folder_rules r = rules();
    char in_file[160];
    struct folder f;
    size_t written;

    (void)state;
    assert_int_equal(folder_make(path), 0);
    put("file", "");
    (void)snprintf(in_file, sizeof(in_file), "%s/file/folder", path);
    assert_int_equal(folder_make(in_file), -ENOTDIR);
    r.path = in_file;
    folder_init(&f, &r);
    assert_true(folder_append(&f, SLICE_LIT("x\n"), NOON_MS, &written, &freed) < 0);
    assert_true(strlen(f.why) > 0);
    folder_done(&f);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_top, remove_top)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_strictly),
        IN_FOLDER(a_file_has_its_name_mode_and_head),
        IN_FOLDER(midnight_begins_a_file),
        IN_FOLDER(a_full_file_is_followed_by_another),
        IN_FOLDER(a_restart_goes_on_in_the_last_file),
        IN_FOLDER(two_servers_do_not_share_a_file),
        IN_FOLDER(what_others_do_to_the_file_is_noticed),
        IN_FOLDER(the_folder_stays_under_its_bound),
        IN_FOLDER(a_folder_smaller_than_two_files_keeps_its_bound),
        IN_FOLDER(old_files_go_and_the_open_one_stays),
        IN_FOLDER(relief_ends_the_file_and_removes_the_oldest),
        IN_FOLDER(a_disk_that_takes_half_a_line_keeps_whole_ones),
        IN_FOLDER(a_disk_that_takes_half_a_head_has_no_file),
        IN_FOLDER(what_mail_needs_is_not_taken),
        IN_FOLDER(a_folder_that_cannot_be_made_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
