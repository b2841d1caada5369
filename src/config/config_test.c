/* config/config_test.c - every error with its place, every value with its origin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rand.h"
#include "config/config.h"
#include "config/nearest.h"

static struct buf why = {.cap = CONFIG_WHY_MAX};

static struct config *must_load(const char *text, const char *const *overrides, size_t count)
{
    struct config *c = NULL;
    int r;

    buf_clear(&why);
    r = config_load_text("t.yaml", slice_str(text), overrides, count, &c, &why);
    if (r < 0)
        print_error("%s", buf_cstr(&why));
    assert_int_equal(r, 0);
    assert_int_equal(buf_len(&why), 0);
    return c;
}

static void drop(struct config *c)
{
    const struct config *dead = c;

    config_unref(&dead);
    assert_null(dead);
}

static void errors_have_their_place(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        /* keys */
        {"smtp:\n  recipient_max: 5\n",
         "t.yaml:2:3: key 'smtp.recipient_max' is not known; nearest key 'smtp.recipients_max'\n"},
        {"smtp: {recipients_mxa: 5}\n",
         "t.yaml:1:8: key 'smtp.recipients_mxa' is not known; nearest key 'smtp.recipients_max'\n"},
        {"smpt:\n  x: 1\n", "t.yaml:1:1: key 'smpt' is not known; nearest key 'smtp'\n"},
        {"hostname: a\n",
         "t.yaml:1:1: key 'hostname' is not known; nearest key 'server.hostname'\n"},
        {"colour: blue\n",
         "t.yaml:1:1: key 'colour' is not known; 'penstock config doc' lists all\n"},
        {"log: {level: info}\nlog: {level: info}\n",
         "t.yaml:2:1: key 'log' is given twice, first in line 1\n"},
        {"log: {level: info}\nlog.level: debug\n",
         "t.yaml:2:1: key 'log.level' is given twice, first in line 1\n"},
        {"? [a]\n: b\n", "t.yaml:1:3: a key must be a name\n"},
        /* shapes */
        {"smtp: 5\n", "t.yaml:1:7: key 'smtp' is a section: its settings go below it, indented\n"},
        {"- a\n", "t.yaml:1:1: a configuration is a map: 'section:' and below it "
                  "'setting: value', indented\n"},
        {"listeners: 5\n",
         "t.yaml:1:12: key 'listeners': allowed: a list, each element begins with '- '\n"},
        {"listeners: [5]\n",
         "t.yaml:1:13: key 'listeners': allowed: a map with the keys of its element\n"},
        {"listeners:\n  - name: x\n", "t.yaml:2:5: key 'listeners[0].address' is missing\n"},
        {"smtp: {recipients_max: [5]}\n",
         "t.yaml:1:24: key 'smtp.recipients_max': value '(a list or map)': allowed: a whole number "
         "from 1 to 10000\n"},
        {"relay:\n  domains:\n    - a.example\n    - {b: c}\n",
         "t.yaml:4:7: key 'relay.domains': value '(a list or map)': allowed: domain names in "
         "ASCII, .domain for all below one, or \"*\" for all\n"},
        /* values */
        {"smtp:\n  recipients_max: 0\n",
         "t.yaml:2:19: key 'smtp.recipients_max': value '0': allowed: a whole number from 1 to "
         "10000\n"},
        {"smtp:\n  recipients_max:\n",
         "t.yaml:2:3: key 'smtp.recipients_max': value '': allowed: a whole number from 1 to "
         "10000\n"},
        {"smtp:\n  recipients_max: 99999999999999999999\n",
         "t.yaml:2:19: key 'smtp.recipients_max': value '99999999999999999999': allowed: a whole "
         "number from 1 to 10000\n"},
        {"smtp: {message_size_max: 2GiB}\n",
         "t.yaml:1:26: key 'smtp.message_size_max': value '2GiB': allowed: a size like 64MiB or "
         "150MB, from 64KiB to 1GiB\n"},
        {"retry: {max_queue_time: 48}\n",
         "t.yaml:1:25: key 'retry.max_queue_time': value '48': allowed: a duration like 500ms, "
         "30s, 10m or 48h, from 1s to 60d\n"},
        {"retry: {next_retry: \"20m, 40, 80m\"}\n",
         "t.yaml:1:27: key 'retry.next_retry': value '40': allowed: up to 15 durations like 20m, "
         "40m, 80m, each from 1s to 7d\n"},
        {"retry: {jitter: 60%}\n",
         "t.yaml:1:17: key 'retry.jitter': value '60%': allowed: a percentage from 0% to 50%, "
         "enabled (20%) or disabled (0%)\n"},
        {"log:\n  level: loud\n",
         "t.yaml:2:10: key 'log.level': value 'loud': allowed: debug, info, notice, warning or "
         "error\n"},
        {"dns: {cache: maybe}\n",
         "t.yaml:1:14: key 'dns.cache': value 'maybe': allowed: yes, no, true, false, on, off, "
         "enabled or disabled\n"},
        {"server: {hostname: -x.example}\n",
         "t.yaml:1:20: key 'server.hostname': value '-x.example': allowed: a domain name in ASCII, "
         "or none\n"},
        {"delivery: {smart_host: \"host:0\"}\n",
         "t.yaml:1:25: key 'delivery.smart_host': value 'host:0': allowed: host:port, [ip]:port, "
         "lmtp:host:port, lmtp:unix:/path, mx, mx:domain or discard, or none\n"},
        {"delivery: {source_ipv4: \"::1\"}\n",
         "t.yaml:1:26: key 'delivery.source_ipv4': value '::1': allowed: an IPv4 address, or "
         "none\n"},
        {"relay: {networks: \"127.0.0.0/8,  10.0.0.1/8\"}\n",
         "t.yaml:1:34: key 'relay.networks': value '10.0.0.1/8': allowed: networks like "
         "10.0.0.0/8, 192.0.2.7 or 2001:db8::/32 (\"10.0.0.1/8\" has bits set behind its prefix "
         "length; write the network's first address)\n"},
        {"dns: {servers: [127.0.0.1, nowhere]}\n",
         "t.yaml:1:28: key 'dns.servers': value 'nowhere': allowed: addresses like 127.0.0.1, "
         "127.0.0.1@5353 or [::1]:53\n"},
        {"log: {level: \"in\\nfo\"}\n",
         "t.yaml:1:15: a value must be one line without control characters\n"},
        /* elements of lists */
        {"listeners:\n  - address: 127.0.0.1:25\n    tls:\n      mod: off\n",
         "t.yaml:4:7: key 'listeners[0].tls.mod' is not known; nearest key "
         "'listeners[0].tls.mode'\n"},
        {"listeners:\n  - address: 127.0.0.1:25\n  - address: 127.0.0.1:25\n",
         "t.yaml:3:5: key 'listeners[1].address': listeners[0] has the same\n"},
        {"listeners: [{address: \"127.0.0.1:25\", tls: {mode: files}}]\n",
         "t.yaml:1:14: key 'listeners[0]': tls.certificate and tls.key are both needed, here or in "
         "the tls section\n"},
        {"listeners: [{address: \"127.0.0.1:25\", tls: {mode: off, required: yes}}]\n",
         "t.yaml:1:56: key 'listeners[0].tls.required': TLS cannot be required where tls.mode is "
         "off\n"},
        {"delivery:\n  routes:\n    - {domain: a.example, to: mx}\n    - {domain: A.example, to: "
         "mx}"
         "\n",
         "t.yaml:4:8: key 'delivery.routes[1]': there is another for 'A.example'\n"},
        /* several settings */
        {"tls: {key: k.pem}\n", "t.yaml:1:7: key 'tls': certificate and key are both needed\n"},
        {"spool: {size_max: 64MiB}\n",
         "t.yaml:1:9: key 'spool.size_max': value '64MiB': allowed: 0, or at least four times "
         "spool.segment_size '64MiB' (default)\n"},
        {"log: {files: {folder_max: 5MiB}}\n", "t.yaml:1:15: key 'log.files.folder_max': value "
                                               "'5MiB' is below log.files.file_max '10MiB' "
                                               "(default); a folder holds one file at least\n"},
        {"log: {files: {folder_max: 5MiB,\n  file_max: 6MiB}}\n",
         "t.yaml:2:3: key 'log.files.file_max': value '6MiB' is above log.files.folder_max '5MiB' "
         "(t.yaml:1:15); a folder holds one file at least\n"},
        /* folders */
        {"log: {files: {directory: ''}}\n",
         "t.yaml:1:27: key 'log.files.directory': value '': allowed: the path of a folder that is "
         "not in /proc or /sys, or none\n"},
        {"spool: {directory: //./srv/../proc/spool}\n",
         "t.yaml:1:20: key 'spool.directory': value '//./srv/../proc/spool': allowed: the path of "
         "a "
         "folder that is not in /proc or /sys\n"},
        {"spool: {directory: /sys}\n",
         "t.yaml:1:20: key 'spool.directory': value '/sys': allowed: the path of a folder that is "
         "not in /proc or /sys\n"},
        {"evidence: {directory: /../sys/x/}\n",
         "t.yaml:1:23: key 'evidence.directory': value '/../sys/x/': allowed: the path of a folder "
         "that is not in /proc or /sys\n"},
        {"server: {group: mail}\n", "t.yaml:1:10: key 'server.group': server.user is needed too\n"},
        /* YAML */
        {"a: b: c\n", "t.yaml:1:5: not YAML: invalid nested block mapping on the same line\n"},
        {"log: {level: *x}\n",
         "t.yaml:1:15: aliases (*) are not used here; quote a value that begins with *\n"},
        {"log: &a {level: info}\n", "t.yaml:1:9: anchors (&) and tags (!) are not used here\n"},
        {"log: !x {level: info}\n", "t.yaml:1:9: anchors (&) and tags (!) are not used here\n"},
        {"log: {}\n---\nlog: {}\n", "t.yaml:3:1: more than one document in a file\n"},
        {"log:\n  level: \xff\n", "t.yaml:2:10: not UTF-8 text\n"},
        {"\xff\xfel\n", "t.yaml:1:1: not UTF-8 text\n"},
        {"a: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\n",
         "t.yaml:1:19: lists and maps lie too deep in each other\n"},
        {"include: x.yaml\n", "t.yaml:1:1: key 'include': only a file can include others\n"},
        /* all are told, not only the first */
        {"smtp: {x_y_z: 1, errors_max: -1}\nlog: {level: x}\n",
         "t.yaml:1:8: key 'smtp.x_y_z' is not known; 'penstock config doc' lists all\n"
         "t.yaml:1:30: key 'smtp.errors_max': value '-1': allowed: a whole number from 1 to 1000\n"
         "t.yaml:2:14: key 'log.level': value 'x': allowed: debug, info, notice, warning or "
         "error\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct config *c = NULL;

        buf_clear(&why);
        assert_int_equal(config_load_text("t.yaml", slice_str(cases[i].text), NULL, 0, &c, &why),
                         -EINVAL);
        assert_string_equal(buf_cstr(&why), cases[i].error);
        assert_null(c);
    }
}

