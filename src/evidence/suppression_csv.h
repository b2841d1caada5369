/*
 * evidence/suppression_csv.h - the suppression list as lines: what `penstock suppress export`
 * writes and `import` reads.
 *
 * One entry a line: an address alone, or, after a first line with the names of the columns, RFC
 * 4180 with any of the columns below in any order, of which `address` must be there. No field has a
 * line end in it. Blank lines and lines that begin with '#' are passed over.
 *
 *     address,kind,at_ms,code,enhanced,class,reply,host,id,source,note
 *
 * Pure; the bytes come from a person's file and may be anything.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "evidence/suppression.h"

#define SUPPRESSION_LINE_MAX 4096 /* without its line end */
#define SUPPRESSION_COLUMNS 11

/* One file being read; zeroed is a fresh one. */
struct suppression_csv { /* fields are private */
    uint8_t columns[SUPPRESSION_COLUMNS];
    size_t column_count; /* 0: addresses alone */
    bool has_begun;
    char text[SUPPRESSION_LINE_MAX]; /* of the last line's fields */
};

/*
 * Reads one line, with or without its LF or CRLF. 1: `*ret` is an entry (an address alone is the
 * operator's, its at_ms 0); its slices point into `c` and the line. 0: the line has none. -EINVAL:
 * a sentence part in `why`, with the value and what is allowed. Whether the entry makes sense is
 * suppression_restore()'s to say.
 */
MUST_CHECK int suppression_csv_read(struct suppression_csv *c, struct slice line,
                                    struct suppression_view *ret, struct buf *why);

/* The names of the columns, and an entry: lines that end in CRLF. */
void suppression_csv_head(struct buf *to);
void suppression_csv_write(const struct suppression_view *v, struct buf *to);
