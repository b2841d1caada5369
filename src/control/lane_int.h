/*
 * control/lane_int.h - the JSON of the answers about lanes, and the operator's actions on them; no
 * HTTP.
 *
 * Times are wall clock milliseconds; shares are told per 10,000 attempts.
 */
#pragma once

#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

struct lanes;

/* One whole JSON object: every lane, without its history. */
void answer_lanes(const struct lanes *lanes, int64_t now_ms, struct buf *to);
/* One lane with all that is known of it. -ENOENT: there is none of that name, and nothing was
 * added. */
MUST_CHECK int answer_lane(const struct lanes *lanes, struct slice name, int64_t now_ms,
                           struct buf *to);
/*
 * {"lane": NAME, "action": "pause" | "resume" | "limit", "connections": N}: does it, and adds the
 * lane as it is then. 0; -EINVAL, -ENOENT, -ENOMEM with a sentence in `why`.
 */
MUST_CHECK int act_on_lane(struct lanes *lanes, struct slice body, int64_t now_ms, struct buf *to,
                           struct buf *why);
