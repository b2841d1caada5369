/*
 * event/exchange_log.h - the log files that tools for Microsoft Exchange read: the protocol logs of
 * SMTP in and out, the connectivity log and the message tracking log.
 *
 *     #Software: Penstock
 *     #Version: 0.2.0
 *     #Log-type: SMTP Receive Protocol Log
 *     #Date: 2026-10-01T08:00:00.012Z
 *     #Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,...
 *     2026-10-01T08:14:22.027Z,mx1.example.org\main,08DE20A41C3F7B52,4,198.51.100.10:25,...
 *
 * CSV, lines end in CR LF, times in UTC. A field is quoted where it has a comma or a quote, and
 * only there. Text comes from enemies: controls, and bytes that are not UTF-8, are written \xNN, so
 * a line stays a line; what is longer than its field may be is cut and ends in "...", so a line is
 * never longer than RECORD_LINE_MAX and always has all its fields.
 *
 * The exchange_..._line() functions are pure. The others take the time from the clock and hand the
 * line to record_write(); they cost a branch where that log is off.
 *
 * Threads: a struct belongs to one loop, the functions have no state but per thread, apart from one
 * atomic counter, of session ids.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "event/record.h"
#include "io/addr.h"

/* Bytes of one field as written, quotes and escapes included. */
#define EXCHANGE_TIME_LEN 24         /* 2026-10-01T08:14:22.027Z */
#define EXCHANGE_CONNECTOR_MAX 320   /* connector-id */
#define EXCHANGE_ENDPOINT_MAX 128    /* local-endpoint, remote-endpoint */
#define EXCHANGE_DATA_MAX 6144       /* data and description */
#define EXCHANGE_NAME_MAX 256        /* host names, destinations */
#define EXCHANGE_CONTEXT_MAX 768     /* context, source-context, recipient-status */
#define EXCHANGE_TEXT_MAX 512        /* message ids, subjects, addresses */
#define EXCHANGE_RECIPIENTS_MAX 2048 /* recipient-address */
#define EXCHANGE_UUID_LEN 36

/* The head of each file of that kind, as record_config.heads wants it ("%D": the time); NULL for a
 * kind that is not of these formats. Static. */
const char *exchange_head(enum record_kind kind);

/* ---- pure formatting ---- */

/* Milliseconds since 1970, clipped to the years 1970 to 9999. Not NUL-ended. */
void exchange_time(int64_t wall_ms, char ret[static EXCHANGE_TIME_LEN]);

/* One CSV field of at most `room` bytes (8 or more). Returns its length; not NUL-ended. */
size_t exchange_field(struct slice text, char *ret, size_t room);

/*
 * "HOSTNAME\NAME" as a field: the connector-id. Exchange has SERVER\Connector name; ours are the
 * host name as configured (other logs call the server so, and first labels may be shared by many)
 * and the listener, or the destination a connection was made for. Returns its length.
 */
size_t exchange_connector(struct slice hostname, struct slice name,
                          char ret[static EXCHANGE_CONNECTOR_MAX]);

/*
 * A reply as Exchange writes it, in one line. `wire` is it as sent, "250-a CRLF 250 b CRLF". One
 * line stays as it is; of more lines the code and a status code stand once and the texts are joined
 * by blanks. Where there is no status code two blanks follow the code, as in
 * "250  mx1.example.org PIPELINING SIZE". The result points into `wire` or into `scratch`, which
 * cuts what does not fit.
 */
struct slice exchange_reply(struct slice wire, char *scratch, size_t room);
/* The same of a reply that was read: `text` has its lines without the code, joined by '\n'. */
struct slice exchange_reply_text(unsigned code, struct slice text, char *scratch, size_t room);

/* Decimal, with zeros before it up to `digits_min` (20 at most). Returns the length; no NUL. */
#define EXCHANGE_NUMBER_MAX 20
size_t exchange_number(uint64_t n, unsigned digits_min, char ret[static EXCHANGE_NUMBER_MAX]);

/* Is it one of the commands of SMTP, LMTP and their extensions that we know, AUTH excepted? */
bool exchange_is_command(struct slice line);
/* A command as it may be logged: what follows AUTH and its mechanism is masked; of one that is not
 * known there is the verb, and how many bytes follow: "AUTHX <6 bytes>", "<12 bytes>" where there
 * is no verb. The result points into `line` or `scratch`. */
#define EXCHANGE_COMMAND_ROOM 64
struct slice exchange_command(struct slice line, char scratch[static EXCHANGE_COMMAND_ROOM]);

