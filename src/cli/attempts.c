/*
 * cli/attempts.c - `penstock attempts`: every try to deliver, with its evidence, from the ledger; the
 * server may run or not.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "cli/attempt_text.h"
#include "cli/cli.h"
#include "cli/ledger_reader.h"
#include "cli/options.h"
#include "cli/when.h"

#define ROWS_AT_ONCE 200 /* of which columns are made as wide as needed */
#define COUNT_USUAL 1000

struct options {
    const char *since, *until, *code, *klass, *provider, *source, *domain, *host, *sender;
    const char *recipient, *id, *text, *count, *config, *directory;
    bool not_delivered, json, csv, help;
};

struct output {
    const struct options *o;
    struct table table;
    uint64_t rows;
    int error;
};

static int print_help(void)
{
    puts("Usage: penstock attempts [OPTIONS]\n"
         "\n"
         "Every try to hand a message to a remote host, oldest first: when, what was answered, "
         "what\n"
         "that means, by whom, from where. Read from the ledger; the server may run or not.\n"
         "\n"
         "      --since WHEN         from then on: an age (30m, 24h, 7d) or a time; default 24h\n"
         "      --until WHEN         before then\n"
         "      --code CODE          a reply code (452), or its first digit (4)\n"
         "      --class CLASS        what it means: capacity, rate, policy ... (penstock replies "
         "list)\n"
         "      --provider NAME      of that provider\n"
         "      --source NAME        from that source\n"
         "      --domain DOMAIN      to that recipient domain\n"
         "      --host HOST          to that remote host, by name or IP address\n"
         "      --from ADDRESS       of that sender\n"
         "      --to ADDRESS         to that recipient\n"
         "      --id ID              of that message\n"
         "      --text TEXT          with that in the reply\n"
         "      --not-delivered      only deferred and failed ones\n"
         "  -n, --count N            the newest N; default 1000; 0: all\n"
         "      --json               one object a line\n"
         "      --csv                all fields, with a line of names (RFC 4180); a text that a\n"
         "                           spreadsheet would compute begins with '\n"
         "  -c, --config FILE        the server's configuration, which names the ledger\n"
         "      --directory DIR      the ledger's folder (evidence.directory)\n"
         "  -h, --help               this text");
    return EXIT_DONE;
}

/* ---- output ---- */

static int on_attempt(void *ctx, const struct attempt *a)
{
    struct output *out = ctx;

    out->rows++;
    if (out->o->json)
        return attempt_text_json(a, stdout);
    if (out->o->csv) {
        attempt_text_csv(a, stdout);
        return 0;
    }
    if (out->rows % ROWS_AT_ONCE == 0)
        table_flush(&out->table);
    return attempt_text_row(&out->table, a);
}

static int print_attempts(const struct options *o, struct ledger_reader *r,
                          const struct ledger_filter *f)
{
    struct output out = {.o = o};
    int e;

    table_init(&out.table, attempt_text_columns, ATTEMPT_TEXT_COLUMNS,
               format_terminal_width(stdout), stdout);
    if (o->csv)
        attempt_text_csv_head(stdout);
    e = ledger_attempts(r, f, on_attempt, &out);
    table_flush(&out.table);
    table_done(&out.table);
    if (e < 0)
        return command_error("attempts", "the ledger cannot be read: %s", err_str(e));
    if (f->limit && out.rows == f->limit && !o->json && !o->csv)
        fprintf(stderr, "(the newest %" PRIu64 "; --count 0 shows all)\n", f->limit);
    if (fflush(stdout) == EOF)
        return command_error("attempts", "cannot write to standard output");
    return EXIT_DONE;
}

/* ---- options ---- */

static int read_code(const char *text, struct ledger_filter *f)
{
    uint64_t n;

    if (slice_to_u64(slice_str(text), 599, &n) < 0 || n < 2 || (n > 5 && n < 200))
        return usage_error("attempts",
                           "--code '%s': allowed: a code from 200 to 599, or a first digit, 2 to 5",
                           text);
    if (n <= 5)
        f->code_class = (uint8_t)n;
    else
        f->code = (uint16_t)n;
    return EXIT_DONE;
}

static int read_class(const char *text, struct ledger_filter *f)
{
    f->klass = reply_class_find(slice_str(text));
    if (f->klass < REPLY_CLASSES && f->klass != REPLY_NONE)
        return EXIT_DONE;
    return usage_error("attempts", "--class '%s': no such class; penstock replies list shows them",
                       text);
}

