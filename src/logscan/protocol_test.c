/*
 * logscan/protocol_test.c - what sessions of the two protocol logs mean, and that it does not matter
 * where their logs are cut into chunks.
 *
 * A log is written short: "A3 <220 mx ready|context" is row 3 of session A, event '<'; rows are 1 ms
 * apart from 2026-03-01T00:00:00.001Z on, so that a row's number is its time, too. Other lines stand as
 * they are.
 */
#include "logscan/protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include <errno.h>

#include "base/buf.h"
#include "base/rand.h"
#include "logscan/formats.h"
#include "logscan/reply_form.h"
#include "logscan/search.h"
#include "logscan/text.h"

#define TEXT_MAX KIB(512)
#define BEGIN_MS INT64_C(1772323200000) /* 2026-03-01 */
#define FIELDS                                                                                     \
    "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data," \
    "context"
#define HEADER "#Software: Microsoft Exchange Server\n#Fields: " FIELDS "\n"
#define ALL (WANT_REPLIES | WANT_LIVES | WANT_SESSIONS)

static struct buf log_text, told;

#define add(b, ...) assert_int_equal(buf_addf((b), __VA_ARGS__), 0)

/* ---- logs ---- */

static void add_row(const char *line, size_t len, unsigned number)
{
    const char *bar = memchr(line, '|', len);
    const char *blank = memchr(line, ' ', len);
    size_t data;

    assert_non_null(blank);
    data = (size_t)((bar ? bar : line + len) - (blank + 2));
    add(&log_text, "2026-03-01T00:00:%02u.%03uZ,Out,08D0A8D41600400%c,%.*s,192.0.2.10:4383,",
        number / 1000, number % 1000, line[0], (int)(blank - line - 1), line + 1);
    add(&log_text, "198.51.100.7:25,%c,%.*s,", blank[1], (int)data, blank + 2);
    if (bar)
        add(&log_text, "%.*s", (int)(line + len - bar - 1), bar + 1);
    add(&log_text, "\r\n");
}

static void write_log(const char *lines)
{
    unsigned number = 0;

    buf_clear(&log_text);
    while (*lines) {
        size_t len = strcspn(lines, "\n");

        if (len > 3 && lines[0] >= 'A' && lines[0] <= 'F' && byte_is_digit((uint8_t)lines[1]))
            add_row(lines, len, ++number);
        else
            add(&log_text, "%.*s\n", (int)len, lines);
        lines += len + (lines[len] == '\n');
    }
}

/* ---- facts as text ---- */

static void tell_reply(const struct log_fact *f)
{
    char status[REPLY_FORM_STATUS_MAX];

    add(&told, " %s %s", log_issuer_name((enum log_issuer)f->issuer),
        smtp_phase_name((enum smtp_phase)f->phase));
    if (f->reply.code)
        add(&told, " %s", reply_form_status(&f->reply, status));
    add(&told, " '%.*s'", SLICE_FMT(f->reply.text));
}

static void tell(const struct log_fact *f, unsigned row)
{
    static const char *const kinds[] = {"reply", "arrival", "recipient",
                                        "begin", "attempt", "expiry"};
    static const char *const counts[] = {"none", "total",       "domain", "?",
                                         "host", "transaction", "?",      "all"};
    int64_t at = f->at_ms - BEGIN_MS;

    add(&told, "%u", row);
    if (at != row)
        add(&told, "@%lld", (long long)at);
    add(&told, " %s", kinds[f->kind]);
    if (f->kind == FACT_ATTEMPT)
        add(&told, " %s", log_outcome_name((enum log_outcome)f->outcome));
    if (f->kind == FACT_ATTEMPT || f->kind == FACT_REPLY)
        tell_reply(f);
    if (f->message.len)
        add(&told, " m=%.*s", SLICE_FMT(f->message));
    if (f->recipient.len)
        add(&told, " r=%.*s", SLICE_FMT(f->recipient));
    if (f->host.len)
        add(&told, " h=%.*s", SLICE_FMT(f->host));
    if (f->kind == FACT_ATTEMPT)
        add(&told, " %s%s", counts[f->counts], f->numbering == NUMBERING_NONE ? " unnumbered" : "");
    add(&told, "\n");
}

/* All of it, for comparison. */
static void tell_all_of(const struct log_fact *f)
{
    add(&told, "%llu %lld %u %u %u %u %u %u %u", (unsigned long long)f->offset, (long long)f->at_ms,
        f->kind, f->issuer, f->outcome, f->numbering, f->counts, f->phase, f->number);
    tell_reply(f);
    add(&told, "|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s\n", SLICE_FMT(f->message), SLICE_FMT(f->sender),
        SLICE_FMT(f->recipient), SLICE_FMT(f->host), SLICE_FMT(f->address), SLICE_FMT(f->source),
        SLICE_FMT(f->connector));
}

static unsigned row_at(uint64_t offset)
{
    struct slice before = slice_sub(buf_slice(&log_text), 0, (size_t)offset);
    ptrdiff_t end;
    unsigned rows = 1;

    while ((end = slice_find(before, '\n')) >= 0) {
        rows += byte_is_digit(before.ptr[0]);
        before = slice_from(before, (size_t)end + 1);
    }
    return rows;
}

/* ---- reading ---- */

struct reading {
    const struct log_format *format;
    unsigned wants;
    bool in_full;
    struct log_carry carry;
    void *state;
    uint64_t rows, headers, skipped[LOG_SKIPS];
};

