/*
 * control/metrics.c - the metrics page, from the same view as GET /v1/pressure and GET /v1/status.
 *
 * What labels can be is fixed by tables of the program: the number of series is bounded, and
 * nothing that clients say makes a new one.
 */
#include "control/metrics_int.h"

#include <stdio.h>

#include "config/config.h"
#include "control/metrics_out.h"
#include "control/pressure_int.h"
#include "deliver/queue.h"
#include "event/event.h"
#include "pressure/pressure.h"
#include "schedule/schedule.h"
#include "spool/spool.h"

#define COUNTER_NAME_MAX 64

/* ---- the process ---- */

static void add_process(struct metrics_out *m, const struct control_seams *seams,
                        int64_t started_ms)
{
    metrics_gauge(m, "build_info", "Always 1; the version is a label.");
    metrics_uint(m, METRICS_LABELS({"version", PENSTOCK_VERSION}), 1);
    metrics_gauge(m, "start_time_seconds", "When the server started, since 1970.");
    metrics_ms(m, NULL, started_ms > 0 ? (uint64_t)started_ms : 0);
    metrics_gauge(m, "stopping", "1: the server takes no more mail, since it is stopping.");
    metrics_uint(m, NULL, seams->is_stopping && seams->is_stopping(seams->ctx));
}

/* ---- levels ---- */

static void add_level_total(struct metrics_out *m, const char *resource, const struct level_sums *s)
{
    for (int l = 0; l < PRESSURE_LEVELS; l++) {
        const char *level = governor_level_name((enum pressure_level)l);

        metrics_ms(m,
                   resource ? METRICS_LABELS({"resource", resource}, {"level", level})
                            : METRICS_LABELS({"level", level}),
                   s->total_ms[l]);
    }
}

static void add_level_spans(struct metrics_out *m, const char *resource, const struct level_sums *s)
{
    static const char *const spans[] = {[LEVEL_HOUR] = "hour", [LEVEL_DAY] = "day"};

    for (size_t i = 0; i < ARRAY_SIZE(spans); i++)
        for (int l = 0; l < PRESSURE_LEVELS; l++) {
            const char *level = governor_level_name((enum pressure_level)l);

            metrics_ms(m,
                       resource ? METRICS_LABELS({"resource", resource}, {"level", level},
                                                 {"span", spans[i]})
                                : METRICS_LABELS({"level", level}, {"span", spans[i]}),
                       s->ms[i][l]);
        }
}

static void add_server(struct metrics_out *m, const struct pressure_view *v)
{
    const struct governor_view *g = &v->governor;

    metrics_gauge(m, "pressure_enabled", "0: pressure.enabled is no, and nothing is refused.");
    metrics_uint(m, NULL, v->enabled);
    metrics_gauge(m, "sample_time_seconds", "When the governor took its last sample, since 1970.");
    metrics_ms(m, NULL, v->taken_ms > 0 ? (uint64_t)v->taken_ms : 0);
    metrics_counter(m, "samples_total", "Samples taken by the governor.");
    metrics_uint(m, NULL, g->samples);
    metrics_gauge(m, "level", "The server's level of pressure: 0 normal, 1 medium, 2 high.");
    metrics_uint(m, NULL, g->level);
    metrics_counter(m, "level_seconds_total", "Time that the server was at a level.");
    add_level_total(m, NULL, &g->at_level);
    metrics_gauge(m, "level_span_seconds",
                  "Time that the server was at a level in the last hour and in the last day.");
    add_level_spans(m, NULL, &g->at_level);
    metrics_counter(m, "level_changes_total", "Changes of level, of resources and of the server.");
    metrics_uint(m, NULL, g->transitions);
    metrics_counter(m, "level_falls_held_total", "Falls of level that the dwell held back.");
    metrics_uint(m, NULL, g->suppressed);
}

/* ---- resources ---- */

/* What is not known, or has no limit, has no sample: an alert on it is then silent, not wrong. */
static bool get_known(const struct governor_resource_view *r, uint64_t *ret)
{
    *ret = r->figure.is_known;
    return true;
}

