/*
 * logscan/powermta.c - PowerMTA's accounting files: CSV, each with a header line that begins with "type".
 *
 * Which columns and records there are is configuration. A row is about one recipient: received (r),
 * delivered (d), not now (t), bounced or too old (b), or about the whole queue (tq). Reports of others
 * (f, rb, rs) tell nothing of an attempt.
 */
#include <errno.h>
#include <string.h>

#include "logscan/csv_rows.h"
#include "logscan/formats.h"
#include "logscan/reply_form.h"
#include "logscan/text.h"

#define POWERMTA_COLUMNS(X)                                                                        \
    X(COLUMN_TYPE, "type")                                                                         \
    X(COLUMN_TIME, "timeLogged")                                                                   \
    X(COLUMN_QUEUED, "timeQueued")                                                                 \
    X(COLUMN_SENDER, "orig")                                                                       \
    X(COLUMN_RECIPIENT, "rcpt")                                                                    \
    X(COLUMN_STATUS, "dsnStatus")                                                                  \
    X(COLUMN_DIAGNOSIS, "dsnDiag")                                                                 \
    X(COLUMN_HOST, "dsnMta")                                                                       \
    X(COLUMN_CATEGORY, "bounceCat")                                                                \
    X(COLUMN_SOURCE_IP, "dlvSourceIp")                                                             \
    X(COLUMN_DESTINATION_IP, "dlvDestinationIp")                                                   \
    X(COLUMN_VMTA, "vmta")                                                                         \
    X(COLUMN_ENVELOPE, "envId")
enum { POWERMTA_COLUMNS(LOG_COLUMN_CONSTANT) COLUMNS };
static const char *const column_names[] = {POWERMTA_COLUMNS(LOG_COLUMN_NAME)};

enum powermta_kind {
    KIND_OTHER,
    KIND_ARRIVAL,
    KIND_DELIVERED,
    KIND_DEFERRED,
    KIND_FAILED,
    KIND_QUEUE, /* a connection failed: of no recipient */
};

struct row {
    struct csv_rows *rows;
    int64_t at_ms;
    enum powermta_kind kind;
    struct slice host, address;
};

static enum powermta_kind kind_of(struct slice type)
{
    static const struct {
        const char *type;
        enum powermta_kind kind;
    } kinds[] = {{"d", KIND_DELIVERED},
                 {"r", KIND_ARRIVAL},
                 {"t", KIND_DEFERRED},
                 {"b", KIND_FAILED},
                 {"tq", KIND_QUEUE}};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (slice_eq(type, slice_str(kinds[i].type)))
            return kinds[i].kind;
    return KIND_OTHER;
}

static struct slice column(const struct row *r, size_t which)
{
    return csv_rows_field(r->rows, which);
}

/* "2026-03-01 08:36:49+0000", or seconds since 1970. */
static bool read_time(struct slice text, int64_t *ret_ms)
{
    uint64_t seconds;

    if (slice_to_u64(text, INT64_MAX / 1000, &seconds) == 0) {
        *ret_ms = (int64_t)seconds * 1000;
        return true;
    }
    return csv_rows_time(text, ret_ms);
}

/* "mx1.gmz.example (198.18.10.7)". The address has a column of its own, where it is configured. */
static void read_host(struct row *r)
{
    struct slice text = column(r, COLUMN_HOST);
    ptrdiff_t blank = slice_find(text, ' ');

    r->host = blank < 0 ? text : slice_sub(text, 0, (size_t)blank);
    if (r->host.len > 0 && r->host.ptr[r->host.len - 1] == '.')
        r->host.len--;
    r->address = column(r, COLUMN_DESTINATION_IP);
    if (r->rows->index[COLUMN_DESTINATION_IP] < 0 && blank >= 0 && text.len > r->host.len + 3 &&
        text.ptr[blank + 1] == '(')
        r->address = slice_sub(text, (size_t)blank + 2, text.len - (size_t)blank - 3);
}

/* The envelope's id. Where there is none a message is known by when it came, from and to whom. */
static struct slice message_of(const struct row *r)
{
    const struct slice parts[] = {column(r, COLUMN_QUEUED), column(r, COLUMN_SENDER),
                                  column(r, COLUMN_RECIPIENT)};
    struct slice id = column(r, COLUMN_ENVELOPE);
    size_t len = ARRAY_SIZE(parts);
    uint8_t *key;

    if (id.len > 0)
        return id;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        len += parts[i].len;
    key = arena_take(&r->rows->s->arena, len);
    if (!key) {
        r->rows->s->error = -ENOMEM;
        return id;
    }
    id = slice_make(key, len);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (parts[i].len > 0)
            memcpy(key, parts[i].ptr, parts[i].len);
        key += parts[i].len;
        *key++ = '\n';
    }
    return id;
}

/* ---- what was said ---- */

/* "451 4.4.1 [internal] No answer from host (Connection timed out)": the cause. */
static struct slice own_cause(struct slice text)
{
    const struct slice internal = SLICE_LIT("[internal] ");
    ptrdiff_t at = slice_rfind(text, '(');

    if (at >= 0) {
        text = slice_from(text, (size_t)at + 1);
        while (text.len > 0 && text.ptr[text.len - 1] == ')')
            text.len--;
        return text;
    }
    at = slice_find_slice(text, internal);
    return at < 0 ? text : slice_from(text, (size_t)at + internal.len);
}

static struct slice diagnosis_of(const struct row *r)
{
    const struct slice smtp = SLICE_LIT("smtp;");
    struct slice text = column(r, COLUMN_DIAGNOSIS);

    return slice_has_prefix_case(text, smtp) ? slice_from(text, smtp.len) : text;
}

