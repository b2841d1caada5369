/*
 * smtp/client.c - `awaits` is the command whose reply is next; what was sent already may be ahead
 * of it by a whole pipeline. A recipient is resolved once it had its result; one that is answered
 * and not resolved was accepted.
 */
#include "smtp/client.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"

const char *smtp_phase_name(enum smtp_phase phase)
{
    static const char *const names[] = {
        [SMTP_PHASE_CONNECT] = "connect",   [SMTP_PHASE_GREETING] = "greeting",
        [SMTP_PHASE_HELLO] = "hello",       [SMTP_PHASE_STARTTLS] = "starttls",
        [SMTP_PHASE_TLS] = "tls handshake", [SMTP_PHASE_IDLE] = "idle",
        [SMTP_PHASE_MAIL] = "mail",         [SMTP_PHASE_RCPT] = "rcpt",
        [SMTP_PHASE_DATA] = "data",         [SMTP_PHASE_BODY] = "body",
        [SMTP_PHASE_END] = "end of data",   [SMTP_PHASE_QUIT] = "quit",
        [SMTP_PHASE_CLOSED] = "closed",
    };

    return names[phase];
}

uint32_t smtp_phase_timeout_s(enum smtp_phase phase)
{
    switch (phase) {
    case SMTP_PHASE_CONNECT:
    case SMTP_PHASE_QUIT:
        return 30;
    case SMTP_PHASE_TLS:
        return 60;
    case SMTP_PHASE_DATA:
        return 120;
    case SMTP_PHASE_BODY:
        return 180;
    case SMTP_PHASE_END:
        return 600;
    case SMTP_PHASE_GREETING:
    case SMTP_PHASE_HELLO:
    case SMTP_PHASE_STARTTLS:
    case SMTP_PHASE_IDLE:
    case SMTP_PHASE_MAIL:
    case SMTP_PHASE_RCPT:
    case SMTP_PHASE_CLOSED:
        break;
    }
    return 300;
}

void smtp_client_init(struct smtp_client *c, const struct smtp_client_config *config,
                      const struct smtp_client_handler *handler, void *ctx, struct buf *out)
{
    *c = (struct smtp_client){.config = config,
                              .handler = handler,
                              .ctx = ctx,
                              .out = out,
                              .text = BUF_INIT(config->reply_max),
                              .recipients_max = SMTP_CLIENT_RECIPIENTS_MAX,
                              .awaits = SMTP_PHASE_GREETING};
    smtp_reply_parser_init(&c->parser, &c->text);
}

void smtp_client_done(struct smtp_client *c)
{
    buf_done(&c->text);
}

enum smtp_phase smtp_client_phase(const struct smtp_client *c)
{
    return c->body_open ? SMTP_PHASE_BODY : (enum smtp_phase)c->awaits;
}

/* ---- results ---- */

static bool is_resolved(const struct smtp_client *c, size_t i)
{
    return c->resolved[i / 64] >> (i % 64) & 1;
}

static void resolve(struct smtp_client *c, size_t i, const struct smtp_result *result)
{
    ASSERT(!is_resolved(c, i));
    c->resolved[i / 64] |= (uint64_t)1 << (i % 64);
    c->handler->on_result(c->ctx, i, result);
}

static void resolve_all(struct smtp_client *c, const struct smtp_result *result)
{
    for (size_t i = 0; i < c->transaction->recipient_count; i++)
        if (!is_resolved(c, i))
            resolve(c, i, result);
}

static void finish(struct smtp_client *c)
{
    c->transaction = NULL;
    c->body_open = false;
    if (c->awaits != SMTP_PHASE_CLOSED)
        c->awaits = SMTP_PHASE_IDLE;
    c->handler->on_done(c->ctx);
    if (c->awaits == SMTP_PHASE_IDLE && c->messages_max && c->messages >= c->messages_max)
        smtp_client_quit(c);
}

