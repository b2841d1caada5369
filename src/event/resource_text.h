/*
 * event/resource_text.h - the state of all resources as one field of an event:
 *
 *     memory=76%[high 71/73/75] spool_disk("/var/spool/penstock")=41%[normal 94/97/99] ...
 *
 * so that an event of 15004 to 15007 says how things stood, and `penstock events --exchange-text`
 * can print the body that Exchange's events have. The thresholds are those that lead back to
 * normal, back to medium, and up to high.
 *
 * The reader takes text that anybody may have written into a log: it trusts nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

struct resource_text {
    struct slice name;  /* lower-case letters, digits and '_' */
    struct slice path;  /* what it is the resource of; empty: nothing to tell */
    struct slice level; /* "normal", "medium", "high" */
    uint64_t value, normal, medium, high;
    bool is_percent; /* else in the resource's unit */
};

/* Appends one resource, with a space where others stand before it. In the path, quotes and what is
 * not printable ASCII become '?'. 0, -E2BIG or -ENOMEM. */
int resource_text_add(struct buf *to, const struct resource_text *r);

/* Takes the first resource off `left`. 1: `*ret` has it, with slices into the text; 0: there is no
 * more; -EINVAL: that is no such text. */
MUST_CHECK int resource_text_next(struct slice *left, struct resource_text *ret);