static void read_chunk(struct reading *r, size_t begin, size_t end)
{
    /* In memory of its own, so that what is kept beyond the chunk is found out. */
    uint8_t *copy = malloc(end - begin);
    struct log_scan s = {
        .format = r->format, .offset = begin, .wants = r->wants, .carry = r->carry};
    uint64_t last = 0;

    assert_non_null(copy);
    memcpy(copy, buf_slice(&log_text).ptr + begin, end - begin);
    s.bytes = slice_make(copy, end - begin);
    r->format->scan(&s);
    assert_int_equal(s.error, 0);
    assert_int_equal(r->format->merge(&r->state, &s), 0);
    assert_null(s.session_rows);
    assert_int_equal(s.lines, search_count(s.bytes, '\n'));
    for (size_t i = 0; i < s.fact_count; i++) {
        assert_true(s.facts[i].offset >= last);
        last = s.facts[i].offset;
        if (r->in_full)
            tell_all_of(&s.facts[i]);
        else
            tell(&s.facts[i], row_at(last));
    }
    r->carry = s.carry_end;
    r->rows += s.tally.rows;
    r->headers += s.tally.headers;
    for (int i = 0; i < LOG_SKIPS; i++)
        r->skipped[i] += s.tally.skipped[i];
    log_scan_done(&s);
    free(copy);
}

/* The begin of the first line that begins at `at` or behind. */
static size_t line_from(size_t at)
{
    struct slice text = buf_slice(&log_text);
    ptrdiff_t end = at == 0 ? -1 : slice_find(slice_from(text, at - 1), '\n');

    if (at == 0)
        return 0;
    return end < 0 ? text.len : at + (size_t)end;
}

/* Cuts after `first` bytes and then after each `every`, each time at the end of the line. */
static void read_cut(struct reading *r, size_t first, size_t every)
{
    size_t at = 0, len = buf_slice(&log_text).len;

    buf_clear(&told);
    while (at < len) {
        size_t end = line_from(MIN_OF(len, at + (at == 0 ? first : every)));

        read_chunk(r, at, MAX_OF(end, at + 1));
        at = MAX_OF(end, at + 1);
    }
    r->format->free_state(&r->state);
    assert_null(r->state);
}

static void is_told(const char *want)
{
    assert_int_equal(buf_add(&told, slice_make("", 1)), 0);
    assert_string_equal((const char *)buf_slice(&told).ptr, want);
}

/* However the log is cut into two. */
static void gives(const struct log_format *f, const char *lines, const char *want)
{
    char *head = NULL;
    size_t len;

    assert_int_not_equal(asprintf(&head, HEADER "%s", lines), -1);
    write_log(head);
    free(head);
    len = buf_slice(&log_text).len;
    for (size_t at = 1; at <= len; at = line_from(at + 1) + (at == len)) {
        struct reading r = {.format = f, .wants = ALL};

        read_cut(&r, at, len);
        is_told(want);
        if (at == len)
            break;
    }
    for (size_t every = 1; every <= 600; every += 300) {
        struct reading r = {.format = f, .wants = ALL};

        read_cut(&r, every, every);
        is_told(want);
    }
}

/* ---- the send log ---- */

#define OPENED(s) s "0 *|attempting to connect\n" s "1 +\n" s "2 <220 mx.example.org. ready\n"
#define SENDING(s, id) s "3 *|sending message with RecordId 7 and InternetMessageId " id "\n"

