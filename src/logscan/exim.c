/*
 * logscan/exim.c - the main log of Exim: time, message id, a flag, then what the flag says.
 *
 *     <=        FACT_ARRIVAL               => -> >>   FACT_ATTEMPT, delivered
 *     ==        FACT_ATTEMPT, deferred     **         FACT_ATTEMPT, failed, or FACT_EXPIRY
 *     H=        FACT_REPLY of a host whose answer the "==" of each address tells again
 *     Completed FACT_END                   rejected   FACT_REPLY of this host
 *
 * Attempts are numbered for each recipient: with milliseconds in the log, the lines of one attempt
 * bear several times.
 */
#include "logscan/exim.h"

#include <errno.h>
#include <string.h>

#include "logscan/formats.h"
#include "logscan/reply_form.h"
#include "logscan/stamp.h"
#include "logscan/text.h"

#define DETECT_LINES 200
#define ERROR_MAX 100000
/* Exim's own numbers for an address that was not tried: its time has not come (macros.h, ERRNO_RETRY_BASE
 * and below). */
#define NOT_TRIED_FIRST (-51)
#define NOT_TRIED_LAST (-56)

/* ---- the head ---- */

/* "1wXyZa-0005MB-00", from 4.97 on "1wXyZa-00000005MBx-0abC"; 0: `s` begins with neither. */
static size_t id_len(struct slice s)
{
    size_t len = s.len > 13 && s.ptr[6] == '-' ? s.ptr[13] == '-' ? 16 : 23 : 0;

    if (len == 0 || s.len <= len || s.ptr[len] != ' ' || s.ptr[len == 16 ? 13 : 18] != '-')
        return 0;
    for (size_t i = 0; i < len; i++)
        if (!byte_is_alpha(s.ptr[i]) && !byte_is_digit(s.ptr[i]) && s.ptr[i] != '-')
            return 0;
    return len;
}

/* A long line came in parts to the system log: the first has the head ("[1/2] ", "[1\2] "). */
static struct slice without_part(struct slice text)
{
    return TEXT_BEGINS(text, "[1/") || TEXT_BEGINS(text, "[1\\")
               ? slice_from(text, text_find(text, "] ") + 2)
               : text;
}

/* "[4711] ". */
static struct slice take_pid(struct slice *text)
{
    size_t end = 1;
    struct slice pid;

    if (text->len == 0 || text->ptr[0] != '[')
        return slice_make(NULL, 0);
    while (end < text->len && byte_is_digit(text->ptr[end]))
        end++;
    if (end == 1 || end + 1 >= text->len || text->ptr[end] != ']' || text->ptr[end + 1] != ' ')
        return slice_make(NULL, 0);
    pid = slice_make(text->ptr + 1, end - 1);
    *text = slice_from(*text, end + 2);
    return pid;
}

enum syslog_result exim_line(struct syslog_reader *r, struct slice line, struct exim_line *ret)
{
    struct slice text = line, pid = slice_make(NULL, 0);
    size_t len = stamp_iso(line, &ret->at_ms), id;
    enum syslog_result result;
    struct syslog_line head;

    if (len == 0 || len >= line.len || line.ptr[10] != ' ') {
        result = syslog_line(r, line, &head);
        if (result != SYSLOG_OK)
            return result;
        if (!TEXT_BEGINS(head.tag, "exim"))
            return SYSLOG_FORM;
        ret->has_seconds = head.has_seconds;
        ret->at_ms = head.at_ms;
        pid = head.pid;
        text = without_part(head.text);
        len = stamp_iso(text, &ret->at_ms);
    }
    if (len > 0) {
        if (len >= text.len || text.ptr[len] != ' ')
            return SYSLOG_FORM;
        ret->has_seconds = stamp_iso_is_whole(text.ptr);
        text = slice_make(text.ptr + len + 1, text.len - len - 1);
    }
    ret->pid = take_pid(&text);
    if (ret->pid.len == 0)
        ret->pid = pid;
    id = id_len(text);
    ret->id = slice_make(text.ptr, id);
    ret->text = id > 0 ? slice_make(text.ptr + id + 1, text.len - id - 1) : text;
    return SYSLOG_OK;
}

/* ---- parts of a text ---- */