static bool get_level(const struct governor_resource_view *r, uint64_t *ret)
{
    *ret = r->level;
    return true;
}

static bool get_used(const struct governor_resource_view *r, uint64_t *ret)
{
    *ret = r->figure.used;
    return r->figure.is_known;
}

static bool get_limit(const struct governor_resource_view *r, uint64_t *ret)
{
    *ret = r->figure.limit;
    return r->figure.is_known && r->figure.limit > 0;
}

static bool get_need(const struct governor_resource_view *r, uint64_t *ret)
{
    *ret = r->figure.need;
    return r->figure.is_known;
}

static bool get_to_free(const struct governor_resource_view *r, uint64_t *ret)
{
    *ret = r->to_free;
    return r->figure.is_known;
}

static bool get_hardened(const struct governor_resource_view *r, uint64_t *ret)
{
    *ret = r->has_hardened;
    return true;
}

static const struct {
    const char *name, *help;
    bool (*get)(const struct governor_resource_view *r, uint64_t *ret);
} resource_metrics[] = {
    {"resource_known", "1: there is a figure; 0: this kernel or this moment has none.", get_known},
    {"resource_level", "The level of a resource: 0 normal, 1 medium, 2 high.", get_level},
    {"resource_used", "In use, in the unit that penstock_resource_info tells.", get_used},
    {"resource_limit", "What there is of it, in the same unit.", get_limit},
    {"resource_need", "What must stay free whatever the percentages say, in the same unit.",
     get_need},
    {"resource_to_free", "So much less, and it is normal again; 0: it is.", get_to_free},
    {"resource_hardened", "1: it was off normal for so long that it refuses, and slows no more.",
     get_hardened},
};

static const struct governor_resource_view *view_of(const struct pressure_view *v, size_t i)
{
    return &v->governor.resources[i];
}

static const char *name_of(size_t i)
{
    return governor_resource_name((enum governor_resource)i);
}

/* The rule as it counts: what of it is text, as labels. */
static void add_rules(struct metrics_out *m, const struct pressure_view *v)
{
    metrics_gauge(m, "resource_info",
                  "Always 1; what a resource is, and how it counts, as labels.");
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        const struct governor_resource_view *r = view_of(v, i);
        const char *counts = r->rule.observe_only ? "observed"
                             : r->rule.advisory   ? "advisory"
                                                  : "yes";

        metrics_uint(
            m,
            METRICS_LABELS(
                {"resource", name_of(i)},
                {"unit", governor_resource_unit((enum governor_resource)i)}, {"counts", counts},
                {"rule", r->rule.is_percent ? "percent" : "absolute"},
                {"origin", r->figure.is_known && r->figure.origin ? r->figure.origin : ""}),
            1);
    }
    metrics_gauge(m, "resource_history_samples",
                  "So many samples off normal are slowed, before mail is refused.");
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        metrics_uint(m, METRICS_LABELS({"resource", name_of(i)}), view_of(v, i)->rule.history);
}

static void add_steps(struct metrics_out *m, size_t resource, const struct governor_thresholds *t)
{
    const struct {
        const char *name;
        uint64_t value;
    } steps[] = {{"low_to_medium", t->low_to_medium},
                 {"medium_to_high", t->medium_to_high},
                 {"high_to_medium", t->high_to_medium},
                 {"medium_to_low", t->medium_to_low}};

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        metrics_uint(m, METRICS_LABELS({"resource", name_of(resource)}, {"step", steps[i].name}),
                     steps[i].value);
}

static void add_thresholds(struct metrics_out *m, const struct pressure_view *v)
{
    metrics_gauge(m, "resource_threshold",
                  "Where the level changes, as it counts now, in the unit of the resource.");
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        if (view_of(v, i)->figure.is_known)
            add_steps(m, i, &view_of(v, i)->effective);
    metrics_gauge(m, "resource_threshold_configured",
                  "Where the level changes, as configured: in percent where the rule is.");
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        add_steps(m, i, &view_of(v, i)->rule.thresholds);
}

