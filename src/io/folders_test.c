/* io/folders_test.c - folders and those that lead to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/folders.h"

static char top[64];

static void folders_are_made_once(void **state)
{
    static const struct {
        const char *path;
        int result;
    } cases[] = {
        {"a", 0},      {"a", 0},           {"b/c/d", 0},         {"b/c/e/", 0},       {"b//f", 0},
        {"b/../g", 0}, {"file", -ENOTDIR}, {"file/x", -ENOTDIR}, {"file/", -ENOTDIR},
    };
    char path[128];
    struct stat st;
    int fd;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/file", top);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", top, cases[i].path);
        assert_int_equal(folders_make(slice_str(path), 0710), cases[i].result);
        if (cases[i].result == 0) {
            assert_int_equal(stat(path, &st), 0);
            assert_true(S_ISDIR(st.st_mode));
            assert_int_equal(st.st_mode & 0777, 0710);
        }
    }
}

static void a_part_of_a_text_is_no_more(void **state)
{
    char path[128];
    struct stat st;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/h/i", top);
    assert_int_equal(folders_make(slice_make(path, strlen(path) - 2), 0700), 0);
    assert_int_equal(stat(path, &st), -1);
}

static void paths_have_their_bounds(void **state)
{
    static char path[PATH_MAX + 1];

    (void)state;
    memset(path, '/', PATH_MAX);
    assert_int_equal(folders_make(slice_make(path, 0), 0700), -ENAMETOOLONG);
    assert_int_equal(folders_make(slice_make(path, 1), 0700), 0);
    assert_int_equal(folders_make(slice_make(path, PATH_MAX), 0700), -ENAMETOOLONG);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(top, sizeof(top), "/tmp/folders_test.XXXXXX");
    return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_made_once),
        cmocka_unit_test(a_part_of_a_text_is_no_more),
        cmocka_unit_test(paths_have_their_bounds),
    };

    umask(0);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
