/*
 * base/slice.h - a borrowed run of bytes: pointer and length, by value, not NUL-ended.
 *
 * A slice never owns its bytes; whoever hands one out says how long they live. The empty slice
 * may have a NULL pointer. All functions are pure and take any bytes, NULs included; "case"
 * means ASCII case, as in SMTP keywords and domain names (RFC 5321, section 2.4).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

struct slice {
    const uint8_t *ptr;
    size_t len;
};

/* A slice over a string literal; its length is known at compile time. */
#define SLICE_LIT(s) ((struct slice){.ptr = (const uint8_t *)("" s), .len = sizeof(s) - 1})

/* For printf("%.*s", SLICE_FMT(s)). The length is cut to INT_MAX. */
#define SLICE_FMT(s) slice_int_len(s), (const char *)((s).ptr ? (s).ptr : (const uint8_t *)"")

static inline int slice_int_len(struct slice s)
{
    return s.len > 0x7fffffff ? 0x7fffffff : (int)s.len;
}

static inline struct slice slice_make(const void *ptr, size_t len)
{
    return (struct slice){.ptr = (const uint8_t *)ptr, .len = len};
}

struct slice slice_str(const char *nul_ended); /* NULL gives the empty slice */

bool slice_eq(struct slice a, struct slice b);
bool slice_eq_case(struct slice a, struct slice b);
bool slice_has_prefix(struct slice s, struct slice prefix);
bool slice_has_prefix_case(struct slice s, struct slice prefix);
bool slice_has_suffix_case(struct slice s, struct slice suffix);

/* From `from` (clipped to the end) at most `len` bytes. */
struct slice slice_sub(struct slice s, size_t from, size_t len);
static inline struct slice slice_from(struct slice s, size_t from)
{
    return slice_sub(s, from, SIZE_MAX);
}

/* Index of the first / last such byte; -1 where there is none. */
ptrdiff_t slice_find(struct slice s, uint8_t byte);
ptrdiff_t slice_rfind(struct slice s, uint8_t byte);
/* Index of the first occurrence of `needle`; -1 where there is none. */
ptrdiff_t slice_find_slice(struct slice s, struct slice needle);

/* Without leading and trailing spaces and tabs. */
struct slice slice_trim(struct slice s);

/*
 * Decimal digits only, no sign, no space. 0: `*ret` is set. -EINVAL: empty or not all digits.
 * -ERANGE: larger than `max`. `*ret` is untouched on failure.
 */
MUST_CHECK int slice_to_u64(struct slice s, uint64_t max, uint64_t *ret);

/* FNV-1a over the bytes folded to lower case: for hash tables keyed by domain names. Not keyed;
 * where an attacker picks the keys use map.h, which mixes in a seed. */
uint64_t slice_hash_case(struct slice s, uint64_t seed);

static inline uint8_t byte_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}
static inline bool byte_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}
static inline bool byte_is_alpha(uint8_t c)
{
    c = byte_lower(c);
    return c >= 'a' && c <= 'z';
}
