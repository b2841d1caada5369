/*
 * fuzz/control_request_fuzz.c - what clients of the API may ask: a JSON body, or a name and a value
 * of a URL. What is refused has a reason; what is taken keeps its bounds and makes a cursor that
 * is taken again.
 */
#include <errno.h>
#include <jansson.h>
#include <stdint.h>

#include "base/assert.h"
#include "control/filter_int.h"

#define NOW INT64_C(1795379401000)

static void check(const struct control_ask *a, int r, const struct buf *why)
{
    struct control_ask next;
    struct buf told = BUF_INIT(1000);
    char cursor[CONTROL_CURSOR_MAX];

    if (r < 0) {
        ASSERT(r == -EINVAL && buf_len(why) > 0);
        return;
    }
    ASSERT(a->limit > 0 && a->limit <= CONTROL_LIMIT_MAX);
    ASSERT(control_ask_filter(a, NOW).older_than_ms >= a->filter.older_than_ms);
    control_ask_cursor(a, a->at, cursor);
    control_ask_init(&next, NOW);
    ASSERT(control_ask_set(&next, SLICE_LIT("cursor"), slice_str(cursor), &told) == 0);
    ASSERT(next.at == a->at && next.started_ms == a->started_ms);
    buf_done(&told);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    ptrdiff_t at = slice_find(in, '=');
    struct buf why = BUF_INIT(KIB(16));
    struct control_ask a;
    json_t *body = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);

    control_ask_init(&a, NOW);
    if (body)
        check(&a, control_ask_set_json(&a, body, &why), &why);
    else if (at >= 0)
        check(
            &a,
            control_ask_set(&a, slice_sub(in, 0, (size_t)at), slice_from(in, (size_t)at + 1), &why),
            &why);
    json_decref(body);
    buf_done(&why);
    return 0;
}
