/*
 * cli/sink.c - penstock sink: a receiving test server. Options, threads, figures; the rest is in
 * sink_session.c (a connection), sink_rules.c (behaviour), sink_store.c (disk) and seq.c (loss).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/sink_int.h"
#include "io/addr.h"
#include "io/rlimit.h"

#define LISTEN_PORT 25
#define BACKLOG 1024
#define OUT_MAX MIB(1)
#define SEQ_LOG_MAX MIB(16)
#define SCRATCH_MAX MIB(512)
#define STATUS_MS 1000
#define WHY_MAX 4096
#define SIZE_MAX_DEFAULT (150 * 1024 * 1024)

struct options {
    struct addr addresses[SINK_LISTENERS_MAX];
    size_t address_count;
    uint32_t threads;
    const char *seq_log, *port_file;
    bool json, status, starttls, no_pipelining, no_chunking, help;
};

struct run {
    struct sink sink;
    struct options options;
    struct sink_worker *workers;
    struct loop_timer status;
    struct buf why;
    bool has_status_line;
};

static void print_help(void)
{
    printf(
        "Usage: penstock sink --listen ADDRESS [OPTIONS]\n"
        "\n"
        "A receiving test server. It takes mail, counts it, and misbehaves as told.\n"
        "\n"
        "  -l, --listen ADDRESS        host:port or unix:/path; may be given often; port 0: any\n"
        "  -t, --threads N             default: one a core\n"
        "      --port-file FILE        write the address of the first listener here, once it "
        "listens\n"
        "      --maildir DIR           store each message (also --store maildir:DIR)\n"
        "      --mbox FILE             the same (also --store mbox:FILE)\n"
        "      --reply PHASE=PERCENT%%:REPLY   this share of PHASE gets this reply, e.g.\n"
        "                              'mail=5%%:452 4.3.1 Insufficient system resources'\n"
        "      --delay PHASE=MS        answer PHASE late\n"
        "      --drop PHASE=PERCENT%%   break this share of connections there, without a reply\n"
        "      --schedule SECONDS:RULE from then on RULE too: 'reply ...', 'delay ...', 'drop "
        "...'\n"
        "                              as above, or 'clear': no rules\n"
        "                              PHASE: connect, ehlo, mail, rcpt, data, eod\n"
        "      --lmtp                  speak LMTP\n"
        "      --starttls              offer STARTTLS, with a self-signed certificate\n"
        "      --no-pipelining, --no-chunking   do not offer them\n"
        "      --size-max BYTES        of a message, default %d\n"
        "      --stop-after N          end after N messages\n"
        "      --seq-log FILE          append the X-Seq of each message taken\n"
        "      --status                a live line with what arrives\n"
        "      --json                  print the figures as one line of JSON at the end\n"
        "  -h, --help                  this text\n"
        "\n"
        "SIGTERM and SIGINT end it: it prints its figures and exits 0. 'lost' are numbers of "
        "X-Seq\n"
        "missing below the highest one seen, 'duplicates' those seen again, 'damaged' the "
        "messages\n"
        "whose body is not what X-Sum says.\n",
        SIZE_MAX_DEFAULT);
}

/* ---- workers ---- */

static void flush_seq_log(void *ctx)
{
    struct sink_worker *w = ctx;
    struct slice left = buf_slice(&w->seq_log);

    while (left.len) {
        ssize_t n = write(w->sink->seq_log_fd, left.ptr, left.len);

        if (n < 0 && errno != EINTR)
            break; /* a full disk: the figures are still right */
        if (n > 0)
            left = slice_from(left, (size_t)n);
    }
    buf_clear(&w->seq_log);
}

static void run_worker(void *ctx)
{
    struct sink_worker *w = ctx;

    loop_run(w->loop);
    for (size_t i = 0; i < SINK_LISTENERS_MAX; i++)
        listener_close(&w->listeners[i]);
    sink_session_close_all(w);
    flush_seq_log(w);
}

