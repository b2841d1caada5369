/*
 * logscan/query_rows.c - from bytes to cells.
 *
 * The fast walk goes from place to place (search.h). At a place it counts the commas since the
 * line's begin to know the column; a line with a quote before the place is split at once. What was
 * counted is kept while the walk stays in the line, so no byte is counted twice. A line after whose
 * end no digit stands is looked at by itself: a header, NULs, or the rest of a field with a line break.
 */
#include "logscan/query_rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "evidence/providers.h"
#include "evidence/replies.h"
#include "logscan/csv.h"
#include "logscan/reply_form.h"
#include "logscan/search.h"
#include "logscan/stamp.h"
#include "logscan/syslog_line.h"
#include "logscan/text.h"

#define ABSENT (-1)
#define DAY_LEN 10
#define TIME_LEN 24

/* What is known of the row at hand. */
struct row {
    struct slice line;
    struct slice fields[LOG_COLUMNS_MAX];
    int count;
    bool has_reply, has_time; /* was looked for */
    struct log_reply reply;   /* code 0: none */
    bool is_reply;
    char enhanced[16];
    struct slice host;
    struct query_cell provider; /* of its session, in a protocol log */
    int64_t at_ms;              /* INT64_MIN: none */
    char time[TIME_LEN + 1];
    uint64_t line_number;
};

struct walk {
    struct log_scan *s;
    const struct query_plan *plan;
    struct query_batch *out;
    struct log_carry carry;           /* where the walk is */
    const struct log_columns *mapped; /* that `map` is of */
    int16_t map[QUERY_COLUMNS_MAX];   /* field of a column of the table */
    int time_field, reply_field;      /* ABSENT: none */
    int session_fields[4];            /* id, sequence, event, data */
    bool moves_year;                  /* stamps have none: each line's is read to know the next's */
    struct arena scratch;             /* of the row at hand */
    size_t numbered;                  /* bytes whose lines are counted */
    uint64_t line_number;             /* lines before it */
    size_t look_left;                 /* csv_row_end_within() */
};

void query_batch_free(struct query_batch **b)
{
    if (!*b)
        return;
    free((*b)->cells);
    arena_done(&(*b)->arena);
    if ((*b)->sessions)
        query_sessions_done((*b)->sessions);
    free((*b)->sessions);
    free(*b);
    *b = NULL;
}

size_t query_batch_bytes(const struct query_batch *b)
{
    return b->cell_room * sizeof(*b->cells) + arena_bytes(&b->arena);
}

/* ---- columns ---- */

static bool is_protocol(const struct log_format *f)
{
    return strcmp(f->name, "exchange-send") == 0 || strcmp(f->name, "exchange-receive") == 0;
}

static int first_of(const struct log_columns *c, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int at = log_columns_find(c, slice_str(names[i]));

        if (at >= 0)
            return at;
    }
    return ABSENT;
}

static void map_columns(struct walk *w)
{
    static const char *const times[] = {"date-time", "timeLogged", "event_time", "time",
                                        "timestamp"};
    const struct log_format *f = w->s->format;
    const struct log_columns *c =
        f->columns ? log_columns_of(slice_str(f->columns)) : w->carry.columns;

    if (c == w->mapped && c)
        return;
    w->mapped = c;
    for (size_t i = 0; i < w->plan->column_count; i++)
        w->map[i] = w->plan->columns[i].kind == QUERY_FIELD
                        ? (int16_t)log_columns_find(c, w->plan->columns[i].field)
                        : ABSENT;
    w->time_field = first_of(c, times, ARRAY_SIZE(times));
    w->reply_field = f->reply_column;
    if (is_protocol(f)) { /* by name: a header may have them in another order */
        static const char *const names[] = {"session-id", "sequence-number", "event", "data"};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            w->session_fields[i] = first_of(c, &names[i], 1);
        w->reply_field = w->session_fields[3];
    }
}

/* ---- what a row says ---- */

static bool read_time(struct walk *w, struct row *r)
{
    struct slice field = w->time_field >= 0 && w->time_field < r->count ? r->fields[w->time_field]
                                                                        : (struct slice){0};
    uint64_t seconds;

    if (field.len == TIME_LEN && stamp_exchange(field.ptr, &r->at_ms))
        return true;
    if (stamp_iso(field, &r->at_ms) > 0)
        return true;
    if (slice_to_u64(field, INT32_MAX, &seconds) == 0) {
        r->at_ms = (int64_t)seconds * 1000;
        return true;
    }
    return stamp_syslog(field, &w->carry, &r->at_ms) > 0 || stamp_iso(r->line, &r->at_ms) > 0 ||
           stamp_syslog(r->line, &w->carry, &r->at_ms) > 0;
}

