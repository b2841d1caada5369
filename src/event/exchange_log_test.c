/*
 * event/exchange_log_test.c - a session's log as a whole, in a real file: numbers without gaps,
 * what is masked, what a flood leaves, and that it costs nothing while it is off.
 */
#include "event/exchange_log.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants those above first */
#include <cmocka.h>

#include "event/event.h"

#define S(literal) SLICE_LIT(literal)

static char folder[] = "/tmp/exchange_log_test.XXXXXX";

static void set_config(bool is_on)
{
    struct record_config rc = {.directory = folder,
                               .is_on = {[RECORD_RECEIVE] = is_on,
                                         [RECORD_SEND] = is_on,
                                         [RECORD_CONNECTIVITY] = is_on,
                                         [RECORD_TRACKING] = is_on},
                               .file_max_bytes = MIB(8),
                               .folder_max_bytes = MIB(32)};
    const char *failed;

    for (enum record_kind k = 0; k < RECORD_KINDS; k++)
        rc.heads[k] = exchange_head(k);
    assert_int_equal(record_set_config(&rc, &failed), 0);
}

/* All files of one folder, one after another, as in `text`. */
static const char *read_all(const char *kind)
{
    static char text[1 << 20];
    struct dirent **names;
    size_t len = 0;
    int count;
    char path[512];

    event_flush();
    (void)snprintf(path, sizeof(path), "%s/%s", folder, kind);
    count = scandir(path, &names, NULL, alphasort);
    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/%s/%s", folder, kind, names[i]->d_name);
        f = names[i]->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (f) {
            len += fread(text + len, 1, sizeof(text) - 1 - len, f);
            (void)fclose(f);
        }
        free(names[i]);
    }
    free((void *)names);
    text[len] = '\0';
    return text;
}

/* From the event on, the lines of one session, without CR; NUL-ended. */
static const char *lines_of(const char *kind, uint64_t session)
{
    static char out[1 << 20];
    char id[20];
    size_t len = 0;

    (void)snprintf(id, sizeof(id), ",%016llX,", (unsigned long long)session);
    for (const char *line = read_all(kind), *end; (end = strstr(line, "\r\n")); line = end + 2) {
        const char *at = strstr(line, id);

        if (!at || at > end)
            continue;
        at += strlen(id);
        assert_true(len + (size_t)(end - at) + 2 < sizeof(out));
        memcpy(out + len, at, (size_t)(end - at));
        len += (size_t)(end - at);
        out[len++] = '\n';
    }
    out[len] = '\0';
    return out;
}

static struct addr address(const char *text)
{
    struct addr a;

    assert_int_equal(addr_parse(slice_str(text), 25, &a, NULL), 0);
    return a;
}

static struct protocol_log open_log(enum record_kind kind)
{
    static const char connector[] = "mx1\\main";
    struct addr local = address("192.0.2.1:25"), remote = address("[2001:db8::2]:1025");
    struct protocol_log p;

    protocol_log_open(&p, kind, 0, slice_str(connector), &local, &remote);
    return p;
}

#define ENDS "192.0.2.1:25,[2001:db8::2]:1025,"

static void a_session_is_told_in_order(void **state)
{
    struct protocol_log p = open_log(RECORD_RECEIVE);
    const char *lines;

    (void)state;
    assert_true(protocol_log_is_on(&p));
    protocol_log_reply(&p, '>', S("220 mx1 ESMTP\r\n"));
    protocol_log_command(&p, '<', S("EHLO c"));
    protocol_log_reply(&p, '>', S("250-mx1\r\n250 SIZE 10\r\n"));
    protocol_log_command(&p, '<', S("AUTH LOGIN"));
    protocol_log_reply(&p, '>', S("500 5.5.2 Command not recognized\r\n"));
    protocol_log_command(&p, '<', S("dXNlcg=="));
    protocol_log_command(&p, '<', S("c2VjcmV0"));
    protocol_log_command(&p, '<', S("MAIL FROM:<a@b>"));
    protocol_log_command(&p, '<', S("dXNlcg=="));
    protocol_log_tarpit(&p, 10000, S("452 4.3.1 Insufficient system resources (memory)"));
    protocol_log_tarpit(&p, 90061500, (struct slice){0});
    protocol_log_received(&p, 48211);
    protocol_log_tls(&p, "TLSv1.3", "TLS_AES_256_GCM_SHA384", NULL);
    protocol_log_tls(&p, NULL, NULL, "no shared cipher");
    protocol_log_close(&p, "Remote(SocketError)");
    lines = lines_of("receive", protocol_log_session(&p));
    assert_string_equal(
        lines, "0," ENDS "+,,\n"
               "1," ENDS ">,220 mx1 ESMTP,\n"
               "2," ENDS "<,EHLO c,\n"
               "3," ENDS ">,250  mx1 SIZE 10,\n"
               "4," ENDS "<,AUTH LOGIN,\n"
               "5," ENDS ">,500 5.5.2 Command not recognized,\n"
               "6," ENDS "<,<authentication information>,\n"
               "7," ENDS "<,<authentication information>,\n"
               "8," ENDS "<,MAIL FROM:<a@b>,\n"
               "9," ENDS "<,<8 bytes>,\n"
               "10," ENDS "*,Tarpit for '0.00:00:10' due to '452 4.3.1 Insufficient system "
               "resources (memory)',\n"
               "11," ENDS "*,Tarpit for '1.01:01:01.5000000',\n"
               "12," ENDS "*,48211 bytes,message received\n"
               "13," ENDS "*,TLSv1.3 with cipher TLS_AES_256_GCM_SHA384,TLS negotiation succeeded\n"
               "14," ENDS "*,no shared cipher,TLS negotiation failed\n"
               "15," ENDS "-,,Remote(SocketError)\n");
}

