/*
 * evidence/incident_test.c - what an incident gathers and keeps of it, its JSON and back, and who
 * said no.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/rand.h"
#include "evidence/incident.h"

#define T0 INT64_C(1790000000000)

static struct attempt refusal(const char *host, const char *domain)
{
    return (struct attempt){.queue_id = 7,
                            .at_ms = T0,
                            .number = 1,
                            .result = ATTEMPT_RESULT_DEFERRED,
                            .code = 452,
                            .text = SLICE_LIT("452 4.3.1 Insufficient system resources"),
                            .klass = REPLY_CAPACITY,
                            .host = slice_str(host),
                            .domain = slice_str(domain),
                            .local = SLICE_LIT("192.0.2.7")};
}

static void test_what_an_incident_gathers(void **state)
{
    static struct incident i;
    struct attempt a = refusal("mx1.a.test", "a.test"), b = a;

    (void)state;
    b.klass = REPLY_NONE;
    b.result = ATTEMPT_RESULT_DELIVERED;
    incident_open(&i, 3, SLICE_LIT("a/default"), SLICE_LIT("a"), "incident", T0);
    incident_attempt(&i, &a);
    a.at_ms += 1000;
    a.host = SLICE_LIT("mx2.a.test");
    incident_attempt(&i, &a);
    incident_attempt(&i, &b);
    assert_int_equal(i.counts.attempts, 3);
    assert_int_equal(i.counts.capacity, 2);
    assert_int_equal(i.first_ms, T0);
    assert_int_equal(i.last_ms, T0 + 1000);
    assert_int_equal(i.hosts.used, 2);
    assert_int_equal(i.hosts.items[0].count, 1);
    assert_int_equal(i.hosts.items[0].attempts, 2);
    assert_int_equal(i.domains.items[0].count, 2);
    assert_int_equal(i.refusals, 2);
    assert_int_equal(i.sample_count, 1); /* one message, tried twice */
    assert_string_equal(i.texts.items[0].text, "452 4.3.1 Insufficient system resources");
}

static void test_the_frequent_stay_in_a_full_list(void **state)
{
    static struct incident i;
    char domain[32];

    (void)state;
    incident_open(&i, 1, SLICE_LIT("a/b"), SLICE_LIT("a"), "incident", T0);
    for (int n = 0; n < 2000; n++) {
        struct attempt a;

        (void)snprintf(domain, sizeof(domain), "d%d.test", n % 3 ? 100 + n : n % 4);
        a = refusal("mx", domain);
        incident_attempt(&i, &a);
    }
    assert_int_equal(i.domains.used, INCIDENT_LIST_MAX);
    for (int n = 0; n < 4; n++) {
        bool found = false;

        (void)snprintf(domain, sizeof(domain), "d%d.test", n);
        for (uint32_t k = 0; k < i.domains.used; k++)
            found |= strcmp(i.domains.items[k].text, domain) == 0;
        assert_true(found);
    }
    assert_true(i.domains.others > 0);
}

static void check_sums(const struct incident_list *l, uint64_t refusals)
{
    uint64_t sum = l->others;

    for (uint32_t n = 0; n < l->used; n++) {
        assert_true(l->items[n].inherited <= l->items[n].count);
        assert_true(incident_item_refusals(&l->items[n]) <= l->items[n].attempts);
        sum += incident_item_refusals(&l->items[n]);
    }
    assert_int_equal(sum, refusals);
}

