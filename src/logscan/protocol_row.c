/*
 * logscan/protocol_row.c - one row of a protocol log.
 *
 * Of three rows two are needed by nobody: lines of the answer to EHLO, certificates, permissions. So
 * a row in the usual layout is read only up to its event and the first bytes of its data before it is
 * passed over; connector and endpoints are compared with those of the row before, which are nearly
 * always the same. All that is not in the usual layout (other columns, quotes where there are none as
 * a rule) goes the slow way: split at all commas.
 *
 * What is passed over counts as a row, though its end is not looked at: only of a row that is needed is
 * it found out that it has a field too many or a quote that does not end.
 *
 * A row is a line: what SMTP says has no line breaks. Where a quote does not end the line was cut, and
 * the rows behind it are read as usual.
 */
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "logscan/csv.h"
#include "logscan/protocol.h"
#include "logscan/stamp.h"
#include "logscan/text.h"

#define ID_LEN 16 /* 08DC1DB8591B229A */

/* ---- hashing ---- */

/* Who writes the log picks the keys, and shall not know which of them meet. */
static struct {
    uint64_t add, multiply;
} hash_seed;

static void draw_seed(void)
{
    if (getrandom(&hash_seed, sizeof(hash_seed), 0) != sizeof(hash_seed))
        hash_seed.add = hash_seed.multiply = clock_mono_ns();
    hash_seed.multiply |= 1;
}

uint64_t protocol_hash(uint64_t key)
{
    return ((key + hash_seed.add) * hash_seed.multiply) >> 32;
}

/* ---- columns ---- */

void protocol_columns_find(const struct log_columns *columns,
                           int16_t ret_index[static PROTOCOL_FIELD_COUNT])
{
    static const char *const names[] = {PROTOCOL_FIELDS(LOG_COLUMN_NAME)};

    for (int i = 0; i < PROTOCOL_FIELD_COUNT; i++)
        ret_index[i] = (int16_t)log_columns_find(columns, slice_str(names[i]));
}

void protocol_reader_columns(struct protocol_reader *r, const struct log_columns *columns)
{
    r->columns = columns;
    protocol_columns_find(columns, r->index);
    r->is_plain = columns && columns->count == PROTOCOL_FIELD_COUNT;
    for (int i = 0; i < PROTOCOL_FIELD_COUNT; i++)
        r->is_plain = r->is_plain && r->index[i] == i;
    r->is_usable = r->index[FIELD_TIME] >= 0 && r->index[FIELD_SESSION] >= 0 &&
                   r->index[FIELD_EVENT] >= 0 && r->index[FIELD_DATA] >= 0;
}

void protocol_reader_init(struct protocol_reader *r, struct log_scan *s, bool is_send)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, draw_seed);
    *r = (struct protocol_reader){.s = s, .is_send = is_send};
    memset(r->id, '0', sizeof(r->id)); /* whose key is 0 */
    r->command_event = is_send ? '>' : '<';
    r->reply_event = is_send ? '<' : '>';
    r->wants_accepted = s->wants & WANT_ACCEPTED;
    protocol_reader_columns(r, s->carry.columns);
}

/* ---- what is needed ---- */

static bool is_informative(struct slice context)
{
    return TEXT_BEGINS(context, "sending message with RecordId ") ||
           TEXT_BEGINS(context, "Failed to connect");
}

/* The lines of what is accepted are told by the last one; but the host names itself in the first line
 * of its greeting. */
static bool is_wanted_reply(const struct protocol_reader *r, struct slice data)
{
    return data.len >= 3 && (r->wants_accepted || data.ptr[0] > '3' || data.len == 3 ||
                             data.ptr[3] != '-' || TEXT_BEGINS(data, "220"));
}

/* Is a row needed? Of a field in quotes that has not been read the begin is looked at: what makes a row
 * needed has no quotes in it. */
static bool is_wanted(const struct protocol_reader *r, const struct protocol_row *row,
                      struct slice data, struct slice context)
{
    if (protocol_row_begins(row))
        return true;
    if (row->event == r->reply_event)
        return is_wanted_reply(r, data);
    if (row->event == '*')
        return r->is_send && is_informative(context);
    return row->event == r->command_event || row->event == '-';
}

/* ---- sessions ---- */

static const uint8_t hex_value[256] = {
    ['0'] = 0x10, ['1'] = 0x11, ['2'] = 0x12, ['3'] = 0x13, ['4'] = 0x14, ['5'] = 0x15,
    ['6'] = 0x16, ['7'] = 0x17, ['8'] = 0x18, ['9'] = 0x19, ['A'] = 0x1a, ['B'] = 0x1b,
    ['C'] = 0x1c, ['D'] = 0x1d, ['E'] = 0x1e, ['F'] = 0x1f, ['a'] = 0x1a, ['b'] = 0x1b,
    ['c'] = 0x1c, ['d'] = 0x1d, ['e'] = 0x1e, ['f'] = 0x1f,
};

