/* receive/receive_test.c - sessions over loopback sockets into a real spool with its writer. */
#include "receive/receive_kit.h"

/* ---- tests ---- */

static void test_message(void **state)
{
    static const char body[] = "Subject: x\r\n\r\n.dot\r\nend\r\n";
    uint8_t got[4096];
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "", 0);
    fd = in_data(&f);
    say(fd, "Subject: x\r\n\r\n..dot\r\nend\r\n.\r\n");
    hear(fd, "250 2.0.0 Ok: queued as ");
    wait_messages(&f, 1);
    assert_int_equal(read_body(&f, f.ids[0], got, sizeof(got)), strlen(body));
    assert_memory_equal(got, body, strlen(body));
    quit(fd);
    teardown(&f);
}

static void test_large_bodies(void **state)
{
    enum { LINE = 80, LINES = 60000 };
    char *body = malloc(LINE * LINES + 8), last[8];
    uint8_t *got = malloc(LINE * LINES + 4096);
    struct fixture f;
    int fds[3];

    (void)state;
    assert_true(body && got);
    for (size_t i = 0; i < LINES; i++)
        (void)snprintf(body + i * LINE, LINE + 1, "%078zu\r\n", i);
    memcpy(body + LINE * LINES, ".\r\n", 3);
    setup(&f, "", 0);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = in_data(&f);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) { /* with and without a gap before the end */
        say_bytes(fds[i], body, LINE * LINES + (i ? 3 : 0));
        (void)snprintf(last, sizeof(last), "%s", i ? "" : ".\r\n");
        say(fds[i], last);
        hear(fds[i], "250 2.0.0 Ok");
    }
    wait_messages(&f, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(read_body(&f, f.ids[i], got, LINE * LINES + 4096), LINE * LINES);
        assert_memory_equal(got, body, LINE * LINES);
        quit(fds[i]);
    }
    free(body);
    free(got);
    teardown(&f);
}

static const char whole_session[] = "EHLO client.example\r\nMAIL FROM:<a@b.example> SIZE=100\r\n"
                                    "RCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n"
                                    "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
                                    "BDAT 3\r\nx\r\nBDAT 0 LAST\r\nQUIT\r\n";

/* Whoever goes away, at whatever byte, leaves nothing behind but whole messages. */
static void test_cut_at_every_byte(void **state)
{
    struct fixture f;
    struct linger reset = {.l_onoff = 1};

    (void)state;
    setup(&f, "", 0);
    for (size_t cut = 1; cut < sizeof(whole_session); cut++) {
        int fd = dial(&f);

        say_bytes(fd, whole_session, cut);
        if (cut % 3 == 0) /* a reset, not a farewell */
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        (void)close(fd);
    }
    wait_quiet(&f);
    teardown(&f);
}

static void test_pipeline(void **state)
{
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "", 0);
    fd = dial(&f);
    say(fd, whole_session);
    hear(fd, "220");
    hear(fd, "250 ");
    hear(fd, "250 2.1.0");
    hear(fd, "250 2.1.5");
    hear(fd, "354");
    hear(fd, "250 2.0.0 Ok");
    hear(fd, "250 2.1.0");
    hear(fd, "250 2.1.5");
    hear(fd, "250");
    hear(fd, "250 2.0.0 Ok");
    hear(fd, "221");
    hear_end(fd);
    wait_messages(&f, 2);
    teardown(&f);
}

/* A client that closes its side behind the message still reads that it was taken. */
static void test_half_closed(void **state)
{
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "", 0);
    for (int i = 0; i < 8; i++) {
        fd = in_data(&f);
        say(fd, "x\r\n.\r\n");
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        hear(fd, "250 2.0.0 Ok");
        hear_end(fd);
    }
    wait_messages(&f, 8);
    teardown(&f);
}

static void test_starttls_injection(void **state)
{
    struct fixture f;
    char reply[200] = "";
    ssize_t n;
    int fd;

    (void)state;
    setup(&f, "", 0);
    fd = greeted(&f);
    say(fd, "STARTTLS\r\nMAIL FROM:<evil@b.example>\r\nRCPT TO:<c@d.example>\r\n");
    n = recv(fd, reply, sizeof(reply) - 1, 0);
    assert_true(n > 3);
    do { /* at most the 220: the plain text behind it is a bad handshake, or refused */
        reply[n] = '\0';
        assert_null(strstr(reply, "250 2.1"));
    } while ((n = recv(fd, reply, sizeof(reply) - 1, 0)) > 0);
    (void)close(fd);
    teardown(&f);
}

/* A stop waits for what is being stored, and its client hears of it. */
static void test_stop_with_a_commit_out(void **state)
{
    struct spool_writer_config slow = {
        .commit_delay_us = 300000, .commit_batch_bytes = MIB(64), .lazy_sync_ms = 50};
    struct fixture f;
    int fd, other, idle;

    (void)state;
    setup(&f, "", 0);
    spool_writer_set_config(f.writer, &slow);
    idle = greeted(&f);
    other = in_data(&f); /* somebody who could join the group keeps it open */
    fd = in_data(&f);
    say(fd, "x\r\n.\r\n");
    assert_true(order(&f, ORDER_STOP) >= 2);
    hear(idle, "421 4.3.2");
    hear_end(idle);
    hear(fd, "250 2.0.0 Ok");
    wait_messages(&f, 1);
    say(other, "y\r\n.\r\n");
    hear(other, "250 2.0.0 Ok");
    wait_messages(&f, 2);
    assert_int_equal(order(&f, ORDER_STOP), 0);
    hear(fd, "421");
    hear_end(fd);
    hear(other, "421");
    hear_end(other);
    teardown(&f);
}

