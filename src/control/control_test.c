/*
 * control/control_test.c - the API over a real socket and loop, with a queue, schedule and spool
 * played by control_kit.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "control/control_kit.h"
#include "control/filter_int.h"
#include "io/loop.h"

/* ---- a client in the same thread ---- */

static char folder[32], path[64];
static struct loop *loop;
static struct control *control;

static int connect_to_it(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Reads until the server closes, turning the loop meanwhile. */
static void read_all(int fd, struct buf *to)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t n;

        loop_turn(loop, false);
        if (poll(&p, 1, 1) <= 0)
            continue;
        assert_int_equal(buf_reserve(to, 65536), 0);
        n = read(fd, buf_tail(to), 65536);
        if (n <= 0)
            return;
        buf_grew(to, (size_t)n);
    }
}

/* The descriptor at which the answer comes. */
static int begin_ask(const char *method, const char *url, const char *body)
{
    struct buf out = BUF_INIT(MIB(1));
    int fd = connect_to_it();

    (void)buf_addf(&out,
                   "%s %s HTTP/1.1\r\nHost: penstock\r\nConnection: close\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   method, url, strlen(body), body);
    assert_int_equal(send(fd, buf_cstr(&out), buf_len(&out), 0), buf_len(&out));
    buf_done(&out);
    return fd;
}

/* The status; the body of the answer comes in `ret`. */
static int end_ask(int fd, struct buf *ret)
{
    struct buf in = BUF_INIT(MIB(8));
    ptrdiff_t at;
    int status;

    read_all(fd, &in);
    (void)close(fd);
    at = slice_find_slice(buf_slice(&in), SLICE_LIT("\r\n\r\n"));
    assert_true(at > 12);
    status = atoi(buf_cstr(&in) + 9);
    buf_clear(ret);
    assert_int_equal(buf_add(ret, slice_from(buf_slice(&in), (size_t)at + 4)), 0);
    buf_done(&in);
    return status;
}

static int ask(const char *method, const char *url, const char *body, struct buf *ret)
{
    return end_ask(begin_ask(method, url, body), ret);
}

static json_t *ask_json(const char *method, const char *url, const char *body, int status)
{
    struct buf in = BUF_INIT(MIB(8));
    int got = ask(method, url, body, &in);
    json_t *read;

    if (got != status)
        print_message("%s %s: %d %s\n", method, url, got, buf_cstr(&in));
    assert_int_equal(got, status);
    read = json_loadb(buf_cstr(&in), buf_len(&in), 0, NULL);
    assert_non_null(read);
    buf_done(&in);
    return read;
}

static json_int_t int_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static const char *text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    assert_true(json_is_string(value));
    return json_string_value(value);
}

/* ---- tests ---- */

static void status_has_all_parts(void **state)
{
    json_t *status = ask_json("GET", "/v1/status", "", 200);

    (void)state;
    assert_string_equal(text_of(status, "version"), "test");
    assert_int_equal(int_of(status, "pid"), getpid());
    assert_int_equal(int_of(json_object_get(status, "queue"), "entries"), ENTRIES);
    assert_int_equal(int_of(json_object_get(status, "spool"), "free_bytes"), 12345);
    assert_int_equal(int_of(json_object_get(status, "counters"), "messages_accepted"), 0);
    json_decref(status);
    status = ask_json("GET", "/v1/spool", "", 200);
    assert_int_equal(int_of(status, "messages"), ENTRIES);
    json_decref(status);
}

/* Follows cursors to the end; returns how many elements `key` had in all. */
static size_t walk(const char *url, const char *key, unsigned *ret_pages)
{
    char next[256];
    size_t count = 0;

    (void)snprintf(next, sizeof(next), "%s", url);
    for (*ret_pages = 1;; ++*ret_pages) {
        json_t *page = ask_json("GET", next, "", 200);
        const char *cursor = json_string_value(json_object_get(page, "cursor"));

        count += json_array_size(json_object_get(page, key));
        if (cursor)
            (void)snprintf(next, sizeof(next), "%s&cursor=%s", url, cursor);
        json_decref(page);
        if (!cursor)
            return count;
    }
}

