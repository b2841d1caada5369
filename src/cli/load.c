/*
 * cli/load.c - penstock load: a sending test client. Options, threads, report; the rest is in
 * load_session.c (connections), load_message.c (mail) and load_stats.c (what is counted).
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
#include "base/rand.h"
#include "cli/cli.h"
#include "cli/load_int.h"
#include "cli/options.h"
#include "io/rlimit.h"

#define DEFAULT_PORT 25
#define SESSIONS_MAX 100000
#define RATE_MAX 10000000
#define PROGRESS_MS 250
#define BAR 30
#define WHY_MAX 4096

struct run {
    struct load load;
    struct load_worker *workers;
    struct load_message message;
    struct loop_timer progress;
    struct buf why;
    uint64_t size, start_ns;
    const char *file, *seq_log, *to_text;
    bool json, starttls, pipelining, chunking, has_progress, help;
};

static void print_help(void)
{
    printf(
        "Usage: penstock load --to ADDRESS [OPTIONS]\n"
        "\n"
        "A sending test client. Each message has a number (X-Seq) and a checksum (X-Sum), which\n"
        "'penstock sink' checks for loss, duplicates and damage.\n"
        "\n"
        "  -t, --to ADDRESS         host:port or unix:/path\n"
        "  -s, --sessions N         connections at the same time, default 10\n"
        "  -m, --messages N         in all, default 1000\n"
        "  -n, --per-connection N   messages on one connection, default 10; 0: no limit\n"
        "  -S, --size BYTES         of a message, default 2048\n"
        "      --file FILE          send this message (our fields are put before it)\n"
        "  -r, --rate N             at most N messages a second\n"
        "      --from PATTERN       default load@sender.test\n"
        "      --rcpt PATTERN       default user%%d@dest%%d.example; a %%d before the @ is the\n"
        "                           number of the recipient, one behind it this modulo --domains\n"
        "      --domains N          default 1\n"
        "      --recipients N       of each message, default 1, at most %d\n"
        "      --pipelining         use PIPELINING where offered\n"
        "      --chunking           use CHUNKING where offered\n"
        "      --lmtp               speak LMTP\n"
        "      --starttls           use STARTTLS, whatever the certificate\n"
        "      --reconnect          go on when a connection fails, until all is sent\n"
        "      --seq-log FILE       append the X-Seq of each acknowledged message (--ack-file)\n"
        "      --threads N          default: one a core\n"
        "      --json               print the report as one line of JSON\n"
        "  -h, --help               this text\n"
        "\n"
        "Latency is the time from MAIL to the reply to the end of data. Exits 0 when every "
        "message\n"
        "had its answer, whatever it was, or after SIGTERM or SIGINT; 1 when it could not send.\n",
        LOAD_RECIPIENTS_MAX);
}

/* ---- workers ---- */

static void run_worker(void *ctx)
{
    struct load_worker *w = ctx;

    loop_run(w->loop);
    load_sessions_free(w);
    if (atomic_fetch_sub(&w->load->threads_left, 1) == 1)
        loop_stop(w->load->main_loop);
}

static int prepare_worker(struct run *r, uint32_t i)
{
    struct load_worker *w = &r->workers[i];
    struct load *l = &r->load;
    int err = loop_new(&w->loop);

    w->load = l;
    w->session_count = l->sessions / l->threads + (i < l->sessions % l->threads);
    w->interval_ns = l->rate ? UINT64_C(1000000000) * l->threads / l->rate : 0;
    w->next_send_ns = clock_mono_ns() + w->interval_ns * i / l->threads;
    if (err == 0)
        err = load_message_copy(&w->message, &r->message);
    return err < 0 ? err : load_sessions_start(w);
}

static int start_workers(struct run *r)
{
    int err = 0;

    r->load.threads_left = r->load.threads;
    for (uint32_t i = 0; err == 0 && i < r->load.threads; i++)
        err = prepare_worker(r, i);
    r->start_ns = clock_mono_ns();
    for (uint32_t i = 0; err == 0 && i < r->load.threads; i++) {
        err = thread_start(&r->workers[i].thread, "load", run_worker, &r->workers[i]);
        r->workers[i].is_started = err == 0;
    }
    return err;
}

