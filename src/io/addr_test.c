/* io/addr_test.c - addresses and networks, as text and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/addr.h"

static void addresses_read_and_print(void **state)
{
    static const struct {
        const char *text;
        const char *printed; /* NULL: refused */
        const char *ip;
        bool loopback;
    } cases[] = {
        {"127.0.0.1:2525", "127.0.0.1:2525", "127.0.0.1", true},
        {"192.0.2.7", "192.0.2.7:25", "192.0.2.7", false},
        {"0.0.0.0:0", "0.0.0.0:0", "0.0.0.0", false},
        {"[::1]:587", "[::1]:587", "::1", true},
        {"[2001:DB8::1]", "[2001:db8::1]:25", "2001:db8::1", false},
        {"::1", "[::1]:25", "::1", true},
        {"[::ffff:127.0.0.9]:1", "[::ffff:127.0.0.9]:1", "::ffff:127.0.0.9", true},
        {"unix:/run/x.sock", "unix:/run/x.sock", "unix:/run/x.sock", true},
        {"", NULL, NULL, false},
        {":", NULL, NULL, false},
        {":25", NULL, NULL, false},
        {"[]:25", NULL, NULL, false},
        {"[", NULL, NULL, false},
        {"[::1", NULL, NULL, false},
        {"[::1]25", NULL, NULL, false},
        {"[::1]:", NULL, NULL, false},
        {"[127.0.0.1]:25", NULL, NULL, false},
        {"127.0.0.1:", NULL, NULL, false},
        {"127.0.0.1:65536", NULL, NULL, false},
        {"127.0.0.1:-1", NULL, NULL, false},
        {"127.0.0.1:25x", NULL, NULL, false},
        {"127.0.0.1x", NULL, NULL, false},
        {"127.0.0", NULL, NULL, false},
        {"256.0.0.1:25", NULL, NULL, false},
        {"localhost:25", NULL, NULL, false},
        {"fe80::1%eth0", NULL, NULL, false},
        {"1:2:3:4:5:6:7:8:9", NULL, NULL, false},
        {"unix:", NULL, NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf why = BUF_INIT(1000);
        char text[ADDR_TEXT_MAX];
        struct addr a, again;
        int r = addr_parse(slice_str(cases[i].text), 25, &a, &why);

        if (!cases[i].printed) {
            assert_int_equal(r, -EINVAL);
            assert_true(buf_len(&why) > 20);
            assert_int_equal(addr_parse(slice_str(cases[i].text), 25, &a, NULL), -EINVAL);
            buf_done(&why);
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(buf_len(&why), 0);
        addr_format(&a, text);
        assert_string_equal(text, cases[i].printed);
        assert_int_equal(addr_parse(slice_str(text), 1, &again, NULL), 0);
        assert_true(addr_eq(&a, &again));
        assert_int_equal(addr_is_ipv6(&a), a.u.any.sa_family == AF_INET6);
        assert_int_equal(addr_is_loopback(&a), cases[i].loopback);
        addr_format_ip(&a, text);
        assert_string_equal(text, cases[i].ip);
    }
}

static void addresses_differ(void **state)
{
    static const char *const texts[] = {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.2:1", "[::1]:1",
                                        "[::2]:1",     "unix:/a",     "unix:/b",     "unix:/a/b"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(texts); j++) {
            struct addr a, b;

            assert_int_equal(addr_parse(slice_str(texts[i]), 0, &a, NULL), 0);
            assert_int_equal(addr_parse(slice_str(texts[j]), 0, &b, NULL), 0);
            assert_int_equal(addr_eq(&a, &b), i == j);
        }
    }
}

static void unix_paths_have_a_limit(void **state)
{
    char text[200] = "unix:/";
    struct addr a;

    (void)state;
    memset(text + 6, 'x', 106);
    text[112] = '\0'; /* "unix:" and 107 bytes */
    assert_int_equal(addr_parse(slice_str(text), 0, &a, NULL), 0);
    addr_format(&a, text);
    assert_int_equal(strlen(text), 112);
    text[112] = 'x';
    text[113] = '\0';
    assert_int_equal(addr_parse(slice_str(text), 0, &a, NULL), -EINVAL);
    assert_int_equal(addr_parse(slice_make("unix:/a\0b", 9), 0, &a, NULL), -EINVAL);
    assert_int_equal(addr_parse(slice_make("1.2.3.4\0", 8), 0, &a, NULL), -EINVAL);
}

