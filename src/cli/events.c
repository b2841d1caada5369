/*
 * cli/events.c - penstock events: what happened, from the files of the event log; the server may be
 * down.
 */
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
#include "cli/event_files.h"
#include "cli/event_text.h"
#include "cli/format.h"
#include "cli/options.h"
#include "cli/when.h"
#include "config/config.h"

#define POLL_MS 200
#define FOLLOW_COUNT 10 /* shown first when following, unless told otherwise */
#define COUNT_MAX 1000000
#define ID_MAX 65535
#define PAGE_ROWS 500
#define TEXT_MAX KIB(64)

static const char *const level_names[] = {"notice", "warning", "error", NULL};

struct options {
    const char *config, *directory;
    const char *since, *until;
    struct option_list overrides;
    uint64_t id, count; /* 0: any */
    int64_t since_ms, until_ms;
    int level; /* the lowest, of level_names */
    bool follow, json, exchange_text, help;
};

struct run {
    const struct options *o;
    struct event_files files;
    struct table table;
    size_t rows; /* in the table, not printed yet */
    uint64_t printed, unreadable;
    char **last; /* a ring of o->count lines, NULL where all are printed at once */
    uint64_t last_count;
};

static const struct table_column columns[] = {
    {"TIME", 0, false}, {"LEVEL", 0, false}, {"EVENT", 0, false}, {"WHAT", 0, false}};

static int print_help(void)
{
    printf(
        "Usage: penstock events [--since WHEN] [--until WHEN] [--id N] [--level LEVEL] [-n COUNT]\n"
        "                       [--follow] [--json | --exchange-text] [-c FILE | --directory "
        "DIR]\n\n"
        "Prints the event log, oldest first, also when the server is down. Times are those of "
        "this\n"
        "place.\n\n"
        "  --since WHEN          events from then on: an age (90s, 30m, 24h, 7d) or a time\n"
        "                        (2026-11-22, '2026-11-22 20:30', 2026-11-22T19:30Z)\n"
        "  --until WHEN          events until then\n"
        "  --id N                events with that number only: 15004 pressure increased,\n"
        "                        15005 pressure decreased, 15006 refusing mail for lack of disk,\n"
        "                        15007 refusing mail for lack of memory\n"
        "  --level LEVEL         events of that level and above: notice, warning or error\n"
        "  -n, --lines COUNT     the last COUNT of them\n"
        "  -f, --follow          go on with new ones as they come; begins with the last %d unless\n"
        "                        --since or -n says otherwise\n"
        "  --json                the lines as they are in the files, one object each\n"
        "  --exchange-text       15004 to 15007 in the words of Microsoft Exchange's events\n\n"
        "  -c, --config FILE     the configuration that names the folder of the log files\n"
        "  --set NAME=VALUE      a setting that wins over the file\n"
        "  --directory DIR       that folder, whatever the configuration says\n",
        FOLLOW_COUNT);
    return EXIT_DONE;
}

/* ---- one event ---- */

static int level_of(const json_t *event)
{
    const char *name = json_string_value(json_object_get(event, "level"));

    for (int i = 0; level_names[i]; i++)
        if (name && strcmp(name, level_names[i]) == 0)
            return i;
    return 0;
}

static bool fits(const struct options *o, const json_t *event, int64_t at_ms)
{
    if (at_ms < o->since_ms || at_ms > o->until_ms || level_of(event) < o->level)
        return false;
    return o->id == 0 || (uint64_t)json_integer_value(json_object_get(event, "event_id")) == o->id;
}

static int add_row(struct run *run, const json_t *event, int64_t at_ms)
{
    struct buf words = BUF_INIT(TEXT_MAX);
    char when[EVENT_TEXT_TIME_MAX];
    int r = event_text_words(&words, event);

    event_text_format_time(at_ms, when);
    if (r == 0)
        r = table_add(&run->table, slice_str(when));
    if (r == 0)
        r = table_add(&run->table, slice_str(json_string_value(json_object_get(event, "level"))));
    if (r == 0)
        r = table_add(&run->table, slice_str(json_string_value(json_object_get(event, "event"))));
    if (r == 0)
        r = table_add(&run->table, buf_slice(&words));
    buf_done(&words);
    if (r == 0 && ++run->rows == PAGE_ROWS) {
        table_flush(&run->table);
        run->rows = 0;
    }
    return r;
}

/* 1: printed; 0: it is no event with such a text; or the error. */
static int print_exchange(const json_t *event)
{
    struct buf text = BUF_INIT(TEXT_MAX);
    int r = event_text_exchange(&text, event);

    if (r == 1)
        (void)fwrite(buf_slice(&text).ptr, 1, buf_len(&text), stdout);
    buf_done(&text);
    return r;
}

static int print_event(struct run *run, struct slice line, const json_t *event, int64_t at_ms)
{
    int r = 1;

    if (run->o->json)
        (void)fwrite(line.ptr, 1, line.len, stdout);
    else if (run->o->exchange_text)
        r = print_exchange(event);
    else if (add_row(run, event, at_ms) < 0)
        r = -ENOMEM;
    if (r > 0)
        run->printed++;
    return r < 0 ? r : 0;
}

