/*
 * deliver/worker_test.c - queue, worker, connections and transactions over real sockets in one
 * loop, against a peer that answers by the book except where a test tells it not to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deliver/deliver_kit.h"
#include "deliver/worker.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "io/stream.h"
#include "io/tls.h"

#define TURN_MS 20
#define TURNS_MAX 1500
#define RECIPIENTS_MAX 600
#define HOUR_MS 3600000

enum phase { GREETING, HELLO, STARTTLS, MAIL, RCPT, DATA, DOT, PHASES };
static const char *const phase_names[] = {"greeting", "hello", "starttls", "mail",
                                          "rcpt",     "data",  "dot"};

#define CLOSE "close"
#define HANG "hang"

struct world {
    struct kit k; /* first: dispatch() gets it */
    struct loop *loop;
    struct mailbox *queue_box, *worker_box;
    struct worker *worker;
    struct loop_timer tick;
    /* The peer: */
    struct listener *listener;
    struct addr at;
    const char *extensions, *reply; /* of EHLO, after the first line; what is said in `phase` */
    enum phase phase;
    unsigned from_connection, nth; /* `reply` from this connection on, at the nth time of each */
    bool lmtp, refuses_all;
    unsigned connections, open;
    struct list peers;
    unsigned got[RECIPIENTS_MAX]; /* whole messages by recipient: "x17@..." */
    size_t last_body;
};

struct peer {
    struct list node;
    struct world *w;
    struct stream *stream;
    struct buf in;
    unsigned number, count[PHASES];
    bool in_body, is_hung, has_mail;
    uint64_t chunk_left, chunk_got;
    bool in_chunk;
    uint64_t accepted[RECIPIENTS_MAX];
    size_t accepted_count, offered;
};

/* ---- the peer ---- */

static void peer_free(struct peer *p)
{
    list_del(&p->node);
    p->w->open--;
    stream_close(&p->stream);
    buf_done(&p->in);
    free(p);
}

static bool send_text(struct peer *p, const char *text)
{
    return stream_write(p->stream, slice_str(text)) >= 0;
}

/* Says the usual, or what the test wants. False: the peer is gone, or says nothing any more. */
static bool say(struct peer *p, enum phase phase, const char *usual)
{
    struct world *w = p->w;
    bool now = w->reply && w->phase == phase && p->number >= w->from_connection &&
               (w->nth == 0 || ++p->count[phase] == w->nth);

    if (!now)
        return send_text(p, usual);
    if (strcmp(w->reply, HANG) == 0) {
        p->is_hung = true;
        return false;
    }
    if (strcmp(w->reply, CLOSE) == 0) {
        peer_free(p);
        return false;
    }
    return send_text(p, w->reply);
}

static bool begins(struct slice line, const char *verb)
{
    return slice_has_prefix_case(line, slice_str(verb));
}

static void take_rcpt(struct peer *p, struct slice line)
{
    struct slice address = slice_from(line, sizeof("RCPT TO:<") - 1);
    uint64_t n;

    if (!p->has_mail) {
        (void)send_text(p, "503 5.5.1 no MAIL\r\n");
    } else if (begins(address, "no")) {
        (void)say(p, RCPT, "550 5.1.1 nobody\r\n");
    } else if (begins(address, "later")) {
        (void)say(p, RCPT, "451 4.2.0 later\r\n");
    } else {
        bool usual = !p->w->reply || p->w->phase != RCPT || p->number < p->w->from_connection;

        address = slice_sub(slice_from(address, 1), 0, (size_t)slice_find(address, '@') - 1);
        assert_int_equal(slice_to_u64(address, RECIPIENTS_MAX - 1, &n), 0);
        if (usual)
            p->accepted[p->accepted_count++] = n;
        (void)say(p, RCPT, "250 ok\r\n");
    }
}

