/*
 * pressure/hands.c - the hands.
 *
 * The four that free memory run one after another, so that what each frees can be told from the
 * others: in the loops BODIES, CACHES and DNS, in a thread of its own TRIM, since malloc_trim() may
 * take long. COMPACT is the writer's, LOGS the log thread's; they go on beside them.
 *
 *     wanted --hands_run()--> running --answers are back--> governor_remedy_done(), event
 */
#include <malloc.h>

#include "base/assert.h"
#include "base/clock.h"
#include "deliver/queue.h"
#include "deliver/worker.h"
#include "event/record.h"
#include "pressure/pressure_int.h"

#define NOT_MEASURABLE UINT64_MAX
#define LOGS_LOOK_MS 50
#define LOGS_LOOKS 20
#define LOGS_SHARE 0.5 /* of their bounds that the log files keep */
#define PAUSE_MAX_MS 600000
#define MEMORY_LAST REMEDY_TRIM

static uint64_t now_us(void)
{
    return clock_mono_ns() / 1000;
}

static void run_memory(struct pressure *p);

static void done_in(struct pressure *p, enum governor_remedy r, uint64_t freed, uint64_t took_us)
{
    ASSERT(p->runs[r].is_running);
    p->runs[r].is_running = false;
    governor_remedy_done(p->governor, r, freed, took_us, p->seams.mono_ms(p->seams.ctx));
    tell_remedy(p, r, freed, took_us);
}

static void done(struct pressure *p, enum governor_remedy r, uint64_t freed)
{
    done_in(p, r, freed, now_us() - p->runs[r].began_us);
}

static void begin(struct pressure *p, enum governor_remedy r)
{
    struct remedy_run *run = &p->runs[r];

    run->is_wanted = false;
    run->is_running = true;
    run->began_us = now_us();
}

/* What the process has less than at the beginning. */
static uint64_t memory_freed(struct pressure *p, enum governor_remedy r)
{
    uint64_t now = sampler_memory(p);

    return p->runs[r].before - MIN_OF(p->runs[r].before, now);
}

/* ---- in the loops ---- */

static void relief_answered(struct parcel *parcel, void *receiver)
{
    struct loop_call *call = CONTAINER_OF(parcel, struct loop_call, parcel);
    struct pressure *p = call->pressure;
    enum governor_remedy r = call->remedy;
    uint64_t freed = 0, returned;

    (void)receiver;
    call->is_out = false;
    if (--p->reliefs_out > 0)
        return;
    for (size_t i = 0; i < p->seams.loop_count; i++)
        freed += p->reliefs[i].freed;
    /* What loops gave back to malloc may still be the process's; what the kernel got back counts
     * where it is more. */
    returned = memory_freed(p, r);
    done(p, r, MAX_OF(freed, returned));
    run_memory(p);
}

/* The loop's thread. */
static void relieve_loop(struct parcel *parcel, void *receiver)
{
    struct loop_call *call = CONTAINER_OF(parcel, struct loop_call, parcel);
    const struct pressure_loop *l = call->loop;

    (void)receiver;
    call->freed = 0;
    if (call->remedy == REMEDY_BODIES)
        call->freed = receiver_relieve(l->receiver);
    else if (call->remedy == REMEDY_CACHES)
        call->freed = worker_relieve(l->worker);
    else
        worker_flush_dns(l->worker);
    call->parcel.deliver = relief_answered;
    mailbox_post(call->pressure->seams.answers, &call->parcel);
}

static void relieve_loops(struct pressure *p, enum governor_remedy r)
{
    p->runs[r].before = sampler_memory(p);
    p->reliefs_out = p->seams.loop_count;
    if (p->reliefs_out == 0)
        done(p, r, 0);
    for (size_t i = 0; i < p->seams.loop_count; i++) {
        struct loop_call *call = &p->reliefs[i];

        call->is_out = true;
        call->remedy = r;
        call->parcel.deliver = relieve_loop;
        mailbox_post(call->loop->box, &call->parcel);
    }
}

/* ---- TRIM ---- */

static void trim_ended(struct parcel *parcel, void *receiver)
{
    struct pressure *p = CONTAINER_OF(parcel, struct pressure, trimmed);

    (void)receiver;
    thread_join(&p->trimmer);
    done(p, REMEDY_TRIM, memory_freed(p, REMEDY_TRIM));
    run_memory(p);
}

static void trim(void *ctx)
{
    struct pressure *p = ctx;

    (void)malloc_trim(0); /* what it frees is measured */
    mailbox_post(p->seams.answers, &p->trimmed);
}

static void begin_trim(struct pressure *p)
{
    p->runs[REMEDY_TRIM].before = sampler_memory(p);
    p->trimmed.deliver = trim_ended;
    if (thread_start(&p->trimmer, "trim", trim, p) < 0)
        done(p, REMEDY_TRIM, 0); /* no thread to be had: at the next chance */
}

/* ---- one after another ---- */