/* A line of the log as an object with a time, a level and an event; NULL: it is none. */
static json_t *parse_event(struct slice line, int64_t *ret_ms)
{
    json_t *event = json_loadb((const char *)line.ptr, line.len, 0, NULL);

    if (event && json_is_string(json_object_get(event, "event")) &&
        json_is_string(json_object_get(event, "level")) && event_text_time(event, ret_ms) == 0)
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
    int r = 0;

    if (!event) {
        run->unreadable++;
        return 0;
    }
    if (fits(run->o, event, at_ms) &&
        (!run->o->exchange_text ||
         (uint64_t)json_integer_value(json_object_get(event, "event_id")) - 15004 < 4))
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
        fprintf(stderr, "penstock events: %" PRIu64 " line%s could not be read and %s left out\n",
                unreadable, unreadable == 1 ? "" : "s", unreadable == 1 ? "was" : "were");
    if (run->printed == 0 && !run->o->json)
        puts("There are no events, or none that fit.");
}

static int run_events(const struct options *o, const char *folder)
{
    struct run run = {.o = o};
    int r = event_files_open(&run.files, folder, o->since_ms);

    if (r < 0)
        return command_error("events", "there is no event log in %s: %s", folder, err_str(r));
    table_init(&run.table, columns, ARRAY_SIZE(columns), 0, stdout);
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
    return r < 0 ? command_error("events", "%s: %s", folder, err_str(r)) : EXIT_DONE;
}

/* ---- options ---- */

/* DIR/events, or DIR where it holds the files itself. */
static int find_folder(const char *directory, struct buf *ret)
{
    struct stat st;

    if (buf_addf(ret, "%s/events", directory) < 0)
        return -ENOMEM;
    if (stat(buf_cstr(ret), &st) < 0 && stat(directory, &st) == 0) {
        buf_clear(ret);
        return buf_add_str(ret, directory);
    }
    return 0;
}

static int run_in(const struct options *o, const char *directory)
{
    struct buf folder = BUF_INIT(FOLDER_PATH_MAX);
    int code;

    if (find_folder(directory, &folder) < 0)
        code = command_error("events", "%s: the path is too long", directory);
    else
        code = run_events(o, buf_cstr(&folder));
    buf_done(&folder);
    return code;
}

static int run_configured(const struct options *o)
{
    struct buf why = BUF_INIT(CONFIG_WHY_MAX);
    const struct config *held;
    struct config *config;
    int code;

    if (config_load(o->config, o->overrides.items, o->overrides.count, &config, &why) < 0) {
        code = command_error("events", "%s", buf_cstr(&why));
    } else {
        held = config;
        if (config->log.files.directory)
            code = run_in(o, config->log.files.directory);
        else
            code = command_error("events",
                                 "the server keeps no log files: log.files.directory is none");
        config_unref(&held);
    }
    buf_done(&why);
    return code;
}

static int read_level(const char *text, void *to)
{
    int *level = to;

    for (int i = 0; level_names[i]; i++)
        if (strcmp(text, level_names[i]) == 0) {
            *level = i;
            return EXIT_DONE;
        }
    return usage_error("events", "--level '%s': allowed: notice, warning or error", text);
}

static int read_times(struct options *o)
{
    int64_t now_ms = clock_wall_ms();
    int r = EXIT_DONE;

    if (o->since)
        r = when_parse("events", "--since", o->since, now_ms, &o->since_ms);
    if (r == EXIT_DONE && o->until)
        r = when_parse("events", "--until", o->until, now_ms, &o->until_ms);
    if (r == EXIT_DONE && o->since_ms > o->until_ms)
        r = usage_error("events", "--since is later than --until");
    return r;
}

int cmd_events(int argc, char **argv)
{
    struct options o = {.until_ms = INT64_MAX};
    const struct option_spec specs[] = {OPTION_NUMBER("id", 0, 1, ID_MAX, &o.id),
                                        OPTION_TEXT("since", 0, &o.since),
                                        OPTION_TEXT("until", 0, &o.until),
                                        OPTION_READ("level", 0, read_level, &o.level),
                                        OPTION_NUMBER("lines", 'n', 1, COUNT_MAX, &o.count),
                                        OPTION_FLAG("follow", 'f', &o.follow),
                                        OPTION_FLAG("json", 0, &o.json),
                                        OPTION_FLAG("exchange-text", 0, &o.exchange_text),
                                        OPTION_TEXT("config", 'c', &o.config),
                                        OPTION_LIST("set", 0, &o.overrides),
                                        OPTION_TEXT("directory", 0, &o.directory),
                                        OPTION_FLAG("help", 'h', &o.help)};
    int r = options_read("events", argc, argv, specs, ARRAY_SIZE(specs));

    if (r == EXIT_DONE && o.help)
        return print_help();
    if (r == EXIT_DONE)
        r = read_times(&o);
    if (r != EXIT_DONE)
        return r;
    if (optind < argc)
        return usage_error("events", "'%s' is one word too many", argv[optind]);
    if (o.json && o.exchange_text)
        return usage_error("events", "--json and --exchange-text do not go together");
    if (o.config && o.directory)
        return usage_error("events", "-c and --directory do not go together");
    if (o.follow && !o.since && o.count == 0)
        o.count = FOLLOW_COUNT;
    return o.directory ? run_in(&o, o.directory) : run_configured(&o);
}
