/*
 * event/event_int.h - what event.c (threads and rings) and log.c (the log thread) share.
 *
 * Every thread that tells something owns one `struct event_thread`: its counters, which only it
 * writes, and its ring, of which it writes the head and the log thread the tail. They are made at
 * a thread's first call, linked into one list that only grows, given to another thread when theirs
 * ends, and never freed, so that sums and unwritten lines outlive their thread.
 */
#pragma once

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"
#include "event/record.h"
#include "io/thread.h"

#define EVENT_RING_BYTES MIB(1) /* a power of 2 */
/* Kept free for events: a flood of records does not crowd out what tells of it. */
#define EVENT_RING_KEPT_BYTES KIB(64)
#define EVENT_BATCH_BYTES KIB(128)
#define EVENT_FILE_LEVEL EVENT_NOTICE /* and worse: what goes into the event log */

/* A line in a ring is this and its bytes; both may wrap at the ring's end. */
struct event_record {
    uint16_t bytes;
    uint8_t level; /* EVENT_NOTHING: not for the log */
    uint8_t kind;  /* RECORD_KINDS: not for a file */
};

struct event_thread {
    struct event_thread *next; /* set before the thread is linked in, then unchanged */
    atomic_bool is_taken;
    _Atomic uint64_t counters[COUNTERS];
    _Atomic(uint8_t *) ring; /* NULL until the first line */
    /* Bytes ever written and read: the writer's line of the cache, and the log thread's. */
    _Alignas(64) _Atomic uint64_t head;
    uint64_t tail_seen; /* by the writer, last time it was short of room */
    _Alignas(64) _Atomic uint64_t tail;
    char line[EVENT_LINE_MAX]; /* its thread's: a line is made here, then put into the ring */
};

extern _Atomic(struct event_thread *) event_threads;

struct event_settings { /* what event_config says, for all threads to read */
    atomic_int target, fd, format, level;
};
extern struct event_settings event_settings;
/* Sets event_threshold to what some sink wants. Main thread. */
void event_set_threshold(void);
/* Which sinks want a line of that level: the log and its format, the event log. */
bool event_log_wants(enum event_level level, enum event_format *ret);
bool event_file_wants(enum event_level level);

/* Puts a line into the calling thread's ring. False: it was dropped, and counted. */
bool event_push(struct event_record record, const void *line);

/* The log thread sets it before it sleeps; who clears it posts the semaphore. */
extern atomic_bool event_log_sleeps;
void event_log_wake(void);

/* Tells something from the log thread itself: into the log and the event log, not by a ring. */
void event_log_tell(enum event_type type, const struct event_field *fields, size_t count);

/* How many lines end in `s`. */
uint64_t event_count_lines(struct slice s);

/* One line of logfmt, LF included, as an entry of the journal. False: the journal did not take it in
 * `wait_ms`. The log thread. */
bool event_to_journal(enum event_level level, struct slice line, int wait_ms);

/* ---- format.c: one field after another ---- */

/* Kept free behind `limit` for what ends a line whose value was cut: three dots, a quote, a brace,
 * LF. */
#define EVENT_LINE_TAIL 8
/* Of a field's room, what its value does not get: punctuation and the longest number, or the
 * longest character, escaped. */
#define EVENT_LINE_FIELD 32

struct event_line {
    char *at, *limit;
    bool json, full; /* full: what would come now is left out */
};
/* ",\"key\":value" or " key=value"; its text is cut where it does not fit. */
void event_line_field(struct event_line *l, const struct event_field *f);
/* "2026-11-22T20:30:01.123Z" */
void event_line_time(struct event_line *l, int64_t wall_ms);

/* ---- record.c, called by the log thread ---- */

void event_files_begin(void); /* the main thread, before the log thread starts */
/* Where `len` bytes of a line for a file are to be put; NULL: that kind is off. */
uint8_t *event_files_room(enum record_kind kind, size_t len);
/* Writes the batches. */
void event_files_write(void);
/* Does what time brings: new settings, bounds, losses that begin and end. In how many ms it wants
 * to be called again. */
uint32_t event_files_tick(void);
/* Is there something to do before the next line comes? */
bool event_files_want_tick(void);
/* After the last line: tells what was lost, and closes all files. */
void event_files_end(void);
