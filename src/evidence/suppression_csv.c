/*
 * evidence/suppression_csv.c - fields out of a line, then each by its column's name.
 */
#include "evidence/suppression_csv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/id.h"

enum column {
    COLUMN_ADDRESS,
    COLUMN_KIND,
    COLUMN_AT,
    COLUMN_CODE,
    COLUMN_ENHANCED,
    COLUMN_CLASS,
    COLUMN_REPLY,
    COLUMN_HOST,
    COLUMN_ID,
    COLUMN_SOURCE,
    COLUMN_NOTE,
    COLUMNS
};
_Static_assert(COLUMNS == SUPPRESSION_COLUMNS, "the header says how many");

static const char *const names[COLUMNS] = {"address",  "kind",   "at_ms", "code",
                                           "enhanced", "class",  "reply", "host",
                                           "id",       "source", "note"};
#define ALL_NAMES "address, kind, at_ms, code, enhanced, class, reply, host, id, source, note"

/* ---- fields of a line ---- */

struct fields {
    struct slice line; /* what is left */
    char *to;          /* room for all of it */
    bool is_over;
};

static bool is_at(const struct fields *f, size_t at, uint8_t byte)
{
    return at < f->line.len && f->line.ptr[at] == byte;
}

/* What is in quotes, with each pair of them as one. The position after the field, or -EINVAL. */
static ptrdiff_t take_quoted(struct fields *f, struct buf *why)
{
    bool has_ended = false;
    size_t at = 1;

    for (; at < f->line.len && !has_ended; at++) {
        has_ended = is_at(f, at, '"') && !is_at(f, at + 1, '"');
        at += is_at(f, at, '"') && !has_ended; /* the second of a pair */
        if (!has_ended)
            *f->to++ = (char)f->line.ptr[at];
    }
    if (!has_ended) {
        (void)buf_add_str(why, "a field in quotes does not end on this line");
        return -EINVAL;
    }
    if (at < f->line.len && f->line.ptr[at] != ',') {
        (void)buf_add_str(why, "after a field in quotes a comma must follow");
        return -EINVAL;
    }
    return (ptrdiff_t)at;
}

static ptrdiff_t take_plain(struct fields *f)
{
    size_t at = 0;

    while (at < f->line.len && f->line.ptr[at] != ',')
        *f->to++ = (char)f->line.ptr[at++];
    return (ptrdiff_t)at;
}

/* 1: a field; 0: there is none left; -EINVAL. */
static int next_field(struct fields *f, struct slice *ret, struct buf *why)
{
    char *begin = f->to;
    ptrdiff_t at;

    if (f->is_over)
        return 0;
    at = is_at(f, 0, '"') ? take_quoted(f, why) : take_plain(f);
    if (at < 0)
        return -EINVAL;
    *ret = slice_make(begin, (size_t)(f->to - begin));
    f->is_over = (size_t)at >= f->line.len;
    f->line = slice_from(f->line, (size_t)at + 1);
    return 1;
}

/* ---- the names of the columns ---- */

static int read_head(struct suppression_csv *c, struct fields *f, struct buf *why)
{
    bool has_address = false;
    struct slice name;
    int r;

    c->column_count = 0;
    while ((r = next_field(f, &name, why)) == 1) {
        size_t i = 0;

        name = slice_trim(name);
        while (i < COLUMNS && !slice_eq_case(name, slice_str(names[i])))
            i++;
        if (i == COLUMNS || c->column_count == COLUMNS) {
            (void)buf_addf(why, "column '%.*s': allowed are " ALL_NAMES, SLICE_FMT(name));
            c->column_count = 0;
            return -EINVAL;
        }
        has_address |= i == COLUMN_ADDRESS;
        c->columns[c->column_count++] = (uint8_t)i;
    }
    if (r == 0 && !has_address) {
        (void)buf_add_str(why, "there is no column 'address'");
        r = -EINVAL;
    }
    if (r < 0)
        c->column_count = 0;
    return r;
}

/* The first line with a field "address" and no '@' names the columns. */
static bool is_head(struct slice line)
{
    return slice_find(line, '@') < 0 && (slice_has_prefix_case(line, SLICE_LIT("address")) ||
                                         slice_has_prefix_case(line, SLICE_LIT("\"address")) ||
                                         slice_find_slice(line, SLICE_LIT(",address")) >= 0 ||
                                         slice_find_slice(line, SLICE_LIT("\"address\"")) >= 0);
}

/* ---- values ---- */

static int bad(struct buf *why, const char *name, struct slice value, const char *allowed)
{
    (void)buf_addf(why, "%s '%.*s': allowed: %s", name, SLICE_FMT(slice_sub(value, 0, 80)),
                   allowed);
    return -EINVAL;
}

static int read_kind(struct slice value, struct suppression_view *v, struct buf *why)
{
    if (value.len == 0 || slice_eq_case(value, SLICE_LIT("operator")))
        v->kind = SUPPRESSION_OPERATOR;
    else if (slice_eq_case(value, SLICE_LIT("automatic")))
        v->kind = SUPPRESSION_AUTOMATIC;
    else
        return bad(why, "kind", value, "automatic, operator");
    return 0;
}

static int read_number(const char *name, struct slice value, uint64_t max, uint64_t *ret,
                       struct buf *why, const char *allowed)
{
    *ret = 0;
    if (value.len > 0 && slice_to_u64(value, max, ret) < 0)
        return bad(why, name, value, allowed);
    return 0;
}

