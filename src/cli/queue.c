/*
 * cli/queue.c - `penstock queue`: looks at the queue of a running server and acts on it.
 *
 * Everything comes from the control socket, in pages: a listing or an action over a million
 * messages streams and never holds the server up.
 */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/format.h"
#include "cli/json_get.h"
#include "cli/options.h"

#define PATH_MAX_BYTES KIB(16)
#define PAGE "1000"

struct options {
    const char *socket, *config;
    const char *destination, *sender, *recipient, *state;
    uint64_t older_than_s, younger_than_s, limit;
    bool all, json, body, brief, help;
    char **ids;
    size_t id_count;
};

struct verb {
    const char *name, *arguments, *summary;
    int (*run)(const struct verb *v, const struct options *o, struct client *c);
    bool takes_filters, is_action;
};

static void print_harmless(const char *text)
{
    struct buf b = BUF_INIT(MIB(8));

    (void)format_harmless(&b, slice_str(text));
    fputs(buf_cstr(&b), stdout);
    buf_done(&b);
}

static int print_json(const json_t *value, size_t flags)
{
    if (json_dumpf(value, stdout, flags | JSON_ENSURE_ASCII) < 0 || putchar('\n') == EOF)
        return EXIT_FAILED;
    return EXIT_DONE;
}

/* "55m" from now; "now" for what is due, "-" for what never is. */
static void format_until(int64_t at_ms, int64_t now_ms, char ret[static FORMAT_TEXT_MAX])
{
    if (at_ms == 0)
        (void)snprintf(ret, FORMAT_TEXT_MAX, "-");
    else if (at_ms <= now_ms)
        (void)snprintf(ret, FORMAT_TEXT_MAX, "now");
    else
        format_age(at_ms - now_ms, ret);
}

/* ---- list ---- */

static const struct table_column list_columns[] = {
    {"ID", 0, false},      {"AGE", 0, true},          {"SIZE", 0, true},
    {"STATE", 0, false},   {"TRIES", 0, true},        {"NEXT", 0, true},
    {"SENDER", 32, false}, {"RECIPIENTS", 40, false}, {"LAST REPLY", 0, false},
};
static const struct table_column brief_columns[] = {
    {"ID", 0, false},   {"AGE", 0, true},  {"STATE", 0, false},
    {"TRIES", 0, true}, {"NEXT", 0, true}, {"DESTINATION", 0, false},
};

static int add_text(struct table *t, const char *text)
{
    return table_add(t, slice_str(text));
}

/* "b@example.org +2 (via hop.example:25)" */
static int add_recipients(struct table *t, const json_t *item)
{
    const char *first = json_string_value(json_array_get(json_object_get(item, "recipients"), 0));
    const char *destination = get_text(item, "destination"), *at;
    int64_t more = get_int(item, "recipient_count") - 1;
    struct buf cell = BUF_INIT(KIB(8));
    int r;

    if (!first) {
        r = add_text(t, destination);
        return r;
    }
    (void)buf_add_str(&cell, first);
    if (more > 0)
        (void)buf_addf(&cell, " +%" PRId64, more);
    at = strrchr(first, '@');
    if (!at || !slice_eq_case(slice_str(at + 1), slice_str(destination)))
        (void)buf_addf(&cell, " (via %s)", destination);
    r = table_add(t, buf_slice(&cell));
    buf_done(&cell);
    return r;
}

static int add_row(struct table *t, const json_t *item, int64_t now_ms, bool brief)
{
    char age[FORMAT_TEXT_MAX], size[FORMAT_TEXT_MAX], next[FORMAT_TEXT_MAX], tries[24];
    const char *sender = json_string_value(json_object_get(item, "sender"));
    const char *state = get_text(item, "state");
    bool has_details = sender != NULL;
    int r;

    format_age(now_ms - get_int(item, "arrival_ms"), age);
    size_format_short((uint64_t)get_int(item, "bytes"), size);
    format_until(strcmp(state, "deferred") == 0 ? get_int(item, "next_attempt_ms")
                 : strcmp(state, "held") == 0   ? 0
                                                : now_ms,
                 now_ms, next);
    (void)snprintf(tries, sizeof(tries), "%" PRId64, get_int(item, "attempts"));
    r = add_text(t, get_text(item, "id")) | add_text(t, age);
    if (!brief)
        r |= add_text(t, has_details ? size : "?");
    r |= add_text(t, state) | add_text(t, tries) | add_text(t, next);
    if (brief)
        return r | add_text(t, get_text(item, "destination"));
    r |= add_text(t, !has_details ? "?" : *sender ? sender : "<>");
    r |= add_recipients(t, item);
    return r | add_text(t, get_text(item, "last_text"));
}

