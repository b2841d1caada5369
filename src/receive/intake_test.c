/*
 * receive/intake_test.c - what is let in: the gate, the tarpit, sizes, limits for one client, and
 * what is reported of it.
 */
#include "receive/receive_kit.h"

/* Clients are external where no network is internal. */
#define EXTERNAL "pressure: {internal_networks: []}\n"
#define CLASS(c) "listeners: [{address: \"127.0.0.1:0\", name: main, class: " c "}]\n"
#define MAIL "MAIL FROM:<a@b.example>\r\n"

/* The gate for one class; the others go in. */
static void set_line(struct fixture *f, enum mail_class class, enum gate_verdict verdict,
                     uint32_t delay_ms, uint8_t resource)
{
    struct gate_settings s = {.size_max = UINT64_MAX};

    s.lines[class] = (struct gate_line){verdict, delay_ms, resource};
    gate_set(&f->gate, &s);
}

static void open_gate(struct fixture *f)
{
    gate_init(&f->gate);
}

static void wait_delayed(struct fixture *f, unsigned count)
{
    for (int i = 0; atomic_load(&f->shared.delayed) != count && i < PATIENCE_S * 1000 / BOX_MS; i++)
        (void)mailbox_receive(f->queue, BOX_MS * UINT64_C(1000000));
    assert_int_equal(atomic_load(&f->shared.delayed), count);
}

static void send_one(int fd, struct fixture *f)
{
    size_t count = f->count;

    say(fd, MAIL "RCPT TO:<c@d.example>\r\nDATA\r\n");
    hear(fd, "250 2.1.0");
    hear(fd, "250 2.1.5");
    hear(fd, "354");
    say(fd, "x\r\n.\r\n");
    hear(fd, "250 2.0.0 Ok");
    wait_messages(f, count + 1);
}

/* ---- the gate ---- */

static void test_classes(void **state)
{
    static const struct {
        const char *config;
        enum mail_class class;
    } cases[] = {
        {"", MAIL_INTERNAL}, /* loopback is in relay.networks */
        {EXTERNAL, MAIL_EXTERNAL},
        {"pressure: {internal_networks: [127.0.0.0/8]}\n", MAIL_INTERNAL},
        {"pressure: {internal_networks: [10.0.0.0/8]}\n", MAIL_EXTERNAL},
        {EXTERNAL CLASS("internal"), MAIL_INTERNAL},
        {CLASS("external"), MAIL_EXTERNAL},
        {EXTERNAL CLASS("authenticated"), MAIL_AUTHENTICATED},
        {EXTERNAL CLASS("second_copy"), MAIL_SECOND_COPY},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fixture f;
        int fd;

        setup(&f, cases[i].config, 0);
        fd = greeted(&f);
        for (int c = 0; c < MAIL_CLASSES; c++) {
            bool is_its_own = c == (int)cases[i].class;

            set_line(&f, (enum mail_class)c, GATE_REFUSE, 0, GOVERNOR_SPOOL_DISK);
            say(fd, MAIL "RSET\r\n");
            hear(fd, is_its_own ? "452 4.3.1 Insufficient system resources (spool-disk)\r\n"
                                : "250 2.1.0");
            hear(fd, "250 2.0.0");
        }
        quit(fd);
        teardown(&f);
    }
}

/* The rest of a pipeline has an answer each, and the session goes on. */
static void test_pipeline_after_refusal(void **state)
{
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, EXTERNAL "smtp: {errors_max: 5}\n", 0);
    fd = greeted(&f);
    for (int round = 0; round < 20; round++) {
        set_line(&f, MAIL_EXTERNAL, GATE_REFUSE, 0, GOVERNOR_MEMORY);
        say(fd, MAIL "RCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\nDATA\r\n");
        hear(fd, "452 4.3.1 Insufficient system resources (memory)\r\n");
        hear(fd, "503 5.5.1");
        hear(fd, "503 5.5.1");
        hear(fd, "503 5.5.1");
        say(fd, MAIL "RCPT TO:<c@d.example>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
        hear(fd, "452 4.3.1");
        hear(fd, "503 5.5.1");
        hear(fd, "503 5.5.1");
        hear(fd, "250 2.0.0");
    }
    open_gate(&f);
    send_one(fd, &f);
    quit(fd);
    teardown(&f);
}