/* The value after `key` ("R="), up to a blank or ':'. */
static struct slice value_of(struct slice text, const char *key)
{
    size_t at = text_find(text, key), len = 0;
    struct slice rest = slice_from(text, at + strlen(key));

    if (at == text.len)
        return slice_make(NULL, 0);
    while (len < rest.len && rest.ptr[len] != ' ' && rest.ptr[len] != ':')
        len++;
    return slice_sub(rest, 0, len);
}

bool exim_host(struct slice text, struct slice *ret_host, struct slice *ret_address)
{
    size_t at = TEXT_BEGINS(text, "H=") ? 0 : text_find(text, " H=") + 1, len = 0, close;
    struct slice rest = slice_from(text, at + 2);

    *ret_host = *ret_address = slice_make(NULL, 0);
    if (rest.len == 0)
        return false;
    while (len < rest.len && rest.ptr[len] != ' ' && rest.ptr[len] != '(' && rest.ptr[len] != '[')
        len++;
    *ret_host = slice_sub(rest, 0, len);
    rest = slice_from(rest, len + (len < rest.len && rest.ptr[len] == ' '));
    if (TEXT_BEGINS(rest, "(")) /* what the client called itself, anything */
        rest = slice_from(rest, text_find(rest, ") [") + 2);
    close = text_find(rest, "]");
    if (rest.len == 0 || rest.ptr[0] != '[' || close == rest.len)
        return ret_host->len > 0;
    *ret_address = slice_sub(rest, 1, close - 1);
    return true;
}

/* The recipient ends where the next part begins; the first that is there. */
static size_t recipient_len(struct slice text)
{
    static const char *const ends[] = {" R=", " routing defer", " defer (", ": "};
    size_t len;

    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        len = text_find(text, ends[i]);
        if (len < text.len)
            return len;
    }
    return text_find(text, " ");
}

/* "user <user@b>", "|/bin/x <user@b>", "a@b <orig@b>", "<a@b>": the address that has a domain, the first of
 * both. */
static struct slice recipient_of(struct slice s)
{
    const uint8_t *open = s.len > 0 ? memrchr(s.ptr, '<', s.len) : NULL;
    struct slice first, original;

    if (!open || s.ptr[s.len - 1] != '>')
        return s;
    original = slice_make(open + 1, (size_t)(s.ptr + s.len - open) - 2);
    first = slice_trim(slice_make(s.ptr, (size_t)(open - s.ptr)));
    return slice_find(first, '@') > 0 && first.ptr[0] != '|' ? first : original;
}

static int64_t error_of(struct slice text)
{
    struct slice rest = slice_from(text, text_find(text, " defer (") + 8);
    bool is_negative = TEXT_BEGINS(rest, "-");
    uint64_t n = 0;

    rest = slice_from(rest, is_negative);
    if (slice_to_u64(slice_sub(rest, 0, text_find(rest, ")")), ERROR_MAX, &n) < 0)
        return 0;
    return is_negative ? -(int64_t)n : (int64_t)n;
}

/* C="..." with '\' before '"' and '\'. */
static struct slice confirmation_of(struct slice text)
{
    size_t at = text_find(text, " C=\""), len = 0;
    struct slice rest = slice_from(text, at + 4);

    while (len < rest.len && rest.ptr[len] != '"')
        len += rest.ptr[len] == '\\' ? 2 : 1;
    return slice_sub(rest, 0, len);
}

bool exim_address(struct slice text, struct exim_address *ret)
{
    struct slice rest, head;
    size_t len, end;

    if (text.len < 4 || text.ptr[2] != ' ')
        return false;
    *ret = (struct exim_address){.flag = slice_sub(text, 0, 2)};
    rest = slice_from(text, 3);
    len = recipient_len(rest);
    ret->recipient = recipient_of(slice_sub(rest, 0, len));
    rest = slice_from(rest, len);
    ret->reply = confirmation_of(rest);
    end = text_find(rest, ret->reply.len > 0 ? " C=\"" : ": ");
    head = slice_sub(rest, 0, end);
    if (ret->reply.len == 0)
        ret->text = slice_from(rest, end + 2);
    ret->router = value_of(head, " R=");
    ret->transport = value_of(head, " T=");
    ret->error = error_of(head);
    ignore_result(exim_host(head, &ret->host, &ret->address));
    return ret->recipient.len > 0;
}