static struct smtp_result result_of(const struct smtp_client *c, const struct smtp_reply *reply)
{
    return (struct smtp_result){.outcome = reply->code < 300   ? SMTP_DELIVERED
                                           : reply->code < 500 ? SMTP_DEFERRED
                                                               : SMTP_FAILED,
                                .phase = smtp_client_phase(c),
                                .code = reply->code,
                                .enhanced = reply->enhanced,
                                .text = reply->text};
}

static void put(struct smtp_client *c, struct slice s)
{
    (void)buf_add(c->out, s); /* check_out() sees it */
}

/* The end of the command that begins there in `out`. */
static void put_end(struct smtp_client *c, size_t from)
{
    size_t end = buf_len(c->out);

    put(c, SLICE_LIT("\r\n"));
    if (c->handler->on_command && !buf_failed(c->out))
        c->handler->on_command(c->ctx, slice_sub(buf_slice(c->out), from, end - from));
}

static void put_command(struct smtp_client *c, const char *line)
{
    size_t from = buf_len(c->out);

    put(c, slice_str(line));
    put_end(c, from);
}

/* The session is over: everybody who waits hears why. */
static void fail(struct smtp_client *c, const struct smtp_result *result)
{
    c->failure = *result;
    c->has_failure = true;
    c->awaits = SMTP_PHASE_CLOSED;
    if (c->transaction) {
        resolve_all(c, result);
        finish(c);
    }
}

static void fail_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    struct smtp_result result = result_of(c, reply);

    if (reply->code != 421 && !c->transaction)
        put_command(c, "QUIT");
    fail(c, &result);
}

static void fail_err(struct smtp_client *c, int err, struct smtp_enhanced enhanced,
                     const char *text)
{
    struct smtp_result result = {.outcome = SMTP_DEFERRED,
                                 .phase = smtp_client_phase(c),
                                 .enhanced = enhanced,
                                 .err = err,
                                 .text = slice_str(text),
                                 .is_unknown = c->transaction && c->body_sent && !c->end_seen};

    fail(c, &result);
}

static void fail_protocol(struct smtp_client *c)
{
    fail_err(c, -EPROTO, SMTP_ENHANCED(4, 5, 0), "The host answered what is no valid reply");
}

/* Commands that do not fit `out` were not sent: the owner's cap is too small for a transaction. */
static void check_out(struct smtp_client *c)
{
    if (buf_failed(c->out) && c->awaits != SMTP_PHASE_CLOSED)
        fail_err(c, -ENOBUFS, SMTP_ENHANCED(4, 3, 0), "The commands do not fit the buffer");
}

/* ---- commands ---- */

static bool can(const struct smtp_client *c, unsigned extension)
{
    return (c->extensions & ~c->config->extensions_ignored & extension) != 0;
}

static void put_number(struct smtp_client *c, uint64_t n)
{
    uint8_t digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (uint8_t)('0' + n % 10);
    while ((n /= 10) > 0);
    put(c, slice_make(digits + at, sizeof(digits) - at));
}

static void put_address(struct smtp_client *c, struct slice address)
{
    ASSERT(!address.len ||
           (!memchr(address.ptr, '\r', address.len) && !memchr(address.ptr, '\n', address.len)));
    put(c, SLICE_LIT("<"));
    put(c, address);
    put(c, SLICE_LIT(">"));
}

static void send_mail(struct smtp_client *c)
{
    const struct smtp_transaction *t = c->transaction;
    size_t from = buf_len(c->out);

    put(c, SLICE_LIT("MAIL FROM:"));
    put_address(c, t->sender);
    if (can(c, SMTP_EXT_SIZE)) {
        put(c, SLICE_LIT(" SIZE="));
        put_number(c, t->body_bytes);
    }
    if (t->is_8bit && can(c, SMTP_EXT_8BITMIME))
        put(c, SLICE_LIT(" BODY=8BITMIME"));
    if (c->needs_utf8)
        put(c, SLICE_LIT(" SMTPUTF8"));
    if (can(c, SMTP_EXT_DSN)) {
        if (t->ret != SMTP_RET_NOT_GIVEN)
            put(c, t->ret == SMTP_RET_FULL ? SLICE_LIT(" RET=FULL") : SLICE_LIT(" RET=HDRS"));
        if (t->envid.len) {
            put(c, SLICE_LIT(" ENVID="));
            put(c, t->envid);
        }
    }
    put_end(c, from);
}

