/*
 * logscan/own_hosts.h - which remote hosts are our own: relays, smart hosts, gateways. Those that the
 * operator names, and any with an address of a private network: nobody else's mail host has one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "io/addr.h"

struct own_hosts; /* opaque */
/* Names ("relay.example", "*.corp.example"), addresses and networks; borrowed. 0; -EINVAL with a
 * sentence in `why`; -ENOMEM. */
MUST_CHECK int own_hosts_new(struct own_hosts **ret, const char *const *own, size_t count,
                             struct buf *why);
void own_hosts_free(struct own_hosts **o);
/* Both may be empty. */
bool own_hosts_has(const struct own_hosts *o, struct slice host, struct slice address);
