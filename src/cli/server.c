/*
 * cli/server.c - see server.h. What is here is order: who is opened before whom, who is told of a
 * reload, who stops first.
 *
 * Stopping: receivers and workers take nothing new and end what is under way; every STOP_STEP_MS
 * each loop is asked how much is left; after STOP_SOFT_MS what is left is broken off. When no loop
 * is busy and the queue waits for nobody the loops end, then the writer, which syncs the spool.
 */
#include "cli/server.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/err.h"
#include "cli/server_log.h"
#include "config/config.h"
#include "control/control.h"
#include "control/json_out.h"
#include "deliver/queue.h"
#include "deliver/worker.h"
#include "event/event.h"
#include "governor/gate.h"
#include "io/fs.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "io/rlimit.h"
#include "io/stream.h"
#include "io/thread.h"
#include "io/tls.h"
#include "pressure/pressure.h"
#include "receive/receiver.h"
#include "spool/spool.h"
#include "spool/writer.h"

#define STOP_STEP_MS 20
#define STOP_SOFT_MS 4000
#define STOP_HARD_MS 8000
#define STATUS_MS 1000
#define WHY_MAX KIB(16)
#define FILES_OF_OUR_OWN 96 /* of the descriptors: loops, spool, logs, figures of the kernel */

enum lane_orders { ORDER_NONE, ORDER_RELOAD, ORDER_STOP, ORDER_STOP_NOW, ORDER_REPORT, ORDER_END };

/* One loop thread and what runs in it. */
struct lane {
    struct server *server;
    uint32_t number;
    struct thread thread;
    struct loop *loop;
    struct mailbox *box;
    struct receiver *receiver;
    struct worker *worker;
    struct parcel order, answer; /* to the lane and back: one at a time */
    enum lane_orders what;
    size_t busy; /* as last reported; the main thread's */
    bool is_out; /* an order is under way; the main thread's */
    bool was_told_to_stop;
};

/* TLS made from one configuration. */
struct tls_set {
    struct tls_config **listeners;
    size_t count;
    struct tls_config *client;
};

struct server {
    struct server_options options;
    const struct config *config;
    struct tls_set tls;
    struct loop *loop;
    struct mailbox *box;
    struct rand rand;
    struct fs *fs;
    struct spool *spool;
    struct spool_writer *writer;
    struct queue *queue;
    struct pressure *pressure;
    struct control *control;
    struct gate gate; /* shared.gate */
    struct receive_shared shared;
    struct lane *lanes;
    uint32_t lane_count, lanes_started;
    struct loop_timer due, stop_timer, status_timer;

    const struct config *next_config; /* a reload that waits for the queue */
    struct tls_set next_tls;
    uint32_t reload_answers;

    bool stopping, has_ended, stop_was_hard;
    uint64_t stop_began_ms;
    uint64_t status_delivered, status_accepted;
    int exit_code;
};

/* ---- configuration ---- */

static const char *config_name(const struct server_options *o)
{
    return o->config_file ? o->config_file : "embedded defaults";
}

static void tls_set_free(struct tls_set *t)
{
    for (size_t i = 0; t->listeners && i < t->count; i++)
        tls_config_unref(&t->listeners[i]);
    free(t->listeners);
    tls_config_unref(&t->client);
    *t = (struct tls_set){0};
}

static int make_listener_tls(const struct config *c, const struct config_listener *l,
                             struct tls_config **ret, struct buf *why)
{
    switch (l->tls) {
    case CONFIG_LISTENER_TLS_SELF_SIGNED:
        return tls_config_new_self_signed(c->server.hostname, ret, why);
    case CONFIG_LISTENER_TLS_FILES:
        return tls_config_new_server(l->tls_certificate, l->tls_key, ret, why);
    case CONFIG_LISTENER_TLS_OFF:
    case CONFIG_LISTENER_TLS_AUTO:
    default:
        return 0;
    }
}

static int tls_set_make(const struct config *c, struct tls_set *ret, struct buf *why)
{
    struct tls_set t = {.count = c->listener_count};
    int r = 0;

    t.listeners = calloc(t.count, sizeof(struct tls_config *));
    if (!t.listeners)
        r = -ENOMEM;
    for (size_t i = 0; r == 0 && i < t.count; i++)
        r = make_listener_tls(c, &c->listeners[i], &t.listeners[i], why);
    if (r == 0 && c->delivery.tls != CONFIG_CLIENT_TLS_OFF)
        r = tls_config_new_client(c->delivery.tls == CONFIG_CLIENT_TLS_VERIFIED, c->tls.ca_file,
                                  &t.client, why);
    if (r < 0)
        tls_set_free(&t);
    else
        *ret = t;
    return r;
}

