/*
 * logscan/exim.h - the parts of a line of Exim's main log, for its scanner and for `query`. Pure; all
 * slices point into the line.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/scan.h"
#include "logscan/syslog_line.h"
#include "smtp/client.h"

struct exim_line {
    int64_t at_ms;
    bool has_seconds;
    struct slice pid;
    struct slice id;   /* of the message; empty: the line is of none */
    struct slice text; /* after it */
};
/* A line of the log, with or without what a system log puts in front of it. `*ret` is whole for SYSLOG_OK alone. */
enum syslog_result exim_line(struct syslog_reader *r, struct slice line, struct exim_line *ret);

/* "=> a@b <orig@b> R=router T=transport H=host [ip] ...: text"; what is not there is empty. */
struct exim_address {
    struct slice flag;      /* "=>", "->", ">>", "==", "**" */
    struct slice recipient; /* without <>; the original address of a local delivery */
    struct slice router, transport, host, address;
    struct slice text;  /* what went wrong: after the first ": " */
    struct slice reply; /* C="...", as it stands there */
    int64_t error;      /* -45 of "defer (-45)"; 0: none */
};
/* False: it names no recipient; `*ret` may be filled in in part. */
bool exim_address(struct slice text, struct exim_address *ret);

/* "SMTP error from remote mail server after STAGE: REPLY" in `text`. False: it is not there, or without REPLY;
 * `*ret` may be filled in in part. */
struct exim_error {
    struct slice reply;
    struct slice host, address; /* where the text names them, as Exim did before 4.83 */
    enum smtp_phase phase;
};
bool exim_error(struct slice text, struct exim_error *ret);

/* "H=host [ip] F=<a> temporarily rejected RCPT <b>: text". False: it is no refusal; `*ret` is not set. */
struct exim_reject {
    struct slice host, address, sender, recipient, text;
    enum smtp_phase phase;
    bool is_temporary;
};
bool exim_reject(struct slice text, struct exim_reject *ret);

/* "H=host (helo) [ip]" of `text`; either may be missing and is empty then. False: both are. */
bool exim_host(struct slice text, struct slice *ret_host, struct slice *ret_address);

/* ---- rows, for `query` ---- */

#define EXIM_COLUMNS(X)                                                                            \
    X(EXIM_TIME, "time")                                                                           \
    X(EXIM_PID, "pid")                                                                             \
    X(EXIM_ID, "id")                                                                               \
    X(EXIM_FLAG, "flag")                                                                           \
    X(EXIM_ADDRESS, "address")                                                                     \
    X(EXIM_FROM, "from")                                                                           \
    X(EXIM_ROUTER, "router")                                                                       \
    X(EXIM_TRANSPORT, "transport")                                                                 \
    X(EXIM_HOST, "host")                                                                           \
    X(EXIM_IP, "ip")                                                                               \
    X(EXIM_ERROR, "error")                                                                         \
    X(EXIM_REPLY_COLUMN, "reply")                                                                  \
    X(EXIM_SIZE, "size")                                                                           \
    X(EXIM_MESSAGE_ID, "message_id")                                                               \
    X(EXIM_TEXT, "text")
enum { EXIM_COLUMNS(LOG_COLUMN_CONSTANT) EXIM_COLUMN_COUNT };
/* log_format's split(); the time is UTC, "2026-03-01T06:50:41.000Z". */
int exim_split(const struct log_carry *carry, struct slice line, struct arena *a,
               struct slice fields[LOG_COLUMNS_MAX]);