static void take_message(struct peer *p)
{
    struct world *w = p->w;
    size_t count = p->accepted_count;
    uint64_t accepted[RECIPIENTS_MAX];
    bool usual = !w->reply || w->phase != DOT || p->number < w->from_connection;

    memcpy(accepted, p->accepted, count * sizeof(accepted[0]));
    p->accepted_count = 0;
    for (size_t i = 0; i < (w->lmtp ? count : 1); i++) {
        if (!say(p, DOT, w->lmtp && accepted[i] % 2 ? "452 4.2.2 full\r\n" : "250 taken\r\n"))
            return;
        for (size_t j = 0; usual && !w->lmtp && j < count; j++)
            w->got[accepted[j]]++;
        if (usual && w->lmtp && accepted[i] % 2 == 0)
            w->got[accepted[i]]++;
    }
}

static void take_command(struct peer *p, struct slice line)
{
    char text[400];

    if (begins(line, "EHLO") || begins(line, "LHLO") || begins(line, "HELO")) {
        (void)snprintf(text, sizeof(text), "%s", p->w->extensions);
        (void)say(p, HELLO, begins(line, "HELO") ? "250 peer.example\r\n" : text);
    } else if (begins(line, "STARTTLS")) {
        (void)say(p, STARTTLS, "220 go\r\n");
    } else if (begins(line, "MAIL")) {
        p->accepted_count = 0;
        p->has_mail =
            !p->w->reply || p->w->phase != MAIL || p->w->nth || p->number < p->w->from_connection;
        (void)say(p, MAIL, "250 ok\r\n");
    } else if (begins(line, "RCPT")) {
        take_rcpt(p, line);
    } else if (begins(line, "DATA")) {
        p->in_body = p->accepted_count > 0 &&
                     !(p->w->reply && p->w->phase == DATA && p->number >= p->w->from_connection);
        (void)say(p, DATA, p->accepted_count ? "354 go\r\n" : "554 no recipients\r\n");
    } else if (begins(line, "RSET")) {
        (void)send_text(p, "250 ok\r\n");
    } else if (begins(line, "QUIT")) {
        (void)send_text(p, "221 bye\r\n");
        peer_free(p);
    } else {
        (void)send_text(p, "500 what\r\n");
    }
}

static void take_chunk(struct peer *p, struct slice line)
{
    struct slice size = slice_from(line, 5);

    size = slice_sub(size, 0, (size_t)MAX_OF(slice_find(size, ' '), 0));
    assert_int_equal(slice_to_u64(size, UINT64_MAX, &p->chunk_left), 0);
    p->in_chunk = true;
    p->chunk_got = 0;
}

/* One step through what came. False: more is needed. */
static bool step_peer(struct peer *p)
{
    struct slice in = buf_slice(&p->in);
    static const char end[] = "\r\n.\r\n";
    ptrdiff_t at;

    if (p->in_chunk) {
        uint64_t n = MIN_OF(p->chunk_left, in.len);

        buf_consume(&p->in, n);
        p->chunk_got += n;
        p->chunk_left -= n;
        if (p->chunk_left > 0)
            return false;
        p->in_chunk = false;
        p->w->last_body = p->chunk_got;
        if (p->accepted_count)
            take_message(p);
        else
            (void)say(p, DOT, "503 no recipients\r\n");
        return true;
    }
    if (p->in_body) {
        at = slice_find_slice(in, slice_str(end));
        if (at < 0)
            return false;
        p->in_body = false;
        p->w->last_body = (size_t)at + 2;
        buf_consume(&p->in, (size_t)at + sizeof(end) - 1);
        take_message(p);
        return true;
    }
    at = slice_find(in, '\n');
    if (at < 0)
        return false;
    if (begins(in, "BDAT")) {
        take_chunk(p, slice_sub(in, 0, (size_t)at));
        buf_consume(&p->in, (size_t)at + 1);
        return true;
    }
    in = slice_sub(in, 0, (size_t)at + 1);
    {
        uint8_t line[2048];

        assert_true(in.len < sizeof(line));
        memcpy(line, in.ptr, in.len);
        buf_consume(&p->in, in.len);
        take_command(p, slice_make(line, in.len));
    }
    return true;
}

static bool is_alive(struct world *w, struct peer *peer, unsigned number)
{
    LIST_FOR(node, &w->peers)
    if (LIST_ENTRY(node, struct peer, node) == peer && peer->number == number)
        return !peer->is_hung;
    return false;
}

