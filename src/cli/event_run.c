/* cli/event_run.c - see event_run.h. */
#include "cli/event_run.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/event_text.h"
#include "cli/when.h"
#include "config/config.h"

#define POLL_MS 200
#define PAGE_ROWS 500

const char event_options_help[] =
    "  --since WHEN          from then on: an age (90s, 30m, 24h, 7d) or a time (2026-11-22,\n"
    "                        '2026-11-22 20:30', 2026-11-22T19:30Z)\n"
    "  --until WHEN          until then\n"
    "  -n, --lines COUNT     the last COUNT of them\n"
    "  -f, --follow          go on with new ones as they come; begins with the last 10 unless\n"
    "                        --since or -n says otherwise\n"
    "  --json                the lines as they are in the files, one object each\n";
const char event_options_help_end[] =
    "\n"
    "  -c, --config FILE     the configuration that names the folder of the log files\n"
    "  --set NAME=VALUE      a setting that wins over the file\n"
    "  --directory DIR       that folder, whatever the configuration says";

struct run {
    const struct event_view *view;
    const struct event_options *o;
    struct event_files files;
    struct table table;
    size_t rows; /* in the table, not printed yet */
    uint64_t printed, unreadable;
    char **last; /* a ring of o->count lines, NULL where all are printed at once */
    uint64_t last_count;
};

/* ---- one event ---- */

static int add_row(struct run *run, const json_t *event, int64_t at_ms)
{
    int r = run->view->add_row(run->view->ctx, &run->table, event, at_ms);

    if (r == 0 && ++run->rows == PAGE_ROWS) {
        table_flush(&run->table);
        run->rows = 0;
    }
    return r;
}

static int print_event(struct run *run, struct slice line, const json_t *event, int64_t at_ms)
{
    int r = 1;

    if (run->o->json)
        (void)fwrite(line.ptr, 1, line.len, stdout);
    else if (run->view->print)
        r = run->view->print(run->view->ctx, event);
    else if (add_row(run, event, at_ms) < 0)
        r = -ENOMEM;
    if (r > 0)
        run->printed++;
    return r < 0 ? r : 0;
}

/* A line of the log as an object with a time and an event; NULL: it is none. */
static json_t *parse_event(struct slice line, int64_t *ret_ms)
{
    json_t *event = json_loadb((const char *)line.ptr, line.len, JSON_ALLOW_NUL, NULL);

    if (event && json_is_string(json_object_get(event, "event")) &&
        event_text_time(event, ret_ms) == 0)
        return event;
    json_decref(event);
    return NULL;
}

/* ---- all of them ---- */

/* Keeps the line for later, in place of the oldest kept. */
static int keep_line(struct run *run, struct slice line)
{
    char **place = &run->last[run->last_count++ % run->o->count];
    char *copy = strndup((const char *)line.ptr, line.len);

    if (!copy)
        return -ENOMEM;
    free(*place);
    *place = copy;
    return 0;
}

static int on_line(struct run *run, struct slice line)
{
    int64_t at_ms;
    json_t *event = parse_event(line, &at_ms);
    int fits = event ? run->view->fits(run->view->ctx, event) : -EINVAL;
    int r = 0;

    if (fits < 0)
        run->unreadable++;
    else if (fits && at_ms >= run->o->since_ms && at_ms <= run->o->until_ms)
        r = run->last ? keep_line(run, line) : print_event(run, line, event, at_ms);
    json_decref(event);
    return r;
}

static int read_all(struct run *run)
{
    struct slice line;
    int r;

    while ((r = event_files_next(&run->files, &line)) > 0) {
        r = on_line(run, line);
        if (r < 0 || ferror(stdout))
            return r < 0 ? r : -EIO;
    }
    return r;
}

/* The lines kept, and no more are kept from then on. */
static int print_last(struct run *run)
{
    uint64_t count = run->last ? MIN_OF(run->last_count, run->o->count) : 0;
    int r = 0;

    for (uint64_t i = 0; i < count && r == 0; i++) {
        char *text = run->last[(run->last_count - count + i) % run->o->count];
        int64_t at_ms;
        json_t *event = parse_event(slice_str(text), &at_ms);

        if (event)
            r = print_event(run, slice_str(text), event, at_ms);
        json_decref(event);
    }
    for (uint64_t i = 0; run->last && i < run->o->count; i++)
        free(run->last[i]);
    free(run->last);
    run->last = NULL;
    return r;
}

static int flush_output(struct run *run)
{
    table_flush(&run->table);
    run->rows = 0;
    return fflush(stdout) == EOF ? -EIO : 0;
}