/* The question without cursor and id. */
static int list_path(const struct options *o, const char *id, struct buf *path)
{
    char number[24];
    int r = buf_add_str(path, "/v1/queue?limit=" PAGE);

    if (!o->brief)
        r |= client_add_query(path, "details", "1");
    if (id)
        r |= client_add_query(path, "id", id);
    if (o->destination)
        r |= client_add_query(path, "destination", o->destination);
    if (o->sender)
        r |= client_add_query(path, "sender", o->sender);
    if (o->recipient)
        r |= client_add_query(path, "recipient", o->recipient);
    if (o->state)
        r |= client_add_query(path, "state", o->state);
    if (o->older_than_s) {
        (void)snprintf(number, sizeof(number), "%" PRIu64, o->older_than_s);
        r |= client_add_query(path, "older_than_s", number);
    }
    if (o->younger_than_s) {
        (void)snprintf(number, sizeof(number), "%" PRIu64, o->younger_than_s);
        r |= client_add_query(path, "younger_than_s", number);
    }
    return r;
}

struct listing {
    const struct verb *verb;
    const struct options *o;
    struct client *client;
    struct table table;
    struct buf pressure; /* a sentence */
    uint64_t printed;
};

/* A server that refuses has short queues and looks well: so its level is told with them. */
static void keep_pressure(struct listing *l, const json_t *page)
{
    const json_t *pressure = json_object_get(page, "pressure");
    const json_t *refused = json_object_get(pressure, "refused");
    char age[FORMAT_TEXT_MAX];

    if (buf_len(&l->pressure) > 0 || !pressure || json_is_null(pressure))
        return;
    format_age(get_int(page, "now_ms") - get_int(pressure, "since_ms"), age);
    (void)buf_addf(&l->pressure,
                   "Server level %s for %s; MAILs refused: %" PRId64 " in the last minute, %" PRId64
                   " hour, %" PRId64 " day ('penstock pressure' tells more).",
                   get_text(pressure, "level"), age, get_int(refused, "minute"),
                   get_int(refused, "hour"), get_int(refused, "day"));
}

static int print_page(struct listing *l, const json_t *page)
{
    const json_t *items = json_object_get(page, "items");
    int64_t now_ms = get_int(page, "now_ms");
    int r = EXIT_DONE;

    keep_pressure(l, page);
    for (size_t i = 0; i < json_array_size(items) && r == EXIT_DONE; i++) {
        const json_t *item = json_array_get(items, i);

        if (l->o->limit && l->printed >= l->o->limit)
            break;
        l->printed++;
        if (l->o->json)
            r = print_json(item, JSON_COMPACT);
        else if (add_row(&l->table, item, now_ms, l->o->brief) < 0)
            r = EXIT_FAILED;
    }
    table_flush(&l->table);
    return ferror(stdout) ? EXIT_FAILED : r;
}

/* Follows cursors to the end. */
static int list_pages(struct listing *l, const char *id)
{
    struct buf path = BUF_INIT(PATH_MAX_BYTES);
    size_t base;
    bool more = true;
    int r = EXIT_DONE;

    if (list_path(l->o, id, &path) < 0) {
        buf_done(&path);
        return command_error("queue list", "the filter is too long");
    }
    base = buf_len(&path);
    while (r == EXIT_DONE && more && !(l->o->limit && l->printed >= l->o->limit)) {
        json_t *page = NULL;
        const char *cursor;

        r = client_get(l->client, buf_cstr(&path), &page);
        if (r != EXIT_DONE)
            break;
        r = print_page(l, page);
        buf_truncate(&path, base);
        cursor = json_string_value(json_object_get(page, "cursor"));
        more = cursor && client_add_query(&path, "cursor", cursor) == 0;
        json_decref(page);
    }
    buf_done(&path);
    return r;
}

