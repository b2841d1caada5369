/*
 * smtp/server.c - commands are cut into lines by take_line(), bodies into runs by take_body() and
 * take_chunk(). A decision of the owner is applied by apply(), whether the handler's call gave it
 * or smtp_server_answer() did later, so that both ways are one.
 *
 * What is answered when the input is ambiguous: a command line with a bare LF is refused at that
 * LF, and nothing up to the next CRLF is taken for a command. A body with one is read up to its
 * strict end and refused there. So whatever another host believes to have sent inside, we do not
 * act on it.
 */
#include "smtp/server.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

enum { NEW = 0, COMMAND, BODY, CHUNK, TLS, CLOSED };
enum { SKIP_NOTHING = 0, SKIP_LONG, SKIP_BARE };
enum { NOTHING = 0, HELLO, MAIL, RCPT, DATA, END }; /* what is decided */

void smtp_server_init(struct smtp_server *s, const struct smtp_server_config *config,
                      const struct smtp_server_handler *handler, void *ctx, struct buf *out)
{
    ASSERT(config->command_max >= 512);
    *s = (struct smtp_server){.config = config,
                              .handler = handler,
                              .ctx = ctx,
                              .out = out,
                              .line = BUF_INIT(config->command_max),
                              .state = NEW};
}

size_t smtp_server_relieve(struct smtp_server *s)
{
    return buf_relieve(&s->line);
}

void smtp_server_done(struct smtp_server *s)
{
    buf_done(&s->line);
}

/* ---- replies and ends ---- */

static void reset(struct smtp_server *s, enum smtp_reset reason)
{
    if (s->in_transaction) {
        s->in_transaction = false;
        s->handler->on_reset(s->ctx, reason);
    }
    s->recipients = 0;
    s->uses_bdat = false;
    s->smtputf8 = false;
    s->mail_was_refused = false;
}

static void end_session(struct smtp_server *s)
{
    reset(s, SMTP_RESET_CLOSED);
    s->state = CLOSED;
    s->waiting = NOTHING;
    s->is_paused = false;
    buf_done(&s->line);
}

/* Tells of the reply that begins there in `out`. */
static void tell_reply(struct smtp_server *s, size_t from)
{
    if (s->handler->on_reply)
        s->handler->on_reply(s->ctx, slice_from(buf_slice(s->out), from));
}

static void say(struct smtp_server *s, unsigned code, struct smtp_enhanced enhanced,
                struct slice text)
{
    size_t from = buf_len(s->out);
    int r;

    if (!(s->config->extensions & SMTP_EXT_ENHANCEDSTATUSCODES))
        enhanced = SMTP_NO_ENHANCED;
    r = smtp_reply_compose(s->out, code, enhanced, text);
    if (r == 0)
        tell_reply(s, from);
    if (r < 0 || code == 421)
        end_session(s);
}

static void say_closing(struct smtp_server *s, const char *text)
{
    say(s, 421, SMTP_ENHANCED(4, 7, 0), slice_str(text));
}

/* Counted, so that a peer that speaks something else, or guesses addresses, is not served for
 * ever. True: it was one too many, and the session is closed. */
static bool count_error(struct smtp_server *s)
{
    const char *end = s->handler->on_error ? s->handler->on_error(s->ctx) : NULL;

    s->errors++;
    if (!end && s->config->errors_max && s->errors > s->config->errors_max)
        end = "Too many errors";
    if (end)
        say_closing(s, end);
    return end != NULL;
}

/* A broken command. */
static void complain(struct smtp_server *s, unsigned code, struct smtp_enhanced enhanced,
                     const char *text)
{
    if (!count_error(s))
        say(s, code, enhanced, slice_str(text));
}

static void out_of_order(struct smtp_server *s, const char *text)
{
    complain(s, 503, SMTP_ENHANCED(5, 5, 1), text);
}

/* Says a decision, with the usual words where it brings none. */
static void say_decision(struct smtp_server *s, const struct smtp_decision *d, unsigned code,
                         struct smtp_enhanced enhanced, struct slice text)
{
    if (d->code / 100 != 2) {
        say(s, d->code, d->enhanced, d->text);
    } else {
        say(s, code, d->enhanced.klass ? d->enhanced : enhanced, d->text.len ? d->text : text);
    }
    if (d->close)
        end_session(s);
}