/* Whatever comes in: every refusal is an item's or the others', and nothing is counted twice. */
static void test_lists_add_up(void **state)
{
    static struct incident i;
    struct rand chance;

    (void)state;
    rand_init(&chance, 17);
    for (int story = 0; story < 50; story++) {
        uint64_t values = 1 + rand_below(&chance, 200), without_reply = 0, ours = 0;

        incident_open(&i, 1, SLICE_LIT("a/b"), SLICE_LIT("a"), "incident", T0);
        for (int n = 0; n < 1000; n++) {
            char text[4][32];
            struct attempt a;

            for (int k = 0; k < 4; k++)
                (void)snprintf(text[k], sizeof(text[k]), "%d-%d", k,
                               (int)rand_below(&chance, values));
            a = refusal(text[0], text[1]);
            a.text = slice_str(text[2]);
            a.local = slice_str(text[3]);
            a.queue_id = rand_below(&chance, values);
            a.is_ours = rand_below(&chance, 4) == 0;
            if (rand_below(&chance, 3) == 0)
                a.code = 0;
            if (rand_below(&chance, 3) == 0) {
                a.klass = REPLY_NONE;
                a.result = ATTEMPT_RESULT_DELIVERED;
            } else {
                a.klass = a.code ? REPLY_CAPACITY : REPLY_DNS;
                without_reply += a.code == 0;
                ours += a.is_ours;
            }
            incident_attempt(&i, &a);
        }
        check_sums(&i.hosts, i.refusals);
        check_sums(&i.domains, i.refusals);
        check_sums(&i.texts, i.refusals);
        check_sums(&i.sources, i.refusals);
        assert_int_equal(i.refused_without_reply, without_reply);
        assert_int_equal(i.refused_by_ours, ours);
        assert_int_equal(i.counts.attempts, 1000);
        assert_int_equal(i.sample_count, MIN_OF(values, (uint64_t)INCIDENT_SAMPLES_MAX));
    }
}

static void test_what_counts_as_refused(void **state)
{
    static const struct {
        enum reply_class klass;
        uint16_t code;
        enum attempt_result result;
        bool is_refusal;
    } cases[] = {
        {REPLY_CAPACITY, 452, ATTEMPT_RESULT_DEFERRED, true},
        {REPLY_CAPACITY, 552, ATTEMPT_RESULT_FAILED, true},
        {REPLY_RATE, 421, ATTEMPT_RESULT_DEFERRED, true},
        {REPLY_CONNECTION, 0, ATTEMPT_RESULT_DEFERRED, true},
        {REPLY_DNS, 0, ATTEMPT_RESULT_DEFERRED, true},
        {REPLY_TLS, 0, ATTEMPT_RESULT_DEFERRED, true},
        {REPLY_DNS, 550, ATTEMPT_RESULT_FAILED, false},
        {REPLY_TLS, 454, ATTEMPT_RESULT_DEFERRED, false},
        {REPLY_MAILBOX_FULL, 452, ATTEMPT_RESULT_DEFERRED, false},
        {REPLY_BATCH, 452, ATTEMPT_RESULT_DELIVERED, false},
        {REPLY_POLICY, 550, ATTEMPT_RESULT_FAILED, false},
        {REPLY_GREYLIST, 450, ATTEMPT_RESULT_DEFERRED, false},
        {REPLY_NONE, 250, ATTEMPT_RESULT_DELIVERED, false},
    };
    static struct incident i;

    (void)state;
    for (size_t n = 0; n < ARRAY_SIZE(cases); n++) {
        struct attempt a = refusal("mx", "d");

        a.klass = cases[n].klass;
        a.code = cases[n].code;
        a.result = cases[n].result;
        incident_open(&i, 1, SLICE_LIT("a/b"), SLICE_LIT("a"), "incident", T0);
        incident_attempt(&i, &a);
        if ((i.refusals == 1) != cases[n].is_refusal)
            fail_msg("case %zu", n);
        assert_int_equal(i.refused_without_reply, cases[n].is_refusal && cases[n].code == 0);
        assert_int_equal(i.counts.attempts, 1);
    }
}

static void test_changes_keep_the_first_and_the_last(void **state)
{
    static struct incident i;
    char text[32];

    (void)state;
    incident_open(&i, 1, SLICE_LIT("a/b"), SLICE_LIT("a"), "incident", T0);
    for (int n = 0; n < 200; n++) {
        (void)snprintf(text, sizeof(text), "change %d", n);
        incident_changed(&i, T0 + n, slice_str(text));
    }
    assert_int_equal(i.change_count, INCIDENT_CHANGES_MAX);
    assert_string_equal(i.changes[0].text, "change 0");
    assert_string_equal(i.changes[1].text, "change 137");
    assert_string_equal(i.changes[INCIDENT_CHANGES_MAX - 1].text, "change 199");
}

