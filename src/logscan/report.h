/*
 * logscan/report.h - what a report is: something that takes the facts of chunks in order, and makes
 * tables of them at the end.
 *
 * Each is one file, report_NAME.c, with one struct log_report_kind. Threads: one at a time; the run
 * calls facts() from whichever thread merges.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "evidence/knowledge.h"
#include "logscan/scan.h"
#include "logscan/sheet.h"

enum log_by { BY_NOTHING, BY_HOST, BY_DOMAIN, BY_PROVIDER, BY_CONNECTOR };

#define LOG_OWN_MAX 256

struct log_report_options {            /* borrowed for the report's life */
    const struct knowledge *knowledge; /* of replies and providers */
    unsigned classes; /* bit n: replies n00 to n99 count; 0: the report's own choice */
    enum log_by by;
    size_t rows_max;            /* of a table; 0: the report's own choice */
    const char *const *own;     /* our own hosts and networks: names, addresses, "192.0.2.0/24" */
    size_t own_count;           /* at most LOG_OWN_MAX */
    int64_t since_ms, until_ms; /* facts outside are left out; INT64_MIN, INT64_MAX: all count */
    uint64_t seed;              /* of hash tables: random */
};

struct log_report_kind {
    const char *name; /* "status" */
    const char *what; /* one line for --help */
    /* WANT_... of log_run_config. */
    unsigned (*wants)(const struct log_report_options *o);
    /* 0; -EINVAL with a sentence in `why`; -ENOMEM. */
    int (*create)(void **ret, const struct log_report_options *o, struct buf *why);
    /* The facts of the next chunk. 0, -ENOMEM. */
    int (*facts)(void *state, const struct log_scan *s);
    /* Fills in the tables and the report's own notes. 0, -ENOMEM. */
    int (*finish)(void *state, struct log_report *to);
    void (*free)(void **state);
};

/* All reports, NULL-ended; and one by its name, or NULL. */
extern const struct log_report_kind *const log_reports[];
const struct log_report_kind *log_report_find(const char *name);
