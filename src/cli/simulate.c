/*
 * cli/simulate.c - `penstock simulate`: policies of sending, tried against providers in trouble.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/options.h"
#include "cli/tables.h"
#include "config/yaml.h"
#include "simulate/html.h"
#include "simulate/simulate.h"

struct options {
    uint64_t seed;
    const char *html, *config;
    const char *sets[SIMULATE_SETS_MAX];
    size_t set_count;
    bool policies[SIMULATE_POLICY_COUNT];
    bool any_policy, json, list, help;
};

static int print_help(void)
{
    puts(
        "Usage: penstock simulate SCENARIO [--seed N] [--policy NAME]... [-c FILE]\n"
        "                         [--set KEY=VALUE]... [--html FILE] [--json]\n"
        "       penstock simulate --list\n"
        "\n"
        "Sends the mail of a scenario in virtual time, once by each policy, to providers that are\n"
        "modelled by what they can take. SCENARIO is a file, or the name of a shipped one.\n"
        "\n"
        "      --seed N         another course of chance; the same one gives the same output (1)\n"
        "      --policy NAME    only this policy; may be given more than once:\n"
        "                       playbook       Penstock's lanes\n"
        "                       fixed          fixed concurrency, doubling retry times\n"
        "                       postfix-model  the documented behaviour of Postfix\n"
        "                       kumomta-model  that of KumoMTA's shipped automation\n"
        "                       oracle         knows what the provider takes at each moment\n"
        "  -c, --config FILE    the playbook has the settings of this file; without it, the "
        "defaults\n"
        "      --set KEY=VALUE  a setting of the playbook that wins; may be given often\n"
        "      --html FILE      draws it as a page of its own, for a browser\n"
        "      --json           for programs, with each minute\n"
        "      --list           the shipped scenarios\n"
        "  -h, --help           this text");
    return EXIT_DONE;
}

static int read_seed(const char *value, void *to)
{
    if (slice_to_u64(slice_str(value), UINT64_MAX - 2, to) < 0)
        return usage_error("simulate", "--seed '%s': allowed: a whole number", value);
    return EXIT_DONE;
}

static int read_policy(const char *value, void *to)
{
    struct options *o = to;
    enum simulate_policy p = simulate_policy_find(slice_str(value));

    if (p == SIMULATE_POLICY_COUNT)
        return usage_error(
            "simulate",
            "--policy '%s': allowed: playbook, fixed, postfix-model, kumomta-model or oracle",
            value);
    o->policies[p] = o->any_policy = true;
    return EXIT_DONE;
}

static int read_set(const char *value, void *to)
{
    struct options *o = to;

    if (o->set_count == SIMULATE_SETS_MAX)
        return usage_error("simulate", "more than %d --set", SIMULATE_SETS_MAX);
    o->sets[o->set_count++] = value;
    return EXIT_DONE;
}

/* Tells each line of `why`; or, where it is empty, what `r` means. */
static int tell(struct buf *why, int r)
{
    if (buf_len(why) == 0)
        return command_error("simulate", "%s", err_str(r));
    fprintf(stderr, "%s", buf_cstr(why));
    return EXIT_FAILED;
}

/* ---- the scenario ---- */

