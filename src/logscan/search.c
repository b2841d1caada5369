/*
 * logscan/search.c - each function twice, for AVX2 and for any processor; the first call asks which.
 *
 * The tail of a text is always searched byte by byte: nothing is read beyond its end.
 */
#include "logscan/search.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define HAS_AVX2_CODE 1
#endif

#define BLOCK 32

static uint64_t count_bytes(const uint8_t *p, size_t n, uint8_t byte)
{
    uint64_t found = 0;

    for (size_t i = 0; i < n; i++)
        found += p[i] == byte;
    return found;
}

/* Is there a place at `i`? */
static bool is_place(const struct search *s, size_t i)
{
    const uint8_t *p = s->text.ptr + i;
    size_t left = s->text.len - i;

    if (p[0] == '\n')
        return left > 1 && p[1] != '2';
    if (p[0] == '*')
        return left > 3 && p[1] == ',' && p[2] == ',' && (p[3] == 'F' || p[3] == '"');
    return left > 2 && p[0] == s->event && p[1] == ',' &&
           (p[2] == '"' || (p[2] >= s->lowest && p[2] <= s->highest));
}

#ifdef HAS_AVX2_CODE
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") > 0;
}

__attribute__((target("avx2,popcnt"))) static uint64_t count_avx2(const uint8_t *p, size_t n,
                                                                  uint8_t byte)
{
    const __m256i wanted = _mm256_set1_epi8((char)byte);
    uint64_t found = 0;
    size_t i = 0;

    for (; i + BLOCK <= n; i += BLOCK) {
        __m256i block = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));

        found += (unsigned)__builtin_popcount(
            (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(block, wanted)));
    }
    return found + count_bytes(p + i, n - i, byte);
}

/* Goes on to the block that has a place; false: a tail is left that has to be searched otherwise. */
__attribute__((target("avx2,popcnt"))) static bool next_block_avx2(struct search *s)
{
    const uint8_t *p = s->text.ptr;
    const __m256i line = _mm256_set1_epi8('\n'), two = _mm256_set1_epi8('2');
    const __m256i event = _mm256_set1_epi8((char)s->event), comma = _mm256_set1_epi8(',');
    const __m256i quote = _mm256_set1_epi8('"'), lowest = _mm256_set1_epi8((char)s->lowest);
    const __m256i star = _mm256_set1_epi8('*'), note = _mm256_set1_epi8('F');
    const __m256i span = _mm256_set1_epi8((char)(s->highest - s->lowest));
    uint64_t lines = 0;
    size_t i = s->next;
    uint32_t found = 0;

    for (; !found && i + BLOCK + 3 <= s->text.len; i += BLOCK) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
        __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + i + 1));
        __m256i c = _mm256_loadu_si256((const __m256i *)(const void *)(p + i + 2));
        __m256i d = _mm256_loadu_si256((const __m256i *)(const void *)(p + i + 3));
        __m256i is_line = _mm256_cmpeq_epi8(a, line);
        __m256i is_odd = _mm256_andnot_si256(_mm256_cmpeq_epi8(b, two), is_line);
        __m256i over =
            _mm256_sub_epi8(c, lowest); /* below span, unsigned: from lowest to highest */
        __m256i is_digit = _mm256_cmpeq_epi8(_mm256_min_epu8(over, span), over);
        __m256i is_begin = _mm256_or_si256(is_digit, _mm256_cmpeq_epi8(c, quote));
        __m256i is_comma = _mm256_cmpeq_epi8(b, comma);
        __m256i is_event = _mm256_and_si256(_mm256_cmpeq_epi8(a, event), is_comma);
        __m256i is_bare = _mm256_and_si256(_mm256_cmpeq_epi8(a, star), is_comma);
        __m256i is_note = _mm256_and_si256(
            _mm256_and_si256(is_bare, _mm256_cmpeq_epi8(c, comma)),
            _mm256_or_si256(_mm256_cmpeq_epi8(d, note), _mm256_cmpeq_epi8(d, quote)));

        lines += (unsigned)__builtin_popcount((unsigned)_mm256_movemask_epi8(is_line));
        found = (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(
            _mm256_or_si256(is_odd, is_note), _mm256_and_si256(is_event, is_begin)));
    }
    s->lines += lines;
    s->next = i;
    s->base = i - BLOCK;
    s->pending = found;
    return found != 0;
}
#endif

uint64_t search_count(struct slice s, uint8_t byte)
{
#ifdef HAS_AVX2_CODE
    if (has_avx2())
        return count_avx2(s.ptr, s.len, byte);
#endif
    return count_bytes(s.ptr, s.len, byte);
}

void search_init(struct search *s, struct slice text, char event, char lowest, char highest)
{
    *s = (struct search){.text = text,
                         .event = (uint8_t)event,
                         .lowest = (uint8_t)lowest,
                         .highest = (uint8_t)highest};
}

static bool next_of_tail(struct search *s, size_t *ret_at)
{
    while (s->next < s->text.len) {
        size_t i = s->next++;

        s->lines += s->text.ptr[i] == '\n';
        if (is_place(s, i)) {
            *ret_at = i;
            return true;
        }
    }
    return false;
}

bool search_next(struct search *s, size_t *ret_at)
{
#ifdef HAS_AVX2_CODE
    if (s->pending || (has_avx2() && next_block_avx2(s))) {
        *ret_at = s->base + (unsigned)__builtin_ctz(s->pending);
        s->pending &= s->pending - 1;
        return true;
    }
#endif
    return next_of_tail(s, ret_at);
}
