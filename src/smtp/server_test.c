/* smtp/server_test.c - whole sessions: what is said, what the owner is asked, at every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "smtp/session_kit.h"

#define EHLO "EHLO c\r\n"
#define OPEN EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define OPEN_LOG "EHLO c\nmail a@b\nrcpt c@d\n"
#define PIPELINE_REFUSED "MAIL FROM:<no-a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@d>\r\nDATA\r\n"
#define OPEN_SAID "220 250 250/2.1.0 250/2.1.5 "

struct session_case {
    const char *in;
    const char *said; /* "code" or "code/status" of each reply */
    const char *log;  /* what the owner was asked */
};

static const struct session_case sessions[] = {
    {"", "220", ""},
    {"QUIT\r\n", "220 221/2.0.0", "quit\n"},
    {"quit\r\nNOOP\r\n", "220 221/2.0.0", "quit\n"},
    {"HELO c\r\n", "220 250", "HELO c\n"},
    {"EHLO no-c\r\nMAIL FROM:<a@b>\r\n", "220 550/5.1.1 503/5.5.1", "EHLO no-c\n"},
    {OPEN "DATA\r\nhi\r\n.\r\nQUIT\r\n", OPEN_SAID "354 250/2.0.0 221/2.0.0",
     OPEN_LOG "data\nend hi\r\n|\nquit\n"},
    {OPEN "DATA\r\n..hi\r\n.\r\n", OPEN_SAID "354 250/2.0.0", OPEN_LOG "data\nend .hi\r\n|\n"},
    {"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no-c@d>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n",
     "220 250 250/2.1.0 550/5.1.1 250/2.1.5 354 250/2.0.0",
     "EHLO c\nmail a@b\nrcpt no-c@d\nrcpt c@d\ndata\nend x\r\n|\n"},
    /* decisions that come later */
    {"EHLO wait-c\r\nMAIL FROM:<wait-a@b>\r\nRCPT TO:<wait-c@d>\r\nRCPT TO:<waitno-c@d>\r\n"
     "DATA\r\nx\r\n.\r\nQUIT\r\n",
     "220 250 250/2.1.0 250/2.1.5 550/5.1.1 354 250/2.0.0 221/2.0.0",
     "EHLO wait-c\nmail wait-a@b\nrcpt wait-c@d\nrcpt waitno-c@d\ndata\nend x\r\n|\nquit\n"},
    {"EHLO c\r\nMAIL FROM:<waitno-a@b>\r\nRCPT TO:<c@d>\r\nMAIL FROM:<a@b>\r\n",
     "220 250 550/5.1.1 503/5.5.1 250/2.1.0", "EHLO c\nmail waitno-a@b\nmail a@b\nreset 2\n"},
    {"EHLO c\r\nMAIL FROM:<bye-a@b>\r\nQUIT\r\n", "220 250 421/4.3.2", "EHLO c\nmail bye-a@b\n"},
    {OPEN "RCPT TO:<bye-a@b>\r\nQUIT\r\n", OPEN_SAID "421/4.3.2",
     OPEN_LOG "rcpt bye-a@b\nreset 2\n"},
    /* order */
    {"MAIL FROM:<a@b>\r\n", "220 503/5.5.1", ""},
    {EHLO "RCPT TO:<a@b>\r\nDATA\r\n", "220 250 503/5.5.1 503/5.5.1", "EHLO c\n"},
    {EHLO "MAIL FROM:<a@b>\r\nDATA\r\nMAIL FROM:<a@b>\r\n", "220 250 250/2.1.0 554/5.5.1 503/5.5.1",
     "EHLO c\nmail a@b\nreset 2\n"},
    {OPEN "RSET\r\nDATA\r\n", OPEN_SAID "250/2.0.0 503/5.5.1", OPEN_LOG "reset 0\n"},
    {OPEN "EHLO c\r\nRCPT TO:<a@b>\r\n", OPEN_SAID "250 503/5.5.1", OPEN_LOG "reset 0\nEHLO c\n"},
    {OPEN "QUIT\r\n", OPEN_SAID "221/2.0.0", OPEN_LOG "reset 2\nquit\n"},
    {OPEN, "220 250 250/2.1.0 250/2.1.5", OPEN_LOG "reset 2\n"}, /* lost */
    {OPEN "DATA\r\nhalf", OPEN_SAID "354", OPEN_LOG "data\nreset 2\n"},
    {OPEN "DATA\r\nx\r\n.", OPEN_SAID "354", OPEN_LOG "data\nreset 2\n"},
    /* other commands */
    {"NOOP x\r\nRSET\r\nVRFY a\r\nEXPN a\r\nHELP\r\nHELP MAIL\r\nVRFY\r\n",
     "220 250/2.0.0 250/2.0.0 252/2.0.0 502/5.5.1 214/2.0.0 214/2.0.0 501/5.5.4", ""},
    {"STARTTLS\r\nLHLO c\r\nFOO\r\n\r\nDATA x\r\n",
     "220 502/5.5.1 500/5.5.1 500/5.5.2 500/5.5.2 501/5.5.4", ""},
    {"EHLO\r\nHELO \r\nEHLO a b\r\n", "220 501/5.5.4 501/5.5.4 501/5.5.4", ""},
    /* parameters */
    {EHLO "MAIL FROM:<> SIZE=999 BODY=8BITMIME RET=HDRS ENVID=x+2By\r\n"
          "RCPT TO:<Postmaster> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b\r\n",
     "220 250 250/2.1.0 250/2.1.5",
     "EHLO c\nmail  size=999 8bit hdrs envid=x+2By\nrcpt Postmaster notify=10 "
     "orcpt=rfc822;a+40b\nreset 2\n"},
    {EHLO "MAIL FROM:<a@b> SIZE=1001\r\n", "220 250 552/5.3.4", "EHLO c\n"},
    {EHLO "MAIL FROM:<a@b> SIZE=99999999999999999999\r\n", "220 250 552/5.3.4", "EHLO c\n"},
    {EHLO "MAIL FROM:<\xc3\xbc@b> SMTPUTF8\r\nRCPT TO:<\xc3\xbc@d>\r\n",
     "220 250 250/2.1.0 250/2.1.5", "EHLO c\nmail \xc3\xbc@b utf8\nrcpt \xc3\xbc@d\nreset 2\n"},
    {EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<\xc3\xbc@d>\r\n", "220 250 250/2.1.0 553/5.6.7",
     "EHLO c\nmail a@b\nreset 2\n"},
    /* BDAT */
    {OPEN "BDAT 4 LAST\r\nhi\r\nQUIT\r\n", OPEN_SAID "250/2.0.0 221/2.0.0",
     OPEN_LOG "data\nend hi\r\n|\nquit\n"},
    {OPEN "BDAT 3\r\nhi\rBDAT 2\r\n\n.BDAT 0 LAST\r\n", OPEN_SAID "250/2.0.0 250/2.0.0 250/2.0.0",
     OPEN_LOG "data\nend hi\r\n.|\n"},
    {OPEN "BDAT 0 LAST\r\n", OPEN_SAID "250/2.0.0", OPEN_LOG "data\nend |\n"},
    {OPEN "BDAT 2\r\nxxDATA\r\n", OPEN_SAID "250/2.0.0 503/5.5.1", OPEN_LOG "data\nreset 2\n"},
    {OPEN "BDAT 2\r\nxxRCPT TO:<a@b>\r\n", OPEN_SAID "250/2.0.0 503/5.5.1",
     OPEN_LOG "data\nreset 2\n"},
    {"BDAT 6\r\nQUIT\r\nNOOP\r\n", "220 503/5.5.1 250/2.0.0", ""},
    {EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<no-c@d>\r\nBDAT 6\r\nQUIT\r\nBDAT 2 LAST\r\nxxNOOP\r\n",
     "220 250 250/2.1.0 550/5.1.1 554/5.5.1 503/5.5.1 250/2.0.0",
     "EHLO c\nmail a@b\nrcpt no-c@d\nreset 1\n"},
    {OPEN "BDAT 1001 LAST\r\n", OPEN_SAID "552/5.3.4", OPEN_LOG "reset 1\n"},
    {OPEN "BDAT 2 LAST\r\nx\nNOOP\r\n", OPEN_SAID "554/5.5.2 250/2.0.0",
     OPEN_LOG "data\nreset 1\n"},
    {OPEN "BDAT 2 LAST\r\nx\rNOOP\r\n", OPEN_SAID "554/5.5.2 250/2.0.0",
     OPEN_LOG "data\nreset 1\n"},
    {OPEN "BDAT x\r\nQUIT\r\n", OPEN_SAID "501/5.5.4", OPEN_LOG "reset 2\n"},
    {OPEN "BDAT 5 FIRST\r\nQUIT\r\n", OPEN_SAID "501/5.5.4", OPEN_LOG "reset 2\n"},
    {OPEN "BDAT 99999999999999999999\r\n", OPEN_SAID "501/5.5.4", OPEN_LOG "reset 2\n"},
    /* line ends in commands */
    {"NOOP\nNOOP\r\nNOOP\r\n", "220 500/5.5.2 250/2.0.0", ""},
    {"NOOP\n\n\r\nNOOP\r\n", "220 500/5.5.2 500/5.5.2 250/2.0.0", ""},
    {"NO\rOP\r\nNOOP\r\r\nNOOP\r\n", "220 500/5.5.2 500/5.5.2 250/2.0.0", ""},
    {"EHLO x\nMAIL FROM:<a@b>\r\nNOOP\r\n", "220 500/5.5.2 250/2.0.0", ""},
    /* smuggling in bodies: one message, refused; nothing inside is a command */
    {OPEN "DATA\r\nx\n.\nMAIL FROM:<evil@x>\r\n.\r\nNOOP\r\n", OPEN_SAID "354 554/5.5.2 250/2.0.0",
     OPEN_LOG "data\nreset 1\n"},
    {OPEN "DATA\r\nx\n.\r\nMAIL FROM:<evil@x>\r\n.\r\nNOOP\r\n",
     OPEN_SAID "354 554/5.5.2 250/2.0.0", OPEN_LOG "data\nreset 1\n"},
    {OPEN "DATA\r\nx\r\n.\nMAIL FROM:<evil@x>\r\n.\r\nNOOP\r\n",
     OPEN_SAID "354 554/5.5.2 250/2.0.0", OPEN_LOG "data\nreset 1\n"},
    {OPEN "DATA\r\nx\r\n.\rMAIL FROM:<evil@x>\r\n.\r\nNOOP\r\n",
     OPEN_SAID "354 554/5.5.2 250/2.0.0", OPEN_LOG "data\nreset 1\n"},
    {OPEN "DATA\r\nx\r.\r\nMAIL FROM:<evil@x>\r\n.\r\nNOOP\r\n",
     OPEN_SAID "354 554/5.5.2 250/2.0.0", OPEN_LOG "data\nreset 1\n"},
    /* 8 bits without BODY=8BITMIME */
    {OPEN "DATA\r\n\xe9\r\n.\r\n", OPEN_SAID "354 250/2.0.0", OPEN_LOG "data\nend \xe9\r\n|\n"},
};

