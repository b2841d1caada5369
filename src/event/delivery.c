/*
 * event/delivery.c - one table of fields, walked for each line.
 *
 * Which fields a line has is decided by its event and by what is known, so a reader never meets a
 * number that means "not known". Each text has a bound of its own, so that a long one takes no room
 * from the others, and the sum of all fits a line.
 */
#include "event/delivery.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "event/event_int.h"
#include "event/exchange_log.h"

enum { /* sets of events */
       RECEIVED = 1 << DELIVERY_RECEIVED,
       DEFERRED = 1 << DELIVERY_DEFERRED,
       ATTEMPT = 1 << DELIVERY_DELIVERED | DEFERRED | 1 << DELIVERY_FAILED,
       /* It ended, and not with an attempt. */
       ENDED = 1 << DELIVERY_EXPIRED | 1 << DELIVERY_SUPPRESSED | 1 << DELIVERY_BOUNCED |
               1 << DELIVERY_REMOVED,
       DSN = 1 << DELIVERY_DSN,
       RCPT = ATTEMPT | ENDED | DSN,
       ALL = RECEIVED | RCPT
};

enum shape {
    TEXT,     /* left out where empty */
    TEXT_SET, /* never left out: an empty one says something */
    NUMBER,   /* never left out */
    CODE,     /* left out where 0 */
    ENHANCED, /* three numbers, "4.3.1" */
    ID,
    BOOL
};

/* X(member, key, shape, events, the most bytes of the value as written). Behind these comes
 * `next_attempt`, and before them `schema`, `time` and `event`. */
#define FIELD_TABLE(X)                                                                             \
    X(id, "id", ID, ALL, 16)                                                                       \
    X(message_id, "message_id", TEXT, ALL, 640)                                                    \
    X(sender, "sender", TEXT_SET, ALL, 640)                                                        \
    X(recipient, "recipient", TEXT, RCPT, 640)                                                     \
    X(domain, "domain", TEXT, RCPT, 320)                                                           \
    X(recipients, "recipients", NUMBER, RECEIVED, 20)                                              \
    X(size, "size", NUMBER, ALL, 20)                                                               \
    X(client, "client", TEXT, RECEIVED, 64)                                                        \
    X(client_name, "client_name", TEXT, RECEIVED, 320)                                             \
    X(listener, "listener", TEXT, RECEIVED, 128)                                                   \
    X(traffic, "traffic", TEXT, RECEIVED, 32)                                                      \
    X(attempt, "attempt", NUMBER, ATTEMPT, 20)                                                     \
    X(code, "code", CODE, ATTEMPT | ENDED, 20)                                                     \
    X(enhanced, "enhanced", ENHANCED, ATTEMPT | ENDED, 20)                                         \
    X(klass, "class", TEXT, ATTEMPT | ENDED, 32)                                                   \
    X(phase, "phase", TEXT, ATTEMPT, 32)                                                           \
    X(reply, "reply", TEXT, ATTEMPT | ENDED, 2048)                                                 \
    X(provider, "provider", TEXT, ATTEMPT, 320)                                                    \
    X(lane, "lane", TEXT, ATTEMPT, 384)                                                            \
    X(source, "source", TEXT, ATTEMPT, 128)                                                        \
    X(local, "local", TEXT, RECEIVED | ATTEMPT, 64)                                                \
    X(host, "host", TEXT, ATTEMPT, 320)                                                            \
    X(peer, "peer", TEXT, ATTEMPT, 64)                                                             \
    X(own_relay, "own_relay", BOOL, ATTEMPT, 8)                                                    \
    X(tls, "tls", BOOL, RECEIVED | ATTEMPT, 8)                                                     \
    X(tls_version, "tls_version", TEXT, RECEIVED | ATTEMPT, 32)                                    \
    X(tls_cipher, "tls_cipher", TEXT, RECEIVED | ATTEMPT, 64)                                      \
    X(in_queue_ms, "in_queue_ms", NUMBER, ATTEMPT | ENDED, 20)                                     \
    X(latency_ms, "latency_ms", NUMBER, ATTEMPT, 20)                                               \
    X(kind, "kind", TEXT, DSN, 32)                                                                 \
    X(original, "original", ID, DSN, 16)

