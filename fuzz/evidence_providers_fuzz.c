/*
 * fuzz/evidence_providers_fuzz.c - any text is a file of providers or is refused with a place; any
 * bytes are a host with a provider.
 *
 * Input: a file of providers; what stands behind a NUL byte is a host, and a pattern for itself.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "evidence/providers_int.h"
#include "libfyaml_leaks.h"

static void ask(const struct providers *p, struct slice host)
{
    char name_buf[PROVIDER_NAME_MAX];
    struct provider_info info;

    providers_of(p, &host, 1, name_buf, &info);
    ASSERT(info.name && *info.name && strlen(info.name) < PROVIDER_NAME_MAX);
    ASSERT(!info.pattern || provider_pattern_matches(slice_str(info.pattern), host));
    ASSERT(!info.pattern || providers_knows(p, slice_str(info.name)));
    ASSERT(!info.group || providers_is_in(p, slice_str(info.name), slice_str(info.group)));
    (void)provider_pattern_matches(host, slice_str(info.name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct providers *shipped;
    struct slice file = slice_make(data, size), host = file;
    ptrdiff_t nul = slice_find(file, 0);
    struct buf why = BUF_INIT(KIB(64));
    struct providers *own = NULL;
    int r;

    if (!shipped)
        ASSERT(providers_new(&shipped, slice_make(NULL, 0), "", &why) == 0);
    if (nul >= 0) {
        file = slice_sub(file, 0, (size_t)nul);
        host = slice_from(host, (size_t)nul + 1);
        ask(shipped, host);
    }
    r = file.len ? providers_new_alone(&own, file, "f", &why) : 0;
    if (own)
        ask(own, host);
    else
        ASSERT(r == 0 || slice_has_prefix(buf_slice(&why), SLICE_LIT("f:")));
    providers_free(&own);
    buf_done(&why);
    return 0;
}