static struct queue_settings queue_settings_of(const struct config *c)
{
    struct queue_settings s = {
        .schedule = {.connections_max = c->delivery.connections_max,
                     .connections_per_destination = c->delivery.connections_per_destination_max,
                     .entries_max = c->spool.messages_max,
                     .retry = {.delay_count = (uint32_t)c->retry.policy.delay_count,
                               .jitter = c->retry.policy.jitter,
                               .max_queue_time_s = (uint32_t)c->retry.policy.max_queue_time_s,
                               .delay_dsn_s = (uint32_t)c->retry.delay_warning_s}},
        .config = c,
    };

    memcpy(s.schedule.retry.delays_s, c->retry.policy.delays_s, sizeof(s.schedule.retry.delays_s));
    return s;
}

static struct spool_writer_config writer_config_of(const struct config *c)
{
    return (struct spool_writer_config){.commit_delay_us = (uint32_t)c->spool.commit_delay_us,
                                        .commit_batch_bytes = c->spool.commit_batch_bytes,
                                        .lazy_sync_ms = (uint32_t)c->spool.lazy_sync_ms};
}

/* ---- lanes ---- */

static void lane_ordered(struct parcel *p, void *receiver);

/* Main thread. */
static void lane_order(struct lane *l, enum lane_orders what)
{
    ASSERT(!l->is_out);
    l->is_out = true;
    l->what = what;
    l->order.deliver = lane_ordered;
    mailbox_post(l->box, &l->order);
}

static void on_reload_answer(struct server *s);

/* Main thread. */
static void lane_answered(struct parcel *p, void *receiver)
{
    struct lane *l = CONTAINER_OF(p, struct lane, answer);

    (void)receiver;
    l->is_out = false;
    if (l->what == ORDER_RELOAD)
        on_reload_answer(l->server);
}

/* The lane's thread. */
static void lane_ordered(struct parcel *p, void *receiver)
{
    struct lane *l = CONTAINER_OF(p, struct lane, order);
    struct server *s = l->server;

    (void)receiver;
    switch (l->what) {
    case ORDER_RELOAD:
        if (receiver_set_config(l->receiver, s->next_config, s->next_tls.listeners) < 0)
            event(EVENT_INTERNAL_ERROR, EVENT_NO_ID, EV_STR("what", "a loop kept the old rules"));
        worker_set_config(l->worker, s->next_config, s->next_tls.client);
        break;
    case ORDER_STOP:
        receiver_stop(l->receiver);
        worker_stop(l->worker);
        break;
    case ORDER_STOP_NOW:
        receiver_stop_now(l->receiver);
        worker_stop_now(l->worker);
        break;
    case ORDER_END:
        loop_stop(l->loop);
        break;
    case ORDER_NONE:
    case ORDER_REPORT:
    default:
        break;
    }
    l->busy = receiver_busy(l->receiver) + worker_busy(l->worker);
    l->answer.deliver = lane_answered;
    mailbox_post(s->box, &l->answer);
}

static void lane_run(void *ctx)
{
    struct lane *l = ctx;

    loop_run(l->loop);
}

/* One wake-up of the queue thread for all that a turn of the loop has for it. */
static void lane_turn_ends(void *ctx)
{
    mailbox_nudge(((struct lane *)ctx)->server->box);
}

static void on_slow(void *ctx, uint64_t ms)
{
    event(EVENT_SLOW_CALLBACK, EVENT_NO_ID, EV_STR("thread", ctx ? "loop" : "queue"),
          EV_UINT("ms", ms));
}

static int lane_open(struct server *s, struct lane *l, struct addr *bound, struct buf *why)
{
    int r;

    l->server = s;
    r = loop_new(&l->loop);
    if (r == 0)
        r = mailbox_new_on_loop(&l->box, l->loop, l);
    if (r == 0)
        r = receiver_new(&l->receiver, l->loop, l->box, &s->shared, s->config, s->tls.listeners);
    if (r == 0)
        r = receiver_listen(l->receiver, bound, why);
    if (r == 0) {
        loop_on_slow(l->loop, on_slow, l);
        loop_on_turn(l->loop, lane_turn_ends, l);
    }
    return r;
}

