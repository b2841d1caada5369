/*
 * deliver/mx_test.c - MX selection against a little DNS written as text: the order of hosts, and
 * what each kind of answer means for the mail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "deliver/mx.h"

/*
 * A zone: "NAME TYPE DATA" in each line. TYPE is MX ("10 host."), A, AAAA, or what the name gives
 * instead of records: TEMP, BOGUS. A name of no line does not exist.
 */
struct answer {
    struct dns_answer dns;
    struct slice records[DNS_RECORDS_MAX];
    uint8_t bytes[DNS_RECORDS_MAX][300];
};

static size_t put_wire_name(uint8_t *to, const char *name)
{
    size_t len = 0;

    while (*name) {
        size_t label = strcspn(name, ".");

        to[len++] = (uint8_t)label;
        memcpy(to + len, name, label);
        len += label;
        name += label + (name[label] == '.');
    }
    to[len++] = 0;
    return len;
}

static void add_record(struct answer *a, uint16_t type, const char *data)
{
    uint8_t *to = a->bytes[a->dns.count];
    size_t len = 0;
    unsigned preference;
    char name[400];
    struct addr addr;

    if (type == DNS_MX) {
        assert_int_equal(sscanf(data, "%u %279s", &preference, name), 2);
        to[0] = (uint8_t)(preference >> 8);
        to[1] = (uint8_t)preference;
        len = 2 + put_wire_name(to + 2, strcmp(name, ".") == 0 ? "" : name);
    } else {
        (void)snprintf(name, sizeof(name), type == DNS_A ? "%s:1" : "[%s]:1", data);
        assert_int_equal(addr_parse(slice_str(name), 1, &addr, NULL), 0);
        len = type == DNS_A ? 4 : 16;
        if (type == DNS_A)
            memcpy(to, &addr.u.in.sin_addr, 4);
        else
            memcpy(to, &addr.u.in6.sin6_addr, 16);
    }
    a->records[a->dns.count] = slice_make(to, len);
    a->dns.count++;
}

static void resolve(const char *zone, const char *name, uint16_t type, bool secure,
                    struct answer *a)
{
    static const char *const types[] = {[DNS_A] = "A", [DNS_MX] = "MX", [DNS_AAAA] = "AAAA"};
    char line_name[280], line_type[8], data[300];
    bool exists = false;
    int used;

    memset(a, 0, sizeof(*a));
    a->dns.records = a->records;
    a->dns.secure = secure;
    while (sscanf(zone, " %279s %7s %299[^\n]%n", line_name, line_type, data, &used) == 3) {
        zone += used;
        if (strcmp(line_name, name) != 0)
            continue;
        exists = true;
        if (strcmp(line_type, "TEMP") == 0 || strcmp(line_type, "BOGUS") == 0) {
            a->dns.err = -ERR_DNS_TEMP;
            a->dns.bogus = line_type[0] == 'B';
            a->dns.why = "SERVFAIL from 127.0.0.1";
            return;
        }
        if (strcmp(line_type, types[type]) == 0)
            add_record(a, type, data);
    }
    a->dns.nxdomain = !exists;
    if (a->dns.count == 0)
        a->dns.err = -ERR_DNS_NONE;
}

static bool own_is_198_51_100_1(void *ctx, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];

    (void)ctx;
    addr_format_ip(a, text);
    return strcmp(text, "198.51.100.1") == 0;
}

static const struct slice own_names[] = {{(const uint8_t *)"Us.Example.ORG", 14}};
static const struct mx_config plain = {.families = CONFIG_FAMILIES_PREFER_IPV6,
                                       .port = 25,
                                       .own_names = own_names,
                                       .own_name_count = 1,
                                       .is_own = own_is_198_51_100_1};

/* Drives a started mx to its end, answers in a random order. Adds "host=address " of each try. */
static void drive(struct mx *m, struct rand *r, const char *zone, bool secure, char *tried,
                  size_t size)
{
    struct mx_step asked[64], step;
    size_t asked_count = 0, lookups = 0, len = 0;
    enum mx_step_kind kind;
    static struct answer a;

    tried[0] = '\0';
    while ((kind = mx_next(m, &step)) != MX_END) {
        if (kind == MX_LOOKUP) {
            assert_true(asked_count < ARRAY_SIZE(asked) && ++lookups <= 1 + 2 * MX_HOSTS_MAX);
            asked[asked_count++] = step;
        } else if (kind == MX_TRY) {
            char text[ADDR_TEXT_MAX];

            assert_int_equal(asked_count, 0);
            assert_int_equal(step.secure, secure);
            addr_format(&step.addr, text);
            len += (size_t)snprintf(tried + len, size - len, "%s=%s ", step.name, text);
            assert_true(len < size);
        } else {
            size_t i = (size_t)rand_below(r, asked_count);

            resolve(zone, asked[i].name, asked[i].type, secure, &a);
            mx_answer(m, asked[i].lookup, &a.dns);
            mx_answer(m, asked[i].lookup, &a.dns); /* a second time is ignored */
            asked[i] = asked[--asked_count];
        }
    }
}

