/*
 * logscan/report_blame_test.c - whose hosts refused, in which hours, and what the others did then.
 */
#include "logscan/own_hosts.h"
#include "logscan/reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include <errno.h>

#include "logscan/report_test_kit.h"

#define OK OUTCOME_DELIVERED
#define LATER OUTCOME_DEFERRED
#define HOUR INT64_C(3600000)
#define CAPACITY "452 4.3.1 Insufficient system resources"

struct facts {
    struct log_fact all[8000];
    size_t count;
};

/* So many attempts at a provider in an hour, the first few of them refused. */
static void add(struct facts *to, const char *host, const char *address, int64_t hour,
                unsigned attempts, unsigned refused, const char *reply)
{
    for (unsigned i = 0; i < attempts; i++) {
        bool is_refused = i < refused;
        struct log_fact f =
            kit_attempt("", hour * HOUR + (int64_t)i, "a@x.example", is_refused ? LATER : OK, host,
                        is_refused ? reply : "250 ok");

        f.numbering = NUMBERING_NONE;
        f.address = slice_str(address);
        f.source = SLICE_LIT("192.0.2.9");
        assert_true(to->count < ARRAY_SIZE(to->all));
        to->all[to->count++] = f;
    }
}

static struct facts *facts_new(void)
{
    struct facts *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    return f;
}

static void run(struct kit *k, struct facts *f)
{
    kit_run(k, &blame_report, f->all, f->count);
    free(f);
}

static void receivers_side(void **state)
{
    static const struct kit_want wants[] = {
        {"verdicts", "a.example", "verdict", "receiver-side"},
        {"verdicts", "a.example", "refusals", "32"},
        {"verdicts", "a.example", "attempts", "1100"},
        {"verdicts", "a.example", "bad_hours", "1"},
        {"verdicts", "a.example", "bad_refusals", "30"},
        {"verdicts", "a.example", "bad_attempts", "400"},
        {"verdicts", "a.example", "others", "2"},
        {"verdicts", "a.example", "others_refusing", "0"},
        {"verdicts", "a.example", "first_ms", "3600000"},
        {"verdicts", "a.example", "missing", "-"},
        {"verdicts", "a.example", "reasons",
         "the remote hosts of one provider answered: 30 of 400 attempts refused, by 1 of 2 hosts; "
         "the others are fine: 0 of 2 other providers refuse more than usual (600 attempts)"},
    };
    struct facts *f = facts_new();
    struct kit k = kit_new();

    (void)state;
    add(f, "mx1.a.example", "198.18.0.1", 1, 400, 2, CAPACITY); /* two: not confirmed */
    add(f, "mx1.a.example", "198.18.0.1", 5, 300, 30, CAPACITY);
    add(f, "mx2.a.example", "198.18.0.2", 5, 100, 0, NULL);
    add(f, "mx1.a.example", "198.18.0.1", 9, 300, 0, NULL);
    add(f, "mx.b.example", "198.18.1.1", 5, 300, 0, NULL);
    add(f, "mx.c.example", "198.18.2.1", 5, 300, 2, CAPACITY);
    add(f, "mx.c.example", "198.18.2.1", 6, 300, 1, CAPACITY);
    run(&k, f);
    kit_check(&k, wants, ARRAY_SIZE(wants));
    assert_int_equal(kit_sheet(&k, "verdicts")->row_count, 2);
    kit_done(&k);
}

