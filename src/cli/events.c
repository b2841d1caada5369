/*
 * cli/events.c - penstock events: what happened, from the files of the event log; the server may be
 * down.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/event_run.h"
#include "cli/event_text.h"

#define ID_MAX 65535
#define TEXT_MAX KIB(64)

static const char *const level_names[] = {"notice", "warning", "error", NULL};

struct options {
    struct event_options common;
    uint64_t id; /* 0: any */
    int level;   /* the lowest, of level_names */
    bool exchange_text;
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
        "%s"
        "  --id N                events with that number only: 15004 pressure increased,\n"
        "                        15005 pressure decreased, 15006 refusing mail for lack of disk,\n"
        "                        15007 refusing mail for lack of memory\n"
        "  --level LEVEL         events of that level and above: notice, warning or error\n"
        "  --exchange-text       15004 to 15007 in the words of Microsoft Exchange's events\n"
        "%s\n",
        event_options_help, event_options_help_end);
    return EXIT_DONE;
}

/* -1: there is none. */
static int level_of(const json_t *event)
{
    const char *name = json_string_value(json_object_get(event, "level"));

    for (int i = 0; name && level_names[i]; i++)
        if (strcmp(name, level_names[i]) == 0)
            return i;
    return name ? 0 : -1;
}

static int fits(void *ctx, const json_t *event)
{
    const struct options *o = ctx;
    uint64_t id = (uint64_t)json_integer_value(json_object_get(event, "event_id"));
    int level = level_of(event);

    if (level < 0)
        return -EINVAL;
    return level >= o->level && (o->id == 0 || id == o->id) &&
           (!o->exchange_text || id - 15004 < 4);
}

static int add_row(void *ctx, struct table *t, const json_t *event, int64_t at_ms)
{
    struct buf words = BUF_INIT(TEXT_MAX);
    char when[EVENT_TEXT_TIME_MAX];
    int r = event_text_words(&words, event);

    (void)ctx;
    event_text_format_time(at_ms, when);
    if (r == 0)
        r = table_add(t, slice_str(when));
    if (r == 0)
        r = table_add(t, slice_str(json_string_value(json_object_get(event, "level"))));
    if (r == 0)
        r = table_add(t, slice_str(json_string_value(json_object_get(event, "event"))));
    if (r == 0)
        r = table_add(t, buf_slice(&words));
    buf_done(&words);
    return r;
}

static int print_exchange(void *ctx, const json_t *event)
{
    struct buf text = BUF_INIT(TEXT_MAX);
    int r = event_text_exchange(&text, event);

    (void)ctx;
    if (r == 1)
        (void)fwrite(buf_slice(&text).ptr, 1, buf_len(&text), stdout);
    buf_done(&text);
    return r;
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

int cmd_events(int argc, char **argv)
{
    struct options o = {.id = 0};
    const struct option_spec specs[] = {
        OPTION_NUMBER("id", 0, 1, ID_MAX, &o.id), OPTION_READ("level", 0, read_level, &o.level),
        OPTION_FLAG("exchange-text", 0, &o.exchange_text), EVENT_OPTION_SPECS(&o.common)};
    struct event_view view = {.command = "events",
                              .log = "event log",
                              .folder = "events",
                              .kind = RECORD_EVENTS,
                              .columns = columns,
                              .column_count = ARRAY_SIZE(columns),
                              .ctx = &o,
                              .fits = fits,
                              .add_row = add_row};
    int r = options_read("events", argc, argv, specs, ARRAY_SIZE(specs));

    if (r == EXIT_DONE && o.common.help)
        return print_help();
    if (r == EXIT_DONE && optind < argc)
        r = usage_error("events", "'%s' is one word too many", argv[optind]);
    if (r == EXIT_DONE && o.common.json && o.exchange_text)
        r = usage_error("events", "--json and --exchange-text do not go together");
    if (r != EXIT_DONE)
        return r;
    view.print = o.exchange_text ? print_exchange : NULL;
    return event_run(&view, &o.common);
}
