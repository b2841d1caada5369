/*
 * logscan/postfix.h - the parts of Postfix' lines, for its scanner and for `query`. Pure; all slices
 * point into the text.
 */
#pragma once

#include <stdbool.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/scan.h"
#include "logscan/syslog_line.h"
#include "smtp/client.h"

struct postfix_line {
    struct slice program;  /* "smtp", "smtpd", "qmgr": the tag's last part */
    struct slice queue_id; /* "NOQUEUE" where it says so; empty: the line has none */
    struct slice text;     /* after it */
};
/* False: the tag is not one of Postfix, "name/program". */
bool postfix_line(struct slice tag, struct slice text, struct postfix_line *ret);

/* "to=<a@b>, relay=..., dsn=..., status=S (REASON)"; what is not there is empty. */
struct postfix_delivery {
    struct slice to, orig_to, relay, delay, delays, dsn, status, reason;
};
/* False: it has no status, as where the line was cut; `*ret` is filled in in part. */
bool postfix_delivery(struct slice text, struct postfix_delivery *ret);

/* "host H[ip] said: TEXT (in reply to RCPT TO command)", "host H[ip] refused to talk to me: TEXT". */
struct postfix_said {
    struct slice host, address, text; /* address: empty where it is a socket's path */
    enum smtp_phase phase;
};
/* False: neither; `*ret` may be filled in in part. */
bool postfix_said(struct slice reason, struct postfix_said *ret);

/* "reject: RCPT from H[ip]: TEXT; from=<a> to=<b> ...", and the same of milters and proxies. False:
 * it is not one that refuses. */
struct postfix_reject {
    struct slice host, address, text, sender, recipient;
    enum smtp_phase phase;
};
bool postfix_reject(struct slice text, struct postfix_reject *ret);

/* The facts of one line, which log_scan_line() gave. `head` is its head; false: it is not Postfix'. */
bool postfix_facts(struct log_scan *s, const uint8_t *line, const struct syslog_line *head);

/* ---- rows, for `query` ---- */

#define POSTFIX_COLUMNS(X)                                                                         \
    X(POSTFIX_TIME, "time")                                                                        \
    X(POSTFIX_HOST, "host")                                                                        \
    X(POSTFIX_PROGRAM, "program")                                                                  \
    X(POSTFIX_PID, "pid")                                                                          \
    X(POSTFIX_QUEUE_ID, "queue_id")                                                                \
    X(POSTFIX_TEXT, "text")                                                                        \
    X(POSTFIX_TO, "to")                                                                            \
    X(POSTFIX_ORIG_TO, "orig_to")                                                                  \
    X(POSTFIX_FROM, "from")                                                                        \
    X(POSTFIX_RELAY, "relay")                                                                      \
    X(POSTFIX_DELAY, "delay")                                                                      \
    X(POSTFIX_DELAYS, "delays")                                                                    \
    X(POSTFIX_DSN, "dsn")                                                                          \
    X(POSTFIX_STATUS, "status")                                                                    \
    X(POSTFIX_REPLY_COLUMN, "reply")                                                               \
    X(POSTFIX_CLIENT, "client")                                                                    \
    X(POSTFIX_SIZE, "size")                                                                        \
    X(POSTFIX_NRCPT, "nrcpt")                                                                      \
    X(POSTFIX_MESSAGE_ID, "message_id")
enum { POSTFIX_COLUMNS(LOG_COLUMN_CONSTANT) POSTFIX_COLUMN_COUNT };
/* log_format's split(); the time is UTC, "2026-03-01T06:50:41.000Z". */
int postfix_split(const struct log_carry *carry, struct slice line, struct arena *a,
                  struct slice fields[LOG_COLUMNS_MAX]);
