/*
 * logscan/kumomta.c - KumoMTA's log: a JSON object a line, one for each recipient.
 *
 * A recipient is a message of its own there, with an id of its own; those of one mail are received in one
 * session at one time from one sender, one after the other. The number of attempts is 0 at the
 * first. What KumoMTA made up itself has codes too, and a text that says so; the text of a reply stands
 * without its status code, the lines of it joined by '\n'.
 */
#include <errno.h>
#include <stdlib.h>

#include "logscan/formats.h"
#include "logscan/json_line.h"
#include "logscan/stamp.h"
#include "logscan/table.h"
#include "logscan/text.h"

#define KUMOMTA_MEMBERS(X)                                                                         \
    X(MEMBER_TYPE, JSON_LINE_TOP, "type")                                                          \
    X(MEMBER_ID, JSON_LINE_TOP, "id")                                                              \
    X(MEMBER_SENDER, JSON_LINE_TOP, "sender")                                                      \
    X(MEMBER_RECIPIENT, JSON_LINE_TOP, "recipient")                                                \
    X(MEMBER_QUEUE, JSON_LINE_TOP, "queue")                                                        \
    X(MEMBER_SITE, JSON_LINE_TOP, "site")                                                          \
    X(MEMBER_SIZE, JSON_LINE_TOP, "size")                                                          \
    X(MEMBER_RESPONSE, JSON_LINE_TOP, "response")                                                  \
    X(MEMBER_CODE, MEMBER_RESPONSE, "code")                                                        \
    X(MEMBER_ENHANCED, MEMBER_RESPONSE, "enhanced_code")                                           \
    X(MEMBER_CLASS, MEMBER_ENHANCED, "class")                                                      \
    X(MEMBER_SUBJECT, MEMBER_ENHANCED, "subject")                                                  \
    X(MEMBER_DETAIL, MEMBER_ENHANCED, "detail")                                                    \
    X(MEMBER_CONTENT, MEMBER_RESPONSE, "content")                                                  \
    X(MEMBER_COMMAND, MEMBER_RESPONSE, "command")                                                  \
    X(MEMBER_PEER, JSON_LINE_TOP, "peer_address")                                                  \
    X(MEMBER_PEER_NAME, MEMBER_PEER, "name")                                                       \
    X(MEMBER_PEER_ADDRESS, MEMBER_PEER, "addr")                                                    \
    X(MEMBER_SECONDS, JSON_LINE_TOP, "timestamp")                                                  \
    X(MEMBER_TIME, JSON_LINE_TOP, "event_time")                                                    \
    X(MEMBER_ATTEMPTS, JSON_LINE_TOP, "num_attempts")                                              \
    X(MEMBER_SESSION, JSON_LINE_TOP, "session_id")                                                 \
    X(MEMBER_SOURCE, JSON_LINE_TOP, "egress_source")                                               \
    X(MEMBER_SOURCE_ADDRESS, JSON_LINE_TOP, "source_address")                                      \
    X(MEMBER_SOURCE_IP, MEMBER_SOURCE_ADDRESS, "address")
#define MEMBER_CONSTANT(constant, parent, name) constant,
#define MEMBER_LINE(constant, parent, name) {parent, name},
enum { KUMOMTA_MEMBERS(MEMBER_CONSTANT) MEMBERS };
static const struct json_line_member members[] = {KUMOMTA_MEMBERS(MEMBER_LINE)};

enum kumomta_kind {
    KIND_OTHER,
    KIND_ARRIVAL,
    KIND_REJECTION,
    KIND_EXPIRY,
    KIND_ENDED, /* by the operator */
    KIND_DELIVERED,
    KIND_DEFERRED,
    KIND_FAILED,
};

/* Arrivals of a chunk: which mail the first and the last are of, by a hash; 0: not told. */
struct arrivals {
    bool has_any;
    uint64_t first, last;
    size_t first_fact;
};

struct record {
    struct log_scan *s;
    struct arrivals *arrivals;
    const uint8_t *line;
    struct json_line_value values[MEMBERS];
    enum kumomta_kind kind;
    int64_t at_ms;
    bool has_seconds;
};