static void listings_come_in_pages(void **state)
{
    unsigned pages;

    (void)state;
    assert_int_equal(walk("/v1/queue?limit=1000&details=1", "items", &pages), ENTRIES);
    assert_int_equal(pages, 3);
    assert_int_equal(walk("/v1/queue?state=held", "items", &pages), ENTRIES / 10);
    assert_true(queue.filter.held_only);
    assert_int_equal(walk("/v1/queue/summary?limit=100", "destinations", &pages), DESTINATIONS / 2);
    assert_int_equal(pages, 2);
}

static void entries_have_their_details(void **state)
{
    json_t *page = ask_json("GET", "/v1/queue?limit=10&details=1", "", 200);
    const json_t *first = json_array_get(json_object_get(page, "items"), 0);
    const json_t *tenth = json_array_get(json_object_get(page, "items"), 9);

    (void)state;
    assert_string_equal(text_of(first, "id"), "1");
    assert_string_equal(text_of(first, "state"), "deferred");
    assert_string_equal(text_of(first, "sender"), "a@example.com");
    assert_int_equal(int_of(first, "bytes"), BODY_BYTES);
    assert_int_equal(int_of(first, "recipient_count"), 1); /* the other was delivered */
    assert_string_equal(json_string_value(json_array_get(json_object_get(first, "recipients"), 0)),
                        "b@example.org");
    assert_int_equal(int_of(first, "last_code"), 452);
    assert_string_equal(text_of(first, "last_text"), "4.3.1 \xef\xbf\xbd no room\nleft");
    assert_true(json_is_null(json_object_get(tenth, "next_attempt_ms")));
    json_decref(page);
}

static void filters_are_decoded(void **state)
{
    json_t *page = ask_json(
        "GET", "/v1/queue?sender=a%2Bb%40c&destination=Example.org&older_than_s=9", "", 200);

    (void)state;
    assert_int_equal(queue.filter.older_than_ms, 9000);
    assert_int_equal(queue.filter.sender.len, 5);
    assert_int_equal(queue.filter.destination.len, 11);
    json_decref(page);
}

static void a_message_is_told_whole(void **state)
{
    json_t *message = ask_json("GET", "/v1/queue/2d", "", 200);
    const json_t *recipients = json_object_get(message, "recipients");
    const json_t *history = json_object_get(message, "history");
    const json_t *results = json_object_get(json_array_get(history, 0), "results");

    (void)state;
    assert_string_equal(text_of(message, "id"), "2d");
    assert_int_equal(json_array_size(json_object_get(message, "entries")), 1);
    assert_int_equal(json_array_size(json_object_get(message, "flags")), 2);
    assert_int_equal(json_array_size(recipients), 2);
    assert_string_equal(text_of(json_array_get(recipients, 0), "state"), "pending");
    assert_int_equal(json_array_size(json_object_get(json_array_get(recipients, 0), "notify")), 2);
    assert_string_equal(text_of(json_array_get(recipients, 1), "state"), "delivered");
    assert_int_equal(json_array_size(history), 1);
    assert_int_equal(json_array_size(results), 2); /* like results stand together */
    assert_int_equal(json_array_size(json_object_get(json_array_get(results, 0), "recipients")), 2);
    assert_string_equal(text_of(json_array_get(results, 0), "text"), "4.3.1 no");
    json_decref(message);
}

static void bodies_are_streamed(void **state)
{
    struct buf in = BUF_INIT(MIB(1));

    (void)state;
    assert_int_equal(ask("GET", "/v1/queue/2d/body", "", &in), 200);
    assert_int_equal(buf_len(&in), BODY_BYTES);
    for (size_t i = 0; i < BODY_BYTES; i++)
        if (buf_slice(&in).ptr[i] != i % 251)
            fail();
    queue.body_breaks = true;
    assert_int_equal(ask("GET", "/v1/queue/2d/body", "", &in), 200);
    assert_true(buf_len(&in) < BODY_BYTES);
    queue.body_breaks = false;
    assert_int_equal(readers, 0);
    buf_done(&in);
}

