/*
 * event/log.c - the log thread: takes lines out of all rings and writes them in batches.
 *
 * A descriptor that is not a file is polled first and given at most PIPE_BUF bytes of whole lines
 * at a time, which a pipe then takes without blocking and without mixing them with another
 * process's. When its reader hangs, lines stay in the batch, further ones are dropped and counted,
 * and the log files go on: no other thread waits, and neither do they. So it is with a journal that
 * hangs.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "event/event_int.h"
#include "io/thread.h"

#define BATCH_BYTES KIB(64)
#define NAP_NS (2 * NS_PER_MS) /* between batches, so that more lines join the next */
#define GIVE_BACK_BYTES KIB(64)
#define POLL_MS 100
#define STOP_WAIT_MS 2000 /* how long a reader that does not read can hold up the end */

atomic_bool event_log_sleeps;

static struct {
    struct thread thread;
    bool is_running; /* the main thread's */
    atomic_bool stops;
    _Atomic uint64_t flush_wanted; /* set by the main thread, one more for each event_flush() */
    sem_t wake, flushed;

    /* The log thread's own. */
    uint64_t flush_done;
    uint64_t dropped_told;
    uint64_t journal_by_ms; /* so long the journal is waited for in this round */
    bool is_stuck;          /* the descriptor's reader, or the journal, does not read */
    size_t used;
    char line[EVENT_LINE_MAX];
    uint8_t batch[BATCH_BYTES];
} logger;

void event_log_wake(void)
{
    if (atomic_exchange(&event_log_sleeps, false))
        (void)sem_post(&logger.wake);
}

/* Does `fd` take bytes, until `by_ms` at the latest? Also true when it is broken: writing tells. */
static bool wait_writable(int fd, uint64_t by_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    uint64_t now_ms = clock_mono_ms();
    int r = poll(&p, 1, (int)(by_ms - MIN_OF(now_ms, by_ms)));

    logger.is_stuck = r == 0 || (r < 0 && errno == EINTR);
    return !logger.is_stuck;
}

/* How much of `left` goes into one write: whole lines, at most PIPE_BUF; at least one line, which
 * is no longer than that. */
static size_t piece_of(struct slice left)
{
    _Static_assert(EVENT_LINE_MAX <= PIPE_BUF, "a line is one piece");
    if (left.len <= PIPE_BUF)
        return left.len;
    return (size_t)slice_rfind(slice_sub(left, 0, PIPE_BUF), '\n') + 1;
}

uint64_t event_count_lines(struct slice s)
{
    uint64_t n = 0;

    for (size_t i = 0; i < s.len; i++)
        n += s.ptr[i] == '\n';
    return n;
}

/* What the descriptor does not take stays in the batch. Its reader is waited for a moment, and not
 * at all when that was in vain: a reader that hangs must not hold up the files. */
static void write_batch(void)
{
    int fd = atomic_load_explicit(&event_settings.fd, memory_order_relaxed);
    struct slice left = slice_make(logger.batch, logger.used);
    uint64_t by_ms = clock_mono_ms() + (logger.is_stuck ? 0 : POLL_MS);
    struct stat st;
    bool is_file;

    if (left.len == 0)
        return;
    is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    while (left.len && (is_file || wait_writable(fd, by_ms))) {
        ssize_t n = write(fd, left.ptr, is_file ? left.len : piece_of(left));

        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            counter_add(COUNTER_LOG_DROPPED, event_count_lines(left));
            left.len = 0;
        } else if (n > 0) {
            left = slice_from(left, (size_t)n);
        } else if (n < 0 && errno == EAGAIN) {
            logger.is_stuck = true;
            break;
        }
    }
    if (left.len)
        memmove(logger.batch, left.ptr, left.len);
    logger.used = left.len;
}

/* The last chance of what is left in the batch. */
static void write_the_rest(void)
{
    uint64_t by_ms = clock_mono_ms() + STOP_WAIT_MS;

    do {
        logger.is_stuck = false;
        write_batch();
    } while (logger.used && clock_mono_ms() < by_ms);
    counter_add(COUNTER_LOG_DROPPED, event_count_lines(slice_make(logger.batch, logger.used)));
    logger.used = 0;
}

static void ring_copy_out(const uint8_t *ring, uint64_t at, void *to, size_t len)
{
    size_t start = (size_t)(at % EVENT_RING_BYTES);
    size_t first = MIN_OF(len, EVENT_RING_BYTES - start);

    memcpy(to, ring + start, first);
    memcpy((uint8_t *)to + first, ring, len - first);
}

