/*
 * logscan/penstock.c - Penstock's own lines of JSON (docs/events.md): the delivery log, one line for each
 * recipient and attempt, and the event log.
 *
 * Lines of the event log are rows without facts: what they tell of mail is in the delivery log.
 */
#include <errno.h>

#include "logscan/formats.h"
#include "logscan/json_line.h"
#include "logscan/reply_form.h"
#include "logscan/stamp.h"
#include "logscan/text.h"

#define PENSTOCK_MEMBERS(X)                                                                        \
    X(MEMBER_TIME, "time")                                                                         \
    X(MEMBER_EVENT, "event")                                                                       \
    X(MEMBER_ID, "id")                                                                             \
    X(MEMBER_MESSAGE_ID, "message_id")                                                             \
    X(MEMBER_SENDER, "sender")                                                                     \
    X(MEMBER_RECIPIENT, "recipient")                                                               \
    X(MEMBER_DOMAIN, "domain")                                                                     \
    X(MEMBER_RECIPIENTS, "recipients")                                                             \
    X(MEMBER_SIZE, "size")                                                                         \
    X(MEMBER_CLIENT, "client")                                                                     \
    X(MEMBER_LISTENER, "listener")                                                                 \
    X(MEMBER_TRAFFIC, "traffic")                                                                   \
    X(MEMBER_ATTEMPT, "attempt")                                                                   \
    X(MEMBER_CODE, "code")                                                                         \
    X(MEMBER_ENHANCED, "enhanced")                                                                 \
    X(MEMBER_CLASS, "class")                                                                       \
    X(MEMBER_PHASE, "phase")                                                                       \
    X(MEMBER_REPLY, "reply")                                                                       \
    X(MEMBER_PROVIDER, "provider")                                                                 \
    X(MEMBER_LANE, "lane")                                                                         \
    X(MEMBER_SOURCE, "source")                                                                     \
    X(MEMBER_LOCAL, "local")                                                                       \
    X(MEMBER_HOST, "host")                                                                         \
    X(MEMBER_PEER, "peer")                                                                         \
    X(MEMBER_IN_QUEUE, "in_queue_ms")                                                              \
    X(MEMBER_LATENCY, "latency_ms")                                                                \
    X(MEMBER_NEXT, "next_attempt")                                                                 \
    X(MEMBER_KIND, "kind")                                                                         \
    X(MEMBER_ORIGINAL, "original")                                                                 \
    X(MEMBER_LEVEL, "level")
#define MEMBER_LINE(constant, name) {JSON_LINE_TOP, name},
enum { PENSTOCK_MEMBERS(LOG_COLUMN_CONSTANT) MEMBERS };
static const struct json_line_member members[] = {PENSTOCK_MEMBERS(MEMBER_LINE)};

enum penstock_kind {
    KIND_OTHER,
    KIND_ARRIVAL,
    KIND_EXPIRY,
    KIND_ENDED, /* by the operator, or the suppression list: not tried */
    KIND_DELIVERED,
    KIND_DEFERRED,
    KIND_FAILED,
};

struct record {
    struct log_scan *s;
    const uint8_t *line;
    struct json_line_value values[MEMBERS];
    enum penstock_kind kind;
    int64_t at_ms;
};

static enum penstock_kind kind_of(struct slice event)
{
    static const struct {
        const char *event;
        enum penstock_kind kind;
    } kinds[] = {
        {"delivered", KIND_DELIVERED}, {"received", KIND_ARRIVAL}, {"deferred", KIND_DEFERRED},
        {"failed", KIND_FAILED},       {"expired", KIND_EXPIRY},   {"dsn", KIND_ARRIVAL},
        {"suppressed", KIND_ENDED},    {"bounced", KIND_ENDED},    {"removed", KIND_ENDED},
    };

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (slice_eq(event, slice_str(kinds[i].event)))
            return kinds[i].kind;
    return KIND_OTHER;
}

static struct slice text_of(const struct record *r, size_t member)
{
    return json_line_text(&r->values[member], '\n', &r->s->arena);
}

