/*
 * logscan/postfix_columns.c - a line of Postfix as a row: what every line has, then what lines of its
 * kind have.
 */
#include <errno.h>

#include "logscan/postfix.h"
#include "logscan/stamp.h"
#include "logscan/text.h"

/* What stands after `key` up to a ',' or blank, or the end. */
static struct slice value_of(struct slice text, struct slice key)
{
    ptrdiff_t at = slice_find_slice(text, key);
    struct slice rest;
    size_t len = 0;

    if (at < 0)
        return slice_make(NULL, 0);
    rest = slice_from(text, (size_t)at + key.len);
    while (len < rest.len && rest.ptr[len] != ',' && rest.ptr[len] != ' ')
        len++;
    return slice_sub(rest, 0, len);
}

static void delivery(struct slice text, struct slice *fields)
{
    struct postfix_delivery d;
    struct postfix_said said;

    if (!postfix_delivery(text, &d))
        return;
    fields[POSTFIX_TO] = d.to;
    fields[POSTFIX_ORIG_TO] = d.orig_to;
    fields[POSTFIX_RELAY] = d.relay;
    fields[POSTFIX_DELAY] = d.delay;
    fields[POSTFIX_DELAYS] = d.delays;
    fields[POSTFIX_DSN] = d.dsn;
    fields[POSTFIX_STATUS] = d.status;
    fields[POSTFIX_REPLY_COLUMN] = postfix_said(d.reason, &said) ? said.text : d.reason;
}

static void from_line(struct slice text, struct slice *fields)
{
    size_t used;

    text = slice_from(text, sizeof("from=") - 1);
    used = text_path(text, &fields[POSTFIX_FROM]);
    text = slice_from(text, used);
    fields[POSTFIX_SIZE] = value_of(text, SLICE_LIT(", size="));
    fields[POSTFIX_NRCPT] = value_of(text, SLICE_LIT(", nrcpt="));
    fields[POSTFIX_STATUS] = value_of(text, SLICE_LIT(", status="));
}

static void by_kind(const struct postfix_line *p, struct slice *fields)
{
    struct postfix_reject reject;
    struct postfix_said said;

    if (slice_has_prefix(p->text, SLICE_LIT("to=<"))) {
        delivery(p->text, fields);
    } else if (slice_has_prefix(p->text, SLICE_LIT("from=<"))) {
        from_line(p->text, fields);
    } else if (slice_has_prefix(p->text, SLICE_LIT("client="))) {
        fields[POSTFIX_CLIENT] = value_of(p->text, SLICE_LIT("client="));
    } else if (slice_has_prefix(p->text, SLICE_LIT("message-id="))) {
        fields[POSTFIX_MESSAGE_ID] = slice_from(p->text, sizeof("message-id=") - 1);
    } else if (postfix_reject(p->text, &reject)) {
        fields[POSTFIX_REPLY_COLUMN] = reject.text;
        fields[POSTFIX_FROM] = reject.sender;
        fields[POSTFIX_TO] = reject.recipient;
        fields[POSTFIX_CLIENT] = reject.address;
        fields[POSTFIX_STATUS] = SLICE_LIT("reject");
    } else if (postfix_said(p->text, &said)) {
        fields[POSTFIX_REPLY_COLUMN] = said.text;
        fields[POSTFIX_RELAY] = said.host;
    }
}

int postfix_split(const struct log_carry *carry, struct slice line, struct arena *a,
                  struct slice fields[LOG_COLUMNS_MAX])
{
    struct syslog_reader reader = {.carry = *carry};
    struct syslog_line head;
    struct postfix_line p;

    if (syslog_line(&reader, line, &head) != SYSLOG_OK || !postfix_line(head.tag, head.text, &p))
        return -EINVAL;
    for (size_t i = 0; i < POSTFIX_COLUMN_COUNT; i++)
        fields[i] = slice_make(NULL, 0);
    fields[POSTFIX_TIME] = stamp_exchange_slice(head.at_ms, a);
    fields[POSTFIX_HOST] = head.host;
    fields[POSTFIX_PROGRAM] = p.program;
    fields[POSTFIX_PID] = head.pid;
    fields[POSTFIX_QUEUE_ID] = p.queue_id;
    fields[POSTFIX_TEXT] = p.text;
    if (p.queue_id.len > 0)
        by_kind(&p, fields);
    return POSTFIX_COLUMN_COUNT;
}
