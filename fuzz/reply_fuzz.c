/*
 * fuzz/reply_fuzz.c - what a host may answer: cutting it anywhere changes nothing, and what is
 * taken can be said again.
 *
 * Input: a byte that says where to cut, then the bytes of the host.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "smtp/reply.h"

#define CAP 4096

/* Reads all replies in parts of `step` bytes; writes them down in `ret`. */
static int read_all(struct slice in, size_t step, struct buf *ret)
{
    struct buf text = BUF_INIT(CAP);
    struct smtp_reply_parser p;
    size_t part_left = step;
    int r = 0;

    smtp_reply_parser_init(&p, &text);
    while (in.len && r >= 0) {
        struct smtp_reply reply;
        size_t used = 0;

        r = smtp_reply_feed(&p, slice_sub(in, 0, part_left), &used, &reply);
        if (r < 0)
            break;
        ASSERT(used > 0 && (r == 1 || used == MIN_OF(part_left, in.len)));
        in = slice_from(in, used);
        part_left = part_left > used ? part_left - used : step;
        if (r == 1) {
            ASSERT(reply.code >= 200 && reply.code <= 599);
            ASSERT(smtp_reply_compose(ret, reply.code, SMTP_NO_ENHANCED, reply.text) == 0);
        }
    }
    buf_done(&text);
    return r < 0 ? r : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = BUF_INIT(1 << 24), cut = BUF_INIT(1 << 24), again = BUF_INIT(1 << 24);
    int r;

    if (size == 0)
        return 0;
    r = read_all(slice_make(data + 1, size - 1), SIZE_MAX, &whole);
    ASSERT(r == read_all(slice_make(data + 1, size - 1), (size_t)data[0] + 1, &cut));
    ASSERT(slice_eq(buf_slice(&whole), buf_slice(&cut)));
    ASSERT(read_all(buf_slice(&whole), SIZE_MAX, &again) == 0);
    ASSERT(slice_eq(buf_slice(&whole), buf_slice(&again)));
    buf_done(&whole);
    buf_done(&cut);
    buf_done(&again);
    return 0;
}
