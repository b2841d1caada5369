/*
 * logscan/protocol_session.c - what happens in a session, and the facts it gives.
 *
 * Replies carry no command: they are matched first in, first out with the commands that wait. Two have
 * no command at all: the greeting, and the reply to the message behind 354 (the body is no row). The
 * queue holds runs of equal commands, so that a thousand recipients in one write are one entry.
 *
 * In a send log each recipient named gets one attempt: by the refusal of MAIL, of its RCPT or by the
 * reply to the message; 503s that follow a refused MAIL decide nothing. A connection that ends before
 * is a deferral of our own making. In a receive log a transaction nobody refused and nobody finished is
 * no attempt: clients ask for a recipient and leave, and what was lost comes again.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "logscan/protocol.h"
#include "logscan/reply_form.h"
#include "logscan/text.h"
#include "logscan/winsock.h"

#define LISTS_FIRST 4

/* ---- commands ---- */

#define COMMAND_TABLE(X)                                                                           \
    X(COMMAND_OTHER, SMTP_PHASE_IDLE)                                                              \
    X(COMMAND_HELLO, SMTP_PHASE_HELLO)                                                             \
    X(COMMAND_STARTTLS, SMTP_PHASE_STARTTLS)                                                       \
    X(COMMAND_MAIL, SMTP_PHASE_MAIL)                                                               \
    X(COMMAND_RCPT, SMTP_PHASE_RCPT)                                                               \
    X(COMMAND_DATA, SMTP_PHASE_DATA)                                                               \
    X(COMMAND_CHUNK, SMTP_PHASE_BODY) /* BDAT, more follow */                                      \
    X(COMMAND_END, SMTP_PHASE_END)    /* BDAT ... LAST, or what follows 354 */                     \
    X(COMMAND_RSET, SMTP_PHASE_IDLE)                                                               \
    X(COMMAND_QUIT, SMTP_PHASE_QUIT)                                                               \
    X(COMMAND_GREETING, SMTP_PHASE_GREETING) /* none: the peer speaks first */
#define COMMAND_LINE(constant, phase) constant,
enum command { COMMAND_TABLE(COMMAND_LINE) COMMANDS };

/* enum smtp_phase */
static uint8_t phase_of(enum command c)
{
#define COMMAND_PHASE(constant, phase) [constant] = phase,
    static const uint8_t phases[COMMANDS] = {COMMAND_TABLE(COMMAND_PHASE)};
#undef COMMAND_PHASE

    return phases[c];
}

#define VERB(a, b, c, d)                                                                           \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

static enum command command_of(struct slice line)
{
    if (line.len < 4 || (line.len > 4 && line.ptr[4] != ' ' && line.ptr[4] != ':'))
        return slice_eq_case(line, SLICE_LIT("STARTTLS")) ? COMMAND_STARTTLS : COMMAND_OTHER;
    switch (get_u32(line.ptr) | VERB(' ', ' ', ' ', ' ')) { /* letters in lower case */
    case VERB('m', 'a', 'i', 'l'):
        return COMMAND_MAIL;
    case VERB('r', 'c', 'p', 't'):
        return COMMAND_RCPT;
    case VERB('d', 'a', 't', 'a'):
        return COMMAND_DATA;
    case VERB('b', 'd', 'a', 't'):
        return slice_has_suffix_case(line, SLICE_LIT(" LAST")) ? COMMAND_END : COMMAND_CHUNK;
    case VERB('e', 'h', 'l', 'o'):
    case VERB('h', 'e', 'l', 'o'):
        return COMMAND_HELLO;
    case VERB('r', 's', 'e', 't'):
        return COMMAND_RSET;
    case VERB('q', 'u', 'i', 't'):
        return COMMAND_QUIT;
    default:
        return COMMAND_OTHER;
    }
}

static void queue_push(struct protocol_session *p, enum command c)
{
    struct protocol_run *last = &p->runs[(p->run_first + p->run_count - 1U) % PROTOCOL_RUNS];

    if (p->run_count > 0 && last->command == c) {
        last->count++;
        return;
    }
    if (p->run_count == PROTOCOL_RUNS) { /* their replies are not in the log */
        p->run_first = (uint8_t)((p->run_first + 1) % PROTOCOL_RUNS);
        p->run_count--;
    }
    p->runs[(p->run_first + p->run_count) % PROTOCOL_RUNS] =
        (struct protocol_run){.count = 1, .command = (uint8_t)c};
    p->run_count++;
}

