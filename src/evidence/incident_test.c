/* evidence/incident_test.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
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
    assert_int_equal(i.sample_count, 2);
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
    assert_string_equal(back.texts.items[0].text, "452 ?? \"quoted\"\x01");
    assert_int_equal(back.closed_ms, T0 + 5000);
    buf_done(&one);
    buf_done(&two);
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
         {.attempts = 1000,
          .refusals = 50,
          .hosts = 4,
          .hosts_refusing = 3,
          .others = 5,
          .others_attempts = 9000,
          .sources = 1,
          .sources_refused = 1,
          .sample_min = 100},
         VERDICT_RECEIVER,
         "the others are fine: 0 of 5"},
        {"one provider, one other has a bad day too",
         {.attempts = 1000,
          .refusals = 50,
          .hosts = 4,
          .hosts_refusing = 3,
          .others = 5,
          .others_refusing = 1,
          .others_attempts = 9000,
          .sample_min = 100},
         VERDICT_RECEIVER,
         "1 of 5 other"},
        {"our smart host",
         {.attempts = 1000,
          .refusals = 50,
          .refused_by_ours = 50,
          .others = 5,
          .others_attempts = 9000,
          .sample_min = 100},
         VERDICT_OURS,
         "50 of 50 refusals came from our own"},
        {"across destinations",
         {.attempts = 1000,
          .refusals = 50,
          .others = 6,
          .others_refusing = 2,
          .others_attempts = 9000,
          .sample_min = 100},
         VERDICT_OURS,
         "2 of 6 other providers"},
        {"we are under pressure",
         {.attempts = 1000,
          .refusals = 50,
          .governor_pressed = true,
          .others = 5,
          .others_attempts = 9000,
          .sample_min = 100},
         VERDICT_OURS,
         "our own server was under pressure"},
        {"nobody answers",
         {.attempts = 1000,
          .refusals = 50,
          .refused_without_reply = 49,
          .others = 5,
          .others_attempts = 9000,
          .sample_min = 100},
         VERDICT_UNDECIDED,
         "49 of 50 refusals had no reply"},
        {"1 of 5",
         {.attempts = 5, .refusals = 1, .others = 5, .others_attempts = 9000, .sample_min = 100},
         VERDICT_UNDECIDED,
         "only 5 attempts"},
        {"nobody else",
         {.attempts = 1000, .refusals = 50, .sample_min = 100},
         VERDICT_UNDECIDED,
         "enough mail to other providers"},
        {"one of our addresses",
         {.attempts = 1000,
          .refusals = 50,
          .hosts = 4,
          .hosts_refusing = 3,
          .others = 5,
          .others_attempts = 9000,
          .sources = 4,
          .sources_refused = 1,
          .sample_min = 100},
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
        cmocka_unit_test(test_changes_keep_the_first_and_the_last),
        cmocka_unit_test(test_json_and_back),
        cmocka_unit_test(test_what_is_no_incident),
        cmocka_unit_test(test_who_said_no),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
