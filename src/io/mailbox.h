/*
 * io/mailbox.h - how threads hand work to each other: a many-to-one queue of parcels.
 *
 * A parcel is a member of the caller's struct; posting it moves the ownership of that struct to
 * the receiver, and the sender forgets it. The queue itself allocates nothing: what bounds it is
 * the bound on the objects that parcels live in (sessions, jobs, commits), each with its own
 * setting. Parcels of one sender arrive in the order posted.
 *
 * Posting wakes the receiver only when the box was empty, so a burst costs one wake-up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

struct loop;

struct parcel { /* fields are private while it is posted */
    struct parcel *next;
    /* What the receiver calls, in its own thread; it owns the parcel from then on. */
    void (*deliver)(struct parcel *p, void *receiver);
};

struct mailbox; /* opaque */

/*
 * A box whose receiver is a loop: parcels are delivered, all that are there, in the loop's thread,
 * each by p->deliver(p, receiver). 0, -ENOMEM or -EMFILE.
 */
MUST_CHECK int mailbox_new_on_loop(struct mailbox **ret, struct loop *loop, void *receiver);
/* A box whose receiver is a thread that waits on it. 0 or -ENOMEM. */
MUST_CHECK int mailbox_new_blocking(struct mailbox **ret, void *receiver);
/* Frees it; the receiver's thread only, when no sender is left and the box is empty. */
void mailbox_free(struct mailbox **mb);

/* Any thread. Never fails, never blocks. */
void mailbox_post(struct mailbox *mb, struct parcel *p);

/*
 * The same without a wake-up: the parcel is delivered with the next one that wakes the receiver,
 * at the latest after mailbox_nudge(), which the sender owes it. So many parcels cost one wake-up,
 * however fast the receiver is.
 */
void mailbox_post_later(struct mailbox *mb, struct parcel *p);
/* Any thread. Wakes the receiver if there are parcels. */
void mailbox_nudge(struct mailbox *mb);

/* How much a parcel hurries: a receiver may choose to sleep through those that can wait. */
enum mailbox_urgency { MAILBOX_LAZY = 1, MAILBOX_SOON, MAILBOX_NOW };

/* Blocking kind. mailbox_post() is MAILBOX_NOW. */
void mailbox_post_urgent(struct mailbox *mb, struct parcel *p, enum mailbox_urgency urgency);

/*
 * Blocking kind, receiver's thread: delivers all parcels that are there; when there are none,
 * first waits at most `timeout_ns` (UINT64_MAX: no limit; 0: do not wait) for one. Returns how
 * many were delivered.
 */
size_t mailbox_receive(struct mailbox *mb, uint64_t timeout_ns);
/* The same, but parcels of less than `urgency` do not end the wait: they are delivered at its end,
 * or with one that does. */
size_t mailbox_receive_urgent(struct mailbox *mb, uint64_t timeout_ns,
                              enum mailbox_urgency urgency);
