/* event/record_test.c - the way of a line from any thread into its file, with the log thread
 * real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "event/event.h"
#include "event/record.h"
#include "io/thread.h"

#define THREADS 4
#define LINES_PER_THREAD 20000
#define LINES_IN_A_RING 7000 /* at least: of 140 bytes with what the ring adds */

static char top[64], directory[80];
static int log_fd;

static void start(enum event_format format, enum event_level level)
{
    struct event_config config = {.fd = log_fd, .format = format, .level = level};

    assert_int_equal(event_start(&config), 0);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(top, sizeof(top), "/tmp/record_test.XXXXXX");
    assert_non_null(mkdtemp(top));
    (void)snprintf(directory, sizeof(directory), "%s/log", top);
    log_fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(log_fd >= 0);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    close(log_fd);
    (void)snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command);
}

static struct record_config all_on(void)
{
    struct record_config c = {
        .directory = directory, .file_max_bytes = MIB(64), .folder_max_bytes = MIB(256)};

    for (int k = 0; k < RECORD_KINDS; k++)
        c.is_on[k] = true;
    return c;
}

static void configure(const struct record_config *c)
{
    const char *failed_path;

    assert_int_equal(record_set_config(c, &failed_path), 0);
}

static char *read_fd(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = malloc((size_t)size + 1);

    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t)size, 0), size);
    text[size] = '\0';
    return text;
}

/* The content of the only file of a kind, or NULL; free() it. */
static char *content_of(const char *folder)
{
    char pattern[128];
    char *text = NULL;
    glob_t found;

    (void)snprintf(pattern, sizeof(pattern), "%s/%s/*", directory, folder);
    if (glob(pattern, 0, NULL, &found) == 0) {
        int fd = open(found.gl_pathv[0], O_RDONLY | O_CLOEXEC);

        assert_int_equal(found.gl_pathc, 1);
        assert_true(fd >= 0);
        text = read_fd(fd);
        close(fd);
        globfree(&found);
    }
    return text;
}

static void assert_file(const char *folder, const char *expected)
{
    char *text = content_of(folder);

    if (!text)
        fail_msg("nothing in %s", folder);
    assert_string_equal(text, expected);
    free(text);
}

static void each_kind_has_its_file(void **state)
{
    struct record_config c = all_on();

    (void)state;
    c.heads[RECORD_TRACKING] = "# head\r\n";
    c.is_on[RECORD_CONNECTIVITY] = false;
    record_write(RECORD_SEND, SLICE_LIT("before it is on\n"));
    start(EVENT_LOGFMT, EVENT_INFO);
    assert_false(record_is_on(RECORD_SEND));
    configure(&c);
    assert_true(record_is_on(RECORD_SEND));
    assert_false(record_is_on(RECORD_CONNECTIVITY));
    record_write(RECORD_RECEIVE, SLICE_LIT("receive\r\n"));
    record_write(RECORD_SEND, SLICE_LIT("send\r\n"));
    record_write(RECORD_TRACKING, SLICE_LIT("tracking\r\n"));
    record_write(RECORD_CONNECTIVITY, SLICE_LIT("off\r\n"));
    event_flush();
    assert_file("receive", "receive\r\n");
    assert_file("send", "send\r\n");
    assert_file("tracking", "# head\r\ntracking\r\n");
    assert_null(content_of("connectivity"));
    assert_null(content_of("events"));

    /* A reload turns kinds on and off; the open file goes on. */
    c.is_on[RECORD_CONNECTIVITY] = true;
    c.is_on[RECORD_SEND] = false;
    configure(&c);
    record_write(RECORD_CONNECTIVITY, SLICE_LIT("on\r\n"));
    record_write(RECORD_SEND, SLICE_LIT("off\r\n"));
    record_write(RECORD_TRACKING, SLICE_LIT("more\r\n"));
    event_stop();
    assert_false(record_is_on(RECORD_TRACKING));
    assert_file("connectivity", "on\r\n");
    assert_file("send", "send\r\n");
    assert_file("tracking", "# head\r\ntracking\r\nmore\r\n");

    c.directory = NULL;
    start(EVENT_LOGFMT, EVENT_INFO);
    configure(&c);
    assert_false(record_is_on(RECORD_TRACKING));
    event_stop();
}