/* ---- hello ---- */

static bool offers(const struct smtp_server *s, unsigned extension)
{
    return (s->config->extensions & extension) != 0;
}

static void say_limits(struct smtp_server *s)
{
    const struct smtp_server_config *config = s->config;

    if (!offers(s, SMTP_EXT_LIMITS) || (!config->recipients_max && !config->messages_max))
        return;
    (void)buf_add_str(s->out, "250-LIMITS");
    if (config->messages_max)
        (void)buf_addf(s->out, " MAILMAX=%u", config->messages_max);
    if (config->recipients_max)
        (void)buf_addf(s->out, " RCPTMAX=%u", config->recipients_max);
    (void)buf_add_str(s->out, "\r\n");
}

static void say_extensions(struct smtp_server *s, struct slice text)
{
    static const struct {
        unsigned extension;
        const char *line;
    } plain[] = {{SMTP_EXT_PIPELINING, "250-PIPELINING\r\n"},
                 {SMTP_EXT_8BITMIME, "250-8BITMIME\r\n"},
                 {SMTP_EXT_ENHANCEDSTATUSCODES, "250-ENHANCEDSTATUSCODES\r\n"},
                 {SMTP_EXT_CHUNKING, "250-CHUNKING\r\n"},
                 {SMTP_EXT_SMTPUTF8, "250-SMTPUTF8\r\n"},
                 {SMTP_EXT_DSN, "250-DSN\r\n"}};
    size_t from = buf_len(s->out);

    (void)buf_addf(s->out, "250-%.*s%s%.*s\r\n", SLICE_FMT(s->config->hostname),
                   text.len ? " " : "", SLICE_FMT(text));
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
        if (offers(s, plain[i].extension))
            (void)buf_add_str(s->out, plain[i].line);
    if (offers(s, SMTP_EXT_SIZE) && s->config->size_max)
        (void)buf_addf(s->out, "250-SIZE %llu\r\n", (unsigned long long)s->config->size_max);
    else if (offers(s, SMTP_EXT_SIZE))
        (void)buf_add_str(s->out, "250-SIZE\r\n");
    say_limits(s);
    if (offers(s, SMTP_EXT_STARTTLS) && !s->is_tls)
        (void)buf_add_str(s->out, "250-STARTTLS\r\n");
    if (buf_add_str(s->out, "250 HELP\r\n") < 0 || buf_failed(s->out))
        end_session(s);
    else
        tell_reply(s, from);
}

static void apply_hello(struct smtp_server *s, const struct smtp_decision *d)
{
    s->has_hello = d->code / 100 == 2;
    if (s->has_hello && s->is_esmtp && !d->close)
        say_extensions(s, d->text);
    else
        say_decision(s, d, 250, SMTP_NO_ENHANCED, s->config->hostname);
}

/* ---- decisions ---- */

static void begin_body(struct smtp_server *s)
{
    s->refuses_body = false;
    smtp_dot_decoder_init(&s->dot, !s->uses_bdat, s->config->text_line_max);
}

static void apply_data(struct smtp_server *s, const struct smtp_decision *d)
{
    bool is_bdat = s->uses_bdat;

    if (d->code / 100 == 2) {
        begin_body(s);
        s->state = is_bdat ? CHUNK : BODY;
        if (!is_bdat)
            say(s, 354, SMTP_NO_ENHANCED, SLICE_LIT("End data with <CRLF>.<CRLF>"));
        return;
    }
    reset(s, SMTP_RESET_REFUSED);
    if (is_bdat) { /* the chunk is on its way all the same */
        s->refuses_body = true;
        s->state = CHUNK;
    }
    say_decision(s, d, d->code, d->enhanced, d->text);
}

/* LMTP has a reply for each recipient (RFC 2033, section 4.2). */
static void apply_end(struct smtp_server *s, const struct smtp_decision *d)
{
    uint32_t count = s->config->lmtp ? s->recipients : 1;
    struct smtp_decision each = *d;

    if (d->code / 100 == 2) {
        s->messages++;
        s->errors = s->idle_commands = 0;
    }
    s->recipients = 0;
    s->state = COMMAND;
    for (uint32_t i = 0; i < count && s->state != CLOSED; i++) {
        each.close = d->close && i + 1 == count;
        say_decision(s, &each, 250, SMTP_ENHANCED(2, 0, 0), SLICE_LIT("Ok"));
    }
}

