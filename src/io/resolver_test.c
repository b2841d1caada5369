/* io/resolver_test.c - DNS against real servers (nsd; knot, which signs) with zones of ours, and
 * against one that is silent, fails or lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "io/addr.h"
#include "io/loop.h"
#include "io/resolver.h"

#define GIVE_UP_MS 60000
#define DNS_HEADER 12

static const char nsd_path[] = "/usr/sbin/nsd";
static const char knotd_path[] = "/usr/sbin/knotd", keymgr_path[] = "/usr/sbin/keymgr";

static void names_are_read_from_the_wire(void **state)
{
    const struct {
        struct slice wire;
        const char *text; /* NULL: refused */
    } cases[] = {
        {SLICE_LIT("\2mx\7example\3org\0"), "mx.example.org"},
        {SLICE_LIT("\0"), ""},
        {SLICE_LIT("\5_25_-\1X\0"), "_25_-.X"},
        {SLICE_LIT(""), NULL},
        {SLICE_LIT("\2mx"), NULL},
        {SLICE_LIT("\3mx\0"), NULL},
        {SLICE_LIT("\2mx\0\0"), NULL},
        {SLICE_LIT("\2m.\0"), NULL},
        {SLICE_LIT("\2m\0\0"), NULL},
        {SLICE_LIT("\2m \0"), NULL},
        {SLICE_LIT("\1\xff\0"), NULL},
        {SLICE_LIT("\300\14"), NULL}, /* compressed */
        {SLICE_LIT("\100"), NULL},
    };
    uint8_t wire[300] = {0};
    char text[DNS_NAME_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int r = dns_name_to_text(cases[i].wire, text, sizeof(text));

        assert_int_equal(r, cases[i].text ? 0 : -EINVAL);
        if (cases[i].text)
            assert_string_equal(text, cases[i].text);
        for (size_t cut = 0; cut < cases[i].wire.len; cut++) /* no prefix is a name */
            if (cases[i].text)
                assert_int_equal(
                    dns_name_to_text(slice_sub(cases[i].wire, 0, cut), text, sizeof(text)),
                    -EINVAL);
    }
    /* 255 bytes on the wire are the most: labels of 63, 63, 63 and 61. */
    for (size_t last = 61; last < 63; last++) {
        for (size_t label = 0; label < 4; label++) {
            wire[label * 64] = label < 3 ? 63 : (uint8_t)last;
            memset(wire + label * 64 + 1, 'a', 63);
        }
        wire[3 * 64 + last + 1] = 0;
        assert_int_equal(dns_name_to_text(slice_make(wire, 194 + last), text, sizeof(text)),
                         last == 61 ? 0 : -EINVAL);
    }
}

/* A DNS server on a UDP socket, in the loop of the test. */
enum mood { SILENT, SERVFAIL, REFUSED, GARBAGE, OTHER_ID, CUT };

struct world {
    struct loop *loop;
    struct resolver *resolver;
    struct loop_watch *watch;
    int fd;
    enum mood mood;
    char server[64];
    unsigned asked;
};

struct answer {
    unsigned count;
    struct dns_answer a;
    char canonical[300], why[300];
    uint8_t records[DNS_RECORDS_MAX][300];
    size_t len[DNS_RECORDS_MAX];
    struct query *cancel; /* in the callback */
    struct resolver *resolver;
};

static void keep_answer(void *ctx, const struct dns_answer *a)
{
    struct answer *got = ctx;

    got->count++;
    got->a = *a;
    assert_non_null(a->canonical);
    assert_non_null(a->why);
    (void)snprintf(got->canonical, sizeof(got->canonical), "%s", a->canonical);
    (void)snprintf(got->why, sizeof(got->why), "%s", a->why);
    assert_int_equal(got->why[0] != '\0', a->err != 0);
    assert_true(a->count <= DNS_RECORDS_MAX);
    assert_int_equal(a->count > 0, a->err == 0);
    for (size_t i = 0; i < a->count; i++) {
        assert_true(a->records[i].len <= sizeof(got->records[i]));
        memcpy(got->records[i], a->records[i].ptr, a->records[i].len);
        got->len[i] = a->records[i].len;
    }
    query_cancel(&got->cancel);
}

