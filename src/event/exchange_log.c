/*
 * event/exchange_log.c - sessions, the time, and the way to record_write(). One buffer a thread
 * holds the line being made: 8 KiB on the stack would be cleared for each.
 */
#include "event/exchange_log.h"

#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"

static _Thread_local char line_buffer[RECORD_LINE_MAX];
static _Thread_local char scratch[EXCHANGE_DATA_MAX];

/* ---- the time ---- */

/* The text of the present millisecond; all but its last digits holds for a whole second. */
static void put_now(char ret[static EXCHANGE_TIME_LEN])
{
    static _Thread_local char text[EXCHANGE_TIME_LEN];
    static _Thread_local int64_t text_ms = -1;
    int64_t now_ms = clock_wall_ms();

    if (now_ms != text_ms && now_ms >= 0 && text_ms >= 0 && now_ms / 1000 == text_ms / 1000) {
        int ms = (int)(now_ms % 1000);

        text[20] = (char)('0' + ms / 100);
        text[21] = (char)('0' + ms / 10 % 10);
        text[22] = (char)('0' + ms % 10);
    } else if (now_ms != text_ms) {
        exchange_time(now_ms, text);
    }
    text_ms = now_ms;
    memcpy(ret, text, EXCHANGE_TIME_LEN);
}

/* ---- ids ---- */

#define TICKS_PER_MS 10000                         /* of 100 ns */
#define TICKS_AT_1970 UINT64_C(621355968000000000) /* since the year 1 */

/* A number that no process of this server had before: it starts at the time and grows by one, and
 * nobody makes ten million a second. */
static uint64_t next_number(_Atomic uint64_t *last)
{
    uint64_t none = 0;

    if (atomic_load_explicit(last, memory_order_relaxed) == 0)
        (void)atomic_compare_exchange_strong(
            last, &none, TICKS_AT_1970 + (uint64_t)MAX_OF(clock_wall_ms(), 0) * TICKS_PER_MS);
    return atomic_fetch_add_explicit(last, 1, memory_order_relaxed) + 1;
}

uint64_t exchange_session_id(void)
{
    static _Atomic uint64_t last;

    return next_number(&last);
}

/* ---- the protocol log ---- */

static size_t put_endpoint(const struct addr *a, char *to)
{
    char text[ADDR_TEXT_MAX];

    if (!a || a->len == 0)
        return 0;
    addr_format(a, text);
    return exchange_field(slice_str(text), to, EXCHANGE_ENDPOINT_MAX - 2);
}

void protocol_log_set_endpoints(struct protocol_log *p, const struct addr *local,
                                const struct addr *remote)
{
    size_t len;

    _Static_assert(2 * (EXCHANGE_ENDPOINT_MAX - 2) + 1 <= sizeof(p->endpoints), "both fit");
    _Static_assert(sizeof(p->endpoints) <= UINT8_MAX, "its length fits its field");
    if (!p->is_on)
        return;
    len = put_endpoint(local, p->endpoints);
    p->endpoints[len++] = ',';
    len += put_endpoint(remote, p->endpoints + len);
    p->endpoints_len = (uint8_t)len;
}

void protocol_log_open(struct protocol_log *p, enum record_kind kind, uint64_t session,
                       struct slice connector, const struct addr *local, const struct addr *remote)
{
    ASSERT(kind == RECORD_RECEIVE || kind == RECORD_SEND);
    p->connector = connector;
    p->session = session ? session : exchange_session_id();
    p->sequence = 0;
    p->kind = (uint8_t)kind;
    p->endpoints_len = 0;
    p->after_auth = false;
    p->is_on = record_is_on(kind);
    protocol_log_set_endpoints(p, local, remote);
}

void protocol_log_write(struct protocol_log *p, char event, struct slice data, struct slice context)
{
    struct protocol_line l;
    size_t len;

    if (!p->is_on)
        return;
    if (p->sequence == 0 && event != '+' && p->kind == RECORD_RECEIVE)
        protocol_log_write(p, '+', (struct slice){0}, (struct slice){0});
    put_now(l.time);
    l.connector = p->connector;
    l.session = p->session;
    l.sequence = p->sequence++;
    l.endpoints = slice_make(p->endpoints, p->endpoints_len);
    l.event = event;
    l.data = data;
    l.context = context;
    len = exchange_protocol_line(&l, line_buffer);
    record_write((enum record_kind)p->kind, slice_make(line_buffer, len));
}

static bool is_auth(struct slice line)
{
    return slice_has_prefix_case(slice_trim(line), SLICE_LIT("AUTH"));
}

void protocol_log_command(struct protocol_log *p, char event, struct slice line)
{
    if (!p->is_on)
        return;
    if (is_auth(line))
        p->after_auth = true;
    else if (exchange_is_command(line))
        p->after_auth = false;
    else if (p->after_auth) {
        /* A client that takes no notice of our refusal sends its name and password now. */
        protocol_log_write(p, event, SLICE_LIT("<authentication information>"), (struct slice){0});
        return;
    }
    protocol_log_write(p, event, exchange_command(line, scratch), (struct slice){0});
}

void protocol_log_reply(struct protocol_log *p, char event, struct slice wire)
{
    if (p->is_on)
        protocol_log_write(p, event, exchange_reply(wire, scratch, sizeof(scratch)),
                           (struct slice){0});
}

void protocol_log_reply_text(struct protocol_log *p, char event, unsigned code, struct slice text)
{
    if (p->is_on)
        protocol_log_write(p, event, exchange_reply_text(code, text, scratch, sizeof(scratch)),
                           (struct slice){0});
}

/* ---- information: texts made in `scratch` ---- */

