/*
 * logscan/protocol.h - Exchange's protocol logs (SmtpSend and SmtpReceive): rows, the sessions they
 * belong to, and the sessions that go on in the next chunk. For the protocol_....c files, and
 * query_sessions.c.
 *
 *     line --protocol_row_read()--> row --protocol_session_row()--> facts
 *                                    |                 ^
 *                    its session began in an earlier   |
 *                    chunk: kept for merge()  --------- '
 *
 * A session is a queue of commands that wait for their reply, the lines of a reply so far, and a
 * transaction. In a send log this host speaks with '>' and the receiver with '<', in a receive log
 * the clients with '<' and this host with '>'.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/scan.h"

/* ---- rows: protocol_row.c ---- */

#define PROTOCOL_FIELDS(X)                                                                         \
    X(FIELD_TIME, "date-time")                                                                     \
    X(FIELD_CONNECTOR, "connector-id")                                                             \
    X(FIELD_SESSION, "session-id")                                                                 \
    X(FIELD_SEQUENCE, "sequence-number")                                                           \
    X(FIELD_LOCAL, "local-endpoint")                                                               \
    X(FIELD_REMOTE, "remote-endpoint")                                                             \
    X(FIELD_EVENT, "event")                                                                        \
    X(FIELD_DATA, "data")                                                                          \
    X(FIELD_CONTEXT, "context")
enum protocol_field { PROTOCOL_FIELDS(LOG_COLUMN_CONSTANT) PROTOCOL_FIELD_COUNT };

/* Where the columns stand in a row; -1: not there. NULL has none. */
void protocol_columns_find(const struct log_columns *columns,
                           int16_t ret_index[static PROTOCOL_FIELD_COUNT]);

struct protocol_row {
    const uint8_t *line; /* in the chunk */
    int64_t at_ms;
    uint64_t session;
    struct slice connector;     /* without quotes */
    struct slice local, remote; /* address and port */
    struct slice data, context; /* without quotes */
    uint8_t event;
    bool is_first; /* of its session */
};

/* Reads the rows of one chunk. What neighbouring rows have in common (connector, endpoints,
 * session) is compared with the row before and not read again. */
struct protocol_reader { /* fields are private, but for s and is_send */
    struct log_scan *s;
    bool is_send;
    bool wants_accepted;
    uint8_t command_event, reply_event;
    const struct log_columns *columns;
    bool is_plain;                       /* the nine columns, in the usual order */
    bool is_usable;                      /* has all columns that are needed */
    int16_t index[PROTOCOL_FIELD_COUNT]; /* of the columns; -1: not there */
    struct slice raw_connector, connector;
    struct slice raw_endpoints, local, remote;
    const uint8_t *stamp; /* in the chunk; NULL: none yet */
    int64_t stamp_ms;
    uint8_t id[16];
    uint64_t id_key;
};

/* `is_send`: a send log. Begins with the columns of s->carry. */
void protocol_reader_init(struct protocol_reader *r, struct log_scan *s, bool is_send);
/* These columns are in force from the next row on; NULL: none, and rows are skipped. */
void protocol_reader_columns(struct protocol_reader *r, const struct log_columns *columns);

enum protocol_read {
    PROTOCOL_PASSED, /* a row that nothing needs; *ret is not set */
    PROTOCOL_WANTED,
    PROTOCOL_SKIPPED, /* no row: *ret_why says why not */
};
/* `line`: without its end. The slices of *ret point into the chunk and its arena. */
enum protocol_read protocol_row_read(struct protocol_reader *r, struct slice line,
                                     struct protocol_row *ret, enum log_skip *ret_why);

/* Does a session begin with it, or a connection, which is the same to us? Numbers alone do not tell:
 * they come again. */
static inline bool protocol_row_begins(const struct protocol_row *row)
{
    return row->event == '+' || (row->is_first && row->event == '*');
}

/* Of a session's key, for hash tables; the same for the life of the process. After a reader was made. */
uint64_t protocol_hash(uint64_t key);

/* The first address in <...>, else the word behind ':', of MAIL and RCPT. */
struct slice protocol_path(struct slice command);

/* ---- sessions: protocol_session.c ---- */

/* The first word of a greeting or behind EHLO, where it is the name of a host, else empty: banners are
 * hidden behind asterisks, and refusals begin with any word. */
