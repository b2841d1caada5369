/* control/pressure_answers.c - see pressure_int.h. */
#include "control/pressure_int.h"

#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"
#include "control/json_out.h"
#include "deliver/queue.h"
#include "pressure/pressure.h"
#include "spool/spool.h"

static const char *const span_names[] = {
    [TALLY_MINUTE] = "minute",
    [TALLY_HOUR] = "hour",
    [TALLY_DAY] = "day",
};
static const char *const verdict_names[] = {
    [GATE_OPEN] = "open",
    [GATE_DELAY] = "delay",
    [GATE_REFUSE] = "refuse",
};

/* Is it one of the ways to be refused? */
static bool is_refusal(enum tally_what w)
{
    return w != TALLY_ACCEPTED && w != TALLY_DELAYED;
}

static uint64_t count_of(const struct tally_sums *s, bool (*counts)(enum tally_what w))
{
    uint64_t n = 0;

    for (int c = 0; c < MAIL_CLASSES; c++)
        for (int w = 0; w < TALLY_WHATS; w++)
            if (counts((enum tally_what)w))
                n += s->counts[c][w];
    return n;
}

static bool is_delay(enum tally_what w)
{
    return w == TALLY_DELAYED;
}

/* ---- times ---- */

static int64_t to_wall(const struct pressure_view *v, uint64_t mono_ms)
{
    return v->taken_ms - (int64_t)(v->governor.now_ms - mono_ms);
}

/* ---- resources ---- */

/* Null for a number that stands for "none": readers of JSON have 63 bits. */
static void add_amount(struct json_out *j, const char *key, uint64_t n)
{
    if (n > INT64_MAX)
        json_out_null(j, key);
    else
        json_out_uint(j, key, n);
}

static void add_thresholds(struct json_out *j, const char *key, const struct governor_thresholds *t)
{
    json_out_object(j, key);
    add_amount(j, "low_to_medium", t->low_to_medium);
    add_amount(j, "medium_to_high", t->medium_to_high);
    add_amount(j, "high_to_medium", t->high_to_medium);
    add_amount(j, "medium_to_low", t->medium_to_low);
    json_out_object_end(j);
}

/* The percentage is rounded down, as the governor compares it. */
static void add_figure(struct json_out *j, const struct governor_figure *f)
{
    json_out_bool(j, "known", f->is_known);
    if (!f->is_known) {
        json_out_str(j, "why", f->why ? f->why : "");
        return;
    }
    add_amount(j, "used", f->used);
    if (f->limit) {
        add_amount(j, "limit", f->limit);
        json_out_uint(j, "percent", (uint64_t)((__uint128_t)f->used * 100 / f->limit));
    } else {
        json_out_null(j, "limit");
    }
    add_amount(j, "need", f->need);
    json_out_str(j, "origin", f->origin ? f->origin : "");
}

static void add_seconds(struct json_out *j, const char *key, int64_t s)
{
    if (s == INT64_MAX)
        json_out_null(j, key);
    else
        json_out_int(j, key, s);
}

static void add_levels(struct json_out *j, const char *key, const uint64_t ms[PRESSURE_LEVELS])
{
    json_out_object(j, key);
    for (int l = 0; l < PRESSURE_LEVELS; l++)
        json_out_uint(j, governor_level_name((enum pressure_level)l), ms[l]);
    json_out_object_end(j);
}

static void add_level_times(struct json_out *j, const struct level_sums *s)
{
    json_out_object(j, "at_level_ms");
    add_levels(j, "hour", s->ms[LEVEL_HOUR]);
    add_levels(j, "day", s->ms[LEVEL_DAY]);
    add_levels(j, "total", s->total_ms);
    json_out_object_end(j);
}

