/*
 * control/suppress_int.h - the operator's changes of the suppression list; no HTTP.
 */
#pragma once

#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

struct queue;

/*
 * `body` is {"action": "add", "addresses": [...], "note": "..."}, {"action": "remove", "addresses":
 * [...]} or {"action": "import", "csv": "..."} (evidence/suppression_csv.h, whole lines). What is
 * wrong with single addresses does not keep others from being done: it is told in the answer,
 * {"refused": [{"address": "...", "why": "..."}], "added": n, "replaced": n, "already": n,
 * "removed": n}. 0, and what was done is to be made durable; -EINVAL: nothing was done, and `why` has a
 * sentence; -ENOMEM.
 */
MUST_CHECK int act_on_suppressions(struct queue *q, struct slice body, int64_t now_ms,
                                   struct buf *to, struct buf *why);