static void many_errors_are_counted(void **state)
{
    struct buf text = BUF_INIT(KIB(64));
    struct config *c = NULL;
    size_t lines = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        (void)buf_addf(&text, "unknown_%d: x\n", i);
    buf_clear(&why);
    assert_int_equal(config_load_text("t.yaml", buf_slice(&text), NULL, 0, &c, &why), -EINVAL);
    for (const char *p = buf_cstr(&why); (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 21);
    assert_non_null(strstr(buf_cstr(&why), "\nand 80 more errors\n"));
    buf_done(&text);
}

static void overrides_win_and_have_errors_too(void **state)
{
    static const char *const good[] = {
        "smtp.recipients_max=50", "relay.networks = 10.0.0.0/8, ::1/128",
        "delivery.smart_host=", "listeners[0].address=127.0.0.1:9", "listeners[1].tls.mode=off"};
    static const struct {
        const char *override, *error;
    } bad[] = {
        {"smtp.recipients_max", "command line: a setting is given as name=value\n"},
        {"=5", "command line: a setting is given as name=value\n"},
        {"log.level=a\nb", "command line: a setting is given as name=value\n"},
        {"smtp.errors_max=0", "command line: key 'smtp.errors_max': value '0': allowed: a whole "
                              "number from 1 to 1000\n"},
        {"smtp.error_max=1", "command line: key 'smtp.error_max' is not known; nearest key "
                             "'smtp.errors_max'\n"},
        {"listeners[7].name=x", "command line: there is no listeners[7]\n"},
        {"listeners[0].nam=x", "command line: key 'listeners[0].nam' is not known; nearest key "
                               "'listeners[0].name'\n"},
        {"listeners[x].name=x", "command line: key 'listeners[x].name' is not known; "
                                "'penstock config doc' lists all\n"},
        {"listeners=[{address: 1}]",
         "command line:1:12: key 'listeners[0].address': value '1': allowed: an address and port "
         "like 127.0.0.1:25 or [::1]:25, or unix:/path (\"1\" is not an address: expected "
         "127.0.0.1:25, [::1]:25 or unix:/path)\n"},
    };
    struct config *c;

    (void)state;
    c = must_load("smtp: {recipients_max: 7}\ndelivery: {smart_host: a.example}\n"
                  "listeners:\n  - address: 127.0.0.1:1\n  - address: 127.0.0.1:2\n",
                  good, ARRAY_SIZE(good));
    assert_int_equal(c->smtp.recipients_max, 50);
    assert_int_equal(c->relay.networks.count, 2);
    assert_null(c->delivery.smart_host.host);
    assert_int_equal(addr_port(&c->listeners[0].address), 9);
    assert_int_equal(c->listeners[0].tls, CONFIG_LISTENER_TLS_SELF_SIGNED);
    assert_int_equal(c->listeners[1].tls, CONFIG_LISTENER_TLS_OFF);
    assert_int_equal(c->listeners[1].relay_networks.count, 2);
    drop(c);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        c = NULL;
        buf_clear(&why);
        assert_int_equal(config_load(NULL, &bad[i].override, 1, &c, &why), -EINVAL);
        assert_string_equal(buf_cstr(&why), bad[i].error);
        assert_null(c);
    }
}