static const struct scenario_shipped *find_shipped(const char *name)
{
    const struct scenario_shipped *s;

    for (size_t i = 0; (s = scenario_shipped_at(i)); i++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

static int load(const char *name, struct scenario **ret)
{
    const struct scenario_shipped *shipped = find_shipped(name);
    struct buf text = BUF_INIT(YAML_BYTES_MAX), why = BUF_INIT(TABLES_WHY_MAX);
    int r;

    if (shipped) {
        r = scenario_read(ret, shipped->name, shipped->text, &why);
    } else {
        r = tables_read(name, &text, &why);
        if (r == -ENOENT) {
            buf_clear(&why);
            (void)buf_addf(&why,
                           "penstock simulate: '%s' is no file, and no shipped scenario "
                           "('penstock simulate --list' names them)\n",
                           name);
        }
        if (r == 0)
            r = scenario_read(ret, name, buf_slice(&text), &why);
    }
    if (r < 0) {
        (void)tell(&why, r);
        r = EXIT_FAILED;
    }
    ASSERT(r == EXIT_FAILED || *ret);
    buf_done(&text);
    buf_done(&why);
    return r;
}

static int print_list(void)
{
    static const struct table_column columns[] = {{"SCENARIO", 0, false}, {"WHAT", 0, false}};
    const struct scenario_shipped *shipped;
    struct table t;
    int r = EXIT_DONE;

    table_init(&t, columns, ARRAY_SIZE(columns), 0, stdout);
    for (size_t i = 0; r == EXIT_DONE && (shipped = scenario_shipped_at(i)); i++) {
        struct scenario *s = NULL;

        r = load(shipped->name, &s);
        if (r != EXIT_DONE)
            break;
        ignore_result(table_add(&t, slice_str(shipped->name)));
        ignore_result(table_add(&t, slice_str(s->title)));
        scenario_free(&s);
    }
    table_flush(&t);
    table_done(&t);
    return r;
}

/* ---- figures ---- */

static double share(uint64_t part, uint64_t of)
{
    return of ? (double)part / (double)of : 0;
}

/* With so many digits behind the point, and what follows. */
static void add_cell(struct table *t, double value, int digits, const char *unit)
{
    char text[FORMAT_TEXT_MAX];

    (void)snprintf(text, sizeof(text), "%.*f%s", digits, value, unit);
    ignore_result(table_add(t, slice_str(text)));
}

static void add_count(struct table *t, uint64_t n)
{
    add_cell(t, (double)n, 0, "");
}

static void add_time(struct table *t, uint64_t ms)
{
    char text[FORMAT_TEXT_MAX];

    if (ms < 10000) {
        add_cell(t, (double)ms / 1000, 1, "s");
        return;
    }
    format_age((int64_t)ms, text);
    ignore_result(table_add(t, slice_str(text)));
}

static void add_row(struct table *t, const struct simulate_result *r)
{
    ignore_result(table_add(t, slice_str(simulate_policy_name(r->policy))));
    add_count(t, r->attempts);
    add_count(t, r->by_class[REPLY_CAPACITY]);
    add_cell(t, share(r->by_class[REPLY_CAPACITY], r->attempts) * 10000, 1, "");
    add_cell(t, share(r->delivered_first, r->messages) * 100, 3, "%");
    add_cell(t, share(r->messages_delivered, r->messages) * 100, 3, "%");
    add_time(t, times_percentile(&r->times, 0.5));
    add_time(t, times_percentile(&r->times, 0.9));
    add_time(t, times_percentile(&r->times, 0.99));
    add_count(t, r->queue_peak);
    if (r->drained)
        add_time(t, r->drain_ms);
    else
        ignore_result(table_add(t, SLICE_LIT("never")));
}

static void print_table(const struct simulate_result *results, size_t count)
{
    static const struct table_column columns[] = {
        {"POLICY", 0, false}, {"ATTEMPTS", 0, true}, {"CAPACITY", 0, true}, {"/10000", 0, true},
        {"FIRST", 0, true},   {"FINAL", 0, true},    {"P50", 0, true},      {"P90", 0, true},
        {"P99", 0, true},     {"PEAK", 0, true},     {"DRAINED", 0, true}};
    struct table t;

    table_init(&t, columns, ARRAY_SIZE(columns), 0, stdout);
    for (size_t i = 0; i < count; i++)
        add_row(&t, &results[i]);
    table_flush(&t);
    table_done(&t);
}

static const struct simulate_result *find_result(const struct simulate_result *results,
                                                 size_t count, enum simulate_policy p)
{
    for (size_t i = 0; i < count; i++)
        if (results[i].policy == p)
            return &results[i];
    return NULL;
}

/* "789 s": two runs that end in the same minute are told apart. */
static void format_drained(const struct simulate_result *r, char ret[static FORMAT_TEXT_MAX])
{
    if (r->drained)
        (void)snprintf(ret, FORMAT_TEXT_MAX, "%llu s", (unsigned long long)(r->drain_ms / 1000));
    else
        (void)snprintf(ret, FORMAT_TEXT_MAX, "never");
}

/* What is claimed of the playbook, as it came out in this run. */
static void print_claims(const struct simulate_result *p, const struct simulate_result *f)
{
    uint64_t ours = p->by_class[REPLY_CAPACITY], theirs = f->by_class[REPLY_CAPACITY];
    double first = share(p->delivered_first, p->messages), other;
    bool is_sooner = p->drained && (!f->drained || p->drain_ms <= f->drain_ms);
    char drained[FORMAT_TEXT_MAX], theirs_drained[FORMAT_TEXT_MAX];

    format_drained(p, drained);
    format_drained(f, theirs_drained);
    other = share(f->delivered_first, f->messages);
    printf("\nThe playbook against fixed concurrency:\n"
           "  capacity replies   %.1f %% of its (%s a third)\n"
           "  drained            after %s against %s (%s)\n"
           "  first attempt      %.3f %% against %.3f %% (%s)\n",
           share(ours, theirs) * 100, ours * 3 <= theirs ? "at most" : "more than", drained,
           theirs_drained, is_sooner ? "no later" : "later", first * 100, other * 100,
           first > other   ? "higher"
           : first < other ? "lower"
                           : "the same");
}

static void print_incidents(const struct scenario *s, const struct simulate_result *r)
{
    size_t kept = (size_t)MIN_OF(r->incident_count, (uint64_t)SIMULATE_INCIDENTS_MAX);

    printf("\nIncidents of the playbook: %llu\n", (unsigned long long)r->incident_count);
    for (size_t i = 0; i < kept; i++) {
        const struct simulate_incident *n = &r->incidents[i];
        char from[FORMAT_TEXT_MAX], to[FORMAT_TEXT_MAX] = "open at the end";

        format_age(n->opened_ms, from);
        if (n->closed_ms)
            format_age(n->closed_ms, to);
        printf("  ");
        if (s->nodes > 1)
            printf("node %u, ", n->node + 1);
        printf("%s: %s at %s, over at %s, %llu refusals, %s\n", n->lane, n->kind, from, to,
               (unsigned long long)n->refusals, verdict_side_name(n->side));
    }
}

static void print_text(const struct scenario *s, uint64_t seed,
                       const struct simulate_result *results, size_t count)
{
    const struct simulate_result *playbook = find_result(results, count, SIMULATE_PLAYBOOK);
    const struct simulate_result *fixed = find_result(results, count, SIMULATE_FIXED);

    printf("%s\n%llu messages, seed %llu", s->title, (unsigned long long)results[0].messages,
           (unsigned long long)seed);
    if (s->nodes > 1)
        printf(", %u nodes", s->nodes);
    printf("\n\n");
    print_table(results, count);
    printf(
        "\nCAPACITY: replies that the receiver is short of resources. FIRST, FINAL: delivered at\n"
        "the first attempt, and in the end. P50 .. P99: time to delivery. PEAK: messages queued.\n"
        "DRAINED: after the trouble, until all mail that came before its end was gone.\n");
    if (playbook && fixed)
        print_claims(playbook, fixed);
    if (playbook)
        print_incidents(s, playbook);
}

/* ---- JSON ---- */

/* Lists of the same length, of the figures of each minute. */
static json_t *json_minutes(const struct simulate_result *r)
{
    static const char *const names[] = {"arrived",   "attempts", "capacity",
                                        "delivered", "queue",    "connections"};
    json_t *all = json_object(), *lists[ARRAY_SIZE(names)];

    for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
        lists[k] = json_array();
        (void)json_object_set_new(all, names[k], lists[k]);
    }
    for (size_t i = 0; i < r->minute_count; i++) {
        const struct simulate_minute *m = &r->minutes[i];
        const uint64_t values[ARRAY_SIZE(names)] = {m->arrived,   m->attempts, m->capacity,
                                                    m->delivered, m->queue,    m->connections};

        for (size_t k = 0; k < ARRAY_SIZE(names); k++)
            (void)json_array_append_new(lists[k], json_integer((json_int_t)values[k]));
    }
    return all;
}

static json_t *json_of(const struct simulate_result *r)
{
    json_t *classes = json_object();

    for (enum reply_class c = REPLY_CAPACITY; c < REPLY_CLASSES; c++)
        if (r->by_class[c])
            (void)json_object_set_new(classes, reply_class_name(c),
                                      json_integer((json_int_t)r->by_class[c]));
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, "
        "s:I, s:I, s:I, s:o}",
        "policy", simulate_policy_name(r->policy), "attempts", (json_int_t)r->attempts, "delivered",
        (json_int_t)r->delivered, "deferred", (json_int_t)r->deferred, "failed",
        (json_int_t)r->failed, "replies", classes, "messages", (json_int_t)r->messages,
        "messages_delivered", (json_int_t)r->messages_delivered, "messages_failed",
        (json_int_t)r->messages_failed, "messages_expired", (json_int_t)r->messages_expired,
        "messages_left", (json_int_t)r->messages_left, "delivered_at_first_attempt",
        (json_int_t)r->delivered_first, "p50_ms", (json_int_t)times_percentile(&r->times, 0.5),
        "p90_ms", (json_int_t)times_percentile(&r->times, 0.9), "p99_ms",
        (json_int_t)times_percentile(&r->times, 0.99), "queue_peak", (json_int_t)r->queue_peak,
        "drain_ms", r->drained ? json_integer((json_int_t)r->drain_ms) : json_null(), "ended_ms",
        (json_int_t)r->ended_ms, "decisions", (json_int_t)r->decisions, "incidents",
        (json_int_t)r->incident_count, "minutes", json_minutes(r));
}

