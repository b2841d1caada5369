/*
 * logscan/exim_columns.c - a line of Exim's main log as a row.
 */
#include <errno.h>

#include "logscan/exim.h"
#include "logscan/stamp.h"

#define FLAG_LEN 2

static struct slice word_after(struct slice text, struct slice key)
{
    ptrdiff_t at = slice_find_slice(text, key), end;
    struct slice rest;

    if (at < 0)
        return slice_make(NULL, 0);
    rest = slice_from(text, (size_t)at + key.len);
    end = slice_find(rest, ' ');
    return end < 0 ? rest : slice_sub(rest, 0, (size_t)end);
}

static void arrival(struct slice text, struct slice *fields)
{
    ptrdiff_t subject = slice_find_slice(text, SLICE_LIT(" T=\""));

    if (subject >= 0)
        text = slice_sub(text, 0, (size_t)subject);
    fields[EXIM_FROM] = word_after(text, SLICE_LIT("= "));
    fields[EXIM_SIZE] = word_after(text, SLICE_LIT(" S="));
    fields[EXIM_MESSAGE_ID] = word_after(text, SLICE_LIT(" id="));
    ignore_result(exim_host(text, &fields[EXIM_HOST], &fields[EXIM_IP]));
}

static void address(struct slice text, struct slice *fields)
{
    struct exim_address a;
    struct exim_error e;

    if (!exim_address(text, &a))
        return;
    fields[EXIM_ADDRESS] = a.recipient;
    fields[EXIM_ROUTER] = a.router;
    fields[EXIM_TRANSPORT] = a.transport;
    fields[EXIM_HOST] = a.host;
    fields[EXIM_IP] = a.address;
    fields[EXIM_REPLY_COLUMN] = exim_error(a.text, &e) ? e.reply
                                : a.reply.len > 0      ? a.reply
                                                       : a.text;
    fields[EXIM_ERROR] = word_after(text, SLICE_LIT(" defer ("));
    while (fields[EXIM_ERROR].len > 0 &&
           !byte_is_digit(fields[EXIM_ERROR].ptr[fields[EXIM_ERROR].len - 1]))
        fields[EXIM_ERROR].len--;
}

static void host_line(struct slice text, struct slice *fields)
{
    struct exim_reject r;
    struct exim_error e;

    if (exim_error(text, &e)) {
        ignore_result(exim_host(text, &fields[EXIM_HOST], &fields[EXIM_IP]));
        fields[EXIM_REPLY_COLUMN] = e.reply;
    } else if (exim_reject(text, &r)) {
        fields[EXIM_FLAG] = SLICE_LIT("rejected");
        fields[EXIM_HOST] = r.host;
        fields[EXIM_IP] = r.address;
        fields[EXIM_FROM] = r.sender;
        fields[EXIM_ADDRESS] = r.recipient;
        fields[EXIM_REPLY_COLUMN] = r.text;
    }
}

int exim_split(const struct log_carry *carry, struct slice line, struct arena *a,
               struct slice fields[LOG_COLUMNS_MAX])
{
    struct syslog_reader reader = {.carry = *carry};
    struct exim_line l;

    if (exim_line(&reader, line, &l) != SYSLOG_OK)
        return -EINVAL;
    for (size_t i = 0; i < EXIM_COLUMN_COUNT; i++)
        fields[i] = slice_make(NULL, 0);
    fields[EXIM_TIME] = stamp_exchange_slice(l.at_ms, a);
    fields[EXIM_PID] = l.pid;
    fields[EXIM_ID] = l.id;
    fields[EXIM_TEXT] = l.text;
    if (slice_has_prefix(l.text, SLICE_LIT("H=")))
        host_line(l.text, fields);
    if (l.id.len == 0 || l.text.len <= FLAG_LEN || l.text.ptr[FLAG_LEN] != ' ')
        return EXIM_COLUMN_COUNT;
    fields[EXIM_FLAG] = slice_sub(l.text, 0, FLAG_LEN);
    if (l.text.ptr[1] == '=' && l.text.ptr[0] != '=')
        arrival(l.text, fields);
    else
        address(l.text, fields);
    return EXIM_COLUMN_COUNT;
}