static void add_resource(struct json_out *j, const struct pressure_view *v, size_t i)
{
    const struct governor_resource_view *r = &v->governor.resources[i];

    json_out_object(j, NULL);
    json_out_str(j, "name", governor_resource_name((enum governor_resource)i));
    json_out_str(j, "token", gate_token((uint8_t)i));
    json_out_str(j, "exchange_name", governor_resource_exchange_name((enum governor_resource)i));
    json_out_str(j, "unit", governor_resource_unit((enum governor_resource)i));
    json_out_str(j, "level", governor_level_name(r->level));
    json_out_str(j, "previous", governor_level_name(r->previous));
    json_out_int(j, "since_ms", to_wall(v, r->since_ms));
    add_figure(j, &r->figure);
    json_out_bool(j, "is_percent", r->rule.is_percent);
    add_thresholds(j, "thresholds", &r->rule.thresholds);
    add_thresholds(j, "effective", &r->effective);
    add_amount(j, "to_free", r->to_free);
    json_out_uint(j, "history", r->rule.history);
    json_out_uint(j, "off_normal", r->off_normal);
    json_out_bool(j, "hardened", r->has_hardened);
    json_out_bool(j, "observe_only", r->rule.observe_only);
    json_out_bool(j, "advisory", r->rule.advisory);
    json_out_real(j, "trend_per_s", r->trend);
    add_seconds(j, "medium_in_s", r->medium_in_s);
    add_seconds(j, "high_in_s", r->high_in_s);
    add_seconds(j, "full_in_s", r->full_in_s);
    add_level_times(j, &r->at_level);
    json_out_object_end(j);
}

/* ---- what is let in ---- */

static void add_verdict(struct json_out *j, const struct gate_line *l)
{
    json_out_str(j, "verdict", verdict_names[l->verdict]);
    if (l->verdict == GATE_OPEN)
        return;
    if (l->verdict == GATE_DELAY)
        json_out_uint(j, "delay_ms", l->delay_ms);
    if (l->resource < GOVERNOR_RESOURCES)
        json_out_str(j, "resource", governor_resource_name((enum governor_resource)l->resource));
    json_out_str(j, "token", gate_token(l->resource));
}

struct gate_line control_gate_line(const struct pressure *p, const struct gate_settings *g,
                                   enum mail_class c)
{
    struct gate_line line = g->lines[c];
    uint8_t resource;

    if (c != MAIL_REPORT && line.verdict == GATE_OPEN &&
        pressure_ready(p, c, &resource) == GATE_REFUSE)
        line = (struct gate_line){.verdict = GATE_REFUSE, .resource = resource};
    return line;
}

static void add_admission(struct json_out *j, const struct pressure *p,
                          const struct gate_settings *g)
{
    json_out_object(j, "admission");
    json_out_array(j, "classes");
    for (int c = 0; c < MAIL_CLASSES; c++) {
        struct gate_line line = control_gate_line(p, g, (enum mail_class)c);

        json_out_object(j, NULL);
        json_out_str(j, "class", mail_class_name((enum mail_class)c));
        add_verdict(j, &line);
        json_out_object_end(j);
    }
    json_out_array_end(j);
    if (g->size_max == UINT64_MAX)
        json_out_null(j, "size_max");
    else
        json_out_uint(j, "size_max", g->size_max);
    json_out_bool(j, "refuse_at_connect", g->refuse_at_connect);
    json_out_bool(j, "memory_short", g->is_memory_short);
    json_out_object_end(j);
}

static void add_clients(struct json_out *j, const struct tally_top *t)
{
    json_out_array(j, "clients");
    for (size_t i = 0; i < t->count; i++) {
        json_out_object(j, NULL);
        json_out_str(j, "client", t->clients[i].client);
        json_out_uint(j, "refused", t->clients[i].count);
        json_out_uint(j, "error", t->clients[i].error);
        json_out_uint(j, "bytes", t->clients[i].bytes);
        json_out_object_end(j);
    }
    json_out_array_end(j);
}

static void add_class_counts(struct json_out *j, const uint64_t counts[MAIL_CLASSES][TALLY_WHATS],
                             const uint64_t bytes[MAIL_CLASSES])
{
    json_out_array(j, "classes");
    for (int c = 0; c < MAIL_CLASSES; c++) {
        json_out_object(j, NULL);
        json_out_str(j, "class", mail_class_name((enum mail_class)c));
        for (int w = 0; w < TALLY_WHATS; w++)
            json_out_uint(j, tally_what_name((enum tally_what)w), counts[c][w]);
        json_out_uint(j, "refused_bytes", bytes[c]);
        json_out_object_end(j);
    }
    json_out_array_end(j);
}

