/*
 * governor/governor.h - samples in; levels, remedies and admission out.
 *
 * Each resource has a level, normal, medium or high, from four transition thresholds (as Exchange
 * 2016 has them), and the server has the highest of those that count. Going up compares with >=,
 * going down with <=:
 *
 *     from normal:  >= medium_to_high -> high;   >= low_to_medium -> medium
 *     from medium:  >= medium_to_high -> high;   <= medium_to_low -> normal
 *     from high:    <= medium_to_low  -> normal; <= high_to_medium -> medium
 *     else the level stays, where medium_to_low < low_to_medium <= high_to_medium < medium_to_high
 *
 * A rise is made at once. A fall is made only when the level has lasted for `dwell_ms`, so that a
 * value which jumps about makes at most one pair of transitions a dwell.
 *
 * The server's level rises and falls by the same rules: the highest of those that count, at once
 * up, and down after the dwell.
 *
 * History: a resource with a history of n samples delays (tarpits) the lowest class while it is
 * medium. It may be off normal for n samples on end; with the next it hardens, and from then on
 * mail is refused until it is back at normal. A history of 0 refuses at once. What each level lets
 * in is drawn in governor/admission.h.
 *
 * Relief comes before refusal: above medium_to_low, still at level normal, the remedies for a
 * resource are asked for, in the order of enum governor_remedy.
 *
 * Advisory resources and those that are observed only never enter the server's level; what an
 * observed one would have done is told all the same. An advisory one asks for remedies, an observed
 * one does not.
 *
 * Percentages, needs of disks and what small disks do to them: governor/thresholds.h. Limits that
 * go down and figures that are not known: governor/resource.h.
 *
 * No I/O, no clock, no randomness: samples and monotonic times are handed in. One thread (the queue
 * thread). Everything is bounded and allocated by governor_new().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "governor/gate.h"
#include "governor/level_time.h"
#include "governor/tally.h"

/* X(constant, name in settings and views, token in replies, name in Exchange's view, unit). */
#define GOVERNOR_RESOURCES_TABLE(X)                                                                \
    X(GOVERNOR_SPOOL_DISK, "spool_disk", "spool-disk", "DatabaseUsedSpace", "bytes")               \
    X(GOVERNOR_SPOOL_INODES, "spool_inodes", "spool-disk", "UsedInodes", "inodes")                 \
    X(GOVERNOR_LOG_DISK, "log_disk", "log-disk", "UsedDiskSpace", "bytes")                         \
    X(GOVERNOR_UNCOMMITTED, "uncommitted", "uncommitted", "UsedVersionBuckets", "bytes")           \
    X(GOVERNOR_MEMORY, "memory", "memory", "PrivateBytes", "bytes")                                \
    X(GOVERNOR_SYSTEM_MEMORY, "system_memory", "memory", "SystemMemory", "bytes")                  \
    X(GOVERNOR_QUEUE, "queue", "queue", "QueueLength[SubmissionQueue]", "messages")                \
    X(GOVERNOR_DESCRIPTORS, "descriptors", "descriptors", "Descriptors", "descriptors")            \
    X(GOVERNOR_CPU_STALL, "cpu_stall", "load", "ProcessorStall", "percent")                        \
    X(GOVERNOR_MEMORY_STALL, "memory_stall", "memory", "MemoryStall", "percent")                   \
    X(GOVERNOR_IO_STALL, "io_stall", "load", "DiskStall", "percent")

#define GOVERNOR_ENUM_LINE(constant, ...) constant,
enum governor_resource { GOVERNOR_RESOURCES_TABLE(GOVERNOR_ENUM_LINE) GOVERNOR_RESOURCES };

/* In the order in which they are tried. X(constant, name, what it does). */
#define GOVERNOR_REMEDIES_TABLE(X)                                                                 \
    X(REMEDY_BODIES, "drop_bodies", "drop message bodies from memory that are safe in the spool")  \
    X(REMEDY_CACHES, "shrink_caches", "close idle outgoing connections, shrink session buffers")   \
    X(REMEDY_DNS, "flush_dns", "flush the DNS cache")                                              \
    X(REMEDY_TRIM, "return_memory", "return free memory to the kernel")                            \
    X(REMEDY_COMPACT, "compact_spool", "compact segments, return spare ones to the file system")   \
    X(REMEDY_LOGS, "rotate_logs", "rotate logs early and remove the oldest")                       \
    X(REMEDY_PAUSE, "pause_background", "pause delay warnings and background compaction")
enum governor_remedy { GOVERNOR_REMEDIES_TABLE(GOVERNOR_ENUM_LINE) GOVERNOR_REMEDIES };

const char *governor_level_name(enum pressure_level l); /* "normal", "medium", "high" */
const char *governor_resource_name(enum governor_resource r);
const char *governor_resource_exchange_name(enum governor_resource r);
const char *governor_resource_unit(enum governor_resource r);
const char *governor_remedy_name(enum governor_remedy r);
const char *governor_remedy_what(enum governor_remedy r);
/* Does relieving `r` help resource `res`? The table of docs/pressure.md. */
bool governor_remedy_helps(enum governor_remedy r, enum governor_resource res);

struct governor_thresholds {
    uint64_t low_to_medium, medium_to_high, high_to_medium, medium_to_low;
};
/* 0, or -EINVAL when medium_to_low < low_to_medium <= high_to_medium < medium_to_high is broken. */
MUST_CHECK int governor_check_thresholds(const struct governor_thresholds *t);