static int lane_add_worker(struct server *s, struct lane *l)
{
    struct worker_seams seams = {
        .loop = l->loop, .spool = s->spool, .queue = s->box, .seed = rand_u64(&s->rand)};

    return worker_new(&l->worker, &seams, s->config, s->tls.client);
}

static int lane_start(struct server *s, struct lane *l)
{
    char name[16];
    int r;

    (void)snprintf(name, sizeof(name), "loop-%u", l->number);
    r = thread_start(&l->thread, name, lane_run, l);
    s->lanes_started += r == 0;
    return r;
}

/* After its thread ended, or before it began. */
static void lane_close(struct lane *l)
{
    worker_free(&l->worker);
    receiver_free(&l->receiver);
    mailbox_free(&l->box);
    loop_free(&l->loop);
}

/* ---- the queue's seams ---- */

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return clock_wall_ms();
}

static void post_request(void *ctx, struct spool_request *r)
{
    spool_writer_post(((struct server *)ctx)->writer, r);
}

static void job_arrived(struct parcel *p, void *receiver)
{
    worker_job(p, ((struct lane *)receiver)->worker);
}

static void dispatch(void *ctx, struct job *job)
{
    struct server *s = ctx;

    job->parcel.deliver = job_arrived;
    mailbox_post(s->lanes[job->worker].box, &job->parcel);
}

static void committed(void *ctx, uint64_t id, struct slice envelope)
{
    queue_committed(((struct server *)ctx)->queue, id, envelope);
}

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

/* ---- reload ---- */

static void on_reload_answer(struct server *s)
{
    const struct config *old = s->config;
    struct tls_set old_tls = s->tls;

    if (--s->reload_answers > 0)
        return;
    s->config = s->next_config;
    s->tls = s->next_tls;
    s->next_config = NULL;
    s->next_tls = (struct tls_set){0};
    tls_set_free(&old_tls);
    config_unref(&old);
    event(EVENT_CONFIG_RELOADED, EVENT_NO_ID, EV_STR("file", config_name(&s->options)));
    (void)sd_notify(0, "READY=1");
}

/* The queue uses the new settings now: everybody else follows. */
static void on_queue_changed(void *ctx)
{
    struct server *s = ctx;
    struct spool_writer_config wc = writer_config_of(s->next_config);
    struct buf why = BUF_INIT(WHY_MAX);

    server_set_log(s->next_config);
    if (server_set_log_files(s->next_config, &why) < 0)
        event(EVENT_CONFIG_REFUSED, EVENT_NO_ID, EV_SLICE("why", buf_slice(&why)));
    buf_done(&why);
    spool_writer_set_config(s->writer, &wc);
    pressure_set_config(s->pressure, s->next_config);
    s->reload_answers = s->lane_count;
    for (uint32_t i = 0; i < s->lane_count; i++)
        lane_order(&s->lanes[i], ORDER_RELOAD);
}

static int load_next(struct server *s, struct config **ret, struct tls_set *ret_tls,
                     struct buf *why)
{
    int r = config_load(s->options.config_file, s->options.overrides, s->options.override_count,
                        ret, why);

    if (r < 0)
        return r;
    r = server_check_log_files(*ret, why);
    if (r == 0)
        r = tls_set_make(*ret, ret_tls, why);
    if (r == 0 && (*ret)->listener_count != s->config->listener_count) {
        (void)buf_add_str(why, "the number of listeners changed: that needs a restart");
        tls_set_free(ret_tls);
        r = -EINVAL;
    }
    if (r < 0) {
        const struct config *c = *ret;

        config_unref(&c);
    }
    return r;
}

static void warn_of_restart(const struct server *s, const struct config *next)
{
    struct buf names = BUF_INIT(KIB(4));

    if (config_restart_needed(s->config, next, &names) > 0)
        event(EVENT_CONFIG_NEEDS_RESTART, EVENT_NO_ID, EV_SLICE("settings", buf_slice(&names)),
              EV_STR("why", "these are read at start only: restart to change them"));
    buf_done(&names);
}

