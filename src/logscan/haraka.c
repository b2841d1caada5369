/*
 * logscan/haraka.c - Haraka's log. What comes in is told by the core, for each recipient; what goes out
 * by a transaction of its own, UUID.N, in lines that name a recipient or are about all the rest:
 *
 *     recipient <a> code=OK       FACT_RECIPIENT         recipient <a> deferred: R  FACT_ATTEMPT of it
 *     queue code=OK               FACT_ARRIVAL,          delivered file=            FACT_ATTEMPT of the rest
 *                                 FACT_BEGIN             Temp failing F: R          the same, FACT_BEGIN
 *     ... code=DENY               FACT_REPLY             bouncing mail: R           the same, FACT_EXPIRY
 *
 * A line that tells of a delay ends an attempt, and so begins the next: the lines of one attempt bear
 * the times of their replies, seconds apart.
 */
#include "logscan/haraka.h"

#include <string.h>

#include "logscan/formats.h"
#include "logscan/reply_form.h"
#include "logscan/stamp.h"
#include "logscan/text.h"

#define DETECT_LINES 200
#define LEVEL_MAX 16

/* "[word] ": the word. */
static bool take_bracketed(struct slice *text, struct slice *ret)
{
    const uint8_t *end;

    if (text->len < 3 || text->ptr[0] != '[')
        return false;
    end = memchr(text->ptr, ']', text->len);
    if (!end || end + 1 >= text->ptr + text->len || end[1] != ' ')
        return false;
    *ret = slice_make(text->ptr + 1, (size_t)(end - text->ptr) - 1);
    *text = slice_from(*text, ret->len + 3);
    return true;
}

enum syslog_result haraka_line(struct syslog_reader *r, struct slice line, struct haraka_line *ret)
{
    size_t len = stamp_iso(line, &ret->at_ms);
    struct syslog_line head;
    struct slice text;

    if (len > 0 && len + 1 < line.len && line.ptr[len + 1] == '[') {
        ret->has_seconds = stamp_iso_is_whole(line.ptr);
        text = slice_from(line, len + 1);
    } else {
        enum syslog_result result = syslog_line(r, line, &head);

        if (result != SYSLOG_OK)
            return result;
        if (!TEXT_BEGINS(head.tag, "haraka"))
            return SYSLOG_FORM;
        ret->has_seconds = head.has_seconds;
        ret->at_ms = head.at_ms;
        text = head.text;
    }
    if (!take_bracketed(&text, &ret->level) || ret->level.len > LEVEL_MAX ||
        !take_bracketed(&text, &ret->uuid) || !take_bracketed(&text, &ret->origin))
        return SYSLOG_FORM;
    ret->text = text;
    return SYSLOG_OK;
}

struct slice haraka_value(struct slice text, const char *key, struct arena *a)
{
    size_t key_len = strlen(key), at = 0, begin, end;

    while (at < text.len) {
        bool is_it = text.len - at > key_len && memcmp(text.ptr + at, key, key_len) == 0 &&
                     text.ptr[at + key_len] == '=';
        const uint8_t *equals = memchr(text.ptr + at, '=', text.len - at);

        if (!equals)
            break;
        begin = end = (size_t)(equals - text.ptr) + 1;
        if (begin < text.len && text.ptr[begin] == '"') {
            for (end = ++begin; end < text.len && text.ptr[end] != '"'; end++)
                end += text.ptr[end] == '\\';
            if (is_it) {
                text = slice_sub(text, begin, end - begin);
                ignore_result(arena_unescape(a, &text));
                return text;
            }
        } else {
            while (end < text.len && text.ptr[end] != ' ')
                end++;
            if (is_it)
                return slice_sub(text, begin, end - begin);
        }
        for (at = end; at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '"');)
            at++;
    }
    return slice_make(NULL, 0);
}

bool haraka_failure(struct slice text, struct slice *ret_why, bool *ret_is_final)
{
    size_t colon;

    *ret_is_final = TEXT_BEGINS(text, "bouncing mail: ");
    if (!*ret_is_final && !TEXT_BEGINS(text, "Temp failing "))
        return false;
    colon = text_find(text, ": ");
    *ret_why = slice_from(text, colon + 2);
    return ret_why->len > 0;
}