static void on_question(void *ctx)
{
    struct world *w = ctx;
    struct addr from = {.len = sizeof(from.u)};
    uint8_t packet[1500];
    ssize_t n = recvfrom(w->fd, packet, sizeof(packet), MSG_DONTWAIT, &from.u.any, &from.len);

    if (n < DNS_HEADER)
        return;
    w->asked++;
    packet[2] |= 0x80; /* a response */
    packet[3] = w->mood == REFUSED ? 5 : 2;
    switch (w->mood) {
    case SILENT:
        return;
    case GARBAGE:
        memset(packet + 2, 0xa5, (size_t)n - 2);
        break;
    case OTHER_ID:
        packet[0] ^= 0xff;
        break;
    case CUT:
        n = DNS_HEADER + 3;
        break;
    case SERVFAIL:
    case REFUSED:
        break;
    }
    (void)sendto(w->fd, packet, (size_t)n, 0, &from.u.any, from.len);
}

static void world_open(struct world *w, const char *server, uint32_t timeout_ms)
{
    const char *servers[] = {server, NULL};
    struct resolver_config config = {
        .servers = servers, .timeout_ms = timeout_ms, .no_cache = true};
    struct addr at;

    *w = (struct world){.fd = -1};
    assert_int_equal(loop_new(&w->loop), 0);
    if (!server) {
        w->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(addr_parse(SLICE_LIT("127.0.0.1"), 0, &at, NULL), 0);
        assert_int_equal(bind(w->fd, &at.u.any, at.len), 0);
        assert_int_equal(getsockname(w->fd, &at.u.any, &at.len), 0);
        (void)snprintf(w->server, sizeof(w->server), "127.0.0.1@%u", addr_port(&at));
        servers[0] = w->server;
        assert_int_equal(loop_watch_fd(w->loop, w->fd, on_question, w, &w->watch), 0);
    }
    assert_int_equal(resolver_new(&w->resolver, w->loop, &config, NULL), 0);
}

static void world_close(struct world *w)
{
    resolver_free(&w->resolver);
    resolver_free(&w->resolver);
    loop_unwatch_fd(&w->watch);
    loop_free(&w->loop);
    if (w->fd >= 0)
        (void)close(w->fd);
}

static void turn_until(struct world *w, const unsigned *count, unsigned wanted)
{
    uint64_t began_ms = clock_mono_ms();

    while (*count < wanted) {
        assert_true(clock_mono_ms() - began_ms < GIVE_UP_MS);
        loop_turn(w->loop, /* wait= */ true);
    }
}

static void ask(struct world *w, const char *name, uint16_t type, struct answer *got)
{
    *got = (struct answer){0};
    assert_int_equal(resolver_query(w->resolver, name, type, keep_answer, got, NULL), 0);
    assert_int_equal(got->count, 0);
    turn_until(w, &got->count, 1);
}

static void bad_servers_are_temporary(void **state)
{
    static const struct {
        enum mood mood;
        uint32_t timeout_ms;
        const char *why;
    } cases[] = {
        {SILENT, 50, "no answer within 50 ms"},
        {SERVFAIL, 30000, "SERVFAIL"},
        {REFUSED, 30000, "SERVFAIL"}, /* libunbound's word for "nobody could answer" */
        {GARBAGE, 300, ""},
        {OTHER_ID, 300, ""},
        {CUT, 300, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct answer got;
        struct world w;

        world_open(&w, NULL, cases[i].timeout_ms);
        w.mood = cases[i].mood;
        ask(&w, "example.test", DNS_MX, &got);
        assert_int_equal(got.a.err, -ERR_DNS_TEMP);
        assert_false(got.a.nxdomain);
        assert_string_equal(got.canonical, "example.test");
        assert_non_null(strstr(got.why, cases[i].why));
        world_close(&w);
    }
}

static void names_are_checked(void **state)
{
    static const char *const names[] = {
        "", ".", "..", "a..b", ".a", "a b", "a\\.b", "127.0.0.1/8", "a\xff", "[1]", "a,b", "a.b..",
        "*.test", "x\n",
        /* a label of 64 */
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test"};
    struct answer got = {0};
    char longest[300];
    struct world w;

    (void)state;
    world_open(&w, NULL, 50);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(resolver_query(w.resolver, names[i], DNS_A, keep_answer, &got, NULL),
                         -EINVAL);
    for (size_t i = 0; i < sizeof(longest); i++)
        longest[i] = i % 2 ? '.' : 'a';
    longest[255] = '\0';
    assert_int_equal(resolver_query(w.resolver, longest, DNS_A, keep_answer, &got, NULL), -EINVAL);
    longest[253] = '\0';
    assert_int_equal(resolver_query(w.resolver, longest, DNS_A, keep_answer, &got, NULL), 0);
    turn_until(&w, &got.count, 1);
    assert_int_equal(got.a.err, -ERR_DNS_TEMP);
    world_close(&w);
}

static void queries_can_be_cancelled(void **state)
{
    struct answer got[3] = {{0}};
    struct query *q[3] = {NULL};
    struct world w;

    (void)state;
    world_open(&w, NULL, 100);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            resolver_query(w.resolver, "example.test", DNS_A, keep_answer, &got[i], &q[i]), 0);
    query_cancel(&q[0]);
    assert_null(q[0]);
    query_cancel(&q[0]);
    got[1].cancel = q[2]; /* the first of these two that ends cancels the other */
    got[2].cancel = q[1];
    while (got[1].count + got[2].count == 0)
        loop_turn(w.loop, /* wait= */ true);
    for (int i = 0; i < 3; i++)
        loop_turn(w.loop, /* wait= */ false);
    assert_int_equal(got[0].count, 0);
    assert_int_equal(got[1].count + got[2].count, 1);
    /* Those under way when all ends. */
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            resolver_query(w.resolver, "example.test", DNS_A, keep_answer, &got[i], NULL), 0);
    loop_turn(w.loop, /* wait= */ false);
    world_close(&w);
    assert_int_equal(got[0].count, 0);
}

