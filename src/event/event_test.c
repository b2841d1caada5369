/* event/event_test.c - the rings, the log thread and the counters, with many threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "event/event.h"
#include "io/thread.h"

#define THREADS 4
#define LINES_PER_THREAD 5000

static int memory_file(void)
{
    int fd = memfd_create("log", MFD_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* What was written, NUL-ended; free() it. */
static char *content_of(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = malloc((size_t)size + 1);

    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t)size, 0), size);
    text[size] = '\0';
    return text;
}

static void start(int fd, enum event_level level)
{
    struct event_config config = {
        .target = EVENT_TO_FD, .fd = fd, .format = EVENT_LOGFMT, .level = level};

    assert_int_equal(event_start(&config), 0);
}

static void levels_hold_lines_back_and_still_count(void **state)
{
    uint64_t before = counter_get(COUNTER_CONNECTIONS_IN);
    int fd = memory_file();
    struct event_config config = {.fd = fd, .format = EVENT_JSON, .level = EVENT_DEBUG};
    char *text;

    (void)state;
    event(EVENT_CLIENT_CONNECTED, EVENT_NO_ID, EV_STR("n", "before the start"));
    start(fd, EVENT_INFO);
    event(EVENT_CLIENT_CONNECTED, EVENT_NO_ID, EV_STR("n", "too low"));
    event(EVENT_CLIENT_LOST, 77, EV_STR("n", "written"));
    event_set_config(&config);
    event(EVENT_CLIENT_CONNECTED, EVENT_NO_ID, EV_NONE);
    event_flush();
    text = content_of(fd);
    assert_null(strstr(text, "before"));
    assert_null(strstr(text, "too low"));
    assert_non_null(strstr(text, "info client_lost id=2d n=written\n{\"time\":"));
    assert_non_null(strstr(text, "\"event\":\"client_connected\"}\n"));
    free(text);
    event_stop();
    event(EVENT_CLIENT_LOST, 78, EV_NONE);
    assert_int_equal(counter_get(COUNTER_CONNECTIONS_IN) - before, 3);
    close(fd);
}

static _Atomic uint32_t next_thread;

static void tell_many(void *ctx)
{
    uint32_t me = atomic_fetch_add(&next_thread, 1);

    (void)ctx;
    for (uint32_t i = 0; i < LINES_PER_THREAD; i++) {
        event(EVENT_MESSAGE_ACCEPTED, i + 1, EV_UINT("thread", me), EV_UINT("n", i));
        counter_add(COUNTER_BYTES_IN, 3);
    }
}

static void run_threads(void (*fn)(void *ctx))
{
    struct thread threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(thread_start(&threads[i], "tell", fn, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
}

/* Every line is there, whole and in the order of its thread, or counted as dropped. */
static void check_lines(char *text, uint64_t dropped_expected)
{
    uint32_t next[THREADS] = {0};
    uint64_t lines = 0, dropped_told = 0;
    char *rest = NULL;

    for (char *l = strtok_r(text, "\n", &rest); l; l = strtok_r(NULL, "\n", &rest)) {
        const char *fields = strstr(l, "thread=");
        unsigned thread, n;
        unsigned long long dropped;

        if (!fields) {
            fields = strstr(l, "log_dropped lines=");
            assert_non_null(fields);
            assert_int_equal(sscanf(fields, "log_dropped lines=%llu", &dropped), 1);
            dropped_told += dropped;
            continue;
        }
        assert_int_equal(sscanf(fields, "thread=%u n=%u", &thread, &n), 2);
        assert_true(thread < THREADS && n >= next[thread]);
        next[thread] = n + 1;
        lines++;
    }
    assert_int_equal(lines + dropped_told, THREADS * LINES_PER_THREAD);
    assert_int_equal(dropped_told, dropped_expected);
}

static void lines_of_many_threads_arrive_or_are_counted(void **state)
{
    uint64_t messages = counter_get(COUNTER_MESSAGES_ACCEPTED);
    uint64_t bytes = counter_get(COUNTER_BYTES_IN);
    uint64_t dropped = counter_get(COUNTER_LOG_DROPPED);
    int fd = memory_file();
    char *text;

    (void)state;
    atomic_store(&next_thread, 0);
    start(fd, EVENT_INFO);
    run_threads(tell_many);
    event_flush();
    event_stop();
    assert_int_equal(counter_get(COUNTER_MESSAGES_ACCEPTED) - messages, THREADS * LINES_PER_THREAD);
    assert_int_equal(counter_get(COUNTER_BYTES_IN) - bytes, 3 * THREADS * LINES_PER_THREAD);
    text = content_of(fd);
    check_lines(text, counter_get(COUNTER_LOG_DROPPED) - dropped);
    free(text);
    close(fd);
}

/* Nobody reads the pipe: no thread waits, lines are dropped and counted, the end comes. */
static void a_reader_that_does_not_read_stops_nobody(void **state)
{
    uint64_t dropped = counter_get(COUNTER_LOG_DROPPED);
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    atomic_store(&next_thread, 0);
    start(ends[1], EVENT_INFO);
    run_threads(tell_many);
    event_stop();
    assert_true(counter_get(COUNTER_LOG_DROPPED) > dropped);
    close(ends[0]);
    close(ends[1]);
}

static void a_closed_pipe_costs_lines_only(void **state)
{
    uint64_t dropped = counter_get(COUNTER_LOG_DROPPED);
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    start(ends[1], EVENT_INFO);
    event(EVENT_CLIENT_LOST, EVENT_NO_ID, EV_NONE);
    event_flush();
    event_stop();
    assert_true(counter_get(COUNTER_LOG_DROPPED) > dropped);
    close(ends[1]);
}

static void lines_before_the_stop_are_written(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        int fd = memory_file();
        char *text;

        start(fd, EVENT_INFO);
        event(EVENT_SERVER_STOPPING, EVENT_NO_ID, EV_STR("reason", "test"));
        event_stop();
        text = content_of(fd);
        assert_non_null(strstr(text, "notice server_stopping reason=test\n"));
        free(text);
        close(fd);
    }
}

static void names_are_all_different(void **state)
{
    (void)state;
    for (unsigned a = 0; a < COUNTERS; a++)
        for (unsigned b = a + 1; b < COUNTERS; b++)
            assert_string_not_equal(counter_name(a), counter_name(b));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_hold_lines_back_and_still_count),
        cmocka_unit_test(lines_of_many_threads_arrive_or_are_counted),
        cmocka_unit_test(a_reader_that_does_not_read_stops_nobody),
        cmocka_unit_test(a_closed_pipe_costs_lines_only),
        cmocka_unit_test(lines_before_the_stop_are_written),
        cmocka_unit_test(names_are_all_different),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