static void add_forecasts(struct metrics_out *m, const struct pressure_view *v)
{
    metrics_gauge(m, "resource_trend", "The change of the used amount in a second, of late.");
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        if (view_of(v, i)->figure.is_known)
            metrics_real(m, METRICS_LABELS({"resource", name_of(i)}), view_of(v, i)->trend);
    metrics_gauge(m, "resource_forecast_seconds",
                  "Time until medium, high and full if it goes on so; +Inf: never.");
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        const struct governor_resource_view *r = view_of(v, i);

        if (!r->figure.is_known)
            continue;
        metrics_until(m, METRICS_LABELS({"resource", name_of(i)}, {"until", "medium"}),
                      r->medium_in_s);
        metrics_until(m, METRICS_LABELS({"resource", name_of(i)}, {"until", "high"}), r->high_in_s);
        if (r->figure.limit > 0)
            metrics_until(m, METRICS_LABELS({"resource", name_of(i)}, {"until", "full"}),
                          r->full_in_s);
    }
}

static void add_resources(struct metrics_out *m, const struct pressure_view *v)
{
    for (size_t n = 0; n < ARRAY_SIZE(resource_metrics); n++) {
        metrics_gauge(m, resource_metrics[n].name, resource_metrics[n].help);
        for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
            uint64_t value;

            if (resource_metrics[n].get(view_of(v, i), &value))
                metrics_uint(m, METRICS_LABELS({"resource", name_of(i)}), value);
        }
    }
    add_rules(m, v);
    add_thresholds(m, v);
    add_forecasts(m, v);
    metrics_counter(m, "resource_level_seconds_total", "Time that a resource was at a level.");
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        add_level_total(m, name_of(i), &view_of(v, i)->at_level);
    metrics_gauge(m, "resource_level_span_seconds",
                  "Time that a resource was at a level in the last hour and in the last day.");
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++)
        add_level_spans(m, name_of(i), &view_of(v, i)->at_level);
}

/* ---- who is let in ---- */

static void add_admission(struct metrics_out *m, const struct pressure *p,
                          const struct pressure_view *v)
{
    const struct gate_settings *g = &v->governor.gate;

    metrics_gauge(m, "admission", "What mail of a class gets now: 0 taken, 1 slowed, 2 refused.");
    for (int c = 0; c < MAIL_CLASSES; c++)
        metrics_uint(m, METRICS_LABELS({"class", mail_class_name((enum mail_class)c)}),
                     control_gate_line(p, g, (enum mail_class)c).verdict);
    metrics_gauge(m, "admission_delay_seconds", "How long a slowed MAIL waits for its reply.");
    for (int c = 0; c < MAIL_CLASSES; c++) {
        struct gate_line line = control_gate_line(p, g, (enum mail_class)c);

        metrics_ms(m, METRICS_LABELS({"class", mail_class_name((enum mail_class)c)}),
                   line.verdict == GATE_DELAY ? line.delay_ms : 0);
    }
    if (g->size_max == UINT64_MAX)
        return;
    metrics_gauge(m, "message_size_max_bytes",
                  "A larger message is refused alone; not there: no bound but the configured one.");
    metrics_uint(m, NULL, g->size_max);
}

static void add_outcome(struct metrics_out *m, const struct tally_totals *t, const char *name,
                        const char *help, enum tally_what what)
{
    metrics_counter(m, name, help);
    for (int c = 0; c < MAIL_CLASSES; c++)
        metrics_uint(m, METRICS_LABELS({"class", mail_class_name((enum mail_class)c)}),
                     t->counts[c][what]);
}

