/* tests/sim/server.c - the server, put together from its modules as cli/server.c does it, but with
 * the simulated world's loops and disk. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "config/config.h"
#include "deliver/queue.h"
#include "deliver/worker.h"
#include "evidence/knowledge_kit.h"
#include "governor/gate.h"
#include "io/addr.h"
#include "io/fs.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "pressure/pressure.h"
#include "receive/receiver.h"
#include "sim.h"
#include "spool/spool.h"
#include "spool/writer.h"

#define LOOPS 2
#define BURIAL_STEPS 1000000

static const char configuration[] = "server: {hostname: mx.penstock.example, loops: 2}\n"
                                    "listeners: [{address: \"10.0.0.1:25\", name: in,"
                                    " relay: all, tls: {mode: \"off\"}}]\n"
                                    "spool: {segment_size: 1MiB, drain_reserve: 2MiB}\n"
                                    "delivery: {tls: \"off\", connections_max: 12,"
                                    " connections_per_destination_max: 3}\n"
                                    "destinations: [{destination: d5.example,"
                                    " max_queue_time: 2h}]\n" /* DOMAIN_DEAD */
                                    "pressure: {interval: 30s, dwell: 30s}\n"
                                    "log: {target: \"off\", files: {directory: none}}\n";

struct loop_thread {
    struct loop *loop;
    struct mailbox *box;
    struct receiver *receiver;
    struct worker *worker;
};

static struct {
    const struct config *config;
    struct addr address;
    struct loop *loop;
    struct mailbox *box;
    struct loop_thread threads[LOOPS];
    struct spool *spool;
    struct spool_writer *writer;
    struct queue *queue;
    struct pressure *pressure;
    struct gate gate;
    struct receive_shared shared;
    struct rand rand;
    struct loop_timer due;
    bool is_running, is_dead;
} server;

void server_configure(void)
{
    struct buf why = BUF_INIT(CONFIG_WHY_MAX);
    struct config *c;

    if (config_load_text("simulation", slice_str(configuration), NULL, 0, &c, &why) < 0) {
        fprintf(stderr, "%s\n", buf_cstr(&why));
        abort();
    }
    server.config = c;
    server.address = c->listeners[0].address;
    buf_done(&why);
}

void server_unconfigure(void)
{
    config_unref(&server.config);
}

const struct addr *server_address(void)
{
    return &server.address;
}

bool server_is_running(void)
{
    return server.is_running;
}

bool server_is_dead(void)
{
    return server.is_dead;
}

/* ---- seams ---- */

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return clock_wall_ms();
}

static void post_request(void *ctx, struct spool_request *r)
{
    (void)ctx;
    spool_writer_post(server.writer, r);
}

static void job_arrived(struct parcel *p, void *receiver)
{
    worker_job(p, ((struct loop_thread *)receiver)->worker);
}

static void dispatch(void *ctx, struct job *job)
{
    (void)ctx;
    job->parcel.deliver = job_arrived;
    mailbox_post(server.threads[job->worker].box, &job->parcel);
}

static void committed(void *ctx, uint64_t id, struct slice envelope)
{
    (void)ctx;
    queue_committed(server.queue, id, envelope);
}

static void run_queue(void *ctx)
{
    int64_t due_ms = queue_run(server.queue);

    (void)ctx;
    if (due_ms == SCHEDULE_NEVER)
        loop_timer_stop(&server.due);
    else
        loop_timer_start(&server.due,
                         (uint64_t)MIN_OF(MAX_OF(due_ms - clock_wall_ms(), 1), 600000));
}

/* The workers of a loop leave their parcels for the queue unannounced. */
static void end_turn(void *ctx)
{
    (void)ctx;
    mailbox_nudge(server.box);
}

static void on_due(struct loop_timer *t)
{
    (void)t;
}

