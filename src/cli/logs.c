/*
 * cli/logs.c - `penstock logs`: reports on the logs of any mail server.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/logs_int.h"
#include "cli/logs_out.h"
#include "cli/options.h"
#include "cli/tables.h"
#include "cli/watch.h"
#include "cli/when.h"
#include "config/config.h"
#include "config/nearest.h"
#include "logscan/report.h"
#include "logscan/stamp.h"
#include "logscan/trace.h"

#define WHY_MAX MAX_OF((size_t)CONFIG_WHY_MAX, (size_t)TABLES_WHY_MAX)
#define COMMAND_MAX KIB(8)

static void print_reports(void)
{
    for (size_t i = 0; log_reports[i]; i++)
        printf("  %-10s %s\n", log_reports[i]->name, log_reports[i]->what);
    printf("  %-10s %s\n", "trace", "the way of one message or recipient through all files");
    printf("  %-10s %s\n", "query", "any SQL, of SQLite or Log Parser, over the rows as a table");
}

static int print_help(void)
{
    puts("Usage: penstock logs REPORT [OPTIONS] FILE|DIR|GLOB|- ...\n"
         "       penstock logs trace PATTERN FILE ...\n"
         "       penstock logs query SQL [FILE ...]\n");
    print_reports();
    puts(
        "\n"
        "Formats are found by content, files may be plain, gzip or zstd, of several formats in "
        "one\n"
        "run; they are read the oldest first.\n"
        "\n"
        "      --class LIST       replies by first digit, of status, daily and hourly: 4, 5 or "
        "4,5\n"
        "                         (the default), 2, 3, all\n"
        "      --by WHAT          status: also by host (its address), domain, provider or "
        "connector\n"
        "  -n, --limit N          rows of a table (0: all)\n"
        "      --own HOST         a host of our own: a name, an address or a network, as often as\n"
        "                         needed; what it answers is our side's doing (blame)\n"
        "      --since WHEN       what happened since: 24h, 7d, 2026-11-22, 2026-11-22T19:30Z\n"
        "      --until WHEN       what happened before that\n"
        "      --format NAME      all files are of this format:");
    for (size_t i = 0; log_formats[i]; i++)
        printf("                           %-22s %s\n", log_formats[i]->name,
               log_formats[i]->title);
    puts("      --tz ZONE          days and times, and stamps without a zone, are of this zone: "
         "UTC,\n"
         "                         Europe/Berlin; the machine's unless given\n"
         "      --year Y           of the first stamp without a year; inferred unless given\n"
         "      --json             all tables, for programs\n"
         "      --csv              one table as CSV: the first, or --table NAME\n"
         "      --html FILE        a page with tables and plots, beside the text\n"
         "      --threads N        one a core unless given\n"
         "  -c, --config FILE      rules on replies and providers of this configuration\n"
         "  -h, --help             this text\n"
         "\n"
         "Exit codes: 0 all was read; 1 a file could not be read, or is of no known format (the "
         "rest is\n"
         "in the report); 2 usage.");
    return EXIT_DONE;
}

/* ---- options ---- */

static int read_class(const char *value, void *to)
{
    unsigned *classes = to;

    if (strcmp(value, "all") == 0) {
        *classes = 0x3c;
        return EXIT_DONE;
    }
    for (const char *p = value; *p; p += p[1] == ',' ? 2 : 1) {
        if (*p < '2' || *p > '5' || (p[1] != ',' && p[1] != '\0') || (p[1] == ',' && !p[2]))
            return usage_error("logs", "--class %s: allowed: 2, 3, 4, 5, joined by commas, or all",
                               value);
        *classes |= 1u << (*p - '0');
    }
    return *classes ? EXIT_DONE : usage_error("logs", "--class: allowed: 2, 3, 4, 5, all");
}

static int read_by(const char *value, void *to)
{
    static const char *const names[] = {[BY_HOST] = "host",
                                        [BY_DOMAIN] = "domain",
                                        [BY_PROVIDER] = "provider",
                                        [BY_CONNECTOR] = "connector"};
    enum log_by *by = to;

    for (size_t i = BY_HOST; i < ARRAY_SIZE(names); i++) {
        if (strcmp(names[i], value) == 0) {
            *by = (enum log_by)i;
            return EXIT_DONE;
        }
    }
    return usage_error("logs", "--by %s: allowed: host, domain, provider, connector", value);
}