/* At the end of patience the message is kept or not, but no 421 says that it is not. */
static void test_stop_now_with_a_commit_out(void **state)
{
    struct spool_writer_config slow = {
        .commit_delay_us = 300000, .commit_batch_bytes = MIB(64), .lazy_sync_ms = 50};
    struct fixture f;
    int fd, other;

    (void)state;
    setup(&f, "", 0);
    spool_writer_set_config(f.writer, &slow);
    other = in_data(&f);
    fd = in_data(&f);
    say(fd, "x\r\n.\r\nNOOP\r\n");
    say(other, "half a message");
    (void)order(&f, ORDER_STOP_NOW);
    hear(other, "421");
    hear_end(other);
    (void)close(fd);
    teardown(&f);
}

static void test_refusals(void **state)
{
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "relay: {networks: [], domains: [in.example]}\nsmtp: {received_max: 10}\n", MIB(8));
    fd = greeted(&f);
    say(fd, "MAIL FROM:<a@b.example> SIZE=50000000\r\n");
    hear(fd, "452 4.3.1");
    say(fd, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@out.example>\r\nRCPT TO:<c@in.example>\r\n");
    hear(fd, "250");
    hear(fd, "550 5.7.1");
    hear(fd, "250");
    say(fd, "DATA\r\n");
    hear(fd, "354");
    for (int i = 0; i < 11; i++)
        say(fd, "Received: from x by y; date\r\n");
    say(fd, "\r\n.\r\n");
    hear(fd, "554 5.4.6");
    atomic_store(&f.shared.queue_is_full, true);
    say(fd, "MAIL FROM:<a@b.example>\r\n");
    hear(fd, "452 4.3.1");
    atomic_store(&f.shared.queue_is_full, false);
    say(fd, "MAIL FROM:<a@b.example>\r\n");
    hear(fd, "250");
    quit(fd);
    teardown(&f);
}

/* Whether there is room for half of a spool of 8 MiB. */
static bool accepts_half(int fd)
{
    char reply[512];
    ssize_t n;

    say(fd, "MAIL FROM:<a@b.example> SIZE=3000000\r\n");
    n = recv(fd, reply, sizeof(reply), 0);
    assert_true(n > 3 && reply[n - 1] == '\n');
    return reply[0] == '2';
}

/* A body that outgrows the spool is refused at its end, and gives all of it back. */
static void test_spool_fills(void **state)
{
    char block[1000];
    struct fixture f;
    int fd;

    (void)state;
    memset(block, 'x', sizeof(block));
    block[998] = '\r';
    block[999] = '\n';
    setup(&f, "", MIB(8));
    for (int round = 0; round < 3; round++) {
        fd = in_data(&f);
        for (int i = 0; i < 12000; i++)
            say_bytes(fd, block, sizeof(block));
        say(fd, ".\r\n");
        hear(fd, "452 4.3.1");
        quit(fd);
    }
    wait_quiet(&f);
    for (int i = 0; f.count == 0 && i < PATIENCE_S * 1000 / BOX_MS; i++) {
        fd = greeted(&f); /* the spool makes use of what it got back as soon as it has time */
        if (accepts_half(fd)) {
            say(fd, "RCPT TO:<c@d.example>\r\nDATA\r\n");
            hear(fd, "250");
            hear(fd, "354");
            say(fd, "x\r\n.\r\n");
            hear(fd, "250 2.0.0 Ok");
            wait_messages(&f, 1);
        }
        quit(fd);
        (void)mailbox_receive(f.queue, BOX_MS * UINT64_C(1000000));
    }
    assert_int_equal(f.count, 1);
    teardown(&f);
}

static void test_greeting_delay(void **state)
{
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "smtp: {greeting_delay: 50ms, early_talkers_refused: no}\n", 0);
    fd = dial(&f);
    say(fd, "EHLO early.example\r\n");
    hear(fd, "220");
    hear(fd, "250 ");
    quit(fd);
    teardown(&f);
    setup(&f, "smtp: {greeting_delay: 50ms, early_talkers_refused: yes}\n", 0);
    fd = dial(&f);
    say(fd, "EHLO early.example\r\n");
    hear(fd, "554");
    hear_end(fd);
    fd = greeted(&f);
    quit(fd);
    teardown(&f);
}

static void test_time_outs(void **state)
{
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "smtp: {time_outs: {command: 100ms, data: 100ms}}\n", 0);
    fd = dial(&f);
    hear(fd, "220");
    hear(fd, "421");
    hear_end(fd);
    wait_quiet(&f);
    fd = in_data(&f);
    say(fd, "never ends");
    hear(fd, "421");
    hear_end(fd);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message),
        cmocka_unit_test(test_large_bodies),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_starttls_injection),
        cmocka_unit_test(test_stop_with_a_commit_out),
        cmocka_unit_test(test_stop_now_with_a_commit_out),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_spool_fills),
        cmocka_unit_test(test_greeting_delay),
        cmocka_unit_test(test_time_outs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
