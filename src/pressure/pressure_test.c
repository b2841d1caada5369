/*
 * pressure/pressure_test.c - the governor's round with a kernel of the test's, over a real spool,
 * its writer, a queue, a receiver and a worker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/rand.h"
#include "deliver/queue.h"
#include "deliver/worker.h"
#include "event/event.h"
#include "evidence/knowledge_kit.h"
#include "io/fs.h"
#include "pressure/pressure_int.h"

#define TURNS_MAX 10000
#define DISK_BYTES GIB(10)
#define MEMORY_BYTES GIB(1)
#define LOG_TEXT_MAX 65536

static const char settings[] =
    "server: {hostname: mx.penstock.example}\n"
    "listeners: [{address: \"127.0.0.1:0\", name: in, tls: {mode: \"off\"}}]\n"
    "spool: {segment_size: 1MiB, drain_reserve: 4MiB}\n"
    "pressure: {interval: 60s, dwell: 10s, remedy_interval: 10s}\n"
    "log: {files: {directory: none}}\n";

struct world {
    char folder[64];
    const struct config *config;
    struct loop *loop;
    struct mailbox *box;
    struct fs *fs;
    struct spool *spool;
    struct spool_writer *writer;
    struct rand rand;
    struct queue *queue;
    struct gate gate;
    struct receive_shared shared;
    struct receiver *receiver;
    struct worker *worker;
    struct pressure *p;
    uint64_t now_ms;
    /* The kernel: */
    uint64_t disk_used, memory_used, melts; /* melts: memory is less with each look */
    bool memory_unknown;
};

/* ---- the world ---- */

static uint64_t mono_ms(void *ctx)
{
    return ((struct world *)ctx)->now_ms;
}

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return INT64_C(1790000000000);
}

static void kernel(void *ctx, const struct config *config, struct governor_sample *ret)
{
    struct world *w = ctx;

    (void)config;
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        ret->figures[i] = (struct governor_figure){.origin = "", .why = "not in this test"};
    ret->figures[GOVERNOR_SPOOL_DISK] = (struct governor_figure){
        .is_known = true, .used = w->disk_used, .limit = DISK_BYTES, .origin = "test", .why = ""};
    if (!w->memory_unknown)
        ret->figures[GOVERNOR_MEMORY] = (struct governor_figure){.is_known = true,
                                                                 .used = w->memory_used,
                                                                 .limit = MEMORY_BYTES,
                                                                 .origin = "test",
                                                                 .why = ""};
    w->memory_used -= MIN_OF(w->memory_used, w->melts);
}

static void post_request(void *ctx, struct spool_request *r)
{
    spool_writer_post(((struct world *)ctx)->writer, r);
}

static void dispatch(void *ctx, struct job *job)
{
    (void)ctx;
    (void)job;
    fail_msg("there is no mail");
}

static void committed(void *ctx, uint64_t id, struct slice envelope)
{
    (void)ctx;
    (void)id;
    (void)envelope;
    fail_msg("there is no mail");
}

static const struct config *read_settings(const char *text)
{
    struct buf why = BUF_INIT(CONFIG_WHY_MAX);
    struct config *c = NULL;

    if (config_load_text("test", slice_str(text), NULL, 0, &c, &why) < 0)
        fail_msg("%s", buf_cstr(&why));
    buf_done(&why);
    return c;
}

static void open_spool(struct world *w)
{
    struct spool_config sc = {.segment_bytes = MIB(1),
                              .drain_reserve_bytes = MIB(4),
                              .spare_segments = 2,
                              .first_id = 1000};
    const struct spool_report report = {0};
    const struct spool_writer_config wc = {.commit_batch_bytes = MIB(1), .lazy_sync_ms = 100};
    struct buf why = BUF_INIT(KIB(16));

    assert_non_null(mkdtemp(w->folder));
    assert_int_equal(fs_posix_open(w->folder, true, &w->fs, &why), 0);
    assert_int_equal(spool_open(&w->spool, w->fs, &sc, &report, &why), 0);
    assert_int_equal(spool_writer_start(&w->writer, w->spool, &wc), 0);
    buf_done(&why);
}

