/*
 * event/log.c - the log thread: takes lines out of all rings and writes them in batches.
 *
 * It may be held up by whoever reads the log; the rings then fill and lines are dropped and
 * counted, and no other thread waits. A descriptor that is not a file is polled first and given at
 * most PIPE_BUF bytes of whole lines at a time, which a pipe then takes without blocking and
 * without mixing them with another process's; so the thread can always be told to stop.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/assert.h"
#include "base/clock.h"
#include "event/event_int.h"
#include "io/thread.h"

#define BATCH_BYTES KIB(64)
#define NAP_NS (2 * NS_PER_MS) /* after waking, so that more lines join the batch */
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
    uint64_t stop_by_ms; /* 0: not stopping yet */
    size_t used;
    char line[EVENT_LINE_MAX];
    uint8_t batch[BATCH_BYTES];
} logger;

void event_log_wake(void)
{
    if (atomic_exchange(&event_log_sleeps, false))
        (void)sem_post(&logger.wake);
}

/* Is the time over in which a reader that does not read is waited for? */
static bool gave_up(void)
{
    if (!atomic_load_explicit(&logger.stops, memory_order_relaxed))
        return false;
    if (logger.stop_by_ms == 0)
        logger.stop_by_ms = clock_mono_ms() + STOP_WAIT_MS;
    return clock_mono_ms() >= logger.stop_by_ms;
}

/* True when `fd` takes bytes; false when it is not worth waiting any longer. */
static bool wait_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    for (;;) {
        int r = poll(&p, 1, POLL_MS);

        if (r > 0)
            return (p.revents & POLLOUT) != 0;
        if ((r < 0 && errno != EINTR) || gave_up())
            return false;
    }
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

static bool write_piece(int fd, struct slice piece, bool is_file)
{
    while (piece.len) {
        ssize_t n;

        if (!is_file && !wait_writable(fd))
            return false;
        n = write(fd, piece.ptr, piece.len);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        if (n > 0)
            piece = slice_from(piece, (size_t)n);
        else if (n < 0 && errno == EAGAIN && gave_up())
            return false;
    }
    return true;
}

static uint64_t count_lines(struct slice s)
{
    uint64_t n = 0;

    for (size_t i = 0; i < s.len; i++)
        n += s.ptr[i] == '\n';
    return n;
}

static void write_batch(void)
{
    int fd = atomic_load_explicit(&event_settings.fd, memory_order_relaxed);
    struct slice left = slice_make(logger.batch, logger.used);
    struct stat st;
    bool is_file;

    if (left.len == 0)
        return;
    is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    while (left.len) {
        size_t n = is_file ? left.len : piece_of(left);

        if (!write_piece(fd, slice_sub(left, 0, n), is_file)) {
            counter_add(COUNTER_LOG_DROPPED, count_lines(left));
            break;
        }
        left = slice_from(left, n);
    }
    logger.used = 0;
}

static void to_journal(enum event_level level, const char *line, size_t len)
{
    static const int priorities[] = {LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING, LOG_ERR};
    static const char message[] = "MESSAGE=";
    static char name[] = "SYSLOG_IDENTIFIER=penstock"; /* not const: iovec has no const */
    char entry[sizeof(message) + EVENT_LINE_MAX];
    char priority[] = "PRIORITY=0";
    struct iovec fields[3];

    memcpy(entry, message, sizeof(message) - 1);
    memcpy(entry + sizeof(message) - 1, line, len);
    priority[sizeof(priority) - 2] = (char)('0' + priorities[level]);
    fields[0] = (struct iovec){entry, sizeof(message) - 1 + len - 1}; /* without LF */
    fields[1] = (struct iovec){priority, sizeof(priority) - 1};
    fields[2] = (struct iovec){name, sizeof(name) - 1};
    if (sd_journal_sendv(fields, ARRAY_SIZE(fields)) < 0)
        counter_add(COUNTER_LOG_DROPPED, 1);
}

static void take_line(enum event_level level, const char *line, size_t len)
{
    if (atomic_load_explicit(&event_settings.target, memory_order_relaxed) == EVENT_TO_JOURNAL) {
        to_journal(level, line, len);
        return;
    }
    if (BATCH_BYTES - logger.used < len)
        write_batch();
    memcpy(logger.batch + logger.used, line, len);
    logger.used += len;
}