static void across_destinations_is_ours(void **state)
{
    static const struct kit_want wants[] = {
        {"verdicts", "a.example", "verdict", "our-side"},
        {"verdicts", "a.example", "others", "3"},
        {"verdicts", "a.example", "others_refusing", "2"},
        {"verdicts", "b.example", "verdict", "our-side"},
    };
    struct facts *f = facts_new();
    struct kit k = kit_new();

    (void)state;
    add(f, "mx.a.example", "198.18.0.1", 5, 300, 30, CAPACITY);
    add(f, "mx.b.example", "198.18.1.1", 5, 300, 25, CAPACITY);
    add(f, "mx.c.example", "198.18.2.1", 5, 300, 20, CAPACITY);
    add(f, "mx.d.example", "198.18.3.1", 5, 300, 0, NULL);
    add(f, "mx.b.example", "198.18.1.1", 6, 300, 1, CAPACITY);
    run(&k, f);
    kit_check(&k, wants, ARRAY_SIZE(wants));
    kit_done(&k);
}

/* What another provider always does is its baseline. */
static void usual_refusals_are_no_sign(void **state)
{
    static const struct kit_want wants[] = {
        {"verdicts", "a.example", "others", "2"},
        {"verdicts", "a.example", "others_refusing", "0"},
        {"verdicts", "a.example", "verdict", "receiver-side"},
    };
    struct facts *f = facts_new();
    struct kit k = kit_new();

    (void)state;
    add(f, "mx.a.example", "198.18.0.1", 5, 300, 30, CAPACITY);
    add(f, "mx.b.example", "198.18.1.1", 5, 300, 10, CAPACITY);
    add(f, "mx.b.example", "198.18.1.1", 6, 300, 10, CAPACITY);
    /* Four here and one there are a chance, not a rise. */
    add(f, "mx.c.example", "198.18.2.1", 5, 300, 4, CAPACITY);
    add(f, "mx.c.example", "198.18.2.1", 6, 900, 1, CAPACITY);
    run(&k, f);
    kit_check(&k, wants, ARRAY_SIZE(wants));
    kit_done(&k);
}

static void our_own_relay(void **state)
{
    static const char *const own[] = {"198.18.9.0/24", "*.corp.test"};
    static const struct kit_want wants[] = {
        {"verdicts", "corp.test", "verdict", "our-side"},
        {"verdicts", "corp.test", "by_ours", "40"},
        {"verdicts", "r.example", "by_ours", "20"},
        {"verdicts", "s.example", "by_ours", "10"},
        {"verdicts", "a.example", "by_ours", "0"},
    };
    struct facts *f = facts_new();
    struct kit k = kit_new();

    (void)state;
    k.options.own = own;
    k.options.own_count = ARRAY_SIZE(own);
    add(f, "relay.corp.test", "198.18.7.1", 5, 300, 40, CAPACITY);
    add(f, "mx.r.example", "198.18.9.77", 5, 300, 20, CAPACITY);
    add(f, "mx.s.example", "10.1.2.3", 5, 300, 10, CAPACITY);
    add(f, "mx.a.example", "198.18.0.1", 5, 300, 5, CAPACITY);
    run(&k, f);
    kit_check(&k, wants, ARRAY_SIZE(wants));
    kit_done(&k);
}

static void silence_and_small_samples(void **state)
{
    static const struct kit_want wants[] = {
        {"verdicts", "a.example", "verdict", "undecided"},
        {"verdicts", "a.example", "without_reply", "30"},
        {"verdicts", "a.example", "missing",
         "a reply of the remote host, or a look at it from another network"},
        {"verdicts", "b.example", "missing", "more attempts to this provider"},
        {"verdicts", "b.example", "bad_hours", "2"},
    };
    struct facts *f = facts_new();
    struct kit k = kit_new();

    (void)state;
    /* No host is named where none answered: it counts for the provider the domain had. */
    add(f, "mx.a.example", "198.18.0.1", 5, 300, 0, NULL);
    add(f, "", "", 5, 30, 30, "Connection timed out");
    add(f, "mx.b.example", "198.18.1.1", 6, 20, 2, CAPACITY);
    add(f, "mx.b.example", "198.18.1.1", 7, 20, 1, CAPACITY);
    add(f, "mx.b.example", "198.18.1.1", 8, 20, 0, CAPACITY);
    run(&k, f);
    kit_check(&k, wants, ARRAY_SIZE(wants));
    assert_int_equal(kit_sheet(&k, "verdicts")->row_count, 2);
    kit_done(&k);
}