/* "220 250/2.1.0 ..." of what was said: the last line of each reply. */
static void summarize(struct slice said, struct buf *ret)
{
    while (said.len) {
        ptrdiff_t lf = slice_find(said, '\n');
        struct slice line = slice_sub(said, 0, (size_t)lf + 1);
        struct smtp_enhanced e;
        size_t used;

        assert_true(lf >= 4 && line.ptr[lf - 1] == '\r');
        said = slice_from(said, (size_t)lf + 1);
        if (line.ptr[3] == '-')
            continue;
        assert_int_equal(line.ptr[3], ' ');
        (void)buf_addf(ret, "%s%.3s", buf_len(ret) ? " " : "", (const char *)line.ptr);
        line = slice_sub(line, 4, line.len - 6);
        if (smtp_enhanced_parse(line, &e, &used))
            (void)buf_addf(ret, "/%u.%u.%u", e.klass, e.subject, e.detail);
    }
}

static void run(struct kit *k, struct slice in, size_t first, size_t step)
{
    size_t at = 0, n = first;

    kit_start(k);
    while (at < in.len) {
        struct slice part = slice_sub(in, at, n);

        if (kit_feed(k, part) == SMTP_SERVER_CLOSE)
            break;
        at += part.len;
        n = step;
    }
    smtp_server_eof(&k->server);
}