static enum smtp_phase phase_of(struct slice stage)
{
    static const struct {
        const char *text;
        enum smtp_phase phase;
    } stages[] = {
        {"initial connection", SMTP_PHASE_GREETING},
        {"EHLO", SMTP_PHASE_HELLO},
        {"HELO", SMTP_PHASE_HELLO},
        {"LHLO", SMTP_PHASE_HELLO},
        {"STARTTLS", SMTP_PHASE_STARTTLS},
        {"MAIL", SMTP_PHASE_MAIL},
        {"RCPT", SMTP_PHASE_RCPT},
        {"DATA", SMTP_PHASE_DATA},
        {"sending data block", SMTP_PHASE_BODY},
        {"end of data", SMTP_PHASE_END},
        {"after DATA", SMTP_PHASE_END},
        {"connection", SMTP_PHASE_CONNECT},
    };

    if (TEXT_BEGINS(stage, "pipelined "))
        stage = slice_from(stage, sizeof("pipelined ") - 1);
    for (size_t i = 0; i < ARRAY_SIZE(stages); i++)
        if (text_begins(stage, stages[i].text, strlen(stages[i].text)))
            return stages[i].phase;
    return SMTP_PHASE_IDLE;
}

bool exim_error(struct slice text, struct exim_error *ret)
{
    static const char begin[] = "error from remote mail server after ";
    size_t at = text_find(text, begin), open, end;
    struct slice rest = slice_from(text, at + sizeof(begin) - 1);

    if (at == text.len || at < 5 || text.ptr[at - 1] != ' ')
        return false;
    *ret = (struct exim_error){.phase = phase_of(rest)};
    open = text_find(rest, ":<");
    end = text_find(rest, ": ");
    if (open < end) { /* MAIL FROM:<a b: c@d> */
        rest = slice_from(rest, open);
        rest = slice_from(rest, text_find(rest, ">"));
        end = text_find(rest, ": ");
    }
    rest = slice_from(rest, end + 2);
    if (TEXT_BEGINS(rest, "host ")) {
        struct slice named = slice_from(rest, sizeof("host ") - 1);
        size_t close = text_find(named, "]: "), bracket = text_find(named, " [");

        if (close == named.len || bracket > close)
            return false;
        ret->host = slice_sub(named, 0, bracket);
        ret->address = slice_sub(named, bracket + 2, close - bracket - 2);
        rest = slice_from(named, close + 3);
    }
    ret->reply = rest;
    return rest.len > 0;
}

bool exim_reject(struct slice text, struct exim_reject *ret)
{
    size_t at = text_find(text, " rejected "), from, end;
    struct slice head = slice_sub(text, 0, at), rest = slice_from(text, at + 10);

    if (at == text.len || !TEXT_BEGINS(text, "H=") || rest.len == 0)
        return false;
    *ret = (struct exim_reject){.phase = phase_of(rest)};
    ret->is_temporary = slice_has_suffix_case(head, SLICE_LIT(" temporarily"));
    ignore_result(exim_host(head, &ret->host, &ret->address));
    from = text_find(head, " F=<");
    ret->sender = slice_from(head, from + 4);
    ret->sender = slice_sub(ret->sender, 0, text_find(ret->sender, ">"));
    end = text_find(rest, " <");
    if (TEXT_BEGINS(rest, "RCPT <")) {
        rest = slice_from(rest, end + 2);
        end = text_find(rest, ">");
        ret->recipient = slice_sub(rest, 0, end);
        rest = slice_from(rest, end);
    }
    end = text_find(rest, ": ");
    ret->text = end < rest.len ? slice_from(rest, end + 2) : slice_from(text, at + 10);
    return true;
}

/* ---- facts ---- */

struct scan { /* of one line */
    struct log_scan *s;
    const uint8_t *line;
    struct exim_line l;
};

static bool wants(const struct scan *c, unsigned what)
{
    return (c->s->wants & what) != 0;
}

static struct log_fact *add(struct scan *c, enum fact_kind kind)
{
    struct log_fact *f = log_scan_fact(c->s, kind, c->line);

