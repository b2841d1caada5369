/*
 * logscan/connectivity.c - Exchange's connectivity log, and Penstock's own: what became of connections.
 *
 * A session is '+', then '>' for each step, then '-' with what was sent and the last error:
 *
 *     +  DnsConnectorDelivery ...;QueueLength=...
 *     >  DNS server returned mx.example [198.18.0.7], preference 10
 *     >  Established connection to 198.18.0.7 | Failed connection to 198.18.0.7:25 (Connection refused)
 *     -  Messages: 0 Bytes: 0 (Retry : 452 4.3.1 Insufficient system resources)
 *
 * Only the last line is an attempt, and the others say who it was made with. Rows of a session that
 * began in an earlier chunk wait for merge(), which has it (connectivity_open.c).
 */
#include "logscan/connectivity.h"

#include <errno.h>
#include <string.h>

#include "logscan/csv_rows.h"
#include "logscan/formats.h"
#include "logscan/reply_form.h"

#define CONNECTIVITY_COLUMNS(X)                                                                    \
    X(COLUMN_TIME, "date-time")                                                                    \
    X(COLUMN_SESSION, "session")                                                                   \
    X(COLUMN_DESTINATION, "destination")                                                           \
    X(COLUMN_DIRECTION, "direction")                                                               \
    X(COLUMN_DESCRIPTION, "description")
enum { CONNECTIVITY_COLUMNS(LOG_COLUMN_CONSTANT) COLUMNS };
static const char *const column_names[] = {CONNECTIVITY_COLUMNS(LOG_COLUMN_NAME)};

/* ---- steps ---- */

/* What stands behind `prefix`; false: it does not begin so. */
static bool behind(struct slice text, struct slice prefix, struct slice *ret)
{
    if (!slice_has_prefix(text, prefix))
        return false;
    *ret = slice_from(text, prefix.len);
    return true;
}

/* "mx.example [198.18.0.7], preference 10" */
static void take_dns(struct connectivity_session *c, struct slice text)
{
    ptrdiff_t open = slice_find(text, '['), close = slice_find(text, ']');

    if (open < 2 || close < open || text.ptr[open - 1] != ' ')
        return;
    c->host = slice_sub(text, 0, (size_t)open - 1);
    c->address = slice_sub(text, (size_t)open + 1, (size_t)(close - open) - 1);
    if (slice_find(c->host, ' ') >= 0) /* "no error reported by 192.0.2.53 [...]" */
        c->host = c->address = slice_make(NULL, 0);
    else if (c->host.ptr[c->host.len - 1] == '.')
        c->host.len--;
}

void connectivity_step(struct connectivity_session *c, const struct connectivity_row *row)
{
    struct slice text;
    ptrdiff_t open;

    if (row->direction != '>')
        return;
    if (behind(row->description, SLICE_LIT("DNS server returned "), &text)) {
        take_dns(c, text);
    } else if (behind(row->description, SLICE_LIT("Established connection to "), &text)) {
        if (!slice_eq(text, c->address)) { /* another one than the last that DNS told */
            c->host = slice_make(NULL, 0);
            c->address = text;
        }
    } else if (behind(row->description, SLICE_LIT("Failed connection to "), &text)) {
        open = slice_find(text, '(');
        if (open >= 0 && text.ptr[text.len - 1] == ')')
            c->error = slice_sub(text, (size_t)open + 1, text.len - (size_t)open - 2);
    }
}

/* ---- the end ---- */

/* "Messages: 0 Bytes: 0 (Retry : 452 4.3.1 ...)": what is behind the colon in brackets, if anything. */
static struct slice last_error(struct slice description)
{
    const struct slice colon = SLICE_LIT(" : ");
    ptrdiff_t open = slice_find(description, '('), at;
    struct slice text;

    if (open < 0 || description.ptr[description.len - 1] != ')')
        return slice_make(NULL, 0);
    text = slice_sub(description, (size_t)open + 1, description.len - (size_t)open - 2);
    at = slice_find_slice(text, colon);
    return at < 0 ? text : slice_from(text, (size_t)at + colon.len);
}