static bool is_path(const struct addr *a)
{
    char text[ADDR_TEXT_MAX];

    addr_format(a, text);
    return strncmp(text, "unix:", 5) == 0;
}

static int open_listeners(struct run *r, struct sink_worker *w, bool is_first)
{
    for (size_t i = 0; i < r->options.address_count; i++) {
        struct addr *at = &r->options.addresses[i];
        char text[ADDR_TEXT_MAX];
        int err = is_first && addr_port(at) ? listener_check_free(at) : 0;

        /* A Unix path has one listener: the first worker serves it. */
        if (!is_first && is_path(at))
            continue;
        if (err == 0)
            err =
                listener_open(w->loop, at, BACKLOG, NULL, sink_session_accept, w, &w->listeners[i]);
        if (err < 0) {
            addr_format(at, text);
            (void)buf_addf(&r->why, "cannot listen on %s: %s", text, err_str(err));
            return err;
        }
        *at = *listener_addr(w->listeners[i]); /* the port, where any would do */
    }
    return 0;
}

static int start_worker(struct run *r, struct sink_worker *w, bool is_first)
{
    int err = loop_new(&w->loop);

    w->sink = &r->sink;
    list_init(&w->sessions);
    w->out = BUF_INIT(OUT_MAX);
    w->seq_log = BUF_INIT(SEQ_LOG_MAX);
    w->scratch = BUF_INIT(SCRATCH_MAX);
    rand_init(&w->rand, clock_mono_ns() ^ (uint64_t)(uintptr_t)w);
    if (err < 0) {
        (void)buf_addf(&r->why, "cannot make an event loop: %s", err_str(err));
        return err;
    }
    if (r->sink.seq_log_fd >= 0)
        loop_on_turn(w->loop, flush_seq_log, w);
    return open_listeners(r, w, is_first);
}

static int start_workers(struct run *r)
{
    for (uint32_t i = 0; i < r->options.threads; i++) {
        int err = start_worker(r, &r->workers[i], i == 0);

        if (err < 0)
            return err;
    }
    /* The clock of the schedule starts now, in all loops. */
    r->sink.start_ms = loop_now_ms(r->workers[0].loop);
    for (uint32_t i = 0; i < r->options.threads; i++) {
        struct sink_worker *w = &r->workers[i];
        int err = thread_start(&w->thread, "sink", run_worker, w);

        if (err < 0) {
            (void)buf_addf(&r->why, "cannot start a thread: %s", err_str(err));
            return err;
        }
        w->is_started = true;
    }
    return 0;
}

static void stop_workers(struct run *r)
{
    for (uint32_t i = 0; i < r->options.threads; i++) {
        struct sink_worker *w = &r->workers[i];

        if (w->is_started) {
            loop_stop(w->loop);
            thread_join(&w->thread);
        }
        for (size_t k = 0; k < SINK_LISTENERS_MAX; k++)
            listener_close(&w->listeners[k]);
        loop_free(&w->loop);
        buf_done(&w->out);
        buf_done(&w->seq_log);
        buf_done(&w->scratch);
    }
}

/* ---- figures ---- */

struct totals {
    uint64_t connections, messages, recipients, bytes, replies_of_rules, drops, damaged, unnumbered,
        not_stored;
    struct seq_totals seq;
    double seconds;
};

static void add_up(struct run *r, struct totals *t)
{
    *t = (struct totals){.connections = 0};
    for (uint32_t i = 0; i < r->options.threads; i++) {
        struct sink_figures *f = &r->workers[i].figures;

        t->connections += f->connections;
        t->messages += f->messages;
        t->recipients += f->recipients;
        t->bytes += f->bytes;
        t->replies_of_rules += f->replies_of_rules;
        t->drops += f->drops;
        t->damaged += f->damaged;
        t->unnumbered += f->unnumbered;
        t->not_stored += f->not_stored;
    }
    t->seconds = (double)(r->sink.last_ms - r->sink.first_ms) / MS_PER_S;
}

static double rate_of(const struct totals *t)
{
    return t->seconds > 0 ? (double)t->messages / t->seconds : 0;
}

