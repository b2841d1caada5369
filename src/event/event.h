/*
 * event/event.h - one call: one structured line in the log, and the counters.
 *
 *     event(EVENT_MESSAGE_DELIVERED, id, EV_SLICE("to", domain), EV_ADDR("host", &peer),
 *           EV_UINT("recipients", n));
 *
 * writes, as the configuration says, one of
 *
 *     2026-11-22T20:30:01.123Z info message_delivered id=1hk3c0ev4q8rd to=example.org ...
 *     {"time":"2026-11-22T20:30:01.123Z","level":"info","event":"message_delivered","id":...}
 *
 * and adds 1 to the counter the table of events names. Notices and worse also go into the event
 * log, as JSON, where that is on (event/record.h), whatever the level of the log is. A value may
 * come from an enemy: whatever bytes it has, a line stays one line, a field stays one field, and
 * JSON stays UTF-8. A line is at most EVENT_LINE_MAX bytes; longer values are cut and end in "...".
 *
 * Threads: event() and counter_add() may be called from any thread and never block, take no lock
 * and, from a thread's second call on, allocate nothing: a line goes into the ring of its thread,
 * and the log thread writes the lines of all rings, many with one write. When a ring is full the
 * line is dropped and counted, and the log tells how many. A line below the level costs one load.
 * Lines of one thread keep their order.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "io/addr.h"

#define EVENT_LINE_MAX 4096 /* bytes, the final LF included */

enum event_level {
    EVENT_DEBUG,
    EVENT_INFO,
    EVENT_NOTICE,
    EVENT_WARNING,
    EVENT_ERROR,
    EVENT_NOTHING, /* as a threshold: no line at all */
};

