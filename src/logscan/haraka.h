/*
 * logscan/haraka.h - the parts of a line of Haraka's log, for its scanner and for `query`. Pure; slices
 * point into the line or the arena.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/arena.h"
#include "logscan/scan.h"
#include "logscan/syslog_line.h"

/* "2026-03-01T08:08:52.832Z [NOTICE] [UUID] [core] text", or behind what a system log puts in front. */
struct haraka_line {
    int64_t at_ms;
    bool has_seconds;
    struct slice level, uuid, origin, text;
};
/* `*ret` is whole for SYSLOG_OK alone. */
enum syslog_result haraka_line(struct syslog_reader *r, struct slice line, struct haraka_line *ret);

/* The value of "key=value" or "key="quoted \" value"" in `text`, in the arena where it was written with '\'
 * (without memory it keeps them). Empty: there is none. */
struct slice haraka_value(struct slice text, const char *key, struct arena *a);
/* "Temp failing FILE for N seconds: WHY", "bouncing mail: WHY", which is final. False: neither, and what is
 * returned means nothing. */
bool haraka_failure(struct slice text, struct slice *ret_why, bool *ret_is_final);
/* "recipient <a@b> deferred: REPLY", "... rejected: REPLY", which is final. False as above. */
bool haraka_refusal(struct slice text, struct slice *ret_recipient, struct slice *ret_reply,
                    bool *ret_is_final);

/* ---- rows, for `query` ---- */

#define HARAKA_COLUMNS(X)                                                                          \
    X(HARAKA_TIME, "time")                                                                         \
    X(HARAKA_LEVEL, "level")                                                                       \
    X(HARAKA_UUID, "uuid")                                                                         \
    X(HARAKA_ORIGIN, "origin")                                                                     \
    X(HARAKA_ADDRESS, "address")                                                                   \
    X(HARAKA_CODE, "code")                                                                         \
    X(HARAKA_HOST, "host")                                                                         \
    X(HARAKA_IP, "ip")                                                                             \
    X(HARAKA_DOMAIN, "domain")                                                                     \
    X(HARAKA_RESPONSE, "response")                                                                 \
    X(HARAKA_DELAY, "delay")                                                                       \
    X(HARAKA_FAILS, "fails")                                                                       \
    X(HARAKA_RCPTS, "rcpts")                                                                       \
    X(HARAKA_REPLY_COLUMN, "reply")                                                                \
    X(HARAKA_TEXT, "text")
enum { HARAKA_COLUMNS(LOG_COLUMN_CONSTANT) HARAKA_COLUMN_COUNT };
/* log_format's split(); the time is UTC, "2026-03-01T06:50:41.000Z". */
int haraka_split(const struct log_carry *carry, struct slice line, struct arena *a,
                 struct slice fields[LOG_COLUMNS_MAX]);
