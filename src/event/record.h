/*
 * event/record.h - the log files for machines and other tools to read: one folder a kind, files by
 * day and number, bounded in size and age.
 *
 *     LOG/events/EVENT20261122-1.jsonl      one JSON object a line
 *     LOG/receive/RECV20261122-1.log        Exchange's protocol log, CSV
 *     LOG/send/SEND20261122-1.log
 *     LOG/connectivity/CONNECTLOG20261122-1.log
 *     LOG/tracking/MSGTRK20261122-1.log
 *     LOG/deliveries/DELIVERY20261122-1.jsonl   event/delivery.h
 *
 * A line goes into the ring of its thread, as the lines of event() do, and the log thread appends
 * it: nobody waits for a disk. When a ring, or the disk, is full, lines are dropped and counted
 * (COUNTER_RECORDS_DROPPED), mail goes on, and the loss is told once the disk takes lines again.
 * A new file begins at `file_max` bytes (half of `folder_max` where that is less), at midnight UTC,
 * and when it is removed or renamed from outside; the oldest files go when the folder holds more
 * than `folder_max` or they are older than `age_max_s`.
 *
 * Threads: record_is_on() and record_write() any thread, no lock; the rest the main thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"

/* X(constant, folder, file prefix, file suffix). */
#define RECORD_TABLE(X)                                                                            \
    X(RECORD_EVENTS, "events", "EVENT", "jsonl")                                                   \
    X(RECORD_RECEIVE, "receive", "RECV", "log")                                                    \
    X(RECORD_SEND, "send", "SEND", "log")                                                          \
    X(RECORD_CONNECTIVITY, "connectivity", "CONNECTLOG", "log")                                    \
    X(RECORD_TRACKING, "tracking", "MSGTRK", "log")                                                \
    X(RECORD_DELIVERIES, "deliveries", "DELIVERY", "jsonl")
#define RECORD_ENUM_LINE(constant, folder, prefix, suffix) constant,
enum record_kind { RECORD_TABLE(RECORD_ENUM_LINE) RECORD_KINDS };

#define RECORD_LINE_MAX KIB(8) /* bytes, the final LF (or CR LF) included; longer lines are cut */

struct record_config {
    const char *directory; /* NULL: no files at all */
    bool is_on[RECORD_KINDS];
    uint64_t file_max_bytes, folder_max_bytes, age_max_s; /* age 0: no bound by age */
    uint64_t free_min_bytes; /* below it on that disk no line is written (R16) */
    /* The head of each new file, with "%D" where the time goes; NULL: none. */
    const char *heads[RECORD_KINDS];
};
/*
 * At start and on reload, after event_start(). Copies what it needs. 0, or the error of making the
 * folders, which `*ret_failed_path` names until the next call: then nothing was changed. A full or
 * broken disk is no error here: the log thread tries again, tells that lines are lost, and when
 * that ends. A relative `directory` is taken from the present one, now.
 *
 * After a restart the last file of the day goes on where its head is the same and it has room.
 */
MUST_CHECK int record_set_config(const struct record_config *config, const char **ret_failed_path);
/* What it would return, and nothing is set; but folders that are missing are made. */
MUST_CHECK int record_check_config(const struct record_config *config,
                                   const char **ret_failed_path);

extern _Atomic unsigned record_kinds_on; /* private */
static inline bool record_is_on(enum record_kind kind)
{
    return (atomic_load_explicit(&record_kinds_on, memory_order_acquire) >> kind & 1) != 0;
}
/* One whole line, its end included; copied. Nothing where the kind is off. */
void record_write(enum record_kind kind, struct slice line);

/* The remedy: ends the present files and removes the oldest until every folder holds at most
 * `share` (0 to 1) of its bound. Asks the log thread and does not wait. Returns the number of this
 * call; it was obeyed when record_get_relief() has that number, or a higher one, in `done`. */
uint64_t record_relieve(double share);
struct record_relief {
    uint64_t done;                 /* calls so far; those that came at once were obeyed as one */
    uint64_t freed_bytes, took_us; /* of all of them together; the time is that of the work */
};
void record_get_relief(struct record_relief *ret);