static int run_list(const struct verb *v, const struct options *o, struct client *c)
{
    struct listing l = {.verb = v, .o = o, .client = c, .pressure = BUF_INIT(KIB(4))};
    size_t width = format_terminal_width(stdout);
    int r = EXIT_DONE;

    if (o->brief)
        table_init(&l.table, brief_columns, ARRAY_SIZE(brief_columns), width, stdout);
    else
        table_init(&l.table, list_columns, ARRAY_SIZE(list_columns), width, stdout);
    if (o->id_count == 0)
        r = list_pages(&l, NULL);
    for (size_t i = 0; i < o->id_count && r == EXIT_DONE; i++)
        r = list_pages(&l, o->ids[i]);
    if (r == EXIT_DONE && !o->json && l.printed == 0)
        puts("Nothing is queued, or nothing that fits the filter.");
    if (r == EXIT_DONE && !o->json && buf_len(&l.pressure) > 0)
        puts(buf_cstr(&l.pressure));
    buf_done(&l.pressure);
    table_done(&l.table);
    return r;
}

/* ---- summary ---- */

static const struct table_column summary_columns[] = {
    {"DESTINATION", 60, false}, {"MESSAGES", 0, true}, {"DEFERRED", 0, true},
    {"READY", 0, true},         {"ACTIVE", 0, true},   {"HELD", 0, true},
    {"OLDEST", 0, true},        {"NEXT", 0, true},     {"FAILURES", 0, true},
};

/* Appends the destinations of all pages to `all`. */
static int get_destinations(struct client *c, json_t *all)
{
    struct buf path = BUF_INIT(PATH_MAX_BYTES);
    bool more = true;
    int r = EXIT_DONE;

    (void)buf_add_str(&path, "/v1/queue/summary?limit=" PAGE);
    while (r == EXIT_DONE && more) {
        size_t base = buf_len(&path);
        json_t *page = NULL;
        const char *cursor;

        r = client_get(c, buf_cstr(&path), &page);
        if (r != EXIT_DONE)
            break;
        if (json_array_extend(all, json_object_get(page, "destinations")) < 0)
            r = command_error("queue summary", "out of memory");
        cursor = json_string_value(json_object_get(page, "cursor"));
        if (strstr(buf_cstr(&path), "&cursor="))
            base = (size_t)slice_find_slice(buf_slice(&path), SLICE_LIT("&cursor="));
        buf_truncate(&path, base);
        more = cursor && client_add_query(&path, "cursor", cursor) == 0;
        json_decref(page);
    }
    buf_done(&path);
    return r;
}

static int by_entries(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;
    int64_t m = get_int(*x, "entries"), n = get_int(*y, "entries");

    if (m != n)
        return m < n ? 1 : -1;
    return strcmp(get_text(*x, "destination"), get_text(*y, "destination"));
}

static int add_count(struct table *t, const json_t *object, const char *key)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRId64, get_int(object, key));
    return add_text(t, text);
}

static int add_destination(struct table *t, const json_t *d, int64_t now_ms)
{
    char oldest[FORMAT_TEXT_MAX], next[FORMAT_TEXT_MAX];
    int64_t next_ms = MAX_OF(get_int(d, "next_attempt_ms"), get_int(d, "paused_until_ms"));
    int r;

    format_age(now_ms - get_int(d, "oldest_arrival_ms"), oldest);
    format_until(get_int(d, "ready") > 0 && get_int(d, "paused_until_ms") == 0 ? now_ms : next_ms,
                 now_ms, next);
    r = add_text(t, get_text(d, "destination")) | add_count(t, d, "entries") |
        add_count(t, d, "deferred") | add_count(t, d, "ready") | add_count(t, d, "active") |
        add_count(t, d, "held") | add_text(t, oldest) | add_text(t, next);
    return r | add_count(t, d, "failures");
}