static void add_refusals(struct metrics_out *m, const struct tally_totals *t)
{
    static const struct {
        enum tally_what what;
        const char *reason;
    } reasons[] = {{TALLY_REFUSED, "pressure"},
                   {TALLY_REFUSED_SIZE, "size"},
                   {TALLY_REFUSED_LATE, "late"},
                   {TALLY_REFUSED_CONNECT, "connect"},
                   {TALLY_REFUSED_CLIENT, "client"}};

    metrics_counter(m, "refusals_total",
                    "MAILs and connections refused: for want of room, too big for now, at the end "
                    "of DATA, at connect, over a limit of the client's own.");
    for (int c = 0; c < MAIL_CLASSES; c++)
        for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
            metrics_uint(m,
                         METRICS_LABELS({"class", mail_class_name((enum mail_class)c)},
                                        {"reason", reasons[i].reason}),
                         t->counts[c][reasons[i].what]);
    metrics_counter(m, "refused_announced_bytes_total", "Bytes that refused MAILs had announced.");
    for (int c = 0; c < MAIL_CLASSES; c++)
        metrics_uint(m, METRICS_LABELS({"class", mail_class_name((enum mail_class)c)}),
                     t->bytes[c]);
    metrics_counter(m, "refusals_for_total",
                    "Refusals by the resource they were for; size and sessions as in the replies.");
    for (size_t i = 0; i < TALLY_CAUSES; i++)
        if (*tally_cause_name(i))
            metrics_uint(m, METRICS_LABELS({"resource", tally_cause_name(i)}), t->causes[i]);
}

static void add_intake(struct metrics_out *m, const struct pressure_view *v)
{
    add_outcome(m, &v->totals, "mails_accepted_total", "MAILs accepted.", TALLY_ACCEPTED);
    add_outcome(m, &v->totals, "mails_delayed_total", "MAILs whose reply was delayed (tarpit).",
                TALLY_DELAYED);
    add_refusals(m, &v->totals);
    metrics_gauge(m, "sessions", "Sessions of clients.");
    metrics_uint(m, NULL, v->sessions);
    metrics_gauge(m, "sessions_delayed", "Sessions whose reply to MAIL waits.");
    metrics_uint(m, NULL, v->delayed_sessions);
    metrics_gauge(m, "sessions_delayed_max", "So many may wait; the next is refused.");
    metrics_uint(m, NULL, v->delayed_sessions_max);
    metrics_gauge(m, "in_flight_messages", "Messages that are coming in.");
    metrics_uint(m, NULL, v->messages_in_flight);
    metrics_gauge(m, "in_flight_bytes", "Room that is set aside for them.");
    metrics_uint(m, NULL, v->bytes_in_flight);
    metrics_counter(m, "log_lines_lost_total", "Lines and records that no log has.");
    metrics_uint(m, NULL, v->log_lines_lost);
}

/* ---- remedies ---- */

static void add_remedies(struct metrics_out *m, const struct governor_view *g)
{
#define EACH_REMEDY(put, field)                                                                    \
    for (size_t i = 0; i < GOVERNOR_REMEDIES; i++)                                                 \
    put(m, METRICS_LABELS({"remedy", governor_remedy_name((enum governor_remedy)i)}),              \
        g->remedies[i].field)

    metrics_counter(m, "remedy_runs_total", "How often a remedy was run.");
    EACH_REMEDY(metrics_uint, runs);
    metrics_counter(m, "remedy_freed_bytes_total", "What its runs freed, where it is measured.");
    EACH_REMEDY(metrics_uint, total_freed);
    metrics_counter(m, "remedy_seconds_total", "How long its runs took.");
    EACH_REMEDY(metrics_us, total_took_us);
    metrics_gauge(m, "remedy_running", "1: it runs now.");
    EACH_REMEDY(metrics_uint, is_running);
#undef EACH_REMEDY
}

/* ---- queue, spool ---- */