static void test_json_and_back(void **state)
{
    static struct incident i, back;
    struct attempt a = refusal("mx1.a.test", "a.test");
    struct verdict_facts f;
    struct buf one = BUF_INIT(INCIDENT_JSON_MAX), two = BUF_INIT(INCIDENT_JSON_MAX);

    (void)state;
    a.text = SLICE_LIT("452 \xff\xfe \"quoted\"\x01");
    incident_open(&i, 9, SLICE_LIT("a/default"), SLICE_LIT("a"), "throttle", T0);
    incident_attempt(&i, &a);
    incident_changed(&i, T0, SLICE_LIT("connections 20 -> 16"));
    incident_facts(&i, &f);
    verdict_decide(&f, &i.verdict);
    i.peak_share = 0.031;
    incident_close(&i, T0 + 5000);
    assert_int_equal(incident_encode(&i, &one), 0);
    assert_int_equal(incident_decode(buf_slice(&one), &back), 0);
    assert_int_equal(incident_encode(&back, &two), 0);
    assert_true(slice_eq(buf_slice(&one), buf_slice(&two)));
    assert_string_equal(back.lane, "a/default");
    assert_string_equal(back.texts.items[0].text, "452 ?? \"quoted\"?");
    assert_int_equal(back.closed_ms, T0 + 5000);
    buf_done(&one);
    buf_done(&two);
}

/* The worst texts in every place still fit, and come back as they are. */
static void test_the_largest_one_fits(void **state)
{
    static struct incident i, back;
    struct buf one = BUF_INIT(INCIDENT_JSON_MAX), two = BUF_INIT(INCIDENT_JSON_MAX);
    char worst[INCIDENT_ITEM_MAX + 50];

    (void)state;
    memset(worst, '"', sizeof(worst));
    incident_open(&i, UINT32_MAX, slice_make(worst, sizeof(worst)), slice_make(worst, 300),
                  "throttle", INT64_MAX);
    for (int n = 0; n < 200; n++) {
        struct attempt a = refusal("", "");

        (void)snprintf(worst, 16, "%015d", n);
        worst[15] = '\\';
        a.queue_id = UINT64_MAX - (uint64_t)n;
        a.at_ms = INT64_MAX;
        a.text = a.host = a.domain = a.local = slice_make(worst, sizeof(worst));
        incident_attempt(&i, &a);
        incident_changed(&i, INT64_MAX, slice_make(worst, sizeof(worst)));
    }
    i.verdict.reason_count = VERDICT_REASONS_MAX;
    for (int n = 0; n < VERDICT_REASONS_MAX; n++)
        memset(i.verdict.reasons[n], '"', VERDICT_REASON_MAX - 1);
    assert_int_equal(incident_encode(&i, &one), 0);
    assert_int_equal(incident_decode(buf_slice(&one), &back), 0);
    assert_int_equal(incident_encode(&back, &two), 0);
    assert_true(slice_eq(buf_slice(&one), buf_slice(&two)));
    assert_memory_equal(back.samples, i.samples, sizeof(i.samples));
    assert_int_equal(back.domains.items[3].count, i.domains.items[3].count);
    buf_done(&one);
    buf_done(&two);
}

/* Cut anywhere it is damaged; with a byte changed it is damaged or one that encodes. */
static void test_damaged_json(void **state)
{
    static struct incident i, back;
    struct attempt a = refusal("mx1.a.test", "a.test");
    struct buf one = BUF_INIT(INCIDENT_JSON_MAX), again = BUF_INIT(INCIDENT_JSON_MAX);
    struct rand chance;
    uint8_t copy[KIB(4)];

    (void)state;
    rand_init(&chance, 2);
    incident_open(&i, 9, SLICE_LIT("a/default"), SLICE_LIT("a"), "throttle", T0);
    incident_attempt(&i, &a);
    incident_changed(&i, T0, SLICE_LIT("connections 20 -> 16"));
    assert_int_equal(incident_encode(&i, &one), 0);
    assert_true(buf_len(&one) <= sizeof(copy));
    for (size_t n = 0; n < buf_len(&one); n++) {
        assert_int_equal(incident_decode(slice_sub(buf_slice(&one), 0, n), &back), -ERR_DAMAGED);
        for (int k = 0; k < 4; k++) {
            memcpy(copy, buf_slice(&one).ptr, buf_len(&one));
            copy[n] = (uint8_t)rand_below(&chance, 256);
            if (incident_decode(slice_make(copy, buf_len(&one)), &back) == 0) {
                buf_clear(&again);
                assert_int_equal(incident_encode(&back, &again), 0);
            }
        }
    }
    buf_done(&one);
    buf_done(&again);
}