static const struct {
    const char *lines, *facts;
} sent[] = {
    {OPENED("A") SENDING("A", "<m>") "A4 >MAIL FROM:<a@b> SIZE=1\n"
                                     "A5 >RCPT TO:<c@d>\n"
                                     "A6 <250 2.1.0 Sender OK\n"
                                     "A7 <250 2.1.5 Recipient OK\n"
                                     "A8 >BDAT 10 LAST\n"
                                     "A9 <\"250 2.6.0 Queued, \"\"really\"\"\"\n"
                                     "A10 >QUIT\n"
                                     "A11 <221 2.0.0 Bye\n"
                                     "A12 -|Local\n",
     "4 arrival m=<m> h=mx.example.org\n"
     "5 begin m=<m> h=mx.example.org\n"
     "10 attempt delivered receiver end of data 250 2.6.0 'Queued, \"really\"' m=<m> r=c@d "
     "h=mx.example.org all\n"},
    /* MAIL is refused: what follows is a reply and decides nothing; so for a recipient named later */
    {OPENED("A") SENDING("A", "<m>") "A4 >MAIL FROM:<a@b>\n"
                                     "A5 >RCPT TO:<c@d>\n"
                                     "A6 <452 4.3.1 Insufficient system resources\n"
                                     "A7 <503 5.5.2 Need mail command\n"
                                     "A8 >RCPT TO:<e@f>\n"
                                     "A9 <503 5.5.2 Need mail command\n"
                                     "A10 >QUIT\n"
                                     "A11 -|Local\n",
     "4 arrival m=<m> h=mx.example.org\n"
     "5 begin m=<m> h=mx.example.org\n"
     "7 reply receiver mail 452 4.3.1 'Insufficient system resources' m=<m> r=c@d "
     "h=mx.example.org\n"
     "7 attempt deferred receiver mail 452 4.3.1 'Insufficient system resources' m=<m> r=c@d "
     "h=mx.example.org all\n"
     "8 reply receiver rcpt 503 5.5.2 'Need mail command' m=<m> r=c@d h=mx.example.org\n"
     "9@7 attempt deferred receiver mail 452 4.3.1 'Insufficient system resources' m=<m> r=e@f "
     "h=mx.example.org all\n"
     "10 reply receiver rcpt 503 5.5.2 'Need mail command' m=<m> r=e@f h=mx.example.org\n"},
    /* one of three is refused, in two rows; the reply behind 354 is that to the message */
    {OPENED("A") SENDING("A", "<m>") "A4 >MAIL FROM:<a@b>\n"
                                     "A5 >RCPT TO:<1@d>\n"
                                     "A6 >RCPT TO:<2@d>\n"
                                     "A7 >RCPT TO:<3@d>\n"
                                     "A8 >DATA\n"
                                     "A9 <250 OK\n"
                                     "A10 <250 OK\n"
                                     "A11 <552-5.2.2 Over\n"
                                     "A12 <552 5.2.2 quota\n"
                                     "A13 <250 OK\n"
                                     "A14 <354 Go on\n"
                                     "A15 <451-4.4.0 first said: 452 4.3.1\n"
                                     "A16 <451-4.4.0\n"
                                     "A17 <451 4.4.0 last\n"
                                     "A18 -|Remote\n",
     "4 arrival m=<m> h=mx.example.org\n"
     "5 begin m=<m> h=mx.example.org\n"
     "13 reply receiver rcpt 552 5.2.2 'Over quota' m=<m> r=2@d h=mx.example.org\n"
     "13 attempt failed receiver rcpt 552 5.2.2 'Over quota' m=<m> r=2@d h=mx.example.org "
     "all\n"
     "18 reply receiver end of data 451 4.4.0 'first said: 452 4.3.1  last' m=<m> r=1@d "
     "h=mx.example.org\n"
     "18 attempt deferred receiver end of data 451 4.4.0 'first said: 452 4.3.1  last' m=<m> "
     "r=1@d h=mx.example.org all\n"
     "18 attempt deferred receiver end of data 451 4.4.0 'first said: 452 4.3.1  last' m=<m> "
     "r=3@d h=mx.example.org all\n"},
    /* all refused: no message is offered */
    {OPENED("A") SENDING("A", "<m>") "A4 >MAIL FROM:<>\n"
                                     "A5 >RCPT TO:<c@d>\n"
                                     "A6 >DATA\n"
                                     "A7 <250 OK\n"
                                     "A8 <550 No\n"
                                     "A9 <554 5.5.1 No valid recipients\n"
                                     "A10 -|Local\n",
     "4 arrival m=<m> h=mx.example.org\n"
     "5 begin m=<m> h=mx.example.org\n"
     "9 reply receiver rcpt 550 - 'No' m=<m> r=c@d h=mx.example.org\n"
     "9 attempt failed receiver rcpt 550 - 'No' m=<m> r=c@d h=mx.example.org all\n"
     "10 reply receiver data 554 5.5.1 'No valid recipients' m=<m> r=c@d h=mx.example.org\n"},
    /* two messages over one connection, in chunks; one id is the queue's own */
    {OPENED("A") SENDING("A", "<m>") "A4 >MAIL FROM:<a@b>\n"
                                     "A5 <250 OK\n"
                                     "A6 >RCPT TO:<c@d>\n"
                                     "A7 <250 OK\n"
                                     "A8 >BDAT 10\n"
                                     "A9 <250 OK\n"
                                     "A10 >BDAT 1 last\n"
                                     "A11 <250 OK\n"
                                     "A12 *|sending message with RecordId 8\n"
                                     "A13 >MAIL FROM:<a@b>\n"
                                     "A14 >RCPT TO:<c@d>\n"
                                     "A15 >BDAT 10\n"
                                     "A16 >BDAT 1 LAST\n"
                                     "A17 <250 OK\n"
                                     "A18 <250 OK\n"
                                     "A19 <452 4.3.1 Full\n"
                                     "A20 <503 5.5.1 No\n"
                                     "A21 -\n",
     "4 arrival m=<m> h=mx.example.org\n"
     "5 begin m=<m> h=mx.example.org\n"
     "12 attempt delivered receiver end of data 250 - 'OK' m=<m> r=c@d h=mx.example.org all\n"
     "13 arrival m=8 h=mx.example.org\n"
     "14 begin m=8 h=mx.example.org\n"
     "20 reply receiver body 452 4.3.1 'Full' m=8 r=c@d h=mx.example.org\n"
     "20 attempt deferred receiver body 452 4.3.1 'Full' m=8 r=c@d h=mx.example.org all\n"
     "21 reply receiver end of data 503 5.5.1 'No' m=8 h=mx.example.org\n"},
    /* the connection is lost, or the message is given up: our own host's deferrals */
    {OPENED("A") SENDING("A", "<m>") "A4 >MAIL FROM:<a@b>\n"
                                     "A5 >RCPT TO:<c@d>\n"
                                     "A6 <250 OK\n"
                                     "A7 -|Remote(SocketError)\n",
     "4 arrival m=<m> h=mx.example.org\n"
     "5 begin m=<m> h=mx.example.org\n"
     "8 reply own-client rcpt 'Connection lost before the reply' m=<m> r=c@d "
     "h=mx.example.org\n"
     "8 attempt deferred own-client rcpt 'Connection lost before the reply' m=<m> r=c@d "
     "h=mx.example.org all\n"},
    {OPENED("A") SENDING("A", "<m>") "A4 >MAIL FROM:<a@b>\n"
                                     "A5 >RCPT TO:<c@d>\n"
                                     "A6 >RSET\n"
                                     "A7 >MAIL FROM:<a@b>\n"
                                     "A8 >RCPT TO:<e@f>\n"
                                     "A9 <250 OK\n"
                                     "A10 <450 4.2.0 Late\n"
                                     "A11 <250 Reset\n"
                                     "A12 <250 OK\n"
                                     "A13 <550 5.1.1 No\n"
                                     "A14 >RSET\n"
                                     "A15 <250 OK\n"
                                     "A16 -\n",
     "4 arrival m=<m> h=mx.example.org\n"
     "5 begin m=<m> h=mx.example.org\n"
     "8 attempt deferred own-client mail 'Given up before the end of the message' m=<m> r=c@d "
     "h=mx.example.org all\n"
     "8 begin m=<m> h=mx.example.org\n"
     "11 reply receiver idle 450 4.2.0 'Late' m=<m> r=e@f h=mx.example.org\n"
     "14 reply receiver rcpt 550 5.1.1 'No' m=<m> r=e@f h=mx.example.org\n"
     "14 attempt failed receiver rcpt 550 5.1.1 'No' m=<m> r=e@f h=mx.example.org all\n"},
    /* no connection, and none with a use */
    {"A0 *|attempting to connect\n"
     "A1 *|\"Failed to connect. Winsock error code: 10060, Win32 error code: 10060, Error Message: "
     "A connection 198.51.100.7:25.\"\n"
     "B0 *|\"Failed to connect. Winsock error code: 10099, Destination domain: d, Error Message: "
     "Odd, very\"\n"
     "C0 *|\"Failed to connect. Error code: 113, Destination domain: d, Error Message: No route to "
     "host\"\n"
     "D0 *|Failed to connect\n",
     "2 reply own-client connect 'Connection timed out'\n"
     "3 reply own-client connect 'Odd, very'\n"
     "4 reply own-client connect 'No route to host'\n"
     "5 reply own-client connect 'Failed to connect'\n"},
    {"A0 *\n"
     "A1 <421-4.3.2 Not\n"
     "A2 <421 4.3.2 now\n"
     "A3 >QUIT\n"
     "A4 -|Remote\n"
     "B0 *\n"
     "B1 <220-mx.example.org ESMTP\n"
     "B2 <220 no spam\n"
     "B3 >EHLO us\n"
     "B4 <250-mx.example.org\n"
     "B5 <250 HELP\n"
     "B6 >STARTTLS\n"
     "B7 <454 4.7.0 Later\n"
     "B8 <421 4.4.2 Idle too long\n"
     "C0 *\n"
     "C1 <554 mx1.example.net. No service here\n"
     "D0 *\n"
     "D1 <220 ****** ready\n"
     "D2 >EHLO us\n"
     "D3 <502 No\n",
     "3 reply receiver greeting 421 4.3.2 'Not now'\n"
     "13 reply receiver starttls 454 4.7.0 'Later' h=mx.example.org\n"
     "14 reply receiver idle 421 4.4.2 'Idle too long' h=mx.example.org\n"
     "16 reply receiver greeting 554 - 'mx1.example.net. No service here' h=mx1.example.net\n"
     "20 reply receiver hello 502 - 'No'\n"},
    /* a second host is tried */
    {"A0 *|attempting to connect\n"
     "A1 *|\"Failed to connect. Winsock error code: 10061, Error Message: No\"\n"
     "A2 *|attempting to connect\n"
     "A3 +\n"
     "A4 <421 4.3.2 No\n",
     "2 reply own-client connect 'Connection refused'\n"
     "5 reply receiver greeting 421 4.3.2 'No'\n"},
    /* the log begins in the middle, and an id comes again */
    {"A7 <220 mx.example.org ready\n"
     "A8 >RCPT TO:<c@d>\n"
     "A9 <452 4.3.1 Full\n"
     "B4 >STARTTLS\n"
     "B5 <220 2.0.0 Ready\n"
     "B6 >MAIL FROM:<a@b>\n"
     "B7 >RCPT TO:<c@d>\n"
     "B8 <250 OK\n"
     "B0 *|attempting to connect\n"
     "B1 <421 4.3.2 No\n"
     "C5 <421 4.4.2 Gone\n"
     "C6 -\n",
     "3 reply receiver rcpt 452 4.3.1 'Full' r=c@d h=mx.example.org\n"
     "3 attempt deferred receiver rcpt 452 4.3.1 'Full' r=c@d h=mx.example.org all "
     "unnumbered\n"
     "9 reply own-client rcpt 'Connection lost before the reply' r=c@d\n"
     "9 attempt deferred own-client rcpt 'Connection lost before the reply' r=c@d all "
     "unnumbered\n"
     "10 reply receiver greeting 421 4.3.2 'No'\n"
     "11 reply receiver idle 421 4.4.2 'Gone'\n"},
};