static int print_json(const struct scenario *s, uint64_t seed,
                      const struct simulate_result *results, size_t count)
{
    json_t *list = json_array(), *top;
    int r;

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_of(&results[i]));
    top = json_pack("{s:s, s:I, s:I, s:o}", "title", s->title, "seed", (json_int_t)seed, "nodes",
                    (json_int_t)s->nodes, "policies", list);
    r = top ? json_dumpf(top, stdout, JSON_COMPACT) : -1;
    json_decref(top);
    if (r < 0)
        return command_error("simulate", "%s", err_str(-ENOMEM));
    putchar('\n');
    return EXIT_DONE;
}

/* ---- HTML ---- */

static int html_error(const char *name, int r)
{
    return command_error("simulate", "--html %s cannot be written: %s", name, err_str(r));
}

/* Asked before the run, which may take minutes. What is in the file stays until there is a page. */
static int check_html(const char *name)
{
    FILE *f = name ? fopen(name, "ae") : NULL;

    if (name && !f)
        return html_error(name, -errno);
    if (f)
        (void)fclose(f);
    return EXIT_DONE;
}

static int write_file(const char *name, struct slice bytes)
{
    FILE *f = fopen(name, "we");
    size_t written;

    if (!f)
        return -errno;
    written = fwrite(bytes.ptr, 1, bytes.len, f);
    if (fclose(f) != 0 || written != bytes.len)
        return errno ? -errno : -EIO;
    return 0;
}