static void raw_ips_have_two_lengths(void **state)
{
    static const uint8_t raw[17] = {192, 0, 2, 1};
    char text[ADDR_TEXT_MAX];
    struct addr a;

    (void)state;
    assert_int_equal(addr_from_ip(slice_make(raw, 4), 25, &a), 0);
    addr_format(&a, text);
    assert_string_equal(text, "192.0.2.1:25");
    assert_int_equal(addr_from_ip(slice_make(raw, 16), 25, &a), 0);
    addr_format(&a, text);
    assert_string_equal(text, "[c000:201::]:25");
    for (size_t len = 0; len <= sizeof(raw); len++) {
        if (len != 4 && len != 16)
            assert_int_equal(addr_from_ip(slice_make(raw, len), 25, &a), -EINVAL);
    }
}

static void networks_contain(void **state)
{
    static const struct {
        const char *network, *addr;
        bool contains;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.128.0.0/9", "10.127.255.255", false},
        {"10.128.0.0/9", "10.128.0.0", true},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.6/31", "192.0.2.7", true},
        {"0.0.0.0/0", "203.0.113.1", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "10.0.0.1", false},
        {"::/0", "::ffff:10.0.0.1", false},
        {"10.0.0.0/8", "::ffff:10.1.1.1", true},
        {"::ffff:10.0.0.0/104", "10.1.1.1", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1/128", "::1", true},
        {"::1", "::2", false},
        {"0.0.0.0/0", "unix:/x", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct network n;
        struct addr a;

        assert_int_equal(network_parse(slice_str(cases[i].network), &n, NULL), 0);
        assert_int_equal(addr_parse(slice_str(cases[i].addr), 0, &a, NULL), 0);
        assert_int_equal(network_contains(&n, &a), cases[i].contains);
    }
}

static void networks_refuse_what_they_are_not(void **state)
{
    static const char *const texts[] = {
        "",           "/",           "/8",         "10.0.0.0/",   "10.0.0.0/33", "10.0.0.0/8x",
        "10.0.0.1/8", "10.0.0.0/-1", "::/129",     "::1/127",     "10/8",        "10.0.0.0/8/8",
        "example",    "unix:/x",     "10.0.0.1:5", "2001:db8::/3"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct buf why = BUF_INIT(1000);
        struct network n;

        assert_int_equal(network_parse(slice_str(texts[i]), &n, &why), -EINVAL);
        assert_true(buf_len(&why) > 20);
        buf_done(&why);
    }
}

static void a_mask_leaves_the_network(void **state)
{
    static const struct {
        const char *addr;
        unsigned bits;
        const char *left;
    } cases[] = {
        {"2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::"},
        {"2001:db8:1:2:3:4:5:6", 128, "2001:db8:1:2:3:4:5:6"},
        {"2001:db8:1:2:3:4:5:6", 48, "2001:db8:1::"},
        {"2001:db8:1:ffff::1", 57, "2001:db8:1:ff80::"},
        {"ffff:ffff::1", 0, "::"},
        {"::1", 127, "::"},
        {"::ffff:10.1.2.3", 64, "::ffff:10.1.2.3"},
        {"10.1.2.3", 0, "10.1.2.3"},
        {"unix:/x", 0, "unix:/x"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[ADDR_TEXT_MAX];
        struct addr a;

        assert_int_equal(addr_parse(slice_str(cases[i].addr), 0, &a, NULL), 0);
        addr_mask_ipv6(&a, cases[i].bits);
        addr_format_ip(&a, text);
        assert_string_equal(text, cases[i].left);
    }
}

static void each_ipv4_byte_has_its_digits(void **state)
{
    (void)state;
    for (unsigned b = 0; b < 256; b++) {
        uint8_t ip[4] = {(uint8_t)b, 0, 255, (uint8_t)(255 - b)};
        char got[ADDR_TEXT_MAX], expected[ADDR_TEXT_MAX];
        struct addr a;

        assert_int_equal(addr_from_ip(slice_make(ip, sizeof(ip)), 25, &a), 0);
        addr_format_ip(&a, got);
        (void)snprintf(expected, sizeof(expected), "%u.0.255.%u", b, 255 - b);
        assert_string_equal(got, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_read_and_print),
        cmocka_unit_test(addresses_differ),
        cmocka_unit_test(unix_paths_have_a_limit),
        cmocka_unit_test(raw_ips_have_two_lengths),
        cmocka_unit_test(a_mask_leaves_the_network),
        cmocka_unit_test(each_ipv4_byte_has_its_digits),
        cmocka_unit_test(networks_contain),
        cmocka_unit_test(networks_refuse_what_they_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