/* An id that is no number of 16 hex digits is taken by its hash: two of 2^32 sessions meet. */
static uint64_t session_key(struct protocol_reader *r, struct slice id)
{
    uint64_t key = 0;
    uint8_t all = 0x10;

    if (id.len != ID_LEN)
        return slice_hash_case(id, hash_seed.add);
    if (memcmp(id.ptr, r->id, ID_LEN) == 0)
        return r->id_key;
    for (size_t i = 0; i < ID_LEN; i++) {
        uint8_t v = hex_value[id.ptr[i]];

        all &= v;
        key = key << 4 | (v & 15);
    }
    if (!all)
        key = slice_hash_case(id, hash_seed.add);
    memcpy(r->id, id.ptr, ID_LEN);
    r->id_key = key;
    return key;
}

/* ---- the slow way ---- */

static struct slice field_of(const struct protocol_reader *r, const struct slice *fields,
                             enum protocol_field f)
{
    return r->index[f] >= 0 ? fields[r->index[f]] : slice_make(NULL, 0);
}

static bool is_event(uint8_t c)
{
    return c == '<' || c == '>' || c == '*' || c == '+' || c == '-';
}

static enum protocol_read skipped(enum log_skip why, enum log_skip *ret_why)
{
    *ret_why = why;
    return PROTOCOL_SKIPPED;
}

static enum protocol_read read_any(struct protocol_reader *r, struct slice line,
                                   struct protocol_row *ret, enum log_skip *ret_why)
{
    struct slice fields[LOG_COLUMNS_MAX], event, time;
    int n;

    if (!r->columns)
        return skipped(SKIP_HEADER, ret_why);
    n = r->is_usable ? csv_split(line, &r->s->arena, fields, LOG_COLUMNS_MAX) : -1;
    if (n < 0 || (uint32_t)n != r->columns->count)
        return skipped(SKIP_COLUMNS, ret_why);
    event = field_of(r, fields, FIELD_EVENT);
    if (event.len != 1 || !is_event(event.ptr[0]))
        return skipped(SKIP_FORM, ret_why);
    time = field_of(r, fields, FIELD_TIME);
    if (stamp_iso(time, &ret->at_ms) != time.len || time.len == 0)
        return skipped(SKIP_TIME, ret_why);
    ret->line = line.ptr;
    ret->event = event.ptr[0];
    ret->connector = field_of(r, fields, FIELD_CONNECTOR);
    ret->local = field_of(r, fields, FIELD_LOCAL);
    ret->remote = field_of(r, fields, FIELD_REMOTE);
    ret->data = field_of(r, fields, FIELD_DATA);
    ret->context = field_of(r, fields, FIELD_CONTEXT);
    ret->session = session_key(r, field_of(r, fields, FIELD_SESSION));
    ret->is_first = slice_eq(field_of(r, fields, FIELD_SEQUENCE), SLICE_LIT("0"));
    return is_wanted(r, ret, ret->data, ret->context) ? PROTOCOL_WANTED : PROTOCOL_PASSED;
}

/* ---- the fast way ---- */

/* Where the field at `p` ends: at its comma; NULL: the line ends before. */
static const uint8_t *comma(const uint8_t *p, const uint8_t *end)
{
    return p < end ? memchr(p, ',', (size_t)(end - p)) : NULL;
}

/* The comma behind the field in quotes at `p`: behind the quote that no second one follows. */
static const uint8_t *quoted_comma(const uint8_t *p, const uint8_t *end)
{
    for (p++; p < end; p++) {
        if (*p != '"')
            continue;
        if (p + 1 == end || p[1] == ',')
            return p + 1 == end ? NULL : p + 1;
        p++;
    }
    return NULL;
}

/* Past the connector and its comma. */
static const uint8_t *pass_connector(struct protocol_reader *r, const uint8_t *p,
                                     const uint8_t *end)
{
    struct slice raw;
    const uint8_t *q;

    if (r->raw_connector.len > 0 && (size_t)(end - p) > r->raw_connector.len &&
        memcmp(p, r->raw_connector.ptr, r->raw_connector.len) == 0)
        return p + r->raw_connector.len;
    q = p < end && *p == '"' ? quoted_comma(p, end) : comma(p, end);
    if (!q)
        return NULL;
    raw = slice_make(p, (size_t)(q - p));
    if (csv_split(raw, &r->s->arena, &r->connector, 1) != 1)
        return NULL;
    r->raw_connector = slice_make(p, raw.len + 1);
    return q + 1;
}

/* Past both endpoints and their commas. */
static const uint8_t *pass_endpoints(struct protocol_reader *r, const uint8_t *p,
                                     const uint8_t *end)
{
    const uint8_t *first, *second;

    if (r->raw_endpoints.len > 0 && (size_t)(end - p) > r->raw_endpoints.len &&
        memcmp(p, r->raw_endpoints.ptr, r->raw_endpoints.len) == 0)
        return p + r->raw_endpoints.len;
    first = comma(p, end);
    second = first ? comma(first + 1, end) : NULL;
    if (!second || *p == '"' || first[1] == '"')
        return NULL;
    r->raw_endpoints = slice_make(p, (size_t)(second + 1 - p));
    r->local = slice_make(p, (size_t)(first - p));
    r->remote = slice_make(first + 1, (size_t)(second - first - 1));
    return second + 1;
}