static void the_defaults_are_those_promised(void **state)
{
    struct config *c = must_load("", NULL, 0);
    struct addr outside, inside;

    (void)state;
    assert_int_equal(addr_parse(SLICE_LIT("192.0.2.1:1"), 0, &outside, NULL), 0);
    assert_int_equal(addr_parse(SLICE_LIT("127.1.2.3:1"), 0, &inside, NULL), 0);
    assert_int_equal(c->listener_count, 1);
    assert_true(addr_is_loopback(&c->listeners[0].address));
    assert_int_equal(addr_port(&c->listeners[0].address), 2525);
    assert_string_equal(c->listeners[0].name, "127.0.0.1:2525");
    /* Never an open relay by default. */
    assert_int_equal(c->listeners[0].relay, CONFIG_RELAY_NETWORKS);
    assert_false(config_networks_contain(&c->listeners[0].relay_networks, &outside));
    assert_true(config_networks_contain(&c->listeners[0].relay_networks, &inside));
    assert_false(config_is_relay_domain(c, SLICE_LIT("example.org")));
    assert_int_equal(c->smtp.message_size_max_bytes, MIB(100));
    assert_int_equal(c->retry.policy.delay_count, 4);
    assert_int_equal(c->retry.policy.delays_s[0], 600);
    assert_int_equal(c->retry.policy.delays_s[3], 4800);
    assert_true(c->retry.policy.jitter > 0.199 && c->retry.policy.jitter < 0.201);
    assert_int_equal(c->retry.policy.max_queue_time_s, 48 * 3600);
    assert_string_equal(c->delivery.ehlo_name, c->server.hostname);
    assert_true(c->server.loops > 0);
    assert_int_equal(config_find_target(c, SLICE_LIT("example.org"))->kind, CONFIG_TARGET_MX);
    assert_null(config_find_target(c, SLICE_LIT("example.org"))->host);
    assert_int_equal(c->destination_count, 0);
    assert_int_equal(c->dns.servers.count, 0);
    drop(c);
}

