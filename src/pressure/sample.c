/*
 * pressure/sample.c - the figures of one sample: the kernel's, the spool's, the queue's.
 *
 * What is measured against what, for each resource, is in docs/pressure.md.
 */
#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/err.h"
#include "deliver/queue.h"
#include "event/record.h"
#include "pressure/pressure_int.h"

#define LOGS_PART 16 /* of a disk that the logs share with the spool */

#define RESOURCE(name) [GOVERNOR_##name] = CONFIG_PRESSURE_##name
static const enum config_pressure_resource rule_of[GOVERNOR_RESOURCES] = {
    RESOURCE(SPOOL_DISK), RESOURCE(SPOOL_INODES),  RESOURCE(LOG_DISK), RESOURCE(UNCOMMITTED),
    RESOURCE(MEMORY),     RESOURCE(SYSTEM_MEMORY), RESOURCE(QUEUE),    RESOURCE(DESCRIPTORS),
    RESOURCE(CPU_STALL),  RESOURCE(MEMORY_STALL),  RESOURCE(IO_STALL),
};
_Static_assert((int)CONFIG_PRESSURE_RESOURCES == (int)GOVERNOR_RESOURCES, "one rule a resource");

/*
 * Advisory: they run remedies and never refuse. The machine's memory and CPUs, since what fills
 * them may not be ours, and refusing mail would not help (R21); waiting for disks, as a server does
 * all the time whose every message is on disk before it says so; and the disk of the logs, since
 * mail goes on without them.
 */
static bool is_advisory(enum governor_resource r)
{
    return r == GOVERNOR_SYSTEM_MEMORY || r == GOVERNOR_LOG_DISK || r == GOVERNOR_CPU_STALL ||
           r == GOVERNOR_IO_STALL;
}

void governor_settings_of(const struct config *c, uint64_t segment_bytes,
                          struct governor_settings *ret)
{
    const struct config_pressure *p = &c->pressure;

    *ret = (struct governor_settings){
        .enabled = p->enabled,
        .dwell_ms = p->dwell_ms,
        .reminder_ms = p->reminder_ms,
        .disk_counted_max = p->disk_counted_max_bytes,
        .disk_gap = segment_bytes,
        .message_share = p->message_share,
        .tarpit = {.start_ms = p->tarpit.start_ms,
                   .step_ms = p->tarpit.step_ms,
                   .max_ms = p->tarpit.max_ms},
        .remedy_interval_ms = p->remedy_interval_ms,
        .refuse_at_connect = p->refuse_at_connect,
    };
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        enum governor_resource r = (enum governor_resource)i;
        const struct config_pressure_rule *rule = &p->rules[rule_of[r]];

        ret->rules[i] = (struct governor_rule){
            .thresholds = {.low_to_medium = rule->low_to_medium,
                           .medium_to_high = rule->medium_to_high,
                           .high_to_medium = rule->high_to_medium,
                           .medium_to_low = rule->medium_to_low},
            .is_percent = r != GOVERNOR_UNCOMMITTED && r != GOVERNOR_QUEUE,
            .history = rule->history,
            .observe_only = rule->observe_only,
            .advisory = is_advisory(r),
        };
        ASSERT(governor_check_thresholds(&ret->rules[i].thresholds) == 0); /* config/check.c */
    }
}

int sampler_init(struct sampler *s, const struct pressure_seams *seams)
{
    return seams->kernel ? 0 : figures_new(&s->kernel, "");
}

void sampler_done(struct sampler *s)
{
    figures_free(&s->kernel);
}

static struct governor_figure known(uint64_t used, uint64_t limit, const char *origin)
{
    return (struct governor_figure){
        .is_known = true, .used = used, .limit = limit, .origin = origin, .why = ""};
}

static struct governor_figure unknown(const char *why)
{
    return (struct governor_figure){.origin = "", .why = why};
}

/* ---- memory ---- */

static void take_lower(struct memory_limit *l, struct figure f, const char *origin)
{
    if (f.is_known && f.value != FIGURES_NO_LIMIT && (l->bytes == 0 || f.value < l->bytes))
        *l = (struct memory_limit){.bytes = f.value, .origin = origin};
}

/*
 * RLIMIT_AS counts address space: code, stacks and what malloc has set aside, too. What anonymous
 * memory may have of it is what it has and what is not mapped yet.
 */
static struct figure bound_by_address_space(const struct figures_sample *k)
{
    struct figure max = k->address_space_max;

    if (!max.is_known || max.value == FIGURES_NO_LIMIT || !k->address_space.is_known)
        return (struct figure){.is_known = false};
    max.value = k->process.value + max.value - MIN_OF(max.value, k->address_space.value);
    return max;
}

struct memory_limit figure_memory_limit(const struct figures_sample *k, uint64_t configured)
{
    struct memory_limit l = {.origin = ""};

    if (configured > 0)
        return (struct memory_limit){.bytes = configured, .origin = "pressure.memory_limit"};
    take_lower(&l, k->total, "MemTotal");
    take_lower(&l, k->group_max, "cgroup memory limit");
    take_lower(&l, bound_by_address_space(k), "RLIMIT_AS, less what else is mapped");
    return l;
}