/* What happened: X(constant, name in the log, level, counter that gets 1). */
#define EVENT_TABLE(X)                                                                             \
    X(EVENT_SERVER_STARTING, "server_starting", EVENT_INFO, COUNTER_NONE)                          \
    X(EVENT_SERVER_READY, "server_ready", EVENT_NOTICE, COUNTER_NONE)                              \
    X(EVENT_SERVER_STOPPING, "server_stopping", EVENT_NOTICE, COUNTER_NONE)                        \
    X(EVENT_SERVER_STOPPED, "server_stopped", EVENT_NOTICE, COUNTER_NONE)                          \
    X(EVENT_CONFIG_RELOADED, "config_reloaded", EVENT_NOTICE, COUNTER_NONE)                        \
    X(EVENT_CONFIG_REFUSED, "config_refused", EVENT_ERROR, COUNTER_NONE)                           \
    X(EVENT_CONFIG_WAITS, "config_waits", EVENT_NOTICE, COUNTER_NONE)                              \
    X(EVENT_CONFIG_NEEDS_RESTART, "config_needs_restart", EVENT_WARNING, COUNTER_NONE)             \
    X(EVENT_LISTENER_OPENED, "listener_opened", EVENT_INFO, COUNTER_NONE)                          \
    X(EVENT_CLIENT_CONNECTED, "client_connected", EVENT_DEBUG, COUNTER_CONNECTIONS_IN)             \
    X(EVENT_CLIENT_REFUSED, "client_refused", EVENT_INFO, COUNTER_CONNECTIONS_REFUSED)             \
    X(EVENT_CLIENT_DISCONNECTED, "client_disconnected", EVENT_DEBUG, COUNTER_NONE)                 \
    X(EVENT_CLIENT_LOST, "client_lost", EVENT_INFO, COUNTER_CONNECTIONS_LOST)                      \
    X(EVENT_COMMAND_REJECTED, "command_rejected", EVENT_INFO, COUNTER_COMMANDS_REJECTED)           \
    X(EVENT_RECIPIENT_REFUSED, "recipient_refused", EVENT_INFO, COUNTER_RECIPIENTS_REFUSED)        \
    X(EVENT_MESSAGE_REFUSED, "message_refused", EVENT_INFO, COUNTER_MESSAGES_REFUSED)              \
    X(EVENT_MESSAGE_ACCEPTED, "message_accepted", EVENT_INFO, COUNTER_MESSAGES_ACCEPTED)           \
    X(EVENT_MESSAGE_DELIVERED, "message_delivered", EVENT_INFO, COUNTER_MESSAGES_DELIVERED)        \
    X(EVENT_MESSAGE_DEFERRED, "message_deferred", EVENT_INFO, COUNTER_MESSAGES_DEFERRED)           \
    X(EVENT_MESSAGE_FAILED, "message_failed", EVENT_NOTICE, COUNTER_MESSAGES_FAILED)               \
    X(EVENT_MESSAGE_EXPIRED, "message_expired", EVENT_NOTICE, COUNTER_MESSAGES_EXPIRED)            \
    X(EVENT_DSN_QUEUED, "dsn_queued", EVENT_INFO, COUNTER_DSN_SENT)                                \
    X(EVENT_DSN_DROPPED, "dsn_dropped", EVENT_NOTICE, COUNTER_NONE)                                \
    X(EVENT_QUEUE_ACTION, "queue_action", EVENT_NOTICE, COUNTER_NONE)                              \
    X(EVENT_QUEUE_LOADED, "queue_loaded", EVENT_INFO, COUNTER_NONE)                                \
    X(EVENT_REMOTE_CONNECTED, "remote_connected", EVENT_DEBUG, COUNTER_CONNECTIONS_OUT)            \
    X(EVENT_REMOTE_REUSED, "remote_reused", EVENT_DEBUG, COUNTER_CONNECTIONS_REUSED)               \
    X(EVENT_REMOTE_DISCONNECTED, "remote_disconnected", EVENT_DEBUG, COUNTER_NONE)                 \
    X(EVENT_REMOTE_FAILED, "remote_failed", EVENT_INFO, COUNTER_CONNECTIONS_FAILED)                \
    X(EVENT_DESTINATION_FAILED, "destination_failed", EVENT_INFO, COUNTER_NONE)                    \
    X(EVENT_DNS_FAILED, "dns_failed", EVENT_INFO, COUNTER_DNS_FAILED)                              \
    X(EVENT_TLS_STARTED, "tls_started", EVENT_DEBUG, COUNTER_TLS_STARTED)                          \
    X(EVENT_TLS_FAILED, "tls_failed", EVENT_INFO, COUNTER_TLS_FAILED)                              \
    X(EVENT_SPOOL_NOTE, "spool_note", EVENT_NOTICE, COUNTER_NONE)                                  \
    X(EVENT_SPOOL_DIRECTORY, "spool_directory", EVENT_NOTICE, COUNTER_NONE)                        \
    X(EVENT_SPOOL_DAMAGE, "spool_damage", EVENT_ERROR, COUNTER_SPOOL_DAMAGE)                       \
    X(EVENT_SPOOL_ERROR, "spool_error", EVENT_ERROR, COUNTER_SPOOL_ERRORS)                         \
    X(EVENT_CONTROL, "control", EVENT_INFO, COUNTER_NONE)                                          \
    X(EVENT_SLOW_CALLBACK, "slow_callback", EVENT_WARNING, COUNTER_SLOW_CALLBACKS)                 \
    X(EVENT_LOG_DROPPED, "log_dropped", EVENT_WARNING, COUNTER_NONE)                               \
    X(EVENT_PRESSURE_INCREASED, "pressure_increased", EVENT_WARNING, COUNTER_NONE)                 \
    X(EVENT_PRESSURE_DECREASED, "pressure_decreased", EVENT_NOTICE, COUNTER_NONE)                  \
    X(EVENT_PRESSURE_PERSISTS, "pressure_persists", EVENT_WARNING, COUNTER_NONE)                   \
    X(EVENT_REFUSING_DISK, "refusing_mail_disk", EVENT_ERROR, COUNTER_NONE)                        \
    X(EVENT_REFUSING_MEMORY, "refusing_mail_memory", EVENT_ERROR, COUNTER_NONE)                    \
    X(EVENT_REFUSING_MAIL, "refusing_mail", EVENT_ERROR, COUNTER_NONE)                             \
    X(EVENT_REFUSING_ENDS, "refusing_ends", EVENT_NOTICE, COUNTER_NONE)                            \
    X(EVENT_REMEDY, "remedy", EVENT_NOTICE, COUNTER_REMEDIES)                                      \
    X(EVENT_REFUSALS_NOT_TOLD, "refusals_not_told", EVENT_NOTICE, COUNTER_NONE)                    \
    X(EVENT_RECORDS_LOST, "records_lost", EVENT_WARNING, COUNTER_NONE)                             \
    X(EVENT_PROVIDER_LEARNT, "provider_learnt", EVENT_DEBUG, COUNTER_NONE)                         \
    X(EVENT_LANE_CHANGED, "lane_changed", EVENT_WARNING, COUNTER_LANE_CHANGES)                     \
    X(EVENT_LANE_WATCHED, "lane_watched", EVENT_INFO, COUNTER_LANE_CHANGES)                        \
    X(EVENT_LANE_RESTORED, "lane_restored", EVENT_NOTICE, COUNTER_LANE_CHANGES)                    \
    X(EVENT_LANE_REFUSED, "lane_refused", EVENT_WARNING, COUNTER_NONE)                             \
    X(EVENT_LANE_ACTION, "lane_action", EVENT_NOTICE, COUNTER_NONE)                                \
    X(EVENT_LEDGER_ERROR, "ledger_error", EVENT_ERROR, COUNTER_LEDGER_ERRORS)                      \
    X(EVENT_SUPPRESSION_ADDED, "suppression_added", EVENT_NOTICE, COUNTER_SUPPRESSIONS_ADDED)      \
    X(EVENT_RECIPIENT_SUPPRESSED, "recipient_suppressed", EVENT_NOTICE,                            \
      COUNTER_RECIPIENTS_SUPPRESSED)                                                               \
    X(EVENT_WARM_UP, "warm_up", EVENT_NOTICE, COUNTER_NONE)                                        \
    X(EVENT_INCIDENT_OPENED, "incident_opened", EVENT_ERROR, COUNTER_INCIDENTS)                    \
    X(EVENT_INCIDENT_CLOSED, "incident_closed", EVENT_NOTICE, COUNTER_NONE)                        \
    X(EVENT_INTERNAL_ERROR, "internal_error", EVENT_ERROR, COUNTER_INTERNAL_ERRORS)

