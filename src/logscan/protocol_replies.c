/*
 * logscan/protocol_replies.c - search first, split round the hits.
 *
 * A reply is a row whose event is '<' (or '>') and whose data begins with its code, so ",<,4" is
 * searched for, 32 bytes at a time, and only the line round a hit is split: then it is known whether
 * the hit was in the event's column. Of 13 million rows some 1 % are split. Rows are counted as line
 * ends; lines that do not begin as rows do are looked at one by one.
 */
#include "logscan/protocol_replies.h"

#include <errno.h>
#include <string.h>

#include "logscan/csv.h"
#include "logscan/protocol.h"
#include "logscan/reply_form.h"
#include "logscan/search.h"
#include "logscan/stamp.h"
#include "logscan/text.h"

#define OPEN_MAX 64 /* replies whose last line has not come; a further one ends the oldest */
#define FAILURE SLICE_LIT("Failed to connect")
#define LINES_MAX 64 /* of one reply; more are left out of its text */

struct open_reply {
    struct slice session;
    size_t count;
    struct slice lines[LINES_MAX];
};

struct walk {
    struct log_scan *scan;
    struct slice text;                   /* lookback and chunk */
    size_t begin;                        /* of the chunk in it */
    const struct log_columns *columns;   /* in force */
    int16_t index[PROTOCOL_FIELD_COUNT]; /* of them; -1: not there */
    char event;
    uint8_t lowest;   /* first digit of a reply that is wanted */
    size_t last_line; /* + 1: begin of the line looked at last */
    size_t look_left; /* csv_row_end_within() */
    struct open_reply open[OPEN_MAX];
    size_t open_count;
};

/* ---- lines ---- */

static struct slice line_round(const struct walk *w, size_t at, size_t *ret_begin)
{
    ptrdiff_t before = slice_rfind(slice_sub(w->text, 0, at), '\n');
    size_t begin = (size_t)(before + 1);
    ptrdiff_t end = slice_find(slice_from(w->text, at), '\n');
    size_t len = (end < 0 ? w->text.len : at + (size_t)end) - begin;

    while (len > 0 && w->text.ptr[begin] == 0) {
        begin++;
        len--;
    }
    *ret_begin = begin;
    if (len > 0 && w->text.ptr[begin + len - 1] == '\r')
        len--;
    return slice_make(w->text.ptr + begin, len);
}

static void set_columns(struct walk *w, const struct log_columns *c)
{
    w->scan->carry_end.columns = c;
    w->columns = c;
    protocol_columns_find(c, w->index);
}

static bool has_columns(const struct walk *w)
{
    return w->index[FIELD_SESSION] >= 0 && w->index[FIELD_EVENT] >= 0 && w->index[FIELD_DATA] >= 0;
}

/* ---- replies of more than one line ---- */

static struct open_reply *find_open(struct walk *w, struct slice session)
{
    for (size_t i = 0; i < w->open_count; i++)
        if (slice_eq(w->open[i].session, session))
            return &w->open[i];
    return NULL;
}

static void add_line(struct walk *w, struct slice session, struct slice line)
{
    struct open_reply *o = find_open(w, session);

    if (!o) {
        if (w->open_count == OPEN_MAX)
            memmove(&w->open[0], &w->open[1], --w->open_count * sizeof(w->open[0]));
        o = &w->open[w->open_count++];
        o->session = session;
        o->count = 0;
    }
    if (o->count < LINES_MAX)
        o->lines[o->count++] = line;
}

static bool end_reply(struct walk *w, struct slice session, struct slice line,
                      struct log_reply *ret)
{
    struct open_reply *o = find_open(w, session);
    bool is_reply;

    if (!o)
        return reply_form_line(line, ret);
    if (o->count < LINES_MAX)
        o->lines[o->count++] = line;
    is_reply = reply_form_lines(o->lines, o->count, &w->scan->arena, ret);
    *o = w->open[--w->open_count];
    return is_reply;
}

/* ---- rows ---- */

static struct slice field_of(const struct walk *w, const struct slice *fields,
                             enum protocol_field f)
{
    return w->index[f] < 0 ? slice_make(NULL, 0) : fields[w->index[f]];
}

