/*
 * evidence/providers_test.c - the shipped table by its own hosts, names by registered domains, own
 * files, and what is wrong in them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/rand.h"
#include "evidence/mutate_kit.h"
#include "evidence/providers.h"
#include "evidence/share.h"

static struct providers *load(const char *own)
{
    struct buf why = BUF_INIT(4096);
    struct providers *p = NULL;

    if (providers_new(&p, slice_str(own), "own.yaml", &why) < 0)
        fail_msg("%s", buf_cstr(&why));
    assert_int_equal(buf_len(&why), 0);
    buf_done(&why);
    return p;
}

static void check_vector(void *ctx, const struct provider_vector *v)
{
    size_t *count = ctx;

    if (strcmp(v->wanted, v->got) != 0)
        fail_msg("%s:%u: %.*s is of %s, not %s", v->file, v->line, SLICE_FMT(v->host), v->got,
                 v->wanted);
    ++*count;
}

static void check_info(void *ctx, const struct provider_info *info)
{
    size_t *count = ctx;

    assert_non_null(info->title);
    assert_non_null(info->pattern);
    ++*count;
}

static void shipped_hosts_are_found(void **state)
{
    struct providers *p = load("");
    size_t count = 0;

    (void)state;
    providers_each_vector(p, check_vector, &count);
    assert_true(count > 150);
    count = 0;
    providers_each(p, check_info, &count);
    assert_true(count > 100);
    providers_free(&p);
    assert_null(p);
    providers_free(&p);
}

static void check_name(const struct providers *p, const char *hosts, const char *name,
                       const char *group)
{
    struct slice list[8], left = slice_str(hosts);
    size_t count = 0;
    char name_buf[PROVIDER_NAME_MAX];
    struct provider_info info;

    do {
        ptrdiff_t blank = slice_find(left, ' ');

        list[count++] = blank < 0 ? left : slice_sub(left, 0, (size_t)blank);
        left = blank < 0 ? slice_make(NULL, 0) : slice_from(left, (size_t)blank + 1);
    } while (left.len);
    providers_of(p, list, count, name_buf, &info);
    if (strcmp(info.name, name) != 0)
        fail_msg("%s: %s, not %s", hosts, info.name, name);
    if (group)
        assert_string_equal(info.group, group);
    else
        assert_null(info.group);
}

static void hosts_give_names(void **state)
{
    static const struct {
        const char *hosts, *name, *group;
    } cases[] = {
        {"example-com.mail.protection.outlook.com", "microsoft-365", "microsoft-domains"},
        {"hotmail-com.olc.protection.outlook.com", "microsoft-consumer", "microsoft-domains"},
        {"EXAMPLE-COM.A-V1.MX.MICROSOFT.", "microsoft-dane", "microsoft-domains"},
        {"aspmx.l.google.com alt1.aspmx.l.google.com", "google", NULL},
        {"ASPMX.L.GOOGLE.COM.", "google", NULL},
        /* Only the best host counts. */
        {"mx.corp.example aspmx.l.google.com", "corp.example", NULL},
        {"aspmx.l.google.com mx.corp.example", "google", NULL},
        /* By registered domain. */
        {"mx1.customer.hoster.co.uk mx2.customer.hoster.co.uk", "hoster.co.uk", NULL},
        {"MX1.Hoster.NET.", "hoster.net", NULL},
        {"mail.example.org mx.other.net", "example.org", NULL},
        {"example.org", "example.org", NULL},
        /* None has one. */
        {"localhost", "localhost.", NULL},
        {"co.uk", "co.uk", NULL},
        {"192.0.2.1", "192.0.2.1", NULL},
        {"[192.0.2.1]", "[192.0.2.1]", NULL},
        {"2001:db8::1", "2001:db8::1", NULL},
        {"mx.99999999999999999999999", "mx.99999999999999999999999", NULL},
        {"", "unknown", NULL},
        {".", "unknown", NULL},
        /* No suffix of another name, and no name of the table. */
        {"microsoft-365", "microsoft-365.", NULL},
        {"Google.", "google.", NULL},
        {"other", "other.", NULL},
        {"evil-google.com", "evil-google.com", NULL},
        {"google.com.evil.example", "evil.example", NULL},
    };
    struct providers *p = load("");

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        check_name(p, cases[i].hosts, cases[i].name, cases[i].group);
    providers_free(&p);
}

