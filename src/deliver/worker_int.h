/*
 * deliver/worker_int.h - private to the workers: worker.c (jobs: finding hosts, connections, one
 * entry after another), conn.c (one connection) and transaction.c (one entry's mail and results).
 */
#pragma once

#include "base/err.h"
#include "base/list.h"
#include "base/rand.h"
#include "config/config.h"
#include "deliver/attempt.h"
#include "deliver/mx.h"
#include "deliver/queue.h"
#include "deliver/worker.h"
#include "event/exchange_log.h"
#include "io/addr.h"
#include "io/loop.h"
#include "io/resolver.h"
#include "io/stream.h"
#include "message/header.h"
#include "smtp/client.h"

struct conn;
struct run;

struct worker {
    struct worker_seams seams;
    const struct config *config;
    struct tls_config *tls;
    struct resolver *resolver; /* made with the first lookup */
    struct resolver *flushed;  /* gone when its last query is answered */
    struct rand rand;
    struct list runs;
    struct list idle;    /* connections without a run, the longest idle first */
    struct list leaving; /* connections that said QUIT */
    size_t run_count, conn_count, idle_count;
    bool stopping, flush_due; /* of DNS */
};

/* ---- transaction.c: one entry ---- */

struct transaction {
    struct worker *worker;
    struct job_entry *entry;
    const struct config *config;
    struct slice destination;

    struct buf envelope_bytes, marks;
    struct envelope envelope;
    struct recipient *recipients; /* of the envelope */
    size_t recipients_room;
    struct spool_reader reader;
    bool is_open;

    struct smtp_recipient *to; /* this entry's, all batches */
    uint32_t *indices;         /* of `to` in the envelope */
    size_t to_room, to_count;
    size_t batch_from, batch_count;
    struct smtp_transaction smtp;
    uint8_t *chunk; /* SPOOL_EXTENT_MAX bytes, made with the first body that needs it */

    struct attempt_details *details;
    size_t delivered, deferred, failed;
    bool all_pending_are_ours, host_made_dsn, is_damaged;
    bool is_settled_here; /* no host was asked: DNS says no, or a route discards */
    enum smtp_outcome settled;

    bool has_looked, has_ahead;
    ptrdiff_t ahead;         /* bytes of `chunk` that the machine did not have yet, or an error */
    struct header_scan scan; /* of the body's beginning, once it was looked at */
    struct {                 /* the last connection, for the tracking log */
        uint64_t session;
        char local_ip[ADDR_TEXT_MAX], peer_ip[ADDR_TEXT_MAX], host[DNS_NAME_MAX + 3];
    } via;
    struct attempt_told told;
    struct {
        uint8_t *which; /* of `to`: not 0 where it was too many for the host in this batch */
        size_t count, delivered_before;
        size_t batch_max; /* recipients the host took at a time; 0: not known */
        uint16_t code;
        struct smtp_enhanced enhanced;
        enum smtp_phase phase;
        enum reply_class klass;
        size_t reply_at; /* where the host's words begin in `text` */
        char text[256];
    } apart;
    struct buf held; /* of the delivery log: lines of those deferred (event/delivery.h) */
    char host[320];  /* "mx.example.org[192.0.2.1]", for texts and logs */
    uint16_t last_code;
    char last_text[256];
};

void transaction_init(struct transaction *t, struct worker *w);
void transaction_done(struct transaction *t);

/*
 * Reads the entry's message and picks its recipients. 0; negative: it was told to the queue
 * (gone, damaged, not readable now, on the suppression list) and the entry is over.
 */
MUST_CHECK int transaction_open(struct transaction *t, struct job *job, struct job_entry *entry);
/* Before a host is looked for: true when some of its recipients are on the suppression list, and the
 * entry is the queue's again. Else nothing was done. */
MUST_CHECK bool transaction_is_suppressed(struct transaction *t, struct job *job,
                                          struct job_entry *entry);
/* Whether recipients are left that were in no batch yet. */
bool transaction_has_more(const struct transaction *t);
/* The next batch of them, at most `max` (1 or more). */
void transaction_next_batch(struct transaction *t, size_t max);
/*
 * The present batch has its results. Recipients that were too many for one transaction (452 4.5.3)
 * are the next ones again where the host took others of this batch, and deferred where not.
 */
void transaction_batch_done(struct transaction *t);
/* The present batch was not sent after all: its recipients are the next ones again. */
void transaction_take_back(struct transaction *t);
/* The peer will make reports itself (it offers DSN). */
void transaction_set_host(struct transaction *t, const char *host, const struct addr *addr,
                          bool makes_dsn);
void transaction_result(struct transaction *t, size_t batch_index, const struct smtp_result *r);
/* One result for every recipient after the present batch (all, before the first batch), with a
 * text and a class of ours. */
void transaction_fail_all(struct transaction *t, enum smtp_outcome outcome, uint16_t code,
                          enum reply_class klass, struct slice text);
/* Body bytes for the machine, which wants `left` more: >0, 0 at the end, negative: the spool cannot
 * give them (-ERR_DAMAGED also when they are not as many as the envelope says). */
MUST_CHECK ptrdiff_t transaction_body(struct transaction *t, uint64_t left, struct slice *ret);
/* Reads the body's beginning, where that was not done, for Message-ID and Subject in `scan`; they
 * stay empty where it cannot be read. */