static void on_damage(void *ctx, const char *file, uint64_t offset, uint64_t id, const char *what)
{
    (void)ctx;
    if (id == 0)
        ledger_records_lost();
    sim_trace("spool: damage in %s at %llu, message %llx: %s", file, (unsigned long long)offset,
              (unsigned long long)id, what);
}

static void on_note(void *ctx, const char *sentence)
{
    (void)ctx;
    sim_trace("spool: %s", sentence);
}

/* ---- start ---- */

static int open_spool(void)
{
    const struct config_spool *c = &server.config->spool;
    const struct spool_report report = {.damage = on_damage, .note = on_note};
    struct spool_config sc = {.segment_bytes = c->segment_size_bytes,
                              .max_bytes = c->size_max_bytes,
                              .drain_reserve_bytes = c->drain_reserve_bytes,
                              .spare_segments = c->spare_segments,
                              .first_id = (uint64_t)clock_wall_us()};
    struct spool_writer_config wc = {.commit_delay_us = (uint32_t)c->commit_delay_us,
                                     .commit_batch_bytes = c->commit_batch_bytes,
                                     .lazy_sync_ms = (uint32_t)c->lazy_sync_ms};
    struct buf why = BUF_INIT(KIB(16));
    int r = spool_open(&server.spool, disk_fs(), &sc, &report, &why);
    if (r < 0)
        sim_trace("the spool does not open: %s (%s)", buf_cstr(&why), err_str(r));
    else
        r = spool_writer_start(&server.writer, server.spool, &wc);
    buf_done(&why);
    return r;
}

static struct queue_settings queue_settings(void)
{
    const struct config *c = server.config;
    struct queue_settings settings = {
        .schedule = {.connections_max = c->delivery.connections_max,
                     .connections_per_destination = c->delivery.connections_per_destination_max,
                     .connections_new = c->delivery.connections_max,
                     .entries_max = c->spool.messages_max,
                     .retry = {.delay_count = (uint32_t)c->retry.policy.delay_count,
                               .jitter = c->retry.policy.jitter,
                               .max_queue_time_s = (uint32_t)c->retry.policy.max_queue_time_s,
                               .delay_dsn_s = (uint32_t)c->retry.delay_warning_s}},
        .config = c,
        .knowledge = knowledge_kit(),
    };

    memcpy(settings.schedule.retry.delays_s, c->retry.policy.delays_s,
           sizeof(settings.schedule.retry.delays_s));
    return settings;
}

static int open_queue(void)
{
    struct queue_settings settings = queue_settings();
    struct queue_seams seams = {.wall_ms = wall_ms,
                                .post = post_request,
                                .dispatch = dispatch,
                                .answers = server.box,
                                .workers = LOOPS};
    int r = queue_new(&server.queue, &settings, server.spool, &server.rand, &seams);
    if (r == 0)
        r = queue_load(server.queue);
    server.shared.spool = server.spool;
    server.shared.writer = server.writer;
    server.shared.queue = server.box;
    server.shared.committed = committed;
    return r;
}

/* A machine with nothing but a disk that can be full. */
static void kernel(void *ctx, const struct config *config, struct governor_sample *ret)
{
    struct governor_figure *disk = &ret->figures[GOVERNOR_SPOOL_DISK];
    struct fs_space space;

    (void)ctx;
    (void)config;
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        ret->figures[i] = (struct governor_figure){.origin = "", .why = "it is not simulated"};
    ret->figures[GOVERNOR_MEMORY] = (struct governor_figure){
        .is_known = true, .used = MIB(100), .limit = GIB(1), .origin = "simulation", .why = ""};
    if (fs_space(disk_fs(), &space) == 0)
        *disk = (struct governor_figure){.is_known = true,
                                         .used = space.total_bytes - space.free_bytes,
                                         .limit = space.total_bytes,
                                         .origin = "simulation",
                                         .why = ""};
}

static uint64_t mono_ms(void *ctx)
{
    (void)ctx;
    return clock_mono_ms();
}