/* Where `len` bytes of a line for the log's descriptor go; NULL: the line is dropped. */
static uint8_t *batch_room(size_t len)
{
    uint8_t *room;

    if (BATCH_BYTES - logger.used < len && !logger.is_stuck)
        write_batch();
    if (BATCH_BYTES - logger.used < len) {
        counter_add(COUNTER_LOG_DROPPED, 1);
        return NULL;
    }
    room = logger.batch + logger.used;
    logger.used += len;
    return room;
}

static bool goes_to_journal(void)
{
    return atomic_load_explicit(&event_settings.target, memory_order_relaxed) == EVENT_TO_JOURNAL;
}

/* One that is slow is waited for a moment a round, and not at all when that was in vain. What is lost
 * is told when it takes entries again. */
static void to_journal(enum event_level level, const char *line, size_t len)
{
    uint64_t now_ms = logger.is_stuck ? logger.journal_by_ms : clock_mono_ms();
    uint64_t wait_ms = logger.journal_by_ms - MIN_OF(now_ms, logger.journal_by_ms);

    logger.is_stuck = !event_to_journal(level, slice_make(line, len), (int)wait_ms);
    if (logger.is_stuck)
        counter_add(COUNTER_LOG_DROPPED, 1);
}

static void take_record(struct event_record record, const uint8_t *ring, uint64_t at)
{
    enum event_level level = (enum event_level)record.level;
    uint8_t *room;

    if (level < EVENT_NOTHING && goes_to_journal()) {
        ASSERT(record.bytes <= sizeof(logger.line));
        ring_copy_out(ring, at, logger.line, record.bytes);
        to_journal(level, logger.line, record.bytes);
    } else if (level < EVENT_NOTHING) {
        room = batch_room(record.bytes);
        if (room)
            ring_copy_out(ring, at, room, record.bytes);
    }
    if (record.kind < RECORD_KINDS) {
        room = event_files_room((enum record_kind)record.kind, record.bytes);
        if (room)
            ring_copy_out(ring, at, room, record.bytes);
    }
}

/* Takes what is in one ring now; what comes meanwhile waits for the next round, so that a busy
 * thread does not keep the others' lines waiting. The ring's room is given back in pieces, because
 * a write may take long. */
static bool drain(struct event_thread *t)
{
    uint64_t tail = atomic_load_explicit(&t->tail, memory_order_relaxed);
    uint64_t head = atomic_load(&t->head);
    const uint8_t *ring = atomic_load_explicit(&t->ring, memory_order_acquire);
    uint64_t given_back = tail;
    bool took = head != tail;

    while (tail != head) {
        struct event_record record;

        ring_copy_out(ring, tail, &record, sizeof(record));
        ASSERT(record.level <= EVENT_NOTHING && record.kind <= RECORD_KINDS);
        take_record(record, ring, tail + sizeof(record));
        tail += sizeof(record) + record.bytes;
        if (tail - given_back >= GIVE_BACK_BYTES || tail == head) {
            atomic_store_explicit(&t->tail, tail, memory_order_release);
            given_back = tail;
        }
    }
    return took;
}

static bool drain_all(void)
{
    struct event_thread *t = atomic_load_explicit(&event_threads, memory_order_acquire);
    bool took = false;

    for (; t; t = t->next)
        took |= drain(t);
    return took;
}

void event_log_tell(enum event_type type, const struct event_field *fields, size_t count)
{
    enum event_level level = event_level_of(type);
    int64_t now_ms = clock_wall_ms();
    enum event_format format;
    uint8_t *room;
    size_t len;

    if (event_log_wants(level, &format)) {
        len = event_format_line(format, now_ms, type, EVENT_NO_ID, fields, count, logger.line);
        room = goes_to_journal() ? NULL : batch_room(len);
        if (goes_to_journal())
            to_journal(level, logger.line, len);
        else if (room)
            memcpy(room, logger.line, len);
    }
    if (event_file_wants(level)) {
        char line[EVENT_LINE_MAX];

        len = event_format_line(EVENT_JSON, now_ms, type, EVENT_NO_ID, fields, count, line);
        room = event_files_room(RECORD_EVENTS, len);
        if (room)
            memcpy(room, line, len);
    }
}

static void tell_dropped(void)
{
    uint64_t dropped = counter_get(COUNTER_LOG_DROPPED);
    struct event_field field = EV_UINT("lines", dropped - logger.dropped_told);

    if (dropped == logger.dropped_told)
        return;
    logger.dropped_told = dropped;
    event_log_tell(EVENT_LOG_DROPPED, &field, 1);
}