static void put_notify(struct smtp_client *c, unsigned notify)
{
    static const struct {
        unsigned flag;
        const char *name;
    } words[] = {{SMTP_NOTIFY_NEVER, "NEVER"},
                 {SMTP_NOTIFY_SUCCESS, "SUCCESS"},
                 {SMTP_NOTIFY_FAILURE, "FAILURE"},
                 {SMTP_NOTIFY_DELAY, "DELAY"}};
    struct slice before = SLICE_LIT(" NOTIFY=");

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (notify & words[i].flag) {
            put(c, before);
            put(c, slice_str(words[i].name));
            before = SLICE_LIT(",");
        }
    }
}

static void send_rcpt(struct smtp_client *c)
{
    const struct smtp_recipient *r = &c->transaction->recipients[c->rcpts_sent++];
    size_t from = buf_len(c->out);

    put(c, SLICE_LIT("RCPT TO:"));
    put_address(c, r->address);
    if (can(c, SMTP_EXT_DSN)) {
        put_notify(c, r->notify);
        if (r->orcpt.len) {
            put(c, SLICE_LIT(" ORCPT="));
            put(c, r->orcpt);
        }
    }
    put_end(c, from);
}

static void open_body(struct smtp_client *c)
{
    c->body_open = true;
    c->body_left = c->transaction->body_bytes;
    smtp_dot_encoder_init(&c->dot);
}

static void send_data(struct smtp_client *c)
{
    size_t from = buf_len(c->out);

    c->data_sent = true;
    if (!c->uses_bdat) {
        put_command(c, "DATA");
        return;
    }
    put(c, SLICE_LIT("BDAT "));
    put_number(c, c->transaction->body_bytes);
    put(c, SLICE_LIT(" LAST"));
    put_end(c, from);
    open_body(c);
}

static void send_hello(struct smtp_client *c)
{
    size_t from = buf_len(c->out);

    c->awaits = SMTP_PHASE_HELLO;
    put(c, c->config->lmtp ? SLICE_LIT("LHLO ")
           : c->used_helo  ? SLICE_LIT("HELO ")
                           : SLICE_LIT("EHLO "));
    put(c, c->config->hello_name);
    put_end(c, from);
}

/* ---- the session's beginning ---- */

static void learn_limits(struct smtp_client *c, struct slice words)
{
    while (words.len) {
        ptrdiff_t blank = slice_find(words, ' ');
        struct slice word = blank < 0 ? words : slice_sub(words, 0, (size_t)blank);
        uint64_t n;

        words = slice_trim(slice_from(words, word.len));
        if (slice_has_prefix_case(word, SLICE_LIT("RCPTMAX=")) &&
            slice_to_u64(slice_from(word, 8), UINT32_MAX, &n) == 0 && n > 0)
            c->recipients_max = (uint32_t)MIN_OF(n, SMTP_CLIENT_RECIPIENTS_MAX);
        if (slice_has_prefix_case(word, SLICE_LIT("MAILMAX=")) &&
            slice_to_u64(slice_from(word, 8), UINT32_MAX, &n) == 0)
            c->messages_max = (uint32_t)n;
    }
}

