/*
 * receive/receive_int.h - private to receive/: receiver.c (listeners, policies, reports),
 * session.c with welcome.c and mail.c (one connection, session_int.h), intake.c (what is let in),
 * clients.c (limits for one client), submission.c (one message on its way into the spool) and
 * track.c (what the tracking and delivery logs say of it).
 */
#pragma once

#include "base/err.h"
#include "base/list.h"
#include "event/exchange_log.h"
#include "governor/gate.h"
#include "governor/tally.h"
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
    size_t connector_len;
    char connector[EXCHANGE_CONNECTOR_MAX]; /* of the log files */
};
static inline struct slice policy_connector(const struct policy *p)
{
    return slice_make(p->connector, p->connector_len);
}

#define SESSION_WORDS_MAX 384 /* of one reply: with our host name */

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
    bool stopping, reads_little;
    struct list submissions; /* from MAIL to the answer to the commit */
    size_t submission_count;
    struct tally_batch tally; /* since the last report */
    /* Refusals as lines in the log, in the interval that ends then. */
    uint64_t telling_ends_ms, untold;
    uint32_t told;
    struct loop_timer untold_timer; /* runs when some were not told */
    struct protocol_flood flood;    /* of connections that are turned away */
    char words[SESSION_WORDS_MAX];  /* of the reply that is being made */
};

struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy **p);

/* ---- intake.c ---- */

struct config_listener;

enum intake_verdict { INTAKE_GRANTED, INTAKE_DELAYED, INTAKE_REFUSED };
struct intake_answer {
    enum intake_verdict verdict;
    uint32_t delay_ms; /* DELAYED */
    uint8_t resource;  /* DELAYED, REFUSED: as struct gate_line has it */
    uint64_t reserved; /* GRANTED: so much is set aside in the spool */
};

/* Is it one of our own, which has no limits for one client? */
bool intake_is_internal(const struct config *config, const struct addr *peer);
enum mail_class intake_class(const struct config_listener *l, bool is_internal);
/* May a message come now? `announced`: bytes, 0 where it was not told. `has_waited`: it was
 * delayed, and is not delayed again. */
struct intake_answer intake_ask(struct receive_shared *shared, enum mail_class class,
                                uint64_t announced, bool has_waited);
/* It is larger than was set aside: `needed` bytes more, and `ahead` for what follows where there
 * is room. 0, and `*ret_reserved` are set aside; or -ENOSPC, and `*ret_resource` says why. */
MUST_CHECK int intake_reserve_more(struct receive_shared *shared, enum mail_class class,
                                   uint64_t size_so_far, uint64_t needed, uint64_t ahead,
                                   uint64_t *ret_reserved, uint8_t *ret_resource);
/* A place among the sessions that are delayed, at most `sessions_max` at a time; to be given
 * back. */
bool intake_begin_delay(struct receive_shared *shared, uint32_t sessions_max);
void intake_end_delay(struct receive_shared *shared);

/* Memory of messages under way: half of shared->body_memory_max is taken, or the governor says so;
 * over it, nothing more is let in. */
bool intake_memory_is_short(const struct receive_shared *shared);
bool intake_memory_is_over(const struct receive_shared *shared);
/* Body bytes to gather before they go to the writer. It also sees to it that reads bring no
 * more. */
size_t intake_block(struct receiver *r);
/* Somebody who had `*accounted` bytes of it now has `bytes`. Any thread. */
void intake_account(struct receive_shared *shared, uint64_t *accounted, uint64_t bytes);

#define INTAKE_WORDS_MAX 64
/* "Insufficient system resources (spool-disk)", or as the configuration wants it. */
struct slice intake_words(const struct config *config, uint8_t resource,
                          char text[static INTAKE_WORDS_MAX]);

/* Whether one more refusal may be a line of its own in the log. Those that may not are told as a
 * sum when the interval ends. */
bool intake_may_tell(struct receiver *r, const struct config *config);
void intake_init(struct receiver *r);
void intake_done(struct receiver *r); /* tells the last sum */

/* ---- clients.c ---- */

/* Counts one in the minute before `now_ms` (monotonic); false, and it is not counted: there were
 * `limit` already. Any thread. */
bool client_may(atomic_ullong *word, uint32_t limit, uint64_t now_ms);

/* ---- session.c, welcome.c ---- */

void session_open(struct receiver *r, struct policy *policy, struct stream *stream);
/* 421 and the end; `even_in_message` or only when no message is under way. */
struct session;
void session_stop(struct session *s, bool even_in_message);
struct session *session_of_node(struct list *node);

/* ---- submission.c ---- */

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
    struct list node;             /* in receiver->submissions */
    int64_t since_ms;             /* wall clock */
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
    uint64_t accounted; /* of shared->body_memory */
    struct buf encoded; /* the envelope */
    enum submission_refusal refusal;
    enum mail_class class;
    uint8_t refused_for; /* NO_SPACE, NO_MEMORY: the resource, as struct gate_line has it */
    bool request_is_out, body_is_whole, is_committing, is_encoded, begun;
    struct { /* for the tracking and delivery logs, written when the client may be gone */
        struct policy *policy;
        bool is_internal;
        char server_ip[ADDR_TEXT_MAX];
        char tls_version[16], tls_cipher[48]; /* empty: no TLS */
        uint8_t context_len;
        char context[EXCHANGE_SOURCE_CONTEXT_LEN];
    } origin;
};

/* Takes over `reserved` bytes of the spool; NULL: no memory, and they are still the caller's. */
struct submission *submission_new(struct receiver *r, struct session *session,
                                  enum mail_class class, uint64_t reserved);
/* Before the commit: gives back everything; a request that is out is waited for first. */
void submission_abort(struct submission **sub);

MUST_CHECK int submission_set_sender(struct submission *sub, const struct smtp_mail *mail);
/* 0, -ENOMEM; -ENOBUFS: no more recipients while memory is so short; -E2BIG: no envelope holds more
 * recipients, or more of such long addresses. */
MUST_CHECK int submission_add_recipient(struct submission *sub, const struct smtp_rcpt *rcpt,
                                        struct slice hostname);
/* Its first recipient's address; valid until the next is added. */
struct slice submission_only_recipient(const struct submission *sub);
/* For logs and reports; valid until the next address is added. */
struct slice submission_sender(const struct submission *sub);
/* Body bytes. False: take no more until session_resume_body(). */
bool submission_body(struct submission *sub, struct slice body);
/* The body is whole: commit it. 0: the answer comes by session_committed(), never before this
 * returned. Negative: the message is refused, and the caller aborts it. */
MUST_CHECK int submission_commit(struct submission *sub, struct slice client_ip, struct slice helo,
                                 struct slice listener_name);
/* Frees buffers that are empty; the bytes. */
size_t submission_relieve(struct submission *sub);
/* Fills what a report says of it. */
void submission_describe(const struct submission *sub, struct receive_holder *ret);

/* ---- track.c ---- */

/* A message was let in: its origin, and the protocol log's line. */
void track_begin(struct submission *sub, struct policy *policy, bool is_internal,
                 struct stream *stream, struct protocol_log *log, uint32_t number);
/* It is durable: RECEIVE, and `received` in the delivery log. */
void track_received(const struct submission *sub);

/* session.c, called by submission.c */
void session_resume_body(struct session *s);
/* Frees what it can do without; the bytes. */
size_t session_relieve(struct session *s);
/* `sub` is gone for the session when it returns. */
void session_committed(struct session *s, int result, const struct submission *sub);
/* The client's IP address. */
struct slice session_client(const struct session *s);