static void answers_arrive_after_a_cancel(void **state)
{
    struct answer got[20] = {{0}};
    struct world w;

    (void)state;
    world_open(&w, NULL, 30000);
    w.mood = SERVFAIL;
    for (int round = 0; round < 20; round++) {
        struct query *q = NULL;

        assert_int_equal(resolver_query(w.resolver, "a.test", DNS_A, keep_answer, &got[round], &q),
                         0);
        for (int i = 0; i < round; i++)
            loop_turn(w.loop, /* wait= */ false);
        if (got[round].count == 0)
            query_cancel(&q);
        assert_true(got[round].count <= 1);
    }
    ask(&w, "b.test", DNS_A, &got[0]);
    world_close(&w);
}

static void configurations_are_checked(void **state)
{
    static const struct {
        const char *server, *anchor;
        int err;
    } cases[] = {
        {"127.0.0.1", NULL, 0},
        {"::1@5353", NULL, 0},
        {"127.0.0.1@x@y", NULL, -EINVAL},
        {"localhost", NULL, -EINVAL},
        {"127.0.0.1", "/nonexistent", -EINVAL},
    };
    struct loop *loop = NULL;

    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *servers[] = {cases[i].server, NULL};
        struct resolver_config config = {
            .servers = servers, .trust_anchor_file = cases[i].anchor, .timeout_ms = 50};
        struct buf why = BUF_INIT(1000);
        struct resolver *r = NULL;

        assert_int_equal(resolver_new(&r, loop, &config, &why), cases[i].err);
        assert_int_equal(buf_len(&why) > 0, cases[i].err != 0);
        resolver_free(&r);
        buf_done(&why);
    }
    loop_free(&loop);
}

/* nsd */

static const char zone[] = "$ORIGIN example.test.\n"
                           "$TTL 300\n"
                           "@ SOA ns hostmaster 1 3600 600 86400 60\n"
                           "@ NS ns\n"
                           "ns A 127.0.0.1\n"
                           "@ MX 10 mx1\n"
                           "@ MX 20 mx2\n"
                           "mx1 A 192.0.2.1\n"
                           "mx1 A 192.0.2.2\n"
                           "mx1 AAAA 2001:db8::1\n"
                           "mx2 A 192.0.2.3\n"
                           "null MX 0 .\n"
                           "alias CNAME chain\n"
                           "chain CNAME mx1\n"
                           "lost CNAME nothing\n"
                           "loop1 CNAME loop2\n"
                           "loop2 CNAME loop1\n"
                           "text TXT \"one\" \"two\"\n";

struct server {
    pid_t pid;
    char dir[64], address[64];
};

