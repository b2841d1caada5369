/*
 * base/id.h - queue ids as people see them: Crockford's base32 in lower case, without i, l, o, u.
 *
 * 64 bits make 1 to 13 characters; there are no leading zeros, so one id has one text.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"

#define ID_TEXT_MAX 14 /* 13 characters and a NUL */

/* Returns the length of the NUL-ended text. */
size_t id_format(uint64_t id, char ret[static ID_TEXT_MAX]);
/* Takes upper case too, what people misread (o for 0, i and l for 1, as Crockford has it), and
 * leading zeros up to 13 characters in all. -EINVAL: empty, too long, another character, or over
 * 64 bits; `*ret` is untouched then. */
MUST_CHECK int id_parse(struct slice text, uint64_t *ret);