static void actions_come_in_pages(void **state)
{
    char body[200] = "{\"action\":\"bounce\",\"filter\":{\"all\":true}}";
    unsigned pages = 0;

    (void)state;
    queue.acted = 0;
    changes = 0;
    while (body[0]) {
        json_t *page = ask_json("POST", "/v1/queue/actions", body, 200);
        const char *cursor = json_string_value(json_object_get(page, "cursor"));

        body[0] = 0;
        if (cursor)
            (void)snprintf(body, sizeof(body),
                           "{\"action\":\"bounce\",\"filter\":{\"all\":true},\"cursor\":\"%s\"}",
                           cursor);
        json_decref(page);
        pages++;
    }
    assert_int_equal(pages, 3);
    assert_int_equal(changes, 3);
    assert_int_equal(queue.action, QUEUE_BOUNCE);
    assert_int_equal(queue.acted, ENTRIES);
}

static const char removal[] = "{\"action\":\"remove\",\"filter\":{\"id\":\"2d\"}}";
static const char retry[] = "{\"action\":\"retry\",\"filter\":{\"id\":\"2d\"}}";

static bool has_answer(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    for (int i = 0; i < 20; i++)
        loop_turn(loop, false);
    return poll(&p, 1, 0) > 0;
}

static void tell_waiters(int result)
{
    size_t count = queue.waiter_count;

    queue.waiter_count = 0;
    for (size_t i = 0; i < count; i++)
        queue.waiters[i]->fn(queue.waiters[i], result);
}

/* An answer is a promise that no crash breaks. */
static void an_action_is_answered_when_it_is_durable(void **state)
{
    struct buf in = BUF_INIT(MIB(8));
    int fds[16]; /* as many as may wait */

    (void)state;
    queue.is_slow = true;
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = begin_ask("POST", "/v1/queue/actions", removal);
        assert_false(has_answer(fds[i]));
    }
    assert_int_equal(queue.waiter_count, ARRAY_SIZE(fds));
    queue.acted = 0;
    assert_int_equal(ask("POST", "/v1/queue/actions", removal, &in), 503);
    assert_int_equal(queue.acted, 0);
    assert_int_equal(ask("GET", "/health/live", "", &in), 200);
    tell_waiters(0);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        assert_int_equal(end_ask(fds[i], &in), 200);
    assert_non_null(strstr(buf_cstr(&in), "\"done\":1"));
    assert_int_equal(ask("POST", "/v1/queue/actions", retry, &in), 200); /* nothing to wait for */
    fds[0] = begin_ask("POST", "/v1/queue/actions", removal);
    assert_false(has_answer(fds[0]));
    tell_waiters(-EIO);
    assert_int_equal(end_ask(fds[0], &in), 500);
    assert_non_null(strstr(buf_cstr(&in), "a crash may undo it"));
    queue.is_slow = false;
    buf_done(&in);
}

static void a_server_ends_while_an_action_waits(void **state)
{
    struct buf why = BUF_INIT(1000);
    int fds[2];

    (void)state;
    queue.is_slow = true;
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = begin_ask("POST", "/v1/queue/actions", removal);
        assert_false(has_answer(fds[i]));
    }
    (void)close(fds[0]); /* its client did not wait */
    assert_false(has_answer(fds[1]));
    control_close(&control);
    assert_int_equal(queue.waiter_count, 0);
    (void)close(fds[1]);
    queue.is_slow = false;
    assert_int_equal(control_open(&control, loop, &seams, path, &why), 0);
    buf_done(&why);
}

static void the_suppression_list_is_changed(void **state)
{
    static const char url[] = "/v1/suppressions/actions",
                      add[] = "{\"action\":\"add\",\"addresses\":[\"A@b.test\",\"none\"],"
                              "\"note\":\"n\"}",
                      import[] = "{\"action\":\"import\",\"csv\":\"address,kind,code,class\\n"
                                 "a@b.test,automatic,550,mailbox-unknown\\n"
                                 "b@b.test,automatic,450,mailbox-unknown\\n\"}",
                      off[] = "{\"action\":\"remove\",\"addresses\":[\"a@b.test\"]}";
    json_t *answer = ask_json("POST", url, add, 200);

    (void)state;
    assert_int_equal(int_of(answer, "added"), 1);
    assert_int_equal(json_array_size(json_object_get(answer, "refused")), 1);
    json_decref(answer);
    answer = ask_json("POST", url, import, 200);
    assert_int_equal(int_of(answer, "already"), 1);
    assert_int_equal(json_array_size(json_object_get(answer, "refused")), 1);
    json_decref(answer);
    answer = ask_json("POST", url, off, 200);
    assert_int_equal(int_of(answer, "removed"), 1);
    json_decref(answer);
    answer = ask_json("POST", url, off, 200);
    assert_int_equal(int_of(answer, "removed"), 0);
    json_decref(answer);
    assert_int_equal(suppressed.waits, 4);
    suppressed.result = -ENOBUFS; /* full: told of the address */
    answer = ask_json("POST", url, add, 200);
    assert_int_equal(json_array_size(json_object_get(answer, "refused")), 2);
    json_decref(answer);
    suppressed.result = -ENOMEM;
    json_decref(ask_json("POST", url, add, 503));
    suppressed.result = 0;
    suppressed.waited_result = -ENOSPC;
    json_decref(ask_json("POST", url, add, 500));
    suppressed.waited_result = 0;
    suppressed.is_missing = true;
    json_decref(ask_json("POST", url, add, 503));
    suppressed.is_missing = false;
    json_decref(ask_json("POST", url, "{\"action\":\"x\"}", 400));
    json_decref(ask_json("POST", url, "{\"action\":\"add\",\"addresses\":[1]}", 400));
    json_decref(ask_json("POST", url, "{\"action\":\"import\"}", 400));
    json_decref(ask_json("POST", url, "no", 400));
}