/* Starts a program that goes when the test does, its output in `out`. */
static pid_t spawn(const char *const argv[], const char *out)
{
    pid_t pid = fork();
    int fd;

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    fd = open(out, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0)
        (void)execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static void server_stop(struct server *s)
{
    (void)kill(s->pid, SIGTERM);
    (void)waitpid(s->pid, NULL, 0);
    (void)nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[200];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* A port that is free for UDP and TCP just now. */
static uint16_t free_port(void)
{
    struct addr at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(addr_parse(SLICE_LIT("127.0.0.1"), 0, &at, NULL), 0);
    assert_int_equal(bind(fd, &at.u.any, at.len), 0);
    assert_int_equal(getsockname(fd, &at.u.any, &at.len), 0);
    (void)close(fd);
    return addr_port(&at);
}

/* A zone with an answer of 100 addresses, which needs TCP. */
static void write_zone(const char *dir)
{
    struct buf text = BUF_INIT(100000);

    (void)buf_add_str(&text, zone);
    for (int i = 0; i < 100; i++)
        (void)buf_addf(&text, "many A 198.51.100.%d\n", i);
    write_file(dir, "zone", buf_cstr(&text));
    buf_done(&text);
}

/* A directory and an address for one. */
static void server_prepare(struct server *s)
{
    (void)snprintf(s->dir, sizeof(s->dir), "/tmp/penstock-dns-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    (void)snprintf(s->address, sizeof(s->address), "127.0.0.1@%u", free_port());
}

static int nsd_start(void **state)
{
    static struct server n;
    struct buf conf = BUF_INIT(10000);
    char path[100], out[100];
    const char *const argv[] = {nsd_path, "-d", "-c", path, NULL};

    *state = NULL;
    if (access(nsd_path, X_OK) != 0)
        return 0;
    server_prepare(&n);
    (void)buf_addf(&conf,
                   "server:\n  ip-address: %s\n  zonesdir: %s\n  username: \"\"\n"
                   "  chroot: \"\"\n  pidfile: \"\"\n  database: \"\"\n  zonelistfile: %s/list\n"
                   "  xfrdfile: %s/xfrd\n  xfrdir: %s\n  server-count: 1\n"
                   "remote-control:\n  control-enable: no\n"
                   "zone:\n  name: example.test\n  zonefile: zone\n",
                   n.address, n.dir, n.dir, n.dir, n.dir);
    write_file(n.dir, "nsd.conf", buf_cstr(&conf));
    buf_done(&conf);
    write_zone(n.dir);
    (void)snprintf(path, sizeof(path), "%s/nsd.conf", n.dir);
    (void)snprintf(out, sizeof(out), "%s/out", n.dir);
    n.pid = spawn(argv, out);
    *state = &n;
    return 0;
}

static int nsd_stop(void **state)
{
    if (*state)
        server_stop(*state);
    return 0;
}

static void wait_for(const struct server *s, const char *name)
{
    uint64_t began_ms = clock_mono_ms();
    struct answer got;

    do {
        struct world w;

        assert_true(clock_mono_ms() - began_ms < GIVE_UP_MS);
        world_open(&w, s->address, 2000);
        ask(&w, name, DNS_A, &got);
        world_close(&w);
    } while (got.a.err != 0);
}

/* The server that runs for this test; skips the test where there is none. */
static const char *nsd_server(void **state)
{
    const struct server *n = *state;

    if (!n) {
        print_message("# skipped, because %s is not installed\n", nsd_path);
        skip();
        return NULL;
    }
    wait_for(n, "ns.example.test");
    return n->address;
}

static void a_real_server_answers(void **state)
{
    static const struct {
        const char *name;
        uint16_t type;
        int err;
        bool nxdomain;
        size_t count;
        const char *canonical;
    } cases[] = {
        {"example.test", DNS_MX, 0, false, 2, "example.test"},
        {"EXAMPLE.test.", DNS_MX, 0, false, 2, NULL},
        {"mx1.example.test", DNS_A, 0, false, 2, "mx1.example.test"},
        {"mx1.example.test", DNS_AAAA, 0, false, 1, "mx1.example.test"},
        {"mx2.example.test", DNS_AAAA, -ERR_DNS_NONE, false, 0, NULL},
        {"nothing.example.test", DNS_A, -ERR_DNS_NONE, true, 0, NULL},
        {"null.example.test", DNS_MX, 0, false, 1, "null.example.test"},
        {"alias.example.test", DNS_A, 0, false, 2, "mx1.example.test"},
        {"alias.example.test", DNS_MX, -ERR_DNS_NONE, false, 0, NULL},
        {"lost.example.test", DNS_A, -ERR_DNS_NONE, true, 0, NULL},
        {"loop1.example.test", DNS_A, -ERR_DNS_TEMP, false, 0, NULL},
        {"text.example.test", DNS_TXT, 0, false, 1, NULL},
        {"many.example.test", DNS_A, 0, false, DNS_RECORDS_MAX, NULL},
        {"example.com", DNS_A, -ERR_DNS_TEMP, false, 0, NULL}, /* not that server's: refused */
    };
    const char *server = nsd_server(state);
    struct answer got;
    struct world w;

    world_open(&w, server, 20000);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        ask(&w, cases[i].name, cases[i].type, &got);
        if (got.a.err != cases[i].err)
            fail_msg("%s %u: %d (%s)", cases[i].name, cases[i].type, got.a.err, got.why);
        assert_int_equal(got.a.nxdomain, cases[i].nxdomain);
        assert_int_equal(got.a.count, cases[i].count);
        assert_false(got.a.secure || got.a.bogus);
        if (cases[i].canonical)
            assert_string_equal(got.canonical, cases[i].canonical);
    }
    world_close(&w);
}

static void records_are_raw(void **state)
{
    const char *server = nsd_server(state);
    char name[DNS_NAME_MAX + 1];
    struct answer got;
    struct world w;
    int seen = 0;

    world_open(&w, server, 20000);
    ask(&w, "example.test", DNS_MX, &got);
    for (size_t i = 0; i < got.a.count; i++) {
        struct slice rdata = slice_make(got.records[i], got.len[i]);

        assert_true(rdata.len > 2);
        assert_int_equal(rdata.ptr[0], 0);
        assert_int_equal(dns_name_to_text(slice_from(rdata, 2), name, sizeof(name)), 0);
        assert_string_equal(name, rdata.ptr[1] == 10 ? "mx1.example.test" : "mx2.example.test");
        seen += rdata.ptr[1];
    }
    assert_int_equal(seen, 30);
    ask(&w, "null.example.test", DNS_MX, &got);
    assert_int_equal(
        dns_name_to_text(slice_make(got.records[0] + 2, got.len[0] - 2), name, sizeof(name)), 0);
    assert_string_equal(name, "");
    ask(&w, "mx2.example.test", DNS_A, &got);
    assert_int_equal(got.len[0], 4);
    assert_memory_equal(got.records[0], "\300\0\2\3", 4);
    ask(&w, "mx1.example.test", DNS_AAAA, &got);
    assert_int_equal(got.len[0], 16);
    ask(&w, "text.example.test", DNS_TXT, &got);
    assert_int_equal(got.len[0], 8);
    assert_memory_equal(got.records[0], "\3one\3two", 8);
    world_close(&w);
}

static void many_at_once(void **state)
{
    enum { MANY = 200 };
    const char *server = nsd_server(state);
    static struct answer got[MANY];
    char name[100];
    struct world w;

    world_open(&w, server, 30000);
    memset(got, 0, sizeof(got));
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "n%u.example.test", i);
        assert_int_equal(resolver_query(w.resolver, i % 2 ? name : "mx1.example.test", DNS_A,
                                        keep_answer, &got[i], NULL),
                         0);
    }
    for (unsigned i = 0; i < MANY; i++) {
        turn_until(&w, &got[i].count, 1);
        assert_int_equal(got[i].a.err, i % 2 ? -ERR_DNS_NONE : 0);
    }
    world_close(&w);
}