static void a_send_log_tells_attempts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sent); i++)
        gives(&exchange_send_format, sent[i].lines, sent[i].facts);
}

/* ---- the receive log ---- */

#define CALLED(s)                                                                                  \
    s "0 +\n" s "1 >220 us ready\n" s "2 <EHLO c.example.\n" s "3 >250  us Hello SIZE 1\n"

static const struct {
    const char *lines, *facts;
} received[] = {
    {CALLED("A") "A4 <MAIL FROM:<a@b> SIZE=1\n"
                 "A5 *,08D0A8D416004000;2026;1|receiving message\n"
                 "A6 >250 2.1.0 OK\n"
                 "A7 <RCPT TO:<c@d>\n"
                 "A8 >250 2.1.5 OK\n"
                 "A9 <RCPT TO:<e@f>\n"
                 "A10 *|Tarpit for '0.00:00:05'\n"
                 "A11 >550 5.1.10 Unknown\n"
                 "A12 <BDAT 1 LAST\n"
                 "A13 >\"250 2.6.0 <i@d> [InternalId=1, Hostname=us] Queued\"\n"
                 "A14 <QUIT\n"
                 "A15 >221 Bye\n"
                 "A16 -|Local\n",
     "12 reply own-server rcpt 550 5.1.10 'Unknown' r=e@f h=c.example\n"
     "12 attempt failed own-server rcpt 550 5.1.10 'Unknown' r=e@f h=c.example domain "
     "unnumbered\n"
     "14 attempt delivered own-server end of data 250 2.6.0 '<i@d> [InternalId=1, Hostname=us] "
     "Queued' m=<i@d> r=c@d h=c.example domain unnumbered\n"
     "14@5 attempt delivered own-server end of data 250 2.6.0 '<i@d> [InternalId=1, Hostname=us] "
     "Queued' m=<i@d> r=c@d h=c.example transaction unnumbered\n"},
    /* MAIL refused, with and without recipients */
    {CALLED("A") "A4 <MAIL FROM:<a@b>\n"
                 "A5 <RCPT TO:<c@d>\n"
                 "A6 >452 4.3.1 Full\n"
                 "A7 >503 5.5.2 Need mail\n"
                 "A8 <RSET\n"
                 "A9 >250 OK\n"
                 "A10 <MAIL FROM:<a@b>\n"
                 "A11 >452 4.3.1 Full\n"
                 "A12 <QUIT\n"
                 "A13 -\n",
     "7 reply own-server mail 452 4.3.1 'Full' r=c@d h=c.example\n"
     "7 attempt deferred own-server mail 452 4.3.1 'Full' r=c@d h=c.example domain unnumbered\n"
     "7@5 attempt deferred own-server mail 452 4.3.1 'Full' r=c@d h=c.example transaction "
     "unnumbered\n"
     "8 reply own-server rcpt 503 5.5.2 'Need mail' r=c@d h=c.example\n"
     "12 reply own-server mail 452 4.3.1 'Full' h=c.example\n"
     "12@11 attempt deferred own-server mail 452 4.3.1 'Full' h=c.example transaction "
     "unnumbered\n"},
    /* all recipients refused: known when the client leaves; a question is no attempt */
    {CALLED("A") "A4 <MAIL FROM:<a@b>\n"
                 "A5 >250 OK\n"
                 "A6 <RCPT TO:<c@d>\n"
                 "A7 >450 4.7.1 Grey\n"
                 "A8 <RCPT TO:<e@d>\n"
                 "A9 >550 5.1.1 No\n"
                 "A10 <MAIL FROM:<a@b>\n"
                 "A11 >250 OK\n"
                 "A12 <RCPT TO:<c@d>\n"
                 "A13 >250 OK\n"
                 "A14 <EHLO [192.0.2.1]\n"
                 "A15 >250 OK\n"
                 "A16 <MAIL FROM:<a@b>\n"
                 "A17 >250 OK\n"
                 "A18 <RCPT TO:<c@d>\n"
                 "A19 >250 OK\n"
                 "A20 -|Remote\n",
     "8 reply own-server rcpt 450 4.7.1 'Grey' r=c@d h=c.example\n"
     "8 attempt deferred own-server rcpt 450 4.7.1 'Grey' r=c@d h=c.example domain "
     "unnumbered\n"
     "10 reply own-server rcpt 550 5.1.1 'No' r=e@d h=c.example\n"
     "10 attempt failed own-server rcpt 550 5.1.1 'No' r=e@d h=c.example domain unnumbered\n"
     "11@5 attempt failed own-server rcpt 550 5.1.1 'No' r=c@d h=c.example transaction "
     "unnumbered\n"},
    /* the answers to AUTH have no command */
    {CALLED("A") "A4 <AUTH LOGIN\n"
                 "A5 >334 <authentication response>\n"
                 "A7 >334 <authentication response>\n"
                 "A8 >535 5.7.3 Authentication unsuccessful\n"
                 "A9 <MAIL FROM:<>\n"
                 "A10 >530 5.7.57 Client was not authenticated\n"
                 "A11 -|Remote\n",
     "8 reply own-server idle 535 5.7.3 'Authentication unsuccessful' h=c.example\n"
     "10 reply own-server mail 530 5.7.57 'Client was not authenticated' h=c.example\n"
     "10@9 attempt failed own-server mail 530 5.7.57 'Client was not authenticated' h=c.example "
     "transaction unnumbered\n"},
    /* Penstock's own: what was masked is answered, too */
    {"A0 +\n"
     "A1 >220 mx1 ESMTP\n"
     "A2 <EHLO c.d\n"
     "A3 >250  mx1 SIZE 10\n"
     "A4 <AUTH LOGIN\n"
     "A5 >500 5.5.2 Command not recognized\n"
     "A6 <<authentication information>\n"
     "A7 >500 5.5.2 Command not recognized\n"
     "A8 <MAIL FROM:<a@b>\n"
     "A9 *,Tarpit for '0.00:00:10' due to '452 4.3.1 Insufficient system resources (memory)'\n"
     "A10 >452 4.3.1 Insufficient system resources (memory)\n"
     "A11 *,48211 bytes|message received\n"
     "A12 -|Remote(SocketError)\n",
     "6 reply own-server idle 500 5.5.2 'Command not recognized' h=c.d\n"
     "8 reply own-server idle 500 5.5.2 'Command not recognized' h=c.d\n"
     "11 reply own-server mail 452 4.3.1 'Insufficient system resources (memory)' h=c.d\n"
     "11@9 attempt deferred own-server mail 452 4.3.1 'Insufficient system resources (memory)' "
     "h=c.d transaction unnumbered\n"},
};