static void learn_extension(struct smtp_client *c, struct slice line)
{
    static const struct {
        const char *name;
        unsigned extension;
    } names[] = {{"PIPELINING", SMTP_EXT_PIPELINING},
                 {"8BITMIME", SMTP_EXT_8BITMIME},
                 {"SIZE", SMTP_EXT_SIZE},
                 {"ENHANCEDSTATUSCODES", SMTP_EXT_ENHANCEDSTATUSCODES},
                 {"CHUNKING", SMTP_EXT_CHUNKING},
                 {"SMTPUTF8", SMTP_EXT_SMTPUTF8},
                 {"DSN", SMTP_EXT_DSN},
                 {"LIMITS", SMTP_EXT_LIMITS},
                 {"STARTTLS", SMTP_EXT_STARTTLS}};
    ptrdiff_t blank = slice_find(line, ' ');
    struct slice name = blank < 0 ? line : slice_sub(line, 0, (size_t)blank);
    struct slice rest = slice_trim(slice_from(line, name.len));
    unsigned found = 0;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (slice_eq_case(name, slice_str(names[i].name)))
            found = names[i].extension;
    c->extensions |= found;
    if (found == SMTP_EXT_SIZE && slice_to_u64(rest, UINT64_MAX, &c->size_max) < 0)
        c->size_max = 0;
    if (found == SMTP_EXT_LIMITS && can(c, SMTP_EXT_LIMITS))
        learn_limits(c, rest);
}

/* All lines but the first, which is the host's name. */
static void learn_extensions(struct smtp_client *c, struct slice text)
{
    ptrdiff_t lf;

    c->extensions = 0;
    c->size_max = 0;
    c->messages_max = 0;
    c->recipients_max = SMTP_CLIENT_RECIPIENTS_MAX;
    while (!c->used_helo && (lf = slice_find(text, '\n')) >= 0) {
        ptrdiff_t end;

        text = slice_from(text, (size_t)lf + 1);
        end = slice_find(text, '\n');
        learn_extension(c, slice_trim(end < 0 ? text : slice_sub(text, 0, (size_t)end)));
    }
}

static void on_hello(struct smtp_client *c, const struct smtp_reply *reply)
{
    enum smtp_client_tls tls = c->config->tls;

    if (reply->code / 100 == 5 && !c->used_helo && !c->config->lmtp) {
        c->used_helo = true;
        send_hello(c);
        return;
    }
    if (reply->code / 100 != 2) {
        fail_reply(c, reply);
        return;
    }
    learn_extensions(c, reply->text);
    c->awaits = SMTP_PHASE_IDLE;
    if (c->is_tls || tls == SMTP_TLS_NEVER)
        return;
    c->awaits = SMTP_PHASE_STARTTLS;
    if (can(c, SMTP_EXT_STARTTLS))
        put_command(c, "STARTTLS");
    else if (tls == SMTP_TLS_MUST)
        fail_err(c, -EOPNOTSUPP, SMTP_ENHANCED(4, 7, 4), "TLS is required and not offered");
    else
        c->awaits = SMTP_PHASE_IDLE;
}

/* What came behind the 220 in plain text was put there by somebody else: see do_starttls() of the
 * server for the other side of it. */
static void on_starttls(struct smtp_client *c, const struct smtp_reply *reply, bool has_more)
{
    if (reply->code / 100 == 2 && has_more) {
        fail_protocol(c);
    } else if (reply->code / 100 == 2) {
        c->awaits = SMTP_PHASE_TLS;
    } else if (c->config->tls == SMTP_TLS_MAY) {
        c->awaits = SMTP_PHASE_IDLE;
    } else {
        struct smtp_result result = result_of(c, reply);

        result.outcome = SMTP_DEFERRED; /* our rule, not the host's word on the mail */
        fail(c, &result);
    }
}

/* ---- a transaction ---- */

static void on_reset(struct smtp_client *c)
{
    c->awaits_reset = false;
}

static void after_rcpts(struct smtp_client *c)
{
    if (c->data_sent) {
        c->awaits = c->uses_bdat ? SMTP_PHASE_END : SMTP_PHASE_DATA;
    } else if (c->accepted == 0) {
        c->needs_reset = true;
        finish(c);
    } else {
        send_data(c);
        c->awaits = c->uses_bdat ? SMTP_PHASE_END : SMTP_PHASE_DATA;
    }
}