/* Names that a hoster gives to its customers' machines are not those of its own mail hosts. */
static void machines_of_customers_are_not_the_hosters(void **state)
{
    static const struct {
        const char *host, *provider;
        bool is;
    } cases[] = {
        {"example-com.mail.protection.outlook.com", "microsoft-365", true},
        {"Example-Com.Mail.Protection.Outlook.com.", "microsoft-365", true},
        {"mx.evil.example", "microsoft-365", false},
        {"mail.protection.outlook.com.evil.example", "microsoft-365", false},
        {"microsoft-365", "microsoft-365", false},
        {"mx2.evil.example", "evil.example", true},
        {"192.0.2.1", "192.0.2.1", true},
        {"mail.your-server.de", "hetzner", true},
        {"static.4.3.2.1.clients.your-server.de", "hetzner", false},
        {"mx1.mail.ovh.net", "ovh", true},
        {"mxb.ovh.net", "ovh", true},
        {"vps-0a1b2c3d.vps.ovh.net", "ovh", false},
        {"alice.fbx.proxad.net", "free", false},
        {"alice.xs4all.nl", "kpn", false},
        {"1.2-200-80.adsl-dyn.isp.belgacom.be", "proximus", false},
    };
    struct providers *p = load("");

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (providers_is_host_of(p, slice_str(cases[i].host), slice_str(cases[i].provider)) !=
            cases[i].is)
            fail_msg("%s, %s: not %d", cases[i].host, cases[i].provider, cases[i].is);
    providers_free(&p);
}

static void names_and_groups_are_known(void **state)
{
    struct providers *p = load("");

    (void)state;
    assert_true(providers_knows(p, SLICE_LIT("google")));
    assert_true(providers_knows(p, SLICE_LIT("microsoft-domains")));
    assert_false(providers_knows(p, SLICE_LIT("microsoft")));
    assert_false(providers_knows(p, SLICE_LIT("")));
    assert_true(providers_is_in(p, SLICE_LIT("microsoft-365"), SLICE_LIT("microsoft-domains")));
    assert_true(providers_is_in(p, SLICE_LIT("microsoft-dane"), SLICE_LIT("microsoft-domains")));
    assert_true(
        providers_is_in(p, SLICE_LIT("microsoft-consumer"), SLICE_LIT("microsoft-domains")));
    assert_true(providers_is_in(p, SLICE_LIT("google"), SLICE_LIT("google")));
    assert_true(providers_is_in(p, SLICE_LIT("hoster.example"), SLICE_LIT("hoster.example")));
    assert_false(providers_is_in(p, SLICE_LIT("google"), SLICE_LIT("microsoft-domains")));
    assert_false(providers_is_in(p, SLICE_LIT("hoster.example"), SLICE_LIT("google")));
    providers_free(&p);
}

static void own_files_come_first(void **state)
{
    struct providers *p = load("providers:\n"
                               "  - name: ours\n"
                               "    group: family\n"
                               "    mx: ['mx?.sub.google.com', gw.example.org]\n"
                               "  - name: google\n"
                               "    mx: mail.example.net, other.example.net\n");

    (void)state;
    check_name(p, "mx1.sub.google.com", "ours", "family");
    check_name(p, "mx12.sub.google.com", "google", NULL);
    check_name(p, "gw.example.org", "ours", "family");
    check_name(p, "other.example.net", "google", NULL);
    check_name(p, "aspmx.l.google.com", "google", NULL);
    assert_true(providers_is_in(p, SLICE_LIT("ours"), SLICE_LIT("family")));
    assert_true(slice_eq(providers_group(p, SLICE_LIT("ours")), SLICE_LIT("family")));
    assert_int_equal(providers_group(p, SLICE_LIT("google")).len, 0);
    assert_int_equal(providers_group(p, SLICE_LIT("nobody")).len, 0);
    providers_free(&p);
}