static void a_reload_tells_what_is_wrong(void **state)
{
    json_t *answer = ask_json("POST", "/v1/config/reload", "", 200);

    (void)state;
    json_decref(answer);
    reload_fails = true;
    answer = ask_json("POST", "/v1/config/reload", "", 422);
    assert_string_equal(text_of(answer, "error"), "penstock.yaml:3:1: key 'x' is not known");
    json_decref(answer);
    reload_fails = false;
    assert_int_equal(reloads, 2);
}

/* The element of `list` whose `key` is `value`. */
static const json_t *find(const json_t *list, const char *key, const char *value)
{
    const json_t *e;
    size_t i;

    json_array_foreach(list, i, e) if (strcmp(text_of(e, key), value) == 0) return e;
    fail_msg("no %s %s", key, value);
    return NULL;
}

static void pressure_is_told_whole(void **state)
{
    json_t *view = ask_json("GET", "/v1/pressure", "", 200);
    const json_t *resources = json_object_get(view, "resources");
    const json_t *disk = find(resources, "name", "spool_disk");
    const json_t *stall = find(resources, "name", "cpu_stall");
    const json_t *classes = json_object_get(json_object_get(view, "admission"), "classes");
    const json_t *day = json_object_get(json_object_get(view, "sums"), "day");
    const json_t *totals = json_object_get(view, "totals");
    const json_t *bodies = json_array_get(json_object_get(view, "remedies"), 0);
    const json_t *change = json_array_get(json_object_get(view, "history"), 1);

    (void)state;
    assert_string_equal(text_of(view, "level"), "medium");
    assert_int_equal(int_of(view, "since_ms"), KIT_NOW_MS - 1000 - 200000);
    assert_int_equal(json_array_size(resources), GOVERNOR_RESOURCES);
    assert_string_equal(text_of(disk, "level"), "medium");
    assert_string_equal(text_of(disk, "exchange_name"), "DatabaseUsedSpace");
    assert_int_equal(int_of(disk, "percent"), 90);
    assert_int_equal(int_of(disk, "to_free"), GIB(6) / 10);
    assert_int_equal(int_of(disk, "high_in_s"), 410);
    assert_true(json_is_null(json_object_get(disk, "medium_in_s")));
    assert_true(json_number_value(json_object_get(disk, "trend_per_s")) > 1e6);
    assert_true(json_is_false(json_object_get(stall, "known")));
    assert_non_null(strstr(text_of(stall, "why"), "/proc/pressure/cpu"));
    assert_string_equal(text_of(find(classes, "class", "external"), "verdict"), "refuse");
    assert_string_equal(text_of(find(classes, "class", "external"), "token"), "spool-disk");
    assert_int_equal(int_of(find(classes, "class", "internal"), "delay_ms"), 4000);
    assert_string_equal(text_of(find(classes, "class", "report"), "verdict"), "open");
    assert_int_equal(int_of(find(json_object_get(day, "classes"), "class", "external"), "refused"),
                     3000);
    assert_int_equal(int_of(json_array_get(json_object_get(day, "clients"), 0), "refused"), 2700);
    assert_int_equal(int_of(bodies, "last_freed"), MIB(38));
    assert_string_equal(text_of(change, "direction"), "up");
    assert_int_equal(int_of(change, "threshold"), GIB(88) / 10);
    assert_int_equal(
        int_of(json_object_get(json_object_get(view, "at_level_ms"), "hour"), "medium"), 200000);
    assert_int_equal(int_of(json_object_get(json_object_get(view, "at_level_ms"), "total"), "high"),
                     1);
    assert_int_equal(int_of(json_object_get(totals, "refused_for"), "spool_disk"), 11);
    assert_int_equal(
        int_of(find(json_object_get(totals, "classes"), "class", "external"), "refused_client"), 3);
    assert_int_equal(int_of(bodies, "total_took_us"), 40000);
    json_decref(view);
}