static enum kumomta_kind kind_of(struct slice type)
{
    static const struct {
        const char *type;
        enum kumomta_kind kind;
    } kinds[] = {
        {"Delivery", KIND_DELIVERED},        {"Reception", KIND_ARRIVAL},
        {"TransientFailure", KIND_DEFERRED}, {"Bounce", KIND_FAILED},
        {"Rejection", KIND_REJECTION},       {"Expiration", KIND_EXPIRY},
        {"AdminBounce", KIND_ENDED},
    };

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (slice_eq(type, slice_str(kinds[i].type)))
            return kinds[i].kind;
    return KIND_OTHER;
}

static struct slice text_of(const struct record *r, size_t member)
{
    return json_line_text(&r->values[member], ' ', &r->s->arena);
}

static uint64_t number_of(const struct record *r, size_t member, uint64_t max)
{
    uint64_t n = 0;

    return json_line_number(&r->values[member], max, &n) ? n : 0;
}

/* "event_time" came with a later version and is finer than "timestamp". */
static bool read_time(struct record *r)
{
    struct slice text = text_of(r, MEMBER_TIME);
    uint64_t seconds;

    if (text.len > 0)
        return stamp_iso(text, &r->at_ms) == text.len;
    if (!json_line_number(&r->values[MEMBER_SECONDS], INT64_MAX / 1000, &seconds))
        return false;
    r->at_ms = (int64_t)seconds * 1000;
    r->has_seconds = true;
    return true;
}

/* ---- what was said ---- */

static enum smtp_phase phase_of(struct slice command)
{
    static const struct {
        const char *command;
        enum smtp_phase phase;
    } phases[] = {
        {".", SMTP_PHASE_END},      {"MAIL", SMTP_PHASE_MAIL},         {"RCPT", SMTP_PHASE_RCPT},
        {"DATA", SMTP_PHASE_DATA},  {"BDAT", SMTP_PHASE_END},          {"EHLO", SMTP_PHASE_HELLO},
        {"HELO", SMTP_PHASE_HELLO}, {"STARTTLS", SMTP_PHASE_STARTTLS},
    };

    for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
        if (slice_has_prefix_case(command, slice_str(phases[i].command)))
            return phases[i].phase;
    return SMTP_PHASE_IDLE;
}

/* "KumoMTA internal: failed to connect to ...: Connection timed out": the last part. */
static struct slice own_cause(struct slice text)
{
    for (ptrdiff_t at = (ptrdiff_t)text.len - 2; at >= 0; at--)
        if (text.ptr[at] == ':' && text.ptr[at + 1] == ' ')
            return slice_from(text, (size_t)at + 2);
    return text;
}

static void set_reply(const struct record *r, struct log_fact *f)
{
    struct slice text = text_of(r, MEMBER_CONTENT);

    f->phase = (uint8_t)phase_of(text_of(r, MEMBER_COMMAND));
    f->issuer = r->kind == KIND_REJECTION ? ISSUER_OWN_SERVER : ISSUER_RECEIVER;
    if (r->kind != KIND_REJECTION && slice_has_prefix(text, SLICE_LIT("KumoMTA internal:"))) {
        f->issuer = ISSUER_OWN_CLIENT;
        f->phase = f->address.len == 0 ? SMTP_PHASE_CONNECT : f->phase;
        f->reply = (struct log_reply){.text = own_cause(text)};
        return;
    }
    f->reply = (struct log_reply){
        .code = (uint16_t)number_of(r, MEMBER_CODE, 599),
        .enhanced = SMTP_ENHANCED((uint8_t)number_of(r, MEMBER_CLASS, 5),
                                  (uint16_t)number_of(r, MEMBER_SUBJECT, 999),
                                  (uint16_t)number_of(r, MEMBER_DETAIL, 999)),
        .text = text,
    };
    if (f->reply.code < 200)
        f->reply.code = 0;
}

/* ---- facts ---- */

static struct log_fact *add_fact(const struct record *r, enum fact_kind kind,
                                 struct slice recipient)
{
    struct log_fact *f = log_scan_fact(r->s, kind, r->line);

