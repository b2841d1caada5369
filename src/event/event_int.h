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

#define EVENT_RING_BYTES KIB(256) /* a power of 2 */

/* A line in a ring is this and its bytes; both may wrap at the ring's end. */
struct event_record {
    uint16_t bytes;
    uint16_t level;
};

struct event_thread {
    struct event_thread *next; /* set before the thread is linked in, then unchanged */
    atomic_bool is_taken;
    _Atomic uint64_t counters[COUNTERS];
    _Atomic(uint8_t *) ring;     /* NULL until the first line */
    _Atomic uint64_t head, tail; /* bytes ever written and read */
    char line[EVENT_LINE_MAX];   /* its thread's: a line is made here, then put into the ring */
};

extern _Atomic(struct event_thread *) event_threads;

struct event_settings { /* what event_config says, for all threads to read */
    atomic_int target, fd, format;
};
extern struct event_settings event_settings;

/* The log thread sets it before it sleeps; who clears it posts the semaphore. */
extern atomic_bool event_log_sleeps;
void event_log_wake(void);