static size_t add(size_t at, struct slice s)
{
    s = slice_sub(s, 0, sizeof(scratch) - at);
    if (s.len)
        memcpy(scratch + at, s.ptr, s.len);
    return at + s.len;
}

static size_t add_str(size_t at, const char *s)
{
    return add(at, slice_str(s));
}

static size_t add_number(size_t at, uint64_t n, unsigned digits_min)
{
    char digits[EXCHANGE_NUMBER_MAX];

    return add(at, slice_make(digits, exchange_number(n, digits_min, digits)));
}

static void inform(struct protocol_log *p, size_t len, struct slice context)
{
    protocol_log_write(p, '*', slice_make(scratch, len), context);
}

/* As .NET writes a time span: d.hh:mm:ss, and seven more digits where they are not zero. */
static size_t add_span(size_t at, uint64_t ms)
{
    at = add_number(at, ms / 86400000, 1);
    at = add_number(add_str(at, "."), ms / 3600000 % 24, 2);
    at = add_number(add_str(at, ":"), ms / 60000 % 60, 2);
    at = add_number(add_str(at, ":"), ms / 1000 % 60, 2);
    return ms % 1000 ? add_number(add_str(at, "."), ms % 1000 * TICKS_PER_MS, 7) : at;
}

void protocol_log_tarpit(struct protocol_log *p, uint64_t delay_ms, struct slice reply)
{
    static _Thread_local char joined[EXCHANGE_DATA_MAX / 2];
    size_t at;

    if (!p->is_on)
        return;
    reply = exchange_reply(reply, joined, sizeof(joined));
    at = add_span(add_str(0, "Tarpit for '"), delay_ms);
    at = add_str(at, "'");
    if (reply.len) {
        at = add(add_str(at, " due to '"), reply);
        at = add_str(at, "'");
    }
    inform(p, at, (struct slice){0});
}

size_t protocol_log_source_context(const struct protocol_log *p, uint32_t number,
                                   char ret[static EXCHANGE_SOURCE_CONTEXT_LEN])
{
    char now[EXCHANGE_TIME_LEN];
    size_t at = 0;

    put_now(now);
    for (size_t i = 0; i < 16; i++)
        scratch[at++] = "0123456789ABCDEF"[p->session >> (4 * (15 - i)) & 15];
    at = add(add_str(at, ";"), slice_make(now, sizeof(now)));
    at = add_number(add_str(at, ";"), number, 1);
    memcpy(ret, scratch, at);
    return at;
}

void protocol_log_sending(struct protocol_log *p, uint64_t id, struct slice message_id)
{
    size_t at;

    if (!p->is_on)
        return;
    at = add_number(add_str(0, "sending message with RecordId "), id, 1);
    if (message_id.len)
        at = add(add_str(at, " and InternetMessageId "), message_id);
    protocol_log_write(p, '*', (struct slice){0}, slice_make(scratch, at));
}

void protocol_log_received(struct protocol_log *p, uint64_t bytes)
{
    if (p->is_on)
        inform(p, add_str(add_number(0, bytes, 1), " bytes"), SLICE_LIT("message received"));
}

void protocol_log_tls(struct protocol_log *p, const char *version, const char *cipher,
                      const char *why)
{
    if (!p->is_on)
        return;
    if (version)
        inform(p, add_str(add_str(add_str(0, version), " with cipher "), cipher),
               SLICE_LIT("TLS negotiation succeeded"));
    else
        protocol_log_write(p, '*', slice_str(why), SLICE_LIT("TLS negotiation failed"));
}

void protocol_log_close(struct protocol_log *p, const char *who)
{
    protocol_log_write(p, '-', (struct slice){0}, slice_str(who));
}

bool protocol_log_admit(struct protocol_flood *f, struct protocol_log *p)
{
    uint64_t second;

    if (!p->is_on)
        return false;
    second = clock_mono_ms() / MS_PER_S;
    if (second != f->second) {
        f->second = second;
        f->logged = 0;
    }
    if (f->logged >= PROTOCOL_REFUSED_PER_S) {
        f->skipped++;
        p->is_on = false;
        return false;
    }
    f->logged++;
    if (f->skipped)
        inform(p, add_number(0, f->skipped, 1),
               SLICE_LIT("refused connections before this one were not logged"));
    f->skipped = 0;
    return true;
}

/* ---- the other two ---- */

void connectivity_log(uint64_t session, struct slice destination, char direction,
                      struct slice description)
{
    struct connectivity_line l;

    if (!record_is_on(RECORD_CONNECTIVITY))
        return;
    put_now(l.time);
    l.session = session;
    l.destination = destination;
    l.direction = direction;
    l.description = description;
    record_write(RECORD_CONNECTIVITY,
                 slice_make(line_buffer, exchange_connectivity_line(&l, line_buffer)));
}

void connectivity_log_end(uint64_t session, struct slice destination, uint64_t messages,
                          uint64_t bytes, const char *status, struct slice last_error)
{
    size_t at;

    if (!record_is_on(RECORD_CONNECTIVITY))
        return;
    at = add_number(add_str(0, "Messages: "), messages, 1);
    at = add_number(add_str(at, " Bytes: "), bytes, 1);
    if (status) {
        at = add_str(add_str(add_str(at, " ("), status), " : ");
        at = add(at, slice_sub(last_error, 0, sizeof(scratch) - at - 1));
        at = add_str(at, ")");
    }
    connectivity_log(session, destination, '-', slice_make(scratch, at));
}

void tracking_log(struct tracking_line *l)
{
    static _Atomic uint64_t last;

    if (!record_is_on(RECORD_TRACKING))
        return;
    put_now(l->time);
    l->row = next_number(&last);
    record_write(RECORD_TRACKING, slice_make(line_buffer, exchange_tracking_line(l, line_buffer)));
}