static void test_bare_replies(void **state)
{
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "pressure: {reply_detail: bare}\n", 0);
    fd = greeted(&f);
    set_line(&f, MAIL_INTERNAL, GATE_REFUSE, 0, GOVERNOR_SPOOL_DISK);
    say(fd, MAIL);
    hear(fd, "452 4.3.1 Insufficient system resources\r\n");
    quit(fd);
    teardown(&f);
}

static void test_no_gate(void **state)
{
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "", 0);
    f.shared.gate = NULL;
    fd = greeted(&f);
    send_one(fd, &f);
    quit(fd);
    teardown(&f);
}

static void test_refused_at_connect(void **state)
{
    struct gate_settings s = {.size_max = UINT64_MAX, .refuse_at_connect = true};
    struct receive_report report;
    struct fixture f;
    int fd;

    (void)state;
    s.lines[MAIL_EXTERNAL] = (struct gate_line){GATE_REFUSE, 0, GOVERNOR_SPOOL_DISK};
    setup(&f, EXTERNAL, 0);
    gate_set(&f.gate, &s);
    fd = dial(&f);
    hear(fd, "421 4.3.2 test.example Insufficient system resources (spool-disk)\r\n");
    hear_end(fd);
    report = take_report(&f);
    assert_int_equal(report.tally.counts[MAIL_EXTERNAL][TALLY_REFUSED_CONNECT], 1);
    assert_int_equal(report.tally.causes[GOVERNOR_SPOOL_DISK], 1);
    open_gate(&f);
    fd = greeted(&f);
    quit(fd);
    teardown(&f);
    setup(&f, "", 0); /* who is internal may come in, and hears of it at MAIL */
    gate_set(&f.gate, &s);
    fd = greeted(&f);
    quit(fd);
    teardown(&f);
}

/* ---- the tarpit ---- */

static void test_delayed_then_let_in(void **state)
{
    struct receive_report report;
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "", 0);
    fd = greeted(&f);
    set_line(&f, MAIL_INTERNAL, GATE_DELAY, 20, GOVERNOR_SPOOL_DISK);
    say(fd, "MAIL FROM:<a@b.example> SIZE=5 ENVID=some+2Bid\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    hear(fd, "250 2.1.0"); /* the gate still delays: it has served its time */
    hear(fd, "250 2.1.5");
    hear(fd, "354");
    say(fd, "x\r\n.\r\n");
    hear(fd, "250 2.0.0 Ok");
    wait_messages(&f, 1);
    report = take_report(&f);
    assert_int_equal(report.tally.counts[MAIL_INTERNAL][TALLY_DELAYED], 1);
    assert_int_equal(report.tally.counts[MAIL_INTERNAL][TALLY_ACCEPTED], 1);
    quit(fd);
    teardown(&f);
}

static void test_delayed_then_refused(void **state)
{
    struct receive_report report;
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "", 0);
    fd = greeted(&f);
    set_line(&f, MAIL_INTERNAL, GATE_DELAY, 300, GOVERNOR_SPOOL_DISK);
    say(fd, MAIL "RCPT TO:<c@d.example>\r\nNOOP\r\n");
    wait_delayed(&f, 1);
    set_line(&f, MAIL_INTERNAL, GATE_REFUSE, 0, GOVERNOR_QUEUE);
    hear(fd, "452 4.3.1 Insufficient system resources (queue)\r\n");
    hear(fd, "503 5.5.1");
    hear(fd, "250 2.0.0");
    assert_int_equal(atomic_load(&f.shared.delayed), 0);
    report = take_report(&f);
    assert_int_equal(report.tally.counts[MAIL_INTERNAL][TALLY_REFUSED], 1);
    assert_int_equal(report.tally.counts[MAIL_INTERNAL][TALLY_ACCEPTED], 0);
    quit(fd);
    teardown(&f);
}

