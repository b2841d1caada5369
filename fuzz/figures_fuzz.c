/*
 * fuzz/figures_fuzz.c - the kernel's texts: what is found in a text that is cut is the same as in
 * the whole one, or nothing.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "io/figures.h"

#define PARSERS 6

struct found {
    int r;
    uint64_t value;
    struct slice a, b;
};

static struct found find(int which, struct slice text)
{
    struct found f = {0};

    switch (which) {
    case 0:
        f.r = figures_parse_line(text, SLICE_LIT("MemTotal:"), &f.value);
        break;
    case 1:
        f.r = figures_parse_limit(text, &f.value);
        break;
    case 2:
        f.r = figures_parse_stall(text, SLICE_LIT("some"), &f.value);
        break;
    case 3:
        f.r = figures_parse_group(text, SLICE_LIT("memory"), &f.a);
        break;
    case 4:
        f.r = figures_parse_group(text, SLICE_LIT(""), &f.a);
        break;
    default:
        f.r = figures_parse_mount(text, SLICE_LIT("memory"), &f.a, &f.b);
        break;
    }
    ASSERT(f.r == 0 || f.r == -EINVAL);
    ASSERT(f.r == 0 || f.value == 0);
    return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, MIN_OF(size, 2048));

    for (int i = 0; i < PARSERS; i++) {
        struct found whole = find(i, text);

        for (size_t cut = 0; cut < text.len; cut++) {
            struct found part = find(i, slice_sub(text, 0, cut));

            if (part.r == 0)
                ASSERT(whole.r == 0 && whole.value == part.value && slice_eq(whole.a, part.a) &&
                       slice_eq(whole.b, part.b));
        }
    }
    return 0;
}
