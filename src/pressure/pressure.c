/*
 * pressure/pressure.c - the round of one sample, and what people see of it.
 *
 *     timer -> sampler_take() -> governor_tick() -> gate_set() -> tell_outcome() -> hands_run()
 *          `-> a parcel to each loop: receiver_take_report() -> back: tally_add()
 *
 * The gate is set before anything else is done with the outcome: refusing begins within the sample
 * that crossed.
 */
#include "pressure/pressure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "deliver/worker.h"
#include "event/event.h"
#include "pressure/pressure_int.h"

static uint64_t now_ms(const struct pressure *p)
{
    return p->seams.mono_ms(p->seams.ctx);
}

/* ---- reports of loops ---- */

static void report_arrived(struct parcel *parcel, void *receiver)
{
    struct loop_call *call = CONTAINER_OF(parcel, struct loop_call, parcel);
    struct pressure *p = call->pressure;

    (void)receiver;
    call->is_out = false;
    p->last[call - p->reports] = call->report;
    tally_add(p->tally, &call->report.tally, now_ms(p));
}

/* The loop's thread. */
static void report_loop(struct parcel *parcel, void *receiver)
{
    struct loop_call *call = CONTAINER_OF(parcel, struct loop_call, parcel);

    (void)receiver;
    receiver_take_report(call->loop->receiver, &call->report);
    call->parcel.deliver = report_arrived;
    mailbox_post(call->pressure->seams.answers, &call->parcel);
}

/* A loop that has not yet answered the last one is not asked again. */
static void ask_reports(struct pressure *p)
{
    for (size_t i = 0; i < p->seams.loop_count; i++) {
        struct loop_call *call = &p->reports[i];

        if (call->is_out)
            continue;
        call->is_out = true;
        call->parcel.deliver = report_loop;
        mailbox_post(call->loop->box, &call->parcel);
    }
}

/* ---- a sample ---- */

static void set_body_memory(struct pressure *p)
{
    const struct governor_figure *f = &p->sample.figures[GOVERNOR_MEMORY];
    double share = p->config->pressure.body_memory_share;
    uint64_t most =
        f->is_known && p->config->pressure.enabled ? (uint64_t)((double)f->limit * share) : 0;

    atomic_store_explicit(&p->seams.shared->body_memory_max, most, memory_order_relaxed);
}

/* Looks and decides, and does nothing yet but to open or close the gate. */
static void look(struct pressure *p)
{
    sampler_take(p);
    p->taken_ms = clock_wall_ms();
    governor_tick(p->governor, &p->sample, now_ms(p), &p->outcome);
    gate_set(p->seams.gate, &p->outcome.gate);
    set_body_memory(p);
    tell_outcome(p);
    hands_note(p);
}

void pressure_sample(struct pressure *p)
{
    look(p);
    hands_run(p);
    ask_reports(p);
}

static void on_timer(struct loop_timer *t)
{
    struct pressure *p = CONTAINER_OF(t, struct pressure, timer);

    pressure_sample(p);
    loop_timer_start(&p->timer, p->config->pressure.interval_ms);
}

/* ---- the object ---- */

static int make_calls(struct pressure *p, struct loop_call **ret)
{
    struct loop_call *calls = calloc(p->seams.loop_count + 1, sizeof(*calls));

    if (!calls)
        return -ENOMEM;
    for (size_t i = 0; i < p->seams.loop_count; i++)
        calls[i] = (struct loop_call){.pressure = p, .loop = &p->loops[i]};
    *ret = calls;
    return 0;
}

static int make_loops(struct pressure *p)
{
    int r;

    p->loops = calloc(p->seams.loop_count + 1, sizeof(*p->loops));
    if (!p->loops)
        return -ENOMEM;
    for (size_t i = 0; i < p->seams.loop_count; i++)
        p->loops[i] = p->seams.loops[i];
    p->seams.loops = p->loops;
    p->last = calloc(p->seams.loop_count + 1, sizeof(*p->last));
    if (!p->last)
        return -ENOMEM;
    r = make_calls(p, &p->reports);
    return r < 0 ? r : make_calls(p, &p->reliefs);
}

static int make_governor(struct pressure *p)
{
    struct governor_settings settings;
    struct spool_stat st;
    int r;

    spool_get_stat(p->seams.spool, &st);
    governor_settings_of(p->config, st.segment_bytes, &settings);
    r = governor_new(&p->governor, &settings, now_ms(p));
    return r < 0 ? r : tally_new(&p->tally, now_ms(p));
}