static void tell_reply(struct walk *w, struct slice line, const struct slice *fields,
                       const struct log_reply *reply, enum log_issuer issuer)
{
    struct log_scan *s = w->scan;
    struct log_fact *f;
    int64_t at_ms;

    if (line.len < STAMP_EXCHANGE_LEN || !stamp_exchange(line.ptr, &at_ms)) {
        log_scan_skip(s, SKIP_TIME, line.ptr);
        return;
    }
    f = log_scan_fact(s, FACT_REPLY, line.ptr);
    if (!f)
        return;
    f->at_ms = at_ms;
    f->issuer = (uint8_t)issuer;
    f->reply = *reply;
    f->address = text_address(field_of(w, fields, FIELD_REMOTE));
    f->source = text_address(field_of(w, fields, FIELD_LOCAL));
    f->connector = field_of(w, fields, FIELD_CONNECTOR);
}

static enum log_issuer reply_issuer(const struct walk *w)
{
    return w->event == '<' ? ISSUER_RECEIVER : ISSUER_OWN_SERVER;
}

static bool is_wanted(const struct walk *w, uint16_t code)
{
    return code >= 400 || (w->scan->wants & WANT_ACCEPTED);
}

/* A row that has been split: is it a reply, and its last line? `line` before the chunk (in the
 * lookback) only tells how replies begin. */
static void look_at_row(struct walk *w, struct slice line, const struct slice *fields)
{
    struct slice event = field_of(w, fields, FIELD_EVENT), data = field_of(w, fields, FIELD_DATA);
    struct slice session = field_of(w, fields, FIELD_SESSION);
    struct slice context = field_of(w, fields, FIELD_CONTEXT);
    struct log_reply reply = {0};

    if (slice_eq(event, SLICE_LIT("*")) && slice_has_prefix(context, FAILURE)) {
        reply.text = protocol_connect_failure(context);
        if (line.ptr >= w->scan->bytes.ptr)
            tell_reply(w, line, fields, &reply, ISSUER_OWN_CLIENT);
        return;
    }
    if (event.len != 1 || event.ptr[0] != (uint8_t)w->event)
        return;
    if (reply_form_is_continued(data))
        add_line(w, session, data);
    else if (end_reply(w, session, data, &reply) && line.ptr >= w->scan->bytes.ptr &&
             is_wanted(w, reply.code))
        tell_reply(w, line, fields, &reply, reply_issuer(w));
}

/* Splits the line, or where a field goes on behind it the whole row. The count of fields, -EINVAL. */
static int split(struct walk *w, size_t begin, struct slice *line, struct slice *fields)
{
    int count = csv_split(*line, &w->scan->arena, fields, LOG_COLUMNS_MAX);
    size_t end;

    if (count != -EINVAL)
        return count;
    end = csv_row_end_within(w->text, begin, LOG_LINE_MAX, &w->look_left);
    if (end == SIZE_MAX)
        return -EINVAL;
    *line = text_without_end(slice_sub(w->text, begin, end - begin));
    return csv_split(*line, &w->scan->arena, fields, LOG_COLUMNS_MAX);
}

static void skip(struct walk *w, enum log_skip why, struct slice line)
{
    if (line.ptr >= w->scan->bytes.ptr)
        log_scan_skip(w->scan, why, line.ptr);
}

static bool begins_reply(const struct walk *w, size_t event_at)
{
    size_t first = event_at + 2;

    if (first < w->text.len && w->text.ptr[first] == '"')
        first++;
    return first < w->text.len && w->text.ptr[first] >= w->lowest && w->text.ptr[first] <= '5';
}

static bool begins_failure(const struct walk *w, size_t event_at)
{
    struct slice context = slice_from(w->text, event_at + 3);

    if (context.len > 0 && context.ptr[0] == '"')
        context = slice_from(context, 1);
    return w->event == '<' && slice_has_prefix(context, FAILURE);
}