static void patterns_match_hosts(void **state)
{
    static const struct {
        const char *pattern, *host;
        bool matches;
    } cases[] = {
        {"*.example.org", "mx.example.org", true},
        {"*.example.org", "a.b.example.org.", true},
        {"*.EXAMPLE.org", "MX.example.ORG", true},
        {"*.example.org", "example.org", false},
        {"*.example.org", "badexample.org", false},
        {"mx?.example.org", "mx1.example.org", true},
        {"mx?.example.org", "mx.example.org", false},
        {"mx*.example.org", "mx.example.org", true},
        {"mx.example.org", "mx.example.org.", true},
        {"mx.example.org", "mx.example.orgs", false},
        {"inbound.*.example.org", "inbound.eu.west.example.org", true},
        {"*", "anything", true},
        {"*", "", true},
        {"*.example.or?", "a.example.org", true},
        {"a*", "abc", true},
        {"*a*", "bab", true},
        {"", "", true},
        {"", "a", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (provider_pattern_matches(slice_str(cases[i].pattern), slice_str(cases[i].host)) !=
            cases[i].matches)
            fail_msg("'%s' and '%s'", cases[i].pattern, cases[i].host);
}

static void errors_name_their_place(void **state)
{
    static const struct {
        const char *yaml, *why;
    } cases[] = {
        {"providers: no", "own.yaml:1:12: providers must be a list\n"},
        {"provider: []",
         "own.yaml:1:1: key 'provider' is not known in a file of providers; nearest "
         "key 'providers'\n"},
        {"- a", "own.yaml:1:1: a file of providers must be a map of keys and values\n"},
        {"providers:\n  - name: Big\n    mx: a.example",
         "own.yaml:2:11: name 'Big': allowed: letters of lower case, digits, '-' and '.'\n"
         "own.yaml:2:5: a provider needs a name\n"},
        {"providers:\n  - name: a\n", "own.yaml:2:5: a provider needs patterns: mx\n"},
        {"providers:\n  - name: a\n    mx: '*.*'",
         "own.yaml:3:10: mx '*.*': allowed: patterns of host names, as '*.example.org'\n"
         "own.yaml:2:5: a provider needs patterns: mx\n"},
        {"providers:\n  - name: a\n    mx: [b.example]\n  - name: a\n    mx: c.example",
         "own.yaml:4:5: provider 'a' is in line 2 already\n"},
        {"providers:\n  - {name: a, group: b, mx: b.example}\n  - {name: b, mx: c.example}",
         "own.yaml:3:5: 'b' is the name of a provider and of a group\n"},
        {"providers:\n  - name: a\n    mx: 'x.example,,'",
         "own.yaml:3:10: mx: an empty entry\nown.yaml:3:10: mx: an empty entry\n"},
        {"providers:\n  - name: a\n    mxx: x.example\n    mx: x.example",
         "own.yaml:3:5: key 'mxx' is not known in a provider; nearest key 'mx'\n"},
        {"providers: [{name: a, mx: {b: c}}]",
         "own.yaml:1:27: mx must be a text or a list of texts\n"
         "own.yaml:1:13: a provider needs patterns: mx\n"},
        {"providers:\n  - x: &a b", "own.yaml:2:11: anchors (&) and tags (!) are not used here\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf why = BUF_INIT(4096);
        struct providers *p = NULL;

        assert_int_equal(providers_new(&p, slice_str(cases[i].yaml), "own.yaml", &why), -EINVAL);
        assert_null(p);
        if (strcmp(buf_cstr(&why), cases[i].why) != 0)
            fail_msg("%s\ngives\n%s", cases[i].yaml, buf_cstr(&why));
        buf_done(&why);
    }
}

static void mutated_tables_are_taken_or_refused(void **state)
{
    enum { PART = 6000 };
    struct slice part = slice_sub(share_providers, 0, PART);
    static uint8_t copy[PART];
    struct rand chance;
    size_t refused = 0;

    (void)state;
    rand_init(&chance, 3);
    for (int i = 0; i < 400; i++) {
        struct buf why = BUF_INIT(KIB(64));
        struct providers *p = NULL;
        int r = providers_new(&p, mutate(&chance, part, copy), "own.yaml", &why);

        if (r < 0) {
            assert_int_equal(r, -EINVAL);
            assert_null(p);
            check_places(buf_slice(&why));
            refused++;
        } else {
            assert_int_equal(buf_len(&why), 0);
            check_name(p, "unknown.example.org", "example.org", NULL);
        }
        providers_free(&p);
        buf_done(&why);
    }
    assert_true(refused > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_hosts_are_found),
        cmocka_unit_test(hosts_give_names),
        cmocka_unit_test(machines_of_customers_are_not_the_hosters),
        cmocka_unit_test(names_and_groups_are_known),
        cmocka_unit_test(own_files_come_first),
        cmocka_unit_test(patterns_match_hosts),
        cmocka_unit_test(errors_name_their_place),
        cmocka_unit_test(mutated_tables_are_taken_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