int pressure_new(struct pressure **ret, const struct pressure_seams *seams,
                 const struct config *config)
{
    struct pressure *p = calloc(1, sizeof(*p));
    int r;

    if (!p)
        return -ENOMEM;
    p->seams = *seams;
    p->config = config_ref(config);
    p->started = config_ref(config);
    loop_timer_init(&p->timer, seams->loop, on_timer);
    hands_init(p);
    r = make_loops(p);
    if (r == 0)
        r = sampler_init(&p->sampler, seams);
    if (r == 0)
        r = make_governor(p);
    if (r < 0) {
        pressure_free(&p);
        return r;
    }
    /* The loops may not run yet: what is to be done is done with the next sample. */
    look(p);
    loop_timer_start(&p->timer, config->pressure.interval_ms);
    *ret = p;
    return 0;
}

void pressure_stop(struct pressure *p)
{
    p->stopping = true;
    loop_timer_stop(&p->timer);
    hands_stop(p);
}

bool pressure_is_idle(const struct pressure *p)
{
    for (size_t i = 0; i < p->seams.loop_count; i++)
        if (p->reports[i].is_out || p->reliefs[i].is_out)
            return false;
    return hands_are_idle(p);
}

void pressure_free(struct pressure **pp)
{
    struct pressure *p = *pp;

    if (!p)
        return;
    loop_timer_stop(&p->timer);
    loop_timer_stop(&p->logs_timer);
    governor_free(&p->governor);
    tally_free(&p->tally);
    sampler_done(&p->sampler);
    config_unref(&p->config);
    config_unref(&p->started);
    free(p->reports);
    free(p->last);
    free(p->reliefs);
    free(p->loops);
    free(p);
    *pp = NULL;
}

void pressure_set_config(struct pressure *p, const struct config *config)
{
    const struct config *old = p->config;
    struct governor_settings settings;

    p->config = config_ref(config);
    governor_settings_of(config, p->sampler.spool.segment_bytes, &settings);
    governor_set_settings(p->governor, &settings);
    if (!p->stopping && config->pressure.interval_ms != old->pressure.interval_ms)
        loop_timer_start(&p->timer, config->pressure.interval_ms);
    config_unref(&old);
}

/* ---- for people ---- */

/* Keeps `ret` in order, the largest first. */
static void add_holder(struct pressure_view *ret, const struct receive_holder *h)
{
    size_t at = ret->holder_count;

    while (at > 0 && ret->holders[at - 1].bytes < h->bytes)
        at--;
    if (at == PRESSURE_HOLDERS_MAX)
        return;
    if (ret->holder_count < PRESSURE_HOLDERS_MAX)
        ret->holder_count++;
    memmove(&ret->holders[at + 1], &ret->holders[at],
            (ret->holder_count - at - 1) * sizeof(ret->holders[0]));
    ret->holders[at] = (struct pressure_holder){
        .bytes = h->bytes, .since_ms = h->since_ms > 0 ? (uint64_t)h->since_ms : 0};
    memcpy(ret->holders[at].client, h->client, sizeof(h->client));
    memcpy(ret->holders[at].sender, h->sender, sizeof(h->sender));
}

static void add_report(struct pressure_view *ret, const struct receive_report *r)
{
    ret->sessions += r->sessions;
    ret->messages_in_flight += r->messages_in_flight;
    ret->bytes_in_flight += r->bytes_in_flight;
    for (size_t i = 0; i < r->holder_count; i++)
        add_holder(ret, &r->holders[i]);
}

void pressure_get_view(struct pressure *p, struct pressure_view *ret)
{
    const struct receive_shared *shared = p->seams.shared;

    memset(ret, 0, sizeof(*ret));
    ret->enabled = p->config->pressure.enabled;
    ret->taken_ms = p->taken_ms;
    ret->config = p->config;
    ret->spool_directory = p->started->spool.directory;
    governor_get_view(p->governor, &ret->governor);
    for (size_t i = 0; i < TALLY_SPANS; i++)
        tally_get(p->tally, (enum tally_span)i, now_ms(p), &ret->sums[i]);
    tally_get_totals(p->tally, &ret->totals);
    for (size_t i = 0; i < p->seams.loop_count; i++)
        add_report(ret, &p->last[i]);
    ret->delayed_sessions = atomic_load_explicit(&shared->delayed, memory_order_relaxed);
    ret->delayed_sessions_max = p->config->pressure.tarpit.sessions_max;
    ret->log_lines_lost = counter_get(COUNTER_LOG_DROPPED) + counter_get(COUNTER_RECORDS_DROPPED);
}

enum gate_verdict pressure_ready(const struct pressure *p, enum mail_class c, uint8_t *ret_resource)
{
    struct gate_line line = gate_ask(p->seams.gate, c);

    if (line.verdict == GATE_OPEN &&
        atomic_load_explicit(&p->seams.shared->queue_is_full, memory_order_relaxed))
        line = (struct gate_line){.verdict = GATE_REFUSE, .resource = GOVERNOR_QUEUE};
    *ret_resource = line.resource;
    return line.verdict;
}