/* What is counted: X(constant, name, help). Names and helps are the metrics', too. */
#define COUNTER_TABLE(X)                                                                           \
    X(COUNTER_CONNECTIONS_IN, "connections_in", "Connections of clients taken.")                   \
    X(COUNTER_CONNECTIONS_REFUSED, "connections_refused", "Connections of clients turned away.")   \
    X(COUNTER_CONNECTIONS_LOST, "connections_lost", "Sessions that a client broke off.")           \
    X(COUNTER_COMMANDS_REJECTED, "commands_rejected", "Commands answered with an error.")          \
    X(COUNTER_MESSAGES_ACCEPTED, "messages_accepted", "Messages that got their 250.")              \
    X(COUNTER_MESSAGES_REFUSED, "messages_refused", "Messages refused, at MAIL or later.")         \
    X(COUNTER_RECIPIENTS_ACCEPTED, "recipients_accepted", "Recipients of accepted messages.")      \
    X(COUNTER_RECIPIENTS_REFUSED, "recipients_refused", "Recipients refused.")                     \
    X(COUNTER_BYTES_IN, "bytes_in", "Bytes of messages received.")                                 \
    X(COUNTER_REFUSED_4XX, "refused_4xx", "Replies that refused for now.")                         \
    X(COUNTER_REFUSED_5XX, "refused_5xx", "Replies that refused for good.")                        \
    X(COUNTER_ATTEMPTS, "attempts", "Attempts to deliver.")                                        \
    X(COUNTER_MESSAGES_DELIVERED, "messages_delivered", "Messages delivered to a destination.")    \
    X(COUNTER_MESSAGES_DEFERRED, "messages_deferred", "Attempts after which a message waits.")     \
    X(COUNTER_MESSAGES_FAILED, "messages_failed", "Messages that failed at a destination.")        \
    X(COUNTER_MESSAGES_EXPIRED, "messages_expired", "Messages that waited for too long.")          \
    X(COUNTER_MESSAGES_REMOVED, "messages_removed", "Messages removed by the operator.")           \
    X(COUNTER_RECIPIENTS_DELIVERED, "recipients_delivered", "Recipients delivered to.")            \
    X(COUNTER_RECIPIENTS_DEFERRED, "recipients_deferred", "Recipients put off by an attempt.")     \
    X(COUNTER_RECIPIENTS_FAILED, "recipients_failed", "Recipients that failed for good.")          \
    X(COUNTER_DSN_SENT, "dsn_sent", "Delivery reports of ours.")                                   \
    X(COUNTER_CONNECTIONS_OUT, "connections_out", "Connections to other hosts.")                   \
    X(COUNTER_CONNECTIONS_REUSED, "connections_reused", "Connections used once more.")             \
    X(COUNTER_CONNECTIONS_FAILED, "connections_failed", "Connections that could not be made.")     \
    X(COUNTER_BYTES_OUT, "bytes_out", "Bytes sent to other hosts.")                                \
    X(COUNTER_DNS_FAILED, "dns_failed", "Questions to the DNS without answer.")                    \
    X(COUNTER_TLS_STARTED, "tls_started", "Connections that began TLS.")                           \
    X(COUNTER_TLS_FAILED, "tls_failed", "Connections on which TLS failed.")                        \
    X(COUNTER_SPOOL_DAMAGE, "spool_damage", "Damaged records met in the spool.")                   \
    X(COUNTER_SPOOL_ERRORS, "spool_errors", "Errors of the spool's disk.")                         \
    X(COUNTER_SLOW_CALLBACKS, "slow_callbacks", "Callbacks that held up a loop.")                  \
    X(COUNTER_INTERNAL_ERRORS, "internal_errors", "Errors of the program itself.")                 \
    X(COUNTER_LOG_DROPPED, "log_dropped", "Log lines lost.")                                       \
    X(COUNTER_RECORDS_DROPPED, "records_dropped", "Lines of log files lost.")                      \
    X(COUNTER_MAILS_DELAYED, "mails_delayed", "MAILs that waited for their reply.")                \
    X(COUNTER_REFUSED_PRESSURE, "refused_pressure", "Refusals for want of room.")                  \
    X(COUNTER_REFUSED_LATE, "refused_late", "Refusals at the end of DATA.")                        \
    X(COUNTER_REFUSED_CLIENT_LIMIT, "refused_client_limit", "Refusals over a client's limit.")     \
    X(COUNTER_REMEDIES, "remedies", "Remedies that were told in the log.")                         \
    X(COUNTER_LANE_CHANGES, "lane_changes", "Changes of band or limits of a lane.")                \
    X(COUNTER_INCIDENTS, "incidents", "Incidents opened.")                                         \
    X(COUNTER_LEDGER_ERRORS, "ledger_errors", "Errors of the ledger of evidence.")                 \
    X(COUNTER_SUPPRESSIONS_ADDED, "suppressions_added", "Addresses that a host's 5xx listed.")     \
    X(COUNTER_RECIPIENTS_SUPPRESSED, "recipients_suppressed", "Recipients returned untried.")      \
    X(COUNTER_EVIDENCE_LOST, "evidence_lost", "Attempts without memory for their evidence.")