static int print_summary(const json_t *all, uint64_t limit)
{
    size_t count = json_array_size(all);
    const json_t **sorted = calloc(count + 1, sizeof(*sorted));
    int64_t now_ms = clock_wall_ms(), entries = 0;
    struct table table;
    int r = EXIT_DONE;

    if (!sorted)
        return command_error("queue summary", "out of memory");
    for (size_t i = 0; i < count; i++) {
        sorted[i] = json_array_get(all, i);
        entries += get_int(sorted[i], "entries");
    }
    qsort(sorted, count, sizeof(*sorted), by_entries);
    table_init(&table, summary_columns, ARRAY_SIZE(summary_columns), format_terminal_width(stdout),
               stdout);
    for (size_t i = 0; i < count && (limit == 0 || i < limit) && r == EXIT_DONE; i++)
        if (add_destination(&table, sorted[i], now_ms) < 0)
            r = command_error("queue summary", "out of memory");
    table_flush(&table);
    table_done(&table);
    printf("%" PRId64 " queued for %zu destination%s\n", entries, count, count == 1 ? "" : "s");
    free(sorted);
    return r;
}

static int run_summary(const struct verb *v, const struct options *o, struct client *c)
{
    json_t *all = json_array();
    int r = all ? get_destinations(c, all) : EXIT_FAILED;

    (void)v;
    if (r == EXIT_DONE && o->json) {
        json_t *object = json_pack("{s:O}", "destinations", all);

        r = object ? print_json(object, JSON_INDENT(1)) : EXIT_FAILED;
        json_decref(object);
    } else if (r == EXIT_DONE) {
        r = print_summary(all, o->limit);
    }
    json_decref(all);
    return r;
}

/* ---- show ---- */

static void print_at(const char *label, int64_t ms)
{
    char text[FORMAT_TEXT_MAX];

    if (ms == 0)
        return;
    format_time(ms, text);
    printf("%s%s UTC", label, text);
}

static void print_envelope(const json_t *m)
{
    const json_t *client = json_object_get(m, "client"), *flags = json_object_get(m, "flags");
    char text[FORMAT_TEXT_MAX];

    printf("Message %s\n  sender      ", get_text(m, "id"));
    print_harmless(*get_text(m, "sender") ? get_text(m, "sender") : "<>");
    print_at("\n  arrived     ", get_int(m, "arrival_ms"));
    format_age(clock_wall_ms() - get_int(m, "arrival_ms"), text);
    printf(", %s ago", text);
    if (*get_text(client, "ip")) {
        printf(", from ");
        print_harmless(get_text(client, "ip"));
        printf(" (");
        print_harmless(get_text(client, "helo"));
        printf(")");
    }
    size_format_short((uint64_t)get_int(m, "bytes"), text);
    printf("\n  size        %s", text);
    if (*get_text(m, "envid")) {
        printf("\n  envid       ");
        print_harmless(get_text(m, "envid"));
    }
    if (json_array_size(flags) > 0)
        printf("\n  flags      ");
    for (size_t i = 0; i < json_array_size(flags); i++)
        printf(" %s", json_string_value(json_array_get(flags, i)));
    printf("\n");
}

static void print_entries(const json_t *entries)
{
    int64_t now_ms = clock_wall_ms();

    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *e = json_array_get(entries, i);
        char next[FORMAT_TEXT_MAX];

        printf("  queued for  ");
        print_harmless(get_text(e, "destination"));
        printf(": %s, %" PRId64 " attempts", get_text(e, "state"), get_int(e, "attempts"));
        if (strcmp(get_text(e, "state"), "deferred") == 0) {
            format_until(get_int(e, "next_attempt_ms"), now_ms, next);
            printf(", next in %s", next);
        }
        printf("\n");
    }
}

static void print_recipients(const json_t *recipients)
{
    printf("Recipients\n");
    for (size_t i = 0; i < json_array_size(recipients); i++) {
        const json_t *r = json_array_get(recipients, i);

        printf("  ");
        print_harmless(get_text(r, "address"));
        printf(": %s, %" PRId64 " attempts", get_text(r, "state"), get_int(r, "attempts"));
        print_at(", last ", get_int(r, "last_attempt_ms"));
        print_at(", next ", get_int(r, "next_attempt_ms"));
        printf("\n");
        if (*get_text(r, "last_text")) {
            printf("      ");
            print_harmless(get_text(r, "last_text"));
            printf("\n");
        }
    }
}