static int read_format(const char *value, void *to)
{
    const struct log_format **format = to;

    *format = log_format_find(slice_str(value));
    return *format ? EXIT_DONE
                   : usage_error("logs",
                                 "--format %s: there is no such format (penstock logs --help "
                                 "lists them)",
                                 value);
}

static int read_options(int argc, char **argv, struct logs_options *o)
{
    const struct option_spec specs[] = {
        OPTION_READ("class", 0, read_class, &o->report.classes),
        OPTION_READ("by", 0, read_by, &o->report.by),
        OPTION_NUMBER("limit", 'n', 0, SHEET_ROWS_MAX, &o->limit),
        OPTION_LIST("own", 0, &o->own),
        OPTION_TEXT("since", 0, &o->since),
        OPTION_TEXT("until", 0, &o->until),
        OPTION_READ("format", 0, read_format, &o->run.format),
        OPTION_TEXT("tz", 0, &o->zone),
        OPTION_NUMBER("year", 0, 1970, 9998, &o->year),
        OPTION_FLAG("json", 0, &o->json),
        OPTION_FLAG("csv", 0, &o->csv),
        OPTION_TEXT("table", 0, &o->table),
        OPTION_TEXT("html", 0, &o->html),
        OPTION_NUMBER("threads", 0, 1, RUN_THREADS_MAX, &o->threads),
        OPTION_TEXT("config", 'c', &o->config),
        OPTION_FLAG("help", 'h', &o->help),
    };

    o->limit = UINT64_MAX;
    o->report.since_ms = INT64_MIN;
    o->report.until_ms = INT64_MAX;
    return options_read("logs", argc, argv, specs, ARRAY_SIZE(specs));
}

static int check_options(struct logs_options *o)
{
    int64_t now_ms = clock_wall_ms();
    int r = EXIT_DONE;

    if (stamp_zone(o->zone) < 0)
        return usage_error("logs", "--tz %s: there is no such zone; as UTC or Europe/Berlin",
                           o->zone);
    if (o->json && o->csv)
        return usage_error("logs", "--json and --csv: one of them");
    if (o->table && !o->csv)
        return usage_error("logs", "--table %s is for --csv", o->table);
    if (o->report.by != BY_NOTHING && strcmp(o->report_name, "status") != 0)
        return usage_error("logs", "--by is for status: %s has its own tables", o->report_name);
    if (o->own.count > 0 && strcmp(o->report_name, "blame") != 0)
        return usage_error("logs", "--own is for blame");
    if (o->own.count > LOG_OWN_MAX)
        return usage_error("logs", "--own: at most %d", LOG_OWN_MAX);
    if (o->since)
        r = when_parse("logs", "--since", o->since, now_ms, &o->report.since_ms);
    if (r == EXIT_DONE && o->until)
        r = when_parse("logs", "--until", o->until, now_ms, &o->report.until_ms);
    if (r == EXIT_DONE && o->report.since_ms >= o->report.until_ms)
        r = usage_error("logs", "--since %s is not before --until %s", o->since ? o->since : "ever",
                        o->until ? o->until : "ever");
    if (getrandom(&o->report.seed, sizeof(o->report.seed), 0) < 0)
        return command_error("logs", "there are no random numbers: %s", strerror(errno));
    o->run.threads = (unsigned)o->threads;
    o->run.year = (int)o->year;
    o->report.own = o->own.items;
    o->report.own_count = o->own.count;
    o->report.rows_max = o->limit == 0 ? SHEET_ROWS_MAX : o->limit == UINT64_MAX ? 0 : o->limit;
    return r;
}

/* ---- a report ---- */

/* The rules on replies and providers: the configuration's, else the shipped ones. */
static int load_knowledge(const char *config, const struct knowledge **ret)
{
    struct buf why = BUF_INIT(WHY_MAX);
    struct config *loaded = NULL;
    const struct config *c = NULL;
    struct replies *replies = NULL;
    struct providers *providers = NULL;
    int r = config ? config_load(config, NULL, 0, &loaded, &why) : 0;

    c = loaded;
    if (r == 0)
        r = c ? tables_knowledge(c, ret, &why) : knowledge_new(ret, &replies, &providers, &why);
    if (r < 0)
        r = command_error("logs", "%s", buf_len(&why) > 0 ? buf_cstr(&why) : err_str(r));
    config_unref(&c);
    buf_done(&why);
    return r;
}