    if (!f)
        return NULL;
    f->at_ms = c->l.at_ms;
    f->has_seconds = c->l.has_seconds;
    f->message = c->l.id;
    f->phase = SMTP_PHASE_IDLE;
    return f;
}

static struct log_fact *add_reply(struct scan *c, const struct log_reply *r, enum log_issuer by)
{
    struct log_fact *f = wants(c, log_reply_want(r)) ? add(c, FACT_REPLY) : NULL;

    if (!f)
        return NULL;
    f->reply = *r;
    f->issuer = (uint8_t)by;
    return f;
}

/* "<= a@b H=host [ip] ...", "(= ..." of a refusal that is none. */
static void arrival(struct scan *c)
{
    struct slice rest = slice_from(c->l.text, 3);
    struct log_fact *f = wants(c, WANT_LIVES) ? add(c, FACT_ARRIVAL) : NULL;

    if (!f)
        return;
    f->sender = slice_sub(rest, 0, text_find(rest, " "));
    if (slice_eq(f->sender, SLICE_LIT("<>")))
        f->sender = slice_make(NULL, 0);
    ignore_result(exim_host(slice_sub(rest, 0, text_find(rest, " T=\"")), &f->host, &f->address));
}

struct attempt {
    struct exim_address a;
    struct log_reply reply;
    enum log_issuer issuer;
    enum smtp_phase phase;
    enum log_outcome outcome;
    bool has_answer, is_untried, is_expiry;
};

static bool reads_reply(struct scan *c, struct slice text, struct log_reply *ret)
{
    return reply_form_joined(text, SLICE_LIT("\\n"), &c->s->arena, ret);
}

static void own_failure(struct attempt *a)
{
    a->issuer = ISSUER_OWN_CLIENT;
    a->reply.text = a->a.text;
    a->phase = a->a.error > 0 ? SMTP_PHASE_CONNECT : SMTP_PHASE_IDLE;
    a->is_untried = a->a.error <= NOT_TRIED_FIRST && a->a.error >= NOT_TRIED_LAST;
    a->is_untried = a->is_untried || TEXT_BEGINS(a->a.text, "retry time not reached");
    a->is_expiry = a->outcome == OUTCOME_FAILED &&
                   (text_find(a->a.text, "retry timeout exceeded") < a->a.text.len ||
                    text_find(a->a.text, "long failure period") < a->a.text.len);
}

static void read_attempt(struct scan *c, struct attempt *a)
{
    struct exim_error e;

    a->outcome = a->a.flag.ptr[0] == '*'   ? OUTCOME_FAILED
                 : a->a.flag.ptr[1] == '=' ? OUTCOME_DEFERRED
                                           : OUTCOME_DELIVERED;
    if (a->outcome == OUTCOME_DELIVERED) {
        a->phase = SMTP_PHASE_END;
        if (!arena_unescape(&c->s->arena, &a->a.reply))
            c->s->error = -ENOMEM;
        a->has_answer = a->a.reply.len > 0 && reads_reply(c, a->a.reply, &a->reply);
        return;
    }
    if (!exim_error(a->a.text, &e)) {
        own_failure(a);
        return;
    }
    a->phase = e.phase;
    if (e.address.len > 0) {
        a->a.host = e.host;
        a->a.address = e.address;
    }
    a->has_answer = reads_reply(c, e.reply, &a->reply);
    if (!a->has_answer)
        a->reply.text = e.reply;
}

static void fill(struct log_fact *f, const struct attempt *a)
{
    f->recipient = a->a.recipient;
    f->host = a->a.host;
    f->address = a->a.address;
    f->connector = a->a.transport;
    f->issuer = (uint8_t)a->issuer;
    f->phase = (uint8_t)a->phase;
    f->reply = a->reply;
}

static void address(struct scan *c)
{
    struct attempt a = {.phase = SMTP_PHASE_IDLE};
    struct log_fact *f;

    if (!exim_address(c->l.text, &a.a))
        return;
    read_attempt(c, &a);
    if (!a.is_expiry && (a.outcome != OUTCOME_DELIVERED || a.has_answer)) {
        f = add_reply(c, &a.reply, a.issuer);
        if (f)
            fill(f, &a);
    }
    if (a.is_untried || !wants(c, WANT_LIVES))
        return;
    /* Mail that is handed on while it comes in is logged before it has arrived. */
    if (a.a.flag.ptr[0] == '>' && !add(c, FACT_ARRIVAL))
        return;
    f = add(c, a.is_expiry ? FACT_EXPIRY : FACT_ATTEMPT);
    if (!f)
        return;
    fill(f, &a);
    f->outcome = (uint8_t)a.outcome;
    f->numbering = NUMBERING_RECIPIENT;
    f->counts = COUNTS_ALL;
}

