/*
 * logscan/tracking.c - Exchange's message tracking log, and Penstock's own, which has its columns.
 *
 * A row is about some recipients of one message at one time; rows of one message with one time are one
 * attempt. Which rows are attempts: SEND, SENDEXTERNAL, DEFER and FAIL. The many others (agents, shadow
 * copies, forks) tell of the same mail again.
 *
 * What became of a recipient is in `recipient-status`, in the order of `recipient-address`:
 *
 *     [{LED=452 4.3.1 text};{MSG=};{FQDN=mx.example};{IP=198.18.0.7};{LRT=...}];[{LED=...}]
 *     452 4.3.1 text;Connection refused        older servers, and Penstock
 *
 * The texts hold semicolons themselves.
 */

#include "logscan/csv_rows.h"
#include "logscan/formats.h"
#include "logscan/reply_form.h"
#include "logscan/winsock.h"

#define TRACKING_COLUMNS(X)                                                                        \
    X(COLUMN_TIME, "date-time")                                                                    \
    X(COLUMN_CLIENT_IP, "client-ip")                                                               \
    X(COLUMN_SERVER_IP, "server-ip")                                                               \
    X(COLUMN_SERVER_HOSTNAME, "server-hostname")                                                   \
    X(COLUMN_CONNECTOR, "connector-id")                                                            \
    X(COLUMN_SOURCE, "source")                                                                     \
    X(COLUMN_EVENT, "event-id")                                                                    \
    X(COLUMN_ID, "internal-message-id")                                                            \
    X(COLUMN_RECIPIENTS, "recipient-address")                                                      \
    X(COLUMN_STATUSES, "recipient-status")                                                         \
    X(COLUMN_COUNT, "recipient-count")                                                             \
    X(COLUMN_SENDER, "sender-address")
enum { TRACKING_COLUMNS(LOG_COLUMN_CONSTANT) COLUMNS };
static const char *const column_names[] = {TRACKING_COLUMNS(LOG_COLUMN_NAME)};

enum tracking_kind { KIND_OTHER, KIND_ARRIVAL, KIND_DELIVERED, KIND_DEFERRED, KIND_FAILED };

struct row {
    struct csv_rows *rows;
    int64_t at_ms;
    enum tracking_kind kind;
};

/* What the status of one recipient says. */
struct status {
    struct log_reply reply;
    struct slice host, address;
    enum log_issuer issuer;
    uint8_t phase;
    bool is_expiry; /* too old */
    bool is_tried;  /* false: refused or ended here, no attempt was made */
};

/* ---- rows ---- */

