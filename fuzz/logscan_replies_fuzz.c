/*
 * fuzz/logscan_replies_fuzz.c - any bytes as a reply in each form of it: read in bounds, never longer than
 * it was written, masked the same each time; and any bytes as a time.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "logscan/reply_form.h"
#include "logscan/stamp.h"

#define LINES_MAX 64

static void masking(struct slice text, struct arena *a)
{
    struct slice once = reply_form_masked(text, a);

    ASSERT(once.len <= text.len * 3);
    ASSERT(slice_eq(once, reply_form_masked(text, a)));
}

static void joining(struct slice text, struct arena *a)
{
    static const char *const joints[] = {" ", "\\n", "\n"};
    struct log_reply r, line;

    for (size_t i = 0; i < ARRAY_SIZE(joints); i++) {
        bool is_reply = reply_form_joined(text, slice_str(joints[i]), a, &r);

        ASSERT(is_reply == reply_form_line(text, &line));
        if (!is_reply)
            continue;
        ASSERT(r.code == line.code && r.text.len <= text.len && slice_eq(r.text, r.text));
        ASSERT(reply_form_is_continued(text) || slice_eq(r.text, line.text));
    }
}

static void lines(struct slice text, struct arena *a)
{
    struct slice all[LINES_MAX];
    struct log_reply r;
    size_t count = 0;

    while (count < LINES_MAX && text.len > 0) {
        ptrdiff_t end = slice_find(text, '\n');

        all[count++] = end < 0 ? text : slice_sub(text, 0, (size_t)end);
        text = slice_from(text, end < 0 ? text.len : (size_t)end + 1);
    }
    if (reply_form_lines(all, count, a, &r))
        ASSERT(r.code >= 200 && r.code <= 599 && slice_eq(r.text, r.text));
}

static void stamps(struct slice text)
{
    struct log_carry carry = {.year = 2026, .month = 3};
    char written[STAMP_EXCHANGE_LEN];
    int64_t ms, again;

    ASSERT(stamp_syslog(text, &carry, &ms) <= text.len);
    (void)stamp_first_year(text, 0);
    if (stamp_iso(text, &ms) > 0) {
        stamp_exchange_text(ms, written);
        /* Year 0 and 9999 may be left by way of the zone. */
        ASSERT(stamp_exchange((const uint8_t *)written, &again));
    }
    if (text.len >= STAMP_EXCHANGE_LEN && stamp_exchange(text.ptr, &ms)) {
        ASSERT(stamp_iso(text, &again) == STAMP_EXCHANGE_LEN && again == ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    struct arena a = {0};

    masking(text, &a);
    joining(text, &a);
    lines(text, &a);
    stamps(text);
    arena_done(&a);
    return 0;
}