static int open_pressure(void)
{
    struct pressure_loop loops[LOOPS];
    struct pressure_seams seams = {.loop = server.loop,
                                   .answers = server.box,
                                   .queue = server.queue,
                                   .spool = server.spool,
                                   .writer = server.writer,
                                   .gate = &server.gate,
                                   .shared = &server.shared,
                                   .loops = loops,
                                   .loop_count = LOOPS,
                                   .mono_ms = mono_ms,
                                   .kernel = kernel};

    for (size_t i = 0; i < LOOPS; i++)
        loops[i] = (struct pressure_loop){.box = server.threads[i].box,
                                          .receiver = server.threads[i].receiver,
                                          .worker = server.threads[i].worker};
    return pressure_new(&server.pressure, &seams, server.config);
}

static int open_loop(struct loop_thread *t)
{
    struct worker_seams seams = {
        .spool = server.spool, .queue = server.box, .seed = rand_u64(&server.rand)};
    struct tls_config *tls = NULL;
    struct addr bound = {0};
    struct buf why = BUF_INIT(KIB(16));
    int r = loop_new(&t->loop);

    seams.loop = t->loop;
    if (r == 0)
        r = mailbox_new_on_loop(&t->box, t->loop, t);
    if (r == 0)
        r = receiver_new(&t->receiver, t->loop, t->box, &server.shared, server.config, &tls);
    if (r == 0)
        r = receiver_listen(t->receiver, &bound, &why);
    if (r == 0)
        r = worker_new(&t->worker, &seams, server.config, NULL);
    if (r == 0)
        loop_on_turn(t->loop, end_turn, NULL);
    buf_done(&why);
    return r;
}

static bool is_quiet(void)
{
    for (size_t i = 0; i < LOOPS; i++)
        if ((server.threads[i].receiver && receiver_busy(server.threads[i].receiver) > 0) ||
            (server.threads[i].worker && worker_busy(server.threads[i].worker) > 0))
            return false;
    if (server.pressure && !pressure_is_idle(server.pressure))
        return false;
    return (!server.queue || queue_is_idle(server.queue)) && sim_mailbox_is_empty(server.box);
}

/* Lets everything under way come to its end, then frees all. */
static void close_all(void)
{
    atomic_store(&server.shared.stopping, true);
    if (server.queue)
        queue_stop(server.queue);
    if (server.pressure)
        pressure_stop(server.pressure);
    for (size_t i = 0; i < LOOPS; i++) {
        if (server.threads[i].receiver)
            receiver_stop(server.threads[i].receiver);
        if (server.threads[i].worker)
            worker_stop(server.threads[i].worker);
        if (server.threads[i].loop)
            sim_loop_turned(server.threads[i].loop);
    }
    for (uint64_t steps = 0; !is_quiet(); steps++) {
        if (steps == 2000)
            for (size_t i = 0; i < LOOPS; i++) {
                receiver_stop_now(server.threads[i].receiver);
                worker_stop_now(server.threads[i].worker);
                sim_loop_turned(server.threads[i].loop);
            }
        ASSERT(steps < BURIAL_STEPS);
        ASSERT(sim_step());
    }
    spool_writer_stop(&server.writer);
    for (size_t i = 0; i < LOOPS; i++) {
        worker_free(&server.threads[i].worker);
        receiver_free(&server.threads[i].receiver);
        mailbox_free(&server.threads[i].box);
        loop_free(&server.threads[i].loop);
    }
    pressure_free(&server.pressure);
    queue_free(&server.queue);
    loop_timer_stop(&server.due);
    mailbox_free(&server.box);
    loop_free(&server.loop);
    spool_close(&server.spool);
    server.is_running = false;
}

static void trace_queue(void)
{
    struct schedule_entry e;
    uint32_t it = 0;

    while (server.queue && schedule_next_entry(queue_schedule(server.queue), &it, &e))
        sim_trace("  message %llx waits for %.*s", (unsigned long long)e.id,
                  SLICE_FMT(e.destination));
}

