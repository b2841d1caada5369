/*
 * logscan/query_search.c - each loop twice, for AVX2 and for any processor.
 *
 * A text's end is searched byte by byte: nothing is read beyond it.
 */
#include "logscan/query_search.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define HAS_AVX2_CODE 1
#endif

#define BLOCK 32

static uint8_t other_case(uint8_t c)
{
    return byte_is_alpha(c) ? c ^ 0x20 : c;
}

struct query_needle query_needle_none(void)
{
    return (struct query_needle){.first = {0, 0}, .last = {1, 1}, .distance = 0};
}

struct query_needle query_needle_of(struct slice literal, bool is_begin)
{
    size_t last = MIN_OF(literal.len, (size_t)QUERY_DISTANCE_MAX) - 1;
    uint8_t a = literal.ptr[0], b = literal.ptr[last];

    if (is_begin) /* the column's begin is more telling than the literal's end */
        return (struct query_needle){
            .first = {',', '"'}, .last = {a, other_case(a)}, .distance = 1};
    return (struct query_needle){
        .first = {a, other_case(a)}, .last = {b, other_case(b)}, .distance = last};
}

void query_search_init(struct query_search *s, struct slice text, const struct query_needle *n)
{
    *s = (struct query_search){.text = text, .needle = *n};
}

static bool is_place(const struct query_search *s, size_t i)
{
    const struct query_needle *n = &s->needle;
    const uint8_t *p = s->text.ptr + i;
    size_t left = s->text.len - i;

    if (p[0] == '\n')
        return left > 1 && !byte_is_digit(p[1]);
    return left > n->distance && (p[0] == n->first[0] || p[0] == n->first[1]) &&
           (p[n->distance] == n->last[0] || p[n->distance] == n->last[1]);
}

#ifdef HAS_AVX2_CODE
#define AVX2 __attribute__((target("avx2,popcnt")))

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") > 0;
}

AVX2 static inline __m256i load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2 static inline unsigned bits(__m256i v)
{
    return (unsigned)_mm256_movemask_epi8(v);
}

/* Goes on to the block that has a place; false: what is left has to be searched byte by byte. */
AVX2 static bool next_block(struct query_search *s)
{
    const uint8_t *p = s->text.ptr;
    const size_t distance = s->needle.distance, ahead = MAX_OF(distance, (size_t)1);
    const __m256i a0 = _mm256_set1_epi8((char)s->needle.first[0]);
    const __m256i a1 = _mm256_set1_epi8((char)s->needle.first[1]);
    const __m256i b0 = _mm256_set1_epi8((char)s->needle.last[0]);
    const __m256i b1 = _mm256_set1_epi8((char)s->needle.last[1]);
    const __m256i line = _mm256_set1_epi8('\n'), zero = _mm256_set1_epi8('0');
    const __m256i nine = _mm256_set1_epi8(9);
    uint64_t lines = 0;
    size_t i = s->next;
    uint32_t found = 0;

    for (; !found && i + BLOCK + ahead <= s->text.len; i += BLOCK) {
        __m256i a = load(p + i), b = load(p + i + distance);
        __m256i after = _mm256_sub_epi8(load(p + i + 1), zero);
        __m256i is_line = _mm256_cmpeq_epi8(a, line);
        __m256i is_digit = _mm256_cmpeq_epi8(_mm256_min_epu8(after, nine), after);
        __m256i is_first = _mm256_or_si256(_mm256_cmpeq_epi8(a, a0), _mm256_cmpeq_epi8(a, a1));
        __m256i is_last = _mm256_or_si256(_mm256_cmpeq_epi8(b, b0), _mm256_cmpeq_epi8(b, b1));

        lines += (unsigned)__builtin_popcount(bits(is_line));
        found = bits(_mm256_or_si256(_mm256_andnot_si256(is_digit, is_line),
                                     _mm256_and_si256(is_first, is_last)));
    }
    s->lines += lines;
    s->next = i;
    s->base = i - BLOCK;
    s->pending = found;
    return found != 0;
}

AVX2 static size_t count_avx2(const uint8_t *p, size_t n, uint8_t byte, uint8_t other,
                              bool *ret_has_other)
{
    const __m256i wanted = _mm256_set1_epi8((char)byte), also = _mm256_set1_epi8((char)other);
    size_t found = 0, i = 0;
    unsigned seen = 0;

    for (; i + BLOCK <= n; i += BLOCK) {
        __m256i block = load(p + i);

        found += (unsigned)__builtin_popcount(bits(_mm256_cmpeq_epi8(block, wanted)));
        seen |= bits(_mm256_cmpeq_epi8(block, also));
    }
    for (; i < n; i++) {
        found += p[i] == byte;
        seen |= p[i] == other;
    }
    *ret_has_other = seen != 0;
    return found;
}
#endif

static bool next_of_tail(struct query_search *s, size_t *ret_at)
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

bool query_search_next(struct query_search *s, size_t *ret_at)
{
#ifdef HAS_AVX2_CODE
    if (s->pending || (has_avx2() && next_block(s))) {
        *ret_at = s->base + (unsigned)__builtin_ctz(s->pending);
        s->pending &= s->pending - 1;
        return true;
    }
#endif
    return next_of_tail(s, ret_at);
}

size_t query_count(const uint8_t *p, size_t n, uint8_t byte, uint8_t other, bool *ret_has_other)
{
    size_t found = 0;

#ifdef HAS_AVX2_CODE
    if (has_avx2())
        return count_avx2(p, n, byte, other, ret_has_other);
#endif
    *ret_has_other = false;
    for (size_t i = 0; i < n; i++) {
        found += p[i] == byte;
        *ret_has_other |= p[i] == other;
    }
    return found;
}
