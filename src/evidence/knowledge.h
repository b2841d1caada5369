/*
 * evidence/knowledge.h - the two tables of data that attempts are judged by, together, with a
 * count of references: a reload makes another, and what is under way finishes with the old one.
 *
 * Ownership: references. Threads: any; nothing in it changes once it is made.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "evidence/providers.h"
#include "evidence/replies.h"

struct knowledge { /* read the two tables, nothing else */
    struct replies *replies;
    struct providers *providers;
    _Atomic unsigned *references; /* private */
};

struct knowledge_source { /* the operator's own rules; empty: only the embedded ones */
    struct slice text;
    const char *name; /* what errors call it */
};

/* NULL: only the embedded rules. One reference is the caller's. 0; -EINVAL with lines in `why`; -ENOMEM. */
MUST_CHECK int knowledge_new(const struct knowledge **ret, const struct knowledge_source *replies,
                             const struct knowledge_source *providers, struct buf *why);
const struct knowledge *knowledge_ref(const struct knowledge *k); /* NULL is fine */
void knowledge_unref(const struct knowledge **k); /* sets *k to NULL; NULL is fine */