static void apply(struct smtp_server *s, unsigned what, struct smtp_decision d)
{
    bool yes = d.code / 100 == 2;

    ASSERT(d.code == 0 || yes || d.code / 100 == 4 || d.code / 100 == 5);
    if (d.code == 0) {
        s->waiting = (uint8_t)what;
        return;
    }
    s->waiting = NOTHING;
    switch (what) {
    case HELLO:
        apply_hello(s, &d);
        return;
    case MAIL:
        s->in_transaction = yes;
        s->mail_was_refused = !yes;
        say_decision(s, &d, 250, SMTP_ENHANCED(2, 1, 0), SLICE_LIT("Ok"));
        return;
    case RCPT:
        s->recipients += yes;
        if (d.code / 100 == 5 && count_error(s))
            return;
        say_decision(s, &d, 250, SMTP_ENHANCED(2, 1, 5), SLICE_LIT("Ok"));
        return;
    case DATA:
        apply_data(s, &d);
        return;
    default:
        apply_end(s, &d);
        return;
    }
}

/* ---- commands ---- */

static void do_hello(struct smtp_server *s, const struct smtp_command *cmd)
{
    bool is_lhlo = cmd->verb == SMTP_VERB_LHLO;

    if (is_lhlo != s->config->lmtp) {
        complain(s, 500, SMTP_ENHANCED(5, 5, 1),
                 is_lhlo ? "This is SMTP: say EHLO" : "This is LMTP: say LHLO");
        return;
    }
    if (!s->config->lax_hello &&
        !smtp_domain_is_valid(cmd->argument, offers(s, SMTP_EXT_SMTPUTF8))) {
        complain(s, 501, SMTP_ENHANCED(5, 5, 4), "The host name is not valid");
        return;
    }
    reset(s, SMTP_RESET_COMMAND);
    s->has_hello = false;
    s->is_esmtp = cmd->verb != SMTP_VERB_HELO;
    apply(s, HELLO, s->handler->on_hello(s->ctx, cmd->verb, cmd->argument));
}

static void do_mail(struct smtp_server *s, const struct smtp_command *cmd)
{
    const struct smtp_mail *mail = &cmd->u.mail;

    if (!s->has_hello) {
        out_of_order(s, s->config->lmtp ? "Say LHLO first" : "Say HELO or EHLO first");
    } else if (s->in_transaction) {
        out_of_order(s, "A transaction is open already");
    } else if (s->config->needs_tls && !s->is_tls) {
        complain(s, 530, SMTP_ENHANCED(5, 7, 0), "Say STARTTLS first");
    } else if (s->config->messages_max && s->messages >= s->config->messages_max) {
        say_closing(s, "Too many messages in this session");
    } else if (s->config->size_max && mail->size > s->config->size_max) {
        s->recipients = 0;
        s->mail_was_refused = true;
        say(s, 552, SMTP_ENHANCED(5, 3, 4), SLICE_LIT("The message is larger than the limit"));
    } else {
        s->in_transaction = true;
        s->recipients = 0;
        s->uses_bdat = false;
        s->smtputf8 = mail->smtputf8;
        apply(s, MAIL, s->handler->on_mail(s->ctx, mail));
    }
}

/* The rest of a pipeline whose MAIL was refused, or a peer that never said MAIL. A pipeline has no
 * more recipients than a message. */
static void say_mail_first(struct smtp_server *s)
{
    uint32_t recipients_max = s->config->recipients_max;

    if (s->mail_was_refused && (!recipients_max || s->recipients <= recipients_max)) {
        s->recipients++;
        say(s, 503, SMTP_ENHANCED(5, 5, 1), SLICE_LIT("MAIL was refused"));
    } else {
        out_of_order(s, "Say MAIL first");
    }
}