static void sample_memory(const struct figures_sample *k, const struct config *config,
                          struct governor_figure *ret)
{
    struct memory_limit l;

    if (!k->process.is_known) {
        *ret = unknown(k->process.why);
        return;
    }
    l = figure_memory_limit(k, config->pressure.memory_limit_bytes);
    *ret = known(k->process.value, l.bytes, l.origin);
    if (l.bytes == 0)
        *ret = unknown(k->total.why);
}

static void sample_system_memory(const struct figures_sample *k, struct governor_figure *ret)
{
    struct memory_limit l = {0};

    if (k->group_used.is_known) {
        take_lower(&l, k->group_max, "cgroup memory limit");
        take_lower(&l, k->group_high, "cgroup memory.high");
    }
    if (l.bytes > 0 && (!k->total.is_known || l.bytes < k->total.value))
        *ret = known(k->group_used.value, l.bytes, l.origin);
    else if (k->total.is_known && k->available.is_known)
        *ret = known(k->total.value - MIN_OF(k->total.value, k->available.value), k->total.value,
                     "MemTotal");
    else
        *ret = unknown(k->total.is_known ? k->available.why : k->total.why);
}

/* ---- disks ---- */

static void disk_unknown(struct governor_figure *ret, char why[static PRESSURE_TEXT_MAX],
                         const char *path, int err)
{
    (void)snprintf(why, PRESSURE_TEXT_MAX, "%.160s: %.64s", path, err_str(err));
    *ret = unknown(why);
}

/* The file systems that the spool makes segments on, each once. */
struct spool_disks {
    struct figures_disk sum;
    uint64_t devices[SPOOL_DIRECTORIES_MAX];
    size_t count, directories;
    bool has_unnumbered; /* a file system has no fixed number of inodes */
};

static bool spool_is_on(const struct spool_disks *disks, uint64_t device)
{
    for (size_t i = 0; i < disks->count; i++)
        if (disks->devices[i] == device)
            return true;
    return false;
}

static void spool_disks_add(struct spool_disks *disks, const struct figures_disk *d)
{
    disks->directories++;
    if (spool_is_on(disks, d->device))
        return;
    disks->devices[disks->count++] = d->device;
    disks->sum.total += d->total;
    disks->sum.available += MIN_OF(d->available, d->total);
    disks->sum.inodes += d->inodes;
    disks->sum.inodes_available += MIN_OF(d->inodes_available, d->inodes);
    disks->has_unnumbered |= d->inodes == 0;
}

/* `*ret_path`: of the directory that was looked at last, which is the one that failed. A directory
 * that is emptied does not count: what is free there is no use for new mail. */
static int spool_disks_take(struct pressure *p, struct spool_disks *ret, char *ret_path)
{
    const struct spool_directory_stat *list = p->sampler.directories;
    size_t count = spool_get_directories(p->seams.spool, p->sampler.directories);
    int r = 0;

    *ret = (struct spool_disks){0};
    (void)snprintf(ret_path, PRESSURE_TEXT_MAX, "%.160s", p->started->spool.directory);
    for (size_t i = 0; i < count && r == 0; i++) {
        const char *path = i == 0 ? p->started->spool.directory : list[i].path;
        struct figures_disk d = {0};

        if (list[i].draining)
            continue;
        (void)snprintf(ret_path, PRESSURE_TEXT_MAX, "%.160s", path);
        r = figures_disk(path, &d);
        if (r == 0)
            spool_disks_add(ret, &d);
    }
    return r;
}

static void sample_log_disk(struct sampler *s, const char *directory,
                            const struct spool_disks *disks, struct governor_figure *ret)
{
    struct figures_disk d;
    int r;

    s->logs_share_disk = false;
    if (!directory) {
        *ret = unknown("no log files are written: log.files.directory is none");
        return;
    }
    r = figures_disk(directory, &d);
    if (r < 0) {
        disk_unknown(ret, s->why_log, directory, r);
        return;
    }
    s->logs_share_disk = spool_is_on(disks, d.device);
    if (s->logs_share_disk) {
        *ret = unknown("the logs are on the spool's file system: spool_disk counts them");
        return;
    }
    (void)snprintf(s->log_origin, PRESSURE_TEXT_MAX, "file system of %.200s", directory);
    *ret = known(d.total - MIN_OF(d.total, d.available), d.total, s->log_origin);
}

static void sample_disks(struct pressure *p, struct governor_figure *figures)
{
    struct sampler *s = &p->sampler;
    char path[PRESSURE_TEXT_MAX];
    struct spool_disks disks;
    int r = spool_disks_take(p, &disks, path);
    const struct figures_disk *d = &disks.sum;

    if (r < 0) {
        disk_unknown(&figures[GOVERNOR_SPOOL_DISK], s->why_spool, path, r);
        figures[GOVERNOR_SPOOL_INODES] = figures[GOVERNOR_SPOOL_DISK];
    } else {
        if (disks.directories > 1)
            (void)snprintf(s->spool_origin, PRESSURE_TEXT_MAX,
                           "%zu file system%s of the spool's %zu directories", disks.count,
                           disks.count == 1 ? "" : "s", disks.directories);
        else
            (void)snprintf(s->spool_origin, PRESSURE_TEXT_MAX, "file system of %.200s", path);
        figures[GOVERNOR_SPOOL_DISK] = known(d->total - d->available, d->total, s->spool_origin);
        figures[GOVERNOR_SPOOL_INODES] =
            disks.has_unnumbered
                ? unknown("this file system has no fixed number of inodes")
                : known(d->inodes - d->inodes_available, d->inodes, s->spool_origin);
    }
    sample_log_disk(s, p->config->log.files.directory, &disks, &figures[GOVERNOR_LOG_DISK]);
}