static int reload(void *ctx, struct buf *why)
{
    struct server *s = ctx;
    struct config *next;
    struct queue_settings settings;
    int r = -EBUSY;

    if (s->next_config || s->stopping)
        (void)buf_add_str(why, s->stopping ? "the server is stopping"
                                           : "an earlier reload waits for transactions to end");
    else
        r = load_next(s, &next, &s->next_tls, why);
    if (r < 0) {
        if (buf_len(why) > 0 && buf_cstr(why)[buf_len(why) - 1] == '\n')
            buf_truncate(why, buf_len(why) - 1); /* one line of a log, no matter how many errors */
        event(EVENT_CONFIG_REFUSED, EVENT_NO_ID, EV_SLICE("why", buf_slice(why)));
        return r;
    }
    warn_of_restart(s, next);
    s->next_config = next;
    settings = queue_settings_of(next);
    r = queue_change_settings(s->queue, &settings, on_queue_changed, s);
    ASSERT(r == 0); /* one at a time: next_config was NULL */
    return 0;
}

/* ---- stopping ---- */

static bool all_quiet(const struct server *s)
{
    for (uint32_t i = 0; i < s->lane_count; i++)
        if (s->lanes[i].is_out || !s->lanes[i].was_told_to_stop || s->lanes[i].busy > 0)
            return false;
    return queue_is_idle(s->queue) && pressure_is_idle(s->pressure);
}

/* A lane that was busy with a reload when the end began hears of it late, but first. */
static void order_all(struct server *s, enum lane_orders what)
{
    for (uint32_t i = 0; i < s->lane_count; i++) {
        struct lane *l = &s->lanes[i];

        if (l->is_out)
            continue;
        lane_order(l, l->was_told_to_stop ? what : ORDER_STOP);
        l->was_told_to_stop = true;
    }
}

static void on_stop_step(struct loop_timer *t)
{
    struct server *s = CONTAINER_OF(t, struct server, stop_timer);
    uint64_t since_ms = clock_mono_ms() - s->stop_began_ms;

    if (all_quiet(s)) {
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
    struct buf why = BUF_INIT(WHY_MAX);

    if (signum == SIGHUP)
        (void)reload(s, &why);
    else
        begin_stop(s, signum == SIGTERM ? "SIGTERM" : "SIGINT");
    buf_done(&why);
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

static void add_status(void *ctx, struct json_out *j)
{
    struct server *s = ctx;

    json_out_str(j, "version", PENSTOCK_VERSION);
    json_out_uint(j, "loops", s->lane_count);
    json_out_bool(j, "stopping", s->stopping);
}

static bool is_stopping(void *ctx)
{
    struct server *s = ctx;

    return s->stopping;
}

/* ---- start ---- */

/* Makes the folders that lead to `path`, and `path` itself where `whole`. */
static int make_folders(const char *path, bool whole, struct buf *why)
{
    char part[4096];
    size_t len = strlen(path);

    if (len >= sizeof(part)) {
        (void)buf_addf(why, "the path %.64s... has %zu bytes: allowed are %zu", path, len,
                       sizeof(part) - 1);
        return -ENAMETOOLONG;
    }
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && (path[i] != '\0' || !whole))
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST) {
            int err = -errno;

            (void)buf_addf(why, "the folder %s cannot be made: %s", part, err_str(err));
            return err;
        }
    }
    return 0;
}

/* While it may still be made; what is wrong with it server_set_log_files() tells. */
static void make_log_folder(const struct config *c)
{
    struct buf why = BUF_INIT(WHY_MAX);

    if (c->log.files.directory)
        ignore_result(make_folders(c->log.files.directory, true, &why));
    buf_done(&why);
}

static int drop_privileges(const struct config *c, struct buf *why)
{
    const struct passwd *pw = c->server.user ? getpwnam(c->server.user) : NULL;
    const struct group *gr = c->server.group ? getgrnam(c->server.group) : NULL;
    gid_t gid = gr ? gr->gr_gid : pw ? pw->pw_gid : 0;

    if ((c->server.user && !pw) || (c->server.group && !gr)) {
        (void)buf_addf(why, "server.user '%s', server.group '%s': no such user or group",
                       c->server.user ? c->server.user : "",
                       c->server.group ? c->server.group : "");
        return -ENOENT;
    }
    if (!pw && !gr)
        return 0;
    if (c->log.files.directory)
        ignore_result(chown(c->log.files.directory, pw ? pw->pw_uid : (uid_t)-1, gid));
    if (chown(c->spool.directory, pw ? pw->pw_uid : (uid_t)-1, gid) < 0 || setgroups(1, &gid) < 0 ||
        setgid(gid) < 0 || (pw && setuid(pw->pw_uid) < 0)) {
        int err = -errno;

        (void)buf_addf(why, "cannot become server.user '%s': %s",
                       c->server.user ? c->server.user : "(unchanged)", err_str(err));
        return err;
    }
    return 0;
}