static void test_what_is_no_incident(void **state)
{
    static const char *const bad[] = {"", "[]", "{", "7", "{\"id\":1}x"};
    static struct incident i;

    (void)state;
    for (size_t n = 0; n < ARRAY_SIZE(bad); n++)
        assert_int_equal(incident_decode(slice_str(bad[n]), &i), -ERR_DAMAGED);
    assert_int_equal(incident_decode(SLICE_LIT("{\"lane\":7,\"hosts\":[],\"samples\":{}}"), &i), 0);
    assert_string_equal(i.lane, "");
}

/* A window in which a twentieth was refused; the others, who are well. */
#define REFUSED_50 .attempts = 1000, .refusals = 50, .sample_min = 100
#define OTHERS_5 .others = 5, .others_attempts = 9000

static void test_who_said_no(void **state)
{
    static const struct {
        const char *name;
        struct verdict_facts f;
        enum verdict_side side;
        const char *says; /* in a reason, or in what is missing */
    } cases[] = {
        {"nothing",
         {.attempts = 1000, .sample_min = 100},
         VERDICT_UNDECIDED,
         "nothing was refused"},
        {"one provider",
         {REFUSED_50, .hosts = 4, .hosts_refusing = 3, OTHERS_5, .sources = 1,
          .sources_refused = 1},
         VERDICT_RECEIVER,
         "the others are fine: 0 of 5"},
        {"one provider, one other has a bad day too",
         {REFUSED_50, .hosts = 4, .hosts_refusing = 3, OTHERS_5, .others_refusing = 1},
         VERDICT_RECEIVER,
         "1 of 5 other"},
        {"our smart host",
         {REFUSED_50, .refused_by_ours = 50, OTHERS_5},
         VERDICT_OURS,
         "50 of 50 refusals came from our own"},
        {"across destinations",
         {REFUSED_50, .others = 6, .others_refusing = 2, .others_attempts = 9000},
         VERDICT_OURS,
         "2 of 6 other providers"},
        {"we are under pressure",
         {REFUSED_50, .governor_pressed = true, OTHERS_5},
         VERDICT_OURS,
         "our own server was under pressure"},
        {"nobody answers",
         {REFUSED_50, .refused_without_reply = 49, OTHERS_5},
         VERDICT_UNDECIDED,
         "49 of 50 refusals had no reply"},
        {"1 of 5",
         {.attempts = 5, .refusals = 1, OTHERS_5, .sample_min = 100},
         VERDICT_UNDECIDED,
         "only 5 attempts"},
        {"nobody else", {REFUSED_50}, VERDICT_UNDECIDED, "enough mail to other providers"},
        {"1 of 1, and it was our smart host",
         {.attempts = 1, .refusals = 1, .refused_by_ours = 1, .sample_min = 100},
         VERDICT_OURS,
         "1 of 1 refusals came from our own"},
        {"a few by our relay, most by the provider",
         {REFUSED_50, .hosts = 4, .hosts_refusing = 4, .refused_by_ours = 10, OTHERS_5},
         VERDICT_RECEIVER,
         "10 of the refusals came from our own"},
        {"half and half is not most",
         {REFUSED_50, .hosts = 1, .hosts_refusing = 1, .refused_by_ours = 25, OTHERS_5},
         VERDICT_RECEIVER,
         "25 of the refusals"},
        {"one host of many",
         {REFUSED_50, .hosts = 12, .hosts_refusing = 1, OTHERS_5},
         VERDICT_RECEIVER,
         "by 1 of 12 hosts"},
        {"more hosts than are counted",
         {REFUSED_50, .hosts = INCIDENT_LIST_MAX, .hosts_refusing = INCIDENT_LIST_MAX, OTHERS_5},
         VERDICT_RECEIVER,
         "by 16 of 16 or more hosts"},
        {"hosts without names", {REFUSED_50, OTHERS_5}, VERDICT_RECEIVER, "names are not known"},
        {"too little mail to others",
         {REFUSED_50, .others = 2, .others_attempts = 99},
         VERDICT_UNDECIDED,
         "enough mail to other providers"},
        {"the only other one refuses too",
         {REFUSED_50, .others = 1, .others_refusing = 1, .others_attempts = 9000},
         VERDICT_UNDECIDED,
         "mail to more providers"},
        {"one of two others refuses too",
         {REFUSED_50, .others = 2, .others_refusing = 1, .others_attempts = 9000},
         VERDICT_UNDECIDED,
         "1 of 2 other providers refuse more than usual too"},
        {"both others refuse too",
         {REFUSED_50, .others = 2, .others_refusing = 2, .others_attempts = 9000,
          .destinations_refusing = 40},
         VERDICT_OURS,
         "40 recipient domains"},
        {"three of ten others: no third, no quarter of peace",
         {REFUSED_50, .others = 10, .others_refusing = 3, .others_attempts = 9000},
         VERDICT_UNDECIDED,
         "3 of 10 other providers"},
        {"across destinations, without one reply: our network",
         {.attempts = 1000,
          .refusals = 1000,
          .refused_without_reply = 1000,
          .others = 3,
          .others_refusing = 3,
          .others_attempts = 9000,
          .sample_min = 100},
         VERDICT_OURS,
         "3 of 3 other providers"},
        {"no reply, the others are well",
         {.attempts = 1000,
          .refusals = 1000,
          .refused_without_reply = 1000,
          .others = 3,
          .others_attempts = 9000,
          .sample_min = 100},
         VERDICT_UNDECIDED,
         "none of 3 other providers"},
        {"some without reply",
         {REFUSED_50, .hosts = 2, .hosts_refusing = 2, .refused_without_reply = 20, OTHERS_5},
         VERDICT_RECEIVER,
         "20 of the refusals had no reply"},
        {"all of our addresses",
         {REFUSED_50, .hosts = 2, .hosts_refusing = 2, OTHERS_5, .sources = 4,
          .sources_refused = 4},
         VERDICT_RECEIVER,
         "all 4 of our sending addresses"},
        {"one of our addresses",
         {REFUSED_50, .hosts = 4, .hosts_refusing = 3, OTHERS_5, .sources = 4,
          .sources_refused = 1},
         VERDICT_RECEIVER,
         "1 of our 4 sending addresses"},
    };

    (void)state;
    for (size_t n = 0; n < ARRAY_SIZE(cases); n++) {
        struct verdict v;
        bool said;

        verdict_decide(&cases[n].f, &v);
        said = strstr(v.missing, cases[n].says) != NULL;
        for (uint32_t k = 0; k < v.reason_count; k++)
            said |= strstr(v.reasons[k], cases[n].says) != NULL;
        if (v.side != cases[n].side || !said)
            fail_msg("%s: %s, and %s \"%s\"", cases[n].name, verdict_side_name(v.side),
                     said ? "says" : "does not say", cases[n].says);
        assert_true((v.side == VERDICT_UNDECIDED) == (v.missing[0] != '\0'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_an_incident_gathers),
        cmocka_unit_test(test_the_frequent_stay_in_a_full_list),
        cmocka_unit_test(test_lists_add_up),
        cmocka_unit_test(test_what_counts_as_refused),
        cmocka_unit_test(test_changes_keep_the_first_and_the_last),
        cmocka_unit_test(test_json_and_back),
        cmocka_unit_test(test_the_largest_one_fits),
        cmocka_unit_test(test_damaged_json),
        cmocka_unit_test(test_what_is_no_incident),
        cmocka_unit_test(test_who_said_no),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
