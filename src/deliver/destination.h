/*
 * deliver/destination.h - the name of the queue that mail for a domain waits in.
 *
 * Mail that goes by MX waits under its own domain; all mail that goes to one configured next hop
 * waits under the text of that hop, so that a smart host is one destination with one limit, and a
 * message's recipients in many domains reach it in one transaction.
 */
#pragma once

#include "base/slice.h"

struct config;
struct config_target;

/* Lives as long as `c` and `domain` do. */
struct slice destination_name(const struct config *c, struct slice domain);
/* The next hop of the queue with that name, the reverse of destination_name(). Never NULL; a target
 * of kind MX without a host means the MX of `name` itself. */
const struct config_target *destination_target(const struct config *c, struct slice name);

/*
 * With more than one source a queue is called by its name, a NUL, and the source's name: all that
 * is known of a destination is known of each of its queues. Both return slices of `key`; the source
 * is empty where there is one source only.
 */
struct slice destination_of_key(struct slice key);
struct slice destination_source_of_key(struct slice key);
