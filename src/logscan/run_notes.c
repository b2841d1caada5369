/*
 * logscan/run_notes.c - what a run has to say for itself, at the end of each report.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "logscan/run.h"
#include "logscan/stamp.h"

#define FILES_TOLD 8 /* of a kind, by name */

typedef bool file_test(const struct log_file *f);

static bool is_unknown(const struct log_file *f)
{
    return f->error == 0 && !f->format && f->bytes == 0;
}

static bool has_failed(const struct log_file *f)
{
    return f->error < 0;
}

static bool has_inferred(const struct log_file *f)
{
    return f->year_inferred && f->rows > 0;
}

static size_t count_files(const struct log_run *r, file_test *test)
{
    size_t n = 0;

    for (size_t i = 0; i < log_run_file_count(r); i++)
        n += test(log_run_file(r, i));
    return n;
}

static void note_rows(const struct log_run *r, struct log_report *to)
{
    const struct log_tally *t = log_run_tally(r);
    uint64_t bytes = 0, skipped = 0;

    for (size_t i = 0; i < log_run_file_count(r); i++)
        bytes += log_run_file(r, i)->bytes;
    for (size_t i = 0; i < LOG_SKIPS; i++)
        skipped += t->skipped[i];
    log_report_note(to,
                    "%" PRIu64 " row%s read, %" PRIu64 " line%s skipped, %" PRIu64
                    " header line%s; %zu file%s, %" PRIu64 " byte%s; days and times are of %s",
                    t->rows, log_plural(t->rows), skipped, log_plural(skipped), t->headers,
                    log_plural(t->headers), log_run_file_count(r),
                    log_plural(log_run_file_count(r)), bytes, log_plural(bytes), stamp_zone_name());
}

static void note_formats(const struct log_run *r, struct log_report *to)
{
    for (size_t f = 0; log_formats[f]; f++) {
        size_t files = 0;
        uint64_t rows = 0;

        for (size_t i = 0; i < log_run_file_count(r); i++) {
            const struct log_file *file = log_run_file(r, i);

            if (file->format == log_formats[f]) {
                files++;
                rows += file->rows;
            }
        }
        if (files > 0)
            log_report_note(to, "%s (%s): %zu file%s, %" PRIu64 " row%s", log_formats[f]->title,
                            log_formats[f]->name, files, log_plural(files), rows, log_plural(rows));
    }
}

static void note_skips(const struct log_run *r, struct log_report *to)
{
    const struct log_tally *t = log_run_tally(r);

    for (size_t i = 0; i < LOG_SKIPS; i++)
        if (t->skipped[i] > 0)
            log_report_note(to, "skipped %" PRIu64 ": %s; the first is %s:%" PRIu64, t->skipped[i],
                            log_skip_text((enum log_skip)i),
                            log_run_file(r, t->first[i].file)->path, t->first[i].line);
}

static const char *unknown_text(const struct log_file *f)
{
    return f->is_empty ? "it is empty"
                       : "of no format that is known, passed over: --format names one";
}

static const char *error_text(int error)
{
    switch (error) {
    case -EBADMSG:
        return "its compressed data is damaged; what comes before is in the report";
    case -ENODATA:
        return "its compressed data ends in the middle (it may still be written); what comes "
               "before is in the report";
    default:
        return strerror(-error);
    }
}

static void note_files(const struct log_run *r, struct log_report *to)
{
    size_t told = 0, unknown = count_files(r, is_unknown), failed = count_files(r, has_failed);

    for (size_t i = 0; i < log_run_file_count(r) && told < FILES_TOLD; i++) {
        const struct log_file *f = log_run_file(r, i);

        if (!is_unknown(f) && !has_failed(f))
            continue;
        told++;
        log_report_note(to, "%s: %s", f->path,
                        f->error < 0 ? error_text(f->error) : unknown_text(f));
    }
    if (unknown + failed > told)
        log_report_note(to, "%zu more file%s could not be read or of no known format",
                        unknown + failed - told, log_plural(unknown + failed - told));
}

static bool has_shrunk(const struct log_file *f)
{
    return f->is_short || f->size_end < f->size_begin;
}

static bool has_changed(const struct log_file *f)
{
    return has_shrunk(f) || f->size_end > f->size_begin;
}

/* A log that is written to grows; what shrinks was cut or written anew by somebody. */
static void note_changes(const struct log_run *r, struct log_report *to)
{
    size_t told = 0, changed = count_files(r, has_changed);

    for (size_t i = 0; i < log_run_file_count(r) && told < FILES_TOLD; i++) {
        const struct log_file *f = log_run_file(r, i);

        if (!has_changed(f))
            continue;
        told++;
        log_report_note(
            to,
            "%s %s while it was read: %" PRIu64 " byte%s at the begin, %" PRIu64 " at the end; %s",
            f->path, has_shrunk(f) ? "shrank" : "grew", f->size_begin, log_plural(f->size_begin),
            f->size_end,
            has_shrunk(f) ? "what was cut off may be missing here: read the rotated file, or a copy"
                          : "what was added may be missing here: run it again to have it");
    }
    if (changed > told)
        log_report_note(to, "%zu more file%s changed while being read", changed - told,
                        log_plural(changed - told));
}

void log_run_notes(const struct log_run *r, struct log_report *to)
{
    size_t inferred = count_files(r, has_inferred);
    const char *first;
    size_t passed_over = log_run_passed_over(r, &first);

    note_rows(r, to);
    note_formats(r, to);
    note_skips(r, to);
    note_files(r, to);
    note_changes(r, to);
    if (passed_over > 0)
        log_report_note(to,
                        "%zu name%s passed over: hidden, or no files (pipes, devices, links to "
                        "folders); the first is %s",
                        passed_over, log_plural(passed_over), first);
    if (inferred > 0)
        log_report_note(to,
                        "stamps without a year in %zu file%s: the year is inferred from the time "
                        "of the file's last change (--year Y says it)",
                        inferred, log_plural(inferred));
}
