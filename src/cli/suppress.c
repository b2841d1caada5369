/*
 * cli/suppress.c - `penstock suppress`: who is not tried any more. What changes the list asks the
 * server that runs; what only looks reads the ledger, and needs none.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/ledger_reader.h"
#include "cli/options.h"
#include "cli/suppress_int.h"
#include "evidence/suppression_csv.h"
#include "smtp/address.h"

#define ROWS_AT_ONCE 200
#define LIST_USUAL 1000

struct options {
    const char *domain, *kind, *count, *note, *socket, *config, *directory;
    bool json, csv, help;
    char **arguments;
    size_t argument_count;
};

struct verb {
    const char *name, *arguments, *summary;
    int (*run)(const struct options *o);
    bool needs_server;
    size_t arguments_min, arguments_max;
};

/* ---- what reads the ledger ---- */

enum shape { SHAPE_TABLE, SHAPE_JSON, SHAPE_CSV, SHAPE_WHOLE };

struct output {
    enum shape shape;
    struct table table;
    uint64_t rows;
};

static int print_csv(const struct suppression_view *v)
{
    struct buf line = BUF_INIT(KIB(8));
    int r;

    suppression_csv_write(v, &line);
    r = fputs(buf_cstr(&line), stdout) == EOF ? -EIO : 0;
    buf_done(&line);
    return r;
}

static int print_whole(const struct suppression_view *v)
{
    struct buf text = BUF_INIT(KIB(16));

    suppress_text_whole(v, &text);
    fputs(buf_cstr(&text), stdout);
    buf_done(&text);
    return 0;
}

static int on_entry(void *ctx, const struct suppression_view *v)
{
    struct output *out = ctx;

    out->rows++;
    switch (out->shape) {
    case SHAPE_JSON:
        return suppress_text_json(v, stdout);
    case SHAPE_CSV:
        return print_csv(v);
    case SHAPE_WHOLE:
        return print_whole(v);
    case SHAPE_TABLE:
    default:
        if (out->rows % ROWS_AT_ONCE == 0)
            table_flush(&out->table);
        return suppress_text_row(&out->table, v);
    }
}

static int look(const char *command, const struct options *o,
                const struct ledger_suppression_filter *f, struct output *out)
{
    struct ledger_reader *reader = NULL;
    int r = open_ledger_reader(&reader, command, o->config, o->directory), e;

    if (r != EXIT_DONE)
        return r;
    table_init(&out->table, suppress_columns, SUPPRESS_COLUMNS, format_terminal_width(stdout),
               stdout);
    if (out->shape == SHAPE_CSV) {
        struct buf head = BUF_INIT(KIB(1));

        suppression_csv_head(&head);
        fputs(buf_cstr(&head), stdout);
        buf_done(&head);
    }
    e = ledger_suppressions(reader, f, on_entry, out);
    table_flush(&out->table);
    table_done(&out->table);
    ledger_reader_close(&reader);
    if (e < 0)
        return command_error(command, "the ledger cannot be read: %s", err_str(e));
    if (fflush(stdout) == EOF)
        return command_error(command, "cannot write to standard output");
    return EXIT_DONE;
}

static int read_filter(const char *command, const struct options *o,
                       struct ledger_suppression_filter *f)
{
    if (o->domain && !smtp_domain_is_valid(slice_str(o->domain), /* allow_utf8= */ true))
        return usage_error("suppress", "--domain '%s': it is no domain", o->domain);
    f->domain = slice_str(o->domain);
    f->has_kind = o->kind != NULL;
    if (o->kind && strcmp(o->kind, "operator") == 0)
        f->kind = SUPPRESSION_OPERATOR;
    else if (o->kind && strcmp(o->kind, "automatic") != 0)
        return usage_error("suppress", "--kind '%s': allowed: automatic, operator", o->kind);
    if (o->count && slice_to_u64(slice_str(o->count), UINT32_MAX, &f->limit) < 0)
        return usage_error("suppress", "--count '%s': allowed: 0 (all) to %" PRIu32, o->count,
                           UINT32_MAX);
    if (o->json && o->csv)
        return usage_error("suppress", "%s: --json and --csv do not go together", command);
    return EXIT_DONE;
}

