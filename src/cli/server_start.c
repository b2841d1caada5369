/*
 * cli/server_start.c - who is opened before whom: sockets while we may still bind them, then the
 * user's rights, then the spool and the queue, which files what is in it, then those that need it.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/server_int.h"
#include "cli/server_log.h"
#include "cli/spool_dirs.h"
#include "cli/tables.h"
#include "config/config.h"
#include "control/control.h"
#include "deliver/worker.h"
#include "event/event.h"
#include "io/folders.h"
#include "io/fs.h"
#include "io/stream.h"
#include "pressure/pressure.h"
#include "spool/spool.h"

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
    worker_job(p, ((struct loop_thread *)receiver)->worker);
}

static void dispatch(void *ctx, struct job *job)
{
    struct server *s = ctx;

    job->parcel.deliver = job_arrived;
    mailbox_post(s->threads[job->worker].box, &job->parcel);
}

static void committed(void *ctx, uint64_t id, struct slice envelope)
{
    queue_committed(((struct server *)ctx)->queue, id, envelope);
}

/* ---- start ---- */

static int make_folders(struct slice path, struct buf *why)
{
    int r = folders_make(path, 0700);

    if (r < 0)
        (void)buf_addf(why, "the folder %.*s cannot be made: %s", SLICE_FMT(path), err_str(r));
    return r;
}

/* While they may still be made; what is wrong with them is told by who opens them. */
static void make_other_folders(const struct config *c)
{
    struct buf why = BUF_INIT(SERVER_WHY_MAX);

    if (c->log.files.directory)
        ignore_result(make_folders(slice_str(c->log.files.directory), &why));
    if (c->evidence.enabled)
        ignore_result(make_folders(slice_str(c->evidence.directory), &why));
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
    for (size_t i = 0; i < c->spool.more_directories.count; i++)
        ignore_result(chown(c->spool.more_directories.list[i], pw ? pw->pw_uid : (uid_t)-1, gid));
    if (c->log.files.directory)
        ignore_result(chown(c->log.files.directory, pw ? pw->pw_uid : (uid_t)-1, gid));
    if (c->evidence.enabled)
        ignore_result(chown(c->evidence.directory, pw ? pw->pw_uid : (uid_t)-1, gid));
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

static void on_directory(void *ctx, const char *path, enum spool_directory_change change,
                         uint64_t bytes)
{
    static const char *const states[] = {[SPOOL_DIRECTORY_ADDED] = "in use",
                                         [SPOOL_DIRECTORY_DRAINING] = "draining",
                                         [SPOOL_DIRECTORY_EMPTY] = "empty"};

    (void)ctx;
    event(EVENT_SPOOL_DIRECTORY, EVENT_NO_ID, EV_STR("path", path), EV_STR("state", states[change]),
          EV_UINT("bytes", bytes));
}

static int open_spool(struct server *s, struct buf *why)
{
    const struct config_spool *c = &s->config->spool;
    const struct spool_report report = {
        .damage = on_damage, .note = on_note, .directory = on_directory};
    struct spool_dirs dirs = {0};
    struct spool_config sc = {.segment_bytes = c->segment_size_bytes,
                              .max_bytes = c->size_max_bytes,
                              .drain_reserve_bytes = c->drain_reserve_bytes,
                              .spare_segments = c->spare_segments,
                              .first_id = (uint64_t)clock_wall_us(),
                              .path = c->directory,
                              .open_directory = spool_dirs_open};
    struct spool_writer_config wc = server_writer_config(s->config);
    struct buf part = BUF_INIT(SERVER_WHY_MAX);
    int r = fs_posix_open(c->directory, true, &s->fs, &part);

    if (r == 0)
        r = spool_dirs_init(&dirs, s->config);
    sc.directories = dirs.value;
    if (r == 0)
        r = spool_open(&s->spool, s->fs, &sc, &report, &part);
    spool_dirs_done(&dirs);
    if (r < 0)
        (void)buf_addf(why, "spool.directory '%s': %s", c->directory, buf_cstr(&part));
    buf_done(&part);
    if (r == 0)
        r = spool_writer_start(&s->writer, s->spool, &wc);
    return r;
}

static bool is_pressed(void *ctx)
{
    return gate_level(&((const struct server *)ctx)->gate) > PRESSURE_NORMAL;
}

static int open_queue(struct server *s)
{
    struct queue_settings settings = server_queue_settings(s->config, s->knowledge);
    struct queue_seams seams = {.ctx = s,
                                .wall_ms = wall_ms,
                                .post = post_request,
                                .dispatch = dispatch,
                                .answers = s->box,
                                .workers = s->thread_count,
                                .ledger = s->ledger,
                                .is_pressed = is_pressed};
    uint64_t began_ms = clock_mono_ms();
    struct schedule_totals totals;
    int r = queue_new(&s->queue, &settings, s->spool, &s->rand, &seams);

    if (r == 0)
        server_restore_lanes(s);
    if (r == 0)
        r = queue_load(s->queue);
    if (r < 0)
        return r;
    server_spread_backlog(s);
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
    struct pressure_loop *loops = calloc(MAX_OF(s->thread_count, 1u), sizeof(*loops));
    struct pressure_seams seams = {.loop = s->loop,
                                   .answers = s->box,
                                   .queue = s->queue,
                                   .spool = s->spool,
                                   .writer = s->writer,
                                   .gate = &s->gate,
                                   .shared = &s->shared,
                                   .loops = loops,
                                   .loop_count = s->thread_count,
                                   .mono_ms = mono_ms};
    int r;

    if (!loops)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->thread_count; i++)
        loops[i] = (struct pressure_loop){.box = s->threads[i].box,
                                          .receiver = s->threads[i].receiver,
                                          .worker = s->threads[i].worker};
    r = pressure_new(&s->pressure, &seams, s->config);
    free(loops);
    return r;
}