/* Not those of the whole log: who is asked or refused in other hours has no part in it. */
static void whom_the_bad_hours_have(void **state)
{
    static const struct kit_want wants[] = {
        {"verdicts", "a.example", "bad_hours", "1"},
        {"verdicts", "a.example", "reasons",
         "the remote hosts of one provider answered: 30 of 600 attempts refused, by 1 of 2 hosts; "
         "the others are fine: 0 of 1 other providers refuse more than usual (300 attempts); "
         "1 of our 2 sending addresses are refused: look at their limits there"},
    };
    struct facts *f = facts_new();
    struct kit k = kit_new();
    size_t from;

    (void)state;
    add(f, "mx3.a.example", "198.18.0.3", 1, 300, 0, NULL);
    add(f, "mx1.a.example", "198.18.0.1", 5, 200, 20, CAPACITY);
    from = f->count;
    add(f, "mx4.a.example", "198.18.0.4", 9, 400, 2, CAPACITY); /* not confirmed */
    while (from < f->count)
        f->all[from++].source = SLICE_LIT("192.0.2.11");
    add(f, "mx1.a.example", "198.18.0.1", 5, 300, 10, CAPACITY);
    add(f, "mx2.a.example", "198.18.0.2", 5, 100, 0, NULL);
    f->all[f->count - 1].source = SLICE_LIT("192.0.2.10");
    add(f, "mx.b.example", "198.18.1.1", 5, 300, 0, NULL);
    run(&k, f);
    kit_check(&k, wants, ARRAY_SIZE(wants));
    kit_done(&k);
}

static void domains_of_the_bad_hours(void **state)
{
    static const struct kit_want wants[] = {
        {"verdicts", "a.example", "reasons",
         "it goes across destinations: 2 of 2 other providers refuse more than usual; "
         "2 recipient domains are refused in all"},
        {"verdicts", "b.example", "reasons",
         "it goes across destinations: 2 of 2 other providers refuse more than usual; "
         "2 recipient domains are refused in all"},
    };
    struct facts *f = facts_new();
    struct kit k = kit_new();

    (void)state;
    add(f, "mx.a.example", "198.18.0.1", 5, 300, 30, CAPACITY);
    add(f, "mx.a.example", "198.18.0.1", 8, 900, 2, CAPACITY); /* not confirmed */
    f->all[f->count - 900].recipient = SLICE_LIT("a@late.example");
    add(f, "mx.b.example", "198.18.1.1", 5, 300, 25, CAPACITY);
    f->all[f->count - 300].recipient = SLICE_LIT("a@Other.example");
    add(f, "mx.c.example", "198.18.2.1", 5, 300, 20, CAPACITY);
    run(&k, f);
    kit_check(&k, wants, ARRAY_SIZE(wants));
    kit_done(&k);
}