#define HOUR_MS 3600000

/* Who goes away gives its place back; so does a stop, at once. */
static void test_delayed_then_gone(void **state)
{
    struct fixture f;
    int fd, other;

    (void)state;
    setup(&f, "pressure: {tarpit: {sessions_max: 2}}\n", 0);
    set_line(&f, MAIL_INTERNAL, GATE_DELAY, HOUR_MS, GOVERNOR_SPOOL_DISK);
    fd = greeted(&f);
    other = greeted(&f);
    say(fd, MAIL);
    say(other, MAIL);
    wait_delayed(&f, 2);
    (void)close(fd);
    wait_delayed(&f, 1);
    fd = greeted(&f);
    say(fd, MAIL "RCPT TO:<c@d.example>\r\nDATA\r\n"); /* its pipeline waits with it */
    wait_delayed(&f, 2);
    say(fd, "x\r\n"); /* which goes on while it waits */
    (void)close(fd);
    wait_delayed(&f, 1);
    fd = greeted(&f);
    say(fd, MAIL "RCPT TO:<c@d.example>\r\n");
    wait_delayed(&f, 2);
    (void)order(&f, ORDER_STOP);
    hear(fd, "421 4.3.2");
    (void)close(fd);
    hear(other, "421 4.3.2");
    hear_end(other);
    wait_delayed(&f, 0);
    teardown(&f);
}

static void test_tarpit_full(void **state)
{
    struct fixture f;
    int fd, other;

    (void)state;
    setup(&f, "pressure: {tarpit: {sessions_max: 1}}\n", 0);
    set_line(&f, MAIL_INTERNAL, GATE_DELAY, HOUR_MS, GOVERNOR_SPOOL_DISK);
    fd = greeted(&f);
    other = greeted(&f);
    say(fd, MAIL);
    wait_delayed(&f, 1);
    for (int i = 0; i < 3; i++) {
        say(other, MAIL "RCPT TO:<c@d.example>\r\n");
        hear(other, "452 4.3.1 Insufficient system resources (sessions)\r\n");
        hear(other, "503 5.5.1");
    }
    open_gate(&f);
    send_one(other, &f);
    quit(other);
    (void)close(fd);
    wait_delayed(&f, 0);
    teardown(&f);
}

static const char whole_session[] = "EHLO client.example\r\n"
                                    "MAIL FROM:<a@b.example> SIZE=100\r\n"
                                    "RCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n"
                                    "MAIL FROM:<a@b.example> ENVID=x\r\nRCPT TO:<c@d.example>\r\n"
                                    "BDAT 3\r\nx\r\nBDAT 0 LAST\r\nQUIT\r\n";

/* Whoever goes away, at whatever byte, while the gate delays, refuses, and changes its mind: no
 * place in the tarpit, no memory and no room in the spool stays taken (teardown() looks). */
static void test_cut_at_every_byte(void **state)
{
    static const struct gate_line lines[] = {
        {GATE_DELAY, 2, GOVERNOR_SPOOL_DISK},
        {GATE_REFUSE, 0, GOVERNOR_MEMORY},
        {GATE_DELAY, HOUR_MS, GOVERNOR_QUEUE},
        {GATE_OPEN, 0, 0},
    };
    struct linger reset = {.l_onoff = 1};
    struct fixture f;

    (void)state;
    setup(&f, "pressure: {tarpit: {sessions_max: 20}}\n", 0);
    for (size_t cut = 1; cut < sizeof(whole_session); cut++) {
        const struct gate_line *l = &lines[cut % ARRAY_SIZE(lines)];
        int fd = dial(&f);

        set_line(&f, MAIL_INTERNAL, l->verdict, l->delay_ms, l->resource);
        say_bytes(fd, whole_session, cut);
        if (cut % 3 == 0) /* a reset, not a farewell */
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        (void)close(fd);
    }
    teardown(&f);
}

/* ---- room ---- */

static void set_size_max(struct fixture *f, uint64_t max)
{
    struct gate_settings s = {.size_max = max};

    gate_set(&f->gate, &s);
}