static int run_list(const struct options *o)
{
    struct ledger_suppression_filter f = {.limit = LIST_USUAL};
    struct output out = {.shape = o->json ? SHAPE_JSON : o->csv ? SHAPE_CSV : SHAPE_TABLE};
    int r = read_filter("list", o, &f);

    if (r == EXIT_DONE)
        r = look("suppress list", o, &f, &out);
    if (r == EXIT_DONE && out.rows == 0 && out.shape == SHAPE_TABLE)
        puts("Nobody is on the suppression list, or nobody that fits.");
    if (r == EXIT_DONE && f.limit && out.rows == f.limit && out.shape == SHAPE_TABLE)
        fprintf(stderr, "(the newest %" PRIu64 "; --count 0 shows all)\n", f.limit);
    return r;
}

static int run_export(const struct options *o)
{
    struct ledger_suppression_filter f = {.limit = 0};
    struct output out = {.shape = o->json ? SHAPE_JSON : SHAPE_CSV};
    int r = read_filter("export", o, &f);

    return r == EXIT_DONE ? look("suppress export", o, &f, &out) : r;
}

static int run_show(const struct options *o)
{
    struct output out = {.shape = o->json ? SHAPE_JSON : SHAPE_WHOLE};
    uint8_t address[SUPPRESSION_ADDRESS_MAX];
    struct ledger_suppression_filter f = {.limit = 0};
    const char *why;
    size_t len;
    int r;

    if (suppression_address(slice_str(o->arguments[0]), address, &len, &why) < 0)
        return command_error("suppress show", "'%s': %s", o->arguments[0], why);
    f.address = slice_make(address, len);
    r = look("suppress show", o, &f, &out);
    if (r == EXIT_DONE && out.rows == 0)
        r = command_error("suppress show", "%s is not on the suppression list", o->arguments[0]);
    return r;
}

/* ---- what asks the server ---- */

static int with_client(const struct options *o, const char *command,
                       int (*fn)(struct client *c, const struct options *o))
{
    struct client *c = NULL;
    int r = client_new(&c, command, o->socket, o->config);

    if (r == EXIT_DONE)
        r = fn(c, o);
    client_free(&c);
    if (r == EXIT_DONE && fflush(stdout) == EOF)
        r = command_error(command, "cannot write to standard output");
    return r;
}

static int do_add(struct client *c, const struct options *o)
{
    return suppress_add(c, o->arguments, o->argument_count, o->note);
}

static int do_remove(struct client *c, const struct options *o)
{
    return suppress_remove(c, o->arguments, o->argument_count);
}

static int do_import(struct client *c, const struct options *o)
{
    return suppress_import(c, o->arguments[0]);
}

static int run_add(const struct options *o)
{
    return with_client(o, "suppress add", do_add);
}

static int run_remove(const struct options *o)
{
    return with_client(o, "suppress remove", do_remove);
}

static int run_import(const struct options *o)
{
    return with_client(o, "suppress import", do_import);
}

/* ---- the command line ---- */

static const struct verb verbs[] = {
    {"list", "", "prints who is not tried any more, the newest entry first", run_list, false, 0, 0},
    {"show", "ADDRESS", "prints one entry with its evidence", run_show, false, 1, 1},
    {"add", "ADDRESS...", "puts addresses on the list", run_add, true, 1, SIZE_MAX},
    {"remove", "ADDRESS...", "takes addresses off the list: they are tried again", run_remove, true,
     1, SIZE_MAX},
    {"import", "FILE|-", "adds one address a line, or what export wrote", run_import, true, 1, 1},
    {"export", "", "prints the whole list as CSV, for import", run_export, false, 0, 0},
};