static void on_mail(struct smtp_client *c, const struct smtp_reply *reply)
{
    bool is_pipelined = c->rcpts_sent > 0;

    if (reply->code / 100 == 3) {
        fail_protocol(c);
        return;
    }
    c->awaits = SMTP_PHASE_RCPT;
    if (reply->code / 100 != 2) {
        struct smtp_result result = result_of(c, reply);

        result.phase = SMTP_PHASE_MAIL;
        resolve_all(c, &result);
        if (!is_pipelined)
            finish(c);
    } else if (!is_pipelined) {
        send_rcpt(c);
    }
}

/* RFC 5321, section 4.5.3.1.10: some hosts say 552 where 452, too many recipients, is meant. */
static bool means_too_many(const struct smtp_client *c, const struct smtp_reply *reply)
{
    bool says_else = reply->enhanced.klass && reply->enhanced.subject != 5;

    return reply->code == 552 && c->accepted > 0 && !says_else;
}

static void on_rcpt(struct smtp_client *c, const struct smtp_reply *reply)
{
    size_t i = c->rcpts_answered++;

    if (reply->code / 100 == 3) {
        fail_protocol(c);
        return;
    }
    if (is_resolved(c, i)) {
        ; /* MAIL was refused, and this only follows from it */
    } else if (reply->code / 100 == 2) {
        c->accepted++;
    } else {
        struct smtp_result result = result_of(c, reply);

        result.phase = SMTP_PHASE_RCPT;
        if (means_too_many(c, reply))
            result.outcome = SMTP_DEFERRED;
        resolve(c, i, &result);
    }
    if (c->rcpts_answered == c->transaction->recipient_count)
        after_rcpts(c);
    else if (c->rcpts_answered == c->rcpts_sent)
        send_rcpt(c);
}

static void on_data(struct smtp_client *c, const struct smtp_reply *reply)
{
    if (reply->code / 100 == 2) {
        fail_protocol(c);
    } else if (reply->code / 100 != 3) {
        struct smtp_result result = result_of(c, reply);

        resolve_all(c, &result);
        c->needs_reset = true;
        finish(c);
    } else if (c->accepted > 0) {
        c->awaits = SMTP_PHASE_END;
        open_body(c);
    } else { /* it wants a message for nobody: an empty one */
        put(c, SLICE_LIT(".\r\n"));
        c->awaits = SMTP_PHASE_END;
        c->needs_reset = true;
        if (c->config->lmtp) { /* which has as many replies as recipients: none */
            finish(c);
            if (c->awaits == SMTP_PHASE_IDLE)
                smtp_client_quit(c);
        }
    }
}

/* LMTP: the reply of the next recipient that was accepted. */
static bool take_lmtp(struct smtp_client *c, const struct smtp_result *result)
{
    while (is_resolved(c, c->lmtp_next))
        c->lmtp_next++;
    resolve(c, c->lmtp_next++, result);
    return --c->accepted == 0;
}

static void on_end(struct smtp_client *c, const struct smtp_reply *reply)
{
    struct smtp_result result = result_of(c, reply);
    bool is_whole = true;

    if (reply->code / 100 == 3) {
        fail_protocol(c);
        return;
    }
    if (c->body_open && reply->code < 300 && c->accepted > 0) { /* it cannot know that yet */
        fail_protocol(c);
        return;
    }
    if (c->body_open && !c->uses_bdat) { /* it gave up in the middle: nothing is in order now */
        fail(c, &result);
        return;
    }
    if (reply->code / 100 != 2 && c->uses_bdat)
        c->needs_reset = true;
    if (c->config->lmtp && c->accepted > 0)
        is_whole = take_lmtp(c, &result);
    else
        resolve_all(c, &result);
    if (!is_whole)
        return;
    c->end_seen = true;
    if (!c->body_open)
        finish(c);
}

