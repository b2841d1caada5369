#include "base/utf8.h"

size_t utf8_len(struct slice s)
{
    uint8_t c = s.ptr[0], low = 0x80, high = 0xbf;
    size_t len;

    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (c == 0xe0)
        low = 0xa0; /* over-long */
    else if (c == 0xed)
        high = 0x9f; /* surrogates */
    else if (c == 0xf0)
        low = 0x90; /* over-long */
    else if (c == 0xf4)
        high = 0x8f; /* over U+10FFFF */
    if (s.len < len || s.ptr[1] < low || s.ptr[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((s.ptr[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

bool utf8_is_valid(struct slice s)
{
    while (s.len > 0) {
        size_t n = utf8_len(s);

        if (n == 0)
            return false;
        s = slice_from(s, n);
    }
    return true;
}

bool utf8_is_misleading(struct slice c)
{
    if (c.len != 3 || c.ptr[0] != 0xe2)
        return false;
    if (c.ptr[1] == 0x80)
        return c.ptr[2] == 0x8e || c.ptr[2] == 0x8f || (c.ptr[2] >= 0xa8 && c.ptr[2] <= 0xae);
    return c.ptr[1] == 0x81 && c.ptr[2] >= 0xa6 && c.ptr[2] <= 0xa9;
}