static void lanes_are_listed_and_acted_on(void **state)
{
    static const char *const paths[] = {"/v1/lanes/big/out%201", "/v1/lanes/big%2Fout%201"};
    json_t *view;

    (void)state;
    played_lanes = &lanes;
    window_init(&lanes.window, WINDOW_MINUTE_MS, NOW);
    view = ask_json("GET", "/v1/lanes", "", 200);
    assert_int_equal(json_array_size(json_object_get(view, "lanes")), 1);
    json_decref(view);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        view = ask_json("GET", paths[i], "", 200);
        assert_string_equal(text_of(view, "name"), "big/out 1");
        json_decref(view);
    }
    view =
        ask_json("POST", "/v1/lanes/actions", "{\"lane\":\"big/out 1\",\"action\":\"pause\"}", 200);
    assert_true(json_is_true(json_object_get(view, "paused")));
    assert_true(lanes.paused);
    assert_int_equal(lanes_kept, 1);
    json_decref(view);
    view = ask_json("GET", "/v1/lanes/big/out2", "", 404);
    assert_string_equal(text_of(view, "error"), "There is no lane 'big/out2'.");
    json_decref(view);
    json_decref(
        ask_json("POST", "/v1/lanes/actions", "{\"lane\":\"x\",\"action\":\"pause\"}", 404));
    json_decref(ask_json("POST", "/v1/lanes/actions", "{\"lane\":\"big/out 1\"}", 400));
    json_decref(ask_json("POST", "/v1/lanes/actions",
                         "{\"lane\":\"big/out 1\",\"action\":\"limit\",\"connections\":99}", 503));
    json_decref(ask_json("POST", "/v1/lanes", "", 405));
    json_decref(ask_json("GET", "/v1/lanes/", "", 404));
    assert_int_equal(lanes_kept, 1); /* nothing more was done */
    played_lanes = NULL;
    json_decref(ask_json("GET", "/v1/lanes", "", 503));
    json_decref(ask_json("GET", "/v1/lanes/big/out%201", "", 503));
    json_decref(ask_json("POST", "/v1/lanes/actions", "{}", 503));
}

/* The settings that are told have an origin; paths are whole. */
static void pressure_tells_what_was_set(void **state)
{
    json_t *view = ask_json("GET", "/v1/pressure", "", 200);
    const json_t *settings = json_object_get(view, "configuration");

    (void)state;
    assert_int_equal(json_array_size(settings), 2);
    assert_string_equal(text_of(find(settings, "name", "pressure.interval"), "origin"), "p.yaml:1");
    assert_string_equal(text_of(find(settings, "name", "spool.directory"), "value"), "./s");
    assert_int_equal(text_of(json_object_get(view, "spool"), "directory")[0], '/');
    json_decref(view);
}

/* Lines that a reader of the page looks for; the format is metrics_out_test.c's, whole pages are
 * read by tests/e2e. */