static void test_size(void **state)
{
    struct receive_report report;
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "", MIB(8));
    fd = greeted(&f);
    set_size_max(&f, 10000);
    say(fd, "MAIL FROM:<a@b.example> SIZE=10001\r\n");
    hear(fd, "452 4.3.1 Insufficient system resources (size)\r\n");
    say(fd, "MAIL FROM:<a@b.example> SIZE=10000\r\nRSET\r\n");
    hear(fd, "250 2.1.0");
    hear(fd, "250 2.0.0");
    set_size_max(&f, UINT64_MAX);
    say(fd, "MAIL FROM:<a@b.example> SIZE=20000000\r\n"); /* over the spool, others fit */
    hear(fd, "452 4.3.1 Insufficient system resources (size)\r\n");
    atomic_store(&f.shared.queue_is_full, true);
    say(fd, MAIL);
    hear(fd, "452 4.3.1 Insufficient system resources (queue)\r\n");
    atomic_store(&f.shared.queue_is_full, false);
    atomic_store(&f.shared.body_memory_max, 1000);
    (void)atomic_fetch_add(&f.shared.body_memory, 1001);
    say(fd, MAIL);
    hear(fd, "452 4.3.1 Insufficient system resources (memory)\r\n");
    (void)atomic_fetch_sub(&f.shared.body_memory, 1001);
    report = take_report(&f);
    assert_int_equal(report.tally.counts[MAIL_INTERNAL][TALLY_REFUSED_SIZE], 2);
    assert_int_equal(report.tally.counts[MAIL_INTERNAL][TALLY_REFUSED], 2);
    assert_int_equal(report.tally.causes[GOVERNOR_MEMORY], 1);
    assert_int_equal(report.tally.causes[GOVERNOR_QUEUE], 1);
    assert_int_equal(report.tally.bytes[MAIL_INTERNAL], 20010001);
    send_one(fd, &f);
    quit(fd);
    teardown(&f);
}

static void test_full_spool(void **state)
{
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "", MIB(8));
    assert_int_equal(spool_reserve(f.sp, 1), 0);
    for (uint64_t step = MIB(1); step > 64; step /= 2)
        while (spool_reserve(f.sp, step) == 0)
            ;
    fd = greeted(&f);
    say(fd, MAIL);
    hear(fd, "452 4.3.1 Insufficient system resources (spool-disk)\r\n");
    say(fd, "MAIL FROM:<a@b.example> SIZE=100000\r\n");
    hear(fd, "452 4.3.1 Insufficient system resources (spool-disk)\r\n");
    quit(fd);
    spool_unreserve(f.sp, UINT64_MAX);
    teardown(&f);
}

/* It announced less than it sends, or nothing, and there is no room for what it is. */
static void test_refused_late(void **state)
{
    char line[1000];
    struct receive_report report;
    uint64_t before = counter_get(COUNTER_REFUSED_LATE);
    struct fixture f;
    int fd;

    (void)state;
    memset(line, 'x', sizeof(line));
    line[998] = '\r';
    line[999] = '\n';
    setup(&f, "", 0);
    fd = greeted(&f);
    set_size_max(&f, 50000);
    for (int round = 0; round < 2; round++) {
        say(fd, round ? "MAIL FROM:<a@b.example> SIZE=1000\r\n" : MAIL);
        hear(fd, "250 2.1.0");
        say(fd, "RCPT TO:<c@d.example>\r\nDATA\r\n");
        hear(fd, "250 2.1.5");
        hear(fd, "354");
        for (int i = 0; i < 400; i++)
            say_bytes(fd, line, sizeof(line));
        say(fd, ".\r\n");
        hear(fd, "452 4.3.1 Insufficient system resources (size)\r\n");
    }
    report = take_report(&f);
    assert_int_equal(report.tally.counts[MAIL_INTERNAL][TALLY_REFUSED_LATE], 2);
    assert_int_equal(report.tally.counts[MAIL_INTERNAL][TALLY_REFUSED], 0);
    assert_int_equal(report.tally.counts[MAIL_INTERNAL][TALLY_ACCEPTED], 2);
    assert_int_equal(counter_get(COUNTER_REFUSED_LATE), before + 2);
    for (int i = 0; report.messages_in_flight > 0 && i < PATIENCE_S * 1000 / BOX_MS; i++) {
        (void)mailbox_receive(f.queue, BOX_MS * UINT64_C(1000000)); /* the spool takes it back */
        report = take_report(&f);
    }
    assert_int_equal(report.messages_in_flight, 0);
    set_size_max(&f, UINT64_MAX);
    say(fd, MAIL "RCPT TO:<c@d.example>\r\nDATA\r\n");
    hear(fd, "250 2.1.0");
    hear(fd, "250 2.1.5");
    hear(fd, "354");
    set_size_max(&f, 0); /* nothing new comes in; what is in, and no giant, may end */
    for (int i = 0; i < 200; i++)
        say_bytes(fd, line, sizeof(line));
    say(fd, ".\r\n");
    hear(fd, "250 2.0.0 Ok");
    wait_messages(&f, 1);
    quit(fd);
    teardown(&f);
}

