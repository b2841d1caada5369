/*
 * logscan/haraka_columns.c - a line of Haraka's log as a row.
 */
#include <errno.h>

#include "logscan/haraka.h"
#include "logscan/stamp.h"
#include "logscan/text.h"

static void by_kind(struct slice text, struct arena *a, struct slice *fields)
{
    static const struct {
        int column;
        const char *key;
    } keys[] = {
        {HARAKA_CODE, "code"},         {HARAKA_HOST, "host"},   {HARAKA_IP, "ip"},
        {HARAKA_DOMAIN, "domain"},     {HARAKA_DELAY, "delay"}, {HARAKA_FAILS, "fails"},
        {HARAKA_RESPONSE, "response"}, {HARAKA_RCPTS, "rcpts"},
    };
    struct slice rest = text;
    bool ignored;

    if (haraka_refusal(text, &fields[HARAKA_ADDRESS], &fields[HARAKA_REPLY_COLUMN], &ignored) ||
        haraka_failure(text, &fields[HARAKA_REPLY_COLUMN], &ignored)) {
        if (TEXT_BEGINS(fields[HARAKA_REPLY_COLUMN], "Upstream error: "))
            fields[HARAKA_REPLY_COLUMN] =
                slice_from(fields[HARAKA_REPLY_COLUMN], sizeof("Upstream error: ") - 1);
        return;
    }
    if (TEXT_BEGINS(text, "recipient <") || TEXT_BEGINS(text, "sender <")) {
        rest = slice_from(rest, (size_t)slice_find(rest, ' ') + 1);
        rest = slice_from(rest, text_path(rest, &fields[HARAKA_ADDRESS]) + 1);
    } else if (TEXT_BEGINS(text, "queue ")) {
        rest = slice_from(rest, sizeof("queue ") - 1);
    } else if (TEXT_BEGINS(text, " delivered file=")) {
        rest = slice_from(rest, 1);
    } else {
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        fields[keys[i].column] = haraka_value(rest, keys[i].key, a);
    if (TEXT_BEGINS(fields[HARAKA_CODE], "DENY"))
        fields[HARAKA_REPLY_COLUMN] = haraka_value(rest, "msg", a);
}

int haraka_split(const struct log_carry *carry, struct slice line, struct arena *a,
                 struct slice fields[LOG_COLUMNS_MAX])
{
    struct syslog_reader reader = {.carry = *carry};
    struct haraka_line l;

    if (haraka_line(&reader, line, &l) != SYSLOG_OK)
        return -EINVAL;
    for (size_t i = 0; i < HARAKA_COLUMN_COUNT; i++)
        fields[i] = slice_make(NULL, 0);
    fields[HARAKA_TIME] = stamp_exchange_slice(l.at_ms, a);
    fields[HARAKA_LEVEL] = l.level;
    fields[HARAKA_UUID] = l.uuid;
    fields[HARAKA_ORIGIN] = l.origin;
    fields[HARAKA_TEXT] = l.text;
    by_kind(l.text, a, fields);
    return HARAKA_COLUMN_COUNT;
}