static void events_go_into_the_event_log(void **state)
{
    struct record_config c = all_on();
    char *log, *file, *json;

    (void)state;
    start(EVENT_LOGFMT, EVENT_ERROR);
    configure(&c);
    event(EVENT_CLIENT_LOST, EVENT_NO_ID, EV_STR("n", "an info"));
    event(EVENT_SERVER_READY, EVENT_NO_ID, EV_STR("n", "a notice"));
    event(EVENT_SPOOL_ERROR, 77, EV_STR("n", "an error"));
    event_flush();
    log = read_fd(log_fd);
    file = content_of("events");
    assert_null(strstr(log, "server_ready"));
    assert_non_null(strstr(log, " error spool_error id=2d n=\"an error\"\n"));
    assert_null(strstr(file, "an info"));
    assert_non_null(strstr(file, "\"event\":\"server_ready\",\"n\":\"a notice\"}\n{"));
    assert_non_null(strstr(file, "\"event\":\"spool_error\",\"id\":\"2d\",\"n\":\"an error\"}\n"));
    event_stop();
    free(log);
    free(file);

    /* Both want JSON: one text. */
    assert_int_equal(ftruncate(log_fd, 0), 0);
    assert_int_equal(lseek(log_fd, 0, SEEK_SET), 0);
    start(EVENT_JSON, EVENT_INFO);
    configure(&c);
    event(EVENT_SERVER_STOPPING, EVENT_NO_ID, EV_STR("why", "test"));
    event_stop();
    log = read_fd(log_fd);
    file = content_of("events");
    json = strstr(file, "an error\"}\n");
    assert_non_null(json);
    assert_string_equal(strchr(json, '\n') + 1, log);
    free(log);
    free(file);
}

static void a_log_that_is_off_leaves_the_event_log_on(void **state)
{
    struct record_config c = all_on();
    char *file, *log;

    (void)state;
    start(EVENT_LOGFMT, EVENT_NOTHING);
    configure(&c);
    event(EVENT_SERVER_READY, EVENT_NO_ID, EV_NONE);
    event_stop();
    file = content_of("events");
    log = read_fd(log_fd);
    assert_non_null(strstr(file, "server_ready"));
    assert_string_equal(log, "");
    free(file);
    free(log);
}

static void long_lines_are_cut_and_end_as_they_did(void **state)
{
    static char line[RECORD_LINE_MAX + 100];
    struct record_config c = all_on();
    char *text;

    (void)state;
    memset(line, 'x', sizeof(line));
    start(EVENT_LOGFMT, EVENT_INFO);
    configure(&c);
    line[sizeof(line) - 1] = '\n';
    record_write(RECORD_SEND, slice_make(line, sizeof(line)));
    line[sizeof(line) - 2] = '\r';
    record_write(RECORD_SEND, slice_make(line, sizeof(line)));
    record_write(RECORD_SEND, slice_make(line + 100, RECORD_LINE_MAX));
    event_stop();
    text = content_of("send");
    assert_int_equal(strlen(text), 3 * RECORD_LINE_MAX);
    assert_memory_equal(text + RECORD_LINE_MAX - 2, "x\nx", 3);
    assert_memory_equal(text + 2 * RECORD_LINE_MAX - 2, "\r\nx", 3);
    free(text);
}

static _Atomic uint32_t next_thread;
static pthread_barrier_t all_began;

static void write_many(void *ctx)
{
    uint32_t me = atomic_fetch_add(&next_thread, 1);
    char line[160];

    (void)ctx;
    for (uint32_t i = 0; i < LINES_PER_THREAD; i++) {
        int len = snprintf(line, sizeof(line), "thread=%u n=%u %.*s\r\n", me, i, (int)(i % 100),
                           "....................................................................."
                           "...............................");

        record_write(me % 2 ? RECORD_RECEIVE : RECORD_SEND, slice_make(line, (size_t)len));
        if (i % 1000 == 0)
            event(EVENT_SERVER_READY, EVENT_NO_ID, EV_UINT("thread", me));
        if (i == 0) /* each has a ring of its own: one that ends leaves it, full, to the next */
            (void)pthread_barrier_wait(&all_began);
    }
}

static uint64_t check_file(const char *folder, uint32_t *next)
{
    char *text = content_of(folder), *rest = NULL;
    uint64_t lines = 0;

    if (!text)
        fail_msg("nothing in %s; the log: '%s'", folder, read_fd(log_fd));
    for (char *l = strtok_r(text, "\n", &rest); l; l = strtok_r(NULL, "\n", &rest)) {
        unsigned thread, n;

        assert_int_equal(sscanf(l, "thread=%u n=%u", &thread, &n), 2);
        assert_true(thread < THREADS && n >= next[thread] && l[strlen(l) - 1] == '\r');
        next[thread] = n + 1;
        lines++;
    }
    free(text);
    return lines;
}