static void check_session(const struct session_case *c, void (*configure)(struct kit *k))
{
    struct slice in = slice_str(c->in);
    struct buf said = BUF_INIT(1 << 20);
    struct kit whole;

    kit_init(&whole);
    if (configure)
        configure(&whole);
    run(&whole, in, SIZE_MAX, 1);
    summarize(buf_slice(&whole.out), &said);
    if (strcmp(buf_cstr(&said), c->said) != 0)
        fail_msg("%s\nsaid:     %s\nexpected: %s", c->in, buf_cstr(&said), c->said);
    if (c->log && strcmp(buf_cstr(&whole.log), c->log) != 0)
        fail_msg("%s\nlog:\n%s\nexpected:\n%s", c->in, buf_cstr(&whole.log), c->log);
    if (!slice_eq(buf_slice(&whole.replies), buf_slice(&whole.out)))
        fail_msg("%s\ntold:\n%s", c->in, buf_cstr(&whole.replies));

    for (size_t cut = 0; cut < in.len; cut++) {
        struct kit k;

        kit_init(&k);
        if (configure)
            configure(&k);
        k.pauses = cut % 2;
        run(&k, in, cut ? cut : 1, cut ? SIZE_MAX : 1);
        if (!slice_eq(buf_slice(&k.out), buf_slice(&whole.out)) ||
            !slice_eq(buf_slice(&k.log), buf_slice(&whole.log)) ||
            !slice_eq(buf_slice(&k.replies), buf_slice(&whole.replies)) ||
            !slice_eq(buf_slice(&k.lines), buf_slice(&whole.lines)))
            fail_msg("%s\ncut at %zu:\n%s\n%s", c->in, cut, buf_cstr(&k.out), buf_cstr(&k.log));
        kit_done(&k);
    }
    kit_done(&whole);
    buf_done(&said);
}