static void routes_are_found_by_the_most_exact_pattern(void **state)
{
    static const struct {
        const char *domain;
        enum config_target_kind kind;
        const char *host;
        uint16_t port;
    } cases[] = {
        {"a.example", CONFIG_TARGET_SMTP, "h1", 25},
        {"A.Example.", CONFIG_TARGET_SMTP, "h1", 25},
        {"b.a.example", CONFIG_TARGET_SMTP, "192.0.2.1", 2525},
        {"c.b.a.example", CONFIG_TARGET_SMTP, "192.0.2.1", 2525},
        {"x.c.a.example", CONFIG_TARGET_LMTP, "h3", 24},
        {"c.a.example", CONFIG_TARGET_SMTP, "192.0.2.1", 2525},
        {"mx.example", CONFIG_TARGET_MX, NULL, 25},
        {"mx2.example", CONFIG_TARGET_MX, "other.example", 25},
        {"unix.example", CONFIG_TARGET_UNIX, NULL, 25},
        {"void.example", CONFIG_TARGET_DISCARD, NULL, 25},
        {"v6.example", CONFIG_TARGET_SMTP, "2001:db8::1", 26},
        {"aa.example", CONFIG_TARGET_SMTP, "smart", 587},
        {"example", CONFIG_TARGET_SMTP, "smart", 587},
        {"[192.0.2.1]", CONFIG_TARGET_SMTP, "smart", 587},
        {"", CONFIG_TARGET_SMTP, "smart", 587},
        {".", CONFIG_TARGET_SMTP, "smart", 587},
    };
    struct config *c = must_load("delivery:\n"
                                 "  smart_host: smtp:smart:587\n"
                                 "  routes:\n"
                                 "    - {domain: a.example, to: h1}\n"
                                 "    - {domain: .a.example, to: \"[192.0.2.1]:2525\"}\n"
                                 "    - {domain: .c.a.example, to: lmtp:h3}\n"
                                 "    - {domain: mx.example, to: mx}\n"
                                 "    - {domain: mx2.example, to: mx:other.example}\n"
                                 "    - {domain: unix.example, to: lmtp:unix:/run/lmtp}\n"
                                 "    - {domain: void.example, to: discard}\n"
                                 "    - {domain: v6.example, to: \"[2001:db8::1]:26\"}\n",
                                 NULL, 0);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct config_target *t = config_find_target(c, slice_str(cases[i].domain));

        assert_int_equal(t->kind, cases[i].kind);
        if (cases[i].host)
            assert_string_equal(t->host, cases[i].host);
        else
            assert_null(t->host);
        if (t->kind == CONFIG_TARGET_SMTP || t->kind == CONFIG_TARGET_LMTP)
            assert_int_equal(t->port, cases[i].port);
        if (t->kind == CONFIG_TARGET_UNIX)
            assert_string_equal(t->path, "/run/lmtp");
    }
    drop(c);
}