static int draw(const struct options *o, const struct scenario *s,
                const struct simulate_result *results, size_t count)
{
    struct buf page = BUF_INIT(SIMULATE_HTML_MAX);
    int r = simulate_html(s, o->seed, results, count, &page);

    if (r == 0)
        r = write_file(o->html, buf_slice(&page));
    buf_done(&page);
    return r < 0 ? html_error(o->html, r) : EXIT_DONE;
}

/* ---- the command ---- */

static int set_up(const struct options *o, const struct scenario *s, struct simulate_setup *ret)
{
    struct buf why = BUF_INIT(TABLES_WHY_MAX);
    struct config *config = NULL;
    int r = simulate_config(s, o->config, o->sets, o->set_count, &config, &why);

    ret->config = config;
    if (r == 0)
        r = tables_knowledge(config, &ret->knowledge, &why);
    if (r < 0)
        r = tell(&why, r);
    buf_done(&why);
    return r;
}

static int run(const struct options *o, const struct scenario *s,
               const struct simulate_setup *setup)
{
    static struct simulate_result results[SIMULATE_POLICY_COUNT];
    size_t count = 0;
    int r = 0;

    for (enum simulate_policy p = 0; r == 0 && p < SIMULATE_POLICY_COUNT; p++) {
        if (o->any_policy && !o->policies[p])
            continue;
        r = simulate_run(s, setup, p, o->seed, &results[count]);
        count += r == 0;
    }
    if (r < 0)
        r = command_error("simulate", "%s", err_str(r));
    else if (o->json)
        r = print_json(s, o->seed, results, count);
    else
        print_text(s, o->seed, results, count);
    if (r == EXIT_DONE && o->html)
        r = draw(o, s, results, count);
    for (size_t i = 0; i < count; i++)
        simulate_result_done(&results[i]);
    return r;
}

int cmd_simulate(int argc, char **argv)
{
    struct options o = {.seed = 1};
    const struct option_spec specs[] = {OPTION_READ("seed", 0, read_seed, &o.seed),
                                        OPTION_READ("policy", 0, read_policy, &o),
                                        OPTION_TEXT("html", 0, &o.html),
                                        OPTION_TEXT("config", 'c', &o.config),
                                        OPTION_READ("set", 0, read_set, &o),
                                        OPTION_FLAG("json", 0, &o.json),
                                        OPTION_FLAG("list", 0, &o.list),
                                        OPTION_FLAG("help", 'h', &o.help)};
    int r = options_read("simulate", argc, argv, specs, ARRAY_SIZE(specs));
    struct simulate_setup setup = {0};
    struct scenario *s = NULL;

    if (r != EXIT_DONE)
        return r;
    if (o.help)
        return print_help();
    if (o.list && optind == argc)
        return print_list();
    if (o.list || argc - optind != 1)
        return usage_error("simulate", "say one scenario: a file, or a name of --list");
    r = load(argv[optind], &s);
    if (r != EXIT_DONE)
        return r;
    r = set_up(&o, s, &setup);
    if (r == EXIT_DONE)
        r = check_html(o.html);
    if (r == EXIT_DONE)
        r = run(&o, s, &setup);
    knowledge_unref(&setup.knowledge);
    config_unref(&setup.config);
    scenario_free(&s);
    return r;
}