static void on_damage(void *ctx, const char *file, uint64_t offset, uint64_t id, const char *what)
{
    (void)ctx;
    event(EVENT_SPOOL_DAMAGE, id, EV_STR("file", file), EV_UINT("offset", offset),
          EV_STR("what", what));
}

static void on_note(void *ctx, const char *sentence)
{
    (void)ctx;
    event(EVENT_SPOOL_NOTE, EVENT_NO_ID, EV_STR("note", sentence));
}

static int open_spool(struct server *s, struct buf *why)
{
    const struct config_spool *c = &s->config->spool;
    const struct spool_report report = {.damage = on_damage, .note = on_note};
    struct spool_config sc = {.segment_bytes = c->segment_size_bytes,
                              .max_bytes = c->size_max_bytes,
                              .drain_reserve_bytes = c->drain_reserve_bytes,
                              .spare_segments = c->spare_segments,
                              .first_id = (uint64_t)clock_wall_us()};
    struct spool_writer_config wc = writer_config_of(s->config);
    struct buf part = BUF_INIT(WHY_MAX);
    int r = fs_posix_open(c->directory, true, &s->fs, &part);

    if (r == 0)
        r = spool_open(&s->spool, s->fs, &sc, &report, &part);
    if (r < 0)
        (void)buf_addf(why, "spool.directory '%s': %s", c->directory, buf_cstr(&part));
    buf_done(&part);
    if (r == 0)
        r = spool_writer_start(&s->writer, s->spool, &wc);
    return r;
}

static int open_queue(struct server *s)
{
    struct queue_settings settings = queue_settings_of(s->config);
    struct queue_seams seams = {.ctx = s,
                                .wall_ms = wall_ms,
                                .post = post_request,
                                .dispatch = dispatch,
                                .answers = s->box,
                                .workers = s->lane_count};
    uint64_t began_ms = clock_mono_ms();
    struct schedule_totals totals;
    int r = queue_new(&s->queue, &settings, s->spool, &s->rand, &seams);

    if (r == 0)
        r = queue_load(s->queue);
    if (r < 0)
        return r;
    schedule_get_totals(queue_schedule(s->queue), &totals);
    event(EVENT_QUEUE_LOADED, EVENT_NO_ID, EV_UINT("entries", totals.entries),
          EV_UINT("destinations", totals.destinations), EV_UINT("ms", clock_mono_ms() - began_ms));
    s->shared.spool = s->spool;
    s->shared.writer = s->writer;
    s->shared.queue = s->box;
    s->shared.committed = committed;
    s->shared.committed_ctx = s;
    s->shared.hash_seed = rand_u64(&s->rand);
    return 0;
}

static uint64_t mono_ms(void *ctx)
{
    (void)ctx;
    return clock_mono_ms();
}

static int open_pressure(struct server *s)
{
    struct pressure_lane *lanes = calloc(MAX_OF(s->lane_count, 1u), sizeof(*lanes));
    struct pressure_seams seams = {.loop = s->loop,
                                   .answers = s->box,
                                   .queue = s->queue,
                                   .spool = s->spool,
                                   .writer = s->writer,
                                   .gate = &s->gate,
                                   .shared = &s->shared,
                                   .lanes = lanes,
                                   .lane_count = s->lane_count,
                                   .mono_ms = mono_ms};
    int r;

    if (!lanes)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->lane_count; i++)
        lanes[i] = (struct pressure_lane){
            .box = s->lanes[i].box, .receiver = s->lanes[i].receiver, .worker = s->lanes[i].worker};
    r = pressure_new(&s->pressure, &seams, s->config);
    free(lanes);
    return r;
}

static int open_control(struct server *s, struct buf *why)
{
    struct control_seams seams = {.ctx = s,
                                  .queue = s->queue,
                                  .pressure = s->pressure,
                                  .wall_ms = wall_ms,
                                  .reload = reload,
                                  .add_status = add_status,
                                  .is_stopping = is_stopping};
    int r = make_folders(s->config->server.control_socket, false, why);

    if (r == 0)
        r = control_open(&s->control, s->loop, &seams, s->config->server.control_socket, why);
    return r;
}

