/*
 * fuzz/logparser_fuzz.c - statements from anywhere: what is refused has a sentence; what is taken is the
 * same twice, and has no NUL, which would end it for SQLite before its end.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "logscan/logparser.h"

static bool has_column(void *ctx, struct slice name)
{
    (void)ctx;
    return slice_eq_case(name, SLICE_LIT("data")) || slice_eq_case(name, SLICE_LIT("date-time"));
}

static int translate(struct slice text, struct buf *sql, bool *ret_is_dialect)
{
    const struct logparser_table table = {.has_column = has_column};
    struct buf why = BUF_INIT(LOGPARSER_TEXT_MAX * 2);
    struct logparser *l = NULL;
    int r = logparser_read(&l, text, &why);

    if (r == 0) {
        *ret_is_dialect = logparser_is_dialect(l);
        ASSERT(*ret_is_dialect == (logparser_file_count(l) > 0));
        for (size_t i = 0; i < logparser_file_count(l); i++)
            ASSERT(strlen(logparser_file(l, i)) <= text.len);
        r = logparser_translate(l, &table, sql, &why);
    }
    ASSERT(r == 0 || buf_len(&why) > 0);
    ASSERT(r == 0 || r == -EINVAL || r == -E2BIG);
    logparser_free(&l);
    buf_done(&why);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once = BUF_INIT(LOGPARSER_SQL_MAX), again = BUF_INIT(LOGPARSER_SQL_MAX);
    bool is_dialect = false;
    int r = translate(slice_make(data, size), &once, &is_dialect);

    ASSERT(translate(slice_make(data, size), &again, &is_dialect) == r);
    ASSERT(r < 0 || slice_eq(buf_slice(&once), buf_slice(&again)));
    ASSERT(r < 0 || !memchr(buf_cstr(&once), 0, buf_len(&once)));
    buf_done(&once);
    buf_done(&again);
    return 0;
}