bool haraka_refusal(struct slice text, struct slice *ret_recipient, struct slice *ret_reply,
                    bool *ret_is_final)
{
    struct slice rest = slice_from(text, sizeof("recipient ") - 1);
    size_t used = TEXT_BEGINS(text, "recipient <") ? text_path(rest, ret_recipient) : 0;

    rest = slice_from(rest, used);
    *ret_is_final = TEXT_BEGINS(rest, " rejected: ");
    if (used == 0 || (!*ret_is_final && !TEXT_BEGINS(rest, " deferred: ")))
        return false;
    *ret_reply = slice_from(rest, sizeof(" rejected: ") - 1);
    return true;
}

/* ---- facts ---- */

struct scan { /* of one line */
    struct log_scan *s;
    const uint8_t *line;
    struct haraka_line l;
    struct slice message;
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
    f->message = c->message;
    f->phase = SMTP_PHASE_IDLE;
    return f;
}

/* What the other side said, or where it did not, what this host made of it. */
struct said {
    struct log_reply reply;
    enum log_issuer issuer;
};

static struct said read_said(struct slice text)
{
    struct said s = {.issuer = ISSUER_RECEIVER};

    if (!reply_form_line(text, &s.reply)) {
        s.issuer = ISSUER_OWN_CLIENT;
        s.reply = (struct log_reply){.text = text};
    }
    return s;
}

static void add_reply(struct scan *c, const struct said *said, struct slice recipient)
{
    struct log_fact *f = wants(c, WANT_REPLIES) ? add(c, FACT_REPLY) : NULL;

    if (!f)
        return;
    f->reply = said->reply;
    f->issuer = (uint8_t)said->issuer;
    f->recipient = recipient;
    if (recipient.len > 0 && said->issuer != ISSUER_OWN_CLIENT)
        f->phase = SMTP_PHASE_RCPT;
}

static struct log_fact *add_attempt(struct scan *c, const struct said *said,
                                    enum log_outcome outcome, struct slice recipient)
{
    struct log_fact *f = wants(c, WANT_LIVES) ? add(c, FACT_ATTEMPT) : NULL;

    if (!f)
        return NULL;
    f->reply = said->reply;
    f->issuer = (uint8_t)said->issuer;
    f->outcome = (uint8_t)outcome;
    f->recipient = recipient;
    f->numbering = NUMBERING_BEGIN;
    f->counts = COUNTS_ALL;
    return f;
}

static void begin(struct scan *c)
{
    if (wants(c, WANT_LIVES))
        ignore_result(add(c, FACT_BEGIN) != NULL);
}

/* "recipient <a> code=DENY msg="550 no"": a code that is not in the text is the one Haraka then says. */
static void denied(struct scan *c, struct slice code, struct slice address)
{
    struct said said = {.issuer = ISSUER_OWN_SERVER};
    struct slice message = haraka_value(c->l.text, "msg", &c->s->arena);

    if (!reply_form_line(message, &said.reply))
        said.reply =
            (struct log_reply){.code = TEXT_BEGINS(code, "DENYSOFT") ? 450 : 550, .text = message};
    add_reply(c, &said, address);
}

static void core(struct scan *c)
{
    struct slice rest = c->l.text, address = slice_make(NULL, 0), code;
    bool is_recipient = TEXT_BEGINS(rest, "recipient <"), is_queue = TEXT_BEGINS(rest, "queue ");
    struct log_fact *f;
    size_t at;

    if (!is_recipient && !is_queue && !TEXT_BEGINS(rest, "sender <"))
        return;
    rest = slice_from(rest, (size_t)slice_find(rest, ' ') + 1);
    if (!is_queue)
        rest = slice_from(rest, text_path(rest, &address));
    at = text_find(rest, "code=");
    code = slice_from(rest, at + sizeof("code=") - 1);
    code = slice_sub(code, 0, text_find(code, " "));
    if (TEXT_BEGINS(code, "DENY")) {
        denied(c, code, is_recipient ? address : slice_make(NULL, 0));
        return;
    }
    if (!wants(c, WANT_LIVES) || !text_is(code, "OK") || !(is_recipient || is_queue))
        return;
    f = add(c, is_queue ? FACT_ARRIVAL : FACT_RECIPIENT);
    if (!f)
        return;
    if (is_queue)
        begin(c);
    else
        f->recipient = address;
}