static void metrics_are_those_of_the_view(void **state)
{
    static const char *const lines[] = {
        "# TYPE penstock_level gauge\npenstock_level 1\n",
        "penstock_level_seconds_total{level=\"normal\"} 90000.000\n",
        "penstock_level_span_seconds{level=\"medium\",span=\"hour\"} 200.000\n",
        "penstock_resource_level{resource=\"spool_disk\"} 1\n",
        "penstock_resource_used{resource=\"spool_disk\"} 9663676416\n",
        "penstock_resource_limit{resource=\"spool_disk\"} 10737418240\n",
        "penstock_resource_known{resource=\"io_stall\"} 0\n",
        "penstock_resource_info{resource=\"system_memory\",unit=\"bytes\",counts=\"advisory\","
        "rule=\"percent\",origin=\"MemTotal\"} 1\n",
        "penstock_resource_info{resource=\"queue\",unit=\"messages\",counts=\"observed\","
        "rule=\"absolute\",origin=\"counted\"} 1\n",
        "penstock_resource_threshold{resource=\"queue\",step=\"medium_to_low\"} 2000\n",
        "penstock_resource_threshold_configured{resource=\"memory\",step=\"low_to_medium\"} 88\n",
        "penstock_resource_forecast_seconds{resource=\"spool_disk\",until=\"high\"} 410\n",
        "penstock_resource_forecast_seconds{resource=\"spool_disk\",until=\"full\"} +Inf\n",
        "penstock_resource_forecast_seconds{resource=\"queue\",until=\"medium\"} 86400\n",
        "penstock_resource_level_seconds_total{resource=\"memory\",level=\"high\"} 0.000\n",
        "penstock_admission{class=\"external\"} 2\n",
        "penstock_admission_delay_seconds{class=\"internal\"} 4.000\n",
        "penstock_message_size_max_bytes 26214400\n",
        "penstock_mails_accepted_total{class=\"external\"} 7000\n",
        "penstock_mails_delayed_total{class=\"internal\"} 40\n",
        "penstock_refusals_total{class=\"external\",reason=\"client\"} 3\n",
        "penstock_refusals_for_total{resource=\"spool_disk\"} 11\n",
        "penstock_refusals_for_total{resource=\"size\"} 0\n",
        "penstock_sessions 250\n",
        "penstock_log_lines_lost_total 5\n",
        "penstock_remedy_freed_bytes_total{remedy=\"drop_bodies\"} 125829120\n",
        "penstock_remedy_seconds_total{remedy=\"drop_bodies\"} 0.040000\n",
        "penstock_remedy_running{remedy=\"pause_background\"} 1\n",
        "penstock_spool_free_bytes 12345\n",
        "# TYPE penstock_messages_accepted_total counter\npenstock_messages_accepted_total 0\n",
    };
    struct buf page = BUF_INIT(MIB(1));

    (void)state;
    assert_int_equal(ask("GET", "/metrics", "", &page), 200);
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        if (!strstr(buf_cstr(&page), lines[i]))
            fail_msg("not there: %s", lines[i]);
    assert_null(strstr(buf_cstr(&page), "resource_used{resource=\"cpu_stall\""));
    assert_null(strstr(buf_cstr(&page), "192.0.2.7")); /* clients make no series */
    buf_done(&page);
    assert_int_equal(ask("POST", "/metrics", "", &page), 405);
    buf_done(&page);
}

static void a_listing_has_the_servers_level(void **state)
{
    static const char *const urls[] = {"/v1/queue?limit=1", "/v1/status"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
        json_t *page = ask_json("GET", urls[i], "", 200);
        const json_t *pressure = json_object_get(page, "pressure");

        assert_string_equal(text_of(pressure, "level"), "medium");
        assert_int_equal(int_of(json_object_get(pressure, "refused"), "minute"), 11);
        assert_int_equal(int_of(json_object_get(pressure, "refused"), "hour"), 220);
        assert_int_equal(int_of(json_object_get(pressure, "refused"), "day"), 3300);
        assert_int_equal(int_of(json_object_get(pressure, "delayed"), "minute"), 2);
        json_decref(page);
    }
}

static void health_turns_with_the_gate(void **state)
{
    static const struct {
        const char *url, *class, *verdict;
        int status;
    } cases[] = {
        {"/health/ready", "external", "refuse", 503},
        {"/health/ready?class=external", "external", "refuse", 503},
        {"/health/ready?class=internal", "internal", "delay", 200},
        {"/health/ready?class=authenticated", "authenticated", "open", 200},
        {"/health/ready?class=second_copy", "second_copy", "open", 200},
    };
    json_t *answer = ask_json("GET", "/health/live", "", 200);

    (void)state;
    json_decref(answer);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool refuses = cases[i].status == 503;

        answer = ask_json("GET", cases[i].url, "", cases[i].status);
        assert_string_equal(text_of(answer, "class"), cases[i].class);
        assert_string_equal(text_of(answer, "verdict"), cases[i].verdict);
        assert_string_equal(text_of(json_object_get(answer, "pressure"), "level"), "medium");
        assert_int_equal(json_is_true(json_object_get(answer, "ready")), !refuses);
        if (refuses)
            assert_string_equal(text_of(answer, "resource"), "spool_disk");
        json_decref(answer);
    }
    stops = true;
    answer = ask_json("GET", "/health/ready?class=authenticated", "", 503);
    assert_true(json_is_true(json_object_get(answer, "stopping")));
    stops = false;
    json_decref(answer);
    spool_failed = true;
    answer = ask_json("GET", "/health/ready?class=authenticated", "", 503);
    assert_true(json_is_true(json_object_get(answer, "spool_failed")));
    spool_failed = false;
    json_decref(answer);
}