void transaction_look(struct transaction *t);
/* Every recipient has its result: posts the entry back to the queue. `t` may be opened again. */
void transaction_close(struct transaction *t);
/* The server stops: posts it back as not tried, or with what is known so far. */
void transaction_abandon(struct transaction *t);
/* Posts an entry back that was not tried. */
void entry_not_made(struct worker *w, struct job_entry *entry);

/* ---- conn.c: one connection ---- */

struct conn {
    struct list node; /* in idle or leaving */
    struct worker *worker;
    struct run *run; /* NULL: idle or leaving */
    const struct config *config;
    const struct config_source *source; /* of `config` */
    struct stream *stream;
    struct smtp_client smtp;
    struct smtp_client_config smtp_config;
    struct buf out;
    struct loop_timer timer;
    struct addr peer;
    char name[JOB_NAME_MAX];     /* the destination */
    char host[DNS_NAME_MAX + 3]; /* for SNI and logs */
    uint32_t messages;           /* begun on it */
    bool is_up;                  /* the network's part is done */
    bool connected, in_machine, is_idle, is_leaving, was_stale;
    bool batch_is_over, batch_was_lost; /* all results are in; the connection broke in it */
    struct transaction *transaction;    /* under way */
    struct {                            /* where the machine was when the timer was started */
        enum smtp_phase phase;
        uint32_t replies;
        uint64_t body_left;
    } timed;
    struct { /* conn_log.c */
        struct protocol_log log;
        const char *closed_by;
        uint64_t messages, bytes; /* that the host took */
        size_t delivered_before;
        char connector[EXCHANGE_CONNECTOR_MAX];
        char last_error[256];
    } record;
};

/* Starts to connect; run_connected() or run_connect_failed() follows. 0 or the error. */
MUST_CHECK int conn_open(struct run *run, const struct addr *peer, const char *host, bool use_tls,
                         bool lmtp, struct conn **ret);
/* Where the run's mail is sent from. */
const struct config_source *run_source(const struct run *run);
/* An idle connection to that destination from that source; it belongs to `run` now. NULL: there is none. */
struct conn *conn_take_idle(struct worker *w, struct run *run, const char *name);
/* Sends the transaction's present batch; run_batch_done() follows. False: it does not, since the
 * host's limits settled the batch at once and the connection is ready for another. */
MUST_CHECK bool conn_send(struct conn *c, struct transaction *t);
/* The run is over: keep it idle for a while, or say QUIT. */
void conn_leave(struct conn *c);
void conn_quit(struct conn *c);
/* Closes at once, with results for what is outstanding (the run is called). */
void conn_break(struct conn *c, int err);
/* The bytes that it holds in buffers of its own. */
size_t conn_memory(const struct conn *c);
/* It has carried delivery.messages_per_connection_max messages. */
bool conn_is_used_up(const struct conn *c);

/* ---- worker.c: one job under way; called by conn.c ---- */

#define RUN_LOOKUPS_MAX (2 * MX_HOSTS_MAX + 1)

struct run {
    struct list node;
    struct worker *worker;
    struct job *job;
    uint32_t at, count; /* the entry under way, of how many */
    struct conn *conn;
    struct transaction transaction; /* is_open while the entry at `at` is under way */
    bool retried_batch;             /* once on a fresh connection: the idle one was dead */
    bool is_lmtp;
    bool has_provider;         /* was looked for */
    bool has_tried;            /* a host, in vain: each was an attempt */
    struct attempt_told tried; /* the last of them */
    bool plain_only;           /* the host being tried failed in TLS, and TLS is opportunistic */

    struct mx *mx; /* while looking for a host */
    struct mx_config mx_config;
    struct slice own_name;
    struct mx_step step; /* the host being tried */
    struct lookup {
        struct run *run;
        struct query *query;
        uint32_t number;
        uint16_t type;
    } lookups[RUN_LOOKUPS_MAX];
    char last_error[512];
    uint16_t last_code;
    uint64_t session; /* of the connectivity log, until a connection has it; 0: none has begun */
};

/* ---- conn_log.c: protocol log and connectivity log; called at the events they name ---- */

void run_log_begin(struct run *run); /* a host is looked for, or tried; once a session */
void run_log_dns(struct run *run, uint16_t type, const struct dns_answer *answer);
/* Where no connection took the session over. `status` NULL: nothing is wrong. */
void run_log_end(struct run *run, const char *status, const char *why);
void conn_log_open(struct conn *c, uint64_t session);
void conn_log_connected(struct conn *c);
void conn_log_not_connected(struct conn *c, int err);
void conn_log_sending(struct conn *c, struct transaction *t);
void conn_log_result(struct conn *c, const struct smtp_result *r);
void conn_log_sent(struct conn *c); /* the transaction's results are in */
void conn_log_close(struct conn *c);

/* ---- worker.c again ---- */

void run_connected(struct run *run); /* ready for a transaction */
void run_connect_failed(struct run *run, const char *why, uint16_t code, bool in_tls);
/* All results of conn_send() are in; `lost`: they say how the connection broke. */
void run_batch_done(struct run *run, bool lost);
/* The connection went between transactions, or was found dead at the start of one. */
void run_conn_lost(struct run *run);