/* All loops listen on the same address, and so could a second server: it must not. */
static int check_listeners(const struct config *c, struct buf *why)
{
    for (size_t i = 0; i < c->listener_count; i++) {
        int r = listener_check_free(&c->listeners[i].address);

        if (r < 0) {
            char text[ADDR_TEXT_MAX];

            addr_format(&c->listeners[i].address, text);
            (void)buf_addf(why, "listener %s cannot listen on %s: %s%s", c->listeners[i].name, text,
                           err_str(r), r == -EADDRINUSE ? "; another server is there" : "");
            return r;
        }
    }
    return 0;
}

static int open_loops(struct server *s, struct buf *why)
{
    struct addr *bound = calloc(s->config->listener_count, sizeof(*bound));
    int r = bound ? check_listeners(s->config, why) : -ENOMEM;

    if (r == 0)
        r = loop_new(&s->loop);
    if (r == 0)
        r = mailbox_new_on_loop(&s->box, s->loop, s);
    s->lane_count = s->config->server.loops;
    s->lanes = calloc(s->lane_count, sizeof(*s->lanes));
    if (r == 0 && !s->lanes)
        r = -ENOMEM;
    for (uint32_t i = 0; r == 0 && i < s->lane_count; i++) {
        s->lanes[i].number = i;
        r = lane_open(s, &s->lanes[i], bound, why);
    }
    for (size_t i = 0; r == 0 && i < s->config->listener_count; i++)
        event(EVENT_LISTENER_OPENED, EVENT_NO_ID, EV_STR("name", s->config->listeners[i].name),
              EV_ADDR("address", &bound[i]));
    free(bound);
    return r;
}

static int start_all(struct server *s, struct buf *why)
{
    int r = make_folders(s->config->spool.directory, true, why);

    if (r == 0)
        make_log_folder(s->config);
    if (r == 0)
        r = tls_set_make(s->config, &s->tls, why);
    if (r == 0)
        r = open_loops(s, why);
    if (r == 0)
        r = drop_privileges(s->config, why);
    if (r == 0)
        r = open_spool(s, why);
    if (r == 0)
        r = server_set_log_files(s->config, why);
    if (r == 0)
        r = open_queue(s);
    for (uint32_t i = 0; r == 0 && i < s->lane_count; i++)
        r = lane_add_worker(s, &s->lanes[i]);
    if (r == 0)
        r = open_pressure(s);
    if (r == 0)
        r = open_control(s, why);
    for (uint32_t i = 0; r == 0 && i < s->lane_count; i++)
        r = lane_start(s, &s->lanes[i]);
    return r;
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
              EV_STR("config", config_name(options)),
              EV_STR("hostname", s->config->server.hostname));
        r = start_all(s, why);
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
    loop_on_slow(s->loop, on_slow, NULL);
    loop_timer_init(&s->due, s->loop, on_due);
    loop_timer_init(&s->stop_timer, s->loop, on_stop_step);
    loop_timer_init(&s->status_timer, s->loop, on_status);
    loop_on_turn(s->loop, run_queue, s);
    if (wants_status_line(s))
        loop_timer_start(&s->status_timer, STATUS_MS);
    event(EVENT_SERVER_READY, EVENT_NO_ID, EV_UINT("loops", s->lane_count),
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

static void end_lanes(struct server *s)
{
    for (uint32_t i = 0; i < s->lanes_started; i++)
        loop_stop(s->lanes[i].loop);
    for (uint32_t i = 0; i < s->lanes_started; i++)
        thread_join(&s->lanes[i].thread);
}

void server_free(struct server **sp)
{
    struct server *s = *sp;

    if (!s)
        return;
    control_close(&s->control);
    end_lanes(s);
    spool_writer_stop(&s->writer);
    for (uint32_t i = 0; s->lanes && i < s->lane_count; i++)
        lane_close(&s->lanes[i]);
    pressure_free(&s->pressure);
    queue_free(&s->queue);
    mailbox_free(&s->box);
    loop_free(&s->loop);
    spool_close(&s->spool);
    fs_free(&s->fs);
    tls_set_free(&s->tls);
    tls_set_free(&s->next_tls);
    config_unref(&s->next_config);
    config_unref(&s->config);
    free(s->lanes);
    event(EVENT_SERVER_STOPPED, EVENT_NO_ID, EV_NONE);
    event_stop();
    free(s);
    *sp = NULL;
}