static enum tracking_kind kind_of(struct slice event)
{
    static const struct {
        const char *event;
        enum tracking_kind kind;
    } kinds[] = {
        {"RECEIVE", KIND_ARRIVAL}, {"SENDEXTERNAL", KIND_DELIVERED},
        {"SEND", KIND_DELIVERED},  {"DEFER", KIND_DEFERRED},
        {"FAIL", KIND_FAILED},     {"DSN", KIND_ARRIVAL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (slice_eq(event, slice_str(kinds[i].event)))
            return kinds[i].kind;
    return KIND_OTHER;
}

static struct slice column(const struct row *r, size_t which)
{
    return csv_rows_field(r->rows, which);
}

static struct log_fact *add_fact(const struct row *r, enum fact_kind kind)
{
    struct log_fact *f = log_scan_fact(r->rows->s, kind, r->rows->line);

    if (f) {
        f->at_ms = r->at_ms;
        f->is_unordered = true; /* Penstock's threads write as they are done */
        f->numbering = NUMBERING_TIME;
        f->counts = COUNTS_ALL;
        f->message = column(r, COLUMN_ID);
        f->sender = column(r, COLUMN_SENDER);
        f->source = column(r, COLUMN_CLIENT_IP);
        f->connector = column(r, COLUMN_CONNECTOR);
    }
    return f;
}

/* ---- lists ---- */

/* The next of a list of addresses, cut at ';'. A list that was too long ends in "...". */
static bool next_address(struct slice *left, struct slice *ret)
{
    ptrdiff_t end = slice_find(*left, ';');

    *ret = end < 0 ? *left : slice_sub(*left, 0, (size_t)end);
    *left = slice_from(*left, ret->len + 1);
    return ret->len > 0 && !slice_eq(*ret, SLICE_LIT("..."));
}

static size_t count_addresses(struct slice list)
{
    struct slice address;
    size_t n = 0;

    while (next_address(&list, &address))
        n++;
    return n;
}

/* Where the next status after a ';' begins: at a bracket, or a reply's code. */
static bool begins_status(struct slice s, bool is_newer)
{
    struct log_reply r;

    return is_newer ? slice_has_prefix(s, SLICE_LIT("[{")) : reply_form_line(s, &r);
}

/* How the statuses of a row are told apart. */
struct statuses {
    struct slice left;
    bool is_newer;    /* in brackets */
    bool cuts_at_any; /* at each ';': there are as many texts as recipients */
    bool is_last;
};

static struct slice next_status(struct statuses *l)
{
    size_t at = 0;

    while (!l->is_last && at < l->left.len) {
        ptrdiff_t found = slice_find(slice_from(l->left, at), ';');
        size_t end = found < 0 ? l->left.len : at + (size_t)found;
        bool is_end = !l->is_newer || (end > 0 && l->left.ptr[end - 1] == ']');

        at = end + 1;
        if (found < 0)
            break;
        if (is_end && (l->cuts_at_any || begins_status(slice_from(l->left, at), l->is_newer))) {
            struct slice status = slice_sub(l->left, 0, end);

            l->left = slice_from(l->left, at);
            return status;
        }
    }
    l->is_last = true; /* it holds for all that follow */
    return l->left;
}

static size_t count_byte(struct slice s, uint8_t byte)
{
    size_t n = 0;

    for (ptrdiff_t at; (at = slice_find(s, byte)) >= 0; n++)
        s = slice_from(s, (size_t)at + 1);
    return n;
}

static struct statuses statuses_of(struct slice list, size_t recipients)
{
    struct statuses l = {.left = list, .is_newer = slice_has_prefix(list, SLICE_LIT("[{"))};

    l.cuts_at_any = !l.is_newer && count_byte(list, ';') + 1 == recipients;
    return l;
}

/* ---- one status ---- */

/* The value of "{KEY=" in brackets. */
static struct slice part_of(struct slice status, struct slice key)
{
    ptrdiff_t at = slice_find_slice(status, key), end;

    if (at < 0)
        return slice_make(NULL, 0);
    status = slice_from(status, (size_t)at + key.len);
    end = slice_find_slice(status, SLICE_LIT("};{"));
    if (end < 0)
        end = slice_find_slice(status, SLICE_LIT("}]"));
    return end < 0 ? status : slice_sub(status, 0, (size_t)end);
}

/* Sources whose failures are verdicts of this server, not the result of an attempt. */
static bool is_verdict(struct slice source)
{
    static const char *const sources[] = {"ROUTING", "RESOLVER", "AGENT", "ADMIN"};

    for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
        if (slice_eq(source, slice_str(sources[i])))
            return true;
    return false;
}

static struct status read_status(const struct row *r, struct slice text, bool is_newer)
{
    struct status s = {.host = column(r, COLUMN_SERVER_HOSTNAME),
                       .address = column(r, COLUMN_SERVER_IP),
                       .phase = r->kind == KIND_DELIVERED ? SMTP_PHASE_END : SMTP_PHASE_IDLE,
                       .is_tried = true};
    struct slice source = column(r, COLUMN_SOURCE);
    bool is_reply;

    if (is_newer && r->kind != KIND_DELIVERED) {
        s.host = part_of(text, SLICE_LIT("{FQDN="));
        s.address = part_of(text, SLICE_LIT("{IP="));
        text = part_of(text, SLICE_LIT("{LED="));
    }
    is_reply = reply_form_line(text, &s.reply);
    if (r->kind == KIND_DELIVERED)
        return s;
    s.is_expiry =
        r->kind == KIND_FAILED && (slice_eq(source, SLICE_LIT("QUEUE")) ||
                                   slice_find_slice(text, SLICE_LIT("QUEUE.Expired")) >= 0);
    s.is_tried = r->kind != KIND_FAILED || !is_verdict(source);
    s.issuer = s.is_tried ? ISSUER_RECEIVER : ISSUER_OWN_SERVER;
    /* Without an address there was nobody who could have said it. */
    if (s.is_tried && (!is_reply || s.address.len == 0)) {
        s.issuer = ISSUER_OWN_CLIENT;
        s.reply = (struct log_reply){.text = text};
        if (winsock_text(text, &s.reply.text) || s.address.len == 0)
            s.phase = SMTP_PHASE_CONNECT;
    }
    if (s.address.len == 0)
        s.host = slice_make(NULL, 0);
    return s;
}

/* ---- facts ---- */

static void add_status(struct log_fact *f, const struct status *s, struct slice recipient)
{
    f->recipient = recipient;
    f->reply = s->reply;
    f->host = s->host;
    f->address = s->address;
    f->issuer = (uint8_t)s->issuer;
    f->phase = s->phase;
}

static void add_result(const struct row *r, const struct status *s, struct slice recipient)
{
    static const uint8_t outcomes[] = {[KIND_DELIVERED] = OUTCOME_DELIVERED,
                                       [KIND_DEFERRED] = OUTCOME_DEFERRED,
                                       [KIND_FAILED] = OUTCOME_FAILED};
    struct log_scan *scan = r->rows->s;
    bool is_said = r->kind != KIND_DELIVERED && !s->is_expiry;
    struct log_fact *f;

    if ((is_said && (scan->wants & WANT_REPLIES)) ||
        (r->kind == KIND_DELIVERED && s->reply.code > 0 && (scan->wants & WANT_ACCEPTED))) {
        f = add_fact(r, FACT_REPLY);
        if (f)
            add_status(f, s, recipient);
    }
    if (!(scan->wants & WANT_LIVES))
        return;
    f = add_fact(r, s->is_expiry ? FACT_EXPIRY : FACT_ATTEMPT);
    if (!f)
        return;
    add_status(f, s, recipient);
    f->outcome = outcomes[r->kind];
    if (!s->is_tried)
        f->counts = 0;
}

static void add_results(const struct row *r)
{
    struct slice left = column(r, COLUMN_RECIPIENTS), recipient;
    struct statuses list = statuses_of(column(r, COLUMN_STATUSES), count_addresses(left));
    struct status s = {0};
    bool is_read = false;

    while (r->rows->s->error == 0 && next_address(&left, &recipient)) {
        if (!is_read)
            s = read_status(r, next_status(&list), list.is_newer);
        is_read = list.is_last; /* not once more for each of many recipients */
        add_result(r, &s, recipient);
    }
}

/* The list may be cut, the number is not; where both are there and differ, the larger is right. */
static void add_arrival(const struct row *r)
{
    uint64_t count = 0;
    size_t listed = count_addresses(column(r, COLUMN_RECIPIENTS));
    struct log_fact *f = add_fact(r, FACT_ARRIVAL);

    if (!f)
        return;
    if (slice_to_u64(column(r, COLUMN_COUNT), UINT32_MAX, &count) < 0 || count < listed)
        count = listed;
    f->number = (uint32_t)count;
    f->host = slice_make(NULL, 0);
    f->source = slice_make(NULL, 0);
}

static void scan_tracking(struct log_scan *s)
{
    struct csv_rows rows;

    csv_rows_init(&rows, s, CSV_HEADER_EXCHANGE, column_names, COLUMNS);
    while (csv_rows_next(&rows)) {
        struct row r = {.rows = &rows, .kind = kind_of(csv_rows_field(&rows, COLUMN_EVENT))};

        if (!csv_rows_time(csv_rows_field(&rows, COLUMN_TIME), &r.at_ms))
            csv_rows_skip(&rows, SKIP_TIME);
        else if (r.kind == KIND_ARRIVAL && (s->wants & WANT_LIVES))
            add_arrival(&r);
        else if (r.kind > KIND_ARRIVAL)
            add_results(&r);
    }
}

static unsigned detect_tracking(struct slice head)
{
    static const char *const needed[] = {"event-id", "internal-message-id", "recipient-status"};

    return csv_rows_detect(head, SLICE_LIT("Message Tracking Log"), needed, ARRAY_SIZE(needed));
}

const struct log_format exchange_tracking_format = {
    .name = "exchange-tracking",
    .title = "Exchange message tracking log",
    .detect = detect_tracking,
    .scan = scan_tracking,
    .begins_row = csv_rows_begins,
    .split = csv_rows_split,
    .reply_column = -1,
};
