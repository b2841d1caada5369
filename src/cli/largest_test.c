/* cli/largest_test.c - walks over real folders. Mounts below are tests/e2e's: they need root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/largest.h"

#define SPARE KIB(512) /* what a file system may add to files and folders */

static char root[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof(root), "/tmp/penstock-largest-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *in_root(const char *path)
{
    static char whole[512];

    (void)snprintf(whole, sizeof(whole), "%s/%s", root, path);
    return whole;
}

static void make_folder(const char *path)
{
    assert_int_equal(mkdir(in_root(path), 0700), 0);
}

static void make_file(const char *path, size_t mib)
{
    int fd = open(in_root(path), O_CREAT | O_WRONLY | O_EXCL, 0600);

    assert_true(fd >= 0);
    if (mib > 0)
        assert_int_equal(posix_fallocate(fd, 0, (off_t)MIB(mib)), 0);
    assert_int_equal(close(fd), 0);
}

static struct largest look(void)
{
    struct largest_ask ask = {.root = root, .entries_max = 100000, .ms_max = 3600000};
    struct largest found;

    assert_int_equal(largest_find(&ask, &found), 0);
    return found;
}

static void expect(const struct largest_found *f, const char *path, uint64_t mib, bool is_folder)
{
    assert_string_equal(f->path, in_root(path));
    assert_int_equal(f->is_folder, is_folder);
    assert_in_range(f->bytes, MIB(mib), MIB(mib) + SPARE);
}

static void a_file_is_told_and_not_the_folders_above(void **state)
{
    struct largest l;

    (void)state;
    make_folder("a");
    make_folder("a/b");
    make_folder("a/b/c");
    make_file("a/b/c/backup", 40);
    make_file("a/b/small", 2);
    make_file("a/file", 3);
    make_file("tiny", 0);
    l = look();
    assert_int_equal(l.by_bytes_count, 3);
    expect(&l.by_bytes[0], "a/b/c/backup", 40, false);
    expect(&l.by_bytes[1], "a/file", 3, false);
    expect(&l.by_bytes[2], "a/b/small", 2, false);
    assert_in_range(l.bytes, MIB(45), MIB(45) + SPARE);
    assert_int_equal(l.files, 7);
    assert_int_equal(l.cut, LARGEST_WHOLE);
    largest_done(&l);
}

static void a_folder_of_equals_is_told_whole(void **state)
{
    struct largest l;
    char path[64];

    (void)state;
    make_folder("logs");
    make_folder("logs/old");
    for (int i = 0; i < 20; i++) {
        (void)snprintf(path, sizeof(path), "logs/%s%d", i % 2 ? "old/" : "", i);
        make_file(path, i % 4 == 0);
    }
    for (int i = 0; i < 10; i++) {
        (void)snprintf(path, sizeof(path), "logs/x%d", i);
        make_file(path, 1);
    }
    make_file("one", 8);
    l = look();
    assert_int_equal(l.by_bytes_count, 2);
    expect(&l.by_bytes[0], "logs", 15, true);
    assert_int_equal(l.by_bytes[0].files, 32);
    expect(&l.by_bytes[1], "one", 8, false);
    assert_int_equal(l.by_files_count, 2);
    assert_string_equal(l.by_files[0].path, in_root("logs"));
    largest_done(&l);
}

static void the_folder_with_the_most_files_is_found(void **state)
{
    struct largest l;
    char path[64];

    (void)state;
    make_folder("cache");
    make_folder("cache/deep");
    make_folder("other");
    for (int i = 0; i < 500; i++) {
        (void)snprintf(path, sizeof(path), "cache/deep/%d", i);
        make_file(path, 0);
    }
    make_file("other/large", 10);
    l = look();
    assert_string_equal(l.by_files[0].path, in_root("cache/deep"));
    assert_int_equal(l.by_files[0].files, 501);
    assert_string_equal(l.by_bytes[0].path, in_root("other/large"));
    largest_done(&l);
}

/* Links out are not followed, files with two names counted once, what is skipped is not there. */
static void only_what_lies_there_counts(void **state)
{
    struct largest_ask ask = {.root = root, .entries_max = 100000, .ms_max = 3600000};
    struct largest l;
    struct stat st;

    (void)state;
    make_folder("spool");
    make_file("spool/segment", 30);
    make_folder("a");
    make_file("a/x", 4);
    assert_int_equal(symlink("/", in_root("up")), 0);
    assert_int_equal(symlink("spool", in_root("link")), 0);
    assert_int_equal(symlink("loop", in_root("loop")), 0);
    assert_int_equal(mkfifo(in_root("pipe"), 0600), 0);
    make_file("named", 6);
    {
        char from[512];

        (void)snprintf(from, sizeof(from), "%s", in_root("named"));
        assert_int_equal(link(from, in_root("twice")), 0);
    }
    assert_int_equal(stat(in_root("spool"), &st), 0);
    ask.skipped[0].device = st.st_dev;
    ask.skipped[0].inode = st.st_ino;
    ask.skipped_count = 1;
    assert_int_equal(largest_find(&ask, &l), 0);
    assert_in_range(l.bytes, MIB(10), MIB(10) + SPARE);
    assert_int_equal(l.by_bytes_count, 3);
    expect(&l.by_bytes[0], "a/x", 4, false);
    /* Each of both names has its half. */
    assert_in_range(l.by_bytes[1].bytes, MIB(3), MIB(3) + SPARE);
    assert_in_range(l.by_bytes[2].bytes, MIB(3), MIB(3) + SPARE);
    largest_done(&l);
}

/* What lies high up was seen before what lies deep, and that the rest was not is told. */
static void a_walk_is_bounded(void **state)
{
    struct largest_ask ask = {.root = root, .entries_max = 100, .ms_max = 3600000};
    struct largest l;
    char path[64];

    (void)state;
    make_folder("deep");
    make_folder("deep/er");
    for (int i = 0; i < 300; i++) {
        (void)snprintf(path, sizeof(path), "deep/er/%d", i);
        make_file(path, 0);
    }
    make_file("high", 9);
    assert_int_equal(largest_find(&ask, &l), 0);
    assert_int_equal(l.cut, LARGEST_CUT_BY_ENTRIES);
    assert_int_equal(l.files, 100);
    expect(&l.by_bytes[0], "high", 9, false);
    largest_done(&l);
    ask = (struct largest_ask){.root = root, .entries_max = 100000, .ms_max = 0};
    assert_int_equal(largest_find(&ask, &l), 0);
    assert_int_equal(l.cut, LARGEST_CUT_BY_TIME);
    largest_done(&l);
    ask = (struct largest_ask){.root = root, .entries_max = 303, .ms_max = 3600000};
    assert_int_equal(largest_find(&ask, &l), 0);
    assert_int_equal(l.files, 303);
    largest_done(&l);
}

static void deep_folders_end_the_walk(void **state)
{
    struct largest l;
    char path[512] = "d";

    (void)state;
    make_folder("d");
    for (int i = 1; i < LARGEST_DEPTH_MAX + 4; i++) {
        size_t len = strlen(path);

        (void)snprintf(path + len, sizeof(path) - len, "/d");
        make_folder(path);
    }
    l = look();
    assert_int_equal(l.files, LARGEST_DEPTH_MAX);
    largest_done(&l);
}

static void what_cannot_be_walked_says_so(void **state)
{
    struct largest_ask ask = {.entries_max = 1000, .ms_max = 3600000};
    struct largest l;

    (void)state;
    ask.root = in_root("none");
    assert_int_equal(largest_find(&ask, &l), -ENOENT);
    make_file("file", 0);
    ask.root = in_root("file");
    assert_int_equal(largest_find(&ask, &l), -ENOTDIR);
    if (geteuid() == 0) /* who reads everything */
        return;
    make_folder("closed");
    assert_int_equal(chmod(in_root("closed"), 0), 0);
    ask.root = in_root("closed");
    assert_int_equal(largest_find(&ask, &l), -EACCES);
    l = look();
    assert_int_equal(l.unreadable, 1);
    largest_done(&l);
}

static void an_empty_folder_has_nothing(void **state)
{
    struct largest l = look();

    (void)state;
    assert_int_equal(l.by_bytes_count, 0);
    assert_int_equal(l.by_files_count, 0);
    assert_int_equal(l.bytes, 0);
    largest_done(&l);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_told_and_not_the_folders_above),
        TEST(a_folder_of_equals_is_told_whole),
        TEST(the_folder_with_the_most_files_is_found),
        TEST(only_what_lies_there_counts),
        TEST(a_walk_is_bounded),
        TEST(deep_folders_end_the_walk),
        TEST(what_cannot_be_walked_says_so),
        TEST(an_empty_folder_has_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