static void do_rcpt(struct smtp_server *s, const struct smtp_command *cmd)
{
    const struct smtp_rcpt *rcpt = &cmd->u.rcpt;

    if (!s->in_transaction)
        say_mail_first(s);
    else if (s->uses_bdat)
        out_of_order(s, "The body has begun");
    else if (rcpt->recipient.is_utf8 && !s->smtputf8)
        complain(s, 553, SMTP_ENHANCED(5, 6, 7), "The address needs SMTPUTF8 in MAIL");
    else if (s->config->recipients_max && s->recipients >= s->config->recipients_max)
        say(s, 452, SMTP_ENHANCED(4, 5, 3), SLICE_LIT("Too many recipients"));
    else
        apply(s, RCPT, s->handler->on_rcpt(s->ctx, rcpt));
}

static void do_data(struct smtp_server *s)
{
    if (!s->in_transaction)
        say_mail_first(s);
    else if (s->uses_bdat)
        out_of_order(s, "The body has begun with BDAT");
    else if (s->recipients == 0) /* usual in a pipeline: not counted as an error */
        say(s, s->config->lmtp ? 503 : 554, SMTP_ENHANCED(5, 5, 1),
            SLICE_LIT("No valid recipients"));
    else
        apply(s, DATA, s->handler->on_data_begin(s->ctx));
}

/* The chunk is skipped; its reply is given before it, as good as after. */
static void refuse_chunk(struct smtp_server *s, unsigned code, struct smtp_enhanced enhanced,
                         struct slice text)
{
    reset(s, SMTP_RESET_REFUSED);
    s->refuses_body = true;
    s->state = CHUNK;
    say(s, code, enhanced, text);
}

static void do_bdat(struct smtp_server *s, const struct smtp_command *cmd)
{
    uint64_t size = cmd->u.bdat.size, had = s->uses_bdat ? s->dot.facts.bytes : 0;

    s->chunk_left = size;
    s->chunk_is_last = cmd->u.bdat.is_last;
    if (!s->in_transaction) {
        refuse_chunk(s, 503, SMTP_ENHANCED(5, 5, 1), SLICE_LIT("Say MAIL first"));
    } else if (s->recipients == 0) {
        refuse_chunk(s, 554, SMTP_ENHANCED(5, 5, 1), SLICE_LIT("No valid recipients"));
    } else if (s->config->size_max &&
               (size > s->config->size_max - MIN_OF(had, s->config->size_max))) {
        refuse_chunk(s, 552, SMTP_ENHANCED(5, 3, 4),
                     SLICE_LIT("The message is larger than the limit"));
    } else if (s->uses_bdat) {
        s->state = CHUNK;
    } else {
        s->uses_bdat = true;
        apply(s, DATA, s->handler->on_data_begin(s->ctx));
    }
}

/* `has_more`: bytes came behind the command, in plain text. Whoever put them there wants them
 * read as if they had come under TLS (CVE-2011-0411). */
static void do_starttls(struct smtp_server *s, bool has_more)
{
    struct smtp_decision d;

    if (s->is_tls) {
        out_of_order(s, "TLS is on already");
        return;
    }
    if (has_more) {
        say(s, 554, SMTP_ENHANCED(5, 5, 1),
            SLICE_LIT("Commands came behind STARTTLS in plain text"));
        end_session(s);
        return;
    }
    reset(s, SMTP_RESET_COMMAND);
    d = s->handler->on_starttls(s->ctx);
    ASSERT(d.code != 0);
    if (d.code / 100 == 2)
        s->state = TLS;
    say_decision(s, &d, 220, SMTP_ENHANCED(2, 0, 0), SLICE_LIT("Ready to start TLS"));
}

static void do_quit(struct smtp_server *s)
{
    say(s, 221, SMTP_ENHANCED(2, 0, 0), SLICE_LIT("Bye"));
    reset(s, SMTP_RESET_CLOSED);
    if (s->handler->on_quit)
        s->handler->on_quit(s->ctx);
    end_session(s);
}

static void do_idle(struct smtp_server *s, const struct smtp_command *cmd)
{
    if (cmd->verb == SMTP_VERB_RSET) {
        reset(s, SMTP_RESET_COMMAND);
        say(s, 250, SMTP_ENHANCED(2, 0, 0), SLICE_LIT("Ok"));
    } else if (cmd->verb == SMTP_VERB_NOOP) {
        say(s, 250, SMTP_ENHANCED(2, 0, 0), SLICE_LIT("Ok"));
    } else if (cmd->verb == SMTP_VERB_VRFY) {
        say(s, 252, SMTP_ENHANCED(2, 0, 0),
            SLICE_LIT("Cannot verify; send mail and it will be tried"));
    } else if (cmd->verb == SMTP_VERB_EXPN) {
        say(s, 502, SMTP_ENHANCED(5, 5, 1), SLICE_LIT("Lists are not expanded here"));
    } else {
        say(s, 214, SMTP_ENHANCED(2, 0, 0),
            SLICE_LIT("Commands: EHLO HELO STARTTLS MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\n"
                      "They are described in RFC 5321"));
    }
}

