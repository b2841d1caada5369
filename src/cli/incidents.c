/*
 * cli/incidents.c - `penstock incidents`: what went wrong between us and a provider, and who said no.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/incident_text.h"
#include "cli/ledger_reader.h"
#include "cli/options.h"
#include "cli/when.h"

struct options {
    const char *since, *config, *directory;
    bool json, markdown, help;
};

struct output {
    const struct options *o;
    struct table *table; /* of a list; NULL: incidents are shown whole */
    int64_t now_ms;
    uint64_t count;
    struct incident incident;
};

static int print_help(void)
{
    puts(
        "Usage: penstock incidents [list] [--since WHEN] [--json]\n"
        "       penstock incidents show ID [--markdown] [--json]\n"
        "\n"
        "  list   incidents, newest first: lane, since when, how long, and whose side it is\n"
        "  show   one of them: who answered what to whom, what was changed and why, how retries\n"
        "         fared, and the verdict with its reasons. --markdown is for a ticket, or for the\n"
        "         receiver's postmaster\n"
        "\n"
        "      --since WHEN         open then or later: an age (24h, 7d) or a time; default: all\n"
        "      --json               one object a line\n"
        "  -c, --config FILE        the server's configuration, which names the ledger\n"
        "      --directory DIR      the ledger's folder (evidence.directory)\n"
        "  -h, --help               this text\n"
        "\n"
        "Read from the ledger, which an open incident reaches with each decision, and once a "
        "minute.");
    return EXIT_DONE;
}

static void print_whole(struct output *out)
{
    struct buf text = BUF_INIT(INCIDENT_TEXT_MAX);

    if (out->o->markdown)
        incident_text_markdown(&text, &out->incident, out->now_ms);
    else
        incident_text_write(&text, &out->incident, out->now_ms);
    (void)fwrite(buf_slice(&text).ptr, 1, buf_len(&text), stdout);
    buf_done(&text);
}

/* As ASCII: what a remote host answered may hold controls of terminals. */
static int print_json(struct slice json)
{
    json_t *o = json_loadb((const char *)json.ptr, json.len, 0, NULL);
    int r = 0;

    if (!o)
        r = -ERR_DAMAGED;
    else if (json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII) < 0 ||
             putchar('\n') == EOF)
        r = -EIO;
    json_decref(o);
    return r;
}

static int on_incident(void *ctx, struct slice json)
{
    struct output *out = ctx;

    out->count++;
    if (out->o->json)
        return print_json(json);
    if (incident_decode(json, &out->incident) < 0)
        return -ERR_DAMAGED;
    if (out->table)
        return incident_text_row(out->table, &out->incident, out->now_ms);
    print_whole(out);
    return 0;
}

static int ask(const struct options *o, uint64_t id, int64_t from_ms, struct output *out)
{
    struct ledger_reader *reader = NULL;
    int e, r = open_ledger_reader(&reader, "incidents", o->config, o->directory);

    if (r != EXIT_DONE)
        return r;
    e = ledger_incidents(reader, id, from_ms, 0, on_incident, out);
    ledger_reader_close(&reader);
    if (e < 0)
        return command_error("incidents", "the ledger cannot be read: %s", err_str(e));
    if (id && out->count == 0)
        return command_error("incidents", "there is no incident %" PRIu64 " in the ledger", id);
    return EXIT_DONE;
}

static int list(const struct options *o, int64_t now_ms)
{
    struct table table;
    struct output *out = calloc(1, sizeof(*out));
    int64_t from_ms = 0;
    int r = EXIT_DONE;

    if (!out)
        return command_error("incidents", "%s", err_str(-ENOMEM));
    *out = (struct output){.o = o, .table = &table, .now_ms = now_ms};
    table_init(&table, incident_text_columns, INCIDENT_TEXT_COLUMNS, format_terminal_width(stdout),
               stdout);
    if (o->since)
        r = when_parse("incidents", "--since", o->since, now_ms, &from_ms);
    if (r == EXIT_DONE)
        r = ask(o, 0, from_ms, out);
    table_flush(&table);
    table_done(&table);
    if (r == EXIT_DONE && out->count == 0 && !o->json)
        puts("No incidents.");
    free(out);
    return r;
}

static int show(const struct options *o, const char *text, int64_t now_ms)
{
    struct output *out;
    uint64_t id;
    int r;

    if (slice_to_u64(slice_str(text), INT64_MAX, &id) < 0 || id == 0)
        return usage_error("incidents",
                           "show '%s': allowed: the number of an incident, as "
                           "penstock incidents list tells it",
                           text);
    out = calloc(1, sizeof(*out));
    if (!out)
        return command_error("incidents", "%s", err_str(-ENOMEM));
    *out = (struct output){.o = o, .now_ms = now_ms};
    r = ask(o, id, 0, out);
    free(out);
    return r;
}

int cmd_incidents(int argc, char **argv)
{
    struct options o = {.since = NULL};
    const struct option_spec specs[] = {
        OPTION_TEXT("since", 0, &o.since),         OPTION_FLAG("json", 0, &o.json),
        OPTION_FLAG("markdown", 0, &o.markdown),   OPTION_TEXT("config", 'c', &o.config),
        OPTION_TEXT("directory", 0, &o.directory), OPTION_FLAG("help", 'h', &o.help)};
    int r = options_read("incidents", argc, argv, specs, ARRAY_SIZE(specs));
    int left = argc - optind;

    if (r != EXIT_DONE)
        return r;
    if (o.help)
        return print_help();
    if (left == 2 && strcmp(argv[optind], "show") == 0)
        r = show(&o, argv[optind + 1], clock_wall_ms());
    else if (left == 0 || (left == 1 && strcmp(argv[optind], "list") == 0))
        r = list(&o, clock_wall_ms());
    else
        r = usage_error("incidents", "allowed: list, or show ID");
    if (fflush(stdout) == EOF && r == EXIT_DONE)
        r = command_error("incidents", "cannot write to standard output");
    return r;
}