static void add_queue(struct metrics_out *m, struct queue *q)
{
    struct schedule_totals totals;
    struct queue_figures figures;

    schedule_get_totals(queue_schedule(q), &totals);
    queue_get_figures(q, &figures);
    metrics_gauge(
        m, "queue_entries",
        "Messages at a destination: waiting for their time, for a connection, being sent, "
        "held by the operator.");
    metrics_uint(m, METRICS_LABELS({"state", "deferred"}), totals.waiting);
    metrics_uint(m, METRICS_LABELS({"state", "ready"}), totals.ready);
    metrics_uint(m, METRICS_LABELS({"state", "active"}), totals.active);
    metrics_uint(m, METRICS_LABELS({"state", "held"}), totals.held);
    metrics_gauge(m, "queue_destinations", "Destinations that have entries.");
    metrics_uint(m, NULL, totals.destinations);
    metrics_gauge(m, "queue_connections", "Connections to destinations.");
    metrics_uint(m, NULL, totals.slots);
    metrics_gauge(m, "queue_unfiled", "Messages in the spool that wait for room in the schedule.");
    metrics_uint(m, NULL, figures.unfiled);
    metrics_gauge(m, "suppression_entries", "Entries of the suppression list.");
    metrics_uint(m, METRICS_LABELS({"kind", "automatic"}),
                 figures.suppressions - figures.suppressions_operator);
    metrics_uint(m, METRICS_LABELS({"kind", "operator"}), figures.suppressions_operator);
}

static void add_spool(struct metrics_out *m, struct queue *q)
{
    struct spool_stat s;
    const struct {
        const char *name, *help;
        const uint64_t *n;
    } gauges[] = {{"spool_messages", "Messages in the spool.", &s.messages},
                  {"spool_live_bytes", "Bytes of records that are still needed.", &s.live_bytes},
                  {"spool_file_bytes", "Bytes of all segment files.", &s.file_bytes},
                  {"spool_capacity_bytes", "What the spool may take.", &s.capacity_bytes},
                  {"spool_free_bytes", "What new mail may still take.", &s.free_bytes},
                  {"spool_reserved_bytes", "Promised to messages that come in.", &s.reserved_bytes},
                  {"spool_segments", "Segment files.", &s.segments}},
      counters[] = {
          {"spool_written_bytes_total", "Bytes written.", &s.bytes_written},
          {"spool_syncs_total", "Times that the disk was waited for.", &s.syncs},
          {"spool_commits_total", "Messages made durable.", &s.commits},
          {"spool_marks_total", "Marks written to messages.", &s.marks},
          {"spool_removes_total", "Messages removed.", &s.removes},
          {"spool_compacted_bytes_total", "Bytes copied to empty a segment.", &s.compacted_bytes},
          {"spool_damaged_total", "Damaged records met.", &s.damaged}};

    spool_get_stat(queue_spool(q), &s);
    for (size_t i = 0; i < ARRAY_SIZE(gauges); i++) {
        metrics_gauge(m, gauges[i].name, gauges[i].help);
        metrics_uint(m, NULL, *gauges[i].n);
    }
    for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
        metrics_counter(m, counters[i].name, counters[i].help);
        metrics_uint(m, NULL, *counters[i].n);
    }
    metrics_gauge(m, "spool_failed", "1: it takes nothing until the server is started again.");
    metrics_uint(m, NULL, s.failed);
}

/* ---- counters ---- */

/* All that is counted by name (event/event.h). */
static void add_counters(struct metrics_out *m)
{
    for (int c = 0; c < COUNTERS; c++) {
        char name[COUNTER_NAME_MAX];

        (void)snprintf(name, sizeof(name), "%s_total", counter_name((enum counter)c));
        metrics_counter(m, name, counter_help((enum counter)c));
        metrics_uint(m, NULL, counter_get((enum counter)c));
    }
}

void answer_metrics(const struct control_seams *seams, int64_t started_ms, struct buf *to)
{
    struct metrics_out m;

    metrics_out_init(&m, to);
    add_process(&m, seams, started_ms);
    if (seams->pressure) {
        struct pressure_view v;

        pressure_get_view(seams->pressure, &v);
        add_server(&m, &v);
        add_resources(&m, &v);
        add_admission(&m, seams->pressure, &v);
        add_intake(&m, &v);
        add_remedies(&m, &v.governor);
    }
    add_queue(&m, seams->queue);
    add_spool(&m, seams->queue);
    add_counters(&m);
}