static void destinations_inherit_what_they_do_not_say(void **state)
{
    struct config *c = must_load("retry: {initial_retry: 5m, next_retry: [1h, 2h]}\n"
                                 "destinations:\n"
                                 "  - destination: a.example\n"
                                 "    next_retry: 20m, 40m, 80m\n"
                                 "    jitter: disabled\n"
                                 "  - destination: \"*\"\n"
                                 "    initial_retry: 1m\n"
                                 "    max_queue_time: 1d\n"
                                 "    connections_max: 3\n",
                                 NULL, 0);
    const struct config_destination *a = &c->destinations[0], *rest = &c->destinations[1];

    (void)state;
    assert_int_equal(a->retry.delay_count, 4);
    assert_int_equal(a->retry.delays_s[0], 300);
    assert_int_equal(a->retry.delays_s[1], 1200);
    assert_true(a->retry.jitter < 0.001);
    assert_int_equal(a->retry.max_queue_time_s, 48 * 3600);
    assert_int_equal(a->connections_max, 20);
    assert_int_equal(rest->retry.delay_count, 3);
    assert_int_equal(rest->retry.delays_s[0], 60);
    assert_int_equal(rest->retry.delays_s[1], 3600);
    assert_int_equal(rest->retry.delays_s[2], 7200);
    assert_int_equal(rest->retry.max_queue_time_s, 86400);
    assert_int_equal(rest->connections_max, 3);
    drop(c);
}

static void lists_grow_and_end_in_null(void **state)
{
    struct buf text = BUF_INIT(KIB(64));
    struct config *c;

    (void)state;
    (void)buf_add_str(&text, "relay:\n  domains:\n");
    for (int i = 0; i < 100; i++)
        (void)buf_addf(&text, "    - d%d.example\n", i);
    (void)buf_add_str(&text, "  networks:\n");
    for (int i = 0; i < 100; i++)
        (void)buf_addf(&text, "    - 10.0.%d.0/24\n", i);
    c = must_load(buf_cstr(&text), NULL, 0);
    assert_int_equal(c->relay.domains.count, 100);
    assert_null(c->relay.domains.list[100]);
    assert_int_equal(c->relay.networks.count, 100);
    for (int i = 0; i < 100; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "d%d.example", i);
        assert_string_equal(c->relay.domains.list[i], name);
        assert_true(config_is_relay_domain(c, slice_str(name)));
        (void)snprintf(name, sizeof(name), "10.0.%d.0/24", i);
        assert_string_equal(c->relay.networks.texts[i], name);
    }
    drop(c);
    buf_done(&text);
}

/* ---- what is set where ---- */

struct wanted {
    const char *name, *value, *origin;
    int found;
};

static void compare_item(void *ctx, const struct config_item *item)
{
    struct wanted *w = ctx;

    if (strcmp(w->name, item->name) != 0)
        return;
    w->found++;
    assert_string_equal(item->value, w->value);
    assert_string_equal(item->origin, w->origin);
}