static void hosts_that_issue(void **state)
{
    static const struct {
        enum log_issuer issuer;
        const char *address, *reply;
    } cases[] = {
        {ISSUER_RECEIVER, "198.18.0.1", CAPACITY},
        {ISSUER_RECEIVER, "198.18.0.1", "550 5.1.1 no such user"},
        {ISSUER_RECEIVER, "198.18.0.1", "250 ok"},
        {ISSUER_RECEIVER, "10.0.0.1", "421 4.3.2 not now"},
        {ISSUER_OWN_SERVER, "203.0.113.5", CAPACITY},
        {ISSUER_OWN_SERVER, "203.0.113.6", "550 5.7.1 no"},
        {ISSUER_OWN_CLIENT, "", "Connection refused"},
    };
    static const struct kit_want wants[] = {
        {"by_issuer", "198.18.0.1", "side", "receiver"},
        {"by_issuer", "198.18.0.1", "refusals", "2"},
        {"by_issuer", "198.18.0.1", "temporary", "1"},
        {"by_issuer", "198.18.0.1", "permanent", "1"},
        {"by_issuer", "198.18.0.1", "capacity", "1"},
        {"by_issuer", "10.0.0.1", "side", "own-relay"},
        {"by_issuer", "our own server", "side", "own-server"},
        {"by_issuer", "our own server", "refusals", "2"},
        {"by_issuer", "nobody answered", "side", "own-client"},
        {"by_issuer", "nobody answered", "refusals", "1"},
        {"verdicts", "our own server", "verdict", "our-side"},
        {"verdicts", "our own server", "refusals", "1"},
    };
    struct facts *f = facts_new();
    struct kit k = kit_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct log_fact *reply = &f->all[f->count++];

        *reply = kit_attempt("", (int64_t)i, "", LATER, "h", cases[i].reply);
        reply->kind = FACT_REPLY;
        reply->issuer = (uint8_t)cases[i].issuer;
        reply->address = slice_str(cases[i].address);
    }
    run(&k, f);
    kit_check(&k, wants, ARRAY_SIZE(wants));
    assert_int_equal(kit_sheet(&k, "verdicts")->row_count, 1);
    assert_true(
        slice_eq(k.report.notes[k.report.note_count - 2],
                 SLICE_LIT("Refusals for want of capacity or for the rate: 0 by receivers, "
                           "0 by our own relays, 1 by our own server to its clients; nobody "
                           "answered: 1.")));
    kit_done(&k);
}

static void own_hosts(void **state)
{
    static const char *const own[] = {"relay.example", "*.corp.example", "192.0.2.0/24",
                                      "2001:db8:1::/48", "198.18.0.7"};
    static const struct {
        const char *host, *address;
        bool is_own;
    } cases[] = {
        {"relay.example", "", true},
        {"RELAY.example.", "198.18.0.1", true},
        {"x.relay.example", "", false},
        {"a.corp.example", "", true},
        {"corp.example", "", false},
        {"", "192.0.2.200", true},
        {"", "192.0.3.1", false},
        {"", "2001:db8:1:2::3", true},
        {"", "2001:db8:2::3", false},
        {"mx.example", "198.18.0.7", true},
        {"mx.example", "198.18.0.8", false},
        {"", "10.255.0.1", true},
        {"", "172.16.0.1", true},
        {"", "172.32.0.1", false},
        {"", "192.168.9.9", true},
        {"", "127.0.0.1", true},
        {"", "fd00::1", true},
        {"", "fe80::1", true},
        {"", "::1", true},
        {"", "", false},
        {"", "not an address", false},
    };
    static const char *const wrong[] = {"192.0.2.0/33", "192.0.2.1/24", "300.1.1.1", "::zz", ""};
    struct own_hosts *o = NULL;
    struct buf why = BUF_INIT(KIB(4));

    (void)state;
    assert_int_equal(own_hosts_new(&o, own, ARRAY_SIZE(own), &why), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (own_hosts_has(o, slice_str(cases[i].host), slice_str(cases[i].address)) !=
            cases[i].is_own)
            fail_msg("%s %s", cases[i].host, cases[i].address);
    own_hosts_free(&o);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        buf_clear(&why);
        assert_int_equal(own_hosts_new(&o, &wrong[i], 1, &why), -EINVAL);
        assert_null(o);
        assert_true(buf_len(&why) > 0);
    }
    buf_done(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receivers_side),
        cmocka_unit_test(across_destinations_is_ours),
        cmocka_unit_test(usual_refusals_are_no_sign),
        cmocka_unit_test(our_own_relay),
        cmocka_unit_test(silence_and_small_samples),
        cmocka_unit_test(whom_the_bad_hours_have),
        cmocka_unit_test(domains_of_the_bad_hours),
        cmocka_unit_test(hosts_that_issue),
        cmocka_unit_test(own_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
