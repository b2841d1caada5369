/*
 * cli/lanes.c - `penstock lanes`: how each provider does from each source, what the controller made
 * of it, and the operator's hand on it; and what holds for an address.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/format.h"
#include "cli/json_get.h"
#include "cli/lanes_int.h"
#include "cli/options.h"
#include "cli/tables.h"
#include "cli/watch.h"
#include "config/config.h"
#include "deliver/lane_rules.h"
#include "evidence/providers.h"

#define PATH_BYTES_MAX KIB(4)
#define WHY_MAX TABLES_WHY_MAX

struct options {
    const char *socket, *config, *mx;
    bool json, help;
    struct watch_option watch;
};

struct verb {
    const char *name;
    int arguments_min, arguments_max;
    const char *wanted; /* arguments, for messages */
    int (*run)(const struct options *o, struct client *c, const char *const *arguments);
    bool asks_server;
};

static int print_help(void)
{
    puts(
        "Usage: penstock lanes [OPTIONS]\n"
        "       penstock lanes show LANE [OPTIONS]\n"
        "       penstock lanes pause|resume LANE [OPTIONS]\n"
        "       penstock lanes limit LANE CONNECTIONS [OPTIONS]\n"
        "       penstock lanes resolve ADDRESS [--mx HOST,...] [-c FILE] [--json]\n"
        "\n"
        "A lane is all mail to one provider from one source. Without a word more: all lanes of a\n"
        "running server, those that need a look first.\n"
        "\n"
        "  show      one lane: its state, what it was decided from, and when it may change next\n"
        "  pause     starts no attempt in it until it is resumed, also over a restart\n"
        "  resume    ends a pause\n"
        "  limit     no more connections than so many; 0 ends it\n"
        "  resolve   which route, provider, policy, sources and lanes mail to an address has, and\n"
        "            why; asks DNS, and no server\n"
        "\n"
        "      --watch[=SECONDS]  again every 2 (or so many) seconds, until q or Ctrl-C\n"
        "      --mx HOST,...      resolve: take these MX hosts, the best first, and ask no DNS\n"
        "      --json             for programs\n"
        "      --socket PATH      the server's control socket\n"
        "  -c, --config FILE      the server's configuration, which names the socket\n"
        "  -h, --help             this text");
    return EXIT_DONE;
}

static struct lanes_style style_of_stdout(void)
{
    return (struct lanes_style){.width = format_terminal_width(stdout),
                                .is_colour = watch_has_colour()};
}

static void print_json(const json_t *view, FILE *to)
{
    (void)json_dumpf(view, to, JSON_INDENT(1) | JSON_REAL_PRECISION(6) | JSON_ENSURE_ASCII);
    fputc('\n', to);
}

/* ---- looking ---- */

struct looking {
    const struct options *o;
    struct client *client;
    const char *path;
    void (*print)(const json_t *view, const struct lanes_style *style, FILE *to);
};

static int print_screen(void *ctx, FILE *to)
{
    const struct looking *l = ctx;
    struct lanes_style style = style_of_stdout();
    json_t *view = NULL;
    int r = client_get(l->client, l->path, &view);

    if (r == EXIT_DONE && l->o->json)
        print_json(view, to);
    else if (r == EXIT_DONE)
        l->print(view, &style, to);
    json_decref(view);
    return r;
}

static int look(const struct looking *l)
{
    struct looking once = *l;

    return l->o->watch.is_on ? watch_run(l->o->watch.seconds, print_screen, &once)
                             : print_screen(&once, stdout);
}

static int run_list(const struct options *o, struct client *c, const char *const *arguments)
{
    (void)arguments;
    return look(&(struct looking){o, c, "/v1/lanes", lanes_print});
}