void figure_spool_disk(struct governor_figure *disk, const struct spool_stat *st, uint64_t logs)
{
    uint64_t size_max = st->max_bytes;
    uint64_t disk_free, spool_free;

    if (!disk->is_known)
        return;
    disk->need = st->reserved_bytes + st->drain_reserve_bytes + logs;
    disk_free = disk->limit - MIN_OF(disk->limit, disk->used) + st->reusable_bytes;
    disk->used = disk->limit - MIN_OF(disk->limit, disk_free);
    if (size_max == 0)
        return;
    spool_free = size_max - MIN_OF(size_max, st->file_bytes) + st->reusable_bytes;
    if (spool_free >= disk_free)
        return;
    disk->limit = size_max;
    disk->used = size_max - MIN_OF(size_max, spool_free);
    disk->need = st->reserved_bytes + st->drain_reserve_bytes;
    disk->origin = "spool.size_max";
}

/* What the logs may still grow by before their oldest files go, about: a file of each kind. */
static uint64_t logs_allowance(const struct pressure *p, uint64_t disk_bytes)
{
    const struct config_log_files *f = &p->config->log.files;

    if (!f->directory || !p->sampler.logs_share_disk)
        return 0;
    return MIN_OF(f->file_max_bytes * RECORD_KINDS, disk_bytes / LOGS_PART);
}

/* ---- the kernel ---- */

static struct governor_figure percent_of(struct figure f, bool is_ours)
{
    if (!f.is_known)
        return unknown(f.why);
    return known(f.value / 100, 100, is_ours ? "PSI of the cgroup" : "PSI of the machine");
}

static void sample_kernel(struct pressure *p)
{
    struct governor_figure *figures = p->sample.figures;
    struct figures_sample k;

    figures_take(p->sampler.kernel, &k);
    sample_disks(p, figures);
    sample_memory(&k, p->config, &figures[GOVERNOR_MEMORY]);
    sample_system_memory(&k, &figures[GOVERNOR_SYSTEM_MEMORY]);
    if (k.descriptors.is_known && k.descriptors_max.is_known)
        figures[GOVERNOR_DESCRIPTORS] =
            known(k.descriptors.value,
                  k.descriptors_max.value == FIGURES_NO_LIMIT ? 0 : k.descriptors_max.value,
                  "RLIMIT_NOFILE");
    else
        figures[GOVERNOR_DESCRIPTORS] =
            unknown(k.descriptors.is_known ? k.descriptors_max.why : k.descriptors.why);
    figures[GOVERNOR_CPU_STALL] = percent_of(k.some[FIGURES_CPU], k.stalls_are_ours);
    figures[GOVERNOR_MEMORY_STALL] = percent_of(k.full[FIGURES_MEMORY], k.stalls_are_ours);
    figures[GOVERNOR_IO_STALL] = percent_of(k.full[FIGURES_IO], k.stalls_are_ours);
}

uint64_t sampler_memory(struct pressure *p)
{
    struct governor_sample sample = {0};
    struct figure now;

    if (!p->seams.kernel) {
        now = figures_process_memory(p->sampler.kernel);
        return now.is_known ? now.value : 0;
    }
    p->seams.kernel(p->seams.ctx, p->config, &sample);
    return sample.figures[GOVERNOR_MEMORY].is_known ? sample.figures[GOVERNOR_MEMORY].used : 0;
}

void sampler_take(struct pressure *p)
{
    struct governor_figure *figures = p->sample.figures;
    struct spool_stat *st = &p->sampler.spool;
    struct queue_figures queue;

    p->sample =
        (struct governor_sample){.message_size_max = p->config->smtp.message_size_max_bytes};
    if (p->seams.kernel)
        p->seams.kernel(p->seams.ctx, p->config, &p->sample);
    else
        sample_kernel(p);
    spool_get_stat(p->seams.spool, st);
    figure_spool_disk(&figures[GOVERNOR_SPOOL_DISK], st,
                      logs_allowance(p, figures[GOVERNOR_SPOOL_DISK].limit));
    figures[GOVERNOR_UNCOMMITTED] =
        known(spool_writer_uncommitted_bytes(p->seams.writer), 0, "the spool's writer");
    queue_get_figures(p->seams.queue, &queue);
    figures[GOVERNOR_QUEUE] =
        known(atomic_load_explicit(&p->seams.shared->commits_unfiled, memory_order_relaxed) +
                  queue.unfiled,
              0, "the queue manager");
}