static void write_time(struct row *r)
{
    time_t seconds = (time_t)(r->at_ms / 1000 - (r->at_ms % 1000 < 0));
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099) {
        r->at_ms = INT64_MIN;
        return;
    }
    (void)snprintf(r->time, sizeof(r->time), "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
                   (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
                   (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
                   (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100,
                   (unsigned)((r->at_ms % 1000 + 1000) % 1000));
}

static void need_time(struct walk *w, struct row *r)
{
    if (r->has_time)
        return;
    r->has_time = true;
    r->at_ms = INT64_MIN;
    if (read_time(w, r))
        write_time(r);
}

static void keep_reply(struct walk *w, struct row *r, const struct log_fact *f)
{
    r->reply = f->reply;
    r->reply.text = arena_copy(&w->scratch, f->reply.text);
    r->is_reply = f->reply.code > 0;
}

/* What the format's own scan makes of this line alone. */
static void scan_line(struct walk *w, struct row *r)
{
    const uint8_t *end = w->s->bytes.ptr + w->s->bytes.len;
    const uint8_t *stop = r->line.ptr + r->line.len;
    struct log_scan one = {.format = w->s->format,
                           .offset = w->s->offset,
                           .file = w->s->file,
                           .wants = WANT_REPLIES | WANT_ACCEPTED | WANT_LIVES,
                           .carry = w->carry,
                           .carry_end = w->carry};

    while (stop < end && *stop != '\n')
        stop++;
    one.bytes = slice_make(r->line.ptr, (size_t)(stop - r->line.ptr) + (stop < end));
    w->s->format->scan(&one);
    for (size_t i = 0; i < one.fact_count; i++) {
        const struct log_fact *f = &one.facts[i];

        if (!r->is_reply)
            keep_reply(w, r, f);
        if (r->host.len == 0)
            r->host = arena_copy(&w->scratch, f->host);
    }
    if (one.session_rows && w->s->format->discard)
        w->s->format->discard(&one.session_rows);
    log_scan_done(&one);
}

static void need_reply(struct walk *w, struct row *r)
{
    if (r->has_reply)
        return;
    r->has_reply = true;
    if (is_protocol(w->s->format)) { /* a line of a session says no more than this */
        r->is_reply = w->reply_field >= 0 && w->reply_field < r->count &&
                      reply_form_line(r->fields[w->reply_field], &r->reply);
    } else {
        scan_line(w, r);
    }
    if (!r->is_reply)
        r->reply = (struct log_reply){0};
    if (r->reply.enhanced.klass > 0)
        (void)snprintf(
            r->enhanced, sizeof(r->enhanced), "%u.%u.%u", (unsigned)r->reply.enhanced.klass % 10,
            (unsigned)r->reply.enhanced.subject % 1000, (unsigned)r->reply.enhanced.detail % 1000);
}

/* ---- cells ---- */

static struct query_cell text_cell(struct slice s)
{
    static const uint8_t nothing[1];

    return (struct query_cell){
        .ptr = s.ptr ? s.ptr : nothing, .len = (uint32_t)s.len, .type = QUERY_TEXT};
}

static struct query_cell number_cell(int64_t n)
{
    return (struct query_cell){.number = n, .type = QUERY_INTEGER};
}

static struct query_cell class_cell(struct walk *w, struct row *r)
{
    struct reply_facts facts = {
        .code = r->reply.code, .enhanced = r->reply.enhanced, .text = r->reply.text};

    if (!r->is_reply || r->reply.code < 400 || !w->plan->knowledge)
        return (struct query_cell){0};
    return text_cell(
        slice_str(reply_class_name(replies_classify(w->plan->knowledge->replies, &facts))));
}

static struct query_cell provider_cell(struct walk *w, struct row *r)
{
    char name[PROVIDER_NAME_MAX];
    struct provider_info info;

    if (w->out->sessions)
        return r->provider;
    if (r->host.len == 0 || !w->plan->knowledge)
        return (struct query_cell){0};
    providers_of(w->plan->knowledge->providers, &r->host, 1, name, &info);
    return text_cell(arena_copy(&w->scratch, slice_str(info.name)));
}

static struct query_cell time_cell(struct walk *w, struct row *r, size_t len)
{
    need_time(w, r);
    if (r->at_ms == INT64_MIN)
        return (struct query_cell){0};
    return text_cell(slice_make(r->time, len));
}

static struct query_cell cell_of(struct walk *w, struct row *r, int column)
{
    enum query_kind kind = w->plan->columns[column].kind;
    int field = w->map[column];

    if (kind >= QUERY_CODE && kind <= QUERY_PROVIDER &&
        !(kind == QUERY_PROVIDER && w->out->sessions))
        need_reply(w, r);
    switch (kind) {
    case QUERY_FIELD:
        return field >= 0 && field < r->count ? text_cell(r->fields[field])
                                              : (struct query_cell){0};
    case QUERY_CODE:
        return r->is_reply ? number_cell(r->reply.code) : (struct query_cell){0};
    case QUERY_ENHANCED:
        return r->enhanced[0] ? text_cell(slice_str(r->enhanced)) : (struct query_cell){0};
    case QUERY_CLASS:
        return class_cell(w, r);
    case QUERY_PROVIDER:
        return provider_cell(w, r);
    case QUERY_DAY:
        return time_cell(w, r, DAY_LEN);
    case QUERY_TIME:
        return time_cell(w, r, TIME_LEN);
    case QUERY_FORMAT:
        return text_cell(slice_str(w->s->format->name));
    case QUERY_LINE:
        return number_cell((int64_t)r->line_number);
    case QUERY_FILE: /* the batch has it */
    default:
        return (struct query_cell){0};
    }
}

static bool takes(struct walk *w, struct row *r)
{
    for (size_t i = 0; i < w->plan->condition_count; i++) {
        const struct query_condition *c = &w->plan->conditions[i];
        struct query_cell cell = cell_of(w, r, c->column);
        char digits[24];

        if (cell.type == QUERY_NULL)
            return false;
        if (cell.type == QUERY_HELD || cell.type == QUERY_HELD_FIRST)
            continue; /* SQLite asks again, when it is known */
        if (cell.type == QUERY_INTEGER) {
            (void)snprintf(digits, sizeof(digits), "%lld", (long long)cell.number);
            cell = text_cell(slice_str(digits));
        }
        if (!query_condition_takes(c, slice_make(cell.ptr, cell.len)))
            return false;
    }
    return true;
}

static bool make_room(struct query_batch *b, size_t more)
{
    size_t wanted = (b->row_count + 1) * more;

    if (wanted > b->cell_room) {
        size_t room = MAX_OF(b->cell_room * 2, wanted + 64);
        struct query_cell *cells = realloc(b->cells, room * sizeof(*cells));

        if (!cells)
            return false;
        b->cells = cells;
        b->cell_room = room;
    }
    return true;
}

static void number_line(struct walk *w, struct row *r)
{
    size_t at = (size_t)(r->line.ptr - w->s->bytes.ptr);

    w->line_number += search_count(slice_sub(w->s->bytes, w->numbered, at - w->numbered), '\n');
    w->numbered = at;
    r->line_number = w->line_number + 1;
}

static void hand_over(struct walk *w, struct row *r)
{
    struct query_batch *b = w->out;
    size_t n = w->plan->used_count;

    if (!make_room(b, n)) {
        w->s->error = -ENOMEM;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct query_cell cell;

        if (w->plan->columns[w->plan->used[i]].kind == QUERY_LINE)
            number_line(w, r);
        cell = cell_of(w, r, w->plan->used[i]);
        if (cell.type != QUERY_NULL && cell.type != QUERY_INTEGER && cell.len > 0) {
            cell.ptr = arena_copy(&b->arena, slice_make(cell.ptr, cell.len)).ptr;
            if (!cell.ptr)
                w->s->error = -ENOMEM;
        }
        b->cells[b->row_count * n + i] = cell;
    }
    b->row_count++;
}

static void row_init(struct row *r, struct slice line)
{
    r->line = line;
    r->count = 0;
    r->has_reply = r->has_time = r->is_reply = false;
    r->enhanced[0] = '\0';
    r->host = (struct slice){0};
}

static void move_year(struct walk *w, struct slice line)
{
    struct syslog_reader reader = {.carry = w->carry};
    struct syslog_line head;

    (void)syslog_line(&reader, line, &head);
    w->carry = reader.carry;
}

static struct slice session_field(const struct walk *w, const struct row *r, int which)
{
    int at = w->session_fields[which];

    return at >= 0 && at < r->count ? r->fields[at] : (struct slice){0};
}

static void follow_session(struct walk *w, struct row *r)
{
    struct query_session_row row = {.id = session_field(w, r, 0),
                                    .sequence = session_field(w, r, 1),
                                    .event = session_field(w, r, 2),
                                    .data = session_field(w, r, 3)};

    if (query_sessions_row(w->out->sessions, &row, &r->provider) < 0)
        w->s->error = -ENOMEM;
}

/* Splits a row and hands it over if it is asked for. False: it is no row of the format. */
static bool take_row(struct walk *w, struct slice line)
{
    static _Thread_local struct row r; /* 2 KiB; not on each call's stack */

    row_init(&r, line);
    arena_clear(&w->scratch);
    if (w->moves_year)
        move_year(w, line);
    r.count = w->s->format->split(&w->carry, line, &w->scratch, r.fields);
    if (r.count < 0)
        return false;
    if (w->out->sessions)
        follow_session(w, &r);
    if (takes(w, &r))
        hand_over(w, &r);
    return true;
}

/* ---- each line ---- */

static bool is_csv(const struct log_format *f)
{
    return f->columns == NULL;
}

/* "#Fields: a,b", and PowerMTA's first line. */
static bool read_header(struct walk *w, struct slice line)
{
    struct slice names = line;

    if (!is_csv(w->s->format) || line.len == 0)
        return false;
    if (log_columns_header(line, &names) || slice_has_prefix_case(line, SLICE_LIT("type,"))) {
        const struct log_columns *c = log_columns_of(names);

        if (c)
            w->carry.columns = c;
        map_columns(w);
    } else if (line.ptr[0] != '#') {
        return false;
    }
    w->s->tally.headers++;
    return true;
}

/* The row that begins there, over line breaks in quotes where it has such: `*end`, of its first line, is
 * then that of its last. False: it is no row of the format. */
static bool take_long_row(struct walk *w, size_t begin, size_t *end)
{
    struct slice text = w->s->bytes;
    size_t row_end;

    if (take_row(w, text_without_end(slice_sub(text, begin, *end - begin))))
        return true;
    row_end = csv_row_end_within(text, begin, LOG_LINE_MAX, &w->look_left);
    if (row_end == SIZE_MAX || row_end <= *end ||
        !take_row(w, text_without_end(slice_sub(text, begin, row_end - begin))))
        return false;
    *end = row_end;
    return true;
}

static void walk_lines(struct walk *w)
{
    struct log_scan *s = w->s;
    bool has_columns = is_csv(s->format);
    struct slice line;
    size_t at = 0;

    while (s->error == 0 && log_scan_line(s, &at, &line)) {
        if (read_header(w, line))
            continue;
        if (has_columns && !w->carry.columns)
            log_scan_skip(s, SKIP_HEADER, line.ptr);
        else if (has_columns ? take_long_row(w, (size_t)(line.ptr - s->bytes.ptr), &at)
                             : take_row(w, line))
            s->tally.rows++;
        else
            log_scan_skip(s, has_columns ? SKIP_COLUMNS : SKIP_FORM, line.ptr);
    }
}

/* ---- from place to place ---- */

struct fast {
    struct walk *w;
    struct slice text; /* the chunk */
    struct slice literal;
    int field;     /* in which the literal is */
    bool is_begin; /* at its begin */
    struct search_needle needle;
    size_t line_begin, known; /* of the line at hand; what is counted of it */
    size_t commas;
    bool has_quote;
    size_t done; /* all before is decided */
    uint64_t not_rows;
};

static bool begins_with_digit(const struct log_format *f)
{
    return strncmp(f->name, "exchange-", 9) == 0;
}

/* The field that a condition's literal is in; ABSENT: it is not sure to be in any. */
static int literal_field(struct walk *w, const struct query_condition *c, bool *ret_is_begin)
{
    enum query_kind kind = w->plan->columns[c->column].kind;

    *ret_is_begin = c->is_begin;
    if (kind == QUERY_FIELD)
        return w->map[c->column];
    if (kind == QUERY_CODE && c->op == QUERY_EQ && is_protocol(w->s->format))
        return w->reply_field;
    if ((kind == QUERY_DAY || kind == QUERY_TIME) && c->op == QUERY_EQ && c->len >= DAY_LEN)
        return w->time_field;
    return ABSENT;
}

/* The condition that holds back most: the longest literal. */
static void choose_needle(struct fast *f)
{
    struct walk *w = f->w;
    size_t best = 0;

    f->needle = search_needle_none();
    f->field = ABSENT;
    for (size_t i = 0; i < w->plan->condition_count; i++) {
        const struct query_condition *c = &w->plan->conditions[i];
        struct slice literal = query_condition_literal(c);
        bool is_begin;
        int field = literal_field(w, c, &is_begin);

        /* In a field with quotes a '"' is doubled. */
        if (field == ABSENT || literal.len <= best || slice_find(literal, '"') >= 0)
            continue;
        best = literal.len;
        f->field = field;
        f->is_begin = is_begin && field > 0;
        f->literal = literal;
        f->needle = search_needle_of(literal, f->is_begin);
    }
}

/* A column of a condition that these logs do not have is NULL: no row can be asked for. */
static bool is_hopeless(const struct walk *w)
{
    for (size_t i = 0; i < w->plan->condition_count; i++) {
        int column = w->plan->conditions[i].column;

        if (w->plan->columns[column].kind == QUERY_FIELD && w->map[column] == ABSENT)
            return true;
    }
    return false;
}

static size_t line_end(const struct fast *f, size_t at)
{
    ptrdiff_t end = slice_find(slice_from(f->text, at), '\n');

    return end < 0 ? f->text.len : at + (size_t)end + 1;
}

static void look_at_row(struct fast *f, size_t begin)
{
    size_t end = line_end(f, begin);

    if (!take_long_row(f->w, begin, &end)) {
        log_scan_skip(f->w->s, SKIP_COLUMNS, f->text.ptr + begin);
        f->not_rows++;
    }
    f->done = end;
}

/* Moves on to the place's line and counts what is before the place in it. */
static void count_to(struct fast *f, size_t at)
{
    const uint8_t *p = f->text.ptr;
    const uint8_t *before = memrchr(p + f->known, '\n', at - f->known);
    bool has_quote;

    if (before) {
        f->line_begin = f->known = (size_t)(before - p) + 1;
        f->commas = 0;
        f->has_quote = false;
    }
    f->commas += search_count_with(slice_make(p + f->known, at - f->known), ',', '"', &has_quote);
    f->has_quote |= has_quote;
    f->known = at;
}

static void on_candidate(struct fast *f, size_t at)
{
    uint8_t first = f->text.ptr[at];
    size_t skip = f->is_begin;

    if (at < f->done || !slice_has_prefix_case(slice_from(f->text, at + skip), f->literal))
        return;
    count_to(f, at);
    if (f->has_quote || (f->is_begin && first == '"') ||
        f->commas + (f->is_begin && first == ',') == (size_t)f->field)
        look_at_row(f, f->line_begin);
}

static bool has_open_quote(const struct fast *f, size_t begin, size_t end)
{
    return search_count(slice_sub(f->text, begin, end - begin), '"') % 2 == 1;
}

/*
 * The line that begins there does not begin as rows do. True: the columns in force changed with it. The
 * rest of a row is no row, but the row above it is looked at once more, for what is asked for may
 * stand in the rest.
 */
static bool on_odd_line(struct fast *f, size_t begin)
{
    struct log_scan *s = f->w->s;
    size_t end = line_end(f, begin), row = 0;
    struct log_scan one = {.bytes = slice_sub(f->text, begin, end - begin)};
    const struct log_columns *before = f->w->carry.columns;
    const uint8_t *above;
    struct slice line;
    size_t at = 0;

    f->not_rows++;
    if (!log_scan_line(&one, &at, &line)) {
        if (one.tally.skipped[SKIP_NUL])
            log_scan_skip(s, SKIP_NUL, one.bytes.ptr);
        log_scan_done(&one);
        return false;
    }
    log_scan_done(&one);
    if (read_header(f->w, line)) {
        f->done = MAX_OF(f->done, end);
        return f->w->carry.columns != before;
    }
    if (begin < f->done)
        return false;                 /* of a row that was seen whole */
    if (byte_is_digit(line.ptr[0])) { /* a row after NULs */
        f->not_rows--;
        look_at_row(f, begin + (size_t)(line.ptr - (f->text.ptr + begin)));
        return false;
    }
    above = begin > 1 ? memrchr(f->text.ptr, '\n', begin - 1) : NULL;
    row = above ? (size_t)(above - f->text.ptr) + 1 : 0;
    if (begin > 0 && has_open_quote(f, row, begin) && row >= f->done)
        look_at_row(f, row);
    else
        log_scan_skip(s, SKIP_COLUMNS, line.ptr);
    return false;
}

/* From `from` to the chunk's end, or to where the columns change: what follows it. */
static size_t walk_stretch(struct fast *f, size_t from, uint64_t *lines)
{
    struct search search;
    struct slice rest = slice_from(f->text, from);
    bool is_hopeless_here = f->w->carry.columns && is_hopeless(f->w);
    size_t at;

    if (is_hopeless_here)
        f->needle = search_needle_none();
    else
        choose_needle(f);
    search_init_needle(&search, rest, &f->needle);
    while (f->w->s->error == 0 && search_next(&search, &at)) {
        at += from;
        if (f->text.ptr[at] != '\n') {
            on_candidate(f, at);
        } else if (on_odd_line(f, at + 1)) {
            size_t end = line_end(f, at + 1);

            *lines += search_count(slice_sub(f->text, from, end - from), '\n');
            return end;
        }
    }
    *lines += search.lines;
    return f->text.len;
}

/* Can rows be looked for, instead of at? */
static bool can_search(struct walk *w)
{
    struct fast f = {.w = w};

    if (!begins_with_digit(w->s->format) || !w->carry.columns || w->out->sessions)
        return false;
    if (w->plan->used_count == 0 && w->plan->condition_count == 0)
        return true;
    if (is_hopeless(w))
        return true;
    choose_needle(&f);
    return f.field != ABSENT;
}

static void walk_places(struct walk *w)
{
    struct log_scan *s = w->s;
    struct fast f = {.w = w, .text = s->bytes};
    uint64_t lines = 0;
    size_t at = 0;

    while (s->error == 0 && at < s->bytes.len) {
        if (byte_is_digit(s->bytes.ptr[at]) || !on_odd_line(&f, at)) {
            at = walk_stretch(&f, at, &lines);
        } else {
            at = line_end(&f, at);
            lines++;
        }
    }
    s->lines = lines;
    s->tally.rows = lines > f.not_rows ? lines - f.not_rows : 0;
    if (w->plan->used_count == 0 && w->plan->condition_count == 0)
        w->out->row_count = s->tally.rows;
}

/* ---- a chunk ---- */

static bool wants_provider(const struct query_plan *p)
{
    bool wants = false;

    for (size_t i = 0; i < p->used_count; i++)
        wants |= p->columns[p->used[i]].kind == QUERY_PROVIDER;
    return wants && p->knowledge;
}

static struct query_batch *new_batch(const struct query_plan *plan, const struct log_format *f)
{
    struct query_batch *b = calloc(1, sizeof(*b));

    if (!b || !is_protocol(f) || !wants_provider(plan))
        return b;
    b->sessions = calloc(1, sizeof(*b->sessions));
    if (b->sessions)
        query_sessions_init(b->sessions, strcmp(f->name, "exchange-send") == 0, plan->knowledge);
    else
        query_batch_free(&b);
    return b;
}

int query_batch_settle(struct query_batch *b, size_t used_count, struct query_known known[2])
{
    struct query_known *k = b->sessions ? &known[!b->sessions->is_send] : NULL;
    int r = 0;

    for (size_t i = 0; k && r == 0 && i < b->row_count * used_count; i++)
        if (b->cells[i].type == QUERY_HELD || b->cells[i].type == QUERY_HELD_FIRST)
            r = query_known_settle(k, b->sessions, &b->arena, &b->cells[i]);
    return k && r == 0 ? query_known_take(k, b->sessions) : r;
}

void query_rows_scan(const struct query_plan *plan, struct log_scan *s)
{
    struct walk w = {.s = s,
                     .plan = plan,
                     .carry = s->carry,
                     .out = new_batch(plan, s->format),
                     .look_left = CSV_LOOK_MAX};

    s->own = w.out;
    if (!w.out) {
        s->error = -ENOMEM;
        return;
    }
    map_columns(&w);
    w.moves_year = !is_csv(s->format) && s->carry.year > 0;
    if (can_search(&w))
        walk_places(&w);
    else
        walk_lines(&w);
    s->carry_end = w.carry;
    arena_done(&w.scratch);
}