static void a_receive_log_tells_transactions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(received); i++)
        gives(&exchange_receive_format, received[i].lines, received[i].facts);
}

/* ---- rows ---- */

static void what_is_between_the_commas(void **state)
{
    struct reading r = {.format = &exchange_send_format, .wants = ALL, .in_full = true};

    (void)state;
    write_log(HEADER "2026-03-01T00:00:00.001Z,\"Out, \"\"old\"\"\",08d0a8d416004000,0,,"
                     "[2001:db8::7]:25,*,,attempting to connect\n"
                     "2026-03-01T00:00:00.002Z,\"Out, \"\"old\"\"\",08D0A8D416004000,1,"
                     "[2001:db8::1]:99,[2001:db8::7]:25,<,\"421 4.3.2 \"\"No\"\", later\",\n"
                     "\xef\xbb\xbf#Fields: event,data,session-id,date-time\n"
                     "*,,{GUID},2026-03-01T00:00:00Z\n"
                     "<,554 5.7.1 No,{guid},2026-03-01T01:00:01+01:00\n");
    read_cut(&r, TEXT_MAX, TEXT_MAX);
    is_told("248 1772323200002 0 0 0 0 0 1 0 receiver greeting 421 4.3.2 '\"No\", later'"
            "|||||2001:db8::7|2001:db8::1|Out, \"old\"\n"
            "445 1772323201000 0 0 0 0 0 5 0 receiver idle 554 5.7.1 'No'|||||||\n");
    assert_int_equal(r.rows, 4);
    assert_int_equal(r.headers, 3);
}