struct case_ {
    const char *zone, *domain, *tried, *status;
    enum mx_result result;
};

static const struct case_ cases[] = {
    {"a.org MX 20 two.a.org\na.org MX 10 one.a.org\none.a.org A 192.0.2.1\n"
     "one.a.org AAAA 2001:db8::1\ntwo.a.org A 192.0.2.2",
     "a.org", "one.a.org=[2001:db8::1]:25 one.a.org=192.0.2.1:25 two.a.org=192.0.2.2:25 ", "",
     MX_TRIED_ALL},
    /* No MX: the domain itself. */
    {"a.org A 192.0.2.1", "A.Org.", "a.org=192.0.2.1:25 ", "", MX_TRIED_ALL},
    {"a.org TXT x", "a.org", "", "5.4.4", MX_FAIL},
    {"a.org A 0.0.0.0\na.org A 224.0.0.1\na.org A 255.255.255.255\na.org AAAA ::\n"
     "a.org AAAA ff02::1\na.org AAAA ::ffff:192.0.2.1\na.org AAAA ::192.0.2.1",
     "a.org", "", "5.4.4", MX_FAIL},
    {"", "a.org", "", "5.1.2", MX_FAIL},
    {"a.org TEMP x", "a.org", "", "4.4.3", MX_DEFER},
    {"a.org BOGUS x", "a.org", "", "4.4.3", MX_DEFER},
    /* Null MX; with others beside it it means nothing. */
    {"a.org MX 0 .\na.org A 192.0.2.1", "a.org", "", "5.1.10", MX_FAIL},
    {"a.org MX 0 .\na.org MX 5 h.a.org\nh.a.org A 192.0.2.1", "a.org", "h.a.org=192.0.2.1:25 ", "",
     MX_TRIED_ALL},
    /* MX hosts that cannot be used: no fall back to the domain's address. */
    {"a.org MX 0 192.0.2.9\na.org A 192.0.2.1", "a.org", "", "5.4.4", MX_FAIL},
    {"a.org MX 0 a b.org\na.org MX 5 a@b.org\na.org MX 6 a..b.org", "a.org", "", "5.4.4", MX_FAIL},
    {"a.org MX 0 gone.a.org\na.org A 192.0.2.1", "a.org", "", "5.4.4", MX_FAIL},
    {"a.org MX 0 h.a.org\nh.a.org TEMP x", "a.org", "", "4.4.3", MX_DEFER},
    {"a.org MX 0 h.a.org\na.org MX 5 i.a.org\nh.a.org TEMP x\ni.a.org A 192.0.2.1", "a.org",
     "i.a.org=192.0.2.1:25 ", "", MX_TRIED_ALL},
    /* We are in the list by name. */
    {"a.org MX 10 h.a.org\na.org MX 20 us.example.org\na.org MX 20 i.a.org\na.org MX 30 j.a.org\n"
     "h.a.org A 192.0.2.1\ni.a.org A 192.0.2.2\nj.a.org A 192.0.2.3\nus.example.org A 192.0.2.4",
     "a.org", "h.a.org=192.0.2.1:25 ", "", MX_TRIED_ALL},
    {"a.org MX 10 us.example.org\na.org MX 20 i.a.org\ni.a.org A 192.0.2.2", "a.org", "", "5.4.6",
     MX_FAIL},
    {"us.example.org A 192.0.2.7", "us.example.org", "", "5.4.6", MX_FAIL},
    /* ... by address, under a name that is not ours. */
    {"a.org MX 10 h.a.org\na.org MX 20 x.a.org\na.org MX 20 i.a.org\na.org MX 30 j.a.org\n"
     "h.a.org A 192.0.2.1\ni.a.org A 192.0.2.2\nj.a.org A 192.0.2.3\nx.a.org A 198.51.100.1",
     "a.org", "h.a.org=192.0.2.1:25 ", "", MX_TRIED_ALL},
    {"a.org MX 10 x.a.org\na.org MX 20 i.a.org\nx.a.org A 198.51.100.1\ni.a.org A 192.0.2.2",
     "a.org", "", "5.4.6", MX_FAIL},
    /* A better host may be back later: no loop yet. */
    {"a.org MX 5 h.a.org\na.org MX 10 us.example.org\nh.a.org TEMP x", "a.org", "", "4.4.3",
     MX_DEFER},
    /* Duplicates, of names and of addresses. */
    {"a.org MX 5 h.a.org\na.org MX 5 H.A.org\na.org MX 9 h.a.org\na.org MX 10 i.a.org\n"
     "h.a.org A 192.0.2.1\nh.a.org A 192.0.2.1\ni.a.org A 192.0.2.1",
     "a.org", "h.a.org=192.0.2.1:25 ", "", MX_TRIED_ALL},
    /* Literals. */
    {"", "[192.0.2.1]", "[192.0.2.1]=192.0.2.1:25 ", "", MX_TRIED_ALL},
    {"", "[ipv6:2001:db8::1]", "[ipv6:2001:db8::1]=[2001:db8::1]:25 ", "", MX_TRIED_ALL},
    {"", "[198.51.100.1]", "", "5.4.6", MX_FAIL},
    {"", "[2001:db8::1]", "", "5.1.3", MX_FAIL},
    {"", "[IPv6:192.0.2.1]", "", "5.1.3", MX_FAIL},
    {"", "[192.0.2.1", "", "5.1.3", MX_FAIL},
    {"", "[]", "", "5.1.3", MX_FAIL},
    {"", "[0.0.0.0]", "", "5.1.3", MX_FAIL},
    {"", "[192.0.2.1]]", "", "5.1.3", MX_FAIL},
    /* Names that are none. */
    {"", "", "", "5.1.2", MX_FAIL},
    {"", ".", "", "5.1.2", MX_FAIL},
    {"", "192.0.2.1", "", "5.1.2", MX_FAIL},
    {"", "a b.org", "", "5.1.2", MX_FAIL},
    {"", "a..org", "", "5.1.2", MX_FAIL},
    {"", "\xff\xfe.org", "", "5.1.2", MX_FAIL},
    {"xn--bcher-kva.example A 192.0.2.1",
     "b\xc3\xbc"
     "cher.example",
     "xn--bcher-kva.example=192.0.2.1:25 ", "", MX_TRIED_ALL},
};