static void sessions_go_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sessions); i++)
        check_session(&sessions[i], NULL);
}

static void set_lmtp(struct kit *k)
{
    k->config.lmtp = true;
}
static void set_refusing_data(struct kit *k)
{
    k->on_data = smtp_say(452, SMTP_ENHANCED(4, 3, 1), SLICE_LIT("Insufficient system resources"));
}
static void set_waiting(struct kit *k)
{
    k->on_data = smtp_wait();
    k->on_end = smtp_wait();
}
static void set_limits(struct kit *k)
{
    k->config.recipients_max = 2;
    k->config.messages_max = 1;
    k->config.text_line_max = 5;
    k->config.size_max = 20;
    k->config.lax_hello = false;
}
static void set_errors(struct kit *k)
{
    k->config.errors_max = 2;
    k->config.idle_max = 3;
}
static void set_owner_counts(struct kit *k)
{
    k->config.errors_max = 0;
    k->errors_end = 3;
}
static void set_few_recipients(struct kit *k)
{
    k->config.recipients_max = 2;
    k->config.errors_max = 1;
}
static void set_plain(struct kit *k)
{
    k->config.extensions = 0;
}
static void set_tls(struct kit *k)
{
    k->config.extensions |= SMTP_EXT_STARTTLS;
    k->config.needs_tls = true;
}