static void do_command(struct smtp_server *s, const struct smtp_command *cmd, bool has_more)
{
    switch (cmd->verb) {
    case SMTP_VERB_MAIL:
        do_mail(s, cmd);
        return;
    case SMTP_VERB_RCPT:
        do_rcpt(s, cmd);
        return;
    case SMTP_VERB_DATA:
        do_data(s);
        return;
    case SMTP_VERB_BDAT:
        do_bdat(s, cmd);
        return;
    case SMTP_VERB_STARTTLS:
        do_starttls(s, has_more);
        return;
    case SMTP_VERB_QUIT:
        do_quit(s);
        return;
    case SMTP_VERB_HELO:
    case SMTP_VERB_EHLO:
    case SMTP_VERB_LHLO:
    case SMTP_VERB_RSET:
    case SMTP_VERB_NOOP:
    case SMTP_VERB_VRFY:
    case SMTP_VERB_EXPN:
    case SMTP_VERB_HELP:
    case SMTP_VERB_COUNT:
        break;
    }
    s->idle_commands++;
    if (s->config->idle_max && s->idle_commands > s->config->idle_max)
        say_closing(s, "Too many commands without mail");
    else if (cmd->verb <= SMTP_VERB_LHLO)
        do_hello(s, cmd);
    else
        do_idle(s, cmd);
}

static void do_line(struct smtp_server *s, struct slice line, bool has_more)
{
    struct smtp_command cmd;
    struct smtp_fault fault;

    if (s->handler->on_line)
        s->handler->on_line(s->ctx, line);
    if (line.len && memchr(line.ptr, '\0', line.len)) {
        complain(s, 500, SMTP_ENHANCED(5, 5, 2), "The command has a NUL");
    } else if (line.len && memchr(line.ptr, '\r', line.len)) {
        complain(s, 500, SMTP_ENHANCED(5, 5, 2), "The command has a bare CR: lines end in CRLF");
    } else if (smtp_command_parse(line, s->config->extensions, &cmd, &fault) == 0) {
        do_command(s, &cmd, has_more);
    } else {
        complain(s, fault.code, fault.enhanced, fault.text);
        /* A chunk may follow, and we cannot tell how long it is: nothing more can be trusted. */
        if (cmd.verb == SMTP_VERB_BDAT)
            end_session(s);
    }
}

/* ---- lines ---- */

static void line_too_long(struct smtp_server *s, bool is_over)
{
    s->skip = is_over ? SKIP_NOTHING : SKIP_LONG;
    buf_clear(&s->line);
    complain(s, 500, SMTP_ENHANCED(5, 5, 6), "The command line is too long");
}

static void line_is_bare(struct smtp_server *s)
{
    s->skip = SKIP_BARE;
    buf_clear(&s->line);
    complain(s, 500, SMTP_ENHANCED(5, 5, 2), "The command has a bare LF: lines end in CRLF");
}

/* No LF in sight: keep the part, or skip it. */
static void take_part(struct smtp_server *s, struct slice part)
{
    if (s->skip != SKIP_NOTHING) {
        s->saw_cr = part.ptr[part.len - 1] == '\r';
    } else if (buf_len(&s->line) + part.len >= s->config->command_max) {
        line_too_long(s, false);
        s->saw_cr = part.ptr[part.len - 1] == '\r';
    } else if (buf_add(&s->line, part) < 0) {
        end_session(s); /* no memory even for this */
    }
}