static const struct {
    const char *line;
    enum log_skip why;
} damaged[] = {
    {"2026-03-01T00:00:00.001Z,Out,08D0A8D416004000,3,,198.51.100.7:25,<,250 OK", SKIP_COLUMNS},
    {"2026-03-01T00:00:00.001Z,Out,08D0A8D416004000,3,,198.51.100.7:25,<,250 OK,,", SKIP_COLUMNS},
    {"2026-03-01T00:00:00.001Z,Out,08D0A8D416004000,3,,198.51.100.7:25,<,\"250 OK,", SKIP_COLUMNS},
    {"2026-03-01T00:00:00.001Z,\"Out,08D0A8D416004000,3,,198.51.100.7:25,<,250 OK,", SKIP_COLUMNS},
    {"2026-03-01T00:00:00.001Z,Out,08D0A8D416004000,3,,198.51.100.7:25,=,250 OK,", SKIP_FORM},
    {"2026-03-01T00:00:00.001Z,Out,08D0A8D416004000,3,,198.51.100.7:25,<<,250 OK,", SKIP_FORM},
    {"2026-03-01T00:00:00.001Z,Out,08D0A8D416004000,3,,198.51.100.7:25,,250 OK,", SKIP_FORM},
    {"2026-13-01T00:00:00.001Z,Out,08D0A8D416004000,3,,198.51.100.7:25,<,250 OK,", SKIP_TIME},
    {"2026-03-01T00:00:00.001Z?,Out,08D0A8D416004000,3,,198.51.100.7:25,<,250 OK,", SKIP_TIME},
    {",Out,08D0A8D416004000,3,,198.51.100.7:25,<,250 OK,", SKIP_TIME},
    {"2026-03-01T00:00:00.001Z", SKIP_COLUMNS},
    {"2026-03-01T00:00:00.001Z,", SKIP_COLUMNS},
    {"2026-03-01T00:00:00.001Z,Out,08D0A8D416004000,3", SKIP_COLUMNS},
    {"2026-03-01T00:00:00.001Z,Out,08D0A8D416004000,3,,198.51.100.7:25,<", SKIP_COLUMNS},
    {"\xff\xfe", SKIP_COLUMNS},
};

static void what_is_no_row_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
        struct reading r = {.format = &exchange_send_format, .wants = ALL};

        buf_clear(&log_text);
        add(&log_text, HEADER "%s\n", damaged[i].line);
        read_cut(&r, TEXT_MAX, TEXT_MAX);
        if (r.rows != 0 || r.skipped[damaged[i].why] != 1)
            fail_msg("'%s' is a row, or skipped for another reason", damaged[i].line);
        is_told("");
    }
    struct reading r = {.format = &exchange_send_format, .wants = ALL};
    write_log("A0 +\nA1 <421 4.3.2 No\n#Fields: date-time,data\nA2 <421 4.3.2 No\n");
    read_cut(&r, TEXT_MAX, TEXT_MAX);
    is_told("");
    assert_int_equal(r.skipped[SKIP_HEADER], 2);
    assert_int_equal(r.skipped[SKIP_COLUMNS], 1);
    assert_int_equal(r.rows, 0);
}