static void print_json(const struct totals *t)
{
    json_t *j =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}",
                  "messages", (json_int_t)t->messages, "recipients", (json_int_t)t->recipients,
                  "bytes", (json_int_t)t->bytes, "connections", (json_int_t)t->connections, "runs",
                  (json_int_t)t->seq.runs, "distinct", (json_int_t)t->seq.distinct, "lost",
                  (json_int_t)t->seq.lost, "duplicates", (json_int_t)t->seq.duplicates, "damaged",
                  (json_int_t)t->damaged, "unnumbered", (json_int_t)t->unnumbered, "refused",
                  (json_int_t)t->replies_of_rules, "dropped", (json_int_t)t->drops, "seconds",
                  t->seconds, "rate", rate_of(t));

    if (j)
        (void)json_dumpf(j, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    json_decref(j);
    printf("\n");
}

static void print_text(const struct totals *t)
{
    printf("messages     %10llu  (%.0f a second)\n", (unsigned long long)t->messages, rate_of(t));
    printf("recipients   %10llu\n", (unsigned long long)t->recipients);
    printf("bytes        %10llu\n", (unsigned long long)t->bytes);
    printf("connections  %10llu\n", (unsigned long long)t->connections);
    printf("refused      %10llu  by rule\n", (unsigned long long)t->replies_of_rules);
    printf("dropped      %10llu  by rule\n", (unsigned long long)t->drops);
    printf("numbered     %10llu  in %llu runs\n", (unsigned long long)t->seq.distinct,
           (unsigned long long)t->seq.runs);
    printf("lost         %10llu\n", (unsigned long long)t->seq.lost);
    printf("duplicates   %10llu\n", (unsigned long long)t->seq.duplicates);
    printf("damaged      %10llu\n", (unsigned long long)t->damaged);
    if (t->not_stored)
        printf("not stored   %10llu\n", (unsigned long long)t->not_stored);
}

static int report(struct run *r)
{
    struct seq_ledger all = {0};
    struct totals t;
    int err = 0;

    add_up(r, &t);
    for (uint32_t i = 0; i < r->options.threads; i++) {
        if (err == 0)
            err = seq_ledger_merge(&all, &r->workers[i].ledger);
        seq_ledger_done(&r->workers[i].ledger);
    }
    seq_ledger_totals(&all, &t.seq);
    seq_ledger_done(&all);
    if (r->options.json)
        print_json(&t);
    else
        print_text(&t);
    if (err < 0)
        return command_error("sink", "no memory to add up the numbers of messages");
    if (t.not_stored)
        return command_error("sink", "%llu messages could not be stored",
                             (unsigned long long)t.not_stored);
    return EXIT_DONE;
}

static void on_status(struct loop_timer *timer)
{
    struct run *r = CONTAINER_OF(timer, struct run, status);
    struct totals t;

    add_up(r, &t);
    fprintf(stderr, "\r%llu messages, %llu connections, %.0f messages a second \033[K",
            (unsigned long long)t.messages, (unsigned long long)t.connections, rate_of(&t));
    r->has_status_line = true;
    loop_timer_start(timer, STATUS_MS);
}

/* ---- the command ---- */

static void on_signal(void *ctx, int signum)
{
    (void)signum;
    loop_stop(ctx);
}

static int write_port_file(struct run *r)
{
    FILE *f = fopen(r->options.port_file, "w");
    char text[ADDR_TEXT_MAX];

    if (!f)
        return -errno;
    addr_format(&r->options.addresses[0], text);
    fprintf(f, "%s\n", text);
    return fclose(f) == 0 ? 0 : -errno;
}

