#include "base/slice.h"

#include <errno.h>
#include <string.h>

struct slice slice_str(const char *nul_ended)
{
    return slice_make(nul_ended, nul_ended ? strlen(nul_ended) : 0);
}

bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool slice_eq_case(struct slice a, struct slice b)
{
    /* Names are mostly written alike. */
    return slice_eq(a, b) || (a.len == b.len && slice_has_prefix_case(a, b));
}

bool slice_has_prefix(struct slice s, struct slice prefix)
{
    return slice_eq(slice_sub(s, 0, prefix.len), prefix);
}

bool slice_has_prefix_case(struct slice s, struct slice prefix)
{
    if (s.len < prefix.len)
        return false;
    for (size_t i = 0; i < prefix.len; i++)
        if (byte_lower(s.ptr[i]) != byte_lower(prefix.ptr[i]))
            return false;
    return true;
}

bool slice_has_suffix_case(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_has_prefix_case(slice_from(s, s.len - suffix.len), suffix);
}

struct slice slice_sub(struct slice s, size_t from, size_t len)
{
    if (from >= s.len)
        return slice_make(NULL, 0);
    return slice_make(s.ptr + from, MIN_OF(len, s.len - from));
}

ptrdiff_t slice_find(struct slice s, uint8_t byte)
{
    const uint8_t *p = s.len ? memchr(s.ptr, byte, s.len) : NULL;

    return p ? p - s.ptr : -1;
}

ptrdiff_t slice_rfind(struct slice s, uint8_t byte)
{
    const uint8_t *p = s.len ? memrchr(s.ptr, byte, s.len) : NULL;

    return p ? p - s.ptr : -1;
}

ptrdiff_t slice_find_slice(struct slice s, struct slice needle)
{
    const uint8_t *p;

    if (needle.len == 0)
        return 0;
    p = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return p ? p - s.ptr : -1;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len && is_blank(s.ptr[0]))
        s = slice_from(s, 1);
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

int slice_to_u64(struct slice s, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < s.len; i++)
        if (!byte_is_digit(s.ptr[i]))
            return -EINVAL;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = s.ptr[i] - (unsigned)'0';

        if (v > (UINT64_MAX - digit) / 10)
            return -ERANGE;
        v = v * 10 + digit;
    }
    if (v > max)
        return -ERANGE;
    *ret = v;
    return 0;
}

uint64_t slice_hash_case(struct slice s, uint64_t seed)
{
    uint64_t h = 0xcbf29ce484222325u ^ seed;

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ byte_lower(s.ptr[i])) * 0x100000001b3u;
    return h ^ (h >> 32);
}