struct protocol_line {
    char time[EXCHANGE_TIME_LEN];
    struct slice connector; /* made by exchange_connector() */
    uint64_t session;
    uint32_t sequence;
    struct slice endpoints; /* "LOCAL,REMOTE", each made by exchange_field() */
    char event; /* '+' connect, '-' disconnect, '>' sent, '<' received, '*' information */
    struct slice data, context;
};
/* Both return the length of the line, CR LF included. */
size_t exchange_protocol_line(const struct protocol_line *l, char ret[static RECORD_LINE_MAX]);

struct connectivity_line {
    char time[EXCHANGE_TIME_LEN];
    uint64_t session;
    struct slice destination;
    char direction;
    struct slice description;
};
size_t exchange_connectivity_line(const struct connectivity_line *l,
                                  char ret[static RECORD_LINE_MAX]);

/* What happened to a message: X(constant, source, event-id), in Exchange's words. */
#define TRACKING_TABLE(X)                                                                          \
    X(TRACKING_RECEIVE, "SMTP", "RECEIVE")                                                         \
    X(TRACKING_SEND, "SMTP", "SEND")                                                               \
    X(TRACKING_DEFER, "SMTP", "DEFER")                                                             \
    X(TRACKING_FAIL, "SMTP", "FAIL")                                                               \
    X(TRACKING_FAIL_DNS, "DNS", "FAIL") /* DNS says that no mail can be delivered there */         \
    X(TRACKING_EXPIRE, "QUEUE", "FAIL") /* it waited longer than it may */                         \
    X(TRACKING_REMOVE, "ADMIN", "FAIL") /* the operator ended it, with or without a report */      \
    X(TRACKING_DROP, "ROUTING", "DROP") /* a route discards it */                                  \
    X(TRACKING_DSN, "DSN", "DSN")       /* a report was made; reference: of which message */
#define TRACKING_ENUM_LINE(constant, source, event) constant,
enum tracking_event { TRACKING_TABLE(TRACKING_ENUM_LINE) TRACKING_EVENTS };

/* The slices are plain text: the formatter makes them fields. What is not known is left empty. */
struct tracking_line {
    char time[EXCHANGE_TIME_LEN];
    enum tracking_event event;
    struct slice client_ip, client_hostname, server_ip, server_hostname;
    struct slice source_context, connector;
    uint64_t id; /* the queue id: internal-message-id in decimal, network-message-id as a UUID */
    struct slice message_id;
    struct slice recipients, statuses; /* joined by ';', see struct exchange_list */
    uint64_t bytes;
    uint64_t recipient_count; /* of all, also where the list was cut */
    struct slice reference, subject, sender;
    int64_t arrival_ms;         /* message-info; 0: not told */
    const char *directionality; /* "Incoming", "Originating", "Undefined" */
    struct slice original_client_ip, original_server_ip;
    struct slice own_hostname; /* makes the UUIDs ours */
    uint64_t row;              /* log-id, as a UUID */
};
size_t exchange_tracking_line(const struct tracking_line *l, char ret[static RECORD_LINE_MAX]);

/* The network-message-id of a queue id: the same for every line of a message, other on every
 * server. A UUID of version 8 (RFC 9562); its last 12 digits are the low ones of the id in
 * hexadecimal. */
void exchange_uuid(struct slice hostname, uint64_t id, char ret[static EXCHANGE_UUID_LEN]);

/* Texts joined by ';'. Whole texts only: where one more does not fit, "..." ends the list. */
struct exchange_list { /* fields are private */
    size_t len;
    bool is_full;
    char text[EXCHANGE_RECIPIENTS_MAX];
};
static inline void exchange_list_init(struct exchange_list *l)
{
    l->len = 0;
    l->is_full = false;
}
void exchange_list_add(struct exchange_list *l, struct slice text);
static inline bool exchange_list_is_full(const struct exchange_list *l)
{
    return l->is_full;
}
static inline struct slice exchange_list_slice(const struct exchange_list *l)
{
    return slice_make(l->text, l->len);
}

/* ---- the protocol log of one session ---- */

struct protocol_log { /* fields are private */
    struct slice connector;
    uint64_t session;
    uint32_t sequence;
    uint8_t kind, endpoints_len;
    bool is_on, after_auth;
    char endpoints[2 * EXCHANGE_ENDPOINT_MAX - 3];
};

