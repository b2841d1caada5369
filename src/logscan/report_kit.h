/*
 * logscan/report_kit.h - what reports share: who a fact is about, what is in the time asked for, tables
 * in order of a count.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "logscan/report.h"
#include "logscan/table.h"

static inline bool log_report_is_in(const struct log_report_options *o, const struct log_fact *f)
{
    return f->at_ms >= o->since_ms && f->at_ms < o->until_ms;
}

/* ---- who ---- */

/* Names of providers, found once for each host. */
struct log_who {
    const struct log_report_options *options;
    struct log_table hosts; /* of a struct slice: the provider's name */
    struct arena names;
    char domain[256];
};
void log_who_init(struct log_who *w, const struct log_report_options *o);
void log_who_done(struct log_who *w);
/* The provider that runs a host; "none" where the host has no name. Lives as long as `w`. */
struct slice log_who_provider(struct log_who *w, struct slice host);
/* The domain of an address in lower case; "" where it has none. Good until the next. */
struct slice log_who_domain(struct log_who *w, struct slice address);
/* What `by` means of a fact: the remote address, the recipient's domain, the provider, the connector;
 * "none" where it is not told. Good until the next. */
struct slice log_who_of(struct log_who *w, const struct log_fact *f, enum log_by by);

/* A count, or an empty cell where such are not counted. The next cell. */
static inline struct sheet_cell *log_counted(struct sheet_cell *c, unsigned is_counted, uint64_t n)
{
    if (is_counted)
        sheet_count(c, n);
    return c + 1;
}

/* ---- tables in order ---- */

struct log_ranking {
    struct log_rank_item {
        uint64_t count;
        struct slice key;
        void *value;
    } * items;
    size_t count;
};
/* The values of a table, the largest count first, those of one count by their keys. 0, -ENOMEM. */
MUST_CHECK int log_rank(struct log_ranking *ret, const struct log_table *t,
                        uint64_t (*count)(const void *value));
void log_rank_done(struct log_ranking *r);
