/*
 * tests/sim/sim.h - a world under one seed, around the real server.
 *
 * The server's own modules (receive, deliver, schedule, spool, smtp, message) are linked unchanged;
 * what they reach the world through (clocks, loops, timers, mailboxes, threads, streams, DNS,
 * files) is defined here instead of in base/ and io/, with the same headers. So one thread runs it
 * all, one small event after another, in an order that the seed decides:
 *
 *     machine.c   clocks, loops, timers, mailboxes, threads (as fibers)
 *     network.c   connections, listeners, DNS; cuts, refusals, slow and torn delivery of bytes
 *     disk.c      the server's disk: faults, and the moment of a power cut
 *     server.c    the server, put together from its modules, started, stopped, crashed
 *     ledger.c    what was promised for each message, and what became of it
 *     people.c    the clients that submit mail, the hosts that get it
 *     sim_test.c  histories
 *
 * Everything is global: there is one world at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/rand.h"
#include "base/slice.h"

struct addr;
struct buf;
struct fs;
struct loop;
struct mailbox;
struct stream;

/* ---- machine.c ---- */

void sim_begin(uint64_t seed);
void sim_end(void); /* everything was closed */
/* One event. False: nothing is left that could ever happen. */
bool sim_step(void);
uint64_t sim_now_ms(void);
/* The wall clock jumps. */
void sim_jump_wall(int64_t by_ms);
void sim_pass_time(uint64_t ms);

