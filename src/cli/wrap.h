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
 * Appends "label          text", made harmless (cli/format.h), in lines of at most WRAP_WIDTH
 * columns, broken at blanks; every line but the first is indented as far as the text. A word longer
 * than a line stays whole. `indent` is where the text begins; behind a `label` that reaches so far it
 * begins after one blank. The buffer's own state says whether it had room.
 */
void wrap_add(struct buf *to, const char *label, size_t indent, struct slice text);
/* The same in lines of at most `line_max` columns; 0: in one line, however long. */
void wrap_add_to(struct buf *to, const char *label, size_t indent, struct slice text,
                 size_t line_max);
