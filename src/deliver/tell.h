/*
 * deliver/tell.h - the delivery log's lines about mail on its way out (private to deliver/;
 * event/delivery.h, docs/events.md): one for each recipient and each attempt, when its result is
 * known. All do nothing while that log is off.
 */
#pragma once

#include <stdint.h>

#include "deliver/queue.h"
#include "evidence/replies.h"
#include "smtp/client.h"

struct config;
struct settlement;
struct transaction;

/* ---- a worker's; `i`: which of the transaction's recipients ---- */

void tell_result(struct transaction *t, size_t i, enum reply_class klass,
                 const struct smtp_result *r);
/* It was too many for the host, in a batch of which the host took nobody. */
void tell_apart(struct transaction *t, size_t i);
/* No host was asked about it, or none took the session; `text` is ours. */
void tell_settled(struct transaction *t, size_t i, enum smtp_outcome outcome,
                  enum reply_class klass, struct slice text);

/* ---- the queue manager's ---- */

/* The recipients that its age or the operator ended. */
void tell_end(const struct settlement *s, const struct envelope *e);
/* A report is durable; `e` is its own. */
void tell_report(uint64_t id, uint64_t original, const char *kind, const struct envelope *e,
                 struct slice message_id);
