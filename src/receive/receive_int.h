/*
 * receive/receive_int.h - private to receive/: receiver.c (listeners, policies, limits), session.c
 * (one connection) and submission.c (one message on its way into the spool).
 */
#pragma once

#include "base/err.h"
#include "base/list.h"
#include "io/loop.h"
#include "io/stream.h"
#include "message/envelope.h"
#include "message/header.h"
#include "receive/receiver.h"
#include "smtp/server.h"
#include "spool/writer.h"

/* One listener's rules under one configuration; sessions keep the one they began with. */
struct policy {
    uint32_t refs;
    const struct config *config;
    size_t index; /* of the listener in the configuration */
    struct tls_config *tls;
    struct smtp_server_config smtp;
};

struct receiver {
    struct loop *loop;
    struct mailbox *answers;
    struct receive_shared *shared;
    struct policy **policies; /* one a listener */
    struct door {             /* one listening socket */
        struct receiver *receiver;
        struct listener *listener;
        size_t index;
    } * doors;
    size_t door_count;
    struct list sessions;
    size_t session_count, commits;
    size_t requests; /* with the writer, those of clients that are gone included */
    bool stopping;
};

struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy **p);

/* ---- session.c ---- */

void session_open(struct receiver *r, struct policy *policy, struct stream *stream);
/* 421 and the end; `even_in_message` or only when no message is under way. */
struct session;
void session_stop(struct session *s, bool even_in_message);
struct session *session_of_node(struct list *node);

/* ---- submission.c ---- */

/* Body bytes gathered before they go to the writer; see the sums in submission.c. */
#define SUBMISSION_BLOCK KIB(48)

enum submission_refusal { /* decided while the body comes, told at its end */
                          SUBMISSION_FINE = 0,
                          SUBMISSION_NO_SPACE,
                          SUBMISSION_LOOP,
                          SUBMISSION_DISK_ERROR,
                          SUBMISSION_NO_MEMORY,
};

/*
 * One message between MAIL and its way to the queue. It belongs to its session until the commit is
 * posted; from then on the session, if it still lives, only waits for the answer.
 */
struct submission {
    struct spool_request request; /* one is under way at most */
    struct receiver *receiver;
    struct session *session; /* NULL: the client is gone */
    uint64_t id;
    struct envelope envelope;
    struct recipient *recipients;
    size_t recipients_room;
    struct buf texts; /* what the envelope's slices point into, as offsets until encoding */
    struct header_scan scan;
    struct buf filling, sending; /* body blocks */
    size_t sent;                 /* of `sending`, posted */
    struct spool_extent *extents;
    uint32_t extent_count, extents_room;
    uint64_t reserved, used; /* in the spool: set aside still, and taken out of that */
    uint64_t body_bytes;
    struct buf encoded; /* the envelope */
    enum submission_refusal refusal;
    bool request_is_out, body_is_whole, is_committing, begun;
};

struct submission *submission_new(struct receiver *r, struct session *session);
/* Before the commit: gives back everything; a request that is out is waited for first. */
void submission_abort(struct submission **sub);

/* Room in the spool for `bytes`: 0 or -ENOSPC. */
MUST_CHECK int submission_reserve(struct submission *sub, uint64_t bytes);
MUST_CHECK int submission_set_sender(struct submission *sub, const struct smtp_mail *mail);
/* 0, -ENOMEM; -E2BIG: no envelope holds more recipients, or more of such long addresses. */
MUST_CHECK int submission_add_recipient(struct submission *sub, const struct smtp_rcpt *rcpt,
                                        struct slice hostname);
/* Its first recipient's address; valid until the next is added. */
struct slice submission_only_recipient(const struct submission *sub);
/* For logs; valid until the next address is added. */
struct slice submission_sender(const struct submission *sub);
/* Body bytes. False: take no more until session_resume_body(). */
bool submission_body(struct submission *sub, struct slice body);
/* The body is whole: commit it. 0: the answer comes by session_committed(), never before this
 * returned. Negative: the message is refused, and gone. */
MUST_CHECK int submission_commit(struct submission *sub, struct slice client_ip, struct slice helo,
                                 struct slice listener_name);

/* session.c, called by submission.c */
void session_resume_body(struct session *s);
void session_committed(struct session *s, int result, uint64_t id);