/* Reads up to the event; the rest of the line is data and context. The empty slice: not in the usual
 * form. */
static struct slice read_head(struct protocol_reader *r, struct slice line, struct slice *ret_id,
                              struct protocol_row *ret)
{
    const struct slice none = {0};
    const uint8_t *p = line.ptr, *end = line.ptr + line.len;

    if (line.len <= STAMP_EXCHANGE_LEN || p[STAMP_EXCHANGE_LEN] != ',' || p[10] != 'T')
        return none;
    p = pass_connector(r, p + STAMP_EXCHANGE_LEN + 1, end);
    /* "ID,0,,," and the event with its comma are the least that follows. */
    if (!p || end - p < ID_LEN + 7 || p[ID_LEN] != ',')
        return none;
    *ret_id = slice_make(p, ID_LEN);
    p += ID_LEN + 1;
    ret->is_first = p[0] == '0' && p[1] == ',';
    while (p < end && byte_is_digit(*p))
        p++;
    if (p == end || *p != ',')
        return none;
    p = pass_endpoints(r, p + 1, end);
    if (!p || end - p < 3 || p[1] != ',')
        return none;
    ret->event = p[0];
    return slice_make(p + 2, (size_t)(end - p - 2));
}

/* Rows of one answer, or of a pipeline, have one stamp. */
static bool read_stamp(struct protocol_reader *r, const uint8_t *text, int64_t *ret_ms)
{
    if (!r->stamp || memcmp(text, r->stamp, STAMP_EXCHANGE_LEN) != 0) {
        if (!stamp_exchange(text, &r->stamp_ms))
            return false;
        r->stamp = text;
    }
    *ret_ms = r->stamp_ms;
    return true;
}

/* Splits "data,context". */
static bool split_rest(struct protocol_reader *r, struct slice rest, struct protocol_row *ret)
{
    struct slice fields[2];
    const uint8_t *end = rest.ptr + rest.len, *at = comma(rest.ptr, end);

    if (at && rest.ptr[0] != '"' && (at + 1 == end || (at[1] != '"' && !comma(at + 1, end)))) {
        ret->data = slice_make(rest.ptr, (size_t)(at - rest.ptr));
        ret->context = slice_make(at + 1, (size_t)(end - at - 1));
        return true;
    }
    if (csv_split(rest, &r->s->arena, fields, 2) != 2)
        return false;
    ret->data = fields[0];
    ret->context = fields[1];
    return true;
}

/* is_wanted() of fields not yet split: the context of a '*' row is looked at only behind empty data,
 * as all rows that are needed have it. */
static bool is_wanted_rest(const struct protocol_reader *r, const struct protocol_row *row,
                           struct slice rest)
{
    struct slice data = rest, context = {0};

    if (row->event == '*' && rest.ptr[0] == ',') {
        context = slice_make(rest.ptr + 1, rest.len - 1);
        if (context.len > 0 && context.ptr[0] == '"')
            context = slice_make(context.ptr + 1, context.len - 1);
    }
    if (data.ptr[0] == '"')
        data = slice_make(data.ptr + 1, data.len - 1);
    return is_wanted(r, row, data, context);
}

enum protocol_read protocol_row_read(struct protocol_reader *r, struct slice line,
                                     struct protocol_row *ret, enum log_skip *ret_why)
{
    struct slice rest = {0}, id;

    if (r->is_plain)
        rest = read_head(r, line, &id, ret);
    if (rest.len == 0 || !is_event(ret->event))
        return read_any(r, line, ret, ret_why);
    if (!is_wanted_rest(r, ret, rest))
        return PROTOCOL_PASSED;
    if (!split_rest(r, rest, ret))
        return skipped(SKIP_COLUMNS, ret_why);
    if (!read_stamp(r, line.ptr, &ret->at_ms))
        return read_any(r, line, ret, ret_why);
    ret->line = line.ptr;
    ret->connector = r->connector;
    ret->local = r->local;
    ret->remote = r->remote;
    ret->session = session_key(r, id);
    return PROTOCOL_WANTED;
}

/* ---- values ---- */

struct slice protocol_path(struct slice command)
{
    ptrdiff_t open = slice_find(command, '<'), colon = slice_find(command, ':');
    bool is_quoted = false;
    struct slice s;

    if (open < 0) {
        s = colon < 0 ? slice_make(NULL, 0) : slice_trim(slice_from(command, (size_t)colon + 1));
        colon = slice_find(s, ' ');
        return colon < 0 ? s : slice_sub(s, 0, (size_t)colon);
    }
    s = slice_from(command, (size_t)open + 1);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"')
            is_quoted = !is_quoted;
        else if (s.ptr[i] == '\\' && is_quoted)
            i++;
        else if (s.ptr[i] == '>' && !is_quoted)
            return slice_sub(s, 0, i);
    }
    /* A quote that has no second one is a letter. */
    open = slice_rfind(s, '>');
    return slice_sub(s, 0, open < 0 ? 0 : (size_t)open);
}