static struct log_fact *add_fact(struct log_scan *s, enum fact_kind kind,
                                 const struct connectivity_session *c,
                                 const struct connectivity_row *row)
{
    struct log_fact *f = log_scan_fact(s, kind, s->bytes.ptr + row->at);

    if (f) {
        f->at_ms = row->at_ms;
        f->numbering = NUMBERING_NONE;
        f->counts = COUNTS_ALL;
        f->host = c->host;
        f->address = c->address;
    }
    return f;
}

/* The domain alone: no connection tells of a recipient. */
static struct slice recipient_of(struct log_scan *s, struct slice destination)
{
    uint8_t *text = arena_take(&s->arena, destination.len + 1);

    if (!text) {
        s->error = -ENOMEM;
        return slice_make(NULL, 0);
    }
    text[0] = '@';
    if (destination.len > 0)
        memcpy(text + 1, destination.ptr, destination.len);
    return slice_make(text, destination.len + 1);
}

void connectivity_end(struct log_scan *s, const struct connectivity_session *c,
                      const struct connectivity_row *row)
{
    struct slice error = last_error(row->description);
    struct slice recipient = recipient_of(s, row->destination);
    struct log_reply reply = {0};
    bool is_failure = error.len > 0, is_said = is_failure && reply_form_line(error, &reply);
    struct log_fact *f;

    if (is_failure && !is_said)
        reply.text =
            slice_eq(error, SLICE_LIT("Failed to connect")) && c->error.len > 0 ? c->error : error;
    for (unsigned i = 0; i < 2; i++) {
        enum fact_kind kind = i == 0 ? FACT_REPLY : FACT_ATTEMPT;

        if (!(s->wants & (kind == FACT_REPLY ? WANT_REPLIES : WANT_LIVES)) ||
            (kind == FACT_REPLY && !is_failure))
            continue;
        f = add_fact(s, kind, c, row);
        if (!f)
            return;
        f->recipient = recipient;
        f->reply = reply;
        f->outcome = (uint8_t)(is_failure ? log_code_outcome(reply.code) : OUTCOME_DELIVERED);
        f->issuer = is_said || !is_failure ? ISSUER_RECEIVER : ISSUER_OWN_CLIENT;
        f->phase = is_said || !is_failure ? SMTP_PHASE_IDLE : SMTP_PHASE_CONNECT;
    }
}

/* ---- a chunk ---- */

static bool read_row(struct csv_rows *rows, struct connectivity_row *ret)
{
    struct slice direction = csv_rows_field(rows, COLUMN_DIRECTION);

    ret->at = (size_t)(rows->line - rows->s->bytes.ptr);
    ret->session = csv_rows_field(rows, COLUMN_SESSION);
    ret->destination = csv_rows_field(rows, COLUMN_DESTINATION);
    ret->description = csv_rows_field(rows, COLUMN_DESCRIPTION);
    ret->direction = direction.len == 1 ? direction.ptr[0] : 0;
    ret->next = NULL;
    if (!csv_rows_time(csv_rows_field(rows, COLUMN_TIME), &ret->at_ms))
        csv_rows_skip(rows, SKIP_TIME);
    else if (ret->session.len == 0 || ret->session.len > CONNECTIVITY_SESSION_MAX)
        csv_rows_skip(rows, SKIP_FORM);
    else
        return true;
    return false;
}

static void scan_connectivity(struct log_scan *s)
{
    struct connectivity_chunk *chunk = connectivity_chunk_new(s);
    struct csv_rows rows;

    csv_rows_init(&rows, s, CSV_HEADER_EXCHANGE, column_names, COLUMNS);
    while (chunk && csv_rows_next(&rows)) {
        struct connectivity_row row;

        if (read_row(&rows, &row))
            connectivity_chunk_row(s, chunk, &row);
    }
    if (chunk)
        connectivity_chunk_end(s, chunk);
}

static unsigned detect_connectivity(struct slice head)
{
    static const char *const needed[] = {"session", "destination", "direction", "description"};

    return csv_rows_detect(head, SLICE_LIT("Transport Connectivity Log"), needed,
                           ARRAY_SIZE(needed));
}

const struct log_format exchange_connectivity_format = {
    .name = "exchange-connectivity",
    .title = "Exchange connectivity log",
    .detect = detect_connectivity,
    .scan = scan_connectivity,
    .begins_row = csv_rows_begins,
    .merge = connectivity_merge,
    .free_state = connectivity_free_state,
    .split = csv_rows_split,
    .reply_column = -1,
};