static void print_results(const json_t *results)
{
    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *result = json_array_get(results, i);
        const json_t *recipients = json_object_get(result, "recipients");

        printf("      %s ", get_text(result, "state"));
        print_harmless(json_string_value(json_array_get(recipients, 0)));
        if (json_array_size(recipients) > 1)
            printf(" and %zu more", json_array_size(recipients) - 1);
        printf(": ");
        print_harmless(get_text(result, "text"));
        printf("\n");
    }
}

static void print_history(const json_t *m)
{
    const json_t *history = json_object_get(m, "history");

    if (json_array_size(history) > 0)
        printf("History\n");
    for (size_t i = 0; i < json_array_size(history); i++) {
        const json_t *mark = json_array_get(history, i);

        print_at("  ", get_int(mark, "at_ms"));
        printf("  %s\n", get_text(mark, "event"));
        print_results(json_object_get(mark, "results"));
    }
    if (json_is_true(json_object_get(m, "history_is_cut")))
        printf("  (there is more than is shown)\n");
}

static int show_one(const struct options *o, struct client *c, const char *id)
{
    struct buf path = BUF_INIT(KIB(1));
    json_t *m = NULL;
    int r;

    /* An id has nothing to escape; what is none finds nothing. */
    for (const char *p = id; *p; p++)
        if (!byte_is_alpha((uint8_t)*p) && !byte_is_digit((uint8_t)*p))
            return command_error("queue show", "'%s' is not a queue id", id);
    if (buf_addf(&path, "/v1/queue/%s%s", id, o->body ? "/body" : "") < 0) {
        buf_done(&path);
        return command_error("queue show", "'%s' is not a queue id", id);
    }
    r = o->body ? client_download(c, buf_cstr(&path), stdout) : client_get(c, buf_cstr(&path), &m);
    if (r == EXIT_DONE && o->json && m) {
        r = print_json(m, JSON_INDENT(1));
    } else if (r == EXIT_DONE && m) {
        print_envelope(m);
        print_entries(json_object_get(m, "entries"));
        print_recipients(json_object_get(m, "recipients"));
        print_history(m);
    }
    json_decref(m);
    buf_done(&path);
    return r;
}

static int run_show(const struct verb *v, const struct options *o, struct client *c)
{
    int r = EXIT_DONE;

    (void)v;
    for (size_t i = 0; i < o->id_count; i++)
        if (show_one(o, c, o->ids[i]) != EXIT_DONE)
            r = EXIT_FAILED;
    return r;
}

/* ---- actions ---- */

struct sums {
    int64_t matched, done, busy;
};

static int set_filter_text(json_t *filter, const char *key, const char *value)
{
    return value ? json_object_set_new(filter, key, json_string(value)) : 0;
}

static json_t *make_filter(const struct options *o, const char *id)
{
    json_t *filter = json_object();
    int r = 0;

    r |= set_filter_text(filter, "id", id);
    r |= set_filter_text(filter, "destination", o->destination);
    r |= set_filter_text(filter, "sender", o->sender);
    r |= set_filter_text(filter, "recipient", o->recipient);
    r |= set_filter_text(filter, "state", o->state);
    if (o->older_than_s)
        r |= json_object_set_new(filter, "older_than_s", json_integer((json_int_t)o->older_than_s));
    if (o->younger_than_s)
        r |= json_object_set_new(filter, "younger_than_s",
                                 json_integer((json_int_t)o->younger_than_s));
    if (o->all)
        r |= json_object_set_new(filter, "all", json_true());
    if (r < 0) {
        json_decref(filter);
        return NULL;
    }
    return filter;
}

static int act_pages(const struct verb *v, const struct options *o, struct client *c,
                     const char *id, struct sums *sums)
{
    json_t *filter = make_filter(o, id);
    json_t *body = filter ? json_pack("{s:s, s:o}", "action", v->name, "filter", filter) : NULL;
    bool more = true;
    int r = EXIT_DONE;

    if (!body)
        return command_error("queue", "the filter is not UTF-8, or out of memory");
    while (r == EXIT_DONE && more) {
        json_t *page = NULL, *cursor;

        r = client_post(c, "/v1/queue/actions", body, &page);
        if (r != EXIT_DONE)
            break;
        sums->matched += get_int(page, "matched");
        sums->done += get_int(page, "done");
        sums->busy += get_int(page, "busy");
        cursor = json_object_get(page, "cursor");
        more = json_is_string(cursor) && json_object_set(body, "cursor", cursor) == 0;
        json_decref(page);
    }
    json_decref(body);
    return r;
}

