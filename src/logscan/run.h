/*
 * logscan/run.h - reads files of logs on all cores and hands their chunks, in order, to a report.
 *
 * Files, folders (all files in them and below), globs and "-" (standard input); plain, gzip or zstd by
 * content. Files are read one after the other, the one whose first line is oldest first. Plain files
 * are read in chunks by whichever thread is free; a stream is decompressed by one while the others
 * scan what it gave. Nothing is mapped, so a file that shrinks is a short read and no fault.
 *
 * Memory: RUN_WINDOW chunks a thread are in flight at most, each with its facts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "logscan/scan.h"
#include "logscan/sheet.h"

#define RUN_THREADS_MAX 64
#define RUN_WINDOW 4
#define RUN_FILES_MAX 100000

struct log_run_config {
    const char *const *paths;
    size_t path_count;
    const struct log_format *format; /* NULL: by content */
    unsigned threads;                /* 0: one a core */
    unsigned wants;                  /* WANT_... */
    int year;                        /* of the first stamp without one; 0: by the file's time */
    /* Called now and then by any thread, one at a time; NULL: nobody looks. `total` is 0 where it is
     * not known. `rows` are those merged. */
    void (*progress)(void *ctx, uint64_t bytes, uint64_t total, uint64_t rows);
    void *ctx;
};

struct log_file {
    const char *path;                /* "-" : standard input */
    const struct log_format *format; /* NULL: unknown, nothing of it was read */
    uint64_t bytes;                  /* read, after decompression */
    uint64_t rows;
    int error; /* -errno: reading ended there */
    bool year_inferred;
    bool is_empty; /* and so of no format */
    uint64_t size_begin,
        size_end;  /* as it is on the disk, when reading begins and ends; 0: on none */
    bool is_short; /* it was shorter in between */
};

/* What a report does. `ctx` is its own. */
struct log_reader {
    /* Any thread, chunks in any order; NULL: the format's scan. What it makes of its own goes into
     * s->own. With a scan of the report's own the format's merge() is not called. */
    void (*scan)(void *ctx, struct log_scan *s);
    /* In order, one call at a time. Frees s->own. 0 or -errno, which ends the run. */
    int (*merge)(void *ctx, struct log_scan *s);
    void (*discard)(void *own); /* of a chunk that is not merged; NULL: nothing to do */
    void *ctx;
};

struct log_run; /* what was read; opaque */

/*
 * Borrows `c` and `r` for the call. 0: all was read, with what could not be told by log_run_notes().
 * -ENOENT: no file; -E2BIG: more than RUN_FILES_MAX; -ENAMETOOLONG; -ENOMEM; what merge() returned. `why` has a sentence. *ret is set in any case but -ENOMEM at the begin.
 */
MUST_CHECK int log_run(struct log_run **ret, const struct log_run_config *c,
                       const struct log_reader *r, struct buf *why);
void log_run_free(struct log_run **r);
size_t log_run_file_count(const struct log_run *r);
const struct log_file *log_run_file(const struct log_run *r, size_t i);
/* Names in folders that were passed over (hidden, sockets, devices, links to folders), and the first of
 * them. */
size_t log_run_passed_over(const struct log_run *r, const char **ret_first);
/* Of all files; the first places have their line. */
const struct log_tally *log_run_tally(const struct log_run *r);
/* Sentences for the end of each report: rows read, what was skipped and why with the first place of
 * each kind, files that could not be read, are of no known format or changed meanwhile, years inferred. */
void log_run_notes(const struct log_run *r, struct log_report *to);
