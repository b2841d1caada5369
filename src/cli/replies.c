/*
 * cli/replies.c - `penstock replies`: what other servers' replies mean, and the rules that say so.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/options.h"
#include "cli/reply_text.h"
#include "cli/tables.h"
#include "config/config.h"

#define OUTPUT_MAX MIB(4)

struct options {
    const char *config, *rules, *phase, *provider, *klass;
    bool json, help;
};

static int print_help(void)
{
    puts(
        "Usage: penstock replies explain REPLY [--phase PHASE] [--provider NAME] [--json]\n"
        "       penstock replies check FILE [--json]\n"
        "       penstock replies list [--class CLASS] [--json]\n"
        "\n"
        "  explain   what a reply means, what Penstock does about it, what to do and what not\n"
        "  check     reads a file of rules of your own and tries its replies (matches, never,\n"
        "            vectors) against it and the shipped rules\n"
        "  list      the classes, and the rules in the order they are asked\n"
        "\n"
        "      --phase PHASE      the command it answered: greeting, hello, starttls, mail, rcpt,\n"
        "                         data, end of data; else what is usual for the code\n"
        "      --provider NAME    whose hosts said it, for rules that ask (penstock providers)\n"
        "      --class CLASS      list: the rules of this class only\n"
        "      --rules FILE       rules of your own, asked before the shipped ones\n"
        "  -c, --config FILE      take them from the replies.file of this configuration\n"
        "      --json             for programs\n"
        "  -h, --help             this text");
    return EXIT_DONE;
}

/* Tells each line of `why`; or, where it is empty, what `r` means. */
static int tell(struct buf *why, int r)
{
    if (buf_len(why) == 0)
        return command_error("replies", "%s", err_str(r));
    fprintf(stderr, "%s", buf_cstr(why));
    return EXIT_FAILED;
}

static int load(const struct options *o, struct replies **ret)
{
    struct buf why = BUF_INIT(MAX_OF((size_t)CONFIG_WHY_MAX, (size_t)TABLES_WHY_MAX));
    struct config *loaded = NULL;
    const struct config *c = NULL;
    const char *file = o->rules;
    int r = 0;

    if (!file && o->config) {
        r = config_load(o->config, NULL, 0, &loaded, &why);
        c = loaded;
        file = c ? c->replies.file : NULL;
    }
    if (r == 0)
        r = tables_replies(ret, file, &why);
    r = r < 0 ? tell(&why, r) : EXIT_DONE;
    config_unref(&c);
    buf_done(&why);
    return r;
}

static int print_json(json_t *o)
{
    int r = o ? json_dumpf(o, stdout, JSON_INDENT(2)) : -1;

    json_decref(o);
    if (r < 0)
        return command_error("replies", "%s", err_str(-ENOMEM));
    putchar('\n');
    return EXIT_DONE;
}

/* ---- explain ---- */

static bool find_phase(const char *name, enum smtp_phase *ret)
{
    for (enum smtp_phase p = SMTP_PHASE_CONNECT; p <= SMTP_PHASE_CLOSED; p++)
        if (strcmp(name, smtp_phase_name(p)) == 0) {
            *ret = p;
            return true;
        }
    return false;
}

static int explain(const struct options *o, const char *line)
{
    struct reply_question q = {.line = slice_trim(slice_str(line))};
    struct buf text = BUF_INIT(OUTPUT_MAX);
    struct reply_verdict v;
    struct replies *r = NULL;
    int result;

    if (!utf8_is_valid(q.line))
        return usage_error("replies", "the reply is not UTF-8 text");
    if (!reply_facts_parse(q.line, &q.facts))
        return usage_error("replies",
                           "'%s' is no reply: it begins with a code, as in '452 4.3.1 "
                           "Insufficient system resources'",
                           line);
    if (o->phase && !find_phase(o->phase, &q.facts.phase))
        return usage_error("replies", "no phase '%s'", o->phase);
    q.facts.provider = slice_str(o->provider);
    result = load(o, &r);
    if (result != EXIT_DONE)
        return result;
    replies_explain(r, &q.facts, &v);
    if (o->json) {
        result = print_json(reply_text_json(&q, &v));
    } else {
        reply_text_write(&text, &q, &v);
        fputs(buf_cstr(&text), stdout);
    }
    buf_done(&text);
    replies_free(&r);
    return result;
}

/* ---- check ---- */

struct check {
    const char *file;
    json_t *failures; /* NULL: text */
    size_t count, failed;
};

static void check_vector(void *ctx, const struct reply_vector *v)
{
    struct check *c = ctx;
    struct buf why = BUF_INIT(KIB(8));

    if (strcmp(v->file, c->file) != 0)
        return;
    c->count++;
    if (v->passed) {
        buf_done(&why);
        return;
    }
    c->failed++;
    (void)format_harmless(&why, v->reply);
    (void)buf_addf(&why, ": wanted %s%s", v->is_never ? "not " : "", reply_class_name(v->wanted));
    if (*v->rule && !v->is_never)
        (void)buf_addf(&why, " by rule '%s'", v->rule);
    (void)buf_addf(&why, ", got %s by %s%s%s", reply_class_name(v->got),
                   *v->got_rule ? "rule '" : "its codes", v->got_rule, *v->got_rule ? "'" : "");
    if (c->failures)
        (void)json_array_append_new(c->failures, json_pack("{s:s, s:i, s:i, s:s}", "file", v->file,
                                                           "line", (int)v->line, "column",
                                                           (int)v->column, "what", buf_cstr(&why)));
    else
        fprintf(stderr, "%s:%u:%u: %s\n", v->file, v->line, v->column, buf_cstr(&why));
    buf_done(&why);
}