struct governor_rule {
    /* In percent of the sample's limit, rounded down as Exchange does (the value is
     * floor(100 * used / limit)), or in the resource's unit. */
    struct governor_thresholds thresholds;
    bool is_percent;
    uint32_t history; /* samples */
    bool observe_only, advisory;
};

struct governor_settings {
    struct governor_rule rules[GOVERNOR_RESOURCES];
    bool enabled; /* false: levels are kept, nothing is refused, no remedy is run */
    uint64_t dwell_ms, reminder_ms;
    uint64_t disk_counted_max; /* percentages of a disk count so much of it at most (R12) */
    uint64_t disk_gap;         /* steps between disk thresholds in bytes at least: a segment (R9) */
    double message_share;      /* of the room under the high line that one message may take (R24) */
    struct {
        uint64_t start_ms, step_ms, max_ms;
    } tarpit;
    uint64_t remedy_interval_ms; /* one remedy runs no more often; without effect, twice as rarely
                                    each time, to 16 times */
    bool refuse_at_connect;      /* external clients get 421 4.3.2 at high (R26) */
};

struct governor_sample {
    struct governor_figure {
        bool is_known;        /* false: this kernel or this moment has no figure; `why` says so */
        uint64_t used, limit; /* in the resource's unit; limit 0: none */
        uint64_t need; /* disks: what must stay free whatever the percentages say: bytes in flight,
                          drain reserve, logs */
        const char *origin; /* where the limit comes from: "cgroup memory.max", "statvfs /var" */
        const char *why;    /* where not known; both borrowed until the next tick */
    } figures[GOVERNOR_RESOURCES];
    uint64_t message_size_max; /* smtp.message_size_max */
};

/* What changed, for the event log (R2). */
struct governor_transition {
    uint64_t at_ms;
    enum governor_resource resource; /* GOVERNOR_RESOURCES: the server's level */
    enum governor_resource cause;    /* `resource`, or the one that moved the server's level */
    enum pressure_level from, to;
    uint64_t value, threshold, limit; /* of `cause`: what crossed, and what it crossed, as they
                                         count: in the resource's unit */
    uint64_t lasted_ms;               /* the level that ended */
    bool counts;                      /* false: advisory or observed only */
};
#define GOVERNOR_TRANSITIONS_MAX (GOVERNOR_RESOURCES + 1) /* in one tick */
#define GOVERNOR_HISTORY_MAX 64                           /* kept for people */

struct governor_outcome {
    struct governor_transition transitions[GOVERNOR_TRANSITIONS_MAX];
    size_t transition_count;
    struct {
        enum governor_remedy remedy;
        enum governor_resource resource; /* whose pressure asks for it */
    } remedies[GOVERNOR_REMEDIES];
    size_t remedy_count;
    bool pause_background; /* REMEDY_PAUSE is a state: asked for when it begins, over when false */
    bool starts_refusing, stops_refusing; /* any class; `refusing_for` says why */
    enum governor_resource refusing_for;
    bool reminder;             /* still above normal after reminder_ms: say it once more */
    struct gate_settings gate; /* to publish with gate_set() */
};

struct governor; /* opaque */
/* 0 or -ENOMEM. */
MUST_CHECK int governor_new(struct governor **ret, const struct governor_settings *s,
                            uint64_t now_ms);
void governor_free(struct governor **g);
/* A reload: levels stay, and are judged by the new thresholds at the next tick. */
void governor_set_settings(struct governor *g, const struct governor_settings *s);
/* One sample. `now_ms` is monotonic; one that is not later than the last is no time passed. */
void governor_tick(struct governor *g, const struct governor_sample *sample, uint64_t now_ms,
                   struct governor_outcome *ret);
/* A remedy that an outcome asked for has ended, also where it could do nothing: it is not asked for
 * again before. `freed` is in bytes; UINT64_MAX: not measurable. REMEDY_PAUSE is done when the
 * pause has begun. */
void governor_remedy_done(struct governor *g, enum governor_remedy r, uint64_t freed,
                          uint64_t took_us, uint64_t now_ms);

/* ---- for people ---- */

struct governor_resource_view {
    struct governor_rule rule;
    struct governor_figure figure;        /* with the limit that counts; not known: as last known */
    struct governor_thresholds effective; /* in the resource's unit, from percentages and need */
    enum pressure_level level, previous;
    uint64_t since_ms;   /* monotonic, of the level */
    uint64_t to_free;    /* to be normal again; 0: it is */
    uint32_t off_normal; /* samples on end */
    bool has_hardened;
    double trend; /* change of `used` a second, over the last minutes; 0: none known */
    /* Until medium, until high and until the limit with this trend: INT64_MAX: never. */
    int64_t medium_in_s, high_in_s, full_in_s;
    struct level_sums at_level;
};
struct governor_remedy_view {
    uint64_t runs, last_at_ms, last_took_us, last_freed, total_took_us, total_freed;
    bool is_running, is_measured; /* is_measured: last_freed says something */
    enum governor_resource last_for;
};
struct governor_view {
    enum pressure_level level, previous;
    uint64_t now_ms, since_ms, samples;
    enum governor_resource cause; /* of `level`; at normal, of the last one above */
    struct governor_resource_view resources[GOVERNOR_RESOURCES];
    struct governor_remedy_view remedies[GOVERNOR_REMEDIES];
    struct governor_transition history[GOVERNOR_HISTORY_MAX]; /* newest first */
    size_t history_count;
    struct level_sums at_level;
    uint64_t transitions, suppressed; /* suppressed: falls held back by the dwell */
    struct gate_settings gate;
};
void governor_get_view(const struct governor *g, struct governor_view *ret);
