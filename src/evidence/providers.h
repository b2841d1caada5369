/*
 * evidence/providers.h - who operates a destination's MX hosts.
 *
 * The table is data (share/providers.yaml, embedded; a file of the operator's is read before it):
 * names, groups, and MX patterns ("*.mail.protection.outlook.com"). A destination is of the
 * provider that its best MX host matches, the first in the table. One that matches none is named
 * by that host's registered domain (libpsl's rules, from its built-in list), so that a hoster's
 * thousand domains are one provider; a host without one by itself: an address, or a bare name, which
 * keeps its last dot ("localhost."), for words without a dot are names of the table.
 * Immutable once made: any thread may ask it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

#define PROVIDER_NAME_MAX 256 /* with its NUL */
#define PROVIDERS_MAX 2000
#define PROVIDER_UNKNOWN "unknown" /* before its MX hosts are known */

struct providers; /* opaque */

/* As replies_new(). */
MUST_CHECK int providers_new(struct providers **ret, struct slice own, const char *own_name,
                             struct buf *why);
void providers_free(struct providers **p);

struct provider_info {   /* borrowed from the table, or from `ret` of providers_of() */
    const char *name;    /* "microsoft-365"; or a domain name: "mx.example-hoster.net"'s suffix */
    const char *group;   /* "microsoft-domains"; NULL: none */
    const char *title;   /* "Microsoft 365 (Exchange Online)"; NULL: not in the table */
    const char *pattern; /* what matched; NULL: by common suffix */
};

/*
 * The provider of a destination with these MX hosts (in order of preference, best first; `count`
 * 1 or more; any case, with or without the last dot). Only the best one counts: a backup host may
 * be anybody's. `name_buf` holds the name where it is not the table's. No allocation.
 */
void providers_of(const struct providers *p, const struct slice *hosts, size_t count,
                  char name_buf[PROVIDER_NAME_MAX], struct provider_info *ret);
/*
 * Is a host of that name (one, as above) operated by that provider? A domain's owner chooses the MX
 * hosts it lists: only what a provider's own hosts answer tells of the provider.
 */
bool providers_is_host_of(const struct providers *p, struct slice host, struct slice provider);
/* Is that the name of a provider or a group in the table? */
bool providers_knows(const struct providers *p, struct slice name);
/* Is the provider (by name) in that group, or is it that provider? */
bool providers_is_in(const struct providers *p, struct slice provider, struct slice name);
/* Does the host match a pattern ("*.example.org", "mx?.example.org", exact)? Without case; '*'
 * stands for any run of bytes, dots included. The last dot of a host does not count. */
bool provider_pattern_matches(struct slice pattern, struct slice host);
/* The group of a provider; empty: it has none, or is not in the table. */
struct slice providers_group(const struct providers *p, struct slice provider);
/* Calls fn for each provider in the table; `pattern` is its first. */
void providers_each(const struct providers *p,
                    void (*fn)(void *ctx, const struct provider_info *info), void *ctx);

/* A host that a file says is of a provider: a test of that file. */
struct provider_vector {
    const char *file; /* where it stands */
    uint32_t line, column;
    struct slice host;
    const char *wanted, *got; /* names */
};
/* `got` is valid during the call only. */
void providers_each_vector(const struct providers *p,
                           void (*fn)(void *ctx, const struct provider_vector *v), void *ctx);
