/*
 * deliver/attempt.h - the evidence of attempts (private to deliver/): what a worker knows of one is
 * put together here, and goes to the queue manager as a parcel, which hands it on to the lanes and
 * the ledger.
 */
#pragma once

#include <stdint.h>

#include "evidence/attempt.h"
#include "io/addr.h"
#include "io/resolver.h"
#include "smtp/client.h"

struct conn;
struct run;
struct transaction;

/* Of the replies to one attempt the one that tells most, and where it was made. */
struct attempt_told {
    uint64_t began_ms;       /* the loop's clock */
    struct addr peer, local; /* .len 0: no connection yet */
    char host[DNS_NAME_MAX + 3];
    bool tls;
    char tls_version[16], tls_cipher[48]; /* for the delivery log; where there is TLS */
    bool is_told;       /* as attempts to reach each host: not once more as a whole */
    uint32_t recipient; /* in the transaction's `to` */
    unsigned rank;      /* how much the reply below tells; 0: none yet */
    enum smtp_phase phase;
    uint16_t code;
    struct smtp_enhanced enhanced;
    enum reply_class klass;
    size_t text_len;
    char text[ATTEMPT_TEXT_MAX];
};

void attempt_begin(struct transaction *t);
/* The run tries a host from now on. */
void attempt_try(struct run *run);
/* None of the run's hosts took the session: what the last one said is the transaction's attempt,
 * which was told already. */
void attempt_take_tried(struct transaction *t, const struct run *run);
/* The transaction goes over this connection from now on. */
void attempt_over(struct transaction *t, const struct conn *c);
/* The result of one recipient of the present batch; its class is returned. */
enum reply_class attempt_result(struct transaction *t, size_t batch_index,
                                const struct smtp_result *r);
/* The same for recipients that no host was asked about; `text` is ours. */
void attempt_settled(struct transaction *t, enum smtp_outcome outcome, enum reply_class klass,
                     struct slice text);
/* One recipient of the present batch was refused for good, with a class of mailboxes: tells the
 * queue manager, who keeps the suppression list. */
void attempt_mailbox_refused(struct transaction *t, size_t batch_index, enum reply_class klass,
                             const struct smtp_result *r);
/* All results are in: tells the queue manager. */
void attempt_end(struct transaction *t);
/* A host was tried and did not come so far as to be sent mail, with the entry at run->at waiting.
 * `f` NULL: there was no reply, `err` and `why` say what happened. */
void attempt_no_session(struct run *run, const struct smtp_result *f, int err, const char *why);

/* As the host said it, code and all; returns the length. */
size_t attempt_reply_text(unsigned code, struct slice text, char to[static ATTEMPT_TEXT_MAX]);
/* Empty where there is none. */
struct slice attempt_ip_text(const struct addr *a, char text[static ADDR_TEXT_MAX]);
