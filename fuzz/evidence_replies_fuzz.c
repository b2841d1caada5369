/*
 * fuzz/evidence_replies_fuzz.c - any text is a file of rules or is refused with a place; any line
 * has one class, whoever asks and however often.
 *
 * Input: a file of rules; what stands behind a NUL byte is a reply, asked of that file and of the
 * shipped one.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "evidence/replies_int.h"
#include "libfyaml_leaks.h"

static void ask(const struct replies *r, struct slice line)
{
    struct reply_facts f;
    struct reply_verdict v;

    if (!reply_facts_parse(line, &f))
        f = (struct reply_facts){.code = 421, .text = line};
    ASSERT(f.code >= 200 && f.code < REPLY_CODES);
    for (enum smtp_phase p = SMTP_PHASE_CONNECT; p <= SMTP_PHASE_CLOSED; p++) {
        f.phase = p;
        replies_explain(r, &f, &v);
        ASSERT(v.klass < REPLY_CLASSES && v.rule && v.meaning && v.advice && v.warning);
        ASSERT(replies_classify(r, &f) == v.klass);
        ASSERT((f.code < 400) == (v.klass == REPLY_NONE) || *v.rule);
    }
    f.provider = line;
    (void)replies_classify(r, &f);
    f.code = 0;
    (void)replies_classify(r, &f);
}

static void check_vector(void *ctx, const struct reply_vector *v)
{
    (void)ctx;
    ASSERT(v->got < REPLY_CLASSES && v->wanted < REPLY_CLASSES && v->line > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct replies *shipped;
    struct slice file = slice_make(data, size), line = file;
    ptrdiff_t nul = slice_find(file, 0);
    struct buf why = BUF_INIT(KIB(64));
    struct replies own = {0};
    struct errors e = {.why = &why};

    if (!shipped)
        ASSERT(replies_new(&shipped, slice_make(NULL, 0), "", &why) == 0);
    if (nul >= 0) {
        file = slice_sub(file, 0, (size_t)nul);
        line = slice_from(line, (size_t)nul + 1);
        ask(shipped, line);
    }
    replies_read(&own, "f", file, &e);
    ASSERT(!e.no_memory);
    if (e.count == 0) {
        ASSERT(buf_len(&why) == 0 && replies_finish(&own));
        ask(&own, line);
        replies_each_vector(&own, check_vector, NULL);
    } else {
        ASSERT(slice_has_prefix(buf_slice(&why), SLICE_LIT("f:")));
    }
    pool_done(&own.pool);
    buf_done(&why);
    return 0;
}