static void what_is_not_wanted_is_not_made(void **state)
{
    static const char lines[] = HEADER OPENED("A") SENDING("A", "<m>") "A4 >MAIL FROM:<a@b>\n"
                                                                       "A5 >RCPT TO:<c@d>\n"
                                                                       "A6 <250 OK\n"
                                                                       "A7 <452-4.3.1 Is\n"
                                                                       "A8 <452 4.3.1 full\n"
                                                                       "A9 -|Local\n";
    static const struct {
        unsigned wants;
        const char *facts;
    } cases[] = {
        {WANT_REPLIES, "9 reply receiver connect 452 4.3.1 'Is full'\n"},
        {WANT_REPLIES | WANT_SESSIONS,
         "9 reply receiver rcpt 452 4.3.1 'Is full' m=<m> r=c@d h=mx.example.org\n"},
        {WANT_LIVES, "4 arrival m=<m> h=mx.example.org\n"
                     "5 begin m=<m> h=mx.example.org\n"
                     "9 attempt deferred receiver rcpt 452 4.3.1 'Is full' m=<m> r=c@d "
                     "h=mx.example.org all\n"},
        {WANT_SESSIONS | WANT_ACCEPTED,
         "3 reply receiver greeting 220 - 'mx.example.org. ready' h=mx.example.org\n"
         "7 reply receiver mail 250 - 'OK' m=<m> r=c@d h=mx.example.org\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct reading r = {.format = &exchange_send_format, .wants = cases[i].wants};

        write_log(lines);
        read_cut(&r, TEXT_MAX, TEXT_MAX);
        is_told(cases[i].facts);
        assert_int_equal(r.rows, 10);
    }
}

/* ---- any sessions ---- */

static const char *const said[] = {
    "<220 mx.example.org",
    "<220-mx.example.org",
    "<250 OK",
    "<250-OK",
    "<250 2.1.0 \"OK\"",
    "<354 Go on",
    "<421 4.3.2 No",
    "<452-4.3.1 Full",
    "<452 4.3.1 Full",
    "<550 5.1.1 <c@d> who?",
    "<503 5.5.2 Eh",
    "<250",
    "<nothing",
    ">EHLO client.example",
    ">STARTTLS",
    ">MAIL FROM:<a@b>",
    ">MAIL FROM:<>",
    ">RCPT TO:<c@d>",
    ">RCPT TO:<e@f>",
    ">RCPT TO:<g@h>",
    ">DATA",
    ">BDAT 1",
    ">BDAT 1 LAST",
    ">RSET",
    ">QUIT",
    ">AUTH LOGIN",
    "+",
    "*permissions|for all",
    "*|Failed to connect",
    "*|Sending certificate",
    "-|Local",
    "-|Remote",
    "*|sending message with RecordId 7 and InternetMessageId <m>",
};

static void write_any_log(uint64_t seed)
{
    unsigned sequence[6] = {0};
    struct rand rand;

    rand_init(&rand, seed);
    buf_clear(&log_text);
    add(&log_text, HEADER "\n\r\n");
    for (unsigned number = 1; number < 60; number++) {
        size_t session = (size_t)rand_below(&rand, ARRAY_SIZE(sequence));
        char line[128];
        int n;

        if (rand_below(&rand, 12) == 0)
            sequence[session] = 0;
        n = snprintf(line, sizeof(line), "%c%u %s", 'A' + (int)session, sequence[session]++,
                     said[rand_below(&rand, ARRAY_SIZE(said))]);
        add_row(line, (size_t)n, number);
        if (rand_below(&rand, 40) == 0)
            add(&log_text, "\xef\xbb\xbf#Fields: " FIELDS "\r\n");
    }
}

/* The log in one piece, in two, cut at each line, and in pieces of a few lines. */
static void it_does_not_matter_where_a_log_is_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        const struct log_format *f = seed % 2 ? &exchange_send_format : &exchange_receive_format;
        struct reading whole = {
            .format = f, .wants = ALL | (seed % 3 ? 0 : WANT_ACCEPTED), .in_full = true};
        size_t at = 1, len;
        char *want;

        write_any_log(seed);
        len = buf_slice(&log_text).len;
        read_cut(&whole, len, len);
        assert_int_equal(buf_add(&told, slice_make("", 1)), 0);
        want = strdup((const char *)buf_slice(&told).ptr);
        assert_non_null(want);
        for (; at < len; at = line_from(at + 1)) {
            struct reading r = {.format = f, .wants = whole.wants, .in_full = true};

            read_cut(&r, at, len);
            is_told(want);
            assert_int_equal(r.rows, whole.rows);
        }
        for (size_t every = 1; every < 1000; every += 333) {
            struct reading r = {.format = f, .wants = whole.wants, .in_full = true};

            read_cut(&r, every, every);
            is_told(want);
            assert_int_equal(r.rows, whole.rows);
        }
        free(want);
    }
}

/* ---- limits ---- */

/* Of so many sessions the first and the last are refused now. What is still known of them tells
 * whether it was at the greeting. */
static void first_is_forgotten(struct reading *r, unsigned count)
{
    struct slice first, last;
    ptrdiff_t end;

    buf_clear(&log_text);
    for (unsigned i = 0; i < count; i += count - 1)
        add(&log_text, "2026-03-01T00:00:00.001Z,Out,%016X,1,,198.51.100.7:25,<,421 4.3.2 No,\n",
            i);
    buf_clear(&told);
    read_chunk(r, 0, buf_slice(&log_text).len);
    end = slice_find(buf_slice(&told), '\n');
    assert_true(end > 0);
    first = slice_sub(buf_slice(&told), 0, (size_t)end);
    last = slice_from(buf_slice(&told), (size_t)end + 1);
    assert_true(slice_has_prefix(first, SLICE_LIT("1 reply receiver idle 421 4.3.2 'No'")));
    assert_true(slice_has_prefix(last, SLICE_LIT("2@1 reply receiver greeting 421 4.3.2 'No'")));
    r->format->free_state(&r->state);
}

static void the_longest_idle_are_forgotten(void **state)
{
    struct reading r = {.format = &exchange_send_format, .wants = ALL};
    const unsigned count = PROTOCOL_OPEN_MAX + 10;

    (void)state;
    buf_clear(&log_text);
    buf_clear(&told);
    add(&log_text, HEADER);
    for (unsigned i = 0; i < count; i++)
        add(&log_text,
            "2026-03-01T00:00:00.001Z,Out,%016X,0,,198.51.100.7:25,*,,attempting to connect\n", i);
    for (size_t at = 0, len = buf_slice(&log_text).len; at < len;) {
        size_t end = line_from(MIN_OF(len, at + 4096));

        read_chunk(&r, at, end);
        at = end;
    }
    assert_int_equal(r.rows, count);
    is_told("");
    first_is_forgotten(&r, count);
}

/* The same of sessions that are few and large: each sends a message with an id of 200 KiB. */
static void the_longest_idle_go_where_they_are_large(void **state)
{
    struct reading r = {.format = &exchange_send_format, .wants = WANT_SESSIONS | WANT_REPLIES};
    const unsigned count = (unsigned)(2 * PROTOCOL_OPEN_BYTES_MAX / KIB(200));
    const int len = (int)KIB(200);
    char *id = malloc((size_t)len);

    (void)state;
    assert_non_null(id);
    memset(id, 'i', (size_t)len);
    buf_clear(&told);
    for (unsigned i = 0; i < count; i++) {
        buf_clear(&log_text);
        add(&log_text,
            HEADER "2026-03-01T00:00:00.001Z,Out,%016X,0,,198.51.100.7:25,*,,sending message with "
                   "RecordId 1 and InternetMessageId %.*s\n",
            i, len, id);
        read_chunk(&r, 0, buf_slice(&log_text).len);
    }
    free(id);
    assert_int_equal(r.rows, count);
    first_is_forgotten(&r, count);
}