/* "/v1/lanes/" and the name, escaped but for its slashes. */
static int lane_path(struct buf *path, const char *lane)
{
    static const char digits[] = "0123456789ABCDEF";
    int r = buf_add_str(path, "/v1/lanes/");

    for (; *lane; lane++) {
        uint8_t c = (uint8_t)*lane;

        if (byte_is_alpha(c) || byte_is_digit(c) || strchr("-._~/:", c)) {
            r |= buf_push(path, c);
        } else {
            r |= buf_push(path, '%');
            r |= buf_push(path, (uint8_t)digits[c >> 4]);
            r |= buf_push(path, (uint8_t)digits[c & 15]);
        }
    }
    return r;
}

static int run_show(const struct options *o, struct client *c, const char *const *arguments)
{
    struct buf path = BUF_INIT(PATH_BYTES_MAX);
    int r = EXIT_FAILED;

    if (lane_path(&path, arguments[0]) < 0)
        (void)command_error("lanes", "'%.40s...': no lane has such a long name", arguments[0]);
    else
        r = look(&(struct looking){o, c, buf_cstr(&path), lanes_print_one});
    buf_done(&path);
    return r;
}

/* ---- acting ---- */

/* Takes the body over. */
static int act(const struct options *o, struct client *c, json_t *body)
{
    json_t *view = NULL;
    int r = body ? client_post(c, "/v1/lanes/actions", body, &view)
                 : command_error("lanes", "the name is not UTF-8");

    if (r == EXIT_DONE && o->json) {
        print_json(view, stdout);
    } else if (r == EXIT_DONE) {
        struct lanes_style style = style_of_stdout();

        lanes_print_one(view, &style, stdout);
    }
    json_decref(view);
    json_decref(body);
    return r;
}

static int run_pause(const struct options *o, struct client *c, const char *const *arguments)
{
    return act(o, c, json_pack("{s:s, s:s}", "lane", arguments[0], "action", "pause"));
}

static int run_resume(const struct options *o, struct client *c, const char *const *arguments)
{
    return act(o, c, json_pack("{s:s, s:s}", "lane", arguments[0], "action", "resume"));
}

static int run_limit(const struct options *o, struct client *c, const char *const *arguments)
{
    uint64_t n;

    if (slice_to_u64(slice_str(arguments[1]), UINT32_MAX - 1, &n) < 0)
        return usage_error(
            "lanes",
            "limit %s '%s': allowed: a number of connections from 1, or 0 to end the limit",
            arguments[0], arguments[1]);
    return act(o, c,
               json_pack("{s:s, s:s, s:I}", "lane", arguments[0], "action", "limit", "connections",
                         (json_int_t)n));
}

/* ---- resolving ---- */

/* "a, b" of --mx. */
static int take_hosts(struct resolve_question *q, const char *text)
{
    struct slice left = slice_str(text);

    q->hosts_from = "--mx";
    do {
        ptrdiff_t comma = slice_find(left, ',');
        struct slice host = slice_trim(comma < 0 ? left : slice_sub(left, 0, (size_t)comma));

        if (host.len == 0 || q->host_count == RESOLVE_HOSTS_MAX)
            return usage_error("lanes",
                               "--mx '%s': allowed: 1 to %d host names, with commas between them",
                               text, RESOLVE_HOSTS_MAX);
        q->hosts[q->host_count++] = host;
        left = comma < 0 ? slice_make(NULL, 0) : slice_from(left, (size_t)comma + 1);
    } while (left.len);
    return EXIT_DONE;
}

static int resolve(const struct options *o, struct resolve_question *q)
{
    struct buf names = BUF_INIT(KIB(64)), why = BUF_INIT(KIB(4));
    json_t *view;
    int r = EXIT_DONE;

    if (o->mx)
        r = take_hosts(q, o->mx);
    else if (lanes_goes_by_mx(q->config, q->address))
        r = lanes_ask_mx(q, &names, &why);
    if (r == EXIT_DONE) {
        view = lanes_resolve(q);
        if (o->json)
            print_json(view, stdout);
        else
            lanes_print_resolved(view, format_terminal_width(stdout), stdout);
        json_decref(view);
    }
    buf_done(&names);
    buf_done(&why);
    return r;
}