/* Since the start, and what each refusal was for (R1). */
static void add_all_counts(struct json_out *j, const struct tally_totals *t)
{
    json_out_object(j, "totals");
    add_class_counts(j, t->counts, t->bytes);
    json_out_object(j, "refused_for");
    for (size_t i = 0; i < TALLY_CAUSES; i++)
        if (*tally_cause_name(i))
            json_out_uint(j, tally_cause_name(i), t->causes[i]);
    json_out_object_end(j);
    json_out_object_end(j);
}

static void add_sums(struct json_out *j, const struct pressure_view *v)
{
    json_out_object(j, "sums");
    for (int span = 0; span < TALLY_SPANS; span++) {
        const struct tally_sums *s = &v->sums[span];

        json_out_object(j, span_names[span]);
        add_class_counts(j, s->counts, s->bytes);
        add_clients(j, &s->refused);
        json_out_object_end(j);
    }
    json_out_object_end(j);
}

/* ---- remedies, holders, times, history ---- */

static void add_remedies(struct json_out *j, const struct pressure_view *v)
{
    json_out_array(j, "remedies");
    for (size_t i = 0; i < GOVERNOR_REMEDIES; i++) {
        const struct governor_remedy_view *r = &v->governor.remedies[i];

        json_out_object(j, NULL);
        json_out_str(j, "name", governor_remedy_name((enum governor_remedy)i));
        json_out_str(j, "what", governor_remedy_what((enum governor_remedy)i));
        json_out_bool(j, "running", r->is_running);
        json_out_uint(j, "runs", r->runs);
        if (r->runs > 0 || r->is_running)
            json_out_str(j, "last_for", governor_resource_name(r->last_for));
        if (r->runs > 0) {
            json_out_int(j, "last_ms", to_wall(v, r->last_at_ms));
            json_out_uint(j, "last_took_us", r->last_took_us);
            json_out_uint(j, "total_took_us", r->total_took_us);
            if (r->is_measured) {
                add_amount(j, "last_freed", r->last_freed);
                add_amount(j, "total_freed", r->total_freed);
            }
        }
        json_out_object_end(j);
    }
    json_out_array_end(j);
}

static void add_holders(struct json_out *j, const struct pressure_view *v)
{
    json_out_array(j, "holders");
    for (size_t i = 0; i < v->holder_count; i++) {
        json_out_object(j, NULL);
        json_out_str(j, "client", v->holders[i].client);
        json_out_str(j, "sender", v->holders[i].sender);
        json_out_uint(j, "bytes", v->holders[i].bytes);
        json_out_int(j, "since_ms", (int64_t)v->holders[i].since_ms);
        json_out_object_end(j);
    }
    json_out_array_end(j);
}

static void add_history(struct json_out *j, const struct pressure_view *v)
{
    json_out_array(j, "history");
    for (size_t i = 0; i < v->governor.history_count; i++) {
        const struct governor_transition *t = &v->governor.history[i];
        bool is_server = t->resource == GOVERNOR_RESOURCES;

        json_out_object(j, NULL);
        json_out_int(j, "at_ms", to_wall(v, t->at_ms));
        json_out_str(j, "resource", is_server ? "server" : governor_resource_name(t->resource));
        json_out_str(j, "direction", t->to > t->from ? "up" : "down");
        json_out_str(j, "from", governor_level_name(t->from));
        json_out_str(j, "to", governor_level_name(t->to));
        json_out_str(j, "cause", governor_resource_name(t->cause));
        add_amount(j, "value", t->value);
        add_amount(j, "threshold", t->threshold);
        add_amount(j, "limit", t->limit);
        json_out_str(j, "unit", governor_resource_unit(t->cause));
        json_out_uint(j, "lasted_ms", t->lasted_ms);
        json_out_bool(j, "counts", t->counts);
        json_out_object_end(j);
    }
    json_out_array_end(j);
}

/* ---- the configuration ---- */

/* Settings that decide when there is pressure, and for whom. */
static bool is_about_pressure(struct slice name)
{
    static const char *const prefixes[] = {
        "pressure.",          "spool.",       "log.files.",           "smtp.connections_",
        "smtp.messages_per_", "smtp.errors_", "smtp.message_size_max"};

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (slice_has_prefix(name, slice_str(prefixes[i])))
            return true;
    return false;
}