/* Without a governor nothing is refused by it. */
static void a_server_without_governor_is_ready(void **state)
{
    struct control_seams bare = seams;
    struct buf why = BUF_INIT(1000);
    struct control *governed_one = control;
    char old_path[sizeof(path)];
    json_t *answer;

    (void)state;
    memcpy(old_path, path, sizeof(path));
    (void)snprintf(path, sizeof(path), "%s/bare.sock", folder);
    bare.pressure = NULL;
    bare.is_stopping = NULL;
    assert_int_equal(control_open(&control, loop, &bare, path, &why), 0);
    answer = ask_json("GET", "/health/ready", "", 200);
    assert_string_equal(text_of(answer, "verdict"), "open");
    json_decref(answer);
    answer = ask_json("GET", "/v1/pressure", "", 503);
    json_decref(answer);
    answer = ask_json("GET", "/v1/queue?limit=1", "", 200);
    assert_true(json_is_null(json_object_get(answer, "pressure")));
    json_decref(answer);
    control_close(&control);
    control = governed_one;
    memcpy(path, old_path, sizeof(path));
    buf_done(&why);
}

static void wrong_requests_get_a_sentence(void **state)
{
    static const struct {
        const char *method, *url, *body;
        int status;
    } cases[] = {
        {"GET", "/", "", 404},
        {"GET", "/v1/queue/", "", 404},
        {"GET", "/v1/queue/!/body", "", 404},
        {"GET", "/v1/queue//body", "", 404},
        {"GET", "/v1/queue/zzzzzzzz", "", 404},
        {"GET", "/v1/queue/zzzzzzzz/body", "", 404},
        {"GET", "/v1/queue?x=1", "", 400},
        {"GET", "/v1/queue?limit", "", 400},
        {"GET", "/v1/queue/summary?limit=x", "", 400},
        {"POST", "/v1/queue", "", 405},
        {"DELETE", "/v1/queue/2d", "", 405},
        {"GET", "/v1/config/reload", "", 405},
        {"POST", "/health/ready", "", 405},
        {"GET", "/health/ready?class=report", "", 400},
        {"GET", "/health/ready?class=", "", 400},
        {"GET", "/health", "", 404},
        {"POST", "/v1/queue/actions", "", 400},
        {"POST", "/v1/queue/actions", "{\"action\":\"remove\"}", 400},
        {"POST", "/v1/queue/actions", "{\"action\":\"remove\",\"filter\":{}}", 400},
        {"POST", "/v1/queue/actions", "{\"action\":\"remove\",\"action\":\"hold\"}", 400},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *answer = ask_json(cases[i].method, cases[i].url, cases[i].body, cases[i].status);

        assert_true(strlen(text_of(answer, "error")) > 10);
        json_decref(answer);
    }
}

static void a_long_body_is_refused(void **state)
{
    char *body = malloc(100001);
    json_t *answer;

    (void)state;
    memset(body, 'x', 100000);
    body[100000] = 0;
    answer = ask_json("POST", "/v1/queue/actions", body, 413);
    json_decref(answer);
    free(body);
}

/* Whoever is neither root nor the server's user gets a 403, though the file's mode let them in. */
static void strangers_are_refused(void **state)
{
    struct buf in = BUF_INIT(MIB(1));

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(seteuid(65534), 0); /* the peer's credentials are taken at connect() */
    {
        int fd = connect_to_it();

        assert_int_equal(seteuid(0), 0);
        assert_true(write(fd, "GET /v1/status HTTP/1.0\r\n\r\n", 27) == 27);
        read_all(fd, &in);
        (void)close(fd);
    }
    assert_true(slice_find_slice(buf_slice(&in), SLICE_LIT(" 403 ")) > 0);
    assert_int_equal(chmod(path, 0600), 0);
    buf_done(&in);
}