static void each_kind_of_answer(void **state)
{
    char tried[4000];
    struct rand r;
    struct mx m;

    (void)state;
    rand_init(&r, 1);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (int round = 0; round < 8; round++) {
            const struct case_ *c = &cases[i];

            mx_start(&m, &plain, &r, slice_str(c->domain));
            drive(&m, &r, c->zone, false, tried, sizeof(tried));
            assert_string_equal(tried, c->tried);
            assert_int_equal(mx_verdict(&m)->result, c->result);
            assert_string_equal(mx_verdict(&m)->status, c->status);
            assert_true(strlen(mx_verdict(&m)->why) > 0);
            if (c->result != MX_TRIED_ALL)
                assert_int_equal(mx_verdict(&m)->code / 100, c->result == MX_FAIL ? 5 : 4);
        }
    }
}

static const char two_families[] = "a.org MX 5 h.a.org\nh.a.org A 192.0.2.1\n"
                                   "h.a.org AAAA 2001:db8::1";

static void families_follow_the_setting(void **state)
{
    static const struct {
        enum config_families families;
        const char *tried;
    } settings[] = {
        {CONFIG_FAMILIES_PREFER_IPV6, "h.a.org=[2001:db8::1]:25 h.a.org=192.0.2.1:25 "},
        {CONFIG_FAMILIES_PREFER_IPV4, "h.a.org=192.0.2.1:25 h.a.org=[2001:db8::1]:25 "},
        {CONFIG_FAMILIES_IPV6, "h.a.org=[2001:db8::1]:25 "},
        {CONFIG_FAMILIES_IPV4, "h.a.org=192.0.2.1:25 "},
    };
    struct mx_config config = plain;
    char tried[4000];
    struct rand r;
    struct mx m;
    int ipv6_first = 0;

    (void)state;
    rand_init(&r, 2);
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        config.families = settings[i].families;
        mx_start(&m, &config, &r, SLICE_LIT("a.org"));
        drive(&m, &r, two_families, true, tried, sizeof(tried));
        assert_string_equal(tried, settings[i].tried);
    }
    config.families = CONFIG_FAMILIES_ANY;
    for (int i = 0; i < 400; i++) {
        mx_start(&m, &config, &r, SLICE_LIT("a.org"));
        drive(&m, &r, two_families, false, tried, sizeof(tried));
        ipv6_first += strstr(tried, "2001") < strstr(tried, "192.0");
    }
    assert_in_range(ipv6_first, 120, 280);
}