static void open_queue(struct world *w)
{
    struct queue_settings qs = {.schedule = {.connections_max = 10,
                                             .connections_per_destination = 2,
                                             .entries_max = 1000,
                                             .retry = {.delay_count = 1, .delays_s = {60}}},
                                .config = w->config,
                                .knowledge = knowledge_kit()};
    struct queue_seams seams = {.ctx = w,
                                .wall_ms = wall_ms,
                                .post = post_request,
                                .dispatch = dispatch,
                                .answers = w->box,
                                .workers = 1};

    rand_init(&w->rand, 7);
    assert_int_equal(queue_new(&w->queue, &qs, w->spool, &w->rand, &seams), 0);
    w->shared.spool = w->spool;
    w->shared.writer = w->writer;
    w->shared.queue = w->box;
    w->shared.committed = committed;
    w->shared.connections_max = 100;
    w->shared.gate = &w->gate;
    gate_init(&w->gate);
}

static void open_loop(struct world *w)
{
    struct worker_seams seams = {.loop = w->loop, .spool = w->spool, .queue = w->box, .seed = 1};
    struct tls_config *tls = NULL;

    assert_int_equal(receiver_new(&w->receiver, w->loop, w->box, &w->shared, w->config, &tls), 0);
    assert_int_equal(worker_new(&w->worker, &seams, w->config, NULL), 0);
}

static void open_pressure(struct world *w)
{
    const struct pressure_loop one = {.box = w->box, .receiver = w->receiver, .worker = w->worker};
    const struct pressure_seams seams = {.loop = w->loop,
                                         .answers = w->box,
                                         .queue = w->queue,
                                         .spool = w->spool,
                                         .writer = w->writer,
                                         .gate = &w->gate,
                                         .shared = &w->shared,
                                         .loops = &one,
                                         .loop_count = 1,
                                         .mono_ms = mono_ms,
                                         .kernel = kernel,
                                         .ctx = w};

    assert_int_equal(pressure_new(&w->p, &seams, w->config), 0);
}

static struct world *setup(const char *config)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    *w = (struct world){.folder = "/tmp/penstock-pressure-XXXXXX",
                        .now_ms = 1000,
                        .disk_used = DISK_BYTES / 2,
                        .memory_used = MEMORY_BYTES / 4};
    w->config = read_settings(config);
    assert_int_equal(loop_new(&w->loop), 0);
    assert_int_equal(mailbox_new_on_loop(&w->box, w->loop, w), 0);
    open_spool(w);
    open_queue(w);
    open_loop(w);
    open_pressure(w);
    return w;
}

