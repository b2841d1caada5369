/*
 * event/event.c - the calling side: a thread's counters and its ring.
 *
 * A ring has one writer and one reader, so a line needs no lock: the bytes are written first and
 * the head is moved after them. Whether the log thread must be woken is decided with one load; the
 * head's store and that load are sequentially consistent, as are the log thread's two in the other
 * order, so that one of the two sees the other.
 */
#include "event/event.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "event/event_int.h"

_Atomic int event_threshold = EVENT_NOTHING;
_Atomic(struct event_thread *) event_threads;
struct event_settings event_settings = {.level = EVENT_NOTHING};

static _Thread_local struct event_thread *mine;
/* Counts of threads that could not get a block of their own for lack of memory. */
static _Atomic uint64_t common_counters[COUNTERS];

static pthread_key_t end_key;
static pthread_once_t end_key_once = PTHREAD_ONCE_INIT;

/* The block goes to the next thread that wants one. */
static void thread_ended(void *block)
{
    struct event_thread *t = block;

    mine = NULL;
    atomic_store_explicit(&t->is_taken, false, memory_order_release);
}

static void make_end_key(void)
{
    int r = pthread_key_create(&end_key, thread_ended);

    ASSERT(r == 0);
}

static struct event_thread *take_free_block(void)
{
    struct event_thread *t = atomic_load_explicit(&event_threads, memory_order_acquire);

    for (; t; t = t->next) {
        bool is_taken = false;

        if (atomic_compare_exchange_strong_explicit(&t->is_taken, &is_taken, true,
                                                    memory_order_acq_rel, memory_order_relaxed))
            return t;
    }
    return NULL;
}

static struct event_thread *make_block(void)
{
    struct event_thread *t = aligned_alloc(_Alignof(struct event_thread), sizeof(*t));
    struct event_thread *first;

    if (!t)
        return NULL;
    memset(t, 0, sizeof(*t));
    atomic_store(&t->is_taken, true);
    first = atomic_load_explicit(&event_threads, memory_order_relaxed);
    do {
        t->next = first;
    } while (!atomic_compare_exchange_weak_explicit(&event_threads, &first, t, memory_order_release,
                                                    memory_order_relaxed));
    return t;
}

/* NULL: no memory. */
static struct event_thread *my_block(void)
{
    struct event_thread *t = mine;

    if (t)
        return t;
    (void)pthread_once(&end_key_once, make_end_key);
    t = take_free_block();
    if (!t)
        t = make_block();
    if (t && pthread_setspecific(end_key, t) != 0) {
        atomic_store_explicit(&t->is_taken, false, memory_order_release);
        return NULL;
    }
    mine = t;
    return t;
}

void counter_add(enum counter c, uint64_t n)
{
    struct event_thread *t;
    uint64_t before;

    if (c == COUNTER_NONE)
        return;
    ASSERT(c < COUNTERS);
    t = my_block();
    if (!t) {
        atomic_fetch_add_explicit(&common_counters[c], n, memory_order_relaxed);
        return;
    }
    before = atomic_load_explicit(&t->counters[c], memory_order_relaxed);
    atomic_store_explicit(&t->counters[c], before + n, memory_order_relaxed);
}

uint64_t counter_get(enum counter c)
{
    struct event_thread *t = atomic_load_explicit(&event_threads, memory_order_acquire);
    uint64_t sum;

    ASSERT(c < COUNTERS);
    sum = atomic_load_explicit(&common_counters[c], memory_order_relaxed);
    for (; t; t = t->next)
        sum += atomic_load_explicit(&t->counters[c], memory_order_relaxed);
    return sum;
}

#define COUNTER_NAME(constant, name, help) name,

const char *counter_name(enum counter c)
{
    static const char *const names[] = {COUNTER_TABLE(COUNTER_NAME)};

    ASSERT(c < COUNTERS);
    return names[c];
}

#define COUNTER_HELP(constant, name, help) help,

const char *counter_help(enum counter c)
{
    static const char *const helps[] = {COUNTER_TABLE(COUNTER_HELP)};

    ASSERT(c < COUNTERS);
    return helps[c];
}