static void origins_are_told(void **state)
{
    static const char *const overrides[] = {"log.level=debug", "destinations[0].jitter=5.5%"};
    struct wanted wanted[] = {
        {"smtp.recipients_max", "1000", "default", 0},
        {"smtp.message_size_max", "150000000B", "t.yaml:2", 0},
        {"log.level", "debug", "command line", 0},
        {"listeners[0].address", "127.0.0.1:2525", "default", 0},
        {"listeners[0].relay_networks", "127.0.0.0/8, ::1/128", "as relay.networks", 0},
        {"destinations[0].destination", "a.example", "t.yaml:4", 0},
        {"destinations[0].jitter", "5.5%", "command line", 0},
        {"destinations[0].max_queue_time", "48h", "as retry.max_queue_time", 0},
        {"dns.servers", "127.0.0.1@5353, ::1@53", "t.yaml:5", 0},
        {"delivery.smart_host", "", "default", 0},
    };
    struct config *c = must_load("smtp:\n  message_size_max: 150MB\ndestinations:\n"
                                 "  - {destination: a.example}\n"
                                 "dns: {servers: [\"127.0.0.1:5353\", \"::1\"]}\n",
                                 overrides, ARRAY_SIZE(overrides));

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        config_each(c, compare_item, &wanted[i]);
        assert_int_equal(wanted[i].found, 1);
    }
    drop(c);
}

/* Every item of `show` can be given back with --set and makes the same snapshot. */
struct round_trip {
    char *texts[400];
    size_t count;
};

static void collect(void *ctx, const struct config_item *item)
{
    struct round_trip *r = ctx;
    size_t size = strlen(item->name) + strlen(item->value) + 2;

    assert_true(r->count < ARRAY_SIZE(r->texts));
    r->texts[r->count] = malloc(size);
    assert_non_null(r->texts[r->count]);
    (void)snprintf(r->texts[r->count++], size, "%s=%s", item->name, item->value);
}

static void what_is_shown_can_be_set(void **state)
{
    static const char text[] = "delivery: {routes: [{domain: a.example, to: b.example}]}\n"
                               "destinations: [{destination: c.example}]\n"
                               "listeners: [{address: \"[::1]:25\"}, {address: unix:/x}]\n";
    struct round_trip first = {.count = 0}, second = {.count = 0};
    struct config *a = must_load(text, NULL, 0), *b;

    (void)state;
    config_each(a, collect, &first);
    b = must_load(text, (const char *const *)first.texts, first.count);
    config_each(b, collect, &second);
    assert_int_equal(first.count, second.count);
    for (size_t i = 0; i < first.count; i++) {
        assert_string_equal(first.texts[i], second.texts[i]);
        free(first.texts[i]);
        free(second.texts[i]);
    }
    drop(a);
    drop(b);
}

static void a_reload_tells_what_needs_a_restart(void **state)
{
    struct config *a = must_load("", NULL, 0);
    struct config *b = must_load("log: {level: debug}\nserver: {loops: 3}\n"
                                 "listeners: [{address: \"127.0.0.1:9\"}]\n",
                                 NULL, 0);
    struct buf names = BUF_INIT(KIB(4));

    (void)state;
    assert_int_equal(config_restart_needed(a, a, &names), 0);
    assert_int_equal(config_restart_needed(a, b, &names), 2);
    assert_string_equal(buf_cstr(&names), "server.loops, listeners");
    buf_done(&names);
    drop(a);
    drop(b);
}

static void references_keep_a_snapshot(void **state)
{
    struct config *c = must_load("", NULL, 0);
    const struct config *one = c, *two = config_ref(c), *none = NULL;

    (void)state;
    config_unref(&one);
    assert_int_equal(two->smtp.errors_max, 20);
    config_unref(&two);
    config_unref(&none);
}

/* ---- files ---- */

static char folder[] = "/tmp/config_test.XXXXXX";