int server_start(void)
{
    int r = loop_new(&server.loop);

    rand_init(&server.rand, sim_below(UINT64_MAX));
    atomic_store(&server.shared.stopping, false);
    atomic_store(&server.shared.connections, 0);
    gate_init(&server.gate);
    server.shared.gate = &server.gate;
    server.shared.hash_seed = rand_u64(&server.rand);
    server.shared.connections_max = UINT32_MAX;
    if (r == 0)
        r = mailbox_new_on_loop(&server.box, server.loop, &server);
    loop_timer_init(&server.due, server.loop, on_due);
    /* What cannot be read at a start is set aside as damaged, which is right, and not what this
     * test is about. */
    disk_set_reads_good(true);
    if (r == 0)
        r = open_spool();
    if (r == 0)
        r = open_queue();
    disk_set_reads_good(false);
    for (size_t i = 0; r == 0 && i < LOOPS; i++)
        r = open_loop(&server.threads[i]);
    if (r == 0)
        r = open_pressure();
    sim_trace("the server starts: %s", err_str(r));
    trace_queue();
    if (r < 0) {
        close_all();
        return r;
    }
    loop_on_turn(server.loop, run_queue, NULL);
    loop_timer_start(&server.due, 0);
    server.is_running = true;
    return 0;
}

void server_stop(void)
{
    sim_trace("the server stops");
    close_all();
    ledger_server_ended();
}

/* ---- death ---- */

static void on_death(void *ctx)
{
    (void)ctx;
    server.is_dead = true;
    for (size_t i = 0; i < LOOPS; i++)
        if (server.threads[i].loop)
            network_server_dies(server.threads[i].loop);
}

void server_cut_power(uint64_t in)
{
    disk_cut_power(in, on_death, NULL);
}

void server_bury(void)
{
    ASSERT(server.is_dead);
    if (server.is_running)
        close_all();
    disk_restore_power();
    ledger_server_ended();
    server.is_dead = false;
}

/* ---- the operator ---- */

static void on_changed(void *ctx)
{
    (void)ctx;
    sim_trace("the new settings are in force");
}

void server_reload(void)
{
    struct queue_settings settings = queue_settings();
    int r = queue_change_settings(server.queue, &settings, on_changed, NULL);

    pressure_set_config(server.pressure, server.config);
    sim_trace("reload: %s", err_str(r));
}

static void act(enum queue_action action, struct slice destination)
{
    struct queue_filter filter = {.destination = destination};
    struct queue_action_result result = {0};
    uint32_t cursor = 0;

    while (queue_act(server.queue, &filter, action, &cursor, &result))
        ;
    sim_trace("operator: action %d on %.*s, %llu done", (int)action, SLICE_FMT(destination),
              (unsigned long long)result.done);
}

void server_operate(void)
{
    static const enum queue_action actions[] = {QUEUE_RETRY, QUEUE_HOLD, QUEUE_RELEASE};
    char name[32];

    (void)snprintf(name, sizeof(name), "d%u.example", (unsigned)sim_below(DOMAINS));
    act(actions[sim_below(ARRAY_SIZE(actions))], slice_str(name));
}

void server_release_all(void)
{
    act(QUEUE_RELEASE, slice_make(NULL, 0));
}

/* ---- figures ---- */

uint64_t server_queued(void)
{
    struct schedule_totals t;

    schedule_get_totals(queue_schedule(server.queue), &t);
    return t.entries;
}

bool server_is_idle(void)
{
    return queue_is_idle(server.queue);
}

void server_get_figures(struct server_figures *ret)
{
    struct spool_stat st;

    spool_get_stat(server.spool, &st);
    *ret = (struct server_figures){
        .messages = st.messages, .damaged = st.damaged, .failed = st.failed};
}
