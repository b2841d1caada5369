/*
 * cli/load_stats.c - bucket i < 64 holds the value i; above, each doubling has 32 buckets.
 */
#include "cli/load_stats.h"

#include <string.h>

#define LINEAR 64
#define PER_DOUBLING 32

static size_t bucket_of(uint64_t value)
{
    unsigned shift;
    size_t i;

    if (value < LINEAR)
        return (size_t)value;
    shift = 63u - (unsigned)__builtin_clzll(value) - 5; /* leaves 32..63 */
    i = LINEAR + (size_t)(shift - 1) * PER_DOUBLING + (size_t)(value >> shift) - PER_DOUBLING;
    return MIN_OF(i, HISTOGRAM_BUCKETS - 1);
}

/* The largest value of a bucket. */
static uint64_t top_of(size_t bucket)
{
    size_t shift;

    if (bucket < LINEAR)
        return bucket;
    shift = (bucket - LINEAR) / PER_DOUBLING + 1;
    return (((bucket - LINEAR) % PER_DOUBLING + PER_DOUBLING + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->counts[bucket_of(value)]++;
    h->total++;
    h->max = MAX_OF(h->max, value);
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        to->counts[i] += from->counts[i];
    to->total += from->total;
    to->max = MAX_OF(to->max, from->max);
}

uint64_t histogram_quantile(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->total), seen = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen > wanted || (seen == h->total && seen > 0))
            return MIN_OF(top_of(i), h->max);
    }
    return 0;
}

/* ---- replies ---- */

static void add(struct reply_counts *c, enum smtp_phase phase, unsigned code, struct slice text,
                uint64_t count)
{
    struct reply_count *kind;

    text = slice_sub(text, 0, REPLY_TEXT_MAX - 1);
    for (size_t i = 0; i < c->kind_count; i++) {
        kind = &c->kinds[i];
        if (kind->phase == phase && kind->code == code && slice_eq(slice_str(kind->text), text)) {
            kind->count += count;
            return;
        }
    }
    if (c->kind_count == REPLY_KINDS_MAX) {
        c->others += count;
        return;
    }
    kind = &c->kinds[c->kind_count++];
    *kind = (struct reply_count){.phase = phase, .code = code, .count = count};
    if (text.len)
        memcpy(kind->text, text.ptr, text.len);
}

void reply_counts_add(struct reply_counts *c, const struct smtp_result *result)
{
    ptrdiff_t lf = slice_find(result->text, '\n');
    struct slice text = lf < 0 ? result->text : slice_sub(result->text, 0, (size_t)lf);

    if (result->outcome == SMTP_DELIVERED)
        text = slice_make(NULL, 0);
    add(c, result->phase, result->code, text, 1);
}

void reply_counts_merge(struct reply_counts *to, const struct reply_counts *from)
{
    for (size_t i = 0; i < from->kind_count; i++)
        add(to, from->kinds[i].phase, from->kinds[i].code, slice_str(from->kinds[i].text),
            from->kinds[i].count);
    to->others += from->others;
}