/* Until a signal or an error ends it. */
static int follow(struct run *run)
{
    static const struct timespec nap = {.tv_nsec = POLL_MS * NS_PER_MS};
    int r = 0;

    while (r == 0) {
        (void)nanosleep(&nap, NULL);
        r = read_all(run);
        if (r == 0)
            r = flush_output(run);
    }
    return r;
}

static void tell_the_rest(struct run *run)
{
    uint64_t unreadable = run->unreadable + run->files.cut;

    if (unreadable)
        fprintf(stderr, "penstock %s: %" PRIu64 " line%s could not be read and %s left out\n",
                run->view->command, unreadable, unreadable == 1 ? "" : "s",
                unreadable == 1 ? "was" : "were");
    if (run->printed == 0 && !run->o->json)
        printf("There are no %s, or none that fit.\n", run->view->command);
}

static int run_folder(const struct event_view *view, const struct event_options *o,
                      const char *folder)
{
    struct run run = {.view = view, .o = o};
    int r = event_files_open(&run.files, view->kind, folder, o->since_ms);

    if (r < 0)
        return command_error(view->command, "there is no %s in %s: %s", view->log, folder,
                             err_str(r));
    table_init(&run.table, view->columns, view->column_count, 0, stdout);
    if (o->count) {
        run.last = calloc(o->count, sizeof(*run.last));
        r = run.last ? 0 : -ENOMEM;
    }
    if (r == 0)
        r = read_all(&run);
    if (r == 0)
        r = print_last(&run);
    if (r == 0)
        r = flush_output(&run);
    if (r == 0 && o->follow)
        r = follow(&run);
    if (r == 0) {
        event_files_ended(&run.files);
        tell_the_rest(&run);
    }
    (void)print_last(&run); /* frees what an error left */
    table_done(&run.table);
    event_files_close(&run.files);
    return r < 0 ? command_error(view->command, "%s: %s", folder, err_str(r)) : EXIT_DONE;
}

/* ---- options ---- */

/* DIR/events, or DIR where it holds the files itself. */
static int find_folder(const struct event_view *view, const char *directory, struct buf *ret)
{
    struct stat st;

    if (buf_addf(ret, "%s/%s", directory, view->folder) < 0)
        return -ENOMEM;
    if (stat(buf_cstr(ret), &st) < 0 && stat(directory, &st) == 0) {
        buf_clear(ret);
        return buf_add_str(ret, directory);
    }
    return 0;
}

static int run_in(const struct event_view *view, const struct event_options *o,
                  const char *directory)
{
    struct buf folder = BUF_INIT(FOLDER_PATH_MAX);
    int code;

    if (find_folder(view, directory, &folder) < 0)
        code = command_error(view->command, "%s: the path is too long", directory);
    else
        code = run_folder(view, o, buf_cstr(&folder));
    buf_done(&folder);
    return code;
}

static int run_configured(const struct event_view *view, const struct event_options *o)
{
    struct buf why = BUF_INIT(CONFIG_WHY_MAX);
    const struct config *held;
    struct config *config;
    int code;

    if (config_load(o->config, o->overrides.items, o->overrides.count, &config, &why) < 0) {
        code = command_error(view->command, "%s", buf_cstr(&why));
    } else {
        held = config;
        if (config->log.files.directory)
            code = run_in(view, o, config->log.files.directory);
        else
            code = command_error(view->command,
                                 "the server keeps no log files: log.files.directory is none");
        config_unref(&held);
    }
    buf_done(&why);
    return code;
}

static int read_times(const char *command, struct event_options *o)
{
    int64_t now_ms = clock_wall_ms();
    int r = EXIT_DONE;

    o->until_ms = INT64_MAX;
    if (o->since)
        r = when_parse(command, "--since", o->since, now_ms, &o->since_ms);
    if (r == EXIT_DONE && o->until)
        r = when_parse(command, "--until", o->until, now_ms, &o->until_ms);
    if (r == EXIT_DONE && o->since_ms > o->until_ms)
        r = usage_error(command, "--since is later than --until");
    return r;
}

int event_run(const struct event_view *view, struct event_options *o)
{
    int r = read_times(view->command, o);

    if (r != EXIT_DONE)
        return r;
    if (o->config && o->directory)
        return usage_error(view->command, "-c and --directory do not go together");
    if (o->follow && !o->since && o->count == 0)
        o->count = EVENT_FOLLOW_COUNT;
    return o->directory ? run_in(view, o, o->directory) : run_configured(view, o);
}