static void settings_make_a_difference(void **state)
{
    static const struct {
        void (*configure)(struct kit *k);
        struct session_case c;
    } cases[] = {
        {set_lmtp, {"EHLO c\r\nHELO c\r\n", "220 500/5.5.1 500/5.5.1", ""}},
        {set_lmtp,
         {"LHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@d>\r\nRCPT TO:<no-y@d>\r\nRCPT TO:<z@d>\r\n"
          "DATA\r\nx\r\n.\r\nQUIT\r\n",
          "220 250 250/2.1.0 250/2.1.5 550/5.1.1 250/2.1.5 354 250/2.0.0 250/2.0.0 221/2.0.0",
          "LHLO c\nmail a@b\nrcpt x@d\nrcpt no-y@d\nrcpt z@d\ndata\nend x\r\n|\nquit\n"}},
        {set_lmtp,
         {"LHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@d>\r\nRCPT TO:<z@d>\r\nDATA\r\nx\n\r\n.\r\n",
          "220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 554/5.5.2 554/5.5.2", NULL}},
        {set_lmtp, {"LHLO c\r\nMAIL FROM:<a@b>\r\nDATA\r\n", "220 250 250/2.1.0 503/5.5.1", NULL}},
        {set_refusing_data,
         {OPEN "DATA\r\nMAIL FROM:<a@b>\r\n", OPEN_SAID "452/4.3.1 250/2.1.0",
          OPEN_LOG "data\nreset 1\nmail a@b\nreset 2\n"}},
        {set_refusing_data,
         {OPEN "BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
          OPEN_SAID "452/4.3.1 503/5.5.1 250/2.0.0", OPEN_LOG "data\nreset 1\n"}},
        {set_waiting,
         {OPEN "DATA\r\nhi\r\n.\r\nMAIL FROM:<a@b>\r\n", OPEN_SAID "354 250/2.0.0 250/2.1.0",
          OPEN_LOG "data\nend hi\r\n|\nmail a@b\nreset 2\n"}},
        {set_waiting,
         {OPEN "BDAT 0\r\nBDAT 0 LAST\r\n", OPEN_SAID "250/2.0.0 250/2.0.0",
          OPEN_LOG "data\nend |\n"}},
        {set_limits,
         {OPEN "RCPT TO:<e@d>\r\nRCPT TO:<f@d>\r\n", OPEN_SAID "250/2.1.5 452/4.5.3", NULL}},
        {set_limits,
         {OPEN "DATA\r\n12345\r\n.\r\nMAIL FROM:<a@b>\r\n", OPEN_SAID "354 250/2.0.0 421/4.7.0",
          NULL}},
        {set_limits,
         {OPEN "DATA\r\n123456\r\n.\r\nNOOP\r\n", OPEN_SAID "354 554/5.6.0 250/2.0.0",
          OPEN_LOG "data\nreset 1\n"}},
        {set_limits,
         {OPEN "DATA\r\n1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n.\r\nNOOP\r\n",
          OPEN_SAID "354 552/5.3.4 250/2.0.0", OPEN_LOG "data\nreset 1\n"}},
        {set_limits,
         {OPEN "BDAT 15\r\n1\r\n2\r\n3\r\n4\r\n5\r\nBDAT 6 LAST\r\nxxxxxxNOOP\r\n",
          OPEN_SAID "250/2.0.0 552/5.3.4 250/2.0.0", OPEN_LOG "data\nreset 1\n"}},
        {set_limits, {"EHLO a_b\r\nEHLO [127.0.0.1]\r\n", "220 501/5.5.4 250", NULL}},
        {set_errors, {"A\r\nB\r\nC\r\nD\r\n", "220 500/5.5.2 500/5.5.2 421/4.7.0", ""}},
        {set_errors, {"A\n\n\n\n\n", "220 500/5.5.2 500/5.5.2 421/4.7.0", ""}},
        {set_errors,
         {"NOOP\r\nRSET\r\nNOOP\r\nNOOP\r\n", "220 250/2.0.0 250/2.0.0 250/2.0.0 421/4.7.0", ""}},
        /* a pipeline behind a refused MAIL is no error, however often it comes */
        {set_errors,
         {EHLO PIPELINE_REFUSED PIPELINE_REFUSED PIPELINE_REFUSED "NOOP\r\n",
          "220 250 550/5.1.1 503/5.5.1 503/5.5.1 503/5.5.1 550/5.1.1 503/5.5.1 503/5.5.1 503/5.5.1 "
          "550/5.1.1 503/5.5.1 503/5.5.1 503/5.5.1 250/2.0.0",
          NULL}},
        {set_errors,
         {EHLO "MAIL FROM:<a@b> SIZE=1001\r\nRCPT TO:<c@d>\r\nDATA\r\nBDAT 6 LAST\r\nQUIT\r\n"
               "NOOP\r\n",
          "220 250 552/5.3.4 503/5.5.1 503/5.5.1 503/5.5.1 250/2.0.0", "EHLO c\n"}},
        /* but no pipeline has more recipients than a message, and RSET ends it */
        {set_few_recipients,
         {EHLO PIPELINE_REFUSED "RCPT TO:<c@d>\r\nRCPT TO:<c@d>\r\nNOOP\r\n",
          "220 250 550/5.1.1 503/5.5.1 503/5.5.1 503/5.5.1 503/5.5.1 421/4.7.0", NULL}},
        {set_few_recipients,
         {EHLO "MAIL FROM:<no-a@b>\r\nRSET\r\nRCPT TO:<c@d>\r\nRCPT TO:<c@d>\r\n",
          "220 250 550/5.1.1 250/2.0.0 503/5.5.1 421/4.7.0", NULL}},
        /* recipients that are refused for good are errors */
        {set_errors,
         {OPEN "RCPT TO:<no-a@d>\r\nRCPT TO:<no-b@d>\r\nRCPT TO:<no-c@d>\r\nNOOP\r\n",
          OPEN_SAID "550/5.1.1 550/5.1.1 421/4.7.0", NULL}},
        /* the owner may have enough before that */
        {set_owner_counts,
         {OPEN "RCPT TO:<no-a@d>\r\nWHAT\r\nRCPT TO:<no-c@d>\r\nNOOP\r\n",
          OPEN_SAID "550/5.1.1 500/5.5.2 421/4.7.0", NULL}},
        {set_plain,
         {"EHLO c\r\nMAIL FROM:<a@b> SIZE=1\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d> NOTIFY=NEVER\r\n"
          "MAIL FROM:<a@b>\r\n",
          "220 250 555 250 555 503", NULL}},
        {set_plain, {"BDAT 6\r\nQUIT\r\n", "220 502", ""}},
        {set_tls, {"EHLO c\r\nMAIL FROM:<a@b>\r\n", "220 250 530/5.7.0", "EHLO c\n"}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        check_session(&cases[i].c, cases[i].configure);
}

static void what_is_offered_is_said(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k);
    k.config.messages_max = 7;
    k.config.extensions |= SMTP_EXT_STARTTLS;
    run(&k, slice_str(EHLO), SIZE_MAX, 1);
    assert_string_equal(buf_cstr(&k.out),
                        "220 mx.test ESMTP\r\n250-mx.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
                        "250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-SMTPUTF8\r\n250-DSN\r\n"
                        "250-SIZE 1000\r\n250-LIMITS MAILMAX=7 RCPTMAX=1000\r\n250-STARTTLS\r\n"
                        "250 HELP\r\n");
    kit_done(&k);
}

static void starttls_begins_anew(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k);
    set_tls(&k);
    kit_start(&k);
    assert_int_equal(kit_feed(&k, slice_str(EHLO "STARTTLS\r\n")), SMTP_SERVER_TLS);
    smtp_server_tls_started(&k.server);
    buf_clear(&k.out);
    assert_int_equal(kit_feed(&k, slice_str("MAIL FROM:<a@b>\r\n" EHLO "STARTTLS\r\n")),
                     SMTP_SERVER_MORE);
    assert_non_null(strstr(buf_cstr(&k.out), "503 5.5.1 Say HELO"));
    assert_null(strstr(buf_cstr(&k.out), "250-STARTTLS"));
    assert_non_null(strstr(buf_cstr(&k.out), "503 5.5.1 TLS is on"));
    assert_string_equal(buf_cstr(&k.log), "EHLO c\nstarttls\nEHLO c\n");
    kit_done(&k);
}