/* A log that was named behind --html by mistake is not to be lost. */
static bool may_overwrite(const char *path)
{
    static const char begin[] = "<!doctype html>";
    char head[sizeof(begin) - 1];
    FILE *old = fopen(path, "re");
    size_t n;

    if (!old)
        return true;
    n = fread(head, 1, sizeof(head), old);
    (void)fclose(old);
    return n == 0 || (n == sizeof(head) && memcmp(head, begin, n) == 0);
}

static int write_html(const struct log_report *r, const struct logs_options *o,
                      const struct logs_head *head)
{
    FILE *page;
    int error;

    if (!may_overwrite(o->html))
        return command_error(
            "logs", "--html %s: there is a file that is no HTML page: remove it, or name another",
            o->html);
    page = fopen(o->html, "we");
    if (!page)
        return command_error("logs", "--html %s: %s", o->html, strerror(errno));
    error = logs_out_html(r, head, page);
    if (fclose(page) != 0 && error == 0)
        error = -errno;
    return error < 0 ? command_error("logs", "--html %s: %s", o->html, err_str(error)) : EXIT_DONE;
}

static int no_table(const struct log_report *r, const char *table)
{
    struct buf names = BUF_INIT(KIB(4));
    int error;

    for (size_t i = 0; i < r->sheet_count; i++)
        (void)buf_addf(&names, "%s%s", i ? ", " : "", r->sheets[i].name);
    error = command_error("logs", "--table %s: this report has %s", table, buf_cstr(&names));
    buf_done(&names);
    return error;
}

int logs_print(const struct log_report *r, const struct logs_options *o)
{
    struct logs_head head = {
        .report = o->report_name, .zone = stamp_zone_name(), .command = o->command};
    const struct screen screen = {.width = format_terminal_width(stdout),
                                  .is_colour = watch_has_colour(),
                                  .is_ascii = isatty(STDOUT_FILENO) == 1 && !screen_is_utf8()};
    int error = 0;

    if (o->html && write_html(r, o, &head) != EXIT_DONE)
        return EXIT_FAILED;
    if (o->json) {
        error = logs_out_json(r, &head, stdout);
    } else if (o->csv) {
        error = logs_out_csv(r, o->table, stdout);
        logs_out_notes(r, stderr);
    } else
        logs_out_text(r, &screen, stdout);
    if (error == -ENOENT)
        return no_table(r, o->table);
    return error < 0 ? command_error("logs", "%s", err_str(error)) : EXIT_DONE;
}

/* Was everything read that was asked for? */
static int outcome(const struct log_run *run)
{
    size_t bad = 0;

    for (size_t i = 0; i < log_run_file_count(run); i++) {
        const struct log_file *f = log_run_file(run, i);

        bad += f->error < 0 || !f->format;
    }
    return bad > 0 ? EXIT_FAILED : EXIT_DONE;
}

static int print_run(struct log_report *report, const struct log_run *run,
                     const struct logs_options *o)
{
    int r;

    log_run_notes(run, report);
    r = logs_print(report, o);
    return r == EXIT_DONE ? outcome(run) : r;
}

static int failed(int error, struct buf *why)
{
    return command_error("logs", "%s", buf_len(why) > 0 ? buf_cstr(why) : err_str(error));
}

struct sink {
    const struct log_report_kind *kind;
    void *state;
};

static int merge(void *ctx, struct log_scan *s)
{
    const struct sink *sink = ctx;

    return sink->kind->facts(sink->state, s);
}

static int run_report(const struct log_report_kind *kind, struct logs_options *o, void *state)
{
    struct sink sink = {kind, state};
    const struct log_reader reader = {.merge = merge, .ctx = &sink};
    struct log_report *report = calloc(1, sizeof(*report));
    struct buf why = BUF_INIT(KIB(8));
    struct log_run *run = NULL;
    struct logs_progress progress;
    int r;

    o->run.wants = kind->wants(&o->report);
    logs_progress_begin(&progress, &o->run);
    r = report ? log_run(&run, &o->run, &reader, &why) : -ENOMEM;
    logs_progress_end(&progress);
    if (r == 0)
        r = kind->finish(state, report);
    r = r < 0 ? failed(r, &why) : print_run(report, run, o);
    if (report)
        log_report_done(report);
    free(report);
    log_run_free(&run);
    buf_done(&why);
    return r;
}

