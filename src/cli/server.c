/*
 * cli/server.c - see server.h. What is here is running and its end.
 *
 * Stopping: receivers and workers take nothing new and end what is under way; every STOP_STEP_MS
 * each loop is asked how much is left; after STOP_SOFT_MS what is left is broken off. When no loop
 * is busy and the queue waits for nobody the loops end, then the writer, which syncs the spool.
 */
#include "cli/server.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/server_int.h"
#include "cli/server_log.h"
#include "config/config.h"
#include "control/control.h"
#include "control/json_out.h"
#include "deliver/queue.h"
#include "event/event.h"
#include "evidence/knowledge.h"
#include "governor/gate.h"
#include "io/fs.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "io/rlimit.h"
#include "io/thread.h"
#include "ledger/ledger.h"
#include "pressure/pressure.h"
#include "receive/receiver.h"
#include "spool/spool.h"
#include "spool/writer.h"

#define STOP_STEP_MS 20
#define STOP_SOFT_MS 4000
#define STOP_HARD_MS 8000
#define STATUS_MS 1000
#define FILES_OF_OUR_OWN 96 /* of the descriptors: loops, spool, logs, figures of the kernel */

void server_on_slow(void *ctx, uint64_t ms)
{
    event(EVENT_SLOW_CALLBACK, EVENT_NO_ID, EV_STR("thread", ctx ? "loop" : "queue"),
          EV_UINT("ms", ms));
}

/* ---- the queue ---- */

static void run_queue(void *ctx)
{
    struct server *s = ctx;
    int64_t due_ms = queue_run(s->queue);
    int64_t delay_ms = due_ms - clock_wall_ms();

    atomic_store_explicit(&s->shared.queue_is_full, queue_is_full(s->queue), memory_order_relaxed);
    if (due_ms == SCHEDULE_NEVER)
        loop_timer_stop(&s->due);
    else
        loop_timer_start(&s->due, (uint64_t)MIN_OF(MAX_OF(delay_ms, 1), 60000));
}

/* The turn that the timer causes runs the queue. */
static void on_due(struct loop_timer *t)
{
    (void)t;
}

/* ---- stopping ---- */

static bool all_quiet(const struct server *s)
{
    for (uint32_t i = 0; i < s->thread_count; i++)
        if (s->threads[i].is_out || !s->threads[i].was_told_to_stop || s->threads[i].busy > 0)
            return false;
    return queue_is_idle(s->queue) && pressure_is_idle(s->pressure);
}

/* A loop thread that was busy with a reload when the end began hears of it late, but first. */
static void order_all(struct server *s, enum loop_orders what)
{
    for (uint32_t i = 0; i < s->thread_count; i++) {
        struct loop_thread *t = &s->threads[i];

        if (t->is_out)
            continue;
        loop_thread_order(t, t->was_told_to_stop ? what : ORDER_STOP);
        t->was_told_to_stop = true;
    }
}

static void on_stop_step(struct loop_timer *t)
{
    struct server *s = CONTAINER_OF(t, struct server, stop_timer);
    uint64_t since_ms = clock_mono_ms() - s->stop_began_ms;

    if (all_quiet(s)) {
        queue_keep_all_lanes(s->queue);
        loop_stop(s->loop);
        return;
    }
    if (since_ms > STOP_HARD_MS) { /* the spool is safe at any moment: leave without farewell */
        event(EVENT_INTERNAL_ERROR, EVENT_NO_ID, EV_STR("what", "a loop did not stop in time"));
        s->stop_was_hard = true;
        loop_stop(s->loop);
        return;
    }
    order_all(s, since_ms > STOP_SOFT_MS ? ORDER_STOP_NOW : ORDER_REPORT);
    loop_timer_start(&s->stop_timer, STOP_STEP_MS);
}

static void begin_stop(struct server *s, const char *why)
{
    if (s->stopping)
        return;
    s->stopping = true;
    event(EVENT_SERVER_STOPPING, EVENT_NO_ID, EV_STR("why", why));
    (void)sd_notify(0, "STOPPING=1");
    atomic_store(&s->shared.stopping, true);
    s->stop_began_ms = clock_mono_ms();
    queue_stop(s->queue);
    pressure_stop(s->pressure);
    order_all(s, ORDER_STOP);
    loop_timer_start(&s->stop_timer, STOP_STEP_MS);
}

static void on_signal(void *ctx, int signum)
{
    struct server *s = ctx;

    if (signum == SIGHUP)
        server_reload_on_signal(s);
    else
        begin_stop(s, signum == SIGTERM ? "SIGTERM" : "SIGINT");
}

/* ---- status ---- */

/* Nothing is said of what is as it should be. */
static void print_pressure(const struct server *s)
{
    enum pressure_level level = gate_level(&s->gate);
    uint8_t resource;
    enum gate_verdict verdict = pressure_ready(s->pressure, MAIL_EXTERNAL, &resource);

    if (level != PRESSURE_NORMAL)
        printf("  |  pressure %s", governor_level_name(level));
    if (verdict != GATE_OPEN)
        printf("  |  external mail %s (%s)", verdict == GATE_DELAY ? "delayed" : "refused",
               gate_token(resource));
}

static void on_status(struct loop_timer *t)
{
    struct server *s = CONTAINER_OF(t, struct server, status_timer);
    uint64_t accepted = counter_get(COUNTER_MESSAGES_ACCEPTED);
    uint64_t delivered = counter_get(COUNTER_MESSAGES_DELIVERED);
    struct schedule_totals totals;

    schedule_get_totals(queue_schedule(s->queue), &totals);
    printf("\r\033[Kaccepted %lu  queued %lu  delivered %lu  deferred %lu  |  %lu in, %lu out "
           "messages/s",
           accepted, totals.entries, delivered, counter_get(COUNTER_MESSAGES_DEFERRED),
           accepted - s->status_accepted, delivered - s->status_delivered);
    print_pressure(s);
    (void)fflush(stdout);
    s->status_accepted = accepted;
    s->status_delivered = delivered;
    loop_timer_start(&s->status_timer, STATUS_MS);
}