static void look_at_hit(struct walk *w, size_t at)
{
    struct slice fields[LOG_COLUMNS_MAX], line;
    size_t begin;
    int count;

    if (w->text.ptr[at] == '*' ? !begins_failure(w, at) : !begins_reply(w, at))
        return;
    line = line_round(w, at, &begin);
    if (begin + 1 == w->last_line)
        return;
    w->last_line = begin + 1;
    if (!has_columns(w)) {
        skip(w, SKIP_HEADER, line);
        return;
    }
    count = split(w, begin, &line, fields);
    if (count == (int)w->columns->count)
        look_at_row(w, line, fields);
    else
        skip(w, SKIP_COLUMNS, line);
}

/* ---- lines that do not begin as rows do ---- */

static bool continues_row(const struct walk *w, size_t line_begin)
{
    ptrdiff_t before;

    if (line_begin < 2)
        return false;
    before = slice_rfind(slice_sub(w->text, 0, line_begin - 1), '\n');
    return csv_row_end(slice_sub(w->text, 0, line_begin), (size_t)(before + 1)) == SIZE_MAX;
}

static struct slice without_end(struct slice line)
{
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
        line.len--;
    return line;
}

/* Whether the line is a row after all; else it is told what it is. */
static bool look_at_odd(struct walk *w, size_t begin)
{
    struct slice line = slice_from(w->text, begin), names;
    const uint8_t *at = line.ptr;

    while (line.len > 0 && line.ptr[0] == 0)
        line = slice_from(line, 1);
    line = text_without_mark(line);
    if (line.len > 0 && line.ptr[0] == '2')
        return true;
    line = slice_sub(line, 0, (size_t)(slice_find(line, '\n') + 1));
    if (slice_has_prefix(line, SLICE_LIT("#"))) {
        w->scan->tally.headers++;
        if (log_columns_header(without_end(line), &names))
            set_columns(w, log_columns_of(names));
    } else if (slice_trim(line).len <= 1 || line.ptr[0] == '\r') {
        if (at[0] == 0)
            log_scan_skip(w->scan, SKIP_NUL, at);
    } else if (!continues_row(w, begin)) {
        log_scan_skip(w->scan, SKIP_FORM, at);
    }
    return false;
}

/* ---- the walk ---- */

/* Hits before the chunk: only how replies begin is of interest. */
static void look_back(struct walk *w)
{
    struct search search;
    size_t at;

    search_init_replies(&search, slice_sub(w->text, 0, w->begin), w->event, (char)w->lowest, '5');
    while (search_next(&search, &at))
        if (w->text.ptr[at] != '\n')
            look_at_hit(w, at);
}

/* Lines that begin as rows do and are none. */
static uint64_t skipped_rows(const struct log_scan *s)
{
    const uint64_t *n = s->tally.skipped;

    return n[SKIP_COLUMNS] + n[SKIP_TIME] + n[SKIP_HEADER];
}

static void look_through(struct walk *w)
{
    struct search search;
    uint64_t others = 0, skipped = skipped_rows(w->scan);
    size_t at;

    search_init_replies(&search, slice_from(w->text, w->begin), w->event, (char)w->lowest, '5');
    if (w->text.ptr[w->begin] != '2')
        others += !look_at_odd(w, w->begin);
    while (search_next(&search, &at)) {
        at += w->begin;
        if (w->text.ptr[at] == '\n')
            others += !look_at_odd(w, at + 1);
        else
            look_at_hit(w, at);
    }
    w->scan->lines = search.lines;
    w->scan->tally.rows += search.lines - others - (skipped_rows(w->scan) - skipped);
}

void protocol_scan_replies(struct log_scan *s, char event)
{
    struct walk w = {.scan = s, .event = event, .begin = s->lookback, .look_left = CSV_LOOK_MAX};

    s->carry_end = s->carry;
    if (s->bytes.len == 0)
        return;
    w.lowest = (s->wants & WANT_ACCEPTED) ? '2' : '4';
    w.text = slice_make(s->bytes.ptr - s->lookback, s->lookback + s->bytes.len);
    set_columns(&w, s->carry.columns);
    look_back(&w);
    look_through(&w);
}