static int check(const struct options *o, const char *file)
{
    struct check c = {.file = file, .failures = o->json ? json_array() : NULL};
    struct options with = *o;
    struct replies *r = NULL;
    int result;

    with.rules = file;
    result = load(&with, &r);
    if (result == EXIT_DONE)
        replies_each_vector(r, check_vector, &c);
    if (result == EXIT_DONE && o->json)
        result = print_json(json_pack("{s:b, s:I, s:O}", "ok", c.failed == 0, "replies",
                                      (json_int_t)c.count, "failures", c.failures));
    else if (result == EXIT_DONE)
        printf("%s: %zu replies tried, %zu wrong\n", file, c.count, c.failed);
    json_decref(c.failures);
    replies_free(&r);
    return result == EXIT_DONE && c.failed ? EXIT_FAILED : result;
}

/* ---- list ---- */

struct list {
    enum reply_class klass; /* REPLY_CLASSES: all */
    json_t *rules;          /* NULL: text */
    struct table table;
};

static void list_rule(void *ctx, const struct reply_rule_view *rule)
{
    struct list *l = ctx;
    struct buf place = BUF_INIT(KIB(8));

    if (l->klass != REPLY_CLASSES && rule->klass != l->klass)
        return;
    (void)buf_addf(&place, "%s:%u", rule->file, rule->line);
    if (l->rules) {
        (void)json_array_append_new(l->rules,
                                    json_pack("{s:s, s:s, s:s, s:i}", "rule", rule->name, "class",
                                              reply_class_name(rule->klass), "file", rule->file,
                                              "line", (int)rule->line));
    } else {
        ignore_result(table_add(&l->table, slice_str(rule->name)));
        ignore_result(table_add(&l->table, slice_str(reply_class_name(rule->klass))));
        ignore_result(table_add(&l->table, buf_slice(&place)));
    }
    buf_done(&place);
}

static json_t *classes_json(void)
{
    json_t *all = json_array();

    for (enum reply_class c = REPLY_CAPACITY; c < REPLY_CLASSES; c++)
        (void)json_array_append_new(all, json_pack("{s:s, s:s, s:s}", "class", reply_class_name(c),
                                                   "what", reply_class_what(c), "action",
                                                   reply_action_name(reply_class_action(c))));
    return all;
}

static void list_classes(enum reply_class only)
{
    static const struct table_column columns[] = {
        {"CLASS", 0, false}, {"ACTION", 0, false}, {"WHAT IT MEANS", 0, false}};
    struct table t;

    table_init(&t, columns, ARRAY_SIZE(columns), format_terminal_width(stdout), stdout);
    for (enum reply_class c = REPLY_CAPACITY; c < REPLY_CLASSES; c++) {
        if (only != REPLY_CLASSES && c != only)
            continue;
        ignore_result(table_add(&t, slice_str(reply_class_name(c))));
        ignore_result(table_add(&t, slice_str(reply_action_name(reply_class_action(c)))));
        ignore_result(table_add(&t, slice_str(reply_class_what(c))));
    }
    table_flush(&t);
    table_done(&t);
}

static int list(const struct options *o)
{
    static const struct table_column columns[] = {
        {"RULE", 0, false}, {"CLASS", 0, false}, {"WHERE", 0, false}};
    struct list l = {.klass = REPLY_CLASSES, .rules = o->json ? json_array() : NULL};
    struct replies *r = NULL;
    int result;

    if (o->klass) {
        l.klass = reply_class_find(slice_str(o->klass));
        if (l.klass == REPLY_CLASSES)
            return usage_error("replies",
                               "--class '%s': no such class; penstock replies list shows them",
                               o->klass);
    }
    result = load(o, &r);
    if (result != EXIT_DONE)
        return result;
    if (!o->json) {
        list_classes(l.klass);
        putchar('\n');
    }
    table_init(&l.table, columns, ARRAY_SIZE(columns), format_terminal_width(stdout), stdout);
    replies_each_rule(r, list_rule, &l);
    table_flush(&l.table);
    table_done(&l.table);
    if (o->json)
        result = print_json(json_pack("{s:o, s:o}", "classes", classes_json(), "rules", l.rules));
    replies_free(&r);
    return result;
}

int cmd_replies(int argc, char **argv)
{
    struct options o = {0};
    const struct option_spec specs[] = {
        OPTION_TEXT("phase", 0, &o.phase),     OPTION_TEXT("provider", 0, &o.provider),
        OPTION_TEXT("class", 0, &o.klass),     OPTION_TEXT("rules", 0, &o.rules),
        OPTION_TEXT("config", 'c', &o.config), OPTION_FLAG("json", 0, &o.json),
        OPTION_FLAG("help", 'h', &o.help)};
    int r = options_read("replies", argc, argv, specs, ARRAY_SIZE(specs)), left = argc - optind;
    const char *verb = left > 0 ? argv[optind] : "";

    if (r != EXIT_DONE)
        return r;
    if (o.help)
        return print_help();
    if (strcmp(verb, "explain") == 0 && left == 2)
        return explain(&o, argv[optind + 1]);
    if (strcmp(verb, "explain") == 0)
        return usage_error("replies", "explain takes one reply, in quotes");
    if (strcmp(verb, "check") == 0 && left == 2)
        return check(&o, argv[optind + 1]);
    if (strcmp(verb, "list") == 0 && left == 1)
        return list(&o);
    return usage_error("replies", "say what to do: explain REPLY, check FILE or list");
}