/* The command that has waited longest; the queue is not empty. */
static enum command queue_pop(struct protocol_session *p)
{
    struct protocol_run *first = &p->runs[p->run_first];

    if (--first->count == 0) {
        p->run_first = (uint8_t)((p->run_first + 1) % PROTOCOL_RUNS);
        p->run_count--;
    }
    return (enum command)first->command;
}

/* What waits belongs to a transaction that is over. */
static void queue_disown(struct protocol_session *p)
{
    for (unsigned i = 0; i < p->run_count; i++) {
        uint8_t *c = &p->runs[(p->run_first + i) % PROTOCOL_RUNS].command;

        if (*c >= COMMAND_MAIL && *c <= COMMAND_END)
            *c = COMMAND_OTHER;
    }
    p->awaits_end = false;
}

/* ---- facts ---- */

static struct log_fact *new_fact(struct protocol_reader *r, const struct protocol_session *p,
                                 const struct protocol_row *row, enum fact_kind kind)
{
    struct log_fact *f = log_scan_fact(r->s, kind, row->line);

    if (!f)
        return NULL;
    f->at_ms = row->at_ms;
    f->issuer = r->is_send ? ISSUER_RECEIVER : ISSUER_OWN_SERVER;
    f->address = text_address(row->remote);
    f->source = text_address(row->local);
    f->connector = row->connector;
    f->message = p->message;
    f->sender = p->sender;
    f->host = p->host;
    return f;
}

static struct slice recipient_at(const struct protocol_session *p, uint32_t i)
{
    return i < p->recipient_count ? p->recipients[i].address : slice_make(NULL, 0);
}

static void add_reply(struct protocol_reader *r, const struct protocol_session *p,
                      const struct protocol_row *row, const struct log_reply *reply,
                      enum command answered)
{
    struct log_fact *f;

    if (!(r->s->wants & log_reply_want(reply)))
        return;
    f = new_fact(r, p, row, FACT_REPLY);
    if (!f)
        return;
    if (reply->code == 0)
        f->issuer = ISSUER_OWN_CLIENT;
    f->reply = *reply;
    f->phase = phase_of(answered);
    /* A MAIL or a message refused is refused to all its recipients, who share a domain as a rule. */
    if (p->transaction != TRANSACTION_NONE)
        f->recipient = recipient_at(p, answered == COMMAND_RCPT ? p->answered : 0);
}

static void add_life(struct protocol_reader *r, const struct protocol_session *p,
                     const struct protocol_row *row, enum fact_kind kind)
{
    if (r->is_send && (r->s->wants & WANT_LIVES) && p->message.len > 0)
        (void)new_fact(r, p, row, kind);
}

/* Why a recipient or a transaction had its outcome. */
struct verdict {
    struct log_reply reply;
    int64_t at_ms;
    uint8_t phase;
    uint8_t issuer;
};

/* "250 2.6.0 <a@b> [InternalId=...] Queued mail for delivery": the receive log has the message's id
 * here alone. */
static struct slice received_id(const struct log_reply *reply)
{
    ptrdiff_t end = reply->code < 400 && slice_has_prefix(reply->text, SLICE_LIT("<"))
                        ? slice_find(reply->text, '>')
                        : -1;

    return slice_sub(reply->text, 0, (size_t)(end + 1));
}

static void add_attempt(struct protocol_reader *r, const struct protocol_session *p,
                        const struct protocol_row *row, struct slice recipient, unsigned counts,
                        const struct verdict *v)
{
    struct log_fact *f;

    if (!(r->s->wants & WANT_LIVES))
        return;
    f = new_fact(r, p, row, FACT_ATTEMPT);
    if (!f)
        return;
    f->at_ms = v->at_ms;
    f->issuer = v->issuer;
    f->phase = v->phase;
    f->reply = v->reply;
    f->outcome = (uint8_t)log_code_outcome(v->reply.code);
    f->recipient = recipient;
    f->counts = (uint8_t)counts;
    f->numbering = r->is_send && p->message.len > 0 ? NUMBERING_BEGIN : NUMBERING_NONE;
    if (!r->is_send)
        f->message = received_id(&v->reply);
}

