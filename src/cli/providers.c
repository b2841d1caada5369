/*
 * cli/providers.c - `penstock providers`: who operates the hosts that take mail.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/options.h"
#include "cli/tables.h"
#include "config/config.h"

#define HOSTS_MAX 64

struct options {
    const char *config, *file;
    bool json, help;
};

static int print_help(void)
{
    puts("Usage: penstock providers list|check [OPTIONS]\n"
         "       penstock providers of MXHOST... [OPTIONS]\n"
         "\n"
         "  list     the providers that have a name, with their groups\n"
         "  check    tries the hosts that the table names as tests\n"
         "  of       the provider of a destination with these MX hosts, best first\n"
         "\n"
         "      --file FILE        providers of your own, asked before the shipped ones\n"
         "  -c, --config FILE      take them from the providers.file of this configuration\n"
         "      --json             for programs\n"
         "  -h, --help             this text");
    return EXIT_DONE;
}

static int load(const struct options *o, struct providers **ret)
{
    struct buf why = BUF_INIT(MAX_OF((size_t)CONFIG_WHY_MAX, (size_t)TABLES_WHY_MAX));
    struct config *loaded = NULL;
    const struct config *c = NULL;
    const char *file = o->file;
    int r = 0;

    if (!file && o->config) {
        r = config_load(o->config, NULL, 0, &loaded, &why);
        c = loaded;
        file = c ? c->providers.file : NULL;
    }
    if (r == 0)
        r = tables_providers(ret, file, &why);
    if (r < 0 && buf_len(&why))
        fprintf(stderr, "%s", buf_cstr(&why));
    else if (r < 0)
        (void)command_error("providers", "%s", err_str(r));
    config_unref(&c);
    buf_done(&why);
    return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

static json_t *info_json(const struct provider_info *info)
{
    return json_pack("{s:s, s:s?, s:s?, s:s?}", "name", info->name, "group", info->group, "title",
                     info->title, "pattern", info->pattern);
}

static int print_json(json_t *o)
{
    int r = o ? json_dumpf(o, stdout, JSON_INDENT(2)) : -1;

    json_decref(o);
    if (r < 0)
        return command_error("providers", "cannot write to standard output");
    putchar('\n');
    return EXIT_DONE;
}

/* ---- list ---- */

struct list {
    json_t *all; /* NULL: text */
    struct table table;
};

static void list_one(void *ctx, const struct provider_info *info)
{
    struct list *l = ctx;

    if (l->all) {
        (void)json_array_append_new(l->all, info_json(info));
        return;
    }
    ignore_result(table_add(&l->table, slice_str(info->name)));
    ignore_result(table_add(&l->table, slice_str(info->group ? info->group : "-")));
    ignore_result(table_add(&l->table, slice_str(info->pattern)));
    ignore_result(table_add(&l->table, slice_str(info->title)));
}

static int list(const struct options *o)
{
    static const struct table_column columns[] = {
        {"NAME", 24, false}, {"GROUP", 24, false}, {"FIRST PATTERN", 40, false}, {"", 0, false}};
    struct list l = {.all = o->json ? json_array() : NULL};
    struct providers *p = NULL;
    int r = load(o, &p);

    if (r != EXIT_DONE)
        return r;
    table_init(&l.table, columns, ARRAY_SIZE(columns), format_terminal_width(stdout), stdout);
    providers_each(p, list_one, &l);
    table_flush(&l.table);
    table_done(&l.table);
    if (o->json)
        r = print_json(json_pack("{s:o}", "providers", l.all));
    providers_free(&p);
    return r;
}

/* ---- check ---- */

struct check {
    size_t count, failed;
};

static void check_one(void *ctx, const struct provider_vector *v)
{
    struct check *c = ctx;

    c->count++;
    if (strcmp(v->wanted, v->got) == 0)
        return;
    c->failed++;
    fprintf(stderr, "%s:%u:%u: %.*s is of '%s', not of '%s'\n", v->file, v->line, v->column,
            SLICE_FMT(v->host), v->got, v->wanted);
}

static int check(const struct options *o)
{
    struct check c = {0};
    struct providers *p = NULL;
    int r = load(o, &p);

    if (r != EXIT_DONE)
        return r;
    providers_each_vector(p, check_one, &c);
    if (o->json)
        r = print_json(json_pack("{s:b, s:I, s:I}", "ok", c.failed == 0, "hosts",
                                 (json_int_t)c.count, "failed", (json_int_t)c.failed));
    else
        printf("%zu hosts tried, %zu wrong\n", c.count, c.failed);
    providers_free(&p);
    return r == EXIT_DONE && c.failed ? EXIT_FAILED : r;
}

/* ---- of ---- */

static int print_provider(const struct options *o, const struct provider_info *info)
{
    if (o->json)
        return print_json(info_json(info));
    printf("%s", info->name);
    if (info->title)
        printf(": %s", info->title);
    if (info->group)
        printf(", in %s", info->group);
    printf(info->pattern ? " (by %s)\n" : " (by the registered domain of its best host)\n",
           info->pattern);
    return EXIT_DONE;
}

static int of(const struct options *o, char **names, int count)
{
    struct slice hosts[HOSTS_MAX];
    char name_buf[PROVIDER_NAME_MAX];
    struct provider_info info;
    struct providers *p = NULL;
    int r;

    if (count > HOSTS_MAX)
        return usage_error("providers", "more than %d hosts", HOSTS_MAX);
    r = load(o, &p);
    if (r != EXIT_DONE)
        return r;
    for (int i = 0; i < count; i++)
        hosts[i] = slice_str(names[i]);
    providers_of(p, hosts, (size_t)count, name_buf, &info);
    r = print_provider(o, &info);
    providers_free(&p);
    return r;
}

int cmd_providers(int argc, char **argv)
{
    struct options o = {0};
    const struct option_spec specs[] = {
        OPTION_TEXT("file", 0, &o.file), OPTION_TEXT("config", 'c', &o.config),
        OPTION_FLAG("json", 0, &o.json), OPTION_FLAG("help", 'h', &o.help)};
    int r = options_read("providers", argc, argv, specs, ARRAY_SIZE(specs)), left = argc - optind;
    const char *verb = left > 0 ? argv[optind] : "list";

    if (r != EXIT_DONE)
        return r;
    if (o.help)
        return print_help();
    if (strcmp(verb, "list") == 0 && left <= 1)
        return list(&o);
    if (strcmp(verb, "check") == 0 && left == 1)
        return check(&o);
    if (strcmp(verb, "of") == 0 && left > 1)
        return of(&o, argv + optind + 1, left - 1);
    return usage_error("providers", "say what to do: list, check, or of MXHOST...");
}