static void delivered(struct scan *c)
{
    const struct said said = {.reply = {.text = haraka_value(c->l.text, "response", &c->s->arena)}};
    struct log_fact *f = add_attempt(c, &said, OUTCOME_DELIVERED, slice_make(NULL, 0));

    if (!f)
        return;
    f->host = haraka_value(c->l.text, "host", &c->s->arena);
    f->address = haraka_value(c->l.text, "ip", &c->s->arena);
    f->phase = SMTP_PHASE_END;
}

/* Of the recipients that no line has named: those it has are in "Some recipients ...". */
static void failed(struct scan *c, struct slice why, bool is_final)
{
    struct said said;

    if (TEXT_BEGINS(why, "Too many failures")) {
        if (wants(c, WANT_LIVES))
            ignore_result(add(c, FACT_EXPIRY) != NULL);
        return;
    }
    if (!TEXT_BEGINS(why, "Some recipients ")) {
        if (TEXT_BEGINS(why, "Upstream error: "))
            why = slice_from(why, sizeof("Upstream error: ") - 1);
        said = read_said(why);
        add_reply(c, &said, slice_make(NULL, 0));
        ignore_result(add_attempt(c, &said, is_final ? OUTCOME_FAILED : OUTCOME_DEFERRED,
                                  slice_make(NULL, 0)) != NULL);
    }
    if (!is_final)
        begin(c);
}

static void outbound(struct scan *c)
{
    ptrdiff_t dot = slice_rfind(c->l.uuid, '.');
    struct slice recipient, text;
    struct said said;
    bool is_final;

    c->message = dot > 0 ? slice_sub(c->l.uuid, 0, (size_t)dot) : c->l.uuid;
    if (TEXT_BEGINS(c->l.text, " delivered file=") || TEXT_BEGINS(c->l.text, "delivered file=")) {
        delivered(c);
    } else if (haraka_refusal(c->l.text, &recipient, &text, &is_final)) {
        said = read_said(text);
        add_reply(c, &said, recipient);
        ignore_result(
            add_attempt(c, &said, is_final ? OUTCOME_FAILED : OUTCOME_DEFERRED, recipient) != NULL);
    } else if (haraka_failure(c->l.text, &text, &is_final)) {
        failed(c, text, is_final);
    }
}

static void scan(struct log_scan *s)
{
    struct syslog_reader reader = {.carry = s->carry};
    struct scan c = {.s = s};
    struct slice line;
    size_t at = 0;

    while (s->error == 0 && log_scan_line(s, &at, &line)) {
        enum syslog_result r = haraka_line(&reader, line, &c.l);

        if (r != SYSLOG_OK) {
            syslog_line_skip(s, r, line.ptr);
            continue;
        }
        s->tally.rows++;
        c.line = line.ptr;
        c.message = c.l.uuid;
        if (text_is(c.l.origin, "core"))
            core(&c);
        else if (text_is(c.l.origin, "outbound"))
            outbound(&c);
    }
    s->carry_end = reader.carry;
}

/* With time stamps switched off there is no time; it is Haraka's nevertheless. */
static bool is_haraka(struct slice line)
{
    struct syslog_reader reader = {.carry = {.year = 2024}};
    struct haraka_line l;
    struct slice text = line;

    if (haraka_line(&reader, line, &l) != SYSLOG_OK)
        return TEXT_BEGINS(line, "[") && take_bracketed(&text, &l.level) &&
               take_bracketed(&text, &l.uuid) && take_bracketed(&text, &l.origin) &&
               (text_is(l.origin, "core") || text_is(l.origin, "outbound"));
    return true;
}

static unsigned detect(struct slice head)
{
    for (unsigned i = 0; i < DETECT_LINES && head.len > 0; i++)
        if (is_haraka(text_take_line(&head)))
            return 60;
    return 0;
}

const struct log_format haraka_format = {.name = "haraka",
                                         .title = "Haraka",
                                         .detect = detect,
                                         .scan = scan,
                                         .columns = LOG_COLUMN_LIST(HARAKA_COLUMNS),
                                         .split = haraka_split,
                                         .reply_column = HARAKA_REPLY_COLUMN};
