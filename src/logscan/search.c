/*
 * logscan/search.c - each loop twice, for AVX2 and for any processor; the first call asks which.
 *
 * What a walk looks for is a function of a block, put into the one loop over blocks: the compiler makes
 * a loop of each. The tail of a text is always searched byte by byte: nothing is read beyond its end.
 */
#include "logscan/search.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define HAS_AVX2_CODE 1
#endif

#define BLOCK 32

static uint8_t other_case(uint8_t c)
{
    return byte_is_alpha(c) ? c ^ 0x20 : c;
}

struct search_needle search_needle_none(void)
{
    return (struct search_needle){.first = {0, 0}, .last = {1, 1}, .distance = 0};
}

struct search_needle search_needle_of(struct slice literal, bool is_begin)
{
    size_t last = MIN_OF(literal.len, (size_t)SEARCH_DISTANCE_MAX) - 1;
    uint8_t a = literal.ptr[0], b = literal.ptr[last];

    if (is_begin) /* the column's begin is more telling than the literal's end */
        return (struct search_needle){
            .first = {',', '"'}, .last = {a, other_case(a)}, .distance = 1};
    return (struct search_needle){
        .first = {a, other_case(a)}, .last = {b, other_case(b)}, .distance = last};
}

void search_init_replies(struct search *s, struct slice text, char event, char lowest, char highest)
{
    *s = (struct search){.text = text,
                         .is_replies = true,
                         .event = (uint8_t)event,
                         .lowest = (uint8_t)lowest,
                         .highest = (uint8_t)highest};
}

void search_init_needle(struct search *s, struct slice text, const struct search_needle *n)
{
    *s = (struct search){.text = text, .needle = *n};
}

/* ---- byte by byte ---- */

static bool is_reply_place(const struct search *s, const uint8_t *p, size_t left)
{
    if (p[0] == '\n')
        return left > 1 && p[1] != '2';
    if (p[0] == '*')
        return left > 3 && p[1] == ',' && p[2] == ',' && (p[3] == 'F' || p[3] == '"');
    return left > 2 && p[0] == s->event && p[1] == ',' &&
           (p[2] == '"' || (p[2] >= s->lowest && p[2] <= s->highest));
}

static bool is_needle_place(const struct search *s, const uint8_t *p, size_t left)
{
    const struct search_needle *n = &s->needle;

    if (p[0] == '\n')
        return left > 1 && !byte_is_digit(p[1]);
    return left > n->distance && (p[0] == n->first[0] || p[0] == n->first[1]) &&
           (p[n->distance] == n->last[0] || p[n->distance] == n->last[1]);
}

static bool next_of_tail(struct search *s, size_t *ret_at)
{
    while (s->next < s->text.len) {
        size_t i = s->next++, left = s->text.len - i;
        const uint8_t *p = s->text.ptr + i;

        s->lines += *p == '\n';
        if (s->is_replies ? is_reply_place(s, p, left) : is_needle_place(s, p, left)) {
            *ret_at = i;
            return true;
        }
    }
    return false;
}

/* ---- 32 at a time ---- */

#ifdef HAS_AVX2_CODE
#define AVX2 __attribute__((target("avx2,popcnt")))
#define AVX2_INLINE AVX2 static inline __attribute__((always_inline))

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") > 0;
}

AVX2_INLINE __m256i load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2_INLINE __m256i is_byte(__m256i v, uint8_t byte)
{
    return _mm256_cmpeq_epi8(v, _mm256_set1_epi8((char)byte));
}

AVX2_INLINE uint32_t bits(__m256i v)
{
    return (uint32_t)_mm256_movemask_epi8(v);
}

/* From lowest to highest. */
AVX2_INLINE __m256i is_between(__m256i v, uint8_t lowest, uint8_t highest)
{
    __m256i over = _mm256_sub_epi8(v, _mm256_set1_epi8((char)lowest)); /* unsigned */

    return _mm256_cmpeq_epi8(_mm256_min_epu8(over, _mm256_set1_epi8((char)(highest - lowest))),
                             over);
}