static void peer_data(void *ctx, struct slice data)
{
    struct peer *p = ctx;
    struct world *w = p->w;
    unsigned number = p->number;

    assert_int_equal(buf_add(&p->in, data), 0);
    while (is_alive(w, p, number) && step_peer(p))
        ;
}

static void peer_end(void *ctx, int err)
{
    (void)err;
    peer_free(ctx);
}

static const struct stream_handler peer_handler = {.on_data = peer_data, .on_end = peer_end};

static void peer_accept(void *ctx, struct stream *s)
{
    struct world *w = ctx;
    struct peer *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    p->w = w;
    p->stream = s;
    p->number = ++w->connections;
    w->open++;
    buf_init(&p->in, MIB(8));
    list_add_tail(&w->peers, &p->node);
    stream_set_handler(s, &peer_handler, p);
    if (w->refuses_all)
        peer_free(p);
    else
        (void)say(p, GREETING, "220 peer.example\r\n");
}

/* ---- the world ---- */

static void dispatch(void *ctx, struct job *job)
{
    struct world *w = ctx;

    job->parcel.deliver = worker_job;
    mailbox_post(w->worker_box, &job->parcel);
}

static void on_tick(struct loop_timer *t)
{
    loop_timer_start(t, TURN_MS);
}

static void turn(struct world *w)
{
    (void)queue_run(w->k.q);
    loop_turn(w->loop, true);
    mailbox_nudge(w->queue_box);
    kit_serve(&w->k);
}

/* How long a message may take to be taken; megabytes do, in a build with sanitizers. */
static const char *data_end = "100ms";

static struct config *world_config(struct world *w, const char *more)
{
    char text[2000];

    (void)snprintf(
        text, sizeof(text),
        "server: {hostname: test.example}\n"
        "delivery:\n"
        "  smart_host: \"%s127.0.0.1:%u\"\n"
        "  routes: [{domain: back.example, to: discard}]\n"
        "  connections_max: 4\n"
        "  time_outs: {connect: 5s, greeting: 100ms, tls: 100ms, ehlo: 100ms, mail: 100ms,"
        " rcpt: 100ms, data: 100ms, block: 5s, data_end: %s, quit: 100ms}\n"
        "%s"
        "retry: {initial_retry: 10m, next_retry: 20m, max_queue_time: 2d}\n",
        w->lmtp ? "lmtp:" : "", addr_port(&w->at), data_end, more);
    return kit_config(text);
}

static void listen_again(struct world *w)
{
    assert_int_equal(listener_open(w->loop, &w->at, 16, NULL, peer_accept, w, &w->listener), 0);
    w->at = *listener_addr(w->listener);
}

static void setup(struct world *w, bool lmtp, bool tls, const char *more)
{
    struct tls_config *client = NULL;
    struct buf why = BUF_INIT(4096);
    struct worker_seams seams;
    struct config *config;

    *w = (struct world){.lmtp = lmtp, .extensions = "250 peer.example\r\n"};
    list_init(&w->peers);
    assert_int_equal(loop_new(&w->loop), 0);
    assert_int_equal(addr_parse(SLICE_LIT("127.0.0.1:0"), 0, &w->at, NULL), 0);
    listen_again(w);
    config = world_config(w, more);
    kit_init(&w->k, 1, config, dispatch);
    if (tls)
        assert_int_equal(tls_config_new_client(false, NULL, &client, &why), 0);
    assert_int_equal(mailbox_new_on_loop(&w->queue_box, w->loop, w), 0);
    seams =
        (struct worker_seams){.loop = w->loop, .spool = w->k.sp, .queue = w->queue_box, .seed = 1};
    assert_int_equal(worker_new(&w->worker, &seams, config, client), 0);
    assert_int_equal(mailbox_new_on_loop(&w->worker_box, w->loop, w->worker), 0);
    tls_config_unref(&client);
    loop_timer_init(&w->tick, w->loop, on_tick);
    loop_timer_start(&w->tick, TURN_MS);
    buf_done(&why);
}