/* A refusal has no code in the log but where the ACL's text has one. */
static void rejected(struct scan *c, const struct exim_reject *r)
{
    struct log_reply reply;
    struct log_fact *f;

    if (!reads_reply(c, r->text, &reply))
        reply = (struct log_reply){.text = r->text};
    f = add_reply(c, &reply, ISSUER_OWN_SERVER);
    if (!f)
        return;
    f->outcome = r->is_temporary ? OUTCOME_DEFERRED : OUTCOME_FAILED;
    f->host = r->host;
    f->address = r->address;
    f->sender = r->sender;
    f->recipient = r->recipient;
    f->phase = (uint8_t)r->phase;
}

/* "H=host [ip]: SMTP error ...", "H=host [ip] F=<a> rejected ...". */
static void host_line(struct scan *c)
{
    struct exim_reject r;
    struct log_reply reply;
    struct exim_error e;
    struct log_fact *f;

    if (!wants(c, WANT_REPLIES))
        return;
    if (!exim_error(c->l.text, &e)) {
        if (exim_reject(c->l.text, &r))
            rejected(c, &r);
        return;
    }
    if (!reads_reply(c, e.reply, &reply))
        return;
    f = add_reply(c, &reply, ISSUER_RECEIVER);
    if (!f)
        return;
    f->is_other_host = true;
    f->phase = (uint8_t)e.phase;
    ignore_result(
        exim_host(slice_sub(c->l.text, 0, text_find(c->l.text, ": ")), &f->host, &f->address));
}

static bool is_address_flag(struct slice text)
{
    return TEXT_BEGINS(text, "=> ") || TEXT_BEGINS(text, "-> ") || TEXT_BEGINS(text, "== ") ||
           TEXT_BEGINS(text, "** ") || TEXT_BEGINS(text, ">> ");
}

static void facts(struct scan *c)
{
    struct slice text = c->l.text;

    if (text.len > 0 && text.ptr[0] == ' ') /* of an empty part in front */
        text = c->l.text = slice_from(text, 1);
    if (TEXT_BEGINS(text, "H="))
        host_line(c);
    if (c->l.id.len == 0)
        return;
    if (is_address_flag(text))
        address(c);
    else if (TEXT_BEGINS(text, "<= ") || TEXT_BEGINS(text, "(= "))
        arrival(c);
    else if (TEXT_BEGINS(text, "Completed") && wants(c, WANT_LIVES))
        ignore_result(add(c, FACT_END) != NULL);
}

static void scan(struct log_scan *s)
{
    struct syslog_reader reader = {.carry = s->carry};
    struct scan c = {.s = s};
    struct slice line;
    size_t at = 0;

    while (s->error == 0 && log_scan_line(s, &at, &line)) {
        enum syslog_result r = exim_line(&reader, line, &c.l);

        if (r != SYSLOG_OK) {
            syslog_line_skip(s, r, line.ptr);
            continue;
        }
        c.line = line.ptr;
        s->tally.rows++;
        facts(&c);
    }
    s->carry_end = reader.carry;
}

static unsigned detect(struct slice head)
{
    struct syslog_reader reader = {.carry = {.year = 2024}};

    for (unsigned i = 0; i < DETECT_LINES && head.len > 0; i++) {
        struct exim_line l;

        if (exim_line(&reader, text_take_line(&head), &l) == SYSLOG_OK && l.id.len > 0)
            return 70;
    }
    return 0;
}

const struct log_format exim_format = {.name = "exim",
                                       .title = "Exim main log",
                                       .detect = detect,
                                       .scan = scan,
                                       .columns = LOG_COLUMN_LIST(EXIM_COLUMNS),
                                       .split = exim_split,
                                       .reply_column = EXIM_REPLY_COLUMN};