static void commands_behind_starttls_are_an_attack(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k);
    set_tls(&k);
    kit_start(&k);
    assert_int_equal(kit_feed(&k, slice_str(EHLO "STARTTLS\r\nMAIL FROM:<a@b>\r\n")),
                     SMTP_SERVER_CLOSE);
    assert_non_null(strstr(buf_cstr(&k.out), "554 5.5.1"));
    assert_string_equal(buf_cstr(&k.log), "EHLO c\n");
    kit_done(&k);
}

static void a_line_of_a_megabyte_is_refused_once(void **state)
{
    static uint8_t junk[1 << 16];
    struct kit k;

    (void)state;
    memset(junk, 'x', sizeof(junk));
    kit_init(&k);
    kit_start(&k);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(kit_feed(&k, slice_make(junk, sizeof(junk))), SMTP_SERVER_MORE);
        assert_true(k.server.line.size <= k.config.command_max);
    }
    assert_int_equal(kit_feed(&k, SLICE_LIT("\r\nNOOP\r\n")), SMTP_SERVER_MORE);
    assert_string_equal(buf_cstr(&k.out), "220 mx.test ESMTP\r\n"
                                          "500 5.5.6 The command line is too long\r\n"
                                          "250 2.0.0 Ok\r\n");
    kit_done(&k);
}

