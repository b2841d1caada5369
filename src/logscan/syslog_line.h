/*
 * logscan/syslog_line.h - the head of a line that a system log wrote: RFC 3164 as daemons write it to
 * files, RFC 5424, ISO stamps of rsyslog and journalctl, with or without the priority in front.
 *
 *     Mar  1 08:34:46 mx1 postfix/smtp[4105]: text
 *     2026-03-01T08:34:46.123456+00:00 mx1 postfix/smtp[4105]: text
 *     <22>1 2026-03-01T08:34:46.123456+00:00 mx1 postfix/smtp 4105 - - text
 *
 * Ownership: all slices point into the line. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/scan.h"

#define SYSLOG_STAMP_LEN 15 /* Mar  1 08:34:46 */

struct syslog_line {
    int64_t at_ms;
    bool has_seconds; /* the stamp has no fraction */
    struct slice stamp, host, tag, pid, text;
};

/* Where a chunk's lines are read from first to last; many have the stamp of the line before. */
struct syslog_reader {
    struct log_carry carry;
    int64_t seen_ms;
    uint8_t seen[SYSLOG_STAMP_LEN + 1]; /* the last stamp without a year; NUL: none yet */
};

enum syslog_result { SYSLOG_OK, SYSLOG_TIME, SYSLOG_FORM, SYSLOG_REPEATED };

/* What stands in the way: no time, not a head, "last message repeated 3 times". `*ret` is set where
 * nothing does. */
enum syslog_result syslog_line(struct syslog_reader *r, struct slice line, struct syslog_line *ret);
/* Tells the scan why a line is left out; not for SYSLOG_OK. */
void syslog_line_skip(struct log_scan *s, enum syslog_result why, const uint8_t *line);