static int print_suppress_help(FILE *to)
{
    fprintf(to, "Usage: penstock suppress VERB [OPTIONS]\n\n"
                "The suppression list: mail to an address on it is returned at once, without being "
                "tried.\nOn it are addresses of which a host said for good (5xx) that the mailbox "
                "is unknown or\ndisabled, with that reply, and those that you put there. No "
                "temporary reply (4xx) ever\nputs an address on it.\n\nVerbs:\n");
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        fprintf(to, "  %-8s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(to, "\n'penstock suppress VERB --help' tells more of each.\n");
    return to == stdout ? EXIT_DONE : EXIT_USAGE;
}

static int print_verb_help(const struct verb *v)
{
    printf("Usage: penstock suppress %s [OPTIONS] %s\n\n%c%s.\n%s\n\n", v->name, v->arguments,
           v->summary[0] - 'a' + 'A', v->summary + 1,
           v->needs_server ? "Done by the server that runs, and durable when it is answered."
                           : "Read from the ledger; the server may run or not.");
    if (v->run == run_list || v->run == run_export)
        puts("      --domain DOMAIN      addresses of that domain\n"
             "      --kind KIND          automatic or operator\n"
             "      --json               one object a line");
    if (v->run == run_list)
        puts("      --csv                as export\n"
             "  -n, --count N            the newest N; default 1000; 0: all");
    if (v->run == run_export)
        puts("      --csv                RFC 4180, with a line of names (the default)");
    if (v->run == run_show)
        puts("      --json               as an object");
    if (v->run == run_add)
        puts("      --note TEXT          why; kept with each, and in what their senders get");
    if (v->needs_server)
        puts("      --socket PATH        the server's control socket");
    puts("  -c, --config FILE        the server's configuration");
    if (!v->needs_server)
        puts("      --directory DIR      the ledger's folder (evidence.directory)");
    puts("  -h, --help               this text");
    return EXIT_DONE;
}

static int check_arguments(const struct verb *v, const struct options *o)
{
    bool lists = v->run == run_list || v->run == run_export;

    if (o->argument_count < v->arguments_min)
        return usage_error("suppress", "%s what? Give %s", v->name, v->arguments);
    if (o->argument_count > v->arguments_max)
        return usage_error("suppress", "%s: '%s' is too much: it takes %s", v->name,
                           o->arguments[v->arguments_max],
                           *v->arguments ? v->arguments : "options only");
    if (o->note && v->run != run_add)
        return usage_error("suppress", "--note is for add");
    if (!lists && (o->domain || o->kind || o->csv))
        return usage_error("suppress", "--domain, --kind and --csv are for list and export");
    if (o->count && v->run != run_list)
        return usage_error("suppress", "--count is for list");
    if (o->json && v->needs_server)
        return usage_error("suppress", "--json is for list, show and export");
    if (v->needs_server ? o->directory != NULL : o->socket != NULL)
        return usage_error("suppress",
                           v->needs_server ? "%s asks the server that runs: it takes --socket"
                                           : "%s reads the ledger: it takes --directory",
                           v->name);
    return EXIT_DONE;
}

static int run_verb(const struct verb *v, int argc, char **argv)
{
    struct options o = {.domain = NULL};
    const struct option_spec specs[] = {
        OPTION_TEXT("domain", 0, &o.domain),       OPTION_TEXT("kind", 0, &o.kind),
        OPTION_TEXT("count", 'n', &o.count),       OPTION_TEXT("note", 0, &o.note),
        OPTION_FLAG("json", 0, &o.json),           OPTION_FLAG("csv", 0, &o.csv),
        OPTION_TEXT("socket", 0, &o.socket),       OPTION_TEXT("config", 'c', &o.config),
        OPTION_TEXT("directory", 0, &o.directory), OPTION_FLAG("help", 'h', &o.help)};
    int r = options_read("suppress", argc, argv, specs, ARRAY_SIZE(specs));

    if (r == EXIT_DONE && o.help)
        return print_verb_help(v);
    o.arguments = argv + optind;
    o.argument_count = (size_t)(argc - optind);
    if (r == EXIT_DONE)
        r = check_arguments(v, &o);
    return r == EXIT_DONE ? v->run(&o) : r;
}

int cmd_suppress(int argc, char **argv)
{
    if (argc < 2)
        return print_suppress_help(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return print_suppress_help(stdout);
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(verbs[i].name, argv[1]) == 0)
            return run_verb(&verbs[i], argc - 1, argv + 1);
    return usage_error("suppress", "there is no '%s'", argv[1]);
}