static bool is_quiet(struct world *w)
{
    struct schedule_totals totals;

    schedule_get_totals(queue_schedule(w->k.q), &totals);
    return totals.ready == 0 && totals.active == 0 && queue_is_idle(w->k.q);
}

/* Until nobody has anything to do but wait for the next attempt. */
static void settle(struct world *w)
{
    unsigned turns = 0;

    do {
        turn(w);
        assert_true(++turns < TURNS_MAX);
    } while (!is_quiet(w));
}

static void teardown(struct world *w)
{
    unsigned turns = 0;

    queue_stop(w->k.q);
    worker_stop(w->worker);
    while (!queue_is_idle(w->k.q) || worker_busy(w->worker) > 0) {
        turn(w);
        if (++turns == 100)
            worker_stop_now(w->worker);
        assert_true(turns < TURNS_MAX);
    }
    worker_free(&w->worker);
    LIST_FOR_SAFE(node, next, &w->peers)
    peer_free(LIST_ENTRY(node, struct peer, node));
    listener_close(&w->listener);
    loop_timer_stop(&w->tick);
    mailbox_free(&w->queue_box);
    mailbox_free(&w->worker_box);
    for (int i = 0; i < 5; i++)
        loop_turn(w->loop, false);
    loop_free(&w->loop);
    kit_done(&w->k);
}

/* Submits a message to "x0".."x(n-1)" from `first` on, or to `names`. */
static uint64_t submit(struct world *w, size_t first, size_t count, const char *const *names,
                       struct slice body)
{
    static char texts[RECIPIENTS_MAX][40];
    static struct recipient recipients[RECIPIENTS_MAX];
    struct envelope e = {.recipients = recipients, .recipient_count = count};

    for (size_t i = 0; i < count; i++) {
        if (names)
            (void)snprintf(texts[i], sizeof(texts[i]), "%s@far.example", names[i]);
        else
            (void)snprintf(texts[i], sizeof(texts[i]), "x%zu@far.example", first + i);
        recipients[i] = (struct recipient){.address = slice_str(texts[i])};
    }
    return kit_submit(&w->k, &e, body);
}

static uint64_t submit_one(struct world *w, size_t index)
{
    return submit(w, index, 1, NULL, SLICE_LIT("Subject: x\r\n\r\nhello\r\n"));
}

static void read_state(struct world *w, uint64_t id, size_t index, enum recipient_state state,
                       unsigned code)
{
    struct queue_message m;

    assert_int_equal(queue_read_message(w->k.q, id, &m), 0);
    assert_int_equal(m.envelope.recipients[index].state, state);
    assert_int_equal(m.envelope.recipients[index].last_code, code);
    queue_message_done(&m);
}

/* ---- tests ---- */

static const char *const offers[] = {
    "250-peer.example\r\n250 SIZE 1000000\r\n",
    "250-peer.example\r\n250-SIZE 1000000\r\n250 PIPELINING\r\n",
    "250-peer.example\r\n250-PIPELINING\r\n250-DSN\r\n250 CHUNKING\r\n",
};

/* What the peer does once, at one place, to one message; then it behaves, and the mail arrives. */
static void try_misbehaviour(enum phase phase, const char *offer, const char *reply, bool fails,
                             unsigned code)
{
    struct world w;
    uint64_t id;

    setup(&w, false, false, "");
    w.extensions = offer;
    w.reply = reply;
    w.phase = phase;
    id = submit_one(&w, 1);
    settle(&w);
    assert_int_equal(w.got[1], 0);
    if (fails) {
        assert_int_equal(kit_messages(&w.k), 0);
    } else {
        read_state(&w, id, 0, RECIPIENT_PENDING, code);
        w.reply = NULL;
        w.k.now_ms += HOUR_MS;
        settle(&w);
        assert_int_equal(w.got[1], 1);
        assert_int_equal(kit_messages(&w.k), 0);
    }
    teardown(&w);
}

