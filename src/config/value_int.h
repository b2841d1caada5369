/*
 * config/value_int.h - private to value.c and value_policy.c: the kinds of values that policies and
 * lanes need, and what both files share.
 */
#pragma once

#include "config/value.h"

static inline void *value_at(const struct setting *s, void *base)
{
    return (char *)base + s->offset;
}
static inline const void *value_const_at(const struct setting *s, const void *base)
{
    return (const char *)base + s->offset;
}
/* RFC 5321's sub-domains, with '_' as some have it. */
bool value_is_host(struct slice s);
/* "example.org", ".example.org" or "*". */
bool value_is_pattern(struct slice s);
/* Room for one more in an array that grows by doubling; `count` are used. NULL: no memory. */
void *value_grown(struct pool *pool, const void *list, size_t count, size_t element_size);

/* ---- value_policy.c: as value_parse(), value_format() and value_allowed() ---- */

MUST_CHECK int policy_parse(const struct setting *s, struct slice text, void *base,
                            struct pool *pool, struct buf *detail);
void policy_format(const struct setting *s, const void *base, struct buf *ret);
void policy_allowed(const struct setting *s, struct buf *ret);
bool policy_is_destination(struct slice s);
bool policy_is_name(struct slice s);
