/*
 * evidence/replies.h - what a reply means: its class, and what Penstock does about it.
 *
 * The rules are data (share/replies.yaml, embedded in the program; a file of the operator's is
 * read before it): each names a class and what it matches, the first that matches wins. Replies
 * without a rule fall to their class by RFC 3463 subject and RFC 5321 code, so that every reply has
 * a class. Engine: the YAML comes as bytes. A table is immutable once made: any thread may ask it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "smtp/client.h"
#include "smtp/reply.h"

/* X(constant, name, what it means in one sentence part). */
#define REPLY_CLASS_TABLE(X)                                                                       \
    X(REPLY_NONE, "none", "no refusal")                                                            \
    X(REPLY_CAPACITY, "capacity", "the receiver is short of resources")                            \
    X(REPLY_RATE, "rate", "we send faster than the receiver lets us")                              \
    X(REPLY_POLICY, "policy", "the receiver does not want this mail: policy or reputation")        \
    X(REPLY_AUTHENTICATION, "authentication", "SPF, DKIM, DMARC, or a login is wrong or missing")  \
    X(REPLY_MAILBOX_FULL, "mailbox-full", "the recipient's mailbox is full")                       \
    X(REPLY_MAILBOX_UNKNOWN, "mailbox-unknown", "there is no such mailbox")                        \
    X(REPLY_MAILBOX_DISABLED, "mailbox-disabled", "the mailbox is there and takes no mail")        \
    X(REPLY_CONTENT, "content", "the message itself is refused: size, form, or what is in it")     \
    X(REPLY_BATCH, "batch", "too many recipients for one transaction: our batch")                  \
    X(REPLY_GREYLIST, "greylist", "the receiver asks to come again later")                         \
    X(REPLY_PROTOCOL, "protocol", "the two sides did not understand each other")                   \
    X(REPLY_CONNECTION, "connection", "no connection, or it broke")                                \
    X(REPLY_DNS, "dns", "no host was found")                                                       \
    X(REPLY_TLS, "tls", "no encrypted session of the kind asked for")                              \
    X(REPLY_OTHER, "other", "refused without a reason we know")
#define REPLY_CLASS_LINE(constant, name, what) constant,
enum reply_class { REPLY_CLASS_TABLE(REPLY_CLASS_LINE) REPLY_CLASSES };
const char *reply_class_name(enum reply_class c);
const char *reply_class_what(enum reply_class c);
/* REPLY_CLASSES: there is none of that name. */
enum reply_class reply_class_find(struct slice name);

/* What Penstock does about a class, beside keeping a 4xx's mail in the queue (always). */
enum reply_action {
    REPLY_ACTION_NOTHING,  /* the retry policy alone */
    REPLY_ACTION_THROTTLE, /* capacity: counts for the lane's band, the controller acts */
    REPLY_ACTION_PACE,     /* rate: the lane's rate goes down */
    REPLY_ACTION_ALERT,    /* policy, authentication: alert, hold the warm-up; never faster */
    REPLY_ACTION_SPLIT,    /* batch: a smaller batch, at once */
};
enum reply_action reply_class_action(enum reply_class c);

struct reply_facts { /* what is asked about; borrowed */
    uint16_t code;   /* 0: there was no reply, `err` says what happened */
    struct smtp_enhanced enhanced;
    enum smtp_phase phase;
    int err;           /* negative errno where code is 0: -ECONNREFUSED, -ETIMEDOUT, -ERR_DNS.. */
    struct slice text; /* of the reply, with or without its codes; the first 512 bytes count */
    struct slice provider; /* name; rules may be for some providers only; empty: not known */
};

struct reply_verdict {
    enum reply_class klass;
    /* From the rule, else from its class; valid as long as the table; "" where neither has any. */
    const char *rule;    /* "capacity-452-4.3.1"; "" : no rule, by the codes alone */
    const char *meaning; /* whole sentences, for `penstock replies explain` */
    const char *advice;  /* what to do */
    const char *warning; /* what not to do */
};

struct replies; /* opaque */

/* `own` (may be empty) are the operator's rules, called `own_name` in errors; the embedded ones
 * follow. 0; -EINVAL with one line an error in `why` ("file:line:column: what"); -ENOMEM. */
MUST_CHECK int replies_new(struct replies **ret, struct slice own, const char *own_name,
                           struct buf *why);
void replies_free(struct replies **r);
/* Costs no allocation; with the shipped rules below 1 us, for texts of several lines up to 3 us. */
enum reply_class replies_classify(const struct replies *r, const struct reply_facts *f);
void replies_explain(const struct replies *r, const struct reply_facts *f,
                     struct reply_verdict *ret);
/* A reply that a file of rules says something about: a test of that file. */
struct reply_vector {
    const char *file; /* where it stands */
    uint32_t line, column;
    const char *rule; /* whose it is; "": of none, only the class is meant */
    struct slice reply;
    enum smtp_phase phase;
    struct slice provider;
    bool is_never; /* the reply must not be of class `wanted` */
    enum reply_class wanted, got;
    const char *got_rule; /* "": by the codes alone */
    bool passed;          /* the class is right, and where it must be that, the rule is `rule` */
};
/* Calls fn for every vector of the files. For tests and `replies check`. */
void replies_each_vector(const struct replies *r,
                         void (*fn)(void *ctx, const struct reply_vector *v), void *ctx);

/* A rule, for `replies list`. */
struct reply_rule_view {
    const char *file;
    uint32_t line;
    const char *name;
    enum reply_class klass;
};
void replies_each_rule(const struct replies *r,
                       void (*fn)(void *ctx, const struct reply_rule_view *rule), void *ctx);

/* Reads "452 4.3.1 Insufficient system resources", "452-4.3.1 ...", "452", as pasted from a log.
 * False: it does not begin with a reply code (200 to 599). Slices point into `line`. A line does
 * not tell its phase: the one where such a code is usual is taken. */
bool reply_facts_parse(struct slice line, struct reply_facts *ret);