/* DNSSEC, with a zone that knot signs. */

static void knot_configure(struct server *k)
{
    struct buf conf = BUF_INIT(10000);

    server_prepare(k);
    (void)buf_addf(&conf,
                   "server:\n  rundir: %s\n  listen: %s\n"
                   "database:\n  storage: %s\n"
                   "log:\n  - target: stderr\n    any: error\n"
                   "policy:\n  - id: one\n    algorithm: ecdsap256sha256\n"
                   "    single-type-signing: on\n"
                   "zone:\n  - domain: secure.test\n    storage: %s\n    file: zone\n"
                   "    dnssec-signing: on\n    dnssec-policy: one\n    zonefile-sync: -1\n"
                   "    zonefile-load: difference-no-serial\n    journal-content: all\n",
                   k->dir, k->address, k->dir, k->dir);
    write_file(k->dir, "knot.conf", buf_cstr(&conf));
    buf_done(&conf);
    write_file(k->dir, "zone",
               "$ORIGIN secure.test.\n$TTL 300\n@ SOA ns hm 1 3600 600 86400 60\n@ NS ns\n"
               "ns A 127.0.0.1\n@ MX 10 mx\nmx A 192.0.2.9\n");
}

/* Runs keymgr on the zone; its output goes to the file `out`. */
static void knot_keymgr(const struct server *k, const char *command, const char *argument,
                        const char *out)
{
    char conf[100];
    const char *const argv[] = {keymgr_path, "-c",      conf,      "secure.test", command,
                                argument,    "ksk=yes", "zsk=yes", NULL};
    const char *const argv_short[] = {keymgr_path, "-c", conf, "secure.test", command, NULL};
    int status = -1;

    (void)snprintf(conf, sizeof(conf), "%s/knot.conf", k->dir);
    assert_true(waitpid(spawn(argument ? argv : argv_short, out), &status, 0) > 0);
    assert_int_equal(status, 0);
}

