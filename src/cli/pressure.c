/*
 * cli/pressure.c - `penstock pressure`: why is mail slowed or refused, and what to do?
 */
#include <getopt.h>
#include <stdio.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/format.h"
#include "cli/json_get.h"
#include "cli/options.h"
#include "cli/pressure_int.h"
#include "cli/watch.h"

#define OTHERS_KEPT_NS (UINT64_C(60) * 1000000000)

struct options {
    const char *socket, *config;
    bool json, xml, largest, help;
    struct watch_option watch;
};

static int print_help(void)
{
    puts("Usage: penstock pressure [OPTIONS]\n"
         "\n"
         "Shows how a running server does: the level, each resource with its thresholds and how\n"
         "much must be freed, whose mail is slowed and refused, what was done about it, and what\n"
         "to do. docs/pressure.md explains it.\n"
         "\n"
         "      --watch[=SECONDS]  again every 2 (or so many) seconds, until q or Ctrl-C\n"
         "      --json             the same for programs\n"
         "      --exchange-xml     in the shape of Exchange's Get-ExchangeDiagnosticInfo\n"
         "      --largest          what else is large on the file systems, though they are not "
         "short\n"
         "      --socket PATH      the server's control socket\n"
         "  -c, --config FILE      the server's configuration, which names the socket\n"
         "  -h, --help             this text");
    return EXIT_DONE;
}

/* What watching keeps from one screen to the next. */
struct others {
    json_t *spool, *log;
    uint64_t looked_ns;
};

static void keep(json_t **kept, const json_t *view, const char *whose)
{
    json_decref(*kept);
    *kept = json_incref(json_object_get(json_object_get(view, whose), "others"));
}

static void put_back(json_t *kept, json_t *view, const char *whose)
{
    if (kept)
        (void)json_object_set(json_object_get(view, whose), "others", kept);
}

/* Looked for once in a while: a walk a screen would itself be a load on a disk that is short. */
static void add_others(const struct options *o, struct others *known, json_t *view)
{
    uint64_t now_ns = clock_mono_ns();

    if (known->looked_ns && now_ns - known->looked_ns < OTHERS_KEPT_NS &&
        (known->spool || known->log)) {
        put_back(known->spool, view, "spool");
        put_back(known->log, view, "log");
        return;
    }
    pressure_add_others(view, o->largest);
    keep(&known->spool, view, "spool");
    keep(&known->log, view, "log");
    known->looked_ns = now_ns;
}

static int get_view(const struct options *o, struct client *c, struct others *known, json_t **ret)
{
    int r = client_get(c, "/v1/pressure", ret);

    if (r != EXIT_DONE)
        return r;
    pressure_add_machine(*ret);
    if (!o->xml)
        add_others(o, known, *ret);
    return EXIT_DONE;
}

static struct pressure_style style_of_stdout(const struct options *o)
{
    return (struct pressure_style){.width = format_terminal_width(stdout),
                                   .others = o->largest,
                                   .is_colour = watch_has_colour()};
}

static void print_as(const struct options *o, const json_t *view, FILE *to)
{
    struct pressure_style style = style_of_stdout(o);

    if (o->json) {
        (void)json_dumpf(view, to, JSON_INDENT(1) | JSON_REAL_PRECISION(6) | JSON_ENSURE_ASCII);
        fputc('\n', to);
    } else if (o->xml) {
        pressure_print_xml(view, to);
    } else {
        pressure_print(view, &style, to);
    }
}

static int run_once(const struct options *o, struct client *c)
{
    struct others known = {NULL};
    json_t *view = NULL;
    int r = get_view(o, c, &known, &view);

    if (r == EXIT_DONE)
        print_as(o, view, stdout);
    json_decref(view);
    json_decref(known.spool);
    json_decref(known.log);
    return r;
}

/* ---- watching ---- */

struct watched {
    const struct options *o;
    struct client *client;
    struct others known;
};

static int print_screen(void *ctx, FILE *to)
{
    struct watched *w = ctx;
    json_t *view = NULL;
    int r = get_view(w->o, w->client, &w->known, &view);

    if (r == EXIT_DONE)
        print_as(w->o, view, to);
    json_decref(view);
    return r;
}

static int run_watch(const struct options *o, struct client *c)
{
    struct watched w = {.o = o, .client = c};
    int r = watch_run(o->watch.seconds, print_screen, &w);

    json_decref(w.known.spool);
    json_decref(w.known.log);
    return r;
}

/* ---- options ---- */

static int set_watch(const char *value, void *to)
{
    return watch_read("pressure", value, to);
}

int cmd_pressure(int argc, char **argv)
{
    struct options o = {.watch = {.seconds = WATCH_S_DEFAULT}};
    const struct option_spec specs[] = {OPTION_TEXT("config", 'c', &o.config),
                                        OPTION_FLAG("help", 'h', &o.help),
                                        OPTION_TEXT("socket", 0, &o.socket),
                                        OPTION_FLAG("json", 0, &o.json),
                                        OPTION_FLAG("exchange-xml", 0, &o.xml),
                                        OPTION_FLAG("largest", 0, &o.largest),
                                        OPTION_READ_MAYBE("watch", 0, set_watch, &o.watch)};
    struct client *c = NULL;
    int r = options_read("pressure", argc, argv, specs, ARRAY_SIZE(specs));

    if (r == EXIT_DONE && o.help)
        return print_help();
    if (r == EXIT_DONE && optind < argc)
        r = usage_error("pressure", "'%s': it takes options only", argv[optind]);
    if (r == EXIT_DONE && o.json && o.xml)
        r = usage_error("pressure", "--json and --exchange-xml together make no sense");
    if (r == EXIT_DONE)
        r = client_new(&c, "pressure", o.socket, o.config);
    if (r == EXIT_DONE)
        r = o.watch.is_on ? run_watch(&o, c) : run_once(&o, c);
    client_free(&c);
    if (r == EXIT_DONE && fflush(stdout) == EOF)
        r = command_error("pressure", "cannot write to standard output");
    return r;
}