static bool rings_are_empty(void)
{
    struct event_thread *t = atomic_load_explicit(&event_threads, memory_order_acquire);

    for (; t; t = t->next)
        if (atomic_load(&t->head) != atomic_load_explicit(&t->tail, memory_order_relaxed))
            return false;
    return true;
}

static bool is_wanted(void)
{
    return atomic_load(&logger.stops) || atomic_load(&logger.flush_wanted) != logger.flush_done;
}

static void nap(void)
{
    static const struct timespec nap_time = {.tv_nsec = NAP_NS};

    if (!is_wanted())
        (void)nanosleep(&nap_time, NULL);
}

/* At most `ms_max`, when it is time for a tick. */
static void sleep_until_woken(uint32_t ms_max)
{
    uint64_t until_ns = clock_mono_ns() + (uint64_t)ms_max * NS_PER_MS;
    struct timespec until = {.tv_sec = (time_t)(until_ns / (MS_PER_S * NS_PER_MS)),
                             .tv_nsec = (long)(until_ns % (MS_PER_S * NS_PER_MS))};
    int r;

    atomic_store(&event_log_sleeps, true);
    if (!rings_are_empty() || is_wanted() || event_files_want_tick()) {
        if (atomic_exchange(&event_log_sleeps, false))
            return;
        /* A thread was faster and posts: take that post. */
    }
    do {
        r = sem_clockwait(&logger.wake, CLOCK_MONOTONIC, &until);
    } while (r < 0 && errno == EINTR);
    if (r == 0) {
        nap(); /* so that more lines join the batch */
    } else if (!atomic_exchange(&event_log_sleeps, false)) {
        while (sem_wait(&logger.wake) < 0) /* posted as the time ran out */
            ;
    }
}

static void run(void *ctx)
{
    (void)ctx;
    for (;;) {
        /* Read before the rings: what was written before the call is then drained. */
        bool stops = atomic_load(&logger.stops);
        uint64_t flush_wanted = atomic_load(&logger.flush_wanted);
        bool took;
        uint32_t tick_ms;

        logger.journal_by_ms = clock_mono_ms() + POLL_MS;
        took = drain_all();
        if (!logger.is_stuck)
            tell_dropped();
        tick_ms = event_files_tick();
        event_files_write();
        write_batch();
        for (; logger.flush_done < flush_wanted; logger.flush_done++)
            (void)sem_post(&logger.flushed);
        if (stops && !took)
            break;
        if (took)
            nap();
        else
            sleep_until_woken(logger.used ? POLL_MS : tick_ms);
    }
    event_files_end();
    write_the_rest();
}

void event_set_threshold(void)
{
    int level = atomic_load(&event_settings.level);
    int file_level = record_is_on(RECORD_EVENTS) ? EVENT_FILE_LEVEL : EVENT_NOTHING;

    atomic_store(&event_threshold, MIN_OF(level, file_level));
}

void event_set_config(const struct event_config *config)
{
    atomic_store(&event_settings.target, (int)config->target);
    atomic_store(&event_settings.fd, config->fd);
    atomic_store(&event_settings.format, (int)config->format);
    atomic_store(&event_settings.level, (int)config->level);
    event_set_threshold();
}

int event_start(const struct event_config *config)
{
    int r;

    ASSERT(!logger.is_running);
    if (sem_init(&logger.wake, 0, 0) < 0 || sem_init(&logger.flushed, 0, 0) < 0)
        return -errno;
    atomic_store(&logger.stops, false);
    logger.is_stuck = false;
    logger.dropped_told = counter_get(COUNTER_LOG_DROPPED);
    event_files_begin();
    r = thread_start(&logger.thread, "log", run, NULL);
    if (r < 0)
        return r;
    logger.is_running = true;
    event_set_config(config);
    return 0;
}

void event_flush(void)
{
    if (!logger.is_running)
        return;
    atomic_fetch_add(&logger.flush_wanted, 1);
    event_log_wake();
    while (sem_wait(&logger.flushed) < 0)
        ;
}

void event_stop(void)
{
    if (!logger.is_running)
        return;
    atomic_store(&event_threshold, EVENT_NOTHING);
    atomic_store(&logger.stops, true);
    event_log_wake();
    thread_join(&logger.thread);
    atomic_store(&record_kinds_on, 0);
    logger.is_running = false;
    (void)sem_destroy(&logger.wake);
    (void)sem_destroy(&logger.flushed);
}
