/*
 * cli/reply_text.h - what a reply means, for people and for programs.
 */
#pragma once

#include <jansson.h>

#include "base/base.h"
#include "base/buf.h"
#include "evidence/replies.h"

struct reply_question {
    struct slice line; /* as it was given */
    struct reply_facts facts;
};

/* "452 4.3.1 Insufficient ...": lines of text, each part of the answer with its label. */
void reply_text_write(struct buf *to, const struct reply_question *q,
                      const struct reply_verdict *v);
/* The same as an object; the caller's. NULL: no memory. */
json_t *reply_text_json(const struct reply_question *q, const struct reply_verdict *v);

/* "throttle", "pace", "alert", "split", "nothing". */
const char *reply_action_name(enum reply_action a);
/* What Penstock does by itself about a reply of that class, in sentences. */
const char *reply_action_text(enum reply_class klass, unsigned code);
