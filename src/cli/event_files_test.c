/* cli/event_files_test.c - files of the event log that are written, ended and lost while read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/event_files.h"

static char folder[64];
static struct event_files files;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/event_files_test.XXXXXX");
    return mkdtemp(folder) ? event_files_open(&files, RECORD_EVENTS, folder, 0) : -1;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    event_files_close(&files);
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text, const char *mode)
{
    FILE *f = fopen(path_of(name), mode);

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void add(const char *name, const char *text)
{
    write_file(name, text, "ae");
}

/* The lines there are now, NULL-ended. */
static void assert_lines(const char *const *expected)
{
    struct slice line;

    for (; *expected; expected++) {
        assert_int_equal(event_files_next(&files, &line), 1);
        assert_int_equal(line.len, strlen(*expected) + 1);
        assert_memory_equal(line.ptr, *expected, line.len - 1);
    }
    assert_int_equal(event_files_next(&files, &line), 0);
}
#define ASSERT_LINES(...) assert_lines((const char *const[]){__VA_ARGS__})

static void files_come_in_order(void **state)
{
    (void)state;
    add("EVENT20261122-10.jsonl", "d\n");
    add("EVENT20261122-9.jsonl", "c\n");
    add("EVENT20261121-11.jsonl", "a\nb\n");
    add("EVENT20261123-1.jsonl", "e\n");
    add("EVENT20261123-1.jsonl.gz", "no\n");
    add("RECV20261123-2.log", "no\n");
    assert_int_equal(mkdir(path_of("EVENT20261123-2.jsonl"), 0700), 0);
    ASSERT_LINES("a", "b", "c", "d", "e", NULL);
}

static void a_line_is_given_when_it_is_whole(void **state)
{
    (void)state;
    ASSERT_LINES(NULL);
    add("EVENT20261122-1.jsonl", "fir");
    ASSERT_LINES(NULL);
    add("EVENT20261122-1.jsonl", "st\nsec");
    ASSERT_LINES("first", NULL);
    add("EVENT20261122-1.jsonl", "ond\n");
    ASSERT_LINES("second", NULL);
    assert_int_equal(files.cut, 0);
}

static void rotation_loses_nothing(void **state)
{
    (void)state;
    add("EVENT20261122-1.jsonl", "1\n");
    ASSERT_LINES("1", NULL);
    add("EVENT20261122-1.jsonl", "2\n");
    add("EVENT20261122-2.jsonl", "3\n");
    add("EVENT20261123-1.jsonl", "4\n");
    ASSERT_LINES("2", "3", "4", NULL);
    assert_int_equal(unlink(path_of("EVENT20261123-1.jsonl")), 0);
    ASSERT_LINES(NULL);
    add("EVENT20261123-1.jsonl", "5\n"); /* another file of that name */
    ASSERT_LINES("5", NULL);
    assert_int_equal(truncate(path_of("EVENT20261123-1.jsonl"), 0), 0);
    ASSERT_LINES(NULL);
    add("EVENT20261123-1.jsonl", "6\n");
    ASSERT_LINES("6", NULL);
    assert_int_equal(files.cut, 0);
}

static void cut_lines_are_counted(void **state)
{
    (void)state;
    add("EVENT20261122-1.jsonl", "1\ncut");
    add("EVENT20261122-2.jsonl", "2\ncut too");
    ASSERT_LINES("1", "2", NULL);
    assert_int_equal(files.cut, 1);
    event_files_ended(&files);
    assert_int_equal(files.cut, 2);
}

static void long_lines_are_passed_over(void **state)
{
    size_t len = 3 * EVENT_FILES_LINE_MAX;
    char *text = malloc(len + 1);

    (void)state;
    assert_non_null(text);
    memset(text, 'x', len);
    text[len] = '\0';
    add("EVENT20261122-1.jsonl", "1\n");
    add("EVENT20261122-1.jsonl", text);
    ASSERT_LINES("1", NULL);
    add("EVENT20261122-1.jsonl", "\n2\n");
    ASSERT_LINES("2", NULL);
    assert_int_equal(files.cut, 1);
    text[EVENT_FILES_LINE_MAX - 1] = '\0'; /* as long as a line may be */
    add("EVENT20261122-1.jsonl", text);
    add("EVENT20261122-1.jsonl", "\n3\n");
    ASSERT_LINES(text, "3", NULL);
    assert_int_equal(files.cut, 1);
    free(text);
}

static void a_folder_that_goes_and_comes_back(void **state)
{
    (void)state;
    ASSERT_LINES(NULL);
    assert_int_equal(rmdir(folder), 0);
    ASSERT_LINES(NULL);
    assert_int_equal(mkdir(folder, 0700), 0);
    add("EVENT20261122-1.jsonl", "1\n");
    ASSERT_LINES("1", NULL);
}

static void no_folder_is_an_error(void **state)
{
    static struct event_files none;

    (void)state;
    assert_int_equal(event_files_open(&none, RECORD_EVENTS, path_of("none"), 0), -ENOENT);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_FOLDER(files_come_in_order),        IN_FOLDER(a_line_is_given_when_it_is_whole),
        IN_FOLDER(rotation_loses_nothing),     IN_FOLDER(cut_lines_are_counted),
        IN_FOLDER(long_lines_are_passed_over), IN_FOLDER(a_folder_that_goes_and_comes_back),
        IN_FOLDER(no_folder_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