static int open_control(struct server *s, struct buf *why)
{
    struct control_seams seams = {.ctx = s,
                                  .queue = s->queue,
                                  .pressure = s->pressure,
                                  .wall_ms = wall_ms,
                                  .reload = server_reload,
                                  .add_status = server_add_status,
                                  .is_stopping = server_is_stopping};
    struct slice path = slice_str(s->config->server.control_socket);
    ptrdiff_t name = slice_rfind(path, '/');
    int r = name > 0 ? make_folders(slice_sub(path, 0, (size_t)name), why) : 0;

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
    s->thread_count = s->config->server.loops;
    s->threads = calloc(s->thread_count, sizeof(*s->threads));
    if (r == 0 && !s->threads)
        r = -ENOMEM;
    for (uint32_t i = 0; r == 0 && i < s->thread_count; i++) {
        s->threads[i].number = i;
        r = loop_thread_open(s, &s->threads[i], bound, why);
    }
    for (size_t i = 0; r == 0 && i < s->config->listener_count; i++)
        event(EVENT_LISTENER_OPENED, EVENT_NO_ID, EV_STR("name", s->config->listeners[i].name),
              EV_ADDR("address", &bound[i]));
    free(bound);
    return r;
}

int server_start(struct server *s, struct buf *why)
{
    int r = make_folders(slice_str(s->config->spool.directory), why);

    if (r == 0)
        make_other_folders(s->config);
    if (r == 0)
        r = server_tls_make(s->config, &s->tls, why);
    if (r == 0)
        r = open_loops(s, why);
    if (r == 0)
        r = drop_privileges(s->config, why);
    if (r == 0)
        r = open_spool(s, why);
    if (r == 0)
        r = server_set_log_files(s->config, why);
    if (r == 0)
        r = tables_knowledge(s->config, &s->knowledge, why);
    if (r == 0)
        server_open_ledger(s);
    if (r == 0)
        r = open_queue(s);
    for (uint32_t i = 0; r == 0 && i < s->thread_count; i++)
        r = loop_thread_add_worker(s, &s->threads[i]);
    if (r == 0)
        r = open_pressure(s);
    if (r == 0)
        r = open_control(s, why);
    for (uint32_t i = 0; r == 0 && i < s->thread_count; i++)
        r = loop_thread_start(s, &s->threads[i]);
    return r;
}