uint64_t sim_below(uint64_t bound);
bool sim_chance(uint32_t one_in); /* 0: never */
/* Something happened on it: what loop_on_turn() set follows. */
void sim_loop_turned(struct loop *loop);
bool sim_mailbox_is_empty(const struct mailbox *mb);
/* Prints when PENSTOCK_SIM_TRACE is set. */
void sim_trace(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* What may happen next, collected anew for each step. */
struct candidates {
    size_t count;
    struct candidate {
        void (*run)(void *object);
        void *object;
    } list[1024];
};
void candidate_add(struct candidates *c, void (*run)(void *object), void *object);

/* ---- network.c ---- */

void network_candidates(struct candidates *c);
void network_sweep(void);
/* Chances, as "one in": 0 never. */
struct network_faults {
    uint32_t connect, dns, cut;
};
void network_set_faults(const struct network_faults *f);
/* Streams and listeners of this loop are the server's. */
void network_server_dies(struct loop *loop);
bool network_is_quiet(void); /* no stream is left */
/* Of what the owner of `s` wrote, how many bytes in all, and how many the other side has taken. */
uint64_t stream_sent_bytes(const struct stream *s);
uint64_t stream_taken_bytes(const struct stream *s);
/* The names "dN.example", but for DOMAIN_GONE, lead to this address, port 25. */
#define NETWORK_HOST(n) (0x0a010000u + (uint32_t)(n))

/* ---- ledger.c ---- */

#define LEDGER_RECIPIENTS 3
#define LEDGER_MAILS 400

/* What its client knows of one recipient of one mail. */
enum told {
    TOLD_NOTHING, /* never sent whole */
    TOLD_YES,     /* 250: it was promised */
    TOLD_NO,      /* 4xx or 5xx */
    TOLD_UNKNOWN, /* the connection was lost after the body */
};

struct fate {
    unsigned domain;
    enum told told;
    uint32_t arrivals, allowed; /* allowed grows when nobody can know whether it arrived */
    uint32_t settled;           /* arrivals that the server has durably recorded */
    uint32_t reports;           /* of failure, arrived at the sender's */
    bool was_refused;           /* by its host, for good */
};

struct mail {
    uint32_t number;
    bool has_sender;
    size_t recipient_count;
    struct fate fates[LEDGER_RECIPIENTS];
};

#define DOMAIN_SENDERS 0 /* where reports go; refuses nothing for good */
#define DOMAIN_HOSTS 5   /* domains 0..4 have a host */
#define DOMAIN_DEAD 5    /* its host never answers */
#define DOMAIN_GONE 6    /* does not exist */
#define DOMAINS 7

void ledger_begin(void);
struct mail *ledger_new_mail(void); /* NULL: enough for one history */
/* The mail as its client sends it; the same for every call. */
void ledger_compose(const struct mail *m, struct buf *to);
void ledger_sender(const struct mail *m, struct buf *to);
void ledger_recipient(const struct mail *m, size_t index, struct buf *to);
/* Reads what ledger_recipient() wrote. NULL: it did not. */
struct fate *ledger_find(struct slice address, struct mail **ret_mail);
/* `body` arrived at the host of that recipient. Returns which arrival it was, 0: not ours. */
uint32_t ledger_arrived(struct slice recipient, struct slice body);
/* The host's 250 for that arrival may not have reached the server. */
void ledger_arrival_is_unknown(struct slice recipient, uint32_t arrival);
/* A message without sender arrived at the senders' host. */
void ledger_report_arrived(struct slice body);
/* The server crashed, or it stopped: it lost what it had not made durable. */
void ledger_server_ended(void);
/* Chance, one in: the spool has no room for a mark or a removal. */
void ledger_set_refusals(uint32_t one_in);
/*
 * The spool has found its own books damaged and told so: both checkpoints at once. That takes a
 * failed sync, a restart in the same boot that finds in the page cache what is not on the disk, and
 * a power cut after the other checkpoint was begun. Nothing is lost then, but removals are undone.
 */
void ledger_records_lost(void);
/* Everything has drained: what is wrong, in sentences. Returns how many. */
unsigned ledger_check(struct buf *ret_wrong);

struct ledger_figures {
    unsigned mails, promised, refused, unknown, arrived, twice, reports;
    unsigned kept; /* records refused for want of room */
};
void ledger_sum(struct ledger_figures *ret);

/* ---- people.c ---- */

/* Hosts begin to listen; clients come by people_submit(). */
void people_begin(void);
void people_end(void);
/* A client connects to the server and submits a few mails. */
void people_submit(const struct addr *server);
size_t people_clients(void);
/* How the hosts behave from now on: chances, one in. */
struct host_mood {
    uint32_t defer, refuse; /* a command: 4xx, 5xx */
    uint32_t close;         /* the connection, at a command */
    uint32_t hang;          /* after the body, the mail taken */
    uint32_t leave;         /* a client aborts its session, at a reply */
};
void people_set_mood(const struct host_mood *m);

/* ---- disk.c ---- */

struct disk_faults { /* chances, one in */
    uint32_t read, write, sync, sync_dir;
    uint64_t capacity_bytes;
    uint64_t filler_bytes; /* that somebody else has on it */
};
void disk_begin(void); /* empty */
void disk_end(void);   /* every file was closed */
struct fs *disk_fs(void);
void disk_set_faults(const struct disk_faults *f);
/* No read fails for now. */
void disk_set_reads_good(bool good);
/* The power goes with the operation number `in` from now: it and all later ones fail with -EIO,
 * and fn(ctx) is called at that moment. UINT64_MAX: it does not. */
void disk_cut_power(uint64_t in, void (*fn)(void *ctx), void *ctx);
/* The power is back: of what was not durable some is there, some not, some torn or garbled. */
void disk_restore_power(void);
uint64_t disk_used_bytes(void);

/* ---- server.c ---- */

/* Reads the server's configuration, once for all histories. */
void server_configure(void);
void server_unconfigure(void);
/* Opens spool, queue, listeners. 0, or the error of what could not be opened (everything is closed
 * again then). */
MUST_CHECK int server_start(void);
bool server_is_running(void);
const struct addr *server_address(void);
/* Ends it in order. */
void server_stop(void);
/* The power goes at the disk operation number `in` from now (0: at the next): nothing that the
 * server does from then on reaches disk or network. */
void server_cut_power(uint64_t in);
bool server_is_dead(void);
/* After its death: takes the dead server apart, and the power is back. */
void server_bury(void);
/* The operator retries, holds or releases the mail of some domain. */
void server_operate(void);
void server_release_all(void);
/* New settings, the same as before: everything is filed anew. */
void server_reload(void);
/* Entries in the schedule. */
uint64_t server_queued(void);
/* Nothing is under way in it. */
bool server_is_idle(void);

struct server_figures {
    uint64_t messages, damaged; /* in the spool */
    bool failed;
};
void server_get_figures(struct server_figures *ret);