static void on_reply(struct smtp_client *c, const struct smtp_reply *reply, bool has_more)
{
    if (c->awaits == SMTP_PHASE_QUIT) {
        c->awaits = SMTP_PHASE_CLOSED;
        return;
    }
    if (reply->code == 421) {
        fail_reply(c, reply);
        return;
    }
    if (c->awaits_reset && c->awaits == SMTP_PHASE_MAIL) {
        on_reset(c);
        return;
    }
    switch ((enum smtp_phase)c->awaits) {
    case SMTP_PHASE_GREETING:
        if (reply->code / 100 == 2)
            send_hello(c);
        else if (reply->code / 100 == 3)
            fail_protocol(c);
        else
            fail_reply(c, reply);
        return;
    case SMTP_PHASE_HELLO:
        on_hello(c, reply);
        return;
    case SMTP_PHASE_STARTTLS:
        on_starttls(c, reply, has_more);
        return;
    case SMTP_PHASE_MAIL:
        on_mail(c, reply);
        return;
    case SMTP_PHASE_RCPT:
        on_rcpt(c, reply);
        return;
    case SMTP_PHASE_DATA:
        on_data(c, reply);
        return;
    case SMTP_PHASE_END:
        if (!c->end_seen) {
            on_end(c, reply);
            return;
        }
        break;
    case SMTP_PHASE_CONNECT:
    case SMTP_PHASE_TLS:
    case SMTP_PHASE_IDLE:
    case SMTP_PHASE_BODY:
    case SMTP_PHASE_QUIT:
    case SMTP_PHASE_CLOSED:
        break;
    }
    fail_protocol(c); /* nobody asked */
}

/* ---- the owner's calls ---- */

void smtp_client_feed(struct smtp_client *c, struct slice in)
{
    while (in.len && c->awaits != SMTP_PHASE_CLOSED) {
        struct smtp_reply reply;
        size_t used;
        int r = smtp_reply_feed(&c->parser, in, &used, &reply);

        if (r == -E2BIG)
            fail_err(c, r, SMTP_ENHANCED(4, 5, 0), "The host's reply is longer than the limit");
        else if (r == -ENOMEM)
            fail_err(c, r, SMTP_ENHANCED(4, 3, 0), "No memory for the host's reply");
        else if (r < 0)
            fail_protocol(c);
        if (r <= 0)
            return;
        in = slice_from(in, used);
        c->replies++;
        if (c->handler->on_reply)
            c->handler->on_reply(c->ctx, &reply);
        on_reply(c, &reply, in.len > 0);
        check_out(c);
    }
}

enum smtp_client_wants smtp_client_wants(const struct smtp_client *c)
{
    if (c->awaits == SMTP_PHASE_CLOSED)
        return SMTP_CLIENT_CLOSE;
    if (c->awaits == SMTP_PHASE_TLS)
        return SMTP_CLIENT_TLS;
    if (c->body_open)
        return SMTP_CLIENT_BODY;
    return c->awaits == SMTP_PHASE_IDLE ? SMTP_CLIENT_TRANSACTION : SMTP_CLIENT_REPLY;
}

static bool needs_smtputf8(const struct smtp_transaction *t)
{
    bool needs = t->smtputf8 || !smtp_is_ascii(t->sender);

    for (size_t i = 0; i < t->recipient_count && !needs; i++)
        needs = !smtp_is_ascii(t->recipients[i].address);
    return needs;
}

/* What this host can never take: no need to ask. */
static bool refuse_here(struct smtp_client *c)
{
    const struct smtp_transaction *t = c->transaction;
    struct smtp_result result = {.outcome = SMTP_FAILED, .phase = SMTP_PHASE_MAIL};

    if (c->needs_utf8 && !can(c, SMTP_EXT_SMTPUTF8)) {
        result.err = -EOPNOTSUPP;
        result.enhanced = SMTP_ENHANCED(5, 6, 7);
        result.text = SLICE_LIT("The message needs SMTPUTF8, which the host does not offer");
    } else if (can(c, SMTP_EXT_SIZE) && c->size_max && t->body_bytes > c->size_max) {
        result.err = -EMSGSIZE;
        result.enhanced = SMTP_ENHANCED(5, 3, 4);
        result.text = SLICE_LIT("The message is larger than the host takes");
    } else {
        return false;
    }
    resolve_all(c, &result);
    finish(c);
    return true;
}