    if (!f)
        return NULL;
    f->at_ms = r->at_ms;
    f->has_seconds = r->has_seconds;
    f->counts = r->kind == KIND_ENDED ? 0 : COUNTS_ALL;
    f->numbering = NUMBERING_RECIPIENT;
    f->message = text_of(r, MEMBER_ID);
    f->sender = text_of(r, MEMBER_SENDER);
    f->recipient = recipient;
    if (kind == FACT_ARRIVAL)
        return f;
    f->address = text_of(r, MEMBER_PEER_ADDRESS);
    f->host = text_of(r, MEMBER_PEER_NAME);
    if (f->host.len > 0 && f->host.ptr[f->host.len - 1] == '.')
        f->host.len--;
    f->source = text_address(text_of(r, MEMBER_SOURCE_IP));
    f->connector = text_of(r, MEMBER_SOURCE);
    set_reply(r, f);
    return f;
}

static void add_result(const struct record *r, struct slice recipient)
{
    static const uint8_t outcomes[] = {[KIND_ENDED] = OUTCOME_FAILED,
                                       [KIND_DELIVERED] = OUTCOME_DELIVERED,
                                       [KIND_DEFERRED] = OUTCOME_DEFERRED,
                                       [KIND_FAILED] = OUTCOME_FAILED};
    bool is_said = r->kind == KIND_DEFERRED || r->kind == KIND_FAILED || r->kind == KIND_REJECTION;
    unsigned wanted = is_said ? WANT_REPLIES : r->kind == KIND_DELIVERED ? WANT_ACCEPTED : 0;
    uint64_t attempts;
    struct log_fact *f;

    if ((r->s->wants & wanted) && !add_fact(r, FACT_REPLY, recipient))
        return;
    if (!(r->s->wants & WANT_LIVES) || r->kind == KIND_REJECTION)
        return;
    f = add_fact(r, r->kind == KIND_EXPIRY ? FACT_EXPIRY : FACT_ATTEMPT, recipient);
    if (!f || r->kind == KIND_EXPIRY)
        return;
    f->outcome = outcomes[r->kind];
    if (json_line_number(&r->values[MEMBER_ATTEMPTS], UINT32_MAX - 1, &attempts)) {
        f->numbering = NUMBERING_GIVEN;
        f->number = (uint32_t)attempts + 1;
    }
}

/* 0: not told. */
static uint64_t mail_of(const struct record *r)
{
    struct slice session = text_of(r, MEMBER_SESSION);

    if (session.len == 0)
        return 0;
    return log_hash(session, log_hash(text_of(r, MEMBER_SENDER), (uint64_t)r->at_ms)) | 1;
}

static void add_arrival(const struct record *r)
{
    struct arrivals *a = r->arrivals;
    struct log_fact *f = add_fact(r, FACT_ARRIVAL, slice_make(NULL, 0));
    uint64_t mail = mail_of(r);

    if (!f)
        return;
    f->number = 1;
    f->is_copy = mail != 0 && mail == a->last;
    if (!a->has_any) {
        a->has_any = true;
        a->first = mail;
        a->first_fact = r->s->fact_count - 1;
    }
    a->last = mail;
}

static void add_recipient(const struct record *r, const struct json_line_value *recipient)
{
    if (r->kind != KIND_ARRIVAL)
        add_result(r, json_line_text(recipient, ' ', &r->s->arena));
    else if (r->s->wants & WANT_LIVES)
        add_arrival(r);
}

/* A list of them since 2025.12. */
static void add_recipients(const struct record *r)
{
    const struct json_line_value *all = &r->values[MEMBER_RECIPIENT];
    struct json_line_value one;
    size_t at = 0;

    if (all->kind != JSON_LINE_ARRAY)
        add_recipient(r, all);
    while (r->s->error == 0 && json_line_next(all, &at, &one))
        add_recipient(r, &one);
}

static void scan_kumomta(struct log_scan *s)
{
    struct record r = {.s = s, .arrivals = arena_take(&s->arena, sizeof(*r.arrivals))};
    struct slice line;
    size_t at = 0;

    s->carry_end = s->carry;
    if (!r.arrivals) {
        s->error = -ENOMEM;
        return;
    }
    *r.arrivals = (struct arrivals){0};
    s->session_rows = r.arrivals;
    while (s->error == 0 && log_scan_line(s, &at, &line)) {
        r.line = line.ptr;
        r.has_seconds = false;
        if (json_line_read(line, members, MEMBERS, r.values) < 0) {
            log_scan_skip(s, SKIP_FORM, line.ptr);
        } else if (!read_time(&r)) {
            log_scan_skip(s, SKIP_TIME, line.ptr);
        } else {
            s->tally.rows++;
            r.kind = kind_of(text_of(&r, MEMBER_TYPE));
            if (r.kind != KIND_OTHER)
                add_recipients(&r);
        }
    }
}