/* ---- what was said ---- */

static enum smtp_phase phase_of(struct slice name)
{
    for (unsigned phase = 0; phase <= SMTP_PHASE_CLOSED; phase++)
        if (slice_eq(name, slice_str(smtp_phase_name((enum smtp_phase)phase))))
            return (enum smtp_phase)phase;
    return SMTP_PHASE_IDLE;
}

/* Lines behind the first repeat the status code, not the code. */
static struct slice further_text(struct slice line, struct smtp_enhanced first)
{
    struct smtp_enhanced status;
    size_t used;

    if (smtp_enhanced_parse(line, &status, &used) && status.klass == first.klass &&
        status.subject == first.subject && status.detail == first.detail)
        return slice_from(line, used);
    return line;
}

/* The lines of `text` joined by blanks. */
static struct slice joined(struct slice text, struct smtp_enhanced status, struct arena *a)
{
    struct slice left = text;
    uint8_t *copy, *to;

    if (slice_find(text, '\n') < 0)
        return text;
    to = copy = arena_take(a, text.len);
    if (!copy)
        return text;
    for (bool is_first = true; left.len > 0; is_first = false) {
        ptrdiff_t end = slice_find(left, '\n');
        struct slice line = slice_sub(left, 0, end < 0 ? left.len : (size_t)end);

        left = slice_from(left, line.len + 1);
        if (!is_first) {
            *to++ = ' ';
            line = further_text(line, status);
        }
        for (size_t i = 0; i < line.len; i++)
            *to++ = line.ptr[i];
    }
    return slice_make(copy, (size_t)(to - copy));
}

/* A host's reply begins with its code; else it is what happened. */
static void set_reply(const struct record *r, struct log_fact *f)
{
    struct slice text = text_of(r, MEMBER_REPLY);
    uint64_t code = 0;

    f->phase = (uint8_t)phase_of(text_of(r, MEMBER_PHASE));
    f->issuer = r->kind == KIND_ENDED ? ISSUER_OWN_SERVER : ISSUER_RECEIVER;
    if (json_line_number(&r->values[MEMBER_CODE], 599, &code) && code >= 200) {
        if (!reply_form_line(text, &f->reply) || f->reply.code != code)
            f->reply = (struct log_reply){.code = (uint16_t)code, .text = text};
    } else {
        f->reply = (struct log_reply){.text = text};
        if (r->kind != KIND_ENDED)
            f->issuer = ISSUER_OWN_CLIENT;
    }
    f->reply.text = joined(f->reply.text, f->reply.enhanced, &r->s->arena);
}

/* ---- facts ---- */

static struct log_fact *add_fact(const struct record *r, enum fact_kind kind)
{
    struct log_fact *f = log_scan_fact(r->s, kind, r->line);

    if (!f)
        return NULL;
    f->at_ms = r->at_ms;
    f->is_unordered = true; /* threads write as they are done */
    f->counts = r->kind == KIND_ENDED ? 0 : COUNTS_ALL;
    f->numbering = NUMBERING_RECIPIENT;
    f->message = text_of(r, MEMBER_ID);
    f->sender = text_of(r, MEMBER_SENDER);
    if (kind == FACT_ARRIVAL)
        return f;
    f->recipient = text_of(r, MEMBER_RECIPIENT);
    f->host = text_of(r, MEMBER_HOST);
    f->address = text_of(r, MEMBER_PEER);
    f->source = text_of(r, MEMBER_LOCAL);
    f->connector = text_of(r, MEMBER_LANE);
    set_reply(r, f);
    return f;
}

/* A report of our own has one recipient, and no number of them. */
static void add_arrival(const struct record *r)
{
    struct log_fact *f = add_fact(r, FACT_ARRIVAL);
    uint64_t count = 1;

    if (!f)
        return;
    (void)json_line_number(&r->values[MEMBER_RECIPIENTS], UINT32_MAX, &count);
    f->number = (uint32_t)count;
}

