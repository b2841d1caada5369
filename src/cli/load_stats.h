/*
 * cli/load_stats.h - what `penstock load` counts: latencies in a histogram of about 3 % wide
 * buckets, replies by phase, code and text. One thread at a time; merged at the end.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "smtp/client.h"

#define HISTOGRAM_BUCKETS 1024

struct histogram { /* fields are private */
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total, max;
};

void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* The value below which `share` (0..1) of all lie, at most 3.2 % too high; 0 where there are none. */
uint64_t histogram_quantile(const struct histogram *h, double share);

#define REPLY_KINDS_MAX 64
#define REPLY_TEXT_MAX 120

/* Replies of one kind: the same phase, code and first line. Of those that took mail, whose text
 * has an id as a rule, the text is not looked at. */
struct reply_counts {
    struct reply_count {
        enum smtp_phase phase;
        unsigned code;
        char text[REPLY_TEXT_MAX];
        uint64_t count;
    } kinds[REPLY_KINDS_MAX];
    size_t kind_count;
    uint64_t others; /* of more kinds than there is room for */
};

void reply_counts_add(struct reply_counts *c, const struct smtp_result *result);
void reply_counts_merge(struct reply_counts *to, const struct reply_counts *from);