static int read_enhanced(struct slice value, struct suppression_view *v, struct buf *why)
{
    size_t used;

    if (value.len == 0 || (smtp_enhanced_parse(value, &v->enhanced, &used) && used == value.len))
        return 0;
    return bad(why, "enhanced", value, "a status code as 5.1.1");
}

static int read_class(struct slice value, struct suppression_view *v, struct buf *why)
{
    if (value.len > 0)
        v->klass = reply_class_find(value);
    return v->klass < REPLY_CLASSES ? 0
                                    : bad(why, "class", value, "mailbox-unknown, mailbox-disabled");
}

static int read_value(enum column column, struct slice value, struct suppression_view *v,
                      struct buf *why)
{
    uint64_t n = 0;
    int r = 0;

    switch (column) {
    case COLUMN_ADDRESS:
        v->address = slice_trim(value);
        break;
    case COLUMN_KIND:
        return read_kind(value, v, why);
    case COLUMN_AT:
        r = read_number("at_ms", value, INT64_MAX / 2, &n, why, "milliseconds since 1970");
        v->at_ms = (int64_t)n;
        break;
    case COLUMN_CODE:
        r = read_number("code", value, 999, &n, why, "a reply code, 500 to 599");
        v->code = (uint16_t)n;
        break;
    case COLUMN_ENHANCED:
        return read_enhanced(value, v, why);
    case COLUMN_CLASS:
        return read_class(value, v, why);
    case COLUMN_REPLY:
        v->text = value;
        break;
    case COLUMN_HOST:
        v->host = value;
        break;
    case COLUMN_ID:
        if (value.len > 0 && id_parse(value, &v->queue_id) < 0)
            r = bad(why, "id", value, "the id of a message, or nothing");
        break;
    case COLUMN_SOURCE:
        v->source = value;
        break;
    case COLUMN_NOTE:
    case COLUMNS:
    default:
        v->note = value;
        break;
    }
    return r;
}

static int read_fields(const struct suppression_csv *c, struct fields *f,
                       struct suppression_view *v, struct buf *why)
{
    struct slice value;
    size_t n = 0;
    int r;

    while ((r = next_field(f, &value, why)) == 1 && n < c->column_count) {
        r = read_value((enum column)c->columns[n++], value, v, why);
        if (r < 0)
            return r;
    }
    if (r == 0 && n == c->column_count)
        return 1;
    if (r >= 0)
        (void)buf_addf(why, "%s fields than the %zu columns that the first line names",
                       r == 1 ? "more" : "fewer", c->column_count);
    return -EINVAL;
}

static struct slice without_line_end(struct slice line)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\n')
        line.len--;
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

int suppression_csv_read(struct suppression_csv *c, struct slice line, struct suppression_view *ret,
                         struct buf *why)
{
    struct suppression_view v = {.kind = SUPPRESSION_OPERATOR};
    struct fields f;
    int r = 1;

    line = without_line_end(line);
    if (!c->has_begun && slice_has_prefix(line, SLICE_LIT("\xef\xbb\xbf"))) /* a byte order mark */
        line = slice_from(line, 3);
    if (line.len > SUPPRESSION_LINE_MAX) {
        (void)buf_addf(why, "the line has %zu bytes: allowed are %d", line.len,
                       SUPPRESSION_LINE_MAX);
        return -EINVAL;
    }
    if (slice_trim(line).len == 0 || line.ptr[0] == '#')
        return 0;
    f = (struct fields){.line = line, .to = c->text};
    if (!c->has_begun && is_head(line)) {
        c->has_begun = true;
        return read_head(c, &f, why);
    }
    c->has_begun = true;
    if (c->column_count > 0)
        r = read_fields(c, &f, &v, why);
    else
        v.address = slice_trim(line);
    if (r == 1)
        *ret = v;
    return r;
}

/* ---- writing ---- */

void suppression_csv_head(struct buf *to)
{
    for (size_t i = 0; i < COLUMNS; i++)
        (void)buf_addf(to, "%s%s", i ? "," : "", names[i]);
    (void)buf_add_str(to, "\r\n");
}

/*
 * In quotes where it must be, so that most lines stay readable. An address may begin with '#': the
 * line that begins with it would be read as a comment.
 */
static void add_text(struct slice text, struct buf *to)
{
    bool quoted = slice_find(text, ',') >= 0 || slice_find(text, '"') >= 0 ||
                  slice_has_prefix(text, SLICE_LIT("#"));

    if (quoted)
        (void)buf_push(to, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            (void)buf_push(to, '"');
        (void)buf_push(to, text.ptr[i]);
    }
    if (quoted)
        (void)buf_push(to, '"');
}

void suppression_csv_write(const struct suppression_view *v, struct buf *to)
{
    char id[ID_TEXT_MAX];

    add_text(v->address, to);
    (void)buf_addf(to, ",%s,%" PRId64 ",", suppression_kind_name(v->kind), v->at_ms);
    if (v->code)
        (void)buf_addf(to, "%u", v->code);
    (void)buf_push(to, ',');
    if (v->enhanced.klass)
        (void)buf_addf(to, "%u.%u.%u", v->enhanced.klass, v->enhanced.subject, v->enhanced.detail);
    (void)buf_addf(to, ",%s,", v->klass == REPLY_NONE ? "" : reply_class_name(v->klass));
    add_text(v->text, to);
    (void)buf_push(to, ',');
    add_text(v->host, to);
    (void)buf_push(to, ',');
    if (v->queue_id)
        add_text(slice_make(id, id_format(v->queue_id, id)), to);
    (void)buf_push(to, ',');
    add_text(v->source, to);
    (void)buf_push(to, ',');
    add_text(v->note, to);
    (void)buf_add_str(to, "\r\n");
}