/* ---- transactions ---- */

/* The reply to the message comes last, so that what was delivered to any recipient counts as such. */
static void keep_verdict(struct protocol_session *p, const struct verdict *v)
{
    p->verdict = v->reply;
    p->verdict_ms = v->at_ms;
    p->verdict_phase = v->phase;
}

static void decide(struct protocol_reader *r, struct protocol_session *p,
                   const struct protocol_row *row, struct protocol_recipient *to,
                   const struct verdict *v)
{
    if (to->is_decided)
        return;
    to->is_decided = true;
    keep_verdict(p, v);
    add_attempt(r, p, row, to->address, r->is_send ? COUNTS_ALL : COUNTS_DOMAIN, v);
}

static void decide_all(struct protocol_reader *r, struct protocol_session *p,
                       const struct protocol_row *row, const struct verdict *v)
{
    for (uint32_t i = 0; i < p->recipient_count; i++)
        decide(r, p, row, &p->recipients[i], v);
}

/* A log of what is received counts transactions, at the time of MAIL. */
static void count_transaction(struct protocol_reader *r, const struct protocol_session *p,
                              const struct protocol_row *row)
{
    struct verdict v = {.reply = p->verdict,
                        .at_ms = p->mail_ms,
                        .phase = p->verdict_phase,
                        .issuer = ISSUER_OWN_SERVER};

    if (!r->is_send && v.reply.code != 0)
        add_attempt(r, p, row, recipient_at(p, 0), COUNTS_TOTAL | COUNTS_HOST, &v);
}

static void close_transaction(struct protocol_session *p)
{
    p->transaction = TRANSACTION_NONE;
    p->recipient_count = 0;
    p->answered = 0;
    p->leaves_at_reply = false;
    p->sender = slice_make(NULL, 0);
}

static bool has_undecided(const struct protocol_session *p)
{
    for (uint32_t i = 0; i < p->recipient_count; i++)
        if (!p->recipients[i].is_decided)
            return true;
    return false;
}

/* The transaction ends without a reply to a message. `lost`: the session does, too. */
static void leave_transaction(struct protocol_reader *r, struct protocol_session *p,
                              const struct protocol_row *row, bool lost)
{
    struct verdict v = {.at_ms = row->at_ms, .issuer = ISSUER_OWN_CLIENT};
    enum command awaited = COMMAND_OTHER;

    if (p->transaction == TRANSACTION_OPEN) {
        if (r->is_send && has_undecided(p)) {
            if (p->awaits_end)
                awaited = COMMAND_END;
            else if (p->run_count > 0)
                awaited = (enum command)p->runs[p->run_first].command;
            v.phase = phase_of(awaited);
            v.reply.text = lost ? SLICE_LIT("Connection lost before the reply")
                                : SLICE_LIT("Given up before the end of the message");
            if (lost)
                add_reply(r, p, row, &v.reply, awaited);
            decide_all(r, p, row, &v);
        }
        count_transaction(r, p, row);
    }
    close_transaction(p);
    queue_disown(p);
}

bool protocol_list_room(struct log_scan *s, void **list, uint32_t count, uint32_t *room,
                        size_t size)
{
    uint32_t more = *room ? *room * 2 : LISTS_FIRST;
    void *grown;

    if (count < *room)
        return true;
    grown = arena_take(&s->arena, more * size);
    if (!grown) {
        s->error = -ENOMEM;
        return false;
    }
    if (count > 0)
        memcpy(grown, *list, count * size);
    *list = grown;
    *room = more;
    return true;
}

static void on_mail(struct protocol_reader *r, struct protocol_session *p,
                    const struct protocol_row *row)
{
    if (p->transaction != TRANSACTION_NONE)
        leave_transaction(r, p, row, false);
    p->transaction = TRANSACTION_OPEN;
    p->is_middle = false;
    p->verdict = (struct log_reply){0};
    p->mail_ms = row->at_ms;
    p->sender = protocol_path(row->data);
    add_life(r, p, row, FACT_BEGIN);
}