static void the_longest_line_is_taken(void **state)
{
    uint8_t line[2049];

    (void)state;
    for (size_t len = 2047; len <= 2049; len++) {
        for (size_t cut = 0; cut < len; cut += 1 + cut / 100) {
            struct kit k;

            memset(line, 'x', len);
            memcpy(line, "NOOP ", 5);
            memcpy(line + len - 2, "\r\n", 2);
            kit_init(&k);
            run(&k, slice_make(line, len), cut ? cut : len, len);
            if (!strstr(buf_cstr(&k.out), len <= 2048 ? "250 2.0.0 Ok" : "500 5.5.6"))
                fail_msg("%zu cut at %zu: %s", len, cut, buf_cstr(&k.out));
            kit_done(&k);
        }
    }
}

static void a_nul_is_refused(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k);
    run(&k, SLICE_LIT("NO\0OP\r\n" OPEN "DATA\r\na\0b\r\n.\r\n"), SIZE_MAX, 1);
    assert_non_null(strstr(buf_cstr(&k.out), "500 5.5.2 The command has a NUL"));
    assert_non_null(strstr(buf_cstr(&k.out), "554 5.6.0 The message has a NUL"));
    kit_done(&k);
}

static void early_talkers_are_refused(void **state)
{
    struct kit k;
    size_t used;

    (void)state;
    kit_init(&k);
    smtp_server_init(&k.server, &k.config, kit_handler(), &k, &k.out);
    assert_int_equal(smtp_server_feed(&k.server, slice_str(EHLO), &used), SMTP_SERVER_CLOSE);
    assert_int_equal(used, 0);
    assert_non_null(strstr(buf_cstr(&k.out), "554 5.5.1"));
    smtp_server_done(&k.server);

    k.config.refuse_early_talker = false;
    smtp_server_init(&k.server, &k.config, kit_handler(), &k, &k.out);
    assert_int_equal(smtp_server_feed(&k.server, slice_str(EHLO), &used), SMTP_SERVER_WAIT);
    assert_int_equal(used, 0);
    assert_int_equal(smtp_server_phase(&k.server), SMTP_SERVER_NEW);
    kit_done(&k);
}

