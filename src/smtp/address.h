/*
 * smtp/address.h - paths and mailboxes (RFC 5321, section 4.1.2; RFC 6531, section 3.3).
 *
 * The grammar is taken strictly: dot-atoms without empty atoms, quoted strings with every quoting
 * rule, domains of letter-digit-hyphen labels, address literals of IPv4, IPv6 and general kind.
 * A source route (`<@a,@b:user@c>`) is accepted and dropped, as section 4.1.1.3 asks. Bytes over
 * 127 are taken only where the caller allows SMTPUTF8, and only as valid UTF-8.
 *
 * The result is canonical: the domain in lower case (ASCII letters only), the local part with as
 * little quoting as it needs, so that `"john"@EXAMPLE.org` and `john@example.org` are one.
 *
 * Pure; values without pointers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"

/* Octets; RFC 5321, sections 4.5.3.1.1 to 4.5.3.1.3. The path's limit counts its brackets. */
#define SMTP_LOCAL_MAX 64
#define SMTP_DOMAIN_MAX 255
#define SMTP_PATH_MAX 256

struct smtp_address {
    uint8_t text[SMTP_PATH_MAX]; /* canonical; the null path is empty */
    uint16_t len, local_len;     /* local_len == len: there is no domain ("postmaster") */
    bool is_literal;             /* the domain is an address literal, brackets included */
    bool is_utf8;                /* has bytes over 127 */
};

/* "local@domain", "postmaster", or empty for the null path. Borrowed from `a`. */
static inline struct slice smtp_address_mailbox(const struct smtp_address *a)
{
    return slice_make(a->text, a->len);
}
/* Empty for the null path and for a bare "postmaster". Borrowed from `a`. */
static inline struct slice smtp_address_domain(const struct smtp_address *a)
{
    return a->local_len < a->len
               ? slice_make(a->text + a->local_len + 1, (size_t)(a->len - a->local_len - 1))
               : slice_make(NULL, 0);
}

enum smtp_address_allow {
    SMTP_ALLOW_UTF8 = 1 << 0,
    SMTP_ALLOW_NULL = 1 << 1,       /* `<>`: the reverse-path of a notification */
    SMTP_ALLOW_POSTMASTER = 1 << 2, /* `<postmaster>` without a domain, any case */
};

/*
 * Reads a path in angle brackets from the start of `in`; what follows it is the caller's.
 * 0: `*ret` is set and `*ret_used` bytes were read. -EINVAL: not a path; -E2BIG: a length limit;
 * -EILSEQ: bytes over 127 where not allowed, or not UTF-8. On failure `*ret_why` is a static
 * sentence for the peer ("The local part is longer than 64 octets"); the rest is untouched.
 */
MUST_CHECK int smtp_path_parse(struct slice in, unsigned allow, struct smtp_address *ret,
                               size_t *ret_used, const char **ret_why);

/* The same for a whole slice that is a mailbox without brackets (what people type). */
MUST_CHECK int smtp_mailbox_parse(struct slice in, unsigned allow, struct smtp_address *ret,
                                  const char **ret_why);

/* Whether `s` is a domain name or an address literal, as HELO and EHLO take it. */
bool smtp_domain_is_valid(struct slice s, bool allow_utf8);

bool smtp_is_ascii(struct slice s);