static void on_rcpt(struct protocol_reader *r, struct protocol_session *p,
                    const struct protocol_row *row)
{
    struct protocol_recipient to = {.address = protocol_path(row->data)};
    void *list = p->recipients;

    if (p->transaction == TRANSACTION_NONE && p->is_middle) { /* MAIL stood before the log begins */
        p->transaction = TRANSACTION_OPEN;
        p->mail_ms = row->at_ms;
    }
    if (p->transaction == TRANSACTION_NONE || p->recipient_count == PROTOCOL_RECIPIENTS_MAX)
        return;
    if (!protocol_list_room(r->s, &list, p->recipient_count, &p->recipient_room, sizeof(to)))
        return;
    p->recipients = list;
    p->recipients[p->recipient_count++] = to;
    if (p->transaction == TRANSACTION_REFUSED) {
        struct verdict v = {.reply = p->verdict,
                            .at_ms = p->verdict_ms,
                            .phase = p->verdict_phase,
                            .issuer = r->is_send ? ISSUER_RECEIVER : ISSUER_OWN_SERVER};

        decide(r, p, row, &p->recipients[p->recipient_count - 1], &v);
    }
}

struct slice protocol_host_name(struct slice text)
{
    ptrdiff_t blank = slice_find(text, ' ');
    struct slice word = blank < 0 ? text : slice_sub(text, 0, (size_t)blank);

    if (word.len > 0 && word.ptr[word.len - 1] == '.')
        word.len--;
    for (size_t i = 0; i < word.len; i++)
        if (!byte_is_alpha(word.ptr[i]) && !byte_is_digit(word.ptr[i]) && word.ptr[i] < 0x80 &&
            word.ptr[i] != '.' && word.ptr[i] != '-' && word.ptr[i] != '_')
            return slice_make(NULL, 0);
    return slice_find(word, '.') > 0 ? word : slice_make(NULL, 0);
}

bool protocol_hello(struct slice command, struct slice *ret_host)
{
    if (command_of(command) != COMMAND_HELLO)
        return false;
    *ret_host = protocol_host_name(slice_trim(slice_from(command, sizeof("EHLO") - 1)));
    return true;
}

/* RSET, QUIT and EHLO end a transaction, but not before what stands in front of them is answered. */
static void on_leave(struct protocol_reader *r, struct protocol_session *p,
                     const struct protocol_row *row)
{
    if (p->transaction == TRANSACTION_NONE)
        return;
    if (p->run_count > 0 || p->awaits_end)
        p->leaves_at_reply = true;
    else
        leave_transaction(r, p, row, false);
}

static void on_command(struct protocol_reader *r, struct protocol_session *p,
                       const struct protocol_row *row)
{
    enum command c = command_of(row->data);
    struct slice host;

    if (c == COMMAND_MAIL)
        on_mail(r, p, row);
    else if (c == COMMAND_RCPT)
        on_rcpt(r, p, row);
    else if (c == COMMAND_RSET || c == COMMAND_QUIT || c == COMMAND_HELLO)
        on_leave(r, p, row);
    if (!r->is_send && protocol_hello(row->data, &host))
        p->host = host;
    p->is_greeted = true;
    queue_push(p, c);
}

/* ---- replies ---- */

bool protocol_is_banner(const struct log_reply *reply)
{
    return reply->code == 220 && reply->enhanced.klass == 0;
}

/* What a reply that no command waits for answers. */
static enum command unasked(struct protocol_reader *r, struct protocol_session *p,
                            const struct log_reply *reply)
{
    /* The banner of a session that began before the log. */
    bool is_late = p->is_middle && p->host.len == 0 && protocol_is_banner(reply);

    if (p->is_greeted && !is_late)
        return COMMAND_OTHER;
    p->is_greeted = true;
    if (r->is_send)
        p->host = protocol_host_name(reply->text);
    return COMMAND_GREETING;
}

static void on_end_of_data(struct protocol_reader *r, struct protocol_session *p,
                           const struct protocol_row *row, const struct verdict *v)
{
    if (p->transaction == TRANSACTION_OPEN) {
        decide_all(r, p, row, v);
        count_transaction(r, p, row);
    }
    close_transaction(p);
}

static void on_mail_refused(struct protocol_reader *r, struct protocol_session *p,
                            const struct protocol_row *row, const struct verdict *v)
{
    p->transaction = TRANSACTION_REFUSED;
    keep_verdict(p, v); /* where no recipient is known, too */
    decide_all(r, p, row, v);
    count_transaction(r, p, row);
}