static void stop_workers(struct run *r)
{
    for (uint32_t i = 0; i < r->load.threads; i++) {
        struct load_worker *w = &r->workers[i];

        if (w->is_started)
            thread_join(&w->thread);
        else if (w->loop)
            load_sessions_free(w);
        loop_free(&w->loop);
        load_message_done(&w->message);
    }
}

/* ---- report ---- */

struct totals {
    uint64_t accepted, refused, unknown, failed, connections, broken, last_ns;
    int connect_err;
    double seconds;
};

static void add_up(struct run *r, struct totals *t)
{
    *t = (struct totals){.accepted = 0};
    for (uint32_t i = 0; i < r->load.threads; i++) {
        struct load_worker *w = &r->workers[i];

        t->accepted += w->accepted;
        t->refused += w->refused;
        t->unknown += w->unknown;
        t->failed += w->failed;
        t->connections += w->connections;
        t->broken += w->broken;
    }
}

static double rate_of(const struct totals *t)
{
    return t->seconds > 0 ? (double)t->accepted / t->seconds : 0;
}

static json_t *replies_json(const struct reply_counts *replies)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < replies->kind_count; i++) {
        const struct reply_count *k = &replies->kinds[i];
        json_t *text = json_string(k->text); /* NULL: not UTF-8 */

        (void)json_array_append_new(list, json_pack("{s:s, s:i, s:o, s:I}", "phase",
                                                    smtp_phase_name(k->phase), "code", (int)k->code,
                                                    "text", text ? text : json_string("?"), "count",
                                                    (json_int_t)k->count));
    }
    return list;
}

static void print_json(const struct totals *t, const struct histogram *h,
                       const struct reply_counts *replies)
{
    json_t *j = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:{s:I, s:I, s:I, s:I}, s:o}", "accepted",
        (json_int_t)t->accepted, "refused", (json_int_t)t->refused, "unknown",
        (json_int_t)t->unknown, "failed", (json_int_t)t->failed, "connections",
        (json_int_t)t->connections, "broken", (json_int_t)t->broken, "seconds", t->seconds, "rate",
        rate_of(t), "latency_us", "p50", (json_int_t)histogram_quantile(h, 0.5), "p99",
        (json_int_t)histogram_quantile(h, 0.99), "p99_9", (json_int_t)histogram_quantile(h, 0.999),
        "max", (json_int_t)h->max, "replies", replies_json(replies));

    if (j)
        (void)json_dumpf(j, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    json_decref(j);
    printf("\n");
}

static void print_text(const struct totals *t, const struct histogram *h,
                       const struct reply_counts *replies)
{
    printf("accepted     %10llu  in %.2f s (%.0f a second)\n", (unsigned long long)t->accepted,
           t->seconds, rate_of(t));
    printf("refused      %10llu\n", (unsigned long long)t->refused);
    printf("unknown      %10llu  connection lost after the end of data\n",
           (unsigned long long)t->unknown);
    printf("connections  %10llu  %llu broken or never made\n", (unsigned long long)t->connections,
           (unsigned long long)t->broken);
    printf("latency      p50 %.3f ms, p99 %.3f ms, p99.9 %.3f ms, max %.3f ms\n",
           (double)histogram_quantile(h, 0.5) / 1000, (double)histogram_quantile(h, 0.99) / 1000,
           (double)histogram_quantile(h, 0.999) / 1000, (double)h->max / 1000);
    for (size_t i = 0; i < replies->kind_count; i++) {
        const struct reply_count *k = &replies->kinds[i];

        printf("%12llu x %s: %u %s\n", (unsigned long long)k->count, smtp_phase_name(k->phase),
               k->code, k->text);
    }
    if (replies->others)
        printf("%12llu x other replies\n", (unsigned long long)replies->others);
}

static int report(struct run *r)
{
    static struct histogram latency;
    static struct reply_counts replies;
    struct totals t;

    add_up(r, &t);
    for (uint32_t i = 0; i < r->load.threads; i++) {
        struct load_worker *w = &r->workers[i];

        histogram_merge(&latency, &w->latency);
        reply_counts_merge(&replies, &w->replies);
        t.last_ns = MAX_OF(t.last_ns, w->last_ns);
        t.connect_err = w->connect_err ? w->connect_err : t.connect_err;
    }
    t.seconds = t.last_ns > r->start_ns ? (double)(t.last_ns - r->start_ns) / 1e9 : 0;
    if (r->json)
        print_json(&t, &latency, &replies);
    else
        print_text(&t, &latency, &replies);
    if (r->load.stop || t.accepted + t.refused + t.unknown >= r->load.messages)
        return EXIT_DONE;
    if (t.connect_err)
        return command_error("load", "cannot connect to %s: %s", r->to_text,
                             err_str(t.connect_err));
    return command_error(
        "load", "%llu messages were not sent; --reconnect goes on all the same",
        (unsigned long long)(r->load.messages - t.accepted - t.refused - t.unknown));
}