static void add_result(const struct record *r)
{
    static const uint8_t outcomes[] = {[KIND_ENDED] = OUTCOME_FAILED,
                                       [KIND_DELIVERED] = OUTCOME_DELIVERED,
                                       [KIND_DEFERRED] = OUTCOME_DEFERRED,
                                       [KIND_FAILED] = OUTCOME_FAILED};
    bool is_refusal = r->kind == KIND_DEFERRED || r->kind == KIND_FAILED;
    unsigned wanted = is_refusal ? WANT_REPLIES : r->kind == KIND_DELIVERED ? WANT_ACCEPTED : 0;
    uint64_t attempt;
    struct log_fact *f;

    if ((r->s->wants & wanted) && !add_fact(r, FACT_REPLY))
        return;
    if (!(r->s->wants & WANT_LIVES))
        return;
    f = add_fact(r, r->kind == KIND_EXPIRY ? FACT_EXPIRY : FACT_ATTEMPT);
    if (!f || r->kind == KIND_EXPIRY)
        return;
    f->outcome = outcomes[r->kind];
    if (json_line_number(&r->values[MEMBER_ATTEMPT], UINT32_MAX, &attempt) && attempt > 0) {
        f->numbering = NUMBERING_GIVEN;
        f->number = (uint32_t)attempt;
    }
}

static void add_facts(const struct record *r)
{
    if (r->kind == KIND_ARRIVAL) {
        if (r->s->wants & WANT_LIVES)
            add_arrival(r);
    } else if (r->kind != KIND_OTHER) {
        add_result(r);
    }
}

static void scan_penstock(struct log_scan *s)
{
    struct record r = {.s = s};
    struct slice line, time;
    size_t at = 0;

    s->carry_end = s->carry;
    while (s->error == 0 && log_scan_line(s, &at, &line)) {
        r.line = line.ptr;
        if (json_line_read(line, members, MEMBERS, r.values) < 0) {
            log_scan_skip(s, SKIP_FORM, line.ptr);
            continue;
        }
        time = text_of(&r, MEMBER_TIME);
        if (time.len == 0 || stamp_iso(time, &r.at_ms) != time.len) {
            log_scan_skip(s, SKIP_TIME, line.ptr);
            continue;
        }
        s->tally.rows++;
        r.kind = r.values[MEMBER_LEVEL].kind == JSON_LINE_NONE ? kind_of(text_of(&r, MEMBER_EVENT))
                                                               : KIND_OTHER;
        add_facts(&r);
    }
}

/* ---- what it is, and its columns ---- */

static unsigned detect_penstock(struct slice head)
{
    struct slice line = text_take_line(&head);

    return slice_has_prefix(line, SLICE_LIT("{\"schema\":")) ||
           (slice_has_prefix(line, SLICE_LIT("{\"time\":\"")) &&
            slice_find_slice(line, SLICE_LIT(",\"level\":\"")) > 0 &&
            slice_find_slice(line, SLICE_LIT(",\"event\":\"")) > 0);
}

static int split_penstock(const struct log_carry *carry, struct slice line, struct arena *a,
                          struct slice fields[LOG_COLUMNS_MAX])
{
    struct json_line_value values[MEMBERS];

    (void)carry;
    if (json_line_read(line, members, MEMBERS, values) < 0)
        return -EINVAL;
    for (size_t i = 0; i < MEMBERS; i++)
        fields[i] = values[i].kind == JSON_LINE_STRING ? json_line_text(&values[i], '\n', a)
                    : values[i].kind == JSON_LINE_NONE ? slice_make(NULL, 0)
                                                       : values[i].text;
    return MEMBERS;
}

const struct log_format penstock_events_format = {
    .name = "penstock",
    .title = "Penstock's delivery or event log",
    .detect = detect_penstock,
    .scan = scan_penstock,
    .columns = LOG_COLUMN_LIST(PENSTOCK_MEMBERS),
    .split = split_penstock,
    .reply_column = MEMBER_REPLY,
};
