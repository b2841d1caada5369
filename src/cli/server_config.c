/*
 * cli/server_config.c - what a configuration becomes, and how a new one takes the place of the old.
 *
 * Reload: the file is read and checked, then the queue changes, which may have to wait for
 * transactions; then the log, the writer and the governor; then the loop threads, one order each.
 * The old configuration goes when the last has answered.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/assert.h"
#include "base/err.h"
#include "cli/server_int.h"
#include "cli/server_log.h"
#include "cli/spool_dirs.h"
#include "cli/tables.h"
#include "config/config.h"
#include "event/event.h"
#include "evidence/knowledge.h"
#include "io/tls.h"
#include "pressure/pressure.h"
#include "spool/spool.h"

const char *server_config_name(const struct server_options *o)
{
    return o->config_file ? o->config_file : "embedded defaults";
}

void server_tls_free(struct tls_set *t)
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

int server_tls_make(const struct config *c, struct tls_set *ret, struct buf *why)
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
        server_tls_free(&t);
    else
        *ret = t;
    return r;
}

struct queue_settings server_queue_settings(const struct config *c, const struct knowledge *k)
{
    struct queue_settings s = {
        .schedule = {.connections_max = c->delivery.connections_max,
                     .connections_per_destination = c->delivery.connections_per_destination_max,
                     .connections_new = MAX_OF(c->delivery.connections_max / 4, 1u),
                     .entries_max = c->spool.messages_max,
                     .retry = {.delay_count = (uint32_t)c->retry.policy.delay_count,
                               .jitter = c->retry.policy.jitter,
                               .max_queue_time_s = (uint32_t)c->retry.policy.max_queue_time_s,
                               .delay_dsn_s = (uint32_t)c->retry.delay_warning_s}},
        .config = c,
        .knowledge = k,
    };

    memcpy(s.schedule.retry.delays_s, c->retry.policy.delays_s, sizeof(s.schedule.retry.delays_s));
    return s;
}

struct spool_writer_config server_writer_config(const struct config *c)
{
    return (struct spool_writer_config){.commit_delay_us = (uint32_t)c->spool.commit_delay_us,
                                        .commit_batch_bytes = c->spool.commit_batch_bytes,
                                        .lazy_sync_ms = (uint32_t)c->spool.lazy_sync_ms};
}

/* ---- reload ---- */

void server_reload_answered(struct server *s)
{
    const struct config *old = s->config;
    struct tls_set old_tls = s->tls;

    if (--s->reload_answers > 0)
        return;
    s->config = s->next_config;
    s->tls = s->next_tls;
    s->next_config = NULL;
    s->next_tls = (struct tls_set){0};
    knowledge_unref(&s->knowledge);
    s->knowledge = s->next_knowledge;
    s->next_knowledge = NULL;
    server_tls_free(&old_tls);
    config_unref(&old);
    event(EVENT_CONFIG_RELOADED, EVENT_NO_ID, EV_STR("file", server_config_name(&s->options)));
    (void)sd_notify(0, "READY=1");
    if (s->reload_again && !s->stopping) {
        s->reload_again = false;
        server_reload_on_signal(s);
    }
}

/* The queue uses the new settings now: everybody else follows. */
static void on_queue_changed(void *ctx)
{
    struct server *s = ctx;
    struct spool_writer_config wc = server_writer_config(s->next_config);
    struct buf why = BUF_INIT(SERVER_WHY_MAX);

    server_set_log(s->next_config);
    if (server_set_log_files(s->next_config, &why) < 0)
        event(EVENT_CONFIG_REFUSED, EVENT_NO_ID, EV_SLICE("why", buf_slice(&why)));
    buf_done(&why);
    spool_writer_set_config(s->writer, &wc);
    spool_set_max_bytes(s->spool, s->next_config->spool.size_max_bytes);
    pressure_set_config(s->pressure, s->next_config);
    server_set_ledger(s, s->next_config);
    s->reload_answers = s->thread_count;
    for (uint32_t i = 0; i < s->thread_count; i++)
        loop_thread_order(&s->threads[i], ORDER_RELOAD);
}

struct directory_change {
    const struct spool_directories *want;
    struct buf *why;
    int result;
};

/* The writer's thread. */
static void change_directories(void *ctx, struct spool *sp)
{
    struct directory_change *c = ctx;

    c->result = spool_set_directories(sp, c->want, c->why);
}

/* Of a reload this is what may fail last, and changes something: nothing after it fails. */
static int set_directories(struct server *s, const struct config *c, struct buf *why)
{
    struct spool_dirs dirs;
    struct directory_change change = {.want = &dirs.value, .why = why};
    int r = spool_dirs_init(&dirs, c);

    if (r < 0)
        return r;
    spool_writer_call(s->writer, change_directories, &change);
    spool_dirs_done(&dirs);
    if (change.result < 0 && buf_len(why) == 0)
        (void)buf_addf(why, "The spool's directories: %s.", err_str(change.result));
    return change.result;
}

static int load_next(struct server *s, struct config **ret, struct tls_set *ret_tls,
                     const struct knowledge **ret_knowledge, struct buf *why)
{
    int r = config_load(s->options.config_file, s->options.overrides, s->options.override_count,
                        ret, why);

    if (r < 0)
        return r;
    r = server_check_log_files(*ret, why);
    if (r == 0)
        r = server_tls_make(*ret, ret_tls, why);
    if (r == 0 && (*ret)->listener_count != s->config->listener_count) {
        (void)buf_add_str(why, "the number of listeners changed: that needs a restart");
        r = -EINVAL;
    }
    if (r == 0)
        r = tables_knowledge(*ret, ret_knowledge, why);
    if (r == 0)
        r = set_directories(s, *ret, why);
    if (r < 0) {
        const struct config *c = *ret;

        server_tls_free(ret_tls);
        knowledge_unref(ret_knowledge);
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

int server_reload(void *ctx, struct buf *why)
{
    struct server *s = ctx;
    struct config *next;
    struct queue_settings settings;
    int r = -EBUSY;

    if (s->next_config || s->stopping)
        (void)buf_add_str(why, s->stopping ? "the server is stopping"
                                           : "an earlier reload waits for transactions to end");
    else
        r = load_next(s, &next, &s->next_tls, &s->next_knowledge, why);
    if (r < 0) {
        if (buf_len(why) > 0 && buf_cstr(why)[buf_len(why) - 1] == '\n')
            buf_truncate(why, buf_len(why) - 1); /* one line of a log, no matter how many errors */
        event(EVENT_CONFIG_REFUSED, EVENT_NO_ID, EV_SLICE("why", buf_slice(why)));
        return r;
    }
    warn_of_restart(s, next);
    s->next_config = next;
    settings = server_queue_settings(next, s->next_knowledge);
    r = queue_change_settings(s->queue, &settings, on_queue_changed, s);
    ASSERT(r == 0); /* one at a time: next_config was NULL */
    return 0;
}

void server_reload_on_signal(struct server *s)
{
    struct buf why = BUF_INIT(SERVER_WHY_MAX);

    if (!s->next_config || s->stopping) {
        ignore_result(server_reload(s, &why)); /* the log says what came of it */
    } else if (!s->reload_again) {
        s->reload_again = true;
        event(EVENT_CONFIG_WAITS, EVENT_NO_ID,
              EV_STR("why", "an earlier reload waits for transactions to end"),
              EV_STR("then", "the configuration is read once more after it"));
    }
    buf_done(&why);
}
