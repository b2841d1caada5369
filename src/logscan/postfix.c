/*
 * logscan/postfix.c - Postfix' lines: "host postfix/smtp[pid]: QUEUEID: what", told apart by how the
 * text begins. Texts quote anything (a subject says "status=deferred"), so nothing is searched for in
 * a line before its begin has said what it is.
 *
 *     client=, uid=             FACT_ARRIVAL
 *     from=<>, ... nrcpt=N      FACT_BEGIN
 *     to=<>, ... status=S (R)   FACT_ATTEMPT, and FACT_REPLY where R refuses
 *     host H[ip] said: R        FACT_REPLY of another host of the attempt
 *     from=<>, status=expired   FACT_EXPIRY
 *     removed                   FACT_END
 *     reject: ... from H[ip]: R FACT_REPLY of this host
 *
 * Attempts are numbered for each recipient: a message in an active queue may have recipients that are
 * not tried since their destination is suspended, so the runs of the queue say too much.
 */
#include "logscan/postfix.h"

#include <errno.h>
#include <string.h>

#include "logscan/formats.h"
#include "logscan/reply_form.h"
#include "logscan/syslog_line.h"
#include "logscan/text.h"

#define QUEUE_ID_MIN 5
#define QUEUE_ID_MAX 24
#define KEYS_MAX 32 /* "key=value, " of a delivery that are looked at */
#define DETECT_LINES 200
#define RECIPIENTS_MAX 1000000 /* of a message: more is a mistake */

/* Ids are upper case hex digits, or digits and letters without vowels; "NOQUEUE" is as good as one.
 * "warning" and "statistics" are none. */