struct field {
    const char *key;
    uint16_t offset, events, bytes_max;
    uint8_t shape;
};
#define FIELD_LINE(member, key, shape, events, bytes_max)                                          \
    {key, offsetof(struct delivery, member), events, bytes_max, shape},
static const struct field fields[] = {FIELD_TABLE(FIELD_LINE)};

#define FIELD_SIZE(member, key, shape, events, bytes_max)                                          \
    +sizeof(key) + EVENT_LINE_FIELD + EVENT_LINE_TAIL + (bytes_max)
#define HEAD_MAX 128 /* schema, time, event; next_attempt; the braces and LF */
_Static_assert(HEAD_MAX FIELD_TABLE(FIELD_SIZE) <= RECORD_LINE_MAX, "every line fits");

#define EVENT_NAME(constant, name) name,
static const char *const event_names[] = {DELIVERY_EVENT_TABLE(EVENT_NAME)};

/* The end of a line that is held: the time is put in its place, or all of it is left out. */
#define NEXT_BEGIN ",\"next_attempt\":\""
#define NEXT_END "\"}\n"
#define NEXT_LEN (sizeof(NEXT_BEGIN) - 1 + EXCHANGE_TIME_LEN + sizeof(NEXT_END) - 1)

static _Thread_local char line_buffer[RECORD_LINE_MAX];

/* ---- what there is ---- */

static const struct {
    const char *name;
    uint16_t events;
} more_fields[] = {{"schema", ALL}, {"time", ALL}, {"event", ALL}, {"next_attempt", DEFERRED}};

const char *delivery_field_name(size_t i)
{
    if (i < ARRAY_SIZE(fields))
        return fields[i].key;
    i -= ARRAY_SIZE(fields);
    return i < ARRAY_SIZE(more_fields) ? more_fields[i].name : NULL;
}

bool delivery_field_is_in(size_t i, enum delivery_event event)
{
    unsigned events =
        i < ARRAY_SIZE(fields) ? fields[i].events : more_fields[i - ARRAY_SIZE(fields)].events;

    return (events >> event & 1) != 0;
}

const char *delivery_event_name(enum delivery_event event)
{
    ASSERT(event < DELIVERY_EVENTS);
    return event_names[event];
}

/* ---- a line ---- */

static char *put(char *to, const void *bytes, size_t len)
{
    memcpy(to, bytes, len);
    return to + len;
}

#define PUT_LITERAL(to, literal) put(to, literal, sizeof(literal) - 1)

static size_t enhanced_text(const uint16_t status[3], char to[static 3 * EXCHANGE_NUMBER_MAX])
{
    size_t at = exchange_number(status[0], 1, to);

    for (size_t i = 1; i < 3; i++) {
        char digits[EXCHANGE_NUMBER_MAX];
        size_t len = exchange_number(status[i], 1, digits);

        to[at++] = '.';
        memcpy(to + at, digits, len);
        at += len;
    }
    return at;
}

static void put_enhanced(struct event_line *l, const char *key, const uint16_t *status)
{
    char text[3 * EXCHANGE_NUMBER_MAX];

    if (status[0])
        event_line_field(l, &EV_SLICE(key, slice_make(text, enhanced_text(status, text))));
}

/* Nothing where it is not known. */
static void put_field(struct event_line *l, const struct field *f, const struct delivery *d)
{
    const void *at = (const char *)d + f->offset;

    switch ((enum shape)f->shape) {
    case TEXT:
        if (((const struct slice *)at)->len == 0)
            break;
        __attribute__((fallthrough));
    case TEXT_SET:
        event_line_field(l, &EV_SLICE(f->key, *(const struct slice *)at));
        break;
    case CODE:
        if (*(const uint64_t *)at == 0)
            break;
        __attribute__((fallthrough));
    case NUMBER:
        event_line_field(l, &EV_UINT(f->key, *(const uint64_t *)at));
        break;
    case ENHANCED:
        put_enhanced(l, f->key, at);
        break;
    case ID:
        event_line_field(l, &EV_ID(f->key, *(const uint64_t *)at));
        break;
    case BOOL:
        event_line_field(l, &EV_BOOL(f->key, *(const bool *)at));
        break;
    }
}