/* Ids like Exchange's: counted up from the time the process began, in 100 ns since the year 1, so
 * that no two sessions of a server have the same, restarts included. Any thread. */
uint64_t exchange_session_id(void);

/*
 * Begins a session; writes nothing. `kind` is RECORD_RECEIVE or RECORD_SEND, `session` its id, or 0
 * for a new one. Whether that log is on is looked up now and holds for the whole session.
 * `connector` was made by exchange_connector() and is borrowed for as long. `local` may be NULL:
 * not yet known.
 */
void protocol_log_open(struct protocol_log *p, enum record_kind kind, uint64_t session,
                       struct slice connector, const struct addr *local, const struct addr *remote);
void protocol_log_set_endpoints(struct protocol_log *p, const struct addr *local,
                                const struct addr *remote);
static inline bool protocol_log_is_on(const struct protocol_log *p)
{
    return p->is_on;
}
/* Has an id with the log off, too. */
static inline uint64_t protocol_log_session(const struct protocol_log *p)
{
    return p->session;
}

/* A line of any event; nothing where the log is off. In a session of a server '+' is the first:
 * where the owner did not write it, it is written before any other. */
void protocol_log_write(struct protocol_log *p, char event, struct slice data,
                        struct slice context);
/* A command without its CRLF, '<' in a session of a server, '>' in one of ours. AUTH is masked, and
 * so is what comes after it and is no command; of unknown commands there is the verb alone. */
void protocol_log_command(struct protocol_log *p, char event, struct slice line);
/* One reply as on the wire, all its lines. */
void protocol_log_reply(struct protocol_log *p, char event, struct slice wire);
/* The same of a reply that was read, see exchange_reply_text(). */
void protocol_log_reply_text(struct protocol_log *p, char event, unsigned code, struct slice text);
/* "Tarpit for '0.00:00:10' due to '452 4.3.1 ...'"; `reply` as above, or empty. */
void protocol_log_tarpit(struct protocol_log *p, uint64_t delay_ms, struct slice reply);
/* "08DE20A41C3F7B52;2026-10-01T08:14:22.027Z;1": session, now, and the session's message number.
 * The data of "receiving message" and the source-context of RECEIVE, so that one can be found by
 * the other. Works with the log off, too. Returns its length; not NUL-ended. */
#define EXCHANGE_SOURCE_CONTEXT_LEN (16 + 1 + EXCHANGE_TIME_LEN + 1 + 10)
size_t protocol_log_source_context(const struct protocol_log *p, uint32_t number,
                                   char ret[static EXCHANGE_SOURCE_CONTEXT_LEN]);
/* "*,,sending message with RecordId 1795393025234927 and InternetMessageId <a@b>": the queue id, as
 * the tracking log has it, and the field's value where it is known. */
void protocol_log_sending(struct protocol_log *p, uint64_t id, struct slice message_id);
/* "*,48211 bytes,message received". */
void protocol_log_received(struct protocol_log *p, uint64_t bytes);
/* "*,TLSv1.3 with cipher TLS_AES_256_GCM_SHA384,TLS negotiation succeeded"; where it failed `why`
 * says so and `version` is NULL. */
void protocol_log_tls(struct protocol_log *p, const char *version, const char *cipher,
                      const char *why);
/* `who`: "Local", "Remote" or "Remote(SocketError)". */
void protocol_log_close(struct protocol_log *p, const char *who);

/*
 * Refused connections come in floods, and a log that holds nothing else is of no use. So many a
 * second of each loop are logged; how many were not is told by an information line in the next one
 * that is.
 */
#define PROTOCOL_REFUSED_PER_S 100
struct protocol_flood { /* fields are private; zero at first */
    uint64_t second;
    uint32_t logged;
    uint64_t skipped;
};
/* False: this one is not to be logged (its log is switched off). True: it is, and how many were
 * not was told. Call it after protocol_log_open(). */
bool protocol_log_admit(struct protocol_flood *f, struct protocol_log *p);

/* ---- the other two ---- */

/* A step of a connection out: `direction` '+' begin, '>' progress, '*' information, '-' end. */
void connectivity_log(uint64_t session, struct slice destination, char direction,
                      struct slice description);
/* "Messages: 2 Bytes: 4711" and, where `status` is not NULL, " (Retry : 452 4.3.1 ...)". */
void connectivity_log_end(uint64_t session, struct slice destination, uint64_t messages,
                          uint64_t bytes, const char *status, struct slice last_error);

/* Fills in time and row, and writes it. */
void tracking_log(struct tracking_line *l);
