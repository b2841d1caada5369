/*
 * fuzz/exchange_log_fuzz.c - a line of any bytes, as a command, a reply and a subject: each makes
 * one valid record of CSV with all its fields.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "event/exchange_log.h"

/* A strict reader: fields are quoted if they must be, one CR LF ends the record. */
static size_t count_fields(const char *line, size_t len)
{
    size_t count = 1;
    bool is_quoted = false;

    ASSERT(len >= 2 && len <= RECORD_LINE_MAX && line[len - 2] == '\r' && line[len - 1] == '\n');
    ASSERT(utf8_is_valid(slice_make(line, len)));
    len -= 2;
    for (size_t i = 0; i < len; i++) {
        bool begins = i == 0 || (line[i - 1] == ',' && !is_quoted);

        ASSERT((unsigned char)line[i] >= ' ' && line[i] != 0x7f);
        if (line[i] == '"' && !is_quoted) {
            ASSERT(begins);
            is_quoted = true;
        } else if (line[i] == '"' && i + 1 < len && line[i + 1] == '"') {
            i++;
        } else if (line[i] == '"') {
            is_quoted = false;
            ASSERT(i + 1 == len || line[i + 1] == ',');
        } else if (line[i] == ',' && !is_quoted) {
            count++;
        }
    }
    ASSERT(!is_quoted);
    return count;
}

static void check_protocol(struct slice data, struct slice context)
{
    static char line[RECORD_LINE_MAX];
    struct protocol_line l = {.connector = SLICE_LIT("mx1\\main"),
                              .endpoints = SLICE_LIT("192.0.2.1:25,192.0.2.2:1025"),
                              .event = '<',
                              .data = data,
                              .context = context};

    exchange_time((int64_t)data.len, l.time);
    ASSERT(count_fields(line, exchange_protocol_line(&l, line)) == 9);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_make(data, size), half = slice_sub(all, 0, size / 2);
    static char line[RECORD_LINE_MAX], scratch[EXCHANGE_DATA_MAX];
    char connector[EXCHANGE_CONNECTOR_MAX];
    struct connectivity_line c = {.destination = half, .direction = '>', .description = all};
    struct tracking_line t = {.client_hostname = half,
                              .server_hostname = all,
                              .source_context = all,
                              .message_id = half,
                              .recipients = all,
                              .statuses = half,
                              .subject = all,
                              .sender = half,
                              .own_hostname = all,
                              .id = size};
    size_t room = size ? 64 + (size_t)data[0] * 20 : sizeof(scratch);

    check_protocol(all, half);
    check_protocol(exchange_command(all, scratch), half);
    check_protocol(exchange_reply(all, scratch, room), all);
    check_protocol(exchange_reply_text(250, all, scratch, room), all);
    exchange_time(0, c.time);
    ASSERT(count_fields(line, exchange_connectivity_line(&c, line)) == 6);
    exchange_time(0, t.time);
    t.connector = slice_make(connector, exchange_connector(half, all, connector));
    ASSERT(count_fields(line, exchange_tracking_line(&t, line)) == 30);
    return 0;
}