static void on_rcpt_reply(struct protocol_reader *r, struct protocol_session *p,
                          const struct protocol_row *row, const struct verdict *v)
{
    uint32_t i = p->answered;

    if (p->transaction == TRANSACTION_NONE || i >= p->recipient_count)
        return;
    p->answered++;
    if (v->reply.code >= 400)
        decide(r, p, row, &p->recipients[i], v);
}

static void on_answer(struct protocol_reader *r, struct protocol_session *p,
                      const struct protocol_row *row, enum command c, const struct verdict *v)
{
    bool is_refused = v->reply.code >= 400;

    switch (c) {
    case COMMAND_MAIL:
        if (is_refused && p->transaction == TRANSACTION_OPEN)
            on_mail_refused(r, p, row, v);
        break;
    case COMMAND_RCPT:
        on_rcpt_reply(r, p, row, v);
        break;
    case COMMAND_DATA:
        if (v->reply.code == 354)
            p->awaits_end = true;
        else if (is_refused)
            on_end_of_data(r, p, row, v);
        break;
    case COMMAND_CHUNK:
        if (is_refused)
            on_end_of_data(r, p, row, v);
        break;
    case COMMAND_END:
        on_end_of_data(r, p, row, v);
        break;
    case COMMAND_RSET:
    case COMMAND_QUIT:
    case COMMAND_HELLO:
        if (p->leaves_at_reply)
            leave_transaction(r, p, row, false);
        break;
    case COMMAND_OTHER:
    case COMMAND_STARTTLS:
    case COMMAND_GREETING:
    case COMMANDS:
        break;
    }
}

/* Keeps a line that others of its reply follow. */
static void keep_line(struct protocol_reader *r, struct protocol_session *p, struct slice line)
{
    void *list = p->lines;

    if (p->line_count == PROTOCOL_LINES_MAX ||
        !protocol_list_room(r->s, &list, p->line_count, &p->line_room, sizeof(line)))
        return;
    p->lines = list;
    p->lines[p->line_count++] = line;
}

/* The whole reply that ends with this line; false: it is none. */
static bool whole_reply(struct protocol_reader *r, struct protocol_session *p, struct slice line,
                        struct log_reply *ret)
{
    bool ok;

    if (p->line_count == 0)
        return reply_form_line(line, ret);
    keep_line(r, p, line);
    ok = reply_form_lines(p->lines, p->line_count, &r->s->arena, ret);
    p->line_count = 0;
    return ok;
}

static void on_reply(struct protocol_reader *r, struct protocol_session *p,
                     const struct protocol_row *row)
{
    struct verdict v = {.at_ms = row->at_ms,
                        .issuer = r->is_send ? ISSUER_RECEIVER : ISSUER_OWN_SERVER};
    enum command c;

    if (reply_form_is_continued(row->data)) {
        if (row->data.ptr[0] > '3' || r->wants_accepted || !p->is_greeted)
            keep_line(r, p, row->data);
        return;
    }
    if (!whole_reply(r, p, row->data, &v.reply))
        return;
    if (p->awaits_end) {
        p->awaits_end = false;
        c = COMMAND_END;
    } else {
        c = p->run_count > 0 ? queue_pop(p) : unasked(r, p, &v.reply);
    }
    v.phase = phase_of(c);
    add_reply(r, p, row, &v.reply, c);
    on_answer(r, p, row, c, &v);
}

/* ---- connections ---- */

struct slice protocol_connect_failure(struct slice context)
{
    struct slice message = SLICE_LIT("Error Message: "), known;
    ptrdiff_t at;

    if (winsock_text(context, &known))
        return known;
    at = slice_find_slice(context, message);
    return at < 0 ? context : slice_from(context, (size_t)at + message.len);
}

static void on_not_connected(struct protocol_reader *r, const struct protocol_session *p,
                             const struct protocol_row *row)
{
    struct log_fact *f;

    if (!(r->s->wants & WANT_REPLIES) || !(f = new_fact(r, p, row, FACT_REPLY)))
        return;
    f->issuer = ISSUER_OWN_CLIENT;
    f->phase = SMTP_PHASE_CONNECT;
    f->reply.text = protocol_connect_failure(row->context);
}