/* The places in the block at `p`; `ret_lines`: its '\n's. */
AVX2_INLINE uint32_t reply_places(const struct search *s, const uint8_t *p, uint32_t *ret_lines)
{
    __m256i a = load(p), b = load(p + 1), c = load(p + 2), d = load(p + 3);
    __m256i is_line = is_byte(a, '\n'), is_quote = is_byte(c, '"');
    __m256i is_odd = _mm256_andnot_si256(is_byte(b, '2'), is_line);
    __m256i is_begin = _mm256_or_si256(is_between(c, s->lowest, s->highest), is_quote);
    __m256i is_comma = is_byte(b, ',');
    __m256i is_event = _mm256_and_si256(is_byte(a, s->event), is_comma);
    __m256i is_bare = _mm256_and_si256(is_byte(a, '*'), is_comma);
    __m256i is_note = _mm256_and_si256(_mm256_and_si256(is_bare, is_byte(c, ',')),
                                       _mm256_or_si256(is_byte(d, 'F'), is_byte(d, '"')));

    *ret_lines = bits(is_line);
    return bits(
        _mm256_or_si256(_mm256_or_si256(is_odd, is_note), _mm256_and_si256(is_event, is_begin)));
}

AVX2_INLINE uint32_t needle_places(const struct search *s, const uint8_t *p, uint32_t *ret_lines)
{
    const struct search_needle *n = &s->needle;
    __m256i a = load(p), b = load(p + n->distance);
    __m256i is_line = is_byte(a, '\n');
    __m256i is_digit = is_between(load(p + 1), '0', '9');
    __m256i is_first = _mm256_or_si256(is_byte(a, n->first[0]), is_byte(a, n->first[1]));
    __m256i is_last = _mm256_or_si256(is_byte(b, n->last[0]), is_byte(b, n->last[1]));

    *ret_lines = bits(is_line);
    return bits(_mm256_or_si256(_mm256_andnot_si256(is_digit, is_line),
                                _mm256_and_si256(is_first, is_last)));
}

/* Goes on to the block that has a place; false: a tail is left that has to be searched otherwise. `ahead`: bytes
 * that `places` reads behind a block. */
AVX2_INLINE bool next_block(struct search *s, size_t ahead,
                            uint32_t (*places)(const struct search *, const uint8_t *, uint32_t *))
{
    const struct search look = *s; /* what is looked for: no store of ours can change it */
    const uint8_t *p = look.text.ptr;
    uint64_t lines = 0;
    size_t i = look.next;
    uint32_t found = 0, line_ends;

    for (; !found && i + BLOCK + ahead <= look.text.len; i += BLOCK) {
        found = places(&look, p + i, &line_ends);
        lines += (unsigned)__builtin_popcount(line_ends);
    }
    s->lines += lines;
    s->next = i;
    s->base = i - BLOCK;
    s->pending = found;
    return found != 0;
}

AVX2 static bool next_reply_block(struct search *s)
{
    return next_block(s, 3, reply_places);
}

AVX2 static bool next_needle_block(struct search *s)
{
    return next_block(s, MAX_OF(s->needle.distance, (size_t)1), needle_places);
}

AVX2 static uint64_t count_avx2(struct slice s, uint8_t byte, uint8_t other, bool *ret_has_other)
{
    const uint8_t *p = s.ptr;
    uint64_t found = 0;
    size_t i = 0;
    uint32_t seen = 0;

    for (; i + BLOCK <= s.len; i += BLOCK) {
        __m256i block = load(p + i);

        found += (unsigned)__builtin_popcount(bits(is_byte(block, byte)));
        seen |= bits(is_byte(block, other));
    }
    for (; i < s.len; i++) {
        found += p[i] == byte;
        seen |= p[i] == other;
    }
    *ret_has_other = seen != 0;
    return found;
}
#endif

bool search_next(struct search *s, size_t *ret_at)
{
#ifdef HAS_AVX2_CODE
    if (s->pending ||
        (has_avx2() && (s->is_replies ? next_reply_block(s) : next_needle_block(s)))) {
        *ret_at = s->base + (unsigned)__builtin_ctz(s->pending);
        s->pending &= s->pending - 1;
        return true;
    }
#endif
    return next_of_tail(s, ret_at);
}

uint64_t search_count_with(struct slice s, uint8_t byte, uint8_t other, bool *ret_has_other)
{
    uint64_t found = 0;

#ifdef HAS_AVX2_CODE
    if (has_avx2())
        return count_avx2(s, byte, other, ret_has_other);
#endif
    *ret_has_other = false;
    for (size_t i = 0; i < s.len; i++) {
        found += s.ptr[i] == byte;
        *ret_has_other |= s.ptr[i] == other;
    }
    return found;
}

uint64_t search_count(struct slice s, uint8_t byte)
{
    bool ignored;

    return search_count_with(s, byte, byte, &ignored);
}
