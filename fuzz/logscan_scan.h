/*
 * fuzz/logscan_scan.h - what holds for the scan of any format, whatever the bytes: facts in order of
 * their places, text that can be read to its end, the same facts a second time, and from the log cut
 * in two at any line.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/slice.h"
#include "logscan/scan.h"

struct fuzz_log { /* what the chunks of a log gave */
    const struct log_format *format;
    void *state;
    struct log_carry carry;
    struct log_scan scans[2];
    size_t scan_count;
};

static inline void fuzz_scan(struct fuzz_log *l, struct slice bytes, uint64_t offset,
                             unsigned wants)
{
    struct log_scan *s = &l->scans[l->scan_count++];

    *s = (struct log_scan){.format = l->format,
                           .bytes = bytes,
                           .offset = offset,
                           .wants = wants,
                           .carry = l->carry,
                           .carry_end = l->carry};
    l->format->scan(s);
    if (l->format->merge)
        ASSERT(l->format->merge(&l->state, s) == 0);
    ASSERT(s->error == 0 && !s->session_rows);
    for (size_t i = 1; i < s->fact_count; i++)
        ASSERT(s->facts[i - 1].offset <= s->facts[i].offset);
    l->carry = s->carry_end;
}

static inline void fuzz_log_done(struct fuzz_log *l)
{
    for (size_t i = 0; i < l->scan_count; i++)
        log_scan_done(&l->scans[i]);
    if (l->format->free_state && l->state)
        l->format->free_state(&l->state);
}

static inline const struct log_fact *fuzz_fact(const struct fuzz_log *l, size_t i)
{
    size_t first = l->scans[0].fact_count;

    return i < first ? &l->scans[0].facts[i] : &l->scans[1].facts[i - first];
}

static inline size_t fuzz_fact_count(const struct fuzz_log *l)
{
    return l->scans[0].fact_count + (l->scan_count > 1 ? l->scans[1].fact_count : 0);
}

static inline void fuzz_same_fact(const struct log_fact *a, const struct log_fact *b)
{
    ASSERT(a->offset == b->offset && a->at_ms == b->at_ms && a->kind == b->kind);
    ASSERT(a->issuer == b->issuer && a->outcome == b->outcome && a->numbering == b->numbering);
    ASSERT(a->counts == b->counts && a->phase == b->phase && a->number == b->number);
    ASSERT(a->is_copy == b->is_copy && a->reply.code == b->reply.code &&
           slice_eq(a->reply.text, b->reply.text));
    ASSERT(slice_eq(a->message, b->message) && slice_eq(a->next, b->next));
    ASSERT(slice_eq(a->sender, b->sender) && slice_eq(a->recipient, b->recipient));
    ASSERT(slice_eq(a->host, b->host) && slice_eq(a->source, b->source));
    ASSERT(slice_eq(a->address, b->address));
    ASSERT(slice_eq(a->connector, b->connector));
}

static inline void fuzz_same(const struct fuzz_log *a, const struct fuzz_log *b)
{
    ASSERT(fuzz_fact_count(a) == fuzz_fact_count(b));
    for (size_t i = 0; i < fuzz_fact_count(a); i++)
        fuzz_same_fact(fuzz_fact(a, i), fuzz_fact(b, i));
}

/* The fields of each line are where they can be read. */
static inline void fuzz_split(const struct log_format *format, const struct log_carry *carry,
                              struct slice line)
{
    struct slice fields[LOG_COLUMNS_MAX];
    struct arena a = {0};
    int n = format->split(carry, line, &a, fields);

    ASSERT(n <= LOG_COLUMNS_MAX);
    for (int i = 0; i < n; i++)
        ASSERT(slice_eq(fields[i], fields[i]));
    arena_done(&a);
}

/* `cuts`: may be cut at any line; false where a record may have more than one. */
static inline void fuzz_format(const struct log_format *format, struct slice log, bool cuts)
{
    const struct fuzz_log none = {.format = format, .carry = {.year = 2026, .month = 3}};
    struct fuzz_log whole = none, again = none, cut = none;
    const unsigned wants = WANT_REPLIES | WANT_ACCEPTED | WANT_LIVES | WANT_SESSIONS;
    ptrdiff_t end = slice_rfind(log, '\n');
    ptrdiff_t border;

    (void)format->detect(log);
    log = slice_sub(log, 0, (size_t)(end + 1)); /* whole lines */
    fuzz_scan(&whole, log, 0, wants);
    fuzz_scan(&again, log, 0, wants);
    fuzz_same(&whole, &again);
    border = slice_find(slice_from(log, log.len / 2), '\n');
    if (border >= 0) {
        size_t at = log.len / 2 + (size_t)border + 1;

        fuzz_scan(&cut, slice_sub(log, 0, at), 0, wants);
        fuzz_scan(&cut, slice_from(log, at), at, wants);
        if (cuts)
            fuzz_same(&whole, &cut);
        fuzz_split(format, &whole.carry, slice_sub(log, at, (size_t)end - MIN_OF(at, (size_t)end)));
    }
    fuzz_log_done(&whole);
    fuzz_log_done(&again);
    fuzz_log_done(&cut);
}
