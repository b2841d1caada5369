/*
 * logscan/syslog_line.c - stamp, host and tag, each by the blank or bracket that ends it.
 */
#include "logscan/syslog_line.h"

#include <string.h>

#include "logscan/stamp.h"
#include "logscan/text.h"

#define PRIORITY_MAX 5 /* "<191>" */
#define TAG_MAX 64

/* The word at the begin of `*rest`, which loses it and the blank after. False: it has no blank. */
static inline bool take_word(struct slice *rest, struct slice *ret)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->ptr, ' ', rest->len) : NULL;

    if (!end || end == rest->ptr)
        return false;
    *ret = slice_make(rest->ptr, (size_t)(end - rest->ptr));
    *rest = slice_make(end + 1, rest->len - ret->len - 1);
    return true;
}

static size_t syslog_stamp(struct syslog_reader *r, struct slice line, int64_t *ret_ms)
{
    size_t len;

    if (r->seen[0] != 0 && line.len > SYSLOG_STAMP_LEN &&
        memcmp(line.ptr, r->seen, SYSLOG_STAMP_LEN) == 0) {
        *ret_ms = r->seen_ms;
        return SYSLOG_STAMP_LEN;
    }
    len = stamp_syslog(line, &r->carry, ret_ms);
    r->seen[0] = '\0'; /* a shorter stamp may have moved the year on */
    if (len == SYSLOG_STAMP_LEN) {
        memcpy(r->seen, line.ptr, SYSLOG_STAMP_LEN);
        r->seen_ms = *ret_ms;
    }
    return len;
}

/* The stamp and the blank after it. */
static bool take_stamp(struct syslog_reader *r, struct slice *rest, struct syslog_line *ret)
{
    bool is_iso = rest->len > 0 && byte_is_digit(rest->ptr[0]);
    size_t len = is_iso ? stamp_iso(*rest, &ret->at_ms) : syslog_stamp(r, *rest, &ret->at_ms);

    if (len == 0 || len >= rest->len || rest->ptr[len] != ' ')
        return false;
    ret->has_seconds = !is_iso || stamp_iso_is_whole(rest->ptr);
    ret->stamp = slice_make(rest->ptr, len);
    *rest = slice_make(rest->ptr + len + 1, rest->len - len - 1);
    return true;
}

/* "-" or "[id name="value"]...", RFC 5424, section 6.3: a ']' in a value has a '\' before it. */
static bool take_structured(struct slice *rest)
{
    size_t at = 0;
    bool is_quoted = false;

    if (rest->len > 0 && rest->ptr[0] == '-') {
        at = 1;
    } else {
        while (at < rest->len && (rest->ptr[at] == '[' || is_quoted)) {
            for (at++; at < rest->len && (is_quoted || rest->ptr[at] != ']'); at++) {
                if (rest->ptr[at] == '"')
                    is_quoted = !is_quoted;
                else if (rest->ptr[at] == '\\' && is_quoted)
                    at++;
            }
            at++;
        }
    }
    if (at == 0 || at > rest->len || (at < rest->len && rest->ptr[at] != ' '))
        return false;
    *rest = text_without_mark(slice_from(*rest, at + 1));
    return true;
}

/* After "<22>1 ". */
static enum syslog_result rfc5424(struct syslog_reader *r, struct slice rest,
                                  struct syslog_line *ret)
{
    struct slice ignored;

    if (!take_stamp(r, &rest, ret))
        return SYSLOG_TIME;
    if (!take_word(&rest, &ret->host) || !take_word(&rest, &ret->tag) ||
        !take_word(&rest, &ret->pid) || !take_word(&rest, &ignored) || !take_structured(&rest))
        return SYSLOG_FORM;
    ret->text = rest;
    return SYSLOG_OK;
}

/* "postfix/smtp[4105]: " or "postfix/smtp: ". */
static bool take_tag(struct slice *rest, struct syslog_line *ret)
{
    const uint8_t *p = rest->ptr;
    size_t end = 0, max = rest->len < TAG_MAX ? rest->len : TAG_MAX;

    while (end < max && p[end] != '[' && p[end] != ':' && p[end] != ' ')
        end++;
    if (end == 0 || end == max || p[end] == ' ')
        return false;
    ret->tag = slice_make(p, end);
    ret->pid = slice_make(NULL, 0);
    if (p[end] == '[') {
        size_t pid = ++end;

        while (end < max && p[end] != ']')
            end++;
        ret->pid = slice_make(p + pid, end - pid);
        end++;
    }
    if (end >= rest->len || p[end] != ':')
        return false;
    end += end + 1 < rest->len && p[end + 1] == ' ' ? 2 : 1;
    *rest = slice_make(p + end, rest->len - end);
    return true;
}

static struct slice without_priority(struct slice line)
{
    ptrdiff_t end = slice_find(slice_sub(line, 0, PRIORITY_MAX), '>');

    return end < 0 ? line : slice_from(line, (size_t)end + 1);
}

enum syslog_result syslog_line(struct syslog_reader *r, struct slice line, struct syslog_line *ret)
{
    struct slice rest = line;

    if (line.len > 0 && line.ptr[0] == '<') {
        rest = without_priority(line);
        if (slice_has_prefix(rest, SLICE_LIT("1 ")))
            return rfc5424(r, slice_from(rest, 2), ret);
    }
    if (!take_stamp(r, &rest, ret))
        return SYSLOG_TIME;
    if (!take_word(&rest, &ret->host))
        return SYSLOG_FORM;
    if (!take_tag(&rest, ret))
        return slice_has_prefix(rest, SLICE_LIT("last message repeated ")) ? SYSLOG_REPEATED
                                                                           : SYSLOG_FORM;
    /* rsyslog: "message repeated 2 times: [ text]". */
    if (rest.len > 0 && rest.ptr[0] == 'm' &&
        slice_has_prefix(rest, SLICE_LIT("message repeated ")))
        return SYSLOG_REPEATED;
    ret->text = rest;
    return SYSLOG_OK;
}

void syslog_line_skip(struct log_scan *s, enum syslog_result why, const uint8_t *line)
{
    log_scan_skip(s,
                  why == SYSLOG_TIME       ? SKIP_TIME
                  : why == SYSLOG_REPEATED ? SKIP_REPEATED
                                           : SKIP_FORM,
                  line);
}