/* The state is the mail of the last arrival of the chunks before. */
static int merge_kumomta(void **state, struct log_scan *s)
{
    const struct arrivals *a = s->session_rows;
    uint64_t *last = *state;

    s->session_rows = NULL; /* it is in the arena */
    if (!a || !a->has_any)
        return 0;
    if (!last) {
        last = calloc(1, sizeof(*last));
        if (!last)
            return -ENOMEM;
        *state = last;
    }
    if (a->first != 0 && a->first == *last)
        s->facts[a->first_fact].is_copy = true;
    *last = a->last;
    return 0;
}

static void free_kumomta_state(void **state)
{
    free(*state);
    *state = NULL;
}

/* ---- what it is, and its columns ---- */

static unsigned detect_kumomta(struct slice head)
{
    struct json_line_value values[MEMBERS];

    if (json_line_read(text_take_line(&head), members, MEMBERS, values) < 0)
        return 0;
    return values[MEMBER_TYPE].kind == JSON_LINE_STRING &&
           values[MEMBER_ID].kind == JSON_LINE_STRING &&
           values[MEMBER_RESPONSE].kind == JSON_LINE_OBJECT &&
           values[MEMBER_SECONDS].kind == JSON_LINE_WORD;
}

#define KUMOMTA_COLUMNS(X)                                                                         \
    X(MEMBER_TIME, "event_time")                                                                   \
    X(MEMBER_TYPE, "type")                                                                         \
    X(MEMBER_ID, "id")                                                                             \
    X(MEMBER_SENDER, "sender")                                                                     \
    X(MEMBER_RECIPIENT, "recipient")                                                               \
    X(MEMBER_QUEUE, "queue")                                                                       \
    X(MEMBER_SITE, "site")                                                                         \
    X(MEMBER_SIZE, "size")                                                                         \
    X(MEMBER_CODE, "code")                                                                         \
    X(MEMBER_CONTENT, "content")                                                                   \
    X(MEMBER_COMMAND, "command")                                                                   \
    X(MEMBER_PEER_NAME, "peer_name")                                                               \
    X(MEMBER_PEER_ADDRESS, "peer_address")                                                         \
    X(MEMBER_ATTEMPTS, "num_attempts")                                                             \
    X(MEMBER_SOURCE, "egress_source")                                                              \
    X(MEMBER_SOURCE_IP, "source_address")
#define COLUMN_OF(member, name) COLUMN_##member,
enum { KUMOMTA_COLUMNS(COLUMN_OF) COLUMNS };
static const uint8_t column_members[] = {KUMOMTA_COLUMNS(LOG_COLUMN_CONSTANT)};

static int split_kumomta(const struct log_carry *carry, struct slice line, struct arena *a,
                         struct slice fields[LOG_COLUMNS_MAX])
{
    struct json_line_value values[MEMBERS];

    (void)carry;
    if (json_line_read(line, members, MEMBERS, values) < 0)
        return -EINVAL;
    for (size_t i = 0; i < COLUMNS; i++) {
        const struct json_line_value *v = &values[column_members[i]];

        fields[i] = v->kind == JSON_LINE_STRING ? json_line_text(v, '\n', a) : v->text;
        if (v->kind == JSON_LINE_NONE)
            fields[i] = slice_make(NULL, 0);
    }
    return COLUMNS;
}

const struct log_format kumomta_format = {
    .name = "kumomta",
    .title = "KumoMTA log",
    .detect = detect_kumomta,
    .scan = scan_kumomta,
    .merge = merge_kumomta,
    .free_state = free_kumomta_state,
    .columns = LOG_COLUMN_LIST(KUMOMTA_COLUMNS),
    .split = split_kumomta,
    .reply_column = COLUMN_MEMBER_CONTENT,
};