static void on_progress(struct loop_timer *timer)
{
    struct run *r = CONTAINER_OF(timer, struct run, progress);
    double seconds = (double)(clock_mono_ns() - r->start_ns) / 1e9;
    char bar[BAR + 1];
    struct totals t;
    uint64_t done;

    add_up(r, &t);
    done = t.accepted + t.refused + t.unknown;
    for (uint64_t i = 0; i < BAR; i++)
        bar[i] = i * r->load.messages < done * BAR ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\r[%s] %3llu %%  %llu accepted, %llu refused, %.0f a second \033[K", bar,
            (unsigned long long)(done * 100 / r->load.messages), (unsigned long long)t.accepted,
            (unsigned long long)t.refused, seconds > 0 ? (double)t.accepted / seconds : 0);
    r->has_progress = true;
    loop_timer_start(timer, PROGRESS_MS);
}

/* ---- the command ---- */

static void on_signal(void *ctx, int signum)
{
    struct run *r = ctx;

    (void)signum;
    r->load.stop = true; /* the workers see it at their next tick */
}

static int prepare(struct run *r)
{
    struct load *l = &r->load;
    char from[LOAD_PATTERN_MAX], to[LOAD_PATTERN_MAX];
    struct slice sender = load_pattern_fill(l->from, 0, l->domains, from);
    struct slice recipient = load_pattern_fill(l->rcpt, 0, l->domains, to);
    struct rand rand;
    int err;

    from[sender.len] = '\0';
    to[recipient.len] = '\0';
    rand_init(&rand, clock_mono_ns() ^ (uint64_t)clock_wall_us() ^ (uint64_t)getpid() << 32);
    l->run = rand_u64(&rand);
    l->seq_log_fd = -1;
    err = load_message_make(&r->message, r->size, r->file, from, to, &r->why);
    if (err == 0 && r->seq_log) {
        l->seq_log_fd = open(r->seq_log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (l->seq_log_fd < 0) {
            err = -errno;
            (void)buf_addf(&r->why, "%s: %s", r->seq_log, err_str(err));
        }
    }
    if (err == 0 && r->starttls) {
        l->client_config.tls = SMTP_TLS_MUST;
        err = tls_config_new_client(false, NULL, &l->tls, &r->why);
    }
    if (err == 0)
        err = loop_new(&l->main_loop);
    if (err == 0)
        err = loop_on_signal(l->main_loop, SIGTERM, on_signal, r);
    if (err == 0)
        err = loop_on_signal(l->main_loop, SIGINT, on_signal, r);
    return err;
}

static int run_load(struct run *r)
{
    int code, err;

    (void)!rlimit_raise_files(NULL); /* fewer connections then */
    err = prepare(r);
    if (err == 0)
        err = start_workers(r);
    if (err == 0) {
        loop_timer_init(&r->progress, r->load.main_loop, on_progress);
        if (isatty(STDERR_FILENO))
            loop_timer_start(&r->progress, PROGRESS_MS);
        loop_run(r->load.main_loop);
        loop_timer_stop(&r->progress);
    }
    r->load.stop |= err < 0;
    stop_workers(r);
    if (r->has_progress)
        fprintf(stderr, "\n");
    if (err < 0)
        code = command_error("load", "%s", buf_len(&r->why) ? buf_cstr(&r->why) : err_str(err));
    else
        code = report(r);
    loop_free(&r->load.main_loop);
    tls_config_unref(&r->load.tls);
    load_message_done(&r->message);
    if (r->load.seq_log_fd >= 0)
        (void)close(r->load.seq_log_fd);
    return code;
}

/* ---- options ---- */

static int read_to(const char *text, void *to)
{
    struct run *r = to;

    r->to_text = text;
    return addr_parse(slice_str(text), DEFAULT_PORT, &r->load.to, &r->why) == 0
               ? EXIT_DONE
               : usage_error("load", "%s", buf_cstr(&r->why));
}

static int check_pattern(const char *text, struct buf *why)
{
    return load_pattern_check(text, why) == 0 ? EXIT_DONE
                                              : usage_error("load", "%s", buf_cstr(why));
}

static int parse_options(struct run *r, int argc, char **argv)
{
    struct load *l = &r->load;
    const struct option_spec specs[] = {
        OPTION_READ("to", 't', read_to, r),
        OPTION_NUMBER_32("sessions", 's', 1, SESSIONS_MAX, &l->sessions),
        OPTION_NUMBER("messages", 'm', 1, SEQ_NUMBER_MAX, &l->messages),
        OPTION_NUMBER("per-connection", 'n', 0, UINT32_MAX, &l->per_connection),
        OPTION_NUMBER("size", 'S', 1, MIB(200), &r->size),
        OPTION_TEXT("file", 0, &r->file),
        OPTION_NUMBER_32("rate", 'r', 1, RATE_MAX, &l->rate),
        OPTION_TEXT("from", 0, &l->from),
        OPTION_TEXT("rcpt", 0, &l->rcpt),
        OPTION_NUMBER("domains", 0, 1, UINT32_MAX, &l->domains),
        OPTION_NUMBER_32("recipients", 0, 1, LOAD_RECIPIENTS_MAX, &l->recipients),
        OPTION_FLAG("pipelining", 0, &r->pipelining),
        OPTION_FLAG("chunking", 0, &r->chunking),
        OPTION_FLAG("lmtp", 0, &l->client_config.lmtp),
        OPTION_FLAG("starttls", 0, &r->starttls),
        OPTION_FLAG("reconnect", 0, &l->reconnect),
        OPTION_TEXT("seq-log", 0, &r->seq_log),
        OPTION_TEXT("ack-file", 0, &r->seq_log),
        OPTION_NUMBER_32("threads", 0, 1, LOAD_THREADS_MAX, &l->threads),
        OPTION_FLAG("json", 0, &r->json),
        OPTION_FLAG("help", 'h', &r->help)};
    int code = options_read("load", argc, argv, specs, ARRAY_SIZE(specs));

    if (code == EXIT_DONE)
        code = check_pattern(l->from, &r->why);
    if (code == EXIT_DONE)
        code = check_pattern(l->rcpt, &r->why);
    if (code != EXIT_DONE || r->help)
        return code;
    if (optind < argc)
        return usage_error("load", "unexpected argument '%s'", argv[optind]);
    if (!r->to_text)
        return usage_error("load", "--to is missing");
    l->client_config.extensions_ignored = (r->pipelining ? 0 : (unsigned)SMTP_EXT_PIPELINING) |
                                          (r->chunking ? 0 : (unsigned)SMTP_EXT_CHUNKING);
    l->threads = MIN_OF(l->threads, l->sessions);
    return EXIT_DONE;
}

int cmd_load(int argc, char **argv)
{
    struct run *r = calloc(1, sizeof(*r));
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int code;

    if (!r)
        return command_error("load", "no memory");
    r->why = BUF_INIT(WHY_MAX);
    r->size = 2048;
    r->load.client_config = SMTP_CLIENT_CONFIG_INIT;
    r->load.client_config.hello_name = SLICE_LIT("load.test");
    r->load.client_config.tls = SMTP_TLS_NEVER;
    r->load.from = "load@sender.test";
    r->load.rcpt = "user%d@dest%d.example";
    r->load.domains = r->load.recipients = 1;
    r->load.messages = 1000;
    r->load.sessions = 10;
    r->load.per_connection = 10;
    r->load.threads = (uint32_t)(cores < 1 ? 1 : MIN_OF(cores, LOAD_THREADS_MAX));
    code = parse_options(r, argc, argv);
    if (code == EXIT_DONE && r->help) {
        print_help();
    } else if (code == EXIT_DONE) {
        r->workers = calloc(r->load.threads, sizeof(*r->workers));
        code = r->workers ? run_load(r) : command_error("load", "no memory");
        free(r->workers);
    }
    buf_done(&r->why);
    free(r);
    return code;
}