static void add_setting(void *ctx, const struct config_item *item)
{
    struct json_out *j = ctx;

    if (item->is_default || !is_about_pressure(slice_str(item->name)))
        return;
    json_out_object(j, NULL);
    json_out_str(j, "name", item->name);
    json_out_str(j, "value", item->value);
    json_out_str(j, "origin", item->origin);
    json_out_object_end(j);
}

static void add_configuration(struct json_out *j, const struct config *c)
{
    json_out_array(j, "configuration");
    config_each(c, add_setting, j);
    json_out_array_end(j);
}

/* A path as seen from anywhere. Files are not asked for: a disk that hangs must not hang us. */
static void add_directory(struct json_out *j, const char *key, const char *path)
{
    struct buf whole = BUF_INIT(KIB(16));
    char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);

    if (here) {
        while (path[0] == '.' && path[1] == '/')
            path += 2;
        (void)buf_addf(&whole, "%s/", here);
    }
    (void)buf_add_str(&whole, path);
    json_out_text(j, key, buf_slice(&whole));
    free(here);
    buf_done(&whole);
}

static void add_spool_directory(struct json_out *j, const struct spool_directory_stat *d)
{
    json_out_object(j, NULL);
    add_directory(j, "path", d->path);
    json_out_str(j, "state", !d->draining ? "in use" : d->segments > 0 ? "draining" : "empty");
    json_out_bool(j, "waits_for_room", d->waits);
    json_out_uint(j, "segments", d->segments);
    json_out_uint(j, "bytes", d->file_bytes);
    json_out_uint(j, "live_bytes", d->live_bytes);
    json_out_uint(j, "free_bytes", d->free_bytes);
    json_out_uint(j, "total_bytes", d->total_bytes);
    json_out_object_end(j);
}

static void add_spool_directories(struct json_out *j, struct spool *sp)
{
    struct spool_directory_stat *d = calloc(SPOOL_DIRECTORIES_MAX, sizeof(*d));
    size_t count = d ? spool_get_directories(sp, d) : 0;

    json_out_array(j, "directories");
    for (size_t i = 0; i < count; i++)
        add_spool_directory(j, &d[i]);
    json_out_array_end(j);
    free(d);
}

static void add_storage(struct json_out *j, const struct control_seams *seams,
                        const struct pressure_view *v)
{
    const struct config *c = v->config;
    struct spool_stat s;

    spool_get_stat(queue_spool(seams->queue), &s);
    json_out_object(j, "spool");
    add_directory(j, "directory", v->spool_directory);
    json_out_uint(j, "bytes", s.file_bytes);
    json_out_uint(j, "live_bytes", s.live_bytes);
    json_out_uint(j, "messages", s.messages);
    json_out_bool(j, "failed", s.failed);
    add_spool_directories(j, queue_spool(seams->queue));
    json_out_object_end(j);
    json_out_object(j, "log");
    if (c->log.files.directory)
        add_directory(j, "directory", c->log.files.directory);
    else
        json_out_null(j, "directory");
    json_out_uint(j, "lines_lost", v->log_lines_lost);
    json_out_object_end(j);
}

/* ---- the answers ---- */

static void add_totals(struct json_out *j, const struct pressure_view *v)
{
    static const struct {
        const char *key;
        bool (*counts)(enum tally_what w);
    } totals[] = {{"refused", is_refusal}, {"delayed", is_delay}};

    for (size_t i = 0; i < ARRAY_SIZE(totals); i++) {
        json_out_object(j, totals[i].key);
        for (int span = 0; span < TALLY_SPANS; span++)
            json_out_uint(j, span_names[span], count_of(&v->sums[span], totals[i].counts));
        json_out_object_end(j);
    }
}

void add_pressure_member(struct json_out *j, const struct control_seams *seams)
{
    struct pressure_view v;

    if (!seams->pressure) {
        json_out_null(j, "pressure");
        return;
    }
    pressure_get_view(seams->pressure, &v);
    json_out_object(j, "pressure");
    json_out_str(j, "level", governor_level_name(v.governor.level));
    json_out_int(j, "since_ms", to_wall(&v, v.governor.since_ms));
    add_totals(j, &v);
    json_out_object_end(j);
}

