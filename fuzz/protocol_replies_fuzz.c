/*
 * fuzz/protocol_replies_fuzz.c - a protocol log of any bytes, searched instead of split: what is found lies in
 * it, in order, and is the same with other bytes before it and when it is looked for again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "logscan/protocol_replies.h"

static const char names[] = "date-time,connector-id,session-id,sequence-number,local-endpoint,"
                            "remote-endpoint,event,data,context";

static bool is_in(struct slice part, const struct log_scan *s)
{
    return part.len == 0 || (part.ptr >= s->bytes.ptr - s->lookback &&
                             part.ptr + part.len <= s->bytes.ptr + s->bytes.len);
}

static void find(struct log_scan *s, const uint8_t *data, size_t lookback, size_t size)
{
    *s = (struct log_scan){.bytes = slice_make(data + lookback, size - lookback),
                           .lookback = lookback,
                           .wants = WANT_REPLIES,
                           .carry.columns = log_columns_of(slice_str(names))};
    protocol_scan_replies(s, '<');
    ASSERT(s->error == 0);
    for (size_t i = 0; i < s->fact_count; i++) {
        const struct log_fact *f = &s->facts[i];

        ASSERT(f->offset < s->bytes.len && (i == 0 || f->offset > f[-1].offset));
        ASSERT(f->reply.code == 0 || (f->reply.code >= 400 && f->reply.code <= 599));
        /* Names and texts may be in the arena, what stands bare in a row is in the chunk. */
        ASSERT(f->reply.text.len <= size && f->connector.len <= size);
        ASSERT(is_in(f->address, s) || f->address.len <= size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_scan once, again;
    uint8_t *lines = malloc(size + 1);
    size_t lookback = 0;

    ASSERT(lines);
    if (size > 0)
        memcpy(lines, data, size);
    lines[size++] = '\n'; /* a chunk is of whole lines */
    find(&once, lines, 0, size);
    find(&again, lines, 0, size);
    ASSERT(once.fact_count == again.fact_count && once.tally.rows == again.tally.rows);
    log_scan_done(&again);
    if (size > 1 && memchr(lines, '\n', size / 2))
        lookback = (size_t)((const uint8_t *)memchr(lines, '\n', size / 2) - lines) + 1;
    find(&again, lines, lookback, size);
    log_scan_done(&again);
    log_scan_done(&once);
    free(lines);
    return 0;
}
