#include "base/crc32c.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

static uint32_t table[8][256];

__attribute__((constructor)) static void table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int bit = 0; bit < 8; bit++)
            c = (c >> 1) ^ (0x82f63b78u & (0u - (c & 1u)));
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++)
            table[t][i] = (table[t - 1][i] >> 8) ^ table[0][table[t - 1][i] & 0xff];
}

/* Eight bytes a step ("slicing by 8"). */
uint32_t crc32c_portable(uint32_t crc, struct slice s)
{
    const uint8_t *p = s.ptr;
    size_t n = s.len;

    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t v = get_u64(p) ^ crc;

        crc = 0;
        for (int t = 0; t < 8; t++)
            crc ^= table[7 - t][(v >> (8 * t)) & 0xff];
    }
    for (; n; n--, p++)
        crc = (crc >> 8) ^ table[0][(crc ^ *p) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_hw(uint32_t crc, struct slice s)
{
    const uint8_t *p = s.ptr;
    size_t n = s.len;
    uint64_t c = ~crc;

    for (; n >= 8; n -= 8, p += 8)
        c = __builtin_ia32_crc32di(c, get_u64(p));
    for (; n; n--, p++)
        c = __builtin_ia32_crc32qi((uint32_t)c, *p);
    return ~(uint32_t)c;
}
static bool have_hw(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t crc_hw(uint32_t crc, struct slice s)
{
    return crc32c_portable(crc, s);
}
static bool have_hw(void)
{
    return false;
}
#endif

uint32_t crc32c(uint32_t crc, struct slice s)
{
    return have_hw() ? crc_hw(crc, s) : crc32c_portable(crc, s);
}
