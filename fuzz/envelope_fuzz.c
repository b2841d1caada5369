/*
 * fuzz/envelope_fuzz.c - bytes from a disk that may hold anything: what decodes encodes to the same
 * bytes, and marks never leave the envelope in a state that cannot be encoded.
 *
 * Input: a u16 length and an envelope, then marks as spool_read() gives them.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "message/envelope.h"

#define ROOM 100

static int count(void *ctx, const struct mark *m)
{
    ASSERT(m->result_count <= MARK_RESULTS_AT_ONCE);
    for (size_t i = 0; i < m->result_count; i++)
        ASSERT(m->results[i].state <= RECIPIENT_REMOVED &&
               m->results[i].text.len <= ENVELOPE_TEXT_MAX);
    return ++*(int *)ctx < 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_make(slice_make(data, size));
    struct slice bytes = cursor_take(&c, cursor_u16(&c));
    struct recipient recipients[ROOM], again[ROOM];
    struct buf b = BUF_INIT(1000000);
    struct envelope e, e2;
    int marks = 0, r;

    r = marks_each(c.left, count, &marks);
    ASSERT(r <= 0);
    if (envelope_decode(bytes, recipients, ROOM, &e) == 0) {
        ASSERT(envelope_encode(&e, &b) == 0);
        ASSERT(slice_eq(buf_slice(&b), bytes));
        r = envelope_apply_marks(&e, c.left);
        ASSERT(r <= 0);
        buf_clear(&b);
        ASSERT(envelope_encode(&e, &b) == 0);
        ASSERT(envelope_decode(buf_slice(&b), again, ROOM, &e2) == 0);
        ASSERT(e2.recipient_count == e.recipient_count);
        ASSERT(envelope_is_pending(&e) == envelope_is_pending(&e2));
    }
    buf_done(&b);
    return 0;
}