static const bool in_queue_id[256] = {
    ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1,
    ['8'] = 1, ['9'] = 1, ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1,
    ['G'] = 1, ['H'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1,
    ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1, ['U'] = 1, ['V'] = 1, ['W'] = 1,
    ['X'] = 1, ['Y'] = 1, ['Z'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['f'] = 1, ['g'] = 1,
    ['h'] = 1, ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1, ['p'] = 1, ['q'] = 1,
    ['r'] = 1, ['s'] = 1, ['t'] = 1, ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1,
};

bool postfix_line(struct slice tag, struct slice text, struct postfix_line *ret)
{
    const uint8_t *slash = memrchr(tag.ptr, '/', tag.len);
    size_t len = 0;

    if (!slash || slash == tag.ptr || slash + 1 == tag.ptr + tag.len)
        return false;
    ret->program = slice_make(slash + 1, (size_t)(tag.ptr + tag.len - slash - 1));
    ret->text = text;
    ret->queue_id = slice_make(NULL, 0);
    while (len < text.len && len <= QUEUE_ID_MAX && in_queue_id[text.ptr[len]])
        len++;
    if (len >= QUEUE_ID_MIN && len <= QUEUE_ID_MAX && len + 1 < text.len && text.ptr[len] == ':' &&
        text.ptr[len + 1] == ' ') {
        ret->queue_id = slice_make(text.ptr, len);
        ret->text = slice_make(text.ptr + len + 2, text.len - len - 2);
    }
    return true;
}

/* "key=value, ": what follows goes to `*rest`. */
static void take_pair(struct slice *rest, struct slice *key, struct slice *value)
{
    const uint8_t *p = rest->ptr, *equals = memchr(p, '=', rest->len);
    size_t from = equals ? (size_t)(equals - p) + 1 : rest->len, end, used;

    *key = slice_make(p, equals ? from - 1 : rest->len);
    used = text_path(slice_from(*rest, from), value);
    if (used > 0) {
        end = from + used;
    } else {
        const uint8_t *comma = from < rest->len ? memchr(p + from, ',', rest->len - from) : NULL;

        end = comma ? (size_t)(comma - p) : rest->len;
        *value = slice_make(p + from, end - from);
    }
    end += end < rest->len && p[end] == ',';
    end += end < rest->len && p[end] == ' ';
    *rest = slice_make(p + end, rest->len - end);
}

/* "deferred (REASON)": the reason ends at the last ')', or where the line was cut. */
static void take_status(struct slice text, struct postfix_delivery *ret)
{
    const uint8_t *blank = text.len > 0 ? memchr(text.ptr, ' ', text.len) : NULL;

    ret->status = blank ? slice_make(text.ptr, (size_t)(blank - text.ptr)) : text;
    ret->reason = slice_from(text, ret->status.len + 2);
    if (ret->reason.len > 0 && ret->reason.ptr[ret->reason.len - 1] == ')')
        ret->reason.len--;
}

bool postfix_delivery(struct slice text, struct postfix_delivery *ret)
{
    struct slice rest = text, key, value;

    *ret = (struct postfix_delivery){0};
    for (unsigned i = 0; i < KEYS_MAX && rest.len > 0; i++) {
        struct slice here = rest;

        take_pair(&rest, &key, &value);
        if (text_is(key, "status")) {
            take_status(slice_from(here, key.len + 1), ret);
            return true;
        }
        if (text_is(key, "to"))
            ret->to = value;
        else if (text_is(key, "relay"))
            ret->relay = value;
        else if (text_is(key, "delay"))
            ret->delay = value;
        else if (text_is(key, "delays"))
            ret->delays = value;
        else if (text_is(key, "dsn"))
            ret->dsn = value;
        else if (text_is(key, "orig_to"))
            ret->orig_to = value;
    }
    return false;
}

/* "host[address]" at the begin of `text`; a socket's path is no address. The bytes it took, 0: it is
 * not there. */
static size_t take_host(struct slice text, struct slice *host, struct slice *address)
{
    const uint8_t *open = text.len > 0 ? memchr(text.ptr, '[', text.len) : NULL;
    const uint8_t *close = open ? memchr(open, ']', text.len - (size_t)(open - text.ptr)) : NULL;

    if (!close)
        return 0;
    *host = slice_make(text.ptr, (size_t)(open - text.ptr));
    *address = slice_make(open + 1, (size_t)(close - open - 1));
    if (memchr(host->ptr, ' ', host->len))
        return 0;
    if (address->len == 0 || memchr(address->ptr, '/', address->len))
        *address = slice_make(NULL, 0);
    return (size_t)(close - text.ptr) + 1;
}

static const struct {
    const char *text;
    enum smtp_phase phase;
} phases[] = {
    {"MAIL", SMTP_PHASE_MAIL},          {"RCPT", SMTP_PHASE_RCPT},
    {"DATA", SMTP_PHASE_DATA},          {"end of DATA", SMTP_PHASE_END},
    {"END-OF-MESSAGE", SMTP_PHASE_END}, {"CONNECT", SMTP_PHASE_CONNECT},
    {"EHLO", SMTP_PHASE_HELLO},         {"HELO", SMTP_PHASE_HELLO},
    {"LHLO", SMTP_PHASE_HELLO},         {"STARTTLS", SMTP_PHASE_STARTTLS},
    {"BDAT", SMTP_PHASE_END},
};

static enum smtp_phase phase_of(struct slice command)
{
    for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
        if (text_begins(command, phases[i].text, strlen(phases[i].text)))
            return phases[i].phase;
    return SMTP_PHASE_IDLE;
}

/* Takes " (in reply to RCPT TO command)" off the end of what a host said. The last one counts: the
 * host may have quoted another. */
static enum smtp_phase take_command(struct slice *said)
{
    const uint8_t *open = said->len > 0 ? memrchr(said->ptr, '(', said->len) : NULL;
    struct slice tail;

    if (!open || open == said->ptr || open[-1] != ' ')
        return SMTP_PHASE_IDLE;
    tail = slice_from(*said, (size_t)(open - said->ptr));
    if (!TEXT_BEGINS(tail, "(in reply to "))
        return SMTP_PHASE_IDLE;
    *said = slice_make(said->ptr, (size_t)(open - said->ptr) - 1);
    return phase_of(slice_from(tail, sizeof("(in reply to ") - 1));
}

bool postfix_said(struct slice reason, struct postfix_said *ret)
{
    struct slice rest;
    size_t used;

    if (!TEXT_BEGINS(reason, "host "))
        return false;
    rest = slice_from(reason, sizeof("host ") - 1);
    used = take_host(rest, &ret->host, &ret->address);
    if (used == 0)
        return false;
    rest = slice_from(rest, used);
    if (TEXT_BEGINS(rest, " said: ")) {
        ret->text = slice_from(rest, sizeof(" said: ") - 1);
        ret->phase = take_command(&ret->text);
        return true;
    }
    if (!TEXT_BEGINS(rest, " refused to talk to me: "))
        return false;
    ret->text = slice_from(rest, sizeof(" refused to talk to me: ") - 1);
    ret->phase = SMTP_PHASE_GREETING;
    return true;
}

/* ---- facts ---- */

struct scan { /* of one line */
    struct log_scan *s;
    const uint8_t *line;
    const struct syslog_line *head;
    struct postfix_line p;
    struct slice message;
};

/* Queue ids are of one host, and logs of several may come as one. */
static struct slice key_of(struct scan *c, struct slice id)
{
    struct slice host = c->head->host;
    uint8_t *text;

    text = arena_take(&c->s->arena, id.len + 1 + host.len);
    if (!text) {
        c->s->error = -ENOMEM;
        return id;
    }
    memcpy(text, id.ptr, id.len);
    text[id.len] = '@';
    memcpy(text + id.len + 1, host.ptr, host.len);
    return slice_make(text, id.len + 1 + host.len);
}

static struct slice message_key(struct scan *c)
{
    if (c->message.len == 0)
        c->message = key_of(c, c->p.queue_id);
    return c->message;
}

static bool is_loopback(struct slice address)
{
    return slice_has_prefix(address, SLICE_LIT("127.")) || slice_eq(address, SLICE_LIT("::1"));
}

static struct log_fact *add(struct scan *c, enum fact_kind kind)
{
    struct log_fact *f;
    struct slice message = slice_make(NULL, 0);

    if (c->p.queue_id.len > 0 && !slice_eq(c->p.queue_id, SLICE_LIT("NOQUEUE")))
        message = message_key(c);
    f = log_scan_fact(c->s, kind, c->line);
    if (!f)
        return NULL;
    f->at_ms = c->head->at_ms;
    f->has_seconds = c->head->has_seconds;
    f->message = message;
    f->connector = c->p.program;
    return f;
}

static bool wants(const struct scan *c, unsigned what)
{
    return (c->s->wants & what) != 0;
}

static void arrival(struct scan *c)
{
    struct log_fact *f = wants(c, WANT_LIVES) ? add(c, FACT_ARRIVAL) : NULL;
    struct slice rest = c->p.text;
    const uint8_t *from;

    if (!f)
        return;
    if (TEXT_BEGINS(rest, "client=")) {
        rest = slice_from(rest, sizeof("client=") - 1);
        if (take_host(rest, &f->host, &f->address) > 0 && slice_eq(f->host, SLICE_LIT("unknown")))
            f->host = slice_make(NULL, 0);
        f->is_from_here = is_loopback(f->address);
        return;
    }
    from = memmem(rest.ptr, rest.len, "from=<", 6);
    if (from)
        ignore_result(text_path(slice_from(rest, (size_t)(from - rest.ptr) + 5), &f->sender) > 0);
}

/* "from=<a@b>, size=1, nrcpt=2 (queue active)", "from=<a@b>, status=expired, returned to sender". */
static void from_line(struct scan *c)
{
    struct slice rest, sender;
    const uint8_t *count;
    struct log_fact *f;
    size_t used;

    rest = slice_from(c->p.text, sizeof("from=") - 1);
    used = text_path(rest, &sender);
    if (!wants(c, WANT_LIVES) || used == 0)
        return;
    rest = slice_from(rest, used);
    if (TEXT_BEGINS(rest, ", status=expired") || TEXT_BEGINS(rest, ", status=force-expired")) {
        f = add(c, FACT_EXPIRY);
        if (f)
            f->sender = sender;
        return;
    }
    count = TEXT_BEGINS(rest, ", size=") ? memmem(rest.ptr, rest.len, ", nrcpt=", 8) : NULL;
    if (!count)
        return;
    f = add(c, FACT_BEGIN);
    if (!f)
        return;
    f->sender = sender;
    for (count += 8; count < rest.ptr + rest.len && byte_is_digit(*count); count++)
        f->number = f->number > RECIPIENTS_MAX ? RECIPIENTS_MAX : f->number * 10 + (*count - '0');
}

static struct log_fact *add_reply(struct scan *c, const struct log_reply *r, enum log_issuer by)
{
    struct log_fact *f = wants(c, log_reply_want(r)) ? add(c, FACT_REPLY) : NULL;

    if (!f)
        return NULL;
    f->reply = *r;
    f->issuer = (uint8_t)by;
    f->phase = SMTP_PHASE_IDLE;
    return f;
}

/* ---- what our own host made of it ---- */

#define SUSPENDED "delivery temporarily suspended"

/* "lost connection with H[ip] while sending RCPT TO" without " with H[ip]": one cause is one text. */
static struct slice without_host(struct scan *c, struct slice reason)
{
    const uint8_t *with = memmem(reason.ptr, reason.len, " with ", 6);
    struct slice before, after, host, address;
    uint8_t *text;
    size_t used;

    if (!with)
        return reason;
    before = slice_make(reason.ptr, (size_t)(with - reason.ptr));
    after = slice_from(reason, before.len + 6);
    used = take_host(after, &host, &address);
    text = used > 0 ? arena_take(&c->s->arena, reason.len) : NULL;
    if (!text)
        return reason;
    after = slice_from(after, used);
    memcpy(text, before.ptr, before.len);
    if (after.len > 0)
        memcpy(text + before.len, after.ptr, after.len);
    return slice_make(text, before.len + after.len);
}

static enum smtp_phase own_phase(struct slice reason)
{
    static const struct {
        const char *text;
        enum smtp_phase phase;
    } parts[] = {
        {"server greeting", SMTP_PHASE_GREETING},
        {"HELO", SMTP_PHASE_HELLO},
        {"EHLO", SMTP_PHASE_HELLO},
        {"LHLO", SMTP_PHASE_HELLO},
        {"MAIL FROM", SMTP_PHASE_MAIL},
        {"RCPT TO", SMTP_PHASE_RCPT},
        {"DATA command", SMTP_PHASE_DATA},
        {"message body", SMTP_PHASE_BODY},
        {"end of data", SMTP_PHASE_END},
    };
    ptrdiff_t at = slice_find_slice(reason, SLICE_LIT(" while "));

    if (TEXT_BEGINS(reason, "connect to "))
        return SMTP_PHASE_CONNECT;
    for (size_t i = 0; at >= 0 && i < ARRAY_SIZE(parts); i++)
        if (slice_find_slice(slice_from(reason, (size_t)at), slice_str(parts[i].text)) >= 0)
            return parts[i].phase;
    return SMTP_PHASE_IDLE;
}

/* "connect to H[ip]:25: Connection refused": what stands after the last ": ". */
static struct slice last_part(struct slice reason)
{
    const uint8_t *colon = reason.ptr + reason.len;

    while ((colon = memrchr(reason.ptr, ':', (size_t)(colon - reason.ptr))) != NULL)
        if (colon + 2 < reason.ptr + reason.len && colon[1] == ' ')
            return slice_from(reason, (size_t)(colon - reason.ptr) + 2);
    return reason;
}

static struct slice own_text(struct scan *c, const struct postfix_delivery *d)
{
    if (TEXT_BEGINS(d->reason, SUSPENDED))
        return slice_sub(d->reason, 0, sizeof(SUSPENDED) - 1);
    if (slice_eq(d->relay, SLICE_LIT("none")))
        return d->reason.len > 0 ? last_part(d->reason) : d->reason;
    return d->reason.len > 0 ? without_host(c, d->reason) : d->reason;
}

/* ---- deliveries ---- */

struct attempt {
    struct postfix_delivery d;
    struct slice host, address;
    struct log_reply reply;
    enum log_issuer issuer;
    enum smtp_phase phase;
    int outcome;     /* enum log_outcome; -1: a probe, or what is not known */
    bool is_untried; /* an old answer told again */
    bool has_answer; /* of the other side: reply */
};

static int outcome_of(struct slice status)
{
    if (text_is(status, "sent"))
        return OUTCOME_DELIVERED;
    if (text_is(status, "deferred") || text_is(status, "SOFTBOUNCE"))
        return OUTCOME_DEFERRED;
    if (text_is(status, "bounced"))
        return OUTCOME_FAILED;
    return -1;
}

static void read_attempt(struct scan *c, struct attempt *a)
{
    struct postfix_said said;

    a->outcome = outcome_of(a->d.status);
    a->is_untried = TEXT_BEGINS(a->d.reason, SUSPENDED);
    if (take_host(a->d.relay, &a->host, &a->address) > 0 && a->address.len == 0)
        a->host = slice_make(NULL, 0); /* a socket of this host */
    if (postfix_said(a->d.reason, &said)) {
        a->phase = said.phase;
        a->has_answer = reply_form_joined(said.text, SLICE_LIT(" "), &c->s->arena, &a->reply);
        if (!a->has_answer)
            a->reply.text = said.text;
    } else if (a->outcome == OUTCOME_DELIVERED) {
        a->has_answer = reply_form_joined(a->d.reason, SLICE_LIT(" "), &c->s->arena, &a->reply);
        if (!a->has_answer)
            a->reply.text = a->d.reason;
        a->phase = SMTP_PHASE_END;
    } else {
        a->issuer = ISSUER_OWN_CLIENT;
        a->phase = own_phase(a->d.reason);
        a->reply.text = own_text(c, &a->d);
    }
}

static void fill(struct log_fact *f, const struct attempt *a)
{
    f->recipient = a->d.to;
    f->host = a->host;
    f->address = a->address;
    f->issuer = (uint8_t)a->issuer;
    f->phase = (uint8_t)a->phase;
    f->reply = a->reply;
}

/* A content filter takes a message on one port of this host and gives it back on another: "250 2.0.0 from
 * MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 8D257A009E". Empty: it does not say so. */
static struct slice next_key(struct scan *c, struct slice reason)
{
    const struct slice mark = SLICE_LIT("queued as ");
    struct slice id = {0};
    ptrdiff_t at;

    while ((at = slice_find_slice(reason, mark)) >= 0) {
        reason = slice_from(reason, (size_t)at + mark.len);
        id = reason;
    }
    for (size_t len = 0;; len++) {
        if (len < id.len && in_queue_id[id.ptr[len]])
            continue;
        if (len < QUEUE_ID_MIN || len > QUEUE_ID_MAX)
            return slice_make(NULL, 0);
        return key_of(c, slice_sub(id, 0, len));
    }
}

static void delivery(struct scan *c)
{
    struct attempt a = {.phase = SMTP_PHASE_IDLE};
    struct log_fact *f;

    if (!postfix_delivery(c->p.text, &a.d))
        return;
    read_attempt(c, &a);
    if (a.outcome != OUTCOME_DELIVERED || a.has_answer) {
        f = add_reply(c, &a.reply, a.issuer);
        if (f)
            fill(f, &a);
    }
    if (a.outcome < 0 || a.is_untried || !wants(c, WANT_LIVES))
        return;
    f = add(c, FACT_ATTEMPT);
    if (!f)
        return;
    fill(f, &a);
    f->outcome = (uint8_t)a.outcome;
    f->numbering = NUMBERING_RECIPIENT;
    f->counts = COUNTS_ALL;
    if (a.outcome == OUTCOME_DELIVERED && is_loopback(a.address))
        f->next = next_key(c, a.d.reason);
}

/* "host H[ip] said: ..." without a recipient: another host of the same attempt. */
static void other_host(struct scan *c)
{
    struct postfix_said said;
    struct log_reply reply;
    struct log_fact *f;

    if (!wants(c, WANT_REPLIES) || !postfix_said(c->p.text, &said) ||
        !reply_form_joined(said.text, SLICE_LIT(" "), &c->s->arena, &reply))
        return;
    f = add_reply(c, &reply, ISSUER_RECEIVER);
    if (!f)
        return;
    f->is_other_host = true;
    f->host = said.host;
    f->address = said.address;
    f->phase = (uint8_t)said.phase;
}

/* "lost connection with H[ip] while ...", "conversation with H[ip] timed out while ...": the same. */
static void other_connection(struct scan *c)
{
    struct log_reply reply = {0};
    struct log_fact *f;

    if (!wants(c, WANT_REPLIES))
        return;
    reply.text = without_host(c, c->p.text);
    f = add_reply(c, &reply, ISSUER_OWN_CLIENT);
    if (!f)
        return;
    f->is_other_host = true;
    f->phase = (uint8_t)own_phase(c->p.text);
}

/* ---- refusals of this host ---- */

/* The last `mark` in `s`; NULL: there is none. */
static const uint8_t *find_last(struct slice s, struct slice mark)
{
    const uint8_t *found = NULL;
    ptrdiff_t at;

    while ((at = slice_find_slice(s, mark)) >= 0) {
        found = s.ptr + at;
        s = slice_from(s, (size_t)at + 1);
    }
    return found;
}

/* Takes "; from=<a> to=<b> proto=..." off the end of `r->text`. A text may hold ';', an envelope may
 * lack each part. */
static void take_envelope(struct postfix_reject *r)
{
    static const char *const marks[] = {"; from=<", "; to=<", "; proto="};
    const uint8_t *at = NULL;
    struct slice rest, key, value;

    for (size_t i = 0; i < ARRAY_SIZE(marks) && !at; i++)
        at = find_last(r->text, slice_str(marks[i]));
    if (!at)
        return;
    rest = slice_from(r->text, (size_t)(at - r->text.ptr) + 2);
    r->text = slice_make(r->text.ptr, (size_t)(at - r->text.ptr));
    while (rest.len > 0 && (TEXT_BEGINS(rest, "from=<") || TEXT_BEGINS(rest, "to=<"))) {
        bool is_to = rest.ptr[0] == 't';

        take_pair(&rest, &key, &value);
        if (is_to)
            r->recipient = value;
        else
            r->sender = value;
        while (rest.len > 0 && rest.ptr[0] == ' ')
            rest = slice_from(rest, 1);
    }
}

/* "RCPT from H[ip]: TEXT; from=...", "RCPT from [ip]:port: TEXT", "header X: ... helo=<h>: TEXT". */
static bool read_reject(struct slice text, struct postfix_reject *ret)
{
    const uint8_t *blank = text.len > 0 ? memchr(text.ptr, ' ', text.len) : NULL, *end;
    struct slice stage, rest;
    size_t used;

    if (!blank)
        return false;
    *ret = (struct postfix_reject){.phase = SMTP_PHASE_END};
    stage = slice_make(text.ptr, (size_t)(blank - text.ptr));
    rest = slice_from(text, stage.len + 1);
    if (text_is(stage, "header") || text_is(stage, "body") || text_is(stage, "mime-header") ||
        text_is(stage, "nested-header")) {
        end = find_last(rest, SLICE_LIT(">: "));
        ret->text = end ? slice_from(rest, (size_t)(end - rest.ptr) + 3) : rest;
        return ret->text.len > 0;
    }
    ret->phase = phase_of(stage);
    if (TEXT_BEGINS(rest, "from ")) {
        rest = slice_from(rest, sizeof("from ") - 1);
        used = take_host(rest, &ret->host, &ret->address);
        if (used == 0)
            return false;
        rest = slice_from(rest, used);
    } else if (stage.ptr[stage.len - 1] == ':') {
        rest = slice_from(text, stage.len - 1);
    }
    end = rest.len > 0 ? memmem(rest.ptr, rest.len, ": ", 2) : NULL;
    if (!end || rest.ptr[0] != ':')
        return false;
    ret->text = slice_from(rest, (size_t)(end - rest.ptr) + 2);
    take_envelope(ret);
    return ret->text.len > 0;
}

/* A milter's or a content rule's refusal is logged without its code, which Postfix makes of the status
 * code (smtpd(8), cleanup(8)): 451 of 4.x.x, else 550. */
static struct log_reply reject_reply(struct scan *c, struct slice text)
{
    struct log_reply r = {0};
    size_t used = 0;

    if (reply_form_joined(text, SLICE_LIT(" "), &c->s->arena, &r))
        return r;
    if (smtp_enhanced_parse(text, &r.enhanced, &used))
        text = slice_from(text, used);
    r.code = r.enhanced.klass == 4 ? 451 : 550;
    r.text = text;
    return r;
}

bool postfix_reject(struct slice text, struct postfix_reject *ret)
{
    if (TEXT_BEGINS(text, "reject: "))
        return read_reject(slice_from(text, sizeof("reject: ") - 1), ret);
    if (TEXT_BEGINS(text, "milter-reject: ") || TEXT_BEGINS(text, "proxy-reject: "))
        return read_reject(slice_from(text, (size_t)slice_find(text, ' ') + 1), ret);
    return false;
}

static void refusal(struct scan *c)
{
    struct postfix_reject r;
    struct log_reply reply;
    struct log_fact *f;

    if (!wants(c, WANT_REPLIES) || !postfix_reject(c->p.text, &r))
        return;
    reply = reject_reply(c, r.text);
    f = add_reply(c, &reply, ISSUER_OWN_SERVER);
    if (!f)
        return;
    f->host = slice_eq(r.host, SLICE_LIT("unknown")) ? slice_make(NULL, 0) : r.host;
    f->address = r.address;
    f->sender = r.sender;
    f->recipient = r.recipient;
    f->phase = (uint8_t)r.phase;
}

/* ---- lines ---- */

bool postfix_facts(struct log_scan *s, const uint8_t *line, const struct syslog_line *head)
{
    struct scan c;

    if (!postfix_line(head->tag, head->text, &c.p))
        return false;
    if (c.p.queue_id.len == 0 || c.p.text.len == 0)
        return true;
    c.s = s;
    c.line = line;
    c.head = head;
    c.message = slice_make(NULL, 0);
    switch (c.p.text.ptr[0]) {
    case 't':
        if (TEXT_BEGINS(c.p.text, "to=<"))
            delivery(&c);
        break;
    case 'c':
        if (TEXT_BEGINS(c.p.text, "client="))
            arrival(&c);
        else if (TEXT_BEGINS(c.p.text, "conversation with "))
            other_connection(&c);
        break;
    case 'u':
        if (TEXT_BEGINS(c.p.text, "uid="))
            arrival(&c);
        break;
    case 'f':
        if (TEXT_BEGINS(c.p.text, "from=<"))
            from_line(&c);
        break;
    case 'h':
        other_host(&c);
        break;
    case 'l':
        if (TEXT_BEGINS(c.p.text, "lost connection with "))
            other_connection(&c);
        break;
    case 'm':
    case 'p':
        refusal(&c);
        break;
    case 'r':
        if (slice_eq(c.p.text, SLICE_LIT("removed")) && wants(&c, WANT_LIVES))
            ignore_result(add(&c, FACT_END) != NULL);
        else
            refusal(&c);
        break;
    default:
        break;
    }
    return true;
}

static void scan(struct log_scan *s)
{
    struct syslog_reader reader = {.carry = s->carry};
    struct syslog_line head;
    struct slice line;
    size_t at = 0;

    while (s->error == 0 && log_scan_line(s, &at, &line)) {
        enum syslog_result r = syslog_line(&reader, line, &head);

        if (r != SYSLOG_OK)
            syslog_line_skip(s, r, line.ptr);
        else if (!postfix_facts(s, line.ptr, &head))
            log_scan_skip(s, SKIP_FORM, line.ptr);
        else
            s->tally.rows++;
    }
    s->carry_end = reader.carry;
}

static unsigned detect(struct slice head)
{
    struct syslog_reader reader = {.carry = {.year = 2024}};
    unsigned found = 0, named = 0;

    for (unsigned i = 0; i < DETECT_LINES && head.len > 0; i++) {
        struct syslog_line l;
        struct postfix_line p;

        if (syslog_line(&reader, text_take_line(&head), &l) == SYSLOG_OK &&
            postfix_line(l.tag, l.text, &p)) {
            found += p.queue_id.len > 0;
            named += slice_has_prefix(l.tag, SLICE_LIT("postfix"));
        }
    }
    return named > 0 ? 80 : found > 0 ? 30 : 0;
}

const struct log_format postfix_format = {.name = "postfix",
                                          .title = "Postfix, by the system log",
                                          .detect = detect,
                                          .scan = scan,
                                          .columns = LOG_COLUMN_LIST(POSTFIX_COLUMNS),
                                          .split = postfix_split,
                                          .reply_column = POSTFIX_REPLY_COLUMN};