/* Second copies are beyond what others may take: only the spool itself bounds them. */
static void test_second_copies_have_no_size(void **state)
{
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, CLASS("second_copy"), 0);
    fd = greeted(&f);
    set_size_max(&f, 0);
    say(fd, "MAIL FROM:<a@b.example> SIZE=100000\r\n");
    hear(fd, "250 2.1.0");
    quit(fd);
    teardown(&f);
}

/* ---- limits for one client ---- */

static void test_connections_at_a_time(void **state)
{
    struct receive_report report;
    struct fixture f;
    int fd, second;

    (void)state;
    setup(&f, EXTERNAL "smtp: {connections_per_client_max: 1}\n", 0);
    fd = greeted(&f);
    second = dial(&f);
    hear(second, "421 4.7.0 test.example Too many connections from your address\r\n");
    hear_end(second);
    report = take_report(&f);
    assert_int_equal(report.tally.counts[MAIL_EXTERNAL][TALLY_REFUSED_CLIENT], 1);
    quit(fd);
    wait_quiet(&f);
    fd = greeted(&f);
    quit(fd);
    teardown(&f);
    setup(&f, "smtp: {connections_per_client_max: 1}\n", 0); /* internal: no limit */
    fd = greeted(&f);
    second = greeted(&f);
    quit(fd);
    quit(second);
    teardown(&f);
}

static void test_connections_a_minute(void **state)
{
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, EXTERNAL "smtp: {connections_per_client_minute_max: 3}\n", 0);
    for (int i = 0; i < 3; i++) {
        fd = greeted(&f);
        quit(fd);
    }
    fd = dial(&f);
    hear(fd, "421 4.7.0 test.example Too many connections from your address\r\n");
    hear_end(fd);
    teardown(&f);
}

static void test_messages_a_minute(void **state)
{
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, EXTERNAL "smtp: {messages_per_client_minute_max: 2}\n", 0);
    fd = greeted(&f);
    set_line(&f, MAIL_EXTERNAL, GATE_REFUSE, 0, GOVERNOR_MEMORY);
    say(fd, MAIL); /* what the server refuses for want of room is not the client's */
    hear(fd, "452 4.3.1");
    open_gate(&f);
    send_one(fd, &f);
    send_one(fd, &f);
    say(fd, MAIL "RCPT TO:<c@d.example>\r\nNOOP\r\n");
    hear(fd, "450 4.7.1 Too many messages from your address in a minute, try again later\r\n");
    hear(fd, "503 5.5.1");
    hear(fd, "250 2.0.0");
    quit(fd);
    fd = greeted(&f);
    say(fd, MAIL);
    hear(fd, "450 4.7.1");
    quit(fd);
    teardown(&f);
}