static int read_count(const char *text, struct ledger_filter *f)
{
    uint64_t n = COUNT_USUAL;

    if (text && slice_to_u64(slice_str(text), UINT32_MAX, &n) < 0)
        return usage_error("attempts", "--count '%s': allowed: 0 (all) to %" PRIu32, text,
                           UINT32_MAX);
    f->limit = n;
    return EXIT_DONE;
}

static int read_times(const struct options *o, struct ledger_filter *f)
{
    int64_t now_ms = clock_wall_ms();
    int r = when_parse("attempts", "--since", o->since ? o->since : "24h", now_ms, &f->from_ms);

    if (r == EXIT_DONE && o->until)
        r = when_parse("attempts", "--until", o->until, now_ms, &f->to_ms);
    if (r == EXIT_DONE && f->to_ms && f->from_ms > f->to_ms)
        r = usage_error("attempts", "--since is later than --until");
    return r;
}

static void take_host(const char *text, struct ledger_filter *f)
{
    bool is_address = strspn(text, "0123456789.") == strlen(text) || strchr(text, ':');

    *(is_address ? &f->peer : &f->host) = slice_str(text);
}

static int read_filter(const struct options *o, struct ledger_filter *f)
{
    int r = read_times(o, f);

    if (r == EXIT_DONE && o->code)
        r = read_code(o->code, f);
    if (r == EXIT_DONE && o->klass)
        r = read_class(o->klass, f);
    if (r == EXIT_DONE)
        r = read_count(o->count, f);
    if (r == EXIT_DONE && o->id && id_parse(slice_str(o->id), &f->queue_id) < 0)
        r = usage_error("attempts", "--id '%s' is no id of a message", o->id);
    if (o->host && r == EXIT_DONE)
        take_host(o->host, f);
    f->provider = slice_str(o->provider);
    f->source = slice_str(o->source);
    f->domain = slice_str(o->domain);
    f->sender = slice_str(o->sender);
    f->recipient = slice_str(o->recipient);
    f->text = slice_str(o->text);
    f->not_delivered = o->not_delivered;
    f->newest = true;
    return r;
}

int cmd_attempts(int argc, char **argv)
{
    struct options o = {.since = NULL};
    const struct option_spec specs[] = {OPTION_TEXT("since", 0, &o.since),
                                        OPTION_TEXT("until", 0, &o.until),
                                        OPTION_TEXT("code", 0, &o.code),
                                        OPTION_TEXT("class", 0, &o.klass),
                                        OPTION_TEXT("provider", 0, &o.provider),
                                        OPTION_TEXT("source", 0, &o.source),
                                        OPTION_TEXT("domain", 0, &o.domain),
                                        OPTION_TEXT("host", 0, &o.host),
                                        OPTION_TEXT("from", 0, &o.sender),
                                        OPTION_TEXT("to", 0, &o.recipient),
                                        OPTION_TEXT("id", 0, &o.id),
                                        OPTION_TEXT("text", 0, &o.text),
                                        OPTION_TEXT("count", 'n', &o.count),
                                        OPTION_FLAG("not-delivered", 0, &o.not_delivered),
                                        OPTION_FLAG("json", 0, &o.json),
                                        OPTION_FLAG("csv", 0, &o.csv),
                                        OPTION_TEXT("config", 'c', &o.config),
                                        OPTION_TEXT("directory", 0, &o.directory),
                                        OPTION_FLAG("help", 'h', &o.help)};
    struct ledger_filter f = {.limit = 0};
    struct ledger_reader *reader = NULL;
    int r = options_read("attempts", argc, argv, specs, ARRAY_SIZE(specs));

    if (r == EXIT_DONE && o.help)
        return print_help();
    if (r == EXIT_DONE && optind < argc)
        r = usage_error("attempts", "'%s': it takes options only", argv[optind]);
    if (r == EXIT_DONE && o.json && o.csv)
        r = usage_error("attempts", "--json and --csv do not go together");
    if (r == EXIT_DONE)
        r = read_filter(&o, &f);
    if (r == EXIT_DONE)
        r = open_ledger_reader(&reader, "attempts", o.config, o.directory);
    if (r == EXIT_DONE)
        r = print_attempts(&o, reader, &f);
    ledger_reader_close(&reader);
    return r;
}