static bool wants_status_line(const struct server *s)
{
    const struct config_log *l = &s->config->log;
    bool log_is_on_terminal = server_log_is_on_terminal(s->config);

    if (s->options.status_line || l->status_line == CONFIG_STATUS_ON)
        return true;
    return l->status_line == CONFIG_STATUS_AUTO && isatty(STDOUT_FILENO) && !log_is_on_terminal;
}

void server_add_status(void *ctx, struct json_out *j)
{
    struct server *s = ctx;

    json_out_str(j, "version", PENSTOCK_VERSION);
    json_out_uint(j, "loops", s->thread_count);
    json_out_bool(j, "stopping", s->stopping);
}

bool server_is_stopping(void *ctx)
{
    struct server *s = ctx;

    return s->stopping;
}

/*
 * So many clients at a time that delivery still finds the descriptors it may use, and that clients
 * alone are no pressure on descriptors (pressure.descriptors.medium_to_low is 80 %). With few
 * descriptors both sides get half of what our own files leave.
 */
static uint64_t clients_max(uint64_t files, uint64_t deliveries_max)
{
    uint64_t rest = files > 2 * FILES_OF_OUR_OWN ? files - FILES_OF_OUR_OWN : files / 4;
    uint64_t spare = rest > deliveries_max ? rest - deliveries_max : 0;

    return MAX_OF(rest / 2, MIN_OF(spare, files / 5 * 4));
}

int server_new(struct server **ret, const struct server_options *options, struct buf *why)
{
    struct server *s = calloc(1, sizeof(*s));
    struct config *config;
    struct event_config ec = {.target = EVENT_TO_FD, .fd = STDERR_FILENO, .level = EVENT_INFO};
    uint64_t files;
    int r;

    if (!s)
        return -ENOMEM;
    s->options = *options;
    gate_init(&s->gate);
    s->shared.gate = &s->gate;
    rlimit_save_address_space();
    ignore_result(rlimit_raise_files(&files)); /* fewer files mean fewer sessions, not none */
    rand_init(&s->rand, clock_mono_ns() ^ ((uint64_t)getpid() << 32));
    r = config_load(options->config_file, options->overrides, options->override_count, &config,
                    why);
    if (r == 0) {
        s->config = config;
        s->shared.connections_max = clients_max(files, config->delivery.connections_max);
        r = event_start(&ec);
    }
    if (r == 0) {
        server_set_log(s->config);
        event(EVENT_SERVER_STARTING, EVENT_NO_ID, EV_STR("version", PENSTOCK_VERSION),
              EV_STR("config", server_config_name(options)),
              EV_STR("hostname", s->config->server.hostname));
        r = server_start(s, why);
    }
    if (r < 0) {
        if (buf_len(why) == 0)
            (void)buf_add_str(why, err_str(r));
        server_free(&s);
        return r;
    }
    *ret = s;
    return 0;
}

static int watch_signals(struct server *s)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(signals); i++)
        r = loop_on_signal(s->loop, signals[i], on_signal, s);
    return r;
}

int server_run(struct server *s)
{
    if (watch_signals(s) < 0)
        return 1;
    loop_on_slow(s->loop, server_on_slow, NULL);
    loop_timer_init(&s->due, s->loop, on_due);
    loop_timer_init(&s->stop_timer, s->loop, on_stop_step);
    loop_timer_init(&s->status_timer, s->loop, on_status);
    loop_on_turn(s->loop, run_queue, s);
    if (wants_status_line(s))
        loop_timer_start(&s->status_timer, STATUS_MS);
    event(EVENT_SERVER_READY, EVENT_NO_ID, EV_UINT("loops", s->thread_count),
          EV_STR("spool", s->config->spool.directory));
    printf("ready\n");
    (void)fflush(stdout);
    (void)sd_notify(0, "READY=1");
    loop_run(s->loop);
    loop_on_turn(s->loop, NULL, NULL);
    if (wants_status_line(s))
        printf("\n");
    if (s->stop_was_hard) {
        event_stop();
        _exit(0);
    }
    return 0;
}

static void end_threads(struct server *s)
{
    for (uint32_t i = 0; i < s->threads_started; i++)
        loop_stop(s->threads[i].loop);
    for (uint32_t i = 0; i < s->threads_started; i++)
        thread_join(&s->threads[i].thread);
}

void server_free(struct server **sp)
{
    struct server *s = *sp;

    if (!s)
        return;
    control_close(&s->control);
    end_threads(s);
    spool_writer_stop(&s->writer);
    for (uint32_t i = 0; s->threads && i < s->thread_count; i++)
        loop_thread_close(&s->threads[i]);
    pressure_free(&s->pressure);
    queue_free(&s->queue);
    ledger_close(&s->ledger);
    knowledge_unref(&s->knowledge);
    knowledge_unref(&s->next_knowledge);
    mailbox_free(&s->box);
    loop_free(&s->loop);
    spool_close(&s->spool);
    fs_free(&s->fs);
    server_tls_free(&s->tls);
    server_tls_free(&s->next_tls);
    config_unref(&s->next_config);
    config_unref(&s->config);
    free(s->threads);
    event(EVENT_SERVER_STOPPED, EVENT_NO_ID, EV_NONE);
    event_stop();
    free(s);
    *sp = NULL;
}