/* `raw` ends with the LF; what came of the line before is in s->line. */
static void take_whole_line(struct smtp_server *s, struct slice raw, bool has_more)
{
    struct slice had = buf_slice(&s->line);
    bool is_crlf;

    if (raw.len > 1)
        is_crlf = raw.ptr[raw.len - 2] == '\r';
    else if (s->skip != SKIP_NOTHING)
        is_crlf = s->saw_cr;
    else
        is_crlf = had.len && had.ptr[had.len - 1] == '\r';
    s->saw_cr = false;

    if (s->skip != SKIP_NOTHING) {
        if (is_crlf)
            s->skip = SKIP_NOTHING;
        else if (s->skip == SKIP_BARE)
            line_is_bare(s);
        return;
    }
    if (had.len + raw.len > s->config->command_max) {
        line_too_long(s, is_crlf);
        return;
    }
    if (!is_crlf) {
        line_is_bare(s);
        return;
    }
    if (had.len) {
        if (buf_add(&s->line, raw) < 0) {
            end_session(s);
            return;
        }
        raw = buf_slice(&s->line);
    }
    do_line(s, slice_sub(raw, 0, raw.len - 2), has_more);
    buf_clear(&s->line);
}

static size_t take_line(struct smtp_server *s, struct slice in)
{
    ptrdiff_t lf = slice_find(in, '\n');

    if (lf < 0) {
        take_part(s, in);
        return in.len;
    }
    take_whole_line(s, slice_sub(in, 0, (size_t)lf + 1), in.len > (size_t)lf + 1);
    return (size_t)lf + 1;
}

/* ---- bodies ---- */

/* Why a whole body is refused; NULL: it is not. */
static const char *body_fault(const struct smtp_server *s, struct smtp_enhanced *ret)
{
    const struct smtp_body_facts *facts = &s->dot.facts;

    *ret = SMTP_ENHANCED(5, 5, 2);
    if (facts->has_bare_lf)
        return "The message has a bare LF: lines end in CRLF";
    if (facts->has_bare_cr)
        return "The message has a bare CR: lines end in CRLF";
    *ret = SMTP_ENHANCED(5, 6, 0);
    if (facts->has_nul)
        return "The message has a NUL";
    if (facts->has_long_line)
        return "The message has a line over the limit";
    return NULL;
}

static void body_ends(struct smtp_server *s)
{
    struct smtp_enhanced enhanced;
    const char *fault = body_fault(s, &enhanced);
    struct smtp_decision d;
    char text[96];

    s->state = COMMAND;
    s->is_paused = false;
    s->uses_bdat = false;
    if (fault) {
        uint32_t recipients = s->recipients;

        (void)snprintf(text, sizeof(text),
                       s->dot.facts.has_long_line && enhanced.subject == 6 && !s->dot.facts.has_nul
                           ? "%s (%u octets)"
                           : "%s",
                       fault, s->config->text_line_max);
        reset(s, SMTP_RESET_REFUSED);
        s->recipients = recipients;
        apply(s, END, smtp_say(554, enhanced, slice_str(text)));
        return;
    }
    s->in_transaction = false;
    d = s->handler->on_body_end(s->ctx, &s->dot.facts);
    apply(s, END, d);
}

static void give(struct smtp_server *s, struct slice run)
{
    if (run.len && !s->handler->on_body(s->ctx, run))
        s->is_paused = true;
}

static size_t take_body(struct smtp_server *s, struct slice in)
{
    struct slice run;
    size_t used;
    enum smtp_dot what = smtp_dot_decode(&s->dot, in, &used, &run);
    uint64_t size_max = s->config->size_max;

    if (what == SMTP_DOT_RUN && !s->refuses_body) {
        if (size_max && s->dot.facts.bytes > size_max) {
            uint32_t recipients = s->recipients;

            s->refuses_body = true; /* all of it, once it is over */
            reset(s, SMTP_RESET_REFUSED);
            s->recipients = recipients;
        } else {
            give(s, run);
        }
    }
    if (what != SMTP_DOT_END)
        return used;
    if (s->refuses_body)
        apply(s, END,
              smtp_say(552, SMTP_ENHANCED(5, 3, 4),
                       SLICE_LIT("The message is larger than the limit")));
    else
        body_ends(s);
    return used;
}

static void chunk_ends(struct smtp_server *s)
{
    char text[48];

    s->state = COMMAND;
    if (s->refuses_body) {
        s->refuses_body = false;
        return;
    }
    if (s->chunk_is_last) {
        give(s, smtp_dot_decode_end(&s->dot));
        body_ends(s);
        return;
    }
    (void)snprintf(text, sizeof(text), "%llu octets so far",
                   (unsigned long long)s->dot.facts.bytes);
    say(s, 250, SMTP_ENHANCED(2, 0, 0), slice_str(text));
}