#define EVENT_ENUM_LINE(constant, name, level, counter) constant,
#define COUNTER_ENUM_LINE(constant, name, help) constant,
enum event_type { EVENT_TABLE(EVENT_ENUM_LINE) EVENT_TYPES };
enum counter { COUNTER_TABLE(COUNTER_ENUM_LINE) COUNTERS, COUNTER_NONE = COUNTERS };

struct event_field { /* made by the EV_ macros */
    const char *key; /* a literal of lower-case letters and '_'; NULL: no field */
    enum {
        EV_TYPE_SLICE,
        EV_TYPE_INT,
        EV_TYPE_UINT,
        EV_TYPE_BOOL,
        EV_TYPE_ID,
        EV_TYPE_ADDR,
        EV_TYPE_IP
    } type;
    union {
        struct slice text;
        int64_t integer;
        uint64_t number;
        const struct addr *addr;
    } v;
};

struct slice event_err_text(int err); /* err_str() as a slice */

#define EV_SLICE(k, s) ((struct event_field){.key = (k), .type = EV_TYPE_SLICE, .v.text = (s)})
#define EV_STR(k, nul_ended) EV_SLICE(k, slice_str(nul_ended)) /* NULL: an empty text */
#define EV_ERR(k, err) EV_SLICE(k, event_err_text(err))
#define EV_INT(k, i) ((struct event_field){.key = (k), .type = EV_TYPE_INT, .v.integer = (i)})
#define EV_UINT(k, u) ((struct event_field){.key = (k), .type = EV_TYPE_UINT, .v.number = (u)})
#define EV_BOOL(k, b) ((struct event_field){.key = (k), .type = EV_TYPE_BOOL, .v.number = (b)})
#define EV_ID(k, id) ((struct event_field){.key = (k), .type = EV_TYPE_ID, .v.number = (id)})
#define EV_ADDR(k, a) ((struct event_field){.key = (k), .type = EV_TYPE_ADDR, .v.addr = (a)})
/* The address without its port. */
#define EV_IP(k, a) ((struct event_field){.key = (k), .type = EV_TYPE_IP, .v.addr = (a)})
#define EV_NONE ((struct event_field){.key = NULL}) /* for an event without fields */

