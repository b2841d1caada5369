/*
 * control/filter_int.h - what a request asks for: a filter, a page, an action. The same names and
 * rules for the query part of a URL (texts) and for a JSON body.
 *
 * All slices borrow from the request, which outlives its answer. Errors: -EINVAL, and `*why` gets
 * a sentence for the client.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "deliver/queue.h"

#define CONTROL_LIMIT_DEFAULT 100
#define CONTROL_LIMIT_MAX 1000
#define CONTROL_CURSOR_MAX 48 /* bytes of a cursor's text, its NUL included */

struct control_ask {
    struct queue_filter filter;
    bool all;     /* said in so many words: an action without a filter is not an accident */
    bool details; /* listings only */
    size_t limit;
    /* From the cursor: where to go on, and when the first page was asked for, so that mail that
     * arrived since then does not come into a listing or an action under way. */
    uint32_t at;
    int64_t started_ms;
    enum queue_action action;
    bool has_action;
};

void control_ask_init(struct control_ask *a, int64_t now_ms);
/* One name and value from a URL: a filter's, "limit", "cursor", "details". */
MUST_CHECK int control_ask_set(struct control_ask *a, struct slice name, struct slice value,
                               struct buf *why);
struct json_t;
/* {"action": ..., "filter": {...}, "cursor": ...}; `body` is borrowed as well. */
MUST_CHECK int control_ask_set_json(struct control_ask *a, const struct json_t *body,
                                    struct buf *why);
/* The filter with what the cursor adds, ready for queue_list() and queue_act(). */
struct queue_filter control_ask_filter(const struct control_ask *a, int64_t now_ms);
/* Neither a filter nor "all". */
bool control_ask_is_blank(const struct control_ask *a);
/* The cursor that goes on at `at`, NUL-ended. */
void control_ask_cursor(const struct control_ask *a, uint32_t at,
                        char ret[static CONTROL_CURSOR_MAX]);