static void add_settings(struct json_out *j, const struct config_pressure *p)
{
    json_out_uint(j, "interval_ms", p->interval_ms);
    json_out_uint(j, "dwell_ms", p->dwell_ms);
    json_out_object(j, "tarpit");
    json_out_uint(j, "start_ms", p->tarpit.start_ms);
    json_out_uint(j, "step_ms", p->tarpit.step_ms);
    json_out_uint(j, "max_ms", p->tarpit.max_ms);
    json_out_object_end(j);
}

void answer_pressure(const struct control_seams *seams, int64_t started_ms, struct buf *to)
{
    struct pressure_view v;
    struct json_out j;

    pressure_get_view(seams->pressure, &v);
    json_out_init(&j, to);
    json_out_object(&j, NULL);
    json_out_int(&j, "pid", getpid());
    json_out_str(&j, "hostname", v.config->server.hostname);
    json_out_int(&j, "now_ms", seams->wall_ms(seams->ctx));
    json_out_int(&j, "started_ms", started_ms);
    json_out_int(&j, "taken_ms", v.taken_ms);
    if (seams->add_status)
        seams->add_status(seams->ctx, &j);
    json_out_bool(&j, "enabled", v.enabled);
    add_settings(&j, &v.config->pressure);
    json_out_str(&j, "level", governor_level_name(v.governor.level));
    json_out_str(&j, "previous", governor_level_name(v.governor.previous));
    json_out_int(&j, "since_ms", to_wall(&v, v.governor.since_ms));
    json_out_str(&j, "cause", governor_resource_name(v.governor.cause));
    json_out_uint(&j, "samples", v.governor.samples);
    json_out_uint(&j, "transitions", v.governor.transitions);
    json_out_uint(&j, "suppressed", v.governor.suppressed);
    json_out_array(&j, "resources");
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        add_resource(&j, &v, i);
    json_out_array_end(&j);
    add_admission(&j, seams->pressure, &v.governor.gate);
    add_totals(&j, &v);
    add_sums(&j, &v);
    add_all_counts(&j, &v.totals);
    add_remedies(&j, &v);
    json_out_uint(&j, "sessions", v.sessions);
    json_out_uint(&j, "delayed_sessions", v.delayed_sessions);
    json_out_uint(&j, "delayed_sessions_max", v.delayed_sessions_max);
    json_out_uint(&j, "messages_in_flight", v.messages_in_flight);
    json_out_uint(&j, "bytes_in_flight", v.bytes_in_flight);
    add_holders(&j, &v);
    add_level_times(&j, &v.governor.at_level);
    add_history(&j, &v);
    add_storage(&j, seams, &v);
    add_configuration(&j, v.config);
    json_out_object_end(&j);
}

bool read_mail_class(struct slice name, enum mail_class *ret)
{
    for (int c = 0; c < MAIL_REPORT; c++)
        if (slice_eq(name, slice_str(mail_class_name((enum mail_class)c)))) {
            *ret = (enum mail_class)c;
            return true;
        }
    return false;
}

bool answer_ready(const struct control_seams *seams, enum mail_class c, struct buf *to)
{
    struct gate_line line = {.verdict = GATE_OPEN};
    bool is_stopping = seams->is_stopping && seams->is_stopping(seams->ctx);
    struct spool_stat spool;
    bool is_ready;
    struct json_out j;

    spool_get_stat(queue_spool(seams->queue), &spool);
    if (seams->pressure)
        line.verdict = pressure_ready(seams->pressure, c, &line.resource);
    is_ready = !is_stopping && !spool.failed && line.verdict != GATE_REFUSE;
    json_out_init(&j, to);
    json_out_object(&j, NULL);
    json_out_str(&j, "class", mail_class_name(c));
    json_out_bool(&j, "ready", is_ready);
    json_out_bool(&j, "stopping", is_stopping);
    json_out_bool(&j, "spool_failed", spool.failed);
    add_pressure_member(&j, seams);
    add_verdict(&j, &line);
    json_out_object_end(&j);
    return is_ready;
}