static int make_report(const struct log_report_kind *kind, struct logs_options *o)
{
    struct buf why = BUF_INIT(KIB(8));
    void *state = NULL;
    int r = load_knowledge(o->config, &o->report.knowledge);

    if (r != EXIT_DONE)
        return r;
    r = kind->create(&state, &o->report, &why);
    r = r < 0 ? failed(r, &why) : run_report(kind, o, state);
    kind->free(&state);
    knowledge_unref(&o->report.knowledge);
    buf_done(&why);
    return r;
}

static int query(struct logs_options *o)
{
    int r = load_knowledge(o->config, &o->report.knowledge);

    if (r == EXIT_DONE)
        r = logs_query(o, o->report.knowledge);
    knowledge_unref(&o->report.knowledge);
    return r;
}

/* ---- which ---- */

static int no_report(const char *name)
{
    const char *nearest = nearest_distance(slice_str(name), SLICE_LIT("trace")) <
                                  nearest_distance(slice_str(name), SLICE_LIT("query"))
                              ? "trace"
                              : "query";
    size_t least = nearest_distance(slice_str(name), slice_str(nearest));

    for (size_t i = 0; log_reports[i]; i++) {
        size_t d = nearest_distance(slice_str(name), slice_str(log_reports[i]->name));

        if (d < least) {
            least = d;
            nearest = log_reports[i]->name;
        }
    }
    return usage_error("logs", "there is no report '%s': did you mean '%s'?", name, nearest);
}

static void join_command(int argc, char **argv, char *to, size_t room)
{
    size_t used = (size_t)snprintf(to, room, "penstock");

    for (int i = 0; i < argc && used < room; i++)
        used += (size_t)snprintf(to + used, room - used, " %s", argv[i]);
}

/* ---- trace ---- */

static int trace(struct logs_options *o)
{
    struct log_report *report = calloc(1, sizeof(*report));
    struct buf why = BUF_INIT(KIB(8));
    struct log_run *run = NULL;
    struct logs_progress progress;
    int r = -ENOMEM;

    logs_progress_begin(&progress, &o->run);
    if (report)
        r = trace_run(&run, &o->run, o->pattern, &o->report, report, &why);
    logs_progress_end(&progress);
    r = r < 0 ? failed(r, &why) : print_run(report, run, o);
    if (report)
        log_report_done(report);
    free(report);
    log_run_free(&run);
    buf_done(&why);
    return r;
}

int cmd_logs(int argc, char **argv)
{
    static struct logs_options o;
    static char command[COMMAND_MAX];
    const struct log_report_kind *kind;
    bool is_trace, is_query;
    int r;

    argc = logs_query_words(argc, argv);
    join_command(argc, argv, command, sizeof(command));
    o.command = command;
    r = read_options(argc, argv, &o);
    if (r != EXIT_DONE)
        return r;
    if (o.help)
        return print_help();
    if (optind >= argc)
        return usage_error("logs", "which report? status, daily, capacity, blame ...");
    o.report_name = argv[optind++];
    is_trace = strcmp(o.report_name, "trace") == 0;
    is_query = strcmp(o.report_name, "query") == 0;
    kind = log_report_find(o.report_name);
    if (!kind && !is_trace && !is_query)
        return no_report(o.report_name);
    if ((is_trace || is_query) && optind < argc)
        o.pattern = argv[optind++];
    if (is_trace && !o.pattern)
        return usage_error("logs", "trace: whom or what? an address, a queue id, a message id");
    if (is_query && !o.pattern)
        return usage_error("logs", "query: what? \"SELECT ... FROM *.log\"");
    if (optind >= argc && !is_query)
        return usage_error("logs", "%s: of which files? FILE, DIR, GLOB or - for standard input",
                           o.report_name);
    o.run.paths = (const char *const *)(argv + optind);
    o.run.path_count = (size_t)(argc - optind);
    r = check_options(&o);
    if (r != EXIT_DONE)
        return r;
    return is_trace ? trace(&o) : is_query ? query(&o) : make_report(kind, &o);
}