/* All but `next_attempt` and the end. */
static char *put_fields(char *at, const struct delivery *d)
{
    const char *name = event_names[d->event];
    struct event_line l = {.at = PUT_LITERAL(at, "{\"schema\":"), .json = true};

    _Static_assert(DELIVERY_SCHEMA < 10, "one digit");
    *l.at++ = '0' + DELIVERY_SCHEMA;
    l.at = PUT_LITERAL(l.at, ",\"time\":\"");
    event_line_time(&l, d->at_ms);
    l.at = PUT_LITERAL(l.at, "\",\"event\":\"");
    l.at = put(l.at, name, strlen(name));
    *l.at++ = '"';
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        const struct field *f = &fields[i];

        if ((f->events >> d->event & 1) == 0)
            continue;
        l.limit = l.at + strlen(f->key) + EVENT_LINE_FIELD + f->bytes_max;
        l.full = false;
        put_field(&l, f, d);
    }
    return l.at;
}

/* With `next_attempt` where `has_next`: 0 for now, if the time is not known. */
static size_t make_line(const struct delivery *d, bool has_next, char ret[static RECORD_LINE_MAX])
{
    char *at;

    ASSERT(d->event < DELIVERY_EVENTS);
    at = put_fields(ret, d);
    if (has_next) {
        at = PUT_LITERAL(at, NEXT_BEGIN);
        exchange_time(d->next_attempt_ms, at);
        at = PUT_LITERAL(at + EXCHANGE_TIME_LEN, NEXT_END);
    } else {
        at = PUT_LITERAL(at, "}\n");
    }
    ASSERT(at <= ret + RECORD_LINE_MAX);
    return (size_t)(at - ret);
}

size_t delivery_line(const struct delivery *d, char ret[static RECORD_LINE_MAX])
{
    return make_line(d, d->event == DELIVERY_DEFERRED && d->next_attempt_ms != 0, ret);
}

static void take_time(struct delivery *d)
{
    if (d->at_ms == 0)
        d->at_ms = clock_wall_ms();
}

void delivery_log(struct delivery *d)
{
    if (!delivery_log_is_on())
        return;
    take_time(d);
    record_write(RECORD_DELIVERIES, slice_make(line_buffer, delivery_line(d, line_buffer)));
}

/* ---- lines that wait for a time: each behind its length ---- */

void delivery_hold(struct delivery *d, struct buf *held)
{
    uint32_t len;

    ASSERT(d->event == DELIVERY_DEFERRED);
    if (!delivery_log_is_on())
        return;
    take_time(d);
    len = (uint32_t)make_line(d, true, line_buffer);
    if (buf_reserve(held, sizeof(len) + len) == 0) {
        ignore_result(buf_add_u32(held, len));
        ignore_result(buf_add(held, slice_make(line_buffer, len)));
    } else {
        delivery_log(d);
    }
}

void delivery_release(struct buf *held, int64_t next_attempt_ms)
{
    struct cursor c = cursor_make(buf_slice(held));
    char next[EXCHANGE_TIME_LEN];

    if (!cursor_at_end(&c))
        exchange_time(next_attempt_ms, next);
    while (!cursor_at_end(&c)) {
        struct slice line = cursor_take(&c, cursor_u32(&c));
        char *at = line_buffer + line.len - NEXT_LEN;

        ASSERT(line.len > NEXT_LEN && line.len <= sizeof(line_buffer));
        memcpy(line_buffer, line.ptr, line.len);
        if (next_attempt_ms) {
            memcpy(at + sizeof(NEXT_BEGIN) - 1, next, sizeof(next));
            at += NEXT_LEN;
        } else {
            at = PUT_LITERAL(at, "}\n");
        }
        record_write(RECORD_DELIVERIES, slice_make(line_buffer, (size_t)(at - line_buffer)));
    }
    buf_done(held);
}