struct slice protocol_host_name(struct slice text);
/* Is it EHLO or HELO? *ret_host: the host that it names, or empty. */
bool protocol_hello(struct slice command, struct slice *ret_host);
/* Can it be no other reply than a greeting? That to STARTTLS, 220 too, has a status. */
bool protocol_is_banner(const struct log_reply *reply);

#define PROTOCOL_RUNS 8               /* of equal commands that wait for their replies */
#define PROTOCOL_LINES_MAX 128        /* of one reply; further ones are left out */
#define PROTOCOL_RECIPIENTS_MAX 16384 /* of one transaction; further ones are no attempts */

struct protocol_recipient {
    struct slice address;
    bool is_decided;
};

enum protocol_transaction {
    TRANSACTION_NONE,
    TRANSACTION_OPEN,
    TRANSACTION_REFUSED, /* MAIL was: each recipient named later has that reply, too */
};

struct protocol_run {
    uint32_t count;
    uint8_t command;
};

struct protocol_session { /* fields are private to protocol_session.c, but for the key */
    uint64_t key;
    struct slice host;    /* the remote host's name: of its greeting, or of the client's EHLO */
    struct slice message; /* what is being sent */
    struct slice *lines;  /* of the reply that is not yet whole */
    uint32_t line_count, line_room;
    struct protocol_run runs[PROTOCOL_RUNS]; /* a ring */
    uint8_t run_first, run_count;
    uint8_t transaction;  /* enum protocol_transaction */
    bool is_greeted;      /* the banner was seen, or stood before the log begins */
    bool is_middle;       /* the log has not seen its begin */
    bool awaits_end;      /* 354 was said: the next reply is that to the whole message */
    bool leaves_at_reply; /* RSET, QUIT or EHLO was said while replies were due */
    struct slice sender;
    int64_t mail_ms;
    struct log_reply verdict; /* what was last decided in the transaction; code 0: nothing */
    int64_t verdict_ms;
    uint8_t verdict_phase;
    struct protocol_recipient *recipients;
    uint32_t recipient_count, recipient_room;
    uint32_t answered; /* of them, in order */
};

/* A new one; keeps the room of an old one's lists. */
void protocol_session_init(struct protocol_session *p, uint64_t key, bool is_middle);
/* Takes a row of it and adds facts to the chunk. True: the session has ended. */
bool protocol_session_row(struct protocol_reader *r, struct protocol_session *p,
                          const struct protocol_row *row);
/* Its end is not in the log: `row` is the first of another session with the same id. */
void protocol_session_lost(struct protocol_reader *r, struct protocol_session *p,
                           const struct protocol_row *row);
/* Makes room in a list of the chunk's arena for one more; false: no memory (s->error is set). */
bool protocol_list_room(struct log_scan *s, void **list, uint32_t count, uint32_t *room,
                        size_t size);

/* What the context of a row of information says of a connection that failed: "Connection timed out"
 * for Winsock's error 10060. A part of it, or static. */
struct slice protocol_connect_failure(struct slice context);
/* The bytes of a session with all it points to. */
size_t protocol_session_bytes(const struct protocol_session *p);
/* Copies it, with all it points to, to so many bytes, aligned for any type. */
struct protocol_session *protocol_session_copy(void *to, const struct protocol_session *p);

/* ---- sessions that go on in the next chunk: protocol_open.c ---- */

/* The longest idle are forgotten. */
#define PROTOCOL_OPEN_MAX 32768
#define PROTOCOL_OPEN_BYTES_MAX MIB(32)

/* A chunk's rows of sessions that began before it, and the first rows of those that began in it: a
 * session with the same id that was open ends there (`ends_another`). */
struct protocol_kept_row {
    uint64_t offset;
    const struct log_columns *columns;
    uint32_t len;
    bool ends_another;
};
struct protocol_rows { /* in the chunk's arena */
    struct protocol_kept_row *rows;
    uint32_t row_count, row_room;
    struct protocol_session **open; /* at its end */
    uint32_t open_count, open_room;
};

/* The merge() and free_state() of both formats. */
MUST_CHECK int protocol_merge(void **state, struct log_scan *s, bool is_send);
void protocol_free_state(void **state);
