/*
 * pressure/pressure_int.h - private to pressure/: pressure.c (the sample's round, reports of loops,
 * views), sample.c (figures), hands.c (the hands), tell.c (events).
 */
#pragma once

#include "config/config.h"
#include "event/record.h"
#include "io/figures.h"
#include "io/loop.h"
#include "io/thread.h"
#include "pressure/pressure.h"
#include "spool/spool.h"
#include "spool/writer.h"

#define PRESSURE_TEXT_MAX 256

/* A parcel to a loop and back: its report, or a remedy there. */
struct loop_call {
    struct parcel parcel;
    struct pressure *pressure;
    const struct pressure_loop *loop;
    bool is_out;
    enum governor_remedy remedy;
    uint64_t freed;
    struct receive_report report;
};

/* A remedy that was asked for. */
struct remedy_run {
    bool is_wanted, is_running;
    bool freed_nothing;              /* the last time */
    enum governor_resource resource; /* for which */
    uint64_t began_us, before;       /* before: bytes in use, or freed so far, when it began */
};

/* What figures are made of: everything that lives longer than one sample. */
struct sampler {
    struct figures *kernel; /* NULL where the seams have a kernel of their own */
    char spool_origin[PRESSURE_TEXT_MAX], log_origin[PRESSURE_TEXT_MAX];
    char why_spool[PRESSURE_TEXT_MAX], why_log[PRESSURE_TEXT_MAX];
    bool logs_share_disk;    /* with the spool */
    struct spool_stat spool; /* of the last sample */
    struct spool_directory_stat directories[SPOOL_DIRECTORIES_MAX];
};

struct pressure {
    struct pressure_seams seams;
    const struct config *config;
    const struct config *started; /* with: the spool is where it says */
    struct pressure_loop *loops;
    struct loop_call *reports, *reliefs; /* one a loop each */
    struct receive_report *last;         /* of each loop */
    struct governor *governor;
    struct tally *tally;
    struct loop_timer timer;
    struct sampler sampler;
    struct governor_sample sample;
    struct governor_outcome outcome;
    struct governor_view view; /* scratch for tell.c */
    int64_t taken_ms;
    bool stopping;

    struct remedy_run runs[GOVERNOR_REMEDIES];
    bool is_paused; /* REMEDY_PAUSE is in force */
    uint64_t pause_began_ms;
    size_t reliefs_out;           /* of the remedy under way in the loops */
    struct loop_timer logs_timer; /* REMEDY_LOGS */
    unsigned logs_looks;
    uint64_t logs_number; /* of the relief that was asked for */
    struct record_relief logs_before;
    struct spool_request relief; /* REMEDY_COMPACT */
    struct thread trimmer;       /* REMEDY_TRIM */
    struct parcel trimmed;
};

/* ---- sample.c ---- */

MUST_CHECK int sampler_init(struct sampler *s, const struct pressure_seams *seams);
void sampler_done(struct sampler *s);
/* Fills p->sample. */
void sampler_take(struct pressure *p);
/* The process's memory now; 0 where it is not known. */
uint64_t sampler_memory(struct pressure *p);
void governor_settings_of(const struct config *c, uint64_t segment_bytes,
                          struct governor_settings *ret);

/*
 * The parts of it that decide, as pure functions.
 *
 * The spool's disk: `disk` is the file system's figure; what the spool can use again counts as
 * free, and where spool.size_max leaves less room than the disk, that is the limit. `logs`: bytes
 * to keep for log files that lie there too.
 */
void figure_spool_disk(struct governor_figure *disk, const struct spool_stat *st, uint64_t logs);
/* Memory and the limit that kills (R19, R22): the lowest of `configured` (when not 0, alone), the
 * control group's, the machine's and the address space's. `*origin` names it. */
struct memory_limit {
    uint64_t bytes;
    const char *origin;
};
struct memory_limit figure_memory_limit(const struct figures_sample *k, uint64_t configured);

/* ---- hands.c ---- */

void hands_init(struct pressure *p);
/* Notes what the outcome asks for; hands_run() does it. */
void hands_note(struct pressure *p);
/* Once a sample: begins what is wanted. */
void hands_run(struct pressure *p);
bool hands_are_idle(const struct pressure *p);
/* Nothing more is begun, relief of the spool ends early; background work goes on. */
void hands_stop(struct pressure *p);

/* ---- tell.c ---- */

void tell_outcome(struct pressure *p);
void tell_remedy(struct pressure *p, enum governor_remedy r, uint64_t freed, uint64_t took_us);
