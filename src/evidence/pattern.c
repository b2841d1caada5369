#include "evidence/pattern.h"

#include <string.h>

#include "base/assert.h"

struct pattern_place {
    uint32_t three; /* the bytes it is filed under */
    uint16_t pattern;
    uint8_t from, len; /* the piece of it that has the three bytes */
    uint8_t offset;    /* of those in the piece */
    bool has_star;
};
_Static_assert(PATTERN_MAX <= UINT8_MAX && PATTERN_SET_MAX <= UINT16_MAX, "they fit a place");

static uint32_t three_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static uint32_t gram_of(uint32_t three)
{
    return three * 0x9e3779b1u >> 20;
}

static uint32_t gram_at(const uint8_t *p)
{
    return gram_of(three_at(p));
}
_Static_assert(PATTERN_GRAMS == 1 << 12, "gram_of() gives 12 bits");

/* The next piece between stars, and what is behind it; pieces may be empty. */
static struct slice next_piece(struct slice *left)
{
    ptrdiff_t star = slice_find(*left, '*');
    struct slice piece = star < 0 ? *left : slice_sub(*left, 0, (size_t)star);

    *left = star < 0 ? slice_make(NULL, 0) : slice_from(*left, (size_t)star + 1);
    return piece;
}

bool pattern_is_good(struct slice pattern)
{
    struct slice left = pattern;
    size_t longest = 0;

    while (left.len) {
        size_t len = next_piece(&left).len;

        longest = MAX_OF(longest, len);
    }
    return longest >= 2 && pattern.len <= PATTERN_MAX;
}

bool pattern_matches(struct slice pattern, const struct look *l)
{
    struct slice text = slice_make(l->text, l->len);

    while (pattern.len) {
        struct slice piece = next_piece(&pattern);
        ptrdiff_t at = slice_find_slice(text, piece);

        if (at < 0)
            return false;
        text = slice_from(text, (size_t)at + piece.len);
    }
    return true;
}

/* ---- sets ---- */

/* Where in the pattern the three bytes are that fewest others are filed under; -1: it has none. */
static int choose_gram(struct slice pattern, const uint16_t *counts)
{
    int best = -1;

    for (size_t i = 0; i + 3 <= pattern.len; i++) {
        bool is_whole = !memchr(pattern.ptr + i, '*', 3);

        if (is_whole &&
            (best < 0 || counts[gram_at(pattern.ptr + i)] < counts[gram_at(pattern.ptr + best)]))
            best = (int)i;
    }
    return best;
}

static struct pattern_place make_place(size_t i, struct slice pattern, uint8_t gram)
{
    size_t from = (size_t)(slice_rfind(slice_sub(pattern, 0, gram), '*') + 1);
    ptrdiff_t star = slice_find(slice_from(pattern, from), '*');

    return (struct pattern_place){.three = three_at(pattern.ptr + gram),
                                  .pattern = (uint16_t)i,
                                  .from = (uint8_t)from,
                                  .len =
                                      (uint8_t)(star < 0 ? (ptrdiff_t)(pattern.len - from) : star),
                                  .offset = (uint8_t)(gram - from),
                                  .has_star = slice_find(pattern, '*') >= 0};
}

bool pattern_set_init(struct pattern_set *s, struct pool *pool, const struct slice *patterns,
                      size_t count)
{
    uint16_t counts[PATTERN_GRAMS] = {0}, at = 0;
    uint8_t *offsets = pool_alloc(pool, count + 1);

    ASSERT(count <= PATTERN_SET_MAX);
    *s = (struct pattern_set){.patterns = patterns,
                              .count = count,
                              .places = pool_alloc(pool, (count + 1) * sizeof(*s->places)),
                              .short_ones = pool_alloc(pool, (count + 1) * sizeof(uint16_t))};
    if (!offsets || !s->places || !s->short_ones)
        return false;
    for (size_t i = 0; i < count; i++) {
        int offset = choose_gram(patterns[i], counts);

        if (offset < 0) {
            s->short_ones[s->short_count++] = (uint16_t)i;
            offsets[i] = UINT8_MAX;
        } else {
            offsets[i] = (uint8_t)offset;
            counts[gram_at(patterns[i].ptr + offset)]++;
        }
    }
    for (size_t g = 0; g < PATTERN_GRAMS; g++) {
        s->starts[g] = at;
        at = (uint16_t)(at + counts[g]);
        counts[g] = s->starts[g]; /* from here on: the next place of it */
    }
    s->starts[PATTERN_GRAMS] = at;
    for (size_t i = 0; i < count; i++)
        if (offsets[i] != UINT8_MAX)
            s->places[counts[gram_at(patterns[i].ptr + offsets[i])]++] =
                make_place(i, patterns[i], offsets[i]);
    return true;
}

/* Its three bytes may be at `at`. */
static bool place_matches(const struct pattern_set *s, const struct pattern_place *p,
                          const struct look *l, size_t at)
{
    struct slice pattern = s->patterns[p->pattern];

    if (at < p->offset || at - p->offset + p->len > l->len ||
        memcmp(pattern.ptr + p->from, l->text + at - p->offset, p->len) != 0)
        return false;
    return !p->has_star || pattern_matches(pattern, l);
}

static void set_bit(struct pattern_found *f, size_t i)
{
    f->bits[i / 64] |= UINT64_C(1) << i % 64;
}

void pattern_set_find(const struct pattern_set *s, const struct look *l, struct pattern_found *ret)
{
    memset(ret->bits, 0, (s->count + 63) / 64 * sizeof(ret->bits[0]));
    for (size_t i = 0; i < s->short_count; i++)
        if (pattern_matches(s->patterns[s->short_ones[i]], l))
            set_bit(ret, s->short_ones[i]);
    for (size_t at = 0; at + 3 <= l->len; at++) {
        uint32_t three = three_at(l->text + at), gram = gram_of(three);

        for (uint32_t i = s->starts[gram]; i < s->starts[gram + 1]; i++)
            if (s->places[i].three == three && place_matches(s, &s->places[i], l, at))
                set_bit(ret, s->places[i].pattern);
    }
}

bool pattern_found_any(const struct pattern_found *f, size_t first, size_t count)
{
    size_t end = first + count;

    while (first < end) {
        size_t n = MIN_OF(64 - first % 64, end - first);
        uint64_t mask = (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << first % 64;

        if (f->bits[first / 64] & mask)
            return true;
        first += n;
    }
    return false;
}

bool glob_matches(struct slice pattern, struct slice text)
{
    size_t p = 0, t = 0, after_star = SIZE_MAX, star_text = 0;

    /* Only the last star is ever tried anew: an earlier one could not do better. */
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            after_star = ++p;
            star_text = t;
        } else if (p < pattern.len && (pattern.ptr[p] == '?' ||
                                       byte_lower(pattern.ptr[p]) == byte_lower(text.ptr[t]))) {
            p++;
            t++;
        } else if (after_star != SIZE_MAX) {
            p = after_star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}