static void test_errors_a_minute(void **state)
{
    struct receive_report report;
    struct fixture f;
    int fd;

    (void)state;
    setup(&f,
          EXTERNAL "relay: {networks: [], domains: [in.example]}\n"
                   "smtp: {errors_per_client_minute_max: 4}\n",
          0);
    for (int i = 0; i < 2; i++) { /* over two sessions: it is the client's count */
        fd = greeted(&f);
        say(fd, "WHAT\r\n");
        hear(fd, "500");
        say(fd, MAIL "RCPT TO:<c@out.example>\r\n");
        hear(fd, "250");
        hear(fd, "550 5.7.1");
        quit(fd);
    }
    fd = greeted(&f); /* over it: 421 is the reply, however many come at once */
    say(fd, MAIL "RCPT TO:<c@out.example>\r\nRCPT TO:<d@in.example>\r\n");
    hear(fd, "250");
    hear(fd, "421 4.7.0");
    hear_end(fd);
    report = take_report(&f);
    assert_int_equal(report.tally.counts[MAIL_EXTERNAL][TALLY_REFUSED_CLIENT], 1);
    teardown(&f);
}

/* Addresses that are refused count for errors_max, too. */
static void test_errors_of_a_session(void **state)
{
    struct fixture f;
    int fd;

    (void)state;
    setup(&f, "relay: {networks: [], domains: [in.example]}\nsmtp: {errors_max: 2}\n", 0);
    fd = greeted(&f);
    say(fd, MAIL);
    hear(fd, "250");
    say(fd, "RCPT TO:<c@out.example>\r\nRCPT TO:<d@out.example>\r\nRCPT TO:<e@out.example>\r\n");
    hear(fd, "550 5.7.1");
    hear(fd, "550 5.7.1");
    hear(fd, "421 4.7.0");
    hear_end(fd);
    teardown(&f);
}

/* ---- the log ---- */

/* What is in the log so far. */
static size_t read_log(int fd, char *to, size_t size)
{
    ssize_t n;

    event_flush();
    n = pread(fd, to, size - 1, 0);
    assert_true(n >= 0);
    to[n] = '\0';
    return (size_t)n;
}

static unsigned occurrences(const char *text, const char *of)
{
    unsigned n = 0;

    for (const char *p = text; (p = strstr(p, of)); p++)
        n++;
    return n;
}

