/*
 * cli/deliveries.c - penstock deliveries: what became of each recipient, from the files of the
 * delivery log; the server may be down.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/event_run.h"
#include "cli/event_text.h"
#include "event/delivery.h"

struct options {
    struct event_options common;
    int event; /* enum delivery_event; -1: any */
    const char *id, *recipient, *provider, *lane, *source, *klass;
};

static const struct table_column columns[] = {
    {"TIME", 0, false},      {"EVENT", 0, false}, {"ID", 0, false}, {"TRY", 0, true},
    {"RECIPIENT", 0, false}, {"CLASS", 0, false}, {"AT", 0, false}, {"REPLY", 0, false}};

static int print_help(void)
{
    printf(
        "Usage: penstock deliveries [--event EVENT] [--recipient ADDRESS | --recipient @DOMAIN]\n"
        "                           [OPTIONS]\n\n"
        "Prints the delivery log, oldest first, also when the server is down: each recipient of\n"
        "each attempt, and what ended without one. Times are those of this place. The fields of\n"
        "--json are in docs/events.md.\n\n"
        "%s"
        "  --event EVENT         received, delivered, deferred, failed, expired, suppressed,\n"
        "                        bounced, removed or dsn\n"
        "  --recipient ADDRESS   of that recipient; @DOMAIN: of all recipients there\n"
        "  --id ID               of that message, and reports on it\n"
        "  --provider NAME       of that provider\n"
        "  --lane LANE           of that lane\n"
        "  --source NAME         from that source\n"
        "  --class CLASS         whose reply means that (penstock replies list)\n"
        "%s\n",
        event_options_help, event_options_help_end);
    return EXIT_DONE;
}

static const char *text_of(const json_t *event, const char *field)
{
    const char *text = json_string_value(json_object_get(event, field));

    return text ? text : "";
}

static bool is_wanted(const char *wanted, const json_t *event, const char *field)
{
    return !wanted || slice_eq_case(slice_str(wanted), slice_str(text_of(event, field)));
}

static bool is_recipient(const char *wanted, const json_t *event)
{
    if (wanted && wanted[0] == '@')
        return is_wanted(wanted + 1, event, "domain");
    return is_wanted(wanted, event, "recipient");
}

static int fits(void *ctx, const json_t *event)
{
    const struct options *o = ctx;

    return is_wanted(o->event < 0 ? NULL : delivery_event_name((enum delivery_event)o->event),
                     event, "event") &&
           (is_wanted(o->id, event, "id") || is_wanted(o->id, event, "original")) &&
           is_recipient(o->recipient, event) && is_wanted(o->provider, event, "provider") &&
           is_wanted(o->lane, event, "lane") && is_wanted(o->source, event, "source") &&
           is_wanted(o->klass, event, "class");
}

static int add_number(struct table *t, const json_t *event, const char *field)
{
    const json_t *n = json_object_get(event, field);
    char text[24] = "";

    if (json_is_integer(n))
        (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(n));
    return table_add(t, slice_str(text));
}

/* A message that came in has no recipient of its own, and says how many there are instead. */
static int add_recipient(struct table *t, const json_t *event)
{
    const json_t *n = json_object_get(event, "recipients");
    char text[48];

    if (!json_is_integer(n))
        return table_add(t, slice_str(text_of(event, "recipient")));
    (void)snprintf(text, sizeof(text), "(%" JSON_INTEGER_FORMAT ")", json_integer_value(n));
    return table_add(t, slice_str(text));
}

static int add_row(void *ctx, struct table *t, const json_t *event, int64_t at_ms)
{
    const char *host = text_of(event, "host");
    char when[EVENT_TEXT_TIME_MAX];
    int r;

    (void)ctx;
    event_text_format_time(at_ms, when);
    r = table_add(t, slice_str(when));
    if (r == 0)
        r = table_add(t, slice_str(text_of(event, "event")));
    if (r == 0)
        r = table_add(t, slice_str(text_of(event, "id")));
    if (r == 0)
        r = add_number(t, event, "attempt");
    if (r == 0)
        r = add_recipient(t, event);
    if (r == 0)
        r = table_add(t, slice_str(text_of(event, "class")));
    if (r == 0)
        r = table_add(t, slice_str(*host ? host : text_of(event, "client")));
    if (r == 0)
        r = table_add(t, slice_str(text_of(event, "reply")));
    return r;
}

static int read_event(const char *text, void *to)
{
    int *event = to;

    for (int i = 0; i < DELIVERY_EVENTS; i++)
        if (strcmp(text, delivery_event_name((enum delivery_event)i)) == 0) {
            *event = i;
            return EXIT_DONE;
        }
    return usage_error("deliveries",
                       "--event '%s': allowed: received, delivered, deferred, failed, expired, "
                       "suppressed, bounced, removed or dsn",
                       text);
}

int cmd_deliveries(int argc, char **argv)
{
    struct options o = {.event = -1};
    const struct option_spec specs[] = {OPTION_READ("event", 0, read_event, &o.event),
                                        OPTION_TEXT("recipient", 0, &o.recipient),
                                        OPTION_TEXT("id", 0, &o.id),
                                        OPTION_TEXT("provider", 0, &o.provider),
                                        OPTION_TEXT("lane", 0, &o.lane),
                                        OPTION_TEXT("source", 0, &o.source),
                                        OPTION_TEXT("class", 0, &o.klass),
                                        EVENT_OPTION_SPECS(&o.common)};
    const struct event_view view = {.command = "deliveries",
                                    .log = "delivery log",
                                    .folder = "deliveries",
                                    .kind = RECORD_DELIVERIES,
                                    .columns = columns,
                                    .column_count = ARRAY_SIZE(columns),
                                    .ctx = &o,
                                    .fits = fits,
                                    .add_row = add_row};
    int r = options_read("deliveries", argc, argv, specs, ARRAY_SIZE(specs));

    if (r == EXIT_DONE && o.common.help)
        return print_help();
    if (r == EXIT_DONE && optind < argc)
        r = usage_error("deliveries", "'%s' is one word too many", argv[optind]);
    return r == EXIT_DONE ? event_run(&view, &o.common) : r;
}