static void ring_copy_out(const uint8_t *ring, uint64_t at, void *to, size_t len)
{
    size_t start = (size_t)(at % EVENT_RING_BYTES);
    size_t first = MIN_OF(len, EVENT_RING_BYTES - start);

    memcpy(to, ring + start, first);
    memcpy((uint8_t *)to + first, ring, len - first);
}

/* Takes what is in one ring now; what comes meanwhile waits for the next round, so that a busy
 * thread does not keep the others' lines waiting. */
static bool drain(struct event_thread *t)
{
    uint64_t tail = atomic_load_explicit(&t->tail, memory_order_relaxed);
    uint64_t head = atomic_load(&t->head);
    const uint8_t *ring = atomic_load_explicit(&t->ring, memory_order_acquire);
    bool took = head != tail;

    while (tail != head) {
        struct event_record record;

        ring_copy_out(ring, tail, &record, sizeof(record));
        ASSERT(record.bytes <= sizeof(logger.line) && record.level < EVENT_NOTHING);
        ring_copy_out(ring, tail + sizeof(record), logger.line, record.bytes);
        tail += sizeof(record) + record.bytes;
        atomic_store_explicit(&t->tail, tail, memory_order_release);
        take_line((enum event_level)record.level, logger.line, record.bytes);
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

static void tell_dropped(void)
{
    uint64_t dropped = counter_get(COUNTER_LOG_DROPPED);
    enum event_format format =
        (enum event_format)atomic_load_explicit(&event_settings.format, memory_order_relaxed);
    struct event_field field = EV_UINT("lines", dropped - logger.dropped_told);
    size_t len;

    if (dropped == logger.dropped_told)
        return;
    logger.dropped_told = dropped;
    len = event_format_line(format, clock_wall_ms(), EVENT_LOG_DROPPED, EVENT_NO_ID, &field, 1,
                            logger.line);
    take_line(EVENT_WARNING, logger.line, len);
}

static bool rings_are_empty(void)
{
    struct event_thread *t = atomic_load_explicit(&event_threads, memory_order_acquire);

    for (; t; t = t->next)
        if (atomic_load(&t->head) != atomic_load_explicit(&t->tail, memory_order_relaxed))
            return false;
    return true;
}

static void sleep_until_woken(void)
{
    static const struct timespec nap = {.tv_nsec = NAP_NS};

    atomic_store(&event_log_sleeps, true);
    if (!rings_are_empty() || atomic_load(&logger.stops) ||
        atomic_load(&logger.flush_wanted) != logger.flush_done) {
        if (atomic_exchange(&event_log_sleeps, false))
            return;
        /* A thread was faster and posts: take that post. */
    }
    while (sem_wait(&logger.wake) < 0)
        ;
    if (!atomic_load(&logger.stops) && atomic_load(&logger.flush_wanted) == logger.flush_done)
        (void)nanosleep(&nap, NULL);
}

static void run(void *ctx)
{
    (void)ctx;
    for (;;) {
        /* Read before the rings: what was written before the call is then drained. */
        bool stops = atomic_load(&logger.stops);
        uint64_t flush_wanted = atomic_load(&logger.flush_wanted);
        bool took = drain_all();

        if (took && logger.used < BATCH_BYTES / 2 && !rings_are_empty())
            continue;
        tell_dropped();
        write_batch();
        for (; logger.flush_done < flush_wanted; logger.flush_done++)
            (void)sem_post(&logger.flushed);
        if (stops && !took)
            return;
        if (!took)
            sleep_until_woken();
    }
}

void event_set_config(const struct event_config *config)
{
    atomic_store(&event_settings.target, (int)config->target);
    atomic_store(&event_settings.fd, config->fd);
    atomic_store(&event_settings.format, (int)config->format);
    atomic_store(&event_threshold, (int)config->level);
}

int event_start(const struct event_config *config)
{
    int r;

    ASSERT(!logger.is_running);
    if (sem_init(&logger.wake, 0, 0) < 0 || sem_init(&logger.flushed, 0, 0) < 0)
        return -errno;
    atomic_store(&logger.stops, false);
    logger.stop_by_ms = 0;
    logger.dropped_told = counter_get(COUNTER_LOG_DROPPED);
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
    logger.is_running = false;
    (void)sem_destroy(&logger.wake);
    (void)sem_destroy(&logger.flushed);
}