static int tell_sums(const struct verb *v, const struct options *o, const struct sums *sums,
                     size_t missing)
{
    if (o->json)
        printf("{\"action\":\"%s\",\"matched\":%" PRId64 ",\"done\":%" PRId64 ",\"busy\":%" PRId64
               "}\n",
               v->name, sums->matched, sums->done, sums->busy);
    else
        printf("%s: %" PRId64 " matched, %" PRId64 " done\n", v->name, sums->matched, sums->done);
    /* What is being sent is being retried. */
    if (sums->busy > 0 && strcmp(v->name, "retry") != 0)
        return command_error(
            "queue", "%" PRId64 " are being sent at this moment: ask again for those", sums->busy);
    return missing > 0 ? EXIT_FAILED : EXIT_DONE;
}

static int run_action(const struct verb *v, const struct options *o, struct client *c)
{
    struct sums sums = {0};
    size_t missing = 0;
    int r = EXIT_DONE;

    if (o->id_count == 0)
        r = act_pages(v, o, c, NULL, &sums);
    for (size_t i = 0; i < o->id_count && r == EXIT_DONE; i++) {
        int64_t before = sums.matched;

        r = act_pages(v, o, c, o->ids[i], &sums);
        if (r == EXIT_DONE && sums.matched == before) {
            (void)command_error("queue", "there is no message %s that fits", o->ids[i]);
            missing++;
        }
    }
    return r == EXIT_DONE ? tell_sums(v, o, &sums, missing) : r;
}

/* ---- the command line ---- */

static const struct verb verbs[] = {
    {"list", "[ID...]", "prints the queue, one line for a message and destination", run_list, true,
     false},
    {"show", "ID...", "prints a message's envelope, attempts with replies, next attempt", run_show,
     false, false},
    {"retry", "[ID...]", "makes messages due now", run_action, true, true},
    {"hold", "[ID...]", "keeps messages from being sent until they are released", run_action, true,
     true},
    {"release", "[ID...]", "ends a hold", run_action, true, true},
    {"bounce", "[ID...]", "gives messages up and tells their senders", run_action, true, true},
    {"remove", "[ID...]", "deletes messages and tells nobody", run_action, true, true},
    {"summary", "", "prints counts, oldest age and next attempt by destination", run_summary, false,
     false},
};

static const char filter_help[] =
    "Which messages:\n"
    "  ID...                   these\n"
    "  --destination DOMAIN    queued for this destination\n"
    "  --sender TEXT           whose sender contains TEXT\n"
    "  --recipient TEXT        with a recipient that contains TEXT\n"
    "  --older-than AGE        that arrived more than AGE ago: 90s, 30m, 2h, 1d\n"
    "  --younger-than AGE      that arrived less than AGE ago\n"
    "  --held, --deferred      in this state\n";

static const char common_help[] =
    "  --json                  answers for programs\n"
    "  --socket PATH           the server's control socket\n"
    "  -c, --config FILE       the server's configuration, which names the socket\n"
    "  -h, --help              this text\n";

