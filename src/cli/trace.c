/*
 * cli/trace.c - `penstock trace`: one message's whole life, with each reply, from the ledger.
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

#define MESSAGES_MAX 100 /* told of one address */
#define STEP_MAX KIB(16)

struct options {
    const char *since, *config, *directory;
    bool json, help;
};

struct found {
    uint64_t ids[MESSAGES_MAX];
    size_t count;
    bool more;
};

static int print_help(void)
{
    puts(
        "Usage: penstock trace ID|MESSAGE-ID|ADDRESS [OPTIONS]\n"
        "\n"
        "The whole life of a message, oldest step first, with each reply as it was given: of the\n"
        "message with that id (penstock queue list) or Message-ID, or of the newest messages from\n"
        "or to an address. Read from the ledger; the server may run or not.\n"
        "\n"
        "      --since WHEN         from then on: an age (24h, 7d) or a time; default: all\n"
        "      --json               each attempt as one object a line\n"
        "  -c, --config FILE        the server's configuration, which names the ledger\n"
        "      --directory DIR      the ledger's folder (evidence.directory)\n"
        "  -h, --help               this text");
    return EXIT_DONE;
}

/* ---- which messages ---- */

static int note_id(void *ctx, const struct attempt *a)
{
    struct found *f = ctx;

    for (size_t i = 0; i < f->count; i++)
        if (f->ids[i] == a->queue_id)
            return 0;
    if (f->count == MESSAGES_MAX) {
        f->more = true;
        return 1;
    }
    f->ids[f->count++] = a->queue_id;
    return 0;
}

static int look_for(struct ledger_reader *r, struct ledger_filter f, struct found *found)
{
    int e;

    f.newest_first = true;
    e = ledger_attempts(r, &f, note_id, found);
    return MIN_OF(e, 0);
}

/* An id, a Message-ID (as in its header field), or an address: an '@' is in the last two. */
static int find_messages(struct ledger_reader *r, const char *pattern, int64_t from_ms,
                         struct found *found)
{
    struct ledger_filter f = {.from_ms = from_ms};
    struct slice text = slice_trim(slice_str(pattern));
    int e = 0;

    if (slice_find(text, '@') < 0)
        return id_parse(text, &f.queue_id) < 0 ? -EINVAL : look_for(r, f, found);
    f.message_id = text;
    e = look_for(r, f, found);
    if (e < 0 || found->count > 0)
        return e;
    f.message_id = (struct slice){0};
    f.recipient = text;
    e = look_for(r, f, found);
    f.recipient = (struct slice){0};
    f.sender = text;
    return e < 0 ? e : look_for(r, f, found);
}

/* ---- output ---- */

static int print_json(void *ctx, const struct attempt *a)
{
    (void)ctx;
    return attempt_text_json(a, stdout);
}

static int print_step(void *ctx, const struct attempt *a)
{
    struct buf text = BUF_INIT(STEP_MAX);
    bool *is_begun = ctx;
    char id[ID_TEXT_MAX], time[FORMAT_TEXT_MAX];

    if (!*is_begun) {
        (void)id_format(a->queue_id, id);
        format_time(a->arrival_ms, time);
        (void)buf_addf(&text, "Message %s from <", id);
        (void)format_harmless(&text, a->sender);
        (void)buf_add_str(&text, "> to ");
        (void)format_harmless(&text, a->recipient.len ? a->recipient : a->domain);
        if (a->message_id.len) {
            (void)buf_add_str(&text, ", Message-ID ");
            (void)format_harmless(&text, a->message_id);
        }
        (void)buf_addf(&text, "\n%s  accepted (times are UTC)\n", time);
        *is_begun = true;
    }
    attempt_text_step(a, &text);
    (void)fwrite(buf_slice(&text).ptr, 1, buf_len(&text), stdout);
    buf_done(&text);
    return 0;
}

static int print_messages(const struct options *o, struct ledger_reader *r,
                          const struct found *found)
{
    int e = 0;

    for (size_t i = found->count; e == 0 && i > 0; i--) {
        const struct ledger_filter f = {.queue_id = found->ids[i - 1]};
        bool is_begun = false;

        e = ledger_attempts(r, &f, o->json ? print_json : print_step, &is_begun);
        if (!o->json && i > 1)
            putchar('\n');
    }
    if (e < 0)
        return command_error("trace", "the ledger cannot be read: %s", err_str(e));
    if (found->more)
        fprintf(stderr, "(the newest %d messages; --since shows fewer)\n", MESSAGES_MAX);
    if (fflush(stdout) == EOF)
        return command_error("trace", "cannot write to standard output");
    return EXIT_DONE;
}

static int trace(const struct options *o, const char *pattern, int64_t from_ms)
{
    struct ledger_reader *reader = NULL;
    struct found found = {.count = 0};
    int e, r = open_ledger_reader(&reader, "trace", o->config, o->directory);

    if (r != EXIT_DONE)
        return r;
    e = find_messages(reader, pattern, from_ms, &found);
    if (e == -EINVAL)
        r = usage_error("trace",
                        "'%s' is neither the id of a message, nor a Message-ID, nor an "
                        "address (the last two have an '@')",
                        pattern);
    else if (e < 0)
        r = command_error("trace", "the ledger cannot be read: %s", err_str(e));
    else if (found.count == 0)
        r = command_error("trace",
                          "no attempt of '%s' is in the ledger; one that was not tried yet is in "
                          "penstock queue list, what ended untried in penstock deliveries",
                          pattern);
    else
        r = print_messages(o, reader, &found);
    ledger_reader_close(&reader);
    return r;
}

int cmd_trace(int argc, char **argv)
{
    struct options o = {.since = NULL};
    const struct option_spec specs[] = {
        OPTION_TEXT("since", 0, &o.since), OPTION_FLAG("json", 0, &o.json),
        OPTION_TEXT("config", 'c', &o.config), OPTION_TEXT("directory", 0, &o.directory),
        OPTION_FLAG("help", 'h', &o.help)};
    int64_t from_ms = 0;
    int r = options_read("trace", argc, argv, specs, ARRAY_SIZE(specs));

    if (r == EXIT_DONE && o.help)
        return print_help();
    if (r == EXIT_DONE && argc - optind != 1)
        r = usage_error("trace", "it takes one id, Message-ID or address");
    if (r == EXIT_DONE && o.since)
        r = when_parse("trace", "--since", o.since, clock_wall_ms(), &from_ms);
    return r == EXIT_DONE ? trace(&o, argv[optind], from_ms) : r;
}