static void signed_answers_are_secure(void **state)
{
    static const struct {
        const char *name;
        uint16_t type;
        int err;
    } cases[] = {
        {"secure.test", DNS_MX, 0},
        {"mx.secure.test", DNS_A, 0},
        {"mx.secure.test", DNS_AAAA, -ERR_DNS_NONE},
        {"nothing.secure.test", DNS_A, -ERR_DNS_NONE},
    };
    char conf[100], out[100], anchor[100], wrong_anchor[100];
    const char *const argv[] = {knotd_path, "-c", conf, NULL};
    struct server k;

    (void)state;
    if (access(knotd_path, X_OK) != 0 || access(keymgr_path, X_OK) != 0) {
        print_message("# skipped, because %s is not installed\n", knotd_path);
        skip();
        return;
    }
    knot_configure(&k);
    (void)snprintf(conf, sizeof(conf), "%s/knot.conf", k.dir);
    (void)snprintf(out, sizeof(out), "%s/out", k.dir);
    (void)snprintf(anchor, sizeof(anchor), "%s/anchor", k.dir);
    (void)snprintf(wrong_anchor, sizeof(wrong_anchor), "%s/wrong", k.dir);
    knot_keymgr(&k, "generate", "algorithm=ecdsap256sha256", out);
    knot_keymgr(&k, "ds", NULL, anchor);
    write_file(k.dir, "wrong",
               "secure.test. DS 4711 13 2 "
               "cf947a355926f8602a13e99bfd7946483198a45dd87ab68a98b55f9bfbf61dc4\n");
    k.pid = spawn(argv, out);
    wait_for(&k, "mx.secure.test");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *const servers[] = {k.address, NULL};
        struct resolver_config config = {
            .servers = servers, .timeout_ms = 30000, .trust_anchor_file = anchor};
        struct world w = {.fd = -1};
        struct answer got;

        assert_int_equal(loop_new(&w.loop), 0);
        assert_int_equal(resolver_new(&w.resolver, w.loop, &config, NULL), 0);
        ask(&w, cases[i].name, cases[i].type, &got);
        assert_int_equal(got.a.err, cases[i].err);
        assert_true(got.a.secure);
        assert_false(got.a.bogus);
        resolver_free(&w.resolver);
        config.trust_anchor_file = wrong_anchor;
        assert_int_equal(resolver_new(&w.resolver, w.loop, &config, NULL), 0);
        ask(&w, cases[i].name, cases[i].type, &got);
        assert_int_equal(got.a.err, -ERR_DNS_TEMP);
        assert_int_equal(got.a.count, 0);
        assert_false(got.a.secure);
        assert_true(got.a.bogus);
        assert_non_null(strstr(got.why, "DNSSEC"));
        world_close(&w);
    }
    server_stop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_from_the_wire),
        cmocka_unit_test(bad_servers_are_temporary),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(queries_can_be_cancelled),
        cmocka_unit_test(answers_arrive_after_a_cancel),
        cmocka_unit_test(configurations_are_checked),
        cmocka_unit_test(a_real_server_answers),
        cmocka_unit_test(records_are_raw),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(signed_answers_are_secure),
    };

    return cmocka_run_group_tests(tests, nsd_start, nsd_stop);
}
