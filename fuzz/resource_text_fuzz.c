/* fuzz/resource_text_fuzz.c - what is read, written again, is read as the same. */
#include "event/resource_text.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice left = slice_make(data, size);
    struct resource_text r, again;

    while (resource_text_next(&left, &r) == 1) {
        struct buf b = BUF_INIT(MIB(2));
        struct slice text;

        ASSERT(resource_text_add(&b, &r) == 0);
        text = buf_slice(&b);
        ASSERT(resource_text_next(&text, &again) == 1 && text.len == 0);
        ASSERT(slice_eq(r.name, again.name) && slice_eq(r.level, again.level));
        ASSERT(r.path.len == again.path.len && r.is_percent == again.is_percent);
        ASSERT(r.value == again.value && r.normal == again.normal && r.medium == again.medium &&
               r.high == again.high);
        buf_done(&b);
    }
    return 0;
}