static size_t take_chunk(struct smtp_server *s, struct slice in)
{
    struct slice run = {.len = 0};
    size_t used = 0;

    if (in.len > s->chunk_left)
        in.len = (size_t)s->chunk_left;
    if (s->refuses_body)
        used = in.len;
    else if (in.len)
        (void)smtp_dot_decode(&s->dot, in, &used, &run);
    s->chunk_left -= used;
    give(s, run);
    if (s->chunk_left == 0)
        chunk_ends(s);
    return used;
}

/* ---- the owner's calls ---- */

void smtp_server_greet(struct smtp_server *s)
{
    char text[512];

    ASSERT(s->state == NEW);
    s->state = COMMAND;
    (void)snprintf(text, sizeof(text), "%.*s %.*s", SLICE_FMT(s->config->hostname),
                   SLICE_FMT(s->config->banner.len ? s->config->banner
                             : s->config->lmtp     ? SLICE_LIT("LMTP")
                                                   : SLICE_LIT("ESMTP")));
    say(s, 220, SMTP_NO_ENHANCED, slice_str(text));
}

static enum smtp_server_next next(const struct smtp_server *s)
{
    if (s->state == CLOSED)
        return SMTP_SERVER_CLOSE;
    if (s->state == TLS)
        return SMTP_SERVER_TLS;
    if (s->waiting != NOTHING || s->state == NEW)
        return SMTP_SERVER_WAIT;
    return s->is_paused ? SMTP_SERVER_PAUSED : SMTP_SERVER_MORE;
}

enum smtp_server_next smtp_server_feed(struct smtp_server *s, struct slice in, size_t *ret_used)
{
    size_t used = 0;

    if (s->state == NEW && in.len && s->config->refuse_early_talker) {
        say(s, 554, SMTP_ENHANCED(5, 5, 1), SLICE_LIT("You spoke before the greeting"));
        end_session(s);
    }
    while (next(s) == SMTP_SERVER_MORE) {
        struct slice rest = slice_from(in, used);

        if (s->state == CHUNK)
            used += take_chunk(s, rest);
        else if (rest.len == 0)
            break;
        else if (s->state == BODY)
            used += take_body(s, rest);
        else
            used += take_line(s, rest);
        if (used == in.len && !(s->state == CHUNK && s->chunk_left == 0))
            break;
    }
    *ret_used = used;
    return next(s);
}

void smtp_server_answer(struct smtp_server *s, struct smtp_decision decision)
{
    if (s->state == CLOSED)
        return; /* the peer or the owner ended the session in the meantime */
    ASSERT(s->waiting != NOTHING && decision.code != 0);
    apply(s, s->waiting, decision);
}

void smtp_server_resume(struct smtp_server *s)
{
    s->is_paused = false;
}

void smtp_server_tls_started(struct smtp_server *s)
{
    ASSERT(s->state == TLS);
    s->state = COMMAND;
    s->is_tls = true;
    s->has_hello = s->is_esmtp = false;
    buf_clear(&s->line);
}

void smtp_server_eof(struct smtp_server *s)
{
    end_session(s);
}

void smtp_server_shutdown(struct smtp_server *s, unsigned code, struct smtp_enhanced enhanced,
                          struct slice text)
{
    if (s->state == CLOSED)
        return;
    reset(s, SMTP_RESET_CLOSED);
    say(s, code, enhanced, text);
    end_session(s);
}

enum smtp_server_phase smtp_server_phase(const struct smtp_server *s)
{
    switch (next(s)) {
    case SMTP_SERVER_CLOSE:
        return SMTP_SERVER_CLOSED;
    case SMTP_SERVER_WAIT:
        return s->state == NEW ? SMTP_SERVER_NEW : SMTP_SERVER_DECISION;
    case SMTP_SERVER_PAUSED:
    case SMTP_SERVER_TLS:
        return SMTP_SERVER_DECISION;
    case SMTP_SERVER_MORE:
        break;
    }
    return s->state == COMMAND ? SMTP_SERVER_COMMAND : SMTP_SERVER_BODY;
}