/* Until everything that was begun has ended. */
static void settle(struct world *w)
{
    for (unsigned turns = 0; !pressure_is_idle(w->p); turns++) {
        assert_true(turns < TURNS_MAX);
        loop_turn(w->loop, true);
    }
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void teardown(struct world *w)
{
    pressure_stop(w->p);
    settle(w);
    queue_stop(w->queue);
    spool_writer_stop(&w->writer);
    pressure_free(&w->p);
    queue_free(&w->queue);
    worker_free(&w->worker);
    receiver_free(&w->receiver);
    mailbox_free(&w->box);
    for (int i = 0; i < 3; i++)
        loop_turn(w->loop, false);
    loop_free(&w->loop);
    spool_close(&w->spool);
    fs_free(&w->fs);
    config_unref(&w->config);
    assert_int_equal(nftw(w->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(w);
}

/* A sample, `ms` after the last. */
static void sample(struct world *w, uint64_t ms)
{
    w->now_ms += ms;
    pressure_sample(w->p);
    settle(w);
}

static struct pressure_view *view(struct world *w)
{
    static struct pressure_view v;

    pressure_get_view(w->p, &v);
    return &v;
}

static void assert_verdict(struct world *w, enum mail_class c, enum gate_verdict verdict,
                           const char *token)
{
    uint8_t resource = 0;

    assert_int_equal(pressure_ready(w->p, c, &resource), verdict);
    if (verdict != GATE_OPEN)
        assert_string_equal(gate_token(resource), token);
}

/* ---- what the disk makes ---- */

static void a_disk_that_fills_closes_the_gate(void **state)
{
    struct world *w = setup(settings);

    (void)state;
    assert_verdict(w, MAIL_EXTERNAL, GATE_OPEN, "");
    w->disk_used = DISK_BYTES / 100 * 97;
    sample(w, 2000);
    assert_int_equal(gate_level(&w->gate), PRESSURE_MEDIUM);
    assert_verdict(w, MAIL_EXTERNAL, GATE_REFUSE, "spool-disk");
    assert_verdict(w, MAIL_INTERNAL, GATE_OPEN, "");
    w->disk_used = DISK_BYTES - MIB(5);
    sample(w, 2000);
    assert_int_equal(gate_level(&w->gate), PRESSURE_HIGH);
    assert_verdict(w, MAIL_EXTERNAL, GATE_REFUSE, "spool-disk");
    assert_verdict(w, MAIL_AUTHENTICATED, GATE_REFUSE, "spool-disk");
    assert_verdict(w, MAIL_REPORT, GATE_OPEN, "");
    w->disk_used = DISK_BYTES / 2;
    for (int i = 0; i < 20 && gate_level(&w->gate) != PRESSURE_NORMAL; i++)
        sample(w, 2000);
    assert_int_equal(gate_level(&w->gate), PRESSURE_NORMAL);
    for (int i = 0; i < 20; i++) /* the delay runs down */
        sample(w, 2000);
    assert_verdict(w, MAIL_EXTERNAL, GATE_OPEN, "");
    teardown(w);
}

static void a_switched_off_governor_only_looks(void **state)
{
    struct world *w = setup("server: {hostname: mx.penstock.example}\n"
                            "pressure: {enabled: no}\nlog: {files: {directory: none}}\n");

    (void)state;
    w->disk_used = DISK_BYTES;
    w->memory_used = MEMORY_BYTES;
    sample(w, 2000);
    assert_verdict(w, MAIL_EXTERNAL, GATE_OPEN, "");
    assert_false(view(w)->enabled);
    assert_int_equal(view(w)->governor.resources[GOVERNOR_SPOOL_DISK].level, PRESSURE_HIGH);
    assert_int_equal(view(w)->governor.remedies[REMEDY_COMPACT].runs, 0);
    assert_int_equal(atomic_load(&w->shared.body_memory_max), 0);
    teardown(w);
}

static void a_full_queue_is_not_ready(void **state)
{
    struct world *w = setup(settings);

    (void)state;
    atomic_store(&w->shared.queue_is_full, true);
    assert_verdict(w, MAIL_EXTERNAL, GATE_REFUSE, "queue");
    teardown(w);
}

static void new_settings_judge_the_next_sample(void **state)
{
    struct pressure_view view;
    struct world *w = setup(settings);
    const struct config *next =
        read_settings("server: {hostname: mx.penstock.example}\n"
                      "spool: {directory: ./other, segment_size: 1MiB, size_max: 8MiB,"
                      " drain_reserve: 1MiB}\n"
                      "pressure: {memory: {low_to_medium: 20%, medium_to_low: 10%,"
                      " high_to_medium: 22%, medium_to_high: 24%}}\n"
                      "log: {files: {directory: none}}\n");

    (void)state;
    sample(w, 2000);
    assert_verdict(w, MAIL_EXTERNAL, GATE_OPEN, "");
    pressure_set_config(w->p, next);
    config_unref(&next);
    sample(w, 2000);
    assert_verdict(w, MAIL_INTERNAL, GATE_REFUSE, "memory");
    assert_int_equal(atomic_load(&w->shared.body_memory_max), MEMORY_BYTES / 4);
    /* The spool is told its size by the server, not from here. */
    assert_int_equal(w->p->sample.figures[GOVERNOR_SPOOL_DISK].limit, DISK_BYTES);
    pressure_get_view(w->p, &view);
    assert_string_equal(view.spool_directory, "./var/spool");
    teardown(w);
}

/* ---- remedies ---- */

static void memory_is_freed_in_turn(void **state)
{
    struct world *w = setup(settings);
    const struct governor_remedy_view *remedies;

    (void)state;
    w->memory_used = MEMORY_BYTES / 100 * 73;
    w->melts = MIB(1);
    sample(w, 2000);
    remedies = view(w)->governor.remedies;
    for (size_t i = 0; i <= REMEDY_TRIM; i++) {
        assert_int_equal(remedies[i].runs, 1);
        assert_true(remedies[i].is_measured);
        assert_int_equal(remedies[i].last_freed, MIB(1)); /* each its own effect, not the others' */
        assert_int_equal(remedies[i].last_for, GOVERNOR_MEMORY);
        assert_false(remedies[i].is_running);
    }
    assert_int_equal(remedies[REMEDY_COMPACT].runs, 0);
    sample(w, 2000); /* not again within the interval */
    assert_int_equal(view(w)->governor.remedies[REMEDY_TRIM].runs, 1);
    teardown(w);
}

static void a_full_disk_has_the_spool_compacted(void **state)
{
    struct world *w = setup(settings);
    const struct governor_remedy_view *remedies;

    (void)state;
    w->disk_used = DISK_BYTES / 100 * 95; /* over medium_to_low: still normal, and relief begins */
    sample(w, 2000);
    assert_int_equal(gate_level(&w->gate), PRESSURE_NORMAL);
    remedies = view(w)->governor.remedies;
    assert_int_equal(remedies[REMEDY_COMPACT].runs, 1);
    assert_true(remedies[REMEDY_COMPACT].is_measured);
    assert_int_equal(remedies[REMEDY_LOGS].runs, 1); /* none are written: it can free nothing */
    assert_int_equal(remedies[REMEDY_LOGS].last_freed, 0);
    assert_int_equal(remedies[REMEDY_BODIES].runs, 0);
    teardown(w);
}

static void background_work_pauses_while_it_is_asked(void **state)
{
    struct world *w = setup(settings);
    unsigned paused = 0;

    (void)state;
    atomic_store(&w->shared.commits_unfiled, 3000);
    sample(w, 2000);
    assert_true(w->p->is_paused);
    assert_int_equal(view(w)->governor.remedies[REMEDY_PAUSE].runs, 1);
    assert_int_equal(view(w)->governor.resources[GOVERNOR_QUEUE].figure.used, 3000);
    for (int minute = 1; minute <= 60; minute++) { /* for an hour: half of it */
        sample(w, 60000);
        paused += w->p->is_paused;
    }
    assert_in_range(paused, 28, 32);
    atomic_store(&w->shared.commits_unfiled, 0);
    for (int i = 0; i < 10; i++)
        sample(w, 2000);
    assert_false(w->p->is_paused);
    teardown(w);
}

static void a_stop_waits_for_what_is_under_way(void **state)
{
    struct world *w = setup(settings);

    (void)state;
    w->memory_used = MEMORY_BYTES;
    w->disk_used = DISK_BYTES;
    w->now_ms += 2000;
    pressure_sample(w->p);
    assert_false(pressure_is_idle(w->p));
    pressure_stop(w->p);
    settle(w);
    assert_false(w->p->is_paused);
    teardown(w);
}

static void a_figure_that_is_not_known_is_shown_with_why(void **state)
{
    struct world *w = setup(settings);
    const struct governor_figure *f;

    (void)state;
    w->memory_unknown = true;
    w->memory_used = MEMORY_BYTES;
    for (int i = 0; i < 10; i++)
        sample(w, 2000);
    f = &view(w)->governor.resources[GOVERNOR_MEMORY].figure;
    assert_false(f->is_known);
    assert_string_equal(f->why, "not in this test");
    assert_verdict(w, MAIL_EXTERNAL, GATE_OPEN, "");
    assert_int_equal(atomic_load(&w->shared.body_memory_max), 0);
    teardown(w);
}

/* ---- events ---- */

static void transitions_say_their_direction(void **state)
{
    static const char *const up[] = {
        "pressure_increased event_id=15004 direction=increased resource=spool_disk",
        "resource=server cause=spool_disk from=normal to=high",
        "refused=external,internal,authenticated",
        "refusing_mail_disk event_id=15006 direction=refusing resource=spool_disk on=test",
        "remedy remedy=compact_spool for=spool_disk freed_bytes=",
        "effect=\"freed 0 B in ",
    };
    static const char *const down[] = {
        "pressure_decreased event_id=15005 direction=decreased resource=server cause=spool_disk",
        "refusing_ends",
    };
    struct world *w = setup(settings);
    static char text[LOG_TEXT_MAX];
    struct event_config ec = {.target = EVENT_TO_FD, .level = EVENT_INFO};
    ssize_t n;

    (void)state;
    ec.fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(ec.fd >= 0);
    assert_int_equal(event_start(&ec), 0);
    w->disk_used = DISK_BYTES;
    sample(w, 2000);
    event_flush();
    n = pread(ec.fd, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(up); i++)
        if (!strstr(text, up[i]))
            fail_msg("'%s' is not in: %s", up[i], text);
    assert_null(strstr(text, "15005"));
    assert_int_equal(ftruncate(ec.fd, 0), 0);
    assert_int_equal(lseek(ec.fd, 0, SEEK_SET), 0);
    w->disk_used = DISK_BYTES / 2;
    for (int i = 0; i < 10; i++)
        sample(w, 2000);
    event_stop();
    n = pread(ec.fd, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(down); i++)
        if (!strstr(text, down[i]))
            fail_msg("'%s' is not in: %s", down[i], text);
    assert_null(strstr(text, "15004"));
    assert_int_equal(close(ec.fd), 0);
    teardown(w);
}

/* ---- figures ---- */

static void the_spools_own_room_counts_as_free(void **state)
{
    static const struct {
        uint64_t used, file, reusable, size_max, reserved, reserve, logs; /* MiB, of 1000 */
        uint64_t want_used, want_limit, want_need;
    } cases[] = {
        {900, 0, 0, 0, 0, 0, 0, 900, 1000, 0},
        {900, 500, 300, 0, 10, 20, 5, 600, 1000, 35},
        {900, 500, 500, 0, 0, 20, 0, 400, 1000, 20},
        /* What the spool may have at most is less than the disk has. */
        {100, 0, 0, 200, 0, 20, 5, 0, 200, 20},
        {500, 150, 50, 200, 10, 20, 5, 100, 200, 30},
        {500, 300, 10, 200, 0, 20, 0, 190, 200, 20}, /* it was made smaller */
        /* The disk has less than the spool may have. */
        {990, 100, 5, 200, 0, 20, 7, 985, 1000, 27},
        {1100, 100, 0, 0, 0, 0, 0, 1000, 1000, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct governor_figure f = {
            .is_known = true, .used = MIB(cases[i].used), .limit = MIB(1000), .origin = "disk"};
        struct spool_stat st = {.file_bytes = MIB(cases[i].file),
                                .reusable_bytes = MIB(cases[i].reusable),
                                .reserved_bytes = MIB(cases[i].reserved),
                                .drain_reserve_bytes = MIB(cases[i].reserve),
                                .max_bytes = MIB(cases[i].size_max)};

        figure_spool_disk(&f, &st, MIB(cases[i].logs));
        assert_int_equal(f.used, MIB(cases[i].want_used));
        assert_int_equal(f.limit, MIB(cases[i].want_limit));
        assert_int_equal(f.need, MIB(cases[i].want_need));
        assert_string_equal(f.origin, cases[i].want_limit == 1000 ? "disk" : "spool.size_max");
    }
}

static struct figure mib(uint64_t n)
{
    return (struct figure){.is_known = n > 0, .value = MIB(n), .why = ""};
}

static void memory_is_measured_against_what_kills(void **state)
{
    static const struct {
        uint64_t total, group, space_max, space, process, configured; /* MiB; 0: not known */
        uint64_t want;
        const char *origin;
    } cases[] = {
        {8000, 0, 0, 0, 100, 0, 8000, "MemTotal"},
        {8000, 256, 0, 0, 100, 0, 256, "cgroup memory limit"},
        {8000, 16000, 0, 0, 100, 0, 8000, "MemTotal"}, /* a limit that never comes */
        {8000, 256, 0, 0, 100, 512, 512, "pressure.memory_limit"},
        {8000, 256, 256, 200, 20, 512, 512, "pressure.memory_limit"},
        /* 56 MiB of address space are left for what has 20. */
        {8000, 0, 256, 200, 20, 0, 76, "RLIMIT_AS, less what else is mapped"},
        {8000, 0, 256, 300, 20, 0, 20, "RLIMIT_AS, less what else is mapped"},
        {8000, 64, 256, 200, 20, 0, 64, "cgroup memory limit"},
        {0, 0, 0, 0, 20, 0, 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct figures_sample k = {.total = mib(cases[i].total),
                                   .group_max = mib(cases[i].group),
                                   .address_space_max = mib(cases[i].space_max),
                                   .address_space = mib(cases[i].space),
                                   .process = mib(cases[i].process)};
        struct memory_limit l = figure_memory_limit(&k, MIB(cases[i].configured));

        assert_int_equal(l.bytes, MIB(cases[i].want));
        assert_string_equal(l.origin, cases[i].origin);
    }
}

static void the_largest_holders_come_first(void **state)
{
    struct world *w = setup(settings);
    const struct pressure_view *v;
    struct receive_report *r = w->p->last;

    (void)state;
    sample(w, 2000);
    *r = (struct receive_report){.sessions = 3, .messages_in_flight = 2, .bytes_in_flight = 700};
    r->holder_count = RECEIVE_HOLDERS_MAX;
    for (size_t i = 0; i < RECEIVE_HOLDERS_MAX; i++)
        r->holders[i] = (struct receive_holder){.bytes = 10 + (i * 7) % RECEIVE_HOLDERS_MAX};
    v = view(w);
    assert_int_equal(v->sessions, 3);
    assert_int_equal(v->bytes_in_flight, 700);
    assert_int_equal(v->holder_count, PRESSURE_HOLDERS_MAX);
    for (size_t i = 1; i < v->holder_count; i++)
        assert_true(v->holders[i - 1].bytes > v->holders[i].bytes);
    teardown(w);
}

/* The real kernel's figures, as the server has them. */
static void the_real_kernel_fills_a_sample(void **state)
{
    struct world *w = setup(settings);
    struct sampler *s = &w->p->sampler;

    (void)state;
    w->p->seams.kernel = NULL;
    assert_int_equal(sampler_init(s, &w->p->seams), 0);
    sampler_take(w->p);
    assert_true(w->p->sample.figures[GOVERNOR_MEMORY].is_known);
    assert_true(w->p->sample.figures[GOVERNOR_MEMORY].limit > 0);
    assert_true(w->p->sample.figures[GOVERNOR_SYSTEM_MEMORY].is_known);
    assert_true(w->p->sample.figures[GOVERNOR_DESCRIPTORS].used > 0);
    assert_true(sampler_memory(w->p) > 0);
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        const struct governor_figure *f = &w->p->sample.figures[i];

        assert_true(f->is_known || strlen(f->why) > 0);
        assert_true(!f->is_known || strlen(f->origin) > 0);
    }
    teardown(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_that_fills_closes_the_gate),
        cmocka_unit_test(a_switched_off_governor_only_looks),
        cmocka_unit_test(a_full_queue_is_not_ready),
        cmocka_unit_test(new_settings_judge_the_next_sample),
        cmocka_unit_test(memory_is_freed_in_turn),
        cmocka_unit_test(a_full_disk_has_the_spool_compacted),
        cmocka_unit_test(background_work_pauses_while_it_is_asked),
        cmocka_unit_test(a_stop_waits_for_what_is_under_way),
        cmocka_unit_test(a_figure_that_is_not_known_is_shown_with_why),
        cmocka_unit_test(transitions_say_their_direction),
        cmocka_unit_test(the_spools_own_room_counts_as_free),
        cmocka_unit_test(memory_is_measured_against_what_kills),
        cmocka_unit_test(the_largest_holders_come_first),
        cmocka_unit_test(the_real_kernel_fills_a_sample),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
