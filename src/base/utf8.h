/*
 * base/utf8.h - is it UTF-8 (RFC 3629)? Over-long forms, surrogates and what is above U+10FFFF are
 * not. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* Length of the first character of `s`, which is not empty; 0 when its bytes are not UTF-8. */
size_t utf8_len(struct slice s);
/* The empty slice is. */
bool utf8_is_valid(struct slice s);
/*
 * Is the character `c` one that turns the direction of a line, or ends one where no line feed stands?
 * With them a text shows as another one, or as two. U+200E, 200F, 2028 to 202E, 2066 to 2069.
 */
bool utf8_is_misleading(struct slice c);