static const char *write_file(const char *name, const char *text)
{
    static char path[4][256];
    static unsigned next;
    char *p = path[next++ % 4];
    FILE *f;

    (void)snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
    f = fopen(p, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return p;
}

static void included_files_come_first_and_lists_join(void **state)
{
    struct config *c = NULL;
    const char *path;
    struct wanted w = {"smtp.errors_max", "7", NULL, 0};
    char origin[300];

    (void)state;
    (void)snprintf(origin, sizeof(origin), "%s/conf.d", folder);
    assert_int_equal(mkdir(origin, 0700), 0);
    (void)write_file("conf.d/1.yaml", "smtp: {errors_max: 5, received_max: 60}\n"
                                      "delivery: {routes: [{domain: a.example, to: mx}]}\n");
    (void)write_file("conf.d/2.yaml", "smtp: {errors_max: 6, received_max: 70}\n"
                                      "delivery: {routes: [{domain: b.example, to: mx}]}\n");
    path = write_file("main.yaml", "include: conf.d/*.yaml\nsmtp:\n  errors_max: 7\n"
                                   "delivery: {routes: [{domain: c.example, to: mx}]}\n");
    buf_clear(&why);
    assert_int_equal(config_load(path, NULL, 0, &c, &why), 0);
    assert_int_equal(c->smtp.errors_max, 7);
    assert_int_equal(c->smtp.received_max, 70);
    assert_int_equal(c->delivery.route_count, 3);
    assert_string_equal(c->delivery.routes[0].domain, "a.example");
    assert_string_equal(c->delivery.routes[2].domain, "c.example");
    (void)snprintf(origin, sizeof(origin), "%s:3", path);
    w.origin = origin;
    config_each(c, compare_item, &w);
    assert_int_equal(w.found, 1);
    drop(c);
}

static void files_that_cannot_be_read_are_named(void **state)
{
    static const struct {
        const char *text, *error;
        int result;
    } cases[] = {
        {"include: gone.yaml\n",
         "bad.yaml:1:10: key 'include': '%s/gone.yaml': "
         "No such file or directory\n",
         -EINVAL},
        {"include: [none-*.yaml]\nlog: {level: info}\n", NULL, 0},
        {"{}\n", NULL, 0},
        {"",
         "bad.yaml: there is no setting in this file: was it cut while it was saved? "
         "One that is to leave all at its default says so: {}\n",
         -EINVAL},
        {"# a head, and no more\n---\n",
         "bad.yaml: there is no setting in this file: was it cut while it was saved? "
         "One that is to leave all at its default says so: {}\n",
         -EINVAL},
        {"include: [[a]]\n", "bad.yaml:1:11: key 'include': allowed: file names or patterns\n",
         -EINVAL},
        {"include: /dev/zero\n", "bad.yaml:1:10: key 'include': '/dev/zero': Invalid argument\n",
         -EINVAL},
        {"include: bad.yaml\n", "files include each other too deep, or there are too many\n",
         -EINVAL},
    };
    struct config *c = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *path = write_file("bad.yaml", cases[i].text);
        char expected[512];

        buf_clear(&why);
        c = NULL;
        assert_int_equal(config_load(path, NULL, 0, &c, &why), cases[i].result);
        if (cases[i].result == 0) {
            drop(c);
            continue;
        }
        assert_null(c);
        if (strstr(cases[i].error, "%s"))
            (void)snprintf(expected, sizeof(expected),
                           "bad.yaml:1:10: key 'include': "
                           "'%s/gone.yaml': No such file or directory\n",
                           folder);
        else
            (void)snprintf(expected, sizeof(expected), "%s", cases[i].error);
        assert_non_null(strstr(buf_cstr(&why), expected));
    }
    buf_clear(&why);
    assert_int_equal(config_load("/nowhere/x.yaml", NULL, 0, &c, &why), -ENOENT);
    assert_string_equal(buf_cstr(&why), "/nowhere/x.yaml: No such file or directory\n");
    assert_int_equal(config_load(folder, NULL, 0, &c, &why), -EISDIR);
}

/* Cut anywhere, a file is read or refused with a reason; nothing else happens. */
static void a_file_cut_anywhere_is_read_or_refused(void **state)
{
    static const char text[] = "# all kinds of things\n"
                               "server: {hostname: mx.example.org, loops: 2}\n"
                               "listeners:\n"
                               "  - address: \"[::1]:25\"\n"
                               "    tls: {mode: 'self_signed', required: yes}\n"
                               "relay:\n"
                               "  networks:\n    - 10.0.0.0/8\n    - ::1\n"
                               "delivery:\n  routes: [{domain: .x.example, to: lmtp:unix:/a}]\n"
                               "retry: {jitter: 10%, next_retry: 1m}\n";

    (void)state;
    for (size_t len = 0; len <= strlen(text); len++) {
        struct config *c = NULL;
        int r;

        buf_clear(&why);
        r = config_load_text("t.yaml", slice_make(text, len), NULL, 0, &c, &why);
        assert_true(r == 0 || r == -EINVAL);
        assert_int_equal(buf_len(&why) > 0, r < 0);
        if (r == 0)
            drop(c);
    }
}