static void lines_of_many_threads_arrive_or_are_counted(void **state)
{
    uint64_t dropped = counter_get(COUNTER_RECORDS_DROPPED);
    struct record_config c = all_on();
    struct thread threads[THREADS];
    uint32_t next[THREADS] = {0};
    uint64_t lines;

    (void)state;
    atomic_store(&next_thread, 0);
    assert_int_equal(pthread_barrier_init(&all_began, NULL, THREADS), 0);
    start(EVENT_LOGFMT, EVENT_WARNING);
    configure(&c);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(thread_start(&threads[i], "write", write_many, NULL), 0);
    for (int i = 0; i < 50; i++) { /* settings come while lines do */
        c.file_max_bytes = MIB(64) + (uint64_t)i;
        configure(&c);
        (void)record_relieve(1);
    }
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    event_stop();
    assert_int_equal(pthread_barrier_destroy(&all_began), 0);
    lines = check_file("receive", next) + check_file("send", next);
    assert_int_equal(lines + counter_get(COUNTER_RECORDS_DROPPED) - dropped,
                     THREADS * LINES_PER_THREAD);
    for (int i = 0; i < THREADS; i++) /* whatever the load: what a ring holds is not lost */
        assert_true(next[i] >= LINES_IN_A_RING);
}

static void limit_file_sizes(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A full disk, for which a limit on files' sizes stands in: what it cannot hold is counted, the
 * loss is told when it begins and when it ends, and lines that came later are there. */
static void a_full_disk_costs_lines_and_is_told(void **state)
{
    uint64_t dropped = counter_get(COUNTER_RECORDS_DROPPED), lines = 0, told, lost;
    struct record_config c = all_on();
    char *text, *log, *ends;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    start(EVENT_LOGFMT, EVENT_WARNING);
    configure(&c);
    limit_file_sizes(1000);
    for (int i = 0; i < 20000; i++) {
        record_write(RECORD_SEND, SLICE_LIT("a line of thirty bytes or so\r\n"));
        if (i % 1000 == 999)
            event_flush();
    }
    text = content_of("send");
    assert_int_equal(strlen(text) % 30, 0); /* whole lines only */
    assert_true(strlen(text) <= 1000);
    free(text);
    limit_file_sizes(RLIM_INFINITY);
    event_stop(); /* the last try succeeds */

    text = content_of("send");
    for (char *l = strchr(text, '\n'); l; l = strchr(l + 1, '\n'))
        lines++;
    assert_int_equal(strlen(text), lines * 30);
    free(text);
    lost = counter_get(COUNTER_RECORDS_DROPPED) - dropped;
    assert_true(lost > 0 && lines > 0);
    assert_int_equal(lines + lost, 20000);

    log = read_fd(log_fd);
    assert_non_null(strstr(log, "warning records_lost state=begins file="));
    assert_non_null(strstr(log, "reason=\"it cannot be written: File too large\" lines=0"));
    ends = strstr(log, "records_lost state=ends");
    assert_non_null(ends);
    assert_int_equal(sscanf(strstr(ends, "lines="), "lines=%lu", &told), 1);
    assert_int_equal(told, lost);
    assert_null(strstr(ends + 1, "records_lost"));
    free(log);
    text = content_of("events");
    assert_non_null(strstr(text, "\"event\":\"records_lost\",\"state\":\"ends\""));
    free(text);
}

static void a_loss_at_the_end_is_told(void **state)
{
    uint64_t dropped = counter_get(COUNTER_RECORDS_DROPPED);
    struct record_config c = all_on();
    char *log;

    (void)state;
    c.free_min_bytes = UINT64_MAX / 2;
    start(EVENT_LOGFMT, EVENT_WARNING);
    configure(&c);
    record_write(RECORD_SEND, SLICE_LIT("a\n"));
    record_write(RECORD_SEND, SLICE_LIT("b\n"));
    event_stop();
    assert_int_equal(counter_get(COUNTER_RECORDS_DROPPED) - dropped, 2 + 4); /* and what told it */
    log = read_fd(log_fd);
    assert_non_null(strstr(log, "are kept free\" lines=0"));
    assert_non_null(strstr(log, "records_lost state=ends"));
    assert_non_null(strstr(log, "reason=\"the server stops\" lines=2 "));
    free(log);
}

/* What a disk did not take while its kind was on does not come when it is turned on again. */
static void a_kind_that_is_turned_off_ends_its_loss(void **state)
{
    struct record_config c = all_on();
    char *log;

    (void)state;
    start(EVENT_LOGFMT, EVENT_WARNING);
    c.free_min_bytes = UINT64_MAX / 2;
    configure(&c);
    record_write(RECORD_SEND, SLICE_LIT("old\n"));
    event_flush();
    c.is_on[RECORD_SEND] = false;
    c.free_min_bytes = 0;
    configure(&c);
    event_flush();
    c.is_on[RECORD_SEND] = true;
    configure(&c);
    record_write(RECORD_SEND, SLICE_LIT("new\n"));
    event_stop();
    assert_file("send", "new\n");
    log = read_fd(log_fd);
    assert_non_null(strstr(log, "reason=\"these files are turned off\" lines=1 "));
    free(log);
}

/* Nobody reads the log: files are written all the same, and the flush comes back. */
static void a_log_that_hangs_does_not_stop_the_files(void **state)
{
    struct event_config config = {.format = EVENT_LOGFMT, .level = EVENT_INFO};
    uint64_t dropped = counter_get(COUNTER_LOG_DROPPED);
    struct record_config c = all_on();
    int ends[2];
    char *text;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    config.fd = ends[1];
    assert_int_equal(event_start(&config), 0);
    configure(&c);
    for (int i = 0; i < 5000; i++)
        event(EVENT_SERVER_READY, EVENT_NO_ID, EV_INT("n", i));
    event_flush();
    event(EVENT_SERVER_STOPPING, EVENT_NO_ID, EV_STR("why", "last"));
    record_write(RECORD_SEND, SLICE_LIT("send\n"));
    event_flush();
    assert_file("send", "send\n");
    text = content_of("events");
    assert_non_null(strstr(text, "\"n\":4999}\n"));
    assert_non_null(strstr(text, "\"why\":\"last\"}\n"));
    free(text);
    event_stop();
    assert_true(counter_get(COUNTER_LOG_DROPPED) > dropped);
    close(ends[0]);
    close(ends[1]);
}

static void relief_frees_and_says_how_much(void **state)
{
    struct record_config c = all_on();
    struct record_relief before, after;
    uint64_t number;

    (void)state;
    start(EVENT_LOGFMT, EVENT_WARNING);
    configure(&c);
    record_write(RECORD_SEND, SLICE_LIT("123456789\n"));
    record_write(RECORD_RECEIVE, SLICE_LIT("123456789\n"));
    event_flush();
    record_get_relief(&before);
    number = record_relieve(0);
    assert_true(number > before.done);
    event_flush();
    record_get_relief(&after);
    assert_int_equal(after.done, number);
    assert_int_equal(after.freed_bytes - before.freed_bytes, 20);
    assert_true(after.took_us >= before.took_us);
    record_write(RECORD_SEND, SLICE_LIT("new\n"));
    event_stop();
    assert_file("send", "new\n");
    assert_null(content_of("receive"));
}

static void a_folder_that_cannot_be_made_changes_nothing(void **state)
{
    struct record_config c = all_on();
    const char *failed_path = NULL;
    char in_file[128];
    int fd;

    (void)state;
    (void)snprintf(in_file, sizeof(in_file), "%s/file", top);
    fd = open(in_file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    start(EVENT_LOGFMT, EVENT_WARNING);
    configure(&c);
    c.directory = in_file;
    assert_int_equal(record_set_config(&c, &failed_path), -ENOTDIR);
    assert_non_null(strstr(failed_path, "/file/events"));
    record_write(RECORD_SEND, SLICE_LIT("as before\n"));
    event_stop();
    assert_file("send", "as before\n");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_FOLDER(each_kind_has_its_file),
        IN_FOLDER(events_go_into_the_event_log),
        IN_FOLDER(a_log_that_is_off_leaves_the_event_log_on),
        IN_FOLDER(long_lines_are_cut_and_end_as_they_did),
        IN_FOLDER(lines_of_many_threads_arrive_or_are_counted),
        IN_FOLDER(a_full_disk_costs_lines_and_is_told),
        IN_FOLDER(a_kind_that_is_turned_off_ends_its_loss),
        IN_FOLDER(a_loss_at_the_end_is_told),
        IN_FOLDER(a_log_that_hangs_does_not_stop_the_files),
        IN_FOLDER(relief_frees_and_says_how_much),
        IN_FOLDER(a_folder_that_cannot_be_made_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