static int print_queue_help(FILE *to)
{
    fprintf(to, "Usage: penstock queue VERB [OPTIONS]\n\nLooks at the queue of a running server "
                "and acts on it.\n\nVerbs:\n");
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        fprintf(to, "  %-8s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(to, "\n'penstock queue VERB --help' tells more of each.\n");
    return to == stdout ? EXIT_DONE : EXIT_USAGE;
}

static int print_verb_help(const struct verb *v)
{
    printf("Usage: penstock queue %s [OPTIONS] %s\n\n%c%s.\n\n", v->name, v->arguments,
           v->summary[0] - 'a' + 'A', v->summary + 1);
    if (v->takes_filters)
        fputs(filter_help, stdout);
    if (v->is_action)
        puts("  --all                   all; needed where there is no other choice\n");
    else
        puts("");
    puts("Options:");
    if (v->run == run_list)
        puts("  --brief                 without sender, recipients and reply: faster");
    if (v->run == run_list || v->run == run_summary)
        puts("  --limit N               at most N lines");
    if (v->run == run_show)
        puts("  --body                  the message itself, as it will be sent");
    fputs(common_help, stdout);
    return EXIT_DONE;
}

/* `value` NULL: it was not given. */
static int read_age(const char *name, const char *value, uint64_t *ret)
{
    if (value && (format_parse_age(slice_str(value), ret) < 0 || *ret == 0))
        return usage_error("queue", "--%s %s: say an age such as 90s, 30m, 2h or 1d", name, value);
    return EXIT_DONE;
}

static bool has_filter(const struct options *o)
{
    return o->destination || o->sender || o->recipient || o->state || o->older_than_s ||
           o->younger_than_s;
}

static int check_options(const struct verb *v, const struct options *o)
{
    if (!v->takes_filters && has_filter(o))
        return usage_error("queue", "%s takes no filter", v->name);
    if (v->run == run_show && o->id_count == 0)
        return usage_error("queue", "show which message? Give its queue id");
    if (v->run == run_summary && o->id_count > 0)
        return usage_error("queue", "summary takes no queue id");
    if (v->is_action && o->all && o->id_count > 0)
        return usage_error("queue", "--all and queue ids together make no sense");
    if (v->is_action && !o->all && o->id_count == 0 && !has_filter(o))
        return usage_error("queue", "%s what? Give queue ids, a filter, or --all for every message",
                           v->name);
    return EXIT_DONE;
}

static int read_options(int argc, char **argv, struct options *o)
{
    const char *older = NULL, *younger = NULL;
    bool held = false, deferred = false;
    const struct option_spec specs[] = {OPTION_TEXT("config", 'c', &o->config),
                                        OPTION_FLAG("help", 'h', &o->help),
                                        OPTION_TEXT("socket", 0, &o->socket),
                                        OPTION_TEXT("destination", 0, &o->destination),
                                        OPTION_TEXT("sender", 0, &o->sender),
                                        OPTION_TEXT("recipient", 0, &o->recipient),
                                        OPTION_TEXT("older-than", 0, &older),
                                        OPTION_TEXT("younger-than", 0, &younger),
                                        OPTION_FLAG("held", 0, &held),
                                        OPTION_FLAG("deferred", 0, &deferred),
                                        OPTION_FLAG("all", 0, &o->all),
                                        OPTION_FLAG("json", 0, &o->json),
                                        OPTION_FLAG("body", 0, &o->body),
                                        OPTION_FLAG("brief", 0, &o->brief),
                                        OPTION_NUMBER("limit", 0, 1, UINT64_MAX, &o->limit)};
    int r = options_read("queue", argc, argv, specs, ARRAY_SIZE(specs));

    if (r == EXIT_DONE)
        r = read_age("older-than", older, &o->older_than_s);
    if (r == EXIT_DONE)
        r = read_age("younger-than", younger, &o->younger_than_s);
    if (r == EXIT_DONE && held && deferred)
        r = usage_error("queue", "--held and --deferred do not go together");
    o->state = held ? "held" : deferred ? "deferred" : NULL;
    o->ids = argv + optind;
    o->id_count = (size_t)(argc - optind);
    return r;
}

static int run_verb(const struct verb *v, int argc, char **argv)
{
    struct options o = {0};
    struct client *c = NULL;
    int r;

    optind = 1;
    r = read_options(argc, argv, &o);
    if (r == EXIT_DONE && o.help)
        return print_verb_help(v);
    if (r == EXIT_DONE)
        r = check_options(v, &o);
    if (r == EXIT_DONE)
        r = client_new(&c, "queue", o.socket, o.config);
    if (r == EXIT_DONE)
        r = v->run(v, &o, c);
    client_free(&c);
    if (r == EXIT_DONE && fflush(stdout) == EOF)
        r = command_error("queue", "cannot write to standard output");
    return r;
}

int cmd_queue(int argc, char **argv)
{
    if (argc < 2)
        return print_queue_help(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return print_queue_help(stdout);
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(verbs[i].name, argv[1]) == 0)
            return run_verb(&verbs[i], argc - 1, argv + 1);
    return usage_error("queue", "there is no '%s'", argv[1]);
}
