/*
 * evidence/suppression.h - who is not to be tried any more: addresses of which a host has said for
 * good that there is no such mailbox, and those that the operator names.
 *
 * No temporary reply can get here: the types do not allow it. `struct permanent_failure` has no
 * definition outside suppression.c, so nobody else can make, copy or change one; the one function
 * that makes them takes an attempt and refuses whatever is not a 5xx about one mailbox.
 * `struct suppression` is opaque in the same way and has three makers: from a permanent failure, by
 * the operator (who gives no reply), and back from what the ledger or an export has kept, where the
 * same conditions are asked once more, so that an edited file opens no fourth way.
 *
 *     attempt --permanent_failure_of()--> permanent_failure
 *         --suppression_of_failure()--> suppression
 *
 * Addresses: the domain is lower case, for domains are compared without case (RFC 5321, section
 * 2.4), and the local part is compared without case too. The same section leaves that to the
 * receiving host, yet none in use tells mailboxes apart by case; whoever writes Anna@example.org
 * today and anna@example.org tomorrow means one mailbox, and a list that missed the second would
 * send to a mailbox that is known not to be there. Quoting is as little as needed, as everywhere
 * (smtp/address.h).
 *
 * A suppression is immutable, one piece of memory, and counted: any thread may hold and read it.
 * Engine: no I/O, no clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "evidence/attempt.h"

#define SUPPRESSION_ADDRESS_MAX 256
#define SUPPRESSION_NOTE_MAX 200 /* bytes; longer ones are refused */

/* ---- a permanent failure ---- */

struct permanent_failure; /* opaque, and made by permanent_failure_of() alone */

/*
 * True, and `*ret` is the caller's, where all of this holds: the attempt FAILED; the code is 5xx
 * and not 551 (the mailbox is elsewhere); its enhanced code, if any, begins with 5; the class is
 * mailbox-unknown or mailbox-disabled; the words or the enhanced code say so and not the bare code
 * (attempt.is_explicit); it was the answer to RCPT, or to the message with no other recipient; and
 * the attempt names that one recipient. What failed by max_queue_time has no such reply, nor has
 * what we refuse by ourselves; a relay's policy has another class. In doubt, and without memory:
 * false.
 */
MUST_CHECK bool permanent_failure_of(const struct attempt *a, struct permanent_failure **ret);
void permanent_failure_free(struct permanent_failure **f);

/* ---- an entry ---- */

enum suppression_kind { SUPPRESSION_AUTOMATIC, SUPPRESSION_OPERATOR };
const char *suppression_kind_name(enum suppression_kind k); /* "automatic", "operator" */

/* An entry with its evidence: plain values, borrowed from it. */
struct suppression_view {
    struct slice address; /* as said above */
    enum suppression_kind kind;
    int64_t at_ms; /* wall clock: of the reply, or of the operator's action */
    /* Automatic ones; the operator's have 0, none and empty. */
    uint16_t code;
    struct smtp_enhanced enhanced;
    enum reply_class klass;
    struct slice text; /* the reply, code and all, on one line */
    struct slice host; /* who gave it: name and address */
    uint64_t queue_id; /* of the message it was given for */
    struct slice source;
    struct slice note; /* the operator's; on one line */
};

struct suppression; /* opaque */

/* Takes the failure over, also where there is no memory: then NULL. */
struct suppression *suppression_of_failure(struct permanent_failure **f);
/* 0; -EINVAL: the address is none or the note is too long, and `*why` is a static sentence part;
 * -ENOMEM. */
MUST_CHECK int suppression_by_operator(struct suppression **ret, struct slice address,
                                       struct slice note, int64_t at_ms, const char **why);
/* What suppression_get() gave, come back from a file. 0; -EINVAL: it was no entry of ours, as
 * `*why` says: a temporary code is refused here as above; -ENOMEM. */
MUST_CHECK int suppression_restore(struct suppression **ret, const struct suppression_view *v,
                                   const char **why);
struct suppression *suppression_ref(struct suppression *s);
void suppression_unref(struct suppression **s); /* NULL is fine */
const struct suppression_view *suppression_get(const struct suppression *s);

/* Appends why a recipient is not tried, with a status of RFC 3463 first: "5.1.1 not tried: this
 * address is on the suppression list since Mon, 23 Nov 2026 07:10:00 +0000, when mx... said: 550 ...". */
void suppression_reason(const struct suppression_view *v, struct buf *to);
/* Canonical form. 0, or -EINVAL with a static sentence part. */
MUST_CHECK int suppression_address(struct slice text, uint8_t ret[static SUPPRESSION_ADDRESS_MAX],
                                   size_t *ret_len, const char **why);