static void test_every_reply_everywhere(void **state)
{
    static const struct {
        const char *reply;
        bool fails;    /* from MAIL on */
        unsigned code; /* that the recipient keeps */
    } replies[] = {
        {CLOSE, false, 0},
        {HANG, false, 0},
        {"garbage\r\n", false, 0},
        {"250\n250 bare\n", false, 0},
        {"421 4.3.2 going down\r\n", false, 421},
        {"451 4.3.0 not now\r\n", false, 451},
        {"550-5.7.1 never\r\n550 5.7.1 at all\r\n", true, 550},
    };

    (void)state;
    for (size_t o = 0; o < ARRAY_SIZE(offers); o++)
        for (enum phase phase = GREETING; phase < PHASES; phase++)
            for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
                bool fails = replies[i].fails && phase >= MAIL;

                if (phase == STARTTLS || (phase == DATA && o == 2))
                    continue; /* not said */
                if (phase == HELLO && replies[i].fails)
                    continue; /* HELO follows */
                print_message("# %s, reply %zu, offer %zu\n", phase_names[phase], i, o);
                try_misbehaviour(phase, offers[o], replies[i].reply, fails, replies[i].code);
            }
}

static void test_helo_after_refused_ehlo(void **state)
{
    struct world w;

    (void)state;
    setup(&w, false, false, "");
    w.reply = "502 5.5.1 no\r\n";
    w.phase = HELLO;
    w.nth = 1;
    (void)submit_one(&w, 1);
    settle(&w);
    assert_int_equal(w.got[1], 1);
    teardown(&w);
}

static void test_mixed_recipients(void **state)
{
    static const char *const names[] = {"x0", "no1", "later2", "x3", "no4", "later5"};

    (void)state;
    for (size_t o = 0; o < ARRAY_SIZE(offers); o++) {
        struct world w;
        uint64_t id;

        setup(&w, false, false, "");
        w.extensions = offers[o];
        id = submit(&w, 0, ARRAY_SIZE(names), names, SLICE_LIT("Subject: x\r\n\r\nx\r\n"));
        settle(&w);
        read_state(&w, id, 0, o == 2 ? RECIPIENT_DELIVERED : RECIPIENT_RELAYED, 250);
        read_state(&w, id, 1, RECIPIENT_FAILED, 550);
        read_state(&w, id, 2, RECIPIENT_PENDING, 451);
        w.k.now_ms += HOUR_MS;
        settle(&w);
        assert_int_equal(w.got[0], 1);
        assert_int_equal(w.got[3], 1);
        teardown(&w);
    }
}

static void test_reuse_and_limits(void **state)
{
    struct world w;

    (void)state;
    setup(&w, false, false,
          "  messages_per_connection_max: 2\n  connections_per_destination_max: 1\n"
          "  connection_idle: 10s\n");
    for (size_t i = 0; i < 5; i++)
        (void)submit_one(&w, i);
    settle(&w);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(w.got[i], 1);
    assert_int_equal(w.connections, 3);
    (void)submit_one(&w, 5); /* the third waits idle, with room for one more */
    settle(&w);
    assert_int_equal(w.got[5], 1);
    assert_int_equal(w.connections, 3);
    teardown(&w);
}

static void test_idle_connections_are_given_back(void **state)
{
    struct world w;

    (void)state;
    setup(&w, false, false, "  connection_idle: 10s\n");
    assert_int_equal(worker_relieve(w.worker), 0);
    (void)submit_one(&w, 1);
    settle(&w);
    assert_int_equal(worker_busy(w.worker), 1);
    worker_flush_dns(w.worker);
    assert_true(worker_relieve(w.worker) > 0);
    while (worker_busy(w.worker) > 0)
        turn(&w);
    assert_int_equal(worker_relieve(w.worker), 0);
    (void)submit_one(&w, 2);
    settle(&w);
    assert_int_equal(w.got[2], 1);
    assert_int_equal(w.connections, 2);
    teardown(&w);
}