/* A flood of refusals is a few lines, and one with the number of the others. */
static void test_refusals_are_told_in_measure(void **state)
{
    char path[] = "/tmp/penstock-intake-XXXXXX", text[8192];
    int log = mkstemp(path), fd;
    struct event_config ec = {.target = EVENT_TO_FD, .fd = log, .level = EVENT_INFO};
    struct receive_report report;
    struct fixture f;

    (void)state;
    assert_true(log >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(event_start(&ec), 0);
    setup(&f, "pressure: {internal_networks: [], refusals_logged_max: 2, interval: 100ms}\n", 0);
    fd = greeted(&f);
    set_line(&f, MAIL_EXTERNAL, GATE_REFUSE, 0, GOVERNOR_SPOOL_DISK);
    say(fd, MAIL MAIL MAIL MAIL MAIL MAIL MAIL MAIL MAIL MAIL); /* one read, one moment */
    for (int i = 0; i < 10; i++)
        hear(fd, "452 4.3.1");
    for (int i = 0; i < PATIENCE_S * 1000 / BOX_MS; i++) {
        (void)read_log(log, text, sizeof(text));
        if (strstr(text, "refusals_not_told"))
            break;
        (void)mailbox_receive(f.queue, BOX_MS * UINT64_C(1000000));
    }
    assert_int_equal(occurrences(text, "refusals_not_told"), 1);
    assert_non_null(strstr(text, "count=8"));
    assert_int_equal(occurrences(text, "message_refused"), 2);
    assert_non_null(strstr(text, "resource=spool-disk"));
    assert_non_null(strstr(text, "class=external"));
    assert_non_null(strstr(text, "from=a@b.example"));
    report = take_report(&f); /* all are counted */
    assert_int_equal(report.tally.counts[MAIL_EXTERNAL][TALLY_REFUSED], 10);
    assert_int_equal(report.tally.refused.count, 1);
    assert_string_equal(report.tally.refused.clients[0].client, "127.0.0.1");
    assert_int_equal(report.tally.refused.clients[0].count, 10);
    say(fd, MAIL); /* a new interval: told again */
    hear(fd, "452 4.3.1");
    quit(fd);
    (void)read_log(log, text, sizeof(text));
    assert_int_equal(occurrences(text, "message_refused"), 3);
    teardown(&f);
    event_stop();
    (void)close(log);
}

/* ---- reports ---- */

static void test_report(void **state)
{
    struct receive_report report;
    struct fixture f;
    int fds[3];

    (void)state;
    setup(&f, "", 0);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        char mail[80];

        (void)snprintf(mail, sizeof(mail), "MAIL FROM:<a%zu@b.example> SIZE=%zu\r\n", i,
                       (i == 1 ? 3 : i + 1) * (size_t)100000);
        fds[i] = greeted(&f);
        say(fds[i], mail);
        hear(fds[i], "250 2.1.0");
    }
    report = take_report(&f);
    assert_int_equal(report.sessions, 3);
    assert_int_equal(report.messages_in_flight, 3);
    assert_int_equal(report.holder_count, 3);
    assert_string_equal(report.holders[0].sender, "a1@b.example");
    assert_string_equal(report.holders[0].client, "127.0.0.1");
    assert_true(report.holders[0].bytes >= 300000 && report.holders[0].since_ms > 0);
    assert_true(report.holders[1].bytes >= report.holders[2].bytes);
    assert_true(report.bytes_in_flight >= 700000);
    assert_int_equal(report.tally.counts[MAIL_INTERNAL][TALLY_ACCEPTED], 3);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        say(fds[i], "RSET\r\n");
        hear(fds[i], "250");
    }
    report = take_report(&f);
    assert_int_equal(report.messages_in_flight, 0);
    assert_int_equal(report.bytes_in_flight, 0);
    assert_int_equal(report.holder_count, 0);
    assert_int_equal(report.tally.counts[MAIL_INTERNAL][TALLY_ACCEPTED], 0); /* since the last */
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        quit(fds[i]);
    teardown(&f);
}

/* The ten largest of more. */
static void test_many_holders(void **state)
{
    enum { COUNT = 25 };
    struct receive_report report;
    struct fixture f;
    int fds[COUNT];

    (void)state;
    setup(&f, "", 0);
    for (size_t i = 0; i < COUNT; i++) {
        char mail[80];

        (void)snprintf(mail, sizeof(mail), "MAIL FROM:<a@b.example> SIZE=%zu\r\n",
                       10000 + i * 7 % COUNT * 1000);
        fds[i] = greeted(&f);
        say(fds[i], mail);
        hear(fds[i], "250 2.1.0");
    }
    report = take_report(&f);
    assert_int_equal(report.messages_in_flight, COUNT);
    assert_int_equal(report.holder_count, RECEIVE_HOLDERS_MAX);
    for (size_t i = 1; i < RECEIVE_HOLDERS_MAX; i++)
        assert_int_equal(report.holders[i].bytes, report.holders[0].bytes - i * 1000);
    for (size_t i = 0; i < COUNT; i++)
        quit(fds[i]);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_pipeline_after_refusal),
        cmocka_unit_test(test_bare_replies),
        cmocka_unit_test(test_no_gate),
        cmocka_unit_test(test_refused_at_connect),
        cmocka_unit_test(test_delayed_then_let_in),
        cmocka_unit_test(test_delayed_then_refused),
        cmocka_unit_test(test_delayed_then_gone),
        cmocka_unit_test(test_tarpit_full),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_full_spool),
        cmocka_unit_test(test_refused_late),
        cmocka_unit_test(test_second_copies_have_no_size),
        cmocka_unit_test(test_connections_at_a_time),
        cmocka_unit_test(test_connections_a_minute),
        cmocka_unit_test(test_messages_a_minute),
        cmocka_unit_test(test_errors_a_minute),
        cmocka_unit_test(test_errors_of_a_session),
        cmocka_unit_test(test_refusals_are_told_in_measure),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_many_holders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