static void a_shutdown_says_why(void **state)
{
    struct kit k;
    size_t used;

    (void)state;
    kit_init(&k);
    kit_start(&k);
    (void)kit_feed(&k, slice_str(OPEN "DATA\r\nx"));
    assert_int_equal(smtp_server_phase(&k.server), SMTP_SERVER_BODY);
    buf_clear(&k.out);
    smtp_server_shutdown(&k.server, 421, SMTP_ENHANCED(4, 4, 2), SLICE_LIT("Time-out"));
    assert_string_equal(buf_cstr(&k.out), "421 4.4.2 Time-out\r\n");
    assert_int_equal(smtp_server_feed(&k.server, SLICE_LIT("\r\n.\r\n"), &used), SMTP_SERVER_CLOSE);
    assert_int_equal(used, 0);
    assert_int_equal(smtp_server_phase(&k.server), SMTP_SERVER_CLOSED);
    assert_string_equal(buf_cstr(&k.log), OPEN_LOG "data\nreset 2\n");
    kit_done(&k);
}

static void an_answer_after_the_end_is_not_sent(void **state)
{
    struct slice in = slice_str(OPEN "DATA\r\nx\r\n.\r\n");
    struct kit k;
    size_t used;

    (void)state;
    kit_init(&k);
    k.on_end = smtp_wait();
    kit_start(&k);
    assert_int_equal(smtp_server_feed(&k.server, in, &used), SMTP_SERVER_WAIT);
    assert_int_equal(used, in.len);
    assert_int_equal(smtp_server_phase(&k.server), SMTP_SERVER_DECISION);
    smtp_server_eof(&k.server);
    buf_clear(&k.out);
    smtp_server_answer(&k.server, smtp_accept());
    assert_int_equal(buf_len(&k.out), 0);
    assert_string_equal(buf_cstr(&k.log), OPEN_LOG "data\nend x\r\n|\n"); /* and no reset */
    kit_done(&k);
}

static void a_peer_that_does_not_read_is_closed(void **state)
{
    struct kit k;
    enum smtp_server_next next = SMTP_SERVER_MORE;

    (void)state;
    kit_init(&k);
    k.config.idle_max = 0;
    k.out = BUF_INIT(4096);
    kit_start(&k);
    for (int i = 0; i < 1000 && next == SMTP_SERVER_MORE; i++)
        next = kit_feed(&k, SLICE_LIT("NOOP\r\n"));
    assert_int_equal(next, SMTP_SERVER_CLOSE);
    kit_done(&k);
}

/* Every command line, however wrong, and nothing of bodies. */
static void lines_are_told_for_a_log(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k);
    kit_start(&k);
    (void)kit_feed(&k,
                   SLICE_LIT(OPEN "AUTH PLAIN x\r\nnonsense\r\nbare\nlf\r\nDATA\r\n"
                                  "Subject: secret\r\n\r\nbody\r\n.\r\n"
                                  "MAIL FROM:<>\r\nRCPT TO:<c@d>\r\nBDAT 4 LAST\r\nRSETNOOP\r\n"));
    assert_string_equal(buf_cstr(&k.lines),
                        "EHLO c\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nAUTH PLAIN x\nnonsense\nDATA\n"
                        "MAIL FROM:<>\nRCPT TO:<c@d>\nBDAT 4 LAST\nNOOP\n");
    assert_true(slice_eq(buf_slice(&k.replies), buf_slice(&k.out)));
    kit_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_go_as_the_table_says),
        cmocka_unit_test(settings_make_a_difference),
        cmocka_unit_test(what_is_offered_is_said),
        cmocka_unit_test(starttls_begins_anew),
        cmocka_unit_test(commands_behind_starttls_are_an_attack),
        cmocka_unit_test(a_line_of_a_megabyte_is_refused_once),
        cmocka_unit_test(the_longest_line_is_taken),
        cmocka_unit_test(a_nul_is_refused),
        cmocka_unit_test(early_talkers_are_refused),
        cmocka_unit_test(a_shutdown_says_why),
        cmocka_unit_test(an_answer_after_the_end_is_not_sent),
        cmocka_unit_test(a_peer_that_does_not_read_is_closed),
        cmocka_unit_test(lines_are_told_for_a_log),
    };

    return cmocka_run_group_tests_name("smtp server", tests, NULL, NULL);
}