static void half_a_request_hurts_nobody(void **state)
{
    int fds[8];
    json_t *status;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = connect_to_it();
        assert_true(
            write(fds[i], "GET /v1/queue/2d/body HTTP/1.1\r\nHost: x\r\n\r\nPOST", 6 + i * 6) > 0);
        loop_turn(loop, false);
    }
    status = ask_json("GET", "/v1/status", "", 200);
    json_decref(status);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        (void)close(fds[i]);
    for (int i = 0; i < 20; i++)
        loop_turn(loop, false);
    status = ask_json("GET", "/v1/status", "", 200);
    json_decref(status);
}

static void the_socket_is_kept_well(void **state)
{
    struct buf why = BUF_INIT(1000);
    struct control *second = NULL;
    struct stat st;
    char other[96];

    (void)state;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(control_open(&second, loop, &seams, path, &why), -EADDRINUSE);
    assert_null(second);
    assert_true(slice_find_slice(buf_slice(&why), SLICE_LIT("Another server answers")) == 0);
    assert_int_equal(stat(path, &st), 0);

    buf_clear(&why);
    (void)snprintf(other, sizeof(other), "%s/none/control.sock", folder);
    assert_int_equal(control_open(&second, loop, &seams, other, &why), -ENOENT);
    assert_true(buf_len(&why) > 20);

    buf_clear(&why);
    (void)snprintf(other, sizeof(other), "%s/file", folder);
    assert_int_equal(close(creat(other, 0600)), 0);
    assert_int_equal(control_open(&second, loop, &seams, other, &why), -EADDRINUSE);
    assert_int_equal(unlink(other), 0);

    /* What a crashed server left is replaced. */
    (void)snprintf(other, sizeof(other), "%s/stale.sock", folder);
    {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", other);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        (void)close(fd);
    }
    assert_int_equal(control_open(&second, loop, &seams, other, &why), 0);
    control_close(&second);
    assert_null(second);
    assert_int_equal(stat(other, &st), -1);
    buf_done(&why);
}

static int open_it(void **state)
{
    struct buf why = BUF_INIT(1000);

    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/penstock-control-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/control.sock", folder);
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(control_open(&control, loop, &seams, path, &why), 0);
    kit_init(&governed, "pressure.interval: 1s\nspool.directory: ./s\nlog.level: debug\n");
    buf_done(&why);
    return 0;
}

static int close_it(void **state)
{
    (void)state;
    control_close(&control);
    assert_int_equal(access(path, F_OK), -1);
    loop_free(&loop);
    assert_int_equal(rmdir(folder), 0);
    kit_done(&governed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_has_all_parts),
        cmocka_unit_test(listings_come_in_pages),
        cmocka_unit_test(entries_have_their_details),
        cmocka_unit_test(filters_are_decoded),
        cmocka_unit_test(a_message_is_told_whole),
        cmocka_unit_test(bodies_are_streamed),
        cmocka_unit_test(actions_come_in_pages),
        cmocka_unit_test(an_action_is_answered_when_it_is_durable),
        cmocka_unit_test(a_server_ends_while_an_action_waits),
        cmocka_unit_test(the_suppression_list_is_changed),
        cmocka_unit_test(a_reload_tells_what_is_wrong),
        cmocka_unit_test(pressure_is_told_whole),
        cmocka_unit_test(pressure_tells_what_was_set),
        cmocka_unit_test(metrics_are_those_of_the_view),
        cmocka_unit_test(a_listing_has_the_servers_level),
        cmocka_unit_test(health_turns_with_the_gate),
        cmocka_unit_test(a_server_without_governor_is_ready),
        cmocka_unit_test(lanes_are_listed_and_acted_on),
        cmocka_unit_test(wrong_requests_get_a_sentence),
        cmocka_unit_test(a_long_body_is_refused),
        cmocka_unit_test(strangers_are_refused),
        cmocka_unit_test(half_a_request_hurts_nobody),
        cmocka_unit_test(the_socket_is_kept_well),
    };

    return cmocka_run_group_tests(tests, open_it, close_it);
}