/* `why` of many errors has one line each, and the last one ends, too. */
static struct slice without_newline(const struct buf *why)
{
    struct slice s = buf_slice(why);

    return s.len && s.ptr[s.len - 1] == '\n' ? slice_sub(s, 0, s.len - 1) : s;
}

static int run_resolve(const struct options *o, struct client *c, const char *const *arguments)
{
    struct resolve_question q = {.address = slice_str(arguments[0])};
    struct buf why = BUF_INIT(WHY_MAX);
    struct providers *providers = NULL;
    struct config *loaded = NULL;
    int r = config_load(o->config, NULL, 0, &loaded, &why);

    (void)c;
    q.config = loaded;
    if (r == 0)
        r = tables_providers(&providers, q.config->providers.file, &why);
    if (r == 0)
        r = lane_rules_check(q.config, providers, &why);
    if (r < 0) {
        if (buf_len(&why) == 0)
            (void)buf_add_str(&why, err_str(r));
        r = command_error("lanes", "%.*s", SLICE_FMT(without_newline(&why)));
    } else {
        q.providers = providers;
        r = resolve(o, &q);
    }
    providers_free(&providers);
    config_unref(&q.config);
    buf_done(&why);
    return r;
}

/* ---- options ---- */

static const struct verb verbs[] = {
    {"list", 0, 0, "", run_list, true},
    {"show", 1, 1, " LANE", run_show, true},
    {"pause", 1, 1, " LANE", run_pause, true},
    {"resume", 1, 1, " LANE", run_resume, true},
    {"limit", 2, 2, " LANE CONNECTIONS", run_limit, true},
    {"resolve", 1, 1, " ADDRESS", run_resolve, false},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static int set_watch(const char *value, void *to)
{
    return watch_read("lanes", value, to);
}

static int run(const struct options *o, int argc, char **argv)
{
    const struct verb *v = argc ? find_verb(argv[0]) : &verbs[0];
    const char *const *arguments = (const char *const *)(argc ? argv + 1 : argv);
    int count = argc ? argc - 1 : 0, r = EXIT_DONE;
    struct client *c = NULL;

    if (!v && strchr(argv[0], '/'))
        return usage_error("lanes", "'%s': for one lane it is 'penstock lanes show LANE'", argv[0]);
    if (!v)
        return usage_error("lanes", "'%s': allowed: show, pause, resume, limit or resolve",
                           argv[0]);
    if (count < v->arguments_min || count > v->arguments_max)
        return usage_error("lanes", "it is 'penstock lanes %s%s'", v->name, v->wanted);
    if (o->mx && v->asks_server)
        return usage_error("lanes", "--mx is for resolve");
    if (v->asks_server)
        r = client_new(&c, "lanes", o->socket, o->config);
    if (r == EXIT_DONE)
        r = v->run(o, c, arguments);
    client_free(&c);
    if (r == EXIT_DONE && fflush(stdout) == EOF)
        r = command_error("lanes", "cannot write to standard output");
    return r;
}

int cmd_lanes(int argc, char **argv)
{
    struct options o = {.watch = {.seconds = WATCH_S_DEFAULT}};
    const struct option_spec specs[] = {
        OPTION_TEXT("config", 'c', &o.config), OPTION_FLAG("help", 'h', &o.help),
        OPTION_TEXT("socket", 0, &o.socket),   OPTION_FLAG("json", 0, &o.json),
        OPTION_TEXT("mx", 0, &o.mx),           OPTION_READ_MAYBE("watch", 0, set_watch, &o.watch)};
    int r = options_read("lanes", argc, argv, specs, ARRAY_SIZE(specs));

    if (r != EXIT_DONE)
        return r;
    return o.help ? print_help() : run(&o, argc - optind, argv + optind);
}
