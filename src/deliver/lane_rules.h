/*
 * deliver/lane_rules.h - what the configuration says of a lane, in the words of schedule/lanes.h.
 *
 * Pure; any thread.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "config/config.h"
#include "schedule/lanes.h"

struct providers;

/* The group of a provider; empty: none. */
struct slice lane_group_of(const struct providers *p, struct slice provider);
/*
 * The rules of the lane of that provider and source. `provider` is the provider's part of the
 * lane's name: a provider, the text of a next hop, or what a block of the configuration calls its
 * own lanes (config_policy.lane). `providers` tells a provider's group; NULL: there are no groups.
 * A source that the configuration does not know any more has no warm-up.
 */
void lane_rules_of(const struct config *c, const struct providers *providers, struct slice provider,
                   struct slice source, struct lane_rules *ret);
/* What holds for all lanes; `other_connections` is delivery.connections_max. */
struct lanes_settings lane_settings_of(const struct config *c);
/* How deferred mail waits; `delay_dsn_s` is not the block's to say. */
struct retry_policy lane_retry_of(const struct config_retry *r, uint32_t delay_dsn_s);
/*
 * Are the words of all blocks known as providers or groups? 0; or -EINVAL, and `why` has one line
 * for each that is not: "file:line:column: key 'destinations[2].destination': ..." with the names
 * that are nearest to it.
 */
MUST_CHECK int lane_rules_check(const struct config *c, const struct providers *providers,
                                struct buf *why);