static void test_idle_connection_found_dead(void **state)
{
    struct world w;
    uint64_t id;

    (void)state;
    for (size_t o = 0; o < ARRAY_SIZE(offers); o++) {
        setup(&w, false, false, "  connection_idle: 10s\n");
        w.extensions = offers[o];
        w.reply = CLOSE;
        w.phase = MAIL;
        w.nth = 2; /* of the connection's MAILs */
        (void)submit_one(&w, 0);
        settle(&w);
        (void)submit_one(&w, 1); /* goes over another connection, with no attempt counted */
        settle(&w);
        assert_int_equal(w.got[0], 1);
        assert_int_equal(w.got[1], 1);
        assert_int_equal(w.connections, 2);
        assert_int_equal(kit_messages(&w.k), 0);
        w.reply = "421 4.4.2 idle too long\r\n"; /* said to the third MAIL */
        w.nth = 2;
        id = submit_one(&w, 2);
        settle(&w);
        read_state(&w, id, 0, RECIPIENT_PENDING, 421);
        teardown(&w);
    }
}

/* A connection that dies between two batches, with no other host to be had, costs nobody his
 * mail. */
static void test_lost_between_batches(void **state)
{
    (void)state;
    for (size_t o = 0; o < ARRAY_SIZE(offers); o++) {
        struct world w;
        uint64_t id;

        setup(&w, false, false, "  recipients_per_message_max: 2\n");
        w.extensions = offers[o];
        w.reply = CLOSE;
        w.phase = MAIL;
        w.nth = 2;
        id = submit(&w, 0, 6, NULL, SLICE_LIT("Subject: x\r\n\r\nx\r\n"));
        while (w.connections == 0)
            turn(&w);
        listener_close(&w.listener);
        settle(&w);
        read_state(&w, id, 1, o == 2 ? RECIPIENT_DELIVERED : RECIPIENT_RELAYED, 250);
        for (size_t i = 2; i < 6; i++)
            read_state(&w, id, i, RECIPIENT_PENDING, 0);
        w.reply = NULL;
        listen_again(&w);
        w.k.now_ms += HOUR_MS;
        settle(&w);
        for (size_t i = 0; i < 6; i++)
            assert_int_equal(w.got[i], 1);
        assert_int_equal(kit_messages(&w.k), 0);
        teardown(&w);
    }
}

static void test_limits_of_the_peer(void **state)
{
    struct world w;

    (void)state;
    setup(&w, false, false, "");
    w.extensions = "250-peer.example\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2 MAILMAX=1\r\n";
    (void)submit(&w, 0, 5, NULL, SLICE_LIT("Subject: x\r\n\r\nx\r\n"));
    settle(&w);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(w.got[i], 1);
    assert_int_equal(w.connections, 3);
    /* Too large for it, and one recipient at a time: no word is said of each, and no stack
     * grows. */
    w.extensions = "250-peer.example\r\n250-SIZE 10\r\n250 LIMITS RCPTMAX=1\r\n";
    (void)submit(&w, 5, RECIPIENTS_MAX - 5, NULL, SLICE_LIT("Subject: x\r\n\r\nx\r\n"));
    settle(&w);
    assert_int_equal(w.connections, 4);
    assert_int_equal(w.got[5], 0);
    assert_int_equal(kit_messages(&w.k), 0);
    teardown(&w);
}

static void test_lmtp(void **state)
{
    struct world w;
    uint64_t id;

    (void)state;
    setup(&w, true, false, "");
    w.extensions = offers[1];
    id = submit(&w, 0, 4, NULL, SLICE_LIT("Subject: x\r\n\r\nx\r\n"));
    settle(&w);
    for (size_t i = 0; i < 4; i++)
        read_state(&w, id, i, i % 2 ? RECIPIENT_PENDING : RECIPIENT_RELAYED, i % 2 ? 452 : 250);
    assert_int_equal(w.got[0] + w.got[2], 2);
    teardown(&w);
}

/* A host whose STARTTLS is broken gets the mail in the clear, where the policy allows it. */
static void test_broken_tls(void **state)
{
    struct world w;
    uint64_t id;

    (void)state;
    setup(&w, false, true, "");
    w.extensions = "250-peer.example\r\n250 STARTTLS\r\n";
    (void)submit_one(&w, 0); /* the peer answers the handshake with 500 */
    settle(&w);
    assert_int_equal(w.got[0], 1);
    assert_int_equal(w.connections, 2);
    teardown(&w);
    setup(&w, false, true, "  tls: required\n");
    w.extensions = "250-peer.example\r\n250 STARTTLS\r\n";
    id = submit_one(&w, 0);
    settle(&w);
    assert_int_equal(w.got[0], 0);
    read_state(&w, id, 0, RECIPIENT_PENDING, 0);
    teardown(&w);
}