static void run_memory(struct pressure *p)
{
    for (size_t i = 0; i <= MEMORY_LAST; i++)
        if (p->runs[i].is_running)
            return;
    for (size_t i = 0; i <= MEMORY_LAST && !p->stopping; i++) {
        enum governor_remedy r = (enum governor_remedy)i;

        if (!p->runs[i].is_wanted)
            continue;
        begin(p, r);
        if (r == REMEDY_TRIM)
            begin_trim(p);
        else
            relieve_loops(p, r);
        if (p->runs[i].is_running)
            return;
    }
}

/* ---- COMPACT, LOGS, PAUSE ---- */

static void compacted(struct parcel *parcel, void *receiver)
{
    struct spool_request *r = CONTAINER_OF(parcel, struct spool_request, parcel);
    struct pressure *p = CONTAINER_OF(r, struct pressure, relief);

    (void)receiver;
    done(p, REMEDY_COMPACT, r->freed_bytes); /* 0 after an error */
}

static void begin_compact(struct pressure *p)
{
    p->relief = (struct spool_request){
        .parcel = {.deliver = compacted}, .op = SPOOL_OP_RELIEVE, .answer_to = p->seams.answers};
    spool_writer_post(p->seams.writer, &p->relief);
}

/* Logs on another disk than the one that is full have nothing to give. */
static bool logs_help(const struct pressure *p, enum governor_resource for_what)
{
    return p->config->log.files.directory &&
           (for_what == GOVERNOR_LOG_DISK || p->sampler.logs_share_disk);
}

static void begin_logs(struct pressure *p)
{
    if (!logs_help(p, p->runs[REMEDY_LOGS].resource)) {
        done(p, REMEDY_LOGS, 0);
        return;
    }
    record_get_relief(&p->logs_before);
    p->logs_looks = 0;
    p->logs_number = record_relieve(LOGS_SHARE);
    loop_timer_start(&p->logs_timer, LOGS_LOOK_MS);
}

/* The log thread does not answer: it is looked for what it did, and given up when that takes long,
 * on a disk that hangs. The time told is that of the work, not of the looks. */
static void look_at_logs(struct loop_timer *t)
{
    struct pressure *p = CONTAINER_OF(t, struct pressure, logs_timer);
    struct record_relief now;

    record_get_relief(&now);
    if (now.done >= p->logs_number)
        done_in(p, REMEDY_LOGS, now.freed_bytes - p->logs_before.freed_bytes,
                now.took_us - p->logs_before.took_us);
    else if (++p->logs_looks >= LOGS_LOOKS)
        done(p, REMEDY_LOGS, 0);
    else
        loop_timer_start(&p->logs_timer, LOGS_LOOK_MS);
}

/* A machine that is always busy must not keep its senders from hearing that their mail is late:
 * after PAUSE_MAX_MS as much time passes without a pause. */
static bool pause_is_due(struct pressure *p)
{
    uint64_t now_ms = p->seams.mono_ms(p->seams.ctx);

    if (!p->outcome.pause_background)
        p->pause_began_ms = now_ms;
    return p->outcome.pause_background && (now_ms - p->pause_began_ms) / PAUSE_MAX_MS % 2 == 0;
}

static void pause_background(struct pressure *p, bool paused)
{
    if (p->is_paused == paused)
        return;
    p->is_paused = paused;
    spool_writer_pause_background(p->seams.writer, paused);
    queue_pause_warnings(p->seams.queue, paused);
}

/* ---- for pressure.c ---- */

void hands_note(struct pressure *p)
{
    for (size_t i = 0; i < p->outcome.remedy_count; i++) {
        struct remedy_run *run = &p->runs[p->outcome.remedies[i].remedy];

        ASSERT(!run->is_running);
        run->is_wanted = true;
        run->resource = p->outcome.remedies[i].resource;
    }
}

static bool take_wanted(struct pressure *p, enum governor_remedy r)
{
    if (!p->runs[r].is_wanted)
        return false;
    begin(p, r);
    return true;
}

void hands_run(struct pressure *p)
{
    if (p->stopping)
        return;
    if (take_wanted(p, REMEDY_COMPACT))
        begin_compact(p);
    if (take_wanted(p, REMEDY_LOGS))
        begin_logs(p);
    pause_background(p, pause_is_due(p));
    if (take_wanted(p, REMEDY_PAUSE))
        done(p, REMEDY_PAUSE, NOT_MEASURABLE);
    run_memory(p);
}

bool hands_are_idle(const struct pressure *p)
{
    for (size_t i = 0; i < GOVERNOR_REMEDIES; i++)
        if (p->runs[i].is_running && i != REMEDY_LOGS) /* which nobody waits for */
            return false;
    return true;
}

void hands_init(struct pressure *p)
{
    loop_timer_init(&p->logs_timer, p->seams.loop, look_at_logs);
}

void hands_stop(struct pressure *p)
{
    loop_timer_stop(&p->logs_timer);
    pause_background(p, false);
    spool_writer_end_relief(p->seams.writer);
}
