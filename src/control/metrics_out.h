/*
 * control/metrics_out.h - writes metrics in the text format of Prometheus, version 0.0.4, with
 * names that OpenMetrics would take, too: units spelled out, counters that end in "_total".
 *
 * Families come one after another, each with its help and type, then its samples; a family without
 * samples is left out whole. Names are ours and literals; the texts of labels may hold any bytes:
 * quotes, backslashes and line ends are escaped, and what is not UTF-8 becomes U+FFFD.
 *
 * Ownership: a value on the caller's stack that borrows the buffer. Errors are the buffer's: ask
 * buf_failed() once at the end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct metrics_out { /* fields are private */
    struct buf *to;
    const char *name, *type, *help;
    bool is_begun;
};

struct metrics_label {
    const char *name, *value; /* name NULL: the end of the list */
};
/* A list of labels for the functions below: METRICS_LABELS({"class", name}, {"reason", why}). */
#define METRICS_LABELS(...) ((const struct metrics_label[]){__VA_ARGS__, {NULL, NULL}})

void metrics_out_init(struct metrics_out *m, struct buf *to);
/* The family whose samples come next. `name` without "penstock_"; the texts are borrowed until the
 * next family begins. */
void metrics_counter(struct metrics_out *m, const char *name, const char *help);
void metrics_gauge(struct metrics_out *m, const char *name, const char *help);

/* One sample each; `labels` NULL: none. */
void metrics_uint(struct metrics_out *m, const struct metrics_label *labels, uint64_t n);
/* As seconds with three, and with six, digits behind the point. */
void metrics_ms(struct metrics_out *m, const struct metrics_label *labels, uint64_t ms);
void metrics_us(struct metrics_out *m, const struct metrics_label *labels, uint64_t us);
/* Seconds until something; INT64_MAX, never, is "+Inf". */
void metrics_until(struct metrics_out *m, const struct metrics_label *labels, int64_t s);
/* To six digits. */
void metrics_real(struct metrics_out *m, const struct metrics_label *labels, double n);
