/* cli/config.c - penstock config: check, show and describe the configuration, have it read
 * again. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/options.h"
#include "cli/pressure_int.h"
#include "cli/tables.h"
#include "config/config.h"
#include "deliver/lane_rules.h"

#define OUTPUT_MAX MIB(4)

struct options {
    const char *file, *socket;
    struct option_list overrides;
    bool json, pressure, help;
};

static int print_help(void)
{
    struct buf settings = BUF_INIT(OUTPUT_MAX);

    printf(
        "Usage: penstock config check|show|doc|reload [-c FILE] [--set NAME=VALUE]... [--json]\n\n"
        "  check   reads the configuration and tells everything that is wrong in it\n"
        "  show    prints every setting as it is in effect, and where it was set\n"
        "  doc     prints the manual of all settings (Markdown)\n"
        "  reload  has the running server read its file again; a bad one changes nothing\n\n"
        "  -c, --config FILE     the configuration file; without it, the defaults\n"
        "  --set NAME=VALUE      a setting that wins over the file\n"
        "  --socket PATH         reload: the server's control socket\n"
        "  --pressure            doc: the tables of docs/pressure.md\n"
        "  --json                for programs\n\n"
        "Settings, their kinds and defaults:\n");
    if (config_write_help(&settings) == 0)
        printf("%s", buf_cstr(&settings));
    buf_done(&settings);
    return EXIT_DONE;
}

static int print_doc(const struct options *o)
{
    struct buf text = BUF_INIT(OUTPUT_MAX);
    int r = o->pressure ? pressure_write_markdown(&text) : config_write_markdown(&text);

    if (r == 0)
        (void)fwrite(buf_slice(&text).ptr, 1, buf_len(&text), stdout);
    buf_done(&text);
    return r == 0 ? EXIT_DONE : command_error("config", "%s", err_str(r));
}

/* One line of `why` is one error. */
static void print_errors(const struct options *o, struct buf *why, int err)
{
    struct slice left = buf_slice(why);
    json_t *errors;

    if (left.len == 0) {
        (void)buf_addf(why, "%s\n", err_str(err));
        left = buf_slice(why);
    }
    if (!o->json) {
        fprintf(stderr, "%.*s", SLICE_FMT(left));
        return;
    }
    errors = json_array();
    while (left.len) {
        ptrdiff_t end = slice_find(left, '\n');
        struct slice line = end < 0 ? left : slice_sub(left, 0, (size_t)end);
        json_t *text = json_stringn((const char *)line.ptr, line.len);

        /* A name on the command line may not be UTF-8. */
        (void)json_array_append_new(errors, text ? text : json_string("(not UTF-8)"));
        left = end < 0 ? slice_make(NULL, 0) : slice_from(left, (size_t)end + 1);
    }
    errors = json_pack("{s:b, s:o}", "ok", 0, "errors", errors);
    (void)json_dumpf(errors, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(errors);
}

static void print_item(void *ctx, const struct config_item *item)
{
    json_t *settings = ctx;
    int width;

    if (settings) {
        (void)json_array_append_new(settings, json_pack("{s:s, s:s, s:s, s:b, s:b}", "name",
                                                        item->name, "value", item->value, "origin",
                                                        item->origin, "default", item->is_default,
                                                        "reload", item->reloadable));
        return;
    }
    width = (int)(60 - MIN_OF(strlen(item->name), (size_t)58));
    printf("%s: %-*s # %s\n", item->name, width, item->is_set ? item->value : "none", item->origin);
}

static int show(const struct options *o, const struct config *c)
{
    json_t *settings, *all;

    if (!o->json) {
        config_each(c, print_item, NULL);
        return EXIT_DONE;
    }
    settings = json_array();
    config_each(c, print_item, settings);
    all = json_pack("{s:o}", "settings", settings);
    (void)json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
    return EXIT_DONE;
}

/* The tables that it names must be good, and know the words of its blocks. */
static int check_names(const struct config *c, struct buf *why)
{
    struct providers *providers = NULL;
    struct replies *replies = NULL;
    int r = tables_providers(&providers, c->providers.file, why);

    if (r == 0)
        r = lane_rules_check(c, providers, why);
    if (r == 0)
        r = tables_replies(&replies, c->replies.file, why);
    replies_free(&replies);
    providers_free(&providers);
    return r;
}

static int run(const char *verb, const struct options *o)
{
    struct buf why = BUF_INIT(MAX_OF((size_t)CONFIG_WHY_MAX, (size_t)TABLES_WHY_MAX));
    struct config *loaded = NULL;
    const struct config *c;
    int r, code = EXIT_DONE;

    r = config_load(o->file, o->overrides.items, o->overrides.count, &loaded, &why);
    c = loaded;
    if (r == 0)
        r = check_names(c, &why);
    if (r < 0) {
        print_errors(o, &why, r);
        code = EXIT_FAILED;
    } else if (strcmp(verb, "show") == 0) {
        code = show(o, c);
    } else if (o->json) {
        puts("{\"ok\": true}");
    } else {
        printf("%s: good\n", o->file ? o->file : "the defaults");
    }
    config_unref(&c);
    buf_done(&why);
    return code;
}

/* The server reads the file it was started with; what is wrong in it comes back. */
static int reload(const struct options *o)
{
    struct client *c = NULL;
    json_t *answer = NULL;
    int r = client_new(&c, "config reload", o->socket, o->file);

    if (r == EXIT_DONE)
        r = client_post(c, "/v1/config/reload", NULL, &answer);
    if (r == EXIT_DONE)
        puts(o->json ? "{\"ok\": true}" : "reloaded");
    json_decref(answer);
    client_free(&c);
    return r;
}

int cmd_config(int argc, char **argv)
{
    struct options o = {0};
    const struct option_spec specs[] = {
        OPTION_TEXT("config", 'c', &o.file),     OPTION_LIST("set", 0, &o.overrides),
        OPTION_TEXT("socket", 0, &o.socket),     OPTION_FLAG("json", 0, &o.json),
        OPTION_FLAG("pressure", 0, &o.pressure), OPTION_FLAG("help", 'h', &o.help)};
    int r = options_read("config", argc, argv, specs, ARRAY_SIZE(specs));
    const char *verb = optind + 1 == argc ? argv[optind] : "";

    if (r != EXIT_DONE)
        return r;
    if (o.help)
        return print_help();
    if (strcmp(verb, "doc") == 0)
        return print_doc(&o);
    if (strcmp(verb, "reload") == 0)
        return reload(&o);
    if (strcmp(verb, "check") == 0 || strcmp(verb, "show") == 0)
        return run(verb, &o);
    return usage_error("config", "say what to do: check, show, doc or reload");
}