static uint8_t *my_ring(struct event_thread *t)
{
    uint8_t *ring = atomic_load_explicit(&t->ring, memory_order_relaxed);

    if (!ring) {
        ring = malloc(EVENT_RING_BYTES);
        atomic_store_explicit(&t->ring, ring, memory_order_release);
    }
    return ring;
}

static void ring_copy_in(uint8_t *ring, uint64_t at, const void *from, size_t len)
{
    size_t start = (size_t)(at % EVENT_RING_BYTES);
    size_t first = MIN_OF(len, EVENT_RING_BYTES - start);

    memcpy(ring + start, from, first);
    memcpy(ring, (const uint8_t *)from + first, len - first);
}

/* Is there room for `bytes` more, and `kept` still free after them? */
static bool has_room(struct event_thread *t, uint64_t head, size_t bytes, size_t kept)
{
    if (EVENT_RING_BYTES - (head - t->tail_seen) >= bytes + kept)
        return true;
    t->tail_seen = atomic_load_explicit(&t->tail, memory_order_acquire);
    ASSERT(head - t->tail_seen <= EVENT_RING_BYTES);
    return EVENT_RING_BYTES - (head - t->tail_seen) >= bytes + kept;
}

static void count_dropped(struct event_record record)
{
    if (record.level < EVENT_NOTHING)
        counter_add(COUNTER_LOG_DROPPED, 1);
    if (record.kind < RECORD_KINDS)
        counter_add(COUNTER_RECORDS_DROPPED, 1);
}

static bool push(struct event_thread *t, struct event_record record, const void *line)
{
    uint64_t head = atomic_load_explicit(&t->head, memory_order_relaxed);
    uint8_t *ring = my_ring(t);
    bool is_event = record.level < EVENT_NOTHING || record.kind == RECORD_EVENTS;

    if (!ring ||
        !has_room(t, head, sizeof(record) + record.bytes, is_event ? 0 : EVENT_RING_KEPT_BYTES))
        return false;
    ring_copy_in(ring, head, &record, sizeof(record));
    ring_copy_in(ring, head + sizeof(record), line, record.bytes);
    atomic_store(&t->head, head + sizeof(record) + record.bytes);
    if (atomic_load(&event_log_sleeps))
        event_log_wake();
    return true;
}

bool event_push(struct event_record record, const void *line)
{
    struct event_thread *t = my_block();

    if (t && push(t, record, line))
        return true;
    count_dropped(record);
    return false;
}

bool event_log_wants(enum event_level level, enum event_format *ret)
{
    bool is_journal =
        atomic_load_explicit(&event_settings.target, memory_order_relaxed) == EVENT_TO_JOURNAL;

    /* The journal's fields are taken out of a line of logfmt. */
    *ret = is_journal ? EVENT_LOGFMT
                      : (enum event_format)atomic_load_explicit(&event_settings.format,
                                                                memory_order_relaxed);
    return (int)level >= atomic_load_explicit(&event_settings.level, memory_order_relaxed);
}

bool event_file_wants(enum event_level level)
{
    return level >= EVENT_FILE_LEVEL && record_is_on(RECORD_EVENTS);
}

void event_write(enum event_type type, uint64_t id, const struct event_field *fields, size_t count)
{
    enum event_level level = event_level_of(type);
    struct event_record record = {.level = EVENT_NOTHING, .kind = RECORD_KINDS};
    enum event_format format;
    bool in_log = event_log_wants(level, &format), in_file = event_file_wants(level);
    struct event_thread *t = my_block();
    int64_t now_ms;

    if (in_log)
        record.level = (uint8_t)level;
    if (in_file && (!in_log || format == EVENT_JSON))
        record.kind = RECORD_EVENTS;
    if (!t) {
        count_dropped(record);
        return;
    }
    now_ms = clock_wall_ms();
    if (in_log) {
        record.bytes =
            (uint16_t)event_format_line(format, now_ms, type, id, fields, count, t->line);
        if (!push(t, record, t->line))
            count_dropped(record);
    }
    if (in_file && (!in_log || format != EVENT_JSON)) {
        record = (struct event_record){.level = EVENT_NOTHING, .kind = RECORD_EVENTS};
        record.bytes =
            (uint16_t)event_format_line(EVENT_JSON, now_ms, type, id, fields, count, t->line);
        if (!push(t, record, t->line))
            count_dropped(record);
    }
}