static void test_large_body(void **state)
{
    size_t size = 3000 * 1000;
    char *body = malloc(size);

    (void)state;
    assert_non_null(body);
    data_end = "1m";
    for (size_t i = 0; i < size; i++)
        body[i] = i % 80 == 78 ? '\r' : i % 80 == 79 ? '\n' : 'x';
    for (size_t o = 1; o < ARRAY_SIZE(offers); o++) {
        struct world w;

        setup(&w, false, false, "");
        w.extensions = o == 1 ? "250-peer.example\r\n250 PIPELINING\r\n" : offers[o];
        (void)submit(&w, 0, 1, NULL, slice_make(body, size));
        settle(&w);
        assert_int_equal(w.got[0], 1);
        assert_int_equal(w.last_body, size);
        teardown(&w);
    }
    free(body);
    data_end = "100ms";
}

/* A body that cannot be read whole never arrives cut short; it is set aside. */
static void test_damaged_body(void **state)
{
    struct world w;
    uint64_t size, id;
    static char body[200000];
    struct queue_message m;

    (void)state;
    memset(body, 'q', sizeof(body));
    memcpy(body + sizeof(body) - 2, "\r\n", 2);
    setup(&w, false, false, "");
    w.extensions = offers[2];
    id = submit(&w, 0, 1, NULL, slice_make(body, sizeof(body)));
    for (unsigned n = 0; n < 20; n++) {
        char name[32];
        uint8_t *bytes;

        (void)snprintf(name, sizeof(name), "seg-%08x", n);
        bytes = fs_sim_bytes(w.k.fs, name, &size);
        for (uint64_t i = 0; bytes && i + 4 < size; i++)
            if (memcmp(bytes + i, "qqqq", 4) == 0 && i > 150000)
                bytes[i] = 'Q';
    }
    settle(&w);
    assert_int_equal(w.got[0], 0);
    assert_int_equal(w.k.served[SPOOL_OP_SET_ASIDE], 1);
    assert_int_equal(queue_read_message(w.k.q, id, &m), -ENOENT);
    teardown(&w);
}

/* Whatever is under way when the server stops is kept. */
static void test_stop(void **state)
{
    (void)state;
    for (enum phase phase = GREETING; phase < PHASES; phase++) {
        struct world w;

        if (phase == STARTTLS)
            continue;
        setup(&w, false, false, "  recipients_per_message_max: 2\n");
        w.extensions = offers[1];
        w.reply = HANG;
        w.phase = phase;
        w.nth = phase == GREETING || phase == HELLO ? 1 : 2;
        for (size_t i = 0; i < 8; i += 4)
            (void)submit(&w, i, 4, NULL, SLICE_LIT("Subject: x\r\n\r\nx\r\n"));
        while (w.connections == 0)
            turn(&w);
        for (int i = 0; i < 3; i++)
            turn(&w);
        queue_stop(w.k.q);
        worker_stop_now(w.worker);
        while (!queue_is_idle(w.k.q) || worker_busy(w.worker) > 0)
            turn(&w);
        assert_true(kit_messages(&w.k) > 0);
        teardown(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_reply_everywhere),
        cmocka_unit_test(test_helo_after_refused_ehlo),
        cmocka_unit_test(test_mixed_recipients),
        cmocka_unit_test(test_reuse_and_limits),
        cmocka_unit_test(test_idle_connections_are_given_back),
        cmocka_unit_test(test_idle_connection_found_dead),
        cmocka_unit_test(test_lost_between_batches),
        cmocka_unit_test(test_limits_of_the_peer),
        cmocka_unit_test(test_lmtp),
        cmocka_unit_test(test_broken_tls),
        cmocka_unit_test(test_large_body),
        cmocka_unit_test(test_damaged_body),
        cmocka_unit_test(test_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