#define EVENT_NO_ID 0 /* not about a message */

/*
 * Tells that something happened. `id` is the message's queue id or EVENT_NO_ID; then one field or
 * more (EV_NONE where there is nothing to add), which are not evaluated when the level is off. The
 * time is taken from the clock, once.
 */
#define event(type, id, ...)                                                                       \
    do {                                                                                           \
        counter_add(event_counter(type), 1);                                                       \
        if (event_is_on(type))                                                                     \
            event_write((type), (id), (const struct event_field[]){__VA_ARGS__},                   \
                        sizeof((const struct event_field[]){__VA_ARGS__}) /                        \
                            sizeof(struct event_field));                                           \
    } while (0)

/* What event() is made of. The switches fold away where the type is a constant, as it is. */
extern _Atomic int event_threshold; /* private */
#define EVENT_LEVEL_CASE(constant, name, level, counter)                                           \
    case constant:                                                                                 \
        return level;
#define EVENT_COUNTER_CASE(constant, name, level, counter)                                         \
    case constant:                                                                                 \
        return counter;
static inline enum event_level event_level_of(enum event_type type)
{
    switch (type) {
        EVENT_TABLE(EVENT_LEVEL_CASE)
    case EVENT_TYPES:
        break;
    }
    return EVENT_NOTHING;
}
static inline enum counter event_counter(enum event_type type)
{
    switch (type) {
        EVENT_TABLE(EVENT_COUNTER_CASE)
    case EVENT_TYPES:
        break;
    }
    return COUNTER_NONE;
}
static inline bool event_is_on(enum event_type type)
{
    return (int)event_level_of(type) >=
           atomic_load_explicit(&event_threshold, memory_order_relaxed);
}
void event_write(enum event_type type, uint64_t id, const struct event_field *fields, size_t count);

/* Adds to a counter; COUNTER_NONE adds nothing. Any thread, no lock, about a nanosecond. */
void counter_add(enum counter c, uint64_t n);
/* The sum over all threads, those that ended included. Any thread. */
uint64_t counter_get(enum counter c);
const char *counter_name(enum counter c);
const char *counter_help(enum counter c); /* a sentence */

/* In the journal a line is logfmt without time and level, which are fields of the entry, as every
 * field of the event is: PENSTOCK_EVENT=server_ready, PENSTOCK_LOOPS=2. */
enum event_target { EVENT_TO_FD, EVENT_TO_JOURNAL };
enum event_format { EVENT_LOGFMT, EVENT_JSON };
struct event_config {
    enum event_target target;
    int fd; /* EVENT_TO_FD: where lines go, 2 for stderr; stays the caller's */
    enum event_format format;
    enum event_level level; /* lines below it are not written; EVENT_NOTHING: none */
};

/* Is `fd` the stream that systemd connected to the journal (JOURNAL_STREAM, see systemd.exec(5))?
 * Then lines sent with EVENT_TO_JOURNAL arrive there with level and fields. */
bool event_fd_is_journal(int fd);

/* Starts the log thread; before it, and after event_stop(), events are counted and not written.
 * Main thread. 0, -ENOMEM or -EAGAIN. */
MUST_CHECK int event_start(const struct event_config *config);
/* On reload. Main thread. */
void event_set_config(const struct event_config *config);
/* Waits until every line written before the call is with the kernel. Not from a loop thread that
 * sessions wait on. */
void event_flush(void);
/* Writes what is left and ends the log thread. Main thread; other threads may still call event(),
 * whose lines are then dropped. */
void event_stop(void);

/* Formats one line, LF included, into `ret` (at least EVENT_LINE_MAX bytes) and returns its
 * length: event_write() without the ring. For tests, and for tools that print the same lines. */
size_t event_format_line(enum event_format format, int64_t wall_ms, enum event_type type,
                         uint64_t id, const struct event_field *fields, size_t count, char *ret);