/* "sending message with RecordId 4711 and InternetMessageId <a@b>": the queue's number is that of one
 * server, and stands in where there is no other. */
static void on_sending(struct protocol_reader *r, struct protocol_session *p,
                       const struct protocol_row *row)
{
    struct slice id = SLICE_LIT(" and InternetMessageId "), record = SLICE_LIT("RecordId ");
    ptrdiff_t at = slice_find_slice(row->context, id);
    size_t skip = id.len;

    if (at < 0) {
        at = slice_find_slice(row->context, record);
        skip = record.len;
    }
    if (p->transaction != TRANSACTION_NONE)
        leave_transaction(r, p, row, false);
    p->message = at < 0 ? slice_make(NULL, 0) : slice_from(row->context, (size_t)at + skip);
    add_life(r, p, row, FACT_ARRIVAL);
}

/* ---- what is called from outside ---- */

void protocol_session_init(struct protocol_session *p, uint64_t key, bool is_middle)
{
    *p = (struct protocol_session){.key = key,
                                   .is_middle = is_middle,
                                   .is_greeted = is_middle,
                                   .lines = p->lines,
                                   .line_room = p->line_room,
                                   .recipients = p->recipients,
                                   .recipient_room = p->recipient_room};
}

bool protocol_session_row(struct protocol_reader *r, struct protocol_session *p,
                          const struct protocol_row *row)
{
    if (row->event == r->reply_event) {
        on_reply(r, p, row);
    } else if (row->event == r->command_event) {
        on_command(r, p, row);
    } else if (row->event == '-') {
        leave_transaction(r, p, row, true);
        return true;
    } else if (row->event == '*' && r->is_send) {
        if (slice_has_prefix(row->context, SLICE_LIT("sending "))) {
            on_sending(r, p, row);
        } else if (slice_has_prefix(row->context, SLICE_LIT("Failed to connect"))) {
            on_not_connected(r, p, row);
            return true; /* no '-' follows */
        }
    }
    return false;
}

void protocol_session_lost(struct protocol_reader *r, struct protocol_session *p,
                           const struct protocol_row *row)
{
    leave_transaction(r, p, row, true);
}

/* ---- copies ---- */

#define ALIGNMENT sizeof(void *)

static size_t aligned(size_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Each slice that a session points to, but for the lists. */
#define SESSION_SLICES(p)                                                                          \
    {                                                                                              \
        &(p)->host, &(p)->message, &(p)->sender, &(p)->verdict.text                                \
    }

size_t protocol_session_bytes(const struct protocol_session *p)
{
    const struct slice *const texts[] = SESSION_SLICES(p);
    size_t n = aligned(sizeof(*p)) + aligned(p->line_count * sizeof(*p->lines)) +
               aligned(p->recipient_count * sizeof(*p->recipients));

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        n += texts[i]->len;
    for (uint32_t i = 0; i < p->line_count; i++)
        n += p->lines[i].len;
    for (uint32_t i = 0; i < p->recipient_count; i++)
        n += p->recipients[i].address.len;
    return n;
}

static void move_text(struct slice *s, uint8_t **to)
{
    if (s->len > 0)
        memcpy(*to, s->ptr, s->len);
    s->ptr = *to;
    *to += s->len;
}

struct protocol_session *protocol_session_copy(void *to, const struct protocol_session *p)
{
    struct protocol_session *copy = to;
    uint8_t *at = (uint8_t *)to + aligned(sizeof(*p));
    struct slice *const texts[] = SESSION_SLICES(copy);

    *copy = *p;
    copy->lines = (void *)at;
    copy->line_room = p->line_count;
    at += aligned(p->line_count * sizeof(*p->lines));
    copy->recipients = (void *)at;
    copy->recipient_room = p->recipient_count;
    at += aligned(p->recipient_count * sizeof(*p->recipients));
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        move_text(texts[i], &at);
    for (uint32_t i = 0; i < p->line_count; i++) {
        copy->lines[i] = p->lines[i];
        move_text(&copy->lines[i], &at);
    }
    for (uint32_t i = 0; i < p->recipient_count; i++) {
        copy->recipients[i] = p->recipients[i];
        move_text(&copy->recipients[i].address, &at);
    }
    return copy;
}