static int open_files(struct run *r)
{
    int err = sink_store_open(&r->sink.store, &r->why);

    r->sink.seq_log_fd = -1;
    if (err == 0 && r->options.seq_log) {
        r->sink.seq_log_fd =
            open(r->options.seq_log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (r->sink.seq_log_fd < 0) {
            err = -errno;
            (void)buf_addf(&r->why, "%s: %s", r->options.seq_log, err_str(err));
        }
    }
    if (err == 0 && r->options.starttls) {
        r->sink.server_config.extensions |= SMTP_EXT_STARTTLS;
        err = tls_config_new_self_signed("sink.test", &r->sink.tls, &r->why);
    }
    return err;
}

static int start(struct run *r)
{
    int err = open_files(r);

    if (err == 0)
        err = loop_new(&r->sink.main_loop);
    if (err == 0)
        err = loop_on_signal(r->sink.main_loop, SIGTERM, on_signal, r->sink.main_loop);
    if (err == 0)
        err = loop_on_signal(r->sink.main_loop, SIGINT, on_signal, r->sink.main_loop);
    if (err == 0)
        err = start_workers(r);
    if (err == 0 && r->options.port_file) {
        err = write_port_file(r);
        if (err < 0)
            (void)buf_addf(&r->why, "%s: %s", r->options.port_file, err_str(err));
    }
    if (err < 0 && buf_len(&r->why) == 0)
        (void)buf_add_str(&r->why, err_str(err));
    return err;
}

static int run_sink(struct run *r)
{
    int code = EXIT_FAILED, err;

    (void)!rlimit_raise_files(NULL); /* fewer connections then; no reason not to begin */
    err = start(r);
    if (err == 0) {
        for (size_t i = 0; i < r->options.address_count; i++) {
            char text[ADDR_TEXT_MAX];

            addr_format(&r->options.addresses[i], text);
            fprintf(stderr, "penstock sink: listening on %s\n", text);
        }
        loop_timer_init(&r->status, r->sink.main_loop, on_status);
        if (r->options.status)
            loop_timer_start(&r->status, STATUS_MS);
        loop_run(r->sink.main_loop);
        loop_timer_stop(&r->status);
    }
    stop_workers(r);
    if (r->has_status_line)
        fprintf(stderr, "\n");
    if (err == 0)
        code = report(r);
    else
        code = command_error("sink", "%s", buf_cstr(&r->why));
    loop_free(&r->sink.main_loop);
    tls_config_unref(&r->sink.tls);
    sink_store_close(&r->sink.store);
    if (r->sink.seq_log_fd >= 0)
        (void)close(r->sink.seq_log_fd);
    return code;
}

/* ---- options ---- */

/* The exit code of an option whose reader returned `err`, and left its sentence in r->why. */
static int told(struct run *r, int err)
{
    return err < 0 ? usage_error("sink", "%s", buf_cstr(&r->why)) : EXIT_DONE;
}

static int read_listen(const char *text, void *to)
{
    struct run *r = to;
    struct options *o = &r->options;

    if (o->address_count == SINK_LISTENERS_MAX)
        return usage_error("sink", "more than %d --listen", SINK_LISTENERS_MAX);
    return told(
        r, addr_parse(slice_str(text), LISTEN_PORT, &o->addresses[o->address_count++], &r->why));
}

static int read_store(const char *text, void *to)
{
    struct sink_store *store = to;

    if (strncmp(text, "maildir:", 8) == 0)
        store->maildir = text + 8;
    else if (strncmp(text, "mbox:", 5) == 0)
        store->mbox = text + 5;
    else
        return usage_error("sink", "--store is maildir:DIR or mbox:FILE; got '%s'", text);
    return EXIT_DONE;
}

static int add_rule(struct run *r, const char *kind, const char *text)
{
    struct buf rule = BUF_INIT(WHY_MAX);
    int err = buf_addf(&rule, "%s %s", kind, text);

    if (err == 0)
        err = sink_schedule_add(&r->sink.schedule, 0, buf_slice(&rule), &r->why);
    buf_done(&rule);
    return told(r, err);
}

static int read_reply(const char *text, void *to)
{
    return add_rule(to, "reply", text);
}

static int read_delay(const char *text, void *to)
{
    return add_rule(to, "delay", text);
}

static int read_drop(const char *text, void *to)
{
    return add_rule(to, "drop", text);
}

static int read_options(struct run *r, struct option_list *schedule, int argc, char **argv)
{
    struct options *o = &r->options;
    struct sink *s = &r->sink;
    const struct option_spec specs[] = {
        OPTION_READ("listen", 'l', read_listen, r),
        OPTION_NUMBER_32("threads", 't', 1, SINK_THREADS_MAX, &o->threads),
        OPTION_TEXT("port-file", 0, &o->port_file),
        OPTION_TEXT("maildir", 0, &s->store.maildir),
        OPTION_TEXT("mbox", 0, &s->store.mbox),
        OPTION_READ("store", 0, read_store, &s->store),
        OPTION_READ("reply", 0, read_reply, r),
        OPTION_READ("delay", 0, read_delay, r),
        OPTION_READ("drop", 0, read_drop, r),
        OPTION_LIST("schedule", 0, schedule),
        OPTION_FLAG("lmtp", 0, &s->server_config.lmtp),
        OPTION_FLAG("starttls", 0, &o->starttls),
        OPTION_FLAG("no-pipelining", 0, &o->no_pipelining),
        OPTION_FLAG("no-chunking", 0, &o->no_chunking),
        OPTION_NUMBER("size-max", 0, 1, UINT64_MAX / 2, &s->server_config.size_max),
        OPTION_NUMBER("stop-after", 0, 1, UINT64_MAX / 2, &s->stop_after),
        OPTION_TEXT("seq-log", 0, &o->seq_log),
        OPTION_FLAG("status", 0, &o->status),
        OPTION_FLAG("json", 0, &o->json),
        OPTION_FLAG("help", 'h', &o->help)};

    return options_read("sink", argc, argv, specs, ARRAY_SIZE(specs));
}

/* EXIT_DONE: go on; else the exit code. */
static int parse_options(struct run *r, int argc, char **argv)
{
    struct option_list schedule = {.count = 0};
    int code = read_options(r, &schedule, argc, argv);

    /* After the rules that hold from the beginning: steps come in the order of their times. */
    for (size_t i = 0; code == EXIT_DONE && i < schedule.count; i++)
        code =
            told(r, sink_schedule_parse(&r->sink.schedule, slice_str(schedule.items[i]), &r->why));
    if (code != EXIT_DONE || r->options.help)
        return code;
    if (optind < argc)
        return usage_error("sink", "unexpected argument '%s'", argv[optind]);
    if (r->options.address_count == 0)
        return usage_error("sink", "--listen is missing");
    if (r->options.no_pipelining)
        r->sink.server_config.extensions &= ~(unsigned)SMTP_EXT_PIPELINING;
    if (r->options.no_chunking)
        r->sink.server_config.extensions &= ~(unsigned)SMTP_EXT_CHUNKING;
    return EXIT_DONE;
}

int cmd_sink(int argc, char **argv)
{
    struct run *r = calloc(1, sizeof(*r));
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int code;

    if (!r)
        return command_error("sink", "no memory");
    r->why = BUF_INIT(WHY_MAX);
    r->options.threads = (uint32_t)(cores < 1 ? 1 : MIN_OF(cores, SINK_THREADS_MAX));
    r->sink.server_config = SMTP_SERVER_CONFIG_INIT;
    r->sink.server_config.hostname = SLICE_LIT("sink.test");
    r->sink.server_config.banner = SLICE_LIT("ESMTP penstock sink");
    r->sink.server_config.size_max = SIZE_MAX_DEFAULT;
    r->sink.server_config.recipients_max = 10000;
    r->sink.server_config.idle_max = 0;
    r->sink.server_config.errors_max = 0;
    r->sink.server_config.refuse_early_talker = false;
    sink_schedule_init(&r->sink.schedule);
    code = parse_options(r, argc, argv);
    if (code == EXIT_DONE && r->options.help)
        print_help();
    else if (code == EXIT_DONE) {
        r->workers = calloc(r->options.threads, sizeof(*r->workers));
        code = r->workers ? run_sink(r) : command_error("sink", "no memory");
        free(r->workers);
    }
    buf_done(&r->why);
    free(r);
    return code;
}