static void lists_have_an_end(void **state)
{
    struct reading r = {
        .format = &exchange_send_format, .wants = WANT_LIVES | WANT_REPLIES, .in_full = true};
    struct slice facts;
    size_t count = 0;
    ptrdiff_t end;

    (void)state;
    write_log(HEADER OPENED("A") "A3 >MAIL FROM:<a@b>\n");
    for (unsigned i = 0; i < PROTOCOL_RECIPIENTS_MAX + 5; i++)
        add_row("A4 >RCPT TO:<c@d>", 17, 5);
    for (unsigned i = 0; i < PROTOCOL_LINES_MAX + 5; i++)
        add_row("A5 <452-4.3.1 x", 15, 6);
    add_row("A6 <452 4.3.1 y", 15, 7);
    add_row("A7 -", 4, 8);
    read_cut(&r, 100000, 100000);
    facts = buf_slice(&told);
    while ((end = slice_find(facts, '\n')) >= 0) {
        count++;
        facts = slice_from(facts, (size_t)end + 1);
    }
    assert_int_equal(count, PROTOCOL_RECIPIENTS_MAX + 1); /* and the reply */
}

/* ---- files ---- */

static void files_say_what_they_are(void **state)
{
    static const struct {
        const char *head;
        const struct log_format *format;
    } cases[] = {
        {"\xef\xbb\xbf#Software: Microsoft Exchange Server\r\n#Version: 15\r\n#Log-type: SMTP Send "
         "Protocol Log\r\n",
         &exchange_send_format},
        {"#Log-Type: SMTP Receive Protocol Log\r\n", &exchange_receive_format},
        {"2026-03-01T00:00:00.001Z,x\n#log-type:smtp receive protocol log",
         &exchange_receive_format},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct log_format *f = log_format_detect(slice_str(cases[i].head));

        assert_ptr_equal(f, cases[i].format);
        assert_ptr_equal(log_format_find(slice_str(f->name)), f);
    }
    assert_int_equal(exchange_send_format.detect(SLICE_LIT("#Log-type: Message Tracking Log")), 0);
    assert_int_equal(exchange_send_format.detect(SLICE_LIT("#Log-type: SMTP Receive Protocol Log")),
                     0);
    assert_int_equal(exchange_receive_format.detect(SLICE_LIT("")), 0);
}

static void a_row_is_split_for_queries(void **state)
{
    struct log_carry carry = {.columns = log_columns_of(slice_str(FIELDS))};
    struct slice fields[LOG_COLUMNS_MAX];
    struct arena a = {0};
    int reply = exchange_send_format.reply_column;

    (void)state;
    assert_int_equal(
        exchange_send_format.split(
            &carry, SLICE_LIT("t,\"a,b\",i,0,,r,<,\"452 4.3.1 \"\"No\"\"\","), &a, fields),
        9);
    assert_true(slice_eq(carry.columns->names[reply], SLICE_LIT("data")));
    assert_true(slice_eq(fields[reply], SLICE_LIT("452 4.3.1 \"No\"")));
    assert_int_equal(exchange_send_format.split(&carry, SLICE_LIT("a,b"), &a, fields), -EINVAL);
    assert_int_equal(exchange_send_format.split(&carry, SLICE_LIT("\""), &a, fields), -EINVAL);
    arena_done(&a);
}

static void addresses_are_found(void **state)
{
    static const struct {
        const char *command, *path;
    } cases[] = {
        {"RCPT TO:<a@b>", "a@b"},
        {"RCPT TO:<a@b> NOTIFY=NEVER ORCPT=rfc822;<x>", "a@b"},
        {"RCPT TO: <a@b>", "a@b"},
        {"RCPT TO:<\"a>b\\\"\"@c>", "\"a>b\\\"\"@c"},
        {"RCPT TO:<a\"b@c>", "a\"b@c"},
        {"RCPT TO:a@b SIZE=1", "a@b"},
        {"MAIL FROM:<>", ""},
        {"MAIL FROM:<a@b", ""},
        {"MAIL", ""},
        {"MAIL FROM:", ""},
        {"", ""},
    };
    static const struct {
        const char *endpoint, *address;
    } endpoints[] = {
        {"192.0.2.1:25", "192.0.2.1"},
        {"[2001:db8::1]:25", "2001:db8::1"},
        {"", ""},
        {":", ""},
        {"[]:1", ""},
        {"host", "host"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (!slice_eq(protocol_path(slice_str(cases[i].command)), slice_str(cases[i].path)))
            fail_msg("%s", cases[i].command);
    for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++)
        if (!slice_eq(text_address(slice_str(endpoints[i].endpoint)),
                      slice_str(endpoints[i].address)))
            fail_msg("%s", endpoints[i].endpoint);
}

static int setup(void **state)
{
    (void)state;
    buf_init(&log_text, MIB(16));
    buf_init(&told, MIB(16));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_done(&log_text);
    buf_done(&told);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_send_log_tells_attempts),
        cmocka_unit_test(a_receive_log_tells_transactions),
        cmocka_unit_test(what_is_between_the_commas),
        cmocka_unit_test(what_is_no_row_is_told),
        cmocka_unit_test(what_is_not_wanted_is_not_made),
        cmocka_unit_test(it_does_not_matter_where_a_log_is_cut),
        cmocka_unit_test(the_longest_idle_are_forgotten),
        cmocka_unit_test(the_longest_idle_go_where_they_are_large),
        cmocka_unit_test(lists_have_an_end),
        cmocka_unit_test(files_say_what_they_are),
        cmocka_unit_test(a_row_is_split_for_queries),
        cmocka_unit_test(addresses_are_found),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
