/*
 * cli/wrap.h - running text in lines for a terminal or a mail.
 */
#pragma once

#include <stddef.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

#define WRAP_WIDTH 78

/*
 * Appends "  label        text", made harmless (cli/format.h), in lines of at most WRAP_WIDTH
 * columns, broken at blanks; every line but the first is indented as far as the text. A word longer
 * than a line stays whole. `indent` is where the text begins, `label` shorter than that. The
 * buffer's own state says whether it had room.
 */
void wrap_add(struct buf *to, const char *label, size_t indent, struct slice text);
