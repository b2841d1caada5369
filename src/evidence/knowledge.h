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

/* Takes both tables over, also when it fails, and sets them to NULL; NULL: the embedded ones alone.
 * One reference is the caller's. 0; -EINVAL with lines in `why` (an embedded one is wrong);
 * -ENOMEM. */
MUST_CHECK int knowledge_new(const struct knowledge **ret, struct replies **replies,
                             struct providers **providers, struct buf *why);
const struct knowledge *knowledge_ref(const struct knowledge *k); /* NULL is fine */
void knowledge_unref(const struct knowledge **k); /* sets *k to NULL; NULL is fine */