static void garbled_files_do_no_harm(void **state)
{
    static const char text[] = "listeners:\n  - {address: \"127.0.0.1:25\", tls: {mode: off}}\n"
                               "relay: {domains: [a.example, .b.example], networks: 10.0.0.0/8}\n"
                               "destinations: [{destination: \"*\", next_retry: \"1m, 2m\"}]\n";
    static const char signs[] = ":-[]{}'\"&*!#%,.?|>\n\t 0a\\";
    struct rand r;

    (void)state;
    rand_init(&r, 4712);
    for (int round = 0; round < 3000; round++) {
        char copy[sizeof(text)];
        struct config *c = NULL;

        memcpy(copy, text, sizeof(text));
        for (uint64_t n = 1 + rand_below(&r, 4); n; n--)
            copy[rand_below(&r, sizeof(text) - 1)] = signs[rand_below(&r, sizeof(signs) - 1)];
        buf_clear(&why);
        if (config_load_text("t.yaml", slice_str(copy), NULL, 0, &c, &why) == 0)
            drop(c);
    }
}

static void the_manual_is_up_to_date(void **state)
{
    const char *path = getenv("CONFIGURATION_MD");
    struct buf manual = BUF_INIT(MIB(1));
    static char committed[MIB(1)];
    size_t len;
    FILE *f;

    (void)state;
    assert_int_equal(config_write_markdown(&manual), 0);
    if (!path)
        skip();
    f = fopen(path, "r");
    assert_non_null(f);
    len = fread(committed, 1, sizeof(committed) - 1, f);
    committed[len] = '\0';
    assert_int_equal(fclose(f), 0);
    /* When this fails: penstock config doc > docs/configuration.md */
    assert_string_equal(buf_cstr(&manual), committed);
    buf_done(&manual);
}

static void names_have_a_distance(void **state)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {
        {"", "", 0},         {"a", "", 1},        {"", "abc", 3},
        {"same", "SAME", 0}, {"ab", "ba", 1},     {"abcd", "acbd", 1},
        {"abc", "ac", 1},    {"abc", "axc", 1},   {"kitten", "sitting", 3},
        {"ca", "abc", 3},    {"smpt", "smtp", 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(nearest_distance(slice_str(cases[i].a), slice_str(cases[i].b)),
                         cases[i].distance);
        assert_int_equal(nearest_distance(slice_str(cases[i].b), slice_str(cases[i].a)),
                         cases[i].distance);
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"conf.d/1.yaml", "conf.d/2.yaml", "main.yaml",
                                        "bad.yaml",      "conf.d",        ""};
    char path[300];

    (void)state;
    buf_done(&why);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        if (unlink(path) < 0)
            (void)rmdir(path);
    }
    return 0;
}

/* Names that only look like the kernel's file systems are folders like others. */
static void folders_may_be_anywhere_else(void **state)
{
    static const char *const paths[] = {"/srv/proc", "/procs",       "proc/x", "./sys",
                                        "/",         "/proc/../srv", "../proc"};
    struct config *c;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        char text[256];

        (void)snprintf(text, sizeof(text), "spool: {directory: %s}\nlog.files.directory: %s\n",
                       paths[i], paths[i]);
        c = must_load(text, NULL, 0);
        assert_string_equal(c->spool.directory, paths[i]);
        assert_string_equal(c->log.files.directory, paths[i]);
        drop(c);
    }
    c = must_load("log: {files: {directory: none, file_max: 5MiB, folder_max: 5MiB}}\n", NULL, 0);
    assert_null(c->log.files.directory);
    drop(c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_their_place),
        cmocka_unit_test(folders_may_be_anywhere_else),
        cmocka_unit_test(many_errors_are_counted),
        cmocka_unit_test(overrides_win_and_have_errors_too),
        cmocka_unit_test(the_defaults_are_those_promised),
        cmocka_unit_test(routes_are_found_by_the_most_exact_pattern),
        cmocka_unit_test(destinations_inherit_what_they_do_not_say),
        cmocka_unit_test(lists_grow_and_end_in_null),
        cmocka_unit_test(origins_are_told),
        cmocka_unit_test(what_is_shown_can_be_set),
        cmocka_unit_test(a_reload_tells_what_needs_a_restart),
        cmocka_unit_test(references_keep_a_snapshot),
        cmocka_unit_test(included_files_come_first_and_lists_join),
        cmocka_unit_test(files_that_cannot_be_read_are_named),
        cmocka_unit_test(a_file_cut_anywhere_is_read_or_refused),
        cmocka_unit_test(garbled_files_do_no_harm),
        cmocka_unit_test(the_manual_is_up_to_date),
        cmocka_unit_test(names_have_a_distance),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