void smtp_client_begin(struct smtp_client *c, const struct smtp_transaction *t)
{
    ASSERT(c->awaits == SMTP_PHASE_IDLE && !c->transaction);
    ASSERT(t->recipient_count > 0 && t->recipient_count <= SMTP_CLIENT_RECIPIENTS_MAX);
    c->transaction = t;
    c->rcpts_sent = c->rcpts_answered = c->accepted = c->lmtp_next = 0;
    c->data_sent = c->body_sent = c->end_seen = false;
    c->uses_bdat = can(c, SMTP_EXT_CHUNKING) && !c->config->lmtp;
    c->needs_utf8 = needs_smtputf8(t);
    memset(c->resolved, 0, sizeof(c->resolved));
    if (refuse_here(c))
        return;
    c->messages++;
    c->awaits = SMTP_PHASE_MAIL;
    c->awaits_reset = c->needs_reset;
    c->needs_reset = false;
    if (c->awaits_reset)
        put_command(c, "RSET");
    send_mail(c);
    if (can(c, SMTP_EXT_PIPELINING)) {
        while (c->rcpts_sent < t->recipient_count)
            send_rcpt(c);
        if (!c->uses_bdat || t->body_bytes <= c->config->eager_body_max)
            send_data(c);
    }
    check_out(c);
}

uint64_t smtp_client_body_left(const struct smtp_client *c)
{
    return c->body_open ? c->body_left : 0;
}

static int put_body(struct smtp_client *c, struct slice chunk, bool is_last)
{
    int r = c->uses_bdat ? buf_add(c->out, chunk) : smtp_dot_encode(&c->dot, chunk, c->out);

    if (r == 0 && is_last && !c->uses_bdat)
        r = smtp_dot_encode_end(&c->dot, c->out);
    return r;
}

int smtp_client_body(struct smtp_client *c, struct slice chunk)
{
    struct smtp_dot_encoder dot = c->dot;
    size_t before = buf_len(c->out);
    bool is_last = chunk.len == c->body_left;
    int r;

    ASSERT(c->body_open && chunk.len <= c->body_left);
    r = put_body(c, chunk, is_last);
    if (r < 0) {
        buf_truncate(c->out, before);
        c->dot = dot;
        return r;
    }
    c->body_left -= chunk.len;
    if (is_last) {
        c->body_open = false;
        c->body_sent = true;
        if (c->end_seen)
            finish(c);
    }
    return 0;
}

void smtp_client_tls_started(struct smtp_client *c)
{
    ASSERT(c->awaits == SMTP_PHASE_TLS);
    c->is_tls = true;
    c->used_helo = false;
    send_hello(c);
    check_out(c);
}

void smtp_client_eof(struct smtp_client *c, int err)
{
    if (c->awaits == SMTP_PHASE_CLOSED)
        return;
    if (c->awaits == SMTP_PHASE_QUIT) {
        c->awaits = SMTP_PHASE_CLOSED;
        return;
    }
    fail_err(c, err, SMTP_ENHANCED(4, 4, 2), err ? err_str(err) : "The host closed the connection");
}

void smtp_client_quit(struct smtp_client *c)
{
    ASSERT(c->awaits == SMTP_PHASE_IDLE);
    c->awaits = SMTP_PHASE_QUIT;
    put_command(c, "QUIT");
}

const struct smtp_result *smtp_client_failure(const struct smtp_client *c)
{
    return c->has_failure ? &c->failure : NULL;
}

unsigned smtp_client_extensions(const struct smtp_client *c)
{
    return c->extensions;
}

uint32_t smtp_client_recipients_max(const struct smtp_client *c)
{
    return c->recipients_max;
}
