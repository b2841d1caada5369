/*
 * control/answers_int.h - the JSON of each answer, from the queue manager, the schedule, the spool
 * and the counters; no HTTP.
 *
 * Each adds one whole JSON value to `to`, whose cap bounds the answer: ask buf_failed() at the end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "control/control.h"
#include "control/filter_int.h"

#define ANSWER_MAX MIB(64)         /* cap of an answer's buffer */
#define ANSWER_RECIPIENTS_LISTED 5 /* of an entry in a listing with details */

void answer_status(const struct control_seams *seams, int64_t started_ms, struct buf *to);
void answer_spool(struct queue *q, struct buf *to);
/* One page of entries, and the server's level. */
void answer_list(const struct control_seams *seams, const struct control_ask *ask, int64_t now_ms,
                 struct buf *to);
/* One page of destinations. */
void answer_summary(struct queue *q, const struct control_ask *ask, struct buf *to);
/* One message, whole. 0, or queue_read_message()'s error and nothing was added. */
MUST_CHECK int answer_message(struct queue *q, uint64_t id, struct buf *to);
/* Does one page of an action and tells what came of it. True: something is to be made durable. */
bool answer_action(struct queue *q, const struct control_ask *ask, int64_t now_ms, struct buf *to);
/* {"error": sentence} */
void answer_error(struct slice sentence, struct buf *to);
