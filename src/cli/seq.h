/*
 * cli/seq.h - numbered test mail: `penstock load` writes "X-Seq: RUN-NUMBER" and "X-Sum: CRC" into
 * each message, `penstock sink` reads them and finds what is missing, doubled or damaged.
 *
 * The sum is the CRC-32C of all that follows the header section. Numbers of a run start at 0 and
 * have no gaps, so a number never seen below the highest one seen is a message that was lost.
 *
 * One thread at a time: each thread has a ledger of its own, merged at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

#define SEQ_NUMBER_MAX UINT32_MAX
#define SEQ_TEXT_MAX 32
#define SEQ_HEADER_MAX KIB(256) /* a longer header section has no number */

struct seq {
    uint64_t run;
    uint32_t number;
};

/* "0123456789abcdef-0000000042": always of the same length. */
void seq_format(const struct seq *s, char ret[static SEQ_TEXT_MAX]);
MUST_CHECK int seq_parse(struct slice text, struct seq *ret); /* -EINVAL */

/* ---- what one message says of itself ---- */

struct seq_scan { /* fields are private but for the results */
    struct buf header;
    bool in_body;
    /* Results, whole after seq_scan_end(). */
    bool has_seq, has_sum, is_damaged;
    struct seq seq;
    uint32_t sum, seen_sum;
};

void seq_scan_init(struct seq_scan *s);
void seq_scan_done(struct seq_scan *s);
void seq_scan_begin(struct seq_scan *s); /* a new message */
void seq_scan_add(struct seq_scan *s, struct slice bytes);
void seq_scan_end(struct seq_scan *s);

/* ---- all messages ---- */

struct seq_run;
struct seq_ledger { /* fields are private but for `duplicates` */
    struct seq_run *runs;
    uint64_t duplicates;
};

void seq_ledger_done(struct seq_ledger *l);
/* 0 or -ENOMEM. */
MUST_CHECK int seq_ledger_add(struct seq_ledger *l, const struct seq *s);
/* Adds all of `from` to `to`; `from` stays. 0 or -ENOMEM. */
MUST_CHECK int seq_ledger_merge(struct seq_ledger *to, const struct seq_ledger *from);

struct seq_totals {
    uint64_t runs, distinct, lost, duplicates;
};
void seq_ledger_totals(const struct seq_ledger *l, struct seq_totals *ret);