static void a_sent_session_begins_before_it_is_connected(void **state)
{
    struct addr local = address("192.0.2.1:1025"), remote = address("198.51.100.7:25");
    struct protocol_log p;

    (void)state;
    protocol_log_open(&p, RECORD_SEND, 0x1234, S("mx1\\example.org"), NULL, &remote);
    protocol_log_write(&p, '*', (struct slice){0}, S("attempting to connect"));
    protocol_log_set_endpoints(&p, &local, &remote);
    protocol_log_write(&p, '+', (struct slice){0}, (struct slice){0});
    protocol_log_reply_text(&p, '<', 220, S("mx"));
    protocol_log_sending(&p, 4711, S("<a@b>"));
    protocol_log_sending(&p, 4712, (struct slice){0});
    protocol_log_close(&p, "Local");
    assert_string_equal(
        lines_of("send", 0x1234),
        "0,,198.51.100.7:25,*,,attempting to connect\n"
        "1,192.0.2.1:1025,198.51.100.7:25,+,,\n"
        "2,192.0.2.1:1025,198.51.100.7:25,<,220 mx,\n"
        "3,192.0.2.1:1025,198.51.100.7:25,*,,sending message with RecordId 4711 and "
        "InternetMessageId <a@b>\n"
        "4,192.0.2.1:1025,198.51.100.7:25,*,,sending message with RecordId 4712\n"
        "5,192.0.2.1:1025,198.51.100.7:25,-,,Local\n");
}

static void connections_are_told_with_their_end(void **state)
{
    (void)state;
    connectivity_log(0xabc, S("example.org"), '>', S("Established connection to 198.51.100.7"));
    connectivity_log_end(0xabc, S("example.org"), 2, 4711, NULL, (struct slice){0});
    connectivity_log_end(0xabc, S("example.org"), 0, 0, "Retry", S("452 4.3.1 No, not now"));
    assert_string_equal(
        lines_of("connectivity", 0xabc),
        "SMTP,example.org,>,Established connection to 198.51.100.7\n"
        "SMTP,example.org,-,Messages: 2 Bytes: 4711\n"
        "SMTP,example.org,-,\"Messages: 0 Bytes: 0 (Retry : 452 4.3.1 No, not now)\"\n");
}

static void a_flood_is_counted(void **state)
{
    struct protocol_flood f = {0};
    struct protocol_log p;
    unsigned logged = 0, refused = 0;

    (void)state;
    while (refused < 5) { /* a second may end meanwhile */
        p = open_log(RECORD_RECEIVE);
        if (protocol_log_admit(&f, &p)) {
            logged++;
        } else {
            refused++;
            assert_false(protocol_log_is_on(&p));
        }
    }
    assert_true(logged >= PROTOCOL_REFUSED_PER_S);
    f.second = 0; /* another second */
    p = open_log(RECORD_RECEIVE);
    assert_true(protocol_log_admit(&f, &p));
    assert_non_null(strstr(lines_of("receive", protocol_log_session(&p)),
                           "refused connections before this one were not logged"));
    p = open_log(RECORD_RECEIVE);
    assert_true(protocol_log_admit(&f, &p));
    assert_string_equal(lines_of("receive", protocol_log_session(&p)), "");
}

static void a_change_counts_for_new_sessions(void **state)
{
    struct protocol_log on = open_log(RECORD_RECEIVE), off;
    uint64_t first = exchange_session_id();

    (void)state;
    set_config(false);
    off = open_log(RECORD_RECEIVE);
    assert_false(protocol_log_is_on(&off));
    assert_true(protocol_log_session(&off) > first);
    set_config(true);
    protocol_log_close(&off, "Local");
    protocol_log_close(&on, "Local");
    assert_string_equal(lines_of("receive", protocol_log_session(&off)), "");
    assert_string_equal(lines_of("receive", protocol_log_session(&on)),
                        "0," ENDS "+,,\n1," ENDS "-,,Local\n");
}

static int setup(void **state)
{
    const struct event_config ec = {
        .target = EVENT_TO_FD, .fd = STDERR_FILENO, .level = EVENT_NOTHING};

    (void)state;
    if (!mkdtemp(folder) || event_start(&ec) < 0)
        return -1;
    set_config(true);
    return 0;
}

static int teardown(void **state)
{
    static const char *const kinds[] = {"events", "receive", "send", "connectivity", "tracking"};
    char path[512];

    (void)state;
    event_stop();
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        DIR *d;

        (void)snprintf(path, sizeof(path), "%s/%s", folder, kinds[i]);
        d = opendir(path);
        for (struct dirent *e; d && (e = readdir(d));)
            (void)unlinkat(dirfd(d), e->d_name, 0);
        if (d)
            (void)closedir(d);
        (void)rmdir(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_told_in_order),
        cmocka_unit_test(a_sent_session_begins_before_it_is_connected),
        cmocka_unit_test(connections_are_told_with_their_end),
        cmocka_unit_test(a_flood_is_counted),
        cmocka_unit_test(a_change_counts_for_new_sessions),
    };

    return cmocka_run_group_tests_name("exchange log", tests, setup, teardown);
}