static void hosts_of_one_preference_share_the_mail(void **state)
{
    static const char zone[] = "a.org MX 5 h.a.org\na.org MX 5 i.a.org\na.org MX 5 j.a.org\n"
                               "a.org MX 9 k.a.org\nh.a.org A 192.0.2.1\ni.a.org A 192.0.2.2\n"
                               "j.a.org A 192.0.2.3\nk.a.org A 192.0.2.4";
    char tried[4000];
    int first[256] = {0};
    struct rand r;
    struct mx m;

    (void)state;
    rand_init(&r, 3);
    for (int i = 0; i < 900; i++) {
        mx_start(&m, &plain, &r, SLICE_LIT("a.org"));
        drive(&m, &r, zone, false, tried, sizeof(tried));
        first[(uint8_t)tried[0]]++;
        assert_string_equal(strrchr(tried, 'k'), "k.a.org=192.0.2.4:25 ");
    }
    for (int c = 'h'; c <= 'j'; c++)
        assert_in_range(first[c], 220, 380);
}

static void limits_hold(void **state)
{
    static char zone[20000];
    struct mx_config config = plain;
    char tried[8000];
    struct rand r;
    struct mx m;
    size_t len = 0, count = 0;

    (void)state;
    for (int i = 0; i < 60; i++)
        len += (size_t)snprintf(zone + len, sizeof(zone) - len,
                                "a.org MX %d h%d.a.org\nh%d.a.org A 192.0.2.%d\n"
                                "h%d.a.org A 192.0.3.%d\nh%d.a.org AAAA 2001:db8::%d\n",
                                i / 5, i, i, i, i, i, i, i);
    for (int i = 0; i < 60; i++)
        len += (size_t)snprintf(zone + len, sizeof(zone) - len, "b.org A 203.0.113.%d\n", i);
    rand_init(&r, 4);
    mx_start(&m, &plain, &r, SLICE_LIT("a.org"));
    drive(&m, &r, zone, false, tried, sizeof(tried));
    for (const char *p = tried; (p = strchr(p, '=')) != NULL; p++)
        count++;
    assert_int_equal(count, 3 * MX_HOSTS_MAX);
    config.tries_max = 4;
    config.hosts_max = 2;
    mx_start(&m, &config, &r, SLICE_LIT("a.org"));
    drive(&m, &r, zone, false, tried, sizeof(tried));
    for (const char *p = tried; (p = strchr(p, '=')) != NULL; p++)
        count++;
    assert_int_equal(count, 3 * MX_HOSTS_MAX + 4);
    assert_int_equal(m.host_count, 2);
    mx_start(&m, &plain, &r, SLICE_LIT("b.org"));
    drive(&m, &r, zone, false, tried, sizeof(tried));
    for (const char *p = tried; (p = strchr(p, '=')) != NULL; p++)
        count++;
    assert_int_equal(count, 3 * MX_HOSTS_MAX + 4 + MX_ADDRESSES_PER_FAMILY);
}

static void routes_never_fail_for_good(void **state)
{
    static const struct {
        const char *zone, *host, *tried;
        bool relay;
    } routes[] = {
        {"h.org A 192.0.2.1\nh.org MX 5 x.org", "H.org", "h.org=192.0.2.1:2525 ", false},
        {"", "192.0.2.1", "192.0.2.1=192.0.2.1:2525 ", false},
        {"", "[2001:db8::1]", "2001:db8::1=[2001:db8::1]:2525 ", false},
        {"", "127.0.0.1", "127.0.0.1=127.0.0.1:2525 ", false},
        {"", "::1", "::1=[::1]:2525 ", false},
        {"", "h.org", "", false},
        {"h.org TEMP x", "h.org", "", false},
        {"", "not a name", "", false},
        {"", "198.51.100.1", "", false},
        {"", "0.0.0.0", "", false},
        {"h.org MX 5 x.org\nx.org A 192.0.2.1", "h.org", "x.org=192.0.2.1:25 ", true},
        {"", "h.org", "", true},
        {"h.org MX 0 .", "h.org", "", true},
        {"", "not a name", "", true},
    };
    char tried[4000];
    struct rand r;
    struct mx m;

    (void)state;
    rand_init(&r, 5);
    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        if (routes[i].relay)
            mx_start_relay(&m, &plain, &r, slice_str(routes[i].host));
        else
            mx_start_host(&m, &plain, &r, slice_str(routes[i].host), 2525);
        drive(&m, &r, routes[i].zone, false, tried, sizeof(tried));
        assert_string_equal(tried, routes[i].tried);
        assert_int_equal(mx_verdict(&m)->result, routes[i].tried[0] ? MX_TRIED_ALL : MX_DEFER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_answer),
        cmocka_unit_test(families_follow_the_setting),
        cmocka_unit_test(hosts_of_one_preference_share_the_mail),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(routes_never_fail_for_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
