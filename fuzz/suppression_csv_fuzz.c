/*
 * fuzz/suppression_csv_fuzz.c - a file for `penstock suppress import` may have anything in it: each
 * line is taken or told, what is taken is never temporary, and written and read again it is the
 * same.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "evidence/suppression_csv.h"

static void check(const struct suppression *s)
{
    static struct suppression_csv again;
    struct buf line = BUF_INIT(KIB(64)), copy = BUF_INIT(KIB(64)), why = BUF_INIT(KIB(8));
    const struct suppression_view *v = suppression_get(s);
    struct suppression_view read;
    struct suppression *made;
    const char *error;

    ASSERT(v->kind == SUPPRESSION_OPERATOR ? v->code == 0 : v->code >= 500 && v->code <= 599);
    memset(&again, 0, sizeof(again));
    suppression_csv_head(&line);
    ASSERT(suppression_csv_read(&again, buf_slice(&line), &read, &why) == 0);
    buf_clear(&line);
    suppression_csv_write(v, &line);
    if (buf_len(&line) <= SUPPRESSION_LINE_MAX) {
        ASSERT(suppression_csv_read(&again, buf_slice(&line), &read, &why) == 1);
        ASSERT(suppression_restore(&made, &read, &error) == 0);
        suppression_csv_write(suppression_get(made), &copy);
        ASSERT(slice_eq(buf_slice(&line), buf_slice(&copy)));
        suppression_unref(&made);
    }
    buf_done(&line);
    buf_done(&copy);
    buf_done(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct suppression_csv csv;
    struct slice left = slice_make(data, size);

    memset(&csv, 0, sizeof(csv));
    while (left.len > 0) {
        ptrdiff_t end = slice_find(left, '\n');
        struct slice line = slice_sub(left, 0, end < 0 ? left.len : (size_t)end + 1);
        struct buf why = BUF_INIT(KIB(16));
        struct suppression_view v;
        struct suppression *s;
        const char *error;
        int r = suppression_csv_read(&csv, line, &v, &why);

        ASSERT(r == 0 || r == 1 || (r == -EINVAL && (buf_len(&why) > 0 || buf_failed(&why))));
        if (r == 1 && suppression_restore(&s, &v, &error) == 0) {
            check(s);
            suppression_unref(&s);
        }
        left = slice_from(left, line.len);
        buf_done(&why);
    }
    return 0;
}
