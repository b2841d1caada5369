/*
 * cli/address_list.h - the addresses in a To, Cc or Bcc field (RFC 5322, section 3.4).
 *
 * Takes display names, angle brackets, source routes, groups, comments (nested), quoted strings,
 * domain literals and folds; a local name without a domain too. What it finds is not yet checked
 * to be an address: that is smtp/address.h's. Pure; bounded memory.
 */
#pragma once

#include "base/base.h"
#include "base/slice.h"

#define ADDRESS_LIST_ADDRESS_MAX 1024 /* octets of one */

/*
 * Calls fn with each address, without blanks and comments, valid during the call, until it returns
 * non-zero, which is returned. 0 at the end (an empty list is fine). -EINVAL: not an address list;
 * `*ret_why` is a static sentence part ("a quoted text does not end").
 */
MUST_CHECK int address_list_each(struct slice value, int (*fn)(void *ctx, struct slice address),
                                 void *ctx, const char **ret_why);