static bool is_expiry(const struct row *r, struct slice diagnosis)
{
    return r->kind == KIND_FAILED &&
           (slice_eq(column(r, COLUMN_CATEGORY), SLICE_LIT("message-expired")) ||
            slice_find_slice(diagnosis, SLICE_LIT("[internal] message timeout")) >= 0);
}

/* Sets reply, issuer and phase. Without a diagnosis there is the status at best: "4.3.1 (...)". */
static void set_reply(const struct row *r, struct slice diagnosis, struct log_fact *f)
{
    size_t used = 0;

    f->issuer = ISSUER_RECEIVER;
    f->phase = r->kind == KIND_DELIVERED ? SMTP_PHASE_END : SMTP_PHASE_IDLE;
    if (r->kind != KIND_DELIVERED &&
        (r->address.len == 0 || slice_find_slice(diagnosis, SLICE_LIT("[internal]")) >= 0)) {
        f->issuer = ISSUER_OWN_CLIENT;
        f->phase = r->address.len == 0 ? SMTP_PHASE_CONNECT : SMTP_PHASE_IDLE;
        f->reply = (struct log_reply){.text = own_cause(diagnosis)};
    } else if (!reply_form_line(diagnosis, &f->reply)) {
        f->reply = (struct log_reply){.text = diagnosis};
        if (diagnosis.len == 0)
            f->reply.text = column(r, COLUMN_STATUS);
        if (smtp_enhanced_parse(f->reply.text, &f->reply.enhanced, &used))
            f->reply.text = slice_from(f->reply.text, used);
    }
}

/* ---- facts ---- */

static struct log_fact *add_fact(const struct row *r, enum fact_kind kind)
{
    struct slice message = message_of(r);
    struct log_fact *f = log_scan_fact(r->rows->s, kind, r->rows->line);

    if (f) {
        f->at_ms = r->at_ms;
        f->has_seconds = true;
        f->numbering = NUMBERING_RECIPIENT;
        f->counts = COUNTS_ALL;
        f->message = message;
        f->sender = column(r, COLUMN_SENDER);
        f->recipient = column(r, COLUMN_RECIPIENT);
        f->connector = column(r, COLUMN_VMTA);
    }
    return f;
}

/* The first is that of a new message, the others are further recipients. */
static void add_arrival(const struct row *r)
{
    struct log_fact *f = add_fact(r, FACT_ARRIVAL);

    if (!f)
        return;
    f->number = 1;
    f->recipient = slice_make(NULL, 0);
}

static void set_host(const struct row *r, struct log_fact *f)
{
    f->host = r->address.len > 0 ? r->host : slice_make(NULL, 0);
    f->address = r->address;
    f->source = column(r, COLUMN_SOURCE_IP);
}

static void add_result(const struct row *r)
{
    static const uint8_t outcomes[] = {[KIND_DELIVERED] = OUTCOME_DELIVERED,
                                       [KIND_DEFERRED] = OUTCOME_DEFERRED,
                                       [KIND_FAILED] = OUTCOME_FAILED,
                                       [KIND_QUEUE] = OUTCOME_DEFERRED};
    struct log_scan *s = r->rows->s;
    struct slice diagnosis = diagnosis_of(r);
    bool expired = is_expiry(r, diagnosis);
    unsigned wanted = r->kind == KIND_DELIVERED ? WANT_ACCEPTED : WANT_REPLIES;
    struct log_fact *f;

    if (!expired && (s->wants & wanted)) {
        f = add_fact(r, FACT_REPLY);
        if (!f)
            return;
        set_host(r, f);
        set_reply(r, diagnosis, f);
    }
    if (r->kind == KIND_QUEUE || !(s->wants & WANT_LIVES))
        return;
    f = add_fact(r, expired ? FACT_EXPIRY : FACT_ATTEMPT);
    if (!f)
        return;
    set_host(r, f);
    set_reply(r, diagnosis, f);
    f->outcome = outcomes[r->kind];
}

static void scan_powermta(struct log_scan *s)
{
    struct csv_rows rows;

    csv_rows_init(&rows, s, CSV_HEADER_TYPE, column_names, COLUMNS);
    while (csv_rows_next(&rows)) {
        struct row r = {.rows = &rows, .kind = kind_of(csv_rows_field(&rows, COLUMN_TYPE))};

        if (!read_time(csv_rows_field(&rows, COLUMN_TIME), &r.at_ms)) {
            csv_rows_skip(&rows, SKIP_TIME);
        } else if (r.kind == KIND_ARRIVAL && (s->wants & WANT_LIVES)) {
            add_arrival(&r);
        } else if (r.kind > KIND_ARRIVAL) {
            read_host(&r);
            add_result(&r);
        }
    }
}

static bool begins_row(struct slice line)
{
    static const char *const types[] = {"d,", "b,", "t,", "r,", "tq,", "f,", "rb,", "rs,", "type,"};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (slice_has_prefix_case(line, slice_str(types[i])))
            return true;
    return false;
}

static unsigned detect_powermta(struct slice head)
{
    struct slice line = text_take_line(&head);
    const struct log_columns *columns;

    if (!slice_has_prefix_case(line, SLICE_LIT("type,")))
        return 0;
    columns = log_columns_of(slice_trim(line));
    return log_columns_find(columns, SLICE_LIT("timeLogged")) >= 0;
}

const struct log_format powermta_format = {
    .name = "powermta",
    .title = "PowerMTA accounting file",
    .detect = detect_powermta,
    .scan = scan_powermta,
    .begins_row = begins_row,
    .split = csv_rows_split,
    .reply_column = -1,
};
