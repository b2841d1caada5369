#include "evidence/pattern.h"

#include <string.h>

static uint32_t gram_at(const uint8_t *p)
{
    uint32_t three = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];

    return three * 0x9e3779b1u >> 20;
}
_Static_assert(LOOK_BITS == 1 << 12, "gram_at() gives 12 bits");

void look_finish(struct look *l)
{
    memset(l->filter, 0, sizeof(l->filter));
    for (size_t i = 0; i + 3 <= l->len; i++) {
        uint32_t gram = gram_at(l->text + i);

        l->filter[gram / 64] |= UINT64_C(1) << gram % 64;
    }
}

/* The next piece between stars, and what is behind it; pieces may be empty. */
static struct slice next_piece(struct slice *left)
{
    ptrdiff_t star = slice_find(*left, '*');
    struct slice piece = star < 0 ? *left : slice_sub(*left, 0, (size_t)star);

    *left = star < 0 ? slice_make(NULL, 0) : slice_from(*left, (size_t)star + 1);
    return piece;
}

bool pattern_init(struct pattern *p, struct slice text)
{
    struct slice left = text;
    size_t longest = 0;

    *p = (struct pattern){.text = text};
    if (text.len > PATTERN_MAX)
        return false;
    while (left.len) {
        struct slice piece = next_piece(&left);
        size_t grams = piece.len < 3 ? 0 : piece.len - 2;

        longest = MAX_OF(longest, piece.len);
        /* The first and the last of a piece: what begins alike seldom ends alike. */
        if (grams && p->gram_count < PATTERN_GRAMS)
            p->grams[p->gram_count++] = (uint16_t)gram_at(piece.ptr);
        if (grams > 1 && p->gram_count < PATTERN_GRAMS)
            p->grams[p->gram_count++] = (uint16_t)gram_at(piece.ptr + grams - 1);
        if (grams > 2 && p->gram_count < PATTERN_GRAMS)
            p->grams[p->gram_count++] = (uint16_t)gram_at(piece.ptr + grams / 2);
    }
    return longest >= 2;
}

bool pattern_matches(const struct pattern *p, const struct look *l)
{
    struct slice left = p->text, text = slice_make(l->text, l->len);

    for (uint32_t i = 0; i < p->gram_count; i++)
        if (!(l->filter[p->grams[i] / 64] >> p->grams[i] % 64 & 1))
            return false;
    while (left.len) {
        struct slice piece = next_piece(&left);
        ptrdiff_t at = slice_find_slice(text, piece);

        if (at < 0)
            return false;
        text = slice_from(text, (size_t)at + piece.len);
    }
    return true;
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
